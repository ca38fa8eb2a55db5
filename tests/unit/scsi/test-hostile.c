/* SPDX-License-Identifier: MIT */
/*
 * test-hostile.c: every reader over every truncation of a good answer, over good answers with bytes
 * flipped, and over noise. It ends with 0 or -EPROTO, leaves its output alone on failure, and
 * (under the address sanitizer) stays inside the buffer.
 */
#include "scsi-test.h"
#include "scsi/scsi.h"

#include <errno.h>

enum { MAX_SAMPLE = 256, PATTERN = 0xa5, TEXT = 40 };

/* Runs one reader with an output full of PATTERN; on failure it must still be. */
#define READER(name, output_type, call)                                  \
	static int name(const uint8_t *bytes, size_t length)             \
	{                                                                \
		output_type out, before;                                 \
		int r;                                                   \
		memset(&out, PATTERN, sizeof(out));                      \
		memset(&before, PATTERN, sizeof(before));                \
		r = call;                                                \
		if (r < 0)                                               \
			assert_memory_equal(&out, &before, sizeof(out)); \
		return r;                                                \
	}

struct text {
	char bytes[TEXT];
};

static int check_text(int r, const char *text)
{
	size_t n = strnlen(text, TEXT);

	if (r < 0)
		return r;
	assert_in_range(n, 0, TEXT - 1);
	for (size_t i = 0; i < n; i++)
		assert_in_range(text[i], ' ', '~');
	return r;
}

READER(read_sense, struct scsi_sense, scsi_sense_read(bytes, length, &out))
READER(read_inquiry, struct scsi_inquiry, scsi_inquiry_read(bytes, length, &out))
READER(read_capacity_10, struct scsi_capacity, scsi_capacity_read_10(bytes, length, &out))
READER(read_capacity_16, struct scsi_capacity, scsi_capacity_read_16(bytes, length, &out))
READER(read_serial, struct text,
       check_text(scsi_vpd_serial(bytes, length, out.bytes, TEXT), out.bytes))
READER(read_best_id, struct text,
       check_text(scsi_vpd_best_id(bytes, length, out.bytes, TEXT), out.bytes))

static int read_vpd(const uint8_t *bytes, size_t length)
{
	int whole = scsi_vpd_check(bytes, length, SCSI_VPD_SUPPORTED);

	assert_true(whole <= (int)length);
	scsi_vpd_lists(bytes, length, SCSI_VPD_DEVICE_ID);
	return whole > 0 ? 0 : whole;
}

static int read_luns(const uint8_t *bytes, size_t length)
{
	unsigned n = 0;
	uint32_t needed = 0;
	int r = scsi_report_luns_read(bytes, length, &n, &needed);

	for (unsigned i = 0; r == 0 && i < n; i++) {
		struct hba_lun_id lun = scsi_report_luns_entry(bytes, i);
		char text[24];

		scsi_lun_text(&lun, text);
	}
	return r;
}

/* No errors there: "is it one" and a name are answers. */
static int read_cdb(const uint8_t *bytes, size_t length)
{
	struct scsi_rw rw;
	uint32_t count;
	bool protect;

	scsi_cdb_read_rw(bytes, length, &rw);
	scsi_cdb_rw_count(bytes, length, &count, &protect);
	scsi_opcode_name(bytes, length);
	return 0;
}

/* ---- good answers to begin with */

static const struct scsi_sense sense = {
	.key = SCSI_ILLEGAL_REQUEST,
	.asc = SCSI_ASC_INVALID_FIELD_IN_CDB,
	.has_information = true,
	.information = 77,
	.has_field = true,
	.field_in_cdb = true,
	.field_byte = 2,
	.ili = true,
};
static const uint8_t pages[] = { 0x00, 0x80, 0x83 };
static const struct scsi_disk_identity identity = { "VENDOR", "PRODUCT",
						    "SERIAL", UINT64_C(0x3000000000000001),
						    pages,    3 };
static const struct scsi_capacity capacity = { .blocks = 1000,
					       .block_bytes = 512,
					       .protection = true };

static size_t sample_fixed(uint8_t *bytes)
{
	return scsi_sense_write_fixed(&sense, bytes);
}

static size_t sample_descriptors(uint8_t *bytes)
{
	return scsi_sense_write_descriptor(&sense, bytes);
}

static size_t sample_inquiry(uint8_t *bytes)
{
	struct scsi_inquiry q = {
		.version = 6, .vendor = "VENDOR", .product = "PRODUCT", .revision = "1"
	};

	return scsi_inquiry_write(&q, bytes);
}

static size_t sample_capacity_10(uint8_t *bytes)
{
	return scsi_capacity_write_10(&capacity, bytes);
}

static size_t sample_capacity_16(uint8_t *bytes)
{
	return scsi_capacity_write_16(&capacity, bytes);
}

static size_t sample_supported(uint8_t *bytes)
{
	return scsi_vpd_write_supported(&identity, bytes);
}

static size_t sample_serial(uint8_t *bytes)
{
	return scsi_vpd_write_serial(&identity, bytes);
}

static size_t sample_device_id(uint8_t *bytes)
{
	return scsi_vpd_write_device_id(&identity, bytes);
}

static size_t sample_luns(uint8_t *bytes)
{
	size_t n = 8 + 3 * 8;

	memset(bytes, 0, n);
	bytes[3] = 3 * 8;
	return n;
}

static size_t sample_cdb(uint8_t *bytes)
{
	struct scsi_rw rw = { .block = 5, .count = 1, .direction = HBA_FROM_TARGET };
	struct scsi_cdb cdb;

	assert_int_equal(scsi_cdb_rw(&rw, 16, &cdb), 0);
	memcpy(bytes, cdb.bytes, cdb.length);
	return cdb.length;
}

/* `enough`: the fewest bytes of the sample that make a good answer. */
static const struct {
	const char *name;
	int (*read)(const uint8_t *bytes, size_t length);
	size_t (*sample)(uint8_t *bytes);
	size_t enough;
} readers[] = {
	{ "fixed sense", read_sense, sample_fixed, 3 },
	{ "descriptor sense", read_sense, sample_descriptors, 2 },
	{ "inquiry", read_inquiry, sample_inquiry, 36 },
	{ "capacity (10)", read_capacity_10, sample_capacity_10, 8 },
	{ "capacity (16)", read_capacity_16, sample_capacity_16, 12 },
	{ "supported pages", read_vpd, sample_supported, 4 + 3 },
	{ "serial number", read_serial, sample_serial, 4 + 6 },
	{ "device id", read_best_id, sample_device_id, 4 + 12 + 4 + 24 + 6 },
	{ "LUN list", read_luns, sample_luns, 8 },
	{ "command", read_cdb, sample_cdb, 0 },
};
enum { N_READERS = sizeof(readers) / sizeof(readers[0]) };

static int read_exactly(size_t reader, const uint8_t *bytes, size_t length)
{
	uint8_t *exact = exact_copy(bytes, length);
	int r = readers[reader].read(exact, length);

	free(exact);
	if (r != 0 && r != -EPROTO)
		fail_msg("%s of %zu bytes: %d", readers[reader].name, length, r);
	return r;
}

static void test_every_truncation(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_READERS; i++) {
		uint8_t bytes[MAX_SAMPLE];
		size_t n = readers[i].sample(bytes);

		for (size_t length = 0; length <= n; length++)
			assert_int_equal(read_exactly(i, bytes, length),
					 length < readers[i].enough ? -EPROTO : 0);
	}
}

static void test_flipped_bytes(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (size_t i = 0; i < N_READERS; i++) {
		for (int round = 0; round < ROUNDS; round++) {
			uint8_t bytes[MAX_SAMPLE];
			size_t n = readers[i].sample(bytes);

			for (uint32_t flips = 1 + random_below(&r, 4); flips; flips--)
				bytes[random_below(&r, (uint32_t)n)] = (uint8_t)random_bits(&r, 8);
			read_exactly(i, bytes,
				     random_bool(&r) ? n : random_below(&r, (uint32_t)n + 1));
		}
	}
}

static void test_noise(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (size_t i = 0; i < N_READERS; i++) {
		for (int round = 0; round < ROUNDS; round++) {
			uint8_t bytes[MAX_SAMPLE];
			size_t n = random_below(&r, MAX_SAMPLE + 1);

			random_fill(&r, bytes, n);
			read_exactly(i, bytes, n);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_flipped_bytes),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
