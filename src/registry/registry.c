/* SPDX-License-Identifier: MIT */
/* registry.c: the plain lists of drivers and buses. */
#include "registry/registry.h"

#include "base/base.h"
#include "bus/bus.h"
#include "drivers/drivers.h"

#include <stdio.h>
#include <string.h>

static const struct hba_driver *const drivers[] = { &soft_driver,
						    &megasas_driver,
						    &mptsas_driver,
						    &pvscsi_driver,
						    &sym53c8xx_driver,
						    &virtio_scsi_driver,
						    NULL };
static const struct hba_bus *const buses[] = { &bus_qemu, &bus_vfio };

/* The first of all is `first`, if there is one. NULL: no more. */
static const struct hba_driver *driver_at(const struct hba_driver *first, size_t i)
{
	if (!first)
		return drivers[i];
	return i == 0 ? first : drivers[i - 1];
}

const struct hba_driver *registry_driver(const struct hba_driver *first, const char *scheme,
					 size_t length)
{
	const struct hba_driver *d;

	for (size_t i = 0; (d = driver_at(first, i)); i++)
		if (d->scheme && strlen(d->scheme) == length &&
		    memcmp(d->scheme, scheme, length) == 0)
			return d;
	return NULL;
}

const struct hba_driver *hba_driver_next(const struct hba_driver *driver)
{
	size_t i = 0;

	while (driver && drivers[i] && drivers[i] != driver)
		i++;
	return drivers[i] && driver ? drivers[i + 1] : drivers[i];
}

const struct hba_bus *registry_bus(const char *scheme, size_t length)
{
	for (size_t i = 0; i < ARRAY_SIZE(buses); i++)
		if (strlen(buses[i]->name) == length && memcmp(buses[i]->name, scheme, length) == 0)
			return buses[i];
	return NULL;
}

const struct hba_bus *hba_bus_next(const struct hba_bus *bus)
{
	size_t i = 0;

	while (bus && i < ARRAY_SIZE(buses) && buses[i] != bus)
		i++;
	if (bus)
		i++;
	return i < ARRAY_SIZE(buses) ? buses[i] : NULL;
}

static bool is_chip(const struct hba_pci_id *id, const struct hba_bus_info *info)
{
	return id->vendor == info->vendor && id->device == info->device &&
	       (!id->subvendor || id->subvendor == info->subvendor) &&
	       (!id->subdevice || id->subdevice == info->subdevice);
}

const struct hba_driver *registry_driver_for(const struct hba_driver *first,
					     const struct hba_bus_info *info,
					     const void **ret_variant)
{
	const struct hba_driver *d;

	for (size_t i = 0; (d = driver_at(first, i)); i++)
		for (const struct hba_pci_id *id = d->ids; id && id->vendor; id++)
			if (is_chip(id, info)) {
				*ret_variant = id->variant;
				return d;
			}
	return NULL;
}

void registry_schemes(const struct hba_driver *first, char *list, size_t size)
{
	const struct hba_driver *d;
	size_t used = 0;

	list[0] = '\0';
	for (size_t i = 0; (d = driver_at(first, i)) && used < size; i++)
		if (d->scheme)
			used += (size_t)snprintf(list + used, size - used,
						 "%s%s:", used ? ", " : "", d->scheme);
	for (size_t i = 0; i < ARRAY_SIZE(buses) && used < size; i++)
		used += (size_t)snprintf(list + used, size - used, "%s%s:", used ? ", " : "",
					 buses[i]->name);
}
