/* SPDX-License-Identifier: MIT */
/*
 * cdb.c: command descriptor blocks, built and taken apart (SPC-4 4.3 and 6, SBC-3 5).
 *
 * READ and WRITE come in four sizes that carry the same fields in other places: `forms` says where,
 * and the builder and the reader share it, so that the two cannot drift apart.
 */
#include "base/base.h"
#include "base/endian.h"
#include "scsi/scsi.h"

#include <errno.h>
#include <string.h>

enum {
	EVPD = 0x01,            /* INQUIRY, byte 1 */
	PAGE_CODE = 0x3f,       /* MODE SENSE, byte 2 */
	SERVICE_ACTION = 0x1f,  /* byte 1 of most commands that have one */
	MAX_BLOCK_6 = 0x1fffff, /* 21 bits, in three bytes */
	MAX_PROTECT = 7,
	DPO = 0x10,
	FUA = 0x08,
	MAX_GROUP = 0x1f,
	NACA = 0x04, /* control byte */
	CONTROL_OF_VARIABLE = 1,
};

struct scsi_cdb scsi_cdb_test_unit_ready(void)
{
	return (struct scsi_cdb) { .bytes = { SCSI_TEST_UNIT_READY }, .length = 6 };
}

struct scsi_cdb scsi_cdb_request_sense(uint8_t allocation)
{
	return (struct scsi_cdb) { .bytes = { [0] = SCSI_REQUEST_SENSE, [4] = allocation },
				   .length = 6 };
}

struct scsi_cdb scsi_cdb_inquiry_vpd(uint8_t page, uint16_t allocation)
{
	struct scsi_cdb cdb = scsi_cdb_inquiry(allocation);

	cdb.bytes[1] = EVPD;
	cdb.bytes[2] = page;
	return cdb;
}

struct scsi_cdb scsi_cdb_report_luns(uint32_t allocation)
{
	struct scsi_cdb cdb = { .bytes = { SCSI_REPORT_LUNS }, .length = 12 };

	put_be32(cdb.bytes + 6, allocation);
	return cdb;
}

struct scsi_cdb scsi_cdb_read_capacity_10(void)
{
	return (struct scsi_cdb) { .bytes = { SCSI_READ_CAPACITY_10 }, .length = 10 };
}

struct scsi_cdb scsi_cdb_read_capacity_16(uint32_t allocation)
{
	struct scsi_cdb cdb = { .bytes = { SCSI_SERVICE_ACTION_IN_16,
					   SCSI_SAI_READ_CAPACITY_16 & SERVICE_ACTION },
				.length = 16 };

	put_be32(cdb.bytes + 10, allocation);
	return cdb;
}

struct scsi_cdb scsi_cdb_mode_sense_6(uint8_t page, uint8_t subpage, uint8_t allocation)
{
	return (struct scsi_cdb) { .bytes = { [0] = SCSI_MODE_SENSE_6,
					      [2] = page & PAGE_CODE,
					      [3] = subpage,
					      [4] = allocation },
				   .length = 6 };
}

struct scsi_cdb scsi_cdb_mode_sense_10(uint8_t page, uint8_t subpage, uint16_t allocation)
{
	struct scsi_cdb cdb = {
		.bytes = { [0] = SCSI_MODE_SENSE_10, [2] = page & PAGE_CODE, [3] = subpage },
		.length = 10
	};

	put_be16(cdb.bytes + 7, allocation);
	return cdb;
}

struct scsi_cdb scsi_cdb_synchronize_cache_10(uint32_t block, uint16_t count)
{
	struct scsi_cdb cdb = { .bytes = { SCSI_SYNCHRONIZE_CACHE_10 }, .length = 10 };

	put_be32(cdb.bytes + 2, block);
	put_be16(cdb.bytes + 7, count);
	return cdb;
}

struct scsi_cdb scsi_cdb_synchronize_cache_16(uint64_t block, uint32_t count)
{
	struct scsi_cdb cdb = { .bytes = { SCSI_SYNCHRONIZE_CACHE_16 }, .length = 16 };

	put_be64(cdb.bytes + 2, block);
	put_be32(cdb.bytes + 10, count);
	return cdb;
}

/* ---- READ and WRITE */

/*
 * Where a size keeps what. The block's address begins at byte 2, but for the three bytes of the
 * smallest.
 */
struct form {
	uint8_t size, read, write;
	uint8_t count_at, count_bytes;
	uint8_t group_at; /* 0: no flags, no protection, no group */
	uint64_t max_block;
	uint32_t max_count;
};

static const struct form forms[] = {
	{ .size = 6,
	  .read = SCSI_READ_6,
	  .write = SCSI_WRITE_6,
	  .count_at = SCSI_COUNT_AT_6,
	  .count_bytes = 1,
	  .max_block = MAX_BLOCK_6,
	  .max_count = SCSI_MAX_COUNT_6 },
	{ .size = 10,
	  .read = SCSI_READ_10,
	  .write = SCSI_WRITE_10,
	  .count_at = SCSI_COUNT_AT_10,
	  .count_bytes = 2,
	  .group_at = 6,
	  .max_block = UINT32_MAX,
	  .max_count = UINT16_MAX },
	{ .size = 12,
	  .read = SCSI_READ_12,
	  .write = SCSI_WRITE_12,
	  .count_at = SCSI_COUNT_AT_12,
	  .count_bytes = 4,
	  .group_at = 10,
	  .max_block = UINT32_MAX,
	  .max_count = UINT32_MAX },
	{ .size = 16,
	  .read = SCSI_READ_16,
	  .write = SCSI_WRITE_16,
	  .count_at = SCSI_COUNT_AT_16,
	  .count_bytes = 4,
	  .group_at = 14,
	  .max_block = UINT64_MAX,
	  .max_count = UINT32_MAX },
};

static bool form_fits(const struct form *f, const struct scsi_rw *rw)
{
	if (rw->block > f->max_block || rw->count > f->max_count)
		return false;
	if (rw->protect > MAX_PROTECT || rw->group > MAX_GROUP)
		return false;
	if (f->group_at)
		return true;
	/* The smallest form has no place for flags, and no way to say "no block at all". */
	return rw->count > 0 && !rw->fua && !rw->dpo && !rw->protect && !rw->group;
}

static const struct form *form_of_size(unsigned size, const struct scsi_rw *rw)
{
	if (size == 0)
		size = rw->block <= UINT32_MAX && rw->count <= UINT16_MAX ? 10 : 16;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		if (forms[i].size == size)
			return &forms[i];
	return NULL;
}

static void put_block(const struct form *f, uint64_t block, uint8_t *bytes)
{
	if (f->size == 6)
		put_be24(bytes + 1, (uint32_t)block);
	else if (f->size == 16)
		put_be64(bytes + 2, block);
	else
		put_be32(bytes + 2, (uint32_t)block);
}

static uint64_t get_block(const struct form *f, const uint8_t *bytes)
{
	if (f->size == 6)
		return get_be24(bytes + 1) & MAX_BLOCK_6;
	return f->size == 16 ? get_be64(bytes + 2) : get_be32(bytes + 2);
}

static void put_count(const struct form *f, uint32_t count, uint8_t *bytes)
{
	uint8_t *p = bytes + f->count_at;

	if (f->count_bytes == 1)
		*p = (uint8_t)count; /* 256 becomes 0, as it should */
	else if (f->count_bytes == 2)
		put_be16(p, (uint16_t)count);
	else
		put_be32(p, count);
}

int scsi_cdb_rw(const struct scsi_rw *rw, unsigned size, struct scsi_cdb *ret_cdb)
{
	const struct form *f = form_of_size(size, rw);
	struct scsi_cdb cdb = { 0 };

	if (!f || (rw->direction != HBA_FROM_TARGET && rw->direction != HBA_TO_TARGET))
		return -EINVAL;
	if (!form_fits(f, rw))
		return -ERANGE;
	cdb.length = f->size;
	cdb.bytes[0] = rw->direction == HBA_FROM_TARGET ? f->read : f->write;
	put_block(f, rw->block, cdb.bytes);
	put_count(f, rw->count, cdb.bytes);
	if (f->group_at) {
		cdb.bytes[1] = (uint8_t)(rw->protect << SCSI_PROTECT_SHIFT | (rw->dpo ? DPO : 0) |
					 (rw->fua ? FUA : 0));
		cdb.bytes[f->group_at] = rw->group;
	}
	*ret_cdb = cdb;
	return 0;
}

/* The group says the size, the rest is the same in all of them. */
static const struct form *form_of_opcode(uint8_t opcode)
{
	static const uint8_t of_group[] = { 0, 1, 0, 0, 3, 2, 0, 0 };

	return scsi_cdb_is_rw(opcode) ? &forms[of_group[opcode >> SCSI_GROUP_SHIFT]] : NULL;
}

/* NULL: not a READ or WRITE, or not all of one. */
static const struct form *form_of_cdb(const uint8_t *cdb, size_t length)
{
	const struct form *f = length ? form_of_opcode(cdb[0]) : NULL;

	return f && length >= f->size ? f : NULL;
}

bool scsi_cdb_read_rw(const uint8_t *cdb, size_t length, struct scsi_rw *ret_rw)
{
	const struct form *f = form_of_cdb(cdb, length);
	struct scsi_rw rw = { 0 };
	bool protect;

	if (!f || !scsi_cdb_rw_count(cdb, length, &rw.count, &protect))
		return false;
	rw.direction = cdb[0] == f->read ? HBA_FROM_TARGET : HBA_TO_TARGET;
	rw.block = get_block(f, cdb);
	if (f->group_at) {
		rw.protect = cdb[1] >> SCSI_PROTECT_SHIFT;
		rw.dpo = cdb[1] & DPO;
		rw.fua = cdb[1] & FUA;
		rw.group = cdb[f->group_at] & MAX_GROUP;
	}
	*ret_rw = rw;
	return true;
}

unsigned scsi_cdb_length(uint8_t opcode)
{
	/* Group 3 holds the variable length, 6 and 7 are the vendor's. */
	static const uint8_t lengths[] = { 6, 10, 10, 0, 16, 12, 0, 0 };

	return lengths[opcode >> SCSI_GROUP_SHIFT];
}

bool scsi_cdb_naca(const uint8_t *cdb, size_t length)
{
	/* The last byte; the second one where the length varies (SPC-4 4.3.3). */
	return length &&
	       cdb[cdb[0] == SCSI_VARIABLE_LENGTH ? CONTROL_OF_VARIABLE : length - 1] & NACA;
}

static bool is_lba_status(const uint8_t *cdb)
{
	return cdb[0] == SCSI_SERVICE_ACTION_IN_16 &&
	       (cdb[1] & SERVICE_ACTION) == SCSI_SAI_GET_LBA_STATUS;
}

bool scsi_cdb_is_block_command(const uint8_t *cdb)
{
	static const uint8_t others[] = {
		SCSI_VERIFY_10,
		SCSI_VERIFY_12,
		SCSI_VERIFY_16,
		SCSI_WRITE_AND_VERIFY_10,
		SCSI_WRITE_AND_VERIFY_12,
		SCSI_WRITE_AND_VERIFY_16,
		SCSI_PRE_FETCH_10,
		SCSI_PRE_FETCH_16,
		SCSI_SYNCHRONIZE_CACHE_10,
		SCSI_SYNCHRONIZE_CACHE_16,
		SCSI_UNMAP,
		SCSI_WRITE_SAME_10,
		SCSI_WRITE_SAME_16,
		SCSI_ORWRITE_16,
	};

	return scsi_cdb_is_rw(cdb[0]) || memchr(others, cdb[0], sizeof(others)) ||
	       is_lba_status(cdb);
}

bool scsi_cdb_may_change_medium(const uint8_t *cdb)
{
	/*
	 * Those of SPC-4 annex E, SBC-3 table 13 and MMC-6 that leave it alone. All else may change
	 * it: vendors' own, other protocols' passed through, and those of variable length, few of
	 * which only read.
	 */
	static const uint8_t leave_it_alone[] = {
		SCSI_TEST_UNIT_READY,
		0x01 /* REZERO UNIT */,
		SCSI_REQUEST_SENSE,
		0x05 /* READ BLOCK LIMITS */,
		SCSI_READ_6,
		0x0b /* SEEK(6) */,
		SCSI_INQUIRY,
		SCSI_MODE_SELECT_6,
		SCSI_RESERVE_6,
		SCSI_RELEASE_6,
		SCSI_MODE_SENSE_6,
		SCSI_START_STOP_UNIT,
		SCSI_RECEIVE_DIAGNOSTIC_RESULTS,
		SCSI_SEND_DIAGNOSTIC,
		SCSI_PREVENT_ALLOW_MEDIUM_REMOVAL,
		0x23 /* READ FORMAT CAPACITIES */,
		SCSI_READ_CAPACITY_10,
		SCSI_READ_10,
		0x2b /* SEEK(10) */,
		SCSI_VERIFY_10,
		SCSI_PRE_FETCH_10,
		SCSI_SYNCHRONIZE_CACHE_10,
		0x37 /* READ DEFECT DATA(10) */,
		0x3c /* READ BUFFER(10) */,
		0x3e /* READ LONG(10) */,
		0x43 /* READ TOC/PMA/ATIP */,
		0x46 /* GET CONFIGURATION */,
		0x4a /* GET EVENT STATUS NOTIFICATION */,
		0x4c /* LOG SELECT */,
		SCSI_LOG_SENSE,
		SCSI_MODE_SELECT_10,
		SCSI_RESERVE_10,
		SCSI_RELEASE_10,
		SCSI_MODE_SENSE_10,
		SCSI_PERSISTENT_RESERVE_IN,
		SCSI_PERSISTENT_RESERVE_OUT,
		0x84 /* RECEIVE COPY RESULTS */,
		SCSI_READ_16,
		0x8c /* READ ATTRIBUTE */,
		SCSI_VERIFY_16,
		SCSI_PRE_FETCH_16,
		SCSI_SYNCHRONIZE_CACHE_16,
		0x95 /* ZBC IN */,
		0x9b /* READ BUFFER(16) */,
		SCSI_SERVICE_ACTION_IN_16,
		SCSI_REPORT_LUNS,
		0xa2 /* SECURITY PROTOCOL IN */,
		SCSI_MAINTENANCE_IN,
		SCSI_READ_12,
		0xab /* SERVICE ACTION IN(12) */,
		SCSI_VERIFY_12,
		0xb7 /* READ DEFECT DATA(12) */,
	};

	return !memchr(leave_it_alone, cdb[0], sizeof(leave_it_alone));
}
