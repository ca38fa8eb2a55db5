/* SPDX-License-Identifier: MIT */
/* request.c: what must be true of a request before anything is sent for it. */
#include "disk/disk.h"

#include <errno.h>

static bool is_op(enum hba_disk_op op)
{
	return (unsigned)op <= HBA_DISK_STATUS;
}

static bool has_fit_flags(const struct hba_disk_io *io)
{
	uint32_t fit = HBA_DISK_FUA | (io->op == HBA_DISK_ZERO ? HBA_DISK_ALLOCATE | HBA_DISK_FAST : 0);

	return (io->flags & ~fit) == 0;
}

bool disk_zero_unmaps(const struct hba_disk_io *io, const struct hba_lun_info *info)
{
	return info->thin && info->reads_zero && !(io->flags & HBA_DISK_ALLOCATE);
}

static int check_zero(const struct hba_disk_io *io, const struct hba_lun_info *info)
{
	if (info->block_bytes > DISK_MAX_BLOCK_BYTES)
		return -EOPNOTSUPP;
	return io->flags & HBA_DISK_FAST && !disk_zero_unmaps(io, info) ? -EOPNOTSUPP : 0;
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

	if (!is_op(io->op) || !io->done || !has_fit_flags(io))
		return -EINVAL;
	if (!info->present)
		return -ENODEV;
	if (io->generation && io->generation != info->generation)
		return -ESTALE;
	if (info->block_bytes == 0)
		return -ENOMEDIUM;
	if (io->op == HBA_DISK_FLUSH)
		return 0;
	r = check_range(io, info);
	if (r < 0)
		return r;
	if (io->op == HBA_DISK_ZERO)
		return check_zero(io, info);
	if (io->op == HBA_DISK_STATUS)
		return io->extents && io->max_extents ? 0 : -EINVAL;
	return disk_has_data(io->op) ? check_data(io, info) : 0;
}
