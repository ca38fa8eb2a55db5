/* SPDX-License-Identifier: MIT */
/*
 * blocks.c: blocks there and back in pieces that every controller takes, and patterns that tell one
 * block from every other.
 */
#include "base/endian.h"
#include "check/suite.h"

#include <string.h>

enum { PIECE_BYTES = 64 * 1024, WORD = 8 };

bool blocks_cdb(unsigned size, enum hba_direction direction, uint64_t block, uint32_t count,
		struct scsi_cdb *ret_cdb)
{
	const struct scsi_rw rw = { .block = block, .count = count, .direction = direction };

	return scsi_cdb_rw(&rw, size, ret_cdb) == 0;
}

static bool move(struct check *k, struct hba_lun *lun, enum hba_direction direction, uint64_t block,
		 uint64_t count, uint8_t *bytes)
{
	struct hba_lun_info info;
	uint64_t most;

	hba_lun_get_info(lun, &info);
	most = info.block_bytes < PIECE_BYTES ? PIECE_BYTES / info.block_bytes : 1;
	for (uint64_t n; count; block += n, count -= n, bytes += n * info.block_bytes) {
		struct command x = command_none(k, (struct scsi_cdb) { .length = 0 });

		n = count < most ? count : most;
		if (!blocks_cdb(0, direction, block, (uint32_t)n, &x.cdb))
			return check_failed(k, "blocks that a CDB can address", "block %ju",
					    (uintmax_t)block);
		x.lun = lun;
		x.direction = direction;
		x.mode = HBA_DATA_CPU;
		x.data.buffer = bytes;
		x.length = x.bounce = n * info.block_bytes;
		command_run(k, &x);
		if (!command_good(k, &x) || !check_number(k, "bytes moved", x.length, x.bytes))
			return false;
	}
	return true;
}

bool blocks_read(struct check *k, struct hba_lun *lun, uint64_t block, uint64_t count,
		 uint8_t *bytes)
{
	return move(k, lun, HBA_FROM_TARGET, block, count, bytes);
}

bool blocks_write(struct check *k, struct hba_lun *lun, uint64_t block, uint64_t count,
		  uint8_t *bytes)
{
	return move(k, lun, HBA_TO_TARGET, block, count, bytes);
}

/*
 * Every eight bytes say which block, which writing, and where in the block: a swapped piece shows
 * wherever it is cut.
 */
void blocks_pattern(uint8_t *bytes, size_t block_bytes, uint64_t block, uint64_t count,
		    uint64_t generation)
{
	for (uint64_t i = 0; i < count; i++) {
		uint64_t state = (block + i) ^ generation << 40;

		for (size_t at = 0; at + WORD <= block_bytes; at += WORD)
			put_be64(bytes + i * block_bytes + at, random_next(&state));
	}
}
