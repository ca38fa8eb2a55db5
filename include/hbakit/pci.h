/* SPDX-License-Identifier: MIT */
/*
 * pci.h: the SCSI, SAS and RAID adapters of this machine, and what is in the way of using one as
 * pci:ADDRESS.
 *
 * Only looks: nothing is opened, bound or changed.
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

/**
 * enum hba_pci_obstacle - Why VFIO would refuse an adapter, in the order in which these have to be
 * removed.
 */
enum hba_pci_obstacle {
	HBA_PCI_NO_IOMMU,
	HBA_PCI_NO_MODULE,     /* VFIO is not loaded, or only in a shape that is not supported */
	HBA_PCI_BUSY,          /* another driver has it, or none */
	HBA_PCI_SHARED,        /* the kernel drives somebody else in its IOMMU group */
	HBA_PCI_NO_PERMISSION, /* to open the group */
	HBA_PCI_LOW_MEMLOCK,   /* it opens, but little memory can be locked */
	HBA_PCI_OBSTACLES,
};

/** struct hba_pci_mate - Somebody else in the IOMMU group; bridges are left out. */
struct hba_pci_mate {
	char address[HBA_PCI_ADDRESS];
	char kernel_driver[HBA_PCI_NAME]; /* empty: none */
};

/**
 * struct hba_pci_adapter - One function of class 01 (mass storage). A copy; nothing in it has to be
 * released.
 */
struct hba_pci_adapter {
	char address[HBA_PCI_ADDRESS]; /* "0000:03:00.0" */
	uint16_t vendor, device, subvendor, subdevice;
	uint32_t class_code;              /* 24 bits: class, subclass, interface */
	char kernel_driver[HBA_PCI_NAME]; /* today's; empty: none */
	const char *driver;               /* hbakit's for this chip; NULL: there is none */
	int group;                        /* IOMMU group; -1: none */
	unsigned n_mates;                 /* may be more than fit */
	struct hba_pci_mate mates[HBA_PCI_MATES];
	uint32_t obstacles; /* bit (1 << enum hba_pci_obstacle) */
	/* a sentence for each bit: what it is, what to do */
	char why[HBA_PCI_OBSTACLES][HBA_PCI_SENTENCE];
	char bind_driverctl[HBA_PCI_COMMAND]; /* one command that gives it to vfio-pci */
	char bind_sysfs[HBA_PCI_COMMAND];     /* the same without driverctl */
};

/**
 * hba_pci_next() - The adapter whose address comes after `address` (NULL or "": the first), in the
 * order of addresses.
 *
 * 1: *ret_adapter is it; 0: no more; negative errno: PCI devices cannot be listed. Any thread; may
 * wait.
 */
int hba_pci_next(const char *address, struct hba_pci_adapter *ret_adapter);

/**
 * hba_pci_next_for() - The same for somebody with a plug-in, from hba_driver_load(): a chip is
 * offered to that driver first.
 */
int hba_pci_next_for(const struct hba_driver *plugin, const char *address,
		     struct hba_pci_adapter *ret_adapter);

#ifdef __cplusplus
}
#endif
#endif
