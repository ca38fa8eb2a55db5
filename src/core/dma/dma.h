/* SPDX-License-Identifier: MIT */
/* dma.h: the device behind the bus, memory that it reaches, and lists of it that it can take. */
#ifndef CORE_DMA_H
#define CORE_DMA_H

#include "core/sched/sched.h"

/* ---- iova-map.c */

/*
 * Addresses of ours that the device can reach, and their IOVAs. Any thread reads the map on the I/O
 * path without a lock, while one writer changes it.
 *
 * Two tables take turns: the writer fills the hidden one, then publishes it. A reader that was
 * overtaken looks again. No thread waits for another, and memory grows with the largest number of
 * ranges there ever was, not with the number of changes.
 */

struct iova_range {
	uintptr_t address;
	size_t length;
	struct hba_iova iova;
};

/** struct iova_map - All zero is an empty one. */
struct iova_map {
	struct iova_table *tables[2]; /* atomic */
	uint64_t edition;             /* atomic; the low bit is the table that is shown */
};

/** iova_map_add() - One more, which meets no other. -ENOMEM. One writer at a time. */
int iova_map_add(struct iova_map *s, const struct iova_range *range);
/** iova_map_remove() - The one that begins at `address`, if there is one. Needs no memory. */
void iova_map_remove(struct iova_map *s, uintptr_t address);
/**
 * iova_map_iova() - The IOVA of `address`, and how many bytes go on from there; 0: none. Any
 * thread.
 */
size_t iova_map_iova(const struct iova_map *s, const void *address, struct hba_iova *ret_iova);
/**
 * iova_map_address() - The reverse: our address of `iova`; NULL: none. Any thread.
 */
void *iova_map_address(const struct iova_map *s, struct hba_iova iova);
/** iova_map_free() - No reader is left. */
void iova_map_free(struct iova_map *s);

/* ---- sgl.c */

/*
 * A list of pieces made to fit a controller's constraints. Arithmetic only: no task, no controller,
 * no memory is touched.
 *
 * Pieces are added one after another; the part that fits becomes segments, adjacent ones merged.
 * The first piece that does not fit ends the stage, which is then trimmed to whole blocks. The rest
 * is for the next stage.
 */

/** struct sgl_limits - The constraints of one direction. Bytes, but for the first. */
struct sgl_limits {
	uint64_t segments;      /* 1.. */
	uint64_t segment_bytes; /* 1.. */
	uint64_t alignment;     /* power of two, of each segment's start */
	uint64_t highest;       /* last address that can be reached */
	uint64_t boundary;      /* power of two that no segment crosses; 0 = none */
	uint64_t transfer;      /* of the whole stage, 1.. */
};

/** struct sgl - A stage being built. */
struct sgl {
	const struct sgl_limits *limits;
	struct hba_segment *segments; /* room for `room` */
	unsigned room, n;
	uint64_t bytes;
	bool apart; /* what comes next is a segment of its own */
};

void sgl_begin(struct sgl *s, const struct sgl_limits *limits, struct hba_segment *segments,
	       unsigned room);

/**
 * sgl_add() - Returns how many of `length` bytes at `address` were taken. Fewer than `length` end
 * the stage: it is full, or the rest begins where no segment may.
 */
uint64_t sgl_add(struct sgl *s, uint64_t address, uint64_t length);

/**
 * struct sgl_one - The constraints of a stage of one segment, so that few comparisons will do.
 */
struct sgl_one {
	uint64_t most;       /* bytes */
	uint64_t misaligned; /* bits that its start must not have */
	uint64_t highest;    /* last address that can be reached */
	uint64_t across;     /* bits in which its first and its last address must agree */
};

struct sgl_one sgl_one_of(const struct sgl_limits *l);

/** sgl_takes_one() - May these bytes, 1.., be a stage of one segment? */
static inline bool sgl_takes_one(const struct sgl_one *o, uint64_t address, uint64_t length)
{
	uint64_t last = address + length - 1;

	return length <= o->most && !(address & o->misaligned) && last >= address &&
	       last <= o->highest && !((address ^ last) & o->across);
}

/** sgl_apart() - What is added next prolongs no segment, though it may begin where one ends. */
void sgl_apart(struct sgl *s);

/**
 * sgl_trim() - Give back the end, so that a multiple of `granule` bytes is left. Returns what is
 * left; 0: not one fits.
 */
uint64_t sgl_trim(struct sgl *s, uint64_t granule);

/* ---- device.c: the device behind the driver */

struct bus_link {
	const struct hba_bus *table; /* NULL: a controller without a device */
	struct hba_bus_device *device;
	struct hba_bus_info info;
	bool gone;    /* atomic; final */
	bool settled; /* whether IOVAs are physical has been decided */
	/* physical IOVAs: what is contiguous, and the unit memory comes in; 0 = no limit */
	size_t piece_bytes;
	int event_fd;                /* -1: none */
	char why[HBA_BUS_WHY_BYTES]; /* there was no memory; empty: the bus gave no reason */
	uint64_t look_at;            /* the loop's: when to look at it next, awake */
};

int device_open(struct hba_controller *c);
/**
 * device_quiet() - Bus master off, or a function reset, or, if it is gone, device_cut(): 0: the
 * device reaches no memory. Service thread.
 */
int device_quiet(struct hba_controller *c);
/**
 * device_cut() - The device is closed, and reaches no memory; no op of the driver is called again.
 * Service thread.
 */
void device_cut(struct hba_controller *c);
void device_close(struct hba_controller *c);
/**
 * device_answers() - Does the device answer? If not, it was pulled out unnoticed, and is gone from
 * now on. Service thread.
 */
bool device_answers(struct hba_controller *c);
/**
 * device_refuse() - Keep the reason why there is no memory for the caller's sentence. Under the
 * lock, or while only the service thread takes memory.
 */
int device_refuse(struct hba_controller *c, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/** device_alloc() - Memory from the bus; -EOPNOTSUPP: it has none of its own, take a memfd. */
int device_alloc(struct hba_controller *c, size_t length, int *ret_fd, uint64_t *ret_offset);
/** device_map() - Where the device finds what is mapped for us at `address`. */
int device_map(struct hba_controller *c, int fd, uint64_t offset, size_t length, unsigned bits,
	       void *address, struct hba_iova *ret_iova);
void device_unmap(struct hba_controller *c, struct hba_iova iova, size_t length);
bool device_takes_foreign(const struct hba_controller *c);
/**
 * device_piece() - The longest range that the device sees in one; 0: no limit. Values reported
 * before the first buffer count.
 */
size_t device_piece(struct hba_controller *c);
/**
 * device_turn() - Loop: true: the kernel requests the device back. Also finds out that the device
 * is lost. Polls now and then; `woken`: now.
 */
bool device_turn(struct hba_controller *c, bool woken);
/** device_served() - Loop, before it sleeps: the vector that fired has been served. */
void device_served(struct hba_controller *c, unsigned vector);

/* ---- memory.c: buffers and mappings */

struct memory {
	pthread_mutex_t lock;  /* all of it but `regions` and `spans`, which are read without */
	struct iova_map spans; /* of the slabs */
	struct list slabs, buffers, mappings;
	/* chunks by the number's top bit; any thread reads, entries are atomic */
	struct hba_mapping **regions[32];
	uint32_t last_region;
	uint64_t driver_bytes;     /* taken by the driver */
	uint64_t io_path_mappings; /* attempts in a hot op, all refused */
};

void memory_init(struct memory *m);
/**
 * struct hba_mapping - Fields that the I/O path reads stand here, so that it never touches struct
 * hba_buffer.
 */
struct hba_mapping {
	struct list link;
	struct hba_buffer *buffer;
	uint8_t *address;
	size_t length;
	struct hba_iova iova;
	size_t in_one; /* bytes from its start on that are one range for the device */
	uint32_t region;
	bool owns_buffer;
};

/**
 * region_place() - Where the mapping with that number is kept, or would be; NULL: nowhere. No lock.
 */
static inline struct hba_mapping **region_place(const struct memory *m, uint32_t number)
{
	unsigned k = 31 - (unsigned)__builtin_clz(number | 1);
	struct hba_mapping **chunk = __atomic_load_n(&m->regions[k], __ATOMIC_ACQUIRE);

	return number && chunk ? &chunk[number - (1U << k)] : NULL;
}

/** memory_region() - The mapping with that number; NULL: none. No lock. */
static inline const struct hba_mapping *memory_region(const struct memory *m, uint32_t number)
{
	struct hba_mapping **place = region_place(m, number);

	return place ? __atomic_load_n(place, __ATOMIC_ACQUIRE) : NULL;
}

/**
 * memory_piece() - Where we and the device find a piece in one range; false: no such region, or it
 * is not all there. No lock.
 */
static inline bool memory_piece(const struct memory *m, const struct hba_piece *p,
				uint8_t **ret_address, struct hba_iova *ret_iova)
{
	const struct hba_mapping *map = memory_region(m, p->region);

	if (!map || p->offset > map->in_one || p->length > map->in_one - p->offset)
		return false;
	*ret_address = map->address + p->offset;
	*ret_iova = hba_iova_at(map->iova, p->offset);
	return true;
}

/** mapping_of_client() - The controller of a client's mapping; NULL: it is the driver's. */
struct hba_controller *mapping_of_client(const struct hba_mapping *m);
/** memory_unmap() - The mapping goes, and its buffer if nothing else holds it. */
void memory_unmap(struct hba_controller *c, struct hba_mapping *map);
/** mapping_holds() - Does any byte of the mapping lie in `length` bytes at `address`? */
bool mapping_holds(const struct hba_mapping *m, const void *address, size_t length);
/** memory_take() - For the core's own use of driver memory, below 2^bits. On the service thread. */
int memory_take(struct hba_controller *c, size_t capacity, size_t alignment, unsigned bits,
		struct hba_mapping **ret_mapping);
/** memory_above() - The first buffer of the driver that ends above 2^bits; false: none does. */
bool memory_above(struct hba_controller *c, unsigned bits, struct hba_iova *ret_iova,
		  size_t *ret_length);
/** memory_release_driver() - After stop: what the driver took. */
void memory_release_driver(struct hba_controller *c);
void memory_fini(struct hba_controller *c);

#endif
