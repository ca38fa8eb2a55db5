/* SPDX-License-Identifier: MIT */
/*
 * no-syscall.h: proof that a path makes no system call.
 *
 *	static int polled(void *arg)
 *	{
 *		bring up; forbid_system_calls(); 10^5 commands; return done == 100000 ? 0 : 1;
 *	}
 *	assert_int_equal(outcome_of_child(polled, &args), 0);
 */
#ifndef LIB_NO_SYSCALL_H
#define LIB_NO_SYSCALL_H

/**
 * forbid_system_calls() - From here on any system call of this thread but exit kills the process
 * with SIGSYS.
 *
 * For ever; other threads go on as before. There is no way to print or to return from main any more
 * (stdio is flushed, which writes): end by _exit(). Aborts if the filter cannot be installed: a
 * proof that did not take place is not a proof.
 */
void forbid_system_calls(void);

/**
 * outcome_of_child() - `body` in a child of its own: what it returned (0..255, through _exit), or
 * minus the signal that killed it.
 */
int outcome_of_child(int (*body)(void *arg), void *arg);

#endif
