/* SPDX-License-Identifier: MIT */
/*
 * memory.c: buffers and mappings.
 *
 *	slab     a sealed memfd, mapped here once: one for many buffers of the driver, or for one of
 *	         a client; the device sees it in one range, or a client's in several
 *	buffer   a piece of a slab, as large as requested
 *	mapping  the buffer as the device and another process see it; its number is never used again
 *
 * A driver takes memory task by task, tens of thousands of pieces; a descriptor for each would
 * exhaust the process. So its pieces are carved one after another from slabs, which are freed all
 * at once after stop. Without a bus there is no device: an IOVA is then the address itself, so
 * memory for few address bits is placed low.
 */
#include "core/controller/controller.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, SLAB_BYTES = 2 << 20, MIN_PIECE = CACHE_LINE };

/*
 * The kernel keeps the first addresses free (vm.mmap_min_addr); from there on is looked, in steps.
 */
enum { LOWEST = 1 << 16, LOW_STEP = 1 << 20, POINTER_BITS = 47 };

struct slab {
	struct list link;
	int fd;
	uint64_t fd_offset;
	size_t length, used;
	uint8_t *address;
	unsigned buffers, bits;
	bool driver;
	size_t range_bytes; /* each range has so many, the last one what is left */
	unsigned n_ranges;
	struct hba_iova ranges[];
};

struct hba_buffer {
	struct list link;
	struct hba_controller *controller;
	struct slab *slab;
	size_t offset, length;
	unsigned mappings;
	bool driver, released;
};

void memory_init(struct memory *m)
{
	pthread_mutex_init(&m->lock, NULL);
	list_init(&m->slabs);
	list_init(&m->buffers);
	list_init(&m->mappings);
}

/* ---- slabs: under the lock */

static int slab_fd(size_t length, int *ret_fd)
{
	autoclose int fd = memfd_create("hbakit", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)length) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return -errno;
	*ret_fd = steal_fd(&fd);
	return 0;
}

static void *map_low(size_t length, int fd, uint64_t offset, unsigned bits)
{
	uint64_t end = UINT64_C(1) << bits;
	void *address;

	for (uint64_t at = LOWEST; at + length <= end; at += LOW_STEP) {
		address = mmap((void *)(uintptr_t)at, length, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_POPULATE | MAP_FIXED_NOREPLACE, fd, (off_t)offset);
		if (address != MAP_FAILED || errno != EEXIST)
			return address;
	}
	errno = ENOMEM;
	return MAP_FAILED;
}

static void *map_any(size_t length, int fd, uint64_t offset)
{
	return mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
		    (off_t)offset);
}

/* Below few address bits only a device of software looks at our own addresses. */
static void *map_slab(const struct hba_controller *c, size_t length, int fd, uint64_t offset,
		      unsigned bits)
{
	return bits < POINTER_BITS && !c->bus.table ? map_low(length, fd, offset, bits)
						    : map_any(length, fd, offset);
}

static size_t range_length(const struct slab *s, unsigned i)
{
	size_t before = i * s->range_bytes;

	return s->length - before < s->range_bytes ? s->length - before : s->range_bytes;
}

static void unmap_ranges(struct hba_controller *c, struct slab *s)
{
	while (s->n_ranges) {
		unsigned i = --s->n_ranges;

		iova_map_remove(&c->memory.spans, (uintptr_t)s->address + i * s->range_bytes);
		device_unmap(c, s->ranges[i], range_length(s, i));
	}
}

static int map_range(struct hba_controller *c, struct slab *s, unsigned i)
{
	size_t before = i * s->range_bytes, length = range_length(s, i);
	int r = device_map(c, s->fd, s->fd_offset + before, length, s->bits, s->address + before,
			   &s->ranges[i]);

	if (r < 0)
		return r;
	r = iova_map_add(&c->memory.spans, &(struct iova_range) { (uintptr_t)s->address + before,
								  length, s->ranges[i] });
	if (r < 0)
		device_unmap(c, s->ranges[i], length);
	return r;
}

static int map_ranges(struct hba_controller *c, struct slab *s, unsigned n)
{
	int r = 0;

	while (s->n_ranges < n && r == 0) {
		r = map_range(c, s, s->n_ranges);
		s->n_ranges += r == 0;
	}
	if (r < 0)
		unmap_ranges(c, s);
	return r;
}

/* Takes the descriptor over if it returns 0. */
static int slab_new(struct hba_controller *c, int fd, uint64_t fd_offset, size_t length,
		    unsigned bits, struct slab **ret_slab)
{
	size_t piece = device_piece(c), range = piece ? piece : length;
	unsigned n = (unsigned)divide_up(length, range);
	struct slab *s = calloc(1, sizeof(*s) + n * sizeof(s->ranges[0]));
	void *address;
	int r;

	if (!s)
		return -ENOMEM;
	address = map_slab(c, length, fd, fd_offset, bits);
	if (address == MAP_FAILED) {
		free(s);
		return -errno;
	}
	*s = (struct slab) { .fd = fd,
			     .fd_offset = fd_offset,
			     .length = length,
			     .address = address,
			     .bits = bits,
			     .range_bytes = range };
	list_append(&c->memory.slabs, &s->link);
	r = map_ranges(c, s, n);
	if (r < 0) {
		list_remove(&s->link);
		munmap(address, length);
		free(s);
		return r;
	}
	*ret_slab = s;
	return 0;
}

static void slab_free(struct hba_controller *c, struct slab *s)
{
	list_remove(&s->link);
	unmap_ranges(c, s);
	munmap(s->address, s->length);
	close(s->fd);
	free(s);
}

static int slab_create(struct hba_controller *c, size_t length, unsigned bits, bool driver,
		       struct slab **ret_slab)
{
	autoclose int fd = -1;
	uint64_t offset = 0;
	size_t piece = device_piece(c);
	int r;

	/*
	 * Rings and the like are one range for the chip; an application's data become a list in any
	 * case.
	 */
	if (driver && piece && length > piece)
		return device_refuse(c, -ENOMEM,
				     "%zu bytes were asked for in one range; this chip needs "
				     "physical addresses, whose ranges end at %zu bytes",
				     length, piece);
	length = piece ? divide_up(length, piece) * piece : length;
	r = device_alloc(c, length, &fd, &offset);
	if (r == -EOPNOTSUPP)
		r = slab_fd(length, &fd);
	if (r < 0)
		return r;
	r = slab_new(c, fd, offset, length, bits, ret_slab);
	if (r < 0)
		return r;
	steal_fd(&fd);
	(*ret_slab)->driver = driver;
	return 0;
}

/* The newest slab of the driver, if there is room in it. */
static struct slab *slab_with_room(const struct memory *m, size_t length, size_t alignment,
				   unsigned bits)
{
	struct slab *s =
		list_is_empty(&m->slabs) ? NULL : container_of(m->slabs.prev, struct slab, link);

	if (!s || !s->driver || s->bits != bits || round_up(s->used, alignment) > s->length ||
	    s->length - round_up(s->used, alignment) < length)
		return NULL;
	return s;
}

/* ---- who may */

static int may_take(struct hba_controller *c, const char *what, bool *ret_driver)
{
	const struct op *op = op_now();

	if (!op) {
		if (!c->accepting)
			return fail(-ENODEV,
				    "%s: memory can be taken once the controller is started",
				    c->uri);
		*ret_driver = false;
		return 0;
	}
	if (op->hot) {
		__atomic_add_fetch(&c->memory.io_path_mappings, 1, __ATOMIC_RELAXED);
		violation(c,
			  "%s: mapping on the I/O path; take memory in initialize or map_hba_data",
			  what);
		return -EPERM;
	}
	if (!op->may_map) {
		violation(c,
			  "%s: memory is taken in initialize, map_hba_data, the first start, "
			  "discover or initialize_target",
			  what);
		return -EPERM;
	}
	*ret_driver = true;
	return 0;
}

/* The constraint's mask: zero bits below are the alignment (docs/from-driverkit.md 6.1). */
static size_t default_alignment(const struct hba_controller *c)
{
	uint64_t mask = c->report.constraints.hba_data_mask;

	return mask == HBA_UNSET || mask == 0 || __builtin_ctzll(mask) > 30
		       ? MIN_PIECE
		       : (size_t)1 << __builtin_ctzll(mask);
}

/* ---- buffers */

static int buffer_new(struct hba_controller *c, struct slab *s, size_t offset, size_t length,
		      struct hba_buffer **ret_buffer)
{
	struct hba_buffer *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	*b = (struct hba_buffer) {
		.controller = c, .slab = s, .offset = offset, .length = length, .driver = s->driver
	};
	s->buffers++;
	list_append(&c->memory.buffers, &b->link);
	*ret_buffer = b;
	return 0;
}

static void buffer_free(struct hba_buffer *b)
{
	struct hba_controller *c = b->controller;
	struct slab *s = b->slab;

	list_remove(&b->link);
	free(b);
	/* Memory that a device may still write is never reused, and stays mapped for it. */
	if (--s->buffers == 0 && !s->driver && !__atomic_load_n(&c->lost, __ATOMIC_ACQUIRE))
		slab_free(c, s);
}

static int carve(struct hba_controller *c, size_t capacity, size_t alignment, unsigned bits,
		 bool driver, struct hba_buffer **ret_buffer)
{
	size_t align = alignment > MIN_PIECE ? alignment : MIN_PIECE;
	struct slab *s = driver ? slab_with_room(&c->memory, capacity, align, bits) : NULL;
	size_t offset;
	int r;

	if (!s) {
		r = slab_create(
			c, round_up(driver && capacity < SLAB_BYTES ? SLAB_BYTES : capacity, PAGE),
			bits, driver, &s);
		if (r < 0)
			return r;
	}
	offset = round_up(s->used, align);
	r = buffer_new(c, s, offset, capacity, ret_buffer);
	if (r == 0) {
		s->used = offset + capacity;
		c->memory.driver_bytes += driver ? capacity : 0;
	} else if (!s->buffers) {
		slab_free(c, s);
	}
	return r;
}

/*
 * Driver memory obeys control_address_bits. In initialize that may not be reported yet: then
 * constraints.address_bits counts, or neither does, and report_check() looks at what was taken. An
 * application's data obey constraints.address_bits.
 */
static unsigned address_bits(const struct hba_controller *c, bool driver)
{
	uint64_t bits = c->report.constraints.address_bits,
		 mask = c->report.constraints.hba_data_mask;
	unsigned width = mask == HBA_UNSET || mask == 0 ? 64 : 64 - (unsigned)__builtin_clzll(mask);

	if (driver && c->report.control_address_bits != HBA_UNSET)
		bits = c->report.control_address_bits;
	/* The top set bit of HBA Data Alignment is the width of its addresses. */
	if (driver && bits > width)
		bits = width;
	return bits == HBA_UNSET || bits > 64 ? 64 : (unsigned)bits;
}

static int buffer_create(struct hba_controller *c, size_t capacity, size_t alignment, unsigned bits,
			 bool driver, struct hba_buffer **ret_buffer)
{
	char why[sizeof(c->bus.why)];
	int r;

	pthread_mutex_lock(&c->memory.lock);
	c->bus.why[0] = '\0';
	r = carve(c, capacity, alignment ? alignment : default_alignment(c), bits, driver,
		  ret_buffer);
	snprintf(why, sizeof(why), "%s", c->bus.why);
	pthread_mutex_unlock(&c->memory.lock);
	if (r < 0 && driver && why[0])
		hba_fail(c, r, "%s", why);
	return r < 0 ? fail(r, "no memory for a buffer of %zu bytes below 2^%u%s%s", capacity, bits,
			    why[0] ? ": " : "", why)
		     : 0;
}

int hba_buffer_create(struct hba_controller *c, enum hba_access access, size_t capacity,
		      size_t alignment, struct hba_buffer **ret_buffer)
{
	bool driver = false;
	int r = c && ret_buffer ? may_take(c, "hba_buffer_create", &driver)
				: wrong_use("the controller is NULL, or the place for the buffer");

	if (r < 0)
		return r;
	if (!capacity || capacity > SIZE_MAX / 2 || (alignment && !is_power_of_two(alignment)) ||
	    alignment > PAGE || access < HBA_DEVICE_WRITES || access > HBA_DEVICE_BOTH)
		return fail(-EINVAL,
			    "a buffer of %zu bytes, aligned to %zu: capacity is 1 or more, "
			    "alignment a power of two up to %d",
			    capacity, alignment, PAGE);
	return buffer_create(c, capacity, alignment, address_bits(c, driver), driver, ret_buffer);
}

int hba_buffer_import(struct hba_controller *c, int fd, uint64_t offset, size_t length,
		      struct hba_buffer **ret_buffer)
{
	autoclose int own = -1;
	struct slab *s = NULL;
	struct stat file;
	bool driver = false;
	int seals, r;

	if (!c || !ret_buffer)
		return wrong_use("the controller is NULL, or the place for the buffer");
	r = may_take(c, "hba_buffer_import", &driver);
	if (r < 0)
		return r;
	if (!device_takes_foreign(c))
		return fail(-EOPNOTSUPP,
			    "the device behind %s reaches no foreign memory; take it by "
			    "hba_buffer_create",
			    c->uri);
	if (!length || length % PAGE || offset % PAGE)
		return fail(-EINVAL, "imported memory begins and ends on a page of %d bytes", PAGE);
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return fail(-EPERM, "imported memory is a memfd sealed against shrinking "
				    "(F_SEAL_SHRINK); this descriptor is not");
	/* Its length can only be trusted now that it cannot shrink. */
	if (fstat(fd, &file) < 0 || offset > (uint64_t)file.st_size ||
	    length > (uint64_t)file.st_size - offset)
		return fail(-EINVAL, "imported memory ends before offset %llu + length %zu",
			    (unsigned long long)offset, length);
	own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0)
		return fail(-errno, "the descriptor of the memory cannot be duplicated");
	pthread_mutex_lock(&c->memory.lock);
	c->bus.why[0] = '\0';
	r = slab_new(c, own, offset, length, address_bits(c, driver), &s);
	if (r == 0) {
		steal_fd(&own);
		s->used = length;
		s->driver = driver;
		r = buffer_new(c, s, 0, length, ret_buffer);
		if (r < 0)
			slab_free(c, s);
	}
	pthread_mutex_unlock(&c->memory.lock);
	return r < 0 ? fail(r, "imported memory cannot be mapped") : 0;
}

void hba_buffer_release(struct hba_buffer *b)
{
	struct memory *m;

	if (!b || b->driver)
		return;
	m = &b->controller->memory;
	pthread_mutex_lock(&m->lock);
	b->released = true;
	if (!b->mappings)
		buffer_free(b);
	pthread_mutex_unlock(&m->lock);
}

/* ---- mappings */

/*
 * Numbers are looked up while others are given out, so entries never move: chunk k holds numbers
 * 2^k to 2^(k+1) - 1.
 */
static int region_number(struct memory *m, struct hba_mapping *map)
{
	uint32_t n = m->last_region + 1;
	struct hba_mapping **chunk;

	if (n == 0)
		return -ENOSPC;
	if (is_power_of_two(n)) {
		chunk = calloc(n, sizeof(struct hba_mapping *));
		if (!chunk)
			return -ENOMEM;
		/* The zeroed entries, then the chunk that shows them. */
		__atomic_store_n(&m->regions[__builtin_ctz(n)], chunk, __ATOMIC_RELEASE);
	}
	__atomic_store_n(region_place(m, n), map, __ATOMIC_RELEASE);
	map->region = n;
	m->last_region = n;
	return 0;
}

static int map_buffer(struct hba_buffer *b, struct hba_mapping **ret_mapping)
{
	struct memory *m = &b->controller->memory;
	struct hba_mapping *map = calloc(1, sizeof(*map));
	int r;

	if (!map)
		return -ENOMEM;
	map->buffer = b;
	map->address = b->slab->address + b->offset;
	map->length = b->length;
	/* A slab of several ranges has only one buffer. */
	map->iova = hba_iova_at(b->slab->ranges[0], b->offset);
	map->in_one = b->slab->n_ranges > 1 ? b->slab->range_bytes : b->length;
	r = region_number(m, map);
	if (r < 0) {
		free(map);
		return r;
	}
	b->mappings++;
	list_append(&m->mappings, &map->link);
	*ret_mapping = map;
	return 0;
}

static void mapping_free(struct memory *m, struct hba_mapping *map)
{
	struct hba_buffer *b = map->buffer;

	__atomic_store_n(region_place(m, map->region), NULL, __ATOMIC_RELEASE);
	list_remove(&map->link);
	if (--b->mappings == 0 && (b->released || map->owns_buffer))
		buffer_free(b);
	free(map);
}

void memory_unmap(struct hba_controller *c, struct hba_mapping *map)
{
	pthread_mutex_lock(&c->memory.lock);
	mapping_free(&c->memory, map);
	pthread_mutex_unlock(&c->memory.lock);
}

struct hba_controller *mapping_of_client(const struct hba_mapping *m)
{
	return m->buffer->driver ? NULL : m->buffer->controller;
}

int hba_buffer_map(struct hba_buffer *b, struct hba_mapping **ret_mapping)
{
	bool driver;
	int r = b && ret_mapping ? may_take(b->controller, "hba_buffer_map", &driver)
				 : wrong_use("the buffer is NULL, or the place for the mapping");

	if (r < 0)
		return r;
	pthread_mutex_lock(&b->controller->memory.lock);
	r = map_buffer(b, ret_mapping);
	pthread_mutex_unlock(&b->controller->memory.lock);
	return r < 0 ? fail(r, "no memory for a mapping") : 0;
}

int hba_mapping_create(struct hba_controller *c, enum hba_access access, size_t capacity,
		       size_t alignment, struct hba_mapping **ret_mapping)
{
	struct hba_buffer *b = NULL;
	int r = ret_mapping ? hba_buffer_create(c, access, capacity, alignment, &b)
			    : wrong_use("the place for the mapping is NULL");

	if (r < 0)
		return r;
	r = hba_buffer_map(b, ret_mapping);
	if (r < 0) {
		hba_buffer_release(b);
		return r;
	}
	(*ret_mapping)->owns_buffer = true;
	return 0;
}

int memory_take(struct hba_controller *c, size_t capacity, size_t alignment, unsigned bits,
		struct hba_mapping **ret_mapping)
{
	struct hba_buffer *b;
	int r = buffer_create(c, capacity, alignment, bits, true, &b);

	return r < 0 ? r : hba_buffer_map(b, ret_mapping);
}

/* The driver's slabs have one range each. */
bool memory_above(struct hba_controller *c, unsigned bits, struct hba_iova *ret_iova,
		  size_t *ret_length)
{
	struct memory *m = &c->memory;
	bool found = false;

	pthread_mutex_lock(&m->lock);
	for (struct list *l = m->buffers.next; l != &m->buffers && !found; l = l->next) {
		const struct hba_buffer *b = container_of(l, struct hba_buffer, link);
		struct hba_iova iova = hba_iova_at(b->slab->ranges[0], b->offset);

		found = b->driver && bits < 64 && (iova.bus + b->length - 1) >> bits;
		if (found) {
			*ret_iova = iova;
			*ret_length = b->length;
		}
	}
	pthread_mutex_unlock(&m->lock);
	return found;
}

void *hba_mapping_address(const struct hba_mapping *m)
{
	assert(m);
	return m->address;
}

size_t hba_mapping_length(const struct hba_mapping *m)
{
	assert(m);
	return m->length;
}

struct hba_iova hba_mapping_iova(const struct hba_mapping *m)
{
	assert(m);
	return m->iova;
}

uint32_t hba_mapping_region(const struct hba_mapping *m)
{
	assert(m);
	return m->region;
}

bool mapping_holds(const struct hba_mapping *m, const void *address, size_t length)
{
	uintptr_t mine = (uintptr_t)hba_mapping_address(m), other = (uintptr_t)address;

	return other < mine + hba_mapping_length(m) && mine < other + length;
}

/* ---- the end */

static void release_all(struct hba_controller *c, bool driver)
{
	struct memory *m = &c->memory;
	struct list *l, *next;

	for (l = m->mappings.next; l != &m->mappings; l = next) {
		struct hba_mapping *map = container_of(l, struct hba_mapping, link);

		next = l->next;
		if (map->buffer->driver == driver)
			mapping_free(m, map);
	}
	for (l = m->buffers.next; l != &m->buffers; l = next) {
		struct hba_buffer *b = container_of(l, struct hba_buffer, link);

		next = l->next;
		if (b->driver == driver)
			buffer_free(b);
	}
	for (l = m->slabs.next; l != &m->slabs; l = next) {
		next = l->next;
		if (container_of(l, struct slab, link)->driver == driver)
			slab_free(c, container_of(l, struct slab, link));
	}
}

void memory_release_driver(struct hba_controller *c)
{
	pthread_mutex_lock(&c->memory.lock);
	release_all(c, true);
	pthread_mutex_unlock(&c->memory.lock);
}

void memory_fini(struct hba_controller *c)
{
	release_all(c, true);
	release_all(c, false);
	iova_map_free(&c->memory.spans);
	for (unsigned k = 0; k < ARRAY_SIZE(c->memory.regions); k++)
		free(c->memory.regions[k]);
	pthread_mutex_destroy(&c->memory.lock);
}
