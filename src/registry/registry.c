/* SPDX-License-Identifier: MIT */
/* registry.c: the plain lists of drivers and buses. */
#include "registry/registry.h"

#include "base/base.h"
#include "bus/bus.h"
#include "drivers/drivers.h"

#include <stdio.h>
#include <string.h>

static const struct hba_driver *const drivers[] = { &soft_driver, &pvscsi_driver, &virtio_scsi_driver, NULL };
static const struct hba_bus *const buses[] = { &bus_qemu, &bus_vfio };

const struct hba_driver *registry_driver(const char *scheme, size_t length)
{
	for (size_t i = 0; drivers[i]; i++)
		if (drivers[i]->scheme && strlen(drivers[i]->scheme) == length && memcmp(drivers[i]->scheme, scheme, length) == 0)
			return drivers[i];
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

static bool is_chip(const struct hba_pci_id *id, const struct hba_bus_info *info)
{
	return id->vendor == info->vendor && id->device == info->device && (!id->subvendor || id->subvendor == info->subvendor) &&
	       (!id->subdevice || id->subdevice == info->subdevice);
}

const struct hba_driver *registry_driver_for(const struct hba_bus_info *info, const void **ret_variant)
{
	for (size_t i = 0; drivers[i]; i++)
		for (const struct hba_pci_id *id = drivers[i]->ids; id && id->vendor; id++)
			if (is_chip(id, info)) {
				*ret_variant = id->variant;
				return drivers[i];
			}
	return NULL;
}

void registry_schemes(char *list, size_t size)
{
	size_t used = 0;

	list[0] = '\0';
	for (size_t i = 0; drivers[i] && used < size; i++)
		if (drivers[i]->scheme)
			used += (size_t)snprintf(list + used, size - used, "%s%s:", used ? ", " : "", drivers[i]->scheme);
	for (size_t i = 0; i < ARRAY_SIZE(buses) && used < size; i++)
		used += (size_t)snprintf(list + used, size - used, "%s%s:", used ? ", " : "", buses[i]->name);
}
