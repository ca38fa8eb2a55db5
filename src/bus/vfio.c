/* SPDX-License-Identifier: MIT */
/*
 * vfio.c: a PCI function by Linux's VFIO, type 1: pci:0000:03:00.0. Each device has a container of
 * its own.
 *
 *	/dev/vfio/vfio     the container: an IOMMU's address space, which we fill     vfio-memory.c
 *	/dev/vfio/GROUP    what the IOMMU can tell from others, which may be more than one function
 *	the device         its regions (config space, BARs) and its reset             vfio-regions.c
 *	                   its vectors and its events, as eventfds                    vfio-irq.c
 *
 * iommufd and VFIO's no-IOMMU mode are not used.
 */
#include "bus/vfio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PATH_BYTES = 64, RESET_MS = 5000, RESET_STEP_MS = 50, USEC_PER_MS = 1000 };

/* ---- which chip */

static int vfio_look(const char *path, struct pci_function *ret_function,
		     char why[HBA_BUS_WHY_BYTES])
{
	char address[PCI_ADDRESS_BYTES];
	int r = pci_address_parse(path, address);

	if (r < 0) {
		snprintf(why, HBA_BUS_WHY_BYTES,
			 "'%.40s' is no PCI address: pci:0000:03:00.0 is one; `hbakit pci' lists "
			 "them",
			 path);
		return r;
	}
	r = pci_function_read("", address, ret_function);
	if (r < 0)
		snprintf(why, HBA_BUS_WHY_BYTES,
			 "there is no PCI device %s; `hbakit pci' lists the adapters", address);
	return r;
}

static int vfio_identify(const char *path, const char *query, struct hba_bus_info *ret_info,
			 char why[HBA_BUS_WHY_BYTES])
{
	struct pci_function f;
	int r = vfio_look(path, &f, why);

	(void)query;
	if (r == 0)
		*ret_info = (struct hba_bus_info) { .vendor = f.vendor,
						    .device = f.device,
						    .subvendor = f.subvendor,
						    .subdevice = f.subdevice };
	return r;
}

/* Obstacles that make VFIO refuse; a low memlock limit is reported when memory is mapped. */
static int check_obstacles(struct hba_bus_device *d)
{
	for (enum pci_obstacle o = PCI_NO_IOMMU; o < PCI_LOW_MEMLOCK; o++)
		if (pci_obstacle_why("", &d->function, o, d->why))
			return o == PCI_NO_PERMISSION             ? -EACCES
			       : o == PCI_BUSY || o == PCI_SHARED ? -EBUSY
								  : -ENODEV;
	return 0;
}

/* ---- container and group */

static int open_group(struct hba_bus_device *d)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "/dev/vfio/%d", d->function.group);
	d->group = open(path, O_RDWR | O_CLOEXEC);
	if (d->group < 0 && errno == EBUSY)
		return vfio_refuse(d, -EBUSY,
				   "%s is open in another process: a device has one user at a time",
				   path);
	if (d->group < 0)
		return vfio_refuse(d, -errno, "%s: %s", path, strerror(errno));
	if (ioctl(d->group, VFIO_GROUP_GET_STATUS, &status) < 0)
		return -errno;
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		return vfio_refuse(
			d, -EBUSY,
			"IOMMU group %d is not viable: the kernel still drives a device in it",
			d->function.group);
	return 0;
}

static int open_container(struct hba_bus_device *d)
{
	d->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (d->container < 0)
		return vfio_refuse(d, -errno, "/dev/vfio/vfio: %s", strerror(errno));
	if (ioctl(d->container, VFIO_GET_API_VERSION) != VFIO_API_VERSION ||
	    ioctl(d->container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) <= 0)
		return vfio_refuse(
			d, -EOPNOTSUPP,
			"this kernel's VFIO has no type 1 IOMMU: modprobe vfio_iommu_type1");
	if (ioctl(d->group, VFIO_GROUP_SET_CONTAINER, &d->container) < 0)
		return vfio_refuse(d, -errno, "IOMMU group %d cannot be used: %s",
				   d->function.group, strerror(errno));
	if (ioctl(d->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0)
		return vfio_refuse(d, -errno, "the IOMMU refuses group %d: %s%s", d->function.group,
				   strerror(errno),
				   errno == EPERM ? "; without interrupt remapping it takes "
						    "vfio_iommu_type1.allow_unsafe_interrupts=1"
						  : "");
	return vfio_learn_iommu(d);
}

/* ---- open and close */

/* While the system resets it, as after an error that it reported, there is none to be had. */
static int get_device(struct hba_bus_device *d)
{
	for (unsigned ms = 0;; ms += RESET_STEP_MS) {
		d->device = ioctl(d->group, VFIO_GROUP_GET_DEVICE_FD, d->function.address);
		if (d->device >= 0)
			return 0;
		if (errno != EAGAIN || ms >= RESET_MS)
			return vfio_refuse(d, -errno, "VFIO does not open %s: %s",
					   d->function.address, strerror(errno));
		usleep(RESET_STEP_MS * USEC_PER_MS);
	}
}

static int open_device(struct hba_bus_device *d, const char *query)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	int r = get_device(d);

	if (r < 0)
		return r;
	if (fcntl(d->device, F_SETFD, FD_CLOEXEC) < 0 ||
	    ioctl(d->device, VFIO_DEVICE_GET_INFO, &info) < 0)
		return -errno;
	d->flags = info.flags;
	r = vfio_learn_regions(d);
	if (r == 0)
		r = vfio_set_command(d, PCI_COMMAND_MASTER, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
	if (r == 0)
		r = vfio_watch_events(d);
	if (r == 0)
		r = vfio_choose_interrupts(d, query);
	return r;
}

static void vfio_describe(const struct hba_bus_device *d, struct hba_bus_info *info)
{
	*info = (struct hba_bus_info) {
		.vendor = d->function.vendor,
		.device = d->function.device,
		.subvendor = d->function.subvendor,
		.subdevice = d->function.subdevice,
		.facts = HBA_BUS_FOREIGN_MEMORY |
			 (d->interrupt != VFIO_PCI_INTX_IRQ_INDEX ? HBA_BUS_MSI : 0),
		.vectors = d->n_vectors,
		.page_bytes = (uint32_t)d->page_bytes,
	};
	for (unsigned i = 0; i < PCI_BARS; i++)
		info->bar_length[i] = d->bars[i].length;
}

static void vfio_close(struct hba_bus_device *d)
{
	vfio_unmap_bars(d);
	cleanup_close(&d->device);
	/*
	 * With the group and the container goes what was mapped for the device; only then may it go
	 * here.
	 */
	cleanup_close(&d->group);
	cleanup_close(&d->container);
	vfio_free_maps(d);
	vfio_close_irqs(d);
	cleanup_close(&d->pagemap);
	iova_space_free(&d->space);
	free(d);
}

static struct hba_bus_device *device_new(void)
{
	struct hba_bus_device *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->container = d->group = d->device = d->pagemap = d->events = d->error_fd = d->request_fd =
		-1;
	for (unsigned i = 0; i < VFIO_MOST_VECTORS; i++)
		d->vectors[i] = -1;
	d->interrupt = VFIO_PCI_INTX_IRQ_INDEX;
	list_init(&d->maps);
	return d;
}

static int vfio_open(const char *path, const char *query, struct hba_bus_info *ret_info,
		     char why[HBA_BUS_WHY_BYTES], struct hba_bus_device **ret_device)
{
	struct hba_bus_device *d = device_new();
	int r;

	if (!d)
		return -ENOMEM;
	r = vfio_look(path, &d->function, d->why);
	if (r == 0)
		r = check_obstacles(d);
	if (r == 0)
		r = open_group(d);
	if (r == 0)
		r = open_container(d);
	if (r == 0)
		r = open_device(d, query);
	if (r < 0) {
		snprintf(why, HBA_BUS_WHY_BYTES, "%s", d->why);
		vfio_close(d);
		return r;
	}
	vfio_describe(d, ret_info);
	*ret_device = d;
	return 0;
}

static const char *vfio_why(const struct hba_bus_device *d)
{
	return d->why[0] ? d->why : NULL;
}

static const struct hba_option vfio_options[] = {
	{ "irq", "auto",
	  "interrupts: auto (the best there are), msix, msi, intx, or none (polled)" },
	{ 0 },
};

const struct hba_bus bus_vfio = {
	HBA_BUS_HEADER,
	.name = "pci",
	.summary = "an adapter of this machine, by VFIO",
	.options = vfio_options,
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
