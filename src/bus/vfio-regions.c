/* SPDX-License-Identifier: MIT */
/*
 * vfio-regions.c: a device behind VFIO as a file: config space and BARs, each at an offset of its
 * own. With them go the two confirmations that memory is ours again: bus master off, and the
 * function's reset.
 */
#include "bus/vfio.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	CAP_ID_PCIE = 0x10,
	MOST_CAPABILITIES = 48, /* more do not fit into 192 bytes: a longer chain is a circle */
	STATUS_HAS_CAPABILITIES = 0x10,
	PCIE_DEVICE_STATUS = 0x0a, /* PCI Express 7.5.3.5 */
	TRANSACTIONS_PENDING = 0x20,
	PENDING_STEP_US = 1000,
};

/* ---- config space */

static int transfer(struct hba_bus_device *d, bool write, uint64_t at, void *data, unsigned width)
{
	ssize_t n = write ? pwrite(d->device, data, width, (off_t)at)
			  : pread(d->device, data, width, (off_t)at);

	if (n == (ssize_t)width)
		return 0;
	return n < 0 && errno == ENODEV ? -ENODEV : -EIO;
}

int vfio_config_read(struct hba_bus_device *d, unsigned offset, unsigned width, uint32_t *ret_value)
{
	uint32_t value = 0;
	int r;

	if (width > sizeof(value) || offset >= d->config_length ||
	    d->config_length - offset < width)
		return -EINVAL;
	r = transfer(d, false, d->config_offset + offset, &value, width);
	if (r == 0)
		*ret_value = HBA_LE(32, value);
	return r;
}

int vfio_config_write(struct hba_bus_device *d, unsigned offset, unsigned width, uint32_t value)
{
	uint32_t raw = HBA_LE(32, value);

	if (width > sizeof(raw) || offset >= d->config_length || d->config_length - offset < width)
		return -EINVAL;
	return transfer(d, true, d->config_offset + offset, &raw, width);
}

int vfio_set_command(struct hba_bus_device *d, uint32_t clear, uint32_t set)
{
	uint32_t command;
	int r = vfio_config_read(d, PCI_COMMAND, 2, &command);

	return r < 0 ? r : vfio_config_write(d, PCI_COMMAND, 2, (command & ~clear) | set);
}

/* ---- regions */

static int region_info(struct hba_bus_device *d, uint32_t index, struct vfio_region_info **ret_info)
{
	const struct vfio_region_info head = { .argsz = sizeof(head), .index = index };
	void *info;
	int r = vfio_ask(d->device, VFIO_DEVICE_GET_REGION_INFO, &head, sizeof(head), &info);

	if (r == 0)
		*ret_info = info;
	return r;
}

static void add_area(struct vfio_bar *b, uint64_t offset, uint64_t length)
{
	/*
	 * The kernel's data are checked all the same; an area that is left out is read and written
	 * instead.
	 */
	if (b->n_areas == VFIO_MOST_AREAS || !length || offset % VFIO_PAGE || length % VFIO_PAGE ||
	    offset > b->length || length > b->length - offset)
		return;
	b->areas[b->n_areas++] = (struct vfio_area) { .offset = offset, .length = length };
}

/*
 * A BAR may have holes: registers that the kernel keeps to itself, as older ones keep the page of
 * the MSI-X table.
 */
static int learn_areas(struct vfio_bar *b, const struct vfio_region_info *info)
{
	const struct vfio_info_cap_header *h =
		info->flags & VFIO_REGION_INFO_FLAG_CAPS
			? vfio_find_cap(info, info->argsz, info->cap_offset,
					VFIO_REGION_INFO_CAP_SPARSE_MMAP)
			: NULL;
	const struct vfio_region_info_cap_sparse_mmap *sparse = (const void *)h;
	size_t room = h ? info->argsz - (size_t)((const uint8_t *)h - (const uint8_t *)info) : 0;

	if (!(info->flags & VFIO_REGION_INFO_FLAG_MMAP))
		return 0;
	if (!h) {
		/* All of it, be it less than a page. */
		b->areas[b->n_areas++] = (struct vfio_area) { .length = b->length };
		return 0;
	}
	if (room < sizeof(*sparse) ||
	    (room - sizeof(*sparse)) / sizeof(sparse->areas[0]) < sparse->nr_areas)
		return -EPROTO;
	for (uint32_t i = 0; i < sparse->nr_areas; i++)
		add_area(b, sparse->areas[i].offset, sparse->areas[i].size);
	return 0;
}

static int learn_bar(struct hba_bus_device *d, unsigned i)
{
	autofree struct vfio_region_info *info = NULL;
	int r = region_info(d, VFIO_PCI_BAR0_REGION_INDEX + i, &info);

	if (r < 0)
		return r;
	d->bars[i] = (struct vfio_bar) { .offset = info->offset, .length = info->size };
	return learn_areas(&d->bars[i], info);
}

int vfio_learn_regions(struct hba_bus_device *d)
{
	autofree struct vfio_region_info *config = NULL;
	int r = region_info(d, VFIO_PCI_CONFIG_REGION_INDEX, &config);

	for (unsigned i = 0; i < PCI_BARS && r == 0; i++)
		r = learn_bar(d, i);
	if (r < 0)
		return r;
	d->config_offset = config->offset;
	d->config_length = config->size;
	return 0;
}

/* A token has no holes: only a BAR that is one area is given out whole. */
int vfio_bar_map(struct hba_bus_device *d, unsigned bar, volatile void **ret_mem)
{
	struct vfio_bar *b = &d->bars[bar];

	for (unsigned i = 0; i < b->n_areas; i++) {
		struct vfio_area *a = &b->areas[i];
		void *mem = a->mem ? a->mem
				   : mmap(NULL, a->length, PROT_READ | PROT_WRITE, MAP_SHARED,
					  d->device, (off_t)(b->offset + a->offset));

		/* An area that cannot be mapped is read and written. */
		a->mem = mem == MAP_FAILED ? NULL : mem;
	}
	if (b->n_areas == 1 && b->areas[0].length == b->length && b->areas[0].mem)
		*ret_mem = b->areas[0].mem;
	return 0;
}

/* NULL: the long way. */
static volatile void *register_at(const struct vfio_bar *b, uint64_t offset, unsigned width)
{
	for (unsigned i = 0; i < b->n_areas; i++) {
		const struct vfio_area *a = &b->areas[i];

		if (a->mem && offset >= a->offset && offset - a->offset < a->length &&
		    a->length - (offset - a->offset) >= width)
			return (volatile uint8_t *)a->mem + (offset - a->offset);
	}
	return NULL;
}

int vfio_bar_read(struct hba_bus_device *d, unsigned bar, uint64_t offset, unsigned width,
		  uint64_t *ret_value)
{
	const struct vfio_bar *b = &d->bars[bar];
	const volatile void *at = register_at(b, offset, width);
	uint64_t value = 0;
	int r = 0;

	/* A register is read at once, in its own width. */
	if (!at)
		r = transfer(d, false, b->offset + offset, &value, width);
	else if (width == 1)
		value = *(const volatile uint8_t *)at;
	else if (width == 2)
		value = HBA_LE(16, *(const volatile uint16_t *)at);
	else if (width == 4)
		value = HBA_LE(32, *(const volatile uint32_t *)at);
	else
		value = HBA_LE(64, *(const volatile uint64_t *)at);
	if (r == 0)
		*ret_value = at ? value : HBA_LE(64, value);
	return r;
}

int vfio_bar_write(struct hba_bus_device *d, unsigned bar, uint64_t offset, unsigned width,
		   uint64_t value)
{
	const struct vfio_bar *b = &d->bars[bar];
	volatile void *at = register_at(b, offset, width);
	uint64_t raw = HBA_LE(64, value);

	if (!at)
		return transfer(d, true, b->offset + offset, &raw, width);
	if (width == 1)
		*(volatile uint8_t *)at = (uint8_t)value;
	else if (width == 2)
		*(volatile uint16_t *)at = HBA_LE(16, (uint16_t)value);
	else if (width == 4)
		*(volatile uint32_t *)at = HBA_LE(32, (uint32_t)value);
	else
		*(volatile uint64_t *)at = raw;
	return 0;
}

void vfio_unmap_bars(struct hba_bus_device *d)
{
	for (unsigned i = 0; i < PCI_BARS; i++)
		for (unsigned n = 0; n < d->bars[i].n_areas; n++)
			if (d->bars[i].areas[n].mem)
				munmap(d->bars[i].areas[n].mem, d->bars[i].areas[n].length);
}

/* ---- the confirmations of last resort */

/* 0: the function has no PCI Express capability. */
static int find_pcie(struct hba_bus_device *d, unsigned *ret_at)
{
	uint32_t status, at = 0, id;
	int r = vfio_config_read(d, PCI_STATUS, 2, &status);

	if (r == 0 && status & STATUS_HAS_CAPABILITIES)
		r = vfio_config_read(d, PCI_CAPABILITIES, 1, &at);
	for (unsigned n = 0; r == 0 && at && n < MOST_CAPABILITIES; n++) {
		at &= ~3U;
		r = vfio_config_read(d, at, 1, &id);
		if (r == 0 && id == CAP_ID_PCIE) {
			*ret_at = at;
			return 0;
		}
		if (r == 0)
			r = vfio_config_read(d, at + 1, 1, &at);
	}
	*ret_at = 0;
	return r;
}

static uint64_t now_ms(void)
{
	return clock_monotonic.now(&clock_monotonic) / NS_PER_MS;
}

/*
 * Posted writes that left before the switch are in memory when this has been read: a read pushes
 * them.
 */
static int await_transactions(struct hba_bus_device *d, unsigned ms)
{
	uint64_t until = now_ms() + ms;
	uint32_t status = 0;
	unsigned pcie;
	int r = find_pcie(d, &pcie);

	if (r < 0 || !pcie)
		return r;
	for (;;) {
		r = vfio_config_read(d, pcie + PCIE_DEVICE_STATUS, 2, &status);
		if (r < 0 || !(status & TRANSACTIONS_PENDING))
			return r;
		if (now_ms() >= until)
			return vfio_refuse(d, -ETIMEDOUT, "the device's transactions do not end");
		usleep(PENDING_STEP_US);
	}
}

int vfio_bus_master(struct hba_bus_device *d, bool on, unsigned ms)
{
	int r = on ? vfio_set_command(d, 0, PCI_COMMAND_MASTER)
		   : vfio_set_command(d, PCI_COMMAND_MASTER, 0);

	return r < 0 || on ? r : await_transactions(d, ms);
}

int vfio_reset(struct hba_bus_device *d, unsigned ms)
{
	(void)ms; /* the kernel has its own deadlines */
	if (!(d->flags & VFIO_DEVICE_FLAGS_RESET))
		return -EOPNOTSUPP;
	if (ioctl(d->device, VFIO_DEVICE_RESET) < 0)
		return -errno;
	/* The kernel puts config space back as it was, and with it perhaps bus master. */
	return vfio_set_command(d, PCI_COMMAND_MASTER, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
}
