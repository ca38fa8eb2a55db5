/* SPDX-License-Identifier: MIT */
/*
 * test_transfers.c: random reads and writes with lists cut anywhere, against a shadow copy of the
 * disk; in memory and in a file, one at a time and many at once.
 */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOCK = 512, BLOCKS = 512, DISK = BLOCK * BLOCKS, MOST_PIECES = 3000, ROUNDS = 3000 };

struct bench {
	struct rig rig;
	uint8_t shadow[DISK];
	uint8_t buffer[DISK];
	struct iovec list[MOST_PIECES];
	char path[64];
	uint32_t seed;
};

static int open_bench(void **state, bool file)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct store *store;
	int fd;

	assert_non_null(b);
	b->seed = 4711;
	rig_open(&b->rig);
	if (!file) {
		rig_add_ram(&b->rig, DISK, BLOCK);
	} else {
		snprintf(b->path, sizeof(b->path), "%s", "/tmp/hbakit-transfers-XXXXXX");
		fd = mkstemp(b->path);
		assert_true(fd >= 0);
		assert_int_equal(ftruncate(fd, DISK), 0);
		close(fd);
		assert_int_equal(store_open_file(b->path, false, &store, b->rig.message), 0);
		rig_add(&b->rig, store, BLOCK, false);
	}
	*state = b;
	return 0;
}

static int open_ram(void **state)
{
	return open_bench(state, false);
}

static int open_file(void **state)
{
	return open_bench(state, true);
}

static int close_bench(void **state)
{
	struct bench *b = *state;

	rig_close(&b->rig);
	if (*b->path)
		unlink(b->path);
	free(b);
	return 0;
}

/* How long the next piece is: single bytes, nothing at all, half blocks, long stretches. */
static size_t piece_length(uint32_t *seed)
{
	switch (rig_random(seed, 5)) {
	case 0:
		return 0;
	case 1:
		return 1;
	case 2:
		return 1 + rig_random(seed, 700);
	case 3:
		return BLOCK / 2;
	default:
		return 1 + rig_random(seed, 20000);
	}
}

/*
 * Cut `length` bytes of the buffer into a list; returns its items. `style` 0: any pieces; 1:
 * nothing but single bytes.
 */
static unsigned cut(struct bench *b, uint64_t length, bool bytes_only)
{
	uint64_t at = 0;
	unsigned n = 0;

	while (at < length && n < MOST_PIECES - 1) {
		size_t piece = bytes_only ? 1 : piece_length(&b->seed);

		if (piece > length - at)
			piece = (size_t)(length - at);
		b->list[n++] = (struct iovec) { b->buffer + at, piece };
		at += piece;
	}
	b->list[n++] = (struct iovec) { b->buffer + at, (size_t)(length - at) };
	return n;
}

static void one_round(struct bench *b)
{
	static const unsigned sizes[] = { 6, 10, 12, 16 };
	unsigned size = sizes[rig_random(&b->seed, 4)];
	bool bytes_only = rig_random(&b->seed, 8) == 0,
	     fua = size > 6 && rig_random(&b->seed, 50) == 0;
	uint32_t count = 1 + rig_random(&b->seed, bytes_only ? 5 : 100),
		 block = rig_random(&b->seed, BLOCKS - count + 1);
	enum hba_direction direction = rig_random(&b->seed, 2) ? HBA_TO_TARGET : HBA_FROM_TARGET;
	/* Sometimes the client's list is longer than the command. */
	uint64_t length = (uint64_t)count * BLOCK,
		 extra = rig_random(&b->seed, 4) ? 0 : rig_random(&b->seed, 1000);
	struct scsi_cdb cdb = rig_rw(direction, block, count, size, fua);
	unsigned n;

	if (extra > DISK - length)
		extra = 0;
	for (uint64_t i = 0; i < length + extra; i++)
		b->buffer[i] = (uint8_t)rig_random(&b->seed, 256);
	n = cut(b, length + extra, bytes_only);
	if (direction == HBA_TO_TARGET)
		memcpy(b->shadow + block * BLOCK, b->buffer, length);
	assert_int_equal(rig_run_list(&b->rig, &cdb, direction, b->list, n, length + extra),
			 HBA_GOOD);
	assert_int_equal(b->rig.last.command.bytes, length);
	if (direction == HBA_FROM_TARGET)
		assert_memory_equal(b->buffer, b->shadow + block * BLOCK, length);
}

static void random_lists_match_the_shadow(void **state)
{
	struct bench *b = *state;
	struct scsi_cdb all = rig_rw(HBA_FROM_TARGET, 0, BLOCKS, 10, false);

	print_message("seed %u\n", b->seed);
	for (unsigned i = 0; i < ROUNDS; i++)
		one_round(b);
	b->list[0] = (struct iovec) { b->buffer, DISK };
	assert_int_equal(rig_run_list(&b->rig, &all, HBA_FROM_TARGET, b->list, 1, DISK), HBA_GOOD);
	assert_memory_equal(b->buffer, b->shadow, DISK);
}

/* Longer than one vectored call takes: more single bytes than IOV_MAX. */
static void more_pieces_than_one_call_takes(void **state)
{
	struct bench *b = *state;
	struct scsi_cdb write = rig_rw(HBA_TO_TARGET, 3, 5, 10, true),
			read = rig_rw(HBA_FROM_TARGET, 3, 5, 10, true);
	unsigned n;

	for (unsigned i = 0; i < 5 * BLOCK; i++)
		b->buffer[i] = (uint8_t)rig_random(&b->seed, 256);
	memcpy(b->shadow, b->buffer, 5 * BLOCK);
	n = cut(b, 5 * BLOCK, true);
	assert_true(n > 1024);
	assert_int_equal(rig_run_list(&b->rig, &write, HBA_TO_TARGET, b->list, n, 5 * BLOCK),
			 HBA_GOOD);
	memset(b->buffer, 0, 5 * BLOCK);
	assert_int_equal(rig_run_list(&b->rig, &read, HBA_FROM_TARGET, b->list, n, 5 * BLOCK),
			 HBA_GOOD);
	assert_memory_equal(b->buffer, b->shadow, 5 * BLOCK);
}

static void many_at_once(void **state)
{
	enum { MANY = RIG_DEPTH * 4 }; /* more than the ring has entries */
	static struct rig_command commands[MANY];
	static struct iovec pieces[MANY];
	struct bench *b = *state;

	for (unsigned pass = 0; pass < 2; pass++) {
		enum hba_direction direction = pass == 0 ? HBA_TO_TARGET : HBA_FROM_TARGET;

		for (unsigned i = 0; i < MANY; i++) {
			struct scsi_cdb cdb = rig_rw(direction, MANY - 1 - i, 1, 10, false);

			pieces[i] = (struct iovec) { b->buffer + i * BLOCK, BLOCK };
			memset(pieces[i].iov_base, pass == 0 ? (int)(i & 0xff) : 0xff, BLOCK);
			rig_start(&b->rig, &commands[i], &cdb, direction, &pieces[i], 1, BLOCK);
		}
		for (unsigned i = 0; i < MANY; i++) {
			rig_wait(&b->rig, &commands[i].ended);
			assert_int_equal(commands[i].command.outcome, HBA_GOOD);
			assert_int_equal(b->buffer[i * BLOCK + BLOCK - 1], i & 0xff);
		}
	}
}

static void ends_of_the_disk(void **state)
{
	struct bench *b = *state;
	struct rig *rig = &b->rig;
	struct scsi_cdb last = rig_rw(HBA_FROM_TARGET, BLOCKS - 1, 1, 16, false);
	struct scsi_cdb over = rig_rw(HBA_FROM_TARGET, BLOCKS - 1, 2, 16, false);
	struct scsi_cdb beyond = rig_rw(HBA_TO_TARGET, BLOCKS, 1, 10, false);
	struct scsi_cdb far = rig_rw(HBA_TO_TARGET, UINT64_MAX, 1, 16, false);
	struct scsi_cdb nothing = rig_rw(HBA_TO_TARGET, BLOCKS, 0, 10, false);
	struct scsi_cdb far_nothing = rig_rw(HBA_TO_TARGET, BLOCKS + 1, 0, 10, false);
	struct scsi_sense sense;

	assert_int_equal(rig_run(rig, &last, HBA_FROM_TARGET, BLOCK), HBA_GOOD);
	rig_run(rig, &over, HBA_FROM_TARGET, 2 * BLOCK);
	sense = rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
	assert_true(sense.has_information);
	assert_int_equal(sense.information, BLOCKS);
	assert_int_equal(rig->last.command.bytes, 0);
	rig_run(rig, &beyond, HBA_TO_TARGET, BLOCK);
	rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
	rig_run(rig, &far, HBA_TO_TARGET, BLOCK);
	rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
	assert_int_equal(rig_run(rig, &nothing, HBA_NO_DATA, 0), HBA_GOOD);
	rig_run(rig, &far_nothing, HBA_NO_DATA, 0);
	rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
}

static void short_buffers(void **state)
{
	struct bench *b = *state;
	struct rig *rig = &b->rig;
	struct scsi_cdb write = rig_rw(HBA_TO_TARGET, 0, 2, 10, false),
			read = rig_rw(HBA_FROM_TARGET, 0, 2, 10, false);

	memset(rig->data, 0x77, 2 * BLOCK);
	rig_run(rig, &write, HBA_TO_TARGET, 2 * BLOCK - 1);
	rig_assert_field(rig, 7, 7);
	memset(rig->data, 0x11, 2 * BLOCK);
	assert_int_equal(rig_run(rig, &read, HBA_FROM_TARGET, BLOCK + 10), HBA_GOOD);
	assert_int_equal(rig->last.command.bytes, BLOCK + 10);
	assert_int_equal(rig->data[BLOCK + 9], 0);
	assert_int_equal(rig->data[BLOCK + 10], 0x11);
	assert_int_equal(rig_run(rig, &read, HBA_NO_DATA, 0), HBA_GOOD);
	assert_int_equal(rig->last.command.bytes, 0);
}

static void read_only_unit_refuses_to_be_written(void **state)
{
	struct bench *b = *state;
	struct rig *rig = &b->rig;
	struct scsi_cdb write = rig_rw(HBA_TO_TARGET, 0, 1, 10, false),
			read = rig_rw(HBA_FROM_TARGET, 0, 1, 10, false);

	rig->device.units[0].read_only = true;
	memset(rig->data, 0x77, BLOCK);
	rig_run(rig, &write, HBA_TO_TARGET, BLOCK);
	rig_assert_sense(rig, SCSI_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED);
	assert_int_equal(rig_run(rig, &read, HBA_FROM_TARGET, BLOCK), HBA_GOOD);
	assert_int_equal(rig->data[0], 0);
}

static void null_gives_zeros_or_leaves_alone(void **state)
{
	struct rig *rig = malloc(sizeof(*rig));
	struct scsi_cdb write = rig_rw(HBA_TO_TARGET, 1, 1, 16, true),
			read = rig_rw(HBA_FROM_TARGET, 1, 1, 16, true);

	(void)state;
	for (unsigned fill = NULL_FILL_ZERO; fill <= NULL_FILL_NONE; fill++) {
		struct store *store;

		rig_open(rig);
		assert_int_equal(store_open_null(UINT64_C(1) << 40, fill, &store, rig->message), 0);
		rig_add(rig, store, BLOCK, false);
		memset(rig->data, 0x42, sizeof(rig->data));
		assert_int_equal(rig_run(rig, &write, HBA_TO_TARGET, BLOCK), HBA_GOOD);
		assert_int_equal(rig->last.command.bytes, BLOCK);
		assert_int_equal(rig_run(rig, &read, HBA_FROM_TARGET, BLOCK), HBA_GOOD);
		assert_int_equal(rig->last.command.bytes, BLOCK);
		assert_int_equal(rig->data[BLOCK - 1], fill == NULL_FILL_ZERO ? 0 : 0x42);
		assert_int_equal(rig->data[BLOCK], 0x42);
		rig_close(rig);
	}
	free(rig);
}

#define IN_BOTH(f)                                            \
	{ #f " (ram)", f, open_ram, close_bench, NULL },      \
	{                                                     \
#f " (file)", f, open_file, close_bench, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_BOTH(random_lists_match_the_shadow),
		IN_BOTH(more_pieces_than_one_call_takes),
		IN_BOTH(many_at_once),
		IN_BOTH(ends_of_the_disk),
		IN_BOTH(short_buffers),
		IN_BOTH(read_only_unit_refuses_to_be_written),
		cmocka_unit_test(null_gives_zeros_or_leaves_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
