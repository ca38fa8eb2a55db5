/* SPDX-License-Identifier: MIT */
/*
 * bringup.c: a controller comes up: each step in order, each task mapped and named once, what it
 * reports holds for what is found.
 */
#include "check/suite.h"

#include <string.h>

enum { FEWEST_INTERNAL = 2, TMF_TASKS = 1 };

static void starts(struct check *k)
{
	if (check_start(k) < 0)
		check_failed(k, "a controller that is started", "%s", hba_error());
	else if (check_take_memory(k) < 0)
		check_failed(k, "memory for the test's data", "none");
}

static void goes_step_by_step(struct check *k)
{
	static const char *const names[] = { "initialize", "map_hba_data", "start" };
	const struct hba_step *steps;
	unsigned n = hba_controller_steps(k->controller, &steps), at = 0;

	for (unsigned i = 0; i < n; i++) {
		if (steps[i].error)
			check_failed(k, "steps without an error", "%s: %s", steps[i].name,
				     strerror(-steps[i].error));
		if (at < ARRAY_SIZE(names) && strcmp(steps[i].name, names[at]) == 0)
			at++;
	}
	if (at < ARRAY_SIZE(names))
		check_failed(k, "initialize, map_hba_data and start, in this order",
			     "no %s after the others, in %u steps", names[at], n);
}

static void names_every_task(struct check *k)
{
	const struct hba_report *r = hba_controller_report(k->controller);
	struct hba_counts n;

	hba_controller_counts(k->controller, &n);
	if (n.client_tasks < 1 || n.client_tasks > r->max_tasks)
		check_failed(k, "1 to max_tasks client tasks", "%ju of %ju",
			     (uintmax_t)n.client_tasks, (uintmax_t)r->max_tasks);
	if (n.internal_tasks < FEWEST_INTERNAL)
		check_failed(k, "at least 2 internal tasks", "%ju", (uintmax_t)n.internal_tasks);
	check_number(k, "task management tasks", TMF_TASKS, n.tmf_tasks);
	check_number(k, "tasks whose HBA data are mapped, of all kinds together",
		     n.client_tasks + n.internal_tasks + n.tmf_tasks, n.hba_data_mapped);
}

/* A unit with a structured address has no number, and is the business of hierarchical_luns. */
static void keeps_to_its_limits(struct check *k)
{
	const struct hba_report *r = hba_controller_report(k->controller);
	struct hba_lun_info info;

	for (struct hba_lun *lun = hba_lun_next(k->controller, NULL); lun;
	     lun = hba_lun_next(k->controller, lun)) {
		hba_lun_get_info(lun, &info);
		if (info.target == r->initiator_id)
			check_failed(k, "no target with the initiator's id", "target %ju",
				     (uintmax_t)info.target);
		if (info.target > r->highest_target_id)
			check_failed(k, "targets up to highest_target_id", "target %ju, above %ju",
				     (uintmax_t)info.target, (uintmax_t)r->highest_target_id);
		if (info.number != UINT64_MAX && info.number > r->highest_lun)
			check_failed(k, "units up to highest_lun", "LUN %ju, above %ju",
				     (uintmax_t)info.number, (uintmax_t)r->highest_lun);
	}
}

static const struct check_test tests[] = {
	{ .name = "the controller starts",
	  .rule = "initialize, map_hba_data for every task, start and the first scan end without "
		  "an error",
	  .reference = "hbakit/controller.h: hba_controller_start()",
	  .run = starts },
	{ .name = "each step comes in its turn",
	  .rule = "initialize, then map_hba_data, then start; each without an error",
	  .reference = "hbakit/driver.h: order of life",
	  .needs = NEED_CONTROLLER,
	  .run = goes_step_by_step },
	{ .name = "every task is mapped and named once, before any I/O",
	  .rule = "map_hba_data runs once for each client, internal and task management task, "
		  "before start",
	  .reference = "hbakit/driver.h: map_hba_data",
	  .needs = NEED_CONTROLLER,
	  .run = names_every_task },
	{ .name = "targets and units keep to what was reported",
	  .rule = "no target above highest_target_id or with the initiator's id, no unit above "
		  "highest_lun",
	  .reference = "hbakit/driver.h: struct hba_report",
	  .needs = NEED_CONTROLLER,
	  .run = keeps_to_its_limits },
};

const struct check_group check_life = { "life", tests, ARRAY_SIZE(tests) };
