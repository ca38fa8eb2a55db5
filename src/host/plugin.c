/* SPDX-License-Identifier: MIT */
/*
 * plugin.c: a driver in a shared object. Every fault of the file is reported in one sentence.
 *
 * The driver's own code is loaded: naming a file is trusting it. The checks find mistakes, not
 * malice.
 */
#include "base/base.h"
#include "core/controller/controller.h"
#include "host/host.h"
#include "registry/registry.h"

#include <dlfcn.h>
#include <errno.h>
#include <hbakit/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char entry_name[] = "hba_plugin"; /* what HBA_PLUGIN() defines */

struct plugin {
	struct hba_driver table;
	void *library;
};

typedef const struct hba_driver *(*entry_fn)(void);

static const char *without_path(const char *sentence, const char *path)
{
	size_t length = strlen(path);

	return strncmp(sentence, path, length) == 0 && strncmp(sentence + length, ": ", 2) == 0
		       ? sentence + length + 2
		       : sentence;
}

/*
 * A second copy of this library would have second copies of all its data, and none of our
 * controllers.
 */
static bool is_ours(void *symbol)
{
	Dl_info theirs, ours;

	return !symbol || (dladdr(symbol, &theirs) && dladdr(entry_name, &ours) &&
			   theirs.dli_fbase == ours.dli_fbase);
}

static int take_table(const char *path, void *library, struct hba_driver *ret_table)
{
	void *entry = dlsym(library, entry_name);
	const struct hba_driver *table;

	if (!entry)
		return fail(-ENOEXEC,
			    "%s: is no driver: it has no %s(); end the driver's file with "
			    "HBA_PLUGIN(its table)",
			    path, entry_name);
	if (!elf_is_function(entry))
		return fail(-ENOEXEC,
			    "%s: its %s is no function; end the driver's file with HBA_PLUGIN(its "
			    "table)",
			    path, entry_name);
	table = ((entry_fn)entry)();
	if (!table)
		return fail(-ENOEXEC, "%s: its %s() returned no table", path, entry_name);
	if (!is_ours(dlsym(library, "hba_complete")))
		return fail(-ENOEXEC,
			    "%s: brings another libhbakit with it than the one that loads it, %s; "
			    "link it with that, or with none",
			    path, hba_version());
	return driver_take(table, path, ret_table);
}

static bool is_scheme(const char *scheme)
{
	return scheme[0] >= 'a' && scheme[0] <= 'z' &&
	       scheme[strspn(scheme, "abcdefghijklmnopqrstuvwxyz0123456789+.-")] == '\0';
}

/* Its scheme must lead to no other driver. A chip may have two drivers: the plug-in comes first. */
static int check_names(const char *path, const struct hba_driver *t)
{
	const struct hba_driver *other =
		t->scheme ? registry_driver(NULL, t->scheme, strlen(t->scheme)) : NULL;

	for (const struct hba_driver *d = hba_driver_next(NULL); d; d = hba_driver_next(d))
		if (strcmp(d->name, t->name) == 0)
			return fail(-EEXIST,
				    "%s: there is a driver '%s' already, built in: give this one "
				    "another name",
				    path, t->name);
	if (!t->scheme == !t->ids)
		return fail(-EPROTO,
			    "%s: driver %s has %s scheme %s ids: a URI leads to it by one of them",
			    path, t->name, t->scheme ? "both" : "neither",
			    t->scheme ? "and" : "nor");
	if (!t->scheme)
		return 0;
	if (!is_scheme(t->scheme))
		return fail(-EPROTO,
			    "%s: driver %s: '%s' is no URI scheme: a-z, then a-z, 0-9, +, . and -, "
			    "without the colon",
			    path, t->name, t->scheme);
	if (other || registry_bus(t->scheme, strlen(t->scheme)))
		return fail(-EEXIST,
			    "%s: driver %s: '%s:' leads to %s %s already: give it another scheme",
			    path, t->name, t->scheme, other ? "driver" : "bus",
			    other ? other->name : t->scheme);
	return 0;
}

/*
 * A plug-in finds our functions among what is global; whoever loaded this library may have kept it
 * to himself: Python does.
 */
static void become_global(void)
{
	void *us = NULL;
	Dl_info ours;

	if (dladdr(entry_name, &ours))
		us = dlopen(ours.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL);
	if (us)
		dlclose(us);
}

static int load(const char *path, struct plugin *p)
{
	int r;

	become_global();
	p->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!p->library)
		return fail(-ENOEXEC, "%s: cannot be loaded: %s", path,
			    without_path(dlerror(), path));
	r = take_table(path, p->library, &p->table);
	return r == 0 ? check_names(path, &p->table) : r;
}

static void plugin_free(struct plugin *p)
{
	if (p->library)
		dlclose(p->library);
	free(p);
}

int hba_driver_load(const char *path, const struct hba_driver **ret_driver)
{
	autofree char *file = NULL;
	struct plugin *p;
	int r;

	if (!path || !ret_driver)
		return wrong_use("the path is NULL, or the place for the driver");
	/* Without a slash dlopen() would search the system's libraries, and not look here. */
	if (asprintf(&file, "%s%s", strchr(path, '/') ? "" : "./", path) < 0)
		return fail(-ENOMEM, "no memory for a plug-in");
	r = elf_check_file(file);
	if (r < 0)
		return r;
	p = calloc(1, sizeof(*p));
	if (!p)
		return fail(-ENOMEM, "no memory for a plug-in");
	r = load(file, p);
	if (r < 0) {
		plugin_free(p);
		return r;
	}
	*ret_driver = &p->table;
	return 0;
}

void hba_driver_unload(const struct hba_driver *driver)
{
	if (driver)
		plugin_free(container_of(driver, struct plugin, table));
}
