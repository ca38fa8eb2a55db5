/* SPDX-License-Identifier: MIT */
/*
 * ram.c: a store of anonymous memory. The kernel gives a page when it is first written, so a large
 * disk costs as much as its contents.
 *
 * A bitmap of our own has a bit for each page that has been written: the kernel's answer (mincore)
 * would also count pages that were only read. The bitmap is anonymous memory too, and as thin.
 */
#include "base/base.h"
#include "target/target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, WORD_BITS = 64 };

struct ram_store {
	struct store store;
	uint8_t *memory;
	uint64_t *written; /* atomic words */
	uint64_t map_bytes;
};

static struct ram_store *ram_of(struct store *s)
{
	return container_of(s, struct ram_store, store);
}

static uint64_t bit_of(uint64_t page)
{
	return UINT64_C(1) << page % WORD_BITS;
}

static bool is_written(const struct ram_store *ram, uint64_t page)
{
	return __atomic_load_n(&ram->written[page / WORD_BITS], __ATOMIC_RELAXED) & bit_of(page);
}

/*
 * After the bytes are there: a bit that deallocation clears meanwhile is then set again, and no
 * written page goes without.
 */
static void note_written(struct ram_store *ram, uint64_t offset, uint64_t length)
{
	if (length == 0)
		return;
	for (uint64_t page = offset / PAGE; page <= (offset + length - 1) / PAGE; page++)
		if (!is_written(ram, page))
			__atomic_fetch_or(&ram->written[page / WORD_BITS], bit_of(page),
					  __ATOMIC_RELAXED);
}

static int ram_read(struct store *s, struct store_io *io)
{
	io->moved = iov_iter_copy_to(&io->data, ram_of(s)->memory + io->offset, io->length);
	return 0;
}

static int ram_write(struct store *s, struct store_io *io)
{
	io->moved = iov_iter_copy_from(&io->data, ram_of(s)->memory + io->offset, io->length);
	note_written(ram_of(s), io->offset, io->moved);
	return 0;
}

/* ---- thin provisioning */

/*
 * A part of a page: zeros are all that can be given back. A page that was never written has them
 * already.
 */
static void zero_part(struct ram_store *ram, uint64_t offset, uint64_t end)
{
	if (offset < end && is_written(ram, offset / PAGE))
		memset(ram->memory + offset, 0, end - offset);
}

static void note_deallocated(struct ram_store *ram, uint64_t page, uint64_t end)
{
	while (page < end) {
		uint64_t *word = &ram->written[page / WORD_BITS];

		if (page % WORD_BITS == 0 && end - page >= WORD_BITS) {
			/*
			 * A word of zeros is left alone, so that clearing a bitmap that was never
			 * used takes no memory.
			 */
			if (__atomic_load_n(word, __ATOMIC_RELAXED))
				__atomic_store_n(word, 0, __ATOMIC_RELAXED);
			page += WORD_BITS;
			continue;
		}
		if (is_written(ram, page))
			__atomic_fetch_and(word, ~bit_of(page), __ATOMIC_RELAXED);
		page++;
	}
}

static void deallocate_pages(struct ram_store *ram, uint64_t page, uint64_t end)
{
	uint64_t bytes = (end - page) * PAGE;

	if (page >= end)
		return;
	note_deallocated(ram, page, end);
	if (madvise(ram->memory + page * PAGE, bytes, MADV_DONTNEED) == 0)
		return;
	/* Memory that is locked cannot be given back; what is promised is zeros. */
	memset(ram->memory + page * PAGE, 0, bytes);
	note_written(ram, page * PAGE, bytes);
}

static int ram_deallocate(struct store *s, struct store_io *io)
{
	struct ram_store *ram = ram_of(s);
	uint64_t end = io->offset + io->length;
	/*
	 * Whole pages are [first, last); the store's last page is whole even if the store ends in
	 * it.
	 */
	uint64_t first = divide_up(io->offset, PAGE),
		 last = end == s->bytes ? divide_up(end, PAGE) : end / PAGE;
	uint64_t head = first * PAGE < end ? first * PAGE : end,
		 tail = last * PAGE > head ? last * PAGE : head;

	zero_part(ram, io->offset, head);
	deallocate_pages(ram, first, last);
	zero_part(ram, tail, end);
	return 0;
}

static bool ram_allocated(struct store *s, uint64_t offset, uint64_t *ret_end)
{
	struct ram_store *ram = ram_of(s);
	uint64_t page = offset / PAGE, pages = divide_up(s->bytes, PAGE);
	bool allocated = is_written(ram, page);
	uint64_t whole = allocated ? UINT64_MAX : 0;

	while (page < pages && is_written(ram, page) == allocated) {
		/* A word at a time where it can be. */
		if (page % WORD_BITS == 0 &&
		    __atomic_load_n(&ram->written[page / WORD_BITS], __ATOMIC_RELAXED) == whole)
			page += WORD_BITS;
		else
			page++;
	}
	*ret_end = page < pages ? page * PAGE : s->bytes;
	return allocated;
}

/* ---- made and freed */

static void ram_free(struct store *s)
{
	munmap(ram_of(s)->memory, s->bytes);
	munmap(ram_of(s)->written, ram_of(s)->map_bytes);
	free(ram_of(s));
}

static const struct store_ops ram_ops = {
	.read = ram_read,
	.write = ram_write,
	.deallocate = ram_deallocate,
	.allocated = ram_allocated,
	.free = ram_free,
};

static void *take_pages(uint64_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

int store_open_ram(uint64_t bytes, struct store **ret_store, char *message)
{
	uint64_t map_bytes = divide_up(divide_up(bytes, PAGE), WORD_BITS) * sizeof(uint64_t);
	struct ram_store *ram;
	char size[16];

	if (bytes == 0)
		return target_fail(
			message, -EINVAL,
			"a ram store of 0 bytes has no blocks: give it a size, as in size=64M");
	ram = malloc(sizeof(*ram));
	if (!ram)
		return target_fail(message, -ENOMEM, "no memory for a ram store");
	*ram = (struct ram_store) {
		.store = { .ops = &ram_ops, .bytes = bytes, .granule = PAGE, .thin = true },
		.memory = take_pages(bytes),
		.written = take_pages(map_bytes),
		.map_bytes = map_bytes
	};
	if (!ram->memory || !ram->written) {
		format_size(bytes, size);
		target_fail(message, -ENOMEM,
			    "no room for a ram store of %s: %s; choose a smaller size", size,
			    strerror(errno));
		if (ram->memory)
			munmap(ram->memory, bytes);
		if (ram->written)
			munmap(ram->written, map_bytes);
		free(ram);
		return -ENOMEM;
	}
	*ret_store = &ram->store;
	return 0;
}
