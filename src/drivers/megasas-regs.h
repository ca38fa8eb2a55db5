/* SPDX-License-Identifier: MIT */
/*
 * megasas-regs.h: MegaRAID SAS adapters of the MFI generations: registers, message frames, what the
 * firmware is asked and answers. Facts only, no code.
 *
 * The manual of the message frame interface (MFI) is not public. Offsets, sizes and codes are those
 * that the open drivers of Linux and FreeBSD, QEMU's model, and the vendor's list of event messages
 * agree upon.
 */
#ifndef DRIVERS_MEGASAS_REGS_H
#define DRIVERS_MEGASAS_REGS_H

#include <assert.h>
#include <hbakit/bus.h>

enum {
	MEGASAS_VENDOR = 0x1000,
	MEGASAS_1078 = 0x0060,
	MEGASAS_1078DE = 0x007c,
	MEGASAS_2108 = 0x0079,
	MEGASAS_2108DE = 0x0078
};

/* BAR 0 of the 1078, BAR 1 of the 2108. All 32 bits wide. */
enum megasas_reg {
	MEGASAS_DOORBELL = 0x20,       /* to the firmware */
	MEGASAS_INTR_STATUS = 0x30,    /* of this side */
	MEGASAS_INTR_MASK = 0x34,      /* 1 = kept back */
	MEGASAS_QUEUE = 0x40,          /* a frame's address, MEGASAS_POST_*, goes to the firmware */
	MEGASAS_DOORBELL_CLEAR = 0xa0, /* write 1 to lower the interrupt */
	MEGASAS_STATUS = 0xb0,         /* the firmware's state and limits */
	MEGASAS_DIAGNOSTIC = 0xf8,
	/* MEGASAS_KEYS, one after another, make the register before writable */
	MEGASAS_SEQUENCE = 0xfc,
};

/* MEGASAS_INTR_STATUS, MEGASAS_INTR_MASK */
#define MEGASAS_INTR_1078_REPLY UINT32_C(0x80000000)
#define MEGASAS_INTR_2108_REPLY UINT32_C(0x00000001)
#define MEGASAS_INTR_STATE      UINT32_C(0x00000004) /* the firmware's state has changed */

/*
 * MEGASAS_QUEUE: bits of the address that frames leave free. The number counts frames behind the
 * first.
 */
enum {
	MEGASAS_FRAME = 64,
	MEGASAS_POST = 1,
	MEGASAS_POST_MORE_SHIFT = 1,
	MEGASAS_POST_MOST_MORE = 7
};

/* MEGASAS_DOORBELL */
enum megasas_doorbell {
	MEGASAS_INIT_ABORT = 0x01, /* all commands that are out */
	MEGASAS_INIT_READY = 0x02, /* from operational to ready; queues are forgotten */
	MEGASAS_INIT_MFI = 0x04,   /* a half address that was posted is dropped */
	MEGASAS_INIT_HANDSHAKE = 0x08,
	MEGASAS_INIT_HOTPLUG = 0x10,
	MEGASAS_ADAPTER_RESET = 0x40,
};

/* MEGASAS_STATUS */
enum { MEGASAS_STATE_SHIFT = 28, MEGASAS_MAX_SGE_SHIFT = 16 };
#define MEGASAS_MAX_SGE_MASK      UINT32_C(0xff)
#define MEGASAS_MAX_COMMANDS_MASK UINT32_C(0xffff)
#define MEGASAS_STATE_MASK        UINT32_C(0xf0000000)

enum megasas_state {
	MEGASAS_UNDEFINED = 0x0,
	MEGASAS_BOOT_BLOCK = 0x1,
	MEGASAS_FW_INIT = 0x4,
	MEGASAS_WAIT_HANDSHAKE = 0x6,
	MEGASAS_FW_INIT_2 = 0x7,
	MEGASAS_DEVICE_SCAN = 0x8,
	MEGASAS_BOOT_MESSAGE = 0x9,
	MEGASAS_FLUSH_CACHE = 0xa,
	MEGASAS_READY = 0xb,
	MEGASAS_OPERATIONAL = 0xc,
	MEGASAS_FAULT = 0xf,
};

/* MEGASAS_DIAGNOSTIC */
enum { MEGASAS_DIAG_RESET = 0x04, MEGASAS_DIAG_WRITABLE = 0x80 };
#define MEGASAS_KEYS                         \
	{                                    \
		0x0, 0x4, 0xb, 0x2, 0x7, 0xd \
	}

/* ---- frames */

enum megasas_command {
	MEGASAS_INIT = 0,
	MEGASAS_LD_SCSI = 3, /* a CDB to a logical drive */
	MEGASAS_PD_SCSI = 4, /* to a disk */
	MEGASAS_DCMD = 5,    /* to the firmware itself */
	MEGASAS_ABORT = 6,
};

/* megasas_header::flags */
enum {
	MEGASAS_NO_REPLY = 0x01, /* the status in the frame is all that tells of the end */
	MEGASAS_SGL64 = 0x02,
	MEGASAS_TO_DEVICE = 0x08,
	MEGASAS_TO_HOST = 0x10,
};

/* megasas_header::status; those that a driver does something about. */
enum megasas_status {
	MEGASAS_OK = 0x00,
	MEGASAS_INVALID_COMMAND = 0x01,
	MEGASAS_INVALID_DCMD = 0x02,
	MEGASAS_INVALID_PARAMETER = 0x03,
	MEGASAS_DEVICE_NOT_FOUND = 0x0c,
	MEGASAS_OUT_OF_RANGE = 0x19, /* the LBA, of a logical drive */
	MEGASAS_SCSI_STATUS = 0x2d,  /* the unit's status says what */
	MEGASAS_SCSI_FAILED = 0x2e,
	MEGASAS_RESERVED = 0x2f, /* RESERVATION CONFLICT */
	MEGASAS_LD_OFFLINE = 0x33,
	MEGASAS_INVALID_SGL = 0x3c,
	/* nothing the firmware writes; put there before a frame is posted */
	MEGASAS_UNANSWERED = 0xff,
};

struct megasas_header {
	uint8_t command, sense_len, status, scsi_status;
	uint8_t target, lun, cdb_len, sge_count;
	hba_le32 context, pad; /* context: what the reply queue gets */
	hba_le16 flags, timeout;
	hba_le32 data_len;
};
static_assert(sizeof(struct megasas_header) == 24, "every frame begins with it");

struct megasas_sge32 {
	hba_le32 address, length;
};
static_assert(sizeof(struct megasas_sge32) == 8, "32-bit list");

struct megasas_sge64 {
	hba_le32 low, high, length;
};
static_assert(sizeof(struct megasas_sge64) == 12, "64-bit list, packed");

/* MEGASAS_LD_SCSI, MEGASAS_PD_SCSI; the list of SGEs follows, as long as it needs */
struct megasas_pass {
	struct megasas_header head;
	hba_le32 sense_low, sense_high;
	uint8_t cdb[16];
};
static_assert(sizeof(struct megasas_pass) == 48, "where the list begins");

struct megasas_dcmd {
	struct megasas_header head;
	hba_le32 opcode, mailbox[3];
	struct megasas_sge32 data;
	hba_le32 reserved[4];
};
static_assert(sizeof(struct megasas_dcmd) == MEGASAS_FRAME &&
		      offsetof(struct megasas_dcmd, data) == 40,
	      "one frame");

struct megasas_abort {
	struct megasas_header head;
	hba_le32 context, pad;           /* of the command that is to end */
	hba_le32 low, high, reserved[6]; /* its frame's address */
};
static_assert(sizeof(struct megasas_abort) == MEGASAS_FRAME, "one frame");

struct megasas_init {
	struct megasas_header head;
	hba_le32 queues_low, queues_high, old_low, old_high, reserved[6];
};
static_assert(sizeof(struct megasas_init) == MEGASAS_FRAME, "one frame");

struct megasas_queues { /* what MEGASAS_INIT leads to */
	hba_le32 flags, entries;
	hba_le32 replies_low, replies_high;
	hba_le32 producer_low, producer_high;
	hba_le32 consumer_low, consumer_high;
};
static_assert(sizeof(struct megasas_queues) == 32, "eight words");

/* ---- what the firmware is asked: megasas_dcmd::opcode */

enum megasas_opcode {
	MEGASAS_CTRL_INFO = 0x01010000,
	MEGASAS_EVENT_LOG = 0x01040100, /* struct megasas_event_log */
	/* ends when there is an event; mailbox: its number at least, class and locale */
	MEGASAS_EVENT_WAIT = 0x01040500,
	MEGASAS_SHUTDOWN = 0x01050000,
	MEGASAS_DEFAULTS = 0x010e0201,    /* struct megasas_defaults */
	MEGASAS_CACHE_FLUSH = 0x01101000, /* mailbox: MEGASAS_FLUSH_* */
	MEGASAS_PD_QUERY = 0x02010100,    /* mailbox: MEGASAS_PD_EXPOSED; struct megasas_pd_list */
	MEGASAS_LD_LIST = 0x03010000,     /* struct megasas_ld_list */
};

enum { MEGASAS_FLUSH_CONTROLLER = 1, MEGASAS_FLUSH_DISKS = 2, MEGASAS_PD_EXPOSED = 5 };

struct megasas_component {
	char name[8], version[32], date[16], time[16];
};
static_assert(sizeof(struct megasas_component) == 72, "a part of the firmware");

enum { MEGASAS_COMPONENTS = 8 };

struct megasas_interface {
	uint8_t type, reserved[6], ports;
	hba_le64 address[8];
};

struct megasas_ctrl_info {
	hba_le16 vendor, device, subvendor, subdevice;
	uint8_t reserved0[24];
	struct megasas_interface to_host, to_devices;
	hba_le32 check_word, n_components;
	struct megasas_component component[MEGASAS_COMPONENTS];
	hba_le32 n_pending;
	struct megasas_component pending[MEGASAS_COMPONENTS];
	uint8_t max_arms, max_spans, max_arrays, max_lds;
	char product[80], serial[32];
	hba_le32 hardware, time;
	hba_le16 max_commands, max_sge;
	hba_le32 max_request; /* sectors of 512 bytes */
	hba_le16 lds, lds_degraded, lds_offline, pds, disks, disks_failing, disks_failed;
	hba_le16 nvram_kib, memory_mib, flash_mib, ecc_corrected, ecc_uncorrected;
	uint8_t cluster[2];
	hba_le16 max_strips; /* of a logical drive, in one command */
	hba_le32 raid_levels, adapter_ops, ld_ops;
	uint8_t min_strip, max_strip, reserved1[2]; /* powers of two, in sectors */
	hba_le32 pd_ops, pd_mix;
	uint8_t ecc_buckets, reserved2[11], properties[64];
	char package[96];
	uint8_t reserved3[0x800 - 0x6a0];
};
static_assert(sizeof(struct megasas_ctrl_info) == 0x800 &&
		      offsetof(struct megasas_ctrl_info, product) == 0x540 &&
		      offsetof(struct megasas_ctrl_info, max_request) == 0x5bc &&
		      offsetof(struct megasas_ctrl_info, package) == 0x640,
	      "2 KiB");

struct megasas_defaults {
	hba_le64 sas_address;
	uint8_t others[56];
};
static_assert(sizeof(struct megasas_defaults) == 64, "what the adapter was made with");

enum { MEGASAS_LDS = 64, MEGASAS_PDS = 256 };

enum megasas_ld_state { MEGASAS_LD_IS_OFFLINE = 0, MEGASAS_LD_IS_OPTIMAL = 3 };

struct megasas_ld_list {
	hba_le32 count, reserved;
	struct megasas_ld {
		uint8_t target, reserved0;
		hba_le16 sequence;
		uint8_t state, reserved1[3]; /* enum megasas_ld_state; between the two: degraded */
		hba_le64 blocks;
	} ld[MEGASAS_LDS];
};
static_assert(sizeof(struct megasas_ld_list) == 1032, "8 + 64 × 16");

struct megasas_pd_list {
	hba_le32 bytes, count;
	struct megasas_pd {
		hba_le16 id, enclosure;
		uint8_t enclosure_index, slot, type, ports; /* type: as of INQUIRY */
		hba_le64 address[2];
	} pd[MEGASAS_PDS];
};
static_assert(sizeof(struct megasas_pd_list) == 8 + 256 * 24, "8 + 256 × 24");

/* ---- events */

struct megasas_event_log {
	hba_le32 newest, oldest, cleared, shutdown, boot; /* numbers of events */
};
static_assert(sizeof(struct megasas_event_log) == 20, "five numbers");

/* Second word of the mailbox of MEGASAS_EVENT_WAIT: from this class up, of all kinds of things. */
#define MEGASAS_EVENTS_ALL UINT32_C(0x0000ffff) /* class 0: information */

/*
 * megasas_event::code, by the vendor's list of event messages; those that a driver does something
 * about.
 */
enum megasas_event_code {
	MEGASAS_EVENT_CONFIG_CLEARED = 0x0004,
	MEGASAS_EVENT_LD_STATE = 0x0051,
	MEGASAS_EVENT_PD_INSERTED = 0x005b,
	MEGASAS_EVENT_PD_REMOVED = 0x0070,
	MEGASAS_EVENT_PD_STATE = 0x0072,
	MEGASAS_EVENT_LD_CREATED = 0x008a,
	MEGASAS_EVENT_LD_DELETED = 0x008b,
	MEGASAS_EVENT_CONFIG_IMPORTED = 0x00db,
	MEGASAS_EVENT_LINK_LOST = 0x00df, /* one PHY of a wide port */
	MEGASAS_EVENT_LINK_RESTORED = 0x00e0,
	MEGASAS_EVENT_LD_OPTIMAL = 0x00f9,
	MEGASAS_EVENT_LD_PARTLY_DEGRADED = 0x00fa,
	MEGASAS_EVENT_LD_DEGRADED = 0x00fb,
	MEGASAS_EVENT_LD_OFFLINE = 0x00fc,
	MEGASAS_EVENT_SCAN_WANTED = 0x0152,
};

struct megasas_event {
	hba_le32 number, time, code;
	hba_le16 locale;
	uint8_t reserved0, class, argument_type, reserved1[15];
	union {
		hba_le16 target; /* of events of logical drives; of disks: the device id */
		uint8_t bytes[96];
	} argument;
	char text[128];
};
static_assert(sizeof(struct megasas_event) == 256, "an event in detail");

#endif
