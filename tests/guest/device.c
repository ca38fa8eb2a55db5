/* SPDX-License-Identifier: MIT */
/*
 * device.c: the bus interface itself on real functions in the guest, without a driver.
 *
 *	guest-device reset ADDRESS       a register that was written is as after power on; bus
 *	                                 master is off, memory decoded
 *	guest-device no-reset ADDRESS    the function has none, and says so
 *	guest-device io ADDRESS          an I/O BAR: registers, their values from the chip's manual
 *	guest-device msix-page ADDRESS   registers in a BAR that also holds the MSI-X table
 */
#include "base/base.h"
#include "bus/bus.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RESET_MS = 5000 };

/* Chips, and a register that tells whether there was a reset since another was written. */
static const struct chip {
	uint16_t vendor, device;
	unsigned bar, width, write_at, read_at;
	uint64_t written, then, initial;
} chips[] = {
	/* PVSCSI: a command that lacks its data leaves a status. */
	{ 0x15ad, 0x07c0, 0, 4, .write_at = 0, .read_at = 8, .written = 3, .then = 0xfffffffe,
	  .initial = 0 },
	/* virtio 1.1, 4.1.4.3: device status, ACKNOWLEDGE */
	{ 0x1af4, 0x1048, 4, 1, .write_at = 20, .read_at = 20, .written = 1, .then = 1,
	  .initial = 0 },
};

/* LSI53C895A's manual, chapter 4; BAR 0 is its registers as I/O, BAR 1 as memory. */
enum {
	LSI_SCNTL0 = 0x00,
	LSI_SCNTL0_RESET = 0xc0,
	LSI_DSTAT = 0x0c,
	LSI_DSTAT_FIFO_EMPTY = 0x80,
	LSI_SCRATCHA = 0x34,
};
/* AMD Am53C974A's manual: the DMA engine's registers follow at 40h; they are 32 bits wide. */
enum { AM_DMA_STC = 0x44, AM_DMA_SPA = 0x48 };
/* MegaRAID SAS 1078: outbound scratch pad 0, the firmware's state in its top bits. */
enum { MEGARAID_OSP0 = 0xb0, MEGARAID_STATE_SHIFT = 28, MEGARAID_READY = 0xb };
/* PCI 3.0, 6.8.2 */
enum { CAP_MSIX = 0x11, MSIX_TABLE = 4, MSIX_ENTRY_BYTES = 16, MOST_CAPABILITIES = 48 };
#define MSIX_BIR 7U

struct device {
	struct hba_bus_info info;
	struct hba_bus_device *d;
};

static unsigned wrong;

__attribute__((format(printf, 2, 3))) static void expect(bool right, const char *format, ...)
{
	va_list args;

	wrong += !right;
	fputs(right ? "right: " : "WRONG: ", stdout);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static uint64_t get(const struct device *v, unsigned bar, uint64_t offset, unsigned width)
{
	uint64_t value = UINT64_MAX;
	int r = bus_vfio.bar_read(v->d, bar, offset, width, &value);

	if (r < 0)
		expect(false, "BAR %u, register %#llx: %s", bar, (unsigned long long)offset,
		       strerror(-r));
	return value;
}

static void put(const struct device *v, unsigned bar, uint64_t offset, unsigned width,
		uint64_t value)
{
	int r = bus_vfio.bar_write(v->d, bar, offset, width, value);

	if (r < 0)
		expect(false, "BAR %u, register %#llx: %s", bar, (unsigned long long)offset,
		       strerror(-r));
}

static uint32_t config(const struct device *v, unsigned offset, unsigned width)
{
	uint32_t value = UINT32_MAX;

	int r = bus_vfio.config_read(v->d, offset, width, &value);

	expect(r == 0, "config space %#x: %#x", offset, value);
	return value;
}

/* Whether it is given out as memory. */
static bool map(const struct device *v, unsigned bar)
{
	volatile void *mem = NULL;
	int r = bus_vfio.bar_map(v->d, bar, &mem);

	expect(r == 0, "BAR %u of %llu bytes is mapped, %s", bar,
	       (unsigned long long)v->info.bar_length[bar], mem ? "as memory" : "by the file");
	return mem;
}

/* ---- reset */

static const struct chip *chip_of(const struct device *v)
{
	for (size_t i = 0; i < ARRAY_SIZE(chips); i++)
		if (chips[i].vendor == v->info.vendor && chips[i].device == v->info.device)
			return &chips[i];
	return NULL;
}

static void expect_written(const struct device *v, const struct chip *k)
{
	uint64_t value;

	put(v, k->bar, k->write_at, k->width, k->written);
	value = get(v, k->bar, k->read_at, k->width);
	expect(value == k->then, "written, the register is %#llx", (unsigned long long)value);
}

static void try_reset(const struct device *v)
{
	const struct chip *k = chip_of(v);
	uint32_t command;
	uint64_t value;
	int r;

	expect(k != NULL, "the chip is known");
	if (!k)
		return;
	map(v, k->bar);
	expect(bus_vfio.bus_master(v->d, true, RESET_MS) == 0, "bus master on");
	expect_written(v, k);
	r = bus_vfio.reset(v->d, RESET_MS);
	expect(r == 0, "function reset: %s", r < 0 ? strerror(-r) : "done");
	value = get(v, k->bar, k->read_at, k->width);
	expect(value == k->initial, "after the reset the register is %#llx",
	       (unsigned long long)value);
	command = config(v, PCI_COMMAND, 2);
	expect(!(command & PCI_COMMAND_MASTER) && command & PCI_COMMAND_MEMORY,
	       "bus master is off, memory is decoded");
	expect_written(v, k);
}

static void try_no_reset(const struct device *v)
{
	int r = bus_vfio.reset(v->d, RESET_MS);

	expect(r == -EOPNOTSUPP, "function reset: %s", r < 0 ? strerror(-r) : "done");
}

/* ---- I/O BARs */

static void try_io_lsi(const struct device *v)
{
	const uint64_t number = 0xa1b2c3d4;

	expect(!map(v, 0), "BAR 0 is I/O");
	expect(map(v, 1), "BAR 1 is memory");
	expect(get(v, 0, LSI_SCNTL0, 1) == LSI_SCNTL0_RESET, "SCNTL0 is C0h: full arbitration");
	expect(get(v, 0, LSI_DSTAT, 1) & LSI_DSTAT_FIFO_EMPTY, "DSTAT: the DMA FIFO is empty");
	put(v, 0, LSI_SCRATCHA, 4, number);
	expect(get(v, 1, LSI_SCRATCHA, 4) == number, "what was written as I/O is read as memory");
	for (unsigned width = 1; width <= 4; width *= 2)
		for (unsigned at = 0; at < 4; at += width)
			expect(get(v, 0, LSI_SCRATCHA + at, width) ==
				       (number >> 8 * at & ((UINT64_C(1) << 8 * width) - 1)),
			       "SCRATCHA + %u in %u bytes", at, width);
	put(v, 1, LSI_SCRATCHA + 2, 2, 0x5566);
	expect(get(v, 0, LSI_SCRATCHA, 4) == 0x5566c3d4,
	       "what was written as memory is read as I/O");
}

static void try_io_am53c974(const struct device *v)
{
	expect(!map(v, 0), "BAR 0 is I/O");
	put(v, 0, AM_DMA_STC, 4, 0x123456);
	put(v, 0, AM_DMA_SPA, 4, 0x89abcdef);
	expect(get(v, 0, AM_DMA_STC, 4) == 0x123456, "the starting transfer count is kept");
	expect(get(v, 0, AM_DMA_SPA, 4) == 0x89abcdef, "the starting physical address is kept");
}

static void try_io(const struct device *v)
{
	if (v->info.vendor == 0x1000 && v->info.device == 0x0012)
		try_io_lsi(v);
	else if (v->info.vendor == 0x1022 && v->info.device == 0x2020)
		try_io_am53c974(v);
	else
		expect(false, "the chip is known");
}

/* ---- a BAR that registers share with the MSI-X table */

static unsigned find_msix(const struct device *v)
{
	unsigned at = config(v, PCI_CAPABILITIES, 1);

	for (unsigned n = 0; at && n < MOST_CAPABILITIES; n++) {
		if (config(v, at, 1) == CAP_MSIX)
			return at;
		at = config(v, at + 1, 1);
	}
	return 0;
}

static void try_msix_page(const struct device *v)
{
	unsigned cap = find_msix(v);
	uint32_t table = cap ? config(v, cap + MSIX_TABLE, 4) : 0;
	unsigned bar = table & MSIX_BIR;

	expect(cap && table & ~MSIX_BIR, "the MSI-X table is behind other registers of BAR %u",
	       bar);
	expect(v->info.facts & HBA_BUS_MSI, "interrupts are messages");
	if (!cap)
		return;
	map(v, bar);
	expect(get(v, bar, MEGARAID_OSP0, 4) >> MEGARAID_STATE_SHIFT == MEGARAID_READY,
	       "the firmware says that it is ready");
	expect(get(v, bar, table & ~MSIX_BIR, 4) != UINT32_MAX, "the table itself can be read");
	expect(get(v, bar, (table & ~MSIX_BIR) - MSIX_ENTRY_BYTES, 4) != UINT32_MAX,
	       "and what is before it");
}

static const struct trial {
	const char *name;
	void (*run)(const struct device *v);
} trials[] = {
	{ "reset", try_reset },
	{ "no-reset", try_no_reset },
	{ "io", try_io },
	{ "msix-page", try_msix_page },
};

int main(int argc, char **argv)
{
	struct device v = { .d = NULL };
	char why[HBA_BUS_WHY_BYTES] = "";
	int r;

	for (size_t i = 0; argc == 3 && i < ARRAY_SIZE(trials); i++) {
		if (strcmp(argv[1], trials[i].name) != 0)
			continue;
		r = bus_vfio.open(argv[2], NULL, &v.info, why, &v.d);
		if (r < 0) {
			printf("%s: %s %s\n", argv[2], strerror(-r), why);
			return EXIT_FAILURE;
		}
		trials[i].run(&v);
		bus_vfio.close(v.d);
		return wrong ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	fputs("guest-device reset|no-reset|io|msix-page ADDRESS\n", stderr);
	return EXIT_FAILURE;
}
