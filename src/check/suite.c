/* SPDX-License-Identifier: MIT */
/*
 * suite.c: the groups one after another, and each test's verdict.
 *
 * A violation that the core reports fails the test of the last group that is about violations,
 * wherever it came; the test during which it came is named there. If that one fails too, it is
 * skipped instead: the core had stepped in, so it cannot be judged.
 */
#include "check/suite.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct check_group *const groups[] = {
	&check_life, &check_identity, &check_refusal, &check_data,  &check_write,
	&check_load, &check_manage,   &check_use,     &check_whole,
};

enum { SHOWN_BYTES = 8, MIN_CDB_12 = 12, MIN_CDB_16 = 16 };

unsigned check_count(void)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		n += groups[i]->n;
	return (unsigned)n;
}

/* ---- what a test says */

bool check_failed(struct check *k, const char *expected, const char *got, ...)
{
	struct check_result *r = k->result;
	va_list args;

	if (r->verdict == CHECK_FAILED)
		return false;
	r->verdict = CHECK_FAILED;
	snprintf(r->expected, sizeof(r->expected), "%s", expected);
	va_start(args, got);
	vsnprintf(r->got, sizeof(r->got), got, args);
	va_end(args);
	return false;
}

bool check_skip(struct check *k, const char *reason, ...)
{
	struct check_result *r = k->result;
	va_list args;

	if (r->verdict == CHECK_FAILED)
		return false;
	r->verdict = CHECK_SKIPPED;
	va_start(args, reason);
	vsnprintf(r->reason, sizeof(r->reason), reason, args);
	va_end(args);
	return false;
}

bool check_number(struct check *k, const char *what, uint64_t expected, uint64_t got)
{
	char text[CHECK_TEXT];

	if (expected == got)
		return true;
	snprintf(text, sizeof(text), "%s: %llu", what, (unsigned long long)expected);
	return check_failed(k, text, "%llu", (unsigned long long)got);
}

static void show_bytes(const uint8_t *bytes, size_t n, char text[SHOWN_BYTES * 3 + 1])
{
	text[0] = '\0';
	for (size_t i = 0; i < n && i < SHOWN_BYTES; i++)
		snprintf(text + i * 3, 4, "%02x ", bytes[i]);
}

bool check_bytes(struct check *k, const char *what, const uint8_t *expected, const uint8_t *got,
		 size_t length)
{
	char text[CHECK_TEXT], want[SHOWN_BYTES * 3 + 1], have[SHOWN_BYTES * 3 + 1];
	size_t at = 0;

	if (memcmp(expected, got, length) == 0)
		return true;
	while (expected[at] == got[at])
		at++;
	show_bytes(expected + at, length - at, want);
	show_bytes(got + at, length - at, have);
	snprintf(text, sizeof(text), "%s: %sfrom byte %zu of %zu on", what, want, at, length);
	return check_failed(k, text, "%s", have);
}

/* ---- rules that are watched all the time */

void check_note(struct check *k, struct notable *n, const char *text, ...)
{
	const struct check_result *r = k->result;
	char what[CHECK_TEXT / 2];
	va_list args;

	if (n->n++)
		return;
	va_start(args, text);
	vsnprintf(what, sizeof(what), text, args);
	va_end(args);
	snprintf(n->text, sizeof(n->text), "%s (during test %u, %s: %s)", what, r->number, r->group,
		 r->name);
}

bool check_judge(struct check *k, const struct notable *n, const char *expected)
{
	if (!n->n)
		return k->commands || check_skip(k, "no command could be sent");
	if (n->n == 1)
		return check_failed(k, expected, "%s", n->text);
	return check_failed(k, expected, "%llu times; the first: %s", (unsigned long long)n->n,
			    n->text);
}

void check_take_events(struct check *k)
{
	struct hba_event e;

	while (k->controller && hba_event_next(k->controller, &e) > 0) {
		k->scans += e.kind == HBA_EVENT_SCANNED;
		if (k->options->event)
			k->options->event(k->options->arg, &e);
		if (e.kind == HBA_EVENT_VIOLATION)
			check_note(k, &k->violations, "%s", e.text);
		if (e.kind == HBA_EVENT_DEVICE_ERROR)
			check_note(k, &k->device_errors, "%s", e.text);
	}
}

/* ---- one test */

/* Why a test cannot be; NULL: it can. The first of the list is the reason. */
static const char *missing(const struct check *k, unsigned needs)
{
	const struct {
		unsigned need;
		bool there;
		const char *reason;
	} all[] = {
		{ NEED_CONTROLLER, !k->interrupted, "interrupted" },
		{ NEED_CONTROLLER, k->controller && !k->over, "the controller is not running" },
		{ NEED_UNIT, k->lun, "the controller has no such unit" },
		{ NEED_DISK, k->info.block_bytes && k->info.type == SCSI_TYPE_DISK,
		  "the unit is no disk with a medium" },
		{ NEED_WRITE, k->options->write, "writes only with --write" },
		{ NEED_WRITE, !k->info.read_only, "the unit is read-only" },
		{ NEED_CDB_12, check_max_cdb(k) >= MIN_CDB_12,
		  "the controller takes no CDB of 12 bytes" },
		{ NEED_CDB_16, check_max_cdb(k) >= MIN_CDB_16,
		  "the controller takes no CDB of 16 bytes" },
		{ NEED_TMF, check_can(k, HBA_ABORT_TASK), "the driver has no ABORT TASK" },
		{ NEED_MAPPING, k->mapped.mapping, "the controller gives no memory for data" },
		{ NEED_REFERENCE, k->reference,
		  "the unit's blocks could not be read: see the first test of group data" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if ((needs & all[i].need) && !all[i].there)
			return all[i].reason;
	return NULL;
}

static void suite_count(struct check *k, const struct check_result *r)
{
	if (r->verdict == CHECK_PASSED)
		k->summary.passed++;
	else if (r->verdict == CHECK_FAILED)
		k->summary.failed++;
	else if (r->verdict == CHECK_DEVICE)
		k->summary.device++;
	else
		k->summary.skipped++;
}

static void judge_alone(struct check *k, const struct check_test *test)
{
	uint64_t before = k->violations.n;
	const char *reason = missing(k, test->needs);

	if (reason) {
		check_skip(k, "%s", reason);
		return;
	}
	if ((test->needs & UNIT) == UNIT)
		check_settle(k, k->lun);
	test->run(k);
	check_take_events(k);
	if (k->violations.n == before || k->result->verdict != CHECK_FAILED ||
	    test->run == check_whole.tests[0].run)
		return;
	k->result->verdict = CHECK_PASSED;
	check_skip(k,
		   "cannot be judged, because the driver broke the contract meanwhile: see \"%s\"",
		   check_whole.tests[0].name);
}

static void run_test(struct check *k, const struct check_group *group,
		     const struct check_test *test, unsigned number)
{
	struct check_result r = {
		.number = number,
		.group = group->name,
		.name = test->name,
		.rule = test->rule,
		.reference = test->reference,
	};

	k->result = &r;
	judge_alone(k, test);
	check_excuse(k);
	suite_count(k, &r);
	k->options->result(k->options->arg, &r);
	k->result = NULL;
	if (!k->interrupted && k->options->interrupted)
		k->interrupted = k->options->interrupted(k->options->arg);
}

static void run_groups(struct check *k)
{
	unsigned number = 0;

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		for (size_t j = 0; j < groups[i]->n; j++)
			run_test(k, groups[i], &groups[i]->tests[j], ++number);
}

int check_run(const struct check_options *options, struct check_summary *ret_summary)
{
	autofree struct check *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;
	k->options = options;
	k->random = options->seed;
	r = options->open(options->arg, &k->controller);
	if (r < 0)
		return r;
	run_groups(k);
	check_close(k);
	k->summary.interrupted = k->interrupted;
	*ret_summary = k->summary;
	return 0;
}
