/* SPDX-License-Identifier: MIT */
/*
 * test_taskset.c: task attributes, ACA, aborts and unit attentions, on a store that ends each
 * request when the test says so.
 */
#include "rig.h"

#include "target/commands.h"

enum { BLOCK = 512, BLOCKS = 64, MANY = 8, A = 0, B = 1 };

/* A store that holds every request until it is let go. */
struct slow_store {
	struct store store;
	struct store_io *held[MANY];
	unsigned n;
};

struct bench {
	struct rig rig;
	struct slow_store *slow;
	struct rig_command commands[MANY];
	struct iovec iov;
};

static int hold(struct store *s, struct store_io *io)
{
	struct slow_store *slow = container_of(s, struct slow_store, store);

	assert_in_range(slow->n, 0, MANY - 1);
	io->engine = NULL; /* the test cancels, not io_uring */
	slow->held[slow->n++] = io;
	return 1;
}

static void slow_free(struct store *s)
{
	free(container_of(s, struct slow_store, store));
}

static const struct store_ops slow_ops = {
	.read = hold, .write = hold, .flush = hold, .free = slow_free
};

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct slow_store *slow = calloc(1, sizeof(*slow));

	assert_true(b && slow);
	slow->store =
		(struct store) { .ops = &slow_ops, .bytes = BLOCKS * BLOCK, .needs_engine = true };
	b->slow = slow;
	rig_open(&b->rig);
	rig_add(&b->rig, &slow->store, BLOCK, false);
	b->iov = (struct iovec) { b->rig.data, BLOCK };
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	assert_true(list_is_empty(engine_commands(b->rig.engine)));
	assert_int_equal(b->rig.device.units[0].gate & ~1U, 0); /* nothing is counted any more */
	rig_close(&b->rig);
	free(b);
	return 0;
}

static void send_cdb(struct bench *b, unsigned i, unsigned nexus, enum hba_attribute attribute,
		     struct scsi_cdb cdb)
{
	b->rig.nexus = (uint8_t)nexus;
	b->rig.attribute = (uint8_t)attribute;
	rig_start(&b->rig, &b->commands[i], &cdb, HBA_FROM_TARGET, &b->iov, 1, BLOCK);
	b->rig.attribute = HBA_SIMPLE;
}

static void send_read(struct bench *b, unsigned i, unsigned nexus, enum hba_attribute attribute)
{
	send_cdb(b, i, nexus, attribute, rig_rw(HBA_FROM_TARGET, i, 1, 10, false));
}

/* Has command i's request reached the store? Its block says whose it is. */
static bool runs(const struct bench *b, unsigned i)
{
	for (unsigned k = 0; k < b->slow->n; k++)
		if (b->slow->held[k]->offset == i * BLOCK)
			return true;
	return false;
}

static void let_go(struct bench *b, unsigned i, int error)
{
	for (unsigned k = 0; k < b->slow->n; k++) {
		struct store_io *io = b->slow->held[k];

		if (io->offset != i * BLOCK)
			continue;
		memmove(&b->slow->held[k], &b->slow->held[k + 1], (--b->slow->n - k) * sizeof(io));
		io->moved = error ? 0 : io->length;
		io->done(io, error);
		return;
	}
	fail_msg("command %u does not run", i);
}

static enum hba_outcome outcome(const struct bench *b, unsigned i)
{
	assert_true(b->commands[i].ended);
	return b->commands[i].command.outcome;
}

/* ---- attributes */

static void ordered_waits_for_all_and_nothing_passes_it(void **state)
{
	struct bench *b = *state;

	send_read(b, 0, A, HBA_SIMPLE);
	send_read(b, 1, A, HBA_SIMPLE);
	send_read(b, 2, A, HBA_ORDERED);
	send_read(b, 3, B, HBA_SIMPLE);
	send_read(b, 4, A, HBA_ORDERED);
	send_read(b, 5, A, HBA_SIMPLE);
	assert_true(runs(b, 0) && runs(b, 1) && !runs(b, 2) && !runs(b, 3));
	let_go(b, 1, 0);
	assert_false(runs(b, 2));
	let_go(b, 0, 0);
	assert_true(runs(b, 2) && !runs(b, 3) && !runs(b, 4));
	let_go(b, 2, 0);
	assert_true(runs(b, 3) && !runs(b, 4) && !runs(b, 5));
	let_go(b, 3, 0);
	assert_true(runs(b, 4) && !runs(b, 5));
	let_go(b, 4, 0);
	let_go(b, 5, 0);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(outcome(b, i), HBA_GOOD);
}

static void head_of_queue_waits_for_nobody(void **state)
{
	struct bench *b = *state;

	send_read(b, 0, A, HBA_ORDERED);
	send_read(b, 1, A, HBA_ORDERED);
	send_read(b, 2, A, HBA_HEAD_OF_QUEUE);
	send_read(b, 3, A, HBA_SIMPLE);
	assert_true(runs(b, 0) && !runs(b, 1) && runs(b, 2) && !runs(b, 3));
	let_go(b, 0, 0);
	assert_false(runs(b, 1)); /* it waits for the head of the queue too */
	let_go(b, 2, 0);
	assert_true(runs(b, 1));
	let_go(b, 1, 0);
	let_go(b, 3, 0);
}

static void simple_ones_do_not_wait_for_each_other(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < MANY; i++)
		send_read(b, i, i % 2, HBA_SIMPLE);
	for (unsigned i = MANY; i-- > 0;)
		let_go(b, i, 0);
}

static void aborting_one_that_waits_lets_the_next_go(void **state)
{
	struct bench *b = *state;

	send_read(b, 0, A, HBA_SIMPLE);
	send_read(b, 1, A, HBA_ORDERED);
	send_read(b, 2, A, HBA_SIMPLE);
	target_abort(&b->commands[1].command);
	assert_int_equal(outcome(b, 1), HBA_TASK_ABORTED);
	target_go_on(b->rig.engine);
	assert_true(runs(b, 2));
	let_go(b, 0, 0);
	let_go(b, 2, 0);
}

static void forgetting_leaves_nobody_in_line(void **state)
{
	struct bench *b = *state;

	send_read(b, 0, A, HBA_ORDERED);
	send_read(b, 1, A, HBA_ORDERED);
	target_forget_commands(b->rig.engine);
	b->slow->n = 0;
	send_read(b, 2, A, HBA_SIMPLE);
	assert_true(runs(b, 2));
	let_go(b, 2, 0);
	assert_false(b->commands[0].ended || b->commands[1].ended);
}

/*
 * What a reset of the controller does to a self-test: it is not there any more, and so another may
 * come.
 */
static void a_self_test_that_is_forgotten_is_over(void **state)
{
	struct bench *b = *state;
	struct scsi_cdb test = RIG_CDB(SCSI_SEND_DIAGNOSTIC, 0x04, 0, 0, 0, 0);

	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(
			rig_start(&b->rig, &b->commands[i], &test, HBA_NO_DATA, NULL, 0, 0), 1);
		assert_int_equal(b->slow->n, 1);
		target_forget_commands(b->rig.engine);
		target_device_forget(&b->rig.device);
		b->slow->n = 0;
	}
}

/* ---- ACA */

static const struct scsi_cdb *ready_cdb(bool naca)
{
	static struct scsi_cdb cdb;

	cdb = scsi_cdb_test_unit_ready();
	cdb.bytes[5] = naca ? 0x04 : 0;
	return &cdb;
}

static enum hba_outcome ready(struct bench *b, unsigned nexus, enum hba_attribute attribute,
			      bool naca)
{
	b->rig.nexus = (uint8_t)nexus;
	b->rig.attribute = (uint8_t)attribute;
	rig_run(&b->rig, ready_cdb(naca), HBA_NO_DATA, 0);
	b->rig.attribute = HBA_SIMPLE;
	return b->rig.last.command.outcome;
}

static void meet_aca(struct bench *b)
{
	struct scsi_cdb bad = RIG_CDB(SCSI_TEST_UNIT_READY, 1, 0, 0, 0, 0x04);

	b->rig.nexus = A;
	assert_int_equal(rig_run(&b->rig, &bad, HBA_NO_DATA, 0), HBA_CHECK_CONDITION);
}

static void aca_keeps_all_others_out(void **state)
{
	struct bench *b = *state;

	assert_int_equal(ready(b, A, HBA_ACA, false), HBA_CHECK_CONDITION);
	rig_assert_sense(&b->rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_MESSAGE);
	meet_aca(b);
	assert_int_equal(ready(b, A, HBA_SIMPLE, false), HBA_ACA_ACTIVE);
	assert_int_equal(ready(b, A, HBA_HEAD_OF_QUEUE, false), HBA_ACA_ACTIVE);
	assert_int_equal(ready(b, B, HBA_SIMPLE, false), HBA_BUSY);
	assert_int_equal(ready(b, B, HBA_SIMPLE, true), HBA_ACA_ACTIVE);
	assert_int_equal(ready(b, B, HBA_ACA, false), HBA_ACA_ACTIVE);
	assert_int_equal(ready(b, A, HBA_ACA, false), HBA_GOOD);
	target_clear_aca(&b->rig.device.units[0], B); /* not its own */
	assert_int_equal(ready(b, A, HBA_SIMPLE, false), HBA_ACA_ACTIVE);
	target_clear_aca(&b->rig.device.units[0], A);
	assert_int_equal(ready(b, A, HBA_SIMPLE, false), HBA_GOOD);
	assert_int_equal(ready(b, B, HBA_SIMPLE, false), HBA_GOOD);
}

static void without_naca_there_is_no_aca(void **state)
{
	struct bench *b = *state;
	struct scsi_cdb bad = RIG_CDB(SCSI_TEST_UNIT_READY, 1, 0, 0, 0, 0);

	assert_int_equal(rig_run(&b->rig, &bad, HBA_NO_DATA, 0), HBA_CHECK_CONDITION);
	assert_int_equal(ready(b, A, HBA_SIMPLE, false), HBA_GOOD);
}

static void one_aca_command_at_a_time_and_its_error_ends_the_aca(void **state)
{
	struct bench *b = *state;

	meet_aca(b);
	send_read(b, 0, A, HBA_ACA);
	assert_true(runs(b, 0));
	assert_int_equal(ready(b, A, HBA_ACA, false), HBA_ACA_ACTIVE);
	let_go(b, 0, -EIO);
	assert_int_equal(outcome(b, 0), HBA_CHECK_CONDITION);
	assert_int_equal(ready(b, B, HBA_SIMPLE, false), HBA_GOOD);
}

static void what_waits_goes_on_after_the_aca(void **state)
{
	struct bench *b = *state;
	struct scsi_cdb naca = rig_rw(HBA_FROM_TARGET, 0, 1, 10, false);

	naca.bytes[9] = 0x04;
	send_cdb(b, 0, A, HBA_SIMPLE, naca);
	send_read(b, 1, A, HBA_ORDERED);
	send_read(b, 2, B, HBA_SIMPLE);
	let_go(b, 0, -EIO);
	assert_int_equal(outcome(b, 0), HBA_CHECK_CONDITION);
	assert_false(runs(b, 1) || runs(b, 2));
	target_clear_aca(&b->rig.device.units[0], A);
	target_go_on(b->rig.engine);
	assert_true(runs(b, 1) && !runs(b, 2));
	let_go(b, 1, 0);
	let_go(b, 2, 0);
}

static void a_reset_ends_the_aca(void **state)
{
	struct bench *b = *state;

	meet_aca(b);
	target_unit_was_reset(&b->rig.device.units[0]);
	assert_int_equal(ready(b, B, HBA_SIMPLE, false), HBA_CHECK_CONDITION);
	rig_assert_sense(&b->rig, SCSI_UNIT_ATTENTION, SCSI_ASC_POWER_ON_OR_RESET);
	assert_int_equal(ready(b, B, HBA_SIMPLE, false), HBA_GOOD);
}

struct two_queues {
	struct engine *of_error, *of_others, *both[2];
};

/*
 * On one queue a command that has met an error; on another ORDERED command 2, held back behind 1
 * and then by the ACA.
 */
static void hold_back_on_another_queue(struct bench *b, struct two_queues *q)
{
	q->of_error = b->rig.engine;
	assert_int_equal(engine_create(MANY, &q->of_others), 0);
	q->both[0] = q->of_error;
	q->both[1] = q->of_others;
	b->rig.device.engines = q->both;
	b->rig.device.n_engines = ARRAY_SIZE(q->both);
	b->rig.engine = q->of_others;
	send_read(b, 1, A, HBA_SIMPLE);
	send_read(b, 2, A, HBA_ORDERED);
	b->rig.engine = q->of_error;
	meet_aca(b);
	let_go(b, 1, 0);
	assert_false(runs(b, 2));
}

static void assert_goes_on(struct bench *b, struct two_queues *q)
{
	assert_false(runs(b, 2)); /* not by the other queue's thread */
	engine_reap(q->of_others, MANY);
	let_go(b, 2, 0);
	assert_int_equal(outcome(b, 2), HBA_GOOD);
	b->rig.device.n_engines = 0;
	engine_reap(q->of_error, MANY);
	engine_free(q->of_others);
}

static void other_queues_go_on_when_the_aca_command_fails(void **state)
{
	struct scsi_cdb bad = RIG_CDB(SCSI_TEST_UNIT_READY, 1, 0, 0, 0, 0);
	struct bench *b = *state;
	struct two_queues q;

	hold_back_on_another_queue(b, &q);
	b->rig.attribute = HBA_ACA;
	assert_int_equal(rig_run(&b->rig, &bad, HBA_NO_DATA, 0), HBA_CHECK_CONDITION);
	b->rig.attribute = HBA_SIMPLE;
	assert_goes_on(b, &q);
}

/* ---- PREEMPT AND ABORT */

static enum hba_outcome reserve_out(struct bench *b, struct rig_command *rc, unsigned nexus,
				    uint8_t action, uint64_t key, uint64_t action_key)
{
	struct scsi_cdb cdb = RIG_CDB(SCSI_PERSISTENT_RESERVE_OUT, action, 1, 0, 0, 0, 0, 0, 24, 0);
	memset(b->rig.data, 0, 24);
	put_be64(b->rig.data, key);
	put_be64(b->rig.data + 8, action_key);
	b->rig.nexus = (uint8_t)nexus;
	rig_start(&b->rig, rc, &cdb, HBA_TO_TARGET, &b->iov, 1, 24);
	return rc->command.outcome;
}

static void other_queues_go_on_when_the_aca_is_preempted(void **state)
{
	struct bench *b = *state;
	struct rig_command any;
	struct two_queues q;

	assert_int_equal(reserve_out(b, &any, A, 0, 0, 1), HBA_GOOD);
	assert_int_equal(reserve_out(b, &any, B, 0, 0, 2), HBA_GOOD);
	hold_back_on_another_queue(b, &q);
	assert_int_equal(reserve_out(b, &any, B, 5, 2, 1), HBA_GOOD);
	rig_forget_attention(&b->rig);
	assert_goes_on(b, &q);
}

static void preempt_and_abort_ends_after_its_victims(void **state)
{
	struct bench *b = *state;
	struct rig_command *preempt = &b->commands[MANY - 1], any;

	assert_int_equal(reserve_out(b, &any, A, 0, 0, 1), HBA_GOOD);
	assert_int_equal(reserve_out(b, &any, A, 1, 1, 0), HBA_GOOD);
	assert_int_equal(reserve_out(b, &any, B, 0, 0, 2), HBA_GOOD);
	send_read(b, 0, A, HBA_SIMPLE);
	send_read(b, 1, A, HBA_ORDERED);
	send_read(b, 2, B, HBA_SIMPLE);
	reserve_out(b, preempt, B, 5, 2, 1);
	assert_false(preempt->ended); /* behind the ORDERED one */
	let_go(b, 0, 0);
	assert_true(runs(b, 1));
	let_go(b, 1, 0);
	assert_true(preempt->ended); /* nothing of A's was left */
	assert_int_equal(preempt->command.outcome, HBA_GOOD);
	let_go(b, 2, 0);
	/* Now with one that runs. */
	rig_forget_attention(&b->rig);
	assert_int_equal(reserve_out(b, &any, A, 0, 0, 1), HBA_GOOD);
	send_read(b, 3, A, HBA_SIMPLE);
	reserve_out(b, preempt, B, 5, 2, 1);
	assert_false(preempt->ended);
	let_go(b, 3, -ECANCELED);
	assert_int_equal(outcome(b, 3), HBA_TASK_ABORTED);
	assert_true(preempt->ended);
	assert_int_equal(preempt->command.outcome, HBA_GOOD);
}

/* ---- unit attentions, and sense that is kept */

static void attentions_are_told_in_order_to_each_nexus(void **state)
{
	static const struct {
		enum target_condition condition;
		uint16_t asc;
	} told[] = {
		{ TARGET_WAS_RESET, 0x2900 },
		{ TARGET_MEDIUM_CHANGED, 0x2800 },
		{ TARGET_CAPACITY_CHANGED, 0x2a09 },
		{ TARGET_MODE_CHANGED, 0x2a01 },
		{ TARGET_RESERVATIONS_PREEMPTED, 0x2a03 },
		{ TARGET_RESERVATIONS_RELEASED, 0x2a04 },
		{ TARGET_REGISTRATIONS_PREEMPTED, 0x2a05 },
		{ TARGET_INQUIRY_CHANGED, 0x3f03 },
		{ TARGET_LUNS_CHANGED, 0x3f0e },
	};
	struct bench *b = *state;

	for (size_t i = ARRAY_SIZE(told); i-- > 0;)
		target_attention(&b->rig.device.units[0], told[i].condition, B);
	assert_int_equal(ready(b, B, HBA_SIMPLE, false), HBA_GOOD);
	for (size_t i = 0; i < ARRAY_SIZE(told); i++) {
		assert_int_equal(ready(b, A, HBA_SIMPLE, false), HBA_CHECK_CONDITION);
		rig_assert_sense(&b->rig, SCSI_UNIT_ATTENTION, told[i].asc);
	}
	assert_int_equal(ready(b, A, HBA_SIMPLE, false), HBA_GOOD);
}

static void report_luns_is_how_the_list_becomes_known(void **state)
{
	struct bench *b = *state;
	struct scsi_cdb luns = scsi_cdb_report_luns(64), inquiry = scsi_cdb_inquiry(36);

	target_attention(&b->rig.device.units[0], TARGET_LUNS_CHANGED, TARGET_NO_NEXUS);
	b->rig.nexus = A;
	assert_int_equal(rig_run(&b->rig, &inquiry, HBA_FROM_TARGET, 36), HBA_GOOD);
	assert_int_equal(rig_run(&b->rig, &luns, HBA_FROM_TARGET, 64), HBA_GOOD);
	assert_int_equal(ready(b, A, HBA_SIMPLE, false), HBA_GOOD);
	assert_int_equal(ready(b, B, HBA_SIMPLE, false), HBA_CHECK_CONDITION);
	rig_assert_sense(&b->rig, SCSI_UNIT_ATTENTION, SCSI_ASC_REPORTED_LUNS_CHANGED);
}

/* SAM-5 5.3.3: a reset goes before a conflict, a conflict before every other attention. */
static void reset_conflict_attention_in_this_order(void **state)
{
	struct bench *b = *state;
	struct scsi_cdb reserve = RIG_CDB(SCSI_RESERVE_6, 0, 0, 0, 0, 0);

	b->rig.nexus = A;
	assert_int_equal(rig_run(&b->rig, &reserve, HBA_NO_DATA, 0), HBA_GOOD);
	target_attention(&b->rig.device.units[0], TARGET_MODE_CHANGED, A);
	target_attention(&b->rig.device.units[0], TARGET_WAS_RESET, A);
	assert_int_equal(ready(b, B, HBA_SIMPLE, false), HBA_CHECK_CONDITION);
	rig_assert_sense(&b->rig, SCSI_UNIT_ATTENTION, SCSI_ASC_POWER_ON_OR_RESET);
	assert_int_equal(ready(b, B, HBA_SIMPLE, false), HBA_RESERVATION_CONFLICT);
	reserve.bytes[0] = SCSI_RELEASE_6;
	b->rig.nexus = A;
	assert_int_equal(rig_run(&b->rig, &reserve, HBA_NO_DATA, 0), HBA_GOOD);
	assert_int_equal(ready(b, B, HBA_SIMPLE, false), HBA_CHECK_CONDITION);
	rig_assert_sense(&b->rig, SCSI_UNIT_ATTENTION, SCSI_ASC_MODE_PARAMETERS_CHANGED);
}

static uint16_t request_sense(struct bench *b, unsigned nexus)
{
	struct scsi_cdb cdb = scsi_cdb_request_sense(252);
	struct scsi_sense sense;

	b->rig.nexus = (uint8_t)nexus;
	assert_int_equal(rig_run(&b->rig, &cdb, HBA_FROM_TARGET, 252), HBA_GOOD);
	assert_int_equal(scsi_sense_read(b->rig.data, b->rig.last.command.bytes, &sense), 0);
	return sense.asc;
}

static void without_autosense_sense_is_kept_for_its_nexus(void **state)
{
	struct bench *b = *state;
	struct scsi_cdb bad = RIG_CDB(SCSI_TEST_UNIT_READY, 1, 0, 0, 0, 0);

	b->rig.device.autosense = false;
	for (unsigned pass = 0; pass < 2; pass++) {
		b->rig.nexus = A;
		assert_int_equal(rig_run(&b->rig, &bad, HBA_NO_DATA, 0), HBA_CHECK_CONDITION);
		assert_int_equal(b->rig.last.command.sense_len, 0);
		assert_int_equal(request_sense(b, B), SCSI_ASC_NONE);
		if (pass == 0)
			assert_int_equal(request_sense(b, A), SCSI_ASC_INVALID_FIELD_IN_CDB);
		else
			/* any command ends it */
			assert_int_equal(ready(b, A, HBA_SIMPLE, false), HBA_GOOD);
		assert_int_equal(request_sense(b, A), SCSI_ASC_NONE);
	}
}

static void nexuses_beyond_the_last_are_turned_away(void **state)
{
	struct bench *b = *state;

	assert_int_equal(ready(b, TARGET_NEXUSES, HBA_SIMPLE, false), HBA_BUSY);
	assert_int_equal(ready(b, UINT8_MAX, HBA_SIMPLE, false), HBA_BUSY);
}

#define WITH_BENCH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BENCH(ordered_waits_for_all_and_nothing_passes_it),
		WITH_BENCH(head_of_queue_waits_for_nobody),
		WITH_BENCH(simple_ones_do_not_wait_for_each_other),
		WITH_BENCH(aborting_one_that_waits_lets_the_next_go),
		WITH_BENCH(forgetting_leaves_nobody_in_line),
		WITH_BENCH(a_self_test_that_is_forgotten_is_over),
		WITH_BENCH(aca_keeps_all_others_out),
		WITH_BENCH(without_naca_there_is_no_aca),
		WITH_BENCH(one_aca_command_at_a_time_and_its_error_ends_the_aca),
		WITH_BENCH(what_waits_goes_on_after_the_aca),
		WITH_BENCH(other_queues_go_on_when_the_aca_command_fails),
		WITH_BENCH(other_queues_go_on_when_the_aca_is_preempted),
		WITH_BENCH(a_reset_ends_the_aca),
		WITH_BENCH(preempt_and_abort_ends_after_its_victims),
		WITH_BENCH(attentions_are_told_in_order_to_each_nexus),
		WITH_BENCH(report_luns_is_how_the_list_becomes_known),
		WITH_BENCH(reset_conflict_attention_in_this_order),
		WITH_BENCH(without_autosense_sense_is_kept_for_its_nexus),
		WITH_BENCH(nexuses_beyond_the_last_are_turned_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
