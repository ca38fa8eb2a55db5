/* SPDX-License-Identifier: MIT */
/*
 * guest.c: submissions from other threads than the loop's.
 *
 * Tasks cross over on a stack that many push and the loop takes whole, so nobody waits and nothing
 * can be mistaken for what it was. The right to a task is asked for in a locked list, since that is
 * no I/O path: the answer always comes later, in the loop.
 */
#include "core/core.h"

#include <errno.h>

bool in_callback(const struct hba_controller *c)
{
	return loop_is_here(c) && c->in_turn;
}

void guest_push(struct hba_controller *c, struct task *t)
{
	struct task *head = __atomic_load_n(&c->guests.inbox, __ATOMIC_RELAXED);

	do
		t->next = head;
	/* The task's fields, then the pointer that shows it. */
	while (!__atomic_compare_exchange_n(&c->guests.inbox, &head, t, true, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED));
	loop_wake(c);
}

void guest_wait(struct hba_controller *c, struct list *waiting)
{
	pthread_mutex_lock(&c->guests.lock);
	list_append(&c->guests.waiting, waiting);
	__atomic_store_n(&c->guests.any, true, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&c->guests.lock);
	loop_wake(c);
}

/* ---- a mapping that another thread wants to let go */

struct release {
	struct list link;
	const struct hba_mapping *mapping;
	bool granted;
};

int guest_release(struct hba_controller *c, const struct hba_mapping *m)
{
	struct guests *g = &c->guests;
	struct release r = { .mapping = m };

	pthread_mutex_lock(&g->lock);
	list_append(&g->releases, &r.link);
	__atomic_store_n(&g->any, true, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&g->lock);
	loop_wake(c);
	pthread_mutex_lock(&g->lock);
	while (!r.granted && !g->over)
		pthread_cond_wait(&g->changed, &g->lock);
	list_remove(&r.link);
	pthread_mutex_unlock(&g->lock);
	return 0;
}

/* Under the lock. */
static void grant(struct hba_controller *c)
{
	for (struct list *l = c->guests.releases.next; l != &c->guests.releases; l = l->next) {
		struct release *r = container_of(l, struct release, link);

		r->granted = r->granted || !mapping_in_use(c, r->mapping);
		if (r->granted)
			pthread_cond_broadcast(&c->guests.changed);
	}
}

/* ---- the loop's side */

static struct list *take_waiting(struct hba_controller *c)
{
	struct guests *g = &c->guests;
	struct list *l = NULL;

	pthread_mutex_lock(&g->lock);
	grant(c);
	if (list_is_empty(&g->waiting)) {
		__atomic_store_n(&g->any, !list_is_empty(&g->releases), __ATOMIC_SEQ_CST);
	} else {
		l = g->waiting.next;
		list_remove(l);
	}
	pthread_mutex_unlock(&g->lock);
	return l;
}

/* The stack has the newest on top; they are taken in the order in which they came. */
static struct task *take_tasks(struct hba_controller *c)
{
	struct task *t = __atomic_exchange_n(&c->guests.inbox, NULL, __ATOMIC_ACQUIRE),
		    *in_order = NULL, *next;

	for (; t; t = next) {
		next = t->next;
		t->next = in_order;
		in_order = t;
	}
	return in_order;
}

bool guests_knock(const struct hba_controller *c)
{
	return __atomic_load_n(&c->guests.inbox, __ATOMIC_SEQ_CST) ||
	       __atomic_load_n(&c->guests.any, __ATOMIC_SEQ_CST);
}

void guests_arrive(struct hba_controller *c)
{
	struct task *t, *next;

	if (!__atomic_load_n(&c->guests.inbox, __ATOMIC_RELAXED))
		return;
	for (t = take_tasks(c); t; t = next) {
		next = t->next;
		if (t->state == TASK_RETURNED)
			task_return(t);
		else if (!medium_ends(t)) /* the disk may have changed since that thread looked */
			task_dispatch(c, t);
	}
}

void guests_turn(struct hba_controller *c)
{
	struct list *l;

	guests_arrive(c);
	if (__atomic_load_n(&c->guests.any, __ATOMIC_RELAXED))
		while ((l = take_waiting(c)))
			admit_waiting(l);
}

void guests_end(struct hba_controller *c)
{
	guests_turn(c);
	pthread_mutex_lock(&c->guests.lock);
	c->guests.over = true;
	pthread_cond_broadcast(&c->guests.changed);
	pthread_mutex_unlock(&c->guests.lock);
}

void guests_init(struct guests *g)
{
	list_init(&g->waiting);
	list_init(&g->releases);
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->changed, NULL);
}

void guests_fini(struct guests *g)
{
	pthread_cond_destroy(&g->changed);
	pthread_mutex_destroy(&g->lock);
}
