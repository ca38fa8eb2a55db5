/* SPDX-License-Identifier: MIT */
/*
 * registry.h: the one place that knows which drivers and buses there are. A URI's scheme leads to them.
 */
#ifndef REGISTRY_REGISTRY_H
#define REGISTRY_REGISTRY_H

#include <hbakit/driver.h>

/** registry_driver() - The built-in driver with this URI scheme; NULL: none. */
const struct hba_driver *registry_driver(const char *scheme, size_t length);

#endif
