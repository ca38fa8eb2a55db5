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
#include "held.h"

#include <stdlib.h>
#include <string.h>

enum { SLOW_MS = 20, NOT_READY_KEY = 2, HARD_FAILURE_ASC = 0x04, HARD_FAILURE_ASCQ = 0x03 };
enum { VALID = 0x80, INFORMATION_BYTE = 3 };

static int scratched_initialize(struct hba_controller *c, struct hba_report *report)
{
	struct held *h = hba_controller_priv(c);
	int r = held_initialize(c, report);

	for (unsigned i = 0; r == 0 && i < HELD_DISK_BYTES / RAM_DISK_BLOCK; i++)
		memset(h->disk.bytes + (size_t)i * RAM_DISK_BLOCK, (int)(i % 255 + 1),
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

static void refuse(struct hba_task *t, char how, uint64_t block, uint64_t last)
{
	uint8_t sense[RAM_DISK_SENSE_BYTES];

	if (how == 'g')
		hba_sense(sense, NOT_READY_KEY, HARD_FAILURE_ASC, HARD_FAILURE_ASCQ);
	else
		hba_sense(sense, HELD_MEDIUM_ERROR, HELD_READ_ERROR, 0);
	if (how == 'i' || how == 'l') {
		sense[0] |= VALID;
		ram_disk_put(sense + INFORMATION_BYTE, 4, how == 'i' ? block : last);
	}
	held_check(t, sense);
}

static void scratched_process_task(struct hba_queue *q, struct hba_task *t)
{
	struct hba_controller *c = hba_queue_controller(q);
	const char *list = hba_uri_path(c);
	char how = *list >= 'a' ? *list++ : 0;
	uint64_t first = ram_disk_get(t->cdb + 2, 4), n = ram_disk_get(t->cdb + 7, 2), block;

	block = t->cdb[0] == HELD_READ_10 ? find_bad(list, first, n) : UINT64_MAX;
	if (block != UINT64_MAX)
		refuse(t, how, block, first + n - 1);
	else if (how == 's' && t->cdb[0] == HELD_READ_10)
		held_add(q, t, SLOW_MS);
	else
		held_answer(hba_controller_priv(c), t);
}

static const struct hba_driver scratched_driver = {
	HBA_DRIVER_HEADER,
	.name = "scratched",
	.summary = "a disk with blocks that cannot be read",
	.scheme = "scratched",
	.priv_size = sizeof(struct held),
	.initialize = scratched_initialize,
	.process_task = scratched_process_task,
	.poll = held_poll,
	.manage = held_manage,
};

HBA_PLUGIN(scratched_driver)
