/* SPDX-License-Identifier: MIT */
/*
 * naming.c: drivers whose map_hba_data breaks the contract, and what a pool that ran out of memory
 * is.
 */
#include "lib/test-driver.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	TMF = 1,
	INTERNAL = 2,
	CLIENTS = 8,
	POOL = TMF + INTERNAL + CLIENTS,
	FIRST_CLIENT = TMF + INTERNAL + 1
};

static void refused(struct test_driver *d, int error, unsigned calls, const char *sentence)
{
	struct hba_controller *c = test_open(d, NULL);
	unsigned fds = test_fds();
	struct hba_counts counts;

	assert_int_equal(hba_controller_start(c), error);
	assert_string_equal(hba_error(), sentence);
	assert_int_equal(hba_controller_state(c), HBA_CREATED);
	assert_int_equal(d->calls[TEST_MAP], calls);
	assert_int_equal(d->calls[TEST_START], 0);
	assert_int_equal(d->calls[TEST_STOP], 1);
	assert_int_equal(test_fds(), fds);
	hba_controller_counts(c, &counts);
	assert_int_equal(counts.hba_data_mapped + counts.client_tasks + counts.internal_tasks +
				 counts.tmf_tasks,
			 0);
	d->unique_id = NULL;
	memset(d->fail, 0, sizeof(d->fail));
	if (hba_controller_start(c) < 0)
		fail_msg("the second start: %s", hba_error());
	assert_int_equal(d->calls[TEST_MAP], calls + POOL);
	assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
	test_down(d, c);
}

/* ---- ids */

static uint32_t zero_at_1(unsigned call)
{
	return call == 1 ? 0 : call;
}

static uint32_t zero_at_7(unsigned call)
{
	return call == 7 ? 0 : call;
}

static uint32_t twin_at_7(unsigned call)
{
	return call == 7 ? 2 : call;
}

static uint32_t twin_at_2(unsigned call)
{
	(void)call;
	return 77;
}

static uint32_t twin_at_the_end(unsigned call)
{
	return call == POOL ? POOL - 1 : call;
}

static void named(uint32_t (*unique_id)(unsigned call), unsigned calls, const char *sentence)
{
	struct test_driver *d = test_driver_new();

	d->unique_id = unique_id;
	refused(d, -EPROTO, calls, sentence);
}

static int write_no_id(struct hba_controller *c, struct hba_task *t, uint32_t *ret_id)
{
	(void)c;
	(void)t;
	(void)ret_id;
	return 0;
}

static void id_not_written(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c;

	(void)state;
	d->table.map_hba_data = write_no_id;
	c = test_open(d, NULL);
	assert_int_equal(hba_controller_start(c), -EPROTO);
	assert_string_equal(
		hba_error(),
		"driver test, map_hba_data, call 1: no unique id was written, or 0, which is none");
	test_violation(
		c,
		"driver test, map_hba_data, call 1: no unique id was written, or 0, which is none");
	test_down(d, c);
}

static void id_zero(void **state)
{
	(void)state;
	named(zero_at_1, 1,
	      "driver test, map_hba_data, call 1: no unique id was written, or 0, which is none");
	named(zero_at_7, 7,
	      "driver test, map_hba_data, call 7: no unique id was written, or 0, which is none");
}

static void id_duplicate(void **state)
{
	(void)state;
	named(twin_at_2, 2,
	      "driver test, map_hba_data, call 2: unique id 77 is already that of the task of call "
	      "1; ids are unique in the pool");
	named(twin_at_7, 7,
	      "driver test, map_hba_data, call 7: unique id 2 is already that of the task of call "
	      "2; ids are unique in the pool");
	named(twin_at_the_end, POOL,
	      "driver test, map_hba_data, call 11: unique id 10 is already that of the task of "
	      "call 10; ids are unique in the pool");
}

/* ---- errors */

static void failing(unsigned call, int error, const char *sentence)
{
	struct test_driver *d = test_driver_new();

	d->fail[TEST_MAP].call = call;
	d->fail[TEST_MAP].error = error;
	refused(d, error, call, sentence);
}

static void any_error_on_call_n(void **state)
{
	(void)state;
	failing(1, -EIO, "driver test, map_hba_data, call 1: Input/output error");
	failing(FIRST_CLIENT + 2, -EIO, "driver test, map_hba_data, call 6: Input/output error");
	failing(POOL, -EBUSY, "driver test, map_hba_data, call 11: Device or resource busy");
}

/* Without a task of every kind, and one for clients, there is nothing to run on. */
static void no_memory_too_early(void **state)
{
	(void)state;
	failing(1, -ENOMEM, "driver test, map_hba_data, call 1: Cannot allocate memory");
	failing(TMF + 1, -ENOMEM, "driver test, map_hba_data, call 2: Cannot allocate memory");
	failing(FIRST_CLIENT, -ENOMEM, "driver test, map_hba_data, call 4: Cannot allocate memory");
}

static void map_returns_a_count(void **state)
{
	struct test_driver *d = test_driver_new();

	(void)state;
	d->fail[TEST_MAP].call = 5;
	d->fail[TEST_MAP].error = 3;
	refused(d, -EPROTO, 5,
		"driver test, map_hba_data, call 5: returned 3; an op returns 0 or a negative "
		"errno");
}

static void say_why(struct test_driver *d, enum test_op op, struct hba_controller *c,
		    struct hba_task *t)
{
	if (op == TEST_MAP && d->calls[TEST_MAP] == 5)
		hba_fail(c, -EIO, "slot %u has a broken latch", t->slot);
}

static void map_says_why(void **state)
{
	struct test_driver *d = test_driver_new();

	(void)state;
	d->inside = say_why;
	d->fail[TEST_MAP].call = 5;
	d->fail[TEST_MAP].error = -EIO;
	refused(d, -EIO, 5, "driver test, map_hba_data, call 5: slot 4 has a broken latch");
}

/* ---- it may wait, like any waiting op */

static void wait_a_little(struct test_driver *d, enum test_op op, struct hba_controller *c,
			  struct hba_task *t)
{
	int *error = d->of_test;

	(void)t;
	/* On the service thread: no assertion here. */
	if (op == TEST_MAP && *error == 0)
		*error = hba_wait(c, 1);
}

static void map_waits(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c;
	int error = 0;

	(void)state;
	d->of_test = &error;
	d->inside = wait_a_little;
	d->tick = TEST_MS / 4;
	c = test_up(d);
	assert_int_equal(error, 0);
	test_down(d, c);
}

/* ---- a smaller pool */

static void short_by(unsigned call)
{
	struct test_driver *d = test_driver_new();
	unsigned clients = call - FIRST_CLIENT;
	struct hba_task *t[CLIENTS], *none;
	struct hba_controller *c;
	struct hba_counts counts;
	struct hba_event e;
	char sentence[128];

	d->fail[TEST_MAP].call = call;
	d->fail[TEST_MAP].error = -ENOMEM;
	c = test_up(d);
	assert_true(test_event(c, HBA_EVENT_POOL_SHORT, &e));
	assert_int_equal(e.value, call - 1);
	snprintf(sentence, sizeof(sentence),
		 "driver test, map_hba_data, call %u: no memory; the pool has %u tasks instead of "
		 "%u",
		 call, call - 1, POOL);
	assert_string_equal(e.text, sentence);
	hba_controller_counts(c, &counts);
	assert_int_equal(counts.client_tasks, clients);
	assert_int_equal(counts.hba_data_mapped, call - 1);
	for (unsigned i = 0; i < clients; i++)
		t[i] = test_get(hba_lun_find(c, 0, 0));
	assert_int_equal(hba_task_get(hba_lun_find(c, 0, 0), 0, NULL, &none), 1);
	for (unsigned i = 0; i < clients; i++)
		hba_task_put(t[i]);
	assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
	test_no_violation(c);
	test_down(d, c);
}

static void no_memory_on_call_n(void **state)
{
	(void)state;
	for (unsigned call = FIRST_CLIENT + 1; call <= POOL; call++)
		short_by(call);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(id_not_written),      cmocka_unit_test(id_zero),
		cmocka_unit_test(id_duplicate),        cmocka_unit_test(any_error_on_call_n),
		cmocka_unit_test(no_memory_too_early), cmocka_unit_test(map_returns_a_count),
		cmocka_unit_test(map_says_why),        cmocka_unit_test(map_waits),
		cmocka_unit_test(no_memory_on_call_n),
	};

	return cmocka_run_group_tests_name("contract: naming", tests, NULL, NULL);
}
