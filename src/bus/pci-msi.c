/* SPDX-License-Identifier: MIT */
/*
 * pci-msi.c: a kernel's part of a PCI function's interrupts: the address that MSI-X, or else MSI,
 * writes to (PCI 3.0, 6.8).
 */
#include "bus/bus.h"

#include "base/base.h"

enum {
	CAP_MSI = 0x05,
	CAP_MSIX = 0x11,
	CAP_NEXT = 1,
	CAP_CONTROL = 2,
	CAP_STEP = 4,
	CAPS_BEGIN = 0x40,
	CAPS_MOST = 48
};
enum { STATUS_HAS_CAPS = 0x10 };
enum {
	MSI_ADDRESS = 4,
	MSI_HIGH = 8,
	MSI_DATA_32 = 8,
	MSI_DATA_64 = 12,
	MSI_ENABLE = 0x1,
	MSI_HOW_MANY = 0x70,
	MSI_64 = 0x80
};
enum {
	MSIX_TABLE = 4,
	MSIX_COUNT = 0x7ff,
	MSIX_MASKED = 0x4000,
	MSIX_ENABLE = 0x8000,
	TABLE_BAR = 0x7,
	ENTRY_BYTES = 16
};

/* 1; 0: there is none, or the chain of capabilities never comes to one. */
static int find_capability(const struct pci_access *a, unsigned id, unsigned *ret_at)
{
	uint32_t status = 0, at = 0, head = 0;
	int r = a->read(a->arg, PCI_STATUS, 2, &status);

	if (r < 0 || !(status & STATUS_HAS_CAPS))
		return r;
	r = a->read(a->arg, PCI_CAPABILITIES, 1, &at);
	for (unsigned n = 0; r == 0 && n < CAPS_MOST && (at &= ~3U) >= CAPS_BEGIN; n++) {
		r = a->read(a->arg, at, 2, &head);
		if (r == 0 && (head & UINT8_MAX) == id) {
			*ret_at = at;
			return 1;
		}
		at = head >> 8;
	}
	return r;
}

static int write_entry(const struct pci_access *a, uint32_t table, unsigned vector,
		       uint32_t address)
{
	const uint32_t words[ENTRY_BYTES / CAP_STEP] = { address, 0, vector, 0 };
	uint64_t offset = (table & ~(uint32_t)TABLE_BAR) + (uint64_t)vector * ENTRY_BYTES;
	int r = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(words) && r == 0; i++)
		r = a->bar_write(a->arg, table & TABLE_BAR, offset + i * CAP_STEP, words[i]);
	return r;
}

static int enable_msix(const struct pci_access *a, unsigned at, unsigned most, uint32_t address)
{
	uint32_t control = 0, table = 0;
	int r = a->read(a->arg, at + CAP_CONTROL, 2, &control);
	unsigned n = (control & MSIX_COUNT) + 1;

	if (r == 0)
		r = a->read(a->arg, at + MSIX_TABLE, CAP_STEP, &table);
	if (n > most)
		n = most;
	for (unsigned vector = 0; vector < n && r == 0; vector++)
		r = write_entry(a, table, vector, address);
	if (r == 0)
		r = a->write(a->arg, at + CAP_CONTROL, 2,
			     (control & ~(uint32_t)MSIX_MASKED) | MSIX_ENABLE);
	return r < 0 ? r : (int)n;
}

static int enable_msi(const struct pci_access *a, unsigned at, uint32_t address)
{
	uint32_t control = 0;
	int r = a->read(a->arg, at + CAP_CONTROL, 2, &control);

	if (r == 0)
		r = a->write(a->arg, at + MSI_ADDRESS, CAP_STEP, address);
	if (r == 0 && (control & MSI_64))
		r = a->write(a->arg, at + MSI_HIGH, CAP_STEP, 0);
	if (r == 0)
		r = a->write(a->arg, at + (control & MSI_64 ? MSI_DATA_64 : MSI_DATA_32), 2, 0);
	if (r == 0)
		r = a->write(a->arg, at + CAP_CONTROL, 2,
			     (control & ~(uint32_t)MSI_HOW_MANY) | MSI_ENABLE);
	return r < 0 ? r : 1;
}

int pci_enable_messages(const struct pci_access *a, unsigned kinds, unsigned most, uint32_t address)
{
	unsigned at;
	int r = kinds & PCI_MSIX ? find_capability(a, CAP_MSIX, &at) : 0;

	if (r > 0)
		return enable_msix(a, at, most, address);
	if (r == 0 && kinds & PCI_MSI)
		r = find_capability(a, CAP_MSI, &at);
	return r > 0 ? enable_msi(a, at, address) : r;
}
