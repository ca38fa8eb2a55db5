/* SPDX-License-Identifier: MIT */
/* ram.c: a store of anonymous memory. The kernel gives a page when it is first written, so a large disk costs what is in it. */
#include "base/base.h"
#include "target/target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct ram_store {
	struct store store;
	uint8_t *memory;
};

static struct ram_store *ram_of(struct store *s)
{
	return container_of(s, struct ram_store, store);
}

static int ram_read(struct store *s, struct store_io *io)
{
	io->moved = cursor_copy_to(&io->data, ram_of(s)->memory + io->offset, io->length);
	return 0;
}

static int ram_write(struct store *s, struct store_io *io)
{
	io->moved = cursor_copy_from(&io->data, ram_of(s)->memory + io->offset, io->length);
	return 0;
}

static void ram_free(struct store *s)
{
	munmap(ram_of(s)->memory, s->bytes);
	free(ram_of(s));
}

static const struct store_ops ram_ops = { .read = ram_read, .write = ram_write, .free = ram_free };

int store_open_ram(uint64_t bytes, struct store **ret_store, char *message)
{
	struct ram_store *ram;
	char size[16];
	void *memory;

	if (bytes == 0)
		return target_fail(message, -EINVAL, "a ram store of 0 bytes has no blocks: give it a size, as in size=64M");
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED) {
		format_size(bytes, size);
		return target_fail(message, -ENOMEM, "no room for a ram store of %s: %s; choose a smaller size", size,
				   strerror(errno));
	}
	ram = malloc(sizeof(*ram));
	if (!ram) {
		munmap(memory, bytes);
		return target_fail(message, -ENOMEM, "no memory for a ram store");
	}
	*ram = (struct ram_store) { .store = { .ops = &ram_ops, .bytes = bytes }, .memory = memory };
	*ret_store = &ram->store;
	return 0;
}
