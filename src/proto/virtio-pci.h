/* SPDX-License-Identifier: MIT */
/*
 * virtio-pci.h: a virtio device on PCI (VIRTIO 1.1, 4.1): found by its capabilities, brought up by
 * its status, its queues made known.
 */
#ifndef PROTO_VIRTIO_PCI_H
#define PROTO_VIRTIO_PCI_H

#include "proto/virtqueue.h"

#include <hbakit/driver.h>

enum { VIRTIO_VENDOR = 0x1af4 };

/* Features of every device (6). */
#define VIRTIO_F_INDIRECT_DESC   (UINT64_C(1) << 28)
#define VIRTIO_F_VERSION_1       (UINT64_C(1) << 32)
#define VIRTIO_F_ACCESS_PLATFORM (UINT64_C(1) << 33)

/** struct virtio_region - One of the structures that capabilities point to. */
struct virtio_region {
	struct hba_bar bar;
	uint32_t offset, length;
};

/** struct virtio_pci - The device. Belongs to a controller; nothing to release. */
struct virtio_pci {
	struct virtio_region common, notify, device, isr; /* isr may be none */
	/* where in config space MSI-X is; 0: nowhere */
	unsigned msix;
	uint32_t notify_multiplier;
	uint64_t features; /* agreed */
};

/**
 * virtio_pci_find() - Walk the capabilities and map their structures. In initialize. -ENOENT: not a
 * modern virtio device; -EIO, -ENODEV: with hba_fail()'s sentence.
 */
int virtio_pci_find(struct hba_controller *c, struct virtio_pci *v);
/**
 * virtio_pci_reset() - Waits until the device has reset itself. -ETIMEDOUT, -ENODEV: with
 * hba_fail()'s sentence.
 */
int virtio_pci_reset(struct hba_controller *c, struct virtio_pci *v);
/**
 * virtio_pci_negotiate() - From reset to FEATURES_OK, with those of `features` that are offered.
 * -EOPNOTSUPP: it refused.
 */
int virtio_pci_negotiate(struct virtio_pci *v, uint64_t features);
/** virtio_pci_queue_size() - 0: there is no such queue. */
uint16_t virtio_pci_queue_size(struct virtio_pci *v, uint16_t index);
/**
 * virtio_pci_queue_enable() - Its vector (0xffff = none) and where it lies. -EIO: its doorbell lies
 * outside its structure.
 */
int virtio_pci_queue_enable(struct virtio_pci *v, uint16_t index, const struct virtqueue *q,
			    uint16_t vector, uint64_t *ret_doorbell);
/**
 * virtio_pci_has_line() - Interrupts come by a line, not by messages. Ask in start: the bus has
 * chosen by then.
 */
bool virtio_pci_has_line(struct hba_controller *c, const struct virtio_pci *v);
/**
 * virtio_pci_lower_line() - Acknowledge the line, by which the device reports used buffers. Hot.
 */
void virtio_pci_lower_line(const struct virtio_pci *v);
void virtio_pci_ready(struct virtio_pci *v);
void virtio_pci_notify(const struct virtio_pci *v, uint64_t doorbell, uint16_t index);
uint32_t virtio_pci_config_read(const struct virtio_pci *v, uint32_t offset, unsigned width);

#endif
