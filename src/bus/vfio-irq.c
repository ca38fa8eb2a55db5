/* SPDX-License-Identifier: MIT */
/*
 * vfio-irq.c: a device behind VFIO: its interrupts, its errors, and the kernel's request for it;
 * each an eventfd.
 */
#include "bus/vfio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { IRQ_OPTION_BYTES = 16 };

/* ---- interrupts */

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

	if (ioctl(d->device, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0 || !info.count ||
	    !(info.flags & VFIO_IRQ_INFO_EVENTFD))
		return -ENOENT;
	for (n = 0; n < info.count && n < VFIO_MOST_VECTORS && r == 0; n++)
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

static const struct interrupt_kind {
	const char *option;
	uint32_t index;
} best_first[] = {
	{ "msix", VFIO_PCI_MSIX_IRQ_INDEX },
	{ "msi", VFIO_PCI_MSI_IRQ_INDEX },
	{ "intx", VFIO_PCI_INTX_IRQ_INDEX },
};

static int no_such_kind(struct hba_bus_device *d, const char *wanted)
{
	return vfio_refuse(d, -EINVAL,
			   "irq=%s is no kind of interrupt: it is auto, msix, msi, intx or none",
			   wanted);
}

static int enable_wanted(struct hba_bus_device *d, const char *wanted)
{
	bool any = strcmp(wanted, "auto") == 0, known = any;

	for (size_t i = 0; i < ARRAY_SIZE(best_first); i++) {
		if (!any && strcmp(wanted, best_first[i].option) != 0)
			continue;
		known = true;
		if (enable_vectors(d, best_first[i].index) == 0)
			return 0;
	}
	if (!known)
		return no_such_kind(d, wanted);
	return any ? 0
		   : vfio_refuse(d, -ENOENT,
				 "irq=%s: %s offers none of these; without irq= the best there is "
				 "will be used",
				 wanted, d->function.address);
}

int vfio_choose_interrupts(struct hba_bus_device *d, const char *query)
{
	char wanted[IRQ_OPTION_BYTES] = "auto";
	int r = query_last(query, "irq", wanted, sizeof(wanted));

	if (r < 0)
		return no_such_kind(d, "…");
	return strcmp(wanted, "none") == 0 ? 0 : enable_wanted(d, wanted);
}

int vfio_vector_fd(struct hba_bus_device *d, unsigned vector)
{
	return vector < d->n_vectors ? d->vectors[vector] : -1;
}

/* The kernel masks a line when it fires, because it cannot quiet the chip itself. */
void vfio_vector_served(struct hba_bus_device *d, unsigned vector)
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

/* ---- events */

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

int vfio_watch_events(struct hba_bus_device *d)
{
	int r;

	d->events = epoll_create1(EPOLL_CLOEXEC);
	if (d->events < 0)
		return -errno;
	r = watch_event(d, VFIO_PCI_ERR_IRQ_INDEX, &d->error_fd);
	return r < 0 ? r : watch_event(d, VFIO_PCI_REQ_IRQ_INDEX, &d->request_fd);
}

int vfio_event_fd(struct hba_bus_device *d)
{
	return d->events;
}

static bool vfio_irq_take(int fd)
{
	uint64_t count;

	return fd >= 0 && read(fd, &count, sizeof(count)) == (ssize_t)sizeof(count);
}

int vfio_take_event(struct hba_bus_device *d)
{
	if (vfio_irq_take(d->error_fd))
		return vfio_refuse(d, -ENODEV,
				   "%s has reported an error that cannot be corrected (AER, see "
				   "dmesg); it is no longer used",
				   d->function.address);
	return vfio_irq_take(d->request_fd);
}

void vfio_close_irqs(struct hba_bus_device *d)
{
	for (unsigned i = 0; i < VFIO_MOST_VECTORS; i++)
		cleanup_close(&d->vectors[i]);
	cleanup_close(&d->error_fd);
	cleanup_close(&d->request_fd);
	cleanup_close(&d->events);
}
