/* SPDX-License-Identifier: MIT */
/*
 * recovery.c: a task's time is over, or its client has cancelled it: up the ladder until it is
 * certain that the device has let go of it.
 *
 *	abort task ─> logical unit reset ─> target reset ─> bus reset ─> controller reset ─> stop
 *
 * A timeout alone gives nothing back: the device may still write. Each rung ends by its own
 * deadline, with the victim back or not; the last one ends with the driver, and by the bus's word
 * alone. One victim at a time; its unit gets nothing new meanwhile, the others go on.
 */
#include "core/controller/controller.h"

#include <errno.h>
#include <stdio.h>

enum { TMF_MS = 10 * MS_PER_S };

static int run_bus_reset(struct hba_controller *c, struct job *job);
static int run_controller_reset(struct hba_controller *c, struct job *job);
static int recovery_run_stop(struct hba_controller *c, struct job *job);

/** struct rung - Either a task management function or a waiting op. */
static const struct rung {
	const char *name;
	enum hba_tmf tmf;
	int (*run)(struct hba_controller *c, struct job *job); /* NULL: it is the function */
} rungs[] = {
	{ "abort task", HBA_ABORT_TASK, NULL },
	{ "logical unit reset", HBA_LOGICAL_UNIT_RESET, NULL },
	{ "target reset", HBA_TARGET_RESET, NULL },
	{ "bus reset", 0, run_bus_reset },
	{ "controller reset", 0, run_controller_reset },
	{ "stop", 0, recovery_run_stop },
};

static int run_bus_reset(struct hba_controller *c, struct job *job)
{
	(void)job;
	if (!device_answers(c))
		return -ENODEV;
	return driver_reset(c, HBA_RESET_BUS);
}

static int run_controller_reset(struct hba_controller *c, struct job *job)
{
	int r = -ENODEV;

	(void)job;
	if (!device_answers(c))
		return r;
	r = driver_reset(c, HBA_RESET_CONTROLLER);
	if (r == 0)
		r = driver_start(c);
	/* One that is lost reads as all ones, which may have looked like success. */
	return device_is_gone(c) ? -ENODEV : r;
}

static int recovery_run_stop(struct hba_controller *c, struct job *job)
{
	(void)job;
	return quiesce_device(c);
}

/* ---- finding a victim */

/*
 * Also sets when this has to be done again: nothing expires before the earliest deadline that is
 * left.
 */
static struct task *expired_task(struct hba_queue *q)
{
	struct hba_controller *c = q->controller;
	struct task *found = NULL;

	q->next_expiry = NO_DEADLINE;
	for (unsigned slot = 0; slot < c->pool.n; slot++) {
		struct task *t = &c->pool.tasks[slot];

		if (t->queue != q || task_state(t) != TASK_WITH_DRIVER ||
		    t->head.kind == HBA_TASK_TMF)
			continue;
		if (t->deadline < q->next_expiry)
			q->next_expiry = t->deadline;
		if (t->deadline < c->now && !found)
			found = t;
	}
	return found;
}

static struct task *find_victim(struct hba_controller *c)
{
	for (unsigned i = 0; i < c->n_queues; i++) {
		struct hba_queue *q = c->queues[i];
		struct task *t;

		if (q->next_expiry >= c->now)
			continue;
		/*
		 * Only what a poll after the deadline does not find has expired; and this poll
		 * finds all that there can be.
		 */
		queue_poll(q, q->with_driver + 1);
		t = expired_task(q);
		if (t)
			return t;
	}
	return NULL;
}

/* ---- rungs */

static void tmf_done(struct hba_management *m, enum hba_service_response response)
{
	struct recovery *r = container_of(m, struct recovery, management);

	(void)response; /* what counts is whether the victim is back */
	r->asked = false;
}

static void tmf_start(struct hba_controller *c, enum hba_tmf function)
{
	struct recovery *r = &c->recovery;

	r->management = (struct hba_management) {
		.function = function,
		.lun = r->victim->lun,
		.victim = function == HBA_ABORT_TASK ? &r->victim->head : NULL,
		.timeout_ms = TMF_MS,
		.done = tmf_done,
	};
	r->asked = true;
	tmf_post(c, &r->management, true);
}

static void reset_done(struct hba_controller *c, struct job *job)
{
	struct recovery *r = &c->recovery;

	r->job_out = false;
	if (job->error < 0)
		return;
	targets_renegotiate(c);
	if (job->run == run_bus_reset)
		return;
	/* The driver has no task any more. */
	tmf_lost(c);
	queue_end_lost(c, false);
	controller_move(c, HBA_STARTED);
	(void)scan_after_reset(c);
}

static void stop_done(struct hba_controller *c, struct job *job)
{
	c->recovery.job_out = false;
	/* The device was lost before it could begin: lifecycle.c has it closed. */
	if (c->silent && job->error == -ENODEV)
		return;
	if (job->error < 0)
		(void)quiesce_lost(c);
	else
		quiesce_dead(c, false);
}

/*
 * A client's function is waited for, it has a deadline; a frame that the driver has kept beyond one
 * does not come back by waiting.
 */
static bool has_tmf_task(const struct hba_controller *c)
{
	return c->tmf_free.head || (c->tmf.current && !c->tmf.answered);
}

static bool rung_possible(const struct hba_controller *c, const struct rung *rung)
{
	return rung->run || (tmf_possible(c, rung->tmf) && has_tmf_task(c));
}

/* The last one is always possible. */
static unsigned first_rung(const struct hba_controller *c)
{
	unsigned rung = 0;

	while (!rung_possible(c, &rungs[rung]))
		rung++;
	return rung;
}

const char *recovery_first(const struct hba_controller *c)
{
	return rungs[first_rung(c)].name;
}

static uint64_t rung_ns(const struct rung *rung)
{
	return (rung->run ? DEFAULT_OP_MS : TMF_MS) * (uint64_t)NS_PER_MS;
}

static void rung_start(struct hba_controller *c)
{
	struct recovery *r = &c->recovery;
	const struct rung *rung = &rungs[r->rung];

	r->rung_since = c->now;
	if (!rung->run) {
		tmf_start(c, rung->tmf);
		return;
	}
	if (rung->run == run_controller_reset)
		controller_move(c, HBA_RESETTING);
	r->job = rung->run == recovery_run_stop
			 ? (struct job) { .name = "stop",
					  .run = recovery_run_stop,
					  .done = stop_done }
			 : (struct job) { .name = "reset", .run = rung->run, .done = reset_done };
	r->job_out = true;
	worker_post(c, &r->job);
}

static bool victim_is_out(const struct recovery *r)
{
	/* It may be back, and out again for something else: then it has not expired. */
	return r->victim->state == TASK_WITH_DRIVER && r->victim->expired;
}

/* How the victim is called in the events of its ladder: before its command. */
static const char *victim_name(const struct recovery *r)
{
	return r->cancelled ? "the cancelled " : "";
}

static void conclude(struct hba_controller *c)
{
	struct recovery *r = &c->recovery;
	struct hba_lun *lun = r->lun;
	char took[TIME_WORDS], whole[TIME_WORDS];

	time_words(c->now - r->rung_since, took);
	time_words(c->now - r->since, whole);
	event_put(c, HBA_EVENT_RECOVERY, lun->target->id, &lun->id, r->rung + 1,
		  "%s: %s%s %s after %s; recovery took %s", rungs[r->rung].name, victim_name(r),
		  r->words, c->lost ? "was given up with its memory" : "came back", took, whole);
	lun->frozen--;
	r->victim = NULL;
}

static void next_rung(struct hba_controller *c)
{
	struct recovery *r = &c->recovery;
	struct hba_lun *lun = r->victim->lun;
	unsigned before = r->rung;
	char took[TIME_WORDS], has[TIME_WORDS];

	while (r->rung + 1 < ARRAY_SIZE(rungs) && !rung_possible(c, &rungs[++r->rung]))
		;
	time_words(c->now - r->rung_since, took);
	time_words(rung_ns(&rungs[r->rung]), has);
	event_put(c, HBA_EVENT_RECOVERY, lun->target->id, &lun->id, before + 1,
		  "%s: %s%s did not come back within %s; %s is next, and has %s",
		  rungs[before].name, victim_name(r), r->words, took, rungs[r->rung].name, has);
	rung_start(c);
}

static void tell_begin(struct hba_controller *c)
{
	const struct recovery *r = &c->recovery;
	const struct hba_task *victim = &r->victim->head;
	char limit[TIME_WORDS], has[TIME_WORDS],
		why[TIME_WORDS + 32] = "was cancelled while it was with the driver";

	time_words(victim->timeout_ms * (uint64_t)NS_PER_MS, limit);
	time_words(rung_ns(&rungs[r->rung]), has);
	if (!r->cancelled)
		snprintf(why, sizeof(why), "did not come back within %s", limit);
	event_put(c, HBA_EVENT_RECOVERY, victim->target, &victim->lun, 0,
		  "%s (unique id %u) %s; %s is next, and has %s", r->words, victim->unique_id, why,
		  rungs[r->rung].name, has);
}

static void recovery_begin(struct hba_controller *c, struct task *victim)
{
	struct recovery *r = &c->recovery;

	victim->expired = true;
	victim->final = true;
	victim->lun->frozen++;
	r->victim = victim;
	r->lun = victim->lun;
	r->since = c->now;
	r->cancelled = victim->cancelled;
	r->rung = first_rung(c);
	task_words(victim, r->words);
	tell_begin(c);
	rung_start(c);
}

void recovery_turn(struct hba_controller *c)
{
	struct recovery *r = &c->recovery;
	struct task *victim;

	if (!r->victim) {
		victim = find_victim(c);
		if (victim)
			recovery_begin(c, victim);
		return;
	}
	if (r->job_out || r->asked)
		return;
	if (victim_is_out(r))
		next_rung(c);
	else
		conclude(c);
}

uint64_t recovery_next(const struct hba_controller *c)
{
	uint64_t at = NO_DEADLINE;

	if (c->recovery.victim)
		return c->recovery.job_out || c->recovery.asked ? NO_DEADLINE : c->now;
	for (unsigned i = 0; i < c->n_queues; i++)
		if (c->queues[i]->next_expiry < at)
			at = c->queues[i]->next_expiry;
	return at;
}
