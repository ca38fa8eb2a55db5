/* SPDX-License-Identifier: MIT */
/*
 * rig.h: the test driver with a script: what each command of a client ends as, in turn; a log of
 * all that was sent; and for data, lists held against the limits and a disk whose every byte
 * follows from its block.
 */
#ifndef UNIT_CORE_RIG_H
#define UNIT_CORE_RIG_H

/* Before cmocka, whose fail() is a macro. */
#include "as-driver.h"

#include "lib/test-driver.h"

enum {
	RIG_SCRIPT = 256,
	RIG_LOG = 16384,
	RIG_UNITS = 8,
	UNIT_ATTENTION_KEY = 6,
	NOT_READY_KEY = 2,
	MEDIUM_ERROR_KEY = 3,
	REQUEST_SENSE_OP = 0x03,
	INQUIRY_OP = 0x12,
};

/**
 * struct rig_answer - How one command ends. With a sense key, as CHECK CONDITION with that sense.
 */
struct rig_answer {
	enum hba_outcome outcome;
	enum hba_sent sent;
	uint8_t key, asc, ascq;
	uint64_t bytes;
	uint8_t negotiated, reverted;
};

/** struct rig_sent - One process_task, as the driver saw it. */
struct rig_sent {
	uint64_t at, tag, target, length, cookie;
	uint8_t opcode, cdb_len, unit, kind, negotiate, revert, queue;
};

struct rig {
	struct test_driver *d;
	struct hba_controller *c;
	struct rig_answer script[RIG_SCRIPT]; /* for clients' commands, in turn; then all is well */
	unsigned n_script, next;
	struct rig_sent log[RIG_LOG];
	unsigned n_log;
	bool without_sense;         /* CHECK CONDITION comes alone; REQUEST SENSE gets it */
	uint8_t kept[RIG_UNITS][3]; /* sense that is waiting in a unit: key, asc, ascq */
	/* READ and WRITE are of the disk whose bytes follow from their place */
	bool disk;
	/* bytes written, bytes or lists that were wrong, READs and WRITEs seen */
	uint64_t written, wrong, stages;
	uint64_t short_stage, short_bytes; /* that stage (from 1) moves no more than so many */
	uint64_t bad_stage;                /* that stage fails: MEDIUM ERROR */
	void (*report)(struct hba_report *r);
};

/** rig_init() - Over a new test driver; nothing is opened yet. */
void rig_init(struct rig *r);
/** rig_up() - Opened, started, scanned; the log is empty. */
void rig_up(struct rig *r);
void rig_down(struct rig *r);
void rig_say(struct rig *r, struct rig_answer answer, unsigned times);

/** rig_byte() - What the disk has at that byte. */
uint8_t rig_byte(uint64_t at);
/** rig_clients() - How many commands of clients the log has. */
unsigned rig_clients(const struct rig *r);
/** rig_count() - How many with that opcode. */
unsigned rig_count(const struct rig *r, uint8_t opcode);
/** rig_random() - A sequence that is the same in every run. */
uint64_t rig_random(uint64_t *state, uint64_t below);
/** rig_pass() - Time passes, `ms` in all, the loop taking a turn at each `step`. */
void rig_pass(struct rig *r, uint64_t ms, uint64_t step);

/** rig_until_scanned() - Turns until no scan is under way; fails the test after very many. */
void rig_until_scanned(struct rig *r);

#endif
