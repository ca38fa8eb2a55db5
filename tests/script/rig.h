/* SPDX-License-Identifier: MIT */
/*
 * rig.h: a controller over the script bus, and a disk for the chip models of these tests, which
 * answers what a scan asks.
 *
 * Time is the test's: every look at it costs a tick, so that a deadline of seconds is over in no
 * time.
 */
#ifndef SCRIPT_RIG_H
#define SCRIPT_RIG_H

#include "lib/test-driver.h"

#include "bus/script.h"

enum {
	RIG_BLOCK = 512,
	RIG_BLOCKS = 256,
	RIG_SENSE = 18,
	RIG_DATA = 64 * 1024,
	RIG_UNKNOWN = 0x01, /* an opcode that the disk does not know */
	RIG_WRITERS = 8,
	RIG_CAUGHT = 4, /* of the writers: those whose first write the chip keeps */
};

/** struct rig_answer - What the disk says to one command. */
struct rig_answer {
	uint8_t status;
	uint8_t sense[RIG_SENSE];
	uint8_t sense_len;
	const uint8_t *data; /* for the initiator */
	size_t length;
};

struct rig {
	struct script script;
	struct hba_controller *c;
	uint8_t medium[RIG_BLOCKS * RIG_BLOCK];
	uint8_t data[RIG_DATA];
	bool two_units; /* the disk reports LUN 1, too */
	void *of_chip;
};

/** rig_new() - `of_chip` is the chip model's own struct. */
struct rig *rig_new(void *of_chip);
/** rig_of() - From an access to the rig whose device it is. */
struct rig *rig_of(struct script *s);
/** rig_open() - A controller that is not started yet. */
void rig_open(struct rig *rig, const struct hba_driver *driver);
/** rig_up() - And started, with one unit, which is returned. */
struct hba_lun *rig_up(struct rig *rig, const struct hba_driver *driver);
/** rig_refused() - It does not start, for this reason, which the sentence holds. */
void rig_refused(struct rig *rig, const struct hba_driver *driver, int error, const char *part);
/** rig_down() - Stop, close, free; the script must have come to its end without a surprise. */
void rig_down(struct rig *rig);
/**
 * rig_memory() - What the device finds at `iova`; the test ends here if that is nobody's memory.
 */
void *rig_memory(struct rig *rig, uint64_t iova, size_t length);
/** rig_tick() - From now on a look at the clock costs so many ms. */
void rig_tick(struct rig *rig, uint64_t ms);

/** rig_execute() - The disk: `out` is what the initiator sent, of `length` bytes. */
struct rig_answer rig_execute(struct rig *rig, const uint8_t *cdb, const uint8_t *out,
			      size_t length);

/**
 * rig_ready() - Submit a TEST UNIT READY; rig_read() and rig_write() blocks from the first on,
 * bounced.
 */
struct hba_task *rig_ready(struct hba_lun *lun, struct test_io *io);
struct hba_task *rig_read(struct hba_lun *lun, struct test_io *io, void *buffer, uint16_t blocks);
struct hba_task *rig_write(struct hba_lun *lun, struct test_io *io, void *buffer, uint16_t blocks);
/** rig_unknown() - Submit a command that the disk does not know. */
struct hba_task *rig_unknown(struct hba_lun *lun, struct test_io *io);
/**
 * rig_direct() - Blocks from the first on, never bounced: in a piece of a region, or if that is
 * NULL at `buffer`.
 */
struct hba_task *rig_direct(struct hba_lun *lun, struct test_io *io, bool write, uint16_t blocks,
			    const struct hba_piece *piece, void *buffer);
/**
 * rig_send() - The turns that it takes until what was submitted, or answered, is on the other side.
 */
void rig_send(struct rig *rig);
/** rig_turn() - The i-th turn of a wait: later ones leave the processor to the service thread. */
void rig_turn(struct rig *rig, unsigned i);
/** rig_wait() - Until `io` has had so many dones: turns, and time. */
void rig_wait(struct rig *rig, const struct test_io *io, unsigned done);
/** rig_ends() - The same, and the last of them with that outcome. */
void rig_ends(struct rig *rig, const struct test_io *io, unsigned done, enum hba_outcome outcome);
/** rig_works() - One more TEST UNIT READY, and it ends well. */
void rig_works(struct rig *rig, struct hba_lun *lun, struct test_io *io);
/** rig_copies() - What is written is read again, and the contract kept. */
void rig_copies(struct rig *rig, struct hba_lun *lun);
/** rig_has_sense() - A command that the disk does not know ends with its sense, all of it. */
void rig_has_sense(struct rig *rig, struct hba_lun *lun);
/**
 * rig_told() - Until errors of the device are told, each with a sentence that holds `part`; and no
 * violation.
 */
void rig_told(struct rig *rig, const char *part);
/** rig_until() - Turns until the controller is in that state. */
void rig_until(struct rig *rig, enum hba_state state);
/**
 * rig_quiet() - Turns until no waiting op is under way or posted and turns find nothing more to do.
 * Then the chip's state is this thread's alone until the next turn.
 */
void rig_quiet(struct rig *rig);

/* ---- I/O through a reset */

/** struct rig_writer - Writes its own block again and again, each time with another byte. */
struct rig_writer {
	struct test_io io;
	uint8_t data[RIG_BLOCK];
	unsigned sent, good, ended_by_reset;
};

/**
 * rig_hang() - Submit a TEST UNIT READY with a short time-out; then a first write of each writer up
 * to RIG_CAUGHT.
 */
void rig_hang(struct hba_lun *lun, struct test_io *hung, struct rig_writer w[RIG_WRITERS]);
/**
 * rig_writes_through_reset() - The chip keeps what rig_hang() has sent: all others write on until
 * `hung` has timed out, and all of them after that. Each write that ended well is on the medium;
 * the reset has ended those that were caught.
 */
void rig_writes_through_reset(struct rig *rig, struct hba_lun *lun, const struct test_io *hung,
			      struct rig_writer w[RIG_WRITERS]);

#endif
