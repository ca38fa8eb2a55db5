/* SPDX-License-Identifier: MIT */
/* no-function.c: the table itself under the name of the function that returns it. */
#include <hbakit/driver.h>

extern const struct hba_driver hba_plugin;
const struct hba_driver hba_plugin = { HBA_DRIVER_HEADER, .name = "table" };
