/* SPDX-License-Identifier: MIT */
/*
 * target.h: a SCSI disk in software: a CDB goes in, data and sense come out. It has no transport.
 *
 *	target_device ── units[LUN] ──> target_unit ──> store: ram, null, file
 *	                                                                    └─> engine: io_uring
 *
 * A command, with all it needs until it ends, is the caller's memory. READ and WRITE allocate
 * nothing. Commands that must see the blocks themselves (VERIFY, WRITE SAME, COMPARE AND WRITE,
 * ORWRITE, UNMAP) borrow a buffer that their unit makes when it is first needed, and keeps: see
 * scratch.c. Threads: one engine belongs to one thread at a time, and so does a command. Several
 * may use one device at once.
 */
#ifndef TARGET_TARGET_H
#define TARGET_TARGET_H

#include "base/base.h"
#include "scsi/scsi.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct hba_lun_id;

/* ---- message.c: sentences for people */

enum { TARGET_MESSAGE_BYTES = 256 };

/**
 * target_fail() - Write why into `message` (TARGET_MESSAGE_BYTES; cut if longer); returns `error`.
 */
int target_fail(char *message, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- iov-iter.c: a place in a list of pieces */

/** struct iov_iter - Where the next byte goes. The list is not changed, and may be cut anywhere. */
struct iov_iter {
	const struct iovec *iov;
	unsigned n;  /* items from `iov` on */
	size_t skip; /* bytes of the first one that are behind us */
};

/**
 * iov_iter_next() - The next piece in one stretch, 1..max bytes, and step over it. NULL: the list
 * has ended, or max is 0.
 */
void *iov_iter_next(struct iov_iter *c, uint64_t max, size_t *ret_length);

/* Each returns the bytes done, fewer than requested only where the list ends. */
uint64_t iov_iter_copy_to(struct iov_iter *c, const void *from, uint64_t bytes);
uint64_t iov_iter_copy_from(struct iov_iter *c, void *to, uint64_t bytes);
uint64_t iov_iter_zero(struct iov_iter *c, uint64_t bytes);
uint64_t iov_iter_step(struct iov_iter *c, uint64_t bytes);
/* … that equal those of `with`; steps over no more than it had to look at. */
uint64_t iov_iter_compare(struct iov_iter *c, const void *with, uint64_t bytes);
/* Every byte is ORed into `into`. */
uint64_t iov_iter_or_into(struct iov_iter *c, void *into, uint64_t bytes);
bool iov_iter_is_zero(struct iov_iter c, uint64_t bytes);

/**
 * iov_iter_items() - A list for one vectored call, of at most `bytes` bytes: the caller's own items
 * where they can be used as they are, else one piece in *piece. Returns how many, 0 at the end of
 * the list. Steps over nothing.
 */
unsigned iov_iter_items(struct iov_iter *c, uint64_t bytes, struct iovec *piece,
			const struct iovec **ret_items);

/* ---- engine.c: the commands of one thread, and the io_uring that its file stores share */

struct engine;

/** struct engine_op - One request that is out. The caller's memory, the engine's until `done`. */
struct engine_op {
	/* bytes, or a negative errno; may start the next one */
	void (*done)(struct engine_op *op, int result);
	struct engine_op *next; /* private: among those posted */
	/* private: `done` also runs after engine_forget() */
	bool insists;
};

/**
 * engine_create() - `depth`: requests that are out at once; 0: none ever, for stores that need no
 * engine, and there is no io_uring. -ENOSYS, -EPERM: this kernel offers none to us.
 */
int engine_create(unsigned depth, struct engine **ret_engine);
/** engine_free() - NULL is fine. Nothing may be out any more: see engine_drained(). */
void engine_free(struct engine *e);

int engine_fd(const struct engine *e); /* readable while there is something to reap */

/*
 * Put a request into the next batch. The items may go once the batch is submitted, the memory they
 * name when `done` runs.
 */
int engine_readv(struct engine *e, struct engine_op *op, int fd, const struct iovec *items,
		 unsigned n, uint64_t offset);
int engine_writev(struct engine *e, struct engine_op *op, int fd, const struct iovec *items,
		  unsigned n, uint64_t offset);
/* Its `done` runs also after engine_forget(), as the kernel reports a failure only once. */
int engine_datasync(struct engine *e, struct engine_op *op, int fd);
/* a hole, size kept */
int engine_punch(struct engine *e, struct engine_op *op, int fd, uint64_t offset, uint64_t length);
/* read ahead */
int engine_will_need(struct engine *e, struct engine_op *op, int fd, uint64_t offset,
		     uint32_t length);

/**
 * engine_post() - Have op->done(op, 0) run by the engine's own thread, by the next engine_reap();
 * by the one after, if that runs now. From any thread; the only such call here, beside the next.
 */
void engine_post(struct engine *e, struct engine_op *op);

/**
 * engine_call() - Have fn(e) run as engine_post() does; once, if it is called again before fn runs.
 * For one function in an engine's life.
 */
void engine_call(struct engine *e, void (*fn)(struct engine *e));

/**
 * engine_submit() - Hand the batch to the kernel; no system call if it is empty. -EAGAIN: a part is
 * left, try again soon.
 */
int engine_submit(struct engine *e);
/**
 * engine_reap() - Take up to `budget` completions, and submit what they gave rise to. Returns how
 * many.
 */
unsigned engine_reap(struct engine *e, unsigned budget);
/**
 * engine_ready() - Has the ring something to reap? What was posted makes the fd readable. No system
 * call.
 */
bool engine_ready(const struct engine *e);
/**
 * engine_cancel() - Try to end `op` soon. Its `done` runs all the same, with -ECANCELED or with its
 * usual result.
 */
void engine_cancel(struct engine *e, struct engine_op *op);
/**
 * engine_forget() - Cancel all that is out; no `done` but engine_datasync()'s will run. Its memory
 * is the kernel's until engine_drained().
 */
void engine_forget(struct engine *e);
/** engine_forgets() - Between engine_forget() and engine_drained(). Of the engine's thread. */
bool engine_forgets(const struct engine *e);
/**
 * engine_drained() - After engine_forget(): has the kernel let go of everything? Then the engine is
 * as new.
 */
bool engine_drained(struct engine *e);
/**
 * engine_commands() - The commands that use it, in the order of their task sets (taskset.c). Of the
 * engine's thread.
 */
struct list *engine_commands(struct engine *e);

/* ---- stores: where the blocks are */

struct store;

/** struct store_io - One read, write or flush. The caller's memory, the store's until it ends. */
struct store_io {
	struct engine *engine; /* for stores that need one */
	struct iov_iter data;  /* steps on as bytes move */
	uint64_t offset;       /* bytes; offset + length never beyond the store */
	uint64_t length;
	uint64_t moved; /* bytes that really went */
	void (*done)(struct store_io *io, int error);
	/* private: of the file store */
	struct engine_op op;
	struct store *store;
	bool writing, cancelled;
	int answer; /* to a flush that another one answers */
	union {
		struct iovec piece;    /* of a read or a write */
		struct list in_flight; /* of a flush: among those that share the next one */
	};
};

/**
 * struct store_ops - What a store can do. 0: done; 1: later, by io->done; negative errno: failed.
 */
struct store_ops {
	int (*read)(struct store *s, struct store_io *io);
	int (*write)(struct store *s, struct store_io *io);
	/* NULL: what is written is as safe as it gets */
	int (*flush)(struct store *s, struct store_io *io);
	void (*read_ahead)(struct store *s, bool on); /* NULL: it never does */
	/* of thin stores: give room back; reads as zeros from now on */
	int (*deallocate)(struct store *s, struct store_io *io);
	/* NULL: nothing is nearer than where it is */
	int (*prefetch)(struct store *s, struct store_io *io);
	/*
	 * Of thin stores: has the byte at `offset` room of its own? And up to where is it like
	 * that? Never waits for long.
	 */
	bool (*allocated)(struct store *s, uint64_t offset, uint64_t *ret_end);
	void (*forget)(struct store *s); /* NULL: it remembers no request. See store_forget() */
	void (*free)(struct store *s);
};

struct store {
	const struct store_ops *ops;
	uint64_t bytes;
	/*
	 * bytes in which it likes to be written, and gives room back: a power of two; 0: it does
	 * not care
	 */
	uint32_t granule;
	bool read_only;
	bool needs_engine; /* its requests may end later; those of all others end at once */
	bool thin;         /* can deallocate */
	bool forgetful;    /* keeps nothing: no two commands can be in each other's way */
	/* atomic: errno of the flush that failed, after which none succeeds; 0: none has */
	int flush_error;
	bool flush_told; /* atomic */
};

enum null_fill { NULL_FILL_ZERO, NULL_FILL_NONE };

/*
 * On an error `message` (TARGET_MESSAGE_BYTES) has the sentence for a person, and *ret_store is
 * untouched.
 */

/** store_open_ram() - Memory, taken page by page as it is written. */
int store_open_ram(uint64_t bytes, struct store **ret_store, char *message);
/** store_open_null() - Reads give zeros, or leave the buffer as it is; writes vanish. */
int store_open_null(uint64_t bytes, enum null_fill fill, struct store **ret_store, char *message);
/**
 * store_open_file() - A regular file or a block device, locked against a second writer. One that
 * may not be written is opened read-only, see store->read_only. -EBUSY: another process has it.
 */
int store_open_file(const char *path, bool read_only, struct store **ret_store, char *message);

/** store_free() - NULL is fine. */
void store_free(struct store *s);

/**
 * store_forget() - Its requests are gone without an end: engine_forget() was called, and the
 * engines are drained.
 */
void store_forget(struct store *s);

/**
 * store_take_flush_error() - To report a failed flush once: its errno for the first caller, 0 for
 * the others and before. Any thread.
 */
int store_take_flush_error(struct store *s);

/**
 * store_cancel() - Ask that an io that is out end soon; it still ends by io->done. Harmless for one
 * that is not.
 */
void store_cancel(struct store_io *io);

/* ---- block-locks.c: who may touch which blocks now */

/**
 * struct block_locks - The ranges of a unit that commands are at work on, oldest first. Two that
 * overlap, of which one is exclusive, take turns in the order in which they came; others do not
 * wait for each other.
 */
struct block_locks {
	pthread_mutex_t mutex; /* of all below; an engine's is taken inside it */
	struct list all;
	unsigned exclusive, waiting; /* how many of them are */
};

/** struct claim - One range. The caller's memory until block_locks_drop(). */
struct claim {
	uint64_t first, end;
	struct engine *engine; /* of the thread that waits */
	/* its done() runs there when a claim that had to wait is granted */
	struct engine_op granted;
	bool exclusive;
	/* private: */
	bool waiting;
	struct list link;
};

void block_locks_init(struct block_locks *c);
void block_locks_clear(struct block_locks *c);
/**
 * block_locks_take() - true: it is yours. false: it will be, and then mine->granted.done() runs.
 */
bool block_locks_take(struct block_locks *c, struct claim *mine);
void block_locks_drop(struct block_locks *c, struct claim *mine);
/** block_locks_forget() - All whose commands are gone without an end. */
void block_locks_forget(struct block_locks *c);

/*
 * For stores whose requests end at once: those who enter shared do so together, one who enters
 * exclusively is alone. Waits by turning round, for no longer than others are inside, which is
 * never across a wait.
 */
struct turnstile {
	uint32_t state; /* how many are inside, and whether it is shut */
};

void turnstile_enter(struct turnstile *g, bool exclusive);
void turnstile_leave(struct turnstile *g, bool exclusive);

/* ---- scratch.c: buffers for commands that must see the blocks */

enum { SCRATCH_BYTES = 64 * 1024, SCRATCH_MOST = 256 };

struct scratch {
	struct list link;
	uint8_t bytes[SCRATCH_BYTES];
};

/**
 * struct scratch_pool - Made when first needed, at most SCRATCH_MOST, kept until the unit goes. Any
 * thread.
 */
struct scratch_pool {
	pthread_mutex_t mutex;
	struct list idle, lent;
	unsigned made;
};

void scratch_init(struct scratch_pool *p);
void scratch_clear(struct scratch_pool *p);
/** scratch_borrow() - NULL: no memory, or too many are out. */
struct scratch *scratch_borrow(struct scratch_pool *p);
void scratch_return(struct scratch_pool *p, struct scratch *s);
/** scratch_forget() - Take back all that was lent to commands that are gone without an end. */
void scratch_forget(struct scratch_pool *p);

/* ---- unit.c, device.c: logical units and the target they are in */

enum { TARGET_SERIAL_BYTES = 16 + 1, TARGET_MAX_UNITS = SCSI_MAX_EXTENDED_FLAT + 1 };

/* Initiators that a unit distinguishes: a nexus is a number below this. */
enum { TARGET_NEXUSES = 8, TARGET_NO_NEXUS = -1 };

struct target_state;

/** struct target_unit - One logical unit. */
struct target_unit {
	struct store *store; /* its own; freed with it */
	uint64_t blocks;
	uint32_t block_bytes;  /* 512 or 4096 */
	uint32_t max_transfer; /* blocks of one READ, WRITE or their kin; 0: as many as there are */
	bool read_only;
	bool removable;
	uint8_t nexuses;       /* as its device */
	bool descriptor_sense; /* D_SENSE of the control mode page */
	bool write_through;    /* WCE was turned off: each write is flushed before it ends */
	/*
	 * atomic; 0: nothing but the CDB decides what becomes of a SIMPLE command. See commands.h
	 */
	unsigned gate;
	struct target_state *state; /* all that commands leave behind: see commands.h */
	uint64_t naa;
	char serial[TARGET_SERIAL_BYTES];
	struct block_locks locks;
	struct turnstile turnstile;
	struct scratch_pool scratch;
};

/** struct target_device - One target. Its units are numbered 0, 1, 2 …: the number is the LUN. */
struct target_device {
	struct target_unit *units;
	unsigned n_units, capacity;
	/*
	 * the owner's: all that its commands have, so that what one of them ends lets others go on
	 */
	struct engine **engines;
	unsigned n_engines;  /* 0: no more than one */
	uint8_t *test_block; /* where self-tests read to */
	bool testing;        /* atomic: one does now */
	/* true at first. false: sense is not sent with the status but kept for REQUEST SENSE */
	bool autosense;
	uint8_t functions; /* of its transport, all at first: HBA_TMF_BIT()s */
	/*
	 * initiators there are, TARGET_NEXUSES at first: others get no attentions. For units added
	 * later
	 */
	uint8_t nexuses;
	/*
	 * all commands come from one thread: a promise of the owner, which spares some stores a
	 * lock
	 */
	bool one_thread;
};

/** target_device_init() - With room for so many units. -ENOMEM. */
int target_device_init(struct target_device *d, unsigned capacity);
/** target_device_clear() - Frees units and stores; a zeroed one, or a second time, is fine. */
void target_device_clear(struct target_device *d);

/** struct target_unit_options - What a unit is made of. */
struct target_unit_options {
	struct store *store; /* the device's, if the call succeeds */
	uint32_t block_bytes;
	uint32_t max_transfer; /* blocks; 0: no limit */
	bool read_only;
	bool removable;
	const char *reservations; /* the file for those that outlive a power loss; NULL: none do */
	/* serial number and NAA name are made from this and the LUN: same text, same disk */
	const char *identity;
};

/**
 * target_device_add() - The next LUN; a tail smaller than a block is left out. -EINVAL: no block at
 * all, or a block size unknown.
 */
int target_device_add(struct target_device *d, const struct target_unit_options *options,
		      char *message);

/** target_device_unit() - By its LUN. NULL: there is none. */
struct target_unit *target_device_unit(const struct target_device *d, const struct hba_lun_id *lun);

/**
 * target_unit_was_reset() - Power on or a reset: the state that commands left behind goes, and each
 * nexus gets an attention. Any thread.
 */
void target_unit_was_reset(struct target_unit *unit);

/**
 * enum target_condition - The reasons of a UNIT ATTENTION, in the order in which several are
 * reported (SAM-5 5.14).
 */
enum target_condition {
	TARGET_WAS_RESET,
	TARGET_MEDIUM_CHANGED,
	TARGET_CAPACITY_CHANGED,
	TARGET_MODE_CHANGED,
	TARGET_RESERVATIONS_PREEMPTED,
	TARGET_RESERVATIONS_RELEASED,
	TARGET_REGISTRATIONS_PREEMPTED,
	TARGET_INQUIRY_CHANGED,
	TARGET_LUNS_CHANGED,
	TARGET_CONDITIONS
};

/**
 * target_attention() - Report it to every nexus but `except` (TARGET_NO_NEXUS: to all) with its
 * next command. Any thread.
 */
void target_attention(struct target_unit *unit, enum target_condition condition, int except);

/**
 * target_device_forget() - Its commands are gone without an end: engine_forget() was called, and
 * the engines are drained.
 */
void target_device_forget(struct target_device *d);

/* ---- execute.c: commands */

enum { TARGET_CDB_BYTES = 16 }; /* the longest there is here */

/** struct target_walk - A command's way over its blocks, a scratch buffer at a time. */
struct target_walk {
	struct scratch *scratch; /* NULL: none borrowed */
	struct iovec piece;      /* the part of it that is being moved */
	struct iov_iter data;    /* of the client */
	uint64_t at, left;       /* bytes */
	struct engine_op turn;   /* the next one, if the store ends all at once */
	uint64_t in_turn;        /* bytes that it ended at once */
	unsigned n, next;        /* UNMAP's descriptors in the scratch buffer */
	uint8_t compare;         /* enum target_compare */
	bool zeros;              /* REPEAT's block is zeros, and no data */
	bool storing;            /* the chunk is on its way back */
};

/**
 * struct target_command - One command. The caller fills the first part; the rest needs no
 * preparation.
 */
struct target_command {
	const uint8_t *cdb;      /* HBA_MAX_CDB bytes, zero beyond cdb_len */
	const struct iovec *iov; /* the data: its items have at least `length` bytes */
	uint64_t length;
	unsigned n_iov;
	uint8_t cdb_len;
	uint8_t direction; /* enum hba_direction */
	uint8_t attribute; /* enum hba_attribute */
	uint8_t nexus;     /* who sent it, below TARGET_NEXUSES */
	/*
	 * of the calling thread. NULL if no store needs one: then no command goes on later, however
	 * long it takes
	 */
	struct engine *engine;
	void (*done)(struct target_command *c);

	/* how it ended */
	enum hba_outcome outcome;
	uint64_t bytes; /* really moved */
	uint8_t sense_len;
	uint8_t sense[SCSI_DESCRIPTOR_SENSE_BYTES];

	/* private: */
	const struct row *row;
	struct list node; /* in engine_commands() */
	bool listed, waiting, counted;
	int (*then)(struct target_command *c); /* after a flush */
	struct iovec piece;                    /* of a self-test */
	unsigned sample;
	uint8_t values; /* of the mode pages: what will be in force */
	/* nexuses whose commands must have ended before this one may: a bit each */
	uint8_t victims;
	uint16_t steps; /* enum target_step */
	bool writing;   /* MOVE is a write */
	bool claimed, inside, exclusive;
	uint8_t busy;  /* enum target_busy: what the store does for it now */
	uint64_t room; /* bytes of data that may be moved in the command's direction */
	struct target_device *device;
	struct target_unit *unit; /* NULL: no unit at this LUN */
	uint64_t at, span;        /* bytes of the unit that it is about */
	uint64_t skip;            /* bytes of data before those that MOVE moves */
	struct store_io io;
	struct claim claim;
	struct target_walk walk;
};

/**
 * target_execute() - 0: it has ended, see above. 1: it ends later, by `done`, from the engine's
 * engine_reap(), or when another command or function lets it go on.
 *
 * Task attributes hold among the commands of one engine, as order does everywhere: between two
 * threads there is none. Stores that need no engine end each command before the next one comes, but
 * for long walks over blocks (command-steps.c), which go on in engine_reap().
 */
int target_execute(struct target_device *d, const struct hba_lun_id *lun, struct target_command *c);

/**
 * target_abort() - Ask that a command that is out end soon, mostly as HBA_TASK_ABORTED. It still
 * ends by `done`.
 */
void target_abort(struct target_command *c);

/**
 * target_clear_aca() - CLEAR ACA (SAM-5 7.3): if the nexus is the one that met the error.
 * target_go_on() follows.
 */
void target_clear_aca(struct target_unit *unit, uint8_t nexus);
/** target_go_on() - Start what waited in this engine's task sets and need wait no more. */
void target_go_on(struct engine *e);
/**
 * target_forget_commands() - engine_forget(), and the commands that waited for their turn are
 * forgotten too.
 */
void target_forget_commands(struct engine *e);

#endif
