/* SPDX-License-Identifier: MIT */
/*
 * mapping-release.c: a mapping is given back when no task has data in it any more. The loop's
 * thread turns the loop until then; another thread waits until a turn grants it.
 */
#include "core/controller/controller.h"

#include <errno.h>

static bool is_in_use(const struct hba_controller *c, const struct hba_mapping *m)
{
	for (unsigned slot = 0; slot < c->pool.n; slot++)
		if (data_lies_in(&c->pool.tasks[slot], m))
			return true;
	return false;
}

/* Its users come back through the loop, which the caller runs. */
static int wait_unused(struct hba_controller *c, const struct hba_mapping *m)
{
	while (is_in_use(c, m)) {
		if (in_callback(c))
			return fail(-EBUSY, "a mapping is not released from a callback while tasks "
					    "have memory in it");
		loop_run(c, HBA_MAX_BATCH);
	}
	return 0;
}

struct release {
	struct list link;
	const struct hba_mapping *mapping;
	bool granted;
};

static int wait_granted(struct hba_controller *c, const struct hba_mapping *m)
{
	struct inbox *g = &c->inbox;
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

void releases_turn(struct hba_controller *c)
{
	pthread_mutex_lock(&c->inbox.lock);
	for (struct list *l = c->inbox.releases.next; l != &c->inbox.releases; l = l->next) {
		struct release *r = container_of(l, struct release, link);

		r->granted = r->granted || !is_in_use(c, r->mapping);
		if (r->granted)
			pthread_cond_broadcast(&c->inbox.changed);
	}
	pthread_mutex_unlock(&c->inbox.lock);
}

int hba_mapping_release(struct hba_mapping *m)
{
	struct hba_controller *c = m ? mapping_of_client(m) : NULL;
	int r;

	if (!c)
		return 0;
	r = loop_is_here(c) ? wait_unused(c, m) : wait_granted(c, m);
	if (r == 0)
		memory_unmap(c, m);
	return r;
}
