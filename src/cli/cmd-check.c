/* SPDX-License-Identifier: MIT */
/*
 * cmd-check.c: `hbakit check URI`: the contract and conformance suite, told as TAP version 13, or
 * as one JSON object.
 *
 * A failure's YAML block says which rule was broken, where that rule is written, what was expected,
 * and what came.
 */
#include "cli/cli.h"

#include "base/base.h"
#include "check/check.h"

#include <errno.h>
#include <stdlib.h>

enum { KEY_WRITE = 0x100, KEY_SEED };

struct arguments {
	struct cli_common common;
	bool write;
	uint64_t seed;
	struct cli_session *session;
	struct json_object *tests; /* --json */
	bool told;                 /* why there is no result */
};

static error_t check_take(struct cli_common *common, int key, char *arg)
{
	struct arguments *a = container_of(common, struct arguments, common);

	switch (key) {
	case KEY_WRITE:
		a->write = true;
		return 0;
	case KEY_SEED:
		return cli_take_number("--seed", arg, &a->seed);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- one result */

/* A double-quoted YAML scalar. Devices and drivers have a say in the text. */
static void print_yaml(const char *key, const char *text)
{
	autofree char *clean = cli_printable(text);

	printf("  %s: \"", key);
	for (const char *p = clean ? clean : ""; *p; p++)
		printf(*p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
	puts("\"");
}

static bool has_failed(const struct check_result *r)
{
	return r->verdict == CHECK_FAILED || r->verdict == CHECK_DEVICE;
}

static void print_tap(const struct check_result *r)
{
	autofree char *reason = cli_printable(r->reason);

	printf("%sok %u - %s: %s", has_failed(r) ? "not " : "", r->number, r->group, r->name);
	if (r->extent[0])
		printf(" (%s)", r->extent);
	if (r->verdict == CHECK_SKIPPED)
		printf(" # SKIP %s", reason ? reason : "");
	if (r->verdict == CHECK_DEVICE)
		printf(" # TODO device: %s", reason ? reason : "");
	putchar('\n');
	if (!has_failed(r))
		return;
	puts("  ---");
	print_yaml("rule", r->rule);
	print_yaml("reference", r->reference);
	print_yaml("expected", r->expected);
	print_yaml("got", r->got);
	puts("  ...");
}

static struct json_object *result_json(const struct check_result *r)
{
	static const char *const verdicts[] = {
		[CHECK_PASSED] = "passed",
		[CHECK_FAILED] = "failed",
		[CHECK_SKIPPED] = "skipped",
		[CHECK_DEVICE] = "device",
	};
	struct json_object *o = json_object_new_object();

	cli_json_number(o, "number", r->number);
	cli_json_text(o, "group", r->group);
	cli_json_text(o, "name", r->name);
	cli_json_text(o, "verdict", verdicts[r->verdict]);
	cli_json_text(o, "rule", r->rule);
	cli_json_text(o, "reference", r->reference);
	if (r->verdict == CHECK_SKIPPED || r->verdict == CHECK_DEVICE)
		cli_json_text(o, "reason", r->reason);
	if (r->extent[0])
		cli_json_text(o, "extent", r->extent);
	if (has_failed(r)) {
		cli_json_text(o, "expected", r->expected);
		cli_json_text(o, "got", r->got);
	}
	return o;
}

/*
 * Each as it comes: on real hardware some take long, and a reader may want to see where it stands.
 */
static void take_result(void *arg, const struct check_result *r)
{
	struct arguments *a = arg;

	if (a->tests) {
		json_object_array_add(a->tests, result_json(r));
		return;
	}
	print_tap(r);
	fflush(stdout);
}

/* ---- the whole */

static int open_controller(void *arg, struct hba_controller **ret_c)
{
	struct arguments *a = arg;
	bool first = !a->told;

	if (cli_open_controller(a->session, &a->common, ret_c))
		return -EINVAL; /* and told */
	if (first && !a->tests)
		printf("TAP version 13\n1..%u\n", check_count());
	a->told = true;
	return 0;
}

static bool interrupted(void *arg)
{
	struct arguments *a = arg;

	return cli_interrupted(a->session);
}

static void take_event(void *arg, const struct hba_event *e)
{
	const struct arguments *a = arg;

	/* Some tests bring about what would be trouble elsewhere; the results tell of the rest. */
	if (a->common.verbose || e->kind == HBA_EVENT_HANGING)
		cli_note_event(a->session, e);
}

static int print_json(const struct arguments *a, const struct check_summary *sum)
{
	struct json_object *o = json_object_new_object();

	cli_json_text(o, "uri", a->common.uri);
	json_object_object_add(o, "write", json_object_new_boolean(a->write));
	cli_json_number(o, "seed", a->seed);
	cli_json_number(o, "passed", sum->passed);
	cli_json_number(o, "failed", sum->failed);
	cli_json_number(o, "skipped", sum->skipped);
	cli_json_number(o, "device", sum->device);
	json_object_object_add(o, "tests", json_object_get(a->tests));
	return cli_json_print(o);
}

static int print_summary(const struct arguments *a, const struct check_summary *sum)
{
	if (a->tests)
		return print_json(a, sum);
	printf("# %u passed, %u failed, %u skipped, %u a fault of the device\n", sum->passed,
	       sum->failed, sum->skipped, sum->device);
	return cli_finish_output();
}

static int check_run_unit(void *arguments, struct cli_session *s)
{
	struct arguments *a = arguments;
	struct check_options options = {
		.open = open_controller,
		.result = take_result,
		.event = take_event,
		.interrupted = interrupted,
		.arg = a,
		.write = a->write,
		.has_target = a->common.where.has_target,
		.has_lun = a->common.where.has_lun,
		.lun_is_bytes = a->common.where.lun_is_bytes,
		.target = a->common.where.target,
		.lun = a->common.where.lun,
		.seed = a->seed,
		.timeout_ms = a->common.timeout_ms,
	};
	struct check_summary sum;
	int r;

	a->session = s;
	r = check_run(&options, &sum);
	if (r < 0)
		return r == -ENOMEM ? cli_fail("%s: no memory for the tests", a->common.uri)
				    : CLI_FAILED;
	r = print_summary(a, &sum);
	if (sum.interrupted)
		return cli_say_interrupted(s, "check");
	if (r == CLI_OK && sum.no_such_unit)
		return cli_no_such_unit(s, &a->common.where);
	return r == CLI_OK && sum.failed ? CLI_FAILED : r;
}

static const struct argp_option options[] = {
	{ "write", KEY_WRITE, NULL, 0,
	  "Test writing, too. Overwrites up to 4 MiB of the unit, and 16 blocks of up to 32 units",
	  0 },
	{ "seed", KEY_SEED, "N", 0,
	  "Seed of all that is random (default: 0); the same again with the same seed", 0 },
	{ 0 },
};

static int run_check(int argc, char **argv)
{
	struct arguments a = { .write = false };
	int r = cli_parse(&cmd_check, argc, argv, &a.common);

	if (r)
		return r;
	a.tests = a.common.json ? json_object_new_array() : NULL;
	r = cli_with_signals(&a.common, check_run_unit, &a);
	json_object_put(a.tests);
	return r;
}

const struct cli_command cmd_check = {
	.name = "check",
	.summary = "test a controller and its driver against the contract",
	.arguments = "URI",
	.doc = "Test a controller, its driver and its units: the contract, and the standards. The "
	       "results are TAP version 13.\v"
	       "Nothing is written without --write. With it, blocks at random places are read, "
	       "overwritten, and at the end put back "
	       "as they were, after a signal as well; but not if this program is killed or the "
	       "machine stops in between: do not use it "
	       "on the only copy of anything. Units are reset and commands aborted in either case, "
	       "so nobody else should be using them.\n\n"
	       "Exit status: 0 all passed, skipped or known faults of the device, 1 some failed, "
	       "or the unit asked for is not there, 2 usage.",
	.asks = CLI_ASKS_CONTROLLER | CLI_ASKS_UNIT,
	.options = options,
	.take = check_take,
	.run = run_check,
};
