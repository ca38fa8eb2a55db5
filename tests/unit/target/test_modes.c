/* SPDX-License-Identifier: MIT */
/*
 * test_modes.c: what may be changed about a unit, and what it tells of itself: mode pages, the
 * medium, logs, self-tests, commands.
 */
#include "rig.h"

#include "target/commands.h"

#include <fcntl.h>
#include <unistd.h>

enum { BLOCK = 512, BLOCKS = 256, A = 0, B = 1, LUN_FILE = 0, LUN_RAM = 1 };

struct bench {
	struct rig rig;
	char path[64];
};

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct store *store;
	int fd;

	assert_non_null(b);
	snprintf(b->path, sizeof(b->path), "/tmp/hbakit-modes-XXXXXX");
	fd = mkstemp(b->path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, BLOCKS * BLOCK), 0);
	close(fd);
	rig_open(&b->rig);
	assert_int_equal(store_open_file(b->path, false, &store, b->rig.message), 0);
	rig_add(&b->rig, store, BLOCK, false);
	rig_add_ram(&b->rig, BLOCKS * BLOCK, BLOCK);
	b->rig.device.units[LUN_FILE].removable = true;
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	rig_close(&b->rig);
	unlink(b->path);
	free(b);
	return 0;
}

static enum hba_outcome plain(struct rig *rig, struct scsi_cdb cdb)
{
	return rig_run(rig, &cdb, HBA_NO_DATA, 0);
}

static enum hba_outcome in(struct rig *rig, struct scsi_cdb cdb, uint64_t length)
{
	memset(rig->data, 0, length);
	return rig_run(rig, &cdb, HBA_FROM_TARGET, length);
}

static enum hba_outcome ready(struct rig *rig)
{
	return plain(rig, scsi_cdb_test_unit_ready());
}

static enum hba_outcome send_list(struct rig *rig, uint8_t flags, const uint8_t *list,
				  uint8_t length)
{
	struct scsi_cdb cdb = RIG_CDB(SCSI_MODE_SELECT_6, flags, 0, 0, length, 0);

	memcpy(rig->data, list, length);
	return rig_run(rig, &cdb, HBA_TO_TARGET, length);
}

/* One page as it is now, ready to be sent back: header of four bytes, no descriptor. */
static uint8_t fetch_page(struct rig *rig, uint8_t code, uint8_t *list)
{
	uint8_t n;

	assert_int_equal(in(rig, RIG_CDB(SCSI_MODE_SENSE_6, 0x08, code, 0, 255, 0), 255), HBA_GOOD);
	n = (uint8_t)rig->last.command.bytes;
	memcpy(list, rig->data, n);
	list[0] = 0;
	return n;
}

static enum hba_outcome change(struct rig *rig, uint8_t code, unsigned byte, uint8_t bits, bool on)
{
	uint8_t list[64], n = fetch_page(rig, code, list);

	list[4 + byte] = (uint8_t)(on ? list[4 + byte] | bits : list[4 + byte] & ~bits);
	return send_list(rig, 0x10, list, n);
}

static uint8_t sensed(struct rig *rig, uint8_t pc, uint8_t code, unsigned byte)
{
	assert_int_equal(in(rig,
			    RIG_CDB(SCSI_MODE_SENSE_6, 0x08, (uint8_t)(pc << 6 | code), 0, 255, 0),
			    255),
			 HBA_GOOD);
	return rig->data[4 + byte];
}

static void to_lun(struct rig *rig, unsigned lun)
{
	assert_int_equal(scsi_lun_from_number(lun, &rig->lun), 0);
}

/* ---- mode pages */

static void changes_are_in_force_and_told_to_others(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	assert_int_equal(sensed(rig, 0, 0x08, 2) & 4, 4);
	assert_int_equal(sensed(rig, 1, 0x08, 2), 4);
	assert_int_equal(sensed(rig, 1, 0x08, 12), 0x20);
	assert_int_equal(change(rig, 0x08, 2, 4, false), HBA_GOOD);
	assert_true(rig->device.units[0].write_through);
	assert_int_equal(sensed(rig, 0, 0x08, 2) & 4, 0);
	assert_int_equal(sensed(rig, 2, 0x08, 2) & 4, 4); /* the default stays */
	assert_int_equal(ready(rig), HBA_GOOD);
	rig->nexus = B;
	assert_int_equal(ready(rig), HBA_CHECK_CONDITION);
	rig_assert_sense(rig, SCSI_UNIT_ATTENTION, SCSI_ASC_MODE_PARAMETERS_CHANGED);
	/* The same once more is no change. */
	assert_int_equal(change(rig, 0x08, 2, 4, false), HBA_GOOD);
	rig->nexus = A;
	assert_int_equal(ready(rig), HBA_GOOD);
	assert_int_equal(change(rig, 0x08, 12, 0x20, true), HBA_GOOD);
	assert_int_equal(sensed(rig, 0, 0x08, 12), 0x20);
	target_unit_was_reset(&rig->device.units[0]);
	assert_false(rig->device.units[0].write_through);
}

static void sense_format_follows_d_sense(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	plain(rig, RIG_CDB(0xff, 0, 0, 0, 0, 0));
	assert_int_equal(rig->last.command.sense[0], 0x70);
	assert_int_equal(change(rig, 0x0a, 2, 4, true), HBA_GOOD);
	plain(rig, RIG_CDB(0xff, 0, 0, 0, 0, 0));
	assert_int_equal(rig->last.command.sense[0], 0x72);
	rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
}

static void software_write_protection_protects(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	struct scsi_cdb write = rig_rw(HBA_TO_TARGET, 0, 1, 10, false);

	assert_int_equal(change(rig, 0x0a, 4, 8, true), HBA_GOOD);
	assert_int_equal(rig_run(rig, &write, HBA_TO_TARGET, BLOCK), HBA_CHECK_CONDITION);
	rig_assert_sense(rig, SCSI_DATA_PROTECT, SCSI_ASC_SOFTWARE_WRITE_PROTECTED);
	assert_int_equal(in(rig, rig_rw(HBA_FROM_TARGET, 0, 1, 10, false), BLOCK), HBA_GOOD);
	in(rig, scsi_cdb_mode_sense_6(0x3f, 0, 255), 255);
	assert_int_equal(rig->data[2] & 0x80, 0x80);
	assert_int_equal(change(rig, 0x0a, 4, 8, false), HBA_GOOD);
	assert_int_equal(rig_run(rig, &write, HBA_TO_TARGET, BLOCK), HBA_GOOD);
}

static void lists_of_all_pages_with_both_descriptors(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	struct scsi_cdb select = RIG_CDB(SCSI_MODE_SELECT_10, 0x10, 0, 0, 0, 0, 0, 0, 0, 0);
	uint8_t list[64];

	for (unsigned longer = 0; longer < 2; longer++) {
		in(rig, RIG_CDB(SCSI_MODE_SENSE_10, longer ? 0x10 : 0, 0x3f, 0, 0, 0, 0, 0, 255, 0),
		   255);
		select.bytes[8] = (uint8_t)rig->last.command.bytes;
		rig->data[0] = rig->data[1] = 0;
		assert_int_equal(rig_run(rig, &select, HBA_TO_TARGET, select.bytes[8]), HBA_GOOD);
		rig->data[8 + (longer ? 7 : 3)]++; /* one block more */
		rig_run(rig, &select, HBA_TO_TARGET, select.bytes[8]);
		rig_assert_parameter(rig, 8, 7);
	}
	assert_int_equal(send_list(rig, 0, list, 0), HBA_GOOD); /* an empty list is no mistake */
}

static void bad_lists_are_pointed_at_and_change_nothing(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	uint8_t list[64], n = fetch_page(rig, 0x0a, list);

	send_list(rig, 0, list, n);
	rig_assert_field(rig, 1, 4); /* PF */
	send_list(rig, 0x11, list, n);
	rig_assert_field(rig, 1, 0); /* SP */
	for (uint8_t cut = 1; cut < n; cut++) {
		if (cut == 4)
			continue; /* a header alone is whole */
		send_list(rig, 0x10, list, cut);
		rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_PARAMETER_LIST_LENGTH_ERROR);
	}
	list[1] = 1;
	send_list(rig, 0x10, list, n);
	rig_assert_parameter(rig, 1, 7); /* medium type */
	list[1] = 0;
	list[3] = 7;
	send_list(rig, 0x10, list, n);
	rig_assert_parameter(rig, 3, 7); /* descriptor length */
	list[3] = 0;
	list[4] ^= 0x40;
	send_list(rig, 0x10, list, n);
	rig_assert_parameter(rig, 4, 6); /* SPF */
	list[4] = 0x1d;
	send_list(rig, 0x10, list, n);
	rig_assert_parameter(rig, 4, 5); /* no such page */
	list[4] = 0x0a;
	list[5]++;
	send_list(rig, 0x10, list, n);
	rig_assert_parameter(rig, 5, 7); /* page length */
	list[5]--;
	list[4 + 2] ^= 0x04; /* D_SENSE, which might be changed … */
	list[4 + 3] ^= 0x80; /* … and what may not */
	send_list(rig, 0x10, list, n);
	rig_assert_parameter(rig, 4 + 3, 7);
	assert_false(rig->device.units[0].descriptor_sense);
}

static void ram_has_no_cache_to_turn_off(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	to_lun(rig, LUN_RAM);
	assert_int_equal(sensed(rig, 1, 0x08, 2), 0);
	change(rig, 0x08, 2, 4, true);
	rig_assert_parameter(rig, 4 + 2, 2);
}

/* ---- the medium */

static struct scsi_cdb start_stop(uint8_t what)
{
	return RIG_CDB(SCSI_START_STOP_UNIT, 0, 0, 0, what, 0);
}

static void stop_and_start(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	assert_int_equal(plain(rig, start_stop(0)), HBA_GOOD);
	assert_int_equal(ready(rig), HBA_CHECK_CONDITION);
	rig_assert_sense(rig, SCSI_NOT_READY, SCSI_ASC_INITIALIZING_COMMAND_REQUIRED);
	in(rig, rig_rw(HBA_FROM_TARGET, 0, 1, 10, false), BLOCK);
	rig_assert_sense(rig, SCSI_NOT_READY, SCSI_ASC_INITIALIZING_COMMAND_REQUIRED);
	assert_int_equal(in(rig, scsi_cdb_inquiry(36), 36), HBA_GOOD);
	assert_int_equal(rig->data[1], 0x80); /* removable */
	assert_int_equal(plain(rig, start_stop(1)), HBA_GOOD);
	assert_int_equal(ready(rig), HBA_GOOD);
	plain(rig, start_stop(0x10)); /* ACTIVE */
	rig_assert_field(rig, 4, 4);
	plain(rig, RIG_CDB(SCSI_START_STOP_UNIT, 0, 0, 1, 1, 0));
	rig_assert_field(rig, 3, 0);
}

static void eject_and_load(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	rig->nexus = B;
	assert_int_equal(plain(rig, RIG_CDB(SCSI_PREVENT_ALLOW_MEDIUM_REMOVAL, 0, 0, 0, 1, 0)),
			 HBA_GOOD);
	rig->nexus = A;
	plain(rig, start_stop(2));
	rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_MEDIUM_REMOVAL_PREVENTED);
	/* not A's to allow */
	assert_int_equal(plain(rig, RIG_CDB(SCSI_PREVENT_ALLOW_MEDIUM_REMOVAL, 0, 0, 0, 0, 0)),
			 HBA_GOOD);
	plain(rig, start_stop(2));
	rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_MEDIUM_REMOVAL_PREVENTED);
	rig->nexus = B;
	assert_int_equal(plain(rig, RIG_CDB(SCSI_PREVENT_ALLOW_MEDIUM_REMOVAL, 0, 0, 0, 0, 0)),
			 HBA_GOOD);
	assert_int_equal(plain(rig, start_stop(2)), HBA_GOOD);
	ready(rig);
	rig_assert_sense(rig, SCSI_NOT_READY, SCSI_ASC_NO_MEDIUM);
	plain(rig, start_stop(1)); /* started, but not loaded */
	rig_assert_sense(rig, SCSI_NOT_READY, SCSI_ASC_NO_MEDIUM);
	assert_int_equal(plain(rig, start_stop(3)), HBA_GOOD);
	for (uint8_t nexus = 0; nexus < 2; nexus++) {
		rig->nexus = nexus;
		ready(rig);
		rig_assert_sense(rig, SCSI_UNIT_ATTENTION, SCSI_ASC_MEDIUM_MAY_HAVE_CHANGED);
		assert_int_equal(ready(rig), HBA_GOOD);
	}
	plain(rig, RIG_CDB(SCSI_PREVENT_ALLOW_MEDIUM_REMOVAL, 0, 0, 0, 2, 0));
	rig_assert_field(rig, 4, 1);
	to_lun(rig, LUN_RAM); /* nothing to take out there */
	plain(rig, start_stop(2));
	rig_assert_field(rig, 4, 1);
}

/* ---- logs and self-tests */

static struct scsi_cdb log_sense(uint8_t page, uint8_t subpage, uint16_t parameter)
{
	return RIG_CDB(SCSI_LOG_SENSE, 0, (uint8_t)(0x40 | page), subpage, 0,
		       (uint8_t)(parameter >> 8), (uint8_t)parameter, 2, 0, 0);
}

static void logs_list_what_there_is(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	static const uint8_t pages[] = { 0x00, 0x02, 0x03, 0x10 };

	assert_int_equal(in(rig, log_sense(0, 0, 0), 512), HBA_GOOD);
	assert_int_equal(get_be16(rig->data + 2), sizeof(pages));
	assert_memory_equal(rig->data + 4, pages, sizeof(pages));
	assert_int_equal(in(rig, log_sense(0, 0xff, 0), 512), HBA_GOOD);
	assert_int_equal(rig->data[0], 0x40);
	assert_int_equal(get_be16(rig->data + 2), 2 * (sizeof(pages) + 1));
	in(rig, log_sense(0x0d, 0, 0), 512);
	rig_assert_field(rig, 2, 5);
	in(rig, log_sense(0x02, 1, 0), 512);
	rig_assert_field(rig, 3, 7);
	in(rig, log_sense(0x02, 0, 7), 512);
	rig_assert_field(rig, 5, 7);
	in(rig, RIG_CDB(SCSI_LOG_SENSE, 0, 0x02, 0, 0, 0, 0, 2, 0, 0), 512); /* thresholds */
	rig_assert_field(rig, 2, 7);
	in(rig, RIG_CDB(SCSI_LOG_SENSE, 1, 0x42, 0, 0, 0, 0, 2, 0, 0), 512); /* SP */
	rig_assert_field(rig, 1, 0);
}

static uint64_t read_errors(struct rig *rig)
{
	assert_int_equal(in(rig, log_sense(0x03, 0, 0), 512), HBA_GOOD);
	assert_int_equal(get_be16(rig->data + 2), 12);
	assert_int_equal(get_be16(rig->data + 4), 6);
	return get_be64(rig->data + 8);
}

static void errors_and_failed_tests_are_logged(void **state)
{
	struct bench *b = *state;
	struct rig *rig = &b->rig;

	assert_int_equal(plain(rig, RIG_CDB(SCSI_SEND_DIAGNOSTIC, 0x04, 0, 0, 0, 0)), HBA_GOOD);
	assert_int_equal(read_errors(rig), 0);
	assert_int_equal(truncate(b->path, BLOCKS / 2 * BLOCK), 0); /* the second half is gone */
	in(rig, rig_rw(HBA_FROM_TARGET, BLOCKS - 1, 1, 10, false), BLOCK);
	rig_assert_sense(rig, SCSI_MEDIUM_ERROR, SCSI_ASC_UNRECOVERED_READ_ERROR);
	assert_int_equal(read_errors(rig), 1);
	plain(rig, RIG_CDB(SCSI_SEND_DIAGNOSTIC, 5 << 5, 0, 0, 0, 0));
	rig_assert_sense(rig, SCSI_HARDWARE_ERROR, SCSI_ASC_FAILED_SELF_TEST);
	assert_int_equal(in(rig, log_sense(0x10, 0, 0), 512), HBA_GOOD);
	assert_int_equal(get_be16(rig->data + 2), 20 * 20);
	assert_int_equal(rig->data[4 + 4], 5 << 5 | 7);
	assert_in_range(get_be64(rig->data + 4 + 8), BLOCKS / 2, BLOCKS - 1);
	assert_int_equal(rig->data[24 + 4], 0);
	assert_true(get_be64(rig->data + 24 + 8) == UINT64_MAX);
	assert_int_equal(rig->data[44 + 4] | rig->data[44 + 8], 0); /* never run */
	assert_int_equal(in(rig, log_sense(0x10, 0, 20), 512), HBA_GOOD);
	assert_int_equal(get_be16(rig->data + 2), 20);
	in(rig, log_sense(0x10, 0, 21), 512);
	rig_assert_field(rig, 5, 7);
}

static void diagnostics_refuse_what_they_have_not(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	struct scsi_cdb page = RIG_CDB(SCSI_SEND_DIAGNOSTIC, 0x10, 0, 0, 4, 0);

	plain(rig, RIG_CDB(SCSI_SEND_DIAGNOSTIC, 1 << 5, 0, 0, 0, 0)); /* in the background */
	rig_assert_field(rig, 1, 7);
	/* two tests at once */
	plain(rig, RIG_CDB(SCSI_SEND_DIAGNOSTIC, 5 << 5 | 0x04, 0, 0, 0, 0));
	rig_assert_field(rig, 1, 7);
	plain(rig, RIG_CDB(SCSI_SEND_DIAGNOSTIC, 0x04, 0, 0, 4, 0));
	rig_assert_field(rig, 3, 7);
	plain(rig, RIG_CDB(SCSI_SEND_DIAGNOSTIC, 0x02, 0, 0, 0, 0)); /* DEVOFFL */
	rig_assert_field(rig, 1, 1);
	memset(rig->data, 0, 4);
	assert_int_equal(rig_run(rig, &page, HBA_TO_TARGET, 4), HBA_GOOD);
	rig->data[0] = 0x3f;
	rig_run(rig, &page, HBA_TO_TARGET, 4);
	rig_assert_parameter(rig, 0, 7);
	rig->data[0] = 0;
	rig->data[3] = 1;
	rig_run(rig, &page, HBA_TO_TARGET, 4);
	rig_assert_parameter(rig, 2, 7);
	page.bytes[4] = 3;
	rig_run(rig, &page, HBA_TO_TARGET, 4);
	rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_PARAMETER_LIST_LENGTH_ERROR);
	assert_int_equal(in(rig, RIG_CDB(SCSI_RECEIVE_DIAGNOSTIC_RESULTS, 1, 0, 0, 255, 0), 255),
			 HBA_GOOD);
	assert_int_equal(rig->last.command.bytes, 5);
	assert_int_equal(get_be16(rig->data + 2), 1);
	in(rig, RIG_CDB(SCSI_RECEIVE_DIAGNOSTIC_RESULTS, 1, 1, 0, 255, 0), 255);
	rig_assert_field(rig, 2, 7);
}

/* ---- which commands there are */

static struct scsi_cdb supported(uint8_t options, uint8_t opcode, uint8_t action)
{
	return RIG_CDB(SCSI_MAINTENANCE_IN, 0x0c, options, opcode, 0, action, 0, 0, 0x40, 0, 0, 0);
}

/*
 * Each that is listed is there when asked for by itself, its usage begins with its opcode, and bits
 * it lacks are refused.
 */
static void what_is_listed_is_what_is_there(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	uint8_t list[4096];
	uint32_t bytes;
	unsigned with_action = 0;

	assert_int_equal(in(rig, supported(0, 0, 0), sizeof(list)), HBA_GOOD);
	bytes = get_be32(rig->data);
	assert_int_equal(bytes + 4, rig->last.command.bytes);
	memcpy(list, rig->data, bytes + 4);
	for (uint32_t at = 4; at < bytes + 4; at += 8) {
		uint8_t opcode = list[at], action = list[at + 3], has_action = list[at + 5] & 1;
		uint16_t size = get_be16(list + at + 6);

		with_action += has_action;
		assert_int_equal(in(rig, supported(has_action ? 2 : 1, opcode, action), 64),
				 HBA_GOOD);
		assert_int_equal(rig->data[1], 3);
		assert_int_equal(get_be16(rig->data + 2), size);
		assert_int_equal(rig->data[4], opcode);
		assert_int_equal(rig->data[4 + size - 1] & 0x04, 0x04); /* NACA */
		if (has_action)
			assert_int_equal(rig->data[5] & 0x1f, action);
		assert_int_equal(in(rig, supported(3, opcode, action), 64), HBA_GOOD);
		assert_int_equal(rig->data[1], 3);
	}
	assert_true(with_action >= 14);
	assert_int_equal(in(rig, supported(0x80, 0, 0), sizeof(list)), HBA_GOOD);
	assert_int_equal(get_be32(rig->data), bytes / 8 * 20);
}

static void one_command_asked_for(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	assert_int_equal(in(rig, supported(1, SCSI_READ_10, 0), 64), HBA_GOOD);
	assert_int_equal(get_be16(rig->data + 2), 10);
	assert_int_equal(rig->data[4 + 1], 0x1a); /* DPO, FUA, FUA_NV */
	assert_int_equal(rig->data[4 + 9], 0x04);
	assert_int_equal(in(rig, supported(0x81, SCSI_READ_10, 0), 64), HBA_GOOD);
	assert_int_equal(rig->data[1], 0x83);
	assert_int_equal(rig->last.command.bytes, 4 + 10 + 12);
	assert_int_equal(in(rig, supported(1, 0xff, 0), 64), HBA_GOOD);
	assert_int_equal(rig->data[1], 1);
	assert_int_equal(in(rig, supported(2, SCSI_PERSISTENT_RESERVE_OUT, 7), 64), HBA_GOOD);
	assert_int_equal(rig->data[1], 1);
	in(rig, supported(1, SCSI_MAINTENANCE_IN, 0), 64);
	rig_assert_field(rig, 2, 2);
	in(rig, supported(2, SCSI_READ_10, 0), 64);
	rig_assert_field(rig, 4, 7);
	in(rig, supported(4, 0, 0), 64);
	rig_assert_field(rig, 2, 2);
}

static void functions_are_told(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	assert_int_equal(
		in(rig, RIG_CDB(SCSI_MAINTENANCE_IN, 0x0d, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0), 16),
		HBA_GOOD);
	assert_int_equal(rig->last.command.bytes, 4);
	assert_int_equal(rig->data[0], 0xfa);
	assert_int_equal(
		in(rig, RIG_CDB(SCSI_MAINTENANCE_IN, 0x0d, 0x80, 0, 0, 0, 0, 0, 0, 16, 0, 0), 16),
		HBA_GOOD);
	assert_int_equal(rig->last.command.bytes, 16);
	assert_int_equal(rig->data[3], 12);
}

#define WITH_BENCH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BENCH(changes_are_in_force_and_told_to_others),
		WITH_BENCH(sense_format_follows_d_sense),
		WITH_BENCH(software_write_protection_protects),
		WITH_BENCH(lists_of_all_pages_with_both_descriptors),
		WITH_BENCH(bad_lists_are_pointed_at_and_change_nothing),
		WITH_BENCH(ram_has_no_cache_to_turn_off),
		WITH_BENCH(stop_and_start),
		WITH_BENCH(eject_and_load),
		WITH_BENCH(logs_list_what_there_is),
		WITH_BENCH(errors_and_failed_tests_are_logged),
		WITH_BENCH(diagnostics_refuse_what_they_have_not),
		WITH_BENCH(what_is_listed_is_what_is_there),
		WITH_BENCH(one_command_asked_for),
		WITH_BENCH(functions_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
