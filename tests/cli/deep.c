/* SPDX-License-Identifier: MIT */
/*
 * deep.c: an HBA with a unit that has no plain number: the second level of its LUN is used. For
 * deep.sh.
 */
#include "../../examples/ram-disk.h"

enum { INITIATOR = 7, LAST_TARGET = 0, TASKS = 32, DISK_BYTES = 1 << 20 };

static int deep_initialize(struct hba_controller *c, struct hba_report *report)
{
	report->initiator_id = INITIATOR;
	report->highest_target_id = LAST_TARGET;
	report->max_tasks = TASKS;
	report->manages_devices = false;
	report->performs_autosense = true;
	report->hierarchical_luns = true;
	report->data_mode = HBA_DATA_CPU;
	return ram_disk_make(c, hba_controller_priv(c), DISK_BYTES);
}

static void deep_process_task(struct hba_queue *q, struct hba_task *t)
{
	static const uint8_t luns[24] = { [3] = 16, [16] = 0x01, 0x00, 0x00, 0x03 };
	uint8_t sense[RAM_DISK_SENSE_BYTES];
	struct hba_result result;

	if (t->cdb[0] == REPORT_LUNS) {
		hba_complete_good(t, hba_task_copy_to(t, 0, luns, sizeof(luns)));
		return;
	}
	ram_disk_execute(hba_controller_priv(hba_queue_controller(q)), t, t->cdb, sense, &result);
	hba_complete(t, &result);
}

static const struct hba_driver deep_driver = {
	HBA_DRIVER_HEADER,
	.name = "deep",
	.summary = "a unit of the second level",
	.scheme = "deep",
	.priv_size = sizeof(struct ram_disk),
	.initialize = deep_initialize,
	.process_task = deep_process_task,
};

HBA_PLUGIN(deep_driver)
