/* SPDX-License-Identifier: MIT */
/*
 * test-cdb.c: commands against those that libsgutils2 sends, READ and WRITE there and back, and the
 * limits of each size.
 */
#include "scsi-test.h"
#include "scsi/scsi.h"
#include "sg-peer.h"

#include <errno.h>
#include <fcntl.h>
#include <scsi/sg_cmds_basic.h>
#include <scsi/sg_lib.h>
#include <unistd.h>

static void assert_same_as_sent(struct scsi_cdb ours)
{
	struct sg_peer_cdb theirs = sg_peer_end();

	assert_int_equal(ours.length, theirs.length);
	assert_memory_equal(ours.bytes, theirs.bytes, sizeof(ours.bytes));
	assert_int_equal(ours.length, scsi_cdb_length(ours.bytes[0]));
	sg_peer_begin(NULL, 0);
}

enum { MAX_ANSWER = 1 << 16 };

static void compare_plain(int fd, struct random_source *r, uint8_t *answer)
{
	uint32_t n = 1 + random_below(r, MAX_ANSWER - 1);
	uint8_t page = (uint8_t)random_u64(r);

	sg_ll_test_unit_ready(fd, 0, false, 0);
	assert_same_as_sent(scsi_cdb_test_unit_ready());
	sg_ll_request_sense(fd, false, answer, n & 0xff, false, 0);
	assert_same_as_sent(scsi_cdb_request_sense((uint8_t)n));
	sg_ll_inquiry(fd, false, false, 0, answer, (int)n, false, 0);
	assert_same_as_sent(scsi_cdb_inquiry((uint16_t)n));
	sg_ll_inquiry(fd, false, true, page, answer, (int)n, false, 0);
	assert_same_as_sent(scsi_cdb_inquiry_vpd(page, (uint16_t)n));
	sg_ll_report_luns(fd, 0, answer, (int)n, false, 0);
	assert_same_as_sent(scsi_cdb_report_luns(n));
	sg_ll_readcap_10(fd, false, 0, answer, 8, false, 0);
	assert_same_as_sent(scsi_cdb_read_capacity_10());
	sg_ll_readcap_16(fd, false, 0, answer, (int)n, false, 0);
	assert_same_as_sent(scsi_cdb_read_capacity_16(n));
}

static void compare_mode_and_cache(int fd, struct random_source *r, uint8_t *answer)
{
	uint32_t n = 4 + random_below(r, 252), m = 8 + random_below(r, MAX_ANSWER - 8);
	uint8_t page = (uint8_t)random_below(r, 64), subpage = (uint8_t)random_u64(r);
	uint32_t block = (uint32_t)random_bits(r, 32), count = (uint32_t)random_bits(r, 16);

	sg_ll_mode_sense6(fd, false, 0, page, subpage, answer, (int)n, false, 0);
	assert_same_as_sent(scsi_cdb_mode_sense_6(page, subpage, (uint8_t)n));
	sg_ll_mode_sense10(fd, false, false, 0, page, subpage, answer, (int)m, false, 0);
	assert_same_as_sent(scsi_cdb_mode_sense_10(page, subpage, (uint16_t)m));
	sg_ll_sync_cache_10(fd, false, false, 0, block, count, false, 0);
	assert_same_as_sent(scsi_cdb_synchronize_cache_10(block, (uint16_t)count));
}

static void test_builders_send_what_sgutils_sends(void **state)
{
	struct random_source r = random_begin();
	uint8_t *answer = calloc(1, MAX_ANSWER);
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)state;
	assert_non_null(answer);
	assert_true(fd >= 0);
	for (int i = 0; i < ROUNDS / 10; i++) {
		compare_plain(fd, &r, answer);
		compare_mode_and_cache(fd, &r, answer);
	}
	close(fd);
	free(answer);
}

static void test_lengths_are_those_of_sgutils(void **state)
{
	(void)state;
	for (unsigned opcode = 0; opcode < 256; opcode++) {
		unsigned group = opcode >> 5;

		if (group == 3 || group >= 6)
			assert_int_equal(scsi_cdb_length((uint8_t)opcode), 0); /* theirs guesses */
		else
			assert_int_equal(scsi_cdb_length((uint8_t)opcode),
					 sg_get_command_size((uint8_t)opcode));
	}
}

static void test_naca_is_in_the_control_byte(void **state)
{
	static const struct {
		uint8_t opcode, length, control;
	} commands[] = { { 0x00, 6, 5 },  { 0x28, 10, 9 }, { 0xa8, 12, 11 }, { 0x88, 16, 15 },
			 { 0x7f, 32, 1 }, { 0x7f, 16, 1 }, { 0xc1, 10, 9 } };

	(void)state;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		for (unsigned at = 1; at < commands[i].length; at++)
			for (unsigned bit = 0; bit < 8; bit++) {
				uint8_t cdb[HBA_MAX_CDB] = { commands[i].opcode };

				cdb[at] = (uint8_t)(1 << bit);
				assert_int_equal(scsi_cdb_naca(cdb, commands[i].length),
						 at == commands[i].control && bit == 2);
			}
}

/* ---- READ and WRITE */

static const unsigned sizes[] = { 6, 10, 12, 16 };

static struct scsi_rw random_rw(struct random_source *r, unsigned size)
{
	struct scsi_rw rw = { .direction = random_bool(r) ? HBA_TO_TARGET : HBA_FROM_TARGET };

	rw.block = random_bits(r, size == 6 ? 21 : size == 16 ? 64 : 32);
	rw.count = size == 6 ? 1 + random_below(r, 256)
			     : (uint32_t)random_bits(r, size == 10 ? 16 : 32);
	if (size > 6) {
		rw.fua = random_bool(r);
		rw.dpo = random_bool(r);
		rw.protect = (uint8_t)random_below(r, 8);
		rw.group = (uint8_t)random_below(r, 32);
	}
	return rw;
}

static void assert_rw_equal(const struct scsi_rw *a, const struct scsi_rw *b)
{
	assert_int_equal(a->block, b->block);
	assert_int_equal(a->count, b->count);
	assert_int_equal(a->direction, b->direction);
	assert_int_equal(a->fua, b->fua);
	assert_int_equal(a->dpo, b->dpo);
	assert_int_equal(a->protect, b->protect);
	assert_int_equal(a->group, b->group);
}

static void test_rw_there_and_back(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		unsigned size = sizes[random_below(&r, 4)];
		struct scsi_rw rw = random_rw(&r, size), again;
		struct scsi_cdb cdb;
		uint8_t *exact;
		uint32_t count;
		bool protect;

		assert_int_equal(scsi_cdb_rw(&rw, size, &cdb), 0);
		assert_int_equal(cdb.length, size);
		exact = exact_copy(cdb.bytes, size);
		assert_true(scsi_cdb_read_rw(exact, size, &again));
		assert_rw_equal(&rw, &again);
		assert_true(scsi_cdb_rw_count(exact, size, &count, &protect));
		assert_int_equal(count, rw.count);
		assert_int_equal(protect, rw.protect != 0);
		free(exact);
	}
}

/* What just fits each size, and what no longer does. */
static void test_limits_of_each_size(void **state)
{
	static const struct {
		unsigned size;
		uint64_t block, count;
	} most[] = { { 6, (1 << 21) - 1, 256 },
		     { 10, UINT32_MAX, UINT16_MAX },
		     { 12, UINT32_MAX, UINT32_MAX } };
	struct scsi_cdb cdb;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct scsi_rw rw = { .block = most[i].block,
				      .count = (uint32_t)most[i].count,
				      .direction = HBA_TO_TARGET };

		assert_int_equal(scsi_cdb_rw(&rw, most[i].size, &cdb), 0);
		rw.block++;
		assert_int_equal(scsi_cdb_rw(&rw, most[i].size, &cdb), -ERANGE);
		rw.block--;
		rw.count = (uint32_t)(most[i].count + 1);
		if (most[i].count < UINT32_MAX)
			assert_int_equal(scsi_cdb_rw(&rw, most[i].size, &cdb), -ERANGE);
	}
}

static int build(struct scsi_rw rw, unsigned size)
{
	struct scsi_cdb cdb, before;
	int r;

	memset(&before, 0xa5, sizeof(before));
	cdb = before;
	if (rw.direction == HBA_NO_DATA)
		rw.direction = HBA_FROM_TARGET;
	r = scsi_cdb_rw(&rw, size, &cdb);
	if (r < 0)
		assert_memory_equal(&cdb, &before, sizeof(cdb));
	return r;
}

static void test_what_fits_no_command(void **state)
{
	struct scsi_rw nowhere = { .count = 1 };
	struct scsi_cdb cdb;

	(void)state;
	assert_int_equal(build((struct scsi_rw) { .count = 0 }, 6), -ERANGE);
	assert_int_equal(build((struct scsi_rw) { .count = 1, .fua = true }, 6), -ERANGE);
	assert_int_equal(build((struct scsi_rw) { .count = 1, .dpo = true }, 6), -ERANGE);
	assert_int_equal(build((struct scsi_rw) { .count = 1, .protect = 1 }, 6), -ERANGE);
	assert_int_equal(build((struct scsi_rw) { .count = 1, .group = 1 }, 6), -ERANGE);
	assert_int_equal(build((struct scsi_rw) { .count = 1, .protect = 8 }, 16), -ERANGE);
	assert_int_equal(build((struct scsi_rw) { .count = 1, .group = 32 }, 16), -ERANGE);
	assert_int_equal(build((struct scsi_rw) { .count = 1 }, 8), -EINVAL);
	assert_int_equal(build((struct scsi_rw) { .count = 1 }, 32), -EINVAL);
	assert_int_equal(scsi_cdb_rw(&nowhere, 10, &cdb), -EINVAL);
}

static unsigned chosen_size(uint64_t block, uint32_t count)
{
	struct scsi_rw rw = { .block = block, .count = count, .direction = HBA_FROM_TARGET };
	struct scsi_cdb cdb;

	assert_int_equal(scsi_cdb_rw(&rw, 0, &cdb), 0);
	return cdb.length;
}

static void test_smallest_size_that_holds_it(void **state)
{
	(void)state;
	assert_int_equal(chosen_size(0, 1), 10);
	assert_int_equal(chosen_size(UINT32_MAX, UINT16_MAX), 10);
	assert_int_equal(chosen_size(UINT64_C(1) << 32, 1), 16);
	assert_int_equal(chosen_size(0, UINT16_MAX + 1), 16);
	assert_int_equal(chosen_size(UINT64_MAX, UINT32_MAX), 16);
}

static void test_other_commands_are_no_rw(void **state)
{
	static const uint8_t rw_opcodes[] = { 0x08, 0x0a, 0x28, 0x2a, 0xa8, 0xaa, 0x88, 0x8a };
	struct scsi_rw rw;
	uint32_t count;
	uint8_t cdb[16] = { 0 };
	bool protect;

	(void)state;
	assert_false(scsi_cdb_read_rw(cdb, 0, &rw));
	assert_false(scsi_cdb_rw_count(cdb, 0, &count, &protect));
	for (unsigned opcode = 0; opcode < 256; opcode++) {
		bool is_rw = memchr(rw_opcodes, (int)opcode, sizeof(rw_opcodes));

		cdb[0] = (uint8_t)opcode;
		assert_int_equal(scsi_cdb_read_rw(cdb, sizeof(cdb), &rw), is_rw);
		assert_int_equal(scsi_cdb_rw_count(cdb, sizeof(cdb), &count, &protect), is_rw);
	}
}

/*
 * What a file system or a copying program sends. A service action is one command of several under
 * its opcode.
 */
static void test_block_commands(void **state)
{
	static const uint8_t opcodes[] = { 0x08, 0x0a, 0x28, 0x2a, 0xa8, 0xaa, 0x88, 0x8a,
					   0x2e, 0x8e, 0xae, 0x2f, 0x8f, 0xaf, 0x34, 0x90,
					   0x35, 0x91, 0x41, 0x93, 0x42, 0x8b };
	uint8_t cdb[16] = { 0 };

	(void)state;
	for (unsigned opcode = 0; opcode < 256; opcode++) {
		cdb[0] = (uint8_t)opcode;
		assert_int_equal(scsi_cdb_is_block_command(cdb),
				 memchr(opcodes, (int)opcode, sizeof(opcodes)) != NULL);
	}
	cdb[0] = SCSI_SERVICE_ACTION_IN_16;
	for (unsigned action = 0; action < 256; action++) {
		cdb[1] = (uint8_t)action;
		assert_int_equal(scsi_cdb_is_block_command(cdb),
				 (action & 0x1f) == SCSI_SAI_GET_LBA_STATUS);
	}
	assert_true(scsi_cdb_is_block_command(scsi_cdb_lba_status(0, 24).bytes));
	assert_false(scsi_cdb_is_block_command(scsi_cdb_read_capacity_16(32).bytes));
}

/*
 * By what sgutils calls it: whatever has such a word in its name may change something, and so may
 * what it has no name for.
 */
static bool sounds_like_a_change(uint8_t opcode)
{
	static const char *const words[] = { "write",
					     "format unit",
					     "erase",
					     "unmap",
					     "sanitize",
					     "copy and",
					     "reassign",
					     "update",
					     "repair",
					     "track",
					     "regenerate",
					     "party copy out",
					     "ZBC out",
					     "pass-through",
					     "out(",
					     "rebuild",
					     "Security protocol out",
					     "bidirectional",
					     "Opcode=",
					     "Vendor",
					     "Variable" };
	char name[80];

	sg_get_opcode_name(opcode, 0, sizeof(name), name);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasestr(name, words[i]))
			return true;
	return false;
}

static void test_what_may_change_a_medium(void **state)
{
	static const uint8_t harmless[] = { 0x00, 0x03, 0x08, 0x12, 0x15, 0x1a, 0x1b, 0x1d, 0x25,
					    0x28, 0x2f, 0x34, 0x35, 0x4d, 0x5a, 0x5e, 0x5f, 0x88,
					    0x8f, 0x91, 0x9e, 0xa0, 0xa3, 0xa8, 0xaf };
	unsigned changes = 0;

	(void)state;
	for (unsigned opcode = 0; opcode < 256; opcode++)
		if (sounds_like_a_change((uint8_t)opcode)) {
			assert_true(scsi_cdb_may_change_medium((uint8_t[]) { (uint8_t)opcode }));
			changes++;
		}
	assert_true(changes > 64 + 40); /* the vendors', and theirs */
	for (size_t i = 0; i < sizeof(harmless); i++)
		assert_false(scsi_cdb_may_change_medium(&harmless[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_builders_send_what_sgutils_sends),
		cmocka_unit_test(test_lengths_are_those_of_sgutils),
		cmocka_unit_test(test_naca_is_in_the_control_byte),
		cmocka_unit_test(test_rw_there_and_back),
		cmocka_unit_test(test_limits_of_each_size),
		cmocka_unit_test(test_what_fits_no_command),
		cmocka_unit_test(test_smallest_size_that_holds_it),
		cmocka_unit_test(test_other_commands_are_no_rw),
		cmocka_unit_test(test_block_commands),
		cmocka_unit_test(test_what_may_change_a_medium),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
