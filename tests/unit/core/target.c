/* SPDX-License-Identifier: MIT */
/*
 * target.c: targets on a driver's word: they come, leave and are cut off, said from any op, and
 * whatever is under way there.
 */
#include "rig.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { REPORT_LUNS_OP = 0xa0, MANY_TURNS = 100000, TIMEOUT = 1000, DISCOVER_S = 30 };

/* What the driver says of its bus, and what it was told. One test at a time. */
static struct {
	unsigned how;      /* a target report is wrong */
	enum test_op from; /* the op that says it; TEST_OPS: none */
	int (*say)(struct hba_controller *c);
	int said;             /* what it returned */
	unsigned initialised; /* initialize_target calls after the start */
	unsigned released;
	unsigned sent_to_nobody; /* process_task for a target that is not initialised */
	uint64_t alive;          /* bits: initialised and not released */
	uint64_t firmware;       /* bits: targets that discover names */
	bool silent;             /* discover never ends */
	int discover_error;
	unsigned discovers; /* calls of discover */
} bus;

static void say_in(enum test_op op, struct hba_controller *c)
{
	int (*say)(struct hba_controller * c) = bus.say;

	if (op != bus.from || !say)
		return;
	bus.say = NULL;
	bus.said = say(c);
}

static int initialize_target(struct hba_controller *c, struct hba_target *tgt,
			     struct hba_target_report *r)
{
	(void)r;
	bus.initialised++;
	bus.alive |= UINT64_C(1) << hba_target_id(tgt);
	say_in(TEST_INITIALIZE_TARGET, c);
	return 0;
}

static void release_target(struct hba_controller *c, struct hba_target *tgt)
{
	(void)c;
	__atomic_add_fetch(&bus.released, 1, __ATOMIC_RELEASE);
	bus.alive &= ~(UINT64_C(1) << hba_target_id(tgt));
}

static int discover(struct hba_controller *c)
{
	for (unsigned id = 0; id < TEST_TARGETS; id++)
		if (bus.firmware >> id & 1)
			hba_target_create(c, id, NULL);
	__atomic_add_fetch(&bus.discovers, 1, __ATOMIC_RELEASE);
	if (!bus.silent && !bus.discover_error)
		hba_discovery_done(c);
	return bus.discover_error;
}

static void inside(struct test_driver *d, enum test_op op, struct hba_controller *c,
		   struct hba_task *t)
{
	(void)d;
	if (op == TEST_PROCESS && !(bus.alive >> t->target & 1))
		bus.sent_to_nobody++;
	say_in(op, c);
}

static void managed(struct hba_report *r)
{
	r->manages_devices = 1;
}

static void init(struct rig *r)
{
	memset(&bus, 0, sizeof(bus));
	rig_init(r);
	r->d->inside = inside;
	r->d->table.initialize_target = initialize_target;
	r->d->table.release_target = release_target;
	r->d->table.discover = discover;
}

static void up(struct rig *r)
{
	init(r);
	rig_up(r);
	rig_until_scanned(r);
	bus.initialised = bus.released = 0;
}

static void init_managed(struct rig *r, uint64_t firmware)
{
	init(r);
	r->report = managed;
	bus.firmware = firmware;
	for (unsigned i = 0; i < TEST_TARGETS; i++)
		r->d->targets[i].luns = 1;
}

static void up_managed(struct rig *r, uint64_t firmware)
{
	init_managed(r, firmware);
	rig_up(r);
	rig_until_scanned(r);
	bus.initialised = bus.released = 0;
}

static void down(struct rig *r)
{
	assert_int_equal(bus.sent_to_nobody, 0);
	rig_down(r);
}

static bool present(struct rig *r, uint64_t target)
{
	struct hba_lun *lun = hba_lun_find(r->c, target, 0);
	struct hba_lun_info info = { 0 };

	if (lun)
		hba_lun_get_info(lun, &info);
	return info.present;
}

static int create_2(struct hba_controller *c)
{
	return hba_target_create(c, 2, NULL);
}

static int destroy_0(struct hba_controller *c)
{
	return hba_target_destroy(c, 0);
}

static void say_now(struct rig *r, int (*say)(struct hba_controller *c))
{
	assert_true(say(r->c) >= 0);
	rig_until_scanned(r);
}

static const enum test_op hot[] = { TEST_PROCESS, TEST_KICK, TEST_POLL };

static void is_created(struct rig *r)
{
	rig_until_scanned(r);
	assert_null(bus.say);
	assert_int_equal(bus.said, 0);
	assert_true(present(r, 2));
	assert_false(present(r, 1));
	assert_int_equal(test_ready(hba_lun_find(r->c, 2, 0)), HBA_GOOD);
	assert_int_equal(hba_target_create(r->c, 2, NULL), 1);
	down(r);
}

static void create_from_any_op(void **state)
{
	struct rig r;

	(void)state;
	/*
	 * Its firmware names target 0 alone and no scan looks anywhere else: who else is there is
	 * there by this word.
	 */
	for (size_t i = 0; i < ARRAY_SIZE(hot); i++) {
		up_managed(&r, 1 << 0);
		assert_null(hba_lun_find(r.c, 2, 0));
		bus.from = hot[i];
		bus.say = create_2;
		(void)test_ready(hba_lun_find(r.c, 0, 0));
		is_created(&r);
	}
	/*
	 * Waiting ops: start, before there is a scan; and initialize_target, in the middle of one.
	 */
	init_managed(&r, 1 << 0);
	bus.from = TEST_START;
	bus.say = create_2;
	rig_up(&r);
	is_created(&r);
	init_managed(&r, 1 << 0);
	bus.from = TEST_INITIALIZE_TARGET;
	bus.say = create_2;
	rig_up(&r);
	is_created(&r);
}

static void destroy_from_any_op(void **state)
{
	struct hba_event e;
	struct rig r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(hot); i++) {
		up(&r);
		assert_true(test_event(r.c, HBA_EVENT_TARGET_CAME, &e));
		bus.from = hot[i];
		bus.say = destroy_0;
		(void)test_ready(hba_lun_find(r.c, 0, 0));
		rig_until_scanned(&r);
		rig_until_scanned(&r);
		assert_int_equal(bus.said, 0);
		assert_false(present(&r, 0));
		assert_int_equal(bus.released, 1);
		assert_true(test_event(r.c, HBA_EVENT_TARGET_LEFT, &e));
		assert_int_equal(e.target, 0);
		assert_int_equal(hba_target_destroy(r.c, 0), -ENOENT);
		down(&r);
	}
}

static void impossible_ids_are_refused(void **state)
{
	struct hba_property wrong[] = {
		{ .key = "SAS Address", .type = HBA_BYTES, .value.bytes = "x", .length = 1 }, { 0 }
	};
	struct rig r;

	(void)state;
	up(&r);
	assert_int_equal(hba_target_create(r.c, 7, NULL), -EINVAL);
	test_violation(r.c, "driver test, outside any op: hba_target_create of 7, which is the "
			    "initiator's own id");
	assert_int_equal(hba_target_create(r.c, TEST_TARGETS, NULL), -EINVAL);
	test_violation(r.c, "driver test, outside any op: hba_target_create of 4, above the "
			    "highest target id 3");
	assert_int_equal(hba_target_create(r.c, UINT64_MAX, NULL), -EINVAL);
	assert_int_equal(hba_target_create(r.c, 0, wrong), -EINVAL);
	assert_int_equal(hba_target_destroy(r.c, 3), -ENOENT);
	assert_int_equal(hba_target_block(r.c, 3, true), -ENOENT);
	assert_int_equal(hba_target_create(r.c, 0, NULL), 1);
	down(&r);
}

static void initialize_target_comes_before_any_command(void **state)
{
	struct rig r;

	(void)state;
	init(&r);
	r.d->targets[2].luns = 1;
	rig_up(&r);
	rig_until_scanned(&r);
	assert_int_equal(bus.initialised, TEST_TARGETS);
	assert_int_equal(bus.released, 2); /* where nobody answered */
	assert_int_equal(bus.alive, 1 << 0 | 1 << 2);
	down(&r); /* and nothing was sent to anybody else */
}

static void present_is_found(void **state)
{
	struct rig r;

	(void)state;
	up(&r);
	assert_non_null(hba_target_find(r.c, 0));
	assert_int_equal(hba_target_id(hba_target_find(r.c, 0)), 0);
	assert_null(hba_target_find(r.c, 1));
	assert_null(hba_target_find(r.c, UINT64_MAX));
	say_now(&r, destroy_0);
	rig_until_scanned(&r);
	assert_null(hba_target_find(r.c, 0));
	down(&r);
}

static int widen(struct hba_controller *c, struct hba_target *tgt, struct hba_target_report *r)
{
	(void)c;
	(void)tgt;
	switch (bus.how) {
	default:
		return 0;
	case 1:
		r->depth++;
		break;
	case 2:
		r->highest_lun++;
		break;
	case 3:
		r->features |= 0x1f;
		break;
	case 4:
		r->depth = 0;
		break;
	case 5:
		r->performs_autosense = 0; /* less: fine */
		r->depth = 3;
		break;
	case 6:
		r->size = 1;
		break;
	case 7:
		r->multipath = 1;
		break;
	}
	return 0;
}

static void target_report_only_narrows(void **state)
{
	struct hba_event e;
	struct rig r;

	(void)state;
	for (unsigned how = 0; how <= 7; how++) {
		bool narrows = how == 0 || how == 5;

		init(&r);
		r.d->table.initialize_target = widen;
		bus.how = how;
		r.d->inside = NULL;
		rig_up(&r);
		assert_int_equal(present(&r, 0), narrows);
		assert_int_equal(test_event(r.c, HBA_EVENT_VIOLATION, &e), !narrows);
		if (how == 5)
			assert_int_equal(hba_lun_find(r.c, 0, 0)->depth, 3);
		rig_down(&r);
	}
}

/* ---- destroyed with tasks about */

static struct hba_task *send(struct hba_lun *lun, struct test_io *io)
{
	struct hba_task *t = test_get(lun);

	test_fill_ready(t);
	t->timeout_ms = TIMEOUT;
	assert_int_equal(hba_submit(t, test_done, io), 0);
	return t;
}

static void shallow(struct hba_report *r)
{
	r->depth = 3;
}

/* Which waits for room, unless the unit's limit was overlooked. */
static void until_the_scan_asks(struct rig *r)
{
	const struct hba_queue *q = hba_controller_queue(r->c, 0);

	for (unsigned i = 0; i < MANY_TURNS && !q->urgent.head && r->d->n_held == 3; i++) {
		test_turns(r->c, 1);
		usleep(10);
	}
	assert_non_null(q->urgent.head);
}

static void until_held(struct rig *r, unsigned n)
{
	for (unsigned i = 0; i < MANY_TURNS && r->d->n_held < n; i++) {
		test_turns(r->c, 1);
		usleep(10);
	}
	assert_int_equal(r->d->n_held, n);
}

/* The scan's own commands count: a device that takes three does not ask whose they are. */
static void depth_is_for_all_together(void **state)
{
	(void)state;
	for (unsigned of_target = 0; of_target < 2; of_target++) {
		struct test_io io = { .put = true };
		struct rig r;

		init(&r);
		r.report = of_target ? NULL : shallow;
		r.d->table.initialize_target = of_target ? widen : NULL;
		bus.how = 5;
		rig_up(&r);
		assert_int_equal(hba_lun_find(r.c, 0, 0)->depth, 3);
		r.d->hold = true;
		for (unsigned i = 0; i < 3; i++)
			send(hba_lun_find(r.c, 0, 0), &io);
		until_held(&r, 3);
		hba_luns_changed(r.c, 0);
		until_the_scan_asks(&r);
		test_turns(r.c, 3);
		assert_int_equal(r.d->n_held, 3);
		r.d->hold = false;
		r.d->release = 3;
		test_wait(r.c, &io, 3);
		rig_until_scanned(&r);
		rig_down(&r);
	}
}

static void up_with_one_out(struct rig *r, struct test_io *io)
{
	up(r);
	r->d->hold = true;
	send(hba_lun_find(r->c, 0, 0), io);
	test_turns(r->c, 1);
}

/* By the scan after the one that was under way. */
static void released_once(struct rig *r)
{
	rig_until_scanned(r);
	rig_until_scanned(r);
	assert_int_equal(bus.released, 1);
}

static void destroy_ends_unsent_tasks_at_once(void **state)
{
	struct test_io out = { .put = true }, unsent = { .put = true };
	struct hba_lun *lun;
	struct hba_task *t;
	struct rig r;

	(void)state;
	up(&r);
	lun = hba_lun_find(r.c, 0, 0);
	r.d->hold = true;
	lun->limit = 2;
	send(lun, &out);
	t = send(lun, &out);
	send(lun, &unsent);
	send(lun, &unsent);
	test_turns(r.c, 1);
	assert_int_equal(r.d->n_held, 2);
	assert_int_equal(hba_target_destroy(r.c, 0), 0);
	test_turns(r.c, 2);
	assert_int_equal(unsent.done, 2);
	assert_int_equal(unsent.last.outcome, HBA_NOT_PRESENT);
	assert_int_equal(out.done, 0);
	usleep(1000);
	test_turns(r.c, 5);
	assert_int_equal(bus.released, 0);
	/* What the driver has it finds until it gives it back. */
	assert_ptr_equal(hba_task_by_id(hba_controller_queue(r.c, 0), t->unique_id), t);
	AS_DRIVER(r.c, hba_complete_good(r.d->held[0], 0));
	r.d->n_held = 0;
	test_wait(r.c, &out, 1);
	rig_until_scanned(&r);
	assert_int_equal(bus.released, 0);
	/* The other is one the target never got: it is not sent to where nobody is. */
	AS_DRIVER(r.c, hba_complete_failed(t, HBA_NOT_DELIVERED, HBA_SENT_NO));
	test_wait(r.c, &out, 2);
	assert_int_equal(out.last.outcome, HBA_NOT_PRESENT);
	released_once(&r);
	assert_int_equal(test_ready(lun), HBA_NOT_PRESENT);
	test_no_violation(r.c);
	down(&r);
}

static void what_is_handed_back_ends_too(void **state)
{
	struct test_io io = { .put = true };
	struct rig r;

	(void)state;
	up_with_one_out(&r, &io);
	assert_int_equal(hba_target_destroy(r.c, 0), 0);
	test_turns(r.c, 1);
	AS_DRIVER(r.c, hba_requeue(r.d->held[0], HBA_SCOPE_LUN));
	r.d->n_held = 0;
	test_wait(r.c, &io, 1);
	assert_int_equal(io.last.outcome, HBA_NOT_PRESENT);
	released_once(&r);
	down(&r);
}

/* It comes back before its last task has: first it goes, then it is initialised anew. */
static void created_again_while_leaving(void **state)
{
	struct test_io io = { .put = true };
	struct rig r;

	(void)state;
	up_with_one_out(&r, &io);
	assert_int_equal(hba_target_destroy(r.c, 0), 0);
	test_turns(r.c, 1);
	r.d->hold = false;
	assert_int_equal(hba_target_create(r.c, 0, NULL), 0);
	rig_until_scanned(&r);
	assert_int_equal(bus.released, 0);
	assert_int_equal(bus.initialised, 0);
	r.d->release = 1;
	test_wait(r.c, &io, 1);
	for (unsigned i = 0; i < MANY_TURNS && !present(&r, 0); i++) {
		test_turns(r.c, 1);
		usleep(10);
	}
	assert_int_equal(bus.released, 1);
	assert_int_equal(bus.initialised, 1);
	assert_int_equal(r.c->n_leaving, 0);
	assert_int_equal(test_ready(hba_lun_find(r.c, 0, 0)), HBA_GOOD);
	down(&r);
}

static int create_and_destroy_2(struct hba_controller *c)
{
	int r = hba_target_create(c, 2, NULL);

	return r < 0 ? r : hba_target_destroy(c, 2);
}

static void destroyed_before_it_came(void **state)
{
	struct rig r;

	(void)state;
	up(&r);
	r.d->targets[2].luns = 1;
	bus.from = TEST_PROCESS;
	bus.say = create_and_destroy_2;
	(void)test_ready(hba_lun_find(r.c, 0, 0));
	rig_until_scanned(&r);
	assert_int_equal(bus.said, 0);
	assert_false(present(&r, 2));
	assert_null(hba_target_find(r.c, 2));
	down(&r);
}

/* The scan is at it, its command with the driver, or waiting to be sent. */
static void destroyed_while_it_is_scanned(void **state)
{
	struct rig r;

	(void)state;
	for (unsigned n = 0; n < 8; n++) {
		up(&r);
		r.d->targets[2].luns = 1;
		r.d->hold = true;
		r.d->hold_target = 2;
		assert_int_equal(hba_target_create(r.c, 2, NULL), 0);
		for (unsigned k = 0; k <= n; k++) {
			for (unsigned i = 0; i < MANY_TURNS && !r.d->n_held; i++) {
				test_turns(r.c, 1);
				usleep(10);
			}
			assert_int_equal(r.d->n_held, 1);
			r.d->release = k < n;
			test_turns(r.c, 1);
		}
		assert_int_equal(hba_target_destroy(r.c, 2), 0);
		test_turns(r.c, 3);
		assert_int_equal(bus.released, 0);
		r.d->release = 1;
		for (unsigned i = 0;
		     i < MANY_TURNS && !__atomic_load_n(&bus.released, __ATOMIC_ACQUIRE); i++) {
			test_turns(r.c, 1);
			usleep(10);
		}
		rig_until_scanned(&r);
		assert_int_equal(bus.released, 1);
		assert_false(present(&r, 2));
		assert_int_equal(r.d->n_held, 0);
		down(&r);
	}
}

/*
 * The scan's command has not been sent, and the driver has no op to be told by: all is over within
 * one turn.
 */
static void destroyed_while_its_scan_waits(void **state)
{
	struct hba_event e;
	struct rig r;

	(void)state;
	for (unsigned n = 1; n < 8; n++) {
		init(&r);
		r.d->inside = NULL;
		r.d->table.initialize_target = NULL;
		r.d->table.release_target = NULL;
		rig_up(&r);
		rig_until_scanned(&r);
		while (test_event(r.c, HBA_EVENT_TARGET_CAME, &e))
			;
		r.d->targets[2].luns = 1;
		r.d->hold = true;
		r.d->hold_target = 2;
		assert_int_equal(hba_target_create(r.c, 2, NULL), 0);
		for (unsigned k = 0; k < n; k++) {
			for (unsigned i = 0; i < 5 && !r.d->n_held; i++)
				test_turns(r.c, 1);
			assert_int_equal(r.d->n_held, 1);
			if (k == n - 1)
				assert_int_equal(hba_target_block(r.c, 2, true), 0);
			test_turns(r.c, k == n - 1);
			r.d->release = 1;
			test_turns(r.c, 1);
		}
		test_turns(r.c, 2);
		assert_int_equal(r.d->n_held, 0);
		assert_false(scan_over(r.c));
		assert_int_equal(hba_target_destroy(r.c, 2), 0);
		test_turns(r.c, 5);
		assert_true(scan_over(r.c));
		assert_false(test_event(r.c, HBA_EVENT_TARGET_CAME, &e));
		assert_false(present(&r, 2));
		assert_null(hba_target_find(r.c, 2));
		rig_down(&r);
	}
}

/* A scan that finds nobody tells the driver so; the next scan may come before that is done. */
static void rescan_while_one_is_forgotten(void **state)
{
	struct rig r;

	(void)state;
	up(&r);
	for (unsigned i = 0; i < 200; i++) {
		hba_controller_rescan(r.c);
		test_turns(r.c, i % 40);
	}
	rig_until_scanned(&r);
	assert_int_equal(bus.alive, 1);
	down(&r);
}

/* ---- a lost link */

static void block_stands_still(void **state)
{
	struct test_io io = { .put = true }, later = { .put = true };
	struct hba_lun *lun;
	struct rig r;

	(void)state;
	up(&r);
	lun = hba_lun_find(r.c, 0, 0);
	r.d->hold = true;
	send(lun, &io);
	test_turns(r.c, 2);
	test_advance(r.d, TIMEOUT / 2);
	assert_int_equal(hba_target_block(r.c, 0, true), 0);
	test_turns(r.c, 1);
	send(lun, &later);
	rig_pass(&r, 3600 * 1000, 60 * 1000);
	assert_int_equal(r.d->n_functions, 0);
	assert_int_equal(r.d->n_held, 1); /* nothing new was sent */
	assert_int_equal(hba_target_block(r.c, 0, false), 0);
	test_turns(r.c, 2);
	assert_int_equal(r.d->n_held, 2);
	/* The half that was left runs again. */
	test_advance(r.d, TIMEOUT / 2 - 1);
	test_turns(r.c, 3);
	assert_int_equal(r.d->n_functions, 0);
	test_advance(r.d, 2);
	test_turns(r.c, 3);
	assert_int_equal(r.d->n_functions, 1);
	test_wait(r.c, &io, 1);
	assert_int_equal(io.last.outcome, HBA_TASK_TIMEOUT);
	r.d->release = 1;
	test_wait(r.c, &later, 1);
	assert_int_equal(later.last.outcome, HBA_GOOD);
	down(&r);
}

/* Nobody comes back from a link that has gone for good: time runs again for what is out. */
static void destroyed_while_blocked(void **state)
{
	struct test_io io = { .put = true };
	struct rig r;

	(void)state;
	up_with_one_out(&r, &io);
	assert_int_equal(hba_target_block(r.c, 0, true), 0);
	test_turns(r.c, 1);
	assert_int_equal(hba_target_destroy(r.c, 0), 0);
	test_turns(r.c, 1);
	test_advance(r.d, TIMEOUT + 1);
	test_wait(r.c, &io, 1);
	assert_int_equal(io.last.outcome, HBA_TASK_TIMEOUT);
	r.d->hold = false;
	released_once(&r);
	say_now(&r, create_2);
	assert_int_equal(hba_target_create(r.c, 0, NULL), 0);
	rig_until_scanned(&r);
	assert_int_equal(test_ready(hba_lun_find(r.c, 0, 0)), HBA_GOOD);
	down(&r);
}

/* ---- what else a bus has to say */

/* A driver that has lost count of what its bus told it. */
static void units_of_any_target_are_those_of_new_ones_too(void **state)
{
	struct rig r;

	(void)state;
	up(&r);
	r.d->targets[2].luns = 1;
	hba_luns_changed(r.c, 2); /* nobody knows it */
	rig_until_scanned(&r);
	assert_false(present(&r, 2));
	hba_luns_changed(r.c, HBA_ANY_TARGET);
	rig_until_scanned(&r);
	assert_true(present(&r, 2));
	down(&r);
}

static void changes_are_looked_at(void **state)
{
	struct hba_event e;
	struct rig r;

	(void)state;
	up(&r);
	r.d->targets[0].blocks = 1000;
	hba_media_changed(r.c, 0, NULL);
	rig_until_scanned(&r);
	assert_int_equal(hba_lun_find(r.c, 0, 0)->info.blocks, 1000);
	r.d->targets[0].blocks = 2000;
	hba_luns_changed(r.c, HBA_ANY_TARGET);
	rig_until_scanned(&r);
	assert_int_equal(hba_lun_find(r.c, 0, 0)->info.blocks, 2000);
	r.d->targets[0].blocks = 3000;
	hba_media_changed(r.c, HBA_ANY_TARGET, NULL);
	rig_until_scanned(&r);
	assert_int_equal(hba_lun_find(r.c, 0, 0)->info.blocks, 3000);
	r.d->targets[0].blocks = 4000;
	hba_bus_reset_seen(r.c);
	rig_until_scanned(&r);
	assert_true(test_event(r.c, HBA_EVENT_BUS_RESET, &e));
	assert_int_equal(hba_lun_find(r.c, 0, 0)->info.blocks, 4000);
	down(&r);
}

/* An event, and the property "Port Status". */
static void port_is(struct rig *r, enum hba_port_status status, const char *words)
{
	struct hba_property p = { .key = "" };
	struct hba_event e;

	hba_port_status(r->c, status);
	test_turns(r->c, 1);
	assert_true(test_event(r->c, HBA_EVENT_PORT, &e));
	assert_int_equal(e.value, status);
	assert_string_equal(e.text, words);
	for (unsigned i = 0; strcmp(p.key, "Port Status") != 0; i++)
		assert_int_equal(hba_property_get(r->c, HBA_NO_TARGET, i, &p), 0);
	assert_string_equal(p.value.string, words);
}

static void port_status_is_told(void **state)
{
	struct hba_event e;
	struct rig r;

	(void)state;
	up(&r);
	port_is(&r, HBA_PORT_OFFLINE, "No Link Established");
	port_is(&r, HBA_PORT_ONLINE, "Link Established");
	port_is(&r, HBA_PORT_FAILED, "Link Failed");
	hba_port_status(r.c, (enum hba_port_status)9);
	test_turns(r.c, 1);
	assert_false(test_event(r.c, HBA_EVENT_PORT, &e));
	down(&r);
}

static uint64_t blocks_of(const struct rig *r, uint64_t unit)
{
	return hba_lun_find(r->c, 0, unit)->info.blocks;
}

/* Every command since the log was emptied went to this unit, and none asked who is there. */
static void only_unit(const struct rig *r, uint8_t unit)
{
	assert_true(r->n_log > 0);
	for (unsigned i = 0; i < r->n_log; i++) {
		assert_int_equal(r->log[i].unit, unit);
		assert_int_not_equal(r->log[i].opcode, REPORT_LUNS_OP);
	}
}

static void one_unit_is_looked_at(void **state)
{
	const struct hba_lun_id one = { { 0, 1 } }, five = { { 0, 5 } };
	struct hba_event e;
	struct rig r;

	(void)state;
	init(&r);
	r.d->targets[0].luns = 3;
	rig_up(&r);
	r.d->targets[0].blocks = 1000; /* of all three, but who knows? */
	hba_media_changed(r.c, 0, &one);
	rig_until_scanned(&r);
	only_unit(&r, 1);
	assert_int_equal(blocks_of(&r, 1), 1000);
	assert_int_equal(blocks_of(&r, 0), TEST_BLOCKS);
	assert_true(test_event(r.c, HBA_EVENT_LUN_CHANGED, &e));
	/* Its own word, CAPACITY DATA HAS CHANGED, is about itself. */
	r.n_log = 0;
	rig_say(&r, (struct rig_answer) { .key = UNIT_ATTENTION_KEY, .asc = 0x2a, .ascq = 9 }, 1);
	assert_int_equal(test_ready(hba_lun_find(r.c, 0, 2)), HBA_CHECK_CONDITION);
	rig_until_scanned(&r);
	only_unit(&r, 2);
	assert_int_equal(blocks_of(&r, 2), 1000);
	assert_int_equal(blocks_of(&r, 0), TEST_BLOCKS);
	/* Nobody has heard of this one: the target is asked who is there. */
	r.d->targets[0].luns = 6;
	hba_media_changed(r.c, HBA_ANY_TARGET, &five);
	rig_until_scanned(&r);
	assert_int_equal(blocks_of(&r, 5), 1000);
	assert_int_equal(blocks_of(&r, 0), 1000);
	/* There is no such unit any more. */
	r.d->targets[0].luns = 5;
	hba_media_changed(r.c, 0, &five);
	rig_until_scanned(&r);
	assert_true(test_event(r.c, HBA_EVENT_LUN_LEFT, &e));
	assert_memory_equal(&e.lun, &five, sizeof(five));
	assert_false(test_event(r.c, HBA_EVENT_LUN_LEFT, &e));
	assert_true(present(&r, 0));
	down(&r);
}

/* ---- a driver that knows its targets */

static void mark_and_sweep(void **state)
{
	struct rig r;

	(void)state;
	up_managed(&r, 1 << 1 | 1 << 3);
	assert_true(present(&r, 1) && present(&r, 3));
	assert_null(hba_lun_find(r.c, 0, 0));
	bus.firmware = 1 << 3 | 1 << 0;
	hba_controller_rescan(r.c);
	rig_until_scanned(&r);
	rig_until_scanned(&r);
	assert_true(present(&r, 0) && present(&r, 3));
	assert_false(present(&r, 1));
	assert_int_equal(bus.released, 1);
	assert_int_equal(bus.alive, 1 << 0 | 1 << 3);
	test_no_violation(r.c);
	down(&r);
}

static void until_discovered(struct rig *r, unsigned times)
{
	for (unsigned i = 0;
	     i < MANY_TURNS && __atomic_load_n(&bus.discovers, __ATOMIC_ACQUIRE) < times; i++) {
		test_turns(r->c, 1);
		usleep(10);
	}
	assert_int_equal(bus.discovers, times);
}

static void discovery_that_never_ends(void **state)
{
	unsigned before;
	struct rig r;

	(void)state;
	up_managed(&r, 1 << 1);
	bus.silent = true;
	before = __atomic_load_n(&bus.discovers, __ATOMIC_ACQUIRE);
	hba_controller_rescan(r.c);
	until_discovered(&r, before + 1);
	while (!worker_idle(r.c)) /* its time runs from here */
		test_turns(r.c, 1);
	test_turns(r.c, 2);
	test_advance(r.d, DISCOVER_S * 1000 - 1);
	test_turns(r.c, 3);
	assert_false(scan_over(r.c));
	test_no_violation(r.c);
	test_advance(r.d, 1);
	rig_until_scanned(&r);
	test_violation(r.c, "driver test, outside any op: discover was not followed by "
			    "hba_discovery_done within 30000 ms");
	assert_true(present(&r, 1)); /* what was never swept stays */
	down(&r);
}

/*
 * The power goes while firmware is still looking: what it was asked then is void, and its time does
 * not run.
 */
static void power_off_during_discovery(void **state)
{
	struct rig r;

	(void)state;
	up_managed(&r, 1 << 1 | 1 << 3);
	bus.silent = true;
	hba_controller_rescan(r.c);
	test_turns(r.c, 1);
	test_advance(r.d, DISCOVER_S * 1000 / 2);
	test_turns(r.c, 1);
	assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_OFF), 0);
	rig_pass(&r, 10 * DISCOVER_S * 1000, 1000);
	assert_int_equal(bus.discovers, 2);
	bus.firmware = 1 << 1;
	assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_ON), 0);
	test_turns(r.c, 1);
	/* Asked anew, with all of the time again. */
	test_advance(r.d, DISCOVER_S * 1000 - 1);
	until_discovered(&r, 3);
	assert_false(scan_over(r.c));
	test_no_violation(r.c);
	hba_discovery_done(r.c);
	rig_until_scanned(&r);
	assert_int_equal(bus.discovers, 3);
	assert_true(present(&r, 1));
	assert_false(present(&r, 3));
	test_no_violation(r.c);
	down(&r);
}

static void controller_reset_during_discovery(void **state)
{
	struct test_io io = { .put = true };
	struct rig r;

	(void)state;
	up_managed(&r, 1 << 1);
	for (enum hba_tmf f = HBA_ABORT_TASK; f <= HBA_TARGET_RESET; f++)
		r.d->tmf[f] = TEST_REJECTS;
	r.d->bus_reset = TEST_REJECTS;
	bus.silent = true;
	hba_controller_rescan(r.c);
	test_turns(r.c, 1);
	r.d->hold = true;
	send(hba_lun_find(r.c, 1, 0), &io);
	until_discovered(&r, 2);
	/* While the op runs the loop does nothing. */
	for (unsigned i = 0; i < MANY_TURNS && (!r.d->n_held || !worker_idle(r.c)); i++) {
		test_turns(r.c, 1);
		usleep(10);
	}
	test_turns(r.c, 1);
	test_advance(r.d, TIMEOUT + 1);
	test_wait(r.c, &io, 1);
	until_discovered(&r, 3);
	r.d->hold = false;
	hba_discovery_done(r.c);
	rig_until_scanned(&r);
	assert_true(present(&r, 1));
	test_no_violation(r.c);
	down(&r);
}

static void discover_that_fails(void **state)
{
	struct rig r;

	(void)state;
	up_managed(&r, 1 << 1);
	bus.discover_error = -EIO;
	bus.firmware = 0;
	hba_controller_rescan(r.c);
	rig_until_scanned(&r);
	rig_until_scanned(&r);
	/* It could not look: that is no word of who is there. */
	assert_true(present(&r, 1));
	assert_int_equal(test_ready(hba_lun_find(r.c, 1, 0)), HBA_GOOD);
	down(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create_from_any_op),
		cmocka_unit_test(destroy_from_any_op),
		cmocka_unit_test(impossible_ids_are_refused),
		cmocka_unit_test(initialize_target_comes_before_any_command),
		cmocka_unit_test(present_is_found),
		cmocka_unit_test(target_report_only_narrows),
		cmocka_unit_test(depth_is_for_all_together),
		cmocka_unit_test(destroy_ends_unsent_tasks_at_once),
		cmocka_unit_test(what_is_handed_back_ends_too),
		cmocka_unit_test(created_again_while_leaving),
		cmocka_unit_test(destroyed_before_it_came),
		cmocka_unit_test(destroyed_while_it_is_scanned),
		cmocka_unit_test(destroyed_while_its_scan_waits),
		cmocka_unit_test(rescan_while_one_is_forgotten),
		cmocka_unit_test(block_stands_still),
		cmocka_unit_test(destroyed_while_blocked),
		cmocka_unit_test(units_of_any_target_are_those_of_new_ones_too),
		cmocka_unit_test(changes_are_looked_at),
		cmocka_unit_test(port_status_is_told),
		cmocka_unit_test(one_unit_is_looked_at),
		cmocka_unit_test(mark_and_sweep),
		cmocka_unit_test(discovery_that_never_ends),
		cmocka_unit_test(power_off_during_discovery),
		cmocka_unit_test(controller_reset_during_discovery),
		cmocka_unit_test(discover_that_fails),
	};

	return cmocka_run_group_tests_name("core: target", tests, NULL, NULL);
}
