/* SPDX-License-Identifier: MIT */
/*
 * request.c: the conditions that a request must meet before anything is sent for it. A sentence
 * names the one that it does not meet.
 */
#include "core/diag/error.h"
#include "disk/disk.h"

#include "base/base.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum { WHY_BYTES = 200, LUN_TEXT_BYTES = 24 };

static const char *const names[] = {
	[HBA_DISK_READ] = "READ",     [HBA_DISK_WRITE] = "WRITE", [HBA_DISK_FLUSH] = "FLUSH",
	[HBA_DISK_UNMAP] = "UNMAP",   [HBA_DISK_ZERO] = "ZERO",   [HBA_DISK_VERIFY] = "VERIFY",
	[HBA_DISK_STATUS] = "STATUS",
};

static bool is_op(enum hba_disk_op op)
{
	return (unsigned)op < ARRAY_SIZE(names);
}

int disk_fail(const struct hba_disk_io *io, int error, const char *format, ...)
{
	struct hba_lun_info info;
	char why[WHY_BYTES], lun[LUN_TEXT_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	hba_lun_get_info(io->lun, &info);
	scsi_lun_text(&info.lun, lun);
	return fail(error,
		    "%s of %" PRIu64 " bytes at offset %" PRIu64 ", target %" PRIu64 ", LUN %s: %s",
		    names[io->op], io->length, io->offset, info.target, lun, why);
}

bool disk_zero_unmaps(const struct hba_disk_io *io, const struct hba_lun_info *info)
{
	return info->thin && info->reads_zero && !(io->flags & HBA_DISK_ALLOCATE);
}

static int check_flags(const struct hba_disk_io *io)
{
	uint32_t fit =
		HBA_DISK_FUA | (io->op == HBA_DISK_ZERO ? HBA_DISK_ALLOCATE | HBA_DISK_FAST : 0);

	return io->flags & ~fit
		       ? disk_fail(io, -EINVAL, "flags %#x do not go with it", io->flags & ~fit)
		       : 0;
}

static int check_unit(const struct hba_disk_io *io, const struct hba_lun_info *info)
{
	if (!info->present)
		return disk_fail(io, -ENODEV, "the unit is not there");
	if (io->generation && io->generation != info->generation)
		return disk_fail(io, -ESTALE, "another disk is there by now: generation %u, not %u",
				 info->generation, io->generation);
	return info->block_bytes
		       ? 0
		       : disk_fail(io, -ENOMEDIUM, "there is no medium in it, or it is no disk");
}

static int check_zero(const struct hba_disk_io *io, const struct hba_lun_info *info)
{
	if (info->block_bytes > DISK_MAX_BLOCK_BYTES)
		return disk_fail(io, -EOPNOTSUPP, "blocks of more than %d bytes cannot be zeroed",
				 DISK_MAX_BLOCK_BYTES);
	if (io->flags & HBA_DISK_FAST && !disk_zero_unmaps(io, info))
		return disk_fail(io, -EOPNOTSUPP,
				 "unmapping does not make zeros here, so there is no fast way");
	return 0;
}

static int check_range(const struct hba_disk_io *io, const struct hba_lun_info *info)
{
	uint64_t first = io->offset / info->block_bytes, count = io->length / info->block_bytes;

	if (io->offset % info->block_bytes || io->length % info->block_bytes || count == 0)
		return disk_fail(io, -EINVAL, "that is not one or more whole blocks of %u bytes",
				 info->block_bytes);
	if (first > info->blocks || count > info->blocks - first)
		return disk_fail(io, -ERANGE,
				 "that reaches beyond its end, block %" PRIu64 " of %u bytes",
				 info->blocks, info->block_bytes);
	return 0;
}

static int check_data(const struct hba_disk_io *io, const struct hba_lun_info *info,
		      unsigned max_cdb)
{
	uint32_t most = disk_most_blocks(io->op, max_cdb);

	if (io->mode != HBA_DATA_CPU && io->mode != HBA_DATA_REGION)
		return disk_fail(io, -EINVAL, "data mode %u is not a client's", (unsigned)io->mode);
	if (!io->data.buffer || (io->n_data == 0 && io->mode != HBA_DATA_CPU))
		return disk_fail(io, -EINVAL, "there is no place for its data");
	if (io->n_data && io->length / info->block_bytes > most)
		return disk_fail(io, -EINVAL,
				 "a list of data is one command, which here has at most %u blocks",
				 most);
	return 0;
}

static int check_status(const struct hba_disk_io *io, unsigned max_cdb)
{
	if (max_cdb < DISK_STATUS_CDB)
		return disk_fail(
			io, -EOPNOTSUPP,
			"the question has %d bytes, and the controller takes CDBs of up to %u",
			DISK_STATUS_CDB, max_cdb);
	return io->extents && io->max_extents
		       ? 0
		       : disk_fail(io, -EINVAL, "there is no place for its extents");
}

int disk_check(const struct hba_disk_io *io, const struct hba_lun_info *info, unsigned max_cdb)
{
	int r;

	if (!is_op(io->op))
		return fail(-EINVAL, "hba_disk_submit: there is no operation %u", (unsigned)io->op);
	if (!io->done)
		return disk_fail(io, -EINVAL, "it has no done");
	r = check_flags(io);
	if (r == 0)
		r = check_unit(io, info);
	if (r < 0 || io->op == HBA_DISK_FLUSH)
		return r;
	r = check_range(io, info);
	if (r < 0)
		return r;
	if (io->op == HBA_DISK_ZERO)
		return check_zero(io, info);
	if (io->op == HBA_DISK_STATUS)
		return check_status(io, max_cdb);
	return disk_has_data(io->op) ? check_data(io, info, max_cdb) : 0;
}
