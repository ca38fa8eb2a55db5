/* SPDX-License-Identifier: MIT */
/*
 * disk.h: a logical unit as bytes: offsets become CDBs, sense becomes errno, and that exists once.
 *
 * The request is the caller's memory and waits for its own task inside hba_disk_submit(), so that
 * there is no "try later": have as many outstanding as you like, one struct each.
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
	/*
	 * SYNCHRONIZE CACHE, all of it. A unit that does not know the command has nothing to flush
	 */
	HBA_DISK_FLUSH,
	HBA_DISK_UNMAP,  /* reads as anything afterwards */
	HBA_DISK_ZERO,   /* reads as zeros afterwards; unmapped where the disk promises that */
	HBA_DISK_VERIFY, /* the disk reads its own medium */
	HBA_DISK_STATUS, /* which blocks have room of their own: GET LBA STATUS */
};

enum hba_disk_flags {
	/* on the medium before done; where the command has no such bit, by a flush behind it */
	HBA_DISK_FUA = 1,
	HBA_DISK_ALLOCATE = 2, /* ZERO: the blocks have room of their own afterwards */
	HBA_DISK_FAST = 4,     /* ZERO: by unmapping, or -EOPNOTSUPP at once */
};

enum hba_disk_state {
	HBA_DISK_MAPPED,      /* or not told */
	HBA_DISK_DEALLOCATED, /* no room; reads as zeros if hba_lun_info::reads_zero */
	HBA_DISK_ANCHORED,    /* room is kept, no data; likewise */
};

/** struct hba_disk_extent - Blocks that are alike. */
struct hba_disk_extent {
	uint64_t offset, length; /* bytes */
	enum hba_disk_state state;
};

/**
 * struct hba_disk_io - One request. Zero it once, fill the first part, as often as you like. The
 * core's until `done`.
 *
 * `error` at the end: 0; -EIO medium or target, -ENODEV absent, -ENOMEDIUM, -EROFS protected,
 * -ENOSPC a thin pool is full, -ERANGE beyond the end, -EINVAL not whole blocks, -ETIMEDOUT,
 * -ECANCELED, -EBADE reserved by somebody, -ESTALE as below, -EAGAIN may be tried again (a `maybe`
 * that could not be replayed), -EOPNOTSUPP a command that the unit does not know.
 *
 * -ESTALE: another disk is there now. hba_lun_get_info() shows it, and a request that means it is
 * submitted anew. With hba_result::sent NO the command was not sent, and with MAYBE it was on its
 * way when the disk changed. A request with `generation` 0 goes to the new disk, unless that has
 * blocks of another size, or part of the request has gone to the one before.
 *
 * READ and WRITE of a list of data are one command, of at most 2^32 - 1 blocks; of 65,535 on a
 * controller whose CDBs have 10 bytes at most. Of a plain buffer they have no such limit, and
 * UNMAP, ZERO and VERIFY neither: they become as many commands as it takes. STATUS tells of the
 * range's beginning, as much as one command brings: ask again from where its last extent ends.
 */
struct hba_disk_io {
	struct hba_lun *lun;
	enum hba_disk_op op;
	uint32_t flags;          /* enum hba_disk_flags */
	uint64_t offset, length; /* bytes, whole blocks */
	/* items add up to `length`; READ and WRITE only; ours until done */
	union hba_data data;
	uint32_t n_data;
	enum hba_data_mode mode; /* HBA_DATA_CPU or HBA_DATA_REGION */
	/* hba_lun_info's, of the disk that is meant; 0 = whichever is there */
	uint32_t generation;
	uint32_t max_extents;                 /* STATUS: 1.. */
	struct hba_disk_extent *extents;      /* STATUS: so many, which are ours until done */
	void (*done)(struct hba_disk_io *io); /* on the loop; may submit again */

	int error; /* 0 or negative errno */
	/* STATUS: 1..; the first begins at `offset`, each where the one before it ends */
	uint32_t n_extents;
	struct hba_result result; /* for those who speak SCSI; the sense is in sense_bytes */
	uint8_t sense_bytes[32];
	/* private: */
	struct hba_waiter waiter;
	uint64_t core[8];
};

/**
 * hba_disk_submit() - Any thread; never waits. 0: `done` runs, once.
 *
 * On an error it will not run: -EINVAL, -ERANGE, -ENOMEDIUM and -ENODEV as above, found out before
 * anything was sent; -ESTALE: another disk than `generation`'s is there; -EOPNOTSUPP: ZERO with
 * blocks above 4,224 bytes, or FAST and nothing reads as zeros that is unmapped, or STATUS where no
 * CDB of 16 bytes can be sent; -EMSGSIZE: more data outside mappings than the controller can
 * bounce.
 */
int hba_disk_submit(struct hba_disk_io *io);

/**
 * hba_disk_do() - The same and wait for it, running the loop meanwhile: own loop only. Returns the
 * error; `done` is not used. -EPERM, -EBUSY: this is not the thread that runs it, or a callback;
 * nothing was sent. hba_error() says what the unit had to say.
 */
int hba_disk_do(struct hba_disk_io *io);

#ifdef __cplusplus
}
#endif
#endif
