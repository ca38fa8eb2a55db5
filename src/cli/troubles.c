/* SPDX-License-Identifier: MIT */
/* troubles.c: what no command's outcome tells: one line for each kind, the first of it; and how the driver behaved, for --json. */
#include "cli/cli.h"

#include "base/base.h"

static const enum hba_event_kind kinds[CLI_TROUBLES] = {
	[CLI_VIOLATIONS] = HBA_EVENT_VIOLATION,         [CLI_REFUSED_TARGETS] = HBA_EVENT_TARGET_REFUSED,
	[CLI_LEFT_OUT_UNITS] = HBA_EVENT_LUNS_LEFT_OUT, [CLI_RECOVERIES] = HBA_EVENT_RECOVERY,
	[CLI_LOST_WRITES] = HBA_EVENT_WRITES_LOST,
};

static void note(struct cli_session *s, const struct hba_event *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i] == e->kind && s->troubles[i].n++ == 0)
			s->troubles[i].first = *e;
}

void cli_note_troubles(struct cli_session *s)
{
	struct hba_event e;

	while (hba_event_next(s->controller, &e) > 0)
		note(s, &e);
}

void cli_tell_troubles(struct cli_session *s)
{
	cli_note_troubles(s);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct cli_trouble *t = &s->troubles[i];

		if (t->n > 1)
			cli_fail("%s: %s (the first of %u such)", s->uri, t->first.text, t->n);
		else if (t->n)
			cli_fail("%s: %s", s->uri, t->first.text);
	}
}

void cli_json_conduct(struct json_object *o, struct cli_session *s)
{
	struct hba_counts n;

	cli_note_troubles(s);
	hba_controller_counts(s->controller, &n);
	cli_json_number(o, "io_path_mappings", n.io_path_mappings);
	cli_json_number(o, "violations", s->troubles[CLI_VIOLATIONS].n);
}
