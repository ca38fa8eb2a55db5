/* SPDX-License-Identifier: MIT */
/*
 * sick.c: a disk in memory whose READs go wrong as the URI's path says. For sight.sh.
 *
 *	sick:hang    they never end; an abort works     sick:late     they take 300 ms
 *	sick:busy    every other one ends in BUSY       sick:break    each is completed twice
 *	sick:bad     they end in MEDIUM ERROR           sick:start    INQUIRY never ends, either
 *	sick:swap    before the third READ or WRITE (10) the medium is changed
 *	sick:lie     with each the device reports what cannot be
 *	sick:worn    WRITEs end in MEDIUM ERROR instead
 *	sick:numb    MODE SELECT (6), UNMAP and WRITEs are GOOD, whatever comes with them
 */
#include "held.h"

#include <string.h>

enum {
	LATE_MS = 300,
	WRITE_10_OP = 0x2a,
	MODE_SELECT_6_OP = 0x15,
	UNMAP_OP = 0x42,
	SWAP_AT = 3,
	INQUIRY_OP = 0x12,
	WRITE_ERROR_ASC = 0x0c,
	UNIT_ATTENTION_KEY = 6,
	CHANGED_ASC = 0x28
};

struct sick {
	struct held held; /* first */
	unsigned reads;
};

static void refuse(struct hba_task *t, uint8_t key, uint8_t asc)
{
	uint8_t sense[RAM_DISK_SENSE_BYTES];

	hba_sense(sense, key, asc, 0);
	held_check(t, sense);
}

static void read_badly(struct hba_queue *q, struct sick *s, struct hba_task *t, const char *how)
{
	if (!strcmp(how, "hang")) {
		held_add(q, t, 0);
	} else if (!strcmp(how, "late")) {
		held_add(q, t, LATE_MS);
	} else if (!strcmp(how, "busy") && s->reads++ % 2 == 0) {
		hba_complete_failed(t, HBA_BUSY, HBA_SENT_YES);
	} else if (!strcmp(how, "bad")) {
		refuse(t, HELD_MEDIUM_ERROR, HELD_READ_ERROR);
	} else {
		held_answer(&s->held, t);
		if (!strcmp(how, "break"))
			hba_complete_good(t, 0);
		if (!strcmp(how, "lie"))
			hba_device_error(hba_queue_controller(q), "index %u in a ring of %u",
					 HELD_TASKS, HELD_TASKS);
	}
}

static bool is_numb(const struct hba_task *t, const char *how)
{
	return !strcmp(how, "numb") &&
	       (t->cdb[0] == MODE_SELECT_6_OP || t->cdb[0] == UNMAP_OP || t->cdb[0] == WRITE_10_OP);
}

static void sick_process_task(struct hba_queue *q, struct hba_task *t)
{
	struct hba_controller *c = hba_queue_controller(q);
	struct sick *s = hba_controller_priv(c);

	if (t->cdb[0] == INQUIRY_OP && !strcmp(hba_uri_path(c), "start"))
		held_add(q, t, 0);
	else if (!strcmp(hba_uri_path(c), "swap") &&
		 (t->cdb[0] == HELD_READ_10 || t->cdb[0] == WRITE_10_OP) && ++s->reads == SWAP_AT)
		refuse(t, UNIT_ATTENTION_KEY, CHANGED_ASC);
	else if (t->cdb[0] == WRITE_10_OP && !strcmp(hba_uri_path(c), "worn"))
		refuse(t, HELD_MEDIUM_ERROR, WRITE_ERROR_ASC);
	else if (is_numb(t, hba_uri_path(c)))
		hba_complete_good(t, t->length);
	else if (t->cdb[0] == HELD_READ_10)
		read_badly(q, s, t, hba_uri_path(c));
	else
		held_answer(&s->held, t);
}

static const struct hba_driver sick_driver = {
	HBA_DRIVER_HEADER,
	.name = "sick",
	.summary = "a disk whose reads go wrong",
	.scheme = "sick",
	.priv_size = sizeof(struct sick),
	.initialize = held_initialize,
	.process_task = sick_process_task,
	.poll = held_poll,
	.manage = held_manage,
};

HBA_PLUGIN(sick_driver)
