/* SPDX-License-Identifier: MIT */
/* virtqueue.c: see virtqueue.h. */
#include "proto/virtqueue.h"

#include "base/base.h"

#include <errno.h>

enum { EVENT_INDEX_BYTES = 2, USED_ALIGNMENT = 64 };

static size_t avail_at(uint16_t size)
{
	return size * sizeof(struct virtq_desc);
}

/* The device's part on cache lines of its own. */
static size_t used_at(uint16_t size)
{
	return round_up(avail_at(size) + sizeof(struct virtq_avail) + size * sizeof(hba_le16) +
				EVENT_INDEX_BYTES,
			USED_ALIGNMENT);
}

size_t virtqueue_bytes(uint16_t size)
{
	return used_at(size) + sizeof(struct virtq_used) + size * sizeof(struct virtq_used_item) +
	       EVENT_INDEX_BYTES;
}

void virtqueue_init(struct virtqueue *v, uint16_t size, void *memory, struct hba_iova iova)
{
	uint8_t *at = memory;

	*v = (struct virtqueue) {
		.size = size,
		.desc = memory,
		.avail = (void *)(at + avail_at(size)),
		.used = (void *)(at + used_at(size)),
		.desc_iova = iova,
		.avail_iova = hba_iova_at(iova, avail_at(size)),
		.used_iova = hba_iova_at(iova, used_at(size)),
	};
}

void virtqueue_offer(struct virtqueue *v, uint16_t head)
{
	v->avail->ring[v->offered++ & (v->size - 1)] = hba_le16_of(head);
}

bool virtqueue_show(struct virtqueue *v)
{
	if (v->shown == v->offered)
		return false;
	v->shown = v->offered;
	/* The descriptors and heads, then the index that shows them. */
	__atomic_store_n(&v->avail->index.raw, htole16(v->shown), __ATOMIC_RELEASE);
	/* The index, then a look whether the device sleeps: it does both the other way round. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return !(hba_get16(v->used->flags) & VIRTQ_USED_NO_NOTIFY);
}

int virtqueue_has_used(const struct virtqueue *v)
{
	/* The index, and with it the items that it shows. */
	uint16_t index = le16toh(__atomic_load_n(&v->used->index.raw, __ATOMIC_ACQUIRE)),
		 there = (uint16_t)(index - v->taken);

	return there > v->size ? -EPROTO : there > 0;
}

int virtqueue_take(struct virtqueue *v, uint32_t *ret_head, uint32_t *ret_length)
{
	struct virtq_used_item item;
	int r = virtqueue_has_used(v);

	if (r <= 0)
		return r;
	item = v->used->ring[v->taken++ & (v->size - 1)];
	*ret_head = hba_get32(item.head);
	*ret_length = hba_get32(item.length);
	return 1;
}

void virtqueue_interrupts(struct virtqueue *v, bool on)
{
	v->avail->flags = hba_le16_of((uint16_t)(on ? 0 : VIRTQ_AVAIL_NO_INTERRUPT));
	/* The flag, then a look for work: arm and look. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
