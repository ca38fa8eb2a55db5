/* SPDX-License-Identifier: MIT */
/*
 * report.c: what `hbakit serve` hears of the plugin, which runs in a program that is not ours: JSON
 * objects down a pipe, one a line.
 */
#include "nbd.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* If the reader has gone, no report is needed. Takes `o`. */
static void send_line(int fd, struct json_object *o)
{
	char *line = NULL;
	int length =
		asprintf(&line, "%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	ssize_t n = 1;

	for (int at = 0; at < length && n > 0; at += (int)n)
		n = write(fd, line + at, (size_t)(length - at));
	if (length >= 0)
		free(line);
	json_object_put(o);
}

static int add_export(const struct unit *unit, const struct hba_lun_info *info, void *arg)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "name", json_object_new_string(unit->name));
	json_object_object_add(o, "address", json_object_new_string(unit->address));
	json_object_object_add(o, "size",
			       json_object_new_int64((int64_t)(info->blocks * info->block_bytes)));
	json_object_object_add(o, "block_size", json_object_new_int64(info->block_bytes));
	json_object_object_add(o, "read_only", json_object_new_boolean(info->read_only));
	json_object_array_add(arg, o);
	return 0;
}

void report_ready(int fd, const struct hba_controller *c, struct units *u)
{
	struct json_object *o, *list;

	if (fd < 0)
		return;
	o = json_object_new_object();
	list = json_object_new_array();
	units_each(u, add_export, list);
	json_object_object_add(o, "driver", json_object_new_string(hba_controller_driver(c)));
	json_object_object_add(o, "exports", list);
	send_line(fd, o);
}

void report_failed(int fd, const char *sentence)
{
	struct json_object *o;

	if (fd < 0)
		return;
	o = json_object_new_object();
	json_object_object_add(o, "error", json_object_new_string(sentence));
	send_line(fd, o);
}

void report_lost(int fd, const char *sentence, unsigned retry_s)
{
	struct json_object *o;

	if (fd < 0)
		return;
	o = json_object_new_object();
	json_object_object_add(o, "lost", json_object_new_string(sentence));
	if (retry_s)
		json_object_object_add(o, "retry", json_object_new_int64(retry_s));
	send_line(fd, o);
}

void report_alive(int fd)
{
	struct json_object *o;

	if (fd < 0)
		return;
	o = json_object_new_object();
	json_object_object_add(o, "alive", json_object_new_boolean(true));
	send_line(fd, o);
}
