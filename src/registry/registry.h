/* SPDX-License-Identifier: MIT */
/* registry.h: the one list of drivers and buses. A URI's scheme leads to them. */
#ifndef REGISTRY_REGISTRY_H
#define REGISTRY_REGISTRY_H

#include <hbakit/driver.h>

/* `first` comes before the built-in ones: a plug-in's; NULL: there is none. */

/** registry_driver() - The driver with this URI scheme; NULL: none. */
const struct hba_driver *registry_driver(const struct hba_driver *first, const char *scheme,
					 size_t length);

/** registry_bus() - The bus with this URI scheme; NULL: none. */
const struct hba_bus *registry_bus(const char *scheme, size_t length);

/** registry_driver_for() - The driver for a chip, and its facts about it; NULL: none. */
const struct hba_driver *registry_driver_for(const struct hba_driver *first,
					     const struct hba_bus_info *info,
					     const void **ret_variant);

/** registry_schemes() - "soft:, qemu:", for a person. */
void registry_schemes(const struct hba_driver *first, char *list, size_t size);

#endif
