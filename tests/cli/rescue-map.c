/* SPDX-License-Identifier: MIT */
/*
 * rescue-map.c: a map stays in order whatever is marked in it, and of a file only what is well
 * formed is taken.
 */
#include "cli/rescue-map.h"

#include "base/base.h"
#include "base/random.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BLOCK = 512, BLOCKS = 97, MARKS = 20000, WHY = 128, FILE_BYTES = 1024 };

static void check_order(const struct rescue_map *m, const char *plain)
{
	uint64_t at = 0;

	for (size_t i = 0; i < m->n; i++) {
		assert_int_equal(m->areas[i].begin, at);
		assert_true(m->areas[i].end > at);
		assert_true(i == 0 || m->areas[i].status != m->areas[i - 1].status);
		for (; at < m->areas[i].end; at++)
			assert_int_equal(plain[at], m->areas[i].status);
	}
	assert_int_equal(at, BLOCKS);
}

/* Against a plain array, over thousands of marks. */
static void marks_are_what_was_marked(void **state)
{
	struct rescue_map m;
	char plain[BLOCKS];
	uint64_t random = 1;

	(void)state;
	memset(plain, '?', sizeof(plain));
	assert_int_equal(rescue_map_begin(&m, BLOCKS), 0);
	for (unsigned i = 0; i < MARKS; i++) {
		uint64_t begin = random_below(&random, BLOCKS),
			 end = begin + 1 + random_below(&random, BLOCKS - begin);
		char status = "?*/-+"[random_below(&random, 5)];

		assert_int_equal(rescue_map_mark(&m, begin, end, status), 0);
		memset(plain + begin, status, end - begin);
		check_order(&m, plain);
	}
	rescue_map_end(&m);
}

static int take(struct rescue_map *m, const char *text, char why[WHY])
{
	char copy[FILE_BYTES];
	FILE *f = fmemopen(copy, strlen(text), "r");
	int r;

	assert_non_null(f);
	snprintf(copy, sizeof(copy), "%s", text);
	assert_int_equal(rescue_map_begin(m, 8 * BLOCK), 0);
	r = rescue_map_read(m, f, BLOCK, why);
	fclose(f);
	return r;
}

static void good_files_are_taken(void **state)
{
	static const char *const texts[] = {
		"# a comment\n0x400 ?\n0 0x200 +\n0x200 0x200 -\n0x400 0xC00 ?\n",
		"0 + 1\n0 512 +\n512\t512\t-\r\n\n02000 0x10000 *\n",
		"0x0 F 2\n0 512 +\n512 512 -\n",
	};
	struct rescue_map m;
	char why[WHY];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(take(&m, texts[i], why), 0);
		assert_int_equal(m.areas[0].status, '+');
		assert_int_equal(m.areas[1].status, '-');
		assert_int_equal(m.areas[1].end, 2 * BLOCK);
		assert_int_equal(m.areas[m.n - 1].end, 8 * BLOCK);
		rescue_map_end(&m);
	}
}

static void bad_files_are_refused(void **state)
{
	static const char *const texts[] = {
		" ",
		"# only\n",
		"hello\n",
		"0 ?\n",
		"0 x\n0 512 +\n",
		"0 ?\n0 512 x\n",
		"0 ?\n0 512\n",
		"0 ?\n0 0 +\n",
		"0 ?\n0 512 +\n513 512 +\n",
		"0 ?\n0 1024 +\n512 512 -\n",
		"0 ?\n-512 512 +\n",
		"0 ?\n0 100 +\n",
		"0 ?\n0 0xffffffffffffffff +\n",
		"0 ?\n0x7ffffffffffffe00 0x200 +\n",
		"0 ?\n0 512 + 3\n",
		"0 ?\n0 99999999999999999999999 +\n",
	};
	struct rescue_map m;
	char why[WHY];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		why[0] = 0;
		if (take(&m, texts[i], why) != -EINVAL)
			fail_msg("taken: %s", texts[i]);
		assert_true(why[0]);
		rescue_map_end(&m);
	}
}

/* What is written is read as it was. */
static void a_map_comes_back(void **state)
{
	struct rescue_map m, again;
	char why[WHY];
	size_t length;
	char *text;

	(void)state;
	assert_int_equal(rescue_map_begin(&m, 8 * BLOCK), 0);
	rescue_map_mark(&m, BLOCK, 3 * BLOCK, AREA_RESCUED);
	rescue_map_mark(&m, 2 * BLOCK, 4 * BLOCK, AREA_UNTRIMMED);
	rescue_map_mark(&m, 7 * BLOCK, 8 * BLOCK, AREA_BAD);
	text = rescue_map_text(&m, '?', &length);
	assert_non_null(text);
	assert_int_equal(take(&again, text, why), 0);
	assert_int_equal(again.n, m.n);
	assert_memory_equal(again.areas, m.areas, m.n * sizeof(*m.areas));
	free(text);
	rescue_map_end(&m);
	rescue_map_end(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(marks_are_what_was_marked),
		cmocka_unit_test(good_files_are_taken),
		cmocka_unit_test(bad_files_are_refused),
		cmocka_unit_test(a_map_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
