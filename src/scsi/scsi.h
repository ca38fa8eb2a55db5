/* SPDX-License-Identifier: MIT */
/*
 * scsi.h: the SCSI standards as pure functions over bytes. CDBs are built and read, answers are
 * read and built; nothing is sent.
 *
 * Sections named are those of SPC-4 (r37), SBC-3 (r36) and SAM-5 (r21). A reader never trusts a
 * length that stands in the bytes: it is given how many there really are. Readers return 0, or
 * -EPROTO for bytes that break the standard.
 */
#ifndef SCSI_SCSI_H
#define SCSI_SCSI_H

#include "base/endian.h"

#include <hbakit/scsi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- words */

enum scsi_opcode {
	SCSI_TEST_UNIT_READY = 0x00,
	SCSI_REQUEST_SENSE = 0x03,
	SCSI_READ_6 = 0x08,
	SCSI_WRITE_6 = 0x0a,
	SCSI_INQUIRY = 0x12,
	SCSI_MODE_SELECT_6 = 0x15,
	SCSI_RESERVE_6 = 0x16,
	SCSI_RELEASE_6 = 0x17,
	SCSI_MODE_SENSE_6 = 0x1a,
	SCSI_START_STOP_UNIT = 0x1b,
	SCSI_RECEIVE_DIAGNOSTIC_RESULTS = 0x1c,
	SCSI_SEND_DIAGNOSTIC = 0x1d,
	SCSI_PREVENT_ALLOW_MEDIUM_REMOVAL = 0x1e,
	SCSI_READ_CAPACITY_10 = 0x25,
	SCSI_READ_10 = 0x28,
	SCSI_WRITE_10 = 0x2a,
	SCSI_WRITE_AND_VERIFY_10 = 0x2e,
	SCSI_VERIFY_10 = 0x2f,
	SCSI_PRE_FETCH_10 = 0x34,
	SCSI_SYNCHRONIZE_CACHE_10 = 0x35,
	SCSI_WRITE_SAME_10 = 0x41,
	SCSI_UNMAP = 0x42,
	SCSI_LOG_SENSE = 0x4d,
	SCSI_MODE_SELECT_10 = 0x55,
	SCSI_RESERVE_10 = 0x56,
	SCSI_RELEASE_10 = 0x57,
	SCSI_MODE_SENSE_10 = 0x5a,
	SCSI_PERSISTENT_RESERVE_IN = 0x5e,
	SCSI_PERSISTENT_RESERVE_OUT = 0x5f,
	SCSI_VARIABLE_LENGTH = 0x7f,
	SCSI_READ_16 = 0x88,
	SCSI_COMPARE_AND_WRITE = 0x89,
	SCSI_WRITE_16 = 0x8a,
	SCSI_ORWRITE_16 = 0x8b,
	SCSI_WRITE_AND_VERIFY_16 = 0x8e,
	SCSI_VERIFY_16 = 0x8f,
	SCSI_PRE_FETCH_16 = 0x90,
	SCSI_SYNCHRONIZE_CACHE_16 = 0x91,
	SCSI_WRITE_SAME_16 = 0x93,
	SCSI_SERVICE_ACTION_IN_16 = 0x9e,
	SCSI_REPORT_LUNS = 0xa0,
	SCSI_MAINTENANCE_IN = 0xa3,
	SCSI_READ_12 = 0xa8,
	SCSI_WRITE_12 = 0xaa,
	SCSI_WRITE_AND_VERIFY_12 = 0xae,
	SCSI_VERIFY_12 = 0xaf,
};

enum scsi_service_action {
	SCSI_SAI_READ_CAPACITY_16 = 0x10,
	SCSI_SAI_GET_LBA_STATUS = 0x12,
	SCSI_MI_REPORT_SUPPORTED_OPCODES = 0x0c,
	SCSI_MI_REPORT_SUPPORTED_TMFS = 0x0d,
};

enum scsi_sense_key {
	SCSI_NO_SENSE = 0x0,
	SCSI_RECOVERED_ERROR = 0x1,
	SCSI_NOT_READY = 0x2,
	SCSI_MEDIUM_ERROR = 0x3,
	SCSI_HARDWARE_ERROR = 0x4,
	SCSI_ILLEGAL_REQUEST = 0x5,
	SCSI_UNIT_ATTENTION = 0x6,
	SCSI_DATA_PROTECT = 0x7,
	SCSI_BLANK_CHECK = 0x8,
	SCSI_ABORTED_COMMAND = 0xb,
	SCSI_VOLUME_OVERFLOW = 0xd,
	SCSI_MISCOMPARE = 0xe,
	SCSI_COMPLETED = 0xf,
};

/* Additional sense code and qualifier as one number: ASC << 8 | ASCQ (SPC-4 annex F). */
enum scsi_asc {
	SCSI_ASC_NONE = 0x0000,
	SCSI_ASC_NOT_READY_CAUSE_UNKNOWN = 0x0400,
	SCSI_ASC_BECOMING_READY = 0x0401,
	SCSI_ASC_INITIALIZING_COMMAND_REQUIRED = 0x0402,
	SCSI_ASC_SELF_TEST_IN_PROGRESS = 0x0409,
	SCSI_ASC_WRITE_ERROR = 0x0c00,
	SCSI_ASC_UNRECOVERED_READ_ERROR = 0x1100,
	SCSI_ASC_PARAMETER_LIST_LENGTH_ERROR = 0x1a00,
	SCSI_ASC_MISCOMPARE_DURING_VERIFY = 0x1d00,
	SCSI_ASC_INVALID_OPCODE = 0x2000,
	SCSI_ASC_LBA_OUT_OF_RANGE = 0x2100,
	SCSI_ASC_INVALID_FIELD_IN_CDB = 0x2400,
	SCSI_ASC_LUN_NOT_SUPPORTED = 0x2500,
	SCSI_ASC_INVALID_FIELD_IN_PARAMETER_LIST = 0x2600,
	SCSI_ASC_INVALID_RELEASE = 0x2604,
	SCSI_ASC_WRITE_PROTECTED = 0x2700,
	SCSI_ASC_SOFTWARE_WRITE_PROTECTED = 0x2702,
	SCSI_ASC_SPACE_ALLOCATION_FAILED = 0x2707,
	SCSI_ASC_MEDIUM_MAY_HAVE_CHANGED = 0x2800,
	SCSI_ASC_POWER_ON_OR_RESET = 0x2900,
	SCSI_ASC_MODE_PARAMETERS_CHANGED = 0x2a01,
	SCSI_ASC_RESERVATIONS_PREEMPTED = 0x2a03,
	SCSI_ASC_RESERVATIONS_RELEASED = 0x2a04,
	SCSI_ASC_REGISTRATIONS_PREEMPTED = 0x2a05,
	SCSI_ASC_CAPACITY_CHANGED = 0x2a09,
	SCSI_ASC_SAVING_NOT_SUPPORTED = 0x3900,
	SCSI_ASC_NO_MEDIUM = 0x3a00,
	SCSI_ASC_FAILED_SELF_TEST = 0x3e03,
	SCSI_ASC_INQUIRY_CHANGED = 0x3f03,
	SCSI_ASC_REPORTED_LUNS_CHANGED = 0x3f0e,
	SCSI_ASC_INTERNAL_TARGET_FAILURE = 0x4400,
	SCSI_ASC_INVALID_MESSAGE = 0x4900,
	SCSI_ASC_MEDIUM_REMOVAL_PREVENTED = 0x5302,
};

enum scsi_vpd_page {
	SCSI_VPD_SUPPORTED = 0x00,
	SCSI_VPD_SERIAL = 0x80,
	SCSI_VPD_DEVICE_ID = 0x83,
	SCSI_VPD_EXTENDED_INQUIRY = 0x86,
	SCSI_VPD_BLOCK_LIMITS = 0xb0,
	SCSI_VPD_BLOCK_CHARACTERISTICS = 0xb1,
	SCSI_VPD_LOGICAL_BLOCK_PROVISIONING = 0xb2,
};

enum scsi_device_type { SCSI_TYPE_DISK = 0x00, SCSI_TYPE_PROCESSOR = 0x03, SCSI_TYPE_NONE = 0x1f };

/**
 * scsi_opcode_name() - "READ(10)", for people; service actions are told apart. "opcode 0xNN" has no
 * name here: NULL.
 */
const char *scsi_opcode_name(const uint8_t *cdb, size_t length);

/* ---- cdb.c: commands, built and read (SPC-4 4.3, SBC-3 5) */

/** struct scsi_cdb - A built command; zero beyond `length`. */
struct scsi_cdb {
	uint8_t bytes[HBA_MAX_CDB];
	uint8_t length;
};

struct scsi_cdb scsi_cdb_test_unit_ready(void);
struct scsi_cdb scsi_cdb_request_sense(uint8_t allocation);
/*
 * Inline, because libiscsi exports a function of this name: in a program that links both, neither
 * may stand in for the other.
 */
static inline struct scsi_cdb scsi_cdb_inquiry(uint16_t allocation)
{
	return (struct scsi_cdb) {
		{ [0] = SCSI_INQUIRY, [3] = (uint8_t)(allocation >> 8), [4] = (uint8_t)allocation },
		6
	};
}
struct scsi_cdb scsi_cdb_inquiry_vpd(uint8_t page, uint16_t allocation);
struct scsi_cdb scsi_cdb_report_luns(uint32_t allocation);
struct scsi_cdb scsi_cdb_read_capacity_10(void);
struct scsi_cdb scsi_cdb_read_capacity_16(uint32_t allocation);
/* Current values; a block descriptor may come before the page. */
struct scsi_cdb scsi_cdb_mode_sense_6(uint8_t page, uint8_t subpage, uint8_t allocation);
struct scsi_cdb scsi_cdb_mode_sense_10(uint8_t page, uint8_t subpage, uint16_t allocation);
struct scsi_cdb scsi_cdb_synchronize_cache_10(uint32_t block, uint16_t count);
struct scsi_cdb scsi_cdb_synchronize_cache_16(uint64_t block, uint32_t count);

/** struct scsi_rw - A block READ or WRITE of any of its four sizes, taken apart. */
struct scsi_rw {
	uint64_t block;
	uint32_t count;               /* blocks; READ/WRITE(6)'s 0 is 256 here already */
	enum hba_direction direction; /* HBA_FROM_TARGET: a READ */
	bool fua, dpo;
	uint8_t protect; /* RDPROTECT, WRPROTECT */
	uint8_t group;
};

/**
 * scsi_cdb_rw() - Build it in `size` bytes: 6, 10, 12 or 16; 0 = the smallest of 10 and 16 that
 * holds it. -ERANGE: it does not fit that size (block, count, or a flag that READ(6) has no place
 * for). -EINVAL: no such size, or no direction. *ret_cdb is untouched then.
 */
int scsi_cdb_rw(const struct scsi_rw *rw, unsigned size, struct scsi_cdb *ret_cdb);

/**
 * scsi_cdb_read_rw() - The reverse. false: not a READ or WRITE of 6, 10, 12 or 16 bytes; *ret_rw is
 * untouched then.
 */
bool scsi_cdb_read_rw(const uint8_t *cdb, size_t length, struct scsi_rw *ret_rw);

enum {
	SCSI_GROUP_SHIFT = 5, /* an opcode's upper three bits are its group: the size of the CDB */
	SCSI_GROUP_6 = 0,
	SCSI_GROUP_10 = 1,
	SCSI_GROUP_16 = 4,
	SCSI_GROUP_12 = 5,
	SCSI_NO_GROUP = 8,
	/* the byte at which such a CDB's transfer length begins: of 1, 2, 4 and 4 bytes */
	SCSI_COUNT_AT_6 = 4,
	SCSI_COUNT_AT_10 = 7,
	SCSI_COUNT_AT_12 = 6,
	SCSI_COUNT_AT_16 = 10,
	SCSI_MAX_COUNT_6 = 256, /* which READ(6) and WRITE(6) write as 0 */
	SCSI_PROTECT_SHIFT = 5, /* byte 1 from here on, in all but the six-byte form */
	SCSI_RW_COMMAND = 0x08,
	SCSI_RW_COMMAND_MASK = 0x1d, /* of the group's commands: bit 1 says WRITE */
	SCSI_RW_GROUPS = 0x33,       /* a bit for each: 6, 10, 16 and 12 bytes */
};

/**
 * scsi_cdb_is_rw() - Is it the opcode of a block READ or WRITE of 6, 10, 12 or 16 bytes? Asked of
 * every command.
 */
static inline bool scsi_cdb_is_rw(uint8_t opcode)
{
	return (opcode & SCSI_RW_COMMAND_MASK) == SCSI_RW_COMMAND &&
	       (SCSI_RW_GROUPS >> (opcode >> SCSI_GROUP_SHIFT) & 1);
}

/**
 * scsi_cdb_rw_count() - Only how many blocks, and is there protection information? Asked of every
 * command. Else as scsi_cdb_read_rw().
 */
static inline bool scsi_cdb_rw_count(const uint8_t *cdb, size_t length, uint32_t *ret_count,
				     bool *ret_protect)
{
	unsigned group =
		length && scsi_cdb_is_rw(cdb[0]) ? cdb[0] >> SCSI_GROUP_SHIFT : SCSI_NO_GROUP;

	if (group == SCSI_GROUP_10 && length >= 10)
		*ret_count = get_be16(cdb + SCSI_COUNT_AT_10);
	else if (group == SCSI_GROUP_16 && length >= 16)
		*ret_count = get_be32(cdb + SCSI_COUNT_AT_16);
	else if (group == SCSI_GROUP_12 && length >= 12)
		*ret_count = get_be32(cdb + SCSI_COUNT_AT_12);
	else if (group == SCSI_GROUP_6 && length >= 6)
		*ret_count = cdb[SCSI_COUNT_AT_6] ? cdb[SCSI_COUNT_AT_6] : SCSI_MAX_COUNT_6;
	else
		return false;
	*ret_protect = group != SCSI_GROUP_6 && cdb[1] >> SCSI_PROTECT_SHIFT;
	return true;
}

/**
 * scsi_cdb_is_block_command() - Is it one that a user of blocks sends: READ, WRITE, with VERIFY or
 * alone, PRE-FETCH, SYNCHRONIZE CACHE, UNMAP, WRITE SAME, ORWRITE, GET LBA STATUS? All of them are
 * idempotent, and none is sent to learn of the unit's state. So not COMPARE AND WRITE, which a
 * second time compares with what the first has written, nor READ CAPACITY.
 */
bool scsi_cdb_is_block_command(const uint8_t *cdb);

/**
 * scsi_cdb_may_change_medium() - May it change what is on the medium, or how it is protected? For
 * units opened read-only.
 */
bool scsi_cdb_may_change_medium(const uint8_t *cdb);

/**
 * scsi_cdb_transfer() - transfer.c: the most bytes that a command moves, by its own word: its
 * allocation or parameter list length, or so many blocks. false: it does not say, or nobody here
 * knows where; READ and WRITE have scsi_cdb_read_rw(). *ret_bytes untouched then.
 */
bool scsi_cdb_transfer(const uint8_t *cdb, size_t length, uint32_t block_bytes,
		       uint64_t *ret_bytes);

/**
 * scsi_cdb_direction() - Which way the data of a command go, by its opcode; HBA_NO_DATA: it has
 * none, or not always that way.
 */
enum hba_direction scsi_cdb_direction(uint8_t opcode);

/**
 * scsi_cdb_length() - The length an opcode's group says (SPC-4 4.3.2): 6, 10, 12, 16; 0 = vendor or
 * variable.
 */
unsigned scsi_cdb_length(uint8_t opcode);
/**
 * scsi_cdb_naca() - Does its control byte (SAM-5 5.2) ask for an ACA, should it end in CHECK
 * CONDITION? `length` as it was sent.
 */
bool scsi_cdb_naca(const uint8_t *cdb, size_t length);

/* ---- extent.c: commands over runs of blocks that are neither READ nor WRITE (SBC-3 5) */

/** struct scsi_extent - A run of blocks. What a count of 0 means is the command's business. */
struct scsi_extent {
	uint64_t block;
	uint32_t count;
};

/* Byte 1 of these commands, besides the protection in its upper three bits. */
enum scsi_extent_flags {
	SCSI_DPO = 0x10,
	SCSI_FUA = 0x08,
	SCSI_FUA_NV = 0x02,
	SCSI_IMMED = 0x02,          /* SYNCHRONIZE CACHE, PRE-FETCH */
	SCSI_BYTCHK = 0x06,         /* the field; of VERIFY and WRITE AND VERIFY */
	SCSI_BYTCHK_COMPARE = 0x02, /* with as many blocks of data */
	SCSI_BYTCHK_ONE = 0x06,     /* each with the one block of data; VERIFY only */
	SCSI_ANCHOR = 0x10,         /* WRITE SAME */
	SCSI_WRITE_SAME_UNMAP = 0x08,
	SCSI_NDOB = 0x01, /* WRITE SAME(16): no data, all zeros */
};

/**
 * scsi_cdb_extent() - -EINVAL: not a command of this kind. -ERANGE: block or count does not fit it.
 * *ret_cdb untouched then.
 */
int scsi_cdb_extent(uint8_t opcode, uint8_t flags, const struct scsi_extent *extent,
		    struct scsi_cdb *ret_cdb);
/**
 * scsi_cdb_read_extent() - false: not a command of this kind, or cut short; *ret_extent is
 * untouched then.
 */
bool scsi_cdb_read_extent(const uint8_t *cdb, size_t length, struct scsi_extent *ret_extent);
/** scsi_cdb_count_at() - The byte of the CDB at which a block command's transfer length begins. */
unsigned scsi_cdb_count_at(uint8_t opcode);

enum {
	SCSI_UNMAP_HEADER_BYTES = 8,
	SCSI_UNMAP_DESCRIPTOR_BYTES = 16,
	SCSI_UNMAP_MOST_DESCRIPTORS = 4095
};

struct scsi_cdb scsi_cdb_unmap_list(uint16_t length);
/**
 * scsi_unmap_write() - The parameter list, at most SCSI_UNMAP_MOST_DESCRIPTORS. Returns its length.
 */
size_t scsi_unmap_write(const struct scsi_extent *extents, unsigned n, uint8_t *bytes);
/**
 * scsi_unmap_count() - How many whole descriptors are in a list of `list_length` bytes, header
 * included (8 at least). One that is cut by either length does not count. -EPROTO: its two lengths
 * contradict each other.
 */
int scsi_unmap_count(const uint8_t header[SCSI_UNMAP_HEADER_BYTES], size_t list_length);
struct scsi_extent scsi_unmap_descriptor(const uint8_t bytes[SCSI_UNMAP_DESCRIPTOR_BYTES]);

enum { SCSI_LBA_STATUS_HEADER_BYTES = 8, SCSI_LBA_STATUS_BYTES = 16 };
enum scsi_provisioning_status { SCSI_MAPPED = 0, SCSI_DEALLOCATED = 1, SCSI_ANCHORED = 2 };

struct scsi_lba_status {
	struct scsi_extent extent;
	uint8_t provisioning; /* enum scsi_provisioning_status */
};

struct scsi_cdb scsi_cdb_lba_status(uint64_t block, uint32_t allocation);
/* 8 + 16 n bytes */
size_t scsi_lba_status_write(const struct scsi_lba_status *status, unsigned n, uint8_t *bytes);
/** scsi_lba_status_read() - How many whole descriptors there were, up to `most`. -EPROTO. */
int scsi_lba_status_read(const uint8_t *bytes, size_t length, struct scsi_lba_status *ret_status,
			 unsigned most);

/* ---- sense.c (SPC-4 4.5) */

enum { SCSI_FIXED_SENSE_BYTES = 18, SCSI_DESCRIPTOR_SENSE_BYTES = 32 };

/** struct scsi_sense - Sense data of either format, taken apart. */
struct scsi_sense {
	uint8_t key;  /* enum scsi_sense_key */
	uint16_t asc; /* enum scsi_asc: code << 8 | qualifier */
	bool deferred;
	bool has_information;
	uint64_t information; /* mostly the first block that failed */
	bool has_field;       /* sense key specific: which byte of CDB or parameter list is wrong */
	bool field_in_cdb, has_bit;
	uint8_t field_bit;
	uint16_t field_byte;
	bool filemark, eom, ili;
};

/** scsi_sense_read() - Fixed or descriptor format. -EPROTO: neither, or too short for a key. */
int scsi_sense_read(const uint8_t *bytes, size_t length, struct scsi_sense *ret_sense);
/**
 * scsi_sense_goes_with_data() - Has the command been carried out all the same: NO SENSE, RECOVERED
 * ERROR, COMPLETED?
 */
bool scsi_sense_goes_with_data(const void *bytes, size_t length);

/**
 * scsi_sense_write_fixed() - In fixed format, 18 bytes; information above 32 bits is left out.
 * Returns 18.
 */
size_t scsi_sense_write_fixed(const struct scsi_sense *sense,
			      uint8_t bytes[SCSI_FIXED_SENSE_BYTES]);

/** scsi_sense_write_descriptor() - In descriptor format; returns the bytes used, at most 32. */
size_t scsi_sense_write_descriptor(const struct scsi_sense *sense,
				   uint8_t bytes[SCSI_DESCRIPTOR_SENSE_BYTES]);

const char *scsi_sense_key_name(uint8_t key); /* "ILLEGAL REQUEST"; never NULL */
/* of those in enum scsi_asc; NULL = not one of them */
const char *scsi_asc_name(uint16_t asc);

/* ---- inquiry.c (SPC-4 6.6, 7.8) */

enum { SCSI_INQUIRY_MIN = 36, SCSI_INQUIRY_MAX = 96 };

/**
 * struct scsi_inquiry - Standard INQUIRY data. Text is printable ASCII (others become '?'), trimmed
 * at the end, NUL-ended.
 */
struct scsi_inquiry {
	uint8_t qualifier; /* 0 = a unit is there; 3 = none can be */
	uint8_t type;      /* enum scsi_device_type */
	bool removable, normal_aca, hierarchical, command_queuing, third_party_copy, protect;
	uint8_t version;  /* 3 SPC, 4 SPC-2, 5 SPC-3, 6 SPC-4 */
	uint8_t features; /* HBA_FEATURE_BIT()s the device claims (docs/contract.md 9.9) */
	char vendor[9], product[17], revision[5];
	unsigned length; /* bytes the device has, by its additional length */
};

/** scsi_inquiry_read() - -EPROTO: not even the 36 bytes that every device has. */
int scsi_inquiry_read(const uint8_t *bytes, size_t length, struct scsi_inquiry *ret_inquiry);
/** scsi_inquiry_write() - 96 bytes with version descriptors SAM-5, SPC-4, SBC-3. Returns 96. */
size_t scsi_inquiry_write(const struct scsi_inquiry *inquiry, uint8_t bytes[SCSI_INQUIRY_MAX]);

/**
 * scsi_vpd_check() - Is it the page that was asked for, whole? Returns its length, header included,
 * ≤ `length`; or -EPROTO.
 */
int scsi_vpd_check(const uint8_t *bytes, size_t length, uint8_t page);
bool scsi_vpd_lists(const uint8_t *page_00, size_t length, uint8_t page);
/** scsi_vpd_serial() - Trimmed on both sides, printable, cut to `size`. */
int scsi_vpd_serial(const uint8_t *page_80, size_t length, char *ret_text, size_t size);

/**
 * scsi_vpd_best_id() - The best name of the *logical unit* in page 83: NAA, then EUI-64, then T10
 * vendor id, then SCSI name; the longest of a kind. Written as "naa.…", "eui.…" (hex), "t10.…", or
 * the name itself; cut to `size`. Empty if there is none.
 */
int scsi_vpd_best_id(const uint8_t *page_83, size_t length, char *ret_text, size_t size);

/**
 * struct scsi_disk_identity - What the VPD pages 00, 80 and 83 of a software disk are made from.
 */
struct scsi_disk_identity {
	const char *vendor, *product, *serial; /* "" for none; never NULL */
	/* NAA locally assigned (3h…) or IEEE registered; 0 = leave out */
	uint64_t naa;
	const uint8_t *pages; /* for page 00, ascending, 00 included */
	size_t n_pages;
};

enum { SCSI_VPD_MAX = 255 };
/*
 * Each returns the bytes used. What does not fit is cut. Device id: the NAA, then a T10 name if
 * there is a serial number.
 */
size_t scsi_vpd_write_supported(const struct scsi_disk_identity *id, uint8_t bytes[SCSI_VPD_MAX]);
size_t scsi_vpd_write_serial(const struct scsi_disk_identity *id, uint8_t bytes[SCSI_VPD_MAX]);
size_t scsi_vpd_write_device_id(const struct scsi_disk_identity *id, uint8_t bytes[SCSI_VPD_MAX]);

/* ---- limits.c: how a disk wants to be used (SPC-4 7.8.7, SBC-3 6.6) */

/** struct scsi_extended_inquiry - Page 86: which task attributes there are, and which caches. */
struct scsi_extended_inquiry {
	bool simple, ordered, head_of_queue;
	bool volatile_cache, nonvolatile_cache;
};

/**
 * struct scsi_block_limits - Page B0, in blocks. 0: not said; of a maximum, that there is none, or
 * that the command is not there.
 */
struct scsi_block_limits {
	bool write_same_nonzero; /* WSNZ: a WRITE SAME of 0 blocks is refused */
	uint8_t max_compare_and_write;
	uint16_t optimal_granularity;
	uint32_t max_transfer, optimal_transfer, max_prefetch;
	uint32_t max_unmap_blocks, max_unmap_descriptors, unmap_granularity, unmap_alignment;
	bool has_unmap_alignment;
	uint64_t max_write_same;
};

enum { SCSI_NON_ROTATING = 1 };
enum scsi_provisioning_type {
	SCSI_FULLY_PROVISIONED = 0,
	SCSI_RESOURCE_PROVISIONED = 1,
	SCSI_THIN_PROVISIONED = 2
};

/** struct scsi_provisioning - Page B2: which commands unmap, and what unmapped blocks read as. */
struct scsi_provisioning {
	bool unmap, write_same_16, write_same_10; /* LBPU, LBPWS, LBPWS10 */
	bool reads_zero;                          /* LBPRZ */
	uint8_t type;                             /* enum scsi_provisioning_type */
};

/* Writers return the bytes used. */
size_t scsi_vpd_write_extended(const struct scsi_extended_inquiry *x, uint8_t bytes[SCSI_VPD_MAX]);
size_t scsi_vpd_write_limits(const struct scsi_block_limits *l, uint8_t bytes[SCSI_VPD_MAX]);
size_t scsi_vpd_write_characteristics(uint16_t rotation, uint8_t bytes[SCSI_VPD_MAX]);
size_t scsi_vpd_write_provisioning(const struct scsi_provisioning *p, uint8_t bytes[SCSI_VPD_MAX]);
/*
 * Readers take the shorter pages of older devices: what is not there is 0. -EPROTO, with the result
 * untouched.
 */
int scsi_vpd_read_limits(const uint8_t *bytes, size_t length, struct scsi_block_limits *ret_limits);
int scsi_vpd_read_provisioning(const uint8_t *bytes, size_t length,
			       struct scsi_provisioning *ret_provisioning);

/* ---- capacity.c (SBC-3 5.15, 5.16) */

/** struct scsi_capacity - READ CAPACITY(10) or (16). */
struct scsi_capacity {
	uint64_t blocks; /* the last block's address + 1: never 0 */
	uint32_t block_bytes;
	bool needs_16;                            /* (10) answered FFFFFFFFh: ask with (16) */
	bool protection, provisioned, reads_zero; /* PROT_EN, LBPME, LBPRZ; (16) only */
	/* logical blocks per physical block, as a power of two */
	uint8_t physical_exponent;
	uint16_t lowest_aligned;
};

int scsi_capacity_read_10(const uint8_t *bytes, size_t length, struct scsi_capacity *ret_capacity);
int scsi_capacity_read_16(const uint8_t *bytes, size_t length, struct scsi_capacity *ret_capacity);
size_t scsi_capacity_write_10(const struct scsi_capacity *capacity, uint8_t bytes[8]);
size_t scsi_capacity_write_16(const struct scsi_capacity *capacity, uint8_t bytes[32]);

/* ---- lun.c (SAM-5 4.7, SPC-4 6.33) */

enum scsi_lun_method {
	SCSI_LUN_PERIPHERAL = 0,   /* 00b, bus 0: 0..255 */
	SCSI_LUN_FLAT = 1,         /* 01b: 0..16,383 */
	SCSI_LUN_LOGICAL_UNIT = 2, /* 10b: target, bus and unit behind a bridge */
	SCSI_LUN_EXTENDED = 3,     /* 11b: extended flat, 24 bits; well known units */
};

enum { SCSI_MAX_PERIPHERAL = 255, SCSI_MAX_FLAT = 16383, SCSI_MAX_EXTENDED_FLAT = (1 << 24) - 1 };

/**
 * scsi_lun_from_number() - Peripheral up to 255, flat up to 16,383, extended flat up to 2^24 - 1;
 * -ERANGE above.
 */
int scsi_lun_from_number(uint64_t number, struct hba_lun_id *ret_lun);
/**
 * scsi_lun_number() - The plain number, whichever of the methods wrote it; UINT64_MAX: it has none
 * (second level, well known…).
 */
uint64_t scsi_lun_number(const struct hba_lun_id *lun);
enum scsi_lun_method scsi_lun_method(const struct hba_lun_id *lun);
/** scsi_lun_equal() - Byte for byte: a target may well use two methods for two units. */
bool scsi_lun_equal(const struct hba_lun_id *a, const struct hba_lun_id *b);
/** scsi_lun_text() - "3" if it has a number, else the sixteen hex digits. `text` has 24 bytes. */
void scsi_lun_text(const struct hba_lun_id *lun, char text[24]);

/**
 * scsi_report_luns_read() - How many whole entries there are in `length` bytes; *ret_needed: bytes
 * to ask for to get all. -EPROTO.
 */
int scsi_report_luns_read(const uint8_t *bytes, size_t length, unsigned *ret_n,
			  uint32_t *ret_needed);
/** scsi_report_luns_entry() - Entry `i`, below what scsi_report_luns_read() said. */
struct hba_lun_id scsi_report_luns_entry(const uint8_t *bytes, unsigned i);

#endif
