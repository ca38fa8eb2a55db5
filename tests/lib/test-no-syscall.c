/* SPDX-License-Identifier: MIT */
/* test-no-syscall.c: a planted system call kills; what stays in the program does not. */
#include "lib/no-syscall.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

enum { TURNS = 100000, ANSWER = 42, WRONG = 1 };

static int plant_getpid(void *arg)
{
	(void)arg;
	forbid_system_calls();
	syscall(SYS_getpid);
	return ANSWER;
}

static int plant_write(void *arg)
{
	(void)arg;
	forbid_system_calls();
	return write(STDERR_FILENO, "", 0) == 0 ? ANSWER : WRONG;
}

static int getpid_before_the_filter(void *arg)
{
	(void)arg;
	return syscall(SYS_getpid) > 0 ? ANSWER : WRONG;
}

/* Counts where the parent can see it: printing is over. */
static int count_only(void *arg)
{
	volatile uint64_t *turns = arg;

	forbid_system_calls();
	for (int i = 0; i < TURNS; i++)
		(*turns)++;
	return *turns == TURNS ? ANSWER : WRONG;
}

static void a_planted_system_call_kills(void **state)
{
	(void)state;
	assert_int_equal(outcome_of_child(plant_getpid, NULL), -SIGSYS);
	assert_int_equal(outcome_of_child(plant_write, NULL), -SIGSYS);
}

static void without_the_filter_it_does_not(void **state)
{
	(void)state;
	assert_int_equal(outcome_of_child(getpid_before_the_filter, NULL), ANSWER);
}

static void a_path_without_system_calls_lives(void **state)
{
	uint64_t *turns = mmap(NULL, sizeof(*turns), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_ptr_not_equal(turns, MAP_FAILED);
	assert_int_equal(outcome_of_child(count_only, turns), ANSWER);
	assert_int_equal(*turns, TURNS);
	munmap(turns, sizeof(*turns));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_planted_system_call_kills),
		cmocka_unit_test(without_the_filter_it_does_not),
		cmocka_unit_test(a_path_without_system_calls_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
