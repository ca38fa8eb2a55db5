/* SPDX-License-Identifier: MIT */
/*
 * slow.c: commands that take long are told, in words, once each: while they are out, and when they
 * are back. Time is the test's.
 */
#include "as-driver.h"

#include "lib/test-driver.h"

#include <string.h>

enum { SLOW = 1000, HANG = 5000, TIMEOUT = 30 * 1000, LOOK = 10, LONG = 3600 * 1000 };

/* Two units of target 0, whose commands stay with the driver until the test lets them go. */
struct bench {
	struct test_driver *d;
	struct hba_controller *c;
	struct hba_lun *unit[2];
	struct test_io io;
	uint8_t data[TEST_BLOCK];
};

static void bench_up_with(struct bench *b, const struct hba_options *options)
{
	memset(b, 0, sizeof(*b));
	b->d = test_driver_new();
	b->d->targets[0].luns = 2;
	b->c = test_open(b->d, options);
	assert_int_equal(hba_controller_start(b->c), 0);
	b->d->hold = true;
	b->d->hold_target = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(b->unit); i++)
		b->unit[i] = hba_lun_find(b->c, 0, i);
	b->io.put = true;
}

static void bench_up(struct bench *b)
{
	bench_up_with(b, NULL);
}

static void send(struct bench *b, unsigned unit, uint32_t block, uint32_t timeout_ms)
{
	struct hba_task *t = test_get(b->unit[unit]);

	test_fill_rw(t, false, block, 1, b->data);
	t->timeout_ms = timeout_ms;
	assert_int_equal(hba_submit(t, test_done, &b->io), 0);
	test_turns(b->c, 2);
}

static void pass(struct bench *b, uint64_t ms)
{
	test_advance(b->d, ms);
	test_turns(b->c, 3);
}

static void come_back(struct bench *b, unsigned n)
{
	unsigned done = b->io.done + n;

	b->d->release = n;
	test_wait(b->c, &b->io, done);
}

static void told(struct bench *b, enum hba_event_kind kind, int64_t value, const char *sentence)
{
	struct hba_event e;

	assert_true(test_event(b->c, kind, &e));
	assert_string_equal(e.text, sentence);
	assert_int_equal(e.value, value);
	assert_int_equal(e.target, 0);
}

/* Of these kinds; takes all events. */
static unsigned n_told(struct bench *b)
{
	struct hba_event e;
	unsigned n = 0;

	while (hba_event_next(b->c, &e) > 0)
		n += e.kind == HBA_EVENT_HANGING || e.kind == HBA_EVENT_SLOW;
	return n;
}

static void down(struct bench *b)
{
	test_down(b->d, b->c);
}

/* ---- */

static void in_time_is_no_news(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b);
	for (unsigned i = 0; i < 3; i++) {
		send(&b, 0, 8, TIMEOUT);
		pass(&b, SLOW - 1);
		come_back(&b, 1);
	}
	assert_int_equal(n_told(&b), 0);
	down(&b);
}

static void slow_is_told_when_it_is_back(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b);
	send(&b, 1, 8, TIMEOUT);
	pass(&b, SLOW);
	assert_int_equal(n_told(&b), 0);
	pass(&b, 1300);
	come_back(&b, 1);
	assert_int_equal(b.io.last.outcome, HBA_GOOD);
	told(&b, HBA_EVENT_SLOW, 2300, "READ(10) of 0:1, block 8 took 2.3 s");
	/* The same task, and not slow: what was told of it before is over. */
	send(&b, 1, 8, TIMEOUT);
	come_back(&b, 1);
	assert_int_equal(n_told(&b), 0);
	down(&b);
}

/*
 * A command that is sent again has its time anew: that one try was slow says nothing of the next.
 */
static void each_try_has_its_own_time(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b);
	send(&b, 0, 8, TIMEOUT);
	pass(&b, SLOW);
	AS_DRIVER(b.c, hba_complete_failed(b.d->held[0], HBA_BUSY, HBA_SENT_YES));
	b.d->n_held = 0;
	test_turns(b.c, 2);
	told(&b, HBA_EVENT_SLOW, SLOW, "READ(10) of 0:0, block 8 took 1 s");
	pass(&b, SLOW); /* it waits for its next try, and is with the driver for no time */
	assert_int_equal(b.d->n_held, 1);
	come_back(&b, 1);
	assert_int_equal(b.io.last.outcome, HBA_GOOD);
	assert_int_equal(n_told(&b), 0);
	down(&b);
}

/*
 * Each is told, though they were sent one after another and the loop looks only when the first may
 * be slow.
 */
static void each_of_several_is_seen(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b);
	for (unsigned i = 0; i < 4; i++) {
		send(&b, 0, i, TIMEOUT);
		pass(&b, SLOW / 4);
	}
	for (unsigned i = 0; i < 4; i++)
		pass(&b, SLOW / 4 + LOOK);
	come_back(&b, 4);
	assert_int_equal(n_told(&b), 4);
	down(&b);
}

static void hanging_is_told_after_five_seconds(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b);
	send(&b, 0, 2048, TIMEOUT);
	pass(&b, SLOW);
	pass(&b, HANG - SLOW - 1);
	assert_int_equal(n_told(&b), 0);
	pass(&b, 1);
	told(&b, HBA_EVENT_HANGING, 1,
	     "READ(10) of 0:0, block 2048 has been with the driver for 5 s; abort task at 30 s");
	pass(&b, HANG);
	assert_int_equal(n_told(&b), 0); /* once */
	come_back(&b, 1);
	told(&b, HBA_EVENT_SLOW, 2 * HANG, "READ(10) of 0:0, block 2048 took 10 s");
	down(&b);
}

static void many_of_a_unit_are_told_in_one_sentence(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b);
	for (unsigned i = 0; i < 3; i++)
		send(&b, 0, 8 * i, TIMEOUT);
	send(&b, 1, 1, 0);
	pass(&b, SLOW);
	pass(&b, HANG - SLOW);
	told(&b, HBA_EVENT_HANGING, 3,
	     "READ(10) of 0:0, block 0 and 2 others of this unit have been with the driver for 5 "
	     "s; abort task at 30 s");
	told(&b, HBA_EVENT_HANGING, 1,
	     "READ(10) of 0:1, block 1 has been with the driver for 5 s; no timeout is set");
	come_back(&b, 4);
	assert_int_equal(n_told(&b), 4);
	down(&b);
}

/* A driver without functions: what comes at the timeout is another rung. */
static void the_rung_is_the_one_that_comes(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b);
	b.c->table.manage = NULL;
	send(&b, 0, 1, TIMEOUT);
	pass(&b, SLOW);
	pass(&b, HANG - SLOW);
	told(&b, HBA_EVENT_HANGING, 1,
	     "READ(10) of 0:0, block 1 has been with the driver for 5 s; bus reset at 30 s");
	come_back(&b, 1);
	down(&b);
}

/* Recovery tells of its victims: that they are slow besides is no news. */
static void a_victim_is_recoverys_to_tell(void **state)
{
	struct bench b;
	struct hba_event e;

	(void)state;
	bench_up(&b);
	send(&b, 0, 1, 2 * SLOW);
	pass(&b, SLOW);
	pass(&b, SLOW + 1);
	test_wait(b.c, &b.io, 1);
	assert_int_equal(b.io.last.outcome, HBA_TASK_TIMEOUT);
	assert_true(test_event(b.c, HBA_EVENT_RECOVERY, &e));
	assert_int_equal(n_told(&b), 0);
	down(&b);
}

/* Its time stands still. */
static void a_lost_link_is_no_hang(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b);
	send(&b, 0, 1, TIMEOUT);
	AS_DRIVER(b.c, assert_int_equal(hba_target_block(b.c, 0, true), 0));
	for (unsigned i = 0; i < 20; i++)
		pass(&b, SLOW);
	assert_int_equal(n_told(&b), 0);
	AS_DRIVER(b.c, assert_int_equal(hba_target_block(b.c, 0, false), 0));
	test_turns(b.c, 3);
	come_back(&b, 1);
	down(&b);
}

/* While it was sent, the process was stopped: that is no time of the device's. */
static void stop_at_kick(struct test_driver *d, enum test_op op, struct hba_controller *c,
			 struct hba_task *t)
{
	(void)c;
	(void)t;
	if (op == TEST_KICK)
		test_advance(d, LONG);
}

static void a_stopped_host_makes_nothing_slow(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b);
	b.d->inside = stop_at_kick;
	send(&b, 0, 1, TIMEOUT);
	b.d->inside = NULL;
	test_turns(b.c, 3);
	assert_int_equal(n_told(&b), 0);
	come_back(&b, 1);
	assert_int_equal(n_told(&b), 0);
	down(&b);
}

static void the_application_says_what_is_slow(void **state)
{
	const struct hba_options options = { .size = sizeof(options), .slow_ms = 7000 };
	struct bench b;

	(void)state;
	bench_up_with(&b, &options);
	send(&b, 0, 1, TIMEOUT);
	pass(&b, 6999);
	come_back(&b, 1);
	assert_int_equal(n_told(&b), 0);
	send(&b, 0, 1, TIMEOUT);
	pass(&b, 7000);
	told(&b, HBA_EVENT_HANGING, 1,
	     "READ(10) of 0:0, block 1 has been with the driver for 7 s; abort task at 30 s");
	come_back(&b, 1);
	told(&b, HBA_EVENT_SLOW, 7000, "READ(10) of 0:0, block 1 took 7 s");
	down(&b);
}

/* A loop that sleeps is woken in time to tell, and with nothing out for nothing. */
static void a_sleeping_loop_wakes_to_tell(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b);
	assert_int_equal(slow_next(b.c), NO_DEADLINE);
	send(&b, 0, 1, TIMEOUT);
	assert_int_equal(slow_next(b.c), b.c->now + SLOW * (uint64_t)NS_PER_MS);
	pass(&b, SLOW);
	assert_int_equal(slow_next(b.c), b.c->now + (HANG - SLOW) * (uint64_t)NS_PER_MS);
	pass(&b, HANG - SLOW);
	assert_int_equal(slow_next(b.c), NO_DEADLINE); /* all is told */
	come_back(&b, 1);
	send(&b, 0, 1, TIMEOUT);
	assert_int_equal(slow_next(b.c), b.c->now + SLOW * (uint64_t)NS_PER_MS);
	come_back(&b, 1);
	assert_int_equal(slow_next(b.c), NO_DEADLINE);
	down(&b);
}

static void commands_without_a_name_or_a_block(void **state)
{
	char text[TASK_WORDS];
	struct task *t;
	struct bench b;

	(void)state;
	bench_up(&b);
	t = task_of(test_get(b.unit[1]));
	test_fill_ready(&t->head);
	task_words(t, text);
	assert_string_equal(text, "TEST UNIT READY of 0:1");
	t->head.cdb[0] = 0xc0;
	task_words(t, text);
	assert_string_equal(text, "command 0xc0 of 0:1");
	hba_task_put(&t->head);
	down(&b);
}

static void time_in_words(void **state)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} times[] = { { 0, "0 ms" },   { 999, "999 ms" }, { 1000, "1 s" },
		      { 1099, "1 s" }, { 1100, "1.1 s" }, { 30000, "30 s" } };
	char text[TIME_WORDS];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		time_words(times[i].ms * NS_PER_MS, text);
		assert_string_equal(text, times[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_time_is_no_news),
		cmocka_unit_test(slow_is_told_when_it_is_back),
		cmocka_unit_test(each_try_has_its_own_time),
		cmocka_unit_test(each_of_several_is_seen),
		cmocka_unit_test(hanging_is_told_after_five_seconds),
		cmocka_unit_test(many_of_a_unit_are_told_in_one_sentence),
		cmocka_unit_test(the_rung_is_the_one_that_comes),
		cmocka_unit_test(a_victim_is_recoverys_to_tell),
		cmocka_unit_test(a_lost_link_is_no_hang),
		cmocka_unit_test(a_stopped_host_makes_nothing_slow),
		cmocka_unit_test(the_application_says_what_is_slow),
		cmocka_unit_test(a_sleeping_loop_wakes_to_tell),
		cmocka_unit_test(commands_without_a_name_or_a_block),
		cmocka_unit_test(time_in_words),
	};

	return cmocka_run_group_tests_name("core: slow", tests, NULL, NULL);
}
