/* SPDX-License-Identifier: MIT */
/*
 * config.c: config space as a driver reads and writes it: what cannot be is told, and never reaches
 * the bus.
 */
#include "script/rig.h"

#include <errno.h>
#include <string.h>

enum { OUTSIDE = 4096 };

static const struct script_step right_ones[] = {
	{ .kind = SCRIPT_CONFIG_READ, .offset = 0, .width = 4, .value = 0x12345678 },
	{ .kind = SCRIPT_CONFIG_READ, .offset = OUTSIDE - 2, .width = 2, .value = 0xabcd },
	{ .kind = SCRIPT_CONFIG_WRITE, .offset = 0x805, .width = 1, .value = 7 },
	{ .kind = SCRIPT_MASTER_OFF },
};

static const struct script_step none[] = { { .kind = SCRIPT_MASTER_OFF } };

static const struct {
	unsigned offset, width;
} wrong_ones[] = { { 0, 0 }, { 0, 3 },       { 0, 8 },       { 1, 2 },         { 2, 4 },
		   { 6, 4 }, { OUTSIDE, 1 }, { OUTSIDE, 4 }, { UINT32_MAX, 1 } };

enum { WRONG = sizeof(wrong_ones) / sizeof(wrong_ones[0]) };

static int read_and_write_right(struct hba_controller *c, struct hba_report *r)
{
	(void)r;
	assert_int_equal(hba_config_read(c, 0, 4), 0x12345678);
	assert_int_equal(hba_config_read(c, OUTSIDE - 2, 2), 0xabcd);
	hba_config_write(c, 0x805, 7, 1);
	return hba_fail(c, -EIO, "this is all it does");
}

static int read_and_write_wrong(struct hba_controller *c, struct hba_report *r)
{
	(void)r;
	for (unsigned i = 0; i < WRONG; i++) {
		uint32_t value = hba_config_read(c, wrong_ones[i].offset, wrong_ones[i].width),
			 ones = (uint32_t)-1;

		assert_memory_equal(&value, &ones,
				    wrong_ones[i].width < 4 ? wrong_ones[i].width : 4);
		hba_config_write(c, wrong_ones[i].offset, 1, wrong_ones[i].width);
	}
	return hba_fail(c, -EIO, "this is all it does");
}

static void nothing(struct hba_queue *q, struct hba_task *t)
{
	(void)q;
	(void)t;
}

static unsigned violations(struct hba_controller *c)
{
	struct hba_event e;
	unsigned n = 0;

	while (hba_event_next(c, &e))
		n += e.kind == HBA_EVENT_VIOLATION;
	return n;
}

static void what_there_can_be_is_handed_on(void **state)
{
	static const struct hba_driver driver = { HBA_DRIVER_HEADER, .name = "config",
						  .initialize = read_and_write_right,
						  .process_task = nothing };
	struct rig *rig = rig_new(NULL);

	(void)state;
	rig->script.steps = right_ones;
	rig->script.n_steps = sizeof(right_ones) / sizeof(right_ones[0]);
	rig_refused(rig, &driver, -EIO, "this is all it does");
	assert_int_equal(violations(rig->c), 0);
	rig_down(rig);
}

static void what_there_cannot_be_is_told(void **state)
{
	static const struct hba_driver driver = { HBA_DRIVER_HEADER, .name = "config",
						  .initialize = read_and_write_wrong,
						  .process_task = nothing };
	struct rig *rig = rig_new(NULL);

	(void)state;
	rig->script.steps = none;
	rig->script.n_steps = 1;
	rig_refused(rig, &driver, -EIO, "hba_config_write of 1 bytes at offset 4294967295");
	assert_int_equal(violations(rig->c), 2 * WRONG);
	rig_down(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_there_can_be_is_handed_on),
		cmocka_unit_test(what_there_cannot_be_is_told),
	};

	return cmocka_run_group_tests_name("script-config", tests, NULL, NULL);
}
