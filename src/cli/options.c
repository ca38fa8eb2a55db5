/* SPDX-License-Identifier: MIT */
/* options.c: what many commands are asked, and argp taught to say what is wrong in one line. */
#include "cli/cli.h"

#include "base/base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_JSON = 0x100, KEY_PLUGIN, KEY_TIMEOUT, KEY_SLOW };
enum { LUN_DIGITS = 16, HEX = 16, MS_PER_MINUTE = 60 * MS_PER_S, MAX_MS = 24 * 60 * MS_PER_MINUTE };

/** struct parse - One command line on its way through argp. */
struct parse {
	const struct cli_command *command;
	struct cli_common *common;
	int bad_word; /* where in argv argp stumbled */
};

error_t cli_take_number(const char *option, const char *text, uint64_t *ret_number)
{
	int r = parse_number(text, ret_number);

	if (r == 0)
		return 0;
	if (r == -ERANGE)
		cli_usage("%s %s: too large; the largest is %ju", option, text,
			  (uintmax_t)UINT64_MAX);
	else
		cli_usage("%s %s: not a number; write it in decimal, or in hex with 0x", option,
			  text);
	return CLI_TOLD;
}

error_t cli_take_size(const char *option, const char *text, uint64_t *ret_bytes)
{
	if (parse_size(text, ret_bytes) == 0)
		return 0;
	cli_usage("%s %s: not a number of bytes; write digits, with k, M, G or T behind them if "
		  "you like",
		  option, text);
	return CLI_TOLD;
}

error_t cli_take_count(const char *option, const char *text, uint64_t most, const char *what,
		       uint64_t *ret_count)
{
	if (parse_size(text, ret_count) == 0 && *ret_count > 0 && *ret_count <= most)
		return 0;
	cli_usage("%s %s: a whole number of %s is needed, from 1 to %ju", option, text, what,
		  (uintmax_t)most);
	return CLI_TOLD;
}

static bool take_unit(const char *text, double *ret_ms)
{
	static const struct {
		const char *unit;
		double ms;
	} units[] = { { "", MS_PER_S },
		      { "s", MS_PER_S },
		      { "ms", 1 },
		      { "m", MS_PER_MINUTE },
		      { "min", MS_PER_MINUTE } };

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(units[i].unit, text))
			continue;
		*ret_ms = units[i].ms;
		return true;
	}
	return false;
}

error_t cli_take_time(const char *option, const char *text, uint64_t *ret_ms)
{
	size_t n = strspn(text, "0123456789."), digits = strspn(text, "0123456789");
	double number = digits ? strtod(text, NULL) : 0, ms = 0;

	if (n - digits == strspn(text + digits, ".") +
				  strspn(text + digits + (text[digits] == '.'), "0123456789") &&
	    take_unit(text + n, &ms) && number * ms >= 1 && number * ms <= MAX_MS) {
		*ret_ms = (uint64_t)(number * ms);
		return 0;
	}
	cli_usage("%s %s: a time is needed, from 1 ms to 24 hours: seconds, or with ms, s or m "
		  "behind the number",
		  option, text);
	return CLI_TOLD;
}

/*
 * A number; or, as units are printed that have none, their eight bytes. A plain number never has so
 * many digits.
 */
static error_t take_lun(struct cli_where *where, const char *text)
{
	const char *digits = strncmp(text, "0x", 2) == 0 ? text + 2 : text;
	size_t n = strspn(digits, "0123456789abcdefABCDEF");

	where->has_lun = true;
	where->lun_is_bytes = n == LUN_DIGITS && !digits[n];
	if (!where->lun_is_bytes)
		return cli_take_number("--lun", text, &where->lun);
	where->lun = strtoull(digits, NULL, HEX);
	return 0;
}

static error_t take_common(struct cli_common *common, int key, char *arg)
{
	switch (key) {
	case KEY_JSON:
		common->json = true;
		return 0;
	case KEY_PLUGIN:
		common->plugin = arg;
		return 0;
	case KEY_TIMEOUT:
		return cli_take_time("--timeout", arg, &common->timeout_ms);
	case KEY_SLOW:
		return cli_take_time("--slow", arg, &common->slow_ms);
	case 'v':
		common->verbose = true;
		return 0;
	case 't':
		common->where.has_target = true;
		return cli_take_number("--target", arg, &common->where.target);
	case 'l':
		return take_lun(&common->where, arg);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t take_argument(const struct parse *p, const char *arg, const struct argp_state *state)
{
	if (!(p->command->asks & CLI_ASKS_URI))
		cli_usage("%s: one argument too many: this command takes none", arg);
	else if (p->common->uri)
		cli_usage("%s: one argument too many: see `%s --help'", arg, state->name);
	else
		p->common->uri = arg;
	return p->common->uri == arg ? 0 : CLI_TOLD;
}

static error_t check_end(const struct parse *p, const struct argp_state *state)
{
	if (!(p->command->asks & CLI_ASKS_URI) || p->common->uri)
		return 0;
	cli_usage("which controller? Give its URI, as in `%s soft:disk.img'", state->name);
	return CLI_TOLD;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct parse *p = state->input;
	error_t r = p->command->take ? p->command->take(p->common, key, arg) : ARGP_ERR_UNKNOWN;

	if (r != ARGP_ERR_UNKNOWN)
		return r;
	switch (key) {
	case ARGP_KEY_INIT:
		for (size_t i = 0; state->root_argp->children[i].argp; i++)
			state->child_inputs[i] = p;
		return 0;
	case ARGP_KEY_ARG:
		return take_argument(p, arg, state);
	case ARGP_KEY_END:
		return check_end(p, state);
	case ARGP_KEY_ERROR:
		p->bad_word = state->next;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
	const struct parse *p = state->input;

	return take_common(p->common, key, arg);
}

/* argp's own --help is silent when argp is told to leave the errors to us. */
static void help_if_asked(const struct argp *argp, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help"))
			continue;
		argp_help(argp, stdout, ARGP_HELP_USAGE | ARGP_HELP_LONG | ARGP_HELP_DOC, argv[0]);
		exit(cli_finish_output());
	}
}

struct wanted {
	const char *word; /* as it was given: -o, --output, or the beginning of that */
	const struct argp_option *found;
};

static void compare_option(const struct argp_option *o, void *arg)
{
	struct wanted *w = arg;
	bool is_long = strncmp(w->word, "--", 2) == 0;

	if (is_long ? strncmp(o->name, w->word + 2, strlen(w->word + 2)) == 0
		    : o->key == w->word[1])
		w->found = o;
}

static int say_bad_word(const struct cli_command *command, const char *word, const char *name)
{
	struct wanted w = { .word = word };

	cli_each_option(command, compare_option, &w);
	if (w.found && w.found->arg)
		return cli_usage("%s: its value is missing: %s %s; see `%s --help'", word, word,
				 w.found->arg, name);
	return cli_usage("%s: no such option: see `%s --help'", word, name);
}

static int run_argp(const struct argp *argp, struct parse *p, int argc, char **argv)
{
	error_t r;
	int at;

	help_if_asked(argp, argc, argv);
	r = argp_parse(argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP, NULL, p);
	at = p->bad_word;
	if (r == 0)
		return CLI_OK;
	if (r == CLI_TOLD)
		return CLI_USAGE;
	if (r != EINVAL)
		return cli_fail("%s: %s", argv[0], strerror(r));
	/* getopt has stepped over the word, unless it is a cluster of letters or the last one. */
	if (at >= argc || (at > 1 && argv[at - 1][0] == '-'))
		at--;
	return say_bad_word(p->command, argv[at], argv[0]);
}

static const struct argp_option json_options[] = {
	{ "json", KEY_JSON, NULL, 0, "Print one JSON object instead of text", 10 },
	{ 0 },
};

static const struct argp_option plugin_options[] = {
	{ "plugin", KEY_PLUGIN, "FILE.so", 0, "A driver of your own, which then comes first", 10 },
	{ 0 },
};

static const struct argp_option uri_options[] = {
	{ "verbose", 'v', NULL, 0,
	  "Print to standard error, as they happen, events and the log of library and driver", 10 },
	{ "timeout", KEY_TIMEOUT, "TIME", 0,
	  "How long a command may be with the driver before it is aborted (default: 30s; 10s for "
	  "the commands of scan and check)",
	  10 },
	{ "slow", KEY_SLOW, "TIME", 0, "Report a command that takes longer (default: 1s)", 10 },
	{ 0 },
};

static const struct argp_option unit_options[] = {
	{ "target", 't', "TARGET", 0, "Target's number (default: the first found)", 1 },
	{ "lun", 'l', "LUN", 0,
	  "Logical unit's number, as `scan' shows it (default: the first found)", 1 },
	{ 0 },
};

/* Those of `asks` 0 belong to every command. */
static const struct {
	unsigned asks;
	struct argp argp;
} common_argps[] = {
	{ 0, { .options = json_options, .parser = parse_common } },
	{ CLI_ASKS_PLUGIN, { .options = plugin_options, .parser = parse_common } },
	{ CLI_ASKS_URI, { .options = uri_options, .parser = parse_common } },
	{ CLI_ASKS_UNIT, { .options = unit_options, .parser = parse_common } },
};

static bool is_asked(const struct cli_command *command, size_t i)
{
	return (command->asks & common_argps[i].asks) == common_argps[i].asks;
}

static void each_of(const struct argp_option *options,
		    void (*each)(const struct argp_option *o, void *arg), void *arg)
{
	for (; options && options->name; options++)
		each(options, arg);
}

void cli_each_option(const struct cli_command *command,
		     void (*each)(const struct argp_option *o, void *arg), void *arg)
{
	each_of(command->options, each, arg);
	for (size_t i = 0; i < ARRAY_SIZE(common_argps); i++)
		if (is_asked(command, i))
			each_of(common_argps[i].argp.options, each, arg);
}

int cli_parse(const struct cli_command *command, int argc, char **argv, struct cli_common *common)
{
	struct argp_child children[ARRAY_SIZE(common_argps) + 1] = { 0 };
	const struct argp argp = {
		.options = command->options,
		.parser = parse,
		.args_doc = command->arguments,
		.doc = command->doc,
		.children = children,
	};
	struct parse p = { .command = command, .common = common };
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(common_argps); i++)
		if (is_asked(command, i))
			children[n++].argp = &common_argps[i].argp;
	return run_argp(&argp, &p, argc, argv);
}
