/* SPDX-License-Identifier: MIT */
/*
 * event.h: events that belong to no task. Events are pulled, not pushed: a slow reader loses events
 * but never delays the loop. HBA_EVENT_LOST has the number of lost events.
 */
#ifndef HBAKIT_EVENT_H
#define HBAKIT_EVENT_H

#include <hbakit/scsi.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hba_controller;

enum hba_event_kind {
	HBA_EVENT_LOST,       /* value: the number of events lost before this one */
	HBA_EVENT_STATE,      /* value: enum hba_state */
	HBA_EVENT_POOL_SHORT, /* value: tasks made; map_hba_data had no memory for more */
	HBA_EVENT_TARGET_CAME,
	HBA_EVENT_TARGET_LEFT,
	HBA_EVENT_LUN_CAME,
	/* disk, capacity, medium: call hba_lun_get_info(). value: generation; text: reason */
	HBA_EVENT_LUN_CHANGED,
	HBA_EVENT_LUN_LEFT,
	HBA_EVENT_PROPERTY, /* text: the key */
	HBA_EVENT_BUS_RESET,
	HBA_EVENT_PORT, /* value: enum hba_port_status, of driver.h */
	/* text: rung, command, outcome, next step; value: the rung, 0 = none yet, 1 = abort */
	HBA_EVENT_RECOVERY,
	HBA_EVENT_QUARANTINE, /* value: bytes now waiting for a confirmation */
	/* by the driver. text: driver, call, value, rule; value: the number of violations */
	HBA_EVENT_VIOLATION,
	/* the requested scan is done, after its other events. value: units present */
	HBA_EVENT_SCANNED,
	/* initialize_target failed with `value`, an errno other than -ENODEV; text: why */
	HBA_EVENT_TARGET_REFUSED,
	/* a scan could not examine all units of a target. value: known units; text: why */
	HBA_EVENT_LUNS_LEFT_OUT,
	/* completed writes may not be on the medium of `lun`; text: the cause, the remedy */
	HBA_EVENT_WRITES_LOST,
	/*
	 * Slow commands. Each text has the command, its unit and its first block. The loop checks
	 * for both while it runs: a command is reported within 10 ms of its time.
	 */

	/*
	 * with the driver for 5 s (or hba_options::slow_ms, if longer), once a try. value: hanging
	 * commands of the unit
	 */
	HBA_EVENT_HANGING,
	/* came back after more than hba_options::slow_ms. value: time with the driver, ms */
	HBA_EVENT_SLOW,
	/*
	 * A command is sent again. text: why, when, which try; value: the try, 2 = the second. Only
	 * the first TASK SET FULL of each unit is reported: after it the unit gets fewer commands
	 * at a time.
	 */
	HBA_EVENT_RETRY,
	/*
	 * Invalid data from the device, see hba_device_error() of driver.h; not a fault of the
	 * driver. Such a fault often occurs with every command, so only the 1st, 2nd, 4th, 8th …
	 * since start are reported. text: the data; value: its number.
	 */
	HBA_EVENT_DEVICE_ERROR,
};

/** struct hba_event - One event. `target` is UINT64_MAX if the event concerns the controller. */
struct hba_event {
	uint64_t time_ns; /* the controller's clock */
	uint64_t target;
	struct hba_lun_id lun;
	int64_t value;
	enum hba_event_kind kind;
	char text[512]; /* one sentence, no newline, ended by NUL; "..." ends a cut one */
};

/**
 * hba_event_next() - Take the oldest event. 1: *ret_event is filled; 0: no event. Any thread, also
 * during hba_controller_start(); never waits.
 */
int hba_event_next(struct hba_controller *c, struct hba_event *ret_event);

#ifdef __cplusplus
}
#endif
#endif
