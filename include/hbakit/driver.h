/* SPDX-License-Identifier: MIT */
/*
 * driver.h: a driver author's whole world.
 *
 * A driver is one `static const struct hba_driver`, its ops in the order of life:
 *
 *	initialize ─> map_hba_data × every task ─> start ─> discover ──> … I/O … ──> stop
 *	                                           ^                       │
 *	                                           └── reset, power on <───┘
 *
 * The first argument of an op says what kind it is:
 *
 *	struct hba_controller *  *waiting op*: on the controller's service thread, all queues
 *	                         fenced (no hot op runs). It may wait, but only by hba_wait_*(),
 *	                         which end at the op's deadline or when cancelled. One that has
 *	                         not returned 5 s after its deadline (10 s in general) costs the
 *	                         controller: it is dead.
 *	struct hba_queue *       *hot op*: never waits; one at a time per queue, on the thread
 *	                         that runs the queue.
 *
 * Ops never nest, and a driver takes no lock: per-queue state belongs to hot ops of that queue, all
 * else to waiting ops. What is taken through `c` is released by the controller after stop:
 * initialize is `if (r < 0) return r;` to the bottom.
 *
 * Unless a call says otherwise: it is legal from any op of the same controller, never waits, and
 * returns 0 or a negative errno. An illegal call changes nothing and becomes a violation that names
 * driver, call, value and rule.
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
 * "Nobody has written this." Each byte 0xa5: no contiguous mask, no plausible count; and memset()
 * makes it. (All ones would not do: as a HBA Data Alignment mask it is a legal value.)
 */
#define HBA_UNSET UINT64_C(0xa5a5a5a5a5a5a5a5)

/**
 * struct hba_report - What initialize says about the controller.
 *
 * Every field is a uint64_t and comes holding HBA_UNSET, but for `size` and the five sizes from the
 * table. What still does on return and has no default below is "missing"; all that are missing are
 * named together. The core keeps its own copy.
 */
struct hba_report {
	uint64_t size; /* of this struct; leave it */

	/* Place */
	uint64_t initiator_id;      /* no target may have it; UserReportInitiatorIdentifier */
	uint64_t highest_target_id; /* inclusive; UserReportHighestSupportedDeviceID */
	/* 0 = LUN 0 only. Default 0; UserReportHBAHighestLogicalUnitNumber */
	uint64_t highest_lun;

	/* Pool. max + internal + 1 tmf ≤ 65,536 */
	uint64_t max_tasks;      /* for clients, 1..65,533; UserReportMaximumTaskCount */
	uint64_t internal_tasks; /* 2..; on top of max_tasks. Default 2 */
	uint64_t queues;         /* 1..256; task k goes to queue k mod queues. Default 1 */

	/* Abilities: 0 or 1, masks, counts */

	/* may change until start returns; UserDoesHBAPerformDeviceManagement */
	uint64_t manages_devices;
	/* sense comes with every CHECK CONDITION; UserDoesHBAPerformAutoSense */
	uint64_t performs_autosense;
	uint64_t multipath;         /* Default 0; UserDoesHBASupportMultiPathing */
	uint64_t hierarchical_luns; /* Default 0; kIOHierarchicalLogicalUnitSupportKey */
	/* HBA_FEATURE_BIT()s. Default 0; UserDoesHBASupportSCSIParallelFeature */
	uint64_t features;
	uint64_t tag_bits; /* 0..64; 0 = untagged, one task per unit. Default 64 */
	uint64_t max_cdb;  /* 6, 10, 12, 16, 32. Default 16 */
	uint64_t tmfs;     /* HBA_TMF_BIT()s. Default: all if there is `manage`, else 0 */

	/* Data of tasks */

	/* enum hba_data_mode, but not HBA_DATA_REGION. Default: HBA_DATA_DMA */
	uint64_t data_mode;
	uint64_t wants_task_data; /* DMA mode: hba_task_data() will be called. Default 0 */
	struct hba_constraints constraints;

	/*
	 * Memory of its own. These two before the first buffer: one that turns out to lie too high
	 * is a violation
	 */

	/* the chip bypasses the IOMMU (QEMU's pvscsi): IOVA = physical, or no start. Default 0 */
	uint64_t physical_iovas;
	/* rings, HBA data lie below 2 to this. Default: constraints.address_bits */
	uint64_t control_address_bits;
	/* bytes per task in the arena; 0 = no arena. From the table */
	uint64_t hba_data_size;
	uint64_t hba_data_contiguous; /* task k at base + k × stride for the device. Default 0 */
	/* the arena shares the high 32 bits of its IOVAs. Default 0 */
	uint64_t hba_data_same_4g;

	/* The driver's own structs, bytes; from the table, may be refined here */
	uint64_t queue_priv_size, task_priv_size, target_priv_size, lun_priv_size;

	/*
	 * tasks out at a time per unit, 1..; the core's own among them. Default: as many as there
	 * are
	 */
	uint64_t depth;
};

/**
 * struct hba_target_report - What initialize_target may narrow for one target, never widen.
 *
 * Filled with the controller's values when the op is called; leave alone what is right.
 */
struct hba_target_report {
	uint64_t size;         /* of this struct; leave it */
	uint64_t depth;        /* tasks out at a time per unit, 1..; the core's own among them */
	uint64_t max_transfer; /* bytes */
	uint64_t highest_lun;
	uint64_t performs_autosense;
	uint64_t multipath;
	uint64_t features; /* HBA_FEATURE_BIT()s */
};

enum hba_reset_level {
	HBA_RESET_BUS = 0,
	/* `start` follows; the framework ends all tasks, the driver forgets them */
	HBA_RESET_CONTROLLER = 1,
};

/** struct hba_pci_id - One chip. A list of them ends with a zero vendor. */
struct hba_pci_id {
	uint16_t vendor, device;
	uint16_t subvendor, subdevice; /* 0 = any */
	/* the driver's const facts about it: hba_controller_variant() */
	const void *variant;
};

/**
 * struct hba_driver - The table. Append only: a shorter one from an older plug-in means NULL for
 * what it lacks.
 */
struct hba_driver {
	size_t size; /* HBA_DRIVER_HEADER sets both */
	unsigned version;
	const char *name;    /* [a-z0-9-], also the file's and the page's */
	const char *summary; /* one line */
	/* URI scheme of a controller without a chip; NULL for one with `ids` */
	const char *scheme;
	const struct hba_pci_id *ids;     /* chips; NULL for one with `scheme` */
	const struct hba_option *options; /* Default: none */

	/* Bytes; the core allocates, zeroes and frees. Default 0 */
	size_t priv_size, queue_priv_size, task_priv_size, target_priv_size, lun_priv_size;
	size_t hba_data_size;

	/*
	 * Reach the chip, reset it, read its abilities, fill the report. Once. No unwinding: on an
	 * error stop follows. UserInitializeController, UserReport*, UserDoes*,
	 * UserGetDMASpecification. Required.
	 */
	int (*initialize)(struct hba_controller *c, struct hba_report *report);
	/*
	 * Prepare one task's own memory for the device and name it: *ret_id is unique in the pool
	 * and not 0. Once per task of any kind, right after it is made, before start, never again.
	 * t->slot, t->queue, t->kind and t->hba_data are set. First task failing, or any error but
	 * -ENOMEM: start fails, all undone. -ENOMEM once there are tasks enough to work with (tmf,
	 * two internal, one client): the pool is those before, and an event. UserMapHBAData.
	 * Default: slot + 1.
	 */
	int (*map_hba_data)(struct hba_controller *c, struct hba_task *t, uint32_t *ret_id);
	/*
	 * Give the rings to the chip, unmask what must be. Again after a controller reset and at
	 * power on, then without taking memory. May lower by hba_lower() what was reported.
	 * UserStartController. Default: nothing to do.
	 */
	int (*start)(struct hba_controller *c);
	/*
	 * Tell all targets the firmware knows by hba_target_create(), then hba_discovery_done(),
	 * now or later: unnamed ones go. After start, at power on and on a rescan, if
	 * manages_devices; again if a controller reset cut it short. Required then.
	 */
	int (*discover)(struct hba_controller *c);
	/*
	 * A target appears, before anything is sent to it. -ENODEV: nobody is there; another error:
	 * somebody is, but cannot be used, and an event says why, in the words of hba_fail() if
	 * there are any. UserInitializeTargetForID. Default: 0.
	 */
	int (*initialize_target)(struct hba_controller *c, struct hba_target *tgt,
				 struct hba_target_report *report);
	/* Its last task has left the driver; tgt ends with this call. Default: nothing to do. */
	void (*release_target)(struct hba_controller *c, struct hba_target *tgt);

	/*
	 * Hand one task to the chip, or end it by hba_complete(), or give it back by hba_requeue().
	 * Slot, memory and limits are settled before. From here the task is the driver's and its
	 * timeout runs. UserProcessParallelTask. Required.
	 */
	void (*process_task)(struct hba_queue *q, struct hba_task *t);
	/*
	 * The doorbell, after 1..HBA_MAX_BATCH tasks. Batch and kick are
	 * UserProcessBundledParallelTasks. Default: none.
	 */
	void (*kick)(struct hba_queue *q);
	/*
	 * Take up to `budget` (1..) completions from the chip and hba_complete() them; also
	 * everything else it has to say. The one way in: for interrupts, busy polling, time and
	 * recovery. Returns how many; == budget means call again. Default: 0, for a driver that
	 * completes all in process_task.
	 */
	unsigned (*poll)(struct hba_queue *q, unsigned budget);
	/*
	 * Unmask or mask at the chip. `on` returns 1 if work is already there, else 0. Default:
	 * poll only.
	 */
	int (*interrupts)(struct hba_queue *q, bool on);
	/*
	 * Start a task management function for t->target, t->lun, t->tag and, for HBA_ABORT_TASK,
	 * t->data.victim. Ends by hba_tmf_complete(), now or later, after the driver has completed
	 * the victims; any left over is a violation and the next rung is taken. Runs on queue 0
	 * with the other queues fenced. The six User…Request. Default: none of them.
	 */
	void (*manage)(struct hba_queue *q, struct hba_task *t, enum hba_tmf function);

	/* The last rungs. 0 means done and confirmed. Default: -EOPNOTSUPP, the rung is skipped. */
	int (*reset)(struct hba_controller *c, enum hba_reset_level level);
	/*
	 * Off, low, pause: quiet by the deadline. SetPowerState. Default: stop for off, bus master
	 * with it; nothing for the others.
	 */
	int (*set_power_state)(struct hba_controller *c, enum hba_power state);
	/*
	 * After it the chip touches no memory of ours. Always last, also after an initialize that
	 * failed half-way, also twice. Bus master goes off next, whatever this did. Stop. Default:
	 * nothing to do.
	 */
	void (*stop)(struct hba_controller *c);
};

/**
 * hba_driver_next() - The built-in drivers, in the order in which a chip is offered to them. NULL:
 * the first; NULL at the end.
 */
const struct hba_driver *hba_driver_next(const struct hba_driver *driver);

/**
 * hba_driver_load() - Load the driver in the shared object `path`: what hba_options::plugin does,
 * for those who want to look at it.
 *
 * *ret_driver is its table, of this library's size: what an older one lacks is NULL. The caller's
 * until hba_driver_unload(). A name without a slash is in the current directory. Runs what the
 * file's code does when it is loaded. Any thread; may wait. -ENOENT, -EACCES: no such file;
 * -ENOEXEC: not a driver's shared object; -EPROTO: its table; -EEXIST: its name or scheme is taken.
 */
int hba_driver_load(const char *path, const struct hba_driver **ret_driver);
/**
 * hba_driver_unload() - NULL is fine. Controllers that were opened with the same plug-in have it
 * still.
 */
void hba_driver_unload(const struct hba_driver *driver);

#define HBA_DRIVER_VERSION 1
#define HBA_DRIVER_HEADER  .size = sizeof(struct hba_driver), .version = HBA_DRIVER_VERSION

#ifdef __cplusplus
#define HBA_PLUGIN_LINKAGE extern "C"
#else
#define HBA_PLUGIN_LINKAGE extern
#endif
/**
 * HBA_PLUGIN() - At the end of a plug-in's file, in C or C++: makes its table the one that
 * `--plugin FILE.so` finds.
 */
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
/* of the unit it goes to; NULL for a target's TMF */
void *hba_task_lun_priv(const struct hba_task *t);

struct hba_controller *hba_queue_controller(const struct hba_queue *q);
/* NULL: none such, or before map */
struct hba_queue *hba_controller_queue(const struct hba_controller *c, unsigned index);
unsigned hba_queue_index(const struct hba_queue *q);
struct hba_target *hba_task_target(const struct hba_task *t);
uint64_t hba_target_id(const struct hba_target *tgt);
/* UserTargetPresentForID; NULL: none. Waiting ops */
struct hba_target *hba_target_find(struct hba_controller *c, uint64_t id);

const void *hba_controller_variant(const struct hba_controller *c); /* of the id that matched */
/*
 * What the URI says: everything between colon and `?`; one option or its default. Live until stop
 * has returned.
 */
const char *hba_uri_path(const struct hba_controller *c);
const char *hba_uri_option(const struct hba_controller *c, const char *name);
/* The same as bytes (k, M, G, T) or a count. -EINVAL, with a message for the user. */
int hba_uri_number(const struct hba_controller *c, const char *name, uint64_t *ret_number);

/*
 * From what a device wrote to a task, only if that task is with the driver, in this queue; else
 * NULL, and counted and told as by hba_device_error(). Constant time. The cookie also refuses a
 * generation gone by.
 */
struct hba_task *hba_task_by_id(struct hba_queue *q, uint64_t unique_id);
struct hba_task *hba_task_by_cookie(struct hba_queue *q, uint64_t cookie);
/*
 * Every task with the driver, in any order, of this target (NULL: all). `each` may complete it.
 * Waiting ops, and manage.
 */
void hba_for_each_task(struct hba_controller *c, struct hba_target *tgt,
		       void (*each)(struct hba_task *t, void *arg), void *arg);

/* ---- a task's end */

/**
 * hba_complete() - End a task; it is no longer the driver's (ParallelTaskCompletion).
 *
 * Copies what it needs of `r` and its sense before it returns; only queues, so no client's code
 * runs under it. From any op, for a task of another queue too; outside ops a task's end is refused:
 * a thread of the driver's own hands what it knows to poll, by hba_queue_watch(). A task that is
 * not with the driver, too many bytes, sense too long: a violation, named.
 */
void hba_complete(struct hba_task *t, const struct hba_result *r);

/* The two that nearly every driver needs. */
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
 * hba_requeue() - Give a task back unsent: the same again after hba_ready(), or at a deadline.
 * Costs no retry, no depth.
 */
void hba_requeue(struct hba_task *t, enum hba_scope blocked);
/**
 * hba_ready() - Room again: in the queue (tgt NULL), a target (lun NULL), or one unit. Harmless if
 * nothing waited.
 */
void hba_ready(struct hba_queue *q, struct hba_target *tgt, const struct hba_lun_id *lun);

/**
 * hba_tmf_complete() - End a tmf task: HBA_FUNCTION_COMPLETE, HBA_FUNCTION_REJECTED or
 * HBA_DELIVERY_FAILURE.
 */
void hba_tmf_complete(struct hba_task *t, enum hba_service_response response);

/* ---- a task's data, for the CPU */

/**
 * hba_task_data() - The task's data as CPU memory (UserGetDataBuffer, UserCopyDataBuffer). NULL
 * with no data. From process_task to completion; mapped long ago; the core's. CPU mode, or DMA with
 * wants_task_data; else NULL, a violation.
 */
const struct iovec *hba_task_data(const struct hba_task *t, unsigned *ret_n);
/*
 * Copy to or from the data, `at` bytes in; returns bytes copied, short at the end of the data.
 * Conditions as above.
 */
size_t hba_task_copy_to(struct hba_task *t, uint64_t at, const void *from, size_t bytes);
size_t hba_task_copy_from(const struct hba_task *t, uint64_t at, void *to, size_t bytes);

/* ---- targets, and what the bus reports */

/*
 * All are asked for, and done later by the service thread: no deadlock from any op, and no result
 * to wait for. create: 0; 1 = there already (in discover: marked, it stays); -EINVAL: the
 * initiator's id, above the highest, bad property. destroy: unsent tasks end HBA_NOT_PRESENT at
 * once; those with the driver are still owed, and found. -ENOENT. block: a link was lost for a
 * while: timers of its tasks stand still, nothing new is sent. -ENOENT.
 */

/* UserCreateTargetForID */
int hba_target_create(struct hba_controller *c, uint64_t id, const struct hba_property *properties);
/* UserDestroyTargetForID */
int hba_target_destroy(struct hba_controller *c, uint64_t id);
int hba_target_block(struct hba_controller *c, uint64_t id, bool blocked);
void hba_discovery_done(struct hba_controller *c);

#define HBA_ANY_TARGET UINT64_MAX

/* its units; a rescan follows. Any target: of new ones, too */
void hba_luns_changed(struct hba_controller *c, uint64_t target);
/* Capacity is read again (UserCallMediaParametersHaveChanged). lun NULL = any. */
void hba_media_changed(struct hba_controller *c, uint64_t target, const struct hba_lun_id *lun);
/* by another initiator: features are agreed on anew, and all units looked at */
void hba_bus_reset_seen(struct hba_controller *c);

enum hba_port_status { HBA_PORT_ONLINE, HBA_PORT_OFFLINE, HBA_PORT_FAILED };
void hba_port_status(struct hba_controller *c, enum hba_port_status status);

/*
 * UserSetHBAProperties and UserSetTargetProperties; tgt NULL = the controller's. -EINVAL: wrong
 * type or size, nothing changed.
 */
int hba_set_property(struct hba_controller *c, struct hba_target *tgt,
		     const struct hba_property *p);
void hba_remove_property(struct hba_controller *c, struct hba_target *tgt, const char *key);

/**
 * hba_lower() - In a start after the first: the chip now takes no more than this many tasks. Never
 * raises.
 */
int hba_lower(struct hba_controller *c, uint64_t max_tasks);

/* ---- time, interrupts, words */

/* ns, monotonic, read once per turn; starts anywhere */
uint64_t hba_now(const struct hba_controller *c);

/*
 * Waiting ops only. 0; -ETIMEDOUT: `ms` or the op's deadline is over; -ECANCELED; -ENODEV: the
 * device is gone. wait_for polls, ever more slowly, until `ready` says so; wait_bar32 until
 * (register & mask) == want.
 */
int hba_wait(struct hba_controller *c, unsigned ms);
int hba_wait_for(struct hba_controller *c, bool (*ready)(struct hba_controller *c, void *arg),
		 void *arg, unsigned ms);
int hba_wait_bar32(struct hba_controller *c, const struct hba_bar *bar, uint64_t offset,
		   uint32_t mask, uint32_t want, unsigned ms);

/**
 * hba_vector_bind() - Interrupt `vector` (0..) means: poll(q). In start; saying it again is
 * harmless. A vector may serve several queues, a queue have several vectors; one for administration
 * goes to queue 0. -ENOENT: no such vector, q will be polled.
 */
int hba_vector_bind(struct hba_queue *q, unsigned vector);

/**
 * hba_queue_watch() - While the loop sleeps, `fd` becoming ready means: poll(q). For controllers
 * behind a file or a socket.
 * @events: POLLIN, POLLOUT; a later call changes them, 0 ends it. The fd stays the driver's;
 *          level-triggered.
 *
 * In start, and in hot ops of q (where it costs a system call: rarely). A busy loop polls anyway
 * and never looks at the fd.
 */
int hba_queue_watch(struct hba_queue *q, int fd, short events);

/**
 * hba_poll_within() - The only timer: call poll(q) `ms` from now at the latest, interrupt or not.
 * Hot ops of q, and start. Once; the nearest of several counts. What it was for, poll finds out by
 * hba_now().
 */
void hba_poll_within(struct hba_queue *q, unsigned ms);

/**
 * hba_fail() - Say in one sentence why this waiting op fails; returns `error` (negative), so:
 * return hba_fail(c, -ENOENT, "...", ...).
 */
int hba_fail(struct hba_controller *c, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/**
 * hba_device_error() - The device reported what cannot be. All are counted; the 1st, 2nd, 4th, 8th
 * … since start are told, by HBA_EVENT_DEVICE_ERROR. It is no violation of the driver's: that one
 * has done right to look.
 */
void hba_device_error(struct hba_controller *c, const char *format, ...)
	__attribute__((cold, format(printf, 2, 3)));
/**
 * hba_writes_lost() - Writes that ended well may not be on the medium: a cache was lost, a
 * write-back failed. Raises HBA_EVENT_WRITES_LOST with the sentence, which should also say what to
 * do, and keeps it as the target's property "Write Failure". Any op but initialize; once for each
 * loss, not for each command that fails because of it. Allocates memory.
 */
void hba_writes_lost(struct hba_controller *c, struct hba_target *tgt, const struct hba_lun_id *lun,
		     const char *format, ...) __attribute__((cold, format(printf, 4, 5)));
/* For people: the core adds time, controller and op. Never one per task. */
void hba_log(const struct hba_controller *c, enum hba_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif
#endif
