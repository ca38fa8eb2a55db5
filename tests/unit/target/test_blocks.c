/* SPDX-License-Identifier: MIT */
/*
 * test_blocks.c: VERIFY, WRITE AND VERIFY, COMPARE AND WRITE, ORWRITE, WRITE SAME and PRE-FETCH:
 * what each does, each thing that it refuses, and what is flushed.
 */
#include "blocks.h"

#include <unistd.h>

/* ---- what all of them refuse */

struct kind {
	uint8_t opcode, flags;
	bool writes, forced; /* has FUA */
	unsigned blocks_of_data;
	uint8_t outcome; /* beyond GOOD, with zeros for data */
};

/* Blocks of data for a count of 2; 0: none. */
static const struct kind kinds[] = {
	{ SCSI_WRITE_AND_VERIFY_10, SCSI_BYTCHK_COMPARE, true, false, 2, 0 },
	{ SCSI_WRITE_AND_VERIFY_12, 0, true, false, 2, 0 },
	{ SCSI_WRITE_AND_VERIFY_16, SCSI_BYTCHK_COMPARE, true, false, 2, 0 },
	{ SCSI_VERIFY_10, 0, false, false, 0, 0 },
	{ SCSI_VERIFY_10, SCSI_BYTCHK_COMPARE, false, false, 2, 0 },
	{ SCSI_VERIFY_12, SCSI_BYTCHK_ONE, false, false, 1, 0 },
	{ SCSI_VERIFY_16, SCSI_BYTCHK_COMPARE | SCSI_DPO, false, false, 2, 0 },
	{ SCSI_COMPARE_AND_WRITE, SCSI_FUA, true, true, 4, 0 },
	{ SCSI_ORWRITE_16, SCSI_FUA | SCSI_FUA_NV, true, true, 2, 0 },
	{ SCSI_WRITE_SAME_10, 0, true, false, 1, 0 },
	{ SCSI_WRITE_SAME_10, SCSI_WRITE_SAME_UNMAP, true, false, 1, 0 },
	{ SCSI_WRITE_SAME_16, 0, true, false, 1, 0 },
	{ SCSI_WRITE_SAME_16, SCSI_NDOB, true, false, 0, 0 },
	{ SCSI_PRE_FETCH_10, SCSI_IMMED, false, false, 0, 4 },
	{ SCSI_PRE_FETCH_16, 0, false, false, 0, 4 },
	{ SCSI_SYNCHRONIZE_CACHE_10, SCSI_IMMED, false, false, 0, 0 },
	{ SCSI_SYNCHRONIZE_CACHE_16, 0, false, false, 0, 0 },
};

static void good_on_every_store(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (unsigned lun = 0; lun < UNITS; lun++)
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
			const struct target_unit *unit = blocks_to_lun(rig, lun);
			uint64_t length = (uint64_t)kinds[i].blocks_of_data * unit->block_bytes;

			if (lun == NOTHING && kinds[i].flags == SCSI_WRITE_SAME_UNMAP)
				continue;
			memset(rig->data, 0, length);
			blocks_extent(rig, kinds[i].opcode, kinds[i].flags, 1, 2, length);
			assert_int_equal(rig->last.command.outcome, HBA_GOOD + kinds[i].outcome);
			assert_int_equal(rig->last.command.bytes, length);
			assert_int_equal(rig->last.command.sense_len, 0);
		}
}

/*
 * As far as the last block, not one further; nothing at all right behind it, not one further
 * either.
 */
static void ranges_end_where_the_medium_ends(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (unsigned lun = 0; lun < NOTHING; lun++)
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
			const struct kind *k = &kinds[i];
			const struct target_unit *unit = blocks_to_lun(rig, lun);
			uint64_t length = (uint64_t)k->blocks_of_data * unit->block_bytes,
				 last = unit->blocks;

			memset(rig->data, 0, length);
			assert_int_equal(
				blocks_extent(rig, k->opcode, k->flags, last - 2, 2, length),
				HBA_GOOD + k->outcome);
			blocks_extent(rig, k->opcode, k->flags, last - 1, 2, length);
			blocks_assert_range(rig, last);
			assert_int_equal(rig->last.command.bytes, 0);
			assert_int_equal(blocks_extent(rig, k->opcode, k->flags, last, 0, length),
					 HBA_GOOD + k->outcome);
			blocks_extent(rig, k->opcode, k->flags, last + 1, 0, length);
			blocks_assert_range(rig, last + 1);
			if (scsi_cdb_length(k->opcode) < 16)
				continue;
			blocks_extent(rig, k->opcode, k->flags, UINT64_MAX, 2, length);
			rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
		}
}

static void no_data_are_refused_and_nothing_is_written(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	blocks_write(rig, 0, 4, 0x11);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct kind *k = &kinds[i];

		if (k->blocks_of_data == 0)
			continue;
		memset(rig->data, 0x11, 4096);
		blocks_extent(rig, k->opcode, k->flags, 1, 2, k->blocks_of_data * 512U - 1);
		rig_assert_field(rig, scsi_cdb_count_at(k->opcode), 7);
		assert_int_equal(rig->last.command.bytes, 0);
		blocks_assert(rig, 0, 4, 0x11);
	}
}

static void protection_is_refused(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		for (unsigned bit = 5; bit < 8; bit++) {
			blocks_extent(rig, kinds[i].opcode, (uint8_t)(kinds[i].flags | 1U << bit),
				      1, 2, 4096);
			rig_assert_field(rig, 1, bit);
		}
}

static void write_protected(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (unsigned lun = 0; lun <= FILE_512; lun += FILE_512) {
		struct target_unit *unit = blocks_to_lun(rig, lun);

		blocks_write(rig, 1, 2, 0);
		unit->read_only = true;
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
			uint64_t length = (uint64_t)kinds[i].blocks_of_data * unit->block_bytes;

			memset(rig->data, 0, length);
			blocks_extent(rig, kinds[i].opcode, kinds[i].flags, 1, 2, length);
			if (kinds[i].writes)
				rig_assert_sense(rig, SCSI_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED);
			else
				assert_int_equal(rig->last.command.outcome,
						 HBA_GOOD + kinds[i].outcome);
		}
	}
}

static void longest_transfer_holds(void **state)
{
	const struct kind *k;
	struct rig *rig = &((struct bench *)*state)->rig;
	struct target_unit *unit = blocks_to_lun(rig, RAM_512);
	struct scsi_cdb read = rig_rw(HBA_FROM_TARGET, 0, 3, 12, false),
			write = rig_rw(HBA_TO_TARGET, 0, 3, 10, false);

	unit->max_transfer = 2;
	assert_int_equal(rig_run(rig, &read, HBA_FROM_TARGET, 3 * 512), HBA_CHECK_CONDITION);
	rig_assert_field(rig, 6, 7);
	assert_int_equal(rig_run(rig, &write, HBA_TO_TARGET, 3 * 512), HBA_CHECK_CONDITION);
	rig_assert_field(rig, 7, 7);
	for (k = kinds; k < kinds + ARRAY_SIZE(kinds); k++) {
		if (k->blocks_of_data < 2)
			continue;
		memset(rig->data, 0, 4096);
		blocks_extent(rig, k->opcode, k->flags, 0, 3, 4096);
		rig_assert_field(rig, scsi_cdb_count_at(k->opcode), 7);
		assert_int_equal(
			blocks_extent(rig, k->opcode, k->flags, 0, 2, k->blocks_of_data * 512U),
			HBA_GOOD);
	}
	/* However little of it was sent. */
	blocks_extent(rig, SCSI_VERIFY_16, SCSI_BYTCHK_ONE, 0, 3, 512);
	rig_assert_field(rig, 10, 7);
	blocks_extent(rig, SCSI_VERIFY_10, 0, 0, 3, 0);
	rig_assert_field(rig, 7, 7);
}

/* ---- VERIFY, WRITE AND VERIFY */

static void assert_miscompare(const struct rig *rig, uint64_t offset)
{
	struct scsi_sense sense =
		rig_assert_sense(rig, SCSI_MISCOMPARE, SCSI_ASC_MISCOMPARE_DURING_VERIFY);

	assert_true(sense.has_information);
	assert_int_equal(sense.information, offset);
}

static void verify_finds_the_first_difference(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (unsigned lun = 0; lun < NOTHING; lun++) {
		uint32_t block = blocks_to_lun(rig, lun)->block_bytes,
			 count = RIG_DATA_BYTES / block;
		uint64_t at[] = {
			0, 1, block - 1, block, RIG_DATA_BYTES / 2 + 3, RIG_DATA_BYTES - 1
		};

		blocks_write(rig, 4, count, 0x5a);
		assert_int_equal(blocks_extent(rig, SCSI_VERIFY_16, SCSI_BYTCHK_COMPARE, 4, count,
					       RIG_DATA_BYTES),
				 HBA_GOOD);
		for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
			memset(rig->data, 0x5a, RIG_DATA_BYTES);
			rig->data[at[i]] ^= 0x80;
			rig->data[RIG_DATA_BYTES - 1] ^= 0x40; /* a later one does not matter */
			blocks_extent(rig, SCSI_VERIFY_16, SCSI_BYTCHK_COMPARE, 4, count,
				      RIG_DATA_BYTES);
			assert_miscompare(rig, at[i]);
		}
	}
}

/* Over more than one scratch buffer: the disk is larger. */
static void verify_with_one_block(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (unsigned lun = 0; lun < NOTHING; lun++) {
		uint32_t block = blocks_to_lun(rig, lun)->block_bytes, blocks = BYTES / block;

		memset(rig->data, 0, block);
		assert_int_equal(
			blocks_extent(rig, SCSI_VERIFY_12, SCSI_BYTCHK_ONE, 0, blocks, block),
			HBA_GOOD);
		blocks_write(rig, blocks - 2, 1, 1);
		memset(rig->data, 0, block);
		blocks_extent(rig, SCSI_VERIFY_12, SCSI_BYTCHK_ONE, 0, blocks, block);
		assert_miscompare(rig, (uint64_t)(blocks - 2) * block);
		blocks_extent(rig, SCSI_VERIFY_12, SCSI_BYTCHK_ONE, 5, blocks - 5, block);
		assert_miscompare(rig, (uint64_t)(blocks - 7) * block);
	}
}

static void verify_of_the_medium_alone(void **state)
{
	struct bench *b = *state;
	struct rig *rig = &b->rig;
	struct scsi_sense sense;

	assert_int_equal(blocks_extent(rig, SCSI_VERIFY_10, 0, 0, BYTES / 512, 0), HBA_GOOD);
	blocks_to_lun(rig, FILE_512);
	assert_int_equal(blocks_extent(rig, SCSI_VERIFY_10, 0, 0, BYTES / 512, 0), HBA_GOOD);
	/* blocks that cannot be read any more */
	assert_int_equal(truncate(b->paths[0], 700 * 512), 0);
	assert_int_equal(blocks_extent(rig, SCSI_VERIFY_10, 0, 0, BYTES / 512, 0),
			 HBA_CHECK_CONDITION);
	sense = rig_assert_sense(rig, SCSI_MEDIUM_ERROR, SCSI_ASC_UNRECOVERED_READ_ERROR);
	assert_true(sense.has_information);
	assert_int_equal(sense.information, 700);
}

static void bytchk_that_is_reserved(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	blocks_extent(rig, SCSI_VERIFY_10, 0x04, 0, 1, 512);
	rig_assert_field(rig, 1, 2);
	blocks_extent(rig, SCSI_WRITE_AND_VERIFY_16, 0x04, 0, 1, 512);
	rig_assert_field(rig, 1, 2);
	blocks_extent(rig, SCSI_WRITE_AND_VERIFY_16, SCSI_BYTCHK_ONE, 0, 1, 512);
	rig_assert_field(rig, 1, 2);
}

static void write_and_verify_writes(void **state)
{
	static const uint8_t opcodes[] = { SCSI_WRITE_AND_VERIFY_10, SCSI_WRITE_AND_VERIFY_12,
					   SCSI_WRITE_AND_VERIFY_16 };
	struct rig *rig = &((struct bench *)*state)->rig;

	for (unsigned lun = 0; lun < NOTHING; lun++)
		for (unsigned i = 0; i < 3; i++)
			for (unsigned compare = 0; compare < 2; compare++) {
				uint32_t block = blocks_to_lun(rig, lun)->block_bytes;
				uint8_t value = (uint8_t)(lun * 16 + i * 2 + compare + 1);

				memset(rig->data, value, RIG_DATA_BYTES);
				blocks_extent(rig, opcodes[i], compare ? SCSI_BYTCHK_COMPARE : 0, 3,
					      RIG_DATA_BYTES / block, RIG_DATA_BYTES);
				assert_int_equal(rig->last.command.outcome, HBA_GOOD);
				assert_int_equal(rig->last.command.bytes, RIG_DATA_BYTES);
				blocks_assert(rig, 3, RIG_DATA_BYTES / block, value);
			}
	/* A disk that keeps nothing is found out. */
	blocks_to_lun(rig, NOTHING);
	memset(rig->data, 0, 512);
	rig->data[100] = 1;
	blocks_extent(rig, SCSI_WRITE_AND_VERIFY_10, SCSI_BYTCHK_COMPARE, 0, 1, 512);
	assert_miscompare(rig, 100);
}

/* ---- COMPARE AND WRITE, ORWRITE */

static void compare_and_write_writes_if_equal(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (unsigned lun = 0; lun < NOTHING; lun++) {
		uint32_t block = blocks_to_lun(rig, lun)->block_bytes,
			 count = RIG_DATA_BYTES / 2 / block;

		blocks_write(rig, 7, count, 0x33);
		memset(rig->data, 0x33, RIG_DATA_BYTES / 2);
		memset(rig->data + RIG_DATA_BYTES / 2, 0x44, RIG_DATA_BYTES / 2);
		assert_int_equal(
			blocks_extent(rig, SCSI_COMPARE_AND_WRITE, 0, 7, count, RIG_DATA_BYTES),
			HBA_GOOD);
		assert_int_equal(rig->last.command.bytes, RIG_DATA_BYTES);
		blocks_assert(rig, 7, count, 0x44);
		memset(rig->data, 0x44, RIG_DATA_BYTES);
		rig->data[block + 5] = 0;
		assert_int_equal(blocks_extent(rig, SCSI_COMPARE_AND_WRITE, SCSI_FUA, 7, count,
					       RIG_DATA_BYTES),
				 HBA_CHECK_CONDITION);
		assert_miscompare(rig, block + 5);
		blocks_assert(rig, 7, count, 0x44);
		blocks_assert(rig, 6, 1, 0);
		blocks_assert(rig, 7 + count, 1, 0);
	}
}

static void compare_and_write_refuses(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	struct scsi_cdb cdb =
		RIG_CDB(SCSI_COMPARE_AND_WRITE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 1, 0, 0);

	/* its count has one byte: the three before it are reserved */
	rig_run(rig, &cdb, HBA_TO_TARGET, 1024);
	rig_assert_field(rig, 12, 4);
	blocks_extent(rig, SCSI_COMPARE_AND_WRITE, 0, 0, 1, 512); /* only what to compare with */
	rig_assert_field(rig, 13, 7);
}

static void orwrite_merges(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (unsigned lun = 0; lun < NOTHING; lun++) {
		uint32_t block = blocks_to_lun(rig, lun)->block_bytes,
			 count = RIG_DATA_BYTES / block;

		blocks_write(rig, 2, count, 0x0f);
		memset(rig->data, 0x81, RIG_DATA_BYTES);
		assert_int_equal(
			blocks_extent(rig, SCSI_ORWRITE_16, SCSI_FUA, 2, count, RIG_DATA_BYTES),
			HBA_GOOD);
		assert_int_equal(rig->last.command.bytes, RIG_DATA_BYTES);
		blocks_assert(rig, 2, count, 0x8f);
		blocks_assert(rig, 1, 1, 0);
		blocks_assert(rig, 2 + count, 1, 0);
	}
}

/* ---- WRITE SAME */

static void write_same_repeats(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (unsigned lun = 0; lun < NOTHING; lun++) {
		/* several scratch buffers */
		uint32_t block = blocks_to_lun(rig, lun)->block_bytes, count = 200 * 1024 / block;

		memset(rig->data, 0x77, block);
		assert_int_equal(blocks_extent(rig, SCSI_WRITE_SAME_16, 0, 2, count, block),
				 HBA_GOOD);
		blocks_assert(rig, 1, 1, 0);
		blocks_assert(rig, 2, RIG_DATA_BYTES / block, 0x77);
		blocks_assert(rig, 2 + count - 1, 1, 0x77);
		blocks_assert(rig, 2 + count, 1, 0);
		/* UNMAP may only be what gives the same bytes back. */
		memset(rig->data, 0x66, block);
		assert_int_equal(blocks_extent(rig, SCSI_WRITE_SAME_10, SCSI_WRITE_SAME_UNMAP, 2,
					       count, block),
				 HBA_GOOD);
		blocks_assert(rig, 2 + count - 1, 1, 0x66);
		assert_int_equal(blocks_extent(rig, SCSI_WRITE_SAME_16, SCSI_NDOB, 2, 1, 0),
				 HBA_GOOD);
		blocks_assert(rig, 2, 1, 0);
		blocks_assert(rig, 3, 1, 0x66);
	}
}

static void write_same_of_zero_blocks_goes_to_the_end(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (unsigned lun = 0; lun < NOTHING; lun++) {
		const struct target_unit *unit = blocks_to_lun(rig, lun);

		memset(rig->data, 0x99, unit->block_bytes);
		assert_int_equal(blocks_extent(rig, SCSI_WRITE_SAME_10, 0, 5, 0, unit->block_bytes),
				 HBA_GOOD);
		blocks_assert(rig, 4, 1, 0);
		blocks_assert(rig, 5, 1, 0x99);
		blocks_assert(rig, unit->blocks - 1, 1, 0x99);
		assert_int_equal(blocks_extent(rig, SCSI_WRITE_SAME_16,
					       SCSI_WRITE_SAME_UNMAP | SCSI_NDOB, 6, 0, 0),
				 HBA_GOOD);
		blocks_assert(rig, 5, 1, 0x99);
		blocks_assert(rig, 6, 1, 0);
		blocks_assert(rig, unit->blocks - 1, 1, 0);
	}
}

static void write_same_refuses(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	struct store *store;

	blocks_extent(rig, SCSI_WRITE_SAME_10, SCSI_ANCHOR, 0, 1, 512);
	rig_assert_field(rig, 1, 4);
	blocks_extent(rig, SCSI_WRITE_SAME_16, SCSI_ANCHOR | SCSI_WRITE_SAME_UNMAP, 0, 1, 512);
	rig_assert_field(rig, 1, 4);
	blocks_extent(rig, SCSI_WRITE_SAME_10, SCSI_NDOB, 0, 1, 512); /* which only (16) has */
	rig_assert_field(rig, 1, 0);
	blocks_to_lun(rig, NOTHING); /* not thin */
	blocks_extent(rig, SCSI_WRITE_SAME_10, SCSI_WRITE_SAME_UNMAP, 0, 1, 512);
	rig_assert_field(rig, 1, 3);
	assert_int_equal(store_open_null(UINT64_C(1) << 40, NULL_FILL_ZERO, &store, rig->message),
			 0);
	rig_add(rig, store, 512, false);
	blocks_to_lun(rig, UNITS);
	assert_int_equal(blocks_extent(rig, SCSI_WRITE_SAME_16, SCSI_NDOB, 0, 65536, 0), HBA_GOOD);
	blocks_extent(rig, SCSI_WRITE_SAME_16, SCSI_NDOB, 0, 65537, 0); /* beyond the longest */
	rig_assert_field(rig, 10, 7);
	/* to the end, which is as far */
	blocks_extent(rig, SCSI_WRITE_SAME_16, SCSI_NDOB, 0, 0, 0);
	rig_assert_field(rig, 10, 7);
	assert_int_equal(blocks_extent(rig, SCSI_WRITE_SAME_16, SCSI_NDOB,
				       (UINT64_C(1) << 31) - 65536, 0, 0),
			 HBA_GOOD);
}

/* ---- what is flushed */

static unsigned flushes;

static int count_flush(struct store *s, struct store_io *io)
{
	(void)s;
	(void)io;
	flushes++;
	return 0;
}

/*
 * A memory store that would rather be flushed; FUA, FUA_NV, WRITE AND VERIFY and a cache turned off
 * all do, nothing else.
 */
static void forced_writes_are_flushed(void **state)
{
	static const struct {
		uint8_t opcode, flags, flushes, through;
	} cases[] = {
		{ SCSI_WRITE_10, 0, 0, 1 },
		{ SCSI_WRITE_10, SCSI_DPO, 0, 1 },
		{ SCSI_WRITE_10, SCSI_FUA, 1, 1 },
		{ SCSI_WRITE_10, SCSI_FUA_NV, 1, 1 },
		{ SCSI_READ_10, 0, 0, 0 },
		{ SCSI_READ_10, SCSI_FUA, 1, 1 },
		{ SCSI_WRITE_AND_VERIFY_10, 0, 1, 1 },
		{ SCSI_VERIFY_10, 0, 0, 0 },
		{ SCSI_COMPARE_AND_WRITE, 0, 0, 1 },
		{ SCSI_COMPARE_AND_WRITE, SCSI_FUA, 1, 1 },
		{ SCSI_ORWRITE_16, 0, 0, 1 },
		{ SCSI_ORWRITE_16, SCSI_FUA_NV, 1, 1 },
		{ SCSI_WRITE_SAME_10, 0, 0, 1 },
		{ SCSI_SYNCHRONIZE_CACHE_10, 0, 1, 1 },
		{ SCSI_SYNCHRONIZE_CACHE_16, SCSI_IMMED, 1, 1 },
	};
	struct rig *rig = &((struct bench *)*state)->rig;
	struct target_unit *unit = blocks_to_lun(rig, RAM_512);
	const struct store_ops *plain = unit->store->ops;
	struct store_ops ops = *plain;

	ops.flush = count_flush;
	unit->store->ops = &ops;
	for (unsigned through = 0; through < 2; through++)
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			struct scsi_cdb cdb = { .length =
							(uint8_t)scsi_cdb_length(cases[i].opcode) };

			cdb.bytes[0] = cases[i].opcode;
			cdb.bytes[1] = cases[i].flags;
			/* the last byte of its count, in each of them */
			cdb.bytes[cdb.length == 10 ? 8 : 13] = 1;
			memset(rig->data, 0, 1024);
			flushes = 0;
			unit->write_through = through;
			rig_run(rig, &cdb,
				cases[i].opcode == SCSI_READ_10 ? HBA_FROM_TARGET : HBA_TO_TARGET,
				1024);
			assert_int_equal(rig->last.command.outcome, HBA_GOOD);
			assert_int_equal(flushes, through ? cases[i].through : cases[i].flushes);
		}
	unit->store->ops = plain;
}

/* ---- FUA_NV, pages, capacity */

static void fua_nv_is_understood(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	struct scsi_cdb cdb = rig_rw(HBA_TO_TARGET, 0, 1, 10, false);

	for (unsigned lun = 0; lun < UNITS; lun++) {
		blocks_to_lun(rig, lun);
		memset(rig->data, 1, 4096);
		cdb.bytes[0] = SCSI_WRITE_10;
		cdb.bytes[1] = SCSI_FUA_NV | SCSI_DPO;
		assert_int_equal(rig_run(rig, &cdb, HBA_TO_TARGET, 4096), HBA_GOOD);
		cdb.bytes[0] = SCSI_READ_10;
		assert_int_equal(rig_run(rig, &cdb, HBA_FROM_TARGET, 4096), HBA_GOOD);
	}
}

#define WITH_BENCH(f) cmocka_unit_test_setup_teardown(f, blocks_setup, blocks_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BENCH(good_on_every_store),
		WITH_BENCH(ranges_end_where_the_medium_ends),
		WITH_BENCH(no_data_are_refused_and_nothing_is_written),
		WITH_BENCH(protection_is_refused),
		WITH_BENCH(write_protected),
		WITH_BENCH(longest_transfer_holds),
		WITH_BENCH(verify_finds_the_first_difference),
		WITH_BENCH(verify_with_one_block),
		WITH_BENCH(verify_of_the_medium_alone),
		WITH_BENCH(bytchk_that_is_reserved),
		WITH_BENCH(write_and_verify_writes),
		WITH_BENCH(compare_and_write_writes_if_equal),
		WITH_BENCH(compare_and_write_refuses),
		WITH_BENCH(orwrite_merges),
		WITH_BENCH(write_same_repeats),
		WITH_BENCH(write_same_of_zero_blocks_goes_to_the_end),
		WITH_BENCH(write_same_refuses),
		WITH_BENCH(forced_writes_are_flushed),
		WITH_BENCH(fua_nv_is_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
