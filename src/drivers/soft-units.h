/* SPDX-License-Identifier: MIT */
/* soft-units.h: the targets that a soft: URI asks for, each with its units. */
#ifndef DRIVERS_SOFT_UNITS_H
#define DRIVERS_SOFT_UNITS_H

#include "drivers/soft-options.h"

struct target_device;

struct soft_targets {
	struct target_device *devices; /* one per target; ours */
	unsigned n;
};

/** soft_make_targets() - On an error too *t has what was made until then. */
int soft_make_targets(struct hba_controller *c, const struct soft_wishes *w,
		      struct soft_targets *t);
/** soft_free_targets() - All zeros is fine. */
void soft_free_targets(struct soft_targets *t);

#endif
