/* SPDX-License-Identifier: MIT */
/*
 * test_commands.c: what the software disk says, read by the same readers as a real disk's words;
 * and what it refuses.
 */
#include "rig.h"

enum { BLOCKS = 128, FILLER = 0xa5 };

static int setup(void **state)
{
	struct rig *rig = malloc(sizeof(*rig));

	assert_non_null(rig);
	rig_open(rig);
	rig_add_ram(rig, BLOCKS * 512, 512);
	rig_add_ram(rig, BLOCKS * 4096 + 100, 4096);
	memset(rig->data, FILLER, sizeof(rig->data));
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	rig_close(*state);
	free(*state);
	return 0;
}

static void to_lun(struct rig *rig, unsigned lun)
{
	assert_int_equal(scsi_lun_from_number(lun, &rig->lun), 0);
}

static enum hba_outcome run_in(struct rig *rig, struct scsi_cdb cdb, uint64_t length)
{
	return rig_run(rig, &cdb, HBA_FROM_TARGET, length);
}

static enum hba_outcome run_plain(struct rig *rig, struct scsi_cdb cdb)
{
	return rig_run(rig, &cdb, HBA_NO_DATA, 0);
}

/* ---- INQUIRY */

static void standard_inquiry_names_the_disk(void **state)
{
	struct rig *rig = *state;
	struct scsi_inquiry inquiry;

	assert_int_equal(run_in(rig, scsi_cdb_inquiry(255), 255), HBA_GOOD);
	assert_int_equal(rig->last.command.bytes, SCSI_INQUIRY_MAX);
	assert_int_equal(scsi_inquiry_read(rig->data, rig->last.command.bytes, &inquiry), 0);
	assert_int_equal(inquiry.qualifier, 0);
	assert_int_equal(inquiry.type, SCSI_TYPE_DISK);
	assert_int_equal(inquiry.version, 6);
	assert_true(inquiry.command_queuing);
	assert_string_equal(inquiry.vendor, "HBAKIT");
	assert_string_equal(inquiry.product, "SOFT DISK");
}

static void answers_are_cut_to_allocation_and_buffer(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(run_in(rig, scsi_cdb_inquiry(5), 255), HBA_GOOD);
	assert_int_equal(rig->last.command.bytes, 5);
	assert_int_equal(rig->data[5], FILLER);
	memset(rig->data, FILLER, sizeof(rig->data));
	assert_int_equal(run_in(rig, scsi_cdb_inquiry(255), 7), HBA_GOOD);
	assert_int_equal(rig->last.command.bytes, 7);
	assert_int_equal(rig->data[7], FILLER);
	assert_int_equal(run_in(rig, scsi_cdb_inquiry(0), 255), HBA_GOOD);
	assert_int_equal(rig->last.command.bytes, 0);
	assert_int_equal(run_plain(rig, scsi_cdb_inquiry(255)), HBA_GOOD);
	assert_int_equal(rig->last.command.bytes, 0);
}

static void absent_unit_answers_qualifier_3(void **state)
{
	struct rig *rig = *state;
	struct scsi_inquiry inquiry;

	to_lun(rig, 2);
	assert_int_equal(run_in(rig, scsi_cdb_inquiry(255), 255), HBA_GOOD);
	assert_int_equal(scsi_inquiry_read(rig->data, rig->last.command.bytes, &inquiry), 0);
	assert_int_equal(inquiry.qualifier, 3);
	assert_int_equal(inquiry.type, SCSI_TYPE_NONE);
	assert_int_equal(run_in(rig, scsi_cdb_inquiry_vpd(SCSI_VPD_SERIAL, 255), 255),
			 HBA_CHECK_CONDITION);
	rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LUN_NOT_SUPPORTED);
}

static void vpd_pages_say_who_it_is(void **state)
{
	static const uint8_t pages[] = { SCSI_VPD_SUPPORTED,
					 SCSI_VPD_SERIAL,
					 SCSI_VPD_DEVICE_ID,
					 SCSI_VPD_EXTENDED_INQUIRY,
					 SCSI_VPD_BLOCK_LIMITS,
					 SCSI_VPD_BLOCK_CHARACTERISTICS,
					 SCSI_VPD_LOGICAL_BLOCK_PROVISIONING };
	struct rig *rig = *state;
	char serial[2][65], id[2][129];

	for (unsigned lun = 0; lun < 2; lun++) {
		to_lun(rig, lun);
		run_in(rig, scsi_cdb_inquiry_vpd(SCSI_VPD_SUPPORTED, 255), 255);
		for (size_t i = 0; i < sizeof(pages); i++)
			assert_true(scsi_vpd_lists(rig->data, rig->last.command.bytes, pages[i]));
		assert_int_equal(rig->last.command.bytes, 4 + sizeof(pages));
		run_in(rig, scsi_cdb_inquiry_vpd(SCSI_VPD_SERIAL, 255), 255);
		assert_true(scsi_vpd_check(rig->data, rig->last.command.bytes, SCSI_VPD_SERIAL) >
			    0);
		assert_int_equal(scsi_vpd_serial(rig->data, rig->last.command.bytes, serial[lun],
						 sizeof(serial[lun])),
				 0);
		run_in(rig, scsi_cdb_inquiry_vpd(SCSI_VPD_DEVICE_ID, 255), 255);
		assert_int_equal(scsi_vpd_best_id(rig->data, rig->last.command.bytes, id[lun],
						  sizeof(id[lun])),
				 0);
	}
	assert_string_equal(serial[0], rig->device.units[0].serial);
	assert_string_not_equal(serial[0], serial[1]);
	assert_memory_equal(id[0], "naa.3", 5); /* locally assigned */
	assert_int_equal(strlen(id[0]), strlen("naa.") + 16);
	assert_string_not_equal(id[0], id[1]);
}

static void inquiry_refuses_what_it_has_not(void **state)
{
	struct rig *rig = *state;

	run_in(rig, scsi_cdb_inquiry_vpd(0xb9, 255), 255);
	rig_assert_field(rig, 2, 7);
	/* a page, but no EVPD */
	run_in(rig, RIG_CDB(SCSI_INQUIRY, 0, SCSI_VPD_SERIAL, 0, 255, 0), 255);
	rig_assert_field(rig, 2, 7);
	run_in(rig, RIG_CDB(SCSI_INQUIRY, 0x02, 0, 0, 255, 0), 255); /* CMDDT, obsolete */
	rig_assert_field(rig, 1, 1);
}

/* ---- REQUEST SENSE, TEST UNIT READY, unit attention */

static void first_command_hears_of_power_on(void **state)
{
	struct rig *rig = *state;

	target_unit_was_reset(&rig->device.units[0]);
	assert_int_equal(run_in(rig, scsi_cdb_inquiry(96), 96), HBA_GOOD);
	assert_int_equal(run_in(rig, scsi_cdb_report_luns(96), 96), HBA_GOOD);
	to_lun(rig, 1);
	/* the other unit's business */
	assert_int_equal(run_plain(rig, scsi_cdb_test_unit_ready()), HBA_GOOD);
	to_lun(rig, 0);
	assert_int_equal(run_plain(rig, scsi_cdb_test_unit_ready()), HBA_CHECK_CONDITION);
	rig_assert_sense(rig, SCSI_UNIT_ATTENTION, SCSI_ASC_POWER_ON_OR_RESET);
	assert_int_equal(run_plain(rig, scsi_cdb_test_unit_ready()), HBA_GOOD);
}

static void attention_comes_before_a_bad_opcode_and_moves_nothing(void **state)
{
	struct rig *rig = *state;
	struct scsi_cdb write = rig_rw(HBA_TO_TARGET, 0, 1, 10, false),
			read = rig_rw(HBA_FROM_TARGET, 0, 1, 10, false);

	target_unit_was_reset(&rig->device.units[0]);
	assert_int_equal(run_plain(rig, RIG_CDB(0xff, 0, 0, 0, 0, 0)), HBA_CHECK_CONDITION);
	rig_assert_sense(rig, SCSI_UNIT_ATTENTION, SCSI_ASC_POWER_ON_OR_RESET);
	target_unit_was_reset(&rig->device.units[0]);
	assert_int_equal(rig_run(rig, &write, HBA_TO_TARGET, 512), HBA_CHECK_CONDITION);
	assert_int_equal(rig->last.command.bytes, 0);
	assert_int_equal(rig_run(rig, &read, HBA_FROM_TARGET, 512), HBA_GOOD);
	assert_int_equal(rig->data[0], 0);
}

static void request_sense_takes_the_attention_in_both_formats(void **state)
{
	struct rig *rig = *state;
	struct scsi_sense sense;

	for (unsigned desc = 0; desc < 2; desc++) {
		target_unit_was_reset(&rig->device.units[0]);
		assert_int_equal(
			run_in(rig, RIG_CDB(SCSI_REQUEST_SENSE, (uint8_t)desc, 0, 0, 252, 0), 252),
			HBA_GOOD);
		assert_int_equal(rig->data[0] & 0x7f, desc ? 0x72 : 0x70);
		assert_int_equal(scsi_sense_read(rig->data, rig->last.command.bytes, &sense), 0);
		assert_int_equal(sense.key, SCSI_UNIT_ATTENTION);
		assert_int_equal(sense.asc, SCSI_ASC_POWER_ON_OR_RESET);
		assert_int_equal(run_in(rig, scsi_cdb_request_sense(252), 252), HBA_GOOD);
		assert_int_equal(scsi_sense_read(rig->data, rig->last.command.bytes, &sense), 0);
		assert_int_equal(sense.key, SCSI_NO_SENSE);
	}
	to_lun(rig, 7);
	assert_int_equal(run_in(rig, scsi_cdb_request_sense(252), 252), HBA_GOOD);
	assert_int_equal(scsi_sense_read(rig->data, rig->last.command.bytes, &sense), 0);
	assert_int_equal(sense.asc, SCSI_ASC_LUN_NOT_SUPPORTED);
}

/* ---- REPORT LUNS */

static void report_luns_lists_them_for_any_lun(void **state)
{
	struct rig *rig = *state;
	struct hba_lun_id lun;
	uint32_t needed;
	unsigned n;

	to_lun(rig, 9);
	assert_int_equal(run_in(rig, scsi_cdb_report_luns(1024), 1024), HBA_GOOD);
	assert_int_equal(rig->last.command.bytes, 8 + 2 * 8);
	assert_int_equal(scsi_report_luns_read(rig->data, rig->last.command.bytes, &n, &needed), 0);
	assert_int_equal(n, 2);
	lun = scsi_report_luns_entry(rig->data, 1);
	assert_int_equal(scsi_lun_number(&lun), 1);
	/* Cut in the middle of an entry, the header still tells how many there are. */
	assert_int_equal(run_in(rig, scsi_cdb_report_luns(19), 1024), HBA_GOOD);
	assert_int_equal(rig->last.command.bytes, 19);
	assert_int_equal(scsi_report_luns_read(rig->data, 19, &n, &needed), 0);
	assert_int_equal(n, 1);
	assert_int_equal(needed, 8 + 2 * 8);
}

static void report_luns_selects(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(
		run_in(rig, RIG_CDB(SCSI_REPORT_LUNS, 0, 1, 0, 0, 0, 0, 0, 255, 0, 0, 0), 255),
		HBA_GOOD);
	assert_int_equal(rig->last.command.bytes, 8);
	assert_int_equal(get_be32(rig->data), 0);
	assert_int_equal(
		run_in(rig, RIG_CDB(SCSI_REPORT_LUNS, 0, 2, 0, 0, 0, 0, 0, 0, 255, 0, 0), 255),
		HBA_GOOD);
	assert_int_equal(get_be32(rig->data), 2 * 8);
	run_in(rig, RIG_CDB(SCSI_REPORT_LUNS, 0, 3, 0, 0, 0, 0, 0, 0, 255, 0, 0), 255);
	rig_assert_field(rig, 2, 7);
}

/* ---- READ CAPACITY */

static void capacity_is_the_last_block(void **state)
{
	struct rig *rig = *state;
	struct scsi_capacity capacity;

	to_lun(rig, 1);
	assert_int_equal(run_in(rig, scsi_cdb_read_capacity_10(), 8), HBA_GOOD);
	assert_int_equal(scsi_capacity_read_10(rig->data, rig->last.command.bytes, &capacity), 0);
	assert_int_equal(capacity.blocks, BLOCKS); /* the tail of 100 bytes is no block */
	assert_int_equal(capacity.block_bytes, 4096);
	assert_int_equal(run_in(rig, scsi_cdb_read_capacity_16(32), 32), HBA_GOOD);
	assert_int_equal(scsi_capacity_read_16(rig->data, rig->last.command.bytes, &capacity), 0);
	assert_int_equal(capacity.blocks, BLOCKS);
	assert_int_equal(run_in(rig, scsi_cdb_read_capacity_16(12), 32), HBA_GOOD);
	assert_int_equal(rig->last.command.bytes, 12);
}

static void large_capacity_needs_16(void **state)
{
	struct rig *rig = *state;
	struct scsi_capacity capacity;
	struct store *store;

	assert_int_equal(store_open_null(UINT64_C(8) << 40, NULL_FILL_ZERO, &store, rig->message),
			 0);
	rig_add(rig, store, 512, false);
	to_lun(rig, 2);
	assert_int_equal(run_in(rig, scsi_cdb_read_capacity_10(), 8), HBA_GOOD);
	assert_int_equal(scsi_capacity_read_10(rig->data, 8, &capacity), 0);
	assert_true(capacity.needs_16);
	assert_int_equal(run_in(rig, scsi_cdb_read_capacity_16(32), 32), HBA_GOOD);
	assert_int_equal(scsi_capacity_read_16(rig->data, 32, &capacity), 0);
	assert_int_equal(capacity.blocks, UINT64_C(8) << 31);
}

/* ---- MODE SENSE */

/* Walks header, descriptor and pages by their own lengths; they must meet the end exactly. */
static unsigned count_pages(const uint8_t *pages, size_t length)
{
	unsigned n = 0;

	for (size_t at = 0; at < length; at += 2U + pages[at + 1], n++)
		assert_true(at + 2 <= length && at + 2 + pages[at + 1] <= length);
	return n;
}

static void mode_sense_6_has_header_descriptor_and_pages(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(run_in(rig, scsi_cdb_mode_sense_6(0x3f, 0, 255), 255), HBA_GOOD);
	assert_int_equal(rig->data[0] + 1, rig->last.command.bytes);
	assert_int_equal(rig->data[2], 0x10); /* DPOFUA, not write protected */
	assert_int_equal(rig->data[3], 8);
	assert_int_equal(get_be32(rig->data + 4), BLOCKS);
	assert_int_equal(get_be24(rig->data + 9), 512);
	assert_int_equal(count_pages(rig->data + 12, rig->last.command.bytes - 12), 4);
	/* Error recovery, caching, control, exceptions; nothing of RAM waits to be flushed. */
	assert_int_equal(rig->data[12], 0x01);
	assert_int_equal(rig->data[24], 0x08);
	assert_int_equal(rig->data[26] & 0x04, 0);
	assert_int_equal(rig->data[24 + 20], 0x0a);
	assert_int_equal(rig->data[44 + 12], 0x1c);
}

static void mode_sense_10_knows_dbd_llbaa_and_one_page(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(
		run_in(rig, RIG_CDB(SCSI_MODE_SENSE_10, 0x08, 0x0a, 0, 0, 0, 0, 0, 255, 0), 255),
		HBA_GOOD);
	assert_int_equal(get_be16(rig->data) + 2, rig->last.command.bytes);
	assert_int_equal(get_be16(rig->data + 6), 0);
	assert_int_equal(count_pages(rig->data + 8, rig->last.command.bytes - 8), 1);
	assert_int_equal(rig->data[8], 0x0a);
	assert_int_equal(
		run_in(rig, RIG_CDB(SCSI_MODE_SENSE_10, 0x10, 0x08, 0, 0, 0, 0, 0, 255, 0), 255),
		HBA_GOOD);
	assert_int_equal(rig->data[4], 1); /* LONGLBA */
	assert_int_equal(get_be16(rig->data + 6), 16);
	assert_int_equal(get_be64(rig->data + 8), BLOCKS);
	assert_int_equal(get_be32(rig->data + 20), 512);
}

static void mode_sense_says_write_protected(void **state)
{
	struct rig *rig = *state;

	rig->device.units[0].read_only = true;
	assert_int_equal(run_in(rig, scsi_cdb_mode_sense_6(0x3f, 0, 255), 255), HBA_GOOD);
	assert_int_equal(rig->data[2] & 0x80, 0x80);
	assert_int_equal(run_in(rig, scsi_cdb_mode_sense_10(0x3f, 0, 255), 255), HBA_GOOD);
	assert_int_equal(rig->data[3] & 0x80, 0x80);
}

static void mode_sense_changeable_is_a_mask_saved_is_refused(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(run_in(rig, RIG_CDB(SCSI_MODE_SENSE_6, 0x08, 0x40 | 0x0a, 0, 255, 0), 255),
			 HBA_GOOD);
	assert_int_equal(rig->last.command.bytes, 4 + 12);
	for (unsigned i = 2; i < 12; i++)
		/* D_SENSE, SWP */
		assert_int_equal(rig->data[4 + i], i == 2 ? 0x04 : i == 4 ? 0x08 : 0);
	run_in(rig, RIG_CDB(SCSI_MODE_SENSE_6, 0, 0xc0 | 0x3f, 0, 255, 0), 255);
	rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_SAVING_NOT_SUPPORTED);
}

static void mode_sense_refuses_pages_it_has_not(void **state)
{
	struct rig *rig = *state;

	run_in(rig, scsi_cdb_mode_sense_6(0x1d, 0, 255), 255);
	rig_assert_field(rig, 2, 5);
	run_in(rig, scsi_cdb_mode_sense_10(0x0a, 0x01, 255), 255);
	rig_assert_field(rig, 3, 7);
}

/* ---- SYNCHRONIZE CACHE */

static void synchronize_cache_checks_its_range(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(run_plain(rig, scsi_cdb_synchronize_cache_10(0, 0)), HBA_GOOD);
	assert_int_equal(rig->last.command.bytes, 0);
	assert_int_equal(run_plain(rig, scsi_cdb_synchronize_cache_10(0, BLOCKS)), HBA_GOOD);
	assert_int_equal(run_plain(rig, scsi_cdb_synchronize_cache_16(BLOCKS - 1, 1)), HBA_GOOD);
	run_plain(rig, scsi_cdb_synchronize_cache_10(1, BLOCKS));
	rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
	run_plain(rig, scsi_cdb_synchronize_cache_16(UINT64_MAX, 1));
	rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
}

/* ---- what is refused alike for all */

static void unknown_opcodes_are_refused(void **state)
{
	struct rig *rig = *state;

	run_plain(rig, RIG_CDB(0xff, 0, 0, 0, 0, 0));
	rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
	run_plain(rig, RIG_CDB(0x9f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
	rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
	run_plain(rig, RIG_CDB(SCSI_SERVICE_ACTION_IN_16, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
			       0, 0));
	rig_assert_field(rig, 1, 4);
}

static void absent_units_are_refused(void **state)
{
	struct rig *rig = *state;

	to_lun(rig, 2);
	run_plain(rig, scsi_cdb_test_unit_ready());
	rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LUN_NOT_SUPPORTED);
	rig->lun = (struct hba_lun_id) { { 0x00, 0x00, 0x00, 0x01 } }; /* a second level */
	run_plain(rig, scsi_cdb_test_unit_ready());
	rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LUN_NOT_SUPPORTED);
}

static void reserved_bits_are_pointed_at(void **state)
{
	struct rig *rig = *state;

	run_plain(rig, RIG_CDB(SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0x08));
	rig_assert_field(rig, 5, 3);
	run_in(rig, RIG_CDB(SCSI_READ_10, 0x20, 0, 0, 0, 0, 0, 0, 1, 0), 512); /* RDPROTECT */
	rig_assert_field(rig, 1, 5);
	run_in(rig, RIG_CDB(SCSI_READ_16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x81, 0), 512);
	rig_assert_field(rig, 14, 7);
	run_in(rig, RIG_CDB(SCSI_READ_CAPACITY_10, 0, 0, 0, 0, 1, 0, 0, 0, 0), 8);
	rig_assert_field(rig, 5, 0);
}

static void short_cdbs_are_refused(void **state)
{
	struct rig *rig = *state;
	struct scsi_cdb cdb = rig_rw(HBA_FROM_TARGET, 0, 1, 16, false);

	cdb.length = 10;
	run_in(rig, cdb, 512);
	rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
	assert_int_equal(rig->data[0], FILLER);
}

static void data_the_wrong_way_round_are_refused(void **state)
{
	struct rig *rig = *state;
	struct scsi_cdb read = rig_rw(HBA_FROM_TARGET, 0, 1, 10, false),
			write = rig_rw(HBA_TO_TARGET, 0, 1, 10, false);

	rig_run(rig, &read, HBA_TO_TARGET, 512);
	rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
	rig_run(rig, &write, HBA_FROM_TARGET, 512);
	rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
}

/*
 * Any bytes at all: an end, and never a byte more than there is room for (the buffer is of exact
 * size for the sanitizer).
 */
static void random_cdbs_do_no_harm(void **state)
{
	struct rig *rig = *state;
	uint32_t seed = 20240611;

	print_message("seed %u\n", seed);
	for (unsigned i = 0; i < 200000; i++) {
		struct scsi_cdb cdb = { .length = (uint8_t)(6 + rig_random(&seed, 11)) };
		uint64_t length = rig_random(&seed, 600);
		uint8_t *buffer = malloc(length + 1);
		struct iovec iov = { buffer, length };

		assert_non_null(buffer);
		memset(buffer, 0, length + 1);
		for (unsigned b = 0; b < cdb.length; b++)
			cdb.bytes[b] = rig_random(&seed, 3) ? 0 : (uint8_t)rig_random(&seed, 256);
		cdb.bytes[0] = (uint8_t)rig_random(&seed, 256);
		to_lun(rig, rig_random(&seed, 3));
		rig_run_list(rig, &cdb, (enum hba_direction)rig_random(&seed, 3), &iov, 1, length);
		assert_true(rig->last.command.bytes <= length);
		free(buffer);
	}
}

#define WITH_RIG(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_RIG(standard_inquiry_names_the_disk),
		WITH_RIG(answers_are_cut_to_allocation_and_buffer),
		WITH_RIG(absent_unit_answers_qualifier_3),
		WITH_RIG(vpd_pages_say_who_it_is),
		WITH_RIG(inquiry_refuses_what_it_has_not),
		WITH_RIG(first_command_hears_of_power_on),
		WITH_RIG(attention_comes_before_a_bad_opcode_and_moves_nothing),
		WITH_RIG(request_sense_takes_the_attention_in_both_formats),
		WITH_RIG(report_luns_lists_them_for_any_lun),
		WITH_RIG(report_luns_selects),
		WITH_RIG(capacity_is_the_last_block),
		WITH_RIG(large_capacity_needs_16),
		WITH_RIG(mode_sense_6_has_header_descriptor_and_pages),
		WITH_RIG(mode_sense_10_knows_dbd_llbaa_and_one_page),
		WITH_RIG(mode_sense_says_write_protected),
		WITH_RIG(mode_sense_changeable_is_a_mask_saved_is_refused),
		WITH_RIG(mode_sense_refuses_pages_it_has_not),
		WITH_RIG(synchronize_cache_checks_its_range),
		WITH_RIG(unknown_opcodes_are_refused),
		WITH_RIG(absent_units_are_refused),
		WITH_RIG(reserved_bits_are_pointed_at),
		WITH_RIG(short_cdbs_are_refused),
		WITH_RIG(data_the_wrong_way_round_are_refused),
		WITH_RIG(random_cdbs_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
