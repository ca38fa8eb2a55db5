/* SPDX-License-Identifier: MIT */
/* cancel.c: a client gives up on its task. */
#include "core/controller/controller.h"

static void unqueue(struct task *t)
{
	struct unit_queue *u = &t->lun->queues[t->head.queue];
	struct task *before = NULL;

	for (struct task *i = u->unsent.head; i != t; i = i->next)
		before = i;
	if (before)
		before->next = t->next;
	else
		u->unsent.head = t->next;
	if (u->unsent.tail == t)
		u->unsent.tail = before;
	if (!u->unsent.head)
		list_remove(&u->link);
}

void hba_cancel(struct hba_task *head)
{
	struct task *t = task_of(head);

	if (!head || !loop_is_here(t->queue->controller)) {
		misuse("the task is NULL, or this is not the loop's thread");
		return;
	}
	/* it may have been submitted by another thread just now */
	intake_tasks(t->queue->controller);
	if (t->state == TASK_OWNED || t->state == TASK_FREE || t->state == TASK_RETURNED) {
		misuse("the task is not out: it was not submitted, or its done has run");
		return;
	}
	t->final = true;
	if (t->state == TASK_QUEUED) {
		unqueue(t);
		task_end(t, HBA_NOT_DELIVERED, HBA_SENT_NO);
	} else if (t->state == TASK_HANDED_BACK) {
		t->cancelled = true;
	} else if (t->state == TASK_WITH_DRIVER) {
		/* From here on it is one whose time is over; the ladder does the rest. */
		t->cancelled = true;
		t->deadline = 0;
		t->queue->next_expiry = 0;
	}
}
