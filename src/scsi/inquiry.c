/* SPDX-License-Identifier: MIT */
/*
 * inquiry.c: what a unit says about itself: standard INQUIRY data and the vital product data pages
 * 00h, 80h and 83h (SPC-4 6.6, 7.8). Its text goes to people's terminals: nothing but printable
 * ASCII leaves this file.
 */
#include "base/base.h"
#include "base/endian.h"
#include "scsi/scsi.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- text */

static bool is_padding(uint8_t c)
{
	return c == ' ' || c == '\0';
}

static size_t trimmed_length(const uint8_t *bytes, size_t n)
{
	while (n && is_padding(bytes[n - 1]))
		n--;
	return n;
}

/* Cut to `size` with its NUL. */
static void copy_text(const uint8_t *bytes, size_t n, char *text, size_t size)
{
	if (size == 0)
		return;
	n = trimmed_length(bytes, n < size - 1 ? n : size - 1);
	for (size_t i = 0; i < n; i++)
		text[i] = bytes[i] >= ' ' && bytes[i] <= '~' ? (char)bytes[i] : '?';
	text[n] = '\0';
}

static void put_padded(uint8_t *bytes, size_t n, const char *text)
{
	size_t used = strnlen(text, n);

	memcpy(bytes, text, used);
	memset(bytes + used, ' ', n - used);
}

/* ---- standard data */

enum {
	QUALIFIER_SHIFT = 5, /* byte 0 */
	DEVICE_TYPE = 0x1f,
	REMOVABLE = 0x80, /* byte 1 */
	VERSION = 2,
	FORMAT = 3, /* of these data: 2 is the only one left */
	NORMACA = 0x20,
	HISUP = 0x10,
	FORMAT_2 = 0x02,
	ADDITIONAL_LENGTH = 4, /* the byte that says how many follow it */
	HEADER_BYTES = 5,
	THIRD_PARTY_COPY = 0x08, /* byte 5 */
	PROTECT = 0x01,
	COMMAND_QUEUING = 0x02, /* byte 7; the two others are of the parallel bus */
	WIDE_16 = 0x20,
	SYNC = 0x10,
	VENDOR = 8,
	PRODUCT = 16,
	REVISION = 32,
	SPI_BYTE = 56, /* of the parallel bus, from SPC on */
	IUS = 0x01,
	QAS = 0x02,
	CLOCKING_DT = 0x04, /* alone or with the bit above it: double transition */
	CLOCKING_ST_AND_DT = 0x0c,
	VERSION_DESCRIPTORS = 58,

	SCSI_2 = 2, /* versions */
	SPC = 3,

	DESCRIPTOR_SAM_5 = 0x00a0,
	DESCRIPTOR_SPC_4 = 0x0460,
	DESCRIPTOR_SBC_3 = 0x04c0,
};

static uint8_t feature_if(bool claimed, enum hba_feature feature)
{
	return (uint8_t)(claimed ? HBA_FEATURE_BIT(feature) : 0);
}

/* Older devices use these bytes for themselves, hence the versions. */
static uint8_t read_features(const uint8_t *bytes, size_t length)
{
	uint8_t features = 0;

	if (bytes[VERSION] >= SCSI_2 && length > 7) {
		features |= feature_if(bytes[7] & WIDE_16, HBA_WIDE);
		features |= feature_if(bytes[7] & SYNC, HBA_SYNCHRONOUS);
	}
	if (bytes[VERSION] >= SPC && length > SPI_BYTE) {
		features |= feature_if(bytes[SPI_BYTE] & IUS, HBA_INFORMATION_UNITS);
		features |= feature_if(bytes[SPI_BYTE] & QAS, HBA_QUICK_ARBITRATION);
		features |= feature_if(bytes[SPI_BYTE] & CLOCKING_DT, HBA_DOUBLE_TRANSITION);
	}
	return features;
}

int scsi_inquiry_read(const uint8_t *bytes, size_t length, struct scsi_inquiry *ret_inquiry)
{
	struct scsi_inquiry q = { 0 };

	if (length < SCSI_INQUIRY_MIN)
		return -EPROTO;
	q.qualifier = bytes[0] >> QUALIFIER_SHIFT;
	q.type = bytes[0] & DEVICE_TYPE;
	q.removable = bytes[1] & REMOVABLE;
	q.version = bytes[VERSION];
	q.hierarchical = bytes[FORMAT] & HISUP;
	q.normal_aca = bytes[FORMAT] & NORMACA;
	q.length = HEADER_BYTES + bytes[ADDITIONAL_LENGTH];
	q.third_party_copy = bytes[5] & THIRD_PARTY_COPY;
	q.protect = bytes[5] & PROTECT;
	q.command_queuing = bytes[7] & COMMAND_QUEUING;
	q.features = read_features(bytes, length < q.length ? length : q.length);
	copy_text(bytes + VENDOR, PRODUCT - VENDOR, q.vendor, sizeof(q.vendor));
	copy_text(bytes + PRODUCT, REVISION - PRODUCT, q.product, sizeof(q.product));
	copy_text(bytes + REVISION, SCSI_INQUIRY_MIN - REVISION, q.revision, sizeof(q.revision));
	*ret_inquiry = q;
	return 0;
}

static uint8_t bit_if(bool set, uint8_t bit)
{
	return set ? bit : 0;
}

static void write_features(uint8_t features, uint8_t *bytes)
{
	bytes[7] |= bit_if(features & HBA_FEATURE_BIT(HBA_WIDE), WIDE_16);
	bytes[7] |= bit_if(features & HBA_FEATURE_BIT(HBA_SYNCHRONOUS), SYNC);
	bytes[SPI_BYTE] |= bit_if(features & HBA_FEATURE_BIT(HBA_INFORMATION_UNITS), IUS);
	bytes[SPI_BYTE] |= bit_if(features & HBA_FEATURE_BIT(HBA_QUICK_ARBITRATION), QAS);
	bytes[SPI_BYTE] |=
		bit_if(features & HBA_FEATURE_BIT(HBA_DOUBLE_TRANSITION), CLOCKING_ST_AND_DT);
}

size_t scsi_inquiry_write(const struct scsi_inquiry *q, uint8_t bytes[SCSI_INQUIRY_MAX])
{
	memset(bytes, 0, SCSI_INQUIRY_MAX);
	bytes[0] = (uint8_t)(q->qualifier << QUALIFIER_SHIFT | (q->type & DEVICE_TYPE));
	bytes[1] = bit_if(q->removable, REMOVABLE);
	bytes[VERSION] = q->version;
	bytes[FORMAT] = FORMAT_2 | bit_if(q->hierarchical, HISUP) | bit_if(q->normal_aca, NORMACA);
	bytes[ADDITIONAL_LENGTH] = SCSI_INQUIRY_MAX - HEADER_BYTES;
	bytes[5] = bit_if(q->third_party_copy, THIRD_PARTY_COPY) | bit_if(q->protect, PROTECT);
	bytes[7] = bit_if(q->command_queuing, COMMAND_QUEUING);
	write_features(q->features, bytes);
	put_padded(bytes + VENDOR, PRODUCT - VENDOR, q->vendor);
	put_padded(bytes + PRODUCT, REVISION - PRODUCT, q->product);
	put_padded(bytes + REVISION, SCSI_INQUIRY_MIN - REVISION, q->revision);
	put_be16(bytes + VERSION_DESCRIPTORS, DESCRIPTOR_SAM_5);
	put_be16(bytes + VERSION_DESCRIPTORS + 2, DESCRIPTOR_SPC_4);
	put_be16(bytes + VERSION_DESCRIPTORS + 4, DESCRIPTOR_SBC_3);
	return SCSI_INQUIRY_MAX;
}

/* ---- vital product data, read */

enum {
	VPD_PAGE = 1,
	VPD_LENGTH = 2,
	VPD_HEADER = 4,
};

int scsi_vpd_check(const uint8_t *bytes, size_t length, uint8_t page)
{
	size_t whole;

	if (length < VPD_HEADER || bytes[VPD_PAGE] != page)
		return -EPROTO;
	whole = VPD_HEADER + (size_t)get_be16(bytes + VPD_LENGTH);
	return whole <= length ? (int)whole : -EPROTO;
}

bool scsi_vpd_lists(const uint8_t *page_00, size_t length, uint8_t page)
{
	int whole = scsi_vpd_check(page_00, length, SCSI_VPD_SUPPORTED);

	return whole > VPD_HEADER && memchr(page_00 + VPD_HEADER, page, (size_t)whole - VPD_HEADER);
}

int scsi_vpd_serial(const uint8_t *page_80, size_t length, char *ret_text, size_t size)
{
	int whole = scsi_vpd_check(page_80, length, SCSI_VPD_SERIAL);
	const uint8_t *p, *end;

	if (whole < 0)
		return whole;
	end = page_80 + whole;
	/* Serial numbers stand on the right of their field. */
	for (p = page_80 + VPD_HEADER; p < end && is_padding(*p); p++)
		;
	copy_text(p, (size_t)(end - p), ret_text, size);
	return 0;
}

enum {
	DESIGNATOR_HEADER = 4,
	CODE_SET = 0x0f, /* byte 0 */
	BINARY = 1,
	ASCII = 2,
	UTF_8 = 3,
	/* byte 1; zero is the logical unit, the others are its port and target */
	ASSOCIATION = 0x30,
	DESIGNATOR_TYPE = 0x0f,
	T10 = 1,
	EUI_64 = 2,
	NAA = 3,
	SCSI_NAME = 8,
	DESIGNATOR_LENGTH = 3,
	MAX_BINARY_NAME = 16, /* bytes of the longest EUI-64 or NAA */
};

struct designator {
	uint8_t code_set, type;
	const uint8_t *bytes;
	size_t length;
};

/* How good a name it is; 0 = none, or of a form that its type does not have. */
static unsigned rank_of(const struct designator *d)
{
	switch (d->type) {
	case NAA:
		return d->code_set == BINARY && (d->length == 8 || d->length == 16) ? 4 : 0;
	case EUI_64:
		return d->code_set == BINARY &&
				       (d->length == 8 || d->length == 12 || d->length == 16)
			       ? 3
			       : 0;
	case T10:
		return d->code_set != BINARY && d->length ? 2 : 0;
	case SCSI_NAME:
		return d->code_set == UTF_8 && d->length ? 1 : 0;
	default:
		return 0;
	}
}

static bool is_better(const struct designator *a, const struct designator *b)
{
	unsigned ra = rank_of(a), rb = rank_of(b);

	return ra > rb || (ra && ra == rb && a->length > b->length);
}

static int find_best(const uint8_t *p, const uint8_t *end, struct designator *ret_best)
{
	struct designator best = { 0 };

	while (p < end) {
		struct designator d = { .bytes = p + DESIGNATOR_HEADER };

		if (end - p < DESIGNATOR_HEADER)
			return -EPROTO;
		d.code_set = p[0] & CODE_SET;
		d.type = p[1] & DESIGNATOR_TYPE;
		d.length = p[DESIGNATOR_LENGTH];
		if (d.length > (size_t)(end - d.bytes))
			return -EPROTO;
		if ((p[1] & ASSOCIATION) == 0 && is_better(&d, &best))
			best = d;
		p = d.bytes + d.length;
	}
	*ret_best = best;
	return 0;
}

static void write_hex(const char *prefix, const struct designator *d, char *text, size_t size)
{
	char hex[2 * MAX_BINARY_NAME + 1];

	for (size_t i = 0; i < d->length; i++)
		snprintf(hex + 2 * i, 3, "%02x", d->bytes[i]);
	snprintf(text, size, "%s%s", prefix, hex);
}

static void write_designator(const struct designator *d, char *text, size_t size)
{
	static const char t10[] = "t10.";
	size_t prefix = sizeof(t10) - 1;

	if (d->type == NAA) {
		write_hex("naa.", d, text, size);
	} else if (d->type == EUI_64) {
		write_hex("eui.", d, text, size);
	} else if (d->type == T10) {
		snprintf(text, size, "%s", t10);
		if (size > prefix)
			copy_text(d->bytes, d->length, text + prefix, size - prefix);
	} else {
		copy_text(d->bytes, d->length, text, size);
	}
}

int scsi_vpd_best_id(const uint8_t *page_83, size_t length, char *ret_text, size_t size)
{
	int whole = scsi_vpd_check(page_83, length, SCSI_VPD_DEVICE_ID);
	struct designator best;
	int r;

	if (whole < 0)
		return whole;
	r = find_best(page_83 + VPD_HEADER, page_83 + whole, &best);
	if (r < 0)
		return r;
	if (rank_of(&best))
		write_designator(&best, ret_text, size);
	else if (size)
		ret_text[0] = '\0';
	return 0;
}

/* ---- vital product data, written */

enum {
	VENDOR_BYTES = 8,
	PRODUCT_BYTES = 16,
	NAA_BYTES = 8,
	MAX_PAYLOAD = SCSI_VPD_MAX - VPD_HEADER,
	/*
	 * What is left for the serial number behind both designators' headers, the NAA, vendor and
	 * product.
	 */
	MAX_T10_SERIAL =
		MAX_PAYLOAD - 2 * DESIGNATOR_HEADER - NAA_BYTES - VENDOR_BYTES - PRODUCT_BYTES,
};

/* The whole page is a disk's (type 0, qualifier 0). Returns its length. */
static size_t finish_page(uint8_t page, size_t payload, uint8_t *bytes)
{
	bytes[0] = SCSI_TYPE_DISK;
	bytes[VPD_PAGE] = page;
	put_be16(bytes + VPD_LENGTH, (uint16_t)payload);
	return VPD_HEADER + payload;
}

size_t scsi_vpd_write_supported(const struct scsi_disk_identity *id, uint8_t bytes[SCSI_VPD_MAX])
{
	size_t n = id->n_pages < MAX_PAYLOAD ? id->n_pages : MAX_PAYLOAD;

	if (n)
		memcpy(bytes + VPD_HEADER, id->pages, n);
	return finish_page(SCSI_VPD_SUPPORTED, n, bytes);
}

size_t scsi_vpd_write_serial(const struct scsi_disk_identity *id, uint8_t bytes[SCSI_VPD_MAX])
{
	size_t n = strnlen(id->serial, MAX_PAYLOAD);

	memcpy(bytes + VPD_HEADER, id->serial, n);
	return finish_page(SCSI_VPD_SERIAL, n, bytes);
}

static uint8_t *begin_designator(uint8_t *p, uint8_t code_set, uint8_t type, size_t length)
{
	p[0] = code_set;
	p[1] = type;
	p[2] = 0;
	p[DESIGNATOR_LENGTH] = (uint8_t)length;
	return p + DESIGNATOR_HEADER;
}

/* Vendor and product alone name no unit: without a serial number there is no T10 name. */
size_t scsi_vpd_write_device_id(const struct scsi_disk_identity *id, uint8_t bytes[SCSI_VPD_MAX])
{
	size_t serial = strnlen(id->serial, MAX_T10_SERIAL);
	uint8_t *p = bytes + VPD_HEADER;

	if (id->naa) {
		p = begin_designator(p, BINARY, NAA, NAA_BYTES);
		put_be64(p, id->naa);
		p += NAA_BYTES;
	}
	if (serial) {
		p = begin_designator(p, ASCII, T10, VENDOR_BYTES + PRODUCT_BYTES + serial);
		put_padded(p, VENDOR_BYTES, id->vendor);
		put_padded(p + VENDOR_BYTES, PRODUCT_BYTES, id->product);
		p += VENDOR_BYTES + PRODUCT_BYTES;
		memcpy(p, id->serial, serial);
		p += serial;
	}
	return finish_page(SCSI_VPD_DEVICE_ID, (size_t)(p - bytes) - VPD_HEADER, bytes);
}
