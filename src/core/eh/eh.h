/* SPDX-License-Identifier: MIT */
/* eh.h: error handling: task management, the ladder of recovery, a device that is made quiet. */
#ifndef CORE_EH_H
#define CORE_EH_H

#include "core/scan/scan.h"

/* ---- tmf.c: task management functions */

struct tmf {
	/* with the driver; NULL: none, or its deadline has passed */
	struct hba_management *current;
	struct list waiting, decided;
	bool answered;
	enum hba_service_response response;
};

bool tmf_possible(const struct hba_controller *c, enum hba_tmf function);
/** tmf_post() - A checked request; `first`: before all others. Ends by its done, in time. */
void tmf_post(struct hba_controller *c, struct hba_management *m, bool first);
void tmf_turn(struct hba_controller *c);
/** tmf_begin_anew() - Requests since the clock was read have their time from `now` on. */
void tmf_begin_anew(struct hba_controller *c, uint64_t now);
uint64_t tmf_next(const struct hba_controller *c);
/** tmf_left() - How many tasks that the current function was to end are still out. */
unsigned tmf_left(const struct hba_controller *c);
/** tmf_answered() - The tmf task has left the driver with this response. */
void tmf_answered(struct hba_controller *c, struct task *t, enum hba_service_response response);
/** tmf_lost() - After a stop or a reset: a tmf task that the driver had is the core's again. */
void tmf_lost(struct hba_controller *c);
/** tmf_cancel_all() - The controller ends: every request gets its answer. */
void tmf_cancel_all(struct hba_controller *c);

/* ---- recovery.c */

struct recovery {
	struct task *victim; /* NULL: none is under way */
	struct hba_lun *lun; /* its unit; once it is back it may go to another */
	bool cancelled;      /* by its client; else its time was over */
	unsigned rung;
	uint64_t since, rung_since;
	char words[TASK_WORDS]; /* the victim's command; once it is back it may be another */
	struct hba_management management;
	bool asked;
	struct job job;
	bool job_out;
};

/** recovery_turn() - Find tasks whose time is over and go up the ladder for them. */
void recovery_turn(struct hba_controller *c);
/** recovery_first() - The rung that a timeout begins with: "abort task". */
const char *recovery_first(const struct hba_controller *c);
/** recovery_next() - The latest time of the next call; NO_DEADLINE. */
uint64_t recovery_next(const struct hba_controller *c);

/* ---- slow.c: commands that take long */

/** slow_turn() - Raise events for tasks that have been with the driver for long. Loop. */
void slow_turn(struct hba_controller *c);
/** slow_next() - The latest time of the next call; NO_DEADLINE. */
uint64_t slow_next(const struct hba_controller *c);

/* ---- quiesce.c */

/** struct letting_go - The loop's; see quiesce_let_go() and quiesce_gone(). */
struct letting_go {
	bool wanted, gone, job_out;
	bool stopped;   /* the driver, by the job */
	uint64_t until; /* tasks that the driver has are awaited till then */
	struct job job;
};

/**
 * quiesce_device() - Stop the driver, then the bus. 0: the device reaches no memory. Service
 * thread.
 */
int quiesce_device(struct hba_controller *c);
/**
 * quiesce_dead() - Every task ends, and no other comes. `lost`: the device may still reach memory.
 * Loop; it owes the dones.
 */
void quiesce_dead(struct hba_controller *c, bool lost);
/**
 * quiesce_lost() - quiesce_device() has failed: quiesce_dead(), with a sentence as an event and as
 * hba_error(). -EIO.
 */
int quiesce_lost(struct hba_controller *c);
/**
 * quiesce_stuck() - No turn ever begins again: quiesce_dead(), and every done is run here and now.
 * Again, for late requests. Loop.
 */
void quiesce_stuck(struct hba_controller *c);
/**
 * quiesce_gone() - The bus has lost its device: it is closed, then everything ends,
 * HBA_NOT_PRESENT, and it is gone. Loop.
 */
void quiesce_gone(struct hba_controller *c);
/**
 * quiesce_let_go() - The kernel requests the device back while it works: tasks that are out end,
 * the driver stops, the bus is closed; then the controller is gone. Loop.
 */
void quiesce_let_go(struct hba_controller *c);
/** quiesce_turn() - Whatever letting go can do now. Loop. */
void quiesce_turn(struct hba_controller *c);
uint64_t quiesce_next(const struct hba_controller *c);
/** quiesce_reached() - Is nothing out any more, neither with the driver nor owed to a client? */
bool quiesce_reached(struct hba_controller *c);
/** quiesce_answer() - No task is the driver's any more: every done that is owed is run. */
void quiesce_answer(struct hba_controller *c);
/** quiesce_failed() - Fail: the driver does not stop. -EIO. */
int quiesce_failed(const struct hba_controller *c);

#endif
