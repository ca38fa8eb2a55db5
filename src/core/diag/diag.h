/* SPDX-License-Identifier: MIT */
/*
 * diag.h: errors, events, the states of a controller, the op of its driver that a thread is in, and
 * waking its loop.
 */
#ifndef CORE_DIAG_H
#define CORE_DIAG_H

#include "base/base.h"
#include "core/diag/error.h"

#include <hbakit/driver.h>
#include <hbakit/event.h>
#include <pthread.h>
#include <stdarg.h>

enum { CACHE_LINE = 64, SENTENCE_BYTES = 512 };

#define NO_DEADLINE UINT64_MAX

struct hba_controller;

/* ---- op.c: the op of a driver that this thread is in */

/** struct op - One call into a driver; on the caller's stack. Helpers are checked against it. */
struct op {
	struct hba_controller *controller;
	const char *name; /* the table's member */
	/* counts the calls of an op that comes once per task, from 1; 0 = does not count */
	uint64_t call;
	uint64_t deadline; /* of a waiting op, by the controller's clock */
	bool hot;
	bool fenced;  /* hot, but no op of another queue runs beside it */
	bool may_map; /* memory may be taken */
	struct op *outer;
};

/*
 * The core's only thread-local besides the sentence of hba_error(). It stands in this header
 * because every command reads it.
 */
extern _Thread_local struct op *op_current __attribute__((tls_model("initial-exec")));
static inline void op_enter(struct op *op)
{
	op->outer = op_current;
	op_current = op;
}

static inline void op_leave(struct op *op)
{
	op_current = op->outer;
}

/** op_now() - The op this thread is in; NULL outside any. */
static inline const struct op *op_now(void)
{
	return op_current;
}

/** op_may_wait() - Is this a waiting op? If not, report the violation of `call`. */
bool op_may_wait(struct hba_controller *c, const char *call) __attribute__((cold));
/** op_is_fenced() - Is this the only op that runs? If not, report the violation of `call`. */
bool op_is_fenced(struct hba_controller *c, const char *call);
/** op_is_any() - Is this an op at all? If not, report the violation of `call`. */
bool op_is_any(struct hba_controller *c, const char *call);
enum { NO_THREAD = 0 };

/** thread_here() - This thread, as a number that no other one has while it lives. */
static inline uintptr_t thread_here(void)
{
	return (uintptr_t)&op_current;
}

/* ---- error.c: sentences; fail() is in error.h */

/** sentence_write() - Like vsnprintf(), but a text that had to be cut ends in "...". */
void sentence_write(char text[SENTENCE_BYTES], const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

/* ---- event.c */

enum { EVENT_RING = 256 };

struct event_ring {
	pthread_mutex_t lock; /* the ring; any thread puts, the loop takes */
	struct hba_event events[EVENT_RING];
	unsigned first, n;
	uint64_t lost;
};

static_assert(sizeof(((struct hba_event *)0)->text) == SENTENCE_BYTES,
	      "what hba_error() says, an event can");

/**
 * event_put() - Keep one for hba_event_next(). `target` HBA_NO_TARGET: about the controller; lun
 * may be NULL.
 */
void event_put(struct hba_controller *c, enum hba_event_kind kind, uint64_t target,
	       const struct hba_lun_id *lun, int64_t value, const char *format, ...)
	__attribute__((format(printf, 6, 7)));
/**
 * violation() - The driver broke a rule. The text begins with driver and op; the format adds value
 * and rule. Returns -EPROTO.
 */
int violation(struct hba_controller *c, const char *format, ...)
	__attribute__((cold, format(printf, 2, 3)));
/**
 * no_errno() - The violation of an op that returned a number above 0, which is neither success nor
 * an error.
 */
int no_errno(struct hba_controller *c, int returned);

/* ---- wake.c: a loop that sleeps, and what wakes it */

struct sleeper {
	int epoll, wake, timer; /* wake: eventfd; timer: timerfd */
	bool armed;             /* the loop's */
	/* atomic: work that arrives must be followed by a write to `wake` */
	bool asleep;
};

int sleeper_init(struct sleeper *s);
void sleeper_fini(struct sleeper *s);
/** sleeper_watch() - The loop wakes when `fd` is readable; closing it ends that. */
int sleeper_watch(const struct sleeper *s, int fd);
/** sleeper_add() - sleeper_watch(), for these events. */
int sleeper_add(const struct sleeper *s, int fd, uint32_t events);
/** sleeper_set() - Wake the loop at `at`; NO_DEADLINE: not by the clock. */
void sleeper_set(const struct sleeper *s, uint64_t now, uint64_t at);
/** sleeper_drain() - Awake: what woke the loop is forgotten. */
void sleeper_drain(const struct sleeper *s);
/** wake_drain() - Read an eventfd or a timerfd; true: it had fired. */
bool wake_drain(int fd);
/** loop_wake() - Any thread: there is work. */
void loop_wake(struct hba_controller *c);

/* ---- state.c */

enum { MAX_STEPS = 32 };

/**
 * controller_move() - To another state, if the table of transitions has it; raises an event.
 * -EBUSY: it has not.
 */
int controller_move(struct hba_controller *c, enum hba_state to);
/**
 * driver_error() - Set hba_error() for an op that has failed: to the driver's own sentence, if
 * there is one. Returns `error`.
 */
int driver_error(const struct hba_controller *c, const char *op, int error);
void step_record(struct hba_controller *c, const char *name, uint64_t ns, int error);

#endif
