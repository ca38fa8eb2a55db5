/* SPDX-License-Identifier: MIT */
/* stuck-stop.c: a disk in memory whose driver never comes back from stop. For stuck-stop.sh. */
#include "../../examples/ram-disk.h"

#include <unistd.h>

enum { INITIATOR = 7, LAST_TARGET = 0, TASKS = 32, DISK_BYTES = 1 << 20 };

static int stuck_initialize(struct hba_controller *c, struct hba_report *report)
{
	report->initiator_id = INITIATOR;
	report->highest_target_id = LAST_TARGET;
	report->max_tasks = TASKS;
	report->manages_devices = false;
	report->performs_autosense = true;
	report->data_mode = HBA_DATA_CPU;
	return ram_disk_make(c, hba_controller_priv(c), DISK_BYTES);
}

static void stuck_process_task(struct hba_queue *q, struct hba_task *t)
{
	uint8_t sense[RAM_DISK_SENSE_BYTES];
	struct hba_result result;

	ram_disk_execute(hba_controller_priv(hba_queue_controller(q)), t, t->cdb, sense, &result);
	hba_complete(t, &result);
}

static void stuck_stop(struct hba_controller *c)
{
	(void)c;
	for (;;)
		pause();
}

static const struct hba_driver stuck_driver = {
	HBA_DRIVER_HEADER,
	.name = "stuck",
	.summary = "a driver that does not stop",
	.scheme = "stuck",
	.priv_size = sizeof(struct ram_disk),
	.initialize = stuck_initialize,
	.process_task = stuck_process_task,
	.stop = stuck_stop,
};

HBA_PLUGIN(stuck_driver)
