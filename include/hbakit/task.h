/* SPDX-License-Identifier: MIT */
/*
 * task.h: the SCSI task: one member of a controller's pool, seen from above (a client) and from
 * below (a driver).
 *
 *	get ──> fill ──> submit ──> process_task … hba_complete ──> done ──> submit again, or put
 *	        client             └─── with the driver ───┘        client
 *
 * A task is made once, its HBA data mapped and named once (map_hba_data), and then reused for ever.
 * `done` is the hand-back: until it runs the device may still touch the task's data, whatever a
 * timeout or a cancel said; from then on nobody does. The one exception says so itself:
 * hba_result::memory_lost, when not even the bus could confirm that DMA has ended.
 */
#ifndef HBAKIT_TASK_H
#define HBAKIT_TASK_H

#include <assert.h>
#include <hbakit/dma.h>
#include <hbakit/scsi.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hba_lun;
struct hba_queue;

enum hba_task_kind {
	HBA_TASK_CLIENT = 0,
	/* scan, REQUEST SENSE, recovery: a driver treats it like a client's */
	HBA_TASK_INTERNAL = 1,
	HBA_TASK_TMF = 2, /* comes by the op `manage`, never by process_task */
};

enum hba_task_flags {
	/* a block READ or WRITE; some chips have a doorbell of their own for these */
	HBA_TASK_RW = 1,
};

/**
 * struct hba_task - The part that both sides see: two cache lines, frozen by size and offsets.
 *
 * First line: who. Written by the core; nobody else writes it. Second line: what. The client fills
 * it between hba_task_get() and hba_submit(); the driver reads it between process_task and
 * hba_complete(), when it describes the piece to send now (a split transfer comes as several, one
 * after another), with `data` in the mode of the driver's report.
 */
struct hba_task {
	void *priv;               /* driver: task_priv_size bytes, zeroed once */
	void *hba_data;           /* driver: from the arena; NULL if the driver makes its own */
	struct hba_iova hba_iova; /* the same memory for the device */
	uint32_t unique_id;       /* fControllerTaskIdentifier: given once by map_hba_data */
	uint16_t slot;            /* index in the pool */
	uint8_t queue;            /* index of its queue, for life */
	uint8_t kind;             /* enum hba_task_kind */
	/* unique id in the low half, generation in the high: new for every process_task */
	uint64_t cookie;
	uint64_t tag;          /* SAM tag: unique in the unit, 1..2^tag_bits - 1; 0 = untagged */
	uint64_t target;       /* fTargetID; never the initiator's */
	struct hba_lun_id lun; /* fLogicalUnitBytes */

	uint8_t cdb[HBA_MAX_CDB]; /* zero beyond cdb_len */
	/* bytes asked for (fRequestedTransferCount); 0 with HBA_NO_DATA */
	uint64_t length;
	union hba_data data; /* the list; its lengths add up to `length` */
	uint32_t n_data;     /* items */
	uint32_t timeout_ms; /* from process_task on; 0 = none. Default: the unit's */
	uint8_t cdb_len;     /* 6, 10, 12, 16 or 32 */
	uint8_t direction;   /* enum hba_direction */
	uint8_t attribute;   /* enum hba_attribute. Default: HBA_SIMPLE */
	uint8_t mode;        /* enum hba_data_mode. Default for a client: HBA_DATA_CPU */
	uint8_t negotiate;   /* HBA_FEATURE_BIT()s to attempt; set by the core */
	/*
	 * HBA_FEATURE_BIT()s to clear: agreed, and the device there now has them not; set by the
	 * core
	 */
	uint8_t revert;
	uint8_t flags;    /* enum hba_task_flags; set by the core */
	uint8_t reserved; /* 0 */
};

static_assert(sizeof(struct hba_task) == 128, "the head of a task is frozen");
static_assert(offsetof(struct hba_task, cdb) == 64, "who in one cache line, what in the other");

/**
 * enum hba_sent - Did the target get the command? Decides whether it may be sent again. Forgetting
 * to say means MAYBE.
 */
enum hba_sent {
	HBA_SENT_MAYBE = 0, /* again only if idempotent and proven dead */
	HBA_SENT_NO = 1,    /* it cannot have: always safe to send again */
	HBA_SENT_YES = 2,   /* it did */
};

/**
 * struct hba_result - How a task ended (SCSIUserParallelResponse). Whatever is left out is zero,
 * and safe.
 */
struct hba_result {
	enum hba_outcome outcome; /* required */
	enum hba_sent sent;       /* implied YES when the target answered */
	uint64_t bytes;           /* really moved, 0..length: not the residual */
	const void *sense;        /* valid as long as the call or the done that carries it */
	uint8_t sense_len;        /* bytes, 0..HBA_MAX_SENSE */
	/* HBA_FEATURE_BIT()s that succeeded, of those in hba_task::negotiate */
	uint8_t negotiated;
	uint8_t reverted; /* HBA_FEATURE_BIT()s that were cleared */
	/*
	 * from the core only: 1 = the controller is dead, its device may write this memory for ever
	 */
	uint8_t memory_lost;
	uint8_t reserved[4]; /* 0 */
};

/* ---- for clients */

/**
 * struct hba_waiter - One who waits for a task. The caller's memory: waiting allocates nothing.
 *
 * Zero it, set `ready`. It is the core's from the moment hba_task_get() returns 1 until `ready`
 * runs or hba_waiter_cancel().
 */
struct hba_waiter {
	/*
	 * On the loop, with a task that is the caller's; NULL: none will ever come (the unit or
	 * controller is gone).
	 */
	void (*ready)(struct hba_waiter *w, struct hba_task *t);
	/* private: */
	void *core[4];
};

/**
 * hba_task_get() - Admission: take a task for a unit, and with it every right it needs on the way
 * down.
 * @bounce: bytes of data that do not lie in this controller's mappings: 0 = all do, or there are
 *          none
 * @w: who waits if there is none now; NULL = do not wait
 *
 * Pool, depth of the unit and bounce space are settled here, so nothing below can be full. Any
 * thread; never waits. 0: *ret_task is the caller's, its second line reset to defaults. 1: later,
 * by `w->ready` (or never, if NULL); always so when the caller is not the loop. -ENODEV: the
 * controller takes no tasks (any more).
 */
int hba_task_get(struct hba_lun *lun, size_t bounce, struct hba_waiter *w,
		 struct hba_task **ret_task);

/**
 * hba_waiter_cancel() - Wait no longer. Loop thread. 0: `ready` will not run. -ENOENT: it has run.
 */
int hba_waiter_cancel(struct hba_waiter *w);

/**
 * hba_task_put() - Give a task back. From its done, or before it was submitted. Any thread, never
 * waits. NULL is fine.
 */
void hba_task_put(struct hba_task *t);

/**
 * hba_done_fn - A task came back: `r` and its sense live until it returns. On the loop; may submit,
 * put, get; must not wait.
 */
typedef void (*hba_done_fn)(struct hba_task *t, const struct hba_result *r, void *arg);

/**
 * hba_submit() - Send a filled task. Any thread; never waits; allocates nothing.
 *
 * The task and the memory its data name are the core's until `done`, which runs exactly once if
 * this returns 0. Larger than the controller's limits: block reads and writes go in stages, all
 * else is -EMSGSIZE; so are data that the device cannot reach, if no bounce space was asked for.
 * -EINVAL: list, direction and length contradict one another, or no such region; -EACCES: a piece
 * outside its region. On an error the task is still the caller's and `done` never runs.
 */
int hba_submit(struct hba_task *t, hba_done_fn done, void *arg);

/**
 * hba_cancel() - Ask that a submitted task end soon: unsent at once, sent by ABORT TASK and the
 * ladder. Loop thread; never waits. A wish: `done` comes once, later, and still is the only
 * hand-back of memory. Before hba_submit(), and once `done` has run, it is wrong use: the task may
 * be somebody else's by then.
 *
 * Unsent, the task ends HBA_NOT_DELIVERED, HBA_SENT_NO. Sent, it ends as the driver says:
 * HBA_TASK_ABORTED as a rule, HBA_GOOD if it was faster; after a reset of the controller
 * HBA_NOT_DELIVERED, HBA_SENT_MAYBE. Never HBA_TASK_TIMEOUT.
 */
void hba_cancel(struct hba_task *t);

/**
 * struct hba_management - A client's task management request. The caller's memory, the core's until
 * `done`.
 *
 * It runs on the controller's tmf task; several wait their turn. Functions the driver lacks:
 * HBA_FUNCTION_REJECTED.
 */
struct hba_management {
	enum hba_tmf function;
	struct hba_lun *lun;     /* for HBA_TARGET_RESET: any unit of the target */
	struct hba_task *victim; /* HBA_ABORT_TASK only: submitted, and not back yet */
	/* 0 = 10,000. Ends as HBA_DELIVERY_FAILURE, never HBA_IN_PROCESS */
	uint32_t timeout_ms;
	/* On the loop. The victims' own dones have run before it. */
	void (*done)(struct hba_management *m, enum hba_service_response response);
	/* private: */
	void *core[4];
};

/** hba_manage() - Loop thread; never waits. -EINVAL: victim missing or not out. */
int hba_manage(struct hba_management *m);

#ifdef __cplusplus
}
#endif
#endif
