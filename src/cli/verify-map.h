/* SPDX-License-Identifier: MIT */
/*
 * ledger.h: what a unit ought to hold, chunk by chunk, for bench --verify.
 *
 * A write fills its chunk with a pattern made from the chunk's number and its generation (1 for its
 * first write, and so on), and the ledger keeps a hash of that. A read is compared with the hash;
 * so a lost, torn, stale or misplaced write shows. A chunk of which nothing is known yet is learned
 * from its first read: later reads must say the same. One command at a time has a chunk.
 */
#ifndef CLI_LEDGER_H
#define CLI_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** struct ledger_entry - One chunk. `hash` 0: nothing is known. */
struct ledger_entry {
	uint64_t hash;
	uint32_t generation;
	bool taken;
};

struct ledger {
	struct ledger_entry *entries;
	uint64_t n;
	size_t chunk_bytes;
};

enum { LEDGER_MAX_CHUNKS = 1 << 24 };

/** ledger_begin() - 0 or -ENOMEM. `n`: chunks, 1..LEDGER_MAX_CHUNKS. */
int ledger_begin(struct ledger *l, uint64_t n, size_t chunk_bytes);
void ledger_end(struct ledger *l);

/**
 * ledger_take() - The first chunk from `chunk` on, round the end, that nobody has; it is the
 * caller's. One must be free.
 */
uint64_t ledger_take(struct ledger *l, uint64_t chunk);
void ledger_give_back(struct ledger *l, uint64_t chunk);

/**
 * ledger_fill() - The pattern of the chunk's next generation, into `data`. It is what the unit
 * holds once ledger_wrote() says so.
 */
void ledger_fill(struct ledger *l, uint64_t chunk, uint8_t *data);
void ledger_wrote(struct ledger *l, uint64_t chunk, const uint8_t *data);
/** ledger_forget() - A write failed: the chunk may hold the old, the new, or some of both. */
void ledger_forget(struct ledger *l, uint64_t chunk);

enum ledger_verdict { LEDGER_LEARNED, LEDGER_SAME, LEDGER_DIFFERENT };
enum ledger_verdict ledger_check(struct ledger *l, uint64_t chunk, const uint8_t *data);

/**
 * ledger_next_known() - The first chunk from `chunk` on of which something is known; `n` if none.
 */
uint64_t ledger_next_known(const struct ledger *l, uint64_t chunk);

#endif
