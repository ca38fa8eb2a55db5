/* SPDX-License-Identifier: MIT */
/*
 * scan.c: which targets and units are there (docs/contract.md 9.5, 9.10). Runs in the loop, on internal tasks, never waiting.
 *
 * One walk at a time: targets by number, or as the driver names them, or those that are wanted; of each, initialize_target and then the
 * commands of probe.h, one after another, with what it takes to get an answer: attentions are seen off, a busy target gets time.
 *
 * What was there and no longer is, is swept at the end. A target answers or it does not: any delivery failure means that it is absent.
 */
#include "core/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	ATTENTIONS = 8, /* unit attentions to see off before one command */
	BUSY_TRIES = 50,
	BUSY_MS = 100,
	COMMAND_MS = 10 * MS_PER_S, /* docs/contract.md 9.5 */
	READY_TRIES = 450,          /* × BUSY_MS: what a disk may need to spin up */
	DISCOVER_MS = 30 * MS_PER_S,
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
	struct probe probe;
	bool units_only; /* those whose look_wanted says so; who is there is not asked */
	struct task *task;
	bool job_out, command_out;
	enum step_id step;
	unsigned attentions, tries;
	uint64_t retry_at; /* 0 = at once */
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
	struct hba_target *tgt = s->probe.target;
	bool whole = !s->units_only;

	probe_end(&s->probe);
	s->retry_at = 0;
	s->probe.target = NULL;
	s->probe.lun = NULL;
	s->units_only = false;
	if (!whole)
		return;
	sweep_units(tgt);
	if (target_is_going(tgt))
		return;
	came_or_left(tgt, s->probe.answered);
	if (s->probe.answered)
		target_claim(tgt, (uint8_t)(s->probe.features & tgt->report.features));
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

static struct hba_lun *next_of_target(struct scan *s)
{
	struct hba_lun *lun = NULL;
	struct hba_lun_id id;

	while (!lun && probe_next(&s->probe, &id))
		lun = lun_add(s->probe.target, &id);
	return lun;
}

/* The unit that is next, or the target's end. */
static void next_unit(struct scan *s)
{
	s->probe.lun = s->units_only ? next_changed(s->probe.target) : next_of_target(s);
	if (!s->probe.lun) {
		finish_target(s);
		return;
	}
	s->probe.lun->look_wanted = false;
	s->probe.info = (struct hba_lun_info) { 0 };
	s->probe.n_pages = 0;
	s->step = UNIT_INQUIRY;
}

static void finish_unit(struct scan *s)
{
	s->probe.lun->seen = s->probe.info.present && !s->units_only;
	if (s->probe.info.present)
		lun_set_info(s->probe.lun, &s->probe.info);
	else if (s->units_only)
		lun_set_absent(s->probe.lun);
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
	struct hba_controller *c = s->probe.target->controller;
	struct scsi_sense sense;
	bool later = r->outcome == HBA_BUSY || r->outcome == HBA_TASK_SET_FULL;
	unsigned tries = BUSY_TRIES;

	if (r->outcome == HBA_CHECK_CONDITION && scsi_sense_read(r->sense, r->sense_len, &sense) == 0) {
		if (sense.key == SCSI_UNIT_ATTENTION && sense.asc == SCSI_ASC_POWER_ON_OR_RESET)
			target_renegotiate(s->probe.target);
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

/* The task goes back before the next step: with a target that is not there its unit goes, and the task's tag is the unit's. */
static void put_command(struct scan *s)
{
	struct hba_task *head = &s->task->head;

	s->command_out = false;
	s->task = NULL;
	hba_task_put(head);
}

static void answered(struct hba_task *head, const struct hba_result *r, void *arg)
{
	struct scan *s = arg;
	bool going = target_is_going(s->probe.target), again = !going && is_to_be_repeated(s, r);
	enum step_id next = going ? TARGET_DONE : again ? s->step : probe_step(s->step)->take(&s->probe, r, s->task->memory);

	(void)head;
	put_command(s);
	if (!again)
		go_to(s, next);
}

/* A command that this controller cannot carry is as good as one that the unit does not know. */
static void not_sent(struct scan *s)
{
	static const struct hba_result refused = { .outcome = HBA_CHECK_CONDITION };
	enum step_id next = probe_step(s->step)->take(&s->probe, &refused, s->task->memory);

	put_command(s);
	go_to(s, next);
}

static void send_step(struct scan *s)
{
	const struct probe_step *step = probe_step(s->step);
	struct scsi_cdb cdb = step->build(&s->probe);
	uint32_t most = probe_limit(s->probe.target), length = step->allocation < most ? step->allocation : most;

	s->task = internal_get(s->probe.lun);
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
	if (task_submit(s->task, answered, s) < 0)
		not_sent(s);
}

static void target_ready(struct hba_target *tgt, int error)
{
	static const struct hba_lun_id lun_0;
	struct scan *s = tgt->controller->scan;

	s->job_out = false;
	s->probe.lun = error < 0 || target_is_going(tgt) ? NULL : lun_add(tgt, &lun_0);
	if (!s->probe.lun)
		finish_target(s);
}

static void begin_target(struct scan *s, struct hba_target *tgt)
{
	tgt->scan_wanted = tgt->look_wanted = false;
	s->probe.target = tgt;
	s->probe.answered = false;
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
	s->probe.target = tgt;
	s->units_only = true;
	s->attentions = s->tries = 0;
	s->retry_at = 0;
	next_unit(s);
}

/* ---- which target is next */

bool scan_is_at(const struct hba_target *tgt)
{
	return tgt->controller->scan && tgt->controller->scan->probe.target == tgt;
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
	return !c->scan || (!c->scan->full && !c->scan->probe.target && !c->scan_wanted);
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
	if (s->probe.target && target_is_going(s->probe.target))
		finish_target(s);
	if (s->retry_at > c->now)
		return;
	if (s->probe.lun) {
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
	if (s->probe.lun || c->scan_wanted)
		return s->retry_at;
	return s->full ? s->discovering ? s->discover_by : c->now : NEVER;
}

void scan_free(struct hba_controller *c)
{
	if (c->scan)
		probe_end(&c->scan->probe);
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
