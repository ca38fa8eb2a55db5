/* SPDX-License-Identifier: MIT */
/*
 * wrap-malloc.h: how often the allocator was called.
 *
 * A program that links wrap-malloc.c has a malloc of its own in front of libc's. The dynamic linker
 * gives it to everybody, so calls from libhbakit.so, from other libraries and from inside libc
 * (strdup, fopen) count as well.
 */
#ifndef LIB_WRAP_MALLOC_H
#define LIB_WRAP_MALLOC_H

/**
 * allocation_count() - Calls of malloc and its kin so far, all threads, freeing something included.
 * Take the difference of two.
 */
unsigned long allocation_count(void);

#endif
