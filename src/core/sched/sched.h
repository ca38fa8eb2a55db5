/* SPDX-License-Identifier: MIT */
/*
 * sched.h: the service thread, which may wait; descriptors that wake the loop; the inbox, in which
 * other threads put what is the loop's.
 */
#ifndef CORE_SCHED_H
#define CORE_SCHED_H

#include "core/diag/diag.h"

struct task;

/* ---- watch.c: descriptors of a queue that wake the loop */

/** struct watch - A descriptor the sleeping loop minds: a driver's, or an interrupt vector's. */
struct watch {
	struct list link;
	int fd;
	bool drain; /* an interrupt vector's eventfd: read it when awake */
	bool fired;
	unsigned vector;
};

/** queue_watch_vector() - An eventfd that wakes the loop for this queue, and is drained by it. */
int queue_watch_vector(struct hba_queue *q, int fd, unsigned vector);
/** queue_drain_vectors() - Awake: the eventfds of interrupts are read. */
void queue_drain_vectors(const struct hba_queue *q);
/** queue_take_fired() - The next vector that has fired and was not returned yet; false: none. */
bool queue_take_fired(const struct hba_queue *q, unsigned *ret_vector);
/** queue_unwatch() - No descriptor of this queue is watched any more. */
void queue_unwatch(struct hba_queue *q);

/* ---- worker.c: the thread that may wait; wait.c */

enum { DEFAULT_OP_MS = 10 * MS_PER_S };

/** struct job - Something that may wait. The caller's memory until `done` has run. */
struct job {
	struct list link;
	const char *name; /* the op; also the step's name if `step` */
	bool step;        /* time it as a step of the life cycle */
	bool may_map;
	/* deadline of the op; 0 = DEFAULT_OP_MS */
	unsigned ms;
	int (*run)(struct hba_controller *c, struct job *job);   /* service thread, loop fenced */
	void (*done)(struct hba_controller *c, struct job *job); /* loop; NULL: none */
	int error;
	uint64_t began, ns; /* by the controller's clock; it took */
};

struct worker {
	pthread_t thread;
	pthread_mutex_t lock; /* the members down to `quit` */
	pthread_cond_t changed;
	struct list todo, over;
	struct job *running;
	/* by worker_call(): here, for an op that never comes back never lets go of it */
	struct job called;
	/*
	 * when the running op is given up, by the controller's clock (atomic) and in real time; 0:
	 * not begun
	 */
	uint64_t until, until_real;
	bool up, quit;
	void (*stuck)(struct hba_controller *c);

	/*
	 * The fence. The service raises it and waits till no turn runs; a turn that finds it raised
	 * ends at once.
	 */
	bool fence;    /* atomic */
	bool turning;  /* atomic */
	bool has_over; /* atomic: jobs in `over` */
	bool cancel;   /* atomic: waits of the running op end with -ECANCELED */
};

/** worker_start() - `stuck`: the controller has been given up, on the thread that gave it up. */
int worker_start(struct hba_controller *c, void (*stuck)(struct hba_controller *c));
/**
 * worker_stop() - Lets the running job end. -ETIMEDOUT: it does not; the thread is left behind and
 * the controller is dead.
 */
int worker_stop(struct hba_controller *c);
void worker_post(struct hba_controller *c, struct job *job);
/**
 * worker_call() - Post a copy of `job` and wait for it, its deadline and a grace. -ETIMEDOUT: this
 * op, or the one before it, has not come back: the controller is given up, see quiesce_stuck(). One
 * call at a time, on the loop's thread, not from a callback.
 */
int worker_call(struct hba_controller *c, const struct job *job);
/** worker_reap() - Run the `done`s of the jobs that are over. Loop. */
void worker_reap(struct hba_controller *c);
bool worker_idle(struct hba_controller *c);
/**
 * worker_fenced() - Loop, refused its turn. -ETIMEDOUT: the op has not come back, the controller
 * is given up, see quiesce_stuck().
 */
int worker_fenced(struct hba_controller *c);
/** worker_next() - Loop, refused its turn: the latest time of the next call. */
uint64_t worker_next(struct hba_controller *c);
/** turn_begin() - false: fenced, do nothing but worker_fenced(). */
bool turn_begin(struct hba_controller *c);
void turn_end(struct hba_controller *c);

/* ---- inbox.c: other threads than the loop's */

struct inbox {
	struct task *inbox;     /* atomic: a stack of tasks submitted or put back */
	pthread_mutex_t lock;   /* what follows */
	pthread_cond_t changed; /* a release is granted */
	struct list waiting, releases;
	bool over; /* no task will have memory in anything */
	bool any;  /* atomic: one of the lists has something */
};

/** inbox_push() - Hand a task, submitted or returned, to the loop. Any thread; never waits. */
void inbox_push(struct hba_controller *c, struct task *t);
/** inbox_wait() - Hand a waiter to the loop. */
void inbox_wait(struct hba_controller *c, struct list *waiting);
void inbox_init(struct inbox *g);
void inbox_fini(struct inbox *g);
bool inbox_knock(const struct hba_controller *c);
/** inbox_take_tasks() - All that they have submitted or put back, linked by task::next. Loop. */
struct task *inbox_take_tasks(struct hba_controller *c);
/** inbox_take_waiting() - The next waiter; NULL: none. Loop. */
struct list *inbox_take_waiting(struct hba_controller *c);
/** inbox_end() - No task is out any more, and none will be: no release has to wait. */
void inbox_end(struct hba_controller *c);

#endif
