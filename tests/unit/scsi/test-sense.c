/* SPDX-License-Identifier: MIT */
/* test-sense.c: sense data of both formats against libsgutils2's reading, and there and back. */
#include "scsi-test.h"
#include "scsi/scsi.h"

#include <errno.h>
#include <scsi/sg_lib.h>

enum {
	HEADER = 8,
	MAX_BYTES = 252,
	/* with fewer bytes libsgutils2 does not look for marks, though they stand in the third */
	SG_LEAST = 7,
};

/*
 * Well-formed descriptors of the types that the standard has, in any order; the last may be cut
 * off.
 */
static size_t random_descriptors(struct random_source *r, uint8_t bytes[MAX_BYTES])
{
	/* by type: information … block commands */
	static const uint8_t lengths[] = { 10, 10, 6, 2, 2, 2 };
	size_t used = HEADER, n = random_below(r, 6);

	for (size_t i = 0; i < n; i++) {
		uint8_t type = (uint8_t)random_below(r, sizeof(lengths));

		bytes[used] = type;
		bytes[used + 1] = lengths[type];
		used += 2 + (size_t)lengths[type];
	}
	bytes[HEADER - 1] = (uint8_t)(used - HEADER - (n ? random_below(r, 3) : 0));
	return used;
}

static size_t random_sense(struct random_source *r, uint8_t bytes[MAX_BYTES])
{
	size_t n = MAX_BYTES;

	random_fill(r, bytes, MAX_BYTES);
	bytes[0] = (uint8_t)((bytes[0] & 0x80) | (0x70 + random_below(r, 4)));
	if (random_bool(r))
		bytes[1] = bytes[2] = (uint8_t)((bytes[2] & 0xf0) | SCSI_ILLEGAL_REQUEST);
	if (bytes[0] & 0x02) {
		bytes[0] &= 0x7f; /* reserved here; theirs finds no descriptors if it is set */
		n = random_descriptors(r, bytes);
	} else if (random_bool(r)) {
		bytes[HEADER - 1] = (uint8_t)random_below(r, 12);
	}
	return random_bool(r) ? n : random_below(r, (uint32_t)n + 1);
}

/* Theirs hands out a descriptor that is cut off, and would read beyond it: such a one is none. */
static bool sg_has_whole(const uint8_t *bytes, size_t n, int type)
{
	const uint8_t *d = sg_scsi_sense_desc_find(bytes, (int)n, type);
	size_t end = HEADER + (size_t)(n >= HEADER ? bytes[HEADER - 1] : 0);

	if (end > n)
		end = n;
	return d && (size_t)(d - bytes) + 2 <= end && (size_t)(d - bytes) + 2 + d[1] <= end;
}

static bool is_descriptor_format(const uint8_t *bytes)
{
	return bytes[0] & 0x02;
}

static void compare_marks(const uint8_t *bytes, size_t n, const struct scsi_sense *s)
{
	bool filemark = false, eom = false, ili = false;

	if (n < SG_LEAST)
		return;
	if (!is_descriptor_format(bytes) || sg_has_whole(bytes, n, 4))
		sg_get_sense_filemark_eom_ili(bytes, (int)n, &filemark, &eom, &ili);
	assert_int_equal(s->filemark, filemark);
	assert_int_equal(s->eom, eom);
	/* Theirs does not look at the block command descriptor's ILI. */
	if (is_descriptor_format(bytes) && sg_has_whole(bytes, n, 5))
		ili |= sg_scsi_sense_desc_find(bytes, (int)n, 5)[3] >> 5 & 1;
	assert_int_equal(s->ili, ili);
}

static void compare_information(const uint8_t *bytes, size_t n, const struct scsi_sense *s)
{
	uint64_t information = 0;
	bool has = false;

	if (!is_descriptor_format(bytes) || sg_has_whole(bytes, n, 0))
		has = sg_get_sense_info_fld(bytes, (int)n, &information);
	assert_int_equal(s->has_information, has);
	if (has)
		assert_int_equal(s->information, information);
}

static void compare_reading(const uint8_t *bytes, size_t n)
{
	struct sg_scsi_sense_hdr header;
	struct scsi_sense s;

	if (scsi_sense_read(bytes, n, &s) < 0) {
		assert_true(n == 0 || sg_get_sense_key(bytes, (int)n) < 0 || n <= 2);
		return;
	}
	assert_true(sg_scsi_normalize_sense(bytes, (int)n, &header));
	assert_int_equal(s.key, sg_get_sense_key(bytes, (int)n));
	assert_int_equal(s.key, header.sense_key);
	assert_int_equal(s.asc, header.asc << 8 | header.ascq);
	assert_int_equal(s.deferred, header.response_code & 1);
	compare_information(bytes, n, &s);
	compare_marks(bytes, n, &s);
}

static void test_reading_is_that_of_sgutils(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		uint8_t bytes[MAX_BYTES + 16], *exact;
		size_t n = random_sense(&r, bytes);

		exact = exact_copy(bytes, n);
		compare_reading(exact, n);
		free(exact);
	}
}

/* libsgutils2 says where the wrong field is in words alone. */
static void compare_field(const uint8_t *bytes, size_t n, const struct scsi_sense *s)
{
	const char *where = s->field_in_cdb ? "Command" : "Data parameters";
	char words[2048], expected[80];

	sg_get_sense_str("", bytes, (int)n, false, sizeof(words), words);
	snprintf(expected, sizeof(expected),
		 s->has_bit ? "Error in %s: byte %u bit %u\n" : "Error in %s: byte %u\n", where,
		 s->field_byte, s->field_bit);
	if (s->has_field)
		assert_non_null(strstr(words, expected));
	else
		assert_null(strstr(words, "Error in "));
}

static void test_minimal_sense_that_sgutils_builds(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		uint8_t bytes[32] = { 0 };
		uint8_t key = (uint8_t)random_below(&r, 16), asc = (uint8_t)random_u64(&r),
			ascq = (uint8_t)random_u64(&r);
		bool descriptor = random_bool(&r);
		struct scsi_sense s;

		sg_build_sense_buffer(descriptor, bytes, key, asc, ascq);
		assert_int_equal(scsi_sense_read(bytes, descriptor ? 8 : 18, &s), 0);
		assert_int_equal(s.key, key);
		assert_int_equal(s.asc, asc << 8 | ascq);
		assert_false(s.deferred || s.has_information || s.has_field || s.ili || s.eom ||
			     s.filemark);
	}
}

/* ---- there and back */

static struct scsi_sense random_fields(struct random_source *r)
{
	struct scsi_sense s = { .asc = (uint16_t)random_u64(r), .deferred = random_bool(r) };

	s.key = random_bool(r) ? SCSI_ILLEGAL_REQUEST : (uint8_t)random_below(r, 16);
	s.has_information = random_bool(r);
	s.information = s.has_information ? random_bits(r, 64) : 0;
	s.has_field = s.key == SCSI_ILLEGAL_REQUEST && random_bool(r);
	if (s.has_field) {
		s.field_in_cdb = random_bool(r);
		s.has_bit = random_bool(r);
		s.field_bit = s.has_bit ? (uint8_t)random_below(r, 8) : 0;
		s.field_byte = (uint16_t)random_u64(r);
	}
	s.filemark = random_bool(r);
	s.eom = random_bool(r);
	s.ili = random_bool(r);
	return s;
}

static void assert_sense_equal(const struct scsi_sense *a, const struct scsi_sense *b)
{
	assert_int_equal(a->key, b->key);
	assert_int_equal(a->asc, b->asc);
	assert_int_equal(a->deferred, b->deferred);
	assert_int_equal(a->has_information, b->has_information);
	assert_int_equal(a->information, b->information);
	assert_int_equal(a->has_field, b->has_field);
	assert_int_equal(a->field_in_cdb, b->field_in_cdb);
	assert_int_equal(a->has_bit, b->has_bit);
	assert_int_equal(a->field_bit, b->field_bit);
	assert_int_equal(a->field_byte, b->field_byte);
	assert_int_equal(a->filemark, b->filemark);
	assert_int_equal(a->eom, b->eom);
	assert_int_equal(a->ili, b->ili);
}

static void test_fixed_there_and_back(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct scsi_sense s = random_fields(&r), again;
		uint8_t bytes[SCSI_FIXED_SENSE_BYTES];

		memset(bytes, 0xa5, sizeof(bytes));
		assert_int_equal(scsi_sense_write_fixed(&s, bytes), sizeof(bytes));
		compare_reading(bytes, sizeof(bytes));
		compare_field(bytes, sizeof(bytes), &s);
		assert_int_equal(scsi_sense_read(bytes, sizeof(bytes), &again), 0);
		if (s.information > UINT32_MAX) {
			s.has_information = false;
			s.information = 0;
		}
		assert_sense_equal(&s, &again);
	}
}

static void test_descriptor_there_and_back(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct scsi_sense s = random_fields(&r), again;
		uint8_t bytes[SCSI_DESCRIPTOR_SENSE_BYTES], *exact;
		size_t n;

		memset(bytes, 0xa5, sizeof(bytes));
		n = scsi_sense_write_descriptor(&s, bytes);
		assert_in_range(n, HEADER, sizeof(bytes));
		exact = exact_copy(bytes, n);
		compare_reading(exact, n);
		compare_field(exact, n, &s);
		assert_int_equal(scsi_sense_read(exact, n, &again), 0);
		assert_sense_equal(&s, &again);
		free(exact);
	}
}

/* The field pointer is only that with ILLEGAL REQUEST: other keys keep progress there. */
static void test_progress_is_no_field_pointer(void **state)
{
	uint8_t bytes[18] = {
		0x70, 0, SCSI_NOT_READY, [7] = 10, [12] = 4, [13] = 1, [15] = 0xc8, [16] = 0x80
	};
	struct scsi_sense s;
	int progress = 0;

	(void)state;
	assert_true(sg_get_sense_progress_fld(bytes, sizeof(bytes), &progress));
	assert_int_equal(scsi_sense_read(bytes, sizeof(bytes), &s), 0);
	assert_false(s.has_field);
	bytes[2] = SCSI_ILLEGAL_REQUEST;
	assert_int_equal(scsi_sense_read(bytes, sizeof(bytes), &s), 0);
	assert_true(s.has_field && s.field_in_cdb && s.has_bit);
	assert_int_equal(s.field_byte, 0x8000);
}

static void test_other_response_codes_are_no_sense(void **state)
{
	uint8_t bytes[18] = { 0 };
	struct scsi_sense s;

	(void)state;
	for (unsigned code = 0; code < 0x80; code++) {
		bytes[0] = (uint8_t)code;
		assert_int_equal(scsi_sense_read(bytes, sizeof(bytes), &s),
				 code >= 0x70 && code <= 0x73 ? 0 : -EPROTO);
		bytes[0] |= 0x80; /* VALID, or reserved: no part of the code */
		assert_int_equal(scsi_sense_read(bytes, sizeof(bytes), &s),
				 code >= 0x70 && code <= 0x73 ? 0 : -EPROTO);
	}
}

static void test_sense_that_goes_with_data(void **state)
{
	uint8_t bytes[18] = { 0x70 };

	(void)state;
	for (uint8_t key = 0; key < 16; key++) {
		bytes[0] = 0x70;
		bytes[2] = key;
		assert_int_equal(scsi_sense_goes_with_data(bytes, sizeof(bytes)),
				 key == 0x0 || key == 0x1 || key == 0xf);
		bytes[0] = 0x71; /* of an earlier command */
		assert_false(scsi_sense_goes_with_data(bytes, sizeof(bytes)));
	}
	assert_false(scsi_sense_goes_with_data(NULL, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reading_is_that_of_sgutils),
		cmocka_unit_test(test_minimal_sense_that_sgutils_builds),
		cmocka_unit_test(test_fixed_there_and_back),
		cmocka_unit_test(test_descriptor_there_and_back),
		cmocka_unit_test(test_progress_is_no_field_pointer),
		cmocka_unit_test(test_other_response_codes_are_no_sense),
		cmocka_unit_test(test_sense_that_goes_with_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
