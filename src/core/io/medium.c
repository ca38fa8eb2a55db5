/* SPDX-License-Identifier: MIT */
/*
 * medium.c: is the disk that a command means still in place?
 *
 *	a unit attention ──> the unit is held ──> a look (scan.c) ──> the same: the unit goes on
 *	28/xx, 29/xx, 2A/09, 3F/xx                                └─> another: the generation moves,
 *	                                                              commands of the old one end
 *
 * A unit is held from the moment its attention is completed, before anything else is sent to it.
 * The look passes the hold, and reads INQUIRY, VPD 80 and 83 and the capacity. 28/xx moves the
 * generation in any case; the other codes only if these data differ.
 *
 * A command that names the old generation never reaches the new disk: unsent, it ends; one that is
 * with the driver may have reached it, so it does not end well. A command that names none, which is
 * any but the disk layer's, gets sense 28/00 once: its own attention, or ours in place of it.
 */
#include "core/io/medium.h"
#include "core/controller/controller.h"
#include "scsi/scsi.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	/* from the first look that failed on: what a disk may need to spin up */
	LOOK_FOR_MS = 60 * MS_PER_S,
	LUN_TEXT_BYTES = 24,
	CODE_SHIFT = 8, /* the ASC in scsi_sense::asc, above the ASCQ */
	MEDIUM_CODE = SCSI_ASC_MEDIUM_MAY_HAVE_CHANGED >> CODE_SHIFT,
	NO_MEDIUM_CODE = SCSI_ASC_NO_MEDIUM >> CODE_SHIFT,
	RESET_CODE = SCSI_ASC_POWER_ON_OR_RESET >> CODE_SHIFT,
	/* TARGET OPERATING CONDITIONS HAVE CHANGED, and all below it */
	CONDITIONS_CODE = SCSI_ASC_INQUIRY_CHANGED >> CODE_SHIFT,
};

/* ---- a command names its disk */

void medium_name(struct hba_task *head, uint32_t generation, enum medium_choice choice)
{
	struct task *t = task_of(head);

	t->meant = generation;
	t->named = (uint8_t)(1 + choice);
}

bool medium_has_passed(const struct hba_lun *lun, uint32_t generation, enum medium_choice choice)
{
	return choice == MEDIUM_WHICHEVER ? generation < lun->sized_at
					  : generation != lun->info.generation;
}

/* Must it not go to the disk that is there now? Of a command that names none nothing is known. */
static bool has_passed(const struct task *t)
{
	bool half_moved = t->view == HEAD_STAGED && t->moved;

	if (!t->named)
		return false;
	return medium_has_passed(t->lun, t->meant,
				 t->named == 1 + MEDIUM_WHICHEVER && !half_moved ? MEDIUM_WHICHEVER
										 : MEDIUM_THIS_ONE);
}

/* These are carried out while a unit attention is pending, and leave it pending (SAM-5 5.14.7). */
static bool passes_attention(const struct task *t)
{
	uint8_t opcode = t->head.cdb[0];

	return opcode == SCSI_INQUIRY || opcode == SCSI_REPORT_LUNS || opcode == SCSI_REQUEST_SENSE;
}

/* ---- ends */

static void put_sense(struct task *t)
{
	static const struct scsi_sense sense = { .key = SCSI_UNIT_ATTENTION,
						 .asc = SCSI_ASC_MEDIUM_MAY_HAVE_CHANGED };

	uint8_t bytes[SCSI_FIXED_SENSE_BYTES];

	task_keep_sense(t, bytes, (uint8_t)scsi_sense_write_fixed(&sense, bytes));
	t->final = true;
}

static void end_unsent(struct task *t)
{
	if (!t->named)
		t->lun->told = true;
	task_end(t, HBA_CHECK_CONDITION, HBA_SENT_NO);
	put_sense(t);
}

/* Told as it is, it would pass for a success, or for one to be tried again. */
static bool is_no_failure(const struct task *t)
{
	struct scsi_sense sense;

	if (t->result.outcome != HBA_CHECK_CONDITION)
		return t->result.outcome == HBA_GOOD || t->result.outcome == HBA_CONDITION_MET;
	return scsi_sense_read(t->sense, t->result.sense_len, &sense) == 0 && !sense.deferred &&
	       (sense.key == SCSI_NO_SENSE || sense.key == SCSI_RECOVERED_ERROR ||
		sense.key == SCSI_UNIT_ATTENTION);
}

void medium_judge(struct task *t)
{
	if (!t->stale || t->result.sent == HBA_SENT_NO || !is_no_failure(t))
		return;
	t->result = (struct hba_result) { .outcome = HBA_CHECK_CONDITION, .sent = HBA_SENT_MAYBE };
	put_sense(t);
}

bool medium_ends(struct task *t)
{
	if (!t->stale && !has_passed(t))
		return false;
	end_unsent(t);
	return true;
}

static void end_unsent_of(struct unit_queue *u)
{
	struct task_list staying = { 0 };
	struct task *t;

	while ((t = task_list_pop(&u->unsent)))
		if (t->named ? has_passed(t) : !passes_attention(t))
			end_unsent(t);
		else
			task_list_append(&staying, t);
	u->unsent = staying;
	if (!staying.head)
		list_remove(&u->link);
}

/* Stages that have not been sent. */
static bool has_more(const struct task *t)
{
	return t->view == HEAD_STAGED && t->moved + t->head.length < t->to_move;
}

/*
 * Tasks with the driver, handed back by it, or back with the done still owed. It is unknown which
 * disk has had them, so none is sent again. One that names no disk keeps its own result.
 */
static void mark_sent(struct task *t)
{
	enum task_state state = task_state(t);

	if (state != TASK_WITH_DRIVER && state != TASK_HANDED_BACK && state != TASK_ENDED)
		return;
	if (t->named && !has_passed(t))
		return;
	t->final = true;
	t->stale = t->named || state == TASK_HANDED_BACK || has_more(t);
	if (state == TASK_ENDED)
		medium_judge(t);
}

static void end_what_meant_another(struct hba_lun *lun)
{
	struct hba_controller *c = lun->controller;

	for (unsigned i = 0; i < c->n_queues; i++)
		end_unsent_of(&lun->queues[i]);
	for (unsigned slot = 0; slot < c->pool.n; slot++)
		if (c->pool.tasks[slot].lun == lun &&
		    c->pool.tasks[slot].head.kind == HBA_TASK_CLIENT)
			mark_sent(&c->pool.tasks[slot]);
	/* No task has ended with 28/00: the next one does. */
	lun_owe(lun, !lun->told);
	lun->told = false;
}

bool medium_tells(struct task *t)
{
	if (!t->lun->owes || t->named || passes_attention(t))
		return false;
	lun_owe(t->lun, false);
	end_unsent(t);
	t->lun->told = false;
	return true;
}

/* ---- held, until it has been looked at */

/* REPORT LUNS takes this attention off all units, and any of them may be another one now. */
static void hold_target(struct hba_target *tgt, const struct task *by)
{
	for (struct list *l = tgt->luns.next; l != &tgt->luns; l = l->next)
		lun_hold(container_of(l, struct hba_lun, link), by);
}

/*
 * A medium that has left is another one when it is back: the 28/00 that should follow may be lost
 * behind this attention.
 */
static bool is_medium_code(unsigned code)
{
	return code == MEDIUM_CODE || code == NO_MEDIUM_CODE;
}

void medium_heed(struct task *t)
{
	struct scsi_sense sense;
	uint8_t code;

	if (scsi_sense_read(t->sense, t->result.sense_len, &sense) < 0 ||
	    sense.key != SCSI_UNIT_ATTENTION || sense.deferred)
		return;
	code = (uint8_t)(sense.asc >> CODE_SHIFT);
	if (is_medium_code(code))
		t->lun->medium_changed = t->lun->info.generation != 0;
	if (sense.asc == SCSI_ASC_REPORTED_LUNS_CHANGED)
		hold_target(t->lun->target, t);
	else if (is_medium_code(code) || code == RESET_CODE || code == CONDITIONS_CODE ||
		 sense.asc == SCSI_ASC_CAPACITY_CHANGED)
		lun_hold(t->lun, t);
}

bool medium_is_news(const struct task *t, const struct scsi_sense *sense)
{
	return !t->named && sense->key == SCSI_UNIT_ATTENTION &&
	       is_medium_code(sense->asc >> CODE_SHIFT);
}

/* ---- what the look has found */

static const char *change(const struct hba_lun *lun, const struct hba_lun_info *before)
{
	if (lun->medium_changed)
		return "its medium was changed";
	return lun_is_alike(before, &lun->info) ? "its capacity has changed"
						: "another disk is there";
}

static void tell_change(const struct hba_lun *lun, const char *what)
{
	const struct hba_lun_info *info = &lun->info;
	char text[LUN_TEXT_BYTES], size[64] = "no medium";

	scsi_lun_text(&lun->id, text);
	if (info->block_bytes)
		snprintf(size, sizeof(size), "%" PRIu64 " blocks of %" PRIu32 " bytes",
			 info->blocks, info->block_bytes);
	event_put(lun->controller, HBA_EVENT_LUN_CHANGED, lun->target->id, &lun->id,
		  info->generation, "target %llu, unit %s: %s: generation %" PRIu32 ", %s",
		  (unsigned long long)lun->target->id, text, what, info->generation, size);
}

void medium_moved(struct hba_lun *lun, const struct hba_lun_info *before)
{
	if (before->block_bytes != lun->info.block_bytes)
		lun->sized_at = lun->info.generation;
	if (before->present)
		tell_change(lun, change(lun, before));
	end_what_meant_another(lun);
}

void medium_unread(struct hba_lun *lun)
{
	uint64_t now = lun->controller->now;

	if (!lun->unread_since)
		lun->unread_since = now;
	if (now - lun->unread_since < LOOK_FOR_MS * (uint64_t)NS_PER_MS) {
		lun_look_again(lun);
		return;
	}
	lun_count_up(lun);
	tell_change(lun, "it could not be read for 60 s after a reset or a change, and is taken "
			 "for another disk");
	end_what_meant_another(lun);
	lun_release(lun);
}
