/* SPDX-License-Identifier: MIT */
/* registry.c: the plain list of drivers. */
#include "registry/registry.h"

#include "drivers/drivers.h"

#include <string.h>

static const struct hba_driver *const drivers[] = { &soft_driver, NULL };

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
