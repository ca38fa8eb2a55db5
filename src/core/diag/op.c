/* SPDX-License-Identifier: MIT */
/*
 * op.c: the op of a driver that a thread is in.
 *
 * The op decides which calls are legal, and helpers such as hba_complete() have no controller among
 * their arguments. So each call into a driver leaves a note on the caller's stack, where the same
 * thread finds it.
 */
#include "core/controller/controller.h"

_Thread_local struct op *op_current __attribute__((tls_model("initial-exec")));

bool op_may_wait(struct hba_controller *c, const char *call)
{
	const struct op *op = op_now();

	if (op && !op->hot)
		return true;
	violation(c,
		  "%s; it is for ops that may wait: those that get the controller, such as start",
		  call);
	return false;
}

bool op_is_fenced(struct hba_controller *c, const char *call)
{
	const struct op *op = op_now();

	return (op && op->fenced) || op_may_wait(c, call);
}

bool op_is_any(struct hba_controller *c, const char *call)
{
	if (op_now())
		return true;
	violation(c, "%s; it is for the driver's ops", call);
	return false;
}
