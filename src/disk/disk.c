/* SPDX-License-Identifier: MIT */
/*
 * disk.c: a request's way: submit, a task (now or when there is one), command after command on that
 * task, done.
 *
 *	FLUSH, STATUS, lists of data  one command; above the controller's limits the core splits it
 *	all others                    command after command until the range is through: mostly one,
 *	                              of as many blocks as a CDB counts
 *	with FUA                      then a flush, if the commands have no FUA bit
 *
 * A unit limits the length of UNMAP, ZERO and VERIFY, and reports it in a VPD page that many do not
 * have. So the limit is found by trying: refused because of a field, the same is tried with half
 * the blocks. The request itself is all the memory there is.
 *
 * One thread has a request at any time: the submitter, then the loop. No locks.
 */
#include "disk/disk.h"
#include "core/diag/error.h"
#include "core/io/medium.h"

#include "base/base.h"

#include <errno.h>
#include <hbakit/controller.h>
#include <hbakit/driver.h>
#include <poll.h>
#include <string.h>

enum { RUN_BUDGET = 32 };

enum step { STEP_RANGE, STEP_FLUSH };

/* The state of a request while it is ours, kept in hba_disk_io::core. */
struct __attribute__((may_alias)) state {
	uint64_t block, left; /* blocks, still to do */
	uint32_t piece;       /* blocks, at most, per command by now */
	uint32_t generation;  /* of the disk that was there when it was submitted */
	uint32_t block_bytes;
	uint32_t count; /* blocks of the command that is out */
	uint8_t max_cdb;
	uint8_t step;  /* enum step */
	bool unmap;    /* ZERO may unmap */
	bool flush;    /* FUA by a flush at the end: the commands do not do it */
	bool finished; /* hba_disk_do() looks here */
	uint8_t bytes[DISK_UNMAP_LIST_BYTES];
};

static_assert(sizeof(struct state) <= sizeof(((struct hba_disk_io *)0)->core),
	      "fits the room that the header gives it");

static const uint8_t zeros[DISK_MAX_BLOCK_BYTES];

static struct state *state_of(struct hba_disk_io *io)
{
	return (struct state *)(void *)io->core;
}

static void keep_result(struct hba_disk_io *io, const struct hba_result *r)
{
	size_t n = r->sense_len < sizeof(io->sense_bytes) ? r->sense_len : sizeof(io->sense_bytes);

	if (!r->sense)
		n = 0;
	io->result = *r;
	if (n)
		memcpy(io->sense_bytes, r->sense, n);
	io->result.sense = n ? io->sense_bytes : NULL;
	io->result.sense_len = (uint8_t)n;
}

static void disk_finish(struct hba_disk_io *io, struct hba_task *t, int error)
{
	/* The task first: a done that submits again finds it in the pool. */
	hba_task_put(t);
	io->error = error;
	io->done(io);
}

/* ---- one command */

static void set_data(struct hba_task *t, enum hba_direction direction, void *buffer,
		     uint64_t length)
{
	t->direction = (uint8_t)direction;
	t->mode = HBA_DATA_CPU;
	t->data.buffer = buffer;
	t->n_data = 0;
	t->length = length;
}

/* From where the commands before have come to. A list is one command. */
static void set_callers_data(struct hba_task *t, const struct hba_disk_io *io,
			     const struct state *s)
{
	uint64_t at = s->block * s->block_bytes - io->offset;

	t->direction = io->op == HBA_DISK_READ ? HBA_FROM_TARGET : HBA_TO_TARGET;
	t->mode = (uint8_t)io->mode;
	t->data = io->data;
	if (at)
		t->data.buffer = (uint8_t *)io->data.buffer + at;
	t->n_data = io->n_data;
	t->length = (uint64_t)s->count * s->block_bytes;
}

static void set_command(struct hba_task *t, const struct scsi_cdb *cdb)
{
	memcpy(t->cdb, cdb->bytes, sizeof(t->cdb));
	t->cdb_len = cdb->length;
}

static void fill_flush(struct hba_task *t)
{
	struct scsi_cdb cdb = disk_command(HBA_DISK_FLUSH, 0, (struct disk_range) { 0 }, false, 0);

	set_command(t, &cdb);
	set_data(t, HBA_NO_DATA, NULL, 0);
}

/* The answer lies in the memory of the extents until it is read. */
static void fill_status(struct hba_disk_io *io, struct hba_task *t)
{
	uint32_t bytes = disk_status_bytes(disk_status_descriptors(io->max_extents));
	struct scsi_cdb cdb = scsi_cdb_lba_status(state_of(io)->block, bytes);

	set_command(t, &cdb);
	set_data(t, HBA_FROM_TARGET, io->extents, bytes);
}

static void fill_range(struct hba_disk_io *io, struct hba_task *t)
{
	struct state *s = state_of(io);
	struct disk_range range = { s->block, s->left < s->piece ? (uint32_t)s->left : s->piece };
	struct scsi_cdb cdb =
		disk_command(io->op, s->flush ? 0 : io->flags, range, s->unmap, s->max_cdb);

	s->count = range.count;
	set_command(t, &cdb);
	if (disk_has_data(io->op)) {
		set_callers_data(t, io, s);
	} else if (io->op == HBA_DISK_UNMAP) {
		disk_unmap_list(range, s->bytes);
		set_data(t, HBA_TO_TARGET, s->bytes, DISK_UNMAP_LIST_BYTES);
	} else if (io->op == HBA_DISK_ZERO) {
		/* Only read from, by the direction. */
		set_data(t, HBA_TO_TARGET, (void *)(uintptr_t)zeros, s->block_bytes);
	} else {
		set_data(t, HBA_NO_DATA, NULL, 0);
	}
}

static void command_done(struct hba_task *t, const struct hba_result *r, void *arg);

/*
 * Of a request that names no disk the first command may go to any, the others to where that one
 * went.
 */
static enum medium_choice choice(struct hba_disk_io *io)
{
	const struct state *s = state_of(io);
	bool first = io->op == HBA_DISK_FLUSH ||
		     (s->step == STEP_RANGE && s->block * s->block_bytes == io->offset);

	return io->generation || !first ? MEDIUM_THIS_ONE : MEDIUM_WHICHEVER;
}

static int send_command(struct hba_disk_io *io, struct hba_task *t)
{
	if (state_of(io)->step == STEP_FLUSH)
		fill_flush(t);
	else if (io->op == HBA_DISK_STATUS)
		fill_status(io, t);
	else
		fill_range(io, t);
	medium_name(t, state_of(io)->generation, choice(io));
	return hba_submit(t, command_done, io);
}

/* Later than at hba_disk_submit(): another disk may be there by now. */
static void send_or_finish(struct hba_disk_io *io, struct hba_task *t)
{
	int r = medium_has_passed(io->lun, state_of(io)->generation, choice(io))
			? -ESTALE
			: send_command(io, t);

	if (r < 0)
		disk_finish(io, t, r);
}

/* ---- its answer */

/* Those whose length a unit may limit. */
static bool has_no_data(enum hba_disk_op op)
{
	return op == HBA_DISK_UNMAP || op == HBA_DISK_ZERO || op == HBA_DISK_VERIFY;
}

/*
 * Of those that are to be several, half as many blocks as a command counts: a power of two, so that
 * its halves stay aligned, too.
 */
static uint32_t first_piece(const struct hba_disk_io *io, uint64_t blocks, unsigned max_cdb)
{
	uint32_t most = disk_most_blocks(io->op, max_cdb);

	return disk_has_data(io->op) && blocks <= most ? most : most / 2 + 1;
}

/* Whether there is a smaller or plainer command to try instead of the one refused. */
static bool make_modest(struct hba_disk_io *io)
{
	struct state *s = state_of(io);

	/*
	 * A unit need not have the FUA bit (SBC-3 6.4.1, DPOFUA), and refuses it only when it is
	 * used.
	 */
	if (io->op == HBA_DISK_WRITE && io->flags & HBA_DISK_FUA && !s->flush) {
		s->flush = true;
		return true;
	}
	if (!has_no_data(io->op))
		return false;
	if (s->count > 1) {
		while (s->piece >= s->count)
			s->piece /= 2;
		return true;
	}
	if (!s->unmap || io->flags & HBA_DISK_FAST)
		return false;
	s->unmap = false;
	s->piece = first_piece(io, io->length / s->block_bytes, s->max_cdb);
	return true;
}

static int range_error(struct hba_disk_io *io, const struct hba_result *r)
{
	const struct state *s = state_of(io);
	int error = disk_error(r);

	if (error == 0 && disk_has_data(io->op) && r->bytes != (uint64_t)s->count * s->block_bytes)
		return -EIO; /* GOOD, but fewer bytes than the command has */
	/* The range has been checked, so the field that the unit refuses is the service action. */
	if (io->op == HBA_DISK_STATUS && error == -EINVAL)
		return -EOPNOTSUPP;
	return error;
}

static int flush_error(const struct hba_result *r)
{
	int error = disk_error(r);

	return error == -EOPNOTSUPP ? 0 : error;
}

static int take_status(struct hba_disk_io *io, const struct hba_result *r)
{
	int n = disk_status_read(io, state_of(io)->block_bytes, (const uint8_t *)io->extents,
				 r->bytes, io->extents);

	if (n < 0)
		return -EIO; /* no error of ours, and no usable answer */
	io->n_extents = (uint32_t)n;
	return 0;
}

/* The commands have gone through. */
static void range_through(struct hba_disk_io *io, struct hba_task *t, const struct hba_result *r)
{
	if (!state_of(io)->flush) {
		disk_finish(io, t, io->op == HBA_DISK_STATUS ? take_status(io, r) : 0);
		return;
	}
	state_of(io)->step = STEP_FLUSH;
	send_or_finish(io, t);
}

static void range_done(struct hba_disk_io *io, struct hba_task *t, const struct hba_result *r)
{
	struct state *s = state_of(io);
	int error = range_error(io, r);

	if (error == -EINVAL && disk_too_long(r) && make_modest(io)) {
		send_or_finish(io, t);
		return;
	}
	if (error < 0) {
		disk_finish(io, t, error);
		return;
	}
	s->block += s->count;
	s->left -= s->count;
	if (s->left && io->op != HBA_DISK_STATUS)
		send_or_finish(io, t);
	else
		range_through(io, t, r);
}

static void command_done(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct hba_disk_io *io = arg;

	keep_result(io, r);
	if (state_of(io)->step == STEP_FLUSH)
		disk_finish(io, t, flush_error(r));
	else
		range_done(io, t, r);
}

/* ---- the way in */

static void task_ready(struct hba_waiter *w, struct hba_task *t)
{
	struct hba_disk_io *io = container_of(w, struct hba_disk_io, waiter);

	if (t)
		send_or_finish(io, t);
	else
		disk_finish(io, NULL, -ENODEV);
}

static void set_up(struct hba_disk_io *io, const struct hba_lun_info *info, unsigned max_cdb)
{
	bool flush = io->op == HBA_DISK_FLUSH, range = !flush && io->op != HBA_DISK_STATUS;
	uint64_t left = flush ? 0 : io->length / info->block_bytes;

	*state_of(io) = (struct state) {
		.block = flush ? 0 : io->offset / info->block_bytes,
		.left = left,
		.piece = range ? first_piece(io, left, max_cdb) : 0,
		.generation = info->generation,
		.block_bytes = info->block_bytes,
		.max_cdb = (uint8_t)max_cdb,
		.step = flush ? STEP_FLUSH : STEP_RANGE,
		.unmap = io->op == HBA_DISK_ZERO && disk_zero_unmaps(io, info),
		.flush = has_no_data(io->op) && io->op != HBA_DISK_VERIFY &&
			 io->flags & HBA_DISK_FUA,
	};
	io->error = 0;
	io->n_extents = 0;
	io->result = (struct hba_result) { .sense = NULL };
	io->waiter = (struct hba_waiter) { .ready = task_ready };
}

/* Data outside the controller's mappings, of the largest command that this request becomes. */
static size_t bounce_bytes(struct hba_disk_io *io)
{
	const struct state *s = state_of(io);

	if (disk_has_data(io->op) && io->mode == HBA_DATA_REGION)
		return 0;
	if (disk_has_data(io->op))
		return s->left > s->piece ? (size_t)s->piece * s->block_bytes : io->length;
	if (io->op == HBA_DISK_ZERO)
		return DISK_MAX_BLOCK_BYTES;
	if (io->op == HBA_DISK_STATUS)
		return disk_status_bytes(disk_status_descriptors(io->max_extents));
	return io->op == HBA_DISK_UNMAP ? DISK_UNMAP_LIST_BYTES : 0;
}

int hba_disk_submit(struct hba_disk_io *io)
{
	struct hba_lun_info info;
	struct hba_task *t;
	unsigned max_cdb;
	int r;

	if (!io || !io->lun)
		return wrong_use("the request is NULL, or its unit");
	hba_lun_get_info(io->lun, &info);
	max_cdb = (unsigned)hba_controller_report(hba_lun_controller(io->lun))->max_cdb;
	r = disk_check(io, &info, max_cdb);
	if (r < 0)
		return r;
	set_up(io, &info, max_cdb);
	r = hba_task_get(io->lun, bounce_bytes(io), &io->waiter, &t);
	if (r != 0)
		return r < 0 ? r : 0; /* 1: task_ready() goes on */
	r = send_command(io, t);
	if (r < 0)
		hba_task_put(t);
	return r;
}

static void do_finished(struct hba_disk_io *io)
{
	state_of(io)->finished = true;
}

static int run_until_finished(struct hba_controller *c, struct hba_disk_io *io)
{
	struct pollfd fd = { .fd = hba_controller_fd(c), .events = POLLIN };

	while (!state_of(io)->finished) {
		if (hba_controller_arm(c) == 0)
			poll(&fd, 1, -1);
		if (hba_controller_run(c, RUN_BUDGET) < 0 && !state_of(io)->finished)
			return -ENODEV;
	}
	return io->error < 0 ? disk_tell(io) : 0;
}

int hba_disk_do(struct hba_disk_io *io)
{
	void (*callers_done)(struct hba_disk_io * io);
	int r;

	if (!io)
		return wrong_use("the request is NULL");
	/*
	 * A thread that may not run the loop would wait for ever, or leave with the request still
	 * out.
	 */
	r = io->lun ? hba_controller_arm(hba_lun_controller(io->lun)) : 0;
	if (r < 0)
		return r;
	callers_done = io->done;
	io->done = do_finished;
	r = hba_disk_submit(io);
	if (r == 0)
		r = run_until_finished(hba_lun_controller(io->lun), io);
	io->done = callers_done;
	io->error = r;
	return r;
}
