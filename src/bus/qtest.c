/* SPDX-License-Identifier: MIT */
/*
 * qtest.c: QEMU's qtest protocol: a line for each access, a line for each answer, in order, and now
 * and then a line about an interrupt in between. A write's answer has no data, so it is waited for
 * only when a read needs its place in the order.
 */
#include "bus/bus.h"

#include "base/base.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * However short an answer is, it takes up 768 bytes of the 208 KiB that a socket holds: 277 of
 * them. With the next one QEMU would wait for us to read, and with it everything it does, while we
 * perhaps wait for a completion. So no more than MOST_POSTED are out; what is written beyond them,
 * while QEMU is busy or stopped, is kept here.
 */
enum { LINE_BYTES = 128, MOST_POSTED = 128 };

static int lost(struct qtest *q)
{
	if (q->fd >= 0)
		close(q->fd);
	q->fd = -1;
	return -ENODEV;
}

static int send_line(struct qtest *q, const char *line, size_t length)
{
	while (length) {
		ssize_t n = q->fd < 0 ? -1 : send(q->fd, line, length, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR && q->fd >= 0)
			continue;
		if (n <= 0)
			return lost(q);
		line += n;
		length -= (size_t)n;
	}
	return 0;
}

/* More bytes from QEMU. 1: some came; 0: none within `ms`; -ENODEV. */
static int qtest_fill(struct qtest *q, int ms)
{
	struct pollfd p = { .fd = q->fd, .events = POLLIN };
	ssize_t n;

	if (q->fd < 0 || q->used == sizeof(q->buffer))
		return lost(q);
	do
		n = poll(&p, 1, ms);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return 0;
	n = read(q->fd, q->buffer + q->used, sizeof(q->buffer) - q->used);
	if (n <= 0)
		return lost(q);
	q->used += (size_t)n;
	return 1;
}

/* Take one whole line out of the buffer. false: there is none yet. */
static bool take_line(struct qtest *q, char line[LINE_BYTES])
{
	char *end = memchr(q->buffer, '\n', q->used);
	size_t length = end ? (size_t)(end - q->buffer) : 0,
	       kept = length < LINE_BYTES - 1 ? length : LINE_BYTES - 1;

	if (!end)
		return false;
	memcpy(line, q->buffer, kept);
	line[kept] = '\0';
	q->used -= length + 1;
	memmove(q->buffer, end + 1, q->used);
	return true;
}

static bool is_about_line(const char *text)
{
	return strncmp(text, "IRQ ", strlen("IRQ ")) == 0;
}

/* "IRQ raise 21", "IRQ lower 21": it has changed. */
static void heed_line(struct qtest *q, const char *text)
{
	char verb[LINE_BYTES];
	unsigned line;

	if (q->line_fd < 0 || sscanf(text, "IRQ %s %u", verb, &line) != 2 || line != q->line)
		return;
	q->line_is_up = strcmp(verb, "raise") == 0;
	if (q->line_is_up)
		eventfd_write(q->line_fd, 1);
}

/* Lines that have arrived behind an answer no longer make the socket readable. */
static void heed_lines_behind(struct qtest *q)
{
	char text[LINE_BYTES];

	while (q->used >= strlen("IRQ ") && is_about_line(q->buffer) && take_line(q, text))
		heed_line(q, text);
}

/* The next answer; lines about interrupts are none. 1, 0 (none within `ms`), -ENODEV. */
static int answer(struct qtest *q, int ms, char line[LINE_BYTES])
{
	for (;;) {
		int r;

		while (take_line(q, line)) {
			if (is_about_line(line)) {
				heed_line(q, line);
				continue;
			}
			heed_lines_behind(q);
			return 1;
		}
		r = qtest_fill(q, ms);
		if (r <= 0)
			return r;
	}
}

/* Of what was kept, as much as may be out now. */
static int send_kept(struct qtest *q)
{
	size_t sent = 0;
	int r = 0;

	while (r == 0 && sent < q->n_kept && q->posted < MOST_POSTED) {
		const char *line = q->kept + sent, *end = memchr(line, '\n', q->n_kept - sent);
		size_t length = (size_t)(end - line) + 1;

		r = send_line(q, line, length);
		sent += length;
		q->posted++;
	}
	q->n_kept -= sent;
	memmove(q->kept, q->kept + sent, q->n_kept);
	return r;
}

/* The answer of a write. 1, and what was kept has its place; 0: none within `ms`; -ENODEV. */
static int collect(struct qtest *q, int ms)
{
	char line[LINE_BYTES];
	int r = answer(q, ms, line);

	if (r <= 0)
		return r;
	q->posted--;
	r = send_kept(q);
	return r < 0 ? r : 1;
}

static int collect_what_is_there(struct qtest *q)
{
	int r;

	do
		r = q->posted ? collect(q, 0) : 0;
	while (r > 0);
	return r;
}

int qtest_settle(struct qtest *q, unsigned ms)
{
	while (q->posted) {
		int r = collect(q, (int)ms);

		if (r <= 0)
			return r < 0 ? r : lost(q);
	}
	return 0;
}

int qtest_catch_up(struct qtest *q)
{
	char line[LINE_BYTES];
	int r = collect_what_is_there(q);

	/* With nothing out there is nothing to read but the end. */
	return r == 0 && !q->posted && answer(q, 0, line) < 0 ? -ENODEV : r;
}

bool qtest_is_behind(const struct qtest *q)
{
	return q->n_kept > 0;
}

int qtest_write(struct qtest *q, const char *command, uint64_t address, uint64_t value, unsigned ms)
{
	char line[LINE_BYTES];
	size_t length = (size_t)snprintf(line, sizeof(line), "%s 0x%" PRIx64 " 0x%" PRIx64 "\n",
					 command, address, value);
	int r = collect_what_is_there(q);

	if (r == 0 && sizeof(q->kept) - q->n_kept < length)
		r = qtest_settle(q, ms);
	if (r < 0)
		return r;
	memcpy(q->kept + q->n_kept, line, length);
	q->n_kept += length;
	return send_kept(q);
}

/* One command that has an answer: its line, into `line`. */
static int qtest_ask(struct qtest *q, char line[LINE_BYTES], size_t length, unsigned ms)
{
	/* Writes that were kept back go first. */
	int r = qtest_is_behind(q) ? qtest_settle(q, ms) : 0;

	if (r == 0)
		r = send_line(q, line, length);
	if (r == 0)
		r = qtest_settle(q, ms);
	if (r == 0)
		r = answer(q, (int)ms, line);
	if (r < 0)
		return r;
	if (r == 0)
		return lost(q);
	return strncmp(line, "OK", 2) == 0 ? 0 : -EPROTO;
}

void qtest_init(struct qtest *q)
{
	q->fd = q->line_fd = -1;
}

int qtest_intercept(struct qtest *q, unsigned line, int fd, unsigned ms)
{
	char text[LINE_BYTES] = "irq_intercept_in ioapic\n";

	q->line = line;
	q->line_fd = fd;
	return qtest_ask(q, text, strlen(text), ms);
}

int qtest_read(struct qtest *q, const char *command, uint64_t address, unsigned ms,
	       uint64_t *ret_value)
{
	char line[LINE_BYTES];
	size_t length =
		(size_t)snprintf(line, sizeof(line), "%s 0x%" PRIx64 "\n", command, address);
	int r = qtest_ask(q, line, length, ms);

	if (r == 0)
		*ret_value = line[2] ? strtoull(line + 3, NULL, 0) : 0;
	return r;
}
