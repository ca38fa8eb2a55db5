/* SPDX-License-Identifier: MIT */
/* rig.c: see rig.h. */
/* Before cmocka, whose fail() is a macro. */
#include "core/controller/controller.h"

#include "script/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	TEST_UNIT_READY = 0x00,
	INQUIRY = 0x12,
	MODE_SENSE_6 = 0x1a,
	READ_CAPACITY_10 = 0x25,
	READ_10 = 0x28,
	WRITE_10 = 0x2a,
	SERVICE_ACTION_IN = 0x9e,
	REPORT_LUNS = 0xa0,
	CHECK_CONDITION = 2,
	ILLEGAL_REQUEST = 5,
	INVALID_FIELD = 0x24,
	OUT_OF_RANGE = 0x21,
	INVALID_OPCODE = 0x20,
	SENSE_KEY = 2,
	SENSE_ASC = 12,
	TURNS_TO_SEND = 4,
	MANY_TURNS = 100000,
};

/* The public part, and the clock. */
struct whole {
	struct rig rig;
	struct clock clock;
	uint64_t now, tick;
};

static uint64_t clock_now(const struct clock *clock)
{
	struct whole *w = container_of(clock, struct whole, clock);

	return __atomic_add_fetch(&w->now, __atomic_load_n(&w->tick, __ATOMIC_RELAXED),
				  __ATOMIC_RELAXED);
}

void *rig_memory(struct rig *rig, uint64_t iova, size_t length)
{
	void *p = script_memory(&rig->script, iova, length);

	if (!p) {
		fail_msg("the device was sent to 0x%llx, %zu bytes, where no memory is",
			 (unsigned long long)iova, length);
		abort(); /* it does not return, but gcc -O3 must be told */
	}
	return p;
}

void rig_tick(struct rig *rig, uint64_t ms)
{
	__atomic_store_n(&container_of(rig, struct whole, rig)->tick, ms * NS_PER_MS,
			 __ATOMIC_RELAXED);
}

struct rig *rig_new(void *of_chip)
{
	struct whole *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->clock.now = clock_now;
	w->now = NS_PER_S;
	w->rig.of_chip = of_chip;
	w->rig.script.of_test = &w->rig;
	rig_tick(&w->rig, 0);
	return &w->rig;
}

struct rig *rig_of(struct script *s)
{
	return s->of_test;
}

/* ---- up and down */

/* Of the id that matches the device, as the registry finds it. */
static const void *variant_of(const struct hba_driver *driver, const struct hba_bus_info *info)
{
	for (const struct hba_pci_id *id = driver->ids; id && id->vendor; id++)
		if (id->vendor == info->vendor && id->device == info->device)
			return id->variant;
	return NULL;
}

void rig_open(struct rig *rig, const struct hba_driver *driver)
{
	char path[SCRIPT_PATH];
	struct controller_plan plan = {
		.driver = driver,
		.bus = &bus_script,
		.variant = variant_of(driver, &rig->script.info),
		.uri = "script:",
		.path = path,
		.clock = &container_of(rig, struct whole, rig)->clock,
	};

	script_path(&rig->script, path);
	assert_int_equal(controller_new(&plan, &rig->c), 0);
}

struct hba_lun *rig_up(struct rig *rig, const struct hba_driver *driver)
{
	struct hba_lun *lun;
	int r;

	rig_open(rig, driver);
	r = hba_controller_start(rig->c);
	if (r < 0)
		print_error("%s\n", hba_error());
	assert_int_equal(r, 0);
	lun = hba_lun_next(rig->c, NULL);
	assert_non_null(lun);
	return lun;
}

void rig_refused(struct rig *rig, const struct hba_driver *driver, int error, const char *part)
{
	rig_open(rig, driver);
	rig_tick(rig, 500);
	assert_int_equal(hba_controller_start(rig->c), error);
	if (!strstr(hba_error(), part))
		fail_msg("'%s' does not hold '%s'", hba_error(), part);
}

void rig_down(struct rig *rig)
{
	const char *verdict;

	rig_tick(rig, 1);
	hba_controller_close(rig->c);
	verdict = script_verdict(&rig->script);
	if (verdict)
		fail_msg("%s", verdict);
	free(container_of(rig, struct whole, rig));
}

/* ---- a disk, as far as these tests ask for one */

static void put_be32(uint8_t *p, uint32_t v)
{
	for (int i = 3; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

static struct rig_answer refused(uint8_t asc)
{
	struct rig_answer a = { .status = CHECK_CONDITION, .sense_len = RIG_SENSE };

	hba_sense(a.sense, ILLEGAL_REQUEST, asc, 0);
	return a;
}

static struct rig_answer transfer(struct rig *rig, const uint8_t *cdb, const uint8_t *out,
				  size_t length)
{
	size_t block = (size_t)cdb[4] << 8 | cdb[5],
	       bytes = ((size_t)cdb[7] << 8 | cdb[8]) * RIG_BLOCK;

	if (block > RIG_BLOCKS || bytes > (RIG_BLOCKS - block) * RIG_BLOCK)
		return refused(OUT_OF_RANGE);
	if (cdb[0] == READ_10)
		return (struct rig_answer) { .data = rig->medium + block * RIG_BLOCK,
					     .length = bytes };
	memcpy(rig->medium + block * RIG_BLOCK, out, bytes < length ? bytes : length);
	return (struct rig_answer) { 0 };
}

static size_t standard_inquiry(uint8_t *data)
{
	memcpy(data, "\0\0\5\2\37\0\0\0HBAKIT  SCRIPT DISK     1.0 ", 36);
	return 36;
}

static size_t capacity_16(uint8_t *data)
{
	put_be32(data + 4, RIG_BLOCKS - 1);
	put_be32(data + 8, RIG_BLOCK);
	return 32;
}

static size_t report_luns(uint8_t *data, bool two_units)
{
	put_be32(data, two_units ? 16 : 8);
	data[17] = two_units;
	return two_units ? 24 : 16;
}

struct rig_answer rig_execute(struct rig *rig, const uint8_t *cdb, const uint8_t *out,
			      size_t length)
{
	struct rig_answer a = { .data = rig->data };

	memset(rig->data, 0, 256);
	switch (cdb[0]) {
	case TEST_UNIT_READY:
		break;
	case READ_10:
	case WRITE_10:
		return transfer(rig, cdb, out, length);
	case INQUIRY:
		if (cdb[1] & 1)
			return refused(INVALID_FIELD);
		a.length = standard_inquiry(rig->data);
		break;
	case SERVICE_ACTION_IN:
		a.length = capacity_16(rig->data);
		break;
	case REPORT_LUNS:
		a.length = report_luns(rig->data, rig->two_units);
		break;
	case MODE_SENSE_6:
		rig->data[0] = 3;
		a.length = 4;
		break;
	default:
		return refused(INVALID_OPCODE);
	}
	return a;
}

/* ---- a client */

static struct hba_task *take(struct hba_lun *lun, size_t bounce)
{
	struct hba_task *t = NULL;

	assert_int_equal(hba_task_get(lun, bounce, NULL, &t), 0);
	return t;
}

static struct hba_task *submit(struct hba_task *t, struct test_io *io)
{
	io->put = true;
	assert_int_equal(hba_submit(t, test_done, io), 0);
	return t;
}

struct hba_task *rig_ready(struct hba_lun *lun, struct test_io *io)
{
	struct hba_task *t = take(lun, 0);

	test_fill_ready(t);
	return submit(t, io);
}

struct hba_task *rig_unknown(struct hba_lun *lun, struct test_io *io)
{
	struct hba_task *t = take(lun, 0);

	test_fill_ready(t);
	t->cdb[0] = RIG_UNKNOWN;
	return submit(t, io);
}

struct hba_task *rig_read(struct hba_lun *lun, struct test_io *io, void *buffer, uint16_t blocks)
{
	struct hba_task *t = take(lun, (size_t)blocks * RIG_BLOCK);

	test_fill_rw(t, false, 0, blocks, buffer);
	return submit(t, io);
}

struct hba_task *rig_write(struct hba_lun *lun, struct test_io *io, void *buffer, uint16_t blocks)
{
	struct hba_task *t = take(lun, (size_t)blocks * RIG_BLOCK);

	test_fill_rw(t, true, 0, blocks, buffer);
	return submit(t, io);
}

struct hba_task *rig_direct(struct hba_lun *lun, struct test_io *io, bool write, uint16_t blocks,
			    const struct hba_piece *piece, void *buffer)
{
	struct hba_task *t = take(lun, 0);

	test_fill_rw(t, write, 0, blocks, buffer);
	if (piece) {
		t->mode = HBA_DATA_REGION;
		t->n_data = 1;
		t->data.pieces = piece;
	}
	return submit(t, io);
}

void rig_turn(struct rig *rig, unsigned i)
{
	hba_controller_run(rig->c, HBA_MAX_BATCH);
	if (i > 100)
		usleep(10); /* it is the service thread's turn */
}

void rig_send(struct rig *rig)
{
	test_turns(rig->c, TURNS_TO_SEND);
}

void rig_wait(struct rig *rig, const struct test_io *io, unsigned done)
{
	for (unsigned i = 0; i < MANY_TURNS && io->done < done; i++)
		rig_turn(rig, i);
	assert_int_equal(io->done, done);
}

void rig_ends(struct rig *rig, const struct test_io *io, unsigned done, enum hba_outcome outcome)
{
	rig_wait(rig, io, done);
	assert_int_equal(io->last.outcome, outcome);
}

void rig_works(struct rig *rig, struct hba_lun *lun, struct test_io *io)
{
	unsigned done = io->done;

	rig_ready(lun, io);
	rig_ends(rig, io, done + 1, HBA_GOOD);
}

void rig_copies(struct rig *rig, struct hba_lun *lun)
{
	struct test_io io = { 0 };
	uint8_t out[4 * RIG_BLOCK], in[4 * RIG_BLOCK];

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7);
	rig_write(lun, &io, out, 4);
	rig_ends(rig, &io, 1, HBA_GOOD);
	rig_read(lun, &io, in, 4);
	rig_ends(rig, &io, 2, HBA_GOOD);
	assert_int_equal(io.last.bytes, sizeof(in));
	assert_memory_equal(in, out, sizeof(in));
	test_no_violation(rig->c);
}

void rig_has_sense(struct rig *rig, struct hba_lun *lun)
{
	struct test_io io = { 0 };

	rig_unknown(lun, &io);
	rig_ends(rig, &io, 1, HBA_CHECK_CONDITION);
	assert_int_equal(io.last.sense_len, RIG_SENSE);
	assert_int_equal(io.sense[SENSE_KEY], ILLEGAL_REQUEST);
	assert_int_equal(io.sense[SENSE_ASC], INVALID_OPCODE);
	rig_works(rig, lun, &io);
}

/* How many errors of the device were told up to now. */
static unsigned read_errors(struct rig *rig, const char *part)
{
	struct hba_event e;
	unsigned n = 0;

	while (hba_event_next(rig->c, &e) > 0) {
		if (e.kind == HBA_EVENT_VIOLATION)
			fail_msg("a violation: %s", e.text);
		if (e.kind != HBA_EVENT_DEVICE_ERROR)
			continue;
		if (!strstr(e.text, part))
			fail_msg("'%s' does not hold '%s'", e.text, part);
		n++;
	}
	return n;
}

void rig_told(struct rig *rig, const char *part)
{
	unsigned told = read_errors(rig, part);

	for (unsigned i = 0; i < MANY_TURNS && !told; i++) {
		rig_turn(rig, i);
		told = read_errors(rig, part);
	}
	assert_int_not_equal(told, 0);
}

void rig_until(struct rig *rig, enum hba_state state)
{
	for (unsigned i = 0; i < MANY_TURNS && hba_controller_state(rig->c) != state; i++)
		rig_turn(rig, i);
	assert_string_equal(hba_state_name(hba_controller_state(rig->c)), hba_state_name(state));
}

/*
 * Arming does not tell: it answers 0 while an op has the driver, and never while a command is out
 * that no interrupt would end.
 */
void rig_quiet(struct rig *rig)
{
	unsigned idle = 0;

	for (unsigned i = 0; i < MANY_TURNS && idle < TURNS_TO_SEND; i++) {
		int n = hba_controller_run(rig->c, HBA_MAX_BATCH);

		assert_true(n >= 0);
		idle = n == 0 && !rig->c->chores_owed && worker_idle(rig->c) ? idle + 1 : 0;
		if (!idle)
			usleep(10);
	}
	assert_int_equal(idle, TURNS_TO_SEND);
}

/* ---- I/O through a reset */

static void write_again(struct hba_lun *lun, struct rig_writer *w, unsigned block)
{
	struct hba_task *t = take(lun, RIG_BLOCK);

	memset(w->data, (int)(++w->sent * RIG_WRITERS + block), RIG_BLOCK);
	test_fill_rw(t, true, block, 1, w->data);
	submit(t, &w->io);
}

void rig_hang(struct hba_lun *lun, struct test_io *hung, struct rig_writer w[RIG_WRITERS])
{
	enum { SOON_MS = 100 };
	struct hba_task *t = take(lun, 0);

	test_fill_ready(t);
	t->timeout_ms = SOON_MS;
	submit(t, hung);
	for (unsigned i = 0; i < RIG_CAUGHT; i++)
		write_again(lun, &w[i], i);
}

/*
 * A write that has ended well is on the medium; one that the reset has ended is its client's to
 * repeat.
 */
static void look_at(struct rig *rig, struct hba_lun *lun, struct rig_writer *w, unsigned block)
{
	if (w->io.done < w->sent)
		return;
	if (w->io.last.outcome == HBA_GOOD) {
		assert_memory_equal(rig->medium + (size_t)block * RIG_BLOCK, w->data, RIG_BLOCK);
		w->good++;
	} else {
		assert_int_equal(w->io.last.outcome, HBA_NOT_DELIVERED);
		w->ended_by_reset++;
	}
	write_again(lun, w, block);
}

void rig_writes_through_reset(struct rig *rig, struct hba_lun *lun, const struct test_io *hung,
			      struct rig_writer w[RIG_WRITERS])
{
	enum { ENOUGH = 20 };

	for (unsigned i = RIG_CAUGHT; i < RIG_WRITERS; i++)
		write_again(lun, &w[i], i);
	rig_tick(rig, 5);
	for (unsigned i = 0; i < MANY_TURNS && (!hung->done || w[0].good < ENOUGH); i++) {
		rig_turn(rig, i);
		for (unsigned k = 0; k < RIG_WRITERS; k++)
			look_at(rig, lun, &w[k], k);
	}
	assert_int_equal(hung->last.outcome, HBA_TASK_TIMEOUT);
	for (unsigned i = 0; i < RIG_WRITERS; i++) {
		assert_true(i >= RIG_CAUGHT || w[i].ended_by_reset == 1);
		assert_true(w[i].good >= ENOUGH / 2);
		rig_wait(rig, &w[i].io, w[i].sent);
	}
}
