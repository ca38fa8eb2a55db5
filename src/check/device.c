/* SPDX-License-Identifier: MIT */
/* device.c: failures that are known to be the device's own. */
#include "check/suite.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

static const struct device_fault {
	const char *vendor, *product, *test, *expected, *reason;
} faults[] = {
#define DEVICE_FAULT(...) { __VA_ARGS__ },
#include "check/device-faults.inc"
#undef DEVICE_FAULT
};

static bool fits(const struct device_fault *f, const struct hba_lun_info *info,
		 const struct check_result *r)
{
	char test[CHECK_TEXT];

	snprintf(test, sizeof(test), "%s: %s", r->group, r->name);
	return strcmp(f->test, test) == 0 && fnmatch(f->vendor, info->vendor, 0) == 0 &&
	       fnmatch(f->product, info->product, 0) == 0 &&
	       fnmatch(f->expected, r->expected, 0) == 0;
}

void check_excuse(struct check *k)
{
	struct check_result *r = k->result;

	if (r->verdict != CHECK_FAILED || !k->lun)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		if (!fits(&faults[i], &k->info, r))
			continue;
		r->verdict = CHECK_DEVICE;
		snprintf(r->reason, sizeof(r->reason), "%s", faults[i].reason);
		return;
	}
}
