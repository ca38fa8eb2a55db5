/* SPDX-License-Identifier: MIT */
/*
 * fake-root.h: a directory that stands for a whole system, for what reads /sys, /proc and /dev
 * below a root that it is told.
 */
#ifndef LIB_FAKE_ROOT_H
#define LIB_FAKE_ROOT_H

enum { FAKE_ROOT_BYTES = 32 };

/** fake_root_new() - A new one, empty; its path. */
void fake_root_new(char ret_root[FAKE_ROOT_BYTES]);
/** fake_root_shell() - A line of shell in there, which must succeed. */
__attribute__((format(printf, 2, 3))) void fake_root_shell(const char *root, const char *format,
							   ...);
void fake_root_remove(const char *root);

#endif
