/* SPDX-License-Identifier: MIT */
/*
 * plugin.c: the plugin's functions without nbdkit, whose place this takes: errors, names, extents,
 * and many threads that take turns. So they run under the sanitizers too, which a plugin in a
 * program of others does not.
 */
#include "frontends/nbd/nbd.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

/* cmocka wants the four above first. */
#include <cmocka.h>

enum { THREADS = 8, ROUNDS = 400, BLOCK = 512, MOST = 8, TEXT = 512 };

/* ---- in nbdkit's place */

struct nbdkit_plugin *plugin_init(void);

struct nbdkit_exports {
	char names[MOST][TEXT];
	unsigned n;
};

struct nbdkit_extents {
	struct {
		uint64_t offset, length;
		uint32_t type;
	} extent[MOST];
	unsigned n;
};

/* nbdkit has them for each thread, too. */
static _Thread_local char said[TEXT];
static _Thread_local int error_set;
static _Thread_local const char *wanted = "";

void nbdkit_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

void nbdkit_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(said, sizeof(said), format, args);
	va_end(args);
}

void nbdkit_debug(const char *format, ...)
{
	(void)format;
}

void nbdkit_set_error(int error)
{
	error_set = error;
}

void nbdkit_shutdown(void) {}

const char *nbdkit_export_name(void)
{
	return wanted;
}

int nbdkit_parse_bool(const char *text)
{
	return strcmp(text, "1") == 0;
}

int nbdkit_parse_int(const char *what, const char *text, int *ret_number)
{
	(void)what;
	*ret_number = atoi(text);
	return 0;
}

int nbdkit_parse_unsigned(const char *what, const char *text, unsigned *ret_number)
{
	(void)what;
	*ret_number = (unsigned)atoi(text);
	return 0;
}

const char *nbdkit_strdup_intern(const char *text)
{
	static _Thread_local char kept[TEXT];

	snprintf(kept, sizeof(kept), "%s", text);
	return kept;
}

const char *nbdkit_printf_intern(const char *format, ...)
{
	return format;
}

int nbdkit_add_export(struct nbdkit_exports *e, const char *name, const char *description)
{
	(void)description;
	assert_true(e->n < MOST);
	snprintf(e->names[e->n++], TEXT, "%s", name);
	return 0;
}

int nbdkit_add_extent(struct nbdkit_extents *e, uint64_t offset, uint64_t length, uint32_t type)
{
	assert_true(e->n < MOST);
	e->extent[e->n].offset = offset;
	e->extent[e->n].length = length;
	e->extent[e->n++].type = type;
	return 0;
}

/* ---- in the disk room's place, when a test says so: the linker's --wrap */

int real_submit(struct hba_disk_io *io) __asm__("__real_hba_disk_submit");
int submit(struct hba_disk_io *io) __asm__("__wrap_hba_disk_submit");

static int status_error; /* what every question about extents ends as */

int submit(struct hba_disk_io *io)
{
	if (io->op != HBA_DISK_STATUS || !status_error)
		return real_submit(io);
	io->error = status_error;
	io->done(io);
	return 0;
}

/* ---- a plugin that is up */

static struct nbdkit_plugin *up(const char *uri)
{
	struct nbdkit_plugin *p = plugin_init();

	assert_int_equal(p->config("uri", uri), 0);
	assert_int_equal(p->config_complete(), 0);
	assert_int_equal(p->get_ready(), 0);
	assert_int_equal(p->after_fork(), 0);
	return p;
}

static void *open_export(const struct nbdkit_plugin *p, const char *name)
{
	wanted = name;
	return p->open(0);
}

/* ---- the tests */

static void errors_are_those_that_nbd_has(void **state)
{
	static const int nbds[] = { EPERM, EIO, ENOMEM, EINVAL, ENOSPC, EOPNOTSUPP, ESHUTDOWN };
	static const struct {
		int error, read, write;
	} cases[] = {
		{ EIO, EIO, EIO },
		{ ENODEV, ESHUTDOWN, ESHUTDOWN },
		{ ENOMEDIUM, ESHUTDOWN, ESHUTDOWN },
		{ ESTALE, ESHUTDOWN, ESHUTDOWN },
		{ EROFS, EPERM, EPERM },
		{ EBADE, EPERM, EPERM },
		{ ENOSPC, ENOSPC, ENOSPC },
		{ ERANGE, EINVAL, ENOSPC },
		{ EINVAL, EINVAL, EINVAL },
		{ ENOMEM, ENOMEM, ENOMEM },
		{ EMSGSIZE, EINVAL, EINVAL },
		{ EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP },
		{ ETIMEDOUT, EIO, EIO },
		{ ECANCELED, EIO, EIO },
		{ EAGAIN, EIO, EIO },
		{ EXDEV, EIO, EIO }, /* not one of ours */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(nbd_error(-cases[i].error, false), cases[i].read);
		assert_int_equal(nbd_error(-cases[i].error, true), cases[i].write);
		assert_true(nbd_error_words(-cases[i].error)[0]);
	}
	for (int error = 1; error < 200; error++) {
		bool known = false;

		for (size_t i = 0; i < sizeof(nbds) / sizeof(nbds[0]); i++)
			known = known || nbd_error(-error, true) == nbds[i];
		assert_true(known);
	}
}

static void names_are_the_disks_own(void **state)
{
	struct nbdkit_plugin *p = up("soft:ram?size=1M&luns=3");
	struct nbdkit_exports e = { .n = 0 };
	void *first, *by_place;

	(void)state;
	assert_int_equal(p->list_exports(0, 0, &e), 0);
	assert_int_equal(e.n, 3);
	for (unsigned i = 0; i < e.n; i++)
		assert_memory_equal(e.names[i], "naa.", 4);
	assert_string_equal(p->default_export(0, 0), e.names[0]);
	first = open_export(p, "");
	by_place = open_export(p, "0:2");
	assert_string_equal(((struct export *)first)->name, e.names[0]);
	assert_string_equal(((struct export *)by_place)->name, e.names[2]);
	assert_null(open_export(p, "0:3"));
	assert_int_equal(error_set, ENOENT);
	assert_non_null(strstr(said, "there is no unit '0:3'"));
	p->close(first);
	p->close(by_place);
	p->cleanup();
}

static void extents_tell_holes(void **state)
{
	struct nbdkit_plugin *p = up("soft:ram?size=1M");
	struct nbdkit_extents e = { .n = 0 };
	void *h = open_export(p, "");
	uint8_t data[4096] = { 1 };

	(void)state;
	assert_int_equal(p->pwrite(h, data, sizeof(data), 65536, NBDKIT_FLAG_FUA), 0);
	assert_int_equal(p->extents(h, 1 << 20, 0, 0, &e), 0);
	assert_int_equal(e.n, 3);
	assert_int_equal(e.extent[0].type, NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO);
	assert_int_equal(e.extent[1].type, 0);
	assert_int_equal(e.extent[1].offset, 65536);
	assert_int_equal(e.extent[1].length, 4096);
	e.n = 0;
	assert_int_equal(p->extents(h, 1 << 20, 0, NBDKIT_FLAG_REQ_ONE, &e), 0);
	assert_int_equal(e.n, 1);
	p->close(h);
	p->cleanup();
}

/* The client reads next, and that tells it what is wrong. */
static void a_unit_that_stays_busy_may_have_data(void **state)
{
	struct nbdkit_plugin *p = up("soft:ram?size=1M");
	struct nbdkit_extents e = { .n = 0 };
	void *h = open_export(p, "");

	(void)state;
	status_error = -EAGAIN;
	assert_int_equal(p->extents(h, 1 << 20, 0, 0, &e), 0);
	assert_int_equal(e.n, 1);
	assert_int_equal(e.extent[0].length, 1 << 20);
	assert_int_equal(e.extent[0].type, 0);
	status_error = -EIO;
	assert_int_equal(p->extents(h, 1 << 20, 0, 0, &e), -1);
	assert_int_equal(error_set, EIO);
	status_error = 0;
	p->close(h);
	p->cleanup();
}

static void zero_and_trim(void **state)
{
	struct nbdkit_plugin *p = up("soft:ram?size=1M");
	struct nbdkit_extents e = { .n = 0 };
	void *h = open_export(p, "");
	uint8_t data[8192], back[8192];

	(void)state;
	memset(data, 7, sizeof(data));
	assert_int_equal(p->pwrite(h, data, sizeof(data), 0, 0), 0);
	/* No hole, then a hole, then fast without a hole, which cannot be. */
	assert_int_equal(p->zero(h, 4096, 0, NBDKIT_FLAG_FUA), 0);
	assert_int_equal(p->extents(h, 4096, 0, 0, &e), 0);
	assert_int_equal(e.extent[0].type, 0);
	assert_int_equal(p->zero(h, 4096, 0, NBDKIT_FLAG_MAY_TRIM | NBDKIT_FLAG_FAST_ZERO), 0);
	e.n = 0;
	assert_int_equal(p->extents(h, 4096, 0, 0, &e), 0);
	assert_int_equal(e.extent[0].type, NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO);
	assert_int_equal(p->zero(h, 4096, 0, NBDKIT_FLAG_FAST_ZERO), -1);
	assert_int_equal(error_set, EOPNOTSUPP);
	assert_int_equal(p->pread(h, back, sizeof(back), 0, 0), 0);
	memset(data, 0, 4096);
	assert_memory_equal(back, data, sizeof(data));
	/* Blocks that are hit in part stay as they are. */
	assert_int_equal(p->trim(h, BLOCK, 4096 + 1, 0), 0);
	assert_int_equal(p->pread(h, back, sizeof(back), 0, 0), 0);
	assert_memory_equal(back, data, sizeof(data));
	assert_int_equal(p->pread(h, back, BLOCK, 1, 0), -1);
	assert_int_equal(error_set, EINVAL);
	p->close(h);
	p->cleanup();
}

static void what_cannot_be_served_is_refused(void **state)
{
	struct nbdkit_plugin *p = plugin_init();

	(void)state;
	assert_int_equal(p->config("uri", "soft:null?fill=none"), 0);
	assert_int_equal(p->get_ready(), -1);
	assert_non_null(strstr(said, "for measuring, not for serving"));
	said[0] = '\0';
	assert_int_equal(p->after_fork(), -1);
	assert_non_null(strstr(said, "for measuring, not for serving"));
	assert_int_equal(p->config("uri", "soft:none.img"), 0);
	assert_int_equal(p->after_fork(), -1);
	assert_non_null(strstr(said, "none.img"));
	assert_int_equal(p->config("colour", "red"), -1);
}

/* ---- many threads */

struct client {
	pthread_t thread;
	const struct nbdkit_plugin *p;
	void *handle;
	unsigned number, wrong;
};

/* Each has blocks of its own, and must find there what it wrote. */
static void *client_main(void *arg)
{
	struct client *c = arg;
	uint8_t data[BLOCK], back[BLOCK];

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t at = (uint64_t)(i % 16 * THREADS + c->number) * BLOCK;

		memset(data, (int)(i + c->number), sizeof(data));
		c->wrong += c->p->pwrite(c->handle, data, BLOCK, at, 0) != 0;
		c->wrong += c->p->pread(c->handle, back, BLOCK, at, 0) != 0;
		c->wrong += memcmp(data, back, BLOCK) != 0;
		c->wrong += i % 64 == 0 && c->p->flush(c->handle, 0) != 0;
	}
	return NULL;
}

static void threads_take_turns(const char *uri)
{
	struct client clients[THREADS];
	struct nbdkit_plugin *p = up(uri);
	void *h = open_export(p, "");

	for (unsigned i = 0; i < THREADS; i++) {
		clients[i] = (struct client) { .p = p, .handle = h, .number = i };
		assert_int_equal(pthread_create(&clients[i].thread, NULL, client_main, &clients[i]),
				 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(clients[i].thread, NULL);
		assert_int_equal(clients[i].wrong, 0);
	}
	p->close(h);
	p->cleanup();
}

static void threads_take_turns_at_once(void **state)
{
	(void)state;
	threads_take_turns("soft:ram?size=1M");
}

/*
 * Fewer tasks than threads, each out for a while: the loop is handed on with requests of others
 * under way.
 */
static void threads_take_turns_and_wait(void **state)
{
	(void)state;
	threads_take_turns("soft:ram?size=1M&latency_us=50&tasks=3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_are_those_that_nbd_has),
		cmocka_unit_test(names_are_the_disks_own),
		cmocka_unit_test(extents_tell_holes),
		cmocka_unit_test(a_unit_that_stays_busy_may_have_data),
		cmocka_unit_test(zero_and_trim),
		cmocka_unit_test(what_cannot_be_served_is_refused),
		cmocka_unit_test(threads_take_turns_at_once),
		cmocka_unit_test(threads_take_turns_and_wait),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	plugin_init()->unload();
	return failed;
}
