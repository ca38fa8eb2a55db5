/* SPDX-License-Identifier: MIT */
/* intake.c: the loop takes in what other threads have handed over. */
#include "core/controller/controller.h"

void intake_tasks(struct hba_controller *c)
{
	struct task *t, *next;

	if (!__atomic_load_n(&c->inbox.inbox, __ATOMIC_RELAXED))
		return;
	for (t = inbox_take_tasks(c); t; t = next) {
		next = t->next;
		if (t->state == TASK_RETURNED)
			task_return(t);
		else if (!medium_ends(t)) /* the disk may have changed since that thread looked */
			task_dispatch(c, t);
	}
}

void intake_turn(struct hba_controller *c)
{
	struct list *l;

	intake_tasks(c);
	if (__atomic_load_n(&c->inbox.any, __ATOMIC_RELAXED))
		while ((l = inbox_take_waiting(c)))
			admit_waiting(l);
}
