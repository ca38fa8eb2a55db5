/* SPDX-License-Identifier: MIT */
/* test-transfer.c: how much a CDB lets move, by each form of it; and CDBs that do not say. */
#include "scsi-test.h"
#include "scsi/scsi.h"

#include <string.h>

enum { BLOCK = 4096, UNTOUCHED = 77 };

static void test_what_the_cdb_says(void **state)
{
	static const struct {
		uint8_t cdb[16];
		uint64_t bytes;
	} rows[] = {
		{ { SCSI_REQUEST_SENSE, 0, 0, 0, 252 }, 252 },
		{ { SCSI_INQUIRY, 0, 0, 0x01, 0x02 }, 0x0102 },
		{ { SCSI_INQUIRY }, 0 },
		{ { SCSI_MODE_SELECT_6, 0, 0, 9, 24 }, 24 },
		{ { SCSI_MODE_SENSE_6, 0, 0x3f, 9, 255 }, 255 },
		{ { SCSI_RECEIVE_DIAGNOSTIC_RESULTS, 1, 0, 0x10, 0 }, 0x1000 },
		{ { SCSI_SEND_DIAGNOSTIC, 0x10, 0, 0, 8 }, 8 },
		{ { SCSI_UNMAP, [7] = 0, 24 }, 24 },
		{ { SCSI_LOG_SENSE, [7] = 1, 0 }, 256 },
		{ { SCSI_MODE_SELECT_10, [7] = 0, 28 }, 28 },
		{ { SCSI_MODE_SENSE_10, [7] = 0xff, 0xff }, 0xffff },
		{ { SCSI_PERSISTENT_RESERVE_IN, [7] = 0x20, 0 }, 0x2000 },
		{ { SCSI_PERSISTENT_RESERVE_OUT, [5] = 0, 0, 0, 24 }, 24 },
		{ { SCSI_SERVICE_ACTION_IN_16, 0x10, [10] = 0, 0, 0, 32 }, 32 },
		{ { SCSI_REPORT_LUNS, [6] = 0xff, 0xff, 0xff, 0xff }, UINT32_MAX },
		{ { SCSI_MAINTENANCE_IN, 0x0c, [6] = 0, 1, 0, 0 }, 65536 },
		{ { SCSI_WRITE_AND_VERIFY_10, [7] = 0, 3 }, 3 * BLOCK },
		{ { SCSI_WRITE_AND_VERIFY_12, [6] = 0, 1, 0, 0 }, UINT64_C(65536) * BLOCK },
		{ { SCSI_WRITE_AND_VERIFY_16, [10] = 0xff, 0xff, 0xff, 0xff },
		  UINT64_C(0xffffffff) * BLOCK },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t bytes = UNTOUCHED;

		assert_true(scsi_cdb_transfer(rows[i].cdb, scsi_cdb_length(rows[i].cdb[0]), BLOCK,
					      &bytes));
		assert_int_equal(bytes, rows[i].bytes);
	}
}

/*
 * Of READ and WRITE as their reader has it; of the others a few; of what is not known, neither way.
 */
static void test_which_way_data_go(void **state)
{
	(void)state;
	for (unsigned opcode = 0; opcode <= UINT8_MAX; opcode++) {
		const uint8_t cdb[16] = { (uint8_t)opcode };
		struct scsi_rw rw;

		if (scsi_cdb_read_rw(cdb, sizeof(cdb), &rw))
			assert_int_equal(scsi_cdb_direction((uint8_t)opcode), rw.direction);
	}
	assert_int_equal(scsi_cdb_direction(SCSI_INQUIRY), HBA_FROM_TARGET);
	assert_int_equal(scsi_cdb_direction(SCSI_LOG_SENSE), HBA_FROM_TARGET);
	assert_int_equal(scsi_cdb_direction(SCSI_MODE_SELECT_10), HBA_TO_TARGET);
	assert_int_equal(scsi_cdb_direction(SCSI_COMPARE_AND_WRITE), HBA_TO_TARGET);
	assert_int_equal(scsi_cdb_direction(SCSI_TEST_UNIT_READY), HBA_NO_DATA);
	assert_int_equal(scsi_cdb_direction(0xc1), HBA_NO_DATA);
	/* For disks they go one way, for CD drives or media changers the other. */
	assert_int_equal(scsi_cdb_direction(SCSI_UNMAP), HBA_NO_DATA);
	assert_int_equal(scsi_cdb_direction(SCSI_MAINTENANCE_IN), HBA_NO_DATA);
	assert_int_equal(scsi_cdb_direction(0xa4), HBA_NO_DATA);
	assert_int_equal(scsi_cdb_direction(0xb5), HBA_NO_DATA);
}

static void test_what_it_does_not_say(void **state)
{
	static const uint8_t known[] = { SCSI_INQUIRY, SCSI_REPORT_LUNS, SCSI_WRITE_AND_VERIFY_16 };
	const uint8_t protected[16] = { SCSI_WRITE_AND_VERIFY_10, 0x20, [8] = 1 };
	uint64_t bytes = UNTOUCHED;
	uint8_t cdb[32];

	(void)state;
	/* Cut short: not a byte beyond the end is looked at. */
	for (size_t i = 0; i < sizeof(known); i++)
		for (unsigned length = 0; length < scsi_cdb_length(known[i]); length++) {
			uint8_t *exact = malloc(length ? length : 1);

			assert_non_null(exact);
			memset(exact, 0, length ? length : 1);
			exact[0] = known[i];
			assert_false(scsi_cdb_transfer(exact, length, BLOCK, &bytes));
			free(exact);
		}
	for (unsigned opcode = 0; opcode <= UINT8_MAX; opcode++) {
		memset(cdb, 0xff, sizeof(cdb));
		cdb[0] = (uint8_t)opcode;
		if (scsi_cdb_is_rw(cdb[0]) || scsi_cdb_length(cdb[0]) == 0)
			assert_false(scsi_cdb_transfer(cdb, sizeof(cdb), BLOCK, &bytes));
	}
	assert_false(scsi_cdb_transfer(protected, 10, BLOCK, &bytes));
	assert_false(scsi_cdb_transfer((const uint8_t[10]) { SCSI_WRITE_AND_VERIFY_10, [8] = 1 },
				       10, 0, &bytes));
	assert_false(scsi_cdb_transfer((const uint8_t[10]) { SCSI_VERIFY_10, [8] = 1 }, 10, BLOCK,
				       &bytes));
	assert_int_equal(bytes, UNTOUCHED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_the_cdb_says),
		cmocka_unit_test(test_which_way_data_go),
		cmocka_unit_test(test_what_it_does_not_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
