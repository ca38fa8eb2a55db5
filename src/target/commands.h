/* SPDX-License-Identifier: MIT */
/*
 * commands.h: what the command handlers share inside this room. To add a command: a handler, and a
 * row in execute.c's table.
 */
#ifndef TARGET_COMMANDS_H
#define TARGET_COMMANDS_H

#include "target/target.h"

#include <pthread.h>

/* ---- rows of the command table (execute.c) */

enum row_flags {
	WITHOUT_UNIT = 1, /* answered whether or not there is a unit */
	/* answered while a unit attention waits, which goes on waiting (SAM-5 5.14) */
	DESPITE_ATTENTION = 2,
	WITHOUT_MEDIUM = 4, /* answered while the medium is out, or stopped */
	THIN_ONLY = 8,      /* there is none of it on a unit that cannot give room back */
};

/*
 * The effect of another nexus's reservation on a command (SPC-4 table 65, SBC-3 table 14). A row
 * without one counts as a writer.
 */
enum access {
	ACCESS_WRITE, /* conflicts with all of them */
	ACCESS_READ,  /* with exclusive access */
	ACCESS_ALWAYS /* with none; or the handler, or a field of the CDB, decides */
};

struct row {
	int (*run)(struct target_command *c);
	/* instead of `run`: rows by service action, ended by one without a name */
	const struct row *actions;
	const char *name;
	uint8_t length; /* of the CDB */
	uint8_t direction;
	uint8_t flags;
	uint8_t access;
	uint8_t action;
	/* of byte 1, beside `usage`: units that can give room back understand them, too */
	uint8_t thin_bits;
	uint8_t usage[TARGET_CDB_BYTES];
};

enum { ACTION_BYTE = 1, ACTION_MASK = 0x1f, ACTION_HIGH_BIT = 4, BYTE_HIGH_BIT = 7, NACA = 0x04 };

/*
 * The row of an opcode, which runs and describes it; its `run` and `actions` are NULL if this unit
 * has no such command.
 */
const struct row *target_row(const struct target_unit *unit, uint8_t opcode);
/*
 * The bits of byte `i` that a row's command understands on this unit, NACA of its control byte
 * included.
 */
uint8_t target_row_usage(const struct target_unit *unit, const struct row *row, unsigned i);

/* ---- handlers */

/*
 * A handler: 0 = ended, 1 = later. Before it is called: the CDB is whole, and no bit is set that
 * the row does not list.
 */

/*
 * execute.c: how a command ends other than well. Each returns 0, what a handler returns for
 * "ended".
 */
int target_check(struct target_command *c, const struct scsi_sense *sense);
int target_refuse(struct target_command *c, uint8_t key, uint16_t asc);
/* INVALID FIELD IN CDB, and which one: byte, and its highest bit. */
int target_refuse_field(struct target_command *c, uint16_t byte, uint8_t bit);
/* INVALID FIELD IN PARAMETER LIST, likewise. */
int target_refuse_parameter(struct target_command *c, uint16_t byte, uint8_t bit);
/*
 * The answer to a command that returns parameter data: cut to the allocation length and to the
 * buffer.
 */
int target_answer(struct target_command *c, const uint8_t *bytes, size_t length,
		  uint64_t allocation);
/*
 * A parameter list of at most `size` bytes: 0, and it is in `list`; 1: the command has ended in
 * PARAMETER LIST LENGTH ERROR.
 */
int target_take_list(struct target_command *c, uint8_t *list, size_t length, size_t size);
/* The end of a command whose handler had returned "later". Nothing else calls `done`. */
void target_end(struct target_command *c);
/*
 * The steps of every command: attention, reservations, the medium, the row. Returns as a handler
 * does.
 */
int target_run(struct target_command *c);

/* ---- what commands leave behind */

/*
 * unit->gate: UNUSUAL is set while anything in the state may stop a command; each ORDERED or HEAD
 * OF QUEUE command in a task set adds IN_ORDER. While it is 0, a SIMPLE command takes no lock and
 * looks at nothing here.
 */
enum { GATE_UNUSUAL = 1, GATE_IN_ORDER = 2 };

enum { SELF_TEST_RESULTS = 20 };

/** struct self_test - One line of the log of self-tests (SPC-4 7.3.15). */
struct self_test {
	uint8_t code, result;
	uint64_t first_failure; /* block; UINT64_MAX: none */
};

/*
 * The types of persistent reservations (SPC-4 table 174). From WRITE_REGISTRANTS on, registrants
 * are let in.
 */
enum reservation_type {
	RESERVE_WRITE_EXCLUSIVE = 1,
	RESERVE_EXCLUSIVE_ACCESS = 3,
	RESERVE_WRITE_REGISTRANTS = 5,
	RESERVE_ACCESS_REGISTRANTS = 6,
	RESERVE_WRITE_ALL = 7,
	RESERVE_ACCESS_ALL = 8,
	RESERVATION_TYPES
};
enum { RESERVATION_TYPE_MASK = 0x1ea }; /* a bit each */

/** struct registrations - Persistent reservations (SPC-4 5.12). */
struct registrations {
	uint64_t keys[TARGET_NEXUSES]; /* 0: not registered */
	uint32_t generation;
	uint8_t type;  /* enum reservation_type; 0: none is held */
	int8_t holder; /* who made it; of the two types of all registrants each is a holder */
	bool through_power_loss;
	char *path; /* the file they are kept in; NULL: nowhere */
};

/** struct target_state - Behind the lock, but for the two counters. */
struct target_state {
	pthread_mutex_t lock;
	uint16_t attention[TARGET_NEXUSES]; /* a bit per enum target_condition */
	/* the nexus whose error all wait for; TARGET_NO_NEXUS */
	int8_t aca;
	int8_t reserver;   /* by RESERVE(6) or (10); TARGET_NO_NEXUS */
	uint8_t kept;      /* nexuses for which `sense` is kept: a bit each */
	uint8_t prevented; /* nexuses that keep the medium in: a bit each */
	bool ejected, stopped;
	bool software_protected; /* SWP */
	bool no_read_ahead;      /* DRA */
	struct scsi_sense sense[TARGET_NEXUSES];
	struct registrations registrations;
	struct self_test tests[SELF_TEST_RESULTS]; /* the latest first */
	unsigned n_tests;
	uint64_t unrecovered_reads, unrecovered_writes; /* atomic */
};

int target_state_create(struct target_state **ret_state);
void target_state_free(struct target_state *s);

/* Both take and give the lock; the second looks again whether anything is unusual. */
struct target_state *target_lock(struct target_unit *unit);
void target_unlock(struct target_unit *unit);

/* unit-attention.c. With the lock: */
void target_attention_locked(struct target_unit *unit, enum target_condition condition, int except);
void target_attention_one(struct target_state *s, enum target_condition condition, unsigned nexus);
/*
 * The first condition of those in `which` that is pending for this nexus, and now no longer; enum
 * scsi_asc.
 */
uint16_t target_take_attention(struct target_state *s, unsigned nexus, uint16_t which);
enum { TARGET_RESETS = 1 << TARGET_WAS_RESET, TARGET_ANY_CONDITION = (1 << TARGET_CONDITIONS) - 1 };
/* Without: */
void target_forget_attention(struct target_unit *unit);
/* After CHECK CONDITION: ACA, kept sense, counters. */
void target_note_check(struct target_command *c);

/*
 * taskset.c: the way in for all that is not plain, and the way out of all that was listed. Returns
 * as a handler does.
 */
int taskset_enter(struct target_command *c);
void taskset_leave(struct target_command *c);
/** taskset_holds_others() - Before it ends: may other commands wait for this one? */
bool taskset_holds_others(const struct target_command *c);
/*
 * An ACA is over: what it held back in any queue of the device goes on, each by its own thread,
 * soon.
 */
void taskset_aca_ended(const struct target_device *d);
/* Of a command that might have ended at once, and goes on later: from now on it stands in line. */
void taskset_stay(struct target_command *c);

/*
 * Abort what this command's engine holds of these nexuses (a bit each) for its unit. As a handler:
 * 1: it waits for their ends.
 */
int taskset_abort(struct target_command *c, uint8_t nexuses);

/* reserve.c */
bool target_holds(const struct registrations *r, unsigned nexus);
bool target_conflicts(const struct target_command *c, const struct target_state *s);
int target_conflict(struct target_command *c); /* ends with RESERVATION CONFLICT */
int target_reserve(struct target_command *c);
int target_release(struct target_command *c);

/* persist.c */
int target_read_keys(struct target_command *c);
int target_read_reservation(struct target_command *c);
int target_report_capabilities(struct target_command *c);
int target_read_full_status(struct target_command *c);
int target_pr_register(struct target_command *c);
int target_pr_register_and_ignore(struct target_command *c);
int target_pr_reserve(struct target_command *c);
int target_pr_release(struct target_command *c);
int target_pr_clear(struct target_command *c);
int target_pr_preempt(struct target_command *c);
int target_pr_preempt_and_abort(struct target_command *c);

/* aptpl.c: 0, or a negative errno; no file at all is no registrations. */
int target_registrations_save(const struct registrations *r);
int target_registrations_load(const char *path, struct registrations *ret_registrations,
			      char *message);

/* primary.c */
int target_test_unit_ready(struct target_command *c);
int target_request_sense(struct target_command *c);
int target_inquiry(struct target_command *c);
int target_report_luns(struct target_command *c);

/* medium.c */

/* with the lock; enum scsi_asc, SCSI_ASC_NONE: it is ready */
uint16_t target_not_ready(const struct target_state *s);
/* Flush the store, then go on with `then`, unless that fails. As a handler. */
int target_flush_then(struct target_command *c, int (*then)(struct target_command *c));
int target_start_stop(struct target_command *c);
int target_prevent_allow(struct target_command *c);

/* supported.c, log.c, diagnostic.c */
int target_report_opcodes(struct target_command *c);
int target_report_functions(struct target_command *c);
int target_log_sense(struct target_command *c);
int target_send_diagnostic(struct target_command *c);
int target_receive_diagnostic(struct target_command *c);

/* mode.c */
void target_mode_reset(struct target_unit *unit); /* with the lock */
int target_mode_select_6(struct target_command *c);
int target_mode_select_10(struct target_command *c);
int target_mode_sense_6(struct target_command *c);
int target_mode_sense_10(struct target_command *c);

/* ---- command-steps.c: a command over blocks, one step after the other */

/* Run in this order; each may end at once or later. */
enum target_step {
	STEP_CLAIM = 1 << 0,       /* wait until no other command is in the way */
	STEP_FLUSH_FIRST = 1 << 1, /* a READ with FUA */
	STEP_PREFETCH = 1 << 2,
	STEP_COMPARE = 1 << 3,    /* the blocks with data; ends the command where they differ */
	STEP_MOVE = 1 << 4,       /* data to or from the blocks */
	STEP_MERGE = 1 << 5,      /* data ORed into the blocks */
	STEP_REPEAT = 1 << 6,     /* one block of data, or none for zeros, into each block */
	STEP_DEALLOCATE = 1 << 7, /* the blocks */
	STEP_UNMAP = 1 << 8,      /* … the extents of an UNMAP list in the scratch buffer */
	STEP_FLUSH_LAST = 1 << 9, /* a WRITE with FUA; SYNCHRONIZE CACHE has this one alone */
	STEP_CHECK = 1 << 10,     /* as COMPARE, after the writing */
};

/* The request to the store that has failed. */
enum target_busy { BUSY_READING, BUSY_WRITING, BUSY_FLUSHING };

/* The data that blocks are compared with. */
enum target_compare {
	COMPARE_NOTHING, /* that they can be read is enough */
	COMPARE_DATA,
	COMPARE_ONE_BLOCK /* each with the one block of data */
};

/** struct target_work - What target_work() is to do. Zero for what the command has not. */
struct target_work {
	uint16_t steps;
	uint64_t offset, length; /* bytes of the unit */
	uint64_t skip;           /* bytes of data before those that MOVE moves */
	bool writing;            /* MOVE is a write */
	bool exclusive;          /* no other command may touch these bytes meanwhile */
	bool zeros;              /* REPEAT's block is zeros, and no data */
	uint8_t compare;         /* enum target_compare */
	struct scratch *scratch; /* borrowed already; for UNMAP, with so many descriptors in it: */
	unsigned n_descriptors;
};

/** target_work_on() - Over these blocks; over none, only FLUSH_LAST is left of the steps. */
struct target_work target_work_on(const struct target_command *c, const struct scsi_extent *extent,
				  uint16_t steps);

/**
 * target_work() - Returns what a handler returns. MOVE adds to c->bytes; what else of the data is
 * taken, the handler has set.
 */
int target_work(struct target_command *c, const struct target_work *work);

/* ---- checks.c: what block commands have in common. Each: true = go on; false = refused */

bool target_check_range(struct target_command *c, uint64_t block, uint64_t count);
/* against the longest transfer */
bool target_check_length(struct target_command *c, uint32_t count);
bool target_check_writable(struct target_command *c);
bool target_check_data(struct target_command *c, uint64_t bytes); /* that so many were sent */
/** target_read_extent() - From a CDB of extent.c's kind, its range checked. */
bool target_read_extent(struct target_command *c, struct scsi_extent *ret_extent);

/* block.c */
int target_read_capacity_10(struct target_command *c);
int target_read_capacity_16(struct target_command *c);
int target_read_write(struct target_command *c);
int target_synchronize_cache(struct target_command *c);
int target_pre_fetch(struct target_command *c);

/* verify.c */
int target_verify(struct target_command *c);
int target_write_and_verify(struct target_command *c);
int target_compare_and_write(struct target_command *c);
int target_orwrite(struct target_command *c);

/* provision.c */
int target_unmap(struct target_command *c);
int target_write_same(struct target_command *c);
int target_get_lba_status(struct target_command *c);

/* vpd.c: the pages that depend on the unit. Each returns the bytes used. */
size_t target_vpd_extended(const struct target_unit *unit, uint8_t bytes[SCSI_VPD_MAX]);
size_t target_vpd_limits(const struct target_unit *unit, uint8_t bytes[SCSI_VPD_MAX]);
size_t target_vpd_characteristics(const struct target_unit *unit, uint8_t bytes[SCSI_VPD_MAX]);
size_t target_vpd_provisioning(const struct target_unit *unit, uint8_t bytes[SCSI_VPD_MAX]);

/* The limits in page B0, which the handlers keep. */
enum {
	TARGET_MOST_COMPARE_AND_WRITE = 255,
	TARGET_MOST_UNMAP_DESCRIPTORS = 256,
	TARGET_MOST_UNMAP_BLOCKS = 1 << 24,
	TARGET_MOST_WRITE_SAME_BYTES = 32 << 20,
	TARGET_MOST_PREFETCH_BYTES = 64 << 20,
	TARGET_BEST_TRANSFER_BYTES = 1 << 20,
};

#endif
