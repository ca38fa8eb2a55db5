/* SPDX-License-Identifier: MIT */
/*
 * block.c: the plain commands of a disk (SBC-3): capacity, read, write, flush, read ahead.
 *
 * FUA_NV requires memory that outlives the power. The only such memory is the medium, so it is FUA.
 */
#include "base/base.h"
#include "base/endian.h"
#include "target/commands.h"

/* ---- READ CAPACITY (SBC-3 5.15, 5.16) */

static struct scsi_capacity capacity_of(const struct target_unit *unit)
{
	uint32_t granule = unit->store->granule,
		 per_granule = granule > unit->block_bytes ? granule / unit->block_bytes : 1;

	return (struct scsi_capacity) {
		.blocks = unit->blocks,
		.block_bytes = unit->block_bytes,
		.provisioned = unit->store->thin,
		.reads_zero = unit->store->thin,
		.physical_exponent = (uint8_t)__builtin_ctz(per_granule),
	};
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

	return target_answer(c, bytes, scsi_capacity_write_16(&capacity, bytes),
			     get_be32(c->cdb + 10));
}

/* ---- READ, WRITE (SBC-3 5.10 to 5.13, 5.36 to 5.39) */

static bool is_forced(const struct target_command *c, const struct scsi_rw *rw)
{
	return rw->fua || (rw->direction == HBA_TO_TARGET && c->unit->write_through) ||
	       (c->cdb_len > 6 && c->cdb[1] & SCSI_FUA_NV);
}

int target_read_write(struct target_command *c)
{
	struct target_work work = { 0 };
	struct scsi_rw rw;

	if (!scsi_cdb_read_rw(c->cdb, c->cdb_len, &rw))
		return target_refuse(c, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
	if (!target_check_range(c, rw.block, rw.count) || !target_check_length(c, rw.count))
		return 0;
	work.writing = rw.direction == HBA_TO_TARGET;
	work.offset = rw.block * c->unit->block_bytes;
	work.length = (uint64_t)rw.count * c->unit->block_bytes;
	if (work.writing && (!target_check_writable(c) || !target_check_data(c, work.length)))
		return 0;
	if (work.length > c->room)
		work.length = c->room; /* a READ gives what there is room for */
	if (work.length > 0)
		work.steps = STEP_MOVE;
	if (is_forced(c, &rw))
		work.steps |= work.writing ? STEP_FLUSH_LAST : STEP_FLUSH_FIRST;
	return target_work(c, &work);
}

/* ---- SYNCHRONIZE CACHE, PRE-FETCH (SBC-3 5.24, 5.25, 5.7, 5.8) */

/*
 * Count 0 is "to the end". The store flushes all of itself, which is more than required, and
 * allowed. IMMED allows an answer before the end; one after the end has more information.
 */
int target_synchronize_cache(struct target_command *c)
{
	struct target_work work = { .steps = STEP_FLUSH_LAST };
	struct scsi_extent extent;

	return target_read_extent(c, &extent) ? target_work(c, &work) : 0;
}

/*
 * CONDITION MET: all of it is, or soon will be, near. GOOD: only the beginning, there being more
 * than the cache should give up.
 */
int target_pre_fetch(struct target_command *c)
{
	struct target_work work = { 0 };
	struct scsi_extent extent;
	uint64_t count;

	if (!target_read_extent(c, &extent))
		return 0;
	count = extent.count ? extent.count : c->unit->blocks - extent.block;
	work.offset = extent.block * c->unit->block_bytes;
	work.length = count * c->unit->block_bytes;
	c->outcome = HBA_CONDITION_MET;
	if (work.length > TARGET_MOST_PREFETCH_BYTES && c->unit->store->ops->prefetch) {
		c->outcome = HBA_GOOD;
		work.length = TARGET_MOST_PREFETCH_BYTES;
	}
	if (work.length > 0)
		work.steps = STEP_PREFETCH;
	return target_work(c, &work);
}
