/* SPDX-License-Identifier: MIT */
/*
 * primary.c: the commands that every SCSI device has (SPC-4): who are you, what happened, which
 * units are there.
 */
#include "base/base.h"
#include "base/endian.h"
#include "target/commands.h"

#include <assert.h>
#include <string.h>

enum { HIGH_BIT = 7 };

int target_test_unit_ready(struct target_command *c)
{
	(void)c;
	return 0;
}

/* ---- REQUEST SENSE (SPC-4 6.39) */

static struct scsi_sense take_kept_sense(struct target_command *c, struct target_state *s)
{
	s->kept &= (uint8_t) ~(1U << c->nexus);
	return s->sense[c->nexus];
}

/*
 * Sense that went with its status has been delivered. The rest: sense that was kept back, then a
 * condition that no command has reported yet.
 */
static struct scsi_sense pending_sense(struct target_command *c)
{
	struct scsi_sense sense = { .key = SCSI_NO_SENSE };
	struct target_state *s;

	if (!c->unit) {
		sense.key = SCSI_ILLEGAL_REQUEST;
		sense.asc = SCSI_ASC_LUN_NOT_SUPPORTED;
		return sense;
	}
	s = target_lock(c->unit);
	if (s->kept & 1U << c->nexus)
		sense = take_kept_sense(c, s);
	else if ((sense.asc = target_take_attention(s, c->nexus, TARGET_ANY_CONDITION)))
		sense.key = SCSI_UNIT_ATTENTION;
	else if ((sense.asc = target_not_ready(s)))
		sense.key = SCSI_NOT_READY;
	target_unlock(c->unit);
	return sense;
}

int target_request_sense(struct target_command *c)
{
	enum { DESC = 0x01 };
	struct scsi_sense sense = pending_sense(c);
	uint8_t bytes[SCSI_DESCRIPTOR_SENSE_BYTES] = { 0 };
	size_t n;

	n = c->cdb[1] & DESC ? scsi_sense_write_descriptor(&sense, bytes)
			     : scsi_sense_write_fixed(&sense, bytes);
	return target_answer(c, bytes, n, c->cdb[4]);
}

/* ---- INQUIRY (SPC-4 6.6, 7.8) */

static const char vendor[] = "HBAKIT", product[] = "SOFT DISK", revision[] = "0.1";

static int standard_inquiry(struct target_command *c, uint16_t allocation)
{
	enum { QUALIFIER_NEVER = 3, VERSION_SPC_4 = 6 };
	struct scsi_inquiry inquiry = { .version = VERSION_SPC_4,
					.command_queuing = true,
					.normal_aca = true };
	uint8_t bytes[SCSI_INQUIRY_MAX];

	static_assert(sizeof(vendor) <= sizeof(inquiry.vendor) &&
			      sizeof(product) <= sizeof(inquiry.product) &&
			      sizeof(revision) <= sizeof(inquiry.revision),
		      "names fit their fields");
	if (!c->unit) {
		inquiry.qualifier = QUALIFIER_NEVER;
		inquiry.type = SCSI_TYPE_NONE;
	} else {
		inquiry.removable = c->unit->removable;
	}
	memcpy(inquiry.vendor, vendor, sizeof(vendor));
	memcpy(inquiry.product, product, sizeof(product));
	memcpy(inquiry.revision, revision, sizeof(revision));
	return target_answer(c, bytes, scsi_inquiry_write(&inquiry, bytes), allocation);
}

/* A page is made either from names, or from what the unit can do. */
struct vpd_page {
	uint8_t page;
	size_t (*write)(const struct scsi_disk_identity *id, uint8_t bytes[SCSI_VPD_MAX]);
	size_t (*describe)(const struct target_unit *unit, uint8_t bytes[SCSI_VPD_MAX]);
};

/* Ascending, as page 00 lists them. */
static const struct vpd_page vpd_pages[] = {
	{ SCSI_VPD_SUPPORTED, .write = scsi_vpd_write_supported },
	{ SCSI_VPD_SERIAL, .write = scsi_vpd_write_serial },
	{ SCSI_VPD_DEVICE_ID, .write = scsi_vpd_write_device_id },
	{ SCSI_VPD_EXTENDED_INQUIRY, .describe = target_vpd_extended },
	{ SCSI_VPD_BLOCK_LIMITS, .describe = target_vpd_limits },
	{ SCSI_VPD_BLOCK_CHARACTERISTICS, .describe = target_vpd_characteristics },
	{ SCSI_VPD_LOGICAL_BLOCK_PROVISIONING, .describe = target_vpd_provisioning },
};

static const struct vpd_page *find_vpd_page(uint8_t page)
{
	for (size_t i = 0; i < ARRAY_SIZE(vpd_pages); i++)
		if (vpd_pages[i].page == page)
			return &vpd_pages[i];
	return NULL;
}

static int vpd_inquiry(struct target_command *c, uint8_t page_code, uint16_t allocation)
{
	const struct vpd_page *page = find_vpd_page(page_code);
	uint8_t list[ARRAY_SIZE(vpd_pages)], bytes[SCSI_VPD_MAX];
	struct scsi_disk_identity id;

	if (!c->unit)
		return target_refuse(c, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LUN_NOT_SUPPORTED);
	if (!page)
		return target_refuse_field(c, 2, HIGH_BIT);
	if (page->describe)
		return target_answer(c, bytes, page->describe(c->unit, bytes), allocation);
	for (size_t i = 0; i < ARRAY_SIZE(vpd_pages); i++)
		list[i] = vpd_pages[i].page;
	id = (struct scsi_disk_identity) {
		.vendor = vendor,
		.product = product,
		.serial = c->unit->serial,
		.naa = c->unit->naa,
		.pages = list,
		.n_pages = ARRAY_SIZE(list),
	};
	return target_answer(c, bytes, page->write(&id, bytes), allocation);
}

int target_inquiry(struct target_command *c)
{
	enum { EVPD = 0x01 };
	uint16_t allocation = get_be16(c->cdb + 3);

	if (c->cdb[1] & EVPD)
		return vpd_inquiry(c, c->cdb[2], allocation);
	if (c->cdb[2] != 0)
		return target_refuse_field(c, 2, HIGH_BIT);
	return standard_inquiry(c, allocation);
}

/* ---- REPORT LUNS (SPC-4 6.33) */

enum { LIST_HEADER = 8, LIST_ENTRY = 8 };
enum { SELECT_PLAIN = 0, SELECT_WELL_KNOWN = 1, SELECT_ALL = 2 };

/* Entry by entry into the buffer: the list may be longer than any answer on the stack. */
static int answer_luns(struct target_command *c, unsigned n, uint64_t most)
{
	struct iov_iter to = { .iov = c->iov, .n = c->n_iov };
	uint8_t header[LIST_HEADER] = { 0 };
	struct hba_lun_id lun;

	put_be32(header, n * LIST_ENTRY);
	c->bytes = iov_iter_copy_to(&to, header, most < LIST_HEADER ? most : LIST_HEADER);
	for (unsigned i = 0; i < n && c->bytes < most; i++) {
		uint64_t left = most - c->bytes;

		scsi_lun_from_number(i, &lun); /* cannot fail below TARGET_MAX_UNITS */
		c->bytes += iov_iter_copy_to(&to, lun.bytes, left < LIST_ENTRY ? left : LIST_ENTRY);
	}
	return 0;
}

/* A nexus that has read the list needs no attention about it, from any unit. */
static void forget_change_of_luns(struct target_command *c)
{
	for (unsigned i = 0; i < c->device->n_units; i++) {
		struct target_unit *unit = &c->device->units[i];

		if (!(__atomic_load_n(&unit->gate, __ATOMIC_ACQUIRE) & GATE_UNUSUAL))
			continue;
		target_take_attention(target_lock(unit), c->nexus, 1U << TARGET_LUNS_CHANGED);
		target_unlock(unit);
	}
}

int target_report_luns(struct target_command *c)
{
	uint32_t allocation = get_be32(c->cdb + 6);
	uint8_t select = c->cdb[2];

	if (select > SELECT_ALL)
		return target_refuse_field(c, 2, HIGH_BIT);
	if (c->nexus < TARGET_NEXUSES)
		forget_change_of_luns(c);
	return answer_luns(c, select == SELECT_WELL_KNOWN ? 0 : c->device->n_units,
			   allocation < c->room ? allocation : c->room);
}
