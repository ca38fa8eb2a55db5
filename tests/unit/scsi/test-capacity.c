/* SPDX-License-Identifier: MIT */
/*
 * test-capacity.c: READ CAPACITY's answers there and back, and at their edges. (Against libiscsi:
 * compare-libiscsi.c.)
 */
#include "scsi-test.h"
#include "scsi/scsi.h"

#include <errno.h>

enum { BYTES_10 = 8, BYTES_16 = 32 };

static struct scsi_capacity random_capacity(struct random_source *r, unsigned bits)
{
	uint64_t last = random_bits(r, bits);

	return (struct scsi_capacity) {
		.blocks = last == UINT64_MAX ? last : last + 1,
		.block_bytes = 1 + (uint32_t)random_bits(r, 31),
		.protection = random_bool(r),
		.provisioned = random_bool(r),
		.reads_zero = random_bool(r),
		.physical_exponent = (uint8_t)random_below(r, 16),
		.lowest_aligned = (uint16_t)random_below(r, 1 << 14),
	};
}

static void test_10_there_and_back(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct scsi_capacity c = random_capacity(&r, 64), again;
		uint8_t bytes[BYTES_10];

		memset(bytes, 0xa5, sizeof(bytes));
		assert_int_equal(scsi_capacity_write_10(&c, bytes), BYTES_10);
		assert_int_equal(scsi_capacity_read_10(bytes, BYTES_10, &again), 0);
		assert_int_equal(again.block_bytes, c.block_bytes);
		assert_int_equal(again.needs_16, c.blocks > UINT32_MAX);
		assert_int_equal(again.blocks,
				 c.blocks > UINT32_MAX ? UINT64_C(1) << 32 : c.blocks);
		assert_false(again.protection || again.provisioned || again.reads_zero);
	}
}

static void test_16_there_and_back(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct scsi_capacity c = random_capacity(&r, 64), again;
		uint8_t bytes[BYTES_16];

		memset(bytes, 0xa5, sizeof(bytes));
		assert_int_equal(scsi_capacity_write_16(&c, bytes), BYTES_16);
		assert_int_equal(scsi_capacity_read_16(bytes, BYTES_16, &again), 0);
		assert_int_equal(again.blocks, c.blocks);
		assert_int_equal(again.block_bytes, c.block_bytes);
		assert_false(again.needs_16);
		assert_int_equal(again.protection, c.protection);
		assert_int_equal(again.provisioned, c.provisioned);
		assert_int_equal(again.reads_zero, c.reads_zero);
		assert_int_equal(again.physical_exponent, c.physical_exponent);
		assert_int_equal(again.lowest_aligned, c.lowest_aligned);
	}
}

static void test_needs_16_at_the_edge(void **state)
{
	struct scsi_capacity c = { .blocks = UINT32_MAX, .block_bytes = 512 }, again;
	uint8_t bytes[BYTES_10];

	(void)state;
	scsi_capacity_write_10(&c, bytes);
	assert_int_equal(scsi_capacity_read_10(bytes, BYTES_10, &again), 0);
	assert_false(again.needs_16);
	c.blocks++; /* now the last address is FFFFFFFFh, which no longer says where the end is */
	scsi_capacity_write_10(&c, bytes);
	assert_int_equal(scsi_capacity_read_10(bytes, BYTES_10, &again), 0);
	assert_true(again.needs_16);
}

static void test_impossible_disks(void **state)
{
	uint8_t bytes[BYTES_16] = { 0 };
	struct scsi_capacity c;

	(void)state;
	/* blocks of no bytes */
	assert_int_equal(scsi_capacity_read_10(bytes, BYTES_10, &c), -EPROTO);
	assert_int_equal(scsi_capacity_read_16(bytes, BYTES_16, &c), -EPROTO);
	memset(bytes, 0xff, 8);
	bytes[10] = 2;
	assert_int_equal(scsi_capacity_read_16(bytes, BYTES_16, &c), -EPROTO); /* 2^64 blocks */
	bytes[7] = 0xfe;
	assert_int_equal(scsi_capacity_read_16(bytes, BYTES_16, &c), 0);
	assert_int_equal(c.blocks, UINT64_MAX);
}

/* Devices older than SBC-3 send less than 32 bytes: what is missing is zero. */
static void test_short_16(void **state)
{
	struct scsi_capacity c = { .blocks = 1000,
				   .block_bytes = 4096,
				   .protection = true,
				   .provisioned = true },
			     again;
	uint8_t bytes[BYTES_16];

	(void)state;
	scsi_capacity_write_16(&c, bytes);
	assert_int_equal(scsi_capacity_read_16(bytes, 11, &again), -EPROTO);
	assert_int_equal(scsi_capacity_read_16(bytes, 12, &again), 0);
	assert_int_equal(again.blocks, 1000);
	assert_int_equal(again.block_bytes, 4096);
	assert_false(again.protection || again.provisioned);
	assert_int_equal(scsi_capacity_read_16(bytes, 13, &again), 0);
	assert_true(again.protection && !again.provisioned);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_10_there_and_back),
		cmocka_unit_test(test_16_there_and_back),
		cmocka_unit_test(test_needs_16_at_the_edge),
		cmocka_unit_test(test_impossible_disks),
		cmocka_unit_test(test_short_16),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
