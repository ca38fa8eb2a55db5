/* SPDX-License-Identifier: MIT */
/*
 * controller.h: a controller, which owns everything in the core; and the rooms on its top: start
 * and stop, power, the turns of its loop.
 *
 * Threads (docs/architecture.md):
 *
 *	the loop      hba_controller_run() and all that it calls: queues, hot ops, a client's
 *	              callbacks, scan, recovery. No locks.
 *	the service   one thread per controller: waiting ops, with the loop fenced off (worker.c)
 *	any thread    events, errors, memory objects, a unit's information: each under a lock of
 *	              its own, named at the struct
 *
 * Lock order: none is ever held while another is taken.
 */
#ifndef CORE_CONTROLLER_H
#define CORE_CONTROLLER_H

#include "core/driver-call.h"
#include "core/eh/eh.h"

#include <assert.h>
#include <hbakit/controller.h>

struct runner {
	pthread_t thread;
	bool up;
	bool quit; /* atomic */
};

struct hba_controller {
	const struct hba_driver *driver;
	struct hba_driver table; /* a copy, padded with NULL where an older plug-in's is shorter */
	const void *variant;
	char *uri, *path, *query, *name; /* query: what follows the `?`; NULL */
	struct bus_link bus;
	struct uri_option *options;
	struct hba_options given;
	const struct clock *clock;

	enum hba_state state;
	bool accepting;       /* submissions */
	uint64_t cdb_lengths; /* a bit for each that a CDB may have here */
	/* atomic: a waiting op never came back: its thread still owns what it uses */
	bool stuck;
	bool starting;        /* atomic: on its way up */
	bool start_cancelled; /* atomic: by hba_controller_cancel() */
	uint64_t start_until; /* by the clock, while it is starting */
	bool silent;          /* the driver has stopped for good: none of its ops is called again */
	struct letting_go letting_go;
	bool lost;          /* atomic: not even the bus could confirm that DMA has ended */
	uint64_t now;       /* once per turn, and before the loop sleeps */
	bool deadlines_set; /* since it was read, and counted from it */
	uint64_t slow_ns;   /* a command that takes longer raises an event */
	/* no task is reported as slow before; NO_DEADLINE: none is out that was not reported */
	uint64_t slow_at;
	struct hba_report report;
	void *priv;

	struct pool pool;
	struct hba_queue **queues;
	unsigned n_queues, next_queue;
	struct task_list internal_free, tmf_free;
	/* clients' tasks, now and at most: the driver may lower it */
	unsigned clients_out, most_clients;
	/* CHECK CONDITIONs that wait for an internal task */
	struct task_list senseless;
	struct tmf tmf;
	bool paused;          /* by power: what is submitted waits */
	enum hba_power power; /* the last request */

	struct list targets; /* by id */
	unsigned n_leaving;
	struct list starving; /* units with waiters, in turn */
	/* every unit's info, and the lists of targets and units: the loop changes them */
	pthread_mutex_t info_lock;
	struct properties properties;

	struct memory memory;
	struct sgl_limits limits[2]; /* [0] reads, [1] writes */
	/* the same for data in one piece, by direction */
	struct sgl_one one[HBA_FROM_TARGET + 1];
	/* CPU mode with no limit at all: lists go as they are */
	bool unlimited;
	struct bounce bounce;
	uint32_t internal_most; /* bytes that an internal task can have moved at once */
	struct worker worker;
	struct sleeper sleeper;
	struct event_ring events;
	struct driver_events driver_events;
	struct inbox inbox;
	struct runner runner;
	uintptr_t loop_thread; /* atomic: its thread_here(), or NO_THREAD */
	pid_t process;         /* that started it, and has its threads */
	bool in_turn;          /* the loop's: a callback may be running */
	bool chores_owed;      /* the last turn left them to a later one */
	uint64_t chores_at;    /* when they wait no longer for a turn without completions */
	struct recovery recovery;
	struct scan *scan;
	bool rescan_wanted; /* atomic */
	bool scan_wanted;   /* of some target */
	struct list looks;  /* units that are to be read anew, one after another */

	char op_sentence[SENTENCE_BYTES]; /* hba_fail()'s: the running op's, the service thread's */
	char sentence[SENTENCE_BYTES];    /* a failed step's, on its way to the caller's thread */
	const struct hba_driver *loaded;  /* this and the next: the plan's */
	void (*unload)(const struct hba_driver *loaded);
	struct hba_step steps[MAX_STEPS];
	unsigned n_steps;
	uint64_t violations;
	uint64_t device_errors; /* since start: invalid data that it has reported */
};

/** driver_process_task() - In an op that the caller has entered for the whole batch. */
static inline void driver_process_task(struct hba_queue *q, struct task *t)
{
	q->controller->driver->process_task(q, &t->head);
}

/** loop_is_here() - Is this thread the loop? */
static inline bool loop_is_here(const struct hba_controller *c)
{
	return __atomic_load_n(&c->loop_thread, __ATOMIC_RELAXED) == thread_here();
}

/** in_callback() - Is this thread inside a turn of this controller's loop? */
static inline bool in_callback(const struct hba_controller *c)
{
	return loop_is_here(c) && c->in_turn;
}

/** device_is_gone() - The device is lost. Any thread; final. */
static inline bool device_is_gone(const struct hba_controller *c)
{
	return __atomic_load_n(&c->bus.gone, __ATOMIC_RELAXED);
}

/** controller_is_stuck() - Any thread; final. */
static inline bool controller_is_stuck(const struct hba_controller *c)
{
	return __atomic_load_n(&c->stuck, __ATOMIC_ACQUIRE);
}

/** start_is_cancelled() - Is it on its way up, and shall not go on? Any thread. */
static inline bool start_is_cancelled(const struct hba_controller *c)
{
	return __atomic_load_n(&c->starting, __ATOMIC_ACQUIRE) &&
	       __atomic_load_n(&c->start_cancelled, __ATOMIC_ACQUIRE);
}

/* ---- lifecycle.c */

/**
 * controller_new() - For host/: everything resolved, nothing touched. `uri` is taken apart by the
 * caller.
 */
struct controller_plan {
	const struct hba_driver *driver;
	const struct hba_bus *bus; /* NULL: the driver has no device */
	const void *variant;
	const char *uri;
	const char *path;                  /* between colon and `?` */
	const char *query;                 /* after the `?`; NULL */
	const struct hba_options *options; /* NULL = defaults */
	const struct clock *clock;         /* NULL = the real one */
	/*
	 * A plug-in goes at close, when none of its code will run again: not if this fails, nor if
	 * an op never came back. NULL: none.
	 */
	const struct hba_driver *loaded;
	void (*unload)(const struct hba_driver *loaded);
};
int controller_new(const struct controller_plan *plan, struct hba_controller **ret_c);

/* ---- turn.c, loop-thread.c, mapping-release.c */

/** loop_run() - hba_controller_run(), for whoever is the loop. */
int loop_run(struct hba_controller *c, unsigned budget);
/** loop_arm() - hba_controller_arm(), likewise. */
int loop_arm(struct hba_controller *c);
/** loop_until() - Run the loop, sleeping, until `over` returns true. -ETIMEDOUT after `ms`. */
int loop_until(struct hba_controller *c, bool (*over)(struct hba_controller *c), unsigned ms);
int runner_start(struct hba_controller *c);
void runner_stop(struct hba_controller *c);
/** releases_turn() - Let go of mappings that other threads release and no task uses. Loop. */
void releases_turn(struct hba_controller *c);

#endif
