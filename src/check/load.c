/* SPDX-License-Identifier: MIT */
/*
 * load.c: many commands at a time: every task of the pool, every unit, every depth; all come back,
 * each with its own data.
 *
 * In the shared table each unit has a few blocks of its own, read before. What a slot reads is
 * compared with that, so that a reply that goes to the wrong task, or a block that goes to the
 * wrong unit, shows.
 */
#include "check/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	SLOTS = 256,
	UNITS = 32,
	UNIT_BLOCKS = 16,
	COMMANDS = 4000,
	WRITES = 6000,
	MOST_BLOCKS = 4,
	BATCH = 256,
	MOST_AGAIN = 8,
	LONGEST_S = 3
};

/** struct place - Some blocks of one unit, and what has to be in them. */
struct place {
	struct hba_lun *lun;
	struct hba_lun_info info;
	uint64_t first;
	uint8_t *before;                   /* UNIT_BLOCKS blocks */
	uint64_t generations[UNIT_BLOCKS]; /* 0: as before */
	bool busy[UNIT_BLOCKS];            /* a command is at it: what it holds is not settled */
};

/** struct slot - One command at a time. */
struct slot {
	struct command x;
	struct place *place; /* NULL: idle */
	unsigned at, count, again;
	bool writing, out;
};

struct load {
	struct place places[UNITS];
	struct slot slots[SLOTS];
	unsigned n_places, n_out, depth;
	size_t slot_bytes; /* of an area, guards included */
	uint64_t sent, ended, wanted, generation;
	bool write, cut; /* cut: not all that were wanted, for want of time */
};

/* ---- every task of the pool */

static int compare_tasks(const void *a, const void *b)
{
	const struct hba_task *const *x = a, *const *y = b;

	return (*x)->unique_id < (*y)->unique_id ? -1 : (*x)->unique_id > (*y)->unique_id;
}

static size_t take_all(struct check *k, struct hba_task **tasks, size_t most)
{
	size_t n = 0;

	for (struct hba_lun *lun = hba_lun_next(k->controller, NULL); lun && n < most;
	     lun = hba_lun_next(k->controller, lun))
		while (n < most && hba_task_get(lun, 0, NULL, &tasks[n]) == 0)
			n++;
	return n;
}

struct tally {
	struct check *check;
	size_t ended, bad;
};

static void counted(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct tally *tally = arg;

	tally->bad += r->outcome != HBA_GOOD && r->outcome != HBA_CHECK_CONDITION &&
		      r->outcome != HBA_BUSY && r->outcome != HBA_TASK_SET_FULL;
	tally->ended++;
	hba_task_put(t);
}

/* TEST UNIT READY by each; a unit attention is an answer, too. */
static size_t send_all(struct hba_task **tasks, size_t n, struct tally *tally)
{
	size_t sent = 0;

	for (size_t i = 0; i < n; i++) {
		tasks[i]->cdb_len = scsi_cdb_test_unit_ready().length;
		tasks[i]->timeout_ms = check_command_ms(tally->check);
		if (hba_submit(tasks[i], counted, tally) == 0)
			sent++;
		else
			hba_task_put(tasks[i]);
	}
	return sent;
}

static void uses_every_task(struct check *k)
{
	struct tally tally = { .check = k };
	struct hba_counts counts;
	autofree struct hba_task **tasks = NULL;
	size_t n, sent;

	hba_controller_counts(k->controller, &counts);
	tasks = calloc(counts.client_tasks + 1, sizeof(struct hba_task *));
	if (!tasks) {
		check_skip(k, "no memory");
		return;
	}
	n = take_all(k, tasks, counts.client_tasks + 1);
	qsort(tasks, n, sizeof(*tasks), compare_tasks);
	for (size_t i = 1; i < n; i++)
		if (tasks[i]->unique_id == tasks[i - 1]->unique_id)
			check_failed(k, "a unique id for each task", "id %u is there twice",
				     tasks[i]->unique_id);
	sent = send_all(tasks, n, &tally);
	while (tally.ended < sent && !k->over)
		check_turn(k);
	check_number(k, "tasks that could be sent", n, sent);
	check_number(k, "tasks that ended in no answer of the unit", 0, tally.bad);
	if (n < counts.client_tasks)
		check_skip(k, "the units admit %zu of %ju tasks", n,
			   (uintmax_t)counts.client_tasks);
	else
		check_number(k, "client tasks", counts.client_tasks, n);
}

/* ---- every unit */

struct asked {
	struct command x;
	uint8_t bytes[SCSI_INQUIRY_MIN];
};

static bool judge_unit(struct check *k, const struct asked *a)
{
	struct hba_lun_info info;
	char name[48], text[CHECK_TEXT];

	hba_lun_get_info(a->x.lun, &info);
	check_unit_name(&info, name);
	snprintf(text, sizeof(text), "an answer of unit %s", name);
	if (a->x.outcome != HBA_GOOD)
		return check_failed(k, text, "outcome %#x", a->x.outcome);
	return a->bytes[0] == info.type ||
	       check_failed(k, text, "peripheral qualifier and type %02Xh", a->bytes[0]);
}

static struct hba_lun *ask_batch(struct check *k, struct asked *asked, struct hba_lun *lun,
				 unsigned *ret_n)
{
	unsigned n = 0;

	for (; lun && n < BATCH; lun = hba_lun_next(k->controller, lun), n++) {
		struct asked *a = &asked[n];

		*a = (struct asked) { .x = command_none(k, scsi_cdb_inquiry(SCSI_INQUIRY_MIN)) };
		a->x.lun = lun;
		a->x.direction = HBA_FROM_TARGET;
		a->x.mode = HBA_DATA_CPU;
		a->x.data.buffer = a->bytes;
		a->x.length = a->x.bounce = sizeof(a->bytes);
		while (command_start(k, &a->x) > 0 && !k->over)
			check_turn(k);
	}
	*ret_n = n;
	return lun;
}

static void hears_every_unit(struct check *k)
{
	autofree struct asked *asked = calloc(BATCH, sizeof(*asked));
	struct hba_lun *lun = hba_lun_next(k->controller, NULL);
	unsigned n;

	if (!asked) {
		check_skip(k, "no memory");
		return;
	}
	while (lun && !k->over) {
		lun = ask_batch(k, asked, lun, &n);
		for (unsigned i = 0; i < n; i++)
			if (!asked[i].x.error && !check_wait(k, &asked[i].x.done))
				check_failed(k, "an answer of every unit", "one never came");
		for (unsigned i = 0; i < n && k->result->verdict != CHECK_FAILED; i++)
			judge_unit(k, &asked[i]);
	}
}

/* ---- random commands, verified */

static void free_places(struct load *l)
{
	for (unsigned i = 0; i < l->n_places; i++)
		free(l->places[i].before);
	free(l);
}

static bool add_place(struct check *k, struct load *l, struct hba_lun *lun)
{
	struct place *p = &l->places[l->n_places];

	hba_lun_get_info(lun, &p->info);
	if (p->info.type != SCSI_TYPE_DISK || !p->info.block_bytes ||
	    p->info.blocks < UNIT_BLOCKS || p->info.block_bytes > 4096 ||
	    (l->write && p->info.read_only))
		return true;
	check_settle(k, lun);
	p->lun = lun;
	p->first = random_below(&k->random, p->info.blocks - UNIT_BLOCKS + 1);
	p->before = malloc((size_t)UNIT_BLOCKS * p->info.block_bytes);
	if (!p->before)
		return check_skip(k, "no memory");
	l->n_places++;
	return blocks_read(k, lun, p->first, UNIT_BLOCKS, p->before);
}

static struct load *make_load(struct check *k, bool write)
{
	struct load *l = calloc(1, sizeof(*l));
	struct hba_lun *lun = hba_lun_next(k->controller, NULL);

	if (!l)
		return NULL;
	l->write = write;
	/* Spread over all units there are. */
	for (unsigned i = 0, step = k->n_units / UNITS + 1; lun && l->n_places < UNITS;
	     i++, lun = hba_lun_next(k->controller, lun))
		if (i % step == 0 && !add_place(k, l, lun))
			break;
	l->slot_bytes = (size_t)MOST_BLOCKS * 4096 + 2 * GUARD;
	l->depth = SLOTS;
	return l;
}

static bool blocks_are_free(const struct place *p, unsigned at, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (p->busy[at + i])
			return false;
	return true;
}

static void hold(struct slot *s, bool busy)
{
	for (unsigned i = 0; i < s->count; i++)
		s->place->busy[s->at + i] = busy;
}

static void expected_blocks(const struct slot *s, uint8_t *bytes)
{
	const struct place *p = s->place;

	for (unsigned i = 0; i < s->count; i++, bytes += p->info.block_bytes) {
		uint64_t generation = p->generations[s->at + i];

		if (generation)
			blocks_pattern(bytes, p->info.block_bytes, p->first + s->at + i, 1,
				       generation ^ p->info.number << 20);
		else
			memcpy(bytes, p->before + (size_t)(s->at + i) * p->info.block_bytes,
			       p->info.block_bytes);
	}
}

/* Slots beyond what an area holds share none: there are fewer then. */
static struct buffer slot_buffer(const struct check *k, const struct load *l, const struct slot *s)
{
	return buffer_at(&k->plain, (size_t)(s - l->slots) * l->slot_bytes,
			 (size_t)s->count * s->place->info.block_bytes);
}

static bool choose(struct check *k, struct load *l, struct slot *s)
{
	s->place = &l->places[random_below(&k->random, l->n_places)];
	s->count = 1 + (unsigned)random_below(&k->random, MOST_BLOCKS);
	s->at = (unsigned)random_below(&k->random, UNIT_BLOCKS - s->count + 1);
	s->writing = l->write && random_below(&k->random, 2);
	return blocks_are_free(s->place, s->at, s->count);
}

/* false: not now. */
static bool send_one(struct check *k, struct load *l, struct slot *s)
{
	struct scsi_cdb cdb;
	struct buffer b;

	if (!choose(k, l, s) || !blocks_cdb(0, s->writing ? HBA_TO_TARGET : HBA_FROM_TARGET,
					    s->place->first + s->at, s->count, &cdb))
		return false;
	b = slot_buffer(k, l, s);
	for (unsigned i = 0; s->writing && i < s->count; i++)
		s->place->generations[s->at + i] = l->generation + 1;
	if (s->writing) {
		l->generation++;
		expected_blocks(s, b.bytes);
	}
	s->x = s->writing ? command_out(k, cdb, b) : command_in(k, cdb, b);
	s->x.lun = s->place->lun;
	while (command_start(k, &s->x) > 0 && !k->over)
		check_turn(k);
	if (s->x.error || k->over)
		return command_good(k, &s->x);
	s->out = true;
	s->again = 0;
	hold(s, true);
	l->n_out++;
	l->sent++;
	return true;
}

static void judge_one(struct check *k, struct load *l, struct slot *s)
{
	uint8_t want[MOST_BLOCKS * 4096];

	s->out = false;
	hold(s, false);
	l->n_out--;
	l->ended++;
	if (!command_good(k, &s->x) || !check_number(k, "bytes moved", s->x.length, s->x.bytes) ||
	    s->writing)
		return;
	expected_blocks(s, want);
	check_bytes(k, "blocks read among many other commands", want, s->x.guarded.bytes,
		    s->x.length);
}

/*
 * A unit attention is the unit's news and says that the command was not begun. False: this answer
 * is the last.
 */
static bool send_again(struct check *k, struct slot *s)
{
	if (s->x.error || !s->x.has_sense || s->x.sense.key != SCSI_UNIT_ATTENTION ||
	    ++s->again > MOST_AGAIN)
		return false;
	while (command_start(k, &s->x) > 0 && !k->over)
		check_turn(k);
	return !s->x.error && !k->over;
}

static void turn_slots(struct check *k, struct load *l)
{
	for (unsigned i = 0; i < l->depth; i++) {
		struct slot *s = &l->slots[i];

		if (s->out && s->x.done && !send_again(k, s))
			judge_one(k, l, s);
		if (!s->out && l->sent < l->wanted && k->result->verdict == CHECK_PASSED)
			send_one(k, l, s);
	}
}

/*
 * After a failure nothing new is sent, nor after some time: a unit that is often busy would take
 * minutes. What is out comes home first.
 */
static void run_load(struct check *k, struct load *l, uint64_t commands)
{
	uint64_t until = clock_monotonic.now(&clock_monotonic) + LONGEST_S * NS_PER_S;

	l->wanted = l->sent + commands;
	while (!k->over &&
	       (l->n_out || (l->sent < l->wanted && k->result->verdict == CHECK_PASSED))) {
		turn_slots(k, l);
		if (l->sent < l->wanted && clock_monotonic.now(&clock_monotonic) > until) {
			l->wanted = l->sent;
			l->cut = true;
		}
		if (l->n_out)
			check_turn(k);
	}
}

/* Of a slow unit the number is whatever there was time for. */
static void tell_extent(struct check *k, const struct load *l)
{
	snprintf(k->result->extent, sizeof(k->result->extent), "%ju %s%s", (uintmax_t)l->ended,
		 l->write ? "commands" : "reads", l->cut ? ", then the time was up" : "");
}

static bool can_load(struct check *k, const struct load *l)
{
	if (!l)
		return check_skip(k, "no memory");
	if (k->result->verdict != CHECK_PASSED)
		return false;
	return l->n_places ||
	       check_skip(k, "no disk has %d blocks that could be used", UNIT_BLOCKS);
}

static void reads_at_every_depth(struct check *k)
{
	struct load *l = make_load(k, false);
	struct hba_counts counts;

	hba_controller_counts(k->controller, &counts);
	if (can_load(k, l)) {
		for (l->depth = 1; l->depth < SLOTS && l->depth < counts.client_tasks;
		     l->depth *= 2)
			run_load(k, l, COMMANDS / 16);
		l->depth = SLOTS;
		run_load(k, l, COMMANDS);
		tell_extent(k, l);
		if (k->result->verdict == CHECK_PASSED)
			check_number(k, "commands that came back", l->sent, l->ended);
	}
	if (l)
		free_places(l);
}

/* Once more, every block, one after another; then what was there goes back. */
static void read_all_back(struct check *k, struct load *l)
{
	struct slot s = { .count = 1 };
	autofree uint8_t *bytes = malloc((size_t)UNIT_BLOCKS * 4096);
	uint8_t want[4096];

	for (unsigned i = 0; bytes && i < l->n_places && k->result->verdict == CHECK_PASSED; i++) {
		s.place = &l->places[i];
		if (!blocks_read(k, s.place->lun, s.place->first, UNIT_BLOCKS, bytes))
			return;
		for (s.at = 0; s.at < UNIT_BLOCKS; s.at++) {
			expected_blocks(&s, want);
			if (!check_bytes(k, "a block after many writes", want,
					 bytes + (size_t)s.at * s.place->info.block_bytes,
					 s.place->info.block_bytes))
				return;
		}
	}
}

static void put_back(struct check *k, struct load *l)
{
	for (unsigned i = 0; i < l->n_places && !k->over; i++)
		blocks_write(k, l->places[i].lun, l->places[i].first, UNIT_BLOCKS,
			     l->places[i].before);
}

static void writes_and_reads_everywhere(struct check *k)
{
	struct load *l = make_load(k, true);

	if (can_load(k, l)) {
		run_load(k, l, WRITES);
		tell_extent(k, l);
		read_all_back(k, l);
		put_back(k, l);
	}
	if (l)
		free_places(l);
}

static const struct check_test tests[] = {
	{ .name = "every task of the pool can be out at once",
	  .rule = "each client task is used, all at a time, and no two have one unique id",
	  .reference = "hbakit/driver.h: map_hba_data",
	  .needs = UNIT,
	  .run = uses_every_task },
	{ .name = "every unit answers",
	  .rule = "INQUIRY to all units there are, hundreds at a time, and each answer is the "
		  "unit's own",
	  .reference = "hbakit/lun.h",
	  .needs = UNIT,
	  .run = hears_every_unit },
	{ .name = "reads at every depth",
	  .rule = "from one command at a time to all; in any order each comes back, with its own "
		  "blocks",
	  .reference = "hbakit/driver.h: process_task, poll",
	  .needs = DISK,
	  .run = reads_at_every_depth },
	{ .name = "reads and writes on all units",
	  .rule = "every block holds what was written last, of every unit, whatever goes on beside "
		  "it",
	  .reference = "hbakit/driver.h: process_task, poll",
	  .needs = DISK | NEED_WRITE,
	  .run = writes_and_reads_everywhere },
};

const struct check_group check_load = { "load", tests, ARRAY_SIZE(tests) };
