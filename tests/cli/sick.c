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
#include "../../examples/ram-disk.h"

#include <string.h>

enum {
	INITIATOR = 7,
	LAST_TARGET = 0,
	TASKS = 32,
	DISK_BYTES = 1 << 20,
	LATE_MS = 300,
	NS_PER_MS = 1000000
};
enum {
	READ_10_OP = 0x28,
	WRITE_10_OP = 0x2a,
	MODE_SELECT_6_OP = 0x15,
	UNMAP_OP = 0x42,
	SWAP_AT = 3,
	INQUIRY_OP = 0x12,
	MEDIUM_ERROR_KEY = 3,
	WRITE_ERROR_ASC = 0x0c,
	READ_ERROR_ASC = 0x11,
	UNIT_ATTENTION_KEY = 6,
	CHANGED_ASC = 0x28
};

struct sick {
	struct ram_disk disk;
	struct hba_task *held[TASKS];
	uint64_t until[TASKS];
	unsigned reads;
};

static int sick_initialize(struct hba_controller *c, struct hba_report *report)
{
	struct sick *s = hba_controller_priv(c);

	report->initiator_id = INITIATOR;
	report->highest_target_id = LAST_TARGET;
	report->max_tasks = TASKS;
	report->manages_devices = false;
	report->performs_autosense = true;
	report->data_mode = HBA_DATA_CPU;
	report->tmfs = HBA_TMF_BIT(HBA_ABORT_TASK);
	return ram_disk_make(c, &s->disk, DISK_BYTES);
}

static void answer(struct sick *s, struct hba_task *t)
{
	uint8_t sense[RAM_DISK_SENSE_BYTES];
	struct hba_result result;

	ram_disk_execute(&s->disk, t, t->cdb, sense, &result);
	hba_complete(t, &result);
}

static void hold(struct hba_queue *q, struct sick *s, struct hba_task *t, unsigned ms)
{
	unsigned i = 0;

	while (s->held[i])
		i++;
	s->held[i] = t;
	s->until[i] = ms ? hba_now(hba_queue_controller(q)) + (uint64_t)ms * NS_PER_MS : UINT64_MAX;
	if (ms)
		hba_poll_within(q, ms);
}

static void refuse(struct hba_task *t, uint8_t key, uint8_t asc)
{
	uint8_t sense[RAM_DISK_SENSE_BYTES];

	hba_sense(sense, key, asc, 0);
	hba_complete(t, &(struct hba_result) { .outcome = HBA_CHECK_CONDITION,
					       .sense = sense,
					       .sense_len = sizeof(sense) });
}

static void read_badly(struct hba_queue *q, struct sick *s, struct hba_task *t, const char *how)
{
	if (!strcmp(how, "hang")) {
		hold(q, s, t, 0);
	} else if (!strcmp(how, "late")) {
		hold(q, s, t, LATE_MS);
	} else if (!strcmp(how, "busy") && s->reads++ % 2 == 0) {
		hba_complete_failed(t, HBA_BUSY, HBA_SENT_YES);
	} else if (!strcmp(how, "bad")) {
		refuse(t, MEDIUM_ERROR_KEY, READ_ERROR_ASC);
	} else {
		answer(s, t);
		if (!strcmp(how, "break"))
			hba_complete_good(t, 0);
		if (!strcmp(how, "lie"))
			hba_device_error(hba_queue_controller(q), "index %u in a ring of %u", TASKS,
					 TASKS);
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
		hold(q, s, t, 0);
	else if (!strcmp(hba_uri_path(c), "swap") &&
		 (t->cdb[0] == READ_10_OP || t->cdb[0] == WRITE_10_OP) && ++s->reads == SWAP_AT)
		refuse(t, UNIT_ATTENTION_KEY, CHANGED_ASC);
	else if (t->cdb[0] == WRITE_10_OP && !strcmp(hba_uri_path(c), "worn"))
		refuse(t, MEDIUM_ERROR_KEY, WRITE_ERROR_ASC);
	else if (is_numb(t, hba_uri_path(c)))
		hba_complete_good(t, t->length);
	else if (t->cdb[0] == READ_10_OP)
		read_badly(q, s, t, hba_uri_path(c));
	else
		answer(s, t);
}

static unsigned sick_poll(struct hba_queue *q, unsigned budget)
{
	struct sick *s = hba_controller_priv(hba_queue_controller(q));
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

static void sick_manage(struct hba_queue *q, struct hba_task *t, enum hba_tmf function)
{
	struct sick *s = hba_controller_priv(hba_queue_controller(q));

	(void)function;
	for (unsigned i = 0; i < TASKS; i++) {
		if (!s->held[i] || s->held[i] != t->data.victim)
			continue;
		hba_complete_failed(s->held[i], HBA_TASK_ABORTED, HBA_SENT_YES);
		s->held[i] = NULL;
	}
	hba_tmf_complete(t, HBA_FUNCTION_COMPLETE);
}

static const struct hba_driver sick_driver = {
	HBA_DRIVER_HEADER,
	.name = "sick",
	.summary = "a disk whose reads go wrong",
	.scheme = "sick",
	.priv_size = sizeof(struct sick),
	.initialize = sick_initialize,
	.process_task = sick_process_task,
	.poll = sick_poll,
	.manage = sick_manage,
};

HBA_PLUGIN(sick_driver)
