/* SPDX-License-Identifier: MIT */
/* options.c: what many commands are asked, and argp taught to say what is wrong in one line. */
#include "cli/cli.h"

#include "base/base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_JSON = 0x100, KEY_PLUGIN };

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
	struct cli_common *common = state->input;

	switch (key) {
	case KEY_JSON:
		common->json = true;
		return 0;
	case KEY_PLUGIN:
		common->plugin = arg;
		return 0;
	case 'v':
		common->verbose = true;
		return 0;
	case ARGP_KEY_ERROR:
		common->bad_word = state->next;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_where(int key, char *arg, struct argp_state *state)
{
	struct cli_where *where = state->input;

	switch (key) {
	case 't':
		where->has_target = true;
		return cli_take_number("--target", arg, &where->target);
	case 'l':
		where->has_lun = true;
		return cli_take_number("--lun", arg, &where->lun);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

error_t cli_take_number(const char *option, const char *text, uint64_t *ret_number)
{
	if (parse_number(text, ret_number) == 0)
		return 0;
	cli_usage("%s %s: not a number; write it in decimal, or in hex with 0x", option, text);
	return CLI_TOLD;
}

error_t cli_take_size(const char *option, const char *text, uint64_t *ret_bytes)
{
	if (parse_size(text, ret_bytes) == 0)
		return 0;
	cli_usage("%s %s: not a number of bytes; write digits, with k, M, G or T behind them if you like", option, text);
	return CLI_TOLD;
}

error_t cli_take_uri(struct cli_common *common, int key, const char *arg, const struct argp_state *state)
{
	if (key == ARGP_KEY_ARG && common->uri) {
		cli_usage("%s: one argument too many: see `%s --help'", arg, state->name);
		return CLI_TOLD;
	}
	if (key == ARGP_KEY_ARG) {
		common->uri = arg;
		return 0;
	}
	if (key != ARGP_KEY_END || common->uri)
		return key == ARGP_KEY_END ? 0 : ARGP_ERR_UNKNOWN;
	cli_usage("which controller? Give its URI, as in `%s soft:disk.img'", state->name);
	return CLI_TOLD;
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

int cli_parse(const struct argp *argp, int argc, char **argv, void *input, const int *bad_word)
{
	error_t r;
	int at;

	help_if_asked(argp, argc, argv);
	r = argp_parse(argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP, NULL, input);
	at = *bad_word;
	if (r == 0)
		return CLI_OK;
	if (r == CLI_TOLD)
		return CLI_USAGE;
	if (r != EINVAL)
		return cli_fail("%s: %s", argv[0], strerror(r));
	/* getopt has stepped over the word, unless it is a cluster of letters or the last one. */
	if (at >= argc || (at > 1 && argv[at - 1][0] == '-'))
		at--;
	return cli_usage("%s: no such option, or its value is missing: see `%s --help'", argv[at], argv[0]);
}

static const struct argp_option common_options[] = {
	{ "json", KEY_JSON, NULL, 0, "Print one JSON object instead of text", 10 },
	{ "plugin", KEY_PLUGIN, "FILE", 0, "Take the driver from this shared object first", 10 },
	{ "verbose", 'v', NULL, 0, "Show on standard error what library and driver log", 10 },
	{ 0 },
};

static const struct argp_option where_options[] = {
	{ "target", 't', "TARGET", 0, "Target's number (default: the first found)", 1 },
	{ "lun", 'l', "LUN", 0, "Logical unit's number (default: the first found)", 1 },
	{ 0 },
};

const struct argp cli_common_argp = { .options = common_options, .parser = parse_common };
const struct argp cli_where_argp = { .options = where_options, .parser = parse_where };
