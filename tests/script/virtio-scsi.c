/* SPDX-License-Identifier: MIT */
/* virtio-scsi.c: the driver of that name against devices that lie, stall, or are pulled out. */
#include "script/virtio-chip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	FIRST_CAP = 0x40,
	CAP_STEP = 0x20,
	CAP_COMMON = 1,
	CAP_NOTIFY = 2,
	CAP_DEVICE = 4,
	BAR = 4,
	ANSWER = 108
};

static void refuse(struct chip *v, int error, const char *part)
{
	rig_refused(v->rig, &virtio_scsi_driver, error, part);
	chip_free(v);
}

/* So many TEST UNIT READY that the device keeps. */
static void hold(struct chip *v, struct hba_lun *lun, struct test_io *io, unsigned n)
{
	v->hold = true;
	for (unsigned i = 0; i < n; i++)
		rig_ready(lun, io);
	rig_send(v->rig);
	assert_int_equal(v->n_held, n);
}

/* ---- bring-up */

static void it_works_when_the_device_does(void **state)
{
	struct chip *v = chip_new();

	(void)state;
	rig_copies(v->rig, chip_up(v));
	chip_free(v);
}

static void a_device_that_never_becomes_ready_has_a_deadline(void **state)
{
	struct chip *v = chip_new();

	(void)state;
	v->never_reset = true;
	refuse(v, -ETIMEDOUT, "does not end its reset");
}

static void a_device_gone_at_its_reset_is_said_to_be(void **state)
{
	struct chip *v = chip_new();

	(void)state;
	script_silence(&v->rig->script);
	refuse(v, -ENODEV, "no device answers");
}

static void a_chain_of_capabilities_that_is_a_circle_ends(void **state)
{
	struct chip *v = chip_new();

	(void)state;
	v->config[FIRST_CAP + 2 * CAP_STEP + 1] = FIRST_CAP;
	chip_up(v);
	chip_free(v);
	v = chip_new();
	v->config[FIRST_CAP + 1] = FIRST_CAP;
	refuse(v, -ENOENT, "has no virtio 1.0 capabilities");
}

static void stop_after_registers_that_are_not_there(void **state)
{
	struct chip *v = chip_new();

	(void)state;
	v->config[0x34] = 0; /* the list of capabilities is empty */
	rig_refused(v->rig, &virtio_scsi_driver, -ENOENT, "has no virtio 1.0 capabilities");
	test_no_violation(v->rig->c);
	chip_free(v);
}

static void structures_outside_their_bar_are_refused(void **state)
{
	static const struct {
		uint32_t offset, length;
	} wrong[] = { { 0x4000, 56 },    { 0x3fe0, 56 },        { UINT32_MAX, 56 },
		      { 0, UINT32_MAX }, { 8, UINT32_MAX - 7 }, { 0, 40 },
		      { 0, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct chip *v = chip_new();

		chip_capability(v, FIRST_CAP, FIRST_CAP + CAP_STEP, CAP_COMMON, BAR,
				wrong[i].offset, wrong[i].length);
		refuse(v, -EIO, "outside of its BAR");
	}
}

static void a_bar_that_is_not_there_is_refused(void **state)
{
	struct chip *v = chip_new();

	(void)state;
	chip_capability(v, FIRST_CAP, FIRST_CAP + CAP_STEP, CAP_COMMON, 2, 0, 56);
	refuse(v, -EIO, "outside of its BAR");
}

/* 4.1.4.1: such a structure is to be passed over. */
static void a_reserved_bar_number_is_passed_over(void **state)
{
	struct chip *v = chip_new();

	(void)state;
	v->config[0x34] = 0xa0;
	chip_capability(v, 0xa0, FIRST_CAP, CAP_COMMON, 6, 0, 56);
	chip_up(v);
	chip_free(v);
}

/* Else the doorbells are computed from one structure and rung in another. */
static void a_second_notify_structure_changes_nothing(void **state)
{
	struct chip *v = chip_new();

	(void)state;
	v->config[FIRST_CAP + 2 * CAP_STEP + 1] = 0xa0;
	chip_capability(v, 0xa0, 0, CAP_NOTIFY, BAR, 0x3000, 0x100);
	v->config[0xa0 + 16] = 64;
	chip_up(v);
	chip_free(v);
}

static void queue_sizes_that_cannot_be_are_refused(void **state)
{
	static const uint16_t wrong[] = { 0, 3, 100, 0xffff, 1, 2 };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct chip *v = chip_new();

		v->sizes[VIRTIO_SCSI_REQUESTS] = wrong[i];
		refuse(v, -EIO, "names no queues that could be used");
	}
}

static void huge_and_small_queues_work(void **state)
{
	static const uint16_t sizes[] = { 32768, 4, 8 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct chip *v = chip_new();
		struct hba_lun *lun;
		struct test_io io = { 0 };

		v->sizes[VIRTIO_SCSI_REQUESTS] = sizes[i];
		lun = chip_up(v);
		rig_works(v->rig, lun, &io);
		chip_free(v);
	}
}

static void the_smallest_request_queue_counts(void **state)
{
	struct chip *v = chip_new();
	struct hba_counts counts;

	(void)state;
	v->num_queues = 2;
	v->sizes[VIRTIO_SCSI_REQUESTS + 1] = 16;
	chip_up(v);
	hba_controller_counts(v->rig->c, &counts);
	assert_int_equal(counts.client_tasks + counts.internal_tasks + counts.tmf_tasks, 2 * 16);
	chip_free(v);
}

/* 5.6.4, cmd_per_lun: of clients, and with the scan's own. */
static void a_unit_gets_no_more_than_it_takes(void **state)
{
	static const struct {
		uint32_t said;
		unsigned most;
	} rows[] = { { 3, 3 }, { 1, 1 }, { 0, 1 }, { UINT32_MAX, 64 - 3 } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct chip *v = chip_new();
		struct hba_task *t[64] = { 0 };
		struct test_io io = { .put = true };
		struct hba_lun *lun;
		unsigned n = 0;

		v->cmd_per_lun = rows[i].said;
		lun = chip_up(v);
		while (n < 64 && hba_task_get(lun, 0, NULL, &t[n]) == 0)
			n++;
		assert_int_equal(n, rows[i].most);
		v->hold = true;
		for (unsigned k = 0; k < n; k++) {
			test_fill_ready(t[k]);
			assert_int_equal(hba_submit(t[k], test_done, &io), 0);
		}
		hba_luns_changed(v->rig->c, 0);
		test_turns(v->rig->c, 50);
		/* the scan's has room of its own there */
		assert_int_equal(v->n_held, n + (rows[i].said == UINT32_MAX));
		chip_free(v);
	}
}

/* Numbers beyond what an address can say leave those that it can. */
static void more_targets_and_units_than_can_be_named(void **state)
{
	static const struct {
		uint32_t max_target, max_lun;
		uint64_t target, lun;
	} rows[] = { { 256, 16384, 255, 16383 },
		     { 0xffff, UINT32_MAX, 255, 16383 },
		     { 255, 16383, 255, 16383 },
		     { 5, 7, 5, 7 } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct chip *v = chip_new();

		v->max_target = rows[i].max_target;
		v->max_lun = rows[i].max_lun;
		chip_up(v);
		assert_int_equal(hba_controller_report(v->rig->c)->highest_target_id,
				 rows[i].target);
		assert_int_equal(hba_controller_report(v->rig->c)->highest_lun, rows[i].lun);
		chip_free(v);
	}
}

static void no_queues_or_all_ones_are_refused(void **state)
{
	static const uint32_t wrong[] = { 0, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct chip *v = chip_new();

		v->num_queues = wrong[i];
		refuse(v, -EIO, "names no queues that could be used");
	}
}

static void doorbells_outside_their_structure_are_refused(void **state)
{
	struct chip *v = chip_new();

	(void)state;
	/* The events queue's doorbell lies 4 bytes in. */
	chip_capability(v, FIRST_CAP + CAP_STEP, FIRST_CAP + 2 * CAP_STEP, CAP_NOTIFY, BAR, 0x2000,
			4);
	refuse(v, -EIO, "doorbell");
}

static void an_odd_doorbell_is_refused(void **state)
{
	struct chip *v = chip_new();

	(void)state;
	v->config[FIRST_CAP + CAP_STEP + 16] = 1;
	refuse(v, -EIO, "doorbell");
}

/* ---- completions */

static void a_used_index_that_jumps_too_far_is_not_followed(void **state)
{
	struct chip *v = chip_new();
	struct hba_lun *lun = chip_up(v);
	struct test_io io = { 0 };

	(void)state;
	hold(v, lun, &io, 1);
	*chip_used_index(v, VIRTIO_SCSI_REQUESTS) =
		(uint16_t)(v->queues[VIRTIO_SCSI_REQUESTS].shown + 65);
	test_turns(v->rig->c, 100);
	assert_int_equal(io.done, 0);
	rig_told(v->rig, "used index of its queue 2 jumps");
	/* Recovery ends it: a function of a device that is well again, or its reset. */
	v->hold = false;
	rig_tick(v->rig, 20);
	rig_ends(v->rig, &io, 1, HBA_TASK_TIMEOUT);
	chip_free(v);
}

static void unknown_heads_are_counted_and_dropped(void **state)
{
	static const uint32_t heads[] = { 0, 63, 64, 65535, UINT32_MAX };
	struct chip *v = chip_new();
	struct hba_lun *lun = chip_up(v);
	struct test_io io = { 0 };
	struct hba_event e;

	(void)state;
	hold(v, lun, &io, 1);
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		if (heads[i] != v->held[0])
			chip_used(v, VIRTIO_SCSI_REQUESTS, heads[i], ANSWER);
	rig_send(v->rig);
	assert_int_equal(io.done, 0);
	assert_true(test_event(v->rig->c, HBA_EVENT_DEVICE_ERROR, &e));
	chip_execute(v, v->held[0]);
	chip_used(v, VIRTIO_SCSI_REQUESTS, v->held[0], ANSWER);
	rig_ends(v->rig, &io, 1, HBA_GOOD);
	chip_free(v);
}

static void a_doubled_completion_is_one(void **state)
{
	struct chip *v = chip_new();
	struct hba_lun *lun = chip_up(v);
	struct test_io io = { 0 };

	(void)state;
	hold(v, lun, &io, 1);
	chip_execute(v, v->held[0]);
	chip_used(v, VIRTIO_SCSI_REQUESTS, v->held[0], ANSWER);
	chip_used(v, VIRTIO_SCSI_REQUESTS, v->held[0], ANSWER);
	rig_wait(v->rig, &io, 1);
	test_turns(v->rig->c, 10);
	assert_int_equal(io.done, 1);
	assert_int_equal(io.last.outcome, HBA_GOOD);
	chip_free(v);
}

static struct hba_result answered(struct chip *v, struct hba_lun *lun,
				  const struct virtio_scsi_resp *resp, uint32_t length,
				  struct test_io *io)
{
	static uint8_t buffer[RIG_BLOCK];
	unsigned done = io->done;

	v->hold = true;
	v->n_held = 0;
	rig_read(lun, io, buffer, 1);
	rig_send(v->rig);
	assert_int_equal(v->n_held, 1);
	*chip_answer_at(v, v->held[0]) = *resp;
	v->hold = false; /* a retry succeeds */
	chip_used(v, VIRTIO_SCSI_REQUESTS, v->held[0], length);
	rig_tick(v->rig, 1);
	rig_wait(v->rig, io, done + 1);
	rig_tick(v->rig, 0);
	return io->last;
}

static void lengths_out_of_range_are_cut(void **state)
{
	static const uint32_t lengths[] = { 0, 1, 512, 513, 0x10000, UINT32_MAX };
	struct chip *v = chip_new();
	struct hba_lun *lun = chip_up(v);
	struct test_io io = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct virtio_scsi_resp good = { .residual = hba_le32_of(lengths[i]) };
		struct virtio_scsi_resp check = { .status = 2,
						  .sense_len = hba_le32_of(lengths[i]),
						  .sense = { 0x70, 0, 5, [12] = 0x24 } };
		struct hba_result r = answered(v, lun, &good, ANSWER, &io);

		assert_int_equal(r.outcome, HBA_GOOD);
		assert_int_equal(r.bytes, lengths[i] < RIG_BLOCK ? RIG_BLOCK - lengths[i] : 0);
		r = answered(v, lun, &check, ANSWER, &io);
		assert_int_equal(r.outcome, HBA_CHECK_CONDITION);
		assert_true(r.sense_len <= VIRTIO_SCSI_SENSE);
	}
	test_no_violation(v->rig->c);
	chip_free(v);
}

/*
 * QEMU's residual says that all has been moved, whatever the sense. A recovered error has its data.
 */
static void a_refused_command_has_moved_nothing(void **state)
{
	static const struct {
		uint8_t key;
		uint32_t residual;
		uint64_t bytes;
	} rows[] = {
		{ 0x5, 0, 0 },
		{ 0x3, 0, 0 },
		{ 0x3, 100, RIG_BLOCK - 100 },
		{ 0x1, 0, RIG_BLOCK },
		{ 0x1, 12, RIG_BLOCK - 12 },
	};
	struct chip *v = chip_new();
	struct hba_lun *lun = chip_up(v);
	struct test_io io = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct virtio_scsi_resp resp = { .status = 2,
						 .residual = hba_le32_of(rows[i].residual),
						 .sense_len = hba_le32_of(18),
						 .sense = { 0x70, 0, rows[i].key } };
		struct hba_result r = answered(v, lun, &resp, ANSWER, &io);

		assert_int_equal(r.outcome, HBA_CHECK_CONDITION);
		assert_int_equal(r.bytes, rows[i].bytes);
	}
	chip_free(v);
}

/*
 * What lies there is the answer to the command before, which was GOOD. A used length of 0 is no
 * sign: vhost-scsi's is always that.
 */
static void an_answer_never_written_is_none(void **state)
{
	struct chip *v = chip_new();
	struct hba_lun *lun = chip_up(v);
	struct test_io io = { 0 };
	uint8_t buffer[RIG_BLOCK];

	(void)state;
	for (unsigned i = 0; i < 2 * v->queues[VIRTIO_SCSI_REQUESTS].size; i++)
		rig_works(v->rig, lun, &io);
	test_no_violation(v->rig->c);
	v->hold = true;
	for (unsigned i = 0; i < 2; i++) {
		uint32_t length = i ? ANSWER + RIG_BLOCK : 0;
		unsigned done = io.done;

		v->n_held = 0;
		rig_read(lun, &io, buffer, 1);
		rig_send(v->rig);
		assert_int_equal(v->n_held, 1);
		chip_used(v, VIRTIO_SCSI_REQUESTS, v->held[0], length);
		rig_ends(v->rig, &io, done + 1, HBA_NO_STATUS);
		assert_int_equal(io.last.sent, HBA_SENT_MAYBE);
		assert_int_equal(io.last.bytes, 0);
	}
	rig_told(v->rig, "without an answer to it");
	chip_free(v);
}

/* The answer is all that counts. */
static void a_used_length_of_nothing_changes_nothing(void **state)
{
	struct chip *v = chip_new();
	struct hba_lun *lun = chip_up(v);
	struct test_io io = { 0 };

	(void)state;
	hold(v, lun, &io, 1);
	chip_execute(v, v->held[0]);
	chip_used(v, VIRTIO_SCSI_REQUESTS, v->held[0], 0);
	rig_ends(v->rig, &io, 1, HBA_GOOD);
	test_no_violation(v->rig->c);
	chip_free(v);
}

/* One that fits no table must not index beyond one, nor pass for success. */
static void every_response_has_an_end(void **state)
{
	struct chip *v = chip_new();
	struct hba_lun *lun = chip_up(v);
	struct test_io io = { 0 };

	(void)state;
	for (unsigned response = 1; response < 256; response++) {
		struct virtio_scsi_resp resp = { .response = (uint8_t)response };
		unsigned kept = io.done;

		answered(v, lun, &resp, ANSWER, &io);
		assert_int_equal(io.done, kept + 1);
		if (response == VIRTIO_SCSI_BAD_TARGET || response == VIRTIO_SCSI_INCORRECT_LUN)
			assert_int_equal(io.last.outcome, HBA_NOT_PRESENT);
	}
	chip_free(v);
}

/* ---- management */

static void management_done(struct hba_management *m, enum hba_service_response response)
{
	*(int *)(void *)(m + 1) = (int)response + 1;
}

struct asked {
	struct hba_management m;
	int response; /* + 1 */
};

static void functions_end_by_every_answer(void **state)
{
	static const struct {
		uint8_t answer;
		enum hba_service_response response;
	} rows[] = {
		{ VIRTIO_SCSI_OK, HBA_FUNCTION_COMPLETE },
		{ VIRTIO_SCSI_FUNCTION_SUCCEEDED, HBA_FUNCTION_COMPLETE },
		{ VIRTIO_SCSI_FUNCTION_REJECTED, HBA_FUNCTION_REJECTED },
		{ VIRTIO_SCSI_INCORRECT_LUN, HBA_DELIVERY_FAILURE },
		{ VIRTIO_SCSI_BAD_TARGET, HBA_DELIVERY_FAILURE },
		{ VIRTIO_SCSI_BUSY, HBA_DELIVERY_FAILURE },
		{ VIRTIO_SCSI_FAILURE, HBA_DELIVERY_FAILURE },
		{ 255, HBA_DELIVERY_FAILURE },
	};
	struct chip *v = chip_new();
	struct hba_lun *lun = chip_up(v);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct asked a = { .m = { .function = HBA_LOGICAL_UNIT_RESET,
					  .lun = lun,
					  .done = management_done } };

		v->tmf_response = rows[i].answer;
		assert_int_equal(hba_manage(&a.m), 0);
		test_turns(v->rig->c, 10);
		assert_int_equal(a.response, (int)rows[i].response + 1);
	}
	assert_int_equal(v->subtypes[0], VIRTIO_SCSI_LOGICAL_UNIT_RESET);
	chip_free(v);
}

static void an_answer_to_no_function_is_dropped(void **state)
{
	struct chip *v = chip_new();
	struct hba_lun *lun = chip_up(v);
	struct asked a = {
		.m = { .function = HBA_LOGICAL_UNIT_RESET, .lun = lun, .done = management_done }
	};

	(void)state;
	chip_used(v, VIRTIO_SCSI_CONTROL, 0, 1);
	rig_send(v->rig);
	v->hold_tmf = true;
	assert_int_equal(hba_manage(&a.m), 0);
	rig_send(v->rig);
	chip_used(v, VIRTIO_SCSI_CONTROL, 77, 1); /* no head of ours */
	rig_send(v->rig);
	assert_int_equal(a.response, 0);
	chip_used(v, VIRTIO_SCSI_CONTROL, 0, 0); /* nothing written */
	rig_send(v->rig);
	assert_int_equal(a.response, (int)HBA_DELIVERY_FAILURE + 1);
	chip_free(v);
}

static void a_timeout_goes_up_the_ladder(void **state)
{
	struct chip *v = chip_new();
	struct hba_lun *lun = chip_up(v);
	struct test_io io = { 0 };

	(void)state;
	v->tmf_ends_victims = false; /* it says yes and does nothing */
	hold(v, lun, &io, 1);
	v->hold = false;
	rig_tick(v->rig, 20);
	rig_ends(v->rig, &io, 1, HBA_TASK_TIMEOUT);
	assert_int_equal(v->subtypes[0], VIRTIO_SCSI_ABORT_TASK);
	assert_int_equal(v->subtypes[1], VIRTIO_SCSI_LOGICAL_UNIT_RESET);
	assert_int_equal(v->subtypes[2], VIRTIO_SCSI_I_T_NEXUS_RESET);
	assert_true(v->resets >= 3); /* bring-up, start, the ladder */
	rig_works(v->rig, lun, &io);
	chip_free(v);
}

static void a_queue_that_shrinks_at_a_reset_is_not_used(void **state)
{
	struct chip *v = chip_new();
	struct hba_lun *lun = chip_up(v);
	struct test_io io = { 0 };

	(void)state;
	v->tmf_ends_victims = false;
	v->restart_size = 8;
	hold(v, lun, &io, 1);
	v->hold = false;
	rig_tick(v->rig, 20);
	rig_ends(v->rig, &io, 1, HBA_TASK_TIMEOUT);
	rig_until(v->rig, HBA_DEAD);
	chip_free(v);
}

/* ---- events */

static void events_lead_to_a_look(void **state)
{
	struct chip *v = chip_new();
	struct hba_event e;

	(void)state;
	chip_up(v);
	while (hba_event_next(v->rig->c, &e))
		;
	chip_event(v, VIRTIO_SCSI_PARAM_CHANGE, 0, sizeof(struct virtio_scsi_event));
	test_turns(v->rig->c, 50);
	chip_event(v, VIRTIO_SCSI_EVENTS_MISSED | VIRTIO_SCSI_NO_EVENT, 0,
		   sizeof(struct virtio_scsi_event));
	chip_event(v, VIRTIO_SCSI_TRANSPORT_RESET, 0, sizeof(struct virtio_scsi_event));
	chip_event(v, 0x1234, 0, sizeof(struct virtio_scsi_event));
	/* above the highest target */
	chip_event(v, VIRTIO_SCSI_TRANSPORT_RESET, 200, sizeof(struct virtio_scsi_event));
	test_turns(v->rig->c, 50);
	assert_int_equal(hba_controller_state(v->rig->c), HBA_STARTED);
	assert_non_null(hba_lun_next(v->rig->c, NULL));
	chip_free(v);
}

static void events_cut_short_and_without_a_place_are_dropped(void **state)
{
	struct chip *v = chip_new();

	(void)state;
	chip_up(v);
	chip_event(v, VIRTIO_SCSI_TRANSPORT_RESET, 0, 15);
	chip_event(v, VIRTIO_SCSI_TRANSPORT_RESET, 0, 0);
	chip_used(v, VIRTIO_SCSI_EVENTS, 8, 16);
	chip_used(v, VIRTIO_SCSI_EVENTS, UINT32_MAX, 16);
	test_turns(v->rig->c, 20);
	assert_int_equal(hba_controller_state(v->rig->c), HBA_STARTED);
	chip_free(v);
}

/* Work that can never be taken up is none: a loop that believed in it would never sleep again. */
static void a_jump_of_the_other_queues_lets_the_loop_sleep(void **state)
{
	static const unsigned queues[] = { VIRTIO_SCSI_CONTROL, VIRTIO_SCSI_EVENTS };

	(void)state;
	for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]); i++) {
		struct chip *v = chip_new();
		struct hba_lun *lun = chip_up(v);
		struct test_io io = { 0 };

		test_turns(v->rig->c, 20);
		assert_int_equal(hba_controller_arm(v->rig->c), 0);
		*chip_used_index(v, queues[i]) = (uint16_t)(v->queues[queues[i]].shown + 500);
		test_turns(v->rig->c, 20);
		rig_told(v->rig, queues[i] == VIRTIO_SCSI_EVENTS
					 ? "used index of its queue 1 jumps"
					 : "used index of its queue 0 jumps");
		assert_int_equal(hba_controller_arm(v->rig->c), 0);
		rig_works(v->rig, lun, &io);
		chip_free(v);
	}
}

static void a_jump_instead_of_a_functions_answer_is_told(void **state)
{
	struct chip *v = chip_new();
	struct asked a = { .m = { .function = HBA_LOGICAL_UNIT_RESET,
				  .lun = chip_up(v),
				  .done = management_done } };

	(void)state;
	v->hold_tmf = true;
	assert_int_equal(hba_manage(&a.m), 0);
	rig_send(v->rig);
	*chip_used_index(v, VIRTIO_SCSI_CONTROL) =
		(uint16_t)(v->queues[VIRTIO_SCSI_CONTROL].shown + 500);
	rig_send(v->rig);
	assert_int_equal(a.response, 0);
	rig_told(v->rig, "used index of its queue 0 jumps");
	chip_free(v);
}

/* ---- pulled out */

static void pulled_out_ends_every_command(void **state)
{
	struct chip *v = chip_new();
	struct hba_lun *lun = chip_up(v);
	struct test_io io = { 0 };

	(void)state;
	hold(v, lun, &io, 8);
	script_remove(&v->rig->script);
	rig_ready(lun, &io); /* its doorbell is what finds out */
	rig_ends(v->rig, &io, 9, HBA_NOT_PRESENT);
	rig_until(v->rig, HBA_GONE);
	chip_free(v);
}

static void all_ones_end_every_command(void **state)
{
	struct chip *v = chip_new();
	struct hba_lun *lun = chip_up(v);
	struct test_io io = { 0 };

	(void)state;
	hold(v, lun, &io, 8);
	script_silence(&v->rig->script);
	rig_tick(v->rig, 20);
	rig_ends(v->rig, &io, 8, HBA_NOT_PRESENT);
	rig_until(v->rig, HBA_GONE);
	chip_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_works_when_the_device_does),
		cmocka_unit_test(a_device_that_never_becomes_ready_has_a_deadline),
		cmocka_unit_test(a_device_gone_at_its_reset_is_said_to_be),
		cmocka_unit_test(a_chain_of_capabilities_that_is_a_circle_ends),
		cmocka_unit_test(stop_after_registers_that_are_not_there),
		cmocka_unit_test(structures_outside_their_bar_are_refused),
		cmocka_unit_test(a_bar_that_is_not_there_is_refused),
		cmocka_unit_test(a_reserved_bar_number_is_passed_over),
		cmocka_unit_test(a_second_notify_structure_changes_nothing),
		cmocka_unit_test(queue_sizes_that_cannot_be_are_refused),
		cmocka_unit_test(huge_and_small_queues_work),
		cmocka_unit_test(the_smallest_request_queue_counts),
		cmocka_unit_test(a_unit_gets_no_more_than_it_takes),
		cmocka_unit_test(more_targets_and_units_than_can_be_named),
		cmocka_unit_test(no_queues_or_all_ones_are_refused),
		cmocka_unit_test(doorbells_outside_their_structure_are_refused),
		cmocka_unit_test(an_odd_doorbell_is_refused),
		cmocka_unit_test(a_used_index_that_jumps_too_far_is_not_followed),
		cmocka_unit_test(unknown_heads_are_counted_and_dropped),
		cmocka_unit_test(a_doubled_completion_is_one),
		cmocka_unit_test(lengths_out_of_range_are_cut),
		cmocka_unit_test(a_refused_command_has_moved_nothing),
		cmocka_unit_test(an_answer_never_written_is_none),
		cmocka_unit_test(a_used_length_of_nothing_changes_nothing),
		cmocka_unit_test(every_response_has_an_end),
		cmocka_unit_test(functions_end_by_every_answer),
		cmocka_unit_test(an_answer_to_no_function_is_dropped),
		cmocka_unit_test(a_timeout_goes_up_the_ladder),
		cmocka_unit_test(a_queue_that_shrinks_at_a_reset_is_not_used),
		cmocka_unit_test(events_lead_to_a_look),
		cmocka_unit_test(events_cut_short_and_without_a_place_are_dropped),
		cmocka_unit_test(a_jump_of_the_other_queues_lets_the_loop_sleep),
		cmocka_unit_test(a_jump_instead_of_a_functions_answer_is_told),
		cmocka_unit_test(pulled_out_ends_every_command),
		cmocka_unit_test(all_ones_end_every_command),
	};

	return cmocka_run_group_tests_name("script-virtio-scsi", tests, NULL, NULL);
}
