/* SPDX-License-Identifier: MIT */
/*
 * mode.c: MODE SENSE and MODE SELECT (SPC-4 6.9 to 6.12; pages: SPC-4 7.5, SBC-3 6.5).
 *
 * The changeable part is a list of single bits, each with its place in a page; the fixed part is a
 * list of bytes. Both commands work from the two lists, so SENSE shows exactly the bits that SELECT
 * takes. Nothing is saved.
 */
#include "base/base.h"
#include "base/endian.h"
#include "target/commands.h"

#include <string.h>

enum {
	PAGE_ERROR_RECOVERY = 0x01,
	PAGE_CACHING = 0x08,
	PAGE_CONTROL = 0x0a,
	PAGE_EXCEPTIONS = 0x1c
};
enum {
	PAGE_ALL = 0x3f,
	PAGE_MASK = 0x3f,
	PAGE_HIGH_BIT = 5,
	HIGH_BIT = 7,
	SPF = 0x40,
	SPF_BIT = 6
};
enum { SUBPAGE_NONE = 0x00, SUBPAGE_ALL = 0xff };
enum { PC_SHIFT = 6, PC_CURRENT = 0, PC_CHANGEABLE = 1, PC_DEFAULT = 2, PC_SAVED = 3 };
enum { PAGE_HEADER = 2, MOST_PAGE_BYTES = 20, PAGES_BYTES = 12 + 20 + 12 + 12 };
enum { HEADER_6 = 4, HEADER_10 = 8, DESCRIPTOR_SHORT = 8, DESCRIPTOR_LONG = 16 };
enum { MODE_BYTES = HEADER_10 + DESCRIPTOR_LONG + PAGES_BYTES };
enum { DBD = 0x08, LLBAA = 0x10, LONGLBA = 0x01, WP = 0x80, DPOFUA = 0x10, PF = 0x10, PF_BIT = 4 };

/* The values of one unit, a bit each. */
enum value { WCE = 1, DRA = 2, D_SENSE = 4, SWP = 8 };

struct place {
	uint8_t page, byte, bits;
	enum value value;
};

static const struct place places[] = {
	{ PAGE_CACHING, 2, 0x04, WCE },
	{ PAGE_CACHING, 12, 0x20, DRA },
	{ PAGE_CONTROL, 2, 0x04, D_SENSE },
	{ PAGE_CONTROL, 4, 0x08, SWP },
};

struct fixed {
	uint8_t page, byte, bits;
};

static const struct fixed fixed[] = {
	{ PAGE_CONTROL, 2, 0x02 }, /* GLTSD: no log is ever saved */
	/* unrestricted reordering of SIMPLE commands; QERR 0: an error stops no other nexus */
	{ PAGE_CONTROL, 3, 0x10 },
	/* TAS: commands aborted by another nexus end in TASK ABORTED */
	{ PAGE_CONTROL, 5, 0x40 },
	{ PAGE_CONTROL, 8, 0xff },    /* busy timeout: */
	{ PAGE_CONTROL, 9, 0xff },    /* unlimited */
	{ PAGE_EXCEPTIONS, 2, 0x08 }, /* DEXCPT: nothing here foretells a failure */
};

struct mode_page {
	uint8_t code, bytes;
};

static const struct mode_page mode_pages[] = {
	{ PAGE_ERROR_RECOVERY, 12 },
	{ PAGE_CACHING, 20 },
	{ PAGE_CONTROL, 12 },
	{ PAGE_EXCEPTIONS, 12 },
};

/* ---- values */

/*
 * A store that can be flushed holds back written data: that is a write cache. One that reads ahead
 * can be switched off.
 */
static unsigned changeable_values(const struct target_unit *unit)
{
	const struct store_ops *ops = unit->store->ops;

	return D_SENSE | SWP | (ops->flush ? WCE : 0) | (ops->read_ahead ? DRA : 0);
}

static unsigned default_values(const struct target_unit *unit)
{
	const struct store_ops *ops = unit->store->ops;

	return (ops->flush ? WCE : 0) | (ops->read_ahead ? 0 : DRA);
}

static unsigned current_values(struct target_unit *unit)
{
	struct target_state *s = target_lock(unit);
	unsigned values = default_values(unit);

	values &= ~(unsigned)(unit->write_through ? WCE : 0);
	values |= s->no_read_ahead ? DRA : 0;
	values |= unit->descriptor_sense ? D_SENSE : 0;
	values |= s->software_protected ? SWP : 0;
	target_unlock(unit);
	return values;
}

/* With the lock. */
static void set_values(struct target_unit *unit, unsigned values)
{
	struct target_state *s = unit->state;
	struct store *store = unit->store;

	unit->write_through = store->ops->flush && !(values & WCE);
	unit->descriptor_sense = values & D_SENSE;
	s->software_protected = values & SWP;
	if (!store->ops->read_ahead || s->no_read_ahead == ((values & DRA) != 0))
		return;
	s->no_read_ahead = values & DRA;
	store->ops->read_ahead(store, !s->no_read_ahead);
}

void target_mode_reset(struct target_unit *unit)
{
	set_values(unit, default_values(unit));
}

/* ---- pages */

static void write_page(const struct mode_page *page, unsigned values, bool with_fixed, uint8_t *to)
{
	memset(to, 0, page->bytes);
	to[0] = page->code;
	to[1] = (uint8_t)(page->bytes - PAGE_HEADER);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (places[i].page == page->code && (values & places[i].value))
			to[places[i].byte] |= places[i].bits;
	for (size_t i = 0; with_fixed && i < ARRAY_SIZE(fixed); i++)
		if (fixed[i].page == page->code)
			to[fixed[i].byte] |= fixed[i].bits;
}

static unsigned read_page(const uint8_t *bytes, unsigned values)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		if (places[i].page != (bytes[0] & PAGE_MASK))
			continue;
		values &= ~(unsigned)places[i].value;
		if (bytes[places[i].byte] & places[i].bits)
			values |= places[i].value;
	}
	return values;
}

/* ---- MODE SENSE */

/* Returns the bytes written, 0 if no page goes by that code. */
static size_t write_pages(struct target_command *c, uint8_t code, uint8_t pc, uint8_t *to)
{
	unsigned values = pc == PC_CHANGEABLE ? changeable_values(c->unit)
			  : pc == PC_DEFAULT  ? default_values(c->unit)
					      : current_values(c->unit);
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(mode_pages); i++) {
		if (code != PAGE_ALL && code != mode_pages[i].code)
			continue;
		write_page(&mode_pages[i], values, pc != PC_CHANGEABLE, to + n);
		n += mode_pages[i].bytes;
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

static uint8_t device_specific(struct target_unit *unit)
{
	return (uint8_t)((unit->read_only || (current_values(unit) & SWP) ? WP : 0) | DPOFUA);
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
		target_refuse_field(c, 3, HIGH_BIT);
		return 1;
	}
	if (!(c->cdb[1] & DBD))
		descriptor = write_descriptor(c->unit, c->cdb[1] & LLBAA, to);
	pages = write_pages(c, code, pc, to + descriptor);
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

/* ---- MODE SELECT */

/*
 * A list on its way: `at` is where its next part begins. Checks return 0, or 1 once they have
 * refused.
 */
struct list_check {
	struct target_command *c;
	const uint8_t *list;
	size_t length, at;
	unsigned values;
};

static int refuse_cut(struct list_check *k)
{
	target_refuse(k->c, SCSI_ILLEGAL_REQUEST, SCSI_ASC_PARAMETER_LIST_LENGTH_ERROR);
	return 1;
}

static int refuse_byte(struct list_check *k, size_t at, unsigned bit)
{
	target_refuse_parameter(k->c, (uint16_t)at, (uint8_t)bit);
	return 1;
}

static unsigned highest_bit(unsigned bits)
{
	return 31U - (unsigned)__builtin_clz(bits);
}

/*
 * No other number of blocks, and no other size of them: 0 and all ones mean "as it is" (SBC-3
 * 6.5.2).
 */
static int check_descriptor(struct list_check *k, size_t bytes)
{
	const struct target_unit *unit = k->c->unit;
	const uint8_t *d = k->list + k->at;
	bool longer = bytes == DESCRIPTOR_LONG;
	uint64_t blocks = longer ? get_be64(d) : get_be32(d),
		 any = longer ? UINT64_MAX : UINT32_MAX;
	uint32_t block_bytes = longer ? get_be32(d + 12) : get_be24(d + 5);

	if (blocks != 0 && blocks != any && blocks != unit->blocks)
		return refuse_byte(k, k->at, HIGH_BIT);
	if (block_bytes != unit->block_bytes)
		return refuse_byte(k, k->at + (longer ? 12U : 5U), HIGH_BIT);
	k->at += bytes;
	return 0;
}

static int check_header(struct list_check *k, bool ten)
{
	size_t header = ten ? HEADER_10 : HEADER_6, medium_type = ten ? 2 : 1,
	       at_length = ten ? 6 : 3, descriptor;

	if (k->length < header)
		return refuse_cut(k);
	if (k->list[medium_type])
		return refuse_byte(k, medium_type, HIGH_BIT);
	descriptor = ten ? get_be16(k->list + at_length) : k->list[at_length];
	k->at = header;
	if (descriptor == 0)
		return 0;
	if (descriptor != (ten && (k->list[4] & LONGLBA) ? DESCRIPTOR_LONG : DESCRIPTOR_SHORT))
		return refuse_byte(k, at_length, HIGH_BIT);
	return descriptor > k->length - k->at ? refuse_cut(k) : check_descriptor(k, descriptor);
}

static const struct mode_page *find_page(uint8_t code)
{
	for (size_t i = 0; i < ARRAY_SIZE(mode_pages); i++)
		if (mode_pages[i].code == code)
			return &mode_pages[i];
	return NULL;
}

/* Where a bit that cannot be changed is not as it is now. */
static int check_bits(struct list_check *k, const struct mode_page *page)
{
	uint8_t now[MOST_PAGE_BYTES], mask[MOST_PAGE_BYTES];

	write_page(page, k->values, true, now);
	write_page(page, changeable_values(k->c->unit), false, mask);
	for (size_t i = PAGE_HEADER; i < page->bytes; i++) {
		unsigned wrong = (k->list[k->at + i] ^ now[i]) & ~mask[i] & 0xffU;

		if (wrong)
			return refuse_byte(k, k->at + i, highest_bit(wrong));
	}
	return 0;
}

static int check_page(struct list_check *k)
{
	const uint8_t *bytes = k->list + k->at;
	const struct mode_page *page = find_page(bytes[0] & PAGE_MASK);

	if (k->length - k->at < PAGE_HEADER)
		return refuse_cut(k);
	if (bytes[0] & SPF)
		return refuse_byte(k, k->at, SPF_BIT);
	if (!page)
		return refuse_byte(k, k->at, PAGE_HIGH_BIT);
	if (bytes[1] != page->bytes - PAGE_HEADER)
		return refuse_byte(k, k->at + 1, HIGH_BIT);
	if (page->bytes > k->length - k->at)
		return refuse_cut(k);
	if (check_bits(k, page))
		return 1;
	k->values = read_page(bytes, k->values);
	k->at += page->bytes;
	return 0;
}

static int put_in_force(struct target_command *c)
{
	unsigned before = current_values(c->unit);

	target_lock(c->unit);
	set_values(c->unit, c->values);
	if (before != c->values)
		target_attention_locked(c->unit, TARGET_MODE_CHANGED, c->nexus);
	target_unlock(c->unit);
	return 0;
}

/* All of the list is looked at before any of it is done. */
static int select_pages(struct target_command *c, size_t length, bool ten)
{
	uint8_t list[MODE_BYTES];
	struct list_check k = { .c = c, .list = list, .length = length };

	if (length == 0)
		return 0;
	if (!(c->cdb[1] & PF))
		return target_refuse_field(c, 1, PF_BIT);
	if (target_take_list(c, list, length, sizeof(list)))
		return 0;
	k.values = current_values(c->unit);
	if (check_header(&k, ten))
		return 0;
	while (k.at < k.length)
		if (check_page(&k))
			return 0;
	c->values = (uint8_t)k.values;
	/*
	 * The contents of the cache must be safe before the unit reports that it has none, or
	 * refuses all writes.
	 */
	return k.values & WCE && !(k.values & SWP) ? put_in_force(c)
						   : target_flush_then(c, put_in_force);
}

int target_mode_select_6(struct target_command *c)
{
	return select_pages(c, c->cdb[4], false);
}

int target_mode_select_10(struct target_command *c)
{
	return select_pages(c, get_be16(c->cdb + 7), true);
}
