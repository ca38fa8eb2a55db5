/* SPDX-License-Identifier: MIT */
/*
 * scan.c: which targets and units are there (contract 9.5, 9.10). Runs in the loop, on internal tasks, never waiting.
 *
 * One walk at a time goes through a table of steps. A step builds one command and, with the answer, names the next step:
 *
 *	target 0 … highest:  initialize_target ─> INQUIRY at LUN 0 ─> REPORT LUNS ─┐
 *	each unit:           INQUIRY ─> TEST UNIT READY ─> VPD 00, 80, 83 ─> READ CAPACITY ─> MODE SENSE
 *
 * What was there and no longer is, is swept at the end. A target answers or it does not: any delivery failure means that it is absent.
 */
#include "core/core.h"
#include "scsi/scsi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	ATTENTIONS = 8, /* unit attentions to see off before one command */
	BUSY_TRIES = 50,
	BUSY_MS = 100,
	COMMAND_MS = 10 * MS_PER_S, /* contract 5.9 */
	READY_TRIES = 450,          /* × BUSY_MS: what a disk may need to spin up */
	VERSION_SPC = 3,            /* from here on there is REPORT LUNS */
	VERSION_SPC_3 = 5,          /* from here on READ CAPACITY(16) is asked first */
	VPD_BYTES = 255,
	MODE_HEADER_BYTES = 4,
	ALL_PAGES = 0x3f,
	WRITE_PROTECT_BIT = 0x80,
	CAPACITY_16_BYTES = 32,
	DISCOVER_MS = 30 * MS_PER_S,
	MOST_UNLISTED = 256, /* units of a target that has no REPORT LUNS */
};

enum step_id {
	TARGET_INQUIRY,
	TARGET_LUNS,
	UNIT_INQUIRY,
	UNIT_READY,
	UNIT_PAGES,
	UNIT_SERIAL,
	UNIT_ID,
	UNIT_CAPACITY_16,
	UNIT_CAPACITY_10,
	UNIT_PROTECTED,
	UNIT_DONE, /* no command: on to the next unit */
	TARGET_DONE,
};

struct scan {
	bool full;            /* all targets are looked for, not only those that are wanted */
	bool again;           /* and then once more */
	bool discovering;     /* the driver names its targets */
	bool discover_out;    /* the op has not returned */
	uint64_t discover_by; /* until when */
	struct job discover;
	uint64_t next_id;
	uint64_t began;

	/* The walk through one target. */
	struct hba_target *target;
	struct hba_lun *lun;
	bool units_only; /* those whose look_wanted says so; who is there is not asked */
	struct task *task;
	bool job_out, command_out, answered;
	enum step_id step;
	unsigned attentions, tries;
	uint64_t retry_at;        /* 0 = at once */
	struct hba_lun_id *units; /* what REPORT LUNS said, or what is to be tried one by one */
	unsigned n_units, unit;
	uint8_t pages[VPD_BYTES]; /* VPD page 00 of this unit */
	int n_pages;
	uint8_t version, features;
	struct hba_lun_info info; /* of this unit, being filled */
};

/** struct step - One command of the walk. `take` gets the answer and says what is next. */
struct step {
	struct scsi_cdb (*build)(const struct scan *s);
	uint32_t allocation;
	enum step_id (*take)(struct scan *s, const struct hba_result *r, const uint8_t *data);
};

static uint32_t data_limit(const struct hba_target *tgt)
{
	uint64_t most = tgt->report.max_transfer;

	return most && most < tgt->controller->internal_most ? (uint32_t)most : tgt->controller->internal_most;
}

/* ---- steps of a target */

static struct scsi_cdb build_inquiry(const struct scan *s)
{
	(void)s;
	return scsi_cdb_inquiry(SCSI_INQUIRY_MAX);
}

static enum step_id take_target(struct scan *s, const struct hba_result *r, const uint8_t *data)
{
	struct scsi_inquiry inquiry;

	if (hba_response(r->outcome) != HBA_TASK_COMPLETE)
		return TARGET_DONE;
	s->answered = true;
	s->version = s->features = 0;
	if (r->outcome == HBA_GOOD && scsi_inquiry_read(data, r->bytes, &inquiry) == 0) {
		s->version = inquiry.version;
		s->features = inquiry.features;
	}
	return TARGET_LUNS;
}

static struct scsi_cdb build_luns(const struct scan *s)
{
	return scsi_cdb_report_luns(data_limit(s->target));
}

/* Without a list every number up to the highest is tried; so old a target has few. */
static enum step_id try_one_by_one(struct scan *s)
{
	uint64_t n = s->target->report.highest_lun + 1;

	if (n > MOST_UNLISTED)
		n = MOST_UNLISTED;
	s->units = calloc(n, sizeof(*s->units));
	if (!s->units)
		return TARGET_DONE;
	for (s->n_units = 0; s->n_units < n; s->n_units++)
		if (scsi_lun_from_number(s->n_units, &s->units[s->n_units]) < 0)
			break;
	return UNIT_INQUIRY;
}

/* A unit beyond what the controller can address is not offered; nor is one of several levels, unless it says it can. */
static bool can_address(const struct hba_target *tgt, const struct hba_lun_id *id)
{
	uint64_t number = scsi_lun_number(id);

	return number == UINT64_MAX ? tgt->controller->report.hierarchical_luns : number <= tgt->report.highest_lun;
}

static void note_units_left_out(const struct scan *s, uint32_t needed, uint64_t got)
{
	if (needed <= got || needed <= data_limit(s->target))
		return;
	hba_log(s->target->controller, HBA_LOG_WARNING, "target %llu has more units than the %u that fit one answer",
		(unsigned long long)s->target->id, s->n_units);
}

static enum step_id take_luns(struct scan *s, const struct hba_result *r, const uint8_t *data)
{
	uint32_t needed;
	unsigned n;

	if (r->outcome != HBA_GOOD || scsi_report_luns_read(data, r->bytes, &n, &needed) < 0)
		return try_one_by_one(s);
	s->units = calloc(n ? n : 1, sizeof(*s->units));
	if (!s->units)
		return TARGET_DONE;
	for (unsigned i = 0; i < n; i++) {
		s->units[s->n_units] = scsi_report_luns_entry(data, i);
		s->n_units += can_address(s->target, &s->units[s->n_units]);
	}
	note_units_left_out(s, needed, r->bytes);
	return UNIT_INQUIRY;
}

/* ---- steps of a unit */

static enum step_id take_unit(struct scan *s, const struct hba_result *r, const uint8_t *data)
{
	struct scsi_inquiry inquiry;

	if (r->outcome != HBA_GOOD || scsi_inquiry_read(data, r->bytes, &inquiry) < 0 || inquiry.qualifier != 0 ||
	    inquiry.type == SCSI_TYPE_NONE)
		return UNIT_DONE;
	s->version = inquiry.version;
	s->info = (struct hba_lun_info) {
		.target = s->target->id,
		.lun = s->lun->id,
		.number = scsi_lun_number(&s->lun->id),
		.present = true,
		.removable = inquiry.removable,
		.type = inquiry.type,
	};
	memcpy(s->info.vendor, inquiry.vendor, sizeof(s->info.vendor));
	memcpy(s->info.product, inquiry.product, sizeof(s->info.product));
	memcpy(s->info.revision, inquiry.revision, sizeof(s->info.revision));
	return UNIT_READY;
}

static struct scsi_cdb build_ready(const struct scan *s)
{
	(void)s;
	return scsi_cdb_test_unit_ready();
}

static enum step_id take_ready(struct scan *s, const struct hba_result *r, const uint8_t *data)
{
	(void)s;
	(void)data;
	return hba_response(r->outcome) == HBA_TASK_COMPLETE ? UNIT_PAGES : UNIT_DONE;
}

static struct scsi_cdb build_pages(const struct scan *s)
{
	(void)s;
	return scsi_cdb_inquiry_vpd(SCSI_VPD_SUPPORTED, VPD_BYTES);
}

static enum step_id after_pages(const struct scan *s)
{
	if (s->info.type != SCSI_TYPE_DISK)
		return UNIT_DONE;
	return s->version >= VERSION_SPC_3 && s->target->controller->report.max_cdb >= 16 ? UNIT_CAPACITY_16 : UNIT_CAPACITY_10;
}

static bool has_page(const struct scan *s, uint8_t page)
{
	return s->n_pages > 0 && scsi_vpd_lists(s->pages, (size_t)s->n_pages, page);
}

static enum step_id after_serial(const struct scan *s)
{
	return has_page(s, SCSI_VPD_DEVICE_ID) ? UNIT_ID : after_pages(s);
}

static enum step_id take_pages(struct scan *s, const struct hba_result *r, const uint8_t *data)
{
	s->n_pages =
		r->outcome == HBA_GOOD ? scsi_vpd_check(data, r->bytes < VPD_BYTES ? r->bytes : VPD_BYTES, SCSI_VPD_SUPPORTED) : 0;
	if (s->n_pages > 0)
		memcpy(s->pages, data, (size_t)s->n_pages);
	return has_page(s, SCSI_VPD_SERIAL) ? UNIT_SERIAL : after_serial(s);
}

static struct scsi_cdb build_serial(const struct scan *s)
{
	(void)s;
	return scsi_cdb_inquiry_vpd(SCSI_VPD_SERIAL, VPD_BYTES);
}

static enum step_id take_serial(struct scan *s, const struct hba_result *r, const uint8_t *data)
{
	if (r->outcome == HBA_GOOD)
		scsi_vpd_serial(data, r->bytes, s->info.serial, sizeof(s->info.serial));
	return after_serial(s);
}

static struct scsi_cdb build_id(const struct scan *s)
{
	(void)s;
	return scsi_cdb_inquiry_vpd(SCSI_VPD_DEVICE_ID, VPD_BYTES);
}

static enum step_id take_id(struct scan *s, const struct hba_result *r, const uint8_t *data)
{
	if (r->outcome == HBA_GOOD)
		scsi_vpd_best_id(data, r->bytes, s->info.id, sizeof(s->info.id));
	return after_pages(s);
}

static struct scsi_cdb build_capacity_16(const struct scan *s)
{
	(void)s;
	return scsi_cdb_read_capacity_16(CAPACITY_16_BYTES);
}

static enum step_id take_capacity(struct scan *s, const struct scsi_capacity *capacity)
{
	uint64_t physical = (uint64_t)capacity->block_bytes << capacity->physical_exponent;

	s->info.block_bytes = capacity->block_bytes;
	s->info.blocks = capacity->blocks;
	s->info.physical_bytes = physical <= UINT32_MAX ? (uint32_t)physical : 0;
	s->info.thin = capacity->provisioned;
	s->info.reads_zero = capacity->provisioned && capacity->reads_zero;
	return UNIT_PROTECTED;
}

static enum step_id take_capacity_16(struct scan *s, const struct hba_result *r, const uint8_t *data)
{
	struct scsi_capacity capacity;

	if (r->outcome != HBA_GOOD || scsi_capacity_read_16(data, r->bytes, &capacity) < 0)
		return UNIT_CAPACITY_10;
	return take_capacity(s, &capacity);
}

static struct scsi_cdb build_capacity_10(const struct scan *s)
{
	(void)s;
	return scsi_cdb_read_capacity_10();
}

static enum step_id take_capacity_10(struct scan *s, const struct hba_result *r, const uint8_t *data)
{
	struct scsi_capacity capacity;

	if (r->outcome != HBA_GOOD || scsi_capacity_read_10(data, r->bytes, &capacity) < 0)
		return UNIT_PROTECTED; /* no medium: size 0 */
	if (capacity.needs_16 && s->version < VERSION_SPC_3 && s->target->controller->report.max_cdb >= 16) {
		s->version = VERSION_SPC_3;
		return UNIT_CAPACITY_16;
	}
	return take_capacity(s, &capacity);
}

static struct scsi_cdb build_protected(const struct scan *s)
{
	(void)s;
	return scsi_cdb_mode_sense_6(ALL_PAGES, 0, MODE_HEADER_BYTES);
}

static enum step_id take_protected(struct scan *s, const struct hba_result *r, const uint8_t *data)
{
	s->info.read_only = r->outcome == HBA_GOOD && r->bytes >= MODE_HEADER_BYTES && (data[2] & WRITE_PROTECT_BIT);
	return UNIT_DONE;
}

static const struct step steps[] = {
	[TARGET_INQUIRY] = { build_inquiry, SCSI_INQUIRY_MAX, take_target },
	[TARGET_LUNS] = { build_luns, INTERNAL_BYTES, take_luns },
	[UNIT_INQUIRY] = { build_inquiry, SCSI_INQUIRY_MAX, take_unit },
	[UNIT_READY] = { build_ready, 0, take_ready },
	[UNIT_PAGES] = { build_pages, VPD_BYTES, take_pages },
	[UNIT_SERIAL] = { build_serial, VPD_BYTES, take_serial },
	[UNIT_ID] = { build_id, VPD_BYTES, take_id },
	[UNIT_CAPACITY_16] = { build_capacity_16, CAPACITY_16_BYTES, take_capacity_16 },
	[UNIT_CAPACITY_10] = { build_capacity_10, 8, take_capacity_10 },
	[UNIT_PROTECTED] = { build_protected, MODE_HEADER_BYTES, take_protected },
};

/* ---- the walk */

static void sweep_units(struct hba_target *tgt)
{
	for (struct list *l = tgt->luns.next; l != &tgt->luns; l = l->next) {
		struct hba_lun *lun = container_of(l, struct hba_lun, link);

		if (!lun->seen)
			lun_set_absent(lun);
		lun->seen = false;
	}
}

static bool was_ever_there(const struct hba_target *tgt)
{
	for (const struct list *l = tgt->luns.next; l != &tgt->luns; l = l->next)
		if (container_of(l, struct hba_lun, link)->info.generation)
			return true;
	return false;
}

static void came_or_left(struct hba_target *tgt, bool present)
{
	if (present == tgt->present)
		return;
	tgt->present = present;
	target_renegotiate(tgt); /* whoever comes has agreed to nothing */
	event_put(tgt->controller, present ? HBA_EVENT_TARGET_CAME : HBA_EVENT_TARGET_LEFT, tgt->id, NULL, 0, "target %llu %s",
		  (unsigned long long)tgt->id, present ? "is here" : "has left");
}

static void finish_target(struct scan *s)
{
	struct hba_target *tgt = s->target;
	bool whole = !s->units_only;

	free(s->units);
	s->units = NULL;
	s->n_units = s->unit = 0;
	s->retry_at = 0;
	s->target = NULL;
	s->lun = NULL;
	s->units_only = false;
	if (!whole)
		return;
	sweep_units(tgt);
	if (target_is_going(tgt))
		return;
	came_or_left(tgt, s->answered);
	if (s->answered)
		target_claim(tgt, (uint8_t)(s->features & tgt->report.features));
	else if (!was_ever_there(tgt) && !tgt->controller->report.manages_devices)
		target_forget(tgt);
}

static struct hba_lun *next_changed(struct hba_target *tgt)
{
	for (struct list *l = tgt->luns.next; l != &tgt->luns; l = l->next) {
		struct hba_lun *lun = container_of(l, struct hba_lun, link);

		if (lun->look_wanted)
			return lun;
	}
	return NULL;
}

static struct hba_lun *next_listed(struct scan *s)
{
	struct hba_lun *lun = NULL;

	while (!lun && s->unit < s->n_units)
		lun = lun_add(s->target, &s->units[s->unit++]);
	return lun;
}

/* The unit that is next, or the target's end. */
static void next_unit(struct scan *s)
{
	s->lun = s->units_only ? next_changed(s->target) : next_listed(s);
	if (!s->lun) {
		finish_target(s);
		return;
	}
	s->lun->look_wanted = false;
	s->info = (struct hba_lun_info) { 0 };
	s->n_pages = 0;
	s->step = UNIT_INQUIRY;
}

static void finish_unit(struct scan *s)
{
	s->lun->seen = s->info.present && !s->units_only;
	if (s->info.present)
		lun_set_info(s->lun, &s->info);
	else if (s->units_only)
		lun_set_absent(s->lun);
	next_unit(s);
}

static void go_to(struct scan *s, enum step_id next)
{
	s->attentions = s->tries = 0;
	s->retry_at = 0;
	s->step = next;
	if (next == TARGET_DONE) {
		finish_target(s);
	} else if (next == UNIT_DONE) {
		finish_unit(s);
	} else if (next == UNIT_INQUIRY) {
		next_unit(s);
	}
}

static bool becoming_ready(const struct scan *s, const struct scsi_sense *sense)
{
	return s->step == UNIT_READY && sense->key == SCSI_NOT_READY && sense->asc == SCSI_ASC_BECOMING_READY;
}

/* Not an answer yet: a unit attention comes off, a busy target gets time. */
static bool is_to_be_repeated(struct scan *s, const struct hba_result *r)
{
	struct hba_controller *c = s->target->controller;
	struct scsi_sense sense;
	bool later = r->outcome == HBA_BUSY || r->outcome == HBA_TASK_SET_FULL;
	unsigned tries = BUSY_TRIES;

	if (r->outcome == HBA_CHECK_CONDITION && scsi_sense_read(r->sense, r->sense_len, &sense) == 0) {
		if (sense.key == SCSI_UNIT_ATTENTION && sense.asc == SCSI_ASC_POWER_ON_OR_RESET)
			target_renegotiate(s->target);
		if (sense.key == SCSI_UNIT_ATTENTION)
			return s->attentions++ < ATTENTIONS;
		later = becoming_ready(s, &sense);
		tries = READY_TRIES;
	}
	if (!later || s->tries++ >= tries)
		return false;
	s->retry_at = c->now + BUSY_MS * (uint64_t)NS_PER_MS;
	return true;
}

static void answered(struct hba_task *head, const struct hba_result *r, void *arg)
{
	struct scan *s = arg;
	bool going = target_is_going(s->target), again = !going && is_to_be_repeated(s, r);
	enum step_id next = going ? TARGET_DONE : again ? s->step : steps[s->step].take(s, r, s->task->memory);

	s->command_out = false;
	s->task = NULL;
	/* Before the next step: with a target that is not there its unit goes, and the task's tag is the unit's. */
	hba_task_put(head);
	if (!again)
		go_to(s, next);
}

/* A command that this controller cannot carry is as good as one that the unit does not know. */
static void not_sent(struct scan *s, int error)
{
	static const struct hba_result refused = { .outcome = HBA_CHECK_CONDITION };
	struct hba_task *head = &s->task->head;

	s->command_out = false;
	go_to(s, error == -EMSGSIZE ? steps[s->step].take(s, &refused, s->task->memory) : TARGET_DONE);
	s->task = NULL;
	hba_task_put(head);
}

static void send_step(struct scan *s)
{
	const struct step *step = &steps[s->step];
	struct scsi_cdb cdb = step->build(s);
	uint32_t most = data_limit(s->target), length = step->allocation < most ? step->allocation : most;
	int r;

	s->task = internal_get(s->lun);
	if (!s->task)
		return; /* recovery has them all; next turn */
	memcpy(s->task->head.cdb, cdb.bytes, sizeof(cdb.bytes));
	s->task->head.cdb_len = cdb.length;
	s->task->head.timeout_ms = COMMAND_MS;
	if (length) {
		/* Not every chip says how much has come: what has not is zero. */
		memset(s->task->memory, 0, length);
		s->task->head.direction = HBA_FROM_TARGET;
		s->task->head.length = length;
		s->task->head.data.buffer = s->task->memory;
	}
	s->command_out = true;
	r = task_submit(s->target->controller, s->task, answered, s);
	if (r < 0)
		not_sent(s, r);
}

static void target_ready(struct hba_target *tgt, int error)
{
	static const struct hba_lun_id lun_0;
	struct scan *s = tgt->controller->scan;

	s->job_out = false;
	s->lun = error < 0 || target_is_going(tgt) ? NULL : lun_add(tgt, &lun_0);
	if (!s->lun)
		finish_target(s);
}

static void begin_target(struct scan *s, struct hba_target *tgt)
{
	tgt->scan_wanted = tgt->look_wanted = false;
	s->target = tgt;
	s->answered = false;
	s->step = TARGET_INQUIRY;
	s->attentions = s->tries = 0;
	s->retry_at = 0;
	s->job_out = true;
	if (target_initialize(tgt, target_ready) < 0) {
		s->job_out = false;
		finish_target(s);
	}
}

static void begin_units(struct scan *s, struct hba_target *tgt)
{
	tgt->look_wanted = false;
	s->target = tgt;
	s->units_only = true;
	s->attentions = s->tries = 0;
	s->retry_at = 0;
	next_unit(s);
}

/* ---- which target is next */

bool scan_is_at(const struct hba_target *tgt)
{
	return tgt->controller->scan && tgt->controller->scan->target == tgt;
}

void scan_want(struct hba_target *tgt)
{
	tgt->scan_wanted = !tgt->leaving;
	tgt->controller->scan_wanted = true;
}

void scan_want_unit(struct hba_lun *lun)
{
	lun->look_wanted = true;
	lun->target->look_wanted = !lun->target->leaving;
	lun->target->controller->scan_wanted = true;
}

static struct hba_target *next_wanted(struct hba_controller *c)
{
	for (struct list *l = c->targets.next; c->scan_wanted && l != &c->targets; l = l->next) {
		struct hba_target *tgt = container_of(l, struct hba_target, link);

		/* One that is going says so again when it has gone. */
		if ((tgt->scan_wanted || tgt->look_wanted) && !target_is_going(tgt))
			return tgt;
	}
	c->scan_wanted = false;
	return NULL;
}

static struct hba_target *next_by_number(struct scan *s, struct hba_controller *c)
{
	struct hba_target *tgt;

	while (s->full && !c->report.manages_devices && s->next_id <= c->report.highest_target_id) {
		uint64_t id = s->next_id++;

		if (id == c->report.initiator_id)
			continue;
		tgt = target_add(c, id);
		if (!tgt || !target_is_going(tgt))
			return tgt;
		tgt->scan_wanted = true;
	}
	return NULL;
}

/* ---- a driver that knows its targets */

static int run_discover(struct hba_controller *c, struct job *job)
{
	(void)job;
	return c->driver->discover(c);
}

static void discover_returned(struct hba_controller *c, struct job *job)
{
	c->scan->discover_out = false;
	/* It could not look: that says nothing of those it has not named. */
	if (job->error < 0)
		c->scan->discovering = false;
}

static void discover(struct hba_controller *c)
{
	struct scan *s = c->scan;

	for (struct list *l = c->targets.next; l != &c->targets; l = l->next)
		container_of(l, struct hba_target, link)->seen = false;
	s->discovering = s->discover_out = true;
	s->discover_by = c->clock->now(c->clock) + DISCOVER_MS * (uint64_t)NS_PER_MS;
	s->discover =
		(struct job) { .name = "discover", .step = true, .may_map = true, .run = run_discover, .done = discover_returned };
	service_post(c, &s->discover);
}

void scan_discovered(struct hba_controller *c)
{
	if (!c->scan || !c->scan->discovering)
		return;
	c->scan->discovering = false;
	for (struct list *l = c->targets.next; l != &c->targets; l = l->next) {
		struct hba_target *tgt = container_of(l, struct hba_target, link);

		if (!tgt->seen)
			target_leave(tgt);
		else
			tgt->scan_wanted = c->scan_wanted = true;
	}
}

/* ---- begin and end */

int scan_begin(struct hba_controller *c)
{
	if (!c->scan)
		c->scan = calloc(1, sizeof(*c->scan));
	if (!c->scan)
		return fail(-ENOMEM, "%s: no memory for a scan", c->uri);
	if (c->scan->full) {
		c->scan->again = true;
		return 0;
	}
	c->scan->full = true;
	c->scan->next_id = 0;
	c->scan->began = c->clock->now(c->clock);
	if (c->report.manages_devices)
		discover(c);
	return 0;
}

bool scan_after_reset(struct hba_controller *c)
{
	if (!c->scan || !c->scan->discovering)
		return false;
	/* Else it was asked for after the reset was. */
	if (!c->scan->discover_out)
		discover(c);
	return true;
}

bool scan_over(struct hba_controller *c)
{
	return !c->scan || (!c->scan->full && !c->scan->target && !c->scan_wanted);
}

static void tell_scanned(struct hba_controller *c)
{
	unsigned n = 0;

	for (struct hba_lun *lun = hba_lun_next(c, NULL); lun; lun = hba_lun_next(c, lun))
		n++;
	event_put(c, HBA_EVENT_SCANNED, HBA_NO_TARGET, NULL, n, "a scan has ended: units present: %u", n);
}

static void end_scan(struct hba_controller *c)
{
	struct scan *s = c->scan;

	if (!s->full)
		return;
	if (s->discovering && c->now < s->discover_by && c->accepting)
		return;
	if (s->discovering) {
		violation(c, "discover was not followed by hba_discovery_done within %d ms", DISCOVER_MS);
		s->discovering = false;
	}
	s->full = false;
	step_record(c, "scan", c->clock->now(c->clock) - s->began, 0);
	if (!c->accepting)
		return;
	if (!s->again) {
		tell_scanned(c);
		return;
	}
	s->again = false;
	scan_begin(c);
}

static void take_wish(struct hba_controller *c)
{
	if (__atomic_load_n(&c->rescan_wanted, __ATOMIC_RELAXED) && __atomic_exchange_n(&c->rescan_wanted, false, __ATOMIC_SEQ_CST))
		scan_begin(c);
}

void scan_turn(struct hba_controller *c)
{
	struct scan *s = c->scan;
	struct hba_target *tgt;
	bool is_whole;

	/* Quiet: it goes on when power is on again. */
	if (!s || c->paused)
		return;
	if (c->accepting)
		take_wish(c);
	if (s->job_out || s->command_out)
		return;
	if (s->target && target_is_going(s->target))
		finish_target(s);
	if (s->retry_at > c->now)
		return;
	if (s->lun) {
		send_step(s);
		return;
	}
	tgt = c->accepting ? next_wanted(c) : NULL;
	is_whole = !tgt || tgt->scan_wanted;
	if (!tgt && c->accepting)
		tgt = next_by_number(s, c);
	if (!tgt)
		end_scan(c);
	else if (is_whole)
		begin_target(s, tgt);
	else
		begin_units(s, tgt);
}

uint64_t scan_next(const struct hba_controller *c)
{
	const struct scan *s = c->scan;

	if (!s || c->paused || s->job_out || s->command_out)
		return NEVER;
	if (s->lun || c->scan_wanted)
		return s->retry_at;
	return s->full ? s->discovering ? s->discover_by : c->now : NEVER;
}

void scan_free(struct hba_controller *c)
{
	if (c->scan)
		free(c->scan->units);
	free(c->scan);
	c->scan = NULL;
}

int hba_controller_rescan(struct hba_controller *c)
{
	if (!c)
		return wrong_use("the controller is NULL");
	__atomic_store_n(&c->rescan_wanted, true, __ATOMIC_SEQ_CST);
	loop_wake(c);
	return 0;
}
