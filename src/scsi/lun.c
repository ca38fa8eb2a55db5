/* SPDX-License-Identifier: MIT */
/*
 * lun.c: logical unit numbers as SAM writes them, and the list of them (SAM-5 4.7, SPC-4 6.33).
 *
 *	byte 0            1         2..3
 *	00 bus:6          unit      0        peripheral; bus 0 means "this target"
 *	01 unit, 14 bits            0        flat
 *	10 target:6       bus:3 unit:5       a unit behind a bridge
 *	11 length:2 kind:4  …                extended: D2h is flat, 24 bits, C1h a well known unit
 *
 * Whatever is not zero behind the first level belongs to the next one, so that the whole is not a
 * plain number.
 */
#include "base/base.h"
#include "base/endian.h"
#include "scsi/scsi.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	METHOD_SHIFT = 6,
	FLAT_BITS = 0x3fff,
	EXTENDED_FLAT = 0xd2,
	LUN_BYTES = 8,

	LIST_HEADER = 8, /* of the REPORT LUNS answer: its length, four bytes reserved */
	TEXT_BYTES = 24,
};

int scsi_lun_from_number(uint64_t number, struct hba_lun_id *ret_lun)
{
	struct hba_lun_id lun = { { 0 } };

	if (number > SCSI_MAX_EXTENDED_FLAT)
		return -ERANGE;
	if (number <= SCSI_MAX_PERIPHERAL) {
		lun.bytes[1] = (uint8_t)number;
	} else if (number <= SCSI_MAX_FLAT) {
		put_be16(lun.bytes,
			 (uint16_t)(SCSI_LUN_FLAT << (METHOD_SHIFT + 8) | (unsigned)number));
	} else {
		lun.bytes[0] = EXTENDED_FLAT;
		put_be24(lun.bytes + 1, (uint32_t)number);
	}
	*ret_lun = lun;
	return 0;
}

enum scsi_lun_method scsi_lun_method(const struct hba_lun_id *lun)
{
	return (enum scsi_lun_method)(lun->bytes[0] >> METHOD_SHIFT);
}

static bool zero_from(const struct hba_lun_id *lun, unsigned first)
{
	return get_be64(lun->bytes) << 8 * first == 0;
}

uint64_t scsi_lun_number(const struct hba_lun_id *lun)
{
	switch (scsi_lun_method(lun)) {
	case SCSI_LUN_PERIPHERAL:
		if (lun->bytes[0] == 0 && zero_from(lun, 2))
			return lun->bytes[1];
		break;
	case SCSI_LUN_FLAT:
		if (zero_from(lun, 2))
			return get_be16(lun->bytes) & FLAT_BITS;
		break;
	case SCSI_LUN_EXTENDED:
		if (lun->bytes[0] == EXTENDED_FLAT && zero_from(lun, 4))
			return get_be24(lun->bytes + 1);
		break;
	case SCSI_LUN_LOGICAL_UNIT:
		break;
	}
	return UINT64_MAX;
}

int hba_lun_number(const struct hba_lun_id *lun, uint64_t highest, uint64_t *ret_number)
{
	uint64_t number = scsi_lun_number(lun);

	if (number == UINT64_MAX)
		return -EINVAL;
	if (number > highest)
		return -ERANGE;
	*ret_number = number;
	return 0;
}

bool scsi_lun_equal(const struct hba_lun_id *a, const struct hba_lun_id *b)
{
	return memcmp(a->bytes, b->bytes, LUN_BYTES) == 0;
}

void scsi_lun_text(const struct hba_lun_id *lun, char text[24])
{
	uint64_t number = scsi_lun_number(lun);

	if (number != UINT64_MAX)
		snprintf(text, TEXT_BYTES, "%" PRIu64, number);
	else
		snprintf(text, TEXT_BYTES, "%016" PRIx64, get_be64(lun->bytes));
}

int scsi_report_luns_read(const uint8_t *bytes, size_t length, unsigned *ret_n,
			  uint32_t *ret_needed)
{
	uint32_t listed;
	size_t here;

	if (length < LIST_HEADER)
		return -EPROTO;
	listed = get_be32(bytes);
	if (listed % LUN_BYTES)
		return -EPROTO;
	here = length - LIST_HEADER < listed ? length - LIST_HEADER : listed;
	*ret_n = (unsigned)(here / LUN_BYTES);
	/*
	 * The longest list there is does not fit an allocation length: then ask for all one can ask
	 * for.
	 */
	*ret_needed = listed <= UINT32_MAX - LIST_HEADER ? listed + LIST_HEADER : UINT32_MAX;
	return 0;
}

struct hba_lun_id scsi_report_luns_entry(const uint8_t *bytes, unsigned i)
{
	struct hba_lun_id lun;

	memcpy(lun.bytes, bytes + LIST_HEADER + (size_t)i * LUN_BYTES, LUN_BYTES);
	return lun;
}
