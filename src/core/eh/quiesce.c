/* SPDX-License-Identifier: MIT */
/*
 * quiesce.c: a device is made quiet, for good: stopped, given up, lost, or let go because the
 * system takes it back. Until the bus confirms that it reaches no memory, none is given back.
 */
#include "core/controller/controller.h"

#include <errno.h>

enum { LET_GO_MS = 2 * MS_PER_S };

/* Whatever the driver does, only the bus can confirm that the device reaches no memory. */
int quiesce_device(struct hba_controller *c)
{
	driver_stop(c);
	return device_quiet(c);
}

bool quiesce_reached(struct hba_controller *c)
{
	for (unsigned i = 0; i < c->n_queues; i++)
		if (c->queues[i]->with_driver || c->queues[i]->ended.head ||
		    c->queues[i]->urgent.head)
			return false;
	return !c->senseless.head && worker_idle(c);
}

/* A done may end a task of another queue: until none is owed. */
static void deliver_all(struct hba_controller *c)
{
	disposition_turn(c);
	while (queues_owe(c))
		for (unsigned i = 0; i < c->n_queues; i++)
			queue_deliver(c->queues[i], HBA_MAX_BATCH);
}

/* No task is the driver's any more: run every done that is owed. */
void quiesce_answer(struct hba_controller *c)
{
	for (unsigned i = 0; i < c->n_queues; i++)
		queue_take_back(c->queues[i]);
	deliver_all(c);
	intake_turn(c);
	deliver_all(c);
	tmf_cancel_all(c);
	intake_turn(c);
	inbox_end(c);
}

int quiesce_failed(const struct hba_controller *c)
{
	return fail(-EIO,
		    "%s: driver %s failed to stop; its DMA memory is quarantined, because the "
		    "device may still write to it",
		    c->uri, c->driver->name);
}

void quiesce_dead(struct hba_controller *c, bool lost)
{
	__atomic_store_n(&c->accepting, false, __ATOMIC_RELAXED);
	__atomic_store_n(&c->lost, lost, __ATOMIC_RELEASE);
	controller_move(c, HBA_DEAD);
	tmf_lost(c);
	queue_end_lost(c, lost);
	queue_flush(c, NULL, HBA_NOT_DELIVERED);
	admit_none(c, NULL);
	tmf_cancel_all(c);
}

int quiesce_lost(struct hba_controller *c)
{
	(void)quiesce_failed(c);
	event_put(c, HBA_EVENT_STATE, HBA_NO_TARGET, NULL, HBA_DEAD, "%s", hba_error());
	quiesce_dead(c, true);
	return quiesce_failed(c);
}

void quiesce_stuck(struct hba_controller *c)
{
	bool in_turn = c->in_turn;

	c->in_turn = true;
	quiesce_dead(c, true);
	quiesce_answer(c);
	c->in_turn = in_turn;
}

static void take_no_more(struct hba_controller *c)
{
	__atomic_store_n(&c->accepting, false, __ATOMIC_RELAXED);
	queue_flush(c, NULL, HBA_NOT_PRESENT);
	admit_none(c, NULL);
}

static bool is_final(const struct hba_controller *c)
{
	return c->state == HBA_GONE || c->state == HBA_DEAD;
}

void quiesce_gone(struct hba_controller *c)
{
	struct letting_go *l = &c->letting_go;

	if (l->gone || is_final(c))
		return;
	l->gone = l->wanted = true;
	l->until = c->now;
	/* Calls of the driver from now on are ignored. */
	c->silent = true;
	take_no_more(c);
}

void quiesce_let_go(struct hba_controller *c)
{
	struct letting_go *l = &c->letting_go;

	if (l->wanted || (c->state != HBA_STARTED && c->state != HBA_PAUSED))
		return;
	l->wanted = true;
	l->until = c->now + LET_GO_MS * (uint64_t)NS_PER_MS;
	event_put(c, HBA_EVENT_STATE, HBA_NO_TARGET, NULL, c->state,
		  "the kernel requested the device back; the controller is detached");
	take_no_more(c);
}

/*
 * Closing the device ends its DMA even where quiesce_device() could not: the system resets it, and
 * nothing is mapped for it any more.
 */
static int run_let_go(struct hba_controller *c, struct job *job)
{
	(void)job;
	c->letting_go.stopped = true;
	(void)quiesce_device(c);
	device_cut(c);
	return 0;
}

/* It reaches no memory any more: what was out goes home. */
static void let_go_done(struct hba_controller *c, struct job *job)
{
	(void)job;
	c->letting_go.wanted = c->letting_go.job_out = false;
	if (is_final(c) || controller_move(c, HBA_GONE) < 0)
		return;
	tmf_lost(c);
	queue_end_gone(c);
	take_no_more(c);
	tmf_cancel_all(c);
}

static void let_go(struct hba_controller *c)
{
	struct letting_go *l = &c->letting_go;

	c->silent = true;
	l->job_out = true;
	l->job = (struct job) {
		.name = "let go", .step = true, .run = run_let_go, .done = let_go_done
	};
	list_init(&l->job.link);
	worker_post(c, &l->job);
}

void quiesce_turn(struct hba_controller *c)
{
	struct letting_go *l = &c->letting_go;

	if (l->wanted && !l->job_out && worker_idle(c) && !c->recovery.job_out &&
	    (quiesce_reached(c) || c->now >= l->until))
		let_go(c);
}

/* The end of any job of the service wakes the loop. */
uint64_t quiesce_next(const struct hba_controller *c)
{
	const struct letting_go *l = &c->letting_go;

	return l->wanted && !l->job_out && l->until > c->now ? l->until : NO_DEADLINE;
}
