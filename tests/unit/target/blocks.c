/* SPDX-License-Identifier: MIT */
/* blocks.c: see blocks.h. */
#include "blocks.h"

#include <unistd.h>

static void add_file(struct bench *b, unsigned i, uint32_t block_bytes)
{
	struct store *store;
	int fd;

	snprintf(b->paths[i], sizeof(b->paths[i]), "/tmp/hbakit-blocks-XXXXXX");
	fd = mkstemp(b->paths[i]);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, BYTES), 0);
	close(fd);
	assert_int_equal(store_open_file(b->paths[i], false, &store, b->rig.message), 0);
	rig_add(&b->rig, store, block_bytes, false);
}

int blocks_setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct store *store;

	assert_non_null(b);
	rig_open(&b->rig);
	rig_add_ram(&b->rig, BYTES, 512);
	rig_add_ram(&b->rig, BYTES, 4096);
	add_file(b, 0, 512);
	add_file(b, 1, 4096);
	assert_int_equal(store_open_null(BYTES, NULL_FILL_ZERO, &store, b->rig.message), 0);
	rig_add(&b->rig, store, 512, false);
	*state = b;
	return 0;
}

int blocks_teardown(void **state)
{
	struct bench *b = *state;

	rig_close(&b->rig);
	for (unsigned i = 0; i < 2; i++)
		unlink(b->paths[i]);
	free(b);
	return 0;
}

struct target_unit *blocks_to_lun(struct rig *rig, unsigned lun)
{
	assert_int_equal(scsi_lun_from_number(lun, &rig->lun), 0);
	return &rig->device.units[lun];
}

enum hba_outcome blocks_extent(struct rig *rig, uint8_t opcode, uint8_t flags, uint64_t block,
			       uint32_t count, uint64_t length)
{
	struct scsi_extent e = { block, count };
	struct scsi_cdb cdb;

	assert_int_equal(scsi_cdb_extent(opcode, flags, &e, &cdb), 0);
	return rig_run(rig, &cdb, length ? HBA_TO_TARGET : HBA_NO_DATA, length);
}

enum hba_outcome blocks_run_in(struct rig *rig, struct scsi_cdb cdb, uint64_t length)
{
	return rig_run(rig, &cdb, HBA_FROM_TARGET, length);
}

void blocks_write(struct rig *rig, uint64_t block, uint32_t count, uint8_t value)
{
	struct scsi_cdb cdb = rig_rw(HBA_TO_TARGET, block, count, 16, false);
	uint64_t length =
		(uint64_t)count * rig->device.units[scsi_lun_number(&rig->lun)].block_bytes;

	memset(rig->data, value, length);
	assert_int_equal(rig_run(rig, &cdb, HBA_TO_TARGET, length), HBA_GOOD);
}

void blocks_assert(struct rig *rig, uint64_t block, uint32_t count, uint8_t value)
{
	struct scsi_cdb cdb = rig_rw(HBA_FROM_TARGET, block, count, 16, false);
	uint64_t length =
		(uint64_t)count * rig->device.units[scsi_lun_number(&rig->lun)].block_bytes;

	memset(rig->data, (uint8_t)~value, length);
	assert_int_equal(rig_run(rig, &cdb, HBA_FROM_TARGET, length), HBA_GOOD);
	for (uint64_t i = 0; i < length; i++)
		assert_int_equal(rig->data[i], value);
}

void blocks_assert_range(const struct rig *rig, uint64_t block)
{
	struct scsi_sense sense =
		rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);

	assert_true(sense.has_information);
	assert_int_equal(sense.information, block);
}
