/* SPDX-License-Identifier: MIT */
/* cleanup.c: what the cleanup attribute calls at the end of a scope. */
#include "base/base.h"

#include <stdlib.h>
#include <unistd.h>

void cleanup_free(void *pp)
{
	free(*(void **)pp);
}

void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}
