/* SPDX-License-Identifier: MIT */
/*
 * medium.c: whether there is a medium, whether it runs, and whether it is locked in: START STOP
 * UNIT (SBC-3 5.25), PREVENT ALLOW MEDIUM REMOVAL (SBC-3 5.11).
 *
 * An ejected medium stays where it is, for there is no tray: it is only not shown until it is
 * loaded again. IMMED changes nothing: a command's memory is the caller's once it has ended, so its
 * work is done before.
 */
#include "base/base.h"
#include "target/commands.h"

#include <errno.h>

enum { START = 0x01, LOEJ = 0x02, NO_FLUSH = 0x04, LOEJ_BIT = 1, PREVENT = 0x01 };

uint16_t target_not_ready(const struct target_state *s)
{
	if (s->ejected)
		return SCSI_ASC_NO_MEDIUM;
	return s->stopped ? SCSI_ASC_INITIALIZING_COMMAND_REQUIRED : SCSI_ASC_NONE;
}

/* ---- flush, then go on */

static int flush_ended(struct target_command *c, int error)
{
	if (error == 0)
		return c->then(c);
	if (error == -ECANCELED)
		c->outcome = HBA_TASK_ABORTED;
	else if (error == -EAGAIN || error == -ENOMEM)
		c->outcome = HBA_BUSY;
	else
		target_refuse(c, SCSI_MEDIUM_ERROR, SCSI_ASC_WRITE_ERROR);
	return 0;
}

static void flush_done(struct store_io *io, int error)
{
	struct target_command *c = container_of(io, struct target_command, io);

	flush_ended(c, error < 0 ? error : 0);
	target_end(c);
}

int target_flush_then(struct target_command *c, int (*then)(struct target_command *c))
{
	struct store *store = c->unit->store;
	int r = 0;

	c->then = then;
	c->io.engine = c->engine;
	c->io.offset = c->io.length = c->io.moved = 0;
	c->io.done = flush_done;
	if (store->ops->flush && !store->read_only)
		r = store->ops->flush(store, &c->io);
	return r > 0 ? 1 : flush_ended(c, r);
}

/* ---- START STOP UNIT */

static int refuse_prevented(struct target_command *c)
{
	return target_refuse(c, SCSI_ILLEGAL_REQUEST, SCSI_ASC_MEDIUM_REMOVAL_PREVENTED);
}

/* Checked again here: another nexus may have locked the medium in while the flush was out. */
static int stop(struct target_command *c)
{
	struct target_state *s = target_lock(c->unit);
	bool eject = c->cdb[4] & LOEJ, prevented = eject && s->prevented;

	if (eject && !prevented)
		s->ejected = true;
	else if (!eject)
		s->stopped = true;
	target_unlock(c->unit);
	return prevented ? refuse_prevented(c) : 0;
}

static int start(struct target_command *c)
{
	struct target_state *s = target_lock(c->unit);
	bool load = c->cdb[4] & LOEJ, missing = s->ejected && !load;

	if (!missing) {
		s->stopped = false;
		if (s->ejected)
			target_attention_locked(c->unit, TARGET_MEDIUM_CHANGED, TARGET_NO_NEXUS);
		s->ejected = false;
	}
	target_unlock(c->unit);
	return missing ? target_refuse(c, SCSI_NOT_READY, SCSI_ASC_NO_MEDIUM) : 0;
}

static bool is_locked_in(struct target_unit *unit)
{
	bool prevented = target_lock(unit)->prevented != 0;

	target_unlock(unit);
	return prevented;
}

int target_start_stop(struct target_command *c)
{
	uint8_t what = c->cdb[4];

	if ((what & LOEJ) && !c->unit->removable)
		return target_refuse_field(c, 4, LOEJ_BIT);
	if (what & START)
		return start(c);
	if ((what & LOEJ) && is_locked_in(c->unit))
		return refuse_prevented(c);
	return what & NO_FLUSH ? stop(c) : target_flush_then(c, stop);
}

int target_prevent_allow(struct target_command *c)
{
	struct target_state *s = target_lock(c->unit);
	uint8_t me = (uint8_t)(1U << c->nexus);

	s->prevented = (uint8_t)(c->cdb[4] & PREVENT ? s->prevented | me : s->prevented & ~me);
	target_unlock(c->unit);
	return 0;
}
