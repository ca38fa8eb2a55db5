/* SPDX-License-Identifier: MIT */
/*
 * say.c: one line on the server's standard error. Export names are clients' words, and sentences
 * hold those of devices.
 */
#include "nbd.h"

#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

enum { LINE = 1024 };

void nbd_say(const char *format, ...)
{
	char line[LINE];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	text_make_printable(line, strlen(line), "");
	nbdkit_error("%s", line);
}
