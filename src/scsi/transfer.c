/* SPDX-License-Identifier: MIT */
/*
 * transfer.c: how many bytes a CDB lets move at most: the allocation length, parameter list length or transfer length in it (SPC-4
 * 4.3.5, SBC-3 5). Commands whose data are counted in other units, or whose length depends on more than the CDB, are left out.
 */
#include "base/base.h"
#include "base/endian.h"
#include "scsi/scsi.h"

enum { PROTECT_AT = 1, PROTECT_MASK = 0xe0 };

static const struct length_field {
	uint8_t opcode, at, bytes;
} fields[] = {
	{ SCSI_REQUEST_SENSE, 4, 1 },
	{ SCSI_INQUIRY, 3, 2 },
	{ SCSI_MODE_SELECT_6, 4, 1 },
	{ SCSI_MODE_SENSE_6, 4, 1 },
	{ SCSI_RECEIVE_DIAGNOSTIC_RESULTS, 3, 2 },
	{ SCSI_SEND_DIAGNOSTIC, 3, 2 },
	{ SCSI_UNMAP, 7, 2 },
	{ SCSI_LOG_SENSE, 7, 2 },
	{ SCSI_MODE_SELECT_10, 7, 2 },
	{ SCSI_MODE_SENSE_10, 7, 2 },
	{ SCSI_PERSISTENT_RESERVE_IN, 7, 2 },
	{ SCSI_PERSISTENT_RESERVE_OUT, 5, 4 },
	{ SCSI_SERVICE_ACTION_IN_16, 10, 4 },
	{ SCSI_REPORT_LUNS, 6, 4 },
	{ SCSI_MAINTENANCE_IN, 6, 4 },
};

static const struct length_field *field_of(uint8_t opcode)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].opcode == opcode)
			return &fields[i];
	return NULL;
}

static uint32_t get_field(const struct length_field *f, const uint8_t *cdb)
{
	const uint8_t *p = cdb + f->at;

	if (f->bytes == 1)
		return *p;
	return f->bytes == 2 ? get_be16(p) : get_be32(p);
}

static bool is_write_and_verify(uint8_t opcode)
{
	return opcode == SCSI_WRITE_AND_VERIFY_10 || opcode == SCSI_WRITE_AND_VERIFY_12 || opcode == SCSI_WRITE_AND_VERIFY_16;
}

bool scsi_cdb_transfer(const uint8_t *cdb, size_t length, uint32_t block_bytes, uint64_t *ret_bytes)
{
	const struct length_field *f = length ? field_of(cdb[0]) : NULL;
	struct scsi_extent extent;

	if (f && length >= scsi_cdb_length(f->opcode)) {
		*ret_bytes = get_field(f, cdb);
		return true;
	}
	/* With protection information a block is longer than the blocks of the medium. */
	if (!block_bytes || !scsi_cdb_read_extent(cdb, length, &extent) || !is_write_and_verify(cdb[0]) ||
	    (cdb[PROTECT_AT] & PROTECT_MASK))
		return false;
	*ret_bytes = (uint64_t)extent.count * block_bytes;
	return true;
}
