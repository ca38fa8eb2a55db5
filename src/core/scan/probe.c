/* SPDX-License-Identifier: MIT */
/*
 * probe.c: a step builds one command and, with the answer, names the next step (docs/contract.md
 * 9.5). Their order: probe.h.
 */
#include "core/scan/probe.h"
#include "core/controller/controller.h"

#include <stdlib.h>
#include <string.h>

enum {
	VERSION_SPC_3 = 5, /* from here on READ CAPACITY(16) is sent first */
	MODE_HEADER_BYTES = 4,
	ALL_PAGES = 0x3f,
	WRITE_PROTECT_BIT = 0x80,
	CAPACITY_16_BYTES = 32,
	MOST_ABSENT = 256, /* numbers in a row without a unit: then no more are tried */
	LUN_BYTES = 8,
};

uint32_t probe_limit(const struct hba_target *tgt)
{
	uint64_t most = tgt->report.max_transfer;

	return most && most < tgt->controller->internal_most ? (uint32_t)most
							     : tgt->controller->internal_most;
}

/* ---- steps of a target */

static struct scsi_cdb build_inquiry(const struct probe *p)
{
	(void)p;
	return scsi_cdb_inquiry(SCSI_INQUIRY_MAX);
}

static enum step_id take_target(struct probe *p, const struct hba_result *r, const uint8_t *data)
{
	struct scsi_inquiry inquiry;

	if (hba_response(r->outcome) != HBA_TASK_COMPLETE)
		return TARGET_DONE;
	p->answered = true;
	p->version = p->features = 0;
	if (r->outcome == HBA_GOOD && scsi_inquiry_read(data, r->bytes, &inquiry) == 0) {
		p->version = inquiry.version;
		p->features = inquiry.features;
	}
	return TARGET_LUNS;
}

static struct scsi_cdb build_luns(const struct probe *p)
{
	return scsi_cdb_report_luns(probe_limit(p->target));
}

/*
 * A unit that the controller cannot address is not offered; nor is one of several levels, unless
 * the report has hierarchical_luns.
 */
static bool can_address(const struct hba_target *tgt, const struct hba_lun_id *id)
{
	uint64_t number = scsi_lun_number(id);

	return number == UINT64_MAX ? tgt->controller->report.hierarchical_luns
				    : number <= tgt->report.highest_lun;
}

/* Numbers first and in order, so that one walk up the list meets each of them. */
static int by_number(const void *a, const void *b)
{
	uint64_t left = scsi_lun_number(a), right = scsi_lun_number(b);

	return left < right ? -1 : left > right;
}

static enum step_id take_luns(struct probe *p, const struct hba_result *r, const uint8_t *data)
{
	uint32_t needed;
	unsigned n;

	if (r->outcome != HBA_GOOD || scsi_report_luns_read(data, r->bytes, &n, &needed) < 0) {
		p->left_out = PROBE_NO_LIST;
		return UNIT_INQUIRY;
	}
	p->units = calloc(n ? n : 1, sizeof(*p->units));
	if (!p->units)
		return TARGET_DONE;
	for (unsigned i = 0; i < n; i++) {
		p->units[p->n_units] = scsi_report_luns_entry(data, i);
		p->n_units += can_address(p->target, &p->units[p->n_units]);
	}
	/* The header is as long as an entry. */
	p->left_out = needed / LUN_BYTES - 1 - n;
	if (p->left_out)
		qsort(p->units, p->n_units, sizeof(*p->units), by_number);
	return UNIT_INQUIRY;
}

/* ---- which unit is next */

static bool is_listed(struct probe *p, uint64_t number)
{
	while (p->passed < p->n_units && scsi_lun_number(&p->units[p->passed]) < number)
		p->passed++;
	return p->passed < p->n_units && scsi_lun_number(&p->units[p->passed]) == number;
}

static bool next_number(struct probe *p, struct hba_lun_id *ret_id)
{
	while (p->left_out && p->absent < MOST_ABSENT &&
	       p->number <= p->target->report.highest_lun) {
		uint64_t number = p->number++;

		/* Till take_unit() has seen it. */
		p->absent = is_listed(p, number) ? 0 : p->absent + 1;
		if (p->absent)
			return scsi_lun_from_number(number, ret_id) == 0;
	}
	return false;
}

static void tell_left_out(const struct probe *p)
{
	struct hba_controller *c = p->target->controller;
	unsigned long long id = p->target->id;

	if (p->left_out != PROBE_NO_LIST)
		event_put(c, HBA_EVENT_LUNS_LEFT_OUT, p->target->id, NULL, p->left_out,
			  "target %llu: %u of its units were not found: its list has only the "
			  "first %u, for one answer holds no more",
			  id, p->left_out, p->n_units);
	else if (p->number <= p->target->report.highest_lun)
		event_put(c, HBA_EVENT_LUNS_LEFT_OUT, p->target->id, NULL, 0,
			  "target %llu: units from number %llu on were not probed: it has no list "
			  "of units, and %d numbers in a row had none",
			  id, (unsigned long long)p->number, MOST_ABSENT);
}

bool probe_next(struct probe *p, struct hba_lun_id *ret_id)
{
	if (p->unit < p->n_units) {
		*ret_id = p->units[p->unit++];
		return true;
	}
	if (next_number(p, ret_id))
		return true;
	if (p->left_out)
		tell_left_out(p);
	return false;
}

void probe_end(struct probe *p)
{
	free(p->units);
	p->units = NULL;
	p->n_units = p->unit = p->passed = p->absent = 0;
	p->left_out = 0;
	p->number = 0;
}

static void found_by_number(struct probe *p)
{
	p->absent = 0;
	if (p->left_out != PROBE_NO_LIST)
		p->left_out--;
}

/* ---- steps of a unit */

static enum step_id take_unit(struct probe *p, const struct hba_result *r, const uint8_t *data)
{
	struct scsi_inquiry inquiry;

	if (r->outcome != HBA_GOOD || scsi_inquiry_read(data, r->bytes, &inquiry) < 0 ||
	    inquiry.qualifier != 0 || inquiry.type == SCSI_TYPE_NONE)
		return UNIT_DONE;
	if (p->number)
		found_by_number(p);
	p->version = inquiry.version;
	p->info = (struct hba_lun_info) {
		.target = p->target->id,
		.lun = p->lun->id,
		.number = scsi_lun_number(&p->lun->id),
		.present = true,
		.removable = inquiry.removable,
		.type = inquiry.type,
	};
	memcpy(p->info.vendor, inquiry.vendor, sizeof(p->info.vendor));
	memcpy(p->info.product, inquiry.product, sizeof(p->info.product));
	memcpy(p->info.revision, inquiry.revision, sizeof(p->info.revision));
	return UNIT_READY;
}

static struct scsi_cdb build_ready(const struct probe *p)
{
	(void)p;
	return scsi_cdb_test_unit_ready();
}

static enum step_id take_ready(struct probe *p, const struct hba_result *r, const uint8_t *data)
{
	(void)p;
	(void)data;
	return hba_response(r->outcome) == HBA_TASK_COMPLETE ? UNIT_PAGES : UNIT_DONE;
}

static struct scsi_cdb build_pages(const struct probe *p)
{
	(void)p;
	return scsi_cdb_inquiry_vpd(SCSI_VPD_SUPPORTED, PROBE_PAGE_BYTES);
}

static enum step_id after_pages(const struct probe *p)
{
	if (p->info.type != SCSI_TYPE_DISK)
		return UNIT_DONE;
	return p->version >= VERSION_SPC_3 && p->target->controller->report.max_cdb >= 16
		       ? UNIT_CAPACITY_16
		       : UNIT_CAPACITY_10;
}

static bool has_page(const struct probe *p, uint8_t page)
{
	return p->n_pages > 0 && scsi_vpd_lists(p->pages, (size_t)p->n_pages, page);
}

static enum step_id after_serial(const struct probe *p)
{
	return has_page(p, SCSI_VPD_DEVICE_ID) ? UNIT_ID : after_pages(p);
}

static enum step_id take_pages(struct probe *p, const struct hba_result *r, const uint8_t *data)
{
	p->n_pages =
		r->outcome == HBA_GOOD
			? scsi_vpd_check(data,
					 r->bytes < PROBE_PAGE_BYTES ? r->bytes : PROBE_PAGE_BYTES,
					 SCSI_VPD_SUPPORTED)
			: 0;
	if (p->n_pages > 0)
		memcpy(p->pages, data, (size_t)p->n_pages);
	return has_page(p, SCSI_VPD_SERIAL) ? UNIT_SERIAL : after_serial(p);
}

static struct scsi_cdb build_serial(const struct probe *p)
{
	(void)p;
	return scsi_cdb_inquiry_vpd(SCSI_VPD_SERIAL, PROBE_PAGE_BYTES);
}

static enum step_id take_serial(struct probe *p, const struct hba_result *r, const uint8_t *data)
{
	if (r->outcome == HBA_GOOD)
		scsi_vpd_serial(data, r->bytes, p->info.serial, sizeof(p->info.serial));
	return after_serial(p);
}

static struct scsi_cdb build_id(const struct probe *p)
{
	(void)p;
	return scsi_cdb_inquiry_vpd(SCSI_VPD_DEVICE_ID, PROBE_PAGE_BYTES);
}

static enum step_id take_id(struct probe *p, const struct hba_result *r, const uint8_t *data)
{
	if (r->outcome == HBA_GOOD)
		scsi_vpd_best_id(data, r->bytes, p->info.id, sizeof(p->info.id));
	return after_pages(p);
}

static struct scsi_cdb build_capacity_16(const struct probe *p)
{
	(void)p;
	return scsi_cdb_read_capacity_16(CAPACITY_16_BYTES);
}

/* The product of both fits into a signed offset. */
static bool fits_an_offset(const struct scsi_capacity *capacity)
{
	return capacity->blocks <= INT64_MAX / capacity->block_bytes;
}

static enum step_id take_capacity(struct probe *p, const struct scsi_capacity *capacity)
{
	uint64_t physical = (uint64_t)capacity->block_bytes << capacity->physical_exponent;

	if (!fits_an_offset(capacity)) {
		hba_log(p->target->controller, HBA_LOG_WARNING,
			"target %llu: a unit with %llu blocks of %u bytes is taken for one without "
			"a medium: no disk is so large",
			(unsigned long long)p->target->id, (unsigned long long)capacity->blocks,
			capacity->block_bytes);
		return UNIT_PROTECTED;
	}
	p->info.block_bytes = capacity->block_bytes;
	p->info.blocks = capacity->blocks;
	p->info.physical_bytes = physical <= UINT32_MAX ? (uint32_t)physical : 0;
	p->info.thin = capacity->provisioned;
	p->info.reads_zero = capacity->provisioned && capacity->reads_zero;
	return UNIT_PROTECTED;
}

static enum step_id take_capacity_16(struct probe *p, const struct hba_result *r,
				     const uint8_t *data)
{
	struct scsi_capacity capacity;

	if (r->outcome != HBA_GOOD || scsi_capacity_read_16(data, r->bytes, &capacity) < 0)
		return UNIT_CAPACITY_10;
	return take_capacity(p, &capacity);
}

static struct scsi_cdb build_capacity_10(const struct probe *p)
{
	(void)p;
	return scsi_cdb_read_capacity_10();
}

static bool says_no_medium(const struct hba_result *r)
{
	enum { CODE_SHIFT = 8 };

	struct scsi_sense sense;

	return r->outcome == HBA_CHECK_CONDITION &&
	       scsi_sense_read(r->sense, r->sense_len, &sense) == 0 &&
	       sense.asc >> CODE_SHIFT == SCSI_ASC_NO_MEDIUM >> CODE_SHIFT;
}

static enum step_id take_capacity_10(struct probe *p, const struct hba_result *r,
				     const uint8_t *data)
{
	struct scsi_capacity capacity;

	if (r->outcome != HBA_GOOD || scsi_capacity_read_10(data, r->bytes, &capacity) < 0) {
		p->unread = !says_no_medium(r);
		return UNIT_PROTECTED; /* size 0 */
	}
	if (capacity.needs_16 && p->version < VERSION_SPC_3 &&
	    p->target->controller->report.max_cdb >= 16) {
		p->version = VERSION_SPC_3;
		return UNIT_CAPACITY_16;
	}
	return take_capacity(p, &capacity);
}

static struct scsi_cdb build_protected(const struct probe *p)
{
	(void)p;
	return scsi_cdb_mode_sense_6(ALL_PAGES, 0, MODE_HEADER_BYTES);
}

static enum step_id take_protected(struct probe *p, const struct hba_result *r, const uint8_t *data)
{
	p->info.read_only = r->outcome == HBA_GOOD && r->bytes >= MODE_HEADER_BYTES &&
			    (data[2] & WRITE_PROTECT_BIT);
	return UNIT_DONE;
}

static const struct probe_step steps[] = {
	[TARGET_INQUIRY] = { build_inquiry, SCSI_INQUIRY_MAX, take_target },
	[TARGET_LUNS] = { build_luns, INTERNAL_BYTES, take_luns },
	[UNIT_INQUIRY] = { build_inquiry, SCSI_INQUIRY_MAX, take_unit },
	[UNIT_READY] = { build_ready, 0, take_ready },
	[UNIT_PAGES] = { build_pages, PROBE_PAGE_BYTES, take_pages },
	[UNIT_SERIAL] = { build_serial, PROBE_PAGE_BYTES, take_serial },
	[UNIT_ID] = { build_id, PROBE_PAGE_BYTES, take_id },
	[UNIT_CAPACITY_16] = { build_capacity_16, CAPACITY_16_BYTES, take_capacity_16 },
	[UNIT_CAPACITY_10] = { build_capacity_10, 8, take_capacity_10 },
	[UNIT_PROTECTED] = { build_protected, MODE_HEADER_BYTES, take_protected },
};

const struct probe_step *probe_step(enum step_id id)
{
	return &steps[id];
}
