/* SPDX-License-Identifier: MIT */
/* rescue-map.c: areas of a disk and their status; the mapfile of GNU ddrescue, read and written. */
#include "cli/rescue-map.h"

#include "base/base.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Marking a range in the middle of an area makes two more at most. */
enum { FIRST_ROOM = 16, MORE_AREAS = 2, MAX_LINE = 256, WHY = 128 };

static const char area_statuses[] = "?*/-+", current_statuses[] = "?*/-FG+";

int rescue_map_begin(struct rescue_map *m, uint64_t size)
{
	*m = (struct rescue_map) { .areas = calloc(FIRST_ROOM, sizeof(*m->areas)),
				   .n = 1,
				   .room = FIRST_ROOM };
	if (!m->areas)
		return -ENOMEM;
	m->areas[0] = (struct rescue_area) { .end = size, .status = AREA_UNTRIED };
	return 0;
}

void rescue_map_end(struct rescue_map *m)
{
	free(m->areas);
	*m = (struct rescue_map) { .n = 0 };
}

static int make_room(struct rescue_map *m)
{
	struct rescue_area *areas;

	if (m->n + MORE_AREAS <= m->room)
		return 0;
	areas = reallocarray(m->areas, 2 * m->room, sizeof(*areas));
	if (!areas)
		return -ENOMEM;
	m->areas = areas;
	m->room *= 2;
	return 0;
}

/* The area that `position` lies in, or n behind the last. */
static size_t rescue_map_find(const struct rescue_map *m, uint64_t position)
{
	size_t low = 0, high = m->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->areas[middle].end <= position)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void remove_areas(struct rescue_map *m, size_t at, size_t n)
{
	memmove(&m->areas[at], &m->areas[at + n], (m->n - at - n) * sizeof(*m->areas));
	m->n -= n;
}

/*
 * Afterwards an area begins at `position`, which lies in the map or at its end. Room has been made.
 */
static size_t split_at(struct rescue_map *m, uint64_t position)
{
	size_t i = rescue_map_find(m, position);

	if (i == m->n || m->areas[i].begin == position)
		return i;
	memmove(&m->areas[i + 1], &m->areas[i], (m->n - i) * sizeof(*m->areas));
	m->n++;
	m->areas[i].end = position;
	m->areas[i + 1].begin = position;
	return i + 1;
}

static void join_with_next(struct rescue_map *m, size_t i)
{
	if (i + 1 >= m->n || m->areas[i].status != m->areas[i + 1].status)
		return;
	m->areas[i].end = m->areas[i + 1].end;
	remove_areas(m, i + 1, 1);
}

int rescue_map_mark(struct rescue_map *m, uint64_t begin, uint64_t end, char status)
{
	size_t first, behind;

	if (begin >= end)
		return 0;
	if (make_room(m) < 0)
		return -ENOMEM;
	first = split_at(m, begin);
	behind = split_at(m, end);
	remove_areas(m, first + 1, behind - first - 1);
	m->areas[first].end = end;
	m->areas[first].status = status;
	join_with_next(m, first);
	if (first)
		join_with_next(m, first - 1);
	return 0;
}

bool rescue_map_next(const struct rescue_map *m, uint64_t from, uint64_t to, const char *statuses,
		     struct rescue_area *ret_area)
{
	for (size_t i = rescue_map_find(m, from); from < to && i < m->n && m->areas[i].begin < to;
	     i++) {
		const struct rescue_area *a = &m->areas[i];

		if (!strchr(statuses, a->status))
			continue;
		*ret_area = (struct rescue_area) {
			.begin = a->begin > from ? a->begin : from,
			.end = a->end < to ? a->end : to,
			.status = a->status,
		};
		return true;
	}
	return false;
}

uint64_t rescue_map_count(const struct rescue_map *m, uint64_t from, uint64_t to,
			  const char *statuses, uint64_t *ret_areas)
{
	uint64_t bytes = 0, areas = 0;
	struct rescue_area a;

	while (from < to && rescue_map_next(m, from, to, statuses, &a)) {
		bytes += a.end - a.begin;
		areas++;
		from = a.end;
	}
	if (ret_areas)
		*ret_areas = areas;
	return bytes;
}

/* ---- the file */

/* Decimal, hexadecimal after 0x, or octal after 0, as ddrescue takes them. */
static bool take_number(char **text, uint64_t *ret_number)
{
	char *end;

	*text += strspn(*text, " \t");
	if (**text < '0' || **text > '9')
		return false;
	errno = 0;
	*ret_number = strtoull(*text, &end, 0);
	*text = end;
	return errno == 0 && (*end == ' ' || *end == '\t');
}

static bool take_status(char **text, const char *statuses, char *ret_status)
{
	*text += strspn(*text, " \t");
	*ret_status = **text;
	return **text && strchr(statuses, *(*text)++);
}

static bool is_at_end(const char *text)
{
	return text[strspn(text, " \t\r\n")] == 0;
}

/*
 * The line of the current position; a number of the pass may follow, in older files it is missing.
 */
static bool take_current(char *text)
{
	uint64_t position;
	char status;

	return take_number(&text, &position) && take_status(&text, current_statuses, &status) &&
	       text[strspn(text, " \t0123456789\r\n")] == 0;
}

static int refuse(char why[WHY], unsigned line, const char *what)
{
	snprintf(why, WHY, "line %u: %s", line, what);
	return -EINVAL;
}

static int take_area(struct rescue_map *m, char *text, uint32_t block, unsigned line,
		     uint64_t *position, char why[WHY])
{
	uint64_t begin, size, map_end = m->areas[m->n - 1].end, end;
	char status;

	if (!take_number(&text, &begin) || !take_number(&text, &size) ||
	    !take_status(&text, area_statuses, &status) || !is_at_end(text))
		return refuse(why, line, "position, size and one of ? * / - + are needed");
	if (size == 0 || size > INT64_MAX || begin > INT64_MAX || begin + size > INT64_MAX)
		return refuse(why, line, "the area is empty, or too large");
	if (*position != UINT64_MAX && begin != *position)
		return refuse(why, line, "the area does not begin where the one before it ends");
	*position = begin + size;
	end = *position < map_end ? *position : map_end;
	if (begin % block || (end != map_end && end % block))
		return refuse(why, line, "the area is not of whole blocks of this unit");
	return rescue_map_mark(m, begin, end, status);
}

int rescue_map_read(struct rescue_map *m, FILE *f, uint32_t block, char why[WHY])
{
	char text[MAX_LINE];
	uint64_t position = UINT64_MAX;
	bool has_current = false;
	int r = 0;

	for (unsigned line = 1; r == 0 && fgets(text, sizeof(text), f); line++) {
		/* A comment may be longer than that: a command line is in it. */
		bool comment = text[0] == '#', whole = strchr(text, '\n');

		for (int c = 0; comment && !whole && c != '\n' && c != EOF;)
			c = getc(f);
		if (comment || is_at_end(text))
			continue;
		if (has_current)
			r = take_area(m, text, block, line, &position, why);
		else if (!take_current(text))
			r = refuse(why, line,
				   "this is no mapfile of ddrescue: position and current status "
				   "are needed");
		has_current = true;
	}
	if (r == 0 && ferror(f))
		r = refuse(why, 0, "the file cannot be read");
	return r == 0 && position == UINT64_MAX
		       ? refuse(why, 1, "this is no mapfile of ddrescue: no areas are in it")
		       : r;
}

char *rescue_map_text(const struct rescue_map *m, char status, size_t *ret_length)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, ret_length);
	bool failed;

	if (!f)
		return NULL;
	fprintf(f, "# Mapfile of GNU ddrescue's format, by hbakit\n# current_pos  current_status  "
		   "current_pass\n");
	fprintf(f, "0x%08" PRIX64 "     %c               1\n#      pos        size  status\n",
		m->at, status);
	for (size_t i = 0; i < m->n; i++)
		fprintf(f, "0x%08" PRIX64 "  0x%08" PRIX64 "  %c\n", m->areas[i].begin,
			m->areas[i].end - m->areas[i].begin, m->areas[i].status);
	failed = ferror(f);
	if (fclose(f) == 0 && !failed)
		return text;
	free(text);
	return NULL;
}
