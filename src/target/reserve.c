/* SPDX-License-Identifier: MIT */
/*
 * reserve.c: the commands that reservations keep others from (SPC-4 5.12.1, SBC-3 table 14), and
 * RESERVE and RELEASE, which came first (SPC-2 7.21, 7.17).
 *
 * The two kinds exclude each other: while a nexus is registered, RESERVE reserves nothing; while a
 * unit is reserved by RESERVE, no nexus registers.
 */
#include "base/base.h"
#include "target/commands.h"

enum { UNREGISTERED, REGISTERED, STANDINGS };

/*
 * By type, by the standing of the nexus, and by its access: is it a conflict? Holders are not in
 * the table.
 */
static const bool conflicts[RESERVATION_TYPES][STANDINGS][ACCESS_ALWAYS + 1] = {
	[RESERVE_WRITE_EXCLUSIVE] = {
		[UNREGISTERED] = { [ACCESS_WRITE] = true },
		[REGISTERED] = { [ACCESS_WRITE] = true },
	},
	[RESERVE_EXCLUSIVE_ACCESS] = {
		[UNREGISTERED] = { [ACCESS_WRITE] = true, [ACCESS_READ] = true },
		[REGISTERED] = { [ACCESS_WRITE] = true, [ACCESS_READ] = true },
	},
	[RESERVE_WRITE_REGISTRANTS] = { [UNREGISTERED] = { [ACCESS_WRITE] = true } },
	[RESERVE_ACCESS_REGISTRANTS] = {
		[UNREGISTERED] = { [ACCESS_WRITE] = true, [ACCESS_READ] = true },
	},
	[RESERVE_WRITE_ALL] = { [UNREGISTERED] = { [ACCESS_WRITE] = true } },
	[RESERVE_ACCESS_ALL] = { [UNREGISTERED] = { [ACCESS_WRITE] = true, [ACCESS_READ] = true } },
};

/*
 * Two commands are harmless in one form and not in the other: START and ALLOW hurt no other nexus,
 * STOP and PREVENT do.
 */
static enum access access_of(const struct target_command *c)
{
	enum { START = 0x01, POWER_CONDITION = 0xf0, PREVENT = 0x03 };

	switch (c->cdb[0]) {
	case SCSI_START_STOP_UNIT:
		return (c->cdb[4] & START) && !(c->cdb[4] & POWER_CONDITION) ? ACCESS_ALWAYS
									     : ACCESS_WRITE;
	case SCSI_PREVENT_ALLOW_MEDIUM_REMOVAL:
		return c->cdb[4] & PREVENT ? ACCESS_WRITE : ACCESS_ALWAYS;
	default:
		return (enum access)c->row->access;
	}
}

bool target_holds(const struct registrations *r, unsigned nexus)
{
	if (r->type == RESERVE_WRITE_ALL || r->type == RESERVE_ACCESS_ALL)
		return r->keys[nexus] != 0;
	return r->type && r->holder == (int)nexus;
}

bool target_conflicts(const struct target_command *c, const struct target_state *s)
{
	const struct registrations *r = &s->registrations;
	enum access access = access_of(c);

	if (s->reserver != TARGET_NO_NEXUS && s->reserver != c->nexus &&
	    (access != ACCESS_ALWAYS || c->cdb[0] == SCSI_TEST_UNIT_READY))
		return true;
	if (!r->type || target_holds(r, c->nexus))
		return false;
	return conflicts[r->type][r->keys[c->nexus] ? REGISTERED : UNREGISTERED][access];
}

int target_conflict(struct target_command *c)
{
	c->outcome = HBA_RESERVATION_CONFLICT;
	return 0;
}

/* ---- RESERVE, RELEASE */

static bool anybody_registered(const struct registrations *r)
{
	for (unsigned i = 0; i < TARGET_NEXUSES; i++)
		if (r->keys[i])
			return true;
	return false;
}

/* CRH (SPC-4 5.12.3): to one whom the persistent reservation serves, GOOD is no lie. */
static bool is_served(const struct registrations *r, unsigned nexus)
{
	return target_holds(r, nexus) || (r->type >= RESERVE_WRITE_REGISTRANTS && r->keys[nexus]);
}

static int reserve_or_release(struct target_command *c, struct target_state *s, bool reserve)
{
	if (anybody_registered(&s->registrations))
		return is_served(&s->registrations, c->nexus) ? 0 : target_conflict(c);
	if (s->reserver != TARGET_NO_NEXUS && s->reserver != c->nexus)
		return reserve ? target_conflict(c) : 0;
	s->reserver = reserve ? (int8_t)c->nexus : TARGET_NO_NEXUS;
	return 0;
}

int target_reserve(struct target_command *c)
{
	int r = reserve_or_release(c, target_lock(c->unit), true);

	target_unlock(c->unit);
	return r;
}

int target_release(struct target_command *c)
{
	int r = reserve_or_release(c, target_lock(c->unit), false);

	target_unlock(c->unit);
	return r;
}
