/* SPDX-License-Identifier: MIT */
/*
 * error.c: what a request's error is for an NBD client. The protocol has eight numbers, and nbdkit
 * turns what is none of them into EINVAL, "you asked wrongly": so everything has a row.
 */
#include "nbd.h"

#include <errno.h>
#include <string.h>

static const struct {
	int error; /* struct hba_disk_io's */
	int read, write;
	const char *words;
} errors[] = {
	{ EIO, EIO, EIO, "the medium or the target failed" },
	{ ENODEV, ESHUTDOWN, ESHUTDOWN, "the unit or its controller is gone" },
	{ ENOMEDIUM, ESHUTDOWN, ESHUTDOWN, "the medium was taken out" },
	{ ESTALE, ESHUTDOWN, ESHUTDOWN, "another disk is in its place: connect anew for that one" },
	{ ENXIO, ESHUTDOWN, ESHUTDOWN,
	  "since the controller was opened again, this disk is not there: by serial number or VPD "
	  "83, and by size" },
	{ EROFS, EPERM, EPERM, "the unit is write-protected" },
	{ EBADE, EPERM, EPERM, "another initiator has reserved the unit" },

	{ ENOSPC, ENOSPC, ENOSPC, "the thin unit's pool is full" },
	{ ERANGE, EINVAL, ENOSPC, "that is beyond the unit's end" },
	{ EINVAL, EINVAL, EINVAL,
	  "those are not whole blocks, or the unit refuses a field of the command" },
	{ ENOMEM, ENOMEM, ENOMEM, "there is no memory" },
	{ EMSGSIZE, EINVAL, EINVAL, "that is longer than the controller can carry" },
	{ EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, "the unit does not support the command" },
	{ ETIMEDOUT, EIO, EIO, "the unit did not answer in time" },
	{ ECANCELED, EIO, EIO, "the command was aborted" },
	{ EAGAIN, EIO, EIO,
	  "the unit stayed busy, or it is not known whether the command was carried out" },
};

enum { N_ERRORS = sizeof(errors) / sizeof(errors[0]) };

int nbd_error(int error, bool writes)
{
	for (unsigned i = 0; i < N_ERRORS; i++)
		if (errors[i].error == -error)
			return writes ? errors[i].write : errors[i].read;
	return EIO;
}

const char *nbd_error_words(int error)
{
	for (unsigned i = 0; i < N_ERRORS; i++)
		if (errors[i].error == -error)
			return errors[i].words;
	return strerror(-error);
}
