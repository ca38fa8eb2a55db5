/* SPDX-License-Identifier: MIT */
/* test-qtest.c: writes over QEMU's qtest protocol to a QEMU that answers when the test wants it to. */
#include "bus/bus.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
/* cmocka wants some of the above first. */
#include <cmocka.h>

enum { MANY = 1000, ADDRESS = 0xc000, LINE = 64, FOREVER_MS = 60000, NOW_MS = 0 };

struct wire {
	struct qtest q;
	FILE *qemu;
	int fd;
	unsigned seen; /* values written, which count up */
};

static struct wire *wire_new(void)
{
	struct wire *w = calloc(1, sizeof(*w));
	int pair[2];

	assert_non_null(w);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	w->q.fd = pair[0];
	w->fd = pair[1];
	w->qemu = fdopen(w->fd, "r+e");
	assert_non_null(w->qemu);
	setvbuf(w->qemu, NULL, _IONBF, 0);
	return w;
}

static void hang_up(struct wire *w)
{
	if (w->qemu)
		fclose(w->qemu);
	w->qemu = NULL;
}

static void wire_free(struct wire *w)
{
	hang_up(w);
	if (w->q.fd >= 0)
		close(w->q.fd);
	free(w);
}

static bool has_line(const struct wire *w)
{
	struct pollfd p = { .fd = w->fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

/* QEMU runs: it takes what is there, each in its order, and answers it. How many. */
static unsigned serve(struct wire *w)
{
	char line[LINE], wanted[LINE];
	unsigned n;

	for (n = 0; has_line(w); n++) {
		assert_non_null(fgets(line, sizeof(line), w->qemu));
		snprintf(wanted, sizeof(wanted), "writel 0x%x 0x%x\n", ADDRESS, w->seen++);
		assert_string_equal(line, wanted);
	}
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(write(w->fd, "OK\n", 3), 3);
	return n;
}

static int write_number(struct wire *w, unsigned i, unsigned ms)
{
	return qtest_write(&w->q, "writel", ADDRESS, i, ms);
}

/* Nobody waits for a QEMU that is stopped, and it finds no more than it can answer at once. */
static void what_is_not_answered_is_kept(void **state)
{
	struct wire *w = wire_new();

	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(write_number(w, i, FOREVER_MS), 0);
	assert_true(qtest_is_behind(&w->q));
	assert_int_equal(qtest_catch_up(&w->q), 0);
	while (w->seen < MANY) {
		assert_in_range(serve(w), 1, MANY / 4);
		assert_int_equal(qtest_catch_up(&w->q), 0);
	}
	assert_false(qtest_is_behind(&w->q));
	assert_int_equal(serve(w), 0);
	assert_int_equal(qtest_settle(&w->q, FOREVER_MS), 0);
	wire_free(w);
}

static void there_is_an_end_to_what_is_kept(void **state)
{
	struct wire *w = wire_new();
	int r = 0;

	(void)state;
	for (unsigned i = 0; i < QTEST_KEPT_BYTES && r == 0; i++)
		r = write_number(w, i, NOW_MS);
	assert_int_equal(r, -ENODEV);
	wire_free(w);
}

static void the_end_is_heard_while_catching_up(void **state)
{
	struct wire *w = wire_new();

	(void)state;
	assert_int_equal(qtest_catch_up(&w->q), 0);
	hang_up(w);
	assert_int_equal(qtest_catch_up(&w->q), -ENODEV);
	assert_int_equal(write_number(w, 0, NOW_MS), -ENODEV);
	wire_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_answered_is_kept),
		cmocka_unit_test(there_is_an_end_to_what_is_kept),
		cmocka_unit_test(the_end_is_heard_while_catching_up),
	};

	return cmocka_run_group_tests_name("qtest", tests, NULL, NULL);
}
