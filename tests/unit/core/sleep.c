/* SPDX-License-Identifier: MIT */
/*
 * sleep.c: a loop that sleeps on its descriptor misses nothing, and is not woken for nothing. In
 * real time.
 */
#include "core/controller/controller.h"

#include "lib/test-driver.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* Under load a wake-up takes a millisecond, so what counts is how often the loop slept. */
enum { SLEEPS = 2000, ROUNDS = 100000, LOST_MS = 8000, QUIET_MS = 30 };

static bool readable(const struct hba_controller *c, int ms)
{
	struct pollfd p = { .fd = hba_controller_fd(c), .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* ---- a chip that is a thread */

struct chip {
	int doorbell, interrupt; /* eventfds */
	struct hba_task *sent;   /* atomic: one at a time */
	struct hba_task *ended;  /* atomic */
	unsigned interrupts_on;
	pthread_t thread;
};

static void add(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		abort();
}

/*
 * Cores apart, where there are two: on one and the same the chip would mostly answer before the
 * loop goes on.
 */
static void run_on(pthread_t thread, bool last)
{
	cpu_set_t all, one;
	size_t cpu = CPU_SETSIZE;

	if (sched_getaffinity(0, sizeof(all), &all) < 0)
		return;
	for (size_t i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all) && (last || cpu == CPU_SETSIZE))
			cpu = i;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	pthread_setaffinity_np(thread, sizeof(one), &one);
}

/*
 * From at once to well after the loop has gone to sleep, so that the end falls on each step
 * between.
 */
static void take_a_while(uint32_t *seed)
{
	*seed = *seed * UINT32_C(1664525) + UINT32_C(1013904223);
	for (volatile uint32_t i = *seed >> 18; i > 0; i = i - 1)
		;
}

static void *chip_main(void *arg)
{
	struct chip *chip = arg;
	uint32_t seed = 1;
	uint64_t n;

	while (read(chip->doorbell, &n, sizeof(n)) == sizeof(n)) {
		struct hba_task *t = __atomic_exchange_n(&chip->sent, NULL, __ATOMIC_ACQUIRE);

		if (!t)
			return NULL;
		take_a_while(&seed);
		__atomic_store_n(&chip->ended, t, __ATOMIC_RELEASE);
		add(chip->interrupt);
	}
	return NULL;
}

static bool ring(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	struct chip *chip = d->of_test;

	(void)q;
	__atomic_store_n(&chip->sent, t, __ATOMIC_RELEASE);
	add(chip->doorbell);
	return true;
}

static void look(struct test_driver *d, enum test_op op, struct hba_controller *c,
		 struct hba_task *t)
{
	struct chip *chip = d->of_test;
	uint64_t n;

	if (op == TEST_START)
		d->fail[op].error =
			hba_queue_watch(hba_controller_queue(c, 0), chip->interrupt, POLLIN);
	if (op != TEST_POLL)
		return;
	(void)!read(chip->interrupt, &n, sizeof(n));
	t = __atomic_exchange_n(&chip->ended, NULL, __ATOMIC_ACQUIRE);
	if (t)
		hba_complete_good(t, 0);
}

static struct hba_controller *chip_up(struct chip *chip, struct test_driver **ret_d)
{
	struct test_driver *d = test_driver_new();

	*chip = (struct chip) { .doorbell = eventfd(0, EFD_CLOEXEC),
				.interrupt = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	d->of_test = chip;
	d->inside = look;
	d->fail[TEST_START].call = TEST_EVERY_CALL;
	assert_int_equal(pthread_create(&chip->thread, NULL, chip_main, chip), 0);
	run_on(chip->thread, true);
	*ret_d = d;
	return test_up(d);
}

static void chip_down(struct chip *chip, struct test_driver *d, struct hba_controller *c)
{
	add(chip->doorbell);
	pthread_join(chip->thread, NULL);
	test_down(d, c);
	close(chip->doorbell);
	close(chip->interrupt);
}

/* One task that goes round and round. */
struct traffic {
	struct test_io io;
	unsigned slept;
	bool enough;
};

static bool is_over(const struct traffic *x)
{
	return x->slept == SLEEPS || x->io.done == ROUNDS;
}

static void sleep_and_run(struct hba_controller *c, struct traffic *x)
{
	assert_true(hba_controller_run(c, 8) >= 0);
	if (is_over(x) || hba_controller_arm(c) != 0)
		return;
	if (!readable(c, LOST_MS))
		fail_msg("a wake-up was lost: %u tasks are out", c->queues[0]->with_driver);
	x->slept++;
}

static void again(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct traffic *x = arg;

	test_done(t, r, &x->io);
	x->enough = is_over(x);
	if (!x->enough)
		assert_int_equal(hba_submit(t, again, x), 0);
}

static void no_wake_up_is_lost(void **state)
{
	struct test_driver *d;
	struct chip chip;
	struct hba_controller *c = chip_up(&chip, &d);
	struct hba_task *t = test_get(hba_lun_find(c, 0, 0));
	struct traffic x = { 0 };
	cpu_set_t before;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	run_on(pthread_self(), false);
	d->process = ring;
	test_fill_ready(t);
	assert_int_equal(hba_submit(t, again, &x), 0);
	while (!is_over(&x))
		sleep_and_run(c, &x);
	assert_int_equal(x.slept, SLEEPS);
	while (!x.enough)
		hba_controller_run(c, 8);
	pthread_setaffinity_np(pthread_self(), sizeof(before), &before);
	hba_task_put(t);
	chip_down(&chip, d, c);
}

/* With nothing out, too: what the chip has to say is heard. */
static void a_watched_descriptor_means_poll(void **state)
{
	struct test_driver *d;
	struct chip chip;
	struct hba_controller *c = chip_up(&chip, &d);
	unsigned polls;

	(void)state;
	test_turns(c, 3);
	assert_int_equal(hba_controller_arm(c), 0);
	assert_false(readable(c, QUIET_MS));
	add(chip.interrupt);
	assert_true(readable(c, LOST_MS));
	polls = d->calls[TEST_POLL];
	test_turns(c, 1);
	assert_true(d->calls[TEST_POLL] > polls);
	assert_int_equal(hba_controller_arm(c), 0);
	assert_false(readable(c, QUIET_MS)); /* level-triggered, and heard */
	chip_down(&chip, d, c);
}

/* ---- what else wakes it */

static void post_event(struct hba_controller *c)
{
	event_put(c, HBA_EVENT_BUS_RESET, HBA_NO_TARGET, NULL, 0, "for a test");
}

static void events_and_wishes_wake(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);

	(void)state;
	test_turns(c, 3);
	assert_int_equal(hba_controller_arm(c), 0);
	assert_false(readable(c, QUIET_MS));
	post_event(c);
	assert_true(readable(c, LOST_MS));
	test_turns(c, 1);
	assert_int_equal(hba_controller_arm(c), 0);
	assert_false(readable(c, QUIET_MS));
	assert_int_equal(hba_controller_rescan(c), 0);
	assert_true(readable(c, LOST_MS));
	test_turns(c, 1);
	assert_int_equal(hba_controller_rescan(c), 0);
	assert_int_equal(hba_controller_arm(c), 1); /* brought before it slept */
	while (!scan_over(c))
		test_turns(c, 1);
	test_down(d, c);
}

/* ---- interrupts of the chip */

static int enable(struct hba_queue *q, bool on)
{
	struct test_driver *d =
		(struct test_driver *)(uintptr_t)hba_controller_variant(hba_queue_controller(q));
	struct chip *chip = d->of_test;

	chip->interrupts_on += on;
	return on && d->n_held && d->release;
}

static void watch_only(struct test_driver *d, enum test_op op, struct hba_controller *c,
		       struct hba_task *t)
{
	struct chip *chip = d->of_test;

	(void)t;
	if (op == TEST_START)
		d->fail[op].error =
			hba_queue_watch(hba_controller_queue(c, 0), chip->interrupt, POLLIN);
}

static void interrupts_are_armed_then_looked_at(void **state)
{
	struct test_driver *d = test_driver_new();
	struct chip chip = { .interrupt = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	struct test_io io = { .put = true };
	struct hba_controller *c;
	struct hba_task *t;

	(void)state;
	d->of_test = &chip;
	d->inside = watch_only;
	d->fail[TEST_START].call = TEST_EVERY_CALL;
	d->table.interrupts = enable;
	c = test_up(d);
	d->hold = true;
	t = test_get(hba_lun_find(c, 0, 0));
	test_fill_ready(t);
	assert_int_equal(hba_submit(t, test_done, &io), 0);
	test_turns(c, 1);
	chip.interrupts_on = 0;
	assert_int_equal(hba_controller_arm(c), 0);
	assert_int_equal(chip.interrupts_on, 1);
	test_turns(c, 1);
	d->release = 1; /* just before the interrupt is unmasked: it will not come any more */
	assert_int_equal(hba_controller_arm(c), 1);
	assert_int_equal(chip.interrupts_on, 2);
	test_wait(c, &io, 1);
	test_down(d, c);
	close(chip.interrupt);
}

/* ---- time */

static void poll_soon(struct test_driver *d, enum test_op op, struct hba_controller *c,
		      struct hba_task *t)
{
	(void)t;
	if (op == TEST_PROCESS) {
		d->inside = NULL;
		hba_poll_within(hba_controller_queue(c, 0), 20);
		hba_poll_within(hba_controller_queue(c, 0), 600 * 1000);
	}
}

static uint64_t ms_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / TEST_MS;
}

static void bind_a_vector(struct test_driver *d, enum test_op op, struct hba_controller *c,
			  struct hba_task *t)
{
	(void)t;
	if (op == TEST_START)
		*(int *)d->of_test = hba_vector_bind(hba_controller_queue(c, 0), 0);
}

static void a_vector_that_is_not_there_is_not_bound(void **state)
{
	struct test_driver *d = test_driver_new();
	int bound = 0;

	(void)state;
	d->of_test = &bound;
	d->inside = bind_a_vector;
	struct hba_controller *c = test_up(d);

	assert_int_equal(bound, -ENOENT);
	test_down(d, c);
}

static void poll_within_calls_poll(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	uint64_t began;
	unsigned polls;

	(void)state;
	d->inside = poll_soon;
	assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
	test_turns(c, 1); /* with a completion in it, a turn leaves something to do */
	began = ms_now();
	assert_int_equal(hba_controller_arm(c), 0);
	assert_true(readable(c, LOST_MS)); /* nothing is out: it is the timer */
	assert_true(ms_now() - began >= 18);
	/* The nearest of several counts: the other is ten minutes away. */
	polls = d->calls[TEST_POLL];
	test_advance(d, 20);
	test_turns(c, 1);
	assert_int_equal(d->calls[TEST_POLL], polls + 1);
	assert_int_equal(hba_controller_arm(c), 0);
	assert_false(readable(c, QUIET_MS)); /* once */
	test_down(d, c);
}

static bool full(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	(void)q;
	d->process = NULL;
	hba_requeue(t, HBA_SCOPE_QUEUE);
	return true;
}

/* A hold that is over is no reason to wake up for ever. */
static void a_hold_wakes_once(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	struct test_io io = { .put = true };
	struct hba_task *t = test_get(hba_lun_find(c, 0, 0));

	(void)state;
	d->process = full;
	test_fill_ready(t);
	assert_int_equal(hba_submit(t, test_done, &io), 0);
	test_turns(c, 2);
	assert_int_equal(io.done, 0);
	assert_int_equal(hba_controller_arm(c), 0);
	test_turns(c, 1);
	test_advance(d, 1000);
	test_wait(c, &io, 1);
	test_advance(d, 1000);
	test_turns(c, 2);
	assert_int_equal(hba_controller_arm(c), 0);
	assert_false(readable(c, QUIET_MS));
	test_down(d, c);
}

/*
 * A command in the turn: scan, recovery and the like were not asked, so there is something to do
 * before a sleep.
 */
static void a_loop_that_owes_chores_does_not_sleep(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);

	(void)state;
	test_turns(c, 1);
	assert_int_equal(hba_controller_arm(c), 0);
	test_turns(c, 1);
	assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
	assert_int_equal(hba_controller_arm(c), 1);
	test_turns(c, 1);
	assert_int_equal(hba_controller_arm(c), 0);
	test_turns(c, 1);
	/* They wait no longer than this, however many commands come. */
	test_advance(d, 1);
	assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
	assert_int_equal(hba_controller_arm(c), 0);
	test_down(d, c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_wake_up_is_lost),
		cmocka_unit_test(a_watched_descriptor_means_poll),
		cmocka_unit_test(events_and_wishes_wake),
		cmocka_unit_test(interrupts_are_armed_then_looked_at),
		cmocka_unit_test(a_vector_that_is_not_there_is_not_bound),
		cmocka_unit_test(poll_within_calls_poll),
		cmocka_unit_test(a_hold_wakes_once),
		cmocka_unit_test(a_loop_that_owes_chores_does_not_sleep),
	};

	return cmocka_run_group_tests_name("core: sleep", tests, NULL, NULL);
}
