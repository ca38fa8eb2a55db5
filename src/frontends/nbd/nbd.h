/* SPDX-License-Identifier: MIT */
/*
 * nbd.h: logical units as NBD exports: a plugin of nbdkit, which brings the protocol, the sockets and the threads. One block per
 * file.
 */
#ifndef FRONTENDS_NBD_NBD_H
#define FRONTENDS_NBD_NBD_H

#include <hbakit/hbakit.h>
#include <pthread.h>

/* ---- turns.c: threads take turns at being the controller's loop ------------------------------------------------------- */

/** struct turn - One thread that waits: for its request, or to be the loop. On its stack. */
struct turn {
	struct turn *next, *previous;
	pthread_cond_t changed;
	bool done; /* the request has come back */
	bool lead; /* the loop is this thread's */
};

/** struct turns - Of one controller, which has been started. The lock is held for a few lines at a time, never while the loop runs. */
struct turns {
	struct hba_controller *controller;
	pthread_mutex_t lock; /* what follows, and every turn in the line */
	struct turn line;     /* a ring: who waits, oldest first */
	bool led;
};

/** struct turns_request - Fill `io`, all but done. */
struct turns_request {
	struct hba_disk_io io;
	/* private: */
	struct turns *turns;
	struct turn turn;
};

void turns_init(struct turns *t, struct hba_controller *c);
void turns_fini(struct turns *t);
/** turns_do() - Submit and wait. Any thread. The request's error. */
int turns_do(struct turns *t, struct turns_request *r);
/** turns_lead() - Be the loop for as long as `work` lasts: for what is the loop's to ask. Waits for its turn. Any thread. */
void turns_lead(struct turns *t, void (*work)(void *arg), void *arg);

/* ---- units.c: what is exported, and under which name ------------------------------------------------------------------ */

enum { UNIT_ADDRESS = 48 }; /* twenty digits, a colon, sixteen hex digits, and room */

/** struct unit - A disk that the scan has found. */
struct unit {
	struct hba_lun *lun;
	char *name;
	char address[UNIT_ADDRESS]; /* "0:1": target and LUN */
};

/** struct units - All of them, in the order of target and LUN. Any thread. */
struct units {
	pthread_mutex_t lock; /* what follows */
	struct unit *unit;
	size_t n;
};

/** struct export - A unit as a client has it: as it was when the client came. */
struct export
{
	struct hba_lun *lun;
	struct hba_lun_info info;
	char *name;
};

void units_init(struct units *u);
void units_fini(struct units *u);
/** units_refresh() - Look which there are. The loop. -ENOMEM: it knows what it knew. */
int units_refresh(struct units *u, struct hba_controller *c);
/** units_why_not() - Why a disk cannot be exported; NULL: it can. */
const char *units_why_not(const struct hba_lun_info *info);
/** units_open() - By name, by address, or the first one (""). 0; -ENOENT; -ENOMEM. */
int units_open(struct units *u, const char *name, struct export **ret_export);
void units_close(struct export *e);
/** units_each() - Of those that can be exported, until one is refused: what `each` returned last, else 0. */
int units_each(struct units *u, int (*each)(const struct unit *unit, const struct hba_lun_info *info, void *arg), void *arg);

/* ---- error.c ---------------------------------------------------------------------------------------------------------- */

/** nbd_error() - The errno, out of those that NBD has, for a request's error. */
int nbd_error(int error, bool writes);
/** nbd_error_words() - What it was, for the one who runs the server. */
const char *nbd_error_words(int error);

/* ---- leash.c: `hbakit serve` lets go of the other end, and we end ------------------------------------------------------ */

/** struct leash - fd -1: there is none. */
struct leash {
	int fd;
	void *listener; /* what clients came to */
};

/** leash_take() - 0; -1: that is no descriptor, or nobody listens. */
int leash_take(struct leash *l, int fd);
void leash_fini(struct leash *l);
bool leash_is_cut(const struct leash *l);
/** leash_hang_up() - On all clients: what they have asked for is answered, more is not heard. Again, if some came in meanwhile. */
void leash_hang_up(const struct leash *l);

/* ---- report.c: what `hbakit serve` hears -------------------------------------------------------------------------------- */

/** report_ready() - One JSON object with the exports, into the descriptor, which it closes. -1: nobody listens. */
void report_ready(int fd, const struct hba_controller *c, struct units *u);
/** report_failed() - One with the sentence. */
void report_failed(int fd, const char *sentence);

#endif
