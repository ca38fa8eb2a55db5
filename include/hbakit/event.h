/* SPDX-License-Identifier: MIT */
/*
 * event.h: what happened that no task tells. Pulled, not pushed: a slow reader loses events, never
 * the loop's time, and is told how many (HBA_EVENT_LOST).
 */
#ifndef HBAKIT_EVENT_H
#define HBAKIT_EVENT_H

#include <hbakit/scsi.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hba_controller;

enum hba_event_kind {
	HBA_EVENT_LOST,       /* value: how many before this one */
	HBA_EVENT_STATE,      /* value: enum hba_state */
	HBA_EVENT_POOL_SHORT, /* value: tasks made; map_hba_data had no memory for more */
	HBA_EVENT_TARGET_CAME,
	HBA_EVENT_TARGET_LEFT,
	HBA_EVENT_LUN_CAME,
	/*
	 * another disk, capacity, medium: ask hba_lun_get_info(). value: the generation; text: why
	 * it moved
	 */
	HBA_EVENT_LUN_CHANGED,
	HBA_EVENT_LUN_LEFT,
	HBA_EVENT_PROPERTY, /* text: the key */
	HBA_EVENT_BUS_RESET,
	HBA_EVENT_PORT, /* value: enum hba_port_status, of driver.h */
	/*
	 * text: which rung, for which command, its outcome, what comes next; value: the rung, 0 =
	 * none yet, 1 = abort
	 */
	HBA_EVENT_RECOVERY,
	HBA_EVENT_QUARANTINE, /* value: bytes now waiting for a confirmation */
	/*
	 * by the driver. text: driver, call, value, rule; value: how many there have been, this one
	 * included
	 */
	HBA_EVENT_VIOLATION,
	/* all that was asked for is looked at; what it found has been told. value: units present */
	HBA_EVENT_SCANNED,
	/* initialize_target failed with `value`, an errno other than -ENODEV; text: why */
	HBA_EVENT_TARGET_REFUSED,
	/* a scan could not look at all units of a target. value: how many it knows of; text: why */
	HBA_EVENT_LUNS_LEFT_OUT,
	/*
	 * writes that had ended well may not be on the medium of `lun`; text: what happened, what
	 * to do
	 */
	HBA_EVENT_WRITES_LOST,
	/*
	 * Commands that take long. Each text names the command, its unit and its first block. Both
	 * are looked for while the loop runs: a command is told within 10 ms of its time.
	 */

	/*
	 * with the driver for 5 s (hba_options::slow_ms, if that is longer), once a try. value: how
	 * many of this unit
	 */
	HBA_EVENT_HANGING,
	/*
	 * came back after more than hba_options::slow_ms. value: how long it was with the driver,
	 * ms
	 */
	HBA_EVENT_SLOW,
	/*
	 * A command is sent again. text: why, when, which try; value: the try, 2 = the second. Of
	 * TASK SET FULL only the first of each unit is told: after it the unit is sent fewer
	 * commands at a time.
	 */
	HBA_EVENT_RETRY,
	/*
	 * The device reported what cannot be: see hba_device_error() of driver.h. No fault of the
	 * driver's. Only the 1st, 2nd, 4th, 8th … since start are told, as such a fault often comes
	 * with every command. text: what it reported; value: which one it is.
	 */
	HBA_EVENT_DEVICE_ERROR,
};

/** struct hba_event - One of them. `target` is UINT64_MAX for those about the controller. */
struct hba_event {
	uint64_t time_ns; /* the controller's clock */
	uint64_t target;
	struct hba_lun_id lun;
	int64_t value;
	enum hba_event_kind kind;
	/*
	 * one whole sentence, no newline, always ended by NUL; one that is longer still ends in
	 * "..."
	 */
	char text[512];
};

/**
 * hba_event_next() - Take the oldest. 1: *ret_event is it; 0: none. Any thread, during
 * hba_controller_start(), too; never waits.
 */
int hba_event_next(struct hba_controller *c, struct hba_event *ret_event);

#ifdef __cplusplus
}
#endif
#endif
