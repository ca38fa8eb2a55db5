/* SPDX-License-Identifier: MIT */
/*
 * load.h: one load, several ways to bring it to a disk.
 *
 *	open ──> go (to warm up) ──> go (counted and timed) ──> close
 *
 * What is read next, and whether it is what it should be, is the same code for all ways: see
 * load.c.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOAD_BYTES = 4096, LOAD_MOST_DEPTH = 128 };

/** struct load - What is asked of a way, and how far it is. */
struct load {
	const char *where; /* a URI, or a file or block device */
	uint64_t target;   /* for hbakit: LUN 0 of it */
	unsigned depth;
	bool verify;

	uint8_t *buffers;                 /* LOAD_BYTES for each slot below `depth` */
	uint64_t blocks;                  /* of LOAD_BYTES on the disk; the way's open() sets it */
	uint64_t block[LOAD_MOST_DEPTH];  /* what each slot reads */
	uint64_t random, sent, back, end; /* `end`: of this go */
	uint64_t wrong;
	void *way; /* the way's own */
};

/** struct way - One way to the disk. Each function returns 0, or -1 when it has said why not. */
struct way {
	const char *name;
	int (*open)(struct load *l);
	/* Keep `depth` reads out, by load_next() and load_arrived(), until l->end are back. */
	int (*go)(struct load *l);
	void (*close)(struct load *l);
};

extern const struct way way_polled, way_interrupts; /* load-hbakit.c */
extern const struct way way_uring, way_aio;         /* load-linux.c */

/**
 * load_next() - Choose what this slot reads next, into its buffer. false: enough were sent in this
 * go.
 */
bool load_next(struct load *l, unsigned slot);
/** load_arrived() - The slot's read came back with so many bytes. */
void load_arrived(struct load *l, unsigned slot, uint64_t bytes);
static inline uint8_t *load_buffer(const struct load *l, unsigned slot)
{
	return l->buffers + (size_t)slot * LOAD_BYTES;
}

/** load_failed() - Say it in one sentence; returns -1. */
int load_failed(const struct load *l, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
