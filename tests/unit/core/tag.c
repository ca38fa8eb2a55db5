/* SPDX-License-Identifier: MIT */
/*
 * tag.c: SAM tags, few or none, and a pool that a later start lowers; several queues in one loop.
 */
#include "rig.h"

#include <errno.h>
#include <string.h>

enum { CLIENTS = 24, QUEUES = 4, TASKS = 22, ROUNDS = 2000, MANY = 64 };

static struct {
	uint64_t tag_bits, queues, depth, lower_to; /* what the report says, and the second start */
	int lowered;
} want;

static void report(struct hba_report *r)
{
	r->max_tasks = CLIENTS;
	r->highest_lun = 3;
	r->tag_bits = want.tag_bits;
	if (want.queues)
		r->queues = want.queues;
	if (want.depth)
		r->depth = want.depth;
}

static void begin(struct rig *r, uint64_t tag_bits, uint64_t queues)
{
	memset(&want, 0, sizeof(want));
	want.tag_bits = tag_bits;
	want.queues = queues;
	rig_init(r);
	r->report = report;
	r->d->targets[0].luns = 2;
}

static void up(struct rig *r, uint64_t tag_bits, uint64_t queues)
{
	begin(r, tag_bits, queues);
	rig_up(r);
}

static struct hba_lun *unit(struct rig *r, unsigned number)
{
	return hba_lun_find(r->c, 0, number);
}

static void submit(struct hba_task *t, struct test_io *io)
{
	test_fill_ready(t);
	assert_int_equal(hba_submit(t, test_done, io), 0);
}

/* Of a unit: what is with the driver has tags of its own, within the bits. */
static void tags_are_unique(struct rig *r, uint64_t most)
{
	for (unsigned i = 0; i < r->d->n_held; i++) {
		const struct hba_task *a = r->d->held[i];

		assert_in_range(a->tag, 1, most);
		for (unsigned k = i + 1; k < r->d->n_held; k++)
			if (r->d->held[k]->lun.bytes[1] == a->lun.bytes[1])
				assert_int_not_equal(r->d->held[k]->tag, a->tag);
	}
}

/* Tasks come and go at random over two units; at each moment the tags are unique. */
static void come_and_go(uint64_t bits)
{
	uint64_t random = 2463534242, most = bits >= 17 ? UINT32_MAX : (UINT64_C(1) << bits) - 1;
	struct test_io io = { .put = true };
	struct hba_task *t;
	unsigned sent = 0, reached = 0;
	struct rig r;

	up(&r, bits, 0);
	r.d->hold = true;
	for (unsigned i = 0; i < ROUNDS; i++) {
		if (hba_task_get(unit(&r, rig_random(&random, 2) != 0), 0, NULL, &t) == 0) {
			submit(t, &io);
			sent++;
		}
		test_turns(r.c, 1);
		tags_are_unique(&r, most);
		reached = r.d->n_held > reached ? r.d->n_held : reached;
		while (r.d->n_held && rig_random(&random, 3) == 0) {
			unsigned which = (unsigned)rig_random(&random, r.d->n_held);
			struct hba_task *victim = r.d->held[which];

			r.d->held[which] = r.d->held[--r.d->n_held];
			AS_DRIVER(r.c, hba_complete_good(victim, 0));
		}
	}
	assert_true(reached > 4);
	while (r.d->n_held)
		AS_DRIVER(r.c, hba_complete_good(r.d->held[--r.d->n_held], 0));
	test_wait(r.c, &io, sent);
	rig_down(&r);
}

static void tags_are_unique_in_a_unit(void **state)
{
	(void)state;
	come_and_go(3);
	come_and_go(8);
	come_and_go(64);
}

/* Untagged: one command out per unit; the others wait their turn. */
static void untagged_is_one_at_a_time(void **state)
{
	struct test_io io = { .put = true };
	struct rig r;

	(void)state;
	up(&r, 0, 0);
	r.d->hold = true;
	for (unsigned i = 0; i < 8; i++)
		submit(test_get(unit(&r, i & 1)), &io);
	for (unsigned left = 4; left; left--) {
		test_turns(r.c, 2);
		assert_int_equal(r.d->n_held, 2);
		assert_true(r.d->held[0]->lun.bytes[1] != r.d->held[1]->lun.bytes[1]);
		assert_int_equal(r.d->held[0]->tag | r.d->held[1]->tag, HBA_UNTAGGED);
		r.d->release = 2;
		test_turns(r.c, 1);
	}
	test_wait(r.c, &io, 8);
	rig_down(&r);
}

/*
 * With few tags some are the core's own: sense can be asked for with as many clients' tasks out as
 * there may be.
 */
static void some_tags_are_kept(void **state)
{
	struct hba_task *t[8], *more;
	struct test_io io = { .put = true };
	struct rig r;
	unsigned n = 0;

	(void)state;
	up(&r, 3, 0);
	while (n < 8 && hba_task_get(unit(&r, 0), 0, NULL, &t[n]) == 0)
		n++;
	assert_int_equal(n, 7 - 2);
	/* the other unit has its own */
	assert_int_equal(hba_task_get(unit(&r, 1), 0, NULL, &more), 0);
	hba_task_put(more);
	r.d->hold = true;
	for (unsigned i = 0; i < n; i++)
		submit(t[i], &io);
	test_turns(r.c, 1);
	assert_int_equal(r.d->n_held, n);
	hba_luns_changed(r.c, 0);
	for (unsigned i = 0; i < MANY && r.d->n_held == n; i++)
		test_turns(r.c, 1);
	assert_int_equal(r.d->n_held, n + 1); /* the scan's */
	tags_are_unique(&r, 7);
	r.d->hold = false;
	r.d->release = n + 1;
	test_wait(r.c, &io, n);
	rig_until_scanned(&r);
	rig_down(&r);
}

/* The smaller of the two counts. */
static void few_tags_and_a_depth(void **state)
{
	static const struct {
		uint64_t tag_bits, depth;
		unsigned most;
	} rows[] = { { 3, 4, 4 }, { 3, 5, 5 }, { 3, 6, 5 }, { 3, 1, 1 },
		     { 1, 4, 1 }, { 0, 4, 4 }, { 64, 4, 4 } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig r;

		begin(&r, rows[i].tag_bits, 0);
		want.depth = rows[i].depth;
		rig_up(&r);
		assert_int_equal(unit(&r, 0)->depth, rows[i].most);
		rig_down(&r);
	}
}

/* ---- a pool that gets smaller */

static void lower(struct test_driver *d, enum test_op op, struct hba_controller *c,
		  struct hba_task *t)
{
	(void)t;
	if (op == TEST_START && d->calls[TEST_START] > 1 && want.lower_to)
		want.lowered = hba_lower(c, want.lower_to);
}

static unsigned can_have(struct rig *r)
{
	struct hba_task *t[CLIENTS];
	unsigned n = 0;

	while (n < CLIENTS && hba_task_get(unit(r, 0), 0, NULL, &t[n]) == 0)
		n++;
	for (unsigned i = 0; i < n; i++)
		hba_task_put(t[i]);
	return n;
}

static void restart(struct rig *r, uint64_t lower_to)
{
	want.lower_to = lower_to;
	assert_int_equal(hba_controller_set_power(r->c, HBA_POWER_PAUSE), 0);
	assert_int_equal(hba_controller_set_power(r->c, HBA_POWER_ON), 0);
	rig_until_scanned(r);
}

static void a_later_start_may_lower_the_pool(void **state)
{
	struct hba_event e;
	struct rig r;

	(void)state;
	up(&r, 64, 0);
	r.d->inside = lower;
	assert_int_equal(can_have(&r), CLIENTS);
	restart(&r, 5);
	assert_int_equal(want.lowered, 0);
	assert_int_equal(can_have(&r), 5);
	restart(&r, 6);
	assert_int_equal(want.lowered, -EINVAL); /* never raises */
	assert_true(test_event(r.c, HBA_EVENT_VIOLATION, &e));
	assert_int_equal(can_have(&r), 5);
	assert_int_equal(hba_lower(r.c, 1), -EINVAL); /* outside a start */
	assert_int_equal(can_have(&r), 5);
	assert_int_equal(test_ready(unit(&r, 0)), HBA_GOOD);
	rig_down(&r);
}

/* ---- several queues */

static void tasks_are_spread_over_queues(void **state)
{
	unsigned of_queue[QUEUES] = { 0 };
	struct test_io io = { .put = true };
	struct rig r;

	(void)state;
	up(&r, 64, QUEUES);
	r.d->hold = true;
	for (unsigned i = 0; i < CLIENTS; i++)
		submit(test_get(unit(&r, 0)), &io);
	test_turns(r.c, 1);
	assert_int_equal(r.d->n_held, CLIENTS);
	for (unsigned i = 0; i < CLIENTS; i++) {
		assert_int_equal(r.d->held[i]->queue, r.d->held[i]->slot % QUEUES);
		of_queue[r.d->held[i]->queue]++;
	}
	for (unsigned i = 0; i < QUEUES; i++)
		assert_int_equal(of_queue[i], CLIENTS / QUEUES);
	r.d->hold = false;
	r.d->release = CLIENTS;
	test_wait(r.c, &io, CLIENTS);
	rig_down(&r);
}

/*
 * Within a queue a unit's tasks go in the order in which they were submitted; also when some come
 * back to be sent again.
 */
static void order_within_a_queue(void **state)
{
	struct test_io io = { .put = true };
	uint64_t tags[CLIENTS];
	struct rig r;

	(void)state;
	up(&r, 64, QUEUES);
	unit(&r, 0)->limit = 3;
	for (unsigned i = 0; i < TASKS; i++) {
		struct hba_task *t = test_get(unit(&r, 0));

		tags[i] = t->tag;
		submit(t, &io);
	}
	test_wait(r.c, &io, TASKS);
	assert_int_equal(rig_clients(&r), TASKS);
	for (unsigned q = 0; q < QUEUES; q++) {
		unsigned next = 0;

		for (unsigned i = 0; i < TASKS; i++) {
			if (r.log[i].queue != q)
				continue;
			while (next < TASKS && tags[next] != r.log[i].tag)
				next++;
			assert_true(next < TASKS);
		}
	}
	rig_down(&r);
}

static void cookies_of_another_queue_are_refused(void **state)
{
	struct test_io io = { .put = true };
	struct hba_event e;
	struct hba_task *t;
	struct rig r;

	(void)state;
	up(&r, 64, QUEUES);
	r.d->hold = true;
	t = test_get(unit(&r, 0));
	submit(t, &io);
	test_turns(r.c, 1);
	for (unsigned q = 0; q < QUEUES; q++) {
		struct hba_queue *queue = hba_controller_queue(r.c, q);
		struct hba_task *mine = q == t->queue ? t : NULL;

		assert_ptr_equal(hba_task_by_cookie(queue, t->cookie), mine);
		assert_ptr_equal(hba_task_by_id(queue, t->unique_id), mine);
		assert_null(hba_task_by_cookie(queue, t->cookie + (UINT64_C(1) << 32)));
	}
	assert_true(test_event(r.c, HBA_EVENT_DEVICE_ERROR, &e));
	assert_null(hba_controller_queue(r.c, QUEUES));
	r.d->release = 1;
	test_wait(r.c, &io, 1);
	rig_down(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tags_are_unique_in_a_unit),
		cmocka_unit_test(untagged_is_one_at_a_time),
		cmocka_unit_test(some_tags_are_kept),
		cmocka_unit_test(few_tags_and_a_depth),
		cmocka_unit_test(a_later_start_may_lower_the_pool),
		cmocka_unit_test(tasks_are_spread_over_queues),
		cmocka_unit_test(order_within_a_queue),
		cmocka_unit_test(cookies_of_another_queue_are_refused),
	};

	return cmocka_run_group_tests_name("core: tag", tests, NULL, NULL);
}
