/* SPDX-License-Identifier: MIT */
/*
 * disk.h: a logical unit as bytes: offsets become CDBs, sense becomes errno, and that exists once.
 *
 * The request is the caller's memory and waits for its own task inside hba_disk_submit(), so that there is no "try later":
 * have as many outstanding as you like, one struct each.
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
	HBA_DISK_FLUSH,  /* SYNCHRONIZE CACHE, all of it */
	HBA_DISK_UNMAP,  /* reads as anything afterwards */
	HBA_DISK_ZERO,   /* reads as zeros afterwards; unmapped where the disk promises that */
	HBA_DISK_VERIFY, /* the disk reads its own medium */
};

enum hba_disk_flags {
	HBA_DISK_FUA = 1, /* on the medium before done */
};

/**
 * struct hba_disk_io - One request. Zero it once, fill the first part, as often as you like. The core's until `done`.
 *
 * `error` at the end: 0; -EIO medium or target, -ENODEV absent, -ENOMEDIUM, -EROFS protected, -ENOSPC a thin pool is full,
 * -ERANGE beyond the end, -EINVAL not whole blocks, -ETIMEDOUT, -ECANCELED, -EBADE reserved by somebody,
 * -EAGAIN may be tried again (a `maybe` that could not be replayed), -EOPNOTSUPP a command that the unit does not know.
 *
 * READ and WRITE are one list of data and one command, of at most 2^32 - 1 blocks. UNMAP, ZERO and VERIFY have no such limit.
 */
struct hba_disk_io {
	struct hba_lun *lun;
	enum hba_disk_op op;
	uint32_t flags;          /* enum hba_disk_flags */
	uint64_t offset, length; /* bytes, whole blocks */
	union hba_data data;     /* items add up to `length`; READ and WRITE only; ours until done */
	uint32_t n_data;
	enum hba_data_mode mode;              /* HBA_DATA_CPU or HBA_DATA_REGION */
	void (*done)(struct hba_disk_io *io); /* on the loop; may submit again */

	int error;                /* 0 or negative errno */
	struct hba_result result; /* for those who speak SCSI; the sense is in sense_bytes */
	uint8_t sense_bytes[32];
	/* private: */
	struct hba_waiter waiter;
	uint64_t core[8];
};

/**
 * hba_disk_submit() - Any thread; never waits. 0: `done` runs, once.
 *
 * On an error it will not run: -EINVAL, -ERANGE, -ENOMEDIUM and -ENODEV as above, found out before anything was sent;
 * -EOPNOTSUPP: ZERO with blocks above 4,224 bytes; -EMSGSIZE: more data outside mappings than the controller can bounce.
 */
int hba_disk_submit(struct hba_disk_io *io);

/**
 * hba_disk_do() - The same and wait for it, running the loop meanwhile: own loop only. Returns the error; `done` is not used.
 * Not from a callback.
 */
int hba_disk_do(struct hba_disk_io *io);

#ifdef __cplusplus
}
#endif
#endif
