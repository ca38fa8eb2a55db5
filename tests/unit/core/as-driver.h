/* SPDX-License-Identifier: MIT */
/* as-driver.h: for a test that says itself, between two turns, what its driver would have said. */
#ifndef UNIT_CORE_AS_DRIVER_H
#define UNIT_CORE_AS_DRIVER_H

/* Before cmocka, whose fail() is a macro. */
#include "core/controller/controller.h"

/** AS_DRIVER() - `call` as in the driver's poll: outside any op a driver says nothing. */
#define AS_DRIVER(whose, call)                                                         \
	do {                                                                           \
		struct op op = { .controller = (whose), .name = "poll", .hot = true }; \
                                                                                       \
		op_enter(&op);                                                         \
		call;                                                                  \
		op_leave(&op);                                                         \
	} while (0)

#endif
