/* SPDX-License-Identifier: MIT */
/* host.h: the host's own room. One block per file. */
#ifndef HOST_HOST_H
#define HOST_HOST_H

#include "core/controller/controller.h"

#include <hbakit/pci.h>

/* ---- elf.c */

/**
 * elf_check_file() - Is this a whole shared object? 0, or -errno with a sentence, where dlopen()
 * would be unclear or crash.
 */
int elf_check_file(const char *path);

/** elf_is_function() - Of what dlsym() found: may it be called? */
bool elf_is_function(const void *address);

/* ---- pci.c */

/**
 * pci_next() - hba_pci_next_for() on the system below `root`; "" is this machine, a test brings a
 * directory.
 */
int pci_next(const char *root, const struct hba_driver *plugin, const char *address,
	     struct hba_pci_adapter *ret_adapter);

#endif
