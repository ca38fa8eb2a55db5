/* SPDX-License-Identifier: MIT */
/*
 * verify-map.h: the expected contents of a unit, chunk by chunk, for bench --verify.
 *
 * A write fills its chunk with a pattern made from the chunk's number and its generation (1 for its
 * first write, and so on), and the map keeps a hash of that. A read is compared with the hash; so a
 * lost, torn, stale or misplaced write shows. A chunk without a hash gets one from its first read:
 * later reads must match it. One command at a time has a chunk.
 */
#ifndef CLI_VERIFY_MAP_H
#define CLI_VERIFY_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** struct verify_map_entry - One chunk. `hash` 0: nothing is known. */
struct verify_map_entry {
	uint64_t hash;
	uint32_t generation;
	bool taken;
};

struct verify_map {
	struct verify_map_entry *entries;
	uint64_t n;
	size_t chunk_bytes;
};

enum { LEDGER_MAX_CHUNKS = 1 << 24 };

/** verify_map_begin() - 0 or -ENOMEM. `n`: chunks, 1..LEDGER_MAX_CHUNKS. */
int verify_map_begin(struct verify_map *l, uint64_t n, size_t chunk_bytes);
void verify_map_end(struct verify_map *l);

/**
 * verify_map_take() - The first chunk from `chunk` on, round the end, that no command has; it is
 * the caller's. One must be free.
 */
uint64_t verify_map_take(struct verify_map *l, uint64_t chunk);
void verify_map_give_back(struct verify_map *l, uint64_t chunk);

/**
 * verify_map_fill() - The pattern of the chunk's next generation, into `data`. The unit must hold
 * it from verify_map_wrote() on.
 */
void verify_map_fill(struct verify_map *l, uint64_t chunk, uint8_t *data);
void verify_map_wrote(struct verify_map *l, uint64_t chunk, const uint8_t *data);
/** verify_map_forget() - A write failed: the chunk may hold the old, the new, or some of both. */
void verify_map_forget(struct verify_map *l, uint64_t chunk);

enum verify_map_verdict { LEDGER_LEARNED, LEDGER_SAME, LEDGER_DIFFERENT };
enum verify_map_verdict verify_map_check(struct verify_map *l, uint64_t chunk, const uint8_t *data);

/**
 * verify_map_next_known() - The first chunk from `chunk` on of which something is known; `n` if
 * none.
 */
uint64_t verify_map_next_known(const struct verify_map *l, uint64_t chunk);

#endif
