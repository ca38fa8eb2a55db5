/* SPDX-License-Identifier: MIT */
/*
 * wait.c: the waits of a waiting op. They end when the driver's condition holds, the op is
 * cancelled, the device is gone, or the time is over.
 */
#include "core/controller/controller.h"

#include <errno.h>
#include <time.h>

enum { POLL_FIRST_US = 5, POLL_LONGEST_US = 10000 };

static int wait_us(struct hba_controller *c, uint64_t us, uint64_t until)
{
	const struct op *op = op_now();
	uint64_t now = c->clock->now(c->clock),
		 last = op && op->deadline < until ? op->deadline : until;
	struct timespec t;

	if (!op || op->hot)
		return violation(c, "a wait; only waiting ops may wait");
	if (__atomic_load_n(&c->worker.cancel, __ATOMIC_ACQUIRE) || start_is_cancelled(c))
		return -ECANCELED;
	if (device_is_gone(c))
		return -ENODEV;
	if (now >= last)
		return -ETIMEDOUT;
	if (us * 1000 > last - now)
		us = (last - now) / 1000 + 1;
	t = (struct timespec) { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };
	nanosleep(&t, NULL);
	return 0;
}

static bool never(struct hba_controller *c, void *arg)
{
	(void)c;
	(void)arg;
	return false;
}

int hba_wait(struct hba_controller *c, unsigned ms)
{
	const struct op *op = op_now();
	uint64_t until = c->clock->now(c->clock) + ms * (uint64_t)NS_PER_MS;
	int r = hba_wait_for(c, never, NULL, ms);

	/* Success means that the caller's own time is over; the op's deadline is an error. */
	return r == -ETIMEDOUT && (!op || op->deadline > until) ? 0 : r;
}

int hba_wait_for(struct hba_controller *c, bool (*ready)(struct hba_controller *c, void *arg),
		 void *arg, unsigned ms)
{
	uint64_t until = c->clock->now(c->clock) + ms * (uint64_t)NS_PER_MS;
	uint64_t us = POLL_FIRST_US;
	int r;

	while (!ready(c, arg)) {
		r = wait_us(c, us, until);
		if (r < 0)
			return r;
		us = us * 2 < POLL_LONGEST_US ? us * 2 : POLL_LONGEST_US;
	}
	return 0;
}
