/* SPDX-License-Identifier: MIT */
/* rig.h: a software target on the bench: made in one line, and commands that are waited for. */
#ifndef TESTS_UNIT_TARGET_RIG_H
#define TESTS_UNIT_TARGET_RIG_H

/* cmocka.h wants these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"
#include "base/endian.h"
#include "target/target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RIG_DATA_BYTES = 64 * 1024, RIG_DEPTH = 64 };

/* One command's end, and what it moved. */
struct rig_command {
	struct target_command command;
	uint8_t cdb[HBA_MAX_CDB];
	struct iovec iov;
	bool ended;
};

struct rig {
	struct target_device device;
	struct engine *engine;
	struct hba_lun_id lun; /* where commands go; LUN 0 at first */
	uint8_t nexus, attribute;
	struct rig_command last;
	uint8_t data[RIG_DATA_BYTES];
	char message[TARGET_MESSAGE_BYTES];
};

/* With units of these stores, whose power-on attention has been taken. */
void rig_open(struct rig *rig);
void rig_add(struct rig *rig, struct store *store, uint32_t block_bytes, bool read_only);
void rig_add_ram(struct rig *rig, uint64_t bytes, uint32_t block_bytes);
void rig_close(struct rig *rig);

/* A command whose data, if any, is the first `length` bytes of rig->data. Waits for its end. */
enum hba_outcome rig_run(struct rig *rig, const struct scsi_cdb *cdb, enum hba_direction direction,
			 uint64_t length);
enum hba_outcome rig_run_list(struct rig *rig, const struct scsi_cdb *cdb,
			      enum hba_direction direction, const struct iovec *iov, unsigned n,
			      uint64_t length);
/* A CDB from bytes: RIG_CDB(0x12, 0, 0, 0, 36, 0). */
struct scsi_cdb rig_cdb(const uint8_t *bytes, size_t length);
#define RIG_CDB(...) \
	rig_cdb((const uint8_t[]) { __VA_ARGS__ }, sizeof((const uint8_t[]) { __VA_ARGS__ }))

/* Start without waiting; rig_wait() waits. */
int rig_start(struct rig *rig, struct rig_command *rc, const struct scsi_cdb *cdb,
	      enum hba_direction direction, const struct iovec *iov, unsigned n, uint64_t length);
void rig_wait(struct rig *rig, const bool *ended);

struct scsi_cdb rig_rw(enum hba_direction direction, uint64_t block, uint32_t count, unsigned size,
		       bool fua);

/* The last command ended CHECK CONDITION with this; returns its sense for more. */
struct scsi_sense rig_assert_sense(const struct rig *rig, uint8_t key, uint16_t asc);
/* … INVALID FIELD IN CDB, pointing there. */
void rig_assert_field(const struct rig *rig, unsigned byte, unsigned bit);

/* … INVALID FIELD IN PARAMETER LIST, pointing there. */
void rig_assert_parameter(const struct rig *rig, unsigned byte, unsigned bit);

/* No nexus has anything to hear from any unit. */
void rig_forget_attention(struct rig *rig);

/* A random number below `n`, from a generator whose seed is fixed and printed at the start. */
uint32_t rig_random(uint32_t *state, uint32_t n);

#endif
