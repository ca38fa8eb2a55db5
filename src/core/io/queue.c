/* SPDX-License-Identifier: MIT */
/*
 * queue.c: the hot path: a unit's unsent tasks go to the driver in batches, what it completes goes
 * back to clients.
 *
 *	queue_add ──> unit_queue::unsent ── send ──> process_task … hba_complete
 *	                  │ ready, in turn                               │
 *	                  └ held: frozen, full, or handed back           │
 *	done <── queue_deliver ── ended <────────────────────────────────┘
 *
 * One thread runs a queue, so nothing here locks. Ops never nest: hba_complete() only files the
 * result, and a client's `done` runs when no op is under way.
 */
#include "core/controller/controller.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- units in turn */

/* Nearly always nothing is held: then no clock is read. */
static inline bool is_held(const struct hba_lun *lun)
{
	return (lun->held_until | lun->target->held_until) &&
	       (lun->held_until > lun->controller->now ||
		lun->target->held_until > lun->controller->now);
}

static inline bool unit_may_send(const struct unit_queue *u)
{
	const struct hba_lun *lun = u->lun;

	return !lun->frozen && !lun->controller->paused && !lun->target->blocked &&
	       lun->out < lun->limit && !is_held(lun);
}

static struct unit_queue *queue_next_unit(struct hba_queue *q)
{
	while (!list_is_empty(&q->ready)) {
		struct unit_queue *u = container_of(q->ready.next, struct unit_queue, link);

		if (unit_may_send(u))
			return u;
		list_remove(&u->link);
		list_append(&q->held, &u->link);
	}
	return NULL;
}

void queue_release_held(struct hba_queue *q)
{
	struct list *l, *next;

	for (l = q->held.next; l != &q->held; l = next) {
		struct unit_queue *u = container_of(l, struct unit_queue, link);

		next = l->next;
		if (unit_may_send(u)) {
			list_remove(l);
			list_append(&q->ready, l);
		}
	}
}

/*
 * Not past a link that is lost, nor past a driver that has handed it back. A look passes what waits
 * for it, and no more.
 */
static bool urgent_may_go(const struct task *t)
{
	const struct hba_lun *lun = t->lun;

	if (lun->target->blocked || is_held(lun))
		return false;
	return t->urgent == URGENT_SENSE || (lun->frozen <= lun->suspect && lun->out < lun->limit);
}

static bool any_urgent_may_go(const struct hba_queue *q)
{
	for (const struct task *t = q->urgent.head; t; t = t->next)
		if (urgent_may_go(t))
			return true;
	return false;
}

bool queue_can_send(const struct hba_queue *q)
{
	const struct list *l;

	if (q->handed_back.head)
		return true;
	if (q->held_until > q->controller->now)
		return false;
	if (any_urgent_may_go(q))
		return true;
	for (l = q->ready.next; l != &q->ready; l = l->next)
		if (unit_may_send(container_of(l, struct unit_queue, link)))
			return true;
	for (l = q->held.next; l != &q->held; l = l->next)
		if (unit_may_send(container_of(l, struct unit_queue, link)))
			return true;
	return false;
}

/*
 * The list of its unit that it joins; that list has its turn now. NULL: its target has left, and
 * the task has ended.
 */
static inline struct task_list *list_to_join(struct task *t)
{
	struct unit_queue *u = &t->lun->queues[t->head.queue];

	/* Tasks that are sent again or handed back may be late: the target has left meanwhile. */
	if (target_is_going(t->lun->target) || !t->lun->target->initialised) {
		task_end(t, HBA_NOT_PRESENT, HBA_SENT_NO);
		return NULL;
	}
	t->state = TASK_QUEUED;
	if (t->urgent)
		return &t->queue->urgent;
	if (list_is_empty(&u->link))
		list_append(&t->queue->ready, &u->link);
	return &u->unsent;
}

void queue_add(struct task *t)
{
	struct task_list *l = list_to_join(t);

	if (l)
		task_list_append(l, t);
}

void queue_add_again(struct task *t)
{
	struct task_list *l = list_to_join(t);

	if (l)
		task_list_push(l, t);
}

/* The first that may go; those that may not do not hold it up. NULL: none. */
__attribute__((cold)) static struct task *take_urgent(struct hba_queue *q)
{
	struct task_list others = { 0 };
	struct task *t, *found = NULL;

	while ((t = task_list_pop(&q->urgent)))
		if (!found && urgent_may_go(t))
			found = t;
		else
			task_list_append(&others, t);
	q->urgent = others;
	return found;
}

/*
 * An urgent task; else the first unsent task of the unit whose turn it is. The unit goes to the
 * end.
 */
static struct task *take_next(struct hba_queue *q)
{
	struct unit_queue *u;
	struct task *t = q->urgent.head ? take_urgent(q) : NULL;

	if (t)
		return t;
	u = queue_next_unit(q);
	if (!u)
		return NULL;
	t = task_list_pop(&u->unsent);
	if (u->unsent.head && list_is_alone(&u->link))
		return t;
	list_remove(&u->link);
	if (u->unsent.head)
		list_append(&q->ready, &u->link);
	return t;
}

/* ---- down */

static void queue_send(struct hba_queue *q, struct task *t)
{
	struct hba_controller *c = q->controller;

	t->state = TASK_WITH_DRIVER;
	t->generation++;
	t->head.cookie = (uint64_t)t->generation << 32 | t->head.unique_id;
	t->sent_at = c->now;
	t->deadline = t->head.timeout_ms ? c->now + t->head.timeout_ms * (uint64_t)NS_PER_MS
					 : NO_DEADLINE;
	if (t->deadline < q->next_expiry)
		q->next_expiry = t->deadline;
	t->lun->out++;
	q->with_driver++;
	t->head.negotiate =
		t->head.kind == HBA_TASK_CLIENT ? t->lun->target->negotiation.to_agree : 0;
	t->head.revert =
		t->head.kind == HBA_TASK_CLIENT ? t->lun->target->negotiation.to_revert : 0;
	driver_process_task(q, t);
}

static unsigned send_batch(struct hba_queue *q)
{
	struct hba_controller *c = q->controller;
	struct op op = { .controller = c, .name = "process_task", .hot = true };
	unsigned n = 0;
	struct task *t;

	op_enter(&op);
	while (n < HBA_MAX_BATCH && q->held_until <= c->now && (t = take_next(q))) {
		queue_send(q, t);
		n++;
	}
	if (n)
		c->deadlines_set = true;
	if (n && c->slow_at == NO_DEADLINE)
		c->slow_at = c->now + c->slow_ns;
	op_leave(&op);
	if (n)
		driver_kick(q);
	return n;
}

void queue_begin_anew(struct hba_controller *c, uint64_t now)
{
	for (unsigned slot = 0; slot < c->pool.n; slot++) {
		struct task *t = &c->pool.tasks[slot];
		uint64_t ns = t->head.timeout_ms * (uint64_t)NS_PER_MS;

		if (task_state(t) != TASK_WITH_DRIVER || t->sent_at != c->now)
			continue;
		t->sent_at = now;
		if (ns && t->deadline == c->now + ns)
			t->deadline = now + ns;
	}
}

void queue_poll(struct hba_queue *q, unsigned budget)
{
	if (q->poll_at <= q->controller->now)
		q->poll_at = NO_DEADLINE;
	driver_poll(q, budget);
}

/* ---- up */

/* The outcome is that of queue_flush(), which would find the task a turn later. */
static bool is_lost(const struct hba_controller *c)
{
	return c->letting_go.wanted || c->state == HBA_GONE;
}

/*
 * Several that came back stand at their units' heads as they stood before: the first of them first.
 */
void queue_take_back(struct hba_queue *q)
{
	struct task_list reversed = { 0 };
	struct task *t;

	if (!q->handed_back.head)
		return;
	while ((t = task_list_pop(&q->handed_back)))
		task_list_push(&reversed, t);
	while ((t = task_list_pop(&reversed)))
		if (t->cancelled || !q->controller->accepting)
			task_end(t, is_lost(q->controller) ? HBA_NOT_PRESENT : HBA_NOT_DELIVERED,
				 HBA_SENT_NO);
		else if (!medium_ends(t))
			queue_add_again(t);
}

void queue_send_all(struct hba_queue *q)
{
	while ((q->urgent.head || !list_is_empty(&q->ready)) && send_batch(q) == HBA_MAX_BATCH)
		;
}

/* ---- ends that the core brings about */

static void flush_unit(struct unit_queue *u, enum hba_outcome outcome)
{
	struct task *t;

	while ((t = task_list_pop(&u->unsent)))
		task_end(t, outcome, HBA_SENT_NO);
	list_remove(&u->link);
}

static void flush_urgent(struct hba_queue *q, const struct hba_lun *lun, enum hba_outcome outcome)
{
	struct task_list others = { 0 };
	struct task *t;

	while ((t = task_list_pop(&q->urgent)))
		if (!lun || t->lun == lun)
			task_end(t, outcome, HBA_SENT_NO);
		else
			task_list_append(&others, t);
	q->urgent = others;
}

bool queue_withdraw(struct task *t)
{
	struct task_list others = { 0 };
	struct task *other;

	if (t->state != TASK_QUEUED || !t->urgent)
		return false;
	while ((other = task_list_pop(&t->queue->urgent)))
		if (other != t)
			task_list_append(&others, other);
	t->queue->urgent = others;
	task_end(t, HBA_NOT_DELIVERED, HBA_SENT_NO);
	return true;
}

void queue_flush(struct hba_controller *c, const struct hba_lun *lun, enum hba_outcome outcome)
{
	struct list *l, *m;

	for (unsigned i = 0; i < c->n_queues; i++)
		flush_urgent(c->queues[i], lun, outcome);
	for (l = c->targets.next; l != &c->targets; l = l->next) {
		struct hba_target *tgt = container_of(l, struct hba_target, link);

		for (m = tgt->luns.next; m != &tgt->luns; m = m->next) {
			struct hba_lun *unit = container_of(m, struct hba_lun, link);

			for (unsigned i = 0; (!lun || unit == lun) && i < c->n_queues; i++)
				flush_unit(&unit->queues[i], outcome);
		}
	}
}

/* ---- queues themselves */

static int queue_create(struct hba_controller *c, unsigned index)
{
	struct hba_queue *q = aligned_alloc(CACHE_LINE, round_up(sizeof(*q), CACHE_LINE));

	if (!q)
		return -ENOMEM;
	*q = (struct hba_queue) {
		.controller = c, .index = index, .next_expiry = NO_DEADLINE, .poll_at = NO_DEADLINE
	};
	list_init(&q->ready);
	list_init(&q->held);
	list_init(&q->watches);
	c->queues[index] = q;
	c->n_queues = index + 1;
	if (!c->report.queue_priv_size)
		return 0;
	q->priv = calloc(1, c->report.queue_priv_size);
	return q->priv ? 0 : -ENOMEM;
}

int queues_create(struct hba_controller *c)
{
	int r = 0;

	c->queues = calloc(c->report.queues, sizeof(*c->queues));
	if (!c->queues)
		return fail(-ENOMEM, "%s: no memory for %llu queues", c->uri,
			    (unsigned long long)c->report.queues);
	for (unsigned i = 0; r == 0 && i < c->report.queues; i++)
		r = queue_create(c, i);
	return r < 0 ? fail(r, "%s: no memory for %llu queues", c->uri,
			    (unsigned long long)c->report.queues)
		     : 0;
}

void queues_destroy(struct hba_controller *c)
{
	for (unsigned i = 0; i < c->n_queues; i++) {
		struct hba_queue *q = c->queues[i];

		queue_unwatch(q);
		free(q->priv);
		free(q);
	}
	free(c->queues);
	c->queues = NULL;
	c->n_queues = 0;
}

/* ---- a driver's view of its queue */

void *hba_queue_priv(const struct hba_queue *q)
{
	return q->priv;
}

struct hba_controller *hba_queue_controller(const struct hba_queue *q)
{
	return q->controller;
}

struct hba_queue *hba_controller_queue(const struct hba_controller *c, unsigned index)
{
	return index < c->n_queues ? c->queues[index] : NULL;
}

unsigned hba_queue_index(const struct hba_queue *q)
{
	return q->index;
}

void hba_poll_within(struct hba_queue *q, unsigned ms)
{
	uint64_t at = q->controller->now + ms * (uint64_t)NS_PER_MS;

	if (op_is_any(q->controller, __func__) && at < q->poll_at)
		q->poll_at = at;
}

bool queues_owe(const struct hba_controller *c)
{
	for (unsigned i = 0; i < c->n_queues; i++)
		if (c->queues[i]->ended.head)
			return true;
	return false;
}
