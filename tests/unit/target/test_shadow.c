/* SPDX-License-Identifier: MIT */
/*
 * test_shadow.c: long random rows of every command that reads, writes, compares or unmaps, against
 * a plain array that does the same by memcpy(); on memory and on a file, blocks of 512 and of 4096
 * bytes, data in lists cut anywhere.
 *
 * The array also knows which granules must be mapped: those with a byte that is not zero. And after
 * a whole granule was unmapped, it must be deallocated.
 */
#include "rig.h"

#include <unistd.h>

enum { DISK = 768 * 1024, GRANULE = 4096, MOST_BYTES = 160 * 1024, MOST_PIECES = 40 };

/* On a file each WRITE AND VERIFY waits for the disk. */
enum { ROUNDS_RAM = 4000, ROUNDS_FILE = 700 };

struct bench {
	struct rig rig;
	uint8_t shadow[DISK];
	uint8_t data[MOST_BYTES];
	struct iovec list[MOST_PIECES];
	unsigned pieces;
	uint32_t block, seed;
	char path[64];
};

static int open_bench(void **state, bool file, uint32_t block)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct store *store;
	int fd;

	assert_non_null(b);
	b->seed = 20261123;
	b->block = block;
	rig_open(&b->rig);
	if (file) {
		snprintf(b->path, sizeof(b->path), "/tmp/hbakit-shadow-XXXXXX");
		fd = mkstemp(b->path);
		assert_true(fd >= 0);
		assert_int_equal(ftruncate(fd, DISK), 0);
		close(fd);
		assert_int_equal(store_open_file(b->path, false, &store, b->rig.message), 0);
		rig_add(&b->rig, store, block, false);
	} else {
		rig_add_ram(&b->rig, DISK, block);
	}
	*state = b;
	return 0;
}

static int ram_512(void **state)
{
	return open_bench(state, false, 512);
}

static int ram_4k(void **state)
{
	return open_bench(state, false, 4096);
}

static int file_512(void **state)
{
	return open_bench(state, true, 512);
}

static int file_4k(void **state)
{
	return open_bench(state, true, 4096);
}

static int close_bench(void **state)
{
	struct bench *b = *state;

	rig_close(&b->rig);
	if (b->path[0])
		unlink(b->path);
	free(b);
	return 0;
}

/* ---- data */

/* Pieces of any size, empty ones among them. */
static void cut(struct bench *b, uint64_t length)
{
	uint64_t at = 0;

	for (b->pieces = 0; b->pieces < MOST_PIECES - 1 && at < length; b->pieces++) {
		uint64_t left = length - at,
			 n = rig_random(&b->seed, 4) ? rig_random(&b->seed, (uint32_t)left + 1) : 1;

		b->list[b->pieces] = (struct iovec) { b->data + at, n };
		at += n;
	}
	b->list[b->pieces++] = (struct iovec) { b->data + at, length - at };
}

/*
 * Zeros often, so that there is something to unmap; else few bits, so that ORWRITE does not end in
 * a disk of ones.
 */
static void fill(struct bench *b, uint64_t length)
{
	bool zero = rig_random(&b->seed, 3) == 0;

	for (uint64_t i = 0; i < length; i++)
		b->data[i] = zero ? 0 : (uint8_t)(1U << rig_random(&b->seed, 8));
}

static struct scsi_extent pick(struct bench *b, uint32_t most)
{
	uint32_t blocks = DISK / b->block;
	struct scsi_extent e = { .block = rig_random(&b->seed, blocks) };
	uint32_t left = blocks - (uint32_t)e.block;

	e.count = 1 + rig_random(&b->seed, rig_random(&b->seed, 2) ? 8 : most);
	if (e.count > left)
		e.count = left;
	return e;
}

static enum hba_outcome run(struct bench *b, uint8_t opcode, uint8_t flags,
			    const struct scsi_extent *e, uint64_t length)
{
	struct scsi_cdb cdb;

	assert_int_equal(scsi_cdb_extent(opcode, flags, e, &cdb), 0);
	cut(b, length);
	return rig_run_list(&b->rig, &cdb, HBA_TO_TARGET, b->list, b->pieces, length);
}

static void assert_difference(const struct bench *b, uint64_t at)
{
	struct scsi_sense sense =
		rig_assert_sense(&b->rig, SCSI_MISCOMPARE, SCSI_ASC_MISCOMPARE_DURING_VERIFY);

	assert_int_equal(sense.information, at);
}

static uint64_t first_difference(const uint8_t *a, const uint8_t *b, uint64_t length)
{
	uint64_t i = 0;

	while (i < length && a[i] == b[i])
		i++;
	return i;
}

/* ---- each command, done twice */

static uint32_t most_blocks(const struct bench *b)
{
	return MOST_BYTES / b->block;
}

static void do_write(struct bench *b)
{
	struct scsi_extent e = pick(b, most_blocks(b));
	struct scsi_cdb cdb =
		rig_rw(HBA_TO_TARGET, e.block, e.count, 16, rig_random(&b->seed, 8) == 0);
	uint64_t length = (uint64_t)e.count * b->block;

	fill(b, length);
	cut(b, length);
	assert_int_equal(rig_run_list(&b->rig, &cdb, HBA_TO_TARGET, b->list, b->pieces, length),
			 HBA_GOOD);
	memcpy(b->shadow + e.block * b->block, b->data, length);
}

static void do_read(struct bench *b)
{
	struct scsi_extent e = pick(b, most_blocks(b));
	struct scsi_cdb cdb = rig_rw(HBA_FROM_TARGET, e.block, e.count, 16, false);
	uint64_t length = (uint64_t)e.count * b->block;

	memset(b->data, 0x55, length);
	cut(b, length);
	assert_int_equal(rig_run_list(&b->rig, &cdb, HBA_FROM_TARGET, b->list, b->pieces, length),
			 HBA_GOOD);
	assert_memory_equal(b->data, b->shadow + e.block * b->block, length);
}

static void do_write_and_verify(struct bench *b)
{
	struct scsi_extent e = pick(b, most_blocks(b));
	uint64_t length = (uint64_t)e.count * b->block;

	fill(b, length);
	assert_int_equal(run(b, SCSI_WRITE_AND_VERIFY_16, SCSI_BYTCHK_COMPARE, &e, length),
			 HBA_GOOD);
	memcpy(b->shadow + e.block * b->block, b->data, length);
}

/* Now and then one byte differs. */
static void do_verify(struct bench *b)
{
	struct scsi_extent e = pick(b, most_blocks(b));
	uint64_t length = (uint64_t)e.count * b->block, at;
	const uint8_t *there = b->shadow + e.block * b->block;

	memcpy(b->data, there, length);
	if (rig_random(&b->seed, 2))
		b->data[rig_random(&b->seed, (uint32_t)length)] ^= 0x10;
	at = first_difference(b->data, there, length);
	run(b, SCSI_VERIFY_16, SCSI_BYTCHK_COMPARE, &e, length);
	if (at < length)
		assert_difference(b, at);
	else
		assert_int_equal(b->rig.last.command.outcome, HBA_GOOD);
}

static void do_compare_and_write(struct bench *b)
{
	uint32_t most = most_blocks(b) / 2;
	struct scsi_extent e = pick(b, most < 255 ? most : 255);
	uint64_t half = (uint64_t)e.count * b->block, at;
	uint8_t *there = b->shadow + e.block * b->block;

	fill(b, 2 * half);
	memcpy(b->data, there, half);
	if (rig_random(&b->seed, 3) == 0)
		b->data[rig_random(&b->seed, (uint32_t)half)] ^= 0x10;
	at = first_difference(b->data, there, half);
	run(b, SCSI_COMPARE_AND_WRITE, 0, &e, 2 * half);
	if (at < half) {
		assert_difference(b, at);
		return;
	}
	assert_int_equal(b->rig.last.command.outcome, HBA_GOOD);
	memcpy(there, b->data + half, half);
}

static void do_orwrite(struct bench *b)
{
	struct scsi_extent e = pick(b, most_blocks(b));
	uint64_t length = (uint64_t)e.count * b->block;

	fill(b, length);
	assert_int_equal(run(b, SCSI_ORWRITE_16, 0, &e, length), HBA_GOOD);
	for (uint64_t i = 0; i < length; i++)
		b->shadow[e.block * b->block + i] |= b->data[i];
}

/* Every whole granule in there is deallocated. */
static void assert_unmapped(struct bench *b, const struct scsi_extent *e)
{
	uint32_t per = GRANULE / b->block;
	struct scsi_lba_status s;
	struct scsi_cdb cdb;

	for (uint64_t block = (e->block + per - 1) / per * per; block + per <= e->block + e->count;
	     block += per) {
		cdb = scsi_cdb_lba_status(block, 24);
		assert_int_equal(rig_run(&b->rig, &cdb, HBA_FROM_TARGET, 24), HBA_GOOD);
		assert_int_equal(scsi_lba_status_read(b->rig.data, 24, &s, 1), 1);
		assert_int_equal(s.provisioning, SCSI_DEALLOCATED);
		assert_true(s.extent.block == block && s.extent.count >= per);
	}
}

static void do_write_same(struct bench *b)
{
	struct scsi_extent e = pick(b, DISK / b->block);
	uint8_t flags = rig_random(&b->seed, 2) ? SCSI_WRITE_SAME_UNMAP : 0;
	bool zeros = rig_random(&b->seed, 3) == 0;

	fill(b, b->block);
	if (zeros) {
		flags |= SCSI_NDOB;
		memset(b->data, 0, b->block);
	}
	assert_int_equal(run(b, SCSI_WRITE_SAME_16, flags, &e, zeros ? 0 : b->block), HBA_GOOD);
	for (uint32_t i = 0; i < e.count; i++)
		memcpy(b->shadow + (e.block + i) * b->block, b->data, b->block);
	if (flags & SCSI_WRITE_SAME_UNMAP && zeros)
		assert_unmapped(b, &e);
}

static void do_unmap(struct bench *b)
{
	struct scsi_extent extents[5];
	unsigned n = 1 + rig_random(&b->seed, 5);
	struct scsi_cdb cdb;
	size_t length;

	for (unsigned i = 0; i < n; i++)
		extents[i] = pick(b, DISK / b->block / 4);
	length = scsi_unmap_write(extents, n, b->data);
	cdb = scsi_cdb_unmap_list((uint16_t)length);
	cut(b, length);
	assert_int_equal(rig_run_list(&b->rig, &cdb, HBA_TO_TARGET, b->list, b->pieces, length),
			 HBA_GOOD);
	for (unsigned i = 0; i < n; i++) {
		memset(b->shadow + extents[i].block * b->block, 0,
		       (size_t)extents[i].count * b->block);
		assert_unmapped(b, &extents[i]);
	}
}

static bool is_zero(const uint8_t *bytes, uint64_t n)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, n - 1) == 0;
}

/* From anywhere to the end: runs without gaps, and nothing deallocated that is not zero. */
static void do_status(struct bench *b)
{
	uint64_t block = rig_random(&b->seed, DISK / b->block), blocks = DISK / b->block;
	struct scsi_lba_status s;
	struct scsi_cdb cdb;

	while (block < blocks) {
		cdb = scsi_cdb_lba_status(block, 24);
		assert_int_equal(rig_run(&b->rig, &cdb, HBA_FROM_TARGET, 24), HBA_GOOD);
		assert_int_equal(scsi_lba_status_read(b->rig.data, 24, &s, 1), 1);
		assert_true(s.extent.block == block && s.extent.count > 0 &&
			    s.extent.count <= blocks - block);
		if (s.provisioning == SCSI_DEALLOCATED)
			assert_true(is_zero(b->shadow + block * b->block,
					    (uint64_t)s.extent.count * b->block));
		block += s.extent.count;
	}
}

static void random_rows(void **state)
{
	static void (*const commands[])(struct bench *) = {
		do_write,
		do_write,
		do_read,
		do_read,
		do_write_and_verify,
		do_verify,
		do_compare_and_write,
		do_orwrite,
		do_write_same,
		do_unmap,
		do_status,
	};
	struct bench *b = *state;
	unsigned rounds = b->path[0] ? ROUNDS_FILE : ROUNDS_RAM;

	print_message("seed %u, %u rounds\n", b->seed, rounds);
	for (unsigned i = 0; i < rounds; i++)
		commands[rig_random(&b->seed, ARRAY_SIZE(commands))](b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "random_rows_on_ram_512", random_rows, ram_512, close_bench, NULL },
		{ "random_rows_on_ram_4k", random_rows, ram_4k, close_bench, NULL },
		{ "random_rows_on_file_512", random_rows, file_512, close_bench, NULL },
		{ "random_rows_on_file_4k", random_rows, file_4k, close_bench, NULL },
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
