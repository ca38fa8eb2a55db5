/* SPDX-License-Identifier: MIT */
/*
 * test_block_locks.c: nobody tears a COMPARE AND WRITE or an ORWRITE: many at once on one engine,
 * two threads on one memory disk, two threads with an engine each on one file; and what becomes of
 * those that wait when they are aborted or forgotten.
 */
#include "rig.h"

#include <poll.h>
#include <unistd.h>

enum { BLOCK = 512, BLOCKS = 2048, WAIT_MS = 10000 };

static void claim(struct block_locks *c, struct claim *mine, uint64_t first, uint64_t end,
		  bool exclusive, bool at_once)
{
	mine->first = first;
	mine->end = end;
	mine->exclusive = exclusive;
	assert_int_equal(block_locks_take(c, mine), at_once);
}

static unsigned granted;

static void note_granted(struct engine_op *op, int result)
{
	(void)op;
	assert_int_equal(result, 0);
	granted++;
}

static void prepare(struct claim *c, unsigned n, struct engine *e)
{
	for (unsigned i = 0; i < n; i++)
		c[i] = (struct claim) { .engine = e, .granted = { .done = note_granted } };
}

static void block_locks_go_in_order(void **state)
{
	struct engine *e;
	struct block_locks all;
	struct claim c[6];

	(void)state;
	granted = 0;
	assert_int_equal(engine_create(4, &e), 0);
	block_locks_init(&all);
	prepare(c, 6, e);
	claim(&all, &c[0], 0, 10, false, true);
	claim(&all, &c[1], 5, 15, false, true);  /* shared: together */
	claim(&all, &c[2], 14, 20, true, false); /* waits for 1 only */
	claim(&all, &c[3], 10, 14, false, true); /* not in its way */
	/* came later: waits for 2, though 2 waits itself */
	claim(&all, &c[4], 19, 30, false, false);
	claim(&all, &c[5], 30, 40, true, true);
	block_locks_drop(&all, &c[0]);
	assert_int_equal(engine_reap(e, 10), 0);
	block_locks_drop(&all, &c[1]);
	while (granted == 0)
		engine_reap(e, 10);
	assert_int_equal(granted, 1);
	assert_false(c[2].waiting);
	assert_true(c[4].waiting);
	block_locks_drop(&all, &c[2]);
	while (granted == 1)
		engine_reap(e, 10);
	for (unsigned i = 3; i < 6; i++)
		block_locks_drop(&all, &c[i]);
	assert_true(list_is_empty(&all.all) && all.waiting == 0 && all.exclusive == 0);
	block_locks_clear(&all);
	engine_free(e);
}

/* ---- counters that nobody may tear */

struct contest {
	struct rig rig;
	char path[64];
};

static void open_contest(struct contest *t, bool file)
{
	struct store *store;
	int fd;

	rig_open(&t->rig);
	if (!file) {
		rig_add_ram(&t->rig, BLOCK * BLOCKS, BLOCK);
		return;
	}
	snprintf(t->path, sizeof(t->path), "/tmp/hbakit-claims-XXXXXX");
	fd = mkstemp(t->path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, BLOCK * BLOCKS), 0);
	close(fd);
	assert_int_equal(store_open_file(t->path, false, &store, t->rig.message), 0);
	rig_add(&t->rig, store, BLOCK, false);
}

static int setup_ram(void **state)
{
	*state = calloc(1, sizeof(struct contest));
	assert_non_null(*state);
	open_contest(*state, false);
	return 0;
}

static int setup_file(void **state)
{
	*state = calloc(1, sizeof(struct contest));
	assert_non_null(*state);
	open_contest(*state, true);
	return 0;
}

static int teardown(void **state)
{
	struct contest *t = *state;

	rig_close(&t->rig);
	if (t->path[0])
		unlink(t->path);
	free(t);
	return 0;
}

/* What a player with one command at a time needs. */
struct player {
	struct rig *rig; /* the device, and nothing else of it */
	struct rig own;  /* engine, LUN, command */
	unsigned rounds, won;
	uint8_t data[2 * BLOCK];
};

static enum hba_outcome play(struct player *p, const struct scsi_cdb *cdb,
			     enum hba_direction direction, uint64_t length)
{
	struct iovec iov = { p->data, length };

	return rig_run_list(&p->own, cdb, direction, &iov, 1, length);
}

/* Read, add one, and write if nobody has been there meanwhile: until it was done so many times. */
static void *count_up(void *arg)
{
	struct player *p = arg;
	struct scsi_cdb read = rig_rw(HBA_FROM_TARGET, 9, 1, 10, false), swap;

	scsi_cdb_extent(SCSI_COMPARE_AND_WRITE, 0, &(struct scsi_extent) { 9, 1 }, &swap);
	while (p->won < p->rounds) {
		if (play(p, &read, HBA_FROM_TARGET, BLOCK) != HBA_GOOD)
			return p; /* a read failed */
		memcpy(p->data + BLOCK, p->data, BLOCK);
		/* At both ends, so that half a block would not pass. */
		put_be64(p->data + BLOCK, get_be64(p->data) + 1);
		put_be64(p->data + 2 * BLOCK - 8, get_be64(p->data) + 1);
		if (play(p, &swap, HBA_TO_TARGET, 2 * BLOCK) == HBA_GOOD)
			p->won++;
		else if ((p->own.last.command.sense[2] & 0x0f) != SCSI_MISCOMPARE)
			return p; /* neither good nor a miscompare */
	}
	return NULL;
}

static void two_threads_count(struct contest *t, unsigned rounds)
{
	struct player p[2] = { { .rig = &t->rig, .rounds = rounds },
			       { .rig = &t->rig, .rounds = rounds } };
	struct scsi_cdb read = rig_rw(HBA_FROM_TARGET, 9, 1, 10, false);
	pthread_t thread[2];
	void *complaint;

	for (unsigned i = 0; i < 2; i++) {
		p[i].own.device = t->rig.device;
		assert_int_equal(engine_create(4, &p[i].own.engine), 0);
		assert_int_equal(pthread_create(&thread[i], NULL, count_up, &p[i]), 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(thread[i], &complaint), 0);
		assert_null(complaint);
		engine_free(p[i].own.engine);
	}
	assert_int_equal(rig_run(&t->rig, &read, HBA_FROM_TARGET, BLOCK), HBA_GOOD);
	assert_int_equal(get_be64(t->rig.data), 2 * rounds);
	assert_int_equal(get_be64(t->rig.data + BLOCK - 8), 2 * rounds);
}

static void two_threads_on_memory(void **state)
{
	two_threads_count(*state, 100000);
}

static void two_threads_on_a_file(void **state)
{
	two_threads_count(*state, 5000);
}

/*
 * Sixty-four at once, a bit each: none may be lost, though each reads what another is about to
 * write.
 */
static void many_orwrites_at_once(void **state)
{
	/* blocks: more than one scratch buffer, so that each has several requests */
	enum { MANY = 64, SPAN = 200 };
	struct contest *t = *state;
	struct rig_command *c = calloc(MANY, sizeof(*c));
	uint8_t *data = calloc(MANY, (size_t)SPAN * BLOCK);
	struct iovec iov[MANY];
	struct scsi_cdb cdb, read = rig_rw(HBA_FROM_TARGET, 0, 1, 10, false);
	unsigned later = 0;

	assert_non_null(c);
	assert_non_null(data);
	scsi_cdb_extent(SCSI_ORWRITE_16, 0, &(struct scsi_extent) { 0, SPAN }, &cdb);
	for (unsigned i = 0; i < MANY; i++) {
		iov[i] = (struct iovec) { data + (size_t)i * SPAN * BLOCK, (size_t)SPAN * BLOCK };
		for (size_t block = 0; block < SPAN; block++)
			((uint8_t *)iov[i].iov_base)[block * BLOCK + i / 8] =
				(uint8_t)(1U << i % 8);
		later += (unsigned)rig_start(&t->rig, &c[i], &cdb, HBA_TO_TARGET, &iov[i], 1,
					     iov[i].iov_len);
	}
	assert_int_equal(later, MANY);
	for (unsigned i = 0; i < MANY; i++) {
		rig_wait(&t->rig, &c[i].ended);
		assert_int_equal(c[i].command.outcome, HBA_GOOD);
	}
	for (unsigned block = 0; block < SPAN; block += SPAN - 1) {
		read = rig_rw(HBA_FROM_TARGET, block, 1, 10, false);
		assert_int_equal(rig_run(&t->rig, &read, HBA_FROM_TARGET, BLOCK), HBA_GOOD);
		for (unsigned i = 0; i < MANY / 8; i++)
			assert_int_equal(t->rig.data[i], 0xff);
	}
	free(data);
	free(c);
}

/*
 * The first one runs, the second waits for it; aborted while it waits, it ends as aborted and has
 * written nothing.
 */
static void one_that_waits_is_aborted(void **state)
{
	struct contest *t = *state;
	struct rig_command c[3];
	uint8_t data[3][2 * BLOCK] = { { 0 }, { 0 }, { 0 } };
	struct iovec iov[3];
	struct scsi_cdb swap, read = rig_rw(HBA_FROM_TARGET, 3, 1, 10, false);

	scsi_cdb_extent(SCSI_COMPARE_AND_WRITE, 0, &(struct scsi_extent) { 3, 1 }, &swap);
	for (unsigned i = 0; i < 3; i++) {
		iov[i] = (struct iovec) { data[i], 2 * BLOCK };
		memset(data[i] + BLOCK, (int)i + 1, BLOCK);
	}
	memset(data[2], 1, BLOCK); /* the third expects what the first one wrote */
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(
			rig_start(&t->rig, &c[i], &swap, HBA_TO_TARGET, &iov[i], 1, 2 * BLOCK), 1);
	target_abort(&c[1].command);
	for (unsigned i = 0; i < 3; i++)
		rig_wait(&t->rig, &c[i].ended);
	assert_int_equal(c[0].command.outcome, HBA_GOOD);
	assert_int_equal(c[1].command.outcome, HBA_TASK_ABORTED);
	assert_int_equal(c[2].command.outcome, HBA_GOOD);
	assert_int_equal(rig_run(&t->rig, &read, HBA_FROM_TARGET, BLOCK), HBA_GOOD);
	assert_int_equal(t->rig.data[0], 3);
}

/*
 * As a controller reset does: all forgotten, then all as new; buffers that were lent are there
 * again.
 */
static void forgotten_commands_hold_nothing(void **state)
{
	enum { MANY = 20 };
	struct contest *t = *state;
	struct target_unit *unit = &t->rig.device.units[0];
	struct rig_command c[MANY];
	uint8_t data[2 * BLOCK] = { 0 };
	struct iovec iov = { data, 2 * BLOCK };
	struct pollfd fd = { .fd = engine_fd(t->rig.engine), .events = POLLIN };
	struct scsi_cdb swap, read = rig_rw(HBA_FROM_TARGET, 3, 1, 10, false);
	unsigned made;

	scsi_cdb_extent(SCSI_COMPARE_AND_WRITE, 0, &(struct scsi_extent) { 3, 1 }, &swap);
	for (unsigned i = 0; i < MANY; i++)
		rig_start(&t->rig, &c[i], &swap, HBA_TO_TARGET, &iov, 1, 2 * BLOCK);
	target_forget_commands(t->rig.engine);
	while (!engine_drained(t->rig.engine))
		poll(&fd, 1, WAIT_MS);
	target_device_forget(&t->rig.device);
	for (unsigned i = 0; i < MANY; i++)
		assert_false(c[i].ended);
	assert_true(list_is_empty(&unit->locks.all) && list_is_empty(&unit->scratch.lent));
	made = unit->scratch.made;
	memset(data + BLOCK, 7, BLOCK);
	assert_int_equal(rig_run_list(&t->rig, &swap, HBA_TO_TARGET, &iov, 1, 2 * BLOCK), HBA_GOOD);
	assert_int_equal(rig_run(&t->rig, &read, HBA_FROM_TARGET, BLOCK), HBA_GOOD);
	assert_int_equal(t->rig.data[0], 7);
	assert_int_equal(unit->scratch.made, made);
}

/* More than there may be buffers: BUSY for those, and none is lost. */
static void buffers_are_bounded(void **state)
{
	struct contest *t = *state;
	struct scratch_pool *p = &t->rig.device.units[0].scratch;
	struct scsi_cdb verify;
	struct scratch *lent[SCRATCH_MOST];

	scsi_cdb_extent(SCSI_VERIFY_10, SCSI_BYTCHK_COMPARE, &(struct scsi_extent) { 3, 1 },
			&verify);
	for (unsigned i = 0; i < SCRATCH_MOST; i++) {
		lent[i] = scratch_borrow(p);
		assert_non_null(lent[i]);
	}
	memset(t->rig.data, 0, BLOCK);
	assert_int_equal(rig_run(&t->rig, &verify, HBA_TO_TARGET, BLOCK), HBA_BUSY);
	for (unsigned i = 0; i < SCRATCH_MOST; i++)
		scratch_return(p, lent[i]);
	assert_int_equal(rig_run(&t->rig, &verify, HBA_TO_TARGET, BLOCK), HBA_GOOD);
	assert_true(list_is_empty(&p->lent));
}

#define ON_RAM(f)  cmocka_unit_test_setup_teardown(f, setup_ram, teardown)
#define ON_FILE(f) cmocka_unit_test_setup_teardown(f, setup_file, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(block_locks_go_in_order),
		ON_RAM(two_threads_on_memory),
		ON_FILE(two_threads_on_a_file),
		ON_FILE(many_orwrites_at_once),
		ON_FILE(one_that_waits_is_aborted),
		ON_FILE(forgotten_commands_hold_nothing),
		ON_RAM(buffers_are_bounded),
		ON_FILE(buffers_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
