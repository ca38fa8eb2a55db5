/* SPDX-License-Identifier: MIT */
/*
 * test_soft.c: the software HBA under the real core: URIs that are right and wrong, I/O with and
 * without sleep, aborts, resets, the end.
 */
#include "rig.h"

#include <fcntl.h>
#include <hbakit/hbakit.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOCK = 512, BLOCKS = 256, WAIT_MS = 10000, BUDGET = 16, MANY = 100 };

struct bench {
	struct hba_controller *c;
	char path[64], uri[256];
};

struct io {
	struct hba_task *task;
	enum hba_outcome outcome;
	uint64_t bytes;
	unsigned ended;
	uint8_t data[4 * BLOCK];
};

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	int fd;

	assert_non_null(b);
	snprintf(b->path, sizeof(b->path), "%s", "/tmp/hbakit-soft-XXXXXX");
	fd = mkstemp(b->path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, BLOCKS * BLOCK), 0);
	close(fd);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	hba_controller_close(b->c);
	unlink(b->path);
	free(b);
	return 0;
}

static int try_start(struct bench *b, const char *uri)
{
	int r = hba_controller_open(uri, NULL, &b->c);

	return r < 0 ? r : hba_controller_start(b->c);
}

static void start(struct bench *b, const char *uri)
{
	int r = try_start(b, uri);

	if (r < 0)
		fail_msg("%s: %s", uri, hba_error());
}

static void start_file(struct bench *b, const char *options)
{
	snprintf(b->uri, sizeof(b->uri), "soft:%s%s", b->path, options);
	start(b, b->uri);
}

/* One turn of a loop that sleeps when there is nothing to do. */
static void turn(struct hba_controller *c)
{
	struct pollfd fd = { .fd = hba_controller_fd(c), .events = POLLIN };

	if (hba_controller_run(c, BUDGET) != 0 || hba_controller_arm(c) != 0)
		return;
	assert_int_equal(poll(&fd, 1, WAIT_MS), 1);
}

static void io_done(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct io *io = arg;

	io->outcome = r->outcome;
	io->bytes = r->bytes;
	io->ended++;
	hba_task_put(t);
}

static void submit(struct hba_lun *lun, struct io *io, const struct scsi_cdb *cdb,
		   enum hba_direction direction, uint64_t length)
{
	struct hba_task *t;

	io->ended = 0;
	assert_int_equal(hba_task_get(lun, 0, NULL, &t), 0);
	memcpy(t->cdb, cdb->bytes, cdb->length);
	t->cdb_len = cdb->length;
	t->direction = (uint8_t)direction;
	t->data.buffer = io->data;
	t->length = length;
	io->task = t;
	assert_int_equal(hba_submit(t, io_done, io), 0);
}

static enum hba_outcome run(struct bench *b, struct hba_lun *lun, struct io *io,
			    struct scsi_cdb cdb, enum hba_direction direction, uint64_t length)
{
	submit(lun, io, &cdb, direction, length);
	while (!io->ended)
		turn(b->c);
	return io->outcome;
}

static struct hba_lun *unit(struct bench *b, uint64_t number)
{
	struct hba_lun *lun = hba_lun_find(b->c, 0, number);

	assert_non_null(lun);
	return lun;
}

/* ---- URIs */

static void refused_with_a_sentence(void **state)
{
	static const struct {
		const char *uri, *part;
	} wrong[] = {
		{ "soft:", "soft:ram" },
		{ "soft:rma", "ram and null" },
		{ "soft:./no-such-file.img", "no-such-file.img" },
		{ "soft:/dev/null", "neither a regular file" },
		{ "soft:ram?size=0", "size=0" },
		{ "soft:ram?size=100", "less than one block" },
		{ "soft:ram?size=many", "many" },
		{ "soft:ram?luns=0", "luns=0" },
		{ "soft:ram?block=513", "513" },
		{ "soft:ram?fill=none", "fill=" },
		{ "soft:null?fill=ones", "fill=ones" },
		{ "soft:ram?readonly=perhaps", "readonly=perhaps" },
		{ "soft:ram?tasks=0", "tasks=0" },
		{ "soft:ram?queues=1000", "queues=1000" },
		{ "soft:./x.img?size=1M", "size=" },
		{ "soft:./x.img?luns=2", "luns=" },
	};
	struct bench *b = *state;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_true(try_start(b, wrong[i].uri) < 0);
		if (!strstr(hba_error(), wrong[i].part))
			fail_msg("%s: \"%s\" does not say \"%s\"", wrong[i].uri, hba_error(),
				 wrong[i].part);
		hba_controller_close(b->c);
		b->c = NULL;
	}
}

static void units_are_found_as_asked_for(void **state)
{
	struct bench *b = *state;
	struct hba_lun_info info;
	struct hba_lun *lun;
	unsigned n = 0;

	start(b, "soft:ram?size=1M&targets=2&luns=4&block=4096");
	for (lun = hba_lun_next(b->c, NULL); lun; lun = hba_lun_next(b->c, lun), n++) {
		hba_lun_get_info(lun, &info);
		assert_int_equal(info.target, n / 4);
		assert_int_equal(info.number, n % 4);
		assert_int_equal(info.block_bytes, 4096);
		assert_int_equal(info.blocks, 256);
		assert_string_equal(info.vendor, "HBAKIT");
		assert_int_equal(strlen(info.serial), 16);
		assert_memory_equal(info.id, "naa.3", 5);
	}
	assert_int_equal(n, 8);
}

static void file_with_scratch_beside_it(void **state)
{
	struct bench *b = *state;
	struct hba_lun_info info;
	struct io io;

	start_file(b, "?scratch=64k&readonly=1");
	hba_lun_get_info(unit(b, 0), &info);
	assert_int_equal(info.blocks, BLOCKS);
	assert_true(info.read_only);
	hba_lun_get_info(unit(b, 1), &info);
	assert_int_equal(info.blocks, 128);
	assert_false(info.read_only);
	assert_null(hba_lun_find(b->c, 0, 2));
	assert_int_equal(run(b, unit(b, 0), &io, rig_rw(HBA_TO_TARGET, 0, 1, 10, false),
			     HBA_TO_TARGET, BLOCK),
			 HBA_CHECK_CONDITION);
	assert_int_equal(run(b, unit(b, 1), &io, rig_rw(HBA_TO_TARGET, 0, 1, 10, false),
			     HBA_TO_TARGET, BLOCK),
			 HBA_GOOD);
}

/*
 * A registration that shall outlive a power loss lies beside the image, and the next controller on
 * it knows of it.
 */
static void reservations_lie_beside_the_image(void **state)
{
	struct bench *b = *state;
	struct scsi_cdb out = RIG_CDB(SCSI_PERSISTENT_RESERVE_OUT, 0, 0, 0, 0, 0, 0, 0, 24, 0);
	struct scsi_cdb in = RIG_CDB(SCSI_PERSISTENT_RESERVE_IN, 0, 0, 0, 0, 0, 0, 0, 64, 0);
	struct io io = { .data = { [15] = 7, [20] = 1 } };
	char beside[80];

	snprintf(beside, sizeof(beside), "%s.pr", b->path);
	start_file(b, "");
	assert_int_equal(run(b, unit(b, 0), &io, out, HBA_TO_TARGET, 24), HBA_GOOD);
	hba_controller_close(b->c);
	b->c = NULL;
	start_file(b, "");
	assert_int_equal(run(b, unit(b, 0), &io, in, HBA_FROM_TARGET, 64), HBA_GOOD);
	assert_int_equal(unlink(beside), 0);
	assert_int_equal(io.bytes, 16);
	assert_int_equal(io.data[15], 7);
}

int real_datasync(struct engine *e, struct engine_op *op, int fd) __asm__("__real_engine_datasync");
int test_datasync(struct engine *e, struct engine_op *op, int fd) __asm__("__wrap_engine_datasync");

/*
 * A pipe cannot be synced: each flush fails while there is one. The wrapper has no other way to its
 * test.
 */
static int pipe_instead = -1;

int test_datasync(struct engine *e, struct engine_op *op, int fd)
{
	return real_datasync(e, op, pipe_instead >= 0 ? pipe_instead : fd);
}

static unsigned count_events(struct bench *b, enum hba_event_kind kind, struct hba_event *ret_event)
{
	struct hba_event e;
	unsigned n = 0;

	while (hba_event_next(b->c, &e) > 0)
		if (e.kind == kind && n++ == 0)
			*ret_event = e;
	return n;
}

static const char *write_failure(struct bench *b)
{
	struct hba_property p;

	for (unsigned i = 0; hba_property_get(b->c, 0, i, &p) == 0; i++)
		if (strcmp(p.key, "Write Failure") == 0)
			return p.value.string;
	return NULL;
}

/* However many commands fail because of it: one event, with a sentence that a scan shows, too. */
static void a_failed_flush_is_told_once(void **state)
{
	struct bench *b = *state;
	struct scsi_cdb sync = RIG_CDB(SCSI_SYNCHRONIZE_CACHE_10, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	struct hba_event e = { 0 };
	struct io io;
	int ends[2];

	start_file(b, "");
	assert_int_equal(run(b, unit(b, 0), &io, sync, HBA_NO_DATA, 0), HBA_GOOD);
	assert_null(write_failure(b));
	assert_int_equal(count_events(b, HBA_EVENT_WRITES_LOST, &e), 0);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pipe_instead = ends[0];
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(run(b, unit(b, 0), &io, sync, HBA_NO_DATA, 0),
				 HBA_CHECK_CONDITION);
	pipe_instead = -1;
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(count_events(b, HBA_EVENT_WRITES_LOST, &e), 1);
	assert_int_equal(e.target, 0);
	assert_non_null(strstr(e.text, b->path));
	assert_non_null(strstr(e.text, "open it again"));
	assert_string_equal(write_failure(b), e.text);
}

static void two_controllers_one_file(void **state)
{
	struct bench *b = *state;
	struct bench second = { 0 };

	start_file(b, "");
	assert_int_equal(try_start(&second, b->uri), -EBUSY);
	assert_non_null(strstr(hba_error(), "in use"));
	hba_controller_close(b->c);
	b->c = NULL;
	/* the same controller again, once the file is free */
	assert_int_equal(hba_controller_start(second.c), 0);
	hba_controller_close(second.c);
}

/* ---- I/O */

static void write_and_read_back(struct bench *b)
{
	struct io *ios = calloc(MANY, sizeof(*ios));

	assert_non_null(ios);
	for (unsigned pass = 0; pass < 2; pass++) {
		enum hba_direction direction = pass == 0 ? HBA_TO_TARGET : HBA_FROM_TARGET;

		for (unsigned i = 0; i < MANY; i++) {
			struct scsi_cdb cdb = rig_rw(direction, 2 * i, 2, 10, false);

			memset(ios[i].data, pass == 0 ? (int)i + 1 : 0, 2 * BLOCK);
			submit(unit(b, 0), &ios[i], &cdb, direction, 2 * BLOCK);
		}
		for (unsigned i = 0; i < MANY; i++) {
			while (!ios[i].ended)
				turn(b->c);
			assert_int_equal(ios[i].outcome, HBA_GOOD);
			assert_int_equal(ios[i].bytes, 2 * BLOCK);
			assert_int_equal(ios[i].data[0], i + 1);
			assert_int_equal(ios[i].data[2 * BLOCK - 1], i + 1);
		}
	}
	free(ios);
}

static void ram_keeps_what_is_written(void **state)
{
	struct bench *b = *state;

	start(b, "soft:ram?size=1M");
	write_and_read_back(b);
}

static void file_keeps_what_is_written(void **state)
{
	struct bench *b = *state;
	uint8_t back[BLOCK];
	int fd;

	start_file(b, "");
	write_and_read_back(b);
	fd = open(b->path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, back, BLOCK, 2 * 7 * BLOCK), BLOCK);
	close(fd);
	assert_int_equal(back[0], 8);
}

static void hba_data_is_mapped_for_every_task(void **state)
{
	struct bench *b = *state;
	struct hba_counts counts;

	start(b, "soft:null?size=1T&tasks=300");
	hba_controller_counts(b->c, &counts);
	assert_int_equal(counts.client_tasks, 300);
	assert_int_equal(counts.hba_data_mapped,
			 counts.client_tasks + counts.internal_tasks + counts.tmf_tasks);
	assert_int_equal(counts.io_path_mappings, 0);
}

/* What `manage` would reject, no unit claims. */
static void units_tell_the_functions_that_there_are(void **state)
{
	static const struct {
		const char *uri;
		uint8_t told;
	} cases[] = { { "soft:ram?size=1M", 0xfa },
		      { "soft:ram?size=1M&tmfs=0", 0 },
		      { "soft:ram?size=1M&tmfs=33", 0x82 } };
	struct scsi_cdb ask = RIG_CDB(SCSI_MAINTENANCE_IN, SCSI_MI_REPORT_SUPPORTED_TMFS, 0, 0, 0,
				      0, 0, 0, 0, 4, 0, 0);
	struct bench *b = *state;
	struct io io;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		start(b, cases[i].uri);
		assert_int_equal(run(b, unit(b, 0), &io, ask, HBA_FROM_TARGET, 4), HBA_GOOD);
		assert_int_equal(io.data[0], cases[i].told);
		hba_controller_close(b->c);
		b->c = NULL;
	}
}

static void stop_with_io_out_gives_all_back(void **state)
{
	struct bench *b = *state;
	struct io *ios = calloc(MANY, sizeof(*ios));
	struct scsi_cdb write = rig_rw(HBA_TO_TARGET, 0, 4, 10, true);

	assert_non_null(ios);
	start_file(b, "");
	for (unsigned i = 0; i < MANY; i++)
		submit(unit(b, 0), &ios[i], &write, HBA_TO_TARGET, 4 * BLOCK);
	hba_controller_run(b->c, 1);
	assert_int_equal(hba_controller_stop(b->c), 0);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(ios[i].ended, 1);
	free(ios);
}

#define WITH_BENCH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BENCH(refused_with_a_sentence),
		WITH_BENCH(units_are_found_as_asked_for),
		WITH_BENCH(file_with_scratch_beside_it),
		WITH_BENCH(two_controllers_one_file),
		WITH_BENCH(reservations_lie_beside_the_image),
		WITH_BENCH(ram_keeps_what_is_written),
		WITH_BENCH(file_keeps_what_is_written),
		WITH_BENCH(hba_data_is_mapped_for_every_task),
		WITH_BENCH(stop_with_io_out_gives_all_back),
		WITH_BENCH(units_tell_the_functions_that_there_are),
		WITH_BENCH(a_failed_flush_is_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
