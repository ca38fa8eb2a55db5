/* SPDX-License-Identifier: MIT */
/*
 * mptsas.c: the driver of that name against firmware that lies, stalls, faults, or is pulled out.
 * The firmware here is well-behaved until a test sets a knob, posts a reply of its own, or changes
 * its state.
 */
#include "script/rig.h"

#include "drivers/drivers.h"
#include "drivers/mptsas-regs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	BAR_BYTES = 0x4000,
	WORDS = 32,
	HALVES = 64,
	HELD = 256,
	FIFO = 1024,
	DEPTH = 64,
	/* beside three of the framework and four messages of the driver's own */
	CLIENTS = DEPTH - 7,
	TARGETS = 8,
	OWN_ID = 8,
	HANDLE = 0x11,
	OWN_HANDLE = 0x01,
	EXPANDER = 0x40, /* the one that the disk hangs on; those above it have the next handles */
	PHYS = 2,
	ACKS = 4096,
	SEGMENTS = 132,    /* 5 in the frame, 13 buffers of 9 and one of 10 */
	TAKEN = 20,        /* ms a tick, where time must pass */
	PATIENCE = 100000, /* turns */
};

static const uint8_t base_wwid[8] = { 0x01, 0, 0, 0, 0, 0x60, 0x05, 0x50 };
static const uint8_t disk_address[8] = { 0x21, 0x43, 0x65, 0, 0, 0xc5, 0, 0x50 };

/* Where the firmware stands still. */
enum stuck {
	NOWHERE,
	NO_RING,     /* it does not hear of a handshake */
	NO_WORD,     /* it never takes the first word */
	NO_ANSWER,   /* it has all words, and answers nothing */
	HALF_ANSWER, /* it stops in the middle of one */
	NO_RESET,    /* a message unit reset changes nothing */
	NO_KEY,      /* nor does that, and the diagnostic register stays closed */
	NO_BOOT,     /* nor that, and it does not come up after a diagnostic reset */
	/* somebody's handshake is under way, and a diagnostic reset does not end it */
	IN_USE,
	NOT_OPERATIONAL, /* IOC INIT is answered and nothing else */
	WRONG_ANSWER,    /* of another function */
	SHORT_ANSWER,
	REFUSED, /* with an IOC status */
	GONE,
};

struct firmware {
	struct rig *rig;
	/* Knobs. */
	enum stuck stuck;
	bool hold;       /* commands wait for the test */
	bool forget_tmf; /* functions are answered, and do nothing */
	bool silent_tmf; /* they are not even answered */
	bool no_acks;    /* acknowledgements are not answered */
	bool no_pages;
	uint8_t disk;     /* its target */
	bool keep_config; /* the next request for a page is kept, and answered by the test */
	bool lost_reply;  /* the next command is carried out, and not answered */
	uint8_t tm_response;
	uint16_t depth, credits, frame_words;
	uint32_t capabilities;
	uint8_t chain_depth, port_type;
	struct {
		uint16_t handle;
		uint8_t rate;
	} phy[PHYS];
	uint16_t handle;    /* of the disk; 0: there is no page of it */
	unsigned expanders; /* between it and the first phy */
	bool endless;       /* the last of them hangs on the first */
	bool no_expanders;  /* there are no pages of them */
	/* behind the next page of the phys comes the event that this handle's link is lost */
	uint16_t lost_after;
	/* What happened. */
	bool master;
	uint32_t state, code;
	uint8_t key;
	bool open, ring, busy;
	uint32_t words[WORDS], expected;
	unsigned n_words, message_resets, diagnostic_resets, inits;
	uint16_t halves[HALVES];
	unsigned n_halves, at_half;
	uint32_t mask, frames_high, sense_high;
	unsigned mask_writes, urgent;
	uint32_t lent[FIFO];
	unsigned n_lent;
	uint32_t posted[FIFO];
	unsigned first_posted, n_posted;
	uint8_t tm_types[16];
	struct mpt_task_mgmt last_tm;
	unsigned n_tms;
	uint32_t acks[ACKS];
	unsigned n_acks;
	uint32_t events_context;
	struct mpt_config config; /* the one that is kept */
	unsigned n_configs;
	struct mpt_scsi_io held[HELD];
	uint32_t held_at[HELD];
	unsigned n_held;
	unsigned unheard; /* requests that came in another state */
};

static struct firmware *firmware_of(struct script *s)
{
	return rig_of(s)->of_chip;
}

static void *at(const struct firmware *f, uint64_t iova, size_t length)
{
	assert_true(f->master);
	return rig_memory(f->rig, iova, length);
}

static uint64_t frame_address(const struct firmware *f, uint32_t low)
{
	return (uint64_t)f->frames_high << 32 | low;
}

/* ---- replies */

static void post(struct firmware *f, uint32_t value)
{
	assert_true(f->n_posted < FIFO);
	f->posted[(f->first_posted + f->n_posted++) % FIFO] = value;
}

static void post_frame(struct firmware *f, const void *reply, size_t bytes)
{
	uint32_t low;

	assert_true(f->n_lent > 0);
	low = f->lent[--f->n_lent];
	memcpy(at(f, frame_address(f, low), MPT_REPLY_BYTES), reply, bytes);
	post(f, MPT_REPLY_IS_FRAME | low >> 1);
}

static struct mpt_reply head_for(const struct mpt_request *request, size_t bytes)
{
	return (struct mpt_reply) { .words = (uint8_t)(bytes / MPT_WORD),
				    .function = request->function,
				    .context = request->context };
}

static struct mpt_scsi_io_reply io_reply(const struct mpt_scsi_io *io, uint16_t status,
					 uint8_t scsi_status, uint8_t scsi_state)
{
	struct mpt_scsi_io_reply r = { 0 };

	r.head.words = sizeof(r) / MPT_WORD;
	r.head.function = MPT_SCSI_IO;
	r.head.context = io->context;
	r.head.status = hba_le16_of(status);
	r.head.scsi_status = scsi_status;
	r.head.scsi_state = scsi_state;
	return r;
}

static void end_io(struct firmware *f, const struct mpt_scsi_io *io, uint16_t status)
{
	struct mpt_scsi_io_reply r = io_reply(io, status, 0, status ? MPT_STATE_NO_STATUS : 0);

	post_frame(f, &r, sizeof(r));
}

/* ---- commands */

struct walk {
	struct firmware *f;
	uint8_t *bytes;
	size_t done, all;
	bool to_host;
	unsigned elements, chains;
};

static void move_one(struct walk *w, const struct mpt_sge *e)
{
	size_t piece = hba_get32(e->flags_length) & MPT_SGE_LENGTH;
	uint64_t iova = (uint64_t)hba_get32(e->high) << 32 | hba_get32(e->low);
	uint8_t *p;

	w->elements++;
	if (piece > w->all - w->done)
		piece = w->all - w->done;
	if (!piece)
		return;
	p = at(w->f, iova, piece);
	memcpy(w->to_host ? p : w->bytes + w->done, w->to_host ? w->bytes + w->done : p, piece);
	w->done += piece;
}

/*
 * As the book has it: the last element of a frame is marked, a chain element stands where the
 * frame, or the one before, says.
 */
static void walk_list(struct walk *w, uint64_t frame)
{
	const struct mpt_scsi_io *io = at(w->f, frame, MPT_REQUEST_BYTES);
	const struct mpt_sge *e = io->sge,
			     *end = (const void *)((const uint8_t *)io + MPT_REQUEST_BYTES), *chain;
	size_t next = io->chain_offset * (size_t)MPT_WORD;
	const uint8_t *base = (const uint8_t *)io;

	for (;;) {
		uint32_t flags;

		assert_true(e + 1 <= end);
		flags = hba_get32(e->flags_length);
		assert_int_equal(flags & MPT_SGE_CHAIN, MPT_SGE_SIMPLE);
		assert_true(flags & MPT_SGE_64_BIT);
		assert_true(!(flags & MPT_SGE_TO_DEVICE) == w->to_host || !w->all);
		move_one(w, e++);
		if (flags & MPT_SGE_END_OF_LIST)
			break;
		if (!(flags & MPT_SGE_LAST))
			continue;
		assert_true(next > 0);
		chain = (const void *)(base + next);
		flags = hba_get32(chain->flags_length);
		assert_int_equal(flags & MPT_SGE_CHAIN, MPT_SGE_CHAIN);
		assert_true((flags & 0xffff) <= MPT_REQUEST_BYTES);
		base = at(w->f, (uint64_t)hba_get32(chain->high) << 32 | hba_get32(chain->low),
			  flags & 0xffff);
		e = (const void *)base;
		end = (const void *)(base + (flags & 0xffff));
		next = (flags >> MPT_SGE_NEXT_CHAIN_SHIFT & 0xff) * MPT_WORD;
		w->chains++;
	}
}

static struct walk move(struct firmware *f, const struct mpt_scsi_io *io, uint64_t frame,
			uint8_t *bytes, size_t length, bool to_host)
{
	struct walk w = {
		.f = f, .bytes = bytes, .to_host = to_host, .all = hba_get32(io->data_len)
	};

	if (w.all > length)
		w.all = length;
	walk_list(&w, frame);
	return w;
}

static void execute(struct firmware *f, const struct mpt_scsi_io *io, uint32_t low)
{
	static uint8_t bytes[SEGMENTS * 1024];
	uint32_t control = hba_get32(io->control), length = hba_get32(io->data_len);
	struct mpt_scsi_io_reply r;
	struct rig_answer answer;
	struct walk w = { 0 };

	if (io->target != f->disk) {
		end_io(f, io, MPT_SCSI_NO_DEVICE);
		return;
	}
	if (control & MPT_IO_TO_DEVICE)
		w = move(f, io, frame_address(f, low), bytes, sizeof(bytes), false);
	answer = rig_execute(f->rig, io->cdb, bytes, length);
	if (answer.length) {
		memcpy(bytes, answer.data, answer.length);
		w = move(f, io, frame_address(f, low), bytes, answer.length, true);
	}
	if (f->lost_reply) {
		f->lost_reply = false;
		return;
	}
	if (!answer.status && w.done == length) {
		post(f, hba_get32(io->context)); /* turbo */
		return;
	}
	r = io_reply(io, MPT_SCSI_UNDERRUN, answer.status,
		     answer.status ? MPT_STATE_SENSE_VALID : 0);
	r.moved = hba_le32_of((uint32_t)w.done);
	r.sense_count = hba_le32_of(answer.sense_len);
	memcpy(at(f, (uint64_t)f->sense_high << 32 | hba_get32(io->sense_low), io->sense_len),
	       answer.sense, answer.sense_len);
	post_frame(f, &r, sizeof(r));
}

static void end_held(struct firmware *f, const hba_le32 *victim)
{
	for (unsigned i = 0; i < f->n_held && !f->forget_tmf;)
		if (!victim || hba_get32(f->held[i].context) == hba_get32(*victim)) {
			end_io(f, &f->held[i], MPT_SCSI_TERMINATED);
			f->held[i] = f->held[--f->n_held];
		} else {
			i++;
		}
}

static void manage(struct firmware *f, const struct mpt_task_mgmt *request)
{
	struct mpt_task_mgmt_reply r = { 0 };

	f->tm_types[f->n_tms++ % sizeof(f->tm_types)] = request->type;
	f->last_tm = *request;
	if (f->silent_tmf)
		return;
	end_held(f, request->type == MPT_ABORT_TASK ? &request->victim : NULL);
	r.head.words = sizeof(r) / MPT_WORD;
	r.head.function = MPT_SCSI_TASK_MGMT;
	r.head.context = request->context;
	r.head.response = f->tm_response;
	post_frame(f, &r, sizeof(r));
}

/* ---- events */

static void event(struct firmware *f, uint32_t code, uint32_t number, bool ack, const void *data,
		  size_t bytes)
{
	struct mpt_event e = { 0 };

	e.head.words = sizeof(e) / MPT_WORD;
	e.head.function = MPT_EVENT_NOTIFICATION;
	e.head.context = hba_le32_of(f->events_context);
	e.head.ack = ack;
	e.event = hba_le32_of(code);
	e.event_context = hba_le32_of(number);
	if (bytes)
		memcpy(e.data, data, bytes);
	post_frame(f, &e, sizeof(e));
}

static void link_leads(struct firmware *f, uint8_t phy, uint8_t rate, uint16_t handle)
{
	const struct mpt_link_event e = { .phy = phy,
					  .rates = (uint8_t)(rate << 4),
					  .handle = hba_le16_of(handle) };

	event(f, MPT_EVENT_SAS_PHY_LINK, 0, false, &e, sizeof(e));
}

static void link_is(struct firmware *f, uint8_t phy, uint8_t rate)
{
	link_leads(f, phy, rate, HANDLE);
}

static void device(struct firmware *f, uint8_t target, uint8_t bus, uint8_t reason)
{
	struct mpt_device_event e = {
		.target = target, .bus = bus, .reason = reason, .handle = hba_le16_of(HANDLE)
	};

	memcpy(e.address, disk_address, sizeof(e.address));
	event(f, MPT_EVENT_SAS_DEVICE, 0, false, &e, sizeof(e));
}

/* ---- pages */

static struct mpt_sas_io_unit_0 unit_page(const struct firmware *f)
{
	struct mpt_sas_io_unit_0 unit = { .phys = PHYS };

	for (unsigned i = 0; i < PHYS; i++)
		unit.phy[i] = (struct mpt_phy) { .rate = f->phy[i].rate,
						 .handle = hba_le16_of(f->phy[i].handle),
						 .own_handle = hba_le16_of(OWN_HANDLE) };
	return unit;
}

/* What an expander hangs on, the disk being one below the first. */
static uint16_t above(const struct firmware *f, uint16_t handle)
{
	if ((uint16_t)(handle + 1) < EXPANDER + f->expanders)
		return handle + 1;
	return f->endless ? EXPANDER : OWN_HANDLE;
}

static bool device_page(const struct firmware *f, uint32_t address,
			struct mpt_sas_device_0 *ret_page)
{
	uint16_t handle = (uint16_t)address;

	*ret_page = (struct mpt_sas_device_0) { .handle = hba_le16_of(f->handle),
						.parent = hba_le16_of(above(f, EXPANDER - 1)) };
	memcpy(ret_page->address, disk_address, sizeof(disk_address));
	if (address == MPT_PAGE_BY_TARGET)
		return f->handle;
	*ret_page = (struct mpt_sas_device_0) { .handle = hba_le16_of(handle),
						.parent = hba_le16_of(above(f, handle)) };
	return address - handle == MPT_PAGE_BY_HANDLE && !f->no_expanders && handle >= EXPANDER &&
	       handle < EXPANDER + f->expanders;
}

static size_t page(const struct firmware *f, const struct mpt_config *c, uint8_t bytes[512])
{
	struct mpt_manufacturing_0 board = {
		.chip = "SAS1068", .chip_revision = "B0", .board = "SCRIPT  ", .tracer = "T\001R"
	};
	struct mpt_sas_io_unit_0 unit = unit_page(f);
	struct mpt_sas_device_0 device;
	struct mpt_manufacturing_5 name = { 0 };

	memset(bytes, 0, 512);
	memcpy(name.base_wwid, base_wwid, sizeof(base_wwid));
	if (c->type == MPT_PAGE_MANUFACTURING && c->number == 0)
		return memcpy(bytes, &board, sizeof(board)), sizeof(board);
	if (c->type == MPT_PAGE_MANUFACTURING && c->number == 5)
		return memcpy(bytes, &name, sizeof(name)), sizeof(name);
	if (c->type == MPT_PAGE_EXTENDED && c->ext_type == MPT_PAGE_SAS_IO_UNIT && c->number == 0)
		return memcpy(bytes, &unit, sizeof(unit)), 16 + PHYS * sizeof(unit.phy[0]);
	if (c->type == MPT_PAGE_EXTENDED && c->ext_type == MPT_PAGE_SAS_DEVICE &&
	    device_page(f, hba_get32(c->address), &device))
		return memcpy(bytes, &device, sizeof(device)), sizeof(device);
	return 0;
}

static void configure(struct firmware *f, const struct mpt_config *c)
{
	struct mpt_config_reply r = { 0 };
	uint8_t bytes[512];
	size_t length = f->no_pages ? 0 : page(f, c, bytes),
	       room = hba_get32(c->buffer.flags_length) & MPT_SGE_LENGTH;

	r.head.words = sizeof(r) / MPT_WORD;
	r.head.function = MPT_CONFIG;
	r.head.context = c->context;
	if (!length)
		r.head.status = hba_le16_of(MPT_CONFIG_INVALID_PAGE);
	else if (c->action == MPT_CONFIG_READ)
		memcpy(at(f, hba_get32(c->buffer.low), room), bytes, room < length ? room : length);
	if (c->type == MPT_PAGE_EXTENDED)
		r.head.ext_length = hba_le16_of((uint16_t)(length / MPT_WORD));
	else
		r.length = (uint8_t)(length / MPT_WORD);
	post_frame(f, &r, sizeof(r));
	if (f->lost_after && c->action == MPT_CONFIG_READ && c->ext_type == MPT_PAGE_SAS_IO_UNIT) {
		link_leads(f, 0, 0, f->lost_after);
		f->phy[0].handle = f->phy[0].rate = 0;
		f->lost_after = 0;
	}
}

static void acknowledged(struct firmware *f, const struct mpt_event_ack *a)
{
	assert_true(f->n_acks < ACKS);
	f->acks[f->n_acks++] = hba_get32(a->event_context);
	if (!f->no_acks)
		post(f, hba_get32(a->context));
}

/* ---- requests */

static void take_request(struct firmware *f, uint32_t low)
{
	const void *frame;
	const struct mpt_request *head;

	if (f->state != MPT_STATE_OPERATIONAL) {
		f->unheard++;
		return;
	}
	frame = at(f, frame_address(f, low), MPT_REQUEST_BYTES);
	head = frame;
	switch (head->function) {
	case MPT_SCSI_IO:
		if (f->hold) {
			assert_true(f->n_held < HELD);
			memcpy(&f->held[f->n_held], frame, sizeof(f->held[0]));
			f->held_at[f->n_held++] = low;
		} else {
			execute(f, frame, low);
		}
		break;
	case MPT_SCSI_TASK_MGMT:
		manage(f, frame);
		break;
	case MPT_CONFIG:
		f->n_configs++;
		if (f->keep_config)
			memcpy(&f->config, frame, sizeof(f->config));
		else
			configure(f, frame);
		f->keep_config = false;
		break;
	case MPT_EVENT_NOTIFICATION:
		f->events_context = hba_get32(head->context);
		event(f, MPT_EVENT_EVENT_CHANGE, 0, false, NULL, 0);
		break;
	case MPT_EVENT_ACK:
		acknowledged(f, frame);
		break;
	default:
		fail_msg("request of function %#x", head->function);
	}
}

/* ---- the handshake */

static void give(struct firmware *f, const void *reply, size_t bytes)
{
	memcpy(f->halves, reply, bytes);
	f->n_halves = (unsigned)(f->stuck == HALF_ANSWER ? bytes / 4 : bytes / 2);
	f->at_half = 0;
	f->ring = f->stuck != NO_ANSWER;
}

static void give_facts(struct firmware *f, const struct mpt_request *request)
{
	struct mpt_ioc_facts r = { 0 };
	const struct mpt_reply head = head_for(request, sizeof(r));

	memcpy(&r, &head, sizeof(head));
	r.max_chain_depth = f->chain_depth;
	r.reply_depth = hba_le16_of(f->depth);
	r.credits = hba_le16_of(f->credits);
	r.request_words = hba_le16_of(f->frame_words);
	r.capabilities = hba_le32_of(f->capabilities);
	r.firmware_major = 1;
	r.firmware_minor = 2;
	r.max_devices = TARGETS;
	r.max_buses = 1;
	if (f->stuck == WRONG_ANSWER)
		r.function = MPT_PORT_FACTS;
	if (f->stuck == SHORT_ANSWER)
		r.words = sizeof(struct mpt_reply) / MPT_WORD;
	if (f->stuck == REFUSED)
		r.status = hba_le16_of(MPT_BUSY);
	give(f, &r, f->stuck == SHORT_ANSWER ? sizeof(struct mpt_reply) : sizeof(r));
}

static void give_port(struct firmware *f, const struct mpt_request *request)
{
	struct mpt_port_facts r = { .head = head_for(request, sizeof(r)), .type = f->port_type };

	r.max_devices = hba_le16_of(TARGETS);
	r.own_id = hba_le16_of(OWN_ID);
	r.protocols = hba_le16_of(MPT_PORT_INITIATOR);
	give(f, &r, sizeof(r));
}

static void answer_handshake(struct firmware *f)
{
	const struct mpt_request *request = (const void *)f->words;
	const struct mpt_ioc_init *init = (const void *)f->words;
	const struct mpt_reply head = head_for(request, sizeof(head));

	f->expected = 0;
	switch (request->function) {
	case MPT_IOC_FACTS:
		give_facts(f, request);
		return;
	case MPT_PORT_FACTS:
		give_port(f, request);
		return;
	case MPT_IOC_INIT:
		f->inits++;
		f->frames_high = hba_get32(init->frames_high);
		f->sense_high = hba_get32(init->sense_high);
		assert_int_equal(hba_get16(init->reply_frame_bytes), MPT_REPLY_BYTES);
		if (f->stuck != NOT_OPERATIONAL)
			f->state = MPT_STATE_OPERATIONAL;
		break;
	default:
		assert_int_equal(request->function, MPT_PORT_ENABLE);
		assert_int_equal(f->state, MPT_STATE_OPERATIONAL);
	}
	give(f, &head, sizeof(head));
}

/* ---- registers */

static void forget(struct firmware *f)
{
	f->state = MPT_STATE_READY;
	f->n_lent = f->n_posted = f->n_held = f->n_halves = f->expected = 0;
	f->ring = f->busy = false;
}

static void doorbell_written(struct script *s, const struct script_step *step, uint64_t offset,
			     uint64_t *value)
{
	struct firmware *f = firmware_of(s);

	(void)step;
	(void)offset;
	if (f->expected) {
		f->busy = f->stuck == NO_WORD;
		f->words[f->n_words++] = htole32((uint32_t)*value);
		if (f->n_words == f->expected)
			answer_handshake(f);
	} else if (*value == MPT_DOORBELL_MESSAGE_UNIT_RESET) {
		f->message_resets++;
		if (f->stuck != NO_RESET && f->stuck != NO_KEY && f->stuck != NO_BOOT &&
		    f->state != MPT_STATE_FAULT)
			forget(f);
	} else {
		assert_int_equal(*value & ~UINT64_C(0xff0000), MPT_DOORBELL_HANDSHAKE(0));
		f->expected = (uint32_t)*value >> 16 & 0xff;
		assert_true(f->expected > 0 && f->expected <= WORDS);
		f->n_words = 0;
		f->ring = f->stuck != NO_RING;
	}
}

static void doorbell_read(struct script *s, const struct script_step *step, uint64_t offset,
			  uint64_t *value)
{
	struct firmware *f = firmware_of(s);

	(void)step;
	(void)offset;
	*value = f->state | f->code | (f->stuck == IN_USE ? MPT_DOORBELL_IN_USE : 0);
	if (f->at_half < f->n_halves)
		*value = f->state | MPT_DOORBELL_IN_USE | le16toh(f->halves[f->at_half]);
	if (f->stuck == GONE)
		*value = UINT32_MAX;
}

/* The driver has seen the ring: the next half, or that the last one was taken, rings again. */
static void status_written(struct script *s, const struct script_step *step, uint64_t offset,
			   uint64_t *value)
{
	struct firmware *f = firmware_of(s);

	(void)step;
	(void)offset;
	(void)value;
	f->ring = false;
	if (f->at_half < f->n_halves) {
		f->at_half++;
		f->ring = f->at_half < f->n_halves || f->stuck != HALF_ANSWER;
	}
}

static void status_read(struct script *s, const struct script_step *step, uint64_t offset,
			uint64_t *value)
{
	struct firmware *f = firmware_of(s);

	(void)step;
	(void)offset;
	*value = (f->ring ? MPT_INTR_DOORBELL : 0) | (f->busy ? MPT_INTR_DOORBELL_BUSY : 0) |
		 (f->n_posted ? MPT_INTR_REPLY : 0);
}

static void key_written(struct script *s, const struct script_step *step, uint64_t offset,
			uint64_t *value)
{
	struct firmware *f = firmware_of(s);

	(void)step;
	(void)offset;
	f->key = *value == mpt_write_key[f->key] ? f->key + 1 : *value == mpt_write_key[0];
	f->open = f->key == sizeof(mpt_write_key) && f->stuck != NO_KEY;
	f->key %= sizeof(mpt_write_key);
}

static void diagnostic_read(struct script *s, const struct script_step *step, uint64_t offset,
			    uint64_t *value)
{
	(void)step;
	(void)offset;
	*value = firmware_of(s)->open ? MPT_DIAG_WRITE_ENABLE : 0;
}

static void diagnostic_written(struct script *s, const struct script_step *step, uint64_t offset,
			       uint64_t *value)
{
	struct firmware *f = firmware_of(s);

	(void)step;
	(void)offset;
	assert_true(f->open);
	assert_true(*value & MPT_DIAG_RESET_ADAPTER);
	f->open = false;
	f->code = 0;
	f->diagnostic_resets++;
	forget(f);
	if (f->stuck == NO_BOOT)
		f->state = MPT_STATE_RESET;
}

static void mask_written(struct script *s, const struct script_step *step, uint64_t offset,
			 uint64_t *value)
{
	(void)step;
	(void)offset;
	firmware_of(s)->mask = (uint32_t)*value;
	firmware_of(s)->mask_writes++;
}

static void request_written(struct script *s, const struct script_step *step, uint64_t offset,
			    uint64_t *value)
{
	(void)step;
	(void)offset;
	take_request(firmware_of(s), (uint32_t)*value);
}

static void urgent_written(struct script *s, const struct script_step *step, uint64_t offset,
			   uint64_t *value)
{
	(void)step;
	(void)offset;
	firmware_of(s)->urgent++;
	take_request(firmware_of(s), (uint32_t)*value);
}

static void reply_read(struct script *s, const struct script_step *step, uint64_t offset,
		       uint64_t *value)
{
	struct firmware *f = firmware_of(s);

	(void)step;
	(void)offset;
	*value = MPT_REPLY_NONE;
	if (!f->n_posted)
		return;
	*value = f->posted[f->first_posted++ % FIFO];
	f->n_posted--;
}

static void reply_written(struct script *s, const struct script_step *step, uint64_t offset,
			  uint64_t *value)
{
	struct firmware *f = firmware_of(s);

	(void)step;
	(void)offset;
	assert_true(f->n_lent < f->depth); /* more than there is room for would be a fault */
	f->lent[f->n_lent++] = (uint32_t)*value;
}

static void master_on(struct script *s, const struct script_step *step, uint64_t offset,
		      uint64_t *value)
{
	(void)step;
	(void)offset;
	(void)value;
	firmware_of(s)->master = true;
}

static void master_off(struct script *s, const struct script_step *step, uint64_t offset,
		       uint64_t *value)
{
	(void)step;
	(void)offset;
	(void)value;
	firmware_of(s)->master = false;
}

static void id_read(struct script *s, const struct script_step *step, uint64_t offset,
		    uint64_t *value)
{
	(void)s;
	(void)step;
	(void)offset;
	*value = (uint32_t)MPT_SAS1068 << 16 | MPT_VENDOR;
}

#define REGISTER(what, where, function)                                                     \
	{                                                                                   \
		.kind = (what), .bar = MPT_BAR, .offset = (where), .width = 4, .any = true, \
		.times = SCRIPT_EVER, .act = (function)                                     \
	}

static const struct script_step steps[] = {
	{ .kind = SCRIPT_CONFIG_READ,
	  .width = 4,
	  .any = true,
	  .times = SCRIPT_EVER,
	  .act = id_read },
	REGISTER(SCRIPT_BAR_WRITE, MPT_DOORBELL, doorbell_written),
	REGISTER(SCRIPT_BAR_READ, MPT_DOORBELL, doorbell_read),
	REGISTER(SCRIPT_BAR_WRITE, MPT_WRITE_SEQUENCE, key_written),
	REGISTER(SCRIPT_BAR_WRITE, MPT_DIAGNOSTIC, diagnostic_written),
	REGISTER(SCRIPT_BAR_READ, MPT_DIAGNOSTIC, diagnostic_read),
	REGISTER(SCRIPT_BAR_WRITE, MPT_INTR_STATUS, status_written),
	REGISTER(SCRIPT_BAR_READ, MPT_INTR_STATUS, status_read),
	REGISTER(SCRIPT_BAR_WRITE, MPT_INTR_MASK, mask_written),
	REGISTER(SCRIPT_BAR_WRITE, MPT_REQUEST_FIFO, request_written),
	REGISTER(SCRIPT_BAR_WRITE, MPT_URGENT_FIFO, urgent_written),
	REGISTER(SCRIPT_BAR_WRITE, MPT_REPLY_FIFO, reply_written),
	REGISTER(SCRIPT_BAR_READ, MPT_REPLY_FIFO, reply_read),
	{ .kind = SCRIPT_MASTER_ON, .times = SCRIPT_EVER, .act = master_on },
	{ .kind = SCRIPT_MASTER_OFF, .times = SCRIPT_EVER, .act = master_off },
};

/* ---- made and ended */

/* Operational, as a BIOS leaves it. */
static struct firmware *usual(void)
{
	struct firmware *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	*f = (struct firmware) {
		.rig = rig_new(f),
		.state = MPT_STATE_OPERATIONAL,
		.depth = DEPTH,
		.credits = DEPTH,
		.frame_words = 32,
		.chain_depth = 34,
		.port_type = MPT_PORT_SAS,
		.phy = { { HANDLE, MPT_RATE_3_0 } },
		.handle = HANDLE,
		.tm_response = MPT_TM_COMPLETE,
	};
	f->rig->script.info = (struct hba_bus_info) { .vendor = MPT_VENDOR,
						      .device = MPT_SAS1068,
						      .page_bytes = 4096,
						      .bar_length = { [MPT_BAR] = BAR_BYTES } };
	f->rig->script.steps = steps;
	f->rig->script.n_steps = sizeof(steps) / sizeof(steps[0]);
	return f;
}

static struct hba_lun *up(struct firmware *f)
{
	struct hba_lun *lun = rig_up(f->rig, &mptsas_driver);

	rig_quiet(f->rig);
	return lun;
}

static void end(struct firmware *f)
{
	rig_down(f->rig);
	free(f);
}

/* Until the firmware keeps so many. */
static void send_held(struct firmware *f, unsigned n)
{
	for (unsigned i = 0; i < PATIENCE && f->n_held < n; i++)
		rig_turn(f->rig, i);
	assert_int_equal(f->n_held, n);
}

/* One TEST UNIT READY that the firmware keeps. */
static struct firmware *with_one_held(struct hba_lun **ret_lun, struct test_io *io)
{
	struct firmware *f = usual();

	*ret_lun = up(f);
	f->hold = true;
	rig_ready(*ret_lun, io);
	send_held(f, 1);
	return f;
}

/* Until the driver has taken all that was posted, and no op of the service thread has it. */
static void dispose(struct firmware *f)
{
	rig_quiet(f->rig);
	for (unsigned i = 0; i < PATIENCE && f->n_posted; i++)
		rig_quiet(f->rig);
	assert_int_equal(f->n_posted, 0);
}

static void wait_unit(struct firmware *f)
{
	for (unsigned i = 0; i < PATIENCE && !hba_lun_next(f->rig->c, NULL); i++)
		rig_turn(f->rig, i);
	rig_quiet(f->rig);
	assert_non_null(hba_lun_next(f->rig->c, NULL));
}

static void execute_held(struct firmware *f)
{
	f->n_held--;
	execute(f, &f->held[f->n_held], f->held_at[f->n_held]);
}

/* ---- bring-up */

static void it_works_when_the_firmware_does(void **state)
{
	struct firmware *f = usual();

	(void)state;
	rig_copies(f->rig, up(f));
	assert_int_equal(f->message_resets, 1);
	assert_int_equal(f->diagnostic_resets, 0);
	assert_int_equal(f->inits, 1);
	end(f);
	/* The same again, from every state that it may be found in. */
	f = usual();
	f->state = MPT_STATE_READY;
	rig_copies(f->rig, up(f));
	end(f);
	f = usual();
	f->state = MPT_STATE_FAULT;
	f->code = 0x1234;
	rig_copies(f->rig, up(f));
	assert_int_equal(f->diagnostic_resets, 1);
	end(f);
}

static void frames_and_sense_share_the_high_half(void **state)
{
	struct hba_lun *lun;
	struct test_io io = { 0 };
	struct firmware *f = with_one_held(&lun, &io);

	(void)state;
	assert_int_equal(f->frames_high, f->sense_high);
	/*
	 * Every frame was found at the address that the registers gave, which have 32 bits:
	 * requests, replies, sense.
	 */
	assert_non_null(rig_memory(f->rig, frame_address(f, f->held_at[0]), MPT_REQUEST_BYTES));
	assert_non_null(rig_memory(f->rig, frame_address(f, hba_get32(f->held[0].sense_low)),
				   f->held[0].sense_len));
	assert_int_equal(f->n_lent, DEPTH);
	for (unsigned i = 0; i < f->n_lent; i++)
		assert_non_null(rig_memory(f->rig, frame_address(f, f->lent[i]), MPT_REPLY_BYTES));
	assert_int_equal(hba_controller_report(f->rig->c)->control_address_bits, 32);
	execute_held(f);
	rig_ends(f->rig, &io, 1, HBA_GOOD);
	end(f);
}

static void expect_property(const struct firmware *f, uint64_t target, const char *key,
			    const void *value, size_t length)
{
	struct hba_property p;

	for (unsigned i = 0; hba_property_get(f->rig->c, target, i, &p) == 0; i++)
		if (strcmp(p.key, key) == 0) {
			assert_memory_equal(p.type == HBA_BYTES ? p.value.bytes : p.value.string,
					    value, length);
			return;
		}
	fail_msg("there is no %s", key);
}

static void it_says_who_it_is(void **state)
{
	struct firmware *f = usual();

	(void)state;
	up(f);
	expect_property(f, HBA_NO_TARGET, "Product Name", "SCRIPT", 7);
	expect_property(f, HBA_NO_TARGET, "Product Revision Level", "1.02.00.00", 11);
	expect_property(f, HBA_NO_TARGET, "Board Tracer Number", "T?R", 4);
	expect_property(f, HBA_NO_TARGET, "SAS Address", "\x50\x05\x60\0\0\0\0\x01", 8);
	expect_property(f, HBA_NO_TARGET, "Port Speed", "3 Gbit/s", 9);
	expect_property(f, 0, "SAS Address", "\x50\0\xc5\0\0\x65\x43\x21", 8);
	end(f);
	/* Without pages it works all the same. */
	f = usual();
	f->no_pages = true;
	rig_copies(f->rig, up(f));
	end(f);
}

static void stuck_firmware_is_refused(void **state)
{
	static const struct {
		enum stuck stuck;
		int error;
		const char *part;
	} rows[] = {
		{ NO_RING, -ETIMEDOUT, "does not take IOC FACTS through the doorbell" },
		{ NO_WORD, -ETIMEDOUT, "does not take IOC FACTS through the doorbell" },
		{ NO_ANSWER, -ETIMEDOUT, "does not answer IOC FACTS through the doorbell" },
		{ HALF_ANSWER, -ETIMEDOUT, "does not answer IOC FACTS through the doorbell" },
		{ NO_KEY, -EIO, "does not let its diagnostic register be written" },
		{ NO_BOOT, -ETIMEDOUT, "does not become ready after a diagnostic reset" },
		{ IN_USE, -EBUSY, "the doorbell still waits for a message" },
		{ NOT_OPERATIONAL, -ETIMEDOUT, "does not become operational after IOC INIT" },
		{ WRONG_ANSWER, -EIO, "answers IOC FACTS by function 0x5" },
		{ SHORT_ANSWER, -EIO, "answers IOC FACTS by function 0x3 in 5 words" },
		{ REFUSED, -EIO, "refuses IOC FACTS: IOC status 0x2" },
		{ GONE, -ENODEV, "registers are not there" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct firmware *f = usual();

		f->stuck = rows[i].stuck;
		rig_refused(f->rig, &mptsas_driver, rows[i].error, rows[i].part);
		end(f);
	}
}

/* What a message unit reset does not reach, a diagnostic reset does. */
static void a_message_reset_that_does_nothing_is_followed_by_another(void **state)
{
	struct firmware *f = usual();
	struct hba_lun *lun;

	(void)state;
	f->stuck = NO_RESET;
	rig_open(f->rig, &mptsas_driver);
	rig_tick(f->rig, TAKEN);
	assert_int_equal(hba_controller_start(f->rig->c), 0);
	rig_tick(f->rig, 0);
	lun = hba_lun_next(f->rig->c, NULL);
	assert_non_null(lun);
	assert_int_equal(f->diagnostic_resets, 1);
	rig_copies(f->rig, lun);
	f->stuck = NOWHERE; /* stop would wait for the same reset, on a clock that stands still */
	end(f);
}

/* Its registers cannot be had: stop, which comes all the same, has none to write. */
static void stop_after_registers_that_are_not_there(void **state)
{
	struct firmware *f = usual();

	(void)state;
	f->rig->script.info.bar_length[MPT_BAR] = 0;
	rig_open(f->rig, &mptsas_driver);
	assert_int_equal(hba_controller_start(f->rig->c), -ENOENT);
	test_no_violation(f->rig->c);
	end(f);
}

static void limits_that_cannot_be_are_refused(void **state)
{
	static const struct {
		uint16_t credits, depth, words;
		uint8_t type;
		const char *part;
	} rows[] = {
		{ 6, DEPTH, 32, MPT_PORT_SAS, "takes 6 requests" },
		{ DEPTH, 0, 32, MPT_PORT_SAS, "too few or too small" },
		{ DEPTH, DEPTH, 31, MPT_PORT_SAS, "of 31 words" },
		{ DEPTH, DEPTH, 32, 0x10, "port 0 is no SAS initiator" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct firmware *f = usual();

		f->credits = rows[i].credits;
		f->depth = rows[i].depth;
		f->frame_words = rows[i].words;
		f->port_type = rows[i].type;
		rig_open(f->rig, &mptsas_driver);
		assert_true(hba_controller_start(f->rig->c) < 0);
		if (!strstr(hba_error(), rows[i].part))
			fail_msg("'%s' does not hold '%s'", hba_error(), rows[i].part);
		end(f);
	}
}

/* ---- scatter lists */

/* Pieces of half a block that do not touch, so that each is a segment. */
static void read_in_pieces(struct firmware *f, struct hba_lun *lun, uint8_t *memory, unsigned n)
{
	enum { PIECE = RIG_BLOCK / 2, APART = RIG_BLOCK };
	struct iovec iov[SEGMENTS];
	struct test_io io = { .put = true };
	struct hba_task *t = NULL;

	memset(memory, 0xee, (size_t)n * APART);
	for (unsigned i = 0; i < n; i++)
		iov[i] = (struct iovec) { memory + (size_t)i * APART, PIECE };
	assert_int_equal(hba_task_get(lun, 0, NULL, &t), 0);
	test_fill_rw(t, false, 0, (uint16_t)(n / 2), NULL);
	t->data.iov = iov;
	t->n_data = n;
	assert_int_equal(hba_submit(t, test_done, &io), 0);
	rig_ends(f->rig, &io, 1, HBA_GOOD);
	assert_int_equal(io.last.bytes, (uint64_t)n * PIECE);
	for (unsigned i = 0; i < n; i++) {
		assert_memory_equal(memory + (size_t)i * APART, f->rig->medium + (size_t)i * PIECE,
				    PIECE);
		assert_int_equal(memory[(size_t)i * APART + PIECE], 0xee);
	}
}

static void lists_go_from_the_frame_into_chains(void **state)
{
	static const unsigned lengths[] = { 2, 6, 8, 14, 16, 24, 26, 100, 122, 124, 130, SEGMENTS };
	struct firmware *f = usual();
	struct hba_lun *lun = up(f);
	struct hba_mapping *m = NULL;

	(void)state;
	assert_int_equal(
		hba_mapping_create(f->rig->c, HBA_DEVICE_BOTH, SEGMENTS * RIG_BLOCK, 0, &m), 0);
	for (size_t i = 0; i < sizeof(f->rig->medium); i++)
		f->rig->medium[i] = (uint8_t)(i % 251);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		read_in_pieces(f, lun, hba_mapping_address(m), lengths[i]);
	assert_int_equal(hba_mapping_release(m), 0);
	test_no_violation(f->rig->c);
	end(f);
}

static void chains_are_as_many_as_the_firmware_takes(void **state)
{
	static const struct {
		uint8_t depth;
		unsigned segments;
	} rows[] = { { 0, 6 },    { 1, 15 },        { 2, 24 },
		     { 13, 123 }, { 14, SEGMENTS }, { 255, SEGMENTS } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct firmware *f = usual();

		f->chain_depth = rows[i].depth;
		rig_copies(f->rig, up(f));
		assert_int_equal(hba_controller_report(f->rig->c)->constraints.max_segments_read,
				 rows[i].segments);
		end(f);
	}
}

/* ---- replies */

static void every_ioc_status_has_an_end(void **state)
{
	struct firmware *f = usual();
	struct hba_lun *lun = up(f);
	struct test_io io = { 0 };

	(void)state;
	f->hold = true;
	rig_tick(f->rig, 5); /* what was never sent is sent again after a while */
	for (unsigned status = 0; status <= 0x100; status++) {
		unsigned done = io.done;

		f->n_held = 0;
		rig_ready(lun, &io);
		rig_send(f->rig);
		for (unsigned i = 0; i < PATIENCE && io.done == done; i++) {
			if (f->n_held) {
				f->n_held--;
				end_io(f, &f->held[f->n_held],
				       (uint16_t)(status | (status & 1 ? 0x8000 : 0)));
			}
			rig_turn(f->rig, i);
		}
		assert_int_equal(io.done, done + 1);
		if (status == 0)
			assert_int_equal(io.last.outcome, HBA_GOOD);
		if (status == MPT_SCSI_NO_DEVICE)
			assert_int_equal(io.last.outcome, HBA_NOT_PRESENT);
		if (status == MPT_SCSI_OVERRUN)
			assert_int_equal(io.last.outcome, HBA_NOT_DELIVERED);
	}
	end(f);
}

static void sense_comes_with_the_status(void **state)
{
	struct firmware *f = usual();

	(void)state;
	rig_has_sense(f->rig, up(f));
	end(f);
}

static void counts_are_cut_to_what_there_is(void **state)
{
	static const uint32_t counts[] = { 0, 1, RIG_BLOCK, RIG_BLOCK + 1, UINT32_MAX };
	static uint8_t buffer[RIG_BLOCK];
	struct firmware *f = usual();
	struct hba_lun *lun = up(f);
	struct test_io io = { 0 };

	(void)state;
	f->hold = true;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct mpt_scsi_io_reply r;
		uint8_t *sense;

		f->n_held = 0;
		rig_read(lun, &io, buffer, 1);
		send_held(f, 1);
		r = io_reply(&f->held[0], MPT_SCSI_UNDERRUN, 0, 0);
		r.moved = hba_le32_of(counts[i]);
		post_frame(f, &r, sizeof(r));
		rig_ends(f->rig, &io, io.done + 1, HBA_GOOD);
		assert_int_equal(io.last.bytes, counts[i] < RIG_BLOCK ? counts[i] : RIG_BLOCK);

		f->n_held = 0;
		rig_ready(lun, &io);
		send_held(f, 1);
		r = io_reply(&f->held[0], MPT_SCSI_UNDERRUN, 2, MPT_STATE_SENSE_VALID);
		r.sense_count = hba_le32_of(counts[i] ? counts[i] : 18);
		sense = at(f, hba_get32(f->held[0].sense_low), f->held[0].sense_len);
		memcpy(sense, (uint8_t[18]) { 0x70, 0, 5, [7] = 10, [12] = 0x24 }, 18);
		post_frame(f, &r, sizeof(r));
		rig_ends(f->rig, &io, io.done + 1, HBA_CHECK_CONDITION);
		assert_true(io.last.sense_len <= f->held[0].sense_len);
	}
	test_no_violation(f->rig->c);
	end(f);
}

/* A frame is used again: beyond its length lies what was written before. */
static void what_is_beyond_a_replys_length_is_not_read(void **state)
{
	struct hba_lun *lun;
	struct test_io io = { 0 };
	struct firmware *f = with_one_held(&lun, &io);
	struct mpt_scsi_io_reply r = io_reply(&f->held[0], MPT_SUCCESS, 2, MPT_STATE_SENSE_VALID);

	(void)state;
	r.moved = r.sense_count = hba_le32_of(UINT32_MAX);
	r.head.words = sizeof(struct mpt_reply) / MPT_WORD;
	post_frame(f, &r, sizeof(r));
	for (unsigned i = 0; i < PATIENCE && !io.done; i++) {
		rig_turn(f->rig, i);
		if (f->n_held > 1) /* the framework asks for the sense that did not come */
			execute_held(f);
	}
	assert_true(io.last.sense_len < f->held[0].sense_len);
	f->hold = false;
	rig_tick(f->rig, TAKEN);
	rig_wait(f->rig, &io, 1);
	end(f);
}

static void wrong_contexts_end_nothing(void **state)
{
	struct hba_lun *lun;
	struct test_io io = { 0 };
	struct firmware *f = with_one_held(&lun, &io);
	uint32_t context = hba_get32(f->held[0].context);
	const uint32_t wrong[] = { 0,
				   1,
				   context ^ 1,
				   context + (1 << 10),
				   context - (1 << 10),
				   context ^ 0x3ff,
				   0x7ffffffe,
				   0x40000000,
				   0x40000001,
				   0x40000002,
				   0x40000003,
				   0x40000004,
				   0x40000404 };
	struct mpt_scsi_io_reply r = io_reply(&f->held[0], MPT_SUCCESS, 0, 0);
	struct hba_event e;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		post(f, wrong[i]);
		r.head.context = hba_le32_of(wrong[i]);
		post_frame(f, &r, sizeof(r));
	}
	/* And the right one, of a function that it does not have. */
	r.head.context = hba_le32_of(context);
	r.head.function = MPT_SCSI_TASK_MGMT;
	post_frame(f, &r, sizeof(r));
	dispose(f);
	assert_int_equal(f->n_posted, 0);
	assert_int_equal(f->n_lent, DEPTH); /* each frame was given back */
	assert_int_equal(io.done, 0);
	assert_true(test_event(f->rig->c, HBA_EVENT_DEVICE_ERROR, &e));
	execute_held(f);
	rig_ends(f->rig, &io, 1, HBA_GOOD);
	post(f, context); /* twice */
	dispose(f);
	assert_int_equal(io.done, 1);
	end(f);
}

static void reply_frames_that_cannot_be_are_not_read(void **state)
{
	struct hba_lun *lun;
	struct test_io io = { 0 };
	struct firmware *f = with_one_held(&lun, &io);
	uint32_t first = f->lent[0];
	const uint32_t wrong[] = { 0,
				   first - MPT_REPLY_BYTES,
				   first + DEPTH * MPT_REPLY_BYTES,
				   first + 2,
				   first + 64,
				   UINT32_MAX << 2,
				   0x80000000 };
	struct mpt_scsi_io_reply r = io_reply(&f->held[0], MPT_SUCCESS, 0, 0);
	struct hba_event e;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		post(f, MPT_REPLY_IS_FRAME | wrong[i] >> 1);
	dispose(f);
	assert_int_equal(io.done, 0);
	assert_int_equal(f->n_lent, DEPTH);
	assert_true(test_event(f->rig->c, HBA_EVENT_DEVICE_ERROR, &e));
	assert_non_null(strstr(e.text, "which is none that it has"));
	/*
	 * One is right; posted twice it is the driver's the second time, unless it was given back
	 * before.
	 */
	post_frame(f, &r, sizeof(r));
	rig_ends(f->rig, &io, 1, HBA_GOOD);
	end(f);
}

/*
 * More replies than the FIFO of any board holds, all of them wrong: the loop is not kept by them.
 */
static void a_reply_queue_that_overflows_is_survived(void **state)
{
	struct hba_lun *lun;
	struct test_io io = { 0 };
	struct firmware *f = with_one_held(&lun, &io);

	(void)state;
	while (f->n_posted < FIFO - 1)
		post(f, 0x123);
	assert_true(hba_controller_run(f->rig->c, 8) <= 8);
	assert_true(f->n_posted > 0);
	execute_held(f);
	rig_ends(f->rig, &io, 1, HBA_GOOD);
	f->hold = false;
	io = (struct test_io) { 0 };
	rig_works(f->rig, lun, &io);
	end(f);
}

/* ---- time */

static void a_lost_reply_is_aborted(void **state)
{
	struct firmware *f = usual();
	struct hba_lun *lun = up(f);
	struct test_io io = { 0 };

	(void)state;
	f->lost_reply = true;
	rig_ready(lun, &io);
	rig_send(f->rig);
	rig_tick(f->rig, TAKEN);
	rig_ends(f->rig, &io, 1, HBA_TASK_TIMEOUT);
	assert_true(f->n_tms > 0);
	assert_int_equal(f->tm_types[0], MPT_ABORT_TASK);
	rig_works(f->rig, lun, &io);
	end(f);
}

static void a_late_reply_does_not_end_the_next_command(void **state)
{
	struct hba_lun *lun;
	struct test_io io = { 0 };
	struct firmware *f = with_one_held(&lun, &io);
	uint32_t first = hba_get32(f->held[0].context);

	(void)state;
	rig_tick(f->rig, TAKEN);
	rig_ends(f->rig, &io, 1, HBA_TASK_TIMEOUT);
	assert_true(f->n_tms > 0);
	rig_tick(f->rig, 0);
	for (unsigned i = 0; i < CLIENTS; i++) /* whoever has that frame now is among them */
		rig_ready(lun, &io);
	send_held(f, CLIENTS);
	post(f, first);
	dispose(f);
	assert_int_equal(io.done, 1);
	while (f->n_held)
		execute_held(f);
	rig_wait(f->rig, &io, 1 + CLIENTS);
	end(f);
}

static void a_timeout_goes_up_the_ladder(void **state)
{
	static const uint8_t types[] = { MPT_ABORT_TASK, MPT_LOGICAL_UNIT_RESET, MPT_TARGET_RESET,
					 MPT_RESET_BUS };
	struct hba_lun *lun;
	struct test_io io = { 0 };
	struct firmware *f = with_one_held(&lun, &io);

	(void)state;
	f->forget_tmf = true;
	f->hold = false;
	rig_tick(f->rig, TAKEN);
	rig_ends(f->rig, &io, 1, HBA_TASK_TIMEOUT);
	assert_int_equal(f->n_tms, sizeof(types));
	assert_memory_equal(f->tm_types, types, sizeof(types));
	assert_int_equal(f->message_resets, 2);
	assert_int_equal(f->diagnostic_resets, 0);
	rig_works(f->rig, lun, &io);
	end(f);
}

/*
 * No function is even tried, and the diagnostic reset boots the firmware: what comes afterwards
 * works.
 */
static void firmware_in_state_fault_is_booted_anew(void **state)
{
	struct hba_lun *lun;
	struct test_io io = { 0 };
	struct firmware *f = with_one_held(&lun, &io);

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		rig_ready(lun, &io);
	send_held(f, 9);
	f->state = MPT_STATE_FAULT;
	f->code = 0x2622;
	f->hold = false;
	rig_tick(f->rig, TAKEN);
	rig_wait(f->rig, &io, 9);
	assert_int_equal(f->unheard, 0);
	assert_int_equal(f->diagnostic_resets, 1);
	assert_int_equal(f->inits, 2);
	rig_until(f->rig, HBA_STARTED);
	rig_works(f->rig, lun, &io);
	rig_tick(f->rig, 0);
	rig_copies(f->rig, lun);
	end(f);
}

/* Neither a function nor a reset of the bus is answered. */
static void silent_firmware_is_reset(void **state)
{
	struct hba_lun *lun;
	struct test_io io = { 0 };
	struct firmware *f = with_one_held(&lun, &io);

	(void)state;
	f->silent_tmf = true;
	f->hold = false;
	rig_tick(f->rig, TAKEN);
	rig_ends(f->rig, &io, 1, HBA_TASK_TIMEOUT);
	assert_int_equal(f->message_resets, 2);
	f->silent_tmf = false;
	rig_works(f->rig, lun, &io);
	end(f);
}

/*
 * A command hangs, and the writes of four hang with it; four others write on: before the reset, and
 * all of them after it.
 */
static void io_goes_on_through_a_reset(void **state)
{
	struct firmware *f = usual();
	struct hba_lun *lun = up(f);
	struct rig_writer w[RIG_WRITERS] = { 0 };
	struct test_io hung = { 0 };

	(void)state;
	f->hold = f->forget_tmf = true;
	f->tm_response = MPT_TM_FAILED;
	rig_hang(lun, &hung, w);
	send_held(f, 1 + RIG_CAUGHT);
	f->hold = false;
	rig_writes_through_reset(f->rig, lun, &hung, w);
	assert_int_equal(f->message_resets, 2); /* one at start */
	assert_int_equal(f->inits, 2);
	rig_copies(f->rig, lun);
	end(f);
}

static unsigned can_have(struct hba_lun *lun)
{
	struct hba_task *t[DEPTH];
	unsigned n = 0;

	while (n < DEPTH && hba_task_get(lun, 0, NULL, &t[n]) == 0)
		n++;
	for (unsigned i = 0; i < n; i++)
		hba_task_put(t[i]);
	return n;
}

static void firmware_that_takes_less_after_a_reset_gets_less(void **state)
{
	struct firmware *f = usual();
	struct hba_lun *lun = up(f);
	struct test_io io = { 0 };

	(void)state;
	assert_int_equal(can_have(lun), CLIENTS);
	f->credits = 20;
	assert_int_equal(hba_controller_set_power(f->rig->c, HBA_POWER_OFF), 0);
	assert_false(f->master);
	assert_int_equal(hba_controller_set_power(f->rig->c, HBA_POWER_ON), 0);
	rig_works(f->rig, lun, &io);
	assert_int_equal(can_have(lun), 20 - 7);
	test_no_violation(f->rig->c);
	end(f);
}

/* ---- task management */

struct asked {
	struct hba_management m;
	bool answered;
	enum hba_service_response response;
};

static void answered(struct hba_management *m, enum hba_service_response response)
{
	struct asked *a = (struct asked *)(void *)m;

	a->response = response;
	a->answered = true;
}

static void every_function_is_a_message(void **state)
{
	static const struct {
		enum hba_tmf function;
		uint8_t type;
	} rows[] = {
		{ HBA_ABORT_TASK, MPT_ABORT_TASK },
		{ HBA_ABORT_TASK_SET, MPT_ABORT_TASK_SET },
		{ HBA_CLEAR_TASK_SET, MPT_CLEAR_TASK_SET },
		{ HBA_CLEAR_ACA, MPT_CLEAR_ACA },
		{ HBA_LOGICAL_UNIT_RESET, MPT_LOGICAL_UNIT_RESET },
		{ HBA_TARGET_RESET, MPT_TARGET_RESET },
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned row = (unsigned)i / 2;
		struct hba_lun *lun;
		struct test_io io = { 0 };
		struct firmware *f = usual();
		struct asked asked = { .m = { .function = rows[row].function, .done = answered } };

		f->capabilities = i % 2 ? MPT_CAPABLE_OF_URGENT : 0;
		asked.m.lun = lun = up(f);
		f->hold = true;
		rig_ready(lun, &io);
		send_held(f, 1);
		if (rows[row].function == HBA_ABORT_TASK)
			asked.m.victim = hba_task_by_id(hba_controller_queue(f->rig->c, 0),
							hba_get32(f->held[0].context) & 0x3ff);
		assert_int_equal(hba_manage(&asked.m), 0);
		for (unsigned k = 0; k < PATIENCE && !asked.answered; k++)
			rig_turn(f->rig, k);
		assert_true(asked.answered);
		assert_int_equal(asked.response, HBA_FUNCTION_COMPLETE);
		assert_int_equal(f->tm_types[0], rows[row].type);
		assert_int_equal(f->urgent, i % 2);
		assert_int_equal(io.done, 1);
		test_no_violation(f->rig->c);
		end(f);
	}
}

static void messages_name_the_unit(void **state)
{
	enum { DISK = 3 };
	static const uint8_t lun_1[8] = { 0, 1 };
	static const struct {
		uint8_t attribute;
		uint32_t control;
	} rows[] = { { HBA_SIMPLE, MPT_IO_SIMPLE },
		     { HBA_ORDERED, MPT_IO_ORDERED },
		     { HBA_HEAD_OF_QUEUE, MPT_IO_HEAD_OF_QUEUE } };
	struct firmware *f = usual();
	struct asked asked = { .m = { .function = HBA_LOGICAL_UNIT_RESET, .done = answered } };
	struct test_io io = { .put = true };
	struct hba_lun *lun;
	struct hba_task *t;

	(void)state;
	f->rig->two_units = true;
	f->disk = DISK;
	lun = up(f);
	lun = hba_lun_next(f->rig->c, lun);
	assert_non_null(lun);
	f->hold = true;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		f->n_held = 0;
		assert_int_equal(hba_task_get(lun, 0, NULL, &t), 0);
		test_fill_ready(t);
		t->attribute = rows[i].attribute;
		assert_int_equal(hba_submit(t, test_done, &io), 0);
		send_held(f, 1);
		assert_int_equal(f->held[0].target, DISK);
		assert_memory_equal(f->held[0].lun, lun_1, sizeof(lun_1));
		assert_int_equal(hba_get32(f->held[0].control), rows[i].control);
		execute_held(f);
		rig_ends(f->rig, &io, i + 1, HBA_GOOD);
	}
	asked.m.lun = lun;
	assert_int_equal(hba_manage(&asked.m), 0);
	for (unsigned i = 0; i < PATIENCE && !asked.answered; i++)
		rig_turn(f->rig, i);
	assert_int_equal(f->last_tm.target, DISK);
	assert_memory_equal(f->last_tm.lun, lun_1, sizeof(lun_1));
	test_no_violation(f->rig->c);
	end(f);
}

static void every_response_code_has_a_meaning(void **state)
{
	static const struct {
		uint8_t code;
		enum hba_service_response response;
	} rows[] = {
		{ MPT_TM_COMPLETE, HBA_FUNCTION_COMPLETE },
		{ MPT_TM_SUCCEEDED, HBA_FUNCTION_COMPLETE },
		{ MPT_TM_NOT_SUPPORTED, HBA_FUNCTION_REJECTED },
		{ MPT_TM_FAILED, HBA_DELIVERY_FAILURE },
		{ MPT_TM_INVALID_LUN, HBA_DELIVERY_FAILURE },
		{ 0x77, HBA_DELIVERY_FAILURE },
	};
	struct firmware *f = usual();
	struct hba_lun *lun = up(f);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct asked asked = {
			.m = { .function = HBA_CLEAR_ACA, .lun = lun, .done = answered }
		};

		f->tm_response = rows[i].code;
		assert_int_equal(hba_manage(&asked.m), 0);
		for (unsigned k = 0; k < PATIENCE && !asked.answered; k++)
			rig_turn(f->rig, k);
		assert_true(asked.answered);
		assert_int_equal(asked.response, rows[i].response);
	}
	end(f);
}

/* ---- events */

static void events_are_acknowledged_in_their_order(void **state)
{
	enum { ROUNDS = 40, EACH = DEPTH };
	struct firmware *f = usual();
	struct hba_lun *lun = up(f);
	struct test_io io = { 0 };
	unsigned n = 0;

	(void)state;
	dispose(f);
	for (unsigned round = 0; round < ROUNDS; round++) {
		assert_int_equal(f->n_lent, EACH);
		for (unsigned i = 0; i < EACH; i++)
			event(f, 0x21, n++, true, NULL, 0);
		dispose(f);
		assert_int_equal(f->n_acks, n);
	}
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(f->acks[i], i);
	rig_works(f->rig, lun, &io);
	test_no_violation(f->rig->c);
	end(f);
}

/* Their frames are kept, and no more: commands that go well need none. */
static void acknowledgements_that_are_not_answered_are_survived(void **state)
{
	struct firmware *f = usual();
	struct hba_lun *lun = up(f);
	struct test_io io = { 0 };
	uint32_t kept;

	(void)state;
	dispose(f);
	f->no_acks = true;
	kept = f->lent[0]; /* the last that is used, and so kept */
	for (unsigned i = 0; i < PATIENCE && f->n_lent; i++) {
		event(f, 0x21, i, true, NULL, 0);
		dispose(f);
	}
	assert_int_equal(f->n_acks, 1);
	assert_int_equal(f->n_lent, 0);
	/* It is the driver's until its event is acknowledged. */
	post(f, MPT_REPLY_IS_FRAME | kept >> 1);
	dispose(f);
	rig_told(f->rig, "which is none that it has");
	rig_works(f->rig, lun, &io);
	end(f);
}

static void a_link_that_is_lost_stops_the_clock(void **state)
{
	struct hba_lun *lun;
	struct test_io io = { 0 }, late = { 0 };
	struct firmware *f = with_one_held(&lun, &io);
	struct hba_event e;

	(void)state;
	while (hba_event_next(f->rig->c, &e))
		;
	link_is(f, 0, 2);
	dispose(f);
	assert_true(test_event(f->rig->c, HBA_EVENT_PORT, &e));
	assert_int_equal(e.value, HBA_PORT_OFFLINE);
	rig_ready(lun, &late);
	rig_tick(f->rig, 1000); /* much longer than a command may take */
	test_turns(f->rig->c, 2000);
	assert_int_equal(io.done, 0);
	assert_int_equal(f->n_held, 1); /* nothing new is sent */
	assert_int_equal(f->n_tms, 0);
	rig_tick(f->rig, 0);
	link_is(f, 0, MPT_RATE_3_0);
	dispose(f);
	assert_true(test_event(f->rig->c, HBA_EVENT_PORT, &e));
	assert_int_equal(e.value, HBA_PORT_ONLINE);
	send_held(f, 2);
	while (f->n_held)
		execute_held(f);
	rig_ends(f->rig, &io, 1, HBA_GOOD);
	rig_ends(f->rig, &late, 1, HBA_GOOD);
	test_no_violation(f->rig->c);
	end(f);
}

static void a_wide_port_is_lost_with_its_last_link(void **state)
{
	struct firmware *f = usual();
	struct hba_lun *lun = up(f);
	struct test_io io = { 0 };

	(void)state;
	link_is(f, 1, MPT_RATE_1_5); /* a second one to the same device */
	dispose(f);
	link_is(f, 0, 1);
	dispose(f);
	rig_works(f->rig, lun, &io);
	link_is(f, 1, 0);
	dispose(f);
	rig_ready(lun, &io);
	test_turns(f->rig->c, 100);
	assert_int_equal(io.done, 1);
	link_is(f, 1, MPT_RATE_3_0);
	rig_ends(f->rig, &io, 2, HBA_GOOD);
	end(f);
}

/*
 * Lost, and given up by the firmware: its commands end, and the target is another when it comes
 * back.
 */
static void a_device_that_is_given_up_leaves_and_may_come_back(void **state)
{
	struct hba_lun *lun;
	struct test_io io = { 0 }, late = { 0 };
	struct firmware *f = with_one_held(&lun, &io);
	struct hba_event e;

	(void)state;
	link_is(f, 0, 0);
	dispose(f);
	rig_ready(lun, &late);
	device(f, 0, 0, MPT_DEVICE_NOT_RESPONDING);
	dispose(f);
	rig_ends(f->rig, &late, 1, HBA_NOT_PRESENT);
	assert_int_equal(io.done, 0); /* the firmware owes it */
	end_io(f, &f->held[0], MPT_SCSI_IOC_TERMINATED);
	f->n_held = 0;
	f->hold = false;
	rig_wait(f->rig, &io, 1);
	assert_true(test_event(f->rig->c, HBA_EVENT_LUN_LEFT, &e));
	link_is(f, 0, MPT_RATE_3_0);
	device(f, 0, 0, MPT_DEVICE_ADDED);
	rig_tick(f->rig, 1);
	wait_unit(f);
	assert_ptr_equal(hba_lun_next(f->rig->c, NULL), lun);
	rig_works(f->rig, lun, &io);
	end(f);
}

static void scan(struct firmware *f)
{
	struct hba_event e;
	bool over = false;

	while (hba_event_next(f->rig->c, &e))
		;
	assert_int_equal(hba_controller_rescan(f->rig->c), 0);
	for (unsigned i = 0; i < PATIENCE && !over; i++) {
		rig_turn(f->rig, i);
		over = test_event(f->rig->c, HBA_EVENT_SCANNED, &e);
	}
	assert_true(over);
	rig_quiet(f->rig);
}

/*
 * The page has one place in memory: no other is asked for before the firmware has answered, for it
 * may still write there.
 */
static void a_page_that_is_late_is_no_other_targets(void **state)
{
	struct firmware *f = usual();
	struct hba_lun *lun = up(f);
	struct test_io io = { 0 };
	unsigned before = f->n_configs;

	(void)state;
	f->keep_config = true;
	rig_tick(f->rig, TAKEN);
	scan(f);
	assert_int_equal(f->n_configs, before + 1);
	rig_tick(f->rig, 0);
	configure(f, &f->config);
	dispose(f);
	scan(f);
	assert_true(f->n_configs > before + 2);
	rig_works(f->rig, lun, &io);
	test_no_violation(f->rig->c);
	end(f);
}

static void events_of_any_kind_are_survived(void **state)
{
	static const uint8_t ones[36] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					  0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct firmware *f = usual();
	struct hba_lun *lun = up(f);
	struct test_io io = { 0 };
	struct hba_event e;

	(void)state;
	while (hba_event_next(f->rig->c, &e))
		;
	for (unsigned code = 0; code < 0x30; code++) {
		event(f, code, 0, code & 1, NULL, 0);
		dispose(f);
		event(f, code, 0, code & 1, ones, sizeof(ones));
		dispose(f);
	}
	for (unsigned reason = 0; reason < 0x20; reason++) {
		device(f, TARGETS, 0, (uint8_t)reason);
		device(f, 1, 1, (uint8_t)reason);
		device(f, 5, 0, (uint8_t)reason);
		dispose(f);
	}
	rig_tick(f->rig, 1);
	wait_unit(f);
	assert_true(test_event(f->rig->c, HBA_EVENT_BUS_RESET, &e));
	assert_true(test_event(f->rig->c, HBA_EVENT_DEVICE_ERROR, &e));
	(void)lun;
	link_is(f, 0, MPT_RATE_3_0); /* one of the events has taken it down */
	rig_works(f->rig, hba_lun_next(f->rig->c, NULL), &io);
	end(f);
}

/* ---- links, over a reset and behind expanders */

static void turn_off_and_on(struct firmware *f)
{
	assert_int_equal(hba_controller_set_power(f->rig->c, HBA_POWER_OFF), 0);
	assert_int_equal(hba_controller_set_power(f->rig->c, HBA_POWER_ON), 0);
	rig_quiet(f->rig);
}

/* Cut off: a command is not sent. It stays, and `io` is told of it later. */
static void stands_still(struct firmware *f, struct hba_lun *lun, struct test_io *io)
{
	unsigned done = io->done;

	rig_ready(lun, io);
	rig_quiet(f->rig);
	assert_int_equal(io->done, done);
}

static void a_link_that_is_back_after_a_reset_is_used(void **state)
{
	struct firmware *f = usual();
	struct hba_lun *lun = up(f);
	struct test_io io = { 0 };

	(void)state;
	link_is(f, 0, 0);
	dispose(f);
	stands_still(f, lun, &io);
	turn_off_and_on(f);
	rig_ends(f->rig, &io, 1, HBA_GOOD);
	rig_copies(f->rig, lun);
	end(f);
}

/* Before the reset, or during it. The page of a phy that is down tells no handle. */
static void a_link_that_is_lost_after_a_reset_is_waited_for(void **state)
{
	(void)state;
	for (unsigned before = 0; before < 2; before++) {
		struct firmware *f = usual();
		struct hba_lun *lun = up(f);
		struct test_io io = { 0 };
		struct hba_event e;

		if (before)
			link_is(f, 0, 0);
		dispose(f);
		f->phy[0].handle = f->phy[0].rate = 0;
		while (hba_event_next(f->rig->c, &e))
			;
		turn_off_and_on(f);
		assert_true(test_event(f->rig->c, HBA_EVENT_PORT, &e));
		assert_int_equal(e.value, HBA_PORT_OFFLINE);
		stands_still(f, lun, &io);
		link_is(f, 0, MPT_RATE_3_0);
		rig_ends(f->rig, &io, 1, HBA_GOOD);
		test_no_violation(f->rig->c);
		end(f);
	}
}

/* It will not say that it gives up a device of which it does not know. */
static void a_device_that_the_firmware_does_not_know_is_not_waited_for(void **state)
{
	struct firmware *f = usual();
	struct hba_lun *lun = up(f);
	struct test_io io = { 0 };

	(void)state;
	link_is(f, 0, 0);
	dispose(f);
	stands_still(f, lun, &io);
	f->phy[0].handle = f->phy[0].rate = 0;
	f->handle = 0;
	turn_off_and_on(f);
	rig_ends(f->rig, &io, 1, HBA_GOOD);
	end(f);
}

static void handles_are_read_anew_after_a_reset(void **state)
{
	struct firmware *f = usual();
	struct hba_lun *lun = up(f);
	struct test_io io = { 0 };

	(void)state;
	f->handle = f->phy[0].handle = HANDLE + 1;
	turn_off_and_on(f);
	link_leads(f, 0, 0, HANDLE + 1);
	dispose(f);
	stands_still(f, lun, &io);
	link_leads(f, 0, MPT_RATE_3_0, HANDLE + 1);
	rig_ends(f->rig, &io, 1, HBA_GOOD);
	end(f);
}

static void a_link_event_right_behind_the_page_counts(void **state)
{
	struct firmware *f = usual();
	struct hba_lun *lun = up(f);
	struct test_io io = { 0 };

	(void)state;
	f->lost_after = HANDLE;
	turn_off_and_on(f);
	stands_still(f, lun, &io);
	link_is(f, 0, MPT_RATE_3_0);
	rig_ends(f->rig, &io, 1, HBA_GOOD);
	end(f);
}

static void a_link_without_a_handle_leads_where_it_led(void **state)
{
	struct firmware *f = usual();
	struct hba_lun *lun = up(f);
	struct test_io io = { 0 };

	(void)state;
	link_leads(f, 0, 0, 0);
	dispose(f);
	stands_still(f, lun, &io);
	link_leads(f, 0, MPT_RATE_3_0, 0);
	rig_ends(f->rig, &io, 1, HBA_GOOD);
	/*
	 * To another device now: no phy is known that leads to this one, so the firmware is asked.
	 */
	link_leads(f, 0, 0, 0);
	dispose(f);
	stands_still(f, lun, &io);
	link_leads(f, 0, MPT_RATE_3_0, HANDLE + 1);
	rig_ends(f->rig, &io, 2, HBA_GOOD);
	end(f);
}

static void a_link_to_an_expander_is_that_of_all_behind_it(void **state)
{
	static const struct {
		unsigned expanders;
		bool no_pages;
	} rows[] = { { 1, false }, { 1, true }, { 3, false } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct firmware *f = usual();
		uint16_t first = (uint16_t)(EXPANDER + rows[i].expanders - 1);
		struct test_io io = { 0 };
		struct hba_lun *lun;

		f->expanders = rows[i].expanders;
		f->no_expanders = rows[i].no_pages;
		f->phy[0].handle = first;
		lun = up(f);
		link_is(f, 1, 0); /* not its own */
		dispose(f);
		rig_works(f->rig, lun, &io);
		link_leads(f, 0, 0, i ? first : 0);
		dispose(f);
		stands_still(f, lun, &io);
		link_leads(f, 0, MPT_RATE_3_0, first);
		rig_ends(f->rig, &io, 2, HBA_GOOD);
		end(f);
	}
}

/* A device that an event tells of is behind the expander that the event names. */
static void a_known_device_that_is_added_again_may_hang_elsewhere(void **state)
{
	struct mpt_device_event e = { .reason = MPT_DEVICE_ADDED,
				      .handle = hba_le16_of(HANDLE + 1),
				      .parent = hba_le16_of(EXPANDER) };
	struct firmware *f = usual();
	struct hba_lun *lun = up(f);
	struct test_io io = { 0 };

	(void)state;
	memcpy(e.address, disk_address, sizeof(e.address));
	link_leads(f, 1, MPT_RATE_3_0, EXPANDER);
	event(f, MPT_EVENT_SAS_DEVICE, 0, false, &e, sizeof(e));
	dispose(f);
	link_is(f, 0, 0);
	dispose(f);
	rig_works(f->rig, lun, &io);
	link_leads(f, 1, 0, 0);
	dispose(f);
	stands_still(f, lun, &io);
	link_leads(f, 1, MPT_RATE_3_0, 0);
	rig_ends(f->rig, &io, 2, HBA_GOOD);
	end(f);
}

static void expanders_without_an_end_are_survived(void **state)
{
	struct firmware *f = usual();

	(void)state;
	f->expanders = 2;
	f->endless = true;
	f->phy[0].handle = EXPANDER + 2; /* none of them */
	rig_copies(f->rig, up(f));
	end(f);
}

/* ---- the end */

static void the_mask_is_written_when_it_changes(void **state)
{
	struct firmware *f = usual();
	struct hba_lun *lun = up(f);
	struct test_io io = { 0 };

	(void)state;
	rig_works(f->rig, lun, &io);
	rig_quiet(f->rig);
	assert_int_equal(hba_controller_arm(f->rig->c), 0);
	assert_int_equal(f->mask & MPT_INTR_REPLY, 0);
	assert_int_not_equal(f->mask & MPT_INTR_DOORBELL, 0);
	f->mask_writes = 0;
	for (unsigned i = 0; i < 100; i++) {
		hba_controller_run(f->rig->c, 1);
		assert_int_equal(hba_controller_arm(f->rig->c), 0);
	}
	assert_int_equal(f->mask_writes, 0);
	hba_controller_run(f->rig->c, 1);
	rig_works(f->rig, lun, &io);
	assert_int_not_equal(f->mask & MPT_INTR_REPLY, 0);
	assert_int_equal(f->mask_writes, 1);
	end(f);
}

static void pulled_out_ends_every_command(void **state)
{
	struct hba_lun *lun;
	struct test_io io = { 0 };
	struct firmware *f = with_one_held(&lun, &io);

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		rig_ready(lun, &io);
	rig_send(f->rig);
	script_remove(&f->rig->script);
	rig_ready(lun, &io);
	rig_ends(f->rig, &io, 10, HBA_NOT_PRESENT);
	rig_until(f->rig, HBA_GONE);
	end(f);
}

static void all_ones_end_every_command(void **state)
{
	struct hba_lun *lun;
	struct test_io io = { 0 };
	struct firmware *f = with_one_held(&lun, &io);

	(void)state;
	script_silence(&f->rig->script);
	rig_tick(f->rig, TAKEN);
	rig_ends(f->rig, &io, 1, HBA_NOT_PRESENT);
	rig_until(f->rig, HBA_GONE);
	end(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_works_when_the_firmware_does),
		cmocka_unit_test(frames_and_sense_share_the_high_half),
		cmocka_unit_test(it_says_who_it_is),
		cmocka_unit_test(stuck_firmware_is_refused),
		cmocka_unit_test(a_message_reset_that_does_nothing_is_followed_by_another),
		cmocka_unit_test(stop_after_registers_that_are_not_there),
		cmocka_unit_test(limits_that_cannot_be_are_refused),
		cmocka_unit_test(lists_go_from_the_frame_into_chains),
		cmocka_unit_test(chains_are_as_many_as_the_firmware_takes),
		cmocka_unit_test(every_ioc_status_has_an_end),
		cmocka_unit_test(sense_comes_with_the_status),
		cmocka_unit_test(counts_are_cut_to_what_there_is),
		cmocka_unit_test(what_is_beyond_a_replys_length_is_not_read),
		cmocka_unit_test(wrong_contexts_end_nothing),
		cmocka_unit_test(reply_frames_that_cannot_be_are_not_read),
		cmocka_unit_test(a_reply_queue_that_overflows_is_survived),
		cmocka_unit_test(a_lost_reply_is_aborted),
		cmocka_unit_test(a_late_reply_does_not_end_the_next_command),
		cmocka_unit_test(a_timeout_goes_up_the_ladder),
		cmocka_unit_test(firmware_in_state_fault_is_booted_anew),
		cmocka_unit_test(silent_firmware_is_reset),
		cmocka_unit_test(io_goes_on_through_a_reset),
		cmocka_unit_test(firmware_that_takes_less_after_a_reset_gets_less),
		cmocka_unit_test(every_function_is_a_message),
		cmocka_unit_test(messages_name_the_unit),
		cmocka_unit_test(every_response_code_has_a_meaning),
		cmocka_unit_test(events_are_acknowledged_in_their_order),
		cmocka_unit_test(acknowledgements_that_are_not_answered_are_survived),
		cmocka_unit_test(a_link_that_is_lost_stops_the_clock),
		cmocka_unit_test(a_wide_port_is_lost_with_its_last_link),
		cmocka_unit_test(a_device_that_is_given_up_leaves_and_may_come_back),
		cmocka_unit_test(a_page_that_is_late_is_no_other_targets),
		cmocka_unit_test(events_of_any_kind_are_survived),
		cmocka_unit_test(a_link_that_is_back_after_a_reset_is_used),
		cmocka_unit_test(a_link_that_is_lost_after_a_reset_is_waited_for),
		cmocka_unit_test(a_device_that_the_firmware_does_not_know_is_not_waited_for),
		cmocka_unit_test(handles_are_read_anew_after_a_reset),
		cmocka_unit_test(a_link_event_right_behind_the_page_counts),
		cmocka_unit_test(a_link_without_a_handle_leads_where_it_led),
		cmocka_unit_test(a_link_to_an_expander_is_that_of_all_behind_it),
		cmocka_unit_test(a_known_device_that_is_added_again_may_hang_elsewhere),
		cmocka_unit_test(expanders_without_an_end_are_survived),
		cmocka_unit_test(the_mask_is_written_when_it_changes),
		cmocka_unit_test(pulled_out_ends_every_command),
		cmocka_unit_test(all_ones_end_every_command),
	};

	cmocka_set_test_filter(getenv("HBAKIT_TEST"));
	return cmocka_run_group_tests_name("script-mptsas", tests, NULL, NULL);
}
