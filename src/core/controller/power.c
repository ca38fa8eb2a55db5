/* SPDX-License-Identifier: MIT */
/*
 * power.c: off, low, pause, and on again. First nothing new is sent, then the tasks that are out
 * are awaited, then the driver's op is called.
 */
#include "core/controller/controller.h"

#include <errno.h>

enum { QUIET_MS = 10 * MS_PER_S };

/* Nor anything that must go to the target before it may be quiet: sense that is to be fetched. */
static bool is_quiet(struct hba_controller *c)
{
	for (unsigned i = 0; i < c->n_queues; i++)
		if (c->queues[i]->with_driver || c->queues[i]->urgent.head ||
		    c->queues[i]->ended.head)
			return false;
	return !c->senseless.head;
}

static int run_down(struct hba_controller *c, struct job *job)
{
	(void)job;
	return driver_set_power_state(c, c->power);
}

static int run_off(struct hba_controller *c, struct job *job)
{
	(void)job;
	return quiesce_device(c);
}

/*
 * The chip may have lost its state meanwhile. A driver without reset gets set_power_state and
 * start.
 */
static int run_up(struct hba_controller *c, struct job *job)
{
	int r = driver_set_power_state(c, HBA_POWER_ON);

	(void)job;
	if (r == 0)
		r = driver_reset(c, HBA_RESET_CONTROLLER);
	return r == 0 || r == -EOPNOTSUPP ? driver_start(c) : r;
}

static int call(struct hba_controller *c, enum hba_power state,
		int (*run)(struct hba_controller *c, struct job *job))
{
	struct job job = { .name = "set_power_state", .step = true, .run = run };
	int r;

	if (c->silent)
		return fail(-ENODEV, "%s: the device is leaving", c->uri);
	c->power = state;
	r = worker_call(c, &job);
	return r < 0 && !controller_is_stuck(c) ? driver_error(c, job.name, r) : r;
}

/* Without the op off is a stop: what the bus does not confirm then is not paused, it is over. */
static int tell_down(struct hba_controller *c, enum hba_power state)
{
	int r;

	if (c->driver->set_power_state || state != HBA_POWER_OFF)
		return call(c, state, run_down);
	r = call(c, state, run_off);
	return r < 0 && !controller_is_stuck(c) && !c->silent ? quiesce_lost(c) : r;
}

static int go_down(struct hba_controller *c, enum hba_power state)
{
	int r;

	c->paused = true;
	r = loop_until(c, is_quiet, QUIET_MS);
	if (r == -ETIMEDOUT)
		r = fail(r, "%s: tasks are still out after %d ms; the power state is as it was",
			 c->uri, QUIET_MS);
	if (r == 0)
		r = tell_down(c, state);
	if (r == 0)
		r = controller_move(c, HBA_PAUSED);
	c->paused = r == 0;
	return r;
}

static int go_up(struct hba_controller *c)
{
	int r = call(c, HBA_POWER_ON, run_up);

	if (r < 0)
		return r;
	controller_move(c, HBA_STARTED);
	c->paused = false;
	worker_reap(c); /* what ran before the power went is over */
	targets_renegotiate(c);
	return scan_after_reset(c) ? 0 : scan_begin(c);
}

static int set_power(struct hba_controller *c, enum hba_power state)
{
	if (c->state == HBA_STARTED && state == HBA_POWER_ON)
		return 0;
	if (c->state != (state == HBA_POWER_ON ? HBA_PAUSED : HBA_STARTED))
		return fail(-EBUSY, "%s: the controller is %s", c->uri, hba_state_name(c->state));
	return state == HBA_POWER_ON ? go_up(c) : go_down(c, state);
}

int hba_controller_set_power(struct hba_controller *c, enum hba_power state)
{
	bool threads;
	int r;

	if (!c)
		return wrong_use("the controller is NULL");
	threads = c->runner.up;
	if (in_callback(c) || (!threads && !loop_is_here(c)))
		return fail(-EBUSY, "%s: only the loop's thread may, and not from a callback",
			    __func__);
	if (state != HBA_POWER_OFF && state != HBA_POWER_ON && state != HBA_POWER_PAUSE &&
	    state != HBA_POWER_LOW)
		return fail(-EINVAL, "there is no power state %#x", (unsigned)state);
	/* There is one loop: while this waits, it is the caller. */
	runner_stop(c);
	r = set_power(c, state);
	if (threads && runner_start(c) < 0 && r == 0)
		r = -EAGAIN;
	return r;
}
