/* SPDX-License-Identifier: MIT */
/*
 * test-driver.c: see test-driver.h. One thread runs the loop and the test, the service thread the
 * waiting ops; nothing locks, so that a fence that leaks shows in a build with -fsanitize=thread.
 */
/* Before cmocka, whose fail() is a macro. */
#include "core/controller/controller.h"

#include "test-driver.h"

#include <dirent.h>
#include <errno.h>
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
	ILLEGAL_REQUEST = 5,
	UNIT_ATTENTION = 6,
	INVALID_OPCODE = 0x20,
	OUT_OF_RANGE = 0x21,
	INVALID_FIELD = 0x24,
	POWER_ON = 0x29,
	AT_ONCE = 100,
	MANY_TURNS = 200000,
};

/* The public part, and what needs the core's room. */
struct rig {
	struct test_driver d;
	struct clock clock;
};

static struct test_driver *driver_of(const struct hba_controller *c)
{
	return (struct test_driver *)(uintptr_t)hba_controller_variant(c);
}

/* ---- in and out of an op */

static void note(struct test_driver *d, enum test_op op)
{
	static const char letters[] = "IMSTPKpDRO";

	d->calls[op]++;
	if (op != TEST_POLL && d->n_order < TEST_ORDER)
		d->order[d->n_order++] = letters[op];
}

static bool is_hot(enum test_op op)
{
	return op == TEST_PROCESS || op == TEST_KICK || op == TEST_POLL || op == TEST_MANAGE;
}

static void enter(struct test_driver *d, enum test_op op, struct hba_controller *c,
		  struct hba_task *t)
{
	unsigned *mine = is_hot(op) ? &d->hot : &d->waiting,
		 *other = is_hot(op) ? &d->waiting : &d->hot;

	__atomic_add_fetch(mine, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(other, __ATOMIC_SEQ_CST))
		__atomic_add_fetch(&d->overlaps, 1, __ATOMIC_RELAXED);
	note(d, op);
	if (d->inside)
		d->inside(d, op, c, t);
}

static void leave(struct test_driver *d, enum test_op op)
{
	__atomic_sub_fetch(is_hot(op) ? &d->hot : &d->waiting, 1, __ATOMIC_SEQ_CST);
}

static int planted(const struct test_driver *d, enum test_op op)
{
	return d->fail[op].call == TEST_EVERY_CALL || d->fail[op].call == d->calls[op]
		       ? d->fail[op].error
		       : 0;
}

/* ---- bring-up */

static int test_initialize(struct hba_controller *c, struct hba_report *r)
{
	struct test_driver *d = driver_of(c);

	enter(d, TEST_INITIALIZE, c, NULL);
	r->initiator_id = 7;
	r->highest_target_id = TEST_TARGETS - 1;
	r->highest_lun = TEST_HIGHEST_LUN;
	r->max_tasks = 8;
	r->manages_devices = 0;
	r->performs_autosense = 1;
	r->data_mode = HBA_DATA_CPU;
	if (d->report)
		d->report(r);
	leave(d, TEST_INITIALIZE);
	return planted(d, TEST_INITIALIZE);
}

static int test_map_hba_data(struct hba_controller *c, struct hba_task *t, uint32_t *ret_id)
{
	struct test_driver *d = driver_of(c);
	int r;

	enter(d, TEST_MAP, c, t);
	r = planted(d, TEST_MAP);
	if (r == 0)
		*ret_id = d->unique_id ? d->unique_id(d->calls[TEST_MAP]) : d->calls[TEST_MAP];
	leave(d, TEST_MAP);
	return r;
}

static int test_start(struct hba_controller *c)
{
	struct test_driver *d = driver_of(c);

	enter(d, TEST_START, c, NULL);
	leave(d, TEST_START);
	return planted(d, TEST_START);
}

static int test_initialize_target(struct hba_controller *c, struct hba_target *tgt,
				  struct hba_target_report *r)
{
	struct test_driver *d = driver_of(c);

	(void)tgt;
	(void)r;
	enter(d, TEST_INITIALIZE_TARGET, c, NULL);
	leave(d, TEST_INITIALIZE_TARGET);
	return planted(d, TEST_INITIALIZE_TARGET);
}

static void test_stop(struct hba_controller *c)
{
	struct test_driver *d = driver_of(c);

	enter(d, TEST_STOP, c, NULL);
	d->n_held = 0;
	d->silent_tmf = NULL;
	leave(d, TEST_STOP);
}

/* ---- a disk, as far as a scan asks for one */

static void put_be32(uint8_t *p, uint32_t v)
{
	for (int i = 3; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

static uint32_t get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Peripheral addressing up to 255, flat above. */
static unsigned unit_number(const struct hba_lun_id *id)
{
	return (unsigned)(id->bytes[0] & 0x3f) << 8 | id->bytes[1];
}

static size_t page_supported(uint8_t *data)
{
	static const uint8_t page[] = { 0, 0, 0, 2, 0, 0x80 };

	memcpy(data, page, sizeof(page));
	return sizeof(page);
}

static size_t page_serial(const struct test_target *tgt, uint8_t *data)
{
	size_t n = strlen(tgt->serial);

	data[1] = 0x80;
	data[3] = (uint8_t)n;
	memcpy(data + 4, tgt->serial, n);
	return 4 + n;
}

static size_t standard_inquiry(const struct test_target *tgt, const struct hba_task *t,
			       uint8_t *data)
{
	memcpy(data, "\0\0\0\2\37\0\0\0HBAKIT  TEST DISK       1.0 ", 36);
	data[2] = tgt->version;
	if (unit_number(&t->lun) >= tgt->luns)
		data[0] = 0x7f; /* nothing can be here */
	return 36;
}

/* Bytes of the answer; 0 with *ret_asc: refused. */
static size_t inquire(const struct test_target *tgt, const struct hba_task *t, uint8_t *data,
		      uint8_t *ret_asc)
{
	if (!(t->cdb[1] & 1))
		return standard_inquiry(tgt, t, data);
	if (t->cdb[2] == 0)
		return page_supported(data);
	if (t->cdb[2] == 0x80)
		return page_serial(tgt, data);
	*ret_asc = INVALID_FIELD;
	return 0;
}

static size_t report_luns(const struct test_target *tgt, uint8_t *data)
{
	put_be32(data, tgt->luns * 8);
	for (unsigned i = 0; i < tgt->luns; i++) {
		data[8 + i * 8] = (uint8_t)(i > 255 ? 0x40 | i >> 8 : 0);
		data[9 + i * 8] = (uint8_t)i;
	}
	return 8 + tgt->luns * (size_t)8;
}

static uint32_t block_bytes(const struct test_target *tgt)
{
	return tgt->block_bytes ? tgt->block_bytes : TEST_BLOCK;
}

static size_t capacity_10(const struct test_target *tgt, uint8_t *data)
{
	put_be32(data, tgt->blocks > UINT32_MAX ? UINT32_MAX : (uint32_t)(tgt->blocks - 1));
	put_be32(data + 4, block_bytes(tgt));
	return 8;
}

static size_t capacity_16(const struct test_target *tgt, uint8_t *data, uint8_t *ret_asc)
{
	if (tgt->no_capacity_16) {
		*ret_asc = INVALID_OPCODE;
		return 0;
	}
	put_be32(data, (uint32_t)((tgt->blocks - 1) >> 32));
	put_be32(data + 4, (uint32_t)(tgt->blocks - 1));
	put_be32(data + 8, block_bytes(tgt));
	return 32;
}

static size_t answer(const struct test_target *tgt, const struct hba_task *t, uint8_t *data,
		     uint8_t *ret_asc)
{
	switch (t->cdb[0]) {
	case TEST_UNIT_READY:
		return 0;
	case INQUIRY:
		return inquire(tgt, t, data, ret_asc);
	case REPORT_LUNS:
		if (!tgt->no_report_luns)
			return report_luns(tgt, data);
		break;
	case READ_CAPACITY_10:
		return capacity_10(tgt, data);
	case SERVICE_ACTION_IN:
		return capacity_16(tgt, data, ret_asc);
	case MODE_SENSE_6:
		data[0] = 3;
		data[2] = tgt->write_protected ? 0x80 : 0;
		return 4;
	}
	*ret_asc = INVALID_OPCODE;
	return 0;
}

static void complain(struct hba_task *t, uint8_t key, uint8_t asc)
{
	uint8_t sense[18];

	hba_sense(sense, key, asc, 0);
	hba_complete(t, &(struct hba_result) { .outcome = HBA_CHECK_CONDITION,
					       .sense = sense,
					       .sense_len = sizeof(sense) });
}

static void transfer(struct test_target *tgt, struct hba_task *t)
{
	uint64_t block = get_be32(t->cdb + 2), count = (uint64_t)t->cdb[7] << 8 | t->cdb[8];

	if (block > TEST_BLOCKS || count > TEST_BLOCKS - block)
		complain(t, ILLEGAL_REQUEST, OUT_OF_RANGE);
	else if (t->cdb[0] == READ_10)
		hba_complete_good(t, hba_task_copy_to(t, 0, tgt->medium + block * TEST_BLOCK,
						      count * TEST_BLOCK));
	else
		hba_complete_good(t, hba_task_copy_from(t, 0, tgt->medium + block * TEST_BLOCK,
							count * TEST_BLOCK));
}

static void execute(struct test_driver *d, struct hba_task *t)
{
	struct test_target *tgt = &d->targets[t->target];
	uint8_t asc = 0;
	size_t n;

	if (t->target >= TEST_TARGETS || !tgt->luns) {
		hba_complete_failed(t, HBA_NOT_PRESENT, HBA_SENT_NO);
		return;
	}
	if (tgt->attentions && t->cdb[0] != INQUIRY && t->cdb[0] != REPORT_LUNS) {
		tgt->attentions--;
		complain(t, UNIT_ATTENTION, POWER_ON);
		return;
	}
	if (t->cdb[0] == READ_10 || t->cdb[0] == WRITE_10) {
		transfer(tgt, t);
		return;
	}
	memset(d->data, 0, t->length < TEST_DATA ? t->length : TEST_DATA);
	n = answer(tgt, t, d->data, &asc);
	if (d->answer)
		d->answer(d, t, &n);
	if (asc)
		complain(t, ILLEGAL_REQUEST, asc);
	else
		hba_complete_good(t, hba_task_copy_to(t, 0, d->data, n));
}

/* ---- the hot ops */

static void test_process_task(struct hba_queue *q, struct hba_task *t)
{
	struct test_driver *d = driver_of(hba_queue_controller(q));

	enter(d, TEST_PROCESS, hba_queue_controller(q), t);
	if (d->process && d->process(d, q, t))
		;
	else if (d->hold && (d->hold_target == TEST_EVERY_TARGET || d->hold_target == t->target))
		d->held[d->n_held++] = t;
	else
		execute(d, t);
	leave(d, TEST_PROCESS);
}

static void test_kick(struct hba_queue *q)
{
	struct test_driver *d = driver_of(hba_queue_controller(q));

	enter(d, TEST_KICK, hba_queue_controller(q), NULL);
	leave(d, TEST_KICK);
}

static struct hba_task *take_held(struct test_driver *d, unsigned i)
{
	struct hba_task *t = d->held[i];

	d->n_held--;
	memmove(&d->held[i], &d->held[i + 1], (d->n_held - i) * sizeof(d->held[0]));
	return t;
}

static unsigned test_poll(struct hba_queue *q, unsigned budget)
{
	struct test_driver *d = driver_of(hba_queue_controller(q));
	unsigned n;

	enter(d, TEST_POLL, hba_queue_controller(q), NULL);
	for (n = 0; n < budget && d->release && d->n_held; n++, d->release--)
		execute(d, take_held(d, 0));
	leave(d, TEST_POLL);
	return n;
}

static bool is_victim(const struct hba_task *t, const struct hba_task *tmf, enum hba_tmf function)
{
	if (function == HBA_ABORT_TASK)
		return t == tmf->data.victim;
	return t->target == tmf->target &&
	       (function == HBA_TARGET_RESET || memcmp(&t->lun, &tmf->lun, sizeof(t->lun)) == 0);
}

static void end_victims(struct test_driver *d, const struct hba_task *tmf, enum hba_tmf function)
{
	for (unsigned i = 0; i < d->n_held;)
		if (!tmf || is_victim(d->held[i], tmf, function))
			hba_complete_failed(take_held(d, i), HBA_TASK_ABORTED, HBA_SENT_YES);
		else
			i++;
}

static void test_manage(struct hba_queue *q, struct hba_task *t, enum hba_tmf function)
{
	struct test_driver *d = driver_of(hba_queue_controller(q));

	enter(d, TEST_MANAGE, hba_queue_controller(q), t);
	if (d->n_functions < TEST_TMFS)
		d->functions[d->n_functions++] = function;
	if (d->tmf[function] == TEST_WORKS)
		end_victims(d, t, function);
	if (d->tmf[function] == TEST_SILENT)
		d->silent_tmf = t;
	else
		hba_tmf_complete(t, d->tmf[function] == TEST_REJECTS ? HBA_FUNCTION_REJECTED
								     : HBA_FUNCTION_COMPLETE);
	leave(d, TEST_MANAGE);
}

static int test_reset(struct hba_controller *c, enum hba_reset_level level)
{
	struct test_driver *d = driver_of(c);
	int r = d->controller_reset;

	enter(d, TEST_RESET, c, NULL);
	if (level == HBA_RESET_BUS) {
		r = d->bus_reset == TEST_REJECTS ? -EIO : 0;
		if (d->bus_reset == TEST_WORKS)
			end_victims(d, NULL, HBA_TARGET_RESET);
	} else if (r == 0) {
		d->n_held = 0;
		d->silent_tmf = NULL;
	}
	leave(d, TEST_RESET);
	return r;
}

/* ---- the clock */

static uint64_t clock_now(const struct clock *clock)
{
	struct rig *rig = container_of(clock, struct rig, clock);

	return __atomic_add_fetch(&rig->d.now, __atomic_load_n(&rig->d.tick, __ATOMIC_RELAXED),
				  __ATOMIC_RELAXED);
}

void test_advance(struct test_driver *d, uint64_t ms)
{
	__atomic_add_fetch(&d->now, ms * TEST_MS, __ATOMIC_RELAXED);
}

/* ---- making one */

static const struct hba_driver good_table = {
	HBA_DRIVER_HEADER,
	.name = "test",
	.summary = "disks of memory that misbehave on demand",
	.scheme = "test",
	.initialize = test_initialize,
	.map_hba_data = test_map_hba_data,
	.start = test_start,
	.initialize_target = test_initialize_target,
	.process_task = test_process_task,
	.kick = test_kick,
	.poll = test_poll,
	.manage = test_manage,
	.reset = test_reset,
	.stop = test_stop,
};

struct test_driver *test_driver_new(void)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	rig->clock.now = clock_now;
	rig->d.table = good_table;
	rig->d.hold_target = TEST_EVERY_TARGET;
	rig->d.now = UINT64_C(1000000) * TEST_MS;
	for (unsigned i = 0; i < TEST_TARGETS; i++)
		rig->d.targets[i] = (struct test_target) { .blocks = TEST_BLOCKS,
							   .version = 6,
							   .serial = "SERIAL-1" };
	rig->d.targets[0].luns = 1;
	return &rig->d;
}

void test_driver_free(struct test_driver *d)
{
	free(container_of(d, struct rig, d));
}

struct hba_controller *test_open(struct test_driver *d, const struct hba_options *options)
{
	struct controller_plan plan = {
		.driver = &d->table,
		.bus = d->bus,
		.variant = d,
		.uri = "test:",
		.path = "",
		.options = options,
		.clock = &container_of(d, struct rig, d)->clock,
	};
	struct hba_controller *c = NULL;

	assert_int_equal(controller_new(&plan, &c), 0);
	return c;
}

struct hba_controller *test_up(struct test_driver *d)
{
	struct hba_controller *c = test_open(d, NULL);

	if (hba_controller_start(c) < 0)
		fail_msg("start: %s", hba_error());
	return c;
}

void test_down(struct test_driver *d, struct hba_controller *c)
{
	/* what is held is waited for in vain, but not for long */
	__atomic_store_n(&d->tick, 100 * TEST_MS, __ATOMIC_RELAXED);
	hba_controller_close(c);
	assert_int_equal(d->overlaps, 0);
	test_driver_free(d);
}

unsigned test_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* ---- events */

bool test_event(struct hba_controller *c, enum hba_event_kind kind, struct hba_event *ret_event)
{
	while (hba_event_next(c, ret_event))
		if (ret_event->kind == kind)
			return true;
	return false;
}

void test_violation(struct hba_controller *c, const char *sentence)
{
	struct hba_event e;

	if (!test_event(c, HBA_EVENT_VIOLATION, &e))
		fail_msg("no violation was told; it should have been: %s", sentence);
	assert_string_equal(e.text, sentence);
}

void test_device_error(struct hba_controller *c, const char *sentence)
{
	struct hba_event e;

	while (hba_event_next(c, &e) > 0) {
		if (e.kind == HBA_EVENT_VIOLATION)
			fail_msg("a violation: %s", e.text);
		if (e.kind != HBA_EVENT_DEVICE_ERROR)
			continue;
		assert_string_equal(e.text, sentence);
		return;
	}
	fail_msg("no error of the device was told; it should have been: %s", sentence);
}

void test_no_violation(struct hba_controller *c)
{
	struct hba_event e;

	if (test_event(c, HBA_EVENT_VIOLATION, &e))
		fail_msg("a violation: %s", e.text);
}

/* ---- a client */

void test_done(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct test_io *io = arg;

	io->done++;
	io->last = *r;
	if (r->sense_len)
		memcpy(io->sense, r->sense, r->sense_len);
	io->last.sense = io->sense;
	io->task = t;
	if (io->put)
		hba_task_put(t);
}

struct hba_task *test_get(struct hba_lun *lun)
{
	struct hba_task *t = NULL;

	assert_non_null(lun);
	assert_int_equal(hba_task_get(lun, 0, NULL, &t), 0);
	return t;
}

void test_fill_ready(struct hba_task *t)
{
	t->cdb_len = 6;
}

void test_fill_rw(struct hba_task *t, bool write, uint32_t block, uint16_t count, void *buffer)
{
	t->cdb[0] = write ? WRITE_10 : READ_10;
	put_be32(t->cdb + 2, block);
	t->cdb[7] = (uint8_t)(count >> 8);
	t->cdb[8] = (uint8_t)count;
	t->cdb_len = 10;
	t->direction = write ? HBA_TO_TARGET : HBA_FROM_TARGET;
	t->length = count * (uint64_t)TEST_BLOCK;
	t->data.buffer = buffer;
}

void test_turns(struct hba_controller *c, unsigned n)
{
	while (n--)
		assert_true(hba_controller_run(c, HBA_MAX_BATCH) >= 0);
}

void test_wait(struct hba_controller *c, const struct test_io *io, unsigned done)
{
	for (unsigned i = 0; i < MANY_TURNS && io->done < done; i++) {
		test_turns(c, 1);
		if (i > AT_ONCE)
			usleep(10); /* it is the service thread's turn */
	}
	assert_int_equal(io->done, done);
}

enum hba_outcome test_ready(struct hba_lun *lun)
{
	struct test_io io = { .put = true };
	struct hba_task *t = test_get(lun);

	test_fill_ready(t);
	assert_int_equal(hba_submit(t, test_done, &io), 0);
	test_wait(hba_lun_controller(lun), &io, 1);
	return io.last.outcome;
}
