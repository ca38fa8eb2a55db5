/* SPDX-License-Identifier: MIT */
/*
 * rescue.c: reads what can be read of a disk with bad blocks. The order is ddrescue's: first all
 * that reads well, with many large requests out; then, one request at a time, what failed, cut down
 * to single blocks. A disk that is dying gives most of its data early.
 *
 * The map is saved every half minute and at the end, after the data that it calls rescued: what it
 * says holds after a power loss.
 */
#include "cli/rescue.h"

#include "cli/rescue-map.h"

#include "base/base.h"
#include "scsi/scsi.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SAVE_S = 30, NEW_FILE_MODE = 0666, WHY = 128, MAX_MAP_BYTES = 64 << 20 };

static const char untried[] = "?", unsplit[] = "*/", unfinished[] = "?*/", bad[] = "-",
		  rescued[] = "+";

/** struct piece - Part of a range that failed, still to be read by itself. */
struct piece {
	uint64_t begin, end;
};

struct rescue {
	const struct rescue_plan *plan;
	struct cli_session *session;
	const struct hba_lun_info *info;
	struct cli_stream stream;
	struct cli_progress progress;
	struct rescue_map map;
	/* a stack. They are parts of one chunk, so its blocks are room enough */
	struct piece *pieces;
	size_t n_pieces;
	int output;
	uint64_t next, tried, saved_ns, bytes;
	char status; /* of the work, as the map has it */
};

/* ---- the files */

static int save_map(struct rescue *r)
{
	struct cli_file f = { .own = false };
	size_t length = 0;
	autofree char *text = rescue_map_text(&r->map, r->status, &length);
	int failed;

	if (fsync(r->output) < 0)
		return cli_fail("%s: %s", r->plan->output, strerror(errno));
	if (!text)
		return cli_fail("%s: no memory for the map", r->plan->map);
	failed = cli_open_output(r->session, r->plan->map, &f);
	if (failed)
		return failed;
	failed = cli_write_all(r->session, &f, (const uint8_t *)text, length);
	if (failed)
		cli_fail("%s: %s", r->plan->map, strerror(-failed));
	else
		failed = cli_keep_file(&f);
	cli_close_file(&f);
	r->saved_ns = clock_monotonic.now(&clock_monotonic);
	return failed ? CLI_FAILED : 0;
}

static int save_map_if_due(struct rescue *r)
{
	return clock_monotonic.now(&clock_monotonic) - r->saved_ns < SAVE_S * NS_PER_S
		       ? 0
		       : save_map(r);
}

static int read_map(struct rescue *r, FILE *f)
{
	char why[WHY] = "";
	struct stat st;
	int failed;

	if (fstat(fileno(f), &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > MAX_MAP_BYTES)
		return cli_fail("%s: a map is a regular file of at most %d MiB", r->plan->map,
				MAX_MAP_BYTES >> 20);
	failed = rescue_map_read(&r->map, f, r->info->block_bytes, why);
	if (failed == -EINVAL)
		return cli_fail("%s: %s", r->plan->map, why);
	return failed ? cli_fail("%s: %s", r->plan->map, strerror(-failed)) : 0;
}

/*
 * A map without its data, or data without their map: whatever is read would be put beside bytes of
 * unknown origin.
 */
static int check_pair(const struct rescue *r, bool has_map, uint64_t size)
{
	struct rescue_area a;
	uint64_t end = 0;

	while (rescue_map_next(&r->map, end, UINT64_MAX, rescued, &a))
		end = a.end;
	if (!has_map && size)
		return cli_fail("%s: has %ju bytes, and there is no map %s of what they are; name "
				"its map, or remove the file",
				r->plan->output, (uintmax_t)size, r->plan->map);
	if (has_map && size < end)
		return cli_fail("%s: ends at %ju bytes, and the map %s has bytes up to %ju as "
				"rescued; it is of another file",
				r->plan->output, (uintmax_t)size, r->plan->map, (uintmax_t)end);
	return 0;
}

static int open_files(struct rescue *r)
{
	FILE *f = fopen(r->plan->map, "re");
	struct stat st;
	int failed = 0;

	if (!f && errno != ENOENT)
		return cli_fail("%s: %s", r->plan->map, strerror(errno));
	if (rescue_map_begin(&r->map, r->info->blocks * r->info->block_bytes) < 0)
		failed = cli_fail("no memory for a map");
	if (f && !failed)
		failed = read_map(r, f);
	if (!failed) {
		r->output =
			open(r->plan->output, O_RDWR | (f ? 0 : O_CREAT) | O_NONBLOCK | O_CLOEXEC,
			     NEW_FILE_MODE);
		if (r->output < 0 || fstat(r->output, &st) < 0)
			failed = cli_fail("%s: %s", r->plan->output, strerror(errno));
		else if (!S_ISREG(st.st_mode))
			failed = cli_fail("%s: --skip-bad needs a regular file, in which bad "
					  "blocks are holes",
					  r->plan->output);
		else
			failed = check_pair(r, f, (uint64_t)st.st_size);
	}
	if (f)
		fclose(f);
	return failed;
}

/*
 * A name that a power loss takes away would leave a map of nothing. Bad blocks at the end are a
 * hole, too.
 */
static int prepare_output(struct rescue *r)
{
	struct stat st;
	int failed = 0;

	if (fstat(r->output, &st) < 0)
		failed = -errno;
	else if ((uint64_t)st.st_size < r->plan->end &&
		 ftruncate(r->output, (off_t)r->plan->end) < 0)
		failed = -errno;
	if (failed == 0)
		failed = sync_directory_of(r->plan->output);
	return failed ? cli_fail("%s: %s", r->plan->output, strerror(-failed)) : save_map(r);
}

/* ---- one request */

/*
 * The disk cannot read, or takes for ever. Whatever else goes wrong is not about these blocks, and
 * ends the rescue.
 */
static bool is_bad(const struct hba_disk_io *io)
{
	struct scsi_sense sense;

	if (io->error == -ETIMEDOUT)
		return true;
	if (io->result.outcome != HBA_CHECK_CONDITION ||
	    scsi_sense_read(io->result.sense, io->result.sense_len, &sense) < 0)
		return false;
	return !sense.deferred &&
	       (sense.key == SCSI_MEDIUM_ERROR || sense.key == SCSI_HARDWARE_ERROR ||
		sense.key == SCSI_ABORTED_COMMAND);
}

static int mark(struct rescue *r, uint64_t begin, uint64_t end, char status)
{
	r->map.at = begin;
	return rescue_map_mark(&r->map, begin, end, status) < 0
		       ? cli_fail("no memory for the map; it is saved as far as it goes")
		       : 0;
}

static int settle(struct rescue *r, uint64_t begin, uint64_t end, char status)
{
	r->tried += end - begin;
	cli_progress_show(&r->progress, r->tried);
	return mark(r, begin, end, status);
}

static int keep_data(struct rescue *r, const struct cli_slot *slot)
{
	for (uint64_t at = 0; at < slot->io.length;) {
		ssize_t n = pwrite(r->output, slot->data + at, slot->io.length - at,
				   (off_t)(slot->io.offset + at));

		if (n < 0 && errno != EINTR)
			return cli_fail("%s: %s; the map is kept, and the rescue can go on",
					r->plan->output, strerror(errno));
		at += n > 0 ? (uint64_t)n : 0;
	}
	r->bytes += slot->io.length;
	return settle(r, slot->io.offset, slot->io.offset + slot->io.length, AREA_RESCUED);
}

/*
 * 0 and the oldest request, which has come back; it is the caller's until cli_stream_give_back().
 */
static int wait_oldest(struct rescue *r, struct cli_slot **ret_slot)
{
	while (!(*ret_slot = cli_stream_oldest(&r->stream))) {
		if (cli_interrupted(r->session))
			return cli_say_interrupted(r->session, "read");
		if (r->session->over)
			return cli_fail("%s: the controller went away; the map is kept, and the "
					"rescue can go on",
					r->session->uri);
		cli_wait(r->session, -1, 0);
	}
	return 0;
}

static int rescue_send(struct rescue *r, uint64_t begin, uint64_t end)
{
	struct cli_slot *slot = cli_stream_free_slot(&r->stream);
	int failed = cli_stream_send(&r->stream, slot, HBA_DISK_READ, begin, end - begin);

	return failed < 0 ? cli_disk_error(r->session, &slot->io, "READ", failed) : 0;
}

/* ---- first, what reads well */

static int send_more(struct rescue *r)
{
	struct rescue_area a;
	int failed = 0;

	while (!failed && cli_stream_free_slot(&r->stream) &&
	       rescue_map_next(&r->map, r->next, r->plan->end, untried, &a)) {
		if (a.end - a.begin > r->stream.chunk)
			a.end = a.begin + r->stream.chunk;
		failed = rescue_send(r, a.begin, a.end);
		r->next = a.end;
	}
	return failed;
}

static int take_back(struct rescue *r, const struct cli_slot *slot)
{
	const struct hba_disk_io *io = &slot->io;

	if (io->error == 0)
		return keep_data(r, slot);
	if (!is_bad(io))
		return cli_disk_error(r->session, io, "READ", io->error);
	if (io->length == r->info->block_bytes)
		return settle(r, io->offset, io->offset + io->length, AREA_BAD);
	return mark(r, io->offset, io->offset + io->length, AREA_UNTRIMMED);
}

static int copy(struct rescue *r)
{
	struct cli_slot *slot;
	int failed;

	r->status = AREA_UNTRIED;
	r->next = r->plan->begin;
	for (;;) {
		failed = send_more(r);
		if (failed || cli_stream_is_empty(&r->stream))
			return failed;
		failed = wait_oldest(r, &slot);
		if (!failed)
			failed = take_back(r, slot);
		if (failed)
			return failed;
		cli_stream_give_back(&r->stream);
		failed = save_map_if_due(r);
		if (failed)
			return failed;
	}
}

/* ---- then what failed, block by block */

static void push(struct rescue *r, uint64_t begin, uint64_t end)
{
	if (begin < end)
		r->pieces[r->n_pieces++] = (struct piece) { begin, end };
}

/*
 * Into parts that are read by themselves. INFORMATION names the first bad block, and is only a hint
 * for the place of the cut: a disk that names a good one costs a few reads more. Each part is
 * smaller than the whole, so this ends.
 */
static void cut(struct rescue *r, const struct hba_disk_io *io)
{
	uint64_t block = r->info->block_bytes, first = io->offset / block, n = io->length / block,
		 at = n / 2, end = io->offset + io->length;
	struct scsi_sense sense;

	if (io->result.outcome == HBA_CHECK_CONDITION &&
	    scsi_sense_read(io->result.sense, io->result.sense_len, &sense) == 0 &&
	    sense.has_information && sense.information >= first && sense.information - first < n) {
		at = sense.information - first;
		push(r, io->offset + (at + 1) * block, end);
		end = io->offset + (at + 1) * block;
	}
	push(r, io->offset + at * block, end);
	push(r, io->offset, io->offset + at * block);
}

static int try_piece(struct rescue *r)
{
	struct piece p = r->pieces[--r->n_pieces];
	struct cli_slot *slot = NULL;
	int failed = rescue_send(r, p.begin, p.end);

	if (!failed)
		failed = wait_oldest(r, &slot);
	if (failed)
		return failed;
	if (slot->io.error == 0 || !is_bad(&slot->io) || slot->io.length == r->info->block_bytes)
		failed = take_back(r, slot);
	else
		cut(r, &slot->io);
	cli_stream_give_back(&r->stream);
	return failed ? failed : save_map_if_due(r);
}

static int split(struct rescue *r)
{
	struct rescue_area a;
	int failed = 0;

	r->status = AREA_UNTRIMMED;
	while (!failed && rescue_map_next(&r->map, r->plan->begin, r->plan->end, unsplit, &a)) {
		push(r, a.begin,
		     a.end - a.begin > r->stream.chunk ? a.begin + r->stream.chunk : a.end);
		while (!failed && r->n_pieces)
			failed = try_piece(r);
	}
	return failed;
}

/* ---- the result */

static int print_json(const struct rescue *r, uint64_t ok, uint64_t lost, uint64_t areas)
{
	uint64_t ns = clock_monotonic.now(&clock_monotonic) - r->progress.begun_ns;
	struct json_object *o = json_object_new_object();

	cli_json_number(o, "target", r->info->target);
	cli_json_lun(o, r->info);
	cli_json_number(o, "offset", r->plan->begin);
	cli_json_number(o, "bytes", r->bytes);
	cli_json_number(o, "rescued_bytes", ok);
	cli_json_number(o, "bad_bytes", lost);
	cli_json_number(o, "bad_areas", areas);
	cli_json_text(o, "map", r->plan->map);
	cli_json_number(o, "commands", r->stream.commands);
	cli_json_double(o, "seconds", (double)ns / (double)NS_PER_S);
	cli_json_double(o, "bytes_per_s",
			ns ? (double)r->bytes * (double)NS_PER_S / (double)ns : 0);
	cli_json_conduct(o, r->session);
	return cli_json_print(o);
}

static int print_result(const struct rescue *r)
{
	uint64_t areas, lost = rescue_map_count(&r->map, r->plan->begin, r->plan->end, bad, &areas);
	uint64_t ok = rescue_map_count(&r->map, r->plan->begin, r->plan->end, rescued, NULL);

	if (r->plan->json)
		return print_json(r, ok, lost, areas);
	printf("%s: rescued %ju of %ju bytes; %ju bad blocks in %ju areas; map %s\n",
	       r->session->uri, (uintmax_t)ok, (uintmax_t)(r->plan->end - r->plan->begin),
	       (uintmax_t)(lost / r->info->block_bytes), (uintmax_t)areas, r->plan->map);
	return cli_finish_output();
}

static int work(struct rescue *r)
{
	int failed, saved;

	cli_progress_begin(
		&r->progress, "rescuing",
		rescue_map_count(&r->map, r->plan->begin, r->plan->end, unfinished, NULL));
	failed = copy(r);
	if (!failed)
		failed = split(r);
	cli_progress_end(&r->progress);
	if (!failed)
		r->status = AREA_RESCUED;
	saved = save_map(r);
	return failed ? failed : saved ? saved : print_result(r);
}

int rescue_unit(const struct rescue_plan *plan, struct cli_session *s, struct hba_lun *lun,
		const struct hba_lun_info *info)
{
	struct rescue r = {
		.plan = plan, .session = s, .info = info, .output = -1, .status = AREA_UNTRIED
	};
	uint64_t chunk = cli_unit_max_transfer(s, info, CLI_STREAM_CHUNK);
	int failed = open_files(&r);

	r.pieces = calloc(chunk / info->block_bytes, sizeof(*r.pieces));
	if (!failed && !r.pieces)
		failed = cli_fail("no memory for the blocks of one request");
	if (!failed)
		failed = prepare_output(&r);
	if (!failed)
		failed = cli_stream_begin(&r.stream, s, lun, info, chunk);
	if (!failed) {
		failed = work(&r);
		cli_stream_end(&r.stream);
	}
	if (r.output >= 0)
		close(r.output);
	free(r.pieces);
	rescue_map_end(&r.map);
	return failed;
}
