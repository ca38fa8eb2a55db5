/* SPDX-License-Identifier: MIT */
/*
 * held.h: a disk in memory whose driver may hold tasks for a while, or until they are aborted. For
 * the drivers of sick.c and scratched.c, whose private struct it is, or begins with it.
 */
#ifndef CLI_HELD_H
#define CLI_HELD_H

#include "../../examples/ram-disk.h"

enum {
	HELD_INITIATOR = 7,
	HELD_LAST_TARGET = 0,
	HELD_TASKS = 32,
	HELD_DISK_BYTES = 1 << 20,
	HELD_NS_PER_MS = 1000000,
	HELD_READ_10 = 0x28,
	HELD_MEDIUM_ERROR = 3,
	HELD_READ_ERROR = 0x11
};

struct held {
	struct ram_disk disk;
	struct hba_task *tasks[HELD_TASKS];
	uint64_t until[HELD_TASKS];
};

static int held_initialize(struct hba_controller *c, struct hba_report *report)
{
	struct held *h = hba_controller_priv(c);

	report->initiator_id = HELD_INITIATOR;
	report->highest_target_id = HELD_LAST_TARGET;
	report->max_tasks = HELD_TASKS;
	report->manages_devices = false;
	report->performs_autosense = true;
	report->data_mode = HBA_DATA_CPU;
	report->tmfs = HBA_TMF_BIT(HBA_ABORT_TASK);
	return ram_disk_make(c, &h->disk, HELD_DISK_BYTES);
}

static void held_answer(struct held *h, struct hba_task *t)
{
	uint8_t sense[RAM_DISK_SENSE_BYTES];
	struct hba_result result;

	ram_disk_execute(&h->disk, t, t->cdb, sense, &result);
	hba_complete(t, &result);
}

static void held_check(struct hba_task *t, const uint8_t sense[RAM_DISK_SENSE_BYTES])
{
	hba_complete(t, &(struct hba_result) { .outcome = HBA_CHECK_CONDITION,
					       .sense = sense,
					       .sense_len = RAM_DISK_SENSE_BYTES });
}

/* The task is answered after `ms`; 0: never. */
static void held_add(struct hba_queue *q, struct hba_task *t, unsigned ms)
{
	struct held *h = hba_controller_priv(hba_queue_controller(q));
	unsigned i = 0;

	while (h->tasks[i])
		i++;
	h->tasks[i] = t;
	h->until[i] =
		ms ? hba_now(hba_queue_controller(q)) + (uint64_t)ms * HELD_NS_PER_MS : UINT64_MAX;
	if (ms)
		hba_poll_within(q, ms);
}

static unsigned held_poll(struct hba_queue *q, unsigned budget)
{
	struct held *h = hba_controller_priv(hba_queue_controller(q));
	unsigned n = 0;

	for (unsigned i = 0; i < HELD_TASKS && n < budget; i++) {
		struct hba_task *t = h->tasks[i];

		if (!t || h->until[i] > hba_now(hba_queue_controller(q)))
			continue;
		h->tasks[i] = NULL;
		held_answer(h, t);
		n++;
	}
	return n;
}

static void held_manage(struct hba_queue *q, struct hba_task *t, enum hba_tmf function)
{
	struct held *h = hba_controller_priv(hba_queue_controller(q));

	(void)function;
	for (unsigned i = 0; i < HELD_TASKS; i++) {
		if (!h->tasks[i] || h->tasks[i] != t->data.victim)
			continue;
		hba_complete_failed(h->tasks[i], HBA_TASK_ABORTED, HBA_SENT_YES);
		h->tasks[i] = NULL;
	}
	hba_tmf_complete(t, HBA_FUNCTION_COMPLETE);
}

#endif
