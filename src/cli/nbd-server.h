/* SPDX-License-Identifier: MIT */
/*
 * nbd-server.h: nbdkit with our plugin, run as a child: where it listens, how it is started, what
 * it says, how it ends.
 */
#ifndef CLI_NBD_SERVER_H
#define CLI_NBD_SERVER_H

#include "cli/cli.h"
#include "cli/notify.h"

#include <sys/types.h>

/** struct nbd_place - Where clients come in. Set up by nbd_listen(). */
struct nbd_place {
	int fd;              /* listens; -1: does not */
	char *path;          /* of a unix socket; NULL: TCP */
	char *host, port[8]; /* of TCP, as bound: 0 has become a number */
	/* of the socket's file, which is only removed if it is still this one */
	dev_t device;
	ino_t inode;
};

/** struct nbd_server - The child. */
struct nbd_server {
	pid_t pid; /* 0: none */
	int pidfd;
	int lifeline; /* let go of, and it ends */
	int report;   /* the plugin's words come here, a JSON object in each line */
	char *text;   /* what has come of them and is not read yet */
	size_t length, room;
	bool lost;    /* its controller, for good: told */
	bool told;    /* to end */
	bool offered; /* to be killed: it takes long */
};

/** struct nbd_wishes - How it is to serve. */
struct nbd_wishes {
	const struct cli_common *common;
	unsigned threads;
	/* a controller that is lost is opened again, with waits up to this; 0: it is not */
	unsigned reopen_s;
	unsigned alive_ms; /* how often the plugin is to report that it lives; 0: never */
};

/**
 * nbd_listen() - "unix:PATH" or "tcp:HOST:PORT". A socket that nobody listens on any more is
 * replaced. 0, or an exit status, told.
 */
int nbd_listen(const char *where, struct nbd_place *ret_place);
/** nbd_unlisten() - Close, and remove the socket. Harmless on one that does not listen. */
void nbd_unlisten(struct nbd_place *p);
/** nbd_uri() - How a client names an export there. The caller frees. NULL: no memory. */
char *nbd_uri(const struct nbd_place *p, const char *name);

/** nbd_start() - nbdkit in the foreground, with the socket. 0, or CLI_FAILED, told. */
int nbd_start(const struct nbd_place *p, const struct nbd_wishes *w, struct nbd_server *ret_server);
/**
 * nbd_hear() - What the plugin says once its controller is up. 0 and the object, the caller's; or
 * CLI_FAILED, told.
 */
int nbd_hear(struct cli_session *s, struct nbd_server *server, struct json_object **ret_object);
/**
 * nbd_wait() - Until it ends, by itself or by a signal to us; its news are passed on. 0: told to,
 * and in order; or CLI_FAILED, told.
 */
int nbd_wait(const struct cli_session *s, struct nbd_server *server, const struct notify *n);
/** nbd_end() - Whatever became of it: it is gone afterwards. */
void nbd_end(struct nbd_server *server);

#endif
