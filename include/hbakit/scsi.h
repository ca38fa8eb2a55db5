/* SPDX-License-Identifier: MIT */
/*
 * scsi.h: the SCSI terms of the contract, with the contract's numbers.
 *
 * Nothing here sends a command. Opcodes, VPD pages and sense codes are not listed: the standards
 * define them, not the contract, and `src/scsi` reads and builds them.
 */
#ifndef HBAKIT_SCSI_H
#define HBAKIT_SCSI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
	HBA_MAX_CDB = 32,    /* bytes; the contract has 16, 32-byte CDBs are ours */
	HBA_MAX_SENSE = 252, /* bytes; SPC's limit (contract: buffer 256, length field up to 255) */
	HBA_MAX_BATCH = 32,  /* tasks between two calls of kick (contract: tasks per bundle) */
	HBA_UNTAGGED = 0,    /* the tag of an untagged task */
};

/** struct hba_lun_id - A LUN in SAM's eight bytes: four big-endian levels. All zero is LUN 0. */
struct hba_lun_id {
	uint8_t bytes[8];
};

/**
 * hba_lun_number() - The LUN as a plain number, for a chip with a LUN field up to `highest`.
 *
 * 0; -ERANGE: it is above `highest`; -EINVAL: it is not a plain number, but a path through several
 * levels, or a well known unit. Any thread.
 */
int hba_lun_number(const struct hba_lun_id *lun, uint64_t highest, uint64_t *ret_number);

/**
 * enum hba_service_response - SAM service response of a delivery or a task management function
 * (SCSIServiceResponse).
 */
enum hba_service_response {
	HBA_IN_PROCESS = 0, /* never an answer to us: completing with it is a violation */
	HBA_DELIVERY_FAILURE = 1,
	HBA_TASK_COMPLETE = 2,
	HBA_LINK_COMMAND_COMPLETE = 3,
	HBA_FUNCTION_COMPLETE = 4, /* answers of task management */
	HBA_FUNCTION_REJECTED = 5,
};

#define HBA_OUTCOME(response, status) \
	((enum hba_outcome)((unsigned)(response) << 8 | ((unsigned)(status)&0xff)))

/**
 * enum hba_outcome - Service response and task status in one number, so that neither is read
 * without the other.
 *
 * The contract's two families of status share numbers: 0x02 is CHECK CONDITION or a protocol
 * timeout, 0x04 is CONDITION MET or an absent device. Here they are distinct. For any other pair
 * that a device returns: HBA_OUTCOME(response, status).
 */
enum hba_outcome {
	/* the target responded: SCSITaskStatus */
	HBA_GOOD = 0x200,
	HBA_CHECK_CONDITION = 0x202,
	HBA_CONDITION_MET = 0x204,
	HBA_BUSY = 0x208,
	HBA_INTERMEDIATE = 0x210,
	HBA_INTERMEDIATE_CONDITION_MET = 0x214,
	HBA_RESERVATION_CONFLICT = 0x218,
	HBA_TASK_SET_FULL = 0x228,
	HBA_ACA_ACTIVE = 0x230,
	HBA_TASK_ABORTED = 0x240, /* SAM-5; not in the contract, targets send it */
	/* it did not */
	HBA_TASK_TIMEOUT = 0x101, /* the task's own timeout; only the framework gives it */
	HBA_PROTOCOL_TIMEOUT = 0x102,
	HBA_NOT_RESPONDING = 0x103, /* after all that the protocol can try */
	HBA_NOT_PRESENT = 0x104,    /* DeviceNotPresent: no such target, or it left */
	/* DeliveryFailure: a reset, a protocol error; the device is well */
	HBA_NOT_DELIVERED = 0x105,
	HBA_NO_STATUS = 0x1ff,
};

static inline enum hba_service_response hba_response(enum hba_outcome o)
{
	return (enum hba_service_response)((unsigned)o >> 8);
}

/** hba_status() - The task status alone, 0..255. Check hba_response() first. */
static inline uint8_t hba_status(enum hba_outcome o)
{
	return (uint8_t)((unsigned)o & 0xff);
}

/** enum hba_direction - Direction of a task's data (fTransferDirection). */
enum hba_direction {
	HBA_NO_DATA = 0,
	HBA_TO_TARGET = 1,   /* a write */
	HBA_FROM_TARGET = 2, /* a read */
};

/**
 * enum hba_attribute - SAM task attribute: set by the client and never changed (fTaskAttribute).
 */
enum hba_attribute {
	HBA_SIMPLE = 0,
	HBA_ORDERED = 1,
	HBA_HEAD_OF_QUEUE = 2,
	HBA_ACA = 3,
};

/** enum hba_tmf - The six task management functions. HBA_TMF_BIT() makes hba_report.tmfs. */
enum hba_tmf {
	HBA_ABORT_TASK = 0,     /* UserAbortTaskRequest */
	HBA_ABORT_TASK_SET = 1, /* UserAbortTaskSetRequest: this initiator's tasks in the unit */
	HBA_CLEAR_TASK_SET = 2, /* UserClearTaskSetRequest: all tasks in the unit */
	HBA_CLEAR_ACA = 3,      /* UserClearACARequest */
	HBA_LOGICAL_UNIT_RESET = 4, /* UserLogicalUnitResetRequest */
	HBA_TARGET_RESET = 5,       /* UserTargetResetRequest */
};
#define HBA_TMF_BIT(tmf) (UINT64_C(1) << (tmf))

/**
 * enum hba_feature - SPI features. Requests and results carry them as masks of HBA_FEATURE_BIT().
 */
enum hba_feature {
	HBA_WIDE = 0,
	HBA_SYNCHRONOUS = 1,
	HBA_QUICK_ARBITRATION = 2,
	HBA_DOUBLE_TRANSITION = 3,
	HBA_INFORMATION_UNITS = 4,
};
#define HBA_FEATURE_BIT(feature) (1U << (feature))

/**
 * hba_sense() - Fill eighteen bytes of fixed-format sense: current error, sense key, additional
 * sense code and qualifier.
 */
static inline void hba_sense(uint8_t sense[18], uint8_t key, uint8_t asc, uint8_t ascq)
{
	for (unsigned i = 0; i < 18; i++)
		sense[i] = 0;
	sense[0] = 0x70;
	sense[2] = key;
	sense[7] = 10; /* bytes that follow byte 7 */
	sense[12] = asc;
	sense[13] = ascq;
}

#ifdef __cplusplus
}
#endif
#endif
