/* SPDX-License-Identifier: MIT */
/*
 * io.h: the way of a command: admitted, submitted, queued, sent, completed, delivered or sent
 * again.
 */
#ifndef CORE_IO_H
#define CORE_IO_H

#include "core/topology/topology.h"

struct scsi_sense;

/* ---- queue.c, completion.c, deliver.c: the hot path */

struct hba_queue {
	struct hba_controller *controller;
	void *priv;
	unsigned index;
	unsigned with_driver;    /* tasks */
	struct task_list urgent; /* before everything else */
	struct list ready;       /* struct unit_queue: those with something to send */
	struct list held;        /* struct unit_queue: those that have, but must not */
	struct task_list ended;  /* dones owed */
	struct task_list handed_back;
	struct task_list free; /* clients' */
	uint64_t next_expiry;  /* no task expires before */
	uint64_t poll_at;      /* hba_poll_within; NO_DEADLINE */
	uint64_t held_until;   /* handed back because the queue is full; 0 = not */
	struct list watches;
	bool polled_only; /* nothing wakes us: the loop must not sleep while tasks are out */
};

int queues_create(struct hba_controller *c);
void queues_destroy(struct hba_controller *c);
/** queue_release_held() - Units that may send again get their turn. */
void queue_release_held(struct hba_queue *q);
/** queue_send_all() - Everything that may be sent now goes to the driver, in batches. */
void queue_send_all(struct hba_queue *q);
/** queue_turn() - Send, poll, deliver; returns how many tasks came back. */
unsigned queue_turn(struct hba_queue *q, unsigned budget);
/** queue_deliver() - Run up to `budget` dones. */
unsigned queue_deliver(struct hba_queue *q, unsigned budget);
void queue_poll(struct hba_queue *q, unsigned budget);
/**
 * queue_take_back() - What the driver handed back is queued again, or ends if nothing is sent any
 * more.
 */
void queue_take_back(struct hba_queue *q);
/** queue_begin_anew() - What was sent since the clock was read has its time from `now` on. */
void queue_begin_anew(struct hba_controller *c, uint64_t now);
/** queue_can_send() - Is there anything that may be sent now? */
bool queue_can_send(const struct hba_queue *q);
/** queue_add() - A checked task joins its unit's unsent ones. */
void queue_add(struct task *t);
/**
 * queue_add_again() - One that has been sent before, or handed back, or has more to send, goes
 * before those that never were.
 */
void queue_add_again(struct task *t);
/**
 * task_end() - Results in, done owed. From hba_complete, and for tasks that the core ends itself.
 */
void task_end(struct task *t, enum hba_outcome outcome, enum hba_sent sent);
/** task_retrieve() - It has left the driver; its done is owed. */
static inline void task_retrieve(struct task *t)
{
	t->queue->with_driver--;
	t->lun->out--;
	t->state = TASK_ENDED;
	task_list_append(&t->queue->ended, t);
}

/** task_keep_sense() - What came with its result, or after it; copied. */
void task_keep_sense(struct task *t, const void *sense, uint8_t length);
/** queue_flush() - End every unsent task (of `lun`, or of all if NULL) with `outcome`. */
void queue_flush(struct hba_controller *c, const struct hba_lun *lun, enum hba_outcome outcome);
/**
 * queue_withdraw() - An urgent task that is not sent yet ends, HBA_NOT_DELIVERED. false: it is
 * sent.
 */
bool queue_withdraw(struct task *t);
/** queue_end_lost() - After a stop or a reset: end all that the driver had. */
void queue_end_lost(struct hba_controller *c, bool memory_lost);
/** queue_end_gone() - The device is gone: end all that the driver had, HBA_NOT_PRESENT. */
void queue_end_gone(struct hba_controller *c);
/** queues_owe() - Is any done still to be run? */
bool queues_owe(const struct hba_controller *c);

/* ---- data.c: a task's data in the driver's terms */

enum { BOUNCE_SLICES = 64, BOUNCE_BYTES = 256 * 1024 };

/**
 * struct bounce - Slices for data that the device cannot reach in place. One per task, reserved at
 * admission; the loop's.
 */
struct bounce {
	uint8_t *slices[BOUNCE_SLICES]; /* a stack of the free ones */
	unsigned n, n_free;
	size_t bytes; /* of each */
};

/**
 * data_setup() - Limits from the report, and the bounce space. On the service thread, while the
 * pool is made.
 */
int data_setup(struct hba_controller *c);
/** data_prepare() - At submit: check the list and write the first stage. */
int data_prepare(struct hba_controller *c, struct task *t);
/**
 * data_settle() - A stage came back: copy its data to the client. true: the next stage is written
 * and must be sent.
 */
bool data_settle(struct task *t);
/** data_lies_in() - Has this task, which is not its client's now, data in the mapping? */
bool data_lies_in(const struct task *t, const struct hba_mapping *m);
/** data_restore_staged() - data_restore()'s, of what only a stage changes. */
void data_restore_staged(struct task *t);
/** data_restore() - Before its done: everything as the client wrote it. */
static inline void data_restore(struct task *t)
{
	if (t->view == HEAD_STAGED)
		data_restore_staged(t);
	else
		t->head.n_data = t->given_mode == HBA_DATA_REGION;
	t->head.data = t->given;
	t->head.mode = t->given_mode;
	t->view = HEAD_AS_GIVEN;
}

/* ---- submit.c, intake.c */

/** task_dispatch() - A checked task goes where it has to go. In the loop. */
void task_dispatch(struct hba_controller *c, struct task *t);
/** task_submit() - hba_submit() for tasks of any kind. */
int task_submit(struct task *t, hba_done_fn done, void *arg);
/** intake_tasks() - Take in tasks of other threads, submitted or put back. Loop, callbacks too. */
void intake_tasks(struct hba_controller *c);
/** intake_turn() - Their waiters as well. Loop. */
void intake_turn(struct hba_controller *c);

/* ---- admit.c */

/** admit() - Give free tasks to waiters, unit after unit. */
void admit(struct hba_controller *c);
bool admit_possible(const struct hba_controller *c);
/** admit_none() - Call `ready` of every waiter (of `lun`, or of all if NULL) without a task. */
void admit_none(struct hba_controller *c, struct hba_lun *lun);
/** admit_waiting() - A waiter from another thread now waits at its unit, like all others. */
void admit_waiting(struct list *link);
/** task_return() - hba_task_put(), in the loop. */
void task_return(struct task *t);
/**
 * internal_get() - An internal task for `lun`, or NULL if all are out. Given back by
 * hba_task_put().
 */
struct task *internal_get(struct hba_lun *lun);

/* ---- medium.c: is the disk that a command means still there? See medium.h, too */

/**
 * medium_heed() - It has come back with sense: an attention that may be about another disk holds
 * the unit. Before anything else is sent.
 */
void medium_heed(struct task *t);
/**
 * medium_is_news() - Is that sense a change of the medium, and does the task name no disk? Then its
 * client gets the sense.
 */
bool medium_is_news(const struct task *t, const struct scsi_sense *sense);
/**
 * medium_moved() - The generation has moved: raise the event, and end commands of the disk before.
 */
void medium_moved(struct hba_lun *lun, const struct hba_lun_info *before);
/** medium_unread() - The look has failed: again, but not for ever. */
void medium_unread(struct hba_lun *lun);
/**
 * medium_ends() - One that is about to be queued: true, and it has ended, if it means another disk.
 */
bool medium_ends(struct task *t);
/**
 * medium_tells() - A client's task, about to be queued: true, and it has ended with 28/00, if a
 * change was still to be reported.
 */
bool medium_tells(struct task *t);
/** medium_judge() - Success may have come from another disk: then it becomes 28/00. */
void medium_judge(struct task *t);

/* ---- disposition.c: a task has come back */

/** dispose() - true: it is not over, its done does not run yet. */
bool dispose(struct task *t);
/**
 * disposition_check_condition() - It has just come back so: without sense its unit freezes at once,
 * before anything else is sent to it.
 */
void disposition_check_condition(struct task *t);
/** disposition_good() - One more good end in a unit whose limit was lowered. */
void disposition_good(struct hba_lun *lun);
/** disposition_turn() - Send REQUEST SENSE for tasks that waited for an internal task. */
void disposition_turn(struct hba_controller *c);

#endif
