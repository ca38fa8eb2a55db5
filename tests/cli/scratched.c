/* SPDX-License-Identifier: MIT */
/*
 * scratched.c: a disk in memory, of 1 MiB, each block filled with its own number, of which some
 * cannot be read. For rescue.sh.
 *
 *	scratched:7,100-103        READs of these blocks end in MEDIUM ERROR, without INFORMATION
 *	scratched:i7,100-103       with the first such block in INFORMATION
 *	scratched:l7,100-103       with a lie in it: the last block of the READ
 *	scratched:g7               gone: NOT READY, no error of these blocks
 *	scratched:s7               every READ takes 20 ms
 */
#include "../../examples/ram-disk.h"

#include <stdlib.h>
#include <string.h>

enum {
	INITIATOR = 7,
	LAST_TARGET = 0,
	TASKS = 32,
	DISK_BYTES = 1 << 20,
	SLOW_MS = 20,
	NS_PER_MS = 1000000
};
enum {
	MEDIUM_ERROR_KEY = 3,
	READ_ERROR_ASC = 0x11,
	NOT_READY_KEY = 2,
	HARD_FAILURE_ASC = 0x04,
	HARD_FAILURE_ASCQ = 0x03
};
enum { VALID = 0x80, INFORMATION_BYTE = 3 };

struct scratched {
	struct ram_disk disk;
	struct hba_task *held[TASKS];
	uint64_t until[TASKS];
};

static int scratched_initialize(struct hba_controller *c, struct hba_report *report)
{
	struct scratched *s = hba_controller_priv(c);
	int r;

	report->initiator_id = INITIATOR;
	report->highest_target_id = LAST_TARGET;
	report->max_tasks = TASKS;
	report->manages_devices = false;
	report->performs_autosense = true;
	report->data_mode = HBA_DATA_CPU;
	report->tmfs = HBA_TMF_BIT(HBA_ABORT_TASK);
	r = ram_disk_make(c, &s->disk, DISK_BYTES);
	for (unsigned i = 0; r == 0 && i < DISK_BYTES / RAM_DISK_BLOCK; i++)
		memset(s->disk.bytes + (size_t)i * RAM_DISK_BLOCK, (int)(i % 255 + 1),
		       RAM_DISK_BLOCK);
	return r;
}

/* The first block of [first, first + n) that is in the list; UINT64_MAX: none. */
static uint64_t find_bad(const char *list, uint64_t first, uint64_t n)
{
	uint64_t least = UINT64_MAX;
	char *rest;

	while (*list) {
		uint64_t from = strtoull(list, &rest, 10),
			 to = *rest == '-' ? strtoull(rest + 1, &rest, 10) : from;

		if (from < first)
			from = first;
		if (from <= to && from < first + n && from < least)
			least = from;
		list = rest + (*rest == ',');
	}
	return least;
}

static void answer(struct scratched *s, struct hba_task *t)
{
	uint8_t sense[RAM_DISK_SENSE_BYTES];
	struct hba_result result;

	ram_disk_execute(&s->disk, t, t->cdb, sense, &result);
	hba_complete(t, &result);
}

static void refuse(struct hba_task *t, char how, uint64_t block, uint64_t last)
{
	uint8_t sense[RAM_DISK_SENSE_BYTES];

	if (how == 'g')
		hba_sense(sense, NOT_READY_KEY, HARD_FAILURE_ASC, HARD_FAILURE_ASCQ);
	else
		hba_sense(sense, MEDIUM_ERROR_KEY, READ_ERROR_ASC, 0);
	if (how == 'i' || how == 'l') {
		sense[0] |= VALID;
		ram_disk_put(sense + INFORMATION_BYTE, 4, how == 'i' ? block : last);
	}
	hba_complete(t, &(struct hba_result) { .outcome = HBA_CHECK_CONDITION,
					       .sense = sense,
					       .sense_len = sizeof(sense) });
}

static void hold(struct hba_queue *q, struct scratched *s, struct hba_task *t)
{
	unsigned i = 0;

	while (s->held[i])
		i++;
	s->held[i] = t;
	s->until[i] = hba_now(hba_queue_controller(q)) + (uint64_t)SLOW_MS * NS_PER_MS;
	hba_poll_within(q, SLOW_MS);
}

static void scratched_process_task(struct hba_queue *q, struct hba_task *t)
{
	struct hba_controller *c = hba_queue_controller(q);
	const char *list = hba_uri_path(c);
	char how = *list >= 'a' ? *list++ : 0;
	uint64_t first = ram_disk_get(t->cdb + 2, 4), n = ram_disk_get(t->cdb + 7, 2), block;

	block = t->cdb[0] == READ_10 ? find_bad(list, first, n) : UINT64_MAX;
	if (block != UINT64_MAX)
		refuse(t, how, block, first + n - 1);
	else if (how == 's' && t->cdb[0] == READ_10)
		hold(q, hba_controller_priv(c), t);
	else
		answer(hba_controller_priv(c), t);
}

static unsigned scratched_poll(struct hba_queue *q, unsigned budget)
{
	struct scratched *s = hba_controller_priv(hba_queue_controller(q));
	unsigned n = 0;

	for (unsigned i = 0; i < TASKS && n < budget; i++) {
		struct hba_task *t = s->held[i];

		if (!t || s->until[i] > hba_now(hba_queue_controller(q)))
			continue;
		s->held[i] = NULL;
		answer(s, t);
		n++;
	}
	return n;
}

static void scratched_manage(struct hba_queue *q, struct hba_task *t, enum hba_tmf function)
{
	struct scratched *s = hba_controller_priv(hba_queue_controller(q));

	(void)function;
	for (unsigned i = 0; i < TASKS; i++) {
		if (!s->held[i] || s->held[i] != t->data.victim)
			continue;
		hba_complete_failed(s->held[i], HBA_TASK_ABORTED, HBA_SENT_YES);
		s->held[i] = NULL;
	}
	hba_tmf_complete(t, HBA_FUNCTION_COMPLETE);
}

static const struct hba_driver scratched_driver = {
	HBA_DRIVER_HEADER,
	.name = "scratched",
	.summary = "a disk with blocks that cannot be read",
	.scheme = "scratched",
	.priv_size = sizeof(struct scratched),
	.initialize = scratched_initialize,
	.process_task = scratched_process_task,
	.poll = scratched_poll,
	.manage = scratched_manage,
};

HBA_PLUGIN(scratched_driver)
