/* SPDX-License-Identifier: MIT */
/*
 * megasas.c: the driver of that name against a firmware that is stuck, fails, lies, storms, or is
 * pulled out. The adapter here is well-behaved until a test sets a knob or writes into its memory.
 */
#include "script/rig.h"

#include "drivers/drivers.h"
#include "drivers/megasas-regs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	COMMANDS = 64,
	SEGMENTS = 70,
	HELD = 64,
	RESERVED = 16,
	BAR_BYTES = 0x4000,
	STEPS = 16,
	READS_IN_A_STATE = 3,
	GENERATIONS = 2,
	JBOD = 256,
	EVENTS_A_SECOND = 32,
	PATIENCE = 100000,
	LOST = 0x77, /* a status that is none */
};

struct chip {
	struct rig *rig;
	struct script_step steps[STEPS];
	bool gen2;
	/* Knobs. */

	/* as enum megasas_state; stuck: never leaves this one, 0xff: none such */
	uint32_t state, stuck;
	bool hold;  /* commands wait for the test */
	bool deaf;  /* doorbells do nothing */
	bool storm; /* an event for every frame that waits for one */
	bool mute;  /* what the firmware is asked is not answered */
	uint8_t abort_status;
	uint32_t commands;
	struct megasas_ld_list lds;
	struct megasas_pd_list pds;
	uint32_t newest;
	/* What happened. */
	bool master, clearing; /* a write that clears the interrupt is on its way */
	uint32_t mask, keys, diagnostic, reads;
	unsigned resets, adapter_resets, aborts, flushes, shutdowns, waits, lists, asked;
	uint64_t ring_at, producer_at, consumer_at, event_frame;
	uint32_t entries;
	uint64_t held[HELD];
	unsigned n_held;
	uint16_t last_flags;
	uint8_t last_segments, last_more, last_command, last_target;
	/* opcodes that came with data to the target, and from it */
	bool sends[UINT8_MAX + 1], brings[UINT8_MAX + 1];
	uint32_t luns; /* bits of those that commands went to */
};

static struct chip *chip_of(struct script *s)
{
	return rig_of(s)->of_chip;
}

static void *at(const struct chip *a, uint64_t iova, size_t length)
{
	assert_true(a->master);
	return rig_memory(a->rig, iova, length);
}

/* ---- frames */

static uint32_t producer(struct chip *a)
{
	return hba_get32(*(hba_le32 *)at(a, a->producer_at, 4));
}

static void reply(struct chip *a, uint32_t context)
{
	uint32_t p = producer(a);

	assert_true(hba_get32(*(hba_le32 *)at(a, a->consumer_at, 4)) < a->entries);
	*(hba_le32 *)at(a, a->ring_at + (uint64_t)p * 4, 4) = hba_le32_of(context);
	hba_publish32(at(a, a->producer_at, 4), p + 1 == a->entries ? 0 : p + 1);
}

static struct megasas_header *head_at(struct chip *a, uint64_t frame)
{
	return at(a, frame, MEGASAS_FRAME);
}

static void end_frame(struct chip *a, uint64_t frame, uint8_t status)
{
	struct megasas_header *h = head_at(a, frame);

	__atomic_store_n(&h->status, status, __ATOMIC_RELEASE);
	if (!(hba_get16(h->flags) & MEGASAS_NO_REPLY))
		reply(a, hba_get32(h->context));
}

static uint64_t segment(struct chip *a, uint64_t frame, unsigned i, uint32_t *ret_length)
{
	bool wide = hba_get16(head_at(a, frame)->flags) & MEGASAS_SGL64;
	uint64_t list = frame + sizeof(struct megasas_pass);

	if (wide) {
		const struct megasas_sge64 *s = at(a, list + i * sizeof(*s), sizeof(*s));

		*ret_length = hba_get32(s->length);
		return (uint64_t)hba_get32(s->high) << 32 | hba_get32(s->low);
	}
	const struct megasas_sge32 *s = at(a, list + i * sizeof(*s), sizeof(*s));

	*ret_length = hba_get32(s->length);
	return hba_get32(s->address);
}

static void move(struct chip *a, uint64_t frame, uint8_t *bytes, size_t length, bool to_host)
{
	size_t done = 0;

	for (unsigned i = 0; i < head_at(a, frame)->sge_count && done < length; i++) {
		uint32_t room;
		uint64_t iova = segment(a, frame, i, &room);
		size_t piece = room < length - done ? room : length - done;
		uint8_t *p = at(a, iova, room);

		memcpy(to_host ? p : bytes + done, to_host ? bytes + done : p, piece);
		done += piece;
	}
}

static void execute(struct chip *a, uint64_t frame)
{
	static uint8_t bytes[RIG_DATA];
	struct megasas_pass *pass = at(a, frame, sizeof(*pass));
	static const uint8_t cdb_lengths[] = { 6, 10, 10, 0, 16, 12, 0, 0 };
	size_t length = hba_get32(pass->head.data_len);
	struct rig_answer answer;

	if (cdb_lengths[pass->cdb[0] >> 5])
		assert_int_equal(pass->head.cdb_len, cdb_lengths[pass->cdb[0] >> 5]);
	if (hba_get16(pass->head.flags) & MEGASAS_TO_DEVICE)
		move(a, frame, bytes, length, false);
	answer = rig_execute(a->rig, pass->cdb, bytes, length);
	if (answer.sense_len)
		memcpy(at(a, hba_get32(pass->sense_low), pass->head.sense_len), answer.sense,
		       answer.sense_len);
	if (answer.length) {
		memcpy(bytes, answer.data, answer.length);
		move(a, frame, bytes, answer.length, true);
	}
	pass->head.scsi_status = answer.status;
	end_frame(a, frame, answer.status ? MEGASAS_SCSI_STATUS : MEGASAS_OK);
}

static void answer_with(struct chip *a, const struct megasas_dcmd *d, const void *data,
			size_t length)
{
	size_t room = hba_get32(d->data.length);

	memcpy(at(a, hba_get32(d->data.address), room), data, length < room ? length : room);
}

static void answer_info(struct chip *a, const struct megasas_dcmd *d)
{
	struct megasas_ctrl_info info = {
		.product = "Script\001RAID", .serial = "SN1", .package = "23.1", .max_lds = 64
	};

	info.n_components = hba_le32_of(1000);
	memcpy(info.component[2].name, "APP", 3);
	memset(info.component[2].version, 'v', sizeof(info.component[2].version));
	answer_with(a, d, &info, sizeof(info));
}

static void tell(struct chip *a, uint32_t code, uint16_t target)
{
	struct megasas_event e = { .number = hba_le32_of(++a->newest),
				   .code = hba_le32_of(code),
				   .argument = { hba_le16_of(target) } };
	uint64_t frame = a->event_frame;

	assert_int_not_equal(frame, 0);
	answer_with(a, at(a, frame, MEGASAS_FRAME), &e, sizeof(e));
	a->event_frame = 0;
	end_frame(a, frame, MEGASAS_OK);
}

static void wait_for_event(struct chip *a, uint64_t frame)
{
	const struct megasas_dcmd *d = at(a, frame, sizeof(*d));

	assert_int_equal(hba_get32(d->mailbox[0]), a->newest + 1);
	assert_int_equal(hba_get32(d->mailbox[1]), MEGASAS_EVENTS_ALL);
	a->waits++;
	/* a test looks while the service thread asks */
	__atomic_store_n(&a->event_frame, frame, __ATOMIC_RELEASE);
	if (a->storm)
		tell(a, MEGASAS_EVENT_LINK_LOST, 0);
}

static void direct(struct chip *a, uint64_t frame)
{
	const struct megasas_dcmd *d = at(a, frame, sizeof(*d));
	struct megasas_event_log log = { .newest = hba_le32_of(a->newest) };
	struct megasas_defaults defaults = { .sas_address =
						     hba_le64_of(UINT64_C(0x500605b000112233)) };

	a->asked++;
	if (a->mute)
		return;
	switch (hba_get32(d->opcode)) {
	case MEGASAS_CTRL_INFO:
		answer_info(a, d);
		break;
	case MEGASAS_EVENT_LOG:
		answer_with(a, d, &log, sizeof(log));
		break;
	case MEGASAS_EVENT_WAIT:
		wait_for_event(a, frame);
		return;
	case MEGASAS_DEFAULTS:
		answer_with(a, d, &defaults, sizeof(defaults));
		break;
	case MEGASAS_LD_LIST:
		a->lists++;
		answer_with(a, d, &a->lds, sizeof(a->lds));
		break;
	case MEGASAS_PD_QUERY:
		assert_int_equal(hba_get32(d->mailbox[0]), MEGASAS_PD_EXPOSED);
		answer_with(a, d, &a->pds, sizeof(a->pds));
		break;
	case MEGASAS_CACHE_FLUSH:
		assert_int_equal(a->shutdowns, a->flushes);
		assert_int_equal(hba_get32(d->mailbox[0]),
				 MEGASAS_FLUSH_CONTROLLER | MEGASAS_FLUSH_DISKS);
		a->flushes++;
		break;
	case MEGASAS_SHUTDOWN:
		a->shutdowns++;
		break;
	default:
		end_frame(a, frame, MEGASAS_INVALID_DCMD);
		return;
	}
	end_frame(a, frame, MEGASAS_OK);
}

static void init(struct chip *a, uint64_t frame)
{
	const struct megasas_init *f = at(a, frame, sizeof(*f));
	const struct megasas_queues *q = at(a, hba_get32(f->queues_low), sizeof(*q));

	assert_int_equal(a->state, MEGASAS_READY);
	assert_int_equal(a->mask, UINT32_MAX);
	a->entries = hba_get32(q->entries);
	a->ring_at = hba_get32(q->replies_low);
	a->producer_at = hba_get32(q->producer_low);
	a->consumer_at = hba_get32(q->consumer_low);
	a->state = MEGASAS_OPERATIONAL;
	end_frame(a, frame, MEGASAS_OK);
}

static void end_held(struct chip *a, uint64_t frame, uint8_t status)
{
	for (unsigned i = 0; i < a->n_held; i++)
		if (a->held[i] == frame) {
			a->held[i] = a->held[--a->n_held];
			end_frame(a, frame, status);
			return;
		}
}

static void abort_frame(struct chip *a, uint64_t frame)
{
	const struct megasas_abort *f = at(a, frame, sizeof(*f));
	uint64_t victim = hba_get32(f->low);

	a->aborts++;
	assert_int_equal(hba_get32(head_at(a, victim)->context), hba_get32(f->context));
	if (victim == a->event_frame) {
		a->event_frame = 0;
		end_frame(a, victim, MEGASAS_SCSI_FAILED);
	} else if (a->abort_status == MEGASAS_OK) {
		end_held(a, victim, MEGASAS_SCSI_FAILED);
	}
	end_frame(a, frame, victim == a->event_frame ? MEGASAS_OK : a->abort_status);
}

static void note_opcode(struct chip *a, uint64_t frame)
{
	const struct megasas_pass *pass = at(a, frame, sizeof(*pass));
	uint16_t flags = hba_get16(pass->head.flags);

	a->sends[pass->cdb[0]] |= (flags & MEGASAS_TO_DEVICE) != 0;
	a->brings[pass->cdb[0]] |= (flags & MEGASAS_TO_HOST) != 0;
}

static void take_frame(struct chip *a, uint64_t frame)
{
	const struct megasas_header *h = head_at(a, frame);

	if (a->state == MEGASAS_FAULT)
		return;
	assert_int_equal(h->status, MEGASAS_UNANSWERED);
	switch (h->command) {
	case MEGASAS_INIT:
		init(a, frame);
		break;
	case MEGASAS_DCMD:
		direct(a, frame);
		break;
	case MEGASAS_ABORT:
		abort_frame(a, frame);
		break;
	default:
		a->last_flags = hba_get16(h->flags);
		a->last_segments = h->sge_count;
		a->last_command = h->command;
		a->last_target = h->target;
		note_opcode(a, frame);
		a->luns |= 1U << h->lun % 32;
		if (a->hold)
			a->held[a->n_held++ % HELD] = frame;
		else
			execute(a, frame);
	}
}

/* ---- registers */

static void become(struct chip *a, uint32_t state)
{
	if (a->state == a->stuck)
		return;
	a->state = state;
	a->reads = 0;
	if (state == MEGASAS_READY) {
		a->n_held = 0;
		a->event_frame = 0;
	}
}

static void status_read(struct script *s, const struct script_step *step, uint64_t offset,
			uint64_t *value)
{
	struct chip *a = chip_of(s);

	(void)step;
	(void)offset;
	*value = a->state << MEGASAS_STATE_SHIFT | SEGMENTS << MEGASAS_MAX_SGE_SHIFT | a->commands;
	switch (a->state) {
	case MEGASAS_UNDEFINED:
	case MEGASAS_BOOT_BLOCK:
	case MEGASAS_FW_INIT:
	case MEGASAS_FW_INIT_2:
	case MEGASAS_DEVICE_SCAN:
	case MEGASAS_FLUSH_CACHE:
		if (++a->reads >= READS_IN_A_STATE)
			become(a, MEGASAS_READY);
		break;
	default:
		break;
	}
}

static void doorbell_written(struct script *s, const struct script_step *step, uint64_t offset,
			     uint64_t *value)
{
	struct chip *a = chip_of(s);

	(void)step;
	(void)offset;
	if (*value == MEGASAS_ADAPTER_RESET && !a->gen2) {
		a->adapter_resets++;
		become(a, MEGASAS_BOOT_BLOCK);
	}
	if (a->deaf)
		return;
	if (a->state == MEGASAS_OPERATIONAL && (*value & MEGASAS_INIT_READY)) {
		a->resets++;
		become(a, MEGASAS_READY);
	} else if (a->state == MEGASAS_WAIT_HANDSHAKE && (*value & MEGASAS_INIT_HANDSHAKE)) {
		become(a, MEGASAS_FW_INIT);
	} else if (a->state == MEGASAS_BOOT_MESSAGE && (*value & MEGASAS_INIT_HOTPLUG)) {
		become(a, MEGASAS_FW_INIT_2);
	}
}

static void mask_written(struct script *s, const struct script_step *step, uint64_t offset,
			 uint64_t *value)
{
	(void)step;
	(void)offset;
	chip_of(s)->mask = (uint32_t)*value;
}

/* A write is posted: it has arrived for sure when a read has come back. */
static void clear_written(struct script *s, const struct script_step *step, uint64_t offset,
			  uint64_t *value)
{
	(void)step;
	(void)offset;
	(void)value;
	chip_of(s)->clearing = true;
}

static void clear_read(struct script *s, const struct script_step *step, uint64_t offset,
		       uint64_t *value)
{
	(void)step;
	(void)offset;
	*value = 0;
	chip_of(s)->clearing = false;
}

static void queue_written(struct script *s, const struct script_step *step, uint64_t offset,
			  uint64_t *value)
{
	struct chip *a = chip_of(s);

	(void)step;
	(void)offset;
	assert_true(*value & MEGASAS_POST);
	a->last_more = *value % MEGASAS_FRAME >> MEGASAS_POST_MORE_SHIFT;
	take_frame(a, *value & ~(uint64_t)(MEGASAS_FRAME - 1));
}

static void key_written(struct script *s, const struct script_step *step, uint64_t offset,
			uint64_t *value)
{
	static const uint32_t keys[] = MEGASAS_KEYS;
	struct chip *a = chip_of(s);

	(void)step;
	(void)offset;
	a->keys = *value == keys[a->keys] ? a->keys + 1 : 0;
	if (a->keys == sizeof(keys) / sizeof(keys[0])) {
		a->diagnostic = MEGASAS_DIAG_WRITABLE;
		a->keys = 0;
	}
}

static void diagnostic_read(struct script *s, const struct script_step *step, uint64_t offset,
			    uint64_t *value)
{
	(void)step;
	(void)offset;
	*value = chip_of(s)->diagnostic;
}

static void diagnostic_written(struct script *s, const struct script_step *step, uint64_t offset,
			       uint64_t *value)
{
	struct chip *a = chip_of(s);

	(void)step;
	(void)offset;
	assert_true(a->gen2);
	assert_int_equal(a->diagnostic, MEGASAS_DIAG_WRITABLE);
	assert_true(*value & MEGASAS_DIAG_RESET);
	a->diagnostic = 0;
	a->adapter_resets++;
	become(a, MEGASAS_FW_INIT);
}

static void master_on(struct script *s, const struct script_step *step, uint64_t offset,
		      uint64_t *value)
{
	(void)step;
	(void)offset;
	(void)value;
	chip_of(s)->master = true;
}

static void master_off(struct script *s, const struct script_step *step, uint64_t offset,
		       uint64_t *value)
{
	(void)step;
	(void)offset;
	(void)value;
	chip_of(s)->master = false;
}

static void id_read(struct script *s, const struct script_step *step, uint64_t offset,
		    uint64_t *value)
{
	(void)step;
	(void)offset;
	*value = (uint64_t)(chip_of(s)->gen2 ? MEGASAS_2108 : MEGASAS_1078) << 16 | MEGASAS_VENDOR;
}

#define REGISTER(what, where, function)                                                           \
	{                                                                                         \
		.kind = (what), .offset = (where), .width = 4, .any = true, .times = SCRIPT_EVER, \
		.act = (function)                                                                 \
	}

static const struct script_step any_order[] = {
	REGISTER(SCRIPT_CONFIG_READ, 0, id_read),
	REGISTER(SCRIPT_BAR_WRITE, MEGASAS_DOORBELL, doorbell_written),
	REGISTER(SCRIPT_BAR_WRITE, MEGASAS_INTR_MASK, mask_written),
	REGISTER(SCRIPT_BAR_WRITE, MEGASAS_QUEUE, queue_written),
	REGISTER(SCRIPT_BAR_WRITE, MEGASAS_DOORBELL_CLEAR, clear_written),
	REGISTER(SCRIPT_BAR_READ, MEGASAS_DOORBELL_CLEAR, clear_read),
	REGISTER(SCRIPT_BAR_READ, MEGASAS_STATUS, status_read),
	REGISTER(SCRIPT_BAR_READ, MEGASAS_DIAGNOSTIC, diagnostic_read),
	REGISTER(SCRIPT_BAR_WRITE, MEGASAS_DIAGNOSTIC, diagnostic_written),
	REGISTER(SCRIPT_BAR_WRITE, MEGASAS_SEQUENCE, key_written),
	{ .kind = SCRIPT_MASTER_ON, .times = SCRIPT_EVER, .act = master_on },
	{ .kind = SCRIPT_MASTER_OFF, .times = SCRIPT_EVER, .act = master_off },
};

/* ---- made and ended */

static struct chip *chip_new(bool gen2)
{
	struct chip *a = calloc(1, sizeof(*a));

	assert_non_null(a);
	a->rig = rig_new(a);
	a->gen2 = gen2;
	a->state = MEGASAS_READY;
	a->stuck = UINT8_MAX;
	a->commands = COMMANDS;
	a->lds.count = hba_le32_of(1);
	a->lds.ld[0].state = MEGASAS_LD_IS_OPTIMAL;
	memcpy(a->steps, any_order, sizeof(any_order));
	for (size_t i = 0; i < sizeof(any_order) / sizeof(any_order[0]); i++)
		if (a->steps[i].kind == SCRIPT_BAR_READ || a->steps[i].kind == SCRIPT_BAR_WRITE)
			a->steps[i].bar = gen2;
	a->rig->script.info = (struct hba_bus_info) { .vendor = MEGASAS_VENDOR,
						      .device = gen2 ? MEGASAS_2108 : MEGASAS_1078,
						      .page_bytes = 4096 };
	a->rig->script.info.bar_length[gen2] = BAR_BYTES;
	a->rig->script.steps = a->steps;
	a->rig->script.n_steps = sizeof(any_order) / sizeof(any_order[0]);
	return a;
}

static struct hba_lun *up(struct chip *a)
{
	return rig_up(a->rig, &megasas_driver);
}

static void end(struct chip *a)
{
	rig_down(a->rig);
	free(a);
}

/* One TEST UNIT READY that the firmware keeps. */
static struct chip *with_one_held(bool gen2, struct hba_lun **ret_lun, struct test_io *io)
{
	struct chip *a = chip_new(gen2);

	*ret_lun = up(a);
	a->hold = true;
	rig_ready(*ret_lun, io);
	for (unsigned i = 0; i < PATIENCE && !a->n_held; i++)
		rig_turn(a->rig, i);
	assert_int_equal(a->n_held, 1);
	return a;
}

static void forget_events(struct chip *a)
{
	struct hba_event e;

	while (hba_event_next(a->rig->c, &e))
		;
}

static void wait_event(struct chip *a, enum hba_event_kind kind, struct hba_event *ret_e)
{
	for (unsigned i = 0; i < PATIENCE; i++) {
		if (test_event(a->rig->c, kind, ret_e))
			return;
		rig_turn(a->rig, i);
	}
	fail_msg("event %d never came", kind);
}

/* ---- bring-up and end */

static void both_generations_work(void **state)
{
	(void)state;
	for (unsigned gen2 = 0; gen2 < GENERATIONS; gen2++) {
		struct chip *a = chip_new(gen2);
		struct hba_lun *lun = up(a);
		const uint32_t reply = gen2 ? MEGASAS_INTR_2108_REPLY : MEGASAS_INTR_1078_REPLY;

		rig_copies(a->rig, lun);
		while (hba_controller_arm(a->rig->c) != 0)
			hba_controller_run(a->rig->c, 1);
		assert_int_equal(a->mask, ~(MEGASAS_INTR_STATE | reply));
		assert_false(a->clearing);
		assert_int_equal(hba_controller_stop(a->rig->c), 0);
		assert_int_equal(a->flushes, 1);
		assert_int_equal(a->shutdowns, 1);
		assert_int_equal(a->aborts, 1); /* the frame that waits for events */
		assert_int_equal(a->state, MEGASAS_READY);
		end(a);
	}
}

static void power_goes_and_comes(void **state)
{
	struct chip *a = chip_new(true);
	struct hba_lun *lun = up(a);

	(void)state;
	assert_int_equal(hba_controller_set_power(a->rig->c, HBA_POWER_OFF), 0);
	assert_false(a->master);
	assert_int_equal(a->flushes, 1);
	assert_int_equal(hba_controller_set_power(a->rig->c, HBA_POWER_ON), 0);
	assert_true(a->master);
	rig_copies(a->rig, lun);
	end(a);
}

/* It may be in the middle of a flush: what its cache holds would be lost with its memory. */
static void a_firmware_that_is_slow_to_stop_is_not_reset(void **state)
{
	(void)state;
	for (unsigned gen2 = 0; gen2 < GENERATIONS; gen2++) {
		struct chip *a = chip_new(gen2);

		up(a);
		a->mute = a->deaf = true;
		rig_tick(a->rig, 100);
		(void)hba_controller_stop(a->rig->c);
		assert_int_equal(a->adapter_resets, 0);
		assert_false(a->master);
		a->mute = a->deaf = false;
		end(a);
	}
}

static const uint32_t transient[] = { MEGASAS_UNDEFINED,    MEGASAS_BOOT_BLOCK,
				      MEGASAS_FW_INIT,      MEGASAS_WAIT_HANDSHAKE,
				      MEGASAS_FW_INIT_2,    MEGASAS_DEVICE_SCAN,
				      MEGASAS_BOOT_MESSAGE, MEGASAS_FLUSH_CACHE,
				      MEGASAS_OPERATIONAL,  MEGASAS_FAULT };
enum { TRANSIENT = sizeof(transient) / sizeof(transient[0]) };

static void every_state_leads_to_ready(void **state)
{
	(void)state;
	for (unsigned i = 0; i < TRANSIENT * GENERATIONS; i++) {
		struct chip *a = chip_new(i % GENERATIONS);
		struct test_io io = { 0 };

		a->state = transient[i / GENERATIONS];
		rig_tick(a->rig, 20);
		rig_works(a->rig, up(a), &io);
		assert_int_equal(a->adapter_resets, transient[i / GENERATIONS] == MEGASAS_FAULT);
		end(a);
	}
}

/* Operational and deaf is for the hardware, too. */
static void a_firmware_that_does_not_let_go_is_reset(void **state)
{
	(void)state;
	for (unsigned gen2 = 0; gen2 < GENERATIONS; gen2++) {
		struct chip *a = chip_new(gen2);
		struct test_io io = { 0 };

		a->state = MEGASAS_OPERATIONAL;
		a->deaf = true;
		rig_tick(a->rig, 50);
		rig_works(a->rig, up(a), &io);
		assert_int_equal(a->adapter_resets, 1);
		a->deaf = false;
		end(a);
	}
}

static void stuck_in_a_state_is_told(void **state)
{
	(void)state;
	for (unsigned i = 0; i < TRANSIENT; i++) {
		struct chip *a = chip_new(i % GENERATIONS);
		char part[64];

		a->state = a->stuck = transient[i];
		snprintf(part, sizeof(part), "the firmware stays in state %Xh (", a->state);
		rig_refused(a->rig, &megasas_driver, -ETIMEDOUT, part);
		end(a);
	}
}

static void states_and_limits_that_cannot_be(void **state)
{
	static const struct {
		uint32_t state, commands;
		const char *part;
	} rows[] = {
		{ 0x3, COMMANDS, "state 3h, which does not exist" },
		{ MEGASAS_READY, 0, "takes 0 commands" },
		{ MEGASAS_READY, RESERVED, "takes 16 commands" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct chip *a = chip_new(true);

		a->state = rows[i].state;
		a->commands = rows[i].commands;
		rig_refused(a->rig, &megasas_driver, -EIO, rows[i].part);
		end(a);
	}
}

/* Its registers cannot be had: stop, which comes all the same, has none to write. */
static void stop_after_registers_that_are_not_there(void **state)
{
	(void)state;
	for (unsigned gen2 = 0; gen2 < GENERATIONS; gen2++) {
		struct chip *a = chip_new(gen2);

		a->rig->script.info.bar_length[gen2] = 0;
		rig_open(a->rig, &megasas_driver);
		assert_int_equal(hba_controller_start(a->rig->c), -ENOENT);
		test_no_violation(a->rig->c);
		end(a);
	}
}

static void a_firmware_that_answers_nothing_is_told(void **state)
{
	struct chip *a = chip_new(true);

	(void)state;
	a->mute = true;
	rig_refused(a->rig, &megasas_driver, -ETIMEDOUT,
		    "the firmware does not answer command 01010000h");
	assert_int_equal(a->asked, 1); /* and no more: the frame may still be written */
	end(a);
}

static const char *property(struct chip *a, const char *key)
{
	static struct hba_property p;

	for (unsigned i = 0; hba_property_get(a->rig->c, HBA_NO_TARGET, i, &p) == 0; i++)
		if (strcmp(p.key, key) == 0)
			return p.type == HBA_STRING ? p.value.string : "";
	return NULL;
}

/* Text without an end, more components than there is room for: cut. */
static void what_the_firmware_says_of_itself_is_cut(void **state)
{
	struct chip *a = chip_new(true);

	(void)state;
	up(a);
	assert_string_equal(property(a, "Product Name"), "Script RAID");
	assert_string_equal(property(a, "Vendor Name"), "LSI");
	assert_string_equal(property(a, "Product Revision Level"), "23.1");
	assert_non_null(strstr(property(a, "Port Description"), "2108"));
	assert_string_equal(property(a, "Firmware Name"), "APP");
	assert_int_equal(strlen(property(a, "Firmware Version")),
			 sizeof(((struct megasas_component *)0)->version));
	end(a);
}

/* ---- frames */

static void lists_of_both_widths(void **state)
{
	enum { MEMORY = 1 << 20, PIECES = 60, BYTES = PIECES * RIG_BLOCK };
	struct chip *a = chip_new(true);
	struct hba_lun *lun = up(a);

	(void)state;
	for (unsigned wide = 0; wide < 2; wide++) {
		struct hba_piece pieces[PIECES];
		struct hba_mapping *m = NULL;
		struct test_io io = { 0 };
		struct hba_task *t;
		uint8_t *memory;

		if (wide)
			a->rig->script.next_iova = UINT64_C(6) << 30;
		assert_int_equal(hba_mapping_create(a->rig->c, HBA_DEVICE_BOTH, MEMORY, 0, &m), 0);
		memory = hba_mapping_address(m);
		/* apart, so that none can be joined to the next */
		for (unsigned i = 0; i < PIECES; i++) {
			pieces[i] = (struct hba_piece) { hba_mapping_region(m), RIG_BLOCK,
							 i * 2 * RIG_BLOCK };
			memset(memory + pieces[i].offset, (int)(i + 1 + wide), RIG_BLOCK);
		}
		assert_int_equal(hba_task_get(lun, 0, NULL, &t), 0);
		test_fill_rw(t, true, 0, PIECES, NULL);
		t->mode = HBA_DATA_REGION;
		t->n_data = PIECES;
		t->data.pieces = pieces;
		assert_int_equal(hba_submit(t, test_done, &io), 0);
		rig_ends(a->rig, &io, 1, HBA_GOOD);
		hba_task_put(t);
		assert_int_equal(a->last_segments, PIECES);
		assert_int_equal(a->last_flags & MEGASAS_SGL64, wide ? MEGASAS_SGL64 : 0);
		assert_int_equal(a->last_more, MEGASAS_POST_MOST_MORE);
		for (unsigned i = 0; i < BYTES; i++)
			assert_int_equal(a->rig->medium[i], i / RIG_BLOCK + 1 + wide);
		assert_int_equal(hba_mapping_release(m), 0);
	}
	test_no_violation(a->rig->c);
	end(a);
}

static void every_status_has_an_end(void **state)
{
	enum { ASC = 12, LBA_OUT_OF_RANGE = 0x21 };
	struct hba_lun *lun;
	struct chip *a = chip_new(true);
	struct test_io io = { 0 };

	(void)state;
	lun = up(a);
	a->hold = true;
	rig_tick(a->rig, 5); /* what was never sent is sent again after a while */
	for (unsigned status = 0; status < MEGASAS_UNANSWERED; status++) {
		unsigned done = io.done;

		rig_ready(lun, &io);
		for (unsigned i = 0; i < PATIENCE && io.done == done; i++) {
			if (a->n_held)
				end_frame(a, a->held[--a->n_held], (uint8_t)status);
			rig_turn(a->rig, i);
		}
		assert_int_equal(io.done, done + 1);
		if (status == MEGASAS_DEVICE_NOT_FOUND)
			assert_int_equal(io.last.outcome, HBA_NOT_PRESENT);
		if (status == MEGASAS_RESERVED)
			assert_int_equal(io.last.outcome, HBA_RESERVATION_CONFLICT);
		if (status == MEGASAS_OUT_OF_RANGE)
			assert_int_equal(io.sense[ASC], LBA_OUT_OF_RANGE);
	}
	end(a);
}

static void sense_comes_with_the_status(void **state)
{
	struct chip *a = chip_new(true);

	(void)state;
	rig_has_sense(a->rig, up(a));
	end(a);
}

static void a_command_that_contradicts_its_direction_is_not_sent(void **state)
{
	static const struct {
		uint8_t opcode, direction;
		bool sent;
	} rows[] = {
		{ 0x28, HBA_FROM_TARGET, true },
		{ 0x2a, HBA_TO_TARGET, true },
		{ 0x28, HBA_TO_TARGET, false },
		{ 0x2a, HBA_FROM_TARGET, false },
		/*
		 * INQUIRY, MODE SELECT(6), LOG SELECT, LOG SENSE; UNMAP, which a CD drive takes for
		 * READ SUB-CHANNEL; a vendor's own
		 */
		{ 0x12, HBA_TO_TARGET, false },
		{ 0x15, HBA_FROM_TARGET, false },
		{ 0x4c, HBA_FROM_TARGET, false },
		{ 0x4d, HBA_TO_TARGET, false },
		{ 0x42, HBA_FROM_TARGET, true },
		{ 0xc1, HBA_TO_TARGET, true },
		{ 0xc1, HBA_FROM_TARGET, true },
	};
	struct chip *a = chip_new(true);
	struct hba_lun *lun = up(a);
	uint8_t buffer[RIG_BLOCK] = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const bool *came = rows[i].direction == HBA_TO_TARGET ? a->sends : a->brings;
		struct test_io io = { 0 };
		struct hba_task *t;

		assert_int_equal(hba_task_get(lun, sizeof(buffer), NULL, &t), 0);
		test_fill_rw(t, rows[i].direction == HBA_TO_TARGET, 0, 1, buffer);
		t->cdb[0] = rows[i].opcode;
		t->cdb[4] = 36; /* an allocation length where one is: without, there are no data */
		assert_int_equal(hba_submit(t, test_done, &io), 0);
		rig_tick(a->rig, 20); /* refused, it is tried again a few times */
		rig_wait(a->rig, &io, 1);
		rig_tick(a->rig, 0);
		assert_int_equal(came[rows[i].opcode], rows[i].sent);
		if (!rows[i].sent)
			assert_int_equal(io.last.outcome, HBA_NOT_DELIVERED);
		hba_task_put(t);
	}
	end(a);
}

/* ---- trouble under I/O */

static void a_fault_under_io_leads_to_a_reset(void **state)
{
	(void)state;
	for (unsigned gen2 = 0; gen2 < GENERATIONS; gen2++) {
		struct hba_lun *lun;
		struct test_io io = { 0 };
		struct chip *a = with_one_held(gen2, &lun, &io);
		struct hba_event e;

		forget_events(a);
		a->state = MEGASAS_FAULT;
		a->hold = false;
		rig_tick(a->rig, 20);
		rig_ends(a->rig, &io, 1, HBA_TASK_TIMEOUT);
		assert_int_equal(a->aborts, 0); /* a firmware at fault is asked nothing */
		assert_int_equal(a->adapter_resets, 1);
		wait_event(a, HBA_EVENT_DEVICE_ERROR, &e);
		assert_non_null(strstr(e.text, "its state is Fh"));
		wait_event(a, HBA_EVENT_PORT, &e);
		assert_int_equal(e.value, HBA_PORT_FAILED);
		wait_event(a, HBA_EVENT_PORT, &e);
		assert_int_equal(e.value, HBA_PORT_ONLINE);
		rig_works(a->rig, lun, &io);
		rig_copies(a->rig, lun);
		end(a);
	}
}

static void a_lost_reply_is_aborted(void **state)
{
	struct hba_lun *lun;
	struct test_io io = { 0 };
	struct chip *a = with_one_held(true, &lun, &io);

	(void)state;
	a->hold = false;
	rig_tick(a->rig, 20);
	rig_ends(a->rig, &io, 1, HBA_TASK_TIMEOUT);
	assert_int_equal(a->aborts, 1);
	assert_int_equal(a->resets, 0);
	rig_works(a->rig, lun, &io);
	test_no_violation(a->rig->c);
	end(a);
}

/* Refused, or said to be done, and the victim does not come. */
static void an_abort_that_does_not_help_leads_to_a_reset(void **state)
{
	static const uint8_t statuses[] = { 0x05, LOST };

	(void)state;
	for (size_t i = 0; i < sizeof(statuses); i++) {
		struct hba_lun *lun;
		struct test_io io = { 0 };
		struct chip *a = with_one_held(true, &lun, &io);

		a->hold = false;
		a->abort_status = statuses[i];
		rig_tick(a->rig, 20);
		rig_ends(a->rig, &io, 1, HBA_TASK_TIMEOUT);
		assert_int_equal(a->aborts, 1);
		assert_int_equal(a->resets, 1);
		a->abort_status = MEGASAS_OK;
		rig_works(a->rig, lun, &io);
		end(a);
	}
}

/*
 * A command hangs, and the writes of four hang with it; four others write on: before the reset, and
 * all of them after it.
 */
static void io_goes_on_through_a_reset(void **state)
{
	struct chip *a = chip_new(true);
	struct hba_lun *lun = up(a);
	struct rig_writer w[RIG_WRITERS] = { 0 };
	struct test_io hung = { 0 };

	(void)state;
	a->hold = true;
	a->abort_status = LOST;
	rig_hang(lun, &hung, w);
	for (unsigned i = 0; i < PATIENCE && a->n_held <= RIG_CAUGHT; i++)
		rig_turn(a->rig, i);
	a->hold = false;
	rig_writes_through_reset(a->rig, lun, &hung, w);
	assert_int_equal(a->resets, 1);
	a->abort_status = MEGASAS_OK;
	rig_copies(a->rig, lun);
	end(a);
}

static void fewer_commands_after_a_reset(void **state)
{
	struct hba_lun *lun;
	struct test_io io = { 0 };
	struct chip *a = with_one_held(true, &lun, &io);

	(void)state;
	a->hold = false;
	a->abort_status = LOST;
	a->commands = COMMANDS / 2;
	rig_tick(a->rig, 20);
	rig_ends(a->rig, &io, 1, HBA_TASK_TIMEOUT);
	assert_int_equal(a->entries, COMMANDS / 2);
	for (unsigned i = 0; i < COMMANDS; i++) /* round the shorter ring */
		rig_works(a->rig, lun, &io);
	a->abort_status = MEGASAS_OK;
	end(a);
}

static void wrong_contexts_end_nothing(void **state)
{
	struct hba_lun *lun;
	struct test_io io = { 0 };
	struct chip *a = with_one_held(true, &lun, &io);
	uint32_t context = hba_get32(head_at(a, a->held[0])->context);
	const uint32_t wrong[] = { 0,           UINT32_MAX, 0x80000000U, context + COMMANDS,
				   context ^ 1, context /* and no status */ };
	uint64_t frame = a->held[0];
	struct hba_event e;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		reply(a, wrong[i]);
	wait_event(a, HBA_EVENT_DEVICE_ERROR, &e);
	assert_int_equal(io.done, 0);
	end_frame(a, frame, MEGASAS_OK);
	reply(a, context); /* twice */
	rig_ends(a->rig, &io, 1, HBA_GOOD);
	test_turns(a->rig->c, 10);
	assert_int_equal(io.done, 1);
	end(a);
}

static void a_command_without_a_status_is_told(void **state)
{
	struct hba_lun *lun;
	struct test_io io = { 0 };
	struct chip *a = with_one_held(true, &lun, &io);

	(void)state;
	forget_events(a);
	reply(a, hba_get32(head_at(a, a->held[0])->context));
	rig_told(a->rig, "without an answer to it");
	end_frame(a, a->held[0], MEGASAS_OK);
	rig_ends(a->rig, &io, 1, HBA_GOOD);
	end(a);
}

static void an_index_outside_the_ring_is_not_followed(void **state)
{
	static const uint32_t wrong[] = { COMMANDS, COMMANDS + 1, 0x80000000U, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct hba_lun *lun;
		struct test_io io = { 0 };
		struct chip *a = with_one_held(true, &lun, &io);
		uint32_t before = producer(a);

		forget_events(a);
		hba_publish32(at(a, a->producer_at, 4), wrong[i]);
		rig_told(a->rig, "in a ring of 64");
		assert_int_equal(io.done, 0);
		hba_publish32(at(a, a->producer_at, 4), before);
		end_frame(a, a->held[0], MEGASAS_OK);
		rig_ends(a->rig, &io, 1, HBA_GOOD);
		end(a);
	}
}

/* ---- targets and events */

static void lists_that_are_too_long_are_cut(void **state)
{
	struct chip *a = chip_new(true);
	struct test_io io = { 0 };
	struct hba_event e;

	(void)state;
	a->lds.count = hba_le32_of(UINT32_MAX);
	a->pds.count = hba_le32_of(UINT32_MAX);
	for (unsigned i = 0; i < MEGASAS_PDS; i++)
		a->pds.pd[i].id = hba_le16_of((uint16_t)(i * 257));
	rig_works(a->rig, up(a), &io);
	assert_true(test_event(a->rig->c, HBA_EVENT_DEVICE_ERROR, &e));
	assert_non_null(strstr(e.text, "lists 4294967295 logical drives"));
	end(a);
}

static void logical_drives_come_and_go(void **state)
{
	struct chip *a = chip_new(true);
	struct hba_event e;

	(void)state;
	up(a);
	forget_events(a);
	tell(a, MEGASAS_EVENT_LD_CREATED, 7);
	wait_event(a, HBA_EVENT_LUN_CAME, &e);
	assert_int_equal(e.target, 7);
	assert_int_equal(a->last_target, 7);
	assert_int_equal(a->last_command, MEGASAS_LD_SCSI);
	tell(a, MEGASAS_EVENT_LD_OFFLINE, 7);
	wait_event(a, HBA_EVENT_LUN_LEFT, &e);
	tell(a, MEGASAS_EVENT_LD_OPTIMAL, 7);
	wait_event(a, HBA_EVENT_LUN_CAME, &e);
	tell(a, MEGASAS_EVENT_LD_DELETED, 7);
	wait_event(a, HBA_EVENT_LUN_LEFT, &e);
	test_no_violation(a->rig->c);
	tell(a, MEGASAS_EVENT_LD_CREATED, MEGASAS_LDS);
	rig_told(a->rig, "an event is about logical drive 64");
	end(a);
}

static void disks_come_and_go(void **state)
{
	struct chip *a = chip_new(true);
	struct hba_property p;
	struct hba_event e;

	(void)state;
	up(a);
	forget_events(a);
	a->pds.count = hba_le32_of(1);
	a->pds.pd[0] =
		(struct megasas_pd) { .id = hba_le16_of(9),
				      .address = { hba_le64_of(UINT64_C(0x5000c50012345678)) } };
	tell(a, MEGASAS_EVENT_PD_INSERTED, 9);
	wait_event(a, HBA_EVENT_LUN_CAME, &e);
	assert_int_equal(e.target, JBOD + 9);
	assert_int_equal(a->last_command, MEGASAS_PD_SCSI);
	assert_int_equal(a->last_target, 9);
	assert_int_equal(hba_property_get(a->rig->c, JBOD + 9, 0, &p), 0);
	assert_string_equal(p.key, "SAS Address");
	assert_memory_equal(p.value.bytes, "\x50\x00\xc5\x00\x12\x34\x56\x78", 8);
	tell(a, MEGASAS_EVENT_PD_REMOVED, 9);
	wait_event(a, HBA_EVENT_LUN_LEFT, &e);
	test_no_violation(a->rig->c);
	end(a);
}

/*
 * Each wait is answered at once, for ever: I/O goes on, and a second sees no more of them than it
 * may.
 */
static void each_unit_of_a_disk_has_its_number(void **state)
{
	struct chip *a = chip_new(true);
	struct hba_event e;

	(void)state;
	a->rig->two_units = true;
	up(a);
	forget_events(a);
	assert_int_equal(a->luns, 1); /* logical drives have one */
	a->pds.count = hba_le32_of(1);
	a->pds.pd[0].id = hba_le16_of(9);
	tell(a, MEGASAS_EVENT_PD_INSERTED, 9);
	wait_event(a, HBA_EVENT_LUN_CAME, &e);
	wait_event(a, HBA_EVENT_LUN_CAME, &e);
	assert_int_equal(a->luns, 3);
	end(a);
}

static void an_event_storm_is_bounded(void **state)
{
	struct chip *a = chip_new(true);
	struct hba_lun *lun = up(a);
	struct test_io io = { 0 };

	(void)state;
	a->waits = 0;
	a->storm = true;
	tell(a, MEGASAS_EVENT_LINK_LOST, 0);
	for (unsigned i = 0; i < 200; i++)
		rig_works(a->rig, lun, &io);
	assert_true(a->waits <= EVENTS_A_SECOND);
	rig_tick(a->rig, 10);
	for (unsigned i = 0; i < PATIENCE && a->waits <= EVENTS_A_SECOND; i++)
		rig_turn(a->rig, i);
	assert_true(a->waits > EVENTS_A_SECOND);
	rig_tick(a->rig, 0);
	a->storm = false;
	rig_works(a->rig, lun, &io);
	test_no_violation(a->rig->c);
	end(a);
}

static void a_wait_that_comes_back_empty_is_told(void **state)
{
	struct chip *a = chip_new(true);
	struct hba_lun *lun = up(a);
	struct test_io io = { 0 };

	(void)state;
	forget_events(a);
	reply(a, hba_get32(head_at(a, a->event_frame)->context));
	rig_told(a->rig, "the frame that waits for events");
	/* Refused: no more events, and a scan asks again. */
	end_frame(a, a->event_frame, MEGASAS_INVALID_DCMD);
	a->event_frame = 0;
	test_turns(a->rig->c, 10);
	assert_int_equal(a->event_frame, 0);
	assert_int_equal(hba_controller_rescan(a->rig->c), 0);
	for (unsigned i = 0; i < PATIENCE && !__atomic_load_n(&a->event_frame, __ATOMIC_ACQUIRE);
	     i++)
		rig_turn(a->rig, i);
	assert_int_not_equal(a->event_frame, 0);
	rig_works(a->rig, lun, &io);
	end(a);
}

/* ---- pulled out */

static void pulled_out_ends_every_command(void **state)
{
	struct hba_lun *lun;
	struct test_io io = { 0 };
	struct chip *a = with_one_held(true, &lun, &io);

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		rig_ready(lun, &io);
	rig_send(a->rig);
	script_remove(&a->rig->script);
	rig_ready(lun, &io);
	rig_ends(a->rig, &io, 10, HBA_NOT_PRESENT);
	rig_until(a->rig, HBA_GONE);
	end(a);
}

static void all_ones_end_every_command(void **state)
{
	struct hba_lun *lun;
	struct test_io io = { 0 };
	struct chip *a = with_one_held(true, &lun, &io);

	(void)state;
	script_silence(&a->rig->script);
	rig_tick(a->rig, 20);
	rig_ends(a->rig, &io, 1, HBA_NOT_PRESENT);
	rig_until(a->rig, HBA_GONE);
	end(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_generations_work),
		cmocka_unit_test(power_goes_and_comes),
		cmocka_unit_test(a_firmware_that_is_slow_to_stop_is_not_reset),
		cmocka_unit_test(every_state_leads_to_ready),
		cmocka_unit_test(a_firmware_that_does_not_let_go_is_reset),
		cmocka_unit_test(stuck_in_a_state_is_told),
		cmocka_unit_test(states_and_limits_that_cannot_be),
		cmocka_unit_test(stop_after_registers_that_are_not_there),
		cmocka_unit_test(a_firmware_that_answers_nothing_is_told),
		cmocka_unit_test(what_the_firmware_says_of_itself_is_cut),
		cmocka_unit_test(lists_of_both_widths),
		cmocka_unit_test(every_status_has_an_end),
		cmocka_unit_test(sense_comes_with_the_status),
		cmocka_unit_test(a_command_that_contradicts_its_direction_is_not_sent),
		cmocka_unit_test(a_fault_under_io_leads_to_a_reset),
		cmocka_unit_test(a_lost_reply_is_aborted),
		cmocka_unit_test(an_abort_that_does_not_help_leads_to_a_reset),
		cmocka_unit_test(io_goes_on_through_a_reset),
		cmocka_unit_test(fewer_commands_after_a_reset),
		cmocka_unit_test(wrong_contexts_end_nothing),
		cmocka_unit_test(a_command_without_a_status_is_told),
		cmocka_unit_test(an_index_outside_the_ring_is_not_followed),
		cmocka_unit_test(lists_that_are_too_long_are_cut),
		cmocka_unit_test(logical_drives_come_and_go),
		cmocka_unit_test(disks_come_and_go),
		cmocka_unit_test(each_unit_of_a_disk_has_its_number),
		cmocka_unit_test(an_event_storm_is_bounded),
		cmocka_unit_test(a_wait_that_comes_back_empty_is_told),
		cmocka_unit_test(pulled_out_ends_every_command),
		cmocka_unit_test(all_ones_end_every_command),
	};

	cmocka_set_test_filter(getenv("HBAKIT_TEST"));
	return cmocka_run_group_tests_name("script-megasas", tests, NULL, NULL);
}
