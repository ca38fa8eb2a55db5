/* SPDX-License-Identifier: MIT */
/* cmd-bench.c: `hbakit bench URI`: what to measure, and what was measured. */
#include "cli/bench.h"

#include "base/base.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_RW = 0x100, KEY_BS, KEY_DEPTH, KEY_TIME, KEY_VERIFY, KEY_PLOT };
enum {
	DEFAULT_BS = 4096,
	DEFAULT_DEPTH = 32,
	DEFAULT_SECONDS = 3,
	MAX_BS = 64 << 20,
	MAX_DEPTH = 65533,
	MAX_SECONDS = 86400
};
enum { NS_PER_US = 1000, TITLE = 256 };

struct arguments {
	struct cli_common common;
	struct bench_plan plan;
	const char *rw, *plot;
};

static const struct {
	const char *name;
	bool reads, writes, random;
} loads[] = {
	{ "randread", true, false, true }, { "randwrite", false, true, true },
	{ "randrw", true, true, true },    { "read", true, false, false },
	{ "write", false, true, false },
};

static error_t take_load(struct arguments *a, const char *arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(loads); i++) {
		if (strcmp(loads[i].name, arg))
			continue;
		a->rw = loads[i].name;
		a->plan.reads = loads[i].reads;
		a->plan.writes = loads[i].writes;
		a->plan.random = loads[i].random;
		return 0;
	}
	cli_usage("--rw %s: give randread, randwrite, randrw, read or write", arg);
	return CLI_TOLD;
}

static error_t take_value(struct arguments *a, int key, const char *arg)
{
	uint64_t n = 0;
	error_t r;

	switch (key) {
	case KEY_BS:
		r = cli_take_count("--bs", arg, MAX_BS, "bytes", &n);
		a->plan.bytes = (uint32_t)n;
		return r;
	case KEY_DEPTH:
		r = cli_take_count("--depth", arg, MAX_DEPTH, "commands", &n);
		a->plan.depth = (uint32_t)n;
		return r;
	default:
		r = cli_take_count("--time", arg, MAX_SECONDS, "seconds", &n);
		a->plan.ns = n * NS_PER_S;
		return r;
	}
}

static error_t bench_take(struct cli_common *common, int key, char *arg)
{
	struct arguments *a = container_of(common, struct arguments, common);

	switch (key) {
	case KEY_RW:
		return take_load(a, arg);
	case KEY_BS:
	case KEY_DEPTH:
	case KEY_TIME:
		return take_value(a, key, arg);
	case KEY_VERIFY:
		a->plan.verify = true;
		return 0;
	case KEY_PLOT:
		a->plot = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- the result */

static const struct {
	const char *name;
	double fraction;
} percentiles[] = { { "p50", 0.5 }, { "p99", 0.99 }, { "p999", 0.999 } };

static double per_second(const struct bench_result *result)
{
	return result->ns ? (double)result->commands * (double)NS_PER_S / (double)result->ns : 0;
}

static struct json_object *latency_json(const struct histogram *h)
{
	struct json_object *o = json_object_new_object();

	cli_json_double(o, "mean", histogram_mean(h) / NS_PER_US);
	for (size_t i = 0; i < ARRAY_SIZE(percentiles); i++)
		cli_json_double(o, percentiles[i].name,
				(double)histogram_at(h, percentiles[i].fraction) / NS_PER_US);
	cli_json_double(o, "max", (double)h->max / NS_PER_US);
	return o;
}

static int print_json(struct cli_session *s, const struct arguments *a,
		      const struct bench_result *result)
{
	struct json_object *o = json_object_new_object();

	cli_json_text(o, "uri", a->common.uri);
	cli_json_text(o, "rw", a->rw);
	cli_json_number(o, "bs", a->plan.bytes);
	cli_json_number(o, "depth", a->plan.depth);
	cli_json_double(o, "seconds", (double)result->ns / (double)NS_PER_S);
	cli_json_number(o, "commands", result->commands);
	cli_json_double(o, "iops", per_second(result));
	cli_json_double(o, "bytes_per_s", per_second(result) * a->plan.bytes);
	json_object_object_add(o, "latency_us", latency_json(&result->latency));
	cli_json_number(o, "errors", result->errors);
	json_object_object_add(o, "first_error",
			       result->errors ? json_object_new_string(result->first_error) : NULL);
	cli_json_number(o, "verified", result->verified);
	cli_json_conduct(o, s);
	return cli_json_print(o);
}

static int print_text(const struct arguments *a, const struct bench_result *result)
{
	char size[16], rate[16], time[16];

	format_size(a->plan.bytes, size);
	format_size((uint64_t)(per_second(result) * a->plan.bytes), rate);
	printf("%s  %s, %s per command, %u outstanding, %.2f s\n", a->common.uri, a->rw, size,
	       a->plan.depth, (double)result->ns / (double)NS_PER_S);
	printf("  commands  %" PRIu64 ", %.0f per second, %s/s\n", result->commands,
	       per_second(result), rate);
	cli_format_time((uint64_t)histogram_mean(&result->latency), time);
	printf("  latency   mean %s", time);
	for (size_t i = 0; i < ARRAY_SIZE(percentiles); i++) {
		cli_format_time(histogram_at(&result->latency, percentiles[i].fraction), time);
		printf(", %s %s", percentiles[i].name, time);
	}
	cli_format_time(result->latency.max, time);
	printf(", max %s\n  errors    %" PRIu64 "\n", time, result->errors);
	if (a->plan.verify)
		printf("  verified  %" PRIu64 " reads equal, %" PRIu64 " different\n",
		       result->verified, result->different);
	return cli_finish_output();
}

static int plot(struct cli_session *s, const struct arguments *a, const struct bench_result *result,
		struct cli_file *file)
{
	char title[TITLE], size[16];
	int r;

	format_size(a->plan.bytes, size);
	snprintf(title, sizeof(title), "%s: %s, %s, depth %u: %.0f/s", a->common.uri, a->rw, size,
		 a->plan.depth, per_second(result));
	r = cli_plot(s, &result->latency, title, file->fd);
	return r ? r : cli_keep_file(file);
}

static int bench_show(struct cli_session *s, const struct arguments *a,
		      const struct bench_result *result, struct cli_file *file)
{
	int r = a->common.json ? print_json(s, a, result) : print_text(a, result);

	if (r == 0 && a->plot && result->commands)
		r = plot(s, a, result, file);
	if (r || result->errors == 0)
		return r;
	return cli_fail("%s: %" PRIu64 " of %" PRIu64 " commands failed; the first: %s",
			a->common.uri, result->errors, result->ended, result->first_error);
}

/* ---- */

static int bench_check(const struct arguments *a, const struct hba_lun_info *info)
{
	char unit[CLI_UNIT_NAME];

	cli_unit_name(info, unit);
	if (info->block_bytes == 0)
		return cli_fail("%s: unit %s has no medium that could be measured", a->common.uri,
				unit);
	if (a->plan.bytes % info->block_bytes)
		return cli_fail(
			"%s: unit %s has blocks of %u bytes; --bs must be a multiple of that",
			a->common.uri, unit, info->block_bytes);
	if (a->plan.bytes / info->block_bytes > info->blocks)
		return cli_fail("%s: unit %s is smaller than one command of --bs %u", a->common.uri,
				unit, a->plan.bytes);
	if (a->plan.writes && info->read_only)
		return cli_fail("%s: unit %s is read-only; --rw %s cannot be done", a->common.uri,
				unit, a->rw);
	return 0;
}

/* The file comes first: who cannot have it hears that before the measuring. */
static int measure(const struct arguments *a, struct cli_session *s, struct hba_lun *lun)
{
	autofree struct bench_result *result = calloc(1, sizeof(*result));
	struct cli_file file = { .own = false };
	int r;

	if (!result)
		return cli_fail("no memory for the result");
	r = a->plot ? cli_open_output(s, a->plot, &file) : 0;
	if (r == 0)
		r = bench_run(s, lun, &a->plan, result);
	if (r == 0)
		r = bench_show(s, a, result, &file);
	cli_close_file(&file);
	return r;
}

static int bench_unit(void *arguments, struct cli_session *s)
{
	const struct arguments *a = arguments;
	struct hba_lun_info info;
	struct hba_lun *lun;
	int r = cli_find_unit(s, &a->common.where, &lun, &info);

	if (r == 0)
		r = bench_check(a, &info);
	return r ? r : measure(a, s, lun);
}

static int check_plot(const struct arguments *a)
{
	int r = cli_guard_output(a->plot, a->common.uri, "output");

	return r ? r : cli_plot_check();
}

static const struct argp_option options[] = {
	{ "rw", KEY_RW, "LOAD", 0,
	  "randread (default), randwrite, randrw, read or write; those that write DESTROY the data "
	  "on the unit",
	  0 },
	{ "bs", KEY_BS, "N", 0, "Bytes per command (default: 4k)", 0 },
	{ "depth", KEY_DEPTH, "N", 0, "Commands outstanding (default: 32)", 0 },
	{ "time", KEY_TIME, "S", 0, "Seconds (default: 3)", 0 },
	{ "verify", KEY_VERIFY, NULL, 0,
	  "Check data: what was written must be read, now and in a pass at the end; what is only "
	  "read must stay the same",
	  0 },
	{ "plot", KEY_PLOT, "FILE.svg", 0, "Draw the latencies with gnuplot", 0 },
	{ 0 },
};

static int run_bench(int argc, char **argv)
{
	struct arguments a = {
		.plan = { .reads = true,
			  .random = true,
			  .bytes = DEFAULT_BS,
			  .depth = DEFAULT_DEPTH,
			  .ns = DEFAULT_SECONDS * NS_PER_S },
		.rw = "randread",
	};
	int r = cli_parse(&cmd_bench, argc, argv, &a.common);

	if (r == 0 && a.plot)
		r = check_plot(&a);
	if (r)
		return r;
	a.common.read_only = !a.plan.writes;
	return cli_with_controller(&a.common, bench_unit, &a);
}

const struct cli_command cmd_bench = {
	.name = "bench",
	.summary = "measure commands per second and latency",
	.arguments = "URI",
	.doc = "Measure commands per second and latency of a logical unit, one core polling."
	       "\v--rw randwrite, randrw and write DESTROY THE DATA ON THE UNIT, all over it, "
	       "without asking.",
	.asks = CLI_ASKS_CONTROLLER | CLI_ASKS_UNIT,
	.options = options,
	.take = bench_take,
	.run = run_bench,
};
