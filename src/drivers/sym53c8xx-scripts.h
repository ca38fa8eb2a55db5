/* SPDX-License-Identifier: MIT */
/*
 * sym53c8xx-scripts.h: the program that the chip runs, and what both sides of it agree upon:
 * tables, entries, interrupts.
 */
#ifndef DRIVERS_SYM53C8XX_SCRIPTS_H
#define DRIVERS_SYM53C8XX_SCRIPTS_H

#include "drivers/sym53c8xx-regs.h"

#include <stdbool.h>

enum { SYM_SEGMENTS = 128, SYM_MESSAGE_BYTES = 16, SYM_CDB_BYTES = 16, SYM_BUCKET_BYTES = 4096 };

/*
 * enum sym_stage - How far the data of the task that is connected are. The part of the program that
 * looks after phases is there once for each, so that the interrupt at the end says it: no register
 * holds it, and no memory is written for it.
 */
enum sym_stage {
	SYM_NOTHING, /* moved; the saved data pointer is the current one */
	SYM_SOME,    /* moved, or pointers that the driver keeps */
	SYM_ALL,     /* the list has come to its end */
	SYM_STAGES,
};

/**
 * struct sym_data - HBA data of one task, or of none: what DSA points to. Segments end with the
 * last entry, however few they are.
 */
struct sym_data {
	hba_le32 select;
	struct sym_entry message, cdb, status, reply, extended, segment[SYM_SEGMENTS];
	uint8_t message_bytes[SYM_MESSAGE_BYTES], cdb_bytes[SYM_CDB_BYTES],
		reply_bytes[SYM_MESSAGE_BYTES];
	uint8_t status_byte;
};

/*
 * Where the driver starts the chip, or the program goes on. Those of three come once for each
 * stage.
 */
enum sym_label {
	SYM_AT_IDLE,
	SYM_AT_RESELECTED,
	SYM_AT_LOST,
	SYM_AT_OWN_TAG,
	SYM_AT_STRANGER,
	SYM_AT_STRANGER_TAG,
	SYM_AT_SIGNALLED,
	SYM_AT_SELECT,
	SYM_AT_SELECT_FUNCTION, /* to bring a message after which the target leaves the bus */
	SYM_AT_DATA,
	SYM_AT_LIST_IN,
	SYM_AT_LIST_OUT,
	SYM_AT_EXCESS_IN,
	SYM_AT_EXCESS_OUT,
	SYM_AT_EXTENDED_REST, /* the length is known */
	SYM_AT_LET_GO,        /* DISCONNECT has come */
	SYM_AT_ABORT,         /* the reply is a message after which the target leaves the bus */
	SYM_AT_COMMAND,
	SYM_AT_PHASE,
	SYM_AT_RESUME = SYM_AT_PHASE + SYM_STAGES, /* take the message byte that waits, and go on */
	SYM_AT_REPLY = SYM_AT_RESUME + SYM_STAGES, /* send the reply, and go on */
	SYM_AT_STATUS = SYM_AT_REPLY + SYM_STAGES,
	SYM_AT_MESSAGE = SYM_AT_STATUS + SYM_STAGES,
	SYM_AT_COMPLETE = SYM_AT_MESSAGE + SYM_STAGES,
	SYM_AT_EXTENDED = SYM_AT_COMPLETE + SYM_STAGES,
	SYM_AT_TWO = SYM_AT_EXTENDED + SYM_STAGES,
	SYM_LABELS = SYM_AT_TWO + SYM_STAGES,
};

/* What an INT says: one of these, and the stage below it. */
enum sym_interrupt {
	SYM_SAYS = 0x53593000,
	SYM_SAYS_WHAT = 0xf0,
	SYM_SAYS_STAGE = 0x0f,
	SYM_DONE = 0x10,
	SYM_SIGNALLED = 0x20,
	SYM_RESELECTED = 0x30,         /* IDENTIFY, no tag, no other message */
	SYM_RESELECTED_TAG = 0x40,     /* the tag is not acknowledged yet */
	SYM_RESELECTED_MESSAGE = 0x50, /* IDENTIFY, then a message, not acknowledged yet */
	SYM_FREE = 0x60,               /* the target has left the bus, as told */
	SYM_BAD_PHASE = 0x70,
	SYM_OTHER_MESSAGE = 0x80, /* not acknowledged yet, as in the next two */
	SYM_EXTENDED_LENGTH = 0x90,
	SYM_EXTENDED_ALL = 0xa0,
	SYM_TWO_BYTES = 0xb0,
	SYM_EXCESS = 0xc0,  /* the target brings more than there is room for */
	SYM_MISSING = 0xd0, /* it wants more than there is */
	SYM_LOST = 0xe0,    /* somebody reselects while we would select */
};

enum { SYM_PROGRAM_WORDS = 1024 };

/** struct sym_program - The program in memory that the chip reads. */
struct sym_program {
	hba_le32 *words;
	struct hba_iova iova;
	unsigned n; /* words used */
	uint16_t label[SYM_LABELS];
	/*
	 * Words that the driver writes before it starts the chip: those of whom to go on with
	 * without asking, and where its data are.
	 */
	uint16_t own_lun, own_id, own_way, own_tag, data;
};

/**
 * sym_program_build() - `message` is where message bytes go, `bucket` where data without a place
 * do.
 */
void sym_program_build(struct sym_program *p, struct hba_iova message, struct hba_iova bucket,
		       bool wide);

/** sym_program_at() - The bus address of a label, `insns` instructions further on. */
uint32_t sym_program_at(const struct sym_program *p, unsigned label, unsigned insns);

/**
 * sym_program_behind() - The instruction before `dsp` is number *ret_index of `n` from the label
 * on.
 */
bool sym_program_behind(const struct sym_program *p, uint32_t dsp, unsigned label, unsigned n,
			unsigned *ret_index);

/**
 * sym_program_own() - The one that may disconnect and come back without the driver; tag -1: it has
 * none.
 */
void sym_program_own(struct sym_program *p, uint8_t id, uint8_t lun, int tag);
/** sym_program_disown() - Whoever reselects is shown to the driver. */
void sym_program_disown(struct sym_program *p);
/** sym_program_data() - Data go on at that instruction from the label on. */
void sym_program_data(struct sym_program *p, unsigned label, unsigned insns);

#endif
