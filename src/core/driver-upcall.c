/* SPDX-License-Identifier: MIT */
/*
 * driver-upcall.c: the one place where a driver calls the core about a task, a target or its bus.
 *
 * Nothing that it passes is believed before it is checked. An op never nests: an end is only filed
 * here, and an event of the bus written down; the loop acts on both when no op is under way.
 */
#include "core/controller/controller.h"

#include <errno.h>
#include <string.h>

enum { HOLD_MS = 1000 }; /* a task handed back is tried again by then, hba_ready() or not */

/* ---- a task's end */

static const char *const state_names[] = {
	[TASK_FREE] = "free",
	[TASK_OWNED] = "its client's",
	[TASK_QUEUED] = "not sent yet",
	[TASK_WITH_DRIVER] = "with the driver",
	[TASK_HANDED_BACK] = "handed back",
	[TASK_ENDED] = "completed already",
	[TASK_RETURNED] = "free",
};

__attribute__((cold)) static void task_tell_stranger(const struct task *t, const char *call)
{
	/*
	 * A task of another controller's pool can only be named with the op's own controller.
	 * Outside any op the call comes from a thread of the driver or from a client.
	 */
	if (op_now())
		violation(op_now()->controller,
			  "%s of a task that is not of this controller's pool", call);
	else
		violation(t->queue->controller,
			  "%s of the task with unique id %u; a task is completed in an op, such as "
			  "poll",
			  call, t->head.unique_id);
}

/*
 * The task of a driver's `call`. NULL, and the violation is reported: outside any
 * op, or not of this op's controller.
 */
static inline struct task *task_named(struct hba_task *head, const char *call)
{
	const struct op *op = op_now();

	if (op && pool_holds(&op->controller->pool, head))
		return task_of(head);
	task_tell_stranger(task_of(head), call);
	return NULL;
}

__attribute__((cold)) static void tell_not_with_driver(const struct task *t, const char *call)
{
	violation(t->queue->controller,
		  "%s of the task with unique id %u, which is not with the driver: it is %s", call,
		  t->head.unique_id, state_names[t->state]);
}

/*
 * The task, if it is this controller's and with the driver; else NULL, and the violation is
 * reported.
 */
static inline struct task *task_with_driver(struct hba_task *head, const char *call)
{
	struct task *t = task_named(head, call);

	if (!t || t->state == TASK_WITH_DRIVER)
		return t;
	tell_not_with_driver(t, call);
	return NULL;
}

/*
 * Results that no device can produce. The task is over all the same, but its data count as
 * undefined.
 */
static bool is_believable(struct hba_controller *c, const struct task *t,
			  const struct hba_result *r)
{
	if (r->bytes > t->head.length)
		return violation(c,
				 "hba_complete of the task with unique id %u with %llu bytes; the "
				 "task has %llu",
				 t->head.unique_id, (unsigned long long)r->bytes,
				 (unsigned long long)t->head.length),
		       false;
	if (r->sense_len > HBA_MAX_SENSE || (r->sense_len && !r->sense))
		return violation(c,
				 "hba_complete of the task with unique id %u with %u bytes of "
				 "sense%s, %d is the most",
				 t->head.unique_id, r->sense_len,
				 r->sense ? "" : " and no pointer to it", HBA_MAX_SENSE),
		       false;
	if (hba_response(r->outcome) != HBA_TASK_COMPLETE &&
	    hba_response(r->outcome) != HBA_DELIVERY_FAILURE &&
	    hba_response(r->outcome) != HBA_LINK_COMMAND_COMPLETE)
		return violation(c,
				 "hba_complete of the task with unique id %u with outcome %#x, "
				 "which is no end of a command",
				 t->head.unique_id, r->outcome),
		       false;
	return true;
}

static void file_result(struct task *t, const struct hba_result *r)
{
	t->result.outcome = r->outcome;
	t->result.sent = hba_response(r->outcome) == HBA_TASK_COMPLETE ? HBA_SENT_YES : r->sent;
	t->result.bytes = r->bytes;
	t->result.negotiated = r->negotiated;
	t->result.reverted = r->reverted;
	t->result.memory_lost = 0;
	task_keep_sense(t, r->sense, r->outcome == HBA_CHECK_CONDITION ? r->sense_len : 0);
}

/*
 * A feature that was never attempted with this task cannot have been agreed: it would not be
 * attempted any more.
 */
static void judge_negotiation(struct task *t)
{
	unsigned surplus = t->result.negotiated & ~(unsigned)t->head.negotiate;

	if (!surplus)
		return;
	violation(t->queue->controller,
		  "hba_complete of the task with unique id %u with features %#x negotiated; "
		  "hba_task::negotiate asked for %#x",
		  t->head.unique_id, t->result.negotiated, t->head.negotiate);
	t->result.negotiated &= t->head.negotiate;
}

/* A command that took long is back. */
static void tell_slow(struct task *t)
{
	struct hba_controller *c = t->lun->controller;
	char command[TASK_WORDS], age[TIME_WORDS];

	t->slow = SLOW_NOT;
	if (t->expired)
		return; /* recovery reports it */
	task_words(t, command);
	time_words(c->now - t->sent_at, age);
	event_put(c, HBA_EVENT_SLOW, t->lun->target->id, &t->lun->id,
		  (int64_t)((c->now - t->sent_at) / NS_PER_MS), "%s took %s", command, age);
}

/* Consequences of an end besides its result. Seldom any. */
static void heed_end(struct task *t)
{
	judge_negotiation(t);
	if (t->result.negotiated || t->result.reverted)
		target_negotiated(t->lun->target, t->result.negotiated, t->result.reverted);
	if (t->slow)
		tell_slow(t);
	if (t->result.sense_len)
		medium_heed(t);
	if (t->expired && !t->cancelled)
		t->result.outcome = HBA_TASK_TIMEOUT;
	if (t->result.outcome == HBA_CHECK_CONDITION)
		disposition_check_condition(t);
	medium_judge(t);
}

__attribute__((cold, noinline)) static void complete_with_care(struct task *t,
							       const struct hba_result *r)
{
	if (t->head.kind == HBA_TASK_TMF) {
		violation(t->queue->controller,
			  "hba_complete of a task management task; its end is hba_tmf_complete");
		return;
	}
	if (!is_believable(t->queue->controller, t, r)) {
		task_end(t, HBA_NO_STATUS, HBA_SENT_MAYBE);
		return;
	}
	task_retrieve(t);
	file_result(t, r);
	heed_end(t);
}

/* Nearly every end: success, with no other consequence. */
static inline bool is_plain(const struct task *t, const struct hba_result *r)
{
	return r->outcome == HBA_GOOD && r->bytes <= t->head.length && !r->sense_len &&
	       !r->negotiated && !r->reverted && !t->final && !t->slow &&
	       t->head.kind != HBA_TASK_TMF;
}

void hba_complete(struct hba_task *head, const struct hba_result *r)
{
	struct task *t = task_with_driver(head, "hba_complete");

	if (!t)
		return;
	if (!is_plain(t, r)) {
		complete_with_care(t, r);
		return;
	}
	task_retrieve(t);
	t->result = (struct hba_result) { .outcome = HBA_GOOD,
					  .sent = HBA_SENT_YES,
					  .bytes = r->bytes };
}

/* ---- handed back */

void hba_requeue(struct hba_task *head, enum hba_scope blocked)
{
	struct task *t = task_with_driver(head, "hba_requeue");
	uint64_t until;

	if (!t)
		return;
	if (t->head.kind == HBA_TASK_TMF) {
		violation(t->queue->controller,
			  "hba_requeue of a task management task; its end is hba_tmf_complete");
		return;
	}
	until = t->queue->controller->now + HOLD_MS * (uint64_t)NS_PER_MS;
	t->queue->with_driver--;
	t->lun->out--;
	/*
	 * Back into its unit's queue when the loop has its next turn: this op may be one that
	 * waits, beside the loop.
	 */
	t->state = TASK_HANDED_BACK;
	task_list_append(&t->queue->handed_back, t);
	if (blocked == HBA_SCOPE_QUEUE)
		t->queue->held_until = until;
	else if (blocked == HBA_SCOPE_TARGET)
		t->lun->target->held_until = until;
	else
		t->lun->held_until = until;
}

void hba_ready(struct hba_queue *q, struct hba_target *tgt, const struct hba_lun_id *id)
{
	struct hba_lun *lun = tgt && id ? lun_find(tgt, id) : NULL;

	if (lun)
		lun->held_until = 0;
	else if (tgt)
		tgt->held_until = 0;
	else
		q->held_until = 0;
}

/* ---- from numbers to tasks */

__attribute__((cold)) static struct hba_task *not_found(struct hba_queue *q, uint64_t number,
							const char *what)
{
	hba_device_error(
		q->controller,
		"the device gave %s %#llx, and no task with the driver in this queue has it", what,
		(unsigned long long)number);
	return NULL;
}

static bool is_out(const struct hba_queue *q, const struct task *t)
{
	return t && t->state == TASK_WITH_DRIVER && t->queue == q;
}

struct hba_task *hba_task_by_id(struct hba_queue *q, uint64_t unique_id)
{
	struct task *t = pool_find(&q->controller->pool, unique_id);

	return is_out(q, t) ? &t->head : not_found(q, unique_id, "unique id");
}

struct hba_task *hba_task_by_cookie(struct hba_queue *q, uint64_t cookie)
{
	struct task *t = pool_find(&q->controller->pool, (uint32_t)cookie);

	return is_out(q, t) && t->head.cookie == cookie ? &t->head : not_found(q, cookie, "cookie");
}

void hba_for_each_task(struct hba_controller *c, struct hba_target *tgt,
		       void (*each)(struct hba_task *t, void *arg), void *arg)
{
	if (!op_is_fenced(c, __func__))
		return;
	for (unsigned slot = 0; slot < c->pool.n; slot++) {
		struct task *t = &c->pool.tasks[slot];

		if (task_state(t) == TASK_WITH_DRIVER && (!tgt || t->lun->target == tgt))
			each(&t->head, arg);
	}
}

/* ---- a function's end */

void hba_tmf_complete(struct hba_task *head, enum hba_service_response response)
{
	struct task *t = task_named(head, "hba_tmf_complete");
	struct hba_controller *c;
	unsigned left;

	if (!t)
		return;
	c = t->queue->controller;
	if (t->head.kind != HBA_TASK_TMF || t->state != TASK_WITH_DRIVER) {
		violation(c,
			  "hba_tmf_complete of the task with unique id %u, which is no task "
			  "management task with the driver",
			  t->head.unique_id);
		return;
	}
	if (response != HBA_FUNCTION_COMPLETE && response != HBA_FUNCTION_REJECTED &&
	    response != HBA_DELIVERY_FAILURE) {
		violation(c, "hba_tmf_complete with service response %d, which ends no function",
			  response);
		response = HBA_DELIVERY_FAILURE;
	}
	left = response == HBA_FUNCTION_COMPLETE ? tmf_left(c) : 0;
	if (left) {
		violation(c,
			  "hba_tmf_complete with a complete function, of whose tasks %u have not "
			  "been completed",
			  left);
		response = HBA_DELIVERY_FAILURE;
	}
	tmf_answered(c, t, response);
}

/* ---- its bus */

static int note(struct hba_controller *c, enum driver_event_kind kind, uint64_t target)
{
	struct driver_event *n = driver_event_new(kind, target);

	return n ? driver_event_post(c, n) : -ENOMEM;
}

int hba_target_create(struct hba_controller *c, uint64_t id, const struct hba_property *properties)
{
	struct hba_target *tgt;
	struct driver_event *n;
	int r = 0;

	if (id == c->report.initiator_id)
		return violation(c, "hba_target_create of %llu, which is the initiator's own id",
				 (unsigned long long)id),
		       -EINVAL;
	if (id > c->report.highest_target_id)
		return violation(c, "hba_target_create of %llu, above the highest target id %llu",
				 (unsigned long long)id,
				 (unsigned long long)c->report.highest_target_id),
		       -EINVAL;
	n = driver_event_new(DRIVER_EVENT_TARGET_CREATE, id);
	if (!n)
		return -ENOMEM;
	for (const struct hba_property *p = properties; p && p->key && r == 0; p++)
		r = properties_set(&n->properties, p);
	if (r < 0) {
		driver_event_free(n);
		return r == -EINVAL ? (violation(c,
						 "hba_target_create of %llu with a property of the "
						 "wrong type or length",
						 (unsigned long long)id),
				       r)
				    : r;
	}
	driver_event_post(c, n);
	tgt = target_in_use(c, id);
	return tgt && !target_is_going(tgt);
}

static int about_existing(struct hba_controller *c, enum driver_event_kind kind, uint64_t id)
{
	return target_in_use(c, id) ? note(c, kind, id) : -ENOENT;
}

int hba_target_destroy(struct hba_controller *c, uint64_t id)
{
	/* A target whose create is still in the list is found when the list is worked off. */
	int r = about_existing(c, DRIVER_EVENT_TARGET_DESTROY, id);

	return r == -ENOENT && !list_is_empty(&c->driver_events.list)
		       ? note(c, DRIVER_EVENT_TARGET_DESTROY, id)
		       : r;
}

int hba_target_block(struct hba_controller *c, uint64_t id, bool blocked)
{
	return about_existing(c, blocked ? DRIVER_EVENT_TARGET_BLOCK : DRIVER_EVENT_TARGET_UNBLOCK,
			      id);
}

void hba_discovery_done(struct hba_controller *c)
{
	note(c, DRIVER_EVENT_DISCOVERY_DONE, HBA_ANY_TARGET);
}

void hba_luns_changed(struct hba_controller *c, uint64_t target)
{
	/* The set of targets may have changed as well; only a full scan finds new ones. */
	if (target == HBA_ANY_TARGET)
		(void)hba_controller_rescan(c);
	else
		note(c, DRIVER_EVENT_LUNS_CHANGED, target);
}

void hba_media_changed(struct hba_controller *c, uint64_t target, const struct hba_lun_id *lun)
{
	struct driver_event *n = driver_event_new(
		lun ? DRIVER_EVENT_MEDIUM_CHANGED : DRIVER_EVENT_LUNS_CHANGED, target);

	if (!n)
		return;
	if (lun)
		n->lun = *lun;
	driver_event_post(c, n);
}

void hba_bus_reset_seen(struct hba_controller *c)
{
	note(c, DRIVER_EVENT_BUS_RESET, HBA_ANY_TARGET);
}

void hba_port_status(struct hba_controller *c, enum hba_port_status status)
{
	struct driver_event *n = driver_event_new(DRIVER_EVENT_PORT_STATUS, HBA_ANY_TARGET);

	if (!n)
		return;
	n->status = status;
	driver_event_post(c, n);
}

void hba_writes_lost(struct hba_controller *c, struct hba_target *tgt, const struct hba_lun_id *lun,
		     const char *format, ...)
{
	char text[SENTENCE_BYTES];
	struct hba_property p = { .key = "Write Failure",
				  .type = HBA_STRING,
				  .value.string = text };
	va_list args;

	va_start(args, format);
	sentence_write(text, format, args);
	va_end(args);
	event_put(c, HBA_EVENT_WRITES_LOST, tgt->id, lun, 0, "%s", text);
	/* Without memory for it the event alone remains. */
	properties_set(&tgt->properties, &p);
	hba_log(c, HBA_LOG_ERROR, "%s", text);
}
