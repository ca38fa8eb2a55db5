/* SPDX-License-Identifier: MIT */
/*
 * tmf.c: task management functions, one at a time, on the tmf task. Clients request them, and so
 * does recovery, which goes first.
 *
 * A function that the target has carried out ends tasks. The driver completes them before the
 * function; forgotten ones are a violation, and for recovery the function has then failed. A
 * client's `done` runs after its victims' own.
 */
#include "core/controller/controller.h"

#include <errno.h>

enum { DEFAULT_MS = 10 * MS_PER_S };

/* The contents of hba_management::core. */
struct managing {
	struct list link;
	uint64_t deadline; /* from the request on: waiting for its turn counts */
	uint64_t response; /* of those that are decided without the driver */
};
static_assert(sizeof(struct managing) <= sizeof(((struct hba_management *)0)->core),
	      "a request is the caller's memory");

static struct managing *managing_of(struct hba_management *m)
{
	return (struct managing *)(void *)m->core;
}

static struct hba_management *management_of(struct list *link)
{
	return container_of(container_of(link, struct managing, link), struct hba_management, core);
}

/* Of a task that is out, or has come back just now. */
static bool is_about(const struct hba_management *m, const struct task *t)
{
	if (t->head.kind == HBA_TASK_TMF)
		return false;
	switch (m->function) {
	case HBA_ABORT_TASK:
		return &t->head == m->victim;
	case HBA_TARGET_RESET:
		return t->lun->target == m->lun->target;
	case HBA_CLEAR_ACA:
		return false;
	default:
		return t->lun == m->lun;
	}
}

static bool concerns(const struct hba_management *m, const struct task *t)
{
	return task_state(t) == TASK_WITH_DRIVER && is_about(m, t);
}

/* However it ends, or has just ended, the rules do not send it again. */
static void mark(struct task *t)
{
	t->final = true;
	t->victim = t->generation + UINT64_C(1);
}

/* And has not been sent anew since. */
static bool is_victim(const struct task *t)
{
	return t->victim == t->generation + UINT64_C(1);
}

static void mark_victims(struct hba_controller *c, const struct hba_management *m)
{
	for (unsigned slot = 0; slot < c->pool.n; slot++) {
		struct task *t = &c->pool.tasks[slot];

		if (concerns(m, t) || (task_state(t) == TASK_ENDED && is_about(m, t)))
			mark(t);
	}
}

/*
 * How many of those that were out when it began are out still. One that was sent later is none,
 * whatever has become of it.
 */
unsigned tmf_left(const struct hba_controller *c)
{
	const struct hba_management *m = c->tmf.current;
	unsigned n = 0;

	for (unsigned slot = 0; m && slot < c->pool.n; slot++)
		n += concerns(m, &c->pool.tasks[slot]) && is_victim(&c->pool.tasks[slot]);
	return n;
}

/*
 * Has a victim come back whose done has not run? Only those: under load there is always some other
 * done that is owed.
 */
static bool owes_victims(const struct hba_controller *c, const struct hba_management *m)
{
	for (unsigned slot = 0; slot < c->pool.n; slot++) {
		const struct task *t = &c->pool.tasks[slot];

		if (task_state(t) == TASK_ENDED && is_victim(t) && is_about(m, t))
			return true;
	}
	return false;
}

/* It has its answer; but a client that keeps cancelling may not put it off for ever. */
static bool may_tell(const struct hba_controller *c, struct hba_management *m)
{
	return c->now >= managing_of(m)->deadline || !owes_victims(c, m);
}

static void tmf_tell(struct hba_controller *c, enum hba_service_response response)
{
	struct hba_management *m = c->tmf.current;

	if (m->function == HBA_TARGET_RESET && response == HBA_FUNCTION_COMPLETE)
		target_renegotiate(m->lun->target);
	c->tmf.current = NULL;
	c->tmf.answered = false;
	m->done(m, response);
}

/*
 * Between its asking and its turn the victim may have come back, or be on its way down again: with
 * its next stage, or handed back.
 */
static bool victim_is_away(const struct hba_management *m)
{
	struct task *t = m->victim ? task_of(m->victim) : NULL;

	if (!t || (t->state == TASK_WITH_DRIVER && t->final))
		return false;
	/* One that came back and was submitted anew is another command: that clears `final`. */
	if (t->final && (t->state == TASK_QUEUED || t->state == TASK_HANDED_BACK))
		hba_cancel(m->victim);
	return true;
}

static void start(struct hba_controller *c, struct hba_management *m)
{
	struct task *t = task_list_pop(&c->tmf_free),
		    *victim = m->victim ? task_of(m->victim) : NULL;

	c->tmf.current = m;
	c->tmf.answered = false;
	mark_victims(c, m);
	t->lun = m->lun;
	t->head.target = m->lun->target->id;
	t->head.lun = m->lun->id;
	t->head.tag = victim ? victim->head.tag : HBA_UNTAGGED;
	t->head.data.victim = m->victim;
	t->state = TASK_WITH_DRIVER;
	t->generation++;
	t->head.cookie = (uint64_t)t->generation << 32 | t->head.unique_id;
	t->lun->out++;
	t->queue->with_driver++;
	driver_manage(t, m->function);
}

void tmf_answered(struct hba_controller *c, struct task *t, enum hba_service_response response)
{
	t->queue->with_driver--;
	t->lun->out--;
	t->state = TASK_FREE;
	task_list_push(&c->tmf_free, t);
	/* Without a current request its deadline has passed, and no done is owed. */
	c->tmf.answered = c->tmf.current;
	c->tmf.response = response;
}

void tmf_lost(struct hba_controller *c)
{
	for (unsigned slot = 0; slot < TMF_TASKS && slot < c->pool.n; slot++)
		if (task_state(&c->pool.tasks[slot]) == TASK_WITH_DRIVER)
			tmf_answered(c, &c->pool.tasks[slot], HBA_DELIVERY_FAILURE);
}

static void turn_current(struct hba_controller *c)
{
	struct hba_management *m = c->tmf.current;

	if (c->tmf.answered && may_tell(c, m))
		tmf_tell(c, c->tmf.response);
	else if (!c->tmf.answered && c->now >= managing_of(m)->deadline)
		tmf_tell(c, HBA_DELIVERY_FAILURE);
}

/* Requests that have waited too long for their turn. */
static void expire_waiting(struct hba_controller *c)
{
	struct list *l, *next;

	for (l = c->tmf.waiting.next; l != &c->tmf.waiting; l = next) {
		struct hba_management *m = management_of(l);

		next = l->next;
		if (c->now < managing_of(m)->deadline)
			continue;
		list_remove(l);
		m->done(m, HBA_DELIVERY_FAILURE);
	}
}

/* Requests decided without the driver. */
static void tell_decided(struct hba_controller *c)
{
	while (!list_is_empty(&c->tmf.decided)) {
		struct list *first = c->tmf.decided.next;
		struct hba_management *m = management_of(first);

		if (!may_tell(c, m))
			return;
		list_remove(first);
		m->done(m, (enum hba_service_response)managing_of(m)->response);
	}
}

static void decide(struct hba_controller *c, struct hba_management *m,
		   enum hba_service_response response)
{
	managing_of(m)->response = response;
	list_append(&c->tmf.decided, &managing_of(m)->link);
}

void tmf_turn(struct hba_controller *c)
{
	tell_decided(c);
	if (c->tmf.current)
		turn_current(c);
	/* With the power away they wait; for going down, what is out may have to be aborted. */
	if (!c->tmf.current && !list_is_empty(&c->tmf.waiting) && c->tmf_free.head &&
	    c->state != HBA_PAUSED) {
		struct list *first = c->tmf.waiting.next;

		list_remove(first);
		if (victim_is_away(management_of(first)))
			decide(c, management_of(first), HBA_FUNCTION_COMPLETE);
		else
			start(c, management_of(first));
	}
	expire_waiting(c);
}

uint64_t tmf_next(const struct hba_controller *c)
{
	uint64_t at = c->tmf.current ? managing_of(c->tmf.current)->deadline : NO_DEADLINE;

	for (struct list *l = c->tmf.waiting.next; l != &c->tmf.waiting; l = l->next)
		if (managing_of(management_of(l))->deadline < at)
			at = managing_of(management_of(l))->deadline;
	/*
	 * Recovery posts its request after this turn: one that can begin now must not sleep until
	 * something else wakes the loop.
	 */
	if (c->tmf.answered || !list_is_empty(&c->tmf.decided))
		return c->now;
	return !c->tmf.current && !list_is_empty(&c->tmf.waiting) && c->tmf_free.head ? c->now : at;
}

void tmf_cancel_all(struct hba_controller *c)
{
	if (c->tmf.current)
		tmf_tell(c, HBA_DELIVERY_FAILURE);
	while (!list_is_empty(&c->tmf.waiting)) {
		struct list *first = c->tmf.waiting.next;
		struct hba_management *m = management_of(first);

		list_remove(first);
		m->done(m, HBA_DELIVERY_FAILURE);
	}
	tell_decided(c);
}

bool tmf_possible(const struct hba_controller *c, enum hba_tmf function)
{
	return c->driver->manage && (c->report.tmfs & HBA_TMF_BIT(function));
}

static uint64_t deadline_from(uint64_t now, const struct hba_management *m)
{
	return now + (m->timeout_ms ? m->timeout_ms : DEFAULT_MS) * (uint64_t)NS_PER_MS;
}

static void set_deadline(struct hba_controller *c, struct hba_management *m)
{
	managing_of(m)->deadline = deadline_from(c->now, m);
	c->deadlines_set = true;
}

static void tmf_extend(const struct hba_controller *c, struct hba_management *m, uint64_t now)
{
	if (managing_of(m)->deadline == deadline_from(c->now, m))
		managing_of(m)->deadline = deadline_from(now, m);
}

static void list_begin_anew(const struct hba_controller *c, const struct list *list, uint64_t now)
{
	for (struct list *l = list->next; l != list; l = l->next)
		tmf_extend(c, management_of(l), now);
}

void tmf_begin_anew(struct hba_controller *c, uint64_t now)
{
	if (c->tmf.current)
		tmf_extend(c, c->tmf.current, now);
	list_begin_anew(c, &c->tmf.waiting, now);
	list_begin_anew(c, &c->tmf.decided, now);
}

void tmf_post(struct hba_controller *c, struct hba_management *m, bool first)
{
	struct managing *g = managing_of(m);

	set_deadline(c, m);
	if (first)
		list_prepend(&c->tmf.waiting, &g->link);
	else
		list_append(&c->tmf.waiting, &g->link);
}

static int check_victim(const struct hba_management *m)
{
	const struct task *t = m->victim ? task_of(m->victim) : NULL;

	if (m->function != HBA_ABORT_TASK)
		return m->victim ? fail(-EINVAL, "hba_manage: only ABORT TASK has a victim") : 0;
	if (!t)
		return fail(-EINVAL, "hba_manage: ABORT TASK needs a victim");
	if (t->lun != m->lun || (t->state != TASK_QUEUED && t->state != TASK_WITH_DRIVER))
		return fail(-EINVAL,
			    "hba_manage: the victim of ABORT TASK is not out, or of another unit");
	return 0;
}

int hba_manage(struct hba_management *m)
{
	struct hba_controller *c = m && m->lun ? m->lun->controller : NULL;
	int r;

	if (!c || !m->done || m->function > HBA_TARGET_RESET)
		return fail(-EINVAL, "hba_manage: unit, function or done is missing");
	if (!c->accepting)
		return fail(-ENODEV, "%s: the controller takes no requests, it is %s", c->uri,
			    hba_state_name(c->state));
	if (!loop_is_here(c))
		return fail(-EPERM, "%s: only the loop's thread may", __func__);
	intake_tasks(c);
	r = check_victim(m);
	if (r < 0)
		return r;
	set_deadline(c, m);
	if (m->victim && task_of(m->victim)->state == TASK_QUEUED) {
		/* The target has never received it. */
		mark(task_of(m->victim));
		hba_cancel(m->victim);
		decide(c, m, HBA_FUNCTION_COMPLETE);
	} else if (!tmf_possible(c, m->function)) {
		decide(c, m, HBA_FUNCTION_REJECTED);
	} else {
		if (m->victim)
			mark(task_of(m->victim));
		tmf_post(c, m, false);
	}
	return 0;
}
