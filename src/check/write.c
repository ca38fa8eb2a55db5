/* SPDX-License-Identifier: MIT */
/*
 * write.c: what is written is what is read, by every way there and every way back, and what was
 * there is put back at the end.
 *
 * All of it happens within the window that group data has read; nothing outside is written.
 */
#include "base/endian.h"
#include "check/suite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 8, MARGIN = 2, LISTS = 32, GAP = 5, LARGE_BYTES = 1 << 20, PIECES = 300 };
enum {
	FUA = 0x08,
	FUA_BYTE = 1,
	BYTCHK = 0x02,
	UNMAP_HEADER = 8,
	UNMAP_BYTES = 24,
	CAW_BLOCKS = 2
};
enum generation { BEFORE = 1, BY_SIZE, BY_LIST, AT_ONCE, FORCED, COMPARED, SAME, OTHER };

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static size_t bytes_of(const struct check *k, uint64_t count)
{
	return count * k->info.block_bytes;
}

/*
 * Blocks of the window with a margin on either side, all written; the test then overwrites those in
 * the middle.
 */
struct plot {
	uint64_t block;
	uint32_t count;
	uint64_t margin;
};

static bool prepare(struct check *k, uint64_t count, struct plot *ret_plot)
{
	struct plot p = { .margin = MARGIN, .count = (uint32_t)count };
	autofree uint8_t *bytes = NULL;

	if (k->window_blocks < count + 2 * MARGIN)
		return check_skip(k, "the disk has no more than %ju blocks",
				  (uintmax_t)k->window_blocks);
	p.block = k->window + MARGIN +
		  random_below(&k->random, k->window_blocks - count - 2 * MARGIN + 1);
	bytes = malloc(bytes_of(k, count + 2 * MARGIN));
	if (!bytes)
		return check_skip(k, "no memory for %ju blocks", (uintmax_t)count);
	blocks_pattern(bytes, k->info.block_bytes, p.block - MARGIN, count + 2 * MARGIN, BEFORE);
	k->saved = true;
	*ret_plot = p;
	return blocks_write(k, k->lun, p.block - MARGIN, count + 2 * MARGIN, bytes);
}

static bool has_memory(struct check *k, const void *memory)
{
	return memory || check_skip(k, "no memory for some blocks");
}

/* The margins hold what they held, and the middle holds `bytes`. */
static bool holds(struct check *k, const struct plot *p, const uint8_t *bytes)
{
	uint64_t all = p->count + 2 * p->margin;
	autofree uint8_t *got = malloc(bytes_of(k, all)), *before = malloc(bytes_of(k, all));

	if (!got || !before)
		return check_skip(k, "no memory for %ju blocks", (uintmax_t)all);
	if (!blocks_read(k, k->lun, p->block - p->margin, all, got))
		return false;
	blocks_pattern(before, k->info.block_bytes, p->block - p->margin, all, BEFORE);
	return check_bytes(k, "the blocks that were written", bytes, got + bytes_of(k, p->margin),
			   bytes_of(k, p->count)) &&
	       check_bytes(k, "the blocks before them", before, got, bytes_of(k, p->margin)) &&
	       check_bytes(k, "the blocks behind them", before + bytes_of(k, p->margin + p->count),
			   got + bytes_of(k, p->margin + p->count), bytes_of(k, p->margin));
}

static struct buffer pattern_at(struct check *k, const struct area *area, const struct plot *p,
				uint64_t generation)
{
	struct buffer b = buffer_at(area, 0, bytes_of(k, p->count));

	blocks_pattern(b.bytes, k->info.block_bytes, p->block, p->count, generation);
	return b;
}

static bool write_from(struct check *k, struct scsi_cdb cdb, struct buffer b)
{
	struct command x = command_out(k, cdb, b);

	command_run(k, &x);
	if (command_unknown(k, &x))
		return false;
	return command_good(k, &x) && check_number(k, "bytes written", b.length, x.bytes);
}

/* ---- WRITE */

static void every_size_writes_the_same(struct check *k)
{
	static const unsigned sizes[] = { 10, 6, 12, 16 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes) && k->result->verdict != CHECK_FAILED; i++) {
		struct scsi_cdb cdb;
		struct plot p;
		struct buffer b;

		if (sizes[i] > check_max_cdb(k) || !prepare(k, BLOCKS, &p))
			continue;
		if (!blocks_cdb(sizes[i], HBA_TO_TARGET, p.block, p.count, &cdb))
			continue;
		b = pattern_at(k, &k->plain, &p, BY_SIZE + i);
		if (write_from(k, cdb, b))
			holds(k, &p, b.bytes);
		/* not offered: the other sizes are judged all the same */
		else if (k->result->verdict == CHECK_SKIPPED)
			k->result->verdict = CHECK_PASSED;
	}
}

static unsigned cut(struct check *k, uint8_t *at, size_t length)
{
	unsigned n = 0;

	for (size_t piece; length; length -= piece, at += piece) {
		piece = n + 1 < PIECES ? smaller(1 + random_below(&k->random, 4 * GUARD), length)
				       : length;
		k->iov[n++] = (struct iovec) { at, piece };
	}
	return n;
}

/* The pieces lie in the buffer back to front, so that their order in memory is not the list's. */
static void scatter(struct check *k, const uint8_t *from, unsigned n, size_t length, uint8_t *to)
{
	uint8_t *end = to + length + (size_t)n * GAP;

	for (unsigned i = 0; i < n; i++) {
		end -= k->iov[i].iov_len + GAP;
		memcpy(end, from, k->iov[i].iov_len);
		from += k->iov[i].iov_len;
		k->iov[i].iov_base = end;
	}
}

static bool writes_from_list(struct check *k, const struct area *area)
{
	struct buffer all, b;
	struct scsi_cdb cdb;
	struct command x;
	struct plot p;
	unsigned n;

	if (!prepare(k, BLOCKS, &p) || !blocks_cdb(0, HBA_TO_TARGET, p.block, p.count, &cdb))
		return false;
	all = pattern_at(k, &k->plain, &p, BY_LIST);
	n = cut(k, all.bytes, all.length);
	b = buffer_at(area, all.length + 2 * GUARD, all.length + (size_t)PIECES * GAP);
	scatter(k, all.bytes, n, all.length, b.bytes);
	x = command_out(k, cdb, b);
	x.data.iov = k->iov;
	x.n_data = n;
	x.length = x.bounce = all.length;
	command_run(k, &x);
	if (x.error == -EMSGSIZE && hba_controller_report(k->controller)->data_mode != HBA_DATA_DMA)
		return check_skip(
			k, "the core refuses lists of %u pieces within this driver's limits: %s", n,
			hba_error());
	return command_good(k, &x) && check_number(k, "bytes written", all.length, x.bytes) &&
	       holds(k, &p, all.bytes);
}

static void lists_write_the_same(struct check *k)
{
	for (unsigned i = 0; i < LISTS; i++)
		if (!writes_from_list(k, i % 2 && k->mapped.mapping ? &k->mapped : &k->plain))
			return;
}

static void writes_by_region(struct check *k)
{
	struct scsi_cdb cdb;
	struct command x;
	struct buffer b;
	struct plot p;

	if (!prepare(k, BLOCKS, &p) || !blocks_cdb(0, HBA_TO_TARGET, p.block, p.count, &cdb))
		return;
	b = pattern_at(k, &k->mapped, &p, BY_LIST);
	x = command_out(k, cdb, b);
	command_region(k, &x);
	command_run(k, &x);
	if (command_good(k, &x) && check_number(k, "bytes written", b.length, x.bytes))
		holds(k, &p, b.bytes);
}

static void writes_much_at_once(struct check *k)
{
	uint64_t count = smaller(k->window_blocks - smaller(k->window_blocks, 2 * MARGIN),
				 LARGE_BYTES / k->info.block_bytes);
	struct scsi_cdb cdb;
	struct buffer b;
	struct plot p;

	if (!prepare(k, count, &p) || !blocks_cdb(0, HBA_TO_TARGET, p.block, p.count, &cdb))
		return;
	b = pattern_at(k, &k->plain, &p, AT_ONCE);
	if (write_from(k, cdb, b))
		holds(k, &p, b.bytes);
}

static void writes_nothing_beyond_the_end(struct check *k)
{
	uint64_t last = k->info.blocks - 1;
	autofree uint8_t *before = malloc(k->info.block_bytes),
			 *after = malloc(k->info.block_bytes);
	struct buffer b = buffer_at(&k->plain, 0, bytes_of(k, 2));
	struct scsi_cdb cdb;
	struct command x;

	if (!before || !after) {
		check_skip(k, "no memory for two blocks");
		return;
	}
	if (!blocks_cdb(0, HBA_TO_TARGET, last, 2, &cdb) ||
	    !blocks_read(k, k->lun, last, 1, before))
		return;
	x = command_out(k, cdb, b);
	command_run(k, &x);
	if (command_refused(k, &x, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE) &&
	    blocks_read(k, k->lun, last, 1, after))
		check_bytes(k, "the last block, untouched", before, after, k->info.block_bytes);
	/* Wrong as that was: what was in the last block goes back there. */
	if (k->result->verdict == CHECK_FAILED)
		blocks_write(k, k->lun, last, 1, before);
}

/* ---- on the medium */

static void writes_through(struct check *k)
{
	struct scsi_cdb cdb;
	struct command x;
	struct buffer b;
	struct plot p;

	if (!prepare(k, BLOCKS, &p))
		return;
	if (!blocks_cdb(10, HBA_TO_TARGET, p.block, p.count, &cdb)) {
		check_skip(k, "the window is too far for WRITE(10)");
		return;
	}
	cdb.bytes[FUA_BYTE] |= FUA;
	b = pattern_at(k, &k->plain, &p, FORCED);
	if (!write_from(k, cdb, b) || !holds(k, &p, b.bytes) ||
	    !blocks_cdb(10, HBA_FROM_TARGET, p.block, p.count, &cdb))
		return;
	cdb.bytes[FUA_BYTE] |= FUA;
	x = command_in(k, cdb, buffer_at(&k->plain, b.length + 2 * GUARD, b.length));
	command_run(k, &x);
	if (command_good(k, &x))
		check_bytes(k, "the blocks, read with FUA", b.bytes, x.guarded.bytes, b.length);
}

static void empties_its_cache(struct check *k)
{
	struct command x = command_none(k, scsi_cdb_synchronize_cache_10(0, 0)), y;

	command_run(k, &x);
	if (command_unknown(k, &x) || !command_good(k, &x) || check_max_cdb(k) < 16)
		return;
	y = command_none(k, scsi_cdb_synchronize_cache_16(k->window, 1));
	command_run(k, &y);
	if (!command_unknown(k, &y))
		command_good(k, &y);
}

static struct scsi_cdb verify_cdb(const struct plot *p, uint8_t flags)
{
	struct scsi_cdb cdb = { .bytes = { SCSI_VERIFY_10, flags }, .length = 10 };

	put_be32(cdb.bytes + 2, (uint32_t)p->block);
	put_be16(cdb.bytes + 7, (uint16_t)p->count);
	return cdb;
}

static void verifies(struct check *k)
{
	struct command x;
	struct buffer b;
	struct plot p;

	if (!prepare(k, BLOCKS, &p))
		return;
	if (p.block > UINT32_MAX) {
		check_skip(k, "the window is too far for VERIFY(10)");
		return;
	}
	x = command_none(k, verify_cdb(&p, 0));
	command_run(k, &x);
	if (command_unknown(k, &x) || !command_good(k, &x))
		return;
	b = pattern_at(k, &k->plain, &p, BEFORE);
	x = command_out(k, verify_cdb(&p, BYTCHK), b);
	command_run(k, &x);
	if (command_unknown(k, &x) || !command_good(k, &x))
		return;
	b.bytes[b.length - 1] ^= 1;
	x = command_out(k, verify_cdb(&p, BYTCHK), b);
	command_run(k, &x);
	command_refused(k, &x, SCSI_MISCOMPARE, SCSI_ASC_MISCOMPARE_DURING_VERIFY);
}

/* ---- the rarer ones */

static void writes_the_same_block_many_times(struct check *k)
{
	autofree uint8_t *all = malloc(bytes_of(k, BLOCKS));
	struct scsi_cdb cdb = { .bytes = { SCSI_WRITE_SAME_16 }, .length = 16 };
	struct buffer b;
	struct plot p;

	if (!has_memory(k, all) || !prepare(k, BLOCKS, &p))
		return;
	put_be64(cdb.bytes + 2, p.block);
	put_be32(cdb.bytes + 10, p.count);
	b = buffer_at(&k->plain, 0, k->info.block_bytes);
	blocks_pattern(b.bytes, k->info.block_bytes, p.block, 1, SAME);
	for (unsigned i = 0; i < BLOCKS; i++)
		memcpy(all + bytes_of(k, i), b.bytes, b.length);
	if (write_from(k, cdb, b))
		holds(k, &p, all);
}

/*
 * SBC-3 6.6.4: block limits that allow no block do not allow the command. An older unit does not
 * say.
 */
static bool says_it_cannot_compare(struct check *k)
{
	struct command x = command_in(k, scsi_cdb_inquiry_vpd(SCSI_VPD_BLOCK_LIMITS, SCSI_VPD_MAX),
				      buffer_at(&k->plain, 0, SCSI_VPD_MAX));
	struct scsi_block_limits limits;

	command_run(k, &x);
	if (x.error || x.outcome != HBA_GOOD ||
	    scsi_vpd_read_limits(x.guarded.bytes, x.bytes, &limits) < 0 ||
	    limits.max_compare_and_write)
		return false;
	check_skip(k, "the unit has no COMPARE AND WRITE: its block limits, VPD page B0h, allow it "
		      "no block");
	return true;
}

static bool compare_and_write(struct check *k, const struct plot *p, uint64_t compare,
			      uint64_t write, struct command *ret_x)
{
	struct scsi_cdb cdb = { .bytes = { SCSI_COMPARE_AND_WRITE, [13] = (uint8_t)p->count },
				.length = 16 };
	struct buffer b = buffer_at(&k->plain, 0, 2 * bytes_of(k, p->count));

	put_be64(cdb.bytes + 2, p->block);
	blocks_pattern(b.bytes, k->info.block_bytes, p->block, p->count, compare);
	blocks_pattern(b.bytes + bytes_of(k, p->count), k->info.block_bytes, p->block, p->count,
		       write);
	*ret_x = command_out(k, cdb, b);
	command_run(k, ret_x);
	return !command_unknown(k, ret_x);
}

static void compares_and_writes(struct check *k)
{
	autofree uint8_t *want = malloc(bytes_of(k, CAW_BLOCKS));
	struct command x;
	struct plot p;

	if (!has_memory(k, want) || says_it_cannot_compare(k) || !prepare(k, CAW_BLOCKS, &p) ||
	    !compare_and_write(k, &p, BEFORE, COMPARED, &x) || !command_good(k, &x))
		return;
	blocks_pattern(want, k->info.block_bytes, p.block, p.count, COMPARED);
	if (!holds(k, &p, want) || !compare_and_write(k, &p, BEFORE, OTHER, &x))
		return;
	if (command_refused(k, &x, SCSI_MISCOMPARE, SCSI_ASC_MISCOMPARE_DURING_VERIFY))
		holds(k, &p, want);
}

/* What unmapped blocks read as is the unit's to choose; the others are not. */
static void unmaps_no_more_than_asked(struct check *k)
{
	struct scsi_cdb cdb = { .bytes = { SCSI_UNMAP, [8] = UNMAP_BYTES }, .length = 10 };
	autofree uint8_t *got = malloc(bytes_of(k, BLOCKS));
	struct command x;
	struct buffer b;
	struct plot p;

	if (!has_memory(k, got) || !prepare(k, BLOCKS, &p))
		return;
	b = buffer_at(&k->plain, 0, UNMAP_BYTES);
	memset(b.bytes, 0, b.length);
	put_be16(b.bytes, UNMAP_BYTES - 2);
	put_be16(b.bytes + 2, UNMAP_BYTES - UNMAP_HEADER);
	put_be64(b.bytes + UNMAP_HEADER, p.block);
	put_be32(b.bytes + UNMAP_HEADER + 8, p.count);
	x = command_out(k, cdb, b);
	command_run(k, &x);
	if (command_unknown(k, &x) || !command_good(k, &x) ||
	    !blocks_read(k, k->lun, p.block, p.count, got))
		return;
	holds(k, &p, got);
}

/* ---- the end */

static void puts_back(struct check *k)
{
	autofree uint8_t *got = NULL;

	if (!k->saved || !k->controller || k->over) {
		if (k->saved)
			check_failed(k, "the old data, put back",
				     "%ju blocks from block %ju on are overwritten, the controller "
				     "is gone",
				     (uintmax_t)k->window_blocks, (uintmax_t)k->window);
		else
			check_skip(k, "nothing was overwritten");
		return;
	}
	got = malloc(bytes_of(k, k->window_blocks));
	if (has_memory(k, got) &&
	    blocks_write(k, k->lun, k->window, k->window_blocks, k->reference) &&
	    blocks_read(k, k->lun, k->window, k->window_blocks, got) &&
	    check_bytes(k, "the window, as it was before", k->reference, got,
			bytes_of(k, k->window_blocks)))
		k->saved = false;
}

static const struct check_test tests[] = {
	{ .name = "every CDB size writes the same",
	  .rule = "WRITE(6), (10), (12) and (16) write the blocks that are named, and no others",
	  .reference = "SBC-3 5.36 to 5.39",
	  .needs = WRITE,
	  .run = every_size_writes_the_same },
	{ .name = "lists of pieces write the same",
	  .rule = "pieces are taken in the list's order, whatever their lengths and addresses",
	  .reference = "hbakit/dma.h: data lists",
	  .needs = WRITE,
	  .run = lists_write_the_same },
	{ .name = "writes by region and offset are the same",
	  .rule = "HBA_DATA_REGION names the same memory as its address does",
	  .reference = "hbakit/dma.h: struct hba_piece",
	  .needs = WRITE | NEED_MAPPING,
	  .run = writes_by_region },
	{ .name = "a large write is whole",
	  .rule = "1 MiB at once, in as many commands as the limits want",
	  .reference = "hbakit/task.h: hba_submit()",
	  .needs = WRITE,
	  .run = writes_much_at_once },
	{ .name = "a WRITE over the end writes nothing",
	  .rule = "ILLEGAL REQUEST, LOGICAL BLOCK ADDRESS OUT OF RANGE (05/21/00), and the last "
		  "block is as it was",
	  .reference = "SBC-3 5.36 to 5.39",
	  .needs = WRITE,
	  .run = writes_nothing_beyond_the_end },
	{ .name = "FUA writes and reads the same",
	  .rule = "force unit access changes when a block is on the medium, not what it holds",
	  .reference = "SBC-3, WRITE(10)",
	  .needs = WRITE,
	  .run = writes_through },
	{ .name = "SYNCHRONIZE CACHE is answered",
	  .rule = "GOOD for the whole disk, and for one block",
	  .reference = "SBC-3 5.24, 5.25",
	  .needs = WRITE,
	  .run = empties_its_cache },
	{ .name = "VERIFY compares",
	  .rule = "GOOD for equal bytes, MISCOMPARE (0E/1D/00) for a single bit",
	  .reference = "SBC-3, VERIFY(10)",
	  .needs = WRITE,
	  .run = verifies },
	{ .name = "WRITE SAME writes one block many times",
	  .rule = "every block of the range holds the one that was sent, and no other does",
	  .reference = "SBC-3, WRITE SAME(16)",
	  .needs = WRITE | NEED_CDB_16,
	  .run = writes_the_same_block_many_times },
	{ .name = "COMPARE AND WRITE does both or neither",
	  .rule = "written if the blocks were as expected; else MISCOMPARE (0E/1D/00), and nothing "
		  "is written",
	  .reference = "SBC-3 5.2",
	  .needs = WRITE | NEED_CDB_16,
	  .run = compares_and_writes },
	{ .name = "UNMAP keeps to its range",
	  .rule = "the blocks before and behind are as they were, and the range can be read",
	  .reference = "SBC-3 5.28",
	  .needs = WRITE,
	  .run = unmaps_no_more_than_asked },
	{ .name = "what was there is put back",
	  .rule = "the suite leaves a disk's contents as it found them",
	  .reference = "hbakit(1), check",
	  .run = puts_back },
};

const struct check_group check_write = { "write", tests, ARRAY_SIZE(tests) };
