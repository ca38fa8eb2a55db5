/* SPDX-License-Identifier: MIT */
/*
 * split.h: a list of pieces made to fit a controller's constraints. Arithmetic only: no task, no
 * controller, no memory is touched.
 *
 * Pieces are added one after another; what fits becomes segments, adjacent ones merged. The first
 * piece that does not fit ends the stage, which is then trimmed to whole blocks. The rest is for
 * the next stage.
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
	bool apart; /* what comes next is a segment of its own */
};

void split_begin(struct split *s, const struct split_limits *limits, struct hba_segment *segments,
		 unsigned room);

/** split_add() - Returns how many of `length` bytes at `address` were taken. Less than that ends
 * the stage: it is full, or the rest
 *  begins where no segment may.
 */
uint64_t split_add(struct split *s, uint64_t address, uint64_t length);

/**
 * struct split_one - The constraints of a stage of one segment, so that few comparisons will do.
 */
struct split_one {
	uint64_t most;       /* bytes */
	uint64_t misaligned; /* bits that its start must not have */
	uint64_t highest;    /* last address that can be reached */
	uint64_t across;     /* bits in which its first and its last address must agree */
};

struct split_one split_one_of(const struct split_limits *l);

/** split_takes_one() - May these bytes, 1.., be a stage of one segment? */
static inline bool split_takes_one(const struct split_one *o, uint64_t address, uint64_t length)
{
	uint64_t last = address + length - 1;

	return length <= o->most && !(address & o->misaligned) && last >= address &&
	       last <= o->highest && !((address ^ last) & o->across);
}

/** split_apart() - What is added next prolongs no segment, though it may begin where one ends. */
void split_apart(struct split *s);

/**
 * split_trim() - Give back the end, so that a multiple of `granule` bytes is left. Returns what is
 * left; 0: not one fits.
 */
uint64_t split_trim(struct split *s, uint64_t granule);

#endif
