/* SPDX-License-Identifier: MIT */
/* power.c: off, low, pause, and on again. */
#include "rig.h"

#include "lib/deaf-bus.h"

#include <errno.h>
#include <string.h>

/* What the driver was told; one test at a time. */
static struct {
	enum hba_power told[8];
	unsigned n, out_then; /* tasks with the driver at that moment */
	int error;
} power;

static int set_power_state(struct hba_controller *c, enum hba_power state)
{
	power.told[power.n++ % 8] = state;
	power.out_then += c->queues[0]->with_driver;
	return power.error ? hba_fail(c, power.error, "the regulator does not answer") : 0;
}

static void up(struct rig *r, bool with_op)
{
	memset(&power, 0, sizeof(power));
	rig_init(r);
	if (with_op)
		r->d->table.set_power_state = set_power_state;
	rig_up(r);
	r->d->n_order = 0;
}

static void send(struct rig *r, struct test_io *io, uint32_t timeout_ms)
{
	struct hba_task *t = test_get(hba_lun_find(r->c, 0, 0));

	test_fill_ready(t);
	t->timeout_ms = timeout_ms;
	assert_int_equal(hba_submit(t, test_done, io), 0);
}

static void off_low_and_pause_are_quiet(void **state)
{
	static const enum hba_power down[] = { HBA_POWER_OFF, HBA_POWER_LOW, HBA_POWER_PAUSE };
	struct rig r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(down); i++) {
		struct test_io before = { .put = true }, meanwhile = { .put = true };

		up(&r, true);
		r.d->hold = true;
		send(&r, &before, 0);
		test_turns(r.c, 1);
		r.d->release = 1;
		assert_int_equal(hba_controller_set_power(r.c, down[i]), 0);
		assert_int_equal(before.done, 1); /* what was out came back first */
		assert_int_equal(power.out_then, 0);
		assert_int_equal(power.n, 1);
		assert_int_equal(power.told[0], down[i]);
		assert_int_equal(hba_controller_state(r.c), HBA_PAUSED);
		r.d->hold = false;
		r.n_log = 0;
		send(&r, &meanwhile, 1000);
		hba_controller_rescan(r.c);
		rig_pass(&r, 60 * 1000, 1000);
		assert_int_equal(r.n_log, 0); /* nothing goes, and its time does not run */
		assert_int_equal(meanwhile.done, 0);
		assert_int_equal(hba_controller_set_power(r.c, down[i]), -EBUSY);
		r.d->n_order = 0;
		assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_ON), 0);
		assert_int_equal(power.told[1], HBA_POWER_ON);
		assert_memory_equal(r.d->order, "RS", 2); /* a controller reset, then start */
		test_wait(r.c, &meanwhile, 1);
		assert_int_equal(meanwhile.last.outcome, HBA_GOOD);
		rig_until_scanned(&r);
		assert_true(rig_count(&r, INQUIRY_OP) > 0); /* a rescan */
		assert_int_equal(r.d->n_functions, 0);
		assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_ON), 0);
		rig_down(&r);
	}
}

static void tasks_that_do_not_come_back(void **state)
{
	struct test_io io = { .put = true }, after = { .put = true };
	struct rig r;

	(void)state;
	up(&r, true);
	r.d->hold = true;
	send(&r, &io, 0);
	test_turns(r.c, 1);
	r.d->tick = 100 * TEST_MS;
	assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_OFF), -ETIMEDOUT);
	r.d->tick = 0;
	assert_string_equal(
		hba_error(),
		"test:: tasks are still out after 10000 ms; the power state is as it was");
	assert_int_equal(power.n, 0);
	assert_int_equal(hba_controller_state(r.c), HBA_STARTED);
	r.d->hold = false;
	send(&r, &after, 0);
	test_wait(r.c, &after, 1);
	r.d->release = 1;
	test_wait(r.c, &io, 1);
	rig_down(&r);
}

/* One that is stuck, but has a timeout, is aborted on the way down. */
static void a_stuck_task_is_aborted_first(void **state)
{
	struct test_io io = { .put = true };
	struct rig r;

	(void)state;
	up(&r, true);
	r.d->hold = true;
	send(&r, &io, 1000);
	test_turns(r.c, 1);
	r.d->tick = 10 * TEST_MS;
	assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_OFF), 0);
	r.d->tick = 0;
	assert_int_equal(io.last.outcome, HBA_TASK_TIMEOUT);
	assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_ON), 0);
	rig_down(&r);
}

static void no_autosense(struct hba_report *report)
{
	report->performs_autosense = 0;
}

/* A unit forgets its sense without power. */
static void sense_is_fetched_first(void **state)
{
	struct test_io io = { .put = true };
	struct rig r;

	(void)state;
	memset(&power, 0, sizeof(power));
	rig_init(&r);
	r.d->table.set_power_state = set_power_state;
	r.report = no_autosense;
	rig_up(&r);
	r.without_sense = true;
	rig_say(&r, (struct rig_answer) { .key = MEDIUM_ERROR_KEY, .asc = 0x11 }, 1);
	send(&r, &io, 0);
	test_turns(r.c, 1);
	assert_int_equal(io.done, 0);
	assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_OFF), 0);
	assert_int_equal(io.done, 1);
	assert_int_equal(io.sense[2] & 0xf, MEDIUM_ERROR_KEY);
	rig_down(&r);
}

static void a_driver_that_refuses(void **state)
{
	struct rig r;

	(void)state;
	up(&r, true);
	power.error = -EIO;
	assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_LOW), -EIO);
	assert_string_equal(hba_error(), "test:: the regulator does not answer");
	assert_int_equal(hba_controller_state(r.c), HBA_STARTED);
	assert_int_equal(test_ready(hba_lun_find(r.c, 0, 0)), HBA_GOOD);
	power.error = 0;
	assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_LOW), 0);
	power.error = -EIO;
	assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_ON), -EIO);
	assert_int_equal(hba_controller_state(r.c), HBA_PAUSED);
	power.error = 0;
	assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_ON), 0);
	assert_int_equal(test_ready(hba_lun_find(r.c, 0, 0)), HBA_GOOD);
	rig_down(&r);
}

/* Default: stop for off, nothing for the others. */
static void a_driver_without_the_op(void **state)
{
	struct rig r;

	(void)state;
	up(&r, false);
	assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_PAUSE), 0);
	assert_int_equal(r.d->calls[TEST_STOP], 0);
	assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_ON), 0);
	assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_OFF), 0);
	assert_int_equal(r.d->calls[TEST_STOP], 1);
	assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_ON), 0);
	assert_int_equal(r.d->calls[TEST_START], 3);
	assert_int_equal(test_ready(hba_lun_find(r.c, 0, 0)), HBA_GOOD);
	assert_int_equal(hba_controller_set_power(r.c, (enum hba_power)1), -EINVAL);
	rig_down(&r);
}

static void master_on(struct test_driver *d, enum test_op op, struct hba_controller *c,
		      struct hba_task *t)
{
	(void)t;
	if (op == TEST_START)
		d->fail[op].error = hba_bus_master_on(c);
}

static struct hba_bus_device *up_over_a_bus(struct rig *r)
{
	memset(&power, 0, sizeof(power));
	rig_init(r);
	r->d->bus = &deaf_bus;
	r->d->inside = master_on;
	r->d->fail[TEST_START].call = TEST_EVERY_CALL;
	rig_up(r);
	return r->c->bus.device;
}

/* Off by default is a stop, and after a stop no device reaches memory, whatever its driver did. */
static void off_is_off_for_the_bus(void **state)
{
	struct hba_bus_device *bus;
	struct rig r;

	(void)state;
	bus = up_over_a_bus(&r);
	assert_true(bus->master);
	assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_PAUSE), 0);
	assert_true(bus->master);
	assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_ON), 0);
	assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_OFF), 0);
	assert_false(bus->master);
	assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_ON), 0);
	assert_true(bus->master); /* start has asked for it again */
	assert_int_equal(test_ready(hba_lun_find(r.c, 0, 0)), HBA_GOOD);
	rig_down(&r);
}

static void a_bus_that_does_not_confirm_off(void **state)
{
	struct test_io unsent = { .put = true };
	struct hba_bus_device *bus;
	struct rig r;

	(void)state;
	bus = up_over_a_bus(&r);
	bus->master_off = bus->reset = -EIO;
	r.c->paused = true; /* what is sent now is not sent before the power goes */
	send(&r, &unsent, 0);
	assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_OFF), -EIO);
	assert_string_equal(hba_error(), "test:: driver test failed to stop; its DMA memory is "
					 "quarantined, because the device may still write to it");
	assert_int_equal(bus->resets, 1);
	assert_int_equal(hba_controller_state(r.c), HBA_DEAD);
	test_wait(r.c, &unsent, 1);
	assert_int_equal(unsent.last.outcome, HBA_NOT_DELIVERED);
	assert_int_equal(hba_controller_run(r.c, 1), -ENODEV);
	bus->master_off = 0; /* by the time of close it does: all may be freed */
	rig_down(&r);
}

static void from_a_callback(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct test_io *io = arg;

	io->last.bytes = (uint64_t)(int64_t)hba_controller_set_power(
		hba_lun_controller(task_of(t)->lun), HBA_POWER_OFF);
	(void)r;
	io->done++;
	hba_task_put(t);
}

static void not_from_a_callback(void **state)
{
	struct test_io io = { 0 };
	struct hba_task *t;
	struct rig r;

	(void)state;
	up(&r, true);
	t = test_get(hba_lun_find(r.c, 0, 0));
	test_fill_ready(t);
	assert_int_equal(hba_submit(t, from_a_callback, &io), 0);
	test_wait(r.c, &io, 1);
	assert_int_equal((int64_t)io.last.bytes, -EBUSY);
	assert_int_equal(hba_controller_state(r.c), HBA_STARTED);
	rig_down(&r);
}

/* What was submitted while the power was away ends when the controller does. */
static void stop_while_off(void **state)
{
	struct test_io io = { .put = true };
	struct rig r;

	(void)state;
	up(&r, true);
	assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_OFF), 0);
	send(&r, &io, 0);
	assert_int_equal(hba_controller_stop(r.c), 0);
	assert_int_equal(io.done, 1);
	assert_int_equal(io.last.outcome, HBA_NOT_DELIVERED);
	rig_down(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(off_low_and_pause_are_quiet),
		cmocka_unit_test(tasks_that_do_not_come_back),
		cmocka_unit_test(a_stuck_task_is_aborted_first),
		cmocka_unit_test(sense_is_fetched_first),
		cmocka_unit_test(a_driver_that_refuses),
		cmocka_unit_test(a_driver_without_the_op),
		cmocka_unit_test(off_is_off_for_the_bus),
		cmocka_unit_test(a_bus_that_does_not_confirm_off),
		cmocka_unit_test(not_from_a_callback),
		cmocka_unit_test(stop_while_off),
	};

	return cmocka_run_group_tests_name("core: power", tests, NULL, NULL);
}
