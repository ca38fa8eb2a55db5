/* SPDX-License-Identifier: MIT */
/* text.c: numbers as people write them. */
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
	n = strtoull(text, ret_rest, text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10);
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
		if (*text == '%' && isxdigit((unsigned char)text[1]) && isxdigit((unsigned char)text[2])) {
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
	snprintf(text, 16, value < 10 && value != (double)(unsigned)value ? "%.1f %s" : "%.0f %s", value, units[u]);
}
