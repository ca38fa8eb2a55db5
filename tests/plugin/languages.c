/* SPDX-License-Identifier: MIT */
/*
 * languages.c: a driver that ends in HBA_PLUGIN(), as C and as C++. It has no chip and no targets:
 * what counts is whether it is found.
 */
#include <hbakit/driver.h>

static int initialize(struct hba_controller *c, struct hba_report *report)
{
	(void)c;
	report->initiator_id = 7;
	report->highest_target_id = 0;
	report->max_tasks = 1;
	report->manages_devices = 0;
	report->performs_autosense = 1;
	report->data_mode = HBA_DATA_CPU;
	return 0;
}

static void process_task(struct hba_queue *q, struct hba_task *t)
{
	(void)q;
	hba_complete_failed(t, HBA_NOT_PRESENT, HBA_SENT_NO);
}

static const struct hba_driver languages_driver = {
	HBA_DRIVER_HEADER,     .name = "languages",      .summary = "a driver in any language",
	.scheme = "languages", .initialize = initialize, .process_task = process_task,
};

HBA_PLUGIN(languages_driver)
