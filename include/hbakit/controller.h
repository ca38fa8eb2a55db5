/* SPDX-License-Identifier: MIT */
/*
 * controller.h: one running HBA, as an application holds it.
 *
 *	open ──> start ──> run, run, run … ──> stop ──> close
 *
 * Two ways to run it. *Own loop*: one thread calls hba_controller_run(), and every callback comes
 * from in there; that thread is "the loop" in these headers. *Threads*: the library starts one for
 * the controller, and that is the loop. Either way one service thread belongs to the controller: it
 * does what may wait (bring-up, scan, recovery).
 *
 * Functions return 0 or a negative errno, unless they say otherwise; hba_error() has the sentence
 * for a person. The library never prints and never exits.
 *
 * Wrong use is never silent: it ends in an error, or, where a function has no way to tell, the
 * program ends there, by an assertion or by the access itself. One rule nobody can check: what has
 * been closed is not used again. A pointer to freed memory says nothing about itself;
 * AddressSanitizer finds each such use.
 */
#ifndef HBAKIT_CONTROLLER_H
#define HBAKIT_CONTROLLER_H

#include <hbakit/log.h>
#include <hbakit/power.h>
#include <hbakit/property.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hba_controller;
struct hba_report;

/** struct hba_options - How to open. Zeroed is the default for all of it. */
struct hba_options {
	size_t size;      /* sizeof(struct hba_options); 0 = version 1's */
	const char *name; /* reserved: nothing uses it */
	/*
	 * path of a driver's .so, which then comes first: hba_driver_load() says what may be wrong
	 * with it
	 */
	const char *plugin;
	/* reserved: every driver runs in the caller's process. Leave it false */
	bool in_process;
	/* the library runs the loop, in a thread of its own. Default: the caller's own loop */
	bool threads;
	/*
	 * only commands that are known to leave a medium alone are sent; others end in DATA PROTECT
	 */
	bool read_only;
	unsigned start_ms; /* deadline of start, scan included. 0 = 60,000 */
	hba_log_fn log;    /* takes log lines up to log_level; NULL = nobody does */
	void *log_arg;
	enum hba_log_level log_level;
	/*
	 * How long a command may be with the driver, each try by itself, before recovery begins: of
	 * every unit's default (hba_task::timeout_ms) and of the scan's commands; 1..UINT32_MAX. 0
	 * = "Read Time Out Duration" and "Write Time Out Duration" of the target, or else of the
	 * controller, the longer of the two; where the driver sets neither, 30,000; of the scan's
	 * commands 10,000.
	 */
	uint64_t timeout_ms;
	/* a command that takes longer is told, see HBA_EVENT_SLOW; up to UINT32_MAX. 0 = 1,000 */
	uint64_t slow_ms;
};

/**
 * hba_controller_open() - Find driver and bus for a URI: "soft:disk.img", "pci:0000:03:00.0",
 * "qemu:pvscsi?drive=disk.img".
 *
 * Touches nothing yet. `options` may be NULL, is copied. *ret_c is the caller's until
 * hba_controller_close(). -EINVAL: the URI or an option; -ENOENT: no driver or device; -EBUSY: the
 * device is somebody's. Any thread; may wait.
 */
int hba_controller_open(const char *uri, const struct hba_options *options,
			struct hba_controller **ret_c);

/**
 * hba_controller_start() - initialize, the pool (map_hba_data for every task), start, first scan.
 * Waits, until all is done.
 *
 * Runs the loop itself. On an error the controller is unwound to opened, and may be started again.
 * -EPROTO: the driver broke its contract; -ETIMEDOUT: start_ms; -ECANCELED;
 * else the driver's error. The loop's thread.
 */
int hba_controller_start(struct hba_controller *c);

/**
 * hba_controller_cancel() - The start that is under way, or else the next one, ends soon with
 * -ECANCELED: waits of the driver's ops end, and nothing more is begun. Any thread, and signal
 * handlers. NULL is fine.
 */
void hba_controller_cancel(struct hba_controller *c);

/**
 * hba_controller_stop() - End all tasks, each through its done, and the driver. Waits; bounded. The
 * loop's thread, not a done.
 *
 * -EIO: DMA could not be confirmed off: the controller is dead. No done is skipped even so: those
 * tasks come back with HBA_NO_STATUS and `memory_lost`, and mappings they lie in outlive
 * hba_controller_close(), leaked on purpose.
 */
int hba_controller_stop(struct hba_controller *c);

/**
 * hba_controller_close() - Stop if need be, and free. NULL is fine.
 *
 * Every pointer got from `c` ends here, and `c` itself: units, tasks, mappings, properties. Nothing
 * can check that; see above.
 */
void hba_controller_close(struct hba_controller *c);

/**
 * hba_controller_set_power() - Off, low, pause, or on again. Waits, bounded. The loop's thread, not
 * a callback.
 *
 * Tasks with the driver are awaited first; what is submitted meanwhile waits for HBA_POWER_ON, its
 * timeout not running yet. On is a controller reset, `start` and a rescan. -ETIMEDOUT: tasks did
 * not come back, nothing has changed; else the driver's error.
 */
int hba_controller_set_power(struct hba_controller *c, enum hba_power state);

/* ---- own loop */

/**
 * hba_controller_run() - One turn: send what was submitted, take up to `budget` (1..) completions,
 * run callbacks, send what they submitted; timers and the like when nothing came, and once a
 * millisecond.
 *
 * Returns the tasks that came back, 0 if none; -ENODEV once all is over (stopped, gone or dead, and
 * every done has run). Makes no system call while only polled. Never waits. Always the thread that
 * started it, or the last that took the loop; not from a callback.
 */
int hba_controller_run(struct hba_controller *c, unsigned budget);

/**
 * hba_controller_take_loop() - The calling thread is the loop from now on, so that threads may take
 * turns at running it.
 *
 * Whose turn it is, the callers settle among themselves: the last owner has left the loop before
 * this call begins, as one lock of theirs makes sure. -EBUSY: in a callback, or the library runs
 * the loop. Never waits.
 */
int hba_controller_take_loop(struct hba_controller *c);

/**
 * hba_controller_leave_loop() - The calling thread is the loop no more, and nobody is until one
 * takes it.
 *
 * What it submits from now on goes the way of every other thread's. -EPERM: it is not the loop.
 * Else as hba_controller_take_loop().
 */
int hba_controller_leave_loop(struct hba_controller *c);

/**
 * hba_controller_arm() - Before sleeping: let the fd wake us.
 *
 * 0: sleep on hba_controller_fd() now. 1: there is work, run again. The next run disarms. Never
 * lost: arm, then look. -EPERM, -EBUSY: this thread is not the one that may run it; see
 * hba_controller_run().
 */
int hba_controller_arm(struct hba_controller *c);

/**
 * hba_controller_fd() - Readable when armed and there is work, a deadline or an event. The
 * controller's: only poll it.
 */
int hba_controller_fd(const struct hba_controller *c);

/* ---- looking */

enum hba_state {
	HBA_CREATED,
	HBA_INITIALISED,
	HBA_MAPPED,
	HBA_STARTED,
	HBA_PAUSED,
	HBA_RESETTING,
	HBA_STOPPED,
	HBA_GONE, /* the device was pulled out; final */
	HBA_DEAD, /* recovery ended without confirmation; final */
};

/** struct hba_counts - What the pool took, and proof of what the I/O path did not. */
struct hba_counts {
	uint64_t client_tasks, internal_tasks, tmf_tasks; /* made */
	uint64_t hba_data_mapped;                         /* tasks whose map_hba_data has run */
	uint64_t hba_data_bytes;
	uint64_t hba_data_ns; /* spent there, at start */
	/* attempts to map in a hot op, all refused. 0, or a bad driver */
	uint64_t io_path_mappings;
};

/* Any thread, never wait. Strings and the report live as long as `c`; *ret_counts is a copy. */
enum hba_state hba_controller_state(const struct hba_controller *c);
const char *hba_state_name(enum hba_state s);
const char *hba_controller_driver(const struct hba_controller *c);
/* What driver.h describes, as checked; NULL before initialised. */
const struct hba_report *hba_controller_report(const struct hba_controller *c);
void hba_controller_counts(const struct hba_controller *c, struct hba_counts *ret_counts);

/**
 * struct hba_step - One step of the life cycle, as it went: initialize, map_hba_data, start, scan,
 * stop …
 */
struct hba_step {
	const char *name;
	uint64_t ns; /* how long it took */
	int error;   /* 0 or what it returned */
};

/**
 * hba_controller_steps() - The steps since open, oldest first; how many. Live until the next start,
 * stop or close. Loop thread.
 */
unsigned hba_controller_steps(const struct hba_controller *c, const struct hba_step **ret_steps);

/** hba_controller_uri() - As given to open. */
const char *hba_controller_uri(const struct hba_controller *c);

#define HBA_NO_TARGET UINT64_MAX

/**
 * hba_property_get() - Property number `index` of a target, or of the controller itself
 * (HBA_NO_TARGET). Loop thread. 0: *ret_p is it, its pointers live until the next run. -ENOENT: no
 * such target, or no more properties.
 */
int hba_property_get(const struct hba_controller *c, uint64_t target, unsigned index,
		     struct hba_property *ret_p);

/**
 * hba_controller_rescan() - Look for targets and units again; asynchronous. Any thread.
 *
 * What has changed is told by events; then, changed or not, HBA_EVENT_SCANNED. Asked for twice
 * before that: told once, of both.
 */
int hba_controller_rescan(struct hba_controller *c);

/**
 * hba_error() - The sentence behind this thread's last negative return. Never NULL; until its next
 * call of the library.
 */
const char *hba_error(void);

#ifdef __cplusplus
}
#endif
#endif
