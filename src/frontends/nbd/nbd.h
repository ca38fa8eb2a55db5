/* SPDX-License-Identifier: MIT */
/*
 * nbd.h: logical units as NBD exports: a plugin of nbdkit, which brings the protocol, the sockets
 * and the threads. One block per file.
 */
#ifndef FRONTENDS_NBD_NBD_H
#define FRONTENDS_NBD_NBD_H

#include "base/base.h"

#include <hbakit/hbakit.h>
#include <pthread.h>

/* ---- leader.c: threads take turns at being the controller's loop */

/** struct turn - One thread that waits: for its request, or to be the loop. On its stack. */
struct turn {
	struct turn *next, *previous;
	pthread_cond_t changed;
	bool done; /* the request has come back */
	bool lead; /* the loop is this thread's */
};

/**
 * struct leader - Of one controller, which has been started. The lock is held for a few lines at a
 * time, never while the loop runs.
 */
struct leader {
	struct hba_controller *controller;
	/* an eventfd of the keeper's: written to when the loop is taken while it is watched */
	int kick;
	pthread_mutex_t lock; /* what follows, and every turn in the line */
	struct turn line;     /* a ring: who waits, oldest first */
	bool led;
	/* no thread leads, the controller is armed, and the keeper sleeps on its descriptor */
	bool watched;
	unsigned long requests; /* that have come so far. Read as an atomic */
	unsigned long steps;    /* odd: in a turn of the loop, which one may be stuck in. Atomic */
};

/** struct leader_request - Fill `io`, all but done. */
struct leader_request {
	struct hba_disk_io io;
	/* private: */
	struct leader *leader;
	struct turn turn;
};

/**
 * leader_init() - The calling thread is the controller's loop, and leaves it. `kick`: an eventfd,
 * the caller's.
 */
void leader_init(struct leader *t, struct hba_controller *c, int kick);
void leader_fini(struct leader *t);
/** leader_do() - Submit and wait. Any thread. The request's error. */
int leader_do(struct leader *t, struct leader_request *r);
/**
 * leader_lead() - Be the loop for as long as `work` lasts. Any thread. False: its turn did not come
 * within `ms`.
 */
bool leader_lead(struct leader *t, void (*work)(void *arg), void *arg, unsigned ms);
/**
 * leader_watch() - In `work`: the controller is armed, and kick is written to when the loop is
 * taken next. False: others wait.
 */
bool leader_watch(struct leader *t);
/** leader_run() - hba_controller_run(), counted. The loop. */
int leader_run(struct leader *t, unsigned budget);

/* ---- units.c: what is exported, and under which name */

enum { UNIT_ADDRESS = 48 }; /* twenty digits, a colon, sixteen hex digits, and room */

/** struct unit - A disk that the scan has found. */
struct unit {
	struct hba_lun *lun;
	char *name;
	/* VPD 83's best name, or vendor, product and serial number; empty: it has neither */
	char *identity;
	char address[UNIT_ADDRESS]; /* "0:1": target and LUN */
	bool carried;               /* NBD can carry it */
};

/** struct unit_list - In the order of target and LUN. */
struct unit_list {
	struct unit *unit;
	size_t n;
};

/** struct units - All of them. Any thread. */
struct units {
	pthread_mutex_t lock; /* what follows */
	struct unit_list now; /* behind the controller that is open */
	/*
	 * which disk was first seen at each address, before a controller was opened again. No luns
	 */
	struct unit_list known;
	unsigned epoch; /* how often that was */
};

/**
 * struct export - A unit as a client has it: as it was when the client came, but for the first two,
 * which units_renew() brings up to date.
 */
struct export
{
	struct hba_lun *lun;
	unsigned epoch;
	struct hba_lun_info info;
	char *name, *identity;
	char address[UNIT_ADDRESS];
};

void units_init(struct units *u);
void units_fini(struct units *u);
/** units_refresh() - List the units anew. The loop. -ENOMEM: the list stays as it was. */
int units_refresh(struct units *u, struct hba_controller *c);
/** units_why_not() - Why a disk cannot be exported; NULL: it can. */
const char *units_why_not(const struct hba_lun_info *info);
/**
 * units_forget() - The controller is about to be closed; which disk was where is remembered.
 * -ENOMEM: not all of it.
 */
int units_forget(struct units *u);
/**
 * units_open() - By name, by address, or the first one (""). 0; -ENOENT; -ENXIO: that was another
 * disk before; -ENOMEM.
 */
int units_open(struct units *u, const char *name, struct export **ret_export);
/**
 * units_renew() - Find the export's disk behind a controller that was opened again. 0; -ENXIO: it
 * is not, or not as large.
 */
int units_renew(struct units *u, struct export *e);
void units_close(struct export *e);
/**
 * units_each() - Of those that can be exported, until one is refused: what `each` returned last,
 * else 0.
 */
int units_each(struct units *u,
	       int (*each)(const struct unit *unit, const struct hba_lun_info *info, void *arg),
	       void *arg);

/* ---- error.c */

/** nbd_error() - The errno, out of those that NBD has, for a request's error. */
int nbd_error(int error, bool writes);
/** nbd_error_words() - What it was, for the one who runs the server. */
const char *nbd_error_words(int error);

/* ---- say.c */

/** nbd_say() - nbdkit_error(), and nothing in it that a terminal obeys. */
void nbd_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- lifeline.c: `hbakit serve` lets go of the other end, and we end */

/** struct lifeline - fd -1: there is none. */
struct lifeline {
	int fd;
	void *listener; /* what clients came to */
};

/** lifeline_take() - 0; -1: that is no descriptor, or no socket listens. */
int lifeline_take(struct lifeline *l, int fd);
void lifeline_fini(struct lifeline *l);
bool lifeline_is_cut(const struct lifeline *l);
/**
 * lifeline_hang_up() - On all clients: requests that have arrived are answered, no more are read.
 * Again, if some came in meanwhile.
 */
void lifeline_hang_up(const struct lifeline *l);

/* ---- report.c: reports to `hbakit serve` */

/*
 * Lines, each a JSON object: "exports", when clients may come, and when a controller was opened
 * again; "error", why there are none; "lost", with the sentence, and "retry", in how many seconds
 * it is opened again (absent: never); "alive". fd -1: no reader.
 */
void report_ready(int fd, const struct hba_controller *c, struct units *u);
void report_failed(int fd, const char *sentence);
void report_lost(int fd, const char *sentence, unsigned retry_s);
void report_alive(int fd);

/* ---- keeper.c: the controller, kept for as long as there are clients */

enum { KEEPER_TROUBLES = 10, KEEPER_TEXT = 512 };

/** struct keeper_trouble - Of one kind, since the controller was opened. */
struct keeper_trouble {
	struct limit limit;
	uint64_t n;
	char first[KEEPER_TEXT];
};

/** struct keeper - Of a process: one controller, which may be opened more than once. */
struct keeper {
	struct hba_options options;
	const char *uri;
	int report; /* a descriptor; -1: no reader */
	struct lifeline lifeline;
	unsigned alive_ms; /* how often it is reported that the loop goes round; 0: never */
	/* a lost controller is opened again, with waits up to this; 0: it is the end */
	unsigned most_retry_s;
	struct units units;
	/* private: */
	pthread_rwlock_t using;            /* what follows. Held for reading during each request */
	struct hba_controller *controller; /* NULL: lost */
	struct leader leader;
	/* the thread's own */
	pthread_t thread;
	bool up, quit;
	int kick;     /* an eventfd */
	bool hung_up; /* on clients, as the lifeline was cut */
	bool asleep;  /* the controller is armed, and watched */
	bool is_lost;
	char sentence[512]; /* why */
	struct keeper_trouble troubles[KEEPER_TROUBLES];
	unsigned long seen, step; /* of turns: at the last look */
	uint64_t alive_at, opened_at;
	unsigned retry_s;
};

/** keeper_try() - Open, start and close: is all well? 0, or -1, with a message. */
int keeper_try(struct keeper *k);
/**
 * keeper_begin() - Bring the controller up, and keep it from a thread. 0, or -1, with a message.
 * The units must have been set up.
 */
int keeper_begin(struct keeper *k);
/** keeper_end() - Harmless on one that has not begun. */
void keeper_end(struct keeper *k);
/**
 * keeper_do() - Submit a request of that export and wait. Any thread. The request's error; -ENODEV
 * while the controller is lost.
 */
int keeper_do(struct keeper *k, struct export *e, struct leader_request *r);
/** keeper_hold() - Until keeper_release(), units may be looked at. Any thread, for a moment. */
void keeper_hold(struct keeper *k);
void keeper_release(struct keeper *k);
bool keeper_is_lost(struct keeper *k);

#endif
