/* SPDX-License-Identifier: MIT */
/* leave.c: a unit or a target is no longer there: an event is raised, unsent commands end. */
#include "core/controller/controller.h"

void lun_leave(struct hba_lun *lun)
{
	if (lun_set_absent(lun))
		queue_flush(lun->controller, lun, HBA_NOT_PRESENT);
}

static void empty(struct hba_target *tgt)
{
	for (struct list *l = tgt->luns.next; l != &tgt->luns; l = l->next) {
		struct hba_lun *lun = container_of(l, struct hba_lun, link);

		lun_set_absent(lun);
		/* the scan's, of a unit that was not there yet */
		queue_flush(tgt->controller, lun, HBA_NOT_PRESENT);
	}
}

void target_leave(struct hba_target *tgt)
{
	struct hba_controller *c = tgt->controller;

	/* A wish for a scan of it is dropped. */
	tgt->scan_wanted = false;
	if (target_is_going(tgt) || (!tgt->initialised && !tgt->walks))
		return;
	if (tgt->present)
		event_put(c, HBA_EVENT_TARGET_LEFT, tgt->id, NULL, 0, "target %llu has left",
			  (unsigned long long)tgt->id);
	tgt->leaving = true;
	tgt->present = false;
	c->n_leaving++;
	empty(tgt);
}
