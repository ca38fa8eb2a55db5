/* SPDX-License-Identifier: MIT */
/* open.c: from a URI to a controller: what stands in it is taken apart here, who serves it the registry knows. */
#include "base/base.h"
#include "core/core.h"
#include "registry/registry.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { LIST_BYTES = 256 };

static void list_schemes(char list[LIST_BYTES])
{
	size_t used = 0;

	list[0] = '\0';
	for (const struct hba_driver *d = hba_driver_next(NULL); d; d = hba_driver_next(d))
		if (d->scheme && used < LIST_BYTES)
			used += (size_t)snprintf(list + used, LIST_BYTES - used, "%s%s:", used ? ", " : "", d->scheme);
}

static int refuse_scheme(const char *uri, const char *colon)
{
	char list[LIST_BYTES];

	list_schemes(list);
	if (!colon)
		return fail(-EINVAL, "'%s' names no controller: begin with one of %s", uri, list);
	return fail(-EINVAL, "no driver knows '%.*s:'; there are %s", (int)(colon - uri), uri, list);
}

static int check_options(const struct hba_options *o)
{
	if (!o)
		return 0;
	if (o->size > sizeof(*o))
		return fail(-EINVAL, "these options are %zu bytes, newer than this library's %zu", o->size, sizeof(*o));
	if (o->plugin)
		return fail(-EOPNOTSUPP, "plug-ins cannot be loaded by this version");
	return 0;
}

int hba_controller_open(const char *uri, const struct hba_options *options, struct hba_controller **ret_c)
{
	const char *colon = strchr(uri, ':');
	const struct hba_driver *driver = colon ? registry_driver(uri, (size_t)(colon - uri)) : NULL;
	struct controller_plan plan = { .driver = driver, .uri = uri, .options = options };
	autofree char *path = NULL;
	char *query;
	int r = check_options(options);

	if (r < 0)
		return r;
	if (!driver)
		return refuse_scheme(uri, colon);
	path = strdup(colon + 1);
	if (!path)
		return fail(-ENOMEM, "no memory for a controller");
	query = strchr(path, '?');
	if (query)
		*query++ = '\0';
	plan.path = path;
	plan.query = query;
	return controller_new(&plan, ret_c);
}
