/* SPDX-License-Identifier: MIT */
/*
 * report.c: a controller described: how it came up, what its pool took, what its driver reports. As
 * text and as JSON.
 */
#include "cli/cli.h"

#include "base/base.h"

#include <hbakit/driver.h>
#include <inttypes.h>
#include <string.h>

enum { KEY_COLUMN = -26, NS_PER_US = 1000 };

/* ---- the report */

#define FIELD(name)                                      \
	{                                                \
#name, offsetof(struct hba_report, name) \
	}
#define LIMIT(name)                                                  \
	{                                                            \
#name, offsetof(struct hba_report, constraints.name) \
	}

static const struct {
	const char *name;
	size_t offset;
} fields[] = {
	FIELD(initiator_id),
	FIELD(highest_target_id),
	FIELD(highest_lun),
	FIELD(max_tasks),
	FIELD(internal_tasks),
	FIELD(queues),
	FIELD(manages_devices),
	FIELD(performs_autosense),
	FIELD(multipath),
	FIELD(hierarchical_luns),
	FIELD(features),
	FIELD(tag_bits),
	FIELD(max_cdb),
	FIELD(tmfs),
	FIELD(data_mode),
	FIELD(wants_task_data),
	LIMIT(max_segments_read),
	LIMIT(max_segments_write),
	LIMIT(max_segment_bytes_read),
	LIMIT(max_segment_bytes_write),
	LIMIT(alignment),
	LIMIT(address_bits),
	LIMIT(hba_data_mask),
	LIMIT(boundary),
	LIMIT(max_transfer),
	FIELD(physical_iovas),
	FIELD(control_address_bits),
	FIELD(hba_data_size),
	FIELD(hba_data_contiguous),
	FIELD(hba_data_same_4g),
	FIELD(queue_priv_size),
	FIELD(task_priv_size),
	FIELD(target_priv_size),
	FIELD(lun_priv_size),
	FIELD(depth),
};

static uint64_t field_value(const struct hba_report *r, size_t i)
{
	uint64_t value;

	memcpy(&value, (const char *)r + fields[i].offset, sizeof(value));
	return value;
}

/* What a driver left unset has no value: null, so that no reader takes the mark for a number. */
static struct json_object *report_json(const struct hba_report *r)
{
	struct json_object *o = json_object_new_object();

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		uint64_t value = field_value(r, i);

		json_object_object_add(o, fields[i].name,
				       value == HBA_UNSET ? NULL : json_object_new_uint64(value));
	}
	return o;
}

void cli_print_report(const struct hba_report *r)
{
	puts("\nReport");
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		uint64_t value = field_value(r, i);

		if (value == HBA_UNSET || value == UINT64_MAX)
			printf("  %*s not limited\n", KEY_COLUMN, fields[i].name);
		else if (strcmp(fields[i].name, "features") && strcmp(fields[i].name, "tmfs") &&
			 strcmp(fields[i].name, "hba_data_mask"))
			printf("  %*s %" PRIu64 "\n", KEY_COLUMN, fields[i].name, value);
		else
			printf("  %*s %#" PRIx64 "\n", KEY_COLUMN, fields[i].name, value);
	}
}

/* ---- properties */

static void add_property(struct json_object *o, const struct hba_property *p)
{
	autofree char *key = cli_printable(p->key);

	if (!key)
		return;
	if (p->type == HBA_STRING)
		cli_json_text(o, key, p->value.string);
	else if (p->type == HBA_NUMBER)
		cli_json_number(o, key, p->value.number);
	else
		cli_json_hex(o, key, p->value.bytes, p->length);
}

struct json_object *cli_properties_json(const struct hba_controller *c, uint64_t target)
{
	struct json_object *o = json_object_new_object();
	struct hba_property p;

	for (unsigned i = 0; hba_property_get(c, target, i, &p) == 0; i++)
		add_property(o, &p);
	return o;
}

static void print_property(const struct hba_property *p, const char *indent)
{
	autofree char *key = cli_printable(p->key);
	autofree char *text = p->type == HBA_STRING ? cli_printable(p->value.string) : NULL;

	printf("%s%*s ", indent, KEY_COLUMN, key ? key : "");
	if (p->type == HBA_STRING)
		printf("%s\n", text ? text : "");
	else if (p->type == HBA_NUMBER)
		printf("%" PRIu64 "\n", p->value.number);
	else {
		for (size_t i = 0; i < p->length; i++)
			printf("%02x", ((const uint8_t *)p->value.bytes)[i]);
		putchar('\n');
	}
}

void cli_print_properties(const struct hba_controller *c, uint64_t target, const char *indent)
{
	struct hba_property p;

	for (unsigned i = 0; hba_property_get(c, target, i, &p) == 0; i++)
		print_property(&p, indent);
}

/* ---- the controller */

static struct json_object *steps_json(const struct hba_controller *c)
{
	struct json_object *list = json_object_new_array();
	const struct hba_step *steps;
	unsigned n = hba_controller_steps(c, &steps);

	for (unsigned i = 0; i < n; i++) {
		struct json_object *o = json_object_new_object();

		cli_json_text(o, "name", steps[i].name);
		cli_json_double(o, "us", (double)steps[i].ns / NS_PER_US);
		json_object_array_add(list, o);
	}
	return list;
}

static void add_counts(struct json_object *o, const struct hba_counts *n)
{
	struct json_object *tasks = json_object_new_object(), *data = json_object_new_object();

	cli_json_number(tasks, "client", n->client_tasks);
	cli_json_number(tasks, "internal", n->internal_tasks);
	cli_json_number(tasks, "tmf", n->tmf_tasks);
	json_object_object_add(o, "tasks", tasks);
	cli_json_number(data, "mapped", n->hba_data_mapped);
	cli_json_number(data, "bytes", n->hba_data_bytes);
	cli_json_double(data, "us", (double)n->hba_data_ns / NS_PER_US);
	json_object_object_add(o, "hba_data", data);
	cli_json_number(o, "io_path_mappings", n->io_path_mappings);
}

struct json_object *cli_controller_json(const struct hba_controller *c)
{
	struct json_object *o = json_object_new_object();
	struct hba_counts n;

	hba_controller_counts(c, &n);
	cli_json_text(o, "uri", hba_controller_uri(c));
	cli_json_text(o, "driver", hba_controller_driver(c));
	cli_json_text(o, "state", hba_state_name(hba_controller_state(c)));
	json_object_object_add(o, "steps", steps_json(c));
	add_counts(o, &n);
	json_object_object_add(o, "report", report_json(hba_controller_report(c)));
	json_object_object_add(o, "properties", cli_properties_json(c, HBA_NO_TARGET));
	return o;
}

static void print_steps(const struct hba_controller *c)
{
	const struct hba_step *steps;
	unsigned n = hba_controller_steps(c, &steps);
	char time[16];

	for (unsigned i = 0; i < n; i++) {
		cli_format_time(steps[i].ns, time);
		printf("  %*s %s\n", KEY_COLUMN, steps[i].name, time);
	}
}

static void print_counts(const struct hba_counts *n, bool verbose)
{
	char bytes[16], time[16];

	format_size(n->hba_data_bytes, bytes);
	cli_format_time(n->hba_data_ns, time);
	printf("  %" PRIu64 " tasks mapped and named (%" PRIu64 "+%" PRIu64 "+%" PRIu64
	       "), %s of HBA data%s%s; ",
	       n->hba_data_mapped, n->client_tasks, n->internal_tasks, n->tmf_tasks, bytes,
	       verbose ? " in " : "", verbose ? time : "");
	if (n->io_path_mappings)
		printf("the I/O path tried to map %" PRIu64 " times: the driver is broken\n",
		       n->io_path_mappings);
	else
		puts("the I/O path mapped nothing");
}

void cli_print_headline(const struct hba_controller *c)
{
	autofree char *uri = cli_printable(hba_controller_uri(c));

	printf("%s  driver %s, %s\n", uri ? uri : "", hba_controller_driver(c),
	       hba_state_name(hba_controller_state(c)));
}

void cli_print_controller(const struct hba_controller *c, bool steps)
{
	struct hba_counts n;

	hba_controller_counts(c, &n);
	cli_print_properties(c, HBA_NO_TARGET, "  ");
	if (steps)
		print_steps(c);
	print_counts(&n, steps);
}
