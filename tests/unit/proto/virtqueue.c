/* SPDX-License-Identifier: MIT */
/*
 * virtqueue.c: layout and arithmetic of the split virtqueue; the device's side is played by hand.
 */
#include "proto/virtqueue.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants these first. */
#include <cmocka.h>

enum { BASE = 0x7000, SIZE = 8, PAGE = 4096 };

struct queue {
	struct virtqueue v;
	uint8_t *memory;
	uint16_t shown; /* by the device */
};

static struct queue make(uint16_t size)
{
	struct queue q = { 0 };
	size_t bytes = (virtqueue_bytes(size) + PAGE - 1) / PAGE * PAGE;

	q.memory = aligned_alloc(PAGE, bytes);
	assert_non_null(q.memory);
	memset(q.memory, 0, bytes);
	virtqueue_init(&q.v, size, q.memory, (struct hba_iova) { BASE });
	return q;
}

static void give_back(struct queue *q, uint32_t head, uint32_t length)
{
	q->v.used->ring[q->shown++ % q->v.size] =
		(struct virtq_used_item) { hba_le32_of(head), hba_le32_of(length) };
	q->v.used->index = hba_le16_of(q->shown);
}

/* 2.6: sizes and alignments of the three parts, for every size there can be. */
static void parts_do_not_overlap(void **state)
{
	(void)state;
	for (unsigned size = 1; size <= VIRTQ_MOST; size *= 2) {
		struct queue q = make((uint16_t)size);
		uint64_t avail = q.v.avail_iova.bus - BASE, used = q.v.used_iova.bus - BASE;

		assert_int_equal(q.v.desc_iova.bus, BASE);
		assert_int_equal(avail, 16 * size);
		assert_true(used >= avail + 6 + 2 * size);
		assert_int_equal(used % 4, 0);
		assert_int_equal(virtqueue_bytes((uint16_t)size), used + 6 + 8 * size);
		assert_ptr_equal(q.v.avail, q.memory + avail);
		assert_ptr_equal(q.v.used, q.memory + used);
		free(q.memory);
	}
}

static void nothing_is_seen_before_it_is_shown(void **state)
{
	struct queue q = make(SIZE);

	(void)state;
	virtqueue_offer(&q.v, 5);
	virtqueue_offer(&q.v, 2);
	assert_int_equal(hba_get16(q.v.avail->index), 0);
	assert_true(virtqueue_show(&q.v));
	assert_int_equal(hba_get16(q.v.avail->index), 2);
	assert_int_equal(hba_get16(q.v.avail->ring[0]), 5);
	assert_int_equal(hba_get16(q.v.avail->ring[1]), 2);
	assert_false(virtqueue_show(&q.v)); /* nothing new */
	free(q.memory);
}

static void a_device_that_is_awake_is_not_told(void **state)
{
	struct queue q = make(SIZE);

	(void)state;
	q.v.used->flags = hba_le16_of(VIRTQ_USED_NO_NOTIFY);
	virtqueue_offer(&q.v, 1);
	assert_false(virtqueue_show(&q.v));
	assert_int_equal(hba_get16(q.v.avail->index), 1);
	free(q.memory);
}

/* Indices run over 16 bits, rings over their size. */
static void indices_wrap(void **state)
{
	struct queue q = make(SIZE);
	uint32_t head = 0, length = 0;

	(void)state;
	for (unsigned i = 0; i < 3 * 65536; i++) {
		uint16_t mine = (uint16_t)(i % SIZE);

		virtqueue_offer(&q.v, mine);
		assert_true(virtqueue_show(&q.v));
		assert_int_equal(virtqueue_has_used(&q.v), 0);
		assert_int_equal(virtqueue_take(&q.v, &head, &length), 0);
		give_back(&q, hba_get16(q.v.avail->ring[i % SIZE]), i);
		assert_int_equal(virtqueue_has_used(&q.v), 1);
		assert_int_equal(virtqueue_take(&q.v, &head, &length), 1);
		assert_int_equal(head, mine);
		assert_int_equal(length, i);
	}
	free(q.memory);
}

static void an_index_beyond_the_ring_gives_nothing(void **state)
{
	struct queue q = make(SIZE);
	uint32_t head = 77, length = 78;

	(void)state;
	for (unsigned jump = SIZE + 1; jump <= UINT16_MAX; jump++) {
		q.v.used->index = hba_le16_of((uint16_t)jump);
		assert_int_equal(virtqueue_has_used(&q.v), -EPROTO);
		assert_int_equal(virtqueue_take(&q.v, &head, &length), -EPROTO);
	}
	assert_int_equal(head, 77);
	q.v.used->index = hba_le16_of(SIZE); /* a full ring is possible */
	for (unsigned i = 0; i < SIZE; i++)
		assert_int_equal(virtqueue_take(&q.v, &head, &length), 1);
	assert_int_equal(virtqueue_take(&q.v, &head, &length), 0);
	free(q.memory);
}

static void interrupts_are_asked_for_by_a_flag(void **state)
{
	struct queue q = make(SIZE);

	(void)state;
	virtqueue_interrupts(&q.v, false);
	assert_int_equal(hba_get16(q.v.avail->flags), VIRTQ_AVAIL_NO_INTERRUPT);
	virtqueue_interrupts(&q.v, true);
	assert_int_equal(hba_get16(q.v.avail->flags), 0);
	free(q.memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_do_not_overlap),
		cmocka_unit_test(nothing_is_seen_before_it_is_shown),
		cmocka_unit_test(a_device_that_is_awake_is_not_told),
		cmocka_unit_test(indices_wrap),
		cmocka_unit_test(an_index_beyond_the_ring_gives_nothing),
		cmocka_unit_test(interrupts_are_asked_for_by_a_flag),
	};

	return cmocka_run_group_tests_name("virtqueue", tests, NULL, NULL);
}
