/* SPDX-License-Identifier: MIT */
/* fake-root.c: see fake-root.h. */
#include "lib/fake-root.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { LINE = 1024, NOT_STARTED = 127 };

void fake_root_new(char ret_root[FAKE_ROOT_BYTES])
{
	static const char pattern[FAKE_ROOT_BYTES] = "/tmp/hbakit-root-XXXXXX";

	memcpy(ret_root, pattern, sizeof(pattern));
	assert_non_null(mkdtemp(ret_root));
}

void fake_root_shell(const char *root, const char *format, ...)
{
	char line[LINE];
	va_list args;
	pid_t pid;
	int status, length;

	va_start(args, format);
	length = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	assert_in_range(length, 0, sizeof(line) - 1);
	pid = fork();
	if (pid == 0) {
		if (chdir(root) == 0)
			execl("/bin/sh", "sh", "-euc", line, (char *)NULL);
		_exit(NOT_STARTED);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

void fake_root_remove(const char *root)
{
	fake_root_shell(root, "cd /; rm -rf '%s'", root);
}
