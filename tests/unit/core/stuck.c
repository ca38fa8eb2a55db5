/* SPDX-License-Identifier: MIT */
/*
 * stuck.c: a waiting op that the loop has asked for, and that does not come back. The op really
 * stands still; only the controller's clock is the test's.
 */
#include "core/controller/controller.h"

#include "lib/test-driver.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

enum { TIMEOUT = 1000, LIMIT = 15 * 1000, WAKES_MS = 20, LOST_MS = 5000, MANY = 64 };

/* What a stuck op may still use is leaked on purpose: kept where a leak checker finds it. */
static struct {
	struct test_driver *d;
	struct hba_controller *c;
} kept[MANY];
static unsigned n_kept;

/* One op stands still at a time. */
static struct {
	enum test_op op;
	sem_t entered, let_go, left;
} still;

static struct bench {
	struct test_driver *d;
	struct hba_controller *c;
	struct test_io victim, unsent;
} bench;

static void wait_for(sem_t *sem)
{
	while (sem_wait(sem) < 0)
		;
}

static bool keep(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	(void)q;
	d->held[d->n_held++] = t;
	return true;
}

static void stand_still(struct test_driver *d, enum test_op op, struct hba_controller *c,
			struct hba_task *t)
{
	(void)d;
	(void)c;
	(void)t;
	if (op != still.op)
		return;
	sem_post(&still.entered);
	wait_for(&still.let_go);
	sem_post(&still.left);
}

static struct hba_task *send(struct test_io *io)
{
	struct hba_task *t = test_get(hba_lun_find(bench.c, 0, 0));

	test_fill_ready(t);
	t->timeout_ms = TIMEOUT;
	io->put = true;
	assert_int_equal(hba_submit(t, test_done, io), 0);
	return t;
}

/* A task's time is over, and no function and no reset of the bus brings it back. */
static void up(enum test_op op)
{
	memset(&bench, 0, sizeof(bench));
	bench.d = test_driver_new();
	bench.c = test_up(bench.d);
	bench.d->process = keep;
	bench.d->bus_reset = TEST_REJECTS;
	bench.d->controller_reset = -EIO;
	for (unsigned i = 0; i < ARRAY_SIZE(bench.d->tmf); i++)
		bench.d->tmf[i] = TEST_REJECTS;
	still.op = op;
	sem_init(&still.entered, 0, 0);
	sem_init(&still.let_go, 0, 0);
	sem_init(&still.left, 0, 0);
	bench.d->inside = stand_still;
}

/* Turns until the op has been entered. */
static void until_entered(void)
{
	while (sem_trywait(&still.entered) < 0)
		test_turns(bench.c, 1);
}

static void expire(void)
{
	send(&bench.victim);
	test_turns(bench.c, 2);
	test_advance(bench.d, TIMEOUT + 1);
	until_entered();
	send(&bench.unsent);
}

static void ended(const struct test_io *io, enum hba_outcome outcome, unsigned memory_lost)
{
	assert_int_equal(io->done, 1);
	assert_int_equal(io->last.outcome, outcome);
	assert_int_equal(io->last.memory_lost, memory_lost);
}

static void is_told(const char *op)
{
	char want[128];
	struct hba_event e;

	snprintf(want, sizeof(want),
		 "driver test, %s: has not returned after 15000 ms; the controller is given up",
		 op);
	do
		assert_true(test_event(bench.c, HBA_EVENT_STATE, &e));
	while (e.value != HBA_DEAD);
	assert_string_equal(e.text, want);
	assert_true(test_event(bench.c, HBA_EVENT_STATE, &e));
	assert_string_equal(e.text, "the controller is dead");
	assert_false(test_event(bench.c, HBA_EVENT_STATE, &e));
}

static void is_over(void)
{
	assert_int_equal(hba_controller_state(bench.c), HBA_DEAD);
	assert_int_equal(hba_controller_run(bench.c, 1), -ENODEV);
	assert_string_equal(hba_error(), "test:: the controller is dead");
	assert_int_equal(hba_controller_arm(bench.c), 1);
	assert_int_equal(hba_controller_stop(bench.c), -EIO);
}

/* The op comes back in the end, and finds all that it uses as it was. */
static void close_and_let_go(void)
{
	assert_in_range(n_kept, 0, MANY - 1);
	kept[n_kept].d = bench.d;
	kept[n_kept++].c = bench.c;
	hba_controller_close(bench.c);
	sem_post(&still.let_go);
	wait_for(&still.left);
}

static void given_up_at_its_limit(void)
{
	test_advance(bench.d, LIMIT - 1);
	test_turns(bench.c, 3);
	assert_int_equal(bench.victim.done + bench.unsent.done, 0);
	test_advance(bench.d, 1);
	assert_int_equal(hba_controller_run(bench.c, 1), -ENODEV);
}

/* ---- the tests */

static void a_reset_that_does_not_return(void **state)
{
	(void)state;
	up(TEST_RESET);
	expire();
	given_up_at_its_limit();
	assert_string_equal(
		hba_error(),
		"driver test, reset: has not returned after 15000 ms; the controller is given up");
	ended(&bench.victim, HBA_NO_STATUS, 1);
	ended(&bench.unsent, HBA_NOT_DELIVERED, 0);
	is_told("reset");
	is_over();
	close_and_let_go();
}

static void a_stop_that_does_not_return(void **state)
{
	(void)state;
	up(TEST_STOP);
	expire();
	given_up_at_its_limit();
	ended(&bench.victim, HBA_NO_STATUS, 1);
	ended(&bench.unsent, HBA_NOT_DELIVERED, 0);
	is_told("stop");
	is_over();
	close_and_let_go();
}

static void a_target_that_does_not_come(void **state)
{
	(void)state;
	up(TEST_INITIALIZE_TARGET);
	bench.d->process = NULL;
	bench.d->targets[1].luns = 1;
	hba_controller_rescan(bench.c);
	until_entered();
	test_advance(bench.d, LIMIT);
	assert_int_equal(hba_controller_run(bench.c, 1), -ENODEV);
	is_told("initialize_target");
	is_over();
	close_and_let_go();
}

static unsigned threads_here(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int run_next(struct hba_controller *c, struct job *job)
{
	(void)c;
	(void)job;
	return 0;
}

/*
 * Too late is too late: what is dead takes no turn again, and nothing is asked of the driver any
 * more.
 */
static void one_that_comes_back_after_all(void **state)
{
	static struct job next;
	unsigned threads = threads_here();

	(void)state;
	up(TEST_RESET);
	expire();
	next = (struct job) { .name = "next", .run = run_next };
	worker_post(bench.c, &next);
	given_up_at_its_limit();
	close_and_let_go();
	while (threads_here() > threads)
		sched_yield();
	assert_int_equal(next.began, 0);
	assert_true(bench.c->worker.fence);
	is_over();
}

/* In its last moment, and the loop has not looked before. */
static void an_op_that_returns_in_time(void **state)
{
	(void)state;
	up(TEST_RESET);
	expire();
	test_advance(bench.d, LIMIT - 1);
	test_turns(bench.c, 3);
	still.op = TEST_OPS;
	bench.d->controller_reset = 0;
	sem_post(&still.let_go);
	test_wait(bench.c, &bench.victim, 1);
	assert_int_equal(bench.victim.last.outcome, HBA_TASK_TIMEOUT);
	assert_int_equal(hba_controller_state(bench.c), HBA_STARTED);
	test_down(bench.d, bench.c);
}

static bool wakes_within(int ms)
{
	struct pollfd p = { .fd = hba_controller_fd(bench.c), .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* Nothing else would ever wake it. */
static void a_sleeping_loop_wakes_for_it(void **state)
{
	(void)state;
	up(TEST_RESET);
	expire();
	test_turns(bench.c, 1);
	test_advance(bench.d, LIMIT - WAKES_MS);
	assert_int_equal(hba_controller_arm(bench.c), 0);
	assert_true(wakes_within(LOST_MS));
	assert_int_equal(hba_controller_run(bench.c, 1), 0);
	assert_int_equal(hba_controller_arm(bench.c), 0);
	test_advance(bench.d, WAKES_MS);
	assert_true(wakes_within(LOST_MS));
	assert_int_equal(hba_controller_run(bench.c, 1), -ENODEV);
	ended(&bench.victim, HBA_NO_STATUS, 1);
	close_and_let_go();
}

static void stop_from_done(struct hba_task *t, const struct hba_result *r, void *arg)
{
	int *stopped = arg;

	(void)r;
	*stopped = hba_controller_stop(bench.c);
	hba_task_put(t);
}

static void its_dones_are_callbacks(void **state)
{
	struct hba_task *t;
	int stopped = 0;

	(void)state;
	up(TEST_RESET);
	expire();
	t = test_get(hba_lun_find(bench.c, 0, 0));
	test_fill_ready(t);
	assert_int_equal(hba_submit(t, stop_from_done, &stopped), 0);
	test_advance(bench.d, LIMIT);
	assert_int_equal(hba_controller_run(bench.c, 1), -ENODEV);
	assert_int_equal(stopped, -EBUSY);
	close_and_let_go();
}

/* ---- where the library runs the loop */

static sem_t told;

static void tell(struct hba_task *t, const struct hba_result *r, void *arg)
{
	*(struct hba_result *)arg = *r;
	hba_task_put(t);
	sem_post(&told);
}

static void the_librarys_loop_ends(void **state)
{
	struct hba_result result = { 0 };
	struct hba_task *t;

	(void)state;
	up(TEST_RESET);
	sem_init(&told, 0, 0);
	t = test_get(hba_lun_find(bench.c, 0, 0));
	test_fill_ready(t);
	t->timeout_ms = TIMEOUT;
	assert_int_equal(hba_submit(t, tell, &result), 0);
	test_turns(bench.c, 2);
	assert_int_equal(runner_start(bench.c), 0);
	test_advance(bench.d, TIMEOUT + 1);
	loop_wake(bench.c);
	wait_for(&still.entered);
	test_advance(bench.d, LIMIT);
	loop_wake(bench.c);
	wait_for(&told);
	assert_int_equal(result.outcome, HBA_NO_STATUS);
	assert_int_equal(result.memory_lost, 1);
	close_and_let_go();
	assert_false(bench.c->runner.up); /* no callback comes after close */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reset_that_does_not_return),
		cmocka_unit_test(a_stop_that_does_not_return),
		cmocka_unit_test(a_target_that_does_not_come),
		cmocka_unit_test(an_op_that_returns_in_time),
		cmocka_unit_test(a_sleeping_loop_wakes_for_it),
		cmocka_unit_test(its_dones_are_callbacks),
		cmocka_unit_test(one_that_comes_back_after_all),
		cmocka_unit_test(the_librarys_loop_ends),
	};

	return cmocka_run_group_tests_name("core: stuck", tests, NULL, NULL);
}
