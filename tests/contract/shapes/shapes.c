/* SPDX-License-Identifier: MIT */
/*
 * shapes.c: random extents through random lists of memory, against a shadow, byte for byte, on a
 * controller of any shape.
 *
 *	shapes URI [OPERATIONS]          many at once, then everything is read once more
 *	shapes --large URI BYTES         one WRITE and one READ of so many bytes, from each kind
 *	                                 of memory
 *
 * Memory is cut into pieces from one byte up, at odd addresses, in the controller's mappings and
 * outside. What lies between the pieces is looked at as well: a device that writes there has hurt
 * somebody. Whatever the controller cannot take at once the framework has to make fit; so every
 * operation must succeed, whatever the shape.
 *
 * The numbers come from a fixed seed (HBAKIT_SEED has another), which is printed if anything fails.
 */
#include <assert.h>
#include <hbakit/driver.h>
#include <hbakit/hbakit.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	SLOTS = 32,
	UNITS = 8,
	PIECES = 48,
	MOST_BYTES = 1 << 20,
	MOST_GAP = 67, /* an odd number, longer than a cache line */
	PAGE = 4096,
	MEMORY_BYTES = MOST_BYTES + PAGE, /* and all gaps */
	SHADOW_BYTES = 4 << 20,           /* of a unit, from its beginning */
	BUDGET = 64,
	WAIT_MS = 60 * 1000,
	DEFAULT_OPERATIONS = 1500,
	POISON = 0xa5,
	LARGE_PIECES = 5,
};

static_assert((PIECES + 1) * MOST_GAP <= PAGE, "the gaps fit");

enum memory_kind { FOREIGN, MAPPED, MIXED, MEMORY_KINDS };

struct unit {
	struct hba_lun *lun;
	uint32_t block_bytes;
	uint64_t blocks; /* that are used here */
	uint8_t *shadow;
};

/* A piece of a list, and where it lies. */
struct piece {
	uint8_t *at;
	size_t length;
	bool mapped;
};

struct slot {
	struct run *run;
	struct unit *unit;
	bool busy, writing;
	uint64_t block, count;
	struct hba_mapping *mapping;
	uint8_t *foreign; /* MEMORY_BYTES outside every mapping */
	struct piece pieces[PIECES];
	unsigned n;
	enum hba_data_mode mode;
	bool whole, bounced;
	struct iovec iov[PIECES];
	struct hba_piece regions[PIECES];
	struct hba_waiter waiter;
};

struct run {
	const char *uri;
	struct hba_controller *c;
	uint32_t random;
	uint64_t seed, operations, done, bytes;
	unsigned out;
	struct unit units[UNITS];
	unsigned n_units;
	struct slot slots[SLOTS];
};

/* ---- words and numbers */

__attribute__((format(printf, 2, 3), noreturn)) static void die(const struct run *run,
								const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s (HBAKIT_SEED=%llu): ", run->uri, (unsigned long long)run->seed);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static void print_log(enum hba_log_level level, const char *line, void *arg)
{
	(void)level;
	(void)arg;
	fprintf(stderr, "%s\n", line);
}

/* xorshift32: the same numbers on every machine. Below `n`. */
static uint32_t draw(struct run *run, uint32_t n)
{
	run->random ^= run->random << 13;
	run->random ^= run->random >> 17;
	run->random ^= run->random << 5;
	return run->random % n;
}

/* 1..most, small numbers as often as large ones. */
static uint32_t draw_size(struct run *run, uint32_t most)
{
	uint32_t limit = most >> draw(run, 32 - (uint32_t)__builtin_clz(most));

	return 1 + draw(run, limit ? limit : 1);
}

static void fill_random(struct run *run, uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(draw(run, UINT32_MAX) >> 11);
}

/* ---- one turn of a loop that sleeps when there is nothing to do */

static void turn(struct run *run)
{
	struct pollfd fd = { .fd = hba_controller_fd(run->c), .events = POLLIN };
	int n = hba_controller_run(run->c, BUDGET);

	if (n < 0)
		die(run, "run: %s", hba_error());
	if (n > 0 || hba_controller_arm(run->c) != 0)
		return;
	if (poll(&fd, 1, WAIT_MS) == 0)
		die(run, "nothing has happened for %d ms, and %u tasks are out", WAIT_MS, run->out);
}

/* ---- commands */

static void put_be(uint8_t *to, unsigned bytes, uint64_t value)
{
	for (unsigned i = bytes; i-- > 0; value >>= 8)
		to[i] = (uint8_t)value;
}

enum {
	READ_6 = 0x08,
	WRITE_6 = 0x0a,
	READ_10 = 0x28,
	WRITE_10 = 0x2a,
	READ_16 = 0x88,
	WRITE_16 = 0x8a
};
enum { MOST_BLOCKS_6 = 255, LAST_BLOCK_6 = (1 << 21) - 1, MOST_BLOCKS_10 = 65535 };

static void write_cdb(struct hba_task *t, unsigned size, bool writing, uint64_t block,
		      uint64_t count)
{
	t->cdb_len = (uint8_t)size;
	switch (size) {
	case 6:
		t->cdb[0] = writing ? WRITE_6 : READ_6;
		put_be(t->cdb + 1, 3, block);
		t->cdb[4] = (uint8_t)count;
		break;
	case 10:
		t->cdb[0] = writing ? WRITE_10 : READ_10;
		put_be(t->cdb + 2, 4, block);
		put_be(t->cdb + 7, 2, count);
		break;
	default:
		t->cdb[0] = writing ? WRITE_16 : READ_16;
		put_be(t->cdb + 2, 8, block);
		put_be(t->cdb + 10, 4, count);
	}
}

/* Any size that the controller takes and the extent fits. */
static unsigned choose_cdb(struct run *run, uint64_t block, uint64_t count)
{
	uint64_t most = hba_controller_report(run->c)->max_cdb;

	if (draw(run, 3) == 0 && block <= LAST_BLOCK_6 && count <= MOST_BLOCKS_6)
		return 6;
	return count <= MOST_BLOCKS_10 && block <= UINT32_MAX && (most < 16 || draw(run, 2)) ? 10
											     : 16;
}

/* ---- memory */

static bool in_mapping(struct run *run, enum memory_kind kind)
{
	return kind == MAPPED || (kind == MIXED && draw(run, 2));
}

/* A list that every controller takes as it is: whole pages on pages. */
static void cut_clean(struct slot *s, size_t bytes)
{
	s->pieces[0] = (struct piece) { hba_mapping_address(s->mapping), bytes, true };
	s->n = 1;
}

/*
 * One behind the other with gaps between, in both memories at the same places, so that they never
 * overlap.
 */
static void cut(struct slot *s, size_t bytes, enum memory_kind kind)
{
	struct run *run = s->run;
	size_t at = draw(run, MOST_GAP), rest = bytes;

	for (s->n = 0; rest > 0; s->n++) {
		bool mapped = in_mapping(run, kind);
		uint8_t *memory = mapped ? hba_mapping_address(s->mapping) : s->foreign;
		size_t length = s->n == PIECES - 1 ? rest : draw_size(run, (uint32_t)rest);

		s->pieces[s->n] = (struct piece) { memory + at, length, mapped };
		at += length + draw(run, MOST_GAP);
		rest -= length;
	}
}

static void choose_memory(struct slot *s, size_t bytes)
{
	struct run *run = s->run;
	enum memory_kind kind = (enum memory_kind)draw(run, MEMORY_KINDS);
	bool clean = draw(run, 4) == 0;

	if (clean)
		cut_clean(s, bytes);
	else
		cut(s, bytes, kind);
	/* Mapped, but at odd addresses, it may need the bounce space all the same. */
	s->bounced = !clean;
	s->whole = s->n == 1 && draw(run, 2);
	s->mode = !s->whole && (clean || kind == MAPPED) && draw(run, 2) ? HBA_DATA_REGION
									 : HBA_DATA_CPU;
}

static void write_list(struct slot *s, struct hba_task *t)
{
	t->mode = (uint8_t)s->mode;
	t->n_data = s->whole ? 0 : s->n;
	if (s->whole) {
		t->data.buffer = s->pieces[0].at;
		return;
	}
	for (unsigned i = 0; i < s->n; i++) {
		struct piece *p = &s->pieces[i];

		if (s->mode == HBA_DATA_CPU)
			s->iov[i] = (struct iovec) { p->at, p->length };
		else
			s->regions[i] = (struct hba_piece) {
				.region = hba_mapping_region(s->mapping),
				.offset = (uint64_t)(p->at -
						     (uint8_t *)hba_mapping_address(s->mapping)),
				.length = (uint32_t)p->length
			};
	}
	if (s->mode == HBA_DATA_CPU)
		t->data.iov = s->iov;
	else
		t->data.pieces = s->regions;
}

static void poison(struct slot *s)
{
	memset(s->foreign, POISON, MEMORY_BYTES);
	memset(hba_mapping_address(s->mapping), POISON, MEMORY_BYTES);
}

static void scatter(struct slot *s, const uint8_t *from)
{
	for (unsigned i = 0; i < s->n; from += s->pieces[i++].length)
		memcpy(s->pieces[i].at, from, s->pieces[i].length);
}

static void compare(const struct slot *s, const uint8_t *with)
{
	for (unsigned i = 0; i < s->n; with += s->pieces[i++].length)
		if (memcmp(s->pieces[i].at, with, s->pieces[i].length) != 0)
			die(s->run,
			    "%s of blocks %llu + %llu: piece %u of %u, %zu bytes%s, is not what it "
			    "should be",
			    s->writing ? "write" : "read", (unsigned long long)s->block,
			    (unsigned long long)s->count, i, s->n, s->pieces[i].length,
			    s->pieces[i].mapped ? " in a mapping" : "");
}

/* memcmp with itself, one byte on: all are as the first. */
static bool is_poison(const uint8_t *bytes, size_t n)
{
	return n == 0 || (bytes[0] == POISON && memcmp(bytes, bytes + 1, n - 1) == 0);
}

static void compare_poison(const struct slot *s, const uint8_t *memory, bool mapped)
{
	const uint8_t *at = memory;

	for (unsigned i = 0; i <= s->n; i++) {
		const uint8_t *end = i == s->n ? memory + MEMORY_BYTES : s->pieces[i].at;

		if (i < s->n && s->pieces[i].mapped != mapped)
			continue;
		if (!is_poison(at, (size_t)(end - at)))
			die(s->run,
			    "%s of blocks %llu + %llu: a byte outside the list was written, before "
			    "piece %u of %u",
			    s->writing ? "write" : "read", (unsigned long long)s->block,
			    (unsigned long long)s->count, i, s->n);
		if (i < s->n)
			at = end + s->pieces[i].length;
	}
}

/* ---- one operation */

static uint8_t *shadow_of(const struct slot *s)
{
	return s->unit->shadow + s->block * s->unit->block_bytes;
}

static size_t bytes_of(const struct slot *s)
{
	return s->count * s->unit->block_bytes;
}

/* The task is as it was given: the framework's stages are its own affair. */
static void check_as_given(const struct slot *s, const struct hba_task *t)
{
	const void *list = s->whole                  ? (const void *)s->pieces[0].at
			   : s->mode == HBA_DATA_CPU ? (const void *)s->iov
						     : (const void *)s->regions;

	if (t->length != bytes_of(s) || t->n_data != (s->whole ? 0 : s->n) || t->mode != s->mode ||
	    t->data.buffer != list)
		die(s->run,
		    "a task comes back with another list, length or mode than it was sent with");
}

static void operation_done(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct slot *s = arg;

	if (r->outcome != HBA_GOOD || r->bytes != bytes_of(s))
		die(s->run,
		    "%s of blocks %llu + %llu in %u pieces ends with outcome %#x, %llu of %zu "
		    "bytes, sense %02x/%02x/%02x",
		    s->writing ? "write" : "read", (unsigned long long)s->block,
		    (unsigned long long)s->count, s->n, r->outcome, (unsigned long long)r->bytes,
		    bytes_of(s), r->sense_len > 13 ? ((const uint8_t *)r->sense)[2] : 0,
		    r->sense_len > 13 ? ((const uint8_t *)r->sense)[12] : 0,
		    r->sense_len > 13 ? ((const uint8_t *)r->sense)[13] : 0);
	check_as_given(s, t);
	compare(s, shadow_of(s));
	compare_poison(s, s->foreign, false);
	compare_poison(s, hba_mapping_address(s->mapping), true);
	s->run->bytes += r->bytes;
	s->run->out--;
	s->run->done++;
	s->busy = false;
	hba_task_put(t);
}

static void send(struct slot *s, struct hba_task *t)
{
	write_cdb(t, choose_cdb(s->run, s->block, s->count), s->writing, s->block, s->count);
	t->direction = s->writing ? HBA_TO_TARGET : HBA_FROM_TARGET;
	t->length = bytes_of(s);
	write_list(s, t);
	if (hba_submit(t, operation_done, s) < 0)
		die(s->run, "%s of blocks %llu + %llu in %u pieces is refused: %s",
		    s->writing ? "write" : "read", (unsigned long long)s->block,
		    (unsigned long long)s->count, s->n, hba_error());
}

static void task_came(struct hba_waiter *w, struct hba_task *t)
{
	struct slot *s = (struct slot *)(void *)((char *)w - offsetof(struct slot, waiter));

	if (!t)
		die(s->run, "a waiter is told that no task will ever come");
	send(s, t);
}

static bool collides(const struct slot *a, const struct slot *b)
{
	return a != b && b->busy && a->unit == b->unit && (a->writing || b->writing) &&
	       a->block < b->block + b->count && b->block < a->block + a->count;
}

static bool extent_is_free(const struct slot *s)
{
	for (unsigned i = 0; i < SLOTS; i++)
		if (collides(s, &s->run->slots[i]))
			return false;
	return true;
}

static void choose_extent(struct slot *s)
{
	struct run *run = s->run;
	uint64_t most;

	s->unit = &run->units[draw(run, run->n_units)];
	s->writing = draw(run, 2);
	s->block = draw(run, (uint32_t)s->unit->blocks);
	most = s->unit->blocks - s->block;
	if (most > MOST_BYTES / s->unit->block_bytes)
		most = MOST_BYTES / s->unit->block_bytes;
	s->count = draw_size(run, (uint32_t)most);
}

static void begin(struct slot *s)
{
	struct hba_task *t;
	int r;

	poison(s);
	choose_memory(s, bytes_of(s));
	if (s->writing) {
		fill_random(s->run, shadow_of(s), bytes_of(s));
		scatter(s, shadow_of(s));
	}
	s->busy = true;
	s->run->out++;
	memset(&s->waiter, 0, sizeof(s->waiter));
	s->waiter.ready = task_came;
	r = hba_task_get(s->unit->lun, s->bounced ? bytes_of(s) : 0, &s->waiter, &t);
	if (r < 0)
		die(s->run, "no task: %s", hba_error());
	if (r == 0)
		send(s, t);
}

static void begin_some(struct run *run, uint64_t *begun)
{
	for (unsigned i = 0; i < SLOTS && *begun < run->operations; i++) {
		struct slot *s = &run->slots[i];

		if (s->busy)
			continue;
		choose_extent(s);
		if (!extent_is_free(s))
			continue;
		begin(s);
		++*begun;
	}
}

/* ---- everything once more */

static void read_back(struct run *run, struct unit *unit)
{
	struct slot *s = &run->slots[0];
	uint64_t step = MOST_BYTES / unit->block_bytes;

	s->unit = unit;
	s->writing = false;
	for (s->block = 0; s->block < unit->blocks; s->block += s->count) {
		s->count = unit->blocks - s->block < step ? unit->blocks - s->block : step;
		begin(s);
		while (s->busy)
			turn(run);
	}
}

/* ---- setting up */

static void add_unit(struct run *run, struct hba_lun *lun)
{
	struct unit *u = &run->units[run->n_units];
	struct hba_lun_info info;

	hba_lun_get_info(lun, &info);
	if (!info.block_bytes || !info.blocks)
		die(run, "target %llu, unit %llu has no size", (unsigned long long)info.target,
		    (unsigned long long)info.number);
	u->lun = lun;
	u->block_bytes = info.block_bytes;
	u->blocks = info.blocks < SHADOW_BYTES / info.block_bytes ? info.blocks
								  : SHADOW_BYTES / info.block_bytes;
	u->shadow = calloc(u->blocks, u->block_bytes);
	if (!u->shadow)
		die(run, "no memory for a shadow");
	run->n_units++;
}

static unsigned count_units(const struct run *run)
{
	struct hba_lun *lun = NULL;
	unsigned n = 0;

	while ((lun = hba_lun_next(run->c, lun)))
		n++;
	return n;
}

/* Spread over all there are, the first and the last among them. */
static void choose_units(struct run *run)
{
	unsigned n = count_units(run), i = 0, used = n < UNITS ? n : UNITS;

	if (!n)
		die(run, "there is no unit");
	for (struct hba_lun *lun = hba_lun_next(run->c, NULL); lun;
	     lun = hba_lun_next(run->c, lun), i++)
		if (used == 1 || i == run->n_units * (n - 1) / (used - 1))
			add_unit(run, lun);
	printf("%u units, %u of them used\n", n, run->n_units);
}

static void take_memory(struct run *run, struct slot *s)
{
	s->run = run;
	s->foreign = malloc(MEMORY_BYTES);
	if (!s->foreign ||
	    hba_mapping_create(run->c, HBA_DEVICE_BOTH, MEMORY_BYTES, PAGE, &s->mapping) < 0)
		die(run, "no memory for a slot: %s", hba_error());
}

static void open_run(struct run *run)
{
	struct hba_options options = { .size = sizeof(options),
				       .log = print_log,
				       .log_level = HBA_LOG_WARNING };
	const char *seed = getenv("HBAKIT_SEED");

	run->seed = seed ? strtoull(seed, NULL, 0) : 1;
	run->random = (uint32_t)(run->seed * 2654435769U) | 1;
	if (hba_controller_open(run->uri, &options, &run->c) < 0 ||
	    hba_controller_start(run->c) < 0)
		die(run, "%s", hba_error());
}

static void close_run(struct run *run)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		hba_mapping_release(run->slots[i].mapping);
		free(run->slots[i].foreign);
	}
	for (unsigned i = 0; i < run->n_units; i++)
		free(run->units[i].shadow);
	if (hba_controller_stop(run->c) < 0)
		die(run, "stop: %s", hba_error());
	hba_controller_close(run->c);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run_many(struct run *run)
{
	double began;
	uint64_t begun = 0;

	open_run(run);
	choose_units(run);
	for (unsigned i = 0; i < SLOTS; i++)
		take_memory(run, &run->slots[i]);
	began = seconds();
	while (run->done < run->operations) {
		begin_some(run, &begun);
		turn(run);
	}
	for (unsigned i = 0; i < run->n_units; i++)
		read_back(run, &run->units[i]);
	printf("%llu operations, %llu bytes, %.2f s\n", (unsigned long long)run->done,
	       (unsigned long long)run->bytes, seconds() - began);
	close_run(run);
}

/* ---- one that is very large */

struct large {
	bool ended;
	enum hba_outcome outcome;
	uint64_t bytes;
};

static void large_done(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct large *l = arg;

	*l = (struct large) { true, r->outcome, r->bytes };
	hba_task_put(t);
}

/* Cut so that no piece is whole blocks. */
static unsigned cut_large(uint8_t *memory, uint64_t bytes, struct iovec *iov)
{
	uint64_t piece = bytes / LARGE_PIECES - 1, at = 0;
	unsigned n;

	for (n = 0; n < LARGE_PIECES - 1; n++, at += piece)
		iov[n] = (struct iovec) { memory + at, piece };
	iov[n++] = (struct iovec) { memory + at, bytes - at };
	return n;
}

static void move_large(struct run *run, const struct unit *u, uint8_t *memory, uint64_t bytes,
		       bool writing)
{
	struct iovec iov[LARGE_PIECES];
	struct large l = { 0 };
	struct hba_task *t;

	if (hba_task_get(u->lun, bytes, NULL, &t) != 0)
		die(run, "no task for %llu bytes", (unsigned long long)bytes);
	write_cdb(t, 16, writing, 0, bytes / u->block_bytes);
	t->direction = writing ? HBA_TO_TARGET : HBA_FROM_TARGET;
	t->length = bytes;
	t->timeout_ms = WAIT_MS;
	t->n_data = cut_large(memory, bytes, iov);
	t->data.iov = iov;
	if (hba_submit(t, large_done, &l) < 0)
		die(run, "%llu bytes are refused: %s", (unsigned long long)bytes, hba_error());
	while (!l.ended)
		turn(run);
	if (l.outcome != HBA_GOOD || l.bytes != bytes)
		die(run, "%llu bytes end with outcome %#x after %llu bytes",
		    (unsigned long long)bytes, l.outcome, (unsigned long long)l.bytes);
}

/* Each word knows where it belongs. */
static void write_pattern(uint8_t *memory, uint64_t bytes, uint64_t salt)
{
	for (uint64_t at = 0; at < bytes; at += sizeof(at)) {
		uint64_t word = at ^ salt;

		memcpy(memory + at, &word, sizeof(word));
	}
}

static void check_pattern(const struct run *run, const uint8_t *memory, uint64_t bytes,
			  uint64_t salt)
{
	for (uint64_t at = 0; at < bytes; at += sizeof(at)) {
		uint64_t word;

		memcpy(&word, memory + at, sizeof(word));
		if (word != (at ^ salt))
			die(run, "of %llu bytes those at %llu are not what was written",
			    (unsigned long long)bytes, (unsigned long long)at);
	}
}

static void there_and_back(struct run *run, const struct unit *u, uint8_t *memory, uint64_t bytes,
			   uint64_t salt)
{
	write_pattern(memory, bytes, salt);
	move_large(run, u, memory, bytes, true);
	memset(memory, POISON, bytes);
	move_large(run, u, memory, bytes, false);
	check_pattern(run, memory, bytes, salt);
}

static void run_large(struct run *run, uint64_t bytes)
{
	enum { SALT_FOREIGN = 0x1111, SALT_MAPPED = 0x2222 };
	uint8_t *foreign = malloc(bytes);
	struct hba_mapping *mapping;
	double began;

	open_run(run);
	add_unit(run, hba_lun_next(run->c, NULL));
	if (!foreign || hba_mapping_create(run->c, HBA_DEVICE_BOTH, bytes, PAGE, &mapping) < 0)
		die(run, "no memory: %s", hba_error());
	began = seconds();
	there_and_back(run, &run->units[0], foreign, bytes, SALT_FOREIGN);
	there_and_back(run, &run->units[0], hba_mapping_address(mapping), bytes, SALT_MAPPED);
	printf("%llu bytes four times, %.2f s\n", (unsigned long long)bytes, seconds() - began);
	free(foreign);
	hba_mapping_release(mapping);
	close_run(run);
}

int main(int argc, char **argv)
{
	struct run *run = calloc(1, sizeof(*run));
	bool large = argc == 4 && strcmp(argv[1], "--large") == 0;

	if (!run || (!large && argc != 2 && argc != 3)) {
		fprintf(stderr, "usage: shapes URI [OPERATIONS] | shapes --large URI BYTES\n");
		return 2;
	}
	run->uri = argv[large ? 2 : 1];
	run->operations = argc == 3 ? strtoull(argv[2], NULL, 0) : DEFAULT_OPERATIONS;
	if (large)
		run_large(run, strtoull(argv[3], NULL, 0));
	else
		run_many(run);
	free(run);
	return 0;
}
