/* SPDX-License-Identifier: MIT */
/*
 * test-extent.c: commands over runs of blocks, lists of them, and pages of limits: what does not
 * fit, is cut, or contradicts itself.
 */
#include "scsi-test.h"
#include "scsi/scsi.h"

#include <errno.h>

static void test_what_does_not_fit(void **state)
{
	static const struct {
		uint8_t opcode;
		struct scsi_extent extent;
		int result;
	} cases[] = {
		{ SCSI_READ_10, { 0, 1 }, -EINVAL },
		{ SCSI_UNMAP, { 0, 1 }, -EINVAL },
		{ SCSI_VERIFY_10, { UINT32_MAX, UINT16_MAX }, 0 },
		{ SCSI_VERIFY_10, { UINT64_C(1) << 32, 1 }, -ERANGE },
		{ SCSI_VERIFY_10, { 0, 0x10000 }, -ERANGE },
		{ SCSI_VERIFY_12, { UINT32_MAX, UINT32_MAX }, 0 },
		{ SCSI_VERIFY_12, { UINT64_C(1) << 32, 1 }, -ERANGE },
		{ SCSI_VERIFY_16, { UINT64_MAX, UINT32_MAX }, 0 },
		{ SCSI_COMPARE_AND_WRITE, { UINT64_MAX, 255 }, 0 },
		{ SCSI_COMPARE_AND_WRITE, { 0, 256 }, -ERANGE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scsi_cdb cdb = { .length = 99 };
		struct scsi_extent back = { 1, 2 };

		assert_int_equal(scsi_cdb_extent(cases[i].opcode, 0, &cases[i].extent, &cdb),
				 cases[i].result);
		if (cases[i].result < 0) {
			assert_int_equal(cdb.length, 99);
			continue;
		}
		assert_true(scsi_cdb_read_extent(cdb.bytes, cdb.length, &back));
		assert_true(back.block == cases[i].extent.block &&
			    back.count == cases[i].extent.count);
		assert_false(scsi_cdb_read_extent(cdb.bytes, cdb.length - 1U, &back));
	}
}

static void test_reader_of_other_commands(void **state)
{
	uint8_t cdb[16] = { SCSI_READ_16 };
	struct scsi_extent back = { 1, 2 };

	(void)state;
	assert_false(scsi_cdb_read_extent(cdb, sizeof(cdb), &back));
	assert_false(scsi_cdb_read_extent(cdb, 0, &back));
	assert_true(back.block == 1 && back.count == 2);
}

static void test_unmap_lists(void **state)
{
	struct scsi_extent extents[3] = { { 7, 1 }, { UINT64_MAX, UINT32_MAX }, { 0, 0 } }, back;
	uint8_t bytes[SCSI_UNMAP_HEADER_BYTES + 3 * SCSI_UNMAP_DESCRIPTOR_BYTES];
	size_t n = scsi_unmap_write(extents, 3, bytes);

	(void)state;
	assert_int_equal(n, sizeof(bytes));
	assert_int_equal(bytes[1], n - 2);
	assert_int_equal(bytes[3], 3 * 16);
	assert_int_equal(scsi_unmap_count(bytes, n), 3);
	assert_int_equal(scsi_unmap_count(bytes, n - 1), 2); /* the last one is cut by the list */
	assert_int_equal(scsi_unmap_count(bytes, 8), 0);
	for (unsigned i = 0; i < 3; i++) {
		back = scsi_unmap_descriptor(bytes + 8 + 16 * i);
		assert_true(back.block == extents[i].block && back.count == extents[i].count);
	}
	bytes[3] = 2 * 16 + 15; /* not a multiple: what is cut does not count */
	assert_int_equal(scsi_unmap_count(bytes, n), 2);
	bytes[3] = 3 * 16;
	bytes[1] = (uint8_t)(n - 3); /* descriptors reach beyond the data they are in */
	assert_int_equal(scsi_unmap_count(bytes, n), -EPROTO);
	bytes[1] = bytes[3] = 0; /* nothing to do is no mistake */
	assert_int_equal(scsi_unmap_count(bytes, n), 0);
}

static void test_hostile_lba_status(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		uint8_t bytes[64];
		size_t n = random_below(&r, sizeof(bytes) + 1);
		struct scsi_lba_status status[2];
		uint8_t *exact;
		int found;

		random_fill(&r, bytes, sizeof(bytes));
		if (random_bool(&r))
			memset(bytes, 0, 3);
		exact = exact_copy(bytes, n);
		found = scsi_lba_status_read(exact, n, status, 2);
		assert_true(found <= 2 && (found >= 0 || found == -EPROTO));
		assert_true(n >= 8 || found == -EPROTO);
		free(exact);
	}
}

static void test_hostile_pages(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		uint8_t bytes[SCSI_VPD_MAX], *exact;
		size_t n = random_below(&r, 80);
		struct scsi_block_limits limits;
		struct scsi_provisioning provisioning;
		int l, p;

		random_fill(&r, bytes, sizeof(bytes));
		bytes[1] = random_bool(&r) ? SCSI_VPD_BLOCK_LIMITS
					   : SCSI_VPD_LOGICAL_BLOCK_PROVISIONING;
		bytes[2] = 0;
		bytes[3] = (uint8_t)random_below(&r, 80);
		exact = exact_copy(bytes, n);
		l = scsi_vpd_read_limits(exact, n, &limits);
		p = scsi_vpd_read_provisioning(exact, n, &provisioning);
		assert_true(l == 0 || l == -EPROTO);
		assert_true(p == 0 || p == -EPROTO);
		assert_true(l < 0 || (bytes[1] == SCSI_VPD_BLOCK_LIMITS && n >= 16));
		assert_true(p < 0 || (bytes[1] == SCSI_VPD_LOGICAL_BLOCK_PROVISIONING && n >= 8));
		free(exact);
	}
}

static void test_old_limits_page(void **state)
{
	uint8_t bytes[16] = {
		0, SCSI_VPD_BLOCK_LIMITS, 0, 12, 0, 0, 0, 8, 0, 0, 1, 0, 0, 0, 0, 64
	};
	struct scsi_block_limits l;

	(void)state;
	assert_int_equal(scsi_vpd_read_limits(bytes, sizeof(bytes), &l), 0);
	assert_true(l.optimal_granularity == 8 && l.max_transfer == 256 &&
		    l.optimal_transfer == 64);
	assert_true(l.max_unmap_blocks == 0 && l.max_write_same == 0 && !l.has_unmap_alignment);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_does_not_fit),
		cmocka_unit_test(test_reader_of_other_commands),
		cmocka_unit_test(test_unmap_lists),
		cmocka_unit_test(test_hostile_lba_status),
		cmocka_unit_test(test_hostile_pages),
		cmocka_unit_test(test_old_limits_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
