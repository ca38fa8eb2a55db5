/* SPDX-License-Identifier: MIT */
/*
 * test_walks.c: commands that go over more blocks than their thread has time for at once: others
 * get in between, abort and reset reach them, and what they do is the same as without any pause.
 * And the engine that brings them back, with a ring and without.
 */
#include "blocks.h"

#include "target/commands.h"

#include <poll.h>

enum { LONG = UNITS, LONG_BYTES = 8 << 20, VAST = UNITS + 1, TURN_BYTES = 1 << 20, BUDGET = 16 };

/* Two more units: memory of several turns, and nothing of more than anybody waits for. */
static int setup(void **state)
{
	struct store *store;
	struct rig *rig;

	blocks_setup(state);
	rig = &((struct bench *)*state)->rig;
	rig_add_ram(rig, LONG_BYTES, 512);
	assert_int_equal(store_open_null(UINT64_C(1) << 41, NULL_FILL_ZERO, &store, rig->message),
			 0);
	rig_add(rig, store, 512, false);
	return 0;
}

static int setup_without_ring(void **state)
{
	struct rig *rig;

	setup(state);
	rig = &((struct bench *)*state)->rig;
	engine_free(rig->engine);
	assert_int_equal(engine_create(0, &rig->engine), 0);
	return 0;
}

/*
 * All of the unit, or as many blocks as a CDB can name, is compared with the block of zeros in
 * `one`.
 */
static int start_verify(struct rig *rig, unsigned lun, struct rig_command *rc, struct iovec *one)
{
	struct scsi_extent all = { 0, lun == VAST ? UINT32_MAX : LONG_BYTES / 512 };
	struct scsi_cdb cdb;

	blocks_to_lun(rig, lun);
	assert_int_equal(scsi_cdb_extent(SCSI_VERIFY_16, SCSI_BYTCHK_ONE, &all, &cdb), 0);
	memset(rig->data, 0, 512);
	*one = (struct iovec) { rig->data, 512 };
	return rig_start(rig, rc, &cdb, HBA_TO_TARGET, one, 1, 512);
}

static enum hba_outcome ready(struct rig *rig)
{
	struct scsi_cdb cdb = scsi_cdb_test_unit_ready();

	return rig_run(rig, &cdb, HBA_NO_DATA, 0);
}

static void others_get_in_between(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	static struct rig_command walk;
	struct iovec one;

	for (unsigned lun = LONG; lun <= VAST; lun++) {
		assert_int_equal(start_verify(rig, lun, &walk, &one), 1);
		for (unsigned i = 0; i < 3; i++) {
			assert_int_equal(ready(rig), HBA_GOOD);
			/* the turn; the ring has woken itself, too */
			assert_in_range(engine_reap(rig->engine, BUDGET), 1, 2);
			assert_false(walk.ended);
		}
		target_abort(&walk.command);
		rig_wait(rig, &walk.ended);
		assert_int_equal(walk.command.outcome, HBA_TASK_ABORTED);
		assert_int_equal(ready(rig), HBA_GOOD);
	}
}

static uint64_t bytes_in_turn;
static const struct store_ops *plain;

static int count_read(struct store *s, struct store_io *io)
{
	bytes_in_turn += io->length;
	return plain->read(s, io);
}

static void a_turn_is_a_megabyte(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	struct store *store = blocks_to_lun(rig, LONG)->store;
	static struct rig_command walk;
	static struct store_ops ops;
	struct iovec one;
	unsigned turns;

	plain = store->ops;
	ops = *plain;
	ops.read = count_read;
	store->ops = &ops;
	bytes_in_turn = 0;
	assert_int_equal(start_verify(rig, LONG, &walk, &one), 1);
	assert_int_equal(bytes_in_turn, TURN_BYTES);
	for (turns = 1; !walk.ended; turns++) {
		bytes_in_turn = 0;
		assert_in_range(engine_reap(rig->engine, BUDGET), 1, 2);
		assert_true(bytes_in_turn == TURN_BYTES || walk.ended);
	}
	assert_in_range(turns, LONG_BYTES / TURN_BYTES, LONG_BYTES / TURN_BYTES + 1);
	assert_int_equal(walk.command.outcome, HBA_GOOD);
	store->ops = plain;
}

static void walks_do_what_they_would_without_pause(void **state)
{
	enum { LAST = LONG_BYTES / 512 - 1 };
	struct rig *rig = &((struct bench *)*state)->rig;
	struct scsi_sense sense;

	blocks_to_lun(rig, LONG);
	memset(rig->data, 0x5a, 512);
	assert_int_equal(blocks_extent(rig, SCSI_WRITE_SAME_16, 0, 0, LAST, 512), HBA_GOOD);
	assert_int_equal(blocks_extent(rig, SCSI_VERIFY_16, SCSI_BYTCHK_ONE, 0, LAST, 512),
			 HBA_GOOD);
	blocks_assert(rig, LAST - 1, 1, 0x5a);
	blocks_assert(rig, LAST, 1, 0);
	memset(rig->data, 0x5a, 512);
	assert_int_equal(blocks_extent(rig, SCSI_VERIFY_16, SCSI_BYTCHK_ONE, 0, LAST + 1, 512),
			 HBA_CHECK_CONDITION);
	sense = rig_assert_sense(rig, SCSI_MISCOMPARE, SCSI_ASC_MISCOMPARE_DURING_VERIFY);
	assert_int_equal(sense.information, (uint64_t)LAST * 512);
}

static unsigned deallocations;

static int count_deallocation(struct store *s, struct store_io *io)
{
	assert_true(io->length <= 32 << 20);
	deallocations++;
	return plain->deallocate(s, io);
}

/*
 * Extents that begin and end anywhere: what lies between is given back whole, in turns, and nothing
 * else is touched.
 */
static void unmap_takes_turns(void **state)
{
	enum {
		BIG_BYTES = 112 << 20,
		FIRST = 5,
		BLOCKS_OF_BIG = BIG_BYTES / 512,
		END = BLOCKS_OF_BIG - 3
	};
	struct rig *rig = &((struct bench *)*state)->rig;
	struct scsi_extent extents[] = { { FIRST, 0 },
					 { FIRST, 80 << 11 },
					 { FIRST + (80 << 11), END - FIRST - (80 << 11) } };
	static struct store_ops ops;
	static struct rig_command unmap;
	struct scsi_cdb cdb;
	struct iovec iov;
	size_t length;
	uint64_t end;
	unsigned turns;

	rig_add_ram(rig, BIG_BYTES, 512);
	blocks_to_lun(rig, VAST + 1);
	for (unsigned block = 32 << 11; block < BLOCKS_OF_BIG; block += 32 << 11)
		blocks_write(rig, block - 16, 32, 0x77); /* across each turn's end */
	blocks_write(rig, 0, 8, 0x77);
	blocks_write(rig, END - 5, 8, 0x77);
	plain = rig->device.units[VAST + 1].store->ops;
	ops = *plain;
	ops.deallocate = count_deallocation;
	rig->device.units[VAST + 1].store->ops = &ops;
	deallocations = 0;
	length = scsi_unmap_write(extents, ARRAY_SIZE(extents), rig->data);
	cdb = scsi_cdb_unmap_list((uint16_t)length);
	iov = (struct iovec) { rig->data, length };
	assert_int_equal(rig_start(rig, &unmap, &cdb, HBA_TO_TARGET, &iov, 1, length), 1);
	for (turns = 1; !unmap.ended; turns++)
		engine_reap(rig->engine, BUDGET);
	assert_int_equal(unmap.command.outcome, HBA_GOOD);
	assert_in_range(turns, 3, 5);
	assert_in_range(deallocations, 4, 6);
	blocks_assert(rig, 0, FIRST, 0x77);
	blocks_assert(rig, END, 3, 0x77);
	assert_false(plain->allocated(rig->device.units[VAST + 1].store, 4096, &end));
	assert_int_equal(end, BIG_BYTES - 4096);
}

/*
 * Whoever must be alone does not leave the unit half-way: the data, 4 MiB, are the same block many
 * times.
 */
static void exclusive_commands_do_not_pause(void **state)
{
	enum { PIECES = 64, COUNT = PIECES * RIG_DATA_BYTES / 512 };
	struct rig *rig = &((struct bench *)*state)->rig;
	struct scsi_extent extent = { 0, COUNT };
	static struct rig_command merge;
	struct iovec pieces[PIECES];
	struct scsi_cdb cdb;

	blocks_to_lun(rig, LONG);
	memset(rig->data, 0x11, RIG_DATA_BYTES);
	for (unsigned i = 0; i < PIECES; i++)
		pieces[i] = (struct iovec) { rig->data, RIG_DATA_BYTES };
	assert_int_equal(scsi_cdb_extent(SCSI_ORWRITE_16, 0, &extent, &cdb), 0);
	assert_int_equal(rig_start(rig, &merge, &cdb, HBA_TO_TARGET, pieces, PIECES,
				   PIECES * RIG_DATA_BYTES),
			 0);
	assert_int_equal(merge.command.outcome, HBA_GOOD);
	blocks_assert(rig, COUNT - 1, 1, 0x11);
}

static void ordered_commands_wait_for_a_walk(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	struct scsi_cdb cdb = scsi_cdb_test_unit_ready();
	static struct rig_command walk, ordered;
	struct iovec one;

	assert_int_equal(start_verify(rig, LONG, &walk, &one), 1);
	rig->attribute = HBA_ORDERED;
	assert_int_equal(rig_start(rig, &ordered, &cdb, HBA_NO_DATA, NULL, 0, 0), 1);
	rig->attribute = HBA_SIMPLE;
	engine_reap(rig->engine, BUDGET);
	assert_false(walk.ended || ordered.ended);
	rig_wait(rig, &ordered.ended);
	assert_true(walk.ended);
	assert_int_equal(ordered.command.outcome, HBA_GOOD);
	assert_int_equal(rig->device.units[LONG].gate, 0);
}

static void a_reset_forgets_a_walk(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	static struct rig_command walk;
	struct iovec one;

	assert_int_equal(start_verify(rig, VAST, &walk, &one), 1);
	target_forget_commands(rig->engine);
	assert_true(engine_drained(rig->engine));
	target_device_forget(&rig->device);
	assert_true(list_is_empty(&rig->device.units[VAST].scratch.lent));
	assert_int_equal(engine_reap(rig->engine, BUDGET), 0);
	assert_false(walk.ended);
	assert_int_equal(start_verify(rig, LONG, &walk, &one), 1);
	rig_wait(rig, &walk.ended);
	assert_int_equal(walk.command.outcome, HBA_GOOD);
}

/* PREEMPT AND ABORT finds them, too, though nothing else would have kept it from ending at once. */
static void preempt_and_abort_ends_a_walk(void **state)
{
	enum { REGISTER = 0, PREEMPT_AND_ABORT = 5, BYTES_OF_LIST = 24 };
	struct rig *rig = &((struct bench *)*state)->rig;
	struct scsi_cdb out =
		RIG_CDB(SCSI_PERSISTENT_RESERVE_OUT, REGISTER, 1, 0, 0, 0, 0, 0, BYTES_OF_LIST, 0);
	static struct rig_command walk;
	struct iovec one;

	blocks_to_lun(rig, VAST);
	for (rig->nexus = 0; rig->nexus < 2; rig->nexus++) {
		memset(rig->data, 0, BYTES_OF_LIST);
		put_be64(rig->data + 8, rig->nexus + 1U);
		assert_int_equal(rig_run(rig, &out, HBA_TO_TARGET, BYTES_OF_LIST), HBA_GOOD);
	}
	rig->nexus = 0;
	assert_int_equal(start_verify(rig, VAST, &walk, &one), 1);
	rig->nexus = 1;
	out.bytes[1] = PREEMPT_AND_ABORT;
	memset(rig->data, 0, BYTES_OF_LIST);
	put_be64(rig->data, 2);
	put_be64(rig->data + 8, 1);
	assert_int_equal(rig_run(rig, &out, HBA_TO_TARGET, BYTES_OF_LIST), HBA_GOOD);
	assert_true(walk.ended);
	assert_int_equal(walk.command.outcome, HBA_TASK_ABORTED);
	rig->nexus = 0;
}

static void without_an_engine_there_is_no_pause(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	struct engine *engine = rig->engine;
	static struct rig_command walk;
	struct iovec one;

	rig->engine = NULL;
	assert_int_equal(start_verify(rig, LONG, &walk, &one), 0);
	assert_int_equal(walk.command.outcome, HBA_GOOD);
	rig->engine = engine;
}

/* ---- what brings them back */

struct post {
	struct engine_op op;
	struct engine *engine;
	unsigned runs;
};

static void run_again(struct engine_op *op, int result)
{
	struct post *p = container_of(op, struct post, op);

	assert_int_equal(result, 0);
	if (++p->runs < 3)
		engine_post(p->engine, op);
}

static void *post_all(void *arg)
{
	struct post *p = arg;

	engine_post(p[0].engine, &p[0].op);
	engine_post(p[1].engine, &p[1].op);
	return NULL;
}

static bool is_readable(struct engine *e)
{
	struct pollfd fd = { .fd = engine_fd(e), .events = POLLIN };

	return poll(&fd, 1, 0) == 1;
}

static void posts_run_in_turn(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	struct post posts[2] = { { .op.done = run_again, .engine = rig->engine },
				 { .op.done = run_again, .engine = rig->engine } };
	pthread_t thread;

	assert_int_equal(engine_submit(rig->engine), 0);
	assert_false(is_readable(rig->engine));
	assert_int_equal(pthread_create(&thread, NULL, post_all, posts), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(is_readable(rig->engine));
	engine_reap(rig->engine, BUDGET);
	assert_true(posts[0].runs == 1 && posts[1].runs == 1);
	assert_true(is_readable(rig->engine));
	engine_reap(rig->engine, BUDGET);
	assert_true(posts[0].runs == 2 && posts[1].runs == 2);
	while (engine_reap(rig->engine, BUDGET) > 0)
		;
	assert_true(posts[0].runs == 3 && posts[1].runs == 3);
	assert_false(is_readable(rig->engine));
}

static unsigned calls;

static void count_call(struct engine *e)
{
	(void)e;
	calls++;
}

static void calls_are_counted_once_until_they_run(void **state)
{
	struct engine *e = ((struct bench *)*state)->rig.engine;

	calls = 0;
	for (unsigned round = 1; round <= 2; round++) {
		engine_call(e, count_call);
		engine_call(e, count_call);
		assert_int_equal(calls, round - 1);
		engine_reap(e, BUDGET);
		assert_int_equal(calls, round);
	}
	engine_call(e, count_call);
	engine_forget(e);
	assert_true(engine_drained(e));
	assert_int_equal(calls, 2);
	engine_call(e, count_call);
	engine_reap(e, BUDGET);
	assert_int_equal(calls, 3);
}

#define WITH_BENCH(f) cmocka_unit_test_setup_teardown(f, setup, blocks_teardown)
#define WITHOUT_RING(f)                                                          \
	{                                                                        \
#f "_without_ring", f, setup_without_ring, blocks_teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BENCH(others_get_in_between),
		WITHOUT_RING(others_get_in_between),
		WITH_BENCH(a_turn_is_a_megabyte),
		WITHOUT_RING(a_turn_is_a_megabyte),
		WITH_BENCH(walks_do_what_they_would_without_pause),
		WITHOUT_RING(unmap_takes_turns),
		WITH_BENCH(exclusive_commands_do_not_pause),
		WITHOUT_RING(ordered_commands_wait_for_a_walk),
		WITH_BENCH(a_reset_forgets_a_walk),
		WITHOUT_RING(a_reset_forgets_a_walk),
		WITHOUT_RING(preempt_and_abort_ends_a_walk),
		WITH_BENCH(without_an_engine_there_is_no_pause),
		WITH_BENCH(calls_are_counted_once_until_they_run),
		WITHOUT_RING(calls_are_counted_once_until_they_run),
		WITH_BENCH(posts_run_in_turn),
		WITHOUT_RING(posts_run_in_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
