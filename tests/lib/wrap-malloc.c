/* SPDX-License-Identifier: MIT */
/*
 * wrap-malloc.c: the allocator's entrances, counted, then libc's own. The counter is one per
 * process, as the allocator is.
 */
#include "lib/wrap-malloc.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

/*
 * libc's allocator by its second names, which it exports for programs that define the first ones.
 */
void *libc_malloc(size_t size) __asm__("__libc_malloc");
void *libc_calloc(size_t n, size_t size) __asm__("__libc_calloc");
void *libc_realloc(void *old, size_t size) __asm__("__libc_realloc");
void *libc_memalign(size_t alignment, size_t size) __asm__("__libc_memalign");
void libc_free(void *p) __asm__("__libc_free");

void *memalign(size_t alignment, size_t size);

static atomic_ulong calls;

static void count(void)
{
	atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
}

unsigned long allocation_count(void)
{
	return atomic_load_explicit(&calls, memory_order_relaxed);
}

void *malloc(size_t size)
{
	count();
	return libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	count();
	return libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
	count();
	return libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size)
{
	count();
	return libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

int posix_memalign(void **ret_p, size_t alignment, size_t size)
{
	void *p;

	if (alignment % sizeof(void *) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0)
		return EINVAL;
	p = memalign(alignment, size);
	if (!p)
		return ENOMEM;
	*ret_p = p;
	return 0;
}

void free(void *p)
{
	if (p)
		count();
	libc_free(p);
}
