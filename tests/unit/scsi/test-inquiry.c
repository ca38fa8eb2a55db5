/* SPDX-License-Identifier: MIT */
/*
 * test-inquiry.c: INQUIRY data and VPD pages 00h, 80h, 83h against libsgutils2, there and back, and
 * as bad devices send them.
 */
#include "scsi-test.h"
#include "scsi/scsi.h"
#include "sg-peer.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <scsi/sg_cmds_basic.h>
#include <scsi/sg_lib.h>
#include <unistd.h>

/* ---- standard data */

static struct scsi_inquiry random_inquiry(struct random_source *r)
{
	struct scsi_inquiry q = { .qualifier = (uint8_t)random_below(r, 8),
				  .type = (uint8_t)random_below(r, 32) };

	q.removable = random_bool(r);
	q.hierarchical = random_bool(r);
	q.command_queuing = random_bool(r);
	q.third_party_copy = random_bool(r);
	q.protect = random_bool(r);
	q.version = (uint8_t)random_below(r, 8);
	if (q.version >= 2)
		q.features = (uint8_t)random_below(r, 32);
	if (q.version < 3)
		q.features &= HBA_FEATURE_BIT(HBA_WIDE) | HBA_FEATURE_BIT(HBA_SYNCHRONOUS);
	random_text(r, q.vendor, random_below(r, 9));
	random_text(r, q.product, random_below(r, 17));
	random_text(r, q.revision, random_below(r, 5));
	q.length = SCSI_INQUIRY_MAX;
	return q;
}

static void assert_inquiry_equal(const struct scsi_inquiry *a, const struct scsi_inquiry *b)
{
	assert_int_equal(a->qualifier, b->qualifier);
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->removable, b->removable);
	assert_int_equal(a->hierarchical, b->hierarchical);
	assert_int_equal(a->command_queuing, b->command_queuing);
	assert_int_equal(a->third_party_copy, b->third_party_copy);
	assert_int_equal(a->protect, b->protect);
	assert_int_equal(a->version, b->version);
	assert_int_equal(a->features, b->features);
	assert_string_equal(a->vendor, b->vendor);
	assert_string_equal(a->product, b->product);
	assert_string_equal(a->revision, b->revision);
	assert_int_equal(a->length, b->length);
}

static void test_inquiry_there_and_back(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct scsi_inquiry q = random_inquiry(&r), again;
		uint8_t bytes[SCSI_INQUIRY_MAX];

		memset(bytes, 0xa5, sizeof(bytes));
		assert_int_equal(scsi_inquiry_write(&q, bytes), SCSI_INQUIRY_MAX);
		assert_int_equal(scsi_inquiry_read(bytes, sizeof(bytes), &again), 0);
		assert_inquiry_equal(&q, &again);
	}
}

static void compare_inquiry(int fd, const uint8_t bytes[SCSI_INQUIRY_MIN])
{
	struct sg_simple_inquiry_resp theirs;
	struct scsi_inquiry ours;

	sg_peer_begin(bytes, SCSI_INQUIRY_MIN);
	assert_int_equal(sg_simple_inquiry(fd, &theirs, false, 0), 0);
	assert_int_equal(scsi_inquiry_read(bytes, SCSI_INQUIRY_MIN, &ours), 0);
	assert_int_equal(ours.qualifier, theirs.peripheral_qualifier);
	assert_int_equal(ours.type, theirs.peripheral_type);
	assert_int_equal(ours.removable, theirs.byte_1 >> 7);
	assert_int_equal(ours.version, theirs.version);
	assert_int_equal(ours.hierarchical, theirs.byte_3 >> 4 & 1);
	assert_int_equal(ours.third_party_copy, theirs.byte_5 >> 3 & 1);
	assert_int_equal(ours.protect, theirs.byte_5 & 1);
	assert_int_equal(ours.command_queuing, theirs.byte_7 >> 1 & 1);
	/* Theirs keeps the padding. */
	assert_memory_equal(ours.vendor, theirs.vendor, strlen(ours.vendor));
	assert_int_equal(strspn(theirs.vendor + strlen(ours.vendor), " "), 8 - strlen(ours.vendor));
	assert_memory_equal(ours.product, theirs.product, strlen(ours.product));
	assert_int_equal(strspn(theirs.product + strlen(ours.product), " "),
			 16 - strlen(ours.product));
	assert_memory_equal(ours.revision, theirs.revision, strlen(ours.revision));
	assert_int_equal(strspn(theirs.revision + strlen(ours.revision), " "),
			 4 - strlen(ours.revision));
}

static void test_inquiry_is_read_as_by_sgutils(void **state)
{
	struct random_source r = random_begin();
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	for (int i = 0; i < ROUNDS; i++) {
		struct scsi_inquiry q = random_inquiry(&r);
		uint8_t bytes[SCSI_INQUIRY_MAX];

		scsi_inquiry_write(&q, bytes);
		random_fill(&r, bytes, 8); /* all that is no text may be anything */
		compare_inquiry(fd, bytes);
	}
	close(fd);
}

static void test_inquiry_text_is_printable(void **state)
{
	uint8_t bytes[SCSI_INQUIRY_MIN] = { [2] = 6, [3] = 2, [4] = 31 };
	struct scsi_inquiry q;

	(void)state;
	memcpy(bytes + 8, "A\x1b[2J\n\0 ", 8);
	memcpy(bytes + 16, "\xff\x7f product\0\0\0\0\0\0", 16);
	memcpy(bytes + 32, "    ", 4);
	assert_int_equal(scsi_inquiry_read(bytes, sizeof(bytes), &q), 0);
	assert_string_equal(q.vendor, "A?[2J?");
	assert_string_equal(q.product, "?? product");
	assert_string_equal(q.revision, "");
}

/* Byte 56 counts from SPC on, and only if the device says that it has it. */
static void test_features_by_version_and_length(void **state)
{
	uint8_t bytes[SCSI_INQUIRY_MAX] = { [4] = 91, [7] = 0x30, [56] = 0x07 };
	uint8_t byte_7 = HBA_FEATURE_BIT(HBA_WIDE) | HBA_FEATURE_BIT(HBA_SYNCHRONOUS);
	uint8_t all = 0x1f;
	struct scsi_inquiry q;

	(void)state;
	for (uint8_t version = 0; version < 8; version++) {
		uint8_t expected = version < 2 ? 0 : version == 2 ? byte_7 : all;

		bytes[2] = version;
		assert_int_equal(scsi_inquiry_read(bytes, sizeof(bytes), &q), 0);
		assert_int_equal(q.features, expected);
		assert_int_equal(scsi_inquiry_read(bytes, 56, &q), 0); /* byte 56 did not arrive */
		assert_int_equal(q.features, expected & byte_7);
	}
	bytes[4] = 51; /* 56 bytes: it arrived, but is not the device's */
	assert_int_equal(scsi_inquiry_read(bytes, sizeof(bytes), &q), 0);
	assert_int_equal(q.features, byte_7);
	assert_int_equal(q.length, 56);
}

/* ---- VPD */

static void test_supported_pages(void **state)
{
	static const uint8_t pages[] = { 0x00, 0x80, 0x83, 0xb0 };
	struct scsi_disk_identity id = { .pages = pages, .n_pages = sizeof(pages) };
	uint8_t bytes[SCSI_VPD_MAX];
	size_t n = scsi_vpd_write_supported(&id, bytes);

	(void)state;
	assert_int_equal(scsi_vpd_check(bytes, n, 0), n);
	assert_int_equal(scsi_vpd_check(bytes, n, 0x80), -EPROTO);
	assert_int_equal(scsi_vpd_check(bytes, n - 1, 0), -EPROTO);
	for (unsigned page = 0; page < 256; page++) {
		bool listed = memchr(pages, (int)page, sizeof(pages));

		assert_int_equal(scsi_vpd_lists(bytes, n, (uint8_t)page), listed);
	}
	id.n_pages = 0;
	n = scsi_vpd_write_supported(&id, bytes);
	assert_false(scsi_vpd_lists(bytes, n, 0));
}

static void test_serial_there_and_back(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		char serial[300], text[300];
		struct scsi_disk_identity id = { .serial = serial };
		uint8_t bytes[SCSI_VPD_MAX], *exact;
		size_t n, size = random_below(&r, sizeof(text));

		random_text(&r, serial, random_below(&r, sizeof(serial)));
		n = scsi_vpd_write_serial(&id, bytes);
		exact = exact_copy(bytes, n);
		memset(text, 0x7f, sizeof(text));
		assert_int_equal(scsi_vpd_serial(exact, n, text, size), 0);
		serial[251] = '\0'; /* what one page holds */
		if (size) {
			serial[size - 1] = '\0';
			assert_string_equal(text, serial);
		}
		assert_int_equal(text[size], 0x7f);
		free(exact);
	}
}

static void test_serial_is_trimmed_on_both_sides(void **state)
{
	static const uint8_t page[] = { 0,   0x80, 0,    10,  ' ', ' ', 'A',
					' ', '7',  0x1b, ' ', ' ', 0,   0 };
	char text[16];

	(void)state;
	assert_int_equal(scsi_vpd_serial(page, sizeof(page), text, sizeof(text)), 0);
	assert_string_equal(text, "A 7?");
}

/* ---- page 83h */

struct page_83 {
	uint8_t bytes[512];
	size_t length;
};

static void add_designator(struct page_83 *p, uint8_t code_set, uint8_t association, uint8_t type,
			   const void *id, size_t n)
{
	uint8_t *d = p->bytes + p->length;

	if (p->length == 0) {
		p->bytes[1] = 0x83;
		p->length = 4;
		d += 4;
	}
	d[0] = code_set;
	d[1] = (uint8_t)(association << 4 | type);
	d[2] = 0;
	d[3] = (uint8_t)n;
	memcpy(d + 4, id, n);
	p->length += 4 + n;
	p->bytes[2] = (uint8_t)((p->length - 4) >> 8);
	p->bytes[3] = (uint8_t)(p->length - 4);
}

static void assert_best_id(const struct page_83 *p, const char *expected)
{
	uint8_t *exact = exact_copy(p->bytes, p->length);
	char text[128];

	assert_int_equal(scsi_vpd_best_id(exact, p->length, text, sizeof(text)), 0);
	assert_string_equal(text, expected);
	for (size_t size = 0; size <= strlen(expected) + 1; size++) {
		size_t n = size ? size - 1 : 0;

		memset(text, 0x7f, sizeof(text));
		assert_int_equal(scsi_vpd_best_id(exact, p->length, text, size), 0);
		assert_int_equal(text[size], 0x7f);
		for (; n && expected[n - 1] == ' '; n--) /* no space at the end of what is left */
			;
		assert_memory_equal(text, expected, n);
		assert_int_equal(text[n], size ? '\0' : 0x7f);
	}
	free(exact);
}

/* Each name is better than those before it; ports and targets are never taken. */
static void test_best_id_order(void **state)
{
	struct page_83 p = { .length = 0 };

	(void)state;
	add_designator(&p, 1, 1, 3, "\x50\x01\x02\x03\x04\x05\x06\x07", 8); /* a port's */
	add_designator(&p, 1, 2, 3, "\x50\x01\x02\x03\x04\x05\x06\x08", 8); /* the target's */
	add_designator(&p, 1, 0, 4, "\0\0\0\1", 4);
	assert_best_id(&p, "");
	add_designator(&p, 3, 0, 8, "iqn.2024-01.example:a\0\0", 23);
	assert_best_id(&p, "iqn.2024-01.example:a");
	add_designator(&p, 2, 0, 1, "VENDOR  a serial", 16);
	assert_best_id(&p, "t10.VENDOR  a serial");
	add_designator(&p, 1, 0, 2, "\x00\x11\x22\x33\x44\x55\x66\x77", 8);
	assert_best_id(&p, "eui.0011223344556677");
	add_designator(&p, 1, 0, 3, "\x3e\xad\xbe\xef\x00\x00\x00\x01", 8);
	assert_best_id(&p, "naa.3eadbeef00000001");
	add_designator(&p, 1, 0, 3,
		       "\x60\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f", 16);
	assert_best_id(&p, "naa.600102030405060708090a0b0c0d0e0f");
	add_designator(&p, 1, 0, 3, "\x50\x01\x02\x03\x04\x05\x06\x09", 8);
	assert_best_id(&p, "naa.600102030405060708090a0b0c0d0e0f");
}

static void test_designators_that_lie(void **state)
{
	struct page_83 p = { .length = 0 };
	char text[64] = "kept";

	(void)state;
	add_designator(&p, 1, 0, 3, "\x3e\xad\xbe", 3);       /* an NAA of three bytes */
	add_designator(&p, 2, 0, 3, "3e0000000000000f", 16);  /* in ASCII */
	add_designator(&p, 1, 0, 2, "\0\0\0\0\0\0\0\0\0", 9); /* an EUI-64 of nine */
	add_designator(&p, 1, 0, 1, "VENDOR  ", 8);           /* a T10 name in binary */
	add_designator(&p, 2, 0, 1, "", 0);
	assert_int_equal(scsi_vpd_best_id(p.bytes, p.length, text, sizeof(text)), 0);
	assert_string_equal(text, "");
	memcpy(text, "kept", sizeof("kept"));
	p.bytes[p.length - 1] = 1; /* one byte beyond the page */
	assert_int_equal(scsi_vpd_best_id(p.bytes, p.length, text, sizeof(text)), -EPROTO);
	assert_string_equal(text, "kept");
}

static struct scsi_disk_identity random_identity(struct random_source *r, char texts[3][300])
{
	random_text(r, texts[0], random_below(r, 12));
	random_text(r, texts[1], random_below(r, 20));
	random_text(r, texts[2], random_below(r, random_bool(r) ? 300 : 20));
	return (struct scsi_disk_identity) {
		.vendor = texts[0],
		.product = texts[1],
		.serial = texts[2],
		.naa = random_bool(r) ? UINT64_C(3) << 60 | random_bits(r, 60) : 0,
	};
}

static const uint8_t *sg_find(const uint8_t *page, size_t n, int type, int code_set)
{
	int at = -1;

	return sg_vpd_dev_id_iter(page + 4, (int)n - 4, &at, 0, type, code_set) == 0 ? page + 4 + at
										     : NULL;
}

/* libsgutils2 finds in our page what we put there, and nothing else. */
static void test_device_id_is_read_by_sgutils(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		char texts[3][300], best[300], expected[300];
		struct scsi_disk_identity id = random_identity(&r, texts);
		uint8_t bytes[SCSI_VPD_MAX], *exact;
		size_t n = scsi_vpd_write_device_id(&id, bytes);
		const uint8_t *naa, *t10;

		assert_in_range(n, 4, SCSI_VPD_MAX);
		exact = exact_copy(bytes, n);
		naa = sg_find(exact, n, 3, 1);
		t10 = sg_find(exact, n, 1, 2);
		assert_int_equal(naa != NULL, id.naa != 0);
		assert_int_equal(t10 != NULL, *id.serial != '\0');
		assert_int_equal(n, 4 + (naa ? 4 + naa[3] : 0) + (t10 ? 4 + t10[3] : 0));
		if (t10) {
			size_t serial = t10[3] - 24;

			snprintf(expected, sizeof(expected), "%-8.8s%-16.16s", id.vendor,
				 id.product);
			assert_memory_equal(t10 + 4, expected, 24);
			assert_memory_equal(t10 + 28, id.serial, serial);
			assert_true(serial == strlen(id.serial) || serial == 251 - 4 - 8 - 4 - 24);
		}
		assert_int_equal(scsi_vpd_best_id(exact, n, best, sizeof(best)), 0);
		snprintf(expected, sizeof(expected), "naa.%016llx", (unsigned long long)id.naa);
		if (naa)
			assert_string_equal(best, expected);
		else if (t10)
			assert_memory_equal(best, "t10.", 4);
		else
			assert_string_equal(best, "");
		free(exact);
	}
}

/* And in its own words it says the same NAA. */
static void test_naa_in_the_words_of_sgutils(void **state)
{
	struct random_source r = random_begin();

	(void)state;
	for (int i = 0; i < ROUNDS / 10; i++) {
		struct scsi_disk_identity id = { "",   "",
						 "",   UINT64_C(3) << 60 | random_bits(&r, 60),
						 NULL, 0 };
		uint8_t bytes[SCSI_VPD_MAX];
		char words[1024], hex[24];

		scsi_vpd_write_device_id(&id, bytes);
		sg_get_designation_descriptor_str("", bytes + 4, 12, false, false, sizeof(words),
						  words);
		snprintf(hex, sizeof(hex), "0x%016llx", (unsigned long long)id.naa);
		assert_non_null(strstr(words, hex));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inquiry_there_and_back),
		cmocka_unit_test(test_inquiry_is_read_as_by_sgutils),
		cmocka_unit_test(test_inquiry_text_is_printable),
		cmocka_unit_test(test_features_by_version_and_length),
		cmocka_unit_test(test_supported_pages),
		cmocka_unit_test(test_serial_there_and_back),
		cmocka_unit_test(test_serial_is_trimmed_on_both_sides),
		cmocka_unit_test(test_best_id_order),
		cmocka_unit_test(test_designators_that_lie),
		cmocka_unit_test(test_device_id_is_read_by_sgutils),
		cmocka_unit_test(test_naa_in_the_words_of_sgutils),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
