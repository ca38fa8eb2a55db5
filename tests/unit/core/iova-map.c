/* SPDX-License-Identifier: MIT */
/*
 * iova-map.c: the table of reachable addresses: held against a list searched from end to end,
 * changed for long, and read while it changes.
 */
#include "base/base.h"
#include "core/dma/dma.h"

#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the ones above first. */
#include <cmocka.h>

enum {
	PLACES = 100, /* where a span may be */
	PLACE_BYTES = 4096,
	FIRST_PLACE = 16,
	ROUNDS = 5000,
	PROBES = 20,
	CHURN = 100000,
	FEW = 1 << 16, /* bytes that do not matter */
	READS = 200000,
};

#define IOVA_AT UINT64_C(0x800000000000)

/* Odd places are shorter, so that there are gaps. */
static struct iova_range span_of(unsigned place)
{
	uintptr_t address = (uintptr_t)(FIRST_PLACE + place) * PLACE_BYTES;

	/* Against the order of the addresses. */
	return (struct iova_range) { address,
				     place % 2 ? PLACE_BYTES / 2 : PLACE_BYTES,
				     { IOVA_AT - address } };
}

static void add(struct iova_map *s, unsigned place)
{
	struct iova_range span = span_of(place);

	assert_int_equal(iova_map_add(s, &span), 0);
}

static void remove_place(struct iova_map *s, unsigned place)
{
	iova_map_remove(s, span_of(place).address);
}

static void probe(const struct iova_map *s, const bool *there, uintptr_t address)
{
	unsigned place = (unsigned)(address / PLACE_BYTES) - FIRST_PLACE;
	struct hba_iova iova = { 1 };
	struct iova_range span = span_of(place);
	size_t want = place < PLACES && there[place] && address - span.address < span.length
			      ? span.length - (address - span.address)
			      : 0;

	assert_int_equal(iova_map_iova(s, (void *)address, &iova), want);
	assert_int_equal(iova.bus, want ? span.iova.bus + (address - span.address) : 1);
	if (want)
		assert_ptr_equal(iova_map_address(s, iova), (void *)address);
}

static void as_a_list_has_it(void **state)
{
	bool there[PLACES] = { false };
	struct iova_map s = { 0 };

	(void)state;
	srandom(1);
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned place = (unsigned)random() % PLACES;

		there[place] = !there[place];
		if (there[place])
			add(&s, place);
		else
			remove_place(&s, place);
		for (unsigned i = 0; i < PROBES; i++)
			probe(&s, there,
			      (uintptr_t)random() % ((FIRST_PLACE + PLACES + 1) * PLACE_BYTES));
	}
	iova_map_free(&s);
}

static void an_empty_one_has_nothing(void **state)
{
	struct iova_map s = { 0 };
	struct hba_iova iova;

	(void)state;
	assert_int_equal(iova_map_iova(&s, &s, &iova), 0);
	assert_null(iova_map_address(&s, (struct hba_iova) { 0 }));
	iova_map_remove(&s, 0);
	iova_map_free(&s);
}

/* An application that maps and releases all day. */
static void changes_take_no_memory(void **state)
{
	struct iova_map s = { 0 };
	size_t before;

	(void)state;
	for (unsigned i = 0; i < PLACES; i++)
		add(&s, i);
	before = mallinfo2().uordblks;
	for (unsigned i = 0; i < CHURN; i++) {
		remove_place(&s, i % PLACES);
		add(&s, i % PLACES);
	}
	assert_true(mallinfo2().uordblks < before + FEW);
	iova_map_free(&s);
}

struct shared {
	struct iova_map s;
	bool over; /* atomic */
};

/* Grows beyond every capacity and shrinks again, around the one that stays. */
static void *change(void *arg)
{
	struct shared *shared = arg;

	while (!__atomic_load_n(&shared->over, __ATOMIC_ACQUIRE)) {
		for (unsigned i = 0; i < PLACES; i++)
			if (i != PLACES / 2)
				add(&shared->s, i);
		for (unsigned i = 0; i < PLACES; i++)
			if (i != PLACES / 2)
				remove_place(&shared->s, i);
	}
	return NULL;
}

static void readers_see_one_edition(void **state)
{
	struct iova_range stays = span_of(PLACES / 2);
	struct shared shared = { 0 };
	struct hba_iova iova;
	pthread_t thread;

	(void)state;
	add(&shared.s, PLACES / 2);
	assert_int_equal(pthread_create(&thread, NULL, change, &shared), 0);
	for (unsigned i = 0; i < READS; i++) {
		uintptr_t address = span_of(i % PLACES).address;
		size_t length = iova_map_iova(&shared.s, (void *)address, &iova);

		assert_true(!length || (length == span_of(i % PLACES).length &&
					iova.bus == IOVA_AT - address));
		assert_int_equal(iova_map_iova(&shared.s, (void *)stays.address, &iova),
				 stays.length);
		assert_int_equal(iova.bus, stays.iova.bus);
		assert_ptr_equal(iova_map_address(&shared.s, stays.iova), (void *)stays.address);
	}
	__atomic_store_n(&shared.over, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	iova_map_free(&shared.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_a_list_has_it),
		cmocka_unit_test(an_empty_one_has_nothing),
		cmocka_unit_test(changes_take_no_memory),
		cmocka_unit_test(readers_see_one_edition),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
