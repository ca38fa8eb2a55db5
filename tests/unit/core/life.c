/* SPDX-License-Identifier: MIT */
/* lifecycle.c: from open to close, in every order that somebody might try. */
#include "core/controller/controller.h"

#include "lib/deaf-bus.h"
#include "lib/test-driver.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* ---- the table of transitions */

static const char *const allowed[] = {
	/* to:  created, initialised, mapped, started, paused, resetting, stopped, gone, dead */
	[HBA_CREATED] = ".I......D", [HBA_INITIALISED] = "C.M....GD", [HBA_MAPPED] = "C..S...GD",
	[HBA_STARTED] = "C...PROGD", [HBA_PAUSED] = "...S.ROGD",      [HBA_RESETTING] = "...S..OGD",
	[HBA_STOPPED] = ".........", [HBA_GONE] = ".........",        [HBA_DEAD] = ".........",
};

static void transitions(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_open(d, NULL);
	struct hba_event e;

	(void)state;
	for (unsigned from = 0; from <= HBA_DEAD; from++) {
		for (unsigned to = 0; to <= HBA_DEAD; to++) {
			c->state = (enum hba_state)from;
			if (allowed[from][to] == '.') {
				assert_int_equal(controller_move(c, (enum hba_state)to), -EBUSY);
				assert_int_equal(c->state, from);
				assert_false(test_event(c, HBA_EVENT_STATE, &e));
				continue;
			}
			assert_int_equal(controller_move(c, (enum hba_state)to), 0);
			assert_int_equal(hba_controller_state(c), to);
			assert_true(test_event(c, HBA_EVENT_STATE, &e));
			assert_int_equal(e.value, to);
		}
	}
	c->state = HBA_CREATED;
	test_down(d, c);
}

/* ---- the ordinary way */

static void states(void **state)
{
	static const enum hba_state way[] = { HBA_INITIALISED, HBA_MAPPED, HBA_STARTED,
					      HBA_STOPPED };
	static const char *const names[] = { "initialize", "map_hba_data", "start",
					     "scan",       "stop",         "close" };
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	const struct hba_step *steps;
	struct hba_event e;

	(void)state;
	assert_int_equal(hba_controller_stop(c), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(way); i++) {
		assert_true(test_event(c, HBA_EVENT_STATE, &e));
		assert_int_equal(e.value, way[i]);
	}
	assert_int_equal(hba_controller_steps(c, &steps), ARRAY_SIZE(names));
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		assert_string_equal(steps[i].name, names[i]);
		assert_int_equal(steps[i].error, 0);
	}
	assert_int_equal(hba_controller_run(c, 1), -ENODEV);
	assert_int_equal(hba_controller_stop(c), 0);
	assert_int_equal(d->calls[TEST_STOP], 1);
	test_down(d, c);
}

static void start_twice(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);

	(void)state;
	assert_int_equal(hba_controller_start(c), -EBUSY);
	assert_string_equal(hba_error(),
			    "test:: the controller is started; it starts once, open it anew");
	assert_int_equal(hba_controller_state(c), HBA_STARTED);
	assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
	assert_int_equal(hba_controller_stop(c), 0);
	assert_int_equal(hba_controller_start(c), -EBUSY);
	assert_string_equal(hba_error(),
			    "test:: the controller is stopped; it starts once, open it anew");
	test_down(d, c);
}

static void close_without_start(void **state)
{
	unsigned fds = test_fds();
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_open(d, NULL);

	(void)state;
	assert_int_equal(hba_controller_run(c, 1), -ENODEV);
	assert_int_equal(hba_controller_stop(c), 0);
	assert_int_equal(d->calls[TEST_INITIALIZE] + d->calls[TEST_STOP], 0);
	test_down(d, c);
	assert_int_equal(test_fds(), fds);
	hba_controller_close(NULL);
}

static void close_without_stop(void **state)
{
	unsigned fds = test_fds();
	struct test_driver *d = test_driver_new();

	(void)state;
	test_down(d, test_up(d));
	assert_int_equal(test_fds(), fds);
}

/* ---- a table that cannot be */

static void refuse_table(struct test_driver *d, const char *sentence)
{
	struct controller_plan plan = { .driver = &d->table, .uri = "test:", .path = "" };
	struct hba_controller *c = NULL;
	unsigned fds = test_fds();

	assert_int_equal(controller_new(&plan, &c), -EPROTO);
	assert_null(c);
	assert_string_equal(hba_error(), sentence);
	assert_int_equal(test_fds(), fds);
	test_driver_free(d);
}

static void wrong_tables(void **state)
{
	struct test_driver *d = test_driver_new();

	(void)state;
	d->table.version = 2;
	refuse_table(d, "test:: the driver's table has version 2, and hbakit 0.1.0 has version "
			"1: build it with these headers");
	d = test_driver_new();
	d->table.process_task = NULL;
	refuse_table(d, "test:: the driver's table lacks name, initialize or process_task");
	d = test_driver_new();
	d->table.name = "Test Driver";
	refuse_table(d, "test:: a driver's name is made of a-z, 0-9 and -, not 'Test Driver'");
}

static void refuse_size(size_t size)
{
	struct test_driver *d = test_driver_new();
	char sentence[200];

	d->table.size = size;
	snprintf(
		sentence, sizeof(sentence),
		"test:: the size in the driver's table is %zu bytes, and may be %zu to 4096: begin "
		"it with HBA_DRIVER_HEADER",
		size, offsetof(struct hba_driver, kick));
	refuse_table(d, sentence);
}

/* The table is the test driver's, with room behind it for what a later version may add. */
static void tables_of_other_sizes(void **state)
{
	struct test_driver *d = test_driver_new();
	struct {
		struct hba_driver table;
		void (*later[2])(void);
	} newer = { .table = d->table };
	struct hba_driver taken = { .name = NULL };

	(void)state;
	refuse_size(0);
	refuse_size(offsetof(struct hba_driver, kick) - 1);
	refuse_size(4097);
	newer.table.size = sizeof(newer);
	assert_int_equal(driver_take(&newer.table, "newer", &taken), 0);
	assert_int_equal(taken.size, sizeof(taken));
	newer.later[1] = abort;
	assert_int_equal(driver_take(&newer.table, "newer", &taken), -EPROTO);
	assert_non_null(strstr(hba_error(), "newer: the driver's table uses more than"));
	newer.table.size = offsetof(struct hba_driver, stop);
	assert_int_equal(driver_take(&newer.table, "older", &taken), 0);
	assert_ptr_equal(taken.poll, newer.table.poll);
	assert_null(taken.stop);
	test_driver_free(d);
}

/* ---- stop with tasks about */

enum { PRIV_BYTES = 4096 };

static void count_dirty(struct test_driver *d, enum test_op op, struct hba_controller *c,
			struct hba_task *t)
{
	const uint8_t *priv = hba_controller_priv(c);

	(void)t;
	for (size_t i = 0; op == TEST_INITIALIZE && i < PRIV_BYTES; i++)
		*(unsigned *)d->of_test += priv[i] != 0;
}

static void driver_memory_is_zeroed(void **state)
{
	struct test_driver *d = test_driver_new();
	unsigned dirty = 0;

	(void)state;
	d->table.priv_size = PRIV_BYTES;
	d->of_test = &dirty;
	d->inside = count_dirty;
	struct hba_controller *c = test_up(d);

	assert_int_equal(dirty, 0);
	test_down(d, c);
}

static void each_done_once(void **state)
{
	enum { OUT = 3, QUEUED = 3, OWNED = 2 };
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	struct hba_lun *lun = hba_lun_find(c, 0, 0);
	struct test_io out[OUT] = { 0 }, queued[QUEUED] = { 0 };
	struct hba_task *owned[OWNED];
	struct hba_task *t;

	(void)state;
	d->hold = true;
	for (unsigned i = 0; i < OUT; i++) {
		t = test_get(lun);
		test_fill_ready(t);
		assert_int_equal(hba_submit(t, test_done, &out[i]), 0);
	}
	test_turns(c, 1);
	assert_int_equal(d->n_held, OUT);
	for (unsigned i = 0; i < QUEUED; i++) {
		t = test_get(lun);
		test_fill_ready(t);
		assert_int_equal(hba_submit(t, test_done, &queued[i]), 0);
	}
	for (unsigned i = 0; i < OWNED; i++)
		owned[i] = test_get(lun);
	d->tick = 100 * TEST_MS;
	assert_int_equal(hba_controller_stop(c), 0);
	for (unsigned i = 0; i < OUT; i++) {
		assert_int_equal(out[i].done, 1);
		assert_int_equal(out[i].last.outcome, HBA_NOT_DELIVERED);
		assert_int_equal(out[i].last.sent, HBA_SENT_MAYBE);
		assert_int_equal(out[i].last.memory_lost, 0);
	}
	for (unsigned i = 0; i < QUEUED; i++) {
		assert_int_equal(queued[i].done, 1);
		assert_int_equal(queued[i].last.outcome, HBA_NOT_DELIVERED);
		assert_int_equal(queued[i].last.sent, HBA_SENT_NO);
	}
	assert_int_equal(hba_submit(owned[0], test_done, &out[0]), -ENODEV);
	assert_int_equal(hba_task_get(lun, 0, NULL, &t), -ENODEV);
	test_down(d, c);
}

/* What comes back while it stops is delivered as it is. */
static void late_but_good(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	struct test_io io = { .put = true };
	struct hba_task *t = test_get(hba_lun_find(c, 0, 0));

	(void)state;
	d->hold = true;
	test_fill_ready(t);
	assert_int_equal(hba_submit(t, test_done, &io), 0);
	test_turns(c, 1);
	d->release = 1;
	assert_int_equal(hba_controller_stop(c), 0);
	assert_int_equal(io.done, 1);
	assert_int_equal(io.last.outcome, HBA_GOOD);
	test_down(d, c);
}

/* ---- events of a fault that comes again and again */

static void violations_say_how_many_there_were(void **state)
{
	enum { MANY = EVENT_RING + 10 };
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	struct hba_event e = { 0 };
	int64_t last = 0;

	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		violation(c, "number %u", i);
	/* Of those that the ring has lost, the next one tells the number. */
	while (test_event(c, HBA_EVENT_VIOLATION, &e))
		last = e.value;
	assert_int_equal(last, MANY);
	test_down(d, c);
}

static void device_errors_are_told_ever_less(void **state)
{
	enum { MANY = 1000 };
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	struct hba_event e = { 0 };

	(void)state;
	for (unsigned i = 1; i <= MANY; i++)
		hba_device_error(c, "it has %u heads", i);
	for (unsigned i = 1; i <= MANY; i *= 2) {
		char text[64];

		snprintf(text, sizeof(text), "error %u of the device: it has %u heads", i, i);
		assert_true(test_event(c, HBA_EVENT_DEVICE_ERROR, &e));
		assert_string_equal(e.text, text);
		assert_int_equal(e.value, i);
	}
	assert_int_equal(hba_event_next(c, &e), 0);
	test_down(d, c);
}

/* ---- events that nobody took */

static void lost_events_are_counted(void **state)
{
	enum { TOO_MANY = 5 };
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	struct hba_event e;

	(void)state;
	while (hba_event_next(c, &e))
		;
	for (unsigned i = 0; i < EVENT_RING + TOO_MANY; i++)
		event_put(c, HBA_EVENT_PORT, HBA_NO_TARGET, NULL, i, "number %u", i);
	assert_int_equal(hba_event_next(c, &e), 1);
	assert_int_equal(e.kind, HBA_EVENT_LOST);
	assert_int_equal(e.value, TOO_MANY);
	assert_string_equal(e.text, "5 events were lost before this one");
	for (unsigned i = TOO_MANY; i < EVENT_RING + TOO_MANY; i++) {
		assert_int_equal(hba_event_next(c, &e), 1);
		assert_int_equal(e.kind, HBA_EVENT_PORT);
		assert_int_equal(e.value, i);
	}
	assert_int_equal(hba_event_next(c, &e), 0);
	event_put(c, HBA_EVENT_BUS_RESET, HBA_NO_TARGET, NULL, 0, "told once only");
	assert_int_equal(hba_event_next(c, &e), 1);
	assert_int_equal(e.kind, HBA_EVENT_BUS_RESET);
	test_down(d, c);
}

/* ---- a bus that does not confirm that DMA has ended */

struct at_stop {
	struct test_driver *d;
	struct hba_controller *c;
	struct hba_mapping *m;
	struct test_io out, queued;
};

static void submit_read(struct at_stop *s, struct test_io *io)
{
	struct hba_task *t = test_get(hba_lun_find(s->c, 0, 0));

	test_fill_rw(t, false, 0, 1, hba_mapping_address(s->m));
	assert_int_equal(hba_submit(t, test_done, io), 0);
}

/* One task is with the device, one is not sent yet. */
static void up_with_two(struct at_stop *s, const struct hba_bus *bus)
{
	*s = (struct at_stop) { .d = test_driver_new() };
	s->d->bus = bus;
	s->c = test_up(s->d);
	assert_int_equal(hba_mapping_create(s->c, HBA_DEVICE_BOTH, DEAF_PAGE, 0, &s->m), 0);
	s->d->hold = true;
	submit_read(s, &s->out);
	test_turns(s->c, 1);
	assert_int_equal(s->d->n_held, 1);
	submit_read(s, &s->queued);
}

/* Neither of the bus's two ways may stop the device. Returns what stop does. */
static int stop_deaf(struct at_stop *s, int master_off, int reset)
{
	up_with_two(s, &deaf_bus);
	s->c->bus.device->master_off = master_off;
	s->c->bus.device->reset = reset;
	s->d->tick = 100 * TEST_MS;
	return hba_controller_stop(s->c);
}

static void assert_ended(const struct test_io *io, enum hba_outcome outcome, enum hba_sent sent,
			 unsigned memory_lost)
{
	assert_int_equal(io->done, 1);
	assert_int_equal(io->last.outcome, outcome);
	assert_int_equal(io->last.sent, sent);
	assert_int_equal(io->last.memory_lost, memory_lost);
}

static void memory_that_is_lost_is_told(void **state)
{
	static struct memory kept; /* so that a leak on purpose is not taken for another */
	struct hba_bus_device *device;
	struct at_stop s;
	uint32_t region;
	uint8_t *memory;

	(void)state;
	assert_int_equal(stop_deaf(&s, -EIO, -EIO), -EIO);
	assert_string_equal(hba_error(), "test:: driver test failed to stop; its DMA memory is "
					 "quarantined, because the device may still write to it");
	assert_ended(&s.out, HBA_NO_STATUS, HBA_SENT_MAYBE, 1);
	assert_ended(&s.queued, HBA_NOT_DELIVERED, HBA_SENT_NO, 0);
	assert_int_equal(hba_controller_state(s.c), HBA_DEAD);
	device = s.c->bus.device;
	assert_int_equal(device->resets, 1);
	memory = hba_mapping_address(s.m);
	region = hba_mapping_region(s.m);
	kept = s.c->memory;
	test_down(s.d, s.c);
	/* The device may write here for ever, so it stays what it is. */
	assert_ptr_equal(memory_region(&kept, region), s.m);
	memset(memory, 0x5a, DEAF_PAGE);
	assert_int_equal(memory[DEAF_PAGE - 1], 0x5a);
	free(device); /* it was not closed either */
}

static void a_reset_confirms_as_well(void **state)
{
	struct at_stop s;

	(void)state;
	assert_int_equal(stop_deaf(&s, -EIO, 0), 0);
	assert_ended(&s.out, HBA_NOT_DELIVERED, HBA_SENT_MAYBE, 0);
	assert_ended(&s.queued, HBA_NOT_DELIVERED, HBA_SENT_NO, 0);
	assert_int_equal(hba_controller_state(s.c), HBA_STOPPED);
	test_down(s.d, s.c);
}

/* ---- a device that the bus has lost, which may write on until it is closed */

static sem_t closes, may_close;

static void close_when_told(struct hba_bus_device *b)
{
	sem_post(&closes);
	sem_wait(&may_close);
	deaf_bus.close(b);
}

/* Turns and turns, and what is out stays out. */
static void lose(struct at_stop *s)
{
	static struct hba_bus bus;

	bus = deaf_bus;
	bus.close = close_when_told;
	sem_init(&closes, 0, 0);
	sem_init(&may_close, 0, 0);
	up_with_two(s, &bus);
	__atomic_store_n(&s->c->bus.gone, true, __ATOMIC_SEQ_CST);
	while (sem_trywait(&closes) < 0)
		test_turns(s->c, 1);
	test_turns(s->c, 100);
	assert_int_equal(s->out.done + s->queued.done, 0);
	assert_int_equal(s->d->calls[TEST_STOP], 1);
}

static void what_is_lost_goes_home_when_it_is_closed(void **state)
{
	struct at_stop s;

	(void)state;
	lose(&s);
	sem_post(&may_close);
	while (hba_controller_run(s.c, 1) >= 0)
		usleep(10);
	assert_ended(&s.out, HBA_NOT_PRESENT, HBA_SENT_MAYBE, 0);
	assert_ended(&s.queued, HBA_NOT_PRESENT, HBA_SENT_MAYBE, 0);
	assert_int_equal(hba_controller_state(s.c), HBA_GONE);
	assert_int_equal(s.d->calls[TEST_STOP], 1);
	assert_int_equal(hba_mapping_release(s.m), 0);
	test_down(s.d, s.c);
	sem_destroy(&closes);
	sem_destroy(&may_close);
}

static void one_that_is_not_closed_keeps_its_memory(void **state)
{
	/* what an op that never came back may still use is leaked on purpose */
	static struct at_stop s;

	(void)state;
	lose(&s);
	s.d->tick = 1000 * TEST_MS;
	while (hba_controller_run(s.c, 1) >= 0)
		;
	assert_ended(&s.out, HBA_NO_STATUS, HBA_SENT_MAYBE, 1);
	assert_ended(&s.queued, HBA_NO_STATUS, HBA_SENT_MAYBE, 1);
	assert_int_equal(hba_controller_state(s.c), HBA_DEAD);
	assert_int_equal(hba_controller_stop(s.c), -EIO);
	hba_controller_close(s.c);
	memset(hba_mapping_address(s.m), 0x5a, DEAF_PAGE);
	sem_post(&may_close);
}

/* ---- an initialize that takes too long */

static void wait_for_ever(struct test_driver *d, enum test_op op, struct hba_controller *c,
			  struct hba_task *t)
{
	(void)t;
	if (op == TEST_INITIALIZE)
		d->fail[op].error = hba_wait(c, 3600 * 1000);
}

static void initialize_too_long(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_open(d, NULL);
	unsigned fds = test_fds();

	(void)state;
	d->tick = 1000 * TEST_MS;
	d->inside = wait_for_ever;
	d->fail[TEST_INITIALIZE].call = TEST_EVERY_CALL;
	assert_int_equal(hba_controller_start(c), -ETIMEDOUT);
	assert_string_equal(hba_error(),
			    "test:: driver test failed in initialize: Connection timed out");
	assert_memory_equal(d->order, "IO", 2); /* stop also after half an initialize */
	assert_int_equal(d->n_order, 2);
	assert_int_equal(test_fds(), fds);
	d->inside = NULL;
	d->tick = 0;
	memset(d->fail, 0, sizeof(d->fail));
	assert_int_equal(hba_controller_start(c), 0);
	test_down(d, c);
}

/* ---- a start whose scan never ends: everything that was under way is forgotten */

static void scan_never_ends(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_options options = { .start_ms = 30 * 1000 };
	struct hba_controller *c = test_open(d, &options);
	struct hba_event e;

	(void)state;
	d->hold = true;
	d->tick = 500 * TEST_MS;
	for (unsigned i = 0; i < 6; i++)
		d->tmf[i] = TEST_SILENT;
	d->bus_reset = TEST_REJECTS;
	d->controller_reset = -EIO;
	d->table.reset = NULL;
	assert_true(hba_controller_start(c) < 0);
	assert_true(test_event(c, HBA_EVENT_RECOVERY, &e));
	hba_controller_close(c);
	test_driver_free(d);
}

/*
 * The same, but it is the start's deadline that comes first, with recovery half-way; then the fault
 * is gone.
 */
static void start_after_half_a_recovery(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_options options = { .start_ms = 12 * 1000 };
	struct hba_controller *c = test_open(d, &options);

	(void)state;
	d->hold = true;
	d->tick = 50 * TEST_MS;
	d->tmf[HBA_ABORT_TASK] = TEST_SILENT;
	assert_int_equal(hba_controller_start(c), -ETIMEDOUT);
	assert_string_equal(hba_error(),
			    "test:: the start has not ended after 12000 ms; it is still scanning");
	assert_int_equal(d->n_functions, 1);
	assert_int_equal(hba_controller_state(c), HBA_CREATED);
	d->hold = false;
	d->tick = 0;
	assert_int_equal(hba_controller_start(c), 0);
	test_turns(c, 10);
	assert_int_equal(d->n_functions, 1);
	assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
	test_down(d, c);
}

/* ---- a start that takes too long, or is called off */

enum { DRIVER_WAITS_MS = 8000 };

/* Which op waits, and what it is told. */
struct waiting {
	enum test_op op;
	bool waits;
	int told, told_in_stop;
};

static void wait_inside(struct test_driver *d, enum test_op op, struct hba_controller *c,
			struct hba_task *t)
{
	struct waiting *w = d->of_test;

	(void)t;
	if (op == TEST_STOP)
		w->told_in_stop = hba_wait(c, 0);
	if (op == w->op)
		d->fail[op].error = w->told = w->waits ? hba_wait(c, DRIVER_WAITS_MS) : 0;
}

static struct hba_controller *waits_in(struct test_driver *d, struct waiting *w,
				       const struct hba_options *options)
{
	d->of_test = w;
	d->inside = wait_inside;
	d->fail[w->op].call = TEST_EVERY_CALL;
	return test_open(d, options);
}

static void ops_have_what_is_left_of_the_start(void **state)
{
	static const enum test_op ops[] = { TEST_INITIALIZE, TEST_MAP, TEST_START };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		struct waiting w = { .op = ops[i], .waits = true };
		struct test_driver *d = test_driver_new();
		struct hba_options options = { .start_ms = 300 };
		struct hba_controller *c = waits_in(d, &w, &options);
		uint64_t began = d->now;

		d->tick = TEST_MS;
		assert_int_equal(hba_controller_start(c), -ETIMEDOUT);
		assert_int_equal(w.told, -ETIMEDOUT);
		assert_int_equal(w.told_in_stop, 0);
		assert_true(d->now - began < 400 * TEST_MS);
		hba_controller_close(c);
		test_driver_free(d);
	}
}

static void *cancel_soon(void *c)
{
	nanosleep(&(struct timespec) { .tv_nsec = 20 * TEST_MS }, NULL);
	hba_controller_cancel(c);
	return NULL;
}

static void called_off(struct hba_controller *c)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, cancel_soon, c), 0);
	assert_int_equal(hba_controller_start(c), -ECANCELED);
	pthread_join(thread, NULL);
	assert_string_equal(hba_error(), "test:: the start was cancelled");
	assert_int_equal(hba_controller_state(c), HBA_CREATED);
}

/* Time stands still: nothing else could end these waits. */
static void cancelled_in_an_op(void **state)
{
	static const enum test_op ops[] = { TEST_INITIALIZE, TEST_START };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		struct waiting w = { .op = ops[i], .waits = true };
		struct test_driver *d = test_driver_new();
		struct hba_controller *c = waits_in(d, &w, NULL);

		called_off(c);
		assert_int_equal(w.told, -ECANCELED);
		assert_int_equal(w.told_in_stop, 0);
		w.waits = false;
		assert_int_equal(hba_controller_start(c), 0);
		assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
		test_down(d, c);
	}
}

/* On the way down, where what is held is waited for. */
static void time_goes_on(struct test_driver *d, enum test_op op, struct hba_controller *c,
			 struct hba_task *t)
{
	(void)t;
	if (op == TEST_POLL && !c->starting)
		d->tick = 50 * TEST_MS;
}

static void cancelled_in_the_scan(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_open(d, NULL);

	(void)state;
	d->hold = true;
	d->inside = time_goes_on;
	called_off(c);
	d->hold = false;
	d->inside = NULL;
	d->tick = 0;
	assert_int_equal(hba_controller_start(c), 0);
	assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
	test_down(d, c);
}

/* Once; and one that is up is not touched by it. */
static void cancelled_before(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_open(d, NULL);

	(void)state;
	hba_controller_cancel(c);
	assert_int_equal(hba_controller_start(c), -ECANCELED);
	assert_int_equal(d->calls[TEST_INITIALIZE], 0);
	assert_int_equal(hba_controller_start(c), 0);
	hba_controller_cancel(c);
	test_turns(c, 3);
	assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
	test_down(d, c);
}

/* ---- a watched descriptor that outlives a failed start */

static void watch(struct test_driver *d, enum test_op op, struct hba_controller *c,
		  struct hba_task *t)
{
	int *fd = d->of_test;

	(void)t;
	if (op == TEST_START)
		d->fail[op].error = hba_queue_watch(hba_controller_queue(c, 0), *fd, 1);
}

static void watch_again(void **state)
{
	struct test_driver *d = test_driver_new();
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct hba_options options = { .start_ms = 5 * 1000 };
	struct hba_controller *c = test_open(d, &options);

	(void)state;
	d->of_test = &fd;
	d->inside = watch;
	d->fail[TEST_START].call = TEST_EVERY_CALL;
	d->hold = true;
	d->tick = 50 * TEST_MS;
	assert_int_equal(hba_controller_start(c), -ETIMEDOUT);
	d->hold = false;
	d->tick = 0;
	if (hba_controller_start(c) < 0)
		fail_msg("the second start: %s", hba_error());
	test_down(d, c);
	close(fd);
}

/* ---- the fence */

enum { JOBS = 2000 };

struct fence {
	struct job jobs[JOBS];
	unsigned ran, ended;
	uint64_t shared; /* of hot and waiting ops, without a lock: a leaky fence is a data race */
	struct test_driver *d;
};

static int waiting_op(struct hba_controller *c, struct job *job)
{
	struct test_driver *d = (struct test_driver *)(uintptr_t)hba_controller_variant(c);
	struct fence *f = d->of_test;

	(void)job;
	__atomic_add_fetch(&d->waiting, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&d->hot, __ATOMIC_SEQ_CST))
		d->overlaps++;
	f->shared++;
	f->ran++;
	__atomic_sub_fetch(&d->waiting, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static void waiting_op_ended(struct hba_controller *c, struct job *job)
{
	struct test_driver *d = (struct test_driver *)(uintptr_t)hba_controller_variant(c);
	struct fence *f = d->of_test;

	(void)job;
	f->ended++;
}

static void share(struct test_driver *d, enum test_op op, struct hba_controller *c,
		  struct hba_task *t)
{
	struct fence *f = d->of_test;

	(void)op;
	(void)c;
	(void)t;
	f->shared++;
}

static void resubmit(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct test_io *io = arg;

	test_done(t, r, io);
	if (!io->put)
		assert_int_equal(hba_submit(t, resubmit, io), 0);
}

static void fence_holds(void **state)
{
	static struct fence f;
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	struct test_io io = { 0 };

	(void)state;
	f = (struct fence) { .d = d };
	d->of_test = &f;
	d->inside = share;
	for (unsigned i = 0; i < 4; i++) {
		struct hba_task *t = test_get(hba_lun_find(c, 0, 0));

		test_fill_ready(t);
		assert_int_equal(hba_submit(t, resubmit, &io), 0);
	}
	for (unsigned i = 0; i < JOBS; i++) {
		f.jobs[i] =
			(struct job) { .name = "job", .run = waiting_op, .done = waiting_op_ended };
		worker_post(c, &f.jobs[i]);
		test_turns(c, i % 7);
	}
	while (f.ended < JOBS)
		test_turns(c, 1);
	io.put = true;
	while (c->queues[0]->with_driver || c->queues[0]->ready.next != &c->queues[0]->ready)
		test_turns(c, 1);
	assert_int_equal(f.ran, JOBS);
	assert_int_equal(d->overlaps, 0);
	assert_true(io.done > 4);
	d->inside = NULL;
	test_down(d, c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(transitions),
		cmocka_unit_test(states),
		cmocka_unit_test(start_twice),
		cmocka_unit_test(close_without_start),
		cmocka_unit_test(close_without_stop),
		cmocka_unit_test(wrong_tables),
		cmocka_unit_test(tables_of_other_sizes),
		cmocka_unit_test(driver_memory_is_zeroed),
		cmocka_unit_test(each_done_once),
		cmocka_unit_test(late_but_good),
		cmocka_unit_test(violations_say_how_many_there_were),
		cmocka_unit_test(device_errors_are_told_ever_less),
		cmocka_unit_test(lost_events_are_counted),
		cmocka_unit_test(memory_that_is_lost_is_told),
		cmocka_unit_test(a_reset_confirms_as_well),
		cmocka_unit_test(what_is_lost_goes_home_when_it_is_closed),
		cmocka_unit_test(one_that_is_not_closed_keeps_its_memory),
		cmocka_unit_test(initialize_too_long),
		cmocka_unit_test(scan_never_ends),
		cmocka_unit_test(start_after_half_a_recovery),
		cmocka_unit_test(ops_have_what_is_left_of_the_start),
		cmocka_unit_test(cancelled_in_an_op),
		cmocka_unit_test(cancelled_in_the_scan),
		cmocka_unit_test(cancelled_before),
		cmocka_unit_test(watch_again),
		cmocka_unit_test(fence_holds),
	};

	return cmocka_run_group_tests_name("core: life", tests, NULL, NULL);
}
