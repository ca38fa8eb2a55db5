/* SPDX-License-Identifier: MIT */
/*
 * limit.c: of lines that come again and again, the first are printed whole, then one a second with
 * a count of those before it.
 */
#include "base/base.h"

enum { WHOLE = 10 };

bool limit_pass(struct limit *l, uint64_t now_ns, uint64_t *ret_withheld)
{
	*ret_withheld = l->withheld;
	if (l->told >= WHOLE && now_ns - l->told_ns < NS_PER_S) {
		l->withheld++;
		return false;
	}
	l->told++;
	l->withheld = 0;
	l->told_ns = now_ns;
	return true;
}
