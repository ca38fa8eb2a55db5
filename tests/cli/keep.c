/* SPDX-License-Identifier: MIT */
/*
 * keep.c: a copy that is kept: synced before it is renamed, and its directory after that; or not
 * kept, when that fails.
 */
#include "cli/cli.h"

#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* In the session's place: there are no signals here. */
bool cli_interrupted(struct cli_session *s)
{
	(void)s;
	return false;
}

int cli_say_interrupted(struct cli_session *s, const char *doing)
{
	(void)s;
	(void)doing;
	fail();
	return CLI_FAILED;
}

/*
 * What was called: f, fsync of a file; d, of a directory; r, rename. The wrappers have no other way
 * to their test.
 */
static struct {
	char calls[8];
	unsigned n;
	char failing; /* this one fails with EIO */
} seen;

static int note(char what)
{
	assert_in_range(seen.n, 0, sizeof(seen.calls) - 2);
	seen.calls[seen.n++] = what;
	errno = EIO;
	return seen.failing == what ? -1 : 0;
}

int real_rename(const char *from, const char *to) __asm__("__real_rename");
int test_rename(const char *from, const char *to) __asm__("__wrap_rename");
int test_fsync(int fd) __asm__("__wrap_fsync");

int test_rename(const char *from, const char *to)
{
	return note('r') < 0 ? -1 : real_rename(from, to);
}

int test_fsync(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return note(S_ISDIR(st.st_mode) ? 'd' : 'f');
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void assert_text(const char *path, const char *text)
{
	char bytes[16] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(read(fd, bytes, sizeof(bytes) - 1) >= 0);
	close(fd);
	assert_string_equal(bytes, text);
}

static int copy_to(const char *path)
{
	struct cli_session s = { .signal_fd = -1 };
	struct cli_file f;
	int r;

	seen.n = 0;
	memset(seen.calls, 0, sizeof(seen.calls));
	assert_int_equal(cli_open_output(&s, path, &f), 0);
	assert_int_equal(write(f.fd, "new", 3), 3);
	r = cli_keep_file(&f);
	cli_close_file(&f);
	return r;
}

static int setup(void **state)
{
	char *directory = strdup("/tmp/hbakit-keep-XXXXXX");

	*state = directory;
	seen.failing = 0;
	return directory && mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	unlink("copy");
	/* Nothing else is left behind. */
	if (rmdir(*state) < 0 || chdir("/") < 0)
		return -1;
	free(*state);
	return 0;
}

static void synced_around_the_rename(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) { /* a new file, and one that is there */
		assert_int_equal(copy_to("copy"), 0);
		assert_string_equal(seen.calls, "frd");
		assert_text("copy", "new");
	}
}

static void not_synced_is_not_kept(void **state)
{
	(void)state;
	write_text("copy", "old");
	seen.failing = 'f';
	assert_int_equal(copy_to("copy"), CLI_FAILED);
	assert_string_equal(seen.calls, "f");
	assert_text("copy", "old");
}

static void a_directory_that_cannot_be_synced(void **state)
{
	(void)state;
	write_text("copy", "old");
	seen.failing = 'd';
	assert_int_equal(copy_to("copy"), CLI_FAILED);
	assert_text("copy", "new");
}

#define IN_DIRECTORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(synced_around_the_rename),
		IN_DIRECTORY(not_synced_is_not_kept),
		IN_DIRECTORY(a_directory_that_cannot_be_synced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
