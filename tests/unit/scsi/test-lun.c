/* SPDX-License-Identifier: MIT */
/*
 * test-lun.c: logical unit numbers of the four address methods, by examples worked out by hand from
 * SAM-5 4.7, and REPORT LUNS. (libsgutils2 has no function for LUNs; libiscsi reads the list:
 * compare-libiscsi.c.)
 */
#include "scsi-test.h"
#include "scsi/scsi.h"

#include <errno.h>

static const struct {
	struct hba_lun_id lun;
	enum scsi_lun_method method;
	uint64_t number; /* UINT64_MAX: none */
	const char *text;
} examples[] = {
	{ { { 0, 0 } }, SCSI_LUN_PERIPHERAL, 0, "0" },
	{ { { 0, 1 } }, SCSI_LUN_PERIPHERAL, 1, "1" },
	{ { { 0, 0xff } }, SCSI_LUN_PERIPHERAL, 255, "255" },
	/* on bus 1: a second level follows */
	{ { { 0x01, 5 } }, SCSI_LUN_PERIPHERAL, UINT64_MAX, "0105000000000000" },
	/* two levels */
	{ { { 0, 5, 0, 1 } }, SCSI_LUN_PERIPHERAL, UINT64_MAX, "0005000100000000" },
	{ { { 0x40, 0 } }, SCSI_LUN_FLAT, 0, "0" },
	{ { { 0x41, 0x00 } }, SCSI_LUN_FLAT, 256, "256" },
	{ { { 0x7f, 0xff } }, SCSI_LUN_FLAT, 16383, "16383" },
	{ { { 0x41, 0, 0x40, 1 } }, SCSI_LUN_FLAT, UINT64_MAX, "4100400100000000" },
	{ { { 0x40, 7, 0, 0, 0, 0, 0, 1 } }, SCSI_LUN_FLAT, UINT64_MAX, "4007000000000001" },
	{ { { 0x80, 0 } }, SCSI_LUN_LOGICAL_UNIT, UINT64_MAX, "8000000000000000" },
	/* target 37, bus 2, unit 3 */
	{ { { 0xa5, 0x43 } }, SCSI_LUN_LOGICAL_UNIT, UINT64_MAX, "a543000000000000" },
	/* REPORT LUNS well known unit */
	{ { { 0xc1, 0x01 } }, SCSI_LUN_EXTENDED, UINT64_MAX, "c101000000000000" },
	{ { { 0xd2, 0x00, 0x40, 0x00 } }, SCSI_LUN_EXTENDED, 16384, "16384" },
	{ { { 0xd2, 0xff, 0xff, 0xff } }, SCSI_LUN_EXTENDED, 16777215, "16777215" },
	{ { { 0xd2, 0, 0, 1, 0, 2 } }, SCSI_LUN_EXTENDED, UINT64_MAX, "d200000100020000" },
	/* long extended flat */
	{ { { 0xe2, 0, 0, 0, 0, 1 } }, SCSI_LUN_EXTENDED, UINT64_MAX, "e200000000010000" },
	{ { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } },
	  SCSI_LUN_EXTENDED,
	  UINT64_MAX,
	  "ffffffffffffffff" },
};

static void test_examples(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		char text[24];

		assert_int_equal(scsi_lun_method(&examples[i].lun), examples[i].method);
		assert_int_equal(scsi_lun_number(&examples[i].lun), examples[i].number);
		scsi_lun_text(&examples[i].lun, text);
		assert_string_equal(text, examples[i].text);
	}
}

static enum scsi_lun_method expected_method(uint32_t number)
{
	if (number < 256)
		return SCSI_LUN_PERIPHERAL;
	return number < 16384 ? SCSI_LUN_FLAT : SCSI_LUN_EXTENDED;
}

static void check_number(uint32_t number)
{
	struct hba_lun_id lun;
	char text[24], expected[24];

	assert_int_equal(scsi_lun_from_number(number, &lun), 0);
	assert_int_equal(scsi_lun_method(&lun), expected_method(number));
	assert_int_equal(scsi_lun_number(&lun), number);
	scsi_lun_text(&lun, text);
	snprintf(expected, sizeof(expected), "%u", number);
	assert_string_equal(text, expected);
}

static void test_numbers_there_and_back(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (uint32_t number = 0; number <= SCSI_MAX_FLAT + 2; number++)
		check_number(number);
	for (int i = 0; i < ROUNDS; i++)
		check_number((uint32_t)random_bits(&r, 24));
}

static void test_numbers_beyond_the_last(void **state)
{
	struct hba_lun_id lun = { { 1, 2, 3, 4, 5, 6, 7, 8 } }, before = lun;

	(void)state;
	assert_int_equal(scsi_lun_from_number(SCSI_MAX_EXTENDED_FLAT + 1, &lun), -ERANGE);
	assert_int_equal(scsi_lun_from_number(UINT64_MAX, &lun), -ERANGE);
	assert_memory_equal(&lun, &before, sizeof(lun));
}

/* Whatever its bytes: what has a number is one of at most three LUNs of that number. */
static void test_random_bytes(void **state)
{
	struct random_source r = random_begin();
	unsigned numbered = 0;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct hba_lun_id lun = { { 0 } };
		uint64_t number;
		char text[24];

		random_fill(&r, lun.bytes, 1 + random_below(&r, 8));
		number = scsi_lun_number(&lun);
		scsi_lun_text(&lun, text);
		assert_int_equal(strlen(text) == 16, number == UINT64_MAX);
		assert_true(number == UINT64_MAX || number <= SCSI_MAX_EXTENDED_FLAT);
		numbered += number != UINT64_MAX;
	}
	assert_in_range(numbered, 1, ROUNDS - 1);
}

static void test_equal_is_byte_for_byte(void **state)
{
	struct hba_lun_id a = { { 0, 1 } }, b = { { 0x40, 1 } };

	(void)state;
	assert_true(scsi_lun_equal(&a, &a));
	assert_false(scsi_lun_equal(&a, &b));
	for (size_t i = 0; i < 8; i++) {
		b = a;
		b.bytes[i] ^= 0x80;
		assert_false(scsi_lun_equal(&a, &b));
	}
}

/* ---- REPORT LUNS */

static void test_list_of_every_length(void **state)
{
	uint8_t bytes[8 + 5 * 8] = { [3] = 5 * 8 };

	(void)state;
	for (size_t i = 0; i < 5; i++)
		bytes[8 + 8 * i + 1] = (uint8_t)(10 + i);
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		uint8_t *exact = exact_copy(bytes, n);
		unsigned count = 77;
		uint32_t needed = 77;
		int r = scsi_report_luns_read(exact, n, &count, &needed);

		assert_int_equal(r, n < 8 ? -EPROTO : 0);
		assert_int_equal(count, n < 8 ? 77 : (n - 8) / 8);
		assert_int_equal(needed, n < 8 ? 77 : sizeof(bytes));
		for (unsigned i = 0; r == 0 && i < count; i++) {
			struct hba_lun_id lun = scsi_report_luns_entry(exact, i);

			assert_int_equal(scsi_lun_number(&lun), 10 + i);
		}
		free(exact);
	}
}

static void test_list_that_says_less_than_arrived(void **state)
{
	uint8_t bytes[8 + 5 * 8] = { [3] = 2 * 8 };
	uint32_t needed;
	unsigned count;

	(void)state;
	assert_int_equal(scsi_report_luns_read(bytes, sizeof(bytes), &count, &needed), 0);
	assert_int_equal(count, 2);
	assert_int_equal(needed, 8 + 2 * 8);
}

static void test_lists_that_lie(void **state)
{
	uint8_t half_an_entry[16] = { [3] = 12 }, endless[16] = { 0xff, 0xff, 0xff, 0xf8 };
	uint32_t needed;
	unsigned count;

	(void)state;
	assert_int_equal(scsi_report_luns_read(half_an_entry, 16, &count, &needed), -EPROTO);
	assert_int_equal(scsi_report_luns_read(endless, 16, &count, &needed), 0);
	assert_int_equal(count, 1);
	assert_int_equal(needed, UINT32_MAX); /* and not the 0 that the sum would wrap to */
}

/* A chip has room for a number up to its highest, and none for a path. */
static void a_number_that_fits_a_chip(void **state)
{
	static const struct hba_lun_id bridge = { { 0x81, 0x05, 0, 0 } };
	struct hba_lun_id lun;
	uint64_t number = 77;

	(void)state;
	assert_int_equal(scsi_lun_from_number(255, &lun), 0);
	assert_int_equal(hba_lun_number(&lun, 255, &number), 0);
	assert_int_equal(number, 255);
	assert_int_equal(scsi_lun_from_number(256, &lun), 0);
	assert_int_equal(hba_lun_number(&lun, 255, &number), -ERANGE);
	assert_int_equal(number, 255);
	assert_int_equal(hba_lun_number(&lun, 16383, &number), 0);
	assert_int_equal(number, 256);
	assert_int_equal(hba_lun_number(&bridge, UINT64_MAX, &number), -EINVAL);
	assert_int_equal(number, 256);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_that_fits_a_chip),
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_numbers_there_and_back),
		cmocka_unit_test(test_numbers_beyond_the_last),
		cmocka_unit_test(test_random_bytes),
		cmocka_unit_test(test_equal_is_byte_for_byte),
		cmocka_unit_test(test_list_of_every_length),
		cmocka_unit_test(test_list_that_says_less_than_arrived),
		cmocka_unit_test(test_lists_that_lie),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
