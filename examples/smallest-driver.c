/* SPDX-License-Identifier: MIT */
/*
 * smallest-driver.c: a whole driver, by leaving out all that has a default: hbakit scan --plugin
 * ./smallest-driver.so smallest:
 *
 * Every command ends where it comes, so there is nothing to poll, to abort or to stop.
 */
#include "ram-disk.h"

enum { INITIATOR = 7, TARGETS_LAST = 0, TASKS = 32, DISK_BYTES = 16 << 20 };

static int smallest_initialize(struct hba_controller *c, struct hba_report *report)
{
	report->initiator_id = INITIATOR;
	report->highest_target_id = TARGETS_LAST;
	report->max_tasks = TASKS;
	report->manages_devices = false;
	report->performs_autosense = true;
	report->data_mode = HBA_DATA_CPU;
	return ram_disk_make(c, hba_controller_priv(c), DISK_BYTES);
}

static void smallest_process_task(struct hba_queue *q, struct hba_task *t)
{
	uint8_t sense[RAM_DISK_SENSE_BYTES];
	struct hba_result result;

	ram_disk_execute(hba_controller_priv(hba_queue_controller(q)), t, t->cdb, sense, &result);
	hba_complete(t, &result);
}

static const struct hba_driver smallest_driver = {
	HBA_DRIVER_HEADER,
	.name = "smallest",
	.summary = "the smallest driver there can be",
	.scheme = "smallest",
	.priv_size = sizeof(struct ram_disk),
	.initialize = smallest_initialize,
	.process_task = smallest_process_task,
};

HBA_PLUGIN(smallest_driver)
