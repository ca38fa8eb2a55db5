/* SPDX-License-Identifier: MIT */
/*
 * mapping.c: what it costs to map a task's HBA data for each command, instead of once, when the
 * task is made.
 *
 *	bench-mapping creation|command COMMANDS
 *
 * One driver both ways: `soft`, whose tasks also have a page that a chip would read, taken, mapped
 * and written by the same calls. In a hot op these calls are refused, so for the second way the
 * client makes them, around each command: that much is flattery, for a driver would have to wait
 * for the service thread. There is no IOMMU here either, whose tables would have to be changed each
 * time.
 *
 * One line: commands, nanoseconds, page faults.
 */
#include "load.h"

#include "core/controller/controller.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { FRAME = 4096, DEPTH = 32, WARM_UP = 100 };

/* In the task's memory. */
struct framed {
	struct hba_mapping *frame;
};

static const struct hba_driver *soft(void)
{
	const struct hba_driver *d = hba_driver_next(NULL);

	while (d && strcmp(d->name, "soft") != 0)
		d = hba_driver_next(d);
	return d;
}

static int map_frame(struct hba_task *t)
{
	struct framed *f = t->priv;

	return hba_mapping_create(task_of(t)->queue->controller, HBA_DEVICE_READS, FRAME, FRAME,
				  &f->frame);
}

static void unmap_frame(struct hba_task *t)
{
	struct framed *f = t->priv;

	hba_mapping_release(f->frame);
}

static int map_hba_data(struct hba_controller *c, struct hba_task *t, uint32_t *ret_id)
{
	int r = map_frame(t);

	return r < 0 ? r : soft()->map_hba_data(c, t, ret_id);
}

static void process_task(struct hba_queue *q, struct hba_task *t)
{
	const struct framed *f = t->priv;

	/* The scan's own commands come before there is a frame for each. */
	if (f->frame)
		memcpy(hba_mapping_address(f->frame), t->cdb, sizeof(t->cdb));
	soft()->process_task(q, t);
}

static uint64_t page_faults(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)u.ru_minflt;
}

static int measure(struct hba_controller *c, bool each, uint64_t commands)
{
	struct load_plan plan = { .depth = DEPTH, .units = 1, .mode = HBA_DATA_REGION };
	struct load *l;
	uint64_t faults, ns;

	if (each) {
		plan.before = map_frame;
		plan.after = unmap_frame;
	}
	l = load_begin(c, &plan);
	if (!l || !load_run(l, WARM_UP))
		return EXIT_FAILURE;
	faults = page_faults();
	ns = load_run(l, commands);
	faults = page_faults() - faults;
	if (ns)
		printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", load_ran(l), ns, faults);
	load_end(l);
	return ns ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	bool each = argc > 1 && strcmp(argv[1], "command") == 0;
	struct hba_driver table = *soft();
	const struct controller_plan plan = {
		.driver = &table, .uri = "soft:null", .path = "null", .query = "size=1T&fill=none"
	};
	struct hba_controller *c = NULL;
	int status = EXIT_FAILURE;

	if (argc != 3) {
		fprintf(stderr, "usage: bench-mapping creation|command COMMANDS\n");
		return EXIT_FAILURE;
	}
	table.task_priv_size = sizeof(struct framed);
	table.process_task = process_task;
	if (!each)
		table.map_hba_data = map_hba_data;
	if (controller_new(&plan, &c) < 0 || hba_controller_start(c) < 0)
		fprintf(stderr, "bench-mapping: %s\n", hba_error());
	else
		status = measure(c, each, strtoull(argv[2], NULL, 0));
	hba_controller_close(c);
	return status;
}
