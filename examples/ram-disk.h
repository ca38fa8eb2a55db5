/* SPDX-License-Identifier: MIT */
/*
 * ram-disk.h: what stands for a chip and the disk behind it in these examples: a command in; data,
 * status and sense out.
 *
 * One unit in memory. It knows what a disk must know by SPC-4 and SBC-3, and refuses all else. A
 * driver of yours has a real chip, and nothing of this.
 */
#ifndef EXAMPLES_RAM_DISK_H
#define EXAMPLES_RAM_DISK_H

#include <hbakit/driver.h>

enum {
	TEST_UNIT_READY = 0x00,
	REQUEST_SENSE = 0x03,
	INQUIRY = 0x12,
	READ_CAPACITY_10 = 0x25,
	REPORT_LUNS = 0xa0
};
enum {
	SYNCHRONIZE_CACHE_10 = 0x35,
	SYNCHRONIZE_CACHE_16 = 0x91,
	SERVICE_ACTION_IN_16 = 0x9e,
	READ_CAPACITY_16 = 0x10
};
enum {
	READ_6 = 0x08,
	READ_10 = 0x28,
	READ_12 = 0xa8,
	READ_16 = 0x88,
	WRITE_6 = 0x0a,
	WRITE_10 = 0x2a,
	WRITE_12 = 0xaa,
	WRITE_16 = 0x8a
};
/* Sense: key, additional code and its qualifier in one number. */
enum {
	INVALID_OPCODE = 0x052000,
	OUT_OF_RANGE = 0x052100,
	INVALID_FIELD = 0x052400,
	NO_SUCH_UNIT = 0x052500,
	WAS_RESET = 0x062900
};
enum { RAM_DISK_BLOCK = 512, RAM_DISK_SENSE_BYTES = 18 };

/** struct ram_disk - In the driver's private struct. */
struct ram_disk {
	uint8_t *bytes;
	uint64_t blocks;
	bool was_reset; /* and nobody has been told yet */
};

/** struct ram_disk_command - One command while it is carried out. */
struct ram_disk_command {
	struct ram_disk *disk;
	struct hba_task *task; /* whose data it moves */
	const uint8_t *cdb;
	uint8_t *sense; /* RAM_DISK_SENSE_BYTES */
	struct hba_result *result;
};

/** ram_disk_make() - In initialize. The controller owns the memory, so there is nothing to free. */
static inline int ram_disk_make(struct hba_controller *c, struct ram_disk *disk, uint64_t bytes)
{
	struct hba_mapping *memory;
	int r = hba_mapping_create(c, HBA_DEVICE_BOTH, bytes, 0, &memory);

	if (r < 0)
		return hba_fail(c, r, "no memory for a disk of %llu bytes",
				(unsigned long long)bytes);
	disk->bytes = hba_mapping_address(memory);
	disk->blocks = bytes / RAM_DISK_BLOCK;
	return 0;
}

/* SCSI's numbers are big-endian. */
static inline uint64_t ram_disk_get(const uint8_t *bytes, unsigned n)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < n; i++)
		value = value << 8 | bytes[i];
	return value;
}

static inline void ram_disk_put(uint8_t *bytes, unsigned n, uint64_t value)
{
	for (; n; value >>= 8)
		bytes[--n] = (uint8_t)value;
}

static inline void ram_disk_refuse(const struct ram_disk_command *c, uint32_t why)
{
	hba_sense(c->sense, (uint8_t)(why >> 16), (uint8_t)(why >> 8), (uint8_t)why);
	*c->result = (struct hba_result) { .outcome = HBA_CHECK_CONDITION,
					   .sense = c->sense,
					   .sense_len = RAM_DISK_SENSE_BYTES };
}

/* As much of the answer as the command asks for. The result tells how much that was. */
static inline void ram_disk_answer(const struct ram_disk_command *c, const uint8_t *bytes,
				   size_t length, uint64_t allocation)
{
	c->result->bytes =
		hba_task_copy_to(c->task, 0, bytes, length < allocation ? length : allocation);
}

static inline void ram_disk_inquiry(const struct ram_disk_command *c, bool exists)
{
	/* The page's code is in its second byte, in the fourth how many follow. */
	static const uint8_t pages[3][20] = {
		{ 0, 0x00, 0, 3, 0x00, 0x80, 0x83 },
		{ 0, 0x80, 0, 4, 'R', 'A', 'M', '1' },
		{ 0,   0x83, 0,   16,  2,   1,   0,   12,  'H', 'B',
		  'A', 'K',  'I', 'T', ' ', ' ', 'R', 'A', 'M', '1' }
	};
	/* 36 bytes, and C's 0 */
	uint8_t standard[] = "\x00\x00\x06\x02\x1f\x00\x00\x02HBAKIT  RAM disk        1   ";
	const uint8_t *data = c->cdb[1] == 0 && c->cdb[2] == 0 ? standard : NULL;
	size_t length = sizeof(standard) - 1;

	standard[0] = exists ? 0x00 : 0x7f;
	for (unsigned i = 0; i < 3 && c->cdb[1] == 1; i++)
		if (c->cdb[2] == pages[i][1]) {
			data = pages[i];
			length = 4U + data[3];
		}
	if (data)
		ram_disk_answer(c, data, length, ram_disk_get(c->cdb + 3, 2));
	else
		ram_disk_refuse(c, INVALID_FIELD);
}

static inline void ram_disk_capacity(const struct ram_disk_command *c, unsigned address_bytes,
				     size_t length, uint64_t allocation)
{
	uint8_t answer[32] = { 0 };

	ram_disk_put(answer, address_bytes, c->disk->blocks - 1);
	ram_disk_put(answer + address_bytes, 4, RAM_DISK_BLOCK);
	ram_disk_answer(c, answer, length, allocation);
}

/* A real chip moves the data itself: there is no hba_task_copy_*() in its driver. */
static inline void ram_disk_read_write(const struct ram_disk_command *c)
{
	/* By the first three bits of the opcode: where the address is in the CDB, and the count. */
	static const uint8_t where[8][4] = { [0] = { 1, 3, 4, 1 },
					     [1] = { 2, 4, 7, 2 },
					     [4] = { 2, 8, 10, 4 },
					     [5] = { 2, 4, 6, 4 } };
	const uint8_t *w = where[c->cdb[0] >> 5];
	uint64_t address = ram_disk_get(c->cdb + w[0], w[1]),
		 count = ram_disk_get(c->cdb + w[2], w[3]);
	bool six = w[0] == 1, protects = !six && c->cdb[1] >> 5;
	uint8_t *at;

	address &= six ? 0x1fffff : UINT64_MAX;
	count = six && count == 0 ? 256 : count;
	if (protects || address > c->disk->blocks || count > c->disk->blocks - address) {
		ram_disk_refuse(c, protects ? INVALID_FIELD : OUT_OF_RANGE);
		return;
	}
	at = c->disk->bytes + address * RAM_DISK_BLOCK;
	count *= RAM_DISK_BLOCK;
	c->result->bytes = c->cdb[0] & 2 ? hba_task_copy_from(c->task, 0, at, count)
					 : hba_task_copy_to(c->task, 0, at, count);
}

static inline void ram_disk_do(const struct ram_disk_command *c)
{
	static const uint8_t luns[16] = { 0, 0, 0, 8 }; /* one, number 0 */

	switch (c->cdb[0]) {
	case TEST_UNIT_READY:
	case SYNCHRONIZE_CACHE_10:
	case SYNCHRONIZE_CACHE_16:
		return;
	case REQUEST_SENSE:
		hba_sense(c->sense, 0, 0, 0);
		ram_disk_answer(c, c->sense, RAM_DISK_SENSE_BYTES, c->cdb[4]);
		return;
	case READ_CAPACITY_10:
		ram_disk_capacity(c, 4, 8, 8);
		return;
	case SERVICE_ACTION_IN_16:
		if (c->cdb[1] == READ_CAPACITY_16)
			ram_disk_capacity(c, 8, 32, ram_disk_get(c->cdb + 10, 4));
		else
			ram_disk_refuse(c, INVALID_FIELD);
		return;
	case REPORT_LUNS:
		ram_disk_answer(c, luns, sizeof(luns), ram_disk_get(c->cdb + 6, 4));
		return;
	case READ_6:
	case READ_10:
	case READ_12:
	case READ_16:
	case WRITE_6:
	case WRITE_10:
	case WRITE_12:
	case WRITE_16:
		ram_disk_read_write(c);
		return;
	default:
		ram_disk_refuse(c, INVALID_OPCODE);
	}
}

/**
 * ram_disk_execute() - Carry out `cdb` with the data of `t`. *ret_result is for hba_complete(); its
 * sense lies in `sense`.
 */
static inline void ram_disk_execute(struct ram_disk *disk, struct hba_task *t, const uint8_t *cdb,
				    uint8_t sense[RAM_DISK_SENSE_BYTES],
				    struct hba_result *ret_result)
{
	const struct ram_disk_command c = { disk, t, cdb, sense, ret_result };
	bool exists = t->lun.bytes[1] == 0; /* SAM-5 4.7: the number of a simple LUN */

	*ret_result = (struct hba_result) { .outcome = HBA_GOOD };
	if (cdb[0] == INQUIRY) {
		ram_disk_inquiry(&c, exists);
	} else if (!exists) {
		ram_disk_refuse(&c, NO_SUCH_UNIT);
	} else if (disk->was_reset && cdb[0] != REPORT_LUNS && cdb[0] != REQUEST_SENSE) {
		disk->was_reset = false;
		ram_disk_refuse(&c, WAS_RESET);
	} else {
		ram_disk_do(&c);
	}
}

#endif
