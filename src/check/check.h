/* SPDX-License-Identifier: MIT */
/*
 * check.h: the contract and conformance suite, from outside: it is given a way to open a
 * controller, and tells one result per test.
 *
 * A plain user of the public API: whatever it finds, any client could have met. It never prints.
 */
#ifndef CHECK_CHECK_H
#define CHECK_CHECK_H

#include <hbakit/controller.h>
#include <hbakit/event.h>

/**
 * enum check_verdict - CHECK_DEVICE: it failed, by a known fault of this kind of device or by one
 * that the driver has reported.
 */
enum check_verdict { CHECK_PASSED, CHECK_FAILED, CHECK_SKIPPED, CHECK_DEVICE };

enum { CHECK_TEXT = 512 };

/**
 * struct check_result - How one test ended. Live during the call that tells it; the text is
 * printable or not, as it came.
 */
struct check_result {
	unsigned number; /* from 1 */
	const char *group, *name;
	const char *rule; /* what must hold, in one sentence */
	/* where that is written: a standard's section, or a header of ours */
	const char *reference;
	enum check_verdict verdict;
	char expected[CHECK_TEXT], got[CHECK_TEXT]; /* if it failed, also by the device's fault */
	/* if it was skipped, or which fault of the device it is */
	char reason[CHECK_TEXT];
	/* how much was tried, if that depends on the device's speed; else empty */
	char extent[CHECK_TEXT];
};

/** struct check_options - What the suite needs of its caller. */
struct check_options {
	/*
	 * A controller as open leaves it. Called at the beginning, and once more after the first
	 * one was closed.
	 */
	int (*open)(void *arg, struct hba_controller **ret_c);
	void (*result)(void *arg, const struct check_result *r);
	/* each that the controller tells; NULL: nobody asks */
	void (*event)(void *arg, const struct hba_event *e);
	/* NULL: never. Then the rest is skipped, but for what puts the disk's contents back */
	bool (*interrupted)(void *arg);
	void *arg;
	bool write; /* blocks may be overwritten; they are put back */
	bool has_target, has_lun;
	bool lun_is_bytes;    /* `lun` is all eight of them, the first one on top */
	uint64_t target, lun; /* the unit that most tests use; default: the first disk */
	uint64_t seed;        /* of everything random: the same again with the same seed */
	uint64_t timeout_ms;  /* of each command; 0: 10,000 */
};

struct check_summary {
	unsigned passed, failed, skipped, device;
	bool interrupted;
	bool no_such_unit; /* the options name one that is not there */
};

/** check_count() - How many results there will be: the plan. */
unsigned check_count(void);

/**
 * check_run() - All tests. 0 and a summary, whatever they found; -ENOMEM, or what the first open()
 * returned: no result was told.
 */
int check_run(const struct check_options *options, struct check_summary *ret_summary);

#endif
