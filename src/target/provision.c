/* SPDX-License-Identifier: MIT */
/*
 * provision.c: thin provisioning: UNMAP, WRITE SAME, GET LBA STATUS (SBC-3 4.7, 5.28, 5.43, 5.44,
 * 5.6).
 *
 * A unit is thin if its store can give room back and then reads as zeros. Room goes by the store's
 * granule: of one that is unmapped in part, the part becomes zeros and the granule stays mapped.
 */
#include "base/base.h"
#include "base/endian.h"
#include "target/commands.h"

#include <string.h>

enum { HIGH_BIT = 7, FLAGS_AT = 1 };

/* ---- UNMAP */

/* Of `n` descriptors: within the medium one by one, within the limit all together. */
static bool check_descriptors(struct target_command *c, const uint8_t *descriptors, unsigned n)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < n; i++) {
		uint16_t at = (uint16_t)(SCSI_UNMAP_DESCRIPTOR_BYTES * i);
		struct scsi_extent extent = scsi_unmap_descriptor(descriptors + at);

		if (!target_check_range(c, extent.block, extent.count))
			return false;
		total += extent.count;
		if (total > TARGET_MOST_UNMAP_BLOCKS) {
			target_refuse_parameter(c, (uint16_t)(SCSI_UNMAP_HEADER_BYTES + at + 8),
						HIGH_BIT); /* the count that was too much */
			return false;
		}
	}
	return true;
}

/*
 * Copied once, then checked: the client may write to its own memory meanwhile. 0: refused, or
 * nothing to do.
 */
static unsigned take_descriptors(struct target_command *c, uint16_t length, struct scratch *to)
{
	struct iov_iter from = { .iov = c->iov, .n = c->n_iov };
	uint8_t header[SCSI_UNMAP_HEADER_BYTES];
	int n;

	iov_iter_copy_from(&from, header, sizeof(header));
	n = scsi_unmap_count(header, length);
	if (n < 0 || n > TARGET_MOST_UNMAP_DESCRIPTORS) {
		target_refuse_parameter(c, 2, HIGH_BIT); /* the length of the descriptors */
		return 0;
	}
	iov_iter_copy_from(&from, to->bytes, (uint64_t)n * SCSI_UNMAP_DESCRIPTOR_BYTES);
	return check_descriptors(c, to->bytes, (unsigned)n) ? (unsigned)n : 0;
}

int target_unmap(struct target_command *c)
{
	uint16_t length = get_be16(c->cdb + scsi_cdb_count_at(SCSI_UNMAP));
	struct target_work work = { .steps = STEP_UNMAP };

	if (!target_check_writable(c) || length == 0)
		return 0;
	if (length < SCSI_UNMAP_HEADER_BYTES)
		return target_refuse(c, SCSI_ILLEGAL_REQUEST, SCSI_ASC_PARAMETER_LIST_LENGTH_ERROR);
	if (!target_check_data(c, length))
		return 0;
	work.scratch = scratch_borrow(&c->unit->scratch);
	if (!work.scratch) {
		c->outcome = HBA_BUSY;
		return 0;
	}
	c->bytes = length;
	work.n_descriptors = take_descriptors(c, length, work.scratch);
	if (work.n_descriptors == 0)
		work.steps = 0;
	/*
	 * As a claim, descriptors in any order are the whole unit; it excludes only COMPARE AND
	 * WRITE and ORWRITE.
	 */
	work.length = c->unit->blocks * c->unit->block_bytes;
	return target_work(c, &work);
}

/* ---- WRITE SAME */

static bool has_no_data(const struct target_command *c)
{
	return c->cdb[0] == SCSI_WRITE_SAME_16 && c->cdb[FLAGS_AT] & SCSI_NDOB;
}

/* Unmapped blocks read as zeros, so only zeros may be written by unmapping. */
static bool may_deallocate(const struct target_command *c)
{
	struct iov_iter data = { .iov = c->iov, .n = c->n_iov };

	return c->cdb[FLAGS_AT] & SCSI_WRITE_SAME_UNMAP &&
	       (has_no_data(c) || iov_iter_is_zero(data, c->unit->block_bytes));
}

/* Count 0 is "to the end" (WSNZ is 0). */
static uint64_t blocks_of(const struct target_command *c, const struct scsi_extent *extent)
{
	return extent->count ? extent->count : c->unit->blocks - extent->block;
}

/*
 * MAXIMUM WRITE SAME LENGTH limits the blocks written, in each form of the command (SBC-3 6.6.4).
 */
static bool check_blocks(struct target_command *c, uint64_t blocks)
{
	if (blocks <= TARGET_MOST_WRITE_SAME_BYTES / c->unit->block_bytes)
		return true;
	target_refuse_field(c, (uint16_t)scsi_cdb_count_at(c->cdb[0]), HIGH_BIT);
	return false;
}

int target_write_same(struct target_command *c)
{
	uint64_t block = c->unit->block_bytes;
	struct target_work work = { 0 };
	struct scsi_extent extent;

	if (!target_read_extent(c, &extent) || !check_blocks(c, blocks_of(c, &extent)) ||
	    !target_check_writable(c))
		return 0;
	work.zeros = has_no_data(c);
	if (!work.zeros && !target_check_data(c, block))
		return 0;
	c->bytes = work.zeros ? 0 : block;
	work.offset = extent.block * block;
	work.length = blocks_of(c, &extent) * block;
	if (work.length > 0)
		work.steps = (may_deallocate(c) ? STEP_DEALLOCATE : STEP_REPEAT) |
			     (c->unit->write_through ? STEP_FLUSH_LAST : 0);
	return target_work(c, &work);
}

/* ---- GET LBA STATUS */

/*
 * The run of blocks from `block` on that are alike. A block is mapped if any byte of it has room of
 * its own.
 */
static struct scsi_lba_status status_of(const struct target_unit *unit, uint64_t block)
{
	struct store *store = unit->store;
	uint64_t bytes = unit->block_bytes, end = store->bytes, next, blocks;
	bool mapped = true;

	if (store->thin) {
		mapped = store->ops->allocated(store, block * bytes, &end);
		/* A hole that ends within its first block leaves nothing of that block unmapped. */
		if (!mapped && end < (block + 1) * bytes) {
			mapped = true;
			end = (block + 1) * bytes;
		}
	}
	next = mapped ? divide_up(end, bytes) : end / bytes;
	if (next > unit->blocks)
		next = unit->blocks;
	blocks = next - block;
	return (struct scsi_lba_status) { .extent = { block, blocks < UINT32_MAX ? (uint32_t)blocks
										 : UINT32_MAX },
					  .provisioning = mapped ? SCSI_MAPPED : SCSI_DEALLOCATED };
}

/*
 * One descriptor at least, whatever the allocation length: a length of zero requests none of its
 * bytes.
 */
static unsigned most_descriptors(uint32_t allocation, unsigned most)
{
	uint32_t fit;

	if (allocation < SCSI_LBA_STATUS_HEADER_BYTES + SCSI_LBA_STATUS_BYTES)
		return 1;
	fit = (allocation - SCSI_LBA_STATUS_HEADER_BYTES) / SCSI_LBA_STATUS_BYTES;
	return fit < most ? fit : most;
}

int target_get_lba_status(struct target_command *c)
{
	enum { ALLOCATION_AT = 10, BLOCK_AT = 2, MOST = 64 };
	uint8_t bytes[SCSI_LBA_STATUS_HEADER_BYTES + MOST * SCSI_LBA_STATUS_BYTES];
	uint32_t allocation = get_be32(c->cdb + ALLOCATION_AT);
	uint64_t block = get_be64(c->cdb + BLOCK_AT);
	unsigned n = 0, most = most_descriptors(allocation, MOST);
	struct scsi_lba_status status[MOST];

	/* Right behind the last block there is no status. */
	if (!target_check_range(c, block, 1))
		return 0;
	for (; n < most && block < c->unit->blocks; block += status[n++].extent.count)
		status[n] = status_of(c->unit, block);
	return target_answer(c, bytes, scsi_lba_status_write(status, n, bytes), allocation);
}
