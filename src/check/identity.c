/* SPDX-License-Identifier: MIT */
/*
 * identity.c: who a unit says it is, in as many ways as there are to ask: they have to agree, and
 * an answer is cut exactly where the asker wants it cut.
 */
#include "base/endian.h"
#include "check/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ANSWER = 255, /* bytes asked for when any answer will do */
	ROOM = 1024,
	FORMAT_BYTE = 3,
	ADDITIONAL_LENGTH = 4,
	FORMAT_MASK = 0x0f,
	FORMAT_2 = 2,
	VENDOR_AT = 8,
	VPD_HEADER = 4,
	LUN_HEADER = 8,
	LUN_BYTES = 8,
	ALL_PAGES = 0x3f,
	DESC = 0x01,
	MODE_6_HEADER = 4,
	MODE_10_HEADER = 8,
	MODE_10_DESCRIPTORS = 6,
	CAPACITY_10 = 8,
	CAPACITY_16 = 32
};

static bool identity_ask(struct check *k, struct scsi_cdb cdb, struct buffer b,
			 struct command *ret_x)
{
	*ret_x = command_in(k, cdb, b);
	command_run(k, ret_x);
	return command_good(k, ret_x);
}

/* ---- INQUIRY */

static void tells_who_it_is(struct check *k)
{
	struct buffer b = buffer_at(&k->plain, 0, ANSWER);
	struct scsi_inquiry q;
	struct command x;

	if (!identity_ask(k, scsi_cdb_inquiry(ANSWER), b, &x))
		return;
	if (scsi_inquiry_read(b.bytes, ANSWER, &q) < 0) {
		check_failed(k, "at least 36 bytes of INQUIRY data", "less");
		return;
	}
	check_number(k, "peripheral qualifier", 0, q.qualifier);
	check_number(k, "response data format", FORMAT_2, b.bytes[FORMAT_BYTE] & FORMAT_MASK);
	for (unsigned i = VENDOR_AT; i < SCSI_INQUIRY_MIN; i++)
		if (b.bytes[i] < ' ' || b.bytes[i] > '~')
			check_failed(k, "printable ASCII in vendor, product and revision",
				     "%02Xh in byte %u", b.bytes[i], i);
	if (strcmp(q.vendor, k->info.vendor) || strcmp(q.product, k->info.product))
		check_failed(k, "the names that the scan heard", "%s %s", q.vendor, q.product);
}

static const uint16_t allocations[] = { 0, 1, 4, 5, SCSI_INQUIRY_MIN, ANSWER };

static bool cut_at(struct check *k, uint16_t allocation, const uint8_t *whole, size_t has)
{
	struct buffer b = buffer_at(&k->plain, ROOM, ANSWER);
	size_t want = allocation < has ? allocation : has;
	char what[CHECK_TEXT];
	uint8_t rest[ANSWER];
	struct command x;

	if (!identity_ask(k, scsi_cdb_inquiry(allocation), b, &x))
		return false;
	memset(rest, POISON_A, sizeof(rest));
	snprintf(what, sizeof(what), "INQUIRY data with an allocation length of %u", allocation);
	if (want > ADDITIONAL_LENGTH) /* has a test of its own */
		b.bytes[ADDITIONAL_LENGTH] = whole[ADDITIONAL_LENGTH];
	if (!check_bytes(k, what, whole, b.bytes, want))
		return false;
	snprintf(what, sizeof(what), "the buffer behind the allocation length of %u, untouched",
		 allocation);
	return check_bytes(k, what, rest, b.bytes + want, ANSWER - want);
}

static void cuts_its_answer(struct check *k)
{
	struct buffer b = buffer_at(&k->plain, 0, ANSWER);
	struct scsi_inquiry q;
	struct command x;

	if (!identity_ask(k, scsi_cdb_inquiry(ANSWER), b, &x))
		return;
	if (scsi_inquiry_read(b.bytes, ANSWER, &q) < 0 || q.length > ANSWER) {
		check_skip(k, "the INQUIRY data are too short, or longer than %d bytes", ANSWER);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(allocations); i++)
		if (!cut_at(k, allocations[i], b.bytes, q.length))
			return;
}

static void says_how_long_the_whole_is(struct check *k)
{
	struct buffer whole = buffer_at(&k->plain, 0, ANSWER), b;
	char what[CHECK_TEXT];
	struct command x;

	if (!identity_ask(k, scsi_cdb_inquiry(ANSWER), whole, &x))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(allocations); i++) {
		b = buffer_at(&k->plain, ROOM, ANSWER);
		if (allocations[i] <= ADDITIONAL_LENGTH)
			continue;
		if (!identity_ask(k, scsi_cdb_inquiry(allocations[i]), b, &x))
			return;
		snprintf(what, sizeof(what),
			 "the additional length with an allocation length of %u", allocations[i]);
		check_number(k, what, whole.bytes[ADDITIONAL_LENGTH], b.bytes[ADDITIONAL_LENGTH]);
	}
}

/* ---- how many bytes came */

/* A byte that came is there over one poison and over the other; a byte that stayed differs. */
static bool arrived(struct check *k, struct scsi_cdb cdb, size_t *ret_bytes, struct command *ret_x)
{
	struct buffer a = buffer_at(&k->plain, 0, ANSWER), b = buffer_at(&k->plain, ROOM, ANSWER);
	size_t n = ANSWER;

	memset(b.bytes, POISON_B, b.length);
	if (!identity_ask(k, cdb, a, ret_x) || !identity_ask(k, cdb, b, ret_x))
		return false;
	while (n && a.bytes[n - 1] == POISON_A && b.bytes[n - 1] == POISON_B)
		n--;
	*ret_bytes = n;
	return true;
}

static void counts_what_came(struct check *k)
{
	const struct scsi_cdb cdbs[] = {
		scsi_cdb_inquiry(ANSWER),
		scsi_cdb_inquiry(SCSI_INQUIRY_MIN),
		scsi_cdb_inquiry_vpd(SCSI_VPD_SUPPORTED, ANSWER),
		scsi_cdb_request_sense(ANSWER - 3),
	};
	struct command x;
	size_t n;

	for (size_t i = 0; i < ARRAY_SIZE(cdbs); i++) {
		if (!arrived(k, cdbs[i], &n, &x))
			return;
		check_number(k,
			     i < ARRAY_SIZE(cdbs) - 1 ? "bytes of INQUIRY's answer"
						      : "bytes of REQUEST SENSE's answer",
			     n, x.bytes);
	}
}

/* ---- VPD */

static bool read_page(struct check *k, uint8_t page, size_t offset, struct buffer *ret_b)
{
	char text[CHECK_TEXT];
	struct command x;

	*ret_b = buffer_at(&k->plain, offset, ROOM);
	if (!identity_ask(k, scsi_cdb_inquiry_vpd(page, ROOM), *ret_b, &x))
		return false;
	if (scsi_vpd_check(ret_b->bytes, x.bytes, page) >= 0)
		return true;
	snprintf(text, sizeof(text), "page %02Xh, whole", page);
	return check_failed(k, text, "%ju bytes that begin %02x %02x %02x %02x", (uintmax_t)x.bytes,
			    ret_b->bytes[0], ret_b->bytes[1], ret_b->bytes[2], ret_b->bytes[3]);
}

static void lists_its_pages(struct check *k)
{
	struct buffer list, page;
	size_t n;

	if (!read_page(k, SCSI_VPD_SUPPORTED, 0, &list))
		return;
	n = get_be16(list.bytes + 2);
	if (n == 0 || list.bytes[VPD_HEADER] != SCSI_VPD_SUPPORTED)
		check_failed(k, "page 00h first in its own list", "%zu pages, the first %02Xh", n,
			     list.bytes[VPD_HEADER]);
	for (size_t i = 0; i < n; i++) {
		const uint8_t *at = list.bytes + VPD_HEADER + i;

		if (i && at[0] <= at[-1])
			check_failed(k, "page codes in ascending order", "%02Xh after %02Xh", at[0],
				     at[-1]);
		if (!read_page(k, at[0], ROOM * 2, &page))
			return;
	}
}

static void has_the_scanned_names(struct check *k)
{
	char serial[sizeof(k->info.serial)] = "", id[sizeof(k->info.id)] = "";
	struct buffer list, page;

	if (!read_page(k, SCSI_VPD_SUPPORTED, 0, &list))
		return;
	if (scsi_vpd_lists(list.bytes, ROOM, SCSI_VPD_SERIAL) &&
	    read_page(k, SCSI_VPD_SERIAL, ROOM * 2, &page))
		scsi_vpd_serial(page.bytes, ROOM, serial, sizeof(serial));
	if (!scsi_vpd_lists(list.bytes, ROOM, SCSI_VPD_DEVICE_ID))
		check_failed(k, "page 83h, which every unit has", "it is not in page 00h");
	else if (read_page(k, SCSI_VPD_DEVICE_ID, ROOM * 2, &page))
		scsi_vpd_best_id(page.bytes, ROOM, id, sizeof(id));
	if (strcmp(serial, k->info.serial))
		check_failed(k, k->info.serial, "serial number %s", serial);
	if (strcmp(id, k->info.id))
		check_failed(k, k->info.id, "device identifier %s", id);
}

/* ---- units told apart */

static int compare_ids(const void *a, const void *b)
{
	const struct hba_lun_info *x = a, *y = b;

	return strcmp(x->id, y->id);
}

static unsigned all_infos(struct check *k, struct hba_lun_info *infos)
{
	unsigned n = 0;

	for (struct hba_lun *lun = hba_lun_next(k->controller, NULL); lun && n < k->n_units;
	     lun = hba_lun_next(k->controller, lun))
		hba_lun_get_info(lun, &infos[n++]);
	return n;
}

static void tells_units_apart(struct check *k)
{
	autofree struct hba_lun_info *infos = calloc(k->n_units, sizeof(*infos));
	unsigned n = infos ? all_infos(k, infos) : 0;
	char a[48], b[48];

	if (hba_controller_report(k->controller)->multipath || n < 2) {
		check_skip(k, n < 2 ? "there is one unit only"
				    : "one unit may be there by several paths");
		return;
	}
	qsort(infos, n, sizeof(*infos), compare_ids);
	for (unsigned i = 1; i < n; i++) {
		if (!infos[i].id[0] || strcmp(infos[i].id, infos[i - 1].id))
			continue;
		check_unit_name(&infos[i - 1], a);
		check_unit_name(&infos[i], b);
		check_failed(k, "a name of its own for every unit", "units %s and %s both have %s",
			     a, b, infos[i].id);
	}
}

/* ---- REPORT LUNS */

static bool is_found(const struct check *k, const struct hba_lun_id *id)
{
	struct hba_lun_info info;

	for (struct hba_lun *lun = hba_lun_next(k->controller, NULL); lun;
	     lun = hba_lun_next(k->controller, lun)) {
		hba_lun_get_info(lun, &info);
		if (info.target == k->info.target && scsi_lun_equal(&info.lun, id))
			return true;
	}
	return false;
}

static unsigned units_of_target(const struct check *k)
{
	struct hba_lun_info info;
	unsigned n = 0;

	for (struct hba_lun *lun = hba_lun_next(k->controller, NULL); lun;
	     lun = hba_lun_next(k->controller, lun)) {
		hba_lun_get_info(lun, &info);
		n += info.target == k->info.target;
	}
	return n;
}

/* It need not be answered but by LUN 0, and the well-known unit that is there for it. */
static bool leaves_it_to_lun_0(struct check *k, const struct command *x)
{
	if (scsi_lun_number(&k->info.lun) == 0 || !x->has_sense ||
	    x->sense.asc != SCSI_ASC_LUN_NOT_SUPPORTED)
		return false;
	check_skip(k, "the unit leaves REPORT LUNS to LUN 0, as it may");
	return true;
}

/*
 * Finding each of many units by a walk through all of them takes its square; a sample says as much.
 */
static void reports_what_the_scan_found(struct check *k)
{
	enum { SAMPLES = 64, MOST = 256 * 1024 };
	uint32_t allocation = MOST, needed;
	struct buffer b;
	unsigned n, step;
	struct command x;
	char text[24];

	/* It is a command that is not split: as much as the controller's limits let through. */
	do {
		b = buffer_at(&k->plain, 0, allocation);
		x = command_in(k, scsi_cdb_report_luns(allocation), b);
		command_run(k, &x);
	} while (x.error == -EMSGSIZE && (allocation /= 2) > ANSWER);
	if (leaves_it_to_lun_0(k, &x) || !command_good(k, &x))
		return;
	if (scsi_report_luns_read(b.bytes, x.bytes, &n, &needed) < 0 ||
	    (needed > x.bytes && allocation == MOST)) {
		check_failed(k, "a list of units, whole", "%ju bytes", (uintmax_t)x.bytes);
		return;
	}
	if (needed > x.bytes)
		check_skip(k,
			   "the controller's limits let no more than %u bytes of the list through",
			   allocation);
	else
		check_number(k, "units of this target, as many as the scan found",
			     units_of_target(k), n);
	step = n / SAMPLES + 1;
	for (unsigned i = 0; i < n; i += step) {
		struct hba_lun_id id = scsi_report_luns_entry(b.bytes, i);

		scsi_lun_text(&id, text);
		if (!is_found(k, &id))
			check_failed(k, "units that the scan found", "LUN %s", text);
	}
}

static void cuts_its_list(struct check *k)
{
	struct buffer whole = buffer_at(&k->plain, 0, ANSWER),
		      b = buffer_at(&k->plain, ROOM, ANSWER);
	uint8_t rest[ANSWER];
	struct command x;

	memset(rest, POISON_A, sizeof(rest));
	x = command_in(k, scsi_cdb_report_luns(ANSWER), whole);
	command_run(k, &x);
	if (leaves_it_to_lun_0(k, &x) || !command_good(k, &x) ||
	    !identity_ask(k, scsi_cdb_report_luns(LUN_HEADER + LUN_BYTES), b, &x))
		return;
	check_bytes(k,
		    "the length of the list, which does not depend on how much of it was asked for",
		    whole.bytes, b.bytes, LUN_HEADER + LUN_BYTES);
	check_bytes(k, "the buffer behind 16 bytes, untouched", rest,
		    b.bytes + LUN_HEADER + LUN_BYTES, ANSWER - LUN_HEADER - LUN_BYTES);
}

/* ---- capacity, modes, sense */

static void is_ready(struct check *k)
{
	struct command x = command_none(k, scsi_cdb_test_unit_ready());

	command_run(k, &x);
	command_good(k, &x);
}

static void has_one_capacity(struct check *k)
{
	struct buffer a = buffer_at(&k->plain, 0, CAPACITY_10),
		      b = buffer_at(&k->plain, ROOM, CAPACITY_16);
	struct scsi_capacity short_one, long_one;
	struct command x;

	if (!identity_ask(k, scsi_cdb_read_capacity_10(), a, &x) ||
	    scsi_capacity_read_10(a.bytes, x.bytes, &short_one) < 0) {
		check_failed(k, "8 bytes of READ CAPACITY(10)", "%ju", (uintmax_t)x.bytes);
		return;
	}
	if (!short_one.needs_16)
		check_number(k, "blocks, as the scan heard", k->info.blocks, short_one.blocks);
	check_number(k, "bytes of a block, as the scan heard", k->info.block_bytes,
		     short_one.block_bytes);
	if (check_max_cdb(k) < 16)
		return;
	x = command_in(k, scsi_cdb_read_capacity_16(CAPACITY_16), b);
	command_run(k, &x);
	if (command_unknown(k, &x) || !command_good(k, &x))
		return;
	if (scsi_capacity_read_16(b.bytes, x.bytes, &long_one) < 0)
		check_failed(k, "32 bytes of READ CAPACITY(16)", "%ju", (uintmax_t)x.bytes);
	check_number(k, "blocks, by READ CAPACITY(16)", k->info.blocks, long_one.blocks);
	check_number(k, "bytes of a block, by READ CAPACITY(16)", k->info.block_bytes,
		     long_one.block_bytes);
}

static void has_the_same_modes_in_6_and_10(struct check *k)
{
	struct buffer a = buffer_at(&k->plain, 0, ANSWER), b = buffer_at(&k->plain, ROOM, ROOM);
	struct command x = command_in(k, scsi_cdb_mode_sense_6(ALL_PAGES, 0, ANSWER), a), y;
	size_t at_6, at_10, n_6, n_10;

	command_run(k, &x);
	if (command_unknown(k, &x) || !command_good(k, &x))
		return;
	y = command_in(k, scsi_cdb_mode_sense_10(ALL_PAGES, 0, ROOM), b);
	command_run(k, &y);
	if (command_unknown(k, &y) || !command_good(k, &y))
		return;
	n_6 = a.bytes[0] + 1U;
	n_10 = get_be16(b.bytes) + 2U;
	at_6 = MODE_6_HEADER + a.bytes[MODE_6_HEADER - 1];
	at_10 = MODE_10_HEADER + get_be16(b.bytes + MODE_10_DESCRIPTORS);
	if (n_6 > x.bytes || n_10 > y.bytes || at_6 > n_6 || at_10 > n_10) {
		check_failed(k, "mode data as long as they say", "%zu of %ju and %zu of %ju bytes",
			     n_6, (uintmax_t)x.bytes, n_10, (uintmax_t)y.bytes);
		return;
	}
	if (check_number(k, "bytes of mode pages, by MODE SENSE(10) as by (6)", n_6 - at_6,
			 n_10 - at_10))
		check_bytes(k, "mode pages, by MODE SENSE(10) as by (6)", a.bytes + at_6,
			    b.bytes + at_10, n_6 - at_6);
}

static void has_nothing_to_tell(struct check *k)
{
	struct buffer b = buffer_at(&k->plain, 0, HBA_MAX_SENSE);
	struct scsi_cdb cdb = scsi_cdb_request_sense(HBA_MAX_SENSE);
	struct scsi_sense sense;
	struct command x;

	for (unsigned desc = 0; desc <= DESC; desc++) {
		cdb.bytes[1] = (uint8_t)desc;
		x = command_in(k, cdb, b);
		command_run(k, &x);
		/* A unit without descriptors may say so. */
		if (desc && x.has_sense && x.sense.key == SCSI_ILLEGAL_REQUEST)
			return;
		if (!command_good(k, &x))
			return;
		if (scsi_sense_read(b.bytes, x.bytes, &sense) < 0)
			check_failed(k, "sense of fixed or descriptor format",
				     "%ju bytes from %02Xh on", (uintmax_t)x.bytes, b.bytes[0]);
		else
			check_number(k, "sense key with nothing to tell", SCSI_NO_SENSE, sense.key);
	}
}

static const struct check_test tests[] = {
	{ .name = "INQUIRY identifies the unit",
	  .rule = "36 bytes at least, response data format 2, names in printable ASCII, the same "
		  "as at the scan",
	  .reference = "SPC-4 6.6",
	  .needs = UNIT,
	  .run = tells_who_it_is },
	{ .name = "INQUIRY is cut at the allocation length",
	  .rule = "the same data up to the allocation length (0, 1, 4, 5, 36, 255), and nothing "
		  "behind it",
	  .reference = "SPC-4 4.2.5.6, 6.6",
	  .needs = UNIT,
	  .run = cuts_its_answer },
	{ .name = "INQUIRY says how long the whole is",
	  .rule = "the additional length is that of all the data, however few of them were asked "
		  "for",
	  .reference = "SPC-4 4.2.5.6, 6.6",
	  .needs = UNIT,
	  .run = says_how_long_the_whole_is },
	{ .name = "the byte count is what really came",
	  .rule = "hba_result::bytes counts the bytes that were moved, not those that were asked "
		  "for",
	  .reference = "hbakit/task.h: struct hba_result",
	  .needs = UNIT,
	  .run = counts_what_came },
	{ .name = "VPD page 00h lists the pages there are",
	  .rule = "page codes ascending from 00h on, and each page answers with its own code",
	  .reference = "SPC-4 7.8",
	  .needs = UNIT,
	  .run = lists_its_pages },
	{ .name = "VPD pages 80h and 83h name the unit",
	  .rule = "serial number and device identifier are there, and stay what they were at the "
		  "scan",
	  .reference = "SPC-4 7.8",
	  .needs = UNIT,
	  .run = has_the_scanned_names },
	{ .name = "no two units have one name",
	  .rule = "the device identifier of VPD page 83h is a unit's own, unless there are several "
		  "paths to it",
	  .reference = "SPC-4 7.8",
	  .needs = UNIT,
	  .run = tells_units_apart },
	{ .name = "TEST UNIT READY reports a ready disk",
	  .rule = "a disk whose capacity was read is ready",
	  .reference = "SPC-4, TEST UNIT READY",
	  .needs = DISK,
	  .run = is_ready },
	{ .name = "REPORT LUNS agrees with the scan",
	  .rule = "the target's list holds the units that were found there, and no others",
	  .reference = "SPC-4 6.33",
	  .needs = UNIT | NEED_CDB_12,
	  .run = reports_what_the_scan_found },
	{ .name = "REPORT LUNS is cut at the allocation length",
	  .rule = "the list is cut, its length field is not",
	  .reference = "SPC-4 4.2.5.6, 6.33",
	  .needs = UNIT | NEED_CDB_12,
	  .run = cuts_its_list },
	{ .name = "READ CAPACITY(10) and (16) agree",
	  .rule = "both, and the scan, have the same blocks",
	  .reference = "SBC-3 5.15, 5.16",
	  .needs = DISK,
	  .run = has_one_capacity },
	{ .name = "MODE SENSE(6) and (10) agree",
	  .rule = "both return the same pages, as long as the header says",
	  .reference = "SPC-4 6.11, 6.12",
	  .needs = DISK,
	  .run = has_the_same_modes_in_6_and_10 },
	{ .name = "REQUEST SENSE has nothing to report",
	  .rule = "GOOD, and NO SENSE in the format that was asked for, when nothing is pending",
	  .reference = "SPC-4 4.5, 6.39",
	  .needs = UNIT,
	  .run = has_nothing_to_tell },
};

const struct check_group check_identity = { "identity", tests, ARRAY_SIZE(tests) };
