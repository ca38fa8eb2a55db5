/* SPDX-License-Identifier: MIT */
/*
 * suite.h: the suite from inside. A group is a file with a table of tests; a test is a function
 * that says what it expected and what came, or nothing if all was well. Rules that hold for every
 * command are watched all the time, and judged in the last group.
 */
#ifndef CHECK_SUITE_H
#define CHECK_SUITE_H

#include "base/base.h"
#include "base/random.h"
#include "check/check.h"
#include "scsi/scsi.h"

#include <hbakit/driver.h>
#include <hbakit/hbakit.h>

enum {
	GUARD = 64,        /* bytes on either side of every buffer */
	GUARD_BYTE = 0xc3, /* what they hold */
	/*
	 * what a buffer holds before data arrive; two of them tell bytes that came from bytes that
	 * stayed
	 */
	POISON_A = 0x5a,
	POISON_B = 0xa5,           /* the complement, so that no byte is equal to both */
	AREA_BYTES = 5 << 20,      /* memory for data, of each kind */
	WINDOW_BYTES = 4 << 20,    /* of the disk that data tests use */
	LIST_MAX = 600,            /* pieces of one list */
	REGION_PIECES = 8,         /* of a list by region: few enough for every driver */
	COMMAND_MS = 10 * MS_PER_S /* a command's timeout, unless the caller has another */
};

/** enum need - What a test cannot do without. */
enum need {
	NEED_CONTROLLER = 1, /* one that is started, still */
	NEED_UNIT = 2,
	NEED_DISK = 4,  /* with a medium */
	NEED_WRITE = 8, /* --write, and a unit that may be written */
	NEED_CDB_12 = 16,
	NEED_CDB_16 = 32,
	NEED_TMF = 64,
	NEED_MAPPING = 128,   /* memory of the controller for data */
	NEED_REFERENCE = 256, /* the window has been read */
};
enum {
	UNIT = NEED_CONTROLLER | NEED_UNIT,
	DISK = UNIT | NEED_DISK,
	DATA = DISK | NEED_REFERENCE,
	WRITE = DATA | NEED_WRITE
};

struct check;

/** struct check_test - A row of a group's table. */
struct check_test {
	const char *name, *rule, *reference;
	unsigned needs; /* enum need */
	void (*run)(struct check *k);
};

/** struct check_group - A file's table, under its name. */
struct check_group {
	const char *name;
	const struct check_test *tests;
	size_t n;
};

extern const struct check_group check_life, check_identity, check_refusal, check_data, check_write,
	check_load, check_manage, check_use, check_whole;

/**
 * struct notable - The first breach of a rule that is watched all the time, and how many there
 * were.
 */
struct notable {
	uint64_t n;
	char text[CHECK_TEXT];
};

/** struct area - Memory for data, guards and all. */
struct area {
	uint8_t *bytes;              /* AREA_BYTES */
	struct hba_mapping *mapping; /* NULL: memory like any other */
};

struct check {
	const struct check_options *options;
	struct hba_controller *controller;
	struct check_result *result; /* of the test that runs */
	struct check_summary summary;
	uint64_t random;
	bool over;        /* nothing comes from this controller any more */
	bool interrupted; /* go on only with what puts things back */

	struct hba_lun *lun; /* the unit; NULL: none */
	struct hba_lun_info info;
	unsigned n_units;

	struct area plain, mapped;
	struct iovec iov[LIST_MAX];
	struct hba_piece pieces[REGION_PIECES];

	uint64_t window, window_blocks; /* of the unit: first block, how many */
	uint8_t *reference;             /* what was in them before anybody wrote */
	/* they have been overwritten, maybe: reference has to go back */
	bool saved;

	struct notable guards, sense, late, violations, device_errors;
	unsigned scans;    /* that have ended */
	uint64_t commands; /* sent in the whole run */
};

/* ---- suite.c: verdicts */

/* The first failure of a test counts. Each returns false, the others whether all is well. */
bool check_failed(struct check *k, const char *expected, const char *got, ...)
	__attribute__((format(printf, 3, 4)));
bool check_skip(struct check *k, const char *reason, ...) __attribute__((format(printf, 2, 3)));
/** check_number() - `what` should be `expected`. */
bool check_number(struct check *k, const char *what, uint64_t expected, uint64_t got);
/** check_bytes() - `what` should be these bytes: the first that differs is named. */
bool check_bytes(struct check *k, const char *what, const uint8_t *expected, const uint8_t *got,
		 size_t length);
/** check_note() - A breach of a rule that is watched all the time. */
void check_note(struct check *k, struct notable *n, const char *text, ...)
	__attribute__((format(printf, 3, 4)));
/** check_judge() - The verdict on such a rule. */
bool check_judge(struct check *k, const struct notable *n, const char *expected);
/**
 * check_take_events() - Violations are kept for the verdict in the last group, scans that have
 * ended are counted.
 */
void check_take_events(struct check *k);

/* ---- device.c: known faults */

/**
 * check_excuse() - If the test has failed as this kind of device is known to, that becomes the
 * verdict.
 */
void check_excuse(struct check *k);

/* ---- unit.c: the controller, its units, the window */

/** check_open() - Open and start. 0, or a negative errno. */
int check_start(struct check *k);
void check_choose_unit(struct check *k);
int check_take_memory(struct check *k);
void check_close(struct check *k);
/** check_settle() - Hear a unit's attentions, so that the next command is answered. */
void check_settle(struct check *k, struct hba_lun *lun);
/** check_command_ms() - A command's timeout. */
static inline uint32_t check_command_ms(const struct check *k)
{
	return k->options->timeout_ms ? (uint32_t)k->options->timeout_ms : COMMAND_MS;
}

/** check_max_cdb() - Bytes of the longest CDB. */
uint64_t check_max_cdb(const struct check *k);
/** check_can() - Is this task management function in the report? */
bool check_can(const struct check *k, enum hba_tmf tmf);
/** check_unit_name() - "0:3" */
void check_unit_name(const struct hba_lun_info *info, char text[48]);

/* ---- command.c: one command, there and back */

/** struct buffer - Bytes between guards. */
struct buffer {
	uint8_t *bytes;
	size_t length;
	const struct area *area;
};

/** struct command - Made by command_*(), changed at will, then run. */
struct command {
	struct hba_lun *lun;
	struct scsi_cdb cdb;
	enum hba_direction direction;
	enum hba_data_mode mode;
	union hba_data data;
	uint32_t n_data;
	uint64_t length;
	size_t bounce;
	struct buffer guarded; /* without bytes: none */

	int error; /* it was not taken; the rest says nothing then */
	enum hba_outcome outcome;
	uint64_t bytes;
	struct scsi_sense sense; /* zero if there was none, or none that could be read */
	uint8_t sense_len;
	bool has_sense;
	bool done;
	struct check *check;
	struct hba_task *task;
};

/** buffer_at() - `length` bytes of an area, `offset` from its beginning; poisoned, guards set. */
struct buffer buffer_at(const struct area *area, size_t offset, size_t length);
/** buffer_guards() - Are the guards as they were? If not, it is noted. */
bool buffer_guards(struct check *k, const struct buffer *b, const char *command);

struct command command_none(struct check *k, struct scsi_cdb cdb);
struct command command_in(struct check *k, struct scsi_cdb cdb, struct buffer b);
struct command command_out(struct check *k, struct scsi_cdb cdb, struct buffer b);
/**
 * command_region() - The same data, by region instead of by address; they lie in the mapped area.
 */
void command_region(struct check *k, struct command *x);
/** command_start() - Send it and come back. 0; 1: no task for it now; else x->error, too. */
int command_start(struct check *k, struct command *x);
/**
 * command_started() - The same in a test that needs it to be out: if it is not, that is the
 * verdict.
 */
bool command_started(struct check *k, struct command *x);
/** command_run() - And wait for its end. After a unit attention, or BUSY, it is sent again. */
void command_run(struct check *k, struct command *x);
/** command_good() - It was taken and ended GOOD; else the test has failed. */
bool command_good(struct check *k, const struct command *x);
/** command_refused() - It ended in CHECK CONDITION with this sense; else the test has failed. */
bool command_refused(struct check *k, const struct command *x, uint8_t key, uint16_t asc);
/**
 * command_unknown() - The unit does not offer the command, or this form of it: the test is skipped.
 */
bool command_unknown(struct check *k, const struct command *x);
/** check_wait() - Run the loop until `*done`. false: it never will be. */
bool check_wait(struct check *k, const bool *done);
/**
 * check_turn() - One turn of the loop, sleeping until there is something. false: nothing came for a
 * while.
 */
bool check_turn(struct check *k);

/* ---- blocks.c: blocks there and back */

/** blocks_cdb() - Of `size` bytes; 0 = whichever fits. false: it does not fit that size. */
bool blocks_cdb(unsigned size, enum hba_direction direction, uint64_t block, uint32_t count,
		struct scsi_cdb *ret_cdb);
/**
 * blocks_read(), blocks_write() - In pieces that every controller takes. false: the test has
 * failed.
 */
bool blocks_read(struct check *k, struct hba_lun *lun, uint64_t block, uint64_t count,
		 uint8_t *bytes);
bool blocks_write(struct check *k, struct hba_lun *lun, uint64_t block, uint64_t count,
		  uint8_t *bytes);
/**
 * blocks_pattern() - What block number `block` holds in its `generation`-th writing: no two alike.
 */
void blocks_pattern(uint8_t *bytes, size_t block_bytes, uint64_t block, uint64_t count,
		    uint64_t generation);

#endif
