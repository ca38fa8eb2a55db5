/* SPDX-License-Identifier: MIT */
/*
 * supported.c: the commands and functions that there are: REPORT SUPPORTED OPERATION CODES (SPC-4
 * 6.34), REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS (6.35). The answer is made from the rows by
 * which the unit finds its commands (target_row), bit by bit, so it promises nothing that is not
 * there. The transport sets the device's functions.
 */
#include "base/base.h"
#include "base/endian.h"
#include "target/commands.h"

#include <string.h>

enum { OPCODES = 256, LIST_HEADER = 4, DESCRIPTOR_BYTES = 8, TIMEOUTS_BYTES = 12, ONE_HEADER = 4 };
enum {
	SERVACTV = 0x01,
	CTDP_IN_LIST = 0x02,
	CTDP_IN_ONE = 0x80,
	NOT_SUPPORTED = 1,
	AS_IN_STANDARD = 3
};
enum { RCTD = 0x80, OPTIONS = 0x07, OPTIONS_HIGH_BIT = 2, HIGH_BIT = 7 };
enum { ALL_COMMANDS, ONE_OPCODE, ONE_ACTION, EITHER };

/* The answer as it grows: what does not fit is counted, not written. */
struct answer {
	struct target_command *c;
	struct iov_iter to;
	uint64_t left, written;
};

static struct answer supported_begin(struct target_command *c, uint64_t allocation)
{
	return (struct answer) {
		.c = c,
		.to = { .iov = c->iov, .n = c->n_iov },
		.left = allocation < c->room ? allocation : c->room,
	};
}

static void append(struct answer *a, const uint8_t *bytes, size_t n)
{
	uint64_t moved = iov_iter_copy_to(&a->to, bytes, n < a->left ? n : a->left);

	a->left -= moved;
	a->c->bytes += moved;
}

/* No command has a timeout descriptor. */
static void append_timeouts(struct answer *a)
{
	uint8_t bytes[TIMEOUTS_BYTES] = { 0 };

	put_be16(bytes, TIMEOUTS_BYTES - 2);
	append(a, bytes, sizeof(bytes));
}

static void append_command(struct answer *a, uint8_t opcode, const struct row *row, bool action,
			   bool timeouts)
{
	uint8_t bytes[DESCRIPTOR_BYTES] = { opcode };

	put_be16(bytes + 2, action ? row->action : 0);
	bytes[5] = (uint8_t)((action ? SERVACTV : 0) | (timeouts ? CTDP_IN_LIST : 0));
	put_be16(bytes + 6, row->length);
	append(a, bytes, sizeof(bytes));
	if (timeouts)
		append_timeouts(a);
}

static unsigned count_commands(const struct target_unit *unit)
{
	unsigned n = 0;

	for (unsigned i = 0; i < OPCODES; i++) {
		const struct row *row = target_row(unit, (uint8_t)i), *action = row->actions;

		n += row->run != NULL;
		for (; action && action->name; action++)
			n++;
	}
	return n;
}

static int report_all(struct target_command *c, uint64_t allocation, bool timeouts)
{
	struct answer a = supported_begin(c, allocation);
	uint8_t header[LIST_HEADER];

	put_be32(header,
		 count_commands(c->unit) * (DESCRIPTOR_BYTES + (timeouts ? TIMEOUTS_BYTES : 0U)));
	append(&a, header, sizeof(header));
	for (unsigned i = 0; i < OPCODES; i++) {
		const struct row *row = target_row(c->unit, (uint8_t)i), *action = row->actions;

		if (row->run)
			append_command(&a, (uint8_t)i, row, false, timeouts);
		for (; action && action->name; action++)
			append_command(&a, (uint8_t)i, action, true, timeouts);
	}
	return 0;
}

static int report_one(struct target_command *c, uint64_t allocation, const struct row *row,
		      bool action, bool timeouts)
{
	uint8_t bytes[ONE_HEADER + TARGET_CDB_BYTES] = { 0 };
	struct answer a = supported_begin(c, allocation);
	unsigned size = row ? row->length : 0;

	bytes[1] = row ? AS_IN_STANDARD : NOT_SUPPORTED;
	bytes[1] |= row && timeouts ? CTDP_IN_ONE : 0;
	put_be16(bytes + 2, (uint16_t)size);
	for (unsigned i = 0; i < size; i++)
		bytes[ONE_HEADER + i] = target_row_usage(c->unit, row, i);
	if (row) {
		bytes[ONE_HEADER] = c->cdb[3];
		if (action)
			bytes[ONE_HEADER + ACTION_BYTE] =
				(uint8_t)((bytes[ONE_HEADER + ACTION_BYTE] & ~ACTION_MASK) |
					  row->action);
	}
	append(&a, bytes, ONE_HEADER + size);
	if (row && timeouts)
		append_timeouts(&a);
	return 0;
}

static const struct row *supported_find(const struct row *row, uint16_t number)
{
	for (row = row->actions; row->name; row++)
		if (row->action == number)
			return row;
	return NULL;
}

int target_report_opcodes(struct target_command *c)
{
	const struct row *row = target_row(c->unit, c->cdb[3]);
	uint16_t number = get_be16(c->cdb + 4);
	uint32_t allocation = get_be32(c->cdb + 6);
	bool timeouts = c->cdb[2] & RCTD;
	uint8_t options = c->cdb[2] & OPTIONS;

	if (options == ALL_COMMANDS)
		return report_all(c, allocation, timeouts);
	if (options > EITHER)
		return target_refuse_field(c, 2, OPTIONS_HIGH_BIT);
	/*
	 * Asked for an opcode alone, or for one with an action: what does not go together is the
	 * asker's mistake.
	 */
	if (row->actions && options == ONE_OPCODE)
		return target_refuse_field(c, 2, OPTIONS_HIGH_BIT);
	if (row->run && options == ONE_ACTION)
		return target_refuse_field(c, 4, HIGH_BIT);
	if (row->actions)
		return report_one(c, allocation, supported_find(row, number), true, timeouts);
	return report_one(c, allocation, row->run && number == 0 ? row : NULL, false, timeouts);
}

/* By enum hba_tmf: ATS, ATSS, CTSS, CACAS, LURS, TRS. */
static const uint8_t function_bits[] = {
	[HBA_ABORT_TASK] = 0x80,     [HBA_ABORT_TASK_SET] = 0x40,     [HBA_CLEAR_ACA] = 0x20,
	[HBA_CLEAR_TASK_SET] = 0x10, [HBA_LOGICAL_UNIT_RESET] = 0x08, [HBA_TARGET_RESET] = 0x02,
};

int target_report_functions(struct target_command *c)
{
	enum { REPD = 0x80, SHORT_BYTES = 4, LONG_BYTES = 16 };
	uint8_t bytes[LONG_BYTES] = { 0 };
	size_t n = c->cdb[2] & REPD ? LONG_BYTES : SHORT_BYTES;

	for (unsigned f = 0; f < ARRAY_SIZE(function_bits); f++)
		if (c->device->functions & HBA_TMF_BIT(f))
			bytes[0] |= function_bits[f];
	bytes[3] = (uint8_t)(n - SHORT_BYTES);
	return target_answer(c, bytes, n, get_be32(c->cdb + 6));
}
