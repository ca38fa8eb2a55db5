/* SPDX-License-Identifier: MIT */
/*
 * plot.c: a histogram drawn by gnuplot, which reads commands and numbers from its standard input.
 */
#include "cli/cli.h"
#include "cli/histogram.h"

#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NS_PER_US 1e3

enum { LOOK_MS = 50 };

static char *const gnuplot[] = { (char *)(uintptr_t) "gnuplot", NULL };

static int spawn_gnuplot(int out, int *ret_stdin, pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	int fds[2], r;

	if (pipe(fds) < 0)
		return -errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[0], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	/* Its complaints take several lines; ours is one. */
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addclose(&actions, fds[0]);
	posix_spawn_file_actions_addclose(&actions, fds[1]);
	r = posix_spawnp(ret_pid, gnuplot[0], &actions, NULL, gnuplot, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[0]);
	if (r) {
		close(fds[1]);
		return -r;
	}
	*ret_stdin = fds[1];
	return 0;
}

/* What it draws into may be a pipe that nobody empties. */
static int wait_for(struct cli_session *s, pid_t pid)
{
	struct pollfd signals = { .fd = s->signal_fd, .events = POLLIN };
	int status;
	pid_t ended;

	while ((ended = waitpid(pid, &status, WNOHANG)) <= 0) {
		if (ended < 0 && errno != EINTR)
			return -errno;
		poll(&signals, 1, LOOK_MS);
		if (cli_interrupted(s))
			kill(pid, SIGKILL);
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

/* In gnuplot's quotes a quote is written twice. */
static void print_quoted(FILE *f, const char *text)
{
	fputc('\'', f);
	for (; *text; text++) {
		if (*text == '\'')
			fputc('\'', f);
		fputc(*text < ' ' ? ' ' : *text, f);
	}
	fputc('\'', f);
}

static void print_head(FILE *f, const char *title)
{
	fputs("set terminal svg size 900,500 dynamic\nset title ", f);
	print_quoted(f, title);
	fputs(" noenhanced\nset logscale x\nset grid\nset xlabel 'latency (us)'\nset ylabel 'share "
	      "of commands (%)'\n"
	      "set y2label 'not above (%)'\nset y2tics\nset yrange [0:]\nset y2range [0:100]\nset "
	      "key outside center bottom horizontal\n"
	      "plot '-' using 1:2 with impulses title 'share', '-' using 1:2 axes x1y2 with lines "
	      "title 'not above'\n",
	      f);
}

static void print_points(FILE *f, const struct histogram *h, bool cumulative)
{
	double total = 0;

	for (size_t b = 0; b < HISTOGRAM_BUCKETS; b++) {
		double share = 100.0 * (double)h->buckets[b] / (double)h->count;

		total += share;
		if (h->buckets[b])
			fprintf(f, "%.4f %.6f\n", (double)histogram_high(b) / NS_PER_US,
				cumulative ? total : share);
	}
	fputs("e\n", f);
}

static bool have_gnuplot(void)
{
	const char *path = getenv("PATH");
	autofree char *copy = strdup(path ? path : "");
	char *rest = NULL, name[PATH_MAX];

	for (char *dir = copy ? strtok_r(copy, ":", &rest) : NULL; dir;
	     dir = strtok_r(NULL, ":", &rest)) {
		snprintf(name, sizeof(name), "%s/%s", dir, gnuplot[0]);
		if (access(name, X_OK) == 0)
			return true;
	}
	return false;
}

int cli_plot_check(void)
{
	if (have_gnuplot())
		return 0;
	return cli_fail("--plot needs gnuplot, which is not in PATH; install it (gnuplot-nox), or "
			"leave --plot out");
}

/* What gnuplot thinks of it, its exit status tells. */
static void feed(FILE *f, const struct histogram *h, const char *title)
{
	print_head(f, title);
	print_points(f, h, false);
	print_points(f, h, true);
	fclose(f);
}

int cli_plot(struct cli_session *s, const struct histogram *h, const char *title, int fd)
{
	int in = -1, r;
	pid_t pid;
	FILE *f;

	r = spawn_gnuplot(fd, &in, &pid);
	if (r < 0)
		return cli_fail("gnuplot: %s", strerror(-r));
	f = fdopen(in, "w");
	if (f)
		feed(f, h, title);
	else
		close(in);
	r = wait_for(s, pid);
	if (s->signal)
		return cli_say_interrupted(s, "drawing");
	if (r < 0 || !f)
		return cli_fail("gnuplot could not draw the latencies; the plot is not complete");
	return 0;
}
