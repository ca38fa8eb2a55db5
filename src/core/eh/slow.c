/* SPDX-License-Identifier: MIT */
/*
 * slow.c: commands that take long: an event while one is still out, and another with its time when
 * it is back.
 *
 * The way of a command reads no clock for it: the loop's time is written down when a task is sent,
 * and all tasks are looked at when the oldest one that is out may have become slow. A task marked
 * then takes the careful way of hba_complete(), which raises the event.
 */
#include "core/controller/controller.h"

#include <stdio.h>

enum {
	HANG_MS = 5 * MS_PER_S,
	LOOK_MS = 10, /* between two looks: each goes through the whole pool */
};

/* A command hangs no earlier than it is slow. */
static uint64_t hang_ns(const struct hba_controller *c)
{
	uint64_t ns = HANG_MS * (uint64_t)NS_PER_MS;

	return c->slow_ns > ns ? c->slow_ns : ns;
}

/*
 * A task's time stands still while the link of its target is lost; recovery reports its victims
 * itself.
 */
static bool is_watched(const struct task *t)
{
	return task_state(t) == TASK_WITH_DRIVER && t->head.kind != HBA_TASK_TMF &&
	       t->slow != SLOW_TOLD && !t->expired && !t->cancelled;
}

/* When it is to be looked at next. */
static uint64_t slow_look(struct hba_controller *c, struct task *t)
{
	uint64_t age = c->now - t->sent_at;

	if (t->lun->target->blocked)
		return c->now + c->slow_ns;
	if (age < c->slow_ns)
		return t->sent_at + c->slow_ns;
	if (t->slow == SLOW_NOT)
		t->slow = SLOW_SEEN;
	if (age < hang_ns(c))
		return t->sent_at + hang_ns(c);
	t->slow = SLOW_TOLD;
	if (!t->lun->hanging++ || t->sent_at < t->lun->eldest->sent_at)
		t->lun->eldest = t;
	return NO_DEADLINE;
}

static void tell_hanging(struct hba_controller *c, struct hba_lun *lun)
{
	const struct task *t = lun->eldest;
	char command[TASK_WORDS], age[TIME_WORDS], limit[TIME_WORDS],
		others[48] = " has", next[80] = "no timeout is set";

	task_words(t, command);
	time_words(c->now - t->sent_at, age);
	if (lun->hanging > 1)
		snprintf(others, sizeof(others), " and %u others of this unit have",
			 lun->hanging - 1);
	if (t->head.timeout_ms) {
		time_words(t->deadline - t->sent_at, limit);
		snprintf(next, sizeof(next), "%s at %s", recovery_first(c), limit);
	}
	event_put(c, HBA_EVENT_HANGING, lun->target->id, &lun->id, lun->hanging,
		  "%s%s been with the driver for %s; %s", command, others, age, next);
	lun->hanging = 0;
	lun->eldest = NULL;
}

void slow_turn(struct hba_controller *c)
{
	uint64_t next = NO_DEADLINE, soonest = c->now + LOOK_MS * (uint64_t)NS_PER_MS;
	bool any = false;

	if (c->now < c->slow_at)
		return;
	for (unsigned slot = 0; slot < c->pool.n; slot++) {
		struct task *t = &c->pool.tasks[slot];
		uint64_t at = is_watched(t) ? slow_look(c, t) : NO_DEADLINE;

		any = any || (at == NO_DEADLINE && t->slow == SLOW_TOLD);
		next = at < next ? at : next;
	}
	c->slow_at = next < soonest ? soonest : next;
	for (unsigned slot = 0; any && slot < c->pool.n; slot++) {
		const struct task *t = &c->pool.tasks[slot];

		if (task_state(t) == TASK_WITH_DRIVER && t->lun->eldest == t)
			tell_hanging(c, t->lun);
	}
}

uint64_t slow_next(const struct hba_controller *c)
{
	for (unsigned i = 0; i < c->n_queues; i++)
		if (c->queues[i]->with_driver)
			return c->slow_at;
	return NO_DEADLINE;
}
