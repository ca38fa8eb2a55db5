/* SPDX-License-Identifier: MIT */
/*
 * count.c: a plug-in for QEMU that counts the guest's instructions between marks (mark.h).
 *
 *	qemu-system-x86_64 -accel tcg -smp 1 ... -plugin count.so,out=FILE[,profile=on]
 *
 * One line in FILE for each MARK_END: "counted N idle M", N without the M that were spent in turns
 * without work. Instructions of user and kernel alike. Each round of a repeated string instruction
 * is one of QEMU's; a processor retires such an instruction once, so they are left out: that
 * favours whoever uses them, which is the kernel. With profile=on the line is followed by "at
 * ADDRESS N" for each block of instructions, and all of it is slower.
 */
#include "plugin-api.h"

#include "mark.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_FUNCTION(key, length, value) HASH_FNV(key, length, value)
#include <uthash.h>

enum { TURN_BLOCKS = 4096 };

/** struct block - Instructions that are run one after another, at one place. */
struct block {
	struct place {
		uint64_t address, insns;
	} place;
	uint64_t runs;
	UT_hash_handle hh;
};

/**
 * struct marked - A mark, and the instructions from it to the next one of its block, or to its end.
 */
struct marked {
	enum mark kind;
	uint64_t behind;
};

/*
 * The interface has no argument for who is told of a translation, so this cannot hang on anything.
 * One processor writes it.
 */
static struct counter {
	uint64_t insns, rounds; /* added to by translated code */
	uint64_t begun, turned; /* what was counted then */
	uint64_t idle;
	bool counting, profiling, idling;
	struct block *blocks;
	struct block *turn[TURN_BLOCKS]; /* that ran since MARK_TURN */
	unsigned n_turn;
	FILE *out;
} counter;

int qemu_plugin_version = PLUGIN_VERSION;

static uint64_t counted(void)
{
	return counter.insns - counter.rounds;
}

/* ---- by block */

static void block_ran(unsigned cpu, void *arg)
{
	struct block *b = arg;

	(void)cpu;
	if (!counter.counting)
		return;
	b->runs++;
	if (counter.n_turn < TURN_BLOCKS)
		counter.turn[counter.n_turn++] = b;
}

/* A turn so long that not all of it was kept was not idle. */
static void forget_turn(void)
{
	for (unsigned i = 0; i < counter.n_turn; i++)
		counter.turn[i]->runs--;
	counter.n_turn = 0;
}

static void tell_blocks(void)
{
	for (struct block *b = counter.blocks; b; b = b->hh.next) {
		if (b->runs)
			fprintf(counter.out, "at %#llx %llu\n",
				(unsigned long long)b->place.address,
				(unsigned long long)(b->runs * b->place.insns));
		b->runs = 0;
	}
}

static struct block *block_at(uint64_t address, uint64_t insns)
{
	struct place place = { address, insns };
	struct block *b;

	HASH_FIND(hh, counter.blocks, &place, sizeof(place), b);
	if (b)
		return b;
	b = calloc(1, sizeof(*b));
	if (!b)
		abort();
	b->place = place;
	HASH_ADD(hh, counter.blocks, place, sizeof(b->place), b);
	return b;
}

/* ---- marks */

/* What was idle is so up to the next turn. */
static void end_idle(void)
{
	if (!counter.idling)
		return;
	counter.idle += counted() - counter.turned;
	counter.idling = false;
	forget_turn();
}

static void begin(void)
{
	counter.begun = counted();
	counter.idle = 0;
	counter.idling = false;
	counter.n_turn = 0;
	counter.counting = true;
}

static void end(void)
{
	if (!counter.counting)
		return;
	end_idle();
	counter.counting = false;
	fprintf(counter.out, "counted %llu idle %llu\n",
		(unsigned long long)(counted() - counter.begun - counter.idle),
		(unsigned long long)counter.idle);
	tell_blocks();
	fflush(counter.out);
}

static void mark_ran(unsigned cpu, void *arg)
{
	const struct marked *m = arg;

	(void)cpu;
	switch (m->kind) {
	case MARK_BEGIN:
		begin();
		break;
	case MARK_END:
		end();
		break;
	case MARK_TURN:
		end_idle();
		counter.turned = counted();
		counter.n_turn = 0;
		break;
	case MARK_IDLE:
		counter.idling = true;
		break;
	case MARK_NONE:
		break;
	}
	counter.insns += m->behind;
}

/* ---- translation */

static enum mark mark_of(const struct qemu_plugin_insn *insn)
{
	static const uint8_t head[] = { MARK_HEAD }, tail[] = { MARK_TAIL };
	const uint8_t *bytes = qemu_plugin_insn_data(insn);

	if (qemu_plugin_insn_size(insn) != MARK_BYTES || memcmp(bytes, head, sizeof(head)) != 0 ||
	    memcmp(bytes + MARK_KIND_AT + 1, tail, sizeof(tail)) != 0 ||
	    bytes[MARK_KIND_AT] > MARK_IDLE)
		return MARK_NONE;
	return (enum mark)bytes[MARK_KIND_AT];
}

/* REP or REPNE, perhaps REX or an operand size, then MOVS, CMPS, STOS, LODS or SCAS. */
static bool is_repeated(const struct qemu_plugin_insn *insn)
{
	const uint8_t *bytes = qemu_plugin_insn_data(insn);
	size_t size = qemu_plugin_insn_size(insn);
	bool repeated = false;
	uint8_t op = bytes[size - 1];

	for (size_t i = 0; i + 1 < size; i++) {
		bool prefix = bytes[i] == 0xf2 || bytes[i] == 0xf3;

		if (!prefix && bytes[i] != 0x66 && (bytes[i] & 0xf0) != 0x40)
			return false;
		repeated = repeated || prefix;
	}
	return repeated && ((op >= 0xa4 && op <= 0xa7) || (op >= 0xaa && op <= 0xaf));
}

/*
 * What lies in front of the first mark, and it, counts when the block is entered; the rest from
 * mark to mark.
 */
static void count_block(struct qemu_plugin_tb *tb, size_t n)
{
	struct marked *last = NULL;
	size_t front = n;

	for (size_t i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		enum mark kind = mark_of(insn);

		if (kind == MARK_NONE) {
			if (last)
				last->behind++;
			continue;
		}
		if (last)
			last->behind++;
		else
			front = i + 1;
		last = calloc(1, sizeof(*last));
		if (!last)
			abort();
		last->kind = kind;
		qemu_plugin_register_vcpu_insn_exec_cb(insn, mark_ran, QEMU_PLUGIN_CB_NO_REGS,
						       last);
	}
	qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &counter.insns,
						 front);
}

static size_t count_rounds(struct qemu_plugin_tb *tb, size_t n)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

		if (!is_repeated(insn))
			continue;
		qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64,
							   &counter.rounds, 1);
		found++;
	}
	return found;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t n = qemu_plugin_tb_n_insns(tb), rounds;

	(void)id;
	count_block(tb, n);
	rounds = count_rounds(tb, n);
	if (counter.profiling)
		qemu_plugin_register_vcpu_tb_exec_cb(
			tb, block_ran, QEMU_PLUGIN_CB_NO_REGS,
			block_at(qemu_plugin_tb_vaddr(tb), n - rounds));
}

/* ---- */

static const char *value_of(const char *argument, const char *name)
{
	size_t n = strlen(name);

	return strncmp(argument, name, n) == 0 && argument[n] == '=' ? argument + n + 1 : NULL;
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv)
{
	const char *path = NULL;

	(void)info;
	for (int i = 0; i < argc; i++) {
		path = value_of(argv[i], "out") ? value_of(argv[i], "out") : path;
		counter.profiling = counter.profiling || value_of(argv[i], "profile");
	}
	counter.out = path ? fopen(path, "w") : NULL;
	if (!counter.out) {
		fprintf(stderr, "count.so: %s\n",
			path ? "the file named by out= cannot be written" : "out=FILE is missing");
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
