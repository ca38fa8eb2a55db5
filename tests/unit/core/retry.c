/* SPDX-License-Identifier: MIT */
/* retry.c: what is sent again and when, what never is; and sense that the driver does not bring. */
#include "rig.h"

#include <errno.h>
#include <string.h>

enum {
	READ_10_OP = 0x28,
	BUSY_FIRST_MS = 1,
	BUSY_MS = 100,
	READY_MS = 500,
	POWER_ON = 0x29,
	BECOMING_READY_ASC = 4,
	BECOMING_READY_ASCQ = 1,
	INVENTORY = 0x3f,
	LUNS_CHANGED = 0x0e,
	PARAMETERS = 0x2a,
	CAPACITY = 9,
	MEDIUM = 0x28,
};

static const struct rig_answer attention = { .key = UNIT_ATTENTION_KEY, .asc = POWER_ON };
static const struct rig_answer not_ready = { .key = NOT_READY_KEY,
					     .asc = BECOMING_READY_ASC,
					     .ascq = BECOMING_READY_ASCQ };
static const struct rig_answer busy = { .outcome = HBA_BUSY };
static const struct rig_answer full = { .outcome = HBA_TASK_SET_FULL };

static uint8_t buffer[TEST_BLOCK];

static struct hba_task *send(struct hba_lun *lun, struct test_io *io, bool block)
{
	struct hba_task *t = test_get(lun);

	if (block)
		test_fill_rw(t, false, 0, 1, buffer);
	else
		test_fill_ready(t);
	assert_int_equal(hba_submit(t, test_done, io), 0);
	return t;
}

static struct hba_lun *unit(struct rig *r, unsigned number)
{
	struct hba_lun *lun = hba_lun_find(r->c, 0, number);

	assert_non_null(lun);
	return lun;
}

static void two_units(struct hba_report *report)
{
	report->highest_lun = 3;
}

static void up(struct rig *r)
{
	rig_init(r);
	r->report = two_units;
	r->d->targets[0].luns = 2;
	rig_up(r);
}

/* ---- the rules */

static void set_number(struct hba_controller *c, struct hba_target *tgt, const char *key,
		       uint64_t n)
{
	struct hba_property p = { .key = key, .type = HBA_NUMBER, .value.number = n };

	AS_DRIVER(c, assert_int_equal(hba_set_property(c, tgt, &p), 0));
}

static void attention_comes_off_block_commands(void **state)
{
	struct test_io io = { .put = true };
	struct rig r;

	(void)state;
	up(&r);
	rig_say(&r, attention, 8);
	send(unit(&r, 0), &io, true);
	test_wait(r.c, &io, 1);
	assert_int_equal(io.last.outcome, HBA_GOOD);
	assert_int_equal(rig_clients(&r), 9);
	/* A unit that has nothing but attentions to say is not asked for ever. */
	rig_say(&r, attention, 20);
	send(unit(&r, 0), &io, true);
	test_wait(r.c, &io, 2);
	assert_int_equal(io.last.outcome, HBA_CHECK_CONDITION);
	assert_int_equal(rig_clients(&r), 9 + 9);
	rig_down(&r);
}

static void only_block_commands_are_retried(void **state)
{
	static const struct rig_answer *const answers[] = { &attention, &not_ready, &busy };
	struct test_io io = { .put = true };
	struct rig r;

	(void)state;
	up(&r);
	for (unsigned i = 0; i < ARRAY_SIZE(answers); i++) {
		rig_say(&r, *answers[i], 1);
		send(unit(&r, 0), &io, false);
		test_wait(r.c, &io, i + 1);
		assert_int_equal(io.last.outcome, answers[i]->key ? HBA_CHECK_CONDITION : HBA_BUSY);
		assert_int_equal(rig_clients(&r), i + 1);
	}
	assert_int_equal(io.sense[2] & 0xf, NOT_READY_KEY);
	rig_down(&r);
}

/*
 * Answered so until `ms` have passed, first after `first` ms, at last each `every` ms; then it is
 * told.
 */
static void for_so_long(const struct rig_answer *a, uint64_t first, uint64_t every, uint64_t ms,
			enum hba_outcome end)
{
	struct test_io io = { .put = true };
	struct rig r;
	uint64_t t0;

	up(&r);
	rig_say(&r, *a, RIG_SCRIPT);
	send(unit(&r, 0), &io, true);
	t0 = r.d->now;
	test_turns(r.c, 3);
	assert_int_equal(rig_clients(&r), 1);
	test_advance(r.d, first - 1);
	test_turns(r.c, 3);
	assert_int_equal(rig_clients(&r), 1);
	test_advance(r.d, 1);
	test_turns(r.c, 3);
	assert_int_equal(rig_clients(&r), 2);
	assert_int_equal(r.log[1].at - t0, first * TEST_MS);
	rig_say(&r, *a, 0);
	while (r.d->now - t0 < (ms - 2 * every) * TEST_MS) {
		r.next = 0; /* the same answer for ever */
		rig_pass(&r, every, every);
		assert_int_equal(io.done, 0);
	}
	for (unsigned i = 0; i < 5 && !io.done; i++) {
		r.next = 0;
		rig_pass(&r, every, every);
	}
	assert_int_equal(io.done, 1);
	assert_int_equal(io.last.outcome, end);
	assert_in_range((r.d->now - t0) / TEST_MS, ms, ms + 2 * every);
	rig_down(&r);
}

static void busy_for_30_seconds(void **state)
{
	(void)state;
	for_so_long(&busy, BUSY_FIRST_MS, BUSY_MS, 30 * 1000, HBA_BUSY);
}

/*
 * The delays between `n` refusals and the try that follows each, with `retries` (HBA_UNSET: none)
 * as the target's number.
 */
static void busy_delays(uint64_t retries, const unsigned *ms, unsigned n)
{
	struct test_io io = { .put = true };
	struct rig r;

	up(&r);
	if (retries != HBA_UNSET)
		set_number(r.c, target_find(r.c, 0), "Retry Count", retries);
	rig_say(&r, busy, n);
	send(unit(&r, 0), &io, true);
	test_turns(r.c, 3);
	for (unsigned i = 0; i < n; i++) {
		test_advance(r.d, ms[i] - 1);
		test_turns(r.c, 3);
		assert_int_equal(rig_clients(&r), i + 1);
		test_advance(r.d, 1);
		test_turns(r.c, 3);
		assert_int_equal(rig_clients(&r), i + 2);
	}
	assert_int_equal(io.done, 1);
	assert_int_equal(io.last.outcome, HBA_GOOD);
	rig_down(&r);
}

static void busy_delays_double(void **state)
{
	static const unsigned doubled[] = { 1, 2, 4, 8, 16, 32, 64, BUSY_MS, BUSY_MS, BUSY_MS },
			      counted[] = { BUSY_MS, BUSY_MS };

	(void)state;
	busy_delays(HBA_UNSET, doubled, ARRAY_SIZE(doubled));
	busy_delays(ARRAY_SIZE(counted), counted, ARRAY_SIZE(counted));
}

static void becoming_ready_for_60_seconds(void **state)
{
	(void)state;
	for_so_long(&not_ready, READY_MS, READY_MS, 60 * 1000, HBA_CHECK_CONDITION);
}

/* Not ready for any other reason is an answer. */
static void not_ready_otherwise_is_told(void **state)
{
	struct test_io io = { .put = true };
	struct rig r;

	(void)state;
	up(&r);
	rig_say(&r, (struct rig_answer) { .key = NOT_READY_KEY, .asc = 0x3a }, 1);
	send(unit(&r, 0), &io, true);
	test_wait(r.c, &io, 1);
	assert_int_equal(io.last.outcome, HBA_CHECK_CONDITION);
	rig_down(&r);
}

/* Other units do not wait with it. */
static void others_go_on_while_one_is_busy(void **state)
{
	struct test_io io = { .put = true };
	struct rig r;

	(void)state;
	up(&r);
	rig_say(&r, busy, 1);
	send(unit(&r, 0), &io, true);
	test_turns(r.c, 3);
	assert_int_equal(io.done, 0);
	assert_int_equal(test_ready(unit(&r, 1)), HBA_GOOD);
	assert_int_equal(io.done, 0);
	test_advance(r.d, BUSY_MS);
	test_wait(r.c, &io, 1);
	assert_int_equal(io.last.outcome, HBA_GOOD);
	rig_down(&r);
}

static void never_sent_is_sent_again(void **state)
{
	static const enum hba_outcome ends[] = { HBA_NOT_DELIVERED, HBA_PROTOCOL_TIMEOUT,
						 HBA_NO_STATUS };
	struct test_io io = { .put = true };
	struct rig r;
	unsigned done = 0;

	(void)state;
	up(&r);
	for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
		rig_say(&r, (struct rig_answer) { .outcome = ends[i], .sent = HBA_SENT_NO }, 10);
		r.n_log = 0;
		send(unit(&r, 0), &io, false);
		rig_pass(&r, 10 * BUSY_MS, BUSY_MS);
		assert_int_equal(io.done, ++done);
		assert_int_equal(io.last.outcome, ends[i]);
		assert_int_equal(rig_clients(&r), 1 + 3); /* and three more */
		r.next = r.n_script = 0;
		/* Nobody knows, or it was: never again, whatever the command. */
		for (enum hba_sent sent = HBA_SENT_MAYBE; sent <= HBA_SENT_YES; sent += 2) {
			rig_say(&r, (struct rig_answer) { .outcome = ends[i], .sent = sent }, 1);
			r.n_log = 0;
			send(unit(&r, 0), &io, true);
			test_wait(r.c, &io, ++done);
			assert_int_equal(io.last.outcome, ends[i]);
			assert_int_equal(rig_clients(&r), 1);
		}
	}
	rig_down(&r);
}

static void cancelled_is_never_sent_again(void **state)
{
	struct test_io io = { .put = true };
	struct hba_task *t;
	struct rig r;

	(void)state;
	up(&r);
	rig_say(&r, (struct rig_answer) { .outcome = HBA_NOT_DELIVERED, .sent = HBA_SENT_NO }, 1);
	r.d->hold = true;
	t = send(unit(&r, 0), &io, true);
	test_turns(r.c, 1);
	hba_cancel(t);
	AS_DRIVER(r.c, hba_complete_failed(r.d->held[0], HBA_NOT_DELIVERED, HBA_SENT_NO));
	r.d->n_held = 0;
	test_wait(r.c, &io, 1);
	rig_pass(&r, 10 * BUSY_MS, BUSY_MS);
	assert_int_equal(rig_clients(&r), 1);
	/* And one that is waiting for its next try. */
	r.d->hold = false;
	r.n_log = 0;
	rig_say(&r, busy, 1);
	t = send(unit(&r, 0), &io, true);
	test_turns(r.c, 2);
	assert_int_equal(io.done, 1);
	hba_cancel(t);
	test_wait(r.c, &io, 2);
	assert_int_equal(io.last.outcome, HBA_NOT_DELIVERED);
	rig_pass(&r, 10 * BUSY_MS, BUSY_MS);
	assert_int_equal(rig_clients(&r), 1);
	test_no_violation(r.c);
	rig_down(&r);
}

/* ---- what is told of it */

static void told(struct rig *r, int64_t value, const char *sentence)
{
	struct hba_event e;

	assert_true(test_event(r->c, HBA_EVENT_RETRY, &e));
	assert_string_equal(e.text, sentence);
	assert_int_equal(e.value, value);
	assert_int_equal(e.target, 0);
}

static void each_repeat_is_told_with_its_reason(void **state)
{
	static const struct rig_answer lost = { .outcome = HBA_NOT_DELIVERED, .sent = HBA_SENT_NO };
	struct test_io io = { .put = true };
	struct hba_event e;
	struct rig r;

	(void)state;
	up(&r);
	rig_say(&r, attention, 1);
	rig_say(&r, busy, 1);
	rig_say(&r, not_ready, 1);
	rig_say(&r, lost, 1);
	send(unit(&r, 1), &io, true);
	rig_pass(&r, 10 * READY_MS, BUSY_MS);
	assert_int_equal(io.last.outcome, HBA_GOOD);
	told(&r, 2,
	     "READ(10) of 0:1, block 0 waits until the unit has been read again, try 2: UNIT "
	     "ATTENTION, ASC 29, ASCQ 00: POWER ON, "
	     "RESET, OR BUS DEVICE RESET OCCURRED");
	told(&r, 3, "READ(10) of 0:1, block 0 is sent again in 2 ms, try 3: BUSY");
	told(&r, 4,
	     "READ(10) of 0:1, block 0 is sent again in 500 ms, try 4: NOT READY, ASC 04, ASCQ 01: "
	     "LOGICAL UNIT IS IN PROCESS OF "
	     "BECOMING READY");
	told(&r, 5, "READ(10) of 0:1, block 0 is sent again in 100 ms, try 5: it was not sent");
	/*
	 * Once it has ended, the next command begins to count anew; what is not sent again, is not
	 * told.
	 */
	rig_say(&r, busy, 1);
	send(unit(&r, 1), &io, true);
	rig_pass(&r, 2 * BUSY_MS, BUSY_MS);
	told(&r, 2, "READ(10) of 0:1, block 0 is sent again in 1 ms, try 2: BUSY");
	rig_say(&r, busy, 1);
	send(unit(&r, 1), &io, false);
	test_wait(r.c, &io, 3);
	assert_false(test_event(r.c, HBA_EVENT_RETRY, &e));
	rig_down(&r);
}

/* It is how a unit says how much it takes, with every burst: once is enough. */
static void a_full_task_set_is_told_once(void **state)
{
	struct test_io io = { .put = true };
	struct hba_event e;
	struct rig r;

	(void)state;
	up(&r);
	rig_say(&r, full, 2);
	send(unit(&r, 0), &io, true);
	rig_pass(&r, 5 * BUSY_MS, BUSY_MS);
	assert_int_equal(io.last.outcome, HBA_GOOD);
	told(&r, 2, "READ(10) of 0:0, block 0 is sent again in 100 ms, try 2: TASK SET FULL");
	assert_false(test_event(r.c, HBA_EVENT_RETRY, &e));
	rig_down(&r);
}

/* ---- the target's own number of retries */

/* So many refusals in a row: how often was it sent? */
static unsigned sent_when(struct rig *r, struct rig_answer answer, bool block)
{
	struct test_io io = { .put = true };
	unsigned before = rig_clients(r), tries;

	r->next = r->n_script = 0;
	rig_say(r, answer, 30);
	send(unit(r, 0), &io, block);
	for (unsigned i = 0; i < 40 && !io.done; i++) {
		rig_pass(r, BUSY_MS, BUSY_MS);
		test_turns(r->c, 40); /* after an attention the unit is read first */
	}
	assert_int_equal(io.done, 1);
	tries = rig_clients(r) - before;
	r->next = r->n_script = 0;
	return tries;
}

static void retry_count_is_the_targets(void **state)
{
	static const struct rig_answer lost = { .outcome = HBA_NOT_DELIVERED, .sent = HBA_SENT_NO };
	struct hba_target *tgt;
	struct rig r;

	(void)state;
	up(&r);
	tgt = target_find(r.c, 0);
	for (unsigned n = 0; n < 20; n += 5) {
		set_number(r.c, tgt, "Retry Count", n);
		assert_int_equal(sent_when(&r, attention, true), n + 1);
		assert_int_equal(sent_when(&r, busy, true), n + 1);
		assert_int_equal(sent_when(&r, lost, true), n + 1);
	}
	/*
	 * Of reads and writes: a pass-through command that has not been sent keeps its own three.
	 */
	assert_int_equal(sent_when(&r, lost, false), 1 + 3);
	/*
	 * Without it the rules have their own numbers; and the controller's is for all targets that
	 * have none.
	 */
	hba_remove_property(r.c, tgt, "Retry Count");
	assert_int_equal(sent_when(&r, attention, true), 1 + 8);
	set_number(r.c, NULL, "Retry Count", 2);
	assert_int_equal(sent_when(&r, attention, true), 1 + 2);
	set_number(r.c, tgt, "Retry Count", 4);
	assert_int_equal(sent_when(&r, attention, true), 1 + 4);
	rig_down(&r);
}

/* A full task set is a matter of the queue's length, and no failure. */
static void a_full_task_set_costs_no_retry(void **state)
{
	struct test_io io = { .put = true };
	struct rig r;

	(void)state;
	up(&r);
	set_number(r.c, target_find(r.c, 0), "Retry Count", 0);
	rig_say(&r, full, 5);
	send(unit(&r, 0), &io, true);
	rig_pass(&r, 10 * BUSY_MS, BUSY_MS);
	assert_int_equal(io.done, 1);
	assert_int_equal(io.last.outcome, HBA_GOOD);
	rig_down(&r);
}

/* ---- TASK SET FULL */

/*
 * Eight are sent, four are too many: from then on there are four, and one more for every 64 good
 * ends.
 */
static void limit_shrinks_and_grows_again(void **state)
{
	struct test_io io = { .put = true };
	struct hba_lun *lun;
	unsigned most, done = 0;
	struct rig r;

	(void)state;
	up(&r);
	lun = unit(&r, 0);
	most = lun->limit;
	r.d->hold = true;
	for (unsigned i = 0; i < 8; i++)
		send(lun, &io, true);
	test_turns(r.c, 1);
	assert_int_equal(r.d->n_held, 8);
	for (unsigned i = 4; i < 8; i++)
		AS_DRIVER(r.c, hba_complete_failed(r.d->held[i], HBA_TASK_SET_FULL, HBA_SENT_YES));
	r.d->n_held = 4;
	test_turns(r.c, 2);
	assert_int_equal(lun->limit, 4);
	assert_int_equal(io.done, 0);
	assert_int_equal(r.d->n_held, 4);
	r.d->hold = false;
	r.d->release = 4;
	test_wait(r.c, &io, 8);
	assert_int_equal(io.last.outcome, HBA_GOOD);
	done = 8;
	for (unsigned steps = lun->limit; steps < most; steps = lun->limit) {
		unsigned good = 0, limit = lun->limit;

		for (; lun->limit == limit; good++)
			assert_int_equal(test_ready(lun), HBA_GOOD);
		assert_int_equal(good, limit == 4 ? 64 - done : 64);
		assert_int_equal(lun->limit, limit + 1);
	}
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(test_ready(lun), HBA_GOOD);
	assert_int_equal(lun->limit, most);
	rig_down(&r);
}

/* Only what ends well shows that there is room. */
static void bad_ends_do_not_grow_the_limit(void **state)
{
	struct test_io io = { .put = true };
	struct hba_lun *lun;
	struct rig r;

	(void)state;
	up(&r);
	lun = unit(&r, 0);
	rig_say(&r, full, 1);
	send(lun, &io, false);
	test_turns(r.c, 2);
	assert_int_equal(lun->limit, 1);
	assert_int_equal(io.done, 0); /* with none out there is nothing to wait for but time */
	test_advance(r.d, BUSY_MS);
	test_wait(r.c, &io, 1);
	for (unsigned i = 0; i < 100; i++) {
		rig_say(&r, (struct rig_answer) { .key = MEDIUM_ERROR_KEY, .asc = 0x11 }, 1);
		assert_int_equal(test_ready(lun), HBA_CHECK_CONDITION);
	}
	assert_int_equal(lun->limit, 1);
	rig_down(&r);
}

/* ---- what is heeded */

static void attentions_are_heeded(void **state)
{
	static const struct {
		uint8_t asc, ascq;
		bool walk;
	} cases[] = {
		{ INVENTORY, LUNS_CHANGED, true },
		{ PARAMETERS, CAPACITY, true },
		{ MEDIUM, 0, true },
		{ POWER_ON, 0, true },
		{ 0x2f, 0, false },
	};
	struct test_io io = { .put = true };
	struct rig r;

	(void)state;
	up(&r);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		r.n_log = 0;
		rig_say(&r,
			(struct rig_answer) { .key = UNIT_ATTENTION_KEY,
					      .asc = cases[i].asc,
					      .ascq = cases[i].ascq },
			1);
		r.d->targets[0].blocks += 10;
		send(unit(&r, 0), &io, i & 1); /* block command or not */
		test_wait(r.c, &io, i + 1);
		rig_until_scanned(&r);
		assert_int_equal(rig_count(&r, INQUIRY_OP) > 0, cases[i].walk);
		assert_int_equal(unit(&r, 0)->info.blocks == r.d->targets[0].blocks, cases[i].walk);
	}
	rig_down(&r);
}

/* ---- sense that the driver does not bring */

static void no_autosense(struct hba_report *report)
{
	two_units(report);
	report->performs_autosense = 0;
}

static void up_without_sense(struct rig *r)
{
	rig_init(r);
	r->report = no_autosense;
	r->d->targets[0].luns = 2;
	rig_up(r);
	r->without_sense = true;
}

static int one_without(struct hba_controller *c, struct hba_target *tgt,
		       struct hba_target_report *report)
{
	(void)c;
	if (hba_target_id(tgt) == 1)
		report->performs_autosense = 0;
	return 0;
}

/*
 * The controller brings sense, but not that of target 1: its is asked for, and that of target 0 is
 * not.
 */
static void a_target_without_autosense_is_asked(void **state)
{
	struct test_io io[2] = { { .put = true }, { .put = true } };
	struct rig r;

	(void)state;
	rig_init(&r);
	r.d->table.initialize_target = one_without;
	r.d->targets[0].luns = r.d->targets[1].luns = 1;
	rig_up(&r);
	r.without_sense = true;
	for (unsigned i = 0; i < 2; i++) {
		rig_say(&r, (struct rig_answer) { .key = MEDIUM_ERROR_KEY, .asc = 0x11 }, 1);
		r.n_log = 0;
		send(hba_lun_find(r.c, i, 0), &io[i], false);
		test_wait(r.c, &io[i], 1);
		assert_int_equal(io[i].last.outcome, HBA_CHECK_CONDITION);
		assert_int_equal(rig_count(&r, REQUEST_SENSE_OP), i);
	}
	rig_down(&r);
}

/* Nothing may come between, or the sense is gone: not even what was queued before. */
static void request_sense_goes_next_with_the_unit_frozen(void **state)
{
	struct test_io bad = { .put = true }, other = { .put = true }, same = { .put = true };
	struct rig r;

	(void)state;
	up_without_sense(&r);
	r.d->hold = true;
	send(unit(&r, 0), &bad, false);
	test_turns(r.c, 1);
	AS_DRIVER(r.c, hba_complete(r.d->held[0],
				    &(struct hba_result) { .outcome = HBA_CHECK_CONDITION }));
	r.d->n_held = 0;
	r.kept[0][0] = MEDIUM_ERROR_KEY;
	r.kept[0][1] = 0x11;
	send(unit(&r, 0), &same, false);
	send(unit(&r, 1), &other, false);
	r.n_log = 0;
	test_turns(r.c, 1); /* the frozen unit's REQUEST SENSE is held; the other unit goes on */
	test_turns(r.c, 1);
	assert_int_equal(r.log[0].unit == 0 && r.log[0].kind == HBA_TASK_CLIENT, false);
	for (unsigned i = 0; i < r.n_log; i++)
		assert_true(r.log[i].unit == 1 || r.log[i].opcode == REQUEST_SENSE_OP);
	assert_int_equal(rig_count(&r, REQUEST_SENSE_OP), 1);
	assert_int_equal(rig_clients(&r), 1);
	assert_int_equal(unit(&r, 0)->frozen, 1);
	r.d->hold = false;
	for (unsigned i = 0; i < r.d->n_held; i++)
		if (r.d->held[i]->cdb[0] == REQUEST_SENSE_OP) {
			uint8_t sense[18];

			hba_sense(sense, MEDIUM_ERROR_KEY, 0x11, 0);
			AS_DRIVER(r.c, hba_complete_good(r.d->held[i],
							 hba_task_copy_to(r.d->held[i], 0, sense,
									  sizeof(sense))));
		} else {
			AS_DRIVER(r.c, hba_complete_good(r.d->held[i], 0));
		}
	r.d->n_held = 0;
	test_wait(r.c, &bad, 1);
	assert_int_equal(bad.last.outcome, HBA_CHECK_CONDITION);
	assert_int_equal(bad.last.sense_len, 18);
	assert_int_equal(bad.sense[2] & 0xf, MEDIUM_ERROR_KEY);
	assert_int_equal(bad.sense[12], 0x11);
	test_wait(r.c, &same, 1);
	test_wait(r.c, &other, 1);
	assert_int_equal(unit(&r, 0)->frozen, 0);
	rig_down(&r);
}

static enum hba_attribute attribute_of_request_sense(uint8_t control)
{
	struct test_io io = { .put = true };
	enum hba_attribute attribute;
	struct hba_task *t;
	struct rig r;

	up_without_sense(&r);
	r.d->hold = true;
	t = send(unit(&r, 0), &io, false);
	t->cdb[5] = control;
	test_turns(r.c, 1);
	AS_DRIVER(r.c, hba_complete(r.d->held[0],
				    &(struct hba_result) { .outcome = HBA_CHECK_CONDITION }));
	r.d->n_held = 0;
	test_turns(r.c, 2);
	assert_int_equal(r.d->n_held, 1);
	assert_int_equal(r.d->held[0]->cdb[0], REQUEST_SENSE_OP);
	attribute = r.d->held[0]->attribute;
	r.d->release = 1;
	test_wait(r.c, &io, 1);
	rig_down(&r);
	return attribute;
}

/* With NACA in its control byte the command has left the unit in ACA. */
static void request_sense_gets_past_an_aca(void **state)
{
	(void)state;
	assert_int_equal(attribute_of_request_sense(0x00), HBA_SIMPLE);
	assert_int_equal(attribute_of_request_sense(0xfb), HBA_SIMPLE);
	assert_int_equal(attribute_of_request_sense(0x04), HBA_ACA);
}

static void two_targets(struct rig *r)
{
	rig_init(r);
	r->report = no_autosense;
	r->d->targets[0].luns = r->d->targets[1].luns = 1;
	rig_up(r);
	r->without_sense = true;
}

/* Both have a command out that ends in CHECK CONDITION; target 0 is blocked before it does. */
static void check_conditions_of_a_blocked_target(struct rig *r, struct test_io *io)
{
	two_targets(r);
	r->d->hold = true;
	send(hba_lun_find(r->c, 0, 0), &io[0], false);
	send(hba_lun_find(r->c, 1, 0), &io[1], false);
	test_turns(r->c, 1);
	assert_int_equal(hba_target_block(r->c, 0, true), 0);
	test_turns(r->c, 2);
	for (unsigned i = 0; i < 2; i++)
		AS_DRIVER(r->c,
			  hba_complete(r->d->held[i],
				       &(struct hba_result) { .outcome = HBA_CHECK_CONDITION }));
	r->d->n_held = 0;
	r->n_log = 0;
	r->d->hold = false;
	test_wait(r->c, &io[1], 1); /* is not held up */
	test_turns(r->c, 5);
	assert_int_equal(r->n_log, 1);
	assert_int_equal(r->log[0].target, 1);
	assert_int_equal(hba_controller_arm(r->c), 0); /* nothing to be done till then */
	assert_int_equal(io[0].done, 0);
}

static void no_request_sense_to_a_blocked_target(void **state)
{
	struct test_io io[2] = { { .put = true }, { .put = true } };
	struct rig r;

	(void)state;
	check_conditions_of_a_blocked_target(&r, io);
	assert_int_equal(hba_target_block(r.c, 0, false), 0);
	test_wait(r.c, &io[0], 1);
	assert_int_equal(r.log[1].opcode, REQUEST_SENSE_OP);
	assert_int_equal(r.log[1].target, 0);
	assert_int_equal(io[0].last.outcome, HBA_CHECK_CONDITION);
	assert_int_equal(hba_lun_find(r.c, 0, 0)->frozen, 0);
	rig_down(&r);
}

static void request_sense_ends_with_its_target(void **state)
{
	struct test_io io[2] = { { .put = true }, { .put = true } };
	struct rig r;

	(void)state;
	check_conditions_of_a_blocked_target(&r, io);
	assert_int_equal(hba_target_destroy(r.c, 0), 0);
	test_wait(r.c, &io[0], 1);
	assert_int_equal(io[0].last.outcome, HBA_CHECK_CONDITION);
	assert_int_equal(io[0].last.sense_len, 0);
	assert_int_equal(r.n_log, 1);
	rig_down(&r);
}

/*
 * The driver has no room for it, and says when it has; the loop sleeps till then, or till it tries
 * again by itself.
 */
static bool hand_sense_back(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	(void)q;
	if (t->cdb[0] != REQUEST_SENSE_OP)
		return false;
	d->n_functions++; /* a count, no function is asked for here */
	hba_requeue(t, HBA_SCOPE_TARGET);
	return true;
}

static void request_sense_handed_back_waits(void **state)
{
	struct test_io io = { .put = true };
	struct rig r;

	(void)state;
	up_without_sense(&r);
	r.d->hold = true;
	send(unit(&r, 0), &io, false);
	test_turns(r.c, 1);
	AS_DRIVER(r.c, hba_complete(r.d->held[0],
				    &(struct hba_result) { .outcome = HBA_CHECK_CONDITION }));
	r.d->n_held = 0;
	r.d->hold = false;
	r.d->process = hand_sense_back;
	test_turns(r.c, 20);
	assert_int_equal(r.d->n_functions, 1);
	assert_int_equal(hba_controller_arm(r.c), 0);
	test_advance(r.d, 999);
	test_turns(r.c, 3);
	assert_int_equal(r.d->n_functions, 1);
	test_advance(r.d, 1);
	test_turns(r.c, 3);
	assert_int_equal(r.d->n_functions, 2);
	r.d->process = NULL;
	test_advance(r.d, 1000);
	test_wait(r.c, &io, 1);
	rig_down(&r);
}

/* Fetched sense counts like sense that came along: rules apply, and again for the next try. */
static void fetched_sense_is_sense(void **state)
{
	struct test_io io = { .put = true };
	struct rig r;

	(void)state;
	up_without_sense(&r);
	rig_say(&r, attention, 3);
	send(unit(&r, 0), &io, true);
	test_wait(r.c, &io, 1);
	assert_int_equal(io.last.outcome, HBA_GOOD);
	assert_int_equal(rig_clients(&r), 4);
	assert_int_equal(rig_count(&r, REQUEST_SENSE_OP), 3);
	rig_down(&r);
}

/* More CHECK CONDITIONs than internal tasks, on two units, while the scan wants some too. */
static void several_at_once(void **state)
{
	struct test_io io = { .put = true };
	struct rig r;

	(void)state;
	up_without_sense(&r);
	r.d->hold = true;
	for (unsigned i = 0; i < 8; i++)
		send(unit(&r, i & 1), &io, false);
	test_turns(r.c, 1);
	assert_int_equal(r.d->n_held, 8);
	for (unsigned i = 0; i < 8; i++)
		AS_DRIVER(r.c,
			  hba_complete(r.d->held[i],
				       &(struct hba_result) { .outcome = HBA_CHECK_CONDITION }));
	r.d->n_held = 0;
	r.d->hold = false;
	hba_controller_rescan(r.c);
	test_wait(r.c, &io, 8);
	assert_int_equal(io.last.sense_len, 18);
	assert_int_equal(rig_count(&r, REQUEST_SENSE_OP), 8);
	assert_int_equal(unit(&r, 0)->frozen + unit(&r, 1)->frozen, 0);
	rig_until_scanned(&r);
	assert_int_equal(test_ready(unit(&r, 0)), HBA_GOOD);
	rig_down(&r);
}

static bool refuse_sense(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	unsigned *refused = d->of_test;

	(void)q;
	if (t->kind == HBA_TASK_CLIENT || t->cdb[0] == REQUEST_SENSE_OP) {
		*refused += t->cdb[0] == REQUEST_SENSE_OP;
		hba_complete(t, &(struct hba_result) { .outcome = HBA_CHECK_CONDITION });
		return true;
	}
	return false;
}

/* A unit that has no sense even for REQUEST SENSE: its client is told so much, and all goes on. */
static void request_sense_that_fails(void **state)
{
	struct test_io io = { .put = true };
	unsigned refused = 0;
	struct rig r;

	(void)state;
	up_without_sense(&r);
	r.d->process = refuse_sense;
	r.d->of_test = &refused;
	for (unsigned i = 0; i < 4; i++)
		send(unit(&r, 0), &io, false);
	test_wait(r.c, &io, 4);
	assert_int_equal(io.last.outcome, HBA_CHECK_CONDITION);
	assert_int_equal(io.last.sense_len, 0);
	assert_int_equal(refused, 4);
	r.d->process = NULL;
	assert_int_equal(test_ready(unit(&r, 0)), HBA_GOOD);
	rig_down(&r);
}

/* The controller stops between CHECK CONDITION and sense: the client hears of its task even so. */
static void stop_while_sense_is_fetched(void **state)
{
	struct test_io io = { .put = true };
	struct rig r;

	(void)state;
	for (unsigned turns = 0; turns < 3; turns++) {
		up_without_sense(&r);
		io.done = 0;
		r.d->hold = true;
		for (unsigned i = 0; i < 4; i++)
			send(unit(&r, i & 1), &io, false);
		test_turns(r.c, 1);
		for (unsigned i = 0; i < 4; i++)
			AS_DRIVER(r.c, hba_complete(r.d->held[i],
						    &(struct hba_result) {
							    .outcome = HBA_CHECK_CONDITION }));
		r.d->n_held = 0;
		test_turns(r.c, turns);
		assert_int_equal(io.done, 0);
		r.d->tick = 100 * TEST_MS;
		assert_int_equal(hba_controller_stop(r.c), 0);
		assert_int_equal(io.done, 4);
		assert_int_equal(io.last.outcome, HBA_CHECK_CONDITION);
		rig_down(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_repeat_is_told_with_its_reason),
		cmocka_unit_test(a_full_task_set_is_told_once),
		cmocka_unit_test(retry_count_is_the_targets),
		cmocka_unit_test(a_full_task_set_costs_no_retry),
		cmocka_unit_test(attention_comes_off_block_commands),
		cmocka_unit_test(only_block_commands_are_retried),
		cmocka_unit_test(busy_for_30_seconds),
		cmocka_unit_test(busy_delays_double),
		cmocka_unit_test(becoming_ready_for_60_seconds),
		cmocka_unit_test(not_ready_otherwise_is_told),
		cmocka_unit_test(others_go_on_while_one_is_busy),
		cmocka_unit_test(never_sent_is_sent_again),
		cmocka_unit_test(cancelled_is_never_sent_again),
		cmocka_unit_test(limit_shrinks_and_grows_again),
		cmocka_unit_test(bad_ends_do_not_grow_the_limit),
		cmocka_unit_test(attentions_are_heeded),
		cmocka_unit_test(request_sense_goes_next_with_the_unit_frozen),
		cmocka_unit_test(a_target_without_autosense_is_asked),
		cmocka_unit_test(request_sense_gets_past_an_aca),
		cmocka_unit_test(no_request_sense_to_a_blocked_target),
		cmocka_unit_test(request_sense_ends_with_its_target),
		cmocka_unit_test(request_sense_handed_back_waits),
		cmocka_unit_test(fetched_sense_is_sense),
		cmocka_unit_test(several_at_once),
		cmocka_unit_test(request_sense_that_fails),
		cmocka_unit_test(stop_while_sense_is_fetched),
	};

	return cmocka_run_group_tests_name("core: retry", tests, NULL, NULL);
}
