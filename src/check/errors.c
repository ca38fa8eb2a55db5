/* SPDX-License-Identifier: MIT */
/*
 * errors.c: what a unit does not have, it refuses: with the right sense, and without having moved
 * a byte.
 */
#include "check/suite.h"

#include <stdio.h>
#include <string.h>

enum {
	OPCODE_NOBODY_HAS = 0x1f, /* of six bytes; no standard gives it a meaning */
	ACTION_NOBODY_HAS = 0x1f,
	ALLOCATION = 64,
	PAGE_BYTE = 2,
	ANY_PAGE = 0x80,
	CDB_6_BLOCKS = 1 << 21,
	MOST_BLOCKS = 4
};

/* Runs it; then: refused so, no data came, and the byte count is 0. */
static bool refuses(struct check *k, struct scsi_cdb cdb, size_t bytes, uint8_t key, uint16_t asc)
{
	struct buffer b = buffer_at(&k->plain, 0, bytes);
	struct command x = command_in(k, cdb, b);
	uint8_t untouched[ALLOCATION];

	command_run(k, &x);
	if (!command_refused(k, &x, key, asc) ||
	    !check_number(k, "bytes that a refused command moved", 0, x.bytes))
		return false;
	memset(untouched, POISON_A, sizeof(untouched));
	return check_bytes(k, "the buffer of a refused command, untouched", untouched, b.bytes,
			   bytes < sizeof(untouched) ? bytes : sizeof(untouched));
}

static void unknown_opcode(struct check *k)
{
	const struct scsi_cdb cdb = { .bytes = { OPCODE_NOBODY_HAS }, .length = 6 };

	refuses(k, cdb, 0, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
}

static void unknown_action(struct check *k)
{
	const struct scsi_cdb cdb = {
		.bytes = { SCSI_SERVICE_ACTION_IN_16, ACTION_NOBODY_HAS, [13] = ALLOCATION },
		.length = 16,
	};
	struct command x = command_in(k, cdb, buffer_at(&k->plain, 0, ALLOCATION));

	command_run(k, &x);
	if (x.has_sense && x.sense.asc == SCSI_ASC_INVALID_OPCODE)
		return; /* one without any of these service actions */
	command_refused(k, &x, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
}

static void page_without_evpd(struct check *k)
{
	struct scsi_cdb cdb = scsi_cdb_inquiry(ALLOCATION);

	cdb.bytes[PAGE_BYTE] = ANY_PAGE;
	refuses(k, cdb, ALLOCATION, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
}

static void unknown_page(struct check *k)
{
	struct buffer b = buffer_at(&k->plain, 0, SCSI_VPD_MAX);
	struct command x = command_in(k, scsi_cdb_inquiry_vpd(SCSI_VPD_SUPPORTED, SCSI_VPD_MAX), b);
	unsigned page = UINT8_MAX;

	command_run(k, &x);
	if (!command_good(k, &x))
		return;
	while (page > 0 && scsi_vpd_lists(b.bytes, x.bytes, (uint8_t)page))
		page--;
	refuses(k, scsi_cdb_inquiry_vpd((uint8_t)page, ALLOCATION), ALLOCATION,
		SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
}

/* A unit may do without one of the sizes. */
static bool is_offered(struct check *k, unsigned size)
{
	struct scsi_cdb cdb;
	struct command x;

	if (!blocks_cdb(size, HBA_FROM_TARGET, 0, 1, &cdb))
		return false;
	x = command_in(k, cdb, buffer_at(&k->plain, 0, k->info.block_bytes));
	command_run(k, &x);
	return !x.has_sense || x.sense.asc != SCSI_ASC_INVALID_OPCODE;
}

static void beyond_the_end(struct check *k, uint64_t block, uint32_t count)
{
	static const unsigned sizes[] = { 10, 12, 16 };
	struct scsi_cdb cdb;

	for (size_t i = 0; i < ARRAY_SIZE(sizes) && sizes[i] <= check_max_cdb(k); i++)
		if (is_offered(k, sizes[i]) &&
		    blocks_cdb(sizes[i], HBA_FROM_TARGET, block, count, &cdb) &&
		    !refuses(k, cdb, (size_t)count * k->info.block_bytes, SCSI_ILLEGAL_REQUEST,
			     SCSI_ASC_LBA_OUT_OF_RANGE))
			return;
	if (k->info.blocks < CDB_6_BLOCKS && blocks_cdb(6, HBA_FROM_TARGET, block, count, &cdb))
		refuses(k, cdb, (size_t)count * k->info.block_bytes, SCSI_ILLEGAL_REQUEST,
			SCSI_ASC_LBA_OUT_OF_RANGE);
}

static void first_block_beyond(struct check *k)
{
	beyond_the_end(k, k->info.blocks, 1);
}

static void count_over_the_end(struct check *k)
{
	for (uint32_t count = 2; count <= MOST_BLOCKS; count++)
		beyond_the_end(k, k->info.blocks - 1, count);
}

static void no_blocks_at_all(struct check *k)
{
	struct scsi_cdb cdb;
	struct command x;

	blocks_cdb(10, HBA_FROM_TARGET, 0, 0, &cdb);
	x = command_none(k, cdb);
	command_run(k, &x);
	command_good(k, &x);
}

static void goes_on_afterwards(struct check *k)
{
	const struct scsi_cdb wrong = { .bytes = { OPCODE_NOBODY_HAS }, .length = 6 };
	struct command x = command_none(k, wrong), y;

	command_run(k, &x);
	y = command_none(k, scsi_cdb_test_unit_ready());
	command_run(k, &y);
	command_good(k, &y);
}

static const struct check_test tests[] = {
	{ .name = "an opcode that does not exist",
	  .rule = "ILLEGAL REQUEST, INVALID COMMAND OPERATION CODE (05/20/00)",
	  .reference = "SPC-4 4.5, SAM-5 5.14",
	  .needs = UNIT,
	  .run = unknown_opcode },
	{ .name = "a service action that does not exist",
	  .rule = "ILLEGAL REQUEST, INVALID FIELD IN CDB (05/24/00)",
	  .reference = "SPC-4 4.3",
	  .needs = UNIT | NEED_CDB_16,
	  .run = unknown_action },
	{ .name = "INQUIRY with a page, but without EVPD",
	  .rule = "ILLEGAL REQUEST, INVALID FIELD IN CDB (05/24/00)",
	  .reference = "SPC-4 6.6",
	  .needs = UNIT,
	  .run = page_without_evpd },
	{ .name = "a VPD page that page 00h does not list",
	  .rule = "ILLEGAL REQUEST, INVALID FIELD IN CDB (05/24/00)",
	  .reference = "SPC-4 6.6",
	  .needs = UNIT,
	  .run = unknown_page },
	{ .name = "READ of the block after the last",
	  .rule = "ILLEGAL REQUEST, LOGICAL BLOCK ADDRESS OUT OF RANGE (05/21/00), by every CDB "
		  "size",
	  .reference = "SBC-3 5.10 to 5.13",
	  .needs = DISK,
	  .run = first_block_beyond },
	{ .name = "READ over the end",
	  .rule = "the same if only the count goes beyond the last block, and no block of it comes",
	  .reference = "SBC-3 5.10 to 5.13",
	  .needs = DISK,
	  .run = count_over_the_end },
	{ .name = "READ(10) of no blocks is no error",
	  .rule = "a transfer length of 0 moves nothing, and is GOOD",
	  .reference = "SBC-3 5.11",
	  .needs = DISK,
	  .run = no_blocks_at_all },
	{ .name = "the command after a refusal is answered",
	  .rule = "a refusal concerns one command only",
	  .reference = "SAM-5 5.14",
	  .needs = DISK,
	  .run = goes_on_afterwards },
};

const struct check_group check_refusal = { "refusal", tests, ARRAY_SIZE(tests) };
