/* SPDX-License-Identifier: MIT */
/*
 * cmd-write.c: `hbakit write URI`: from a file or a pipe to a unit, flushed at the end.
 *
 * With --verify each chunk is read back and compared as soon as it is written, because what came
 * from a pipe is not there twice.
 */
#include "cli/cli.h"

#include "base/base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_OFFSET = 0x100, KEY_VERIFY };

struct arguments {
	struct cli_common common;
	uint64_t offset;
	const char *input;
	bool verify;
};

static error_t write_take(struct cli_common *common, int key, char *arg)
{
	struct arguments *a = container_of(common, struct arguments, common);

	switch (key) {
	case KEY_OFFSET:
		return cli_take_size("--offset", arg, &a->offset);
	case KEY_VERIFY:
		a->verify = true;
		return 0;
	case 'i':
		a->input = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- */

struct job {
	struct cli_session *session;
	struct hba_lun_info info;
	struct cli_stream stream;
	struct cli_file input;
	struct cli_progress progress;
	uint8_t *back; /* what was read back, one chunk; NULL: not wanted */
	uint64_t begin, next, end, done, verified;
	bool at_end; /* of the input */
	bool told;   /* of the disk: one line, however many commands fail */
};

static int disk_error(struct job *j, const struct hba_disk_io *io, const char *what, int error)
{
	if (j->told)
		return CLI_FAILED;
	j->told = true;
	return cli_disk_error(j->session, io, what, error);
}

static int interrupted(const struct job *j)
{
	return cli_say_interrupted(j->session, "write");
}

static int check_input(struct job *j, ssize_t got)
{
	uint64_t beyond = j->end - j->next;
	char unit[CLI_UNIT_NAME];

	cli_unit_name(&j->info, unit);
	if (got == -EINTR)
		return interrupted(j);
	if (got < 0)
		return cli_fail("%s: %s", j->input.name, strerror((int)-got));
	if ((uint64_t)got > beyond)
		return cli_fail("%s: unit %s ends at %ju bytes, and %s is longer; the data that "
				"fit was written",
				j->session->uri, unit, (uintmax_t)j->end, j->input.name);
	if ((size_t)got % j->info.block_bytes)
		return cli_fail("%s: its length is no multiple of %u bytes, the unit's block; the "
				"last %zu bytes are not written",
				j->input.name, j->info.block_bytes,
				(size_t)got % j->info.block_bytes);
	return 0;
}

/* Takes one chunk from the input. What fits and is whole goes out even if the rest is refused. */
static int send_next(struct job *j, struct cli_slot *slot)
{
	ssize_t got = cli_read_full(j->session, &j->input, slot->data, j->stream.chunk);
	int bad = check_input(j, got), r;
	uint64_t n = got > 0 ? (uint64_t)got : 0;

	j->at_end = got < 0 || n < j->stream.chunk || bad;
	if (n > j->end - j->next)
		n = j->end - j->next;
	n -= n % j->info.block_bytes;
	if (got < 0 || n == 0)
		return bad;
	r = cli_stream_send(&j->stream, slot, HBA_DISK_WRITE, j->next, n);
	if (r < 0)
		return disk_error(j, &slot->io, "WRITE", r);
	j->next += n;
	return bad;
}

/* The data that the unit accepted are flushed even if the rest failed. */
static int flush(struct job *j)
{
	struct hba_disk_io io = { .lun = j->stream.lun,
				  .op = HBA_DISK_FLUSH,
				  .generation = j->stream.generation };
	int r = hba_disk_do(&io);

	return r < 0 ? disk_error(j, &io, "SYNCHRONIZE CACHE", r) : 0;
}

static size_t first_difference(const uint8_t *a, const uint8_t *b, size_t n)
{
	size_t at = 0;

	while (at < n && a[at] == b[at])
		at++;
	return at;
}

static int verify(struct job *j, const struct cli_slot *slot)
{
	uint64_t offset = slot->io.offset, length = slot->io.length;
	struct hba_disk_io io = { .lun = j->stream.lun,
				  .op = HBA_DISK_READ,
				  .offset = offset,
				  .length = length,
				  .mode = HBA_DATA_CPU,
				  .generation = j->stream.generation,
				  .data = { .buffer = j->back } };
	int r = hba_disk_do(&io);

	if (r < 0)
		return disk_error(j, &io, "READ for --verify", r);
	if (memcmp(j->back, slot->data, length)) {
		j->told = true;
		return cli_fail(
			"%s: byte %ju reads back other data than were written; the unit or its "
			"path is broken",
			j->session->uri,
			(uintmax_t)(offset + first_difference(j->back, slot->data, length)));
	}
	j->verified += length;
	return 0;
}

static int take_back(struct job *j, const struct cli_slot *slot)
{
	int r = 0;

	if (slot->io.error < 0)
		return disk_error(j, &slot->io, "WRITE", slot->io.error);
	if (j->back)
		r = verify(j, slot);
	j->done += slot->io.length;
	cli_progress_show(&j->progress, j->done);
	cli_stream_give_back(&j->stream);
	return r;
}

/* One step: a chunk back, a chunk sent, or a wait. */
static int step(struct job *j)
{
	struct cli_slot *slot = cli_stream_oldest(&j->stream), *fresh;

	if (slot)
		return take_back(j, slot);
	if (cli_interrupted(j->session))
		return interrupted(j);
	if (j->session->over)
		return cli_fail("%s: the controller went away after %ju bytes", j->session->uri,
				(uintmax_t)j->done);
	fresh = j->at_end ? NULL : cli_stream_free_slot(&j->stream);
	if (fresh)
		return send_next(j, fresh);
	cli_wait(j->session, -1, 0);
	return 0;
}

/*
 * Commands that are out when the input or another command has failed. A line about the input alone
 * would mean that all before its end is written.
 */
static void drain(struct job *j)
{
	struct cli_slot *slot;

	while (!cli_stream_is_empty(&j->stream) && !j->session->over && !j->session->signal) {
		slot = cli_stream_oldest(&j->stream);
		if (!slot) {
			cli_wait(j->session, -1, 0);
			continue;
		}
		if (slot->io.error < 0)
			(void)disk_error(j, &slot->io, "WRITE", slot->io.error);
		cli_stream_give_back(&j->stream);
	}
}

static int copy(struct job *j)
{
	int r = 0;

	while (r == 0 && (!j->at_end || !cli_stream_is_empty(&j->stream)))
		r = step(j);
	if (r)
		drain(j);
	if (!j->session->over && !j->session->signal && flush(j))
		return CLI_FAILED;
	return r;
}

static int print_json(const struct job *j, uint64_t ns)
{
	struct json_object *o = json_object_new_object();

	cli_json_number(o, "target", j->info.target);
	cli_json_lun(o, &j->info);
	cli_json_number(o, "offset", j->begin);
	cli_json_number(o, "bytes", j->done);
	cli_json_number(o, "commands", j->stream.commands);
	cli_json_number(o, "verified_bytes", j->verified);
	cli_json_double(o, "seconds", (double)ns / (double)NS_PER_S);
	cli_json_double(o, "bytes_per_s", ns ? (double)j->done * (double)NS_PER_S / (double)ns : 0);
	cli_json_conduct(o, j->session);
	return cli_json_print(o);
}

static int write_run(struct job *j, bool json)
{
	uint64_t begun;
	int r;

	cli_progress_begin(&j->progress, "writing", j->input.size);
	begun = j->progress.begun_ns;
	r = copy(j);
	cli_progress_end(&j->progress);
	if (r || !json)
		return r;
	return print_json(j, clock_monotonic.now(&clock_monotonic) - begun);
}

/* ---- */

/*
 * All that can be known before the first byte is written is checked before the first byte is
 * written.
 */
static int write_check(const struct arguments *a, struct job *j)
{
	uint64_t size = j->info.blocks * j->info.block_bytes;
	char unit[CLI_UNIT_NAME];

	cli_unit_name(&j->info, unit);
	if (j->info.block_bytes == 0)
		return cli_fail("%s: unit %s has no medium that could be written", a->common.uri,
				unit);
	if (j->info.read_only)
		return cli_fail("%s: unit %s is read-only; nothing was written", a->common.uri,
				unit);
	if (a->offset % j->info.block_bytes)
		return cli_fail(
			"%s: unit %s has blocks of %u bytes; --offset must be a multiple of that",
			a->common.uri, unit, j->info.block_bytes);
	if (a->offset > size || j->input.size > size - a->offset)
		return cli_fail("%s: unit %s ends at %ju bytes; %ju bytes at --offset %ju go past "
				"it; nothing was written",
				a->common.uri, unit, (uintmax_t)size, (uintmax_t)j->input.size,
				(uintmax_t)a->offset);
	if (j->input.size % j->info.block_bytes)
		return cli_fail("%s: its %ju bytes are no multiple of %u, the unit's block; pad "
				"it; nothing was written",
				j->input.name, (uintmax_t)j->input.size, j->info.block_bytes);
	j->begin = j->next = a->offset;
	j->end = size;
	return 0;
}

static int set_up(const struct arguments *a, struct cli_session *s, struct job *j)
{
	uint64_t chunk;
	struct hba_lun *lun;
	int r = cli_find_unit(s, &a->common.where, &lun, &j->info);

	if (r == 0)
		r = write_check(a, j);
	if (r)
		return r;
	chunk = cli_unit_max_transfer(s, &j->info, CLI_STREAM_CHUNK);
	j->back = a->verify ? malloc(chunk) : NULL;
	if (a->verify && !j->back)
		return cli_fail("no memory for a buffer of %ju bytes", (uintmax_t)chunk);
	return cli_stream_begin(&j->stream, s, lun, &j->info, chunk);
}

static int write_unit(void *arguments, struct cli_session *s)
{
	const struct arguments *a = arguments;
	struct job j = { .session = s };
	int r = cli_open_input(a->input, &j.input);

	if (r)
		return r;
	r = set_up(a, s, &j);
	if (r == 0) {
		r = write_run(&j, a->common.json);
		cli_stream_end(&j.stream);
	}
	cli_close_file(&j.input);
	free(j.back);
	return r;
}

static const struct argp_option options[] = {
	{ "offset", KEY_OFFSET, "N", 0, "Begin at byte N of the unit (default: 0)", 0 },
	{ "input", 'i', "FILE", 0, "Read from FILE (default, and -: standard input)", 0 },
	{ "verify", KEY_VERIFY, NULL, 0, "Read everything back and compare", 0 },
	{ 0 },
};

static int run_write(int argc, char **argv)
{
	struct arguments a = { .offset = 0 };
	int r = cli_parse(&cmd_write, argc, argv, &a.common);

	if (r == 0 && a.input && strcmp(a.input, "-"))
		r = cli_guard_output(a.input, a.common.uri, "input");
	return r ? r : cli_with_controller(&a.common, write_unit, &a);
}

const struct cli_command cmd_write = {
	.name = "write",
	.summary = "copy from a file or a pipe to a unit",
	.arguments = "URI",
	.doc = "Copy from a file or a pipe to a logical unit, and flush its cache. What was there "
	       "before is gone.",
	.asks = CLI_ASKS_CONTROLLER | CLI_ASKS_UNIT,
	.options = options,
	.take = write_take,
	.run = run_write,
};
