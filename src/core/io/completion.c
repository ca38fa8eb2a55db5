/* SPDX-License-Identifier: MIT */
/*
 * completion.c: a task leaves the driver, or never gets there: its result is filed, its done is
 * owed.
 */
#include "core/controller/controller.h"

#include <string.h>

void task_end(struct task *t, enum hba_outcome outcome, enum hba_sent sent)
{
	if (t->state == TASK_WITH_DRIVER) {
		task_retrieve(t);
	} else {
		t->state = TASK_ENDED;
		task_list_append(&t->queue->ended, t);
	}
	t->result = (struct hba_result) { .outcome = outcome, .sent = sent };
}

void task_keep_sense(struct task *t, const void *sense, uint8_t length)
{
	t->result.sense = length ? t->sense : NULL;
	t->result.sense_len = length;
	if (length)
		memcpy(t->sense, sense, length);
}

static void end_all(struct hba_controller *c, enum hba_outcome outcome, bool memory_lost)
{
	for (unsigned slot = 0; slot < c->pool.n; slot++) {
		struct task *t = &c->pool.tasks[slot];

		if (task_state(t) != TASK_WITH_DRIVER || t->head.kind == HBA_TASK_TMF)
			continue;
		t->final = true;
		task_end(t,
			 outcome == HBA_NOT_DELIVERED && t->expired && !t->cancelled
				 ? HBA_TASK_TIMEOUT
				 : outcome,
			 HBA_SENT_MAYBE);
		t->result.memory_lost = memory_lost;
	}
}

void queue_end_lost(struct hba_controller *c, bool memory_lost)
{
	end_all(c, memory_lost ? HBA_NO_STATUS : HBA_NOT_DELIVERED, memory_lost);
}

void queue_end_gone(struct hba_controller *c)
{
	end_all(c, HBA_NOT_PRESENT, false);
}
