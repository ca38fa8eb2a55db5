/* SPDX-License-Identifier: MIT */
/*
 * test-qtest.c: writes over QEMU's qtest protocol to a QEMU that answers when the test wants it to.
 */
#include "bus/bus.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
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
	qtest_init(&w->q);
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

/* ---- interrupt lines: told at any time, between answers, and in pieces */

enum { LINE_21 = 21 };

static void say(struct wire *w, const char *text)
{
	assert_int_equal(write(w->fd, text, strlen(text)), (ssize_t)strlen(text));
}

static struct wire *intercepting(int *ret_fd)
{
	struct wire *w = wire_new();
	char line[LINE];

	*ret_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(*ret_fd >= 0);
	say(w, "OK\n");
	assert_int_equal(qtest_intercept(&w->q, LINE_21, *ret_fd, FOREVER_MS), 0);
	assert_non_null(fgets(line, sizeof(line), w->qemu));
	assert_string_equal(line, "irq_intercept_in ioapic\n");
	return w;
}

static unsigned raised(int fd)
{
	eventfd_t n = 0;

	return eventfd_read(fd, &n) == 0 ? (unsigned)n : 0;
}

static void a_line_that_goes_up_is_counted_once(void **state)
{
	int fd;
	struct wire *w = intercepting(&fd);
	uint64_t value = 0;

	(void)state;
	/* Asleep. */
	say(w, "IRQ raise 21\n");
	assert_int_equal(qtest_catch_up(&w->q), 0);
	assert_int_equal(raised(fd), 1);
	assert_true(w->q.line_is_up);
	/* Before an answer; and another's line. */
	say(w, "IRQ lower 21\nIRQ raise 4\nOK 0x7\n");
	assert_int_equal(qtest_read(&w->q, "readl", ADDRESS, FOREVER_MS, &value), 0);
	assert_int_equal(value, 7);
	assert_int_equal(raised(fd), 0);
	assert_false(w->q.line_is_up);
	/* Behind an answer: nothing else makes the socket readable again. */
	say(w, "OK 0x8\nIRQ raise 21\nIRQ low");
	assert_int_equal(qtest_read(&w->q, "readl", ADDRESS, FOREVER_MS, &value), 0);
	assert_int_equal(value, 8);
	assert_int_equal(raised(fd), 1);
	assert_true(w->q.line_is_up);
	say(w, "er 21\n");
	assert_int_equal(qtest_catch_up(&w->q), 0);
	assert_int_equal(raised(fd), 0);
	assert_false(w->q.line_is_up);
	wire_free(w);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_answered_is_kept),
		cmocka_unit_test(there_is_an_end_to_what_is_kept),
		cmocka_unit_test(the_end_is_heard_while_catching_up),
		cmocka_unit_test(a_line_that_goes_up_is_counted_once),
	};

	return cmocka_run_group_tests_name("qtest", tests, NULL, NULL);
}
