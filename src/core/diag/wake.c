/* SPDX-License-Identifier: MIT */
/*
 * wake.c: how a sleeping loop is woken.
 *
 * To sleep, the loop sets `asleep`, looks once more for work, and only then waits. Other threads
 * put their work down, then look at `asleep`. So one of the two sees the other.
 */
#include "core/controller/controller.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

int sleeper_add(const struct sleeper *s, int fd, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.fd = fd };

	return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

int sleeper_init(struct sleeper *s)
{
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (s->epoll < 0 || s->wake < 0 || s->timer < 0)
		return fail(-errno, "no descriptor for the loop");
	if (sleeper_add(s, s->wake, EPOLLIN) < 0 || sleeper_add(s, s->timer, EPOLLIN) < 0)
		return fail(-ENOMEM, "no room to watch the loop's descriptors");
	return 0;
}

int sleeper_watch(const struct sleeper *s, int fd)
{
	return sleeper_add(s, fd, EPOLLIN);
}

void sleeper_fini(struct sleeper *s)
{
	cleanup_close(&s->timer);
	cleanup_close(&s->wake);
	cleanup_close(&s->epoll);
}

void loop_wake(struct hba_controller *c)
{
	uint64_t one = 1;

	/* The work was put down before this look; see the head of this file. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&c->sleeper.asleep, __ATOMIC_SEQ_CST))
		(void)!write(c->sleeper.wake, &one, sizeof(one));
}

bool wake_drain(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) > 0;
}

void sleeper_set(const struct sleeper *s, uint64_t now, uint64_t at)
{
	uint64_t ns = at <= now ? 1 : at - now;
	struct itimerspec t = { 0 };

	if (at != NO_DEADLINE)
		t.it_value = (struct timespec) { (time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S) };
	timerfd_settime(s->timer, 0, &t, NULL);
}

void sleeper_drain(const struct sleeper *s)
{
	wake_drain(s->wake);
	wake_drain(s->timer);
}
