/* SPDX-License-Identifier: MIT */
/*
 * load.h: the load that the framework's own figures come from: `depth` tasks, each sent again from
 * its done with another READ, the controller polled. As little as a client can do, so that what is
 * measured is the framework.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <hbakit/hbakit.h>
#include <stdbool.h>

enum { LOAD_BYTES = 4096, LOAD_BUDGET = 32 };

/** struct load_plan - What to do. */
struct load_plan {
	unsigned depth;
	unsigned units; /* the tasks are dealt to the first so many, in turn */
	/*
	 * each command goes to another unit of them: its task is given back, and one is taken there
	 */
	bool roam;
	enum hba_data_mode mode;
	/*
	 * What a command is to do besides, before it is sent and when it is back; NULL: nothing.
	 * Not 0: it is not sent.
	 */
	int (*before)(struct hba_task *t);
	void (*after)(struct hba_task *t);
};

struct load;

/** load_begin() - On a started controller. Complains itself; NULL then. */
struct load *load_begin(struct hba_controller *c, const struct load_plan *plan);
/**
 * load_run() - So many commands, at least. Returns the nanoseconds they took; 0: one failed, and a
 * sentence has been printed.
 */
uint64_t load_run(struct load *l, uint64_t commands);
/** load_ran() - How many commands the last load_run() really had. */
uint64_t load_ran(const struct load *l);
void load_end(struct load *l);

#endif
