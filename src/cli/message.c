/* SPDX-License-Identifier: MIT */
/*
 * message.c: words for the person at the terminal. Errors are one line each, whatever was in the
 * text that a device or driver gave.
 */
#include "cli/cli.h"

#include "base/base.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_LINE = 1024, HEX_COLUMNS = 16 };

static bool is_printable(unsigned char c)
{
	return c >= ' ' && c <= '~';
}

static void say(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

/* On a terminal a progress bar may stand in this line. */
static void put_line(const char *before, char *line)
{
	text_make_printable(line, strlen(line), "");
	fprintf(stderr, "%s%s%s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "", before, line);
}

static void say(const char *format, va_list args)
{
	char line[MAX_LINE];

	vsnprintf(line, sizeof(line), format, args);
	put_line("hbakit: ", line);
}

void cli_say_log(const char *line)
{
	char copy[MAX_LINE];

	snprintf(copy, sizeof(copy), "%s", line);
	put_line("", copy);
}

int cli_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	return CLI_FAILED;
}

int cli_usage(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	return CLI_USAGE;
}

/* Of the process's one standard output: stdio remembers that a write failed, and not why. */
static int output_error;

/* The beginning of a character whose end comes with the next write. */
static struct {
	char bytes[4];
	size_t n;
} begun;

static void write_all(const char *bytes, size_t n)
{
	size_t at = 0;

	while (at < n && !output_error) {
		ssize_t written = write(STDOUT_FILENO, bytes + at, n - at);

		if (written < 0 && errno != EINTR)
			output_error = errno;
		at += written > 0 ? (size_t)written : 0;
	}
}

/* All that is printed passes here, whoever wrote it: no command can forget to make it harmless. */
static ssize_t write_output(void *cookie, const char *bytes, size_t n)
{
	size_t length = begun.n + n;
	autofree char *text = malloc(length + 1);

	(void)cookie;
	if (!text) {
		output_error = ENOMEM;
		return 0;
	}
	memcpy(text, begun.bytes, begun.n);
	memcpy(text + begun.n, bytes, n);
	begun.n = text_cut_off(text, length);
	length -= begun.n;
	memcpy(begun.bytes, text + length, begun.n);
	text_make_printable(text, length, "\n\t");
	write_all(text, length);
	return output_error ? 0 : (ssize_t)n;
}

bool cli_begin_output(void)
{
	FILE *f = fopencookie(NULL, "w", (cookie_io_functions_t) { .write = write_output });

	if (!f)
		return false;
	if (isatty(STDOUT_FILENO))
		setvbuf(f, NULL, _IOLBF, 0);
	stdout = f;
	return true;
}

int cli_finish_output(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return CLI_OK;
	if (output_error == EPIPE)
		return CLI_FAILED;
	return cli_fail("standard output: %s; the output is not complete", strerror(output_error));
}

char *cli_printable(const char *text)
{
	char *copy = strdup(text ? text : "");

	if (copy)
		text_make_printable(copy, strlen(copy), "");
	return copy;
}

void cli_format_time(uint64_t ns, char text[16])
{
	static const struct {
		uint64_t below;
		double per;
		const char *unit;
	} units[] = {
		{ 10 * UINT64_C(1000), 1, "ns" },
		{ 10 * UINT64_C(1000000), 1e3, "us" },
		{ 10 * NS_PER_S, 1e6, "ms" },
		{ UINT64_MAX, 1e9, "s" },
	};
	size_t u = 0;

	while (u + 1 < ARRAY_SIZE(units) && ns >= units[u].below)
		u++;
	snprintf(text, 16, "%.*f %s", u && (double)ns / units[u].per < 100 ? 1 : 0,
		 (double)ns / units[u].per, units[u].unit);
}

static void print_hex_line(const uint8_t *bytes, size_t offset, size_t n)
{
	printf("%04zx ", offset);
	for (size_t i = 0; i < HEX_COLUMNS; i++) {
		if (i < n)
			printf(" %02x", bytes[offset + i]);
		else
			fputs("   ", stdout);
	}
	fputs("  ", stdout);
	for (size_t i = 0; i < n; i++)
		putchar(is_printable(bytes[offset + i]) ? bytes[offset + i] : '.');
	putchar('\n');
}

void cli_print_hex(const uint8_t *bytes, size_t length)
{
	for (size_t at = 0; at < length; at += HEX_COLUMNS)
		print_hex_line(bytes, at, length - at < HEX_COLUMNS ? length - at : HEX_COLUMNS);
}
