/* SPDX-License-Identifier: MIT */
/* files.c: the other end of read and write: a file, a pipe, a terminal. Whatever waits here hears signals too. */
#include "cli/cli.h"

#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NEW_FILE_MODE = 0666, TIMEOUT_NONE = -1 };

static bool is_standard(const char *path)
{
	return !path || strcmp(path, "-") == 0;
}

static int describe(struct cli_file *f)
{
	struct stat st;
	off_t at;

	if (fstat(f->fd, &st) < 0)
		return cli_fail("%s: %s", f->name, strerror(errno));
	f->regular = S_ISREG(st.st_mode);
	at = f->regular ? lseek(f->fd, 0, SEEK_CUR) : 0;
	f->size = f->regular && st.st_size > at && at >= 0 ? (uint64_t)(st.st_size - at) : 0;
	if (S_ISDIR(st.st_mode))
		return cli_fail("%s: is a directory; a file or a pipe is needed", f->name);
	return 0;
}

/* It is the caller's, or closed. */
static int take(struct cli_file f, struct cli_file *ret_file)
{
	int r = describe(&f);

	if (r == 0)
		*ret_file = f;
	else if (f.own)
		close(f.fd);
	return r;
}

int cli_open_input(const char *path, struct cli_file *ret_file)
{
	struct cli_file f = { .fd = STDIN_FILENO, .name = "standard input", .own = false };

	if (!is_standard(path)) {
		f = (struct cli_file) { .fd = open(path, O_RDONLY | O_CLOEXEC), .name = path, .own = true };
		if (f.fd < 0)
			return cli_fail("%s: %s", path, strerror(errno));
	}
	return take(f, ret_file);
}

/* Opening the output empties it: it must not be the file that stands behind the controller. */
static bool is_behind(const char *uri, const char *path)
{
	const char *colon = strchr(uri, ':');
	struct stat behind, out;
	autofree char *name = strdup(colon ? colon + 1 : uri);

	if (!name)
		return true;
	name[strcspn(name, "?")] = 0;
	return stat(name, &behind) == 0 && stat(path, &out) == 0 && S_ISREG(out.st_mode) && behind.st_dev == out.st_dev &&
	       behind.st_ino == out.st_ino;
}

int cli_open_output(const char *path, const char *uri, struct cli_file *ret_file)
{
	struct cli_file f = { .fd = STDOUT_FILENO, .name = "standard output", .own = false };

	if (!is_standard(path)) {
		if (is_behind(uri, path))
			return cli_fail("%s: is the very file that %s reads; name another for the output", path, uri);
		f = (struct cli_file) { .fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, NEW_FILE_MODE),
					.name = path,
					.own = true };
		if (f.fd < 0)
			return cli_fail("%s: %s", path, strerror(errno));
	}
	return take(f, ret_file);
}

int cli_close_file(struct cli_file *f)
{
	if (!f->own)
		return 0;
	f->own = false;
	if (close(f->fd) < 0)
		return cli_fail("%s: %s; the file is not complete", f->name, strerror(errno));
	return 0;
}

/* 0: ready; -EINTR: a signal. Neither side of a pipe can keep us from hearing it. */
static int wait_ready(struct cli_session *s, int fd, short events)
{
	struct pollfd fds[] = { { .fd = fd, .events = events }, { .fd = s->signal_fd, .events = POLLIN } };

	while (!fds[0].revents) {
		if (poll(fds, ARRAY_SIZE(fds), TIMEOUT_NONE) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents && cli_interrupted(s))
			return -EINTR;
	}
	return cli_interrupted(s) ? -EINTR : 0;
}

int cli_write_all(struct cli_session *s, const struct cli_file *f, const uint8_t *data, size_t length)
{
	size_t at = 0;

	while (at < length) {
		/* A ready pipe takes this much without waiting, and may take no more. */
		size_t n = f->regular || length - at < PIPE_BUF ? length - at : PIPE_BUF;
		ssize_t written;
		int r = f->regular ? 0 : wait_ready(s, f->fd, POLLOUT);

		if (r < 0)
			return r;
		written = write(f->fd, data + at, n);
		if (written < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		at += written > 0 ? (size_t)written : 0;
	}
	return 0;
}

ssize_t cli_read_full(struct cli_session *s, const struct cli_file *f, uint8_t *data, size_t length)
{
	size_t at = 0;

	while (at < length) {
		ssize_t got;
		int r = f->regular ? 0 : wait_ready(s, f->fd, POLLIN);

		if (r < 0)
			return r;
		got = read(f->fd, data + at, length - at);
		if (got == 0)
			break;
		if (got < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		at += got > 0 ? (size_t)got : 0;
	}
	return (ssize_t)at;
}
