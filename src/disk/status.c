/* SPDX-License-Identifier: MIT */
/*
 * status.c: which blocks have room of their own: the answer of GET LBA STATUS (SBC-3 5.6), which a
 * unit may make up as it likes.
 */
#include "disk/disk.h"

#include <errno.h>

static_assert(SCSI_LBA_STATUS_HEADER_BYTES + SCSI_LBA_STATUS_BYTES <=
			      sizeof(struct hba_disk_extent) &&
		      SCSI_LBA_STATUS_BYTES <= sizeof(struct hba_disk_extent),
	      "an answer fits the memory of the extents it tells");

static enum hba_disk_state state_of(uint8_t provisioning)
{
	if (provisioning == SCSI_DEALLOCATED)
		return HBA_DISK_DEALLOCATED;
	return provisioning == SCSI_ANCHORED ? HBA_DISK_ANCHORED : HBA_DISK_MAPPED;
}

/* Where a descriptor that covers `block` ends, `end` at most; `block` if it does not. */
static uint64_t covers(const struct scsi_extent *extent, uint64_t block, uint64_t end)
{
	if (extent->block > block || block - extent->block >= extent->count)
		return block;
	return end - extent->block < extent->count ? end : extent->block + extent->count;
}

int disk_status_read(const struct hba_disk_io *io, uint32_t block_bytes, const uint8_t *bytes,
		     size_t length, struct hba_disk_extent *ret_extents)
{
	uint64_t block = io->offset / block_bytes, end = block + io->length / block_bytes, next;
	struct scsi_lba_status status[DISK_MOST_STATUS];
	int n = scsi_lba_status_read(bytes, length, status,
				     disk_status_descriptors(io->max_extents)),
	    used = 0;

	for (int i = 0; i < n; i++, block = next) {
		next = covers(&status[i].extent, block, end);
		if (next == block)
			break;
		ret_extents[used++] =
			(struct hba_disk_extent) { .offset = block * block_bytes,
						   .length = (next - block) * block_bytes,
						   .state = state_of(status[i].provisioning) };
	}
	return used ? used : -EPROTO;
}
