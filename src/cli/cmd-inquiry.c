/* SPDX-License-Identifier: MIT */
/*
 * cmd-inquiry.c: `hbakit inquiry URI`: standard INQUIRY data or a VPD page, taken apart where we
 * can, and always in hex.
 */
#include "cli/cli.h"

#include "base/base.h"
#include "base/endian.h"
#include "scsi/scsi.h"

#include <errno.h>
#include <string.h>

enum {
	KEY_COLUMN = -10,
	ALLOCATION = 4096,
	STANDARD_ALLOCATION = 255,
	VPD_HEADER = 4,
	ID_TEXT = 256
};
enum { LENGTH_AT = 2, ADDITIONAL_AT = 4 }; /* SPC-4 7.8.1: PAGE LENGTH; 6.6.2: ADDITIONAL LENGTH */

struct arguments {
	struct cli_common common;
	bool has_page;
	uint64_t page;
};

static error_t take_page(struct arguments *a, const char *arg)
{
	error_t r = cli_take_number("--page", arg, &a->page);

	a->has_page = true;
	if (r || a->page <= UINT8_MAX)
		return r;
	cli_usage("--page %s: pages are 0 to 0xff", arg);
	return CLI_TOLD;
}

static error_t inquiry_take(struct cli_common *common, int key, char *arg)
{
	struct arguments *a = container_of(common, struct arguments, common);

	switch (key) {
	case 'p':
		return take_page(a, arg);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- taken apart: rows of a name and a text, either for a table or for JSON */

typedef void (*row_fn)(struct json_object *o, const char *key, const char *text);

static void print_row(struct json_object *o, const char *key, const char *text)
{
	(void)o;
	printf("%*s %s\n", KEY_COLUMN, key, text);
}

static int standard_rows(const uint8_t *bytes, size_t length, row_fn row, struct json_object *o)
{
	struct scsi_inquiry q;
	int r = scsi_inquiry_read(bytes, length, &q);

	if (r < 0)
		return r;
	row(o, "type", cli_type_name(q.type));
	row(o, "vendor", q.vendor);
	row(o, "product", q.product);
	row(o, "revision", q.revision);
	return 0;
}

static void page_list_row(const uint8_t *bytes, size_t length, row_fn row, struct json_object *o)
{
	char text[ID_TEXT * 4] = "";
	size_t at = 0;

	for (size_t i = VPD_HEADER; i < length && at + 6 < sizeof(text); i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s0x%02x", at ? " " : "",
				       bytes[i]);
	row(o, "pages", text);
}

static int page_rows(const uint8_t *bytes, size_t got, uint8_t page, row_fn row,
		     struct json_object *o)
{
	char text[ID_TEXT] = "";
	int length = scsi_vpd_check(bytes, got, page);

	if (length < 0)
		return length;
	if (page == SCSI_VPD_SUPPORTED) {
		page_list_row(bytes, (size_t)length, row, o);
	} else if (page == SCSI_VPD_SERIAL) {
		scsi_vpd_serial(bytes, (size_t)length, text, sizeof(text));
		row(o, "serial", text);
	} else if (page == SCSI_VPD_DEVICE_ID) {
		scsi_vpd_best_id(bytes, (size_t)length, text, sizeof(text));
		row(o, "id", text);
	}
	return 0;
}

static int rows(const struct arguments *a, const struct cli_exchange *x, row_fn row,
		struct json_object *o)
{
	return a->has_page ? page_rows(x->data, x->bytes, (uint8_t)a->page, row, o)
			   : standard_rows(x->data, x->bytes, row, o);
}

/* ---- */

/*
 * A device may send more than the data have by their own length: what lies behind is none of them.
 */
static size_t own_length(const struct arguments *a, const struct cli_exchange *x)
{
	const uint8_t *bytes = x->data;
	size_t length = x->bytes;

	if (a->has_page && x->bytes >= VPD_HEADER)
		length = VPD_HEADER + (size_t)get_be16(&bytes[LENGTH_AT]);
	else if (!a->has_page && x->bytes > ADDITIONAL_AT)
		length = ADDITIONAL_AT + 1 + (size_t)bytes[ADDITIONAL_AT];
	return length < x->bytes ? length : x->bytes;
}

static int inquiry_show(const struct arguments *a, const struct cli_exchange *x)
{
	struct json_object *o;

	if (!a->common.json) {
		if (rows(a, x, print_row, NULL) < 0)
			return cli_fail(
				"%s: the answer breaks the standard; `hbakit cdb' shows it in hex",
				a->common.uri);
		cli_print_hex(x->data, own_length(a, x));
		return cli_finish_output();
	}
	o = json_object_new_object();
	json_object_object_add(o, "page", a->has_page ? json_object_new_uint64(a->page) : NULL);
	if (rows(a, x, cli_json_text, o) < 0) {
		json_object_put(o);
		return cli_fail("%s: the answer breaks the standard; `hbakit cdb' shows it in hex",
				a->common.uri);
	}
	cli_json_hex(o, "bytes", x->data, own_length(a, x));
	return cli_json_print(o);
}

static int failed(const struct arguments *a, const struct cli_exchange *x)
{
	char name[CLI_WORDS], words[CLI_WORDS] = "";

	cli_outcome_name(x->outcome, name);
	if (x->outcome == HBA_CHECK_CONDITION)
		cli_sense_words(x->sense, x->sense_len, words);
	if (a->has_page)
		return cli_fail("%s: INQUIRY, page %#jx: %s%s%s; page 0 lists the pages there are",
				a->common.uri, (uintmax_t)a->page, name, words[0] ? ": " : "",
				words);
	return cli_fail("%s: INQUIRY: %s%s%s", a->common.uri, name, words[0] ? ": " : "", words);
}

static int inquiry_ask(void *arguments, struct cli_session *s)
{
	const struct arguments *a = arguments;
	uint8_t data[ALLOCATION] = { 0 };
	struct cli_exchange x = { .direction = HBA_FROM_TARGET, .data = data };
	struct scsi_cdb cdb = a->has_page ? scsi_cdb_inquiry_vpd((uint8_t)a->page, ALLOCATION)
					  : scsi_cdb_inquiry(STANDARD_ALLOCATION);
	struct hba_lun_info info;
	struct hba_lun *lun;
	int r = cli_find_unit(s, &a->common.where, &lun, &info);

	if (r)
		return r;
	memcpy(x.cdb, cdb.bytes, sizeof(x.cdb));
	x.cdb_len = cdb.length;
	x.length = a->has_page ? ALLOCATION : STANDARD_ALLOCATION;
	r = cli_exchange(s, lun, &x);
	if (r)
		return r;
	return x.outcome == HBA_GOOD ? inquiry_show(a, &x) : failed(a, &x);
}

static const struct argp_option options[] = {
	{ "page", 'p', "PAGE", 0,
	  "Vital product data page PAGE (0x83: names, 0x80: serial number, 0: which pages there "
	  "are)",
	  0 },
	{ 0 },
};

static int run_inquiry(int argc, char **argv)
{
	struct arguments a = { .has_page = false };
	int r = cli_parse(&cmd_inquiry, argc, argv, &a.common);

	return r ? r : cli_with_controller(&a.common, inquiry_ask, &a);
}

const struct cli_command cmd_inquiry = {
	.name = "inquiry",
	.summary = "show a unit's INQUIRY data or a VPD page",
	.arguments = "URI",
	.doc = "Identify a logical unit.",
	.asks = CLI_ASKS_CONTROLLER | CLI_ASKS_UNIT,
	.options = options,
	.take = inquiry_take,
	.run = run_inquiry,
};
