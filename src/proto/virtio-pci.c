/* SPDX-License-Identifier: MIT */
/* virtio-pci.c: see virtio-pci.h. Sections named are those of VIRTIO 1.1. */
#include "proto/virtio-pci.h"

#include <errno.h>

/* Capabilities, 4.1.4. */
enum {
	PCI_STATUS = 0x06,
	PCI_STATUS_HAS_CAPABILITIES = 0x10,
	PCI_CAPABILITIES = 0x34,
	PCI_CAP_VENDOR = 0x09,
	PCI_CAP_MSIX = 0x11,
	MSIX_CONTROL = 2, /* PCI 3.0, 6.8.2.3 */
	MSIX_IS_ON = 0x8000,
	MOST_CAPABILITIES = 48, /* more do not fit into 192 bytes: a longer chain is a circle */
	CAP_NEXT = 1,
	CAP_TYPE = 3,
	CAP_BAR = 4,
	CAP_OFFSET = 8,
	CAP_LENGTH = 12,
	CAP_NOTIFY_MULTIPLIER = 16,
	LAST_BAR = 5,
	DOORBELL_BYTES = 2,
};

enum cap_type { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4 };

/* The common structure, 4.1.4.3. */
enum common {
	DEVICE_FEATURE_SELECT = 0,
	DEVICE_FEATURE = 4,
	DRIVER_FEATURE_SELECT = 8,
	DRIVER_FEATURE = 12,
	MSIX_CONFIG = 16,
	DEVICE_STATUS = 20,
	QUEUE_SELECT = 22,
	QUEUE_SIZE = 24,
	QUEUE_VECTOR = 26,
	QUEUE_ENABLE = 28,
	QUEUE_NOTIFY_OFFSET = 30,
	QUEUE_DESC = 32,
	QUEUE_DRIVER = 40,
	QUEUE_DEVICE = 48,
	COMMON_BYTES = 56,
};

/* 2.1 */
enum status { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8 };

/*
 * The value of a read that no device answers. As a status it is impossible: two of its bits are
 * reserved.
 */
enum { NOBODY_8 = 0xff, NOBODY_16 = 0xffff };

enum { RESET_MS = 5000 };

static uint32_t get(const struct virtio_pci *v, uint32_t offset, unsigned width)
{
	return (uint32_t)hba_bar_read(&v->common.bar, v->common.offset + offset, width);
}

static void virtio_pci_put(const struct virtio_pci *v, uint32_t offset, uint32_t value,
			   unsigned width)
{
	hba_bar_write(&v->common.bar, v->common.offset + offset, value, width);
}

static void put64(const struct virtio_pci *v, uint32_t offset, uint64_t value)
{
	/* 4.1.3.1: as two halves. */
	virtio_pci_put(v, offset, (uint32_t)value, 4);
	virtio_pci_put(v, offset + 4, (uint32_t)(value >> 32), 4);
}

/* ---- capabilities */

/* 1: taken; 0: not to be used. */
static int take_region(struct hba_controller *c, unsigned at, uint32_t least,
		       struct virtio_region *region)
{
	struct virtio_region r = {
		.offset = hba_config_read(c, at + CAP_OFFSET, 4),
		.length = hba_config_read(c, at + CAP_LENGTH, 4),
	};
	uint32_t bar = hba_config_read(c, at + CAP_BAR, 1);
	int error;

	/* The first of a kind is the one to use; a reserved BAR number is skipped (4.1.4.1). */
	if (region->length || bar > LAST_BAR)
		return 0;
	error = hba_bar_map(c, bar, &r.bar);
	if (error < 0 && error != -ENOENT)
		return error;
	if (error < 0 || r.length < least || r.offset > r.bar.length ||
	    r.length > r.bar.length - r.offset)
		return hba_fail(c, -EIO,
				"the virtio structure at %#x in config space lies outside of its "
				"BAR %u, or is too short",
				at, bar);
	*region = r;
	return 1;
}

static int take_notify(struct hba_controller *c, struct virtio_pci *v, unsigned at)
{
	int r = take_region(c, at, DOORBELL_BYTES, &v->notify);

	if (r > 0)
		v->notify_multiplier = hba_config_read(c, at + CAP_NOTIFY_MULTIPLIER, 4);
	return r;
}

static int take_capability(struct hba_controller *c, struct virtio_pci *v, unsigned at)
{
	switch (hba_config_read(c, at + CAP_TYPE, 1)) {
	case CAP_COMMON:
		return take_region(c, at, COMMON_BYTES, &v->common);
	case CAP_NOTIFY:
		return take_notify(c, v, at);
	case CAP_ISR:
		return take_region(c, at, 1, &v->isr);
	case CAP_DEVICE:
		return take_region(c, at, 4, &v->device);
	default:
		return 0;
	}
}

int virtio_pci_find(struct hba_controller *c, struct virtio_pci *v)
{
	unsigned at = hba_config_read(c, PCI_CAPABILITIES, 1) & ~3U;
	uint32_t status = hba_config_read(c, PCI_STATUS, 2);
	int r = 0;

	if (status == NOBODY_16)
		return hba_fail(c, -ENODEV,
				"no device answers at all: its config space reads as all ones");
	if (!(status & PCI_STATUS_HAS_CAPABILITIES))
		return -ENOENT;
	for (unsigned n = 0; at && n < MOST_CAPABILITIES && r >= 0; n++) {
		uint32_t id = hba_config_read(c, at, 1);

		if (id == PCI_CAP_VENDOR)
			r = take_capability(c, v, at);
		else if (id == PCI_CAP_MSIX)
			v->msix = at;
		at = hba_config_read(c, at + CAP_NEXT, 1) & ~3U;
	}
	if (r < 0)
		return r;
	return v->common.length && v->notify.length && v->device.length ? 0 : -ENOENT;
}

/* ---- status */

static bool has_answered(struct hba_controller *c, void *arg)
{
	uint32_t status = get(arg, DEVICE_STATUS, 1);

	(void)c;
	return status == 0 || status == NOBODY_8;
}

int virtio_pci_reset(struct hba_controller *c, struct virtio_pci *v)
{
	int r;

	virtio_pci_put(v, DEVICE_STATUS, 0, 1);
	r = hba_wait_for(c, has_answered, v, RESET_MS);
	if (r == -ETIMEDOUT)
		return hba_fail(c, r, "the device does not end its reset within %d ms", RESET_MS);
	if (r == 0 && get(v, DEVICE_STATUS, 1) == NOBODY_8)
		return hba_fail(c, -ENODEV,
				"no device answers any more: its registers read as all ones");
	return r;
}

static uint64_t offered(const struct virtio_pci *v)
{
	uint64_t low;

	virtio_pci_put(v, DEVICE_FEATURE_SELECT, 0, 4);
	low = get(v, DEVICE_FEATURE, 4);
	virtio_pci_put(v, DEVICE_FEATURE_SELECT, 1, 4);
	return (uint64_t)get(v, DEVICE_FEATURE, 4) << 32 | low;
}

int virtio_pci_negotiate(struct virtio_pci *v, uint64_t wanted)
{
	virtio_pci_put(v, DEVICE_STATUS, ACKNOWLEDGE, 1);
	virtio_pci_put(v, DEVICE_STATUS, ACKNOWLEDGE | DRIVER, 1);
	v->features = offered(v) & wanted;
	if (!(v->features & VIRTIO_F_VERSION_1))
		return -EOPNOTSUPP;
	virtio_pci_put(v, DRIVER_FEATURE_SELECT, 0, 4);
	virtio_pci_put(v, DRIVER_FEATURE, (uint32_t)v->features, 4);
	virtio_pci_put(v, DRIVER_FEATURE_SELECT, 1, 4);
	virtio_pci_put(v, DRIVER_FEATURE, (uint32_t)(v->features >> 32), 4);
	virtio_pci_put(v, DEVICE_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK, 1);
	return get(v, DEVICE_STATUS, 1) & FEATURES_OK ? 0 : -EOPNOTSUPP;
}

void virtio_pci_ready(struct virtio_pci *v)
{
	virtio_pci_put(v, DEVICE_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK, 1);
}

/* ---- queues */

uint16_t virtio_pci_queue_size(struct virtio_pci *v, uint16_t index)
{
	uint32_t size;

	virtio_pci_put(v, QUEUE_SELECT, index, 2);
	size = get(v, QUEUE_SIZE, 2);
	/* All ones is a device that is gone; a size is a power of two. */
	return size > VIRTQ_MOST || (size & (size - 1)) ? 0 : (uint16_t)size;
}

int virtio_pci_queue_enable(struct virtio_pci *v, uint16_t index, const struct virtqueue *q,
			    uint16_t vector, uint64_t *ret_doorbell)
{
	uint64_t doorbell;

	virtio_pci_put(v, QUEUE_SELECT, index, 2);
	virtio_pci_put(v, QUEUE_SIZE, q->size, 2);
	virtio_pci_put(v, QUEUE_VECTOR, vector, 2);
	if (get(v, QUEUE_VECTOR, 2) != vector)
		return -ENOSPC;
	put64(v, QUEUE_DESC, q->desc_iova.bus);
	put64(v, QUEUE_DRIVER, q->avail_iova.bus);
	put64(v, QUEUE_DEVICE, q->used_iova.bus);
	doorbell = (uint64_t)get(v, QUEUE_NOTIFY_OFFSET, 2) * v->notify_multiplier;
	/* One between two registers would be dropped without a word. */
	if (doorbell > v->notify.length - DOORBELL_BYTES ||
	    (v->notify.offset + doorbell) % DOORBELL_BYTES)
		return -EIO;
	virtio_pci_put(v, QUEUE_ENABLE, 1, 2);
	*ret_doorbell = v->notify.offset + doorbell;
	return 0;
}

/* 4.1.4.5 */
bool virtio_pci_has_line(struct hba_controller *c, const struct virtio_pci *v)
{
	return v->isr.length &&
	       !(v->msix && hba_config_read(c, v->msix + MSIX_CONTROL, 2) & MSIX_IS_ON);
}

void virtio_pci_lower_line(const struct virtio_pci *v)
{
	/* Reading it is what lowers it. */
	(void)hba_bar_read(&v->isr.bar, v->isr.offset, 1);
}

void virtio_pci_notify(const struct virtio_pci *v, uint64_t doorbell, uint16_t index)
{
	hba_bar_write16(&v->notify.bar, doorbell, index);
}

uint32_t virtio_pci_config_read(const struct virtio_pci *v, uint32_t offset, unsigned width)
{
	if (offset > v->device.length || width > v->device.length - offset)
		return UINT32_MAX;
	return (uint32_t)hba_bar_read(&v->device.bar, v->device.offset + offset, width);
}
