/* SPDX-License-Identifier: MIT */
/* soft-segments.c: see soft-segments.h. */
#include "drivers/soft-segments.h"

#include "base/base.h"

#include <hbakit/driver.h>

enum { ALL_ADDRESS_BITS = 64 };

static uint64_t or_none(uint64_t reported)
{
	return reported == HBA_UNSET ? UINT64_MAX : reported;
}

static uint64_t highest_address(uint64_t bits)
{
	return bits >= ALL_ADDRESS_BITS ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
}

struct segment_rules segment_rules_from(const struct hba_constraints *k, bool writing)
{
	return (struct segment_rules) {
		.segments = or_none(writing ? k->max_segments_write : k->max_segments_read),
		.segment_bytes =
			or_none(writing ? k->max_segment_bytes_write : k->max_segment_bytes_read),
		.alignment = k->alignment == HBA_UNSET ? 1 : k->alignment,
		/* HBA_UNSET is more than any number of bits */
		.highest = highest_address(k->address_bits),
		.boundary = k->boundary == HBA_UNSET ? 0 : k->boundary,
		.transfer = k->max_transfer == HBA_UNSET || !k->max_transfer ? UINT64_MAX
									     : k->max_transfer,
	};
}

bool segment_rules_exist(const struct segment_rules *r)
{
	return r->segments != UINT64_MAX || r->segment_bytes != UINT64_MAX || r->alignment != 1 ||
	       r->highest != UINT64_MAX || r->boundary || r->transfer != UINT64_MAX;
}

enum segment_rule segment_check(const struct segment_rules *r, uint64_t address, uint64_t bytes)
{
	if (!bytes)
		return SEGMENT_EMPTY;
	if (bytes > r->segment_bytes)
		return SEGMENT_BYTES;
	if (address & (r->alignment - 1))
		return SEGMENT_ALIGNMENT;
	if (address > r->highest || bytes - 1 > r->highest - address)
		return SEGMENT_ADDRESS;
	/* The address of the last byte does not overflow: it is not above the highest. */
	if (r->boundary && (address ^ (address + bytes - 1)) & ~(r->boundary - 1))
		return SEGMENT_BOUNDARY;
	return SEGMENT_FITS;
}

enum segment_rule segment_check_list(const struct segment_rules *r, uint64_t n, uint64_t sum,
				     uint64_t length)
{
	if (n > r->segments)
		return SEGMENT_COUNT;
	if (sum != length)
		return SEGMENT_SUM;
	return length > r->transfer ? SEGMENT_TRANSFER : SEGMENT_FITS;
}

uint64_t segment_rules_reach(const struct segment_rules *r)
{
	uint64_t piece = r->segment_bytes, all;

	if (r->boundary && r->boundary < piece)
		piece = r->boundary;
	/* A full segment that does not end on the alignment cannot be followed by another. */
	if (piece % r->alignment)
		all = piece;
	else if (__builtin_mul_overflow(piece, r->segments, &all))
		all = UINT64_MAX;
	return all < r->transfer ? all : r->transfer;
}

static const char *const rule_names[SEGMENT_RULES] = {
	[SEGMENT_FITS] = "none",
	[SEGMENT_COUNT] = "the number of segments",
	[SEGMENT_EMPTY] = "a segment is never empty",
	[SEGMENT_BYTES] = "the bytes of a segment",
	[SEGMENT_ALIGNMENT] = "the alignment of a segment",
	[SEGMENT_ADDRESS] = "the address bits",
	[SEGMENT_BOUNDARY] = "the boundary that no segment crosses",
	[SEGMENT_SUM] = "segments add up to the task's length",
	[SEGMENT_TRANSFER] = "the bytes of a task",
};

const char *segment_rule_name(enum segment_rule rule)
{
	return (unsigned)rule < ARRAY_SIZE(rule_names) ? rule_names[rule] : "unknown";
}
