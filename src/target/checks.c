/* SPDX-License-Identifier: MIT */
/*
 * checks.c: what block commands have in common before they begin (SBC-3 4.5, 4.12, 6.6.4).
 *
 * A count of zero is never an error by itself, also right behind the last block; beyond that its
 * block is out of range.
 */
#include "target/commands.h"

enum { HIGH_BIT = 7 };

bool target_check_range(struct target_command *c, uint64_t block, uint64_t count)
{
	uint64_t blocks = c->unit->blocks;

	if (block <= blocks && count <= blocks - block)
		return true;
	target_check(c, &(struct scsi_sense) { .key = SCSI_ILLEGAL_REQUEST,
					       .asc = SCSI_ASC_LBA_OUT_OF_RANGE,
					       .has_information = true,
					       .information = block > blocks ? block : blocks });
	return false;
}

bool target_check_length(struct target_command *c, uint32_t count)
{
	if (c->unit->max_transfer == 0 || count <= c->unit->max_transfer)
		return true;
	target_refuse_field(c, (uint16_t)scsi_cdb_count_at(c->cdb[0]), HIGH_BIT);
	return false;
}

bool target_check_writable(struct target_command *c)
{
	if (!c->unit->read_only)
		return true;
	target_refuse(c, SCSI_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED);
	return false;
}

/* A WRITE of blocks without data would be a hole in a file. */
bool target_check_data(struct target_command *c, uint64_t bytes)
{
	if (bytes > c->room)
		target_refuse_field(c, (uint16_t)scsi_cdb_count_at(c->cdb[0]), HIGH_BIT);
	return bytes <= c->room;
}

bool target_read_extent(struct target_command *c, struct scsi_extent *ret_extent)
{
	if (!scsi_cdb_read_extent(c->cdb, c->cdb_len, ret_extent)) {
		target_refuse(c, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
		return false;
	}
	return target_check_range(c, ret_extent->block, ret_extent->count);
}
