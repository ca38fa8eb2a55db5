/* SPDX-License-Identifier: MIT */
/*
 * transfer.c: which way an opcode's data go, and how many bytes a CDB lets move at most: the
 * allocation length, parameter list length or transfer length in it (SPC-4 4.3.5, SBC-3 5).
 * Commands whose data are counted in other units, or whose length depends on more than the CDB, are
 * left out.
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

/*
 * SPC-4 annex E, SBC-3 table 13, MMC-6. Left out: the vendors' own, those whose service action or
 * parameters decide, and those that go one way for a disk and the other way for another kind of
 * device: 42h UNMAP and READ SUB-CHANNEL, A3h MAINTENANCE IN and SEND KEY, A4h MAINTENANCE OUT and
 * REPORT KEY, B5h SECURITY PROTOCOL OUT and REQUEST VOLUME ELEMENT ADDRESS.
 */
static const uint8_t directions[UINT8_MAX + 1] = {
	[SCSI_REQUEST_SENSE] = HBA_FROM_TARGET,
	[0x04] = HBA_TO_TARGET /* FORMAT UNIT */,
	[0x05] = HBA_FROM_TARGET /* READ BLOCK LIMITS */,
	[0x07] = HBA_TO_TARGET /* REASSIGN BLOCKS */,
	[SCSI_READ_6] = HBA_FROM_TARGET,
	[SCSI_WRITE_6] = HBA_TO_TARGET,
	[SCSI_INQUIRY] = HBA_FROM_TARGET,
	[SCSI_MODE_SELECT_6] = HBA_TO_TARGET,
	[SCSI_MODE_SENSE_6] = HBA_FROM_TARGET,
	[SCSI_RECEIVE_DIAGNOSTIC_RESULTS] = HBA_FROM_TARGET,
	[SCSI_SEND_DIAGNOSTIC] = HBA_TO_TARGET,
	[0x23] = HBA_FROM_TARGET /* READ FORMAT CAPACITIES */,
	[SCSI_READ_CAPACITY_10] = HBA_FROM_TARGET,
	[SCSI_READ_10] = HBA_FROM_TARGET,
	[SCSI_WRITE_10] = HBA_TO_TARGET,
	[SCSI_WRITE_AND_VERIFY_10] = HBA_TO_TARGET,
	[SCSI_VERIFY_10] = HBA_TO_TARGET,
	[0x37] = HBA_FROM_TARGET /* READ DEFECT DATA(10) */,
	[0x3b] = HBA_TO_TARGET /* WRITE BUFFER */,
	[0x3c] = HBA_FROM_TARGET /* READ BUFFER(10) */,
	[0x3e] = HBA_FROM_TARGET /* READ LONG(10) */,
	[0x3f] = HBA_TO_TARGET /* WRITE LONG(10) */,
	[SCSI_WRITE_SAME_10] = HBA_TO_TARGET,
	[0x43] = HBA_FROM_TARGET /* READ TOC/PMA/ATIP */,
	[0x46] = HBA_FROM_TARGET /* GET CONFIGURATION */,
	[0x4a] = HBA_FROM_TARGET /* GET EVENT STATUS NOTIFICATION */,
	[0x4c] = HBA_TO_TARGET /* LOG SELECT */,
	[SCSI_LOG_SENSE] = HBA_FROM_TARGET,
	[SCSI_MODE_SELECT_10] = HBA_TO_TARGET,
	[SCSI_MODE_SENSE_10] = HBA_FROM_TARGET,
	[SCSI_PERSISTENT_RESERVE_IN] = HBA_FROM_TARGET,
	[SCSI_PERSISTENT_RESERVE_OUT] = HBA_TO_TARGET,
	[SCSI_READ_16] = HBA_FROM_TARGET,
	[SCSI_COMPARE_AND_WRITE] = HBA_TO_TARGET,
	[SCSI_WRITE_16] = HBA_TO_TARGET,
	[SCSI_ORWRITE_16] = HBA_TO_TARGET,
	[SCSI_WRITE_AND_VERIFY_16] = HBA_TO_TARGET,
	[SCSI_VERIFY_16] = HBA_TO_TARGET,
	[SCSI_WRITE_SAME_16] = HBA_TO_TARGET,
	[0x9b] = HBA_FROM_TARGET /* READ BUFFER(16) */,
	[SCSI_REPORT_LUNS] = HBA_FROM_TARGET,
	[0xa2] = HBA_FROM_TARGET /* SECURITY PROTOCOL IN */,
	[SCSI_READ_12] = HBA_FROM_TARGET,
	[SCSI_WRITE_12] = HBA_TO_TARGET,
	[SCSI_WRITE_AND_VERIFY_12] = HBA_TO_TARGET,
	[SCSI_VERIFY_12] = HBA_TO_TARGET,
	[0xb7] = HBA_FROM_TARGET /* READ DEFECT DATA(12) */,
};

enum hba_direction scsi_cdb_direction(uint8_t opcode)
{
	return (enum hba_direction)directions[opcode];
}

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
	return opcode == SCSI_WRITE_AND_VERIFY_10 || opcode == SCSI_WRITE_AND_VERIFY_12 ||
	       opcode == SCSI_WRITE_AND_VERIFY_16;
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
	if (!block_bytes || !scsi_cdb_read_extent(cdb, length, &extent) ||
	    !is_write_and_verify(cdb[0]) || (cdb[PROTECT_AT] & PROTECT_MASK))
		return false;
	*ret_bytes = (uint64_t)extent.count * block_bytes;
	return true;
}
