/* SPDX-License-Identifier: MIT */
/* store.c: what all stores have in common. */
#include "target/target.h"

void store_free(struct store *s)
{
	if (s)
		s->ops->free(s);
}
