/* SPDX-License-Identifier: MIT */
/*
 * sym53c8xx.c: Symbios' and LSI's chips for parallel SCSI, 53C810 to 53C896, which QEMU models too.
 *
 * The chip runs a program of its own (sym53c8xx-scripts.c): it selects a target, moves message,
 * command, data and status by the table of the task that DSA points to, and interrupts at the end.
 * One task is connected at a time, the *nexus*. A target may leave the bus and come back; with
 * nothing moved the chip goes on by itself, else the driver looks up who it is by the tag, which is
 * the task's slot. One more task waits in the driver; all others are handed back until there is
 * room. What is rare is an interrupt: phases that end early, messages, negotiation, accidents.
 * Whatever the chip cannot be trusted with any more ends in a reset of the bus.
 *
 * There is no autosense: the framework fetches sense. See sym53c8xx.md.
 */
#include "drivers/sym53c8xx-scripts.h"

#include "base/base.h"
#include "drivers/drivers.h"

#include <errno.h>
#include <hbakit/driver.h>
#include <string.h>

enum {
	CLIENTS = 61,
	INTERNAL = 2,
	POOL = CLIENTS + INTERNAL + 1,
	INITIATOR = 7,
	NARROW_HIGHEST = 7,
	WIDE_HIGHEST = 15,
	REVISION = 0x08, /* in config space, as is the next: vendor below, id above */
	SUBSYSTEM = 0x2c,
	SUBSYSTEM_QEMU = 0x10000000, /* an id, and no vendor: no card has that */
	ROUNDS = 64,                 /* interrupts that one poll takes, whatever the chip says */
	MESSAGES = 32,               /* of one connection, before the target counts as mad */
	RESET_MS = 1,                /* SCSI-2, 5.7: RST is asserted for 25 us at least */
	SETTLE_MS = 250,             /* SCSI-2, 5.7.1.4: from a reset to a selection */
	STUCK_MS = 2000,             /* a function waits so long for the bus and its target */
	LOOK_MS = 1000,              /* while something is out an interrupt may be lost no longer */
	DIEN = SYM_DSTAT_IID | SYM_DSTAT_SIR | SYM_DSTAT_ABRT | SYM_DSTAT_BF | SYM_DSTAT_MDPE,
	SIEN0 = SYM_SIST0_PAR | SYM_SIST0_RST | SYM_SIST0_UDC | SYM_SIST0_SGE | SYM_SIST0_MA,
	/*
	 * Negotiation: factors of 4 ns; the clock is SCLK itself, 25 ns, so that 4 of them are the
	 * fastest.
	 */
	SDTR_FASTEST = 25,
	SDTR_UNIT_NS = 4,
	HALF_CLOCKS_PER_100_NS = 8,
};

/** struct sym_chip - What differs. */
struct sym_chip {
	const char *name;
	bool wide;
	uint8_t most_offset;
};

/** struct sym_task - What the driver keeps of one task. */
struct sym_task {
	uint64_t moved, saved; /* data pointers, in bytes: the current and the saved one */
	uint32_t dsa;
	uint8_t asked;            /* HBA_FEATURE_BIT(): negotiated with this command */
	uint8_t agreed, reverted; /* and how it ended */
	uint8_t messages;
	bool reverting; /* what is asked is to be cleared */
	bool tagged, victim;
};

/** struct sym_target - What is agreed with one. */
struct sym_target {
	uint8_t scntl3, sxfer;
	uint8_t refused; /* HBA_FEATURE_BIT()s that are not asked for again before a reset */
	bool untagged;   /* it has rejected a tag */
	bool tags;       /* it has taken one */
};

/** struct sym_unit - Of one that takes no tags. */
struct sym_unit {
	unsigned out;
};

enum sym_quiet { SYM_READY, SYM_RESETTING, SYM_SETTLING };

struct sym_memory { /* of the chip, apart from the tasks */
	hba_le32 program[SYM_PROGRAM_WORDS];
	uint8_t bucket[SYM_BUCKET_BYTES];
	uint8_t message[SYM_MESSAGE_BYTES];
	struct sym_data stranger; /* of whoever reselects and is not known */
};

struct sym {
	const struct sym_chip *chip;
	struct hba_bar bar;
	struct hba_mapping *mapping;
	struct sym_memory *memory;
	struct sym_program program;
	uint32_t stranger_dsa;
	bool model; /* QEMU's */
	bool lost;  /* the model has lost a request, and ends in an assertion when it is reset */
	bool unmasked;
	unsigned most_out;
	unsigned ended; /* tasks, since poll was called */
	struct sym_target targets[WIDE_HIGHEST + 1];
	/* Set by start. */
	struct hba_task *out[POOL]; /* that targets have or may have, by slot */
	unsigned n_out;
	/* connected; the one that waits; a function that waits, which goes first */
	struct hba_task *nexus, *next, *function;
	/* the chip runs nothing, and no interrupt is to come */
	bool stopped;
	/* a function had to be given up: only a reset helps */
	bool stuck;
	bool aborting;            /* the nexus is told to leave */
	enum hba_outcome aborted; /* and ends so */
	enum sym_quiet quiet;
	uint64_t quiet_until, function_until;
};

static struct sym *sym_of(struct hba_queue *q)
{
	return hba_controller_priv(hba_queue_controller(q));
}

static struct sym_task *of(const struct hba_task *t)
{
	return t->priv;
}

static struct sym_target *target_of(struct sym *p, const struct hba_task *t)
{
	return &p->targets[t->target % ARRAY_SIZE(p->targets)];
}

static struct sym_unit *unit_of(const struct hba_task *t)
{
	return hba_task_lun_priv(t);
}

/* ---- registers */

static uint8_t get8(const struct sym *p, enum sym_reg reg)
{
	return (uint8_t)hba_bar_read(&p->bar, reg, 1);
}

static void set8(const struct sym *p, enum sym_reg reg, uint8_t value)
{
	hba_bar_write(&p->bar, reg, value, 1);
}

static void sym53c8xx_run(struct sym *p, unsigned label)
{
	p->stopped = false;
	hba_bar_write32(&p->bar, SYM_DSP, sym_program_at(&p->program, label, 0));
}

/* Two bytes lie where one register is: both are cleared by the read. */
static uint16_t take_scsi_status(const struct sym *p)
{
	return (uint16_t)(hba_bar_read32(&p->bar, SYM_SIEN0) >> 16);
}

/* ---- tables */

static struct sym_entry entry(struct hba_iova base, size_t offset, size_t count)
{
	return (struct sym_entry) { hba_le32_of((uint32_t)count),
				    hba_le32_of((uint32_t)(base.bus + offset)) };
}

/* What never moves. */
static void table_init(struct sym_data *d, struct hba_iova at)
{
	d->cdb = entry(at, offsetof(struct sym_data, cdb_bytes), 0);
	d->status = entry(at, offsetof(struct sym_data, status_byte), 1);
	d->message = entry(at, offsetof(struct sym_data, message_bytes), 0);
	d->reply = entry(at, offsetof(struct sym_data, reply_bytes), 0);
}

static unsigned list_of(const struct hba_task *t)
{
	return t->direction == HBA_TO_TARGET ? SYM_AT_LIST_OUT : SYM_AT_LIST_IN;
}

/* The data from `moved` on, so that they end with the table. Returns where in it they begin. */
static unsigned put_segments(const struct hba_task *t)
{
	struct sym_data *d = t->hba_data;
	uint64_t skip = of(t)->moved;
	unsigned first = 0, n;

	while (first < t->n_data && skip >= t->data.segments[first].length)
		skip -= t->data.segments[first++].length;
	n = t->n_data - first;
	for (unsigned i = 0; i < n; i++, skip = 0) {
		const struct hba_segment *s = &t->data.segments[first + i];

		d->segment[SYM_SEGMENTS - n + i] = entry(s->iova, skip, s->length - skip);
	}
	return SYM_SEGMENTS - n;
}

/*
 * The bytes before an entry of the table: from the end, where the list ends whatever its beginning.
 */
static uint64_t bytes_before(const struct hba_task *t, unsigned index)
{
	const struct sym_data *d = t->hba_data;
	uint64_t left = 0;

	for (unsigned i = index; i < SYM_SEGMENTS; i++)
		left += hba_get32(d->segment[i].count);
	return left <= t->length ? t->length - left : UINT64_MAX;
}

static void put_reply(struct sym_data *d, const uint8_t *bytes, size_t n)
{
	memcpy(d->reply_bytes, bytes, n);
	d->reply.count = hba_le32_of((uint32_t)n);
}

/* ---- negotiation */

/* Divisors of the clock, in halves, and what SCF calls them. */
static const struct {
	uint8_t halves, scf;
} divisors[] = { { 2, 1 }, { 3, 2 }, { 4, 3 }, { 6, 4 }, { 8, 5 } };

/* The fastest period that is no faster than the factor says. false: so slow is none. */
static bool find_period(uint8_t factor, uint8_t *ret_scf, uint8_t *ret_tp)
{
	unsigned want = factor * SDTR_UNIT_NS * HALF_CLOCKS_PER_100_NS, best = UINT32_MAX;

	for (size_t i = 0; i < ARRAY_SIZE(divisors); i++)
		for (unsigned tp = SYM_SXFER_LEAST_TP; tp <= SYM_SXFER_MOST_TP; tp++) {
			unsigned period = divisors[i].halves * tp * 100;

			if (period >= want && period < best) {
				best = period;
				*ret_scf = divisors[i].scf;
				*ret_tp = (uint8_t)tp;
			}
		}
	return best != UINT32_MAX;
}

static void forget_agreed(struct sym_target *s)
{
	s->scntl3 = SYM_SCNTL3_CCF_50_MHZ;
	s->sxfer = 0;
}

/* A reset of the bus makes them so. */
static void forget_targets(struct sym *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(p->targets); i++) {
		p->targets[i] = (struct sym_target) { 0 };
		forget_agreed(&p->targets[i]);
	}
}

static void apply(struct sym *p, const struct hba_task *t)
{
	set8(p, SYM_SCNTL3, target_of(p, t)->scntl3);
	set8(p, SYM_SXFER, target_of(p, t)->sxfer);
}

/* Which feature goes with this command: one at a time, and what is to be cleared first. */
static void choose_feature(struct sym *p, struct hba_task *t)
{
	static const uint8_t order[] = { HBA_FEATURE_BIT(HBA_WIDE),
					 HBA_FEATURE_BIT(HBA_SYNCHRONOUS) };
	const struct sym_target *target = target_of(p, t);
	uint8_t wanted = t->negotiate & (uint8_t)~target->refused;
	struct sym_task *s = of(t);

	s->asked = s->agreed = s->reverted = 0;
	s->reverting = t->revert != 0;
	if (s->tagged && !target->tags)
		return; /* else a MESSAGE REJECT could mean either */
	for (size_t i = 0; i < ARRAY_SIZE(order) && !s->asked; i++)
		s->asked = (s->reverting ? t->revert : wanted) & order[i];
}

static size_t put_request(const struct sym *p, const struct hba_task *t, uint8_t *m)
{
	const struct sym_task *s = of(t);
	uint8_t offset = s->reverting ? 0 : p->chip->most_offset;

	if (!s->asked)
		return 0;
	m[0] = SYM_MSG_EXTENDED;
	if (s->asked == HBA_FEATURE_BIT(HBA_WIDE)) {
		m[1] = SYM_EXT_WDTR_LENGTH;
		m[2] = SYM_EXT_WDTR;
		m[3] = !s->reverting;
	} else {
		m[1] = SYM_EXT_SDTR_LENGTH;
		m[2] = SYM_EXT_SDTR;
		m[3] = SDTR_FASTEST;
		m[4] = offset;
	}
	return 2U + m[1];
}

static void settle_feature(struct sym *p, struct hba_task *t, bool has_it)
{
	struct sym_task *s = of(t);

	if (has_it)
		s->agreed |= s->asked;
	else if (s->reverting)
		s->reverted |= s->asked;
	else
		target_of(p, t)->refused |= s->asked;
	s->asked = 0;
}

/*
 * false: that is no answer to what was asked; the old way of transfer is the only one both can
 * mean.
 */
static bool take_width(struct sym *p, struct hba_task *t, const uint8_t *m)
{
	struct sym_target *s = target_of(p, t);
	bool wide = m[3] == 1;

	if (of(t)->asked != HBA_FEATURE_BIT(HBA_WIDE) || m[1] != SYM_EXT_WDTR_LENGTH ||
	    m[3] > !of(t)->reverting)
		return false;
	forget_agreed(s); /* SCSI-2, 6.6.23: a width ends what was agreed on synchronous transfer */
	s->scntl3 |= wide ? SYM_SCNTL3_EWS : 0;
	settle_feature(p, t, wide);
	return true;
}

static bool take_period(struct sym *p, struct hba_task *t, const uint8_t *m)
{
	struct sym_target *s = target_of(p, t);
	uint8_t most = of(t)->reverting ? 0 : p->chip->most_offset, scf, tp;

	if (of(t)->asked != HBA_FEATURE_BIT(HBA_SYNCHRONOUS) || m[1] != SYM_EXT_SDTR_LENGTH ||
	    m[4] > most || m[3] < SDTR_FASTEST || !find_period(m[3], &scf, &tp))
		return false;
	s->scntl3 &= SYM_SCNTL3_EWS;
	s->scntl3 |= SYM_SCNTL3_CCF_50_MHZ;
	s->sxfer = m[4];
	if (m[4]) {
		s->scntl3 |= (uint8_t)(scf << SYM_SCNTL3_SCF_SHIFT);
		s->sxfer |= (uint8_t)((tp - SYM_SXFER_LEAST_TP) << SYM_SXFER_TP_SHIFT);
	}
	settle_feature(p, t, m[4] != 0);
	return true;
}

/* ---- bring-up */

static void mask(struct sym *p, bool on)
{
	if (on == p->unmasked)
		return;
	p->unmasked = on;
	set8(p, SYM_DIEN, on ? DIEN : 0);
	hba_bar_write16(&p->bar, SYM_SIEN0, on ? SIEN0 | SYM_SIST1_STO << 8 : 0);
}

static void soft_reset(struct sym *p)
{
	if (!p->lost) {
		set8(p, SYM_ISTAT, SYM_ISTAT_SRST);
		set8(p, SYM_ISTAT, 0);
	}
	p->unmasked = true; /* so that it is written, whatever it was */
	mask(p, false);
}

static void set_up_registers(struct sym *p)
{
	soft_reset(p);
	set8(p, SYM_SCNTL0, SYM_SCNTL0_ARBITRATE | SYM_SCNTL0_EPC | SYM_SCNTL0_AAP);
	set8(p, SYM_SCNTL3, SYM_SCNTL3_CCF_50_MHZ);
	set8(p, SYM_SXFER, 0);
	set8(p, SYM_SCID, INITIATOR | SYM_SCID_RRE);
	hba_bar_write16(&p->bar, SYM_RESPID0, 1U << INITIATOR);
	set8(p, SYM_STIME0, SYM_STIME0_410_MS);
	set8(p, SYM_STEST3, SYM_STEST3_TE);
	set8(p, SYM_DMODE, SYM_DMODE_BURST_8);
	set8(p, SYM_DCNTL, SYM_DCNTL_COM);
}

/* RST, long enough, and what the chip notes of it. */
static int reset_bus(struct hba_controller *c, struct sym *p)
{
	int r;

	set8(p, SYM_SCNTL1, SYM_SCNTL1_RST);
	r = hba_wait(c, RESET_MS);
	set8(p, SYM_SCNTL1, 0);
	(void)take_scsi_status(p);
	(void)get8(p, SYM_DSTAT);
	return r < 0 || p->model ? r : hba_wait(c, SETTLE_MS);
}

static void report_abilities(const struct sym *p, struct hba_report *r)
{
	r->initiator_id = INITIATOR;
	r->highest_target_id = p->chip->wide ? WIDE_HIGHEST : NARROW_HIGHEST;
	r->highest_lun = SYM_MSG_IDENTIFY_LUN;
	r->max_tasks = CLIENTS;
	r->internal_tasks = INTERNAL;
	r->manages_devices = false;
	r->performs_autosense = false;
	r->features =
		HBA_FEATURE_BIT(HBA_SYNCHRONOUS) | (p->chip->wide ? HBA_FEATURE_BIT(HBA_WIDE) : 0);
	r->tag_bits = 8;
	r->max_cdb = SYM_CDB_BYTES;
	/*
	 * What QEMU's model makes of BUS DEVICE RESET is an abort: the target forgets nothing else.
	 */
	r->tmfs = HBA_TMF_BIT(HBA_ABORT_TASK) | HBA_TMF_BIT(HBA_ABORT_TASK_SET) |
		  HBA_TMF_BIT(HBA_CLEAR_TASK_SET) | (p->model ? 0 : HBA_TMF_BIT(HBA_TARGET_RESET));
	r->control_address_bits = 32;
	r->constraints = (struct hba_constraints) {
		.max_segments_read = SYM_SEGMENTS,
		.max_segments_write = SYM_SEGMENTS,
		.max_segment_bytes_read = 1U << 20,
		.max_segment_bytes_write = 1U << 20,
		.alignment = 1,
		.address_bits = 32,
		.hba_data_mask = ~UINT64_C(3),
	};
}

static int sym_initialize(struct hba_controller *c, struct hba_report *r)
{
	struct sym *p = hba_controller_priv(c);
	uint64_t most;
	int err;

	p->chip = hba_controller_variant(c);
	p->model = hba_config_read(c, SUBSYSTEM, 4) == SUBSYSTEM_QEMU &&
		   hba_config_read(c, REVISION, 1) == 0;
	report_abilities(p, r);
	err = hba_uri_number(c, "outstanding", &most);
	if (err < 0)
		return err;
	if (most > POOL)
		return hba_fail(c, -EINVAL, "outstanding= goes up to %u", POOL);
	p->most_out = most ? (unsigned)most : p->model ? 1 : POOL;
	err = hba_bar_map(c, SYM_BAR_MEMORY, &p->bar);
	if (err == -ENOENT)
		err = hba_bar_map(c, SYM_BAR_IO, &p->bar);
	if (err < 0)
		return err;
	set_up_registers(p);
	if (get8(p, SYM_SCID) != (INITIATOR | SYM_SCID_RRE))
		return hba_fail(c, -EIO, "the chip does not keep values written to its registers");
	err = hba_mapping_create(c, HBA_DEVICE_BOTH, sizeof(struct sym_memory), sizeof(hba_le32),
				 &p->mapping);
	if (err < 0)
		return err;
	p->memory = hba_mapping_address(p->mapping);
	return 0;
}

static int sym_map_hba_data(struct hba_controller *c, struct hba_task *t, uint32_t *ret_id)
{
	(void)c;
	table_init(t->hba_data, t->hba_iova);
	of(t)->dsa = (uint32_t)t->hba_iova.bus;
	*ret_id = t->slot + 1U;
	return 0;
}

static void write_program(struct sym *p)
{
	struct hba_iova at = hba_mapping_iova(p->mapping);

	p->program.words = p->memory->program;
	p->program.iova = hba_iova_at(at, offsetof(struct sym_memory, program));
	sym_program_build(&p->program, hba_iova_at(at, offsetof(struct sym_memory, message)),
			  hba_iova_at(at, offsetof(struct sym_memory, bucket)), p->chip->wide);
	at = hba_iova_at(at, offsetof(struct sym_memory, stranger));
	table_init(&p->memory->stranger, at);
	p->stranger_dsa = (uint32_t)at.bus;
}

static void forget_tasks(struct sym *p)
{
	memset(p->out, 0, sizeof(p->out));
	p->n_out = 0;
	p->nexus = p->next = p->function = NULL;
	p->aborting = p->stuck = false;
	p->stopped = true;
	p->quiet = SYM_READY;
	forget_targets(p);
}

static int sym_start(struct hba_controller *c)
{
	struct sym *p = hba_controller_priv(c);
	int err;

	forget_tasks(p);
	set_up_registers(p);
	write_program(p);
	err = hba_bus_master_on(c);
	if (err == 0)
		/* whoever was here before may have agreed upon what we do not know */
		err = reset_bus(c, p);
	if (err < 0)
		return err;
	hba_vector_bind(hba_controller_queue(c, 0), 0); /* without one we are polled */
	return 0;
}

static int sym_initialize_target(struct hba_controller *c, struct hba_target *tgt,
				 struct hba_target_report *report)
{
	struct sym *p = hba_controller_priv(c);
	struct sym_target *s = &p->targets[hba_target_id(tgt) % ARRAY_SIZE(p->targets)];

	(void)report;
	*s = (struct sym_target) { 0 };
	forget_agreed(s);
	return 0;
}

/* ---- sending */

static enum sym_stage stage_of(const struct hba_task *t)
{
	const struct sym_task *s = of(t);

	/* Who has no data at all is at the beginning, for its command may be still to come. */
	if (s->moved == 0 && s->saved == 0)
		return SYM_NOTHING;
	return s->moved < t->length ? SYM_SOME : SYM_ALL;
}

static void point_to_data(struct sym *p, const struct hba_task *t)
{
	if (of(t)->moved < t->length)
		sym_program_data(&p->program, list_of(t), put_segments(t));
	else
		sym_program_data(&p->program, SYM_AT_EXCESS_IN, 0);
}

/* IDENTIFY, and the tag. */
static size_t put_nexus(const struct hba_task *t, uint8_t *m)
{
	static const uint8_t tag[] = { [HBA_SIMPLE] = SYM_MSG_SIMPLE_TAG,
				       [HBA_ORDERED] = SYM_MSG_ORDERED_TAG,
				       [HBA_HEAD_OF_QUEUE] = SYM_MSG_HEAD_TAG,
				       [HBA_ACA] = SYM_MSG_SIMPLE_TAG };

	m[0] = (uint8_t)(SYM_MSG_IDENTIFY | SYM_MSG_IDENTIFY_DISCONNECT | t->lun.bytes[1]);
	if (!of(t)->tagged)
		return 1;
	m[1] = tag[t->attribute];
	m[2] = (uint8_t)t->slot;
	return 3;
}

static void prepare(struct sym *p, struct hba_task *t)
{
	struct sym_data *d = t->hba_data;
	struct sym_task *s = of(t);
	size_t n;

	s->moved = s->saved = 0;
	s->messages = 0;
	s->victim = false;
	s->tagged = t->tag != HBA_UNTAGGED && !target_of(p, t)->untagged;
	choose_feature(p, t);
	n = put_nexus(t, d->message_bytes);
	n += put_request(p, t, d->message_bytes + n);
	d->message.count = hba_le32_of((uint32_t)n);
	memcpy(d->cdb_bytes, t->cdb, sizeof(d->cdb_bytes));
	d->cdb.count = hba_le32_of(t->cdb_len);
}

static void sym53c8xx_take(struct sym *p, struct hba_task *t)
{
	p->out[t->slot] = t;
	p->n_out++;
	if (t->kind != HBA_TASK_TMF)
		unit_of(t)->out++;
}

static void leave(struct sym *p, struct hba_task *t)
{
	p->out[t->slot] = NULL;
	p->n_out--;
	if (t->kind != HBA_TASK_TMF)
		unit_of(t)->out--;
	if (p->nexus == t)
		p->nexus = NULL;
}

/* The chip stands still: it is told whose turn it is, and runs. */
static void connect(struct sym *p, struct hba_task *t, unsigned label)
{
	struct sym_data *d = t->hba_data;

	p->nexus = t;
	p->aborting = false;
	d->select = hba_le32_of(
		SYM_SELECT_WORD(target_of(p, t)->scntl3, t->target, target_of(p, t)->sxfer));
	if (t->kind == HBA_TASK_TMF) {
		sym_program_disown(&p->program);
	} else {
		sym_program_own(&p->program, (uint8_t)t->target, t->lun.bytes[1],
				of(t)->tagged ? t->slot : -1);
		point_to_data(p, t);
	}
	hba_bar_write32(&p->bar, SYM_DSA, of(t)->dsa);
	sym53c8xx_run(p, label);
}

static void sym53c8xx_begin(struct sym *p, struct hba_task *t)
{
	sym53c8xx_take(p, t);
	connect(p, t, t->kind == HBA_TASK_TMF ? SYM_AT_SELECT_FUNCTION : SYM_AT_SELECT);
}

/* The chip has ended something, and may be given the next. */
static void go_on(struct hba_queue *q, struct sym *p)
{
	struct hba_task *t = p->function ? p->function : p->next;

	if (t && (p->function || p->n_out < p->most_out)) {
		*(p->function ? &p->function : &p->next) = NULL;
		sym53c8xx_begin(p, t);
	} else if (p->n_out) {
		sym_program_disown(&p->program);
		p->nexus = NULL;
		sym53c8xx_run(p, SYM_AT_IDLE);
	} else {
		p->stopped = true;
	}
	if (!p->next)
		hba_ready(q, NULL, NULL);
}

/* It waits for a target to come back, and shall hear of something else. */
static void signal_chip(const struct sym *p)
{
	set8(p, SYM_ISTAT, SYM_ISTAT_SIGP);
}

static void sym_process_task(struct hba_queue *q, struct hba_task *t)
{
	struct sym *p = sym_of(q);

	if (p->quiet != SYM_READY || p->next)
		return hba_requeue(t, HBA_SCOPE_QUEUE);
	if (target_of(p, t)->untagged && unit_of(t)->out)
		return hba_requeue(t, HBA_SCOPE_LUN);
	prepare(p, t);
	if (p->stopped) {
		sym53c8xx_begin(p, t);
	} else {
		p->next = t;
		if (p->n_out < p->most_out)
			signal_chip(p);
	}
	hba_poll_within(q, LOOK_MS);
}

/* ---- the end of a task */

static void end_task(struct hba_queue *q, struct sym *p, struct hba_task *t,
		     const struct hba_result *r)
{
	bool untagged = target_of(p, t)->untagged;

	p->ended++;
	leave(p, t);
	if (untagged)
		hba_ready(q, hba_task_target(t), &t->lun);
	hba_complete(t, r);
}

static void end_failed(struct hba_queue *q, struct sym *p, struct hba_task *t,
		       enum hba_outcome outcome, enum hba_sent sent)
{
	struct hba_result r = { .outcome = outcome, .sent = sent };

	end_task(q, p, t, &r);
}

/* A function is done when the target has left the bus, and what it ended is the driver's to say. */
static void end_function(struct hba_queue *q, struct sym *p, struct hba_task *t, bool delivered)
{
	for (unsigned i = 0; i < POOL && delivered; i++)
		if (p->out[i] && p->out[i]->kind != HBA_TASK_TMF && of(p->out[i])->victim)
			end_failed(q, p, p->out[i], HBA_NOT_DELIVERED, HBA_SENT_MAYBE);
	leave(p, t);
	hba_tmf_complete(t, delivered ? HBA_FUNCTION_COMPLETE : HBA_DELIVERY_FAILURE);
}

static void end_all(struct hba_queue *q, struct sym *p)
{
	for (unsigned i = 0; i < POOL; i++) {
		struct hba_task *t = p->out[i];

		if (t && t->kind == HBA_TASK_TMF)
			end_function(q, p, t, false);
		else if (t)
			end_failed(q, p, t, HBA_NOT_DELIVERED, HBA_SENT_MAYBE);
	}
	if (p->function) {
		struct hba_task *t = p->function;

		p->function = NULL;
		hba_tmf_complete(t, HBA_DELIVERY_FAILURE);
	}
	p->nexus = NULL;
}

/* The unit keeps its sense until its next command, which must be the framework's REQUEST SENSE. */
static void keep_sense(struct hba_queue *q, struct sym *p, const struct hba_task *failed)
{
	struct hba_task *t = p->next;

	if (!t || t->target != failed->target || memcmp(&t->lun, &failed->lun, sizeof(t->lun)) != 0)
		return;
	p->next = NULL;
	hba_requeue(t, HBA_SCOPE_LUN);
	hba_ready(q, hba_task_target(t), &t->lun);
}

static void sym53c8xx_complete(struct hba_queue *q, struct sym *p, struct hba_task *t)
{
	const struct sym_data *d = t->hba_data;
	struct sym_task *s = of(t);
	struct hba_result r = { .outcome = HBA_OUTCOME(HBA_TASK_COMPLETE, d->status_byte),
				.bytes = s->moved };

	/* Without a word on it from the target there is no use in asking again. */
	if (s->asked)
		settle_feature(p, t, false);
	target_of(p, t)->tags |= s->tagged;
	r.negotiated = s->agreed;
	r.reverted = s->reverted;
	if (r.outcome == HBA_CHECK_CONDITION)
		keep_sense(q, p, t);
	end_task(q, p, t, &r);
}

/* ---- accidents */

/*
 * The chip or its bus cannot be trusted: all that is out ends with a reset of the bus, which poll
 * carries on.
 */
static void begin_reset(struct hba_queue *q, struct sym *p)
{
	set8(p, SYM_SCNTL1, SYM_SCNTL1_RST);
	p->quiet = SYM_RESETTING;
	p->quiet_until = hba_now(hba_queue_controller(q)) + (RESET_MS + 1) * (uint64_t)NS_PER_MS;
	p->stopped = true;
	hba_poll_within(q, RESET_MS + 1);
}

static void clear_fifos(const struct sym *p)
{
	set8(p, SYM_CTEST3, SYM_CTEST3_CLF);
	set8(p, SYM_STEST3, SYM_STEST3_TE | SYM_STEST3_CSF);
}

/*
 * What the chip has said before is of a task that ends here: left unread, it would be taken for the
 * next one's.
 */
static void bus_is_quiet(struct hba_queue *q, struct sym *p, uint64_t now)
{
	(void)take_scsi_status(p);
	(void)get8(p, SYM_DSTAT);
	clear_fifos(p);
	end_all(q, p);
	forget_targets(p);
	p->stuck = false;
	p->stopped = true;
	hba_bus_reset_seen(hba_queue_controller(q));
	p->quiet = SYM_SETTLING;
	p->quiet_until = now + (p->model ? 0 : SETTLE_MS * (uint64_t)NS_PER_MS);
}

/* Through a reset of the bus, step by step. */
static void go_through_reset(struct hba_queue *q, struct sym *p)
{
	uint64_t now = hba_now(hba_queue_controller(q));

	if (p->quiet == SYM_RESETTING && now >= p->quiet_until) {
		set8(p, SYM_SCNTL1, 0);
		bus_is_quiet(q, p, now);
	}
	if (p->quiet == SYM_SETTLING && now >= p->quiet_until) {
		p->quiet = SYM_READY;
		go_on(q, p);
		return;
	}
	hba_poll_within(q, (unsigned)((p->quiet_until - now) / NS_PER_MS) + 1);
}

__attribute__((cold)) static void accident(struct hba_queue *q, struct sym *p, const char *what,
					   uint32_t value)
{
	hba_device_error(hba_queue_controller(q), "%s (%08x): resetting the SCSI bus", what, value);
	begin_reset(q, p);
}

/* A target is told to let go of the nexus, which ends so once it has. */
static void abort_nexus(struct sym *p, struct sym_data *d, const struct hba_task *t,
			enum hba_outcome outcome)
{
	uint8_t m = t && of(t)->tagged ? SYM_MSG_ABORT_TAG : SYM_MSG_ABORT;

	put_reply(d, &m, 1);
	p->aborting = true;
	p->aborted = outcome;
	sym53c8xx_run(p, SYM_AT_ABORT);
}

/* ---- interrupts: phases that end early */

/*
 * What a block move to the target has fetched, but not sent: it is still in the chip. QEMU's model
 * has nothing to keep it in.
 */
static unsigned bytes_in_chip(const struct sym *p, uint32_t dbc)
{
	uint8_t low = get8(p, SYM_SSTAT0), high = get8(p, SYM_SSTAT2);
	unsigned n = (get8(p, SYM_DFIFO) - dbc) & SYM_DFIFO_SMALL;

	if (p->model)
		return 0;
	n += (low & SYM_SSTAT0_OLF ? 1U : 0) + (low & SYM_SSTAT0_ORF ? 1U : 0);
	if (p->chip->wide)
		n += (high & SYM_SSTAT2_OLF1 ? 1U : 0) + (high & SYM_SSTAT2_ORF1 ? 1U : 0);
	return n;
}

/* false: what the chip shows cannot be. */
static bool note_moved(const struct sym *p, struct hba_task *t, unsigned index, uint32_t dbc,
		       bool out)
{
	const struct sym_data *d = t->hba_data;
	uint32_t count = hba_get32(d->segment[index].count),
		 unsent = out ? bytes_in_chip(p, dbc) : 0;
	uint64_t before = bytes_before(t, index);

	if (dbc > count || unsent > count - dbc || before > t->length || count > t->length - before)
		return false;
	/*
	 * An odd byte of a wide transfer waits in the chip for its other half: nobody says whose it
	 * is.
	 */
	if (get8(p, SYM_SCNTL2) & (SYM_SCNTL2_WSR | SYM_SCNTL2_WSS))
		return false;
	of(t)->moved = before + count - dbc - unsent;
	if (out)
		clear_fifos(p);
	return true;
}

static void resume_phase(struct sym *p, const struct hba_task *t)
{
	point_to_data(p, t);
	sym53c8xx_run(p, SYM_AT_PHASE + stage_of(t));
}

/* Data of the wrong direction, or more than there are. */
static bool wants_more(const struct sym *p, const struct hba_task *t)
{
	unsigned phase = get8(p, SYM_SSTAT1) & SYM_SSTAT1_PHASE;

	return phase == (t->direction == HBA_TO_TARGET ? SYM_DATA_IN : SYM_DATA_OUT);
}

static void list_ended(struct hba_queue *q, struct sym *p, struct hba_task *t, unsigned index,
		       bool out)
{
	uint32_t dbc = hba_bar_read32(&p->bar, SYM_DBC) & SYM_MOST_COUNT;

	if (out != (t->direction == HBA_TO_TARGET) || !note_moved(p, t, index, dbc, out))
		accident(q, p, "the chip's byte count cannot be", dbc);
	else if (wants_more(p, t))
		abort_nexus(p, t->hba_data, t, HBA_NOT_DELIVERED);
	else
		resume_phase(p, t);
}

/*
 * QEMU's model has no data for a command without any, and yet is in their phase until it ends. All
 * of its data have moved: a target that wants some is told to leave.
 */
static void bucket_ended(struct hba_queue *q, struct sym *p)
{
	uint32_t dbc = hba_bar_read32(&p->bar, SYM_DBC) & SYM_MOST_COUNT;

	if (dbc > SYM_BUCKET_BYTES)
		accident(q, p, "the chip's byte count cannot be", dbc);
	else
		sym53c8xx_run(p, SYM_AT_PHASE + SYM_ALL);
}

/*
 * QEMU's model: a command that fails while its target is away comes back without reselection:
 * nobody is connected, the phase is STATUS. It is the one that is out. The model forgets to forget
 * it, and its next reset would end QEMU.
 */
static bool came_back_failed(const struct sym *p)
{
	return p->model && p->nexus && p->n_out == 1 && !(get8(p, SYM_SCNTL1) & SYM_SCNTL1_CON) &&
	       (get8(p, SYM_SSTAT1) & SYM_SSTAT1_PHASE) == SYM_STATUS;
}

static bool is_behind(const struct sym *p, uint32_t dsp, unsigned label, unsigned n)
{
	unsigned index;

	return sym_program_behind(&p->program, dsp, label, n, &index);
}

static void phase_mismatch(struct hba_queue *q, struct sym *p)
{
	enum { UP_TO_IDENTIFY = 2, MESSAGE_OF_SELECT = 2 };
	uint32_t dsp = hba_bar_read32(&p->bar, SYM_DSP);
	struct hba_task *t = p->nexus;
	unsigned i;

	if (is_behind(p, dsp, SYM_AT_IDLE, UP_TO_IDENTIFY) && came_back_failed(p)) {
		p->lost = true;
		sym53c8xx_run(p, SYM_AT_STATUS + SYM_NOTHING);
	} else if (!t || t->kind == HBA_TASK_TMF || p->aborting) {
		accident(q, p, "a phase that was not expected", dsp);
	} else if (sym_program_behind(&p->program, dsp, SYM_AT_LIST_IN, SYM_SEGMENTS, &i)) {
		list_ended(q, p, t, i, false);
	} else if (sym_program_behind(&p->program, dsp, SYM_AT_LIST_OUT, SYM_SEGMENTS, &i)) {
		list_ended(q, p, t, i, true);
	} else if (is_behind(p, dsp, SYM_AT_EXCESS_IN, 1)) {
		bucket_ended(q, p);
	} else if (is_behind(p, dsp, SYM_AT_SELECT, MESSAGE_OF_SELECT) ||
		   is_behind(p, dsp, SYM_AT_COMMAND, 1)) {
		clear_fifos(p);
		resume_phase(p, t);
	} else {
		accident(q, p, "a phase that was not expected", dsp);
	}
}

/* ---- interrupts: who comes back */

static struct hba_task *find_untagged(const struct sym *p, uint64_t target, uint8_t lun)
{
	for (unsigned i = 0; i < POOL; i++) {
		struct hba_task *t = p->out[i];

		if (t && t->kind != HBA_TASK_TMF && !of(t)->tagged && t->target == target &&
		    t->lun.bytes[1] == lun)
			return t;
	}
	return NULL;
}

static struct hba_task *find_tagged(const struct sym *p, uint64_t target, uint8_t lun, uint8_t tag)
{
	struct hba_task *t = tag < POOL ? p->out[tag] : NULL;

	return t && t->kind != HBA_TASK_TMF && of(t)->tagged && t->target == target &&
			       t->lun.bytes[1] == lun
		       ? t
		       : NULL;
}

/* It is told to forget what it came for, which is not of us. */
static void send_away(struct hba_queue *q, struct sym *p, uint8_t ssid, const uint8_t *m,
		      bool tagged)
{
	hba_device_error(
		hba_queue_controller(q),
		"target %u came back for a command that it does not have (IDENTIFY %02xh, tag %d)",
		ssid & SYM_SSID_ID, m[0], tagged ? m[2] : -1);
	hba_bar_write32(&p->bar, SYM_DSA, p->stranger_dsa);
	p->nexus = NULL;
	abort_nexus(p, &p->memory->stranger, NULL, HBA_NO_STATUS);
}

static void take_message(struct hba_queue *q, struct sym *p, struct hba_task *t, uint8_t message);

static void reselected(struct hba_queue *q, struct sym *p, unsigned what)
{
	uint8_t ssid = get8(p, SYM_SSID), m[3];
	bool tagged = what == SYM_RESELECTED_TAG;
	struct hba_task *t;

	memcpy(m, p->memory->message, sizeof(m));
	t = tagged ? find_tagged(p, ssid & SYM_SSID_ID, m[0] & SYM_MSG_IDENTIFY_LUN, m[2])
		   : find_untagged(p, ssid & SYM_SSID_ID, m[0] & SYM_MSG_IDENTIFY_LUN);
	if (!t || !(ssid & SYM_SSID_VAL) || !(m[0] & SYM_MSG_IDENTIFY)) {
		send_away(q, p, ssid, m, tagged);
		return;
	}
	p->nexus = t;
	of(t)->moved = of(t)->saved;
	sym_program_own(&p->program, (uint8_t)t->target, t->lun.bytes[1], tagged ? t->slot : -1);
	apply(p, t);
	hba_bar_write32(&p->bar, SYM_DSA, of(t)->dsa);
	if (what == SYM_RESELECTED_MESSAGE) {
		take_message(q, p, t, m[1]);
		return;
	}
	point_to_data(p, t);
	sym53c8xx_run(p, (tagged ? SYM_AT_RESUME : SYM_AT_PHASE) + stage_of(t));
}

/* Somebody else was quicker on the bus: whoever was to be selected waits again. */
static void lost_arbitration(struct sym *p, struct hba_task *t)
{
	leave(p, t);
	if (t->kind == HBA_TASK_TMF) {
		p->function = t;
	} else {
		if (p->next)
			hba_requeue(p->next, HBA_SCOPE_QUEUE);
		p->next = t;
	}
	sym_program_disown(&p->program);
	sym53c8xx_run(p, SYM_AT_RESELECTED);
	signal_chip(p);
}

/* ---- interrupts: messages */

static void resume(struct sym *p, const struct hba_task *t)
{
	point_to_data(p, t);
	sym53c8xx_run(p, SYM_AT_RESUME + stage_of(t));
}

static void reply(struct sym *p, struct hba_task *t, uint8_t message)
{
	put_reply(t->hba_data, &message, 1);
	point_to_data(p, t);
	sym53c8xx_run(p, SYM_AT_REPLY + stage_of(t));
}

/* Of what was sent last: a negotiation, or the tag. */
static void rejected(struct sym *p, struct hba_task *t)
{
	if (of(t)->asked) {
		settle_feature(p, t, false);
	} else if (of(t)->tagged) {
		of(t)->tagged = false;
		target_of(p, t)->untagged = true;
		sym_program_own(&p->program, (uint8_t)t->target, t->lun.bytes[1], -1);
	}
	resume(p, t);
}

static void take_message(struct hba_queue *q, struct sym *p, struct hba_task *t, uint8_t message)
{
	struct sym_task *s = of(t);

	if (++s->messages > MESSAGES) {
		accident(q, p, "a target that talks without end", message);
		return;
	}
	switch (message) {
	case SYM_MSG_COMPLETE:
		sym53c8xx_run(p, SYM_AT_COMPLETE + stage_of(t));
		break;
	case SYM_MSG_SAVE_POINTERS:
		s->saved = s->moved;
		resume(p, t);
		break;
	case SYM_MSG_RESTORE_POINTERS:
		s->moved = s->saved;
		resume(p, t);
		break;
	case SYM_MSG_DISCONNECT:
		sym_program_disown(&p->program);
		sym53c8xx_run(p, SYM_AT_LET_GO);
		break;
	case SYM_MSG_NOP:
		resume(p, t);
		break;
	case SYM_MSG_REJECT:
		rejected(p, t);
		break;
	default:
		reply(p, t, SYM_MSG_REJECT);
		break;
	}
}

/* The last byte on a wide bus was none. */
static void take_two(struct hba_queue *q, struct sym *p, struct hba_task *t)
{
	uint8_t m[2];

	memcpy(m, p->memory->message, sizeof(m));
	if (m[0] == SYM_MSG_IGNORE_WIDE_RESIDUE && m[1] == 1 && of(t)->moved > 0 &&
	    t->direction == HBA_FROM_TARGET) {
		of(t)->moved--;
		take_message(q, p, t, SYM_MSG_NOP);
	} else {
		take_message(q, p, t, SYM_MSG_TWO_BYTES); /* there is no such that we know */
	}
}

static void take_length(struct hba_queue *q, struct sym *p, struct hba_task *t)
{
	uint8_t length = p->memory->message[1];
	struct sym_data *d = t->hba_data;

	if (length == 0 || length > SYM_MESSAGE_BYTES - 2) {
		take_message(q, p, t, SYM_MSG_EXTENDED);
		return;
	}
	d->extended = entry(hba_mapping_iova(p->mapping), offsetof(struct sym_memory, message) + 2,
			    length);
	sym53c8xx_run(p, SYM_AT_EXTENDED_REST);
}

/*
 * An answer to what we asked; or else a wish of its own, or nonsense: the answer to both is that
 * all is as after a reset.
 */
static void take_extended(struct hba_queue *q, struct sym *p, struct hba_task *t)
{
	struct sym_target *target = target_of(p, t);
	struct sym_task *s = of(t);
	uint8_t m[SYM_MESSAGE_BYTES];
	bool answered;

	memcpy(m, p->memory->message, sizeof(m));
	answered = m[2] == SYM_EXT_WDTR ? take_width(p, t, m)
					: m[2] == SYM_EXT_SDTR && take_period(p, t, m);
	if (!answered) {
		s->reverted |= (target->sxfer ? HBA_FEATURE_BIT(HBA_SYNCHRONOUS) : 0) |
			       (target->scntl3 & SYM_SCNTL3_EWS ? HBA_FEATURE_BIT(HBA_WIDE) : 0);
		forget_agreed(target);
		if (s->asked)
			settle_feature(p, t, false);
	}
	apply(p, t);
	take_message(q, p, t, answered ? SYM_MSG_NOP : SYM_MSG_EXTENDED);
}

/* ---- interrupts: all */

/* The bus is free, as was asked for, or the target says so by leaving. */
static void bus_is_free(struct hba_queue *q, struct sym *p)
{
	struct hba_task *t = p->nexus;

	if (t && t->kind == HBA_TASK_TMF)
		end_function(q, p, t, true);
	else if (t && p->aborting)
		end_failed(q, p, t, p->aborted, HBA_SENT_MAYBE);
	p->aborting = false;
	go_on(q, p);
}

static void bad_phase(struct hba_queue *q, struct sym *p, struct hba_task *t)
{
	unsigned phase = get8(p, SYM_SSTAT1) & SYM_SSTAT1_PHASE;

	/* It asks for a message once more: there is none. */
	if (phase == SYM_MESSAGE_OUT && ++of(t)->messages <= MESSAGES)
		reply(p, t, SYM_MSG_NOP);
	else
		accident(q, p, "a phase that was not expected", phase);
}

static void said_of_nexus(struct hba_queue *q, struct sym *p, struct hba_task *t, unsigned what)
{
	switch (what) {
	case SYM_DONE:
		sym53c8xx_complete(q, p, t);
		go_on(q, p);
		break;
	case SYM_LOST:
		lost_arbitration(p, t);
		break;
	case SYM_BAD_PHASE:
		bad_phase(q, p, t);
		break;
	case SYM_OTHER_MESSAGE:
		take_message(q, p, t, p->memory->message[0]);
		break;
	case SYM_EXTENDED_LENGTH:
		take_length(q, p, t);
		break;
	case SYM_EXTENDED_ALL:
		take_extended(q, p, t);
		break;
	case SYM_TWO_BYTES:
		take_two(q, p, t);
		break;
	case SYM_EXCESS:
		of(t)->moved = t->length;
		sym53c8xx_run(p, SYM_AT_PHASE + SYM_ALL);
		break;
	case SYM_MISSING:
		abort_nexus(p, t->hba_data, t, HBA_NOT_DELIVERED);
		break;
	default:
		accident(q, p, "an interrupt that is not of the program", what);
		break;
	}
}

static void program_says(struct hba_queue *q, struct sym *p, uint32_t dsps)
{
	unsigned what = dsps & SYM_SAYS_WHAT, stage = dsps & SYM_SAYS_STAGE;
	struct hba_task *t = p->nexus;

	if ((dsps & ~(uint32_t)(SYM_SAYS_WHAT | SYM_SAYS_STAGE)) != SYM_SAYS ||
	    stage >= SYM_STAGES) {
		accident(q, p, "an interrupt that is not of the program", dsps);
	} else if (what == SYM_SIGNALLED) {
		go_on(q, p);
	} else if (what == SYM_RESELECTED || what == SYM_RESELECTED_TAG ||
		   what == SYM_RESELECTED_MESSAGE) {
		reselected(q, p, what);
	} else if (what == SYM_FREE) {
		bus_is_free(q, p);
	} else if (!t || (t->kind == HBA_TASK_TMF && what != SYM_LOST)) {
		accident(q, p, "an interrupt of a task that is not connected", dsps);
	} else {
		if (stage == SYM_ALL)
			of(t)->moved = t->length;
		said_of_nexus(q, p, t, what);
	}
}

static void not_selected(struct hba_queue *q, struct sym *p)
{
	struct hba_task *t = p->nexus;

	if (t && t->kind == HBA_TASK_TMF)
		end_function(q, p, t, false);
	else if (t)
		end_failed(q, p, t, HBA_NOT_PRESENT, HBA_SENT_NO);
	go_on(q, p);
}

static void target_left(struct hba_queue *q, struct sym *p)
{
	struct hba_task *t = p->nexus;

	if (t && t->kind != HBA_TASK_TMF && !p->aborting)
		end_failed(q, p, t, HBA_NOT_DELIVERED, HBA_SENT_MAYBE);
	bus_is_free(q, p);
}

static void scsi_interrupt(struct hba_queue *q, struct sym *p)
{
	uint16_t status = take_scsi_status(p);

	if (status & SYM_SIST0_RST)
		bus_is_quiet(q, p, hba_now(hba_queue_controller(q)));
	else if (status & (SYM_SIST0_SGE | SYM_SIST0_PAR))
		accident(q, p,
			 status & SYM_SIST0_PAR ? "a parity error on the SCSI bus"
						: "a gross SCSI error",
			 status);
	else if (status & SYM_SIST1_STO << 8)
		not_selected(q, p);
	else if (status & SYM_SIST0_UDC)
		target_left(q, p);
	else if (status & SYM_SIST0_MA)
		phase_mismatch(q, p);
}

static void dma_interrupt(struct hba_queue *q, struct sym *p)
{
	uint8_t status = get8(p, SYM_DSTAT);

	if (status & (SYM_DSTAT_IID | SYM_DSTAT_BF | SYM_DSTAT_MDPE))
		accident(q, p,
			 status & SYM_DSTAT_IID ? "the chip met an instruction that is none"
						: "the chip met an error of the PCI bus",
			 status);
	else if (status & SYM_DSTAT_SIR)
		program_says(q, p, hba_bar_read32(&p->bar, SYM_DSPS));
}

/*
 * A function that does not come to the bus, or not to its end there, is given up: a reset is what
 * helps then.
 */
static void watch_function(struct hba_queue *q, struct sym *p)
{
	bool begun = p->nexus && p->nexus->kind == HBA_TASK_TMF;
	struct hba_task *t = begun ? p->nexus : p->function;

	if (!t || hba_now(hba_queue_controller(q)) < p->function_until)
		return;
	p->stuck = true;
	p->function = NULL;
	if (begun)
		leave(p, t);
	hba_tmf_complete(t, HBA_DELIVERY_FAILURE);
}

static unsigned sym_poll(struct hba_queue *q, unsigned budget)
{
	struct sym *p = sym_of(q);
	uint32_t istat;

	p->ended = 0;
	for (unsigned i = 0; i < ROUNDS && p->quiet == SYM_READY && p->ended < budget; i++) {
		istat = hba_bar_read32(&p->bar, SYM_ISTAT);
		if (istat == UINT32_MAX || !(istat & (SYM_ISTAT_SIP | SYM_ISTAT_DIP)))
			break;
		if (istat & SYM_ISTAT_SIP)
			scsi_interrupt(q, p);
		else
			dma_interrupt(q, p);
	}
	if (p->quiet != SYM_READY)
		go_through_reset(q, p);
	watch_function(q, p);
	if (p->n_out || p->function)
		hba_poll_within(q, LOOK_MS);
	return p->ended < budget ? p->ended : budget;
}

/* Off is put off: a line that nobody looks at disturbs nobody. */
static int sym_interrupts(struct hba_queue *q, bool on)
{
	struct sym *p = sym_of(q);

	if (!on)
		return 0;
	mask(p, true);
	return (hba_bar_read32(&p->bar, SYM_ISTAT) & (SYM_ISTAT_SIP | SYM_ISTAT_DIP)) != 0;
}

/* ---- recovery and end */

static bool is_victim(const struct sym *p, const struct hba_task *f, enum hba_tmf function,
		      const struct hba_task *t)
{
	if (t->kind == HBA_TASK_TMF || t->target != f->target)
		return false;
	/* What QEMU's model aborts is all that the target has. */
	if (function == HBA_TARGET_RESET || p->model)
		return true;
	return function == HBA_ABORT_TASK ? t == f->data.victim
					  : memcmp(&t->lun, &f->lun, sizeof(t->lun)) == 0;
}

static void mark_victims(struct hba_queue *q, struct sym *p, const struct hba_task *f,
			 enum hba_tmf function)
{
	struct hba_task *t = p->next;

	for (unsigned i = 0; i < POOL; i++)
		if (p->out[i] && is_victim(p, f, function, p->out[i]))
			of(p->out[i])->victim = true;
	if (t && is_victim(p, f, function, t)) {
		p->next = NULL;
		hba_complete_failed(t, HBA_NOT_DELIVERED, HBA_SENT_NO);
		hba_ready(q, NULL, NULL);
	}
}

/* IDENTIFY, whose tag if it is of one, and the message after which the target leaves the bus. */
static void put_function(const struct sym *p, const struct hba_task *f, enum hba_tmf function)
{
	static const uint8_t messages[] = { [HBA_ABORT_TASK] = SYM_MSG_ABORT,
					    [HBA_ABORT_TASK_SET] = SYM_MSG_ABORT,
					    [HBA_CLEAR_TASK_SET] = SYM_MSG_CLEAR_QUEUE,
					    [HBA_TARGET_RESET] = SYM_MSG_BUS_DEVICE_RESET };
	const struct hba_task *victim =
		function == HBA_ABORT_TASK && !p->model ? f->data.victim : NULL;
	struct sym_data *d = f->hba_data;
	size_t n = put_nexus(victim ? victim : f, d->message_bytes);

	d->message_bytes[n++] =
		victim && of(victim)->tagged ? SYM_MSG_ABORT_TAG : messages[function];
	d->message.count = hba_le32_of((uint32_t)n);
}

static void sym_manage(struct hba_queue *q, struct hba_task *t, enum hba_tmf function)
{
	struct sym *p = sym_of(q);
	bool there = function != HBA_ABORT_TASK || p->out[t->data.victim->slot] == t->data.victim;

	if (p->quiet != SYM_READY || p->stuck) {
		hba_tmf_complete(t, HBA_DELIVERY_FAILURE);
		return;
	}
	of(t)->tagged = false;
	mark_victims(q, p, t, function);
	if (!there) {
		hba_tmf_complete(t, HBA_FUNCTION_COMPLETE);
		return;
	}
	put_function(p, t, function);
	if (function == HBA_TARGET_RESET)
		*target_of(p, t) = (struct sym_target) { .scntl3 = SYM_SCNTL3_CCF_50_MHZ };
	p->function_until = hba_now(hba_queue_controller(q)) + STUCK_MS * (uint64_t)NS_PER_MS;
	if (p->stopped) {
		sym53c8xx_begin(p, t);
	} else {
		p->function = t;
		signal_chip(p);
	}
	hba_poll_within(q, LOOK_MS);
}

static int sym_reset(struct hba_controller *c, enum hba_reset_level level)
{
	struct sym *p = hba_controller_priv(c);
	struct hba_queue *q = hba_controller_queue(c, 0);
	int r;

	set_up_registers(p);
	r = reset_bus(c, p);
	if (r < 0 || level == HBA_RESET_CONTROLLER)
		return r;
	clear_fifos(p);
	end_all(q, p);
	forget_targets(p);
	p->aborting = p->stuck = false;
	p->quiet = SYM_READY;
	go_on(q, p);
	return 0;
}

static void sym_stop(struct hba_controller *c)
{
	struct sym *p = hba_controller_priv(c);

	if (!hba_bar_is_mapped(&p->bar))
		return;
	mask(p, false);
	if (p->n_out)
		(void)reset_bus(c, p); /* no target is to move data any more */
	soft_reset(p);
}

static const struct hba_option sym_options[] = {
	{ .name = "outstanding",
	  .value = "0",
	  .help = "commands that targets may have at a time; 0 = as many as there are tasks, on "
		  "QEMU's model 1" },
	{ 0 }
};

static const struct sym_chip chip_810 = { .name = "53C810", .most_offset = 8 };
static const struct sym_chip chip_860 = { .name = "53C860", .most_offset = 8 };
static const struct sym_chip chip_825 = { .name = "53C825", .wide = true, .most_offset = 8 };
static const struct sym_chip chip_875 = { .name = "53C875", .wide = true, .most_offset = 16 };
static const struct sym_chip chip_895 = { .name = "53C895", .wide = true, .most_offset = 31 };
static const struct sym_chip chip_895a = { .name = "53C895A", .wide = true, .most_offset = 31 };
static const struct sym_chip chip_896 = { .name = "53C896", .wide = true, .most_offset = 31 };

static const struct hba_pci_id sym_ids[] = {
	{ .vendor = SYM_VENDOR, .device = SYM_810, .variant = &chip_810 },
	{ .vendor = SYM_VENDOR, .device = SYM_825, .variant = &chip_825 },
	{ .vendor = SYM_VENDOR, .device = SYM_860, .variant = &chip_860 },
	{ .vendor = SYM_VENDOR, .device = SYM_875, .variant = &chip_875 },
	{ .vendor = SYM_VENDOR, .device = SYM_895, .variant = &chip_895 },
	{ .vendor = SYM_VENDOR, .device = SYM_895A, .variant = &chip_895a },
	{ .vendor = SYM_VENDOR, .device = SYM_896, .variant = &chip_896 },
	{ 0 }
};

const struct hba_driver sym53c8xx_driver = {
	HBA_DRIVER_HEADER,
	.name = "sym53c8xx",
	.summary = "Symbios and LSI 53C8xx, parallel SCSI",
	.ids = sym_ids,
	.options = sym_options,
	.priv_size = sizeof(struct sym),
	.task_priv_size = sizeof(struct sym_task),
	.lun_priv_size = sizeof(struct sym_unit),
	.hba_data_size = sizeof(struct sym_data),
	.initialize = sym_initialize,
	.map_hba_data = sym_map_hba_data,
	.start = sym_start,
	.initialize_target = sym_initialize_target,
	.process_task = sym_process_task,
	.poll = sym_poll,
	.interrupts = sym_interrupts,
	.manage = sym_manage,
	.reset = sym_reset,
	.stop = sym_stop,
};
