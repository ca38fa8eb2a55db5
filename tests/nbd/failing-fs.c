/* SPDX-License-Identifier: MIT */
/*
 * failing-fs.c: a file system with one file, whose fsync fails on request. `failing-fs FILE
 * DIRECTORY` shows FILE as DIRECTORY/disk.img and stays in the foreground. After a byte was written
 * to DIRECTORY/fail, the next fsync ends with EIO, once: so does a kernel that has lost pages.
 */
#define FUSE_USE_VERSION 31

#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char disk[] = "/disk.img", fail[] = "/fail";

/* libfuse runs requests in threads of its own. */
struct state {
	int fd;
	bool failing; /* atomic */
};

static struct state *state_now(void)
{
	return fuse_get_context()->private_data;
}

static int get_attributes(const char *path, struct stat *st, struct fuse_file_info *file)
{
	(void)file;
	memset(st, 0, sizeof(*st));
	if (strcmp(path, disk) == 0)
		return fstat(state_now()->fd, st) < 0 ? -errno : 0;
	if (strcmp(path, fail) != 0 && strcmp(path, "/") != 0)
		return -ENOENT;
	st->st_mode = path[1] ? S_IFREG | 0600 : S_IFDIR | 0700;
	st->st_nlink = 1;
	return 0;
}

static int read_disk(const char *path, char *to, size_t bytes, off_t at,
		     struct fuse_file_info *file)
{
	ssize_t n = strcmp(path, disk) == 0 ? pread(state_now()->fd, to, bytes, at) : 0;

	(void)file;
	return n < 0 ? -errno : (int)n;
}

static int write_disk(const char *path, const char *from, size_t bytes, off_t at,
		      struct fuse_file_info *file)
{
	struct state *s = state_now();
	ssize_t n = (ssize_t)bytes;

	(void)file;
	if (strcmp(path, fail) == 0)
		__atomic_store_n(&s->failing, true, __ATOMIC_SEQ_CST);
	else
		n = pwrite(s->fd, from, bytes, at);
	return n < 0 ? -errno : (int)n;
}

static int sync_disk(const char *path, int data_only, struct fuse_file_info *file)
{
	(void)path;
	(void)data_only;
	(void)file;
	return __atomic_exchange_n(&state_now()->failing, false, __ATOMIC_SEQ_CST) ? -EIO : 0;
}

static const struct fuse_operations operations = {
	.getattr = get_attributes,
	.read = read_disk,
	.write = write_disk,
	.fsync = sync_disk,
};

int main(int argc, char **argv)
{
	struct state s = { .fd = argc == 3 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1 };
	char *arguments[] = { argv[0], argc == 3 ? argv[2] : NULL, (char[]) { "-f" }, NULL };

	if (s.fd < 0) {
		fprintf(stderr, "failing-fs FILE DIRECTORY: FILE cannot be opened\n");
		return 2;
	}
	return fuse_main(3, arguments, &operations, &s);
}
