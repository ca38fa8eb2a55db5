/* SPDX-License-Identifier: MIT */
/* request.c: what must be true of a request before anything is sent for it. */
#include "disk/disk.h"

#include <errno.h>

static bool is_op(enum hba_disk_op op)
{
	return (unsigned)op <= HBA_DISK_VERIFY;
}

static int check_range(const struct hba_disk_io *io, const struct hba_lun_info *info)
{
	uint64_t first = io->offset / info->block_bytes, count = io->length / info->block_bytes;

	if (io->offset % info->block_bytes || io->length % info->block_bytes || count == 0)
		return -EINVAL;
	if (first > info->blocks || count > info->blocks - first)
		return -ERANGE;
	return 0;
}

static int check_data(const struct hba_disk_io *io, const struct hba_lun_info *info)
{
	if (!io->data.buffer || (io->mode != HBA_DATA_CPU && io->mode != HBA_DATA_REGION))
		return -EINVAL;
	if (io->n_data == 0 && io->mode != HBA_DATA_CPU)
		return -EINVAL;
	/* One list of data is one command, and its count has 32 bits. */
	return io->length / info->block_bytes > UINT32_MAX ? -EINVAL : 0;
}

int disk_check(const struct hba_disk_io *io, const struct hba_lun_info *info)
{
	int r;

	if (!is_op(io->op) || !io->done || io->flags & ~(uint32_t)HBA_DISK_FUA)
		return -EINVAL;
	if (!info->present)
		return -ENODEV;
	if (info->block_bytes == 0)
		return -ENOMEDIUM;
	if (io->op == HBA_DISK_FLUSH)
		return 0;
	r = check_range(io, info);
	if (r < 0)
		return r;
	if (io->op == HBA_DISK_ZERO && info->block_bytes > DISK_MAX_BLOCK_BYTES)
		return -EOPNOTSUPP;
	return disk_has_data(io->op) ? check_data(io, info) : 0;
}
