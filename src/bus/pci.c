/* SPDX-License-Identifier: MIT */
/*
 * pci.c: what firmware does for a PCI device, for those that have none: BARs are sized and placed.
 */
#include "bus/bus.h"

#include "base/base.h"

enum { BAR_IS_IO = 0x1, BAR_TYPE = 0x6, BAR_IS_64 = 0x4, BAR_STEP = 4 };
#define MEMORY_FLAGS 0xfU
#define IO_FLAGS     0x3U
#define IO_MASK      0xffffU

static int probe(const struct pci_access *a, unsigned offset, uint32_t *ret_mask)
{
	int r = a->write(a->arg, offset, BAR_STEP, UINT32_MAX);

	return r < 0 ? r : a->read(a->arg, offset, BAR_STEP, ret_mask);
}

/*
 * A size is what the bits that cannot be set leave: all ones written, the low ones read back as
 * zero.
 */
static uint64_t size_of(uint32_t low, uint32_t high, bool io, bool is_64)
{
	if (io)
		return (~(low & ~IO_FLAGS) + 1) & IO_MASK;
	if (is_64)
		return ~((uint64_t)high << 32 | (low & ~MEMORY_FLAGS)) + 1;
	return (uint32_t)(~(low & ~MEMORY_FLAGS) + 1);
}

static int place(const struct pci_access *a, unsigned offset, bool is_64, uint64_t base)
{
	int r = a->write(a->arg, offset, BAR_STEP, (uint32_t)base);

	return r < 0 || !is_64
		       ? r
		       : a->write(a->arg, offset + BAR_STEP, BAR_STEP, (uint32_t)(base >> 32));
}

int pci_place_bars(const struct pci_access *a, uint32_t memory, uint32_t io,
		   struct pci_bar bars[PCI_BARS])
{
	uint64_t next_memory = memory, next_io = io, *next;

	for (unsigned i = 0; i < PCI_BARS; i++) {
		unsigned offset = PCI_BAR_0 + BAR_STEP * i;
		uint32_t low = 0, high = 0;
		bool is_64;
		int r = probe(a, offset, &low);

		bars[i] = (struct pci_bar) { 0 };
		if (r < 0)
			return r;
		if (low == 0 || low == UINT32_MAX)
			continue;
		is_64 = !(low & BAR_IS_IO) && (low & BAR_TYPE) == BAR_IS_64;
		if (is_64 && i + 1 < PCI_BARS)
			r = probe(a, offset + BAR_STEP, &high);
		bars[i].io = low & BAR_IS_IO;
		bars[i].length = size_of(low, high, bars[i].io, is_64);
		next = bars[i].io ? &next_io : &next_memory;
		bars[i].base = round_up(*next, bars[i].length);
		*next = bars[i].base + bars[i].length;
		if (r == 0)
			r = place(a, offset, is_64, bars[i].base);
		if (r < 0)
			return r;
		i += is_64;
	}
	return 0;
}
