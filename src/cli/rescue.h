/* SPDX-License-Identifier: MIT */
/*
 * rescue.h: `read --skip-bad`: all of a unit that can be read into a file, and a map of what
 * cannot.
 */
#ifndef CLI_RESCUE_H
#define CLI_RESCUE_H

#include "cli/cli.h"

/** struct rescue_plan - What to rescue. */
struct rescue_plan {
	const char *output, *map;
	/* bytes of the unit, whole blocks; a byte has the same place in the output */
	uint64_t begin, end;
	bool json;
};

/**
 * rescue_unit() - Goes on where the map, if there is one, says that it stopped. 0: nothing is left
 * to be tried; or CLI_FAILED, told.
 */
int rescue_unit(const struct rescue_plan *plan, struct cli_session *s, struct hba_lun *lun,
		const struct hba_lun_info *info);

#endif
