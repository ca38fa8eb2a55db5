/* SPDX-License-Identifier: MIT */
/*
 * medium.h: a command names the disk that it means. For the disk layer; a task of another client
 * names none.
 */
#ifndef CORE_MEDIUM_H
#define CORE_MEDIUM_H

#include <hbakit/lun.h>
#include <hbakit/task.h>

/** enum medium_choice - What a command does when the generation that it names has passed. */
enum medium_choice {
	MEDIUM_THIS_ONE, /* it fails */
	/*
	 * it goes to the disk that is there, if that has blocks of the same size and none of its
	 * data has moved yet
	 */
	MEDIUM_WHICHEVER,
};

/**
 * medium_name() - The task means the disk of that generation, 1.., until it is put back. Between
 * get and submit.
 *
 * A command that fails for it ends CHECK CONDITION with sense UNIT ATTENTION, ASC 28h ASCQ 00h, the
 * unit's or our own.
 */
void medium_name(struct hba_task *t, uint32_t generation, enum medium_choice choice);

/** medium_has_passed() - Would a command that names this generation fail now? Loop. */
bool medium_has_passed(const struct hba_lun *lun, uint32_t generation, enum medium_choice choice);

#endif
