/* SPDX-License-Identifier: MIT */
/*
 * soft-segments.h: what a picky chip wants of a data list. A chip of silicon that is given a
 * segment it cannot reach corrupts memory in silence; this one says which rule was broken.
 * Arithmetic only.
 */
#ifndef DRIVERS_SOFT_SEGMENTS_H
#define DRIVERS_SOFT_SEGMENTS_H

#include <hbakit/dma.h>
#include <stdbool.h>

/** struct segment_rules - The constraints of one direction; UINT64_MAX where there is none. */
struct segment_rules {
	uint64_t segments;
	uint64_t segment_bytes;
	uint64_t alignment; /* power of two; 1 = none */
	uint64_t highest;   /* the last address that can be reached */
	uint64_t boundary;  /* power of two; 0 = none */
	uint64_t transfer;
};

enum segment_rule {
	SEGMENT_FITS,
	SEGMENT_COUNT,
	SEGMENT_EMPTY,
	SEGMENT_BYTES,
	SEGMENT_ALIGNMENT,
	SEGMENT_ADDRESS,
	SEGMENT_BOUNDARY,
	SEGMENT_SUM,
	SEGMENT_TRANSFER,
	SEGMENT_RULES, /* how many there are */
};

/** segment_rules_from() - From what is reported, where HBA_UNSET is no rule. */
struct segment_rules segment_rules_from(const struct hba_constraints *k, bool writing);
/** segment_rules_exist() - Could any list break one? */
bool segment_rules_exist(const struct segment_rules *r);

/** segment_check() - One segment by itself. */
enum segment_rule segment_check(const struct segment_rules *r, uint64_t address, uint64_t bytes);
/**
 * segment_check_list() - The list as a whole: how many, and whether they add up to what was asked
 * for.
 */
enum segment_rule segment_check_list(const struct segment_rules *r, uint64_t n, uint64_t sum,
				     uint64_t length);

/** segment_rules_reach() - The longest stretch of good memory that one task can cover. */
uint64_t segment_rules_reach(const struct segment_rules *r);

/** segment_rule_name() - For a sentence: "the alignment of a segment". */
const char *segment_rule_name(enum segment_rule rule);

#endif
