/* SPDX-License-Identifier: MIT */
/*
 * bad.c: drivers with one fault each, and the suite: exactly the test that is about the fault
 * fails, and no other.
 *
 * Beneath is a driver without a fault: two disks in memory, a command comes back one poll after the
 * one that could have seen it first, the latest first. `fault=` names what is spoilt: a command
 * before it is carried out, or its result before it is told.
 */
#include "check/check.h"
#include "core/controller/controller.h"
#include "target/target.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	UNITS = 2,
	UNIT_BYTES = 8 << 20,
	BLOCK = 512,
	TASKS = 64,
	INITIATOR = 7,
	MOST_PIECES = 700,
	SEED = 20260711
};
enum {
	DROPPED = 1000,
	MAPPED = 100,
	DOUBLED = 500,
	LOST = 3000,
	LARGE = 256 * 1024,
	PIECES = 2,
	SLOW_POLLS = 8
};
enum {
	CAPACITY_LOW_BYTE = 3,
	FIRST_PAGE = 5,
	OPCODE_NOBODY_HAS = 0x1f,
	EVPD = 1,
	READ_12_BYTES = 12
};

struct bad;

/** struct bad_task - A task's HBA data. */
struct bad_task {
	struct target_command command;
	struct hba_task *task;
	struct bad_task *next; /* in bad::waiting */
	struct hba_result result;
	struct hba_lun_id lun;
	uint64_t poll; /* it may come back in a later one than this */
	uint8_t cdb[HBA_MAX_CDB];
	struct iovec iov[MOST_PIECES];
};

/**
 * struct fault - What is spoilt. true from `before`: the command is not carried out, and its result
 * stands.
 */
struct fault {
	const char *name, *test;
	bool (*before)(struct bad *bad, struct bad_task *bt);
	void (*after)(struct bad *bad, struct bad_task *bt);
	void (*completed)(struct bad *bad, struct bad_task *bt); /* it is told already */
	bool keeps_victims, hides_resets, loses, is_the_devices;
};

struct bad {
	struct target_device device;
	const struct fault *fault;
	struct bad_task *waiting;
	struct bad_task *late; /* told already, not done yet */
	uint64_t polls, commands, writes, reads;
	struct hba_controller *controller;
};

static bool is_read(const struct bad_task *bt)
{
	return bt->command.direction == HBA_FROM_TARGET && scsi_cdb_is_rw(bt->cdb[0]);
}

static bool is_write(const struct bad_task *bt)
{
	return bt->command.direction == HBA_TO_TARGET && scsi_cdb_is_rw(bt->cdb[0]);
}

static uint8_t *data_of(struct bad_task *bt)
{
	return bt->iov[0].iov_base;
}

/* ---- the faults */

static void counts_what_was_asked(struct bad *bad, struct bad_task *bt)
{
	(void)bad;
	if (bt->cdb[0] == SCSI_INQUIRY && bt->result.outcome == HBA_GOOD)
		bt->result.bytes = bt->command.length;
}

static void writes_beyond(struct bad *bad, struct bad_task *bt)
{
	(void)bad;
	if (bt->cdb[0] == SCSI_READ_12 && bt->result.outcome == HBA_GOOD)
		data_of(bt)[bt->iov[0].iov_len] ^= 1;
}

static void garbles_sense(struct bad *bad, struct bad_task *bt)
{
	(void)bad;
	if (bt->cdb[0] == OPCODE_NOBODY_HAS)
		bt->command.sense[0] = 0;
}

static void forgets_sense(struct bad *bad, struct bad_task *bt)
{
	(void)bad;
	if (bt->cdb[0] == OPCODE_NOBODY_HAS)
		bt->result.sense_len = 0;
}

static bool swaps_pieces(struct bad *bad, struct bad_task *bt)
{
	struct iovec first = bt->iov[0];

	(void)bad;
	if (!is_read(bt) || bt->command.n_iov < PIECES)
		return false;
	bt->iov[0] = bt->iov[1];
	bt->iov[1] = first;
	return false;
}

static void hides_underruns(struct bad *bad, struct bad_task *bt)
{
	(void)bad;
	if (is_read(bt) && bt->result.outcome == HBA_GOOD)
		bt->result.bytes = bt->command.length;
}

static bool mistakes_the_unit(struct bad *bad, struct bad_task *bt)
{
	(void)bad;
	if (bt->cdb[0] == SCSI_INQUIRY && bt->cdb[1] == EVPD)
		bt->lun = (struct hba_lun_id) { { 0 } };
	return false;
}

static bool drops_writes(struct bad *bad, struct bad_task *bt)
{
	if (!is_write(bt) || ++bad->writes % DROPPED)
		return false;
	bt->result.bytes = bt->command.length;
	return true;
}

static bool reads_later(struct bad *bad, struct bad_task *bt)
{
	(void)bad;
	bt->result.bytes = bt->command.length;
	return is_read(bt) && bt->command.length >= LARGE;
}

static void keeps_for_later(struct bad *bad, struct bad_task *bt)
{
	if (is_read(bt) && bt->command.length >= LARGE)
		bad->late = bt;
}

static bool misreads_the_block(struct bad *bad, struct bad_task *bt)
{
	struct scsi_rw rw;

	if (bt->cdb[0] == SCSI_READ_12 && scsi_cdb_read_rw(bt->cdb, READ_12_BYTES, &rw) &&
	    rw.block + rw.count <= bad->device.units[0].blocks)
		bt->cdb[5] &= 0xfe;
	return false;
}

static bool maps_in_a_hot_op(struct bad *bad, struct bad_task *bt)
{
	struct hba_buffer *b;

	(void)bt;
	if (++bad->commands % MAPPED == 0)
		hba_buffer_create(bad->controller, HBA_DEVICE_BOTH, BLOCK, 0, &b);
	return false;
}

static void completes_twice(struct bad *bad, struct bad_task *bt)
{
	if (++bad->commands % DOUBLED == 0)
		hba_complete(bt->task, &bt->result);
}

static bool finds_a_lie(struct bad *bad, struct bad_task *bt)
{
	(void)bt;
	if (++bad->commands % MAPPED == 0)
		hba_device_error(bad->controller, "its index is %u", MAPPED);
	return false;
}

static bool ignores_the_allocation_length(struct bad *bad, struct bad_task *bt)
{
	(void)bad;
	if (bt->cdb[0] == SCSI_INQUIRY && bt->cdb[1] == 0 && bt->cdb[4] < SCSI_INQUIRY_MIN)
		bt->cdb[4] = SCSI_INQUIRY_MIN;
	return false;
}

static void has_a_second_capacity(struct bad *bad, struct bad_task *bt)
{
	(void)bad;
	if (bt->cdb[0] == SCSI_READ_CAPACITY_10 && bt->result.bytes > CAPACITY_LOW_BYTE)
		data_of(bt)[CAPACITY_LOW_BYTE] ^= 1;
}

static void lists_pages_in_disorder(struct bad *bad, struct bad_task *bt)
{
	uint8_t *page, first;

	(void)bad;
	if (bt->cdb[0] != SCSI_INQUIRY || bt->cdb[1] != EVPD || bt->cdb[2] != SCSI_VPD_SUPPORTED ||
	    bt->result.bytes < FIRST_PAGE + 2)
		return;
	page = data_of(bt) + FIRST_PAGE;
	first = page[0];
	page[0] = page[1];
	page[1] = first;
}

/* As if only what is asked for were there. */
static void says_it_is_short(struct bad *bad, struct bad_task *bt)
{
	(void)bad;
	if (bt->cdb[0] == SCSI_INQUIRY && !(bt->cdb[1] & EVPD) && bt->result.bytes >= FIRST_PAGE)
		data_of(bt)[FIRST_PAGE - 1] = (uint8_t)(bt->result.bytes - FIRST_PAGE);
}

/* No fault: SBC leaves READ(12) to the unit. */
static bool has_no_read_12(struct bad *bad, struct bad_task *bt)
{
	(void)bad;
	if (bt->cdb[0] == SCSI_READ_12)
		bt->cdb[0] = OPCODE_NOBODY_HAS;
	return false;
}

static const struct fault faults[] = {
	{ .name = "none" },
	{ .name = "no-read-12", .before = has_no_read_12 },
	{ .name = "count",
	  .test = "identity: the byte count is what really came",
	  .after = counts_what_was_asked },
	{ .name = "additional",
	  .test = "identity: INQUIRY says how long the whole is",
	  .after = says_it_is_short },
	{ .name = "overlong",
	  .test = "identity: INQUIRY is cut at the allocation length",
	  .before = ignores_the_allocation_length },
	{ .name = "disorder",
	  .test = "identity: VPD page 00h lists the pages there are",
	  .after = lists_pages_in_disorder },
	{ .name = "unit",
	  .test = "identity: no two units have one name",
	  .before = mistakes_the_unit },
	{ .name = "capacity",
	  .test = "identity: READ CAPACITY(10) and (16) agree",
	  .after = has_a_second_capacity },
	{ .name = "block",
	  .test = "data: every CDB size reads the same",
	  .before = misreads_the_block },
	{ .name = "swap", .test = "data: lists of pieces read the same", .before = swaps_pieces },
	{ .name = "early",
	  .test = "data: every length reads the same",
	  .before = reads_later,
	  .completed = keeps_for_later },
	{ .name = "residual", .test = "data: an underrun is reported", .after = hides_underruns },
	{ .name = "drop", .test = "load: reads and writes on all units", .before = drops_writes },
	{ .name = "quiet", .test = "management: LOGICAL UNIT RESET", .hides_resets = true },
	{ .name = "abort", .test = "whole: the driver keeps the contract", .keeps_victims = true },
	{ .name = "map",
	  .test = "whole: the driver keeps the contract",
	  .before = maps_in_a_hot_op },
	{ .name = "twice",
	  .test = "whole: the driver keeps the contract",
	  .completed = completes_twice },
	{ .name = "lie",
	  .test = "whole: the device reports nothing impossible",
	  .before = finds_a_lie,
	  .is_the_devices = true },
	{ .name = "beyond",
	  .test = "whole: nothing is written beside a buffer",
	  .after = writes_beyond },
	{ .name = "garbled",
	  .test = "whole: CHECK CONDITION brings sense",
	  .after = garbles_sense },
	{ .name = "senseless",
	  .test = "whole: CHECK CONDITION brings sense",
	  .after = forgets_sense },
	{ .name = "lost", .test = "whole: every command comes back", .loses = true },
};

/* ---- the driver */

static const struct fault *fault_named(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		if (strcmp(faults[i].name, name) == 0)
			return &faults[i];
	return NULL;
}

/* Every eight bytes differ from every other, so that a block in the wrong place shows. */
static int fill(struct store *store, unsigned unit)
{
	autofree uint64_t *words = malloc(UNIT_BYTES);
	struct iovec iov = { words, UNIT_BYTES };
	struct store_io io = { .data = { .iov = &iov, .n = 1 }, .length = UNIT_BYTES };

	for (uint64_t i = 0; words && i < UNIT_BYTES / sizeof(*words); i++)
		words[i] = (i + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ unit;
	return words ? store->ops->write(store, &io) : -ENOMEM;
}

static int add_unit(struct bad *bad, unsigned unit)
{
	char message[TARGET_MESSAGE_BYTES];
	struct target_unit_options options = { .block_bytes = BLOCK, .identity = "bad" };
	int r = store_open_ram(UNIT_BYTES, &options.store, message);

	if (r == 0)
		r = fill(options.store, unit);
	return r < 0 ? r : target_device_add(&bad->device, &options, message);
}

static int bad_initialize(struct hba_controller *c, struct hba_report *report)
{
	struct bad *bad = hba_controller_priv(c);
	int r = target_device_init(&bad->device, UNITS);

	bad->controller = c;
	bad->fault = fault_named(hba_uri_option(c, "fault"));
	for (unsigned i = 0; i < UNITS && r == 0; i++)
		r = add_unit(bad, i);
	report->initiator_id = INITIATOR;
	report->highest_target_id = 0;
	report->highest_lun = UNITS - 1;
	report->max_tasks = TASKS;
	report->manages_devices = false;
	report->performs_autosense = true;
	report->data_mode = HBA_DATA_CPU;
	return r;
}

static int bad_map_hba_data(struct hba_controller *c, struct hba_task *t, uint32_t *ret_id)
{
	struct bad_task *bt = t->hba_data;

	(void)c;
	bt->task = t;
	*ret_id = t->slot + 1U;
	return 0;
}

static void take(struct hba_task *t)
{
	struct bad_task *bt = t->hba_data;
	unsigned n = t->length ? t->n_data : 0;

	assert_true(n <= MOST_PIECES);
	memcpy(bt->cdb, t->cdb, sizeof(bt->cdb));
	if (n)
		memcpy(bt->iov, t->data.iov, n * sizeof(*bt->iov));
	bt->lun = t->lun;
	bt->result = (struct hba_result) { .outcome = HBA_GOOD, .sent = HBA_SENT_YES };
	bt->command = (struct target_command) {
		.cdb = bt->cdb,
		.iov = bt->iov,
		.n_iov = n,
		.length = t->length,
		.cdb_len = t->cdb_len,
		.direction = t->direction,
	};
}

static void carry_out(struct bad *bad, struct bad_task *bt)
{
	target_execute(&bad->device, &bt->lun, &bt->command);
	bt->result.outcome = bt->command.outcome;
	bt->result.bytes = bt->command.bytes;
	bt->result.sense = bt->command.sense;
	bt->result.sense_len = bt->command.sense_len;
}

static void bad_process_task(struct hba_queue *q, struct hba_task *t)
{
	struct bad *bad = hba_controller_priv(hba_queue_controller(q));
	struct bad_task *bt = t->hba_data;

	take(t);
	if (!bad->fault->before || !bad->fault->before(bad, bt))
		carry_out(bad, bt);
	if (bad->fault->after)
		bad->fault->after(bad, bt);
	/* One that is lost is never put where poll looks. */
	if (bad->fault->loses && is_read(bt) && ++bad->reads % LOST == 0)
		return;
	/* Large ones take their time, so that they are out long enough to be aborted. */
	bt->poll = bad->polls + (t->length >= LARGE ? SLOW_POLLS : 0);
	bt->next = bad->waiting;
	bad->waiting = bt;
}

static unsigned bad_poll(struct hba_queue *q, unsigned budget)
{
	struct bad *bad = hba_controller_priv(hba_queue_controller(q));
	struct bad_task **at = &bad->waiting, *bt;
	unsigned n = 0;

	if (bad->late)
		carry_out(bad, bad->late);
	bad->late = NULL;
	while ((bt = *at) && n < budget) {
		if (bt->poll >= bad->polls) {
			at = &bt->next;
			continue;
		}
		*at = bt->next;
		hba_complete(bt->task, &bt->result);
		n++;
		if (bad->fault->completed)
			bad->fault->completed(bad, bt);
	}
	bad->polls += n < budget;
	return n;
}

struct tmf_call {
	struct bad *bad;
	struct hba_task *manager;
	enum hba_tmf function;
};

static void forget(struct bad *bad, const struct bad_task *bt)
{
	struct bad_task **at = &bad->waiting;

	while (*at && *at != bt)
		at = &(*at)->next;
	if (*at)
		*at = bt->next;
}

static void end_victim(struct hba_task *t, void *arg)
{
	struct tmf_call *call = arg;

	if (t->kind == HBA_TASK_TMF ||
	    (call->function == HBA_ABORT_TASK && t != call->manager->data.victim))
		return;
	if (call->function != HBA_TARGET_RESET && !scsi_lun_equal(&t->lun, &call->manager->lun))
		return;
	forget(call->bad, t->hba_data);
	hba_complete_failed(t, HBA_TASK_ABORTED, HBA_SENT_YES);
}

static void bad_manage(struct hba_queue *q, struct hba_task *t, enum hba_tmf function)
{
	struct bad *bad = hba_controller_priv(hba_queue_controller(q));
	struct tmf_call call = { bad, t, function };

	if (function == HBA_CLEAR_ACA) {
		hba_tmf_complete(t, HBA_FUNCTION_REJECTED);
		return;
	}
	if (function != HBA_ABORT_TASK || !bad->fault->keeps_victims)
		hba_for_each_task(hba_queue_controller(q), NULL, end_victim, &call);
	for (unsigned i = 0; i < UNITS; i++)
		if (function == HBA_TARGET_RESET ||
		    (function == HBA_LOGICAL_UNIT_RESET && !bad->fault->hides_resets &&
		     i == scsi_lun_number(&t->lun)))
			target_unit_was_reset(&bad->device.units[i]);
	hba_tmf_complete(t, HBA_FUNCTION_COMPLETE);
}

static int bad_reset(struct hba_controller *c, enum hba_reset_level level)
{
	struct bad *bad = hba_controller_priv(c);

	bad->waiting = bad->late = NULL;
	return level == HBA_RESET_CONTROLLER ? 0 : -EOPNOTSUPP;
}

static int bad_set_power_state(struct hba_controller *c, enum hba_power state)
{
	(void)c;
	(void)state;
	return 0;
}

static void bad_stop(struct hba_controller *c)
{
	struct bad *bad = hba_controller_priv(c);

	bad->waiting = bad->late = NULL;
	target_device_clear(&bad->device);
}

static const struct hba_option bad_options[] = { { "fault", "none", "what is spoilt" }, { 0 } };

static const struct hba_driver bad_driver = {
	HBA_DRIVER_HEADER,
	.name = "bad",
	.summary = "a driver with a fault",
	.scheme = "bad",
	.options = bad_options,
	.priv_size = sizeof(struct bad),
	.hba_data_size = sizeof(struct bad_task),
	.initialize = bad_initialize,
	.map_hba_data = bad_map_hba_data,
	.process_task = bad_process_task,
	.poll = bad_poll,
	.manage = bad_manage,
	.reset = bad_reset,
	.set_power_state = bad_set_power_state,
	.stop = bad_stop,
};

/* ---- the tests */

struct verdicts {
	const struct fault *fault;
	unsigned failed, right, n, passed;
};

static int open_bad(void *arg, struct hba_controller **ret_c)
{
	const struct verdicts *v = arg;
	struct controller_plan plan = { .driver = &bad_driver, .uri = "bad:", .path = "" };
	char query[64];

	snprintf(query, sizeof(query), "fault=%s", v->fault->name);
	plan.query = query;
	return controller_new(&plan, ret_c);
}

static void take_result(void *arg, const struct check_result *r)
{
	struct verdicts *v = arg;
	char name[CHECK_TEXT];

	v->n++;
	assert_int_equal(r->number, v->n);
	v->passed += r->verdict == CHECK_PASSED;
	if (r->verdict == CHECK_SKIPPED)
		print_message("  skipped %s: %s: %s\n", r->group, r->name, r->reason);
	if (r->verdict != CHECK_FAILED && r->verdict != CHECK_DEVICE)
		return;
	snprintf(name, sizeof(name), "%s: %s", r->group, r->name);
	print_message("  failed %s: expected %s, got %s\n", name, r->expected, r->got);
	assert_true(r->rule && r->reference && r->expected[0] && r->got[0]);
	v->failed++;
	v->right += v->fault->test && strcmp(v->fault->test, name) == 0 &&
		    (r->verdict == CHECK_DEVICE) == v->fault->is_the_devices;
}

static void fails_exactly_its_test(void **state)
{
	struct verdicts v = { .fault = *state };
	const struct check_options options = {
		.open = open_bad,
		.result = take_result,
		.arg = &v,
		.write = true,
		.seed = SEED,
	};
	struct check_summary sum;

	assert_int_equal(check_run(&options, &sum), 0);
	assert_int_equal(v.n, check_count());
	assert_int_equal(sum.failed + sum.device, v.failed);
	assert_int_equal(sum.passed, v.passed);
	assert_int_equal(v.failed, v.fault->test ? 1 : 0);
	assert_int_equal(v.right, v.failed);
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_SIZE(faults)];

	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		tests[i] = (struct CMUnitTest) {
			.name = faults[i].name,
			.test_func = fails_exactly_its_test,
			.initial_state = (void *)(uintptr_t)&faults[i],
		};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
