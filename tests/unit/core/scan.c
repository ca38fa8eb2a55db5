/* SPDX-License-Identifier: MIT */
/*
 * scan.c: which targets and units are found, what is known of them, and what a rescan makes of
 * changes; also of answers that lie.
 */
#include "core/controller/controller.h"

#include "lib/test-driver.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MANY_TURNS = 200000, INQUIRY = 0x12, REPORT_LUNS = 0xa0 };

static unsigned count_units(struct hba_controller *c)
{
	unsigned n = 0;

	for (struct hba_lun *lun = hba_lun_next(c, NULL); lun; lun = hba_lun_next(c, lun))
		n++;
	return n;
}

static struct hba_lun_info info_of(struct hba_controller *c, uint64_t target, uint64_t number)
{
	struct hba_lun *lun = hba_lun_find(c, target, number);
	struct hba_lun_info info;

	assert_non_null(lun);
	hba_lun_get_info(lun, &info);
	return info;
}

static void rescan(struct hba_controller *c)
{
	assert_int_equal(hba_controller_rescan(c), 0);
	test_turns(c, 1);
	for (unsigned i = 0; i < MANY_TURNS && !scan_over(c); i++) {
		test_turns(c, 1);
		usleep(10);
	}
	assert_true(scan_over(c));
}

/* How many scans have ended since the last look; *ret_value is what the last one said. */
static unsigned scans_told(struct hba_controller *c, int64_t *ret_value)
{
	struct hba_event e;
	unsigned n = 0;

	for (; test_event(c, HBA_EVENT_SCANNED, &e); n++)
		*ret_value = e.value;
	return n;
}

static void the_end_of_a_scan_is_told(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	int64_t units = 0;

	(void)state;
	assert_int_equal(scans_told(c, &units), 1); /* start's own */
	assert_int_equal(units, 1);
	rescan(c);
	assert_int_equal(scans_told(c, &units), 1); /* though nothing has changed */
	d->targets[2].luns = 3;
	assert_int_equal(hba_controller_rescan(c), 0);
	test_turns(c, 1);
	assert_int_equal(scans_told(c, &units), 0);
	rescan(c); /* before the first has ended: told once, when both have */
	assert_int_equal(scans_told(c, &units), 1);
	assert_int_equal(units, 4);
	test_down(d, c);
}

/* ---- who is there */

static void targets_up_to_the_highest(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c;
	uint64_t began = d->now;

	(void)state;
	d->targets[3].luns = 1;
	c = test_up(d);
	assert_int_equal(count_units(c), 2);
	assert_true(info_of(c, 0, 0).present);
	assert_true(info_of(c, 3, 0).present);
	assert_int_equal(d->now, began); /* who is not there costs no wait */
	assert_null(hba_lun_find(c, 1, 0));
	assert_null(hba_lun_find(c, 0, 1));
	assert_null(hba_lun_find(c, 99, 0));
	test_no_violation(c);
	test_down(d, c);
}

static void initiator_2(struct hba_report *r)
{
	r->initiator_id = 2;
}

static bool never_to_2(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	(void)d;
	(void)q;
	assert_int_not_equal(t->target, 2);
	return false;
}

static void initiator_id_is_no_target(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c;

	(void)state;
	for (unsigned i = 0; i < TEST_TARGETS; i++)
		d->targets[i].luns = 1;
	d->report = initiator_2;
	d->process = never_to_2;
	c = test_up(d);
	assert_int_equal(count_units(c), 3);
	assert_int_equal(d->calls[TEST_INITIALIZE_TARGET], 3);
	assert_null(hba_lun_find(c, 2, 0));
	test_down(d, c);
}

/* The first target's initialize_target returns `error`; the other is used all the same. */
static struct hba_controller *refuse_first(struct test_driver *d, int error)
{
	struct hba_controller *c;

	d->targets[0].luns = d->targets[1].luns = 1;
	d->fail[TEST_INITIALIZE_TARGET].call = 1;
	d->fail[TEST_INITIALIZE_TARGET].error = error;
	c = test_up(d);
	assert_int_equal(count_units(c), 1);
	assert_true(info_of(c, 1, 0).present);
	return c;
}

static void a_target_the_driver_refuses(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = refuse_first(d, -EIO);
	struct hba_event e;

	(void)state;
	assert_true(test_event(c, HBA_EVENT_TARGET_REFUSED, &e));
	assert_int_equal(e.target, 0);
	assert_int_equal(e.value, -EIO);
	assert_string_equal(
		e.text, "target 0 is not used: driver test, initialize_target: Input/output error");
	assert_false(test_event(c, HBA_EVENT_TARGET_REFUSED, &e));
	test_down(d, c);
}

static void a_target_that_is_not_there_is_no_news(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = refuse_first(d, -ENODEV);
	struct hba_event e;

	(void)state;
	assert_false(test_event(c, HBA_EVENT_TARGET_REFUSED, &e));
	test_down(d, c);
}

static void a_target_with_an_answer_that_is_none(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = refuse_first(d, 1);
	struct hba_event e;

	(void)state;
	assert_true(test_event(c, HBA_EVENT_VIOLATION, &e));
	assert_non_null(strstr(e.text, "initialize_target: returned 1"));
	test_down(d, c);
}

static void manager(struct hba_report *r)
{
	r->manages_devices = 1;
}

static int discover(struct hba_controller *c)
{
	int r = hba_target_create(c, 3, NULL);

	hba_discovery_done(c);
	return r < 0 ? r : 0;
}

static void managed_targets_are_not_scanned(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c;

	(void)state;
	d->targets[3].luns = 1;
	d->report = manager;
	d->table.discover = discover;
	c = test_up(d);
	assert_int_equal(count_units(c), 1); /* target 0 answers, but the driver has not named it */
	assert_true(info_of(c, 3, 0).present);
	assert_int_equal(d->calls[TEST_INITIALIZE_TARGET], 1);
	test_down(d, c);
}

/*
 * A target whose INQUIRY is swallowed: its time passes, the abort brings it back, and it counts as
 * absent.
 */
static void a_target_that_never_answers(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c;

	(void)state;
	d->targets[1].luns = 1;
	d->hold = true;
	d->hold_target = 1;
	d->tick = 20 * TEST_MS;
	c = test_up(d);
	assert_int_equal(d->functions[0], HBA_ABORT_TASK);
	assert_int_equal(count_units(c), 1);
	assert_null(hba_lun_find(c, 1, 0));
	d->hold = false;
	d->tick = 0;
	rescan(c);
	assert_true(info_of(c, 1, 0).present);
	test_down(d, c);
}

/* ---- units */

static void many_units(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c;
	uint64_t number = 0;

	(void)state;
	d->targets[0].luns = TEST_HIGHEST_LUN + 2; /* one more than the controller can address */
	c = test_up(d);
	assert_int_equal(count_units(c), TEST_HIGHEST_LUN + 1);
	for (struct hba_lun *lun = hba_lun_next(c, NULL); lun; lun = hba_lun_next(c, lun)) {
		struct hba_lun_info info;

		hba_lun_get_info(lun, &info);
		assert_int_equal(info.number, number++);
	}
	assert_int_equal(test_ready(hba_lun_find(c, 0, TEST_HIGHEST_LUN)), HBA_GOOD);
	test_down(d, c);
}

static void eight_units(struct hba_report *r)
{
	r->highest_lun = 7;
}

static void units_one_by_one_up_to_the_highest(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c;

	(void)state;
	d->report = eight_units;
	d->targets[0].luns = 5;
	d->targets[0].no_report_luns = true;
	d->targets[1].luns = 10;
	d->targets[1].no_report_luns = true;
	c = test_up(d);
	assert_int_equal(count_units(c), 5 + 8);
	assert_null(hba_lun_find(c, 0, 5));
	assert_null(hba_lun_find(c, 1, 8));
	test_down(d, c);
}

static int narrow_target_one(struct hba_controller *c, struct hba_target *tgt,
			     struct hba_target_report *r)
{
	(void)c;
	if (hba_target_id(tgt) == 1)
		r->highest_lun = 2;
	return 0;
}

/*
 * One by one, and from its own list: a target's highest LUN is its own, and not the controller's.
 */
static void units_up_to_the_highest_of_their_target(void **state)
{
	(void)state;
	for (unsigned lists = 0; lists < 2; lists++) {
		struct test_driver *d = test_driver_new();
		struct hba_controller *c;

		d->report = eight_units;
		d->table.initialize_target = narrow_target_one;
		for (unsigned i = 0; i < 2; i++) {
			d->targets[i].luns = 6;
			d->targets[i].no_report_luns = !lists;
		}
		c = test_up(d);
		assert_int_equal(count_units(c), 6 + 3);
		assert_non_null(hba_lun_find(c, 0, 5));
		assert_non_null(hba_lun_find(c, 1, 2));
		assert_null(hba_lun_find(c, 1, 3));
		test_down(d, c);
	}
}

static struct hba_event left_out(struct hba_controller *c)
{
	struct hba_event e;

	if (!test_event(c, HBA_EVENT_LUNS_LEFT_OUT, &e))
		fail_msg("nothing was said of units that were left out");
	return e;
}

static void none_left_out(struct hba_controller *c)
{
	struct hba_event e;

	if (test_event(c, HBA_EVENT_LUNS_LEFT_OUT, &e))
		fail_msg("left out: %s", e.text);
}

/* The target has no list, and so many units. */
static struct hba_controller *without_list(struct test_driver *d, unsigned units)
{
	struct hba_controller *c;

	d->targets[0].luns = units;
	d->targets[0].no_report_luns = true;
	c = test_up(d);
	assert_int_equal(count_units(c), units);
	return c;
}

static void units_one_by_one_however_many(void **state)
{
	static const unsigned units[] = { 256, 300, TEST_HIGHEST_LUN + 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		struct test_driver *d = test_driver_new();
		struct hba_controller *c = without_list(d, units[i]);

		none_left_out(c);
		test_down(d, c);
	}
}

static void units_one_by_one_until_nobody_is_there(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = without_list(d, 5);

	(void)state;
	assert_string_equal(left_out(c).text,
			    "target 0: units from number 261 on were not probed: it has no list of "
			    "units, and 256 numbers in a row had none");
	none_left_out(c);
	d->targets[0].luns = TEST_HIGHEST_LUN + 1 - 256;
	rescan(c);
	none_left_out(c); /* the last of them was the highest */
	test_down(d, c);
}

/* 512 bytes of an answer: a list of 63. */
static void short_answers(struct hba_report *r)
{
	r->constraints.max_transfer = 512;
}

static void a_list_longer_than_one_answer(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c;

	(void)state;
	d->report = short_answers;
	d->targets[0].luns = 200;
	c = test_up(d);
	assert_int_equal(count_units(c), 200);
	none_left_out(c);
	assert_int_equal(test_ready(hba_lun_find(c, 0, 199)), HBA_GOOD);
	test_down(d, c);
}

/* As a bridge might number them: what is listed comes last first, the others lie behind a gap. */
static void sparse(struct test_driver *d, const struct hba_task *t, size_t *n)
{
	const unsigned *behind = d->of_test;
	unsigned number = (unsigned)t->lun.bytes[1] + ((t->lun.bytes[0] & 0x3fU) << 8);

	if (t->target == 0 && t->cdb[0] == INQUIRY && !t->cdb[1] && number >= 63 &&
	    number < *behind)
		d->data[0] = 0x7f;
	if (t->target != 0 || t->cdb[0] != REPORT_LUNS)
		return;
	for (unsigned i = 0; i < 63; i++)
		d->data[9 + 8 * i] = (uint8_t)(62 - i);
	d->data[2] = 0;
	d->data[3] = 70 * 8 & 0xff;
	d->data[2] = 70 * 8 >> 8;
	*n = 512;
}

static void units_behind_a_gap(struct test_driver *d, unsigned *behind)
{
	d->report = short_answers;
	d->answer = sparse;
	d->of_test = behind;
	d->targets[0].luns = *behind + 7;
}

static void a_cut_list_in_any_order(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c;
	unsigned behind = 300;

	(void)state;
	units_behind_a_gap(d, &behind);
	c = test_up(d);
	assert_int_equal(count_units(c), 70);
	assert_true(info_of(c, 0, 306).present);
	none_left_out(c);
	test_down(d, c);
}

static void units_that_are_not_found_are_told(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c;
	unsigned behind = 63 + 256;
	struct hba_event e;

	(void)state;
	units_behind_a_gap(d, &behind);
	c = test_up(d);
	assert_int_equal(count_units(c), 63);
	e = left_out(c);
	assert_int_equal(e.target, 0);
	assert_int_equal(e.value, 7);
	assert_string_equal(e.text, "target 0: 7 of its units were not found: its list has only "
				    "the first 63, for one answer holds no more");
	test_down(d, c);
}

static void two_levels(struct test_driver *d, const struct hba_task *t, size_t *n)
{
	static const uint8_t list[] = { 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0,
					0, 0, 0, 0,  0, 1, 0, 2, 0, 0, 0, 0 };

	if (t->cdb[0] != REPORT_LUNS || t->target != 0)
		return;
	memcpy(d->data, list, sizeof(list));
	*n = sizeof(list);
}

static void hierarchical(struct hba_report *r)
{
	r->hierarchical_luns = 1;
}

static unsigned units_of_two_levels(void (*report)(struct hba_report *r))
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c;
	unsigned n;

	d->report = report;
	d->answer = two_levels;
	d->targets[0].luns = 2;
	c = test_up(d);
	n = count_units(c);
	test_down(d, c);
	return n;
}

static void hierarchical_luns_only_where_supported(void **state)
{
	(void)state;
	assert_int_equal(units_of_two_levels(NULL), 1);
	assert_int_equal(units_of_two_levels(hierarchical), 2);
}

/* ---- what is known of a unit */

static void capacities(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c;

	(void)state;
	for (unsigned i = 0; i < TEST_TARGETS; i++)
		d->targets[i].luns = 1;
	d->targets[1].no_capacity_16 = true;
	d->targets[2].version = 4; /* (10) first, and that says that it is not enough */
	d->targets[2].blocks = UINT64_C(1) << 33;
	d->targets[3].write_protected = true;
	d->targets[3].attentions = 3;
	c = test_up(d);
	for (unsigned i = 0; i < TEST_TARGETS; i++) {
		struct hba_lun_info info = info_of(c, i, 0);

		assert_int_equal(info.blocks, i == 2 ? UINT64_C(1) << 33 : TEST_BLOCKS);
		assert_int_equal(info.block_bytes, TEST_BLOCK);
		assert_int_equal(info.read_only, i == 3);
		assert_int_equal(info.generation, 1);
		assert_string_equal(info.vendor, "HBAKIT");
		assert_string_equal(info.product, "TEST DISK");
		assert_string_equal(info.revision, "1.0");
		assert_string_equal(info.serial, "SERIAL-1");
	}
	assert_int_equal(d->targets[3].attentions, 0);
	test_down(d, c);
}

/* A number of bytes that wraps would pass for a small disk. */
static void capacities_that_cannot_be(void **state)
{
	static const uint64_t blocks[TEST_TARGETS] = { UINT64_C(1) << 55, UINT64_MAX,
						       UINT64_C(1) << 54, (UINT64_C(1) << 54) - 1 };
	struct test_driver *d = test_driver_new();
	struct hba_controller *c;

	(void)state;
	for (unsigned i = 0; i < TEST_TARGETS; i++) {
		d->targets[i].luns = 1;
		d->targets[i].blocks = blocks[i];
	}
	d->targets[1].block_bytes = UINT32_MAX;
	c = test_up(d);
	for (unsigned i = 0; i < TEST_TARGETS; i++) {
		struct hba_lun_info info = info_of(c, i, 0);

		assert_int_equal(info.blocks, i == 3 ? blocks[i] : 0);
		assert_int_equal(info.block_bytes, i == 3 ? TEST_BLOCK : 0);
	}
	test_down(d, c);
}

/* ---- changes */

static void leaves_and_comes_back(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c;
	struct hba_lun *lun;
	struct hba_event e;

	(void)state;
	d->targets[1].luns = 1;
	c = test_up(d);
	lun = hba_lun_find(c, 1, 0);
	while (hba_event_next(c, &e))
		;
	d->targets[1].luns = 0;
	rescan(c);
	assert_true(test_event(c, HBA_EVENT_LUN_LEFT, &e));
	assert_int_equal(e.target, 1);
	assert_false(info_of(c, 1, 0).present);
	assert_int_equal(count_units(c), 1);
	assert_int_equal(test_ready(lun), HBA_NOT_PRESENT);
	while (hba_event_next(c, &e))
		;
	d->targets[1].luns = 1;
	rescan(c);
	assert_true(test_event(c, HBA_EVENT_LUN_CAME, &e));
	assert_ptr_equal(hba_lun_find(c, 1, 0), lun);
	assert_int_equal(info_of(c, 1, 0).generation, 1); /* the same disk */
	assert_int_equal(test_ready(lun), HBA_GOOD);
	test_down(d, c);
}

static void another_disk_counts_up(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	struct hba_event e;

	(void)state;
	d->targets[0].serial = "SERIAL-2";
	rescan(c);
	assert_int_equal(info_of(c, 0, 0).generation, 2);
	assert_string_equal(info_of(c, 0, 0).serial, "SERIAL-2");
	assert_true(test_event(c, HBA_EVENT_LUN_CHANGED, &e));
	rescan(c);
	assert_int_equal(info_of(c, 0, 0).generation, 2);
	assert_false(test_event(c, HBA_EVENT_LUN_CHANGED, &e));
	d->targets[0].blocks = 100;
	rescan(c);
	assert_int_equal(info_of(c, 0, 0).generation, 3);
	assert_int_equal(info_of(c, 0, 0).blocks, 100);
	test_down(d, c);
}

static bool say_media_changed(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	(void)t;
	d->process = NULL;
	hba_media_changed(hba_queue_controller(q), 0, NULL);
	return false;
}

static void changed_medium_is_read_again(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);

	(void)state;
	d->targets[0].blocks = 77;
	d->process = say_media_changed;
	assert_int_equal(test_ready(hba_lun_find(c, 0, 0)), HBA_GOOD);
	for (unsigned i = 0; i < MANY_TURNS && info_of(c, 0, 0).blocks != 77; i++)
		test_turns(c, 1);
	assert_int_equal(info_of(c, 0, 0).blocks, 77);
	test_down(d, c);
}

/* What is queued for a unit that leaves ends at once. */
static void queued_when_it_leaves(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	struct hba_lun *lun = hba_lun_find(c, 0, 0);
	struct test_io io = { .put = true };
	struct hba_task *t = test_get(lun);

	(void)state;
	lun->frozen++;
	test_fill_ready(t);
	assert_int_equal(hba_submit(t, test_done, &io), 0);
	test_turns(c, 3);
	assert_int_equal(io.done, 0);
	assert_true(lun_set_absent(lun));
	queue_flush(lun->controller, lun, HBA_NOT_PRESENT);
	test_wait(c, &io, 1);
	assert_int_equal(io.last.outcome, HBA_NOT_PRESENT);
	assert_int_equal(io.last.sent, HBA_SENT_NO);
	lun->frozen--;
	test_down(d, c);
}

/* ---- answers that lie */

struct noise {
	uint64_t seed;
	uint8_t opcode; /* of the answer that is spoilt */
	bool cut;       /* else: other bytes */
};

static uint64_t next_random(struct noise *n)
{
	n->seed ^= n->seed << 13;
	n->seed ^= n->seed >> 7;
	n->seed ^= n->seed << 17;
	return n->seed;
}

static void spoil(struct test_driver *d, const struct hba_task *t, size_t *n)
{
	struct noise *noise = d->of_test;

	if (t->cdb[0] != noise->opcode || t->target != 0)
		return;
	if (noise->cut) {
		*n = *n ? next_random(noise) % *n : 0;
		return;
	}
	*n = t->length < 512 ? t->length : next_random(noise) % 512;
	for (size_t i = 0; i < *n; i++)
		d->data[i] = (uint8_t)next_random(noise);
}

static void answers_that_lie(void **state)
{
	static const uint8_t opcodes[] = { INQUIRY, REPORT_LUNS, 0x25, 0x9e, 0x1a };
	struct noise noise = { .seed = 88172645463325252 };

	(void)state;
	for (unsigned i = 0; i < 50 * ARRAY_SIZE(opcodes); i++) {
		struct test_driver *d = test_driver_new();
		struct hba_controller *c;

		noise.opcode = opcodes[i % ARRAY_SIZE(opcodes)];
		noise.cut = i / ARRAY_SIZE(opcodes) % 2;
		d->of_test = &noise;
		d->answer = spoil;
		d->targets[0].luns = 2;
		d->targets[1].luns = 1;
		d->targets[0].version = i % 3 ? 6 : 4;
		c = test_up(d);
		assert_true(info_of(c, 1, 0).present); /* the neighbour is not harmed */
		rescan(c);
		test_down(d, c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_end_of_a_scan_is_told),
		cmocka_unit_test(targets_up_to_the_highest),
		cmocka_unit_test(initiator_id_is_no_target),
		cmocka_unit_test(a_target_the_driver_refuses),
		cmocka_unit_test(a_target_that_is_not_there_is_no_news),
		cmocka_unit_test(a_target_with_an_answer_that_is_none),
		cmocka_unit_test(managed_targets_are_not_scanned),
		cmocka_unit_test(a_target_that_never_answers),
		cmocka_unit_test(many_units),
		cmocka_unit_test(units_one_by_one_up_to_the_highest),
		cmocka_unit_test(units_up_to_the_highest_of_their_target),
		cmocka_unit_test(units_one_by_one_however_many),
		cmocka_unit_test(units_one_by_one_until_nobody_is_there),
		cmocka_unit_test(a_list_longer_than_one_answer),
		cmocka_unit_test(a_cut_list_in_any_order),
		cmocka_unit_test(units_that_are_not_found_are_told),
		cmocka_unit_test(hierarchical_luns_only_where_supported),
		cmocka_unit_test(capacities),
		cmocka_unit_test(capacities_that_cannot_be),
		cmocka_unit_test(leaves_and_comes_back),
		cmocka_unit_test(another_disk_counts_up),
		cmocka_unit_test(changed_medium_is_read_again),
		cmocka_unit_test(queued_when_it_leaves),
		cmocka_unit_test(answers_that_lie),
	};

	return cmocka_run_group_tests_name("core: scan", tests, NULL, NULL);
}
