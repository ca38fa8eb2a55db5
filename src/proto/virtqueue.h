/* SPDX-License-Identifier: MIT */
/*
 * virtqueue.h: the split virtqueue of VIRTIO 1.1, section 2.6: layout and arithmetic. The meaning
 * of the entries is the driver's.
 *
 *	descriptors   size × 16     where data lie; ours to write
 *	available     6 + 2 × size  heads that we offer; ours
 *	used          6 + 8 × size  heads that came back; the device's
 *
 * Heads are not allocated: the user of a queue gives each of its tasks a descriptor for ever.
 */
#ifndef PROTO_VIRTQUEUE_H
#define PROTO_VIRTQUEUE_H

#include <assert.h>
#include <hbakit/bus.h>
#include <stdbool.h>

struct virtq_desc {
	hba_le64 address;
	hba_le32 length;
	hba_le16 flags;
#define VIRTQ_DESC_NEXT     0x1U
#define VIRTQ_DESC_WRITE    0x2U /* the device writes it */
#define VIRTQ_DESC_INDIRECT 0x4U /* it is a table of descriptors */
	hba_le16 next;
};
static_assert(sizeof(struct virtq_desc) == 16, "VIRTIO 1.1, 2.6.5");

struct virtq_avail {
	hba_le16 flags;
#define VIRTQ_AVAIL_NO_INTERRUPT 0x1U
	hba_le16 index, ring[];
};
static_assert(sizeof(struct virtq_avail) == 4, "VIRTIO 1.1, 2.6.6");

struct virtq_used_item {
	hba_le32 head, length;
};

struct virtq_used {
	hba_le16 flags;
#define VIRTQ_USED_NO_NOTIFY 0x1U
	hba_le16 index;
	struct virtq_used_item ring[];
};
static_assert(sizeof(struct virtq_used) == 4, "VIRTIO 1.1, 2.6.8");

enum { VIRTQ_MOST = 32768, VIRTQ_ALIGNMENT = 4096 };

/** struct virtqueue - One queue, in memory of the caller's. One thread. */
struct virtqueue {
	uint16_t size; /* power of two */
	uint16_t offered, shown, taken;
	struct virtq_desc *desc;
	struct virtq_avail *avail;
	struct virtq_used *used;
	struct hba_iova desc_iova, avail_iova, used_iova;
};

/** virtqueue_bytes() - Memory that a queue of `size` needs. */
size_t virtqueue_bytes(uint16_t size);
/** virtqueue_init() - Lay it out in zeroed memory, which begins on a page. */
void virtqueue_init(struct virtqueue *v, uint16_t size, void *memory, struct hba_iova iova);
/** virtqueue_offer() - Descriptor `head` is ready; the device sees it after virtqueue_show(). */
void virtqueue_offer(struct virtqueue *v, uint16_t head);
/** virtqueue_show() - All that was offered. true: the device must be notified. */
bool virtqueue_show(struct virtqueue *v);
/**
 * virtqueue_has_used() - 1: a head came back; 0: none; -EPROTO: the device's index jumps beyond the
 * ring, and is not followed.
 */
int virtqueue_has_used(const struct virtqueue *v);
/**
 * virtqueue_take() - The same, and takes it. Its number and length are the device's word: check
 * them.
 */
int virtqueue_take(struct virtqueue *v, uint32_t *ret_head, uint32_t *ret_length);
void virtqueue_interrupts(struct virtqueue *v, bool on);

#endif
