/* SPDX-License-Identifier: MIT */
/*
 * vfio-info.c: answers of the kernel: an info with its chain of capabilities, whose length only the
 * kernel has; a refusal as a sentence.
 */
#include "bus/vfio.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

enum { CAP_CHAIN_MOST = 32 };

int vfio_refuse(struct hba_bus_device *d, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(d->why, sizeof(d->why), format, args);
	va_end(args);
	return error;
}

int vfio_ask(int fd, unsigned long request, const void *head, uint32_t head_bytes, void **ret_info)
{
	autofree void *info = NULL;
	uint32_t size, needed = head_bytes;

	/* The first answer has the length of the whole. */
	do {
		size = needed;
		free(info);
		info = calloc(1, size);
		if (!info)
			return -ENOMEM;
		memcpy(info, head, head_bytes);
		memcpy(info, &size, sizeof(size));
		if (ioctl(fd, request, info) < 0)
			return -errno;
		memcpy(&needed, info, sizeof(needed));
	} while (needed > size && size == head_bytes);
	if (needed > size)
		return -EPROTO;
	*ret_info = info;
	info = NULL;
	return 0;
}

const struct vfio_info_cap_header *vfio_find_cap(const void *info, size_t size, uint32_t first,
						 uint16_t id)
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
