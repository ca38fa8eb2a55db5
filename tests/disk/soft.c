/* SPDX-License-Identifier: MIT */
/* soft.c: every operation of the disk layer on a real controller, a software one. */
#include <errno.h>
#include <hbakit/hbakit.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BLOCK = 512, PIECE = 64 * 1024, MANY = 300, SIZE = 64 << 20 };

static int set_up(void **state)
{
	struct hba_controller *c;

	/* Fewer tasks than requests: most of them wait inside. */
	if (hba_controller_open("soft:ram?size=64M&tasks=8", NULL, &c) < 0 ||
	    hba_controller_start(c) < 0)
		return -1;
	*state = c;
	return 0;
}

static int take_down(void **state)
{
	hba_controller_close(*state);
	return 0;
}

static int run(struct hba_controller *c, enum hba_disk_op op, uint64_t offset, uint64_t length,
	       void *buffer)
{
	struct hba_disk_io io = { .lun = hba_lun_next(c, NULL),
				  .op = op,
				  .offset = offset,
				  .length = length,
				  .mode = HBA_DATA_CPU,
				  .data = { .buffer = buffer } };

	return hba_disk_do(&io);
}

static bool is_all(const uint8_t *data, size_t n, uint8_t value)
{
	for (size_t i = 0; i < n; i++)
		if (data[i] != value)
			return false;
	return true;
}

/* A disk without WRITE SAME says so, and has not been touched. */
static void what_is_zeroed_reads_as_zeros(void **state)
{
	struct hba_controller *c = *state;
	uint8_t *data = malloc(PIECE);
	int r;

	assert_non_null(data);
	memset(data, 0xa5, PIECE);
	assert_int_equal(run(c, HBA_DISK_WRITE, 0, PIECE, data), 0);
	r = run(c, HBA_DISK_ZERO, BLOCK, PIECE - 2 * BLOCK, NULL);
	assert_true(r == 0 || r == -EOPNOTSUPP);
	memset(data, 1, PIECE);
	assert_int_equal(run(c, HBA_DISK_READ, 0, PIECE, data), 0);
	assert_true(is_all(data, BLOCK, 0xa5));
	assert_true(is_all(data + BLOCK, PIECE - 2 * BLOCK, r == 0 ? 0 : 0xa5));
	assert_true(is_all(data + PIECE - BLOCK, BLOCK, 0xa5));
	free(data);
}

static void the_others_end(void **state)
{
	static const enum hba_disk_op optional[] = { HBA_DISK_VERIFY, HBA_DISK_UNMAP,
						     HBA_DISK_ZERO };
	struct hba_controller *c = *state;

	assert_int_equal(run(c, HBA_DISK_FLUSH, 0, 0, NULL), 0);
	for (unsigned i = 0; i < sizeof(optional) / sizeof(optional[0]); i++) {
		int r = run(c, optional[i], 0, SIZE, NULL);

		assert_true(r == 0 || r == -EOPNOTSUPP);
		assert_int_equal(run(c, optional[i], SIZE - BLOCK, 2 * BLOCK, NULL), -ERANGE);
	}
}

/* Memory has room by pages: one that is written stands between two runs that are not. */
static void status_tells_what_was_written(void **state)
{
	struct hba_controller *c = *state;
	struct hba_disk_extent e[4];
	struct hba_disk_io io = { .lun = hba_lun_next(c, NULL),
				  .op = HBA_DISK_STATUS,
				  .length = SIZE,
				  .extents = e,
				  .max_extents = 4 };
	struct hba_lun_info info;
	uint8_t *data = calloc(1, PIECE);

	assert_non_null(data);
	hba_lun_get_info(io.lun, &info);
	assert_true(info.thin && info.reads_zero);
	assert_int_equal(run(c, HBA_DISK_UNMAP, 0, SIZE, NULL), 0);
	memset(data, 1, PIECE);
	assert_int_equal(run(c, HBA_DISK_WRITE, PIECE, PIECE, data), 0);
	assert_int_equal(hba_disk_do(&io), 0);
	assert_int_equal(io.n_extents, 3);
	assert_int_equal(e[0].state, HBA_DISK_DEALLOCATED);
	assert_int_equal(e[1].state, HBA_DISK_MAPPED);
	assert_int_equal(e[2].state, HBA_DISK_DEALLOCATED);
	assert_int_equal(e[1].offset, PIECE);
	assert_int_equal(e[1].length, PIECE);
	assert_int_equal(e[2].offset + e[2].length, SIZE);
	free(data);
}

static unsigned dones;

static void count(struct hba_disk_io *io)
{
	assert_int_equal(io->error, 0);
	dones++;
}

static void requests_wait_for_their_task(void **state)
{
	struct hba_controller *c = *state;
	struct hba_disk_io *ios = calloc(MANY, sizeof(*ios));
	uint8_t *data = calloc(MANY, BLOCK);

	assert_non_null(ios);
	assert_non_null(data);
	dones = 0;
	for (unsigned i = 0; i < MANY; i++) {
		ios[i] = (struct hba_disk_io) {
			.lun = hba_lun_next(c, NULL),
			.op = HBA_DISK_WRITE,
			.offset = (uint64_t)i * BLOCK,
			.length = BLOCK,
			.mode = HBA_DATA_CPU,
			.data = { .buffer = data + (size_t)i * BLOCK },
			.done = count,
		};
		memset(data + (size_t)i * BLOCK, (int)i, BLOCK);
		assert_int_equal(hba_disk_submit(&ios[i]), 0);
	}
	while (dones < MANY)
		assert_true(hba_controller_run(c, 1) >= 0);
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(run(c, HBA_DISK_READ, (uint64_t)i * BLOCK, BLOCK, data), 0);
		assert_true(is_all(data, BLOCK, (uint8_t)i));
	}
	free(data);
	free(ios);
}

enum { PIECES = 4, MAPPING_BYTES = 2 * PIECE };

static int run_pieces(struct hba_controller *c, enum hba_disk_op op, const struct hba_piece *pieces,
		      uint32_t n)
{
	struct hba_disk_io io = { .lun = hba_lun_next(c, NULL),
				  .op = op,
				  .mode = HBA_DATA_REGION,
				  .data = { .pieces = pieces } };

	io.n_data = n;
	for (uint32_t i = 0; i < n; i++)
		io.length += pieces[i].length;
	return hba_disk_do(&io);
}

/*
 * Odd places and lengths, last piece first: what lands is only what was asked for, where it was
 * asked for.
 */
static void pieces_of_a_mapping_take_the_data(void **state)
{
	struct hba_controller *c = *state;
	uint8_t *data = malloc(PIECES * BLOCK), *memory;
	struct hba_piece pieces[PIECES];
	struct hba_mapping *m;

	assert_non_null(data);
	assert_int_equal(hba_mapping_create(c, HBA_DEVICE_BOTH, MAPPING_BYTES, 0, &m), 0);
	memory = hba_mapping_address(m);
	for (size_t i = 0; i < (size_t)PIECES * BLOCK; i++)
		data[i] = (uint8_t)(i * 7 + i / BLOCK);
	assert_int_equal(run(c, HBA_DISK_WRITE, 0, PIECES * BLOCK, data), 0);
	for (uint32_t i = 0; i < PIECES; i++)
		pieces[i] =
			(struct hba_piece) { hba_mapping_region(m), i % 2 ? BLOCK + 1 : BLOCK - 1,
					     (PIECES - i) * 3 * BLOCK + 5 };
	memset(memory, 0xee, MAPPING_BYTES);
	assert_int_equal(run_pieces(c, HBA_DISK_READ, pieces, PIECES), 0);
	for (size_t i = 0, at = 0; i < PIECES; at += pieces[i++].length) {
		assert_memory_equal(memory + pieces[i].offset, data + at, pieces[i].length);
		assert_true(is_all(memory + pieces[i].offset + pieces[i].length, BLOCK, 0xee));
	}
	memset(memory, 0x11, MAPPING_BYTES);
	assert_int_equal(run_pieces(c, HBA_DISK_WRITE, pieces, PIECES), 0);
	assert_int_equal(run(c, HBA_DISK_READ, 0, PIECES * BLOCK, data), 0);
	assert_true(is_all(data, PIECES * BLOCK, 0x11));
	assert_int_equal(hba_mapping_release(m), 0);
	free(data);
}

static void pieces_outside_a_mapping_are_refused(void **state)
{
	struct hba_controller *c = *state;
	struct hba_mapping *m;
	struct hba_piece piece = { .length = BLOCK };

	assert_int_equal(hba_mapping_create(c, HBA_DEVICE_BOTH, BLOCK, 0, &m), 0);
	piece.region = hba_mapping_region(m);
	assert_int_equal(run_pieces(c, HBA_DISK_READ, &piece, 1), 0);
	piece.offset = hba_mapping_length(m) - BLOCK + 1;
	assert_int_equal(run_pieces(c, HBA_DISK_READ, &piece, 1), -EACCES);
	piece.offset = UINT64_MAX - BLOCK + 1; /* offset + length wraps to 0 */
	assert_int_equal(run_pieces(c, HBA_DISK_READ, &piece, 1), -EACCES);
	piece.offset = 0;
	assert_int_equal(hba_mapping_release(m), 0);
	assert_int_equal(run_pieces(c, HBA_DISK_READ, &piece, 1), -EINVAL);
	piece.region = UINT32_MAX;
	assert_int_equal(run_pieces(c, HBA_DISK_READ, &piece, 1), -EINVAL);
}

enum { WIDE = 65536 * BLOCK };

static void wide_read_and_zero(const char *uri)
{
	struct hba_controller *c;
	uint8_t *data = malloc(WIDE), *back = malloc(WIDE);

	assert_non_null(data);
	assert_non_null(back);
	assert_int_equal(hba_controller_open(uri, NULL, &c), 0);
	assert_int_equal(hba_controller_start(c), 0);
	for (size_t i = 0; i < WIDE; i++)
		data[i] = (uint8_t)(i / BLOCK * 31 + i);
	assert_int_equal(run(c, HBA_DISK_WRITE, BLOCK, WIDE, data), 0);
	assert_int_equal(run(c, HBA_DISK_READ, BLOCK, WIDE, back), 0);
	assert_memory_equal(data, back, WIDE);
	assert_int_equal(run(c, HBA_DISK_ZERO, BLOCK, WIDE, NULL), 0);
	assert_int_equal(run(c, HBA_DISK_VERIFY, BLOCK, WIDE, NULL), 0);
	assert_int_equal(run(c, HBA_DISK_READ, BLOCK, WIDE, back), 0);
	assert_true(is_all(back, WIDE, 0));
	hba_controller_close(c);
	free(back);
	free(data);
}

/*
 * One block more than ten bytes count. With segments, what is between the buffer and the device is
 * bounced or staged.
 */
static void short_cdbs_reach_as_far(void **state)
{
	(void)state;
	wide_read_and_zero("soft:ram?size=64M&max_cdb=10");
	wide_read_and_zero("soft:ram?size=64M&max_cdb=12");
	wide_read_and_zero("soft:ram?size=64M&max_cdb=10&data=dma");
}

static void put_back(struct hba_task *t, const struct hba_result *r, void *over)
{
	assert_int_equal(r->outcome, HBA_GOOD);
	hba_task_put(t);
	*(bool *)over = true;
}

static void start_stop(struct hba_controller *c, uint8_t what)
{
	struct hba_task *t;
	bool over = false;

	assert_int_equal(hba_task_get(hba_lun_next(c, NULL), 0, NULL, &t), 0);
	t->cdb_len = 6;
	t->cdb[0] = 0x1b;
	t->cdb[4] = what;
	assert_int_equal(hba_submit(t, put_back, &over), 0);
	while (!over)
		assert_true(hba_controller_run(c, 1) >= 0);
}

/* Eject, load, and nobody has looked: the write means the medium before. */
static void a_change_of_the_medium_is_not_swallowed(void **state)
{
	enum { EJECT = 2, LOAD = 3 };

	static uint8_t data[BLOCK];
	struct hba_disk_io io = { .op = HBA_DISK_WRITE,
				  .length = BLOCK,
				  .data = { .buffer = data },
				  .mode = HBA_DATA_CPU,
				  .generation = 1 };
	struct hba_lun_info info;
	struct hba_controller *c;
	struct hba_event e;

	(void)state;
	assert_int_equal(hba_controller_open("soft:ram?size=4M&removable=1", NULL, &c), 0);
	assert_int_equal(hba_controller_start(c), 0);
	io.lun = hba_lun_next(c, NULL);
	start_stop(c, EJECT);
	start_stop(c, LOAD);
	memset(data, 0xa5, sizeof(data));
	assert_int_equal(hba_disk_do(&io), -ESTALE);
	hba_lun_get_info(io.lun, &info);
	assert_int_equal(info.generation, 2);
	while (hba_event_next(c, &e) && e.kind != HBA_EVENT_LUN_CHANGED)
		;
	assert_int_equal(e.kind, HBA_EVENT_LUN_CHANGED);
	assert_string_equal(
		e.text,
		"target 0, unit 0: its medium was changed: generation 2, 8192 blocks of 512 bytes");
	io.op = HBA_DISK_READ;
	io.generation = 2;
	assert_int_equal(hba_disk_do(&io), 0);
	assert_true(is_all(data, BLOCK, 0));
	hba_controller_close(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_tells_what_was_written),
		cmocka_unit_test(what_is_zeroed_reads_as_zeros),
		cmocka_unit_test(the_others_end),
		cmocka_unit_test(requests_wait_for_their_task),
		cmocka_unit_test(pieces_of_a_mapping_take_the_data),
		cmocka_unit_test(pieces_outside_a_mapping_are_refused),
		cmocka_unit_test(short_cdbs_reach_as_far),
		cmocka_unit_test(a_change_of_the_medium_is_not_swallowed),
	};

	return cmocka_run_group_tests(tests, set_up, take_down);
}
