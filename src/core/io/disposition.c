/* SPDX-License-Identifier: MIT */
/*
 * disposition.c: a task has come back from the driver. Is it over, or is there more to do before
 * its done runs?
 *
 *	CHECK CONDITION without sense     the unit freezes; REQUEST SENSE completes the answer
 *	a stage of a larger transfer      the next one is sent
 *	not now (the rules below)         it is sent again, at the head of its unit
 *
 * The rules repeat commands that the target has refused to begin, or never got. A pass-through
 * client gets the result as it is; block commands, which every client of a disk sends, are repeated
 * (docs/decisions/0044-retries-are-for-blocks.md). Invariant: a command that may have taken effect
 * is never sent twice.
 */
#include "core/controller/controller.h"
#include "scsi/scsi.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	SENSE_MS = 10 * MS_PER_S,
	ATTENTION_TRIES = 8,
	UNSENT_TRIES = 3,
	BUSY_FIRST_MS = 1, /* doubled with each repeat, up to BUSY_MS */
	BUSY_MS = 100,
	READY_MS = 500,
	BUSY_FOR_MS = 30 * MS_PER_S,  /* from the first refusal on */
	READY_FOR_MS = 60 * MS_PER_S, /* what a disk may need to spin up */
	RAMP_AFTER = 64,              /* good completions per step back up */
	SENSE_WORDS = 160,
	AGAIN_WORDS = 48,
	CODE_SHIFT = 8, /* ASC and ASCQ in one number */
};

/* ---- rules for sending again */

/*
 * The change of its medium is for the client of a task that does not name the medium that it means.
 */
static bool disposition_is_attention(const struct hba_task *head, const struct scsi_sense *s,
				     enum hba_outcome o)
{
	return o == HBA_CHECK_CONDITION && s->key == SCSI_UNIT_ATTENTION &&
	       !medium_is_news(task_of((struct hba_task *)(uintptr_t)head), s);
}

static bool is_becoming_ready(const struct hba_task *t, const struct scsi_sense *s,
			      enum hba_outcome o)
{
	(void)t;
	return o == HBA_CHECK_CONDITION && s->key == SCSI_NOT_READY &&
	       s->asc == SCSI_ASC_BECOMING_READY;
}

static bool disposition_is_busy(const struct hba_task *t, const struct scsi_sense *s,
				enum hba_outcome o)
{
	(void)t;
	(void)s;
	return o == HBA_BUSY;
}

static bool is_full(const struct hba_task *t, const struct scsi_sense *s, enum hba_outcome o)
{
	(void)t;
	(void)s;
	return o == HBA_TASK_SET_FULL;
}

static bool was_never_sent(const struct hba_task *head, const struct scsi_sense *s,
			   enum hba_outcome o)
{
	const struct task *t = task_of((struct hba_task *)(uintptr_t)head);

	(void)s;
	return t->result.sent == HBA_SENT_NO &&
	       (o == HBA_NOT_DELIVERED || o == HBA_PROTOCOL_TIMEOUT || o == HBA_NO_STATUS);
}

/** struct rule - When to send again. */
static const struct rule {
	bool (*applies)(const struct hba_task *t, const struct scsi_sense *s, enum hba_outcome o);
	const char *why;   /* for people; NULL: its sense */
	unsigned delay_ms; /* before the next try */
	unsigned for_ms;   /* from the first refusal on; 0 = by tries alone */
	unsigned tries;    /* 0 = by time alone */
	bool any_command;  /* else block commands only */
} rules[] = {
	{ disposition_is_attention, NULL, 0, 0, ATTENTION_TRIES, false },
	{ is_becoming_ready, NULL, READY_MS, READY_FOR_MS, 0, false },
	{ disposition_is_busy, "BUSY", BUSY_MS, BUSY_FOR_MS, 0, false },
	{ is_full, "TASK SET FULL", BUSY_MS, BUSY_FOR_MS, 0, true },
	{ was_never_sent, "it was not sent", BUSY_MS, 0, UNSENT_TRIES, true },
};

static const struct rule *rule_for(const struct task *t, const struct scsi_sense *sense)
{
	bool block = scsi_cdb_is_block_command(t->head.cdb);

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if ((block || rules[i].any_command) &&
		    rules[i].applies(&t->head, sense, t->result.outcome))
			return &rules[i];
	return NULL;
}

/*
 * The target's "Retry Count" stands in for the rules' own numbers. That its task set is full is no
 * matter of retries.
 */
static bool has_tries_left(const struct task *t, const struct rule *rule)
{
	uint64_t retries = t->lun->target->retries;

	if (retries != HBA_UNSET && rule->applies != is_full &&
	    scsi_cdb_is_block_command(t->head.cdb))
		return t->repeats < retries;
	return !rule->tries || t->tries < rule->tries;
}

static bool may_try(struct task *t, const struct rule *rule)
{
	uint64_t now = t->lun->controller->now;

	if (!t->tries)
		t->first_refusal = now;
	if (!has_tries_left(t, rule))
		return false;
	if (rule->for_ms && now - t->first_refusal > rule->for_ms * (uint64_t)NS_PER_MS)
		return false;
	if (t->tries < UINT8_MAX && (rule->tries || !t->tries))
		t->tries++;
	if (t->repeats < UINT16_MAX && rule->applies != is_full)
		t->repeats++;
	return true;
}

/*
 * A unit that is BUSY for a moment gets the command again soon, and one that stays BUSY is not
 * flooded (SAM-5, status BUSY). With a "Retry Count" of the target each delay is the longest: a few
 * short ones would be over within milliseconds.
 */
static unsigned delay_of(const struct task *t, const struct rule *rule)
{
	unsigned ms = BUSY_FIRST_MS;

	if (rule->applies != disposition_is_busy || t->lun->target->retries != HBA_UNSET)
		return rule->delay_ms;
	for (unsigned i = 1; i < t->repeats && ms < rule->delay_ms; i++)
		ms *= 2;
	return ms < rule->delay_ms ? ms : rule->delay_ms;
}

static void sense_words(const struct scsi_sense *s, char text[SENSE_WORDS])
{
	const char *asc = scsi_asc_name(s->asc);

	snprintf(text, SENSE_WORDS, "%s, ASC %02x, ASCQ %02x%s%s", scsi_sense_key_name(s->key),
		 s->asc >> CODE_SHIFT, s->asc & UINT8_MAX, asc ? ": " : "", asc ? asc : "");
}

static void tell_again(const struct task *t, const struct rule *rule,
		       const struct scsi_sense *sense, unsigned delay_ms)
{
	struct hba_lun *lun = t->lun;
	char command[TASK_WORDS], why[SENSE_WORDS], when[AGAIN_WORDS] = "is sent again at once",
						    delay[TIME_WORDS];
	unsigned try = t->repeats + 1U;

	if (rule->applies == is_full) {
		if (lun->full_told)
			return;
		lun->full_told = true;
		try++;
	}
	task_words(t, command);
	if (rule->why)
		snprintf(why, sizeof(why), "%s", rule->why);
	else
		sense_words(sense, why);
	time_words(delay_ms * (uint64_t)NS_PER_MS, delay);
	/* Another disk may be found there; then the command ends, and is not sent again. */
	if (lun->suspect)
		snprintf(when, sizeof(when), "waits until the unit has been read again");
	else if (delay_ms)
		snprintf(when, sizeof(when), "is sent again in %s", delay);
	event_put(lun->controller, HBA_EVENT_RETRY, lun->target->id, &lun->id, try,
		  "%s %s, try %u: %s", command, when, try, why);
}

/*
 * The target's task set is smaller than its depth: send no more than it holds now. Tasks that are
 * out make room when they end.
 */
static unsigned shrink(struct hba_lun *lun, unsigned delay_ms)
{
	lun->limit = lun->out ? lun->out : 1;
	lun->good_in_a_row = 0;
	return lun->out ? 0 : delay_ms;
}

static bool send_again(struct task *t, const struct scsi_sense *sense)
{
	struct hba_lun *lun = t->lun;
	struct hba_controller *c = lun->controller;
	const struct rule *rule = t->final || !c->accepting ? NULL : rule_for(t, sense);
	unsigned delay;

	if (!rule || !may_try(t, rule))
		return false;
	delay = rule->applies == is_full ? shrink(lun, rule->delay_ms) : delay_of(t, rule);
	tell_again(t, rule, sense, delay);
	t->sense_asked = false;
	if (delay)
		lun->held_until = c->now + delay * (uint64_t)NS_PER_MS;
	queue_add_again(t);
	return true;
}

void disposition_good(struct hba_lun *lun)
{
	if (++lun->good_in_a_row < RAMP_AFTER)
		return;
	lun->good_in_a_row = 0;
	lun->limit++;
}

/* ---- consequences of a unit attention */

static void disposition_heed(struct task *t, const struct scsi_sense *sense)
{
	struct hba_target *tgt = t->lun->target;

	if (sense->key != SCSI_UNIT_ATTENTION)
		return;
	switch (sense->asc) {
	case SCSI_ASC_REPORTED_LUNS_CHANGED:
	case SCSI_ASC_INQUIRY_CHANGED:
		target_want_scan(tgt);
		break;
	case SCSI_ASC_POWER_ON_OR_RESET:
		target_renegotiate(tgt);
		break;
	default:
		break;
	}
}

/* ---- sense that the driver did not bring */

static bool lacks_sense(const struct task *t)
{
	/* One that was to fetch sense and brings none itself: there is none to be had. */
	return !t->result.sense_len && !t->sense_asked && t->urgent != URGENT_SENSE &&
	       !t->lun->target->report.performs_autosense;
}

static void thaw(struct hba_lun *lun)
{
	lun->frozen--;
}

static void sense_came(struct hba_task *head, const struct hba_result *r, void *arg)
{
	struct task *t = arg, *asked = task_of(head);

	if (r->outcome == HBA_GOOD && r->bytes) {
		task_keep_sense(t, asked->memory,
				(uint8_t)(r->bytes < HBA_MAX_SENSE ? r->bytes : HBA_MAX_SENSE));
		medium_heed(t);
		medium_judge(t);
	}
	thaw(t->lun);
	hba_task_put(head);
	task_list_append(&t->queue->ended, t);
}

static bool ask_sense(struct task *t)
{
	struct task *asked = internal_get(t->lun);
	struct scsi_cdb cdb = scsi_cdb_request_sense(HBA_MAX_SENSE);

	if (!asked)
		return false;
	memcpy(asked->head.cdb, cdb.bytes, sizeof(cdb.bytes));
	asked->head.cdb_len = cdb.length;
	asked->head.timeout_ms = SENSE_MS;
	asked->head.direction = HBA_FROM_TARGET;
	asked->head.length = HBA_MAX_SENSE;
	asked->head.data.buffer = asked->memory;
	asked->urgent = URGENT_SENSE;
	/* The unit is in ACA then, and lets nothing else in. */
	if (scsi_cdb_naca(t->head.cdb, t->head.cdb_len))
		asked->head.attribute = HBA_ACA;
	if (task_submit(asked, sense_came, t) == 0)
		return true;
	hba_task_put(&asked->head);
	return false;
}

/* The unit keeps its sense only until the next command, so there must not be one. */
void disposition_check_condition(struct task *t)
{
	if (!lacks_sense(t))
		return;
	t->sense_asked = t->sense_wanted = true;
	t->lun->frozen++;
}

/* false: REQUEST SENSE can no longer be sent. */
static bool fetch_sense(struct task *t)
{
	t->sense_wanted = false;
	if (!t->lun->controller->accepting || target_is_going(t->lun->target)) {
		thaw(t->lun);
		return false;
	}
	if (!ask_sense(t))
		task_list_append(&t->lun->controller->senseless, t);
	return true;
}

/* Tasks that waited for an internal task end without sense. */
static void give_up_sense(struct hba_controller *c)
{
	struct task *t;

	while ((t = task_list_pop(&c->senseless))) {
		thaw(t->lun);
		task_list_append(&t->queue->ended, t);
	}
}

void disposition_turn(struct hba_controller *c)
{
	struct task *t;

	if (!c->accepting)
		give_up_sense(c);
	while ((t = task_list_pop(&c->senseless)))
		if (!ask_sense(t)) {
			task_list_push(&c->senseless, t);
			return;
		}
}

/* ---- the whole */

bool dispose(struct task *t)
{
	struct scsi_sense sense = { 0 };

	if (t->sense_wanted && fetch_sense(t))
		return true;
	if (t->result.outcome == HBA_CHECK_CONDITION)
		(void)scsi_sense_read(t->sense, t->result.sense_len, &sense);
	if (t->head.kind == HBA_TASK_CLIENT) {
		disposition_heed(t, &sense);
		if (t->result.outcome != HBA_GOOD && send_again(t, &sense))
			return true;
		if (!t->named && t->lun->suspect && sense.key == SCSI_UNIT_ATTENTION)
			t->lun->told = true;
	}
	if (t->view != HEAD_STAGED || !data_settle(t))
		return false;
	queue_add_again(t);
	return true;
}
