/* SPDX-License-Identifier: MIT */
/*
 * hostile.c: a driver and a disk whose every text holds what a terminal would obey. For hostile.py.
 */
#include "../../examples/ram-disk.h"

#include <string.h>

enum {
	INITIATOR = 7,
	LAST_TARGET = 0,
	TASKS = 32,
	DISK_BYTES = 1 << 20,
	SERIAL = 0x80,
	PAGE_BYTES = 24,
	STANDARD = 36,
	LONGER = 96
};
/*
 * An escape sequence, a new line, ISO 6429's CSI as one byte and as UTF-8, and what is no UTF-8 at
 * all.
 */
#define TEXT "\033[31m\nfake\r\x9b\xc2\x9b\xff\a"

static int hostile_initialize(struct hba_controller *c, struct hba_report *report)
{
	if (strcmp(hba_uri_path(c), "fails") == 0)
		return hba_fail(c, -1, "the chip says %s", TEXT);
	report->initiator_id = INITIATOR;
	report->highest_target_id = LAST_TARGET;
	report->max_tasks = TASKS;
	report->manages_devices = false;
	report->performs_autosense = true;
	report->data_mode = HBA_DATA_CPU;
	return ram_disk_make(c, hba_controller_priv(c), DISK_BYTES);
}

static int hostile_start(struct hba_controller *c)
{
	hba_log(c, HBA_LOG_INFO, "%s", TEXT);
	return hba_set_property(c, NULL,
				&(struct hba_property) { .key = "Product Name",
							 .type = HBA_STRING,
							 .value.string = TEXT });
}

/* More than its own length says, as some devices send. */
static void answer_inquiry(struct hba_task *t, struct hba_result *result)
{
	uint8_t data[LONGER] = { 0, 0, 6, 2, STANDARD - 5 };
	bool page = t->cdb[1] & 1;
	size_t wanted = (size_t)t->cdb[3] << 8 | t->cdb[4], length = sizeof(data);

	memcpy(data + (page ? 4 : 8), TEXT TEXT, PAGE_BYTES - 4);
	memset(data + STANDARD, 'x', LONGER - STANDARD);
	if (page) {
		data[1] = t->cdb[2];
		data[2] = 0;
		data[3] = PAGE_BYTES - 4;
	}
	if (page && t->cdb[2] == 0)
		memcpy(data, (uint8_t[]) { 0, 0, 0, 2, 0, SERIAL }, 6);
	result->bytes = hba_task_copy_to(t, 0, data, length < wanted ? length : wanted);
}

static void hostile_process_task(struct hba_queue *q, struct hba_task *t)
{
	uint8_t sense[RAM_DISK_SENSE_BYTES];
	struct hba_result result = { .outcome = HBA_GOOD };

	if (t->cdb[0] == INQUIRY && (t->cdb[1] == 0 || t->cdb[2] == SERIAL || t->cdb[2] == 0))
		answer_inquiry(t, &result);
	else
		ram_disk_execute(hba_controller_priv(hba_queue_controller(q)), t, t->cdb, sense,
				 &result);
	hba_complete(t, &result);
}

static const struct hba_option options[] = {
	{ "option", TEXT, TEXT },
	{ 0 },
};

static const struct hba_driver hostile_driver = {
	HBA_DRIVER_HEADER,
	.name = "hostile",
	.summary = TEXT,
	.scheme = "hostile",
	.options = options,
	.priv_size = sizeof(struct ram_disk),
	.initialize = hostile_initialize,
	.start = hostile_start,
	.process_task = hostile_process_task,
};

HBA_PLUGIN(hostile_driver)
