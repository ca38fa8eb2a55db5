/* SPDX-License-Identifier: MIT */
/*
 * pvscsi.c: VMware's paravirtual SCSI controller, which QEMU models too.
 *
 * Three rings in memory (requests, completions, messages) whose indices share one page; two
 * doorbells, one for block reads and writes, one for the rest. Commands to the adapter go word by
 * word into a register and are done when it is written. A task's HBA data is its scatter list and
 * its sense; the chip's context is 64 bits wide and carries the cookie. Not done: the request call
 * threshold, several buses. What QEMU's model does differently stands in pvscsi.md.
 */
#include "drivers/pvscsi-regs.h"

#include "base/base.h"
#include "drivers/drivers.h"
#include "scsi/scsi.h"

#include <hbakit/driver.h>
#include <string.h>

enum {
	RING_PAGES = 8,
	TARGETS = 64,
	REQS = RING_PAGES * PVSCSI_PAGE / sizeof(struct pvscsi_req), /* 256 */
	CMPS = RING_PAGES * PVSCSI_PAGE / sizeof(struct pvscsi_cmp), /* 1024 */
	MSGS = PVSCSI_PAGE / sizeof(struct pvscsi_msg),              /* 32 */
	SEGMENTS = 128,
	SENSE = 96,
	INTERNAL = 2,
	/* from an abort's or a reset's end to that of the last request it concerns */
	VICTIMS_MS = 2000,
	READ_MS = 2000, /* from a request's end to the index that says that it was read */
};

enum pvscsi_memory { STATE, REQ, CMP, MSG };

/* ---- memory */

struct pvscsi_data { /* HBA data of one task; the device reads and writes it */
	struct pvscsi_sge list[SEGMENTS];
	uint8_t sense[SENSE];
};

struct pvscsi_task {
	hba_le64 list, sense; /* its addresses as the chip wants them, found once */
	uint32_t victim_of;   /* the function that ends it, by its number; 0: none */
};

struct pvscsi {
	struct hba_bar bar;
	struct hba_mapping *rings[4];
	struct pvscsi_state *state;
	struct pvscsi_req *req;
	struct pvscsi_cmp *cmp;
	struct pvscsi_msg *msg;
	uint32_t req_prod, cmp_cons, msg_cons; /* ours; the page only gets copies */
	bool has_messages, kick_rw, kick_other;
	bool unmasked;      /* the chip may interrupt */
	uint32_t full_cons; /* where req_cons stood when the request ring was full */
	uint64_t full_since;
	struct hba_task *tmf; /* carried out, but some of its victims are not back */
	uint32_t tmf_number, victims;
	uint64_t tmf_until;
};

static struct pvscsi *pvscsi_of(struct hba_queue *q)
{
	return hba_controller_priv(hba_queue_controller(q));
}

/* ---- talking to the chip */

static void command(struct pvscsi *p, enum pvscsi_command cmd, const void *arg, size_t bytes)
{
	hba_bar_write32(&p->bar, PVSCSI_COMMAND, cmd);
	hba_bar_write_block(&p->bar, PVSCSI_COMMAND_DATA, arg, bytes / 4);
	/*
	 * Writes may be on their way for a while; what has been read after them, they have reached.
	 */
	(void)hba_bar_read32(&p->bar, PVSCSI_COMMAND_STATUS);
}

/*
 * How far the device says it is ahead of us; an index that jumps beyond its ring is not followed.
 */
static uint32_t ahead(struct hba_queue *q, const char *what, const hba_le32 *prod, uint32_t cons,
		      uint32_t ring)
{
	uint32_t n = hba_acquire32(prod) - cons;

	if (n <= ring)
		return n;
	hba_device_error(hba_queue_controller(q), "the device shows %u %s in a ring of %u", n, what,
			 ring);
	return 0;
}

static uint32_t completions_ahead(struct hba_queue *q, const struct pvscsi *p)
{
	return ahead(q, "completions", &p->state->cmp_prod, p->cmp_cons, CMPS);
}

static uint32_t messages_ahead(struct hba_queue *q, const struct pvscsi *p)
{
	return p->has_messages ? ahead(q, "messages", &p->state->msg_prod, p->msg_cons, MSGS) : 0;
}

static void list_pages(hba_le64 *page, const struct hba_mapping *m)
{
	for (size_t i = 0; i < hba_mapping_length(m) / PVSCSI_PAGE; i++)
		page[i] = hba_le64_of(hba_mapping_iova(m).bus / PVSCSI_PAGE + i);
}

/* ---- bring-up */

static int pvscsi_initialize(struct hba_controller *c, struct hba_report *r)
{
	static const size_t ring_bytes[] = { [STATE] = PVSCSI_PAGE,
					     [REQ] = RING_PAGES * PVSCSI_PAGE,
					     [CMP] = RING_PAGES * PVSCSI_PAGE,
					     [MSG] = PVSCSI_PAGE };
	struct pvscsi *p = hba_controller_priv(c);
	int err;

	r->initiator_id = TARGETS; /* no id of its own on this bus */
	r->highest_target_id = TARGETS - 1;
	r->max_tasks = REQS - INTERNAL; /* with the two internal ones they fill the ring */
	r->manages_devices = false;
	r->performs_autosense = true;
	r->tmfs = HBA_TMF_BIT(HBA_ABORT_TASK) | HBA_TMF_BIT(HBA_LOGICAL_UNIT_RESET) |
		  HBA_TMF_BIT(HBA_TARGET_RESET);
	r->physical_iovas = true;
	r->constraints = (struct hba_constraints) {
		.max_segments_read = SEGMENTS,
		.max_segment_bytes_read = 1U << 20,
		.hba_data_mask = ~UINT64_C(15),
		.max_segments_write = SEGMENTS,
		.max_segment_bytes_write = 1U << 20,
		.alignment = 1,
		.address_bits = 64,
	};
	err = hba_bar_map(c, 0, &p->bar);
	if (err < 0)
		return err;
	hba_bar_write32(&p->bar, PVSCSI_INTR_MASK, 0);
	command(p, PVSCSI_CMD_ADAPTER_RESET, NULL, 0);

	for (int i = 0; i < 4; i++) {
		err = hba_mapping_create(c, HBA_DEVICE_BOTH, ring_bytes[i], PVSCSI_PAGE,
					 &p->rings[i]);
		if (err < 0)
			return err;
	}
	p->state = hba_mapping_address(p->rings[STATE]);
	p->req = hba_mapping_address(p->rings[REQ]);
	p->cmp = hba_mapping_address(p->rings[CMP]);
	p->msg = hba_mapping_address(p->rings[MSG]);
	return 0;
}

static int pvscsi_map_hba_data(struct hba_controller *c, struct hba_task *t, uint32_t *ret_id)
{
	struct pvscsi_task *pt = t->priv;

	(void)c;
	pt->list = hba_le64_of_iova(hba_iova_at(t->hba_iova, offsetof(struct pvscsi_data, list)));
	pt->sense = hba_le64_of_iova(hba_iova_at(t->hba_iova, offsetof(struct pvscsi_data, sense)));
	*ret_id = t->slot + 1U;
	return 0;
}

static int pvscsi_start(struct hba_controller *c)
{
	struct pvscsi *p = hba_controller_priv(c);
	struct pvscsi_setup_rings rings = { .req_pages = hba_le32_of(RING_PAGES),
					    .cmp_pages = hba_le32_of(RING_PAGES) };
	struct pvscsi_setup_messages messages = { .pages = hba_le32_of(1) };
	int err;

	memset(p->state, 0, PVSCSI_PAGE);
	p->req_prod = p->cmp_cons = p->msg_cons = 0;
	p->kick_rw = p->kick_other = false;
	p->full_since = 0;
	p->tmf = NULL;

	err = hba_bus_master_on(c);
	if (err < 0)
		return err;
	list_pages(&rings.state_page, p->rings[STATE]);
	list_pages(rings.req_page, p->rings[REQ]);
	list_pages(rings.cmp_page, p->rings[CMP]);
	command(p, PVSCSI_CMD_SETUP_RINGS, &rings, sizeof(rings));

	hba_bar_write32(&p->bar, PVSCSI_COMMAND, PVSCSI_CMD_SETUP_MESSAGES);
	p->has_messages = hba_bar_read32(&p->bar, PVSCSI_COMMAND_STATUS) != UINT32_MAX;
	if (p->has_messages) {
		list_pages(messages.page, p->rings[MSG]);
		command(p, PVSCSI_CMD_SETUP_MESSAGES, &messages, sizeof(messages));
	}
	p->unmasked = false;
	hba_vector_bind(hba_controller_queue(c, 0), 0); /* without one we are polled */
	return 0;
}

/* ---- sending */

/*
 * The commands that QEMU's model knows to send data; all others bring some, for it. One whose flag
 * says otherwise it neither carries out nor ends, and a reset of the adapter then ends QEMU itself.
 * Without a flag it goes by the CDB alone.
 */
static const bool known_to_send[UINT8_MAX + 1] = {
	[0x04] = true /* FORMAT UNIT */,
	[0x07] = true /* REASSIGN BLOCKS */,
	[SCSI_WRITE_6] = true,
	[SCSI_MODE_SELECT_6] = true,
	[SCSI_SEND_DIAGNOSTIC] = true,
	[SCSI_WRITE_10] = true,
	[SCSI_WRITE_AND_VERIFY_10] = true,
	[SCSI_VERIFY_10] = true,
	[0x3b] = true /* WRITE BUFFER */,
	[0x3f] = true /* WRITE LONG(10) */,
	[SCSI_WRITE_SAME_10] = true,
	[SCSI_UNMAP] = true,
	[0x4c] = true /* LOG SELECT */,
	[SCSI_MODE_SELECT_10] = true,
	[SCSI_PERSISTENT_RESERVE_OUT] = true,
	[SCSI_WRITE_16] = true,
	[SCSI_WRITE_AND_VERIFY_16] = true,
	[SCSI_VERIFY_16] = true,
	[SCSI_WRITE_SAME_16] = true,
	[0xa4] = true /* MAINTENANCE OUT */,
	[SCSI_WRITE_12] = true,
	[SCSI_WRITE_AND_VERIFY_12] = true,
	[SCSI_VERIFY_12] = true,
};

/* false: the direction contradicts the CDB. */
static bool put_direction(const struct hba_task *t, uint32_t *ret_flags)
{
	bool sends = known_to_send[t->cdb[0]];

	if (t->direction == HBA_NO_DATA)
		*ret_flags = PVSCSI_REQ_NO_DATA;
	else if (t->direction == HBA_TO_TARGET)
		*ret_flags = sends ? PVSCSI_REQ_TO_DEVICE : 0;
	else
		*ret_flags = PVSCSI_REQ_TO_HOST;
	return t->direction == HBA_NO_DATA || sends == (t->direction == HBA_TO_TARGET) ||
	       (t->direction == HBA_TO_TARGET && !(t->flags & HBA_TASK_RW));
}

/* The list, if one piece will not do; returns the flag that says so. */
static uint32_t put_data(struct pvscsi_req *req, const struct hba_task *t)
{
	const struct hba_segment *s = t->data.segments;
	struct pvscsi_data *d = t->hba_data;

	req->data_len = hba_le64_of(t->length);
	if (t->n_data == 1)
		req->data = hba_le64_of_iova(s->iova);
	if (t->n_data <= 1)
		return 0;
	for (uint32_t i = 0; i < t->n_data; i++)
		d->list[i] = (struct pvscsi_sge) { hba_le64_of_iova(s[i].iova),
						   hba_le32_of((uint32_t)s[i].length),
						   { 0 } };
	req->data = ((struct pvscsi_task *)t->priv)->list;
	return PVSCSI_REQ_LIST;
}

/*
 * The ring holds the whole pool, but a completion may be seen before the device moves req_cons:
 * then the task waits. An index that stays behind, or is ahead of what was sent, does not say where
 * there is room: the task is kept until its time is over, and the reset that recovery comes to puts
 * the index right.
 */
__attribute__((cold, noinline)) static void no_room(struct hba_queue *q, struct pvscsi *p,
						    struct hba_task *t, uint32_t cons)
{
	struct hba_controller *c = hba_queue_controller(q);

	if (p->full_cons != cons || !p->full_since) {
		p->full_cons = cons;
		p->full_since = hba_now(c);
	}
	if (p->req_prod - cons == REQS &&
	    hba_now(c) - p->full_since < READ_MS * (uint64_t)NS_PER_MS)
		hba_requeue(t, HBA_SCOPE_QUEUE);
	else
		hba_device_error(
			c, "the device's req_cons is %u, which cannot be with %u requests made",
			cons, p->req_prod);
}

static void pvscsi_process_task(struct hba_queue *q, struct hba_task *t)
{
	static const uint8_t tag[] = { [HBA_SIMPLE] = PVSCSI_TAG_SIMPLE,
				       [HBA_ORDERED] = PVSCSI_TAG_ORDERED,
				       [HBA_HEAD_OF_QUEUE] = PVSCSI_TAG_HEAD,
				       [HBA_ACA] = PVSCSI_TAG_SIMPLE };
	struct pvscsi *p = pvscsi_of(q);
	struct pvscsi_task *pt = t->priv;
	struct pvscsi_req *req = &p->req[p->req_prod % REQS];
	uint32_t flags, cons = hba_acquire32(&p->state->req_cons);

	if (!put_direction(t, &flags))
		return hba_complete_failed(t, HBA_NOT_DELIVERED, HBA_SENT_NO);
	pt->victim_of = 0;
	if (p->req_prod - cons >= REQS)
		return no_room(q, p, t, cons);
	*req = (struct pvscsi_req) {
		.context = hba_le64_of(t->cookie),
		.sense = pt->sense,
		.sense_len = hba_le32_of(SENSE),
		.cdb_len = t->cdb_len,
		.tag = tag[t->attribute],
		.target = (uint8_t)t->target,
	};
	memcpy(req->cdb, t->cdb, sizeof(req->cdb));
	memcpy(req->lun, t->lun.bytes, sizeof(req->lun));
	req->flags = hba_le32_of(flags | put_data(req, t));

	p->req_prod++;
	*(t->flags & HBA_TASK_RW ? &p->kick_rw : &p->kick_other) = true;
}

static void pvscsi_kick(struct hba_queue *q)
{
	struct pvscsi *p = pvscsi_of(q);

	/* The requests, then the index that shows them, then the doorbell. */
	hba_publish32(&p->state->req_prod, p->req_prod);
	if (p->kick_rw)
		hba_bar_write32(&p->bar, PVSCSI_KICK_RW, 0);
	if (p->kick_other)
		hba_bar_write32(&p->bar, PVSCSI_KICK_NON_RW, 0);
	p->kick_rw = p->kick_other = false;
}

/* ---- receiving */

/*
 * What is not in the table was a fault on the way: the device is well, the command may have been
 * begun.
 */
static const struct outcome {
	enum pvscsi_host host;
	enum hba_outcome outcome; /* 0: the target has answered, its status counts */
	enum hba_sent sent;
} outcomes[] = {
	{ PVSCSI_HOST_SUCCESS, 0, HBA_SENT_YES },
	{ PVSCSI_HOST_LINKED, 0, HBA_SENT_YES },
	{ PVSCSI_HOST_LINKED_FLAG, 0, HBA_SENT_YES },
	{ PVSCSI_HOST_UNDERRUN, 0, HBA_SENT_YES },
	{ PVSCSI_HOST_DATARUN, 0, HBA_SENT_YES },
	{ PVSCSI_HOST_SELECT_TIMEOUT, HBA_NOT_PRESENT, HBA_SENT_NO },
	{ PVSCSI_HOST_INVALID_PARAMETER, HBA_NOT_DELIVERED, HBA_SENT_NO },
	{ PVSCSI_HOST_NO_RESPONSE, HBA_NOT_RESPONDING, HBA_SENT_MAYBE },
	{ PVSCSI_HOST_TIMEOUT, HBA_PROTOCOL_TIMEOUT, HBA_SENT_MAYBE },
};

static struct outcome outcome_of(uint16_t host)
{
	for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
		if (outcomes[i].host == host)
			return outcomes[i];
	return (struct outcome) { .outcome = HBA_NOT_DELIVERED, .sent = HBA_SENT_MAYBE };
}

/*
 * Only a run that ended early has a length, and QEMU's model leaves even that 0: then all we know
 * is that data came.
 */
static uint64_t bytes_of(const struct pvscsi_cmp *e, const struct hba_task *t)
{
	uint64_t moved = hba_get64(e->data_len);
	uint16_t host = hba_get16(e->host);

	if ((host != PVSCSI_HOST_UNDERRUN && host != PVSCSI_HOST_DATARUN) ||
	    (moved == 0 && hba_get16(e->scsi) == 0) || moved > t->length)
		return t->length;
	return moved;
}

static struct hba_result translate(const struct pvscsi_cmp *e, const struct hba_task *t)
{
	const struct pvscsi_data *d = t->hba_data;
	struct outcome o = outcome_of(hba_get16(e->host));
	uint32_t sense = hba_get32(e->sense_len);
	struct hba_result r = { .outcome = o.outcome, .sent = o.sent };

	if (o.outcome)
		return r;
	r.outcome = HBA_OUTCOME(HBA_TASK_COMPLETE, hba_get16(e->scsi));
	if (r.outcome == HBA_CHECK_CONDITION) {
		r.sense = d->sense;
		r.sense_len = (uint8_t)(sense < SENSE ? sense : SENSE);
	}
	if (r.outcome == HBA_GOOD || scsi_sense_goes_with_data(r.sense, r.sense_len))
		r.bytes = bytes_of(e, t);
	return r;
}

static void drain_messages(struct hba_queue *q, struct pvscsi *p)
{
	struct hba_controller *c = hba_queue_controller(q);
	uint32_t there = messages_ahead(q, p);

	if (!there)
		return;
	for (uint32_t n = 0; n < there; n++) {
		struct pvscsi_msg m = p->msg[p->msg_cons++ % MSGS];

		if (hba_get32(m.type) == PVSCSI_MSG_ADDED)
			hba_target_create(c, hba_get32(m.target), NULL);
		else if (hba_get32(m.type) == PVSCSI_MSG_REMOVED)
			hba_target_destroy(c, hba_get32(m.target));
	}
	hba_publish32(&p->state->msg_cons, p->msg_cons);
}

/*
 * A function is complete when all that it ends are back: they come by the ring, after the register
 * says that it is done.
 */
static void finish_tmf(struct hba_queue *q, struct pvscsi *p)
{
	struct hba_task *t = p->tmf;
	uint64_t now;

	if (!t)
		return;
	now = hba_now(hba_queue_controller(q));
	if (p->victims && now < p->tmf_until) {
		hba_poll_within(q, (unsigned)((p->tmf_until - now) / NS_PER_MS) + 1);
		return;
	}
	p->tmf = NULL;
	hba_tmf_complete(t, p->victims ? HBA_DELIVERY_FAILURE : HBA_FUNCTION_COMPLETE);
}

static void unmask(struct pvscsi *p, bool on)
{
	if (on != p->unmasked)
		hba_bar_write32(&p->bar, PVSCSI_INTR_MASK,
				on ? PVSCSI_INTR_COMPLETIONS | PVSCSI_INTR_MESSAGES : 0);
	p->unmasked = on;
}

static unsigned pvscsi_poll(struct hba_queue *q, unsigned budget)
{
	struct pvscsi *p = pvscsi_of(q);
	uint32_t there = completions_ahead(q, p);
	unsigned n;

	for (n = 0; n < there && n < budget; n++) {
		/* copied once, then believed no further than checked */
		struct pvscsi_cmp e = p->cmp[p->cmp_cons++ % CMPS];
		struct hba_task *t = hba_task_by_cookie(q, hba_get64(e.context));

		if (t) {
			struct hba_result r = translate(&e, t);

			p->victims -= p->tmf &&
				      ((struct pvscsi_task *)t->priv)->victim_of == p->tmf_number;
			hba_complete(t, &r);
		}
	}
	if (n > 0) {
		hba_publish32(&p->state->cmp_cons, p->cmp_cons);
		hba_ready(q, NULL, NULL);
		unmask(p, false);
	}
	drain_messages(q, p);
	finish_tmf(q, p);
	return n;
}

/*
 * Off is put off till there is a completion: who is woken for another reason, and sleeps again,
 * need not be told twice.
 */
static int pvscsi_interrupts(struct hba_queue *q, bool on)
{
	struct pvscsi *p = pvscsi_of(q);

	if (!on)
		return 0;
	hba_bar_write32(&p->bar, PVSCSI_INTR_STATUS,
			PVSCSI_INTR_COMPLETIONS | PVSCSI_INTR_MESSAGES);
	unmask(p, true);
	return completions_ahead(q, p) || messages_ahead(q, p);
}

/* ---- recovery and end */

static bool is_victim(const struct hba_task *tmf, enum hba_tmf function, const struct hba_task *t)
{
	if (t->kind == HBA_TASK_TMF)
		return false;
	if (function == HBA_ABORT_TASK)
		return t == tmf->data.victim;
	return t->target == tmf->target &&
	       (function == HBA_TARGET_RESET ||
		memcmp(t->lun.bytes, tmf->lun.bytes, sizeof(t->lun.bytes)) == 0);
}

struct marking {
	struct pvscsi *p;
	const struct hba_task *tmf;
	enum hba_tmf function;
};

static void mark_victim(struct hba_task *t, void *arg)
{
	const struct marking *m = arg;

	if (!is_victim(m->tmf, m->function, t))
		return;
	((struct pvscsi_task *)t->priv)->victim_of = m->p->tmf_number;
	m->p->victims++;
}

static void mark_victims(struct hba_controller *c, struct pvscsi *p, struct hba_task *t,
			 enum hba_tmf function)
{
	struct marking m = { p, t, function };

	p->tmf = t;
	p->tmf_until = hba_now(c) + VICTIMS_MS * (uint64_t)NS_PER_MS;
	p->victims = 0;
	p->tmf_number += p->tmf_number == UINT32_MAX ? 2 : 1; /* 0 is no number */
	hba_for_each_task(c, NULL, mark_victim, &m);
}

static void pvscsi_manage(struct hba_queue *q, struct hba_task *t, enum hba_tmf function)
{
	struct pvscsi *p = pvscsi_of(q);
	struct pvscsi_reset_device unit = { .target = hba_le32_of((uint32_t)t->target) };

	mark_victims(hba_queue_controller(q), p, t, function);
	if (function == HBA_ABORT_TASK) {
		struct pvscsi_abort victim = { hba_le64_of(t->data.victim->cookie),
					       unit.target,
					       { 0 } };

		command(p, PVSCSI_CMD_ABORT, &victim, sizeof(victim));
	} else {
		memcpy(unit.lun, t->lun.bytes, sizeof(unit.lun));
		command(p, PVSCSI_CMD_RESET_DEVICE, &unit, sizeof(unit));
	}
	finish_tmf(q, p); /* or poll does */
}

static int pvscsi_reset(struct hba_controller *c, enum hba_reset_level level)
{
	command(hba_controller_priv(c),
		level == HBA_RESET_BUS ? PVSCSI_CMD_RESET_BUS : PVSCSI_CMD_ADAPTER_RESET, NULL, 0);
	return 0;
}

static void pvscsi_stop(struct hba_controller *c)
{
	struct pvscsi *p = hba_controller_priv(c);

	if (!hba_bar_is_mapped(&p->bar))
		return;
	hba_bar_write32(&p->bar, PVSCSI_INTR_MASK, 0);
	command(p, PVSCSI_CMD_ADAPTER_RESET, NULL, 0);
}

static const struct hba_pci_id pvscsi_ids[] = {
	{ .vendor = PVSCSI_VENDOR, .device = PVSCSI_DEVICE }, { 0 }
};

const struct hba_driver pvscsi_driver = {
	HBA_DRIVER_HEADER,
	.name = "pvscsi",
	.summary = "VMware PVSCSI",
	.ids = pvscsi_ids,
	.priv_size = sizeof(struct pvscsi),
	.task_priv_size = sizeof(struct pvscsi_task),
	.hba_data_size = sizeof(struct pvscsi_data),
	.initialize = pvscsi_initialize,
	.map_hba_data = pvscsi_map_hba_data,
	.start = pvscsi_start,
	.process_task = pvscsi_process_task,
	.kick = pvscsi_kick,
	.poll = pvscsi_poll,
	.interrupts = pvscsi_interrupts,
	.manage = pvscsi_manage,
	.reset = pvscsi_reset,
	.stop = pvscsi_stop,
};
