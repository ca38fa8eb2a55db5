/* SPDX-License-Identifier: MIT */
/*
 * event-summary.c: facts beside a command's outcome: live and in words with --verbose, else in a
 * line or two at the end; and the driver's behaviour, for --json.
 *
 * Live, each kind has a limit, so that a driver that breaks its contract ten thousand times does
 * not fill a terminal. The end has all counts.
 */
#include "cli/cli.h"

#include "base/base.h"

#include <inttypes.h>
#include <string.h>

enum { COUNTS = 512 };

/** struct kind - The form of one kind of event. */
static const struct kind {
	enum hba_event_kind event;
	bool live;         /* without --verbose, too: a person waits, and needs the reason */
	bool counted;      /* by the event's value, not by the events: those may be lost */
	const char *thing; /* at the end only how many: of these. NULL: the first of them, whole */
} kinds[CLI_TROUBLES] = {
	[CLI_VIOLATIONS] = { .event = HBA_EVENT_VIOLATION, .counted = true },
	[CLI_REFUSED_TARGETS] = { .event = HBA_EVENT_TARGET_REFUSED },
	[CLI_LEFT_OUT_UNITS] = { .event = HBA_EVENT_LUNS_LEFT_OUT },
	[CLI_RECOVERIES] = { .event = HBA_EVENT_RECOVERY },
	[CLI_LOST_WRITES] = { .event = HBA_EVENT_WRITES_LOST },
	[CLI_HANGS] = { .event = HBA_EVENT_HANGING, .live = true },
	[CLI_DEVICE_ERRORS] = { .event = HBA_EVENT_DEVICE_ERROR, .counted = true },
	[CLI_RETRIES] = { .event = HBA_EVENT_RETRY, .thing = "retries" },
	[CLI_SLOW] = { .event = HBA_EVENT_SLOW, .thing = "slow commands" },
	[CLI_LOST] = { .event = HBA_EVENT_LOST, .thing = "events lost" },
};

/* ---- live */

static void tell_live(const struct cli_session *s, struct cli_trouble *t, const struct hba_event *e)
{
	uint64_t withheld;

	if (!limit_pass(&t->live, e->time_ns, &withheld))
		return;
	if (withheld)
		cli_fail("%s: %s (and %" PRIu64 " such before it)", s->uri, e->text, withheld);
	else
		cli_fail("%s: %s", s->uri, e->text);
}

static void summary_count(struct cli_trouble *t, const struct kind *kind, const struct hba_event *e)
{
	if (t->n == 0)
		t->first = *e;
	if (kind->counted)
		t->n = (uint64_t)e->value;
	else
		t->n += kind->event == HBA_EVENT_LOST ? (uint64_t)e->value : 1;
}

void cli_note_event(struct cli_session *s, const struct hba_event *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].event != e->kind)
			continue;
		summary_count(&s->events_seen[i], &kinds[i], e);
		if (s->verbose || kinds[i].live)
			tell_live(s, &s->events_seen[i], e);
	}
}

void cli_note_events(struct cli_session *s)
{
	struct hba_event e;

	while (hba_event_next(s->controller, &e) > 0)
		cli_note_event(s, &e);
}

/* ---- at the end */

/* The sentence with which a command failed is not printed twice. */
static void tell_first(const struct cli_session *s, const struct cli_trouble *t, const char *said)
{
	if (t->n > 1)
		cli_fail("%s: %s (the first of %" PRIu64 " such)", s->uri, t->first.text, t->n);
	else if (t->n && !strstr(said, t->first.text))
		cli_fail("%s: %s", s->uri, t->first.text);
}

static void tell_withheld(const struct cli_session *s, const struct cli_trouble *t)
{
	if (t->live.withheld)
		cli_fail("%s: %" PRIu64 " more such after that, %" PRIu64 " in all; the first: %s",
			 s->uri, t->live.withheld, t->n, t->first.text);
}

/*
 * Kinds of which only the number is printed, in one line. Lost events count only beside others: a
 * large scan raises an event for each unit.
 */
static void tell_counts(const struct cli_session *s)
{
	char text[COUNTS] = "";
	size_t at = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].thing && s->events_seen[i].n && at < sizeof(text) &&
		    (at || i != CLI_LOST))
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s: %" PRIu64,
					       at ? ", " : "", kinds[i].thing, s->events_seen[i].n);
	if (at)
		cli_fail("%s: %s; --verbose shows each", s->uri, text);
}

void cli_print_event_summary(const struct cli_session *s, const char *said)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (s->verbose || kinds[i].live)
			tell_withheld(s, &s->events_seen[i]);
		else if (!kinds[i].thing)
			tell_first(s, &s->events_seen[i], said);
	}
	if (!s->verbose)
		tell_counts(s);
}

void cli_json_conduct(struct json_object *o, struct cli_session *s)
{
	struct hba_counts n;

	cli_note_events(s);
	hba_controller_counts(s->controller, &n);
	cli_json_number(o, "io_path_mappings", n.io_path_mappings);
	cli_json_number(o, "violations", s->events_seen[CLI_VIOLATIONS].n);
	cli_json_number(o, "device_errors", s->events_seen[CLI_DEVICE_ERRORS].n);
}
