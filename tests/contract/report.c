/* SPDX-License-Identifier: MIT */
/*
 * report.c: drivers whose initialize, or its report, breaks the contract: refused in one sentence,
 * all unwound, startable again.
 */
#include "lib/test-driver.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/*
 * Start fails with this error in these words and leaves nothing; once the fault is gone, it
 * succeeds.
 */
static void refused(struct test_driver *d, int error, const char *sentence)
{
	struct hba_controller *c = test_open(d, NULL);
	unsigned fds = test_fds();

	assert_int_equal(hba_controller_start(c), error);
	assert_string_equal(hba_error(), sentence);
	if (error == -EPROTO)
		test_violation(c, sentence);
	assert_int_equal(hba_controller_state(c), HBA_CREATED);
	assert_null(hba_controller_report(c));
	assert_int_equal(test_fds(), fds);
	assert_int_equal(d->calls[TEST_STOP], 1);
	d->report = NULL;
	memset(d->fail, 0, sizeof(d->fail));
	if (hba_controller_start(c) < 0)
		fail_msg("the second start: %s", hba_error());
	assert_non_null(hba_lun_find(c, 0, 0));
	test_down(d, c);
}

static void refused_report(void (*report)(struct hba_report *r), const char *sentence)
{
	struct test_driver *d = test_driver_new();

	d->report = report;
	refused(d, -EPROTO, sentence);
}

/* ---- missing */

static void write_nothing(struct hba_report *r)
{
	uint64_t size = r->size;

	memset(r, 0xa5, sizeof(*r));
	r->size = size;
	r->hba_data_size = r->queue_priv_size = r->task_priv_size = r->target_priv_size =
		r->lun_priv_size = 0;
}

static void all_missing(void **state)
{
	(void)state;
	refused_report(
		write_nothing,
		"driver test, initialize: the report leaves unset, and these have no default: "
		"initiator_id, highest_target_id, "
		"max_tasks, manages_devices, performs_autosense, constraints.max_segments_read, "
		"constraints.max_segments_write, constraints.max_segment_bytes_read, "
		"constraints.max_segment_bytes_write, "
		"constraints.alignment, constraints.address_bits, constraints.hba_data_mask");
}

static void forget_two(struct hba_report *r)
{
	r->highest_target_id = HBA_UNSET;
	r->performs_autosense = HBA_UNSET;
}

static void some_missing(void **state)
{
	(void)state;
	refused_report(forget_two, "driver test, initialize: the report leaves unset, and these "
				   "have no default: highest_target_id, "
				   "performs_autosense");
}

/* ---- contradictory */

static void exaggerate(struct hba_report *r)
{
	uint64_t size = r->size;

	memset(r, 0xff, sizeof(*r));
	r->size = size;
}

/*
 * So many that they fill more than a sentence: as many as fit, each whole, and how many there are
 * besides.
 */
static void more_faults_than_fit(void **state)
{
	(void)state;
	refused_report(exaggerate,
		       "driver test, initialize: the report cannot be: initiator_id is "
		       "18446744073709551615, above "
		       "18446744073709551614; highest_target_id is 18446744073709551615, above "
		       "18446744073709551614; highest_lun is "
		       "18446744073709551615, above 16777215; max_tasks is 18446744073709551615, "
		       "above 65533; internal_tasks is "
		       "18446744073709551615, above 65536; queues is 18446744073709551615, above "
		       "256; 24 more");
}

static void no_tasks(struct hba_report *r)
{
	r->max_tasks = 0;
}

static void task_count_0(void **state)
{
	(void)state;
	refused_report(no_tasks,
		       "driver test, initialize: the report cannot be: max_tasks is 0, below 1");
}

static void too_many_tasks(struct hba_report *r)
{
	r->max_tasks = 65534;
}

static void task_count_too_high(void **state)
{
	(void)state;
	refused_report(
		too_many_tasks,
		"driver test, initialize: the report cannot be: max_tasks is 65534, above 65533");
}

static void sum_too_high(struct hba_report *r)
{
	r->max_tasks = 65533;
	r->internal_tasks = 3;
}

static void pool_too_high(void **state)
{
	(void)state;
	refused_report(sum_too_high, "driver test, initialize: the report cannot be: max_tasks + "
				     "internal_tasks + 1 is 65537, above 65536");
}

static void contradict(struct hba_report *r)
{
	r->initiator_id = r->highest_target_id = 0;
	r->queues = 12;
	r->max_cdb = 11;
	r->constraints.alignment = 3;
}

static void contradictory(void **state)
{
	(void)state;
	refused_report(contradict,
		       "driver test, initialize: the report cannot be: initiator_id 0 leaves no id "
		       "for a target, as "
		       "highest_target_id is 0 too; queues is 12, more than the 11 tasks; max_cdb "
		       "is 11, a CDB has 6, 10, "
		       "12, 16 or 32 bytes; constraints.alignment is 3, not a power of two");
}

static void below_a_block(struct hba_report *r)
{
	r->constraints.max_transfer = 511;
	r->constraints.boundary = 256;
}

static void smaller_than_a_block(void **state)
{
	(void)state;
	refused_report(below_a_block, "driver test, initialize: the report cannot be: "
				      "constraints.boundary is 256, below one block; "
				      "constraints.max_transfer is 511, below one block");
}

static void no_room_for_a_segment(struct hba_report *r)
{
	r->data_mode = HBA_DATA_DMA;
	r->constraints = (struct hba_constraints) { .max_segments_read = 16,
						    .max_segments_write = 16,
						    .max_segment_bytes_read = 512,
						    .max_segment_bytes_write = 1024,
						    .alignment = 4096,
						    .address_bits = 64,
						    .hba_data_mask = UINT64_MAX,
						    .boundary = 2048 };
}

/* The list would have to go on where no segment may begin. */
static void segments_shorter_than_their_alignment(void **state)
{
	(void)state;
	refused_report(no_room_for_a_segment,
		       "driver test, initialize: the report cannot be: constraints.alignment 4096 "
		       "is above max_segment_bytes_read 512; "
		       "constraints.alignment 4096 is above max_segment_bytes_write 1024; "
		       "constraints.alignment 4096 is above boundary "
		       "2048");
}

static void align_to_8k(struct hba_report *r)
{
	r->constraints.hba_data_mask = ~UINT64_C(8191);
}

static void leave_no_width(struct hba_report *r)
{
	r->constraints.hba_data_mask = 0xfff0;
}

static void align_to_a_page(struct hba_report *r)
{
	r->constraints.hba_data_mask = ~UINT64_C(4095);
	r->hba_data_size = 100;
}

/* Not "no memory": no memory would do. */
static void hba_data_that_cannot_lie_so(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c;

	(void)state;
	refused_report(align_to_8k, "driver test, initialize: the report cannot be: "
				    "constraints.hba_data_mask requires an alignment of "
				    "8192, above 4096");
	refused_report(leave_no_width, "driver test, initialize: the report cannot be: "
				       "constraints.hba_data_mask leaves 16 address "
				       "bits, below 18");
	d->report = align_to_a_page;
	c = test_up(d);
	test_down(d, c);
}

static void take_regions(struct hba_report *r)
{
	r->data_mode = HBA_DATA_REGION;
}

/* Not only with the first command, when the scan would take every target for absent. */
static void data_by_region(void **state)
{
	(void)state;
	refused_report(take_regions, "driver test, initialize: the report cannot be: data_mode is "
				     "HBA_DATA_REGION, which is for clients "
				     "only; use HBA_DATA_DMA or HBA_DATA_CPU");
}

static void manage_without_discover(struct hba_report *r)
{
	r->manages_devices = 1;
}

static void manager_without_discover(void **state)
{
	(void)state;
	refused_report(manage_without_discover,
		       "driver test, initialize: the report cannot be: manages_devices is set, but "
		       "there is no op discover");
}

static void name_tmfs(struct hba_report *r)
{
	r->tmfs = HBA_TMF_BIT(HBA_ABORT_TASK);
}

static void tmfs_without_manage(void **state)
{
	struct test_driver *d = test_driver_new();

	(void)state;
	d->table.manage = NULL;
	d->report = name_tmfs;
	refused(d, -EPROTO,
		"driver test, initialize: the report cannot be: tmfs names functions, but there is "
		"no op manage");
}

static void grow(struct hba_report *r)
{
	r->size++;
}

static void report_resized(void **state)
{
	char sentence[200];

	(void)state;
	snprintf(sentence, sizeof(sentence),
		 "driver test, initialize: the report cannot be: size is %zu, this report has %zu "
		 "bytes: leave it alone",
		 sizeof(struct hba_report) + 1, sizeof(struct hba_report));
	refused_report(grow, sentence);
}

/* ---- memory taken before its limit was reported */

static void take_a_buffer(struct test_driver *d, enum test_op op, struct hba_controller *c,
			  struct hba_task *t)
{
	char *sentence = d->of_test;
	struct hba_mapping *m;

	(void)t;
	if (op != TEST_INITIALIZE)
		return;
	assert_int_equal(hba_mapping_create(c, HBA_DEVICE_BOTH, 8192, 0, &m), 0);
	if (!sentence[0])
		snprintf(sentence, 256,
			 "driver test, initialize: the report cannot be: control_address_bits is "
			 "32, but a buffer of 8192 bytes lies "
			 "at %#llx (report it, or constraints.address_bits, before the first "
			 "buffer)",
			 (unsigned long long)hba_mapping_iova(m).bus);
}

static void reach_32_bits(struct hba_report *r)
{
	r->control_address_bits = 32;
}

static void data_reach_32_bits(struct hba_report *r)
{
	r->constraints.address_bits = 32;
}

static void memory_above_its_limit(void **state)
{
	void (*reports[])(struct hba_report * r) = { reach_32_bits, data_reach_32_bits };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct test_driver *d = test_driver_new();
		char sentence[256] = "";

		d->inside = take_a_buffer;
		d->of_test = sentence;
		d->report = reports[i];
		refused(d, -EPROTO, sentence);
	}
}

/* ---- what initialize returns */

static void initialize_fails(void **state)
{
	struct test_driver *d = test_driver_new();

	(void)state;
	d->fail[TEST_INITIALIZE].call = 1;
	d->fail[TEST_INITIALIZE].error = -ENXIO;
	refused(d, -ENXIO, "test:: driver test failed in initialize: No such device or address");
}

static void initialize_returns_a_count(void **state)
{
	struct test_driver *d = test_driver_new();

	(void)state;
	d->fail[TEST_INITIALIZE].call = 1;
	d->fail[TEST_INITIALIZE].error = 5;
	refused(d, -EPROTO,
		"driver test, initialize: returned 5; an op returns 0 or a negative errno");
}

static void start_fails(void **state)
{
	struct test_driver *d = test_driver_new();

	(void)state;
	d->fail[TEST_START].call = 1;
	d->fail[TEST_START].error = -EIO;
	refused(d, -EIO, "test:: driver test failed in start: Input/output error");
}

static void say_why(struct test_driver *d, enum test_op op, struct hba_controller *c,
		    struct hba_task *t)
{
	(void)t;
	if (d->fail[op].call)
		hba_fail(c, d->fail[op].error, "the chip's firmware is %d years old", 12);
}

static void says_why(enum test_op op, int error)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c;

	d->inside = say_why;
	d->fail[op].call = 1;
	d->fail[op].error = error;
	c = test_open(d, NULL);
	assert_int_equal(hba_controller_start(c), error);
	assert_string_equal(hba_error(), "test:: the chip's firmware is 12 years old");
	test_down(d, c);
}

/* Whatever the errno, also one that violations have. */
static void an_op_says_why(void **state)
{
	(void)state;
	says_why(TEST_INITIALIZE, -EIO);
	says_why(TEST_INITIALIZE, -EPROTO);
	says_why(TEST_START, -EIO);
	says_why(TEST_START, -EPROTO);
}

static void say_too_much(struct test_driver *d, enum test_op op, struct hba_controller *c,
			 struct hba_task *t)
{
	(void)d;
	(void)t;
	if (op == TEST_START)
		hba_fail(c, -EIO, "the chip's firmware has much to say: %0*d", 1000, 0);
}

/* A sentence that had to be cut does not look like a whole one. */
static void a_sentence_that_is_too_long(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c;

	(void)state;
	d->inside = say_too_much;
	d->fail[TEST_START].call = 1;
	d->fail[TEST_START].error = -EIO;
	c = test_open(d, NULL);
	assert_int_equal(hba_controller_start(c), -EIO);
	assert_memory_equal(hba_error(), "test:: the chip's firmware has", 30);
	assert_string_equal(hba_error() + strlen(hba_error()) - 5, "00...");
	test_down(d, c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_missing),
		cmocka_unit_test(some_missing),
		cmocka_unit_test(task_count_0),
		cmocka_unit_test(task_count_too_high),
		cmocka_unit_test(pool_too_high),
		cmocka_unit_test(contradictory),
		cmocka_unit_test(smaller_than_a_block),
		cmocka_unit_test(data_by_region),
		cmocka_unit_test(segments_shorter_than_their_alignment),
		cmocka_unit_test(manager_without_discover),
		cmocka_unit_test(tmfs_without_manage),
		cmocka_unit_test(report_resized),
		cmocka_unit_test(initialize_fails),
		cmocka_unit_test(memory_above_its_limit),
		cmocka_unit_test(initialize_returns_a_count),
		cmocka_unit_test(start_fails),
		cmocka_unit_test(an_op_says_why),
		cmocka_unit_test(more_faults_than_fit),
		cmocka_unit_test(hba_data_that_cannot_lie_so),
		cmocka_unit_test(a_sentence_that_is_too_long),
	};

	return cmocka_run_group_tests_name("contract: report", tests, NULL, NULL);
}
