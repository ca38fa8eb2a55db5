/* SPDX-License-Identifier: MIT */
/*
 * bus.c: the script bus itself: it must fail on a surprise and on what is left, or all tests that
 * use it show nothing.
 */
#include "script/rig.h"

#include <errno.h>
#include <string.h>

static struct hba_bus_device *open_script(struct script *s)
{
	char path[SCRIPT_PATH], why[HBA_BUS_WHY_BYTES];
	struct hba_bus_info info;
	struct hba_bus_device *d = NULL;

	script_path(s, path);
	assert_int_equal(bus_script.open(path, NULL, &info, why, &d), 0);
	return d;
}

static const struct script_step three[] = {
	{ .kind = SCRIPT_CONFIG_READ, .offset = 4, .width = 2, .value = 0x1234 },
	{ .kind = SCRIPT_BAR_READ, .offset = 0x10, .span = 8, .value = 7, .times = SCRIPT_EVER },
	{ .kind = SCRIPT_BAR_WRITE,
	  .bar = 1,
	  .offset = 8,
	  .width = 4,
	  .value = 0xcafe,
	  .times = 2 },
};

static void the_list_in_its_order_is_good(void **state)
{
	struct script s = { .steps = three, .n_steps = 3 };
	struct hba_bus_device *d = open_script(&s);
	uint32_t word = 0;
	uint64_t value = 0;

	(void)state;
	assert_int_equal(bus_script.config_read(d, 4, 2, &word), 0);
	assert_int_equal(word, 0x1234);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(bus_script.bar_read(d, 0, 0x17, 1, &value), 0);
	assert_int_equal(value, 7);
	bus_script.bar_write(d, 1, 8, 4, 0xcafe);
	assert_string_equal(script_verdict(&s), "step 3 of 3 never came: write to BAR 1 at 0x8, 4 "
						"bytes, value 0xcafe, 1 of 2 times");
	s.sentence[0] = '\0';
	bus_script.bar_write(d, 1, 8, 4, 0xcafe);
	assert_null(script_verdict(&s));
	bus_script.close(d);
}

static void a_surprise_is_told_once(void **state)
{
	struct script s = { .steps = three, .n_steps = 3 };
	struct hba_bus_device *d = open_script(&s);
	uint64_t value = 0;

	(void)state;
	assert_int_equal(bus_script.bar_read(d, 0, 0x18, 4, &value), 0);
	assert_int_equal(value, UINT64_MAX);
	bus_script.bus_master(d, true, 0);
	assert_string_equal(script_verdict(&s),
			    "step 1 of 3: expected read of config space at 0x4, 2 bytes; "
			    "there came read of BAR 0 at 0x18, 4 bytes");
	bus_script.close(d);
}

static void another_value_or_width_is_a_surprise(void **state)
{
	static const struct script_step step = {
		.kind = SCRIPT_BAR_WRITE, .offset = 4, .width = 4, .value = 1
	};
	struct script s = { .steps = &step, .n_steps = 1 }, other = s;
	struct hba_bus_device *d = open_script(&s), *e = open_script(&other);

	(void)state;
	bus_script.bar_write(d, 0, 4, 4, 2);
	assert_non_null(
		strstr(script_verdict(&s), "there came write to BAR 0 at 0x4, 4 bytes, value 0x2"));
	bus_script.bar_write(e, 0, 4, 2, 1);
	assert_non_null(strstr(script_verdict(&other),
			       "there came write to BAR 0 at 0x4, 2 bytes, value 0x1"));
	bus_script.close(d);
	bus_script.close(e);
}

static void removed_is_final(void **state)
{
	struct script s = { .steps = three, .n_steps = 3 };
	struct hba_bus_device *d = open_script(&s);
	uint64_t value = 5;

	(void)state;
	script_silence(&s);
	assert_int_equal(bus_script.bar_read(d, 0, 0, 8, &value), 0);
	assert_int_equal(value, UINT64_MAX);
	script_remove(&s);
	assert_int_equal(bus_script.bar_read(d, 0, 0, 8, &value), -ENODEV);
	assert_int_equal(bus_script.bus_master(d, false, 0), -ENODEV);
	bus_script.close(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_list_in_its_order_is_good),
		cmocka_unit_test(a_surprise_is_told_once),
		cmocka_unit_test(another_value_or_width_is_a_surprise),
		cmocka_unit_test(removed_is_final),
	};

	return cmocka_run_group_tests_name("script-bus", tests, NULL, NULL);
}
