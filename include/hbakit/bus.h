/* SPDX-License-Identifier: MIT */
/*
 * bus.h: how a controller is reached. First the calls for a driver, then the table that a back end
 * (vfio, qemu, script) fills.
 *
 * Registers are little-endian on every bus here; values are in host order. If the device is gone,
 * reads return all ones and writes are dropped. The same happens to an invalid access (outside its
 * BAR, misaligned, or to a BAR that was never mapped), which is also a violation. No driver holds a
 * raw pointer to a register.
 */
#ifndef HBAKIT_BUS_H
#define HBAKIT_BUS_H

#include <hbakit/dma.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The compiler's own byte swap, for both directions: strict C17 hides the functions of <endian.h>.
 */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HBA_LE(bits, v) (v)
#else
#define HBA_LE(bits, v) __builtin_bswap##bits(v)
#endif

/*
 * Numbers in the device's byte order: distinct types, so that none can be mixed up with host order.
 */
typedef struct {
	uint16_t raw;
} hba_le16;
typedef struct {
	uint32_t raw;
} hba_le32;
typedef struct {
	uint64_t raw;
} hba_le64;

static inline uint16_t hba_get16(hba_le16 v)
{
	return HBA_LE(16, v.raw);
}
static inline uint32_t hba_get32(hba_le32 v)
{
	return HBA_LE(32, v.raw);
}
static inline uint64_t hba_get64(hba_le64 v)
{
	return HBA_LE(64, v.raw);
}
static inline hba_le16 hba_le16_of(uint16_t v)
{
	hba_le16 r;
	r.raw = HBA_LE(16, v);
	return r;
}
static inline hba_le32 hba_le32_of(uint32_t v)
{
	hba_le32 r;
	r.raw = HBA_LE(32, v);
	return r;
}
static inline hba_le64 hba_le64_of(uint64_t v)
{
	hba_le64 r;
	r.raw = HBA_LE(64, v);
	return r;
}
static inline hba_le64 hba_le64_of_iova(struct hba_iova a)
{
	return hba_le64_of(a.bus);
}

/**
 * hba_acquire32() - Read an index that the device writes; its earlier writes are then visible.
 * Check the index before use.
 */
static inline uint32_t hba_acquire32(const hba_le32 *p)
{
	return HBA_LE(32, __atomic_load_n(&p->raw, __ATOMIC_ACQUIRE));
}

/**
 * hba_publish32() - Write an index that the device reads; our earlier writes are visible by then.
 */
static inline void hba_publish32(hba_le32 *p, uint32_t v)
{
	__atomic_store_n(&p->raw, HBA_LE(32, v), __ATOMIC_RELEASE);
}

/**
 * struct hba_bar - A mapped register window: a token to copy freely, valid until stop has returned.
 *
 * Zeroed, it is "not mapped": hba_bar_is_mapped() returns false, and any access is a violation. The
 * members are for the inlines below.
 */
struct hba_bar {
	/* private: */
	volatile uint8_t *mem; /* NULL: no direct mapping, use the bus */
	uint64_t length;       /* bytes */
	struct hba_controller *controller;
	unsigned index;
};

/**
 * hba_bar_map() - Map BAR `index` (0..5), memory or I/O. In initialize. Waits. -ENOENT: no such
 * BAR. Released after stop.
 */
int hba_bar_map(struct hba_controller *c, unsigned index, struct hba_bar *ret_bar);

/**
 * hba_bar_is_mapped() - For stop, which is also called if initialize failed before mapping a BAR.
 */
static inline bool hba_bar_is_mapped(const struct hba_bar *bar)
{
	return bar->controller != NULL;
}

/*
 * The slow path: no direct mapping, an invalid access, or a device that is gone. width: 1, 2, 4 or
 * 8; not every device takes 8 in one access. After the bus's deadline the device counts as gone.
 */
uint64_t hba_bar_read(const struct hba_bar *bar, uint64_t offset, unsigned width);
void hba_bar_write(const struct hba_bar *bar, uint64_t offset, uint64_t value, unsigned width);

/* private: for the inlines below; the alignment test costs nothing if `offset` is constant. */
static inline bool hba_bar_is_direct(const struct hba_bar *bar, uint64_t offset, unsigned width)
{
	return bar->mem && !(offset & (width - 1)) && offset < bar->length &&
	       bar->length - offset >= width;
}

/*
 * In any op; they never wait if the bus has a direct mapping. offset: bytes, a multiple of the
 * width. Writes are posted.
 */
static inline uint8_t hba_bar_read8(const struct hba_bar *bar, uint64_t offset)
{
	if (hba_bar_is_direct(bar, offset, 1))
		return bar->mem[offset];
	return (uint8_t)hba_bar_read(bar, offset, 1);
}

static inline uint16_t hba_bar_read16(const struct hba_bar *bar, uint64_t offset)
{
	if (hba_bar_is_direct(bar, offset, 2))
		return HBA_LE(16, *(volatile uint16_t *)(void *)(uintptr_t)(bar->mem + offset));
	return (uint16_t)hba_bar_read(bar, offset, 2);
}

static inline uint32_t hba_bar_read32(const struct hba_bar *bar, uint64_t offset)
{
	if (hba_bar_is_direct(bar, offset, 4))
		return HBA_LE(32, *(volatile uint32_t *)(void *)(uintptr_t)(bar->mem + offset));
	return (uint32_t)hba_bar_read(bar, offset, 4);
}

static inline void hba_bar_write8(const struct hba_bar *bar, uint64_t offset, uint8_t value)
{
	if (hba_bar_is_direct(bar, offset, 1))
		bar->mem[offset] = value;
	else
		hba_bar_write(bar, offset, value, 1);
}

static inline void hba_bar_write16(const struct hba_bar *bar, uint64_t offset, uint16_t value)
{
	if (hba_bar_is_direct(bar, offset, 2))
		*(volatile uint16_t *)(void *)(uintptr_t)(bar->mem + offset) = HBA_LE(16, value);
	else
		hba_bar_write(bar, offset, value, 2);
}

static inline void hba_bar_write32(const struct hba_bar *bar, uint64_t offset, uint32_t value)
{
	if (hba_bar_is_direct(bar, offset, 4))
		*(volatile uint32_t *)(void *)(uintptr_t)(bar->mem + offset) = HBA_LE(32, value);
	else
		hba_bar_write(bar, offset, value, 4);
}

/**
 * hba_bar_write_block() - Write `words` 32-bit words, without byte swap, one after another into the
 * same register.
 */
void hba_bar_write_block(const struct hba_bar *bar, uint64_t offset, const void *data,
			 size_t words);

/**
 * hba_bar_copy_from() - Copy `bytes` bytes from a BAR's memory, such as a chip's script RAM or a
 * table, without byte swap.
 *
 * In ascending order; four bytes at a time where the offset is aligned, single bytes before and
 * after. All ones if the device is gone or the access is invalid.
 */
void hba_bar_copy_from(const struct hba_bar *bar, uint64_t offset, void *to, size_t bytes);
/** hba_bar_copy_to() - The same in the other direction. */
void hba_bar_copy_to(const struct hba_bar *bar, uint64_t offset, const void *from, size_t bytes);

/*
 * PCI config space: offset 0..4095, a multiple of the width, which is 1, 2 or 4. Waiting ops. All
 * ones if the bus has no config space.
 */
uint32_t hba_config_read(struct hba_controller *c, unsigned offset, unsigned width);
void hba_config_write(struct hba_controller *c, unsigned offset, uint32_t value, unsigned width);

/**
 * hba_bus_master_on() - Let the device access memory. Bus master is off until a driver, having
 * reset the chip, calls this. In start, which is called again at power on. The framework turns it
 * off after stop and at power off, in any case. -ENODEV.
 */
int hba_bus_master_on(struct hba_controller *c);

/**
 * struct hba_option - One option of a URI, after its `?`. A list of them ends with a NULL name.
 * Options not listed are refused.
 */
struct hba_option {
	const char *name, *value; /* the default; NULL = unset */
	const char *help;         /* one line for `hbakit drivers NAME` */
};

/* ---- for back ends */

struct hba_bus_device; /* a back end's own struct behind one open device */

enum { HBA_BUS_WHY_BYTES = 256 };

enum hba_bus_facts {
	HBA_BUS_FOREIGN_MEMORY = 1,   /* map_memory takes any fd, not only those of alloc_memory */
	HBA_BUS_IOVA_IS_PHYSICAL = 2, /* no IOMMU: there is none to bypass */
	HBA_BUS_MSI = 4, /* vectors are messages: never shared, never lost while masked */
};

/** struct hba_bus_info - The properties of a device, as the back end found them. */
struct hba_bus_info {
	uint16_t vendor, device, subvendor, subdevice;
	uint32_t facts;         /* enum hba_bus_facts */
	uint32_t vectors;       /* interrupt vectors, 0 = poll only */
	uint32_t page_bytes;    /* of an IOVA page */
	uint64_t bar_length[6]; /* bytes, 0 = none */
};

/**
 * struct hba_bus - A back end's table. Append only; NULL = the documented default.
 *
 * All ops run on the service thread and may wait up to `ms`; bar_read, and bar_write if it must, up
 * to the bus's own deadline. Exceptions: vector_fd, event_fd, take_event and vector_served never
 * wait. 0 or negative errno. -ENODEV: the device is gone, for good; only `close` is called after
 * that. Memory is released after `close`.
 */
struct hba_bus {
	size_t size;
	unsigned version;
	const char *name; /* its URI scheme: "pci", "qemu", "script" */

	/* options of this bus's URIs, after the `?`. Default: none */
	const struct hba_option *options;

	/*
	 * Identify the chip. Fills the ids only, changes nothing, and may wait as long as `open`.
	 * On an error `why` gets one sentence. Required. `path` is the URI between colon and `?`,
	 * `query` the part after the `?`, or NULL.
	 */
	int (*identify)(const char *path, const char *query, struct hba_bus_info *ret_info,
			char why[HBA_BUS_WHY_BYTES]);
	/* Open it. Bus master is off when it returns. Arguments as above. Required. */
	int (*open)(const char *path, const char *query, struct hba_bus_info *ret_info,
		    char why[HBA_BUS_WHY_BYTES], struct hba_bus_device **ret_device);
	/*
	 * Also for a device half open, gone or hung. After it returns, the device cannot access
	 * memory. Required.
	 */
	void (*close)(struct hba_bus_device *d);

	int (*config_read)(struct hba_bus_device *d, unsigned offset, unsigned width,
			   uint32_t *ret_value);
	int (*config_write)(struct hba_bus_device *d, unsigned offset, unsigned width,
			    uint32_t value);

	/* *ret_mem may stay NULL: then every access goes through bar_read and bar_write. */
	int (*bar_map)(struct hba_bus_device *d, unsigned bar, volatile void **ret_mem);
	int (*bar_read)(struct hba_bus_device *d, unsigned bar, uint64_t offset, unsigned width,
			uint64_t *ret_value);
	int (*bar_write)(struct hba_bus_device *d, unsigned bar, uint64_t offset, unsigned width,
			 uint64_t value);

	/*
	 * Memory that the device can access, as an fd. Default: a sealed memfd, of huge pages if
	 * there are any.
	 */
	int (*alloc_memory)(struct hba_bus_device *d, size_t length, int *ret_fd,
			    uint64_t *ret_offset);
	/* Lengths are pages. The bus chooses the IOVA, below 2^bits. -ENOSPC: no room that low. */
	int (*map_memory)(struct hba_bus_device *d, int fd, uint64_t offset, size_t length,
			  unsigned bits, struct hba_iova *ret_iova);
	/*
	 * After it returns 0, the device cannot access the range; only then is the memory reused.
	 */
	int (*unmap_memory)(struct hba_bus_device *d, struct hba_iova iova, size_t length);

	/* An eventfd, owned by the bus, written once per interrupt. Default: no vectors. */
	int (*vector_fd)(struct hba_bus_device *d, unsigned vector);
	/* Readable if the device must be released, reports an error, or is gone. -1 = never. */
	int (*event_fd)(struct hba_bus_device *d);

	/*
	 * 0: confirmed off, and no transaction pending. The last way to confirm that the device no
	 * longer accesses our memory.
	 */
	int (*bus_master)(struct hba_bus_device *d, bool on, unsigned ms);
	/* Function reset; the same confirmation. Default: -EOPNOTSUPP. */
	int (*reset)(struct hba_bus_device *d, unsigned ms);

	/*
	 * The chip bypasses the IOMMU (hba_report.physical_iovas): from now on every IOVA is the
	 * physical address. Memory then comes from alloc_memory only, in whole pieces of
	 * *ret_bytes, each physically contiguous and mapped by its own map_memory. Called once,
	 * before any map_memory. Default: 0 if HBA_BUS_IOVA_IS_PHYSICAL, else -EOPNOTSUPP.
	 */
	int (*use_physical)(struct hba_bus_device *d, size_t *ret_bytes);
	/*
	 * Why the last call failed and how to fix it, in one sentence; NULL: errno is enough. For
	 * any op but the two fds'.
	 */
	const char *(*why)(const struct hba_bus_device *d);
	/*
	 * Called when event_fd is readable. 1: the device must be released, and still works; 0: no
	 * event; -ENODEV: it is lost. On the loop.
	 */
	int (*take_event)(struct hba_bus_device *d);
	/*
	 * On the loop, before it sleeps: a vector that fired may fire again. For lines that stay
	 * masked until served. Default: nothing.
	 */
	void (*vector_served)(struct hba_bus_device *d, unsigned vector);

	const char *summary; /* one line for `hbakit drivers`. Default: none */
};

/**
 * hba_bus_next() - Iterate over the buses; any caller may read name, summary and options. NULL: the
 * first; returns NULL at the end. Any thread.
 */
const struct hba_bus *hba_bus_next(const struct hba_bus *bus);

#define HBA_BUS_VERSION 1
#define HBA_BUS_HEADER  .size = sizeof(struct hba_bus), .version = HBA_BUS_VERSION

#ifdef __cplusplus
}
#endif
#endif
