/* SPDX-License-Identifier: MIT */
/*
 * vfio-memory.c: memory for a device behind VFIO: which addresses its IOMMU has, and what lies
 * there.
 *
 * A range that is mapped for the device is mapped here as well, for as long: VFIO pins what it
 * finds at an address. In physical mode memory is huge pages, each mapped where it lies, so that a
 * chip that goes past the IOMMU finds the same.
 */
#include "bus/vfio.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HUGE_BYTES = 2 << 20, TRIES = 3 };

#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_FRAME   ((UINT64_C(1) << 55) - 1)

/*
 * The range that type 1 has always allowed where the kernel reports none: 32 bits without the
 * window of interrupt messages.
 */
#define OLD_LAST UINT64_C(0xfedfffff)

struct vfio_map {
	struct list link;
	uint64_t iova;
	size_t length;
	void *address;
};

/* ---- the address space */

static int allow_ranges(struct hba_bus_device *d, const struct vfio_iommu_type1_info *info)
{
	const struct vfio_info_cap_header *h =
		info->flags & VFIO_IOMMU_INFO_CAPS
			? vfio_find_cap(info, info->argsz, info->cap_offset,
					VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE)
			: NULL;
	const struct vfio_iommu_type1_info_cap_iova_range *ranges = (const void *)h;
	size_t room = h ? info->argsz - (size_t)((const uint8_t *)h - (const uint8_t *)info) : 0;
	int r = 0;

	if (!h)
		return iova_space_allow(&d->space, 0, OLD_LAST);
	if (room < sizeof(*ranges) ||
	    (room - sizeof(*ranges)) / sizeof(ranges->iova_ranges[0]) < ranges->nr_iovas)
		return -EPROTO;
	for (uint32_t i = 0; i < ranges->nr_iovas && r == 0; i++)
		r = iova_space_allow(&d->space, ranges->iova_ranges[i].start,
				     ranges->iova_ranges[i].end);
	return r;
}

int vfio_learn_iommu(struct hba_bus_device *d)
{
	const struct vfio_iommu_type1_info head = { .argsz = sizeof(head) };
	const struct vfio_iommu_type1_info *info;
	autofree void *answer = NULL;
	int r = vfio_ask(d->container, VFIO_IOMMU_GET_INFO, &head, sizeof(head), &answer);

	if (r < 0)
		return r;
	info = answer;
	d->page_bytes = info->flags & VFIO_IOMMU_INFO_PGSIZES && info->iova_pgsizes
				? info->iova_pgsizes & -info->iova_pgsizes
				: VFIO_PAGE;
	if (d->page_bytes < VFIO_PAGE)
		d->page_bytes = VFIO_PAGE;
	return allow_ranges(d, info);
}

/* ---- memory of its own kind */

int vfio_use_physical(struct hba_bus_device *d, size_t *ret_bytes)
{
	d->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (d->pagemap < 0)
		return vfio_refuse(
			d, -errno,
			"physical addresses cannot be learned from /proc/self/pagemap: %s",
			strerror(errno));
	d->physical = true;
	*ret_bytes = HUGE_BYTES;
	return 0;
}

static int no_huge_page(struct hba_bus_device *d)
{
	return vfio_refuse(d, -ENOMEM,
			   "this chip reaches memory past the IOMMU, so its memory is huge pages, "
			   "and there is none left: "
			   "echo 32 > /proc/sys/vm/nr_hugepages");
}

/* Only physical mode needs memory of its own kind. */
int vfio_alloc_memory(struct hba_bus_device *d, size_t length, int *ret_fd, uint64_t *ret_offset)
{
	autoclose int fd = -1;

	d->why[0] = '\0';
	if (!d->physical)
		return -EOPNOTSUPP;
	fd = memfd_create("hbakit-huge",
			  MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | MFD_HUGE_2MB);
	if (fd < 0)
		return vfio_refuse(d, -errno, "this system has no huge pages of 2 MiB: %s",
				   strerror(errno));
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

	if (pread(d->pagemap, &entry, sizeof(entry),
		  (off_t)((uintptr_t)address / VFIO_PAGE * sizeof(entry))) !=
	    (ssize_t)sizeof(entry))
		return -EIO;
	if (!(entry & PAGEMAP_PRESENT))
		return -EIO;
	/* Without the capability the kernel writes 0 instead. */
	if (!(entry & PAGEMAP_FRAME))
		return vfio_refuse(d, -EPERM,
				   "this chip reaches memory past the IOMMU, and only "
				   "CAP_SYS_ADMIN learns physical addresses: run as root");
	*ret_physical = (entry & PAGEMAP_FRAME) * VFIO_PAGE;
	return 0;
}

/* ---- mapping */

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
		return vfio_refuse(
			d, -ENOMEM,
			"%zu KiB more cannot be locked for the device: raise the limit (ulimit -l)",
			m->length >> 10);
	return vfio_refuse(d, -errno, "the IOMMU does not map %zu KiB at %#llx: %s",
			   m->length >> 10, (unsigned long long)m->iova, strerror(errno));
}

static int unmap_dma(struct hba_bus_device *d, uint64_t iova, size_t length)
{
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap),
						    .iova = iova,
						    .size = length };

	if (ioctl(d->container, VFIO_IOMMU_UNMAP_DMA, &unmap) < 0)
		return -errno;
	return unmap.size == length ? 0 : -EIO;
}

static int map_translated(struct hba_bus_device *d, struct vfio_map *m, unsigned bits)
{
	/* Large pieces begin where the IOMMU can use large pages. */
	uint64_t alignment =
		m->length >= HUGE_BYTES && d->page_bytes < HUGE_BYTES ? HUGE_BYTES : d->page_bytes;
	int r = iova_take(&d->space, m->length, alignment, bits, &m->iova);

	if (r == -ENOSPC)
		return vfio_refuse(d, r, "the IOMMU has no room for %zu KiB below 2^%u",
				   m->length >> 10, bits);
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
		return vfio_refuse(d, -ENOSPC,
				   "a huge page lies at %#llx, and the chip reaches 2^%u",
				   (unsigned long long)m->iova, bits);
	r = iova_claim(&d->space, m->iova, m->length);
	if (r < 0)
		return vfio_refuse(d, r, "the IOMMU has no address %#llx, where a huge page lies",
				   (unsigned long long)m->iova);
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

static void free_map(struct vfio_map *m)
{
	list_remove(&m->link);
	munmap(m->address, m->length);
	free(m);
}

int vfio_map_memory(struct hba_bus_device *d, int fd, uint64_t offset, size_t length, unsigned bits,
		    struct hba_iova *ret_iova)
{
	struct vfio_map *m;
	void *address;
	int r;

	d->why[0] = '\0';
	if (!length || length % d->page_bytes)
		return vfio_refuse(d, -EINVAL, "%zu bytes are no whole pages of %llu", length,
				   (unsigned long long)d->page_bytes);
	address = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
		       (off_t)offset);
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

int vfio_unmap_memory(struct hba_bus_device *d, struct hba_iova iova, size_t length)
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

void vfio_free_maps(struct hba_bus_device *d)
{
	while (!list_is_empty(&d->maps))
		free_map(container_of(d->maps.next, struct vfio_map, link));
}
