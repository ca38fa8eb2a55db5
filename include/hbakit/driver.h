/* SPDX-License-Identifier: MIT */
/*
 * driver.h: the interface between a driver and the core.
 *
 * A driver is one `static const struct hba_driver`, its ops in the order of life:
 *
 *	initialize ─> map_hba_data × every task ─> start ─> discover ──> … I/O … ──> stop
 *	                                           ^                       │
 *	                                           └── reset, power on <───┘
 *
 * The type of an op's first argument shows its kind:
 *
 *	struct hba_controller *  *waiting op*: on the controller's service thread, with all
 *	                         queues fenced (no hot op runs). It may wait, but only by
 *	                         hba_wait_*(), which end at the op's deadline or when cancelled.
 *	                         If an op has not returned 5 s after its deadline (10 s in
 *	                         general), the controller is dead.
 *	struct hba_queue *       *hot op*: never waits; one at a time per queue, on the thread
 *	                         that runs the queue.
 *
 * Ops never nest, and a driver takes no lock: per-queue state belongs to hot ops of that queue, all
 * other state to waiting ops. The controller releases after stop every resource taken through `c`.
 * Error paths of initialize therefore unwind nothing: `if (r < 0) return r;` is enough.
 *
 * Unless its comment states otherwise, a call is legal from any op of the same controller, never
 * waits, and returns 0 or a negative errno. An illegal call changes nothing and is reported as a
 * violation, with driver, call, value and rule.
 */
#ifndef HBAKIT_DRIVER_H
#define HBAKIT_DRIVER_H

#include <hbakit/bus.h>
#include <hbakit/log.h>
#include <hbakit/power.h>
#include <hbakit/property.h>
#include <hbakit/task.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hba_controller;
struct hba_queue;
struct hba_target;

/*
 * Marks a field that the driver has not set. Each byte is 0xa5: no contiguous mask, no plausible
 * count, and memset() can write it. (All ones will not do: it is a legal HBA Data Alignment mask.)
 */
#define HBA_UNSET UINT64_C(0xa5a5a5a5a5a5a5a5)

/**
 * struct hba_report - The controller's abilities and limits, as initialize reports them.
 *
 * Every field is a uint64_t. On entry all hold HBA_UNSET, except `size` and the five sizes copied
 * from the table. A field still HBA_UNSET on return and without a default below is an error; one
 * message names all of them. The core keeps its own copy.
 */
struct hba_report {
	uint64_t size; /* of this struct; leave it */

	/* Identity */
	uint64_t initiator_id;      /* not a target's id; UserReportInitiatorIdentifier */
	uint64_t highest_target_id; /* inclusive; UserReportHighestSupportedDeviceID */
	uint64_t highest_lun;       /* likewise. Default 0; UserReportHBAHighestLogicalUnitNumber */

	/* Pool: max_tasks + internal_tasks + 1 for task management ≤ 65,536 */
	uint64_t max_tasks;      /* for clients, 1..65,533; UserReportMaximumTaskCount */
	uint64_t internal_tasks; /* 2..; in addition to max_tasks. Default 2 */
	uint64_t queues;         /* 1..256; task k goes to queue k mod queues. Default 1 */

	/* Abilities: 0 or 1, masks, counts; manages_devices may change until start returns */
	uint64_t manages_devices;    /* UserDoesHBAPerformDeviceManagement */
	uint64_t performs_autosense; /* with every CHECK CONDITION; UserDoesHBAPerformAutoSense */
	uint64_t multipath;          /* Default 0; UserDoesHBASupportMultiPathing */
	uint64_t hierarchical_luns;  /* Default 0; kIOHierarchicalLogicalUnitSupportKey */

	uint64_t features; /* HBA_FEATURE_BIT(). Default 0; UserDoesHBASupportSCSIParallelFeature */
	uint64_t tag_bits; /* 0..64; 0 = untagged, one task per unit. Default 64 */
	uint64_t max_cdb;  /* 6, 10, 12, 16, 32. Default 16 */
	uint64_t tmfs;     /* HBA_TMF_BIT()s. Default: all if there is `manage`, else 0 */

	/* Data of tasks */
	uint64_t data_mode;       /* enum hba_data_mode, no HBA_DATA_REGION. Default HBA_DATA_DMA */
	uint64_t wants_task_data; /* DMA mode: the driver calls hba_task_data(). Default 0 */
	struct hba_constraints constraints;

	/*
	 * DMA memory of the driver. Set the first two before creating a buffer: a buffer found to
	 * lie too high is a violation. physical_iovas: the chip bypasses the IOMMU (QEMU's pvscsi);
	 * if the bus cannot use physical addresses as IOVAs, start fails. control_address_bits:
	 * rings and HBA data lie below 2 to this power.
	 */
	uint64_t physical_iovas;       /* IOVA = physical address. Default 0 */
	uint64_t control_address_bits; /* Default: constraints.address_bits */
	uint64_t hba_data_size;        /* bytes per task; 0 = no arena. Preset from the table */
	uint64_t hba_data_contiguous;  /* IOVA of task k is base + k × stride. Default 0 */
	uint64_t hba_data_same_4g;     /* IOVAs of the arena share their high 32 bits. Default 0 */

	/* The driver's own structs, in bytes; preset from the table, may be changed here */
	uint64_t queue_priv_size, task_priv_size, target_priv_size, lun_priv_size;

	uint64_t depth; /* 1..; tasks outstanding per unit, the core's included. Default: all */
};

/**
 * struct hba_target_report - Limits of one target; initialize_target may narrow them, never widen.
 *
 * Preset with the controller's values; leave unchanged those that fit.
 */
struct hba_target_report {
	uint64_t size;         /* of this struct; leave it */
	uint64_t depth;        /* 1..; tasks outstanding per unit, the core's included */
	uint64_t max_transfer; /* bytes */
	uint64_t highest_lun;
	uint64_t performs_autosense;
	uint64_t multipath;
	uint64_t features; /* HBA_FEATURE_BIT()s */
};

enum hba_reset_level {
	HBA_RESET_BUS = 0,
	/* `start` follows. The framework ends all tasks; the driver drops its references to them */
	HBA_RESET_CONTROLLER = 1,
};

/** struct hba_pci_id - One chip. A list of them ends with a zero vendor. */
struct hba_pci_id {
	uint16_t vendor, device;
	uint16_t subvendor, subdevice; /* 0 = any */
	const void *variant;           /* const facts about this chip: hba_controller_variant() */
};

/**
 * struct hba_driver - The table. Append only: members missing from the shorter table of an older
 * plug-in are NULL.
 */
struct hba_driver {
	size_t size; /* HBA_DRIVER_HEADER sets both */
	unsigned version;
	const char *name;    /* [a-z0-9-], also the name of the source file and its page */
	const char *summary; /* one line */
	const char *scheme;  /* URI scheme of a driver without a chip; NULL if there are `ids` */
	const struct hba_pci_id *ids;     /* chips; NULL if there is a `scheme` */
	const struct hba_option *options; /* Default: none */

	/* Sizes in bytes. The core allocates this memory, zeroes it and frees it. Default 0 */
	size_t priv_size, queue_priv_size, task_priv_size, target_priv_size, lun_priv_size;
	size_t hba_data_size;

	/*
	 * Reach the chip, reset it, read its abilities, fill the report. Called once. No unwinding:
	 * stop follows an error. UserInitializeController, UserReport*, UserDoes*,
	 * UserGetDMASpecification. Required.
	 */
	int (*initialize)(struct hba_controller *c, struct hba_report *report);
	/*
	 * Prepare one task's HBA data for the device and name the task: *ret_id is unique in the
	 * pool and not 0. Called once per task of any kind, right after it is made and before
	 * start, and never again. t->slot, t->queue, t->kind and t->hba_data are set. If the first
	 * task fails, or any task with an error other than -ENOMEM, start fails and everything is
	 * undone. -ENOMEM after the minimum of tasks (tmf, two internal, one client) ends the pool
	 * at those already made, and raises an event. UserMapHBAData. Default: slot + 1.
	 */
	int (*map_hba_data)(struct hba_controller *c, struct hba_task *t, uint32_t *ret_id);
	/*
	 * Give the rings to the chip and unmask interrupt sources as needed. Called again after a
	 * controller reset and at power on; memory must not be taken then. hba_lower() may reduce
	 * the reported number of tasks. UserStartController. Default: nothing to do.
	 */
	int (*start)(struct hba_controller *c);
	/*
	 * Report every target in the firmware's list by hba_target_create(), then call
	 * hba_discovery_done(), now or later: targets not reported are removed. Called after start,
	 * at power on and on a rescan, if manages_devices; again if a controller reset interrupted
	 * it. Required if manages_devices.
	 */
	int (*discover)(struct hba_controller *c);
	/*
	 * A target appears; no command has been sent to it yet. -ENODEV: no such target. Any other
	 * error: the target is present but unusable; an event carries the reason, with the text of
	 * hba_fail() if it was called. UserInitializeTargetForID. Default: 0.
	 */
	int (*initialize_target)(struct hba_controller *c, struct hba_target *tgt,
				 struct hba_target_report *report);
	/*
	 * The target's last task has left the driver; tgt is invalid after this call. Default:
	 * nothing to do.
	 */
	void (*release_target)(struct hba_controller *c, struct hba_target *tgt);

	/*
	 * Send one task to the chip, or end it by hba_complete(), or return it by hba_requeue().
	 * Slot, memory and limits have been checked before. From here on the driver owns the task
	 * and its timeout runs. UserProcessParallelTask. Required.
	 */
	void (*process_task)(struct hba_queue *q, struct hba_task *t);
	/*
	 * The doorbell, after 1..HBA_MAX_BATCH tasks. Batch and kick together are
	 * UserProcessBundledParallelTasks. Default: none.
	 */
	void (*kick)(struct hba_queue *q);
	/*
	 * Take up to `budget` (1..) completions from the chip and hba_complete() them; also process
	 * every other message of the chip. The only entry point for interrupts, busy polling, time
	 * and recovery. Returns the number of completions; if it equals budget, poll is called
	 * again. Default: 0, for a driver that completes every task in process_task.
	 */
	unsigned (*poll)(struct hba_queue *q, unsigned budget);
	/*
	 * Unmask or mask interrupts at the chip. With `on`, returns 1 if work is already pending,
	 * else 0. Default: poll only.
	 */
	int (*interrupts)(struct hba_queue *q, bool on);
	/*
	 * Start a task management function for t->target, t->lun, t->tag and, for HBA_ABORT_TASK,
	 * t->data.victim. It ends by hba_tmf_complete(), now or later, after the driver has
	 * completed the victims. A victim left over is a violation, and recovery takes the next
	 * rung. Runs on queue 0 with the other queues fenced. The six User…Request. Default: none
	 * of them.
	 */
	void (*manage)(struct hba_queue *q, struct hba_task *t, enum hba_tmf function);

	/* The last rungs of recovery. 0: done and confirmed. Default: -EOPNOTSUPP, rung skipped. */
	int (*reset)(struct hba_controller *c, enum hba_reset_level level);
	/*
	 * Off, low, pause: the chip is quiet by the deadline. SetPowerState. Default: for off, stop
	 * and bus master off; for the others, nothing.
	 */
	int (*set_power_state)(struct hba_controller *c, enum hba_power state);
	/*
	 * After it returns, the chip accesses no memory of ours. Always the last op, also after a
	 * failed initialize, and possibly called twice. Bus master goes off next, whatever the
	 * result. Stop. Default: nothing to do.
	 */
	void (*stop)(struct hba_controller *c);
};

/**
 * hba_driver_next() - Iterate over the built-in drivers, in the order in which a chip is offered to
 * them. NULL: the first; returns NULL at the end.
 */
const struct hba_driver *hba_driver_next(const struct hba_driver *driver);

/**
 * hba_driver_load() - Load the driver in the shared object `path`, as hba_options::plugin does, for
 * inspection.
 *
 * *ret_driver is its table, in this library's size: members that an older table lacks are NULL. It
 * is the caller's until hba_driver_unload(). A name without a slash is in the current directory.
 * Loading runs the constructors of the file. Any thread; may wait. -ENOENT, -EACCES: no such file;
 * -ENOEXEC: not a driver's shared object; -EPROTO: the table is wrong; -EEXIST: name or scheme is
 * already in use.
 */
int hba_driver_load(const char *path, const struct hba_driver **ret_driver);
/** hba_driver_unload() - NULL is fine. Controllers opened with the same plug-in keep it loaded. */
void hba_driver_unload(const struct hba_driver *driver);

#define HBA_DRIVER_VERSION 1
#define HBA_DRIVER_HEADER  .size = sizeof(struct hba_driver), .version = HBA_DRIVER_VERSION

#ifdef __cplusplus
#define HBA_PLUGIN_LINKAGE extern "C"
#else
#define HBA_PLUGIN_LINKAGE extern
#endif
/** HBA_PLUGIN() - Exports a plug-in's table for `--plugin FILE.so`; last in the file, C or C++. */
#define HBA_PLUGIN(table)                                            \
	HBA_PLUGIN_LINKAGE const struct hba_driver *hba_plugin(void) \
		__attribute__((visibility("default")));              \
	HBA_PLUGIN_LINKAGE const struct hba_driver *hba_plugin(void) \
	{                                                            \
		return &(table);                                     \
	}

/* ---- finding things */

void *hba_controller_priv(const struct hba_controller *c);
void *hba_queue_priv(const struct hba_queue *q);
void *hba_target_priv(const struct hba_target *tgt);
/* private data of the task's unit; NULL for a task management task of a target */
void *hba_task_lun_priv(const struct hba_task *t);

struct hba_controller *hba_queue_controller(const struct hba_queue *q);
/* NULL: no such queue, or called before map */
struct hba_queue *hba_controller_queue(const struct hba_controller *c, unsigned index);
unsigned hba_queue_index(const struct hba_queue *q);
struct hba_target *hba_task_target(const struct hba_task *t);
uint64_t hba_target_id(const struct hba_target *tgt);
/* UserTargetPresentForID; NULL: no such target. Waiting ops */
struct hba_target *hba_target_find(struct hba_controller *c, uint64_t id);

const void *hba_controller_variant(const struct hba_controller *c); /* of the id that matched */
/*
 * Parts of the URI: the text between colon and `?`; one option, or its default. Valid until stop
 * has returned.
 */
const char *hba_uri_path(const struct hba_controller *c);
const char *hba_uri_option(const struct hba_controller *c, const char *name);
/* The same as a size in bytes (k, M, G, T) or a count. -EINVAL, with a message for the user. */
int hba_uri_number(const struct hba_controller *c, const char *name, uint64_t *ret_number);

/*
 * Find a task by a value that the device wrote. If it is not the value of a task that is with the
 * driver and in this queue: NULL, counted and reported as by hba_device_error(). The cookie also
 * rejects an old generation. Constant time.
 */
struct hba_task *hba_task_by_id(struct hba_queue *q, uint64_t unique_id);
struct hba_task *hba_task_by_cookie(struct hba_queue *q, uint64_t cookie);
/*
 * Call `each` for every task with the driver, in any order, of this target (NULL: all). `each` may
 * complete it. Waiting ops, and manage.
 */
void hba_for_each_task(struct hba_controller *c, struct hba_target *tgt,
		       void (*each)(struct hba_task *t, void *arg), void *arg);

/* ---- a task's end */

/**
 * hba_complete() - End a task; the driver no longer owns it (ParallelTaskCompletion).
 *
 * Copies the needed parts of `r` and its sense before it returns. It only queues the task: no
 * client code runs inside the call. From any op, for a task of any queue; outside ops it is
 * refused. A thread of the driver's own passes its results to poll, by hba_queue_watch().
 * Violations: a task that is not with the driver, too many bytes, sense too long.
 */
void hba_complete(struct hba_task *t, const struct hba_result *r);

/* Two common results. */
static inline void hba_complete_good(struct hba_task *t, uint64_t bytes)
{
	struct hba_result r = { HBA_GOOD, HBA_SENT_YES, bytes, 0, 0, 0, 0, 0, { 0 } };

	hba_complete(t, &r);
}

static inline void hba_complete_failed(struct hba_task *t, enum hba_outcome outcome,
				       enum hba_sent sent)
{
	struct hba_result r = { outcome, sent, 0, 0, 0, 0, 0, 0, { 0 } };

	hba_complete(t, &r);
}

enum hba_scope { HBA_SCOPE_QUEUE, HBA_SCOPE_TARGET, HBA_SCOPE_LUN };

/**
 * hba_requeue() - Return a task unsent: it is sent again after hba_ready(), or at a deadline. Uses
 * up no retry and no depth.
 */
void hba_requeue(struct hba_task *t, enum hba_scope blocked);
/**
 * hba_ready() - There is room again: in the queue (tgt NULL), a target (lun NULL), or one unit.
 * Harmless if no task waited.
 */
void hba_ready(struct hba_queue *q, struct hba_target *tgt, const struct hba_lun_id *lun);

/**
 * hba_tmf_complete() - End a task management task: HBA_FUNCTION_COMPLETE, HBA_FUNCTION_REJECTED or
 * HBA_DELIVERY_FAILURE.
 */
void hba_tmf_complete(struct hba_task *t, enum hba_service_response response);

/* ---- a task's data, for the CPU */

/**
 * hba_task_data() - The task's data as CPU memory (UserGetDataBuffer, UserCopyDataBuffer). NULL
 * with no data. Valid from process_task to completion; mapped beforehand; owned by the core. CPU
 * mode, or DMA mode with wants_task_data; otherwise NULL, and a violation.
 */
const struct iovec *hba_task_data(const struct hba_task *t, unsigned *ret_n);
/*
 * Copy to or from the data, `at` bytes in. Return the bytes copied, fewer at the end of the data.
 * Conditions as above.
 */
size_t hba_task_copy_to(struct hba_task *t, uint64_t at, const void *from, size_t bytes);
size_t hba_task_copy_from(const struct hba_task *t, uint64_t at, void *to, size_t bytes);

/* ---- targets, and what the bus reports */

/*
 * Requests: the service thread carries them out later, so no op can deadlock and there is no result
 * to wait for.
 *
 * create: 0; 1: already present (in discover: marked as still there); -EINVAL: the initiator's id,
 * an id above the highest, or a bad property.
 *
 * destroy: unsent tasks end HBA_NOT_PRESENT at once; the driver must still complete its own, which
 * can still be found by id. -ENOENT.
 *
 * block: the link is lost for a while; timers of the target's tasks stop and nothing new is sent.
 * -ENOENT.
 */

/* UserCreateTargetForID */
int hba_target_create(struct hba_controller *c, uint64_t id, const struct hba_property *properties);
/* UserDestroyTargetForID */
int hba_target_destroy(struct hba_controller *c, uint64_t id);
int hba_target_block(struct hba_controller *c, uint64_t id, bool blocked);
void hba_discovery_done(struct hba_controller *c);

#define HBA_ANY_TARGET UINT64_MAX

/*
 * A target's set of units has changed; a rescan follows. HBA_ANY_TARGET: it also finds new targets.
 */
void hba_luns_changed(struct hba_controller *c, uint64_t target);
/* The capacity is read again (UserCallMediaParametersHaveChanged). lun NULL: of all units. */
void hba_media_changed(struct hba_controller *c, uint64_t target, const struct hba_lun_id *lun);
/* A reset by another initiator: features are negotiated anew, and all units are scanned. */
void hba_bus_reset_seen(struct hba_controller *c);

enum hba_port_status { HBA_PORT_ONLINE, HBA_PORT_OFFLINE, HBA_PORT_FAILED };
void hba_port_status(struct hba_controller *c, enum hba_port_status status);

/*
 * UserSetHBAProperties and UserSetTargetProperties; tgt NULL: the controller's. -EINVAL: wrong type
 * or size, nothing is changed.
 */
int hba_set_property(struct hba_controller *c, struct hba_target *tgt,
		     const struct hba_property *p);
void hba_remove_property(struct hba_controller *c, struct hba_target *tgt, const char *key);

/** hba_lower() - In a start after the first: lower the number of tasks taken. Never raises it. */
int hba_lower(struct hba_controller *c, uint64_t max_tasks);

/* ---- time, interrupts, words */

/* ns, monotonic, read once per turn; arbitrary origin */
uint64_t hba_now(const struct hba_controller *c);

/*
 * Waiting ops only. 0; -ETIMEDOUT: `ms` or the op's deadline has expired; -ECANCELED; -ENODEV: the
 * device is gone. hba_wait_for() polls at growing intervals until `ready` returns true,
 * hba_wait_bar32() until (register & mask) == want.
 */
int hba_wait(struct hba_controller *c, unsigned ms);
int hba_wait_for(struct hba_controller *c, bool (*ready)(struct hba_controller *c, void *arg),
		 void *arg, unsigned ms);
int hba_wait_bar32(struct hba_controller *c, const struct hba_bar *bar, uint64_t offset,
		   uint32_t mask, uint32_t want, unsigned ms);

/**
 * hba_vector_bind() - Call poll(q) on interrupt `vector` (0..). In start; repeating it is harmless.
 * A vector may serve several queues, and a queue may have several vectors; bind an administration
 * vector to queue 0. -ENOENT: no such vector, q will be polled.
 */
int hba_vector_bind(struct hba_queue *q, unsigned vector);

/**
 * hba_queue_watch() - Call poll(q) when `fd` becomes ready while the loop sleeps. For controllers
 * behind a file or a socket.
 * @events: POLLIN, POLLOUT; a later call changes them, 0 ends it. The driver keeps ownership of the
 *          fd; level-triggered.
 *
 * In start, and in hot ops of q (where it costs a system call: rarely). A busy loop polls anyway
 * and ignores the fd.
 */
int hba_queue_watch(struct hba_queue *q, int fd, short events);

/**
 * hba_poll_within() - The only timer: call poll(q) in `ms` at the latest, with or without an
 * interrupt. Hot ops of q, and start. One-shot; the nearest of several counts. poll finds the
 * reason by hba_now().
 */
void hba_poll_within(struct hba_queue *q, unsigned ms);

/**
 * hba_fail() - Give the reason why this waiting op fails, in one sentence. Returns `error`
 * (negative), for use as: return hba_fail(c, -ENOENT, "...", ...).
 */
int hba_fail(struct hba_controller *c, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/**
 * hba_device_error() - Report invalid data from the device. All are counted; the 1st, 2nd, 4th, 8th
 * … since start raise HBA_EVENT_DEVICE_ERROR. It is no violation of the driver's: the driver was
 * right to check.
 */
void hba_device_error(struct hba_controller *c, const char *format, ...)
	__attribute__((cold, format(printf, 2, 3)));
/**
 * hba_writes_lost() - Report that completed writes may not be on the medium: a cache was lost, a
 * write-back failed. Raises HBA_EVENT_WRITES_LOST with the sentence, which should include a remedy,
 * and keeps it as the target's property "Write Failure". Any op but initialize; once for each loss,
 * not for each command that fails because of it. Allocates memory.
 */
void hba_writes_lost(struct hba_controller *c, struct hba_target *tgt, const struct hba_lun_id *lun,
		     const char *format, ...) __attribute__((cold, format(printf, 4, 5)));
/* Log a line for people: the core adds time, controller and op. Never one per task. */
void hba_log(const struct hba_controller *c, enum hba_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif
#endif
