/* SPDX-License-Identifier: MIT */
/*
 * iova.c: which addresses of a device's IOMMU are taken. First fit over the valid ranges; the low 4
 * GiB are kept for those who can reach nothing else.
 */
#include "bus/bus.h"

#include "base/base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Below the first MiB nothing is given out: an address of 0 means "none" to many chips. */
#define LOWEST UINT64_C(0x100000)
#define HIGH   (UINT64_C(1) << 32)

static int iova_insert(struct iova_span **spans, size_t *n, size_t at, struct iova_span s)
{
	struct iova_span *grown = realloc(*spans, (*n + 1) * sizeof(**spans));

	if (!grown)
		return -ENOMEM;
	*spans = grown;
	memmove(grown + at + 1, grown + at, (*n - at) * sizeof(*grown));
	grown[at] = s;
	++*n;
	return 0;
}

static size_t place_of(const struct iova_span *spans, size_t n, uint64_t first)
{
	size_t at = 0;

	while (at < n && spans[at].first < first)
		at++;
	return at;
}

int iova_space_allow(struct iova_space *s, uint64_t first, uint64_t last)
{
	if (last < first)
		return -EINVAL;
	return iova_insert(&s->valid, &s->n_valid, place_of(s->valid, s->n_valid, first),
			   (struct iova_span) { first, last });
}

/* The first place in [first, last] that touches nothing taken. false: there is none. */
static bool find_hole(const struct iova_space *s, uint64_t first, uint64_t last, uint64_t length,
		      uint64_t alignment, uint64_t *ret_first)
{
	uint64_t at = round_up(first, alignment);

	for (size_t i = 0; i < s->n_taken; i++) {
		const struct iova_span *t = &s->taken[i];

		if (t->last < at)
			continue;
		if (at < first || at > last || (t->first > at && t->first - at >= length))
			break;
		if (t->last == UINT64_MAX)
			return false;
		at = round_up(t->last + 1, alignment);
	}
	/* Rounding up may have gone past the end of all numbers. */
	if (at < first || at > last || last - at < length - 1)
		return false;
	*ret_first = at;
	return true;
}

static bool find_above(const struct iova_space *s, uint64_t lowest, uint64_t highest,
		       uint64_t length, uint64_t alignment, uint64_t *ret_first)
{
	for (size_t i = 0; i < s->n_valid; i++) {
		uint64_t first = s->valid[i].first > lowest ? s->valid[i].first : lowest;
		uint64_t last = s->valid[i].last < highest ? s->valid[i].last : highest;

		if (first <= last && find_hole(s, first, last, length, alignment, ret_first))
			return true;
	}
	return false;
}

int iova_take(struct iova_space *s, uint64_t length, uint64_t alignment, unsigned bits,
	      uint64_t *ret_first)
{
	uint64_t highest = bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1, first;
	int r;

	if (!length || !is_power_of_two(alignment))
		return -EINVAL;
	if (!find_above(s, HIGH, highest, length, alignment, &first) &&
	    !find_above(s, LOWEST, highest, length, alignment, &first))
		return -ENOSPC;
	r = iova_claim(s, first, length);
	if (r == 0)
		*ret_first = first;
	return r;
}

int iova_claim(struct iova_space *s, uint64_t first, uint64_t length)
{
	size_t at = place_of(s->taken, s->n_taken, first);
	uint64_t last = first + length - 1;
	bool valid = false;

	if (!length || last < first)
		return -EINVAL;
	for (size_t i = 0; i < s->n_valid && !valid; i++)
		valid = s->valid[i].first <= first && last <= s->valid[i].last;
	if (!valid)
		return -ENOSPC;
	if ((at > 0 && s->taken[at - 1].last >= first) ||
	    (at < s->n_taken && s->taken[at].first <= last))
		return -EBUSY;
	return iova_insert(&s->taken, &s->n_taken, at, (struct iova_span) { first, last });
}

void iova_give_back(struct iova_space *s, uint64_t first)
{
	size_t at = place_of(s->taken, s->n_taken, first);

	if (at == s->n_taken || s->taken[at].first != first)
		return;
	s->n_taken--;
	memmove(s->taken + at, s->taken + at + 1, (s->n_taken - at) * sizeof(*s->taken));
}

void iova_space_free(struct iova_space *s)
{
	free(s->valid);
	free(s->taken);
	*s = (struct iova_space) { 0 };
}
