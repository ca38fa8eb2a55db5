/* SPDX-License-Identifier: MIT */
/*
 * limits.c: the VPD pages in which a disk says how it wants to be used: extended INQUIRY (SPC-4
 * 7.8.7), block limits, block device characteristics and logical block provisioning (SBC-3 6.6.4,
 * 6.6.2, 6.6.5). Written and read.
 */
#include "base/base.h"
#include "base/endian.h"
#include "scsi/scsi.h"

#include <errno.h>
#include <string.h>

enum { VPD_HEADER = 4, VPD_PAGE = 1, VPD_LENGTH = 2 };
enum { LONG_PAGE = 64, PROVISIONING_PAGE = 8, OLD_LIMITS_PAGE = 16 };

/* The whole page, zero but for its header: `page` of type 0, qualifier 0. Returns its length. */
static size_t begin_page(uint8_t page, size_t whole, uint8_t *bytes)
{
	memset(bytes, 0, whole);
	bytes[0] = SCSI_TYPE_DISK;
	bytes[VPD_PAGE] = page;
	put_be16(bytes + VPD_LENGTH, (uint16_t)(whole - VPD_HEADER));
	return whole;
}

size_t scsi_vpd_write_extended(const struct scsi_extended_inquiry *x, uint8_t bytes[SCSI_VPD_MAX])
{
	enum { TASKS = 5, HEADSUP = 0x04, ORDSUP = 0x02, SIMPSUP = 0x01 };
	enum { CACHES = 6, NV_SUP = 0x02, V_SUP = 0x01 };
	size_t n = begin_page(SCSI_VPD_EXTENDED_INQUIRY, LONG_PAGE, bytes);

	bytes[TASKS] = (uint8_t)((x->head_of_queue ? HEADSUP : 0) | (x->ordered ? ORDSUP : 0) |
				 (x->simple ? SIMPSUP : 0));
	bytes[CACHES] =
		(uint8_t)((x->nonvolatile_cache ? NV_SUP : 0) | (x->volatile_cache ? V_SUP : 0));
	return n;
}

/* Where block limits keep what. */
enum {
	LIMITS_FLAGS = 4,
	WSNZ = 0x01,
	MAX_COMPARE_AND_WRITE = 5,
	OPTIMAL_GRANULARITY = 6,
	MAX_TRANSFER = 8,
	OPTIMAL_TRANSFER = 12,
	MAX_PREFETCH = 16,
	MAX_UNMAP_BLOCKS = 20,
	MAX_UNMAP_DESCRIPTORS = 24,
	UNMAP_GRANULARITY = 28,
	UNMAP_ALIGNMENT = 32,
	MAX_WRITE_SAME = 36,
};
#define UGAVALID UINT32_C(0x80000000)

size_t scsi_vpd_write_limits(const struct scsi_block_limits *l, uint8_t bytes[SCSI_VPD_MAX])
{
	size_t n = begin_page(SCSI_VPD_BLOCK_LIMITS, LONG_PAGE, bytes);

	bytes[LIMITS_FLAGS] = l->write_same_nonzero ? WSNZ : 0;
	bytes[MAX_COMPARE_AND_WRITE] = l->max_compare_and_write;
	put_be16(bytes + OPTIMAL_GRANULARITY, l->optimal_granularity);
	put_be32(bytes + MAX_TRANSFER, l->max_transfer);
	put_be32(bytes + OPTIMAL_TRANSFER, l->optimal_transfer);
	put_be32(bytes + MAX_PREFETCH, l->max_prefetch);
	put_be32(bytes + MAX_UNMAP_BLOCKS, l->max_unmap_blocks);
	put_be32(bytes + MAX_UNMAP_DESCRIPTORS, l->max_unmap_descriptors);
	put_be32(bytes + UNMAP_GRANULARITY, l->unmap_granularity);
	put_be32(bytes + UNMAP_ALIGNMENT,
		 l->has_unmap_alignment ? (l->unmap_alignment & ~UGAVALID) | UGAVALID : 0);
	put_be64(bytes + MAX_WRITE_SAME, l->max_write_same);
	return n;
}

int scsi_vpd_read_limits(const uint8_t *bytes, size_t length, struct scsi_block_limits *ret_limits)
{
	uint8_t all[LONG_PAGE] = { 0 };
	int whole = scsi_vpd_check(bytes, length, SCSI_VPD_BLOCK_LIMITS);
	uint32_t alignment;

	if (whole < 0)
		return whole;
	if (whole < OLD_LIMITS_PAGE)
		return -EPROTO;
	/* SBC-2's page is shorter: what it does not have reads as zero, which is "not said". */
	memcpy(all, bytes, whole < LONG_PAGE ? (size_t)whole : LONG_PAGE);
	alignment = get_be32(all + UNMAP_ALIGNMENT);
	*ret_limits = (struct scsi_block_limits) {
		.write_same_nonzero = all[LIMITS_FLAGS] & WSNZ,
		.max_compare_and_write = all[MAX_COMPARE_AND_WRITE],
		.optimal_granularity = get_be16(all + OPTIMAL_GRANULARITY),
		.max_transfer = get_be32(all + MAX_TRANSFER),
		.optimal_transfer = get_be32(all + OPTIMAL_TRANSFER),
		.max_prefetch = get_be32(all + MAX_PREFETCH),
		.max_unmap_blocks = get_be32(all + MAX_UNMAP_BLOCKS),
		.max_unmap_descriptors = get_be32(all + MAX_UNMAP_DESCRIPTORS),
		.unmap_granularity = get_be32(all + UNMAP_GRANULARITY),
		.has_unmap_alignment = alignment & UGAVALID,
		.unmap_alignment = alignment & UGAVALID ? alignment & ~UGAVALID : 0,
		.max_write_same = get_be64(all + MAX_WRITE_SAME),
	};
	return 0;
}

size_t scsi_vpd_write_characteristics(uint16_t rotation, uint8_t bytes[SCSI_VPD_MAX])
{
	size_t n = begin_page(SCSI_VPD_BLOCK_CHARACTERISTICS, LONG_PAGE, bytes);

	put_be16(bytes + VPD_HEADER, rotation);
	return n;
}

enum {
	LBP_FLAGS = 5,
	LBPU = 0x80,
	LBPWS = 0x40,
	LBPWS10 = 0x20,
	LBPRZ = 0x04,
	LBP_TYPE = 6,
	TYPE_MASK = 0x07
};

size_t scsi_vpd_write_provisioning(const struct scsi_provisioning *p, uint8_t bytes[SCSI_VPD_MAX])
{
	size_t n = begin_page(SCSI_VPD_LOGICAL_BLOCK_PROVISIONING, PROVISIONING_PAGE, bytes);

	bytes[LBP_FLAGS] =
		(uint8_t)((p->unmap ? LBPU : 0) | (p->write_same_16 ? LBPWS : 0) |
			  (p->write_same_10 ? LBPWS10 : 0) | (p->reads_zero ? LBPRZ : 0));
	bytes[LBP_TYPE] = p->type & TYPE_MASK;
	return n;
}

int scsi_vpd_read_provisioning(const uint8_t *bytes, size_t length,
			       struct scsi_provisioning *ret_provisioning)
{
	int whole = scsi_vpd_check(bytes, length, SCSI_VPD_LOGICAL_BLOCK_PROVISIONING);

	if (whole < 0)
		return whole;
	if (whole < PROVISIONING_PAGE)
		return -EPROTO;
	*ret_provisioning = (struct scsi_provisioning) {
		.unmap = bytes[LBP_FLAGS] & LBPU,
		.write_same_16 = bytes[LBP_FLAGS] & LBPWS,
		.write_same_10 = bytes[LBP_FLAGS] & LBPWS10,
		.reads_zero = bytes[LBP_FLAGS] & LBPRZ,
		.type = bytes[LBP_TYPE] & TYPE_MASK,
	};
	return 0;
}
