/* SPDX-License-Identifier: MIT */
/*
 * session.c: a controller for as long as a command lasts.
 *
 * Signals are blocked before the library makes its threads, which inherit that, and read from a
 * descriptor beside the controller's: so a controller is always stopped in order, with every task
 * back, before the program ends.
 */
#include "cli/cli.h"

#include "base/base.h"
#include "base/endian.h"
#include "scsi/scsi.h"

#include <errno.h>
#include <hbakit/driver.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { RUN_BUDGET = 32, LUN_TEXT = 24, START_MS = 60 * MS_PER_S };

static void print_log(enum hba_log_level level, const char *line, void *arg)
{
	(void)level;
	(void)arg;
	cli_say_log(line);
}

static int catch_signals(struct cli_session *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	s->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (s->signal_fd < 0)
		return -errno;
	s->own_fd = true;
	return 0;
}

int cli_open_controller(const struct cli_session *s, const struct cli_common *common,
			struct hba_controller **ret_c)
{
	struct hba_options options = {
		.size = sizeof(options),
		.plugin = common->plugin,
		.read_only = common->read_only,
		.log = common->verbose ? print_log : NULL,
		.log_level = HBA_LOG_DEBUG,
		.timeout_ms = common->timeout_ms,
		.slow_ms = common->slow_ms,
		/* A command of the scan may take all its time, and the rest has its own. */
		.start_ms = common->timeout_ms ? START_MS + (unsigned)common->timeout_ms : 0,
	};

	return hba_controller_open(common->uri, &options, ret_c) < 0 ? cli_library_failed(s, NULL)
								     : 0;
}

static int open_and_start(struct cli_session *s, const struct cli_common *common)
{
	int r = cli_open_controller(s, common, &s->controller);

	return r ? r : cli_start(s);
}

/* Most sentences begin with the URI. */
static const char *after_uri(const struct cli_session *s, const char *sentence)
{
	size_t n = strlen(s->uri);

	return strncmp(sentence, s->uri, n) == 0 && strncmp(sentence + n, ": ", 2) == 0
		       ? sentence + n + 2
		       : sentence;
}

int cli_library_failed(const struct cli_session *s, const char *what)
{
	return cli_fail("%s: %s%s%s", s->uri, what ? what : "", what ? ": " : "",
			after_uri(s, hba_error()));
}

/* The library's sentence is of its last call: it is kept until the end is told. */
static void keep_sentence(struct cli_session *s)
{
	snprintf(s->stop_failure, sizeof(s->stop_failure), "%s", after_uri(s, hba_error()));
}

void cli_stop(struct cli_session *s)
{
	if (!s->controller || s->over)
		return;
	s->over = true;
	if (hba_controller_stop(s->controller) < 0)
		keep_sentence(s);
}

/* Harmless on a session that is half open. */
static void close_session(struct cli_session *s)
{
	cli_stop(s);
	if (s->controller)
		cli_note_events(s);
	hba_controller_close(s->controller);
	s->controller = NULL;
	if (s->own_fd)
		close(s->signal_fd);
	s->own_fd = false;
}

/*
 * One line, when it is known how it went: what a signal ended, or that the controller did not stop.
 */
static int tell_end(const struct cli_session *s)
{
	if (s->interrupted)
		return cli_fail("%s: %s: stopped by %s; %s", s->uri, s->interrupted,
				strsignal(s->signal),
				s->stop_failure[0] ? s->stop_failure
						   : "the controller was stopped in order");
	return s->stop_failure[0] ? cli_fail("%s: stop: %s", s->uri, s->stop_failure) : 0;
}

static int with_session(const struct cli_common *common, bool start,
			int (*work)(void *arguments, struct cli_session *s), void *arguments)
{
	struct cli_session s = { .uri = common->uri, .verbose = common->verbose };
	char said[CLI_STOP_FAILURE] = "";
	int r = catch_signals(&s), ended;
	bool begun;

	if (r < 0)
		return cli_fail("signals cannot be caught: %s", strerror(-r));
	r = start ? open_and_start(&s, common) : 0;
	begun = r == 0;
	if (begun)
		r = work(arguments, &s);
	else
		snprintf(said, sizeof(said), "%s", hba_error());
	close_session(&s);
	cli_print_event_summary(&s, said);
	/* What did not start need not stop either, and has said why. */
	ended = begun || s.interrupted ? tell_end(&s) : 0;
	return r ? r : ended;
}

int cli_with_controller(const struct cli_common *common,
			int (*work)(void *arguments, struct cli_session *s), void *arguments)
{
	return with_session(common, true, work, arguments);
}

int cli_with_signals(const struct cli_common *common,
		     int (*work)(void *arguments, struct cli_session *s), void *arguments)
{
	return with_session(common, false, work, arguments);
}

struct view {
	const struct cli_common *common;
	struct json_object *(*as_json)(struct hba_controller *c);
	void (*print)(struct hba_controller *c, bool verbose);
};

static int show_view(void *arguments, struct cli_session *s)
{
	const struct view *view = arguments;

	if (view->common->json)
		return cli_json_print(view->as_json(s->controller));
	view->print(s->controller, view->common->verbose);
	return cli_finish_output();
}

int cli_run_view(const struct cli_command *command, int argc, char **argv,
		 struct json_object *(*as_json)(struct hba_controller *c),
		 void (*print)(struct hba_controller *c, bool verbose))
{
	struct cli_common common = { .uri = NULL };
	struct view view = { &common, as_json, print };
	int r = cli_parse(command, argc, argv, &common);

	return r ? r : cli_with_controller(&common, show_view, &view);
}

bool cli_interrupted(struct cli_session *s)
{
	struct signalfd_siginfo info;

	if (s->signal == 0 && read(s->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		s->signal = (int)info.ssi_signo;
	return s->signal != 0;
}

void cli_wait(struct cli_session *s, int fd, short events)
{
	struct pollfd fds[] = {
		{ .fd = hba_controller_fd(s->controller), .events = POLLIN },
		/* it came already: nothing new to hear */
		{ .fd = s->signal ? -1 : s->signal_fd, .events = POLLIN },
		{ .fd = fd, .events = events },
	};

	if (hba_controller_arm(s->controller) == 0)
		poll(fds, ARRAY_SIZE(fds), -1);
	if (fds[1].revents)
		cli_interrupted(s);
	if (hba_controller_run(s->controller, RUN_BUDGET) < 0)
		s->over = true;
	cli_note_events(s);
}

int cli_say_interrupted(struct cli_session *s, const char *what)
{
	s->interrupted = what;
	return CLI_FAILED;
}

static bool has_lun(const struct cli_where *where, const struct hba_lun_info *info)
{
	if (where->lun_is_bytes)
		return get_be64(info->lun.bytes) == where->lun;
	return info->number != UINT64_MAX && info->number == where->lun;
}

static bool fits(const struct cli_where *where, const struct hba_lun_info *info)
{
	return (!where->has_target || info->target == where->target) &&
	       (!where->has_lun || has_lun(where, info));
}

int cli_no_such_unit(const struct cli_session *s, const struct cli_where *where)
{
	char target[32] = "", lun[32] = "";

	if (where->has_target)
		snprintf(target, sizeof(target), " at target %ju", (uintmax_t)where->target);
	if (where->has_lun)
		snprintf(lun, sizeof(lun),
			 where->lun_is_bytes ? " with LUN %016jx" : " with LUN %ju",
			 (uintmax_t)where->lun);
	return cli_fail("%s: there is no unit%s%s; `hbakit scan %s' lists its units", s->uri,
			target, lun, s->uri);
}

int cli_find_unit(struct cli_session *s, const struct cli_where *where, struct hba_lun **ret_lun,
		  struct hba_lun_info *ret_info)
{
	struct hba_lun_info info;

	for (struct hba_lun *lun = hba_lun_next(s->controller, NULL); lun;
	     lun = hba_lun_next(s->controller, lun)) {
		hba_lun_get_info(lun, &info);
		if (!fits(where, &info))
			continue;
		*ret_lun = lun;
		*ret_info = info;
		return 0;
	}
	return cli_no_such_unit(s, where);
}

void cli_unit_name(const struct hba_lun_info *info, char text[CLI_UNIT_NAME])
{
	char lun[LUN_TEXT];

	scsi_lun_text(&info->lun, lun);
	snprintf(text, CLI_UNIT_NAME, "%ju:%s", (uintmax_t)info->target, lun);
}

uint64_t cli_unit_max_transfer(const struct cli_session *s, const struct hba_lun_info *info,
			       uint64_t wish)
{
	uint64_t limit = hba_controller_report(s->controller)->constraints.max_transfer;

	if (limit == 0 || limit > wish) /* HBA_UNSET is above every wish */
		limit = wish;
	limit -= limit % info->block_bytes;
	return limit ? limit : info->block_bytes;
}
