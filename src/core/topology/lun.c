/* SPDX-License-Identifier: MIT */
/*
 * lun.c: logical units: addresses that live until close, and what is known of the disk there.
 */
#include "core/controller/controller.h"
#include "scsi/scsi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BITS_PER_WORD = 64, DEFAULT_TIMEOUT_MS = 30 * MS_PER_S };

/* Tags a unit has: 0 = untagged. As many as slots is as good as any number. */
static uint64_t tags_of(const struct hba_controller *c)
{
	return c->report.tag_bits >= 17 ? UINT64_MAX : (UINT64_C(1) << c->report.tag_bits) - 1;
}

struct hba_lun *lun_find(struct hba_target *tgt, const struct hba_lun_id *id)
{
	struct hba_lun *lun;

	HASH_FIND(hh, tgt->by_id, id, sizeof(*id), lun);
	return lun;
}

static int compare(const struct hba_lun *a, const struct hba_lun *b)
{
	if (a->info.number != b->info.number)
		return a->info.number < b->info.number ? -1 : 1;
	return memcmp(a->id.bytes, b->id.bytes, sizeof(a->id.bytes));
}

static void lun_insert(struct hba_target *tgt, struct hba_lun *lun)
{
	struct list *l = tgt->luns.prev;

	while (l != &tgt->luns && compare(container_of(l, struct hba_lun, link), lun) > 0)
		l = l->prev;
	pthread_mutex_lock(&tgt->controller->info_lock);
	list_prepend(l, &lun->link);
	pthread_mutex_unlock(&tgt->controller->info_lock);
}

/*
 * A task's time is set before its command is known, so that reads and writes have one: the longer.
 */
void lun_heed(struct hba_lun *lun)
{
	const struct properties *own = &lun->target->properties,
				*others = &lun->controller->properties;
	uint64_t read = properties_number(own, others, PROPERTY_READ_MS),
		 write = properties_number(own, others, PROPERTY_WRITE_MS),
		 given = lun->controller->given.timeout_ms;

	if (read == HBA_UNSET || write == HBA_UNSET)
		read = read == HBA_UNSET ? write : read;
	else
		read = read > write ? read : write;
	lun->timeout_ms = (uint32_t)(given ? given : read == HBA_UNSET ? DEFAULT_TIMEOUT_MS : read);
}

/*
 * An untagged unit has one task out. With few tags, some are kept for the core's own tasks. The
 * target's depth is shared by clients and core.
 */
static void set_limits(struct hba_lun *lun)
{
	const struct hba_controller *c = lun->controller;
	uint64_t tags = tags_of(c), depth = lun->target->report.depth,
		 own = c->report.internal_tasks;

	lun->limit = tags == 0 ? 1 : tags < c->pool.n ? (unsigned)tags : c->pool.n;
	if (depth < c->pool.n_clients && depth < lun->limit)
		lun->limit = (unsigned)depth;
	if (tags && tags < c->pool.n && tags <= depth + own)
		depth = tags > own ? tags - own : 1;
	lun->most = lun->limit;
	lun->depth = (unsigned)depth;
	lun_heed(lun);
}

static int give_memory(struct hba_lun *lun)
{
	const struct hba_controller *c = lun->controller;
	uint64_t tags = tags_of(c);

	if (c->report.lun_priv_size)
		lun->priv = calloc(1, c->report.lun_priv_size);
	if (tags && tags < c->pool.n)
		lun->tags = calloc(divide_up(tags + 1, BITS_PER_WORD), sizeof(*lun->tags));
	return (c->report.lun_priv_size && !lun->priv) || (tags && tags < c->pool.n && !lun->tags)
		       ? -ENOMEM
		       : 0;
}

/* No memory for the table, and it is not. */
static bool is_in_table(const struct hba_lun *lun)
{
	return lun->hh.tbl;
}

struct hba_lun *lun_add(struct hba_target *tgt, const struct hba_lun_id *id)
{
	struct hba_controller *c = tgt->controller;
	struct hba_lun *lun = lun_find(tgt, id);

	if (lun)
		return lun;
	lun = calloc(1, sizeof(*lun) + c->n_queues * sizeof(lun->queues[0]));
	if (!lun)
		return NULL;
	lun->controller = c;
	lun->target = tgt;
	lun->id = *id;
	lun->info = (struct hba_lun_info) { .target = tgt->id,
					    .lun = *id,
					    .number = scsi_lun_number(id) };
	list_init(&lun->link);
	list_init(&lun->waiters);
	list_init(&lun->starving);
	list_init(&lun->look);
	for (unsigned i = 0; i < c->n_queues; i++) {
		lun->queues[i].lun = lun;
		list_init(&lun->queues[i].link);
	}
	if (give_memory(lun) == 0)
		HASH_ADD(hh, tgt->by_id, id, sizeof(lun->id), lun);
	if (!is_in_table(lun)) {
		lun_free(lun);
		return NULL;
	}
	set_limits(lun);
	lun_insert(tgt, lun);
	return lun;
}

void lun_free(struct hba_lun *lun)
{
	if (is_in_table(lun))
		HASH_DEL(lun->target->by_id, lun);
	pthread_mutex_lock(&lun->controller->info_lock);
	list_remove(&lun->link);
	list_remove(&lun->look);
	pthread_mutex_unlock(&lun->controller->info_lock);
	free(lun->tags);
	free(lun->priv);
	free(lun);
}

/* ---- tags */

uint64_t lun_take_tag(struct hba_lun *lun, const struct task *t)
{
	uint64_t tags = tags_of(lun->controller);

	if (tags == 0)
		return HBA_UNTAGGED;
	if (!lun->tags)
		return t->head.slot + UINT64_C(1);
	for (uint64_t tag = 1; tag <= tags; tag++)
		if (!(lun->tags[tag / BITS_PER_WORD] & (UINT64_C(1) << tag % BITS_PER_WORD))) {
			lun->tags[tag / BITS_PER_WORD] |= UINT64_C(1) << tag % BITS_PER_WORD;
			return tag;
		}
	return HBA_UNTAGGED;
}

void lun_return_tag(struct hba_lun *lun, const struct task *t)
{
	if (lun->tags && t->head.tag)
		lun->tags[t->head.tag / BITS_PER_WORD] &=
			~(UINT64_C(1) << t->head.tag % BITS_PER_WORD);
}

/* ---- what clients are owed */

void lun_owe(struct hba_lun *lun, bool owes)
{
	lun->owes = owes;
	lun->plain = lun->info.present && !owes;
}

/* ---- is it the same disk? */

bool lun_is_alike(const struct hba_lun_info *a, const struct hba_lun_info *b)
{
	return strcmp(a->serial, b->serial) == 0 && strcmp(a->id, b->id) == 0 && a->type == b->type;
}

static bool names_itself(const struct hba_lun_info *info)
{
	return info->serial[0] || info->id[0];
}

bool lun_is_another(const struct hba_lun *lun, const struct hba_lun_info *info)
{
	const struct hba_lun_info *before = &lun->info;

	return before->generation &&
	       (lun->medium_changed || !lun_is_alike(before, info) ||
		before->blocks != info->blocks || before->block_bytes != info->block_bytes);
}

void lun_keep_capacity(const struct hba_lun *lun, struct hba_lun_info *info)
{
	const struct hba_lun_info *before = &lun->info;

	if (!before->generation || lun->medium_changed || !names_itself(info) ||
	    !lun_is_alike(before, info))
		return;
	info->blocks = before->blocks;
	info->block_bytes = before->block_bytes;
	info->physical_bytes = before->physical_bytes;
	info->thin = before->thin;
	info->reads_zero = before->reads_zero;
}

/* ---- what is known of it */

static void publish(struct hba_lun *lun, const struct hba_lun_info *info)
{
	pthread_mutex_lock(&lun->controller->info_lock);
	lun->info = *info;
	__atomic_store_n(&lun->block_bytes, info->block_bytes, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&lun->controller->info_lock);
	lun_owe(lun, lun->owes);
}

bool lun_set_info(struct hba_lun *lun, const struct hba_lun_info *info)
{
	struct hba_lun_info next = *info, before = lun->info;
	bool other = lun_is_another(lun, info);
	char text[24];

	next.generation = before.generation + (other || !before.generation);
	publish(lun, &next);
	scsi_lun_text(&lun->id, text);
	if (!before.present)
		event_put(lun->controller, HBA_EVENT_LUN_CAME, lun->target->id, &lun->id, 0,
			  "target %llu, unit %s: %s %s", (unsigned long long)lun->target->id, text,
			  next.vendor, next.product);
	return other;
}

void lun_count_up(struct hba_lun *lun)
{
	struct hba_lun_info next = lun->info;

	next.generation++;
	publish(lun, &next);
}

bool lun_set_absent(struct hba_lun *lun)
{
	struct hba_lun_info info = lun->info;
	char text[24];

	lun_release(lun);
	if (!info.present)
		return false;
	info.present = false;
	publish(lun, &info);
	scsi_lun_text(&lun->id, text);
	event_put(lun->controller, HBA_EVENT_LUN_LEFT, lun->target->id, &lun->id, 0,
		  "target %llu, unit %s has left", (unsigned long long)lun->target->id, text);
	return true;
}

void hba_lun_get_info(const struct hba_lun *lun, struct hba_lun_info *ret_info)
{
	assert(lun && ret_info);
	pthread_mutex_lock(&lun->controller->info_lock);
	*ret_info = lun->info;
	pthread_mutex_unlock(&lun->controller->info_lock);
}

struct hba_controller *hba_lun_controller(const struct hba_lun *lun)
{
	assert(lun);
	return lun->controller;
}

void *hba_task_lun_priv(const struct hba_task *t)
{
	return task_of((struct hba_task *)(uintptr_t)t)->lun->priv;
}
