/* SPDX-License-Identifier: MIT */
/*
 * names.c: numbers of the standards as words. libsgutils2 has the long lists; outcomes are ours, as
 * no target gave half of them.
 */
#include "cli/cli.h"

#include "base/base.h"
#include "scsi/scsi.h"

#include <scsi/sg_lib.h>
#include <string.h>

enum { CODE_SHIFT = 8, TYPE_MASK = 0x1f, WORD = 80 };

static const struct {
	enum hba_outcome outcome;
	const char *name;
} not_answered[] = {
	{ HBA_TASK_TIMEOUT, "timed out" },
	{ HBA_PROTOCOL_TIMEOUT, "protocol timeout" },
	{ HBA_NOT_RESPONDING, "target does not respond" },
	{ HBA_NOT_PRESENT, "device not present" },
	{ HBA_NOT_DELIVERED, "not delivered" },
	{ HBA_NO_STATUS, "no status" },
};

static const char *const types[] = {
	[0x00] = "disk",       [0x01] = "tape",
	[0x02] = "printer",    [0x03] = "processor",
	[0x04] = "worm",       [0x05] = "cd",
	[0x06] = "scanner",    [0x07] = "optical",
	[0x08] = "changer",    [0x0c] = "array-controller",
	[0x0d] = "enclosure",  [0x0e] = "rbc-disk",
	[0x0f] = "card",       [0x11] = "osd",
	[0x14] = "zoned-disk", [0x1e] = "well-known",
	[0x1f] = "none",
};

void cli_command_name(const uint8_t *cdb, size_t length, char text[CLI_WORDS])
{
	const char *ours = scsi_opcode_name(cdb, length);

	if (ours)
		snprintf(text, CLI_WORDS, "%s", ours);
	else
		sg_get_command_name(cdb, 0, CLI_WORDS, text);
}

void cli_outcome_name(enum hba_outcome outcome, char text[CLI_WORDS])
{
	for (size_t i = 0; i < ARRAY_SIZE(not_answered); i++) {
		if (not_answered[i].outcome == outcome) {
			snprintf(text, CLI_WORDS, "%s", not_answered[i].name);
			return;
		}
	}
	if (hba_response(outcome) == HBA_TASK_COMPLETE)
		sg_get_scsi_status_str(hba_status(outcome), CLI_WORDS, text);
	else
		snprintf(text, CLI_WORDS, "service response %d, status %#x",
			 (int)hba_response(outcome), hba_status(outcome));
}

const char *cli_type_name(uint8_t type)
{
	const char *name = types[type & TYPE_MASK];

	return name ? name : "other";
}

static void field_words(const struct scsi_sense *s, char text[WORD])
{
	char bit[16] = "";

	text[0] = 0;
	if (!s->has_field)
		return;
	if (s->has_bit)
		snprintf(bit, sizeof(bit), " bit %u", s->field_bit);
	snprintf(text, WORD, ", byte %u%s of the %s", s->field_byte, bit,
		 s->field_in_cdb ? "CDB" : "parameter list");
}

/* The library writes "Additional sense: " in front, which is clear from the place. */
static void asc_words(uint16_t asc, char text[WORD])
{
	static const char prefix[] = "Additional sense: ";
	size_t n = sizeof(prefix) - 1;

	sg_get_asc_ascq_str(asc >> CODE_SHIFT, asc & UINT8_MAX, WORD, text);
	if (strncmp(text, prefix, n) == 0)
		memmove(text, text + n, strlen(text + n) + 1);
}

void cli_sense_words(const uint8_t *sense, size_t length, char text[CLI_WORDS])
{
	char key[WORD], asc[WORD], field[WORD], information[WORD] = "";
	struct scsi_sense s;

	if (length == 0 || scsi_sense_read(sense, length, &s) < 0) {
		snprintf(text, CLI_WORDS,
			 length ? "sense that breaks the standard (%zu bytes)"
				: "no sense came with it",
			 length);
		return;
	}
	sg_get_sense_key_str(s.key, sizeof(key), key);
	asc_words(s.asc, asc);
	field_words(&s, field);
	if (s.has_information)
		snprintf(information, sizeof(information), ", information %#jx",
			 (uintmax_t)s.information);
	snprintf(text, CLI_WORDS, "%s%s: %s%s%s", s.deferred ? "deferred " : "", key, asc, field,
		 information);
}

static void add_field(struct json_object *o, const struct scsi_sense *s)
{
	struct json_object *field = json_object_new_object();

	cli_json_text(field, "in", s->field_in_cdb ? "cdb" : "parameter list");
	cli_json_number(field, "byte", s->field_byte);
	if (s->has_bit)
		cli_json_number(field, "bit", s->field_bit);
	json_object_object_add(o, "field", field);
}

struct json_object *cli_sense_json(const uint8_t *sense, size_t length)
{
	struct json_object *o = json_object_new_object();
	char words[CLI_WORDS];
	struct scsi_sense s;

	cli_sense_words(sense, length, words);
	cli_json_text(o, "text", words);
	cli_json_hex(o, "bytes", sense, length);
	if (length == 0 || scsi_sense_read(sense, length, &s) < 0)
		return o;
	cli_json_number(o, "key", s.key);
	cli_json_number(o, "asc", s.asc >> CODE_SHIFT);
	cli_json_number(o, "ascq", s.asc & UINT8_MAX);
	json_object_object_add(o, "deferred", json_object_new_boolean(s.deferred));
	if (s.has_information)
		cli_json_number(o, "information", s.information);
	if (s.has_field)
		add_field(o, &s);
	return o;
}
