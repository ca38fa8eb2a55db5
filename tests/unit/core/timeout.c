/* SPDX-License-Identifier: MIT */
/*
 * timeout.c: tasks whose time is over, and the ladder, rung by rung, on a clock that moves when the
 * test says so.
 */
#include "as-driver.h"

#include "lib/deaf-bus.h"
#include "lib/test-driver.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TIMEOUT = 1000, RUNG = 10 * 1000, MANY_TURNS = 200000 }; /* 10 us apart */

/* Rungs as HBA_EVENT_RECOVERY numbers them. */
enum { ABORT = 1, UNIT_RESET, TARGET_RESET, BUS_RESET, CONTROLLER_RESET, STOP };

/* Two units of target 0; what goes to the first stays with the driver. */
struct bench {
	struct test_driver *d;
	struct hba_controller *c;
	struct hba_lun *victim, *other;
	struct test_io io, others;
};

static bool hold_unit_0(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	(void)q;
	if (t->lun.bytes[1] != 0)
		return false;
	d->held[d->n_held++] = t;
	return true;
}

static void bench_up_over(struct bench *b, const struct hba_bus *bus)
{
	memset(b, 0, sizeof(*b));
	b->d = test_driver_new();
	b->d->bus = bus;
	b->d->targets[0].luns = 2;
	b->c = test_up(b->d);
	b->d->process = hold_unit_0;
	b->victim = hba_lun_find(b->c, 0, 0);
	b->other = hba_lun_find(b->c, 0, 1);
	b->io.put = b->others.put = true;
}

static void bench_up(struct bench *b)
{
	bench_up_over(b, NULL);
}

static struct hba_task *send(struct hba_lun *lun, struct test_io *io, uint32_t timeout_ms)
{
	struct hba_task *t = test_get(lun);

	test_fill_ready(t);
	t->timeout_ms = timeout_ms;
	assert_int_equal(hba_submit(t, test_done, io), 0);
	return t;
}

/* Sends one that will not come back by itself, and lets its time pass. */
static struct hba_task *expire(struct bench *b)
{
	struct hba_task *t = send(b->victim, &b->io, TIMEOUT);

	test_turns(b->c, 2);
	assert_int_equal(b->d->n_held, 1);
	test_advance(b->d, TIMEOUT);
	test_turns(b->c, 2);
	assert_int_equal(b->d->n_functions, 0); /* its last millisecond is its own */
	test_advance(b->d, 1);
	return t;
}

/* Waiting ops run on another thread: turns until the victim is back. */
static void until_done(struct bench *b)
{
	for (unsigned i = 0; i < MANY_TURNS && (!b->io.done || b->c->recovery.victim); i++) {
		hba_controller_run(b->c, 32);
		usleep(10);
	}
	assert_int_equal(b->io.done, 1);
}

static void until_back(struct bench *b)
{
	until_done(b);
	assert_int_equal(b->io.last.outcome, HBA_TASK_TIMEOUT);
}

/* From its last millisecond to its end. */
static void recover(struct bench *b)
{
	expire(b);
	until_back(b);
}

static void rungs_were(struct bench *b, const char *want)
{
	char rungs[16] = "";
	struct hba_event e;

	for (size_t n = 0; n < sizeof(rungs) - 1 && test_event(b->c, HBA_EVENT_RECOVERY, &e); n++)
		rungs[n] = (char)('0' + e.value);
	assert_string_equal(rungs, want);
}

/* What the last time left behind is not in the way of the next. */
static void recover_again(struct bench *b)
{
	b->io.done = 0;
	b->d->n_functions = 0;
	b->d->tmf[HBA_ABORT_TASK] = TEST_WORKS;
	b->d->process = hold_unit_0;
	recover(b);
	rungs_were(b, "01");
}

static void ends(struct bench *b, const struct test_io *io, unsigned done, enum hba_outcome outcome)
{
	test_wait(b->c, io, done);
	assert_int_equal(io->last.outcome, outcome);
}

/* ---- when a task has expired */

static void not_if_poll_finds_it(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b);
	send(b.victim, &b.io, TIMEOUT);
	test_turns(b.c, 2);
	test_advance(b.d, 3600 * 1000); /* the host slept; the completion is there */
	b.d->release = 1;
	test_wait(b.c, &b.io, 1);
	test_turns(b.c, 5);
	assert_int_equal(b.io.last.outcome, HBA_GOOD);
	assert_int_equal(b.d->n_functions, 0);
	test_down(b.d, b.c);
}

/* Poll stopped at its budget: what it did not look at has not expired. */
static void not_if_poll_had_no_time(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b);
	for (unsigned i = 0; i < 5; i++)
		send(b.victim, &b.io, TIMEOUT);
	test_turns(b.c, 2);
	test_advance(b.d, TIMEOUT + 1);
	b.d->release = 5;
	for (unsigned i = 0; i < 10; i++)
		assert_true(hba_controller_run(b.c, 1) >= 0);
	assert_int_equal(b.io.done, 5);
	assert_int_equal(b.io.last.outcome, HBA_GOOD);
	assert_int_equal(b.d->n_functions, 0);
	test_down(b.d, b.c);
}

/* Its time begins with the first look at the clock after it was sent, and is whole then. */
static void has_all_of_its_time_now(struct bench *b)
{
	test_turns(b->c, 2);
	test_advance(b->d, TIMEOUT);
	test_turns(b->c, 3);
	assert_int_equal(b->d->n_functions, 0);
	test_advance(b->d, 1);
	test_turns(b->c, 3);
	assert_int_equal(b->d->n_functions, 1);
}

static void stop_at_kick(struct test_driver *d, enum test_op op, struct hba_controller *c,
			 struct hba_task *t)
{
	(void)c;
	(void)t;
	if (op == TEST_KICK)
		test_advance(d, 3600 * 1000);
}

static void not_if_stopped_while_it_was_sent(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b);
	b.d->inside = stop_at_kick;
	send(b.victim, &b.io, TIMEOUT);
	has_all_of_its_time_now(&b);
	until_back(&b);
	test_down(b.d, b.c);
}

static void stop_and_send(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct bench *b = arg;

	(void)r;
	hba_task_put(t);
	test_advance(b->d, 3600 * 1000);
	send(b->victim, &b->io, TIMEOUT);
}

static void not_if_stopped_before_it_was_sent(void **state)
{
	struct bench b;
	struct hba_task *t;

	(void)state;
	bench_up(&b);
	t = test_get(b.other);
	test_fill_ready(t);
	assert_int_equal(hba_submit(t, stop_and_send, &b), 0);
	has_all_of_its_time_now(&b);
	until_back(&b);
	test_down(b.d, b.c);
}

/* Going to sleep, the loop looks at the clock: sleep is no stop. */
static void time_asleep_counts(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b);
	send(b.victim, &b.io, TIMEOUT);
	test_turns(b.c, 1);
	assert_true(hba_controller_arm(b.c) >= 0);
	test_advance(b.d, TIMEOUT + 1);
	test_turns(b.c, 1);
	assert_non_null(b.c->recovery.victim);
	until_back(&b);
	test_down(b.d, b.c);
}

static void no_timeout(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b);
	send(b.victim, &b.io, 0);
	test_turns(b.c, 1);
	test_advance(b.d, UINT64_C(1000) * 3600 * 24 * 365);
	test_turns(b.c, 5);
	assert_int_equal(b.d->n_functions, 0);
	b.d->release = 1;
	ends(&b, &b.io, 1, HBA_GOOD);
	test_down(b.d, b.c);
}

/* Time in the queue is not the target's; and a millisecond is one. */
static void begins_when_sent(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b);
	send(b.victim, &b.io, TIMEOUT);
	test_advance(b.d, 10 * TIMEOUT);
	test_turns(b.c, 3);
	assert_int_equal(b.d->n_held, 1);
	test_advance(b.d, TIMEOUT - 1);
	test_turns(b.c, 3);
	assert_int_equal(b.d->n_functions, 0);
	test_advance(b.d, 2);
	test_turns(b.c, 3);
	assert_int_equal(b.d->n_functions, 1);
	until_back(&b);
	test_down(b.d, b.c);
}

/* ---- the ladder */

static void abort_works(void **state)
{
	struct bench b;
	struct hba_event e;

	(void)state;
	bench_up(&b);
	recover(&b);
	assert_int_equal(b.d->n_functions, 1);
	assert_int_equal(b.d->functions[0], HBA_ABORT_TASK);
	assert_true(test_event(b.c, HBA_EVENT_RECOVERY, &e));
	assert_string_equal(e.text, "TEST UNIT READY of 0:0 (unique id 4) did not come back within "
				    "1 s; abort task is next, and has 10 s");
	assert_true(test_event(b.c, HBA_EVENT_RECOVERY, &e));
	assert_int_equal(e.value, ABORT);
	assert_string_equal(
		e.text,
		"abort task: TEST UNIT READY of 0:0 came back after 0 ms; recovery took 0 ms");
	b.d->process = NULL;
	assert_int_equal(test_ready(b.victim), HBA_GOOD);
	test_no_violation(b.c);
	test_down(b.d, b.c);
}

/* Each function is answered, but the victim stays until the last of `n`. */
static void up_to(unsigned n, const char *rungs)
{
	static const enum hba_tmf functions[] = { HBA_ABORT_TASK, HBA_LOGICAL_UNIT_RESET,
						  HBA_TARGET_RESET };
	struct bench b;

	bench_up(&b);
	for (unsigned i = 0; i < ARRAY_SIZE(functions); i++)
		b.d->tmf[functions[i]] = i < n - 1 ? (i ? TEST_CLAIMS : TEST_REJECTS) : TEST_WORKS;
	b.d->bus_reset = n > BUS_RESET ? TEST_REJECTS : TEST_WORKS;
	b.d->controller_reset = n > CONTROLLER_RESET ? -EIO : 0;
	recover(&b);
	assert_int_equal(b.d->n_functions, n < 3 ? n : 3);
	for (unsigned i = 0; i < b.d->n_functions; i++)
		assert_int_equal(b.d->functions[i], functions[i]);
	assert_int_equal(b.d->calls[TEST_RESET], n < BUS_RESET ? 0 : n == BUS_RESET ? 1 : 2);
	assert_int_equal(b.d->calls[TEST_STOP], n == STOP);
	assert_int_equal(b.d->calls[TEST_START], n == CONTROLLER_RESET ? 2 : 1);
	assert_int_equal(hba_controller_state(b.c), n == STOP ? HBA_DEAD : HBA_STARTED);
	rungs_were(&b, rungs);
	if (n != STOP) {
		b.d->process = NULL;
		assert_int_equal(test_ready(b.victim), HBA_GOOD);
		assert_int_equal(test_ready(b.other), HBA_GOOD);
	} else {
		struct hba_task *t;

		assert_int_equal(hba_task_get(b.other, 0, NULL, &t), -ENODEV);
	}
	test_down(b.d, b.c);
}

/* It has not reset anything: the ladder goes on. */
static void a_reset_that_returns_a_count(void **state)
{
	struct hba_event e;
	struct bench b;

	(void)state;
	bench_up(&b);
	for (unsigned i = 0; i < ARRAY_SIZE(b.d->tmf); i++)
		b.d->tmf[i] = TEST_REJECTS;
	b.d->bus_reset = TEST_REJECTS;
	b.d->controller_reset = 3;
	recover(&b);
	assert_int_equal(hba_controller_state(b.c), HBA_DEAD);
	assert_true(test_event(b.c, HBA_EVENT_VIOLATION, &e));
	assert_non_null(strstr(e.text, "reset: returned 3; an op returns 0 or a negative errno"));
	test_down(b.d, b.c);
}

static void every_rung(void **state)
{
	(void)state;
	up_to(ABORT, "01");
	up_to(UNIT_RESET, "012");
	up_to(TARGET_RESET, "0123");
	up_to(BUS_RESET, "01234");
	up_to(CONTROLLER_RESET, "012345");
	up_to(STOP, "0123456");
}

/* No rung works, and the driver's stop is no more than its word. */
static struct hba_bus_device *bench_up_to_the_bus(struct bench *b, int master_off, int reset)
{
	struct hba_bus_device *bus;

	bench_up_over(b, &deaf_bus);
	bus = b->c->bus.device;
	*bus = (struct hba_bus_device) { .master = true, .master_off = master_off, .reset = reset };
	for (unsigned i = 0; i < ARRAY_SIZE(b->d->tmf); i++)
		b->d->tmf[i] = TEST_REJECTS;
	b->d->bus_reset = TEST_REJECTS;
	b->d->controller_reset = -EIO;
	return bus;
}

static void die(struct bench *b)
{
	expire(b);
	until_done(b);
	assert_int_equal(hba_controller_state(b->c), HBA_DEAD);
	assert_int_equal(b->d->calls[TEST_STOP], 1);
	assert_int_equal(b->c->bus.device->offs, 1);
}

static void the_bus_has_the_last_word(void **state)
{
	struct hba_bus_device *bus;
	struct bench b;

	(void)state;
	bus = bench_up_to_the_bus(&b, 0, -EIO);
	die(&b);
	assert_false(bus->master);
	assert_int_equal(bus->resets, 0);
	rungs_were(&b, "0123456");
	assert_int_equal(b.io.last.outcome, HBA_TASK_TIMEOUT);
	assert_int_equal(b.io.last.memory_lost, 0);
	test_down(b.d, b.c);
	bus = bench_up_to_the_bus(&b, -EIO, 0);
	die(&b);
	assert_false(bus->master);
	assert_int_equal(bus->resets, 1);
	assert_int_equal(b.io.last.outcome, HBA_TASK_TIMEOUT);
	assert_int_equal(b.io.last.memory_lost, 0);
	test_down(b.d, b.c);
}

static void memory_that_nobody_gives_back_is_lost(void **state)
{
	struct hba_bus_device *bus;
	struct hba_mapping *m;
	struct hba_event e;
	struct bench b;
	uint8_t *memory;

	(void)state;
	bus = bench_up_to_the_bus(&b, -EIO, -EIO);
	assert_int_equal(hba_mapping_create(b.c, HBA_DEVICE_BOTH, DEAF_PAGE, 0, &m), 0);
	memory = hba_mapping_address(m);
	die(&b);
	assert_true(bus->master);
	assert_int_equal(b.io.last.outcome, HBA_NO_STATUS);
	assert_int_equal(b.io.last.memory_lost, 1);
	do
		assert_true(test_event(b.c, HBA_EVENT_STATE, &e));
	while (e.value != HBA_DEAD);
	assert_string_equal(e.text, "test:: driver test failed to stop; its DMA memory is "
				    "quarantined, because the device may still write to it");
	assert_true(test_event(b.c, HBA_EVENT_RECOVERY, &e));
	assert_string_equal(e.text, "stop: TEST UNIT READY of 0:0 was given up with its memory "
				    "after 0 ms; recovery took 0 ms");
	/* It is as if the device still wrote: what its client lets go of is nobody else's. */
	assert_int_equal(hba_mapping_release(m), 0);
	memset(memory, 0x5a, DEAF_PAGE);
	bus->master_off = 0; /* by the time of close it does: all may be freed */
	test_down(b.d, b.c);
}

static void block_locks_are_told(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b);
	b.d->tmf[HBA_ABORT_TASK] = TEST_CLAIMS;
	recover(&b);
	test_violation(
		b.c,
		"driver test, manage: hba_tmf_complete with a complete function, of whose tasks "
		"1 have not been "
		"completed");
	test_no_violation(b.c);
	test_down(b.d, b.c);
}

/*
 * Nobody answers the abort: its frame stays with the driver, so the next rung is one that needs
 * none.
 */
static void abort_unanswered(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b);
	b.d->tmf[HBA_ABORT_TASK] = TEST_SILENT;
	b.d->bus_reset = TEST_REJECTS;
	expire(&b);
	test_turns(b.c, 3);
	test_advance(b.d, RUNG - 1);
	test_turns(b.c, 3);
	assert_int_equal(b.d->calls[TEST_RESET], 0);
	test_advance(b.d, 1);
	until_back(&b);
	rungs_were(&b, "0145");
	/* The reset has brought the frame back, too. */
	assert_int_equal(b.c->queues[0]->with_driver, 0);
	recover_again(&b);
	test_no_violation(b.c);
	test_down(b.d, b.c);
}

struct request {
	struct hba_management m;
	unsigned done;
	enum hba_service_response response;
};

static void answered(struct hba_management *m, enum hba_service_response response)
{
	struct request *r = container_of(m, struct request, m);

	r->done++;
	r->response = response;
}

/*
 * A client has the unit that is well reset, and nobody answers: the only frame is out when a task's
 * time is over.
 */
static void expire_behind(struct bench *b, struct request *r)
{
	send(b->victim, &b->io, TIMEOUT);
	b->d->tmf[HBA_LOGICAL_UNIT_RESET] = TEST_SILENT;
	*r = (struct request) {
		.m = { .function = HBA_LOGICAL_UNIT_RESET, .lun = b->other, .done = answered }
	};
	assert_int_equal(hba_manage(&r->m), 0);
	test_turns(b->c, 2);
	assert_non_null(b->d->silent_tmf);
	test_advance(b->d, TIMEOUT + 1);
	test_turns(b->c, 5);
	assert_int_equal(b->io.done, 0);
}

/* The loop has not run for long: the function's time has not passed meanwhile. */
static void a_clients_function_after_a_pause(void **state)
{
	struct request r = { 0 };
	struct bench b;

	(void)state;
	bench_up(&b);
	b.d->tmf[HBA_LOGICAL_UNIT_RESET] = TEST_SILENT;
	r.m = (struct hba_management) { .function = HBA_LOGICAL_UNIT_RESET,
					.lun = b.other,
					.done = answered };
	test_advance(b.d, 3600 * 1000);
	assert_int_equal(hba_manage(&r.m), 0);
	test_turns(b.c, 3);
	test_advance(b.d, RUNG - 1);
	test_turns(b.c, 3);
	assert_int_equal(r.done, 0);
	AS_DRIVER(b.c, hba_tmf_complete(b.d->silent_tmf, HBA_FUNCTION_COMPLETE));
	test_turns(b.c, 2);
	assert_int_equal(r.done, 1);
	assert_int_equal(r.response, HBA_FUNCTION_COMPLETE);
	test_down(b.d, b.c);
}

/* No reason to reset the bus. */
static void a_clients_function_is_waited_for(void **state)
{
	struct request client;
	struct bench b;

	(void)state;
	bench_up(&b);
	expire_behind(&b, &client);
	AS_DRIVER(b.c, hba_tmf_complete(b.d->silent_tmf, HBA_FUNCTION_COMPLETE));
	until_back(&b);
	assert_int_equal(client.done, 1);
	assert_int_equal(client.response, HBA_FUNCTION_COMPLETE);
	rungs_were(&b, "01");
	test_no_violation(b.c);
	test_down(b.d, b.c);
}

/* It has no end: its frame is lost with it, and recovery goes on to a rung that needs none. */
static void a_clients_function_that_never_ends(void **state)
{
	struct request client;
	struct bench b;

	(void)state;
	bench_up(&b);
	b.d->bus_reset = TEST_WORKS;
	expire_behind(&b, &client);
	test_advance(b.d, RUNG);
	until_back(&b);
	assert_int_equal(client.done, 1);
	assert_int_equal(client.response, HBA_DELIVERY_FAILURE);
	rungs_were(&b, "014");
	test_down(b.d, b.c);
}

static void no_functions(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b);
	b.d->tmf[HBA_ABORT_TASK] = TEST_WORKS;
	b.c->report.tmfs = HBA_TMF_BIT(HBA_TARGET_RESET);
	recover(&b);
	assert_int_equal(b.d->n_functions, 1);
	assert_int_equal(b.d->functions[0], HBA_TARGET_RESET);
	test_down(b.d, b.c);
}

/*
 * The victim ends at once, the answer to its abort comes later: nothing new goes to the unit until
 * then.
 */
static void answer_comes_late(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b);
	b.d->tmf[HBA_ABORT_TASK] = TEST_SILENT;
	expire(&b);
	test_turns(b.c, 2);
	b.d->release = 1;
	ends(&b, &b.io, 1, HBA_TASK_TIMEOUT);
	b.d->process = NULL;
	send(b.victim, &b.others, TIMEOUT);
	test_turns(b.c, 5);
	assert_int_equal(b.others.done, 0);
	AS_DRIVER(b.c, hba_tmf_complete(b.d->silent_tmf, HBA_FUNCTION_COMPLETE));
	test_wait(b.c, &b.others, 1);
	rungs_were(&b, "01");
	/* And the next abort has its frame. */
	recover_again(&b);
	test_down(b.d, b.c);
}

/* ---- meanwhile */

static void others_go_on(void **state)
{
	struct bench b;
	struct test_io same = { .put = true };

	(void)state;
	bench_up(&b);
	b.d->tmf[HBA_ABORT_TASK] = TEST_SILENT;
	expire(&b);
	test_turns(b.c, 2);
	send(b.victim, &same, TIMEOUT);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(test_ready(b.other), HBA_GOOD);
	assert_int_equal(b.d->n_held, 1); /* the unit that is in trouble gets nothing new */
	b.d->release = 1;
	AS_DRIVER(b.c, hba_tmf_complete(b.d->silent_tmf, HBA_FUNCTION_COMPLETE));
	until_back(&b);
	test_turns(b.c, 2);
	b.d->release = 1;
	ends(&b, &same, 1, HBA_GOOD);
	test_down(b.d, b.c);
}

static void controller_reset_ends_all(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b);
	b.d->table.manage = NULL;
	b.c->table.manage = NULL;
	b.d->bus_reset = TEST_REJECTS;
	expire(&b);
	b.d->hold = true;
	send(b.other, &b.others, 0);
	until_back(&b);
	ends(&b, &b.others, 1, HBA_NOT_DELIVERED);
	assert_int_equal(b.others.last.sent, HBA_SENT_MAYBE);
	test_down(b.d, b.c);
}

/* A task that is sent after the reset is none of those that the reset has ended. */
static void sent_after_the_reset(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b);
	b.c->table.manage = NULL;
	b.d->bus_reset = TEST_REJECTS;
	expire(&b);
	/* Until the controller reset has run, but the loop has not heard of it. */
	for (unsigned i = 0; i < MANY_TURNS && hba_controller_state(b.c) != HBA_RESETTING; i++) {
		test_turns(b.c, 1);
		usleep(10);
	}
	for (unsigned i = 0;
	     i < MANY_TURNS && !__atomic_load_n(&b.c->worker.has_over, __ATOMIC_SEQ_CST); i++)
		usleep(10);
	b.d->hold = true;
	send(b.other, &b.others, 0);
	until_back(&b);
	b.d->release = 1;
	ends(&b, &b.others, 1, HBA_GOOD);
	test_no_violation(b.c);
	test_down(b.d, b.c);
}

static void again(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct test_io *io = arg;

	test_done(t, r, io);
	if (io->done == 1)
		assert_int_equal(hba_submit(t, again, io), 0);
	else
		hba_task_put(t);
}

/* What timed out once is not marked for life. */
static void sent_again_from_done(void **state)
{
	struct bench b;
	struct hba_task *t;

	(void)state;
	bench_up(&b);
	t = test_get(b.victim);
	test_fill_ready(t);
	t->timeout_ms = TIMEOUT;
	assert_int_equal(hba_submit(t, again, &b.io), 0);
	b.io.put = false;
	test_turns(b.c, 2);
	test_advance(b.d, TIMEOUT + 1);
	ends(&b, &b.io, 1, HBA_TASK_TIMEOUT);
	b.d->release = 1;
	ends(&b, &b.io, 2, HBA_GOOD);
	test_down(b.d, b.c);
}

/* Several at once: one after another, each with its own abort. */
static void several(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b);
	for (unsigned i = 0; i < 5; i++)
		send(b.victim, &b.io, TIMEOUT);
	test_turns(b.c, 2);
	test_advance(b.d, TIMEOUT + 1);
	test_wait(b.c, &b.io, 5);
	test_turns(b.c, 3);
	assert_int_equal(b.d->n_functions, 5);
	assert_int_equal(b.d->calls[TEST_RESET], 0);
	rungs_were(&b, "0101010101");
	test_down(b.d, b.c);
}

/* ---- the time that a task has by default */

static uint32_t time_by_default(struct hba_lun *lun)
{
	struct hba_task *t = test_get(lun);
	uint32_t ms = t->timeout_ms;

	hba_task_put(t);
	return ms;
}

static void set_ms(struct bench *b, struct hba_target *tgt, const char *key, uint64_t ms)
{
	struct hba_property p = { .key = key, .type = HBA_NUMBER, .value.number = ms };

	AS_DRIVER(b->c, assert_int_equal(hba_set_property(b->c, tgt, &p), 0));
}

static void the_driver_says_how_long_a_command_may_take(void **state)
{
	struct hba_target *tgt;
	struct bench b;

	(void)state;
	bench_up(&b);
	tgt = target_find(b.c, 0);
	assert_int_equal(time_by_default(b.victim), 30000);
	set_ms(&b, NULL, "Read Time Out Duration", 7000); /* a personality's: for all targets */
	assert_int_equal(time_by_default(b.victim), 7000);
	set_ms(&b, tgt, "Write Time Out Duration", 9000);
	assert_int_equal(time_by_default(b.victim), 9000); /* the longer of the two */
	set_ms(&b, tgt, "Read Time Out Duration", 11000);
	assert_int_equal(time_by_default(b.victim), 11000);
	assert_int_equal(time_by_default(b.other), 11000);
	hba_remove_property(b.c, tgt, "Read Time Out Duration");
	hba_remove_property(b.c, tgt, "Write Time Out Duration");
	assert_int_equal(time_by_default(b.other), 7000);
	/* A unit that comes later has the same. */
	set_ms(&b, tgt, "Write Time Out Duration", TIMEOUT);
	assert_int_equal(lun_add(tgt, &(struct hba_lun_id) { { 0, 5 } })->timeout_ms, 7000);
	set_ms(&b, NULL, "Read Time Out Duration", TIMEOUT / 2);
	/* And it counts: the ladder begins when it is over. */
	test_fill_ready(b.io.task = test_get(b.victim));
	assert_int_equal(hba_submit(b.io.task, test_done, &b.io), 0);
	test_turns(b.c, 2);
	test_advance(b.d, TIMEOUT);
	test_turns(b.c, 2);
	assert_int_equal(b.d->n_functions, 0);
	test_advance(b.d, 1);
	until_back(&b);
	assert_int_equal(b.d->n_functions, 1);
	test_down(b.d, b.c);
}

/* The scan's commands, too. */
static void the_application_has_the_last_word_on_time(void **state)
{
	const struct hba_options options = { .size = sizeof(options), .timeout_ms = 2500 };
	struct hba_event e;
	struct bench b = { .d = test_driver_new() };

	(void)state;
	b.c = test_open(b.d, &options);
	assert_int_equal(hba_controller_start(b.c), 0);
	set_ms(&b, NULL, "Read Time Out Duration", 7000);
	set_ms(&b, target_find(b.c, 0), "Write Time Out Duration", 9000);
	b.victim = hba_lun_find(b.c, 0, 0);
	assert_int_equal(time_by_default(b.victim), 2500);
	b.d->process = hold_unit_0;
	assert_int_equal(hba_controller_rescan(b.c), 0);
	for (unsigned i = 0; i < MANY_TURNS && !b.d->n_held; i++) {
		test_turns(b.c, 1);
		usleep(10);
	}
	test_turns(b.c, 2);
	test_advance(b.d, 2501);
	for (unsigned i = 0; i < MANY_TURNS && !b.d->n_functions; i++)
		test_turns(b.c, 1);
	assert_true(test_event(b.c, HBA_EVENT_RECOVERY, &e));
	assert_string_equal(e.text, "INQUIRY of 0:0 (unique id 3) did not come back within 2.5 s; "
				    "abort task is next, and has 10 s");
	b.d->process = NULL;
	test_down(b.d, b.c);
}

/* A program that was built before there was such a thing has no such bytes. */
static void older_options_have_no_times(void **state)
{
	struct {
		unsigned char older[offsetof(struct hba_options, timeout_ms)];
		uint64_t behind[2];
	} options = { .behind = { 1, 1 } };
	struct bench b = { .d = test_driver_new() };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		((struct hba_options *)(void *)&options)->size = i ? sizeof(options.older) : 0;
		b.c = test_open(b.d, (struct hba_options *)(void *)&options);
		assert_int_equal(b.c->given.timeout_ms, 0);
		assert_int_equal(b.c->given.slow_ms, 0);
		hba_controller_close(b.c);
	}
	test_driver_free(b.d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_driver_says_how_long_a_command_may_take),
		cmocka_unit_test(the_application_has_the_last_word_on_time),
		cmocka_unit_test(older_options_have_no_times),
		cmocka_unit_test(not_if_poll_finds_it),
		cmocka_unit_test(not_if_poll_had_no_time),
		cmocka_unit_test(not_if_stopped_while_it_was_sent),
		cmocka_unit_test(not_if_stopped_before_it_was_sent),
		cmocka_unit_test(time_asleep_counts),
		cmocka_unit_test(no_timeout),
		cmocka_unit_test(begins_when_sent),
		cmocka_unit_test(abort_works),
		cmocka_unit_test(every_rung),
		cmocka_unit_test(a_reset_that_returns_a_count),
		cmocka_unit_test(the_bus_has_the_last_word),
		cmocka_unit_test(memory_that_nobody_gives_back_is_lost),
		cmocka_unit_test(block_locks_are_told),
		cmocka_unit_test(abort_unanswered),
		cmocka_unit_test(a_clients_function_after_a_pause),
		cmocka_unit_test(a_clients_function_is_waited_for),
		cmocka_unit_test(a_clients_function_that_never_ends),
		cmocka_unit_test(no_functions),
		cmocka_unit_test(answer_comes_late),
		cmocka_unit_test(others_go_on),
		cmocka_unit_test(controller_reset_ends_all),
		cmocka_unit_test(sent_after_the_reset),
		cmocka_unit_test(sent_again_from_done),
		cmocka_unit_test(several),
	};

	return cmocka_run_group_tests_name("core: timeout", tests, NULL, NULL);
}
