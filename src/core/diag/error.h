/* SPDX-License-Identifier: MIT */
/* error.h: hba_error()'s sentence, for the rooms on top of the core, too. */
#ifndef CORE_ERROR_H
#define CORE_ERROR_H

#include <assert.h>
#include <errno.h>
#include <hbakit/controller.h>

/** fail() - Set this thread's hba_error() and return `error`. */
int fail(int error, const char *format, ...) __attribute__((cold, format(printf, 2, 3)));

/** wrong_use() - Wrong use of a function that returns an error: -EINVAL, with its name. */
#define wrong_use(rule) fail(-EINVAL, "%s: %s", __func__, rule)

/**
 * misuse() - Wrong use of a function that returns nothing. With assertions the program ends here,
 * with the function's name; without them hba_error() has the sentence and nothing is done.
 */
#define misuse(rule)                         \
	do {                                 \
		int error = wrong_use(rule); \
		assert(error == 0 && rule);  \
		(void)error;                 \
	} while (0)

#endif
