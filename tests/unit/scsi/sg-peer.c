/* SPDX-License-Identifier: MIT */
/*
 * sg-peer.c: libsgutils2 has no function that only builds a command; it sends them, by ioctl().
 * This is that ioctl(): it keeps the command and answers "done". The only globals of these tests
 * stand here, since an ioctl() has no other place to leave what it caught.
 */
#include "sg-peer.h"

#include <errno.h>
#include <scsi/sg.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

enum { SG_VERSION = 30536 /* 3.5.36: speaks struct sg_io_hdr */ };

static struct sg_peer_cdb caught;
static const uint8_t *next_answer;
static size_t next_answer_bytes;

static int answer(struct sg_io_hdr *io)
{
	size_t n = next_answer_bytes < io->dxfer_len ? next_answer_bytes : io->dxfer_len;

	if (io->interface_id != 'S' || io->cmd_len > sizeof(caught.bytes)) {
		errno = EINVAL;
		return -1;
	}
	memset(&caught, 0, sizeof(caught));
	memcpy(caught.bytes, io->cmdp, io->cmd_len);
	caught.length = io->cmd_len;
	if (n)
		memcpy(io->dxferp, next_answer, n);
	io->resid = (int)(io->dxfer_len - n);
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	void *argument;

	(void)fd;
	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (request == SG_GET_VERSION_NUM) {
		*(int *)argument = SG_VERSION;
		return 0;
	}
	if (request == SG_IO)
		return answer(argument);
	errno = ENOTTY;
	return -1;
}

void sg_peer_begin(const uint8_t *answer_bytes, size_t n)
{
	next_answer = answer_bytes;
	next_answer_bytes = n;
	memset(&caught, 0, sizeof(caught));
}

struct sg_peer_cdb sg_peer_end(void)
{
	return caught;
}
