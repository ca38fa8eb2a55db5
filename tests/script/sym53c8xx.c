/* SPDX-License-Identifier: MIT */
/*
 * sym53c8xx.c: the driver of that name against targets and chips that break off, come back wrongly,
 * or lie. The chip here runs the driver's SCRIPTS, instruction by instruction; the target is a list
 * of phases, which for a usual command is the usual one.
 */
#include "script/rig.h"

#include "drivers/drivers.h"
#include "drivers/sym53c8xx-scripts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	MOST_STEPS = 32,
	MOST_INSNS = 2000,
	SUBSYSTEM = 0x2c,
	CARD = 0x10001000,
	INQUIRY = 0x12,
	REQUEST_SENSE = 0x03,
	WRITE_10 = 0x2a,
	WIDE_AND_SYNCHRONOUS = 0x30, /* byte 7 of INQUIRY's data */
	ALL = 0xffff,
	TAG = 0xff, /* in a message of a target: the tag that it was given */
	GOOD = 0,
	BUS_RESETS_OF_START = 1,
};

/* What the target does next: a phase, or one of these. */
enum { FREE = 8, LEAVE, FAULT, RESELECT };

struct step {
	uint8_t kind, bytes[6];
	uint16_t n; /* bytes that it takes or gives */
};

#define OUT                                 \
	{                                   \
		SYM_MESSAGE_OUT, { 0 }, ALL \
	}
#define CDB                             \
	{                               \
		SYM_COMMAND, { 0 }, ALL \
	}
#define IN(count)                           \
	{                                   \
		SYM_DATA_IN, { 0 }, (count) \
	}
#define END                                                                       \
	{ SYM_STATUS, { GOOD }, 1 }, { SYM_MESSAGE_IN, { SYM_MSG_COMPLETE }, 1 }, \
	{                                                                         \
		FREE, { 0 }, 0                                                    \
	}
#define MESSAGE(m)                         \
	{                                  \
		SYM_MESSAGE_IN, { (m) }, 1 \
	}
#define BACK(tag)                                                                  \
	{ FREE, { 0 }, 0 }, { RESELECT, { SYM_SSID_VAL }, 0 },                     \
	{                                                                          \
		SYM_MESSAGE_IN, { SYM_MSG_IDENTIFY, SYM_MSG_SIMPLE_TAG, (tag) }, 3 \
	}

struct chip {
	struct rig *rig;
	/* Knobs. */
	bool absent, claims;
	const struct step *plan; /* for the next command that brings a CDB with this first byte */
	size_t n_plan;
	uint32_t dbc_lie, dsps_lie; /* 0: none */
	bool reset_at_end;          /* somebody else's, right after the program's next word */
	/* Registers. */
	uint8_t regs[SYM_BAR_BYTES], sfbr, sist0, sist1, dstat;
	uint32_t dsa, dsp, dsps, dbc;
	bool running, waiting, master;
	/* The target. */
	struct step steps[MOST_STEPS];
	size_t n_steps, at;
	uint16_t used; /* of this step */
	bool connected, sdu;
	uint8_t cdb[SYM_CDB_BYTES], out[RIG_DATA], message[SYM_MESSAGE_BYTES], tag;
	size_t n_cdb, n_out, n_message, given;
	struct rig_answer answer, failed;
	/* What happened. */
	unsigned bus_resets, soft_resets, aborts;
	unsigned luns;              /* bits of those that were identified */
	uint8_t last, before_sense; /* the command before this one, and before REQUEST SENSE */
	uint8_t longest[SYM_MESSAGE_BYTES];
	size_t n_longest;
};

static const struct step usual_read[] = { OUT, CDB, IN(ALL), END };
static const struct step usual_write[] = { OUT, CDB, { SYM_DATA_OUT, { 0 }, ALL }, END };

/* ---- the target */

static struct step *now(struct chip *h)
{
	static struct step nothing = { .kind = FREE };

	return h->at < h->n_steps ? &h->steps[h->at] : &nothing;
}

static void next(struct chip *h)
{
	h->at++;
	h->used = 0;
}

static void plan(struct chip *h, const struct step *steps, size_t n)
{
	assert_true(n <= MOST_STEPS);
	memcpy(h->steps, steps, n * sizeof(*steps));
	h->n_steps = n;
	h->at = 0;
	h->used = 0;
}

static void selected(struct chip *h)
{
	const struct sym_data *d = rig_memory(h->rig, h->dsa, sizeof(*d));

	h->connected = h->sdu = true;
	h->n_cdb = h->n_out = h->n_message = h->given = 0;
	if (h->plan && d->cdb_bytes[0] != INQUIRY && d->cdb_bytes[0] != REQUEST_SENSE) {
		plan(h, h->plan, h->n_plan);
		h->plan = NULL;
	} else if (d->cdb_bytes[0] == WRITE_10) {
		plan(h, usual_write, sizeof(usual_write) / sizeof(usual_write[0]));
	} else {
		plan(h, usual_read, sizeof(usual_read) / sizeof(usual_read[0]));
	}
}

static void has_command(struct chip *h)
{
	if (h->cdb[0] == REQUEST_SENSE)
		h->before_sense = h->last;
	h->last = h->cdb[0];
	if (h->cdb[0] == WRITE_10)
		return;
	if (h->cdb[0] == REQUEST_SENSE)
		h->answer = (struct rig_answer) { .data = h->failed.sense,
						  .length = h->failed.sense_len };
	else
		h->answer = rig_execute(h->rig, h->cdb, NULL, RIG_DATA);
	if (h->answer.sense_len)
		h->failed = h->answer;
	if (h->cdb[0] == INQUIRY && h->claims && h->answer.length > 7)
		h->rig->data[7] |= WIDE_AND_SYNCHRONOUS;
}

/* A message of the initiator's, whole. */
static void has_message(struct chip *h)
{
	uint8_t last = h->message[h->n_message - 1];

	if (h->message[0] & SYM_MSG_IDENTIFY)
		h->luns |= 1U << (h->message[0] & SYM_MSG_IDENTIFY_LUN);
	if (h->n_message > 2 && h->message[1] == SYM_MSG_SIMPLE_TAG)
		h->tag = h->message[2];
	if (h->n_message > h->n_longest) {
		memcpy(h->longest, h->message, h->n_message);
		h->n_longest = h->n_message;
	}
	if (last == SYM_MSG_ABORT || last == SYM_MSG_ABORT_TAG)
		h->aborts++;
}

static void give(struct chip *h, uint8_t *p, struct step *s)
{
	if (s->kind == SYM_DATA_IN)
		*p = h->given < h->answer.length ? h->answer.data[h->given++] : 0;
	else if (s->kind == SYM_STATUS)
		*p = s->bytes[0] ? s->bytes[0] : h->answer.status;
	else
		*p = s->bytes[h->used % sizeof(s->bytes)] == TAG
			     ? h->tag
			     : s->bytes[h->used % sizeof(s->bytes)];
}

static void take(struct chip *h, const uint8_t *p, uint8_t phase)
{
	if (phase == SYM_COMMAND)
		h->cdb[h->n_cdb++ % SYM_CDB_BYTES] = *p;
	else if (phase == SYM_DATA_OUT)
		h->out[h->n_out++ % RIG_DATA] = *p;
	else
		h->message[h->n_message++ % SYM_MESSAGE_BYTES] = *p;
}

/* How many bytes this phase still is: of what was not said, as many as there are. */
static uint32_t room(struct chip *h, const struct step *s, uint32_t count)
{
	if (s->n != ALL)
		return s->n - h->used;
	return s->kind == SYM_DATA_IN ? (uint32_t)(h->answer.length - h->given) : count;
}

/* ---- the chip */

static void stop(struct chip *h, uint8_t sist0, uint8_t sist1, uint8_t dstat)
{
	h->sist0 |= sist0;
	h->sist1 |= sist1;
	h->dstat |= dstat;
	h->running = h->waiting = false;
}

/* What the target does that is no phase. false: it is one. */
static bool not_a_phase(struct chip *h)
{
	struct step *s = now(h);

	while (s->kind <= SYM_MESSAGE_IN && s->n == ALL && s->kind == SYM_DATA_IN &&
	       room(h, s, 0) == 0) {
		next(h); /* there are no data */
		s = now(h);
	}
	if (s->kind == FAULT) {
		uint8_t sist0 = s->bytes[0], dstat = s->bytes[2];

		next(h);
		h->connected = h->connected && !(sist0 & SYM_SIST0_RST);
		stop(h, sist0, s->bytes[1], dstat);
		return true;
	}
	if (s->kind == LEAVE) {
		next(h);
		h->connected = false;
		stop(h, SYM_SIST0_UDC, 0, 0);
		return true;
	}
	return false;
}

static void move(struct chip *h, uint32_t insn, uint32_t argument)
{
	uint8_t phase = insn >> SYM_PHASE_SHIFT & 7, *p = NULL;
	uint32_t count = insn & SYM_MOST_COUNT, address = argument, n;
	const struct sym_entry *e;
	struct step *s;

	if (insn & SYM_TABLE) {
		e = rig_memory(h->rig, h->dsa + argument, sizeof(*e));
		count = hba_get32(e->count) & SYM_MOST_COUNT;
		address = hba_get32(e->address);
	}
	assert_true(count > 0);
	if (!h->connected || not_a_phase(h))
		return;
	s = now(h);
	h->dbc = count;
	n = s->kind == phase ? room(h, s, count) : 0;
	for (n = n < count ? n : count; n > 0; n--, h->dbc--, h->used++) {
		p = rig_memory(h->rig, address++, 1);
		if (phase & 1)
			give(h, p, s);
		else
			take(h, p, phase);
		h->sfbr = *p;
	}
	if (s->kind == phase &&
	    (s->n == ALL ? h->dbc == 0 || phase == SYM_DATA_IN : h->used == s->n)) {
		if (phase == SYM_COMMAND)
			has_command(h);
		if (phase == SYM_MESSAGE_OUT)
			has_message(h);
		if (s->n != ALL || phase != SYM_DATA_IN || room(h, s, 0) == 0)
			next(h);
	}
	if (now(h)->kind == SYM_STATUS && h->n_out > 0) {
		h->answer = rig_execute(h->rig, h->cdb, h->out, h->n_out);
		h->n_out = 0;
	}
	if (h->dbc)
		stop(h, SYM_SIST0_MA, 0, 0);
}

static bool holds(struct chip *h, uint32_t insn)
{
	uint8_t mask = (uint8_t) ~(insn >> SYM_MASK_SHIFT);
	bool is = true;

	if (insn & SYM_PHASE)
		is = now(h)->kind == (insn >> SYM_PHASE_SHIFT & 7);
	if (insn & SYM_DATA)
		is = (h->sfbr & mask) == (insn & mask);
	return is == !!(insn & SYM_IF);
}

static void connect(struct chip *h, uint32_t insn, uint32_t argument)
{
	uint32_t select =
		hba_get32(*(hba_le32 *)rig_memory(h->rig, h->dsa + (insn & SYM_MOST_COUNT), 4));

	(void)argument;
	if (h->absent || (select >> 16 & SYM_SSID_ID)) {
		stop(h, 0, SYM_SIST1_STO, 0);
		return;
	}
	h->regs[SYM_SCNTL3] = (uint8_t)(select >> 24);
	h->regs[SYM_SXFER] = (uint8_t)(select >> 8);
	selected(h);
}

static void wait_disconnect(struct chip *h)
{
	if (now(h)->kind == FREE)
		next(h);
	else if (h->aborts)
		h->n_steps = h->at; /* it was told to */
	h->connected = false;
}

static void wait_reselect(struct chip *h, uint32_t argument)
{
	if (not_a_phase(h))
		return;
	if (now(h)->kind == RESELECT) {
		h->regs[SYM_SSID] = now(h)->bytes[0];
		h->connected = h->sdu = true;
		next(h);
	} else if (h->regs[SYM_ISTAT] & SYM_ISTAT_SIGP) {
		h->dsp = argument;
	} else {
		h->waiting = true;
	}
}

static void transfer_control(struct chip *h, uint32_t insn, uint32_t argument)
{
	if ((insn & SYM_WHEN) == SYM_WHEN && not_a_phase(h))
		return;
	if (!holds(h, insn))
		return;
	if ((insn & ~UINT32_C(0x07ffffff)) == SYM_JUMP) {
		h->dsp = argument;
	} else {
		h->dsps = h->dsps_lie ? h->dsps_lie : argument;
		stop(h, h->reset_at_end ? SYM_SIST0_RST : 0, 0, SYM_DSTAT_SIR);
		h->connected = h->connected && !h->reset_at_end;
		h->reset_at_end = false;
	}
}

static void registers_insn(struct chip *h, uint32_t insn)
{
	uint8_t reg = insn >> SYM_REGISTER_SHIFT & 0x7f;

	if ((insn & 0xff000000U) == SYM_TO_SFBR) {
		h->sfbr = h->regs[reg];
		if (reg == SYM_CTEST2)
			h->regs[SYM_ISTAT] &= (uint8_t)~SYM_ISTAT_SIGP;
	} else {
		assert_int_equal(insn & 0xff000000U, SYM_AND);
		h->sdu = false;
	}
}

static void io_insn(struct chip *h, uint32_t insn, uint32_t argument)
{
	switch (insn & 0xf8000000U) {
	case SYM_SELECT & 0xf8000000U:
		connect(h, insn, argument);
		break;
	case SYM_WAIT_DISCONNECT:
		wait_disconnect(h);
		break;
	case SYM_WAIT_RESELECT:
		wait_reselect(h, argument);
		break;
	case SYM_SET:
		/* With ATN the target takes a message, and gives up what it was about. */
		if (insn & SYM_ATN) {
			static const struct step listen = OUT;

			h->steps[h->at = h->at ? h->at - 1 : 0] = listen;
			h->used = 0;
			h->n_message = 0;
		}
		break;
	case SYM_CLEAR:
		break;
	default:
		registers_insn(h, insn);
		break;
	}
}

static void run(struct chip *h)
{
	h->running = true;
	for (unsigned i = 0; h->running && !h->waiting; i++) {
		hba_le32 *w = rig_memory(h->rig, h->dsp, SYM_INSN_BYTES);
		uint32_t insn = hba_get32(w[0]), argument = hba_get32(w[1]);

		assert_true(i < MOST_INSNS);
		h->dsp += SYM_INSN_BYTES;
		if (insn >> 30 == 0)
			move(h, insn, argument);
		else if (insn >> 30 == 1)
			io_insn(h, insn, argument);
		else
			transfer_control(h, insn, argument);
	}
}

/* ---- registers */

static struct chip *chip_of(struct script *s)
{
	return rig_of(s)->of_chip;
}

static uint64_t word(struct chip *h, uint64_t offset)
{
	uint32_t value;

	switch (offset) {
	case SYM_ISTAT:
		return (h->dstat ? SYM_ISTAT_DIP : 0U) |
		       (h->sist0 || h->sist1 ? SYM_ISTAT_SIP : 0U);
	case SYM_SIEN0:
		value = (uint32_t)h->sist0 << 16 | (uint32_t)h->sist1 << 24;
		h->sist0 = h->sist1 = 0;
		return value;
	case SYM_DSP:
		return h->dsp;
	case SYM_DSPS:
		return h->dsps;
	case SYM_DBC:
		return h->dbc_lie ? h->dbc_lie : h->dbc;
	default:
		fail_msg("a read of 32 bits at %#llx", (unsigned long long)offset);
		return 0;
	}
}

static void word_read(struct script *s, const struct script_step *step, uint64_t offset,
		      uint64_t *value)
{
	(void)step;
	*value = word(chip_of(s), offset);
}

static void byte_read(struct script *s, const struct script_step *step, uint64_t offset,
		      uint64_t *value)
{
	struct chip *h = chip_of(s);

	(void)step;
	*value = h->regs[offset % SYM_BAR_BYTES];
	if (offset == SYM_DSTAT) {
		*value = h->dstat;
		h->dstat = 0;
	} else if (offset == SYM_SSTAT1) {
		*value = now(h)->kind;
	} else if (offset == SYM_DFIFO) {
		*value = h->dbc & SYM_DFIFO_SMALL;
	} else if (offset == SYM_SCNTL2) {
		*value = 0;
	}
}

static void byte_written(struct script *s, const struct script_step *step, uint64_t offset,
			 uint64_t *value)
{
	struct chip *h = chip_of(s);

	(void)step;
	h->regs[offset % SYM_BAR_BYTES] = (uint8_t)*value;
	if (offset == SYM_SCNTL1 && (*value & SYM_SCNTL1_RST)) {
		h->bus_resets++;
		h->connected = h->running = h->waiting = false;
		h->n_steps = 0;
	}
	if (offset == SYM_ISTAT && (*value & SYM_ISTAT_SRST))
		h->soft_resets++;
	if (offset == SYM_ISTAT && (*value & SYM_ISTAT_SIGP) && h->waiting) {
		h->waiting = false;
		h->dsp -= SYM_INSN_BYTES;
		run(h);
	}
}

static void word_written(struct script *s, const struct script_step *step, uint64_t offset,
			 uint64_t *value)
{
	struct chip *h = chip_of(s);

	(void)step;
	if (offset == SYM_DSA) {
		h->dsa = (uint32_t)*value;
	} else {
		assert_int_equal(offset, SYM_DSP);
		h->dsp = (uint32_t)*value;
		h->waiting = false;
		run(h);
	}
}

static void config_read(struct script *s, const struct script_step *step, uint64_t offset,
			uint64_t *value)
{
	(void)s;
	(void)step;
	*value = offset == SUBSYSTEM ? CARD
		 : offset == 0       ? (uint32_t)SYM_895A << 16 | SYM_VENDOR
				     : 0;
}

#define REGISTERS(what, bytes, function)                                                        \
	{                                                                                       \
		.kind = (what), .bar = SYM_BAR_MEMORY, .width = (bytes), .span = SYM_BAR_BYTES, \
		.any = true, .times = SCRIPT_EVER, .act = (function)                            \
	}

static const struct script_step any_order[] = {
	{ .kind = SCRIPT_CONFIG_READ,
	  .span = SYM_BAR_BYTES,
	  .times = SCRIPT_EVER,
	  .act = config_read },
	REGISTERS(SCRIPT_BAR_READ, 4, word_read),
	REGISTERS(SCRIPT_BAR_READ, 1, byte_read),
	REGISTERS(SCRIPT_BAR_WRITE, 4, word_written),
	REGISTERS(SCRIPT_BAR_WRITE, 2, NULL),
	REGISTERS(SCRIPT_BAR_WRITE, 1, byte_written),
	{ .kind = SCRIPT_MASTER_ON, .times = SCRIPT_EVER },
	{ .kind = SCRIPT_MASTER_OFF, .times = SCRIPT_EVER },
};

/* ---- made and ended */

static struct chip *chip_new(void)
{
	struct chip *h = calloc(1, sizeof(*h));

	assert_non_null(h);
	h->rig = rig_new(h);
	h->rig->script.info =
		(struct hba_bus_info) { .vendor = SYM_VENDOR,
					.device = SYM_895A,
					.page_bytes = 4096,
					.bar_length = { SYM_BAR_BYTES, SYM_BAR_BYTES } };
	h->rig->script.steps = any_order;
	h->rig->script.n_steps = sizeof(any_order) / sizeof(any_order[0]);
	return h;
}

static struct hba_lun *up(struct chip *h)
{
	struct hba_lun *lun;

	rig_tick(h->rig, 20); /* a reset of the bus takes its time */
	lun = rig_up(h->rig, &sym53c8xx_driver);
	rig_tick(h->rig, 1);
	return lun;
}

static void end(struct chip *h)
{
	rig_down(h->rig);
	free(h);
}

/* The next command goes as the steps say. */
#define GOES(h, steps) ((h)->plan = (steps), (h)->n_plan = sizeof(steps) / sizeof((steps)[0]))

/* One block, read the way the steps say; and another command after it. */
static void read_goes(const struct step *steps, size_t n, enum hba_outcome outcome, uint64_t bytes)
{
	struct chip *h = chip_new();
	struct hba_lun *lun = up(h);
	struct test_io io = { 0 };
	uint8_t data[RIG_BLOCK];

	for (size_t i = 0; i < sizeof(h->rig->medium); i++)
		h->rig->medium[i] = (uint8_t)(i % 251);
	h->plan = steps;
	h->n_plan = n;
	rig_read(lun, &io, data, 1);
	rig_ends(h->rig, &io, 1, outcome);
	assert_int_equal(io.last.bytes, bytes);
	if (bytes == sizeof(data))
		assert_memory_equal(data, h->rig->medium, sizeof(data));
	rig_works(h->rig, lun, &io);
	end(h);
}

#define READ_GOES(outcome, bytes, ...)                                                  \
	do {                                                                            \
		static const struct step steps[] = { __VA_ARGS__ };                     \
		read_goes(steps, sizeof(steps) / sizeof(steps[0]), (outcome), (bytes)); \
	} while (0)

/* ---- tests */

static void it_works_when_chip_and_target_do(void **state)
{
	struct chip *h = chip_new();

	(void)state;
	rig_copies(h->rig, up(h));
	assert_int_equal(h->bus_resets, BUS_RESETS_OF_START);
	end(h);
}

/* Its registers cannot be had: stop, which comes all the same, has none to write. */
static void stop_after_registers_that_are_not_there(void **state)
{
	struct chip *h = chip_new();

	(void)state;
	h->rig->script.info.bar_length[SYM_BAR_MEMORY] =
		h->rig->script.info.bar_length[SYM_BAR_IO] = 0;
	rig_open(h->rig, &sym53c8xx_driver);
	assert_int_equal(hba_controller_start(h->rig->c), -ENOENT);
	test_no_violation(h->rig->c);
	end(h);
}

static void who_does_not_answer_is_not_there(void **state)
{
	struct chip *h = chip_new();
	struct hba_lun *lun = up(h);
	struct test_io io = { 0 };

	(void)state;
	h->absent = true;
	rig_ready(lun, &io);
	rig_ends(h->rig, &io, 1, HBA_NOT_PRESENT);
	assert_int_equal(io.last.sent, HBA_SENT_NO);
	h->absent = false;
	end(h);
}

static void phases_that_end_early_leave_a_residual(void **state)
{
	(void)state;
	READ_GOES(HBA_GOOD, 512, OUT, CDB, IN(512), END);
	READ_GOES(HBA_GOOD, 100, OUT, CDB, IN(100), END);
	READ_GOES(HBA_GOOD, 0, OUT, CDB, END);
	READ_GOES(HBA_GOOD, 512, { SYM_MESSAGE_OUT, { 0 }, 1 }, CDB, IN(512), END);
	READ_GOES(HBA_RESERVATION_CONFLICT, 0, OUT, { SYM_COMMAND, { 0 }, 4 },
		  { SYM_STATUS, { 0x18 }, 1 }, MESSAGE(SYM_MSG_COMPLETE), { FREE, { 0 }, 0 });
}

/*
 * More data than there are, or data where there are none: what comes is dropped, and who wants some
 * is told to leave.
 */
static void data_of_a_command_without_any(void **state)
{
	static const struct step wants[] = { OUT, CDB, { SYM_DATA_OUT, { 0 }, 100 }, END };
	static const struct step brings[] = { OUT, CDB, IN(SYM_BUCKET_BYTES + 100), END };
	struct chip *h = chip_new();
	struct hba_lun *lun = up(h);
	struct test_io io = { 0 };

	(void)state;
	GOES(h, brings);
	rig_ready(lun, &io);
	rig_ends(h->rig, &io, 1, HBA_GOOD);
	assert_int_equal(io.last.bytes, 0);
	GOES(h, wants);
	rig_ready(lun, &io);
	rig_ends(h->rig, &io, 2, HBA_NOT_DELIVERED);
	assert_int_equal(h->aborts, 1);
	assert_int_equal(h->bus_resets, BUS_RESETS_OF_START);
	rig_works(h->rig, lun, &io);
	end(h);
}

static void data_go_on_where_the_pointers_are(void **state)
{
	(void)state;
	/* Nothing moved: the chip goes on by itself. */
	READ_GOES(HBA_GOOD, 512, OUT, CDB, MESSAGE(SYM_MSG_SAVE_POINTERS),
		  MESSAGE(SYM_MSG_DISCONNECT), BACK(TAG), IN(512), END);
	READ_GOES(HBA_GOOD, 512, OUT, CDB, IN(100), MESSAGE(SYM_MSG_SAVE_POINTERS),
		  MESSAGE(SYM_MSG_DISCONNECT), BACK(TAG), IN(412), END);
	READ_GOES(HBA_GOOD, 512, OUT, CDB, IN(512), MESSAGE(SYM_MSG_SAVE_POINTERS),
		  MESSAGE(SYM_MSG_DISCONNECT), BACK(TAG), END);
	READ_GOES(HBA_GOOD, 100, OUT, CDB, IN(100), MESSAGE(SYM_MSG_SAVE_POINTERS), IN(50),
		  MESSAGE(SYM_MSG_DISCONNECT), BACK(TAG), END);
	READ_GOES(HBA_GOOD, 0, OUT, CDB, IN(50), MESSAGE(SYM_MSG_RESTORE_POINTERS), END);
}

static void accidents_end_in_a_reset_of_the_bus(void **state)
{
	(void)state;
	READ_GOES(HBA_NOT_DELIVERED, 0, OUT, CDB, { LEAVE, { 0 }, 0 });
	READ_GOES(HBA_NOT_DELIVERED, 0, OUT, CDB, IN(100), { FAULT, { SYM_SIST0_PAR }, 0 });
	READ_GOES(HBA_NOT_DELIVERED, 0, OUT, { FAULT, { SYM_SIST0_SGE }, 0 });
	READ_GOES(HBA_NOT_DELIVERED, 0, OUT, CDB, { FAULT, { 0, 0, SYM_DSTAT_IID }, 0 });
	READ_GOES(HBA_NOT_DELIVERED, 0, OUT, CDB, { FAULT, { 0, 0, SYM_DSTAT_BF }, 0 });
	/* Somebody else's. */
	READ_GOES(HBA_NOT_DELIVERED, 0, OUT, CDB, { FAULT, { SYM_SIST0_RST }, 0 });
	/* A phase there is none of. */
	READ_GOES(HBA_NOT_DELIVERED, 0, OUT, CDB, { 4, { 0 }, 1 });
}

/*
 * The program has said that the command is done, and before the driver looks, the bus is reset:
 * none of it is for the next command.
 */
static void a_reset_takes_the_programs_last_word(void **state)
{
	struct chip *h = chip_new();
	struct hba_lun *lun = up(h);
	struct test_io io = { 0 };

	(void)state;
	h->reset_at_end = true;
	rig_ready(lun, &io);
	rig_ends(h->rig, &io, 1, HBA_NOT_DELIVERED);
	assert_int_equal(h->dstat, 0);
	rig_works(h->rig, lun, &io);
	end(h);
}

/* What the chip shows is held against what it was given. */
static void a_chip_that_lies_is_not_believed(void **state)
{
	static const struct step short_read[] = { OUT, CDB, IN(100), END };
	struct test_io io = { 0 };

	(void)state;
	for (unsigned lie = 0; lie < 2; lie++) {
		struct chip *h = chip_new();
		struct hba_lun *lun = up(h);
		uint8_t data[RIG_BLOCK];

		io = (struct test_io) { 0 };
		GOES(h, short_read);
		*(lie ? &h->dsps_lie : &h->dbc_lie) = lie ? 0x12345610 : 513;
		rig_read(lun, &io, data, 1);
		rig_send(h->rig);
		h->dbc_lie = h->dsps_lie = 0;
		rig_ends(h->rig, &io, 1, HBA_NOT_DELIVERED);
		rig_told(h->rig,
			 lie ? "not of the program (12345610)" : "byte count cannot be (00000201)");
		assert_int_equal(h->bus_resets, BUS_RESETS_OF_START + 1);
		rig_works(h->rig, lun, &io);
		end(h);
	}
}

/* No such tag; the tag of a command that another target has. */
static void a_stranger_is_sent_away(void **state)
{
	static const struct step wrong_tag[] = { OUT, CDB, MESSAGE(SYM_MSG_DISCONNECT),
						 BACK(0x3e) };
	static const struct step wrong_target[] = {
		OUT,
		CDB,
		MESSAGE(SYM_MSG_DISCONNECT),
		{ FREE, { 0 }, 0 },
		{ RESELECT, { SYM_SSID_VAL | 1 }, 0 },
		{ SYM_MESSAGE_IN, { SYM_MSG_IDENTIFY, SYM_MSG_SIMPLE_TAG, TAG }, 3 }
	};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct chip *h = chip_new();
		struct hba_lun *lun = up(h);
		struct test_io io = { 0 };

		if (i)
			GOES(h, wrong_target);
		else
			GOES(h, wrong_tag);
		rig_ready(lun, &io);
		rig_send(h->rig);
		assert_int_equal(h->aborts, 1);
		rig_told(h->rig, i ? "target 1 came back for a command"
				   : "does not have (IDENTIFY 80h, tag 62)");
		assert_int_equal(io.done, 0);
		end(h);
	}
}

static void a_reset_by_somebody_else_is_told(void **state)
{
	static const struct step reset[] = { OUT, CDB, { FAULT, { SYM_SIST0_RST }, 0 } };
	struct chip *h = chip_new();
	struct hba_lun *lun = up(h);
	struct test_io io = { 0 };
	struct hba_event e = { 0 };
	bool told = false;

	(void)state;
	GOES(h, reset);
	rig_ready(lun, &io);
	rig_ends(h->rig, &io, 1, HBA_NOT_DELIVERED);
	rig_works(h->rig, lun, &io);
	while (!told && hba_event_next(h->rig->c, &e))
		told = e.kind == HBA_EVENT_BUS_RESET;
	assert_true(told);
	/* The driver itself has made no other. */
	assert_int_equal(h->bus_resets, BUS_RESETS_OF_START);
	end(h);
}

/* ---- negotiation */

/*
 * The target claims both features; its answer to the first request is `answer`. Returns SCNTL3 and
 * SXFER as they are in the end.
 */
static unsigned negotiated(const uint8_t *wide, size_t n_wide, const uint8_t *period,
			   size_t n_period)
{
	struct chip *h = chip_new();
	struct step steps[] = { OUT, { SYM_MESSAGE_IN, { 0 }, 0 }, CDB, END };
	struct hba_lun *lun;
	struct test_io io = { 0 };
	unsigned agreed;

	h->claims = true;
	lun = up(h);
	for (unsigned i = 0; i < 2; i++) {
		memcpy(steps[1].bytes, i ? period : wide, i ? n_period : n_wide);
		steps[1].n = (uint16_t)(i ? n_period : n_wide);
		GOES(h, steps);
		rig_works(h->rig, lun, &io);
	}
	rig_works(h->rig, lun, &io);
	agreed = (unsigned)h->regs[SYM_SCNTL3] << 8 | h->regs[SYM_SXFER];
	assert_true(h->n_longest > 3);
	end(h);
	return agreed;
}

#define BYTES(...) (const uint8_t[]) { __VA_ARGS__ }, sizeof((const uint8_t[]) { __VA_ARGS__ })

static void transfer_is_as_agreed(void **state)
{
	enum {
		SLOW = SYM_SCNTL3_CCF_50_MHZ << 8,
		WIDE = SYM_SCNTL3_EWS << 8,
		SCF_1 = 1 << SYM_SCNTL3_SCF_SHIFT << 8
	};

	(void)state;
	/* Both as asked for; the period longer, the offset smaller; neither; the first alone. */
	assert_int_equal(negotiated(BYTES(1, 2, 3, 1), BYTES(1, 3, 1, 25, 31)),
			 SLOW | WIDE | SCF_1 | 31);
	assert_int_equal(negotiated(BYTES(1, 2, 3, 0), BYTES(1, 3, 1, 50, 8)),
			 SLOW | SCF_1 | 4 << SYM_SXFER_TP_SHIFT | 8);
	assert_int_equal(negotiated(BYTES(SYM_MSG_REJECT), BYTES(SYM_MSG_REJECT)), SLOW);
	assert_int_equal(negotiated(BYTES(1, 2, 3, 1), BYTES(1, 3, 1, 25, 0)), SLOW | WIDE);
	/* More than was asked for. */
	assert_int_equal(negotiated(BYTES(1, 2, 3, 2), BYTES(1, 3, 1, 25, 32)), SLOW);
	assert_int_equal(negotiated(BYTES(1, 2, 3, 0), BYTES(1, 3, 1, 12, 8)), SLOW);
}

/* The chip does not fetch it: REQUEST SENSE does, before the command ends. */
static void sense_is_fetched_by_a_command(void **state)
{
	struct chip *h = chip_new();
	struct hba_lun *lun = up(h);

	(void)state;
	assert_false(hba_controller_report(h->rig->c)->performs_autosense);
	rig_has_sense(h->rig, lun);
	assert_int_equal(h->before_sense, RIG_UNKNOWN);
	end(h);
}

/* Another command for the unit waits in the driver: sense would be gone with it. */
static void sense_is_fetched_before_the_next_command(void **state)
{
	struct chip *h = chip_new();
	struct hba_lun *lun = up(h);
	struct test_io failed = { 0 }, io = { 0 };

	(void)state;
	rig_unknown(lun, &failed);
	rig_ready(lun, &io);
	rig_ends(h->rig, &failed, 1, HBA_CHECK_CONDITION);
	rig_ends(h->rig, &io, 1, HBA_GOOD);
	assert_int_equal(h->before_sense, RIG_UNKNOWN);
	end(h);
}

static void each_unit_has_its_number(void **state)
{
	struct chip *h = chip_new();

	(void)state;
	h->rig->two_units = true;
	up(h);
	assert_int_equal(h->luns, 3);
	end(h);
}

static void each_attribute_has_its_tag(void **state)
{
	static const struct {
		uint8_t attribute, tag;
	} rows[] = { { HBA_SIMPLE, SYM_MSG_SIMPLE_TAG },
		     { HBA_ORDERED, SYM_MSG_ORDERED_TAG },
		     { HBA_HEAD_OF_QUEUE, SYM_MSG_HEAD_TAG } };
	struct chip *h = chip_new();
	struct hba_lun *lun = up(h);
	struct test_io io = { .put = true };

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct hba_task *t;

		assert_int_equal(hba_task_get(lun, 0, NULL, &t), 0);
		test_fill_ready(t);
		t->attribute = rows[i].attribute;
		assert_int_equal(hba_submit(t, test_done, &io), 0);
		rig_ends(h->rig, &io, i + 1, HBA_GOOD);
		assert_int_equal(h->message[1], rows[i].tag);
	}
	end(h);
}

static void interrupts_are_let_through_and_stop_resets_the_chip(void **state)
{
	struct chip *h = chip_new();
	unsigned before;

	(void)state;
	rig_copies(h->rig, up(h));
	while (hba_controller_arm(h->rig->c) != 0)
		hba_controller_run(h->rig->c, 1);
	assert_true(h->regs[SYM_DIEN] & SYM_DSTAT_SIR);
	before = h->soft_resets;
	assert_int_equal(hba_controller_stop(h->rig->c), 0);
	assert_true(h->soft_resets > before);
	end(h);
}

/*
 * The target goes, and does not come back for its command: it is told to forget it; when it is not
 * there, the bus is reset.
 */
static void a_timeout_goes_up_the_ladder(void **state)
{
	static const struct step gone[] = {
		OUT, CDB, MESSAGE(SYM_MSG_DISCONNECT), { FREE, { 0 }, 0 }
	};

	(void)state;
	for (unsigned absent = 0; absent < 2; absent++) {
		struct chip *h = chip_new();
		struct hba_lun *lun = up(h);
		struct test_io io = { 0 };

		GOES(h, gone);
		rig_ready(lun, &io);
		rig_send(h->rig);
		h->absent = absent;
		rig_tick(h->rig, 20);
		rig_ends(h->rig, &io, 1, HBA_TASK_TIMEOUT);
		assert_int_equal(h->aborts, !absent);
		assert_int_equal(h->bus_resets, BUS_RESETS_OF_START + absent);
		h->absent = false;
		rig_works(h->rig, lun, &io);
		end(h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_works_when_chip_and_target_do),
		cmocka_unit_test(who_does_not_answer_is_not_there),
		cmocka_unit_test(phases_that_end_early_leave_a_residual),
		cmocka_unit_test(data_go_on_where_the_pointers_are),
		cmocka_unit_test(accidents_end_in_a_reset_of_the_bus),
		cmocka_unit_test(a_reset_takes_the_programs_last_word),
		cmocka_unit_test(a_chip_that_lies_is_not_believed),
		cmocka_unit_test(a_stranger_is_sent_away),
		cmocka_unit_test(a_reset_by_somebody_else_is_told),
		cmocka_unit_test(transfer_is_as_agreed),
		cmocka_unit_test(sense_is_fetched_by_a_command),
		cmocka_unit_test(sense_is_fetched_before_the_next_command),
		cmocka_unit_test(each_unit_has_its_number),
		cmocka_unit_test(each_attribute_has_its_tag),
		cmocka_unit_test(interrupts_are_let_through_and_stop_resets_the_chip),
		cmocka_unit_test(a_timeout_goes_up_the_ladder),
		cmocka_unit_test(data_of_a_command_without_any),
		cmocka_unit_test(stop_after_registers_that_are_not_there),
	};

	cmocka_set_test_filter(getenv("HBAKIT_TEST"));
	return cmocka_run_group_tests_name("script-sym53c8xx", tests, NULL, NULL);
}
