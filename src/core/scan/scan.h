/* SPDX-License-Identifier: MIT */
/* scan.h: which targets and units there are; events of a driver's bus. */
#ifndef CORE_SCAN_H
#define CORE_SCAN_H

#include "core/io/io.h"

struct scan;

/* ---- leave.c */

/** lun_leave() - It is absent from now on: the event; its unsent tasks end. */
void lun_leave(struct hba_lun *lun);
/**
 * target_leave() - It is gone: unsent tasks end, those with the driver are awaited, then
 * release_target is called.
 */
void target_leave(struct hba_target *tgt);

/* ---- scan.c */

/** scan_begin() - Look for targets and units; one scan at a time, a second one follows. Loop. */
int scan_begin(struct hba_controller *c);
/**
 * scan_after_reset() - The chip has lost its state: a discovery that was under way begins anew.
 * false: none was.
 */
bool scan_after_reset(struct hba_controller *c);
bool scan_over(struct hba_controller *c);
/** scan_discovered() - The driver has named all targets it has: those it did not name, go. */
void scan_discovered(struct hba_controller *c);
/** scan_turn() - Whatever the scan can do now. */
void scan_turn(struct hba_controller *c);
/** scan_next() - The latest time of the next call; NO_DEADLINE. */
uint64_t scan_next(const struct hba_controller *c);
void scan_free(struct hba_controller *c);

/* ---- driver-event.c: events of a driver's bus */

/*
 * A task's deadline while its target's link is lost: the time it has left, counted from here.
 * Beyond any clock.
 */
#define DEADLINE_STOPPED (UINT64_C(1) << 62)
/** enum driver_event_kind - Events of a driver's bus. */
enum driver_event_kind {
	DRIVER_EVENT_TARGET_CREATE,
	DRIVER_EVENT_TARGET_DESTROY,
	DRIVER_EVENT_TARGET_BLOCK,
	DRIVER_EVENT_TARGET_UNBLOCK,
	DRIVER_EVENT_DISCOVERY_DONE,
	DRIVER_EVENT_LUNS_CHANGED,
	DRIVER_EVENT_MEDIUM_CHANGED,
	DRIVER_EVENT_BUS_RESET,
	DRIVER_EVENT_PORT_STATUS
};

struct driver_event {
	struct list link;
	enum driver_event_kind kind;
	uint64_t target;
	enum hba_port_status status;
	struct hba_lun_id lun; /* DRIVER_EVENT_MEDIUM_CHANGED: of this unit */
	struct properties properties;
};

struct driver_events {
	pthread_mutex_t lock; /* the list: ops of any thread put, the loop takes */
	struct list list;
	bool any; /* atomic */
};

/** driver_event_new() - NULL: no memory. */
struct driver_event *driver_event_new(enum driver_event_kind kind, uint64_t target);
/**
 * driver_event_post() - Write it down for the loop, which owns it from now on. Any thread. Returns
 * 0.
 */
int driver_event_post(struct hba_controller *c, struct driver_event *n);
void driver_event_free(struct driver_event *n);
void driver_event_turn(struct hba_controller *c);
void driver_events_free(struct hba_controller *c);

#endif
