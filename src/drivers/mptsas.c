/* SPDX-License-Identifier: MIT */
/*
 * mptsas.c: LSI's Fusion-MPT SAS controllers: SAS1064, SAS1068 and their PCI Express versions. QEMU
 * models the SAS1068.
 *
 * Messages of up to 128 bytes. Before the firmware is operational they go word by word through the
 * doorbell register (the handshake); afterwards the address of a message is written to one
 * register, the request FIFO, and replies are read from another. A command that went well is
 * answered by its context alone ("turbo reply"), all else by a reply frame, which is given back
 * when it has been read.
 *
 * A task's HBA data are its request frame, the chain buffers of its scatter list, and its sense.
 * The context is 31 bits wide: it holds the unique id and, above it, as much of the cookie's
 * generation as fits. Frames and sense share one high half of their addresses, which IOC INIT
 * names: all that the controller takes lies below 4 GiB, and the half is 0.
 *
 * Not done: RAID volumes, SATA pass-through, SMP, several ports and buses. See mptsas.md, also for
 * what QEMU's model does differently.
 */
#include "drivers/mptsas-regs.h"

#include "base/base.h"
#include "drivers/drivers.h"

#include <errno.h>
#include <hbakit/driver.h>
#include <stdio.h>
#include <string.h>

enum {
	TARGETS = 256,
	MOST_TASKS = 512,
	MOST_REPLIES = 256,
	INTERNAL = 2,
	TMFS = 1,
	OWN_REQUESTS = 4, /* enum own: one of each may be out beside all tasks */
	SENSE = 252,
	IN_FRAME = 6,  /* elements of a scatter list */
	IN_CHAIN = 10, /* a chain buffer is as large as a frame */
	CHAINS = 14,
	ELEMENT_WORDS = sizeof(struct mpt_sge) / MPT_WORD,
	PHYS = 16,
	LEVELS = 8, /* of expanders, one behind another */
	PAGE_BYTES = 512,
	CONTROL_BITS = 32, /* of addresses: see above */

	DOORBELL_MS = 2000, /* until the firmware has taken or given one word */
	RESET_MS = 5000,    /* until it is ready after a message unit reset */
	BOOT_MS = 8000,     /* and after a diagnostic reset, which boots it anew */
	KEY_MS = 100,
	KEY_TRIES = 5,
	PORT_MS = 8000,
	CONFIG_MS = 2000,
	BUS_RESET_MS = 8000,
};

/*
 * A context: unique id, generation above it; or, with OWN, one of the driver's own messages and a
 * number above it.
 */
enum { ID_BITS = 10, ID_MASK = (1 << ID_BITS) - 1, NUMBER_MASK = (1 << 20) - 1, OWN = 1 << 30 };
enum own { EVENTS = OWN, ACK, CONFIG, BUS_RESET, TMF };
static_assert((int)MOST_TASKS <= (int)ID_MASK, "each task has an id of its own");

/* ---- memory */

struct mptsas_data { /* HBA data of one task; the firmware reads it, and writes the sense */
	union {
		struct mpt_scsi_io io;
		struct mpt_task_mgmt tmf;
		uint8_t frame[MPT_REQUEST_BYTES];
	} request;
	struct mpt_sge chain[CHAINS][IN_CHAIN];
	uint8_t sense[SENSE];
};

struct mptsas_own { /* messages of the driver's own, and what the firmware writes */
	union {
		struct mpt_event_request events;
		struct mpt_event_ack ack;
		struct mpt_config config;
		struct mpt_task_mgmt bus_reset;
		uint8_t frame[MPT_REQUEST_BYTES];
	} request[OWN_REQUESTS];
	uint8_t page[PAGE_BYTES];
	uint8_t reply[MOST_REPLIES][MPT_REPLY_BYTES];
};

union reply { /* a copy of what the firmware wrote */
	struct mpt_reply head;
	struct mpt_scsi_io_reply io;
	struct mpt_task_mgmt_reply tmf;
	struct mpt_config_reply config;
	struct mpt_ioc_facts facts;
	struct mpt_port_facts port;
	struct mpt_event event;
	hba_le16 half[MPT_REPLY_BYTES / 2];
	uint8_t bytes[MPT_REPLY_BYTES];
};

struct mptsas {
	struct hba_bar bar;
	struct hba_mapping *own_mapping;
	struct mptsas_own *own;
	struct hba_iova own_iova;
	struct mpt_ioc_facts facts;
	uint64_t initiator, highest_target;
	unsigned tasks, replies;
	unsigned out;  /* commands and functions that the firmware has */
	bool unmasked; /* it may interrupt */
	bool described;

	bool lent[MOST_REPLIES]; /* reply frames that are the firmware's */
	struct {
		uint32_t event, context;
		unsigned frame; /* given back when the acknowledgement goes out */
	} acks[MOST_REPLIES];
	unsigned first_ack, n_acks;
	bool ack_out;

	struct hba_task *tmf;
	uint32_t number; /* of messages so far */
	/* of those that are out; 0: none */
	uint32_t tmf_context, config_context, bus_reset_context;
	struct mpt_config_reply config; /* the last answers */
	struct mpt_task_mgmt_reply bus_reset;

	/*
	 * Of each target: the handle of what our phys lead to on the way there, which is itself or
	 * an expander; 0: not known.
	 */
	uint16_t link[TARGETS];
	struct {
		uint16_t handle;     /* of what it leads to or, while it is down, led to */
		uint16_t own_handle; /* of the controller */
		bool up;
	} phy[PHYS];
};

static struct mptsas *mptsas_of(struct hba_queue *q)
{
	return hba_controller_priv(hba_queue_controller(q));
}

static uint32_t context_of(const struct hba_task *t)
{
	return t->unique_id | ((uint32_t)(t->cookie >> 32) & NUMBER_MASK) << ID_BITS;
}

static uint32_t next_context(struct mptsas *p, enum own kind)
{
	return (uint32_t)kind | (++p->number & NUMBER_MASK) << ID_BITS;
}

static unsigned status_of(const union reply *r)
{
	return hba_get16(r->head.status) & MPT_STATUS_MASK;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* ---- the doorbell */

static uint32_t state_of(const struct mptsas *p)
{
	return hba_bar_read32(&p->bar, MPT_DOORBELL);
}

static int wait_state(struct hba_controller *c, struct mptsas *p, uint32_t state, unsigned ms)
{
	return hba_wait_bar32(c, &p->bar, MPT_DOORBELL, MPT_STATE_MASK, state, ms);
}

/* The firmware has something to give, or waits for something: it rang. */
static int wait_ring(struct hba_controller *c, struct mptsas *p, unsigned ms)
{
	return hba_wait_bar32(c, &p->bar, MPT_INTR_STATUS, MPT_INTR_DOORBELL, MPT_INTR_DOORBELL,
			      ms);
}

static void acknowledge(struct mptsas *p)
{
	hba_bar_write32(&p->bar, MPT_INTR_STATUS, 0);
}

static int write_doorbell(struct hba_controller *c, struct mptsas *p, uint32_t word)
{
	hba_bar_write32(&p->bar, MPT_DOORBELL, word);
	return hba_wait_bar32(c, &p->bar, MPT_INTR_STATUS, MPT_INTR_DOORBELL_BUSY, 0, DOORBELL_MS);
}

static int send_words(struct hba_controller *c, struct mptsas *p, const hba_le32 *words, unsigned n)
{
	int r;

	/* a ring that is left over from before would pass for the first of this handshake */
	acknowledge(p);
	hba_bar_write32(&p->bar, MPT_DOORBELL, MPT_DOORBELL_HANDSHAKE(n));
	r = wait_ring(c, p, DOORBELL_MS);
	if (r < 0)
		return r;
	acknowledge(p);
	r = hba_wait_bar32(c, &p->bar, MPT_INTR_STATUS, MPT_INTR_DOORBELL_BUSY, 0, DOORBELL_MS);
	for (unsigned i = 0; i < n && r == 0; i++)
		r = write_doorbell(c, p, hba_get32(words[i]));
	return r;
}

/*
 * Half a word at a time; the second says how many there are. More than there is room for are taken,
 * and dropped.
 */
static int receive_words(struct hba_controller *c, struct mptsas *p, union reply *ret_reply,
			 unsigned ms)
{
	unsigned halves = 2, i;
	int r = 0;

	for (i = 0; i < halves && r == 0; i++) {
		r = wait_ring(c, p, i ? DOORBELL_MS : ms);
		if (r < 0)
			break;
		if (i < ARRAY_SIZE(ret_reply->half))
			ret_reply->half[i] =
				hba_le16_of((uint16_t)(hba_bar_read32(&p->bar, MPT_DOORBELL) &
						       MPT_DOORBELL_DATA));
		else
			(void)hba_bar_read32(&p->bar, MPT_DOORBELL);
		if (i == 1)
			halves = ret_reply->head.words * 2U;
		acknowledge(p);
	}
	if (r == 0)
		r = wait_ring(c, p, DOORBELL_MS);
	acknowledge(p);
	return r;
}

/* Ask, and be answered, through the doorbell: as long as nothing else works. */
static int handshake(struct hba_controller *c, struct mptsas *p, const char *name,
		     const void *request, size_t bytes, size_t least_bytes, union reply *ret_reply,
		     unsigned ms)
{
	const struct mpt_request *asked = request;
	int r;

	memset(ret_reply, 0, sizeof(*ret_reply));
	r = send_words(c, p, request, (unsigned)(bytes / MPT_WORD));
	if (r < 0)
		return hba_fail(c, r, "the firmware does not take %s through the doorbell (%#x)",
				name, state_of(p));
	r = receive_words(c, p, ret_reply, ms);
	if (r < 0)
		return hba_fail(c, r, "the firmware does not answer %s through the doorbell (%#x)",
				name, state_of(p));
	if (ret_reply->head.function != asked->function ||
	    ret_reply->head.words * (size_t)MPT_WORD < least_bytes)
		return hba_fail(c, -EIO, "the firmware answers %s by function %#x in %u words",
				name, ret_reply->head.function, ret_reply->head.words);
	if (status_of(ret_reply) != MPT_SUCCESS)
		return hba_fail(c, -EIO, "the firmware refuses %s: IOC status %#x", name,
				status_of(ret_reply));
	return 0;
}

/* ---- resets */

static bool open_diagnostic(struct hba_controller *c, struct mptsas *p)
{
	for (unsigned tries = 0; tries < KEY_TRIES; tries++) {
		for (size_t i = 0; i < ARRAY_SIZE(mpt_write_key); i++)
			hba_bar_write32(&p->bar, MPT_WRITE_SEQUENCE, mpt_write_key[i]);
		if (hba_wait_bar32(c, &p->bar, MPT_DIAGNOSTIC, MPT_DIAG_WRITE_ENABLE,
				   MPT_DIAG_WRITE_ENABLE, KEY_MS) == 0)
			return true;
	}
	return false;
}

/* Boots the firmware anew, whatever it did. */
static int diagnostic_reset(struct hba_controller *c, struct mptsas *p)
{
	int r;

	if (!open_diagnostic(c, p))
		return hba_fail(
			c, -EIO,
			"the controller does not let its diagnostic register be written (%#x)",
			state_of(p));
	hba_bar_write32(&p->bar, MPT_DIAGNOSTIC, MPT_DIAG_WRITE_ENABLE | MPT_DIAG_RESET_ADAPTER);
	r = wait_state(c, p, MPT_STATE_READY, BOOT_MS);
	hba_bar_write32(&p->bar, MPT_WRITE_SEQUENCE, MPT_WRITE_CLOSE);
	if (r < 0)
		return hba_fail(c, r,
				"the firmware does not become ready after a diagnostic reset (%#x)",
				state_of(p));
	if (state_of(p) & MPT_DOORBELL_IN_USE)
		return hba_fail(
			c, -EBUSY,
			"the doorbell still waits for a message that was begun before (%#x)",
			state_of(p));
	return 0;
}

static int message_unit_reset(struct hba_controller *c, struct mptsas *p)
{
	int r = write_doorbell(c, p, MPT_DOORBELL_MESSAGE_UNIT_RESET);

	return r < 0 ? r : wait_state(c, p, MPT_STATE_READY, RESET_MS);
}

static bool is_operational(const struct mptsas *p)
{
	return (state_of(p) & MPT_STATE_MASK) == MPT_STATE_OPERATIONAL;
}

static bool is_gone(const struct mptsas *p)
{
	return state_of(p) == UINT32_MAX;
}

/*
 * Ready, and nothing of ours or of others is left in it: SeaBIOS hands it over operational.
 * Firmware in state FAULT, or in the middle of somebody's handshake, hears nothing but a diagnostic
 * reset.
 */
static int reset(struct hba_controller *c, struct mptsas *p)
{
	uint32_t doorbell;

	hba_bar_write32(&p->bar, MPT_INTR_MASK, MPT_INTR_DOORBELL | MPT_INTR_REPLY);
	p->unmasked = false;
	if ((state_of(p) & MPT_STATE_MASK) == MPT_STATE_RESET) /* it boots still */
		(void)wait_state(c, p, MPT_STATE_READY, RESET_MS);
	doorbell = state_of(p);
	if (doorbell == UINT32_MAX)
		return hba_fail(c, -ENODEV, "the controller's registers are not there");
	if ((doorbell & MPT_STATE_MASK) == MPT_STATE_FAULT)
		hba_log(c, HBA_LOG_WARNING, "the firmware is in state FAULT, code %#x",
			doorbell & MPT_DOORBELL_DATA);
	else if (!(doorbell & MPT_DOORBELL_IN_USE) &&
		 (doorbell & MPT_STATE_MASK) != MPT_STATE_RESET && message_unit_reset(c, p) == 0)
		return 0;
	return is_gone(p) ? -ENODEV : diagnostic_reset(c, p);
}

/* ---- bring-up */

static int ask_facts(struct hba_controller *c, struct mptsas *p)
{
	const struct mpt_request request = { .function = MPT_IOC_FACTS };
	union reply reply;
	int r = handshake(c, p, "IOC FACTS", &request, sizeof(request), sizeof(reply.facts), &reply,
			  DOORBELL_MS);

	if (r == 0)
		p->facts = reply.facts;
	return r;
}

static int ask_port(struct hba_controller *c, struct mptsas *p)
{
	const struct mpt_port_request request = { .function = MPT_PORT_FACTS, .port = MPT_PORT };
	union reply reply;
	int r = handshake(c, p, "PORT FACTS", &request, sizeof(request), sizeof(reply.port), &reply,
			  DOORBELL_MS);

	if (r < 0)
		return r;
	if (reply.port.type != MPT_PORT_SAS ||
	    !(hba_get16(reply.port.protocols) & MPT_PORT_INITIATOR))
		return hba_fail(c, -EOPNOTSUPP, "port 0 is no SAS initiator (type %#x)",
				reply.port.type);
	p->initiator = hba_get16(reply.port.own_id);
	p->highest_target = least(hba_get16(reply.port.max_devices), TARGETS) - 1;
	return hba_get16(reply.port.max_devices) ? 0 : hba_fail(c, -EIO, "port 0 has no devices");
}

/* As many as fit into the FIFOs, both ways, beside messages of our own. */
static unsigned tasks_of(const struct mptsas *p)
{
	uint64_t fifo = least(hba_get16(p->facts.credits), hba_get16(p->facts.reply_depth));

	return fifo > OWN_REQUESTS ? (unsigned)least(fifo - OWN_REQUESTS, MOST_TASKS) : 0;
}

/*
 * The first chain element takes the last place in the frame, each further one the last of its
 * buffer.
 */
static unsigned segments_of(const struct mptsas *p)
{
	unsigned chains = (unsigned)least(p->facts.max_chain_depth, CHAINS);

	return chains ? IN_FRAME - 1 + (chains - 1) * (IN_CHAIN - 1) + IN_CHAIN : IN_FRAME;
}

static void report_abilities(const struct mptsas *p, struct hba_report *r)
{
	unsigned segments = segments_of(p);

	r->initiator_id = p->initiator;
	r->highest_target_id = p->highest_target;
	r->highest_lun = UINT8_MAX;
	r->max_tasks = p->tasks - INTERNAL - TMFS;
	r->internal_tasks = INTERNAL;
	r->manages_devices = false;
	r->performs_autosense = true;
	r->control_address_bits = CONTROL_BITS;
	r->hba_data_same_4g = true;
	r->constraints = (struct hba_constraints) {
		.max_segments_read = segments,
		.max_segments_write = segments,
		.max_segment_bytes_read = 1U << 20,
		.max_segment_bytes_write = 1U << 20,
		.hba_data_mask = ~(uint64_t)(MPT_REQUEST_BYTES - 1),
		.alignment = 1,
		.address_bits = 64,
	};
}

static int mptsas_initialize(struct hba_controller *c, struct hba_report *r)
{
	struct mptsas *p = hba_controller_priv(c);
	int err = hba_bar_map(c, MPT_BAR, &p->bar);

	if (err == 0)
		err = reset(c, p);
	if (err == 0)
		err = ask_facts(c, p);
	if (err == 0)
		err = ask_port(c, p);
	if (err < 0)
		return err;
	p->tasks = tasks_of(p);
	p->replies = (unsigned)least(hba_get16(p->facts.reply_depth), MOST_REPLIES);
	if (p->tasks <= INTERNAL + TMFS ||
	    hba_get16(p->facts.request_words) * MPT_WORD < MPT_REQUEST_BYTES)
		return hba_fail(c, -EIO,
				"the firmware takes %u requests of %u words, too few or too small "
				"to work with",
				hba_get16(p->facts.credits), hba_get16(p->facts.request_words));
	report_abilities(p, r);
	err = hba_mapping_create(c, HBA_DEVICE_BOTH, sizeof(*p->own), MPT_REQUEST_BYTES,
				 &p->own_mapping);
	if (err < 0)
		return err;
	p->own = hba_mapping_address(p->own_mapping);
	p->own_iova = hba_mapping_iova(p->own_mapping);
	return 0;
}

/* What is the same in every command of a task. */
static int mptsas_map_hba_data(struct hba_controller *c, struct hba_task *t, uint32_t *ret_id)
{
	struct mptsas_data *d = t->hba_data;
	uint64_t sense = hba_iova_at(t->hba_iova, offsetof(struct mptsas_data, sense)).bus;

	(void)c;
	if (t->kind != HBA_TASK_TMF)
		d->request.io = (struct mpt_scsi_io) {
			.function = MPT_SCSI_IO,
			.sense_len = SENSE,
			.sense_low = hba_le32_of((uint32_t)sense),
		};
	*ret_id = t->slot + 1U;
	return 0;
}

static int init(struct hba_controller *c, struct mptsas *p)
{
	const struct mpt_ioc_init request = {
		.who = MPT_WHO_HOST_DRIVER,
		.function = MPT_IOC_INIT,
		.max_devices = p->facts.max_devices,
		.max_buses = p->facts.max_buses,
		.reply_frame_bytes = hba_le16_of(MPT_REPLY_BYTES),
		.version = hba_le16_of(MPT_VERSION),
	};
	union reply reply;
	int r = handshake(c, p, "IOC INIT", &request, sizeof(request), sizeof(reply.head), &reply,
			  DOORBELL_MS);

	if (r < 0)
		return r;
	r = wait_state(c, p, MPT_STATE_OPERATIONAL, DOORBELL_MS);
	return r < 0 ? hba_fail(c, r,
				"the firmware does not become operational after IOC INIT (%#x)",
				state_of(p))
		     : 0;
}

/* Discovery begins; its end is an event. */
static int enable_port(struct hba_controller *c, struct mptsas *p)
{
	const struct mpt_port_request request = { .function = MPT_PORT_ENABLE, .port = MPT_PORT };
	union reply reply;

	return handshake(c, p, "PORT ENABLE", &request, sizeof(request), sizeof(reply.head), &reply,
			 PORT_MS);
}

static uint32_t own_address(const struct mptsas *p, const void *place)
{
	return (uint32_t)hba_iova_at(p->own_iova,
				     (uint64_t)((const uint8_t *)place - (const uint8_t *)p->own))
		.bus;
}

static void lend_reply(struct mptsas *p, unsigned i)
{
	p->lent[i] = true;
	hba_bar_write32(&p->bar, MPT_REPLY_FIFO, own_address(p, p->own->reply[i]));
}

/* The frame, its context last, then the register that shows it. */
static void post(struct mptsas *p, enum mpt_reg fifo, hba_le32 *context_place, uint32_t context,
		 uint32_t address)
{
	hba_publish32(context_place, context);
	hba_bar_write32(&p->bar, fifo, address);
}

static void post_own(struct mptsas *p, enum own kind, uint32_t context)
{
	unsigned i = (unsigned)kind - OWN;

	post(p, MPT_REQUEST_FIFO, &((struct mpt_request *)(void *)&p->own->request[i])->context,
	     context, own_address(p, &p->own->request[i]));
}

/*
 * Answers come as reply frames with its context, one for each event, as long as the firmware is
 * operational.
 */
static void want_events(struct mptsas *p)
{
	p->own->request[EVENTS - OWN].events =
		(struct mpt_event_request) { .on = true, .function = MPT_EVENT_NOTIFICATION };
	post_own(p, EVENTS, EVENTS);
}

static void forget_messages(struct mptsas *p)
{
	p->out = p->first_ack = p->n_acks = 0;
	p->ack_out = false;
	p->tmf = NULL;
	p->tmf_context = p->config_context = p->bus_reset_context = 0;
	memset(p->lent, 0, sizeof(p->lent));
}

static int mptsas_describe(struct hba_controller *c, struct mptsas *p);

/* Firmware that was booted anew may be another. */
static int look_at_facts_again(struct hba_controller *c, struct mptsas *p)
{
	int r = ask_facts(c, p);

	if (r < 0 || tasks_of(p) >= p->tasks)
		return r;
	if (tasks_of(p) <= INTERNAL + TMFS)
		return hba_fail(
			c, -EIO,
			"the firmware takes %u requests after the reset, too few to work with",
			hba_get16(p->facts.credits));
	return hba_lower(c, tasks_of(p) - INTERNAL - TMFS);
}

static int mptsas_start(struct hba_controller *c)
{
	struct mptsas *p = hba_controller_priv(c);
	int r = 0;

	forget_messages(p);
	if ((state_of(p) & (MPT_STATE_MASK | MPT_DOORBELL_IN_USE)) != MPT_STATE_READY)
		r = reset(c, p);
	if (r == 0 && p->described)
		r = look_at_facts_again(c, p);
	if (r == 0)
		r = hba_bus_master_on(c);
	if (r == 0)
		r = init(c, p);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < p->replies; i++)
		lend_reply(p, i);
	r = enable_port(c, p);
	if (r < 0)
		return r;
	want_events(p);
	hba_vector_bind(hba_controller_queue(c, 0), 0); /* without one we are polled */
	return mptsas_describe(c, p);
}

/* ---- sending */

static struct mpt_sge element(uint32_t flags_length, uint64_t address)
{
	return (struct mpt_sge) { hba_le32_of(flags_length), hba_le32_of((uint32_t)address),
				  hba_le32_of((uint32_t)(address >> 32)) };
}

/*
 * The element that leads to chain buffer `j`, in which `left` segments are to go, or as many of
 * them as fit.
 */
static struct mpt_sge chain_element(const struct hba_task *t, unsigned j, uint32_t left)
{
	uint64_t at = hba_iova_at(t->hba_iova, offsetof(struct mptsas_data, chain) +
						       j * sizeof(struct mpt_sge[IN_CHAIN]))
			      .bus;
	uint32_t elements = left < IN_CHAIN ? left : IN_CHAIN;
	uint32_t next = left > IN_CHAIN ? (IN_CHAIN - 1) * ELEMENT_WORDS : 0;

	return element(MPT_SGE_CHAIN | MPT_SGE_64_BIT | next << MPT_SGE_NEXT_CHAIN_SHIFT |
			       elements * (uint32_t)sizeof(struct mpt_sge),
		       at);
}

static void put_segments(struct mpt_sge *e, const struct hba_segment *s, uint32_t n, uint32_t flags,
			 uint32_t last)
{
	for (uint32_t i = 0; i < n; i++)
		e[i] = element(flags | (uint32_t)s[i].length | (i == n - 1 ? last : 0),
			       s[i].iova.bus);
}

/* In the frame as far as they fit, then from one chain buffer to the next. */
static void put_list(struct mptsas_data *d, const struct hba_task *t)
{
	const uint32_t end = MPT_SGE_LAST | MPT_SGE_END_OF_BUFFER | MPT_SGE_END_OF_LIST;
	const uint32_t flags = MPT_SGE_SIMPLE | MPT_SGE_64_BIT |
			       (t->direction == HBA_TO_TARGET ? MPT_SGE_TO_DEVICE : 0);
	struct mpt_sge *e = d->request.io.sge;
	uint32_t room = IN_FRAME, at = 0, left = t->n_data;

	d->request.io.chain_offset =
		left > IN_FRAME ? MPT_IO_HEAD / MPT_WORD + (IN_FRAME - 1) * ELEMENT_WORDS : 0;
	for (unsigned j = 0; left > room; j++) {
		put_segments(e, t->data.segments + at, room - 1, flags, MPT_SGE_LAST);
		at += room - 1;
		left -= room - 1;
		e[room - 1] = chain_element(t, j, left);
		e = d->chain[j];
		room = IN_CHAIN;
	}
	if (left)
		put_segments(e, t->data.segments + at, left, flags, end);
	else
		e[0] = element(flags | end, 0);
}

static void mptsas_process_task(struct hba_queue *q, struct hba_task *t)
{
	static const uint32_t attribute[] = { [HBA_SIMPLE] = MPT_IO_SIMPLE,
					      [HBA_ORDERED] = MPT_IO_ORDERED,
					      [HBA_HEAD_OF_QUEUE] = MPT_IO_HEAD_OF_QUEUE,
					      [HBA_ACA] = MPT_IO_ACA };
	static const uint32_t direction[] = { [HBA_NO_DATA] = 0,
					      [HBA_TO_TARGET] = MPT_IO_TO_DEVICE,
					      [HBA_FROM_TARGET] = MPT_IO_TO_HOST };
	struct mptsas *p = mptsas_of(q);
	struct mptsas_data *d = t->hba_data;
	struct mpt_scsi_io *io = &d->request.io;

	io->target = (uint8_t)t->target;
	io->cdb_len = t->cdb_len;
	memcpy(io->lun, t->lun.bytes, sizeof(io->lun));
	memcpy(io->cdb, t->cdb, sizeof(io->cdb));
	io->control = hba_le32_of(direction[t->direction] | attribute[t->attribute]);
	io->data_len = hba_le32_of((uint32_t)t->length);
	put_list(d, t);
	p->out++;
	post(p, MPT_REQUEST_FIFO, &io->context, context_of(t), (uint32_t)t->hba_iova.bus);
}

/* ---- receiving: commands */

/*
 * What is not in the table was a fault on the way: the device is well, the command may have been
 * begun.
 */
static const struct outcome {
	enum mpt_status status;
	enum hba_outcome outcome; /* 0: the target has answered, its status counts */
	enum hba_sent sent;
} outcomes[] = {
	{ MPT_SUCCESS, 0, HBA_SENT_YES },
	{ MPT_SCSI_UNDERRUN, 0, HBA_SENT_YES },
	{ MPT_SCSI_RECOVERED_ERROR, 0, HBA_SENT_YES },
	{ MPT_SCSI_OVERRUN, 0, HBA_SENT_YES },
	{ MPT_SCSI_NO_DEVICE, HBA_NOT_PRESENT, HBA_SENT_MAYBE },
	{ MPT_SCSI_INVALID_TARGET, HBA_NOT_PRESENT, HBA_SENT_NO },
	{ MPT_SCSI_INVALID_BUS, HBA_NOT_PRESENT, HBA_SENT_NO },
	{ MPT_BUSY, HBA_NOT_DELIVERED, HBA_SENT_NO },
	{ MPT_INVALID_FUNCTION, HBA_NOT_DELIVERED, HBA_SENT_NO },
	{ MPT_INVALID_SGL, HBA_NOT_DELIVERED, HBA_SENT_NO },
	{ MPT_INVALID_FIELD, HBA_NOT_DELIVERED, HBA_SENT_NO },
	{ MPT_INVALID_STATE, HBA_NOT_DELIVERED, HBA_SENT_NO },
	{ MPT_INSUFFICIENT_RESOURCES, HBA_NOT_DELIVERED, HBA_SENT_NO },
	{ MPT_SCSI_DATA_ERROR, HBA_NOT_DELIVERED, HBA_SENT_YES },
	{ MPT_SCSI_RESIDUAL_MISMATCH, HBA_NOT_DELIVERED, HBA_SENT_YES },
};

static struct outcome outcome_of(const union reply *r)
{
	struct outcome o = { .outcome = HBA_NOT_DELIVERED, .sent = HBA_SENT_MAYBE };

	for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++)
		if (outcomes[i].status == status_of(r))
			o = outcomes[i];
	/* The target was reached, but what it said of its end did not come back. */
	if (!o.outcome && (r->io.head.scsi_state & (MPT_STATE_NO_STATUS | MPT_STATE_TERMINATED)))
		o.outcome = HBA_NOT_DELIVERED;
	return o;
}

static struct hba_result translate(const union reply *r, const struct hba_task *t)
{
	struct outcome o = outcome_of(r);
	struct hba_result result = { .outcome = o.outcome, .sent = o.sent };

	if (o.outcome)
		return result;
	result.outcome = HBA_OUTCOME(HBA_TASK_COMPLETE, r->io.head.scsi_status);
	result.bytes = least(hba_get32(r->io.moved), t->length);
	if (result.outcome == HBA_CHECK_CONDITION &&
	    (r->io.head.scsi_state & MPT_STATE_SENSE_VALID)) {
		result.sense = ((struct mptsas_data *)t->hba_data)->sense;
		result.sense_len = (uint8_t)least(hba_get32(r->io.sense_count), SENSE);
	}
	return result;
}

/*
 * By its id, if it is still the same command: contexts hold what there is room for of a generation.
 */
static struct hba_task *task_of_context(struct hba_queue *q, uint32_t context)
{
	struct hba_task *t = hba_task_by_id(q, context & ID_MASK);

	if (!t || context_of(t) == context)
		return t;
	hba_device_error(hba_queue_controller(q),
			 "the firmware answers context %#x, a command that has ended", context);
	return NULL;
}

static void mptsas_complete(struct hba_queue *q, struct mptsas *p, uint32_t context,
			    const union reply *r)
{
	struct hba_task *t = task_of_context(q, context);
	struct hba_result result;

	if (!t)
		return;
	if (r && r->head.function != MPT_SCSI_IO) {
		hba_device_error(hba_queue_controller(q),
				 "the firmware answers the task with unique id %u by function %#x",
				 t->unique_id, r->head.function);
		return;
	}
	p->out--;
	if (!r) {
		hba_complete_good(t, t->length);
		return;
	}
	result = translate(r, t);
	hba_complete(t, &result);
}

/* ---- receiving: events */

static void set_port(struct hba_controller *c, struct mptsas *p)
{
	bool up = false;

	for (unsigned i = 0; i < PHYS; i++)
		up = up || p->phy[i].up;
	hba_port_status(c, up ? HBA_PORT_ONLINE : HBA_PORT_OFFLINE);
}

/* A wide port is cut off when its last link is; what no phy leads to is not known to be. */
static bool is_cut_off(const struct mptsas *p, uint16_t link)
{
	bool down = false;

	for (unsigned i = 0; i < PHYS; i++)
		if (p->phy[i].handle == link) {
			if (p->phy[i].up)
				return false;
			down = true;
		}
	return down;
}

static void block_behind(struct hba_controller *c, const struct mptsas *p, uint16_t link)
{
	for (unsigned i = 0; link && i < TARGETS; i++)
		if (p->link[i] == link)
			/* -ENOENT: it has left meanwhile */
			(void)hba_target_block(c, i, is_cut_off(p, link));
}

/* A phy that is down may have no handle in the event: it led where it led before. */
static void link_changed(struct hba_controller *c, struct mptsas *p, const struct mpt_link_event *e)
{
	uint16_t handle = hba_get16(e->handle), before;

	if (e->phy >= PHYS) {
		hba_device_error(c, "the firmware reported an event of phy %u, above %u", e->phy,
				 PHYS - 1);
		return;
	}
	before = p->phy[e->phy].handle;
	p->phy[e->phy].handle = handle ? handle : before;
	p->phy[e->phy].up = e->rates >> 4 >= MPT_RATE_LOWEST;
	set_port(c, p);
	block_behind(c, p, p->phy[e->phy].handle);
	if (before != p->phy[e->phy].handle)
		block_behind(c, p, before);
}

/*
 * SAS addresses are written from the most significant byte on; the firmware's begin with the least.
 */
static struct hba_property sas_address(const uint8_t address[8], uint8_t bytes[8])
{
	for (unsigned i = 0; i < 8; i++)
		bytes[i] = address[7 - i];
	return (struct hba_property) {
		.key = "SAS Address", .type = HBA_BYTES, .value.bytes = bytes, .length = 8
	};
}

static bool is_attached(const struct mptsas *p, uint16_t handle)
{
	for (unsigned i = 0; i < PHYS; i++)
		if (p->phy[i].handle == handle)
			return true;
	return false;
}

static bool is_ours(const struct mptsas *p, uint16_t handle)
{
	for (unsigned i = 0; i < PHYS; i++)
		if (p->phy[i].own_handle == handle)
			return true;
	return false;
}

/*
 * Pages cannot be read here: no more is known than what the event says. A new target's are read
 * when it is initialised.
 */
static uint16_t link_of_event(const struct mptsas *p, const struct mpt_device_event *e)
{
	uint16_t handle = hba_get16(e->handle), parent = hba_get16(e->parent);

	return !parent || is_attached(p, handle) || is_ours(p, parent) ? handle : parent;
}

static void device_added(struct hba_controller *c, struct mptsas *p,
			 const struct mpt_device_event *e)
{
	uint8_t bytes[8];
	const struct hba_property properties[] = { sas_address(e->address, bytes), { 0 } };

	p->link[e->target] = link_of_event(p, e);
	if (hba_target_create(c, e->target, properties) == 1)
		hba_luns_changed(c, e->target);
}

static void device_changed(struct hba_controller *c, struct mptsas *p,
			   const struct mpt_device_event *e)
{
	if (e->bus != 0 || e->target > p->highest_target || e->target == p->initiator) {
		hba_device_error(c,
				 "the firmware reported an event of target %u on bus %u, which "
				 "does not exist",
				 e->target, e->bus);
		return;
	}
	switch (e->reason) {
	case MPT_DEVICE_ADDED:
	case MPT_DEVICE_ADDED_UNMAPPED:
		device_added(c, p, e);
		break;
	case MPT_DEVICE_NOT_RESPONDING:
		p->link[e->target] = 0;
		(void)hba_target_destroy(c, e->target); /* -ENOENT: nobody knew it */
		break;
	case MPT_DEVICE_SMART:
		hba_log(c, HBA_LOG_WARNING,
			"target %u foresees its failure: additional sense %02x/%02x", e->target,
			e->asc, e->ascq);
		break;
	default:
		break;
	}
}

static void take_event(struct hba_controller *c, struct mptsas *p, const struct mpt_event *e)
{
	struct mpt_device_event device;
	struct mpt_link_event link;

	switch (hba_get32(e->event)) {
	case MPT_EVENT_SAS_DEVICE:
		memcpy(&device, e->data, sizeof(device));
		device_changed(c, p, &device);
		break;
	case MPT_EVENT_SAS_PHY_LINK:
		memcpy(&link, e->data, sizeof(link));
		link_changed(c, p, &link);
		break;
	case MPT_EVENT_RESCAN:
		hba_luns_changed(c, HBA_ANY_TARGET);
		break;
	case MPT_EVENT_EXT_BUS_RESET:
		hba_bus_reset_seen(c);
		break;
	default:
		break;
	}
}

/*
 * One at a time. The event's reply frame waits with it: so there are never more of them than
 * frames.
 */
static void send_ack(struct mptsas *p)
{
	if (p->ack_out || !p->n_acks)
		return;
	p->own->request[ACK - OWN].ack = (struct mpt_event_ack) {
		.function = MPT_EVENT_ACK,
		.event = hba_le32_of(p->acks[p->first_ack].event),
		.event_context = hba_le32_of(p->acks[p->first_ack].context),
	};
	post_own(p, ACK, ACK);
	p->ack_out = true;
	lend_reply(p, p->acks[p->first_ack].frame);
	p->first_ack = (p->first_ack + 1) % MOST_REPLIES;
	p->n_acks--;
}

/* Returns whether its frame is kept. */
static bool note_event(struct hba_controller *c, struct mptsas *p, const struct mpt_event *e,
		       unsigned frame)
{
	unsigned place = (p->first_ack + p->n_acks) % MOST_REPLIES;

	if (e->head.function != MPT_EVENT_NOTIFICATION) {
		hba_device_error(c, "the firmware answers EVENT NOTIFICATION by function %#x",
				 e->head.function);
		return false;
	}
	take_event(c, p, e);
	if (!e->head.ack)
		return false;
	p->acks[place].event = hba_get32(e->event);
	p->acks[place].context = hba_get32(e->event_context);
	p->acks[place].frame = frame;
	p->n_acks++;
	send_ack(p);
	return true;
}

/* ---- receiving: all else */

static enum hba_service_response response_of(const struct mpt_task_mgmt_reply *r)
{
	if ((hba_get16(r->head.status) & MPT_STATUS_MASK) != MPT_SUCCESS)
		return HBA_DELIVERY_FAILURE;
	switch (r->head.response) {
	case MPT_TM_COMPLETE:
	case MPT_TM_SUCCEEDED:
		return HBA_FUNCTION_COMPLETE;
	case MPT_TM_NOT_SUPPORTED:
		return HBA_FUNCTION_REJECTED;
	default:
		return HBA_DELIVERY_FAILURE;
	}
}

static void finish_tmf(struct mptsas *p, const union reply *r)
{
	struct hba_task *t = p->tmf;

	p->tmf = NULL;
	p->tmf_context = 0;
	p->out--;
	hba_tmf_complete(t, response_of(&r->tmf));
}

static void refuse(struct hba_controller *c, uint32_t context)
{
	hba_device_error(c, "the firmware answers context %#x, which no message of the driver has",
			 context);
}

/*
 * An answer to a message of the driver's own; NULL: by its context alone. Returns whether its frame
 * is kept.
 */
static bool take_own(struct hba_queue *q, struct mptsas *p, uint32_t context, const union reply *r,
		     unsigned frame)
{
	struct hba_controller *c = hba_queue_controller(q);

	if (context == EVENTS && r)
		return note_event(c, p, &r->event, frame);
	if (context == ACK && p->ack_out) {
		p->ack_out = false;
		send_ack(p);
	} else if (context == p->tmf_context && r && r->head.function == MPT_SCSI_TASK_MGMT) {
		finish_tmf(p, r);
	} else if (context == p->bus_reset_context && r && r->head.function == MPT_SCSI_TASK_MGMT) {
		p->bus_reset_context = 0;
		p->bus_reset = r->tmf;
	} else if (context == p->config_context && r && r->head.function == MPT_CONFIG) {
		p->config_context = 0;
		p->config = r->config;
	} else {
		refuse(c, context);
	}
	return false;
}

/* Which frame is at that address; `replies`: none of those that the firmware has. */
static unsigned frame_at(const struct mptsas *p, uint32_t posted)
{
	uint32_t offset = (posted << 1) - own_address(p, p->own->reply),
		 i = offset / MPT_REPLY_BYTES;

	return offset % MPT_REPLY_BYTES || i >= p->replies || !p->lent[i] ? p->replies : i;
}

static void take_frame(struct hba_queue *q, struct mptsas *p, uint32_t posted)
{
	unsigned i = frame_at(p, posted);
	union reply r;
	size_t said;
	uint32_t context;
	bool kept = false;

	if (i == p->replies) {
		hba_device_error(
			hba_queue_controller(q),
			"the firmware posts a reply frame at %#x, which is none that it has",
			posted << 1);
		return;
	}
	p->lent[i] = false;
	/*
	 * Copied once, then believed no further than checked; beyond what was written lies an older
	 * reply.
	 */
	memcpy(&r, p->own->reply[i], sizeof(r));
	said = r.head.words * (size_t)MPT_WORD;
	if (said < sizeof(r))
		memset(r.bytes + said, 0, sizeof(r) - said);
	context = hba_get32(r.head.context);
	if (context & OWN)
		kept = take_own(q, p, context, &r, i);
	else
		mptsas_complete(q, p, context, &r);
	if (!kept)
		lend_reply(p, i);
}

/*
 * Each read takes one out of the FIFO and waits for the chip: so none is made for what cannot be
 * there.
 */
static unsigned drain(struct hba_queue *q, struct mptsas *p, unsigned budget)
{
	unsigned n = 0;
	uint32_t posted;

	while (n < budget) {
		posted = hba_bar_read32(&p->bar, MPT_REPLY_FIFO);
		if (posted == MPT_REPLY_NONE)
			break;
		if (posted & MPT_REPLY_IS_FRAME)
			take_frame(q, p, posted);
		else if (posted & OWN)
			take_own(q, p, posted, NULL, 0);
		else
			mptsas_complete(q, p, posted, NULL);
		n++;
		if (!p->out)
			break;
	}
	return n;
}

static void unmask(struct mptsas *p, bool on)
{
	if (on != p->unmasked)
		hba_bar_write32(&p->bar, MPT_INTR_MASK,
				MPT_INTR_DOORBELL | (on ? 0 : MPT_INTR_REPLY));
	p->unmasked = on;
}

static unsigned mptsas_poll(struct hba_queue *q, unsigned budget)
{
	struct mptsas *p = mptsas_of(q);
	unsigned n = drain(q, p, budget);

	if (n)
		unmask(p, false);
	return n;
}

/*
 * Off is put off till there is a reply: a sleeper that is woken for another reason, and sleeps
 * again, costs no write.
 */
static int mptsas_interrupts(struct hba_queue *q, bool on)
{
	struct mptsas *p = mptsas_of(q);

	if (!on)
		return 0;
	unmask(p, true);
	return (hba_bar_read32(&p->bar, MPT_INTR_STATUS) & MPT_INTR_REPLY) != 0;
}

/*
 * ---- configuration pages, in waiting ops: all queues are fenced, and replies that come meanwhile
 * are taken here
 */

static bool config_done(struct hba_controller *c, void *arg)
{
	struct mptsas *p = arg;

	(void)drain(hba_controller_queue(c, 0), p, p->replies);
	return !p->config_context;
}

static int ask_config(struct hba_controller *c, struct mptsas *p, struct mpt_config request)
{
	int r;

	/*
	 * Firmware that has not answered may still write the page: neither it nor the frame is used
	 * again before an answer or a reset.
	 */
	if (p->config_context && !config_done(c, p))
		return -ETIMEDOUT;
	request.function = MPT_CONFIG;
	p->own->request[CONFIG - OWN].config = request;
	p->config_context = next_context(p, CONFIG);
	post_own(p, CONFIG, p->config_context);
	r = hba_wait_for(c, config_done, p, CONFIG_MS);
	if (r < 0)
		return r;
	return (hba_get16(p->config.head.status) & MPT_STATUS_MASK) == MPT_SUCCESS ? 0 : -ENOENT;
}

/*
 * Its header, which says how long it is, then the page; what is missing at its end is zero.
 * -ENOENT: there is no such page.
 */
static int read_page(struct hba_controller *c, struct mptsas *p, uint8_t type, uint8_t number,
		     uint32_t address, void *page, size_t bytes)
{
	const bool extended = type > MPT_PAGE_EXTENDED;
	struct mpt_config request = {
		.action = MPT_CONFIG_HEADER,
		.ext_type = extended ? type : 0,
		.type = extended ? MPT_PAGE_EXTENDED : type,
		.number = number,
		.address = hba_le32_of(address),
		.buffer = element(MPT_SGE_SIMPLE | MPT_SGE_64_BIT | MPT_SGE_LAST |
					  MPT_SGE_END_OF_BUFFER | MPT_SGE_END_OF_LIST,
				  0),
	};
	size_t there;
	int r = ask_config(c, p, request);

	if (r < 0)
		return r;
	there = least((extended ? hba_get16(p->config.head.ext_length) : p->config.length) *
			      (size_t)MPT_WORD,
		      PAGE_BYTES);
	request.action = MPT_CONFIG_READ;
	request.version = p->config.version;
	request.length = p->config.length;
	request.ext_length = p->config.head.ext_length;
	request.buffer = element(hba_get32(request.buffer.flags_length) | (uint32_t)there,
				 own_address(p, p->own->page));
	memset(p->own->page, 0, PAGE_BYTES);
	r = ask_config(c, p, request);
	if (r == 0)
		memcpy(page, p->own->page, bytes);
	return r;
}

static int set_text(struct hba_controller *c, const char *key, const char *text, size_t bytes)
{
	char copy[sizeof(((struct mpt_manufacturing_0 *)0)->chip) + 1] = "";
	const struct hba_property p = { .key = key, .type = HBA_STRING, .value.string = copy };

	memcpy(copy, text, bytes);
	for (size_t n = strlen(copy); n && (copy[n - 1] == ' ' || copy[n - 1] == '\0'); n--)
		copy[n - 1] = '\0';
	for (char *s = copy; *s; s++)
		if (*s < ' ' || *s > '~')
			*s = '?';
	return copy[0] ? hba_set_property(c, NULL, &p) : 0;
}

static int set_firmware_version(struct hba_controller *c, const struct mptsas *p)
{
	char version[16];
	const struct hba_property property = { .key = "Product Revision Level",
					       .type = HBA_STRING,
					       .value.string = version };

	snprintf(version, sizeof(version), "%u.%02u.%02u.%02u", p->facts.firmware_major,
		 p->facts.firmware_minor, p->facts.firmware_unit, p->facts.firmware_dev);
	return hba_set_property(c, NULL, &property);
}

static const uint8_t no_address[8];

/* A page that is not there has nothing to say; that the firmware does not answer is an error. */
static int describe_controller(struct hba_controller *c, struct mptsas *p)
{
	const struct hba_property vendor = { .key = "Vendor Name",
					     .type = HBA_STRING,
					     .value.string = "LSI Logic" };
	struct mpt_manufacturing_0 board;
	struct mpt_manufacturing_5 name;
	struct hba_property address;
	uint8_t bytes[8];
	int r = hba_set_property(c, NULL, &vendor);

	if (r == 0)
		r = set_firmware_version(c, p);
	if (r == 0)
		r = read_page(c, p, MPT_PAGE_MANUFACTURING, 0, 0, &board, sizeof(board));
	if (r == 0) {
		set_text(c, "Product Name", board.board, sizeof(board.board));
		set_text(c, "Chip Name", board.chip, sizeof(board.chip));
		set_text(c, "Chip Revision", board.chip_revision, sizeof(board.chip_revision));
		set_text(c, "Board Assembly", board.assembly, sizeof(board.assembly));
		set_text(c, "Board Tracer Number", board.tracer, sizeof(board.tracer));
	}
	if (r == 0 || r == -ENOENT)
		r = read_page(c, p, MPT_PAGE_MANUFACTURING, 5, 0, &name, sizeof(name));
	if (r == 0 && memcmp(name.base_wwid, no_address, sizeof(no_address)) != 0) {
		address = sas_address(name.base_wwid, bytes);
		r = hba_set_property(c, NULL, &address);
	}
	return r == -ENOENT ? 0 : r;
}

/* A phy that is down leads nowhere, says the page; where it led before is kept. */
static void take_links(struct mptsas *p, const struct mpt_sas_io_unit_0 *page)
{
	for (unsigned i = 0; i < PHYS; i++) {
		const struct mpt_phy *phy = &page->phy[i];
		uint16_t handle = i < page->phys ? hba_get16(phy->handle) : 0;

		if (handle)
			p->phy[i].handle = handle;
		p->phy[i].own_handle = i < page->phys ? hba_get16(phy->own_handle) : 0;
		p->phy[i].up = i < page->phys && phy->rate >= MPT_RATE_LOWEST;
	}
}

/* No command is out: so replies are taken one at a time, and an event behind the page after it. */
static int read_links(struct hba_controller *c, struct mptsas *p)
{
	static const char *const speeds[] = {
		[MPT_RATE_1_5] = "1.5 Gbit/s", [MPT_RATE_3_0] = "3 Gbit/s"
	};
	struct hba_property speed = { .key = "Port Speed", .type = HBA_STRING };
	struct mpt_sas_io_unit_0 page;
	unsigned best = 0;
	int r = read_page(c, p, MPT_PAGE_SAS_IO_UNIT, 0, 0, &page, sizeof(page));

	if (r < 0) {
		memset(p->phy, 0, sizeof(p->phy));
		return r == -ENOENT ? 0 : r;
	}
	take_links(p, &page);
	for (unsigned i = 0; i < page.phys && i < PHYS; i++)
		if (page.phy[i].rate > best && page.phy[i].rate < ARRAY_SIZE(speeds))
			best = page.phy[i].rate;
	set_port(c, p);
	speed.value.string = speeds[best];
	return speeds[best] ? hba_set_property(c, NULL, &speed) : 0;
}

/*
 * From the device up to what a phy of ours leads to. An expander without a page is taken for that.
 */
static int find_link(struct hba_controller *c, struct mptsas *p, struct mpt_sas_device_0 page,
		     uint16_t *ret_link)
{
	uint16_t handle = hba_get16(page.handle), parent;

	for (unsigned i = 0; i < LEVELS; i++) {
		int r;

		*ret_link = handle;
		parent = hba_get16(page.parent);
		if (!parent || is_attached(p, handle) || is_ours(p, parent))
			return 0;
		handle = parent;
		r = read_page(c, p, MPT_PAGE_SAS_DEVICE, 0, MPT_PAGE_BY_HANDLE | handle, &page,
			      sizeof(page));
		if (r == -ENOENT)
			page.parent = hba_le16_of(0);
		else if (r < 0)
			return r;
	}
	*ret_link = 0;
	return 0;
}

/* A target of which the firmware has no page may be there all the same: INQUIRY finds out. */
static int look_at_target(struct hba_controller *c, struct mptsas *p, struct hba_target *tgt,
			  uint64_t id)
{
	struct hba_property address;
	struct mpt_sas_device_0 page;
	uint16_t link = 0;
	uint8_t bytes[8];
	int r = read_page(c, p, MPT_PAGE_SAS_DEVICE, 0, MPT_PAGE_BY_TARGET | (uint32_t)id, &page,
			  sizeof(page));

	p->link[id] = 0;
	if (r == 0)
		r = find_link(c, p, page, &link);
	if (r < 0)
		return r == -ENOENT
			       ? 0
			       : hba_fail(c, r,
					  "the firmware does not answer a request about target %u",
					  (unsigned)id);
	p->link[id] = link;
	if (memcmp(page.address, no_address, sizeof(no_address)) == 0)
		return 0;
	address = sas_address(page.address, bytes);
	return hba_set_property(c, tgt, &address);
}

/*
 * Firmware that was reset has found its devices anew. One that it does not know is not waited for.
 */
static int look_at_targets_again(struct hba_controller *c, struct mptsas *p)
{
	int r = 0;

	for (unsigned i = 0; i < TARGETS && r == 0; i++) {
		struct hba_target *tgt = hba_target_find(c, i);

		if (!tgt)
			continue;
		r = look_at_target(c, p, tgt, i);
		if (r == 0)
			(void)hba_target_block(c, i, p->link[i] && is_cut_off(p, p->link[i]));
	}
	return r;
}

static int mptsas_describe(struct hba_controller *c, struct mptsas *p)
{
	int r = p->described ? 0 : describe_controller(c, p);

	if (r == 0)
		r = read_links(c, p);
	if (r < 0)
		return hba_fail(
			c, r,
			"the firmware does not answer a request for its configuration pages (%#x)",
			state_of(p));
	p->described = true;
	return look_at_targets_again(c, p);
}

static int mptsas_initialize_target(struct hba_controller *c, struct hba_target *tgt,
				    struct hba_target_report *report)
{
	(void)report;
	return look_at_target(c, hba_controller_priv(c), tgt, hba_target_id(tgt));
}

static void mptsas_release_target(struct hba_controller *c, struct hba_target *tgt)
{
	struct mptsas *p = hba_controller_priv(c);

	p->link[hba_target_id(tgt)] = 0;
}

/* ---- recovery and end */

static void post_tmf(struct mptsas *p, struct mptsas_data *d, uint32_t address)
{
	bool urgent = hba_get32(p->facts.capabilities) & MPT_CAPABLE_OF_URGENT;

	p->tmf_context = next_context(p, TMF);
	post(p, urgent ? MPT_URGENT_FIFO : MPT_REQUEST_FIFO, &d->request.tmf.context,
	     p->tmf_context, address);
}

static void mptsas_manage(struct hba_queue *q, struct hba_task *t, enum hba_tmf function)
{
	static const uint8_t type[] = { [HBA_ABORT_TASK] = MPT_ABORT_TASK,
					[HBA_ABORT_TASK_SET] = MPT_ABORT_TASK_SET,
					[HBA_CLEAR_TASK_SET] = MPT_CLEAR_TASK_SET,
					[HBA_CLEAR_ACA] = MPT_CLEAR_ACA,
					[HBA_TARGET_RESET] = MPT_TARGET_RESET,
					[HBA_LOGICAL_UNIT_RESET] = MPT_LOGICAL_UNIT_RESET };
	struct mptsas *p = mptsas_of(q);
	struct mptsas_data *d = t->hba_data;

	/* Firmware in state FAULT answers nothing: the ladder need not wait for it on each rung. */
	if (!is_operational(p)) {
		hba_tmf_complete(t, HBA_DELIVERY_FAILURE);
		return;
	}
	d->request.tmf = (struct mpt_task_mgmt) {
		.target = (uint8_t)t->target,
		.function = MPT_SCSI_TASK_MGMT,
		.type = type[function],
		.victim = hba_le32_of(function == HBA_ABORT_TASK ? context_of(t->data.victim) : 0),
	};
	memcpy(d->request.tmf.lun, t->lun.bytes, sizeof(d->request.tmf.lun));
	p->tmf = t;
	p->out++;
	post_tmf(p, d, (uint32_t)t->hba_iova.bus);
}

static bool bus_reset_done(struct hba_controller *c, void *arg)
{
	struct mptsas *p = arg;

	(void)drain(hba_controller_queue(c, 0), p, p->replies);
	return !p->bus_reset_context;
}

/* All targets at once. What they had comes back before the answer. */
static int reset_bus(struct hba_controller *c, struct mptsas *p)
{
	int r;

	if (!is_operational(p))
		return hba_fail(c, -EIO, "the firmware is not operational (%#x)", state_of(p));
	p->own->request[BUS_RESET - OWN].bus_reset =
		(struct mpt_task_mgmt) { .function = MPT_SCSI_TASK_MGMT, .type = MPT_RESET_BUS };
	p->bus_reset_context = next_context(p, BUS_RESET);
	post_own(p, BUS_RESET, p->bus_reset_context);
	r = hba_wait_for(c, bus_reset_done, p, BUS_RESET_MS);
	p->bus_reset_context = 0;
	if (r < 0)
		return hba_fail(c, r, "the firmware does not answer a reset of the bus (%#x)",
				state_of(p));
	return response_of(&p->bus_reset) == HBA_FUNCTION_COMPLETE ? 0 : -EIO;
}

static int mptsas_reset(struct hba_controller *c, enum hba_reset_level level)
{
	struct mptsas *p = hba_controller_priv(c);

	return level == HBA_RESET_CONTROLLER ? reset(c, p) : reset_bus(c, p);
}

/* After it no frame is the firmware's any more, and it answers nothing. */
static void mptsas_stop(struct hba_controller *c)
{
	struct mptsas *p = hba_controller_priv(c);

	if (hba_bar_is_mapped(&p->bar))
		(void)reset(c, p);
}

static const struct hba_pci_id mptsas_ids[] = {
	{ .vendor = MPT_VENDOR, .device = MPT_SAS1064 },
	{ .vendor = MPT_VENDOR, .device = MPT_SAS1064E },
	{ .vendor = MPT_VENDOR, .device = MPT_SAS1068 },
	{ .vendor = MPT_VENDOR, .device = MPT_SAS1068E },
	{ 0 },
};

const struct hba_driver mptsas_driver = {
	HBA_DRIVER_HEADER,
	.name = "mptsas",
	.summary = "LSI Fusion-MPT SAS (SAS1064, SAS1068)",
	.ids = mptsas_ids,
	.priv_size = sizeof(struct mptsas),
	.hba_data_size = sizeof(struct mptsas_data),
	.initialize = mptsas_initialize,
	.map_hba_data = mptsas_map_hba_data,
	.start = mptsas_start,
	.initialize_target = mptsas_initialize_target,
	.release_target = mptsas_release_target,
	.process_task = mptsas_process_task,
	.poll = mptsas_poll,
	.interrupts = mptsas_interrupts,
	.manage = mptsas_manage,
	.reset = mptsas_reset,
	.stop = mptsas_stop,
};
