/* SPDX-License-Identifier: MIT */
/*
 * turn.c: the caller's own loop: a turn, and how it sleeps without missing anything (wake.c).
 *
 * Polled, a turn makes no system call.
 */
#include "core/controller/controller.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* A nap is bounded, so that a deadline of the caller's is kept even if nothing ever wakes us. */
enum { TURN_BUDGET = 64, NAP_MS = 16, CHORES_MS = 1, LATE_MS = 100 };

static void disarm(struct hba_controller *c)
{
	__atomic_store_n(&c->sleeper.asleep, false, __ATOMIC_SEQ_CST);
	c->sleeper.armed = false;
	for (unsigned i = 0; i < c->n_queues; i++) {
		(void)driver_interrupts(c->queues[i], false);
		queue_drain_vectors(c->queues[i]);
	}
	sleeper_drain(&c->sleeper);
}

/* ---- a turn */

static bool is_over(const struct hba_controller *c)
{
	return c->state == HBA_STOPPED || c->state == HBA_GONE || c->state == HBA_DEAD ||
	       c->state == HBA_CREATED;
}

static void look_at_device(struct hba_controller *c, bool woken)
{
	if (device_turn(c, woken))
		quiesce_let_go(c);
	if (device_is_gone(c))
		quiesce_gone(c);
}

/* All that is no I/O; nearly always nothing. */
static void chores(struct hba_controller *c)
{
	c->chores_at = c->now + CHORES_MS * (uint64_t)NS_PER_MS;
	c->chores_owed = false;
	look_at_device(c, false);
	quiesce_turn(c);
	if (c->silent)
		return;
	tmf_turn(c);
	recovery_turn(c);
	slow_turn(c);
	driver_event_turn(c);
	if (c->n_leaving)
		targets_turn(c);
	scan_turn(c);
}

/* Clients that waited for a task, and tasks that waited to fetch their sense. */
static void wait_no_longer(struct hba_controller *c)
{
	if (c->silent)
		return;
	if (!list_is_empty(&c->starving))
		admit(c);
	if (c->senseless.head)
		disposition_turn(c);
}

/*
 * Tasks sent since the last reading of the clock are stamped too early: by next to nothing, unless
 * the process was stopped meanwhile, or a client's done was slow. Then their time begins now, so
 * that a stopped host expires no command.
 */
__attribute__((cold, noinline)) static void turn_begin_anew(struct hba_controller *c, uint64_t now)
{
	if (!c->deadlines_set)
		return;
	queue_begin_anew(c, now);
	tmf_begin_anew(c, now);
}

static inline void read_clock(struct hba_controller *c)
{
	uint64_t now = c->clock->now(c->clock);

	if (now - c->now > LATE_MS * (uint64_t)NS_PER_MS)
		turn_begin_anew(c, now);
	c->deadlines_set = false;
	c->now = now;
}

/* From other threads. */
static void take_in(struct hba_controller *c)
{
	if (__atomic_load_n(&c->inbox.any, __ATOMIC_RELAXED))
		releases_turn(c);
	intake_turn(c);
}

static unsigned turn(struct hba_controller *c, unsigned budget)
{
	bool woken = c->sleeper.armed;
	unsigned n = 0;

	read_clock(c);
	if (woken)
		disarm(c);
	/* Before anything is sent: what a reset has ended is what was out then. */
	worker_reap(c);
	take_in(c);
	/*
	 * And before anything is taken: what a device has completed since it reported an error is
	 * not believed.
	 */
	if (woken)
		look_at_device(c, true);
	for (unsigned i = 0; i < c->n_queues; i++)
		n += queue_turn(c->queues[i], budget);
	wait_no_longer(c);
	/*
	 * While I/O comes in, all else can wait a moment: looking for it costs as much as a
	 * command. Once all is over there is no later.
	 */
	if (n && !woken && c->now < c->chores_at && !is_over(c))
		c->chores_owed = true;
	else
		chores(c);
	return n;
}

/*
 * Requests posted while we accepted, drained after we stopped: fail them here; no later turn will.
 */
static void fail_late_requests(struct hba_controller *c)
{
	if (controller_is_stuck(c)) {
		quiesce_stuck(c);
		return;
	}
	c->in_turn = true;
	take_in(c);
	c->in_turn = false;
}

/* An op that waits has the driver; its end wakes us, or the time at which it is given up. */
static int fenced_turn(struct hba_controller *c)
{
	if (c->sleeper.armed) {
		sleeper_drain(&c->sleeper);
	}
	return worker_fenced(c) < 0 ? -ENODEV : 0;
}

int loop_run(struct hba_controller *c, unsigned budget)
{
	unsigned n;

	if (is_over(c)) {
		fail_late_requests(c);
		if (!queues_owe(c))
			return fail(-ENODEV, "%s: the controller is %s", c->uri,
				    hba_state_name(c->state));
	}
	if (!turn_begin(c))
		return fenced_turn(c);
	c->in_turn = true;
	n = turn(c, budget ? budget : 1);
	c->in_turn = false;
	turn_end(c);
	return (int)n;
}

/* 0: this is the thread that may run the loop, or make it sleep. */
static inline int may_run(const struct hba_controller *c, const char *call)
{
	if (!c)
		return fail(-EINVAL, "%s: the controller is NULL", call);
	if (in_callback(c))
		return fail(-EBUSY, "%s: not from a callback of the same controller", call);
	if (c->runner.up)
		return fail(-EBUSY, "%s: the library runs the loop of this controller itself",
			    c->uri);
	if (c->worker.up && !loop_is_here(c))
		return fail(-EPERM,
			    "%s: the loop of this controller is another thread, the one that "
			    "started it",
			    call);
	return 0;
}

int hba_controller_run(struct hba_controller *c, unsigned budget)
{
	int r = may_run(c, __func__);

	return r < 0 ? r : loop_run(c, budget);
}

static int may_pass(const struct hba_controller *c, const char *call)
{
	if (c->runner.up)
		return fail(-EBUSY, "%s: the library runs the loop of this controller itself",
			    c->uri);
	/*
	 * True only in a callback, or if the last owner has not let go: both are the caller's to
	 * avoid.
	 */
	return c->in_turn ? fail(-EBUSY, "%s: %s: a turn of the loop is under way", c->uri, call)
			  : 0;
}

int hba_controller_take_loop(struct hba_controller *c)
{
	int r;

	if (!c)
		return wrong_use("the controller is NULL");
	r = may_pass(c, __func__);
	if (r == 0)
		__atomic_store_n(&c->loop_thread, thread_here(), __ATOMIC_RELAXED);
	return r;
}

int hba_controller_leave_loop(struct hba_controller *c)
{
	int r;

	if (!c)
		return wrong_use("the controller is NULL");
	r = may_pass(c, __func__);
	if (r == 0 && !loop_is_here(c))
		return fail(-EPERM, "%s: %s: the loop is another thread's, or no thread's", c->uri,
			    __func__);
	if (r == 0)
		__atomic_store_n(&c->loop_thread, NO_THREAD, __ATOMIC_RELAXED);
	return r;
}

/* ---- going to sleep */

/* The end of what holds it, if that comes before `at`. */
static uint64_t unit_next(const struct hba_lun *lun, uint64_t at)
{
	uint64_t now = lun->controller->now, until = lun->target->held_until;

	if (lun->held_until > now && lun->held_until < at)
		at = lun->held_until;
	return until > now && until < at ? until : at;
}

static uint64_t queue_next(const struct hba_queue *q)
{
	uint64_t at = q->poll_at;

	if (q->held_until > q->controller->now && q->held_until < at)
		at = q->held_until;
	for (const struct list *l = q->held.next; l != &q->held; l = l->next)
		at = unit_next(container_of(l, struct unit_queue, link)->lun, at);
	for (const struct task *t = q->urgent.head; t; t = t->next)
		at = unit_next(t->lun, at);
	return at;
}

static uint64_t next_deadline(const struct hba_controller *c)
{
	const uint64_t chores[] = { recovery_next(c), slow_next(c), scan_next(c), tmf_next(c),
				    quiesce_next(c) };
	uint64_t at = NO_DEADLINE;

	for (size_t i = 0; i < ARRAY_SIZE(chores); i++)
		if (chores[i] < at)
			at = chores[i];
	for (unsigned i = 0; i < c->n_queues; i++) {
		uint64_t q = queue_next(c->queues[i]);

		if (q < at)
			at = q;
	}
	return at;
}

/* Can anything but our own polling find work of this queue? */
static bool wakes_by_itself(const struct hba_queue *q)
{
	return !q->with_driver || !list_is_empty(&q->watches);
}

/* Before the chip is unmasked: a line that is still up then fires again. */
static void serve_vectors(const struct hba_queue *q)
{
	unsigned vector;

	while (queue_take_fired(q, &vector))
		device_served(q->controller, vector);
}

static bool has_work(struct hba_controller *c)
{
	bool work = c->chores_owed || __atomic_load_n(&c->worker.has_over, __ATOMIC_SEQ_CST) ||
		    admit_possible(c) || queues_owe(c) || inbox_knock(c) ||
		    (device_is_gone(c) && !c->silent) ||
		    __atomic_load_n(&c->driver_events.any, __ATOMIC_SEQ_CST) ||
		    __atomic_load_n(&c->rescan_wanted, __ATOMIC_SEQ_CST);

	for (unsigned i = 0; i < c->n_queues && !work; i++) {
		work = queue_can_send(c->queues[i]) || !wakes_by_itself(c->queues[i]);
		if (!work) {
			serve_vectors(c->queues[i]);
			work = driver_interrupts(c->queues[i], true);
		}
	}
	return work;
}

int loop_arm(struct hba_controller *c)
{
	bool fenced = !turn_begin(c), work;

	/* "Asleep", then a last look: the order of the handshake. */
	c->sleeper.armed = true;
	__atomic_store_n(&c->sleeper.asleep, true, __ATOMIC_SEQ_CST);
	if (fenced) {
		sleeper_set(&c->sleeper, c->clock->now(c->clock), worker_next(c));
		/*
		 * The op under way ends in loop_wake(); if it has ended already, that was before we
		 * slept.
		 */
		return !__atomic_load_n(&c->worker.fence, __ATOMIC_SEQ_CST) ||
		       controller_is_stuck(c);
	}
	read_clock(c);
	work = (is_over(c) && !queues_owe(c)) || has_work(c);
	if (!work)
		sleeper_set(&c->sleeper, c->now, next_deadline(c));
	turn_end(c);
	return work;
}

int hba_controller_arm(struct hba_controller *c)
{
	int r = may_run(c, __func__);

	return r < 0 ? r : loop_arm(c);
}

int hba_controller_fd(const struct hba_controller *c)
{
	assert(c);
	return c->sleeper.epoll;
}

int loop_until(struct hba_controller *c, bool (*over)(struct hba_controller *c), unsigned ms)
{
	uint64_t last = c->clock->now(c->clock) + ms * (uint64_t)NS_PER_MS;
	struct pollfd p = { .fd = c->sleeper.epoll, .events = POLLIN };
	int r;

	while (!over(c)) {
		if (c->clock->now(c->clock) >= last)
			return -ETIMEDOUT;
		r = loop_run(c, TURN_BUDGET);
		if (r < 0)
			return r;
		if (r == 0 && !over(c) && loop_arm(c) == 0)
			poll(&p, 1, NAP_MS);
	}
	return 0;
}
