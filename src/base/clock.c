/* SPDX-License-Identifier: MIT */
/*
 * clock.c: the one real clock. Monotonic, and read without a system call where the kernel offers
 * that.
 */
#include "base/base.h"

#include <time.h>

static uint64_t monotonic_now(const struct clock *clock)
{
	struct timespec t;

	(void)clock;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

const struct clock clock_monotonic = { .now = monotonic_now };
