/* SPDX-License-Identifier: MIT */
/*
 * soft-faults.h: faults of a software HBA on request: busy, full, slow, forgetful. They lie between
 * a task's arrival and its disk: the driver calls fault_arrive() for each task, and fault_leave()
 * when it has left.
 *
 *	process_task ── fault_arrive ──> FAULT_RUN        to the disk
 *	                             ├─> FAULT_ATTENTION  the same, but first the unit's attention
 *	                             └─> FAULT_KEPT       completed, or handed back, or later:
 *	                                                  poll ── fault_due ──> to the disk
 *
 * One thread per queue; state that several queues share (how full a unit is) is atomic.
 */
#ifndef DRIVERS_SOFT_FAULTS_H
#define DRIVERS_SOFT_FAULTS_H

#include "base/base.h"

#include <hbakit/driver.h>

/**
 * struct fault - The options of the URI; 0: not given. Commands are those of clients, but for
 * latency_us.
 */
struct fault {
	uint64_t busy; /* every so many commands one finds the unit BUSY */
	/* so many commands of a unit may be out, one more meets TASK SET FULL */
	uint64_t full;
	uint64_t attention;  /* every so many commands the unit reports a reset */
	uint64_t requeue;    /* every so many arrivals there is no room */
	uint64_t latency_us; /* a command waits so long before it begins */
};

/** struct fault_queue - In a queue's memory. */
struct fault_queue {
	/* how many came so far: at all, past `requeue`, past `busy` */
	uint64_t arrivals, commands, polite;
	/* struct fault_task, by due; all wait equally long, so the order is that of arrival */
	struct list late;

	/* A task was handed back for want of room: how often, and until when there is none. */
	unsigned hand_backs;
	uint64_t room_at; /* 0 = there is */
	enum hba_scope scope;
	struct hba_target *target;
	struct hba_lun_id lun;
};

/** struct fault_unit - At the beginning of a unit's memory. */
struct fault_unit {
	unsigned out; /* atomic: commands of any queue */
};

/** struct fault_task - In a task's HBA data. */
struct fault_task {
	struct list link; /* fault_queue::late, or alone */
	struct hba_task *task;
	uint64_t due; /* ns */
	bool counted; /* in fault_unit::out */
};

enum fault_verdict { FAULT_RUN, FAULT_ATTENTION, FAULT_KEPT };

/** fault_queue_begin() - In every start: no task is late. */
void fault_queue_begin(struct fault_queue *mq);
/** fault_task_begin() - In map_hba_data. */
void fault_task_begin(struct fault_task *mt, struct hba_task *t);

/**
 * fault_arrive() - In process_task: what becomes of this task? Kept: it is none of the driver's
 * business now.
 */
enum fault_verdict fault_arrive(const struct fault *m, struct hba_queue *q, struct fault_task *mt);
/** fault_leave() - Before a task that was run, or was to be run later, is completed. */
void fault_leave(struct fault_task *mt);

/**
 * fault_due() - In poll: the next task whose time has come; NULL: none. To run it, call it back.
 */
struct hba_task *fault_due(struct hba_queue *q);
/**
 * fault_rest() - At the end of poll: call hba_ready() when there is room, and hba_poll_within().
 */
void fault_rest(struct hba_queue *q);
/** fault_ready() - Before sleep: is there a reason not to? */
bool fault_ready(const struct hba_queue *q);
/**
 * fault_call_back() - To run a task, or to abort it: true, if it was late. It is to be completed.
 */
bool fault_call_back(struct fault_task *mt);

#endif
