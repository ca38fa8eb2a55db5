/* SPDX-License-Identifier: MIT */
/* capacity.c: the answers of READ CAPACITY(10) and (16), read and written (SBC-3 5.15, 5.16). */
#include "base/base.h"
#include "base/endian.h"
#include "scsi/scsi.h"

#include <errno.h>
#include <string.h>

enum {
	LAST_BLOCK = 0,
	BLOCK_BYTES_10 = 4,
	BYTES_10 = 8,

	BLOCK_BYTES_16 = 8,
	PROTECTION = 12,
	PROT_EN = 0x01,
	EXPONENTS = 13,
	PHYSICAL_EXPONENT = 0x0f,
	PROVISIONING = 14, /* two bytes: two flags, then the lowest aligned block */
	LBPME = 0x8000,
	LBPRZ = 0x4000,
	LOWEST_ALIGNED = 0x3fff,
	BYTES_16 = 32,
	OLD_BYTES_16 = 12, /* devices older than SBC-3 end after the block's length */
};

int scsi_capacity_read_10(const uint8_t *bytes, size_t length, struct scsi_capacity *ret_capacity)
{
	struct scsi_capacity capacity = { 0 };
	uint32_t last;

	if (length < BYTES_10)
		return -EPROTO;
	last = get_be32(bytes + LAST_BLOCK);
	capacity.blocks = (uint64_t)last + 1;
	capacity.block_bytes = get_be32(bytes + BLOCK_BYTES_10);
	capacity.needs_16 = last == UINT32_MAX;
	if (capacity.block_bytes == 0)
		return -EPROTO;
	*ret_capacity = capacity;
	return 0;
}

int scsi_capacity_read_16(const uint8_t *bytes, size_t length, struct scsi_capacity *ret_capacity)
{
	uint8_t all[BYTES_16] = { 0 };
	struct scsi_capacity capacity = { 0 };
	uint16_t provisioning;

	if (length < OLD_BYTES_16)
		return -EPROTO;
	memcpy(all, bytes, length < BYTES_16 ? length : BYTES_16);
	provisioning = get_be16(all + PROVISIONING);
	capacity.blocks = get_be64(all + LAST_BLOCK) + 1;
	capacity.block_bytes = get_be32(all + BLOCK_BYTES_16);
	capacity.protection = all[PROTECTION] & PROT_EN;
	capacity.physical_exponent = all[EXPONENTS] & PHYSICAL_EXPONENT;
	capacity.provisioned = provisioning & LBPME;
	capacity.reads_zero = provisioning & LBPRZ;
	capacity.lowest_aligned = provisioning & LOWEST_ALIGNED;
	/* A last block of all ones has no number of blocks: the sum has wrapped. */
	if (capacity.blocks == 0 || capacity.block_bytes == 0)
		return -EPROTO;
	*ret_capacity = capacity;
	return 0;
}

size_t scsi_capacity_write_10(const struct scsi_capacity *capacity, uint8_t bytes[8])
{
	uint64_t last = capacity->blocks - 1;

	put_be32(bytes + LAST_BLOCK, last < UINT32_MAX ? (uint32_t)last : UINT32_MAX);
	put_be32(bytes + BLOCK_BYTES_10, capacity->block_bytes);
	return BYTES_10;
}

size_t scsi_capacity_write_16(const struct scsi_capacity *capacity, uint8_t bytes[32])
{
	unsigned flags = (capacity->provisioned ? LBPME : 0U) | (capacity->reads_zero ? LBPRZ : 0U);

	memset(bytes, 0, BYTES_16);
	put_be64(bytes + LAST_BLOCK, capacity->blocks - 1);
	put_be32(bytes + BLOCK_BYTES_16, capacity->block_bytes);
	bytes[PROTECTION] = capacity->protection ? PROT_EN : 0;
	bytes[EXPONENTS] = capacity->physical_exponent & PHYSICAL_EXPONENT;
	put_be16(bytes + PROVISIONING,
		 (uint16_t)(flags | (capacity->lowest_aligned & LOWEST_ALIGNED)));
	return BYTES_16;
}
