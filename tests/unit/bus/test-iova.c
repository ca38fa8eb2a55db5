/* SPDX-License-Identifier: MIT */
/*
 * test-iova.c: addresses of an IOMMU: inside the valid ranges, below the limit, never twice;
 * against a plain model, too.
 */
#include "base/base.h"
#include "bus/bus.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PAGE = 4096, HUGE = 2 << 20 };
#define GIB4 (UINT64_C(1) << 32)

/* What an Intel IOMMU of 39 bits says: all but the window of interrupt messages. */
static struct iova_space intel(void)
{
	struct iova_space s = { 0 };

	/* Not in their order. */
	assert_int_equal(iova_space_allow(&s, 0xfef00000, (UINT64_C(1) << 39) - 1), 0);
	assert_int_equal(iova_space_allow(&s, 0, 0xfedfffff), 0);
	return s;
}

static void low_addresses_are_kept_for_those_who_need_them(void **state)
{
	struct iova_space s = intel();
	uint64_t at = 0;

	(void)state;
	assert_int_equal(iova_take(&s, PAGE, PAGE, 64, &at), 0);
	assert_true(at >= GIB4);
	assert_int_equal(iova_take(&s, PAGE, PAGE, 32, &at), 0);
	assert_true(at < GIB4 && at > 0);
	iova_space_free(&s);
}

static void the_window_of_interrupts_is_never_given(void **state)
{
	struct iova_space s = intel();
	uint64_t at;

	(void)state;
	while (iova_take(&s, 256 << 20, HUGE, 32, &at) == 0)
		assert_true(at + (256 << 20) <= 0xfee00000 || at >= 0xfef00000);
	assert_int_equal(iova_claim(&s, 0xfee00000, PAGE), -ENOSPC);
	iova_space_free(&s);
}

static void a_space_that_is_full_says_so(void **state)
{
	struct iova_space s = { 0 };
	uint64_t first, second, at = 1;

	(void)state;
	assert_int_equal(iova_take(&s, PAGE, PAGE, 64, &at), -ENOSPC);
	assert_int_equal(iova_space_allow(&s, 1 << 20, (1 << 20) + 2 * PAGE - 1), 0);
	assert_int_equal(iova_take(&s, PAGE, PAGE, 64, &first), 0);
	assert_int_equal(iova_take(&s, PAGE, PAGE, 64, &second), 0);
	assert_int_equal(iova_take(&s, PAGE, PAGE, 64, &at), -ENOSPC);
	assert_int_equal(at, 1); /* untouched */
	iova_give_back(&s, first);
	assert_int_equal(iova_take(&s, PAGE, PAGE, 64, &at), 0);
	assert_int_equal(at, first);
	iova_space_free(&s);
}

static void the_end_of_all_numbers_is_no_hole(void **state)
{
	struct iova_space s = { 0 };
	uint64_t at;

	(void)state;
	assert_int_equal(iova_space_allow(&s, UINT64_MAX - PAGE + 1, UINT64_MAX), 0);
	assert_int_equal(iova_take(&s, 2 * PAGE, PAGE, 64, &at), -ENOSPC);
	assert_int_equal(iova_take(&s, PAGE, PAGE, 64, &at), 0);
	assert_int_equal(iova_take(&s, PAGE, PAGE, 64, &at), -ENOSPC);
	assert_int_equal(iova_claim(&s, UINT64_MAX, PAGE), -EINVAL);
	assert_int_equal(iova_space_allow(&s, 5, 4), -EINVAL);
	iova_space_free(&s);
}

static void a_claim_is_exact_or_refused(void **state)
{
	struct iova_space s = intel();

	(void)state;
	assert_int_equal(iova_claim(&s, HUGE, HUGE), 0);
	assert_int_equal(iova_claim(&s, HUGE, HUGE), -EBUSY);
	assert_int_equal(iova_claim(&s, HUGE + PAGE, PAGE), -EBUSY);
	assert_int_equal(iova_claim(&s, PAGE, HUGE), -EBUSY);
	assert_int_equal(iova_claim(&s, 2 * HUGE, HUGE), 0);
	assert_int_equal(iova_claim(&s, 0xfedff000, 2 * PAGE), -ENOSPC);
	iova_space_free(&s);
}

struct held {
	uint64_t first, length;
};

static void check_apart(const struct held *held, size_t n, const struct held *h)
{
	assert_true(h->first + h->length <= 0xfee00000 || h->first >= 0xfef00000);
	for (size_t i = 0; i < n; i++)
		assert_true(held[i].first + held[i].length <= h->first ||
			    h->first + h->length <= held[i].first);
}

/* Ten thousand takings and returns in one order that repeats. */
static void none_is_given_twice(void **state)
{
	enum { ROUNDS = 10000, MOST = 200 };
	struct iova_space s = intel();
	struct held held[MOST];
	size_t n = 0, i;

	(void)state;
	srandom(1);
	for (unsigned round = 0; round < ROUNDS; round++) {
		if (n == MOST || (n && random() % 3 == 0)) {
			i = (size_t)random() % n;
			iova_give_back(&s, held[i].first);
			held[i] = held[--n];
			continue;
		}
		held[n].length = PAGE * (uint64_t)(1 + random() % 1024);
		assert_int_equal(iova_take(&s, held[n].length, random() % 2 ? HUGE : PAGE,
					   random() % 2 ? 32 : 64, &held[n].first),
				 0);
		check_apart(held, n, &held[n]);
		n++;
	}
	iova_space_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(low_addresses_are_kept_for_those_who_need_them),
		cmocka_unit_test(the_window_of_interrupts_is_never_given),
		cmocka_unit_test(a_space_that_is_full_says_so),
		cmocka_unit_test(the_end_of_all_numbers_is_no_hole),
		cmocka_unit_test(a_claim_is_exact_or_refused),
		cmocka_unit_test(none_is_given_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
