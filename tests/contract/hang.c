/* SPDX-License-Identifier: MIT */
/* hang.c: a driver whose op never comes back. Fifteen seconds of real time: the op's deadline and the grace. */
#include "lib/test-driver.h"

#include <errno.h>
#include <semaphore.h>

static sem_t let_go;

static void hang(struct test_driver *d, enum test_op op, struct hba_controller *c, struct hba_task *t)
{
	(void)d;
	(void)c;
	(void)t;
	if (op == TEST_START)
		sem_wait(&let_go);
}

/* Kept where a leak checker finds them: what a stuck op may still use is leaked on purpose. */
static struct hba_controller *given_up;
static struct test_driver *still_used;

static void start_never_returns(void **state)
{
	(void)state;
	sem_init(&let_go, 0, 0);
	still_used = test_driver_new();
	still_used->inside = hang;
	given_up = test_open(still_used, NULL);
	assert_int_equal(hba_controller_start(given_up), -ETIMEDOUT);
	assert_string_equal(hba_error(), "driver test, start: has not returned after 15000 ms; the controller is given up");
	assert_int_equal(hba_controller_state(given_up), HBA_DEAD);
	assert_int_equal(hba_controller_start(given_up), -EBUSY);
	assert_string_equal(hba_error(), "test:: the controller is dead; it starts once, open it anew");
	assert_int_equal(hba_controller_stop(given_up), -EIO);
	assert_string_equal(hba_error(), "test:: the controller is dead");
	assert_int_equal(hba_controller_run(given_up, 1), -ENODEV);
	assert_int_equal(still_used->calls[TEST_STOP], 0);
	hba_controller_close(given_up);
	sem_post(&let_go);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(start_never_returns) };

	return cmocka_run_group_tests_name("contract: hang", tests, NULL, NULL);
}
