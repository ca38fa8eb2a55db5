/* SPDX-License-Identifier: MIT */
/*
 * scsi-test.h: what the tests of this room share: random values that are the same in every run, and
 * buffers without a byte to spare, so that the address sanitizer sees the first byte read too far.
 */
#ifndef SCSI_TEST_H
#define SCSI_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RANDOM_SEED UINT64_C(0x5eed5c51)
enum { ROUNDS = 20000 };

struct random_source {
	uint64_t state;
};

static inline struct random_source random_begin(void)
{
	print_message("random seed 0x%llx, %d rounds\n", (unsigned long long)RANDOM_SEED, ROUNDS);
	return (struct random_source) { RANDOM_SEED };
}

/* xorshift64*, by Marsaglia and Vigna. */
static inline uint64_t random_u64(struct random_source *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * UINT64_C(0x2545f4914f6cdd1d);
}

/* 0..n - 1 */
static inline uint32_t random_below(struct random_source *r, uint32_t n)
{
	return (uint32_t)((random_u64(r) >> 32) % n);
}

/* Of every magnitude alike: small numbers and the largest ones come as often as those between. */
static inline uint64_t random_bits(struct random_source *r, unsigned max_bits)
{
	unsigned bits = random_below(r, max_bits + 1);
	uint64_t mask = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;

	return random_below(r, 8) == 0 ? mask : random_u64(r) & mask;
}

static inline bool random_bool(struct random_source *r)
{
	return random_u64(r) >> 63;
}

static inline void random_fill(struct random_source *r, uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(random_u64(r) >> 56);
}

/* Printable, neither beginning nor ending in a space; `n` characters. */
static inline void random_text(struct random_source *r, char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		text[i] = (char)('!' + random_below(r, '~' - '!' + 1));
	text[n] = '\0';
}

/* The caller's to free. */
static inline uint8_t *exact_copy(const uint8_t *bytes, size_t n)
{
	uint8_t *copy = malloc(n);

	assert_true(copy || n == 0);
	if (n)
		memcpy(copy, bytes, n);
	return copy;
}

#endif
