/* SPDX-License-Identifier: MIT */
/*
 * registers.c: a driver's accesses to registers, right and wrong, and calls from an op that may not
 * make them: what cannot be is told.
 */
#include "script/rig.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { BAR = 1, BAR_BYTES = 64, MEMORY_BYTES = 32, NAMES = 512 };

static const struct script_step right_ones[] = {
	{ .kind = SCRIPT_BAR_READ, .bar = BAR, .offset = 3, .width = 1, .value = 0xa1 },
	{ .kind = SCRIPT_BAR_READ, .bar = BAR, .offset = 6, .width = 2, .value = 0xb1b2 },
	{ .kind = SCRIPT_BAR_READ, .bar = BAR, .offset = 60, .width = 4, .value = 0xc1c2c3c4 },
	{ .kind = SCRIPT_BAR_READ,
	  .bar = BAR,
	  .offset = 56,
	  .width = 8,
	  .value = UINT64_C(0xd1d2d3d4d5d6d7d8) },
	{ .kind = SCRIPT_BAR_WRITE, .bar = BAR, .offset = 63, .width = 1, .value = 0xe1 },
	{ .kind = SCRIPT_BAR_WRITE, .bar = BAR, .offset = 62, .width = 2, .value = 0xf1f2 },
	/* A copy of six bytes from offset 3: one, four, one. */
	{ .kind = SCRIPT_BAR_READ, .bar = BAR, .offset = 3, .width = 1, .value = 0x01 },
	{ .kind = SCRIPT_BAR_READ, .bar = BAR, .offset = 4, .width = 4, .value = 0x05040302 },
	{ .kind = SCRIPT_BAR_READ, .bar = BAR, .offset = 8, .width = 1, .value = 0x06 },
	{ .kind = SCRIPT_BAR_WRITE, .bar = BAR, .offset = 3, .width = 1, .value = 0x01 },
	{ .kind = SCRIPT_BAR_WRITE, .bar = BAR, .offset = 4, .width = 4, .value = 0x05040302 },
	{ .kind = SCRIPT_BAR_WRITE, .bar = BAR, .offset = 8, .width = 1, .value = 0x06 },
	{ .kind = SCRIPT_MASTER_OFF },
};

static const struct script_step none[] = { { .kind = SCRIPT_MASTER_OFF } };

static void nothing(struct hba_queue *q, struct hba_task *t)
{
	(void)q;
	(void)t;
}

/* How many there were, and all their sentences. */
static unsigned violations(struct hba_controller *c, char text[NAMES])
{
	struct hba_event e;
	unsigned n = 0;

	text[0] = '\0';
	while (hba_event_next(c, &e))
		if (e.kind == HBA_EVENT_VIOLATION) {
			n++;
			strncat(text, e.text, NAMES - 1 - strlen(text));
		}
	return n;
}

static struct rig *rig_with(const struct script_step *steps, size_t n)
{
	struct rig *rig = rig_new(NULL);

	rig->script.info.bar_length[BAR] = BAR_BYTES;
	rig->script.steps = steps;
	rig->script.n_steps = n;
	return rig;
}

static struct hba_bar map(struct hba_controller *c)
{
	struct hba_bar bar = { 0 };

	assert_false(hba_bar_is_mapped(&bar));
	assert_int_equal(hba_bar_map(c, 0, &bar), -ENOENT);
	assert_int_equal(hba_bar_map(c, BAR, &bar), 0);
	assert_true(hba_bar_is_mapped(&bar));
	return bar;
}

static int right(struct hba_controller *c, struct hba_report *r)
{
	static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6 };
	struct hba_bar bar = map(c);
	uint8_t copy[sizeof(bytes)];

	(void)r;
	assert_int_equal(hba_bar_read8(&bar, 3), 0xa1);
	assert_int_equal(hba_bar_read16(&bar, 6), 0xb1b2);
	assert_int_equal(hba_bar_read32(&bar, 60), 0xc1c2c3c4);
	assert_true(hba_bar_read(&bar, 56, 8) == UINT64_C(0xd1d2d3d4d5d6d7d8));
	hba_bar_write8(&bar, 63, 0xe1);
	hba_bar_write16(&bar, 62, 0xf1f2);
	hba_bar_copy_from(&bar, 3, copy, sizeof(copy));
	assert_memory_equal(copy, bytes, sizeof(bytes));
	hba_bar_copy_to(&bar, 3, bytes, sizeof(bytes));
	return hba_fail(c, -EIO, "this is all it does");
}

static void what_there_can_be_is_handed_on(void **state)
{
	static const struct hba_driver driver = { HBA_DRIVER_HEADER, .name = "registers",
						  .initialize = right, .process_task = nothing };
	struct rig *rig = rig_with(right_ones, sizeof(right_ones) / sizeof(right_ones[0]));
	char text[NAMES];

	(void)state;
	rig_refused(rig, &driver, -EIO, "this is all it does");
	assert_int_equal(violations(rig->c, text), 0);
	rig_down(rig);
}

/* Each read is all ones, and each access a violation; the device sees nothing of it. */
static unsigned wrong_by(const struct hba_bar *bar)
{
	static const uint8_t data[8] = { 0 };
	uint8_t copy[2] = { 0 };

	assert_int_equal(hba_bar_read8(bar, BAR_BYTES), UINT8_MAX);
	assert_int_equal(hba_bar_read16(bar, 1), UINT16_MAX);
	assert_int_equal(hba_bar_read16(bar, BAR_BYTES), UINT16_MAX);
	assert_int_equal(hba_bar_read32(bar, 2), UINT32_MAX);
	assert_int_equal(hba_bar_read32(bar, UINT64_MAX - 3), UINT32_MAX);
	assert_true(hba_bar_read(bar, 4, 8) == UINT64_MAX);
	hba_bar_write8(bar, BAR_BYTES, 0);
	hba_bar_write16(bar, 3, 0);
	hba_bar_write32(bar, BAR_BYTES, 0);
	hba_bar_write32(bar, 1, 0);
	hba_bar_write_block(bar, 2, data, 2);
	hba_bar_copy_to(bar, BAR_BYTES - 1, data, sizeof(data));
	hba_bar_copy_from(bar, BAR_BYTES - 1, copy, sizeof(copy));
	assert_int_equal(copy[0] & copy[1], UINT8_MAX);
	return 13;
}

static int wrong(struct hba_controller *c, struct hba_report *r)
{
	uint64_t memory[BAR_BYTES / sizeof(uint64_t)] = { 0 },
				    before[BAR_BYTES / sizeof(uint64_t)] = { 0 };
	struct hba_bar bar = map(c), unmapped = { 0 };
	unsigned n = wrong_by(&bar);

	(void)r;
	/* A bus with a direct way checks the same. */
	bar.mem = (volatile uint8_t *)memory;
	n += wrong_by(&bar);
	assert_memory_equal(memory, before, sizeof(memory));
	n += wrong_by(&unmapped);
	hba_bar_write(&bar, 0, 0, 3);
	return hba_fail(c, -EIO, "%u", n + 1);
}

static void what_there_cannot_be_is_told(void **state)
{
	static const struct hba_driver driver = { HBA_DRIVER_HEADER, .name = "registers",
						  .initialize = wrong, .process_task = nothing };
	struct rig *rig = rig_with(none, 1);
	char text[NAMES];

	(void)state;
	rig_refused(rig, &driver, -EIO, "a register has 1, 2, 4 or 8");
	assert_int_equal(violations(rig->c, text), 40);
	assert_non_null(strstr(text, "driver registers, initialize: hba_bar_read of 1 bytes at "
				     "offset 0x40 of BAR 1, which has 0x40"));
	assert_non_null(strstr(
		text,
		"hba_bar_read of 2 bytes at offset 0x1 of BAR 1, which is not a multiple of 2"));
	rig_down(rig);
}

static int of_one_that_is_gone(struct hba_controller *c, struct hba_report *r)
{
	struct hba_bar bar = map(c), unmapped = { 0 };
	uint8_t copy[MEMORY_BYTES] = { 0 };

	(void)r;
	assert_int_equal(hba_bar_read32(&bar, 0), UINT32_MAX);
	assert_int_equal(hba_bar_read8(&bar, 0), UINT8_MAX);
	assert_int_equal(hba_bar_read32(&unmapped, 0), UINT32_MAX);
	hba_bar_write32(&bar, 4, 7);
	hba_bar_copy_from(&bar, 0, copy, sizeof(copy));
	for (unsigned i = 0; i < sizeof(copy); i++)
		assert_int_equal(copy[i], UINT8_MAX);
	return hba_fail(c, -ENODEV, "it is gone");
}

static void a_device_that_is_gone_is_no_fault_of_the_driver(void **state)
{
	static const struct hba_driver driver = { HBA_DRIVER_HEADER, .name = "registers",
						  .initialize = of_one_that_is_gone,
						  .process_task = nothing };
	struct rig *rig = rig_with(NULL, 0);
	char text[NAMES];

	(void)state;
	script_remove(&rig->script);
	rig_refused(rig, &driver, -ENODEV, "it is gone");
	assert_int_equal(violations(rig->c, text), 0);
	rig_down(rig);
}

/* ---- from the wrong kind of op */

static int initialize_plain(struct hba_controller *c, struct hba_report *r)
{
	(void)c;
	r->initiator_id = 7;
	r->highest_target_id = 0;
	r->max_tasks = 1;
	r->manages_devices = 0;
	r->performs_autosense = 1;
	r->data_mode = HBA_DATA_CPU;
	return 0;
}

static void fail_test(struct hba_task *t, void *arg)
{
	(void)t;
	(void)arg;
	fail_msg("a task of a queue that is not fenced");
}

/* Each changes nothing, and is told. */
static void call_what_may_wait(struct hba_queue *q, struct hba_task *t)
{
	struct hba_controller *c = hba_queue_controller(q);
	struct hba_bar bar = { 0 };

	assert_int_equal(hba_bar_map(c, BAR, &bar), -EPROTO);
	assert_false(hba_bar_is_mapped(&bar));
	assert_int_equal(hba_config_read(c, 0, 4), UINT32_MAX);
	hba_config_write(c, 0, 0, 4);
	assert_int_equal(hba_bus_master_on(c), -EPROTO);
	assert_int_equal(hba_vector_bind(q, 0), -EPROTO);
	assert_null(hba_target_find(c, 0));
	hba_for_each_task(c, NULL, fail_test, NULL);
	hba_complete_failed(t, HBA_NOT_PRESENT, HBA_SENT_NO);
}

static void a_call_from_the_wrong_kind_of_op_is_told(void **state)
{
	static const struct hba_driver driver = { HBA_DRIVER_HEADER, .name = "registers",
						  .initialize = initialize_plain,
						  .process_task = call_what_may_wait };
	static const char *const calls[] = { "hba_bar_map",      "hba_config_read",
					     "hba_config_write", "hba_bus_master_on",
					     "hba_vector_bind",  "hba_target_find",
					     "hba_for_each_task" };
	struct rig *rig = rig_with(none, 1);
	struct hba_event e;
	unsigned at = 0;

	(void)state;
	rig_open(rig, &driver);
	rig_tick(rig, 1);
	assert_int_equal(hba_controller_start(rig->c), 0);
	while (hba_event_next(rig->c, &e)) {
		char wanted[NAMES];

		if (e.kind != HBA_EVENT_VIOLATION)
			continue;
		snprintf(wanted, sizeof(wanted),
			 "driver registers, process_task: %s; it is for ops that may wait: those "
			 "that get the controller, such as start",
			 calls[at % (sizeof(calls) / sizeof(calls[0]))]);
		assert_string_equal(e.text, wanted);
		at++;
	}
	assert_true(at >= sizeof(calls) / sizeof(calls[0]));
	/* Outside any op, from a thread of the driver's own. */
	hba_poll_within(hba_controller_queue(rig->c, 0), 1);
	assert_int_equal(hba_event_next(rig->c, &e), 1);
	assert_string_equal(
		e.text,
		"driver registers, outside any op: hba_poll_within; it is for the driver's ops");
	assert_int_equal(hba_queue_watch(hba_controller_queue(rig->c, 0), 0, 1), -EPROTO);
	rig_down(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_there_can_be_is_handed_on),
		cmocka_unit_test(what_there_cannot_be_is_told),
		cmocka_unit_test(a_device_that_is_gone_is_no_fault_of_the_driver),
		cmocka_unit_test(a_call_from_the_wrong_kind_of_op_is_told),
	};

	return cmocka_run_group_tests_name("script-registers", tests, NULL, NULL);
}
