/* SPDX-License-Identifier: MIT */
/*
 * load-linux.c: the ways through Linux: a block device, past the page cache, by io_uring as lean as
 * it gets, or by libaio's system calls.
 *
 * io_uring gets what makes it fastest: file and buffers registered, completion work done by the
 * thread that waits, one system call to send all there is and to wait. libaio has no more than two
 * system calls. Both take all completions that are there.
 */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/aio_abi.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct linux_way {
	int fd;
	struct io_uring ring;
	bool has_ring;
	aio_context_t context;
	struct iocb control[LOAD_MOST_DEPTH], *batch[LOAD_MOST_DEPTH];
};

static int open_file(struct load *l)
{
	struct linux_way *w = calloc(1, sizeof(*w));
	off_t end;

	if (!w)
		return load_failed(l, "no memory");
	l->way = w;
	w->fd = open(l->where, O_RDONLY | O_DIRECT | O_CLOEXEC);
	end = w->fd < 0 ? -1 : lseek(w->fd, 0, SEEK_END);
	if (end < 0)
		return load_failed(l, "%s", strerror(errno));
	l->blocks = (uint64_t)end / LOAD_BYTES;
	return l->blocks ? 0 : load_failed(l, "smaller than one read");
}

static uint64_t bytes_of(int64_t result)
{
	return result < 0 ? 0 : (uint64_t)result;
}

/* ---- io_uring */

static int open_uring(struct load *l)
{
	struct linux_way *w;
	struct iovec buffers[LOAD_MOST_DEPTH];
	int r = open_file(l);

	if (r < 0)
		return r;
	w = l->way;
	r = io_uring_queue_init(LOAD_MOST_DEPTH, &w->ring,
				IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	if (r < 0)
		return load_failed(l, "io_uring: %s", strerror(-r));
	w->has_ring = true;
	for (unsigned i = 0; i < l->depth; i++)
		buffers[i] = (struct iovec) { load_buffer(l, i), LOAD_BYTES };
	r = io_uring_register_buffers(&w->ring, buffers, l->depth);
	if (r == 0)
		r = io_uring_register_files(&w->ring, &w->fd, 1);
	return r < 0 ? load_failed(l, "io_uring: %s", strerror(-r)) : 0;
}

static void uring_send(struct load *l, struct linux_way *w, unsigned slot)
{
	struct io_uring_sqe *sqe;

	if (!load_next(l, slot))
		return;
	sqe = io_uring_get_sqe(&w->ring); /* there is one: the ring has LOAD_MOST_DEPTH */
	io_uring_prep_read_fixed(sqe, 0, load_buffer(l, slot), LOAD_BYTES,
				 l->block[slot] * LOAD_BYTES, (int)slot);
	sqe->flags |= IOSQE_FIXED_FILE;
	sqe->user_data = slot;
}

static void uring_take(struct load *l, struct linux_way *w)
{
	struct io_uring_cqe *cqes[LOAD_MOST_DEPTH];
	unsigned n = io_uring_peek_batch_cqe(&w->ring, cqes, LOAD_MOST_DEPTH);

	for (unsigned i = 0; i < n; i++) {
		unsigned slot = (unsigned)cqes[i]->user_data;

		load_arrived(l, slot, bytes_of(cqes[i]->res));
		uring_send(l, w, slot);
	}
	io_uring_cq_advance(&w->ring, n);
}

static int uring_go(struct load *l)
{
	struct linux_way *w = l->way;
	int r;

	for (unsigned i = 0; i < l->depth; i++)
		uring_send(l, w, i);
	while (l->back < l->end) {
		r = io_uring_submit_and_wait(&w->ring, 1);
		if (r < 0 && r != -EINTR)
			return load_failed(l, "io_uring: %s", strerror(-r));
		uring_take(l, w);
	}
	return 0;
}

/* ---- libaio's system calls */

static int open_aio(struct load *l)
{
	struct linux_way *w;
	int r = open_file(l);

	if (r < 0)
		return r;
	w = l->way;
	return syscall(SYS_io_setup, l->depth, &w->context) < 0
		       ? load_failed(l, "io_setup: %s", strerror(errno))
		       : 0;
}

static void aio_prepare(struct load *l, struct linux_way *w, unsigned slot, unsigned *n)
{
	if (!load_next(l, slot))
		return;
	w->control[slot] = (struct iocb) {
		.aio_data = slot,
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)w->fd,
		.aio_buf = (uintptr_t)load_buffer(l, slot),
		.aio_nbytes = LOAD_BYTES,
		.aio_offset = (int64_t)(l->block[slot] * LOAD_BYTES),
	};
	w->batch[(*n)++] = &w->control[slot];
}

static int aio_send(const struct load *l, struct linux_way *w, unsigned n)
{
	unsigned sent = 0;

	while (sent < n) {
		long r = syscall(SYS_io_submit, w->context, n - sent, w->batch + sent);

		if (r < 0 && errno != EINTR)
			return load_failed(l, "io_submit: %s", strerror(errno));
		sent += r < 0 ? 0 : (unsigned)r;
	}
	return 0;
}

static int aio_go(struct load *l)
{
	struct linux_way *w = l->way;
	struct io_event events[LOAD_MOST_DEPTH];
	unsigned n = 0;
	int r = 0;

	for (unsigned i = 0; i < l->depth; i++)
		aio_prepare(l, w, i, &n);
	while (r == 0 && l->back < l->end) {
		long came;

		r = aio_send(l, w, n);
		n = 0;
		came = r < 0 ? 0 : syscall(SYS_io_getevents, w->context, 1, l->depth, events, NULL);
		if (came < 0 && errno != EINTR)
			return load_failed(l, "io_getevents: %s", strerror(errno));
		for (long i = 0; i < came; i++) {
			load_arrived(l, (unsigned)events[i].data, bytes_of(events[i].res));
			aio_prepare(l, w, (unsigned)events[i].data, &n);
		}
	}
	return r;
}

static void close_file(struct load *l)
{
	struct linux_way *w = l->way;

	if (!w)
		return;
	/* Both wait for reads that are out. */
	if (w->context)
		syscall(SYS_io_destroy, w->context);
	if (w->has_ring)
		io_uring_queue_exit(&w->ring);
	if (w->fd >= 0)
		close(w->fd);
	free(w);
}

const struct way way_uring = { "uring", open_uring, uring_go, close_file };
const struct way way_aio = { "aio", open_aio, aio_go, close_file };
