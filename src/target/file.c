/* SPDX-License-Identifier: MIT */
/*
 * file.c: a store in a regular file or on a block device.
 *
 * Reads and writes go through the engine. The kernel may move fewer bytes than requested: the rest
 * is requested again, from where it stopped. A read that moves nothing has met the end of a file
 * that was longer when we opened it; that is an error, never a wait.
 *
 * After a failed write-back the kernel marks the lost pages clean and reports the failure to one
 * fdatasync of each open file; the next one succeeds although the data are gone. So a failure is
 * kept here, and fails all flushes until the file is opened again. For the same reason only one
 * fdatasync is out at a time: a second one could succeed just after the first has taken the error.
 * Flushes that arrive meanwhile share the next one.
 */
#include "base/base.h"
#include "target/target.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct file_store {
	struct store store;
	int fd;

	pthread_mutex_t mutex; /* of all below; an engine's is taken inside it */
	bool syncing;          /* a flush is with the kernel, or on its way to it */
	struct list sharing;   /* flushes that it answers too */
	struct list waiting;   /* flushes for the next one */
};

static struct file_store *file_of(struct store *s)
{
	return container_of(s, struct file_store, store);
}

static int file_fd(struct store *s)
{
	return file_of(s)->fd;
}

/* Send what is still to go. 1: it is on its way. */
static int file_send(struct store_io *io)
{
	uint64_t at = io->offset + io->moved;
	const struct iovec *items;
	unsigned n = iov_iter_items(&io->data, io->length - io->moved, &io->piece, &items);
	int fd = file_fd(io->store), r;

	if (n == 0)
		return -EINVAL; /* a list shorter than its length */
	r = io->writing ? engine_writev(io->engine, &io->op, fd, items, n, at)
			: engine_readv(io->engine, &io->op, fd, items, n, at);
	return r < 0 ? r : 1;
}

/* 0: all is done; 1: more is on its way. */
static int file_go_on(struct store_io *io, int result)
{
	if (result == -EINTR && !io->cancelled)
		return file_send(io);
	if (result == -EINTR)
		return -ECANCELED;
	if (result < 0)
		return result;
	if (result == 0 || (uint64_t)result > io->length - io->moved)
		return -EIO;
	io->moved += iov_iter_step(&io->data, (uint64_t)result);
	if (io->moved == io->length)
		return 0;
	return io->cancelled ? -ECANCELED : file_send(io);
}

static void file_moved(struct engine_op *op, int result)
{
	struct store_io *io = container_of(op, struct store_io, op);
	int r = file_go_on(io, result);

	if (r <= 0)
		io->done(io, r);
}

static int file_start(struct store *s, struct store_io *io, bool writing)
{
	io->op.done = file_moved;
	io->store = s;
	io->writing = writing;
	return file_send(io);
}

static int file_read(struct store *s, struct store_io *io)
{
	return file_start(s, io, false);
}

static int file_write(struct store *s, struct store_io *io)
{
	return file_start(s, io, true);
}

static void file_ended(struct engine_op *op, int result)
{
	struct store_io *io = container_of(op, struct store_io, op);

	io->done(io, result);
}

/* ---- flushes */

static void move_all(struct list *from, struct list *to)
{
	while (!list_is_empty(from)) {
		struct list *first = from->next;

		list_remove(first);
		list_append(to, first);
	}
}

static void answered(struct engine_op *op, int result)
{
	struct store_io *io = container_of(op, struct store_io, op);

	(void)result;
	io->done(io, io->answer);
}

/* Each by the thread of its request. */
static void answer_all(struct list *ios, int answer)
{
	while (!list_is_empty(ios)) {
		struct store_io *io = container_of(ios->next, struct store_io, in_flight);

		list_remove(&io->in_flight);
		io->answer = answer;
		io->op.done = answered;
		engine_post(io->engine, &io->op);
	}
}

/*
 * A cancelled flush has no result for any data, so it is no failure. All other errors may be those
 * of lost data.
 */
static bool was_cancelled(int result)
{
	return result == -ECANCELED || result == -EINTR;
}

static void remember(struct file_store *f, int result)
{
	if (result < 0 && !was_cancelled(result) && !f->store.flush_error)
		__atomic_store_n(&f->store.flush_error, -result, __ATOMIC_RELEASE);
}

static void go_ahead(struct engine_op *op, int result);

/*
 * With the mutex. The oldest flush that waits goes to the kernel for all of them, from its own
 * thread.
 */
static void sync_next(struct file_store *f)
{
	struct store_io *io;

	f->syncing = !list_is_empty(&f->waiting);
	if (!f->syncing)
		return;
	io = container_of(f->waiting.next, struct store_io, in_flight);
	list_remove(&io->in_flight);
	move_all(&f->waiting, &f->sharing);
	io->op.done = go_ahead;
	engine_post(io->engine, &io->op);
}

/*
 * Returns the error of the flush that was with the kernel. One that did not run, for want of room,
 * counts only for itself.
 */
static int end_sync(struct file_store *f, int result, bool ran)
{
	pthread_mutex_lock(&f->mutex);
	if (ran)
		remember(f, result);
	if (f->store.flush_error) {
		result = -EIO;
		answer_all(&f->sharing, result);
		answer_all(&f->waiting, result);
	} else if (result < 0) {
		move_all(&f->waiting, &f->sharing); /* behind those that have waited for longer */
		move_all(&f->sharing, &f->waiting);
	} else {
		answer_all(&f->sharing, result);
	}
	sync_next(f);
	pthread_mutex_unlock(&f->mutex);
	return result;
}

static void synced(struct engine_op *op, int result)
{
	struct store_io *io = container_of(op, struct store_io, op);
	struct file_store *f = file_of(io->store);

	if (engine_forgets(io->engine)) {
		pthread_mutex_lock(&f->mutex);
		remember(f, result);
		pthread_mutex_unlock(&f->mutex);
		return;
	}
	io->done(io, end_sync(f, result, true));
}

/* 0: it is on its way to the kernel. */
static int sync_now(struct file_store *f, struct store_io *io)
{
	int r;

	if (io->cancelled)
		return end_sync(f, -ECANCELED, false);
	io->op.done = synced;
	r = engine_datasync(io->engine, &io->op, f->fd);
	return r < 0 ? end_sync(f, r, false) : 0;
}

static void go_ahead(struct engine_op *op, int result)
{
	struct store_io *io = container_of(op, struct store_io, op);
	int r = sync_now(file_of(io->store), io);

	(void)result;
	if (r < 0)
		io->done(io, r);
}

static int file_flush(struct store *s, struct store_io *io)
{
	struct file_store *f = file_of(s);
	bool wait;
	int r;

	io->store = s;
	pthread_mutex_lock(&f->mutex);
	if (s->flush_error) {
		pthread_mutex_unlock(&f->mutex);
		return -EIO;
	}
	wait = f->syncing;
	f->syncing = true;
	if (wait)
		list_append(&f->waiting, &io->in_flight);
	pthread_mutex_unlock(&f->mutex);
	if (wait)
		return 1;
	r = sync_now(f, io);
	return r < 0 ? r : 1;
}

static void file_forget(struct store *s)
{
	struct file_store *f = file_of(s);

	pthread_mutex_lock(&f->mutex);
	f->syncing = false;
	list_init(&f->sharing);
	list_init(&f->waiting);
	pthread_mutex_unlock(&f->mutex);
}

static void file_read_ahead(struct store *s, bool on)
{
	/* Advice: if the kernel does not take it, reads are what they were. */
	posix_fadvise(file_fd(s), 0, 0, on ? POSIX_FADV_NORMAL : POSIX_FADV_RANDOM);
}

/* ---- thin provisioning: a hole is room given back */

static int file_deallocate(struct store *s, struct store_io *io)
{
	int r;

	io->op.done = file_ended;
	r = engine_punch(io->engine, &io->op, file_fd(s), io->offset, io->length);
	return r < 0 ? r : 1;
}

/*
 * A file without that information is all data. The descriptor's position, which this moves, is not
 * used: requests carry their own.
 */
static bool file_allocated(struct store *s, uint64_t offset, uint64_t *ret_end)
{
	off_t data = lseek(file_fd(s), (off_t)offset, SEEK_DATA), hole;

	if (data < 0 && errno == ENXIO) {
		*ret_end = s->bytes;
		return false;
	}
	if (data > (off_t)offset) {
		*ret_end = (uint64_t)data < s->bytes ? (uint64_t)data : s->bytes;
		return false;
	}
	hole = data < 0 ? -1 : lseek(file_fd(s), (off_t)offset, SEEK_HOLE);
	*ret_end = hole > (off_t)offset && (uint64_t)hole < s->bytes ? (uint64_t)hole : s->bytes;
	return true;
}

static int file_prefetch(struct store *s, struct store_io *io)
{
	int r;

	io->op.done = file_ended;
	r = engine_will_need(io->engine, &io->op, file_fd(s), io->offset, (uint32_t)io->length);
	return r < 0 ? r : 1;
}

static void file_free(struct store *s)
{
	struct file_store *f = container_of(s, struct file_store, store);

	close(f->fd);
	pthread_mutex_destroy(&f->mutex);
	free(f);
}

static const struct store_ops file_ops = {
	.read = file_read,
	.write = file_write,
	.flush = file_flush,
	.read_ahead = file_read_ahead,
	.deallocate = file_deallocate,
	.prefetch = file_prefetch,
	.allocated = file_allocated,
	.forget = file_forget,
	.free = file_free,
};

void store_cancel(struct store_io *io)
{
	if (!io->engine)
		return;
	io->cancelled = true;
	engine_cancel(io->engine, &io->op);
}

/* O_NONBLOCK: opening a FIFO by mistake must not wait for its other end. */
enum { OPEN_FLAGS = O_CLOEXEC | O_NONBLOCK | O_NOCTTY };

static int open_either_way(const char *path, bool *read_only)
{
	int fd = open(path, OPEN_FLAGS | (*read_only ? O_RDONLY : O_RDWR));

	if (fd < 0 && !*read_only && (errno == EACCES || errno == EROFS || errno == EPERM)) {
		*read_only = true;
		fd = open(path, OPEN_FLAGS | O_RDONLY);
	}
	return fd < 0 ? -errno : fd;
}

static int check_kind(int fd, const char *path, char *message)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return target_fail(message, -errno, "cannot look at %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return target_fail(
			message, -EINVAL,
			"%s is neither a regular file nor a block device: it cannot be a disk",
			path);
	/* With O_NONBLOCK io_uring would answer -EAGAIN instead of waiting for the disk. */
	if (fcntl(fd, F_SETFL, 0) < 0)
		return target_fail(message, -errno, "cannot set up %s: %s", path, strerror(errno));
	return 0;
}

/* A lock of the open file, not of the process: a second opener in the same process meets it too. */
static int take_lock(int fd, const char *path, bool read_only, char *message)
{
	struct flock lock = { .l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return target_fail(message, -EBUSY,
				   "%s is in use as a disk already: stop the other user, or let "
				   "both open it readonly",
				   path);
	return target_fail(message, -errno, "cannot lock %s: %s", path, strerror(errno));
}

/*
 * A hole beyond the end changes nothing, but a file system that cannot punch returns an error.
 * Block devices are left out: only a trial would show whether theirs read as zeros, and in which
 * pieces they give room back.
 */
static bool can_punch(int fd, uint64_t bytes)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)bytes, 1) == 0;
}

/* Network file systems name the size of their requests, which is no block of anything. */
static uint32_t granule_of(int fd)
{
	enum { LEAST = 512, MOST = 64 * 1024, USUAL = 4096 };
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_blksize < LEAST || st.st_blksize > MOST ||
	    !is_power_of_two((uint64_t)st.st_blksize))
		return USUAL;
	return (uint32_t)st.st_blksize;
}

int store_open_file(const char *path, bool read_only, struct store **ret_store, char *message)
{
	autoclose int fd = open_either_way(path, &read_only);
	struct file_store *f;
	off_t bytes;
	int r;

	if (fd < 0)
		return target_fail(message, fd, "cannot open %s: %s", path, strerror(-fd));
	r = check_kind(fd, path, message);
	if (r < 0)
		return r;
	r = take_lock(fd, path, read_only, message);
	if (r < 0)
		return r;
	bytes = lseek(fd, 0, SEEK_END);
	if (bytes < 0)
		return target_fail(message, -errno, "cannot read the size of %s: %s", path,
				   strerror(errno));
	f = malloc(sizeof(*f));
	if (!f)
		return target_fail(message, -ENOMEM, "no memory to open %s", path);
	*f = (struct file_store) {
		.store = { .ops = &file_ops,
			   .bytes = (uint64_t)bytes,
			   .granule = granule_of(fd),
			   .read_only = read_only,
			   .needs_engine = true,
			   .thin = !read_only && can_punch(fd, (uint64_t)bytes) },
		.fd = steal_fd(&fd),
	};
	pthread_mutex_init(&f->mutex, NULL); /* cannot fail without attributes */
	list_init(&f->sharing);
	list_init(&f->waiting);
	*ret_store = &f->store;
	return 0;
}
