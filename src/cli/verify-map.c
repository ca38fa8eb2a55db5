/* SPDX-License-Identifier: MIT */
/* verify-map.c: patterns, and hashes of them. */
#include "cli/verify-map.h"

#include "base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { WORD = sizeof(uint64_t), GENERATION_SHIFT = 40, FOLD_SHIFT = 32 };
#define ODD_MULTIPLIER UINT64_C(0x9fb21c651e98df25)

int verify_map_begin(struct verify_map *l, uint64_t n, size_t chunk_bytes)
{
	struct verify_map_entry *entries = calloc(n, sizeof(*entries));

	if (!entries)
		return -ENOMEM;
	*l = (struct verify_map) { .entries = entries, .n = n, .chunk_bytes = chunk_bytes };
	return 0;
}

void verify_map_end(struct verify_map *l)
{
	free(l->entries);
	l->entries = NULL;
}

uint64_t verify_map_take(struct verify_map *l, uint64_t chunk)
{
	while (l->entries[chunk].taken)
		chunk = chunk + 1 < l->n ? chunk + 1 : 0;
	l->entries[chunk].taken = true;
	return chunk;
}

void verify_map_give_back(struct verify_map *l, uint64_t chunk)
{
	l->entries[chunk].taken = false;
}

void verify_map_fill(struct verify_map *l, uint64_t chunk, uint8_t *data)
{
	uint64_t state = chunk ^ (uint64_t)++l->entries[chunk].generation << GENERATION_SHIFT, word;

	for (size_t at = 0; at < l->chunk_bytes; at += WORD) {
		word = random_next(&state);
		memcpy(data + at, &word, l->chunk_bytes - at < WORD ? l->chunk_bytes - at : WORD);
	}
}

/*
 * Each step is a bijection of the state for a given word, so one changed word always changes the
 * result. Never 0.
 */
static uint64_t hash(const uint8_t *data, size_t length)
{
	uint64_t h = length, word;

	for (size_t at = 0; at < length; at += WORD) {
		word = 0;
		memcpy(&word, data + at, length - at < WORD ? length - at : WORD);
		h = (h ^ word) * ODD_MULTIPLIER;
		h ^= h >> FOLD_SHIFT;
	}
	return h ? h : 1;
}

void verify_map_wrote(struct verify_map *l, uint64_t chunk, const uint8_t *data)
{
	l->entries[chunk].hash = hash(data, l->chunk_bytes);
}

void verify_map_forget(struct verify_map *l, uint64_t chunk)
{
	l->entries[chunk].hash = 0;
}

enum verify_map_verdict verify_map_check(struct verify_map *l, uint64_t chunk, const uint8_t *data)
{
	uint64_t found = hash(data, l->chunk_bytes), *known = &l->entries[chunk].hash;

	if (*known == 0) {
		*known = found;
		return LEDGER_LEARNED;
	}
	return *known == found ? LEDGER_SAME : LEDGER_DIFFERENT;
}

uint64_t verify_map_next_known(const struct verify_map *l, uint64_t chunk)
{
	while (chunk < l->n && l->entries[chunk].hash == 0)
		chunk++;
	return chunk;
}
