/* SPDX-License-Identifier: MIT */
/* driver-call.h: the ops of the driver's table, each called in one place. */
#ifndef CORE_DRIVER_CALL_H
#define CORE_DRIVER_CALL_H

#include <hbakit/driver.h>

struct task;

/*
 * Each calls the op of that name, on the service thread or as a hot op, as <hbakit/driver.h> has
 * it. For a number above 0 those that return an errno report a violation and return -EPROTO.
 */
int driver_initialize(struct hba_controller *c, struct hba_report *report);
/** driver_map_hba_data() - Without the op, ids are counted from 1. */
int driver_map_hba_data(struct hba_controller *c, struct task *t, uint32_t *ret_id);
int driver_start(struct hba_controller *c);
int driver_discover(struct hba_controller *c);
int driver_initialize_target(struct hba_controller *c, struct hba_target *tgt,
			     struct hba_target_report *report);
void driver_release_target(struct hba_controller *c, struct hba_target *tgt);
/** driver_reset() - Without the op, -EOPNOTSUPP. */
int driver_reset(struct hba_controller *c, enum hba_reset_level level);
int driver_set_power_state(struct hba_controller *c, enum hba_power state);
void driver_stop(struct hba_controller *c);
void driver_kick(struct hba_queue *q);
void driver_poll(struct hba_queue *q, unsigned budget);
/** driver_interrupts() - true: there is work already. */
bool driver_interrupts(struct hba_queue *q, bool on);
void driver_manage(struct task *t, enum hba_tmf function);

#endif
