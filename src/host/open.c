/* SPDX-License-Identifier: MIT */
/* open.c: from a URI to a controller: the URI is taken apart here, the registry has its driver. */
#include "base/base.h"
#include "core/controller/controller.h"
#include "registry/registry.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { LIST_BYTES = 256 };

static int refuse_scheme(const struct hba_driver *plugin, const char *uri, const char *colon)
{
	char list[LIST_BYTES];

	registry_schemes(plugin, list, sizeof(list));
	if (!colon)
		return fail(-EINVAL, "'%s' names no controller: begin with one of %s", uri, list);
	return fail(-EINVAL, "no driver has '%.*s:'; there are %s", (int)(colon - uri), uri, list);
}

/* On a bus it is the chip that decides. */
static int choose_by_chip(const struct hba_driver *plugin, struct controller_plan *plan)
{
	char why[HBA_BUS_WHY_BYTES] = "";
	struct hba_bus_info info;
	int r = plan->bus->identify(plan->path, plan->query, &info, why);

	if (r < 0)
		return fail(r, "%s: %s", plan->uri, why[0] ? why : strerror(-r));
	plan->driver = registry_driver_for(plugin, &info, &plan->variant);
	return plan->driver ? 0
			    : fail(-ENOENT, "%s: there is no driver for chip %04x:%04x", plan->uri,
				   info.vendor, info.device);
}

/* Those of version 1 end before. */
static bool has_times(const struct hba_options *o)
{
	return o->size >= offsetof(struct hba_options, slow_ms) + sizeof(o->slow_ms);
}

static int check_options(const struct hba_options *o)
{
	if (!o)
		return 0;
	if (o->size > sizeof(*o))
		return fail(-EINVAL, "these options are %zu bytes, newer than this library's %zu",
			    o->size, sizeof(*o));
	if (has_times(o) && (o->timeout_ms > UINT32_MAX || o->slow_ms > UINT32_MAX))
		return fail(-EINVAL, "timeout_ms is %llu, slow_ms %llu; neither may be above %lu",
			    (unsigned long long)o->timeout_ms, (unsigned long long)o->slow_ms,
			    (unsigned long)UINT32_MAX);
	return 0;
}

static int open_uri(const char *uri, const struct hba_options *options,
		    const struct hba_driver *plugin, struct hba_controller **ret_c)
{
	const char *colon = strchr(uri, ':');
	size_t scheme = colon ? (size_t)(colon - uri) : 0;
	struct controller_plan plan = { .uri = uri, .options = options };
	autofree char *path = NULL;
	char *query;
	int r;

	plan.driver = registry_driver(plugin, uri, scheme);
	plan.bus = registry_bus(uri, scheme);
	if (!plan.driver && !plan.bus)
		return refuse_scheme(plugin, uri, colon);
	path = strdup(colon + 1);
	if (!path)
		return fail(-ENOMEM, "no memory for a controller");
	query = strchr(path, '?');
	if (query)
		*query++ = '\0';
	plan.path = path;
	plan.query = query;
	plan.loaded = plugin;
	plan.unload = hba_driver_unload;
	r = plan.bus ? choose_by_chip(plugin, &plan) : 0;
	return r < 0 ? r : controller_new(&plan, ret_c);
}

int hba_controller_open(const char *uri, const struct hba_options *options,
			struct hba_controller **ret_c)
{
	const struct hba_driver *plugin = NULL;
	int r = uri && ret_c ? check_options(options)
			     : wrong_use("the URI is NULL, or the place for the controller");

	if (r == 0 && options && options->plugin)
		r = hba_driver_load(options->plugin, &plugin);
	if (r < 0)
		return r;
	r = open_uri(uri, options, plugin, ret_c);
	if (r < 0)
		hba_driver_unload(plugin);
	return r;
}
