/* SPDX-License-Identifier: MIT */
/*
 * probe.h: the questions to a target and its units, and their answers. scan.c sends them.
 *
 *	target      INQUIRY at LUN 0 ─> REPORT LUNS ─┐
 *	each unit   INQUIRY ─> TEST UNIT READY ─> VPD 00, 80, 83 ─> READ CAPACITY ─> MODE SENSE
 */
#ifndef CORE_PROBE_H
#define CORE_PROBE_H

#include "core/scan/scan.h"
#include "scsi/scsi.h"

enum { PROBE_PAGE_BYTES = 255 };

#define PROBE_NO_LIST UINT32_MAX

enum step_id {
	TARGET_INQUIRY,
	TARGET_LUNS,
	UNIT_INQUIRY,
	UNIT_READY,
	UNIT_PAGES,
	UNIT_SERIAL,
	UNIT_ID,
	UNIT_CAPACITY_16,
	UNIT_CAPACITY_10,
	UNIT_PROTECTED,
	UNIT_DONE, /* no command: on to the next unit */
	TARGET_DONE,
};

/**
 * struct probe - One target, and the unit of it that is read now. `target` and `lun` are set by the
 * walk.
 */
struct probe {
	struct hba_target *target;
	struct hba_lun *lun;
	bool answered;             /* the target has answered */
	uint8_t version, features; /* the last INQUIRY's */
	struct hba_lun_id *units;  /* the answer of REPORT LUNS; */
	unsigned n_units, unit;    /* the next of them */
	/*
	 * units that are there and not in the list; PROBE_NO_LIST: there is none. They are looked
	 * for:
	 */
	uint32_t left_out;
	uint64_t number;                 /* the next that is tried */
	unsigned absent;                 /* so many numbers in a row had no unit */
	unsigned passed;                 /* of the list, in order then: those below `number` */
	uint8_t pages[PROBE_PAGE_BYTES]; /* VPD page 00 of this unit */
	int n_pages;
	struct hba_lun_info info; /* of this unit, being filled */
	bool unread;              /* its capacity; and not because there is no medium */
};

/**
 * struct probe_step - One command of the walk. `take` gets the answer and returns the next step.
 */
struct probe_step {
	struct scsi_cdb (*build)(const struct probe *p);
	uint32_t allocation;
	enum step_id (*take)(struct probe *p, const struct hba_result *r, const uint8_t *data);
};

/** probe_step() - Not for UNIT_DONE and TARGET_DONE, which have no command. */
const struct probe_step *probe_step(enum step_id id);

/**
 * probe_next() - The next unit of the target: those that it has listed, then, if the list cannot be
 * complete, by number. false: none; an event has reported those left out.
 */
bool probe_next(struct probe *p, struct hba_lun_id *ret_id);
/** probe_end() - Of the walk through the units. */
void probe_end(struct probe *p);

/** probe_limit() - Bytes of an answer that this target can give at once. */
uint32_t probe_limit(const struct hba_target *tgt);

#endif
