/* SPDX-License-Identifier: MIT */
/*
 * soft-units.c: see soft-units.h. A target is a device of src/target; its units lie over stores in
 * memory, in a file, or nowhere.
 */
#include "drivers/soft-units.h"

#include "base/base.h"
#include "target/target.h"

#include <assert.h>
#include <errno.h>
#include <hbakit/driver.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static_assert(SOFT_MOST_LUNS + 1 <= TARGET_MAX_UNITS, "all units, and the scratch unit");

/* One target on its way. */
struct making {
	struct hba_controller *c;
	const struct soft_wishes *w;
	struct target_device *device;
	unsigned number;
};

/* Same text, same disk: so another target's has to differ. */
static char *identity_of(const struct making *m, const char *disk)
{
	const char *text = m->w->serial ? m->w->serial : disk;
	char *identity;

	if (m->number == 0)
		return strdup(text);
	return asprintf(&identity, "%s, target %u", text, m->number) < 0 ? NULL : identity;
}

/* The store is the device's afterwards, or gone. */
static int add_unit(const struct making *m, struct store *store, bool read_only, const char *disk,
		    const char *reservations)
{
	autofree char *identity = identity_of(m, disk);
	struct target_unit_options options = {
		.store = store,
		.block_bytes = (uint32_t)m->w->block,
		.read_only = read_only,
		.identity = identity,
		.removable = m->w->removable,
		.reservations = reservations,
	};
	char message[TARGET_MESSAGE_BYTES] = "no memory for a unit";
	int r = identity ? target_device_add(m->device, &options, message) : -ENOMEM;

	if (r < 0) {
		store_free(store);
		return hba_fail(m->c, r, "%s: %s", m->w->path, message);
	}
	return 0;
}

/*
 * Beside an image; beside a block device is /dev, which is no place for files: there none outlive a
 * power loss.
 */
static int name_reservations(const char *path, char **ret_name)
{
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	return asprintf(ret_name, "%s.pr", path) < 0 ? -ENOMEM : 0;
}

static int add_file(const struct making *m)
{
	autofree char *canonical = NULL, *reservations = NULL;
	const struct soft_wishes *w = m->w;
	char message[TARGET_MESSAGE_BYTES];
	struct store *store;
	int r = store_open_file(w->path, w->read_only, &store, message);

	if (r == -ENOENT && !strchr(w->path, '/') && !strchr(w->path, '.'))
		return hba_fail(m->c, r,
				"there is no file %s, and no store of that name: the stores are "
				"ram and null",
				w->path);
	if (r < 0)
		return hba_fail(m->c, r, "%s", message);
	if (store->read_only && !w->read_only)
		hba_log(m->c, HBA_LOG_WARNING, "%s may not be written: its unit is read-only",
			w->path);
	/* However the path was written, it is the same disk. */
	canonical = realpath(w->path, NULL);
	r = name_reservations(canonical ? canonical : w->path, &reservations);
	if (r < 0) {
		store_free(store);
		return hba_fail(m->c, r, "no memory to open %s", w->path);
	}
	return add_unit(m, store, w->read_only, canonical ? canonical : w->path, reservations);
}

static int add_ram(const struct making *m, uint64_t bytes, bool read_only)
{
	char message[TARGET_MESSAGE_BYTES];
	struct store *store;
	int r = store_open_ram(bytes, &store, message);

	return r < 0 ? hba_fail(m->c, r, "%s", message)
		     : add_unit(m, store, read_only, "ram", NULL);
}

static int add_null(const struct making *m)
{
	char message[TARGET_MESSAGE_BYTES];
	struct store *store;
	int r = store_open_null(m->w->size, m->w->fill_none ? NULL_FILL_NONE : NULL_FILL_ZERO,
				&store, message);

	return r < 0 ? hba_fail(m->c, r, "%s", message)
		     : add_unit(m, store, m->w->read_only, "null", NULL);
}

static int add_units(const struct making *m)
{
	bool ram = strcmp(m->w->path, "ram") == 0;
	int r = 0;

	if (soft_is_file(m->w))
		return add_file(m);
	for (uint64_t i = 0; i < m->w->luns && r == 0; i++)
		r = ram ? add_ram(m, m->w->size, m->w->read_only) : add_null(m);
	return r;
}

static int make_target(struct hba_controller *c, const struct soft_wishes *w,
		       struct soft_targets *t)
{
	struct making m = { .c = c, .w = w, .device = &t->devices[t->n], .number = t->n };
	int r = target_device_init(m.device, (unsigned)w->luns + (w->scratch ? 1 : 0));

	if (r < 0)
		return hba_fail(c, r, "no memory for %" PRIu64 " units", w->luns);
	t->n++;
	m.device->autosense = w->autosense;
	m.device->functions = (uint8_t)w->tmfs;
	m.device->nexuses = 1; /* a controller is one initiator */
	m.device->one_thread = w->queues == 1;
	r = add_units(&m);
	if (r < 0)
		return r;
	/* Always writable, whatever the disk beside it is: that is what it is for. */
	return w->scratch ? add_ram(&m, w->scratch, false) : 0;
}

int soft_make_targets(struct hba_controller *c, const struct soft_wishes *w, struct soft_targets *t)
{
	int r = 0;

	t->devices = calloc(w->targets, sizeof(*t->devices));
	if (!t->devices)
		return hba_fail(c, -ENOMEM, "no memory for %" PRIu64 " targets", w->targets);
	while (t->n < w->targets && r == 0)
		r = make_target(c, w, t);
	return r;
}

void soft_free_targets(struct soft_targets *t)
{
	for (unsigned i = 0; i < t->n; i++)
		target_device_clear(&t->devices[i]);
	free(t->devices);
	*t = (struct soft_targets) { 0 };
}
