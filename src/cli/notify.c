/* SPDX-License-Identifier: MIT */
/*
 * notify.c: what a service manager is told, as sd_notify(3) has it: datagrams of NAME=VALUE lines
 * to the socket in NOTIFY_SOCKET. That is all of the protocol, and stable: so there is no need for
 * a library.
 */
#include "cli/notify.h"

#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MESSAGE = 1024, US_PER_MS = 1000, REPORTS = 3 };

/* A path; or, after @, a name in the abstract namespace. */
static int connect_to(const char *where)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(where);
	int fd;

	if (length < 2 || length > sizeof(address.sun_path) || !strchr("/@", where[0]))
		return -1;
	memcpy(address.sun_path, where, length);
	if (where[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&address,
			       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
		cleanup_close(&fd);
	return fd;
}

/*
 * The manager kills what is silent for longer; three reports in that time leave room for a busy
 * machine.
 */
static unsigned watchdog_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t us, whose;

	if (!usec || parse_number(usec, &us) < 0 || us == 0)
		return 0;
	if (pid && (parse_number(pid, &whose) < 0 || whose != (uint64_t)getpid()))
		return 0;
	us /= REPORTS;
	return us > UINT32_MAX ? UINT32_MAX : us < US_PER_MS ? 1 : (unsigned)(us / US_PER_MS);
}

void notify_begin(struct notify *n)
{
	const char *where = getenv("NOTIFY_SOCKET");

	*n = (struct notify) { .fd = where ? connect_to(where) : -1 };
	n->alive_ms = n->fd >= 0 ? watchdog_ms() : 0;
	/* Meant for this process, not for what it starts. */
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

void notify_end(struct notify *n)
{
	cleanup_close(&n->fd);
}

void notify_send(const struct notify *n, const char *format, ...)
{
	char text[MESSAGE];
	va_list args;
	int length;

	if (n->fd < 0)
		return;
	va_start(args, format);
	length = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (length > 0)
		(void)!send(n->fd, text,
			    (size_t)length < sizeof(text) ? (size_t)length : sizeof(text) - 1,
			    MSG_NOSIGNAL | MSG_DONTWAIT);
}
