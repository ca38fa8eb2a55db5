/* SPDX-License-Identifier: MIT */
/*
 * pci.h: the SCSI, SAS and RAID adapters of this machine, and the obstacles to using one as
 * pci:ADDRESS.
 *
 * Read-only: nothing is opened, bound or changed.
 */
#ifndef HBAKIT_PCI_H
#define HBAKIT_PCI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hba_driver;

enum {
	HBA_PCI_ADDRESS = 16,
	HBA_PCI_NAME = 32,
	HBA_PCI_SENTENCE = 256,
	HBA_PCI_COMMAND = 320,
	HBA_PCI_MATES = 16
};

/** enum hba_pci_obstacle - Reasons for VFIO to refuse an adapter, in the order of their removal. */
enum hba_pci_obstacle {
	HBA_PCI_NO_IOMMU,
	HBA_PCI_NO_MODULE,     /* VFIO is not loaded, or only in an unsupported form */
	HBA_PCI_BUSY,          /* bound to another driver, or to none */
	HBA_PCI_SHARED,        /* the kernel drives another device in its IOMMU group */
	HBA_PCI_NO_PERMISSION, /* no permission to open the group */
	HBA_PCI_LOW_MEMLOCK,   /* it opens, but little memory can be locked */
	HBA_PCI_OBSTACLES,
};

/** struct hba_pci_mate - Another device in the IOMMU group; bridges are left out. */
struct hba_pci_mate {
	char address[HBA_PCI_ADDRESS];
	char kernel_driver[HBA_PCI_NAME]; /* empty: none */
};

/** struct hba_pci_adapter - One function of class 01 (mass storage). A copy; nothing to release. */
struct hba_pci_adapter {
	char address[HBA_PCI_ADDRESS]; /* "0000:03:00.0" */
	uint16_t vendor, device, subvendor, subdevice;
	uint32_t class_code;              /* 24 bits: class, subclass, interface */
	char kernel_driver[HBA_PCI_NAME]; /* the current one; empty: none */
	const char *driver;               /* hbakit's driver for this chip; NULL: none */
	int group;                        /* IOMMU group; -1: none */
	unsigned n_mates;                 /* may be more than fit */
	struct hba_pci_mate mates[HBA_PCI_MATES];
	uint32_t obstacles;                            /* bit (1 << enum hba_pci_obstacle) */
	char why[HBA_PCI_OBSTACLES][HBA_PCI_SENTENCE]; /* for each bit: cause, remedy */
	char bind_driverctl[HBA_PCI_COMMAND];          /* one command that binds it to vfio-pci */
	char bind_sysfs[HBA_PCI_COMMAND];              /* the same without driverctl */
};

/**
 * hba_pci_next() - The adapter with the next higher address after `address` (NULL or "": the
 * first).
 *
 * 1: *ret_adapter is filled; 0: no more; negative errno: PCI devices cannot be listed. Any thread;
 * may wait.
 */
int hba_pci_next(const char *address, struct hba_pci_adapter *ret_adapter);

/** hba_pci_next_for() - The same; each chip is offered first to `plugin` (hba_driver_load()). */
int hba_pci_next_for(const struct hba_driver *plugin, const char *address,
		     struct hba_pci_adapter *ret_adapter);

#ifdef __cplusplus
}
#endif
#endif
