/* SPDX-License-Identifier: MIT */
/*
 * histogram.h: how often which value, on a logarithmic scale of fixed relative width.
 *
 * Each octave has 64 buckets, so a bucket is at most 1/64 of its values wide, and a percentile,
 * told as the bucket's middle, is off by at most 1/128 (0.8 %). Values below 128 are exact; so are
 * mean, minimum and maximum. Nothing is ever clipped.
 */
#ifndef CLI_HISTOGRAM_H
#define CLI_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum {
	HISTOGRAM_SUB_BITS = 6,
	HISTOGRAM_SUB = 1 << HISTOGRAM_SUB_BITS,
	/*
	 * Two octaves' worth of exact values, then 64 - 7 octaves of 64 buckets: (64 - 6 + 1) × 64
	 * in all.
	 */
	HISTOGRAM_BUCKETS = (64 - HISTOGRAM_SUB_BITS + 1) * HISTOGRAM_SUB,
};

/** struct histogram - Zeroed it is empty. About 30 KiB. */
struct histogram {
	uint64_t buckets[HISTOGRAM_BUCKETS];
	uint64_t count, max;
	double sum;
};

void histogram_add(struct histogram *h, uint64_t value);
/** histogram_at() - The value that `fraction` (0..1) of all are not above; 0 of an empty one. */
uint64_t histogram_at(const struct histogram *h, double fraction);
double histogram_mean(const struct histogram *h);

/**
 * histogram_bucket() - Which bucket a value is in, and the lowest and highest value of a bucket.
 */
size_t histogram_bucket(uint64_t value);
uint64_t histogram_low(size_t bucket);
uint64_t histogram_high(size_t bucket);

#endif
