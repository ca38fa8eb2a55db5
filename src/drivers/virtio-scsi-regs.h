/* SPDX-License-Identifier: MIT */
/*
 * virtio-scsi-regs.h: the SCSI host device of VIRTIO 1.1, section 5.6: configuration, requests,
 * control, events. Facts only.
 */
#ifndef DRIVERS_VIRTIO_SCSI_REGS_H
#define DRIVERS_VIRTIO_SCSI_REGS_H

#include <assert.h>
#include <hbakit/bus.h>

enum { VIRTIO_SCSI_DEVICE = 0x1048 };

/* 5.6.2 */
enum { VIRTIO_SCSI_CONTROL = 0, VIRTIO_SCSI_EVENTS = 1, VIRTIO_SCSI_REQUESTS = 2 };

/* 5.6.3 */
#define VIRTIO_SCSI_F_HOTPLUG (UINT64_C(1) << 1)
#define VIRTIO_SCSI_F_CHANGE  (UINT64_C(1) << 2)

/* 5.6.4 */
enum virtio_scsi_config {
	VIRTIO_SCSI_NUM_QUEUES = 0,  /* of requests */
	VIRTIO_SCSI_SEG_MAX = 4,     /* segments of a request */
	VIRTIO_SCSI_MAX_SECTORS = 8, /* of 512 bytes; 0 = no word */
	VIRTIO_SCSI_CMD_PER_LUN = 12,
	VIRTIO_SCSI_MAX_TARGET = 30, /* 16 bits */
	VIRTIO_SCSI_MAX_LUN = 32,
};

/* Defaults of sense_size and cdb_size. */
enum { VIRTIO_SCSI_SENSE = 96, VIRTIO_SCSI_CDB = 32 };

/* 5.6.6.1. A LUN is 1, target, then the first level of SAM's eight bytes. */
struct virtio_scsi_req {
	uint8_t lun[8];
	hba_le64 id;
	uint8_t attribute, priority, crn;
	uint8_t cdb[VIRTIO_SCSI_CDB];
} __attribute__((packed));
static_assert(sizeof(struct virtio_scsi_req) == 51, "5.6.6.1, what the device reads");

struct virtio_scsi_resp {
	hba_le32 sense_len, residual;
	hba_le16 status_qualifier;
	uint8_t status, response;
	uint8_t sense[VIRTIO_SCSI_SENSE];
} __attribute__((packed));
static_assert(sizeof(struct virtio_scsi_resp) == 108, "5.6.6.1, what the device writes");

enum virtio_scsi_attribute {
	VIRTIO_SCSI_SIMPLE = 0,
	VIRTIO_SCSI_ORDERED = 1,
	VIRTIO_SCSI_HEAD = 2,
	VIRTIO_SCSI_ACA = 3,
};

enum virtio_scsi_response {
	VIRTIO_SCSI_OK = 0,
	VIRTIO_SCSI_OVERRUN = 1,
	VIRTIO_SCSI_ABORTED = 2,
	VIRTIO_SCSI_BAD_TARGET = 3,
	VIRTIO_SCSI_RESET = 4,
	VIRTIO_SCSI_BUSY = 5,
	VIRTIO_SCSI_TRANSPORT_FAILURE = 6,
	VIRTIO_SCSI_TARGET_FAILURE = 7,
	VIRTIO_SCSI_NEXUS_FAILURE = 8,
	VIRTIO_SCSI_FAILURE = 9,
	/* of control requests */
	VIRTIO_SCSI_FUNCTION_SUCCEEDED = 10,
	VIRTIO_SCSI_FUNCTION_REJECTED = 11,
	VIRTIO_SCSI_INCORRECT_LUN = 12,
};

/* 5.6.6.2 */
struct virtio_scsi_tmf {
	hba_le32 type, subtype; /* type 0 */
	uint8_t lun[8];
	hba_le64 id; /* of the victim */
} __attribute__((packed));
static_assert(sizeof(struct virtio_scsi_tmf) == 24,
	      "5.6.6.2, what the device reads; it writes one byte");

enum virtio_scsi_tmf_subtype {
	VIRTIO_SCSI_ABORT_TASK = 0,
	VIRTIO_SCSI_ABORT_TASK_SET = 1,
	VIRTIO_SCSI_CLEAR_ACA = 2,
	VIRTIO_SCSI_CLEAR_TASK_SET = 3,
	VIRTIO_SCSI_I_T_NEXUS_RESET = 4,
	VIRTIO_SCSI_LOGICAL_UNIT_RESET = 5,
};

/* 5.6.6.3 */
struct virtio_scsi_event {
	hba_le32 event;
#define VIRTIO_SCSI_EVENTS_MISSED   0x80000000U
#define VIRTIO_SCSI_NO_EVENT        0U
#define VIRTIO_SCSI_TRANSPORT_RESET 1U
#define VIRTIO_SCSI_PARAM_CHANGE    3U
	uint8_t lun[8];
	hba_le32 reason; /* of a transport reset: hard, rescan, removed */
} __attribute__((packed));
static_assert(sizeof(struct virtio_scsi_event) == 16, "5.6.6.3");

#endif
