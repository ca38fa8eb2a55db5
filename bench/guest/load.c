/* SPDX-License-Identifier: MIT */
/*
 * load.c: random reads of 4 KiB from one disk at one depth, through hbakit or through Linux. `load
 * WAY WHERE DEPTH COMMANDS`
 *
 * Prints one line: "load way=polled depth=32 commands=100000 ns=… canary=… wrong=0"; between its
 * first and last command it makes no other use of the machine, reads no clock and stands between
 * marks (mark.h). With --verify each 64-bit word of the disk must hold its own index. `canary` is
 * how long a fixed loop took just before: what disturbs it, disturbs the load.
 */
#include "load.h"

#include "mark.h"

#include <argp.h>
#include <inttypes.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_S UINT64_C(1000000000)

enum {
	SEED = 1,
	WORDS = LOAD_BYTES / sizeof(uint64_t),
	WARM_UP = 10, /* a tenth of the commands goes first, uncounted */
	CANARY_ROUNDS = 1000000,
	NOT_READ_YET = 0xa5,
	FAILED = 1,
	KEY_TARGET = 't',
	KEY_VERIFY = 'v',
	KEY_OBJECTS = 'o',
};

static const struct way *const ways[] = { &way_polled, &way_interrupts, &way_uring, &way_aio };

/* ---- what is read */

static uint64_t random_next(uint64_t *state)
{
	/* Marsaglia's xorshift64: three shifts, so that the load itself costs next to nothing. */
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

bool load_next(struct load *l, unsigned slot)
{
	if (l->sent == l->end)
		return false;
	l->sent++;
	l->block[slot] = (random_next(&l->random) >> 32) * l->blocks >> 32;
	/* What was read before must not pass for what is read now. */
	if (l->verify)
		memset(load_buffer(l, slot), NOT_READ_YET, LOAD_BYTES);
	return true;
}

static bool is_stamped(const uint8_t *data, uint64_t block)
{
	uint64_t word;

	for (uint64_t i = 0; i < WORDS; i++) {
		memcpy(&word, data + i * sizeof(word), sizeof(word));
		if (word != block * WORDS + i)
			return false;
	}
	return true;
}

void load_arrived(struct load *l, unsigned slot, uint64_t bytes)
{
	l->back++;
	if (bytes != LOAD_BYTES || (l->verify && !is_stamped(load_buffer(l, slot), l->block[slot])))
		l->wrong++;
}

int load_failed(const struct load *l, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "load: %s: ", l->where);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return -1;
}

/* ---- how long it takes */

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static uint64_t canary(void)
{
	uint64_t begun = now();
	volatile uint64_t state = SEED; /* or the loop would not be there */

	for (int i = 0; i < CANARY_ROUNDS; i++)
		state = state * 3 + 1;
	return now() - begun;
}

static int go(const struct way *way, struct load *l, uint64_t commands)
{
	l->sent = l->back = 0;
	l->end = commands;
	return way->go(l);
}

static int measure(const struct way *way, struct load *l, uint64_t commands)
{
	uint64_t still = canary(), begun;
	int r = go(way, l, commands / WARM_UP + 1);

	begun = now();
	mark_here(MARK_BEGIN);
	if (r == 0)
		r = go(way, l, commands);
	mark_here(MARK_END);
	if (r < 0)
		return r;
	printf("load way=%s depth=%u commands=%" PRIu64 " ns=%" PRIu64 " canary=%" PRIu64
	       " wrong=%" PRIu64 "\n",
	       way->name, l->depth, commands, now() - begun, still, l->wrong);
	return l->wrong ? load_failed(l, "%" PRIu64 " reads brought too little, or other data",
				      l->wrong)
			: 0;
}

/* ---- */

static int print_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	(void)arg;
	printf("object %#jx %s\n", (uintmax_t)info->dlpi_addr,
	       info->dlpi_name[0] ? info->dlpi_name : "load");
	return 0;
}

struct arguments {
	struct load load;
	const struct way *way;
	uint64_t commands;
	bool objects;
};

static const struct way *way_named(const char *name)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strcmp(ways[i]->name, name) == 0)
			return ways[i];
	return NULL;
}

static uint64_t number(struct argp_state *state, const char *text, uint64_t most)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	if (end == text || *end || n < 1 || n > most)
		argp_error(state, "`%s' is no number from 1 to %" PRIu64, text, most);
	return n;
}

static void positional(struct arguments *a, const char *text, struct argp_state *state)
{
	switch (state->arg_num) {
	case 0:
		a->way = way_named(text);
		if (!a->way)
			argp_error(state, "there is no way `%s'", text);
		break;
	case 1:
		a->load.where = text;
		break;
	case 2:
		a->load.depth = (unsigned)number(state, text, LOAD_MOST_DEPTH);
		break;
	case 3:
		a->commands = number(state, text, UINT32_MAX);
		break;
	default:
		argp_usage(state);
	}
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case KEY_TARGET:
		a->load.target = strtoull(text, NULL, 0);
		break;
	case KEY_VERIFY:
		a->load.verify = true;
		break;
	case KEY_OBJECTS:
		a->objects = true;
		break;
	case ARGP_KEY_ARG:
		positional(a, text, state);
		break;
	case ARGP_KEY_END:
		if (state->arg_num < 4)
			argp_usage(state);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp_option options[] = {
	{ "target", KEY_TARGET, "N", 0, "hbakit's unit is LUN 0 of this target (default: 0)", 0 },
	{ "verify", KEY_VERIFY, NULL, 0, "Each 64-bit word of the disk must hold its own index",
	  0 },
	{ "objects", KEY_OBJECTS, NULL, 0,
	  "Print where program and libraries lie, for who has their addresses", 0 },
	{ 0 },
};

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "polled|interrupts URI DEPTH COMMANDS\nuring|aio FILE DEPTH COMMANDS",
	.doc = "Random reads of 4 KiB, through hbakit or through Linux.",
};

int main(int argc, char **argv)
{
	struct arguments a = { .load = { .random = SEED } };
	int r;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (a.objects)
		dl_iterate_phdr(print_object, NULL);
	a.load.buffers = aligned_alloc(LOAD_BYTES, (size_t)a.load.depth * LOAD_BYTES);
	if (!a.load.buffers)
		return FAILED;
	memset(a.load.buffers, NOT_READ_YET, (size_t)a.load.depth * LOAD_BYTES);
	r = a.way->open(&a.load);
	if (r == 0)
		r = measure(a.way, &a.load, a.commands);
	a.way->close(&a.load);
	free(a.load.buffers);
	return r < 0 ? FAILED : 0;
}
