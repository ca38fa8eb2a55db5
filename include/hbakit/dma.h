/* SPDX-License-Identifier: MIT */
/*
 * dma.h: memory that a device can access, and the format of a task's data.
 *
 * There is one kind of memory object, made in two steps as in the contract: a *buffer* is memory, a
 * *mapping* makes it visible to us and to the device. Drivers use them for rings and HBA data,
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
 * struct hba_iova - An address in the device's address space. A struct, so that it cannot be
 * confused with an integer or a pointer.
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

/** struct hba_segment - One piece of data for the device, within the controller's constraints. */
struct hba_segment {
	struct hba_iova iova;
	uint64_t length; /* bytes, never 0 */
};

/**
 * struct hba_piece - One piece of data without addresses, so that another process can name it.
 * `offset` is from the region's start.
 */
struct hba_piece {
	uint32_t region; /* hba_mapping_region() */
	uint32_t length; /* bytes, never 0 */
	uint64_t offset; /* bytes */
};

/**
 * enum hba_data_mode - How an item of a data list is written.
 *
 * A client uses CPU or REGION. A driver reads the one mode of its report. The core converts before
 * process_task, and checks every length.
 */
enum hba_data_mode {
	HBA_DATA_DMA = 0, /* struct hba_segment: for chips */
	HBA_DATA_CPU = 1, /* struct iovec: software, network HBAs; never bounced for DMA limits */
	HBA_DATA_REGION = 2, /* struct hba_piece: for clients; refused in a driver's report */
};

/**
 * union hba_data - A list of items; the task or request has the mode and the number of items. The
 * list belongs to its writer.
 */
union hba_data {
	void *buffer; /* a client's short form: CPU mode, n_data 0; no driver gets it */
	const struct hba_segment *segments;
	const struct iovec *iov;
	const struct hba_piece *pieces;
	struct hba_task *victim; /* of an HBA_ABORT_TASK task, which has no data */
};

/**
 * struct hba_constraints - Limits of one data list (UserReportHBAConstraints,
 * UserGetDMASpecification).
 *
 * The first seven are required by the contract: a controller in DMA mode sets all of them; in the
 * other modes HBA_UNSET means "no limit". The core *always* keeps every list within them, for any
 * client. In bytes, unless stated otherwise.
 */
struct hba_constraints {
	uint64_t max_segments_read;       /* 1..; IOMaximumSegmentCountRead */
	uint64_t max_segments_write;      /* 1..; IOMaximumSegmentCountWrite */
	uint64_t max_segment_bytes_read;  /* 512..; IOMaximumSegmentByteCountRead */
	uint64_t max_segment_bytes_write; /* 512..; IOMaximumSegmentByteCountWrite */
	/* power of two up to 4096; of each segment's start; IOMinimumSegmentAlignmentByteCount */
	uint64_t alignment;
	uint64_t address_bits; /* 18..64; data below 2^bits; IOMaximumSegmentAddressableBitCount */
	/* HBA Data Alignment: top set bit = width, zero bits below = alignment, 4096 at most */
	uint64_t hba_data_mask;
	uint64_t boundary;     /* power of two that no segment crosses. 0 or unset: none */
	uint64_t max_transfer; /* of one task. 0 or unset: segments × segment bytes */
};

/** enum hba_access - The device's access to a buffer. */
enum hba_access {
	HBA_DEVICE_WRITES = 1, /* kIOMemoryDirectionIn */
	HBA_DEVICE_READS = 2,  /* kIOMemoryDirectionOut */
	HBA_DEVICE_BOTH = 3,   /* kIOMemoryDirectionOutIn */
};

/**
 * hba_buffer_create() - Allocate memory (IOBufferMemoryDescriptor::Create).
 * @capacity: bytes, 1..; zeroed
 * @alignment: power of two, of address and IOVA; 0 = the hba_data_mask's
 *
 * Drivers: in initialize, map_hba_data, the first start, discover and initialize_target. The
 * controller owns a driver's buffers and releases them after stop. In a hot op: -EPERM, and the
 * violation "mapping on the I/O path". Applications: any thread, after hba_controller_start(); the
 * application's until hba_buffer_release(). Waits. -ENOMEM, -EINVAL, -ENODEV.
 */
int hba_buffer_create(struct hba_controller *c, enum hba_access access, size_t capacity,
		      size_t alignment, struct hba_buffer **ret_buffer);

/**
 * hba_buffer_import() - Use existing memory: `length` bytes from `offset` of the file `fd`, both
 * multiples of the page size.
 *
 * The fd is duplicated; the caller may close its own. An fd from another process must be a memfd
 * sealed against shrinking, else -EPERM. -EOPNOTSUPP: the bus cannot access foreign memory
 * (`qemu:`); create the buffer through the controller instead. Waits.
 */
int hba_buffer_import(struct hba_controller *c, int fd, uint64_t offset, size_t length,
		      struct hba_buffer **ret_buffer);

/**
 * hba_buffer_release() - Release a buffer; NULL is fine. Applications only. The memory stays while
 * a mapping or a task uses it.
 */
void hba_buffer_release(struct hba_buffer *b);

/**
 * hba_buffer_map() - Map a whole buffer for us and for the device (CreateMapping, PrepareForDMA).
 * Callers, times and errors as for hba_buffer_create(). A driver's mapping is always one IOVA
 * range; -ENOMEM if the bus cannot provide that. An application's mapping may be several ranges, if
 * a chip needs physical addresses (hba_report.physical_iovas): its data become a list of segments
 * in any case.
 */
int hba_buffer_map(struct hba_buffer *b, struct hba_mapping **ret_mapping);

/** hba_mapping_create() - Both steps in one; the buffer is released with the mapping. As both. */
int hba_mapping_create(struct hba_controller *c, enum hba_access access, size_t capacity,
		       size_t alignment, struct hba_mapping **ret_mapping);

/* Any thread, any op, never wait; a mapping does not move while it exists. */
void *hba_mapping_address(const struct hba_mapping *m);        /* IOMemoryMap::GetAddress */
size_t hba_mapping_length(const struct hba_mapping *m);        /* bytes */
struct hba_iova hba_mapping_iova(const struct hba_mapping *m); /* of its first byte */
/* its number in struct hba_piece, never reused */
uint32_t hba_mapping_region(const struct hba_mapping *m);

/**
 * hba_mapping_release() - End the mapping; NULL is fine. Applications only. Waits until no task has
 * memory in it, that is, until every done has run. -EBUSY: called from a done, which would wait for
 * its own task.
 */
int hba_mapping_release(struct hba_mapping *m);

#ifdef __cplusplus
}
#endif
#endif
