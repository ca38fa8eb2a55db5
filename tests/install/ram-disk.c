/* SPDX-License-Identifier: MIT */
/*
 * ram-disk.c: a stranger's first program, as C and as C++: a block written to a RAM disk is read
 * again. It is built with nothing but what was installed, and lies outside of every room: what it
 * cannot reach, nobody can.
 */
#include <hbakit/driver.h>
#include <hbakit/hbakit.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK = 512 };

static int transfer(struct hba_controller *c, enum hba_disk_op op, void *buffer)
{
	struct hba_disk_io io;

	memset(&io, 0, sizeof(io));
	io.lun = hba_lun_next(c, NULL);
	io.op = op;
	io.length = BLOCK;
	io.data.buffer = buffer;
	io.mode = HBA_DATA_CPU;
	return hba_disk_do(&io);
}

static int try_it(struct hba_controller *c)
{
	char written[BLOCK] = "what was written", seen[BLOCK] = "";

	if (hba_controller_start(c) < 0 || transfer(c, HBA_DISK_WRITE, written) < 0 ||
	    transfer(c, HBA_DISK_READ, seen) < 0)
		return -1;
	return memcmp(written, seen, BLOCK);
}

int main(void)
{
	struct hba_controller *c;

	if (hba_controller_open("soft:ram?size=1M", NULL, &c) < 0 || try_it(c) != 0) {
		fprintf(stderr, "ram-disk: %s\n", hba_error());
		return 1;
	}
	hba_controller_close(c);
	puts(hba_version());
	return 0;
}
