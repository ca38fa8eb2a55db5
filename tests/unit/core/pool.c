/* SPDX-License-Identifier: MIT */
/*
 * pool.c: tasks are made, mapped and named once, before any I/O, and found again in constant time.
 */
#include "as-driver.h"

#include "lib/deaf-bus.h"
#include "lib/test-driver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	TMF = TMF_TASKS,
	INTERNAL = MIN_INTERNAL_TASKS,
	POOL = TMF + INTERNAL + 8,
	MOST_CLIENTS = MAX_POOL - TMF - INTERNAL
};

/* ---- once, in order, before start */

static void order(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	struct hba_counts counts;

	(void)state;
	assert_memory_equal(d->order, "IMMMMMMMMMMMST", 14);
	for (unsigned i = 14; i < d->n_order; i++)
		assert_true(d->order[i] != 'M' && d->order[i] != 'S');
	assert_int_equal(d->calls[TEST_MAP], POOL);
	hba_controller_counts(c, &counts);
	assert_int_equal(counts.hba_data_mapped, POOL);
	test_down(d, c);
}

static void note_kinds(struct test_driver *d, enum test_op op, struct hba_controller *c,
		       struct hba_task *t)
{
	uint8_t *kinds = d->of_test;

	(void)c;
	if (op == TEST_MAP && d->calls[TEST_MAP] <= POOL)
		kinds[d->calls[TEST_MAP] - 1] =
			(uint8_t)(t->kind << 4 | (t->slot + 1U == d->calls[TEST_MAP]));
}

static void every_kind(void **state)
{
	struct test_driver *d = test_driver_new();
	uint8_t kinds[POOL] = { 0 };
	struct hba_controller *c;

	(void)state;
	d->of_test = kinds;
	d->inside = note_kinds;
	c = test_up(d);
	for (unsigned i = 0; i < POOL; i++) {
		enum hba_task_kind kind = i < TMF              ? HBA_TASK_TMF
					  : i < TMF + INTERNAL ? HBA_TASK_INTERNAL
							       : HBA_TASK_CLIENT;

		assert_int_equal(kinds[i], kind << 4 | 1);
		assert_int_equal(c->pool.tasks[i].head.unique_id, i + 1);
	}
	test_down(d, c);
}

static void never_for_io(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	struct hba_counts counts;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
	assert_int_equal(d->calls[TEST_MAP], POOL);
	hba_controller_counts(c, &counts);
	assert_int_equal(counts.hba_data_mapped, POOL);
	assert_int_equal(counts.io_path_mappings, 0);
	test_down(d, c);
}

/* ---- ids */

static uint32_t huge(unsigned call)
{
	return UINT32_MAX - call;
}

static uint32_t sparse(unsigned call)
{
	return call << 16;
}

/*
 * Products with the table's first multiplier that begin with the same bits: k × its inverse modulo
 * 2^32.
 */
static uint32_t colliding(unsigned call)
{
	uint32_t inverse = 1;

	for (unsigned i = 0; i < 5; i++)
		inverse *= 2 - UINT32_C(2654435769) * inverse;
	return call * inverse;
}

static void many_tasks(struct hba_report *r)
{
	r->max_tasks = 4096;
}

static bool find_all(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	uint32_t stale = (uint32_t)(t->cookie >> 32) - 1;

	assert_int_equal(t->unique_id, d->unique_id(t->slot + 1U));
	assert_int_equal((uint32_t)t->cookie, t->unique_id);
	assert_ptr_equal(hba_task_by_id(q, t->unique_id), t);
	assert_ptr_equal(hba_task_by_cookie(q, t->cookie), t);
	assert_null(hba_task_by_cookie(q, (uint64_t)stale << 32 | t->unique_id));
	assert_null(hba_task_by_cookie(q, t->cookie + (UINT64_C(1) << 32)));
	return false;
}

/* However the ids lie, none is more than a few entries from its place. */
static void shape(uint32_t (*unique_id)(unsigned call))
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c;

	d->unique_id = unique_id;
	d->report = many_tasks;
	d->process = find_all;
	c = test_up(d);
	for (unsigned slot = 0; slot < c->pool.n; slot++) {
		assert_ptr_equal(pool_find(&c->pool, c->pool.tasks[slot].head.unique_id),
				 &c->pool.tasks[slot]);
		assert_true(pool_steps(&c->pool, c->pool.tasks[slot].head.unique_id) <= ID_STEPS);
	}
	assert_null(pool_find(&c->pool, 0));
	assert_null(pool_find(&c->pool, UINT64_C(1) << 32));
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
	test_down(d, c);
}

static void odd_shapes(void **state)
{
	(void)state;
	shape(huge);
	shape(sparse);
	shape(colliding);
}

static void one_task(struct hba_report *r)
{
	r->max_tasks = 1;
	r->task_priv_size = 24;
}

static void default_names(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c;

	(void)state;
	d->table.map_hba_data = NULL;
	c = test_up(d);
	for (unsigned slot = 0; slot < POOL; slot++)
		assert_int_equal(c->pool.tasks[slot].head.unique_id, slot + 1);
	assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
	test_down(d, c);
}

/* ---- the arena */

static void aligned_arena(struct hba_report *r)
{
	r->hba_data_size = 200;
	r->hba_data_contiguous = 1;
	r->constraints.hba_data_mask = UINT64_C(0xffffffffffffff00);
	r->task_priv_size = 40;
}

/*
 * A bus that puts each new piece of memory 4 GiB further on, the first `crossings` of them across a
 * multiple of 4 GiB.
 */
static unsigned crossings, pieces;

static int maps_across(struct hba_bus_device *b, int fd, uint64_t offset, size_t length,
		       unsigned bits, struct hba_iova *ret_iova)
{
	(void)b;
	(void)fd;
	(void)offset;
	(void)length;
	(void)bits;
	pieces++;
	*ret_iova = (struct hba_iova) { ((uint64_t)pieces << 32) -
					(pieces <= crossings ? DEAF_PAGE : 0) };
	return 0;
}

static void arena_of_one_high_half(struct hba_report *r)
{
	r->hba_data_size = 1 << 20; /* so much that each arena is a piece of memory of its own */
	r->hba_data_same_4g = 1;
}

static int start_across(unsigned n)
{
	struct hba_bus across = deaf_bus;
	struct test_driver *d = test_driver_new();
	struct hba_controller *c;
	int r;

	across.map_memory = maps_across;
	crossings = n;
	pieces = 0;
	d->bus = &across;
	d->report = arena_of_one_high_half;
	c = test_open(d, NULL);
	r = hba_controller_start(c);
	for (unsigned i = 1; r == 0 && i < c->pool.n; i++)
		assert_int_equal(c->pool.tasks[i].head.hba_iova.bus >> 32,
				 c->pool.tasks[0].head.hba_iova.bus >> 32);
	if (r < 0)
		assert_non_null(strstr(hba_error(), "share their high 32 bits"));
	test_down(d, c);
	return r;
}

static void hba_data_share_the_high_half(void **state)
{
	(void)state;
	assert_int_equal(start_across(0), 0);
	assert_int_equal(start_across(1), 0);
	assert_int_equal(start_across(2), -ENOMEM);
}

static void arena(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c;
	struct task *t;

	(void)state;
	d->report = aligned_arena;
	c = test_up(d);
	t = c->pool.tasks;
	for (unsigned i = 0; i < POOL; i++) {
		assert_int_equal((uintptr_t)t[i].head.hba_data % 256, 0);
		assert_int_equal(t[i].head.hba_iova.bus % 256, 0);
		assert_ptr_equal(t[i].head.hba_data, (uint8_t *)t[0].head.hba_data + i * 256);
		assert_int_equal(t[i].head.hba_iova.bus, t[0].head.hba_iova.bus + i * 256);
		memset(t[i].head.hba_data, 0xee, 200);
		for (unsigned k = 0; k < 40; k++)
			assert_int_equal(((uint8_t *)t[i].head.priv)[k], 0);
		memset(t[i].head.priv, 0xff, 40);
	}
	assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
	test_down(d, c);
}

/* ---- sizes */

static void pool_of_1(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c;
	struct hba_task *t, *none = NULL;

	(void)state;
	d->report = one_task;
	c = test_up(d);
	assert_int_equal(c->pool.n, 4);
	t = test_get(hba_lun_find(c, 0, 0));
	assert_int_equal(hba_task_get(hba_lun_find(c, 0, 0), 0, NULL, &none), 1);
	assert_null(none);
	hba_task_put(t);
	assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
	test_down(d, c);
}

static void all_tasks(struct hba_report *r)
{
	r->max_tasks = MOST_CLIENTS;
	r->task_priv_size = 16;
	r->hba_data_size = 64;
}

static void pool_of_65533(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_task **t = calloc(MOST_CLIENTS, sizeof(struct hba_task *)), *none;
	struct test_io io = { .put = true };
	struct hba_controller *c;

	(void)state;
	d->report = all_tasks;
	c = test_up(d);
	assert_int_equal(c->pool.n, MAX_POOL);
	assert_int_equal(c->pool.tasks[MAX_POOL - 1].head.slot, MAX_POOL - 1);
	for (unsigned i = 0; i < MOST_CLIENTS; i++) {
		t[i] = test_get(hba_lun_find(c, 0, 0));
		test_fill_ready(t[i]);
	}
	assert_int_equal(hba_task_get(hba_lun_find(c, 0, 0), 0, NULL, &none), 1);
	d->hold = true;
	for (unsigned i = 0; i < MOST_CLIENTS; i++)
		assert_int_equal(hba_submit(t[i], test_done, &io), 0);
	test_turns(c, 1);
	assert_int_equal(d->n_held, MOST_CLIENTS);
	/*
	 * From the newest on: letting go at the front of a list so long would be what takes the
	 * time.
	 */
	d->hold = false;
	while (d->n_held)
		AS_DRIVER(c, hba_complete_good(d->held[--d->n_held], 0));
	test_wait(c, &io, MOST_CLIENTS);
	assert_int_equal(d->calls[TEST_MAP], MAX_POOL);
	free(t);
	test_down(d, c);
}

static void two_queues(struct hba_report *r)
{
	r->queues = 2;
}

static bool other_queue_is_refused(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	struct hba_queue *other =
		hba_controller_queue(hba_queue_controller(q), 1 - hba_queue_index(q));

	(void)d;
	assert_int_equal(t->queue, t->slot % 2);
	assert_int_equal(t->queue, hba_queue_index(q));
	assert_ptr_equal(hba_task_by_id(q, t->unique_id), t);
	assert_null(hba_task_by_id(other, t->unique_id));
	return false;
}

static void a_queue_for_life(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c;

	(void)state;
	d->report = two_queues;
	d->process = other_queue_is_refused;
	c = test_up(d);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
	test_down(d, c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order),
		cmocka_unit_test(every_kind),
		cmocka_unit_test(never_for_io),
		cmocka_unit_test(odd_shapes),
		cmocka_unit_test(default_names),
		cmocka_unit_test(arena),
		cmocka_unit_test(hba_data_share_the_high_half),
		cmocka_unit_test(pool_of_1),
		cmocka_unit_test(pool_of_65533),
		cmocka_unit_test(a_queue_for_life),
	};

	return cmocka_run_group_tests_name("core: pool", tests, NULL, NULL);
}
