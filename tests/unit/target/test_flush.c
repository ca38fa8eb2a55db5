/* SPDX-License-Identifier: MIT */
/*
 * test_flush.c: flushes of a file that fail. The kernel reports a lost write to one fdatasync only,
 * so what follows must not depend on the next one. engine_datasync() is wrapped: it fails as asked,
 * or is held until a test lets it end.
 */
#include "rig.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOCK = 512, BLOCKS = 64, MOST_HELD = 4, BUDGET = 16 };

int real_datasync(struct engine *e, struct engine_op *op, int fd) __asm__("__real_engine_datasync");
int test_datasync(struct engine *e, struct engine_op *op, int fd) __asm__("__wrap_engine_datasync");

/* The wrapper has no other way to its test. */
static struct {
	bool hold;
	int instead; /* a descriptor that cannot be synced; -1: the file's own */
	unsigned calls, n_held;
	struct engine_op *held[MOST_HELD];
} datasync;

int test_datasync(struct engine *e, struct engine_op *op, int fd)
{
	datasync.calls++;
	if (!datasync.hold)
		return real_datasync(e, op, datasync.instead >= 0 ? datasync.instead : fd);
	assert_in_range(datasync.n_held, 0, MOST_HELD - 1);
	datasync.held[datasync.n_held++] = op;
	return 0;
}

static void let_end(int result)
{
	struct engine_op *op = datasync.held[0];

	assert_int_equal(datasync.n_held, 1); /* never two at a time */
	datasync.n_held = 0;
	op->done(op, result);
}

struct image {
	struct rig rig;
	char path[64];
	int pipe[2];
};

static void open_image(struct image *i)
{
	struct store *store;

	rig_open(&i->rig);
	assert_int_equal(store_open_file(i->path, false, &store, i->rig.message), 0);
	rig_add(&i->rig, store, BLOCK, false);
}

static int setup(void **state)
{
	struct image *i = calloc(1, sizeof(*i));
	int fd;

	assert_non_null(i);
	snprintf(i->path, sizeof(i->path), "%s", "/tmp/hbakit-flush-XXXXXX");
	fd = mkstemp(i->path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, BLOCKS * BLOCK), 0);
	close(fd);
	assert_int_equal(pipe2(i->pipe, O_CLOEXEC), 0);
	memset(&datasync, 0, sizeof(datasync));
	datasync.instead = -1;
	open_image(i);
	*state = i;
	return 0;
}

static int teardown(void **state)
{
	struct image *i = *state;

	rig_close(&i->rig);
	close(i->pipe[0]);
	close(i->pipe[1]);
	unlink(i->path);
	free(i);
	return 0;
}

static const struct scsi_cdb sync_cache = { .length = 10, .bytes = { SCSI_SYNCHRONIZE_CACHE_10 } };

static void run_sync(struct image *i)
{
	rig_run(&i->rig, &sync_cache, HBA_NO_DATA, 0);
}

/* The block is unknown, so no INFORMATION names one. */
static void assert_lost(const struct image *i)
{
	assert_false(
		rig_assert_sense(&i->rig, SCSI_MEDIUM_ERROR, SCSI_ASC_WRITE_ERROR).has_information);
}

static void fail_once(struct image *i)
{
	datasync.instead = i->pipe[0];
	run_sync(i);
	assert_lost(i);
	datasync.instead = -1;
}

/*
 * Every command that promises stable data fails, of every nexus, without asking the kernel again;
 * all others go on.
 */
static void a_failed_flush_is_remembered(void **state)
{
	struct image *i = *state;
	struct scsi_cdb write = rig_rw(HBA_TO_TARGET, 1, 1, 10, false),
			fua_write = rig_rw(HBA_TO_TARGET, 1, 1, 10, true);
	struct scsi_cdb read = rig_rw(HBA_FROM_TARGET, 1, 1, 10, false),
			fua_read = rig_rw(HBA_FROM_TARGET, 1, 1, 10, true);
	struct scsi_cdb stop = RIG_CDB(SCSI_START_STOP_UNIT, 0, 0, 0, 0, 0);

	fail_once(i);
	for (i->rig.nexus = 0; i->rig.nexus < 2; i->rig.nexus++) {
		run_sync(i);
		assert_lost(i);
		rig_run(&i->rig, &fua_write, HBA_TO_TARGET, BLOCK);
		assert_lost(i);
		rig_run(&i->rig, &fua_read, HBA_FROM_TARGET, BLOCK);
		assert_lost(i);
		rig_run(&i->rig, &stop, HBA_NO_DATA, 0);
		assert_lost(i);
		assert_int_equal(rig_run(&i->rig, &write, HBA_TO_TARGET, BLOCK), HBA_GOOD);
		assert_int_equal(rig_run(&i->rig, &read, HBA_FROM_TARGET, BLOCK), HBA_GOOD);
	}
	assert_int_equal(datasync.calls, 1);
}

static void only_opening_it_again_ends_it(void **state)
{
	struct image *i = *state;

	fail_once(i);
	target_unit_was_reset(&i->rig.device.units[0]);
	rig_forget_attention(&i->rig);
	run_sync(i);
	assert_lost(i);
	rig_close(&i->rig);
	open_image(i);
	assert_int_equal(rig_run(&i->rig, &sync_cache, HBA_NO_DATA, 0), HBA_GOOD);
}

static void it_is_reported_once(void **state)
{
	struct image *i = *state;
	struct store *store = i->rig.device.units[0].store;

	assert_int_equal(store_take_flush_error(store), 0);
	fail_once(i);
	assert_int_equal(store_take_flush_error(store), EINVAL);
	run_sync(i);
	assert_int_equal(store_take_flush_error(store), 0);
}

static void start_sync(struct image *i, struct rig_command *rc)
{
	assert_int_equal(rig_start(&i->rig, rc, &sync_cache, HBA_NO_DATA, NULL, 0, 0), 1);
}

/*
 * Two at once, and the kernel might report the loss to the one and success to the other. Those that
 * wait share the next.
 */
static void one_at_a_time(void **state)
{
	struct image *i = *state;
	struct rig_command first, second, third;

	datasync.hold = true;
	start_sync(i, &first);
	start_sync(i, &second);
	start_sync(i, &third);
	assert_int_equal(datasync.calls, 1);
	let_end(0);
	assert_true(first.ended && !second.ended && !third.ended);
	while (datasync.n_held == 0)
		engine_reap(i->rig.engine, BUDGET);
	assert_int_equal(datasync.calls, 2);
	let_end(0);
	rig_wait(&i->rig, &second.ended);
	rig_wait(&i->rig, &third.ended);
	assert_int_equal(datasync.calls, 2);
	assert_int_equal(first.command.outcome, HBA_GOOD);
	assert_int_equal(second.command.outcome, HBA_GOOD);
	assert_int_equal(third.command.outcome, HBA_GOOD);
	/* None is out any more: the next goes to the kernel at once. */
	start_sync(i, &first);
	assert_int_equal(datasync.calls, 3);
	let_end(0);
}

static void those_that_wait_fail_too(void **state)
{
	struct image *i = *state;
	struct rig_command first, second;

	datasync.hold = true;
	start_sync(i, &first);
	start_sync(i, &second);
	let_end(-EIO);
	assert_true(first.ended);
	rig_wait(&i->rig, &second.ended);
	assert_int_equal(first.command.outcome, HBA_CHECK_CONDITION);
	assert_int_equal(second.command.outcome, HBA_CHECK_CONDITION);
	assert_int_equal(datasync.calls, 1);
}

static void those_that_share_fail_too(void **state)
{
	struct image *i = *state;
	struct rig_command first, second, third;

	datasync.hold = true;
	start_sync(i, &first);
	start_sync(i, &second);
	start_sync(i, &third);
	let_end(0);
	while (datasync.n_held == 0)
		engine_reap(i->rig.engine, BUDGET);
	let_end(-ENOSPC); /* of a file system that finds room for blocks only then */
	rig_wait(&i->rig, &second.ended);
	rig_wait(&i->rig, &third.ended);
	assert_int_equal(second.command.outcome, HBA_CHECK_CONDITION);
	assert_int_equal(third.command.outcome, HBA_CHECK_CONDITION);
	i->rig.last = third;
	assert_lost(i);
}

/*
 * An abort loses no data, neither of the flush that is out nor of one that waits; the others go to
 * the kernel again.
 */
static void a_cancelled_flush_has_not_failed(void **state)
{
	struct image *i = *state;
	struct rig_command first, second, third;

	datasync.hold = true;
	start_sync(i, &first);
	start_sync(i, &second);
	start_sync(i, &third);
	target_abort(&first.command);
	target_abort(&second.command);
	let_end(-ECANCELED);
	assert_int_equal(first.command.outcome, HBA_TASK_ABORTED);
	while (datasync.n_held == 0)
		engine_reap(i->rig.engine, BUDGET);
	assert_true(second.ended && !third.ended);
	assert_int_equal(second.command.outcome, HBA_TASK_ABORTED);
	let_end(0);
	assert_true(third.ended);
	assert_int_equal(third.command.outcome, HBA_GOOD);
	assert_int_equal(store_take_flush_error(i->rig.device.units[0].store), 0);
}

static void wait_drained(struct image *i)
{
	while (!engine_drained(i->rig.engine))
		usleep(1000);
	target_device_forget(&i->rig.device);
}

/* A reset of the adapter forgets the command, not what its fdatasync said. */
static void a_forgotten_flush_still_counts(void **state)
{
	struct image *i = *state;
	struct rig_command first, second;

	datasync.instead = i->pipe[0];
	start_sync(i, &first);
	start_sync(i, &second);
	assert_int_equal(engine_submit(i->rig.engine), 0);
	while (!engine_ready(i->rig.engine)) /* sooner, it might be cancelled before it has begun */
		usleep(1000);
	target_forget_commands(i->rig.engine);
	wait_drained(i);
	datasync.instead = -1;
	assert_false(first.ended || second.ended);
	run_sync(i);
	assert_lost(i);
}

static void flushes_go_on_after_a_reset(void **state)
{
	struct image *i = *state;
	struct rig_command first, second;

	start_sync(i, &first);
	start_sync(i, &second);
	target_forget_commands(i->rig.engine);
	wait_drained(i);
	assert_int_equal(rig_run(&i->rig, &sync_cache, HBA_NO_DATA, 0), HBA_GOOD);
	assert_false(first.ended || second.ended);
}

#define WITH_IMAGE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_IMAGE(a_failed_flush_is_remembered),
		WITH_IMAGE(only_opening_it_again_ends_it),
		WITH_IMAGE(it_is_reported_once),
		WITH_IMAGE(one_at_a_time),
		WITH_IMAGE(those_that_wait_fail_too),
		WITH_IMAGE(those_that_share_fail_too),
		WITH_IMAGE(a_cancelled_flush_has_not_failed),
		WITH_IMAGE(a_forgotten_flush_still_counts),
		WITH_IMAGE(flushes_go_on_after_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
