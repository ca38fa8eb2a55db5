/* SPDX-License-Identifier: MIT */
/* segments.c: each rule that a list of segments can break, one byte on either side of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "drivers/soft-segments.h"

#include <hbakit/driver.h>
#include <string.h>

enum { SEGMENTS = 4, BYTES = 1024, ALIGNMENT = 16, BITS = 32, BOUNDARY = 4096, TRANSFER = 3000 };

static struct hba_constraints constraints(void)
{
	return (struct hba_constraints) {
		.max_segments_read = SEGMENTS,
		.max_segments_write = SEGMENTS / 2,
		.max_segment_bytes_read = BYTES,
		.max_segment_bytes_write = BYTES / 2,
		.alignment = ALIGNMENT,
		.address_bits = BITS,
		.hba_data_mask = UINT64_MAX,
		.boundary = BOUNDARY,
		.max_transfer = TRANSFER,
	};
}

static void each_rule_on_its_own(void **state)
{
	static const struct {
		uint64_t address, bytes;
		enum segment_rule broken;
	} cases[] = {
		{ 0x10000, BYTES, SEGMENT_FITS },
		{ 0x10000, BYTES + 1, SEGMENT_BYTES },
		{ 0x10000, 0, SEGMENT_EMPTY },
		{ 0x10000 + ALIGNMENT, 1, SEGMENT_FITS },
		{ 0x10000 + ALIGNMENT - 1, 1, SEGMENT_ALIGNMENT },
		{ 0x10000 + BOUNDARY - BYTES, BYTES, SEGMENT_FITS },
		{ 0x10000 + BOUNDARY - BYTES + ALIGNMENT, BYTES, SEGMENT_BOUNDARY },
		{ 0x10000 + BOUNDARY - ALIGNMENT, ALIGNMENT, SEGMENT_FITS },
		{ 0x10000 + BOUNDARY - ALIGNMENT, ALIGNMENT + 1, SEGMENT_BOUNDARY },
		{ 0x100000000 - ALIGNMENT, ALIGNMENT, SEGMENT_FITS },
		{ 0x100000000 - ALIGNMENT, ALIGNMENT + 1, SEGMENT_ADDRESS },
		{ 0x100000000, 1, SEGMENT_ADDRESS },
		{ UINT64_MAX - ALIGNMENT + 1, BYTES, SEGMENT_ADDRESS },
	};
	struct hba_constraints k = constraints();
	struct segment_rules r = segment_rules_from(&k, false);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (segment_check(&r, cases[i].address, cases[i].bytes) != cases[i].broken)
			fail_msg("case %zu: not '%s'", i, segment_rule_name(cases[i].broken));
}

/* With no limit, an end beyond the address space is still refused, not wrapped. */
static void nothing_wraps(void **state)
{
	struct hba_constraints k;
	struct segment_rules r;

	(void)state;
	memset(&k, 0xa5, sizeof(k));
	r = segment_rules_from(&k, true);
	assert_false(segment_rules_exist(&r));
	assert_int_equal(segment_check(&r, UINT64_MAX - 9, 10), SEGMENT_FITS);
	assert_int_equal(segment_check(&r, UINT64_MAX - 9, 11), SEGMENT_ADDRESS);
	assert_int_equal(segment_rules_reach(&r), UINT64_MAX);
}

static void the_list_as_a_whole(void **state)
{
	struct hba_constraints k = constraints();
	struct segment_rules r = segment_rules_from(&k, false), w = segment_rules_from(&k, true);

	(void)state;
	assert_int_equal(segment_check_list(&r, SEGMENTS, TRANSFER, TRANSFER), SEGMENT_FITS);
	assert_int_equal(segment_check_list(&r, SEGMENTS + 1, TRANSFER, TRANSFER), SEGMENT_COUNT);
	assert_int_equal(segment_check_list(&r, SEGMENTS, TRANSFER - 1, TRANSFER), SEGMENT_SUM);
	assert_int_equal(segment_check_list(&r, SEGMENTS, TRANSFER + 1, TRANSFER + 1),
			 SEGMENT_TRANSFER);
	assert_int_equal(segment_check_list(&w, SEGMENTS / 2, BYTES, BYTES), SEGMENT_FITS);
	assert_int_equal(segment_check_list(&w, SEGMENTS / 2 + 1, BYTES, BYTES), SEGMENT_COUNT);
	assert_int_equal(segment_check(&w, 0x10000, BYTES / 2 + 1), SEGMENT_BYTES);
}

static void reach_is_what_one_task_covers(void **state)
{
	struct hba_constraints k = constraints();
	struct segment_rules r = segment_rules_from(&k, false);

	(void)state;
	assert_int_equal(segment_rules_reach(&r), TRANSFER);
	r.transfer = UINT64_MAX;
	assert_int_equal(segment_rules_reach(&r), SEGMENTS * BYTES);
	r.boundary = BYTES / 2;
	assert_int_equal(segment_rules_reach(&r), SEGMENTS * BYTES / 2);
	r.segment_bytes = BYTES / 4 + 1; /* ends off the alignment: nothing can follow it */
	assert_int_equal(segment_rules_reach(&r), BYTES / 4 + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_rule_on_its_own),
		cmocka_unit_test(nothing_wraps),
		cmocka_unit_test(the_list_as_a_whole),
		cmocka_unit_test(reach_is_what_one_task_covers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
