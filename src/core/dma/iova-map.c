/* SPDX-License-Identifier: MIT */
/*
 * iova-map.c: see spans.h. Every word of a table is loaded and stored by itself: a reader may be in
 * it while it is written.
 */
#include "core/dma/dma.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 16 };

struct iova_table {
	struct iova_table *older; /* outgrown; a reader may still be in it: freed at the end */
	size_t capacity;
	size_t n; /* atomic, as all of span[]; sorted by address */
	struct iova_range span[];
};

/*
 * ---- one word at a time. Loads and stores keep their order: the edition is looked at last, and
 * changed before what is overwritten.
 */

static uint64_t edition_of(const struct iova_map *s)
{
	return __atomic_load_n(&s->edition, __ATOMIC_ACQUIRE);
}

static const struct iova_table *shown(const struct iova_map *s, uint64_t edition)
{
	return __atomic_load_n(&s->tables[edition & 1], __ATOMIC_ACQUIRE);
}

static uintptr_t address_at(const struct iova_table *t, size_t i)
{
	return __atomic_load_n(&t->span[i].address, __ATOMIC_ACQUIRE);
}

static struct iova_range span_at(const struct iova_table *t, size_t i)
{
	return (struct iova_range) {
		.address = address_at(t, i),
		.length = __atomic_load_n(&t->span[i].length, __ATOMIC_ACQUIRE),
		.iova.bus = __atomic_load_n(&t->span[i].iova.bus, __ATOMIC_ACQUIRE),
	};
}

static size_t iova_map_count(const struct iova_table *t)
{
	return t ? __atomic_load_n(&t->n, __ATOMIC_ACQUIRE) : 0;
}

static void iova_map_put(struct iova_table *t, size_t i, const struct iova_range *span)
{
	__atomic_store_n(&t->span[i].address, span->address, __ATOMIC_RELEASE);
	__atomic_store_n(&t->span[i].length, span->length, __ATOMIC_RELEASE);
	__atomic_store_n(&t->span[i].iova.bus, span->iova.bus, __ATOMIC_RELEASE);
}

/* ---- the writer */

/* Room for `n` in one table. It may be the one that is shown only while that has what it had. */
static int reserve(struct iova_map *s, unsigned which, size_t n)
{
	struct iova_table *old = s->tables[which], *t;
	size_t capacity = old ? old->capacity : FIRST_CAPACITY;

	if (old && n <= capacity)
		return 0;
	while (capacity < n)
		capacity *= 2;
	t = calloc(1, sizeof(*t) + capacity * sizeof(t->span[0]));
	if (!t)
		return -ENOMEM;
	t->older = old;
	t->capacity = capacity;
	t->n = old ? old->n : 0;
	for (size_t i = 0; i < t->n; i++)
		t->span[i] = old->span[i];
	/* The filled table, then the pointer that shows it. */
	__atomic_store_n(&s->tables[which], t, __ATOMIC_RELEASE);
	return 0;
}

static void iova_map_show(struct iova_map *s, struct iova_table *t, size_t n)
{
	__atomic_store_n(&t->n, n, __ATOMIC_RELEASE);
	__atomic_store_n(&s->edition, s->edition + 1, __ATOMIC_RELEASE);
}

int iova_map_add(struct iova_map *s, const struct iova_range *span)
{
	unsigned now = (unsigned)(s->edition & 1);
	const struct iova_table *from = s->tables[now];
	size_t n = iova_map_count(from), at = n;
	struct iova_table *to;

	/* Both: so that one can be removed without memory. */
	if (reserve(s, !now, n + 1) < 0 || reserve(s, now, n + 1) < 0)
		return -ENOMEM;
	from = s->tables[now];
	to = s->tables[!now];
	for (; at > 0 && from->span[at - 1].address > span->address; at--)
		iova_map_put(to, at, &from->span[at - 1]);
	iova_map_put(to, at, span);
	while (at-- > 0)
		iova_map_put(to, at, &from->span[at]);
	iova_map_show(s, to, n + 1);
	return 0;
}

void iova_map_remove(struct iova_map *s, uintptr_t address)
{
	const struct iova_table *from = s->tables[s->edition & 1];
	struct iova_table *to = s->tables[!(s->edition & 1)];
	size_t n = 0;

	for (size_t i = 0; i < iova_map_count(from); i++)
		if (from->span[i].address != address)
			iova_map_put(to, n++, &from->span[i]);
	if (n < iova_map_count(from))
		iova_map_show(s, to, n);
}

void iova_map_free(struct iova_map *s)
{
	for (unsigned i = 0; i < 2; i++)
		while (s->tables[i]) {
			struct iova_table *t = s->tables[i];

			s->tables[i] = t->older;
			free(t);
		}
}

/* ---- readers */

/* The answer of either edition is right; one put together from two is not. */
static bool overtaken(const struct iova_map *s, uint64_t edition)
{
	return edition_of(s) != edition;
}

static size_t iova_map_look(const struct iova_table *t, uintptr_t address,
			    struct hba_iova *ret_iova)
{
	size_t low = 0, high = iova_map_count(t);
	struct iova_range found;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (address_at(t, middle) <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return 0;
	found = span_at(t, low - 1);
	if (address - found.address >= found.length)
		return 0;
	*ret_iova = hba_iova_at(found.iova, address - found.address);
	return found.length - (address - found.address);
}

size_t iova_map_iova(const struct iova_map *s, const void *address, struct hba_iova *ret_iova)
{
	struct hba_iova iova = { 0 };
	uint64_t edition;
	size_t length;

	do {
		edition = edition_of(s);
		length = iova_map_look(shown(s, edition), (uintptr_t)address, &iova);
	} while (overtaken(s, edition));
	if (length)
		*ret_iova = iova;
	return length;
}

static void *look_back(const struct iova_table *t, struct hba_iova iova)
{
	for (size_t i = 0, n = iova_map_count(t); i < n; i++) {
		struct iova_range span = span_at(t, i);

		if (iova.bus >= span.iova.bus && iova.bus - span.iova.bus < span.length)
			return (uint8_t *)span.address + (iova.bus - span.iova.bus);
	}
	return NULL;
}

void *iova_map_address(const struct iova_map *s, struct hba_iova iova)
{
	uint64_t edition;
	void *address;

	do {
		edition = edition_of(s);
		address = look_back(shown(s, edition), iova);
	} while (overtaken(s, edition));
	return address;
}
