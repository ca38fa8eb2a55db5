/* SPDX-License-Identifier: MIT */
/* cmd-drivers.c: `hbakit drivers [NAME]`. */
#include "cli/cli.h"

#include "base/base.h"

#include <hbakit/driver.h>
#include <string.h>

enum { NAME_COLUMN = -12, REACHED_COLUMN = -16, OPTION_COLUMN = -24 };

struct arguments {
	struct cli_common common;
	const char *name;
};

static error_t drivers_take(struct cli_common *common, int key, char *arg)
{
	struct arguments *a = container_of(common, struct arguments, common);

	if (key != ARGP_KEY_ARG)
		return ARGP_ERR_UNKNOWN;
	if (a->name) {
		cli_usage("%s: one argument too many: one driver's name, or none", arg);
		return CLI_TOLD;
	}
	a->name = arg;
	return 0;
}

static struct json_object *ids_json(const struct hba_pci_id *ids)
{
	struct json_object *list = json_object_new_array();
	char text[5];

	for (; ids && ids->vendor; ids++) {
		struct json_object *o = json_object_new_object();

		snprintf(text, sizeof(text), "%04x", ids->vendor);
		cli_json_text(o, "vendor", text);
		snprintf(text, sizeof(text), "%04x", ids->device);
		cli_json_text(o, "device", text);
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *options_json(const struct hba_option *option)
{
	struct json_object *list = json_object_new_array();

	for (; option && option->name; option++) {
		struct json_object *o = json_object_new_object();

		cli_json_text(o, "name", option->name);
		json_object_object_add(
			o, "default", option->value ? json_object_new_string(option->value) : NULL);
		cli_json_text(o, "help", option->help);
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *driver_json(const struct hba_driver *d)
{
	struct json_object *o = json_object_new_object();

	cli_json_text(o, "name", d->name);
	cli_json_text(o, "summary", d->summary);
	json_object_object_add(o, "scheme", d->scheme ? json_object_new_string(d->scheme) : NULL);
	json_object_object_add(o, "ids", ids_json(d->ids));
	json_object_object_add(o, "options", options_json(d->options));
	return o;
}

static struct json_object *bus_json(const struct hba_bus *b)
{
	struct json_object *o = json_object_new_object();

	cli_json_text(o, "name", b->name);
	cli_json_text(o, "summary", b->summary);
	json_object_object_add(o, "options", options_json(b->options));
	return o;
}

static void print_row(const struct hba_driver *d)
{
	autofree char *summary = cli_printable(d->summary);
	char reached[32];

	if (d->scheme)
		snprintf(reached, sizeof(reached), "%s:", d->scheme);
	else if (d->ids)
		snprintf(reached, sizeof(reached), "pci %04x:%04x%s", d->ids->vendor,
			 d->ids->device, d->ids[1].vendor ? " ..." : "");
	else
		snprintf(reached, sizeof(reached), "-");
	printf("%*s %*s %s\n", NAME_COLUMN, d->name, REACHED_COLUMN, reached,
	       summary ? summary : "");
}

static void print_option(const struct hba_option *o)
{
	autofree char *value = cli_printable(o->value), *help = cli_printable(o->help);
	char option[64];

	snprintf(option, sizeof(option), "%s%s%s", o->name, o->value ? "=" : "",
		 value ? value : "");
	printf("  %*s %s\n", OPTION_COLUMN, option, help ? help : "");
}

static void print_options(const struct hba_option *options)
{
	for (const struct hba_option *o = options; o && o->name; o++) {
		if (o == options)
			puts("\nOptions, after the URI's `?', joined by `&':");
		print_option(o);
	}
}

static void print_driver(const struct hba_driver *d)
{
	autofree char *summary = cli_printable(d->summary);

	printf("%s: %s\n", d->name, summary ? summary : "");
	if (d->scheme)
		printf("\nURI: %s:...\n", d->scheme);
	for (const struct hba_pci_id *id = d->ids; id && id->vendor; id++)
		printf("%s  %04x:%04x\n", id == d->ids ? "\nPCI ids:\n" : "", id->vendor,
		       id->device);
	print_options(d->options);
}

/* The part of a URI that follows the bus, as a user would begin. */
static const char *rest_of_uri(const struct hba_bus *b)
{
	static const struct {
		const char *bus, *rest;
	} known[] = { { "pci", "ADDRESS" }, { "qemu", "MODEL?drive=FILE" } };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(known[i].bus, b->name) == 0)
			return known[i].rest;
	return "...";
}

static void print_bus(const struct hba_bus *b)
{
	printf("%s: %s\n\nURI: %s:%s\n", b->name, b->summary, b->name, rest_of_uri(b));
	print_options(b->options);
}

/* NULL: the first; that of the plug-in comes before all others. */
static const struct hba_driver *next_driver(const struct hba_driver *plugin,
					    const struct hba_driver *d)
{
	if (!d && plugin)
		return plugin;
	return hba_driver_next(d == plugin ? NULL : d);
}

static int show_one(const struct arguments *a, const struct hba_driver *plugin)
{
	for (const struct hba_driver *d = next_driver(plugin, NULL); d;
	     d = next_driver(plugin, d)) {
		if (strcmp(d->name, a->name))
			continue;
		if (a->common.json)
			return cli_json_print(driver_json(d));
		print_driver(d);
		return cli_finish_output();
	}
	for (const struct hba_bus *b = hba_bus_next(NULL); b; b = hba_bus_next(b)) {
		if (strcmp(b->name, a->name))
			continue;
		if (a->common.json)
			return cli_json_print(bus_json(b));
		print_bus(b);
		return cli_finish_output();
	}
	return cli_fail("%s: no such driver or bus; `hbakit drivers' lists them", a->name);
}

static int show_all_json(const struct hba_driver *plugin)
{
	struct json_object *o = json_object_new_object(), *drivers = json_object_new_array(),
			   *buses = json_object_new_array();

	for (const struct hba_driver *d = next_driver(plugin, NULL); d; d = next_driver(plugin, d))
		json_object_array_add(drivers, driver_json(d));
	for (const struct hba_bus *b = hba_bus_next(NULL); b; b = hba_bus_next(b))
		json_object_array_add(buses, bus_json(b));
	json_object_object_add(o, "drivers", drivers);
	json_object_object_add(o, "buses", buses);
	return cli_json_print(o);
}

static int show_all(const struct hba_driver *plugin)
{
	for (const struct hba_driver *d = next_driver(plugin, NULL); d; d = next_driver(plugin, d))
		print_row(d);
	puts("\nBuses that lead to the chips:");
	for (const struct hba_bus *b = hba_bus_next(NULL); b; b = hba_bus_next(b))
		printf("%*s %s:%*s %s\n", NAME_COLUMN, b->name, b->name,
		       REACHED_COLUMN + (int)strlen(b->name) + 1, "", b->summary);
	return cli_finish_output();
}

static int run_drivers(int argc, char **argv)
{
	struct arguments a = { .name = NULL };
	const struct hba_driver *plugin = NULL;
	int r = cli_parse(&cmd_drivers, argc, argv, &a.common);

	if (r == 0 && a.common.plugin && hba_driver_load(a.common.plugin, &plugin) < 0)
		r = cli_fail("%s", hba_error());
	if (r)
		return r;
	if (a.name)
		r = show_one(&a, plugin);
	else
		r = a.common.json ? show_all_json(plugin) : show_all(plugin);
	hba_driver_unload(plugin);
	return r;
}

const struct cli_command cmd_drivers = {
	.name = "drivers",
	.summary = "list drivers and buses, or one with its options",
	.arguments = "[NAME]",
	.doc = "List the drivers and buses, or show one with its chips and options.",
	.asks = CLI_ASKS_PLUGIN,
	.take = drivers_take,
	.run = run_drivers,
};
