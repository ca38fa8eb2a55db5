/* SPDX-License-Identifier: MIT */
/* store.c: what all stores have in common. */
#include "target/target.h"

void store_forget(struct store *s)
{
	if (s->ops->forget)
		s->ops->forget(s);
}

int store_take_flush_error(struct store *s)
{
	int error = __atomic_load_n(&s->flush_error, __ATOMIC_ACQUIRE);

	return error && !__atomic_exchange_n(&s->flush_told, true, __ATOMIC_ACQ_REL) ? error : 0;
}

void store_free(struct store *s)
{
	if (s)
		s->ops->free(s);
}
