/* SPDX-License-Identifier: MIT */
/*
 * cmd-read.c: `hbakit read URI`: from a unit to a file or a pipe, 32 requests ahead of the writer.
 */
#include "cli/cli.h"
#include "cli/rescue.h"

#include "base/base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_OFFSET = 0x100, KEY_LENGTH, KEY_SKIP_BAD };

struct arguments {
	struct cli_common common;
	bool has_length;
	uint64_t offset, length;
	const char *output;
	bool skip_bad;
	const char *map; /* NULL: beside the output */
};

static error_t read_take(struct cli_common *common, int key, char *arg)
{
	struct arguments *a = container_of(common, struct arguments, common);

	switch (key) {
	case KEY_OFFSET:
		return cli_take_size("--offset", arg, &a->offset);
	case KEY_LENGTH:
		a->has_length = true;
		return cli_take_size("--length", arg, &a->length);
	case 'o':
		a->output = arg;
		return 0;
	case KEY_SKIP_BAD:
		a->skip_bad = true;
		a->map = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- */

struct job {
	struct cli_session *session;
	struct cli_stream stream;
	struct cli_file output;
	struct cli_progress progress;
	uint64_t begin, next, end, written;
};

static int send_more(struct job *j)
{
	struct cli_slot *slot;
	uint64_t n;
	int r;

	while (j->next < j->end && (slot = cli_stream_free_slot(&j->stream))) {
		n = j->end - j->next < j->stream.chunk ? j->end - j->next : j->stream.chunk;
		r = cli_stream_send(&j->stream, slot, HBA_DISK_READ, j->next, n);
		if (r < 0)
			return cli_disk_error(j->session, &slot->io, "READ", r);
		j->next += n;
	}
	return 0;
}

static int output_error(const struct job *j, int error)
{
	if (error == -EINTR)
		return cli_say_interrupted(j->session, "read");
	if (error == -EPIPE)
		return cli_fail("%s: its reader has gone after %ju bytes; the copy is not complete",
				j->output.name, (uintmax_t)j->output.written);
	return cli_fail("%s: %s after %ju bytes; %s", j->output.name, strerror(-error),
			(uintmax_t)j->output.written, cli_file_fate(&j->output));
}

static int write_out(struct job *j, const struct cli_slot *slot)
{
	int r;

	if (slot->io.error < 0)
		return cli_disk_error(j->session, &slot->io, "READ", slot->io.error);
	r = cli_write_all(j->session, &j->output, slot->data, slot->io.length);
	if (r < 0)
		return output_error(j, r);
	j->written += slot->io.length;
	cli_progress_show(&j->progress, j->written);
	cli_stream_give_back(&j->stream);
	return 0;
}

static int copy(struct job *j)
{
	struct cli_slot *slot;
	int r = 0;

	while (r == 0 && j->written < j->end - j->begin) {
		r = send_more(j);
		if (r)
			break;
		slot = cli_stream_oldest(&j->stream);
		if (slot)
			r = write_out(j, slot);
		else if (cli_interrupted(j->session))
			r = cli_say_interrupted(j->session, "read");
		else if (j->session->over)
			r = cli_fail("%s: the controller went away after %ju bytes",
				     j->session->uri, (uintmax_t)j->written);
		else
			cli_wait(j->session, -1, 0);
	}
	return r;
}

static int print_json(const struct job *j, const struct hba_lun_info *info, uint64_t ns)
{
	struct json_object *o = json_object_new_object();

	cli_json_number(o, "target", info->target);
	cli_json_lun(o, info);
	cli_json_number(o, "offset", j->begin);
	cli_json_number(o, "bytes", j->written);
	cli_json_number(o, "commands", j->stream.commands);
	cli_json_double(o, "seconds", (double)ns / (double)NS_PER_S);
	cli_json_double(o, "bytes_per_s",
			ns ? (double)j->written * (double)NS_PER_S / (double)ns : 0);
	cli_json_conduct(o, j->session);
	return cli_json_print(o);
}

static int read_run(struct job *j, const struct arguments *a, const struct hba_lun_info *info)
{
	uint64_t begun;
	int r = cli_open_output(j->session, a->output, &j->output);

	if (r)
		return r;
	cli_progress_begin(&j->progress, "reading", j->end - j->begin);
	begun = j->progress.begun_ns;
	r = copy(j);
	cli_progress_end(&j->progress);
	if (r == 0)
		r = cli_keep_file(&j->output);
	cli_close_file(&j->output);
	if (r || !a->common.json)
		return r;
	return print_json(j, info, clock_monotonic.now(&clock_monotonic) - begun);
}

/* ---- */

static int take_range(const struct arguments *a, const struct hba_lun_info *info, struct job *j)
{
	uint64_t size = info->blocks * info->block_bytes, length;
	char unit[CLI_UNIT_NAME];

	cli_unit_name(info, unit);
	if (info->block_bytes == 0)
		return cli_fail("%s: unit %s has no medium that could be read", a->common.uri,
				unit);
	length = a->has_length || a->offset > size ? a->length : size - a->offset;
	if (a->offset % info->block_bytes || length % info->block_bytes)
		return cli_fail("%s: unit %s has blocks of %u bytes; --offset and --length must be "
				"multiples of that",
				a->common.uri, unit, info->block_bytes);
	if (!a->has_length && a->offset >= size)
		return cli_fail("%s: unit %s ends at %ju bytes; there is nothing to read from "
				"--offset %ju on",
				a->common.uri, unit, (uintmax_t)size, (uintmax_t)a->offset);
	if (a->offset > size || length > size - a->offset)
		return cli_fail(
			"%s: unit %s ends at %ju bytes; --offset %ju and --length %ju go past it",
			a->common.uri, unit, (uintmax_t)size, (uintmax_t)a->offset,
			(uintmax_t)length);
	j->begin = j->next = a->offset;
	j->end = a->offset + length;
	return 0;
}

static int rescue(const struct arguments *a, const struct job *j, struct hba_lun *lun,
		  const struct hba_lun_info *info)
{
	struct rescue_plan plan = { .output = a->output,
				    .map = a->map,
				    .begin = j->begin,
				    .end = j->end,
				    .json = a->common.json };

	return rescue_unit(&plan, j->session, lun, info);
}

static int read_unit(void *arguments, struct cli_session *s)
{
	const struct arguments *a = arguments;
	struct job j = { .session = s };
	struct hba_lun_info info;
	struct hba_lun *lun;
	int r = cli_find_unit(s, &a->common.where, &lun, &info);

	if (r == 0)
		r = take_range(a, &info, &j);
	if (r == 0 && a->skip_bad)
		return rescue(a, &j, lun, &info);
	if (r == 0)
		r = cli_stream_begin(&j.stream, s, lun, &info,
				     cli_unit_max_transfer(s, &info, CLI_STREAM_CHUNK));
	if (r)
		return r;
	r = read_run(&j, a, &info);
	cli_stream_end(&j.stream);
	return r;
}

static const struct argp_option options[] = {
	{ "offset", KEY_OFFSET, "N", 0, "Begin at byte N (default: 0)", 0 },
	{ "length", KEY_LENGTH, "N", 0, "Read N bytes (default: to the end)", 0 },
	{ "output", 'o', "FILE", 0, "Write to FILE (default, and -: standard output)", 0 },
	{ "skip-bad", KEY_SKIP_BAD, "FILE.map", OPTION_ARG_OPTIONAL,
	  "Go on behind bad blocks, and keep a map of them as GNU ddrescue does (default: the "
	  "output's name and .map); go on where a map stopped",
	  0 },
	{ 0 },
};

static bool is_same(const char *a, const char *b)
{
	struct stat of_a, of_b;

	if (strcmp(a, b) == 0)
		return true;
	return stat(a, &of_a) == 0 && stat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev &&
	       of_a.st_ino == of_b.st_ino;
}

static int check_map(const struct arguments *a)
{
	if (!*a->map || is_same(a->map, a->output))
		return cli_usage("--skip-bad=%s: the map needs a file of its own", a->map);
	return cli_guard_output(a->map, a->common.uri, "map");
}

static int read_check(const struct arguments *a)
{
	bool standard = !a->output || strcmp(a->output, "-") == 0;

	if (a->has_length && a->length == 0)
		return cli_usage(
			"--length 0: that is nothing to read; without --length it goes to the end");
	if (a->common.json && standard)
		return cli_usage("--json prints an object on standard output, so the data need a "
				 "place of their own: add -o FILE");
	if (a->skip_bad && standard)
		return cli_usage("--skip-bad leaves holes, and goes on later: add -o FILE");
	if (standard && isatty(STDOUT_FILENO))
		return cli_usage("this would write a disk's bytes to a terminal; add -o FILE, or "
				 "send them into a pipe");
	return standard ? 0 : cli_guard_output(a->output, a->common.uri, "output");
}

static int run_read(int argc, char **argv)
{
	struct arguments a = { .common = { .read_only = true } };
	autofree char *map = NULL;
	int r = cli_parse(&cmd_read, argc, argv, &a.common);

	if (r == 0)
		r = read_check(&a);
	if (r == 0 && a.skip_bad && !a.map) {
		if (asprintf(&map, "%s.map", a.output) < 0)
			return cli_fail("no memory for the map's name");
		a.map = map;
	}
	if (r == 0 && a.skip_bad)
		r = check_map(&a);
	return r ? r : cli_with_controller(&a.common, read_unit, &a);
}

const struct cli_command cmd_read = {
	.name = "read",
	.summary = "copy from a unit to a file or a pipe",
	.arguments = "URI",
	.doc = "Copy from a logical unit to a file or a pipe. Offsets and lengths are in bytes and "
	       "take k, M, G and T.",
	.asks = CLI_ASKS_CONTROLLER | CLI_ASKS_UNIT,
	.options = options,
	.take = read_take,
	.run = run_read,
};
