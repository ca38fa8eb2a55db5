/* SPDX-License-Identifier: MIT */
/*
 * lun.h: logical units, as the scan found them.
 *
 * A struct hba_lun is an *address* (target, unit), not a disk. It is valid until
 * hba_controller_close(); there is nothing to release. A unit that disappears and returns keeps its
 * handle; `generation` shows whether it is the same disk. While the unit is absent, tasks end
 * HBA_NOT_PRESENT.
 *
 * A unit attention that may mean another disk (28/xx, 29/xx, 2A/09, 3F/xx) holds the unit's queue
 * until INQUIRY, VPD 80 and 83 and the capacity have been read again. The generation changes if one
 * of them differs, after 28/xx in any case, and if they cannot be read within a minute. A request
 * of disk.h that names the previous generation then fails. A task of hba_submit() cannot name a
 * generation. If no such task has received the unit attention itself, the unsent tasks, or else the
 * next one, end CHECK CONDITION with sense UNIT ATTENTION 28/00, HBA_SENT_NO.
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
 * struct hba_lun_info - Results of INQUIRY, VPD 80 and 83 and READ CAPACITY. Text is printable
 * ASCII, trimmed, ended by NUL.
 */
struct hba_lun_info {
	uint64_t target;
	struct hba_lun_id lun;
	uint64_t number;      /* the LUN as a plain number, if it is one; else UINT64_MAX */
	uint32_t generation;  /* +1 if VPD 83/80, capacity or a unit attention show another disk */
	uint32_t block_bytes; /* 0 = no medium, or not a disk */
	uint64_t blocks;      /* × block_bytes is INT64_MAX or less */
	uint32_t physical_bytes; /* physical block; smaller or unaligned I/O is slow. 0 = unknown */
	bool present, read_only, removable;
	bool thin;       /* thin provisioned: blocks may be unmapped, and then use no space */
	bool reads_zero; /* unmapped blocks read as zeros */
	uint8_t type;    /* peripheral device type, 0 = disk */
	char vendor[9], product[17], revision[5], serial[65];
	char id[129]; /* the best name of VPD 83, as "naa.…", "eui.…" or "t10.…"; empty if none */
};

/**
 * hba_lun_next() - The unit after `lun` (NULL: the first), by target, then LUN; NULL at the end.
 * Absent units are left out. Any thread.
 */
struct hba_lun *hba_lun_next(struct hba_controller *c, struct hba_lun *lun);

/** hba_lun_find() - Find a unit by its numbers. NULL: never found by a scan. Any thread. */
struct hba_lun *hba_lun_find(struct hba_controller *c, uint64_t target, uint64_t number);

struct hba_controller *hba_lun_controller(const struct hba_lun *lun);

/**
 * hba_lun_get_info() - A consistent copy of the current information. Any thread; sends no command.
 */
void hba_lun_get_info(const struct hba_lun *lun, struct hba_lun_info *ret_info);

#ifdef __cplusplus
}
#endif
#endif
