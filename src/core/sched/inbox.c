/* SPDX-License-Identifier: MIT */
/*
 * inbox.c: tasks and requests of other threads than the loop's.
 *
 * Tasks cross over on a stack: many threads push, the loop takes all. So no thread waits, and there
 * is no ABA problem. A request for a task goes through a locked list, because it is no I/O path;
 * the answer always comes later, in the loop.
 */
#include "core/controller/controller.h"

void inbox_push(struct hba_controller *c, struct task *t)
{
	struct task *head = __atomic_load_n(&c->inbox.inbox, __ATOMIC_RELAXED);

	do
		t->next = head;
	/* The task's fields, then the pointer that shows it. */
	while (!__atomic_compare_exchange_n(&c->inbox.inbox, &head, t, true, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED));
	loop_wake(c);
}

void inbox_wait(struct hba_controller *c, struct list *waiting)
{
	pthread_mutex_lock(&c->inbox.lock);
	list_append(&c->inbox.waiting, waiting);
	__atomic_store_n(&c->inbox.any, true, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&c->inbox.lock);
	loop_wake(c);
}

/* ---- the loop's side */

struct list *inbox_take_waiting(struct hba_controller *c)
{
	struct inbox *g = &c->inbox;
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
struct task *inbox_take_tasks(struct hba_controller *c)
{
	struct task *t = __atomic_exchange_n(&c->inbox.inbox, NULL, __ATOMIC_ACQUIRE),
		    *in_order = NULL, *next;

	for (; t; t = next) {
		next = t->next;
		t->next = in_order;
		in_order = t;
	}
	return in_order;
}

bool inbox_knock(const struct hba_controller *c)
{
	return __atomic_load_n(&c->inbox.inbox, __ATOMIC_SEQ_CST) ||
	       __atomic_load_n(&c->inbox.any, __ATOMIC_SEQ_CST);
}

void inbox_end(struct hba_controller *c)
{
	pthread_mutex_lock(&c->inbox.lock);
	c->inbox.over = true;
	pthread_cond_broadcast(&c->inbox.changed);
	pthread_mutex_unlock(&c->inbox.lock);
}

void inbox_init(struct inbox *g)
{
	list_init(&g->waiting);
	list_init(&g->releases);
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->changed, NULL);
}

void inbox_fini(struct inbox *g)
{
	pthread_cond_destroy(&g->changed);
	pthread_mutex_destroy(&g->lock);
}
