/* SPDX-License-Identifier: MIT */
/*
 * dma.h: memory that a device can reach, and how the data of a task are written down.
 *
 * There is one kind of memory object, made in the two steps of the seed: a *buffer* is memory, a
 * *mapping* is the place where we and the device see it. Drivers take them for rings and HBA data,
 * applications for their data.
 *
 *	buffer ── map ──> mapping: address  (for this process)
 *	                           iova     (for the device)
 *	                           region   (a small number: for another process)
 *
 * Data are lists of sixteen-byte items in one of three modes; see enum hba_data_mode.
 */
#ifndef HBAKIT_DMA_H
#define HBAKIT_DMA_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hba_controller;
struct hba_buffer;
struct hba_mapping;
struct hba_task;

/**
 * struct hba_iova - An address as the device sees it. Not an integer and not a pointer, so it
 * cannot pass for one.
 */
struct hba_iova {
	uint64_t bus;
};

/** hba_iova_at() - The address `offset` bytes further on. The caller stays inside one mapping. */
static inline struct hba_iova hba_iova_at(struct hba_iova base, uint64_t offset)
{
	base.bus += offset;
	return base;
}

/**
 * struct hba_segment - One piece of data for the device. In bytes, never 0, within the controller's
 * constraints.
 */
struct hba_segment {
	struct hba_iova iova;
	uint64_t length;
};

/**
 * struct hba_piece - One piece of data that may cross a process wall: no address in it. `offset` is
 * from the region's start.
 */
struct hba_piece {
	uint32_t region; /* hba_mapping_region() */
	uint32_t length; /* bytes, never 0 */
	uint64_t offset; /* bytes */
};

/**
 * enum hba_data_mode - How an item of a data list is written.
 *
 * A client writes CPU or REGION, whichever it has. A driver reads the one mode that its report asks
 * for. The core turns one into the other before process_task, checking every length.
 */
enum hba_data_mode {
	HBA_DATA_DMA = 0, /* struct hba_segment: for chips */
	/* struct iovec: for software and network controllers; never bounced for DMA limits */
	HBA_DATA_CPU = 1,
	HBA_DATA_REGION = 2, /* struct hba_piece: for clients; refused in a driver's report */
};

/**
 * union hba_data - A list of items; task or request says which member, and how many. Owned by
 * whoever filled it.
 */
union hba_data {
	/* a client's short form: CPU mode, no items, `length` bytes here. No driver sees it */
	void *buffer;
	const struct hba_segment *segments;
	const struct iovec *iov;
	const struct hba_piece *pieces;
	struct hba_task *victim; /* of an HBA_ABORT_TASK task, which has no data */
};

/**
 * struct hba_constraints - What one data list may look like (UserReportHBAConstraints,
 * UserGetDMASpecification).
 *
 * The first seven are the contract's required ones: a controller in DMA mode sets them all; in the
 * other modes those left HBA_UNSET mean "no limit". The core keeps every list within them *always*,
 * whoever the client is. Byte counts, unless said.
 */
struct hba_constraints {
	uint64_t max_segments_read;       /* 1..; IOMaximumSegmentCountRead */
	uint64_t max_segments_write;      /* 1..; IOMaximumSegmentCountWrite */
	uint64_t max_segment_bytes_read;  /* 512..; IOMaximumSegmentByteCountRead */
	uint64_t max_segment_bytes_write; /* 512..; IOMaximumSegmentByteCountWrite */
	/* power of two up to 4096; of each segment's start; IOMinimumSegmentAlignmentByteCount */
	uint64_t alignment;
	/* 18..64; data lie below 2^bits; IOMaximumSegmentAddressableBitCount */
	uint64_t address_bits;
	/* HBA Data Alignment: top set bit = width, zero bits below = alignment, 4096 at most */
	uint64_t hba_data_mask;
	uint64_t boundary;     /* power of two no segment crosses. 0 or unset: none */
	uint64_t max_transfer; /* of one task. 0 or unset: segments × segment bytes */
};

/** enum hba_access - What the device does with a buffer. */
enum hba_access {
	HBA_DEVICE_WRITES = 1, /* kIOMemoryDirectionIn */
	HBA_DEVICE_READS = 2,  /* kIOMemoryDirectionOut */
	HBA_DEVICE_BOTH = 3,   /* kIOMemoryDirectionOutIn */
};

/**
 * hba_buffer_create() - Take memory (IOBufferMemoryDescriptor::Create).
 * @capacity: bytes, 1..; zeroed
 * @alignment: power of two, of address and IOVA; 0 = the hba_data_mask's
 *
 * Drivers: in initialize, map_hba_data, the first start, discover and initialize_target; owned by
 * the controller, which releases it after stop. In a hot op: -EPERM, and the violation "mapping on
 * the I/O path". Applications: any thread, after hba_controller_start(); theirs until
 * hba_buffer_release(). Waits. -ENOMEM, -EINVAL, -ENODEV.
 */
int hba_buffer_create(struct hba_controller *c, enum hba_access access, size_t capacity,
		      size_t alignment, struct hba_buffer **ret_buffer);

/**
 * hba_buffer_import() - Use memory that exists: `length` bytes from `offset` of the file `fd`, both
 * multiples of the page.
 *
 * The fd is duplicated; the caller may close its own. From another process it must be a memfd
 * sealed against shrinking, else -EPERM. A bus that cannot reach foreign memory (`qemu:`):
 * -EOPNOTSUPP; create it through the controller instead. Waits.
 */
int hba_buffer_import(struct hba_controller *c, int fd, uint64_t offset, size_t length,
		      struct hba_buffer **ret_buffer);

/**
 * hba_buffer_release() - Let go; NULL is fine. Applications only. The memory lives on while a
 * mapping or a task has it.
 */
void hba_buffer_release(struct hba_buffer *b);

/**
 * hba_buffer_map() - Map all of it for us and for the device (CreateMapping, PrepareForDMA). Who,
 * when, errors: as create. A driver's is one range for the device, always; where the bus cannot
 * make it so, -ENOMEM. An application's may be several, where a chip needs physical addresses
 * (hba_report.physical_iovas): its data become a list of segments in any case.
 */
int hba_buffer_map(struct hba_buffer *b, struct hba_mapping **ret_mapping);

/**
 * hba_mapping_create() - Both steps in one, for the many who map once; the buffer goes with the
 * mapping. As both.
 */
int hba_mapping_create(struct hba_controller *c, enum hba_access access, size_t capacity,
		       size_t alignment, struct hba_mapping **ret_mapping);

/* Any thread, any op, never wait; a mapping does not move while it lives. */
void *hba_mapping_address(const struct hba_mapping *m);        /* IOMemoryMap::GetAddress */
size_t hba_mapping_length(const struct hba_mapping *m);        /* bytes */
struct hba_iova hba_mapping_iova(const struct hba_mapping *m); /* of its first byte */
/* its number in struct hba_piece, never reused */
uint32_t hba_mapping_region(const struct hba_mapping *m);

/**
 * hba_mapping_release() - End the mapping; NULL is fine. Applications only. Waits until no task has
 * memory in it: every done has run. -EBUSY when called from a done, whose own task would be waited
 * for.
 */
int hba_mapping_release(struct hba_mapping *m);

#ifdef __cplusplus
}
#endif
#endif
