/* SPDX-License-Identifier: MIT */
/*
 * mode.c: MODE SENSE (SPC-4 6.11, 6.12; pages: SPC-4 7.5, SBC-3 6.5). Nothing can be changed yet, so the mask of what can be is
 * all zeros, and the default values are the current ones.
 */
#include "base/base.h"
#include "base/endian.h"
#include "target/commands.h"

#include <string.h>

enum { PAGE_CACHING = 0x08, PAGE_CONTROL = 0x0a, PAGE_ALL = 0x3f, PAGE_MASK = 0x3f, PAGE_HIGH_BIT = 5 };
enum { SUBPAGE_NONE = 0x00, SUBPAGE_ALL = 0xff };
enum { PC_SHIFT = 6, PC_CHANGEABLE = 1, PC_SAVED = 3 };
enum { PAGE_HEADER = 2, CACHING_BYTES = 20, CONTROL_BYTES = 12 };
enum { HEADER_6 = 4, HEADER_10 = 8, DESCRIPTOR_SHORT = 8, DESCRIPTOR_LONG = 16 };
enum { MODE_BYTES = HEADER_10 + DESCRIPTOR_LONG + CACHING_BYTES + CONTROL_BYTES };
enum { DBD = 0x08, LLBAA = 0x10, LONGLBA = 0x01, WP = 0x80, DPOFUA = 0x10 };

static void write_caching(const struct target_unit *unit, uint8_t *page)
{
	enum { WCE = 0x04 };

	/* A store that can be flushed holds back what was written: that is a write cache. */
	if (unit->store->ops->flush)
		page[2] = WCE;
}

static void write_control(const struct target_unit *unit, uint8_t *page)
{
	enum { GLTSD = 0x02, UNRESTRICTED_REORDERING = 0x10, BUSY_TIMEOUT_UNLIMITED = 0xffff };

	(void)unit;
	page[2] = GLTSD; /* no log is ever saved */
	page[3] = UNRESTRICTED_REORDERING;
	put_be16(page + 8, BUSY_TIMEOUT_UNLIMITED);
}

struct mode_page {
	uint8_t code, bytes;
	void (*write)(const struct target_unit *unit, uint8_t *page);
};

static const struct mode_page mode_pages[] = {
	{ PAGE_CACHING, CACHING_BYTES, write_caching },
	{ PAGE_CONTROL, CONTROL_BYTES, write_control },
};

/* Returns the bytes written, 0 if no page goes by that code. */
static size_t write_pages(struct target_command *c, uint8_t code, bool changeable, uint8_t *to)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(mode_pages); i++) {
		const struct mode_page *page = &mode_pages[i];

		if (code != PAGE_ALL && code != page->code)
			continue;
		to[n] = page->code;
		to[n + 1] = (uint8_t)(page->bytes - PAGE_HEADER);
		if (!changeable)
			page->write(c->unit, to + n);
		n += page->bytes;
	}
	return n;
}

static size_t write_descriptor(const struct target_unit *unit, bool longer, uint8_t *to)
{
	if (longer) {
		put_be64(to, unit->blocks);
		put_be32(to + 12, unit->block_bytes);
		return DESCRIPTOR_LONG;
	}
	put_be32(to, unit->blocks > UINT32_MAX ? UINT32_MAX : (uint32_t)unit->blocks);
	put_be24(to + 5, unit->block_bytes);
	return DESCRIPTOR_SHORT;
}

static uint8_t device_specific(const struct target_unit *unit)
{
	return (uint8_t)((unit->read_only ? WP : 0) | DPOFUA);
}

/* 0: *ret_n bytes of descriptor and pages are in `to`. 1: refused already. */
static int write_body(struct target_command *c, uint8_t *to, size_t *ret_descriptor, size_t *ret_n)
{
	uint8_t pc = c->cdb[2] >> PC_SHIFT, code = c->cdb[2] & PAGE_MASK, subpage = c->cdb[3];
	size_t descriptor = 0, pages;

	if (pc == PC_SAVED) {
		target_refuse(c, SCSI_ILLEGAL_REQUEST, SCSI_ASC_SAVING_NOT_SUPPORTED);
		return 1;
	}
	if (subpage != SUBPAGE_NONE && subpage != SUBPAGE_ALL) {
		target_refuse_field(c, 3, 7);
		return 1;
	}
	if (!(c->cdb[1] & DBD))
		descriptor = write_descriptor(c->unit, c->cdb[1] & LLBAA, to);
	pages = write_pages(c, code, pc == PC_CHANGEABLE, to + descriptor);
	if (pages == 0) {
		target_refuse_field(c, 2, PAGE_HIGH_BIT);
		return 1;
	}
	*ret_descriptor = descriptor;
	*ret_n = descriptor + pages;
	return 0;
}

int target_mode_sense_6(struct target_command *c)
{
	uint8_t bytes[MODE_BYTES] = { 0 };
	size_t descriptor, n;

	if (write_body(c, bytes + HEADER_6, &descriptor, &n))
		return 0;
	bytes[0] = (uint8_t)(HEADER_6 + n - 1); /* what follows this byte */
	bytes[2] = device_specific(c->unit);
	bytes[3] = (uint8_t)descriptor;
	return target_answer(c, bytes, HEADER_6 + n, c->cdb[4]);
}

int target_mode_sense_10(struct target_command *c)
{
	uint8_t bytes[MODE_BYTES] = { 0 };
	size_t descriptor, n;

	if (write_body(c, bytes + HEADER_10, &descriptor, &n))
		return 0;
	put_be16(bytes, (uint16_t)(HEADER_10 + n - 2)); /* what follows this field */
	bytes[3] = device_specific(c->unit);
	bytes[4] = descriptor == DESCRIPTOR_LONG ? LONGLBA : 0;
	put_be16(bytes + 6, (uint16_t)descriptor);
	return target_answer(c, bytes, HEADER_10 + n, get_be16(c->cdb + 7));
}
