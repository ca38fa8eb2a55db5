/* SPDX-License-Identifier: MIT */
/*
 * polled-path.c: once a controller has started and is polled, its I/O path makes no system call,
 * allocates nothing and maps nothing.
 *
 * Each case is a child of its own: a seccomp filter that kills on any call but exit cannot be taken
 * off again. The last three cases are planted: a path that does make a call, that does allocate,
 * and one that brings wrong data.
 */
#include "lib/no-syscall.h"
#include "lib/wrap-malloc.h"

#include <hbakit/hbakit.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { COMMANDS = 100000, MOST_DEPTH = 32, CHUNK = 4096, CHUNKS = 1024, BUDGET = 64 };

/* What became of a child. */
enum outcome { CLEAN, DID_NOT_START, COMMAND_FAILED, ALLOCATED, MAPPED, WRONG_DATA };

enum fault { NO_FAULT, ALLOCATE, CHANGE_DATA };

struct path {
	const char *uri;
	unsigned depth;
	enum hba_disk_op op;
	enum hba_data_mode mode;
	enum fault fault;
};

struct load;

struct slot {
	struct hba_disk_io io;
	struct load *load;
	struct hba_piece piece; /* `data`, said by region and offset */
	uint8_t *data;
};

struct load {
	const struct path *path;
	struct hba_controller *controller;
	struct hba_lun *lun;
	uint64_t sent, back, failed, wrong;
	bool stores; /* gives back what was written; else zeros */
	struct slot slots[MOST_DEPTH];
};

/*
 * Each chunk has a number of its own in every eighth byte of it, so a chunk that lands elsewhere is
 * noticed.
 */
static uint64_t stamp(const struct load *l, uint64_t chunk)
{
	return l->stores ? chunk + 1 : 0;
}

static void fill(struct slot *s, uint64_t value)
{
	for (size_t at = 0; at < CHUNK; at += sizeof(value))
		memcpy(s->data + at, &value, sizeof(value));
}

static bool holds(const struct slot *s, uint64_t value)
{
	for (size_t at = 0; at < CHUNK; at += sizeof(value))
		if (memcmp(s->data + at, &value, sizeof(value)) != 0)
			return false;
	return true;
}

static void allocate(void)
{
	void *volatile p = malloc(1); /* volatile, or the compiler takes both calls away */

	free(p);
}

static void send_next(struct slot *s);

static void slot_done(struct hba_disk_io *io)
{
	struct slot *s = (struct slot *)io; /* its first member */
	struct load *l = s->load;

	l->back++;
	l->failed += io->error != 0;
	if (l->path->fault == ALLOCATE)
		allocate();
	if (io->op == HBA_DISK_READ && !holds(s, stamp(l, io->offset / CHUNK)))
		l->wrong++;
	send_next(s);
}

static void send_next(struct slot *s)
{
	struct load *l = s->load;
	uint64_t chunk = l->sent % CHUNKS;

	if (l->sent == COMMANDS)
		return;
	fill(s, l->path->op == HBA_DISK_WRITE ? stamp(l, chunk) : UINT64_MAX);
	s->io.op = l->path->op;
	s->io.offset = chunk * CHUNK;
	l->sent++;
	if (hba_disk_submit(&s->io) < 0) {
		l->failed++;
		l->back++;
	}
}

/* Written before the filter, for READ to find; the fault is one bit of one chunk. */
static int prepare_medium(struct load *l)
{
	struct slot *s = &l->slots[0];
	int r = 0;

	for (uint64_t chunk = 0; chunk < CHUNKS && r == 0; chunk++) {
		fill(s, stamp(l, chunk));
		s->data[0] ^= l->path->fault == CHANGE_DATA && chunk == CHUNKS / 2;
		s->io.op = HBA_DISK_WRITE;
		s->io.offset = chunk * CHUNK;
		r = hba_disk_do(&s->io);
	}
	return r;
}

static void set_up_slot(struct load *l, struct slot *s, const struct hba_mapping *m,
			uint64_t offset)
{
	s->load = l;
	s->data = (uint8_t *)hba_mapping_address(m) + offset;
	s->piece = (struct hba_piece) { .region = hba_mapping_region(m),
					.length = CHUNK,
					.offset = offset };
	s->io = (struct hba_disk_io) {
		.lun = l->lun, .length = CHUNK, .mode = l->path->mode, .done = slot_done
	};
	if (l->path->mode == HBA_DATA_REGION) {
		s->io.data.pieces = &s->piece;
		s->io.n_data = 1;
	} else {
		s->io.data.buffer = s->data;
	}
}

static int bring_up(struct load *l)
{
	struct hba_mapping *m;

	if (hba_controller_open(l->path->uri, NULL, &l->controller) < 0 ||
	    hba_controller_start(l->controller) < 0 ||
	    hba_mapping_create(l->controller, HBA_DEVICE_BOTH, (size_t)MOST_DEPTH * CHUNK, CHUNK,
			       &m) < 0) {
		fprintf(stderr, "%s\n", hba_error());
		return -1;
	}
	l->lun = hba_lun_next(l->controller, NULL);
	l->stores = strncmp(l->path->uri, "soft:null", strlen("soft:null")) != 0;
	for (unsigned i = 0; i < MOST_DEPTH; i++)
		set_up_slot(l, &l->slots[i], m, i * (uint64_t)CHUNK);
	return l->path->op == HBA_DISK_READ ? prepare_medium(l) : 0;
}

static int run_commands(struct load *l)
{
	for (unsigned i = 0; i < l->path->depth; i++)
		send_next(&l->slots[i]);
	while (l->back < COMMANDS)
		if (hba_controller_run(l->controller, BUDGET) < 0)
			return -1;
	return 0;
}

/* What WRITE left is looked at on the same path, still behind the filter. */
static int read_back(struct load *l)
{
	static const struct path reading = { .depth = 1,
					     .op = HBA_DISK_READ,
					     .mode = HBA_DATA_CPU };

	if (l->path->op != HBA_DISK_WRITE)
		return 0;
	l->path = &reading;
	l->sent = l->back = 0;
	return run_commands(l);
}

static int judge(const struct load *l, const struct hba_counts *before, unsigned long allocations)
{
	struct hba_counts after;

	if (allocation_count() != allocations)
		return ALLOCATED;
	hba_controller_counts(l->controller, &after);
	if (after.io_path_mappings != 0 || after.hba_data_mapped != before->hba_data_mapped)
		return MAPPED;
	if (l->failed)
		return COMMAND_FAILED;
	return l->wrong ? WRONG_DATA : CLEAN;
}

/* Nothing is released: that may make a system call, and the child ends anyway. */
static int walk(void *arg)
{
	struct load *l = calloc(1, sizeof(*l));
	struct hba_counts before;
	unsigned long allocations;

	if (!l)
		return DID_NOT_START;
	l->path = arg;
	if (bring_up(l) < 0)
		return DID_NOT_START;
	hba_controller_counts(l->controller, &before);
	l->sent = l->back = 0;
	forbid_system_calls();
	allocations = allocation_count();
	if (run_commands(l) < 0 || read_back(l) < 0)
		return COMMAND_FAILED;
	return judge(l, &before, allocations);
}

static void the_polled_path_is_clean(void **state)
{
	static const struct path paths[] = {
		{ .uri = "soft:null", .depth = 1, .op = HBA_DISK_READ, .mode = HBA_DATA_CPU },
		{ .uri = "soft:null", .depth = 1, .op = HBA_DISK_WRITE, .mode = HBA_DATA_CPU },
		{ .uri = "soft:null",
		  .depth = MOST_DEPTH,
		  .op = HBA_DISK_READ,
		  .mode = HBA_DATA_CPU },
		{ .uri = "soft:null",
		  .depth = MOST_DEPTH,
		  .op = HBA_DISK_WRITE,
		  .mode = HBA_DATA_CPU },
		{ .uri = "soft:ram", .depth = 1, .op = HBA_DISK_READ, .mode = HBA_DATA_CPU },
		{ .uri = "soft:ram", .depth = 1, .op = HBA_DISK_WRITE, .mode = HBA_DATA_CPU },
		{ .uri = "soft:ram",
		  .depth = MOST_DEPTH,
		  .op = HBA_DISK_READ,
		  .mode = HBA_DATA_CPU },
		{ .uri = "soft:ram",
		  .depth = MOST_DEPTH,
		  .op = HBA_DISK_WRITE,
		  .mode = HBA_DATA_CPU },
		{ .uri = "soft:ram",
		  .depth = MOST_DEPTH,
		  .op = HBA_DISK_READ,
		  .mode = HBA_DATA_REGION },
		{ .uri = "soft:ram",
		  .depth = MOST_DEPTH,
		  .op = HBA_DISK_WRITE,
		  .mode = HBA_DATA_REGION },
		/* Fewer tasks than requests: these wait inside, and waiting is free too. */
		{ .uri = "soft:ram?tasks=4",
		  .depth = MOST_DEPTH,
		  .op = HBA_DISK_READ,
		  .mode = HBA_DATA_CPU },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct path path = paths[i];
		int outcome = outcome_of_child(walk, &path);

		if (outcome != CLEAN)
			print_error("%s, depth %u, %s\n", path.uri, path.depth,
				    path.op == HBA_DISK_READ ? "READ" : "WRITE");
		assert_int_equal(outcome, CLEAN);
	}
}

/* A file's commands go to the kernel. */
static void a_system_call_is_noticed(void **state)
{
	char name[] = "/tmp/hbakit-polled-XXXXXX", uri[sizeof(name) + sizeof("soft:")];
	struct path path = { .uri = uri, .depth = 1, .op = HBA_DISK_READ, .mode = HBA_DATA_CPU };
	int fd = mkstemp(name), outcome;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)CHUNKS * CHUNK), 0);
	close(fd);
	snprintf(uri, sizeof(uri), "soft:%s", name);
	outcome = outcome_of_child(walk, &path);
	unlink(name);
	assert_int_equal(outcome, -SIGSYS);
}

static void an_allocation_is_noticed(void **state)
{
	struct path path = { .uri = "soft:ram",
			     .depth = 1,
			     .op = HBA_DISK_READ,
			     .mode = HBA_DATA_CPU,
			     .fault = ALLOCATE };

	(void)state;
	assert_int_equal(outcome_of_child(walk, &path), ALLOCATED);
}

static void a_wrong_bit_is_noticed(void **state)
{
	struct path path = { .uri = "soft:ram",
			     .depth = 1,
			     .op = HBA_DISK_READ,
			     .mode = HBA_DATA_CPU,
			     .fault = CHANGE_DATA };

	(void)state;
	assert_int_equal(outcome_of_child(walk, &path), WRONG_DATA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_polled_path_is_clean),
		cmocka_unit_test(a_system_call_is_noticed),
		cmocka_unit_test(an_allocation_is_noticed),
		cmocka_unit_test(a_wrong_bit_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
