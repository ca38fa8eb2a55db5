/* SPDX-License-Identifier: MIT */
/* base.h: C without storage. One block per file. */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a)                 (sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member) ((type *)((uintptr_t)(p)-offsetof(type, member)))

/** divide_up() - How many pieces of `size` it takes to hold `n`. */
static inline uint64_t divide_up(uint64_t n, uint64_t size)
{
	return n / size + (n % size != 0);
}

/**
 * round_up() - To a multiple of `power`, a power of two. The caller makes sure that it does not
 * overflow.
 */
static inline uint64_t round_up(uint64_t n, uint64_t power)
{
	return (n + power - 1) & ~(power - 1);
}

static inline bool is_power_of_two(uint64_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

/* ---- cleanup: locals clean themselves */

void cleanup_free(void *pp);
void cleanup_close(int *fd); /* -1 is fine */

#define autofree  __attribute__((cleanup(cleanup_free)))
#define autoclose __attribute__((cleanup(cleanup_close)))

/** steal_fd() - Hand a descriptor out of an autoclose local. */
int steal_fd(int *fd);

/* ---- clock.c */

enum { NS_PER_MS = 1000 * 1000, MS_PER_S = 1000 };
#define NS_PER_S UINT64_C(1000000000)

/** struct clock - Where time comes from; tests bring their own. */
struct clock {
	uint64_t (*now)(const struct clock *clock); /* ns, monotonic, starts anywhere */
};

extern const struct clock clock_monotonic;

/* ---- limit.c */

/**
 * struct limit - Of one kind of line: the first ten pass, then one a second. Zeroed, none has
 * passed. One thread.
 */
struct limit {
	/* passed so far; held back since the last one that passed; when that one passed */
	uint64_t told, withheld, told_ns;
};

/**
 * limit_pass() - Whether a line of the time `now_ns` passes (a clock's; successive lines in order).
 * *ret_withheld: how many were held back since the last one that passed, without this one.
 */
bool limit_pass(struct limit *l, uint64_t now_ns, uint64_t *ret_withheld);

/* ---- list.c: doubly linked, the links inside */

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_is_empty(const struct list *l)
{
	return l->next == l;
}

/** list_is_alone() - Of an item of a list: is it the only one? */
static inline bool list_is_alone(const struct list *item)
{
	return item->next == item->prev;
}

static inline void list_append(struct list *l, struct list *item)
{
	item->prev = l->prev;
	item->next = l;
	l->prev->next = item;
	l->prev = item;
}

static inline void list_prepend(struct list *l, struct list *item)
{
	list_append(l->next, item);
}

/** list_remove() - Leaves the item pointing to itself: removing it again is harmless. */
static inline void list_remove(struct list *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
	list_init(item);
}

/* ---- durable.c */

/**
 * sync_directory_of() - Wait until names made, changed and removed beside `path` are on the disk.
 * Negative errno.
 */
int sync_directory_of(const char *path);

/* ---- text.c */

/** parse_number() - Decimal or 0x hex, the whole text. -EINVAL, -ERANGE. */
int parse_number(const char *text, uint64_t *ret_number);

/** parse_size() - parse_number() with k, M, G or T behind it: powers of 1024. */
int parse_size(const char *text, uint64_t *ret_bytes);
/**
 * text_make_printable() - Text of a device, a client or a file's name, so that it does nothing to a
 * terminal: what is a control, or no UTF-8, becomes '?'; controls in `keep` stay. In place.
 */
void text_make_printable(char *text, size_t length, const char *keep);
/**
 * text_cut_off() - Bytes at the end that are the beginning of a character of which more is to come;
 * 0 to 3.
 */
size_t text_cut_off(const char *text, size_t length);

/**
 * query_next() - The items of "a=1&b=2&a=3" whose name is `name`, one after another. `*at` begins
 * as the query (NULL is fine) and moves on. 1: *ret_value (up to `size` bytes with the NUL) is the
 * next one's; 0: no more; -ENAMETOOLONG.
 */
int query_next(const char **at, const char *name, char *ret_value, size_t size);
/**
 * query_last() - Of an option that can be given once the last counts. 1, 0: there is none,
 * -ENAMETOOLONG: one of them is too long.
 */
int query_last(const char *query, const char *name, char *ret_value, size_t size);

/** unescape_percent() - "%2c" becomes the byte of that number; what only begins like one stays. */
void unescape_percent(char *text);

/** format_size() - "64 KiB", "1.5 GiB": for people, at most 16 bytes with the NUL. */
void format_size(uint64_t bytes, char text[16]);

#endif
