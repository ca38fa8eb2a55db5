/* SPDX-License-Identifier: MIT */
/*
 * device.c: between a driver's registers and the back end that reaches them.
 *
 * The first -ENODEV of the back end is final: from then on registers read as all ones, writes are
 * dropped, and the loop closes the device and ends the tasks that are out. Bus master is the one
 * switch that a driver cannot leave on: it goes off after stop, and from then on memory is
 * certainly ours again.
 */
#include "core/controller/controller.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/*
 * Awake, the loop polls the device's own events this often, because a poll is a system call.
 * Asleep, they wake it.
 */
enum { BUS_MS = 1000, BARS = 6, WORD_BYTES = 4, CONFIG_ID = 0, CONFIG_BYTES = 4096, LOOK_MS = 100 };

static uint64_t all_ones(unsigned width)
{
	return width >= sizeof(uint64_t) ? UINT64_MAX : (UINT64_C(1) << 8 * width) - 1;
}

/* Every call of a back end passes through here with what it returned. */
static int device_heed(struct hba_controller *c, int r)
{
	if (r != -ENODEV || device_is_gone(c))
		return r;
	__atomic_store_n(&c->bus.gone, true, __ATOMIC_SEQ_CST);
	loop_wake(c);
	return r;
}

static bool is_reachable(const struct hba_controller *c)
{
	return c->bus.device && !device_is_gone(c);
}

bool device_answers(struct hba_controller *c)
{
	uint32_t id = 0;
	int r;

	if (!is_reachable(c) || !c->bus.table->config_read)
		return !device_is_gone(c);
	r = device_heed(c, c->bus.table->config_read(c->bus.device, CONFIG_ID, WORD_BYTES, &id));
	/* No vendor has the id of all ones: it is the answer of an empty slot. */
	if (r == 0 && id == UINT32_MAX)
		device_heed(c, -ENODEV);
	return !device_is_gone(c);
}

/* ---- open and close: on the service thread */

int device_open(struct hba_controller *c)
{
	struct bus_link *b = &c->bus;
	char why[HBA_BUS_WHY_BYTES] = "";
	int r;

	if (!b->table)
		return 0;
	r = b->table->open(c->path, c->query, &b->info, why, &b->device);
	if (r < 0)
		return hba_fail(c, r, "%s", why[0] ? why : strerror(-r));
	b->settled = false;
	b->piece_bytes = 0;
	b->look_at = 0;
	b->event_fd = b->table->event_fd ? b->table->event_fd(b->device) : -1;
	return b->event_fd < 0 ? 0 : sleeper_watch(&c->sleeper, b->event_fd);
}

void device_cut(struct hba_controller *c)
{
	struct bus_link *b = &c->bus;

	if (!b->device)
		return;
	/* Its registers and descriptors go with it. */
	c->silent = true;
	for (unsigned i = 0; i < c->n_queues; i++)
		queue_unwatch(c->queues[i]);
	/*
	 * An application may be letting go of a mapping at this moment, from a thread of its own.
	 */
	pthread_mutex_lock(&c->memory.lock);
	b->table->close(b->device);
	b->device = NULL;
	b->event_fd = -1;
	pthread_mutex_unlock(&c->memory.lock);
}

int device_quiet(struct hba_controller *c)
{
	struct bus_link *b = &c->bus;
	int r = 0;

	if (is_reachable(c) && b->table->bus_master)
		r = device_heed(c, b->table->bus_master(b->device, false, BUS_MS));
	if (r < 0 && is_reachable(c) && b->table->reset)
		r = device_heed(c, b->table->reset(b->device, BUS_MS));
	if (!device_is_gone(c))
		return r;
	/*
	 * Out of our reach is not out of its own: it may have reported an error, or be stopped.
	 * Once it is closed it reaches nothing.
	 */
	device_cut(c);
	return 0;
}

void device_close(struct hba_controller *c)
{
	device_cut(c);
	c->bus.gone = false;
}

/* ---- events of the device itself */

static bool is_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

bool device_turn(struct hba_controller *c, bool woken)
{
	struct bus_link *b = &c->bus;
	int r;

	if (!b->table || !b->table->take_event || !is_reachable(c) || b->event_fd < 0 ||
	    (!woken && c->now < b->look_at))
		return false;
	b->look_at = c->now + LOOK_MS * (uint64_t)NS_PER_MS;
	r = is_readable(b->event_fd) ? device_heed(c, b->table->take_event(b->device)) : 0;
	if (r < 0 && b->table->why && b->table->why(b->device))
		event_put(c, HBA_EVENT_STATE, HBA_NO_TARGET, NULL, c->state, "%s",
			  b->table->why(b->device));
	return r > 0;
}

void device_served(struct hba_controller *c, unsigned vector)
{
	if (is_reachable(c) && c->bus.table->vector_served)
		c->bus.table->vector_served(c->bus.device, vector);
}

/* ---- memory */

int device_refuse(struct hba_controller *c, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(c->bus.why, sizeof(c->bus.why), format, args);
	va_end(args);
	return error;
}

/* The back end's sentence, if it has one. */
static int explain(struct hba_controller *c, int r)
{
	const char *why = r < 0 && c->bus.table->why ? c->bus.table->why(c->bus.device) : NULL;

	return why ? device_refuse(c, r, "%s", why) : r;
}

/* A chip that bypasses the IOMMU must be reported so before its first buffer, which is this one. */
static int settle_addresses(struct hba_controller *c)
{
	struct bus_link *b = &c->bus;
	int r = 0;

	if (b->settled)
		return 0;
	if (c->report.physical_iovas == 1 && !(b->info.facts & HBA_BUS_IOVA_IS_PHYSICAL)) {
		if (!b->table->use_physical)
			return device_refuse(c, -EOPNOTSUPP,
					     "this chip reaches memory past the IOMMU, and bus %s "
					     "gives out no physical addresses",
					     b->table->name);
		r = explain(c, device_heed(c, b->table->use_physical(b->device, &b->piece_bytes)));
	}
	b->settled = r == 0;
	return r;
}

size_t device_piece(struct hba_controller *c)
{
	return is_reachable(c) && settle_addresses(c) == 0 ? c->bus.piece_bytes : 0;
}

int device_alloc(struct hba_controller *c, size_t length, int *ret_fd, uint64_t *ret_offset)
{
	int r;

	if (!is_reachable(c))
		return c->bus.table ? -ENODEV : -EOPNOTSUPP;
	r = settle_addresses(c);
	if (r < 0)
		return r;
	if (!c->bus.table->alloc_memory)
		return -EOPNOTSUPP;
	return explain(c, device_heed(c, c->bus.table->alloc_memory(c->bus.device, length, ret_fd,
								    ret_offset)));
}

int device_map(struct hba_controller *c, int fd, uint64_t offset, size_t length, unsigned bits,
	       void *address, struct hba_iova *ret_iova)
{
	if (!c->bus.table) {
		/* Nobody but us will ever use it. */
		*ret_iova = (struct hba_iova) { (uintptr_t)address };
		return 0;
	}
	if (!is_reachable(c))
		return -ENODEV;
	return explain(c, device_heed(c, c->bus.table->map_memory(c->bus.device, fd, offset, length,
								  bits, ret_iova)));
}

void device_unmap(struct hba_controller *c, struct hba_iova iova, size_t length)
{
	if (is_reachable(c) && c->bus.table->unmap_memory)
		(void)device_heed(c, c->bus.table->unmap_memory(c->bus.device, iova, length));
}

bool device_takes_foreign(const struct hba_controller *c)
{
	return !c->bus.table ||
	       ((c->bus.info.facts & HBA_BUS_FOREIGN_MEMORY) && !c->bus.piece_bytes);
}

/* ---- registers */

int hba_bar_map(struct hba_controller *c, unsigned index, struct hba_bar *ret_bar)
{
	struct hba_bar bar = { .controller = c, .index = index };
	volatile void *mem = NULL;
	int r;

	if (!op_may_wait(c, __func__))
		return -EPROTO;
	if (!is_reachable(c))
		return -ENODEV;
	if (index >= BARS || !c->bus.info.bar_length[index])
		return -ENOENT;
	r = c->bus.table->bar_map
		    ? device_heed(c, c->bus.table->bar_map(c->bus.device, index, &mem))
		    : 0;
	if (r < 0)
		return r;
	bar.mem = mem;
	bar.length = c->bus.info.bar_length[index];
	*ret_bar = bar;
	return 0;
}

/* Report an access that cannot be right. An access to a lost device is not the driver's fault. */
static bool is_right(const struct hba_bar *bar, const char *call, uint64_t offset, uint64_t bytes,
		     unsigned alignment)
{
	struct hba_controller *c = bar->controller;
	const struct op *op = op_now();

	if (!c) {
		if (op && !device_is_gone(op->controller))
			violation(op->controller,
				  "%s of a BAR that is not mapped; hba_bar_map() does that", call);
		return false;
	}
	if (!is_reachable(c))
		return false;
	if (offset % alignment)
		violation(c,
			  "%s of %llu bytes at offset 0x%llx of BAR %u, which is not a multiple of "
			  "%u",
			  call, (unsigned long long)bytes, (unsigned long long)offset, bar->index,
			  alignment);
	else if (offset > bar->length || bar->length - offset < bytes)
		violation(c, "%s of %llu bytes at offset 0x%llx of BAR %u, which has 0x%llx bytes",
			  call, (unsigned long long)bytes, (unsigned long long)offset, bar->index,
			  (unsigned long long)bar->length);
	else
		return true;
	return false;
}

static bool is_right_register(const struct hba_bar *bar, const char *call, uint64_t offset,
			      unsigned width)
{
	if (width == 1 || width == 2 || width == WORD_BYTES || width == sizeof(uint64_t))
		return is_right(bar, call, offset, width, width);
	if (bar->controller)
		violation(bar->controller, "%s of %u bytes; a register has 1, 2, 4 or 8", call,
			  width);
	return false;
}

uint64_t hba_bar_read(const struct hba_bar *bar, uint64_t offset, unsigned width)
{
	uint64_t value = 0;
	const struct bus_link *b = bar->controller ? &bar->controller->bus : NULL;

	if (!is_right_register(bar, __func__, offset, width))
		return all_ones(width);
	if (device_heed(bar->controller,
			b->table->bar_read(b->device, bar->index, offset, width, &value)) < 0)
		return all_ones(width);
	return value & all_ones(width);
}

void hba_bar_write(const struct hba_bar *bar, uint64_t offset, uint64_t value, unsigned width)
{
	const struct bus_link *b = bar->controller ? &bar->controller->bus : NULL;

	if (is_right_register(bar, __func__, offset, width))
		(void)device_heed(bar->controller,
				  b->table->bar_write(b->device, bar->index, offset, width,
						      value & all_ones(width)));
}

void hba_bar_write_block(const struct hba_bar *bar, uint64_t offset, const void *data, size_t words)
{
	uint32_t word;

	if (!is_right(bar, __func__, offset, WORD_BYTES, WORD_BYTES))
		return;
	for (size_t i = 0; i < words; i++) {
		memcpy(&word, (const uint8_t *)data + i * WORD_BYTES, WORD_BYTES);
		/*
		 * As they lie: the write turns a number of ours into the register's order, so undo
		 * that.
		 */
		hba_bar_write32(bar, offset, le32toh(word));
	}
}

/* How much of a copy the next access takes. */
static size_t step_of(uint64_t offset, size_t left)
{
	return offset % WORD_BYTES == 0 && left >= WORD_BYTES ? WORD_BYTES : 1;
}

void hba_bar_copy_from(const struct hba_bar *bar, uint64_t offset, void *to, size_t bytes)
{
	if (!is_right(bar, __func__, offset, bytes, 1)) {
		memset(to, UINT8_MAX, bytes);
		return;
	}
	for (size_t done = 0, n; done < bytes; done += n) {
		uint32_t word;

		n = step_of(offset + done, bytes - done);
		word = htole32(n == WORD_BYTES ? hba_bar_read32(bar, offset + done)
					       : hba_bar_read8(bar, offset + done));
		memcpy((uint8_t *)to + done, &word, n);
	}
}

void hba_bar_copy_to(const struct hba_bar *bar, uint64_t offset, const void *from, size_t bytes)
{
	if (!is_right(bar, __func__, offset, bytes, 1))
		return;
	for (size_t done = 0, n; done < bytes; done += n) {
		uint32_t word = 0;

		n = step_of(offset + done, bytes - done);
		memcpy(&word, (const uint8_t *)from + done, n);
		if (n == WORD_BYTES)
			hba_bar_write32(bar, offset + done, le32toh(word));
		else
			hba_bar_write8(bar, offset + done, (uint8_t)le32toh(word));
	}
}

/* ---- config space */

/*
 * A back end passes on any access; the chip or the kernel would turn an invalid one into another.
 */
static bool is_in_config(struct hba_controller *c, const char *call, unsigned offset,
			 unsigned width)
{
	bool right = (width == 1 || width == 2 || width == WORD_BYTES) && offset < CONFIG_BYTES &&
		     offset % width == 0;

	if (!right)
		violation(c,
			  "%s of %u bytes at offset %u; it is 1, 2 or 4 bytes, at a multiple of "
			  "that below %d",
			  call, width, offset, CONFIG_BYTES);
	return right && op_may_wait(c, call) && is_reachable(c);
}

uint32_t hba_config_read(struct hba_controller *c, unsigned offset, unsigned width)
{
	uint32_t value = 0;

	if (!is_in_config(c, __func__, offset, width) || !c->bus.table->config_read ||
	    device_heed(c, c->bus.table->config_read(c->bus.device, offset, width, &value)) < 0)
		return (uint32_t)all_ones(width);
	return value & (uint32_t)all_ones(width);
}

void hba_config_write(struct hba_controller *c, unsigned offset, uint32_t value, unsigned width)
{
	if (is_in_config(c, __func__, offset, width) && c->bus.table->config_write)
		(void)device_heed(c,
				  c->bus.table->config_write(c->bus.device, offset, width, value));
}

int hba_bus_master_on(struct hba_controller *c)
{
	if (!op_may_wait(c, __func__))
		return -EPROTO;
	if (!is_reachable(c))
		return -ENODEV;
	return c->bus.table->bus_master
		       ? device_heed(c, c->bus.table->bus_master(c->bus.device, true, BUS_MS))
		       : 0;
}

/* ---- interrupts */

int hba_vector_bind(struct hba_queue *q, unsigned vector)
{
	struct hba_controller *c = q->controller;
	int fd;

	if (!op_may_wait(c, __func__))
		return -EPROTO;
	if (!is_reachable(c) || vector >= c->bus.info.vectors || !c->bus.table->vector_fd)
		return -ENOENT;
	fd = c->bus.table->vector_fd(c->bus.device, vector);
	return fd < 0 ? -ENOENT : queue_watch_vector(q, fd, vector);
}

/* ---- waiting for a register */

struct wanted {
	const struct hba_bar *bar;
	uint64_t offset;
	uint32_t mask, want;
};

static bool is_wanted(struct hba_controller *c, void *arg)
{
	const struct wanted *w = arg;

	/* One that is gone reads as all ones, which may look like success. */
	return device_is_gone(c) || (hba_bar_read32(w->bar, w->offset) & w->mask) == w->want;
}

int hba_wait_bar32(struct hba_controller *c, const struct hba_bar *bar, uint64_t offset,
		   uint32_t mask, uint32_t want, unsigned ms)
{
	struct wanted w = { bar, offset, mask, want };
	int r = hba_wait_for(c, is_wanted, &w, ms);

	return device_is_gone(c) ? -ENODEV : r;
}
