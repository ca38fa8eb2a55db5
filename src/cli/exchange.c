/* SPDX-License-Identifier: MIT */
/* exchange.c: one CDB, there and back, with the signals heard meanwhile. */
#include "cli/cli.h"

#include <string.h>

static void exchange_done(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct cli_exchange *x = arg;

	x->outcome = r->outcome;
	x->bytes = r->bytes;
	x->sense_len = r->sense ? r->sense_len : 0;
	if (x->sense_len)
		memcpy(x->sense, r->sense, x->sense_len);
	x->done = true;
	hba_task_put(t);
}

static void exchange_fill(struct hba_task *t, const struct cli_exchange *x)
{
	memcpy(t->cdb, x->cdb, sizeof(t->cdb));
	t->cdb_len = x->cdb_len;
	t->direction = (uint8_t)x->direction;
	t->mode = HBA_DATA_CPU;
	t->data.buffer = x->data;
	t->length = x->direction == HBA_NO_DATA ? 0 : x->length;
}

/* After a signal too the task comes back before we go on: until then its memory is not ours. */
static void wait_for(struct cli_session *s, const struct cli_exchange *x)
{
	while (!x->done && !s->over) {
		cli_wait(s, -1, 0);
		if (s->signal)
			cli_stop(s);
	}
}

int cli_exchange(struct cli_session *s, struct hba_lun *lun, struct cli_exchange *x)
{
	struct hba_task *t;
	int r = hba_task_get(lun, x->direction == HBA_NO_DATA ? 0 : x->length, NULL, &t);

	if (r < 0)
		return cli_library_failed(s, NULL);
	if (r > 0)
		return cli_fail("%s: the unit has no task left for the command", s->uri);
	exchange_fill(t, x);
	x->done = false;
	r = hba_submit(t, exchange_done, x);
	if (r < 0) {
		hba_task_put(t);
		return cli_library_failed(s, "the command cannot be sent");
	}
	wait_for(s, x);
	if (s->signal)
		return cli_say_interrupted(s, "command");
	return x->done ? 0 : cli_fail("%s: the controller went away during the command", s->uri);
}
