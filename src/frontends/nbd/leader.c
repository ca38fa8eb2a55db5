/* SPDX-License-Identifier: MIT */
/*
 * leader.c: threads take turns at being the controller's loop.
 *
 * nbdkit calls with a thread for each request, and each waits. A loop in a thread of its own would
 * cost every request two wake-ups on another core, which are many times the cost of the request
 * itself. So the first thread is the loop until its own request is done, and completes those of
 * others meanwhile; then it hands the loop to the oldest that still waits. Alone, a thread wakes no
 * other.
 *
 *	first:     ── submit ── run, run … done ── hand over ──>
 *	second:         ── submit ── sleep ·················· lead: run … done ──>
 *	third:               ── submit ── sleep ·· done, woken ──>
 */
#include "nbd.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>

enum { RUN_BUDGET = 64 };

void leader_init(struct leader *t, struct hba_controller *c, int kick)
{
	*t = (struct leader) { .controller = c,
			       .kick = kick,
			       .line = { .next = &t->line, .previous = &t->line } };
	pthread_mutex_init(&t->lock, NULL);
	hba_controller_leave_loop(c); /* who started it */
}

void leader_fini(struct leader *t)
{
	pthread_mutex_destroy(&t->lock);
}

/* ---- the line; under the lock */

static void stand(struct leader *t, struct turn *turn)
{
	turn->next = &t->line;
	turn->previous = t->line.previous;
	turn->previous->next = turn->next->previous = turn;
}

/* Harmless for one that has left. */
static void step_out(struct turn *turn)
{
	turn->previous->next = turn->next;
	turn->next->previous = turn->previous;
	turn->next = turn->previous = turn;
}

static void hand_over(struct leader *t)
{
	struct turn *next = t->line.next;

	if (next == &t->line) {
		t->led = false;
		return;
	}
	step_out(next);
	next->lead = true;
	pthread_cond_signal(&next->changed);
}

/* ---- */

/*
 * The keeper must sleep no longer on the controller's descriptor: a request that is only polled for
 * disarms it.
 */
static void end_watch(struct leader *t, bool is_request)
{
	if (t->watched && is_request)
		eventfd_write(t->kick, 1);
	t->watched = false;
}

/* Is the loop free, and therefore this thread's? */
static bool come(struct leader *t, struct turn *turn, bool is_request)
{
	bool lead;

	*turn = (struct turn) { .next = turn,
				.previous = turn,
				.changed = PTHREAD_COND_INITIALIZER };
	pthread_mutex_lock(&t->lock);
	__atomic_store_n(&t->requests, t->requests + is_request, __ATOMIC_RELAXED);
	end_watch(t, is_request);
	lead = !t->led;
	if (lead)
		t->led = turn->lead = true;
	else
		stand(t, turn);
	pthread_mutex_unlock(&t->lock);
	if (lead)
		hba_controller_take_loop(t->controller);
	return lead;
}

static void go(struct leader *t, struct turn *turn)
{
	pthread_mutex_lock(&t->lock);
	step_out(turn);
	if (turn->lead) {
		/*
		 * Before the next one takes it: or this thread's next request would think it were
		 * still the loop.
		 */
		hba_controller_leave_loop(t->controller);
		hand_over(t);
	}
	pthread_mutex_unlock(&t->lock);
	pthread_cond_destroy(&turn->changed);
}

/* Sleeps until it has the loop, or needs it no more. */
static void await(struct leader *t, struct turn *turn)
{
	pthread_mutex_lock(&t->lock);
	while (!turn->lead && !turn->done)
		pthread_cond_wait(&turn->changed, &t->lock);
	pthread_mutex_unlock(&t->lock);
	if (turn->lead)
		hba_controller_take_loop(t->controller);
}

int leader_run(struct leader *t, unsigned budget)
{
	int n;

	__atomic_store_n(&t->steps, t->steps + 1, __ATOMIC_RELAXED);
	n = hba_controller_run(t->controller, budget);
	__atomic_store_n(&t->steps, t->steps + 1, __ATOMIC_RELAXED);
	return n;
}

static void leader_run_turn(struct leader *t, const struct turn *turn)
{
	struct pollfd fd = { .fd = hba_controller_fd(t->controller), .events = POLLIN };
	int n = 0;

	while (!turn->done && n >= 0) {
		n = leader_run(t, RUN_BUDGET);
		if (n == 0 && !turn->done && hba_controller_arm(t->controller) == 0)
			poll(&fd, 1, -1);
	}
}

/* On the loop, whoever that is. */
static void request_done(struct hba_disk_io *io)
{
	struct leader_request *r = (struct leader_request *)(void *)io;

	pthread_mutex_lock(&r->leader->lock);
	r->turn.done = true;
	step_out(&r->turn);
	pthread_cond_signal(&r->turn.changed);
	pthread_mutex_unlock(&r->leader->lock);
}

static int leader_finish(struct leader *t, struct leader_request *r, bool lead)
{
	if (!lead)
		await(t, &r->turn);
	if (!r->turn.done)
		leader_run_turn(t, &r->turn);
	/* The loop is over only when every done has run, ours too. */
	return r->turn.done ? r->io.error : -ENODEV;
}

int leader_do(struct leader *t, struct leader_request *r)
{
	bool lead;
	int error;

	r->leader = t;
	r->io.done = request_done;
	lead = come(t, &r->turn, true);
	error = hba_disk_submit(&r->io);
	if (error == 0)
		error = leader_finish(t, r, lead);
	go(t, &r->turn);
	return error;
}

static struct timespec after_ms(unsigned ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / MS_PER_S;
	t.tv_nsec += (long)(ms % MS_PER_S) * NS_PER_MS;
	if (t.tv_nsec >= (long)NS_PER_S) {
		t.tv_nsec -= (long)NS_PER_S;
		t.tv_sec++;
	}
	return t;
}

static void await_within(struct leader *t, struct turn *turn, unsigned ms)
{
	struct timespec until = after_ms(ms);
	int r = 0;

	pthread_mutex_lock(&t->lock);
	while (!turn->lead && r == 0)
		r = pthread_cond_clockwait(&turn->changed, &t->lock, CLOCK_MONOTONIC, &until);
	/* Out of the line under the same lock: the loop cannot be handed over in between. */
	step_out(turn);
	pthread_mutex_unlock(&t->lock);
	if (turn->lead)
		hba_controller_take_loop(t->controller);
}

bool leader_lead(struct leader *t, void (*work)(void *arg), void *arg, unsigned ms)
{
	struct turn turn;
	bool lead;

	if (!come(t, &turn, false))
		await_within(t, &turn, ms);
	lead = turn.lead;
	if (lead)
		work(arg);
	go(t, &turn);
	return lead;
}

bool leader_watch(struct leader *t)
{
	pthread_mutex_lock(&t->lock);
	t->watched = t->line.next == &t->line;
	pthread_mutex_unlock(&t->lock);
	return t->watched;
}
