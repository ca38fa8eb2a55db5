/* SPDX-License-Identifier: MIT */
/*
 * disk.h: a logical unit as bytes. Offsets become CDBs and sense becomes errno, in one place.
 *
 * The request lives in the caller's memory and waits for its own task inside hba_disk_submit().
 * There is no "try again later": any number of requests may be outstanding, one struct each.
 */
#ifndef HBAKIT_DISK_H
#define HBAKIT_DISK_H

#include <hbakit/lun.h>
#include <hbakit/task.h>

#ifdef __cplusplus
extern "C" {
#endif

enum hba_disk_op {
	HBA_DISK_READ,
	HBA_DISK_WRITE,
	HBA_DISK_FLUSH,  /* SYNCHRONIZE CACHE of the whole unit; no error if it is unsupported */
	HBA_DISK_UNMAP,  /* data undefined afterwards */
	HBA_DISK_ZERO,   /* reads as zeros afterwards; unmapped where the disk guarantees zeros */
	HBA_DISK_VERIFY, /* the disk reads its own medium */
	HBA_DISK_STATUS, /* provisioning state of the blocks: GET LBA STATUS */
};

enum hba_disk_flags {
	HBA_DISK_FUA = 1, /* on the medium before done; a flush follows if the CDB has no FUA bit */
	HBA_DISK_ALLOCATE = 2, /* ZERO: the blocks are allocated afterwards */
	HBA_DISK_FAST = 4,     /* ZERO: by unmapping, or -EOPNOTSUPP at once */
};

enum hba_disk_state {
	HBA_DISK_MAPPED,      /* or unknown */
	HBA_DISK_DEALLOCATED, /* not allocated; reads as zeros if hba_lun_info::reads_zero */
	HBA_DISK_ANCHORED,    /* space reserved, no data; zeros as above */
};

/** struct hba_disk_extent - A range of blocks in the same state. */
struct hba_disk_extent {
	uint64_t offset, length; /* bytes */
	enum hba_disk_state state;
};

/**
 * struct hba_disk_io - One request. Zero it once, then fill the first part for each use. The core
 * owns it until `done`.
 *
 * `error` at the end: 0; -EIO medium or target, -ENODEV absent, -ENOMEDIUM, -EROFS protected,
 * -ENOSPC a thin pool is full, -ERANGE beyond the end, -EINVAL not whole blocks, -ETIMEDOUT,
 * -ECANCELED, -EBADE reservation conflict, -ESTALE as below, -EAGAIN may be tried again
 * (HBA_SENT_MAYBE, and not safe to replay), -EOPNOTSUPP a command that the unit does not support.
 *
 * -ESTALE: another disk is there now. hba_lun_get_info() describes it; submit a new request if that
 * disk is meant. If hba_result::sent is NO, the command was not sent; if MAYBE, it was on its way
 * when the disk changed. A request with `generation` 0 goes to the new disk, unless the block size
 * differs, or part of the request has gone to the previous disk.
 *
 * READ and WRITE of a list of data are one command, of at most 2^32 - 1 blocks, or of 65,535 if the
 * controller's CDBs have at most 10 bytes. READ and WRITE of a plain buffer, and UNMAP, ZERO and
 * VERIFY, have no such limit: they become as many commands as necessary. STATUS covers the
 * beginning of the range, as far as one command reports it: for the rest, submit again from the end
 * of the last extent.
 */
struct hba_disk_io {
	struct hba_lun *lun;
	enum hba_disk_op op;
	uint32_t flags;          /* enum hba_disk_flags */
	uint64_t offset, length; /* bytes, whole blocks */
	union hba_data data; /* items add up to `length`; READ and WRITE only; ours until done */
	uint32_t n_data;
	enum hba_data_mode mode;         /* HBA_DATA_CPU or HBA_DATA_REGION */
	uint32_t generation;             /* hba_lun_info's, of the disk meant; 0 = any disk there */
	uint32_t max_extents;            /* STATUS: 1.. */
	struct hba_disk_extent *extents; /* STATUS: max_extents of them, ours until done */
	void (*done)(struct hba_disk_io *io); /* on the loop; may submit again */

	int error;                /* 0 or negative errno */
	uint32_t n_extents;       /* STATUS: 1..; contiguous, the first begins at `offset` */
	struct hba_result result; /* for SCSI details; the sense is in sense_bytes */
	uint8_t sense_bytes[32];
	/* private: */
	struct hba_waiter waiter;
	uint64_t core[8];
};

/**
 * hba_disk_submit() - Submit a request. Any thread; never waits. 0: `done` runs, once.
 *
 * On an error `done` does not run. -EINVAL, -ERANGE, -ENOMEDIUM and -ENODEV as above, detected
 * before sending; -ESTALE: the disk is not that of `generation`; -EOPNOTSUPP: ZERO with blocks
 * above 4,224 bytes, or FAST if unmapped blocks do not read as zeros, or STATUS if no CDB of 16
 * bytes can be sent; -EMSGSIZE: more data outside mappings than the controller can bounce.
 */
int hba_disk_submit(struct hba_disk_io *io);

/**
 * hba_disk_do() - Submit a request and run the loop until it ends: own loop only. Returns the
 * error; `done` is not used. -EPERM, -EBUSY: wrong thread, or called from a callback; nothing was
 * sent. hba_error() describes the unit's response.
 */
int hba_disk_do(struct hba_disk_io *io);

#ifdef __cplusplus
}
#endif
#endif
