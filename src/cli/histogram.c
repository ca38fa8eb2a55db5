/* SPDX-License-Identifier: MIT */
/*
 * histogram.c: the top seven bits of a value choose its bucket: six after the leading one, and
 * where that one stands.
 */
#include "cli/histogram.h"

#include <math.h>

enum { TOP_BIT = 63 };

static unsigned shift_of(uint64_t value)
{
	unsigned top = TOP_BIT - (unsigned)__builtin_clzll(value | 1);

	return top > HISTOGRAM_SUB_BITS ? top - HISTOGRAM_SUB_BITS : 0;
}

size_t histogram_bucket(uint64_t value)
{
	unsigned shift = shift_of(value);

	return (size_t)shift * HISTOGRAM_SUB + (size_t)(value >> shift);
}

/*
 * Buckets below 2 × SUB hold one value each; each SUB after them are one shift more, their leading
 * one put back.
 */
static unsigned shift_of_bucket(size_t bucket)
{
	return bucket < 2 * HISTOGRAM_SUB ? 0 : (unsigned)(bucket / HISTOGRAM_SUB) - 1;
}

uint64_t histogram_low(size_t bucket)
{
	unsigned shift = shift_of_bucket(bucket);

	return (uint64_t)(bucket - (size_t)shift * HISTOGRAM_SUB) << shift;
}

uint64_t histogram_high(size_t bucket)
{
	return histogram_low(bucket) + ((UINT64_C(1) << shift_of_bucket(bucket)) - 1);
}

void histogram_add(struct histogram *h, uint64_t value)
{
	h->buckets[histogram_bucket(value)]++;
	h->count++;
	h->sum += (double)value;
	if (value > h->max)
		h->max = value;
}

static uint64_t middle(const struct histogram *h, size_t bucket)
{
	uint64_t low = histogram_low(bucket), value = low + (histogram_high(bucket) - low) / 2;

	return value < h->max ? value : h->max;
}

uint64_t histogram_at(const struct histogram *h, double fraction)
{
	uint64_t wanted = (uint64_t)ceil(fraction * (double)h->count), seen = 0;

	if (wanted == 0)
		wanted = 1;
	for (size_t b = 0; b < HISTOGRAM_BUCKETS && h->count; b++) {
		seen += h->buckets[b];
		if (seen >= wanted)
			return middle(h, b);
	}
	return h->max;
}

double histogram_mean(const struct histogram *h)
{
	return h->count ? h->sum / (double)h->count : 0;
}
