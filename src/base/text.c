/* SPDX-License-Identifier: MIT */
/* text.c: numbers as people write them, and text of others made fit for people to see. */
#include "base/base.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Like strtoull, which would take a sign and wrap it. */
static int number_and_rest(const char *text, uint64_t *ret_number, char **ret_rest)
{
	unsigned long long n;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	n = strtoull(text, ret_rest,
		     text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10);
	if (errno == ERANGE)
		return -ERANGE;
	*ret_number = n;
	return 0;
}

int parse_number(const char *text, uint64_t *ret_number)
{
	uint64_t n;
	char *rest;
	int r = number_and_rest(text, &n, &rest);

	if (r < 0)
		return r;
	if (*rest)
		return -EINVAL;
	*ret_number = n;
	return 0;
}

int parse_size(const char *text, uint64_t *ret_bytes)
{
	static const char units[] = "kMGT";
	const char *unit;
	unsigned shift = 0;
	uint64_t n;
	char *rest;
	int r = number_and_rest(text, &n, &rest);

	if (r < 0)
		return r;
	if (*rest) {
		unit = strchr(units, *rest == 'K' ? 'k' : *rest);
		if (!unit || rest[1])
			return -EINVAL;
		shift = 10 * ((unsigned)(unit - units) + 1);
	}
	if (n > UINT64_MAX >> shift)
		return -ERANGE;
	*ret_bytes = n << shift;
	return 0;
}

int query_next(const char **at, const char *name, char *ret_value, size_t size)
{
	size_t n = strlen(name);

	while (*at && **at) {
		const char *item = *at, *value = item + n + 1;
		size_t length = strcspn(item, "&");

		*at = item + length + (item[length] == '&');
		if (length <= n || strncmp(item, name, n) != 0 || item[n] != '=')
			continue;
		if (length - n - 1 >= size)
			return -ENAMETOOLONG;
		memcpy(ret_value, value, length - n - 1);
		ret_value[length - n - 1] = '\0';
		return 1;
	}
	return 0;
}

void unescape_percent(char *text)
{
	char *to = text, digits[3] = "";

	for (; *text; text++) {
		if (*text == '%' && isxdigit((unsigned char)text[1]) &&
		    isxdigit((unsigned char)text[2])) {
			memcpy(digits, text + 1, 2);
			*to++ = (char)strtoul(digits, NULL, 16);
			text += 2;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

int query_last(const char *query, const char *name, char *ret_value, size_t size)
{
	int r, found = 0;

	while ((r = query_next(&query, name, ret_value, size)) > 0)
		found = 1;
	return r < 0 ? r : found;
}

void format_size(uint64_t bytes, char text[16])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	unsigned u = 0;

	for (; value >= 1024 && u + 1 < ARRAY_SIZE(units); u++)
		value /= 1024;
	snprintf(text, 16, value < 10 && value != (double)(unsigned)value ? "%.1f %s" : "%.0f %s",
		 value, units[u]);
}

/* ---- RFC 3629 */

/* How many bytes a character has whose first one is this; 0: none begins so. */
static size_t utf8_length(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* 0: none, because it is cut off, too long for its value, a half of UTF-16, or beyond Unicode. */
static uint32_t utf8_read(const char *text, size_t length)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t c =
		length == 1 ? (unsigned char)text[0] : (unsigned char)text[0] & (0x7fU >> length);

	for (size_t i = 1; i < length; i++) {
		if (((unsigned char)text[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | ((unsigned char)text[i] & 0x3f);
	}
	return length > 1 && (c < least[length] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) ? 0
												: c;
}

/*
 * Controls, those of ISO 6429's upper half too; and what makes a line read in another order than it
 * is written in.
 */
static bool is_harmful(uint32_t c)
{
	return c < ' ' || (c >= 0x7f && c < 0xa0) || (c >= 0x200e && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

size_t text_cut_off(const char *text, size_t length)
{
	for (size_t n = 1; n <= 3 && n <= length; n++) {
		size_t whole = utf8_length((unsigned char)text[length - n]);

		if (whole > 1)
			return whole > n ? n : 0;
	}
	return 0;
}

void text_make_printable(char *text, size_t length, const char *keep)
{
	for (size_t at = 0; at < length;) {
		size_t n = utf8_length((unsigned char)text[at]);
		uint32_t c = n && n <= length - at ? utf8_read(text + at, n) : 0;

		if (c && (!is_harmful(c) || (c < ' ' && strchr(keep, (int)c)))) {
			at += n;
			continue;
		}
		/* Of a harmful one, all its bytes; of what is none, this byte. */
		for (n = c ? n : 1; n; n--)
			text[at++] = '?';
	}
}
