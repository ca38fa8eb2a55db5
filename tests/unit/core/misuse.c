/* SPDX-License-Identifier: MIT */
/*
 * misuse.c: wrong use of the public API is named, or ends the program where assertions are on.
 * Never silence.
 */
#include "core/controller/controller.h"

#include "lib/test-driver.h"

#include <errno.h>
#include <hbakit/disk.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void named(int r, int error, const char *sentence)
{
	assert_int_equal(r, error);
	assert_string_equal(hba_error(), sentence);
}

/* ---- NULL where none may be */

static void nothing(void **state)
{
	struct hba_controller *c = NULL;
	struct hba_mapping *m;
	struct hba_buffer *b;
	struct hba_event e;
	struct hba_task *t;

	(void)state;
	named(hba_controller_open(NULL, NULL, &c), -EINVAL,
	      "hba_controller_open: the URI is NULL, or the place for the controller");
	named(hba_controller_start(NULL), -EINVAL, "hba_controller_start: the controller is NULL");
	named(hba_controller_stop(NULL), -EINVAL, "hba_controller_stop: the controller is NULL");
	named(hba_controller_run(NULL, 1), -EINVAL, "hba_controller_run: the controller is NULL");
	named(hba_controller_rescan(NULL), -EINVAL,
	      "hba_controller_rescan: the controller is NULL");
	named(hba_controller_set_power(NULL, HBA_POWER_OFF), -EINVAL,
	      "hba_controller_set_power: the controller is NULL");
	named(hba_event_next(NULL, &e), -EINVAL,
	      "hba_event_next: the controller is NULL, or the place for the event");
	named(hba_task_get(NULL, 0, NULL, &t), -EINVAL,
	      "hba_task_get: the unit is NULL, or the place for the task");
	named(hba_submit(NULL, test_done, NULL), -EINVAL, "hba_submit: the task is NULL");
	named(hba_manage(NULL), -EINVAL, "hba_manage: unit, function or done is missing");
	named(hba_waiter_cancel(NULL), -EINVAL, "hba_waiter_cancel: the waiter is NULL");
	named(hba_buffer_create(NULL, HBA_DEVICE_BOTH, 1, 0, &b), -EINVAL,
	      "hba_buffer_create: the controller is NULL, or the place for the buffer");
	named(hba_buffer_import(NULL, 0, 0, 4096, &b), -EINVAL,
	      "hba_buffer_import: the controller is NULL, or the place for the buffer");
	named(hba_buffer_map(NULL, &m), -EINVAL,
	      "hba_buffer_map: the buffer is NULL, or the place for the mapping");
	named(hba_mapping_create(NULL, HBA_DEVICE_BOTH, 1, 0, &m), -EINVAL,
	      "hba_buffer_create: the controller is NULL, or the place for the buffer");
	named(hba_disk_submit(NULL), -EINVAL, "hba_disk_submit: the request is NULL, or its unit");
	named(hba_disk_do(NULL), -EINVAL, "hba_disk_do: the request is NULL");
	/* And where it is fine. */
	hba_controller_close(NULL);
	hba_task_put(NULL);
	hba_buffer_release(NULL);
	assert_int_equal(hba_mapping_release(NULL), 0);
}

/* ---- twice, and in the wrong state */

enum { HANGS_S = 5 };

/* What `body` ends as in a child: its return value, or minus the signal. */
static int in_child(int (*body)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO); /* the assertion's words are expected */
		_exit(body());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int put_twice(void)
{
	struct hba_controller *c = test_up(test_driver_new());
	struct hba_task *t = test_get(hba_lun_find(c, 0, 0));

	hba_task_put(t);
	hba_task_put(t);
	return strstr(hba_error(), "hba_task_put") ? 77 : 0;
}

static int put_while_out(void)
{
	struct hba_controller *c = test_up(test_driver_new());
	struct hba_task *t = test_get(hba_lun_find(c, 0, 0));
	struct test_io io = { 0 };

	t->cdb_len = 6;
	if (hba_submit(t, test_done, &io) < 0)
		return 1;
	hba_task_put(t);
	return strstr(hba_error(), "hba_task_put") ? 77 : 0;
}

static int cancel_nothing(void)
{
	hba_cancel(NULL);
	return strstr(hba_error(), "hba_cancel") ? 77 : 0;
}

static int cancel_before_submit(void)
{
	struct hba_controller *c = test_up(test_driver_new());

	hba_cancel(test_get(hba_lun_find(c, 0, 0)));
	return strstr(hba_error(), "hba_cancel") ? 77 : 0;
}

/* The next one who gets the task would be cancelled. */
static int cancel_after_put(void)
{
	struct hba_controller *c = test_up(test_driver_new());
	struct hba_task *t = test_get(hba_lun_find(c, 0, 0));

	hba_task_put(t);
	hba_cancel(t);
	return strstr(hba_error(), "hba_cancel") ? 77 : 0;
}

/* It would wait for threads that only the parent has. */
static int close_after_fork(void)
{
	struct hba_controller *c = test_up(test_driver_new());
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		alarm(HANGS_S);
		if (hba_controller_stop(c) != -EINVAL)
			_exit(1);
		hba_controller_close(c);
		_exit(strstr(hba_error(), "hba_controller_close") ? 77 : 0);
	}
	if (waitpid(pid, &status, 0) == pid && WIFSIGNALED(status))
		raise(WTERMSIG(status));
	/* It is the parent's as before. */
	return hba_controller_run(c, 1) < 0 || hba_controller_stop(c) < 0 ? 1 : WEXITSTATUS(status);
}

static int state_of_nothing(void)
{
	return hba_controller_state(NULL) == HBA_STARTED;
}

/*
 * With assertions the program ends there; without them the sentence is set (77) and nothing is
 * done.
 */
static void is_caught(int (*body)(void))
{
#ifdef NDEBUG
	assert_int_equal(in_child(body), 77);
#else
	assert_int_equal(in_child(body), -SIGABRT);
#endif
}

#if defined(__SANITIZE_ADDRESS__)
#define FREED_IS_SEEN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FREED_IS_SEEN 1
#endif
#endif

#ifdef FREED_IS_SEEN
static int use_after_close(void)
{
	struct hba_controller *c = test_up(test_driver_new());

	hba_controller_close(c);
	return hba_controller_run(c, 1) == 0 ? 0 : 77;
}
#endif

/* The rule that cannot be checked is at least seen by those who look. */
static void freed(void **state)
{
	(void)state;
#ifdef FREED_IS_SEEN
	int end = in_child(use_after_close);

	assert_true(end != 0 && end != 77);
#else
	skip();
#endif
}

/*
 * Before this process has a thread of its own: TSan wants no threads in the child of one that has.
 */
static void caught(void **state)
{
	(void)state;
	is_caught(put_twice);
	is_caught(put_while_out);
	is_caught(cancel_nothing);
	is_caught(cancel_before_submit);
	is_caught(cancel_after_put);
	is_caught(close_after_fork);
}

static void twice(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	struct hba_task *t = test_get(hba_lun_find(c, 0, 0));
	struct test_io io = { 0 };

	(void)state;
	t->cdb_len = 6;
	assert_int_equal(hba_submit(t, test_done, &io), 0);
	named(hba_submit(t, test_done, &io), -EINVAL,
	      "hba_submit: the task is not its client's to send, or has no done");
	test_turns(c, 3);
	assert_int_equal(io.done, 1);
	hba_task_put(t);
	named(hba_submit(t, test_done, &io), -EINVAL,
	      "hba_submit: the task is not its client's to send, or has no done");
	assert_int_equal(hba_controller_start(c), -EBUSY);
	assert_int_equal(hba_controller_stop(c), 0);
	assert_int_equal(hba_controller_stop(c), 0);
	assert_int_equal(hba_controller_run(c, 1), -ENODEV);
	assert_int_equal(hba_task_get(hba_lun_find(c, 0, 0), 0, NULL, &t), -ENODEV);
	test_down(d, c);
}

static void a_null_with_no_answer(void **state)
{
	(void)state;
#ifndef NDEBUG
	assert_int_equal(in_child(state_of_nothing), -SIGABRT);
#else
	(void)state_of_nothing;
	skip();
#endif
}

/* ---- from a callback, and from another thread */

static int from_done[6];

static void misbehave(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct hba_controller *c = arg;
	struct hba_disk_io io = { .lun = hba_lun_find(c, 0, 0), .op = HBA_DISK_FLUSH };

	(void)r;
	from_done[0] = hba_controller_run(c, 1);
	from_done[1] = hba_controller_stop(c);
	from_done[2] = hba_controller_set_power(c, HBA_POWER_PAUSE);
	from_done[3] = hba_controller_start(c);
	from_done[4] = hba_controller_arm(c);
	from_done[5] = hba_disk_do(&io);
	hba_task_put(t);
}

static void from_a_callback(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	struct hba_task *t = test_get(hba_lun_find(c, 0, 0));

	(void)state;
	t->cdb_len = 6;
	assert_int_equal(hba_submit(t, misbehave, c), 0);
	test_turns(c, 3);
	for (unsigned i = 0; i < ARRAY_SIZE(from_done); i++)
		assert_int_equal(from_done[i], -EBUSY);
	assert_int_equal(hba_controller_state(c), HBA_STARTED);
	test_down(d, c);
}

static void never_called(struct hba_management *m, enum hba_service_response response)
{
	(void)m;
	(void)response;
	fail();
}

enum { ELSEWHERE = 6 };

static void *run_elsewhere(void *arg)
{
	struct hba_controller *c = arg;
	struct hba_lun *lun = hba_lun_find(c, 0, 0);
	struct hba_management m = { .function = HBA_TARGET_RESET,
				    .lun = lun,
				    .done = never_called };
	struct hba_disk_io io = { .lun = lun, .op = HBA_DISK_FLUSH };
	static int results[ELSEWHERE];

	results[0] = hba_controller_run(c, 1);
	results[1] = hba_controller_arm(c);
	results[2] = hba_controller_leave_loop(c);
	results[3] = hba_manage(&m);
	results[4] = hba_disk_do(&io);
	results[5] = hba_controller_set_power(c, HBA_POWER_PAUSE);
	return results;
}

static void from_another_thread(void **state)
{
	static const int expected[ELSEWHERE] = { -EPERM, -EPERM, -EPERM, -EPERM, -EPERM, -EBUSY };
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	pthread_t thread;
	void *results;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, run_elsewhere, c), 0);
	assert_int_equal(pthread_join(thread, &results), 0);
	assert_memory_equal(results, expected, sizeof(expected));
	assert_int_equal(hba_controller_run(c, 1), 0);
	test_down(d, c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(freed),
		cmocka_unit_test(nothing),
		cmocka_unit_test(caught),
		cmocka_unit_test(twice),
		cmocka_unit_test(a_null_with_no_answer),
		cmocka_unit_test(from_a_callback),
		cmocka_unit_test(from_another_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
