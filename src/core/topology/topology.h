/* SPDX-License-Identifier: MIT */
/* topology.h: targets and units, and what is known of them. */
#ifndef CORE_TOPOLOGY_H
#define CORE_TOPOLOGY_H

#include "core/task/task.h"

#include <hbakit/lun.h>

/*
 * The hash function that uthash chooses falls through in its switch, which clang warns of; and
 * without memory it would end the program.
 */
#define HASH_FUNCTION(key, length, value) HASH_FNV(key, length, value)
#define HASH_NONFATAL_OOM                 1
#include <uthash.h>

/* ---- property-list.c */

/* Keys that the core itself reads, of a target or, where that has none, of the controller. */
#define PROPERTY_RETRIES  "Retry Count"
#define PROPERTY_READ_MS  "Read Time Out Duration"
#define PROPERTY_WRITE_MS "Write Time Out Duration"

/** struct properties - A short list in the order of arrival; the loop's, and waiting ops'. */
struct properties {
	struct hba_property *items;
	unsigned n;
};

int properties_set(struct properties *p, const struct hba_property *property);
void properties_remove(struct properties *p, const char *key);
void properties_clear(struct properties *p);
/**
 * properties_number() - Of `own`, or else of `others`. HBA_UNSET: none of them has a number with
 * that key.
 */
uint64_t properties_number(const struct properties *own, const struct properties *others,
			   const char *key);

/* ---- lun.c, target.c, negotiate.c, lookup.c */

/**
 * struct unit_queue - One unit's unsent tasks in one hardware queue. In hba_queue::ready while it
 * may send.
 */
struct unit_queue {
	struct list link;
	struct task_list unsent;
	struct hba_lun *lun;
};

struct hba_lun {
	struct hba_controller *controller;
	struct hba_target *target;
	struct list link;  /* hba_target::luns, by LUN */
	UT_hash_handle hh; /* hba_target::by_id */
	struct hba_lun_id id;
	struct hba_lun_info info; /* under hba_controller::info_lock; written by the loop only */
	/* present, and nothing is owed: its tasks are queued as they come */
	bool plain;
	uint32_t block_bytes; /* likewise */
	bool seen;            /* by the scan that is under way */
	struct list look;     /* hba_controller::looks, while it waits for one */
	/* held until a look has shown which disk is there; counted in `frozen` */
	bool suspect;
	bool medium_changed; /* by its own sense: the generation moves in any case */
	bool told;           /* of what is looked at now, a task that names no disk has been */
	bool owes;           /* the next task that names no disk ends with 28/00: none has yet */
	/*
	 * The data that the scan has read, in its whole walk or in a look, may be another disk's.
	 */
	bool disturbed, look_disturbed;
	const struct task *look_task; /* the look's command that is out; NULL */
	uint32_t sized_at;     /* the generation since which its blocks are as large as now */
	uint64_t look_at;      /* not before */
	uint64_t unread_since; /* the first look that failed; 0: none has */
	/* reasons to send nothing: recovery, sense that has to be fetched, a look */
	unsigned frozen;
	uint64_t held_until;    /* handed back by the driver; 0 = not */
	unsigned depth, taken;  /* clients' tasks admitted, at most and now */
	unsigned limit, out;    /* tasks with the driver, at most and now */
	unsigned most;          /* what limit may grow to again */
	unsigned good_in_a_row; /* while limit is below most */
	uint32_t timeout_ms;    /* a task's default */
	bool full_told;         /* an event has reported TASK SET FULL */
	unsigned hanging;       /* slow_turn()'s: how many of its tasks it is about to report, */
	struct task *eldest;    /* and the one that has been out for longest */
	struct list waiters;    /* struct hba_waiter's core[0..1] */
	struct list starving;   /* hba_controller::starving while there are waiters */
	uint64_t *tags;         /* bitmap, if tags are fewer than slots */
	void *priv;
	struct unit_queue queues[];
};

/** struct negotiation - Features of parallel SCSI (docs/contract.md 9.9), HBA_FEATURE_BIT()s. */
struct negotiation {
	uint8_t claimed;   /* both sides have them */
	uint8_t agreed;    /* an attempt has succeeded; no longer claimed, they are reverted */
	uint8_t to_agree;  /* claimed, not agreed yet: attempted with each command */
	uint8_t to_revert; /* agreed, not claimed any more: likewise */
};

struct hba_target {
	struct hba_controller *controller;
	struct list link; /* hba_controller::targets, by id */
	uint64_t id;
	struct hba_target_report report;
	struct properties properties;
	struct list luns;
	struct hba_lun *by_id; /* a hash table of them */
	bool initialised;      /* the driver has it */
	bool seen;
	bool present;
	uint64_t held_until;
	bool blocked;   /* its link is lost for a while */
	bool leaving;   /* destroyed; its last tasks are still with the driver */
	bool releasing; /* they are back, release_target is under way */
	bool scan_wanted;
	uint8_t walks;    /* of the scan that are at it: the whole one, a look */
	uint64_t retries; /* "Retry Count"; HBA_UNSET: the rules' own */
	struct negotiation negotiation;
	void *priv;
};

/** target_find() - NULL: none with that id. */
struct hba_target *target_find(struct hba_controller *c, uint64_t id);
/** target_in_use() - The same, but NULL also until it has been initialised. */
struct hba_target *target_in_use(struct hba_controller *c, uint64_t id);
/** target_add() - Find or make one, not initialised yet. NULL: no memory. */
struct hba_target *target_add(struct hba_controller *c, uint64_t id);
/**
 * target_initialize() - The driver's op, on the service thread; `done` on the loop with its result.
 */
int target_initialize(struct hba_target *tgt, void (*done)(struct hba_target *tgt, int error));
/** target_is_going() - Destroyed, or being released: nothing begins there before it has gone. */
static inline bool target_is_going(const struct hba_target *tgt)
{
	return tgt->leaving || tgt->releasing;
}

/** target_forget() - It has never answered: release and free it. */
void target_forget(struct hba_target *tgt);
/** target_claim() - These features both sides have, now. */
void target_claim(struct hba_target *tgt, uint8_t features);
/** target_negotiated() - Features that a response reports as agreed, and as cleared. */
void target_negotiated(struct hba_target *tgt, uint8_t agreed, uint8_t reverted);
/**
 * target_heed() - Its properties, or its controller's, may have changed: what follows from them for
 * its units.
 */
void target_heed(struct hba_target *tgt);
/** targets_heed() - The controller's have. */
void targets_heed(struct hba_controller *c);
/** target_renegotiate() - It has been reset: nothing is agreed any more. */
void target_renegotiate(struct hba_target *tgt);
/** targets_renegotiate() - All have, by a reset of the bus or of the controller. */
void targets_renegotiate(struct hba_controller *c);
/** target_want_scan() - The scan looks at it again, soon. */
void target_want_scan(struct hba_target *tgt);
/** targets_turn() - Release those whose last task has left the driver. */
void targets_turn(struct hba_controller *c);
void targets_free(struct hba_controller *c);

struct hba_lun *lun_find(struct hba_target *tgt, const struct hba_lun_id *id);
struct hba_lun *lun_add(struct hba_target *tgt, const struct hba_lun_id *id);
void lun_free(struct hba_lun *lun);
/** lun_is_alike() - Do both name themselves as the same disk? */
bool lun_is_alike(const struct hba_lun_info *a, const struct hba_lun_info *b);
/** lun_is_another() - Is `info` that of another disk than the one before? */
bool lun_is_another(const struct hba_lun *lun, const struct hba_lun_info *info);
/**
 * lun_keep_capacity() - The capacity could not be read, although there is a medium: keep that of a
 * disk that is known.
 */
void lun_keep_capacity(const struct hba_lun *lun, struct hba_lun_info *info);
/**
 * lun_set_info() - Publish; counts up the generation if it is another disk: true, and
 * medium_moved() is due. Loop.
 */
bool lun_set_info(struct hba_lun *lun, const struct hba_lun_info *info);
/** lun_count_up() - It is taken for another disk; what else is known of it stays. */
void lun_count_up(struct hba_lun *lun);
/** lun_set_absent() - true: it was present; the caller flushes its unsent tasks. */
bool lun_set_absent(struct hba_lun *lun);
/**
 * lun_heed() - Properties of its target or controller may have changed: how long its commands may
 * be with the driver.
 */
void lun_heed(struct hba_lun *lun);
/** lun_owe() - Must the next task that names no disk end with a change of medium? */
void lun_owe(struct hba_lun *lun, bool owes);
/**
 * lun_take_tag() - A SAM tag for a task of this unit; the depth has made sure that there is one.
 */
uint64_t lun_take_tag(struct hba_lun *lun, const struct task *t);
void lun_return_tag(struct hba_lun *lun, const struct task *t);

/* ---- lun-hold.c */

/**
 * lun_hold() - Nothing is sent to the unit until a look has shown which disk is there. `by`: the
 * task whose sense is the reason; NULL.
 */
void lun_hold(struct hba_lun *lun, const struct task *by);
/** lun_suspect() - The same, without such a task. */
void lun_suspect(struct hba_lun *lun);
/** lun_release() - The disk is known, or the unit is absent: hold it no longer. */
void lun_release(struct hba_lun *lun);
/** lun_look_again() - The look could not begin. */
void lun_look_again(struct hba_lun *lun);
/**
 * lun_next_look() - The unit that may be looked at now; NULL, and *ret_at when one may be, or
 * NO_DEADLINE.
 */
struct hba_lun *lun_next_look(const struct hba_controller *c, uint64_t *ret_at);

#endif
