/* SPDX-License-Identifier: MIT */
/*
 * sense.c: sense data of both formats, read and written (SPC-4 4.5).
 *
 * A field counts only if it lies within the bytes that arrived *and* within the additional length:
 * devices send buffers whose tail is left over from the last error.
 */
#include "base/base.h"
#include "base/endian.h"
#include "scsi/scsi.h"

#include <errno.h>
#include <string.h>

enum {
	RESPONSE_CODE = 0x7f, /* byte 0 */
	FIXED_CURRENT = 0x70,
	FIXED_DEFERRED = 0x71,
	DESCRIPTOR_CURRENT = 0x72,
	DESCRIPTOR_DEFERRED = 0x73,

	KEY = 0x0f,
	VALID = 0x80,    /* the information field: fixed byte 0, descriptor byte 2 */
	FILEMARK = 0x80, /* fixed byte 2; descriptor of stream commands, byte 3 */
	EOM = 0x40,
	ILI = 0x20,

	ADDITIONAL_LENGTH = 7, /* the byte that says how many follow it, in both formats */
	HEADER_BYTES = 8,

	/* fixed format */
	FIXED_KEY = 2,
	FIXED_INFORMATION = 3,
	FIXED_ASC = 12,
	FIXED_SPECIFIC = 15,

	/* sense key specific, three bytes: a field pointer if the key is ILLEGAL REQUEST */
	SPECIFIC_BYTES = 3,
	SKSV = 0x80,
	FIELD_IN_CDB = 0x40,
	FIELD_HAS_BIT = 0x08,
	FIELD_BIT = 0x07,

	/* descriptor format */
	DESCRIPTOR_KEY = 1,
	DESCRIPTOR_ASC = 2,
	DESCRIPTOR_HEAD = 2, /* type and length of each descriptor */
	INFORMATION_TYPE = 0x00,
	INFORMATION_BYTES = 12,
	SPECIFIC_TYPE = 0x02,
	SPECIFIC_DESCRIPTOR_BYTES = 8,
	STREAM_TYPE = 0x04,
	BLOCK_TYPE = 0x05,
	COMMAND_BYTES = 4, /* of a stream or block command descriptor */
};

/* How many of `length` bytes belong to this sense, by its own additional length. */
static size_t meant_bytes(const uint8_t *bytes, size_t length)
{
	size_t meant;

	if (length < HEADER_BYTES)
		return length;
	meant = HEADER_BYTES + (size_t)bytes[ADDITIONAL_LENGTH];
	return meant < length ? meant : length;
}

/* ASC and ASCQ stand side by side in both formats, and either may be cut off. */
static uint16_t read_asc(const uint8_t *bytes, size_t length, size_t at)
{
	unsigned asc = at < length ? bytes[at] : 0;
	unsigned ascq = at + 1 < length ? bytes[at + 1] : 0;

	return (uint16_t)(asc << 8 | ascq);
}

/* Other keys keep progress or a count of retries in these bytes. */
static void read_specific(const uint8_t p[SPECIFIC_BYTES], struct scsi_sense *s)
{
	if (s->key != SCSI_ILLEGAL_REQUEST || !(p[0] & SKSV))
		return;
	s->has_field = true;
	s->field_in_cdb = p[0] & FIELD_IN_CDB;
	s->has_bit = p[0] & FIELD_HAS_BIT;
	s->field_bit = s->has_bit ? p[0] & FIELD_BIT : 0;
	s->field_byte = get_be16(p + 1);
}

static void read_marks(uint8_t marks, struct scsi_sense *s)
{
	s->filemark = marks & FILEMARK;
	s->eom = marks & EOM;
	s->ili = marks & ILI;
}

static int read_fixed(const uint8_t *bytes, size_t length, struct scsi_sense *s)
{
	if (length <= FIXED_KEY)
		return -EPROTO;
	s->deferred = (bytes[0] & RESPONSE_CODE) == FIXED_DEFERRED;
	s->key = bytes[FIXED_KEY] & KEY;
	read_marks(bytes[FIXED_KEY], s);
	if ((bytes[0] & VALID) && length >= FIXED_INFORMATION + sizeof(uint32_t)) {
		s->has_information = true;
		s->information = get_be32(bytes + FIXED_INFORMATION);
	}
	s->asc = read_asc(bytes, length, FIXED_ASC);
	if (length >= FIXED_SPECIFIC + SPECIFIC_BYTES)
		read_specific(bytes + FIXED_SPECIFIC, s);
	return 0;
}

/*
 * The first descriptor of a type, if it is all there and has `size` bytes or more. Each step is two
 * bytes or more: it ends.
 */
static const uint8_t *find_descriptor(const uint8_t *bytes, size_t length, uint8_t type,
				      size_t size)
{
	size_t at = HEADER_BYTES;

	while (at + DESCRIPTOR_HEAD <= length) {
		size_t bytes_here = DESCRIPTOR_HEAD + (size_t)bytes[at + 1];

		if (bytes[at] == type)
			return bytes_here >= size && bytes_here <= length - at ? bytes + at : NULL;
		at += bytes_here;
	}
	return NULL;
}

static int read_descriptors(const uint8_t *bytes, size_t length, struct scsi_sense *s)
{
	const uint8_t *d;

	if (length <= DESCRIPTOR_KEY)
		return -EPROTO;
	s->deferred = (bytes[0] & RESPONSE_CODE) == DESCRIPTOR_DEFERRED;
	s->key = bytes[DESCRIPTOR_KEY] & KEY;
	s->asc = read_asc(bytes, length, DESCRIPTOR_ASC);
	d = find_descriptor(bytes, length, INFORMATION_TYPE, INFORMATION_BYTES);
	if (d && (d[2] & VALID)) {
		s->has_information = true;
		s->information = get_be64(d + 4);
	}
	d = find_descriptor(bytes, length, SPECIFIC_TYPE, SPECIFIC_DESCRIPTOR_BYTES);
	if (d)
		read_specific(d + 4, s);
	d = find_descriptor(bytes, length, STREAM_TYPE, COMMAND_BYTES);
	if (d)
		read_marks(d[3], s);
	d = find_descriptor(bytes, length, BLOCK_TYPE, COMMAND_BYTES);
	if (d && (d[3] & ILI))
		s->ili = true;
	return 0;
}

int scsi_sense_read(const uint8_t *bytes, size_t length, struct scsi_sense *ret_sense)
{
	struct scsi_sense sense = { 0 };
	int r = -EPROTO;

	if (length == 0)
		return r;
	length = meant_bytes(bytes, length);
	switch (bytes[0] & RESPONSE_CODE) {
	case FIXED_CURRENT:
	case FIXED_DEFERRED:
		r = read_fixed(bytes, length, &sense);
		break;
	case DESCRIPTOR_CURRENT:
	case DESCRIPTOR_DEFERRED:
		r = read_descriptors(bytes, length, &sense);
		break;
	}
	if (r == 0)
		*ret_sense = sense;
	return r;
}

/* ---- writing */

static bool has_pointer(const struct scsi_sense *s)
{
	return s->has_field && s->key == SCSI_ILLEGAL_REQUEST;
}

static void write_specific(const struct scsi_sense *s, uint8_t p[SPECIFIC_BYTES])
{
	unsigned bit = s->has_bit ? FIELD_HAS_BIT | (s->field_bit & FIELD_BIT) : 0;

	p[0] = (uint8_t)(SKSV | (s->field_in_cdb ? FIELD_IN_CDB : 0) | bit);
	put_be16(p + 1, s->field_byte);
}

static uint8_t marks_of(const struct scsi_sense *s)
{
	return (uint8_t)((s->filemark ? FILEMARK : 0) | (s->eom ? EOM : 0) | (s->ili ? ILI : 0));
}

size_t scsi_sense_write_fixed(const struct scsi_sense *s, uint8_t bytes[SCSI_FIXED_SENSE_BYTES])
{
	memset(bytes, 0, SCSI_FIXED_SENSE_BYTES);
	bytes[0] = s->deferred ? FIXED_DEFERRED : FIXED_CURRENT;
	bytes[FIXED_KEY] = (uint8_t)(marks_of(s) | (s->key & KEY));
	bytes[ADDITIONAL_LENGTH] = SCSI_FIXED_SENSE_BYTES - HEADER_BYTES;
	put_be16(bytes + FIXED_ASC, s->asc);
	if (s->has_information && s->information <= UINT32_MAX) {
		bytes[0] |= VALID;
		put_be32(bytes + FIXED_INFORMATION, (uint32_t)s->information);
	}
	if (has_pointer(s))
		write_specific(s, bytes + FIXED_SPECIFIC);
	return SCSI_FIXED_SENSE_BYTES;
}

static uint8_t *append_descriptor(uint8_t *bytes, size_t *used, uint8_t type, size_t size)
{
	uint8_t *d = bytes + *used;

	d[0] = type;
	d[1] = (uint8_t)(size - DESCRIPTOR_HEAD);
	*used += size;
	return d;
}

/* 8 + 12 + 8 + 4 = 32: of the two descriptors with marks only one is ever needed. */
size_t scsi_sense_write_descriptor(const struct scsi_sense *s,
				   uint8_t bytes[SCSI_DESCRIPTOR_SENSE_BYTES])
{
	size_t used = HEADER_BYTES;
	uint8_t *d;

	memset(bytes, 0, SCSI_DESCRIPTOR_SENSE_BYTES);
	bytes[0] = s->deferred ? DESCRIPTOR_DEFERRED : DESCRIPTOR_CURRENT;
	bytes[DESCRIPTOR_KEY] = s->key & KEY;
	put_be16(bytes + DESCRIPTOR_ASC, s->asc);
	if (s->has_information) {
		d = append_descriptor(bytes, &used, INFORMATION_TYPE, INFORMATION_BYTES);
		d[2] = VALID;
		put_be64(d + 4, s->information);
	}
	if (has_pointer(s))
		write_specific(s, append_descriptor(bytes, &used, SPECIFIC_TYPE,
						    SPECIFIC_DESCRIPTOR_BYTES) +
					  4);
	if (marks_of(s)) {
		d = append_descriptor(bytes, &used,
				      s->filemark || s->eom ? STREAM_TYPE : BLOCK_TYPE,
				      COMMAND_BYTES);
		d[3] = marks_of(s);
	}
	bytes[ADDITIONAL_LENGTH] = (uint8_t)(used - HEADER_BYTES);
	return used;
}

bool scsi_sense_goes_with_data(const void *bytes, size_t length)
{
	struct scsi_sense sense;

	return length && scsi_sense_read(bytes, length, &sense) == 0 && !sense.deferred &&
	       (sense.key == SCSI_NO_SENSE || sense.key == SCSI_RECOVERED_ERROR ||
		sense.key == SCSI_COMPLETED);
}
