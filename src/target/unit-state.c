/* SPDX-License-Identifier: MIT */
/*
 * unit-state.c: a unit of the device; its state beside the blocks, under one lock; the gate sums it
 * up.
 */
#include "base/base.h"
#include "target/commands.h"

#include <errno.h>
#include <stdlib.h>

int target_state_create(struct target_state **ret_state)
{
	struct target_state *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL); /* cannot fail without attributes */
	s->aca = TARGET_NO_NEXUS;
	s->reserver = TARGET_NO_NEXUS;
	s->registrations.holder = TARGET_NO_NEXUS;
	*ret_state = s;
	return 0;
}

void target_state_free(struct target_state *s)
{
	if (!s)
		return;
	pthread_mutex_destroy(&s->lock);
	free(s->registrations.path);
	free(s);
}

struct target_state *target_lock(struct target_unit *unit)
{
	pthread_mutex_lock(&unit->state->lock);
	return unit->state;
}

static bool is_unusual(const struct target_state *s)
{
	uint16_t attention = 0;

	for (unsigned i = 0; i < TARGET_NEXUSES; i++)
		attention |= s->attention[i];
	return attention || s->kept || s->aca != TARGET_NO_NEXUS ||
	       s->reserver != TARGET_NO_NEXUS || s->registrations.type || s->ejected ||
	       s->stopped || s->software_protected;
}

void target_unlock(struct target_unit *unit)
{
	/* The release makes what was changed visible to whoever finds the gate shut. */
	if (is_unusual(unit->state))
		__atomic_or_fetch(&unit->gate, GATE_UNUSUAL, __ATOMIC_RELEASE);
	else
		__atomic_and_fetch(&unit->gate, ~(unsigned)GATE_UNUSUAL, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&unit->state->lock);
}

struct target_unit *target_device_unit(const struct target_device *d, const struct hba_lun_id *lun)
{
	uint64_t number = scsi_lun_number(lun);

	return number < d->n_units ? &d->units[number] : NULL;
}
