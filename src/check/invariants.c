/* SPDX-License-Identifier: MIT */
/*
 * invariants.c: what held, or did not, in every command of the whole run; and the end, and a new
 * beginning.
 */
#include "check/suite.h"

#include <stdio.h>
#include <string.h>

/* suite.c refers to it as the first test of this group. */
static void keeps_the_contract(struct check *k)
{
	struct hba_counts n = { 0 };

	check_take_events(k);
	check_judge(k, &k->violations, "a driver that breaks no rule of the contract");
	if (!k->over)
		hba_controller_counts(k->controller, &n);
	check_number(k, "attempts to map on the I/O path", 0, n.io_path_mappings);
}

static void keeps_to_its_buffers(struct check *k)
{
	check_judge(k, &k->guards, "not a byte written beside a buffer");
}

static void brings_sense(struct check *k)
{
	check_judge(k, &k->sense, "sense with every CHECK CONDITION, and with nothing else");
}

static void loses_no_command(struct check *k)
{
	check_judge(k, &k->late, "every command back in time");
}

static void forget_first(struct check *k)
{
	hba_controller_stop(k->controller);
	check_take_events(k);
	check_close(k);
}

static void can_be_opened_again(struct check *k)
{
	struct hba_lun_info before = k->info;
	unsigned units = k->n_units;
	uint64_t violations = k->violations.n;
	bool had = k->lun;

	forget_first(k);
	if (k->options->open(k->options->arg, &k->controller) < 0 || check_start(k) < 0) {
		check_failed(k, "a controller that starts a second time", "%s", hba_error());
		return;
	}
	check_number(k, "units", units, k->n_units);
	if (had && k->lun && strcmp(before.id, k->info.id))
		check_failed(k, before.id, "another disk in the unit's place: %s", k->info.id);
	check_take_events(k);
	check_number(k, "violations while stopping and starting", 0, k->violations.n - violations);
}

/*
 * A driver is right to report such data, so the verdict is never "failed". Of many errors only some
 * raise an event.
 */
static void device_reports_what_can_be(struct check *k)
{
	check_take_events(k);
	if (!k->device_errors.n)
		return;
	check_failed(k, "no error of the device", "%s%s", k->device_errors.text,
		     k->device_errors.n > 1 ? ", and others after it" : "");
	k->result->verdict = CHECK_DEVICE;
	snprintf(k->result->reason, sizeof(k->result->reason),
		 "it reported invalid data, unless the driver misread it");
}

static const struct check_test tests[] = {
	{ .name = "the driver keeps the contract",
	  .rule = "no violation is reported, and nothing is mapped on the I/O path, during the "
		  "whole run",
	  .reference = "hbakit/driver.h, hbakit/event.h: HBA_EVENT_VIOLATION",
	  .run = keeps_the_contract },
	{ .name = "nothing is written beside a buffer",
	  .rule = "a device writes to the data of its task, and nowhere else",
	  .reference = "hbakit/dma.h: data lists",
	  .run = keeps_to_its_buffers },
	{ .name = "CHECK CONDITION brings sense",
	  .rule = "every CHECK CONDITION brings sense that can be read, by autosense or by REQUEST "
		  "SENSE; nothing else brings any",
	  .reference = "SAM-5 5.14, SPC-4 4.5",
	  .run = brings_sense },
	{ .name = "every command comes back",
	  .rule = "within its own timeout, without recovery",
	  .reference = "hbakit/driver.h: process_task, hba_complete()",
	  .run = loses_no_command },
	{ .name = "stop, close, and open again",
	  .rule = "nothing is left behind, and the same units are there",
	  .reference = "hbakit/controller.h: hba_controller_close()",
	  .needs = NEED_CONTROLLER,
	  .run = can_be_opened_again },
	{ .name = "the device reports nothing impossible",
	  .rule = "no error of the device is reported during the whole run",
	  .reference = "hbakit/driver.h: hba_device_error()",
	  .run = device_reports_what_can_be },
};

const struct check_group check_whole = { "whole", tests, ARRAY_SIZE(tests) };
