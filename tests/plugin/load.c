/* SPDX-License-Identifier: MIT */
/*
 * load.c: plug-ins by the C API: loaded, looked at, used by controllers that live on, let go of.
 * `test-plugin-load FOLDER`
 */
#include <errno.h>
#include <hbakit/driver.h>
#include <hbakit/hbakit.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { PATH_BYTES = 4096, LINE_BYTES = 512 };

/* Where the plug-ins are; each test is handed it. */
static const char *plugin(void **state, const char *name, char path[PATH_BYTES])
{
	snprintf(path, PATH_BYTES, "%s/table-%s.so", (const char *)*state, name);
	return path;
}

/* The loader's own list: one line or more of /proc/self/maps while it is there. */
static bool is_loaded(const char *path)
{
	char line[LINE_BYTES];
	bool found = false;
	FILE *f = fopen("/proc/self/maps", "r");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		found = found || strstr(line, strrchr(path, '/'));
	fclose(f);
	return found;
}

static struct hba_controller *open_with(const char *path)
{
	const struct hba_options options = { .size = sizeof(options), .plugin = path };
	struct hba_controller *c;

	assert_int_equal(hba_controller_open("table:", &options, &c), 0);
	return c;
}

static void loaded_and_let_go(void **state)
{
	const struct hba_driver *d = NULL;
	char path[PATH_BYTES];

	assert_int_equal(hba_driver_load(plugin(state, "right", path), &d), 0);
	assert_string_equal(d->name, "table");
	assert_int_equal(d->size, sizeof(*d));
	assert_true(is_loaded(path));
	hba_driver_unload(d);
	assert_false(is_loaded(path));
	hba_driver_unload(NULL);
}

static void refused_leaves_nothing(void **state)
{
	const struct hba_driver *d = NULL;
	char path[PATH_BYTES];

	assert_int_equal(hba_driver_load(plugin(state, "version", path), &d), -EPROTO);
	assert_int_equal(hba_driver_load(plugin(state, "no-entry", path), &d), -ENOEXEC);
	assert_int_equal(hba_driver_load(plugin(state, "name-taken", path), &d), -EEXIST);
	assert_false(is_loaded(path));
	assert_int_equal(hba_driver_load(plugin(state, "none", path), &d), -ENOENT);
	assert_int_equal(hba_driver_load(NULL, &d), -EINVAL);
	assert_null(d);
}

static void an_older_table_is_filled_up(void **state)
{
	const struct hba_driver *d;
	char path[PATH_BYTES];

	assert_int_equal(hba_driver_load(plugin(state, "older", path), &d), 0);
	assert_int_equal(d->size, sizeof(*d));
	assert_null(d->kick);
	assert_null(d->stop);
	hba_driver_unload(d);
}

/* Each controller holds it, from open to close. */
static void controllers_hold_it(void **state)
{
	struct hba_controller *a, *b;
	char path[PATH_BYTES];

	plugin(state, "right", path);
	a = open_with(path);
	b = open_with(path);
	hba_controller_close(a);
	assert_true(is_loaded(path));
	assert_int_equal(hba_controller_start(b), 0);
	assert_string_equal(hba_controller_driver(b), "table");
	hba_controller_close(b);
	assert_false(is_loaded(path));
}

static void an_open_that_fails_lets_go(void **state)
{
	struct hba_options options = { .size = sizeof(options) };
	struct hba_controller *c = NULL;
	char path[PATH_BYTES];

	options.plugin = plugin(state, "right", path);
	assert_int_equal(hba_controller_open("floppy:", &options, &c), -EINVAL);
	assert_int_equal(hba_controller_open("table:?color=red", &options, &c), -EINVAL);
	assert_null(c);
	assert_false(is_loaded(path));
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test(loaded_and_let_go),
		cmocka_unit_test(refused_leaves_nothing),
		cmocka_unit_test(an_older_table_is_filled_up),
		cmocka_unit_test(controllers_hold_it),
		cmocka_unit_test(an_open_that_fails_lets_go),
	};

	if (argc != 2)
		return 2;
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tests[i].initial_state = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
