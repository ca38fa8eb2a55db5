/* SPDX-License-Identifier: MIT */
/*
 * controller.h: one running HBA, as an application holds it.
 *
 *	open ──> start ──> run, run, run … ──> stop ──> close
 *
 * There are two ways to run it. *Own loop*: one thread calls hba_controller_run(), and all
 * callbacks come from inside that call; these headers call that thread "the loop". *Threads*: the
 * library starts a thread for the controller, and that thread is the loop. In both cases one
 * service thread belongs to the controller, for work that may wait (bring-up, scan, recovery).
 *
 * Unless stated otherwise, functions return 0 or a negative errno; hba_error() returns the sentence
 * for a person. The library never prints and never exits.
 *
 * Wrong use is never silent: it ends in an error or, where a function cannot detect it, the program
 * ends there, by an assertion or by the access itself. One rule cannot be checked: do not use
 * anything after it has been closed. AddressSanitizer finds each such use.
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

/** struct hba_options - How to open. Zero is the default of every field. */
struct hba_options {
	size_t size;        /* sizeof(struct hba_options); 0 = version 1's */
	const char *name;   /* reserved and unused */
	const char *plugin; /* path of a driver's .so, tried first; errors: hba_driver_load() */
	bool in_process;    /* reserved, leave false: every driver runs in the caller's process */
	bool threads;       /* the library runs the loop in a thread. Default: the caller runs it */
	bool read_only;     /* only commands known not to change a medium; others: DATA PROTECT */
	unsigned start_ms;  /* deadline of start, scan included. 0 = 60,000 */
	hba_log_fn log;     /* receives log lines up to log_level; NULL = no log */
	void *log_arg;
	enum hba_log_level log_level;
	/*
	 * How long a command may be with the driver before recovery begins, counted for each try.
	 * It applies to the commands of the scan and is the default of every unit
	 * (hba_task::timeout_ms); 1..UINT32_MAX. 0: the longer of "Read Time Out Duration" and
	 * "Write Time Out Duration" of the target or, without these, of the controller; if the
	 * driver sets neither, 30,000; for commands of the scan 10,000.
	 */
	uint64_t timeout_ms;
	uint64_t slow_ms; /* a longer command raises HBA_EVENT_SLOW; up to UINT32_MAX. 0 = 1,000 */
};

/**
 * hba_controller_open() - Find driver and bus for a URI: "soft:disk.img", "pci:0000:03:00.0",
 * "qemu:pvscsi?drive=disk.img".
 *
 * Does not touch the device. `options` may be NULL and is copied. *ret_c is the caller's until
 * hba_controller_close(). -EINVAL: the URI or an option; -ENOENT: no driver or device; -EBUSY: the
 * device is in use. Any thread; may wait.
 */
int hba_controller_open(const char *uri, const struct hba_options *options,
			struct hba_controller **ret_c);

/**
 * hba_controller_start() - Run initialize, make the pool (map_hba_data for every task), run start
 * and the first scan. Waits until all is done.
 *
 * Runs the loop itself. On an error the controller is unwound to its state after open, and may be
 * started again. -EPROTO: the driver broke its contract; -ETIMEDOUT: start_ms; -ECANCELED; else the
 * driver's error. The loop's thread.
 */
int hba_controller_start(struct hba_controller *c);

/**
 * hba_controller_cancel() - End the start in progress, or else the next one, soon with -ECANCELED:
 * waits in the driver's ops end, and no further step is begun. Any thread, and signal handlers.
 * NULL is fine.
 */
void hba_controller_cancel(struct hba_controller *c);

/**
 * hba_controller_stop() - End all tasks, each through its done, then stop the driver. Waits;
 * bounded. The loop's thread, not from a done.
 *
 * -EIO: DMA could not be confirmed off, and the controller is dead. Every done still runs: the
 * tasks end with HBA_NO_STATUS and `memory_lost`. Mappings with memory of these tasks outlive
 * hba_controller_close(), leaked on purpose.
 */
int hba_controller_stop(struct hba_controller *c);

/**
 * hba_controller_close() - Stop if necessary, and free. NULL is fine.
 *
 * Every pointer obtained from `c` becomes invalid, and `c` itself: units, tasks, mappings,
 * properties. Later use cannot be detected; see above. A child of fork() leaves its parent's
 * controllers alone, once started: to stop or close one there is wrong use.
 */
void hba_controller_close(struct hba_controller *c);

/**
 * hba_controller_set_power() - Off, low, pause, or on again. Waits; bounded. The loop's thread, not
 * from a callback.
 *
 * It first waits for the tasks that are with the driver. Tasks submitted meanwhile wait for
 * HBA_POWER_ON, and their timeouts do not run yet. On means a controller reset, `start` and a
 * rescan. -ETIMEDOUT: tasks did not come back, and nothing has changed; else the driver's error.
 */
int hba_controller_set_power(struct hba_controller *c, enum hba_power state);

/* ---- own loop */

/**
 * hba_controller_run() - One turn: send the submitted tasks, take up to `budget` (1..) completions,
 * run callbacks, send the tasks these submitted. Timers and the like run if no completion came, and
 * once a millisecond.
 *
 * Returns the number of tasks that came back, 0 if none; -ENODEV once all is over (stopped, gone or
 * dead, and every done has run). Makes no system call while only polled. Never waits. Call it only
 * on the thread that started the controller, or the last that took the loop; not from a callback.
 */
int hba_controller_run(struct hba_controller *c, unsigned budget);

/**
 * hba_controller_take_loop() - Make the calling thread the loop, so that threads may take turns at
 * running it.
 *
 * The callers must order the turns among themselves, for example by a lock: the last owner has left
 * the loop before this call begins. -EBUSY: called from a callback, or the library runs the loop.
 * Never waits.
 */
int hba_controller_take_loop(struct hba_controller *c);

/**
 * hba_controller_leave_loop() - The calling thread is no longer the loop; there is none until a
 * thread takes it.
 *
 * From now on this thread submits in the same way as any other thread. -EPERM: it is not the loop.
 * Else as hba_controller_take_loop().
 */
int hba_controller_leave_loop(struct hba_controller *c);

/**
 * hba_controller_arm() - Arm the fd before sleeping.
 *
 * 0: sleep on hba_controller_fd() now. 1: there is work, run again. The next run disarms. No
 * wake-up is lost: it arms first, then checks for work. -EPERM, -EBUSY: this thread may not run the
 * loop; see hba_controller_run().
 */
int hba_controller_arm(struct hba_controller *c);

/**
 * hba_controller_fd() - Readable when armed and there is work, a deadline or an event. The
 * controller owns it: only poll it.
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

/** struct hba_counts - The resources of the pool, and proof that the I/O path mapped nothing. */
struct hba_counts {
	uint64_t client_tasks, internal_tasks, tmf_tasks; /* made */
	uint64_t hba_data_mapped;                         /* tasks whose map_hba_data has run */
	uint64_t hba_data_bytes;
	uint64_t hba_data_ns;      /* spent there, at start */
	uint64_t io_path_mappings; /* refused attempts to map in a hot op; 0 with a good driver */
};

/* Any thread, never wait. Strings and the report live as long as `c`; *ret_counts is a copy. */
enum hba_state hba_controller_state(const struct hba_controller *c);
const char *hba_state_name(enum hba_state s);
const char *hba_controller_driver(const struct hba_controller *c);
/* The report of driver.h, as checked; NULL before initialize has run. */
const struct hba_report *hba_controller_report(const struct hba_controller *c);
void hba_controller_counts(const struct hba_controller *c, struct hba_counts *ret_counts);

/**
 * struct hba_step - One completed step of the life cycle: initialize, map_hba_data, start, scan,
 * stop …
 */
struct hba_step {
	const char *name;
	uint64_t ns; /* duration */
	int error;   /* 0, or the step's error */
};

/**
 * hba_controller_steps() - The steps since open, oldest first; returns their number. Valid until
 * the next start, stop or close. Loop thread.
 */
unsigned hba_controller_steps(const struct hba_controller *c, const struct hba_step **ret_steps);

/** hba_controller_uri() - The URI given to open. */
const char *hba_controller_uri(const struct hba_controller *c);

#define HBA_NO_TARGET UINT64_MAX

/**
 * hba_property_get() - Property number `index` of a target, or of the controller itself
 * (HBA_NO_TARGET). Loop thread. 0: *ret_p is filled, and its pointers are valid until the next run.
 * -ENOENT: no such target, or no more properties.
 */
int hba_property_get(const struct hba_controller *c, uint64_t target, unsigned index,
		     struct hba_property *ret_p);

/**
 * hba_controller_rescan() - Look for targets and units again; asynchronous. Any thread.
 *
 * Changes are reported as events. At the end comes HBA_EVENT_SCANNED, with or without changes; one
 * for all rescans requested before it.
 */
int hba_controller_rescan(struct hba_controller *c);

/**
 * hba_error() - The sentence for this thread's last negative return. Never NULL; valid until the
 * thread's next call of the library.
 */
const char *hba_error(void);

#ifdef __cplusplus
}
#endif
#endif
