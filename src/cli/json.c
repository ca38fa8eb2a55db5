/* SPDX-License-Identifier: MIT */
/*
 * json.c: what json-c leaves to us: text from devices made fit for JSON, bytes as hex, and the one
 * object printed.
 */
#include "cli/cli.h"

#include "base/base.h"
#include "scsi/scsi.h"

#include <stdlib.h>

/* Of a measured number: more would be noise. */
enum { DIGITS = 9 };
enum { LUN_TEXT = 24 };

void cli_json_text(struct json_object *o, const char *key, const char *text)
{
	autofree char *clean = cli_printable(text);

	json_object_object_add(o, key, json_object_new_string(clean ? clean : ""));
}

void cli_json_number(struct json_object *o, const char *key, uint64_t n)
{
	json_object_object_add(o, key, json_object_new_uint64(n));
}

void cli_json_double(struct json_object *o, const char *key, double d)
{
	char text[DIGITS + sizeof("-.e+308")];

	snprintf(text, sizeof(text), "%.*g", DIGITS, d);
	json_object_object_add(o, key, json_object_new_double_s(d, text));
}

void cli_json_hex(struct json_object *o, const char *key, const uint8_t *bytes, size_t length)
{
	autofree char *text = malloc(2 * length + 1);

	if (!text)
		return;
	text[0] = 0;
	for (size_t i = 0; i < length; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	json_object_object_add(o, key, json_object_new_string(text));
}

void cli_json_lun(struct json_object *o, const struct hba_lun_info *info)
{
	char text[LUN_TEXT];

	scsi_lun_text(&info->lun, text);
	if (info->number != UINT64_MAX)
		cli_json_number(o, "lun", info->number);
	else
		cli_json_text(o, "lun", text);
}

int cli_json_print(struct json_object *o)
{
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
						       JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	return cli_finish_output();
}
