/* SPDX-License-Identifier: MIT */
/*
 * command.c: one command, there and back, between guards.
 *
 * What holds for every command is looked at here, whichever test sent it: no byte beside the buffer
 * is touched, sense comes with every CHECK CONDITION and with nothing else, and every command ends
 * before its time is over.
 */
#include "check/suite.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TURN_MS = 100, BUDGET = 64, TRIES = 8 };
#define WAIT_NS (120 * NS_PER_S) /* longer than the whole ladder of recovery takes */

/* ---- buffers */

struct buffer buffer_at(const struct area *area, size_t offset, size_t length)
{
	struct buffer b = { area->bytes + GUARD + offset, length, area };

	memset(b.bytes - GUARD, GUARD_BYTE, GUARD);
	memset(b.bytes, POISON_A, length);
	memset(b.bytes + length, GUARD_BYTE, GUARD);
	return b;
}

static bool is_all(const uint8_t *bytes, uint8_t value, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != value)
			return false;
	return true;
}

bool buffer_guards(struct check *k, const struct buffer *b, const char *command)
{
	if (is_all(b->bytes - GUARD, GUARD_BYTE, GUARD) &&
	    is_all(b->bytes + b->length, GUARD_BYTE, GUARD))
		return true;
	check_note(k, &k->guards, "%s wrote beside its buffer of %zu bytes", command, b->length);
	return false;
}

/* ---- made */

struct command command_none(struct check *k, struct scsi_cdb cdb)
{
	return (struct command) { .check = k, .lun = k->lun, .cdb = cdb, .mode = HBA_DATA_CPU };
}

static struct command with_data(struct check *k, struct scsi_cdb cdb, struct buffer b,
				enum hba_direction direction)
{
	struct command x = command_none(k, cdb);

	x.direction = b.length ? direction : HBA_NO_DATA;
	x.data.buffer = b.bytes;
	x.length = b.length;
	x.bounce = b.length;
	x.guarded = b;
	return x;
}

struct command command_in(struct check *k, struct scsi_cdb cdb, struct buffer b)
{
	return with_data(k, cdb, b, HBA_FROM_TARGET);
}

struct command command_out(struct check *k, struct scsi_cdb cdb, struct buffer b)
{
	return with_data(k, cdb, b, HBA_TO_TARGET);
}

void command_region(struct check *k, struct command *x)
{
	k->pieces[0] = (struct hba_piece) {
		.region = hba_mapping_region(k->mapped.mapping),
		.length = (uint32_t)x->length,
		.offset = (uint64_t)(x->guarded.bytes - k->mapped.bytes),
	};
	x->mode = HBA_DATA_REGION;
	x->data.pieces = k->pieces;
	x->n_data = 1;
}

/* ---- sent */

static void command_name(const struct command *x, char text[CHECK_TEXT])
{
	const char *name = scsi_opcode_name(x->cdb.bytes, x->cdb.length);

	if (name)
		snprintf(text, CHECK_TEXT, "%s", name);
	else
		snprintf(text, CHECK_TEXT, "opcode %02Xh", x->cdb.bytes[0]);
}

static void watch(struct check *k, const struct command *x, const struct hba_result *r)
{
	char name[CHECK_TEXT];

	command_name(x, name);
	if (x->guarded.bytes)
		buffer_guards(k, &x->guarded, name);
	if (x->outcome == HBA_TASK_TIMEOUT)
		check_note(k, &k->late, "%.64s did not come back within %u ms", name,
			   check_command_ms(k));
	if (r->sense_len && x->outcome != HBA_CHECK_CONDITION)
		check_note(k, &k->sense,
			   "%.64s ended with outcome %#x, and yet brought %u bytes of sense", name,
			   x->outcome, r->sense_len);
	if (x->outcome == HBA_CHECK_CONDITION && !x->has_sense)
		check_note(k, &k->sense, "%.64s ended in CHECK CONDITION with %u bytes of sense%s",
			   name, r->sense_len,
			   r->sense_len ? " that are of no format there is" : "");
}

static void ended(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct command *x = arg;

	x->outcome = r->outcome;
	x->bytes = r->bytes;
	x->sense_len = r->sense ? r->sense_len : 0;
	x->has_sense = r->outcome == HBA_CHECK_CONDITION &&
		       scsi_sense_read(r->sense, x->sense_len, &x->sense) == 0;
	watch(x->check, x, r);
	hba_task_put(t);
	x->task = NULL;
	x->done = true;
}

static void command_fill(struct hba_task *t, const struct command *x)
{
	memcpy(t->cdb, x->cdb.bytes, sizeof(t->cdb));
	t->cdb_len = x->cdb.length;
	t->direction = (uint8_t)x->direction;
	t->mode = (uint8_t)x->mode;
	t->data = x->data;
	t->n_data = x->n_data;
	t->length = x->direction == HBA_NO_DATA ? 0 : x->length;
	t->timeout_ms = check_command_ms(x->check);
}

int command_start(struct check *k, struct command *x)
{
	int r = hba_task_get(x->lun, x->direction == HBA_NO_DATA ? 0 : x->bounce, NULL, &x->task);

	if (r > 0)
		return r;
	x->done = false;
	x->sense = (struct scsi_sense) { 0 };
	x->has_sense = false;
	x->check = k;
	if (r == 0) {
		command_fill(x->task, x);
		r = hba_submit(x->task, ended, x);
		if (r < 0)
			hba_task_put(x->task);
		else
			k->commands++;
	}
	x->error = r;
	return r;
}

bool command_started(struct check *k, struct command *x)
{
	int r = command_start(k, x);

	if (r > 0)
		return check_skip(k, "the unit has no task for another command");
	return r == 0 || check_failed(k, "a command that is taken", "%s", hba_error());
}

bool check_turn(struct check *k)
{
	struct pollfd p = { .fd = hba_controller_fd(k->controller), .events = POLLIN };
	bool quiet = hba_controller_arm(k->controller) == 0 && poll(&p, 1, TURN_MS) == 0;

	if (hba_controller_run(k->controller, BUDGET) < 0)
		k->over = true;
	check_take_events(k);
	return !quiet;
}

/*
 * The core's recovery is bounded; should it not end all the same, stopping the controller ends
 * every command.
 */
bool check_wait(struct check *k, const bool *done)
{
	uint64_t last = clock_monotonic.now(&clock_monotonic) + WAIT_NS;

	while (!*done && !k->over) {
		check_turn(k);
		if (clock_monotonic.now(&clock_monotonic) < last)
			continue;
		check_note(k, &k->late,
			   "a command has not come back at all, and the controller was stopped");
		hba_controller_stop(k->controller);
		k->over = true;
	}
	return *done;
}

static void run_once(struct check *k, struct command *x)
{
	int r;

	do {
		r = command_start(k, x);
		if (r > 0)
			check_turn(k);
	} while (r > 0 && !k->over);
	if (r > 0)
		x->error = -ENODEV;
	if (r == 0 && !check_wait(k, &x->done))
		x->error = -ENODEV;
}

/* The core repeats block commands by itself. These answers say that the command was not begun. */
static bool wants_another_try(const struct command *x)
{
	return x->outcome == HBA_BUSY || (x->has_sense && x->sense.key == SCSI_UNIT_ATTENTION);
}

void command_run(struct check *k, struct command *x)
{
	unsigned tries = 0;

	do
		run_once(k, x);
	while (!x->error && wants_another_try(x) && ++tries < TRIES);
}

/* ---- judged */

static void outcome_text(const struct command *x, char text[CHECK_TEXT])
{
	char name[CHECK_TEXT / 2];

	snprintf(name, sizeof(name), "%s",
		 scsi_opcode_name(x->cdb.bytes, x->cdb.length) ?: "the command");
	if (x->error)
		snprintf(text, CHECK_TEXT, "%s was not taken: %s", name, hba_error());
	else if (x->has_sense)
		snprintf(text, CHECK_TEXT, "%s: CHECK CONDITION, %s (%02X/%02X/%02X)", name,
			 scsi_sense_key_name(x->sense.key), x->sense.key, x->sense.asc >> 8,
			 x->sense.asc & 0xff);
	else
		snprintf(text, CHECK_TEXT, "%s: service response %u, status %02Xh", name,
			 hba_response(x->outcome), hba_status(x->outcome));
}

bool command_good(struct check *k, const struct command *x)
{
	char text[CHECK_TEXT];

	if (!x->error && x->outcome == HBA_GOOD)
		return true;
	/* It has a test of its own, in the last group. */
	if (!x->error && x->outcome == HBA_TASK_TIMEOUT)
		return check_skip(k, "a command timed out");
	outcome_text(x, text);
	return check_failed(k, "GOOD", "%s", text);
}

bool command_refused(struct check *k, const struct command *x, uint8_t key, uint16_t asc)
{
	char want[CHECK_TEXT], text[CHECK_TEXT];

	/*
	 * Without sense there is nothing to judge here; that has a test of its own, in the last
	 * group.
	 */
	if (!x->error && x->outcome == HBA_CHECK_CONDITION &&
	    (!x->has_sense || (x->sense.key == key && x->sense.asc == asc && !x->sense.deferred)))
		return true;
	snprintf(want, sizeof(want), "CHECK CONDITION, %s (%02X/%02X/%02X)",
		 scsi_sense_key_name(key), key, asc >> 8, asc & 0xff);
	outcome_text(x, text);
	return check_failed(k, want, "%s", text);
}

bool command_unknown(struct check *k, const struct command *x)
{
	const char *name = scsi_opcode_name(x->cdb.bytes, x->cdb.length);

	/* READ and WRITE are split; others have to fit at once. */
	if (x->error == -EMSGSIZE && !scsi_cdb_is_rw(x->cdb.bytes[0])) {
		check_skip(k, "the controller's limits are too small for it: %s", hba_error());
		return true;
	}
	if (x->error || !x->has_sense || x->sense.key != SCSI_ILLEGAL_REQUEST ||
	    (x->sense.asc != SCSI_ASC_INVALID_OPCODE &&
	     x->sense.asc != SCSI_ASC_INVALID_FIELD_IN_CDB))
		return false;
	check_skip(k, "the unit does not offer %s, or not in this form",
		   name ? name : "the command");
	return true;
}
