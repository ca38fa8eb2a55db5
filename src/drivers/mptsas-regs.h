/* SPDX-License-Identifier: MIT */
/*
 * mptsas-regs.h: LSI's Fusion-MPT SAS controllers (SAS1064, SAS1068): registers, messages,
 * configuration pages. Facts only, no code.
 *
 * The message passing interface is MPI 1.5. Offsets, sizes and codes are those that the open
 * drivers of Linux and FreeBSD and QEMU's model agree upon. All numbers are little-endian, SAS
 * addresses in pages and events too.
 */
#ifndef DRIVERS_MPTSAS_REGS_H
#define DRIVERS_MPTSAS_REGS_H

#include <assert.h>
#include <hbakit/bus.h>

enum {
	MPT_VENDOR = 0x1000,
	MPT_SAS1064 = 0x0050,
	MPT_SAS1064E = 0x0056,
	MPT_SAS1068 = 0x0054,
	MPT_SAS1068E = 0x0058
};

/* ---- registers: BAR 1, all 32 bits wide */

enum { MPT_BAR = 1 };

enum mpt_reg {
	MPT_DOORBELL = 0x00,
	MPT_WRITE_SEQUENCE = 0x04, /* the key that opens MPT_DIAGNOSTIC for writing */
	MPT_DIAGNOSTIC = 0x08,
	MPT_INTR_STATUS = 0x30, /* a write of anything acknowledges the doorbell */
	MPT_INTR_MASK = 0x34,   /* 1 = held back */
	MPT_REQUEST_FIFO = 0x40,
	MPT_REPLY_FIFO = 0x44,  /* read: a reply that was posted; written: a free reply frame */
	MPT_URGENT_FIFO = 0x48, /* requests that go first, where IOC FACTS say so */
};

/* MPT_DOORBELL, read */
#define MPT_STATE_MASK        UINT32_C(0xf0000000)
#define MPT_STATE_RESET       UINT32_C(0x00000000)
#define MPT_STATE_READY       UINT32_C(0x10000000)
#define MPT_STATE_OPERATIONAL UINT32_C(0x20000000)
#define MPT_STATE_FAULT       UINT32_C(0x40000000)
#define MPT_DOORBELL_IN_USE   UINT32_C(0x08000000) /* a handshake is under way */
/* half a word of a reply; in state FAULT, its code */
#define MPT_DOORBELL_DATA     UINT32_C(0x0000ffff)

/* MPT_DOORBELL, written: a function, and for a handshake how many words of the message follow. */
#define MPT_DOORBELL_MESSAGE_UNIT_RESET UINT32_C(0x40000000)
#define MPT_DOORBELL_HANDSHAKE(words)   (UINT32_C(0x42000000) | (uint32_t)(words) << 16)

/* MPT_DIAGNOSTIC */
enum { MPT_DIAG_RESET_ADAPTER = 0x04, MPT_DIAG_WRITE_ENABLE = 0x80 };

/* MPT_WRITE_SEQUENCE: anything else closes the register again, and begins anew. */
static const uint8_t mpt_write_key[] = { 0xff, 0x04, 0x0b, 0x02, 0x07, 0x0d };
enum { MPT_WRITE_CLOSE = 0xff };

/* MPT_INTR_STATUS, MPT_INTR_MASK */
#define MPT_INTR_DOORBELL      UINT32_C(0x00000001)
#define MPT_INTR_REPLY         UINT32_C(0x00000008)
/* status only: what was written to the doorbell is not taken yet */
#define MPT_INTR_DOORBELL_BUSY UINT32_C(0x80000000)

/*
 * MPT_REPLY_FIFO, read. Without the bit it is the context of a request that went well, and there is
 * no frame ("turbo reply").
 */
#define MPT_REPLY_NONE     UINT32_MAX
/* the rest is the low half of the frame's address, shifted right by one */
#define MPT_REPLY_IS_FRAME UINT32_C(0x80000000)

/* ---- scatter lists */

struct mpt_sge { /* "64 bit simple element", and "chain element" */
	hba_le32 flags_length, low, high;
};
static_assert(sizeof(struct mpt_sge) == 12, "a frame of 128 bytes has room for six");

#define MPT_SGE_LAST          UINT32_C(0x80000000) /* of this frame or chain buffer */
#define MPT_SGE_END_OF_BUFFER UINT32_C(0x40000000)
#define MPT_SGE_SIMPLE        UINT32_C(0x10000000)
#define MPT_SGE_CHAIN         UINT32_C(0x30000000)
#define MPT_SGE_TO_DEVICE     UINT32_C(0x04000000)
#define MPT_SGE_64_BIT        UINT32_C(0x02000000)
#define MPT_SGE_END_OF_LIST   UINT32_C(0x01000000)
#define MPT_SGE_LENGTH        UINT32_C(0x00ffffff) /* of a simple element */
/* of a chain element: where in its buffer the next one is, in words */
enum { MPT_SGE_NEXT_CHAIN_SHIFT = 16 };

/* ---- messages */

enum mpt_function {
	MPT_SCSI_IO = 0x00,
	MPT_SCSI_TASK_MGMT = 0x01,
	MPT_IOC_INIT = 0x02,
	MPT_IOC_FACTS = 0x03,
	MPT_CONFIG = 0x04,
	MPT_PORT_FACTS = 0x05,
	MPT_PORT_ENABLE = 0x06,
	MPT_EVENT_NOTIFICATION = 0x07,
	MPT_EVENT_ACK = 0x08,
};

enum { MPT_WORD = 4, MPT_REQUEST_BYTES = 128, MPT_REPLY_BYTES = 128, MPT_PORT = 0 };

struct mpt_request { /* the head of all */
	uint8_t specific[2], chain_offset, function;
	uint8_t specific2[3], flags;
	hba_le32 context; /* comes back in the reply */
};
static_assert(sizeof(struct mpt_request) == 12, "3 words");

struct mpt_scsi_io {
	uint8_t target, bus, chain_offset, function;
	uint8_t cdb_len, sense_len, reserved, flags;
	hba_le32 context;
	uint8_t lun[8];
	hba_le32 control;
	uint8_t cdb[16];
	hba_le32 data_len, sense_low;
	struct mpt_sge sge[6];
};
static_assert(sizeof(struct mpt_scsi_io) == 120 && offsetof(struct mpt_scsi_io, sge) == 48,
	      "30 words, 12 before the list");
enum { MPT_IO_HEAD = offsetof(struct mpt_scsi_io, sge) };

/* mpt_scsi_io::control */
#define MPT_IO_TO_DEVICE     UINT32_C(0x01000000)
#define MPT_IO_TO_HOST       UINT32_C(0x02000000)
#define MPT_IO_SIMPLE        UINT32_C(0x00000000)
#define MPT_IO_HEAD_OF_QUEUE UINT32_C(0x00000100)
#define MPT_IO_ORDERED       UINT32_C(0x00000200)
#define MPT_IO_ACA           UINT32_C(0x00000400)

struct mpt_task_mgmt {
	uint8_t target, bus, chain_offset, function;
	uint8_t reserved, type, reserved2, flags;
	hba_le32 context;
	uint8_t lun[8];
	hba_le32 reserved3[7], victim; /* its context */
};
static_assert(sizeof(struct mpt_task_mgmt) == 52, "13 words");

enum mpt_task_type {
	MPT_ABORT_TASK = 1,
	MPT_ABORT_TASK_SET = 2,
	MPT_TARGET_RESET = 3,
	MPT_RESET_BUS = 4,
	MPT_LOGICAL_UNIT_RESET = 5,
	MPT_CLEAR_TASK_SET = 6,
	MPT_CLEAR_ACA = 8,
};

struct mpt_ioc_init {
	uint8_t who, reserved, chain_offset, function;
	uint8_t flags, max_devices, max_buses, msg_flags;
	hba_le32 context;
	hba_le16 reply_frame_bytes, reserved2;
	hba_le32 frames_high, sense_high; /* of the addresses of all frames, of all sense */
	hba_le32 signal;
	struct mpt_sge page_buffer;
	hba_le16 version, header_version;
};
static_assert(sizeof(struct mpt_ioc_init) == 44, "11 words");
enum { MPT_WHO_HOST_DRIVER = 4, MPT_VERSION = 0x0105 };

struct mpt_port_request { /* PORT FACTS, PORT ENABLE */
	uint8_t reserved[2], chain_offset, function;
	uint8_t reserved2[2], port, flags;
	hba_le32 context;
};
static_assert(sizeof(struct mpt_port_request) == 12, "3 words");

struct mpt_event_request {
	uint8_t on, reserved, chain_offset, function;
	uint8_t reserved2[3], flags;
	hba_le32 context;
};
static_assert(sizeof(struct mpt_event_request) == 12, "3 words");

struct mpt_event_ack {
	uint8_t reserved[2], chain_offset, function;
	uint8_t reserved2[3], flags;
	hba_le32 context;
	hba_le32 event, event_context; /* as they came */
};
static_assert(sizeof(struct mpt_event_ack) == 20, "5 words");

struct mpt_config {
	uint8_t action, reserved, chain_offset, function;
	hba_le16 ext_length; /* words */
	uint8_t ext_type, flags;
	hba_le32 context;
	uint8_t reserved2[8];
	uint8_t version, length, number, type;
	hba_le32 address; /* which of the pages of this kind */
	struct mpt_sge buffer;
};
static_assert(sizeof(struct mpt_config) == 40, "10 words");
enum { MPT_CONFIG_HEADER = 0, MPT_CONFIG_READ = 1 };

/* ---- replies */

struct mpt_reply { /* the head of all */
	uint8_t specific[2], words, function;
	uint8_t specific2[3], flags;
	hba_le32 context;
	uint8_t specific3[2];
	hba_le16 status;
	hba_le32 log_info;
};
static_assert(sizeof(struct mpt_reply) == 20, "5 words");

enum mpt_status { /* mpt_reply::status */
		  MPT_SUCCESS = 0x00,
		  MPT_INVALID_FUNCTION = 0x01,
		  MPT_BUSY = 0x02,
		  MPT_INVALID_SGL = 0x03,
		  MPT_INSUFFICIENT_RESOURCES = 0x06,
		  MPT_INVALID_FIELD = 0x07,
		  MPT_INVALID_STATE = 0x08,
		  MPT_CONFIG_INVALID_PAGE = 0x22,
		  MPT_SCSI_RECOVERED_ERROR = 0x40,
		  MPT_SCSI_INVALID_BUS = 0x41,
		  MPT_SCSI_INVALID_TARGET = 0x42,
		  MPT_SCSI_NO_DEVICE = 0x43,
		  MPT_SCSI_OVERRUN = 0x44,
		  MPT_SCSI_UNDERRUN = 0x45,
		  MPT_SCSI_DATA_ERROR = 0x46,
		  MPT_SCSI_PROTOCOL_ERROR = 0x47,
		  MPT_SCSI_TERMINATED = 0x48,
		  MPT_SCSI_RESIDUAL_MISMATCH = 0x49,
		  MPT_SCSI_TASK_MGMT_FAILED = 0x4a,
		  MPT_SCSI_IOC_TERMINATED = 0x4b,
		  MPT_SCSI_EXT_TERMINATED = 0x4c,
		  MPT_STATUS_MASK = 0x7fff, /* the bit above says that log_info means something */
};

struct mpt_scsi_io_reply {
	struct {
		uint8_t target, bus, words, function;
		uint8_t cdb_len, sense_len, reserved, flags;
		hba_le32 context;
		uint8_t scsi_status, scsi_state;
		hba_le16 status;
		hba_le32 log_info;
	} head;
	hba_le32 moved, sense_count, response;
	hba_le16 tag, reserved;
};
static_assert(sizeof(struct mpt_scsi_io_reply) == 36, "9 words");

/* mpt_scsi_io_reply::scsi_state */
enum {
	MPT_STATE_SENSE_VALID = 0x01,
	MPT_STATE_NO_SENSE = 0x02,
	MPT_STATE_NO_STATUS = 0x04,
	MPT_STATE_TERMINATED = 0x08
};

struct mpt_task_mgmt_reply {
	struct {
		uint8_t target, bus, words, function;
		uint8_t response, type, reserved, flags;
		hba_le32 context;
		uint8_t reserved2[2];
		hba_le16 status;
		hba_le32 log_info;
	} head;
	hba_le32 terminated;
};
static_assert(sizeof(struct mpt_task_mgmt_reply) == 24, "6 words");
enum {
	MPT_TM_COMPLETE = 0,
	MPT_TM_NOT_SUPPORTED = 4,
	MPT_TM_FAILED = 5,
	MPT_TM_SUCCEEDED = 8,
	MPT_TM_INVALID_LUN = 9
};

struct mpt_ioc_facts {
	hba_le16 version;
	uint8_t words, function;
	hba_le16 header_version;
	uint8_t ioc, flags;
	hba_le32 context;
	hba_le16 exceptions, status;
	hba_le32 log_info;
	uint8_t max_chain_depth, who, block_words, ioc_flags;
	hba_le16 reply_depth, request_words; /* of a frame */
	hba_le16 old_firmware, product;
	hba_le32 frames_high;
	hba_le16 credits; /* requests that may be out */
	uint8_t ports, event_state;
	hba_le32 sense_high;
	hba_le16 reply_bytes;
	uint8_t max_devices, max_buses; /* 0 = 256 */
	hba_le32 firmware_bytes, capabilities;
	uint8_t firmware_dev, firmware_unit, firmware_minor, firmware_major;
	hba_le16 urgent_depth, reserved;
};
static_assert(sizeof(struct mpt_ioc_facts) == 64, "16 words; what may follow is not read");
#define MPT_CAPABLE_OF_URGENT UINT32_C(0x00000001)

struct mpt_port_facts {
	struct mpt_reply head;
	uint8_t reserved, type;
	hba_le16 max_devices, own_id, protocols, command_buffers, persistent_ids, lan_buckets;
	uint8_t initiators, reserved2;
	hba_le32 reserved3;
};
static_assert(sizeof(struct mpt_port_facts) == 40, "10 words");
enum { MPT_PORT_SAS = 0x30, MPT_PORT_INITIATOR = 0x08 };

struct mpt_config_reply {
	struct {
		uint8_t action, reserved, words, function;
		hba_le16 ext_length; /* words */
		uint8_t ext_type, flags;
		hba_le32 context;
		uint8_t reserved2[2];
		hba_le16 status;
		hba_le32 log_info;
	} head;
	uint8_t version, length, number, type; /* length: words */
};
static_assert(sizeof(struct mpt_config_reply) == 24, "6 words");

/* ---- events */

struct mpt_event {
	struct {
		hba_le16 data_words;
		uint8_t words, function, reserved[2], ack, flags;
		hba_le32 context;
		uint8_t reserved2[2];
		hba_le16 status;
		hba_le32 log_info;
	} head;
	hba_le32 event, event_context;
	uint8_t data[36];
};
static_assert(offsetof(struct mpt_event, data) == 28, "7 words before the data");

enum mpt_event_code {
	MPT_EVENT_EXT_BUS_RESET = 0x05,
	MPT_EVENT_RESCAN = 0x06,
	MPT_EVENT_EVENT_CHANGE = 0x0a,
	MPT_EVENT_SAS_DEVICE = 0x0f,
	MPT_EVENT_SAS_PHY_LINK = 0x12,
};

struct mpt_device_event { /* data of MPT_EVENT_SAS_DEVICE */
	uint8_t target, bus, reason, reserved;
	uint8_t asc, ascq;
	hba_le16 handle;
	hba_le32 info;
	hba_le16 parent;
	uint8_t phy, reserved2;
	uint8_t address[8];
	uint8_t lun[8];
	hba_le16 tag, reserved3;
};
static_assert(sizeof(struct mpt_device_event) == 36, "9 words");
enum {
	MPT_DEVICE_ADDED = 3,
	MPT_DEVICE_NOT_RESPONDING = 4,
	MPT_DEVICE_SMART = 5,
	MPT_DEVICE_ADDED_UNMAPPED = 6
};

struct mpt_link_event {     /* data of MPT_EVENT_SAS_PHY_LINK */
	uint8_t phy, rates; /* today's in the upper half, the one before in the lower */
	hba_le16 handle;    /* of what is at the other end */
	uint8_t address[8];
};
static_assert(sizeof(struct mpt_link_event) == 12, "3 words");
/* below the lowest there is no link */
enum { MPT_RATE_LOWEST = 8, MPT_RATE_1_5 = 8, MPT_RATE_3_0 = 9 };

/* ---- configuration pages */

enum { MPT_PAGE_MANUFACTURING = 0x09, MPT_PAGE_EXTENDED = 0x0f };
enum { MPT_PAGE_SAS_IO_UNIT = 0x10, MPT_PAGE_SAS_DEVICE = 0x12 };
/* Address of a SAS device page: the rest is bus and target, or a handle. */
#define MPT_PAGE_BY_TARGET UINT32_C(0x10000000)
#define MPT_PAGE_BY_HANDLE UINT32_C(0x20000000)

struct mpt_manufacturing_0 { /* text without a NUL at the end */
	uint8_t header[4];
	char chip[16], chip_revision[8], board[16], assembly[16], tracer[16];
};
static_assert(sizeof(struct mpt_manufacturing_0) == 76, "19 words");

struct mpt_manufacturing_5 {
	uint8_t header[4], base_wwid[8];
};
static_assert(sizeof(struct mpt_manufacturing_5) == 12, "as far as it is read");

struct mpt_phy {
	uint8_t port, port_flags, flags, rate;
	hba_le32 info;
	hba_le16 handle, own_handle; /* of what is at the other end; of the controller */
	hba_le32 discovery;
};
static_assert(sizeof(struct mpt_phy) == 16, "4 words");

struct mpt_sas_io_unit_0 {
	uint8_t header[8];
	hba_le16 defaults, persistent;
	uint8_t phys, reserved;
	hba_le16 reserved2;
	struct mpt_phy phy[16];
};
static_assert(offsetof(struct mpt_sas_io_unit_0, phy) == 16, "4 words before the phys");

struct mpt_sas_device_0 {
	uint8_t header[8];
	hba_le16 slot, enclosure;
	uint8_t address[8];
	hba_le16 parent;
	uint8_t phy, access;
	hba_le16 handle;
	uint8_t target, bus;
	hba_le32 info;
	hba_le16 flags;
	uint8_t port, reserved;
};
static_assert(sizeof(struct mpt_sas_device_0) == 36, "9 words");

#endif
