/* SPDX-License-Identifier: MIT */
/*
 * qtest.c: QEMU's qtest protocol: a line for each access, a line for each answer, in order, and now and then a line about an
 * interrupt in between. A write's answer says nothing, so nobody waits for it until a read needs its place in the order.
 */
#include "bus/bus.h"

#include "base/base.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * However short an answer is, it takes up 768 bytes of the 208 KiB that a socket holds: 277 of them. With the next one QEMU would wait
 * for us to read, and with it everything it does, while we perhaps wait for a completion.
 */
enum { LINE_BYTES = 128, MOST_POSTED = 128, DEFAULT_MS = 1000 };

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
static int fill(struct qtest *q, int ms)
{
	struct pollfd p = { .fd = q->fd, .events = POLLIN };
	ssize_t n;

	if (q->fd < 0 || q->used == sizeof(q->buffer))
		return lost(q);
	if (poll(&p, 1, ms) <= 0)
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
	size_t length = end ? (size_t)(end - q->buffer) : 0, kept = length < LINE_BYTES - 1 ? length : LINE_BYTES - 1;

	if (!end)
		return false;
	memcpy(line, q->buffer, kept);
	line[kept] = '\0';
	q->used -= length + 1;
	memmove(q->buffer, end + 1, q->used);
	return true;
}

/* The next answer; lines about interrupts are none. 1, 0 (none within `ms`), -ENODEV. */
static int answer(struct qtest *q, int ms, char line[LINE_BYTES])
{
	for (;;) {
		int r;

		while (take_line(q, line))
			if (strncmp(line, "IRQ ", 4) != 0)
				return 1;
		r = fill(q, ms);
		if (r <= 0)
			return r;
	}
}

/* Collect the answers of writes: those that are there, or (ms >= 0 and all) every one. */
static int collect(struct qtest *q, bool all, int ms)
{
	char line[LINE_BYTES];

	while (q->posted) {
		int r = answer(q, all ? ms : 0, line);

		if (r < 0)
			return r;
		if (r == 0)
			return all ? lost(q) : 0;
		q->posted--;
	}
	return 0;
}

int qtest_settle(struct qtest *q, unsigned ms)
{
	return collect(q, true, (int)ms);
}

int qtest_write(struct qtest *q, const char *command, uint64_t address, uint64_t value)
{
	char line[LINE_BYTES];
	int n = snprintf(line, sizeof(line), "%s 0x%" PRIx64 " 0x%" PRIx64 "\n", command, address, value);
	int r = q->posted >= MOST_POSTED ? collect(q, true, DEFAULT_MS) : collect(q, false, 0);

	if (r == 0)
		r = send_line(q, line, (size_t)n);
	if (r == 0)
		q->posted++;
	return r;
}

int qtest_read(struct qtest *q, const char *command, uint64_t address, unsigned ms, uint64_t *ret_value)
{
	char line[LINE_BYTES];
	int n = snprintf(line, sizeof(line), "%s 0x%" PRIx64 "\n", command, address);
	int r = send_line(q, line, (size_t)n);

	if (r == 0)
		r = collect(q, true, (int)ms);
	if (r == 0)
		r = answer(q, (int)ms, line);
	if (r < 0)
		return r;
	if (r == 0)
		return lost(q);
	if (strncmp(line, "OK", 2) != 0)
		return -EPROTO;
	*ret_value = line[2] ? strtoull(line + 3, NULL, 0) : 0;
	return 0;
}
