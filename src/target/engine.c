/* SPDX-License-Identifier: MIT */
/*
 * engine.c: one io_uring as a batch of requests out and a heap of completions back. Stores whose
 * requests end at once need no ring; their engine has the rest: the commands of one thread, and
 * functions posted to it.
 *
 * Posted functions wait in a list; an eventfd, watched by the ring itself, makes the ring readable
 * then. Without a ring it is the eventfd that is watched. It is written and read with the list's
 * mutex, so that it is never readable when the list is empty.
 *
 * The kernel hands our pointers back in user_data. That is safe with io_uring, where only this
 * process can write them, and only here: a device's cookie is never a pointer. Requests of our own
 * (cancel) carry 0, and their end is ignored.
 */
#include "target/target.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct engine {
	struct io_uring ring;
	bool has_ring;
	struct list commands;
	unsigned out;    /* requests whose completion is still owed */
	bool forgetting; /* between engine_forget() and all of them being back */

	pthread_mutex_t mutex;    /* of `posted` */
	struct engine_op *posted; /* oldest first */
	int wake_fd;
	struct engine_op call; /* of engine_call() */
	void (*called)(struct engine *e);
	bool calling;          /* atomic: `call` is among the posted */
	struct engine_op wake; /* known by its address; not among those out */
	bool watching;         /* `wake` is with the kernel */
};

/* Room in the submission queue for cancels, and for the watch, beside a full house of requests. */
enum { SPARE_ENTRIES = 9 };

struct list *engine_commands(struct engine *e)
{
	return &e->commands;
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	if (e->has_ring)
		io_uring_queue_exit(&e->ring);
	close(e->wake_fd);
	pthread_mutex_destroy(&e->mutex);
	free(e);
}

int engine_fd(const struct engine *e)
{
	return e->has_ring ? e->ring.ring_fd : e->wake_fd;
}

static struct io_uring_sqe *engine_entry(struct engine *e)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&e->ring);

	if (!sqe) {
		io_uring_submit(&e->ring);
		sqe = io_uring_get_sqe(&e->ring);
	}
	return sqe;
}

static int engine_start(struct engine *e, struct io_uring_sqe *sqe, struct engine_op *op)
{
	io_uring_sqe_set_data(sqe, op);
	op->insists = false;
	e->out++;
	return 0;
}

int engine_readv(struct engine *e, struct engine_op *op, int fd, const struct iovec *items,
		 unsigned n, uint64_t offset)
{
	struct io_uring_sqe *sqe = engine_entry(e);

	if (!sqe)
		return -EAGAIN;
	io_uring_prep_readv(sqe, fd, items, n, offset);
	return engine_start(e, sqe, op);
}

int engine_writev(struct engine *e, struct engine_op *op, int fd, const struct iovec *items,
		  unsigned n, uint64_t offset)
{
	struct io_uring_sqe *sqe = engine_entry(e);

	if (!sqe)
		return -EAGAIN;
	io_uring_prep_writev(sqe, fd, items, n, offset);
	return engine_start(e, sqe, op);
}

int engine_datasync(struct engine *e, struct engine_op *op, int fd)
{
	struct io_uring_sqe *sqe = engine_entry(e);

	if (!sqe)
		return -EAGAIN;
	io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
	engine_start(e, sqe, op);
	op->insists = true;
	return 0;
}

int engine_punch(struct engine *e, struct engine_op *op, int fd, uint64_t offset, uint64_t length)
{
	struct io_uring_sqe *sqe = engine_entry(e);

	if (!sqe)
		return -EAGAIN;
	io_uring_prep_fallocate(sqe, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
				(off_t)length);
	return engine_start(e, sqe, op);
}

int engine_will_need(struct engine *e, struct engine_op *op, int fd, uint64_t offset,
		     uint32_t length)
{
	struct io_uring_sqe *sqe = engine_entry(e);

	if (!sqe)
		return -EAGAIN;
	io_uring_prep_fadvise(sqe, fd, offset, length, POSIX_FADV_WILLNEED);
	return engine_start(e, sqe, op);
}

int engine_submit(struct engine *e)
{
	if (!e->has_ring || io_uring_sq_ready(&e->ring) == 0)
		return 0;
	io_uring_submit(&e->ring);
	return io_uring_sq_ready(&e->ring) == 0 ? 0 : -EAGAIN;
}

/* ---- posts, also from other threads */

/* No room: engine_reap() tries again. */
static void engine_watch(struct engine *e)
{
	struct io_uring_sqe *sqe = engine_entry(e);

	if (!sqe)
		return;
	io_uring_prep_poll_add(sqe, e->wake_fd, POLLIN);
	io_uring_sqe_set_data(sqe, &e->wake);
	e->watching = true;
}

static void keep_watch(struct engine *e)
{
	if (e->has_ring && !e->watching && !e->forgetting)
		engine_watch(e);
	engine_submit(e);
}

void engine_post(struct engine *e, struct engine_op *op)
{
	struct engine_op **end;

	op->next = NULL;
	pthread_mutex_lock(&e->mutex);
	for (end = &e->posted; *end; end = &(*end)->next)
		;
	__atomic_store_n(end, op, __ATOMIC_RELAXED);
	eventfd_write(e->wake_fd, 1);
	pthread_mutex_unlock(&e->mutex);
}

static void run_call(struct engine_op *op, int result)
{
	struct engine *e = container_of(op, struct engine, call);
	void (*fn)(struct engine * e) = e->called;

	(void)result;
	__atomic_store_n(&e->calling, false, __ATOMIC_RELEASE);
	fn(e);
}

void engine_call(struct engine *e, void (*fn)(struct engine *e))
{
	if (__atomic_exchange_n(&e->calling, true, __ATOMIC_ACQ_REL))
		return;
	e->called = fn;
	e->call.done = run_call;
	engine_post(e, &e->call);
}

/*
 * Looked at without the mutex, as this is on every reaping's way: what is missed now writes the
 * eventfd.
 */
static bool has_posted(const struct engine *e)
{
	return __atomic_load_n(&e->posted, __ATOMIC_RELAXED);
}

static struct engine_op *take_posted(struct engine *e)
{
	struct engine_op *op;
	eventfd_t count;

	if (!has_posted(e))
		return NULL;
	pthread_mutex_lock(&e->mutex);
	op = e->posted;
	__atomic_store_n(&e->posted, op->next, __ATOMIC_RELAXED);
	if (!op->next)
		eventfd_read(e->wake_fd, &count);
	pthread_mutex_unlock(&e->mutex);
	return op;
}

static const struct engine_op *last_posted(struct engine *e)
{
	const struct engine_op *op;

	pthread_mutex_lock(&e->mutex);
	for (op = e->posted; op && op->next;)
		op = op->next;
	pthread_mutex_unlock(&e->mutex);
	return op;
}

/*
 * Only what is there now: one that posts itself again has its next turn after all others, also
 * those outside of here.
 */
static unsigned run_posted(struct engine *e, unsigned budget)
{
	const struct engine_op *last = has_posted(e) ? last_posted(e) : NULL;
	struct engine_op *op = NULL;
	unsigned n = 0;

	for (; n < budget && op != last && (op = take_posted(e)); n++)
		op->done(op, 0);
	return n;
}

/* ---- made, reaped, forgotten */

static int make_ring(struct engine *e, unsigned depth)
{
	/*
	 * CLAMP: more than the kernel's largest ring is no error; engine_entry() submits early
	 * instead.
	 */
	struct io_uring_params params = { .flags = IORING_SETUP_CLAMP };
	int r = depth > 0 ? io_uring_queue_init_params(depth + SPARE_ENTRIES, &e->ring, &params)
			  : 0;

	e->has_ring = r == 0 && depth > 0;
	return r;
}

int engine_create(unsigned depth, struct engine **ret_engine)
{
	struct engine *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	e->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (e->wake_fd < 0) {
		r = -errno;
		free(e);
		return r;
	}
	r = make_ring(e, depth);
	if (r < 0) {
		close(e->wake_fd);
		free(e);
		return r;
	}
	pthread_mutex_init(&e->mutex, NULL);
	list_init(&e->commands);
	keep_watch(e);
	*ret_engine = e;
	return 0;
}

/* `result` by value: done() may well have the entry written anew. */
static void engine_finish(struct engine *e, struct engine_op *op, int result)
{
	if (!op)
		return;
	if (op == &e->wake) {
		e->watching = false;
		return;
	}
	e->out--;
	if (!e->forgetting || op->insists)
		op->done(op, result);
}

static unsigned reap_ring(struct engine *e, unsigned budget)
{
	struct io_uring_cqe *cqe;
	struct engine_op *op;
	unsigned n = 0;
	int result;

	for (; n < budget && io_uring_peek_cqe(&e->ring, &cqe) == 0; n++) {
		op = io_uring_cqe_get_data(cqe);
		result = cqe->res;
		io_uring_cqe_seen(&e->ring, cqe);
		engine_finish(e, op, result);
	}
	return n;
}

unsigned engine_reap(struct engine *e, unsigned budget)
{
	unsigned n = e->has_ring ? reap_ring(e, budget) : 0;

	n += run_posted(e, budget - n);
	keep_watch(e);
	return n;
}

bool engine_ready(const struct engine *e)
{
	return e->has_ring && io_uring_cq_ready(&e->ring) > 0;
}

static void engine_cancel_by(struct engine *e, void *op, int flags)
{
	struct io_uring_sqe *sqe = e->has_ring ? engine_entry(e) : NULL;

	/* No room: the request then ends by itself, which cancelling only hastens. */
	if (!sqe)
		return;
	io_uring_prep_cancel(sqe, op, flags);
	io_uring_sqe_set_data(sqe, NULL);
	engine_submit(e);
}

void engine_cancel(struct engine *e, struct engine_op *op)
{
	engine_cancel_by(e, op, 0);
}

void engine_forget(struct engine *e)
{
	while (take_posted(e))
		;
	__atomic_store_n(&e->calling, false, __ATOMIC_RELEASE);
	if (e->out == 0)
		return;
	e->forgetting = true;
	/*
	 * Requests that are only in the batch go out too, so that their completions come and none
	 * is left behind.
	 */
	engine_submit(e);
	engine_cancel_by(e, NULL, IORING_ASYNC_CANCEL_ANY);
}

bool engine_forgets(const struct engine *e)
{
	return e->forgetting;
}

bool engine_drained(struct engine *e)
{
	engine_reap(e, UINT_MAX);
	if (e->out > 0 || has_posted(e))
		return false;
	e->forgetting = false;
	keep_watch(e);
	return true;
}
