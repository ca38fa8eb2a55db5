/* SPDX-License-Identifier: MIT */
/*
 * log.c: LOG SENSE (SPC-4 6.7, 7.3), with the pages alone that have real contents: errors counted,
 * self-tests run.
 */
#include "base/base.h"
#include "base/endian.h"
#include "target/commands.h"

#include <string.h>

enum {
	PAGE_SUPPORTED = 0x00,
	PAGE_WRITE_ERRORS = 0x02,
	PAGE_READ_ERRORS = 0x03,
	PAGE_SELF_TESTS = 0x10,
	PAGE_MASK = 0x3f
};
enum {
	SUBPAGE_ALL = 0xff,
	SPF = 0x40,
	PC_SHIFT = 6,
	PC_CUMULATIVE = 1,
	HIGH_BIT = 7,
	PAGE_HIGH_BIT = 5
};
enum {
	HEADER = 4,
	PARAMETER_HEADER = 4,
	TOTAL_UNCORRECTED = 0x0006,
	COUNTER_BYTES = 8,
	TEST_BYTES = 20
};
enum { LOG_BYTES = HEADER + SELF_TEST_RESULTS * TEST_BYTES };
/* Of a parameter: not saved by the disk; a list in binary, or a counter. */
enum { DS = 0x20, BINARY_LIST = 0x03, COUNTER = 0x02 };

struct log_page {
	uint8_t code;
	uint16_t last; /* the highest parameter code */
	size_t (*write)(const struct target_state *s, uint16_t first, uint8_t *to);
};

static size_t write_list(const struct target_state *s, uint16_t first, uint8_t *to);

static size_t write_counter(uint64_t value, uint16_t first, uint8_t *to)
{
	if (first > TOTAL_UNCORRECTED)
		return 0;
	put_be16(to, TOTAL_UNCORRECTED);
	to[2] = DS | COUNTER;
	to[3] = COUNTER_BYTES;
	put_be64(to + PARAMETER_HEADER, value);
	return PARAMETER_HEADER + COUNTER_BYTES;
}

static size_t write_write_errors(const struct target_state *s, uint16_t first, uint8_t *to)
{
	return write_counter(s->unrecovered_writes, first, to);
}

static size_t write_read_errors(const struct target_state *s, uint16_t first, uint8_t *to)
{
	return write_counter(s->unrecovered_reads, first, to);
}

/*
 * Parameter 1 is the latest; those never used are zeros. Hours of power are not counted: a disk of
 * software has none.
 */
static size_t write_self_tests(const struct target_state *s, uint16_t first, uint8_t *to)
{
	enum { CODE_SHIFT = 5 };
	size_t n = 0;

	for (unsigned i = first ? first - 1U : 0; i < SELF_TEST_RESULTS; i++, n += TEST_BYTES) {
		uint8_t *p = to + n;

		put_be16(p, (uint16_t)(i + 1));
		p[2] = BINARY_LIST;
		p[3] = TEST_BYTES - PARAMETER_HEADER;
		if (i >= s->n_tests)
			continue;
		p[4] = (uint8_t)(s->tests[i].code << CODE_SHIFT | s->tests[i].result);
		put_be64(p + 8, s->tests[i].first_failure);
	}
	return n;
}

static const struct log_page log_pages[] = {
	{ PAGE_SUPPORTED, 0, write_list },
	{ PAGE_WRITE_ERRORS, TOTAL_UNCORRECTED, write_write_errors },
	{ PAGE_READ_ERRORS, TOTAL_UNCORRECTED, write_read_errors },
	{ PAGE_SELF_TESTS, SELF_TEST_RESULTS, write_self_tests },
};

static size_t write_list(const struct target_state *s, uint16_t first, uint8_t *to)
{
	(void)s;
	(void)first;
	for (size_t i = 0; i < ARRAY_SIZE(log_pages); i++)
		to[i] = log_pages[i].code;
	return ARRAY_SIZE(log_pages);
}

static size_t write_list_with_subpages(uint8_t *to)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(log_pages); i++) {
		to[n++] = log_pages[i].code;
		to[n++] = 0;
		if (log_pages[i].code == PAGE_SUPPORTED) {
			to[n++] = PAGE_SUPPORTED;
			to[n++] = SUBPAGE_ALL;
		}
	}
	return n;
}

static const struct log_page *find_page(uint8_t code)
{
	for (size_t i = 0; i < ARRAY_SIZE(log_pages); i++)
		if (log_pages[i].code == code)
			return &log_pages[i];
	return NULL;
}

static size_t write_page(struct target_command *c, const struct log_page *page, uint16_t first,
			 uint8_t *to)
{
	struct target_state *s = target_lock(c->unit);
	size_t n = page->write(s, first, to);

	target_unlock(c->unit);
	return n;
}

int target_log_sense(struct target_command *c)
{
	uint8_t code = c->cdb[2] & PAGE_MASK, subpage = c->cdb[3], bytes[LOG_BYTES] = { 0 };
	const struct log_page *page = find_page(code);
	uint16_t first = get_be16(c->cdb + 5);
	bool list = code == PAGE_SUPPORTED;
	size_t n;

	if (!page)
		return target_refuse_field(c, 2, PAGE_HIGH_BIT);
	if (subpage != 0 && !(list && subpage == SUBPAGE_ALL))
		return target_refuse_field(c, 3, HIGH_BIT);
	if (!list && c->cdb[2] >> PC_SHIFT != PC_CUMULATIVE)
		return target_refuse_field(c, 2, HIGH_BIT);
	if (first > page->last)
		return target_refuse_field(c, 5, HIGH_BIT);
	n = subpage ? write_list_with_subpages(bytes + HEADER)
		    : write_page(c, page, first, bytes + HEADER);
	bytes[0] = (uint8_t)(code | (subpage ? SPF : 0));
	bytes[1] = subpage;
	put_be16(bytes + 2, (uint16_t)n);
	return target_answer(c, bytes, HEADER + n, get_be16(c->cdb + 7));
}
