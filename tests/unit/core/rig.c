/* SPDX-License-Identifier: MIT */
/* rig.c: see rig.h. */
#include "rig.h"

#include "scsi/scsi.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REQUEST_SENSE_BYTES = 18, WORD = 8, MANY_TURNS = 100000 };

uint64_t rig_random(uint64_t *state, uint64_t below)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return below ? *state % below : *state;
}

/* ---- the disk */

static uint64_t word_at(uint64_t n)
{
	n += UINT64_C(0x9e3779b97f4a7c15);
	n = (n ^ n >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	n = (n ^ n >> 27) * UINT64_C(0x94d049bb133111eb);
	return n ^ n >> 31;
}

uint8_t rig_byte(uint64_t at)
{
	return (uint8_t)(word_at(at / WORD) >> at % WORD * 8);
}

static void fill_piece(uint8_t *to, uint64_t at, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		to[i] = rig_byte(at + i);
}

static uint64_t count_wrong(const uint8_t *from, uint64_t at, uint64_t n)
{
	uint64_t wrong = 0;

	for (uint64_t i = 0; i < n; i++)
		wrong += from[i] != rig_byte(at + i);
	return wrong;
}

/* One READ or WRITE: as many of its bytes as it is to move. */
static void move(struct rig *r, struct hba_task *t, uint64_t at, uint64_t bytes)
{
	uint64_t done = 0;

	for (uint32_t i = 0; i < t->n_data && done < bytes; i++) {
		uint64_t n = t->data.iov[i].iov_len < bytes - done ? t->data.iov[i].iov_len
								   : bytes - done;
		uint8_t *piece = t->data.iov[i].iov_base;

		if (t->direction == HBA_FROM_TARGET)
			fill_piece(piece, at + done, n);
		else
			r->wrong += count_wrong(piece, at + done, n);
		done += n;
	}
	if (t->direction == HBA_TO_TARGET)
		r->written += done;
}

static void fail_with(struct hba_task *t, const struct rig_answer *a)
{
	uint8_t sense[REQUEST_SENSE_BYTES];

	hba_sense(sense, a->key, a->asc, a->ascq);
	hba_complete(t, &(struct hba_result) { .outcome = HBA_CHECK_CONDITION,
					       .bytes = a->bytes,
					       .sense = sense,
					       .sense_len = sizeof(sense) });
}

static bool disk(struct rig *r, struct hba_task *t)
{
	struct scsi_rw rw;

	if (!r->disk || !scsi_cdb_read_rw(t->cdb, t->cdb_len, &rw))
		return false;
	r->stages++;
	r->wrong += rw.count * (uint64_t)TEST_BLOCK != t->length ||
		    (t->length && rw.direction != t->direction);
	if (r->stages == r->bad_stage) {
		fail_with(t, &(struct rig_answer) { .key = MEDIUM_ERROR_KEY, .asc = 0x11 });
	} else {
		uint64_t bytes = r->stages == r->short_stage ? r->short_bytes : t->length;

		move(r, t, rw.block * TEST_BLOCK, bytes);
		hba_complete_good(t, bytes);
	}
	return true;
}

/* ---- lists in DMA mode */

static bool is_within(const struct hba_constraints *k, bool read, const struct hba_segment *s)
{
	uint64_t most = read ? k->max_segment_bytes_read : k->max_segment_bytes_write,
		 last = s->iova.bus + s->length - 1;

	return s->length && s->length <= most && s->iova.bus % k->alignment == 0 &&
	       last >= s->iova.bus && (k->address_bits >= 64 || last >> k->address_bits == 0) &&
	       (!k->boundary || s->iova.bus / k->boundary == last / k->boundary);
}

/*
 * Each segment within the report's limits, and the device can reach it; then it is read as CPU
 * memory, which it is without a bus.
 */
static void check_segments(struct rig *r, struct hba_task *t)
{
	const struct hba_constraints *k = &r->c->report.constraints;
	bool read = t->direction == HBA_FROM_TARGET;
	uint64_t sum = 0;

	r->wrong += t->n_data > (read ? k->max_segments_read : k->max_segments_write);
	r->wrong += k->max_transfer && t->length > k->max_transfer;
	for (uint32_t i = 0; i < t->n_data; i++) {
		const struct hba_segment *s = &t->data.segments[i];
		struct hba_iova iova;

		r->wrong += !is_within(k, read, s);
		r->wrong += iova_map_iova(&r->c->memory.spans, (void *)(uintptr_t)s->iova.bus,
					  &iova) < s->length;
		sum += s->length;
	}
	r->wrong += sum != t->length;
	t->mode = HBA_DATA_CPU;
}

/* ---- the op */

static void write_down(struct rig *r, const struct hba_task *t)
{
	if (r->n_log == RIG_LOG)
		return;
	r->log[r->n_log++] = (struct rig_sent) {
		.at = r->d->now,
		.tag = t->tag,
		.target = t->target,
		.length = t->length,
		.cookie = t->cookie,
		.opcode = t->cdb[0],
		.cdb_len = t->cdb_len,
		.unit = t->lun.bytes[1],
		.kind = t->kind,
		.negotiate = t->negotiate,
		.revert = t->revert,
		.queue = t->queue,
	};
}

static void answer(struct rig *r, struct hba_task *t, const struct rig_answer *a)
{
	uint8_t *kept = r->kept[t->lun.bytes[1] % RIG_UNITS];

	if (!a->key) {
		hba_complete(t, &(struct hba_result) { .outcome = a->outcome,
						       .sent = a->sent,
						       .bytes = a->bytes,
						       .negotiated = a->negotiated,
						       .reverted = a->reverted });
	} else if (r->without_sense) {
		kept[0] = a->key;
		kept[1] = a->asc;
		kept[2] = a->ascq;
		hba_complete(t, &(struct hba_result) { .outcome = HBA_CHECK_CONDITION,
						       .bytes = a->bytes });
	} else {
		fail_with(t, a);
	}
}

static void give_sense(struct rig *r, struct hba_task *t)
{
	uint8_t *kept = r->kept[t->lun.bytes[1] % RIG_UNITS], sense[REQUEST_SENSE_BYTES];

	hba_sense(sense, kept[0], kept[1], kept[2]);
	memset(kept, 0, 3);
	hba_complete_good(t, hba_task_copy_to(t, 0, sense, sizeof(sense)));
}

static bool process(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	struct rig *r = d->of_test;

	(void)q;
	write_down(r, t);
	if (t->length && t->mode == HBA_DATA_DMA)
		check_segments(r, t);
	if (d->hold && (d->hold_target == TEST_EVERY_TARGET || d->hold_target == t->target))
		return false;
	if (t->kind == HBA_TASK_CLIENT && r->next < r->n_script) {
		answer(r, t, &r->script[r->next++]);
		return true;
	}
	if (t->cdb[0] == REQUEST_SENSE_OP) {
		give_sense(r, t);
		return true;
	}
	return disk(r, t);
}

/* ---- making one */

void rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	r->d = test_driver_new();
	r->d->of_test = r;
	r->d->process = process;
}

void rig_up(struct rig *r)
{
	r->d->report = r->report;
	r->c = test_open(r->d, NULL);
	if (hba_controller_start(r->c) < 0)
		fail_msg("start: %s", hba_error());
	r->n_log = 0;
}

void rig_down(struct rig *r)
{
	assert_int_equal(r->wrong, 0);
	test_down(r->d, r->c);
}

void rig_say(struct rig *r, struct rig_answer a, unsigned times)
{
	if (r->next == r->n_script)
		r->next = r->n_script = 0;
	assert_true(r->n_script + times <= RIG_SCRIPT);
	while (times--)
		r->script[r->n_script++] = a;
}

unsigned rig_clients(const struct rig *r)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->n_log; i++)
		n += r->log[i].kind == HBA_TASK_CLIENT;
	return n;
}

unsigned rig_count(const struct rig *r, uint8_t opcode)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->n_log; i++)
		n += r->log[i].opcode == opcode;
	return n;
}

void rig_pass(struct rig *r, uint64_t ms, uint64_t step)
{
	for (uint64_t passed = 0; passed < ms; passed += step) {
		test_advance(r->d, step);
		test_turns(r->c, 2);
	}
}

void rig_until_scanned(struct rig *r)
{
	for (unsigned i = 0; i < MANY_TURNS; i++) {
		test_turns(r->c, 2);
		if (scan_over(r->c) && worker_idle(r->c))
			return;
		usleep(10);
	}
	fail_msg("the scan does not end");
}
