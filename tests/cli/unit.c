/* SPDX-License-Identifier: MIT */
/* unit.c: the command's pure parts: histogram, verify map, CDBs in hex. */
#include "base/random.h"
#include "cli/cli.h"
#include "cli/histogram.h"
#include "cli/verify-map.h"

#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CHUNK = 512, CHUNKS = 8, SAMPLES = 20000 };

/* ---- histogram */

static void check_bucket(uint64_t value)
{
	size_t b = histogram_bucket(value);

	assert_true(b < HISTOGRAM_BUCKETS);
	assert_true(histogram_low(b) <= value && value <= histogram_high(b));
	/* The promise: no wider than 1/64 of its values. */
	assert_true(histogram_high(b) - histogram_low(b) <= histogram_low(b) / HISTOGRAM_SUB);
}

static void every_value_has_its_bucket(void **state)
{
	(void)state;
	for (uint64_t v = 0; v < 1 << 16; v++)
		check_bucket(v);
	for (unsigned bit = 16; bit < 64; bit++)
		for (int d = -2; d <= 2; d++)
			check_bucket((UINT64_C(1) << bit) + (uint64_t)d);
	check_bucket(UINT64_MAX);
	assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void buckets_leave_no_gap(void **state)
{
	(void)state;
	assert_int_equal(histogram_low(0), 0);
	for (size_t b = 0; b + 1 < HISTOGRAM_BUCKETS; b++)
		assert_true(histogram_high(b) + 1 == histogram_low(b + 1));
	assert_true(histogram_high(HISTOGRAM_BUCKETS - 1) == UINT64_MAX);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void percentiles_are_within_the_bound(void **state)
{
	static const double fractions[] = { 0, 0.01, 0.5, 0.9, 0.99, 0.999, 1 };
	struct histogram *h = calloc(1, sizeof(*h));
	uint64_t *values = calloc(SAMPLES, sizeof(*values)), seed = 7;

	(void)state;
	assert_non_null(h);
	assert_non_null(values);
	for (size_t i = 0; i < SAMPLES; i++) {
		values[i] = random_next(&seed) >> (random_next(&seed) % 50);
		histogram_add(h, values[i]);
	}
	qsort(values, SAMPLES, sizeof(*values), compare);
	for (size_t i = 0; i < ARRAY_SIZE(fractions); i++) {
		size_t rank = (size_t)(fractions[i] * SAMPLES + 0.999999);
		double exact = (double)values[rank ? rank - 1 : 0],
		       told = (double)histogram_at(h, fractions[i]);

		assert_true(told >= exact - exact / 128 - 1 && told <= exact + exact / 128 + 1);
	}
	assert_true(h->max == values[SAMPLES - 1]);
	free(values);
	free(h);
}

static void an_empty_histogram_is_zero(void **state)
{
	struct histogram *h = calloc(1, sizeof(*h));

	(void)state;
	assert_non_null(h);
	assert_int_equal(histogram_at(h, 0.5), 0);
	assert_true(histogram_mean(h) == 0);
	histogram_add(h, 100);
	histogram_add(h, 300);
	assert_true(histogram_mean(h) == 200);
	assert_int_equal(histogram_at(h, 0.5), 100);
	free(h);
}

/* ---- verify map */

static void a_ledger_sees_what_is_wrong(void **state)
{
	uint8_t first[CHUNK], second[CHUNK], other[CHUNK];
	struct verify_map l;

	(void)state;
	assert_int_equal(verify_map_begin(&l, CHUNKS, CHUNK), 0);
	verify_map_fill(&l, 3, first);
	verify_map_wrote(&l, 3, first);
	assert_int_equal(verify_map_check(&l, 3, first), LEDGER_SAME);
	verify_map_fill(&l, 3, second);
	verify_map_wrote(&l, 3, second);
	assert_int_equal(verify_map_check(&l, 3, second), LEDGER_SAME);
	/* stale: the write was lost */
	assert_int_equal(verify_map_check(&l, 3, first), LEDGER_DIFFERENT);
	verify_map_fill(&l, 4, other);
	verify_map_wrote(&l, 4, other);
	assert_int_equal(verify_map_check(&l, 3, other), LEDGER_DIFFERENT); /* misplaced */
	memcpy(other, second, CHUNK);
	memcpy(other, first, CHUNK / 2);
	assert_int_equal(verify_map_check(&l, 3, other), LEDGER_DIFFERENT); /* torn */
	for (size_t i = 0; i < CHUNK; i++) {
		second[i] ^= 1;
		assert_int_equal(verify_map_check(&l, 3, second), LEDGER_DIFFERENT);
		second[i] ^= 1;
	}
	verify_map_end(&l);
}

static void a_ledger_learns_what_it_did_not_write(void **state)
{
	uint8_t data[CHUNK] = { 1 };
	struct verify_map l;

	(void)state;
	assert_int_equal(verify_map_begin(&l, CHUNKS, CHUNK), 0);
	assert_int_equal(verify_map_next_known(&l, 0), CHUNKS);
	assert_int_equal(verify_map_check(&l, 5, data), LEDGER_LEARNED);
	assert_int_equal(verify_map_check(&l, 5, data), LEDGER_SAME);
	assert_int_equal(verify_map_next_known(&l, 0), 5);
	data[CHUNK - 1] = 1;
	assert_int_equal(verify_map_check(&l, 5, data), LEDGER_DIFFERENT);
	verify_map_forget(&l, 5);
	assert_int_equal(verify_map_check(&l, 5, data), LEDGER_LEARNED);
	verify_map_end(&l);
}

static void a_chunk_has_one_command_at_a_time(void **state)
{
	struct verify_map l;

	(void)state;
	assert_int_equal(verify_map_begin(&l, CHUNKS, CHUNK), 0);
	assert_int_equal(verify_map_take(&l, 7), 7);
	assert_int_equal(verify_map_take(&l, 7), 0);
	assert_int_equal(verify_map_take(&l, 0), 1);
	verify_map_give_back(&l, 7);
	assert_int_equal(verify_map_take(&l, 7), 7);
	verify_map_end(&l);
}

static void random_numbers_stay_below(void **state)
{
	uint64_t seed = 1, seen = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		seen |= UINT64_C(1) << random_below(&seed, 10);
	assert_int_equal(seen, (1 << 10) - 1);
	assert_int_equal(random_below(&seed, 1), 0);
}

/* ---- hex, times */

static void cdbs_are_read_in_any_spacing(void **state)
{
	static const uint8_t wanted[] = { 0x12, 0x01, 0x83, 0x00, 0xff, 0x00 };
	char *spaced[] = { (char[]) { "12 01" }, (char[]) { "83" }, (char[]) { "00Ff00" } };
	uint8_t cdb[HBA_MAX_CDB] = { 0 }, length = 0;

	(void)state;
	assert_int_equal(cli_parse_cdb(spaced, ARRAY_SIZE(spaced), cdb, &length), 0);
	assert_int_equal(length, sizeof(wanted));
	assert_memory_equal(cdb, wanted, sizeof(wanted));
}

static void times_are_for_people(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} cases[] = {
		{ 0, "0 ns" },        { 9999, "9999 ns" },     { 12345, "12.3 us" },
		{ 850000, "850 us" }, { 12500000, "12.5 ms" }, { UINT64_C(60000000000), "60.0 s" },
	};
	char text[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cli_format_time(cases[i].ns, text);
		assert_string_equal(text, cases[i].text);
	}
	cli_format_time(UINT64_MAX, text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_value_has_its_bucket),
		cmocka_unit_test(buckets_leave_no_gap),
		cmocka_unit_test(percentiles_are_within_the_bound),
		cmocka_unit_test(an_empty_histogram_is_zero),
		cmocka_unit_test(a_ledger_sees_what_is_wrong),
		cmocka_unit_test(a_ledger_learns_what_it_did_not_write),
		cmocka_unit_test(a_chunk_has_one_command_at_a_time),
		cmocka_unit_test(random_numbers_stay_below),
		cmocka_unit_test(cdbs_are_read_in_any_spacing),
		cmocka_unit_test(times_are_for_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
