/* SPDX-License-Identifier: MIT */
/*
 * test_provision.c: UNMAP and GET LBA STATUS: what becomes of blocks, of the file's and the
 * memory's room, each thing that is refused; and the pages that say what there is of all that.
 */
#include "blocks.h"

#include <sys/stat.h>
#include <unistd.h>

/* ---- UNMAP, GET LBA STATUS */

static enum hba_outcome unmap(struct rig *rig, const struct scsi_extent *extents, unsigned n)
{
	size_t length = scsi_unmap_write(extents, n, rig->data);
	struct scsi_cdb cdb = scsi_cdb_unmap_list((uint16_t)length);

	return rig_run(rig, &cdb, HBA_TO_TARGET, length);
}

static unsigned lba_status(struct rig *rig, uint64_t block, struct scsi_lba_status *status,
			   unsigned most)
{
	int n;

	assert_int_equal(
		blocks_run_in(rig, scsi_cdb_lba_status(block, 8 + 16 * most), 8 + 16 * most),
		HBA_GOOD);
	n = scsi_lba_status_read(rig->data, rig->last.command.bytes, status, most);
	assert_true(n >= 1);
	assert_int_equal(status[0].extent.block, block);
	return (unsigned)n;
}

static void unmap_gives_room_back(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (unsigned lun = 0; lun < NOTHING; lun++) {
		uint32_t block = blocks_to_lun(rig, lun)->block_bytes, per = GRANULE / block,
			 blocks = BYTES / block;
		struct scsi_extent extents[] = { { 2 * per, per }, { 0, 0 }, { 8 * per, 3 * per } };
		struct scsi_lba_status s[8];

		/* Nothing has been written: one hole. */
		assert_int_equal(lba_status(rig, 1, s, 8), 1);
		assert_true(s[0].provisioning == SCSI_DEALLOCATED &&
			    s[0].extent.count == blocks - 1);
		blocks_write(rig, 0, 16 * per, 0xee);
		assert_int_equal(lba_status(rig, 0, s, 8), 2);
		assert_true(s[0].provisioning == SCSI_MAPPED && s[0].extent.count == 16 * per);
		assert_true(s[1].provisioning == SCSI_DEALLOCATED &&
			    s[1].extent.count == blocks - 16 * per);

		assert_int_equal(unmap(rig, extents, 3), HBA_GOOD);
		assert_int_equal(rig->last.command.bytes, 8 + 3 * 16);
		assert_int_equal(lba_status(rig, 0, s, 8), 6);
		for (unsigned i = 0; i < 6; i++)
			assert_int_equal(s[i].provisioning, i % 2 ? SCSI_DEALLOCATED : SCSI_MAPPED);
		assert_true(s[1].extent.block == 2 * per && s[1].extent.count == per);
		assert_true(s[3].extent.block == 8 * per && s[3].extent.count == 3 * per);
		assert_int_equal(s[4].extent.count, 5 * per);
		blocks_assert(rig, 2 * per - 1, 1, 0xee);
		blocks_assert(rig, 2 * per, per, 0);
		blocks_assert(rig, 3 * per, 5 * per, 0xee);
		blocks_assert(rig, 8 * per, 3 * per, 0);
		blocks_assert(rig, 11 * per, 5 * per, 0xee);
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

		blocks_to_lun(rig, lun);
		blocks_write(rig, 0, 40, 0xcc);
		assert_int_equal(unmap(rig, extents, 2), HBA_GOOD);
		blocks_assert(rig, 0, 3, 0xcc);
		blocks_assert(rig, 3, 2, 0);
		blocks_assert(rig, 5, 9, 0xcc);
		blocks_assert(rig, 14, 12, 0);
		blocks_assert(rig, 26, 14, 0xcc);
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

	blocks_to_lun(rig, FILE_512);
	memset(rig->data, 0xab, 512);
	assert_int_equal(blocks_extent(rig, SCSI_WRITE_SAME_10, 0, 0, 0, 512), HBA_GOOD);
	assert_int_equal(blocks_extent(rig, SCSI_SYNCHRONIZE_CACHE_10, 0, 0, 0, 0), HBA_GOOD);
	full = file_blocks(b->paths[0]);
	assert_true(full >= BYTES / 512);
	assert_int_equal(unmap(rig, &half, 1), HBA_GOOD);
	assert_int_equal(file_blocks(b->paths[0]), full - BYTES / 512 / 2);
	assert_int_equal(
		blocks_extent(rig, SCSI_WRITE_SAME_16, SCSI_NDOB | SCSI_WRITE_SAME_UNMAP, 0, 0, 0),
		HBA_GOOD);
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
	enum { MUCH = 64 << 20, HALF = MUCH / 2 / 4096 };
	struct rig *rig = &((struct bench *)*state)->rig;
	uint64_t before, full;

	rig_add_ram(rig, MUCH, 4096);
	blocks_to_lun(rig, UNITS);
	before = resident_bytes();
	memset(rig->data, 0xab, 4096);
	assert_int_equal(blocks_extent(rig, SCSI_WRITE_SAME_10, 0, 0, HALF, 4096), HBA_GOOD);
	assert_int_equal(blocks_extent(rig, SCSI_WRITE_SAME_10, 0, HALF, 0, 4096), HBA_GOOD);
	full = resident_bytes();
	assert_true(full > before + MUCH * 9 / 10);
	for (unsigned block = 0; block <= HALF; block += HALF)
		assert_int_equal(blocks_extent(rig, SCSI_WRITE_SAME_16,
					       SCSI_NDOB | SCSI_WRITE_SAME_UNMAP, block, HALF, 0),
				 HBA_GOOD);
	/* Against what was full, not what was empty: TSan's shadow of the memory stays. */
	assert_true(resident_bytes() < full - MUCH * 9 / 10);
	blocks_assert(rig, 0, 1, 0);
}

static void assert_list_field(const struct rig *rig, unsigned byte)
{
	struct scsi_sense s = rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST,
					       SCSI_ASC_INVALID_FIELD_IN_PARAMETER_LIST);

	assert_true(s.has_field && !s.field_in_cdb);
	assert_int_equal(s.field_byte, byte);
}

static void unmap_refuses(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	struct scsi_extent many[257] = { { 0, 1 } }, good = { 0, 8 },
			   two[] = { { 0, 8 }, { BYTES / 512 - 1, 2 } };
	struct scsi_cdb cdb = scsi_cdb_unmap_list(24);

	blocks_write(rig, 0, 8, 1);
	/* the first one is well, and is not done either */
	assert_int_equal(unmap(rig, two, 2), HBA_CHECK_CONDITION);
	blocks_assert_range(rig, BYTES / 512);
	blocks_assert(rig, 0, 8, 1);
	assert_int_equal(unmap(rig, many, 257), HBA_CHECK_CONDITION);
	assert_list_field(rig, 2);
	blocks_assert(rig, 0, 8, 1);
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
	blocks_assert(rig, 0, 8, 1);
	blocks_to_lun(rig, NOTHING);
	assert_int_equal(unmap(rig, &good, 1), HBA_CHECK_CONDITION);
	rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
}

static void unmap_of_too_many_blocks(void **state)
{
	enum { MOST = 1 << 24 };
	struct rig *rig = &((struct bench *)*state)->rig;
	struct scsi_extent extents[] = { { 0, 5 }, { 8, MOST - 5 }, { 100, 1 } };

	rig_add_ram(rig, UINT64_C(16) << 30, 512);
	blocks_to_lun(rig, UNITS);
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

	blocks_write(rig, 0, 16, 1);
	assert_int_equal(rig_run(rig, &cdb, HBA_NO_DATA, 0), HBA_GOOD);
	assert_int_equal(unmap(rig, two, 0), HBA_GOOD);
	blocks_assert(rig, 0, 16, 1);
	cdb = scsi_cdb_unmap_list(8 + 31);
	scsi_unmap_write(two, 2, rig->data);
	assert_int_equal(rig_run(rig, &cdb, HBA_TO_TARGET, 8 + 31), HBA_GOOD);
	blocks_assert(rig, 0, 8, 0);
	blocks_assert(rig, 8, 8, 1);
}

static void lba_status_is_cut_and_refused(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	struct scsi_lba_status s[2];

	for (unsigned i = 0; i < 4; i++)
		blocks_write(rig, 16 * i, 8, 1);
	assert_int_equal(blocks_run_in(rig, scsi_cdb_lba_status(0, 8 + 16 + 15), 1024), HBA_GOOD);
	assert_int_equal(rig->last.command.bytes, 24);
	assert_int_equal(get_be32(rig->data), 4 + 16);
	assert_int_equal(blocks_run_in(rig, scsi_cdb_lba_status(0, 4), 1024), HBA_GOOD);
	assert_int_equal(rig->last.command.bytes, 4);
	blocks_run_in(rig, scsi_cdb_lba_status(BYTES / 512, 24), 24);
	blocks_assert_range(rig, BYTES / 512);
	assert_int_equal(lba_status(rig, BYTES / 512 - 1, s, 2), 1);
	assert_int_equal(s[0].extent.count, 1);
	blocks_to_lun(rig, NOTHING); /* not thin: all of it is there */
	assert_int_equal(lba_status(rig, 3, s, 2), 1);
	assert_true(s[0].provisioning == SCSI_MAPPED && s[0].extent.count == BYTES / 512 - 3);
}

/* ---- pages, capacity */

static void pages_say_what_there_is(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (unsigned lun = 0; lun < UNITS; lun++) {
		struct target_unit *unit = blocks_to_lun(rig, lun);
		bool thin = lun != NOTHING;
		struct scsi_provisioning p;
		struct scsi_block_limits l;
		struct scsi_capacity c;

		blocks_run_in(rig, scsi_cdb_inquiry_vpd(SCSI_VPD_BLOCK_LIMITS, 255), 255);
		assert_int_equal(scsi_vpd_read_limits(rig->data, rig->last.command.bytes, &l), 0);
		assert_int_equal(l.max_compare_and_write, 255);
		assert_int_equal(l.max_transfer, 0);
		assert_int_equal(l.optimal_transfer, (1 << 20) / unit->block_bytes);
		assert_int_equal(l.max_unmap_descriptors, thin ? 256 : 0);
		assert_int_equal(l.max_unmap_blocks, thin ? 1 << 24 : 0);
		assert_int_equal(l.unmap_granularity, thin ? GRANULE / unit->block_bytes : 0);
		assert_int_equal(l.max_write_same, (32 << 20) / unit->block_bytes);
		assert_false(l.write_same_nonzero);
		blocks_run_in(rig, scsi_cdb_inquiry_vpd(SCSI_VPD_LOGICAL_BLOCK_PROVISIONING, 255),
			      255);
		assert_int_equal(scsi_vpd_read_provisioning(rig->data, rig->last.command.bytes, &p),
				 0);
		assert_true(p.unmap == thin && p.write_same_10 == thin && p.write_same_16 == thin &&
			    p.reads_zero == thin);
		assert_int_equal(p.type, thin ? SCSI_THIN_PROVISIONED : SCSI_FULLY_PROVISIONED);
		blocks_run_in(rig, scsi_cdb_inquiry_vpd(SCSI_VPD_BLOCK_CHARACTERISTICS, 255), 255);
		assert_int_equal(rig->last.command.bytes, 64);
		assert_int_equal(get_be16(rig->data + 4), 1);
		blocks_run_in(rig, scsi_cdb_inquiry_vpd(SCSI_VPD_EXTENDED_INQUIRY, 255), 255);
		assert_int_equal(rig->last.command.bytes, 64);
		/* HEADSUP, ORDSUP, SIMPSUP */
		assert_int_equal(rig->data[5], 0x07);
		/* V_SUP: a file has the page cache before it */
		assert_int_equal(rig->data[6], lun == FILE_512 || lun == FILE_4K);
		blocks_run_in(rig, scsi_cdb_read_capacity_16(32), 32);
		assert_int_equal(scsi_capacity_read_16(rig->data, 32, &c), 0);
		assert_true(c.provisioned == thin && c.reads_zero == thin);
		assert_int_equal(c.physical_exponent, thin && unit->block_bytes == 512 ? 3 : 0);
		unit->max_transfer = 16;
		blocks_run_in(rig, scsi_cdb_inquiry_vpd(SCSI_VPD_BLOCK_LIMITS, 255), 255);
		assert_int_equal(scsi_vpd_read_limits(rig->data, rig->last.command.bytes, &l), 0);
		assert_true(l.max_transfer == 16 && l.optimal_transfer == 16 &&
			    l.max_compare_and_write == 16);
	}
}

/* ---- which commands there are */

static bool understands(struct rig *rig, uint8_t opcode)
{
	struct scsi_cdb cdb = {
		.length = (uint8_t)(scsi_cdb_length(opcode) ? scsi_cdb_length(opcode) : 16)
	};
	struct scsi_sense sense;

	cdb.bytes[0] = opcode;
	rig_run(rig, &cdb, HBA_NO_DATA, 0);
	return rig->last.command.outcome != HBA_CHECK_CONDITION ||
	       scsi_sense_read(rig->last.command.sense, rig->last.command.sense_len, &sense) < 0 ||
	       sense.asc != SCSI_ASC_INVALID_OPCODE;
}

static struct scsi_cdb supported(uint8_t options, uint8_t opcode)
{
	return RIG_CDB(SCSI_MAINTENANCE_IN, SCSI_MI_REPORT_SUPPORTED_OPCODES, options, opcode, 0, 0,
		       0, 0, 0x40, 0, 0, 0);
}

static void units_list_what_they_understand(void **state)
{
	enum { ALL, ONE, BYTES_OF_EACH = 8 };
	struct rig *rig = &((struct bench *)*state)->rig;

	for (unsigned lun = 0; lun < UNITS; lun++) {
		bool listed[UINT8_MAX + 1] = { false };

		blocks_to_lun(rig, lun);
		assert_int_equal(blocks_run_in(rig, supported(ALL, 0), RIG_DATA_BYTES), HBA_GOOD);
		assert_int_equal(get_be32(rig->data) + 4, rig->last.command.bytes);
		for (uint32_t at = 4; at < rig->last.command.bytes; at += BYTES_OF_EACH)
			listed[rig->data[at]] = true;
		for (unsigned opcode = 0; opcode <= UINT8_MAX; opcode++)
			if (understands(rig, (uint8_t)opcode) != listed[opcode])
				fail_msg("LUN %u: opcode %02x is %slisted", lun, opcode,
					 listed[opcode] ? "" : "not ");
		assert_int_equal(listed[SCSI_UNMAP], lun != NOTHING);
		assert_int_equal(blocks_run_in(rig, supported(ONE, SCSI_UNMAP), 64), HBA_GOOD);
		assert_int_equal(rig->data[1], lun != NOTHING ? 3 : 1);
		assert_int_equal(blocks_run_in(rig, supported(ONE, SCSI_WRITE_SAME_16), 64),
				 HBA_GOOD);
		assert_int_equal(rig->data[4 + 1],
				 SCSI_NDOB | (lun != NOTHING ? SCSI_WRITE_SAME_UNMAP : 0));
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
		{ SCSI_VPD_EXTENDED_INQUIRY, "HEADSUP=1 ORDSUP=1 SIMPSUP=1" },
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
		blocks_run_in(rig, scsi_cdb_inquiry_vpd(expected[i].page, 255), 255);
		for (uint64_t b = 0; b < rig->last.command.bytes; b++)
			fprintf(f, "%02x%c", rig->data[b], b % 16 == 15 ? '\n' : ' ');
		fclose(f);
		snprintf(command, sizeof(command), "/usr/bin/sg_vpd --inhex=%s --page=0x%02x 2>&1",
			 path, expected[i].page);
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

#define WITH_BENCH(f) cmocka_unit_test_setup_teardown(f, blocks_setup, blocks_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BENCH(unmap_gives_room_back),
		WITH_BENCH(unmap_of_parts),
		WITH_BENCH(unmap_frees_blocks_of_the_file),
		WITH_BENCH(unmap_frees_memory),
		WITH_BENCH(unmap_refuses),
		WITH_BENCH(unmap_of_too_many_blocks),
		WITH_BENCH(unmap_of_nothing_and_of_parts),
		WITH_BENCH(lba_status_is_cut_and_refused),
		WITH_BENCH(pages_say_what_there_is),
		WITH_BENCH(units_list_what_they_understand),
		WITH_BENCH(sg_vpd_reads_the_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
