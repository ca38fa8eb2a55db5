/* SPDX-License-Identifier: MIT */
/*
 * rescue-map.h: which bytes of a disk have been rescued, kept in the mapfile of GNU ddrescue (its
 * manual, "Mapfile structure").
 *
 * Areas follow one another without a gap, in order, and neighbours differ in status.
 */
#ifndef CLI_RESCUE_MAP_H
#define CLI_RESCUE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** enum area_status - As the characters in the file. */
enum area_status {
	AREA_UNTRIED = '?',
	AREA_UNTRIMMED = '*', /* a large read failed; the good blocks in it are not found yet */
	AREA_UNSCRAPED = '/', /* of ddrescue: likewise, with bad blocks at both ends */
	AREA_BAD = '-',
	AREA_RESCUED = '+',
};

struct rescue_area {
	uint64_t begin, end; /* bytes of the unit */
	char status;
};

/** struct rescue_map - rescue_map_begin() makes one, rescue_map_end() frees it. */
struct rescue_map {
	struct rescue_area *areas;
	size_t n, room;
	uint64_t at; /* the position at which the work is */
};

/** rescue_map_begin() - All untried, from 0 to `size`, which is 1 or more. -ENOMEM. */
int rescue_map_begin(struct rescue_map *m, uint64_t size);
void rescue_map_end(struct rescue_map *m);

/**
 * rescue_map_mark() - Bytes `begin` to `end`, within the map, are of that status from now on.
 * -ENOMEM: nothing has changed.
 */
int rescue_map_mark(struct rescue_map *m, uint64_t begin, uint64_t end, char status);

/**
 * rescue_map_next() - The first part of [from, to) whose status is one of `statuses`, cut at `to`.
 * False: there is none.
 */
bool rescue_map_next(const struct rescue_map *m, uint64_t from, uint64_t to, const char *statuses,
		     struct rescue_area *ret_area);

/**
 * rescue_map_count() - Bytes of [from, to) in one of `statuses`, and, if wanted, in how many areas.
 */
uint64_t rescue_map_count(const struct rescue_map *m, uint64_t from, uint64_t to,
			  const char *statuses, uint64_t *ret_areas);

/**
 * rescue_map_read() - Put what a mapfile says over a map that was just begun; what it has beyond
 * the map's end is left out.
 *
 * `block` is what each position must be a multiple of. -EINVAL, with a sentence in `why`; -ENOMEM.
 */
int rescue_map_read(struct rescue_map *m, FILE *f, uint32_t block, char why[128]);

/**
 * rescue_map_text() - The mapfile, for free(); NULL: no memory. `status`: ddrescue's current
 * status, '+' for finished.
 */
char *rescue_map_text(const struct rescue_map *m, char status, size_t *ret_length);

#endif
