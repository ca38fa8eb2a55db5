/* SPDX-License-Identifier: MIT */
/*
 * data.c: reads in every shape give the same bytes, and touch nothing else.
 *
 * A window of the disk is read once, in plain commands of moderate size. Everything else is
 * compared with that.
 */
#include "check/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	SHAPES = 64,
	RANDOM_READS = 200,
	MOST_RANDOM_BYTES = 128 * 1024,
	ODD = 3,
	CDB_BLOCKS = 3,
	LIST_BLOCKS = 4,
	GAP = 5
};
enum { LAST_POSITIONS = 4, EXTRA_BLOCKS = 3 };
#define NO_LIMIT_SEEN (UINT64_C(1) << 20) /* without a limit, this is how large a read is tried */

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* ---- the window */

static void reads_its_window(struct check *k)
{
	uint8_t *bytes;

	k->window_blocks = smaller(k->info.blocks, WINDOW_BYTES / k->info.block_bytes);
	k->window = random_below(&k->random, k->info.blocks - k->window_blocks + 1);
	bytes = malloc(k->window_blocks * k->info.block_bytes);
	if (!bytes) {
		check_skip(k, "no memory for %ju blocks", (uintmax_t)k->window_blocks);
		return;
	}
	if (blocks_read(k, k->lun, k->window, k->window_blocks, bytes))
		k->reference = bytes;
	else
		free(bytes);
}

static const uint8_t *reference_at(const struct check *k, uint64_t block)
{
	return k->reference + (block - k->window) * k->info.block_bytes;
}

/* ---- every CDB size */

static bool read_by(struct check *k, unsigned size, uint64_t block, uint32_t count, struct buffer b)
{
	struct scsi_cdb cdb;
	struct command x;

	if (!blocks_cdb(size, HBA_FROM_TARGET, block, count, &cdb))
		return true; /* too far for this size */
	x = command_in(k, cdb, b);
	command_run(k, &x);
	if (command_unknown(k, &x))
		return true;
	return command_good(k, &x) && check_number(k, "bytes read", b.length, x.bytes);
}

static bool sizes_agree(struct check *k, uint64_t block)
{
	static const unsigned sizes[] = { 6, 12, 16 };
	uint32_t count = (uint32_t)smaller(CDB_BLOCKS, k->info.blocks);
	size_t length = (size_t)count * k->info.block_bytes;
	struct buffer a = buffer_at(&k->plain, 0, length), b;
	char what[CHECK_TEXT];
	struct scsi_cdb cdb;

	if (!read_by(k, 0, block, count, a))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(sizes) && sizes[i] <= check_max_cdb(k); i++) {
		if (!blocks_cdb(sizes[i], HBA_FROM_TARGET, block, count, &cdb))
			continue;
		b = buffer_at(&k->plain, length + 2 * GUARD, length);
		if (!read_by(k, sizes[i], block, count, b))
			return false;
		/* not offered: the other sizes are judged all the same */
		if (k->result->verdict == CHECK_SKIPPED) {
			k->result->verdict = CHECK_PASSED;
			continue;
		}
		snprintf(what, sizeof(what),
			 "blocks from %ju on by a CDB of %u bytes, the same as by 10 or 16",
			 (uintmax_t)block, sizes[i]);
		if (!check_bytes(k, what, a.bytes, b.bytes, length))
			return false;
	}
	return true;
}

static void every_size_reads_the_same(struct check *k)
{
	uint64_t last = k->info.blocks - smaller(CDB_BLOCKS, k->info.blocks);

	if (!sizes_agree(k, 0) || !sizes_agree(k, smaller(1, last)) || !sizes_agree(k, last))
		return;
	for (unsigned i = 0; i < LAST_POSITIONS; i++)
		if (!sizes_agree(k, random_below(&k->random, last + 1)))
			return;
}

/* ---- lengths */

/* Above the limit, if there is one: the core then sends it in several. */
static uint64_t longest(const struct check *k)
{
	uint64_t limit = hba_controller_report(k->controller)->constraints.max_transfer,
		 block = k->info.block_bytes;
	uint64_t bytes =
		limit && limit < WINDOW_BYTES ? limit + EXTRA_BLOCKS * block : NO_LIMIT_SEEN;

	return smaller(bytes / block, k->window_blocks);
}

static bool reads_at_once(struct check *k, const struct area *area, uint64_t count)
{
	uint64_t block = k->window + random_below(&k->random, k->window_blocks - count + 1);
	struct buffer b = buffer_at(area, 0, count * k->info.block_bytes);
	char what[CHECK_TEXT];

	snprintf(what, sizeof(what), "%ju blocks read at once", (uintmax_t)count);
	return read_by(k, 0, block, (uint32_t)count, b) &&
	       check_bytes(k, what, reference_at(k, block), b.bytes, b.length);
}

static void every_length_reads_the_same(struct check *k)
{
	uint64_t most = longest(k);

	for (uint64_t count = 1; count <= most; count = count * 2 + (count > ODD))
		if (!reads_at_once(k, &k->plain, count))
			return;
	reads_at_once(k, &k->plain, most);
}

/* ---- lists */

/*
 * One byte, a few, many: pieces with a gap after each, so that every byte beside them is watched.
 */
static size_t piece_length(struct check *k, size_t rest)
{
	static const size_t lengths[] = { 1, 2, 3, 7, 64, 511, 512, 513, 4096 };

	return smaller(lengths[random_below(&k->random, ARRAY_SIZE(lengths))], rest);
}

static unsigned cut_into_pieces(struct check *k, uint8_t *at, size_t length, unsigned most)
{
	unsigned n = 0;

	for (size_t piece; length; length -= piece, at += piece + GAP) {
		piece = n + 1 < most ? piece_length(k, length) : length;
		k->iov[n++] = (struct iovec) { at, piece };
	}
	return n;
}

static bool gather(struct check *k, const uint8_t *expected, struct buffer b, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *piece = k->iov[i].iov_base, *end = piece + k->iov[i].iov_len;

		if (!check_bytes(k, "a piece of the list", expected, piece, k->iov[i].iov_len))
			return false;
		expected += k->iov[i].iov_len;
		for (unsigned j = 0; j < GAP && end + j < b.bytes + b.length; j++)
			if (end[j] != POISON_A)
				check_note(k, &k->guards,
					   "READ wrote %u bytes behind piece %u of a list", j + 1,
					   i);
	}
	return true;
}

/*
 * A driver that is given addresses, not data for a device, may be unable to take a list that is cut
 * too small; the core says so.
 */
static bool may_refuse_list(const struct check *k, const struct command *x)
{
	return x->error == -EMSGSIZE &&
	       hba_controller_report(k->controller)->data_mode != HBA_DATA_DMA;
}

static bool reads_into_list(struct check *k, const struct area *area, unsigned most)
{
	uint64_t count = 1 + random_below(&k->random, smaller(LIST_BLOCKS, k->window_blocks));
	uint64_t block = k->window + random_below(&k->random, k->window_blocks - count + 1);
	size_t length = count * k->info.block_bytes;
	struct buffer b =
		buffer_at(area, random_below(&k->random, GUARD), length + (size_t)most * GAP);
	unsigned n = cut_into_pieces(k, b.bytes, length, most);
	struct scsi_cdb cdb;
	struct command x;

	if (!blocks_cdb(0, HBA_FROM_TARGET, block, (uint32_t)count, &cdb))
		return true;
	x = command_in(k, cdb, b);
	x.data.iov = k->iov;
	x.n_data = n;
	x.length = x.bounce = length;
	command_run(k, &x);
	if (may_refuse_list(k, &x))
		return check_skip(
			k, "the core refuses lists of %u pieces within this driver's limits: %s", n,
			hba_error());
	return command_good(k, &x) && check_number(k, "bytes read", length, x.bytes) &&
	       gather(k, reference_at(k, block), b, n);
}

/* Where the device reaches it, and where it has to be copied; few pieces and many. */
static void lists_read_the_same(struct check *k)
{
	for (unsigned i = 0; i < SHAPES; i++) {
		bool mapped = k->mapped.mapping && i % 2;

		if (!reads_into_list(k, mapped ? &k->mapped : &k->plain,
				     i % 4 < 2 ? LIST_MAX : REGION_PIECES))
			return;
	}
}

/* ---- by region */

static void regions_read_the_same(struct check *k)
{
	for (unsigned i = 0; i < SHAPES; i++) {
		uint64_t count =
			1 + random_below(&k->random, smaller(LIST_BLOCKS, k->window_blocks));
		uint64_t block = k->window + random_below(&k->random, k->window_blocks - count + 1);
		struct buffer b = buffer_at(&k->mapped, random_below(&k->random, MOST_RANDOM_BYTES),
					    count * k->info.block_bytes);
		struct scsi_cdb cdb;
		struct command x;

		if (!blocks_cdb(0, HBA_FROM_TARGET, block, (uint32_t)count, &cdb))
			return;
		x = command_in(k, cdb, b);
		command_region(k, &x);
		command_run(k, &x);
		if (!command_good(k, &x) || !check_number(k, "bytes read", b.length, x.bytes) ||
		    !check_bytes(k, "blocks read by region", reference_at(k, block), b.bytes,
				 b.length))
			return;
	}
}

/* ---- anything */

static void random_reads_read_the_same(struct check *k)
{
	uint64_t most = smaller(k->window_blocks, MOST_RANDOM_BYTES / k->info.block_bytes);

	for (unsigned i = 0; i < RANDOM_READS && k->result->verdict == CHECK_PASSED; i++) {
		uint64_t count = 1 + random_below(&k->random, most);
		uint64_t block = k->window + random_below(&k->random, k->window_blocks - count + 1);
		struct buffer b = buffer_at(&k->plain, random_below(&k->random, GUARD),
					    count * k->info.block_bytes);

		if (!read_by(k, 0, block, (uint32_t)count, b) ||
		    !check_bytes(k, "blocks read at a random place", reference_at(k, block),
				 b.bytes, b.length))
			return;
	}
}

/* ---- too much and too little */

static void tells_of_an_underrun(struct check *k)
{
	size_t block = k->info.block_bytes;
	struct buffer b = buffer_at(&k->plain, 0, LIST_BLOCKS * block);
	struct scsi_cdb cdb;
	struct command x;

	if (!blocks_cdb(0, HBA_FROM_TARGET, k->window, 1, &cdb))
		return;
	x = command_in(k, cdb, b);
	command_run(k, &x);
	if (!command_good(k, &x) ||
	    !check_number(k, "bytes moved of one block, asked for with room for four", block,
			  x.bytes) ||
	    !check_bytes(k, "the block", k->reference, b.bytes, block))
		return;
	for (size_t i = block; i < b.length; i++)
		if (b.bytes[i] != POISON_A) {
			check_failed(k, "nothing behind the block", "a byte at %zu", i);
			return;
		}
}

/*
 * What it ends as depends on the transport. The bytes that are counted have to be there, and no
 * others.
 */
static void stays_within_an_overrun(struct check *k)
{
	size_t block = k->info.block_bytes;
	struct buffer b = buffer_at(&k->plain, 0, block);
	struct scsi_cdb cdb;
	struct command x;

	if (k->window_blocks < LIST_BLOCKS ||
	    !blocks_cdb(0, HBA_FROM_TARGET, k->window, LIST_BLOCKS, &cdb))
		return;
	x = command_in(k, cdb, b);
	command_run(k, &x);
	if (x.error) {
		check_skip(k, "the core refuses a buffer that is shorter than the blocks: %s",
			   hba_error());
		return;
	}
	if (x.bytes > block)
		check_failed(k, "at most the bytes that there was room for", "%ju",
			     (uintmax_t)x.bytes);
	else
		check_bytes(k, "the bytes that were counted", k->reference, b.bytes, x.bytes);
}

static const struct check_test tests[] = {
	{ .name = "a window of the disk can be read",
	  .rule = "up to 4 MiB at a random place, in commands of 64 KiB, all end GOOD with all "
		  "their bytes",
	  .reference = "SBC-3 5.10 to 5.13",
	  .needs = DISK,
	  .run = reads_its_window },
	{ .name = "every CDB size reads the same",
	  .rule = "READ(6), (10), (12) and (16) of the same blocks give the same bytes",
	  .reference = "SBC-3 5.10 to 5.13",
	  .needs = DATA,
	  .run = every_size_reads_the_same },
	{ .name = "every length reads the same",
	  .rule = "from one block to above max_transfer, where the core sends several commands",
	  .reference = "hbakit/task.h: hba_submit()",
	  .needs = DATA,
	  .run = every_length_reads_the_same },
	{ .name = "lists of pieces read the same",
	  .rule = "pieces of 1 to 4096 bytes at any address are filled in their order, and nothing "
		  "beside them is",
	  .reference = "hbakit/dma.h: data lists",
	  .needs = DATA,
	  .run = lists_read_the_same },
	{ .name = "reads by region and offset are the same",
	  .rule = "HBA_DATA_REGION names the same memory as its address does",
	  .reference = "hbakit/dma.h: struct hba_piece",
	  .needs = DATA | NEED_MAPPING,
	  .run = regions_read_the_same },
	{ .name = "reads at random places are the same",
	  .rule = "any block, any length up to 128 KiB, any address",
	  .reference = "SBC-3 5.10 to 5.13",
	  .needs = DATA,
	  .run = random_reads_read_the_same },
	{ .name = "an underrun is reported",
	  .rule = "where less comes than there is room for, hba_result::bytes says how much, and "
		  "the rest is untouched",
	  .reference = "hbakit/task.h: struct hba_result",
	  .needs = DATA,
	  .run = tells_of_an_underrun },
	{ .name = "an overrun stays within the buffer",
	  .rule = "where more would come than there is room for, the rest is neither written nor "
		  "counted",
	  .reference = "hbakit/task.h: struct hba_result",
	  .needs = DATA,
	  .run = stays_within_an_overrun },
};

const struct check_group check_data = { "data", tests, ARRAY_SIZE(tests) };
