/* SPDX-License-Identifier: MIT */
/*
 * null.c: a store of nothing, of any size, for measuring what lies above it. Reads give zeros, as
 * an empty disk would; filled with "none" they leave the buffer as it was, so that only the
 * framework is measured and not memset().
 */
#include "base/base.h"
#include "target/target.h"

#include <errno.h>
#include <stdlib.h>

static int null_read_zeros(struct store *s, struct store_io *io)
{
	(void)s;
	io->moved = iov_iter_zero(&io->data, io->length);
	return 0;
}

static int null_take(struct store *s, struct store_io *io)
{
	(void)s;
	io->moved = io->length;
	return 0;
}

static void null_free(struct store *s)
{
	free(s);
}

static const struct store_ops null_ops[] = {
	[NULL_FILL_ZERO] = { .read = null_read_zeros, .write = null_take, .free = null_free },
	[NULL_FILL_NONE] = { .read = null_take, .write = null_take, .free = null_free },
};

int store_open_null(uint64_t bytes, enum null_fill fill, struct store **ret_store, char *message)
{
	struct store *s;

	if (bytes == 0)
		return target_fail(
			message, -EINVAL,
			"a null store of 0 bytes has no blocks: give it a size, as in size=1T");
	s = malloc(sizeof(*s));
	if (!s)
		return target_fail(message, -ENOMEM, "no memory for a null store");
	*s = (struct store) { .ops = &null_ops[fill], .bytes = bytes, .forgetful = true };
	*ret_store = s;
	return 0;
}
