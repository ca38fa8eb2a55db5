/* SPDX-License-Identifier: MIT */
/* cmd-cdb.c: `hbakit cdb URI HEX...`: any command, as it is; status and sense in words. */
#include "cli/cli.h"

#include "base/base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_IN = 0x100, KEY_OUT, MAX_WORDS = HBA_MAX_CDB * 2, MAX_DATA = 16 << 20, KEY_COLUMN = -8 };

struct arguments {
	struct cli_common common;
	uint64_t in;
	const char *out;
	char *words[MAX_WORDS];
	size_t n_words;
	struct cli_exchange exchange; /* filled from the words, later with the answer */
};

static error_t take_in(struct arguments *a, const char *arg)
{
	error_t r = cli_take_size("--in", arg, &a->in);

	if (r || (a->in > 0 && a->in <= MAX_DATA))
		return r;
	cli_usage("--in %s: from 1 byte to %d MiB", arg, MAX_DATA >> 20);
	return CLI_TOLD;
}

static error_t take_word(struct arguments *a, char *arg)
{
	if (!a->common.uri) {
		a->common.uri = arg;
		return 0;
	}
	if (a->n_words < MAX_WORDS) {
		a->words[a->n_words++] = arg;
		return 0;
	}
	cli_usage("%s: the CDB is longer than %d bytes, the longest there is here", arg, HBA_MAX_CDB);
	return CLI_TOLD;
}

static error_t check(const struct arguments *a)
{
	if (!a->common.uri)
		cli_usage("which controller? Give its URI, as in `hbakit cdb soft:disk.img --in 36 12 00 00 00 24 00'");
	else if (a->n_words == 0)
		cli_usage("which command? Give its bytes in hex, as in `hbakit cdb %s --in 36 12 00 00 00 24 00'", a->common.uri);
	else if (a->in && a->out)
		cli_usage("--in and --out: a command moves data one way; give one of them");
	else
		return 0;
	return CLI_TOLD;
}

static error_t take(struct cli_common *common, int key, char *arg)
{
	struct arguments *a = container_of(common, struct arguments, common);

	switch (key) {
	case KEY_IN:
		return take_in(a, arg);
	case KEY_OUT:
		a->out = arg;
		return 0;
	case ARGP_KEY_ARG:
		return take_word(a, arg);
	case ARGP_KEY_END:
		return check(a);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- data ------------------------------------------------------------------------------------------------------------ */

static int load(struct cli_session *s, const struct arguments *a, struct cli_exchange *x)
{
	struct cli_file f;
	ssize_t got;
	int r = cli_open_input(a->out, &f);

	if (r)
		return r;
	x->data = malloc(MAX_DATA + 1);
	got = x->data ? cli_read_full(s, &f, x->data, MAX_DATA + 1) : -ENOMEM;
	if (got == -EINTR)
		r = cli_say_interrupted(s, "reading the data");
	else if (got < 0)
		r = cli_fail("%s: %s", f.name, strerror((int)-got));
	else if (got == 0 || got > MAX_DATA)
		r = cli_fail("%s: data of a command are 1 byte to %d MiB", f.name, MAX_DATA >> 20);
	x->length = got > 0 ? (size_t)got : 0;
	cli_close_file(&f);
	return r;
}

static int prepare_data(struct cli_session *s, const struct arguments *a, struct cli_exchange *x)
{
	if (a->out) {
		x->direction = HBA_TO_TARGET;
		return load(s, a, x);
	}
	if (!a->in)
		return 0;
	x->direction = HBA_FROM_TARGET;
	x->length = a->in;
	x->data = calloc(1, a->in);
	return x->data ? 0 : cli_fail("no memory for %ju bytes", (uintmax_t)a->in);
}

/* ---- the answer ------------------------------------------------------------------------------------------------------ */

static bool is_good(const struct cli_exchange *x)
{
	return x->outcome == HBA_GOOD || x->outcome == HBA_CONDITION_MET;
}

static int print_json(const struct cli_exchange *x, const char *name, const char *status)
{
	struct json_object *o = json_object_new_object();
	bool answered = hba_response(x->outcome) == HBA_TASK_COMPLETE;

	cli_json_hex(o, "cdb", x->cdb, x->cdb_len);
	cli_json_text(o, "command", name);
	cli_json_text(o, "outcome", status);
	cli_json_number(o, "service_response", hba_response(x->outcome));
	json_object_object_add(o, "status", answered ? json_object_new_int(hba_status(x->outcome)) : NULL);
	cli_json_number(o, "bytes", x->bytes);
	json_object_object_add(o, "sense", x->sense_len ? cli_sense_json(x->sense, x->sense_len) : NULL);
	if (x->direction == HBA_FROM_TARGET)
		cli_json_hex(o, "data", x->data, x->bytes);
	return cli_json_print(o);
}

static int print_text(const struct cli_exchange *x, const char *name, const char *status, const char *sense)
{
	printf("%*s %s\n%*s %s\n", KEY_COLUMN, "command", name, KEY_COLUMN, "status", status);
	if (x->direction != HBA_NO_DATA)
		printf("%*s %zu of %zu bytes %s\n", KEY_COLUMN, "data", x->bytes, x->length,
		       x->direction == HBA_FROM_TARGET ? "in" : "out");
	if (sense[0])
		printf("%*s %s\n", KEY_COLUMN, "sense", sense);
	if (x->sense_len)
		cli_print_hex(x->sense, x->sense_len);
	if (x->direction == HBA_FROM_TARGET)
		cli_print_hex(x->data, x->bytes);
	return cli_finish_output();
}

static int show(const struct arguments *a, const struct cli_exchange *x)
{
	char name[CLI_WORDS], status[CLI_WORDS], sense[CLI_WORDS] = "";
	int r;

	cli_command_name(x->cdb, x->cdb_len, name);
	cli_outcome_name(x->outcome, status);
	if (x->sense_len || x->outcome == HBA_CHECK_CONDITION)
		cli_sense_words(x->sense, x->sense_len, sense);
	r = a->common.json ? print_json(x, name, status) : print_text(x, name, status, sense);
	if (r || is_good(x))
		return r;
	return cli_fail("%s: %s: %s%s%s", a->common.uri, name, status, sense[0] ? ": " : "", sense);
}

static int send(void *arguments, struct cli_session *s)
{
	struct arguments *a = arguments;
	struct cli_exchange *x = &a->exchange;
	struct hba_lun_info info;
	struct hba_lun *lun;
	int r = cli_find_unit(s, &a->common.where, &lun, &info);

	if (r == 0)
		r = prepare_data(s, a, x);
	if (r == 0)
		r = cli_exchange(s, lun, x);
	return r ? r : show(a, x);
}

static const struct argp_option options[] = {
	{ "in", KEY_IN, "N", 0, "The command reads up to N bytes", 0 },
	{ "out", KEY_OUT, "FILE", 0, "The command writes the bytes of FILE (-: standard input)", 0 },
	{ 0 },
};

static int run_cdb(int argc, char **argv)
{
	struct arguments a = { .exchange = { .direction = HBA_NO_DATA } };
	int r = cli_parse(&cmd_cdb, argc, argv, &a.common);

	if (r == 0)
		r = cli_parse_cdb(a.words, a.n_words, a.exchange.cdb, &a.exchange.cdb_len);
	if (r == 0)
		r = cli_with_controller(&a.common, send, &a);
	free(a.exchange.data);
	return r;
}

const struct cli_command cmd_cdb = {
	.name = "cdb",
	.summary = "send any SCSI command",
	.arguments = "URI HEX...",
	.doc = "Send any SCSI command. Its bytes are sent as they are given: a command that writes, writes.",
	.asks = CLI_ASKS_CONTROLLER | CLI_ASKS_UNIT,
	.options = options,
	.take = take,
	.run = run_cdb,
};
