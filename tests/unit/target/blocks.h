/* SPDX-License-Identifier: MIT */
/* blocks.h: a bench with a unit over each kind of store, and commands of an extent. */
#ifndef TESTS_UNIT_TARGET_BLOCKS_H
#define TESTS_UNIT_TARGET_BLOCKS_H

#include "rig.h"

enum { BYTES = 1 << 20, GRANULE = 4096 };
enum { RAM_512, RAM_4K, FILE_512, FILE_4K, NOTHING, UNITS };

struct bench {
	struct rig rig;
	char paths[2][64];
};

/* Of cmocka: *state is the bench. */
int blocks_setup(void **state);
int blocks_teardown(void **state);

/** blocks_to_lun() - What follows goes to this unit. */
struct target_unit *blocks_to_lun(struct rig *rig, unsigned lun);
/** blocks_extent() - A command of an extent, with data for the target if there is a `length`. */
enum hba_outcome blocks_extent(struct rig *rig, uint8_t opcode, uint8_t flags, uint64_t block,
			       uint32_t count, uint64_t length);
enum hba_outcome blocks_run_in(struct rig *rig, struct scsi_cdb cdb, uint64_t length);
void blocks_write(struct rig *rig, uint64_t block, uint32_t count, uint8_t value);
/** blocks_assert() - Every byte of these blocks has this value. */
void blocks_assert(struct rig *rig, uint64_t block, uint32_t count, uint8_t value);
/** blocks_assert_range() - Refused: this is the first block beyond the end. */
void blocks_assert_range(const struct rig *rig, uint64_t block);

#endif
