/* SPDX-License-Identifier: MIT */
/*
 * property.c: what a driver says of its controller and its targets: which key has which type, and
 * what a client reads back.
 */
#include "core/controller/controller.h"

#include "lib/test-driver.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { WWN = 8, ADDRESS = 3, ALPA = 1, RETRIES = 4, FEW = 4 };

static const uint8_t bytes[WWN + 1] = { 0x50, 0x01, 0x43, 0x80, 0x12, 0x34, 0x56, 0x78, 0x9a };

/* Contract 6.2 and 6.3; `length` is for bytes. */
static const struct hba_property of_controller[] = {
	{ .key = "Vendor Name", .type = HBA_STRING },
	{ .key = "Product Name", .type = HBA_STRING },
	{ .key = "Product Revision Level", .type = HBA_STRING },
	{ .key = "Port Description", .type = HBA_STRING },
	{ .key = "Port Speed", .type = HBA_STRING },
	{ .key = "Port Topology", .type = HBA_STRING },
	{ .key = "SCSI Parallel Signaling Type", .type = HBA_STRING },
	{ .key = "Fibre Channel Cabling Type", .type = HBA_STRING },
	{ .key = "Node World Wide Name", .type = HBA_BYTES, .length = WWN },
	{ .key = "Port World Wide Name", .type = HBA_BYTES, .length = WWN },
	{ .key = "Address Identifier", .type = HBA_BYTES, .length = ADDRESS },
	{ .key = "AL_PA", .type = HBA_BYTES, .length = ALPA },
	{ .key = "SAS Address", .type = HBA_BYTES, .length = WWN },
};

static const struct hba_property of_target[] = {
	{ .key = "Port World Wide Name", .type = HBA_BYTES, .length = WWN },
	{ .key = "Node World Wide Name", .type = HBA_BYTES, .length = WWN },
	{ .key = "Address Identifier", .type = HBA_BYTES, .length = ADDRESS },
	{ .key = "AL_PA", .type = HBA_BYTES, .length = ALPA },
	{ .key = "SAS Address", .type = HBA_BYTES, .length = WWN },
	{ .key = "Retry Count", .type = HBA_NUMBER },
	{ .key = "Read Time Out Duration", .type = HBA_NUMBER },
	{ .key = "Write Time Out Duration", .type = HBA_NUMBER },
};

/* A value of that type; `length` counts for bytes only. */
static struct hba_property valued(const char *key, enum hba_property_type type, size_t length)
{
	struct hba_property p = { .key = key, .type = type };

	if (type == HBA_STRING)
		p.value.string = "a word";
	if (type == HBA_NUMBER)
		p.value.number = RETRIES;
	if (type == HBA_BYTES) {
		p.value.bytes = bytes;
		p.length = length;
	}
	return p;
}

static unsigned count(const struct hba_controller *c, uint64_t target)
{
	struct hba_property p;
	unsigned n = 0;

	while (hba_property_get(c, target, n, &p) == 0)
		n++;
	return n;
}

static void assert_property(const struct hba_controller *c, uint64_t target, unsigned index,
			    const struct hba_property *want)
{
	struct hba_property p = { 0 };

	assert_int_equal(hba_property_get(c, target, index, &p), 0);
	assert_string_equal(p.key, want->key);
	assert_int_equal(p.type, want->type);
	if (p.type == HBA_STRING)
		assert_string_equal(p.value.string, want->value.string);
	if (p.type == HBA_NUMBER)
		assert_int_equal(p.value.number, want->value.number);
	if (p.type == HBA_BYTES) {
		assert_int_equal(p.length, want->length);
		assert_memory_equal(p.value.bytes, want->value.bytes, want->length);
	}
}

static void refused(struct hba_controller *c, struct hba_target *tgt, struct hba_property p)
{
	char sentence[200];

	snprintf(sentence, sizeof(sentence),
		 "driver test, outside any op: property '%s' has a type, length or value that its "
		 "key does not have",
		 p.key ? p.key : "(none)");
	assert_int_equal(hba_set_property(c, tgt, &p), -EINVAL);
	test_violation(c, sentence);
}

/* ---- the contract's keys */

/*
 * Taken as the contract has it, told, and read back; refused in any other type and in any other
 * length.
 */
static void one_key(struct hba_controller *c, struct hba_target *tgt, uint64_t id, unsigned index,
		    const struct hba_property *key)
{
	struct hba_property good = valued(key->key, key->type, key->length);
	struct hba_event e;

	for (enum hba_property_type type = HBA_STRING; type <= HBA_BYTES; type++)
		if (type != key->type)
			refused(c, tgt, valued(key->key, type, WWN));
	if (key->type == HBA_BYTES) {
		refused(c, tgt, valued(key->key, HBA_BYTES, key->length + 1));
		refused(c, tgt, valued(key->key, HBA_BYTES, key->length - 1));
	}
	assert_int_equal(count(c, id), index);
	assert_int_equal(hba_set_property(c, tgt, &good), 0);
	assert_true(test_event(c, HBA_EVENT_PROPERTY, &e));
	assert_string_equal(e.text, key->key);
	assert_int_equal(e.target, id);
	assert_property(c, id, index, &good);
}

static void numbers_have_a_range(void **state)
{
	static const struct hba_property wrong[] = {
		{ .key = "Retry Count", .type = HBA_NUMBER, .value.number = UINT64_C(1) << 32 },
		{ .key = "Read Time Out Duration",
		  .type = HBA_NUMBER,
		  .value.number = UINT64_C(1) << 32 },
		{ .key = "Read Time Out Duration", .type = HBA_NUMBER, .value.number = 0 },
		{ .key = "Write Time Out Duration", .type = HBA_NUMBER, .value.number = 0 },
	};
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		refused(c, hba_target_find(c, 0), wrong[i]);
	assert_int_equal(count(c, 0), 0);
	test_down(d, c);
}

static void every_known_key_has_its_type(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(of_controller); i++)
		one_key(c, NULL, HBA_NO_TARGET, i, &of_controller[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(of_target); i++)
		one_key(c, target_find(c, 0), 0, i, &of_target[i]);
	/* a target's are not the controller's */
	assert_int_equal(count(c, HBA_NO_TARGET), ARRAY_SIZE(of_controller));
	test_no_violation(c);
	test_down(d, c);
}

static void own_keys_have_any_type(void **state)
{
	static const char *const keys[] = { "Words", "Count", "Serial Bytes" };
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
		struct hba_property p = valued(keys[i], (enum hba_property_type)i, 5);

		assert_int_equal(hba_set_property(c, NULL, &p), 0);
		assert_property(c, HBA_NO_TARGET, i, &p);
	}
	test_no_violation(c);
	test_down(d, c);
}

/* ---- what is wrong */

static void wrong_type_changes_nothing(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	struct hba_property name = valued("Vendor Name", HBA_STRING, 0),
			    sas = valued("SAS Address", HBA_BYTES, WWN);
	struct hba_event e;

	(void)state;
	assert_int_equal(hba_set_property(c, NULL, &name), 0);
	assert_int_equal(hba_set_property(c, NULL, &sas), 0);
	while (hba_event_next(c, &e))
		;
	refused(c, NULL, valued("SAS Address", HBA_STRING, 0));
	refused(c, NULL, valued("SAS Address", HBA_BYTES, WWN + 1));
	refused(c, NULL, valued("Vendor Name", HBA_NUMBER, 0));
	refused(c, NULL, valued("Own Bytes", HBA_BYTES, 0));
	refused(c, NULL, valued("", HBA_NUMBER, 0));
	refused(c, NULL, valued(NULL, HBA_NUMBER, 0));
	refused(c, NULL, (struct hba_property) { .key = "Vendor Name", .type = HBA_STRING });
	refused(c, NULL,
		(struct hba_property) { .key = "Own Bytes", .type = HBA_BYTES, .length = 1 });
	assert_false(test_event(c, HBA_EVENT_PROPERTY, &e));
	assert_int_equal(count(c, HBA_NO_TARGET), 2);
	assert_property(c, HBA_NO_TARGET, 0, &name);
	assert_property(c, HBA_NO_TARGET, 1, &sas);
	test_down(d, c);
}

/* ---- set, set again, taken away */

static void a_value_is_replaced_and_copied(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	char key[] = "Port Speed", value[] = "12 Gb/s";
	struct hba_property p = { .key = key, .value.string = value };

	(void)state;
	assert_int_equal(hba_set_property(c, NULL, &p), 0);
	p.value.string = "22.5 Gb/s";
	assert_int_equal(hba_set_property(c, NULL, &p), 0);
	p.value.string = value;
	assert_int_equal(hba_set_property(c, NULL, &p), 0);
	memset(key, 'x', sizeof(key) - 1);
	memset(value, 'x', sizeof(value) - 1);
	assert_int_equal(count(c, HBA_NO_TARGET), 1);
	assert_property(c, HBA_NO_TARGET, 0,
			&(struct hba_property) { .key = "Port Speed", .value.string = "12 Gb/s" });
	test_down(d, c);
}

static void absent_key_is_no_error(void **state)
{
	static const char *const keys[FEW] = { "Vendor Name", "Product Name", "Port Speed",
					       "Port Topology" };
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	struct hba_target *tgt = target_find(c, 0);
	struct hba_property p;

	(void)state;
	hba_remove_property(c, NULL, "Vendor Name");
	hba_remove_property(c, tgt, "SAS Address");
	for (unsigned i = 0; i < FEW; i++) {
		p = valued(keys[i], HBA_STRING, 0);
		assert_int_equal(hba_set_property(c, NULL, &p), 0);
	}
	hba_remove_property(c, tgt, keys[1]); /* the controller's stays */
	assert_int_equal(count(c, HBA_NO_TARGET), FEW);
	for (unsigned i = 0; i < 2; i++) {
		hba_remove_property(c, NULL, keys[1]);
		assert_int_equal(count(c, HBA_NO_TARGET), FEW - 1);
	}
	p = valued(keys[0], HBA_STRING, 0);
	assert_property(c, HBA_NO_TARGET, 0, &p);
	p = valued(keys[2], HBA_STRING, 0);
	assert_property(c, HBA_NO_TARGET, 1, &p);
	assert_int_equal(hba_property_get(c, TEST_TARGETS, 0, &p), -ENOENT);
	test_no_violation(c);
	test_down(d, c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_known_key_has_its_type),
		cmocka_unit_test(numbers_have_a_range),
		cmocka_unit_test(own_keys_have_any_type),
		cmocka_unit_test(wrong_type_changes_nothing),
		cmocka_unit_test(a_value_is_replaced_and_copied),
		cmocka_unit_test(absent_key_is_no_error),
	};

	return cmocka_run_group_tests_name("core: property", tests, NULL, NULL);
}
