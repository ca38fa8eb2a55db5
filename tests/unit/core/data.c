/* SPDX-License-Identifier: MIT */
/*
 * data.c: clients' lists through the whole core to a driver in DMA mode, and in CPU mode with
 * limits: each list within the limits, each byte in its place.
 */
#include "rig.h"

#include "scsi/scsi.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	PAGE = 4096,
	MAPPED_BYTES = 2 << 20,
	HEAP_BYTES = 2 << 20,
	PIECES = 64,
	MANY_BLOCKS = 2048, /* 1 MiB */
	ROUNDS = 300,
	AT_A_TIME = 3,
	READ_6_OP = 0x08,
	READ_10_OP = 0x28,
	READ_12_OP = 0xa8,
	READ_16_OP = 0x88,
	WRITE_6_OP = 0x0a,
	INQUIRY_BYTES = 96,
};

/* Where the lists' pieces come from: half can be reached by the device, half cannot. */
struct bench {
	struct rig r;
	struct hba_lun *lun;
	struct hba_mapping *map;
	uint8_t *mapped, *heap;
	uint64_t random;
};

/** struct io - One transfer, its list, and what its head was. */
struct io {
	struct test_io t;
	struct iovec iov[PIECES];
	struct hba_piece pieces[PIECES];
	struct hba_task before;
	uint64_t block, bytes;
	unsigned n;
	bool write, by_region;
};

enum { CPU_LIMITS = 1, ALIGNED_64 = 2, LESS_READ = 4, LESS_WRITTEN = 8, FOR_CPU_TOO = 16 };

/** struct shape - One controller's limits; `constraints`' zeroes are made "none" by apply(). */
static const struct shape {
	const char *name;
	unsigned flags;
	uint64_t segments, segment_bytes, alignment, bits, boundary, transfer;
} shapes[] = {
	{ "wide", 0, 128, 1 << 20, 1, 64, 0, 0 },
	{ "one segment", 0, 1, 65536, 1, 64, 0, 0 },
	{ "one block a segment", 0, 3, 512, 1, 64, 0, 0 },
	{ "one block", 0, 1, 512, 1, 64, 512, 0 },
	{ "32 bits", 0, 17, 4096, 4, 32, 0, 65536 },
	{ "24 bits", 0, 8, 4096, 512, 24, 4096, 0 },
	{ "pages", 0, 16, 4096, 4096, 64, 4096, 0 },
	{ "odd", 0, 5, 1000, 2, 40, 65536, 7777 },
	{ "less read", LESS_READ, 8, 8192, 1, 64, 0, 0 },
	{ "less written", LESS_WRITTEN, 8, 8192, 1, 64, 0, 0 },
	{ "CPU, by count", CPU_LIMITS, 4, 3000, 1, 64, 0, 0 },
	{ "CPU, by size", CPU_LIMITS, 16, 65536, 1, 64, 0, 20000 },
};

static const struct shape *shape; /* report() has no argument of its own */

static uint64_t half_if(unsigned flag, uint64_t limit)
{
	return shape->flags & flag ? limit / 2 : limit;
}

static void report(struct hba_report *r)
{
	r->data_mode = shape->flags & CPU_LIMITS ? HBA_DATA_CPU : HBA_DATA_DMA;
	r->wants_task_data = (shape->flags & FOR_CPU_TOO) != 0;
	r->constraints = (struct hba_constraints) {
		.max_segments_read = half_if(LESS_READ, shape->segments),
		.max_segments_write = half_if(LESS_WRITTEN, shape->segments),
		.max_segment_bytes_read = half_if(LESS_READ, shape->segment_bytes),
		.max_segment_bytes_write = half_if(LESS_WRITTEN, shape->segment_bytes),
		.alignment = shape->alignment,
		.address_bits = shape->bits,
		.hba_data_mask = UINT64_MAX,
		.boundary = shape->boundary,
		.max_transfer = shape->transfer,
	};
}

static void up(struct bench *b, const struct shape *s)
{
	memset(b, 0, sizeof(*b));
	shape = s;
	b->random = 88172645463325252;
	rig_init(&b->r);
	b->r.report = report;
	b->r.disk = true;
	b->r.d->targets[0].blocks = UINT64_C(1) << 40;
	rig_up(&b->r);
	b->lun = hba_lun_find(b->r.c, 0, 0);
	assert_non_null(b->lun);
	assert_int_equal(hba_mapping_create(b->r.c, HBA_DEVICE_BOTH, MAPPED_BYTES, 0, &b->map), 0);
	b->mapped = hba_mapping_address(b->map);
	b->heap = malloc(HEAP_BYTES);
	assert_non_null(b->heap);
}

static void down(struct bench *b)
{
	assert_int_equal(hba_mapping_release(b->map), 0);
	free(b->heap);
	rig_down(&b->r);
}

/* ---- lists */

/* Mostly small pieces at odd places, sometimes large or aligned ones. */
static uint64_t draw_length(struct bench *b, uint64_t left, bool last)
{
	uint64_t n = rig_random(&b->random, 3) ? 1 + rig_random(&b->random, 3000)
					       : 512 * (1 + rig_random(&b->random, 256));

	return last || n > left ? left : n;
}

static void draw_pieces(struct bench *b, struct io *io, unsigned lane, bool only_mapped)
{
	uint64_t half = MAPPED_BYTES / AT_A_TIME, at[2] = { lane * half, lane * half },
		 left = io->bytes;

	for (io->n = 0; left; io->n++) {
		uint64_t length = draw_length(b, left, io->n == PIECES - 1 || left > half / 2);
		bool mapped = io->by_region || only_mapped || rig_random(&b->random, 2);
		uint64_t *from = &at[mapped],
			 gap = rig_random(&b->random, 2) ? 0 : rig_random(&b->random, 600);

		*from += *from + gap + length <= (lane + 1) * half ? gap : 0;
		if (*from + length > (lane + 1) * half)
			length = (lane + 1) * half - *from;
		assert_true(length > 0);
		io->iov[io->n] = (struct iovec) { (mapped ? b->mapped : b->heap) + *from, length };
		io->pieces[io->n] =
			(struct hba_piece) { hba_mapping_region(b->map), (uint32_t)length, *from };
		*from += length;
		left -= length;
	}
}

static void fill_or_spoil(const struct io *io)
{
	uint64_t at = io->block * TEST_BLOCK;

	for (unsigned i = 0; i < io->n; i++) {
		uint8_t *p = io->iov[i].iov_base;

		for (size_t k = 0; k < io->iov[i].iov_len; k++, at++)
			p[k] = io->write ? rig_byte(at) : (uint8_t)~rig_byte(at);
	}
}

static void all_is_there(const struct io *io)
{
	uint64_t at = io->block * TEST_BLOCK;

	for (unsigned i = 0; i < io->n; i++) {
		const uint8_t *p = io->iov[i].iov_base;

		for (size_t k = 0; k < io->iov[i].iov_len; k++, at++)
			if (p[k] != rig_byte(at))
				fail_msg("%s: byte %llu of block %llu is wrong", shape->name,
					 (unsigned long long)(at - io->block * TEST_BLOCK),
					 (unsigned long long)io->block);
	}
}

/* ---- commands */

static void write_command(struct hba_task *t, const struct io *io, unsigned size)
{
	struct scsi_rw rw = { .block = io->block,
			      .count = (uint32_t)(io->bytes / TEST_BLOCK),
			      .direction = io->write ? HBA_TO_TARGET : HBA_FROM_TARGET };
	struct scsi_cdb cdb;

	assert_int_equal(scsi_cdb_rw(&rw, size, &cdb), 0);
	memcpy(t->cdb, cdb.bytes, sizeof(t->cdb));
	t->cdb_len = cdb.length;
	t->direction = (uint8_t)rw.direction;
	t->length = io->bytes;
}

static void finished(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct io *io = arg;

	/* As the client wrote it; what follows its fields is the core's. */
	assert_memory_equal(&t->cdb, &io->before.cdb,
			    offsetof(struct hba_task, negotiate) - offsetof(struct hba_task, cdb));
	test_done(t, r, &io->t);
}

static int submit(struct hba_task *t, struct io *io)
{
	t->n_data = io->n;
	if (io->by_region) {
		t->mode = HBA_DATA_REGION;
		t->data.pieces = io->pieces;
	} else if (io->n == 1) {
		t->n_data = 0;
		t->data.buffer = io->iov[0].iov_base;
	} else {
		t->data.iov = io->iov;
	}
	io->before = *t;
	io->t.put = true;
	return hba_submit(t, finished, io);
}

static struct hba_task *get(struct bench *b, size_t bounce)
{
	struct hba_task *t = NULL;

	assert_int_equal(hba_task_get(b->lun, bounce, NULL, &t), 0);
	return t;
}

static void start_one(struct bench *b, struct io *io, unsigned lane)
{
	struct hba_task *t;

	memset(io, 0, sizeof(*io));
	io->write = rig_random(&b->random, 2);
	io->by_region = !rig_random(&b->random, 4);
	io->bytes = TEST_BLOCK *
		    (1 + rig_random(&b->random, rig_random(&b->random, 20) ? 60 : MANY_BLOCKS / 4));
	io->block = rig_random(&b->random, 4) ? rig_random(&b->random, 1 << 20)
					      : UINT32_MAX - rig_random(&b->random, 600);
	draw_pieces(b, io, lane, false);
	fill_or_spoil(io);
	t = get(b, io->bytes);
	write_command(t, io, 0);
	assert_int_equal(submit(t, io), 0);
}

static void finish_one(struct bench *b, struct io *io)
{
	test_wait(b->r.c, &io->t, 1);
	assert_int_equal(io->t.last.outcome, HBA_GOOD);
	assert_int_equal(io->t.last.bytes, io->bytes);
	if (!io->write)
		all_is_there(io);
}

static void lists_become_segments_within_limits(void **state)
{
	static struct io io[AT_A_TIME];
	struct bench b;

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(shapes); k++) {
		uint64_t written = 0;

		up(&b, &shapes[k]);
		for (unsigned i = 0; i < ROUNDS; i++) {
			for (unsigned lane = 0; lane < AT_A_TIME; lane++)
				start_one(&b, &io[lane], lane);
			for (unsigned lane = 0; lane < AT_A_TIME; lane++) {
				finish_one(&b, &io[lane]);
				written += io[lane].write ? io[lane].bytes : 0;
			}
		}
		assert_int_equal(b.r.written, written);
		test_no_violation(b.r.c);
		down(&b);
	}
}

/* ---- where the device cannot reach */

static void one_read(struct bench *b, uint8_t *to, uint64_t bytes, size_t bounce, int want)
{
	struct io io = { .block = 77, .bytes = bytes, .n = 1, .iov = { { to, bytes } } };
	struct hba_task *t = get(b, bounce);

	fill_or_spoil(&io);
	write_command(t, &io, 0);
	assert_int_equal(submit(t, &io), want);
	if (want < 0) {
		hba_task_put(t);
		return;
	}
	finish_one(b, &io);
}

static void misaligned_pieces_are_bounced(void **state)
{
	static const struct shape aligned = { "aligned", 0, 16, 65536, 512, 64, 0, 0 };
	struct bench b;

	(void)state;
	up(&b, &aligned);
	one_read(&b, b.mapped + 512, 8192, 0, 0);
	assert_int_equal(b.r.log[b.r.n_log - 1].length, 8192);
	one_read(&b, b.mapped + 513, 8192, 8192, 0);
	one_read(&b, b.mapped + 513, 8192, 0, -EMSGSIZE); /* nobody has asked for bounce space */
	down(&b);
}

static void pieces_above_the_limit_are_bounced(void **state)
{
	static const struct shape low = { "low", 0, 16, 65536, 1, 24, 0, 0 };
	struct hba_mapping *high;
	struct bench b;

	(void)state;
	up(&b, &low);
	assert_true((uintptr_t)b.mapped + MAPPED_BYTES <= 1 << 24);
	one_read(&b, b.mapped, 8192, 0, 0);
	/* Mapped, so that the device would find it, but not with so few address bits. */
	assert_int_equal(memory_take(b.r.c, 8192, PAGE, 64, &high), 0);
	assert_true(hba_mapping_iova(high).bus > 1 << 24);
	one_read(&b, hba_mapping_address(high), 8192, 8192, 0);
	one_read(&b, hba_mapping_address(high), 8192, 0, -EMSGSIZE);
	assert_non_null(strstr(hba_error(), "the report has no bounce space"));
	one_read(&b, b.heap, 8192, 8192, 0);
	one_read(&b, b.heap, 8192, 0, -EMSGSIZE);
	down(&b);
}

/* ---- several slabs */

/* A bus whose addresses go on where the last slab ended, wherever that is for the CPU. */
struct hba_bus_device {
	uint64_t next;
};

static int run_opens(const char *path, const char *query, struct hba_bus_info *ret_info,
		     char why[HBA_BUS_WHY_BYTES], struct hba_bus_device **ret_device)
{
	(void)path;
	(void)query;
	(void)why;
	*ret_info = (struct hba_bus_info) { .page_bytes = PAGE, .facts = HBA_BUS_FOREIGN_MEMORY };
	*ret_device = calloc(1, sizeof(**ret_device));
	return *ret_device ? 0 : -ENOMEM;
}

static void run_closes(struct hba_bus_device *b)
{
	free(b);
}

static int run_maps(struct hba_bus_device *b, int fd, uint64_t offset, size_t length, unsigned bits,
		    struct hba_iova *ret_iova)
{
	(void)fd;
	(void)offset;
	(void)bits;
	*ret_iova = (struct hba_iova) { PAGE + b->next };
	b->next += length;
	return 0;
}

static int run_masters(struct hba_bus_device *b, bool on, unsigned ms)
{
	(void)b;
	(void)on;
	(void)ms;
	return 0;
}

static const struct hba_bus run_on_bus = {
	HBA_BUS_HEADER,      .name = "run-on",       .open = run_opens,
	.close = run_closes, .map_memory = run_maps, .bus_master = run_masters,
};

/** struct pieces - What a client's list says of each byte, for the op that is to find the same. */
static struct pieces {
	struct iovec iov[2];
	unsigned n, seen;
	uint64_t wrong;
} pieces;

static const uint8_t *place_of(uint64_t at)
{
	unsigned i = 0;

	for (; i + 1 < pieces.n && at >= pieces.iov[i].iov_len; i++)
		at -= pieces.iov[i].iov_len;
	return (const uint8_t *)pieces.iov[i].iov_base + at;
}

/* Byte by byte: what the device finds, and what the CPU is given, is where the client said. */
static bool finds_each_byte(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	const struct hba_controller *c = hba_queue_controller(q);
	const struct iovec *v;
	uint64_t at = 0;
	unsigned n;

	(void)d;
	if (t->kind != HBA_TASK_CLIENT)
		return false;
	for (uint32_t i = 0; i < t->n_data; i++)
		for (uint64_t k = 0; k < t->data.segments[i].length; k++, at++)
			pieces.wrong += iova_map_address(&c->memory.spans,
							 hba_iova_at(t->data.segments[i].iova,
								     k)) != place_of(at);
	v = hba_task_data(t, &n);
	at = 0;
	for (unsigned i = 0; i < n; i++)
		for (size_t k = 0; k < v[i].iov_len; k++, at++)
			pieces.wrong += (const uint8_t *)v[i].iov_base + k != place_of(at);
	pieces.wrong += at != t->length;
	pieces.seen++;
	return false;
}

static void read_into_pieces(struct bench *b, struct iovec first, struct iovec second)
{
	struct io io = { .bytes = first.iov_len + second.iov_len,
			 .n = second.iov_len ? 2 : 1,
			 .iov = { first, second } };
	struct hba_task *t = get(b, 0);

	pieces = (struct pieces) { .iov = { first, second }, .n = io.n };
	fill_or_spoil(&io);
	write_command(t, &io, 10);
	assert_int_equal(submit(t, &io), 0);
	test_wait(b->r.c, &io.t, 1);
	assert_int_equal(io.t.last.outcome, HBA_GOOD);
	assert_int_equal(pieces.seen, 1);
	assert_int_equal(pieces.wrong, 0);
	for (uint64_t at = 0; at < io.bytes; at++)
		assert_int_equal(*place_of(at), b->r.d->targets[0].medium[at]);
}

enum { SLABS = 16, SLAB = 2 << 20, HALF = 4 * TEST_BLOCK };

/*
 * Two that lie one behind the other for the CPU; the kernel puts new ones so, though nobody
 * promises it.
 */
static uint8_t *border_of_two(uint8_t *const slabs[SLABS])
{
	for (unsigned i = 0; i < SLABS; i++)
		for (unsigned k = 0; k < SLABS; k++)
			if (slabs[i] + SLAB == slabs[k])
				return slabs[k];
	return NULL;
}

static void pieces_over_several_slabs(void **state)
{
	static const struct shape both = {
		"DMA, for the CPU too", FOR_CPU_TOO, 16, 65536, 1, 64, 0, 0
	};
	struct hba_mapping *map[SLABS];
	uint8_t *slab[SLABS], *border;
	struct bench b = { 0 };

	(void)state;
	shape = &both;
	rig_init(&b.r);
	b.r.report = report;
	b.r.d->bus = &run_on_bus;
	b.r.d->process = finds_each_byte;
	rig_up(&b.r);
	b.lun = hba_lun_find(b.r.c, 0, 0);
	for (unsigned i = 0; i < SLABS; i++) {
		assert_int_equal(hba_mapping_create(b.r.c, HBA_DEVICE_BOTH, SLAB, 0, &map[i]), 0);
		slab[i] = hba_mapping_address(map[i]);
	}
	/*
	 * For the device the second piece goes on where the first ends; for the CPU it lies
	 * elsewhere.
	 */
	assert_int_equal(hba_mapping_iova(map[0]).bus + SLAB, hba_mapping_iova(map[1]).bus);
	read_into_pieces(&b, (struct iovec) { slab[0] + SLAB - HALF, HALF },
			 (struct iovec) { slab[1], HALF });
	/* One piece for the CPU, two for the device. */
	border = border_of_two(slab);
	assert_non_null(border);
	read_into_pieces(&b, (struct iovec) { border - HALF, 2 * HALF },
			 (struct iovec) { NULL, 0 });
	read_into_pieces(&b, (struct iovec) { border - 1, HALF + 1 },
			 (struct iovec) { border - HALF, HALF - 1 });
	for (unsigned i = 0; i < SLABS; i++)
		assert_int_equal(hba_mapping_release(map[i]), 0);
	rig_down(&b.r);
}

/* The mapping's last bytes, then memory that is nobody's: not one byte too far. */
static void the_end_of_a_mapping(void **state)
{
	static const struct shape wide = { "wide", 0, 16, 1 << 20, 1, 64, 0, 0 };
	struct bench b;

	(void)state;
	up(&b, &wide);
	one_read(&b, b.mapped + MAPPED_BYTES - 4096, 4096, 0, 0);
	assert_int_equal(b.r.stages, 1);
	down(&b);
}

struct waiter {
	struct hba_waiter w;
	struct hba_task *t;
	unsigned ready;
};

static void is_ready(struct hba_waiter *w, struct hba_task *t)
{
	struct waiter *waiter = container_of(w, struct waiter, w);

	waiter->t = t;
	waiter->ready++;
}

static void many_clients(struct hba_report *r)
{
	report(r);
	r->max_tasks = BOUNCE_SLICES + 8;
}

/* More who need bounce space than there is: they wait, others do not; nobody is refused. */
static void bounce_space_is_reserved_at_admission(void **state)
{
	static const struct shape wide = { "wide", 0, 16, 65536, 1, 64, 0, 0 };
	struct waiter waiter = { .w.ready = is_ready };
	struct hba_task *held[BOUNCE_SLICES], *t;
	struct bench b;

	(void)state;
	memset(&b, 0, sizeof(b));
	shape = &wide;
	rig_init(&b.r);
	b.r.report = many_clients;
	b.r.disk = true;
	b.r.d->targets[0].blocks = 1 << 20;
	rig_up(&b.r);
	b.lun = hba_lun_find(b.r.c, 0, 0);
	for (unsigned i = 0; i < BOUNCE_SLICES; i++)
		held[i] = get(&b, 4096);
	assert_int_equal(hba_task_get(b.lun, 4096, NULL, &t), 1);
	t = get(&b, 0); /* who needs none does not wait for it */
	hba_task_put(t);
	assert_int_equal(hba_task_get(b.lun, 4096, &waiter.w, &t), 1);
	test_turns(b.r.c, 3);
	assert_int_equal(waiter.ready, 0);
	hba_task_put(held[0]);
	test_turns(b.r.c, 1);
	assert_int_equal(waiter.ready, 1);
	assert_non_null(waiter.t);
	hba_task_put(waiter.t);
	for (unsigned i = 1; i < BOUNCE_SLICES; i++)
		hba_task_put(held[i]);
	assert_int_equal(b.r.c->bounce.n_free, BOUNCE_SLICES);
	rig_down(&b.r);
}

/* ---- for a driver without a chip */

static bool looks_at_its_data(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	struct rig *r = d->of_test;
	const struct iovec *v;
	uint64_t sum = 0;
	unsigned n = 77;

	(void)q;
	v = hba_task_data(t, &n);
	r->wrong += t->length ? !v || !n : v || n;
	for (unsigned i = 0; i < n; i++)
		sum += v[i].iov_len;
	r->wrong += sum != t->length;
	r->stages++;
	return false;
}

/*
 * What the device finds and what the CPU finds is the same memory: without a bus an IOVA is an
 * address.
 */
static bool looks_at_both(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	struct rig *r = d->of_test;
	const struct iovec *v;
	unsigned n = 0;

	v = hba_task_data(t, &n);
	r->wrong += t->length && (t->mode != HBA_DATA_DMA || n != t->n_data);
	for (unsigned i = 0; v && i < n; i++)
		r->wrong += (uintptr_t)v[i].iov_base != t->data.segments[i].iova.bus ||
			    v[i].iov_len != t->data.segments[i].length;
	return looks_at_its_data(d, q, t);
}

static void look_through(const struct shape *s,
			 bool (*look)(struct test_driver *d, struct hba_queue *q,
				      struct hba_task *t))
{
	struct bench b;

	up(&b, s);
	b.r.d->process = look;
	assert_int_equal(test_ready(b.lun), HBA_GOOD);
	for (unsigned i = 1; i < 40; i++) {
		struct io io = { .bytes = i * TEST_BLOCK, .n = 2, .write = i % 2 };
		struct hba_task *t = get(&b, io.bytes);

		/* A write moves this, a read the contents of before. */
		memset(b.heap, (int)i, 100);
		memset(b.mapped, (int)i, io.bytes - 100);
		io.iov[0] = (struct iovec) { b.heap, 100 };
		io.iov[1] = (struct iovec) { b.mapped, io.bytes - 100 };
		write_command(t, &io, 10);
		assert_int_equal(submit(t, &io), 0);
		test_wait(b.r.c, &io.t, 1);
		assert_int_equal(io.t.last.bytes, io.bytes);
		for (unsigned k = 0; k < 100; k++)
			assert_int_equal(b.heap[k], b.r.d->targets[0].medium[k]);
		assert_memory_equal(b.mapped, b.r.d->targets[0].medium + 100, io.bytes - 100);
	}
	assert_in_range(b.r.stages, 40, 120);
	down(&b);
}

static bool is_refused(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	struct rig *r = d->of_test;
	unsigned n = 77;

	(void)q;
	r->wrong += t->length && (hba_task_data(t, &n) || n);
	return false;
}

static void task_data_for_the_cpu(void **state)
{
	static const struct shape cpu = { "CPU", CPU_LIMITS, 4, 3000, 1, 64, 0, 0 };
	static const struct shape both = {
		"DMA, for the CPU too", FOR_CPU_TOO, 4, 4096, 1, 64, 0, 0
	};
	static const struct shape dma = { "DMA", 0, 4, 4096, 1, 64, 0, 0 };
	struct bench b;
	struct io io = { .bytes = TEST_BLOCK, .n = 1 };

	(void)state;
	look_through(&cpu, looks_at_its_data);
	look_through(&both, looks_at_both);
	up(&b, &dma);
	b.r.d->process = is_refused;
	io.iov[0] = (struct iovec) { b.mapped, io.bytes };
	struct hba_task *t = get(&b, 0);

	write_command(t, &io, 10);
	assert_int_equal(submit(t, &io), 0);
	test_wait(b.r.c, &io.t, 1);
	test_violation(
		b.r.c,
		"driver test, process_task: hba_task_data: the report has no wants_task_data");
	rig_down(&b.r);
	free(b.heap);
}

/* ---- stages */

static const struct shape staged = { "staged", 0, 1, 4096, 1, 64, 0, 0 };

static void in_stages(struct bench *b, uint64_t block, uint64_t blocks, unsigned size,
		      unsigned stages)
{
	struct io io = { .block = block,
			 .bytes = blocks * TEST_BLOCK,
			 .n = 1,
			 .iov = { { b->mapped, blocks * TEST_BLOCK } } };
	struct hba_task *t = get(b, 0);

	fill_or_spoil(&io);
	write_command(t, &io, size);
	b->r.n_log = 0;
	assert_int_equal(submit(t, &io), 0);
	finish_one(b, &io);
	assert_int_equal(rig_clients(&b->r), stages);
}

static void each_stage_has_its_command(void **state)
{
	static const struct {
		uint8_t size, opcode;
	} sizes[] = {
		{ 6, READ_6_OP }, { 10, READ_10_OP }, { 12, READ_12_OP }, { 16, READ_16_OP }
	};
	struct bench b;

	(void)state;
	up(&b, &staged);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		in_stages(&b, 1000, 60, sizes[i].size, 8);
		for (unsigned k = 0; k < b.r.n_log; k++) {
			assert_int_equal(b.r.log[k].opcode, sizes[i].opcode);
			assert_int_equal(b.r.log[k].cdb_len, sizes[i].size);
			assert_int_equal(b.r.log[k].length, k < 7 ? 4096 : 4 * TEST_BLOCK);
		}
	}
	/* READ(6)'s count of 0 is 256 blocks. */
	in_stages(&b, 5, 256, 6, 32);
	down(&b);
}

/* A stage begins beyond what the client's CDB can name: it gets one that can. */
/* Although its segments could carry four times as much. */
static void a_transfer_limit_cuts_stages(void **state)
{
	static const struct shape limited = { "2048 bytes a transfer", 0, 4, 2048, 1, 64, 0, 2048 };
	struct bench b;

	(void)state;
	up(&b, &limited);
	in_stages(&b, 100, 16, 10, 4);
	for (unsigned k = 0; k < b.r.n_log; k++)
		assert_int_equal(b.r.log[k].length, 2048);
	down(&b);
}

static void a_stage_may_need_a_larger_command(void **state)
{
	struct bench b;

	(void)state;
	up(&b, &staged);
	in_stages(&b, (1 << 21) - 8, 24, 6, 3);
	assert_int_equal(b.r.log[0].opcode, READ_6_OP);
	assert_int_equal(b.r.log[1].opcode, READ_10_OP);
	in_stages(&b, UINT32_MAX - 7, 24, 10, 3);
	assert_int_equal(b.r.log[0].opcode, READ_10_OP);
	assert_int_equal(b.r.log[1].opcode, READ_16_OP);
	in_stages(&b, UINT32_MAX - 7, 24, 12, 3);
	assert_int_equal(b.r.log[2].opcode, READ_16_OP);
	down(&b);
}

static void odd_end(struct bench *b, enum hba_outcome outcome, uint64_t bytes)
{
	struct io io = { .block = 9,
			 .bytes = 64 * TEST_BLOCK,
			 .n = 1,
			 .iov = { { b->heap, 64 * TEST_BLOCK } } };
	struct hba_task *t = get(b, io.bytes);

	fill_or_spoil(&io);
	write_command(t, &io, 10);
	assert_int_equal(submit(t, &io), 0);
	test_wait(b->r.c, &io.t, 1);
	assert_int_equal(io.t.last.outcome, outcome);
	assert_int_equal(io.t.last.bytes, bytes);
	/* What has come is home; what has not is untouched. */
	for (uint64_t i = 0; i < io.bytes; i++)
		assert_int_equal(b->heap[i], i < bytes ? rig_byte(9 * TEST_BLOCK + i)
						       : (uint8_t)~rig_byte(9 * TEST_BLOCK + i));
}

static void a_short_stage_is_the_end(void **state)
{
	struct bench b;

	(void)state;
	up(&b, &staged);
	b.r.short_stage = 3;
	b.r.short_bytes = 1000;
	odd_end(&b, HBA_GOOD, 2 * 4096 + 1000);
	assert_int_equal(b.r.stages, 3);
	b.r.stages = 0;
	b.r.short_stage = 1;
	b.r.short_bytes = 0;
	odd_end(&b, HBA_GOOD, 0);
	assert_int_equal(b.r.stages, 1);
	down(&b);
}

static void an_error_in_a_later_stage(void **state)
{
	struct bench b;

	(void)state;
	up(&b, &staged);
	b.r.bad_stage = 5;
	odd_end(&b, HBA_CHECK_CONDITION, 4 * 4096);
	assert_int_equal(b.r.stages, 5);
	down(&b);
}

/* Each stage may have its own 30 seconds of BUSY: what went well before is no refusal. */
static void each_stage_has_its_tries(void **state)
{
	struct io io = { .block = 9, .bytes = 24 * TEST_BLOCK, .n = 1 };
	struct hba_task *t;
	struct bench b;

	(void)state;
	up(&b, &staged);
	io.iov[0] = (struct iovec) { b.mapped, io.bytes };
	fill_or_spoil(&io);
	t = get(&b, 0);
	write_command(t, &io, 10);
	rig_say(&b.r, (struct rig_answer) { .key = UNIT_ATTENTION_KEY, .asc = 0x29 }, 6);
	rig_say(&b.r, (struct rig_answer) { .outcome = HBA_GOOD, .bytes = 4096 }, 1);
	rig_say(&b.r, (struct rig_answer) { .key = UNIT_ATTENTION_KEY, .asc = 0x29 }, 6);
	assert_int_equal(submit(t, &io), 0);
	test_wait(b.r.c, &io.t, 1);
	assert_int_equal(io.t.last.outcome, HBA_GOOD);
	assert_int_equal(io.t.last.bytes, io.bytes);
	down(&b);
}

/* ---- what cannot be split */

struct asked {
	struct hba_management m;
	const struct test_io *victim;
	unsigned done_before, answers;
	enum hba_service_response response;
};

static void answered(struct hba_management *m, enum hba_service_response response)
{
	struct asked *a = container_of(m, struct asked, m);

	a->done_before = a->victim->done;
	a->response = response;
	a->answers++;
}

/*
 * The stage that is out comes back by itself before the function has its turn: no other stage goes.
 */
static void an_abort_ends_it_between_its_stages(void **state)
{
	struct io io = { .block = 9, .bytes = 64 * TEST_BLOCK, .n = 1 };
	struct asked a = { .m = { .function = HBA_ABORT_TASK, .done = answered }, .victim = &io.t };
	struct hba_task *t;
	struct bench b;

	(void)state;
	up(&b, &staged);
	io.iov[0] = (struct iovec) { b.heap, io.bytes };
	t = get(&b, io.bytes);
	write_command(t, &io, 10);
	b.r.d->hold = true;
	assert_int_equal(submit(t, &io), 0);
	test_turns(b.r.c, 2);
	assert_int_equal(b.r.d->n_held, 1);
	a.m.lun = b.lun;
	a.m.victim = t;
	assert_int_equal(hba_manage(&a.m), 0);
	b.r.d->release = 1;
	for (unsigned i = 0; i < 20 && !a.answers; i++)
		test_turns(b.r.c, 1);
	assert_int_equal(a.answers, 1);
	assert_int_equal(a.response, HBA_FUNCTION_COMPLETE);
	assert_int_equal(a.done_before, 1);
	assert_int_equal(io.t.last.outcome, HBA_NOT_DELIVERED);
	assert_int_equal(b.r.d->n_functions, 0);
	test_no_violation(b.r.c);
	down(&b);
}

static void what_does_not_split_is_refused(void **state)
{
	struct hba_task *t;
	struct bench b;

	(void)state;
	up(&b, &staged);
	t = get(&b, 8192);
	t->cdb[0] = INQUIRY_OP;
	t->cdb[3] = 8192 >> 8;
	t->cdb_len = 6;
	t->direction = HBA_FROM_TARGET;
	t->length = 8192;
	t->data.buffer = b.mapped;
	assert_int_equal(hba_submit(t, test_done, NULL), -EMSGSIZE);
	assert_ptr_equal(t->data.buffer, b.mapped);
	assert_int_equal(t->length, 8192);
	/* Within the limits it goes, in one. */
	struct test_io io = { .put = true };

	t->cdb[3] = 0;
	t->cdb[4] = INQUIRY_BYTES;
	t->length = INQUIRY_BYTES;
	assert_int_equal(hba_submit(t, test_done, &io), 0);
	test_wait(b.r.c, &io, 1);
	assert_int_equal(io.last.outcome, HBA_GOOD);
	down(&b);
}

/*
 * Blocks and bytes that contradict one another are the target's to judge, if they fit; they are
 * never cut up.
 */
static void a_read_whose_length_is_not_its_blocks(void **state)
{
	struct hba_task *t;
	struct bench b;

	(void)state;
	up(&b, &staged);
	t = get(&b, 0);
	test_fill_rw(t, false, 0, 16, b.mapped);
	t->length -= TEST_BLOCK;
	assert_int_equal(hba_submit(t, test_done, NULL), -EMSGSIZE);
	hba_task_put(t);
	down(&b);
}

static int narrow(struct hba_controller *c, struct hba_target *tgt, struct hba_target_report *r)
{
	(void)c;
	(void)tgt;
	r->max_transfer = 2048;
	return 0;
}

/* By a list that is longer than what the CDB says: what lies behind is neither read nor written. */
static void move_less_than_the_list(struct bench *b, bool write, uint16_t blocks, uint8_t *at)
{
	struct hba_task *t = get(b, 16 * TEST_BLOCK);
	struct io io = { .block = 5,
			 .bytes = 16 * TEST_BLOCK,
			 .n = 1,
			 .iov = { { at, 16 * TEST_BLOCK } },
			 .write = write };
	uint64_t written = b->r.written;

	fill_or_spoil(&io);
	write_command(t, &io, 10);
	t->cdb[7] = 0;
	t->cdb[8] = (uint8_t)blocks;
	assert_int_equal(submit(t, &io), 0);
	test_wait(b->r.c, &io.t, 1);
	assert_int_equal(io.t.last.outcome, HBA_GOOD);
	assert_int_equal(io.t.last.bytes, blocks * (uint64_t)TEST_BLOCK);
	assert_int_equal(b->r.written - written, write ? blocks * (uint64_t)TEST_BLOCK : 0);
	for (uint64_t i = 0; i < io.bytes && !write; i++)
		assert_int_equal(at[i], i < blocks * (uint64_t)TEST_BLOCK
						? rig_byte(5 * TEST_BLOCK + i)
						: (uint8_t)~rig_byte(5 * TEST_BLOCK + i));
}

static void a_device_gets_no_more_room_than_the_cdb_asks_for(void **state)
{
	struct bench b;

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		up(&b, k ? &staged : &shapes[0]);
		for (uint16_t blocks = 0; blocks <= 16; blocks++) {
			move_less_than_the_list(&b, blocks % 2, blocks, b.mapped + 1);
			move_less_than_the_list(&b, !(blocks % 2), blocks, b.heap);
		}
		test_no_violation(b.r.c);
		down(&b);
	}
}

/*
 * A device that says GOOD, and more bytes than it has written, shows nobody what was in the slice
 * before.
 */
static void a_slice_keeps_nothing_of_others(void **state)
{
	struct io io = { .block = 9, .bytes = 8 * TEST_BLOCK, .n = 1 };
	uint8_t answer[INQUIRY_BYTES];
	struct test_io inquiry = { .put = true };
	struct hba_task *t;
	struct bench b;

	(void)state;
	up(&b, &shapes[0]);
	io.iov[0] = (struct iovec) { b.heap, io.bytes };
	one_read(&b, b.heap, io.bytes, io.bytes, 0);
	t = get(&b, sizeof(answer));
	t->cdb[0] = 0xc0; /* a vendor's */
	t->cdb_len = 10;
	t->direction = HBA_FROM_TARGET;
	t->length = sizeof(answer);
	t->data.buffer = answer;
	memset(answer, 0xee, sizeof(answer));
	rig_say(&b.r, (struct rig_answer) { .outcome = HBA_GOOD, .bytes = sizeof(answer) }, 1);
	assert_int_equal(hba_submit(t, test_done, &inquiry), 0);
	test_wait(b.r.c, &inquiry, 1);
	assert_int_equal(inquiry.last.bytes, sizeof(answer));
	for (size_t i = 0; i < sizeof(answer); i++)
		assert_int_equal(answer[i], 0);
	down(&b);
}

static void a_target_may_take_less(void **state)
{
	static const struct shape limited = { "limited", 0, 16, 65536, 1, 64, 0, 65536 };
	struct bench b;

	(void)state;
	memset(&b, 0, sizeof(b));
	shape = &limited;
	rig_init(&b.r);
	b.r.d->table.initialize_target = narrow;
	b.r.report = report;
	b.r.disk = true;
	b.r.d->targets[0].blocks = 1 << 20;
	rig_up(&b.r);
	b.lun = hba_lun_find(b.r.c, 0, 0);
	assert_non_null(b.lun);
	assert_int_equal(hba_mapping_create(b.r.c, HBA_DEVICE_BOTH, MAPPED_BYTES, 0, &b.map), 0);
	b.mapped = hba_mapping_address(b.map);
	in_stages(&b, 3, 16, 10, 4);
	for (unsigned i = 0; i < b.r.n_log; i++)
		assert_int_equal(b.r.log[i].length, 2048);
	assert_int_equal(hba_mapping_release(b.map), 0);
	rig_down(&b.r);
}

/* ---- lists that cannot be */

static void wrong_lists_are_refused(void **state)
{
	static const struct shape wide = { "wide", 0, 16, 65536, 1, 64, 0, 0 };
	struct hba_piece p;
	struct hba_task *t;
	struct bench b;

	(void)state;
	up(&b, &wide);
	p = (struct hba_piece) { hba_mapping_region(b.map), TEST_BLOCK,
				 MAPPED_BYTES - TEST_BLOCK + 1 };
	t = get(&b, 0);
	test_fill_rw(t, false, 0, 1, NULL);
	assert_int_equal(hba_submit(t, test_done, NULL), -EINVAL);
	t->mode = HBA_DATA_REGION;
	t->data.pieces = &p;
	t->n_data = 1;
	assert_int_equal(hba_submit(t, test_done, NULL), -EACCES);
	p.offset = UINT64_MAX;
	assert_int_equal(hba_submit(t, test_done, NULL), -EACCES);
	p = (struct hba_piece) { hba_mapping_region(b.map) + 1000, TEST_BLOCK, 0 };
	assert_int_equal(hba_submit(t, test_done, NULL), -EINVAL);
	p.region = 0;
	assert_int_equal(hba_submit(t, test_done, NULL), -EINVAL);
	p.region = UINT32_MAX;
	assert_int_equal(hba_submit(t, test_done, NULL), -EINVAL);
	p = (struct hba_piece) { hba_mapping_region(b.map), TEST_BLOCK - 1, 0 };
	assert_int_equal(hba_submit(t, test_done, NULL), -EINVAL);
	p.length = 0;
	assert_int_equal(hba_submit(t, test_done, NULL), -EINVAL);
	hba_task_put(t);
	down(&b);
}

/* ---- a GiB */

enum { GIB = 1 << 30, RUN = 64 * 1024 };

/*
 * In pieces from 1 byte on, half of it where the device cannot reach. Nothing of it is kept: the
 * pieces share their memory.
 */
static void up_to_a_gib(struct bench *b, bool write)
{
	uint64_t blocks = GIB / TEST_BLOCK, at = 0, n_pieces = 0, room = 200000;
	struct iovec *iov = calloc(room, sizeof(*iov));
	uint8_t *memory = malloc(GIB);
	struct io io = { .block = 1, .bytes = GIB, .write = write };
	struct hba_task *t = get(b, GIB);

	assert_true(iov && memory);
	while (at < GIB) {
		uint64_t length = 1 + rig_random(&b->random, 2 * RUN);

		length = length > GIB - at || n_pieces == room - 1 ? GIB - at : length;
		iov[n_pieces++] = (struct iovec) { memory + at, length };
		at += length;
	}
	for (uint64_t i = 0; i < GIB; i++)
		memory[i] = write ? rig_byte(TEST_BLOCK + i) : 0;
	write_command(t, &io, 16);
	assert_int_equal(blocks * TEST_BLOCK, t->length);
	t->data.iov = iov;
	t->n_data = (uint32_t)n_pieces;
	io.t.put = true;
	assert_int_equal(hba_submit(t, test_done, &io.t), 0);
	test_wait(b->r.c, &io.t, 1);
	assert_int_equal(io.t.last.outcome, HBA_GOOD);
	assert_int_equal(io.t.last.bytes, GIB);
	for (uint64_t i = 0; !write && i < GIB; i++)
		if (memory[i] != rig_byte(TEST_BLOCK + i))
			fail_msg("byte %llu is wrong", (unsigned long long)i);
	free(memory);
	free(iov);
}

static void a_gib_in_one_task(void **state)
{
	static const struct shape odd = { "odd", 0, 17, 65536, 1, 64, 1 << 20, 0 };
	struct bench b;

	(void)state;
	up(&b, &odd);
	up_to_a_gib(&b, false);
	up_to_a_gib(&b, true);
	assert_int_equal(b.r.written, GIB);
	down(&b);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_become_segments_within_limits),
		cmocka_unit_test(misaligned_pieces_are_bounced),
		cmocka_unit_test(pieces_above_the_limit_are_bounced),
		cmocka_unit_test(pieces_over_several_slabs),
		cmocka_unit_test(the_end_of_a_mapping),
		cmocka_unit_test(bounce_space_is_reserved_at_admission),
		cmocka_unit_test(task_data_for_the_cpu),
		cmocka_unit_test(each_stage_has_its_command),
		cmocka_unit_test(a_transfer_limit_cuts_stages),
		cmocka_unit_test(a_stage_may_need_a_larger_command),
		cmocka_unit_test(a_short_stage_is_the_end),
		cmocka_unit_test(an_error_in_a_later_stage),
		cmocka_unit_test(each_stage_has_its_tries),
		cmocka_unit_test(an_abort_ends_it_between_its_stages),
		cmocka_unit_test(what_does_not_split_is_refused),
		cmocka_unit_test(a_read_whose_length_is_not_its_blocks),
		cmocka_unit_test(a_device_gets_no_more_room_than_the_cdb_asks_for),
		cmocka_unit_test(a_slice_keeps_nothing_of_others),
		cmocka_unit_test(a_target_may_take_less),
		cmocka_unit_test(wrong_lists_are_refused),
	};
	const struct CMUnitTest longer[] = {
		cmocka_unit_test(a_gib_in_one_task),
	};

	if (argc > 1 && strcmp(argv[1], "long") == 0)
		return cmocka_run_group_tests_name("core: data, long", longer, NULL, NULL);
	return cmocka_run_group_tests_name("core: data", tests, NULL, NULL);
}
