/* SPDX-License-Identifier: MIT */
/*
 * soft-faults.c: see soft-faults.h. All by counting, nothing by chance: the same commands meet the
 * same moods.
 *
 * The core's own commands meet none and are not counted: when it sends some, and how many, is no
 * matter of the clients'. They do wait for `latency_us`, like all others.
 *
 * Each fault counts the tasks that came as far as itself, so that two of the same number do not
 * hide one another.
 */
#include "drivers/soft-faults.h"

#include "scsi/scsi.h"

enum { ROOM_MS = 1, NS_PER_US = 1000, SCOPES = 3 };

static bool is_turn(uint64_t every, uint64_t *count)
{
	return every && ++*count % every == 0;
}

/* Commands that SPC-4 has answered in nearly every state: a scan needs them. */
static bool is_always_answered(const struct hba_task *t)
{
	return t->cdb[0] == SCSI_INQUIRY || t->cdb[0] == SCSI_REPORT_LUNS ||
	       t->cdb[0] == SCSI_REQUEST_SENSE;
}

void fault_queue_begin(struct fault_queue *mq)
{
	list_init(&mq->late);
	mq->room_at = 0;
}

void fault_task_begin(struct fault_task *mt, struct hba_task *t)
{
	list_init(&mt->link);
	mt->task = t;
}

/* ---- no room */

/* One at a time, each time for another reason. */
static void hand_back(struct hba_queue *q, struct hba_task *t)
{
	struct fault_queue *mq = hba_queue_priv(q);

	mq->scope = (enum hba_scope)(mq->hand_backs++ % SCOPES);
	mq->target = hba_task_target(t);
	mq->lun = t->lun;
	mq->room_at = hba_now(hba_queue_controller(q)) + ROOM_MS * (uint64_t)NS_PER_MS;
	hba_requeue(t, mq->scope);
	hba_poll_within(q, ROOM_MS);
}

static void make_room(struct hba_queue *q)
{
	struct fault_queue *mq = hba_queue_priv(q);

	mq->room_at = 0;
	switch (mq->scope) {
	case HBA_SCOPE_QUEUE:
		hba_ready(q, NULL, NULL);
		break;
	case HBA_SCOPE_TARGET:
		hba_ready(q, mq->target, NULL);
		break;
	case HBA_SCOPE_LUN:
		hba_ready(q, mq->target, &mq->lun);
		break;
	}
}

/* ---- full */

static bool finds_unit_full(const struct fault *m, struct fault_task *mt)
{
	struct fault_unit *unit;

	if (!m->full)
		return false;
	unit = hba_task_lun_priv(mt->task);
	mt->counted = __atomic_fetch_add(&unit->out, 1, __ATOMIC_RELAXED) < m->full;
	if (!mt->counted)
		__atomic_fetch_sub(&unit->out, 1, __ATOMIC_RELAXED);
	return !mt->counted;
}

void fault_leave(struct fault_task *mt)
{
	struct fault_unit *unit;

	if (!mt->counted)
		return;
	unit = hba_task_lun_priv(mt->task);
	__atomic_fetch_sub(&unit->out, 1, __ATOMIC_RELAXED);
	mt->counted = false;
}

/* ---- slow */

/* In whole milliseconds, rounded down: rather early, and once more, than late. */
static void come_back(struct hba_queue *q, uint64_t at)
{
	uint64_t now = hba_now(hba_queue_controller(q));

	hba_poll_within(q, at > now ? (unsigned)((at - now) / NS_PER_MS) : 0);
}

static void put_off(const struct fault *m, struct hba_queue *q, struct fault_task *mt)
{
	struct fault_queue *mq = hba_queue_priv(q);

	mt->due = hba_now(hba_queue_controller(q)) + m->latency_us * NS_PER_US;
	list_append(&mq->late, &mt->link);
	come_back(q, mt->due);
}

static struct fault_task *first_late(const struct fault_queue *mq)
{
	return list_is_empty(&mq->late) ? NULL
					: container_of(mq->late.next, struct fault_task, link);
}

bool fault_call_back(struct fault_task *mt)
{
	if (list_is_empty(&mt->link))
		return false;
	list_remove(&mt->link);
	return true;
}

/* ---- on arrival, and afterwards */

static enum fault_verdict end(struct hba_task *t, enum hba_outcome outcome)
{
	hba_complete_failed(t, outcome, HBA_SENT_YES);
	return FAULT_KEPT;
}

static enum fault_verdict meet(const struct fault *m, struct hba_queue *q, struct fault_task *mt)
{
	struct fault_queue *mq = hba_queue_priv(q);
	struct hba_task *t = mt->task;

	if (is_turn(m->requeue, &mq->arrivals) && !mq->room_at) {
		hand_back(q, t);
		return FAULT_KEPT;
	}
	if (!is_always_answered(t) && is_turn(m->busy, &mq->commands))
		return end(t, HBA_BUSY);
	if (finds_unit_full(m, mt))
		return end(t, HBA_TASK_SET_FULL);
	if (!is_always_answered(t) && is_turn(m->attention, &mq->polite))
		return FAULT_ATTENTION;
	return FAULT_RUN;
}

enum fault_verdict fault_arrive(const struct fault *m, struct hba_queue *q, struct fault_task *mt)
{
	const struct hba_task *t = mt->task;
	enum fault_verdict verdict;

	mt->counted = false;
	list_init(&mt->link); /* a reset may have forgotten it in a list that is gone */
	verdict = t->kind == HBA_TASK_CLIENT ? meet(m, q, mt) : FAULT_RUN;
	if (verdict != FAULT_RUN)
		return verdict;
	/* Others may wait until the sense has been fetched: it is not to wait behind them. */
	if (!m->latency_us || t->cdb[0] == SCSI_REQUEST_SENSE)
		return FAULT_RUN;
	put_off(m, q, mt);
	return FAULT_KEPT;
}

struct hba_task *fault_due(struct hba_queue *q)
{
	const struct fault_task *mt = first_late(hba_queue_priv(q));

	return mt && mt->due <= hba_now(hba_queue_controller(q)) ? mt->task : NULL;
}

void fault_rest(struct hba_queue *q)
{
	struct fault_queue *mq = hba_queue_priv(q);
	const struct fault_task *mt = first_late(mq);

	if (mq->room_at && mq->room_at <= hba_now(hba_queue_controller(q)))
		make_room(q);
	if (mq->room_at)
		come_back(q, mq->room_at);
	if (mt)
		come_back(q, mt->due);
}

bool fault_ready(const struct hba_queue *q)
{
	const struct fault_queue *mq = hba_queue_priv(q);
	const struct fault_task *mt = first_late(mq);
	uint64_t now = hba_now(hba_queue_controller(q));

	return (mt && mt->due <= now) || (mq->room_at && mq->room_at <= now);
}
