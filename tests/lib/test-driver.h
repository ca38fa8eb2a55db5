/* SPDX-License-Identifier: MIT */
/*
 * test-driver.h: a small driver of disks in memory that misbehaves where a test asks it to, and
 * writes down what it was asked.
 *
 * A test makes one by test_driver_new(), fills the first part of the struct, opens a controller
 * over it and looks at the second part. Time is the test's too: it stands still unless the test
 * moves it, or lets every look at it cost a tick.
 */
#ifndef LIB_TEST_DRIVER_H
#define LIB_TEST_DRIVER_H

#include <hbakit/controller.h>
#include <hbakit/driver.h>
#include <hbakit/event.h>
#include <hbakit/lun.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include <cmocka.h>

enum test_op {
	TEST_INITIALIZE,
	TEST_MAP,
	TEST_START,
	TEST_INITIALIZE_TARGET,
	TEST_PROCESS,
	TEST_KICK,
	TEST_POLL,
	TEST_MANAGE,
	TEST_RESET,
	TEST_STOP,
	TEST_OPS,
};

/** enum test_manner - How a task management function or a bus reset goes. */
enum test_manner {
	TEST_WORKS,  /* the victims end, then the answer comes */
	TEST_CLAIMS, /* the answer comes, the victims stay */
	TEST_REJECTS,
	TEST_SILENT, /* no answer */
};

enum {
	TEST_TARGETS = 4,
	TEST_HIGHEST_LUN = 511,
	TEST_BLOCK = 512,
	TEST_BLOCKS = 256,
	TEST_MAX_POOL = 65536,
	TEST_ORDER = 3 * TEST_MAX_POOL,
	TEST_DATA = 160 * 1024,
	TEST_TMFS = 64,
	TEST_MS = 1000000, /* ns */
};

#define TEST_EVERY_CALL   (~0U)
#define TEST_EVERY_TARGET UINT64_MAX

/** struct test_target - One target; its units are numbered from 0 and share a medium. */
struct test_target {
	unsigned luns; /* 0 = nobody is there */
	uint64_t blocks;
	uint32_t block_bytes; /* as READ CAPACITY has it; 0 = TEST_BLOCK, which it is */
	uint8_t version;      /* of SPC, in INQUIRY */
	unsigned attentions;  /* unit attentions still to come */
	bool no_report_luns, no_capacity_16, write_protected;
	const char *serial;
	uint8_t medium[TEST_BLOCKS * TEST_BLOCK];
};

struct test_driver {
	/* What the test asks for. */
	struct hba_driver table;   /* ops may be taken out before a controller is opened */
	const struct hba_bus *bus; /* NULL: no device */
	struct {
		unsigned call; /* 1 = the first; TEST_EVERY_CALL */
		int error;
	} fail[TEST_OPS];
	void (*report)(struct hba_report *r); /* the last word on the report */
	uint32_t (*unique_id)(unsigned call); /* NULL: the call's number */
	void (*inside)(struct test_driver *d, enum test_op op, struct hba_controller *c,
		       /* first thing in an op */
		       struct hba_task *t);
	/* true: dealt with it */
	bool (*process)(struct test_driver *d, struct hba_queue *q, struct hba_task *t);
	/* last word on d->data, *n bytes */
	void (*answer)(struct test_driver *d, const struct hba_task *t, size_t *n);
	/* tasks stay with the driver… */
	bool hold;
	/* …of this target */
	uint64_t hold_target;
	/* …until poll lets so many go */
	unsigned release;
	enum test_manner tmf[6], bus_reset;
	int controller_reset; /* 0 or an error */
	struct test_target targets[TEST_TARGETS];
	void *of_test;

	/* What happened. */
	unsigned calls[TEST_OPS];
	/* a letter per call: I M S T P K D(manage) R O(stop); polls are left out */
	char order[TEST_ORDER];
	unsigned n_order;
	unsigned overlaps; /* hot ops during waiting ones, or the reverse */
	struct hba_task *held[TEST_MAX_POOL];
	unsigned n_held;
	enum hba_tmf functions[TEST_TMFS];
	unsigned n_functions;
	struct hba_task *silent_tmf;
	uint8_t data[TEST_DATA];

	/* The clock; read by two threads. */
	uint64_t now, tick;
	unsigned hot, waiting;
};

/**
 * test_driver_new() - One well-behaved disk at target 0, unit 0; initiator 7, highest target 3, 8
 * clients' tasks, time stands still.
 */
struct test_driver *test_driver_new(void);
void test_driver_free(struct test_driver *d);

/** test_open() - A controller over `d`, with its clock. */
struct hba_controller *test_open(struct test_driver *d, const struct hba_options *options);
/** test_up() - And started. */
struct hba_controller *test_up(struct test_driver *d);
/** test_down() - Stop, close, free; nothing may be left with the driver. */
void test_down(struct test_driver *d, struct hba_controller *c);

void test_advance(struct test_driver *d, uint64_t ms);

/** test_fds() - How many descriptors this process has open. */
unsigned test_fds(void);

/** test_event() - Take events up to the next of that kind; false: there is none. */
bool test_event(struct hba_controller *c, enum hba_event_kind kind, struct hba_event *ret_event);
/** test_violation() - The next violation is told in exactly these words. */
void test_violation(struct hba_controller *c, const char *sentence);
/**
 * test_device_error() - The next error of the device is told in exactly these words, and no
 * violation before it.
 */
void test_device_error(struct hba_controller *c, const char *sentence);
/** test_no_violation() - And no other is. */
void test_no_violation(struct hba_controller *c);

/* ---- a client */

/** struct test_io - What became of tasks. */
struct test_io {
	unsigned done;
	struct hba_result last; /* its sense is below */
	uint8_t sense[HBA_MAX_SENSE];
	struct hba_task *task;
	bool put; /* give tasks back from done */
};

void test_done(struct hba_task *t, const struct hba_result *r, void *arg); /* arg: struct test_io */
/** test_get() - A task for the unit, which must be there to be had. */
struct hba_task *test_get(struct hba_lun *lun);
void test_fill_ready(struct hba_task *t); /* TEST UNIT READY */
void test_fill_rw(struct hba_task *t, bool write, uint32_t block, uint16_t count, void *buffer);
/** test_turns() - So many turns of the loop. */
void test_turns(struct hba_controller *c, unsigned n);
/** test_wait() - Turns until `io` has had `done` dones; fails the test after very many. */
void test_wait(struct hba_controller *c, const struct test_io *io, unsigned done);
/** test_ready() - One TEST UNIT READY from get to put; its outcome. */
enum hba_outcome test_ready(struct hba_lun *lun);

#endif
