/* SPDX-License-Identifier: MIT */
/*
 * lun.h: logical units, as the scan found them.
 *
 * A struct hba_lun is an *address* (target, unit), not a disk: it lives until
 * hba_controller_close(), nothing to release. Whoever leaves and comes back is the same handle;
 * `generation` tells whether it is the same disk. While nobody is there, tasks end HBA_NOT_PRESENT.
 *
 * A unit attention that may be about another disk (28/xx, 29/xx, 2A/09, 3F/xx) holds the unit's
 * queue until INQUIRY, VPD 80 and 83 and the capacity have been read again. The generation moves if
 * one of them differs, after 28/xx in any case, and if they cannot be read within a minute. A
 * request of disk.h that names the generation before then fails. A task of hba_submit() cannot name
 * one. If none has had the attention itself, the unsent ones, or else the next one, end CHECK
 * CONDITION with sense UNIT ATTENTION 28/00, HBA_SENT_NO.
 */
#ifndef HBAKIT_LUN_H
#define HBAKIT_LUN_H

#include <hbakit/scsi.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hba_controller;
struct hba_lun;

/**
 * struct hba_lun_info - What INQUIRY, VPD 80 and 83 and READ CAPACITY said. Text is printable
 * ASCII, trimmed, ended by NUL.
 */
struct hba_lun_info {
	uint64_t target;
	struct hba_lun_id lun;
	uint64_t number; /* the same as a plain number, where it has one; else UINT64_MAX */
	/* +1 whenever VPD 83/80, capacity or the unit's own word show another disk here */
	uint32_t generation;
	uint32_t block_bytes; /* 0 = no medium, or not a disk */
	uint64_t blocks;      /* × block_bytes is INT64_MAX or less */
	/*
	 * of the blocks it is made of inside; what is smaller or lies across, is slow. 0 = not told
	 */
	uint32_t physical_bytes;
	bool present, read_only, removable;
	bool thin;       /* blocks may be unmapped, and then have no room of their own */
	bool reads_zero; /* what is unmapped reads as zeros */
	uint8_t type;    /* peripheral device type, 0 = disk */
	char vendor[9], product[17], revision[5], serial[65];
	char id[129]; /* the best of VPD 83, as "naa.…", "eui.…" or "t10.…"; empty if none */
};

/**
 * hba_lun_next() - The unit after `lun` (NULL: the first), by target, then LUN; NULL at the end.
 * Absent ones are left out. Any thread.
 */
struct hba_lun *hba_lun_next(struct hba_controller *c, struct hba_lun *lun);

/** hba_lun_find() - By numbers. NULL: never seen. Any thread. */
struct hba_lun *hba_lun_find(struct hba_controller *c, uint64_t target, uint64_t number);

struct hba_controller *hba_lun_controller(const struct hba_lun *lun);

/** hba_lun_get_info() - What is known now; a consistent copy. Any thread; sends nothing. */
void hba_lun_get_info(const struct hba_lun *lun, struct hba_lun_info *ret_info);

#ifdef __cplusplus
}
#endif
#endif
