/* SPDX-License-Identifier: MIT */
/*
 * virtio-scsi.c: the SCSI host of VIRTIO 1.1, which QEMU and others offer to guests.
 *
 * A control queue for task management, an event queue for what happens on the bus, and one or more
 * request queues. Each task owns one descriptor of its queue for ever: it points to a table in the
 * task's HBA data, whose first and last entries, header and answer, are written once in
 * map_hba_data. A command then costs its data's entries, its header's few bytes, and one slot of
 * the available ring. What comes back is the number of that descriptor.
 *
 * Needs indirect descriptors. Not done: EVENT_IDX, packed rings, protection information. See
 * virtio-scsi.md.
 */
#include "drivers/virtio-scsi-regs.h"

#include "drivers/drivers.h"
#include "proto/virtio-pci.h"
#include "scsi/scsi.h"

#include <errno.h>
#include <hbakit/driver.h>
#include <string.h>

enum {
	INTERNAL = 2,
	TMFS = 1,
	SEGMENTS = 126,
	TABLE = SEGMENTS + 2, /* header and answer around them */
	MOST_QUEUES = 16,
	QUEUE_MOST = 256,
	EVENTS = 8,
	/* descriptors of the one function that is out: what is asked, and the answer */
	CONTROLS = 2,
	SECTOR = 512,
	/*
	 * QEMU takes all of the first piece it maps for the header, or the answer; one that crosses
	 * a page of the IOMMU is two pieces there, and the rest would pass for data. So neither
	 * crosses one.
	 */
	DATA_ALIGNMENT = 256,
	NO_VECTOR = 0xffff,
	/* in the answer's place until the device writes it: no response is that */
	NO_ANSWER = 0xff,
	TARGET_BYTE = 1, /* of a LUN in virtio's way of writing it */
	/* As far as that way goes: a byte, and 14 bits. */
	HIGHEST_TARGET = 255,
	HIGHEST_LUN = 16383,
};

#define WANTED                                                                    \
	(VIRTIO_F_VERSION_1 | VIRTIO_F_ACCESS_PLATFORM | VIRTIO_F_INDIRECT_DESC | \
	 VIRTIO_SCSI_F_HOTPLUG | VIRTIO_SCSI_F_CHANGE)

/* ---- memory */

struct vscsi_data { /* HBA data of one task; the device reads and writes it */
	struct virtq_desc table[TABLE];
	struct virtio_scsi_req req;
	struct virtio_scsi_resp resp;
} __attribute__((aligned(DATA_ALIGNMENT)));
static_assert(sizeof(struct virtio_scsi_req) + sizeof(struct virtio_scsi_resp) <= DATA_ALIGNMENT &&
		      offsetof(struct vscsi_data, req) % DATA_ALIGNMENT == 0,
	      "header and answer lie in one page");

struct vscsi_control { /* control queue: the one task management function that is out */
	struct virtio_scsi_tmf tmf;
	uint8_t response;
};

struct vscsi_ring {
	struct virtqueue q;
	uint64_t doorbell;
};

struct vscsi {
	struct virtio_pci pci;
	uint32_t n_queues;
	uint16_t queue_size;
	struct hba_mapping *rings[VIRTIO_SCSI_REQUESTS + MOST_QUEUES], *extra;
	struct vscsi_ring control, events, requests[MOST_QUEUES];
	struct vscsi_control *control_data;
	struct hba_iova control_iova, event_iova;
	struct virtio_scsi_event *event_data;
	struct hba_task *tmf; /* that is out */
	bool answered;        /* and its answer has been seen */
	/* request queues to be looked at once more before its answer is taken: a bit each */
	uint32_t behind;
	bool line; /* an interrupt must be heard at the chip */
};

static struct vscsi *vscsi_of(struct hba_queue *q)
{
	return hba_controller_priv(hba_queue_controller(q));
}

static struct vscsi_ring *ring_of(struct hba_queue *q)
{
	return &vscsi_of(q)->requests[hba_queue_index(q)];
}

/* A task's descriptor: its place among the tasks of its queue. */
static uint16_t head_of(const struct vscsi *v, const struct hba_task *t)
{
	return (uint16_t)(t->slot / v->n_queues);
}

static void write_lun(uint8_t lun[8], uint64_t target, const struct hba_lun_id *id)
{
	const uint8_t bytes[8] = { 1, (uint8_t)target, id->bytes[0], id->bytes[1] };

	memcpy(lun, bytes, sizeof(bytes));
}

static struct virtq_desc piece(struct hba_iova iova, uint64_t length, unsigned flags, unsigned next)
{
	return (struct virtq_desc) { hba_le64_of_iova(iova), hba_le32_of((uint32_t)length),
				     hba_le16_of((uint16_t)flags), hba_le16_of((uint16_t)next) };
}

/* ---- bring-up */

/*
 * Tasks are dealt out evenly, so the smallest request queue says how many each takes. 0: one cannot
 * be used.
 */
static uint16_t smallest_queue(struct vscsi *v)
{
	uint16_t least = QUEUE_MOST, size;

	for (uint32_t i = 0; i < v->n_queues; i++) {
		size = virtio_pci_queue_size(&v->pci, (uint16_t)(VIRTIO_SCSI_REQUESTS + i));
		if (size < least)
			least = size;
	}
	return least;
}

static uint32_t at_most(uint32_t value, uint32_t most)
{
	return value < most ? value : most;
}

static int read_abilities(struct vscsi *v)
{
	uint32_t queues = virtio_pci_config_read(&v->pci, VIRTIO_SCSI_NUM_QUEUES, 4);

	if (queues == 0 || queues == UINT32_MAX)
		return -EIO;
	v->n_queues = at_most(queues, MOST_QUEUES);
	v->queue_size = smallest_queue(v);
	return v->queue_size * v->n_queues > INTERNAL + TMFS ? 0 : -EIO;
}

static void report_abilities(const struct vscsi *v, struct hba_report *r)
{
	uint32_t segments = virtio_pci_config_read(&v->pci, VIRTIO_SCSI_SEG_MAX, 4);
	uint32_t sectors = virtio_pci_config_read(&v->pci, VIRTIO_SCSI_MAX_SECTORS, 4);
	uint32_t per_lun = virtio_pci_config_read(&v->pci, VIRTIO_SCSI_CMD_PER_LUN, 4);
	uint64_t most = segments ? at_most(segments, SEGMENTS) : SEGMENTS;

	r->highest_target_id =
		at_most(virtio_pci_config_read(&v->pci, VIRTIO_SCSI_MAX_TARGET, 2), HIGHEST_TARGET);
	r->initiator_id = r->highest_target_id + 1; /* no id of its own on this bus */
	r->highest_lun =
		at_most(virtio_pci_config_read(&v->pci, VIRTIO_SCSI_MAX_LUN, 4), HIGHEST_LUN);
	r->max_tasks = (uint64_t)v->queue_size * v->n_queues - INTERNAL - TMFS;
	r->internal_tasks = INTERNAL;
	r->depth = per_lun ? per_lun : 1; /* none at all cannot be meant */
	r->queues = v->n_queues;
	r->manages_devices = false;
	r->performs_autosense = true;
	r->max_cdb = VIRTIO_SCSI_CDB;
	r->tmfs = HBA_TMF_BIT(HBA_ABORT_TASK) | HBA_TMF_BIT(HBA_ABORT_TASK_SET) |
		  HBA_TMF_BIT(HBA_CLEAR_TASK_SET) | HBA_TMF_BIT(HBA_LOGICAL_UNIT_RESET) |
		  HBA_TMF_BIT(HBA_TARGET_RESET);
	r->constraints = (struct hba_constraints) {
		.max_segments_read = most,
		.max_segments_write = most,
		.max_segment_bytes_read = 1U << 20,
		.max_segment_bytes_write = 1U << 20,
		.alignment = 1,
		.address_bits = 64,
		.hba_data_mask = ~(uint64_t)(DATA_ALIGNMENT - 1),
		.max_transfer =
			sectors && sectors < UINT32_MAX / SECTOR ? (uint64_t)sectors * SECTOR : 0,
	};
}

static uint16_t size_of_queue(const struct vscsi *v, uint16_t index)
{
	return index == VIRTIO_SCSI_CONTROL  ? CONTROLS
	       : index == VIRTIO_SCSI_EVENTS ? EVENTS
					     : v->queue_size;
}

static int take_memory(struct hba_controller *c, struct vscsi *v)
{
	size_t extra = sizeof(struct vscsi_control) + EVENTS * sizeof(struct virtio_scsi_event);
	int r = 0;

	for (uint16_t i = 0; i < VIRTIO_SCSI_REQUESTS + v->n_queues && r == 0; i++)
		r = hba_mapping_create(c, HBA_DEVICE_BOTH, virtqueue_bytes(size_of_queue(v, i)),
				       VIRTQ_ALIGNMENT, &v->rings[i]);
	if (r == 0)
		r = hba_mapping_create(c, HBA_DEVICE_BOTH, extra, 0, &v->extra);
	if (r < 0)
		return r;
	v->control_data = hba_mapping_address(v->extra);
	v->control_iova = hba_mapping_iova(v->extra);
	v->event_data = (void *)(v->control_data + 1);
	v->event_iova = hba_iova_at(v->control_iova, sizeof(struct vscsi_control));
	return 0;
}

static int vscsi_initialize(struct hba_controller *c, struct hba_report *r)
{
	struct vscsi *v = hba_controller_priv(c);
	int err;

	err = virtio_pci_find(c, &v->pci);
	if (err == -ENOENT)
		return hba_fail(c, err,
				"this device has no virtio 1.0 capabilities: a legacy device? "
				"(disable-legacy=on makes it modern)");
	if (err < 0)
		return err;
	err = virtio_pci_reset(c, &v->pci);
	if (err < 0)
		return err;
	err = virtio_pci_negotiate(&v->pci, WANTED);
	if (err < 0 || !(v->pci.features & VIRTIO_F_INDIRECT_DESC))
		return hba_fail(c, -EOPNOTSUPP,
				"this device offers no virtio 1.0 with indirect descriptors");
	err = read_abilities(v);
	if (err < 0)
		return hba_fail(c, err,
				"this device's configuration names no queues that could be used");
	report_abilities(v, r);
	return take_memory(c, v);
}

/*
 * Header and answer never move. The answer's place in the table is behind the data, so it is
 * written with them.
 */
static int vscsi_map_hba_data(struct hba_controller *c, struct hba_task *t, uint32_t *ret_id)
{
	struct vscsi_data *d = t->hba_data;

	(void)c;
	d->table[0] = piece(hba_iova_at(t->hba_iova, offsetof(struct vscsi_data, req)),
			    sizeof(d->req), VIRTQ_DESC_NEXT, 1);
	*ret_id = t->slot + 1U;
	return 0;
}

/* 1: the device will use the vector; 0: it has no such, the queue is polled. */
static int enable(struct hba_controller *c, struct vscsi *v, struct vscsi_ring *ring,
		  uint16_t index, uint16_t vector)
{
	struct hba_mapping *m = v->rings[index];
	uint16_t size = size_of_queue(v, index), offered = virtio_pci_queue_size(&v->pci, index);
	int r, used = 1;

	/*
	 * Tasks have their descriptors for life: a queue may not be smaller after a reset than it
	 * was.
	 */
	if (offered < size)
		return hba_fail(c, -EIO,
				"the device offers %u descriptors in its queue %u, which needs %u",
				offered, index, size);
	memset(hba_mapping_address(m), 0, hba_mapping_length(m));
	virtqueue_init(&ring->q, size, hba_mapping_address(m), hba_mapping_iova(m));
	virtqueue_interrupts(&ring->q, false);
	r = virtio_pci_queue_enable(&v->pci, index, &ring->q, vector, &ring->doorbell);
	if (r == -ENOSPC) {
		used = 0;
		r = virtio_pci_queue_enable(&v->pci, index, &ring->q, NO_VECTOR, &ring->doorbell);
	}
	if (r == -EIO)
		return hba_fail(c, r,
				"the device puts the doorbell of its queue %u where none can be",
				index);
	return r < 0 ? r : used;
}

/* A bus without vectors has the queue polled. */
static void bind(struct hba_controller *c, struct vscsi *v, uint32_t queue, uint32_t vector)
{
	if (hba_vector_bind(hba_controller_queue(c, queue), vector) < 0)
		v->line = false;
}

/*
 * Request queue k has vector k; the two others share that of queue 0, which looks after them. By a
 * line all have the one.
 */
static int enable_queues(struct hba_controller *c, struct vscsi *v)
{
	bool line = virtio_pci_has_line(c, &v->pci);
	int r = enable(c, v, &v->control, VIRTIO_SCSI_CONTROL, line ? NO_VECTOR : 0);

	v->line = line;
	if (r >= 0)
		r = enable(c, v, &v->events, VIRTIO_SCSI_EVENTS, line ? NO_VECTOR : 0);
	for (uint32_t i = 0; r >= 0 && i < v->n_queues; i++) {
		r = enable(c, v, &v->requests[i], (uint16_t)(VIRTIO_SCSI_REQUESTS + i),
			   line ? NO_VECTOR : (uint16_t)i);
		if (r > 0)
			bind(c, v, i, line ? 0 : i);
	}
	return r < 0 ? r : 0;
}

static void offer_event(struct vscsi *v, uint16_t i)
{
	v->events.q.desc[i] = piece(hba_iova_at(v->event_iova, i * sizeof(v->event_data[0])),
				    sizeof(v->event_data[0]), VIRTQ_DESC_WRITE, 0);
	virtqueue_offer(&v->events.q, i);
}

static void offer_events(struct vscsi *v)
{
	for (uint16_t i = 0; i < EVENTS; i++)
		offer_event(v, i);
	if (virtqueue_show(&v->events.q))
		virtio_pci_notify(&v->pci, v->events.doorbell, VIRTIO_SCSI_EVENTS);
}

static int vscsi_start(struct hba_controller *c)
{
	struct vscsi *v = hba_controller_priv(c);
	int err;

	v->tmf = NULL;
	v->answered = false;
	v->behind = 0;
	err = virtio_pci_reset(c, &v->pci);
	if (err == 0)
		err = virtio_pci_negotiate(&v->pci, v->pci.features);
	if (err == 0)
		err = enable_queues(c, v);
	if (err == 0)
		err = hba_bus_master_on(c);
	if (err < 0)
		return err;
	virtio_pci_ready(&v->pci);
	offer_events(v);
	return 0;
}

/* ---- sending */

/*
 * Behind the header: what the device reads comes before what it writes, and the answer is written
 * last. For reads it comes first.
 */
static unsigned put_table(struct vscsi_data *d, const struct hba_task *t)
{
	bool read = t->direction == HBA_FROM_TARGET;
	unsigned n = t->n_data + 2, data = read ? 2 : 1, answer = read ? 1 : n - 1;
	unsigned flags = VIRTQ_DESC_NEXT | (read ? VIRTQ_DESC_WRITE : 0);

	d->table[answer] = piece(hba_iova_at(t->hba_iova, offsetof(struct vscsi_data, resp)),
				 sizeof(d->resp), VIRTQ_DESC_NEXT | VIRTQ_DESC_WRITE, answer + 1);
	for (uint32_t i = 0; i < t->n_data; i++)
		d->table[data + i] = piece(t->data.segments[i].iova, t->data.segments[i].length,
					   flags, data + i + 1);
	d->table[n - 1].flags = hba_le16_of(
		(uint16_t)(n - 1 == answer ? VIRTQ_DESC_WRITE : flags & ~VIRTQ_DESC_NEXT));
	return n;
}

static void vscsi_process_task(struct hba_queue *q, struct hba_task *t)
{
	static const uint8_t attribute[] = { [HBA_SIMPLE] = VIRTIO_SCSI_SIMPLE,
					     [HBA_ORDERED] = VIRTIO_SCSI_ORDERED,
					     [HBA_HEAD_OF_QUEUE] = VIRTIO_SCSI_HEAD,
					     [HBA_ACA] = VIRTIO_SCSI_ACA };
	struct vscsi *v = vscsi_of(q);
	struct virtqueue *ring = &ring_of(q)->q;
	struct vscsi_data *d = t->hba_data;
	uint16_t head = head_of(v, t);

	write_lun(d->req.lun, t->target, &t->lun);
	d->req.id = hba_le64_of(t->cookie);
	d->req.attribute = attribute[t->attribute];
	memcpy(d->req.cdb, t->cdb, sizeof(d->req.cdb));
	/*
	 * Else the answer of the command before would do for this one. The used length says
	 * nothing: vhost-scsi's is always 0.
	 */
	d->resp.response = NO_ANSWER;
	ring->desc[head] =
		piece(t->hba_iova, put_table(d, t) * sizeof(d->table[0]), VIRTQ_DESC_INDIRECT, 0);
	virtqueue_offer(ring, head);
}

static void vscsi_kick(struct hba_queue *q)
{
	struct vscsi_ring *ring = ring_of(q);

	if (virtqueue_show(&ring->q))
		virtio_pci_notify(&vscsi_of(q)->pci, ring->doorbell,
				  (uint16_t)(VIRTIO_SCSI_REQUESTS + hba_queue_index(q)));
}

/* ---- receiving */

static const struct outcome {
	enum hba_outcome outcome; /* 0: the target has answered, its status counts */
	enum hba_sent sent;
} outcomes[] = {
	[VIRTIO_SCSI_OK] = { 0, HBA_SENT_YES },
	[VIRTIO_SCSI_OVERRUN] = { HBA_NOT_DELIVERED, HBA_SENT_YES },
	[VIRTIO_SCSI_ABORTED] = { HBA_NOT_DELIVERED, HBA_SENT_MAYBE },
	[VIRTIO_SCSI_BAD_TARGET] = { HBA_NOT_PRESENT, HBA_SENT_NO },
	[VIRTIO_SCSI_RESET] = { HBA_NOT_DELIVERED, HBA_SENT_MAYBE },
	[VIRTIO_SCSI_BUSY] = { HBA_BUSY, HBA_SENT_YES },
	[VIRTIO_SCSI_TRANSPORT_FAILURE] = { HBA_NOT_DELIVERED, HBA_SENT_MAYBE },
	[VIRTIO_SCSI_TARGET_FAILURE] = { HBA_NOT_RESPONDING, HBA_SENT_MAYBE },
	[VIRTIO_SCSI_NEXUS_FAILURE] = { HBA_NOT_RESPONDING, HBA_SENT_MAYBE },
	[VIRTIO_SCSI_FAILURE] = { HBA_NOT_DELIVERED, HBA_SENT_MAYBE },
	[VIRTIO_SCSI_FUNCTION_SUCCEEDED] = { HBA_NO_STATUS, HBA_SENT_MAYBE },
	[VIRTIO_SCSI_FUNCTION_REJECTED] = { HBA_NO_STATUS, HBA_SENT_MAYBE },
	[VIRTIO_SCSI_INCORRECT_LUN] = { HBA_NOT_PRESENT, HBA_SENT_NO },
};

static struct outcome outcome_of(struct hba_queue *q, uint8_t response, const struct hba_task *t)
{
	struct hba_controller *c = hba_queue_controller(q);

	if (response < sizeof(outcomes) / sizeof(outcomes[0]))
		return outcomes[response];
	if (response == NO_ANSWER)
		hba_device_error(
			c,
			"the device gave back the task with unique id %u without an answer to it",
			t->unique_id);
	else
		hba_device_error(c,
				 "the device answered the task with unique id %u with response %u, "
				 "which does not exist",
				 t->unique_id, response);
	return (struct outcome) { HBA_NO_STATUS, HBA_SENT_MAYBE };
}

static struct hba_result translate(struct hba_queue *q, const struct virtio_scsi_resp *a,
				   const struct hba_task *t)
{
	const struct vscsi_data *d = t->hba_data;
	struct outcome o = outcome_of(q, a->response, t);
	uint32_t residual = hba_get32(a->residual), sense = hba_get32(a->sense_len);
	struct hba_result r;

	r = (struct hba_result) { .outcome = o.outcome, .sent = o.sent };
	if (o.outcome)
		return r;
	r.outcome = HBA_OUTCOME(HBA_TASK_COMPLETE, a->status);
	if (r.outcome == HBA_CHECK_CONDITION) {
		r.sense = d->resp.sense;
		r.sense_len = (uint8_t)(sense < VIRTIO_SCSI_SENSE ? sense : VIRTIO_SCSI_SENSE);
	}
	/*
	 * QEMU's residual is always 0 where the status is not GOOD: believed only where the sense
	 * says that data came.
	 */
	if ((r.outcome == HBA_GOOD || residual ||
	     scsi_sense_goes_with_data(r.sense, r.sense_len)) &&
	    residual < t->length)
		r.bytes = t->length - residual;
	return r;
}

static void virtio_scsi_complete(struct hba_queue *q, uint64_t unique_id)
{
	struct hba_task *t = hba_task_by_id(q, unique_id);
	struct virtio_scsi_resp answer;
	struct hba_result r;

	if (!t)
		return;
	/* copied once, then believed no further than checked */
	answer = ((struct vscsi_data *)t->hba_data)->resp;
	r = translate(q, &answer, t);
	hba_complete(t, &r);
}

static void take_event(struct hba_controller *c, struct vscsi *v, uint32_t i)
{
	struct virtio_scsi_event e = v->event_data[i];
	uint32_t kind = hba_get32(e.event);

	if (kind & VIRTIO_SCSI_EVENTS_MISSED)
		hba_luns_changed(c, HBA_ANY_TARGET);
	switch (kind & ~VIRTIO_SCSI_EVENTS_MISSED) {
	case VIRTIO_SCSI_TRANSPORT_RESET:
		/*
		 * Came, went or was reset: a look at that target tells. One that is not known yet
		 * is made for it.
		 */
		if (hba_target_create(c, e.lun[TARGET_BYTE], NULL) == 1)
			hba_luns_changed(c, e.lun[TARGET_BYTE]);
		break;
	case VIRTIO_SCSI_PARAM_CHANGE:
		hba_media_changed(c, e.lun[TARGET_BYTE], NULL);
		break;
	default:
		break;
	}
}

/* Until the index is right again, or the device reset, nothing is taken from that queue. */
static void tell_jump(struct hba_controller *c, uint32_t queue)
{
	hba_device_error(c, "the device's used index of its queue %u jumps beyond the ring", queue);
}

static void poll_events(struct hba_controller *c, struct vscsi *v)
{
	uint32_t i, length;
	bool any = false;
	int r = 0;

	/* Each at most once: a device that never stops is not to keep us here. */
	for (unsigned n = 0; n < EVENTS && (r = virtqueue_take(&v->events.q, &i, &length)) > 0;
	     n++) {
		if (i >= EVENTS)
			continue;
		if (length >= sizeof(struct virtio_scsi_event))
			take_event(c, v, i);
		offer_event(v, (uint16_t)i);
		any = true;
	}
	if (any && virtqueue_show(&v->events.q))
		virtio_pci_notify(&v->pci, v->events.doorbell, VIRTIO_SCSI_EVENTS);
	if (r < 0)
		tell_jump(c, VIRTIO_SCSI_EVENTS);
}

/*
 * An answer is there. Its victims were put into their queues before it: so these come first, each
 * as its own poll gets to it.
 */
static void note_answer(struct hba_controller *c, struct vscsi *v)
{
	int r;

	if (!v->tmf || v->answered || __atomic_load_n(&v->behind, __ATOMIC_RELAXED))
		return;
	r = virtqueue_has_used(&v->control.q);
	if (r < 0)
		tell_jump(c, VIRTIO_SCSI_CONTROL);
	if (r <= 0)
		return;
	v->answered = true;
	__atomic_store_n(&v->behind, (UINT32_C(1) << v->n_queues) - 1, __ATOMIC_RELEASE);
}

static void poll_control(struct hba_queue *q, struct vscsi *v)
{
	struct hba_task *t = v->tmf;
	uint32_t head, length;
	int r;

	if (__atomic_load_n(&v->behind, __ATOMIC_ACQUIRE)) {
		hba_poll_within(q, 0);
		return;
	}
	if (t && !v->answered)
		return;
	v->answered = false;

	r = virtqueue_take(&v->control.q, &head, &length);
	if (r < 0)
		tell_jump(hba_queue_controller(q), VIRTIO_SCSI_CONTROL);
	/* Its one head; anything else is no answer to it. */
	if (r <= 0 || head != 0 || !t)
		return;
	v->tmf = NULL;
	switch (v->control_data->response) {
	case VIRTIO_SCSI_OK:
	case VIRTIO_SCSI_FUNCTION_SUCCEEDED:
		hba_tmf_complete(t, HBA_FUNCTION_COMPLETE);
		break;
	case VIRTIO_SCSI_FUNCTION_REJECTED:
		hba_tmf_complete(t, HBA_FUNCTION_REJECTED);
		break;
	default:
		hba_tmf_complete(t, HBA_DELIVERY_FAILURE);
		break;
	}
}

static unsigned vscsi_poll(struct hba_queue *q, unsigned budget)
{
	struct vscsi *v = vscsi_of(q);
	uint32_t head, length, index = hba_queue_index(q), bit = UINT32_C(1) << index;
	struct virtqueue *ring = &v->requests[index].q;
	unsigned n;
	int r = 0;

	if (index == 0)
		note_answer(hba_queue_controller(q), v);
	for (n = 0; n < budget && (r = virtqueue_take(ring, &head, &length)) > 0; n++)
		/*
		 * A descriptor's number leads back to slot and id; whether such a task is out, the
		 * framework knows.
		 */
		virtio_scsi_complete(q, (uint64_t)head * v->n_queues + index + 1);
	if (r < 0)
		tell_jump(hba_queue_controller(q), VIRTIO_SCSI_REQUESTS + index);
	if (n < budget && (__atomic_load_n(&v->behind, __ATOMIC_ACQUIRE) & bit))
		__atomic_fetch_and(&v->behind, ~bit, __ATOMIC_RELEASE);
	if (index == 0 && n < budget) {
		poll_control(q, v);
		poll_events(hba_queue_controller(q), v);
	}
	return n;
}

static int vscsi_interrupts(struct hba_queue *q, bool on)
{
	struct vscsi *v = vscsi_of(q);
	struct vscsi_ring *ring = ring_of(q);
	bool others = hba_queue_index(q) == 0;

	virtqueue_interrupts(&ring->q, on);
	if (v->line)
		virtio_pci_lower_line(&v->pci);
	if (others) {
		virtqueue_interrupts(&v->control.q, on);
		virtqueue_interrupts(&v->events.q, on);
	}
	return on && (virtqueue_has_used(&ring->q) > 0 ||
		      (others && (virtqueue_has_used(&v->control.q) > 0 ||
				  virtqueue_has_used(&v->events.q) > 0)));
}

/* ---- recovery and end */

static void vscsi_manage(struct hba_queue *q, struct hba_task *t, enum hba_tmf function)
{
	static const uint8_t subtype[] = {
		[HBA_ABORT_TASK] = VIRTIO_SCSI_ABORT_TASK,
		[HBA_ABORT_TASK_SET] = VIRTIO_SCSI_ABORT_TASK_SET,
		[HBA_CLEAR_TASK_SET] = VIRTIO_SCSI_CLEAR_TASK_SET,
		[HBA_CLEAR_ACA] = VIRTIO_SCSI_CLEAR_ACA,
		[HBA_LOGICAL_UNIT_RESET] = VIRTIO_SCSI_LOGICAL_UNIT_RESET,
		[HBA_TARGET_RESET] = VIRTIO_SCSI_I_T_NEXUS_RESET,
	};
	struct vscsi *v = vscsi_of(q);
	struct vscsi_control *d = v->control_data;
	struct hba_iova response =
		hba_iova_at(v->control_iova, offsetof(struct vscsi_control, response));

	d->tmf = (struct virtio_scsi_tmf) {
		.subtype = hba_le32_of(subtype[function]),
		.id = hba_le64_of(function == HBA_ABORT_TASK ? t->data.victim->cookie : 0),
	};
	write_lun(d->tmf.lun, t->target, &t->lun);
	d->response = VIRTIO_SCSI_FAILURE;
	v->tmf = t;
	v->control.q.desc[0] = piece(v->control_iova, sizeof(d->tmf), VIRTQ_DESC_NEXT, 1);
	v->control.q.desc[1] = piece(response, sizeof(d->response), VIRTQ_DESC_WRITE, 0);
	virtqueue_offer(&v->control.q, 0);
	if (virtqueue_show(&v->control.q))
		virtio_pci_notify(&v->pci, v->control.doorbell, VIRTIO_SCSI_CONTROL);
}

static int vscsi_reset(struct hba_controller *c, enum hba_reset_level level)
{
	struct vscsi *v = hba_controller_priv(c);

	return level == HBA_RESET_CONTROLLER ? virtio_pci_reset(c, &v->pci) : -EOPNOTSUPP;
}

static void vscsi_stop(struct hba_controller *c)
{
	struct vscsi *v = hba_controller_priv(c);

	if (v->pci.common.length)
		(void)virtio_pci_reset(c, &v->pci);
}

static const struct hba_pci_id vscsi_ids[] = {
	{ .vendor = VIRTIO_VENDOR, .device = VIRTIO_SCSI_DEVICE }, { 0 }
};

const struct hba_driver virtio_scsi_driver = {
	HBA_DRIVER_HEADER,
	.name = "virtio-scsi",
	.summary = "the SCSI host of VIRTIO 1.1",
	.ids = vscsi_ids,
	.priv_size = sizeof(struct vscsi),
	.hba_data_size = sizeof(struct vscsi_data),
	.initialize = vscsi_initialize,
	.map_hba_data = vscsi_map_hba_data,
	.start = vscsi_start,
	.process_task = vscsi_process_task,
	.kick = vscsi_kick,
	.poll = vscsi_poll,
	.interrupts = vscsi_interrupts,
	.manage = vscsi_manage,
	.reset = vscsi_reset,
	.stop = vscsi_stop,
};
