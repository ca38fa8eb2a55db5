/* SPDX-License-Identifier: MIT */
/*
 * split.h: a list of pieces made to fit a controller's constraints. Arithmetic only: no task, no controller, no memory is touched.
 *
 * Pieces are added one after another; what fits becomes segments, adjacent ones merged. The first piece that does not fit ends the
 * stage, which is then trimmed to whole blocks. The rest is for the next stage.
 */
#ifndef CORE_SPLIT_H
#define CORE_SPLIT_H

#include <hbakit/dma.h>
#include <stdbool.h>

/** struct split_limits - The constraints of one direction. Bytes, but for the first. */
struct split_limits {
	uint64_t segments;      /* 1.. */
	uint64_t segment_bytes; /* 1.. */
	uint64_t alignment;     /* power of two, of each segment's start */
	uint64_t highest;       /* last address that can be reached */
	uint64_t boundary;      /* power of two that no segment crosses; 0 = none */
	uint64_t transfer;      /* of the whole stage, 1.. */
};

/** struct split - A stage being built. */
struct split {
	const struct split_limits *limits;
	struct hba_segment *segments; /* room for `room` */
	unsigned room, n;
	uint64_t bytes;
};

void split_begin(struct split *s, const struct split_limits *limits, struct hba_segment *segments, unsigned room);

/** split_add() - Returns how many of `length` bytes at `address` were taken. Less than that ends the stage: it is full, or the rest
 *  begins where no segment may. */
uint64_t split_add(struct split *s, uint64_t address, uint64_t length);

/** split_takes_one() - May these bytes, 1.., be a stage of one segment? */
static inline bool split_takes_one(const struct split_limits *l, uint64_t address, uint64_t length)
{
	return length <= l->segment_bytes && length <= l->transfer && !(address & (l->alignment - 1)) && address <= l->highest &&
	       length - 1 <= l->highest - address && (!l->boundary || length <= l->boundary - (address & (l->boundary - 1)));
}

/** split_trim() - Give back the end, so that a multiple of `granule` bytes is left. Returns what is left; 0: not one fits. */
uint64_t split_trim(struct split *s, uint64_t granule);

#endif
