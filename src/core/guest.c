/* SPDX-License-Identifier: MIT */
/*
 * guest.c: submissions from other threads than the loop's.
 *
 * Tasks cross over on a stack that many push and the loop takes whole, so nobody waits and nothing
 * can be mistaken for what it was. The right to a task is asked for in a locked list, since that is
 * no I/O path: the answer always comes later, in the loop.
 */
#include "core/core.h"

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

/* ---- the loop's side */

struct list *guests_take_waiting(struct hba_controller *c)
{
	struct guests *g = &c->guests;
	struct list *l = NULL;

	pthread_mutex_lock(&g->lock);
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
struct task *guests_take_tasks(struct hba_controller *c)
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

void guests_end(struct hba_controller *c)
{
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
