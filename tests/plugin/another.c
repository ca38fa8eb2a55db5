/* SPDX-License-Identifier: MIT */
/* another.c: what makes a plug-in look as if a whole libhbakit were linked into it. */
#include <hbakit/driver.h>

void hba_complete(struct hba_task *t, const struct hba_result *r)
{
	(void)t;
	(void)r;
}
