/* SPDX-License-Identifier: MIT */
/* iov-iter.c: walking a list of pieces that may be cut anywhere, empty ones included. */
#include "target/target.h"

#include <limits.h>
#include <string.h>

static void leave_finished_items(struct iov_iter *c)
{
	while (c->n > 0 && c->skip == c->iov->iov_len) {
		c->iov++;
		c->n--;
		c->skip = 0;
	}
}

void *iov_iter_next(struct iov_iter *c, uint64_t max, size_t *ret_length)
{
	uint8_t *at;
	size_t length;

	leave_finished_items(c);
	if (c->n == 0 || max == 0)
		return NULL;
	at = (uint8_t *)c->iov->iov_base + c->skip;
	length = c->iov->iov_len - c->skip;
	if (length > max)
		length = (size_t)max;
	c->skip += length;
	*ret_length = length;
	return at;
}

uint64_t iov_iter_copy_to(struct iov_iter *c, const void *from, uint64_t bytes)
{
	uint64_t done = 0;
	size_t length;
	void *piece;

	for (; (piece = iov_iter_next(c, bytes - done, &length)); done += length)
		memcpy(piece, (const uint8_t *)from + done, length);
	return done;
}

uint64_t iov_iter_copy_from(struct iov_iter *c, void *to, uint64_t bytes)
{
	uint64_t done = 0;
	size_t length;
	void *piece;

	for (; (piece = iov_iter_next(c, bytes - done, &length)); done += length)
		memcpy((uint8_t *)to + done, piece, length);
	return done;
}

uint64_t iov_iter_zero(struct iov_iter *c, uint64_t bytes)
{
	uint64_t done = 0;
	size_t length;
	void *piece;

	for (; (piece = iov_iter_next(c, bytes - done, &length)); done += length)
		memset(piece, 0, length);
	return done;
}

uint64_t iov_iter_step(struct iov_iter *c, uint64_t bytes)
{
	uint64_t done = 0;
	size_t length;

	for (; iov_iter_next(c, bytes - done, &length); done += length)
		;
	return done;
}

/* Equal bytes at the start of both. By halves, because memcmp() does not return the place. */
static size_t equal_bytes(const uint8_t *a, const uint8_t *b, size_t n)
{
	size_t low = 0, high = n;

	if (memcmp(a, b, n) == 0)
		return n;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(a + low, b + low, middle - low) == 0)
			low = middle;
		else
			high = middle;
	}
	return low;
}

uint64_t iov_iter_compare(struct iov_iter *c, const void *with, uint64_t bytes)
{
	uint64_t done = 0;
	size_t length, equal;
	const void *piece;

	for (; (piece = iov_iter_next(c, bytes - done, &length)); done += length) {
		equal = equal_bytes(piece, (const uint8_t *)with + done, length);
		if (equal < length)
			return done + equal;
	}
	return done;
}

uint64_t iov_iter_or_into(struct iov_iter *c, void *into, uint64_t bytes)
{
	uint64_t done = 0;
	size_t length;
	const uint8_t *piece;

	for (; (piece = iov_iter_next(c, bytes - done, &length)); done += length)
		for (size_t i = 0; i < length; i++)
			((uint8_t *)into)[done + i] |= piece[i];
	return done;
}

bool iov_iter_is_zero(struct iov_iter c, uint64_t bytes)
{
	const uint8_t *piece;
	size_t length;

	for (; (piece = iov_iter_next(&c, bytes, &length)); bytes -= length)
		if (piece[0] != 0 || memcmp(piece, piece + 1, length - 1) != 0)
			return false;
	return true;
}

unsigned iov_iter_items(struct iov_iter *c, uint64_t bytes, struct iovec *piece,
			const struct iovec **ret_items)
{
	struct iov_iter probe;
	uint64_t total = 0;
	unsigned n = 0;

	/* Whole items first: they need no copy of the list, however long it is. */
	leave_finished_items(c);
	if (c->skip == 0)
		for (; n < c->n && n < IOV_MAX && c->iov[n].iov_len <= bytes - total; n++)
			total += c->iov[n].iov_len;
	if (n > 0) {
		*ret_items = c->iov;
		return n;
	}

	probe = *c;
	piece->iov_base = iov_iter_next(&probe, bytes, &piece->iov_len);
	*ret_items = piece;
	return piece->iov_base ? 1 : 0;
}
