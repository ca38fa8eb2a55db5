/* SPDX-License-Identifier: MIT */
/*
 * megasas.c: MegaRAID SAS adapters of the MFI generations: the 1078 and the 2108, which QEMU models
 * too.
 *
 * The firmware takes message frames of 64 bytes, posted one by one by their address, and puts the
 * context of each that has ended into a ring of replies. A task's HBA data is its frame, the frames
 * behind it that hold a longer scatter list, and its sense; the context is its unique id. The
 * firmware knows its targets: logical drives are 0 to 63, JBOD disks 256 + device id.
 *
 * Two frames more are the driver's own: one asks the firmware (DCMD) and is waited for, one waits
 * for events. See megasas.md.
 */
#include "drivers/megasas-regs.h"

#include "base/base.h"
#include "drivers/drivers.h"
#include "scsi/scsi.h"

#include <errno.h>
#include <hbakit/driver.h>
#include <string.h>

enum {
	/*
	 * QEMU maps so much from a frame's address on, in one piece: no frame's room crosses a page
	 */
	FRAME_ROOM = 2048,
	SEGMENTS = 128,
	SENSE = 128,
	ANSWER_BYTES = 8192,
	JBOD = 256, /* target = JBOD + device id */
	HIGHEST_LUN = 255,
	INTERNAL = 2,
	/*
	 * replies that are no client's: the framework's tasks, the event, and all that one waiting
	 * op asks
	 */
	RESERVED = 16,
	LEAST_COMMANDS = RESERVED + 8,
	MOST_TASKS = 4096,
	SECTOR = 512,
	TYPE_DISK = 0,
	TRANSITIONS = 32, /* of the firmware's state, on its way to ready */
	SCRAP_BYTES = 4,
	SENSE_HEADER = 8, /* its last byte counts those that follow */
	EVENTS_A_SECOND = 32,

	ASK_MS = 5000,
	FLUSH_MS = 8000,
	DIAGNOSTIC_MS = 5000,
	SETTLE_MS = 1000, /* while it resets, the adapter's registers are left alone */
	/* from an abort's or a reset's end to that of the last command it concerns */
	VICTIMS_MS = 2000,

	/* Contexts of the driver's own frames. A unique id is below. */
	CONTEXT_ASK = 0x7fffff00,
	CONTEXT_EVENT,
};

/** struct megasas_variant - In which the generations differ. */
struct megasas_variant {
	const char *generation;
	unsigned bar;
	uint32_t reply;  /* its bit of the interrupt mask */
	bool diagnostic; /* reset by the diagnostic register; else by the doorbell */
};

/* ---- memory */

struct megasas_data { /* HBA data of one task; the device reads and writes it */
	union {
		struct {
			struct megasas_pass pass;
			union {
				struct megasas_sge32 sge32[SEGMENTS];
				struct megasas_sge64 sge64[SEGMENTS];
			};
		};
		struct megasas_abort abort;
	};
	uint8_t sense[SENSE];
} __attribute__((aligned(FRAME_ROOM)));
static_assert(sizeof(struct megasas_data) == FRAME_ROOM, "one room for each task");

struct megasas_own { /* frames of the driver's own, and what they lead to */
	union {
		struct megasas_init init;
		struct megasas_dcmd dcmd;
		struct megasas_abort abort;
		uint8_t room[FRAME_ROOM];
	} ask;
	union {
		struct megasas_dcmd dcmd;
		uint8_t room[FRAME_ROOM];
	} wait;
	union {
		struct megasas_ctrl_info info;
		struct megasas_defaults defaults;
		struct megasas_event_log log;
		struct megasas_ld_list lds;
		struct megasas_pd_list pds;
		uint8_t bytes[ANSWER_BYTES];
	} answer;
	struct megasas_event event;
	struct megasas_queues queues;
	hba_le32 producer, pad[15], consumer;
};

struct megasas {
	const struct megasas_variant *variant;
	struct hba_bar bar;
	struct hba_mapping *own_memory, *ring_memory;
	struct megasas_own *own;
	hba_le32 *ring;
	uint32_t capacity, entries, consumer; /* of the ring: taken, used now; the next reply */
	bool started, unmasked;
	bool ask_lost; /* the firmware has kept the frame that asks */
	bool is_model; /* QEMU's */
	uint64_t max_transfer;
	bool event_out;
	uint32_t event_next; /* number of the event to wait for */
	uint64_t event_at;   /* when to ask for it: after a storm; 0: not */
	uint64_t events_since;
	unsigned events; /* since then */
	/* an abort, with the firmware, or carried out, but its victim is not back */
	struct hba_task *tmf;
	struct hba_task *victim;
	bool tmf_answered, tmf_refused;
	uint64_t tmf_until;
};

static struct megasas *megasas_of(struct hba_queue *q)
{
	return hba_controller_priv(hba_queue_controller(q));
}

static uint32_t own_at(const struct megasas *m, size_t offset)
{
	/* control memory lies below 4 GiB */
	return (uint32_t)(hba_mapping_iova(m->own_memory).bus + offset);
}

static bool is_jbod(uint64_t target)
{
	return target >= JBOD;
}

/* ---- the firmware's states */

/*
 * `ms`: how long the firmware may stay there; an op's own deadline may be shorter. `doorbell`: what
 * takes it further; 0: itself.
 */
static const struct state {
	enum megasas_state state;
	const char *name;
	unsigned ms;
	uint32_t doorbell;
} states[] = {
	{ MEGASAS_UNDEFINED, "undefined", 2000, 0 },
	{ MEGASAS_BOOT_BLOCK, "boot block", 20000, 0 },
	{ MEGASAS_FW_INIT, "initialising", 180000, 0 },
	{ MEGASAS_WAIT_HANDSHAKE, "waiting for a handshake", 10000,
	  MEGASAS_INIT_HANDSHAKE | MEGASAS_INIT_HOTPLUG },
	{ MEGASAS_FW_INIT_2, "initialising, second part", 180000, 0 },
	{ MEGASAS_DEVICE_SCAN, "scanning for devices", 180000, 0 },
	{ MEGASAS_BOOT_MESSAGE, "boot message pending", 10000, MEGASAS_INIT_HOTPLUG },
	{ MEGASAS_FLUSH_CACHE, "flushing its cache", 180000, 0 },
	{ MEGASAS_OPERATIONAL, "operational", 3000,
	  MEGASAS_INIT_ABORT | MEGASAS_INIT_READY | MEGASAS_INIT_MFI },
	{ MEGASAS_FAULT, "fault", 20000, 0 },
};

static enum megasas_state state_of(uint32_t status)
{
	return (enum megasas_state)(status >> MEGASAS_STATE_SHIFT);
}

static enum megasas_state state_now(const struct megasas *m)
{
	return state_of(hba_bar_read32(&m->bar, MEGASAS_STATUS));
}

struct leaving {
	const struct megasas *m;
	enum megasas_state state;
};

static bool has_left(struct hba_controller *c, void *arg)
{
	const struct leaving *l = arg;

	(void)c;
	return state_now(l->m) != l->state;
}

/*
 * A fault ends by a reset of the adapter's hardware alone. Whether it did, the state says
 * afterwards.
 */
static int reset_adapter(struct hba_controller *c, struct megasas *m)
{
	static const uint32_t keys[] = MEGASAS_KEYS;
	int r;

	if (m->variant->diagnostic) {
		for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
			hba_bar_write32(&m->bar, MEGASAS_SEQUENCE, keys[i]);
		r = hba_wait_bar32(c, &m->bar, MEGASAS_DIAGNOSTIC, MEGASAS_DIAG_WRITABLE,
				   MEGASAS_DIAG_WRITABLE, DIAGNOSTIC_MS);
		if (r < 0)
			return hba_fail(c, r,
					"the adapter does not unlock its diagnostic register, so "
					"that it could be reset");
		hba_bar_write32(&m->bar, MEGASAS_DIAGNOSTIC,
				MEGASAS_DIAG_WRITABLE | MEGASAS_DIAG_RESET);
	} else {
		hba_bar_write32(&m->bar, MEGASAS_DOORBELL, MEGASAS_ADAPTER_RESET);
	}
	r = hba_wait(c, SETTLE_MS);
	if (r < 0 || !m->variant->diagnostic)
		return r;
	return hba_wait_bar32(c, &m->bar, MEGASAS_DIAGNOSTIC, MEGASAS_DIAG_RESET, 0, DIAGNOSTIC_MS);
}

static const struct state *find_state(enum megasas_state state)
{
	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		if (states[i].state == state)
			return &states[i];
	return NULL;
}

/* One step further; `*resets` may be left. */
static int leave_state(struct hba_controller *c, struct megasas *m, const struct state *s,
		       unsigned *resets)
{
	struct leaving l = { m, s->state };
	int r = -ETIMEDOUT;

	if (s->state != MEGASAS_FAULT) {
		if (s->doorbell)
			hba_bar_write32(&m->bar, MEGASAS_DOORBELL, s->doorbell);
		r = hba_wait_for(c, has_left, &l, s->ms);
	}
	/* Operational and deaf, or at fault: both are for the hardware. */
	if (r == -ETIMEDOUT && *resets &&
	    (s->state == MEGASAS_FAULT || s->state == MEGASAS_OPERATIONAL)) {
		--*resets;
		r = reset_adapter(c, m);
		if (r == 0)
			r = hba_wait_for(c, has_left, &l, s->ms);
	}
	if (r == -ETIMEDOUT)
		hba_fail(c, r, "the firmware stays in state %Xh (%s)", s->state, s->name);
	return r;
}

/*
 * Ready: whatever was out is forgotten, and no memory is touched. All interrupts are kept back
 * first: QEMU's model takes that for a reset, and needs it, for a queue that an earlier driver has
 * left makes it deaf to INIT. `resets`: how often the adapter's hardware may be reset on the way.
 */
static int to_ready(struct hba_controller *c, struct megasas *m, unsigned resets)
{
	int r = 0;

	hba_bar_write32(&m->bar, MEGASAS_INTR_MASK, UINT32_MAX);
	for (unsigned i = 0; i < TRANSITIONS && r == 0; i++) {
		uint32_t status = hba_bar_read32(&m->bar, MEGASAS_STATUS);
		const struct state *s = find_state(state_of(status));

		if (status == UINT32_MAX)
			return hba_fail(
				c, -EIO,
				"the adapter does not answer: its registers read as all ones");
		if (state_of(status) == MEGASAS_READY)
			return 0;
		if (!s)
			return hba_fail(c, -EIO,
					"the firmware is in state %Xh, which does not exist",
					state_of(status));
		r = leave_state(c, m, s, &resets);
	}
	return r < 0 ? r
		     : hba_fail(c, -EIO,
				"the firmware goes from state to state, and does not become ready");
}

/* ---- bring-up */

static uint32_t at_most(uint32_t value, uint32_t most)
{
	return value < most ? value : most;
}

static int take_memory(struct hba_controller *c, struct megasas *m)
{
	int r = hba_mapping_create(c, HBA_DEVICE_BOTH, sizeof(*m->own), FRAME_ROOM, &m->own_memory);

	if (r == 0)
		r = hba_mapping_create(c, HBA_DEVICE_WRITES, m->capacity * sizeof(*m->ring), 0,
				       &m->ring_memory);
	if (r < 0)
		return r;
	m->own = hba_mapping_address(m->own_memory);
	m->ring = hba_mapping_address(m->ring_memory);
	return 0;
}

static void report_abilities(const struct megasas *m, uint32_t segments, struct hba_report *r)
{
	r->highest_target_id = JBOD + MEGASAS_PDS - 1;
	r->initiator_id = r->highest_target_id + 1; /* no id of its own among them */
	r->highest_lun = HIGHEST_LUN;
	r->max_tasks = at_most(m->entries - RESERVED, MOST_TASKS);
	r->internal_tasks = INTERNAL;
	r->manages_devices = true;
	r->performs_autosense = true;
	r->tmfs = HBA_TMF_BIT(HBA_ABORT_TASK);
	r->control_address_bits = 32;
	r->constraints = (struct hba_constraints) {
		.max_segments_read = segments,
		.max_segments_write = segments,
		.max_segment_bytes_read = 1U << 20,
		.max_segment_bytes_write = 1U << 20,
		.alignment = 1,
		.address_bits = 64,
		.hba_data_mask = ~(uint64_t)(FRAME_ROOM - 1),
	};
}

static int megasas_initialize(struct hba_controller *c, struct hba_report *report)
{
	struct megasas *m = hba_controller_priv(c);
	uint32_t status, segments;
	int r;

	m->variant = hba_controller_variant(c);
	r = hba_bar_map(c, m->variant->bar, &m->bar);
	if (r == 0)
		r = to_ready(c, m, 1);
	if (r < 0)
		return r;
	status = hba_bar_read32(&m->bar, MEGASAS_STATUS);
	segments = at_most(status >> MEGASAS_MAX_SGE_SHIFT & MEGASAS_MAX_SGE_MASK, SEGMENTS);
	m->capacity = m->entries = status & MEGASAS_MAX_COMMANDS_MASK;
	if (segments == 0 || m->entries < LEAST_COMMANDS)
		return hba_fail(c, -EIO,
				"the firmware takes %u commands with %u segments, which is too "
				"little to work with",
				m->entries, segments);
	report_abilities(m, segments, report);
	return take_memory(c, m);
}

/* What is the same in each of its commands. The rest of the frame is written when it is posted. */
static int megasas_map_hba_data(struct hba_controller *c, struct hba_task *t, uint32_t *ret_id)
{
	struct megasas_data *d = t->hba_data;

	(void)c;
	*ret_id = t->slot + 1U;
	d->pass.head.context = hba_le32_of(*ret_id);
	d->pass.sense_low =
		hba_le32_of((uint32_t)t->hba_iova.bus + offsetof(struct megasas_data, sense));
	return 0;
}

/* ---- asking the firmware */

/*
 * `more`: frames that follow the first. Fewer than there are is no fault: it is what the firmware
 * fetches at once.
 */
static void post(struct megasas *m, uint32_t frame, uint32_t more)
{
	hba_bar_write32(&m->bar, MEGASAS_QUEUE,
			frame | at_most(more, MEGASAS_POST_MOST_MORE) << MEGASAS_POST_MORE_SHIFT |
				MEGASAS_POST);
}

static uint8_t answer_to(const struct megasas_header *head)
{
	return __atomic_load_n(&head->status, __ATOMIC_ACQUIRE);
}

static bool is_answered(struct hba_controller *c, void *arg)
{
	(void)c;
	return answer_to(arg) != MEGASAS_UNANSWERED;
}

/* The frame that asks, filled but for its head. *ret_status may be any. */
static int ask_frame(struct hba_controller *c, struct megasas *m, struct megasas_header head,
		     unsigned ms, uint8_t *ret_status)
{
	struct megasas_header *h = &m->own->ask.init.head;
	int r;

	if (m->ask_lost)
		return -ETIMEDOUT;
	head.context = hba_le32_of(CONTEXT_ASK);
	head.status = MEGASAS_UNANSWERED;
	head.flags = hba_le16_of(hba_get16(head.flags) | MEGASAS_NO_REPLY);
	*h = head;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	post(m, own_at(m, offsetof(struct megasas_own, ask)), 0);
	r = hba_wait_for(c, is_answered, h, ms);
	if (r < 0) {
		m->ask_lost = true; /* it may still be written: not used again before a reset */
		return r;
	}
	*ret_status = answer_to(h);
	return 0;
}

/*
 * A command to the firmware itself; what it answers is in m->own->answer. Nonsense and all that it
 * does not know: -EOPNOTSUPP.
 */
static int megasas_ask(struct hba_controller *c, struct megasas *m, enum megasas_opcode opcode,
		       uint32_t mailbox, uint32_t bytes, unsigned ms)
{
	struct megasas_header head = { .command = MEGASAS_DCMD,
				       .sge_count = bytes ? 1 : 0,
				       .data_len = hba_le32_of(bytes) };
	struct megasas_dcmd *d = &m->own->ask.dcmd;
	uint8_t status;
	int r;

	if (bytes)
		head.flags = hba_le16_of(MEGASAS_TO_HOST);
	memset(&m->own->answer, 0, bytes);
	*d = (struct megasas_dcmd) {
		.opcode = hba_le32_of(opcode),
		.mailbox = { hba_le32_of(mailbox) },
		.data = { hba_le32_of(own_at(m, offsetof(struct megasas_own, answer))),
			  hba_le32_of(bytes) },
	};
	r = ask_frame(c, m, head, ms, &status);
	if (r < 0)
		return hba_fail(c, r, "the firmware does not answer command %08Xh to itself",
				opcode);
	if (status == MEGASAS_OK)
		return 0;
	hba_log(c, HBA_LOG_INFO, "the firmware refuses command %08Xh by status %02Xh", opcode,
		status);
	return status == MEGASAS_INVALID_DCMD || status == MEGASAS_INVALID_PARAMETER
		       ? -EOPNOTSUPP
		       : hba_fail(c, -EIO,
				  "the firmware ended command %08Xh to itself by status %02Xh",
				  opcode, status);
}

/* ---- what the firmware says of itself */

/* Text of a device: cut at its end, spaces behind it taken off, only ASCII. */
static void set_text(struct hba_controller *c, const char *key, const char *text, size_t length)
{
	char clean[sizeof(((struct megasas_ctrl_info *)0)->package) + 1] = "";
	size_t n;

	for (n = 0; n < length && n < sizeof(clean) - 1 && text[n]; n++)
		clean[n] = (char)(text[n] > ' ' && text[n] <= '~' ? text[n] : ' ');
	while (n && clean[n - 1] == ' ')
		clean[--n] = '\0';
	if (n)
		hba_set_property(
			c, NULL,
			&(struct hba_property) { key, HBA_STRING, { .string = clean }, 0 });
}

static void set_number(struct hba_controller *c, const char *key, uint64_t number)
{
	hba_set_property(c, NULL,
			 &(struct hba_property) { key, HBA_NUMBER, { .number = number }, 0 });
}

static void put_sas_address(uint8_t bytes[8], hba_le64 address)
{
	for (int i = 7, v = 0; i >= 0; i--, v += 8)
		bytes[i] = (uint8_t)(hba_get64(address) >> v);
}

/* The part that carries commands, or the first. */
static const struct megasas_component *main_component(const struct megasas_ctrl_info *info)
{
	uint32_t n = at_most(hba_get32(info->n_components), MEGASAS_COMPONENTS);

	for (uint32_t i = 0; i < n; i++)
		if (strncmp(info->component[i].name, "APP", sizeof(info->component[i].name)) == 0)
			return &info->component[i];
	return n ? &info->component[0] : NULL;
}

static bool ends_in(const char *text, size_t most, const char *end)
{
	size_t n = strnlen(text, most), length = strlen(end);

	return n >= length && memcmp(text + n - length, end, length) == 0;
}

/* The firmware's limits of one command: strips of a logical drive, and sectors. 0: none said. */
static uint64_t max_transfer(const struct megasas_ctrl_info *info)
{
	uint64_t strips = hba_get16(info->max_strips), sectors = hba_get32(info->max_request),
		 by_strips;

	if (strips == 0 || info->min_strip > 16)
		return sectors * SECTOR;
	by_strips = strips << info->min_strip;
	return (sectors && sectors < by_strips ? sectors : by_strips) * SECTOR;
}

static void set_limits(struct hba_controller *c, const struct megasas_ctrl_info *info)
{
	set_number(c, "Maximum Commands", hba_get16(info->max_commands));
	set_number(c, "Maximum Segments", hba_get16(info->max_sge));
	set_number(c, "Maximum Transfer Bytes", max_transfer(info));
	set_number(c, "Maximum Logical Drives", info->max_lds);
	set_number(c, "Memory MiB", hba_get16(info->memory_mib));
}

static int read_info(struct hba_controller *c, struct megasas *m)
{
	const struct megasas_ctrl_info *info = &m->own->answer.info;
	const struct megasas_component *component;
	int r = megasas_ask(c, m, MEGASAS_CTRL_INFO, 0, sizeof(*info), ASK_MS);

	if (r < 0)
		return r;
	m->max_transfer = max_transfer(info);
	m->is_model = ends_in(info->package, sizeof(info->package), "-QEMU");
	component = main_component(info);
	set_text(c, "Vendor Name", "LSI", sizeof("LSI"));
	set_text(c, "Product Name", info->product, sizeof(info->product));
	set_text(c, "Product Revision Level", info->package, sizeof(info->package));
	set_text(c, "Serial Number", info->serial, sizeof(info->serial));
	if (component) {
		set_text(c, "Firmware Name", component->name, sizeof(component->name));
		set_text(c, "Firmware Version", component->version, sizeof(component->version));
	}
	set_text(c, "Port Description", m->variant->generation, strlen(m->variant->generation));
	set_limits(c, info);
	return 0;
}

/* Not every firmware tells it: no reason not to start. */
static int read_sas_address(struct hba_controller *c, struct megasas *m)
{
	struct hba_property p = { "SAS Address", HBA_BYTES, { 0 }, 8 };
	uint8_t address[8];
	int r = megasas_ask(c, m, MEGASAS_DEFAULTS, 0, sizeof(m->own->answer.defaults), ASK_MS);

	if (r < 0)
		return m->ask_lost ? r : 0;
	put_sas_address(address, m->own->answer.defaults.sas_address);
	p.value.bytes = address;
	if (hba_get64(m->own->answer.defaults.sas_address))
		hba_set_property(c, NULL, &p);
	return 0;
}

/* ---- events */

static void post_event(struct megasas *m)
{
	m->own->wait.dcmd = (struct megasas_dcmd) {
		.head = { .command = MEGASAS_DCMD,
			  .status = MEGASAS_UNANSWERED,
			  .sge_count = 1,
			  .context = hba_le32_of(CONTEXT_EVENT),
			  .flags = hba_le16_of(MEGASAS_TO_HOST),
			  .data_len = hba_le32_of(sizeof(m->own->event)) },
		.opcode = hba_le32_of(MEGASAS_EVENT_WAIT),
		.mailbox = { hba_le32_of(m->event_next), hba_le32_of(MEGASAS_EVENTS_ALL) },
		.data = { hba_le32_of(own_at(m, offsetof(struct megasas_own, event))),
			  hba_le32_of(sizeof(m->own->event)) },
	};
	m->event_out = true;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	post(m, own_at(m, offsetof(struct megasas_own, wait)), 0);
}

/* From the newest on: what came before is in the lists of targets that are read next. */
static int wait_for_events(struct hba_controller *c, struct megasas *m)
{
	int r = megasas_ask(c, m, MEGASAS_EVENT_LOG, 0, sizeof(m->own->answer.log), ASK_MS);

	if (r < 0)
		return m->ask_lost ? r : 0; /* without, changes are found by a rescan */
	m->event_next = hba_get32(m->own->answer.log.newest) + 1;
	m->event_at = 0;
	post_event(m);
	return 0;
}

static const struct reaction {
	enum megasas_event_code code;
	enum { LD_CAME, LD_LEFT, PD_LEFT, LOOK, LINK } what;
} reactions[] = {
	{ MEGASAS_EVENT_LD_CREATED, LD_CAME },
	{ MEGASAS_EVENT_LD_OPTIMAL, LD_CAME },
	{ MEGASAS_EVENT_LD_PARTLY_DEGRADED, LD_CAME },
	{ MEGASAS_EVENT_LD_DEGRADED, LD_CAME },
	{ MEGASAS_EVENT_LD_DELETED, LD_LEFT },
	{ MEGASAS_EVENT_LD_OFFLINE, LD_LEFT },
	{ MEGASAS_EVENT_PD_REMOVED, PD_LEFT },
	{ MEGASAS_EVENT_PD_INSERTED, LOOK },
	{ MEGASAS_EVENT_PD_STATE, LOOK },
	{ MEGASAS_EVENT_LD_STATE, LOOK },
	{ MEGASAS_EVENT_CONFIG_CLEARED, LOOK },
	{ MEGASAS_EVENT_CONFIG_IMPORTED, LOOK },
	{ MEGASAS_EVENT_SCAN_WANTED, LOOK },
	{ MEGASAS_EVENT_LINK_LOST, LINK },
	{ MEGASAS_EVENT_LINK_RESTORED, LINK },
};

static const struct reaction *reaction_to(uint32_t code)
{
	for (size_t i = 0; i < ARRAY_SIZE(reactions); i++)
		if (reactions[i].code == code)
			return &reactions[i];
	return NULL;
}

static void react(struct hba_controller *c, const struct megasas_event *e)
{
	const struct reaction *r = reaction_to(hba_get32(e->code));
	uint16_t target = hba_get16(e->argument.target);

	if (!r)
		return;
	if ((r->what == LD_CAME || r->what == LD_LEFT) && target >= MEGASAS_LDS) {
		hba_device_error(c, "an event is about logical drive %u, and %u is the highest",
				 target, MEGASAS_LDS - 1);
		return;
	}
	switch (r->what) {
	case LD_CAME:
		hba_target_create(c, target, NULL);
		break;
	case LD_LEFT:
		hba_target_destroy(c, target);
		break;
	case PD_LEFT:
		hba_target_destroy(c, JBOD + (uint64_t)target); /* -ENOENT: one that is no target */
		break;
	case LOOK:
		hba_luns_changed(c, HBA_ANY_TARGET);
		break;
	case LINK:
		hba_log(c, HBA_LOG_WARNING, "a PHY of a wide port has %s its link",
			r->code == MEGASAS_EVENT_LINK_LOST ? "lost" : "again");
		break;
	}
}

/* At once, but in a storm: then the firmware's log keeps what comes until the second is over. */
static void wait_for_next(struct hba_queue *q, struct megasas *m)
{
	uint64_t now = hba_now(hba_queue_controller(q));

	if (now - m->events_since >= NS_PER_S) {
		m->events_since = now;
		m->events = 0;
	}
	if (++m->events <= EVENTS_A_SECOND) {
		post_event(m);
		return;
	}
	m->event_at = m->events_since + NS_PER_S;
	hba_poll_within(q, (unsigned)((m->event_at - now) / NS_PER_MS) + 1);
}

static void take_event(struct hba_queue *q, struct megasas *m)
{
	struct hba_controller *c = hba_queue_controller(q);
	uint8_t status = answer_to(&m->own->wait.dcmd.head);
	/* copied once, then believed no further than checked */
	struct megasas_event e = m->own->event;

	if (!m->event_out || status == MEGASAS_UNANSWERED) {
		hba_device_error(
			c, "the device gave back the frame that waits for events, without one");
		return;
	}
	m->event_out = false;
	if (status != MEGASAS_OK) {
		hba_log(c, HBA_LOG_WARNING,
			"the firmware reports no events (status %02Xh): changes are found by a "
			"rescan",
			status);
		return;
	}
	react(c, &e);
	m->event_next = hba_get32(e.number) + 1;
	wait_for_next(q, m);
}

/* ---- start */

/* A firmware that takes fewer commands than before has its ring shortened, and with it the pool. */
static int read_limits(struct hba_controller *c, struct megasas *m)
{
	uint32_t offered = hba_bar_read32(&m->bar, MEGASAS_STATUS) & MEGASAS_MAX_COMMANDS_MASK;

	if (offered < LEAST_COMMANDS)
		return hba_fail(
			c, -EIO,
			"the firmware takes %u commands now, which is too little to work with",
			offered);
	if (offered < m->entries && offered - RESERVED < MOST_TASKS)
		hba_lower(c, offered - RESERVED);
	m->entries = at_most(offered, m->entries);
	return 0;
}

/*
 * The ring has as many entries as the firmware takes commands: QEMU's model goes by that number,
 * whatever it is told.
 */
static int init_queues(struct hba_controller *c, struct megasas *m)
{
	struct megasas_own *own = m->own;
	uint8_t status;
	int r;

	own->producer = own->consumer = hba_le32_of(0);
	m->consumer = 0;
	own->queues = (struct megasas_queues) {
		.entries = hba_le32_of(m->entries),
		.replies_low = hba_le32_of((uint32_t)hba_mapping_iova(m->ring_memory).bus),
		.producer_low = hba_le32_of(own_at(m, offsetof(struct megasas_own, producer))),
		.consumer_low = hba_le32_of(own_at(m, offsetof(struct megasas_own, consumer))),
	};
	own->ask.init = (struct megasas_init) { .queues_low = hba_le32_of(own_at(
							m, offsetof(struct megasas_own, queues))) };
	r = ask_frame(c, m,
		      (struct megasas_header) { .command = MEGASAS_INIT,
						.data_len = hba_le32_of(sizeof(own->queues)) },
		      ASK_MS, &status);
	if (r < 0)
		return hba_fail(c, r, "the firmware does not answer INIT");
	if (status != MEGASAS_OK)
		return hba_fail(c, -EIO, "the firmware ended INIT by status %02Xh", status);
	r = hba_wait_bar32(c, &m->bar, MEGASAS_STATUS, MEGASAS_STATE_MASK,
			   (uint32_t)MEGASAS_OPERATIONAL << MEGASAS_STATE_SHIFT, ASK_MS);
	return r < 0 ? hba_fail(c, r, "the firmware took INIT, and does not become operational")
		     : 0;
}

/*
 * Masked, too, the change of state is let through: QEMU's model takes a mask of all ones for a
 * reset.
 */
static void unmask(struct megasas *m, bool on)
{
	if (on != m->unmasked)
		hba_bar_write32(&m->bar, MEGASAS_INTR_MASK,
				~(MEGASAS_INTR_STATE | (on ? m->variant->reply : 0)));
	m->unmasked = on;
}

static void forget_all(struct megasas *m)
{
	m->ask_lost = m->event_out = m->unmasked = false;
	m->event_at = 0;
	m->tmf = m->victim = NULL;
	m->tmf_answered = false;
}

static int megasas_start(struct hba_controller *c)
{
	struct megasas *m = hba_controller_priv(c);
	bool again = m->started;
	int r = to_ready(c, m, 1);

	if (r < 0)
		return r;
	forget_all(m);
	r = read_limits(c, m);
	if (r == 0)
		r = hba_bus_master_on(c);
	if (r < 0)
		return r;
	m->started = true;
	r = init_queues(c, m);
	if (r < 0)
		return r;
	/*
	 * polled, too: QEMU's model moves the ring's index for a mask that lets something through
	 * only
	 */
	unmask(m, true);
	r = read_info(c, m);
	if (r == 0)
		r = read_sas_address(c, m);
	if (r == 0)
		r = wait_for_events(c, m);
	if (r < 0)
		return r;
	hba_vector_bind(hba_controller_queue(c, 0), 0); /* without one we are polled */
	hba_port_status(c, HBA_PORT_ONLINE);
	if (again)
		/* events of the time between have not been seen */
		hba_luns_changed(c, HBA_ANY_TARGET);
	return 0;
}

/* ---- targets */

static int find_logical_drives(struct hba_controller *c, struct megasas *m)
{
	const struct megasas_ld_list *list = &m->own->answer.lds;
	int r = megasas_ask(c, m, MEGASAS_LD_LIST, 0, sizeof(*list), ASK_MS);
	uint32_t n;

	if (r < 0)
		return r;
	n = hba_get32(list->count);
	if (n > MEGASAS_LDS)
		hba_device_error(c,
				 "the firmware lists %u logical drives, and there is room for %u",
				 n, MEGASAS_LDS);
	for (uint32_t i = 0; i < at_most(n, MEGASAS_LDS); i++)
		if (list->ld[i].state != MEGASAS_LD_IS_OFFLINE && list->ld[i].target < MEGASAS_LDS)
			hba_target_create(c, list->ld[i].target, NULL);
	return 0;
}

static void create_disk(struct hba_controller *c, uint64_t id, hba_le64 address)
{
	uint8_t bytes[8];
	const struct hba_property properties[] = {
		{ "SAS Address", HBA_BYTES, { .bytes = bytes }, sizeof(bytes) }, { 0 }
	};

	put_sas_address(bytes, address);
	hba_target_create(c, JBOD + id, properties);
}

/*
 * Disks that are no part of a logical drive, if the firmware hands such out at all. QEMU's ids hold
 * a LUN in their low byte.
 */
static int find_disks(struct hba_controller *c, struct megasas *m)
{
	const struct megasas_pd_list *list = &m->own->answer.pds;
	int r = megasas_ask(c, m, MEGASAS_PD_QUERY, MEGASAS_PD_EXPOSED, sizeof(*list), ASK_MS);
	uint32_t n;

	if (r == -EOPNOTSUPP)
		return 0;
	if (r < 0)
		return r;
	n = hba_get32(list->count);
	if (n > MEGASAS_PDS)
		hba_device_error(c, "the firmware lists %u disks, and there is room for %u", n,
				 MEGASAS_PDS);
	for (uint32_t i = 0; i < at_most(n, MEGASAS_PDS); i++) {
		const struct megasas_pd *pd = &list->pd[i];
		uint32_t id = hba_get16(pd->id);

		if (m->is_model)
			id >>= 8;
		if (pd->type == TYPE_DISK && id < MEGASAS_PDS)
			create_disk(c, id, pd->address[0]);
	}
	return 0;
}

static int megasas_discover(struct hba_controller *c)
{
	struct megasas *m = hba_controller_priv(c);
	int r = m->event_out || m->event_at ? 0 : wait_for_events(c, m);

	if (r == 0)
		r = find_logical_drives(c, m);
	if (r == 0)
		r = find_disks(c, m);
	if (r == 0)
		hba_discovery_done(c);
	return r;
}

static int megasas_initialize_target(struct hba_controller *c, struct hba_target *tgt,
				     struct hba_target_report *report)
{
	const struct megasas *m = hba_controller_priv(c);

	if (!is_jbod(hba_target_id(tgt)))
		report->highest_lun = 0;
	if (m->max_transfer && (!report->max_transfer || m->max_transfer < report->max_transfer))
		report->max_transfer = m->max_transfer;
	return 0;
}

/* ---- sending */

/*
 * The CDB decides which way QEMU's model moves data, and so may other firmware: one that
 * contradicts it is not sent.
 */
static bool is_backwards(const struct hba_task *t)
{
	enum hba_direction says = scsi_cdb_direction(t->cdb[0]);

	return t->direction != HBA_NO_DATA && says != HBA_NO_DATA && t->direction != says;
}

static bool lies_below_4g(const struct hba_task *t)
{
	uint64_t all = 0;

	for (uint32_t i = 0; i < t->n_data; i++)
		all |= t->data.segments[i].iova.bus + t->data.segments[i].length - 1;
	return all <= UINT32_MAX;
}

/*
 * The list, in the shorter form if that will do. Returns how many bytes it takes; *flags gets what
 * says so.
 */
static uint32_t put_list(struct megasas_data *d, const struct hba_task *t, uint16_t *flags)
{
	const struct hba_segment *s = t->data.segments;

	if (lies_below_4g(t)) {
		for (uint32_t i = 0; i < t->n_data; i++)
			d->sge32[i] = (struct megasas_sge32) { hba_le32_of((uint32_t)s[i].iova.bus),
							       hba_le32_of((uint32_t)s[i].length) };
		return t->n_data * (uint32_t)sizeof(d->sge32[0]);
	}
	for (uint32_t i = 0; i < t->n_data; i++)
		d->sge64[i] = (struct megasas_sge64) { hba_le32_of((uint32_t)s[i].iova.bus),
						       hba_le32_of((uint32_t)(s[i].iova.bus >> 32)),
						       hba_le32_of((uint32_t)s[i].length) };
	*flags |= MEGASAS_SGL64;
	return t->n_data * (uint32_t)sizeof(d->sge64[0]);
}

/*
 * QEMU's model ends a command without SGEs in HARDWARE ERROR: one that has no data gets a few bytes
 * of its own that nothing is in.
 */
static uint8_t put_scrap(struct megasas_data *d)
{
	d->sge32[0] = (struct megasas_sge32) { d->pass.sense_low, hba_le32_of(SCRAP_BYTES) };
	return 1;
}

static void megasas_process_task(struct hba_queue *q, struct hba_task *t)
{
	static const uint16_t direction[] = { [HBA_NO_DATA] = 0,
					      [HBA_TO_TARGET] = MEGASAS_TO_DEVICE,
					      [HBA_FROM_TARGET] = MEGASAS_TO_HOST };
	struct megasas *m = megasas_of(q);
	struct megasas_data *d = t->hba_data;
	struct megasas_header *h = &d->pass.head;
	uint16_t flags = direction[t->direction];
	uint32_t bytes;

	if (is_backwards(t))
		return hba_complete_failed(t, HBA_NOT_DELIVERED, HBA_SENT_NO);
	bytes = put_list(d, t, &flags);
	h->command = is_jbod(t->target) ? MEGASAS_PD_SCSI : MEGASAS_LD_SCSI;
	h->sense_len = SENSE;
	h->status = MEGASAS_UNANSWERED;
	h->scsi_status = 0;
	h->target = (uint8_t)t->target;
	h->lun = t->lun.bytes[1];
	h->cdb_len = t->cdb_len;
	h->sge_count = t->n_data || !m->is_model ? (uint8_t)t->n_data : put_scrap(d);
	h->flags = hba_le16_of(flags);
	memcpy(d->pass.cdb, t->cdb, sizeof(d->pass.cdb));
	d->sense[0] = 0;
	hba_publish32(&h->data_len, (uint32_t)t->length); /* the frame, then its address */
	post(m, (uint32_t)t->hba_iova.bus, (uint32_t)(sizeof(d->pass) + bytes - 1) / MEGASAS_FRAME);
}

/* ---- receiving */

/* What is not in the table was a fault on the way: the command may have been begun. */
static const struct outcome {
	enum megasas_status status;
	enum hba_outcome outcome; /* 0: the target has answered, its status counts */
	enum hba_sent sent;
} outcomes[] = {
	{ MEGASAS_OK, 0, HBA_SENT_YES },
	{ MEGASAS_SCSI_STATUS, 0, HBA_SENT_YES },
	{ MEGASAS_RESERVED, HBA_RESERVATION_CONFLICT, HBA_SENT_YES },
	{ MEGASAS_OUT_OF_RANGE, HBA_CHECK_CONDITION, HBA_SENT_YES },
	{ MEGASAS_DEVICE_NOT_FOUND, HBA_NOT_PRESENT, HBA_SENT_NO },
	{ MEGASAS_LD_OFFLINE, HBA_NOT_PRESENT, HBA_SENT_MAYBE },
	{ MEGASAS_INVALID_COMMAND, HBA_NOT_DELIVERED, HBA_SENT_NO },
	{ MEGASAS_INVALID_PARAMETER, HBA_NOT_DELIVERED, HBA_SENT_NO },
	{ MEGASAS_INVALID_SGL, HBA_NOT_DELIVERED, HBA_SENT_NO },
};

static struct outcome outcome_of(uint8_t status)
{
	for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++)
		if (outcomes[i].status == status)
			return outcomes[i];
	return (struct outcome) { .outcome = HBA_NOT_DELIVERED, .sent = HBA_SENT_MAYBE };
}

/* Sense says how long it is; that the firmware does, too, is so with QEMU's only. */
static uint8_t sense_length(const struct megasas_data *d)
{
	unsigned n = SENSE_HEADER + d->sense[SENSE_HEADER - 1];

	return (uint8_t)(d->sense[0] == 0 ? 0 : n < SENSE ? n : SENSE);
}

/* There are no residuals: of a command that did well it is known that data came, and no more. */
static struct hba_result translate(const struct megasas_data *d, const struct hba_task *t,
				   uint8_t status, uint8_t made_up[18])
{
	struct outcome o = outcome_of(status);
	struct hba_result r = { .outcome = o.outcome, .sent = o.sent };

	if (!o.outcome) {
		r.outcome = HBA_OUTCOME(HBA_TASK_COMPLETE, d->pass.head.scsi_status);
		r.sense = d->sense;
		r.sense_len = r.outcome == HBA_CHECK_CONDITION ? sense_length(d) : 0;
		r.bytes = r.outcome == HBA_GOOD || scsi_sense_goes_with_data(r.sense, r.sense_len)
				  ? t->length
				  : 0;
	} else if (r.outcome == HBA_CHECK_CONDITION) {
		hba_sense(made_up, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE >> 8, 0);
		r.sense = made_up;
		r.sense_len = 18;
	}
	return r;
}

/* One reply; returns how many commands it has ended: 0 or 1. */
static unsigned take_reply(struct hba_queue *q, struct megasas *m, uint32_t context)
{
	uint8_t status, made_up[18];
	struct hba_task *t;
	struct hba_result r;

	if (context == CONTEXT_EVENT)
		take_event(q, m);
	/* QEMU's model replies for frames that ask for none, too. */
	if (context == CONTEXT_EVENT || context == CONTEXT_ASK)
		return 0;
	t = hba_task_by_id(q, context);
	if (!t)
		return 0;
	status = answer_to(&((struct megasas_data *)t->hba_data)->pass.head);
	if (status == MEGASAS_UNANSWERED) {
		hba_device_error(
			hba_queue_controller(q),
			"the device gave back the task with unique id %u without an answer to it",
			context);
		return 0;
	}
	if (t->kind == HBA_TASK_TMF) {
		m->tmf_answered = t == m->tmf;
		m->tmf_refused = status != MEGASAS_OK;
		return 0;
	}
	r = translate(t->hba_data, t, status, made_up);
	if (t == m->victim)
		m->victim = NULL;
	hba_complete(t, &r);
	return 1;
}

/* How far the firmware is ahead of us; an index outside the ring is not followed. */
static uint32_t replies_ahead(struct hba_queue *q, const struct megasas *m)
{
	uint32_t producer = hba_acquire32(&m->own->producer);

	if (producer >= m->entries) {
		hba_device_error(hba_queue_controller(q),
				 "the device's index of replies is %u in a ring of %u", producer,
				 m->entries);
		return 0;
	}
	return producer >= m->consumer ? producer - m->consumer
				       : m->entries - m->consumer + producer;
}

/* The abort is complete when the firmware has said so and its victim is back. */
static void finish_tmf(struct hba_queue *q, struct megasas *m)
{
	uint64_t now = hba_now(hba_queue_controller(q));
	struct hba_task *t = m->tmf;
	bool missing = m->victim;

	if (!m->tmf_answered)
		return;
	if (missing && !m->tmf_refused && now < m->tmf_until) {
		hba_poll_within(q, (unsigned)((m->tmf_until - now) / NS_PER_MS) + 1);
		return;
	}
	m->tmf = m->victim = NULL;
	m->tmf_answered = false;
	hba_tmf_complete(t, m->tmf_refused ? HBA_FUNCTION_REJECTED
			    : missing      ? HBA_DELIVERY_FAILURE
					   : HBA_FUNCTION_COMPLETE);
}

/* What is not a reply: what time brings. */
static void look_at_clock(struct hba_queue *q, struct megasas *m)
{
	uint64_t now = hba_now(hba_queue_controller(q));

	if (m->event_at && now >= m->event_at) {
		m->event_at = 0;
		wait_for_next(q, m);
	}
	if (m->tmf)
		finish_tmf(q, m);
}

static unsigned megasas_poll(struct hba_queue *q, unsigned budget)
{
	struct megasas *m = megasas_of(q);
	uint32_t there = replies_ahead(q, m), taken;
	unsigned n = 0;

	for (taken = 0; taken < there && n < budget; taken++) {
		/* copied once, then believed no further than checked */
		uint32_t context = hba_get32(m->ring[m->consumer]);

		m->consumer = m->consumer + 1 == m->entries ? 0 : m->consumer + 1;
		n += take_reply(q, m, context);
	}
	if (taken) {
		hba_publish32(&m->own->consumer, m->consumer);
		unmask(m, false);
	}
	look_at_clock(q, m);
	return n;
}

/*
 * Off is put off till there is a reply: who is woken for another reason, and sleeps again, need not
 * be told twice.
 */
static int megasas_interrupts(struct hba_queue *q, bool on)
{
	struct megasas *m = megasas_of(q);

	if (!on)
		return 0;
	hba_bar_write32(&m->bar, MEGASAS_DOORBELL_CLEAR, UINT32_MAX);
	/* A write still on its way would clear an interrupt that is raised after the look below. */
	(void)hba_bar_read32(&m->bar, MEGASAS_DOORBELL_CLEAR);
	unmask(m, true);
	return replies_ahead(q, m) > 0;
}

/* ---- recovery and end */

/*
 * Looked at when a command has taken too long: a read of a register may wait where the bus has no
 * direct way to it.
 */
static bool is_at_work(struct hba_controller *c, const struct megasas *m)
{
	enum megasas_state state = state_now(m);

	if (state == MEGASAS_OPERATIONAL)
		return true;
	hba_device_error(c, "the firmware has left its work: its state is %Xh", state);
	hba_port_status(c, HBA_PORT_FAILED);
	return false;
}

/* ABORT TASK is all there is: see megasas.md. */
static void megasas_manage(struct hba_queue *q, struct hba_task *t, enum hba_tmf function)
{
	struct megasas *m = megasas_of(q);
	struct megasas_data *d = t->hba_data;

	(void)function;
	if (!is_at_work(hba_queue_controller(q), m))
		return hba_tmf_complete(t, HBA_FUNCTION_REJECTED);
	m->tmf = t;
	m->victim = t->data.victim;
	m->tmf_answered = m->tmf_refused = false;
	m->tmf_until = hba_now(hba_queue_controller(q)) + VICTIMS_MS * (uint64_t)NS_PER_MS;
	d->abort = (struct megasas_abort) {
		.head = { .command = MEGASAS_ABORT,
			  .status = MEGASAS_UNANSWERED,
			  .context = hba_le32_of(t->unique_id) },
		.context = hba_le32_of(m->victim->unique_id),
		.low = hba_le32_of((uint32_t)m->victim->hba_iova.bus),
	};
	__atomic_thread_fence(__ATOMIC_RELEASE);
	post(m, (uint32_t)t->hba_iova.bus, 0);
}

static int megasas_reset(struct hba_controller *c, enum hba_reset_level level)
{
	return level == HBA_RESET_CONTROLLER ? to_ready(c, hba_controller_priv(c), 1) : -EOPNOTSUPP;
}

/* The frame that waits for events comes back, or is forgotten with the queues. */
static void end_events(struct hba_controller *c, struct megasas *m)
{
	uint8_t status;

	if (!m->event_out)
		return;
	m->own->ask.abort = (struct megasas_abort) {
		.context = hba_le32_of(CONTEXT_EVENT),
		.low = hba_le32_of(own_at(m, offsetof(struct megasas_own, wait)))
	};
	(void)ask_frame(c, m, (struct megasas_header) { .command = MEGASAS_ABORT }, ASK_MS,
			&status);
	m->event_out = false;
}

/*
 * What the adapter's cache holds goes to the disks, if the firmware still works at all. One that
 * was never given queues has none to leave.
 */
static void megasas_stop(struct hba_controller *c)
{
	struct megasas *m = hba_controller_priv(c);
	bool started = m->started;

	m->started = false;
	if (started && state_now(m) == MEGASAS_OPERATIONAL) {
		end_events(c, m);
		if (megasas_ask(c, m, MEGASAS_CACHE_FLUSH,
				MEGASAS_FLUSH_CONTROLLER | MEGASAS_FLUSH_DISKS, 0, FLUSH_MS) < 0)
			hba_log(c, HBA_LOG_WARNING,
				"the firmware has not confirmed that its cache is flushed");
		(void)megasas_ask(c, m, MEGASAS_SHUTDOWN, 0, 0, ASK_MS);
	}
	if (started)
		/*
		 * a reset of the hardware would end a flush that only takes longer than we may wait
		 */
		(void)to_ready(c, m, 0);
	else if (hba_bar_is_mapped(&m->bar))
		hba_bar_write32(&m->bar, MEGASAS_INTR_MASK, UINT32_MAX);
}

static const struct megasas_variant megasas_1078 = { "SAS 3 Gb/s, MegaRAID 1078", 0,
						     MEGASAS_INTR_1078_REPLY, false };
static const struct megasas_variant megasas_2108 = { "SAS 6 Gb/s, MegaRAID 2108", 1,
						     MEGASAS_INTR_2108_REPLY, true };

static const struct hba_pci_id megasas_ids[] = {
	{ .vendor = MEGASAS_VENDOR, .device = MEGASAS_1078, .variant = &megasas_1078 },
	{ .vendor = MEGASAS_VENDOR, .device = MEGASAS_1078DE, .variant = &megasas_1078 },
	{ .vendor = MEGASAS_VENDOR, .device = MEGASAS_2108, .variant = &megasas_2108 },
	{ .vendor = MEGASAS_VENDOR, .device = MEGASAS_2108DE, .variant = &megasas_2108 },
	{ 0 },
};

const struct hba_driver megasas_driver = {
	HBA_DRIVER_HEADER,
	.name = "megasas",
	.summary = "MegaRAID SAS 1078 and 2108",
	.ids = megasas_ids,
	.priv_size = sizeof(struct megasas),
	.hba_data_size = sizeof(struct megasas_data),
	.initialize = megasas_initialize,
	.map_hba_data = megasas_map_hba_data,
	.start = megasas_start,
	.discover = megasas_discover,
	.initialize_target = megasas_initialize_target,
	.process_task = megasas_process_task,
	.poll = megasas_poll,
	.interrupts = megasas_interrupts,
	.manage = megasas_manage,
	.reset = megasas_reset,
	.stop = megasas_stop,
};
