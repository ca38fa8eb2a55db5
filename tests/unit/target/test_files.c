/* SPDX-License-Identifier: MIT */
/*
 * test_files.c: what goes wrong with files: full disks, shrinking images, two owners, things that
 * are no files at all.
 */
#include "rig.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 512, BLOCKS = 64, NOBODY = 65534 };

struct image {
	struct rig rig;
	char directory[64], path[80];
};

static int setup(void **state)
{
	struct image *i = calloc(1, sizeof(*i));

	assert_non_null(i);
	snprintf(i->directory, sizeof(i->directory), "%s", "/tmp/hbakit-files-XXXXXX");
	assert_non_null(mkdtemp(i->directory));
	assert_int_equal(chmod(i->directory, 0755), 0);
	snprintf(i->path, sizeof(i->path), "%s/disk.img", i->directory);
	rig_open(&i->rig);
	*state = i;
	return 0;
}

static int teardown(void **state)
{
	struct image *i = *state;

	rig_close(&i->rig);
	unlink(i->path);
	rmdir(i->directory);
	free(i);
	return 0;
}

static void make_image(const struct image *i, off_t bytes)
{
	int fd = open(i->path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, bytes), 0);
	close(fd);
}

static struct store *open_image(struct image *i, bool read_only)
{
	struct store *store;

	assert_int_equal(store_open_file(i->path, read_only, &store, i->rig.message), 0);
	return store;
}

static int refusal(struct image *i, bool read_only)
{
	struct store *store = NULL;
	int r = store_open_file(i->path, read_only, &store, i->rig.message);

	assert_null(store);
	assert_true(r < 0);
	assert_non_null(strstr(i->rig.message, i->path));
	return r;
}

static void missing_file(void **state)
{
	assert_int_equal(refusal(*state, false), -ENOENT);
}

static void not_a_file(void **state)
{
	struct image *i = *state;

	assert_int_equal(mkdir(i->path, 0755), 0);
	assert_int_equal(refusal(i, true), -EINVAL);
	rmdir(i->path);
	assert_int_equal(mkfifo(i->path, 0644), 0); /* would wait for a writer for ever */
	assert_int_equal(refusal(i, true), -EINVAL);
	assert_int_equal(refusal(i, false), -EINVAL);
}

static void two_openers(void **state)
{
	struct image *i = *state;
	struct store *first, *second;

	make_image(i, BLOCKS * BLOCK);
	first = open_image(i, false);
	assert_int_equal(refusal(i, false), -EBUSY);
	assert_int_equal(refusal(i, true), -EBUSY);
	store_free(first);
	first = open_image(i, true);
	second = open_image(i, true);
	assert_int_equal(refusal(i, false), -EBUSY);
	store_free(first);
	store_free(second);
	store_free(open_image(i, false));
}

static void file_that_may_not_be_written(void **state)
{
	struct image *i = *state;
	bool root = geteuid() == 0;
	struct store *store;

	make_image(i, BLOCKS * BLOCK);
	assert_int_equal(chmod(i->path, 0444), 0);
	if (root)
		assert_int_equal(seteuid(NOBODY), 0);
	store = open_image(i, false);
	if (root)
		assert_int_equal(seteuid(0), 0);
	assert_true(store->read_only);
	rig_add(&i->rig, store, BLOCK, false);
	assert_true(i->rig.device.units[0].read_only);
}

static int add_image(struct image *i, off_t bytes)
{
	struct target_unit_options options = { .block_bytes = BLOCK, .identity = "files" };
	int r;

	make_image(i, bytes);
	options.store = open_image(i, false);
	r = target_device_add(&i->rig.device, &options, i->rig.message);
	if (r < 0)
		store_free(options.store);
	return r;
}

static void tail_is_left_out_and_less_than_a_block_refused(void **state)
{
	struct image *i = *state;

	assert_int_equal(add_image(i, BLOCK - 1), -EINVAL);
	assert_int_equal(add_image(i, 0), -EINVAL);
	assert_int_equal(i->rig.device.n_units, 0);
	assert_int_equal(add_image(i, 3 * BLOCK + BLOCK - 1), 0);
	assert_int_equal(i->rig.device.units[0].blocks, 3);
}

static void open_rig(struct image *i, off_t bytes)
{
	make_image(i, bytes);
	rig_add(&i->rig, open_image(i, false), BLOCK, false);
}

/* The part that is still there comes; the first block that does not is named. */
static void shrunk_underneath(void **state)
{
	struct image *i = *state;
	struct scsi_cdb read = rig_rw(HBA_FROM_TARGET, 2, 4, 10, false);
	struct scsi_sense sense;

	open_rig(i, BLOCKS * BLOCK);
	assert_int_equal(truncate(i->path, 3 * BLOCK), 0);
	rig_run(&i->rig, &read, HBA_FROM_TARGET, 4 * BLOCK);
	sense = rig_assert_sense(&i->rig, SCSI_MEDIUM_ERROR, SCSI_ASC_UNRECOVERED_READ_ERROR);
	assert_true(sense.has_information);
	assert_int_equal(sense.information, 3);
	assert_int_equal(i->rig.last.command.bytes, BLOCK);
}

/*
 * The size limit of a process stands for a full disk: the kernel first writes a part, then says no.
 */
static void disk_full(void **state)
{
	struct image *i = *state;
	struct rlimit old, small = { 0 };
	struct scsi_cdb write = rig_rw(HBA_TO_TARGET, 2, 4, 10, false),
			read = rig_rw(HBA_FROM_TARGET, 0, 1, 10, false);

	open_rig(i, BLOCKS * BLOCK);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit) { 3 * BLOCK, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	memset(i->rig.data, 0x5a, 4 * BLOCK);
	rig_run(&i->rig, &write, HBA_TO_TARGET, 4 * BLOCK);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	rig_assert_sense(&i->rig, SCSI_DATA_PROTECT, SCSI_ASC_SPACE_ALLOCATION_FAILED);
	assert_int_equal(i->rig.last.command.bytes, BLOCK);
	/* Nothing is stuck: the next command goes, and so does the same one once there is room. */
	assert_int_equal(rig_run(&i->rig, &read, HBA_FROM_TARGET, BLOCK), HBA_GOOD);
	assert_int_equal(rig_run(&i->rig, &write, HBA_TO_TARGET, 4 * BLOCK), HBA_GOOD);
}

/* What was written is in the file, not only in our memory; and a caching file says so. */
static void write_reaches_the_file(void **state)
{
	struct image *i = *state;
	struct scsi_cdb write = rig_rw(HBA_TO_TARGET, 5, 1, 10, true),
			sync = scsi_cdb_synchronize_cache_10(0, 0);
	struct scsi_cdb mode = scsi_cdb_mode_sense_6(0x08, 0, 255);
	uint8_t back[BLOCK];
	int fd;

	open_rig(i, BLOCKS * BLOCK);
	memset(i->rig.data, 0xc3, BLOCK);
	assert_int_equal(rig_run(&i->rig, &write, HBA_TO_TARGET, BLOCK), HBA_GOOD);
	assert_int_equal(rig_run(&i->rig, &sync, HBA_NO_DATA, 0), HBA_GOOD);
	fd = open(i->path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, back, BLOCK, 5 * BLOCK), BLOCK);
	close(fd);
	assert_memory_equal(back, i->rig.data, BLOCK);
	assert_int_equal(rig_run(&i->rig, &mode, HBA_FROM_TARGET, 255), HBA_GOOD);
	assert_int_equal(i->rig.data[12 + 2] & 0x04, 0x04); /* WCE */
}

/*
 * Aborted commands end once each, aborted or done; forgotten ones never do, and the engine is as
 * new afterwards.
 */
static void abort_and_forget(void **state)
{
	enum { MANY = 32 };
	static struct rig_command commands[MANY];
	struct image *i = *state;
	struct iovec iov = { i->rig.data, BLOCK };
	struct scsi_cdb read = rig_rw(HBA_FROM_TARGET, 1, 1, 10, false);

	open_rig(i, BLOCKS * BLOCK);
	for (unsigned n = 0; n < MANY; n++)
		assert_int_equal(
			rig_start(&i->rig, &commands[n], &read, HBA_FROM_TARGET, &iov, 1, BLOCK),
			1);
	for (unsigned n = 0; n < MANY; n += 2)
		target_abort(&commands[n].command);
	for (unsigned n = 0; n < MANY; n++) {
		rig_wait(&i->rig, &commands[n].ended);
		if (n % 2 || commands[n].command.outcome != HBA_TASK_ABORTED)
			assert_int_equal(commands[n].command.outcome, HBA_GOOD);
	}
	for (unsigned n = 0; n < MANY; n++)
		rig_start(&i->rig, &commands[n], &read, HBA_FROM_TARGET, &iov, 1, BLOCK);
	engine_forget(i->rig.engine);
	for (unsigned wait = 0; !engine_drained(i->rig.engine); wait++) {
		assert_true(wait < 10000);
		usleep(1000);
	}
	for (unsigned n = 0; n < MANY; n++)
		assert_false(commands[n].ended);
	assert_int_equal(rig_run(&i->rig, &read, HBA_FROM_TARGET, BLOCK), HBA_GOOD);
}

struct pipe_read {
	struct engine_op op;
	uint8_t byte;
	struct iovec iov;
	int result;
	bool ended;
};

static void pipe_read_ended(struct engine_op *op, int result)
{
	struct pipe_read *p = container_of(op, struct pipe_read, op);

	assert_false(p->ended);
	p->result = result;
	p->ended = true;
}

static void start_pipe_read(struct engine *e, struct pipe_read *p, int fd)
{
	*p = (struct pipe_read) { .op.done = pipe_read_ended, .iov = { &p->byte, 1 } };
	assert_int_equal(engine_readv(e, &p->op, fd, &p->iov, 1, 0), 0);
	assert_int_equal(engine_submit(e), 0);
}

/*
 * A read that would never end by itself: a disk that hangs. It ends because we ask, or is forgotten
 * because we ask.
 */
static void hanging_requests_can_be_cancelled(void **state)
{
	struct image *i = *state;
	struct engine *e = i->rig.engine;
	struct pipe_read read;
	unsigned ms = 0;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	start_pipe_read(e, &read, ends[0]);
	usleep(1000);
	assert_int_equal(engine_reap(e, 1), 0);
	engine_cancel(e, &read.op);
	rig_wait(&i->rig, &read.ended);
	assert_int_equal(read.result, -ECANCELED);

	start_pipe_read(e, &read, ends[0]);
	assert_false(engine_drained(e));
	engine_forget(e);
	for (; !engine_drained(e); ms++) {
		assert_true(ms < 10000);
		usleep(1000);
	}
	assert_false(read.ended);
	assert_int_equal(write(ends[1], "x", 1), 1);
	usleep(1000);
	assert_int_equal(read.byte, 0); /* nobody writes this memory any more */
	close(ends[0]);
	close(ends[1]);
}

static void sizes_that_cannot_be(void **state)
{
	struct image *i = *state;
	struct store *store = NULL;

	assert_int_equal(store_open_ram(0, &store, i->rig.message), -EINVAL);
	assert_int_equal(store_open_ram(UINT64_MAX, &store, i->rig.message), -ENOMEM);
	assert_int_equal(store_open_null(0, NULL_FILL_ZERO, &store, i->rig.message), -EINVAL);
	assert_null(store);
}

#define WITH_IMAGE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_IMAGE(missing_file),
		WITH_IMAGE(not_a_file),
		WITH_IMAGE(two_openers),
		WITH_IMAGE(file_that_may_not_be_written),
		WITH_IMAGE(tail_is_left_out_and_less_than_a_block_refused),
		WITH_IMAGE(shrunk_underneath),
		WITH_IMAGE(disk_full),
		WITH_IMAGE(write_reaches_the_file),
		WITH_IMAGE(abort_and_forget),
		WITH_IMAGE(hanging_requests_can_be_cancelled),
		WITH_IMAGE(sizes_that_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
