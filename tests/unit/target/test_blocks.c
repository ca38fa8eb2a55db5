/* SPDX-License-Identifier: MIT */
/*
 * test_blocks.c: VERIFY, WRITE AND VERIFY, COMPARE AND WRITE, ORWRITE, WRITE SAME, UNMAP, GET LBA STATUS, PRE-FETCH and the pages that
 * go with them: what each does, and each thing that it refuses.
 */
#include "rig.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BYTES = 1 << 20, GRANULE = 4096 };
enum { RAM_512, RAM_4K, FILE_512, FILE_4K, NOTHING, UNITS };

struct bench {
	struct rig rig;
	char paths[2][64];
};

static void add_file(struct bench *b, unsigned i, uint32_t block_bytes)
{
	struct store *store;
	int fd;

	snprintf(b->paths[i], sizeof(b->paths[i]), "/tmp/hbakit-blocks-XXXXXX");
	fd = mkstemp(b->paths[i]);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, BYTES), 0);
	close(fd);
	assert_int_equal(store_open_file(b->paths[i], false, &store, b->rig.message), 0);
	rig_add(&b->rig, store, block_bytes, false);
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct store *store;

	assert_non_null(b);
	rig_open(&b->rig);
	rig_add_ram(&b->rig, BYTES, 512);
	rig_add_ram(&b->rig, BYTES, 4096);
	add_file(b, 0, 512);
	add_file(b, 1, 4096);
	assert_int_equal(store_open_null(BYTES, NULL_FILL_ZERO, &store, b->rig.message), 0);
	rig_add(&b->rig, store, 512, false);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	rig_close(&b->rig);
	for (unsigned i = 0; i < 2; i++)
		unlink(b->paths[i]);
	free(b);
	return 0;
}

static struct target_unit *to_lun(struct rig *rig, unsigned lun)
{
	assert_int_equal(scsi_lun_from_number(lun, &rig->lun), 0);
	return &rig->device.units[lun];
}

static enum hba_outcome extent(struct rig *rig, uint8_t opcode, uint8_t flags, uint64_t block, uint32_t count, uint64_t length)
{
	struct scsi_extent e = { block, count };
	struct scsi_cdb cdb;

	assert_int_equal(scsi_cdb_extent(opcode, flags, &e, &cdb), 0);
	return rig_run(rig, &cdb, length ? HBA_TO_TARGET : HBA_NO_DATA, length);
}

static enum hba_outcome run_in(struct rig *rig, struct scsi_cdb cdb, uint64_t length)
{
	return rig_run(rig, &cdb, HBA_FROM_TARGET, length);
}

static void write_blocks(struct rig *rig, uint64_t block, uint32_t count, uint8_t value)
{
	struct scsi_cdb cdb = rig_rw(HBA_TO_TARGET, block, count, 16, false);
	uint64_t length = (uint64_t)count * rig->device.units[scsi_lun_number(&rig->lun)].block_bytes;

	memset(rig->data, value, length);
	assert_int_equal(rig_run(rig, &cdb, HBA_TO_TARGET, length), HBA_GOOD);
}

/* Every byte of these blocks has this value. */
static void assert_blocks(struct rig *rig, uint64_t block, uint32_t count, uint8_t value)
{
	struct scsi_cdb cdb = rig_rw(HBA_FROM_TARGET, block, count, 16, false);
	uint64_t length = (uint64_t)count * rig->device.units[scsi_lun_number(&rig->lun)].block_bytes;

	memset(rig->data, (uint8_t)~value, length);
	assert_int_equal(rig_run(rig, &cdb, HBA_FROM_TARGET, length), HBA_GOOD);
	for (uint64_t i = 0; i < length; i++)
		assert_int_equal(rig->data[i], value);
}

static void assert_miscompare(const struct rig *rig, uint64_t offset)
{
	struct scsi_sense sense = rig_assert_sense(rig, SCSI_MISCOMPARE, SCSI_ASC_MISCOMPARE_DURING_VERIFY);

	assert_true(sense.has_information);
	assert_int_equal(sense.information, offset);
}

static void assert_range(const struct rig *rig, uint64_t block)
{
	struct scsi_sense sense = rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);

	assert_true(sense.has_information);
	assert_int_equal(sense.information, block);
}

/* ---- what all of them refuse ------------------------------------------------------------------------------------------ */

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
			const struct target_unit *unit = to_lun(rig, lun);
			uint64_t length = (uint64_t)kinds[i].blocks_of_data * unit->block_bytes;

			if (lun == NOTHING && kinds[i].flags == SCSI_WRITE_SAME_UNMAP)
				continue;
			memset(rig->data, 0, length);
			extent(rig, kinds[i].opcode, kinds[i].flags, 1, 2, length);
			assert_int_equal(rig->last.command.outcome, HBA_GOOD + kinds[i].outcome);
			assert_int_equal(rig->last.command.bytes, length);
			assert_int_equal(rig->last.command.sense_len, 0);
		}
}

/* As far as the last block, not one further; nothing at all right behind it, not one further either. */
static void ranges_end_where_the_medium_ends(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (unsigned lun = 0; lun < NOTHING; lun++)
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
			const struct kind *k = &kinds[i];
			const struct target_unit *unit = to_lun(rig, lun);
			uint64_t length = (uint64_t)k->blocks_of_data * unit->block_bytes, last = unit->blocks;

			memset(rig->data, 0, length);
			assert_int_equal(extent(rig, k->opcode, k->flags, last - 2, 2, length), HBA_GOOD + k->outcome);
			extent(rig, k->opcode, k->flags, last - 1, 2, length);
			assert_range(rig, last);
			assert_int_equal(rig->last.command.bytes, 0);
			assert_int_equal(extent(rig, k->opcode, k->flags, last, 0, length), HBA_GOOD + k->outcome);
			extent(rig, k->opcode, k->flags, last + 1, 0, length);
			assert_range(rig, last + 1);
			if (scsi_cdb_length(k->opcode) < 16)
				continue;
			extent(rig, k->opcode, k->flags, UINT64_MAX, 2, length);
			rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
		}
}

static void no_data_are_refused_and_nothing_is_written(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	write_blocks(rig, 0, 4, 0x11);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct kind *k = &kinds[i];

		if (k->blocks_of_data == 0)
			continue;
		memset(rig->data, 0x11, 4096);
		extent(rig, k->opcode, k->flags, 1, 2, k->blocks_of_data * 512U - 1);
		rig_assert_field(rig, scsi_cdb_count_at(k->opcode), 7);
		assert_int_equal(rig->last.command.bytes, 0);
		assert_blocks(rig, 0, 4, 0x11);
	}
}

static void protection_is_refused(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		for (unsigned bit = 5; bit < 8; bit++) {
			extent(rig, kinds[i].opcode, (uint8_t)(kinds[i].flags | 1U << bit), 1, 2, 4096);
			rig_assert_field(rig, 1, bit);
		}
}

static void write_protected(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (unsigned lun = 0; lun <= FILE_512; lun += FILE_512) {
		struct target_unit *unit = to_lun(rig, lun);

		write_blocks(rig, 1, 2, 0);
		unit->read_only = true;
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
			uint64_t length = (uint64_t)kinds[i].blocks_of_data * unit->block_bytes;

			memset(rig->data, 0, length);
			extent(rig, kinds[i].opcode, kinds[i].flags, 1, 2, length);
			if (kinds[i].writes)
				rig_assert_sense(rig, SCSI_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED);
			else
				assert_int_equal(rig->last.command.outcome, HBA_GOOD + kinds[i].outcome);
		}
	}
}

static void longest_transfer_holds(void **state)
{
	const struct kind *k;
	struct rig *rig = &((struct bench *)*state)->rig;
	struct target_unit *unit = to_lun(rig, RAM_512);
	struct scsi_cdb read = rig_rw(HBA_FROM_TARGET, 0, 3, 12, false), write = rig_rw(HBA_TO_TARGET, 0, 3, 10, false);

	unit->max_transfer = 2;
	assert_int_equal(rig_run(rig, &read, HBA_FROM_TARGET, 3 * 512), HBA_CHECK_CONDITION);
	rig_assert_field(rig, 6, 7);
	assert_int_equal(rig_run(rig, &write, HBA_TO_TARGET, 3 * 512), HBA_CHECK_CONDITION);
	rig_assert_field(rig, 7, 7);
	for (k = kinds; k < kinds + ARRAY_SIZE(kinds); k++) {
		if (k->blocks_of_data < 2)
			continue;
		memset(rig->data, 0, 4096);
		extent(rig, k->opcode, k->flags, 0, 3, 4096);
		rig_assert_field(rig, scsi_cdb_count_at(k->opcode), 7);
		assert_int_equal(extent(rig, k->opcode, k->flags, 0, 2, k->blocks_of_data * 512U), HBA_GOOD);
	}
}

/* ---- VERIFY, WRITE AND VERIFY ----------------------------------------------------------------------------------------- */

static void verify_finds_the_first_difference(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (unsigned lun = 0; lun < NOTHING; lun++) {
		uint32_t block = to_lun(rig, lun)->block_bytes, count = RIG_DATA_BYTES / block;
		uint64_t at[] = { 0, 1, block - 1, block, RIG_DATA_BYTES / 2 + 3, RIG_DATA_BYTES - 1 };

		write_blocks(rig, 4, count, 0x5a);
		assert_int_equal(extent(rig, SCSI_VERIFY_16, SCSI_BYTCHK_COMPARE, 4, count, RIG_DATA_BYTES), HBA_GOOD);
		for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
			memset(rig->data, 0x5a, RIG_DATA_BYTES);
			rig->data[at[i]] ^= 0x80;
			rig->data[RIG_DATA_BYTES - 1] ^= 0x40; /* a later one does not matter */
			extent(rig, SCSI_VERIFY_16, SCSI_BYTCHK_COMPARE, 4, count, RIG_DATA_BYTES);
			assert_miscompare(rig, at[i]);
		}
	}
}

/* Over more than one scratch buffer: the disk is larger. */
static void verify_with_one_block(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (unsigned lun = 0; lun < NOTHING; lun++) {
		uint32_t block = to_lun(rig, lun)->block_bytes, blocks = BYTES / block;

		memset(rig->data, 0, block);
		assert_int_equal(extent(rig, SCSI_VERIFY_12, SCSI_BYTCHK_ONE, 0, blocks, block), HBA_GOOD);
		write_blocks(rig, blocks - 2, 1, 1);
		memset(rig->data, 0, block);
		extent(rig, SCSI_VERIFY_12, SCSI_BYTCHK_ONE, 0, blocks, block);
		assert_miscompare(rig, (uint64_t)(blocks - 2) * block);
		extent(rig, SCSI_VERIFY_12, SCSI_BYTCHK_ONE, 5, blocks - 5, block);
		assert_miscompare(rig, (uint64_t)(blocks - 7) * block);
	}
}

static void verify_of_the_medium_alone(void **state)
{
	struct bench *b = *state;
	struct rig *rig = &b->rig;
	struct scsi_sense sense;

	assert_int_equal(extent(rig, SCSI_VERIFY_10, 0, 0, BYTES / 512, 0), HBA_GOOD);
	to_lun(rig, FILE_512);
	assert_int_equal(extent(rig, SCSI_VERIFY_10, 0, 0, BYTES / 512, 0), HBA_GOOD);
	assert_int_equal(truncate(b->paths[0], 700 * 512), 0); /* blocks that cannot be read any more */
	assert_int_equal(extent(rig, SCSI_VERIFY_10, 0, 0, BYTES / 512, 0), HBA_CHECK_CONDITION);
	sense = rig_assert_sense(rig, SCSI_MEDIUM_ERROR, SCSI_ASC_UNRECOVERED_READ_ERROR);
	assert_true(sense.has_information);
	assert_int_equal(sense.information, 700);
}

static void bytchk_that_is_reserved(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	extent(rig, SCSI_VERIFY_10, 0x04, 0, 1, 512);
	rig_assert_field(rig, 1, 2);
	extent(rig, SCSI_WRITE_AND_VERIFY_16, 0x04, 0, 1, 512);
	rig_assert_field(rig, 1, 2);
	extent(rig, SCSI_WRITE_AND_VERIFY_16, SCSI_BYTCHK_ONE, 0, 1, 512);
	rig_assert_field(rig, 1, 2);
}

static void write_and_verify_writes(void **state)
{
	static const uint8_t opcodes[] = { SCSI_WRITE_AND_VERIFY_10, SCSI_WRITE_AND_VERIFY_12, SCSI_WRITE_AND_VERIFY_16 };
	struct rig *rig = &((struct bench *)*state)->rig;

	for (unsigned lun = 0; lun < NOTHING; lun++)
		for (unsigned i = 0; i < 3; i++)
			for (unsigned compare = 0; compare < 2; compare++) {
				uint32_t block = to_lun(rig, lun)->block_bytes;
				uint8_t value = (uint8_t)(lun * 16 + i * 2 + compare + 1);

				memset(rig->data, value, RIG_DATA_BYTES);
				extent(rig, opcodes[i], compare ? SCSI_BYTCHK_COMPARE : 0, 3, RIG_DATA_BYTES / block,
				       RIG_DATA_BYTES);
				assert_int_equal(rig->last.command.outcome, HBA_GOOD);
				assert_int_equal(rig->last.command.bytes, RIG_DATA_BYTES);
				assert_blocks(rig, 3, RIG_DATA_BYTES / block, value);
			}
	/* A disk that keeps nothing is found out. */
	to_lun(rig, NOTHING);
	memset(rig->data, 0, 512);
	rig->data[100] = 1;
	extent(rig, SCSI_WRITE_AND_VERIFY_10, SCSI_BYTCHK_COMPARE, 0, 1, 512);
	assert_miscompare(rig, 100);
}

/* ---- COMPARE AND WRITE, ORWRITE --------------------------------------------------------------------------------------- */

static void compare_and_write_writes_if_equal(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (unsigned lun = 0; lun < NOTHING; lun++) {
		uint32_t block = to_lun(rig, lun)->block_bytes, count = RIG_DATA_BYTES / 2 / block;

		write_blocks(rig, 7, count, 0x33);
		memset(rig->data, 0x33, RIG_DATA_BYTES / 2);
		memset(rig->data + RIG_DATA_BYTES / 2, 0x44, RIG_DATA_BYTES / 2);
		assert_int_equal(extent(rig, SCSI_COMPARE_AND_WRITE, 0, 7, count, RIG_DATA_BYTES), HBA_GOOD);
		assert_int_equal(rig->last.command.bytes, RIG_DATA_BYTES);
		assert_blocks(rig, 7, count, 0x44);
		memset(rig->data, 0x44, RIG_DATA_BYTES);
		rig->data[block + 5] = 0;
		assert_int_equal(extent(rig, SCSI_COMPARE_AND_WRITE, SCSI_FUA, 7, count, RIG_DATA_BYTES), HBA_CHECK_CONDITION);
		assert_miscompare(rig, block + 5);
		assert_blocks(rig, 7, count, 0x44);
		assert_blocks(rig, 6, 1, 0);
		assert_blocks(rig, 7 + count, 1, 0);
	}
}

static void compare_and_write_refuses(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	struct scsi_cdb cdb = RIG_CDB(SCSI_COMPARE_AND_WRITE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 1, 0, 0);

	rig_run(rig, &cdb, HBA_TO_TARGET, 1024); /* its count has one byte: the three before it are reserved */
	rig_assert_field(rig, 12, 4);
	extent(rig, SCSI_COMPARE_AND_WRITE, 0, 0, 1, 512); /* only what to compare with */
	rig_assert_field(rig, 13, 7);
}

static void orwrite_merges(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (unsigned lun = 0; lun < NOTHING; lun++) {
		uint32_t block = to_lun(rig, lun)->block_bytes, count = RIG_DATA_BYTES / block;

		write_blocks(rig, 2, count, 0x0f);
		memset(rig->data, 0x81, RIG_DATA_BYTES);
		assert_int_equal(extent(rig, SCSI_ORWRITE_16, SCSI_FUA, 2, count, RIG_DATA_BYTES), HBA_GOOD);
		assert_int_equal(rig->last.command.bytes, RIG_DATA_BYTES);
		assert_blocks(rig, 2, count, 0x8f);
		assert_blocks(rig, 1, 1, 0);
		assert_blocks(rig, 2 + count, 1, 0);
	}
}

/* ---- WRITE SAME ------------------------------------------------------------------------------------------------------- */

static void write_same_repeats(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (unsigned lun = 0; lun < NOTHING; lun++) {
		uint32_t block = to_lun(rig, lun)->block_bytes, count = 200 * 1024 / block; /* several scratch buffers */

		memset(rig->data, 0x77, block);
		assert_int_equal(extent(rig, SCSI_WRITE_SAME_16, 0, 2, count, block), HBA_GOOD);
		assert_blocks(rig, 1, 1, 0);
		assert_blocks(rig, 2, RIG_DATA_BYTES / block, 0x77);
		assert_blocks(rig, 2 + count - 1, 1, 0x77);
		assert_blocks(rig, 2 + count, 1, 0);
		/* UNMAP may only be what gives the same bytes back. */
		memset(rig->data, 0x66, block);
		assert_int_equal(extent(rig, SCSI_WRITE_SAME_10, SCSI_WRITE_SAME_UNMAP, 2, count, block), HBA_GOOD);
		assert_blocks(rig, 2 + count - 1, 1, 0x66);
		assert_int_equal(extent(rig, SCSI_WRITE_SAME_16, SCSI_NDOB, 2, 1, 0), HBA_GOOD);
		assert_blocks(rig, 2, 1, 0);
		assert_blocks(rig, 3, 1, 0x66);
	}
}

static void write_same_of_zero_blocks_goes_to_the_end(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (unsigned lun = 0; lun < NOTHING; lun++) {
		const struct target_unit *unit = to_lun(rig, lun);

		memset(rig->data, 0x99, unit->block_bytes);
		assert_int_equal(extent(rig, SCSI_WRITE_SAME_10, 0, 5, 0, unit->block_bytes), HBA_GOOD);
		assert_blocks(rig, 4, 1, 0);
		assert_blocks(rig, 5, 1, 0x99);
		assert_blocks(rig, unit->blocks - 1, 1, 0x99);
		assert_int_equal(extent(rig, SCSI_WRITE_SAME_16, SCSI_WRITE_SAME_UNMAP | SCSI_NDOB, 6, 0, 0), HBA_GOOD);
		assert_blocks(rig, 5, 1, 0x99);
		assert_blocks(rig, 6, 1, 0);
		assert_blocks(rig, unit->blocks - 1, 1, 0);
	}
}

static void write_same_refuses(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	struct store *store;

	extent(rig, SCSI_WRITE_SAME_10, SCSI_ANCHOR, 0, 1, 512);
	rig_assert_field(rig, 1, 4);
	extent(rig, SCSI_WRITE_SAME_16, SCSI_ANCHOR | SCSI_WRITE_SAME_UNMAP, 0, 1, 512);
	rig_assert_field(rig, 1, 4);
	extent(rig, SCSI_WRITE_SAME_10, SCSI_NDOB, 0, 1, 512); /* which only (16) has */
	rig_assert_field(rig, 1, 0);
	to_lun(rig, NOTHING); /* not thin */
	extent(rig, SCSI_WRITE_SAME_10, SCSI_WRITE_SAME_UNMAP, 0, 1, 512);
	rig_assert_field(rig, 1, 3);
	assert_int_equal(store_open_null(UINT64_C(1) << 40, NULL_FILL_ZERO, &store, rig->message), 0);
	rig_add(rig, store, 512, false);
	to_lun(rig, UNITS);
	assert_int_equal(extent(rig, SCSI_WRITE_SAME_16, SCSI_NDOB, 0, 65536, 0), HBA_GOOD);
	extent(rig, SCSI_WRITE_SAME_16, SCSI_NDOB, 0, 65537, 0); /* beyond the longest */
	rig_assert_field(rig, 10, 7);
}

/* ---- UNMAP, GET LBA STATUS -------------------------------------------------------------------------------------------- */

static enum hba_outcome unmap(struct rig *rig, const struct scsi_extent *extents, unsigned n)
{
	size_t length = scsi_unmap_write(extents, n, rig->data);
	struct scsi_cdb cdb = scsi_cdb_unmap_list((uint16_t)length);

	return rig_run(rig, &cdb, HBA_TO_TARGET, length);
}

static unsigned lba_status(struct rig *rig, uint64_t block, struct scsi_lba_status *status, unsigned most)
{
	int n;

	assert_int_equal(run_in(rig, scsi_cdb_lba_status(block, 8 + 16 * most), 8 + 16 * most), HBA_GOOD);
	n = scsi_lba_status_read(rig->data, rig->last.command.bytes, status, most);
	assert_true(n >= 1);
	assert_int_equal(status[0].extent.block, block);
	return (unsigned)n;
}

static void unmap_gives_room_back(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (unsigned lun = 0; lun < NOTHING; lun++) {
		uint32_t block = to_lun(rig, lun)->block_bytes, per = GRANULE / block, blocks = BYTES / block;
		struct scsi_extent extents[] = { { 2 * per, per }, { 0, 0 }, { 8 * per, 3 * per } };
		struct scsi_lba_status s[8];

		/* Nothing has been written: one hole. */
		assert_int_equal(lba_status(rig, 1, s, 8), 1);
		assert_true(s[0].provisioning == SCSI_DEALLOCATED && s[0].extent.count == blocks - 1);
		write_blocks(rig, 0, 16 * per, 0xee);
		assert_int_equal(lba_status(rig, 0, s, 8), 2);
		assert_true(s[0].provisioning == SCSI_MAPPED && s[0].extent.count == 16 * per);
		assert_true(s[1].provisioning == SCSI_DEALLOCATED && s[1].extent.count == blocks - 16 * per);

		assert_int_equal(unmap(rig, extents, 3), HBA_GOOD);
		assert_int_equal(rig->last.command.bytes, 8 + 3 * 16);
		assert_int_equal(lba_status(rig, 0, s, 8), 6);
		for (unsigned i = 0; i < 6; i++)
			assert_int_equal(s[i].provisioning, i % 2 ? SCSI_DEALLOCATED : SCSI_MAPPED);
		assert_true(s[1].extent.block == 2 * per && s[1].extent.count == per);
		assert_true(s[3].extent.block == 8 * per && s[3].extent.count == 3 * per);
		assert_int_equal(s[4].extent.count, 5 * per);
		assert_blocks(rig, 2 * per - 1, 1, 0xee);
		assert_blocks(rig, 2 * per, per, 0);
		assert_blocks(rig, 3 * per, 5 * per, 0xee);
		assert_blocks(rig, 8 * per, 3 * per, 0);
		assert_blocks(rig, 11 * per, 5 * per, 0xee);
		/* Reading takes no room. */
		assert_int_equal(lba_status(rig, 8 * per, s, 1), 1);
		assert_int_equal(s[0].provisioning, SCSI_DEALLOCATED);
	}
}

/* A part of a granule becomes zeros and stays mapped. */
static void unmap_of_parts(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (unsigned lun = RAM_512; lun <= FILE_512; lun += FILE_512) {
		struct scsi_extent extents[] = { { 3, 2 }, { 14, 12 } };
		struct scsi_lba_status s[4];

		to_lun(rig, lun);
		write_blocks(rig, 0, 40, 0xcc);
		assert_int_equal(unmap(rig, extents, 2), HBA_GOOD);
		assert_blocks(rig, 0, 3, 0xcc);
		assert_blocks(rig, 3, 2, 0);
		assert_blocks(rig, 5, 9, 0xcc);
		assert_blocks(rig, 14, 12, 0);
		assert_blocks(rig, 26, 14, 0xcc);
		assert_int_equal(lba_status(rig, 0, s, 4), 4);
		assert_true(s[0].provisioning == SCSI_MAPPED && s[0].extent.count == 16);
		assert_true(s[1].provisioning == SCSI_DEALLOCATED && s[1].extent.count == 8);
		assert_true(s[2].provisioning == SCSI_MAPPED && s[2].extent.count == 16);
	}
}

static uint64_t file_blocks(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_blocks;
}

static void unmap_frees_blocks_of_the_file(void **state)
{
	struct bench *b = *state;
	struct rig *rig = &b->rig;
	struct scsi_extent half = { 0, BYTES / 512 / 2 };
	struct stat st;
	uint64_t full;

	to_lun(rig, FILE_512);
	memset(rig->data, 0xab, 512);
	assert_int_equal(extent(rig, SCSI_WRITE_SAME_10, 0, 0, 0, 512), HBA_GOOD);
	assert_int_equal(extent(rig, SCSI_SYNCHRONIZE_CACHE_10, 0, 0, 0, 0), HBA_GOOD);
	full = file_blocks(b->paths[0]);
	assert_true(full >= BYTES / 512);
	assert_int_equal(unmap(rig, &half, 1), HBA_GOOD);
	assert_int_equal(file_blocks(b->paths[0]), full - BYTES / 512 / 2);
	assert_int_equal(extent(rig, SCSI_WRITE_SAME_16, SCSI_NDOB | SCSI_WRITE_SAME_UNMAP, 0, 0, 0), HBA_GOOD);
	assert_int_equal(file_blocks(b->paths[0]), full - BYTES / 512);
	assert_int_equal(stat(b->paths[0], &st), 0);
	assert_int_equal(st.st_size, BYTES);
}

/* Resident pages of the whole process; only large differences mean anything. */
static uint64_t resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long all, resident;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu %lu", &all, &resident), 2);
	fclose(f);
	return (uint64_t)resident * 4096;
}

static void unmap_frees_memory(void **state)
{
	enum { MUCH = 64 << 20 };
	struct rig *rig = &((struct bench *)*state)->rig;
	uint64_t before, full;

	rig_add_ram(rig, MUCH, 4096);
	to_lun(rig, UNITS);
	before = resident_bytes();
	memset(rig->data, 0xab, 4096);
	assert_int_equal(extent(rig, SCSI_WRITE_SAME_10, 0, 0, 0, 4096), HBA_GOOD);
	full = resident_bytes();
	assert_true(full > before + MUCH * 9 / 10);
	assert_int_equal(extent(rig, SCSI_WRITE_SAME_16, SCSI_NDOB | SCSI_WRITE_SAME_UNMAP, 0, 0, 0), HBA_GOOD);
	/* Against what was full, not what was empty: TSan's shadow of the memory stays. */
	assert_true(resident_bytes() < full - MUCH * 9 / 10);
	assert_blocks(rig, 0, 1, 0);
}

static void assert_list_field(const struct rig *rig, unsigned byte)
{
	struct scsi_sense s = rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_PARAMETER_LIST);

	assert_true(s.has_field && !s.field_in_cdb);
	assert_int_equal(s.field_byte, byte);
}

static void unmap_refuses(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	struct scsi_extent many[257] = { { 0, 1 } }, good = { 0, 8 }, two[] = { { 0, 8 }, { BYTES / 512 - 1, 2 } };
	struct scsi_cdb cdb = scsi_cdb_unmap_list(24);

	write_blocks(rig, 0, 8, 1);
	assert_int_equal(unmap(rig, two, 2), HBA_CHECK_CONDITION); /* the first one is well, and is not done either */
	assert_range(rig, BYTES / 512);
	assert_blocks(rig, 0, 8, 1);
	assert_int_equal(unmap(rig, many, 257), HBA_CHECK_CONDITION);
	assert_list_field(rig, 2);
	assert_blocks(rig, 0, 8, 1);
	scsi_unmap_write(&good, 1, rig->data);
	rig->data[1] = 21; /* data that end within their only descriptor */
	rig_run(rig, &cdb, HBA_TO_TARGET, 24);
	assert_list_field(rig, 2);
	scsi_unmap_write(&good, 1, rig->data);
	rig_run(rig, &cdb, HBA_TO_TARGET, 23); /* fewer than the CDB says */
	rig_assert_field(rig, 7, 7);
	cdb = scsi_cdb_unmap_list(7);
	rig_run(rig, &cdb, HBA_TO_TARGET, 7);
	rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_PARAMETER_LIST_LENGTH_ERROR);
	cdb = scsi_cdb_unmap_list(24);
	cdb.bytes[1] = 1; /* ANCHOR */
	rig_run(rig, &cdb, HBA_TO_TARGET, 24);
	rig_assert_field(rig, 1, 0);
	rig->device.units[0].read_only = true;
	assert_int_equal(unmap(rig, &good, 1), HBA_CHECK_CONDITION);
	rig_assert_sense(rig, SCSI_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED);
	rig->device.units[0].read_only = false;
	assert_blocks(rig, 0, 8, 1);
	to_lun(rig, NOTHING);
	assert_int_equal(unmap(rig, &good, 1), HBA_CHECK_CONDITION);
	rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
}

static void unmap_of_too_many_blocks(void **state)
{
	enum { MOST = 1 << 24 };
	struct rig *rig = &((struct bench *)*state)->rig;
	struct scsi_extent extents[] = { { 0, 5 }, { 8, MOST - 5 }, { 100, 1 } };

	rig_add_ram(rig, UINT64_C(16) << 30, 512);
	to_lun(rig, UNITS);
	assert_int_equal(unmap(rig, extents, 2), HBA_GOOD);
	assert_int_equal(unmap(rig, extents, 3), HBA_CHECK_CONDITION);
	assert_list_field(rig, 8 + 2 * 16 + 8);
}

/* Lists of nothing, and of which a part is cut, are no mistakes (SBC-3 5.28). */
static void unmap_of_nothing_and_of_parts(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	struct scsi_extent two[] = { { 0, 8 }, { 8, 8 } };
	struct scsi_cdb cdb = scsi_cdb_unmap_list(0);

	write_blocks(rig, 0, 16, 1);
	assert_int_equal(rig_run(rig, &cdb, HBA_NO_DATA, 0), HBA_GOOD);
	assert_int_equal(unmap(rig, two, 0), HBA_GOOD);
	assert_blocks(rig, 0, 16, 1);
	cdb = scsi_cdb_unmap_list(8 + 31);
	scsi_unmap_write(two, 2, rig->data);
	assert_int_equal(rig_run(rig, &cdb, HBA_TO_TARGET, 8 + 31), HBA_GOOD);
	assert_blocks(rig, 0, 8, 0);
	assert_blocks(rig, 8, 8, 1);
}

static void lba_status_is_cut_and_refused(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	struct scsi_lba_status s[2];

	for (unsigned i = 0; i < 4; i++)
		write_blocks(rig, 16 * i, 8, 1);
	assert_int_equal(run_in(rig, scsi_cdb_lba_status(0, 8 + 16 + 15), 1024), HBA_GOOD);
	assert_int_equal(rig->last.command.bytes, 24);
	assert_int_equal(get_be32(rig->data), 4 + 16);
	assert_int_equal(run_in(rig, scsi_cdb_lba_status(0, 4), 1024), HBA_GOOD);
	assert_int_equal(rig->last.command.bytes, 4);
	run_in(rig, scsi_cdb_lba_status(BYTES / 512, 24), 24);
	assert_range(rig, BYTES / 512);
	assert_int_equal(lba_status(rig, BYTES / 512 - 1, s, 2), 1);
	assert_int_equal(s[0].extent.count, 1);
	to_lun(rig, NOTHING); /* not thin: all of it is there */
	assert_int_equal(lba_status(rig, 3, s, 2), 1);
	assert_true(s[0].provisioning == SCSI_MAPPED && s[0].extent.count == BYTES / 512 - 3);
}

/* ---- what is flushed -------------------------------------------------------------------------------------------------- */

static unsigned flushes;

static int count_flush(struct store *s, struct store_io *io)
{
	(void)s;
	(void)io;
	flushes++;
	return 0;
}

/* A memory store that would rather be flushed; FUA, FUA_NV, WRITE AND VERIFY and a cache turned off all do, nothing else. */
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
	struct target_unit *unit = to_lun(rig, RAM_512);
	const struct store_ops *plain = unit->store->ops;
	struct store_ops ops = *plain;

	ops.flush = count_flush;
	unit->store->ops = &ops;
	for (unsigned through = 0; through < 2; through++)
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			struct scsi_cdb cdb = { .length = (uint8_t)scsi_cdb_length(cases[i].opcode) };

			cdb.bytes[0] = cases[i].opcode;
			cdb.bytes[1] = cases[i].flags;
			cdb.bytes[cdb.length == 10 ? 8 : 13] = 1; /* the last byte of its count, in each of them */
			memset(rig->data, 0, 1024);
			flushes = 0;
			unit->write_through = through;
			rig_run(rig, &cdb, cases[i].opcode == SCSI_READ_10 ? HBA_FROM_TARGET : HBA_TO_TARGET, 1024);
			assert_int_equal(rig->last.command.outcome, HBA_GOOD);
			assert_int_equal(flushes, through ? cases[i].through : cases[i].flushes);
		}
	unit->store->ops = plain;
}

/* ---- FUA_NV, pages, capacity ------------------------------------------------------------------------------------------ */

static void fua_nv_is_understood(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	struct scsi_cdb cdb = rig_rw(HBA_TO_TARGET, 0, 1, 10, false);

	for (unsigned lun = 0; lun < UNITS; lun++) {
		to_lun(rig, lun);
		memset(rig->data, 1, 4096);
		cdb.bytes[0] = SCSI_WRITE_10;
		cdb.bytes[1] = SCSI_FUA_NV | SCSI_DPO;
		assert_int_equal(rig_run(rig, &cdb, HBA_TO_TARGET, 4096), HBA_GOOD);
		cdb.bytes[0] = SCSI_READ_10;
		assert_int_equal(rig_run(rig, &cdb, HBA_FROM_TARGET, 4096), HBA_GOOD);
	}
}

static void pages_say_what_there_is(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (unsigned lun = 0; lun < UNITS; lun++) {
		struct target_unit *unit = to_lun(rig, lun);
		bool thin = lun != NOTHING;
		struct scsi_provisioning p;
		struct scsi_block_limits l;
		struct scsi_capacity c;

		run_in(rig, scsi_cdb_inquiry_vpd(SCSI_VPD_BLOCK_LIMITS, 255), 255);
		assert_int_equal(scsi_vpd_read_limits(rig->data, rig->last.command.bytes, &l), 0);
		assert_int_equal(l.max_compare_and_write, 255);
		assert_int_equal(l.max_transfer, 0);
		assert_int_equal(l.optimal_transfer, (1 << 20) / unit->block_bytes);
		assert_int_equal(l.max_unmap_descriptors, thin ? 256 : 0);
		assert_int_equal(l.max_unmap_blocks, thin ? 1 << 24 : 0);
		assert_int_equal(l.unmap_granularity, thin ? GRANULE / unit->block_bytes : 0);
		assert_int_equal(l.max_write_same, (32 << 20) / unit->block_bytes);
		assert_false(l.write_same_nonzero);
		run_in(rig, scsi_cdb_inquiry_vpd(SCSI_VPD_LOGICAL_BLOCK_PROVISIONING, 255), 255);
		assert_int_equal(scsi_vpd_read_provisioning(rig->data, rig->last.command.bytes, &p), 0);
		assert_true(p.unmap == thin && p.write_same_10 == thin && p.write_same_16 == thin && p.reads_zero == thin);
		assert_int_equal(p.type, thin ? SCSI_THIN_PROVISIONED : SCSI_FULLY_PROVISIONED);
		run_in(rig, scsi_cdb_inquiry_vpd(SCSI_VPD_BLOCK_CHARACTERISTICS, 255), 255);
		assert_int_equal(rig->last.command.bytes, 64);
		assert_int_equal(get_be16(rig->data + 4), 1);
		run_in(rig, scsi_cdb_inquiry_vpd(SCSI_VPD_EXTENDED_INQUIRY, 255), 255);
		assert_int_equal(rig->last.command.bytes, 64);
		assert_int_equal(rig->data[5] & 1, 1);                             /* SIMPSUP */
		assert_int_equal(rig->data[6], lun == FILE_512 || lun == FILE_4K); /* V_SUP: a file has the page cache before it */
		run_in(rig, scsi_cdb_read_capacity_16(32), 32);
		assert_int_equal(scsi_capacity_read_16(rig->data, 32, &c), 0);
		assert_true(c.provisioned == thin && c.reads_zero == thin);
		assert_int_equal(c.physical_exponent, thin && unit->block_bytes == 512 ? 3 : 0);
		unit->max_transfer = 16;
		run_in(rig, scsi_cdb_inquiry_vpd(SCSI_VPD_BLOCK_LIMITS, 255), 255);
		assert_int_equal(scsi_vpd_read_limits(rig->data, rig->last.command.bytes, &l), 0);
		assert_true(l.max_transfer == 16 && l.optimal_transfer == 16 && l.max_compare_and_write == 16);
	}
}

/* Written by somebody else: sg_vpd names the page's fields. Skipped where there is no sg_vpd. */
static void sg_vpd_reads_the_pages(void **state)
{
	static const struct {
		uint8_t page;
		const char *says;
	} expected[] = {
		{ SCSI_VPD_BLOCK_LIMITS, "Maximum compare and write length: 255 blocks" },
		{ SCSI_VPD_BLOCK_LIMITS, "Maximum unmap block descriptor count: 256" },
		{ SCSI_VPD_BLOCK_LIMITS, "Optimal unmap granularity: 8 blocks" },
		{ SCSI_VPD_BLOCK_CHARACTERISTICS, "Non-rotating medium" },
		{ SCSI_VPD_LOGICAL_BLOCK_PROVISIONING, "Unmap command supported (LBPU): 1" },
		{ SCSI_VPD_LOGICAL_BLOCK_PROVISIONING, "thin provisioned" },
		{ SCSI_VPD_EXTENDED_INQUIRY, "SIMPSUP=1" },
	};
	struct rig *rig = &((struct bench *)*state)->rig;
	char path[32], command[128], text[8192];

	if (access("/usr/bin/sg_vpd", X_OK) != 0)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		FILE *f;
		size_t n;

		snprintf(path, sizeof(path), "/tmp/hbakit-vpd-XXXXXX");
		f = fdopen(mkstemp(path), "w");
		assert_non_null(f);
		run_in(rig, scsi_cdb_inquiry_vpd(expected[i].page, 255), 255);
		for (uint64_t b = 0; b < rig->last.command.bytes; b++)
			fprintf(f, "%02x%c", rig->data[b], b % 16 == 15 ? '\n' : ' ');
		fclose(f);
		snprintf(command, sizeof(command), "/usr/bin/sg_vpd --inhex=%s --page=0x%02x 2>&1", path, expected[i].page);
		f = popen(command, "r");
		assert_non_null(f);
		n = fread(text, 1, sizeof(text) - 1, f);
		text[n] = '\0';
		pclose(f);
		unlink(path);
		if (!strstr(text, expected[i].says))
			fail_msg("no \"%s\" in: %s", expected[i].says, text);
	}
}

#define WITH_BENCH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

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
		WITH_BENCH(unmap_gives_room_back),
		WITH_BENCH(unmap_of_parts),
		WITH_BENCH(unmap_frees_blocks_of_the_file),
		WITH_BENCH(unmap_frees_memory),
		WITH_BENCH(unmap_refuses),
		WITH_BENCH(unmap_of_too_many_blocks),
		WITH_BENCH(unmap_of_nothing_and_of_parts),
		WITH_BENCH(lba_status_is_cut_and_refused),
		WITH_BENCH(forced_writes_are_flushed),
		WITH_BENCH(fua_nv_is_understood),
		WITH_BENCH(pages_say_what_there_is),
		WITH_BENCH(sg_vpd_reads_the_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
