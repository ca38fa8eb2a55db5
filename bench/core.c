/* SPDX-License-Identifier: MIT */
/*
 * core.c: time of the framework per command, and, under callgrind, its instructions: counted are
 * the commands alone, not the start.
 *
 *	bench-core [--depth N] [--commands N] [--units N] [--roam] [--cpu] URI
 *
 * One line: commands, nanoseconds. bench/core.py asks and reads; `valgrind --tool=callgrind
 * --instr-atstart=no` counts.
 */
#include "load.h"

#include <argp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <valgrind/callgrind.h>

enum { WARM_UP = 10 }; /* a tenth of the commands go first */

struct arguments {
	struct load_plan plan;
	uint64_t commands;
	const char *uri;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case 'd':
		a->plan.depth = (unsigned)strtoul(arg, NULL, 0);
		return 0;
	case 'n':
		a->commands = strtoull(arg, NULL, 0);
		return 0;
	case 'u':
		a->plan.units = (unsigned)strtoul(arg, NULL, 0);
		return 0;
	case 'r':
		a->plan.roam = true;
		return 0;
	case 'c':
		a->plan.mode = HBA_DATA_CPU;
		return 0;
	case ARGP_KEY_ARG:
		a->uri = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int measure(struct load *l, uint64_t commands)
{
	uint64_t ns;

	if (!load_run(l, commands / WARM_UP + 1))
		return 1;
	CALLGRIND_START_INSTRUMENTATION;
	ns = load_run(l, commands);
	CALLGRIND_STOP_INSTRUMENTATION;
	if (!ns)
		return 1;
	printf("%" PRIu64 " %" PRIu64 "\n", load_ran(l), ns);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "depth", 'd', "N", 0, "Commands outstanding (128)", 0 },
		{ "commands", 'n', "N", 0, "How many are measured (1000000)", 0 },
		{ "units", 'u', "N", 0, "They go to the first so many units (1)", 0 },
		{ "roam", 'r', NULL, 0, "Each goes to another one of them", 0 },
		{ "cpu", 'c', NULL, 0, "Data by address, not by region", 0 },
		{ 0 },
	};
	static const struct argp argp = { .options = options, .parser = parse, .args_doc = "URI" };
	struct arguments a = { .plan = { .depth = 128, .units = 1, .mode = HBA_DATA_REGION },
			       .commands = 1000000 };
	struct hba_controller *c = NULL;
	struct load *l = NULL;
	int status = 1;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (hba_controller_open(a.uri, NULL, &c) < 0 || hba_controller_start(c) < 0)
		fprintf(stderr, "bench-core: %s\n", hba_error());
	else
		l = load_begin(c, &a.plan);
	if (l) {
		status = measure(l, a.commands);
		load_end(l);
	}
	hba_controller_close(c);
	return status;
}
