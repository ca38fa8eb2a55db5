/* SPDX-License-Identifier: MIT */
/* slow-start.c: a chip that is never ready. For slow-start.sh. */
#include <hbakit/driver.h>

enum { LONGER_THAN_ANY_OP_MS = 3600 * 1000 };

static int slow_initialize(struct hba_controller *c, struct hba_report *report)
{
	(void)report;
	return hba_wait(c, LONGER_THAN_ANY_OP_MS);
}

static void slow_process_task(struct hba_queue *q, struct hba_task *t)
{
	(void)q;
	hba_complete_failed(t, HBA_NOT_PRESENT, HBA_SENT_NO);
}

static const struct hba_driver slow_driver = {
	HBA_DRIVER_HEADER,
	.name = "slow",
	.summary = "a driver that waits for its chip",
	.scheme = "slow",
	.initialize = slow_initialize,
	.process_task = slow_process_task,
};

HBA_PLUGIN(slow_driver)
