/* SPDX-License-Identifier: MIT */
/* progress.c: a bar on stderr, if that is a terminal; in a pipe, silence. */
#include "cli/cli.h"

#include "base/base.h"

#include <inttypes.h>
#include <unistd.h>

enum { BAR = 24, PERIOD_MS = 200, PERCENT = 100 };
enum { MINUTE = 60, HOUR = 3600, MOST_LEFT_S = 999 * HOUR };

void cli_progress_begin(struct cli_progress *p, const char *verb, uint64_t total)
{
	uint64_t now = clock_monotonic.now(&clock_monotonic);

	*p = (struct cli_progress) { .verb = verb,
				     .total = total,
				     .begun_ns = now,
				     .shown_ns = now,
				     .on = isatty(STDERR_FILENO) };
}

static void print_bar(uint64_t bytes, uint64_t total)
{
	unsigned filled = (unsigned)((double)BAR * (double)bytes / (double)total);
	unsigned percent = (unsigned)((double)PERCENT * (double)bytes / (double)total);
	char bar[BAR + 1];

	for (unsigned i = 0; i < BAR; i++)
		bar[i] = i < filled ? '#' : '.';
	bar[BAR] = 0;
	fprintf(stderr, " %3u %% [%s]", percent, bar);
}

/* "12 s", "3 min 20 s", "5 h 07 min" at the rate so far. */
static void print_left(uint64_t bytes, uint64_t total, uint64_t ns)
{
	double seconds = (double)(total - bytes) * (double)ns / (double)bytes / (double)NS_PER_S;
	uint64_t s = seconds < MOST_LEFT_S ? (uint64_t)seconds : MOST_LEFT_S;

	if (s < MINUTE)
		fprintf(stderr, ", %" PRIu64 " s left", s);
	else if (s < HOUR)
		fprintf(stderr, ", %" PRIu64 " min %02" PRIu64 " s left", s / MINUTE, s % MINUTE);
	else
		fprintf(stderr, ", %" PRIu64 " h %02" PRIu64 " min left", s / HOUR,
			s % HOUR / MINUTE);
}

void cli_progress_show(struct cli_progress *p, uint64_t bytes)
{
	uint64_t now;
	char done[16], rate[16];

	if (!p->on)
		return;
	now = clock_monotonic.now(&clock_monotonic);
	if (now - p->shown_ns < (uint64_t)PERIOD_MS * NS_PER_MS)
		return;
	p->shown_ns = now;
	format_size(bytes, done);
	format_size((uint64_t)((double)bytes * (double)NS_PER_S / (double)(now - p->begun_ns)),
		    rate);
	fprintf(stderr, "\r%s", p->verb);
	if (p->total)
		print_bar(bytes, p->total);
	fprintf(stderr, " %s, %s/s", done, rate);
	if (bytes && bytes <= p->total)
		print_left(bytes, p->total, now - p->begun_ns);
	fputs("\033[K", stderr);
}

void cli_progress_end(struct cli_progress *p)
{
	if (p->on && p->shown_ns != p->begun_ns)
		fputs("\r\033[K", stderr);
	p->on = false;
}
