/* SPDX-License-Identifier: MIT */
/* task-text.c: a command and a time in words, for events. */
#include "core/controller/controller.h"
#include "scsi/scsi.h"

#include <stdio.h>

enum { LUN_WORDS = 24 };

void time_words(uint64_t ns, char text[TIME_WORDS])
{
	uint64_t ms = ns / NS_PER_MS;

	if (ms < MS_PER_S)
		snprintf(text, TIME_WORDS, "%llu ms", (unsigned long long)ms);
	else if (ms % MS_PER_S < MS_PER_S / 10)
		snprintf(text, TIME_WORDS, "%llu s", (unsigned long long)(ms / MS_PER_S));
	else
		snprintf(text, TIME_WORDS, "%llu.%llu s", (unsigned long long)(ms / MS_PER_S),
			 (unsigned long long)(ms % MS_PER_S / (MS_PER_S / 10)));
}

static bool first_block(const struct hba_task *t, uint64_t *ret_block)
{
	struct scsi_extent extent;
	struct scsi_rw rw;

	if (scsi_cdb_read_rw(t->cdb, t->cdb_len, &rw))
		*ret_block = rw.block;
	else if (scsi_cdb_read_extent(t->cdb, t->cdb_len, &extent))
		*ret_block = extent.block;
	else
		return false;
	return true;
}

void task_words(const struct task *t, char text[TASK_WORDS])
{
	const struct hba_task *h = &t->head;
	const char *name = scsi_opcode_name(h->cdb, h->cdb_len);
	char lun[LUN_WORDS], opcode[16], block[32] = "";
	uint64_t number;

	scsi_lun_text(&h->lun, lun);
	snprintf(opcode, sizeof(opcode), "command 0x%02x", h->cdb[0]);
	if (first_block(h, &number))
		snprintf(block, sizeof(block), ", block %llu", (unsigned long long)number);
	snprintf(text, TASK_WORDS, "%s of %llu:%s%s", name ? name : opcode,
		 (unsigned long long)h->target, lun, block);
}
