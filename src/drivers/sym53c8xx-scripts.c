/* SPDX-License-Identifier: MIT */
/*
 * sym53c8xx-scripts.c: the program that the chip runs.
 *
 *	idle ── reselected ──> by whom? ──┐          select ── message ──┐
 *	  ^                               v                              v
 *	  │        ┌─────────────────> phase: command, data, status, message in <── resume, reply
 *	  └── disconnect <── message in ──┘                └──> complete ──> INT
 *
 * All that is rare is an interrupt: the driver looks, and starts the chip at another label. Nothing
 * is kept in registers between two instructions but SFBR, and only instructions of the first chips
 * of the family are used.
 */
#include "drivers/sym53c8xx-scripts.h"

struct builder {
	struct sym_program *p;
	uint32_t message, bucket;
	enum sym_insn chained; /* block move of a segment that another one follows */
	enum sym_stage stage;
};

static uint32_t at(const struct builder *b, unsigned label)
{
	return sym_program_at(b->p, label, 0);
}

static void emit(struct builder *b, uint32_t insn, uint32_t argument)
{
	b->p->words[b->p->n++] = hba_le32_of(insn);
	b->p->words[b->p->n++] = hba_le32_of(argument);
}

static void label(struct builder *b, unsigned l)
{
	b->p->label[l] = (uint16_t)b->p->n;
}

static void jump(struct builder *b, unsigned to)
{
	emit(b, SYM_JUMP | SYM_IF, at(b, to));
}

static void jump_phase(struct builder *b, uint32_t when, enum sym_phase phase, unsigned to)
{
	emit(b, SYM_JUMP | SYM_IF | when | (uint32_t)phase << SYM_PHASE_SHIFT, at(b, to));
}

static void jump_byte(struct builder *b, uint8_t byte, uint8_t mask, unsigned to)
{
	emit(b, SYM_JUMP | SYM_IF | SYM_DATA | (uint32_t)mask << SYM_MASK_SHIFT | byte, at(b, to));
}

static void jump_unless_byte(struct builder *b, uint8_t byte, uint8_t mask, unsigned to)
{
	emit(b, SYM_JUMP | SYM_DATA | (uint32_t)mask << SYM_MASK_SHIFT | byte, at(b, to));
}

static void interrupt(struct builder *b, unsigned what)
{
	emit(b, SYM_INT | SYM_IF, SYM_SAYS | what | b->stage);
}

static void move_table(struct builder *b, enum sym_insn kind, enum sym_phase phase, size_t entry)
{
	emit(b, kind | SYM_TABLE | (uint32_t)phase << SYM_PHASE_SHIFT, (uint32_t)entry);
}

/* One byte of a message, to the n-th place. */
static void move_message(struct builder *b, unsigned n)
{
	emit(b, SYM_MOVE | (uint32_t)SYM_MESSAGE_IN << SYM_PHASE_SHIFT | 1, b->message + n);
}

static void acknowledge(struct builder *b)
{
	emit(b, SYM_CLEAR | SYM_ACK, 0);
}

/* Without the first instruction the chip would take the target's leaving for an accident. */
static void expect_leaving(struct builder *b)
{
	emit(b,
	     SYM_AND | (uint32_t)SYM_SCNTL2 << SYM_REGISTER_SHIFT |
		     (uint32_t)(0xff & ~SYM_SCNTL2_SDU) << SYM_MASK_SHIFT,
	     0);
}

/* ---- who connects */

static void build_reselection(struct builder *b)
{
	label(b, SYM_AT_IDLE);
	emit(b, SYM_WAIT_RESELECT, at(b, SYM_AT_SIGNALLED));

	label(b, SYM_AT_RESELECTED);
	move_message(b, 0);
	b->p->own_lun = (uint16_t)b->p->n;
	jump_unless_byte(b, 0, SYM_MSG_IDENTIFY_DISCONNECT, SYM_AT_STRANGER);
	emit(b, SYM_TO_SFBR | (uint32_t)SYM_SSID << SYM_REGISTER_SHIFT, 0);
	b->p->own_id = (uint16_t)b->p->n;
	jump_unless_byte(b, 0, (uint8_t) ~(SYM_SSID_VAL | SYM_SSID_ID), SYM_AT_STRANGER);
	b->p->own_way = (uint16_t)b->p->n;
	jump(b, SYM_AT_STRANGER);

	label(b, SYM_AT_OWN_TAG);
	acknowledge(b);
	move_message(b, 1);
	jump_unless_byte(b, SYM_MSG_SIMPLE_TAG, 0, SYM_AT_STRANGER_TAG);
	acknowledge(b);
	move_message(b, 2);
	b->p->own_tag = (uint16_t)b->p->n;
	jump_byte(b, 0, 0, SYM_AT_RESUME + SYM_NOTHING);
	interrupt(b, SYM_RESELECTED_TAG);

	label(b, SYM_AT_STRANGER);
	acknowledge(b);
	emit(b, SYM_INT | SYM_WHEN | (uint32_t)SYM_MESSAGE_IN << SYM_PHASE_SHIFT,
	     SYM_SAYS | SYM_RESELECTED);
	move_message(b, 1);
	label(b, SYM_AT_STRANGER_TAG);
	emit(b, SYM_INT | SYM_DATA | SYM_MSG_SIMPLE_TAG, SYM_SAYS | SYM_RESELECTED_MESSAGE);
	acknowledge(b);
	move_message(b, 2);
	interrupt(b, SYM_RESELECTED_TAG);
}

/*
 * SELECT comes first where the driver starts the chip: QEMU's model forgets what it waited for by
 * nothing else.
 */
static void build_selection(struct builder *b)
{
	label(b, SYM_AT_SIGNALLED);
	emit(b, SYM_TO_SFBR | (uint32_t)SYM_CTEST2 << SYM_REGISTER_SHIFT, 0);
	interrupt(b, SYM_SIGNALLED);

	label(b, SYM_AT_LOST);
	interrupt(b, SYM_LOST);

	label(b, SYM_AT_SELECT);
	emit(b, SYM_SELECT | (uint32_t)offsetof(struct sym_data, select), at(b, SYM_AT_LOST));
	move_table(b, SYM_MOVE, SYM_MESSAGE_OUT, offsetof(struct sym_data, message));
	jump(b, SYM_AT_PHASE + SYM_NOTHING);

	label(b, SYM_AT_SELECT_FUNCTION);
	emit(b, SYM_SELECT | (uint32_t)offsetof(struct sym_data, select), at(b, SYM_AT_LOST));
	expect_leaving(b);
	move_table(b, SYM_MOVE, SYM_MESSAGE_OUT, offsetof(struct sym_data, message));
	emit(b, SYM_WAIT_DISCONNECT, 0);
	interrupt(b, SYM_FREE);
}

/* ---- data */

static void build_list(struct builder *b, unsigned l, enum sym_phase phase)
{
	label(b, l);
	for (unsigned i = 0; i < SYM_SEGMENTS; i++)
		move_table(b, i + 1 < SYM_SEGMENTS ? b->chained : SYM_MOVE, phase,
			   offsetof(struct sym_data, segment) + i * sizeof(struct sym_entry));
	jump(b, SYM_AT_PHASE + SYM_ALL);
}

static void build_data(struct builder *b)
{
	label(b, SYM_AT_DATA);
	b->p->data = (uint16_t)b->p->n;
	jump(b, SYM_AT_EXCESS_IN);

	build_list(b, SYM_AT_LIST_IN, SYM_DATA_IN);
	build_list(b, SYM_AT_LIST_OUT, SYM_DATA_OUT);

	label(b, SYM_AT_EXCESS_IN);
	emit(b, SYM_MOVE | (uint32_t)SYM_DATA_IN << SYM_PHASE_SHIFT | SYM_BUCKET_BYTES, b->bucket);
	interrupt(b, SYM_EXCESS);
	label(b, SYM_AT_EXCESS_OUT);
	interrupt(b, SYM_MISSING);
}

/* ---- phases and messages, once for each stage */

static void build_phases(struct builder *b, unsigned stage)
{
	label(b, SYM_AT_RESUME + stage);
	acknowledge(b);
	label(b, SYM_AT_PHASE + stage);
	if (stage == SYM_NOTHING)
		jump_phase(b, SYM_WHEN, SYM_COMMAND, SYM_AT_COMMAND);
	jump_phase(b, stage == SYM_NOTHING ? SYM_PHASE : SYM_WHEN, SYM_STATUS,
		   SYM_AT_STATUS + stage);
	jump_phase(b, SYM_PHASE, SYM_DATA_IN, stage == SYM_ALL ? SYM_AT_EXCESS_IN : SYM_AT_DATA);
	jump_phase(b, SYM_PHASE, SYM_DATA_OUT, stage == SYM_ALL ? SYM_AT_EXCESS_OUT : SYM_AT_DATA);
	jump_phase(b, SYM_PHASE, SYM_MESSAGE_IN, SYM_AT_MESSAGE + stage);
	interrupt(b, SYM_BAD_PHASE);

	label(b, SYM_AT_STATUS + stage);
	move_table(b, SYM_MOVE, SYM_STATUS, offsetof(struct sym_data, status));
	jump(b, SYM_AT_PHASE + stage);

	label(b, SYM_AT_REPLY + stage);
	emit(b, SYM_SET | SYM_ATN, 0);
	acknowledge(b);
	move_table(b, SYM_MOVE, SYM_MESSAGE_OUT, offsetof(struct sym_data, reply));
	jump(b, SYM_AT_PHASE + stage);
}

static void build_messages(struct builder *b, unsigned stage)
{
	label(b, SYM_AT_MESSAGE + stage);
	move_message(b, 0);
	jump_byte(b, SYM_MSG_COMPLETE, 0, SYM_AT_COMPLETE + stage);
	if (stage == SYM_NOTHING) {
		jump_byte(b, SYM_MSG_SAVE_POINTERS, 0, SYM_AT_RESUME + SYM_NOTHING);
		jump_byte(b, SYM_MSG_DISCONNECT, 0, SYM_AT_LET_GO);
	}
	jump_byte(b, SYM_MSG_EXTENDED, 0, SYM_AT_EXTENDED + stage);
	jump_byte(b, SYM_MSG_TWO_BYTES, SYM_MSG_TWO_BYTES_MASK, SYM_AT_TWO + stage);
	interrupt(b, SYM_OTHER_MESSAGE);

	label(b, SYM_AT_COMPLETE + stage);
	expect_leaving(b);
	acknowledge(b);
	emit(b, SYM_WAIT_DISCONNECT, 0);
	interrupt(b, SYM_DONE);

	label(b, SYM_AT_EXTENDED + stage);
	acknowledge(b);
	move_message(b, 1);
	interrupt(b, SYM_EXTENDED_LENGTH);

	label(b, SYM_AT_TWO + stage);
	acknowledge(b);
	move_message(b, 1);
	interrupt(b, SYM_TWO_BYTES);
}

static void build_rest(struct builder *b)
{
	label(b, SYM_AT_COMMAND);
	move_table(b, SYM_MOVE, SYM_COMMAND, offsetof(struct sym_data, cdb));
	jump(b, SYM_AT_PHASE + SYM_NOTHING);

	label(b, SYM_AT_EXTENDED_REST);
	acknowledge(b);
	move_table(b, SYM_MOVE, SYM_MESSAGE_IN, offsetof(struct sym_data, extended));
	interrupt(b, SYM_EXTENDED_ALL);

	label(b, SYM_AT_LET_GO);
	expect_leaving(b);
	acknowledge(b);
	emit(b, SYM_WAIT_DISCONNECT, 0);
	jump(b, SYM_AT_IDLE);

	label(b, SYM_AT_ABORT);
	emit(b, SYM_SET | SYM_ATN, 0);
	acknowledge(b);
	expect_leaving(b);
	move_table(b, SYM_MOVE, SYM_MESSAGE_OUT, offsetof(struct sym_data, reply));
	emit(b, SYM_WAIT_DISCONNECT, 0);
	interrupt(b, SYM_FREE);
}

void sym_program_build(struct sym_program *p, struct hba_iova message, struct hba_iova bucket,
		       bool wide)
{
	struct builder b = { .p = p,
			     .message = (uint32_t)message.bus,
			     .bucket = (uint32_t)bucket.bus,
			     .chained = wide ? SYM_CHMOV : SYM_MOVE };

	/* The first time for the labels alone, which lie ahead of those who jump there. */
	for (unsigned pass = 0; pass < 2; pass++) {
		p->n = 0;
		b.stage = SYM_NOTHING;
		build_reselection(&b);
		build_selection(&b);
		build_data(&b);
		build_rest(&b);
		for (unsigned stage = 0; stage < SYM_STAGES; stage++) {
			b.stage = stage;
			build_phases(&b, stage);
			build_messages(&b, stage);
		}
	}
}

/* ---- for the driver */

uint32_t sym_program_at(const struct sym_program *p, unsigned label, unsigned insns)
{
	return (uint32_t)p->iova.bus + p->label[label] * (uint32_t)sizeof(hba_le32) +
	       insns * SYM_INSN_BYTES;
}

bool sym_program_behind(const struct sym_program *p, uint32_t dsp, unsigned label, unsigned n,
			unsigned *ret_index)
{
	uint32_t distance = dsp - sym_program_at(p, label, 0);

	if (distance == 0 || distance % SYM_INSN_BYTES || distance / SYM_INSN_BYTES > n)
		return false;
	*ret_index = distance / SYM_INSN_BYTES - 1;
	return true;
}

/* The byte that an instruction compares with. */
static void set_byte(struct sym_program *p, uint16_t word, uint8_t byte)
{
	p->words[word] = hba_le32_of((hba_get32(p->words[word]) & ~UINT32_C(0xff)) | byte);
}

static void set_target(struct sym_program *p, uint16_t insn, unsigned label, unsigned insns)
{
	p->words[insn + 1] = hba_le32_of(sym_program_at(p, label, insns));
}

void sym_program_own(struct sym_program *p, uint8_t id, uint8_t lun, int tag)
{
	set_byte(p, p->own_lun, SYM_MSG_IDENTIFY | lun);
	set_byte(p, p->own_id, SYM_SSID_VAL | id);
	set_byte(p, p->own_tag, tag < 0 ? 0 : (uint8_t)tag);
	set_target(p, p->own_way, tag < 0 ? SYM_AT_RESUME + SYM_NOTHING : SYM_AT_OWN_TAG, 0);
}

void sym_program_disown(struct sym_program *p)
{
	set_target(p, p->own_way, SYM_AT_STRANGER, 0);
}

void sym_program_data(struct sym_program *p, unsigned label, unsigned insns)
{
	set_target(p, p->data, label, insns);
}
