/* SPDX-License-Identifier: MIT */
/*
 * medium.c: another disk, or perhaps another one: the unit is held and looked at, and what meant
 * the one before does not reach it.
 */
#include "core/io/medium.h"
#include "rig.h"

#include <errno.h>
#include <hbakit/disk.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum {
	MEDIUM = 0x28,
	NO_MEDIUM = 0x3a,
	RESET = 0x29,
	PARAMETERS = 0x2a,
	CAPACITY = 9,
	CONDITIONS = 0x3f,
	INQUIRY_DATA = 3,
	LUNS = 0x0e,
	TEST_UNIT_READY_OP = 0x00,
	READ_CAPACITY_10_OP = 0x25,
	READ_CAPACITY_16_OP = 0x9e,
	MANY_TURNS = 100000,
	LOOK_FOR_MS = 60 * 1000,
};

static const struct rig_answer changed = { .key = UNIT_ATTENTION_KEY, .asc = MEDIUM };
static const struct rig_answer was_reset = { .key = UNIT_ATTENTION_KEY, .asc = RESET };

/** struct client - Of the disk layer, or a raw one. */
struct client {
	struct hba_disk_io io;
	struct test_io raw;
	uint8_t buffer[TEST_BLOCK];
	unsigned done;
};

static struct {
	/* the rig's */
	bool (*process)(struct test_driver *d, struct hba_queue *q, struct hba_task *t);
	/* true: dealt with it */
	bool (*internal)(struct hba_task *t);
	/* for `internal` */
	unsigned count;
} hook;

static bool process(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	bool dealt = hook.process(d, q, t); /* which writes it down */

	return dealt || (t->kind == HBA_TASK_INTERNAL && hook.internal && hook.internal(t));
}

static void some_luns(struct hba_report *report)
{
	report->highest_lun = 7;
}

static void no_autosense(struct hba_report *report)
{
	some_luns(report);
	report->performs_autosense = 0;
}

static void init(struct rig *r)
{
	rig_init(r);
	r->report = some_luns;
	memset(&hook, 0, sizeof(hook));
	hook.process = r->d->process;
	r->d->process = process;
}

static void up(struct rig *r)
{
	struct hba_event e;

	rig_up(r);
	while (hba_event_next(r->c, &e))
		;
}

static struct hba_lun *unit(struct rig *r, unsigned number)
{
	return hba_lun_find(r->c, 0, number);
}

static uint32_t generation(struct rig *r, unsigned number)
{
	struct hba_lun_info info;

	hba_lun_get_info(unit(r, number), &info);
	return info.generation;
}

static void io_done(struct hba_disk_io *io)
{
	container_of(io, struct client, io)->done++;
}

/* A write that means the disk of `generation`; 0: any. */
static void write_to(struct rig *r, struct client *c, unsigned number, uint32_t generation)
{
	c->io = (struct hba_disk_io) {
		.lun = unit(r, number),
		.op = HBA_DISK_WRITE,
		.length = TEST_BLOCK,
		.data = { .buffer = c->buffer },
		.mode = HBA_DATA_CPU,
		.generation = generation,
		.done = io_done,
	};
	c->done = 0;
	assert_int_equal(hba_disk_submit(&c->io), 0);
}

static void send_raw(struct rig *r, struct client *c, unsigned number)
{
	struct hba_task *t = test_get(unit(r, number));

	test_fill_rw(t, true, 0, 1, c->buffer);
	c->raw = (struct test_io) { .put = true };
	assert_int_equal(hba_submit(t, test_done, &c->raw), 0);
}

static void await(struct rig *r, const struct client *c)
{
	for (unsigned i = 0; i < MANY_TURNS && !c->done; i++)
		test_turns(r->c, 1);
	assert_int_equal(c->done, 1);
}

static void told(const struct client *c, uint8_t asc)
{
	assert_int_equal(c->raw.last.outcome, HBA_CHECK_CONDITION);
	assert_int_equal(c->raw.sense[2] & 0xf, UNIT_ATTENTION_KEY);
	assert_int_equal(c->raw.sense[12], asc);
}

static void change_is_told(struct rig *r, const char *sentence)
{
	struct hba_event e;

	assert_true(test_event(r->c, HBA_EVENT_LUN_CHANGED, &e));
	assert_string_equal(e.text, sentence);
	assert_false(test_event(r->c, HBA_EVENT_LUN_CHANGED, &e));
}

static void no_change_is_told(struct rig *r)
{
	struct hba_event e;

	assert_false(test_event(r->c, HBA_EVENT_LUN_CHANGED, &e));
}

/* ---- the medium says that it was changed */

static void a_named_command_fails(void **state)
{
	struct client c = { 0 };
	struct rig r;

	(void)state;
	for (unsigned autosense = 0; autosense < 2; autosense++) {
		init(&r);
		if (!autosense)
			r.report = no_autosense;
		up(&r);
		r.without_sense = !autosense;
		rig_say(&r, changed, 1);
		write_to(&r, &c, 0, 1);
		await(&r, &c);
		assert_int_equal(c.io.error, -ESTALE);
		assert_int_equal(rig_clients(&r), 1);
		/* It looks as before, but it has said so. */
		assert_int_equal(generation(&r, 0), 2);
		change_is_told(&r, "target 0, unit 0: its medium was changed: generation 2, 256 "
				   "blocks of 512 bytes");
		assert_int_equal(hba_disk_submit(&c.io), -ESTALE);
		write_to(&r, &c, 0, 2);
		await(&r, &c);
		assert_int_equal(c.io.error, 0);
		rig_down(&r);
	}
}

/* QEMU clears the 28/00 of the next medium while it reports this one, where sense is asked for. */
static void a_medium_that_has_left_is_another_one(void **state)
{
	static const struct rig_answer left = { .key = UNIT_ATTENTION_KEY, .asc = NO_MEDIUM };
	struct client c = { 0 };
	struct rig r;

	(void)state;
	init(&r);
	up(&r);
	rig_say(&r, left, 1);
	write_to(&r, &c, 0, 1);
	await(&r, &c);
	assert_int_equal(c.io.error, -ESTALE);
	assert_int_equal(generation(&r, 0), 2);
	rig_down(&r);
}

static void a_raw_command_is_told_once(void **state)
{
	struct client c = { 0 };
	struct rig r;

	(void)state;
	init(&r);
	up(&r);
	rig_say(&r, changed, 1);
	send_raw(&r, &c, 0);
	test_wait(r.c, &c.raw, 1);
	told(&c, MEDIUM);
	assert_int_equal(c.raw.last.sent, HBA_SENT_YES);
	rig_until_scanned(&r);
	assert_int_equal(generation(&r, 0), 2);
	send_raw(&r, &c, 0);
	test_wait(r.c, &c.raw, 1);
	assert_int_equal(c.raw.last.outcome, HBA_GOOD);
	assert_int_equal(rig_clients(&r), 2);
	rig_down(&r);
}

/* It says "whichever is there", and its blocks are where they were. */
static void a_command_for_any_disk_goes_to_the_new_one(void **state)
{
	struct client c = { 0 };
	struct rig r;

	(void)state;
	init(&r);
	up(&r);
	rig_say(&r, changed, 1);
	write_to(&r, &c, 0, 0);
	await(&r, &c);
	assert_int_equal(c.io.error, 0);
	assert_int_equal(rig_clients(&r), 2);
	assert_int_equal(generation(&r, 0), 2);
	/* Of other blocks its offset would be another place. */
	r.n_log = 0;
	r.d->targets[0].block_bytes = 4096;
	rig_say(&r, changed, 1);
	write_to(&r, &c, 0, 0);
	await(&r, &c);
	assert_int_equal(c.io.error, -ESTALE);
	assert_int_equal(rig_clients(&r), 1);
	rig_down(&r);
}

/* One is out and hears it; of those behind it none is sent before the look, nor after it. */
static void what_was_queued_ends_unsent(void **state)
{
	struct client first = { 0 }, named = { 0 }, raw = { 0 }, any = { 0 };
	struct rig r;

	(void)state;
	init(&r);
	up(&r);
	unit(&r, 0)->limit = 1;
	rig_say(&r, changed, 1);
	write_to(&r, &first, 0, 1);
	write_to(&r, &named, 0, 1);
	send_raw(&r, &raw, 0);
	write_to(&r, &any, 0, 0);
	await(&r, &first);
	await(&r, &named);
	await(&r, &any);
	test_wait(r.c, &raw.raw, 1);
	assert_int_equal(first.io.error, -ESTALE);
	assert_int_equal(named.io.error, -ESTALE);
	assert_int_equal(named.io.result.sent, HBA_SENT_NO);
	told(&raw, MEDIUM);
	assert_int_equal(raw.raw.last.sent, HBA_SENT_NO);
	assert_int_equal(any.io.error, 0);
	assert_int_equal(rig_clients(&r), 2);
	for (unsigned i = 1; i + 1 < r.n_log; i++)
		assert_int_equal(r.log[i].kind, HBA_TASK_INTERNAL);
	assert_int_equal(generation(&r, 0), 2);
	rig_down(&r);
}

/* Where it has landed is not known: it is not told as good. */
static void what_was_out_is_not_told_as_good(void **state)
{
	struct client first = { 0 }, named = { 0 }, raw = { 0 }, any = { 0 };
	struct rig r;

	(void)state;
	init(&r);
	up(&r);
	r.d->hold = true;
	write_to(&r, &first, 0, 1);
	write_to(&r, &named, 0, 1);
	write_to(&r, &any, 0, 0);
	send_raw(&r, &raw, 0);
	test_turns(r.c, 2);
	assert_int_equal(r.d->n_held, 4);
	r.d->hold = false;
	{
		uint8_t sense[18];

		hba_sense(sense, UNIT_ATTENTION_KEY, MEDIUM, 0);
		AS_DRIVER(r.c, hba_complete(r.d->held[0],
					    &(struct hba_result) { .outcome = HBA_CHECK_CONDITION,
								   .sense = sense,
								   .sense_len = sizeof(sense) }));
	}
	await(&r, &first);
	rig_until_scanned(&r);
	assert_int_equal(generation(&r, 0), 2);
	for (unsigned i = 1; i < 4; i++)
		AS_DRIVER(r.c, hba_complete_good(r.d->held[i], TEST_BLOCK));
	r.d->n_held = 0;
	await(&r, &named);
	await(&r, &any);
	test_wait(r.c, &raw.raw, 1);
	assert_int_equal(named.io.error, -ESTALE);
	assert_int_equal(named.io.result.sent, HBA_SENT_MAYBE);
	assert_int_equal(named.io.result.bytes, 0);
	assert_int_equal(any.io.error, 0);
	assert_int_equal(raw.raw.last.outcome, HBA_GOOD);
	rig_down(&r);
}

static bool change_once(struct hba_task *t)
{
	uint8_t sense[18];

	if (t->cdb[0] != TEST_UNIT_READY_OP || hook.count++)
		return false;
	hba_sense(sense, UNIT_ATTENTION_KEY, MEDIUM, 0);
	hba_complete(t, &(struct hba_result) { .outcome = HBA_CHECK_CONDITION,
					       .sense = sense,
					       .sense_len = sizeof(sense) });
	return true;
}

/* A scan's own command has heard it; who sends commands that name no disk has not. */
static void what_a_scan_hears_is_owed(void **state)
{
	struct client c = { 0 };
	struct rig r;

	(void)state;
	init(&r);
	up(&r);
	hook.internal = change_once;
	hba_controller_rescan(r.c);
	test_turns(r.c, 2);
	rig_until_scanned(&r);
	change_is_told(
		&r,
		"target 0, unit 0: its medium was changed: generation 2, 256 blocks of 512 bytes");
	assert_int_equal(generation(&r, 0), 2);
	r.n_log = 0;
	write_to(&r, &c, 0, 2); /* this one knows */
	await(&r, &c);
	assert_int_equal(c.io.error, 0);
	send_raw(&r, &c, 0);
	test_wait(r.c, &c.raw, 1);
	told(&c, MEDIUM);
	assert_int_equal(c.raw.last.sent, HBA_SENT_NO);
	assert_int_equal(rig_clients(&r), 1);
	send_raw(&r, &c, 0);
	test_wait(r.c, &c.raw, 1);
	assert_int_equal(c.raw.last.outcome, HBA_GOOD);
	rig_down(&r);
}

/* ---- it may be another disk */

static const struct rig_answer perhaps[] = {
	{ .key = UNIT_ATTENTION_KEY, .asc = RESET },
	{ .key = UNIT_ATTENTION_KEY, .asc = PARAMETERS, .ascq = CAPACITY },
	{ .key = UNIT_ATTENTION_KEY, .asc = CONDITIONS, .ascq = INQUIRY_DATA },
	{ .key = UNIT_ATTENTION_KEY, .asc = CONDITIONS, .ascq = LUNS },
};

static unsigned first_client_after(const struct rig *r, unsigned i)
{
	while (i < r->n_log && r->log[i].kind != HBA_TASK_CLIENT)
		i++;
	return i;
}

/* The command goes again, but only after the capacity was read. */
static void a_reset_is_no_new_disk(void **state)
{
	struct client c = { 0 };
	struct rig r;

	(void)state;
	init(&r);
	up(&r);
	for (unsigned i = 0; i < ARRAY_SIZE(perhaps); i++) {
		bool read = false;
		unsigned again;

		r.n_log = 0;
		rig_say(&r, perhaps[i], 1);
		if (i & 1)
			send_raw(&r, &c, 0);
		else
			write_to(&r, &c, 0, 1);
		for (unsigned turns = 0; turns < MANY_TURNS && !c.done && !c.raw.done; turns++)
			test_turns(r.c, 1);
		assert_int_equal(i & 1 ? c.raw.last.outcome : c.io.result.outcome, HBA_GOOD);
		assert_int_equal(rig_clients(&r), 2);
		again = first_client_after(&r, 1);
		for (unsigned n = 1; n < again; n++)
			read = read || r.log[n].opcode == READ_CAPACITY_16_OP;
		assert_true(read);
		rig_until_scanned(&r);
		assert_int_equal(generation(&r, 0), 1);
		c.done = c.raw.done = 0;
	}
	no_change_is_told(&r);
	rig_down(&r);
}

static void another_disk_behind_a_reset(void **state)
{
	struct client c = { 0 }, raw = { 0 };
	struct rig r;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(perhaps); i++) {
		init(&r);
		up(&r);
		r.d->targets[0].serial = "SERIAL-2";
		rig_say(&r, perhaps[i], 1);
		write_to(&r, &c, 0, 1);
		send_raw(&r, &raw, 0);
		unit(&r, 0)->limit = 1;
		await(&r, &c);
		test_wait(r.c, &raw.raw, 1);
		assert_int_equal(c.io.error, -ESTALE);
		told(&raw, MEDIUM);
		assert_int_equal(rig_clients(&r), 1);
		rig_until_scanned(&r);
		assert_int_equal(generation(&r, 0), 2);
		change_is_told(&r, "target 0, unit 0: another disk is there: generation 2, 256 "
				   "blocks of 512 bytes");
		rig_down(&r);
	}
}

static void another_size(void **state)
{
	struct client c = { 0 };
	struct rig r;

	(void)state;
	init(&r);
	up(&r);
	r.d->targets[0].blocks = 100;
	rig_say(&r, perhaps[1], 1);
	write_to(&r, &c, 0, 1);
	await(&r, &c);
	assert_int_equal(c.io.error, -ESTALE);
	change_is_told(&r, "target 0, unit 0: its capacity has changed: generation 2, 100 blocks "
			   "of 512 bytes");
	rig_down(&r);
}

/* REPORT LUNS takes 3F/0E off every unit: those that did not say it are held as well. */
static void every_unit_of_a_target_is_looked_at(void **state)
{
	struct client c = { 0 }, other = { 0 };
	struct rig r;

	(void)state;
	init(&r);
	r.d->targets[0].luns = 2;
	up(&r);
	r.d->targets[0].serial = "SERIAL-2";
	rig_say(&r, perhaps[3], 1);
	write_to(&r, &c, 0, 1);
	test_turns(r.c, 1);
	write_to(&r, &other, 1, 1);
	await(&r, &other);
	assert_int_equal(other.io.error, -ESTALE);
	assert_int_equal(rig_clients(&r), 1);
	await(&r, &c);
	rig_until_scanned(&r);
	rig_down(&r);
}

static bool refuse_capacity(struct hba_task *t)
{
	if (t->cdb[0] != READ_CAPACITY_10_OP && t->cdb[0] != READ_CAPACITY_16_OP)
		return false;
	hba_complete_failed(t, HBA_RESERVATION_CONFLICT, HBA_SENT_YES);
	return true;
}

static bool no_medium(struct hba_task *t)
{
	uint8_t sense[18];

	if (t->cdb[0] != READ_CAPACITY_10_OP && t->cdb[0] != READ_CAPACITY_16_OP &&
	    t->cdb[0] != TEST_UNIT_READY_OP)
		return false;
	hba_sense(sense, NOT_READY_KEY, 0x3a, 0);
	hba_complete(t, &(struct hba_result) { .outcome = HBA_CHECK_CONDITION,
					       .sense = sense,
					       .sense_len = sizeof(sense) });
	return true;
}

/* Not read is not another: the disk has said who it is. But no medium is not the one before. */
static void a_capacity_that_is_not_read(void **state)
{
	struct client c = { 0 };
	struct rig r;

	(void)state;
	init(&r);
	up(&r);
	hook.internal = refuse_capacity;
	rig_say(&r, was_reset, 1);
	write_to(&r, &c, 0, 1);
	await(&r, &c);
	assert_int_equal(c.io.error, 0);
	no_change_is_told(&r);
	hook.internal = no_medium;
	rig_say(&r, was_reset, 1);
	write_to(&r, &c, 0, 1);
	await(&r, &c);
	assert_int_equal(c.io.error, -ESTALE);
	change_is_told(&r, "target 0, unit 0: its capacity has changed: generation 2, no medium");
	rig_down(&r);
}

/* ---- the look itself */

static bool never_answered(struct hba_task *t)
{
	(void)t;
	hook.count++;
	hba_complete_failed(t, HBA_NO_STATUS, HBA_SENT_MAYBE);
	return true;
}

static bool always_attentive(struct hba_task *t)
{
	uint8_t sense[18];

	if (t->cdb[0] == INQUIRY_OP)
		return false;
	hook.count++;
	hba_sense(sense, UNIT_ATTENTION_KEY, RESET, 0);
	hba_complete(t, &(struct hba_result) { .outcome = HBA_CHECK_CONDITION,
					       .sense = sense,
					       .sense_len = sizeof(sense) });
	return true;
}

static bool always_busy(struct hba_task *t)
{
	hook.count++;
	hba_complete_failed(t, HBA_BUSY, HBA_SENT_YES);
	return true;
}

/* It is held for a minute, then taken for another disk; other units are not held up by it. */
static void a_look_has_a_deadline(void **state)
{
	static bool (*const bad[])(struct hba_task * t) = { never_answered, always_attentive,
							    always_busy };
	struct client c = { 0 }, other = { 0 };
	struct rig r;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		init(&r);
		r.d->targets[0].luns = 2;
		up(&r);
		hook.internal = bad[i];
		rig_say(&r, was_reset, 1);
		write_to(&r, &c, 0, 1);
		test_turns(r.c, 3);
		write_to(&r, &other, 1, 1);
		await(&r, &other);
		assert_int_equal(other.io.error, 0);
		rig_pass(&r, LOOK_FOR_MS - 1000, 100);
		assert_int_equal(c.done, 0);
		rig_pass(&r, 3000, 100);
		await(&r, &c);
		assert_int_equal(c.io.error, -ESTALE);
		assert_in_range(hook.count, 100, 20000);
		change_is_told(&r, "target 0, unit 0: it could not be read for 60 s after a reset "
				   "or a change, and is taken for another "
				   "disk: generation 2, 256 blocks of 512 bytes");
		hook.internal = NULL;
		write_to(&r, &c, 0, 2);
		await(&r, &c);
		assert_int_equal(c.io.error, 0);
		rig_down(&r);
	}
}

/* After a reset every unit says so; there are two internal tasks, and one fetches sense. */
static void many_units_at_once(void **state)
{
	struct client c[8];
	struct rig r;

	(void)state;
	for (unsigned autosense = 0; autosense < 2; autosense++) {
		memset(c, 0, sizeof(c));
		init(&r);
		if (!autosense)
			r.report = no_autosense;
		r.d->targets[0].luns = ARRAY_SIZE(c);
		up(&r);
		r.without_sense = !autosense;
		rig_say(&r, was_reset, ARRAY_SIZE(c));
		for (unsigned i = 0; i < ARRAY_SIZE(c); i++)
			write_to(&r, &c[i], i, 1);
		for (unsigned i = 0; i < ARRAY_SIZE(c); i++) {
			await(&r, &c[i]);
			assert_int_equal(c[i].io.error, 0);
			assert_int_equal(generation(&r, i), 1);
			assert_int_equal(unit(&r, i)->frozen, 0);
		}
		rig_down(&r);
	}
}

static bool hang_once(struct hba_task *t)
{
	(void)t;
	return hook.count++ == 0;
}

/* The look's command is lost: the ladder gets it back, and the unit is looked at again. */
static void a_look_that_hangs_is_recovered(void **state)
{
	struct client c = { 0 };
	struct rig r;

	(void)state;
	init(&r);
	up(&r);
	for (unsigned i = 0; i < ARRAY_SIZE(r.d->tmf); i++)
		r.d->tmf[i] = TEST_REJECTS;
	r.d->bus_reset = TEST_REJECTS; /* the controller is reset */
	hook.internal = hang_once;
	rig_say(&r, was_reset, 1);
	write_to(&r, &c, 0, 1);
	for (unsigned i = 0; i < MANY_TURNS && !c.done; i++) {
		rig_pass(&r, 10, 10);
		usleep(10); /* it is the service thread's turn, now and then */
	}
	assert_int_equal(c.done, 1);
	assert_int_equal(r.d->calls[TEST_RESET], 2);
	assert_int_equal(c.io.error, 0);
	assert_int_equal(generation(&r, 0), 1);
	assert_int_equal(unit(&r, 0)->frozen, 0);
	rig_down(&r);
}

/*
 * Its link is lost while it is held: it stays held, and the look at a unit of another target goes
 * on.
 */
static void a_blocked_target_waits_alone(void **state)
{
	struct client c = { 0 }, other = { 0 };
	struct rig r;

	(void)state;
	init(&r);
	r.d->targets[1].luns = 1;
	up(&r);
	rig_say(&r, was_reset, 2);
	write_to(&r, &c, 0, 1);
	test_turns(r.c, 2);
	/* as recovery does: the look's command, which is queued by now, cannot go */
	unit(&r, 0)->frozen++;
	assert_int_equal(hba_target_block(r.c, 0, true), 0);
	test_turns(r.c, 2);
	other.io = (struct hba_disk_io) { .op = HBA_DISK_FLUSH,
					  .lun = hba_lun_find(r.c, 1, 0),
					  .generation = 1,
					  .done = io_done };
	assert_int_equal(hba_disk_submit(&other.io), 0);
	rig_pass(&r, 1000, 100);
	assert_int_equal(other.done, 1);
	assert_int_equal(other.io.error, 0);
	rig_pass(&r, 2 * LOOK_FOR_MS, 1000);
	assert_int_equal(c.done, 0);
	unit(&r, 0)->frozen--;
	assert_int_equal(hba_target_block(r.c, 0, false), 0);
	rig_pass(&r, 1000, 100);
	assert_int_equal(c.done, 1);
	assert_int_equal(c.io.error, 0);
	assert_int_equal(generation(&r, 0), 1);
	rig_down(&r);
}

static bool becoming_ready_at_target_1(struct hba_task *t)
{
	uint8_t sense[18];

	if (t->target != 1 || t->cdb[0] != TEST_UNIT_READY_OP)
		return false;
	hba_sense(sense, NOT_READY_KEY, 4, 1);
	hba_complete(t, &(struct hba_result) { .outcome = HBA_CHECK_CONDITION,
					       .sense = sense,
					       .sense_len = sizeof(sense) });
	return true;
}

/* A scan waits for another target's disk to spin up. */
static void a_scan_does_not_hold_up_a_look(void **state)
{
	struct client c = { 0 };
	struct rig r;

	(void)state;
	init(&r);
	r.d->targets[1].luns = 1;
	up(&r);
	hook.internal = becoming_ready_at_target_1;
	hba_controller_rescan(r.c);
	for (unsigned i = 0; i < 20; i++)
		rig_pass(&r, 100, 100);
	assert_false(scan_over(r.c));
	rig_say(&r, was_reset, 1);
	write_to(&r, &c, 0, 1);
	test_turns(r.c, 60);
	assert_int_equal(c.done, 1);
	assert_int_equal(c.io.error, 0);
	hook.internal = NULL;
	rig_pass(&r, 1000, 100);
	rig_until_scanned(&r);
	rig_down(&r);
}

static struct hba_task *hung;

static bool stays_out(struct hba_task *t)
{
	hung = t;
	return true;
}

/* Its target goes, or the controller stops, while it is held. */
static void what_is_held_ends(void **state)
{
	struct client c = { 0 }, raw = { 0 };
	struct rig r;

	(void)state;
	for (unsigned stop = 0; stop < 2; stop++) {
		init(&r);
		up(&r);
		hook.internal = stays_out;
		rig_say(&r, was_reset, 1);
		write_to(&r, &c, 0, 1);
		test_turns(r.c, 3);
		send_raw(&r, &raw, 0);
		if (stop) {
			r.d->tick = 100 * TEST_MS;
			assert_int_equal(hba_controller_stop(r.c), 0);
		} else {
			assert_int_equal(hba_target_destroy(r.c, 0), 0);
			test_turns(r.c, 3);
			AS_DRIVER(r.c, hba_complete_good(hung, 0));
		}
		if (!stop)
			await(&r, &c);
		assert_int_equal(c.done, 1);
		assert_int_equal(raw.raw.done, 1);
		assert_int_equal(raw.raw.last.outcome, stop ? HBA_NOT_DELIVERED : HBA_NOT_PRESENT);
		rig_down(&r);
	}
}

static void *submit(void *arg)
{
	static struct test_io io;

	assert_int_equal(hba_submit(arg, test_done, &io), 0);
	return &io;
}

/* Another thread has read which disk is there, and submits after that has changed. */
static void another_thread_comes_late(void **state)
{
	struct client c = { 0 };
	struct test_io *late;
	struct hba_task *t;
	pthread_t thread;
	void *io;
	struct rig r;

	(void)state;
	init(&r);
	up(&r);
	t = test_get(unit(&r, 0));
	test_fill_rw(t, true, 0, 1, c.buffer);
	medium_name(t, 1, MEDIUM_THIS_ONE);
	rig_say(&r, changed, 1);
	write_to(&r, &c, 0, 1);
	await(&r, &c);
	assert_int_equal(generation(&r, 0), 2);
	assert_int_equal(pthread_create(&thread, NULL, submit, t), 0);
	assert_int_equal(pthread_join(thread, &io), 0);
	test_turns(r.c, 3);
	late = io;
	assert_int_equal(late->done, 1);
	assert_int_equal(late->last.outcome, HBA_CHECK_CONDITION);
	assert_int_equal(late->last.sent, HBA_SENT_NO);
	assert_int_equal(late->sense[12], MEDIUM);
	assert_int_equal(rig_clients(&r), 1);
	hba_task_put(t);
	rig_down(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_named_command_fails),
		cmocka_unit_test(a_medium_that_has_left_is_another_one),
		cmocka_unit_test(a_raw_command_is_told_once),
		cmocka_unit_test(a_command_for_any_disk_goes_to_the_new_one),
		cmocka_unit_test(what_was_queued_ends_unsent),
		cmocka_unit_test(what_was_out_is_not_told_as_good),
		cmocka_unit_test(what_a_scan_hears_is_owed),
		cmocka_unit_test(a_reset_is_no_new_disk),
		cmocka_unit_test(another_disk_behind_a_reset),
		cmocka_unit_test(another_size),
		cmocka_unit_test(every_unit_of_a_target_is_looked_at),
		cmocka_unit_test(a_capacity_that_is_not_read),
		cmocka_unit_test(a_look_has_a_deadline),
		cmocka_unit_test(many_units_at_once),
		cmocka_unit_test(a_look_that_hangs_is_recovered),
		cmocka_unit_test(a_blocked_target_waits_alone),
		cmocka_unit_test(a_scan_does_not_hold_up_a_look),
		cmocka_unit_test(what_is_held_ends),
		cmocka_unit_test(another_thread_comes_late),
	};

	return cmocka_run_group_tests_name("core: medium", tests, NULL, NULL);
}
