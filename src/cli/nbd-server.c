/* SPDX-License-Identifier: MIT */
/*
 * nbd-server.c: nbdkit with our plugin, as a child in the foreground.
 *
 * It inherits the socket (the LISTEN_FDS of sd_listen_fds(3)), a pipe in which the plugin says,
 * once, how it came up, and one on which nothing is ever said: it ends when our end of that is
 * closed, however we came to do it.
 */
#include "cli/nbd-server.h"

#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	LISTEN_AT = 3, /* where sd_listen_fds(3) has them */
	REPORT_AT,
	LIFELINE_AT,
	ABOVE,
	MAX_ARGUMENTS = 16,
	MAX_REPORT = 256 << 20, /* of a million units */
	PATIENCE_MS = 5000,
	NOT_STARTED = 127,
};

#define PLUGIN "nbdkit-hbakit-plugin.so"

/* ---- the plugin's file */

/* The folder of this program, with the slash. Empty: not known. */
static void find_folder(char folder[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", folder, PATH_MAX - 1);

	while (n > 0 && folder[n - 1] != '/')
		n--;
	folder[n > 0 ? n : 0] = '\0';
}

/* Beside the program, in the build tree, installed. NULL: nowhere. The caller frees. */
static char *find_plugin(void)
{
	char folder[PATH_MAX];
	const struct {
		const char *folder, *path;
	} places[] = { { folder, PLUGIN },
		       { folder, "../frontends/nbd/" PLUGIN },
		       { NBD_PLUGIN_DIR "/", PLUGIN } };
	char *path;

	find_folder(folder);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		if (asprintf(&path, "%s%s", places[i].folder, places[i].path) < 0)
			return NULL;
		if (places[i].folder[0] && access(path, R_OK) == 0)
			return path;
		free(path);
	}
	return NULL;
}

/* ---- the child */

struct arguments {
	char *words[MAX_ARGUMENTS];
	unsigned n;
	bool failed;
};

static void add(struct arguments *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct arguments *a, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(&a->words[a->n], format, args) < 0) {
		a->words[a->n] = NULL;
		a->failed = true;
	} else {
		a->n++;
	}
	va_end(args);
}

static void nbd_server_fill(struct arguments *a, const char *plugin, const struct nbd_wishes *w)
{
	add(a, "nbdkit");
	add(a, "--foreground");
	add(a, "--threads=%u", w->threads);
	if (w->common->read_only)
		add(a, "--readonly");
	add(a, "%s", plugin);
	add(a, "uri=%s", w->common->uri);
	if (w->common->plugin)
		add(a, "driver=%s", w->common->plugin);
	add(a, "read-only=%d", w->common->read_only);
	add(a, "verbose=%d", w->common->verbose);
	if (w->common->timeout_ms)
		add(a, "timeout-ms=%ju", (uintmax_t)w->common->timeout_ms);
	if (w->common->slow_ms)
		add(a, "slow-ms=%ju", (uintmax_t)w->common->slow_ms);
	add(a, "reopen=%u", w->reopen_s);
	add(a, "alive-ms=%u", w->alive_ms);
	add(a, "report=%d", REPORT_AT);
	add(a, "lifeline=%d", LIFELINE_AT);
}

static void free_arguments(struct arguments *a)
{
	for (unsigned i = 0; i < a->n; i++)
		free(a->words[i]);
}

/* All are copied out of the way first, so that none is written over. */
static bool place_descriptors(const int from[ABOVE - LISTEN_AT])
{
	int high[ABOVE - LISTEN_AT];

	for (int i = 0; i < ABOVE - LISTEN_AT; i++) {
		high[i] = fcntl(from[i], F_DUPFD_CLOEXEC, ABOVE);
		if (high[i] < 0)
			return false;
	}
	for (int i = 0; i < ABOVE - LISTEN_AT; i++)
		if (dup2(high[i], LISTEN_AT + i) < 0)
			return false;
	return true;
}

/*
 * Each client is a descriptor. The usual limit is low for programs that call select(); none of
 * those is started here.
 */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* We are the only thread: whatever libc does after a fork, it may do here. */
static void become_nbdkit(const struct arguments *a, const int from[ABOVE - LISTEN_AT])
{
	char pid[24];
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "1", 1);
	raise_descriptor_limit();
	if (place_descriptors(from))
		execvp(a->words[0], a->words);
	dprintf(from[REPORT_AT - LISTEN_AT],
		"{\"error\":\"nbdkit cannot be started: %s; it is in the package nbdkit\"}\n",
		strerror(errno));
	_exit(NOT_STARTED);
}

static int spawn(const struct arguments *a, int listener, struct nbd_server *server)
{
	int report[2], lifeline[2] = { -1, -1 };
	pid_t pid;

	if (pipe2(report, O_CLOEXEC) < 0)
		return cli_fail("no pipe can be made: %s", strerror(errno));
	/*
	 * The child's copy of our end of the lifeline goes with exec; until then nobody needs it.
	 */
	pid = pipe2(lifeline, O_CLOEXEC) < 0 ? -1 : fork();
	if (pid == 0)
		become_nbdkit(a, (int[]) { listener, report[1], lifeline[0] });
	close(report[1]);
	cleanup_close(&lifeline[0]);
	*server = (struct nbd_server) { .pid = pid > 0 ? pid : 0,
					.pidfd = pid > 0 ? pidfd_open(pid, 0) : -1,
					.report = report[0],
					.lifeline = lifeline[1] };
	return server->pidfd < 0 ? cli_fail("nbdkit cannot be started: %s", strerror(errno)) : 0;
}

int nbd_start(const struct nbd_place *p, const struct nbd_wishes *w, struct nbd_server *ret_server)
{
	struct arguments a = { .n = 0 };
	autofree char *plugin = find_plugin();
	int r;

	*ret_server = (struct nbd_server) { .pidfd = -1, .report = -1, .lifeline = -1 };
	if (!plugin)
		return cli_fail("there is no " PLUGIN " beside this program nor in " NBD_PLUGIN_DIR
				"; `make build' builds it, if nbdkit-plugin-dev is installed");
	nbd_server_fill(&a, plugin, w);
	r = a.failed ? cli_fail("no memory") : spawn(&a, p->fd, ret_server);
	free_arguments(&a);
	return r;
}

/* ---- its words */

/* 1: there is something, or the end. 0: a signal came. */
static int await(struct cli_session *s, int fd)
{
	struct pollfd fds[] = { { .fd = fd, .events = POLLIN },
				{ .fd = s->signal_fd, .events = POLLIN } };

	while (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno == EINTR)
		;
	return fds[1].revents == 0;
}

/* Bytes that came; 0: it was the end; or negative errno. */
static ssize_t read_more(struct nbd_server *server)
{
	size_t room = server->room ? server->room * 2 : BUFSIZ;
	char *more;
	ssize_t got;

	if (server->length + 1 >= server->room) {
		more = room <= MAX_REPORT ? realloc(server->text, room) : NULL;
		if (!more)
			return -ENOMEM;
		server->text = more;
		server->room = room;
	}
	got = read(server->report, server->text + server->length,
		   server->room - server->length - 1);
	if (got < 0)
		return -errno;
	server->length += (size_t)got;
	server->text[server->length] = '\0';
	return got;
}

/* The object of the first whole line, which is taken out. NULL: there is none yet. */
static struct json_object *take_line(struct nbd_server *server)
{
	char *end = server->length ? memchr(server->text, '\n', server->length) : NULL;
	struct json_object *o = NULL;
	size_t n;

	if (!end)
		return NULL;
	n = (size_t)(end - server->text) + 1;
	*end = '\0';
	o = json_tokener_parse(server->text);
	server->length -= n;
	memmove(server->text, server->text + n, server->length + 1);
	return o ? o : json_object_new_object();
}

/* NULL: a signal came (s->signal), it has ended, or no memory. */
static struct json_object *read_report(struct cli_session *s, struct nbd_server *server)
{
	struct json_object *o;

	while (!(o = take_line(server))) {
		if (!await(s, server->report) && cli_interrupted(s))
			return NULL;
		if (read_more(server) <= 0)
			return NULL;
	}
	return o;
}

static int say_end(int status)
{
	if (WIFSIGNALED(status))
		return cli_fail("nbdkit was ended by %s", strsignal(WTERMSIG(status)));
	return cli_fail("nbdkit ended with %d; its messages are above", WEXITSTATUS(status));
}

static int reap(struct nbd_server *server)
{
	int status = 0;

	while (waitpid(server->pid, &status, 0) < 0 && errno == EINTR)
		;
	server->pid = 0;
	return status;
}

int nbd_hear(struct cli_session *s, struct nbd_server *server, struct json_object **ret_object)
{
	struct json_object *o = read_report(s, server), *error;

	if (!o)
		return s->signal ? cli_say_interrupted(s, "start") : say_end(reap(server));
	if (!json_object_object_get_ex(o, "error", &error)) {
		*ret_object = o;
		return 0;
	}
	cli_fail("%s", json_object_get_string(error));
	json_object_put(o);
	return CLI_FAILED;
}

/* ---- its news */

static void tell_lost(const struct cli_session *s, struct nbd_server *server,
		      const struct notify *n, struct json_object *o)
{
	const char *sentence = json_object_get_string(json_object_object_get(o, "lost"));
	struct json_object *retry = json_object_object_get(o, "retry");

	if (retry)
		cli_fail("%s: %s; it is opened again in %d s, until then requests fail", s->uri,
			 sentence, json_object_get_int(retry));
	else
		cli_fail("%s: %s; the server ends", s->uri, sentence);
	server->lost = server->lost || !retry;
	notify_send(n, "STATUS=%s: %s%s", s->uri, sentence, retry ? "; it is opened again" : "");
}

static void take_news(const struct cli_session *s, struct nbd_server *server,
		      const struct notify *n, struct json_object *o)
{
	if (json_object_object_get_ex(o, "alive", NULL)) {
		notify_send(n, "WATCHDOG=1");
	} else if (json_object_object_get_ex(o, "lost", NULL)) {
		tell_lost(s, server, n, o);
	} else if (json_object_object_get_ex(o, "error", NULL)) {
		cli_fail("%s", json_object_get_string(json_object_object_get(o, "error")));
	} else if (json_object_object_get_ex(o, "exports", NULL)) {
		cli_fail("%s: opened again, and served", s->uri);
		notify_send(n, "STATUS=%s is served", s->uri);
	}
	json_object_put(o);
}

static void hear_news(const struct cli_session *s, struct nbd_server *server,
		      const struct notify *n)
{
	struct json_object *o;

	if (read_more(server) <= 0)
		cleanup_close(&server->report);
	while ((o = take_line(server)))
		take_news(s, server, n, o);
}

/* ---- its end */

/*
 * A terminal that closes, or timeout(1), sends more than one: it is an order only when we have
 * offered that.
 */
static void tell_to_end(const struct cli_session *s, struct nbd_server *server)
{
	struct signalfd_siginfo info;

	if (read(s->signal_fd, &info, sizeof(info)) < 0)
		return;
	if (server->offered)
		kill(server->pid, SIGKILL);
	cleanup_close(&server->lifeline);
	server->told = true;
}

static void offer_to_kill(const struct cli_session *s, struct nbd_server *server)
{
	if (!server->offered)
		cli_fail("%s: commands are out, and are waited for; ^C again to wait no longer",
			 s->uri);
	server->offered = true;
}

int nbd_wait(const struct cli_session *s, struct nbd_server *server, const struct notify *notify)
{
	struct pollfd fds[] = { { .fd = server->pidfd, .events = POLLIN },
				{ .fd = s->signal_fd, .events = POLLIN },
				{ .fd = server->report, .events = POLLIN } };
	int n, status;

	do {
		fds[2].fd = server->report;
		n = poll(fds, ARRAY_SIZE(fds), server->told ? PATIENCE_MS : -1);
		if (n > 0 && fds[2].revents)
			hear_news(s, server, notify);
		if (n > 0 && fds[1].revents) {
			notify_send(notify, "STOPPING=1");
			tell_to_end(s, server);
		}
		if (n == 0)
			offer_to_kill(s, server);
	} while (!(n > 0 && fds[0].revents));
	status = reap(server);
	if (server->lost)
		return CLI_FAILED;
	return server->told && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : say_end(status);
}

void nbd_end(struct nbd_server *server)
{
	struct pollfd fd = { .fd = server->pidfd, .events = POLLIN };

	cleanup_close(&server->lifeline);
	/* It may be at bringing up a controller that does not come. */
	if (server->pid > 0 && poll(&fd, 1, PATIENCE_MS) <= 0)
		kill(server->pid, SIGKILL);
	if (server->pid > 0)
		reap(server);
	cleanup_close(&server->pidfd);
	cleanup_close(&server->report);
	free(server->text);
	server->text = NULL;
}
