/* SPDX-License-Identifier: MIT */
/*
 * turns.c: threads take turns at being the controller's loop.
 *
 * nbdkit calls with a thread for each request, and each waits. A loop in a thread of its own would cost every request two wake-ups on
 * another core, which are many times what the request itself costs. So the first one to come is the loop until its own request is done,
 * and completes those of others meanwhile; then it hands the loop to the oldest that still waits. Alone, a thread wakes nobody.
 *
 *	first:     ── submit ── run, run … done ── hand over ──>
 *	second:         ── submit ── sleep ·················· lead: run … done ──>
 *	third:               ── submit ── sleep ·· done, woken ──>
 */
#include "nbd.h"

#include <errno.h>
#include <poll.h>

enum { RUN_BUDGET = 64 };

void turns_init(struct turns *t, struct hba_controller *c)
{
	*t = (struct turns) { .controller = c, .line = { .next = &t->line, .previous = &t->line } };
	pthread_mutex_init(&t->lock, NULL);
	hba_controller_leave_loop(c); /* who started it */
}

void turns_fini(struct turns *t)
{
	pthread_mutex_destroy(&t->lock);
}

/* ---- the line; under the lock */

static void stand(struct turns *t, struct turn *turn)
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

static void hand_over(struct turns *t)
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

/* Is the loop free, and therefore this thread's? */
static bool come(struct turns *t, struct turn *turn)
{
	bool lead;

	*turn = (struct turn) { .next = turn, .previous = turn, .changed = PTHREAD_COND_INITIALIZER };
	pthread_mutex_lock(&t->lock);
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

static void go(struct turns *t, struct turn *turn)
{
	pthread_mutex_lock(&t->lock);
	step_out(turn);
	if (turn->lead) {
		/* Before the next one takes it: or this thread's next request would think it were still the loop. */
		hba_controller_leave_loop(t->controller);
		hand_over(t);
	}
	pthread_mutex_unlock(&t->lock);
	pthread_cond_destroy(&turn->changed);
}

/* Sleeps until it has the loop, or needs it no more. */
static void await(struct turns *t, struct turn *turn)
{
	pthread_mutex_lock(&t->lock);
	while (!turn->lead && !turn->done)
		pthread_cond_wait(&turn->changed, &t->lock);
	pthread_mutex_unlock(&t->lock);
	if (turn->lead)
		hba_controller_take_loop(t->controller);
}

static void run(struct hba_controller *c, const struct turn *turn)
{
	struct pollfd fd = { .fd = hba_controller_fd(c), .events = POLLIN };
	int n = 0;

	while (!turn->done && n >= 0) {
		n = hba_controller_run(c, RUN_BUDGET);
		if (n == 0 && !turn->done && hba_controller_arm(c) == 0)
			poll(&fd, 1, -1);
	}
}

/* On the loop, whoever that is. */
static void request_done(struct hba_disk_io *io)
{
	struct turns_request *r = (struct turns_request *)(void *)io;

	pthread_mutex_lock(&r->turns->lock);
	r->turn.done = true;
	step_out(&r->turn);
	pthread_cond_signal(&r->turn.changed);
	pthread_mutex_unlock(&r->turns->lock);
}

static int finish(struct turns *t, struct turns_request *r, bool lead)
{
	if (!lead)
		await(t, &r->turn);
	if (!r->turn.done)
		run(t->controller, &r->turn);
	/* The loop is over only when every done has run, ours too. */
	return r->turn.done ? r->io.error : -ENODEV;
}

int turns_do(struct turns *t, struct turns_request *r)
{
	bool lead;
	int error;

	r->turns = t;
	r->io.done = request_done;
	lead = come(t, &r->turn);
	error = hba_disk_submit(&r->io);
	if (error == 0)
		error = finish(t, r, lead);
	go(t, &r->turn);
	return error;
}

void turns_lead(struct turns *t, void (*work)(void *arg), void *arg)
{
	struct turn turn;

	if (!come(t, &turn))
		await(t, &turn);
	work(arg);
	go(t, &turn);
}
