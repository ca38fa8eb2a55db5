/* SPDX-License-Identifier: MIT */
/*
 * execute.c: from a CDB to its handler, by one table. Checks that are alike for every command are
 * made here, in the order of SAM-5 and SPC-4: the unit, a pending unit attention, the opcode, the
 * fields.
 *
 * A row's `usage` has a bit for every bit of the CDB that the command evaluates (SPC-4's "CDB usage
 * data"). All other bits are reserved, or for features that this disk does not have: both are
 * refused, with a pointer to the bit.
 */
#include "base/base.h"
#include "target/commands.h"

#include <assert.h>
#include <string.h>

/* ---- the row */

enum { FLAGS_AT = 1 };

uint8_t target_row_usage(const struct target_unit *unit, const struct row *row, unsigned i)
{
	unsigned usage = row->usage[i] | (i == row->length - 1U ? NACA : 0);

	if (i == FLAGS_AT && row->thin_bits && unit->store->thin)
		usage |= row->thin_bits;
	return (uint8_t)usage;
}

/* 0: what looked unused is NACA, or a bit of thin units. 1: refused. */
static int refuse_unused_bits(struct target_command *c, const struct row *row)
{
	for (unsigned i = 0; i < TARGET_CDB_BYTES; i++) {
		unsigned bad = c->cdb[i] & ~target_row_usage(c->unit, row, i) & 0xffU;

		if (bad) {
			target_refuse_field(c, (uint16_t)i,
					    (uint8_t)(BYTE_HIGH_BIT - (__builtin_clz(bad) - 24)));
			return 1;
		}
	}
	return 0;
}

/* Two comparisons instead of sixteen: this is on every command's way. */
static bool has_unused_bits(const uint8_t *cdb, const struct row *row)
{
	uint64_t bits[2], known[2];

	static_assert(sizeof(bits) == TARGET_CDB_BYTES, "all of the CDB");
	memcpy(bits, cdb, sizeof(bits));
	memcpy(known, row->usage, sizeof(known));
	return (bits[0] & ~known[0]) | (bits[1] & ~known[1]);
}

static const struct row *find_action(const struct row *actions, uint8_t action)
{
	for (; actions->name; actions++)
		if (actions->action == action)
			return actions;
	return NULL;
}

/*
 * Data the wrong way round is the client's mistake. Too few, or none, is an answer cut short; WRITE
 * looks for itself.
 */
static bool wrong_way(const struct target_command *c, const struct row *row)
{
	return c->length > 0 && c->direction != HBA_NO_DATA && row->direction != HBA_NO_DATA &&
	       c->direction != row->direction;
}

static int run_row(struct target_command *c)
{
	const struct row *row = c->row;

	if (!row->name)
		return target_refuse(c, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
	if (c->cdb_len < row->length)
		return target_refuse_field(c, c->cdb_len, BYTE_HIGH_BIT);
	if (row->actions)
		return target_refuse_field(c, ACTION_BYTE, ACTION_HIGH_BIT); /* none of them */
	if (has_unused_bits(c->cdb, row) && refuse_unused_bits(c, row))
		return 0;
	if (wrong_way(c, row))
		return target_refuse_field(c, 0, BYTE_HIGH_BIT);
	c->room = c->direction == row->direction ? c->length : 0;
	return row->run(c);
}

static const struct row rows[256];

const struct row *target_row(const struct target_unit *unit, uint8_t opcode)
{
	static const struct row none;
	const struct row *row = &rows[opcode];

	return row->flags & THIN_ONLY && !unit->store->thin ? &none : row;
}

static const struct row *row_of(const struct target_command *c)
{
	const struct row *row = c->unit ? target_row(c->unit, c->cdb[0]) : &rows[c->cdb[0]],
			 *action;

	if (!row->actions)
		return row;
	action = find_action(row->actions, c->cdb[ACTION_BYTE] & ACTION_MASK);
	return action ? action : row;
}

/* ---- the order of refusals (SAM-5 5.3.3, 5.14) */

/*
 * Sense that was not fetched by now will not be: the next command of its nexus ends it (SAM-5
 * 5.13).
 */
static void drop_kept_sense(struct target_command *c, struct target_state *s)
{
	if (c->cdb[0] != SCSI_REQUEST_SENSE)
		s->kept &= (uint8_t) ~(1U << c->nexus);
}

static uint16_t attention_before(struct target_command *c, struct target_state *s, uint16_t which)
{
	return c->row->flags & DESPITE_ATTENTION ? SCSI_ASC_NONE
						 : target_take_attention(s, c->nexus, which);
}

static int pass_medium(struct target_command *c, struct target_state *s)
{
	uint16_t asc = c->row->flags & WITHOUT_MEDIUM ? SCSI_ASC_NONE : target_not_ready(s);

	if (asc) {
		target_refuse(c, SCSI_NOT_READY, asc);
		return 1;
	}
	if (!s->software_protected || !scsi_cdb_may_change_medium(c->cdb))
		return 0;
	target_refuse(c, SCSI_DATA_PROTECT, SCSI_ASC_SOFTWARE_WRITE_PROTECTED);
	return 1;
}

/* 0: nothing stands in the way. 1: refused. */
static int pass_state(struct target_command *c, struct target_state *s)
{
	uint16_t asc;

	drop_kept_sense(c, s);
	asc = attention_before(c, s, TARGET_RESETS);
	if (asc) {
		target_refuse(c, SCSI_UNIT_ATTENTION, asc);
		return 1;
	}
	if (c->row->run && target_conflicts(c, s)) {
		target_conflict(c);
		return 1;
	}
	asc = attention_before(c, s, TARGET_ANY_CONDITION);
	if (asc) {
		target_refuse(c, SCSI_UNIT_ATTENTION, asc);
		return 1;
	}
	return c->row->run ? pass_medium(c, s) : 0;
}

int target_run(struct target_command *c)
{
	int refused = 0;

	if (__atomic_load_n(&c->unit->gate, __ATOMIC_ACQUIRE) & GATE_UNUSUAL) {
		refused = pass_state(c, target_lock(c->unit));
		target_unlock(c->unit);
	}
	return refused ? 0 : run_row(c);
}

/* A command that may end later is listed, so that others can find what stands before them. */
static int enter_plainly(struct target_command *c)
{
	if (c->unit->store->needs_engine && c->engine) {
		list_append(engine_commands(c->engine), &c->node);
		c->listed = true;
	}
	return run_row(c);
}

static bool is_plain(const struct target_command *c)
{
	return (c->attribute | __atomic_load_n(&c->unit->gate, __ATOMIC_ACQUIRE)) == 0;
}

static void end_at_once(struct target_command *c)
{
	bool others = taskset_holds_others(c);

	if (!c->listed && c->outcome != HBA_CHECK_CONDITION)
		return;
	taskset_leave(c);
	if (others)
		target_go_on(c->engine);
}

int target_execute(struct target_device *d, const struct hba_lun_id *lun, struct target_command *c)
{
	int r;

	c->outcome = HBA_GOOD;
	c->bytes = 0;
	c->sense_len = 0;
	c->listed = c->waiting = c->counted = false;
	c->victims = 0;
	c->io.engine = NULL;
	c->io.cancelled = false;
	c->device = d;
	c->unit = target_device_unit(d, lun);
	c->row = row_of(c);
	if (!c->unit)
		return c->row->flags & WITHOUT_UNIT
			       ? run_row(c)
			       : target_refuse(c, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LUN_NOT_SUPPORTED);
	r = is_plain(c) && c->nexus < TARGET_NEXUSES ? enter_plainly(c) : taskset_enter(c);
	if (r == 0)
		end_at_once(c);
	return r;
}

/* Bytes of which every bit is used, by the number. */
#define X2 0xff, 0xff
#define X4 X2, X2
#define X8 X4, X4

enum {
	OPCODE = 0xff,
	EVPD = 0x01,
	DESC = 0x01,
	DBD = 0x08,
	LLBAA = 0x10,
	RCTD_AND_OPTIONS = 0x87,
	REPD = 0x80,
	PF_SP = 0x10, /* PF alone: nothing can be saved */
	PCV = 0x01,
	SELF_TEST_BITS = 0xf4, /* code, PF, SELFTEST; no DEVOFFL, no UNITOFFL */
	START_BITS = 0x07,     /* NO_FLUSH, LOEJ, START; no power conditions */
	START_IMMED = 0x01,
	PREVENT = 0x01,
	RW_FLAGS = SCSI_DPO | SCSI_FUA | SCSI_FUA_NV,
	VERIFY_FLAGS = SCSI_DPO | SCSI_BYTCHK,
	BLOCK_HIGH_5 = 0x1f /* of READ(6) and WRITE(6) */
};

#define RW_6                                   \
	{                                      \
		OPCODE, BLOCK_HIGH_5, X2, 0xff \
	}
#define RW_10                               \
	{                                   \
		OPCODE, RW_FLAGS, X4, 0, X2 \
	}
#define RW_12                            \
	{                                \
		OPCODE, RW_FLAGS, X4, X4 \
	}
#define RW_16                            \
	{                                \
		OPCODE, RW_FLAGS, X8, X4 \
	}

/* Block, count, and the flags that a command has in byte 1. */
#define EXTENT_10(flags)                   \
	{                                  \
		OPCODE, (flags), X4, 0, X2 \
	}
#define EXTENT_12(flags)                \
	{                               \
		OPCODE, (flags), X4, X4 \
	}
#define EXTENT_16(flags)                \
	{                               \
		OPCODE, (flags), X8, X4 \
	}

static const struct row service_action_in_16[] = {
	{ .name = "READ CAPACITY(16)",
	  .action = SCSI_SAI_READ_CAPACITY_16,
	  .access = ACCESS_ALWAYS,
	  .length = 16,
	  .direction = HBA_FROM_TARGET,
	  .usage = { OPCODE, ACTION_MASK, 0, 0, 0, 0, 0, 0, 0, 0, X4 },
	  .run = target_read_capacity_16 },
	{ .name = "GET LBA STATUS",
	  .access = ACCESS_READ,
	  .action = SCSI_SAI_GET_LBA_STATUS,
	  .length = 16,
	  .direction = HBA_FROM_TARGET,
	  .usage = { OPCODE, ACTION_MASK, X8, X4 },
	  .run = target_get_lba_status },
	{ 0 },
};

static const struct row maintenance_in[] = {
	{ .name = "REPORT SUPPORTED OPERATION CODES",
	  .action = SCSI_MI_REPORT_SUPPORTED_OPCODES,
	  .access = ACCESS_READ,
	  .flags = WITHOUT_MEDIUM,
	  .length = 12,
	  .direction = HBA_FROM_TARGET,
	  .usage = { OPCODE, ACTION_MASK, RCTD_AND_OPTIONS, 0xff, X2, X4 },
	  .run = target_report_opcodes },
	{ .name = "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS",
	  .action = SCSI_MI_REPORT_SUPPORTED_TMFS,
	  .access = ACCESS_READ,
	  .flags = WITHOUT_MEDIUM,
	  .length = 12,
	  .direction = HBA_FROM_TARGET,
	  .usage = { OPCODE, ACTION_MASK, REPD, 0, 0, 0, X4 },
	  .run = target_report_functions },
	{ 0 },
};

#define PR_IN(title, number, handler)                                                              \
	{                                                                                          \
		.name = title, .action = number, .access = ACCESS_ALWAYS, .flags = WITHOUT_MEDIUM, \
		.length = 10, .direction = HBA_FROM_TARGET,                                        \
		.usage = { OPCODE, ACTION_MASK, 0, 0, 0, 0, 0, X2 }, .run = handler                \
	}

static const struct row persistent_reserve_in[] = {
	PR_IN("READ KEYS", 0x00, target_read_keys),
	PR_IN("READ RESERVATION", 0x01, target_read_reservation),
	PR_IN("REPORT CAPABILITIES", 0x02, target_report_capabilities),
	PR_IN("READ FULL STATUS", 0x03, target_read_full_status),
	{ 0 },
};

#define PR_OUT(title, number, handler)                                                             \
	{                                                                                          \
		.name = title, .action = number, .access = ACCESS_ALWAYS, .flags = WITHOUT_MEDIUM, \
		.length = 10, .direction = HBA_TO_TARGET,                                          \
		.usage = { OPCODE, ACTION_MASK, 0xff, 0, 0, X4 }, .run = handler                   \
	}

static const struct row persistent_reserve_out[] = {
	PR_OUT("REGISTER", 0x00, target_pr_register),
	PR_OUT("RESERVE", 0x01, target_pr_reserve),
	PR_OUT("RELEASE", 0x02, target_pr_release),
	PR_OUT("CLEAR", 0x03, target_pr_clear),
	PR_OUT("PREEMPT", 0x04, target_pr_preempt),
	PR_OUT("PREEMPT AND ABORT", 0x05, target_pr_preempt_and_abort),
	PR_OUT("REGISTER AND IGNORE EXISTING KEY", 0x06, target_pr_register_and_ignore),
	{ 0 },
};

#define RESERVATION(title, size, handler)                                                        \
	{                                                                                        \
		.name = title, .access = ACCESS_ALWAYS, .flags = WITHOUT_MEDIUM, .length = size, \
		.usage = { OPCODE }, .run = handler                                              \
	}

static const struct row rows[256] = {
	[SCSI_MODE_SELECT_6] = { .name = "MODE SELECT(6)",
				 .length = 6,
				 .direction = HBA_TO_TARGET,
				 .flags = WITHOUT_MEDIUM,
				 .usage = { OPCODE, PF_SP, 0, 0, 0xff },
				 .run = target_mode_select_6 },
	[SCSI_MODE_SELECT_10] = { .name = "MODE SELECT(10)",
				  .length = 10,
				  .direction = HBA_TO_TARGET,
				  .flags = WITHOUT_MEDIUM,
				  .usage = { OPCODE, PF_SP, 0, 0, 0, 0, 0, X2 },
				  .run = target_mode_select_10 },
	[SCSI_START_STOP_UNIT] = { .name = "START STOP UNIT",
				   .length = 6,
				   .flags = WITHOUT_MEDIUM,
				   .usage = { OPCODE, START_IMMED, 0, 0, START_BITS },
				   .run = target_start_stop },
	[SCSI_PREVENT_ALLOW_MEDIUM_REMOVAL] = { .name = "PREVENT ALLOW MEDIUM REMOVAL",
						.length = 6,
						.flags = WITHOUT_MEDIUM,
						.usage = { OPCODE, 0, 0, 0, PREVENT },
						.run = target_prevent_allow },
	[SCSI_LOG_SENSE] = { .name = "LOG SENSE",
			     .length = 10,
			     .direction = HBA_FROM_TARGET,
			     .access = ACCESS_ALWAYS,
			     .flags = WITHOUT_MEDIUM,
			     .usage = { OPCODE, 0, X2, 0, X4 },
			     .run = target_log_sense },
	[SCSI_SEND_DIAGNOSTIC] = { .name = "SEND DIAGNOSTIC",
				   .length = 6,
				   .direction = HBA_TO_TARGET,
				   .flags = WITHOUT_MEDIUM,
				   .usage = { OPCODE, SELF_TEST_BITS, 0, X2 },
				   .run = target_send_diagnostic },
	[SCSI_RECEIVE_DIAGNOSTIC_RESULTS] = { .name = "RECEIVE DIAGNOSTIC RESULTS",
					      .length = 6,
					      .direction = HBA_FROM_TARGET,
					      .access = ACCESS_READ,
					      .flags = WITHOUT_MEDIUM,
					      .usage = { OPCODE, PCV, 0xff, X2 },
					      .run = target_receive_diagnostic },
	[SCSI_MAINTENANCE_IN] = { .name = "MAINTENANCE IN",
				  .length = 12,
				  .actions = maintenance_in },
	[SCSI_RESERVE_6] = RESERVATION("RESERVE(6)", 6, target_reserve),
	[SCSI_RELEASE_6] = RESERVATION("RELEASE(6)", 6, target_release),
	[SCSI_RESERVE_10] = RESERVATION("RESERVE(10)", 10, target_reserve),
	[SCSI_RELEASE_10] = RESERVATION("RELEASE(10)", 10, target_release),
	[SCSI_PERSISTENT_RESERVE_IN] = { .name = "PERSISTENT RESERVE IN",
					 .length = 10,
					 .actions = persistent_reserve_in },
	[SCSI_PERSISTENT_RESERVE_OUT] = { .name = "PERSISTENT RESERVE OUT",
					  .length = 10,
					  .actions = persistent_reserve_out },
	[SCSI_TEST_UNIT_READY] = { .name = "TEST UNIT READY",
				   .access = ACCESS_ALWAYS,
				   .length = 6,
				   .usage = { OPCODE },
				   .run = target_test_unit_ready },
	[SCSI_REQUEST_SENSE] = { .name = "REQUEST SENSE",
				 .access = ACCESS_ALWAYS,
				 .length = 6,
				 .direction = HBA_FROM_TARGET,
				 .flags = WITHOUT_UNIT | DESPITE_ATTENTION | WITHOUT_MEDIUM,
				 .usage = { OPCODE, DESC, 0, 0, 0xff },
				 .run = target_request_sense },
	[SCSI_READ_6] = { .name = "READ(6)",
			  .access = ACCESS_READ,
			  .length = 6,
			  .direction = HBA_FROM_TARGET,
			  .usage = RW_6,
			  .run = target_read_write },
	[SCSI_WRITE_6] = { .name = "WRITE(6)",
			   .length = 6,
			   .direction = HBA_TO_TARGET,
			   .usage = RW_6,
			   .run = target_read_write },
	[SCSI_INQUIRY] = { .name = "INQUIRY",
			   .access = ACCESS_ALWAYS,
			   .length = 6,
			   .direction = HBA_FROM_TARGET,
			   .flags = WITHOUT_UNIT | DESPITE_ATTENTION | WITHOUT_MEDIUM,
			   .usage = { OPCODE, EVPD, 0xff, X2 },
			   .run = target_inquiry },
	[SCSI_MODE_SENSE_6] = { .name = "MODE SENSE(6)",
				.access = ACCESS_READ,
				.flags = WITHOUT_MEDIUM,
				.length = 6,
				.direction = HBA_FROM_TARGET,
				.usage = { OPCODE, DBD, X2, 0xff },
				.run = target_mode_sense_6 },
	[SCSI_READ_CAPACITY_10] = { .name = "READ CAPACITY(10)",
				    .access = ACCESS_ALWAYS,
				    .length = 10,
				    .direction = HBA_FROM_TARGET,
				    .usage = { OPCODE },
				    .run = target_read_capacity_10 },
	[SCSI_READ_10] = { .name = "READ(10)",
			   .access = ACCESS_READ,
			   .length = 10,
			   .direction = HBA_FROM_TARGET,
			   .usage = RW_10,
			   .run = target_read_write },
	[SCSI_WRITE_10] = { .name = "WRITE(10)",
			    .length = 10,
			    .direction = HBA_TO_TARGET,
			    .usage = RW_10,
			    .run = target_read_write },
	[SCSI_WRITE_AND_VERIFY_10] = { .name = "WRITE AND VERIFY(10)",
				       .length = 10,
				       .direction = HBA_TO_TARGET,
				       .usage = EXTENT_10(VERIFY_FLAGS),
				       .run = target_write_and_verify },
	[SCSI_VERIFY_10] = { .name = "VERIFY(10)",
			     .access = ACCESS_READ,
			     .length = 10,
			     .direction = HBA_TO_TARGET,
			     .usage = EXTENT_10(VERIFY_FLAGS),
			     .run = target_verify },
	[SCSI_PRE_FETCH_10] = { .name = "PRE-FETCH(10)",
				.access = ACCESS_READ,
				.length = 10,
				.usage = EXTENT_10(SCSI_IMMED),
				.run = target_pre_fetch },
	[SCSI_SYNCHRONIZE_CACHE_10] = { .name = "SYNCHRONIZE CACHE(10)",
					.length = 10,
					.usage = { OPCODE, SCSI_IMMED, X4, 0, X2 },
					.run = target_synchronize_cache },
	[SCSI_WRITE_SAME_10] = { .name = "WRITE SAME(10)",
				 .thin_bits = SCSI_WRITE_SAME_UNMAP,
				 .length = 10,
				 .direction = HBA_TO_TARGET,
				 .usage = EXTENT_10(0),
				 .run = target_write_same },
	[SCSI_UNMAP] = { .name = "UNMAP",
			 .flags = THIN_ONLY,
			 .length = 10,
			 .direction = HBA_TO_TARGET,
			 .usage = { OPCODE, 0, 0, 0, 0, 0, 0, X2 },
			 .run = target_unmap },
	[SCSI_MODE_SENSE_10] = { .name = "MODE SENSE(10)",
				 .access = ACCESS_READ,
				 .flags = WITHOUT_MEDIUM,
				 .length = 10,
				 .direction = HBA_FROM_TARGET,
				 .usage = { OPCODE, DBD | LLBAA, X2, 0, 0, 0, X2 },
				 .run = target_mode_sense_10 },
	[SCSI_READ_16] = { .name = "READ(16)",
			   .access = ACCESS_READ,
			   .length = 16,
			   .direction = HBA_FROM_TARGET,
			   .usage = RW_16,
			   .run = target_read_write },
	[SCSI_WRITE_16] = { .name = "WRITE(16)",
			    .length = 16,
			    .direction = HBA_TO_TARGET,
			    .usage = RW_16,
			    .run = target_read_write },
	[SCSI_COMPARE_AND_WRITE] = { .name = "COMPARE AND WRITE",
				     .length = 16,
				     .direction = HBA_TO_TARGET,
				     .usage = { OPCODE, RW_FLAGS, X8, 0, 0, 0, 0xff },
				     .run = target_compare_and_write },
	[SCSI_ORWRITE_16] = { .name = "ORWRITE(16)",
			      .length = 16,
			      .direction = HBA_TO_TARGET,
			      .usage = EXTENT_16(RW_FLAGS),
			      .run = target_orwrite },
	[SCSI_WRITE_AND_VERIFY_16] = { .name = "WRITE AND VERIFY(16)",
				       .length = 16,
				       .direction = HBA_TO_TARGET,
				       .usage = EXTENT_16(VERIFY_FLAGS),
				       .run = target_write_and_verify },
	[SCSI_VERIFY_16] = { .name = "VERIFY(16)",
			     .access = ACCESS_READ,
			     .length = 16,
			     .direction = HBA_TO_TARGET,
			     .usage = EXTENT_16(VERIFY_FLAGS),
			     .run = target_verify },
	[SCSI_PRE_FETCH_16] = { .name = "PRE-FETCH(16)",
				.access = ACCESS_READ,
				.length = 16,
				.usage = EXTENT_16(SCSI_IMMED),
				.run = target_pre_fetch },
	[SCSI_WRITE_SAME_16] = { .name = "WRITE SAME(16)",
				 .thin_bits = SCSI_WRITE_SAME_UNMAP,
				 .length = 16,
				 .direction = HBA_TO_TARGET,
				 .usage = EXTENT_16(SCSI_NDOB),
				 .run = target_write_same },
	[SCSI_SYNCHRONIZE_CACHE_16] = { .name = "SYNCHRONIZE CACHE(16)",
					.length = 16,
					.usage = { OPCODE, SCSI_IMMED, X8, X4 },
					.run = target_synchronize_cache },
	[SCSI_SERVICE_ACTION_IN_16] = { .name = "SERVICE ACTION IN(16)",
					.length = 16,
					.actions = service_action_in_16 },
	[SCSI_REPORT_LUNS] = { .name = "REPORT LUNS",
			       .access = ACCESS_ALWAYS,
			       .length = 12,
			       .direction = HBA_FROM_TARGET,
			       .flags = WITHOUT_UNIT | DESPITE_ATTENTION | WITHOUT_MEDIUM,
			       .usage = { OPCODE, 0, 0xff, 0, 0, 0, X4 },
			       .run = target_report_luns },
	[SCSI_READ_12] = { .name = "READ(12)",
			   .access = ACCESS_READ,
			   .length = 12,
			   .direction = HBA_FROM_TARGET,
			   .usage = RW_12,
			   .run = target_read_write },
	[SCSI_WRITE_12] = { .name = "WRITE(12)",
			    .length = 12,
			    .direction = HBA_TO_TARGET,
			    .usage = RW_12,
			    .run = target_read_write },
	[SCSI_WRITE_AND_VERIFY_12] = { .name = "WRITE AND VERIFY(12)",
				       .length = 12,
				       .direction = HBA_TO_TARGET,
				       .usage = EXTENT_12(VERIFY_FLAGS),
				       .run = target_write_and_verify },
	[SCSI_VERIFY_12] = { .name = "VERIFY(12)",
			     .access = ACCESS_READ,
			     .length = 12,
			     .direction = HBA_TO_TARGET,
			     .usage = EXTENT_12(VERIFY_FLAGS),
			     .run = target_verify },
};
