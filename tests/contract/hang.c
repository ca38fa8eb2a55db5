/* SPDX-License-Identifier: MIT */
/* hang.c: a driver whose op never comes back. Fifteen seconds of real time for each: the op's deadline and the grace. */
#include "lib/test-driver.h"

#include <errno.h>
#include <semaphore.h>

static sem_t entered, let_go;
static enum test_op hanging;

static void hang(struct test_driver *d, enum test_op op, struct hba_controller *c, struct hba_task *t)
{
	(void)d;
	(void)c;
	(void)t;
	if (op != hanging)
		return;
	sem_post(&entered);
	sem_wait(&let_go);
}

static int hang_in_power(struct hba_controller *c, enum hba_power state)
{
	(void)c;
	(void)state;
	sem_wait(&let_go);
	return 0;
}

/* Kept where a leak checker finds them: what a stuck op may still use is leaked on purpose. */
static struct hba_controller *given_up[3];
static struct test_driver *still_used[3];

static struct hba_controller *open_over(unsigned n, enum test_op op)
{
	sem_init(&entered, 0, 0);
	sem_init(&let_go, 0, 0);
	hanging = op;
	still_used[n] = test_driver_new();
	still_used[n]->inside = hang;
	still_used[n]->table.set_power_state = hang_in_power;
	given_up[n] = test_open(still_used[n], NULL);
	return given_up[n];
}

static void start_never_returns(void **state)
{
	struct hba_controller *c = open_over(0, TEST_START);

	(void)state;
	assert_int_equal(hba_controller_start(c), -ETIMEDOUT);
	assert_string_equal(hba_error(), "driver test, start: has not returned after 15000 ms; the controller is given up");
	assert_int_equal(hba_controller_state(c), HBA_DEAD);
	assert_int_equal(hba_controller_start(c), -EBUSY);
	assert_string_equal(hba_error(), "test:: the controller is dead; it starts once, open it anew");
	assert_int_equal(hba_controller_stop(c), -EIO);
	assert_string_equal(hba_error(), "test:: the controller is dead");
	assert_int_equal(hba_controller_run(c, 1), -ENODEV);
	assert_int_equal(still_used[0]->calls[TEST_STOP], 0);
	hba_controller_close(c);
	sem_post(&let_go);
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
	struct hba_controller *c = open_over(1, TEST_OPS);

	(void)state;
	assert_int_equal(hba_controller_start(c), 0);
	assert_int_equal(hba_controller_set_power(c, HBA_POWER_LOW), -ETIMEDOUT);
	assert_string_equal(hba_error(),
			    "driver test, set_power_state: has not returned after 15000 ms; the controller is given up");
	assert_int_equal(hba_controller_state(c), HBA_DEAD);
	assert_int_equal(hba_controller_run(c, 1), -ENODEV);
	hba_controller_close(c);
	sem_post(&let_go);
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
	struct hba_controller *c = open_over(2, TEST_RESET);
	struct test_driver *d = still_used[2];
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
	while (sem_trywait(&entered) < 0)
		test_turns(c, 1);
	__atomic_store_n(&d->tick, 100 * TEST_MS, __ATOMIC_RELAXED);
	assert_int_equal(hba_controller_stop(c), -EIO);
	assert_int_equal(io.done, 1);
	assert_int_equal(io.last.memory_lost, 1);
	do
		assert_true(test_event(c, HBA_EVENT_STATE, &e));
	while (e.value != HBA_DEAD);
	assert_string_equal(e.text, "driver test, reset: has not returned after 15000 ms; the controller is given up");
	assert_int_equal(d->calls[TEST_STOP], 0);
	hba_controller_close(c);
	sem_post(&let_go);
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
