/* SPDX-License-Identifier: MIT */
/*
 * completion.c: drivers that complete what is not theirs, twice or with impossible results, and
 * that map on the I/O path.
 */
#include "lib/test-driver.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

/* Unique ids count calls: 1 is the tmf task, 2 and 3 are internal, 4 is the first client's. */

/* What `misbehave` needs. */
struct planted {
	struct hba_task *other;
	struct hba_result result;
	struct hba_buffer *early; /* taken in initialize */
	bool twice;
	int error;
};

static struct hba_controller *up_with(bool (*process)(struct test_driver *d, struct hba_queue *q,
						      struct hba_task *t),
				      struct planted *planted, struct test_driver **ret_d)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);

	d->process = process;
	d->of_test = planted;
	*ret_d = d;
	return c;
}

/* ---- not in an op */

static void *ends_all_ways(void *held)
{
	hba_complete_good(held, 0);
	hba_requeue(held, HBA_SCOPE_LUN);
	hba_tmf_complete(held, HBA_FUNCTION_COMPLETE);
	return NULL;
}

#define NOT_IN_AN_OP(call)                   \
	"driver test, outside any op: " call \
	" of the task with unique id 4; a task is completed in an op, such as poll"

/*
 * By a thread that a driver has beside the loop, and by a client, which has the task's head, too.
 */
static void outside_any_op(void **state)
{
	struct test_driver *d;
	struct hba_controller *c = up_with(NULL, NULL, &d);
	struct test_io io = { .put = true };
	struct hba_task *t = test_get(hba_lun_find(c, 0, 0));
	pthread_t thread;

	(void)state;
	d->hold = true;
	test_fill_ready(t);
	assert_int_equal(hba_submit(t, test_done, &io), 0);
	test_turns(c, 1);
	assert_int_equal(pthread_create(&thread, NULL, ends_all_ways, t), 0);
	pthread_join(thread, NULL);
	ends_all_ways(t);
	for (unsigned i = 0; i < 2; i++) {
		test_violation(c, NOT_IN_AN_OP("hba_complete"));
		test_violation(c, NOT_IN_AN_OP("hba_requeue"));
		test_violation(c, NOT_IN_AN_OP("hba_tmf_complete"));
	}
	test_turns(c, 3);
	assert_int_equal(io.done, 0);
	d->release = 1;
	test_wait(c, &io, 1);
	assert_int_equal(io.last.outcome, HBA_GOOD);
	test_no_violation(c);
	test_down(d, c);
}

/* ---- not its task */

static bool complete_other(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	struct planted *p = d->of_test;

	(void)q;
	hba_complete_good(p->other, 0);
	(void)t;
	return false;
}

static void idle_task(void **state)
{
	struct planted p = { 0 };
	struct test_driver *d;
	struct hba_controller *c = up_with(complete_other, &p, &d);
	struct hba_lun *lun = hba_lun_find(c, 0, 0);

	(void)state;
	p.other = test_get(lun); /* got, never sent */
	assert_int_equal(test_ready(lun), HBA_GOOD);
	test_violation(c, "driver test, process_task: hba_complete of the task with unique id 4, "
			  "which is not with the driver: it is its "
			  "client's");
	hba_task_put(p.other);
	test_down(d, c);
}

static void free_task(void **state)
{
	struct planted p = { 0 };
	struct test_driver *d;
	struct hba_controller *c = up_with(complete_other, &p, &d);
	struct hba_lun *lun = hba_lun_find(c, 0, 0);
	struct hba_task *first = test_get(lun);
	struct test_io io = { .put = true };

	(void)state;
	p.other = test_get(lun);
	hba_task_put(p.other);
	test_fill_ready(first);
	assert_int_equal(hba_submit(first, test_done, &io), 0);
	test_wait(c, &io, 1);
	assert_int_equal(io.last.outcome, HBA_GOOD);
	test_violation(c, "driver test, process_task: hba_complete of the task with unique id 5, "
			  "which is not with the driver: it is free");
	test_down(d, c);
}

static void task_not_sent_yet(void **state)
{
	struct planted p = { 0 };
	struct test_driver *d;
	struct hba_controller *c = up_with(complete_other, &p, &d);
	struct hba_lun *lun = hba_lun_find(c, 0, 0);
	struct hba_task *first = test_get(lun), *second = test_get(lun);
	struct test_io io = { .put = true };

	(void)state;
	p.other = second;
	test_fill_ready(first);
	test_fill_ready(second);
	assert_int_equal(hba_submit(first, test_done, &io), 0);
	assert_int_equal(hba_submit(second, test_done, &io), 0);
	d->calls[TEST_PROCESS] = 0;
	test_wait(c, &io, 2);
	test_violation(c, "driver test, process_task: hba_complete of the task with unique id 5, "
			  "which is not with the driver: it is not "
			  "sent yet");
	assert_int_equal(d->calls[TEST_PROCESS], 2);
	test_down(d, c);
}

static void another_controllers_task(void **state)
{
	struct planted p = { 0 };
	struct test_driver *d, *other_d = test_driver_new();
	struct hba_controller *c = up_with(complete_other, &p, &d), *other = test_up(other_d);
	struct test_io io = { .put = true };

	(void)state;
	/* Out at the other controller, so that nothing but whose it is can give it away. */
	other_d->hold = true;
	p.other = test_get(hba_lun_find(other, 0, 0));
	test_fill_ready(p.other);
	assert_int_equal(hba_submit(p.other, test_done, &io), 0);
	test_turns(other, 1);
	assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
	test_violation(c, "driver test, process_task: hba_complete of a task that is not of this "
			  "controller's pool");
	test_turns(other, 3);
	assert_int_equal(io.done, 0);
	other_d->release = 1;
	test_wait(other, &io, 1);
	test_down(d, c);
	test_down(other_d, other);
}

static bool complete_copy(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	struct hba_task copy = *t;

	(void)d;
	(void)q;
	hba_complete_good(&copy, 0);
	return false;
}

static void copy_on_the_stack(void **state)
{
	struct test_driver *d;
	struct hba_controller *c = up_with(complete_copy, NULL, &d);

	(void)state;
	assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
	test_violation(c, "driver test, process_task: hba_complete of a task that is not of this "
			  "controller's pool");
	test_down(d, c);
}

static bool complete_inside(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	(void)d;
	(void)q;
	hba_complete_good((struct hba_task *)(void *)((char *)t + 64), 0);
	return false;
}

static void pointer_into_a_task(void **state)
{
	struct test_driver *d;
	struct hba_controller *c = up_with(complete_inside, NULL, &d);

	(void)state;
	assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
	test_violation(c, "driver test, process_task: hba_complete of a task that is not of this "
			  "controller's pool");
	test_down(d, c);
}

static bool requeue_copy(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	struct hba_task copy = *t;

	(void)d;
	(void)q;
	hba_requeue(&copy, HBA_SCOPE_LUN);
	hba_tmf_complete(&copy, HBA_FUNCTION_COMPLETE);
	hba_tmf_complete(t, HBA_FUNCTION_COMPLETE);
	return false;
}

static void other_ends_of_a_copy(void **state)
{
	struct test_driver *d;
	struct hba_controller *c = up_with(requeue_copy, NULL, &d);

	(void)state;
	assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
	test_violation(c, "driver test, process_task: hba_requeue of a task that is not of this "
			  "controller's pool");
	test_violation(c, "driver test, process_task: hba_tmf_complete of a task that is not of "
			  "this controller's pool");
	test_violation(c, "driver test, process_task: hba_tmf_complete of the task with unique id "
			  "4, which is no task management task "
			  "with the driver");
	test_down(d, c);
}

/* ---- impossible results */

static bool complete_planted(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	struct planted *p = d->of_test;

	(void)q;
	hba_complete(t, &p->result);
	if (p->twice)
		hba_complete(t, &p->result);
	return true;
}

static void one_read(struct planted *p, const char *sentence, struct hba_result *ret_result)
{
	uint8_t data[TEST_BLOCK];
	struct test_io io = { .put = true };
	struct test_driver *d;
	struct hba_controller *c = up_with(complete_planted, p, &d);
	struct hba_task *t = test_get(hba_lun_find(c, 0, 0));

	test_fill_rw(t, false, 0, 1, data);
	assert_int_equal(hba_submit(t, test_done, &io), 0);
	test_wait(c, &io, 1);
	test_turns(c, 3);
	assert_int_equal(io.done, 1);
	if (sentence)
		test_violation(c, sentence);
	test_no_violation(c);
	*ret_result = io.last;
	d->process = NULL;
	assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
	test_down(d, c);
}

static void completed_twice(void **state)
{
	struct planted p = { .result = { .outcome = HBA_GOOD, .bytes = TEST_BLOCK },
			     .twice = true };
	struct hba_result r;

	(void)state;
	one_read(&p,
		 "driver test, process_task: hba_complete of the task with unique id 4, which is "
		 "not with the driver: it is completed "
		 "already",
		 &r);
	assert_int_equal(r.outcome, HBA_GOOD);
	assert_int_equal(r.bytes, TEST_BLOCK);
}

static void too_many_bytes(void **state)
{
	struct planted p = { .result = { .outcome = HBA_GOOD, .bytes = TEST_BLOCK + 1 } };
	struct hba_result r;

	(void)state;
	one_read(&p,
		 "driver test, process_task: hba_complete of the task with unique id 4 with 513 "
		 "bytes; the task has 512",
		 &r);
	assert_int_equal(r.outcome, HBA_NO_STATUS);
	assert_int_equal(r.sent, HBA_SENT_MAYBE);
	assert_int_equal(r.bytes, 0);
}

static void as_many_bytes_as_asked(void **state)
{
	static const enum hba_outcome ends[] = { HBA_GOOD, HBA_CONDITION_MET };

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct planted p = { .result = { .outcome = ends[i], .bytes = TEST_BLOCK } };
		struct hba_result r;

		one_read(&p, NULL, &r);
		assert_int_equal(r.outcome, ends[i]);
		assert_int_equal(r.bytes, TEST_BLOCK);
	}
}

static void sense_too_long(void **state)
{
	static const uint8_t sense[256] = { 0x70 };
	struct planted p = {
		.result = { .outcome = HBA_CHECK_CONDITION, .sense = sense, .sense_len = 253 }
	};
	struct hba_result r;

	(void)state;
	one_read(&p,
		 "driver test, process_task: hba_complete of the task with unique id 4 with 253 "
		 "bytes of sense, 252 is the most",
		 &r);
	assert_int_equal(r.outcome, HBA_NO_STATUS);
	assert_int_equal(r.sense_len, 0);
}

static void sense_nowhere(void **state)
{
	struct planted p = { .result = { .outcome = HBA_CHECK_CONDITION, .sense_len = 18 } };
	struct hba_result r;

	(void)state;
	one_read(&p,
		 "driver test, process_task: hba_complete of the task with unique id 4 with 18 "
		 "bytes of sense and no pointer to it, "
		 "252 is the most",
		 &r);
	assert_int_equal(r.outcome, HBA_NO_STATUS);
}

static void all_the_sense_there_can_be(void **state)
{
	static const uint8_t sense[HBA_MAX_SENSE] = { 0x72, 5 };
	struct planted p = { .result = { .outcome = HBA_CHECK_CONDITION,
					 .sense = sense,
					 .sense_len = HBA_MAX_SENSE } };
	struct hba_result r;

	(void)state;
	one_read(&p, NULL, &r);
	assert_int_equal(r.outcome, HBA_CHECK_CONDITION);
	assert_int_equal(r.sense_len, HBA_MAX_SENSE);
}

static void no_end_of_a_command(void **state)
{
	struct planted p = { .result = { .outcome = HBA_OUTCOME(HBA_IN_PROCESS, 0) } };
	struct hba_result r;

	(void)state;
	one_read(&p,
		 "driver test, process_task: hba_complete of the task with unique id 4 with "
		 "outcome 0, which is no end of a command",
		 &r);
	assert_int_equal(r.outcome, HBA_NO_STATUS);
	p.result.outcome = HBA_OUTCOME(HBA_FUNCTION_COMPLETE, 0);
	one_read(&p,
		 "driver test, process_task: hba_complete of the task with unique id 4 with "
		 "outcome 0x400, which is no end of a "
		 "command",
		 &r);
	assert_int_equal(r.outcome, HBA_NO_STATUS);
}

/*
 * A device that still links commands: nobody waits for the next link, and the client sees the end
 * as it is.
 */
static void a_linked_end_is_passed_through(void **state)
{
	struct planted p = { .result = { .outcome = HBA_OUTCOME(HBA_LINK_COMMAND_COMPLETE,
								HBA_INTERMEDIATE),
					 .sent = HBA_SENT_YES,
					 .bytes = TEST_BLOCK } };
	struct hba_result r;

	(void)state;
	one_read(&p, NULL, &r);
	assert_int_equal(hba_response(r.outcome), HBA_LINK_COMMAND_COMPLETE);
	assert_int_equal(hba_status(r.outcome), hba_status(HBA_INTERMEDIATE));
	assert_int_equal(r.sent, HBA_SENT_YES);
	assert_int_equal(r.bytes, TEST_BLOCK);
}

/* ---- numbers from a device */

static bool look_up_wrong(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	(void)d;
	assert_ptr_equal(hba_task_by_id(q, t->unique_id), t);
	assert_ptr_equal(hba_task_by_cookie(q, t->cookie), t);
	assert_null(hba_task_by_id(q, 999));
	assert_null(hba_task_by_id(q, UINT64_C(1) << 32 | t->unique_id));
	assert_null(hba_task_by_id(q, 1)); /* there is such a task, but it is not out */
	assert_null(hba_task_by_cookie(q, t->cookie - (UINT64_C(1) << 32)));
	return false;
}

/* Of the four the third is counted only. */
static void strays(void **state)
{
	struct hba_event e;
	struct test_driver *d;
	struct hba_controller *c = up_with(look_up_wrong, NULL, &d);

	(void)state;
	assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
	test_device_error(c, "error 1 of the device: the device gave unique id 0x3e7, and no task "
			     "with the driver in this queue has it");
	assert_true(test_event(c, HBA_EVENT_DEVICE_ERROR, &e));
	assert_non_null(strstr(e.text, "the device gave unique id 0x1"));
	assert_true(test_event(c, HBA_EVENT_DEVICE_ERROR, &e));
	assert_non_null(strstr(e.text, "the device gave cookie 0x"));
	test_no_violation(c);
	test_down(d, c);
}

static bool lies_twice(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	struct hba_controller *c = hba_queue_controller(q);

	(void)d;
	(void)t;
	hba_device_error(c, "the device has %u heads", 3U);
	hba_device_error(c, "the device has %u tails", 2U);
	return false;
}

static void what_a_device_reports_wrong_is_no_violation(void **state)
{
	struct test_driver *d;
	struct hba_controller *c = up_with(lies_twice, NULL, &d);

	(void)state;
	assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
	test_device_error(c, "error 1 of the device: the device has 3 heads");
	test_device_error(c, "error 2 of the device: the device has 2 tails");
	test_no_violation(c);
	test_down(d, c);
}

/* ---- mapping on the I/O path */

static bool map_while_hot(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	struct hba_controller *c = hba_queue_controller(q);
	struct hba_mapping *m = NULL;
	struct hba_buffer *b = NULL;

	(void)d;
	(void)t;
	assert_int_equal(hba_mapping_create(c, HBA_DEVICE_BOTH, 64, 0, &m), -EPERM);
	assert_null(m);
	assert_int_equal(hba_buffer_create(c, HBA_DEVICE_BOTH, 64, 0, &b), -EPERM);
	assert_int_equal(hba_buffer_import(c, 0, 0, 4096, &b), -EPERM);
	assert_null(b);
	return false;
}

static void mapping_in_a_hot_op(void **state)
{
	struct test_driver *d;
	struct hba_controller *c = up_with(map_while_hot, NULL, &d);
	struct hba_counts counts;

	(void)state;
	hba_controller_counts(c, &counts);
	assert_int_equal(counts.io_path_mappings, 0);
	assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
	for (unsigned i = 0; i < 2; i++)
		test_violation(c, "driver test, process_task: hba_buffer_create: mapping on the "
				  "I/O path; take memory in initialize or "
				  "map_hba_data");
	test_violation(c, "driver test, process_task: hba_buffer_import: mapping on the I/O path; "
			  "take memory in initialize or "
			  "map_hba_data");
	hba_controller_counts(c, &counts);
	assert_int_equal(counts.io_path_mappings, 3);
	test_down(d, c);
}

static void map_in(struct test_driver *d, enum test_op op, struct hba_controller *c,
		   struct hba_task *t)
{
	struct planted *p = d->of_test;
	struct hba_mapping *m;

	(void)t;
	if (op == TEST_INITIALIZE)
		p->error = hba_buffer_create(c, HBA_DEVICE_BOTH, 64, 0, &p->early);
	if ((op == TEST_KICK && d->calls[op] == 1) || op == TEST_STOP)
		p->error = hba_buffer_map(p->early, &m);
}

static void mapping_in_other_ops(void **state)
{
	struct planted p = { 0 };
	struct test_driver *d = test_driver_new();
	struct hba_controller *c;

	(void)state;
	d->of_test = &p;
	d->inside = map_in;
	c = test_up(d);
	test_violation(c, "driver test, kick: hba_buffer_map: mapping on the I/O path; take memory "
			  "in initialize or map_hba_data");
	assert_int_equal(p.error, -EPERM);
	p.error = 0;
	assert_int_equal(hba_controller_stop(c), 0);
	assert_int_equal(p.error, -EPERM);
	test_violation(c, "driver test, stop: hba_buffer_map: memory is taken in initialize, "
			  "map_hba_data, the first start, discover or "
			  "initialize_target");
	test_down(d, c);
}

/* ---- waiting in a hot op */

static bool wait_while_hot(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	struct planted *p = d->of_test;

	(void)t;
	p->error = hba_wait(hba_queue_controller(q), 1);
	return false;
}

static void waiting_in_a_hot_op(void **state)
{
	struct planted p = { 0 };
	struct test_driver *d;
	struct hba_controller *c = up_with(wait_while_hot, &p, &d);

	(void)state;
	assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
	assert_true(p.error < 0);
	test_violation(c, "driver test, process_task: a wait; only waiting ops may wait");
	test_down(d, c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outside_any_op),
		cmocka_unit_test(idle_task),
		cmocka_unit_test(free_task),
		cmocka_unit_test(task_not_sent_yet),
		cmocka_unit_test(another_controllers_task),
		cmocka_unit_test(copy_on_the_stack),
		cmocka_unit_test(pointer_into_a_task),
		cmocka_unit_test(other_ends_of_a_copy),
		cmocka_unit_test(completed_twice),
		cmocka_unit_test(too_many_bytes),
		cmocka_unit_test(as_many_bytes_as_asked),
		cmocka_unit_test(sense_too_long),
		cmocka_unit_test(sense_nowhere),
		cmocka_unit_test(all_the_sense_there_can_be),
		cmocka_unit_test(no_end_of_a_command),
		cmocka_unit_test(a_linked_end_is_passed_through),
		cmocka_unit_test(strays),
		cmocka_unit_test(what_a_device_reports_wrong_is_no_violation),
		cmocka_unit_test(mapping_in_a_hot_op),
		cmocka_unit_test(mapping_in_other_ops),
		cmocka_unit_test(waiting_in_a_hot_op),
	};

	return cmocka_run_group_tests_name("contract: completion", tests, NULL, NULL);
}
