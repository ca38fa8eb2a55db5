/* SPDX-License-Identifier: MIT */
/* soft-options.h: what a soft: URI may ask for, read and judged before anything is made. */
#ifndef DRIVERS_SOFT_OPTIONS_H
#define DRIVERS_SOFT_OPTIONS_H

#include "drivers/soft-faults.h"

#include <hbakit/driver.h>

enum {
	SOFT_INTERNAL_TASKS = 2,
	SOFT_TMF_TASKS = 1,
	SOFT_MOST_LUNS = 16384,
	SOFT_TMFS = 1 << HBA_ABORT_TASK | 1 << HBA_ABORT_TASK_SET | 1 << HBA_CLEAR_TASK_SET |
		    1 << HBA_CLEAR_ACA | 1 << HBA_LOGICAL_UNIT_RESET | 1 << HBA_TARGET_RESET,
};

/**
 * struct soft_wishes - Numbers are HBA_UNSET where the URI is silent and the driver has no opinion.
 */
struct soft_wishes {
	const char *path; /* "ram", "null", or a file's */
	const char *serial;

	/* disks */
	uint64_t size, luns, block, scratch, read_only, removable;
	bool fill_none; /* null: reads leave the buffer as it is */

	/* place */
	uint64_t targets, initiator, managed, hierarchical, multipath, features, autosense;

	/* pool */
	uint64_t tasks, queues, depth, tag_bits, max_cdb, tmfs;

	/* data */
	enum hba_data_mode data;
	struct hba_constraints constraints;

	struct fault fault;
};

/** soft_read_wishes() - -EINVAL, with one sentence for whoever wrote the URI. */
int soft_read_wishes(struct hba_controller *c, struct soft_wishes *ret_wishes);

/* Targets are counted 0, 1, 2 …; their ids leave out the initiator's. */
static inline uint64_t soft_target_id(const struct soft_wishes *w, uint64_t target)
{
	return target < w->initiator ? target : target + 1;
}

/** soft_is_file() - Else ram or null. */
bool soft_is_file(const struct soft_wishes *w);

extern const struct hba_option soft_options[];

#endif
