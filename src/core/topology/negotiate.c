/* SPDX-License-Identifier: MIT */
/*
 * negotiate.c: features of parallel SCSI that a target and the controller agree on
 * (docs/contract.md 9.9).
 */
#include "core/controller/controller.h"

void target_claim(struct hba_target *tgt, uint8_t features)
{
	struct negotiation *n = &tgt->negotiation;

	if (features == n->claimed)
		return;
	/*
	 * Another device may answer here now; the chip still does what was agreed with the one
	 * before.
	 */
	n->claimed = n->to_agree = features;
	n->to_revert = (uint8_t)(n->agreed & ~features);
}

void target_negotiated(struct hba_target *tgt, uint8_t agreed, uint8_t reverted)
{
	struct negotiation *n = &tgt->negotiation;

	n->agreed = (uint8_t)((n->agreed | agreed) & ~reverted);
	n->to_agree &= (uint8_t)~agreed;
	n->to_revert &= n->agreed;
}

void target_renegotiate(struct hba_target *tgt)
{
	struct negotiation *n = &tgt->negotiation;

	n->to_agree = n->claimed;
	n->agreed = n->to_revert = 0;
}

void targets_renegotiate(struct hba_controller *c)
{
	for (struct list *l = c->targets.next; l != &c->targets; l = l->next)
		target_renegotiate(container_of(l, struct hba_target, link));
}
