/* SPDX-License-Identifier: MIT */
/*
 * admit.c: which client gets a free task, and which waits.
 *
 * A task in a client's hands has every right that it needs on its way down, so nothing below can be
 * full. Clients wait at their unit; units with waiters are served in turn, so that a busy one
 * cannot starve the others.
 */
#include "core/controller/controller.h"

#include <errno.h>
#include <string.h>

/* The contents of hba_waiter::core. */
struct waiting {
	struct list link;
	struct hba_lun *lun;
	uintptr_t bounce;
};
static_assert(sizeof(struct waiting) == sizeof(((struct hba_waiter *)0)->core),
	      "a waiter is the caller's memory");

static struct waiting *waiting_of(struct hba_waiter *w)
{
	return (struct waiting *)(void *)w->core;
}

static struct hba_waiter *waiter_of(struct list *link)
{
	return container_of(container_of(link, struct waiting, link), struct hba_waiter, core);
}

/* The second line's defaults, and the address. */
static void prepare(struct task *t, struct hba_lun *lun)
{
	memset(t->head.cdb, 0, sizeof(t->head) - offsetof(struct hba_task, cdb));
	t->head.mode = HBA_DATA_CPU;
	t->head.timeout_ms = lun->timeout_ms;
	t->head.target = lun->target->id;
	t->head.lun = lun->id;
	t->head.tag = lun_take_tag(lun, t);
	t->lun = lun;
	t->urgent = NOT_URGENT;
	t->named = 0;
	t->state = TASK_OWNED;
}

/* From the queues in turn, so that each gets its share. */
static struct task *take_free(struct hba_controller *c)
{
	for (unsigned i = 0; i < c->n_queues; i++) {
		struct hba_queue *q = c->queues[c->next_queue];

		c->next_queue = c->next_queue + 1 == c->n_queues ? 0 : c->next_queue + 1;
		if (q->free.head)
			return task_list_pop(&q->free);
	}
	return NULL;
}

/* A slice of bounce space, if the data may need it and this controller has any. */
static bool has_slice(const struct hba_controller *c, size_t bounce)
{
	return !bounce || !c->bounce.n || c->bounce.n_free;
}

static struct task *admit_take(struct hba_lun *lun, size_t bounce)
{
	struct hba_controller *c = lun->controller;
	struct task *t =
		lun->taken < lun->depth && c->clients_out < c->most_clients && has_slice(c, bounce)
			? take_free(c)
			: NULL;

	if (!t)
		return NULL;
	c->clients_out++;
	lun->taken++;
	prepare(t, lun);
	t->slice = bounce && c->bounce.n ? c->bounce.slices[--c->bounce.n_free] : NULL;
	return t;
}

static void wait_here(struct hba_controller *c, struct waiting *w)
{
	list_append(&w->lun->waiters, &w->link);
	if (list_is_empty(&w->lun->starving))
		list_append(&c->starving, &w->lun->starving);
}

void admit_waiting(struct list *link)
{
	struct waiting *w = container_of(link, struct waiting, link);
	struct hba_controller *c = w->lun->controller;

	if (c->accepting)
		wait_here(c, w);
	else
		waiter_of(link)->ready(waiter_of(link), NULL);
}

int hba_task_get(struct hba_lun *lun, size_t bounce, struct hba_waiter *w,
		 struct hba_task **ret_task)
{
	struct hba_controller *c;
	struct task *t = NULL;
	bool here;

	if (!lun || !ret_task)
		return wrong_use("the unit is NULL, or the place for the task");
	if (w && !w->ready)
		return wrong_use("the waiter has no `ready`");
	c = lun->controller;
	here = loop_is_here(c);
	if (!__atomic_load_n(&c->accepting, __ATOMIC_RELAXED))
		return fail(-ENODEV, "%s: the controller takes no tasks, it is %s", c->uri,
			    hba_state_name(hba_controller_state(c)));
	/* Earlier waiters come first, and free tasks belong to the loop. */
	if (here && list_is_empty(&lun->waiters))
		t = admit_take(lun, bounce);
	if (t) {
		*ret_task = &t->head;
		return 0;
	}
	if (!w)
		return 1;
	*waiting_of(w) = (struct waiting) { .lun = lun, .bounce = bounce };
	if (here)
		wait_here(c, waiting_of(w));
	else
		inbox_wait(c, &waiting_of(w)->link);
	return 1;
}

int hba_waiter_cancel(struct hba_waiter *w)
{
	struct waiting *waiting;

	if (!w)
		return wrong_use("the waiter is NULL");
	waiting = waiting_of(w);
	if (waiting->lun && !loop_is_here(waiting->lun->controller))
		return fail(-EPERM, "%s: only the loop's thread may", __func__);
	if (!waiting->lun || list_is_empty(&waiting->link))
		return fail(-ENOENT,
			    "the waiter does not wait: its `ready` has run, or it was never given");
	/* It may still be in the list that other threads add to. */
	pthread_mutex_lock(&waiting->lun->controller->inbox.lock);
	list_remove(&waiting->link);
	pthread_mutex_unlock(&waiting->lun->controller->inbox.lock);
	if (list_is_empty(&waiting->lun->waiters))
		list_remove(&waiting->lun->starving);
	return 0;
}

static void serve(struct hba_lun *lun, struct task *t)
{
	struct list *first = lun->waiters.next;
	struct hba_waiter *w = waiter_of(first);

	list_remove(first);
	if (list_is_empty(&lun->waiters))
		list_remove(&lun->starving);
	w->ready(w, t ? &t->head : NULL);
}

static size_t first_bounce(const struct hba_lun *lun)
{
	return container_of(lun->waiters.next, struct waiting, link)->bounce;
}

static bool can_have(const struct hba_controller *c, const struct hba_lun *lun)
{
	return lun->taken < lun->depth && has_slice(c, first_bounce(lun));
}

/* The first unit that waits and may have one; it goes to the end of the line. */
static struct hba_lun *next_starving(struct hba_controller *c)
{
	for (struct list *l = c->starving.next; l != &c->starving; l = l->next) {
		struct hba_lun *lun = container_of(l, struct hba_lun, starving);

		if (can_have(c, lun)) {
			list_remove(l);
			list_append(&c->starving, l);
			return lun;
		}
	}
	return NULL;
}

static bool any_free(const struct hba_controller *c)
{
	if (c->clients_out >= c->most_clients)
		return false;
	for (unsigned i = 0; i < c->n_queues; i++)
		if (c->queues[i]->free.head)
			return true;
	return false;
}

bool admit_possible(const struct hba_controller *c)
{
	if (!any_free(c))
		return false;
	for (const struct list *l = c->starving.next; l != &c->starving; l = l->next)
		if (can_have(c, container_of(l, struct hba_lun, starving)))
			return true;
	return false;
}

void admit(struct hba_controller *c)
{
	struct hba_lun *lun;
	struct task *t;

	while (any_free(c) && (lun = next_starving(c)) && (t = admit_take(lun, first_bounce(lun))))
		serve(lun, t);
}

static void refuse(struct hba_lun *lun)
{
	while (!list_is_empty(&lun->waiters))
		serve(lun, NULL);
}

/* Always the first: its callback may withdraw those behind it. */
void admit_none(struct hba_controller *c, struct hba_lun *lun)
{
	if (lun)
		refuse(lun);
	while (!lun && !list_is_empty(&c->starving))
		refuse(container_of(c->starving.next, struct hba_lun, starving));
}

struct task *internal_get(struct hba_lun *lun)
{
	struct task *t = task_list_pop(&lun->controller->internal_free);

	if (t)
		prepare(t, lun);
	return t;
}

void task_return(struct task *t)
{
	struct hba_controller *c = t->queue->controller;

	t->state = TASK_FREE;
	lun_return_tag(t->lun, t);
	if (t->head.kind == HBA_TASK_INTERNAL) {
		task_list_push(&c->internal_free, t);
		return;
	}
	if (t->slice)
		c->bounce.slices[c->bounce.n_free++] = t->slice;
	t->slice = NULL;
	t->lun->taken--;
	c->clients_out--;
	task_list_push(&t->queue->free, t);
}

void hba_task_put(struct hba_task *head)
{
	struct task *t;

	if (!head)
		return;
	t = task_of(head);
	if (t->state != TASK_OWNED) {
		misuse("the task is not its client's to give back: it is out, or given back "
		       "already");
		return;
	}
	if (loop_is_here(t->queue->controller)) {
		task_return(t);
		return;
	}
	__atomic_store_n(&t->state, TASK_RETURNED, __ATOMIC_RELEASE);
	inbox_push(t->queue->controller, t);
}
