/* SPDX-License-Identifier: MIT */
/*
 * nbd-place.c: where NBD clients come in. We listen, and nbdkit inherits that: so what is wrong
 * with an address is said in our words before anything is started, port 0 has become a number, and
 * the socket's file goes when we go.
 */
#include "cli/nbd-server.h"

#include "base/base.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = SOMAXCONN };

/* ---- unix: */

static bool is_socket(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* One whose server was killed. */
static bool is_abandoned(const struct sockaddr_un *address)
{
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return is_socket(address->sun_path) &&
	       connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
	       errno == ECONNREFUSED;
}

static int bind_unix(int fd, const struct sockaddr_un *address)
{
	int r = bind(fd, (const struct sockaddr *)address, sizeof(*address));

	if (r < 0 && errno == EADDRINUSE && is_abandoned(address)) {
		unlink(address->sun_path);
		r = bind(fd, (const struct sockaddr *)address, sizeof(*address));
	}
	return r < 0 ? -errno : 0;
}

static int say_unix_error(const char *path, int error)
{
	if (error == -EADDRINUSE && is_socket(path))
		return cli_fail("%s: a server listens there already; choose another path", path);
	if (error == -EADDRINUSE)
		return cli_fail("%s: there is a file of that name, and it is no socket; choose "
				"another path",
				path);
	return cli_fail("%s: cannot listen there: %s", path, strerror(-error));
}

static int remember_file(struct nbd_place *p)
{
	struct stat st;

	if (lstat(p->path, &st) < 0)
		return cli_fail("%s: the socket has gone again: %s", p->path, strerror(errno));
	p->device = st.st_dev;
	p->inode = st.st_ino;
	return 0;
}

static int listen_unix(const char *path, struct nbd_place *p)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int r;

	if (!path[0] || strlen(path) >= sizeof(address.sun_path))
		return cli_usage("--nbd unix:%s: a socket's path has 1 to %zu characters", path,
				 sizeof(address.sun_path) - 1);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	r = p->fd < 0 ? -errno : bind_unix(p->fd, &address);
	if (r < 0)
		return say_unix_error(path, r);
	p->path = realpath(path, NULL);
	if (!p->path)
		return cli_fail("%s: %s", path, strerror(errno));
	return remember_file(p);
}

/* ---- tcp: */

static int bind_first(const struct addrinfo *list, struct nbd_place *p)
{
	int on = 1, r = -EADDRNOTAVAIL;

	for (const struct addrinfo *a = list; a && r < 0; a = a->ai_next) {
		cleanup_close(&p->fd);
		p->fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
		if (p->fd >= 0)
			setsockopt(p->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		r = p->fd < 0 || bind(p->fd, a->ai_addr, a->ai_addrlen) < 0 ? -errno : 0;
	}
	return r;
}

static void read_port(struct nbd_place *p)
{
	struct sockaddr_storage bound;
	socklen_t length = sizeof(bound);

	if (getsockname(p->fd, (struct sockaddr *)&bound, &length) == 0)
		getnameinfo((struct sockaddr *)&bound, length, NULL, 0, p->port, sizeof(p->port),
			    NI_NUMERICSERV);
}

/* HOST:PORT, or :PORT, which is this machine alone; a host with colons stands in brackets. */
static int take_host_and_port(const char *where, struct nbd_place *p, const char **ret_port)
{
	const char *colon = strrchr(where, ':');
	size_t n = colon ? (size_t)(colon - where) : 0;
	bool brackets = n > 2 && where[0] == '[' && where[n - 1] == ']';
	uint64_t port;

	if (parse_number(colon ? colon + 1 : where, &port) < 0 || port > UINT16_MAX)
		return cli_usage("--nbd tcp:%s: write tcp:HOST:PORT, as in tcp:localhost:10809, or "
				 "tcp:PORT; port 0 is any that is free",
				 where);
	if (n == 0)
		p->host = strdup("localhost");
	else
		p->host = brackets ? strndup(where + 1, n - 2) : strndup(where, n);
	*ret_port = colon ? colon + 1 : where;
	return p->host ? 0 : cli_fail("no memory");
}

static bool is_wildcard(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} bound = { .any.sa_family = AF_UNSPEC };
	socklen_t length = sizeof(bound);

	if (getsockname(fd, &bound.any, &length) < 0)
		return false;
	if (bound.any.sa_family == AF_INET)
		return bound.in.sin_addr.s_addr == htonl(INADDR_ANY);
	return bound.any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&bound.in6.sin6_addr);
}

/* No client can connect to such an address: what it is told is this machine's name. */
static int warn_of_wildcard(const char *where, struct nbd_place *p)
{
	char name[HOST_NAME_MAX + 1] = "localhost";

	cli_fail("--nbd tcp:%s: every network of this machine can reach it, and NBD has no "
		 "passwords",
		 where);
	gethostname(name, sizeof(name) - 1);
	free(p->host);
	p->host = strdup(name);
	return p->host ? 0 : cli_fail("no memory");
}

static int listen_tcp(const char *where, struct nbd_place *p)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *list;
	const char *port = NULL;
	int r = take_host_and_port(where, p, &port);

	if (r)
		return r;
	r = getaddrinfo(p->host, port, &hints, &list);
	if (r)
		return cli_fail("--nbd tcp:%s: %s: %s", where, p->host, gai_strerror(r));
	r = bind_first(list, p);
	freeaddrinfo(list);
	if (r < 0)
		return cli_fail("--nbd tcp:%s: cannot listen there: %s", where, strerror(-r));
	read_port(p);
	return is_wildcard(p->fd) ? warn_of_wildcard(where, p) : 0;
}

/* ---- */

int nbd_listen(const char *where, struct nbd_place *ret_place)
{
	struct nbd_place p = { .fd = -1 };
	int r;

	if (strncmp(where, "unix:", 5) == 0)
		r = listen_unix(where + 5, &p);
	else if (strncmp(where, "tcp:", 4) == 0)
		r = listen_tcp(where + 4, &p);
	else
		r = cli_usage("--nbd %s: write unix:PATH or tcp:HOST:PORT", where);
	if (r == 0 && listen(p.fd, BACKLOG) < 0)
		r = cli_fail("--nbd %s: cannot listen there: %s", where, strerror(errno));
	if (r)
		nbd_unlisten(&p);
	else
		*ret_place = p;
	return r;
}

static bool is_still_ours(const struct nbd_place *p)
{
	struct stat st;

	return p->inode && lstat(p->path, &st) == 0 && st.st_dev == p->device &&
	       st.st_ino == p->inode;
}

void nbd_unlisten(struct nbd_place *p)
{
	if (p->path && is_still_ours(p))
		unlink(p->path);
	cleanup_close(&p->fd);
	free(p->path);
	free(p->host);
	*p = (struct nbd_place) { .fd = -1 };
}

/* RFC 3986's unreserved ones, and `keep`, stay as they are. */
static void escape(FILE *to, const char *text, const char *keep)
{
	for (; *text; text++)
		if (isalnum((unsigned char)*text) || strchr("-._~", *text) || strchr(keep, *text))
			fputc(*text, to);
		else
			fprintf(to, "%%%02X", (unsigned char)*text);
}

char *nbd_uri(const struct nbd_place *p, const char *name)
{
	char *text = NULL;
	size_t length;
	FILE *to = open_memstream(&text, &length);

	if (!to)
		return NULL;
	if (p->path)
		fputs("nbd+unix:///", to);
	else
		fprintf(to, strchr(p->host, ':') ? "nbd://[%s]:%s/" : "nbd://%s:%s/", p->host,
			p->port);
	escape(to, name, ":");
	if (p->path) {
		fputs("?socket=", to);
		escape(to, p->path, "/:");
	}
	return fclose(to) == 0 ? text : NULL;
}
