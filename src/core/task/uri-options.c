/* SPDX-License-Identifier: MIT */
/* uri-options.c: the query of a URI, read against the driver's list of options. */
#include "core/controller/controller.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct uri_option {
	char *name, *value;
	bool is_bare; /* a name alone: its value is "1" */
	struct uri_option *next;
};

static const struct hba_option *find_option(const struct hba_option *list, const char *name)
{
	for (const struct hba_option *o = list; o && o->name; o++)
		if (strcmp(o->name, name) == 0)
			return o;
	return NULL;
}

/* The driver's own, or its bus's: the bus reads them from the query itself. */
static const struct hba_option *known_option(const struct hba_controller *c, const char *name)
{
	const struct hba_option *o = find_option(c->driver->options, name);

	return o || !c->bus.table ? o : find_option(c->bus.table->options, name);
}

/* How many there are differs, so that a list of them is no part of a sentence. */
static int refuse_unknown(struct hba_controller *c, const char *name)
{
	return fail(-EINVAL,
		    "%s: driver %s has no option '%s'; `hbakit drivers %s' lists its options",
		    c->uri, c->driver->name, name, c->driver->name);
}

static int add_option(struct hba_controller *c, const char *item)
{
	const char *equals = strchr(item, '=');
	struct uri_option *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	o->next = c->options;
	c->options = o;
	o->name = strndup(item, equals ? (size_t)(equals - item) : strlen(item));
	o->value = strdup(equals ? equals + 1 : "1");
	o->is_bare = !equals;
	if (!o->name || !o->value)
		return -ENOMEM;
	return known_option(c, o->name) ? 0 : refuse_unknown(c, o->name);
}

int uri_options_parse(struct hba_controller *c, const char *query)
{
	autofree char *copy = strdup(query);
	char *rest = copy, *item;
	int r;

	if (!copy)
		return -ENOMEM;
	while ((item = strsep(&rest, "&"))) {
		if (!*item)
			continue;
		r = add_option(c, item);
		if (r < 0)
			return r;
	}
	return 0;
}

void uri_options_free(struct hba_controller *c)
{
	struct uri_option *o;

	while ((o = c->options)) {
		c->options = o->next;
		free(o->name);
		free(o->value);
		free(o);
	}
}

const char *hba_uri_path(const struct hba_controller *c)
{
	return c->path;
}

const char *hba_uri_option(const struct hba_controller *c, const char *name)
{
	const struct hba_option *known;

	for (const struct uri_option *o = c->options; o; o = o->next)
		if (strcmp(o->name, name) == 0)
			return o->value;
	known = known_option(c, name);
	return known ? known->value : NULL;
}

/* Its name alone switches on what is 0 or 1; any other number has to be written. */
static bool lacks_number(const struct hba_controller *c, const char *name)
{
	const struct hba_option *known = known_option(c, name);
	bool is_switch = known && known->value &&
			 (strcmp(known->value, "0") == 0 || strcmp(known->value, "1") == 0);

	for (const struct uri_option *o = c->options; o; o = o->next)
		if (strcmp(o->name, name) == 0)
			return o->is_bare && !is_switch;
	return false;
}

int hba_uri_number(const struct hba_controller *c, const char *name, uint64_t *ret_number)
{
	const char *value = hba_uri_option(c, name);
	struct hba_controller *writable = (struct hba_controller *)(uintptr_t)c;
	int r;

	if (!value)
		return hba_fail(writable, -EINVAL, "option '%s' is needed: %s=NUMBER", name, name);
	if (lacks_number(c, name))
		return hba_fail(
			writable, -EINVAL,
			"option '%s' needs a number: %s=NUMBER (k, M, G or T may follow it)", name,
			name);
	r = parse_size(value, ret_number);
	if (r == -ERANGE)
		return hba_fail(writable, -EINVAL,
				"option '%s=%s' is above %" PRIu64 ", the largest number there is",
				name, value, UINT64_MAX);
	if (r < 0 && value[0] == '-')
		return hba_fail(writable, -EINVAL,
				"option '%s=%s' is below 0, or no number; it is 0 or more (k, M, G "
				"or T may follow it)",
				name, value);
	if (r < 0)
		return hba_fail(writable, -EINVAL,
				"option '%s=%s' is not a number (k, M, G or T may follow it)", name,
				value);
	return 0;
}
