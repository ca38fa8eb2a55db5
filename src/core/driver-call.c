/* SPDX-License-Identifier: MIT */
/*
 * driver-call.c: the one place where the core calls a driver. One function for each op of its
 * table; process_task is inline, in the header.
 *
 * A waiting op runs inside a job, which has entered it (worker.c); a hot op is entered here.
 */
#include "core/controller/controller.h"

#include <errno.h>
#include <string.h>

/* An op that returns a number above 0 has broken a rule. */
static int checked(struct hba_controller *c, int returned)
{
	return returned > 0 ? no_errno(c, returned) : returned;
}

/* ---- waiting ops */

int driver_initialize(struct hba_controller *c, struct hba_report *report)
{
	return checked(c, c->driver->initialize(c, report));
}

int driver_map_hba_data(struct hba_controller *c, struct task *t, uint32_t *ret_id)
{
	int r;

	*ret_id = c->driver->map_hba_data ? 0 : t->head.slot + 1U;
	r = c->driver->map_hba_data ? c->driver->map_hba_data(c, &t->head, ret_id) : 0;
	if (r < 0)
		return fail(r, "driver %s, map_hba_data, call %u: %s", c->driver->name,
			    t->head.slot + 1U, c->op_sentence[0] ? c->op_sentence : strerror(-r));
	return checked(c, r);
}

int driver_start(struct hba_controller *c)
{
	return c->driver->start ? checked(c, c->driver->start(c)) : 0;
}

int driver_discover(struct hba_controller *c)
{
	return checked(c, c->driver->discover(c));
}

int driver_initialize_target(struct hba_controller *c, struct hba_target *tgt,
			     struct hba_target_report *report)
{
	return checked(c, c->driver->initialize_target(c, tgt, report));
}

void driver_release_target(struct hba_controller *c, struct hba_target *tgt)
{
	c->driver->release_target(c, tgt);
}

int driver_reset(struct hba_controller *c, enum hba_reset_level level)
{
	return c->driver->reset ? checked(c, c->driver->reset(c, level)) : -EOPNOTSUPP;
}

int driver_set_power_state(struct hba_controller *c, enum hba_power state)
{
	return c->driver->set_power_state ? checked(c, c->driver->set_power_state(c, state)) : 0;
}

void driver_stop(struct hba_controller *c)
{
	if (c->driver->stop)
		c->driver->stop(c);
}

/* ---- hot ops */

void driver_kick(struct hba_queue *q)
{
	struct op op = { .controller = q->controller, .name = "kick", .hot = true };

	if (!q->controller->driver->kick)
		return;
	op_enter(&op);
	q->controller->driver->kick(q);
	op_leave(&op);
}

void driver_poll(struct hba_queue *q, unsigned budget)
{
	struct op op = { .controller = q->controller, .name = "poll", .hot = true };

	if (!q->controller->driver->poll)
		return;
	op_enter(&op);
	q->controller->driver->poll(q, budget);
	op_leave(&op);
}

bool driver_interrupts(struct hba_queue *q, bool on)
{
	struct op op = { .controller = q->controller, .name = "interrupts", .hot = true };
	bool work;

	if (!q->controller->driver->interrupts || q->controller->silent)
		return false;
	op_enter(&op);
	work = q->controller->driver->interrupts(q, on) > 0;
	op_leave(&op);
	return work;
}

void driver_manage(struct task *t, enum hba_tmf function)
{
	struct hba_controller *c = t->queue->controller;
	struct op op = { .controller = c, .name = "manage", .hot = true, .fenced = true };

	op_enter(&op);
	c->driver->manage(t->queue, &t->head, function);
	op_leave(&op);
}
