/* SPDX-License-Identifier: MIT */
/*
 * lifeline.c: how `hbakit serve` ends us: it closes its end of a pipe, by dying too.
 *
 * nbdkit ends when its clients have hung up, and some never do. So their connections are shut down,
 * in one direction only: requests that have arrived are still answered, and then nbdkit finds the
 * end of its input. nbdkit does not export its clients' sockets; they are those that carry the
 * listening one's name.
 */
#include "nbd.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LISTENER = 3 }; /* sd_listen_fds(3) */

union name {
	struct sockaddr any;
	struct sockaddr_un un;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static bool read_name(int fd, union name *ret_name)
{
	socklen_t length = sizeof(*ret_name);

	*ret_name = (union name) { .any.sa_family = AF_UNSPEC };
	return getsockname(fd, &ret_name->any, &length) == 0;
}

/*
 * A client's end of TCP has the address it came to, the listener's may stand for all: the port is
 * what they share.
 */
static bool are_alike(const union name *a, const union name *b)
{
	if (a->any.sa_family != b->any.sa_family)
		return false;
	if (a->any.sa_family == AF_UNIX)
		return a->un.sun_path[0] &&
		       strncmp(a->un.sun_path, b->un.sun_path, sizeof(a->un.sun_path)) == 0;
	if (a->any.sa_family == AF_INET)
		return a->in.sin_port == b->in.sin_port;
	return a->any.sa_family == AF_INET6 && a->in6.sin6_port == b->in6.sin6_port;
}

int lifeline_take(struct lifeline *l, int fd)
{
	union name name;

	if (!read_name(LISTENER, &name) || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -1;
	l->listener = malloc(sizeof(name));
	if (!l->listener)
		return -1;
	memcpy(l->listener, &name, sizeof(name));
	l->fd = fd;
	return 0;
}

void lifeline_fini(struct lifeline *l)
{
	free(l->listener);
	*l = (struct lifeline) { .fd = -1 };
}

bool lifeline_is_cut(const struct lifeline *l)
{
	struct pollfd fd = { .fd = l->fd, .events = POLLIN };

	return l->fd >= 0 && poll(&fd, 1, 0) > 0;
}

void lifeline_hang_up(const struct lifeline *l)
{
	DIR *folder = l->listener ? opendir("/proc/self/fd") : NULL;
	const struct dirent *entry;
	union name name;

	while (folder && (entry = readdir(folder))) {
		int fd = atoi(entry->d_name);

		if (read_name(fd, &name) && are_alike(&name, l->listener))
			/* harmless on the listener: no client is to come in any more */
			shutdown(fd, SHUT_RD);
	}
	if (folder)
		closedir(folder);
}
