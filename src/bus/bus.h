/* SPDX-License-Identifier: MIT */
/*
 * bus.h: the back ends that reach a device. The registry lists them. Below, what is the same for all of them.
 */
#ifndef BUS_BUS_H
#define BUS_BUS_H

#include <hbakit/bus.h>

extern const struct hba_bus bus_qemu; /* qemu.c */

/* ---- qtest.c: QEMU's qtest protocol over a socket --------------------------------------------------------------------- */

/** struct qtest - One connection. Writes are posted: their answers are collected when there is time, or before the next read. */
struct qtest {
	int fd;            /* -1: none, or lost */
	unsigned posted;   /* answers that are still to come */
	char buffer[4096]; /* what has arrived and is not used */
	size_t used;
};

/* 0; -ENODEV: QEMU has gone, or does not answer within `ms`; -EPROTO: it refused. */
int qtest_read(struct qtest *q, const char *command, uint64_t address, unsigned ms, uint64_t *ret_value);
int qtest_write(struct qtest *q, const char *command, uint64_t address, uint64_t value);
/** qtest_settle() - Wait for every answer that is still to come. */
int qtest_settle(struct qtest *q, unsigned ms);

/* ---- pci.c: config space as every PCI device has it (PCI 3.0, 6.1 and 6.2.5) ------------------------------------------- */

enum pci_register {
	PCI_ID = 0x00,
	PCI_COMMAND = 0x04,
	PCI_BAR_0 = 0x10,
	PCI_SUBSYSTEM = 0x2c,
};

enum pci_command { PCI_COMMAND_IO = 0x1, PCI_COMMAND_MEMORY = 0x2, PCI_COMMAND_MASTER = 0x4, PCI_COMMAND_NO_INTX = 0x400 };

enum { PCI_BARS = 6 };

/** struct pci_bar - Where a BAR has been put. */
struct pci_bar {
	bool io;
	uint64_t base, length; /* length 0: there is none */
};

/** struct pci_access - How config space is reached. 0 or negative errno. */
struct pci_access {
	int (*read)(void *arg, unsigned offset, unsigned width, uint32_t *ret_value);
	int (*write)(void *arg, unsigned offset, unsigned width, uint32_t value);
	void *arg;
};

/** pci_place_bars() - For a device that no firmware has set up: size every BAR and give it a place, from these addresses on. */
int pci_place_bars(const struct pci_access *a, uint32_t memory, uint32_t io, struct pci_bar bars[PCI_BARS]);

#endif
