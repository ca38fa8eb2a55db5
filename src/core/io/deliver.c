/* SPDX-License-Identifier: MIT */
/* deliver.c: a turn of a queue: send, poll, and run the dones of tasks that have ended. */
#include "core/controller/controller.h"

unsigned queue_deliver(struct hba_queue *q, unsigned budget)
{
	/* a copy: its done may submit the task again, and still look at it */
	struct hba_result result;
	struct task *t;
	unsigned n;

	for (n = 0; n < budget && (t = task_list_pop(&q->ended)); n++) {
		if ((t->result.outcome != HBA_GOOD || t->view == HEAD_STAGED) && dispose(t))
			continue;
		if (t->lun->limit < t->lun->most && t->result.outcome == HBA_GOOD)
			disposition_good(t->lun);
		result = t->result;
		if (t->view)
			data_restore(t);
		t->state = TASK_OWNED;
		t->done(&t->head, &result, t->arg);
	}
	return n;
}

unsigned queue_turn(struct hba_queue *q, unsigned budget)
{
	unsigned n;

	queue_take_back(q);
	if (q->controller->silent)
		return queue_deliver(q, budget);
	queue_release_held(q);
	queue_send_all(q);
	/* With nothing out, too: a controller reports more than completions. */
	if (q->with_driver || q->controller->accepting)
		queue_poll(q, budget);
	n = queue_deliver(q, budget);
	/*
	 * Tasks that dones have submitted go with this turn: the device works on them while we are
	 * elsewhere.
	 */
	queue_send_all(q);
	return n;
}
