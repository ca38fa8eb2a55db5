/* SPDX-License-Identifier: MIT */
/*
 * data.c: a client's data in the driver's terms, within the controller's limits, stage by stage.
 *
 *	client's list ── in place ──> segments that fit               sent as they are
 *	              └─ copied into the task's bounce slice ─> …     where that gets further
 *
 * Nearly every command has one item within the limits, which goes as it is, in the driver's mode. A
 * block READ or WRITE above the limits goes in stages, one after another, each with a CDB of its
 * own; any other command must fit at once. The client's own fields are put back before its done.
 * Drivers of CPU mode without limits skip all this: their lists go as they are.
 */
#include "core/controller/controller.h"
#include "scsi/scsi.h"

#include <errno.h>
#include <string.h>

enum { PAGE = 4096 };

/* ---- set up */

static uint64_t or_unlimited(uint64_t value)
{
	return value ? value : UINT64_MAX;
}

static struct sgl_limits limits_of(const struct hba_constraints *k, uint64_t segments,
				   uint64_t segment_bytes)
{
	return (struct sgl_limits) {
		.segments = segments,
		.segment_bytes = segment_bytes,
		.alignment = k->alignment,
		.highest =
			k->address_bits >= 64 ? UINT64_MAX : (UINT64_C(1) << k->address_bits) - 1,
		.boundary = k->boundary,
		.transfer = or_unlimited(k->max_transfer),
	};
}

static bool is_unlimited(const struct sgl_limits *l)
{
	return l->segments == UINT64_MAX && l->segment_bytes == UINT64_MAX && l->alignment == 1 &&
	       l->highest == UINT64_MAX && !l->boundary && l->transfer == UINT64_MAX;
}

static int take_slices(struct hba_controller *c, unsigned n)
{
	struct bounce *b = &c->bounce;
	struct hba_mapping *map;
	int r = memory_take(c, n * b->bytes, PAGE, (unsigned)c->report.constraints.address_bits,
			    &map);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < n; i++)
		b->slices[b->n_free++] = (uint8_t *)hba_mapping_address(map) + i * b->bytes;
	return 0;
}

static int make_slices(struct hba_controller *c)
{
	struct bounce *b = &c->bounce;
	unsigned together;
	int r = 0;

	b->bytes = BOUNCE_BYTES;
	b->n = c->report.max_tasks < BOUNCE_SLICES ? (unsigned)c->report.max_tasks : BOUNCE_SLICES;
	/* A slice lies in one range; all of them need not. */
	together = device_piece(c) ? (unsigned)(device_piece(c) / b->bytes) : b->n;
	if (!together)
		return fail(-ENOMEM,
			    "%s: this bus has no range of %d bytes for data that are bounced",
			    c->uri, BOUNCE_BYTES);
	while (b->n_free < b->n && r == 0)
		r = take_slices(c, b->n - b->n_free < together ? b->n - b->n_free : together);
	return r;
}

/*
 * Slabs that follow one another for the device need not for the CPU: where both look, a segment is
 * in one piece for both.
 */
static void part_for_cpu(const struct hba_controller *c, struct sgl *s, const uint8_t *address)
{
	const struct hba_segment *last = s->n ? &s->segments[s->n - 1] : NULL;

	if (last && c->report.wants_task_data &&
	    iova_map_address(&c->memory.spans, hba_iova_at(last->iova, last->length - 1)) !=
		    address - 1)
		sgl_apart(s);
}

/* Add one piece; for a device, as far as it can reach it. */
static uint64_t add_piece(const struct hba_controller *c, struct sgl *s, uint8_t *address,
			  uint64_t length)
{
	uint64_t added = 0, taken;
	struct hba_iova iova;
	size_t n;

	if (c->report.data_mode == HBA_DATA_CPU)
		return sgl_add(s, (uintptr_t)address, length);
	while (added < length && (n = iova_map_iova(&c->memory.spans, address + added, &iova))) {
		if (n > length - added)
			n = length - added;
		part_for_cpu(c, s, address + added);
		taken = sgl_add(s, iova.bus, n);
		added += taken;
		if (taken < n)
			break;
	}
	return added;
}

/* Data that cannot be split must fit at once, wherever the task's memory begins. */
static uint32_t internal_most(const struct hba_controller *c)
{
	uint8_t *memory = hba_mapping_address(c->pool.internal_memory);
	uint64_t most = INTERNAL_BYTES;
	struct sgl s;

	for (unsigned i = 0; i < c->report.internal_tasks; i++) {
		sgl_begin(&s, &c->limits[0], &c->pool.items[0].segment, c->pool.max_items);
		add_piece(c, &s, memory + i * (size_t)INTERNAL_BYTES, INTERNAL_BYTES);
		most = s.bytes < most ? s.bytes : most;
	}
	return (uint32_t)most;
}

int data_setup(struct hba_controller *c)
{
	const struct hba_constraints *k = &c->report.constraints;

	c->limits[0] = limits_of(k, k->max_segments_read, k->max_segment_bytes_read);
	c->limits[1] = limits_of(k, k->max_segments_write, k->max_segment_bytes_write);
	c->one[HBA_FROM_TARGET] = sgl_one_of(&c->limits[0]);
	c->one[HBA_TO_TARGET] = sgl_one_of(&c->limits[1]);
	c->unlimited = c->report.data_mode == HBA_DATA_CPU && is_unlimited(&c->limits[0]) &&
		       is_unlimited(&c->limits[1]);
	c->internal_most = internal_most(c);
	c->bounce = (struct bounce) { 0 };
	return c->report.data_mode == HBA_DATA_DMA ? make_slices(c) : 0;
}

/* ---- the client's list */

/*
 * Items of the client's list; 0: the short form. A single item is not counted a second time, which
 * would write another cache line.
 */
static uint32_t given_items(const struct task *t)
{
	return t->view == HEAD_STAGED ? t->given_n : t->given_mode == HBA_DATA_REGION;
}

static uint64_t item_length(const struct task *t, uint32_t i)
{
	if (given_items(t) == 0)
		return t->view == HEAD_STAGED ? t->given_length : t->head.length;
	return t->given_mode == HBA_DATA_REGION ? t->given.pieces[i].length
						: t->given.iov[i].iov_len;
}

static void *item_address(const struct hba_controller *c, const struct task *t, uint32_t i)
{
	if (given_items(t) == 0)
		return t->given.buffer;
	if (t->given_mode == HBA_DATA_CPU)
		return t->given.iov[i].iov_base;
	return (uint8_t *)hba_mapping_address(
		       memory_region(&c->memory, t->given.pieces[i].region)) +
	       t->given.pieces[i].offset;
}

/*
 * Region and offset are looked at once, here; afterwards the mapping cannot go while the task is
 * out.
 */
static int check_piece(const struct hba_controller *c, const struct hba_piece *p)
{
	const struct hba_mapping *m = memory_region(&c->memory, p->region);

	if (!m)
		return fail(-EINVAL, "there is no region %u", p->region);
	if (p->offset > hba_mapping_length(m) || p->length > hba_mapping_length(m) - p->offset)
		return fail(-EACCES, "offset %llu, length %u is outside region %u of %zu bytes",
			    (unsigned long long)p->offset, p->length, p->region,
			    hba_mapping_length(m));
	return 0;
}

static int wrong_sum(uint64_t sum, uint64_t length)
{
	return fail(-EINVAL, "the pieces of the data add up to %llu bytes, not to %llu",
		    (unsigned long long)sum, (unsigned long long)length);
}

static int no_place(uint64_t length)
{
	return fail(-EINVAL, "there are %llu bytes to move and no place for them",
		    (unsigned long long)length);
}

static int check_list(const struct hba_controller *c, const struct task *t)
{
	uint64_t sum = 0;
	int r = 0;

	if (t->given_n == 0)
		return t->given_mode == HBA_DATA_CPU ? 0 : no_place(t->given_length);
	for (uint32_t i = 0; i < t->given_n && r == 0; i++) {
		if (item_length(t, i) == 0 || __builtin_add_overflow(sum, item_length(t, i), &sum))
			return fail(-EINVAL, "piece %u of the data has a length that cannot be", i);
		if (t->given_mode == HBA_DATA_REGION)
			r = check_piece(c, &t->given.pieces[i]);
	}
	if (r < 0)
		return r;
	return sum == t->given_length ? 0 : wrong_sum(sum, t->given_length);
}

static bool list_lies_in(const struct hba_task *t, const struct hba_mapping *m)
{
	for (uint32_t i = 0; i < t->n_data; i++)
		if (mapping_holds(m, t->data.iov[i].iov_base, t->data.iov[i].iov_len))
			return true;
	return false;
}

bool data_lies_in(const struct task *t, const struct hba_mapping *m)
{
	/* not by its unit: a free task's may be gone */
	const struct hba_controller *c = t->queue->controller;
	enum task_state state = task_state(t);
	uint32_t n;

	/* First: the rest of one that is another thread's is being written. */
	if (state != TASK_QUEUED && state != TASK_WITH_DRIVER && state != TASK_HANDED_BACK &&
	    state != TASK_ENDED)
		return false;
	if (!t->head.length)
		return false;
	if (t->view == HEAD_AS_GIVEN)
		return list_lies_in(&t->head, m);
	n = given_items(t) ? given_items(t) : 1;
	for (uint32_t i = 0; i < n; i++)
		if (mapping_holds(m, item_address(c, t, i), item_length(t, i)))
			return true;
	return false;
}

/* ---- one stage */

static struct sgl_limits stage_limits(const struct hba_controller *c, const struct task *t)
{
	struct sgl_limits l = c->limits[t->head.direction == HBA_TO_TARGET];
	uint64_t target = or_unlimited(t->lun->target->report.max_transfer);

	if (target < l.transfer)
		l.transfer = target;
	if (t->to_move - t->moved < l.transfer)
		l.transfer = t->to_move - t->moved;
	return l;
}

/* From where the stages before have come to. */
static uint64_t fill_direct(const struct hba_controller *c, const struct task *t, struct sgl *s)
{
	uint32_t n = t->given_n ? t->given_n : 1;
	uint64_t offset = t->item_offset;

	for (uint32_t i = t->item; i < n; i++, offset = 0) {
		uint64_t length = item_length(t, i) - offset;

		if (add_piece(c, s, (uint8_t *)item_address(c, t, i) + offset, length) < length)
			break;
	}
	return sgl_trim(s, t->granule);
}

static uint64_t fill_bounced(const struct hba_controller *c, const struct task *t, struct sgl *s)
{
	uint64_t rest = t->to_move - t->moved;
	struct hba_iova iova;

	if (!t->slice)
		return 0;
	iova_map_iova(&c->memory.spans, t->slice, &iova);
	sgl_add(s, iova.bus, rest < c->bounce.bytes ? rest : c->bounce.bytes);
	return sgl_trim(s, t->granule);
}

static void copy_bounced(const struct hba_controller *c, const struct task *t, uint64_t bytes,
			 bool home)
{
	uint64_t offset = t->item_offset, done = 0;

	for (uint32_t i = t->item; done < bytes; i++, offset = 0) {
		uint64_t n = item_length(t, i) - offset;
		uint8_t *piece = (uint8_t *)item_address(c, t, i) + offset;

		if (n > bytes - done)
			n = bytes - done;
		if (home)
			memcpy(piece, t->slice + done, n);
		else
			memcpy(t->slice + done, piece, n);
		done += n;
	}
}

/*
 * A device may not know how much of a list it has filled; old contents of the slice must not reach
 * the client then.
 */
static void fill_slice(const struct hba_controller *c, const struct task *t, uint64_t bytes)
{
	if (t->head.direction == HBA_TO_TARGET)
		copy_bounced(c, t, bytes, false);
	else if (!t->splits)
		memset(t->slice, 0, bytes);
}

/*
 * The CDB of a stage that is not the whole. Its size is the client's unless the blocks have become
 * too far for it.
 */
static int stage_cdb(struct task *t, uint64_t bytes)
{
	struct scsi_cdb cdb;
	struct scsi_rw rw;

	if (bytes == t->to_move)
		return 0;
	scsi_cdb_read_rw(t->given_cdb, t->given_cdb_len, &rw);
	rw.block += t->moved / t->granule;
	rw.count = (uint32_t)(bytes / t->granule);
	if (scsi_cdb_rw(&rw, t->given_cdb_len, &cdb) < 0 && scsi_cdb_rw(&rw, 0, &cdb) < 0)
		return -ERANGE;
	memcpy(t->head.cdb, cdb.bytes, sizeof(t->head.cdb));
	t->head.cdb_len = cdb.length;
	return 0;
}

/* A segment is in one piece for the CPU, too: see part_for_cpu(). */
static void write_for_cpu(const struct hba_controller *c, struct task *t, const struct sgl *s)
{
	for (unsigned i = 0; t->cpu && i < s->n; i++)
		t->cpu[i] =
			(struct iovec) { iova_map_address(&c->memory.spans, s->segments[i].iova),
					 s->segments[i].length };
}

static void write_stage(const struct hba_controller *c, struct task *t, const struct sgl *s)
{
	t->head.length = s->bytes;
	t->head.n_data = s->n;
	t->head.mode = (uint8_t)c->report.data_mode;
	if (c->report.data_mode == HBA_DATA_DMA) {
		t->head.data.segments = &t->items[0].segment;
		write_for_cpu(c, t, s);
		return;
	}
	for (unsigned i = 0; i < s->n; i++) {
		struct hba_segment segment = t->items[i].segment;

		t->items[i].iov =
			(struct iovec) { (void *)(uintptr_t)segment.iova.bus, segment.length };
	}
	t->head.data.iov = &t->items[0].iov;
}

static int too_much(const struct hba_controller *c, const struct task *t, uint64_t bytes)
{
	return fail(-EMSGSIZE, "%llu bytes do not fit the limits of driver %s%s",
		    (unsigned long long)bytes, c->driver->name,
		    t->slice || c->report.data_mode != HBA_DATA_DMA
			    ? ""
			    : ": they lie where the device cannot reach them, and the report has "
			      "no bounce space");
}

/* Where it lies, if that is as good as any; else by the slice. 0, or -EMSGSIZE: nothing goes. */
static int next_stage(struct hba_controller *c, struct task *t)
{
	struct sgl_limits limits = stage_limits(c, t);
	uint64_t rest = t->to_move - t->moved, direct, bounced = 0;
	struct sgl s;

	sgl_begin(&s, &limits, &t->items[0].segment, c->pool.max_items);
	direct = fill_direct(c, t, &s);
	if (direct < rest && t->slice) {
		sgl_begin(&s, &limits, &t->items[0].segment, c->pool.max_items);
		bounced = fill_bounced(c, t, &s);
		if (bounced <= direct) {
			sgl_begin(&s, &limits, &t->items[0].segment, c->pool.max_items);
			fill_direct(c, t, &s);
		}
	}
	t->bounced = bounced > direct;
	if (s.bytes == 0 || (!t->splits && s.bytes < rest))
		return too_much(c, t, rest);
	if (t->bounced)
		fill_slice(c, t, s.bytes);
	write_stage(c, t, &s);
	return stage_cdb(t, s.bytes);
}

static void advance(struct task *t, uint64_t bytes)
{
	t->moved += bytes;
	t->item_offset += bytes;
	while (t->moved < t->to_move && t->item_offset >= item_length(t, t->item)) {
		t->item_offset -= item_length(t, t->item);
		t->item++;
	}
}

/*
 * A transfer that stops half-way would have changed the medium. With a slice every stage fits that
 * the first one does.
 */
static int check_stages(struct hba_controller *c, struct task *t)
{
	struct sgl_limits limits;
	uint64_t bytes = 1;
	struct sgl s;

	if (!t->splits || t->slice)
		return 0;
	for (; t->moved < t->to_move && bytes; advance(t, bytes)) {
		limits = stage_limits(c, t);
		sgl_begin(&s, &limits, &t->items[0].segment, c->pool.max_items);
		bytes = fill_direct(c, t, &s);
	}
	t->moved = t->item_offset = 0;
	t->item = 0;
	return bytes ? 0 : too_much(c, t, t->to_move);
}

/* ---- from submit to done */

static void keep_list(struct task *t, enum head_view view)
{
	t->given = t->head.data;
	t->given_mode = t->head.mode;
	t->view = (uint8_t)view;
}

static void keep_given(struct task *t)
{
	keep_list(t, HEAD_STAGED);
	t->given_direction = t->head.direction;
	t->given_length = t->head.length;
	t->given_n = t->head.n_data;
	t->given_cdb_len = t->head.cdb_len;
	memcpy(t->given_cdb, t->head.cdb, sizeof(t->given_cdb));
	t->moved = t->item_offset = 0;
	t->item = 0;
}

void data_restore_staged(struct task *t)
{
	t->head.length = t->given_length;
	t->head.n_data = t->given_n;
	t->head.direction = t->given_direction;
	t->head.cdb_len = t->given_cdb_len;
	memcpy(t->head.cdb, t->given_cdb, sizeof(t->given_cdb));
}

/* Bytes that the CDB lets move; UINT64_MAX: it has no such field. */
static inline __attribute__((always_inline)) uint64_t most_moved(const struct task *t,
								 uint32_t block, bool *ret_is_rw)
{
	uint64_t most = UINT64_MAX;
	uint32_t count;
	bool protect;

	*ret_is_rw = scsi_cdb_rw_count(t->head.cdb, t->head.cdb_len, &count, &protect);
	if (*ret_is_rw)
		return block && !protect ? (uint64_t)count * block : UINT64_MAX;
	(void)scsi_cdb_transfer(t->head.cdb, t->head.cdb_len, block, &most);
	return most;
}

static uint32_t block_bytes(const struct task *t)
{
	return __atomic_load_n(&t->lun->block_bytes, __ATOMIC_RELAXED);
}

/*
 * How much of it is moved, and may that go in stages? A block READ or WRITE may: a stage is then a
 * number of blocks. A device gets no more room than the CDB requests: some (QEMU's) move as much as
 * the list holds, even on to the medium.
 */
static void judge_transfer(struct task *t)
{
	uint32_t block = block_bytes(t);
	bool is_rw;
	uint64_t most = most_moved(t, block, &is_rw);

	t->splits = is_rw && most <= t->head.length;
	t->to_move = most < t->head.length ? most : t->head.length;
	t->granule = t->splits ? block : 1;
}

static bool has_room_to_spare(const struct task *t)
{
	bool is_rw;

	return most_moved(t, block_bytes(t), &is_rw) < t->head.length;
}

/* For the driver it is a command without data. */
static void write_none(struct task *t)
{
	t->bounced = false;
	t->head.length = 0;
	t->head.n_data = 0;
	t->head.direction = HBA_NO_DATA;
}

/*
 * The common case: all of the data in one place, for us at `ret_address`, for the driver at
 * `ret_device`. On any fault: false.
 */
static inline bool lie_in_one(const struct hba_controller *c, const struct hba_task *t,
			      uint8_t **ret_address, uint64_t *ret_device)
{
	struct hba_iova iova;

	if (t->n_data == 1 && t->mode == HBA_DATA_REGION) {
		if (t->data.pieces->length != t->length ||
		    !memory_piece(&c->memory, t->data.pieces, ret_address, &iova))
			return false;
	} else if (t->n_data == 0 && t->mode == HBA_DATA_CPU) {
		*ret_address = t->data.buffer;
		if (c->report.data_mode == HBA_DATA_DMA &&
		    iova_map_iova(&c->memory.spans, *ret_address, &iova) < t->length)
			return false;
	} else {
		return false;
	}
	*ret_device = c->report.data_mode == HBA_DATA_DMA ? iova.bus : (uintptr_t)*ret_address;
	return true;
}

static void write_one(const struct hba_controller *c, struct task *t, uint8_t *address,
		      uint64_t device)
{
	keep_list(t, HEAD_WHOLE);
	if (c->report.data_mode == HBA_DATA_DMA) {
		t->whole.segment = (struct hba_segment) { { device }, t->head.length };
		t->head.data.segments = &t->whole.segment;
		if (t->cpu)
			t->cpu[0] = (struct iovec) { address, t->head.length };
	} else {
		t->whole.iov = (struct iovec) { address, t->head.length };
		t->head.data.iov = &t->whole.iov;
	}
	t->head.n_data = 1;
	t->head.mode = (uint8_t)c->report.data_mode;
}

/* One item that is within the limits goes without being copied, split or staged. */
static inline bool goes_as_one(const struct hba_controller *c, struct task *t)
{
	uint8_t *address;
	uint64_t device;

	if (t->head.length > or_unlimited(t->lun->target->report.max_transfer) ||
	    !lie_in_one(c, &t->head, &address, &device) ||
	    !sgl_takes_one(&c->one[t->head.direction], device, t->head.length) ||
	    (c->report.data_mode == HBA_DATA_DMA && has_room_to_spare(t)))
		return false;
	write_one(c, t, address, device);
	return true;
}

/* A list of the driver's own kind, and no limit on it. */
static bool passes_through(const struct hba_controller *c, const struct task *t)
{
	return c->unlimited && t->head.mode == HBA_DATA_CPU && t->head.n_data &&
	       !t->lun->target->report.max_transfer;
}

static int pass_through(const struct hba_task *head)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < head->n_data; i++)
		if (!head->data.iov[i].iov_len ||
		    __builtin_add_overflow(sum, head->data.iov[i].iov_len, &sum))
			return fail(-EINVAL, "piece %u of the data has a length that cannot be", i);
	return sum == head->length ? 0 : wrong_sum(sum, head->length);
}

static int first_stage(struct hba_controller *c, struct task *t)
{
	int r;

	judge_transfer(t);
	if (!t->to_move) {
		write_none(t);
		return 0;
	}
	r = check_stages(c, t);
	return r < 0 ? r : next_stage(c, t);
}

/* The long way. Not inlined: it would have the short one save its registers. */
__attribute__((noinline)) static int prepare_list(struct hba_controller *c, struct task *t)
{
	int r;

	if (passes_through(c, t))
		return pass_through(&t->head);
	keep_given(t);
	r = check_list(c, t);
	if (r == 0)
		r = first_stage(c, t);
	if (r < 0)
		data_restore(t);
	return r;
}

int data_prepare(struct hba_controller *c, struct task *t)
{
	/* In each mode: no buffer, or no list. */
	if (!t->head.data.buffer)
		return no_place(t->head.length);
	return goes_as_one(c, t) ? 0 : prepare_list(c, t);
}

bool data_settle(struct task *t)
{
	struct hba_controller *c = t->queue->controller;
	uint64_t stage = t->head.length, bytes = t->result.bytes;

	if (t->view != HEAD_STAGED)
		return false;
	if (t->bounced && t->head.direction == HBA_FROM_TARGET && bytes)
		copy_bounced(c, t, bytes, true);
	t->bounced = false;
	t->result.bytes += t->moved;
	if (t->result.outcome != HBA_GOOD || bytes != stage || t->result.bytes == t->to_move ||
	    !c->accepting)
		return false;
	if (t->final) {
		/*
		 * Cancelled, or a victim of task management: this stage is back, and no other is
		 * sent.
		 */
		t->result.outcome = HBA_NOT_DELIVERED;
		return false;
	}
	advance(t, bytes);
	t->tries = 0; /* this stage was not refused; the next one has its own */
	t->repeats = 0;
	if (next_stage(c, t) == 0)
		return true;
	/* Cannot be: the first stage has shown that a block fits. Yet it must end. */
	t->result.outcome = HBA_NOT_DELIVERED;
	return false;
}
