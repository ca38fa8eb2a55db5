/* SPDX-License-Identifier: MIT */
/*
 * disk.c: the disk layer against a unit of a few lines that keeps the commands it was sent.
 *
 * It stands where the core would: a task is always there unless the test says "later", and ends
 * when hba_submit() returns.
 */
#include "disk/disk.h"
#include "base/base.h"
#include "base/endian.h"
#include "core/diag/error.h"
#include "core/io/medium.h"

#include <errno.h>
#include <hbakit/controller.h>
#include <hbakit/driver.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka's; here it is the core's */

enum { BLOCK = 512, MAX_SENT = 64 };
#define BLOCKS (UINT64_C(1) << 34)

struct sent {
	uint8_t cdb[HBA_MAX_CDB];
	uint8_t data[32];
	const void *buffer;
	uint64_t length;
	uint8_t direction;
};

struct hba_lun {
	struct hba_lun_info info;
	struct hba_report report;
	struct hba_task task;
	struct sent sent[MAX_SENT];
	unsigned n_sent, n_dones;
	uint32_t max_count; /* blocks per dataless command; refused above */
	bool refuse_unmap, refuse_fua, no_status, later, short_data;
	struct scsi_lba_status status[DISK_MOST_STATUS]; /* what GET LBA STATUS says */
	unsigned n_status;
	unsigned puts, gets;
	size_t bounce;
	struct hba_waiter *waiter;
	struct hba_result answer; /* to READ, WRITE and FLUSH */
	uint32_t named;           /* by the last command; */
	enum medium_choice choice;
	bool exchange; /* the next command is the last that this disk gets */
	int submit_error;
};

/* ---- in the core's place */

static char sentence[512];

int fail(int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	return error;
}

void hba_lun_get_info(const struct hba_lun *lun, struct hba_lun_info *ret_info)
{
	*ret_info = lun->info;
}

void medium_name(struct hba_task *t, uint32_t generation, enum medium_choice choice)
{
	struct hba_lun *lun = t->priv;

	lun->named = generation;
	lun->choice = choice;
}

bool medium_has_passed(const struct hba_lun *lun, uint32_t generation, enum medium_choice choice)
{
	return choice == MEDIUM_THIS_ONE && generation != lun->info.generation;
}

struct hba_controller *hba_lun_controller(const struct hba_lun *lun)
{
	return (struct hba_controller *)(uintptr_t)lun;
}

const struct hba_report *hba_controller_report(const struct hba_controller *c)
{
	return &((const struct hba_lun *)(const void *)c)->report;
}

int hba_task_get(struct hba_lun *lun, size_t bounce, struct hba_waiter *w,
		 struct hba_task **ret_task)
{
	lun->bounce = bounce;
	lun->gets++;
	if (lun->later) {
		lun->waiter = w;
		return 1;
	}
	lun->task = (struct hba_task) { .priv = lun };
	*ret_task = &lun->task;
	return 0;
}

void hba_task_put(struct hba_task *t)
{
	if (t)
		((struct hba_lun *)t->priv)->puts++;
}

static const uint8_t invalid_field[18] = { 0x70, 0,   SCSI_ILLEGAL_REQUEST, 0, 0, 0, 0, 10, 0, 0, 0,
					   0,    0x24 };

static struct hba_result refusal(void)
{
	return (struct hba_result) { .outcome = HBA_CHECK_CONDITION,
				     .sense = invalid_field,
				     .sense_len = sizeof(invalid_field) };
}

static bool is_write_same(const uint8_t *cdb)
{
	return cdb[0] == SCSI_WRITE_SAME_10 || cdb[0] == SCSI_WRITE_SAME_16;
}

static bool is_dataless(const uint8_t *cdb)
{
	return cdb[0] == SCSI_UNMAP || is_write_same(cdb) || cdb[0] == SCSI_VERIFY_10 ||
	       cdb[0] == SCSI_VERIFY_12 || cdb[0] == SCSI_VERIFY_16;
}

/* Of UNMAP what its list says, of READ and WRITE what they say. */
static struct scsi_extent extent_of(const uint8_t *cdb, const uint8_t *list)
{
	struct scsi_extent extent = { 0, 0 };
	struct scsi_rw rw;

	if (scsi_cdb_read_rw(cdb, HBA_MAX_CDB, &rw))
		return (struct scsi_extent) { rw.block, rw.count };
	if (cdb[0] == SCSI_UNMAP)
		return scsi_unmap_descriptor(list + SCSI_UNMAP_HEADER_BYTES);
	assert_true(scsi_cdb_read_extent(cdb, HBA_MAX_CDB, &extent));
	return extent;
}

static struct hba_result dataless_answer(const struct hba_lun *lun, const struct hba_task *t)
{
	uint32_t count = extent_of(t->cdb, t->data.buffer).count;

	if (count > lun->max_count || (is_write_same(t->cdb) && t->cdb[1] && lun->refuse_unmap))
		return refusal();
	return (struct hba_result) { .outcome = HBA_GOOD, .bytes = t->length };
}

static struct hba_result status_answer(const struct hba_lun *lun, const struct hba_task *t)
{
	uint8_t bytes[SCSI_LBA_STATUS_HEADER_BYTES + DISK_MOST_STATUS * SCSI_LBA_STATUS_BYTES];
	size_t n = scsi_lba_status_write(lun->status, lun->n_status, bytes);

	if (lun->no_status)
		return refusal();
	n = n < t->length ? n : t->length;
	memcpy(t->data.buffer, bytes, n);
	return (struct hba_result) { .outcome = HBA_GOOD, .bytes = n };
}

int hba_submit(struct hba_task *t, hba_done_fn done, void *arg)
{
	struct hba_lun *lun = t->priv;
	struct sent *s = &lun->sent[lun->n_sent++];
	struct hba_result r = lun->answer;

	if (lun->submit_error)
		return lun->submit_error;
	assert_true(lun->n_sent < MAX_SENT);
	memcpy(s->cdb, t->cdb, sizeof(s->cdb));
	assert_int_equal(t->cdb_len, scsi_cdb_length(t->cdb[0]));
	assert_true(t->cdb_len <= lun->report.max_cdb);
	s->buffer = t->data.buffer;
	s->length = t->length;
	s->direction = t->direction;
	if (t->direction == HBA_TO_TARGET && t->mode == HBA_DATA_CPU && !t->n_data)
		memcpy(s->data, t->data.buffer,
		       t->length < sizeof(s->data) ? t->length : sizeof(s->data));
	if (t->cdb[0] == SCSI_SERVICE_ACTION_IN_16)
		r = status_answer(lun, t);
	else if (is_dataless(t->cdb))
		r = dataless_answer(lun, t);
	else if (lun->refuse_fua && t->cdb[1] & 0x08)
		r = refusal();
	else
		r.bytes = lun->short_data ? t->length - BLOCK : t->length;
	lun->info.generation += lun->exchange;
	lun->exchange = false;
	done(t, &r, arg);
	return 0;
}

int hba_controller_arm(struct hba_controller *c)
{
	(void)c;
	return 1;
}

int hba_controller_fd(const struct hba_controller *c)
{
	(void)c;
	return -1;
}

/* The loop's turn: the task that a request waits for. */
int hba_controller_run(struct hba_controller *c, unsigned budget)
{
	struct hba_lun *lun = (struct hba_lun *)(void *)c;
	struct hba_waiter *w = lun->waiter;

	(void)budget;
	lun->waiter = NULL;
	if (!w)
		return -ENODEV;
	lun->task = (struct hba_task) { .priv = lun };
	w->ready(w, lun->info.present ? &lun->task : NULL);
	return 1;
}

/* ---- the tests */

/* By a sentence that has these words. */
static void refused(int r, int error, const char *words)
{
	assert_int_equal(r, error);
	if (!strstr(sentence, words))
		print_error("'%s' is not in '%s'\n", words, sentence);
	assert_non_null(strstr(sentence, words));
	sentence[0] = 0;
}

static struct hba_lun a_lun(void)
{
	return (struct hba_lun) {
		.info = { .target = 3, .present = true, .block_bytes = BLOCK, .blocks = BLOCKS },
		.report = { .max_cdb = 16 },
		.max_count = UINT32_MAX,
		.answer = { .outcome = HBA_GOOD },
	};
}

static struct hba_lun a_thin_lun(void)
{
	struct hba_lun lun = a_lun();

	lun.info.thin = lun.info.reads_zero = true;
	return lun;
}

static char buffer[(UINT16_MAX + 1) * BLOCK]; /* one block more than ten bytes of CDB can say */

static struct hba_disk_io an_io(struct hba_lun *lun, enum hba_disk_op op, uint64_t offset,
				uint64_t length)
{
	return (struct hba_disk_io) { .lun = lun,
				      .op = op,
				      .offset = offset,
				      .length = length,
				      .mode = HBA_DATA_CPU,
				      .data = { .buffer = buffer } };
}

static int run(struct hba_lun *lun, enum hba_disk_op op, uint64_t offset, uint64_t length)
{
	struct hba_disk_io io = an_io(lun, op, offset, length);

	return hba_disk_do(&io);
}

static void reads_and_writes_are_one_command(void **state)
{
	struct hba_lun lun = a_lun();

	(void)state;
	assert_int_equal(run(&lun, HBA_DISK_READ, 16 * BLOCK, 8 * BLOCK), 0);
	assert_int_equal(run(&lun, HBA_DISK_WRITE, (BLOCKS - 8) * BLOCK, 8 * BLOCK), 0);
	assert_int_equal(lun.n_sent, 2);
	assert_int_equal(lun.sent[0].cdb[0], SCSI_READ_10);
	assert_int_equal(get_be32(&lun.sent[0].cdb[2]), 16);
	assert_int_equal(get_be16(&lun.sent[0].cdb[7]), 8);
	assert_int_equal(lun.sent[0].direction, HBA_FROM_TARGET);
	assert_int_equal(lun.sent[1].cdb[0], SCSI_WRITE_16);
	assert_int_equal(get_be64(&lun.sent[1].cdb[2]), BLOCKS - 8);
	assert_int_equal(lun.sent[1].direction, HBA_TO_TARGET);
	assert_int_equal(lun.puts, 2);
}

static void fua_is_in_the_command(void **state)
{
	struct hba_lun lun = a_lun();
	struct hba_disk_io io = an_io(&lun, HBA_DISK_WRITE, 0, BLOCK);

	(void)state;
	io.flags = HBA_DISK_FUA;
	assert_int_equal(hba_disk_do(&io), 0);
	assert_int_equal(lun.sent[0].cdb[1], 0x08);
}

static int with_fua(struct hba_lun *lun, enum hba_disk_op op)
{
	struct hba_disk_io io = an_io(lun, op, 0, BLOCK);

	io.flags = HBA_DISK_FUA;
	return hba_disk_do(&io);
}

/* SYNCHRONIZE CACHE, and on which command before it. */
static void what_cannot_say_fua_is_flushed(void **state)
{
	struct hba_lun lun = a_lun();

	(void)state;
	assert_int_equal(with_fua(&lun, HBA_DISK_ZERO), 0);
	assert_int_equal(with_fua(&lun, HBA_DISK_UNMAP), 0);
	assert_int_equal(lun.n_sent, 4);
	assert_int_equal(lun.sent[1].cdb[0], SCSI_SYNCHRONIZE_CACHE_10);
	assert_int_equal(lun.sent[3].cdb[0], SCSI_SYNCHRONIZE_CACHE_10);
	assert_int_equal(with_fua(&lun, HBA_DISK_VERIFY), 0);
	assert_int_equal(lun.n_sent, 5);
	lun = a_lun();
	lun.refuse_fua = true;
	assert_int_equal(with_fua(&lun, HBA_DISK_WRITE), 0);
	assert_int_equal(lun.n_sent, 3);
	assert_int_equal(lun.sent[0].cdb[1], 0x08);
	assert_int_equal(lun.sent[1].cdb[0], SCSI_WRITE_10);
	assert_int_equal(lun.sent[1].cdb[1], 0);
	assert_int_equal(lun.sent[2].cdb[0], SCSI_SYNCHRONIZE_CACHE_10);
	assert_int_equal(lun.puts, 1);
}

static void a_flush_that_fails_is_an_error(void **state)
{
	static const uint8_t no_such_command[18] = {
		0x70, 0, SCSI_ILLEGAL_REQUEST, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x20
	};
	struct hba_lun lun = a_lun();

	(void)state;
	lun.answer = (struct hba_result) { .outcome = HBA_CHECK_CONDITION,
					   .sense = no_such_command,
					   .sense_len = 18 };
	assert_int_equal(run(&lun, HBA_DISK_FLUSH, 0, 0), 0);
	assert_int_equal(with_fua(&lun, HBA_DISK_ZERO), 0);
	lun.answer = (struct hba_result) { .outcome = HBA_BUSY };
	assert_int_equal(run(&lun, HBA_DISK_FLUSH, 0, 0), -EAGAIN);
	assert_int_equal(with_fua(&lun, HBA_DISK_ZERO), -EAGAIN);
}

static int status(struct hba_lun *lun, uint64_t block, uint64_t count,
		  struct hba_disk_extent *extents, uint32_t *n)
{
	struct hba_disk_io io = an_io(lun, HBA_DISK_STATUS, block * BLOCK, count * BLOCK);
	int r;

	io.extents = extents;
	io.max_extents = *n;
	r = hba_disk_do(&io);
	*n = io.n_extents;
	return r;
}

static void status_is_told_in_extents(void **state)
{
	struct hba_lun lun = a_lun();
	struct hba_disk_extent e[DISK_MOST_STATUS + 4];
	uint32_t n = DISK_MOST_STATUS + 4;

	(void)state;
	lun.status[0] =
		(struct scsi_lba_status) { .extent = { 90, 20 }, .provisioning = SCSI_MAPPED };
	lun.status[1] =
		(struct scsi_lba_status) { .extent = { 110, 5 }, .provisioning = SCSI_DEALLOCATED };
	lun.status[2] =
		(struct scsi_lba_status) { .extent = { 115, 1 }, .provisioning = SCSI_ANCHORED };
	lun.status[3] =
		(struct scsi_lba_status) { .extent = { 116, UINT32_MAX }, .provisioning = 9 };
	lun.n_status = 4;
	assert_int_equal(status(&lun, 100, 50, e, &n), 0);
	assert_int_equal(n, 4);
	assert_int_equal(get_be64(&lun.sent[0].cdb[2]), 100);
	assert_int_equal(get_be32(&lun.sent[0].cdb[10]), lun.sent[0].length);
	assert_int_equal(lun.sent[0].length, 504);
	assert_memory_equal(
		&e[0], &((struct hba_disk_extent) { 100 * BLOCK, 10 * BLOCK, HBA_DISK_MAPPED }),
		20);
	assert_memory_equal(
		&e[1], &((struct hba_disk_extent) { 110 * BLOCK, 5 * BLOCK, HBA_DISK_DEALLOCATED }),
		20);
	assert_memory_equal(
		&e[2], &((struct hba_disk_extent) { 115 * BLOCK, 1 * BLOCK, HBA_DISK_ANCHORED }),
		20);
	assert_memory_equal(
		&e[3], &((struct hba_disk_extent) { 116 * BLOCK, 34 * BLOCK, HBA_DISK_MAPPED }),
		20);
	n = 1;
	assert_int_equal(status(&lun, 100, 50, e, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(e[0].length, 10 * BLOCK);
}

/*
 * Nothing, what lies elsewhere, what goes backwards, what leaves a gap: only what leads on from the
 * first block is told.
 */
static void a_status_that_cannot_be_is_not_believed(void **state)
{
	static const struct {
		struct scsi_extent told[2];
		unsigned n_told;
		uint32_t n;
	} cases[] = {
		{ { { 0, 0 } }, 0, 0 },
		{ { { 100, 0 } }, 1, 0 },
		{ { { 101, 5 } }, 1, 0 },
		{ { { 50, 50 } }, 1, 0 },
		{ { { UINT64_MAX, 50 } }, 1, 0 },
		{ { { 100, 5 }, { 107, 5 } }, 2, 1 },
		{ { { 100, 5 }, { 90, 10 } }, 2, 1 },
		{ { { 100, UINT32_MAX }, { 100 + (uint64_t)UINT32_MAX, 10 } }, 2, 1 },
	};
	struct hba_disk_extent e[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct hba_lun lun = a_lun();
		uint32_t n = ARRAY_SIZE(e);

		for (unsigned j = 0; j < cases[i].n_told; j++)
			lun.status[j].extent = cases[i].told[j];
		lun.n_status = cases[i].n_told;
		assert_int_equal(status(&lun, 100, 50, e, &n), cases[i].n ? 0 : -EIO);
		assert_int_equal(n, cases[i].n);
	}
}

static void a_unit_without_status_says_so(void **state)
{
	struct hba_lun lun = a_lun();
	struct hba_disk_extent e;
	uint32_t n = 1;

	(void)state;
	lun.no_status = true;
	assert_int_equal(status(&lun, 0, 1, &e, &n), -EOPNOTSUPP);
	n = 0;
	assert_int_equal(status(&lun, 0, 1, &e, &n), -EINVAL);
	n = 1;
	refused(status(&lun, 0, 1, NULL, &n), -EINVAL, "there is no place for its extents");
	assert_int_equal(lun.n_sent, 1);
}

static void another_disk_is_not_touched(void **state)
{
	struct hba_lun lun = a_lun();
	struct hba_disk_io io = an_io(&lun, HBA_DISK_WRITE, 0, BLOCK);

	(void)state;
	lun.info.generation = 2;
	io.generation = 1;
	refused(hba_disk_do(&io), -ESTALE, "another disk is there by now: generation 2, not 1");
	assert_int_equal(lun.n_sent, 0);
	io.generation = 2;
	assert_int_equal(hba_disk_do(&io), 0);
}

static void ignore(struct hba_disk_io *io)
{
	(void)io;
}

static void each_command_names_its_disk(void **state)
{
	struct hba_lun lun = a_lun();
	struct hba_disk_io io = an_io(&lun, HBA_DISK_WRITE, 0, BLOCK);

	(void)state;
	lun.info.generation = 7;
	assert_int_equal(hba_disk_do(&io), 0);
	assert_int_equal(lun.named, 7);
	assert_int_equal(lun.choice, MEDIUM_WHICHEVER);
	io.generation = 7;
	assert_int_equal(hba_disk_do(&io), 0);
	assert_int_equal(lun.named, 7);
	assert_int_equal(lun.choice, MEDIUM_THIS_ONE);
	/* Where the first command went, the others go. */
	lun.max_count = 1;
	assert_int_equal(run(&lun, HBA_DISK_VERIFY, 0, 2 * BLOCK), 0);
	assert_int_equal(lun.choice, MEDIUM_THIS_ONE);
	io = an_io(&lun, HBA_DISK_UNMAP, 0, BLOCK);
	io.flags = HBA_DISK_FUA;
	assert_int_equal(hba_disk_do(&io), 0);
	assert_int_equal(lun.sent[lun.n_sent - 1].cdb[0], SCSI_SYNCHRONIZE_CACHE_10);
	assert_int_equal(lun.choice, MEDIUM_THIS_ONE);
}

static void no_request_goes_on_with_another_disk(void **state)
{
	struct hba_lun lun = a_lun();

	(void)state;
	lun.info.generation = 1;
	lun.max_count = 1;
	assert_int_equal(run(&lun, HBA_DISK_VERIFY, 0, BLOCK), 0);
	lun.exchange = true;
	refused(run(&lun, HBA_DISK_UNMAP, 0, 2 * BLOCK), -ESTALE,
		"another disk is there now than the one that was meant");
	assert_int_equal(lun.n_sent, 3); /* two blocks, refused; one, on either disk; no other */
	/* Nor one that waited for a task. */
	lun.later = true;
	for (uint32_t generation = 0; generation <= 2; generation += 2) {
		struct hba_disk_io io = an_io(&lun, HBA_DISK_READ, 0, BLOCK);

		io.generation = generation;
		io.done = ignore;
		assert_int_equal(hba_disk_submit(&io), 0);
		lun.info.generation = 3;
		hba_controller_run((struct hba_controller *)(void *)&lun, 1);
		assert_int_equal(io.error, generation ? -ESTALE : 0);
		lun.info.generation = 2;
	}
	assert_int_equal(lun.puts, lun.gets);
}

static void another_medium_is_stale(void **state)
{
	static const uint8_t sense[18] = { 0x70, 0,   SCSI_UNIT_ATTENTION, 0, 0, 0, 0, 10, 0, 0, 0,
					   0,    0x28 };
	struct hba_lun lun = a_lun();

	(void)state;
	lun.answer = (struct hba_result) { .outcome = HBA_CHECK_CONDITION,
					   .sense = sense,
					   .sense_len = sizeof(sense) };
	refused(run(&lun, HBA_DISK_READ, 0, BLOCK), -ESTALE,
		"another disk is there now than the one that was meant");
}

static void flush_is_of_the_whole_unit(void **state)
{
	struct hba_lun lun = a_lun();

	(void)state;
	assert_int_equal(run(&lun, HBA_DISK_FLUSH, 1, 1), 0);
	assert_int_equal(lun.n_sent, 1);
	assert_int_equal(lun.sent[0].cdb[0], SCSI_SYNCHRONIZE_CACHE_10);
	assert_int_equal(get_be32(&lun.sent[0].cdb[2]), 0);
	assert_int_equal(get_be16(&lun.sent[0].cdb[7]), 0);
}

static void what_cannot_be_is_refused_unsent(void **state)
{
	struct hba_lun lun = a_lun();
	struct hba_disk_io io = an_io(&lun, HBA_DISK_READ, 0, BLOCK);

	(void)state;
	refused(hba_disk_submit(&io), -EINVAL,
		"READ of 512 bytes at offset 0, target 3, LUN 0: it has no done");
	refused(run(&lun, HBA_DISK_READ, 1, BLOCK), -EINVAL,
		"READ of 512 bytes at offset 1, target 3, LUN 0: that is not one or more whole "
		"blocks of 512 bytes");
	refused(run(&lun, HBA_DISK_READ, 0, BLOCK + 1), -EINVAL,
		"READ of 513 bytes at offset 0, target 3, LUN 0: that is not one or more whole "
		"blocks of 512 bytes");
	refused(run(&lun, HBA_DISK_VERIFY, 0, 0), -EINVAL,
		"VERIFY of 0 bytes at offset 0, target 3, LUN 0: that is not one or more whole "
		"blocks of 512 bytes");
	refused(run(&lun, HBA_DISK_WRITE, BLOCKS * BLOCK, BLOCK), -ERANGE,
		"WRITE of 512 bytes at offset 8796093022208, target 3, LUN 0: that reaches beyond "
		"its end, block 17179869184 of 512 bytes");
	refused(run(&lun, HBA_DISK_READ, (BLOCKS - 1) * BLOCK, 2 * BLOCK), -ERANGE,
		"beyond its end");
	refused(run(&lun, HBA_DISK_READ, UINT64_MAX - BLOCK + 1, BLOCK), -ERANGE, "beyond its end");
	io.done = ignore;
	io.n_data = 1;
	io.length = BLOCK * (UINT64_C(1) << 32);
	refused(hba_disk_submit(&io), -EINVAL,
		"a list of data is one command, which here has at most 4294967295 blocks");
	refused(run(&lun, (enum hba_disk_op)99, 0, BLOCK), -EINVAL,
		"hba_disk_submit: there is no operation 99");
	lun.info.block_bytes = 0;
	refused(run(&lun, HBA_DISK_READ, 0, BLOCK), -ENOMEDIUM,
		"there is no medium in it, or it is no disk");
	lun.info.present = false;
	refused(run(&lun, HBA_DISK_FLUSH, 0, 0), -ENODEV,
		"FLUSH of 0 bytes at offset 0, target 3, LUN 0: the unit is not there");
	assert_int_equal(lun.n_sent, 0);
	assert_int_equal(lun.gets, 0);
}

/* Every block exactly once, in order, none above the limit. */
static void check_cover(const struct hba_lun *lun, uint8_t opcode, uint64_t block, uint64_t count)
{
	for (unsigned i = 0; i < lun->n_sent; i++) {
		const struct sent *s = &lun->sent[i];
		struct scsi_extent e = extent_of(s->cdb, s->data);

		if (s->cdb[0] != opcode || e.count > lun->max_count ||
		    (lun->refuse_unmap && s->cdb[1]))
			continue;
		assert_int_equal(e.block, block);
		block += e.count;
		count -= e.count;
	}
	assert_int_equal(count, 0);
}

static void long_ranges_become_several_commands(void **state)
{
	struct hba_lun lun = a_lun();

	(void)state;
	assert_int_equal(run(&lun, HBA_DISK_UNMAP, 3 * BLOCK, (BLOCKS - 3) * BLOCK), 0);
	assert_int_equal(lun.n_sent, 8);
	check_cover(&lun, SCSI_UNMAP, 3, BLOCKS - 3);
	assert_int_equal(lun.puts, 1);
}

/*
 * As a controller has it whose CDBs are short: its disks have at most 2^32 blocks, for READ
 * CAPACITY(10) tells of no more.
 */
static struct hba_lun a_short_lun(unsigned max_cdb)
{
	struct hba_lun lun = a_thin_lun();

	lun.report.max_cdb = max_cdb;
	lun.info.blocks = UINT64_C(1) << 32;
	return lun;
}

static void short_cdbs_say_all_but_status(void **state)
{
	static const struct {
		enum hba_disk_op op;
		uint8_t ten, twelve;
	} cases[] = {
		{ HBA_DISK_READ, SCSI_READ_10, SCSI_READ_10 },
		{ HBA_DISK_WRITE, SCSI_WRITE_10, SCSI_WRITE_10 },
		{ HBA_DISK_ZERO, SCSI_WRITE_SAME_10, SCSI_WRITE_SAME_10 },
		{ HBA_DISK_VERIFY, SCSI_VERIFY_10, SCSI_VERIFY_12 },
		{ HBA_DISK_UNMAP, SCSI_UNMAP, SCSI_UNMAP },
	};
	struct hba_disk_extent e;
	uint32_t n;

	(void)state;
	for (unsigned max_cdb = 10; max_cdb <= 12; max_cdb += 2) {
		struct hba_lun lun = a_short_lun(max_cdb);

		for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
			assert_int_equal(
				run(&lun, cases[i].op, (lun.info.blocks - 2) * BLOCK, 2 * BLOCK),
				0);
			assert_int_equal(lun.sent[i].cdb[0],
					 max_cdb == 10 ? cases[i].ten : cases[i].twelve);
			assert_int_equal(extent_of(lun.sent[i].cdb, lun.sent[i].data).block,
					 lun.info.blocks - 2);
			assert_int_equal(extent_of(lun.sent[i].cdb, lun.sent[i].data).count, 2);
		}
		n = 1;
		refused(status(&lun, 0, 1, &e, &n), -EOPNOTSUPP,
			"the question has 16 bytes, and the controller takes CDBs of up to 1");
		assert_int_equal(lun.n_sent, ARRAY_SIZE(cases));
	}
}

static void short_cdbs_count_in_pieces(void **state)
{
	struct hba_lun lun = a_short_lun(10);

	(void)state;
	assert_int_equal(run(&lun, HBA_DISK_ZERO, 5 * BLOCK, 100000 * BLOCK), 0);
	assert_int_equal(lun.n_sent, 4);
	assert_int_equal(lun.sent[0].cdb[1], SCSI_WRITE_SAME_UNMAP);
	check_cover(&lun, SCSI_WRITE_SAME_10, 5, 100000);
	lun = a_short_lun(10);
	assert_int_equal(run(&lun, HBA_DISK_VERIFY, 5 * BLOCK, 100000 * BLOCK), 0);
	check_cover(&lun, SCSI_VERIFY_10, 5, 100000);
	lun = a_short_lun(12);
	assert_int_equal(run(&lun, HBA_DISK_VERIFY, 5 * BLOCK, 100000 * BLOCK), 0);
	assert_int_equal(lun.n_sent, 1);
	lun = a_short_lun(12);
	assert_int_equal(run(&lun, HBA_DISK_READ, 5 * BLOCK, 100000 * BLOCK), 0);
	assert_int_equal(lun.n_sent, 1);
	assert_int_equal(lun.sent[0].cdb[0], SCSI_READ_12);
	assert_int_equal(lun.puts, 1);
}

/* Each piece has its own part of the buffer, and its own bytes to move. */
static void a_buffer_goes_in_pieces_where_a_cdb_counts_no_further(void **state)
{
	struct hba_lun lun = a_short_lun(10);
	struct hba_disk_io io = an_io(&lun, HBA_DISK_READ, 7 * BLOCK, UINT16_MAX * BLOCK);

	(void)state;
	assert_int_equal(hba_disk_do(&io), 0);
	assert_int_equal(lun.n_sent, 1);
	assert_int_equal(lun.bounce, UINT16_MAX * BLOCK);
	io.length += BLOCK;
	assert_int_equal(hba_disk_do(&io), 0);
	assert_int_equal(lun.n_sent, 3);
	assert_int_equal(lun.bounce, 32768 * BLOCK);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(lun.sent[1 + i].length, 32768 * BLOCK);
		assert_ptr_equal(lun.sent[1 + i].buffer, buffer + (size_t)i * 32768 * BLOCK);
		assert_int_equal(extent_of(lun.sent[1 + i].cdb, lun.sent[1 + i].buffer).block,
				 7 + i * 32768);
	}
	assert_int_equal(lun.puts, 2);
	lun.refuse_fua = true;
	io.op = HBA_DISK_WRITE;
	io.flags = HBA_DISK_FUA;
	assert_int_equal(hba_disk_do(&io), 0);
	assert_int_equal(lun.n_sent, 7); /* refused, twice without FUA, flushed */
	assert_int_equal(lun.sent[6].cdb[0], SCSI_SYNCHRONIZE_CACHE_10);
	lun.short_data = true;
	assert_int_equal(hba_disk_do(&io), -EIO);
	io.n_data = 1;
	refused(hba_disk_do(&io), -EINVAL,
		"a list of data is one command, which here has at most 65535 blocks");
}

static void a_units_limit_is_found_by_halving(void **state)
{
	struct hba_lun lun = a_lun();

	(void)state;
	lun.max_count = 100;
	assert_int_equal(run(&lun, HBA_DISK_VERIFY, 7 * BLOCK, 1000 * BLOCK), 0);
	check_cover(&lun, SCSI_VERIFY_16, 7, 1000);
	assert_int_equal(lun.puts, 1);
}

static void a_unit_that_refuses_all_lengths_ends_it(void **state)
{
	struct hba_lun lun = a_lun();

	(void)state;
	lun.max_count = 0;
	assert_int_equal(run(&lun, HBA_DISK_VERIFY, 0, BLOCKS * BLOCK), -EINVAL);
	assert_int_equal(lun.n_sent, 32);
	assert_int_equal(lun.puts, 1);
}

static void zero_unmaps_only_where_that_reads_as_zeros(void **state)
{
	struct hba_lun lun = a_lun();

	(void)state;
	assert_int_equal(run(&lun, HBA_DISK_ZERO, 0, 64 * BLOCK), 0);
	assert_int_equal(lun.n_sent, 1);
	assert_int_equal(lun.sent[0].cdb[1], 0);
	assert_int_equal(lun.sent[0].length, BLOCK);
	lun = a_thin_lun();
	assert_int_equal(run(&lun, HBA_DISK_ZERO, 0, 64 * BLOCK), 0);
	assert_int_equal(lun.sent[0].cdb[1], 0x08);
	lun.info.reads_zero = false;
	assert_int_equal(run(&lun, HBA_DISK_ZERO, 0, 64 * BLOCK), 0);
	assert_int_equal(lun.sent[1].cdb[1], 0);
}

static int zero_with(struct hba_lun *lun, uint32_t flags)
{
	struct hba_disk_io io = an_io(lun, HBA_DISK_ZERO, 0, 64 * BLOCK);

	io.flags = flags;
	return hba_disk_do(&io);
}

static void zero_allocates_or_is_fast_when_told(void **state)
{
	struct hba_lun lun = a_thin_lun();

	(void)state;
	assert_int_equal(zero_with(&lun, HBA_DISK_ALLOCATE), 0);
	assert_int_equal(lun.sent[0].cdb[1], 0);
	assert_int_equal(zero_with(&lun, HBA_DISK_FAST), 0);
	assert_int_equal(lun.sent[1].cdb[1], 0x08);
	assert_int_equal(zero_with(&lun, HBA_DISK_FAST | HBA_DISK_ALLOCATE), -EOPNOTSUPP);
	assert_int_equal(lun.n_sent, 2);
	/* Refused, it is not written block by block. */
	lun.refuse_unmap = true;
	assert_int_equal(zero_with(&lun, HBA_DISK_FAST), -EINVAL);
	for (unsigned i = 0; i < lun.n_sent; i++)
		assert_true(i == 0 || lun.sent[i].cdb[1] == 0x08);
	lun = a_lun();
	assert_int_equal(zero_with(&lun, HBA_DISK_FAST), -EOPNOTSUPP);
	assert_int_equal(lun.n_sent, 0);
}

static void zero_is_written_where_unmapping_is_refused(void **state)
{
	struct hba_lun lun = a_lun();

	(void)state;
	lun.info.thin = lun.info.reads_zero = lun.refuse_unmap = true;
	assert_int_equal(run(&lun, HBA_DISK_ZERO, 5 * BLOCK, 64 * BLOCK), 0);
	check_cover(&lun, SCSI_WRITE_SAME_16, 5, 64);
}

static void a_short_transfer_is_an_error(void **state)
{
	struct hba_lun lun = a_lun();

	(void)state;
	lun.short_data = true;
	assert_int_equal(run(&lun, HBA_DISK_READ, 0, 8 * BLOCK), -EIO);
}

static void sense_is_kept(void **state)
{
	struct hba_lun lun = a_lun();
	struct hba_disk_io io = an_io(&lun, HBA_DISK_READ, 0, BLOCK);

	(void)state;
	lun.answer = (struct hba_result) { .outcome = HBA_CHECK_CONDITION,
					   .sense = invalid_field,
					   .sense_len = 18 };
	refused(hba_disk_do(&io), -EINVAL,
		"READ of 512 bytes at offset 0, target 3, LUN 0: Invalid argument; sense ILLEGAL "
		"REQUEST, ASC 24, ASCQ 00: ");
	assert_ptr_equal(io.result.sense, io.sense_bytes);
	assert_int_equal(io.result.sense_len, 18);
	assert_memory_equal(io.sense_bytes, invalid_field, 18);
	assert_int_equal(io.result.outcome, HBA_CHECK_CONDITION);
	assert_int_equal(lun.n_sent, 1);
}

static void it_waits_for_a_task(void **state)
{
	struct hba_lun lun = a_lun();

	(void)state;
	lun.later = true;
	assert_int_equal(run(&lun, HBA_DISK_READ, 0, BLOCK), 0);
	assert_int_equal(lun.n_sent, 1);
	lun = a_lun();
	lun.later = true;
	struct hba_disk_io io = an_io(&lun, HBA_DISK_READ, 0, BLOCK);
	lun.submit_error = -EMSGSIZE;
	assert_int_equal(hba_disk_do(&io), -EMSGSIZE);
	assert_int_equal(lun.puts, 1);
}

static int error_of(enum hba_outcome outcome, uint8_t key, uint8_t code, uint8_t qualifier)
{
	uint8_t sense[18];
	struct hba_result r = { .outcome = outcome, .sense = sense, .sense_len = sizeof(sense) };

	hba_sense(sense, key, code, qualifier);
	return disk_error(&r);
}

static void answers_become_errno(void **state)
{
	static const struct {
		uint8_t key, code, qualifier;
		int error;
	} cases[] = {
		{ SCSI_NO_SENSE, 0, 0, 0 },
		{ SCSI_RECOVERED_ERROR, 0x17, 1, 0 },
		{ SCSI_NOT_READY, 0x3a, 2, -ENOMEDIUM },
		{ SCSI_NOT_READY, 4, 1, -EAGAIN },
		{ SCSI_NOT_READY, 4, 2, -EIO },
		{ SCSI_MEDIUM_ERROR, 0x11, 0, -EIO },
		{ SCSI_HARDWARE_ERROR, 0x44, 0, -EIO },
		{ SCSI_ILLEGAL_REQUEST, 0x21, 0, -ERANGE },
		{ SCSI_ILLEGAL_REQUEST, 0x20, 0, -EOPNOTSUPP },
		{ SCSI_ILLEGAL_REQUEST, 0x24, 0, -EINVAL },
		{ SCSI_ILLEGAL_REQUEST, 0x25, 0, -ENODEV },
		{ SCSI_UNIT_ATTENTION, 0x29, 0, -EAGAIN },
		{ SCSI_DATA_PROTECT, 0x27, 0, -EROFS },
		{ SCSI_DATA_PROTECT, 0x27, 7, -ENOSPC },
		{ SCSI_ABORTED_COMMAND, 0x10, 1, -EIO },
		{ SCSI_ABORTED_COMMAND, 0, 0, -EAGAIN },
		{ SCSI_MISCOMPARE, 0x1d, 0, -EIO },
		{ SCSI_VOLUME_OVERFLOW, 0, 0, -ENOSPC },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(error_of(HBA_CHECK_CONDITION, cases[i].key, cases[i].code,
					  cases[i].qualifier),
				 cases[i].error);
	assert_int_equal(error_of(HBA_RESERVATION_CONFLICT, 0, 0, 0), -EBADE);
	assert_int_equal(error_of(HBA_NOT_PRESENT, 0, 0, 0), -ENODEV);
	assert_int_equal(error_of(HBA_TASK_TIMEOUT, 0, 0, 0), -ETIMEDOUT);
	assert_int_equal(error_of(HBA_NO_STATUS, 0, 0, 0), -EIO);
	assert_int_equal(error_of(HBA_OUTCOME(2, 0x77), 0, 0, 0), -EIO);
}

static void bad_sense_is_an_error(void **state)
{
	struct hba_result none = { .outcome = HBA_CHECK_CONDITION };
	uint8_t deferred[18] = { 0x71, 0, SCSI_RECOVERED_ERROR };
	struct hba_result late = { .outcome = HBA_CHECK_CONDITION,
				   .sense = deferred,
				   .sense_len = 18 };
	struct hba_result cut = { .outcome = HBA_CHECK_CONDITION,
				  .sense = deferred,
				  .sense_len = 1 };

	(void)state;
	assert_int_equal(disk_error(&none), -EIO);
	assert_int_equal(disk_error(&late), -EIO);
	assert_int_equal(disk_error(&cut), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_writes_are_one_command),
		cmocka_unit_test(fua_is_in_the_command),
		cmocka_unit_test(what_cannot_say_fua_is_flushed),
		cmocka_unit_test(a_flush_that_fails_is_an_error),
		cmocka_unit_test(status_is_told_in_extents),
		cmocka_unit_test(a_status_that_cannot_be_is_not_believed),
		cmocka_unit_test(a_unit_without_status_says_so),
		cmocka_unit_test(another_disk_is_not_touched),
		cmocka_unit_test(each_command_names_its_disk),
		cmocka_unit_test(no_request_goes_on_with_another_disk),
		cmocka_unit_test(another_medium_is_stale),
		cmocka_unit_test(zero_allocates_or_is_fast_when_told),
		cmocka_unit_test(flush_is_of_the_whole_unit),
		cmocka_unit_test(what_cannot_be_is_refused_unsent),
		cmocka_unit_test(long_ranges_become_several_commands),
		cmocka_unit_test(short_cdbs_say_all_but_status),
		cmocka_unit_test(short_cdbs_count_in_pieces),
		cmocka_unit_test(a_buffer_goes_in_pieces_where_a_cdb_counts_no_further),
		cmocka_unit_test(a_units_limit_is_found_by_halving),
		cmocka_unit_test(a_unit_that_refuses_all_lengths_ends_it),
		cmocka_unit_test(zero_unmaps_only_where_that_reads_as_zeros),
		cmocka_unit_test(zero_is_written_where_unmapping_is_refused),
		cmocka_unit_test(a_short_transfer_is_an_error),
		cmocka_unit_test(sense_is_kept),
		cmocka_unit_test(it_waits_for_a_task),
		cmocka_unit_test(answers_become_errno),
		cmocka_unit_test(bad_sense_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
