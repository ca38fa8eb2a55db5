/* SPDX-License-Identifier: MIT */
/* host.h: the host's own room. One block per file. */
#ifndef HOST_HOST_H
#define HOST_HOST_H

#include "core/core.h"

#include <hbakit/pci.h>

/* ---- pci.c ------------------------------------------------------------------------------------------------------------- */

/** pci_next() - hba_pci_next() on the system below `root`; "" is this machine, a test brings a directory. */
int pci_next(const char *root, const char *address, struct hba_pci_adapter *ret_adapter);

#endif
