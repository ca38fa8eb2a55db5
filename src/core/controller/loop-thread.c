/* SPDX-License-Identifier: MIT */
/*
 * loop-thread.c: the library runs the loop itself, in one thread: it takes turns, and sleeps when
 * there is nothing to do.
 */
#include "core/controller/controller.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>

enum { TURN_BUDGET = 64 };

static void *thread_main(void *arg)
{
	struct hba_controller *c = arg;
	struct pollfd p = { .fd = c->sleeper.epoll, .events = POLLIN };
	int r = 0;

	__atomic_store_n(&c->loop_thread, thread_here(), __ATOMIC_RELAXED);
	while (r >= 0 && !__atomic_load_n(&c->runner.quit, __ATOMIC_ACQUIRE)) {
		r = loop_run(c, TURN_BUDGET);
		if (r == 0 && loop_arm(c) == 0 &&
		    !__atomic_load_n(&c->runner.quit, __ATOMIC_ACQUIRE))
			poll(&p, 1, -1);
	}
	return NULL;
}

int runner_start(struct hba_controller *c)
{
	sigset_t all, old;
	int r;

	/*
	 * From here on the caller is another thread: a second loop until the new thread first runs
	 * would lose tasks.
	 */
	__atomic_store_n(&c->loop_thread, NO_THREAD, __ATOMIC_RELAXED);
	__atomic_store_n(&c->runner.quit, false, __ATOMIC_RELEASE);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&c->runner.thread, NULL, thread_main, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	c->runner.up = r == 0;
	if (r < 0)
		__atomic_store_n(&c->loop_thread, thread_here(), __ATOMIC_RELAXED);
	return r < 0 ? fail(r, "%s: no thread for the loop can be started", c->uri) : 0;
}

void runner_stop(struct hba_controller *c)
{
	if (!c->runner.up)
		return;
	__atomic_store_n(&c->runner.quit, true, __ATOMIC_SEQ_CST);
	loop_wake(c);
	pthread_join(c->runner.thread, NULL);
	c->runner.up = false;
	/* From here on the caller is the loop. */
	__atomic_store_n(&c->loop_thread, thread_here(), __ATOMIC_RELAXED);
}
