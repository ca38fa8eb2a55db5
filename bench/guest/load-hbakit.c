/* SPDX-License-Identifier: MIT */
/*
 * load-hbakit.c: the way through hbakit: tasks taken once, each sent again from its done. Polled,
 * or asleep until the device interrupts.
 *
 * Polled, a turn that sent nothing and found nothing is marked as waiting: how many there are
 * depends on the device alone.
 */
#include "load.h"

#include "mark.h"

#include <endian.h>
#include <hbakit/hbakit.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { RUN_BUDGET = 32, READ_10 = 0x28, CDB_LBA = 2, CDB_COUNT = 7, CDB_BYTES = 10 };

struct worker {
	struct load *load;
	struct hba_task *task;
	struct hba_piece piece;
	unsigned slot;
};

struct hbakit {
	struct hba_controller *controller;
	struct hba_mapping *memory;
	struct worker workers[LOAD_MOST_DEPTH];
	uint32_t per_read; /* the disk's blocks in one read */
	bool polled, sent, failed;
};

/* ---- one read */

static void read_done(struct hba_task *t, const struct hba_result *r, void *arg);

static void send(struct worker *w)
{
	struct load *l = w->load;
	struct hbakit *h = l->way;
	uint32_t lba;

	if (!load_next(l, w->slot))
		return;
	lba = htobe32((uint32_t)(l->block[w->slot] * h->per_read));
	memcpy(&w->task->cdb[CDB_LBA], &lba, sizeof(lba));
	h->sent = true;
	if (hba_submit(w->task, read_done, w) < 0)
		h->failed = true;
}

static void read_done(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct worker *w = arg;

	(void)t;
	load_arrived(w->load, w->slot, r->outcome == HBA_GOOD ? r->bytes : 0);
	send(w);
}

/* ---- a go */

static int sleep_until_work(struct hbakit *h)
{
	struct pollfd p = { .fd = hba_controller_fd(h->controller), .events = POLLIN };

	return hba_controller_arm(h->controller) == 0 ? poll(&p, 1, -1) : 0;
}

static int turn(struct hbakit *h)
{
	int n;

	mark_here(MARK_TURN);
	n = hba_controller_run(h->controller, RUN_BUDGET);
	if (n == 0 && h->polled && !h->sent)
		mark_here(MARK_IDLE);
	h->sent = false; /* a turn sends what was submitted before and in it */
	if (n == 0 && !h->polled)
		sleep_until_work(h);
	return n;
}

static int go(struct load *l)
{
	struct hbakit *h = l->way;

	for (unsigned i = 0; i < l->depth; i++)
		send(&h->workers[i]);
	while (l->back < l->end && !h->failed)
		if (turn(h) < 0)
			h->failed = true;
	return h->failed ? load_failed(l, "%s", hba_error()) : 0;
}

/* ---- before and after */

static int find_unit(struct load *l, struct hbakit *h, struct hba_lun **ret_lun)
{
	struct hba_lun *lun = hba_lun_find(h->controller, l->target, 0);
	struct hba_lun_info info;

	if (!lun)
		return load_failed(l, "there is no LUN 0 of target %ju", (uintmax_t)l->target);
	hba_lun_get_info(lun, &info);
	if (!info.block_bytes || LOAD_BYTES % info.block_bytes)
		return load_failed(l, "a block of %u bytes does not divide %d", info.block_bytes,
				   LOAD_BYTES);
	h->per_read = LOAD_BYTES / info.block_bytes;
	l->blocks = info.blocks / h->per_read;
	if (!l->blocks || info.blocks > UINT32_MAX)
		return load_failed(l,
				   "READ (10) does not reach all of %ju blocks, or there are none",
				   (uintmax_t)info.blocks);
	*ret_lun = lun;
	return 0;
}

static int take_task(struct load *l, struct hbakit *h, struct hba_lun *lun, unsigned slot)
{
	struct worker *w = &h->workers[slot];
	struct hba_task *t;
	uint16_t count;

	if (hba_task_get(lun, 0, NULL, &t) != 0)
		return load_failed(l, "no task %u for this unit", slot);
	t->cdb[0] = READ_10;
	count = htobe16((uint16_t)h->per_read); /* 1 to 8 */
	memcpy(&t->cdb[CDB_COUNT], &count, sizeof(count));
	t->cdb_len = CDB_BYTES;
	t->direction = HBA_FROM_TARGET;
	t->length = LOAD_BYTES;
	t->mode = HBA_DATA_REGION;
	t->data.pieces = &w->piece;
	t->n_data = 1;
	*w = (struct worker) {
		.load = l,
		.task = t,
		.piece = { .region = hba_mapping_region(h->memory),
			   .length = LOAD_BYTES,
			   .offset = (uint64_t)slot * LOAD_BYTES },
		.slot = slot,
	};
	return 0;
}

/* Buffers of the controller's own memory, in place of those that the load came with. */
static int take_memory(struct load *l, struct hbakit *h)
{
	if (hba_mapping_create(h->controller, HBA_DEVICE_WRITES, (size_t)l->depth * LOAD_BYTES,
			       LOAD_BYTES, &h->memory) < 0)
		return load_failed(l, "%s", hba_error());
	free(l->buffers);
	l->buffers = hba_mapping_address(h->memory);
	return 0;
}

static int begin(struct load *l, struct hbakit *h)
{
	struct hba_lun *lun;
	int r;

	if (hba_controller_open(l->where, NULL, &h->controller) < 0 ||
	    hba_controller_start(h->controller) < 0)
		return load_failed(l, "%s", hba_error());
	r = find_unit(l, h, &lun);
	if (r == 0)
		r = take_memory(l, h);
	for (unsigned i = 0; r == 0 && i < l->depth; i++)
		r = take_task(l, h, lun, i);
	return r;
}

static int open_hbakit(struct load *l, bool polled)
{
	struct hbakit *h = calloc(1, sizeof(*h));

	if (!h)
		return load_failed(l, "no memory");
	l->way = h;
	h->polled = polled;
	return begin(l, h);
}

static int open_polled(struct load *l)
{
	return open_hbakit(l, true);
}

static int open_interrupts(struct load *l)
{
	return open_hbakit(l, false);
}

static void close_hbakit(struct load *l)
{
	struct hbakit *h = l->way;

	if (!h)
		return;
	/* With reads out after a failure, close() ends them, and the mapping goes with it. */
	for (unsigned i = 0; i < l->depth && !h->failed; i++)
		hba_task_put(h->workers[i].task);
	if (h->memory)
		l->buffers = NULL;
	if (!h->failed)
		hba_mapping_release(h->memory);
	hba_controller_close(h->controller);
	free(h);
}

const struct way way_polled = { "polled", open_polled, go, close_hbakit };
const struct way way_interrupts = { "interrupts", open_interrupts, go, close_hbakit };
