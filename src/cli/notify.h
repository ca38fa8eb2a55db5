/* SPDX-License-Identifier: MIT */
/* notify.h: what a service manager is told: sd_notify(3). Without one nothing is done. */
#ifndef CLI_NOTIFY_H
#define CLI_NOTIFY_H

/** struct notify - fd -1: there is no service manager. */
struct notify {
	int fd;
	unsigned alive_ms; /* how often WATCHDOG=1 is due; 0: never */
};

/** notify_begin() - Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment. */
void notify_begin(struct notify *n);
void notify_end(struct notify *n);
/** notify_send() - "READY=1" and the like, a line each. Never waits. */
void notify_send(const struct notify *n, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
