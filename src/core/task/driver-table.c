/* SPDX-License-Identifier: MIT */
/*
 * driver-table.c: a driver's table, which may be older or newer than this library. It only ever
 * grows: what an older one lacks is NULL, what a newer one has beyond ours must be unused.
 */
#include "core/controller/controller.h"

#include "base/base.h"

#include <errno.h>
#include <hbakit/version.h>
#include <string.h>

/*
 * Up to here every table has been since version 1, and no table will be so large that its size
 * cannot be a mistake.
 */
enum { LEAST_BYTES = offsetof(struct hba_driver, kick), MOST_BYTES = 4096 };

static bool is_zero(const void *bytes, size_t length)
{
	const uint8_t *p = bytes;

	while (length && *p == 0) {
		p++;
		length--;
	}
	return length == 0;
}

static bool is_name(const char *name)
{
	return name[0] && name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

static int check_layout(const struct hba_driver *d, const char *who)
{
	if (d->version != HBA_DRIVER_VERSION)
		return fail(-EPROTO,
			    "%s: the driver's table has version %u, and hbakit %s has version %d: "
			    "build it with these headers",
			    who, d->version, hba_version(), HBA_DRIVER_VERSION);
	if (d->size < LEAST_BYTES || d->size > MOST_BYTES)
		return fail(-EPROTO,
			    "%s: the size in the driver's table is %zu bytes, and may be %d to %d: "
			    "begin it with HBA_DRIVER_HEADER",
			    who, d->size, LEAST_BYTES, MOST_BYTES);
	if (d->size > sizeof(*d) && !is_zero((const uint8_t *)d + sizeof(*d), d->size - sizeof(*d)))
		return fail(-EPROTO,
			    "%s: the driver's table uses more than the %zu bytes that hbakit %s "
			    "has: it needs a newer hbakit",
			    who, sizeof(*d), hba_version());
	return 0;
}

int driver_take(const struct hba_driver *d, const char *who, struct hba_driver *ret_table)
{
	struct hba_driver table = { .size = sizeof(table) };
	int r = check_layout(d, who);

	if (r < 0)
		return r;
	memcpy(&table, d, d->size < sizeof(table) ? d->size : sizeof(table));
	table.size = sizeof(table);
	if (!table.name || !table.initialize || !table.process_task)
		return fail(-EPROTO,
			    "%s: the driver's table lacks name, initialize or process_task", who);
	if (!is_name(table.name))
		return fail(-EPROTO, "%s: a driver's name is made of a-z, 0-9 and -, not '%s'", who,
			    table.name);
	*ret_table = table;
	return 0;
}
