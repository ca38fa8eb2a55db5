/* SPDX-License-Identifier: MIT */
/*
 * vpd.c: the VPD pages with a unit's limits and preferences (SPC-4 7.8.7, SBC-3 6.6). The handlers
 * keep them.
 */
#include "base/base.h"
#include "target/commands.h"

size_t target_vpd_extended(const struct target_unit *unit, uint8_t bytes[SCSI_VPD_MAX])
{
	struct scsi_extended_inquiry extended = { .simple = true,
						  .ordered = true,
						  .head_of_queue = true,
						  .volatile_cache = unit->store->ops->flush };

	return scsi_vpd_write_extended(&extended, bytes);
}

/* No atomic writes beyond COMPARE AND WRITE and ORWRITE: those fields are zero. */
size_t target_vpd_limits(const struct target_unit *unit, uint8_t bytes[SCSI_VPD_MAX])
{
	uint32_t block = unit->block_bytes,
		 granule = unit->store->granule > block ? unit->store->granule / block : 1;
	uint32_t best = TARGET_BEST_TRANSFER_BYTES / block, most = unit->max_transfer;
	struct scsi_block_limits limits = {
		.max_compare_and_write = TARGET_MOST_COMPARE_AND_WRITE,
		.optimal_granularity = (uint16_t)granule,
		.max_transfer = most,
		.optimal_transfer = most && most < best ? most : best,
		.max_write_same = TARGET_MOST_WRITE_SAME_BYTES / block,
	};

	if (most && most < limits.max_compare_and_write)
		limits.max_compare_and_write = (uint8_t)most;
	if (unit->store->thin) {
		limits.max_unmap_blocks = TARGET_MOST_UNMAP_BLOCKS;
		limits.max_unmap_descriptors = TARGET_MOST_UNMAP_DESCRIPTORS;
		limits.unmap_granularity = granule;
		/* of zero: the first granule begins with the first block */
		limits.has_unmap_alignment = true;
	}
	return scsi_vpd_write_limits(&limits, bytes);
}

size_t target_vpd_characteristics(const struct target_unit *unit, uint8_t bytes[SCSI_VPD_MAX])
{
	(void)unit;
	return scsi_vpd_write_characteristics(SCSI_NON_ROTATING, bytes);
}

size_t target_vpd_provisioning(const struct target_unit *unit, uint8_t bytes[SCSI_VPD_MAX])
{
	bool thin = unit->store->thin;
	struct scsi_provisioning provisioning = {
		.unmap = thin,
		.write_same_16 = thin,
		.write_same_10 = thin,
		.reads_zero = thin,
		.type = thin ? SCSI_THIN_PROVISIONED : SCSI_FULLY_PROVISIONED,
	};

	return scsi_vpd_write_provisioning(&provisioning, bytes);
}
