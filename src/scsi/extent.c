/* SPDX-License-Identifier: MIT */
/*
 * extent.c: the commands of SBC-3 that name a run of blocks and are neither READ nor WRITE: VERIFY,
 * WRITE AND VERIFY, WRITE SAME, ORWRITE, COMPARE AND WRITE, PRE-FETCH, SYNCHRONIZE CACHE; UNMAP,
 * which names several; and GET LBA STATUS, which is answered with several.
 *
 * Where block and count lie follows from the CDB's length. COMPARE AND WRITE alone has a count of
 * one byte.
 */
#include "base/base.h"
#include "base/endian.h"
#include "scsi/scsi.h"

#include <errno.h>
#include <string.h>

enum { BLOCK_AT = 2, FLAGS_AT = 1, COMPARE_COUNT_AT = 13 };

static const uint8_t extent_opcodes[] = {
	SCSI_WRITE_AND_VERIFY_10,
	SCSI_VERIFY_10,
	SCSI_PRE_FETCH_10,
	SCSI_SYNCHRONIZE_CACHE_10,
	SCSI_WRITE_SAME_10,
	SCSI_COMPARE_AND_WRITE,
	SCSI_ORWRITE_16,
	SCSI_WRITE_AND_VERIFY_16,
	SCSI_VERIFY_16,
	SCSI_PRE_FETCH_16,
	SCSI_SYNCHRONIZE_CACHE_16,
	SCSI_WRITE_SAME_16,
	SCSI_WRITE_AND_VERIFY_12,
	SCSI_VERIFY_12,
};

static bool has_extent(uint8_t opcode)
{
	return memchr(extent_opcodes, opcode, sizeof(extent_opcodes)) != NULL;
}

unsigned scsi_cdb_count_at(uint8_t opcode)
{
	if (opcode == SCSI_COMPARE_AND_WRITE)
		return COMPARE_COUNT_AT;
	switch (scsi_cdb_length(opcode)) {
	case 6:
		return SCSI_COUNT_AT_6;
	case 10:
		return SCSI_COUNT_AT_10;
	case 12:
		return SCSI_COUNT_AT_12;
	default:
		return SCSI_COUNT_AT_16;
	}
}

bool scsi_cdb_read_extent(const uint8_t *cdb, size_t length, struct scsi_extent *ret_extent)
{
	const uint8_t *count = cdb + (length ? scsi_cdb_count_at(cdb[0]) : 0);
	unsigned size = length ? scsi_cdb_length(cdb[0]) : 0;

	if (!size || length < size || !has_extent(cdb[0]))
		return false;
	ret_extent->block = size == 16 ? get_be64(cdb + BLOCK_AT) : get_be32(cdb + BLOCK_AT);
	if (cdb[0] == SCSI_COMPARE_AND_WRITE)
		ret_extent->count = *count;
	else
		ret_extent->count = size == 10 ? get_be16(count) : get_be32(count);
	return true;
}

static bool fits(uint8_t opcode, const struct scsi_extent *extent)
{
	unsigned size = scsi_cdb_length(opcode);

	if (opcode == SCSI_COMPARE_AND_WRITE)
		return extent->count <= UINT8_MAX;
	return (size == 16 || extent->block <= UINT32_MAX) &&
	       (size != 10 || extent->count <= UINT16_MAX);
}

int scsi_cdb_extent(uint8_t opcode, uint8_t flags, const struct scsi_extent *extent,
		    struct scsi_cdb *ret_cdb)
{
	struct scsi_cdb cdb = { .bytes = { [0] = opcode, [FLAGS_AT] = flags },
				.length = (uint8_t)scsi_cdb_length(opcode) };
	uint8_t *count = cdb.bytes + scsi_cdb_count_at(opcode);

	if (!has_extent(opcode))
		return -EINVAL;
	if (!fits(opcode, extent))
		return -ERANGE;
	if (cdb.length == 16)
		put_be64(cdb.bytes + BLOCK_AT, extent->block);
	else
		put_be32(cdb.bytes + BLOCK_AT, (uint32_t)extent->block);
	if (opcode == SCSI_COMPARE_AND_WRITE)
		*count = (uint8_t)extent->count;
	else if (cdb.length == 10)
		put_be16(count, (uint16_t)extent->count);
	else
		put_be32(count, extent->count);
	*ret_cdb = cdb;
	return 0;
}

/* ---- UNMAP (SBC-3 5.28) */

enum { UNMAP_LIST_AT = 7, DATA_LENGTH = 0, DESCRIPTORS_LENGTH = 2, DESCRIPTOR_COUNT = 8 };

struct scsi_cdb scsi_cdb_unmap_list(uint16_t length)
{
	struct scsi_cdb cdb = { .bytes = { SCSI_UNMAP }, .length = 10 };

	put_be16(cdb.bytes + UNMAP_LIST_AT, length);
	return cdb;
}

size_t scsi_unmap_write(const struct scsi_extent *extents, unsigned n, uint8_t *bytes)
{
	size_t length = SCSI_UNMAP_HEADER_BYTES + (size_t)n * SCSI_UNMAP_DESCRIPTOR_BYTES;
	uint8_t *to = bytes + SCSI_UNMAP_HEADER_BYTES;

	memset(bytes, 0, length);
	put_be16(bytes + DATA_LENGTH, (uint16_t)(length - 2)); /* what follows this field */
	put_be16(bytes + DESCRIPTORS_LENGTH, (uint16_t)(length - SCSI_UNMAP_HEADER_BYTES));
	for (unsigned i = 0; i < n; i++, to += SCSI_UNMAP_DESCRIPTOR_BYTES) {
		put_be64(to, extents[i].block);
		put_be32(to + DESCRIPTOR_COUNT, extents[i].count);
	}
	return length;
}

int scsi_unmap_count(const uint8_t header[SCSI_UNMAP_HEADER_BYTES], size_t list_length)
{
	size_t data = get_be16(header + DATA_LENGTH) + 2U,
	       descriptors = get_be16(header + DESCRIPTORS_LENGTH);

	/*
	 * The descriptors are a part of the data; a list that says otherwise was not made by
	 * anything that knows the format.
	 */
	if (descriptors > 0 && descriptors + SCSI_UNMAP_HEADER_BYTES > data)
		return -EPROTO;
	if (descriptors > list_length - SCSI_UNMAP_HEADER_BYTES)
		descriptors = list_length - SCSI_UNMAP_HEADER_BYTES;
	return (int)(descriptors / SCSI_UNMAP_DESCRIPTOR_BYTES);
}

struct scsi_extent scsi_unmap_descriptor(const uint8_t bytes[SCSI_UNMAP_DESCRIPTOR_BYTES])
{
	return (struct scsi_extent) { .block = get_be64(bytes),
				      .count = get_be32(bytes + DESCRIPTOR_COUNT) };
}

/* ---- GET LBA STATUS (SBC-3 5.6) */

enum {
	STATUS_ALLOCATION_AT = 10,
	STATUS_LENGTH_FIELD = 4,
	STATUS_COUNT = 8,
	STATUS_AT = 12,
	STATUS_MASK = 0x0f
};

struct scsi_cdb scsi_cdb_lba_status(uint64_t block, uint32_t allocation)
{
	struct scsi_cdb cdb = { .bytes = { SCSI_SERVICE_ACTION_IN_16, SCSI_SAI_GET_LBA_STATUS },
				.length = 16 };

	put_be64(cdb.bytes + BLOCK_AT, block);
	put_be32(cdb.bytes + STATUS_ALLOCATION_AT, allocation);
	return cdb;
}

size_t scsi_lba_status_write(const struct scsi_lba_status *status, unsigned n, uint8_t *bytes)
{
	size_t length = SCSI_LBA_STATUS_HEADER_BYTES + (size_t)n * SCSI_LBA_STATUS_BYTES;
	uint8_t *to = bytes + SCSI_LBA_STATUS_HEADER_BYTES;

	memset(bytes, 0, length);
	put_be32(bytes, (uint32_t)(length - STATUS_LENGTH_FIELD));
	for (unsigned i = 0; i < n; i++, to += SCSI_LBA_STATUS_BYTES) {
		put_be64(to, status[i].extent.block);
		put_be32(to + STATUS_COUNT, status[i].extent.count);
		to[STATUS_AT] = status[i].provisioning;
	}
	return length;
}

int scsi_lba_status_read(const uint8_t *bytes, size_t length, struct scsi_lba_status *ret_status,
			 unsigned most)
{
	size_t whole, n;

	if (length < SCSI_LBA_STATUS_HEADER_BYTES)
		return -EPROTO;
	whole = (size_t)get_be32(bytes) + STATUS_LENGTH_FIELD;
	if (whole < SCSI_LBA_STATUS_HEADER_BYTES)
		return -EPROTO;
	n = ((whole < length ? whole : length) - SCSI_LBA_STATUS_HEADER_BYTES) /
	    SCSI_LBA_STATUS_BYTES;
	if (n > most)
		n = most;
	for (size_t i = 0; i < n; i++) {
		const uint8_t *from =
			bytes + SCSI_LBA_STATUS_HEADER_BYTES + i * SCSI_LBA_STATUS_BYTES;

		ret_status[i].extent.block = get_be64(from);
		ret_status[i].extent.count = get_be32(from + STATUS_COUNT);
		ret_status[i].provisioning = from[STATUS_AT] & STATUS_MASK;
	}
	return (int)n;
}
