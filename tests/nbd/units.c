/* SPDX-License-Identifier: MIT */
/*
 * units.c: names and places of units that no driver here has: alike, nameless, of odd blocks. This
 * stands in the library's place.
 */
#include "frontends/nbd/nbd.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 8 };

struct hba_lun {
	struct hba_lun_info info;
};

struct hba_controller {
	struct hba_lun lun[MOST];
	size_t n;
};

struct hba_lun *hba_lun_next(struct hba_controller *c, struct hba_lun *lun)
{
	size_t next = lun ? (size_t)(lun - c->lun) + 1 : 0;

	return next < c->n ? &c->lun[next] : NULL;
}

void hba_lun_get_info(const struct hba_lun *lun, struct hba_lun_info *ret_info)
{
	*ret_info = lun->info;
}

static void add_lun(struct hba_controller *c, const char *id, const char *serial)
{
	struct hba_lun_info *info = &c->lun[c->n].info;

	*info = (struct hba_lun_info) {
		.target = 3, .number = c->n, .present = true, .block_bytes = 512, .blocks = 1
	};
	strncpy(info->id, id, sizeof(info->id) - 1);
	strncpy(info->serial, serial, sizeof(info->serial) - 1);
	c->n++;
}

static void names_are_told_apart(void **state)
{
	static const struct {
		const char *id, *serial, *name;
	} cases[] = {
		{ "naa.1", "s", "naa.1" }, { "", "serial", "serial" },   { "", "", "3:2" },
		{ "naa.2", "a", "3:3" },   { "naa.2", "b", "3:4" },      { "naa.2", "c", "3:5" },
		{ "", "3:0", "3:6" },      { "", "another", "another" },
	};
	struct hba_controller c = { .n = 0 };
	struct export *e;
	struct units u;

	(void)state;
	for (size_t i = 0; i < MOST; i++)
		add_lun(&c, cases[i].id, cases[i].serial);
	units_init(&u);
	for (unsigned again = 0; again < 2; again++) {
		assert_int_equal(units_refresh(&u, &c), 0);
		assert_int_equal(u.now.n, MOST);
		for (size_t i = 0; i < MOST; i++)
			assert_string_equal(u.now.unit[i].name, cases[i].name);
	}
	assert_int_equal(units_open(&u, "3:0", &e), 0);
	assert_ptr_equal(e->lun, &c.lun[0]);
	units_close(e);
	assert_int_equal(units_open(&u, "naa.2", &e), -ENOENT);
	units_fini(&u);
}

static void what_nbd_cannot_say_is_not_exported(void **state)
{
	struct hba_controller c = { .n = 0 };
	struct hba_lun_info *info = &c.lun[0].info;
	struct export *e;
	struct units u;

	(void)state;
	add_lun(&c, "odd", "");
	add_lun(&c, "good", "");
	units_init(&u);
	assert_int_equal(units_refresh(&u, &c), 0);
	assert_null(units_why_not(info));
	info->block_bytes = 520;
	assert_non_null(units_why_not(info));
	info->block_bytes = 131072;
	assert_non_null(units_why_not(info));
	info->block_bytes = 65536;
	assert_null(units_why_not(info));
	info->blocks = (UINT64_C(1) << 47);
	assert_non_null(units_why_not(info));
	info->block_bytes = 0;
	assert_non_null(units_why_not(info));
	/* The first is the first that can be. */
	assert_int_equal(units_open(&u, "", &e), 0);
	assert_string_equal(e->name, "good");
	units_close(e);
	units_fini(&u);
}

/* ---- a controller that is opened again: `before` is what was behind it, `after` what is */

struct reopened {
	struct hba_controller before, after;
	struct units u;
};

static void begin(struct reopened *r)
{
	*r = (struct reopened) { .before.n = 0 };
	units_init(&r->u);
}

static void open_again(struct reopened *r)
{
	assert_int_equal(units_forget(&r->u), 0);
	assert_int_equal(units_refresh(&r->u, &r->after), 0);
}

static void a_disk_is_found_again(void **state)
{
	struct export *by_id, *by_serial;
	struct reopened r;

	(void)state;
	begin(&r);
	add_lun(&r.before, "naa.1", "");
	add_lun(&r.before, "", "s1");
	/* In other slots now. */
	add_lun(&r.after, "", "s1");
	add_lun(&r.after, "naa.1", "");
	assert_int_equal(units_refresh(&r.u, &r.before), 0);
	assert_int_equal(units_open(&r.u, "naa.1", &by_id), 0);
	assert_int_equal(units_open(&r.u, "s1", &by_serial), 0);
	open_again(&r);
	assert_int_equal(units_renew(&r.u, by_id), 0);
	assert_ptr_equal(by_id->lun, &r.after.lun[1]);
	assert_int_equal(units_renew(&r.u, by_serial), 0);
	assert_ptr_equal(by_serial->lun, &r.after.lun[0]);
	units_close(by_id);
	units_close(by_serial);
	units_fini(&r.u);
}

static void expect_refused(const char *id, const char *serial, uint64_t blocks,
			   const char *id_after, const char *serial_after)
{
	struct export *e, *again;
	struct reopened r;

	begin(&r);
	add_lun(&r.before, id, serial);
	add_lun(&r.after, id_after, serial_after);
	r.after.lun[0].info.blocks = blocks;
	assert_int_equal(units_refresh(&r.u, &r.before), 0);
	assert_int_equal(units_open(&r.u, "", &e), 0);
	open_again(&r);
	assert_int_equal(units_renew(&r.u, e), -ENXIO);
	/* And again: refused it stays. */
	assert_int_equal(units_renew(&r.u, e), -ENXIO);
	if (blocks == 1) {
		assert_int_equal(units_open(&r.u, "", &again), -ENXIO);
		assert_int_equal(units_open(&r.u, "3:0", &again), -ENXIO);
	}
	units_close(e);
	units_fini(&r.u);
}

static void another_disk_is_refused(void **state)
{
	(void)state;
	expect_refused("naa.1", "s", 1, "naa.2", "s");
	expect_refused("", "s1", 1, "", "s2");
	expect_refused("naa.1", "s", 1, "", "s");
	expect_refused("naa.1", "s", 2, "naa.1", "s");
	/* Of two that say nothing of themselves it is not known whether they are one. */
	expect_refused("", "", 1, "", "");
}

static void a_disk_that_was_lost_comes_back_later(void **state)
{
	struct hba_controller empty = { .n = 0 };
	struct export *e, *again;
	struct reopened r;

	(void)state;
	begin(&r);
	add_lun(&r.before, "naa.1", "");
	add_lun(&r.before, "naa.2", "");
	add_lun(&r.after, "naa.1", "");
	assert_int_equal(units_refresh(&r.u, &r.before), 0);
	assert_int_equal(units_open(&r.u, "", &e), 0);
	assert_int_equal(units_forget(&r.u), 0);
	assert_int_equal(units_refresh(&r.u, &empty), 0);
	assert_int_equal(units_renew(&r.u, e), -ENXIO);
	assert_int_equal(units_open(&r.u, "", &again), -ENOENT);
	open_again(&r);
	assert_int_equal(units_renew(&r.u, e), 0);
	assert_int_equal(units_open(&r.u, "", &again), 0);
	assert_string_equal(again->name, "naa.1");
	units_close(e);
	units_close(again);
	units_fini(&r.u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_told_apart),
		cmocka_unit_test(what_nbd_cannot_say_is_not_exported),
		cmocka_unit_test(a_disk_is_found_again),
		cmocka_unit_test(another_disk_is_refused),
		cmocka_unit_test(a_disk_that_was_lost_comes_back_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
