/* SPDX-License-Identifier: MIT */
/*
 * vfio.h: a device behind VFIO, as the files of this back end share it. Nobody else includes it.
 */
#ifndef BUS_VFIO_H
#define BUS_VFIO_H

#include "bus/bus.h"

#include "base/base.h"

#include <linux/vfio.h>

enum { VFIO_MOST_VECTORS = 64, VFIO_PAGE = 4096, VFIO_MOST_AREAS = 8 };

/** struct vfio_area - A part of a BAR that the kernel lets be mapped. */
struct vfio_area {
	uint64_t offset, length;
	void *mem; /* NULL: not mapped yet, or it cannot be */
};

struct vfio_bar {
	uint64_t offset, length; /* in the device's file */
	struct vfio_area areas[VFIO_MOST_AREAS];
	unsigned n_areas;
};

struct hba_bus_device {
	struct pci_function function;
	int container, group, device, pagemap;
	struct vfio_bar bars[PCI_BARS];
	uint64_t config_offset, config_length;
	uint32_t flags; /* VFIO_DEVICE_FLAGS_* */
	uint64_t page_bytes;
	struct iova_space space;
	struct list maps;
	bool physical;
	uint32_t interrupt; /* VFIO_PCI_*_IRQ_INDEX */
	unsigned n_vectors;
	int vectors[VFIO_MOST_VECTORS];
	int events, error_fd, request_fd;
	char why[HBA_BUS_WHY_BYTES];
};

/* ---- vfio.c */

/** vfio_refuse() - Keep the sentence for hba_bus::why; returns `error`. */
__attribute__((format(printf, 3, 4))) int vfio_refuse(struct hba_bus_device *d, int error,
						      const char *format, ...);
/**
 * vfio_ask() - An info with its capabilities; `head`, which begins with its argsz, is the request.
 * Behind *ret_info, which is to be freed, lie argsz bytes, at least `head_bytes` of them. -EPROTO:
 * the kernel's length grows with each request.
 */
int vfio_ask(int fd, unsigned long request, const void *head, uint32_t head_bytes, void **ret_info);
/**
 * vfio_find_cap() - In the chain of capabilities behind an info. Offsets are the kernel's, and
 * checked all the same.
 */
const struct vfio_info_cap_header *vfio_find_cap(const void *info, size_t size, uint32_t first,
						 uint16_t id);

/* ---- vfio-memory.c: the IOMMU's address space, and what is mapped into it */

int vfio_learn_iommu(struct hba_bus_device *d);
int vfio_use_physical(struct hba_bus_device *d, size_t *ret_bytes);
int vfio_alloc_memory(struct hba_bus_device *d, size_t length, int *ret_fd, uint64_t *ret_offset);
int vfio_map_memory(struct hba_bus_device *d, int fd, uint64_t offset, size_t length, unsigned bits,
		    struct hba_iova *ret_iova);
int vfio_unmap_memory(struct hba_bus_device *d, struct hba_iova iova, size_t length);
/** vfio_free_maps() - Once the container is closed. */
void vfio_free_maps(struct hba_bus_device *d);

/* ---- vfio-regions.c: config space and BARs, and what is done by them: bus master, reset */

int vfio_learn_regions(struct hba_bus_device *d);
void vfio_unmap_bars(struct hba_bus_device *d);
int vfio_set_command(struct hba_bus_device *d, uint32_t clear, uint32_t set);
int vfio_config_read(struct hba_bus_device *d, unsigned offset, unsigned width,
		     uint32_t *ret_value);
int vfio_config_write(struct hba_bus_device *d, unsigned offset, unsigned width, uint32_t value);
int vfio_bar_map(struct hba_bus_device *d, unsigned bar, volatile void **ret_mem);
int vfio_bar_read(struct hba_bus_device *d, unsigned bar, uint64_t offset, unsigned width,
		  uint64_t *ret_value);
int vfio_bar_write(struct hba_bus_device *d, unsigned bar, uint64_t offset, unsigned width,
		   uint64_t value);
int vfio_bus_master(struct hba_bus_device *d, bool on, unsigned ms);
int vfio_reset(struct hba_bus_device *d, unsigned ms);

/* ---- vfio-irq.c: interrupts, and the device's own events */

int vfio_watch_events(struct hba_bus_device *d);
/**
 * vfio_choose_interrupts() - Those that the URI's irq= names, or the best there are; without any
 * the device is polled.
 */
int vfio_choose_interrupts(struct hba_bus_device *d, const char *query);
void vfio_close_irqs(struct hba_bus_device *d);
int vfio_vector_fd(struct hba_bus_device *d, unsigned vector);
void vfio_vector_served(struct hba_bus_device *d, unsigned vector);
int vfio_event_fd(struct hba_bus_device *d);
int vfio_take_event(struct hba_bus_device *d);

#endif
