/* SPDX-License-Identifier: MIT */
/*
 * table.c: a plug-in whose table is spoilt, or not, by what meson.build says on the compiler's
 * command line. Its driver has no chip and no targets: what counts is whether it is let in.
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

/* Only one that calls it needs it. */
void nobody_has_this(void);

static const struct hba_pci_id ids[] = { { .vendor = 0x15ad, .device = 0x07c0 }, { .vendor = 0 } };

/** struct newer - A table of a later version: two ops more. */
struct newer {
	struct hba_driver table;
	const void *later[2];
};

static const struct newer spoilt = {
	.table = {
		.size = SIZE,
		.version = VERSION,
		.name = NAME,
		.summary = "a table for the tests",
		.scheme = SCHEME,
		.ids = HAS_IDS ? ids : NULL,
		.initialize = HAS_INITIALIZE ? initialize : NULL,
		.process_task = process_task,
	},
	.later = { NULL, LATER },
};

const struct hba_driver *ENTRY(void);
const struct hba_driver *ENTRY(void)
{
	if (CALLS_NOBODY)
		nobody_has_this();
	return RETURNS ? &spoilt.table : NULL;
}
