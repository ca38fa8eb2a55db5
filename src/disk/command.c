/* SPDX-License-Identifier: MIT */
/* command.c: ranges of blocks become CDBs. The sections named are SBC-3's. */
#include "disk/disk.h"

#include "base/endian.h"

#include <string.h>

/* 5.48, 5.31: both lie alike, but for the two flags of byte 1. */
enum { WRITE_SAME_UNMAP = 0x08, VERIFY_NO_COMPARE = 0x00 };

enum { UNMAP_HEADER_BYTES = 8, UNMAP_DESCRIPTOR_BYTES = 16 };

static struct scsi_cdb long_command(uint8_t opcode, uint8_t byte1, struct disk_range range)
{
	struct scsi_cdb cdb = { .length = 16 };

	cdb.bytes[0] = opcode;
	cdb.bytes[1] = byte1;
	put_be64(&cdb.bytes[2], range.block);
	put_be32(&cdb.bytes[10], range.count);
	return cdb;
}

/* 5.28 */
static struct scsi_cdb unmap_command(void)
{
	struct scsi_cdb cdb = { .length = 10 };

	cdb.bytes[0] = SCSI_UNMAP;
	put_be16(&cdb.bytes[7], DISK_UNMAP_LIST_BYTES);
	return cdb;
}

static struct scsi_cdb rw_command(enum hba_direction direction, uint32_t flags, struct disk_range range)
{
	struct scsi_rw rw = { .block = range.block, .count = range.count, .direction = direction, .fua = flags & HBA_DISK_FUA };
	struct scsi_cdb cdb = { .length = 0 };

	/* Cannot fail: sixteen bytes hold every block and every count. */
	(void)scsi_cdb_rw(&rw, 0, &cdb);
	return cdb;
}

struct scsi_cdb disk_command(enum hba_disk_op op, uint32_t flags, struct disk_range range, bool unmap)
{
	switch (op) {
	case HBA_DISK_READ:
		return rw_command(HBA_FROM_TARGET, flags, range);
	case HBA_DISK_WRITE:
		return rw_command(HBA_TO_TARGET, flags, range);
	case HBA_DISK_UNMAP:
		return unmap_command();
	case HBA_DISK_ZERO:
		return long_command(SCSI_WRITE_SAME_16, unmap ? WRITE_SAME_UNMAP : 0, range);
	case HBA_DISK_VERIFY:
		return long_command(SCSI_VERIFY_16, VERIFY_NO_COMPARE, range);
	case HBA_DISK_STATUS: /* has a length of its answer, not of its range */
	case HBA_DISK_FLUSH:
		break;
	}
	return scsi_cdb_synchronize_cache_10(0, 0); /* from block 0, to the end */
}

void disk_unmap_list(struct disk_range range, uint8_t bytes[DISK_UNMAP_LIST_BYTES])
{
	memset(bytes, 0, DISK_UNMAP_LIST_BYTES);
	put_be16(&bytes[0], DISK_UNMAP_LIST_BYTES - 2); /* what follows the length itself */
	put_be16(&bytes[2], UNMAP_DESCRIPTOR_BYTES);
	put_be64(&bytes[UNMAP_HEADER_BYTES], range.block);
	put_be32(&bytes[UNMAP_HEADER_BYTES + 8], range.count);
}
