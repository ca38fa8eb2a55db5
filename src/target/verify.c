/* SPDX-License-Identifier: MIT */
/*
 * verify.c: commands that look at the blocks: VERIFY, WRITE AND VERIFY, COMPARE AND WRITE, ORWRITE
 * (SBC-3 5.29 to 5.34, 5.40 to 5.42, 5.2, 5.4).
 *
 * A difference ends in MISCOMPARE, and INFORMATION has the offset in bytes of the first one: from
 * the start of the blocks that were verified, which is also the offset in the data if there are as
 * many.
 */
#include "base/base.h"
#include "target/commands.h"

enum { FLAGS_AT = 1, BYTCHK_HIGH_BIT = 2, HIGH_BIT = 7 };

/* BYTCHK as what to compare with; refused: 10b everywhere, 11b unless the command allows for it. */
static bool read_bytchk(struct target_command *c, bool may_be_one, uint8_t *ret_compare)
{
	switch (c->cdb[FLAGS_AT] & SCSI_BYTCHK) {
	case 0:
		*ret_compare = COMPARE_NOTHING;
		return true;
	case SCSI_BYTCHK_COMPARE:
		*ret_compare = COMPARE_DATA;
		return true;
	case SCSI_BYTCHK_ONE:
		*ret_compare = COMPARE_ONE_BLOCK;
		if (may_be_one)
			return true;
	}
	target_refuse_field(c, FLAGS_AT, BYTCHK_HIGH_BIT);
	return false;
}

static uint64_t data_to_verify(const struct target_command *c, uint8_t compare, uint32_t count)
{
	if (compare == COMPARE_NOTHING || count == 0)
		return 0;
	return (uint64_t)(compare == COMPARE_ONE_BLOCK ? 1 : count) * c->unit->block_bytes;
}

int target_verify(struct target_command *c)
{
	struct scsi_extent extent;
	struct target_work work;
	uint8_t compare;
	uint64_t data;

	if (!read_bytchk(c, true, &compare) || !target_read_extent(c, &extent) ||
	    !target_check_length(c, extent.count))
		return 0;
	data = data_to_verify(c, compare, extent.count);
	if (!target_check_data(c, data))
		return 0;
	c->bytes = data;
	work = target_work_on(c, &extent, STEP_CHECK);
	work.compare = compare;
	return target_work(c, &work);
}

/* Flushed before it is read again: what is verified has been written. */
int target_write_and_verify(struct target_command *c)
{
	struct scsi_extent extent;
	struct target_work work;
	uint8_t compare;

	if (!read_bytchk(c, false, &compare) || !target_read_extent(c, &extent) ||
	    !target_check_length(c, extent.count))
		return 0;
	work = target_work_on(c, &extent, STEP_MOVE | STEP_FLUSH_LAST | STEP_CHECK);
	if (!target_check_writable(c) || !target_check_data(c, work.length))
		return 0;
	work.writing = true;
	work.compare = compare;
	return target_work(c, &work);
}

static uint16_t flush_if_forced(const struct target_command *c)
{
	return c->unit->write_through || c->cdb[FLAGS_AT] & (SCSI_FUA | SCSI_FUA_NV)
		       ? STEP_FLUSH_LAST
		       : 0;
}

/* The data are two halves of as many blocks: what has to be there, and what to put in its place. */
int target_compare_and_write(struct target_command *c)
{
	struct scsi_extent extent;
	struct target_work work;

	if (!target_read_extent(c, &extent) || !target_check_length(c, extent.count) ||
	    !target_check_writable(c))
		return 0;
	work = target_work_on(c, &extent, STEP_COMPARE | STEP_MOVE | flush_if_forced(c));
	if (!target_check_data(c, 2 * work.length))
		return 0;
	work.writing = work.exclusive = true;
	work.compare = COMPARE_DATA;
	work.skip = work.length;
	c->bytes = work.length;
	return target_work(c, &work);
}

int target_orwrite(struct target_command *c)
{
	struct scsi_extent extent;
	struct target_work work;

	if (!target_read_extent(c, &extent) || !target_check_length(c, extent.count) ||
	    !target_check_writable(c))
		return 0;
	work = target_work_on(c, &extent, STEP_MERGE | flush_if_forced(c));
	if (!target_check_data(c, work.length))
		return 0;
	work.exclusive = true;
	c->bytes = work.length;
	return target_work(c, &work);
}
