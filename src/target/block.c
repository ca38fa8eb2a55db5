/* SPDX-License-Identifier: MIT */
/*
 * block.c: the commands of a disk (SBC-3): how large are you, read, write, flush.
 *
 * A transfer is up to three steps, each of which a store may end at once or later:
 *
 *	FLUSH_FIRST (a READ with FUA) ─> MOVE ─> FLUSH_LAST (a WRITE with FUA; SYNCHRONIZE CACHE has this one alone)
 */
#include "base/base.h"
#include "base/endian.h"
#include "target/commands.h"

#include <errno.h>

enum step { FLUSH_FIRST = 1, MOVE = 2, FLUSH_LAST = 4 };

/* ---- READ CAPACITY (SBC-3 5.15, 5.16) --------------------------------------------------------------------------------- */

static struct scsi_capacity capacity_of(const struct target_unit *unit)
{
	return (struct scsi_capacity) { .blocks = unit->blocks, .block_bytes = unit->block_bytes };
}

int target_read_capacity_10(struct target_command *c)
{
	struct scsi_capacity capacity = capacity_of(c->unit);
	uint8_t bytes[8];

	return target_answer(c, bytes, scsi_capacity_write_10(&capacity, bytes), sizeof(bytes));
}

int target_read_capacity_16(struct target_command *c)
{
	struct scsi_capacity capacity = capacity_of(c->unit);
	uint8_t bytes[32];

	return target_answer(c, bytes, scsi_capacity_write_16(&capacity, bytes), get_be32(c->cdb + 10));
}

/* ---- the steps of a transfer ------------------------------------------------------------------------------------------ */

/* The lowest bit is the step that runs. */
static bool is_moving(const struct target_command *c)
{
	return (c->steps & MOVE) && !(c->steps & FLUSH_FIRST);
}

/* MEDIUM ERROR names the first block that did not move: initiators retry, or give up, from there. */
static void fail_medium(struct target_command *c, uint16_t asc, bool located)
{
	target_check(c, &(struct scsi_sense) { .key = SCSI_MEDIUM_ERROR,
					       .asc = asc,
					       .has_information = located,
					       .information = (c->io.offset + c->io.moved) / c->unit->block_bytes });
}

static void fail_step(struct target_command *c, int error)
{
	bool moving = is_moving(c);

	switch (-error) {
	case ECANCELED:
		c->outcome = HBA_TASK_ABORTED;
		break;
	case EAGAIN:
	case ENOMEM:
		c->outcome = HBA_BUSY;
		break;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		target_refuse(c, SCSI_DATA_PROTECT, SCSI_ASC_SPACE_ALLOCATION_FAILED);
		break;
	default:
		fail_medium(c, moving && !c->writing ? SCSI_ASC_UNRECOVERED_READ_ERROR : SCSI_ASC_WRITE_ERROR, moving);
	}
}

static int start_step(struct target_command *c)
{
	struct store *store = c->unit->store;

	if (!is_moving(c))
		return store->ops->flush ? store->ops->flush(store, &c->io) : 0;
	return c->writing ? store->ops->write(store, &c->io) : store->ops->read(store, &c->io);
}

/* 0: the command has ended; 1: it goes on later. */
static int run_steps(struct target_command *c)
{
	int r = 0;

	for (; c->steps && r == 0; c->steps &= (uint8_t)(c->steps - 1)) {
		r = start_step(c);
		if (r > 0)
			return 1;
		if (r < 0)
			break;
	}
	c->bytes = c->io.moved;
	if (r < 0)
		fail_step(c, r);
	return 0;
}

static void step_done(struct store_io *io, int error)
{
	struct target_command *c = container_of(io, struct target_command, io);

	if (error < 0) {
		c->bytes = io->moved;
		fail_step(c, error);
		target_end(c);
		return;
	}
	c->steps &= (uint8_t)(c->steps - 1);
	if (run_steps(c) == 0)
		target_end(c);
}

static int start_steps(struct target_command *c, uint8_t steps, uint64_t offset, uint64_t length)
{
	c->steps = steps;
	c->io.engine = c->engine;
	c->io.data = (struct cursor) { .iov = c->iov, .n = c->n_iov };
	c->io.offset = offset;
	c->io.length = length;
	c->io.moved = 0;
	c->io.done = step_done;
	return run_steps(c);
}

/* ---- READ, WRITE, SYNCHRONIZE CACHE ----------------------------------------------------------------------------------- */

static bool out_of_range(const struct target_unit *unit, uint64_t block, uint64_t count)
{
	return block > unit->blocks || count > unit->blocks - block;
}

static int refuse_range(struct target_command *c, uint64_t block)
{
	return target_check(c, &(struct scsi_sense) { .key = SCSI_ILLEGAL_REQUEST,
						      .asc = SCSI_ASC_LBA_OUT_OF_RANGE,
						      .has_information = true,
						      .information = block > c->unit->blocks ? block : c->unit->blocks });
}

static uint8_t steps_for(const struct scsi_rw *rw, uint64_t length, bool write_through)
{
	uint8_t steps = length > 0 ? MOVE : 0;

	if (!rw->fua && !(rw->direction == HBA_TO_TARGET && write_through))
		return steps;
	return steps | (rw->direction == HBA_TO_TARGET ? FLUSH_LAST : FLUSH_FIRST);
}

static uint16_t transfer_length_byte(uint8_t opcode)
{
	switch (scsi_cdb_length(opcode)) {
	case 6:
		return 4;
	case 10:
		return 7;
	case 12:
		return 6;
	default:
		return 10;
	}
}

int target_read_write(struct target_command *c)
{
	struct scsi_rw rw;
	uint64_t length;

	if (!scsi_cdb_read_rw(c->cdb, c->cdb_len, &rw))
		return target_refuse(c, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
	if (out_of_range(c->unit, rw.block, rw.count))
		return refuse_range(c, rw.block);
	c->writing = rw.direction == HBA_TO_TARGET;
	if (c->writing && c->unit->read_only)
		return target_refuse(c, SCSI_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED);
	length = (uint64_t)rw.count * c->unit->block_bytes;
	if (length > c->room) {
		/* A READ gives what there is room for. A WRITE of blocks that nobody sent would be a hole in somebody's file. */
		if (c->writing)
			return target_refuse_field(c, transfer_length_byte(c->cdb[0]), 7);
		length = c->room;
	}
	return start_steps(c, steps_for(&rw, length, c->unit->write_through), rw.block * c->unit->block_bytes, length);
}

/* Count 0 is "to the end". The store flushes all of itself, which is more than was asked, and allowed. */
static int synchronize_cache(struct target_command *c, uint64_t block, uint64_t count)
{
	if (out_of_range(c->unit, block, count))
		return refuse_range(c, block);
	c->writing = true;
	return start_steps(c, FLUSH_LAST, 0, 0);
}

int target_synchronize_cache_10(struct target_command *c)
{
	return synchronize_cache(c, get_be32(c->cdb + 2), get_be16(c->cdb + 7));
}

int target_synchronize_cache_16(struct target_command *c)
{
	return synchronize_cache(c, get_be64(c->cdb + 2), get_be32(c->cdb + 10));
}
