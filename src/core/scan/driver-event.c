/* SPDX-License-Identifier: MIT */
/*
 * driver-event.c: events of a driver's bus: targets come, leave and are cut off, units and media
 * change.
 *
 * A driver reports them from any op, and they are only written down. The loop acts on them between
 * ops, so nothing can deadlock, and a create that is answered by initialize_target never runs
 * inside the op that asked.
 */
#include "core/controller/controller.h"
#include "scsi/scsi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int driver_event_post(struct hba_controller *c, struct driver_event *n)
{
	pthread_mutex_lock(&c->driver_events.lock);
	list_append(&c->driver_events.list, &n->link);
	__atomic_store_n(&c->driver_events.any, true, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&c->driver_events.lock);
	loop_wake(c);
	return 0;
}

struct driver_event *driver_event_new(enum driver_event_kind kind, uint64_t target)
{
	struct driver_event *n = calloc(1, sizeof(*n));

	if (n)
		*n = (struct driver_event) { .kind = kind, .target = target };
	return n;
}

void driver_event_free(struct driver_event *n)
{
	properties_clear(&n->properties);
	free(n);
}

/* ---- in the loop */

static void create(struct hba_controller *c, struct driver_event *n)
{
	struct hba_target *tgt = target_add(c, n->target);

	if (!tgt)
		return;
	for (unsigned i = 0; i < n->properties.n; i++)
		(void)properties_set(&tgt->properties, &n->properties.items[i]);
	target_heed(tgt);
	tgt->seen = true;
	/* One that is on its way out comes when it has gone. */
	if (!tgt->present)
		tgt->scan_wanted = c->scan_wanted = true;
}

static void block(struct hba_controller *c, struct hba_target *tgt, bool blocked)
{
	if (!tgt || tgt->blocked == blocked)
		return;
	tgt->blocked = blocked;
	for (unsigned slot = 0; slot < c->pool.n; slot++) {
		struct task *t = &c->pool.tasks[slot];

		/*
		 * While the link is lost a task's time stands still: what is left of it is kept,
		 * and runs again afterwards.
		 */
		if (task_state(t) != TASK_WITH_DRIVER || t->lun->target != tgt ||
		    t->deadline == NO_DEADLINE || t->expired || t->cancelled)
			continue;
		t->deadline = blocked ? t->deadline + DEADLINE_STOPPED - c->now
				      : t->deadline - DEADLINE_STOPPED + c->now;
		if (t->deadline < t->queue->next_expiry)
			t->queue->next_expiry = t->deadline;
	}
}

/* A unit that is not known yet is found by a walk through its target. */
static void want_look(struct hba_target *tgt, const struct hba_lun_id *id)
{
	struct hba_lun *lun = lun_find(tgt, id);

	if (lun && lun->info.present)
		lun_suspect(lun);
	else
		target_want_scan(tgt);
}

/* `lun` NULL: whatever is there. */
static void want_scan(struct hba_controller *c, uint64_t target, const struct hba_lun_id *lun)
{
	for (struct list *l = c->targets.next; l != &c->targets; l = l->next) {
		struct hba_target *tgt = container_of(l, struct hba_target, link);

		if (target != HBA_ANY_TARGET && tgt->id != target)
			continue;
		if (lun)
			want_look(tgt, lun);
		else
			target_want_scan(tgt);
	}
}

static void bus_reset(struct hba_controller *c)
{
	targets_renegotiate(c);
	want_scan(c, HBA_ANY_TARGET, NULL);
	event_put(c, HBA_EVENT_BUS_RESET, HBA_NO_TARGET, NULL, 0,
		  "the bus was reset by another initiator");
}

static void port_status(struct hba_controller *c, enum hba_port_status status)
{
	/* docs/contract.md 9.14 */
	static const char *const words[] = { "Link Established", "No Link Established",
					     "Link Failed" };
	struct hba_property p = { .key = "Port Status", .type = HBA_STRING };

	if ((size_t)status >= ARRAY_SIZE(words))
		return;
	p.value.string = words[status];
	(void)properties_set(&c->properties, &p);
	event_put(c, HBA_EVENT_PORT, HBA_NO_TARGET, NULL, status, "%s", words[status]);
}

static void act(struct hba_controller *c, struct driver_event *n)
{
	struct hba_target *tgt = target_find(c, n->target);

	switch (n->kind) {
	case DRIVER_EVENT_TARGET_CREATE:
		create(c, n);
		break;
	case DRIVER_EVENT_TARGET_DESTROY:
		if (!tgt)
			break;
		block(c, tgt, false); /* what it still has must not stand still for ever */
		target_leave(tgt);
		break;
	case DRIVER_EVENT_TARGET_BLOCK:
	case DRIVER_EVENT_TARGET_UNBLOCK:
		block(c, tgt, n->kind == DRIVER_EVENT_TARGET_BLOCK);
		break;
	case DRIVER_EVENT_DISCOVERY_DONE:
		scan_discovered(c);
		break;
	case DRIVER_EVENT_LUNS_CHANGED:
		want_scan(c, n->target, NULL);
		break;
	case DRIVER_EVENT_MEDIUM_CHANGED:
		want_scan(c, n->target, &n->lun);
		break;
	case DRIVER_EVENT_BUS_RESET:
		bus_reset(c);
		break;
	case DRIVER_EVENT_PORT_STATUS:
		port_status(c, n->status);
		break;
	}
}

static struct driver_event *driver_event_take(struct hba_controller *c)
{
	struct driver_event *n = NULL;

	pthread_mutex_lock(&c->driver_events.lock);
	if (list_is_empty(&c->driver_events.list)) {
		__atomic_store_n(&c->driver_events.any, false, __ATOMIC_SEQ_CST);
	} else {
		n = container_of(c->driver_events.list.next, struct driver_event, link);
		list_remove(&n->link);
	}
	pthread_mutex_unlock(&c->driver_events.lock);
	return n;
}

void driver_event_turn(struct hba_controller *c)
{
	struct driver_event *n;

	if (!__atomic_load_n(&c->driver_events.any, __ATOMIC_RELAXED))
		return;
	while ((n = driver_event_take(c))) {
		act(c, n);
		driver_event_free(n);
	}
}

void driver_events_free(struct hba_controller *c)
{
	struct driver_event *n;

	while ((n = driver_event_take(c)))
		driver_event_free(n);
}
