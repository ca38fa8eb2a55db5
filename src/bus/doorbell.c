/* SPDX-License-Identifier: MIT */
/*
 * doorbell.c: the server for one of QEMU's ivshmem-doorbell devices, which turns a write to its
 * register into an eventfd of ours.
 *
 *	HBA ── message (MSI): a write of `vector` ──> doorbell register of the ivshmem device
 *	                                              ──> eventfd `vector` of peer 0: us
 *
 * The protocol (QEMU's docs/specs/ivshmem-spec.txt) is numbers of 64 bits over a socket, some with
 * a descriptor: version, the device's own number, our eventfds, the shared memory, which is not
 * used. All of it waits in the socket when QEMU starts.
 */
#include "bus/bus.h"

#include "base/base.h"
#include "base/endian.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { VERSION = 0, US = 0, DEVICE = 1, MEMORY = -1, MEMORY_BYTES = 4096, NO_FD = -1 };

static int send_number(int socket, int64_t number, int fd)
{
	uint64_t wire = htole64((uint64_t)number);
	struct iovec iov = { &wire, sizeof(wire) };
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd != NO_FD) {
		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
		control.header = (struct cmsghdr) { .cmsg_len = CMSG_LEN(sizeof(int)),
						    .cmsg_level = SOL_SOCKET,
						    .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	return sendmsg(socket, &m, MSG_NOSIGNAL) == sizeof(wire) ? 0 : -EIO;
}

static int send_all(struct doorbell *b)
{
	autoclose int memory = memfd_create("hbakit-doorbell", MFD_CLOEXEC);
	int r = memory < 0 || ftruncate(memory, MEMORY_BYTES) < 0
			? -errno
			: send_number(b->server, VERSION, NO_FD);

	if (r == 0)
		r = send_number(b->server, DEVICE, NO_FD);
	for (unsigned i = 0; i < DOORBELL_VECTORS && r == 0; i++)
		r = send_number(b->server, US, b->fds[i]);
	return r < 0 ? r : send_number(b->server, MEMORY, memory);
}

int doorbell_open(struct doorbell *b)
{
	int pair[2];

	for (unsigned i = 0; i < DOORBELL_VECTORS; i++) {
		b->fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (b->fds[i] < 0)
			return -errno;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	b->server = pair[0];
	b->device = pair[1];
	return send_all(b);
}

void doorbell_init(struct doorbell *b)
{
	for (unsigned i = 0; i < DOORBELL_VECTORS; i++)
		b->fds[i] = -1;
	b->server = b->device = -1;
}

void doorbell_close(struct doorbell *b)
{
	for (unsigned i = 0; i < DOORBELL_VECTORS; i++)
		cleanup_close(&b->fds[i]);
	cleanup_close(&b->server);
	cleanup_close(&b->device);
}
