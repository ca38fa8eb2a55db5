/* SPDX-License-Identifier: MIT */
/*
 * compare-libiscsi.c: what we build is what libiscsi builds; what we read is what libiscsi reads;
 * what we write it reads as meant. Our two ends share their author: only a third party notices what
 * that author has misread.
 */
#include "iscsi-peer.h"
#include "scsi-test.h"
#include "scsi/scsi.h"

static void assert_same_cdb(struct scsi_cdb ours, struct peer_cdb theirs)
{
	assert_int_equal(ours.length, theirs.length);
	assert_memory_equal(ours.bytes, theirs.bytes, PEER_MAX_CDB);
}

static void test_commands(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t n = (uint32_t)random_bits(&r, 31), count = (uint32_t)random_bits(&r, 32);
		uint8_t page = (uint8_t)random_u64(&r), subpage = (uint8_t)random_u64(&r),
			small = (uint8_t)random_u64(&r);
		uint64_t block = random_bits(&r, 64);

		assert_same_cdb(scsi_cdb_test_unit_ready(), peer_test_unit_ready());
		assert_same_cdb(scsi_cdb_inquiry((uint16_t)n),
				peer_inquiry_cdb(false, 0, (uint16_t)n));
		assert_same_cdb(scsi_cdb_inquiry_vpd(page, (uint16_t)n),
				peer_inquiry_cdb(true, page, (uint16_t)n));
		assert_same_cdb(scsi_cdb_report_luns(n), peer_report_luns_cdb(n));
		assert_same_cdb(scsi_cdb_read_capacity_10(), peer_read_capacity_10_cdb());
		assert_same_cdb(scsi_cdb_read_capacity_16(n), peer_read_capacity_16_cdb(n));
		page &= 0x3f;
		assert_same_cdb(scsi_cdb_mode_sense_6(page, subpage, small),
				peer_mode_sense_cdb(6, page, subpage, small));
		assert_same_cdb(scsi_cdb_mode_sense_10(page, subpage, small),
				peer_mode_sense_cdb(10, page, subpage, small));
		assert_same_cdb(scsi_cdb_synchronize_cache_10((uint32_t)block, (uint16_t)count),
				peer_synchronize_cache_cdb(10, (uint32_t)block, (uint16_t)count));
		assert_same_cdb(scsi_cdb_synchronize_cache_16(block, count),
				peer_synchronize_cache_cdb(16, block, count));
	}
}

/* ---- READ and WRITE */

static struct peer_rw random_rw(struct random_source *r, unsigned size)
{
	struct peer_rw rw = { .block = random_bits(r, size == 6 ? 21 : size == 16 ? 64 : 32) };

	rw.count = size == 6 ? 1 + random_below(r, 256)
			     : (uint32_t)random_bits(r, size == 10 ? 16 : 31);
	if (size == 6)
		return rw;
	rw.write = random_bool(r);
	rw.fua = random_bool(r);
	rw.dpo = random_bool(r);
	rw.protect = (uint8_t)random_below(r, 8);
	rw.group = (uint8_t)random_below(r, 32);
	return rw;
}

static void compare_reading_rw(const struct scsi_cdb *cdb)
{
	struct scsi_rw ours;
	struct peer_rw theirs;

	assert_true(peer_read_rw(cdb->bytes, cdb->length, &theirs));
	assert_true(scsi_cdb_read_rw(cdb->bytes, cdb->length, &ours));
	assert_int_equal(ours.direction, HBA_FROM_TARGET);
	assert_int_equal(ours.block, theirs.block);
	/* Theirs leaves the 0 of READ(6) as it is. */
	assert_int_equal(ours.count, cdb->length == 6 && theirs.count == 0 ? 256 : theirs.count);
	assert_int_equal(ours.fua, theirs.fua);
	assert_int_equal(ours.dpo, theirs.dpo);
	assert_int_equal(ours.protect, theirs.protect);
	assert_int_equal(ours.group, theirs.group);
}

static void test_reads_and_writes(void **state)
{
	static const unsigned sizes[] = { 6, 10, 12, 16 };
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		unsigned size = sizes[random_below(&r, 4)];
		struct peer_rw rw = random_rw(&r, size);
		struct scsi_rw same = {
			rw.block, rw.count, rw.write ? HBA_TO_TARGET : HBA_FROM_TARGET,
			rw.fua,   rw.dpo,   rw.protect,
			rw.group
		};
		struct scsi_cdb cdb;

		assert_int_equal(scsi_cdb_rw(&same, size, &cdb), 0);
		assert_same_cdb(cdb, peer_rw_cdb(&rw, size));
		if (!rw.write)
			compare_reading_rw(&cdb);
	}
}

/* ---- answers */

/*
 * Field pointers are compared in fixed format only: libiscsi 1.19 steps over a descriptor by its
 * additional length without the two bytes of its head, and wants a VALID bit in a byte that SPC-4
 * 4.5.2.4 reserves. (In descriptor format: test-sense.c.)
 */
static void compare_sense(const uint8_t bytes[256], size_t n)
{
	struct peer_sense theirs;
	struct scsi_sense ours;

	peer_read_sense(bytes, &theirs);
	assert_int_equal(scsi_sense_read(bytes, n, &ours), 0);
	assert_int_equal(ours.key, theirs.key);
	assert_int_equal(ours.asc, theirs.asc);
	if (ours.key != SCSI_ILLEGAL_REQUEST || (bytes[0] & 0x02))
		return; /* theirs takes these bytes for a field pointer whatever the key */
	assert_int_equal(ours.has_field, theirs.has_field);
	if (!ours.has_field)
		return;
	assert_int_equal(ours.field_in_cdb, theirs.field_in_cdb);
	assert_int_equal(ours.has_bit, theirs.has_bit);
	assert_int_equal(ours.field_byte, theirs.field_byte);
	if (ours.has_bit)
		assert_int_equal(ours.field_bit, theirs.field_bit);
}

static void test_sense(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct scsi_sense s = { .asc = (uint16_t)random_u64(&r),
					.deferred = random_bool(&r) };
		uint8_t bytes[256] = { 0 };
		size_t n;

		s.key = random_bool(&r) ? SCSI_ILLEGAL_REQUEST : (uint8_t)random_below(&r, 16);
		s.has_information = random_bool(&r);
		s.information = random_bits(&r, 64);
		s.has_field = random_bool(&r);
		s.field_in_cdb = random_bool(&r);
		s.has_bit = random_bool(&r);
		s.field_bit = (uint8_t)random_below(&r, 8);
		s.field_byte = (uint16_t)random_u64(&r);
		n = random_bool(&r) ? scsi_sense_write_fixed(&s, bytes)
				    : scsi_sense_write_descriptor(&s, bytes);
		compare_sense(bytes, n);
	}
}

static uint8_t features_of(const struct peer_inquiry *q)
{
	unsigned features = 0;

	if (q->version >= 2)
		features |= (q->wide ? HBA_FEATURE_BIT(HBA_WIDE) : 0) |
			    (q->sync ? HBA_FEATURE_BIT(HBA_SYNCHRONOUS) : 0);
	if (q->version >= 3) {
		features |= q->qas ? HBA_FEATURE_BIT(HBA_QUICK_ARBITRATION) : 0;
		features |= q->ius ? HBA_FEATURE_BIT(HBA_INFORMATION_UNITS) : 0;
		features |= q->clocking == 1 || q->clocking == 3
				    ? HBA_FEATURE_BIT(HBA_DOUBLE_TRANSITION)
				    : 0;
	}
	return (uint8_t)features;
}

static void compare_inquiry(const uint8_t bytes[SCSI_INQUIRY_MAX], struct peer_inquiry *theirs)
{
	struct scsi_inquiry ours;

	assert_true(peer_read_inquiry(bytes, SCSI_INQUIRY_MAX, theirs));
	assert_int_equal(scsi_inquiry_read(bytes, SCSI_INQUIRY_MAX, &ours), 0);
	assert_int_equal(ours.qualifier, theirs->qualifier);
	assert_int_equal(ours.type, theirs->type);
	assert_int_equal(ours.version, theirs->version);
	assert_int_equal(ours.length, theirs->additional_length + 5);
	assert_int_equal(ours.removable, theirs->removable);
	assert_int_equal(ours.hierarchical, theirs->hierarchical);
	assert_int_equal(ours.command_queuing, theirs->command_queuing);
	assert_int_equal(ours.third_party_copy, theirs->third_party_copy);
	assert_int_equal(ours.protect, theirs->protect);
	if (ours.length > 56)
		assert_int_equal(ours.features, features_of(theirs));
	assert_memory_equal(ours.vendor, theirs->vendor, strlen(ours.vendor));
	assert_memory_equal(ours.product, theirs->product, strlen(ours.product));
	assert_memory_equal(ours.revision, theirs->revision, strlen(ours.revision));
}

static void test_inquiry(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct scsi_inquiry q = { .version = 6, .features = 31 };
		uint8_t bytes[SCSI_INQUIRY_MAX];
		struct peer_inquiry theirs;

		random_text(&r, q.vendor, random_below(&r, 9));
		random_text(&r, q.product, random_below(&r, 17));
		random_text(&r, q.revision, random_below(&r, 5));
		scsi_inquiry_write(&q, bytes);
		compare_inquiry(bytes, &theirs);
		assert_int_equal(theirs.format, 2);
		assert_int_equal(theirs.versions[0], 0x00a0);
		assert_int_equal(theirs.versions[1], 0x0460);
		assert_int_equal(theirs.versions[2], 0x04c0);
		assert_int_equal(theirs.versions[3], 0);
		assert_true(theirs.wide && theirs.sync && theirs.qas && theirs.ius &&
			    theirs.clocking == 3);
		random_fill(&r, bytes, 8);
		random_fill(&r, bytes + 56, 2);
		compare_inquiry(bytes, &theirs);
	}
}

static void test_capacity_10(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct scsi_capacity c = { .blocks = 1 + random_bits(&r, 32),
					   .block_bytes = 1 + (uint32_t)random_bits(&r, 31) },
				     ours;
		struct peer_capacity theirs;
		uint8_t bytes[8];

		scsi_capacity_write_10(&c, bytes);
		assert_true(peer_read_capacity_10(bytes, sizeof(bytes), &theirs));
		assert_int_equal(scsi_capacity_read_10(bytes, sizeof(bytes), &ours), 0);
		assert_int_equal(theirs.last_block, c.blocks - 1);
		assert_int_equal(theirs.block_bytes, c.block_bytes);
		assert_int_equal(ours.blocks - 1, theirs.last_block);
		assert_int_equal(ours.block_bytes, theirs.block_bytes);
	}
}

/* Random bytes, read by both; then written by us and read by them. */
static void test_capacity_16(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct peer_capacity theirs, again;
		uint8_t bytes[32], written[32];
		struct scsi_capacity ours;

		random_fill(&r, bytes, sizeof(bytes));
		if (scsi_capacity_read_16(bytes, sizeof(bytes), &ours) < 0)
			continue;
		assert_true(peer_read_capacity_16(bytes, sizeof(bytes), &theirs));
		assert_int_equal(ours.blocks - 1, theirs.last_block);
		assert_int_equal(ours.block_bytes, theirs.block_bytes);
		assert_int_equal(ours.protection, theirs.protection);
		assert_int_equal(ours.provisioned, theirs.provisioned);
		assert_int_equal(ours.reads_zero, theirs.reads_zero);
		assert_int_equal(ours.physical_exponent, theirs.physical_exponent);
		assert_int_equal(ours.lowest_aligned, theirs.lowest_aligned);
		scsi_capacity_write_16(&ours, written);
		assert_true(peer_read_capacity_16(written, sizeof(written), &again));
		assert_memory_equal(&theirs, &again, sizeof(theirs));
	}
}

/* Theirs keeps the first two bytes of each. */
static void test_report_luns(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		uint8_t bytes[8 + 8 * PEER_MAX_ITEMS] = { 0 };
		uint32_t n = random_below(&r, PEER_MAX_ITEMS), needed;
		struct peer_list theirs;
		unsigned count;

		bytes[2] = (uint8_t)(8 * n >> 8);
		bytes[3] = (uint8_t)(8 * n);
		random_fill(&r, bytes + 8, 8 * n);
		assert_true(peer_read_luns(bytes, 8 + 8 * n, &theirs));
		assert_int_equal(scsi_report_luns_read(bytes, 8 + 8 * n, &count, &needed), 0);
		assert_int_equal(count, theirs.n);
		assert_int_equal(needed, 8 + 8 * n);
		for (unsigned j = 0; j < count; j++) {
			struct hba_lun_id lun = scsi_report_luns_entry(bytes, j);

			assert_int_equal(lun.bytes[0] << 8 | lun.bytes[1], theirs.items[j]);
			assert_memory_equal(lun.bytes, bytes + 8 + 8 * j, 8);
		}
	}
}

static void test_supported_and_serial(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		uint8_t pages[PEER_MAX_ITEMS], bytes[SCSI_VPD_MAX];
		char serial[260], theirs[PEER_MAX_TEXT], ours[PEER_MAX_TEXT];
		struct scsi_disk_identity id = { .serial = serial,
						 .pages = pages,
						 .n_pages = random_below(&r, sizeof(pages)) };
		struct peer_list listed;
		size_t n;

		random_fill(&r, pages, sizeof(pages));
		n = scsi_vpd_write_supported(&id, bytes);
		assert_true(peer_read_supported(bytes, n, &listed));
		assert_int_equal(listed.n, id.n_pages);
		for (size_t j = 0; j < listed.n; j++)
			assert_true(listed.items[j] == pages[j] &&
				    scsi_vpd_lists(bytes, n, pages[j]));
		random_text(&r, serial, random_below(&r, 252));
		n = scsi_vpd_write_serial(&id, bytes);
		assert_true(peer_read_serial(bytes, n, theirs));
		assert_int_equal(scsi_vpd_serial(bytes, n, ours, sizeof(ours)), 0);
		assert_string_equal(theirs, serial);
		assert_string_equal(ours, theirs);
	}
}

static void test_device_id(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		char vendor[9], product[17], serial[100], expected[200];
		struct scsi_disk_identity id = { vendor, product,
						 serial, UINT64_C(3) << 60 | random_bits(&r, 60),
						 NULL,   0 };
		/* theirs lists the last one first */
		struct peer_designator found[3], *t10 = &found[0], *naa = &found[1];
		uint8_t bytes[SCSI_VPD_MAX];
		size_t n;

		random_text(&r, vendor, random_below(&r, sizeof(vendor)));
		random_text(&r, product, random_below(&r, sizeof(product)));
		random_text(&r, serial, 1 + random_below(&r, sizeof(serial) - 1));
		n = scsi_vpd_write_device_id(&id, bytes);
		assert_int_equal(peer_read_designators(bytes, n, found, 3), 2);
		assert_true(naa->type == 3 && naa->code_set == 1 && naa->association == 0 &&
			    naa->length == 8);
		for (size_t j = 0; j < 8; j++)
			assert_int_equal(naa->bytes[j], id.naa >> (56 - 8 * j) & 0xff);
		assert_true(t10->type == 1 && t10->code_set == 2 && t10->association == 0);
		snprintf(expected, sizeof(expected), "%-8s%-16s%s", vendor, product, serial);
		assert_int_equal(t10->length, strlen(expected));
		assert_memory_equal(t10->bytes, expected, t10->length);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),    cmocka_unit_test(test_reads_and_writes),
		cmocka_unit_test(test_sense),       cmocka_unit_test(test_inquiry),
		cmocka_unit_test(test_capacity_10), cmocka_unit_test(test_capacity_16),
		cmocka_unit_test(test_report_luns), cmocka_unit_test(test_supported_and_serial),
		cmocka_unit_test(test_device_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
