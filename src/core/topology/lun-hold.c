/* SPDX-License-Identifier: MIT */
/*
 * lun-hold.c: a unit that may be another disk is held until a look has shown which one is there.
 *
 * Held units wait in hba_controller::looks; the scan takes them from there one after another.
 */
#include "core/controller/controller.h"

enum { LOOK_AGAIN_MS = 100 };

void lun_hold(struct hba_lun *lun, const struct task *by)
{
	if (!lun->info.present || !lun->controller->accepting)
		return;
	lun->disturbed = true;
	/* The look sees off attentions of its own commands itself. */
	if (lun->look_task != by)
		lun->look_disturbed = true;
	if (lun->suspect)
		return;
	lun->suspect = true;
	lun->frozen++;
	lun->look_at = lun->unread_since = 0;
	list_append(&lun->controller->looks, &lun->look);
}

void lun_suspect(struct hba_lun *lun)
{
	lun_hold(lun, NULL);
}

void lun_release(struct hba_lun *lun)
{
	list_remove(&lun->look);
	lun->medium_changed = lun->told = false;
	if (!lun->suspect)
		return;
	lun->suspect = false;
	lun->frozen--;
}

void lun_look_again(struct hba_lun *lun)
{
	if (!lun->suspect)
		return;
	lun->look_at = lun->controller->now + LOOK_AGAIN_MS * (uint64_t)NS_PER_MS;
	list_append(&lun->controller->looks, &lun->look);
}

struct hba_lun *lun_next_look(const struct hba_controller *c, uint64_t *ret_at)
{
	*ret_at = NO_DEADLINE;
	for (struct list *l = c->looks.next; l != &c->looks; l = l->next) {
		struct hba_lun *lun = container_of(l, struct hba_lun, look);

		if (lun->target->blocked || target_is_going(lun->target))
			continue;
		if (lun->look_at <= c->now)
			return lun;
		if (lun->look_at < *ret_at)
			*ret_at = lun->look_at;
	}
	return NULL;
}
