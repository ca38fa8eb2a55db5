/* SPDX-License-Identifier: MIT */
/* load.c: see load.h. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { READ_16 = 0x88, CDB_16 = 16, LBA_BYTE = 2, COUNT_BYTE = 10, NS_PER_S = 1000000000 };

struct worker {
	struct load *load;
	struct hba_task *task;
	struct hba_piece piece;
	uint8_t *data;
};

struct load {
	struct load_plan plan;
	struct hba_controller *controller;
	struct hba_mapping *memory;
	struct worker *workers;
	struct hba_lun **units;
	uint32_t block_bytes;
	uint64_t blocks, next_block;
	unsigned next_unit;
	uint64_t sent, back, wanted;
	bool failed;
};

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* ---- one command */

static void done(struct hba_task *t, const struct hba_result *r, void *arg);

static void fill(struct worker *w)
{
	struct load *l = w->load;
	struct hba_task *t = w->task;
	uint64_t block = __builtin_bswap64(l->next_block);

	l->next_block += LOAD_BYTES / l->block_bytes;
	if (l->next_block + LOAD_BYTES / l->block_bytes > l->blocks)
		l->next_block = 0;
	memcpy(&t->cdb[LBA_BYTE], &block, sizeof(block));
}

/* What is the same in each command of a task. */
static void prepare(struct worker *w)
{
	const struct load *l = w->load;
	uint32_t count = __builtin_bswap32(LOAD_BYTES / l->block_bytes);
	struct hba_task *t = w->task;

	t->cdb[0] = READ_16;
	memcpy(&t->cdb[COUNT_BYTE], &count, sizeof(count));
	t->cdb_len = CDB_16;
	t->direction = HBA_FROM_TARGET;
	t->length = LOAD_BYTES;
	t->mode = (uint8_t)l->plan.mode;
	t->n_data = l->plan.mode == HBA_DATA_REGION;
	if (l->plan.mode == HBA_DATA_REGION)
		t->data.pieces = &w->piece;
	else
		t->data.buffer = w->data;
}

static void complain(struct load *l, const char *why)
{
	if (!l->failed)
		fprintf(stderr, "bench: %s\n", why);
	l->failed = true;
}

static void send(struct worker *w)
{
	struct load *l = w->load;

	fill(w);
	if ((l->plan.before && l->plan.before(w->task) != 0) || hba_submit(w->task, done, w) < 0)
		complain(l, hba_error());
	else
		l->sent++;
}

static bool take(struct worker *w)
{
	struct load *l = w->load;
	struct hba_lun *unit = l->units[l->next_unit];

	l->next_unit = l->next_unit + 1 == l->plan.units ? 0 : l->next_unit + 1;
	if (hba_task_get(unit, 0, NULL, &w->task) != 0) {
		complain(l, "there is no task for this depth");
		return false;
	}
	prepare(w);
	return true;
}

static void done(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct worker *w = arg;
	struct load *l = w->load;

	l->back++;
	if (l->plan.after)
		l->plan.after(t);
	if (r->outcome != HBA_GOOD || r->bytes != LOAD_BYTES)
		complain(l, "a command failed");
	if (l->sent >= l->wanted || l->failed)
		return;
	if (l->plan.roam) {
		hba_task_put(t);
		if (!take(w))
			return;
	}
	send(w);
}

/* ---- the whole */

static bool find_units(struct load *l)
{
	struct hba_lun_info info;
	struct hba_lun *lun = NULL;

	l->units = calloc(l->plan.units, sizeof(struct hba_lun *));
	for (unsigned i = 0; l->units && i < l->plan.units; i++) {
		lun = hba_lun_next(l->controller, lun);
		if (!lun) {
			fprintf(stderr, "bench: there are only %u units\n", i);
			return false;
		}
		l->units[i] = lun;
	}
	if (!lun)
		return false;
	hba_lun_get_info(lun, &info);
	l->block_bytes = info.block_bytes;
	l->blocks = info.blocks;
	return info.block_bytes && LOAD_BYTES % info.block_bytes == 0 &&
	       info.blocks * info.block_bytes >= LOAD_BYTES;
}

static bool make_workers(struct load *l)
{
	l->workers = calloc(l->plan.depth, sizeof(*l->workers));
	if (!l->workers ||
	    hba_mapping_create(l->controller, HBA_DEVICE_BOTH, (size_t)l->plan.depth * LOAD_BYTES,
			       LOAD_BYTES, &l->memory) < 0)
		return false;
	for (unsigned i = 0; i < l->plan.depth; i++) {
		struct worker *w = &l->workers[i];
		uint64_t offset = i * (uint64_t)LOAD_BYTES;

		w->load = l;
		w->data = (uint8_t *)hba_mapping_address(l->memory) + offset;
		w->piece = (struct hba_piece) { hba_mapping_region(l->memory), LOAD_BYTES, offset };
		if (!take(w))
			return false;
	}
	return true;
}

struct load *load_begin(struct hba_controller *c, const struct load_plan *plan)
{
	struct load *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->plan = *plan;
	l->controller = c;
	if (find_units(l) && make_workers(l))
		return l;
	complain(l, "the load cannot be set up: too few units, blocks or tasks, or no memory");
	load_end(l);
	return NULL;
}

uint64_t load_run(struct load *l, uint64_t commands)
{
	uint64_t began = now();

	l->wanted = commands;
	l->sent = l->back = 0;
	for (unsigned i = 0; i < l->plan.depth; i++)
		send(&l->workers[i]);
	while (l->back < l->sent)
		if (hba_controller_run(l->controller, LOAD_BUDGET) < 0) {
			complain(l, hba_error());
			return 0;
		}
	return l->failed ? 0 : now() - began;
}

uint64_t load_ran(const struct load *l)
{
	return l->back;
}

void load_end(struct load *l)
{
	for (unsigned i = 0; l->workers && i < l->plan.depth; i++)
		hba_task_put(l->workers[i].task);
	if (l->memory)
		hba_mapping_release(l->memory);
	free(l->workers);
	free(l->units);
	free(l);
}
