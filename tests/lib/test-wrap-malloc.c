/* SPDX-License-Identifier: MIT */
/*
 * test-wrap-malloc.c: a planted allocation is counted, wherever it is planted; a loop without one
 * counts nothing.
 */
#include "lib/wrap-malloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BYTES = 100, ALIGNMENT = 4096, TURNS = 100000 };

/* Keeps the compiler from leaving out an allocation that nobody uses. */
static void *seen(void *p)
{
	__asm__ volatile("" : "+r"(p) : : "memory");
	return p;
}

static void malloc_and_free_count(void **state)
{
	unsigned long before = allocation_count();
	void *p = seen(malloc(BYTES));

	(void)state;
	assert_int_equal(allocation_count() - before, 1);
	free(p);
	assert_int_equal(allocation_count() - before, 2);
	free(seen(NULL));
	assert_int_equal(allocation_count() - before, 2);
}

static void calloc_and_realloc_count(void **state)
{
	unsigned long before = allocation_count();
	unsigned char *p = seen(calloc(BYTES, 1));

	(void)state;
	assert_non_null(p);
	assert_int_equal(p[BYTES - 1], 0);
	p[0] = 1;
	p = seen(realloc(p, 2 * BYTES));
	assert_non_null(p);
	assert_int_equal(p[0], 1);
	assert_int_equal(allocation_count() - before, 2);
	free(p);
}

static void aligned_allocations_count(void **state)
{
	unsigned long before = allocation_count();
	void *p = NULL, *q;

	(void)state;
	assert_int_equal(posix_memalign(&p, ALIGNMENT, BYTES), 0);
	q = seen(aligned_alloc(ALIGNMENT, ALIGNMENT));
	assert_int_equal(allocation_count() - before, 2);
	assert_int_equal((uintptr_t)seen(p) % ALIGNMENT, 0);
	assert_int_equal((uintptr_t)q % ALIGNMENT, 0);
	free(p);
	free(q);
}

static void calls_inside_libc_count(void **state)
{
	unsigned long before = allocation_count();
	char *copy = seen(strdup("planted"));

	(void)state;
	assert_int_equal(allocation_count() - before, 1);
	free(copy);
}

static void a_loop_without_counts_nothing(void **state)
{
	unsigned long before = allocation_count();
	int turns = 0;

	(void)state;
	for (int i = 0; i < TURNS; i++)
		turns += *(int *)seen(&i) >= 0;
	assert_int_equal(turns, TURNS);
	assert_int_equal(allocation_count() - before, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(malloc_and_free_count),
		cmocka_unit_test(calloc_and_realloc_count),
		cmocka_unit_test(aligned_allocations_count),
		cmocka_unit_test(calls_inside_libc_count),
		cmocka_unit_test(a_loop_without_counts_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
