/* SPDX-License-Identifier: MIT */
/*
 * task.h: the SCSI task: one member of a controller's pool, seen from above (a client) and from
 * below (a driver).
 *
 *	get ──> fill ──> submit ──> process_task … hba_complete ──> done ──> submit again, or put
 *	        client             └─── with the driver ───┘        client
 *
 * A task is made once, its HBA data mapped and named once (map_hba_data), and then reused without
 * limit. `done` returns the task and its data. Until `done` runs, the device may still access the
 * data, even after a timeout or a cancel; afterwards neither device nor driver does. The one
 * exception is marked by hba_result::memory_lost: even the bus could not confirm that DMA has
 * ended.
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
	HBA_TASK_INTERNAL = 1, /* scan, REQUEST SENSE, recovery; for a driver like a client's */
	HBA_TASK_TMF = 2,      /* comes by the op `manage`, never by process_task */
};

enum hba_task_flags {
	HBA_TASK_RW = 1, /* a block READ or WRITE; some chips have a separate doorbell for these */
};

/**
 * struct hba_task - The part that client and driver share: two cache lines, frozen by size and
 * offsets.
 *
 * First line: the identity, written only by the core. Second line: the command. The client fills it
 * between hba_task_get() and hba_submit(). The driver reads it between process_task and
 * hba_complete(), with `data` in the mode of the driver's report. The line then describes the part
 * to send now: a split transfer reaches the driver as several parts, one after another.
 */
struct hba_task {
	void *priv;               /* driver: task_priv_size bytes, zeroed once */
	void *hba_data;           /* driver: from the arena; NULL if the driver makes its own */
	struct hba_iova hba_iova; /* the same memory for the device */
	uint32_t unique_id;       /* fControllerTaskIdentifier: given once by map_hba_data */
	uint16_t slot;            /* index in the pool */
	uint8_t queue;            /* index of its queue, for life */
	uint8_t kind;             /* enum hba_task_kind */
	uint64_t cookie;          /* unique id | generation << 32; new for every process_task */
	uint64_t tag;             /* SAM tag: unique in the unit, 1..2^tag_bits - 1; 0 = untagged */
	uint64_t target;          /* fTargetID; never the initiator's */
	struct hba_lun_id lun;    /* fLogicalUnitBytes */

	uint8_t cdb[HBA_MAX_CDB]; /* zero beyond cdb_len */
	uint64_t length;     /* bytes requested (fRequestedTransferCount); 0 with HBA_NO_DATA */
	union hba_data data; /* the list; its lengths add up to `length` */
	uint32_t n_data;     /* items */
	uint32_t timeout_ms; /* from process_task on; 0 = none. Default: the unit's */
	uint8_t cdb_len;     /* 6, 10, 12, 16 or 32 */
	uint8_t direction;   /* enum hba_direction */
	uint8_t attribute;   /* enum hba_attribute. Default: HBA_SIMPLE */
	uint8_t mode;        /* enum hba_data_mode. Default for a client: HBA_DATA_CPU */
	uint8_t negotiate;   /* HBA_FEATURE_BIT()s to attempt; set by the core */
	uint8_t revert;      /* agreed HBA_FEATURE_BIT()s to clear, now absent; set by the core */
	uint8_t flags;       /* enum hba_task_flags; set by the core */
	uint8_t reserved;    /* 0 */
};

static_assert(sizeof(struct hba_task) == 128, "the head of a task is frozen");
static_assert(offsetof(struct hba_task, cdb) == 64, "who in one cache line, what in the other");

/**
 * enum hba_sent - Did the target receive the command? Decides whether it may be sent again. The
 * default is MAYBE.
 */
enum hba_sent {
	HBA_SENT_MAYBE = 0, /* again only if idempotent and proven dead */
	HBA_SENT_NO = 1,    /* not received: always safe to send again */
	HBA_SENT_YES = 2,   /* received */
};

/** struct hba_result - How a task ended (SCSIUserParallelResponse). Zero is a safe default. */
struct hba_result {
	enum hba_outcome outcome; /* required */
	enum hba_sent sent;       /* YES is implied if the target responded */
	uint64_t bytes;           /* transferred, 0..length; not the residual */
	const void *sense;        /* valid during the call or the done that carries it */
	uint8_t sense_len;        /* bytes, 0..HBA_MAX_SENSE */
	uint8_t negotiated;       /* HBA_FEATURE_BIT()s that succeeded, of hba_task::negotiate */
	uint8_t reverted;         /* HBA_FEATURE_BIT()s that were cleared */
	uint8_t memory_lost; /* by the core: 1 = controller dead; DMA to this memory may go on */
	uint8_t reserved[4]; /* 0 */
};

/* ---- for clients */

/**
 * struct hba_waiter - A request to wait for a task. The caller's memory: waiting allocates nothing.
 *
 * Zero it and set `ready`. The core owns it from the moment hba_task_get() returns 1 until `ready`
 * runs or hba_waiter_cancel() returns.
 */
struct hba_waiter {
	/*
	 * Runs on the loop, with a task that is then the caller's. NULL: no task will ever come
	 * (the unit or controller is gone).
	 */
	void (*ready)(struct hba_waiter *w, struct hba_task *t);
	/* private: */
	void *core[4];
};

/**
 * hba_task_get() - Admission: take a task for a unit, with all resources that it needs on its way
 * down.
 * @bounce: bytes of data outside this controller's mappings; 0 = none
 * @w: waits if there is no task now; NULL = do not wait
 *
 * Pool, depth of the unit and bounce space are reserved here, so no layer below can be full. Any
 * thread; never waits. 0: *ret_task is the caller's, its second line reset to defaults. 1: later,
 * by `w->ready` (or never, if NULL); always 1 if the caller is not the loop. -ENODEV: the
 * controller takes no tasks (any more).
 */
int hba_task_get(struct hba_lun *lun, size_t bounce, struct hba_waiter *w,
		 struct hba_task **ret_task);

/**
 * hba_waiter_cancel() - Stop waiting. Loop thread. 0: `ready` will not run. -ENOENT: it has run.
 */
int hba_waiter_cancel(struct hba_waiter *w);

/**
 * hba_task_put() - Return a task to the pool. From its done, or before it was submitted. Any
 * thread, never waits. NULL is fine.
 */
void hba_task_put(struct hba_task *t);

/**
 * hba_done_fn - A task came back: `r` and its sense are valid until it returns. On the loop; may
 * submit, put, get; must not wait.
 */
typedef void (*hba_done_fn)(struct hba_task *t, const struct hba_result *r, void *arg);

/**
 * hba_submit() - Send a filled task. Any thread; never waits; allocates nothing.
 *
 * The core owns the task and the memory of its data until `done`, which runs exactly once if this
 * returns 0. -EMSGSIZE: larger than the controller's limits (block reads and writes go in stages
 * instead), or data that the device cannot access, with no bounce space reserved. -EINVAL: list,
 * direction and length contradict one another, or no such region; -EACCES: a piece outside its
 * region. On an error the task is still the caller's and `done` never runs.
 */
int hba_submit(struct hba_task *t, hba_done_fn done, void *arg);

/**
 * hba_cancel() - Request that a submitted task end soon: at once if unsent, otherwise by ABORT TASK
 * and the further rungs of recovery. Loop thread; never waits. Memory is returned by `done` as
 * always, which runs once, later. Do not call it before hba_submit() or after `done` has run: the
 * task may be another client's by then.
 *
 * An unsent task ends HBA_NOT_DELIVERED, HBA_SENT_NO. A sent task ends with the driver's result:
 * usually HBA_TASK_ABORTED, or HBA_GOOD if it completed first; after a controller reset
 * HBA_NOT_DELIVERED, HBA_SENT_MAYBE. Never HBA_TASK_TIMEOUT.
 */
void hba_cancel(struct hba_task *t);

/**
 * struct hba_management - A client's task management request. The caller's memory; the core owns it
 * until `done`.
 *
 * It runs on the controller's task management task; several requests run in turn. A function that
 * the driver lacks ends HBA_FUNCTION_REJECTED. Victims are the tasks that the driver has when it
 * begins, and the victim of HBA_ABORT_TASK. Tasks that wait in the framework, as those of a unit
 * that is held after a reset, are sent later.
 */
struct hba_management {
	enum hba_tmf function;
	struct hba_lun *lun;     /* for HBA_TARGET_RESET: any unit of the target */
	struct hba_task *victim; /* HBA_ABORT_TASK only: submitted, and not back yet */
	uint32_t timeout_ms; /* 0 = 10,000. Ends as HBA_DELIVERY_FAILURE, never HBA_IN_PROCESS */
	/* Runs on the loop, after the victims' own dones. */
	void (*done)(struct hba_management *m, enum hba_service_response response);
	/* private: */
	void *core[4];
};

/**
 * hba_manage() - Submit a task management request. Loop thread; never waits. -EINVAL: no victim, or
 * it is not outstanding.
 */
int hba_manage(struct hba_management *m);

#ifdef __cplusplus
}
#endif
#endif
