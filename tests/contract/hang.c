/* SPDX-License-Identifier: MIT */
/*
 * hang.c: a driver whose op never comes back. Fifteen seconds of real time for each: the op's
 * deadline and the grace.
 */
#include "lib/test-driver.h"

#include <errno.h>
#include <semaphore.h>

/*
 * One for each test, for a stuck thread has what it uses for ever: leaked on purpose, and kept
 * where a leak checker finds it.
 */
static struct place {
	enum test_op op;
	sem_t entered, let_go;
	struct test_driver *d;
	struct hba_controller *c;
} places[3];

static void hang(struct test_driver *d, enum test_op op, struct hba_controller *c,
		 struct hba_task *t)
{
	struct place *p = d->of_test;

	(void)c;
	(void)t;
	if (op != p->op)
		return;
	sem_post(&p->entered);
	sem_wait(&p->let_go);
}

static int hang_in_power(struct hba_controller *c, enum hba_power state)
{
	(void)state;
	hang((struct test_driver *)(uintptr_t)hba_controller_variant(c), TEST_OPS, c, NULL);
	return 0;
}

static struct hba_controller *open_over(struct place *p, enum test_op op)
{
	sem_init(&p->entered, 0, 0);
	sem_init(&p->let_go, 0, 0);
	p->op = op;
	p->d = test_driver_new();
	p->d->of_test = p;
	p->d->inside = hang;
	p->d->table.set_power_state = hang_in_power;
	p->c = test_open(p->d, NULL);
	return p->c;
}

static void start_never_returns(void **state)
{
	struct hba_controller *c = open_over(&places[0], TEST_START);

	(void)state;
	assert_int_equal(hba_controller_start(c), -ETIMEDOUT);
	assert_string_equal(
		hba_error(),
		"driver test, start: has not returned after 15000 ms; the controller is given up");
	assert_int_equal(hba_controller_state(c), HBA_DEAD);
	assert_int_equal(hba_controller_start(c), -EBUSY);
	assert_string_equal(hba_error(),
			    "test:: the controller is dead; it starts once, open it anew");
	assert_int_equal(hba_controller_stop(c), -EIO);
	assert_string_equal(hba_error(), "test:: the controller is dead");
	assert_int_equal(hba_controller_run(c, 1), -ENODEV);
	assert_int_equal(places[0].d->calls[TEST_STOP], 0);
	hba_controller_close(c);
	sem_post(&places[0].let_go);
}

static void submit(struct hba_controller *c, struct test_io *io, uint32_t timeout_ms)
{
	struct hba_task *t = test_get(hba_lun_find(c, 0, 0));

	test_fill_ready(t);
	t->timeout_ms = timeout_ms;
	io->put = true;
	assert_int_equal(hba_submit(t, test_done, io), 0);
}

static void power_never_goes(void **state)
{
	struct hba_controller *c = open_over(&places[1], TEST_OPS);

	(void)state;
	assert_int_equal(hba_controller_start(c), 0);
	assert_int_equal(hba_controller_set_power(c, HBA_POWER_LOW), -ETIMEDOUT);
	assert_string_equal(hba_error(), "driver test, set_power_state: has not returned after "
					 "15000 ms; the controller is given up");
	assert_int_equal(hba_controller_state(c), HBA_DEAD);
	assert_int_equal(hba_controller_run(c, 1), -ENODEV);
	hba_controller_close(c);
	sem_post(&places[1].let_go);
}

static bool hold(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	(void)q;
	d->held[d->n_held++] = t;
	return true;
}

/* What stop waits for is the op before it: its time is what counts, and its name. */
static void stop_behind_a_reset(void **state)
{
	enum { TIMEOUT = 1000, AFTER = TIMEOUT + 1 };
	struct hba_controller *c = open_over(&places[2], TEST_RESET);
	struct test_driver *d = places[2].d;
	struct test_io io = { 0 };
	struct hba_event e;

	(void)state;
	assert_int_equal(hba_controller_start(c), 0);
	d->process = hold;
	for (unsigned i = 0; i < sizeof(d->tmf) / sizeof(d->tmf[0]); i++)
		d->tmf[i] = TEST_REJECTS;
	submit(c, &io, TIMEOUT);
	test_turns(c, 2);
	test_advance(d, AFTER);
	while (sem_trywait(&places[2].entered) < 0)
		test_turns(c, 1);
	__atomic_store_n(&d->tick, 100 * TEST_MS, __ATOMIC_RELAXED);
	assert_int_equal(hba_controller_stop(c), -EIO);
	assert_int_equal(io.done, 1);
	assert_int_equal(io.last.memory_lost, 1);
	do
		assert_true(test_event(c, HBA_EVENT_STATE, &e));
	while (e.value != HBA_DEAD);
	assert_string_equal(
		e.text,
		"driver test, reset: has not returned after 15000 ms; the controller is given up");
	assert_int_equal(d->calls[TEST_STOP], 0);
	hba_controller_close(c);
	sem_post(&places[2].let_go);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(start_never_returns),
		cmocka_unit_test(power_never_goes),
		cmocka_unit_test(stop_behind_a_reset),
	};

	return cmocka_run_group_tests_name("contract: hang", tests, NULL, NULL);
}
