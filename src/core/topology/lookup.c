/* SPDX-License-Identifier: MIT */
/* lookup.c: from an id to a target, from a LUN to a unit. */
#include "core/controller/controller.h"

#include <assert.h>

struct hba_target *target_find(struct hba_controller *c, uint64_t id)
{
	for (struct list *l = c->targets.next; l != &c->targets; l = l->next) {
		struct hba_target *tgt = container_of(l, struct hba_target, link);

		if (tgt->id == id)
			return tgt;
	}
	return NULL;
}

struct hba_target *target_in_use(struct hba_controller *c, uint64_t id)
{
	struct hba_target *tgt = target_find(c, id);

	return tgt && tgt->initialised ? tgt : NULL;
}

static struct hba_lun *first_present(struct hba_target *tgt, struct list *after)
{
	for (struct list *l = after->next; l != &tgt->luns; l = l->next) {
		struct hba_lun *lun = container_of(l, struct hba_lun, link);

		if (lun->info.present)
			return lun;
	}
	return NULL;
}

static struct hba_lun *next_present(struct hba_controller *c, struct hba_lun *lun)
{
	struct hba_lun *next = lun ? first_present(lun->target, &lun->link) : NULL;
	struct list *l;

	l = lun ? lun->target->link.next : c->targets.next;
	for (; !next && l != &c->targets; l = l->next) {
		struct hba_target *tgt = container_of(l, struct hba_target, link);

		next = first_present(tgt, &tgt->luns);
	}
	return next;
}

struct hba_lun *hba_lun_next(struct hba_controller *c, struct hba_lun *lun)
{
	struct hba_lun *next;

	assert(c);
	pthread_mutex_lock(&c->info_lock);
	next = next_present(c, lun);
	pthread_mutex_unlock(&c->info_lock);
	return next;
}

static struct hba_lun *seen_at(struct hba_controller *c, uint64_t target, uint64_t number)
{
	struct hba_target *tgt = target_find(c, target);

	for (struct list *l = tgt ? tgt->luns.next : NULL; l && l != &tgt->luns; l = l->next) {
		struct hba_lun *lun = container_of(l, struct hba_lun, link);

		/* A unit that the scan has probed and not found has no generation. */
		if (lun->info.number == number && lun->info.generation)
			return lun;
	}
	return NULL;
}

struct hba_lun *hba_lun_find(struct hba_controller *c, uint64_t target, uint64_t number)
{
	struct hba_lun *lun;

	assert(c);
	pthread_mutex_lock(&c->info_lock);
	lun = seen_at(c, target, number);
	pthread_mutex_unlock(&c->info_lock);
	return lun;
}

struct hba_target *hba_target_find(struct hba_controller *c, uint64_t id)
{
	/* It may leave under an op that runs beside the service thread. */
	if (op_now() && op_now()->hot && !op_may_wait(c, __func__))
		return NULL;
	return target_in_use(c, id);
}
