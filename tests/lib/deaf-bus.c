/* SPDX-License-Identifier: MIT */
/* deaf-bus.c: see deaf-bus.h. */
#include "deaf-bus.h"

#include <errno.h>
#include <stdlib.h>

static int bus_opens(const char *path, const char *query, struct hba_bus_info *ret_info,
		     char why[HBA_BUS_WHY_BYTES], struct hba_bus_device **ret_device)
{
	(void)path;
	(void)query;
	(void)why;
	*ret_info =
		(struct hba_bus_info) { .page_bytes = DEAF_PAGE, .facts = HBA_BUS_FOREIGN_MEMORY };
	*ret_device = calloc(1, sizeof(**ret_device));
	return *ret_device ? 0 : -ENOMEM;
}

static void bus_closes(struct hba_bus_device *b)
{
	free(b);
}

static int bus_maps(struct hba_bus_device *b, int fd, uint64_t offset, size_t length, unsigned bits,
		    struct hba_iova *ret_iova)
{
	(void)b;
	(void)length;
	(void)bits;
	*ret_iova = (struct hba_iova) { ((uint64_t)fd << 32) + offset };
	return 0;
}

static int bus_masters(struct hba_bus_device *b, bool on, unsigned ms)
{
	int r = on ? 0 : b->master_off;

	(void)ms;
	b->offs += !on;
	if (r == 0)
		b->master = on;
	return r;
}

static int bus_resets(struct hba_bus_device *b, unsigned ms)
{
	(void)ms;
	b->resets++;
	if (b->reset == 0)
		b->master = false;
	return b->reset;
}

const struct hba_bus deaf_bus = {
	HBA_BUS_HEADER,      .name = "deaf",         .open = bus_opens,
	.close = bus_closes, .map_memory = bus_maps, .bus_master = bus_masters,
	.reset = bus_resets,
};
