/* SPDX-License-Identifier: MIT */
/*
 * compare-libiscsi-blocks.c: commands over runs of blocks, and the pages of limits, must be the
 * same bytes to libiscsi as to us.
 */
#include "iscsi-block-peer.h"
#include "scsi-test.h"
#include "scsi/scsi.h"

#include <errno.h>

/*
 * Every flag that libiscsi's builder has an argument for. Its BYTCHK is one bit, as it was before
 * SBC-3.
 */
static const struct {
	uint8_t opcode, flags;
} commands[] = {
	{ SCSI_WRITE_AND_VERIFY_10, 0xf2 },
	{ SCSI_WRITE_AND_VERIFY_12, 0xf2 },
	{ SCSI_WRITE_AND_VERIFY_16, 0xf2 },
	{ SCSI_VERIFY_10, 0xf2 },
	{ SCSI_VERIFY_12, 0xf2 },
	{ SCSI_VERIFY_16, 0xf2 },
	{ SCSI_PRE_FETCH_10, 0x02 },
	{ SCSI_PRE_FETCH_16, 0x02 },
	{ SCSI_SYNCHRONIZE_CACHE_10, 0x02 },
	{ SCSI_SYNCHRONIZE_CACHE_16, 0x02 },
	{ SCSI_WRITE_SAME_10, 0xf8 },
	{ SCSI_WRITE_SAME_16, 0xf9 },
	{ SCSI_COMPARE_AND_WRITE, 0xfa },
	{ SCSI_ORWRITE_16, 0xfa },
};

static unsigned block_bits(uint8_t opcode)
{
	return scsi_cdb_length(opcode) == 16 ? 64 : 32;
}

static unsigned count_bits(uint8_t opcode)
{
	if (opcode == SCSI_COMPARE_AND_WRITE)
		return 8;
	return scsi_cdb_length(opcode) == 10 ? 16 : 31; /* their counts are ints in places */
}

static void test_extents(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		size_t which = random_below(&r, sizeof(commands) / sizeof(commands[0]));
		uint8_t opcode = commands[which].opcode,
			flags = (uint8_t)(random_u64(&r) & commands[which].flags);
		struct scsi_extent extent = { random_bits(&r, block_bits(opcode)),
					      (uint32_t)random_bits(&r, count_bits(opcode)) };
		struct scsi_extent back;
		struct peer_cdb theirs;
		struct scsi_cdb ours;

		assert_int_equal(scsi_cdb_extent(opcode, flags, &extent, &ours), 0);
		assert_true(peer_extent_cdb(opcode, flags, extent.block, extent.count, &theirs));
		assert_int_equal(ours.length, theirs.length);
		assert_memory_equal(ours.bytes, theirs.bytes, theirs.length);
		assert_true(scsi_cdb_read_extent(ours.bytes, ours.length, &back));
		assert_true(back.block == extent.block && back.count == extent.count);
	}
}

static void test_unmap_and_status_commands(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t block = random_u64(&r);
		uint32_t allocation = (uint32_t)random_bits(&r, 31);
		uint16_t length = (uint16_t)random_u64(&r);
		struct scsi_cdb unmap = scsi_cdb_unmap_list(length),
				status = scsi_cdb_lba_status(block, allocation);
		struct peer_cdb theirs = peer_unmap_cdb(length);

		assert_int_equal(unmap.length, theirs.length);
		assert_memory_equal(unmap.bytes, theirs.bytes, theirs.length);
		theirs = peer_lba_status_cdb(block, allocation);
		assert_int_equal(status.length, theirs.length);
		assert_memory_equal(status.bytes, theirs.bytes, theirs.length);
	}
}

static struct scsi_block_limits random_limits(struct random_source *r)
{
	struct scsi_block_limits l = {
		.write_same_nonzero = random_bool(r),
		.max_compare_and_write = (uint8_t)random_u64(r),
		.optimal_granularity = (uint16_t)random_u64(r),
		.max_transfer = (uint32_t)random_u64(r),
		.optimal_transfer = (uint32_t)random_u64(r),
		.max_prefetch = (uint32_t)random_u64(r),
		.max_unmap_blocks = (uint32_t)random_u64(r),
		.max_unmap_descriptors = (uint32_t)random_u64(r),
		.unmap_granularity = (uint32_t)random_u64(r),
		.has_unmap_alignment = random_bool(r),
		.max_write_same = random_u64(r),
	};

	l.unmap_alignment = l.has_unmap_alignment ? (uint32_t)random_bits(r, 31) : 0;
	return l;
}

static void test_limits(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct scsi_block_limits l = random_limits(&r), back;
		uint8_t bytes[SCSI_VPD_MAX];
		size_t n = scsi_vpd_write_limits(&l, bytes);
		struct peer_limits p;

		assert_true(peer_read_limits(bytes, n, &p));
		assert_true(p.write_same_nonzero == l.write_same_nonzero &&
			    p.max_compare_and_write == l.max_compare_and_write);
		assert_true(p.optimal_granularity == l.optimal_granularity &&
			    p.max_transfer == l.max_transfer);
		assert_true(p.optimal_transfer == l.optimal_transfer &&
			    p.max_prefetch == l.max_prefetch);
		assert_true(p.max_unmap_blocks == l.max_unmap_blocks &&
			    p.max_unmap_descriptors == l.max_unmap_descriptors);
		assert_true(p.unmap_granularity == l.unmap_granularity &&
			    p.has_unmap_alignment == l.has_unmap_alignment);
		assert_true(p.unmap_alignment == l.unmap_alignment &&
			    p.max_write_same == l.max_write_same);
		assert_int_equal(scsi_vpd_read_limits(bytes, n, &back), 0);
		assert_true(scsi_vpd_write_limits(&back, bytes) == n);
		assert_true(
			peer_read_limits(bytes, n, &p) && p.max_write_same == l.max_write_same &&
			p.unmap_alignment == l.unmap_alignment && p.max_transfer == l.max_transfer);
	}
}

static void test_provisioning_and_rotation(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 128; bits++) {
		struct scsi_provisioning v = { bits & 1, bits & 2, bits & 4, bits & 8,
					       (uint8_t)(bits >> 4) },
					 back;
		uint8_t bytes[SCSI_VPD_MAX];
		struct peer_provisioning p;
		unsigned rotation;

		assert_true(
			peer_read_provisioning(bytes, scsi_vpd_write_provisioning(&v, bytes), &p));
		assert_true(p.unmap == v.unmap && p.write_same_16 == v.write_same_16 &&
			    p.write_same_10 == v.write_same_10);
		assert_true(p.reads_zero == v.reads_zero && !p.anchors && p.type == v.type);
		assert_int_equal(scsi_vpd_read_provisioning(bytes, 8, &back), 0);
		assert_true(back.unmap == v.unmap && back.write_same_16 == v.write_same_16 &&
			    back.type == v.type);
		assert_true(back.write_same_10 == v.write_same_10 &&
			    back.reads_zero == v.reads_zero);
		assert_true(peer_read_rotation(
			bytes, scsi_vpd_write_characteristics((uint16_t)(bits * 500), bytes),
			&rotation));
		assert_int_equal(rotation, bits * 500);
	}
}

static void test_lba_status(void **state)
{
	enum { MOST = 20 };
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		unsigned n = 1 + random_below(&r, MOST);
		struct scsi_lba_status status[MOST], back[MOST];
		uint8_t bytes[SCSI_LBA_STATUS_HEADER_BYTES + MOST * SCSI_LBA_STATUS_BYTES];
		struct peer_status theirs[MOST];
		size_t length;

		for (unsigned j = 0; j < n; j++)
			status[j] = (struct scsi_lba_status) { { random_u64(&r),
								 (uint32_t)random_u64(&r) },
							       (uint8_t)random_below(&r, 3) };
		length = scsi_lba_status_write(status, n, bytes);
		assert_int_equal(peer_read_lba_status(bytes, length, theirs, MOST), n);
		assert_int_equal(scsi_lba_status_read(bytes, length, back, MOST), n);
		for (unsigned j = 0; j < n; j++) {
			assert_true(theirs[j].block == status[j].extent.block &&
				    theirs[j].count == status[j].extent.count);
			assert_int_equal(theirs[j].provisioning, status[j].provisioning);
			assert_true(back[j].extent.block == theirs[j].block &&
				    back[j].extent.count == theirs[j].count);
			assert_int_equal(back[j].provisioning, theirs[j].provisioning);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_extents),    cmocka_unit_test(test_unmap_and_status_commands),
		cmocka_unit_test(test_limits),     cmocka_unit_test(test_provisioning_and_rotation),
		cmocka_unit_test(test_lba_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
