/* SPDX-License-Identifier: MIT */
/*
 * counted.c: an HBA between the command and an image file, for test-run-hba.sh: it counts what it
 * is sent, and can do one thing wrong.
 *
 *	counted:FILE?counts=FILE   at the end a line is added there:
 *	                           "reads=N read_bytes=N writes=N write_bytes=N"
 *	&flip=N                    reads bring byte N with one bit turned; the file stays as it is
 *	&maps=1                    each READ tries to map memory, as no driver may
 *	&twice=1                   each READ is completed twice
 */
#include "../../examples/ram-disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	INITIATOR = 7,
	LAST_TARGET = 0,
	TASKS = 64,
	OPERATION = 0x1f
}; /* of an opcode: READ and WRITE have the same in all lengths */

/** struct traffic - Of one direction. */
struct traffic {
	unsigned long long commands, bytes;
};

struct counted {
	struct ram_disk disk;
	bool maps, twice;
	struct traffic reads, writes;
};

/* A private copy of the page that is wrong: so the file is not touched. */
static int flip(struct hba_controller *c, uint8_t *bytes, uint64_t size)
{
	uint64_t at;
	int r = hba_uri_number(c, "flip", &at);

	if (r < 0 || at >= size)
		return r < 0 ? r : hba_fail(c, -ERANGE, "flip= is behind the end");
	bytes[at] ^= 1;
	return 0;
}

static int map_file(struct hba_controller *c, struct ram_disk *disk)
{
	bool flips = hba_uri_option(c, "flip");
	int fd = open(hba_uri_path(c), O_RDWR | O_CLOEXEC);
	struct stat st;
	void *bytes;

	if (fd < 0 || fstat(fd, &st) < 0)
		return hba_fail(c, -errno, "%s: %s", hba_uri_path(c), strerror(errno));
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE,
		     flips ? MAP_PRIVATE : MAP_SHARED, fd, 0);
	close(fd);
	if (bytes == MAP_FAILED)
		return hba_fail(c, -errno, "%s: %s", hba_uri_path(c), strerror(errno));
	*disk = (struct ram_disk) { .bytes = bytes,
				    .blocks = (uint64_t)st.st_size / RAM_DISK_BLOCK };
	return flips ? flip(c, bytes, (uint64_t)st.st_size) : 0;
}

static int counted_initialize(struct hba_controller *c, struct hba_report *report)
{
	struct counted *counted = hba_controller_priv(c);

	report->initiator_id = INITIATOR;
	report->highest_target_id = LAST_TARGET;
	report->max_tasks = TASKS;
	report->manages_devices = false;
	report->performs_autosense = true;
	report->data_mode = HBA_DATA_CPU;
	counted->maps = hba_uri_option(c, "maps");
	counted->twice = hba_uri_option(c, "twice");
	return map_file(c, &counted->disk);
}

static void count(struct traffic *traffic, const struct hba_result *result)
{
	traffic->commands++;
	traffic->bytes += result->bytes;
}

static void read_seen(struct hba_controller *c, struct hba_result *result)
{
	struct counted *counted = hba_controller_priv(c);
	struct hba_mapping *mapping;

	count(&counted->reads, result);
	if (counted->maps &&
	    hba_mapping_create(c, HBA_DEVICE_BOTH, RAM_DISK_BLOCK, 0, &mapping) == 0)
		result->outcome = HBA_NOT_DELIVERED; /* it should have been refused */
}

static void counted_process_task(struct hba_queue *q, struct hba_task *t)
{
	struct hba_controller *c = hba_queue_controller(q);
	struct counted *counted = hba_controller_priv(c);
	uint8_t sense[RAM_DISK_SENSE_BYTES];
	bool is_read = (t->cdb[0] & OPERATION) == READ_6;
	struct hba_result result;

	ram_disk_execute(&counted->disk, t, t->cdb, sense, &result);
	if (is_read)
		read_seen(c, &result);
	else if ((t->cdb[0] & OPERATION) == WRITE_6)
		count(&counted->writes, &result);
	hba_complete(t, &result);
	if (is_read && counted->twice)
		hba_complete(t, &result);
}

static void counted_stop(struct hba_controller *c)
{
	struct counted *counted = hba_controller_priv(c);
	const char *path = hba_uri_option(c, "counts");
	FILE *f = path && counted->disk.bytes ? fopen(path, "a") : NULL;

	if (f) {
		fprintf(f, "reads=%llu read_bytes=%llu writes=%llu write_bytes=%llu\n",
			counted->reads.commands, counted->reads.bytes, counted->writes.commands,
			counted->writes.bytes);
		fclose(f);
	}
	if (counted->disk.bytes)
		munmap(counted->disk.bytes, counted->disk.blocks * RAM_DISK_BLOCK);
	counted->disk.bytes = NULL;
}

static const struct hba_option counted_options[] = {
	{ .name = "counts", .help = "file that the counts are added to" },
	{ .name = "flip", .help = "byte that reads bring wrong" },
	{ .name = "maps", .help = "1: map in each READ" },
	{ .name = "twice", .help = "1: complete each READ twice" },
	{ .name = NULL },
};

static const struct hba_driver counted_driver = {
	HBA_DRIVER_HEADER,
	.name = "counted",
	.summary = "an image file behind an HBA that counts",
	.scheme = "counted",
	.options = counted_options,
	.priv_size = sizeof(struct counted),
	.initialize = counted_initialize,
	.process_task = counted_process_task,
	.stop = counted_stop,
};

HBA_PLUGIN(counted_driver)
