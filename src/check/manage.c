/* SPDX-License-Identifier: MIT */
/*
 * manage.c: commands that are ended before their time, units and targets that are reset, and I/O
 * that goes on afterwards.
 */
#include "check/suite.h"

#include <stdlib.h>

enum {
	OUT = 8,
	ROUNDS = 64,
	LARGE = 512 * 1024,
	SCAN_MS = 300 * MS_PER_S,
	ANSWER_MS = 10 * MS_PER_S,
	BUSY_TRIES = 8
};

struct managed {
	struct hba_management m;
	struct check *check;
	enum hba_service_response response;
	unsigned victims_back; /* when the answer came */
	const bool *victim;
	bool done;
};

static void answered(struct hba_management *m, enum hba_service_response response)
{
	struct managed *x = container_of(m, struct managed, m);

	x->response = response;
	x->victims_back = x->victim && *x->victim;
	x->done = true;
}

static bool manage(struct check *k, struct managed *x, enum hba_tmf function,
		   struct command *victim)
{
	*x = (struct managed) {
		.m = { .function = function,
		       .lun = k->lun,
		       .victim = victim ? victim->task : NULL,
		       .timeout_ms = ANSWER_MS,
		       .done = answered },
		.check = k,
		.victim = victim ? &victim->done : NULL,
	};
	return hba_manage(&x->m) == 0;
}

static bool is_answer(struct check *k, const struct managed *x)
{
	return x->response == HBA_FUNCTION_COMPLETE || x->response == HBA_FUNCTION_REJECTED ||
	       check_failed(k, "FUNCTION COMPLETE or FUNCTION REJECTED", "service response %d",
			    x->response);
}

static bool still_works(struct check *k)
{
	struct buffer b = buffer_at(&k->plain, 0, SCSI_INQUIRY_MIN);
	struct command x;

	check_settle(k, k->lun);
	x = command_in(k, scsi_cdb_inquiry(SCSI_INQUIRY_MIN), b);
	command_run(k, &x);
	return command_good(k, &x);
}

/* ---- ABORT TASK */

/* Submitted, and the loop has not run since: nobody below has heard of it. */
static void aborts_what_was_not_sent(struct check *k)
{
	struct command x = command_none(k, scsi_cdb_test_unit_ready());
	struct managed m;

	if (!command_started(k, &x))
		return;
	if (!manage(k, &m, HBA_ABORT_TASK, &x)) {
		check_failed(k, "a request that is taken", "%s", hba_error());
		check_wait(k, &x.done);
		return;
	}
	if (!check_wait(k, &m.done) || !check_wait(k, &x.done))
		return;
	if (is_answer(k, &m) && m.response == HBA_FUNCTION_COMPLETE && !m.victims_back)
		check_failed(k, "the command's end before the function's", "the function's first");
	still_works(k);
}

static bool read_large(struct check *k, unsigned i, struct command *ret_x)
{
	uint64_t count = LARGE / k->info.block_bytes;
	struct scsi_cdb cdb;

	if (count > k->info.blocks)
		count = k->info.blocks;
	if (!blocks_cdb(0, HBA_FROM_TARGET, 0, (uint32_t)count, &cdb))
		return false;
	*ret_x = command_in(
		k, cdb,
		buffer_at(&k->plain, (size_t)i * (LARGE + 2 * GUARD), count * k->info.block_bytes));
	return command_start(k, ret_x) == 0;
}

/*
 * One turn sends the first, at least, which may be out still. 1: it was; 0: too late; else failed.
 */
static int abort_one(struct check *k, struct command x[OUT])
{
	unsigned n = 0;
	struct managed m;
	bool managed;

	while (n < OUT && read_large(k, n, &x[n]))
		n++;
	if (!n)
		return check_failed(k, "a READ that is taken", "%s", hba_error()) - 1;
	hba_controller_run(k->controller, 1);
	managed = !x[0].done && manage(k, &m, HBA_ABORT_TASK, &x[0]);
	if (managed)
		check_wait(k, &m.done);
	for (unsigned i = 0; i < n; i++)
		if (!check_wait(k, &x[i].done))
			return -1;
	if (!managed)
		return 0;
	if (!is_answer(k, &m))
		return -1;
	if (m.response == HBA_FUNCTION_COMPLETE && !m.victims_back)
		return check_failed(k, "the command's end before the function's",
				    "the function's first") -
		       1;
	return 1;
}

static void aborts_what_is_out(struct check *k)
{
	autofree struct command *x = calloc(OUT, sizeof(*x));
	int r = 0;

	for (unsigned i = 0; x && i < ROUNDS && r == 0; i++)
		r = abort_one(k, x);
	if (!x || r == 0)
		check_skip(k, "every command ends before it could be aborted");
	still_works(k);
}

/* ---- the others */

static void answers_every_function(struct check *k)
{
	static const enum hba_tmf functions[] = { HBA_ABORT_TASK_SET, HBA_CLEAR_TASK_SET,
						  HBA_CLEAR_ACA };
	struct managed m;

	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		if (!manage(k, &m, functions[i], NULL)) {
			check_failed(k, "a request that is taken", "%s", hba_error());
			return;
		}
		if (!check_wait(k, &m.done) || !is_answer(k, &m))
			return;
		if (!check_can(k, functions[i]) && m.response != HBA_FUNCTION_REJECTED)
			check_failed(k, "FUNCTION REJECTED for what the report does not offer",
				     "service response %d", m.response);
	}
	still_works(k);
}

/*
 * The first command that the unit begins afterwards ends with it, and only that one. BUSY is no
 * beginning.
 */
static void is_told_of_the_reset(struct check *k)
{
	struct command x;
	unsigned tries = 0;

	do {
		x = command_none(k, scsi_cdb_test_unit_ready());
		if (!command_started(k, &x) || !check_wait(k, &x.done))
			return;
	} while (x.outcome == HBA_BUSY && ++tries < BUSY_TRIES);
	if (x.has_sense && x.sense.key == SCSI_UNIT_ATTENTION &&
	    x.sense.asc >> 8 != SCSI_ASC_POWER_ON_OR_RESET >> 8)
		check_failed(k, "UNIT ATTENTION, reset occurred (06/29/xx)",
			     "UNIT ATTENTION with %04Xh", x.sense.asc);
	else if (!x.has_sense || x.sense.key != SCSI_UNIT_ATTENTION)
		check_failed(k, "UNIT ATTENTION, reset occurred (06/29/xx)",
			     "outcome %#x, sense key %Xh", x.outcome, x.sense.key);
}

static void resets(struct check *k, enum hba_tmf function)
{
	struct managed m;

	if (!check_can(k, function)) {
		check_skip(k, "the driver does not offer it");
		return;
	}
	if (!manage(k, &m, function, NULL)) {
		check_failed(k, "a request that is taken", "%s", hba_error());
		return;
	}
	if (!check_wait(k, &m.done) || !is_answer(k, &m))
		return;
	if (m.response == HBA_FUNCTION_COMPLETE)
		is_told_of_the_reset(k);
	else
		check_skip(k, "the unit rejects it");
	still_works(k);
}

static void resets_the_unit(struct check *k)
{
	resets(k, HBA_LOGICAL_UNIT_RESET);
}

static void resets_the_target(struct check *k)
{
	resets(k, HBA_TARGET_RESET);
}

/* ---- cancel, power, rescan */

static void cancels(struct check *k)
{
	struct command x = command_none(k, scsi_cdb_test_unit_ready());

	if (!command_started(k, &x))
		return;
	hba_cancel(x.task);
	if (!check_wait(k, &x.done))
		return;
	if (x.outcome != HBA_NOT_DELIVERED)
		check_failed(k, "a command that was not delivered", "outcome %#x", x.outcome);
	still_works(k);
}

/* Paused, nothing is sent; what was submitted meanwhile goes out when it is on again. */
static void pauses(struct check *k)
{
	struct command x = command_none(k, scsi_cdb_test_unit_ready());

	if (hba_controller_set_power(k->controller, HBA_POWER_PAUSE) < 0) {
		check_skip(k, "the driver cannot pause: %s", hba_error());
		return;
	}
	if (command_started(k, &x)) {
		hba_controller_run(k->controller, 1);
		if (x.done)
			check_failed(k, "no command while the controller is paused",
				     "one that came back with outcome %#x", x.outcome);
	}
	if (hba_controller_set_power(k->controller, HBA_POWER_ON) < 0) {
		check_failed(k, "a controller that is on again", "%s", hba_error());
		return;
	}
	if (!x.error && !check_wait(k, &x.done))
		check_failed(k, "the command that waited, back", "nothing");
	still_works(k);
}

struct census {
	unsigned units;
	uint64_t generations, blocks;
};

static struct census take_census(const struct check *k)
{
	struct census n = { 0 };
	struct hba_lun_info info;

	for (struct hba_lun *lun = hba_lun_next(k->controller, NULL); lun;
	     lun = hba_lun_next(k->controller, lun)) {
		hba_lun_get_info(lun, &info);
		n.units++;
		n.generations += info.generation;
		n.blocks += info.blocks;
	}
	return n;
}

static void compare_census(struct check *k, const struct census *before)
{
	struct census after = take_census(k);

	check_number(k, "units", before->units, after.units);
	check_number(k, "blocks of all units together", before->blocks, after.blocks);
	check_number(k, "disks that became other disks", 0,
		     after.generations - before->generations);
}

/*
 * The core bounds each of its commands. One that is lost on each of many units takes longer than
 * anybody waits.
 */
static bool scan_ends(struct check *k, unsigned before)
{
	uint64_t last = clock_monotonic.now(&clock_monotonic) + SCAN_MS * (uint64_t)NS_PER_MS;

	while (k->scans == before && !k->over && clock_monotonic.now(&clock_monotonic) < last)
		check_turn(k);
	return k->scans != before ||
	       check_failed(k, "HBA_EVENT_SCANNED", "none after %d ms", SCAN_MS);
}

static void stays_the_same_when_rescanned(struct check *k)
{
	struct census before = take_census(k);
	unsigned scans;

	check_take_events(k);
	scans = k->scans;
	if (hba_controller_rescan(k->controller) < 0) {
		check_failed(k, "a rescan that begins", "%s", hba_error());
		return;
	}
	if (scan_ends(k, scans) && still_works(k))
		compare_census(k, &before);
}

static const struct check_test tests[] = {
	{ .name = "ABORT TASK of a command that was not sent",
	  .rule = "the command ends first, then the function is complete",
	  .reference = "hbakit/task.h: hba_manage()",
	  .needs = UNIT | NEED_TMF,
	  .run = aborts_what_was_not_sent },
	{ .name = "ABORT TASK of a command that is out",
	  .rule = "the driver completes the victim first, then the function; or rejects it",
	  .reference = "hbakit/driver.h: manage; SAM-5, ABORT TASK",
	  .needs = DISK | NEED_TMF,
	  .run = aborts_what_is_out },
	{ .name = "every function is answered",
	  .rule = "ABORT TASK SET, CLEAR TASK SET, CLEAR ACA: complete or rejected; rejected if "
		  "the report does not offer it",
	  .reference = "hbakit/task.h: hba_manage()",
	  .needs = UNIT,
	  .run = answers_every_function },
	{ .name = "LOGICAL UNIT RESET",
	  .rule = "it is answered, the next command gets UNIT ATTENTION (06/29/xx), and the one "
		  "after is well",
	  .reference = "SAM-5, LOGICAL UNIT RESET",
	  .needs = UNIT,
	  .run = resets_the_unit },
	{ .name = "TARGET RESET",
	  .rule = "the same for the whole target",
	  .reference = "SAM-5, I_T NEXUS and target resets",
	  .needs = UNIT,
	  .run = resets_the_target },
	{ .name = "a cancelled command ends",
	  .rule = "unsent, it ends at once as HBA_NOT_DELIVERED, and its task can be used again",
	  .reference = "hbakit/task.h: hba_cancel()",
	  .needs = UNIT,
	  .run = cancels },
	{ .name = "pause, and on again",
	  .rule = "nothing is sent while paused; what waited goes out afterwards",
	  .reference = "hbakit/driver.h: set_power_state",
	  .needs = UNIT,
	  .run = pauses },
	{ .name = "a rescan finds what is there",
	  .rule = "it ends in HBA_EVENT_SCANNED; where nothing has changed, no unit comes, leaves "
		  "or becomes another disk",
	  .reference = "hbakit/controller.h: hba_controller_rescan()",
	  .needs = UNIT,
	  .run = stays_the_same_when_rescanned },
};

const struct check_group check_manage = { "management", tests, ARRAY_SIZE(tests) };
