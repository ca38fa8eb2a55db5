/* SPDX-License-Identifier: MIT */
/*
 * cmd-serve.c: `hbakit serve URI --nbd WHERE`: every unit of a controller as an NBD export, until a
 * signal comes.
 */
#include "cli/nbd-server.h"

#include "base/base.h"

#include <stdlib.h>

enum { KEY_NBD = 0x100, KEY_READ_ONLY, KEY_THREADS, KEY_REOPEN };
/*
 * nbdkit 1.32, Debian 12's, aborts when a client leaves with several of its requests out and more
 * than one thread to answer them: so one is what is safe. Clients that want more at once come with
 * more connections.
 */
enum { DEFAULT_THREADS = 1, MOST_THREADS = 1024 };
enum { DEFAULT_REOPEN_S = 60, MOST_REOPEN_S = 86400 };

struct arguments {
	struct cli_common common;
	const char *where;
	uint64_t threads, reopen_s;
	struct notify notify;
};

static error_t take_threads(const char *text, uint64_t *ret_threads)
{
	error_t r = cli_take_number("--threads", text, ret_threads);

	if (r || (*ret_threads >= 1 && *ret_threads <= MOST_THREADS))
		return r;
	cli_usage("--threads %s: from 1 to %d", text, MOST_THREADS);
	return CLI_TOLD;
}

static error_t serve_take(struct cli_common *common, int key, char *arg)
{
	struct arguments *a = container_of(common, struct arguments, common);

	switch (key) {
	case KEY_NBD:
		a->where = arg;
		return 0;
	case KEY_READ_ONLY:
		common->read_only = true;
		return 0;
	case KEY_THREADS:
		return take_threads(arg, &a->threads);
	case KEY_REOPEN:
		a->reopen_s = DEFAULT_REOPEN_S;
		return arg ? cli_take_count("--reopen", arg, MOST_REOPEN_S, "seconds", &a->reopen_s)
			   : 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- what is served */

static struct json_object *member(struct json_object *o, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(o, key, &value);
	return value;
}

static void add_uris(struct json_object *exports, const struct nbd_place *p)
{
	for (size_t i = 0; i < json_object_array_length(exports); i++) {
		struct json_object *e = json_object_array_get_idx(exports, i);
		autofree char *uri = nbd_uri(p, json_object_get_string(member(e, "name")));

		cli_json_text(e, "uri", uri ? uri : "");
	}
}

static int print_exports(const struct cli_session *s, struct json_object *exports)
{
	autofree char *served = cli_printable(s->uri);

	printf("%s is served; ^C ends it\n", served ? served : "");
	for (size_t i = 0; i < json_object_array_length(exports); i++) {
		struct json_object *e = json_object_array_get_idx(exports, i);
		autofree char *uri = cli_printable(json_object_get_string(member(e, "uri")));

		printf("  %-7s %12ju bytes%s  %s\n", json_object_get_string(member(e, "address")),
		       (uintmax_t)json_object_get_int64(member(e, "size")),
		       json_object_get_boolean(member(e, "read_only")) ? ", read-only" : "",
		       uri ? uri : "");
	}
	return cli_finish_output();
}

/* Takes `o`. */
static int serve_tell(const struct cli_session *s, const struct arguments *a,
		      const struct nbd_place *p, struct json_object *o)
{
	struct json_object *exports = member(o, "exports");
	autofree char *uri = nbd_uri(p, "");
	int r;

	if (!exports || json_object_array_length(exports) == 0) {
		json_object_put(o);
		return cli_fail(
			"%s: it has no unit that NBD supports; `hbakit scan %s' lists its units",
			s->uri, s->uri);
	}
	add_uris(exports, p);
	if (a->common.json) {
		cli_json_text(o, "controller", s->uri);
		cli_json_text(o, "uri", uri ? uri : "");
		return cli_json_print(o);
	}
	r = print_exports(s, exports);
	json_object_put(o);
	return r;
}

/* ---- */

static int serve_at(struct cli_session *s, const struct arguments *a, const struct nbd_place *p)
{
	struct nbd_wishes wishes = { .common = &a->common,
				     .threads = (unsigned)a->threads,
				     .reopen_s = (unsigned)a->reopen_s,
				     .alive_ms = a->notify.alive_ms };
	struct nbd_server server;
	struct json_object *o;
	int r = nbd_start(p, &wishes, &server);

	if (r == 0)
		r = nbd_hear(s, &server, &o);
	if (r == 0)
		r = serve_tell(s, a, p, o);
	if (r == 0)
		notify_send(&a->notify, "READY=1\nSTATUS=%s is served", s->uri);
	if (r == 0)
		r = nbd_wait(s, &server, &a->notify);
	nbd_end(&server);
	return r;
}

static int serve(void *arguments, struct cli_session *s)
{
	const struct arguments *a = arguments;
	struct nbd_place place;
	int r = nbd_listen(a->where, &place);

	if (r)
		return r;
	r = serve_at(s, a, &place);
	nbd_unlisten(&place);
	return r;
}

static int run_serve(int argc, char **argv)
{
	struct arguments a = { .threads = DEFAULT_THREADS };
	int r = cli_parse(&cmd_serve, argc, argv, &a.common);

	if (r)
		return r;
	if (!a.where)
		return cli_usage("no place to serve: add --nbd unix:PATH or --nbd tcp:HOST:PORT");
	notify_begin(&a.notify);
	r = cli_with_signals(&a.common, serve, &a);
	notify_end(&a.notify);
	return r;
}

static const struct argp_option options[] = {
	{ "nbd", KEY_NBD, "WHERE", 0,
	  "As NBD exports, at unix:PATH, tcp:HOST:PORT, or tcp:PORT for this machine alone", 0 },
	{ "read-only", KEY_READ_ONLY, NULL, 0, "Nobody may write", 0 },
	{ "reopen", KEY_REOPEN, "SECONDS", OPTION_ARG_OPTIONAL,
	  "A controller that is gone or dead is opened again, with waits from 1 second up to "
	  "SECONDS (default: 60). Without this, serve "
	  "ends then, with status 1",
	  0 },
	{ "threads", KEY_THREADS, "N", 0,
	  "Requests of one connection that are out at once (default: 1)", 0 },
	{ 0 },
};

const struct cli_command cmd_serve = {
	.name = "serve",
	.summary = "let others use a controller's units, by NBD",
	.arguments = "URI",
	.doc = "Export every unit of a controller, until ^C. Names are what the units say of "
	       "themselves; TARGET:LUN names each besides, "
	       "and an empty name is the first. TCP has no passwords: whoever reaches the port "
	       "reads and writes the disks.",
	.asks = CLI_ASKS_CONTROLLER,
	.options = options,
	.take = serve_take,
	.run = run_serve,
};
