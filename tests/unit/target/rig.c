/* SPDX-License-Identifier: MIT */
/* rig.c: a software target on the bench. */
#include "rig.h"

#include "target/commands.h"

#include <poll.h>

enum { WAIT_MS = 10000, BUDGET = 16 };

void rig_open(struct rig *rig)
{
	memset(rig, 0, sizeof(*rig));
	assert_int_equal(target_device_init(&rig->device, 8), 0);
	assert_int_equal(engine_create(RIG_DEPTH, &rig->engine), 0);
}

void rig_add(struct rig *rig, struct store *store, uint32_t block_bytes, bool read_only)
{
	struct target_unit_options options = { .store = store,
					       .block_bytes = block_bytes,
					       .read_only = read_only,
					       .identity = "rig" };

	assert_int_equal(target_device_add(&rig->device, &options, rig->message), 0);
	target_forget_attention(&rig->device.units[rig->device.n_units - 1]);
}

void rig_add_ram(struct rig *rig, uint64_t bytes, uint32_t block_bytes)
{
	struct store *store;

	assert_int_equal(store_open_ram(bytes, &store, rig->message), 0);
	rig_add(rig, store, block_bytes, false);
}

void rig_close(struct rig *rig)
{
	engine_free(rig->engine);
	target_device_clear(&rig->device);
}

static void command_ended(struct target_command *c)
{
	struct rig_command *rc = container_of(c, struct rig_command, command);

	assert_false(rc->ended);
	rc->ended = true;
}

int rig_start(struct rig *rig, struct rig_command *rc, const struct scsi_cdb *cdb,
	      enum hba_direction direction, const struct iovec *iov, unsigned n, uint64_t length)
{
	int r;

	memset(rc, 0xee, sizeof(*rc)); /* a command needs no preparation */
	memset(rc->cdb, 0, sizeof(rc->cdb));
	memcpy(rc->cdb, cdb->bytes, cdb->length);
	rc->ended = false;
	rc->command.cdb = rc->cdb;
	rc->command.cdb_len = cdb->length;
	rc->command.direction = (uint8_t)direction;
	rc->command.attribute = rig->attribute;
	rc->command.nexus = rig->nexus;
	rc->command.iov = iov;
	rc->command.n_iov = n;
	rc->command.length = length;
	rc->command.engine = rig->engine;
	rc->command.done = command_ended;
	r = target_execute(&rig->device, &rig->lun, &rc->command);
	assert_in_range(r, 0, 1);
	if (r == 0)
		rc->ended = true;
	return r;
}

/* As a loop does that sleeps: submit, look, and only then wait for the fd. */
void rig_wait(struct rig *rig, const bool *ended)
{
	struct pollfd fd = { .fd = engine_fd(rig->engine), .events = POLLIN };

	while (!*ended) {
		assert_int_equal(engine_submit(rig->engine), 0);
		if (engine_reap(rig->engine, BUDGET) > 0)
			continue;
		assert_int_equal(poll(&fd, 1, WAIT_MS), 1);
	}
}

enum hba_outcome rig_run_list(struct rig *rig, const struct scsi_cdb *cdb,
			      enum hba_direction direction, const struct iovec *iov, unsigned n,
			      uint64_t length)
{
	rig_start(rig, &rig->last, cdb, direction, iov, n, length);
	rig_wait(rig, &rig->last.ended);
	return rig->last.command.outcome;
}

enum hba_outcome rig_run(struct rig *rig, const struct scsi_cdb *cdb, enum hba_direction direction,
			 uint64_t length)
{
	struct iovec iov = { rig->data, length };

	assert_in_range(length, 0, sizeof(rig->data));
	return rig_run_list(rig, cdb, direction, &iov, length > 0, length);
}

struct scsi_cdb rig_cdb(const uint8_t *bytes, size_t length)
{
	struct scsi_cdb cdb = { .length = (uint8_t)length };

	memcpy(cdb.bytes, bytes, length);
	return cdb;
}

struct scsi_cdb rig_rw(enum hba_direction direction, uint64_t block, uint32_t count, unsigned size,
		       bool fua)
{
	struct scsi_rw rw = { .block = block, .count = count, .direction = direction, .fua = fua };
	struct scsi_cdb cdb;

	assert_int_equal(scsi_cdb_rw(&rw, size, &cdb), 0);
	return cdb;
}

struct scsi_sense rig_assert_sense(const struct rig *rig, uint8_t key, uint16_t asc)
{
	const struct target_command *c = &rig->last.command;
	struct scsi_sense sense;

	assert_int_equal(c->outcome, HBA_CHECK_CONDITION);
	assert_int_equal(scsi_sense_read(c->sense, c->sense_len, &sense), 0);
	assert_int_equal(sense.key, key);
	assert_int_equal(sense.asc, asc);
	return sense;
}

static void assert_pointer(const struct rig *rig, uint16_t asc, unsigned byte, unsigned bit)
{
	struct scsi_sense sense = rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, asc);

	assert_true(sense.has_field && sense.has_bit);
	assert_int_equal(sense.field_in_cdb, asc == SCSI_ASC_INVALID_FIELD_IN_CDB);
	assert_int_equal(sense.field_byte, byte);
	assert_int_equal(sense.field_bit, bit);
}

void rig_assert_field(const struct rig *rig, unsigned byte, unsigned bit)
{
	assert_pointer(rig, SCSI_ASC_INVALID_FIELD_IN_CDB, byte, bit);
}

void rig_assert_parameter(const struct rig *rig, unsigned byte, unsigned bit)
{
	assert_pointer(rig, SCSI_ASC_INVALID_FIELD_IN_PARAMETER_LIST, byte, bit);
}

void rig_forget_attention(struct rig *rig)
{
	for (unsigned i = 0; i < rig->device.n_units; i++)
		target_forget_attention(&rig->device.units[i]);
}

/* xorshift32: the same numbers on every machine. */
uint32_t rig_random(uint32_t *state, uint32_t n)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state % n;
}
