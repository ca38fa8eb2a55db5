/* SPDX-License-Identifier: MIT */
/*
 * test-names.c: every name against libsgutils2's, but for upper and lower case. Where the two word
 * a thing differently, both wordings stand in `other_wordings`; a difference that is not listed
 * there fails.
 */
#include "scsi-test.h"
#include "scsi/scsi.h"

#include <scsi/sg_lib.h>
#include <strings.h>

enum { TEXT = 256 };

static const struct {
	const char *ours, *theirs;
} other_wordings[] = {
	{ "GET LBA STATUS", "Get LBA status(16)" }, /* SBC-3 has no other one */
	{ "VENDOR SPECIFIC", "Vendor specific(9)" },
	{ "RESERVED KEY 0xC", "Equal" }, /* EQUAL is of SCSI-2; obsolete since SPC */
};

static void assert_same_name(const char *ours, const char *theirs)
{
	if (strcasecmp(ours, theirs) == 0)
		return;
	for (size_t i = 0; i < sizeof(other_wordings) / sizeof(other_wordings[0]); i++)
		if (strcmp(ours, other_wordings[i].ours) == 0 &&
		    strcmp(theirs, other_wordings[i].theirs) == 0)
			return;
	fail_msg("we say \"%s\", libsgutils2 says \"%s\"", ours, theirs);
}

static void test_opcodes(void **state)
{
	unsigned named = 0;

	(void)state;
	for (unsigned opcode = 0; opcode < 256; opcode++) {
		/*
		 * A service action that neither knows, so that the opcode's own name is asked for.
		 */
		uint8_t cdb[16] = { (uint8_t)opcode, 0x1e };
		const char *ours = scsi_opcode_name(cdb, sizeof(cdb));
		char theirs[TEXT];

		if (!ours)
			continue;
		named++;
		sg_get_opcode_name((uint8_t)opcode, SCSI_TYPE_DISK, TEXT, theirs);
		assert_same_name(ours, theirs);
		assert_string_equal(ours, scsi_opcode_name(cdb, 1));
	}
	assert_int_equal(named, 46);
}

static void test_service_actions(void **state)
{
	static const uint8_t pairs[][2] = {
		{ SCSI_SERVICE_ACTION_IN_16, SCSI_SAI_READ_CAPACITY_16 },
		{ SCSI_SERVICE_ACTION_IN_16, SCSI_SAI_GET_LBA_STATUS },
		{ SCSI_MAINTENANCE_IN, SCSI_MI_REPORT_SUPPORTED_OPCODES },
		{ SCSI_MAINTENANCE_IN, SCSI_MI_REPORT_SUPPORTED_TMFS },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		/* the upper bits are not the action's */
		uint8_t cdb[16] = { pairs[i][0], pairs[i][1] | 0xe0 };
		char theirs[TEXT];

		sg_get_opcode_sa_name(pairs[i][0], pairs[i][1], SCSI_TYPE_DISK, TEXT, theirs);
		assert_same_name(scsi_opcode_name(cdb, sizeof(cdb)), theirs);
	}
}

static void test_no_name(void **state)
{
	uint8_t vendor[10] = { 0xc1 };

	(void)state;
	assert_null(scsi_opcode_name(vendor, sizeof(vendor)));
	assert_null(scsi_opcode_name(vendor, 0));
	assert_null(scsi_asc_name(0x80ff));
	assert_non_null(scsi_sense_key_name(0x10));
	assert_non_null(scsi_sense_key_name(0xff));
}

static void test_sense_keys(void **state)
{
	(void)state;
	for (uint8_t key = 0; key < 16; key++) {
		char theirs[TEXT];

		assert_same_name(scsi_sense_key_name(key), sg_get_sense_key_str(key, TEXT, theirs));
	}
}

static void test_additional_codes(void **state)
{
	static const char lead[] = "Additional sense: ";
	unsigned named = 0;

	(void)state;
	for (unsigned asc = 0; asc <= UINT16_MAX; asc++) {
		const char *ours = scsi_asc_name((uint16_t)asc);
		char theirs[TEXT];

		if (!ours)
			continue;
		named++;
		sg_get_asc_ascq_str((int)(asc >> 8), (int)(asc & 0xff), TEXT, theirs);
		assert_memory_equal(theirs, lead, sizeof(lead) - 1);
		assert_same_name(ours, theirs + sizeof(lead) - 1);
	}
	assert_int_equal(named, 33);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_opcodes),          cmocka_unit_test(test_service_actions),
		cmocka_unit_test(test_no_name),          cmocka_unit_test(test_sense_keys),
		cmocka_unit_test(test_additional_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
