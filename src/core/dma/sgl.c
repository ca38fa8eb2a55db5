/* SPDX-License-Identifier: MIT */
/* sgl.c: see split.h. Every sum here is bounded by the check before it, so none can overflow. */
#include "core/dma/dma.h"

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void sgl_begin(struct sgl *s, const struct sgl_limits *limits, struct hba_segment *segments,
	       unsigned room)
{
	*s = (struct sgl) { .limits = limits, .segments = segments };
	s->room = (unsigned)least(limits->segments, room);
}

struct sgl_one sgl_one_of(const struct sgl_limits *l)
{
	return (struct sgl_one) {
		.most = least(l->segment_bytes, l->transfer),
		.misaligned = l->alignment - 1,
		.highest = l->highest,
		.across = l->boundary ? ~(l->boundary - 1) : 0,
	};
}

/* How far a segment that begins at `start` may go. */
static uint64_t reach(const struct sgl_limits *l, uint64_t start)
{
	uint64_t most = l->segment_bytes;

	if (l->boundary)
		most = least(most, l->boundary - (start & (l->boundary - 1)));
	if (l->highest - start < most)
		most = l->highest - start + 1;
	return most;
}

/* Bytes of the piece that prolong the last segment. */
static uint64_t prolong(struct sgl *s, uint64_t address, uint64_t length)
{
	struct hba_segment *last = s->n ? &s->segments[s->n - 1] : NULL;
	uint64_t room;

	if (!last || s->apart || last->iova.bus + last->length != address)
		return 0;
	room = reach(s->limits, last->iova.bus) - last->length;
	length = least(length, room);
	last->length += length;
	return length;
}

/* Bytes of the piece that make a segment of their own. */
static uint64_t append(struct sgl *s, uint64_t address, uint64_t length)
{
	if (s->n == s->room || address & (s->limits->alignment - 1) || address > s->limits->highest)
		return 0;
	length = least(length, reach(s->limits, address));
	s->segments[s->n++] = (struct hba_segment) { { address }, length };
	s->apart = false;
	return length;
}

uint64_t sgl_add(struct sgl *s, uint64_t address, uint64_t length)
{
	uint64_t taken = 0, n;

	length = least(length, s->limits->transfer - s->bytes);
	while (taken < length) {
		n = prolong(s, address + taken, length - taken);
		if (!n)
			n = append(s, address + taken, length - taken);
		if (!n)
			break;
		taken += n;
		s->bytes += n;
	}
	return taken;
}

void sgl_apart(struct sgl *s)
{
	s->apart = s->n > 0;
}

uint64_t sgl_trim(struct sgl *s, uint64_t granule)
{
	uint64_t surplus = s->bytes % granule;

	s->bytes -= surplus;
	while (surplus) {
		struct hba_segment *last = &s->segments[s->n - 1];
		uint64_t n = least(surplus, last->length);

		last->length -= n;
		surplus -= n;
		if (!last->length)
			s->n--;
	}
	return s->bytes;
}
