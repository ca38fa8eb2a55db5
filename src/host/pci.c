/* SPDX-License-Identifier: MIT */
/*
 * pci.c: the adapters of this machine: sysfs's facts about each, its driver, and the obstacles to
 * its use.
 */
#include "host/host.h"

#include "base/base.h"
#include "bus/bus.h"
#include "registry/registry.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { CLASS_STORAGE = 0x01, CLASS_SHIFT = 16, PATH_BYTES = 512 };

static_assert((int)HBA_PCI_OBSTACLES == (int)PCI_OBSTACLES &&
		      (int)HBA_PCI_LOW_MEMLOCK == (int)PCI_LOW_MEMLOCK,
	      "the public list is the bus's own");
static_assert(sizeof(((struct hba_pci_adapter *)0)->why[0]) >= HBA_BUS_WHY_BYTES,
	      "a sentence fits");
static_assert((int)HBA_PCI_MATES == (int)PCI_MATES, "both keep as many");

static void take_mates(const struct pci_function *f, struct hba_pci_adapter *a)
{
	a->n_mates = f->n_mates;
	for (unsigned i = 0; i < f->n_mates && i < HBA_PCI_MATES; i++) {
		memcpy(a->mates[i].address, f->mates[i].address, sizeof(a->mates[i].address));
		memcpy(a->mates[i].kernel_driver, f->mates[i].driver,
		       sizeof(a->mates[i].kernel_driver));
	}
}

static void take_obstacles(const char *root, const struct pci_function *f,
			   struct hba_pci_adapter *a)
{
	for (unsigned o = 0; o < PCI_OBSTACLES; o++)
		if (pci_obstacle_why(root, f, (enum pci_obstacle)o, a->why[o]))
			a->obstacles |= 1U << o;
}

static const char *driver_for(const struct hba_driver *plugin, const struct pci_function *f)
{
	const struct hba_bus_info info = { .vendor = f->vendor,
					   .device = f->device,
					   .subvendor = f->subvendor,
					   .subdevice = f->subdevice };
	const struct hba_driver *d;
	const void *variant;

	d = registry_driver_for(plugin, &info, &variant);
	return d ? d->name : NULL;
}

static void pci_describe(const char *root, const struct hba_driver *plugin,
			 const struct pci_function *f, struct hba_pci_adapter *ret_adapter)
{
	struct hba_pci_adapter a = {
		.vendor = f->vendor,
		.device = f->device,
		.subvendor = f->subvendor,
		.subdevice = f->subdevice,
		.class_code = f->class_code,
		.driver = driver_for(plugin, f),
		.group = f->group,
	};

	memcpy(a.address, f->address, sizeof(a.address));
	memcpy(a.kernel_driver, f->driver, sizeof(a.kernel_driver));
	take_mates(f, &a);
	take_obstacles(root, f, &a);
	pci_bind_command(f, true, a.bind_driverctl, sizeof(a.bind_driverctl));
	pci_bind_command(f, false, a.bind_sysfs, sizeof(a.bind_sysfs));
	*ret_adapter = a;
}

/* A directory has no order; the next is the least that is greater. */
static void take_if_next(const char *root, const char *name, const char *after,
			 struct pci_function *best)
{
	char address[PCI_ADDRESS_BYTES];
	struct pci_function f;

	if (pci_address_parse(name, address) < 0 || strcmp(address, after) <= 0 ||
	    (best->address[0] && strcmp(address, best->address) >= 0))
		return;
	/* One that is pulled out just now is no adapter. */
	if (pci_function_read(root, address, &f) == 0 &&
	    f.class_code >> CLASS_SHIFT == CLASS_STORAGE)
		*best = f;
}

int pci_next(const char *root, const struct hba_driver *plugin, const char *address,
	     struct hba_pci_adapter *ret_adapter)
{
	struct pci_function best = { .group = -1 };
	char path[PATH_BYTES];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices", root);
	dir = opendir(path);
	/* A machine without PCI has no adapters. */
	if (!dir)
		return errno == ENOENT ? 0 : fail(-errno, "%s: %s", path, strerror(errno));
	while ((e = readdir(dir)))
		take_if_next(root, e->d_name, address ? address : "", &best);
	closedir(dir);
	if (!best.address[0])
		return 0;
	pci_describe(root, plugin, &best, ret_adapter);
	return 1;
}

int hba_pci_next(const char *address, struct hba_pci_adapter *ret_adapter)
{
	return pci_next("", NULL, address, ret_adapter);
}

int hba_pci_next_for(const struct hba_driver *plugin, const char *address,
		     struct hba_pci_adapter *ret_adapter)
{
	return pci_next("", plugin, address, ret_adapter);
}
