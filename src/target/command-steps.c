/* SPDX-License-Identifier: MIT */
/*
 * command-steps.c: a command over blocks as a row of steps, each of which a store may end at once
 * or later:
 *
 *	READ                CLAIM ─> FLUSH_FIRST (FUA) ─> MOVE
 *	WRITE               CLAIM ─> MOVE ─> FLUSH_LAST (FUA)
 *	WRITE AND VERIFY    CLAIM ─> MOVE ─> FLUSH_LAST ─> CHECK
 *	COMPARE AND WRITE   CLAIM ─> COMPARE ─> MOVE ─> FLUSH_LAST (FUA)
 *	ORWRITE             CLAIM ─> MERGE ─> FLUSH_LAST (FUA)
 *
 * A step is begun, and resumed each time the store has done its request. Both return 0: the step
 * has ended; 1: the store is at work, it goes on later; 2: the whole command has ended, its status
 * is set; or a negative errno.
 *
 * Order: a store with an engine may leave a command in the middle, so commands claim their blocks
 * (block-locks.c). With other stores a turnstile per unit is enough, and a single thread needs
 * none: a command is over when target_work() returns, or it is a walk that has left the turnstile
 * between two of its turns.
 *
 * Turns: a store that ends each request at once would keep its thread for the length of a walk,
 * which may be hours. After a megabyte, or 32 that are only deallocated, a walk makes room for
 * others. Commands that must be alone do not; they are no longer than their data.
 */
#include "base/base.h"
#include "target/commands.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { STEP_ENDED = 0, STEP_OUT = 1, COMMAND_ENDED = 2 };
/*
 * Some hundred microseconds; milliseconds, where memory is taken for the first time, or given back.
 */
enum { TURN_BYTES = 1 << 20, DEALLOCATION_TURN_BYTES = TARGET_MOST_WRITE_SAME_BYTES };

struct step {
	int (*begin)(struct target_command *c);
	int (*resume)(struct target_command *c); /* NULL: once is enough */
};

/* ---- how it ends */

/*
 * MEDIUM ERROR names the first block that did not move: initiators retry, or give up, from there.
 */
static void fail_medium(struct target_command *c)
{
	bool located = c->busy != BUSY_FLUSHING;

	target_check(c,
		     &(struct scsi_sense) {
			     .key = SCSI_MEDIUM_ERROR,
			     .asc = c->busy == BUSY_READING ? SCSI_ASC_UNRECOVERED_READ_ERROR
							    : SCSI_ASC_WRITE_ERROR,
			     .has_information = located,
			     .information = (c->io.offset + c->io.moved) / c->unit->block_bytes });
}

static void fail(struct target_command *c, int error)
{
	switch (-error) {
	case ECANCELED:
		c->outcome = HBA_TASK_ABORTED;
		break;
	case EAGAIN:
	case EINTR:
	case ENOMEM:
		c->outcome = HBA_BUSY;
		break;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		target_refuse(c, SCSI_DATA_PROTECT, SCSI_ASC_SPACE_ALLOCATION_FAILED);
		break;
	default:
		fail_medium(c);
	}
}

static void let_go(struct target_command *c)
{
	if (c->walk.scratch)
		scratch_return(&c->unit->scratch, c->walk.scratch);
	if (c->claimed)
		block_locks_drop(&c->unit->locks, &c->claim);
	if (c->inside)
		turnstile_leave(&c->unit->turnstile, c->exclusive);
}

/* ---- from step to step */

static const struct step step_table[];

static const struct step *current_step(const struct target_command *c)
{
	return &step_table[__builtin_ctz(c->steps)];
}

/*
 * `r` is the return value of the current step. Returns 0: the command has ended; 1: it goes on
 * later.
 */
static int go_on(struct target_command *c, int r)
{
	while (r == STEP_ENDED) {
		c->steps &= (uint16_t)(c->steps - 1);
		if (!c->steps)
			break;
		r = c->io.cancelled ? -ECANCELED : current_step(c)->begin(c);
	}
	if (r == STEP_OUT)
		return 1;
	if (r < 0)
		fail(c, r);
	let_go(c);
	return 0;
}

/* The lowest bit is the step that runs. */
static bool is_moving(const struct target_command *c)
{
	return (c->steps & STEP_MOVE) && (c->steps & (STEP_MOVE - 1)) == 0;
}

static void step_done(struct store_io *io, int error)
{
	struct target_command *c = container_of(io, struct target_command, io);
	const struct step *step = current_step(c);
	int r = error;

	/* Also what a MOVE that failed, or was cancelled, moved all the same. */
	if (is_moving(c))
		c->bytes += io->moved;
	if (r == 0 && step->resume)
		r = io->cancelled ? -ECANCELED : step->resume(c);
	if (go_on(c, r) == 0)
		target_end(c);
}

static void claim_granted(struct engine_op *op, int result)
{
	struct target_command *c = container_of(op, struct target_command, claim.granted);

	(void)result;
	if (go_on(c, STEP_ENDED) == 0)
		target_end(c);
}

static int claim_begin(struct target_command *c)
{
	c->claim.first = c->at;
	c->claim.end = c->at + c->span;
	c->claim.exclusive = c->exclusive;
	c->claim.engine = c->engine;
	c->claim.granted.done = claim_granted;
	c->claimed = true;
	return block_locks_take(&c->unit->locks, &c->claim) ? STEP_ENDED : STEP_OUT;
}

static int flush_begin(struct target_command *c)
{
	struct store *store = c->unit->store;

	c->busy = BUSY_FLUSHING;
	return store->ops->flush ? store->ops->flush(store, &c->io) : STEP_ENDED;
}

static int prefetch_begin(struct target_command *c)
{
	struct store *store = c->unit->store;

	c->busy = BUSY_READING;
	c->io.offset = c->at;
	c->io.length = c->span;
	c->io.moved = 0;
	return store->ops->prefetch ? store->ops->prefetch(store, &c->io) : STEP_ENDED;
}

/* ---- data between client and blocks */

static int start_io(struct target_command *c, uint64_t offset, uint64_t length, bool writing)
{
	struct store *store = c->unit->store;

	c->busy = writing ? BUSY_WRITING : BUSY_READING;
	c->io.offset = offset;
	c->io.length = length;
	c->io.moved = 0;
	return writing ? store->ops->write(store, &c->io) : store->ops->read(store, &c->io);
}

static int move_begin(struct target_command *c)
{
	int r;

	c->io.data = (struct iov_iter) { .iov = c->iov, .n = c->n_iov };
	iov_iter_step(&c->io.data, c->skip);
	r = start_io(c, c->at, c->span, c->writing);
	if (r == STEP_ENDED)
		c->bytes += c->io.moved;
	return r;
}

/* ---- walks: chunk by chunk through the scratch buffer */

/* The chunk that is in the scratch buffer, or on its way there or back. */
static uint64_t chunk_of(const struct target_walk *w)
{
	return w->left < SCRATCH_BYTES ? w->left : SCRATCH_BYTES;
}

static void next_turn(struct engine_op *op, int result)
{
	struct target_command *c = container_of(op, struct target_command, walk.turn);

	if (c->inside)
		turnstile_enter(&c->unit->turnstile, c->exclusive);
	step_done(&c->io, result);
}

/* To whoever waits for the step it is as if the store had ended the chunk later. */
static int end_turn(struct target_command *c)
{
	if (c->inside)
		turnstile_leave(&c->unit->turnstile, c->exclusive);
	taskset_stay(c);
	c->walk.turn.done = next_turn;
	engine_post(c->engine, &c->walk.turn);
	return STEP_OUT;
}

/* After so many bytes that the store has ended at once. */
static int take_turns(struct target_command *c, uint64_t bytes, uint64_t most)
{
	struct target_walk *w = &c->walk;

	w->in_turn += bytes;
	if (w->in_turn < most || c->exclusive || !c->engine)
		return STEP_ENDED;
	w->in_turn = 0;
	return end_turn(c);
}

static int start_chunk(struct target_command *c, bool writing)
{
	struct target_walk *w = &c->walk;
	int r;

	w->storing = writing;
	w->piece = (struct iovec) { w->scratch->bytes, chunk_of(w) };
	c->io.data = (struct iov_iter) { .iov = &w->piece, .n = 1 };
	r = start_io(c, w->at, w->piece.iov_len, writing);
	return r == STEP_ENDED ? take_turns(c, w->piece.iov_len, TURN_BYTES) : r;
}

/* false: that was the last one. */
static bool next_chunk(struct target_walk *w)
{
	uint64_t chunk = chunk_of(w);

	w->at += chunk;
	w->left -= chunk;
	return w->left > 0;
}

static int begin_walk(struct target_command *c)
{
	struct target_walk *w = &c->walk;

	w->at = c->at;
	w->left = c->span;
	w->in_turn = 0;
	w->data = (struct iov_iter) { .iov = c->iov, .n = c->n_iov };
	if (!w->scratch)
		w->scratch = scratch_borrow(&c->unit->scratch);
	return w->scratch ? 0 : -ENOMEM;
}

/* INFORMATION is the offset, in what was compared, of the first byte that differs (SBC-3 5.2). */
static int miscompare(struct target_command *c, uint64_t offset)
{
	target_check(c, &(struct scsi_sense) { .key = SCSI_MISCOMPARE,
					       .asc = SCSI_ASC_MISCOMPARE_DURING_VERIFY,
					       .has_information = true,
					       .information = offset });
	return COMMAND_ENDED;
}

/*
 * Equal bytes at the start of the chunk. A client's list that ends too soon counts as different
 * from there on.
 */
static uint64_t equal_in_chunk(struct target_command *c)
{
	struct target_walk *w = &c->walk;
	uint64_t chunk = chunk_of(w), block = c->unit->block_bytes;

	if (w->compare == COMPARE_NOTHING)
		return chunk;
	if (w->compare == COMPARE_DATA)
		return iov_iter_compare(&w->data, w->scratch->bytes, chunk);
	for (uint64_t at = 0; at < chunk; at += block) {
		struct iov_iter one = { .iov = c->iov, .n = c->n_iov };
		uint64_t equal = iov_iter_compare(&one, w->scratch->bytes + at, block);

		if (equal < block)
			return at + equal;
	}
	return chunk;
}

static int compare_resume(struct target_command *c)
{
	struct target_walk *w = &c->walk;
	uint64_t equal;
	int r;

	do {
		equal = equal_in_chunk(c);
		if (equal < chunk_of(w))
			return miscompare(c, w->at - c->at + equal);
		if (!next_chunk(w))
			return STEP_ENDED;
		r = start_chunk(c, false);
	} while (r == STEP_ENDED);
	return r;
}

static int compare_begin(struct target_command *c)
{
	int r;

	/* Memory has no bad blocks to find. */
	if (c->walk.compare == COMPARE_NOTHING && !c->unit->store->needs_engine)
		return STEP_ENDED;
	r = begin_walk(c);
	if (r < 0)
		return r;
	r = start_chunk(c, false);
	return r == STEP_ENDED ? compare_resume(c) : r;
}

/* A chunk was read: change it and send it back. It was sent back: read the next one. */
static int merge_resume(struct target_command *c)
{
	struct target_walk *w = &c->walk;
	int r;

	do {
		if (w->storing && !next_chunk(w))
			return STEP_ENDED;
		if (!w->storing)
			iov_iter_or_into(&w->data, w->scratch->bytes, chunk_of(w));
		r = start_chunk(c, !w->storing);
	} while (r == STEP_ENDED);
	return r;
}

static int merge_begin(struct target_command *c)
{
	int r = begin_walk(c);

	if (r < 0)
		return r;
	r = start_chunk(c, false);
	return r == STEP_ENDED ? merge_resume(c) : r;
}

/* The block over and over. */
static void fill_scratch(struct target_command *c)
{
	struct target_walk *w = &c->walk;
	uint64_t block = c->unit->block_bytes, chunk = chunk_of(w);

	static_assert(SCRATCH_BYTES % 4096 == 0, "whole blocks of any size");
	memset(w->scratch->bytes, 0, block);
	if (!w->zeros)
		iov_iter_copy_from(&w->data, w->scratch->bytes, block);
	for (uint64_t at = block; at < chunk; at += block)
		memcpy(w->scratch->bytes + at, w->scratch->bytes, block);
}

static int repeat_resume(struct target_command *c)
{
	int r;

	do {
		if (!next_chunk(&c->walk))
			return STEP_ENDED;
		r = start_chunk(c, true);
	} while (r == STEP_ENDED);
	return r;
}

static int repeat_begin(struct target_command *c)
{
	int r = begin_walk(c);

	if (r < 0)
		return r;
	fill_scratch(c);
	r = start_chunk(c, true);
	return r == STEP_ENDED ? repeat_resume(c) : r;
}

/* ---- room given back */

static int start_deallocation(struct target_command *c, uint64_t offset, uint64_t length)
{
	struct store *store = c->unit->store;

	c->busy = BUSY_WRITING;
	c->io.offset = offset;
	c->io.length = length;
	c->io.moved = 0;
	return store->ops->deallocate(store, &c->io);
}

static int deallocate_begin(struct target_command *c)
{
	return start_deallocation(c, c->at, c->span);
}

/*
 * The list in the scratch buffer was checked when it was copied there, and no other thread can
 * change it. false: that was the last one.
 */
static bool next_extent(struct target_command *c)
{
	struct target_walk *w = &c->walk;
	struct scsi_extent extent = { 0 };

	while (w->next < w->n && extent.count == 0)
		extent = scsi_unmap_descriptor(w->scratch->bytes +
					       (size_t)SCSI_UNMAP_DESCRIPTOR_BYTES * w->next++);
	w->at = extent.block * c->unit->block_bytes;
	w->left = (uint64_t)extent.count * c->unit->block_bytes;
	return w->left > 0;
}

/*
 * Cut where a granule ends, of which a part would keep its room. A store that ends later takes all
 * at once.
 */
static uint64_t deallocation_of(const struct target_command *c)
{
	uint64_t most = DEALLOCATION_TURN_BYTES - c->walk.at % DEALLOCATION_TURN_BYTES;

	return c->unit->store->needs_engine || c->walk.left < most ? c->walk.left : most;
}

static int unmap_resume(struct target_command *c)
{
	struct target_walk *w = &c->walk;
	int r = STEP_ENDED;

	while (r == STEP_ENDED && (w->left > 0 || next_extent(c))) {
		uint64_t piece = deallocation_of(c), at = w->at;

		w->at += piece;
		w->left -= piece;
		r = start_deallocation(c, at, piece);
		if (r == STEP_ENDED)
			r = take_turns(c, piece, DEALLOCATION_TURN_BYTES);
	}
	return r;
}

/* ---- the start */

struct target_work target_work_on(const struct target_command *c, const struct scsi_extent *extent,
				  uint16_t steps)
{
	return (struct target_work) { .steps = extent->count > 0 ? steps : steps & STEP_FLUSH_LAST,
				      .offset = extent->block * c->unit->block_bytes,
				      .length = (uint64_t)extent->count * c->unit->block_bytes };
}

/* Nobody is in the way of a unit that is only read, or keeps nothing. */
static void begin_order(struct target_command *c)
{
	const struct store *store = c->unit->store;

	if (store->forgetful || c->unit->read_only ||
	    !(c->steps & ~(STEP_FLUSH_LAST | STEP_PREFETCH)))
		return;
	if (store->needs_engine) {
		c->steps |= STEP_CLAIM;
	} else if (!c->device->one_thread) {
		c->inside = true;
		turnstile_enter(&c->unit->turnstile, c->exclusive);
	}
}

int target_work(struct target_command *c, const struct target_work *work)
{
	c->steps = work->steps;
	c->at = work->offset;
	c->span = work->length;
	c->skip = work->skip;
	c->writing = work->writing;
	c->exclusive = work->exclusive;
	c->claimed = c->inside = false;
	c->walk.scratch = work->scratch;
	c->walk.compare = work->compare;
	c->walk.zeros = work->zeros;
	c->walk.n = work->n_descriptors;
	c->walk.next = 0;
	c->walk.left = 0;
	c->walk.in_turn = 0;
	c->io.engine = c->engine;
	c->io.cancelled = false;
	c->io.done = step_done;
	begin_order(c);
	if (c->steps)
		return go_on(c, current_step(c)->begin(c));
	let_go(c);
	return 0;
}

static const struct step step_table[] = {
	{ claim_begin, NULL },             /* STEP_CLAIM */
	{ flush_begin, NULL },             /* STEP_FLUSH_FIRST */
	{ prefetch_begin, NULL },          /* STEP_PREFETCH */
	{ compare_begin, compare_resume }, /* STEP_COMPARE */
	{ move_begin, NULL },              /* STEP_MOVE */
	{ merge_begin, merge_resume },     /* STEP_MERGE */
	{ repeat_begin, repeat_resume },   /* STEP_REPEAT */
	{ deallocate_begin, NULL },        /* STEP_DEALLOCATE */
	{ unmap_resume, unmap_resume },    /* STEP_UNMAP */
	{ flush_begin, NULL },             /* STEP_FLUSH_LAST */
	{ compare_begin, compare_resume }, /* STEP_CHECK */
};
