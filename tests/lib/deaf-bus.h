/* SPDX-License-Identifier: MIT */
/*
 * deaf-bus.h: a bus whose device reaches all memory, and which does not confirm that this has ended
 * where a test wants it so.
 */
#ifndef LIB_DEAF_BUS_H
#define LIB_DEAF_BUS_H

#include <hbakit/bus.h>
#include <stdbool.h>

enum { DEAF_PAGE = 4096 };

struct hba_bus_device {
	int master_off, reset; /* what they return */
	bool master;           /* bus master is on */
	unsigned offs, resets; /* how often each was asked for */
};

extern const struct hba_bus deaf_bus;

#endif
