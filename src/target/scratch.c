/* SPDX-License-Identifier: MIT */
/*
 * scratch.c: a unit's buffers for commands that must see the blocks themselves. Made one by one as
 * commands need them at once, and kept: after the first few such commands there is nothing left to
 * allocate.
 */
#include "target/target.h"

#include <stdlib.h>

static struct scratch *scratch_of(struct list *link)
{
	return container_of(link, struct scratch, link);
}

void scratch_init(struct scratch_pool *p)
{
	pthread_mutex_init(&p->mutex, NULL);
	list_init(&p->idle);
	list_init(&p->lent);
	p->made = 0;
}

static void free_all(struct list *l)
{
	while (!list_is_empty(l)) {
		struct scratch *s = scratch_of(l->next);

		list_remove(&s->link);
		free(s);
	}
}

void scratch_clear(struct scratch_pool *p)
{
	free_all(&p->idle);
	free_all(&p->lent);
	pthread_mutex_destroy(&p->mutex);
}

static struct scratch *make(struct scratch_pool *p)
{
	struct scratch *s;

	if (p->made == SCRATCH_MOST)
		return NULL;
	s = malloc(sizeof(*s));
	if (!s)
		return NULL;
	p->made++;
	list_init(&s->link);
	return s;
}

struct scratch *scratch_borrow(struct scratch_pool *p)
{
	struct scratch *s;

	pthread_mutex_lock(&p->mutex);
	s = list_is_empty(&p->idle) ? make(p) : scratch_of(p->idle.next);
	if (s) {
		list_remove(&s->link);
		list_append(&p->lent, &s->link);
	}
	pthread_mutex_unlock(&p->mutex);
	return s;
}

/* To the front: the buffer that was used last is the one that is still in the processor's cache. */
void scratch_return(struct scratch_pool *p, struct scratch *s)
{
	pthread_mutex_lock(&p->mutex);
	list_remove(&s->link);
	list_prepend(&p->idle, &s->link);
	pthread_mutex_unlock(&p->mutex);
}

void scratch_forget(struct scratch_pool *p)
{
	pthread_mutex_lock(&p->mutex);
	while (!list_is_empty(&p->lent)) {
		struct list *l = p->lent.next;

		list_remove(l);
		list_append(&p->idle, l);
	}
	pthread_mutex_unlock(&p->mutex);
}
