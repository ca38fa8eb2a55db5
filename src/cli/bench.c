/* SPDX-License-Identifier: MIT */
/*
 * bench.c: the loop that measures: `depth` tasks taken once, each sent again from its done, the
 * controller polled without sleep.
 *
 * The clock is read once per turn, at its first completion, not once per command: all that come
 * back in a turn get that time as their end, and those sent on from there as their beginning. So a
 * latency is off by at most one turn (the budget's 32 completions), and the mean is exact, because
 * what one command gains the next on that task loses.
 */
#include "cli/bench.h"

#include "base/random.h"

#include "base/base.h"
#include "base/endian.h"
#include "scsi/scsi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { RUN_BUDGET = 32, LOOK_MS = 50, BUFFER_ALIGNMENT = 4096, SEED = 1, ASC_SHIFT = 8 };

/* One task and what it is doing. */
struct worker {
	struct bench *bench;
	struct hba_task *task;
	uint8_t *data;
	struct hba_piece piece;
	uint64_t chunk, sent_ns;
	bool write;
};

enum phase { PHASE_MEASURE, PHASE_CHECK, PHASE_DRAIN };

struct bench {
	struct cli_session *session;
	struct hba_lun *lun;
	const struct bench_plan *plan;
	struct bench_result *result;
	struct worker *workers;
	struct hba_mapping *memory;
	struct verify_map verify_map; /* entries NULL: no --verify */
	struct scsi_cdb read_cdb, write_cdb;
	uint64_t chunks;
	uint32_t chunk_blocks;
	uint32_t n_workers, out;
	uint64_t random, next_chunk;
	uint64_t now, end, looked;
	bool now_is_fresh;
	enum phase phase;
	uint32_t generation; /* of the disk that it began with */
	bool other_disk;
};

/* ---- sending */

static uint64_t pick(struct bench *b)
{
	uint64_t chunk;

	if (b->plan->random) {
		chunk = random_below(&b->random, b->chunks);
	} else {
		chunk = b->next_chunk++;
		if (b->next_chunk == b->chunks)
			b->next_chunk = 0;
	}
	return b->verify_map.entries ? verify_map_take(&b->verify_map, chunk) : chunk;
}

static bool pick_write(struct bench *b)
{
	if (!b->plan->reads || !b->plan->writes)
		return b->plan->writes;
	return random_next(&b->random) >> 63;
}

static void set_block(uint8_t *cdb, uint8_t length, uint64_t block)
{
	if (length == 10)
		put_be32(&cdb[2], (uint32_t)block);
	else
		put_be64(&cdb[2], block);
}

static void bench_fill(struct worker *w)
{
	const struct bench *b = w->bench;
	const struct scsi_cdb *cdb = w->write ? &b->write_cdb : &b->read_cdb;
	struct hba_task *t = w->task;

	memcpy(t->cdb, cdb->bytes, sizeof(t->cdb));
	set_block(t->cdb, cdb->length, w->chunk * b->chunk_blocks);
	t->cdb_len = cdb->length;
	t->direction = w->write ? HBA_TO_TARGET : HBA_FROM_TARGET;
	t->mode = HBA_DATA_REGION;
	t->data.pieces = &w->piece;
	t->n_data = 1;
	t->length = b->plan->bytes;
}

static void error_seen(struct bench *b, const char *what, const char *why, const char *detail)
{
	if (b->result->errors++ == 0)
		snprintf(b->result->first_error, sizeof(b->result->first_error), "%s: %s%s%s", what,
			 why, detail[0] ? ": " : "", detail);
}

static void command_done(struct hba_task *t, const struct hba_result *r, void *arg);

static void bench_send(struct worker *w)
{
	struct bench *b = w->bench;

	if (w->write && b->verify_map.entries)
		verify_map_fill(&b->verify_map, w->chunk, w->data);
	bench_fill(w);
	w->sent_ns = b->now;
	if (hba_submit(w->task, command_done, w) == 0) {
		b->out++;
		return;
	}
	if (b->verify_map.entries)
		verify_map_give_back(&b->verify_map, w->chunk);
	error_seen(b, "a command cannot be sent", hba_error(), "");
	b->phase = PHASE_DRAIN; /* the next one could not either */
}

static void send_next(struct worker *w)
{
	struct bench *b = w->bench;

	if (b->phase == PHASE_MEASURE && b->now < b->end) {
		w->chunk = pick(b);
		w->write = pick_write(b);
		bench_send(w);
	} else if (b->phase == PHASE_CHECK) {
		w->chunk = verify_map_next_known(&b->verify_map, b->next_chunk);
		b->next_chunk = w->chunk < b->chunks ? w->chunk + 1 : b->chunks;
		w->write = false;
		if (w->chunk < b->chunks)
			bench_send(w);
	}
}

/* ---- coming back */

/*
 * The unit is held until it is known which disk is there. Whichever it is, nothing of this load
 * goes to it.
 */
static void notice_change(struct bench *b, const struct hba_result *r)
{
	struct scsi_sense sense;

	if (r->outcome != HBA_CHECK_CONDITION ||
	    scsi_sense_read(r->sense, r->sense_len, &sense) < 0)
		return;
	if (sense.key != SCSI_UNIT_ATTENTION ||
	    sense.asc >> ASC_SHIFT != SCSI_ASC_MEDIUM_MAY_HAVE_CHANGED >> ASC_SHIFT)
		return;
	b->other_disk = true;
	b->phase = PHASE_DRAIN;
}

/*
 * Only the first is put into words: a disk that fails may do so a hundred thousand times a second.
 */
static void failed(const struct worker *w, const struct hba_result *r)
{
	char outcome[CLI_WORDS], sense[CLI_WORDS] = "", name[CLI_WORDS], what[2 * CLI_WORDS];

	cli_command_name(w->task->cdb, w->task->cdb_len, name);
	snprintf(what, sizeof(what), "%s at block %ju", name,
		 (uintmax_t)(w->chunk * w->bench->chunk_blocks));
	cli_outcome_name(r->outcome, outcome);
	if (r->outcome == HBA_CHECK_CONDITION)
		cli_sense_words(r->sense, r->sense_len, sense);
	if (r->outcome == HBA_GOOD)
		snprintf(sense, sizeof(sense), "%ju bytes moved", (uintmax_t)r->bytes);
	error_seen(w->bench, what, outcome, sense);
}

static void verify(const struct worker *w, bool good)
{
	struct bench *b = w->bench;
	enum verify_map_verdict v;

	if (w->write && good)
		verify_map_wrote(&b->verify_map, w->chunk, w->data);
	else if (w->write)
		verify_map_forget(&b->verify_map, w->chunk);
	else if (good) {
		v = verify_map_check(&b->verify_map, w->chunk, w->data);
		b->result->verified += v == LEDGER_SAME;
		b->result->different += v == LEDGER_DIFFERENT;
		if (v == LEDGER_DIFFERENT)
			error_seen(b, "READ", "other data than were there before", "");
	}
	if (b->phase != PHASE_CHECK)
		verify_map_give_back(&b->verify_map, w->chunk);
}

static void command_done(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct worker *w = arg;
	struct bench *b = w->bench;
	bool good = r->outcome == HBA_GOOD && r->bytes == b->plan->bytes;

	(void)t;
	if (!b->now_is_fresh) {
		b->now = clock_monotonic.now(&clock_monotonic);
		b->now_is_fresh = true;
	}
	b->out--;
	b->result->ended++;
	if (!good) {
		failed(w, r);
		notice_change(b, r);
	}
	if (b->phase != PHASE_CHECK && good) {
		b->result->commands++;
		histogram_add(&b->result->latency, b->now - w->sent_ns);
	}
	if (b->verify_map.entries)
		verify(w, good);
	send_next(w);
}

/* ---- the loop */

/* A look at the signals costs a system call, so it is taken only now and then. */
static void look_around(struct bench *b)
{
	if (!b->now_is_fresh)
		b->now = clock_monotonic.now(&clock_monotonic);
	if (b->now - b->looked < (uint64_t)LOOK_MS * NS_PER_MS)
		return;
	b->looked = b->now;
	cli_note_events(b->session);
	if (!cli_interrupted(b->session))
		return;
	b->phase = PHASE_DRAIN;
	cli_stop(b->session);
}

static void run_until_all_back(struct bench *b)
{
	while (b->out) {
		b->now_is_fresh = false;
		if (hba_controller_run(b->session->controller, RUN_BUDGET) < 0) {
			b->session->over = true;
			return;
		}
		look_around(b);
	}
}

static void run_phase(struct bench *b, enum phase phase)
{
	b->phase = phase;
	b->next_chunk = 0;
	b->now = clock_monotonic.now(&clock_monotonic);
	b->now_is_fresh = true;
	b->looked = b->now;
	cli_note_events(b->session);
	for (uint32_t i = 0; i < b->n_workers && b->phase == phase; i++)
		send_next(&b->workers[i]);
	run_until_all_back(b);
}

static int outcome(const struct bench *b)
{
	struct hba_lun_info info;

	hba_lun_get_info(b->lun, &info);
	if (b->session->signal)
		return cli_say_interrupted(b->session, "bench");
	if (b->session->over)
		return cli_fail("%s: the controller went away after %ju commands", b->session->uri,
				(uintmax_t)b->result->commands);
	if (b->other_disk || info.generation != b->generation)
		return cli_other_disk(b->session, b->lun, "bench");
	return 0;
}

static int measure(struct bench *b)
{
	uint64_t begun = clock_monotonic.now(&clock_monotonic);
	int r;

	b->end = begun + b->plan->ns;
	run_phase(b, PHASE_MEASURE);
	b->result->ns = b->now - begun;
	r = outcome(b);
	if (r || !b->verify_map.entries || !b->plan->writes || b->phase == PHASE_DRAIN)
		return r;
	run_phase(b, PHASE_CHECK);
	return outcome(b);
}

/* ---- before and after */

static int build_cdbs(struct bench *b)
{
	struct scsi_rw rw = { .block = (b->chunks - 1) * b->chunk_blocks,
			      .count = b->chunk_blocks };
	int r;

	/* Built for the last block, so that the length chosen fits all. */
	rw.direction = HBA_FROM_TARGET;
	r = scsi_cdb_rw(&rw, 0, &b->read_cdb);
	rw.direction = HBA_TO_TARGET;
	return r < 0 ? r : scsi_cdb_rw(&rw, 0, &b->write_cdb);
}

static int take_tasks(struct bench *b)
{
	uint8_t *address = hba_mapping_address(b->memory);

	for (; b->n_workers < b->plan->depth; b->n_workers++) {
		struct worker *w = &b->workers[b->n_workers];
		int r = hba_task_get(b->lun, 0, NULL, &w->task);

		if (r < 0)
			return cli_library_failed(b->session, NULL);
		if (r > 0)
			return cli_fail(
				"%s: the unit takes %u commands at a time; give --depth %u or less",
				b->session->uri, b->n_workers, b->n_workers);
		w->bench = b;
		w->data = address + (size_t)b->n_workers * b->plan->bytes;
		w->piece = (struct hba_piece) {
			.region = hba_mapping_region(b->memory),
			.length = b->plan->bytes,
			.offset = (uint64_t)b->n_workers * b->plan->bytes,
		};
	}
	return 0;
}

static int begin_ledger(struct bench *b)
{
	if (b->chunks > LEDGER_MAX_CHUNKS)
		b->chunks = LEDGER_MAX_CHUNKS;
	if (b->chunks < b->plan->depth)
		return cli_fail("%s: --verify needs a chunk for each command; this unit has %ju "
				"for --depth %u",
				b->session->uri, (uintmax_t)b->chunks, b->plan->depth);
	return verify_map_begin(&b->verify_map, b->chunks, b->plan->bytes) < 0
		       ? cli_fail("no memory to verify %ju chunks", (uintmax_t)b->chunks)
		       : 0;
}

static int bench_begin(struct bench *b)
{
	int r = b->plan->verify ? begin_ledger(b) : 0;

	if (r)
		return r;
	if (build_cdbs(b) < 0)
		return cli_fail("%s: no CDB holds --bs %u", b->session->uri, b->plan->bytes);
	b->workers = calloc(b->plan->depth, sizeof(*b->workers));
	if (!b->workers)
		return cli_fail("no memory for --depth %u", b->plan->depth);
	if (hba_mapping_create(b->session->controller, HBA_DEVICE_BOTH,
			       (size_t)b->plan->depth * b->plan->bytes, BUFFER_ALIGNMENT,
			       &b->memory) < 0)
		return cli_library_failed(b->session, "no memory for --depth times --bs");
	return take_tasks(b);
}

static void bench_finish(struct bench *b)
{
	/*
	 * Over with tasks out: nobody vouches that the device has let go, so they keep what is
	 * theirs.
	 */
	if (b->out)
		return;
	for (uint32_t i = 0; i < b->n_workers; i++)
		hba_task_put(b->workers[i].task);
	hba_mapping_release(b->memory);
	free(b->workers);
	verify_map_end(&b->verify_map);
}

int bench_run(struct cli_session *s, struct hba_lun *lun, const struct bench_plan *plan,
	      struct bench_result *result)
{
	struct bench b = {
		.session = s, .lun = lun, .plan = plan, .result = result, .random = SEED
	};
	struct hba_lun_info info;
	int r;

	hba_lun_get_info(lun, &info);
	b.generation = info.generation;
	b.chunk_blocks = plan->bytes / info.block_bytes;
	b.chunks = info.blocks / b.chunk_blocks;
	r = bench_begin(&b);
	if (r == 0)
		r = measure(&b);
	bench_finish(&b);
	return r;
}
