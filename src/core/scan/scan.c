/* SPDX-License-Identifier: MIT */
/*
 * scan.c: which targets and units are there (docs/contract.md 9.5, 9.10). Runs in the loop, on
 * internal tasks, never waiting.
 *
 * The whole walk goes through targets by number, or as the driver names them, or through those that
 * need a new scan. Each gets initialize_target and then the commands of probe.h, one after another;
 * unit attentions are cleared, and a busy target gets time. A look reads one unit alone. It begins
 * between two commands of the whole walk, which goes on afterwards: one command is out at a time.
 *
 * Units that are no longer there are swept at the end. A target answers or it does not: any
 * delivery failure means that it is absent.
 */
#include "core/controller/controller.h"
#include "core/scan/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	ATTENTIONS = 8,   /* unit attentions to see off before one command, and in a look */
	FRESH_STARTS = 2, /* of a look, for the first of them */
	BUSY_TRIES = 50,
	BUSY_MS = 100,
	COMMAND_MS = 10 * MS_PER_S, /* docs/contract.md 9.5 */
	READY_TRIES = 450,          /* × BUSY_MS: what a disk may need to spin up */
	DISCOVER_MS = 30 * MS_PER_S,
};

/** struct walk - Through a target and its units, or to one unit alone. */
struct walk {
	struct probe probe; /* target NULL: idle */
	struct task *task;  /* the command that is out; NULL */
	enum step_id step;
	unsigned attentions, tries;
	uint64_t retry_at; /* 0 = at once */
	bool withdrawn;    /* the command, for it could not be sent: that is no answer */
};

struct scan {
	bool full;            /* all targets are looked for, not only those with scan_wanted */
	bool again;           /* and then once more */
	bool discovering;     /* the driver names its targets */
	bool discover_out;    /* the op has not returned */
	uint64_t discover_by; /* until when */
	struct job discover;
	uint64_t next_id;
	uint64_t began;
	bool job_out; /* the whole walk's target is being initialised */
	struct walk whole, look;
};

static bool is_look(const struct walk *w)
{
	return w == &w->probe.target->controller->scan->look;
}

/* ---- the walk */

static void sweep_units(struct hba_target *tgt)
{
	for (struct list *l = tgt->luns.next; l != &tgt->luns; l = l->next) {
		struct hba_lun *lun = container_of(l, struct hba_lun, link);

		if (!lun->seen)
			lun_leave(lun);
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
	event_put(tgt->controller, present ? HBA_EVENT_TARGET_CAME : HBA_EVENT_TARGET_LEFT, tgt->id,
		  NULL, 0, "target %llu %s", (unsigned long long)tgt->id,
		  present ? "is here" : "has left");
}

static void finish_target(struct walk *w)
{
	struct hba_target *tgt = w->probe.target;

	probe_end(&w->probe);
	w->retry_at = 0;
	tgt->walks--;
	w->probe.target = NULL;
	w->probe.lun = NULL;
	sweep_units(tgt);
	if (target_is_going(tgt))
		return;
	came_or_left(tgt, w->probe.answered);
	if (w->probe.answered)
		target_claim(tgt, (uint8_t)(w->probe.features & tgt->report.features));
	else if (!was_ever_there(tgt) && !tgt->controller->report.manages_devices)
		target_forget(tgt);
}

/* May the unit have become another disk while it was read? */
static bool *disturbed_of(const struct walk *w)
{
	return is_look(w) ? &w->probe.lun->look_disturbed : &w->probe.lun->disturbed;
}

static void begin_unit(struct walk *w, struct hba_lun *lun)
{
	w->probe.lun = lun;
	w->probe.info = (struct hba_lun_info) { 0 };
	w->probe.n_pages = 0;
	w->probe.unread = false;
	*disturbed_of(w) = false;
	w->step = UNIT_INQUIRY;
}

/* The unit that is next, or the target's end. */
static void scan_next_unit(struct walk *w)
{
	struct hba_lun *lun = NULL;
	struct hba_lun_id id;

	while (!lun && probe_next(&w->probe, &id))
		lun = lun_add(w->probe.target, &id);
	if (lun)
		begin_unit(w, lun);
	else
		finish_target(w);
}

static void know(struct walk *w)
{
	struct hba_lun *lun = w->probe.lun;
	struct hba_lun_info before = lun->info;

	if (w->probe.unread)
		lun_keep_capacity(lun, &w->probe.info);
	if (lun_set_info(lun, &w->probe.info))
		medium_moved(lun, &before);
	lun_release(lun);
}

static void finish_unit(struct walk *w)
{
	struct hba_lun *lun = w->probe.lun;

	lun->seen = w->probe.info.present;
	/* If a look is to come, or was here meanwhile, what it finds counts. */
	if (w->probe.info.present && !lun->suspect && !*disturbed_of(w))
		know(w);
	scan_next_unit(w);
}

static void end_look(struct walk *w)
{
	w->retry_at = 0;
	w->probe.target->walks--;
	w->probe.target = NULL;
	w->probe.lun = NULL;
}

static void finish_look(struct walk *w)
{
	if (*disturbed_of(w))
		lun_look_again(w->probe.lun);
	else if (w->probe.info.present)
		know(w);
	else
		lun_leave(w->probe.lun);
	end_look(w);
}

static void go_to(struct walk *w, enum step_id next)
{
	w->tries = 0;
	w->retry_at = 0;
	if (!is_look(w))
		w->attentions = 0; /* those of a look are counted together */
	w->step = next;
	if (is_look(w) && next == UNIT_DONE) {
		finish_look(w);
	} else if (is_look(w) && next == TARGET_DONE) {
		end_look(w);
	} else if (next == TARGET_DONE) {
		finish_target(w);
	} else if (next == UNIT_DONE) {
		finish_unit(w);
	} else if (next == UNIT_INQUIRY) {
		scan_next_unit(w);
	}
}

static bool becoming_ready(const struct walk *w, const struct scsi_sense *sense)
{
	return w->step == UNIT_READY && sense->key == SCSI_NOT_READY &&
	       sense->asc == SCSI_ASC_BECOMING_READY;
}

static bool scan_is_attention(struct walk *w, const struct scsi_sense *sense)
{
	if (sense->key == SCSI_UNIT_ATTENTION && sense->asc == SCSI_ASC_POWER_ON_OR_RESET)
		target_renegotiate(w->probe.target);
	return sense->key == SCSI_UNIT_ATTENTION;
}

static bool scan_is_busy(const struct hba_result *r)
{
	return r->outcome == HBA_BUSY || r->outcome == HBA_TASK_SET_FULL;
}

/* Not an answer yet: a unit attention comes off, a busy target gets time. */
static bool is_to_be_repeated(struct walk *w, const struct hba_result *r,
			      const struct scsi_sense *sense)
{
	struct hba_controller *c = w->probe.target->controller;
	bool ready_later = becoming_ready(w, sense);

	if (scan_is_attention(w, sense))
		return w->attentions++ < ATTENTIONS;
	if (!w->withdrawn && !scan_is_busy(r) && !ready_later)
		return false;
	if (!w->withdrawn && w->tries++ >= (ready_later ? READY_TRIES : BUSY_TRIES))
		return false;
	w->retry_at = c->now + BUSY_MS * (uint64_t)NS_PER_MS;
	return true;
}

/* Such an answer shows neither that the disk is the same, nor that it is another. */
static bool is_no_answer(const struct walk *w, const struct hba_result *r,
			 const struct scsi_sense *sense)
{
	if (r->outcome == HBA_CHECK_CONDITION)
		return sense->key == SCSI_ABORTED_COMMAND || becoming_ready(w, sense) ||
		       (w->step == UNIT_INQUIRY && sense->key != SCSI_ILLEGAL_REQUEST);
	return scan_is_busy(r) || r->outcome == HBA_TASK_ABORTED || r->outcome == HBA_ACA_ACTIVE ||
	       (hba_response(r->outcome) != HBA_TASK_COMPLETE && r->outcome != HBA_NOT_PRESENT);
}

/*
 * The task goes back before the next step: with a target that is not there its unit goes, and the
 * task's tag is the unit's.
 */
static void put_command(struct walk *w)
{
	struct hba_task *head = &w->task->head;

	w->task = NULL;
	if (is_look(w))
		w->probe.lun->look_task = NULL;
	w->withdrawn = false;
	hba_task_put(head);
}

static void whole_answered(struct walk *w, const struct hba_result *r,
			   const struct scsi_sense *sense)
{
	bool going = target_is_going(w->probe.target),
	     again = !going && is_to_be_repeated(w, r, sense);
	enum step_id next = going   ? TARGET_DONE
			    : again ? w->step
				    : probe_step(w->step)->take(&w->probe, r, w->task->memory);

	/*
	 * Of a unit that is known, what could not be read is read again before it is taken for
	 * another disk.
	 */
	if (!again && w->step > UNIT_INQUIRY && is_no_answer(w, r, sense))
		lun_suspect(w->probe.lun);
	put_command(w);
	if (!again)
		go_to(w, next);
}

/*
 * The data read before it may be another disk's. But a unit that has an attention after every few
 * commands must come through as well.
 */
static void see_off(struct walk *w)
{
	struct hba_lun *lun = w->probe.lun;

	if (w->attentions++ < FRESH_STARTS) {
		begin_unit(w, lun);
	} else if (w->attentions > ATTENTIONS) {
		end_look(w);
		medium_unread(lun);
	}
}

/* While one unit has no answer, the others that wait have their turn. */
static void look_answered(struct walk *w, const struct hba_result *r,
			  const struct scsi_sense *sense)
{
	struct hba_lun *lun = w->probe.lun;
	bool attention = scan_is_attention(w, sense), withdrawn = w->withdrawn;
	enum step_id next = TARGET_DONE;

	if (r->outcome == HBA_NOT_PRESENT)
		lun_leave(lun);
	else if (!attention && !is_no_answer(w, r, sense))
		next = probe_step(w->step)->take(&w->probe, r, w->task->memory);
	put_command(w);
	if (!lun->suspect || target_is_going(w->probe.target)) {
		end_look(w);
	} else if (attention) {
		see_off(w);
	} else if (next != TARGET_DONE) {
		go_to(w, next);
	} else {
		end_look(w);
		if (withdrawn)
			lun_look_again(lun);
		else
			medium_unread(lun);
	}
}

static void answered(struct hba_task *head, const struct hba_result *r, void *arg)
{
	struct walk *w = arg;
	struct scsi_sense sense = { 0 };

	(void)head;
	if (r->outcome == HBA_CHECK_CONDITION)
		(void)scsi_sense_read(r->sense, r->sense_len, &sense);
	if (is_look(w))
		look_answered(w, r, &sense);
	else
		whole_answered(w, r, &sense);
}

/* A command that this controller cannot carry counts as one that the unit does not support. */
static void not_sent(struct walk *w)
{
	static const struct hba_result refused = { .outcome = HBA_CHECK_CONDITION };
	enum step_id next = probe_step(w->step)->take(&w->probe, &refused, w->task->memory);

	put_command(w);
	go_to(w, next);
}

static void send_step(struct walk *w)
{
	const struct probe_step *step = probe_step(w->step);
	struct scsi_cdb cdb = step->build(&w->probe);
	uint32_t most = probe_limit(w->probe.target),
		 length = step->allocation < most ? step->allocation : most;
	uint64_t given = w->probe.target->controller->given.timeout_ms;

	w->task = internal_get(w->probe.lun);
	if (!w->task)
		return; /* recovery has them all; next turn */
	if (is_look(w))
		w->probe.lun->look_task = w->task;
	memcpy(w->task->head.cdb, cdb.bytes, sizeof(cdb.bytes));
	w->task->head.cdb_len = cdb.length;
	w->task->head.timeout_ms = given ? (uint32_t)given : COMMAND_MS;
	if (length) {
		/* Not every chip reports how much has arrived: the rest is zero. */
		memset(w->task->memory, 0, length);
		w->task->head.direction = HBA_FROM_TARGET;
		w->task->head.length = length;
		w->task->head.data.buffer = w->task->memory;
	}
	w->task->urgent = URGENT_LOOK;
	if (task_submit(w->task, answered, w) < 0)
		not_sent(w);
}

static void target_ready(struct hba_target *tgt, int error)
{
	static const struct hba_lun_id lun_0;
	struct scan *s = tgt->controller->scan;

	s->job_out = false;
	s->whole.probe.lun = error < 0 || target_is_going(tgt) ? NULL : lun_add(tgt, &lun_0);
	if (!s->whole.probe.lun)
		finish_target(&s->whole);
}

static void begin_target(struct scan *s, struct hba_target *tgt)
{
	tgt->scan_wanted = false;
	tgt->walks++;
	s->whole.probe.target = tgt;
	s->whole.probe.answered = false;
	s->whole.step = TARGET_INQUIRY;
	s->whole.attentions = s->whole.tries = 0;
	s->whole.retry_at = 0;
	s->job_out = true;
	if (target_initialize(tgt, target_ready) < 0) {
		s->job_out = false;
		finish_target(&s->whole);
	}
}

static void begin_look(struct walk *w, struct hba_lun *lun)
{
	list_remove(&lun->look);
	lun->target->walks++;
	w->probe.target = lun->target;
	w->attentions = w->tries = 0;
	w->retry_at = 0;
	begin_unit(w, lun);
}

/* ---- which target is next */

static struct hba_target *next_wanted(struct hba_controller *c)
{
	for (struct list *l = c->targets.next; c->scan_wanted && l != &c->targets; l = l->next) {
		struct hba_target *tgt = container_of(l, struct hba_target, link);

		/* One that is leaving sets this again when it has left. */
		if (tgt->scan_wanted && !target_is_going(tgt))
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

/* ---- a driver that manages its targets */

static int run_discover(struct hba_controller *c, struct job *job)
{
	(void)job;
	return driver_discover(c);
}

static void discover_returned(struct hba_controller *c, struct job *job)
{
	c->scan->discover_out = false;
	/* The driver could not look: targets that it has not named may be there all the same. */
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
	s->discover = (struct job) { .name = "discover",
				     .step = true,
				     .may_map = true,
				     .run = run_discover,
				     .done = discover_returned };
	worker_post(c, &s->discover);
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
	/* Else the discovery began after the reset. */
	if (!c->scan->discover_out)
		discover(c);
	return true;
}

bool scan_over(struct hba_controller *c)
{
	const struct scan *s = c->scan;

	return !s || (!s->full && !s->whole.probe.target && !s->look.probe.target &&
		      !c->scan_wanted && list_is_empty(&c->looks));
}

static void tell_scanned(struct hba_controller *c)
{
	unsigned n = 0;

	for (struct hba_lun *lun = hba_lun_next(c, NULL); lun; lun = hba_lun_next(c, lun))
		n++;
	event_put(c, HBA_EVENT_SCANNED, HBA_NO_TARGET, NULL, n,
		  "a scan has ended: units present: %u", n);
}

static void end_scan(struct hba_controller *c)
{
	struct scan *s = c->scan;

	if (!s->full)
		return;
	if (s->discovering && c->now < s->discover_by && c->accepting)
		return;
	if (s->discovering) {
		violation(c, "discover was not followed by hba_discovery_done within %d ms",
			  DISCOVER_MS);
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
	if (__atomic_load_n(&c->rescan_wanted, __ATOMIC_RELAXED) &&
	    __atomic_exchange_n(&c->rescan_wanted, false, __ATOMIC_SEQ_CST))
		scan_begin(c);
}

/* true: it has the turn. */
static bool turn_look(struct hba_controller *c)
{
	struct walk *w = &c->scan->look;
	struct hba_lun *next;
	uint64_t at;

	if (w->probe.target && (target_is_going(w->probe.target) || !w->probe.lun->suspect))
		end_look(w);
	next = !w->probe.target && c->accepting ? lun_next_look(c, &at) : NULL;
	if (next)
		begin_look(w, next);
	if (!w->probe.target)
		return false;
	send_step(w);
	return true;
}

static void turn_whole(struct hba_controller *c)
{
	struct scan *s = c->scan;
	struct walk *w = &s->whole;
	struct hba_target *tgt;

	if (s->job_out)
		return;
	if (w->probe.target && target_is_going(w->probe.target))
		finish_target(w);
	if (w->retry_at > c->now)
		return;
	if (w->probe.lun) {
		send_step(w);
		return;
	}
	tgt = c->accepting ? next_wanted(c) : NULL;
	if (!tgt && c->accepting)
		tgt = next_by_number(s, c);
	if (tgt)
		begin_target(s, tgt);
	else
		end_scan(c);
}

static bool command_is_out(const struct scan *s)
{
	return s->whole.task || s->look.task;
}

/*
 * A command of the whole walk may wait, but not in the way of a look elsewhere, nor of a controller
 * that is to be quiet.
 */
static bool is_in_the_way(const struct hba_controller *c, const struct walk *w)
{
	if (!w->task || w->task->state != TASK_QUEUED)
		return false;
	return is_look(w) || c->paused || (w->probe.target->blocked && !list_is_empty(&c->looks));
}

static void withdraw(const struct hba_controller *c, struct walk *w)
{
	if (is_in_the_way(c, w))
		w->withdrawn = queue_withdraw(w->task);
}

void scan_turn(struct hba_controller *c)
{
	if (!c->scan)
		return;
	/* The queues have had their turn since it was queued: it cannot be sent now. */
	withdraw(c, &c->scan->look);
	withdraw(c, &c->scan->whole);
	/* Quiet: it goes on when power is on again. */
	if (c->paused)
		return;
	if (c->accepting)
		take_wish(c);
	if (!command_is_out(c->scan) && !turn_look(c))
		turn_whole(c);
}

static uint64_t next_of_look(const struct hba_controller *c)
{
	uint64_t at;

	return c->scan->look.probe.target || lun_next_look(c, &at) ? c->now : at;
}

static uint64_t next_of_whole(const struct hba_controller *c)
{
	const struct scan *s = c->scan;

	if (s->job_out)
		return NO_DEADLINE;
	if (s->whole.probe.lun || c->scan_wanted)
		return s->whole.retry_at;
	return s->full ? s->discovering ? s->discover_by : c->now : NO_DEADLINE;
}

uint64_t scan_next(const struct hba_controller *c)
{
	uint64_t look, whole;

	if (!c->scan)
		return NO_DEADLINE;
	if (is_in_the_way(c, &c->scan->look) || is_in_the_way(c, &c->scan->whole))
		return c->now;
	if (c->paused || command_is_out(c->scan))
		return NO_DEADLINE;
	look = next_of_look(c);
	whole = next_of_whole(c);
	return look < whole ? look : whole;
}

void scan_free(struct hba_controller *c)
{
	if (c->scan)
		probe_end(&c->scan->whole.probe);
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
