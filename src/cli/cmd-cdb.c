/* SPDX-License-Identifier: MIT */
/* cmd-cdb.c: `hbakit cdb URI HEX...`: any command, as it is; status and sense in words. */
#include "cli/cli.h"

#include "base/base.h"
#include "scsi/scsi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	KEY_IN = 0x100,
	KEY_OUT,
	KEY_THEN,
	KEY_KEEP_GOING,
	MAX_WORDS = HBA_MAX_CDB * 2,
	MAX_DATA = 16 << 20,
	KEY_COLUMN = -8
};

/** struct one - One command. */
struct one {
	uint64_t in;
	const char *out;
	char *words[MAX_WORDS];
	size_t n_words;
	struct cli_exchange exchange; /* filled from the words, later with the answer */
};

struct arguments {
	struct cli_common common;
	bool keep_going;
	struct one *all;
	size_t n, at; /* `at`: the one that is parsed */
};

static error_t take_in(struct one *a, const char *arg)
{
	error_t r = cli_take_size("--in", arg, &a->in);

	if (r || (a->in > 0 && a->in <= MAX_DATA))
		return r;
	cli_usage("--in %s: from 1 byte to %d MiB", arg, MAX_DATA >> 20);
	return CLI_TOLD;
}

static error_t take_word(struct arguments *a, char *arg)
{
	struct one *one = &a->all[a->at];

	if (!a->common.uri) {
		a->common.uri = arg;
		return 0;
	}
	if (one->n_words < MAX_WORDS) {
		one->words[one->n_words++] = arg;
		return 0;
	}
	cli_usage("%s: the CDB is longer than %d bytes, the longest there is here", arg,
		  HBA_MAX_CDB);
	return CLI_TOLD;
}

static error_t cdb_check(const struct arguments *a)
{
	const struct one *one = &a->all[a->at];

	if (!a->common.uri)
		cli_usage("which controller? Give its URI, as in `hbakit cdb soft:disk.img --in 36 "
			  "12 00 00 00 24 00'");
	else if (one->n_words == 0 && a->n > 1)
		cli_usage("--then stands between two commands; one of them has no bytes");
	else if (one->n_words == 0)
		cli_usage("which command? Give its bytes in hex, as in `hbakit cdb %s --in 36 12 "
			  "00 00 00 24 00'",
			  a->common.uri);
	else if (one->in && one->out)
		cli_usage("--in and --out: a command moves data one way; give one of them");
	else
		return 0;
	return CLI_TOLD;
}

static error_t cdb_take(struct cli_common *common, int key, char *arg)
{
	struct arguments *a = container_of(common, struct arguments, common);

	switch (key) {
	case KEY_IN:
		return take_in(&a->all[a->at], arg);
	case KEY_OUT:
		a->all[a->at].out = arg;
		return 0;
	case KEY_KEEP_GOING:
		a->keep_going = true;
		return 0;
	case ARGP_KEY_ARG:
		return take_word(a, arg);
	case ARGP_KEY_END:
		return cdb_check(a);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- data */

static int load(struct cli_session *s, const struct one *a, struct cli_exchange *x)
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

static int prepare_data(struct cli_session *s, const struct one *a, struct cli_exchange *x)
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

/* ---- the answer */

static bool is_good(const struct cli_exchange *x)
{
	return x->outcome == HBA_GOOD || x->outcome == HBA_CONDITION_MET;
}

static struct json_object *exchange_json(const struct cli_exchange *x, const char *name,
					 const char *status)
{
	struct json_object *o = json_object_new_object();
	bool answered = hba_response(x->outcome) == HBA_TASK_COMPLETE;

	cli_json_hex(o, "cdb", x->cdb, x->cdb_len);
	cli_json_text(o, "command", name);
	cli_json_text(o, "outcome", status);
	cli_json_number(o, "service_response", hba_response(x->outcome));
	json_object_object_add(o, "status",
			       answered ? json_object_new_int(hba_status(x->outcome)) : NULL);
	cli_json_number(o, "bytes", x->bytes);
	json_object_object_add(o, "sense",
			       x->sense_len ? cli_sense_json(x->sense, x->sense_len) : NULL);
	if (x->direction == HBA_FROM_TARGET)
		cli_json_hex(o, "data", x->data, x->bytes);
	return o;
}

static int print_text(const struct cli_exchange *x, const char *name, const char *status,
		      const char *sense)
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

/* The most bytes that its CDB lets it move; 0: none, or not known here. */
static uint64_t bytes_of(const struct cli_exchange *x, uint32_t block_bytes)
{
	struct scsi_rw rw;
	uint64_t bytes = 0;

	if (scsi_cdb_read_rw(x->cdb, x->cdb_len, &rw))
		return (uint64_t)rw.count * block_bytes;
	(void)scsi_cdb_transfer(x->cdb, x->cdb_len, block_bytes, &bytes);
	return bytes;
}

/* 42h has no direction of its own, because it is another command of a CD-ROM. */
static bool is_writing(const struct cli_exchange *x)
{
	return x->cdb[0] == SCSI_UNMAP || scsi_cdb_direction(x->cdb[0]) == HBA_TO_TARGET;
}

/*
 * A command that was sent without data, though its CDB has room for some, looks as if the target
 * had none, or had taken them.
 */
static void hint_at_data(const struct cli_exchange *x, const char *name, uint32_t block_bytes)
{
	uint64_t bytes = x->direction == HBA_NO_DATA ? bytes_of(x, block_bytes) : 0;

	if (bytes && is_writing(x))
		(void)cli_fail(
			"%s takes up to %ju bytes of data, and there is no --out; --out FILE "
			"sends the data of FILE",
			name, (uintmax_t)bytes);
	else if (bytes)
		(void)cli_fail("%s moves up to %ju bytes of data, and there is no --in; --in %ju "
			       "shows the data that it reads",
			       name, (uintmax_t)bytes, (uintmax_t)bytes);
}

static int cdb_show(const struct arguments *a, const struct cli_exchange *x, uint32_t block_bytes,
		    struct json_object **ret_json)
{
	char name[CLI_WORDS], status[CLI_WORDS], sense[CLI_WORDS] = "";
	int r;

	cli_command_name(x->cdb, x->cdb_len, name);
	cli_outcome_name(x->outcome, status);
	if (x->sense_len || x->outcome == HBA_CHECK_CONDITION)
		cli_sense_words(x->sense, x->sense_len, sense);
	if (a->common.json)
		*ret_json = exchange_json(x, name, status);
	r = a->common.json ? 0 : print_text(x, name, status, sense);
	if (r)
		return r;
	if (is_good(x)) {
		hint_at_data(x, name, block_bytes);
		return 0;
	}
	return cli_fail("%s: %s: %s%s%s", a->common.uri, name, status, sense[0] ? ": " : "", sense);
}

static int send_one(const struct arguments *a, struct cli_session *s, struct hba_lun *lun,
		    struct one *one, struct json_object **ret_json)
{
	int r = prepare_data(s, one, &one->exchange);
	struct hba_lun_info info;

	hba_lun_get_info(lun, &info);
	if (r == 0)
		r = cli_exchange(s, lun, &one->exchange);
	return r ? r : cdb_show(a, &one->exchange, info.block_bytes, ret_json);
}

/* One command is one object; several are a list, of those that were sent. */
static int print_json(const struct arguments *a, struct json_object **each)
{
	struct json_object *o = a->n > 1 ? json_object_new_object() : each[0],
			   *list = json_object_new_array();

	for (size_t i = 0; a->n > 1 && i < a->n; i++)
		if (each[i])
			json_object_array_add(list, each[i]);
	if (a->n > 1)
		json_object_object_add(o, "commands", list);
	else
		json_object_put(list);
	return o ? cli_json_print(o) : 0;
}

static int cdb_send(void *arguments, struct cli_session *s)
{
	struct arguments *a = arguments;
	autofree struct json_object **each = calloc(a->n, sizeof(struct json_object *));
	struct hba_lun_info info;
	struct hba_lun *lun;
	int failed = 0, r = each ? cli_find_unit(s, &a->common.where, &lun, &info)
				 : cli_fail("no memory for %zu answers", a->n);

	if (r)
		return r;
	for (size_t i = 0; i < a->n && (!failed || a->keep_going) && !s->signal && !s->over; i++) {
		r = send_one(a, s, lun, &a->all[i], &each[i]);
		failed = failed ? failed : r;
	}
	r = a->common.json ? print_json(a, each) : 0;
	return failed ? failed : r;
}

static const struct argp_option options[] = {
	{ "in", KEY_IN, "N", 0, "The command reads up to N bytes", 0 },
	{ "out", KEY_OUT, "FILE", 0, "The command writes the bytes of FILE (-: standard input)",
	  0 },
	{ "then", KEY_THEN, NULL, 0, "Another command follows, with --in or --out of its own", 0 },
	{ "keep-going", KEY_KEEP_GOING, NULL, 0, "Send those after one that failed, too", 0 },
	{ 0 },
};

/*
 * Each part of the command line between two --then is parsed by itself; what belongs to no single
 * command may stand in any of them.
 */
static int parse_all(struct arguments *a, int argc, char **argv)
{
	int r = 0, begin = 0;

	for (int i = 1; r == 0 && i <= argc; i++) {
		if (i < argc && strcmp(argv[i], "--then"))
			continue;
		argv[begin] = argv[0];
		r = cli_parse(&cmd_cdb, i - begin, argv + begin, &a->common);
		if (r == 0)
			r = cli_parse_cdb(a->all[a->at].words, a->all[a->at].n_words,
					  a->all[a->at].exchange.cdb,
					  &a->all[a->at].exchange.cdb_len);
		a->at++;
		begin = i;
	}
	return r;
}

static int run_cdb(int argc, char **argv)
{
	struct arguments a = { .n = 1 };
	int r;

	for (int i = 1; i < argc; i++)
		a.n += strcmp(argv[i], "--then") == 0;
	a.all = calloc(a.n, sizeof(*a.all));
	if (!a.all)
		return cli_fail("no memory for %zu commands", a.n);
	for (size_t i = 0; i < a.n; i++)
		a.all[i].exchange.direction = HBA_NO_DATA;
	r = parse_all(&a, argc, argv);
	if (r == 0)
		r = cli_with_controller(&a.common, cdb_send, &a);
	for (size_t i = 0; i < a.n; i++)
		free(a.all[i].exchange.data);
	free(a.all);
	return r;
}

const struct cli_command cmd_cdb = {
	.name = "cdb",
	.summary = "send any SCSI command",
	.arguments = "URI HEX... [--then HEX...]...",
	.doc = "Send any SCSI command. Its bytes are sent as they are given: a command that "
	       "writes, writes. With --in N the data "
	       "that it reads are shown: hbakit cdb soft:ram --in 36 12 00 00 00 24 00",
	.asks = CLI_ASKS_CONTROLLER | CLI_ASKS_UNIT,
	.options = options,
	.take = cdb_take,
	.run = run_cdb,
};
