/* SPDX-License-Identifier: MIT */
/* command.c: ranges of blocks become CDBs. The sections named are SBC-3's. */
#include "disk/disk.h"

#include "base/endian.h"

#include <string.h>

enum { UNMAP_HEADER_BYTES = 8, UNMAP_DESCRIPTOR_BYTES = 16 };
enum { CDB_10 = 10, CDB_12 = 12, CDB_16 = 16 };

/*
 * The command with the widest fields that a controller takes. WRITE SAME has none of twelve bytes.
 */
static const struct {
	uint8_t ten, twelve, sixteen;
} opcodes[] = {
	[HBA_DISK_READ] = { SCSI_READ_10, SCSI_READ_12, SCSI_READ_16 },
	[HBA_DISK_WRITE] = { SCSI_WRITE_10, SCSI_WRITE_12, SCSI_WRITE_16 },
	[HBA_DISK_UNMAP] = { SCSI_UNMAP, SCSI_UNMAP, SCSI_UNMAP },
	[HBA_DISK_ZERO] = { SCSI_WRITE_SAME_10, SCSI_WRITE_SAME_10, SCSI_WRITE_SAME_16 },
	[HBA_DISK_VERIFY] = { SCSI_VERIFY_10, SCSI_VERIFY_12, SCSI_VERIFY_16 },
};

static uint8_t widest(enum hba_disk_op op, unsigned max_cdb)
{
	if (max_cdb >= CDB_16)
		return opcodes[op].sixteen;
	return max_cdb >= CDB_12 ? opcodes[op].twelve : opcodes[op].ten;
}

uint32_t disk_most_blocks(enum hba_disk_op op, unsigned max_cdb)
{
	/* UNMAP counts in its list. */
	return op == HBA_DISK_UNMAP || scsi_cdb_length(widest(op, max_cdb)) > CDB_10 ? UINT32_MAX
										     : UINT16_MAX;
}

/*
 * Cannot fail: the range is no longer than disk_most_blocks(), and where no CDB has 16 bytes the
 * size came from READ CAPACITY(10).
 */
static struct scsi_cdb range_command(uint8_t opcode, uint8_t flags, struct disk_range range)
{
	struct scsi_extent extent = { .block = range.block, .count = range.count };
	struct scsi_cdb cdb = { .length = 0 };

	(void)scsi_cdb_extent(opcode, flags, &extent, &cdb);
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

/* Ten bytes where they suffice: every disk supports those. Cannot fail, as above. */
static struct scsi_cdb rw_command(enum hba_direction direction, uint32_t flags,
				  struct disk_range range, unsigned size)
{
	struct scsi_rw rw = { .block = range.block,
			      .count = range.count,
			      .direction = direction,
			      .fua = flags & HBA_DISK_FUA };
	struct scsi_cdb cdb = { .length = 0 };

	if (scsi_cdb_rw(&rw, CDB_10, &cdb) < 0)
		(void)scsi_cdb_rw(&rw, size, &cdb);
	return cdb;
}

struct scsi_cdb disk_command(enum hba_disk_op op, uint32_t flags, struct disk_range range,
			     bool unmap, unsigned max_cdb)
{
	switch (op) {
	case HBA_DISK_READ:
		return rw_command(HBA_FROM_TARGET, flags, range,
				  scsi_cdb_length(widest(op, max_cdb)));
	case HBA_DISK_WRITE:
		return rw_command(HBA_TO_TARGET, flags, range,
				  scsi_cdb_length(widest(op, max_cdb)));
	case HBA_DISK_UNMAP:
		return unmap_command();
	case HBA_DISK_ZERO:
		return range_command(widest(op, max_cdb), unmap ? SCSI_WRITE_SAME_UNMAP : 0, range);
	case HBA_DISK_VERIFY:
		return range_command(widest(op, max_cdb), 0, range); /* nothing is compared */
	case HBA_DISK_STATUS:
		/* has a length of its answer, not of its range */
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
