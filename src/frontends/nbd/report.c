/* SPDX-License-Identifier: MIT */
/* report.c: what `hbakit serve` hears of the plugin, which runs in a program that is not ours: one JSON object down a pipe. */
#include "nbd.h"

#include <json-c/json.h>
#include <string.h>
#include <unistd.h>

/* Who listens reads until the end; if it has gone, nobody needs this. Takes both. */
static void send_report(int fd, struct json_object *o)
{
	const char *text = json_object_to_json_string(o);
	size_t left = strlen(text);
	ssize_t n = 1;

	for (; left > 0 && n > 0; left -= (size_t)n, text += n) {
		n = write(fd, text, left);
		if (n < 0)
			break;
	}
	json_object_put(o);
	close(fd);
}

static int add_export(const struct unit *unit, const struct hba_lun_info *info, void *arg)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "name", json_object_new_string(unit->name));
	json_object_object_add(o, "address", json_object_new_string(unit->address));
	json_object_object_add(o, "size", json_object_new_int64((int64_t)(info->blocks * info->block_bytes)));
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
	send_report(fd, o);
}

void report_failed(int fd, const char *sentence)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "error", json_object_new_string(sentence));
	send_report(fd, o);
}
