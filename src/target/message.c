/* SPDX-License-Identifier: MIT */
/* message.c: the reason why something could not be set up, as a sentence for a person. */
#include "target/target.h"

#include <stdarg.h>
#include <stdio.h>

int target_fail(char *message, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(message, TARGET_MESSAGE_BYTES, format, args);
	va_end(args);
	return error;
}
