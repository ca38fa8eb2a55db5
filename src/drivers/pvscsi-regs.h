/* SPDX-License-Identifier: MIT */
/*
 * pvscsi-regs.h: VMware's paravirtual SCSI controller: registers, commands to the adapter, rings.
 * Facts only, no code.
 *
 * There is no public manual. Offsets, sizes and codes are those that the open drivers of Linux,
 * FreeBSD and illumos and QEMU's model agree upon.
 */
#ifndef DRIVERS_PVSCSI_REGS_H
#define DRIVERS_PVSCSI_REGS_H

#include <assert.h>
#include <hbakit/bus.h>

enum { PVSCSI_VENDOR = 0x15ad, PVSCSI_DEVICE = 0x07c0 };

/* BAR 0. All 32 bits wide. */
enum pvscsi_reg {
	PVSCSI_COMMAND = 0x0000,
	PVSCSI_COMMAND_DATA = 0x0004, /* the command's words, one after another */
	PVSCSI_COMMAND_STATUS = 0x0008,
	PVSCSI_INTR_STATUS = 0x100c, /* write 1 to clear */
	PVSCSI_INTR_MASK = 0x2010,   /* 1 = let through */
	PVSCSI_KICK_NON_RW = 0x3014,
	PVSCSI_KICK_RW = 0x4018,
};

/* PVSCSI_INTR_STATUS, PVSCSI_INTR_MASK */
enum { PVSCSI_INTR_COMPLETIONS = 0x3, PVSCSI_INTR_MESSAGES = 0xc };

/* PVSCSI_COMMAND; each is done when its last word has been written. */
enum pvscsi_command {
	PVSCSI_CMD_ADAPTER_RESET = 1,
	PVSCSI_CMD_SETUP_RINGS = 3,
	PVSCSI_CMD_RESET_BUS = 4,
	PVSCSI_CMD_RESET_DEVICE = 5,
	PVSCSI_CMD_ABORT = 6,
	PVSCSI_CMD_SETUP_MESSAGES = 8,
};

enum { PVSCSI_PAGE = 4096, PVSCSI_MAX_RING_PAGES = 32, PVSCSI_MAX_MESSAGE_PAGES = 16 };

struct pvscsi_setup_rings {
	hba_le32 req_pages, cmp_pages;
	/* page numbers */
	hba_le64 state_page, req_page[PVSCSI_MAX_RING_PAGES], cmp_page[PVSCSI_MAX_RING_PAGES];
};
static_assert(sizeof(struct pvscsi_setup_rings) == 528, "132 words");

struct pvscsi_setup_messages {
	hba_le32 pages, reserved;
	hba_le64 page[PVSCSI_MAX_MESSAGE_PAGES];
};
static_assert(sizeof(struct pvscsi_setup_messages) == 136, "34 words");

struct pvscsi_abort {
	hba_le64 context;
	hba_le32 target, reserved;
};
static_assert(sizeof(struct pvscsi_abort) == 16, "4 words");

struct pvscsi_reset_device {
	hba_le32 target;
	uint8_t lun[8];
};
static_assert(sizeof(struct pvscsi_reset_device) == 12, "3 words");

/* One page. We write req_prod, cmp_cons and msg_cons, the device all else. Indices run freely. */
struct pvscsi_state {
	hba_le32 req_prod, req_cons, req_log2;
	hba_le32 cmp_prod, cmp_cons, cmp_log2;
	uint8_t reserved[104];
	hba_le32 msg_prod, msg_cons, msg_log2;
};
static_assert(offsetof(struct pvscsi_state, msg_prod) == 128, "messages come in the second part");

struct pvscsi_req {
	hba_le64 context; /* comes back in the completion; not 0 */
	hba_le64 data, data_len, sense;
	hba_le32 sense_len, flags;
#define PVSCSI_REQ_LIST      0x01U /* `data` is a list of struct pvscsi_sge */
#define PVSCSI_REQ_NO_DATA   0x04U
#define PVSCSI_REQ_TO_HOST   0x08U
#define PVSCSI_REQ_TO_DEVICE 0x10U
	uint8_t cdb[16], cdb_len, lun[8];
	uint8_t tag;
#define PVSCSI_TAG_SIMPLE  0x20
#define PVSCSI_TAG_HEAD    0x21
#define PVSCSI_TAG_ORDERED 0x22
	uint8_t bus, target, vcpu, reserved[59];
};
static_assert(sizeof(struct pvscsi_req) == 128, "32 to a page");

struct pvscsi_sge {
	hba_le64 address;
	hba_le32 length, flags;
};
static_assert(sizeof(struct pvscsi_sge) == 16, "256 to a page");

struct pvscsi_cmp {
	hba_le64 context, data_len;
	hba_le32 sense_len;
	hba_le16 host, scsi; /* enum pvscsi_host; the SCSI status */
	hba_le32 reserved[2];
};
static_assert(sizeof(struct pvscsi_cmp) == 32, "128 to a page");

/* Host status: BusLogic's old codes. */
enum pvscsi_host {
	PVSCSI_HOST_SUCCESS = 0x00,
	PVSCSI_HOST_LINKED = 0x0a,
	PVSCSI_HOST_LINKED_FLAG = 0x0b,
	PVSCSI_HOST_UNDERRUN = 0x0c,
	PVSCSI_HOST_SELECT_TIMEOUT = 0x11,
	PVSCSI_HOST_DATARUN = 0x12,
	PVSCSI_HOST_INVALID_PARAMETER = 0x1a,
	PVSCSI_HOST_NO_RESPONSE = 0x21,
	PVSCSI_HOST_BUS_RESET = 0x25,
	PVSCSI_HOST_ABORTED = 0x26,
	PVSCSI_HOST_TIMEOUT = 0x30,
};

struct pvscsi_msg {
	hba_le32 type, bus, target;
#define PVSCSI_MSG_ADDED   0U
#define PVSCSI_MSG_REMOVED 1U
	uint8_t lun[8];
	hba_le32 reserved[27];
};
static_assert(sizeof(struct pvscsi_msg) == 128, "32 to a page");

#endif
