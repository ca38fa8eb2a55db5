/* SPDX-License-Identifier: MIT */
/*
 * unit-attention.c: the unit attentions of each nexus (SAM-5 5.14). A condition is a bit: one that
 * arises twice before it is reported is one condition.
 */
#include "base/base.h"
#include "target/commands.h"

#include <errno.h>
#include <stdlib.h>

/* ---- unit attention */

static const uint16_t condition_asc[TARGET_CONDITIONS] = {
	[TARGET_WAS_RESET] = SCSI_ASC_POWER_ON_OR_RESET,
	[TARGET_MEDIUM_CHANGED] = SCSI_ASC_MEDIUM_MAY_HAVE_CHANGED,
	[TARGET_CAPACITY_CHANGED] = SCSI_ASC_CAPACITY_CHANGED,
	[TARGET_MODE_CHANGED] = SCSI_ASC_MODE_PARAMETERS_CHANGED,
	[TARGET_RESERVATIONS_PREEMPTED] = SCSI_ASC_RESERVATIONS_PREEMPTED,
	[TARGET_RESERVATIONS_RELEASED] = SCSI_ASC_RESERVATIONS_RELEASED,
	[TARGET_REGISTRATIONS_PREEMPTED] = SCSI_ASC_REGISTRATIONS_PREEMPTED,
	[TARGET_INQUIRY_CHANGED] = SCSI_ASC_INQUIRY_CHANGED,
	[TARGET_LUNS_CHANGED] = SCSI_ASC_REPORTED_LUNS_CHANGED,
};

void target_attention_one(struct target_state *s, enum target_condition condition, unsigned nexus)
{
	s->attention[nexus] |= (uint16_t)(1U << condition);
}

void target_attention_locked(struct target_unit *unit, enum target_condition condition, int except)
{
	for (unsigned i = 0; i < unit->nexuses; i++)
		if ((int)i != except)
			target_attention_one(unit->state, condition, i);
}

void target_attention(struct target_unit *unit, enum target_condition condition, int except)
{
	target_lock(unit);
	target_attention_locked(unit, condition, except);
	target_unlock(unit);
}

uint16_t target_take_attention(struct target_state *s, unsigned nexus, uint16_t which)
{
	uint16_t waiting = s->attention[nexus] & which;
	int first;

	if (!waiting)
		return SCSI_ASC_NONE;
	first = __builtin_ctz(waiting);
	s->attention[nexus] &= (uint16_t) ~(1U << first);
	return condition_asc[first];
}

void target_forget_attention(struct target_unit *unit)
{
	struct target_state *s = target_lock(unit);

	for (unsigned i = 0; i < TARGET_NEXUSES; i++)
		s->attention[i] = 0;
	target_unlock(unit);
}
