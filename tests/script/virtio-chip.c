/* SPDX-License-Identifier: MIT */
/* virtio-chip.c: see virtio-chip.h. Sections named are those of VIRTIO 1.1. */
#include "script/virtio-chip.h"

#include <stdlib.h>
#include <string.h>

enum {
	BAR = 4,
	COMMON_AT = 0,
	COMMON_BYTES = 56,
	DEVICE_AT = 0x1000,
	DEVICE_BYTES = 64,
	NOTIFY_AT = 0x2000,
	NOTIFY_BYTES = 0x100,
	MULTIPLIER = 4,
	FIRST_CAP = 0x40,
	CAP_STEP = 0x20,
	CAP_BYTES = 20,
	DRIVER_OK = 4,
	QUEUE_SIZE = 64,
};

/* The common structure's registers, 4.1.4.3. */
enum {
	FEATURE_SELECT = 0,
	FEATURE = 4,
	STATUS = 20,
	SELECT = 22,
	SIZE = 24,
	VECTOR = 26,
	ENABLE = 28,
	NOTIFY_OFFSET = 30,
	DESC = 32
};

static struct chip *chip_of(struct script *s)
{
	return rig_of(s)->of_chip;
}

static void *at(const struct chip *v, uint64_t iova, size_t length)
{
	return rig_memory(v->rig, iova, length);
}

/* ---- registers */

static void config_read(struct script *s, const struct script_step *step, uint64_t offset,
			uint64_t *value)
{
	uint32_t word = 0;

	(void)step;
	memcpy(&word, chip_of(s)->config + offset,
	       offset <= CHIP_CONFIG - sizeof(word) ? sizeof(word) : 1);
	*value = le32toh(word);
}

static void chip_reset(struct chip *v)
{
	v->resets++;
	if (v->was_ready && v->restart_size)
		v->sizes[VIRTIO_SCSI_REQUESTS] = v->restart_size;
	memset(v->queues, 0, sizeof(v->queues));
	for (uint16_t i = 0; i < CHIP_QUEUES; i++)
		v->queues[i] = (struct chip_queue) { .size = v->sizes[i], .notify_offset = i };
	v->n_held = 0;
}

static uint64_t common_word(const struct chip *v, uint64_t offset)
{
	const struct chip_queue *q = v->selected < CHIP_QUEUES ? &v->queues[v->selected] : NULL;
	const uint64_t features = VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC |
				  VIRTIO_SCSI_F_HOTPLUG | VIRTIO_SCSI_F_CHANGE;

	switch (offset) {
	case FEATURE:
		return v->feature_select ? features >> 32 : features & UINT32_MAX;
	case STATUS:
		return v->never_reset ? 0x40 : v->status;
	case SIZE:
		return q ? q->size : 0;
	case VECTOR:
		return 0xffff;
	case NOTIFY_OFFSET:
		return q ? q->notify_offset : 0;
	default:
		return 0;
	}
}

static void common_read(struct script *s, const struct script_step *step, uint64_t offset,
			uint64_t *value)
{
	(void)step;
	*value = common_word(chip_of(s), offset - COMMON_AT);
}

static void write_address(struct chip_queue *q, uint64_t offset, uint32_t value)
{
	uint64_t *const words[] = { &q->desc, &q->avail, &q->used };
	uint64_t *word = words[(offset - DESC) / 8];

	*word = offset & 4 ? (uint64_t)value << 32 | (uint32_t)*word
			   : (*word & ~(uint64_t)UINT32_MAX) | value;
}

static void common_write(struct script *s, const struct script_step *step, uint64_t offset,
			 uint64_t *value)
{
	struct chip *v = chip_of(s);
	struct chip_queue *q = v->selected < CHIP_QUEUES ? &v->queues[v->selected] : NULL;

	(void)step;
	if (offset == STATUS) {
		v->status = (uint8_t)*value;
		if (*value == 0)
			chip_reset(v);
		v->was_ready = v->was_ready || (*value & DRIVER_OK);
	} else if (offset == SELECT) {
		v->selected = (uint16_t)*value;
	} else if (offset == FEATURE_SELECT) {
		v->feature_select = (uint32_t)*value;
	} else if (offset == SIZE && q) {
		q->size = (uint16_t)*value;
	} else if (offset == ENABLE && q) {
		q->enabled = (uint16_t)*value;
	} else if (offset >= DESC && offset < COMMON_BYTES && q) {
		write_address(q, offset, (uint32_t)*value);
	}
}

static void device_read(struct script *s, const struct script_step *step, uint64_t offset,
			uint64_t *value)
{
	const struct chip *v = chip_of(s);

	(void)step;
	switch (offset - DEVICE_AT) {
	case VIRTIO_SCSI_NUM_QUEUES:
		*value = v->num_queues;
		break;
	case VIRTIO_SCSI_SEG_MAX:
		*value = v->seg_max;
		break;
	case VIRTIO_SCSI_MAX_SECTORS:
		*value = v->max_sectors;
		break;
	case VIRTIO_SCSI_CMD_PER_LUN:
		*value = v->cmd_per_lun;
		break;
	case VIRTIO_SCSI_MAX_TARGET:
		*value = v->max_target;
		break;
	case VIRTIO_SCSI_MAX_LUN:
		*value = v->max_lun;
		break;
	default:
		*value = 0;
		break;
	}
}

/* ---- rings */

uint16_t *chip_used_index(struct chip *v, unsigned queue)
{
	return &((struct virtq_used *)at(v, v->queues[queue].used, sizeof(struct virtq_used)))
			->index.raw;
}

void chip_used(struct chip *v, unsigned queue, uint32_t head, uint32_t length)
{
	struct chip_queue *q = &v->queues[queue];
	struct virtq_used *used =
		at(v, q->used, sizeof(*used) + q->size * sizeof(struct virtq_used_item));

	used->ring[q->shown++ % q->size] =
		(struct virtq_used_item) { hba_le32_of(head), hba_le32_of(length) };
	__atomic_store_n(&used->index.raw, htole16(q->shown), __ATOMIC_RELEASE);
}

/* The next head that the driver offers; false: none. */
static bool next_head(struct chip *v, unsigned queue, uint16_t *ret_head)
{
	struct chip_queue *q = &v->queues[queue];
	const struct virtq_avail *avail =
		at(v, q->avail, sizeof(*avail) + q->size * sizeof(hba_le16));

	if (q->seen == hba_get16(avail->index))
		return false;
	*ret_head = hba_get16(avail->ring[q->seen++ % q->size]);
	assert_true(*ret_head < q->size);
	return true;
}

static const struct virtq_desc *table_of(struct chip *v, uint16_t head, unsigned *ret_n)
{
	const struct chip_queue *q = &v->queues[VIRTIO_SCSI_REQUESTS];
	const struct virtq_desc *desc =
		(const struct virtq_desc *)at(v, q->desc, q->size * sizeof(*desc)) + head;

	assert_int_equal(hba_get16(desc->flags), VIRTQ_DESC_INDIRECT);
	*ret_n = hba_get32(desc->length) / (unsigned)sizeof(*desc);
	return at(v, hba_get64(desc->address), hba_get32(desc->length));
}

struct virtio_scsi_resp *chip_answer_at(struct chip *v, uint16_t head)
{
	unsigned n;
	const struct virtq_desc *table = table_of(v, head, &n);

	/* What the device writes first: the answer, then data. */
	for (unsigned i = 1; i < n; i++)
		if (hba_get16(table[i].flags) & VIRTQ_DESC_WRITE)
			return at(v, hba_get64(table[i].address), sizeof(struct virtio_scsi_resp));
	fail_msg("head %u leaves no place for an answer", head);
	return NULL;
}

/* Copies to or from the pieces of the data; returns how many bytes there is room for. */
static size_t move_data(struct chip *v, const struct virtq_desc *table, unsigned n, bool to_host,
			uint8_t *bytes, size_t length)
{
	bool answer_seen = false;
	size_t done = 0;

	for (unsigned i = 1; i < n; i++) {
		bool writable = hba_get16(table[i].flags) & VIRTQ_DESC_WRITE;
		size_t piece = hba_get32(table[i].length),
		       part = piece < length - done ? piece : length - done;
		uint8_t *p = at(v, hba_get64(table[i].address), piece);

		if (writable && !answer_seen) {
			answer_seen = true;
			continue;
		}
		if (writable != to_host)
			continue;
		memcpy(to_host ? p : bytes + done, to_host ? bytes + done : p, part);
		done += part;
	}
	return done;
}

void chip_execute(struct chip *v, uint16_t head)
{
	unsigned n;
	const struct virtq_desc *table = table_of(v, head, &n);
	const struct virtio_scsi_req *req = at(v, hba_get64(table[0].address), sizeof(*req));
	struct virtio_scsi_resp *resp = chip_answer_at(v, head);
	static uint8_t out[RIG_DATA];
	size_t sent = move_data(v, table, n, false, out, sizeof(out));
	struct rig_answer a = rig_execute(v->rig, req->cdb, out, sent);
	static uint8_t in[RIG_DATA];

	memset(resp, 0, sizeof(*resp));
	resp->status = a.status;
	resp->sense_len = hba_le32_of(a.sense_len);
	memcpy(resp->sense, a.sense, a.sense_len);
	if (a.length) {
		memcpy(in, a.data, a.length);
		move_data(v, table, n, true, in, a.length);
	}
}

static void take_function(struct chip *v)
{
	const struct chip_queue *q = &v->queues[VIRTIO_SCSI_CONTROL];
	const struct virtq_desc *desc;
	const struct virtio_scsi_tmf *tmf;
	uint16_t head;

	if (!next_head(v, VIRTIO_SCSI_CONTROL, &head))
		return;
	desc = (const struct virtq_desc *)at(v, q->desc, q->size * sizeof(*desc)) + head;
	tmf = at(v, hba_get64(desc->address), sizeof(*tmf));
	v->subtypes[v->n_tmfs++ % CHIP_HELD] = hba_get32(tmf->subtype);
	for (unsigned i = 0; v->tmf_ends_victims && i < v->n_held; i++) {
		chip_answer_at(v, v->held[i])->response = VIRTIO_SCSI_ABORTED;
		chip_used(v, VIRTIO_SCSI_REQUESTS, v->held[i], sizeof(struct virtio_scsi_resp));
	}
	v->n_held = v->tmf_ends_victims ? 0 : v->n_held;
	if (v->hold_tmf)
		return;
	*(uint8_t *)at(v, hba_get64(desc[1].address), 1) = v->tmf_response;
	chip_used(v, VIRTIO_SCSI_CONTROL, head, 1);
}

static void notified(struct script *s, const struct script_step *step, uint64_t offset,
		     uint64_t *value)
{
	struct chip *v = chip_of(s);
	uint16_t head;

	(void)step;
	assert_int_equal(*value, (offset - NOTIFY_AT) / MULTIPLIER);
	if (*value == VIRTIO_SCSI_CONTROL)
		take_function(v);
	while (*value == VIRTIO_SCSI_REQUESTS && next_head(v, VIRTIO_SCSI_REQUESTS, &head)) {
		if (v->hold) {
			v->held[v->n_held++ % CHIP_HELD] = head;
			continue;
		}
		chip_execute(v, head);
		chip_used(v, VIRTIO_SCSI_REQUESTS, head, sizeof(struct virtio_scsi_resp));
	}
}

void chip_event(struct chip *v, uint32_t event, uint8_t target, uint32_t length)
{
	const struct chip_queue *q = &v->queues[VIRTIO_SCSI_EVENTS];
	const struct virtq_desc *desc;
	uint16_t head = 0;

	assert_true(next_head(v, VIRTIO_SCSI_EVENTS, &head));
	desc = (const struct virtq_desc *)at(v, q->desc, q->size * sizeof(*desc)) + head;
	*(struct virtio_scsi_event *)at(v, hba_get64(desc->address),
					sizeof(struct virtio_scsi_event)) =
		(struct virtio_scsi_event) { .event = hba_le32_of(event), .lun = { 1, target } };
	chip_used(v, VIRTIO_SCSI_EVENTS, head, length);
}

/* ---- made and ended */

static const struct script_step steps[] = {
	{ .kind = SCRIPT_CONFIG_READ,
	  .span = CHIP_CONFIG,
	  .times = SCRIPT_EVER,
	  .act = config_read },
	{ .kind = SCRIPT_BAR_READ,
	  .bar = BAR,
	  .offset = COMMON_AT,
	  .span = COMMON_BYTES,
	  .times = SCRIPT_EVER,
	  .act = common_read },
	{ .kind = SCRIPT_BAR_WRITE,
	  .bar = BAR,
	  .offset = COMMON_AT,
	  .span = COMMON_BYTES,
	  .any = true,
	  .times = SCRIPT_EVER,
	  .act = common_write },
	{ .kind = SCRIPT_BAR_READ,
	  .bar = BAR,
	  .offset = DEVICE_AT,
	  .span = DEVICE_BYTES,
	  .times = SCRIPT_EVER,
	  .act = device_read },
	{ .kind = SCRIPT_BAR_WRITE,
	  .bar = BAR,
	  .offset = NOTIFY_AT,
	  .span = NOTIFY_BYTES,
	  .width = 2,
	  .any = true,
	  .times = SCRIPT_EVER,
	  .act = notified },
	{ .kind = SCRIPT_MASTER_ON, .times = SCRIPT_EVER },
	{ .kind = SCRIPT_MASTER_OFF, .times = SCRIPT_EVER },
};

void chip_capability(struct chip *v, unsigned place, unsigned next, uint8_t type, uint8_t bar,
		     uint32_t offset, uint32_t length)
{
	const uint32_t words[] = { htole32(offset), htole32(length), htole32(MULTIPLIER) };
	const uint8_t head[] = { 0x09, (uint8_t)next, CAP_BYTES, type, bar, 0, 0, 0 };

	memcpy(v->config + place, head, sizeof(head));
	memcpy(v->config + place + sizeof(head), words, sizeof(words));
}

struct chip *chip_new(void)
{
	struct chip *v = calloc(1, sizeof(*v));

	assert_non_null(v);
	v->rig = rig_new(v);
	v->rig->script.info = (struct hba_bus_info) { .vendor = VIRTIO_VENDOR,
						      .device = VIRTIO_SCSI_DEVICE,
						      .page_bytes = 4096,
						      .bar_length = { [BAR] = 0x4000 } };
	memcpy(v->steps, steps, sizeof(steps));
	v->rig->script.steps = v->steps;
	v->rig->script.n_steps = sizeof(steps) / sizeof(steps[0]);
	memcpy(v->config, (uint8_t[]) { 0xf4, 0x1a, 0x48, 0x10, 0, 0, 0x10, 0 }, 8);
	v->config[0x34] = FIRST_CAP;
	chip_capability(v, FIRST_CAP, FIRST_CAP + CAP_STEP, 1, BAR, COMMON_AT, COMMON_BYTES);
	chip_capability(v, FIRST_CAP + CAP_STEP, FIRST_CAP + 2 * CAP_STEP, 2, BAR, NOTIFY_AT,
			NOTIFY_BYTES);
	chip_capability(v, FIRST_CAP + 2 * CAP_STEP, 0, 4, BAR, DEVICE_AT, DEVICE_BYTES);
	for (unsigned i = 0; i < CHIP_QUEUES; i++)
		v->sizes[i] = QUEUE_SIZE;
	v->num_queues = 1;
	v->seg_max = 62;
	v->cmd_per_lun = 128;
	v->tmf_ends_victims = true;
	return v;
}

struct hba_lun *chip_up(struct chip *v)
{
	return rig_up(v->rig, &virtio_scsi_driver);
}

void chip_free(struct chip *v)
{
	/* What is held now will not be answered. */
	v->hold = false;
	rig_down(v->rig);
	free(v);
}
