/* SPDX-License-Identifier: MIT */
/*
 * files.c: the other end of read and write: a file, a pipe, a terminal. Whatever waits here hears
 * signals too.
 */
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

enum { NEW_FILE_MODE = 0666, TIMEOUT_NONE = -1, LOOK_MS = 50 };

static bool is_standard(const char *path)
{
	return !path || strcmp(path, "-") == 0;
}

static void forget(struct cli_file *f)
{
	free(f->place);
	free(f->temporary);
	f->place = f->temporary = NULL;
}

static int files_describe(struct cli_file *f)
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
static int files_take(struct cli_file f, struct cli_file *ret_file)
{
	int r = files_describe(&f);

	if (r == 0)
		*ret_file = f;
	else
		cli_close_file(&f);
	return r;
}

/*
 * open() of a FIFO waits for its other end, where no signal is heard. So it is told not to wait:
 * poll() does that, beside the signals.
 */
static int open_without_waiting(const char *path, int flags)
{
	int fd = open(path, flags | O_NONBLOCK | O_CLOEXEC, NEW_FILE_MODE);

	if (fd >= 0)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

int cli_open_input(const char *path, struct cli_file *ret_file)
{
	struct cli_file f = { .fd = STDIN_FILENO, .name = "standard input" };

	if (!is_standard(path)) {
		f = (struct cli_file) { .fd = open_without_waiting(path, O_RDONLY),
					.name = path,
					.own = true };
		if (f.fd < 0)
			return cli_fail("%s: cannot be opened for reading: %s", path,
					strerror(-f.fd));
	}
	return files_take(f, ret_file);
}

/*
 * These stand for a file that somebody has open already: another one in its place he would not see.
 */
static bool is_open_elsewhere(const char *path)
{
	static const char *const beginnings[] = { "/dev/fd/", "/dev/stdout", "/dev/stderr",
						  "/proc/" };

	for (size_t i = 0; i < ARRAY_SIZE(beginnings); i++)
		if (strncmp(path, beginnings[i], strlen(beginnings[i])) == 0)
			return true;
	return false;
}

/*
 * The regular file, there or not, whose place the output takes at the end. NULL: it has none, and
 * is written where it is.
 */
static char *find_place(const char *path, struct stat *ret_old)
{
	*ret_old = (struct stat) { .st_mode = 0 };
	if (lstat(path, ret_old) < 0)
		return errno == ENOENT && path[0] ? strdup(path) : NULL;
	if (stat(path, ret_old) < 0 || !S_ISREG(ret_old->st_mode) || is_open_elsewhere(path))
		return NULL;
	return realpath(path, NULL);
}

/* Beside it, so that a rename is enough. */
static char *temporary_name(const char *place)
{
	const char *slash = strrchr(place, '/');
	int folder = slash ? (int)(slash - place) + 1 : 0;
	char *name;

	return asprintf(&name, "%.*s.hbakit-%jd-%jx", folder, place, (intmax_t)getpid(),
			(uintmax_t)clock_monotonic.now(&clock_monotonic)) < 0
		       ? NULL
		       : name;
}

/*
 * Who may not write into the old file may not put another in its place either. That is as open to
 * others, and the owner's if possible.
 */
static int open_temporary(struct cli_file *f, const struct stat *old)
{
	bool is_new = old->st_mode == 0;

	if (!is_new && faccessat(AT_FDCWD, f->place, W_OK, AT_EACCESS) < 0)
		return -errno;
	f->fd = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		     is_new ? NEW_FILE_MODE : old->st_mode & ACCESSPERMS);
	if (f->fd < 0)
		return -errno;
	if (!is_new)
		fchmod(f->fd,
		       old->st_mode & (fchown(f->fd, old->st_uid, old->st_gid) == 0 ? ALLPERMS
										    : ACCESSPERMS));
	return 0;
}

static bool is_fifo(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* A FIFO that nobody reads so far cannot be opened for writing, nor waited for. */
static int open_in_place(struct cli_session *s, struct cli_file *f)
{
	struct pollfd signals = { .fd = s->signal_fd, .events = POLLIN };

	while ((f->fd = open_without_waiting(f->name, O_WRONLY | O_CREAT | O_TRUNC)) == -ENXIO &&
	       is_fifo(f->name)) {
		poll(&signals, 1, LOOK_MS);
		if (cli_interrupted(s))
			return -EINTR;
	}
	return f->fd < 0 ? f->fd : 0;
}

static int open_output(struct cli_session *s, struct cli_file *f)
{
	struct stat old;

	f->place = find_place(f->name, &old);
	if (!f->place)
		return open_in_place(s, f);
	f->temporary = temporary_name(f->place);
	return f->temporary ? open_temporary(f, &old) : -ENOMEM;
}

int cli_open_output(struct cli_session *s, const char *path, struct cli_file *ret_file)
{
	struct cli_file f = { .fd = STDOUT_FILENO, .name = "standard output" };
	int r;

	if (!is_standard(path)) {
		f = (struct cli_file) { .fd = -1, .name = path, .own = true };
		r = open_output(s, &f);
		if (r < 0) {
			forget(&f);
			return r == -EINTR ? cli_say_interrupted(s, "waiting for a reader")
					   : cli_fail("%s: cannot be opened for writing: %s", path,
						      strerror(-r));
		}
	}
	return files_take(f, ret_file);
}

/* A pipe or a terminal cannot be synced: EINVAL. */
static int sync_output(const struct cli_file *f)
{
	return fsync(f->fd) < 0 && errno != EINVAL && errno != EROFS ? -errno : 0;
}

/*
 * The data go to the disk before the name, which would stand for an empty file after a power loss.
 */
int cli_keep_file(struct cli_file *f)
{
	int r;

	if (!f->own)
		return 0;
	r = sync_output(f);
	f->own = false;
	if (close(f->fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && f->temporary && rename(f->temporary, f->place) < 0)
		r = -errno;
	if (r < 0)
		return cli_fail("%s: %s; %s", f->name, strerror(-r), cli_file_fate(f));
	r = f->place ? sync_directory_of(f->place) : 0;
	if (r < 0)
		cli_fail("%s: its directory cannot be synced: %s; the copy is there, but a power "
			 "loss may undo that",
			 f->name, strerror(-r));
	forget(f);
	return r < 0 ? CLI_FAILED : 0;
}

const char *cli_file_fate(const struct cli_file *f)
{
	return f->temporary ? "the copy is not complete, and not kept" : "the copy is not complete";
}

void cli_close_file(struct cli_file *f)
{
	if (f->own)
		close(f->fd);
	f->own = false;
	if (f->temporary)
		unlink(f->temporary);
	forget(f);
}

/* 0: ready; -EINTR: a signal. Neither side of a pipe can keep us from hearing it. */
static int wait_ready(struct cli_session *s, int fd, short events)
{
	struct pollfd fds[] = { { .fd = fd, .events = events },
				{ .fd = s->signal_fd, .events = POLLIN } };

	while (!fds[0].revents) {
		if (poll(fds, ARRAY_SIZE(fds), TIMEOUT_NONE) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents && cli_interrupted(s))
			return -EINTR;
	}
	return cli_interrupted(s) ? -EINTR : 0;
}

int cli_write_all(struct cli_session *s, struct cli_file *f, const uint8_t *data, size_t length)
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
		f->written += written > 0 ? (uint64_t)written : 0;
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
