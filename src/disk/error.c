/* SPDX-License-Identifier: MIT */
/*
 * error.c: a result as an errno, for callers without SCSI. Two tables, the special case before the
 * general one.
 */
#include "disk/disk.h"

#include "base/base.h"

#include <errno.h>
#include <string.h>

enum {
	ANY = 0x100,
	PROTECTION_INFORMATION = 0x10,
	NO_MEDIUM = SCSI_ASC_NO_MEDIUM >> 8,
	CODE_SHIFT = 8
};

static const struct {
	uint8_t key;
	uint16_t code, qualifier; /* ANY: all of them */
	int error;
} senses[] = {
	{ SCSI_NO_SENSE, ANY, ANY, 0 },
	{ SCSI_RECOVERED_ERROR, ANY, ANY, 0 },
	{ SCSI_NOT_READY, NO_MEDIUM, ANY, -ENOMEDIUM },
	{ SCSI_NOT_READY, 0x04, 0x01, -EAGAIN }, /* becoming ready */
	{ SCSI_ILLEGAL_REQUEST, 0x20, 0x00, -EOPNOTSUPP },
	{ SCSI_ILLEGAL_REQUEST, 0x21, 0x00, -ERANGE },
	{ SCSI_ILLEGAL_REQUEST, 0x24, 0x00, -EINVAL }, /* a field in CDB, in parameter list */
	{ SCSI_ILLEGAL_REQUEST, 0x26, 0x00, -EINVAL },
	{ SCSI_ILLEGAL_REQUEST, 0x25, 0x00, -ENODEV },
	/* another medium; of requests that take any, the core makes none of this */
	{ SCSI_UNIT_ATTENTION, 0x28, ANY, -ESTALE },
	{ SCSI_UNIT_ATTENTION, ANY, ANY, -EAGAIN },
	{ SCSI_DATA_PROTECT, 0x27, 0x07, -ENOSPC },
	{ SCSI_DATA_PROTECT, ANY, ANY, -EROFS },
	/* a guard did not match: again, it would not either */
	{ SCSI_ABORTED_COMMAND, PROTECTION_INFORMATION, ANY, -EIO },
	{ SCSI_ABORTED_COMMAND, ANY, ANY, -EAGAIN },
	{ SCSI_VOLUME_OVERFLOW, ANY, ANY, -ENOSPC },
};

static const struct {
	enum hba_outcome outcome;
	int error;
} outcomes[] = {
	{ HBA_GOOD, 0 },
	{ HBA_CONDITION_MET, 0 },
	{ HBA_BUSY, -EAGAIN },
	{ HBA_RESERVATION_CONFLICT, -EBADE },
	{ HBA_TASK_SET_FULL, -EAGAIN },
	{ HBA_ACA_ACTIVE, -EAGAIN },
	{ HBA_TASK_ABORTED, -ECANCELED },
	{ HBA_TASK_TIMEOUT, -ETIMEDOUT },
	{ HBA_PROTOCOL_TIMEOUT, -ETIMEDOUT },
	{ HBA_NOT_PRESENT, -ENODEV },
	{ HBA_NOT_DELIVERED, -EAGAIN },
};

static int sense_error(const struct scsi_sense *s)
{
	unsigned code = s->asc >> CODE_SHIFT, qualifier = s->asc & UINT8_MAX;

	/*
	 * An earlier command's error: that one had ended well, so its data are lost, whatever the
	 * key calls it.
	 */
	if (s->deferred)
		return -EIO;
	for (size_t i = 0; i < ARRAY_SIZE(senses); i++)
		if (senses[i].key == s->key && (senses[i].code == ANY || senses[i].code == code) &&
		    (senses[i].qualifier == ANY || senses[i].qualifier == qualifier))
			return senses[i].error;
	return -EIO;
}

static int check_condition_error(const struct hba_result *result)
{
	struct scsi_sense s;

	if (!result->sense || scsi_sense_read(result->sense, result->sense_len, &s) < 0)
		return -EIO;
	return sense_error(&s);
}

int disk_error(const struct hba_result *result)
{
	if (result->outcome == HBA_CHECK_CONDITION)
		return check_condition_error(result);
	for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++)
		if (outcomes[i].outcome == result->outcome)
			return outcomes[i].error;
	return -EIO;
}

bool disk_too_long(const struct hba_result *result)
{
	return result->outcome == HBA_CHECK_CONDITION && check_condition_error(result) == -EINVAL;
}

int disk_tell(const struct hba_disk_io *io)
{
	const struct hba_result *r = &io->result;
	struct scsi_sense s;
	const char *asc;

	if (io->error == -ESTALE)
		return disk_fail(io, io->error,
				 "another disk is there now than the one that was meant");
	if (r->outcome == HBA_CHECK_CONDITION && r->sense &&
	    scsi_sense_read(r->sense, r->sense_len, &s) == 0) {
		asc = scsi_asc_name(s.asc);
		return disk_fail(io, io->error, "%s; sense %s, ASC %02x, ASCQ %02x%s%s",
				 strerror(-io->error), scsi_sense_key_name(s.key),
				 s.asc >> CODE_SHIFT, s.asc & UINT8_MAX, asc ? ": " : "",
				 asc ? asc : "");
	}
	if (r->outcome && r->outcome != HBA_GOOD)
		return disk_fail(io, io->error, "%s; service response %d, status %#x",
				 strerror(-io->error), (int)hba_response(r->outcome),
				 hba_status(r->outcome));
	return disk_fail(io, io->error, "%s; %llu bytes moved", strerror(-io->error),
			 (unsigned long long)r->bytes);
}
