/* SPDX-License-Identifier: MIT */
/*
 * limit.c: which lines pass a limit, and how many are said to have been held back. The test brings
 * the time.
 */
#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
/* cmocka wants the ones above first. */
#include <cmocka.h>

enum { WHOLE = 10, MANY = 10000, SECONDS = 5 };

static bool passes(struct limit *l, uint64_t now_ns, uint64_t withheld)
{
	uint64_t n = UINT64_MAX;
	bool pass = limit_pass(l, now_ns, &n);

	assert_int_equal(n, withheld);
	return pass;
}

static void pass_the_first(struct limit *l, uint64_t now_ns)
{
	for (unsigned i = 0; i < WHOLE; i++)
		assert_true(passes(l, now_ns, 0));
}

static void the_first_ten_pass_at_once(void **state)
{
	struct limit l = { 0 };

	(void)state;
	pass_the_first(&l, 0);
	assert_false(passes(&l, 0, 0));
	assert_false(passes(&l, 0, 1));
	assert_int_equal(l.told, WHOLE);
	assert_int_equal(l.withheld, 2);
}

static void then_one_a_second_with_the_count(void **state)
{
	struct limit l = { 0 };
	uint64_t start = 77 * NS_PER_S;

	(void)state;
	pass_the_first(&l, start);
	assert_false(passes(&l, start + 1, 0));
	assert_false(passes(&l, start + NS_PER_S - 1, 1));
	assert_true(passes(&l, start + NS_PER_S, 2));
	/* The second begins anew, and so does the count. */
	assert_false(passes(&l, start + NS_PER_S + 1, 0));
	assert_true(passes(&l, start + 3 * NS_PER_S, 1));
	assert_true(passes(&l, start + 4 * NS_PER_S, 0));
}

/* Each line was told, or counted with one that was told, or is counted still. */
static void nothing_is_lost(void **state)
{
	struct limit l = { 0 };
	uint64_t sum = 0, withheld;

	(void)state;
	for (uint64_t i = 0; i < MANY; i++)
		if (limit_pass(&l, i * SECONDS * NS_PER_S / MANY, &withheld))
			sum += 1 + withheld;
	assert_int_equal(sum + l.withheld, MANY);
	assert_in_range(l.told, WHOLE + SECONDS - 1, WHOLE + SECONDS);
}

/* The clock starts anywhere, so it may pass its end. */
static void a_clock_that_wraps(void **state)
{
	struct limit l = { 0 };

	(void)state;
	pass_the_first(&l, UINT64_MAX);
	assert_false(passes(&l, NS_PER_S - 2, 0));
	assert_true(passes(&l, NS_PER_S - 1, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_ten_pass_at_once),
		cmocka_unit_test(then_one_a_second_with_the_count),
		cmocka_unit_test(nothing_is_lost),
		cmocka_unit_test(a_clock_that_wraps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
