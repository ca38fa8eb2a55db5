/* SPDX-License-Identifier: MIT */
/*
 * api-misuse.c: calls that no client may make are refused before anything is sent, with the
 * documented error, and the task stays the client's.
 */
#include "check/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { BYTES = 512, NO_REGION = 0x7ffffff0, LONGEST = 32 };

static void never(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct check *k = arg;

	(void)r;
	check_failed(k, "a task that was refused, and does not end", "its done ran");
	hba_task_put(t);
}

/* Takes a task, spoils it, and has it refused. */
static void refused(struct check *k, const char *what,
		    void (*spoil)(struct check *k, struct hba_task *t), int error)
{
	char want[CHECK_TEXT];
	struct hba_task *t;
	int r = hba_task_get(k->lun, BYTES, NULL, &t);

	if (r != 0) {
		check_skip(k, "no task to be had");
		return;
	}
	t->cdb[0] = SCSI_INQUIRY;
	t->cdb_len = 6;
	t->direction = HBA_FROM_TARGET;
	t->length = BYTES;
	t->data.buffer = k->plain.bytes;
	spoil(k, t);
	r = hba_submit(t, never, k);
	snprintf(want, sizeof(want), "%s: %s", what, strerror(-error));
	if (r != error)
		check_failed(k, want, "%s", r < 0 ? strerror(-r) : "taken");
	if (r < 0)
		hba_task_put(t);
}

static void seven_bytes(struct check *k, struct hba_task *t)
{
	(void)k;
	t->cdb_len = 7;
}

static void far_too_long(struct check *k, struct hba_task *t)
{
	(void)k;
	t->cdb_len = LONGEST;
}

static void no_direction(struct check *k, struct hba_task *t)
{
	(void)k;
	t->direction = HBA_NO_DATA;
}

static void no_length(struct check *k, struct hba_task *t)
{
	(void)k;
	t->length = 0;
}

static void no_place(struct check *k, struct hba_task *t)
{
	(void)k;
	t->data.buffer = NULL;
}

static void segments(struct check *k, struct hba_task *t)
{
	(void)k;
	t->mode = HBA_DATA_DMA;
}

static void unknown_direction(struct check *k, struct hba_task *t)
{
	(void)k;
	t->direction = HBA_FROM_TARGET + 1;
}

static void unknown_attribute(struct check *k, struct hba_task *t)
{
	(void)k;
	t->attribute = HBA_ACA + 1;
}

static void short_list(struct check *k, struct hba_task *t)
{
	k->iov[0] = (struct iovec) { k->plain.bytes, BYTES - 1 };
	t->data.iov = k->iov;
	t->n_data = 1;
}

static void empty_piece(struct check *k, struct hba_task *t)
{
	k->iov[0] = (struct iovec) { k->plain.bytes, BYTES };
	k->iov[1] = (struct iovec) { k->plain.bytes, 0 };
	t->data.iov = k->iov;
	t->n_data = 2;
}

static void endless_list(struct check *k, struct hba_task *t)
{
	k->iov[0] = (struct iovec) { k->plain.bytes, SIZE_MAX };
	k->iov[1] = (struct iovec) { k->plain.bytes, BYTES + 1 };
	t->data.iov = k->iov;
	t->n_data = 2;
}

static void use_piece(struct check *k, struct hba_task *t, struct hba_piece piece)
{
	k->pieces[0] = piece;
	t->mode = HBA_DATA_REGION;
	t->data.pieces = k->pieces;
	t->n_data = 1;
}

static void unknown_region(struct check *k, struct hba_task *t)
{
	use_piece(k, t, (struct hba_piece) { .region = NO_REGION, .length = BYTES });
}

static void beyond_region(struct check *k, struct hba_task *t)
{
	uint64_t end = hba_mapping_length(k->mapped.mapping);

	use_piece(k, t,
		  (struct hba_piece) { hba_mapping_region(k->mapped.mapping), BYTES,
				       end - BYTES + 1 });
}

static void far_beyond_region(struct check *k, struct hba_task *t)
{
	use_piece(k, t,
		  (struct hba_piece) { hba_mapping_region(k->mapped.mapping), BYTES,
				       UINT64_MAX - 1 });
}

static void refuses_wrong_commands(struct check *k)
{
	refused(k, "a CDB of 7 bytes", seven_bytes, -EINVAL);
	refused(k, "a direction that is none", unknown_direction, -EINVAL);
	refused(k, "an attribute that is none", unknown_attribute, -EINVAL);
	refused(k, "data without a direction", no_direction, -EINVAL);
	refused(k, "a direction without data", no_length, -EINVAL);
	if (check_max_cdb(k) < LONGEST)
		refused(k, "a CDB longer than max_cdb", far_too_long, -EMSGSIZE);
}

static void refuses_wrong_lists(struct check *k)
{
	refused(k, "data without a place", no_place, -EINVAL);
	refused(k, "segments, which are a driver's", segments, -EINVAL);
	refused(k, "a list shorter than the length", short_list, -EINVAL);
	refused(k, "a piece of no bytes", empty_piece, -EINVAL);
	refused(k, "a list whose sum overflows", endless_list, -EINVAL);
}

static void refuses_wrong_regions(struct check *k)
{
	refused(k, "a region that does not exist", unknown_region, -EINVAL);
	refused(k, "a piece over the end of its region", beyond_region, -EACCES);
	refused(k, "a piece whose end overflows", far_beyond_region, -EACCES);
}

static void unused(struct hba_management *m, enum hba_service_response response)
{
	(void)m;
	(void)response;
}

static void refuses_wrong_requests(struct check *k)
{
	struct hba_management none = { .function = HBA_ABORT_TASK, .lun = k->lun, .done = unused };
	struct hba_management unheard = { .function = HBA_TARGET_RESET + 1,
					  .lun = k->lun,
					  .done = unused };
	struct hba_management nowhere = { .function = HBA_TARGET_RESET, .done = unused };

	if (hba_manage(&none) != -EINVAL)
		check_failed(k, "ABORT TASK without a victim: refused", "taken");
	if (hba_manage(&unheard) != -EINVAL)
		check_failed(k, "a function that is none: refused", "taken");
	if (hba_manage(&nowhere) != -EINVAL)
		check_failed(k, "a request without a unit: refused", "taken");
}

static void goes_on(struct check *k)
{
	struct command x = command_none(k, scsi_cdb_test_unit_ready());
	struct hba_task *t;

	if (hba_task_get(k->lun, 0, NULL, &t) != 0) {
		check_failed(k, "a task", "none");
		return;
	}
	if (hba_submit(t, NULL, NULL) != -EINVAL)
		check_failed(k, "a command without a done: refused", "taken");
	else
		hba_task_put(t);
	command_run(k, &x);
	command_good(k, &x);
}

static const struct check_test tests[] = {
	{ .name = "commands that contradict themselves",
	  .rule = "-EINVAL, or -EMSGSIZE for a CDB that the driver cannot take; the task stays the "
		  "client's",
	  .reference = "hbakit/task.h: hba_submit()",
	  .needs = UNIT,
	  .run = refuses_wrong_commands },
	{ .name = "lists that contradict themselves",
	  .rule = "-EINVAL; the task stays the client's",
	  .reference = "hbakit/task.h: hba_submit()",
	  .needs = UNIT,
	  .run = refuses_wrong_lists },
	{ .name = "regions that are not there",
	  .rule = "-EINVAL for a region there is not, -EACCES for a piece outside of one",
	  .reference = "hbakit/task.h: hba_submit()",
	  .needs = UNIT | NEED_MAPPING,
	  .run = refuses_wrong_regions },
	{ .name = "management requests that make no sense",
	  .rule = "-EINVAL",
	  .reference = "hbakit/task.h: hba_manage()",
	  .needs = UNIT,
	  .run = refuses_wrong_requests },
	{ .name = "after all that, a command is answered",
	  .rule = "a refused request leaves nothing behind",
	  .reference = "hbakit/task.h: hba_submit()",
	  .needs = UNIT,
	  .run = goes_on },
};

const struct check_group check_use = { "use", tests, ARRAY_SIZE(tests) };
