/* SPDX-License-Identifier: MIT */
/*
 * aptpl.c: persistent reservations in a file beside the image, for those that shall outlive a
 * power loss (APTPL). It is text:
 *
 *	hbakit reservations 1
 *	reservation 5 0          type, nexus that holds it; not there if none is held
 *	key 0 0x0123456789abcdef nexus, key; one line per registration
 *	end
 *
 * It is written whole beside the old one and renamed over it, so that a crash leaves one or the
 * other. Both file and directory are synced. A file that cannot be read is an error: a reserved
 * disk must not open as one without a reservation.
 */
#include "base/base.h"
#include "target/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char first_line[] = "hbakit reservations 1\n", last_line[] = "end\n";

enum { LINE_BYTES = 80, FILE_BYTES = (TARGET_NEXUSES + 3) * LINE_BYTES };

/* ---- writing */

static size_t compose(const struct registrations *r, char *text, size_t size)
{
	size_t n = (size_t)snprintf(text, size, "%s", first_line);

	if (r->type)
		n += (size_t)snprintf(text + n, size - n, "reservation %u %d\n", (unsigned)r->type,
				      r->holder);
	for (unsigned i = 0; i < TARGET_NEXUSES; i++)
		if (r->keys[i])
			n += (size_t)snprintf(text + n, size - n, "key %u 0x%016" PRIx64 "\n", i,
					      r->keys[i]);
	return n + (size_t)snprintf(text + n, size - n, "%s", last_line);
}

static int write_whole(int fd, const char *text, size_t n)
{
	ssize_t written = write(fd, text, n);

	if (written < 0)
		return -errno;
	if ((size_t)written != n)
		return -ENOSPC;
	return fsync(fd) < 0 ? -errno : 0;
}

/*
 * The name is random and the file is new, so that no link that others may have put there is
 * followed.
 */
static int replace(const char *path, const char *text, size_t n)
{
	autofree char *fresh = NULL;
	autoclose int fd = -1;
	int r;

	if (asprintf(&fresh, "%s.XXXXXX", path) < 0) {
		fresh = NULL; /* its value is undefined then */
		return -ENOMEM;
	}
	fd = mkostemp(fresh, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = write_whole(fd, text, n);
	if (r == 0 && rename(fresh, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(fresh);
	return r;
}

int target_registrations_save(const struct registrations *r)
{
	char text[FILE_BYTES];
	int error;

	if (r->through_power_loss)
		error = replace(r->path, text, compose(r, text, sizeof(text)));
	else
		error = unlink(r->path) < 0 && errno != ENOENT ? -errno : 0;
	return error < 0 ? error : sync_directory_of(r->path);
}

/* ---- reading */

static bool read_reservation(const char *line, struct registrations *r)
{
	unsigned type, holder;
	char rest;

	if (r->type || sscanf(line, "reservation %2u %2u%c", &type, &holder, &rest) != 3 ||
	    rest != '\n')
		return false;
	if (type >= RESERVATION_TYPES || !(RESERVATION_TYPE_MASK & 1U << type) ||
	    holder >= TARGET_NEXUSES)
		return false;
	r->type = (uint8_t)type;
	r->holder = (int8_t)holder;
	return true;
}

static bool read_key(const char *line, struct registrations *r)
{
	unsigned nexus;
	uint64_t key;
	char rest;

	if (sscanf(line, "key %2u 0x%16" SCNx64 "%c", &nexus, &key, &rest) != 3 || rest != '\n')
		return false;
	if (nexus >= TARGET_NEXUSES || r->keys[nexus] || !key)
		return false;
	r->keys[nexus] = key;
	return true;
}

/*
 * Whole and without contradiction: a reservation has a holder who is registered. Returns the line
 * that is not, 0 if all are.
 */
static unsigned read_lines(FILE *f, struct registrations *r)
{
	char line[LINE_BYTES];
	unsigned n = 1;

	if (!fgets(line, sizeof(line), f) || strcmp(line, first_line) != 0)
		return n;
	for (n = 2; fgets(line, sizeof(line), f) && strcmp(line, last_line) != 0; n++)
		if (!read_reservation(line, r) && !read_key(line, r))
			return n;
	if (strcmp(line, last_line) != 0 || fgetc(f) != EOF)
		return n;
	/* The holder of a reservation of all registrants may have unregistered since. */
	return r->type && r->type < RESERVE_WRITE_ALL && !r->keys[r->holder] ? n : 0;
}

/* A link could lead to a foreign file, and a FIFO would make us wait. */
static int open_regular(const char *path, FILE **ret_file)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	FILE *f;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ELOOP;
	f = fdopen(fd, "r");
	if (!f)
		return -errno;
	steal_fd(&fd);
	*ret_file = f;
	return 0;
}

static int read_file(const char *path, FILE *f, struct registrations *r, char *message)
{
	unsigned line = read_lines(f, r);

	fclose(f);
	if (line > 0)
		return target_fail(message, -EBADMSG,
				   "%s is damaged at line %u: delete it to open the disk without "
				   "its reservations",
				   path, line);
	return 0;
}

int target_registrations_load(const char *path, struct registrations *ret_registrations,
			      char *message)
{
	struct registrations r = { .holder = TARGET_NO_NEXUS };
	FILE *f = NULL;
	int error = open_regular(path, &f);

	if (error == -ELOOP)
		return target_fail(message, error,
				   "%s is a link, or no regular file: reservations are not read "
				   "from there; remove it",
				   path);
	if (error < 0 && error != -ENOENT)
		return target_fail(message, error, "cannot read the reservations in %s: %s", path,
				   strerror(-error));
	r.through_power_loss = error == 0;
	error = error == 0 ? read_file(path, f, &r, message) : 0;
	if (error < 0)
		return error;
	r.path = strdup(path);
	if (!r.path)
		return target_fail(message, -ENOMEM, "no memory for the reservations in %s", path);
	*ret_registrations = r;
	return 0;
}
