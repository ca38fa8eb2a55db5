/* SPDX-License-Identifier: MIT */
/*
 * random.h: numbers that look random and come again with the same seed. For addresses and patterns,
 * not for secrets.
 *
 * A counter that steps by the golden ratio, its bits mixed by two multiplications (Steele, Lea,
 * Flood: SplitMix, 2014).
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdint.h>

static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/**
 * random_below() - 0 to n - 1, by the high half of a product: no division. Uneven by n / 2^64,
 * which is negligible.
 */
static inline uint64_t random_below(uint64_t *state, uint64_t n)
{
	return (uint64_t)((unsigned __int128)random_next(state) * n >> 64);
}

#endif
