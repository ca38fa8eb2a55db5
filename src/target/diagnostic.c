/* SPDX-License-Identifier: MIT */
/*
 * diagnostic.c: SEND DIAGNOSTIC, RECEIVE DIAGNOSTIC RESULTS (SPC-4 6.42, 6.30).
 *
 * A self-test reads blocks spread evenly over the whole medium, the first and the last among them,
 * into memory that all units of the device share: one test runs at a time. Tests in the background,
 * and those that read all of a disk, are not there.
 */
#include "base/base.h"
#include "base/endian.h"
#include "target/commands.h"

#include <errno.h>
#include <string.h>

enum { SELFTEST = 0x04, PF = 0x10, CODE_SHIFT = 5, CODE_HIGH_BIT = 7, PF_BIT = 4, HIGH_BIT = 7 };
enum { CODE_NONE = 0, CODE_FOREGROUND_SHORT = 5 };
enum { RESULT_GOOD = 0, RESULT_ABORTED = 2, RESULT_FAILED = 7 };
enum { SAMPLES = 32, PAGE_SUPPORTED = 0x00, PAGE_HEADER = 4, PCV = 0x01 };

/* ---- the self-test */

static uint64_t sample_block(const struct target_unit *unit, unsigned sample)
{
	uint64_t last = unit->blocks - 1;

	/* Divided first: the product of a large disk would overflow. */
	return sample == SAMPLES - 1 ? last : last / (SAMPLES - 1) * sample;
}

static void note_result(struct target_command *c, uint8_t result)
{
	struct target_state *s = target_lock(c->unit);

	memmove(s->tests + 1, s->tests, sizeof(s->tests) - sizeof(s->tests[0]));
	s->tests[0] = (struct self_test) {
		.code = c->cdb[1] >> CODE_SHIFT,
		.result = result,
		.first_failure =
			result == RESULT_FAILED ? sample_block(c->unit, c->sample) : UINT64_MAX,
	};
	if (s->n_tests < SELF_TEST_RESULTS)
		s->n_tests++;
	target_unlock(c->unit);
}

static void end_test(struct target_command *c, int error)
{
	__atomic_store_n(&c->device->testing, false, __ATOMIC_RELEASE);
	note_result(c, error == 0            ? RESULT_GOOD
		       : error == -ECANCELED ? RESULT_ABORTED
					     : RESULT_FAILED);
	if (error == -ECANCELED)
		c->outcome = HBA_TASK_ABORTED;
	else if (error < 0)
		target_refuse(c, SCSI_HARDWARE_ERROR, SCSI_ASC_FAILED_SELF_TEST);
}

static int read_sample(struct target_command *c)
{
	struct store *store = c->unit->store;

	c->piece = (struct iovec) { c->device->test_block, c->unit->block_bytes };
	c->io.engine = c->engine;
	c->io.data = (struct iov_iter) { .iov = &c->piece, .n = 1 };
	c->io.offset = sample_block(c->unit, c->sample) * c->unit->block_bytes;
	c->io.length = c->unit->block_bytes;
	c->io.moved = 0;
	return store->ops->read(store, &c->io);
}

/* 0: the test has ended. 1: it goes on later. */
static int read_samples(struct target_command *c)
{
	int r = 0;

	for (; c->sample < SAMPLES; c->sample++) {
		r = read_sample(c);
		if (r > 0)
			return 1;
		if (r < 0)
			break;
	}
	end_test(c, r);
	return 0;
}

static void sample_done(struct store_io *io, int error)
{
	struct target_command *c = container_of(io, struct target_command, io);

	if (error < 0) {
		end_test(c, error);
		target_end(c);
		return;
	}
	c->sample++;
	if (read_samples(c) == 0)
		target_end(c);
}

static int run_test(struct target_command *c)
{
	struct target_state *s = target_lock(c->unit);
	uint16_t not_ready = target_not_ready(s);

	target_unlock(c->unit);
	if (not_ready)
		return target_refuse(c, SCSI_NOT_READY, not_ready);
	if (__atomic_exchange_n(&c->device->testing, true, __ATOMIC_ACQUIRE))
		return target_refuse(c, SCSI_NOT_READY, SCSI_ASC_SELF_TEST_IN_PROGRESS);
	c->sample = 0;
	c->io.done = sample_done;
	return read_samples(c);
}

/* ---- the commands */

/* The only page requests the list of pages: RECEIVE DIAGNOSTIC RESULTS has it for any nexus. */
static int take_page(struct target_command *c, uint16_t length)
{
	uint8_t page[PAGE_HEADER];

	if (!(c->cdb[1] & PF))
		return target_refuse_field(c, 1, PF_BIT);
	if (target_take_list(c, page, length, sizeof(page)))
		return 0;
	if (length < sizeof(page))
		return target_refuse(c, SCSI_ILLEGAL_REQUEST, SCSI_ASC_PARAMETER_LIST_LENGTH_ERROR);
	if (page[0] != PAGE_SUPPORTED)
		return target_refuse_parameter(c, 0, HIGH_BIT);
	return get_be16(page + 2) ? target_refuse_parameter(c, 2, HIGH_BIT) : 0;
}

int target_send_diagnostic(struct target_command *c)
{
	uint8_t code = c->cdb[1] >> CODE_SHIFT;
	uint16_t length = get_be16(c->cdb + 3);
	bool self_test = c->cdb[1] & SELFTEST;

	/* SELFTEST is the default test; a code requests another, without SELFTEST beside it. */
	if (code != CODE_NONE && (self_test || code != CODE_FOREGROUND_SHORT))
		return target_refuse_field(c, 1, CODE_HIGH_BIT);
	if (!self_test && code == CODE_NONE)
		return length ? take_page(c, length) : 0;
	return length ? target_refuse_field(c, 3, HIGH_BIT) : run_test(c);
}

int target_receive_diagnostic(struct target_command *c)
{
	static const uint8_t page[] = { PAGE_SUPPORTED, 0, 0, 1, PAGE_SUPPORTED };

	if ((c->cdb[1] & PCV) && c->cdb[2] != PAGE_SUPPORTED)
		return target_refuse_field(c, 2, HIGH_BIT);
	return target_answer(c, page, sizeof(page), get_be16(c->cdb + 3));
}
