/* SPDX-License-Identifier: MIT */
/*
 * report.c: the report of initialize, judged as a whole.
 *
 * A driver author gets all faults of a report in one sentence: first the missing fields, then the
 * contradictions.
 */
#include "core/controller/controller.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
	MAX_CLIENT_TASKS = MAX_POOL - MIN_INTERNAL_TASKS - TMF_TASKS,
	MIN_SEGMENT_BYTES = 512,
	MIN_ADDRESS_BITS = 18, /* below lies what the kernel keeps */
	MAX_ALIGNMENT = 4096,  /* a page: what memory can be made to */
};

#define REQUIRED      HBA_UNSET       /* as a default: there is none */
#define IN_DMA_MODE   (HBA_UNSET - 1) /* required in DMA mode, else UINT64_MAX: no limit */
#define AS_FOR_DATA   (HBA_UNSET - 2) /* constraints.address_bits, which comes before */
#define FIELD(member) #member, offsetof(struct hba_report, member)

/* In the order of struct hba_report. `least` and `most` bound what may be written. */
static const struct report_field {
	const char *name;
	size_t offset;
	uint64_t preset, least, most;
} fields[] = {
	{ FIELD(initiator_id), REQUIRED, 0, UINT64_MAX - 1 },
	{ FIELD(highest_target_id), REQUIRED, 0, UINT64_MAX - 1 },
	{ FIELD(highest_lun), 0, 0, (1 << 24) - 1 },
	{ FIELD(max_tasks), REQUIRED, 1, MAX_CLIENT_TASKS },
	{ FIELD(internal_tasks), MIN_INTERNAL_TASKS, MIN_INTERNAL_TASKS, MAX_POOL },
	{ FIELD(queues), 1, 1, MAX_QUEUES },
	{ FIELD(manages_devices), REQUIRED, 0, 1 },
	{ FIELD(performs_autosense), REQUIRED, 0, 1 },
	{ FIELD(multipath), 0, 0, 1 },
	{ FIELD(hierarchical_luns), 0, 0, 1 },
	{ FIELD(features), 0, 0, (1 << 5) - 1 },
	{ FIELD(tag_bits), 64, 0, 64 },
	{ FIELD(max_cdb), 16, 6, HBA_MAX_CDB },
	{ FIELD(tmfs), 0, 0, (1 << 6) - 1 },
	{ FIELD(data_mode), HBA_DATA_DMA, HBA_DATA_DMA, HBA_DATA_REGION },
	{ FIELD(wants_task_data), 0, 0, 1 },
	{ FIELD(constraints.max_segments_read), IN_DMA_MODE, 1, UINT64_MAX },
	{ FIELD(constraints.max_segments_write), IN_DMA_MODE, 1, UINT64_MAX },
	{ FIELD(constraints.max_segment_bytes_read), IN_DMA_MODE, MIN_SEGMENT_BYTES, UINT64_MAX },
	{ FIELD(constraints.max_segment_bytes_write), IN_DMA_MODE, MIN_SEGMENT_BYTES, UINT64_MAX },
	{ FIELD(constraints.alignment), IN_DMA_MODE, 1, MAX_ALIGNMENT },
	{ FIELD(constraints.address_bits), IN_DMA_MODE, MIN_ADDRESS_BITS, 64 },
	{ FIELD(constraints.hba_data_mask), IN_DMA_MODE, 2, UINT64_MAX },
	{ FIELD(constraints.boundary), 0, 0, UINT64_MAX },
	{ FIELD(constraints.max_transfer), 0, 0, UINT64_MAX },
	{ FIELD(physical_iovas), 0, 0, 1 },
	{ FIELD(control_address_bits), AS_FOR_DATA, MIN_ADDRESS_BITS, 64 },
	{ FIELD(hba_data_size), 0, 0, 1 << 24 },
	{ FIELD(hba_data_contiguous), 0, 0, 1 },
	{ FIELD(hba_data_same_4g), 0, 0, 1 },
	{ FIELD(queue_priv_size), 0, 0, 1 << 30 },
	{ FIELD(task_priv_size), 0, 0, 1 << 24 },
	{ FIELD(target_priv_size), 0, 0, 1 << 24 },
	{ FIELD(lun_priv_size), 0, 0, 1 << 24 },
	{ FIELD(depth), UINT64_MAX, 1, UINT64_MAX },
};

static uint64_t *value_of(struct hba_report *r, const struct report_field *f)
{
	return (uint64_t *)(void *)((char *)r + f->offset);
}

void report_prepare(const struct hba_driver *d, struct hba_report *report)
{
	memset(report, 0xa5, sizeof(*report)); /* every byte of HBA_UNSET */
	report->size = sizeof(*report);
	report->hba_data_size = d->hba_data_size;
	report->queue_priv_size = d->queue_priv_size;
	report->task_priv_size = d->task_priv_size;
	report->target_priv_size = d->target_priv_size;
	report->lun_priv_size = d->lun_priv_size;
}

/* ---- a list of faults in one sentence */

struct faults {
	/* the rest is for driver, op and rule; all that can be missing fits */
	char text[SENTENCE_BYTES - 128];
	size_t used;
	unsigned n, left_out;
};

enum { FAULT_BYTES = 160, MORE_BYTES = 16 };

/* Whole ones, as many as fit; the others are counted. */
__attribute__((format(printf, 3, 4))) static void fault(struct faults *f, const char *between,
							const char *format, ...)
{
	size_t room = sizeof(f->text) - MORE_BYTES - f->used;
	char one[FAULT_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(one, sizeof(one), format, args);
	va_end(args);
	if (f->left_out || strlen(between) + strlen(one) >= room)
		f->left_out++;
	else
		f->used +=
			(size_t)snprintf(f->text + f->used, room, "%s%s", f->n ? between : "", one);
	f->n++;
}

static const char *all_of(struct faults *f)
{
	if (f->left_out)
		snprintf(f->text + f->used, sizeof(f->text) - f->used, "; %u more", f->left_out);
	return f->text;
}

static uint64_t preset_of(const struct report_field *f, const struct hba_report *r)
{
	uint64_t bits = r->constraints.address_bits;

	/* One that is missing, or out of range, is named once. */
	if (f->preset == AS_FOR_DATA)
		return bits >= MIN_ADDRESS_BITS && bits <= 64 ? bits : 64;
	if (f->preset != IN_DMA_MODE)
		return f->preset;
	if (r->data_mode == HBA_DATA_DMA)
		return REQUIRED;
	if (f->offset == offsetof(struct hba_report, constraints.alignment))
		return 1;
	if (f->offset == offsetof(struct hba_report, constraints.address_bits))
		return 64;
	return UINT64_MAX;
}

static void find_missing(struct hba_report *r, struct faults *missing)
{
	if (r->data_mode == HBA_UNSET)
		r->data_mode = HBA_DATA_DMA;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		uint64_t *v = value_of(r, &fields[i]);

		if (*v != HBA_UNSET)
			continue;
		*v = preset_of(&fields[i], r);
		if (*v == REQUIRED)
			fault(missing, ", ", "%s", fields[i].name);
	}
}

static void find_out_of_range(struct hba_report *r, struct faults *wrong)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		uint64_t v = *value_of(r, &fields[i]);

		if (v < fields[i].least)
			fault(wrong, "; ", "%s is %llu, below %llu", fields[i].name,
			      (unsigned long long)v, (unsigned long long)fields[i].least);
		else if (v > fields[i].most)
			fault(wrong, "; ", "%s is %llu, above %llu", fields[i].name,
			      (unsigned long long)v, (unsigned long long)fields[i].most);
	}
}

/* Refuse here an alignment that no memory has: later it would look like a lack of memory. */
static void find_impossible_mask(uint64_t mask, struct faults *wrong)
{
	unsigned width = mask ? 64 - (unsigned)__builtin_clzll(mask) : 0;
	uint64_t alignment = mask & -mask;

	if (alignment > MAX_ALIGNMENT)
		fault(wrong, "; ",
		      "constraints.hba_data_mask requires an alignment of %llu, above %d",
		      (unsigned long long)alignment, MAX_ALIGNMENT);
	if (width && width < MIN_ADDRESS_BITS)
		fault(wrong, "; ", "constraints.hba_data_mask leaves %u address bits, below %d",
		      width, MIN_ADDRESS_BITS);
}

/*
 * A segment begins aligned, so no list of more than one could go on where the one before had to
 * end.
 */
static void find_too_short(const struct hba_constraints *k, const char *name, uint64_t bytes,
			   struct faults *wrong)
{
	if (bytes && k->alignment > bytes)
		fault(wrong, "; ", "constraints.alignment %llu is above %s %llu",
		      (unsigned long long)k->alignment, name, (unsigned long long)bytes);
}

static void find_impossible_constraints(const struct hba_constraints *k, bool dma,
					struct faults *wrong)
{
	if (!is_power_of_two(k->alignment))
		fault(wrong, "; ", "constraints.alignment is %llu, not a power of two",
		      (unsigned long long)k->alignment);
	find_impossible_mask(k->hba_data_mask, wrong);
	if (k->boundary && !is_power_of_two(k->boundary))
		fault(wrong, "; ", "constraints.boundary is %llu, not a power of two",
		      (unsigned long long)k->boundary);
	if (k->boundary && k->boundary < MIN_SEGMENT_BYTES)
		fault(wrong, "; ", "constraints.boundary is %llu, below one block",
		      (unsigned long long)k->boundary);
	if (k->max_transfer && k->max_transfer < MIN_SEGMENT_BYTES)
		fault(wrong, "; ", "constraints.max_transfer is %llu, below one block",
		      (unsigned long long)k->max_transfer);
	if (!dma)
		return;
	find_too_short(k, "max_segment_bytes_read", k->max_segment_bytes_read, wrong);
	find_too_short(k, "max_segment_bytes_write", k->max_segment_bytes_write, wrong);
	find_too_short(k, "boundary", k->boundary, wrong);
}

/* The device could not reach it, or would reach other memory by what is left of its address. */
static void find_memory_out_of_reach(struct hba_controller *c, uint64_t bits, struct faults *wrong)
{
	struct hba_iova iova;
	size_t length;

	if (bits < 64 && memory_above(c, (unsigned)bits, &iova, &length))
		fault(wrong, "; ",
		      "control_address_bits is %u, but a buffer of %zu bytes lies at %#llx (report "
		      "it, or "
		      "constraints.address_bits, before the first buffer)",
		      (unsigned)bits, length, (unsigned long long)iova.bus);
}

static void find_contradictions(struct hba_controller *c, const struct hba_report *r,
				struct faults *wrong)
{
	uint64_t pool = r->max_tasks + r->internal_tasks + TMF_TASKS;

	if (r->size != sizeof(*r))
		fault(wrong, "; ", "size is %llu, this report has %zu bytes: leave it alone",
		      (unsigned long long)r->size, sizeof(*r));
	if (r->initiator_id == 0 && r->highest_target_id == 0)
		fault(wrong, "; ",
		      "initiator_id 0 leaves no id for a target, as highest_target_id is 0 too");
	if (r->max_tasks <= MAX_CLIENT_TASKS && r->internal_tasks <= MAX_POOL && pool > MAX_POOL)
		fault(wrong, "; ", "max_tasks + internal_tasks + %d is %llu, above %d", TMF_TASKS,
		      (unsigned long long)pool, MAX_POOL);
	if (r->queues > pool)
		fault(wrong, "; ", "queues is %llu, more than the %llu tasks",
		      (unsigned long long)r->queues, (unsigned long long)pool);
	if (r->max_cdb != 6 && r->max_cdb != 10 && r->max_cdb != 12 && r->max_cdb != 16 &&
	    r->max_cdb != 32)
		fault(wrong, "; ", "max_cdb is %llu, a CDB has 6, 10, 12, 16 or 32 bytes",
		      (unsigned long long)r->max_cdb);
	if (r->tmfs && !c->driver->manage)
		fault(wrong, "; ", "tmfs names functions, but there is no op manage");
	if (r->manages_devices == 1 && !c->driver->discover)
		fault(wrong, "; ", "manages_devices is set, but there is no op discover");
	if (r->data_mode == HBA_DATA_REGION)
		fault(wrong, "; ",
		      "data_mode is HBA_DATA_REGION, which is for clients only; use HBA_DATA_DMA "
		      "or HBA_DATA_CPU");
	find_impossible_constraints(&r->constraints, r->data_mode == HBA_DATA_DMA, wrong);
	find_memory_out_of_reach(c, r->control_address_bits, wrong);
}

/* The lengths that a CDB may have, up to `most` bytes: a bit for each. */
static uint64_t cdb_lengths(uint64_t most)
{
	static const uint8_t lengths[] = { 6, 10, 12, 16, 32 };
	uint64_t bits = 0;

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
		if (lengths[i] <= most)
			bits |= UINT64_C(1) << lengths[i];
	return bits;
}

int report_check(struct hba_controller *c, struct hba_report *report)
{
	struct faults missing = { 0 }, wrong = { 0 };

	if (report->tmfs == HBA_UNSET && c->driver->manage)
		report->tmfs = (1 << 6) - 1;
	find_missing(report, &missing);
	if (missing.n)
		return violation(c, "the report leaves unset, and these have no default: %s",
				 all_of(&missing));
	find_out_of_range(report, &wrong);
	find_contradictions(c, report, &wrong);
	if (wrong.n)
		return violation(c, "the report cannot be: %s", all_of(&wrong));
	c->cdb_lengths = cdb_lengths(report->max_cdb);
	return 0;
}
