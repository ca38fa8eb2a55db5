/* SPDX-License-Identifier: MIT */
/*
 * taskset.c: the order of commands: task attributes and ACA (SAM-5 5.9, 8).
 *
 * Commands that end later stand in their engine's list from target_execute() to their end, HEAD OF
 * QUEUE in front, all others in the order in which they came. Whether one may start depends on the
 * commands before it:
 *
 *	SIMPLE         no ORDERED, no HEAD OF QUEUE
 *	ORDERED        none at all
 *	HEAD OF QUEUE  may always
 *
 * While there is an ACA, no waiting command may start, and no new one is let in but the faulted
 * nexus's one ACA command. A running one runs on: it has left for the kernel, which cannot hold it.
 */
#include "base/base.h"
#include "target/commands.h"

static bool stands_in_the_way(const struct target_command *older, const struct target_command *c)
{
	if (older->unit != c->unit)
		return false;
	return c->attribute == HBA_ORDERED || older->attribute == HBA_ORDERED ||
	       older->attribute == HBA_HEAD_OF_QUEUE;
}

static bool may_start(const struct target_command *c)
{
	if (c->attribute == HBA_HEAD_OF_QUEUE || c->attribute == HBA_ACA)
		return true;
	for (struct list *l = c->node.prev; l != engine_commands(c->engine); l = l->prev)
		if (stands_in_the_way(container_of(l, struct target_command, node), c))
			return false;
	return true;
}

static void stand_in_line(struct target_command *c)
{
	if (c->attribute == HBA_HEAD_OF_QUEUE || c->attribute == HBA_ACA)
		list_prepend(engine_commands(c->engine), &c->node);
	else
		list_append(engine_commands(c->engine), &c->node);
	c->listed = true;
	c->counted = c->attribute == HBA_ORDERED || c->attribute == HBA_HEAD_OF_QUEUE;
	if (c->counted)
		__atomic_add_fetch(&c->unit->gate, GATE_IN_ORDER, __ATOMIC_RELAXED);
}

static void step_out(struct target_command *c)
{
	if (c->listed)
		list_remove(&c->node);
	if (c->counted)
		__atomic_sub_fetch(&c->unit->gate, GATE_IN_ORDER, __ATOMIC_RELAXED);
	c->listed = c->counted = c->waiting = false;
}

static bool has_aca(struct target_unit *unit)
{
	bool aca = target_lock(unit)->aca != TARGET_NO_NEXUS;

	target_unlock(unit);
	return aca;
}

/* ---- ACA at the door (SAM-5 5.9.3) */

static bool aca_command_is_out(const struct target_command *c)
{
	struct list *all = c->engine ? engine_commands(c->engine) : NULL;

	for (struct list *l = all ? all->next : NULL; l != all; l = l->next) {
		const struct target_command *other = container_of(l, struct target_command, node);

		if (other->unit == c->unit && other->attribute == HBA_ACA)
			return true;
	}
	return false;
}

/* By PREEMPT AND ABORT another nexus ends an ACA whose owner is gone. */
static bool is_preempt_and_abort(const struct target_command *c)
{
	enum { PREEMPT_AND_ABORT = 0x05 };

	return c->cdb[0] == SCSI_PERSISTENT_RESERVE_OUT &&
	       (c->cdb[ACTION_BYTE] & ACTION_MASK) == PREEMPT_AND_ABORT;
}

static bool wants_naca(const struct target_command *c)
{
	unsigned length = scsi_cdb_length(c->cdb[0]);

	return length > 0 && (c->cdb[length - 1] & NACA);
}

/* 0: come in. 1: turned away. */
static int pass_aca(struct target_command *c)
{
	int aca = target_lock(c->unit)->aca;

	target_unlock(c->unit);
	if (aca == TARGET_NO_NEXUS) {
		if (c->attribute != HBA_ACA)
			return 0;
		target_refuse(c, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_MESSAGE);
		return 1;
	}
	if (is_preempt_and_abort(c))
		return 0;
	if (aca == c->nexus && c->attribute == HBA_ACA && !aca_command_is_out(c))
		return 0;
	/* Another nexus without ACA gets BUSY, which every initiator supports. */
	c->outcome = aca == c->nexus || c->attribute == HBA_ACA || wants_naca(c) ? HBA_ACA_ACTIVE
										 : HBA_BUSY;
	return 1;
}

/* ---- in and out */

int taskset_enter(struct target_command *c)
{
	if (c->nexus >= TARGET_NEXUSES || c->attribute > HBA_ACA) {
		c->outcome = HBA_BUSY; /* no room to remember one more initiator */
		return 0;
	}
	if (pass_aca(c))
		return 0;
	if (c->engine) {
		stand_in_line(c);
		c->waiting = !may_start(c);
	}
	return c->waiting ? 1 : target_run(c);
}

/* Last, for all that came before it stand there or have ended, and none has come since. */
void taskset_stay(struct target_command *c)
{
	if (c->listed)
		return;
	list_append(engine_commands(c->engine), &c->node);
	c->listed = true;
}

void taskset_leave(struct target_command *c)
{
	step_out(c);
	if (c->outcome == HBA_CHECK_CONDITION && c->nexus < TARGET_NEXUSES)
		target_note_check(c);
}

/* ---- PREEMPT AND ABORT */

static struct target_command *find_of(const struct target_command *c, uint8_t nexuses, bool waiting)
{
	struct list *all = engine_commands(c->engine);

	for (struct list *l = all->next; l != all; l = l->next) {
		struct target_command *other = container_of(l, struct target_command, node);

		if (other->unit == c->unit && (nexuses & 1U << other->nexus) &&
		    (!waiting || other->waiting))
			return other;
	}
	return NULL;
}

static void cancel_running(const struct target_command *c, uint8_t nexuses)
{
	struct list *all = engine_commands(c->engine);

	for (struct list *l = all->next; l != all; l = l->next) {
		struct target_command *other = container_of(l, struct target_command, node);

		if (other->unit == c->unit && (nexuses & 1U << other->nexus))
			target_abort(other);
	}
}

int taskset_abort(struct target_command *c, uint8_t nexuses)
{
	struct target_command *victim;

	if (!c->engine || !nexuses)
		return 0; /* without an engine nothing is out */
	while ((victim = find_of(c, nexuses, true)))
		target_abort(victim);
	cancel_running(c, nexuses);
	if (!find_of(c, nexuses, false))
		return 0;
	taskset_stay(c);
	c->victims = nexuses;
	if (!c->counted)
		__atomic_add_fetch(&c->unit->gate, GATE_IN_ORDER, __ATOMIC_RELAXED);
	c->counted = true;
	return 1;
}

/* One that waits for others' ends, and they have come. */
static struct target_command *next_to_end(struct engine *e)
{
	for (struct list *l = engine_commands(e)->next; l != engine_commands(e); l = l->next) {
		struct target_command *c = container_of(l, struct target_command, node);

		if (c->victims && !find_of(c, c->victims, false))
			return c;
	}
	return NULL;
}

static struct target_command *next_to_start(struct engine *e)
{
	for (struct list *l = engine_commands(e)->next; l != engine_commands(e); l = l->next) {
		struct target_command *c = container_of(l, struct target_command, node);

		if (c->waiting && may_start(c) && !has_aca(c->unit))
			return c;
	}
	return NULL;
}

/*
 * Each turn starts at the front again: an end lets go of memory, and its owner may send something
 * new.
 */
void target_go_on(struct engine *e)
{
	struct target_command *c;

	while ((c = next_to_end(e))) {
		taskset_leave(c);
		c->done(c);
	}
	while ((c = next_to_start(e))) {
		c->waiting = false;
		if (target_run(c) != 0)
			continue;
		taskset_leave(c);
		c->done(c);
	}
}

void taskset_aca_ended(const struct target_device *d)
{
	for (unsigned i = 0; i < d->n_engines; i++)
		engine_call(d->engines[i], target_go_on);
}

void target_abort(struct target_command *c)
{
	if (!c->waiting) {
		store_cancel(&c->io);
		return;
	}
	step_out(c);
	c->outcome = HBA_TASK_ABORTED;
	c->done(c);
}

void target_forget_commands(struct engine *e)
{
	while (!list_is_empty(engine_commands(e)))
		step_out(container_of(engine_commands(e)->next, struct target_command, node));
	engine_forget(e);
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

/* ---- the end */

/* To be called while the command is still there: others may wait for it alone. */
bool taskset_holds_others(const struct target_command *c)
{
	return c->engine && __atomic_load_n(&c->unit->gate, __ATOMIC_RELAXED) != 0;
}

void target_end(struct target_command *c)
{
	bool others = taskset_holds_others(c);
	struct engine *e = c->engine;

	taskset_leave(c);
	c->done(c);
	/* From here the command is its owner's again. */
	if (others)
		target_go_on(e);
}
