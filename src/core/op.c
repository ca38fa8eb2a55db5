/* SPDX-License-Identifier: MIT */
/*
 * op.c: which op of which driver a thread is in.
 *
 * What a driver may do depends on the op it is in, and a helper such as hba_complete() is given no controller to ask. So each call
 * into a driver leaves a note, on the caller's stack, where the same thread finds it. The core's only thread-local besides the
 * sentence of hba_error().
 */
#include "core/core.h"

static _Thread_local struct op *current __attribute__((tls_model("initial-exec")));

void op_enter(struct op *op)
{
	op->outer = current;
	current = op;
}

void op_leave(struct op *op)
{
	current = op->outer;
}

const struct op *op_now(void)
{
	return current;
}
