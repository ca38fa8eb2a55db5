/* SPDX-License-Identifier: MIT */
/*
 * op.c: which op of which driver a thread is in.
 *
 * What a driver may do depends on the op it is in, and a helper such as hba_complete() is given no controller to ask. So each call
 * into a driver leaves a note, on the caller's stack, where the same thread finds it.
 */
#include "core/core.h"

_Thread_local struct op *op_current __attribute__((tls_model("initial-exec")));
