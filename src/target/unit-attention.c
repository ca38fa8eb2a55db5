/* SPDX-License-Identifier: MIT */
/*
 * attention.c: what a unit remembers about each nexus: unit attentions (SAM-5 5.14), sense that
 * nobody has fetched yet, and ACA (SAM-5 5.9). A condition is a bit: one that is told twice before
 * anybody has asked is one condition.
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

/*
 * Persistent reservations and the place of the medium outlive a reset; all else does not (SPC-4
 * 5.12.5, SBC-3 4.18).
 */
void target_unit_was_reset(struct target_unit *unit)
{
	struct target_state *s = target_lock(unit);

	/*
	 * Whoever hears of a reset looks at everything anew: what waited to be told before is part
	 * of it.
	 */
	for (unsigned i = 0; i < unit->nexuses; i++)
		s->attention[i] = TARGET_RESETS;
	s->aca = TARGET_NO_NEXUS;
	s->reserver = TARGET_NO_NEXUS;
	s->kept = 0;
	s->prevented = 0;
	s->stopped = false;
	target_mode_reset(unit);
	target_unlock(unit);
}

/* ---- after an error */

static bool asks_for_aca(const struct target_command *c)
{
	return c->row && c->row->length && (c->cdb[c->row->length - 1] & NACA);
}

/*
 * The error of a command of ACA's own ends that ACA, and may be the next one's beginning (SAM-5
 * 5.9.4).
 */
static void note_aca(struct target_command *c, struct target_state *s)
{
	if (s->aca == TARGET_NO_NEXUS || (c->attribute == HBA_ACA && s->aca == c->nexus))
		s->aca = asks_for_aca(c) ? (int8_t)c->nexus : TARGET_NO_NEXUS;
}

static bool has_ended_aca(struct target_command *c, struct target_state *s)
{
	bool before = s->aca != TARGET_NO_NEXUS;

	note_aca(c, s);
	return before && s->aca == TARGET_NO_NEXUS;
}

static void note_medium_error(struct target_command *c, struct target_state *s)
{
	__atomic_add_fetch(c->row->direction == HBA_FROM_TARGET ? &s->unrecovered_reads
								: &s->unrecovered_writes,
			   1, __ATOMIC_RELAXED);
}

void target_note_check(struct target_command *c)
{
	struct target_state *s = target_lock(c->unit);
	struct scsi_sense sense = { 0 };
	bool ended;

	scsi_sense_read(c->sense, c->sense_len, &sense);
	if (sense.key == SCSI_MEDIUM_ERROR)
		note_medium_error(c, s);
	ended = has_ended_aca(c, s);
	if (!c->device->autosense) {
		s->sense[c->nexus] = sense;
		s->kept |= (uint8_t)(1U << c->nexus);
		c->sense_len = 0;
	}
	target_unlock(c->unit);
	if (ended)
		taskset_aca_ended(c->device);
}

void target_clear_aca(struct target_unit *unit, uint8_t nexus)
{
	struct target_state *s = target_lock(unit);

	if (s->aca == nexus)
		s->aca = TARGET_NO_NEXUS;
	target_unlock(unit);
}
