/* SPDX-License-Identifier: MIT */
/*
 * sgl.c: lists made to fit limits, held against a model that knows only one byte at a time: small
 * numbers exactly, large ones by what must be true of every stage.
 */
#include "base/base.h"
#include "core/dma/dma.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* cmocka wants the ones above first. */
#include <cmocka.h>

enum { MAX_PIECES = 12, ROOM = 24, SMALL_ROUNDS = 60000, LARGE_ROUNDS = 60000, ONE_IN = 8 };

struct piece {
	uint64_t address, length;
};

struct bench {
	uint64_t random;
	struct sgl_limits limits;
	struct piece pieces[MAX_PIECES];
	unsigned n_pieces, room;
	uint64_t granule;
};

static uint64_t draw(struct bench *b, uint64_t below)
{
	b->random ^= b->random << 13;
	b->random ^= b->random >> 7;
	b->random ^= b->random << 17;
	return below ? b->random % below : b->random;
}

static uint64_t pick(struct bench *b, const uint64_t *from, size_t n)
{
	return from[draw(b, n)];
}

/* ---- the model */

/*
 * May one more byte, at `address`, follow what the stage has? In its last segment, or in a new one.
 */
static bool prolongs(const struct sgl_limits *l, const struct hba_segment *last, uint64_t address)
{
	return last && last->iova.bus + last->length == address &&
	       last->length < l->segment_bytes && address <= l->highest && address != 0 &&
	       (!l->boundary || address % l->boundary != 0);
}

static bool begins(const struct sgl_limits *l, unsigned n, unsigned room, uint64_t address)
{
	return n < l->segments && n < room && address % l->alignment == 0 && address <= l->highest;
}

static bool takes(const struct bench *b, const struct sgl *s, uint64_t address)
{
	const struct hba_segment *last = s->n ? &s->segments[s->n - 1] : NULL;

	return s->bytes < b->limits.transfer &&
	       (prolongs(&b->limits, last, address) || begins(&b->limits, s->n, b->room, address));
}

static bool model_add(const struct bench *b, struct sgl *s, uint64_t address)
{
	if (!takes(b, s, address))
		return false;
	if (prolongs(&b->limits, s->n ? &s->segments[s->n - 1] : NULL, address))
		s->segments[s->n - 1].length++;
	else
		s->segments[s->n++] = (struct hba_segment) { { address }, 1 };
	s->bytes++;
	return true;
}

static void model_trim(struct sgl *s, uint64_t granule)
{
	while (s->bytes % granule) {
		s->bytes--;
		if (--s->segments[s->n - 1].length == 0)
			s->n--;
	}
}

/* ---- walking a list */

/*
 * From `skip` bytes in. `ret_stopped`: where the first byte that was not taken lies; untouched if
 * all were.
 */
static void fill(const struct bench *b, struct sgl *s, uint64_t skip, uint64_t *ret_stopped)
{
	for (unsigned i = 0; i < b->n_pieces; i++) {
		uint64_t address = b->pieces[i].address, length = b->pieces[i].length, taken;

		if (skip >= length) {
			skip -= length;
			continue;
		}
		address += skip;
		length -= skip;
		skip = 0;
		taken = sgl_add(s, address, length);
		assert_true(taken <= length);
		if (taken < length) {
			*ret_stopped = address + taken;
			return;
		}
	}
}

static void model_fill(const struct bench *b, struct sgl *s, uint64_t skip)
{
	for (unsigned i = 0; i < b->n_pieces; i++) {
		for (uint64_t at = 0; at < b->pieces[i].length; at++) {
			if (skip) {
				skip--;
				continue;
			}
			if (!model_add(b, s, b->pieces[i].address + at))
				return;
		}
	}
}

static uint64_t sum(const struct bench *b)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < b->n_pieces; i++)
		bytes += b->pieces[i].length;
	return bytes;
}

/* ---- small numbers: the same segments, stage after stage */

static void draw_small(struct bench *b)
{
	static const uint64_t boundaries[] = { 0, 0, 4, 8, 16, 64 }, granules[] = { 1, 1, 2, 4, 8 };

	b->limits = (struct sgl_limits) {
		.segments = 1 + draw(b, 6),
		.segment_bytes = 1 + draw(b, 20),
		.alignment = UINT64_C(1) << draw(b, 4),
		.highest = 40 + draw(b, 200),
		.boundary = pick(b, boundaries, ARRAY_SIZE(boundaries)),
		.transfer = 1 + draw(b, 60),
	};
	b->room = 1 + (unsigned)draw(b, 8);
	b->granule = pick(b, granules, ARRAY_SIZE(granules));
	b->n_pieces = 1 + (unsigned)draw(b, MAX_PIECES);
	for (unsigned i = 0; i < b->n_pieces; i++) {
		const struct piece *before = i ? &b->pieces[i - 1] : NULL;

		b->pieces[i].address =
			before && draw(b, 2) ? before->address + before->length : draw(b, 220);
		b->pieces[i].length = 1 + draw(b, 24);
	}
}

static void stages_like_the_model(struct bench *b)
{
	struct hba_segment got[ROOM], want[ROOM];
	uint64_t done = 0, total = sum(b), left, ignored;
	struct sgl s, m;

	do {
		sgl_begin(&s, &b->limits, got, b->room);
		m = (struct sgl) { .limits = &b->limits, .segments = want };
		fill(b, &s, done, &ignored);
		model_fill(b, &m, done);
		assert_int_equal(s.bytes, m.bytes);
		left = sgl_trim(&s, b->granule);
		model_trim(&m, b->granule);
		assert_int_equal(left, s.bytes);
		assert_int_equal(s.bytes, m.bytes);
		assert_int_equal(s.n, m.n);
		for (unsigned i = 0; i < s.n; i++) {
			assert_int_equal(got[i].iova.bus, want[i].iova.bus);
			assert_int_equal(got[i].length, want[i].length);
		}
		done += s.bytes;
	} while (s.bytes && done < total);
}

static void small_numbers_exactly(void **state)
{
	struct bench b = { .random = 88172645463325252 };

	(void)state;
	for (unsigned i = 0; i < SMALL_ROUNDS; i++) {
		draw_small(&b);
		stages_like_the_model(&b);
	}
}

/* ---- large and extreme numbers: what must be true */

static void draw_large_limits(struct bench *b)
{
	static const uint64_t counts[] = { 1, 1, 2, 17, 256, UINT64_MAX };
	static const uint64_t bytes[] = { 512, 513, 4096, 65536, UINT32_MAX, UINT64_MAX };
	static const uint64_t alignments[] = { 1, 1, 2, 4, 512, 4096 };
	static const uint64_t highest[] = { (1 << 18) - 1, UINT32_MAX, (UINT64_C(1) << 47) - 1,
					    UINT64_MAX - 1, UINT64_MAX };
	static const uint64_t boundaries[] = {
		0, 0, 512, 4096, UINT64_C(1) << 32, UINT64_C(1) << 63
	};
	static const uint64_t transfers[] = { 1, 511, 512, 1 << 20, UINT64_MAX };

	b->limits = (struct sgl_limits) {
		.segments = pick(b, counts, ARRAY_SIZE(counts)),
		.segment_bytes = pick(b, bytes, ARRAY_SIZE(bytes)),
		.alignment = pick(b, alignments, ARRAY_SIZE(alignments)),
		.highest = pick(b, highest, ARRAY_SIZE(highest)),
		.boundary = pick(b, boundaries, ARRAY_SIZE(boundaries)),
		.transfer = pick(b, transfers, ARRAY_SIZE(transfers)),
	};
	b->room = 1 + (unsigned)draw(b, ROOM);
}

/* Around what the limits have edges at; never past the last address there is. */
static uint64_t draw_address(struct bench *b, uint64_t length)
{
	static const uint64_t edges[] = {
		0, 1 << 18, UINT64_C(1) << 32, UINT64_C(1) << 47, UINT64_C(1) << 63, UINT64_MAX
	};
	uint64_t at = pick(b, edges, ARRAY_SIZE(edges)) + draw(b, 16384) - 8192;

	if (draw(b, 2))
		at &= ~UINT64_C(4095);
	return at > UINT64_MAX - (length - 1) ? UINT64_MAX - (length - 1) : at;
}

static void draw_large(struct bench *b)
{
	static const uint64_t granules[] = { 1, 512, 520, 4096 };

	draw_large_limits(b);
	b->granule = pick(b, granules, ARRAY_SIZE(granules));
	b->n_pieces = 1 + (unsigned)draw(b, MAX_PIECES);
	for (unsigned i = 0; i < b->n_pieces; i++) {
		const struct piece *before = i ? &b->pieces[i - 1] : NULL;
		uint64_t length =
			1 + (draw(b, ONE_IN) ? draw(b, 9000) : draw(b, UINT64_C(1) << 34));
		uint64_t next = before ? before->address + before->length : 0;

		b->pieces[i].length = length;
		b->pieces[i].address = next && draw(b, 2) && next <= UINT64_MAX - length
					       ? next
					       : draw_address(b, length);
	}
}

static void within_limits(const struct bench *b, const struct sgl *s)
{
	const struct sgl_limits *l = &b->limits;
	uint64_t bytes = 0;

	assert_true(s->n <= l->segments && s->n <= b->room);
	for (unsigned i = 0; i < s->n; i++) {
		uint64_t first = s->segments[i].iova.bus, length = s->segments[i].length,
			 last = first + length - 1;

		assert_true(length >= 1 && length <= l->segment_bytes);
		assert_true(last >= first && last <= l->highest);
		assert_int_equal(first % l->alignment, 0);
		assert_true(!l->boundary || first / l->boundary == last / l->boundary);
		bytes += length;
	}
	assert_int_equal(bytes, s->bytes);
	assert_true(bytes <= l->transfer);
}

/* The segments, one after another, are the list from `done` on: each byte once and in order. */
static void covers(const struct bench *b, const struct sgl *s, uint64_t done)
{
	unsigned piece = 0;
	uint64_t offset = done;

	for (unsigned i = 0; i < s->n; i++) {
		uint64_t address = s->segments[i].iova.bus, left = s->segments[i].length, n;

		for (; left; left -= n, offset += n, address += n) {
			while (offset >= b->pieces[piece].length)
				offset -= b->pieces[piece++].length;
			assert_true(piece < b->n_pieces);
			assert_int_equal(address, b->pieces[piece].address + offset);
			n = b->pieces[piece].length - offset;
			n = n < left ? n : left;
		}
	}
}

/* Two segments that touch are two because they must be. */
static void merged(const struct bench *b, const struct sgl *s)
{
	for (unsigned i = 1; i < s->n; i++)
		assert_false(prolongs(&b->limits, &s->segments[i - 1], s->segments[i].iova.bus));
}

/* One stage from `done` on; bytes. */
static uint64_t stage(const struct bench *b, uint64_t done, uint64_t total)
{
	struct hba_segment segments[ROOM];
	uint64_t stopped = 0, full;
	struct sgl s;

	sgl_begin(&s, &b->limits, segments, b->room);
	fill(b, &s, done, &stopped);
	within_limits(b, &s);
	covers(b, &s, done);
	merged(b, &s);
	if (done + s.bytes < total)
		assert_false(takes(b, &s, stopped));
	full = s.bytes;
	assert_int_equal(sgl_trim(&s, b->granule), full - full % b->granule);
	within_limits(b, &s);
	covers(b, &s, done);
	return s.bytes;
}

static void large_numbers_within_limits(void **state)
{
	struct bench b = { .random = 2463534242 };
	unsigned whole = 0, several = 0, nothing = 0;

	(void)state;
	for (unsigned i = 0; i < LARGE_ROUNDS; i++) {
		uint64_t done = 0, total, n;
		unsigned stages = 0;

		draw_large(&b);
		total = sum(&b);
		do {
			n = stage(&b, done, total);
			done += n;
		} while (n && done < total && ++stages < 50);
		assert_true(done <= total);
		whole += done == total;
		several += stages > 0;
		nothing += done == 0;
	}
	/* The draw has been of all kinds. */
	assert_true(whole > LARGE_ROUNDS / 100 && several > LARGE_ROUNDS / 10 &&
		    nothing > LARGE_ROUNDS / 100);
}

/* ---- by hand */

static void one(struct sgl *s, const struct sgl_limits *l, struct hba_segment *segments,
		uint64_t address, uint64_t length)
{
	sgl_begin(s, l, segments, ROOM);
	sgl_add(s, address, length);
}

static void the_last_addresses(void **state)
{
	struct sgl_limits l = { 2, UINT64_MAX, 1, UINT64_MAX, 0, UINT64_MAX };
	struct hba_segment segments[ROOM];
	struct sgl s;

	(void)state;
	one(&s, &l, segments, UINT64_MAX - 511, 512);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.bytes, 512);
	l.highest = UINT64_MAX - 1;
	one(&s, &l, segments, UINT64_MAX - 511, 512);
	assert_int_equal(s.bytes, 511);
	/* What ends at 2^64 is not gone on with at 0. */
	l.highest = UINT64_MAX;
	one(&s, &l, segments, UINT64_MAX - 511, 512);
	assert_int_equal(sgl_add(&s, 0, 512), 512);
	assert_int_equal(s.n, 2);
}

static void the_smallest_limits(void **state)
{
	struct sgl_limits l = { 1, 512, 1, (1 << 18) - 1, 512, 512 };
	struct hba_segment segments[ROOM];
	struct sgl s;

	(void)state;
	one(&s, &l, segments, (1 << 18) - 512, 4096);
	assert_int_equal(s.bytes, 512);
	/* Across a boundary with one segment: no block fits, and that is what it says. */
	one(&s, &l, segments, 256, 512);
	assert_int_equal(s.bytes, 256);
	assert_int_equal(sgl_trim(&s, 512), 0);
	assert_int_equal(s.n, 0);
	one(&s, &l, segments, 1 << 18, 512);
	assert_int_equal(s.bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_numbers_exactly),
		cmocka_unit_test(large_numbers_within_limits),
		cmocka_unit_test(the_last_addresses),
		cmocka_unit_test(the_smallest_limits),
	};

	return cmocka_run_group_tests_name("core: split", tests, NULL, NULL);
}
