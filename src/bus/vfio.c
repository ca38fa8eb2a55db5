/* SPDX-License-Identifier: MIT */
/*
 * vfio.c: a PCI function by Linux's VFIO, type 1: pci:0000:03:00.0. Each device has a container of its own.
 *
 *	/dev/vfio/vfio     the container: an IOMMU's address space, which we fill (iova.c)
 *	/dev/vfio/GROUP    what the IOMMU can tell from others, which may be more than one function
 *	the device         its regions (config space, BARs), its vectors as eventfds, its reset
 *
 * A range that is mapped for the device is mapped here as well, for as long: VFIO pins what it finds at an address. In physical
 * mode memory is huge pages, each mapped where it lies, so that a chip that goes past the IOMMU finds the same.
 *
 * iommufd and VFIO's no-IOMMU mode are not used.
 */
#include "bus/bus.h"

#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
	PATH_BYTES = 64,
	MOST_VECTORS = 64,
	PAGE = 4096,
	HUGE_BYTES = 2 << 20,
	TRIES = 3,
	CAP_ID_PCIE = 0x10,
	MOST_CAPABILITIES = 48, /* more do not fit into 192 bytes: a longer chain is a circle */
	STATUS_HAS_CAPABILITIES = 0x10,
	PCIE_DEVICE_STATUS = 0x0a, /* PCI Express 7.5.3.5 */
	TRANSACTIONS_PENDING = 0x20,
	PENDING_STEP_US = 1000,
	CAP_CHAIN_MOST = 32,
};

/* Documentation/admin-guide/mm/pagemap.rst */
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_FRAME   ((UINT64_C(1) << 55) - 1)

/* What type 1 has always allowed where the kernel cannot tell: 32 bits without the window of interrupt messages. */
#define OLD_LAST UINT64_C(0xfedfffff)

struct vfio_map {
	struct list link;
	uint64_t iova;
	size_t length;
	void *address;
};

struct vfio_bar {
	uint64_t offset, length;
	bool direct; /* all of it can be mapped */
	void *mem;
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
	int vectors[MOST_VECTORS];
	int events, error_fd, request_fd;
	char why[HBA_BUS_WHY_BYTES];
};

__attribute__((format(printf, 3, 4))) static int refuse(struct hba_bus_device *d, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(d->why, sizeof(d->why), format, args);
	va_end(args);
	return error;
}

/* ---- which chip */

static int look(const char *path, struct pci_function *ret_function, char why[HBA_BUS_WHY_BYTES])
{
	char address[PCI_ADDRESS_BYTES];
	int r = pci_address_parse(path, address);

	if (r < 0) {
		snprintf(why, HBA_BUS_WHY_BYTES, "'%.40s' is no PCI address: pci:0000:03:00.0 is one; `hbakit pci' lists them",
			 path);
		return r;
	}
	r = pci_function_read("", address, ret_function);
	if (r < 0)
		snprintf(why, HBA_BUS_WHY_BYTES, "there is no PCI device %s; `hbakit pci' lists the adapters", address);
	return r;
}

static int vfio_identify(const char *path, const char *query, struct hba_bus_info *ret_info, char why[HBA_BUS_WHY_BYTES])
{
	struct pci_function f;
	int r = look(path, &f, why);

	(void)query;
	if (r == 0)
		*ret_info = (struct hba_bus_info) {
			.vendor = f.vendor, .device = f.device, .subvendor = f.subvendor, .subdevice = f.subdevice
		};
	return r;
}

/* Those that make VFIO refuse at all; low memlock is told when it bites. */
static int check_obstacles(struct hba_bus_device *d)
{
	for (enum pci_obstacle o = PCI_NO_IOMMU; o < PCI_LOW_MEMLOCK; o++)
		if (pci_obstacle_why("", &d->function, o, d->why))
			return o == PCI_NO_PERMISSION ? -EACCES : o == PCI_BUSY || o == PCI_SHARED ? -EBUSY : -ENODEV;
	return 0;
}

/* ---- container and group */

/* The chain of capabilities behind an info; offsets are the kernel's, and checked all the same. */
static const struct vfio_info_cap_header *find_cap(const void *info, size_t size, uint32_t first, uint16_t id)
{
	const uint8_t *base = info;

	for (unsigned n = 0; first && n < CAP_CHAIN_MOST; n++) {
		const struct vfio_info_cap_header *h = (const void *)(base + first);

		if (first % sizeof(uint64_t) || first > size || size - first < sizeof(*h))
			return NULL;
		if (h->id == id)
			return h;
		first = h->next;
	}
	return NULL;
}

static int allow_ranges(struct hba_bus_device *d, const struct vfio_iommu_type1_info *info)
{
	const struct vfio_info_cap_header *h = info->flags & VFIO_IOMMU_INFO_CAPS ? find_cap(info, info->argsz, info->cap_offset,
											     VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE)
										  : NULL;
	const struct vfio_iommu_type1_info_cap_iova_range *ranges = (const void *)h;
	size_t room = h ? info->argsz - (size_t)((const uint8_t *)h - (const uint8_t *)info) : 0;
	int r = 0;

	if (!h)
		return iova_space_allow(&d->space, 0, OLD_LAST);
	if (room < sizeof(*ranges) || (room - sizeof(*ranges)) / sizeof(ranges->iova_ranges[0]) < ranges->nr_iovas)
		return -EPROTO;
	for (uint32_t i = 0; i < ranges->nr_iovas && r == 0; i++)
		r = iova_space_allow(&d->space, ranges->iova_ranges[i].start, ranges->iova_ranges[i].end);
	return r;
}

static int learn_iommu(struct hba_bus_device *d)
{
	struct vfio_iommu_type1_info head = { .argsz = sizeof(head) };
	autofree struct vfio_iommu_type1_info *info = NULL;
	uint32_t size;

	if (ioctl(d->container, VFIO_IOMMU_GET_INFO, &head) < 0)
		return -errno;
	size = head.argsz < sizeof(head) ? (uint32_t)sizeof(head) : head.argsz;
	info = calloc(1, size);
	if (!info)
		return -ENOMEM;
	info->argsz = size;
	if (ioctl(d->container, VFIO_IOMMU_GET_INFO, info) < 0)
		return -errno;
	if (info->argsz > size)
		return -EPROTO;
	d->page_bytes =
		info->flags & VFIO_IOMMU_INFO_PGSIZES && info->iova_pgsizes ? info->iova_pgsizes & -info->iova_pgsizes : PAGE;
	if (d->page_bytes < PAGE)
		d->page_bytes = PAGE;
	return allow_ranges(d, info);
}

static int open_group(struct hba_bus_device *d)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "/dev/vfio/%d", d->function.group);
	d->group = open(path, O_RDWR | O_CLOEXEC);
	if (d->group < 0 && errno == EBUSY)
		return refuse(d, -EBUSY, "%s is open in another process: a device has one user at a time", path);
	if (d->group < 0)
		return refuse(d, -errno, "%s: %s", path, strerror(errno));
	if (ioctl(d->group, VFIO_GROUP_GET_STATUS, &status) < 0)
		return -errno;
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		return refuse(d, -EBUSY, "IOMMU group %d is not viable: something in it is still driven by the kernel",
			      d->function.group);
	return 0;
}

static int open_container(struct hba_bus_device *d)
{
	d->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (d->container < 0)
		return refuse(d, -errno, "/dev/vfio/vfio: %s", strerror(errno));
	if (ioctl(d->container, VFIO_GET_API_VERSION) != VFIO_API_VERSION ||
	    ioctl(d->container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) <= 0)
		return refuse(d, -EOPNOTSUPP, "this kernel's VFIO has no type 1 IOMMU: modprobe vfio_iommu_type1");
	if (ioctl(d->group, VFIO_GROUP_SET_CONTAINER, &d->container) < 0)
		return refuse(d, -errno, "IOMMU group %d cannot be used: %s", d->function.group, strerror(errno));
	if (ioctl(d->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0)
		return refuse(d, -errno, "the IOMMU refuses group %d: %s%s", d->function.group, strerror(errno),
			      errno == EPERM ? "; without interrupt remapping it takes vfio_iommu_type1.allow_unsafe_interrupts=1"
					     : "");
	return learn_iommu(d);
}

/* ---- config space */

static int transfer(struct hba_bus_device *d, bool write, uint64_t at, void *data, unsigned width)
{
	ssize_t n = write ? pwrite(d->device, data, width, (off_t)at) : pread(d->device, data, width, (off_t)at);

	if (n == (ssize_t)width)
		return 0;
	return n < 0 && errno == ENODEV ? -ENODEV : -EIO;
}

static int vfio_config_read(struct hba_bus_device *d, unsigned offset, unsigned width, uint32_t *ret_value)
{
	uint32_t value = 0;
	int r;

	if (width > sizeof(value) || offset >= d->config_length || d->config_length - offset < width)
		return -EINVAL;
	r = transfer(d, false, d->config_offset + offset, &value, width);
	if (r == 0)
		*ret_value = HBA_LE(32, value);
	return r;
}

static int vfio_config_write(struct hba_bus_device *d, unsigned offset, unsigned width, uint32_t value)
{
	uint32_t raw = HBA_LE(32, value);

	if (width > sizeof(raw) || offset >= d->config_length || d->config_length - offset < width)
		return -EINVAL;
	return transfer(d, true, d->config_offset + offset, &raw, width);
}

static int set_command(struct hba_bus_device *d, uint32_t clear, uint32_t set)
{
	uint32_t command;
	int r = vfio_config_read(d, PCI_COMMAND, 2, &command);

	return r < 0 ? r : vfio_config_write(d, PCI_COMMAND, 2, (command & ~clear) | set);
}

/* ---- regions */

static int region_info(struct hba_bus_device *d, uint32_t index, struct vfio_region_info **ret_info)
{
	struct vfio_region_info head = { .argsz = sizeof(head), .index = index };
	autofree struct vfio_region_info *info = NULL;
	uint32_t size;

	if (ioctl(d->device, VFIO_DEVICE_GET_REGION_INFO, &head) < 0)
		return -errno;
	size = head.argsz < sizeof(head) ? (uint32_t)sizeof(head) : head.argsz;
	info = calloc(1, size);
	if (!info)
		return -ENOMEM;
	info->argsz = size;
	info->index = index;
	if (ioctl(d->device, VFIO_DEVICE_GET_REGION_INFO, info) < 0)
		return -errno;
	if (info->argsz > size)
		return -EPROTO;
	*ret_info = info;
	info = NULL;
	return 0;
}

/* A BAR with holes (an MSI-X table that an older kernel keeps to itself) goes the long way altogether: a token has no holes. */
static bool has_holes(const struct vfio_region_info *info)
{
	const struct vfio_info_cap_header *h =
		info->flags & VFIO_REGION_INFO_FLAG_CAPS
			? find_cap(info, info->argsz, info->cap_offset, VFIO_REGION_INFO_CAP_SPARSE_MMAP)
			: NULL;
	const struct vfio_region_info_cap_sparse_mmap *sparse = (const void *)h;
	size_t room = h ? info->argsz - (size_t)((const uint8_t *)h - (const uint8_t *)info) : 0;
	uint64_t covered = 0;

	if (!h)
		return false;
	if (room < sizeof(*sparse) || (room - sizeof(*sparse)) / sizeof(sparse->areas[0]) < sparse->nr_areas)
		return true;
	for (uint32_t i = 0; i < sparse->nr_areas; i++)
		if (sparse->areas[i].offset == covered)
			covered += sparse->areas[i].size;
	return covered < info->size;
}

static int learn_bar(struct hba_bus_device *d, unsigned i)
{
	autofree struct vfio_region_info *info = NULL;
	int r = region_info(d, VFIO_PCI_BAR0_REGION_INDEX + i, &info);

	if (r < 0)
		return r;
	d->bars[i] = (struct vfio_bar) {
		.offset = info->offset,
		.length = info->size,
		.direct = info->flags & VFIO_REGION_INFO_FLAG_MMAP && !has_holes(info),
	};
	return 0;
}

static int learn_regions(struct hba_bus_device *d)
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

static int vfio_bar_map(struct hba_bus_device *d, unsigned bar, volatile void **ret_mem)
{
	struct vfio_bar *b = &d->bars[bar];
	void *mem;

	if (b->direct && !b->mem) {
		mem = mmap(NULL, b->length, PROT_READ | PROT_WRITE, MAP_SHARED, d->device, (off_t)b->offset);
		b->mem = mem == MAP_FAILED ? NULL : mem;
	}
	/* What cannot be mapped is read and written. */
	if (b->mem)
		*ret_mem = b->mem;
	return 0;
}

static int vfio_bar_read(struct hba_bus_device *d, unsigned bar, uint64_t offset, unsigned width, uint64_t *ret_value)
{
	const struct vfio_bar *b = &d->bars[bar];
	const volatile uint8_t *at = (const volatile uint8_t *)b->mem + offset;
	uint64_t value = 0;
	int r = 0;

	/* A register is read at once, in its own width. */
	if (!b->mem)
		r = transfer(d, false, b->offset + offset, &value, width);
	else if (width == 1)
		value = *at;
	else if (width == 2)
		value = *(const volatile uint16_t *)(const volatile void *)at;
	else if (width == 4)
		value = *(const volatile uint32_t *)(const volatile void *)at;
	else
		value = *(const volatile uint64_t *)(const volatile void *)at;
	if (r == 0)
		*ret_value = HBA_LE(64, value);
	return r;
}

static int vfio_bar_write(struct hba_bus_device *d, unsigned bar, uint64_t offset, unsigned width, uint64_t value)
{
	const struct vfio_bar *b = &d->bars[bar];
	volatile uint8_t *at = (volatile uint8_t *)b->mem + offset;
	uint64_t raw = HBA_LE(64, value);

	if (!b->mem)
		return transfer(d, true, b->offset + offset, &raw, width);
	if (width == 1)
		*at = (uint8_t)raw;
	else if (width == 2)
		*(volatile uint16_t *)(volatile void *)at = (uint16_t)raw;
	else if (width == 4)
		*(volatile uint32_t *)(volatile void *)at = (uint32_t)raw;
	else
		*(volatile uint64_t *)(volatile void *)at = raw;
	return 0;
}

/* ---- interrupts and events: each an eventfd */

static int set_irqs(struct hba_bus_device *d, uint32_t index, const int *fds, unsigned n)
{
	size_t size = sizeof(struct vfio_irq_set) + n * sizeof(int32_t);
	autofree struct vfio_irq_set *set = calloc(1, size);

	if (!set)
		return -ENOMEM;
	set->argsz = (uint32_t)size;
	set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	set->index = index;
	set->count = n;
	memcpy(set->data, fds, n * sizeof(int32_t));
	return ioctl(d->device, VFIO_DEVICE_SET_IRQS, set) < 0 ? -errno : 0;
}

static int new_eventfd(int *ret_fd)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static int enable_vectors(struct hba_bus_device *d, uint32_t index)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = index };
	unsigned n;
	int r = 0;

	if (ioctl(d->device, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0 || !info.count || !(info.flags & VFIO_IRQ_INFO_EVENTFD))
		return -ENOENT;
	for (n = 0; n < info.count && n < MOST_VECTORS && r == 0; n++)
		if (d->vectors[n] < 0)
			r = new_eventfd(&d->vectors[n]);
	if (r == 0)
		r = set_irqs(d, index, d->vectors, n);
	if (r < 0)
		return r;
	d->interrupt = index;
	d->n_vectors = n;
	return 0;
}

/* The best there is; without any the device is polled. */
static void choose_interrupts(struct hba_bus_device *d)
{
	static const uint32_t best_first[] = { VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_MSI_IRQ_INDEX, VFIO_PCI_INTX_IRQ_INDEX };

	for (size_t i = 0; i < ARRAY_SIZE(best_first); i++)
		if (enable_vectors(d, best_first[i]) == 0)
			return;
}

static int vfio_vector_fd(struct hba_bus_device *d, unsigned vector)
{
	return vector < d->n_vectors ? d->vectors[vector] : -1;
}

/* The kernel masks a line when it fires, since it cannot know how to quiet the chip. */
static void vfio_vector_served(struct hba_bus_device *d, unsigned vector)
{
	struct vfio_irq_set set = {
		.argsz = sizeof(set),
		.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK,
		.index = d->interrupt,
		.start = vector,
		.count = 1,
	};

	if (d->interrupt == VFIO_PCI_INTX_IRQ_INDEX)
		(void)ioctl(d->device, VFIO_DEVICE_SET_IRQS, &set);
}

/* One of VFIO's own: a device that has none is watched without it. */
static int watch_event(struct hba_bus_device *d, uint32_t index, int *ret_fd)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = index };
	struct epoll_event e = { .events = EPOLLIN };
	autoclose int fd = -1;
	int r;

	if (ioctl(d->device, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0 || !info.count)
		return 0;
	r = new_eventfd(&fd);
	if (r == 0)
		r = set_irqs(d, index, &fd, 1);
	if (r == 0 && epoll_ctl(d->events, EPOLL_CTL_ADD, fd, &e) < 0)
		r = -errno;
	if (r == 0)
		*ret_fd = steal_fd(&fd);
	return r;
}

static int watch_events(struct hba_bus_device *d)
{
	int r;

	d->events = epoll_create1(EPOLL_CLOEXEC);
	if (d->events < 0)
		return -errno;
	r = watch_event(d, VFIO_PCI_ERR_IRQ_INDEX, &d->error_fd);
	return r < 0 ? r : watch_event(d, VFIO_PCI_REQ_IRQ_INDEX, &d->request_fd);
}

static int vfio_event_fd(struct hba_bus_device *d)
{
	return d->events;
}

static bool take(int fd)
{
	uint64_t count;

	return fd >= 0 && read(fd, &count, sizeof(count)) == (ssize_t)sizeof(count);
}

static int vfio_take_event(struct hba_bus_device *d)
{
	if (take(d->error_fd))
		return -ENODEV;
	return take(d->request_fd);
}

/* ---- open and close */

static int open_device(struct hba_bus_device *d)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	int r;

	d->device = ioctl(d->group, VFIO_GROUP_GET_DEVICE_FD, d->function.address);
	if (d->device < 0)
		return refuse(d, -errno, "VFIO does not hand %s out: %s", d->function.address, strerror(errno));
	if (fcntl(d->device, F_SETFD, FD_CLOEXEC) < 0 || ioctl(d->device, VFIO_DEVICE_GET_INFO, &info) < 0)
		return -errno;
	d->flags = info.flags;
	r = learn_regions(d);
	if (r == 0)
		r = set_command(d, PCI_COMMAND_MASTER, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
	if (r == 0)
		r = watch_events(d);
	if (r == 0)
		choose_interrupts(d);
	return r;
}

static void describe(const struct hba_bus_device *d, struct hba_bus_info *info)
{
	*info = (struct hba_bus_info) {
		.vendor = d->function.vendor,
		.device = d->function.device,
		.subvendor = d->function.subvendor,
		.subdevice = d->function.subdevice,
		.facts = HBA_BUS_FOREIGN_MEMORY | (d->interrupt != VFIO_PCI_INTX_IRQ_INDEX ? HBA_BUS_MSI : 0),
		.vectors = d->n_vectors,
		.page_bytes = (uint32_t)d->page_bytes,
	};
	for (unsigned i = 0; i < PCI_BARS; i++)
		info->bar_length[i] = d->bars[i].length;
}

static void free_map(struct vfio_map *m)
{
	list_remove(&m->link);
	munmap(m->address, m->length);
	free(m);
}

static void vfio_close(struct hba_bus_device *d)
{
	for (unsigned i = 0; i < PCI_BARS; i++)
		if (d->bars[i].mem)
			munmap(d->bars[i].mem, d->bars[i].length);
	cleanup_close(&d->device);
	/* With the group and the container goes what was mapped for the device; only then may it go here. */
	cleanup_close(&d->group);
	cleanup_close(&d->container);
	while (!list_is_empty(&d->maps))
		free_map(container_of(d->maps.next, struct vfio_map, link));
	for (unsigned i = 0; i < MOST_VECTORS; i++)
		cleanup_close(&d->vectors[i]);
	cleanup_close(&d->error_fd);
	cleanup_close(&d->request_fd);
	cleanup_close(&d->events);
	cleanup_close(&d->pagemap);
	iova_space_free(&d->space);
	free(d);
}

static struct hba_bus_device *device_new(void)
{
	struct hba_bus_device *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->container = d->group = d->device = d->pagemap = d->events = d->error_fd = d->request_fd = -1;
	for (unsigned i = 0; i < MOST_VECTORS; i++)
		d->vectors[i] = -1;
	d->interrupt = VFIO_PCI_INTX_IRQ_INDEX;
	list_init(&d->maps);
	return d;
}

static int vfio_open(const char *path, const char *query, struct hba_bus_info *ret_info, char why[HBA_BUS_WHY_BYTES],
		     struct hba_bus_device **ret_device)
{
	struct hba_bus_device *d = device_new();
	int r;

	(void)query;
	if (!d)
		return -ENOMEM;
	r = look(path, &d->function, d->why);
	if (r == 0)
		r = check_obstacles(d);
	if (r == 0)
		r = open_group(d);
	if (r == 0)
		r = open_container(d);
	if (r == 0)
		r = open_device(d);
	if (r < 0) {
		snprintf(why, HBA_BUS_WHY_BYTES, "%s", d->why);
		vfio_close(d);
		return r;
	}
	describe(d, ret_info);
	*ret_device = d;
	return 0;
}

/* ---- memory */

static int vfio_use_physical(struct hba_bus_device *d, size_t *ret_bytes)
{
	d->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (d->pagemap < 0)
		return refuse(d, -errno, "physical addresses cannot be learned from /proc/self/pagemap: %s", strerror(errno));
	d->physical = true;
	*ret_bytes = HUGE_BYTES;
	return 0;
}

static int no_huge_page(struct hba_bus_device *d)
{
	return refuse(d, -ENOMEM,
		      "this chip reaches memory past the IOMMU, so its memory is huge pages, and there is none left: "
		      "echo 32 > /proc/sys/vm/nr_hugepages");
}

/* Only physical mode needs memory of its own kind. */
static int vfio_alloc_memory(struct hba_bus_device *d, size_t length, int *ret_fd, uint64_t *ret_offset)
{
	autoclose int fd = -1;

	d->why[0] = '\0';
	if (!d->physical)
		return -EOPNOTSUPP;
	fd = memfd_create("hbakit-huge", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | MFD_HUGE_2MB);
	if (fd < 0)
		return refuse(d, -errno, "this system has no huge pages of 2 MiB: %s", strerror(errno));
	/* It takes the page at once: a mapping of one that is not there would end in a signal. */
	if (ftruncate(fd, (off_t)length) < 0 || fallocate(fd, 0, 0, (off_t)length) < 0)
		return no_huge_page(d);
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return -errno;
	*ret_fd = steal_fd(&fd);
	*ret_offset = 0;
	return 0;
}

static int physical_of(struct hba_bus_device *d, const void *address, uint64_t *ret_physical)
{
	uint64_t entry = 0;

	if (pread(d->pagemap, &entry, sizeof(entry), (off_t)((uintptr_t)address / PAGE * sizeof(entry))) != (ssize_t)sizeof(entry))
		return -EIO;
	if (!(entry & PAGEMAP_PRESENT))
		return -EIO;
	/* Without the capability the kernel writes 0 instead. */
	if (!(entry & PAGEMAP_FRAME))
		return refuse(
			d, -EPERM,
			"this chip reaches memory past the IOMMU, and only CAP_SYS_ADMIN learns physical addresses: run as root");
	*ret_physical = (entry & PAGEMAP_FRAME) * PAGE;
	return 0;
}

static int map_dma(struct hba_bus_device *d, const struct vfio_map *m)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)m->address,
		.iova = m->iova,
		.size = m->length,
	};

	if (ioctl(d->container, VFIO_IOMMU_MAP_DMA, &map) == 0)
		return 0;
	if (errno == ENOMEM)
		return refuse(d, -ENOMEM, "%zu KiB more cannot be locked for the device: raise the limit (ulimit -l)",
			      m->length >> 10);
	return refuse(d, -errno, "the IOMMU does not map %zu KiB at %#llx: %s", m->length >> 10, (unsigned long long)m->iova,
		      strerror(errno));
}

static int unmap_dma(struct hba_bus_device *d, uint64_t iova, size_t length)
{
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap), .iova = iova, .size = length };

	if (ioctl(d->container, VFIO_IOMMU_UNMAP_DMA, &unmap) < 0)
		return -errno;
	return unmap.size == length ? 0 : -EIO;
}

static int map_translated(struct hba_bus_device *d, struct vfio_map *m, unsigned bits)
{
	/* Large pieces begin where the IOMMU can use large pages. */
	uint64_t alignment = m->length >= HUGE_BYTES && d->page_bytes < HUGE_BYTES ? HUGE_BYTES : d->page_bytes;
	int r = iova_take(&d->space, m->length, alignment, bits, &m->iova);

	if (r == -ENOSPC)
		return refuse(d, r, "the IOMMU has no room for %zu KiB below 2^%u", m->length >> 10, bits);
	if (r < 0)
		return r;
	r = map_dma(d, m);
	if (r < 0)
		iova_give_back(&d->space, m->iova);
	return r;
}

/* Until it is pinned a page may move; so it is looked up again when it is. */
static int map_physical_once(struct hba_bus_device *d, struct vfio_map *m, unsigned bits)
{
	uint64_t now = 0;
	int r = physical_of(d, m->address, &m->iova);

	if (r < 0)
		return r;
	if (bits < 64 && m->iova + m->length > UINT64_C(1) << bits)
		return refuse(d, -ENOSPC, "a huge page lies at %#llx, and the chip reaches 2^%u", (unsigned long long)m->iova,
			      bits);
	r = iova_claim(&d->space, m->iova, m->length);
	if (r < 0)
		return refuse(d, r, "the IOMMU has no address %#llx, where a huge page lies", (unsigned long long)m->iova);
	r = map_dma(d, m);
	if (r == 0) {
		r = physical_of(d, m->address, &now);
		if (r == 0 && now == m->iova)
			return 0;
		(void)unmap_dma(d, m->iova, m->length);
		r = r < 0 ? r : -EAGAIN;
	}
	iova_give_back(&d->space, m->iova);
	return r;
}

static int map_physical(struct hba_bus_device *d, struct vfio_map *m, unsigned bits)
{
	int r = -EAGAIN;

	if (m->length != HUGE_BYTES)
		return -EINVAL;
	for (unsigned n = 0; n < TRIES && r == -EAGAIN; n++)
		r = map_physical_once(d, m, bits);
	return r;
}

static int vfio_map_memory(struct hba_bus_device *d, int fd, uint64_t offset, size_t length, unsigned bits,
			   struct hba_iova *ret_iova)
{
	struct vfio_map *m;
	void *address;
	int r;

	d->why[0] = '\0';
	if (!length || length % d->page_bytes)
		return refuse(d, -EINVAL, "%zu bytes are no whole pages of %llu", length, (unsigned long long)d->page_bytes);
	address = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, (off_t)offset);
	if (address == MAP_FAILED)
		return -errno;
	m = malloc(sizeof(*m));
	if (!m) {
		munmap(address, length);
		return -ENOMEM;
	}
	*m = (struct vfio_map) { .length = length, .address = address };
	list_append(&d->maps, &m->link);
	r = d->physical ? map_physical(d, m, bits) : map_translated(d, m, bits);
	if (r < 0) {
		free_map(m);
		return r;
	}
	*ret_iova = (struct hba_iova) { m->iova };
	return 0;
}

static struct vfio_map *find_map(struct hba_bus_device *d, uint64_t iova)
{
	for (struct list *l = d->maps.next; l != &d->maps; l = l->next)
		if (container_of(l, struct vfio_map, link)->iova == iova)
			return container_of(l, struct vfio_map, link);
	return NULL;
}

static int vfio_unmap_memory(struct hba_bus_device *d, struct hba_iova iova, size_t length)
{
	struct vfio_map *m = find_map(d, iova.bus);
	int r;

	if (!m || m->length != length)
		return -EINVAL;
	r = unmap_dma(d, iova.bus, length);
	if (r < 0)
		return r;
	iova_give_back(&d->space, iova.bus);
	free_map(m);
	return 0;
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

/* Posted writes that left before the switch are in memory when this has been read: a read pushes them. */
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
			return refuse(d, -ETIMEDOUT, "the device's transactions do not end");
		usleep(PENDING_STEP_US);
	}
}

static int vfio_bus_master(struct hba_bus_device *d, bool on, unsigned ms)
{
	int r = on ? set_command(d, 0, PCI_COMMAND_MASTER) : set_command(d, PCI_COMMAND_MASTER, 0);

	return r < 0 || on ? r : await_transactions(d, ms);
}

static int vfio_reset(struct hba_bus_device *d, unsigned ms)
{
	(void)ms; /* the kernel has its own deadlines */
	if (!(d->flags & VFIO_DEVICE_FLAGS_RESET))
		return -EOPNOTSUPP;
	if (ioctl(d->device, VFIO_DEVICE_RESET) < 0)
		return -errno;
	/* The kernel puts config space back as it was, and with it perhaps bus master. */
	return set_command(d, PCI_COMMAND_MASTER, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
}

static const char *vfio_why(const struct hba_bus_device *d)
{
	return d->why[0] ? d->why : NULL;
}

const struct hba_bus bus_vfio = {
	HBA_BUS_HEADER,
	.name = "pci",
	.identify = vfio_identify,
	.open = vfio_open,
	.close = vfio_close,
	.config_read = vfio_config_read,
	.config_write = vfio_config_write,
	.bar_map = vfio_bar_map,
	.bar_read = vfio_bar_read,
	.bar_write = vfio_bar_write,
	.alloc_memory = vfio_alloc_memory,
	.map_memory = vfio_map_memory,
	.unmap_memory = vfio_unmap_memory,
	.vector_fd = vfio_vector_fd,
	.event_fd = vfio_event_fd,
	.bus_master = vfio_bus_master,
	.reset = vfio_reset,
	.use_physical = vfio_use_physical,
	.why = vfio_why,
	.take_event = vfio_take_event,
	.vector_served = vfio_vector_served,
};
