/* SPDX-License-Identifier: MIT */
/*
 * disk.h: the pure parts of the disk layer: what to send for a request, and what an answer means.
 * One block per file.
 */
#ifndef DISK_DISK_H
#define DISK_DISK_H

#include "scsi/scsi.h"

#include <hbakit/disk.h>

/* ---- command.c */

enum {
	DISK_UNMAP_LIST_BYTES = 24, /* header and one descriptor (SBC-3 5.28) */
	/* of ZERO: the largest block that is made, 4 KiB with 128 bytes of its owner's */
	DISK_MAX_BLOCK_BYTES = 4224,
	/*
	 * descriptors of GET LBA STATUS: an answer that the narrowest controller can carry, 512
	 * bytes
	 */
	DISK_MOST_STATUS = 31,
};

/**
 * struct disk_range - The blocks of one command. `count` is 0 only for FLUSH, where it means all.
 */
struct disk_range {
	uint64_t block;
	uint32_t count;
};

enum { DISK_STATUS_CDB = 16 };

/**
 * disk_most_blocks() - How many one command counts, of all ops but STATUS and FLUSH, if CDBs have
 * so many bytes at most.
 */
uint32_t disk_most_blocks(enum hba_disk_op op, unsigned max_cdb);

/**
 * disk_command() - The CDB for a range, of all ops but STATUS. unmap: ZERO may be done by
 * unmapping.
 */
struct scsi_cdb disk_command(enum hba_disk_op op, uint32_t flags, struct disk_range range,
			     bool unmap, unsigned max_cdb);

/** disk_unmap_list() - The parameter list that UNMAP's CDB announces. */
void disk_unmap_list(struct disk_range range, uint8_t bytes[DISK_UNMAP_LIST_BYTES]);

/** disk_status_descriptors() - The number of descriptors that is requested. */
static inline uint32_t disk_status_descriptors(uint32_t max_extents)
{
	return max_extents < DISK_MOST_STATUS ? max_extents : DISK_MOST_STATUS;
}

/**
 * disk_status_bytes() - How long an answer with so many is. It fits where as many struct
 * hba_disk_extent do.
 */
static inline uint32_t disk_status_bytes(uint32_t descriptors)
{
	return SCSI_LBA_STATUS_HEADER_BYTES + descriptors * SCSI_LBA_STATUS_BYTES;
}

/** disk_has_data() - READ and WRITE: the caller's data go with it. */
static inline bool disk_has_data(enum hba_disk_op op)
{
	return op == HBA_DISK_READ || op == HBA_DISK_WRITE;
}

/* ---- request.c */

/**
 * disk_check() - Is this a request for that unit at all, and for its controller? What
 * hba_disk_submit() returns.
 */
int disk_check(const struct hba_disk_io *io, const struct hba_lun_info *info, unsigned max_cdb);
/** disk_fail() - Set hba_error(): the request, its unit, and the reason. Returns `error`. */
__attribute__((cold, format(printf, 3, 4))) int disk_fail(const struct hba_disk_io *io, int error,
							  const char *format, ...);
/** disk_zero_unmaps() - May that ZERO be done by unmapping? */
bool disk_zero_unmaps(const struct hba_disk_io *io, const struct hba_lun_info *info);

/* ---- status.c */

/**
 * disk_status_read() - The unit's answer about a range, from its beginning on; `most` extents at
 * most.
 *
 * Returns their number. -EPROTO: the answer does not have the range's first block. `bytes` may be
 * the memory of the extents.
 */
int disk_status_read(const struct hba_disk_io *io, uint32_t block_bytes, const uint8_t *bytes,
		     size_t length, struct hba_disk_extent *ret_extents);

/* ---- error.c */

/**
 * disk_error() - The struct hba_disk_io::error of a result. The bytes that moved are not
 * considered.
 */
int disk_error(const struct hba_result *result);

/** disk_tell() - Set hba_error() to what a request that failed ended as; returns its error. */
int disk_tell(const struct hba_disk_io *io);

/**
 * disk_too_long() - Did the unit refuse a command because of a field: perhaps of its length, which
 * a shorter one would not have?
 */
bool disk_too_long(const struct hba_result *result);

#endif
