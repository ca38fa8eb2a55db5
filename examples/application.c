/* SPDX-License-Identifier: MIT */
/*
 * application.c: a program that uses a controller: it lists the units, asks the first disk for its
 * supported VPD pages by a SCSI command, then reads the whole disk with 16 requests outstanding and
 * prints the sum of its bytes.
 *
 *	cc application.c -o application $(pkg-config --cflags --libs hbakit)
 *	./application 'soft:ram?size=64M'
 *
 * One thread does everything: it submits, and hba_controller_run() calls the completions. While
 * nothing is to be done it sleeps in poll().
 */
#include <errno.h>
#include <hbakit/hbakit.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 16, CHUNK = 256 * 1024, BUDGET = 64, VPD_BYTES = 64 };

static int failed(const char *what)
{
	fprintf(stderr, "application: %s: %s\n", what, hba_error());
	return EXIT_FAILURE;
}

/* Sleeps until there is work, does it, and prints trouble. -ENODEV: the controller has ended. */
static int turn(struct hba_controller *c)
{
	struct pollfd woken = { .fd = hba_controller_fd(c), .events = POLLIN };
	struct hba_event event;
	int r;

	if (hba_controller_arm(c) == 0)
		poll(&woken, 1, -1);
	r = hba_controller_run(c, BUDGET);
	while (hba_event_next(c, &event) > 0) {
		if (event.kind == HBA_EVENT_RECOVERY || event.kind == HBA_EVENT_VIOLATION ||
		    event.kind == HBA_EVENT_DEVICE_ERROR)
			fprintf(stderr, "application: %s\n", event.text);
	}
	return r < 0 ? r : 0;
}

/* ---- one SCSI command */

struct inquiry {
	uint8_t page[VPD_BYTES];
	struct hba_result result;
	bool done;
};

/* The task and its memory are ours again. */
static void inquiry_done(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct inquiry *inquiry = arg;

	inquiry->result = *r;
	inquiry->result.sense = NULL; /* valid during this call only */
	inquiry->done = true;
	hba_task_put(t);
}

static int print_vpd_pages(struct hba_lun *lun)
{
	/* INQUIRY, EVPD, page 00h (SPC-4 6.6) */
	static const uint8_t cdb[6] = { 0x12, 1, 0, 0, VPD_BYTES, 0 };
	struct inquiry inquiry = { .done = false };
	struct hba_task *t;

	if (hba_task_get(lun, VPD_BYTES, NULL, &t) != 0)
		return failed("no task for INQUIRY");
	memcpy(t->cdb, cdb, sizeof(cdb));
	t->cdb_len = sizeof(cdb);
	t->direction = HBA_FROM_TARGET;
	t->data.buffer = inquiry.page;
	t->length = VPD_BYTES;
	if (hba_submit(t, inquiry_done, &inquiry) < 0) {
		hba_task_put(t);
		return failed("INQUIRY");
	}
	/* Until it is done the device may write to `inquiry`: this function must not return. */
	while (!inquiry.done)
		turn(hba_lun_controller(lun));
	if (inquiry.result.outcome != HBA_GOOD) {
		printf("INQUIRY ended with 0x%x\n", (unsigned)inquiry.result.outcome);
		return EXIT_SUCCESS;
	}
	printf("VPD pages:");
	for (unsigned i = 0; i < inquiry.page[3] && i + 4 < inquiry.result.bytes; i++)
		printf(" %02x", inquiry.page[4 + i]);
	printf("\n");
	return EXIT_SUCCESS;
}

/* ---- a disk as bytes */

struct reading {
	struct hba_lun_info disk;
	uint64_t next, end; /* bytes: not yet asked for */
	uint64_t sum;
	unsigned out;
	int error;
};

struct request {
	struct hba_disk_io io; /* first: a done finds its request by it */
	struct reading *reading;
	uint8_t *buffer;
};

static void read_next(struct request *q)
{
	struct reading *r = q->reading;
	uint64_t left = r->end - r->next;

	if (!left || r->error)
		return;
	q->io.offset = r->next;
	q->io.length = left < CHUNK ? left : CHUNK;
	r->error = hba_disk_submit(&q->io);
	if (r->error)
		return;
	r->next += q->io.length;
	r->out++;
}

static void read_done(struct hba_disk_io *io)
{
	struct request *q = (struct request *)io;

	q->reading->out--;
	if (io->error)
		q->reading->error = io->error;
	for (uint64_t i = 0; i < io->length && !io->error; i++)
		q->reading->sum += q->buffer[i];
	read_next(q);
}

static void prepare(struct request *q, struct hba_lun *lun, struct reading *r, uint8_t *buffer)
{
	q->reading = r;
	q->buffer = buffer;
	q->io.lun = lun;
	q->io.op = HBA_DISK_READ;
	q->io.mode = HBA_DATA_CPU;
	q->io.data.buffer = buffer;
	/* of this disk, not of another that took its place */
	q->io.generation = r->disk.generation;
	q->io.done = read_done;
}

static int read_disk(struct hba_lun *lun)
{
	static uint8_t buffers[DEPTH][CHUNK];
	static struct request requests[DEPTH];
	struct reading r = { .next = 0 };

	hba_lun_get_info(lun, &r.disk);
	r.end = r.disk.blocks * r.disk.block_bytes;
	for (unsigned i = 0; i < DEPTH; i++) {
		prepare(&requests[i], lun, &r, buffers[i]);
		read_next(&requests[i]);
	}
	while (r.out)
		turn(hba_lun_controller(lun));
	if (r.error) {
		fprintf(stderr, "application: reading ended at byte %" PRIu64 ": %s\n", r.next,
			strerror(-r.error));
		return EXIT_FAILURE;
	}
	printf("%" PRIu64 " bytes, sum %" PRIu64 "\n", r.end, r.sum);
	return EXIT_SUCCESS;
}

/* ---- the controller */

static struct hba_lun *first_disk(struct hba_controller *c)
{
	struct hba_lun *first = NULL;
	struct hba_lun_info info;

	for (struct hba_lun *lun = hba_lun_next(c, NULL); lun; lun = hba_lun_next(c, lun)) {
		hba_lun_get_info(lun, &info);
		printf("target %" PRIu64 " lun %" PRIu64 ": %s %s, %" PRIu64 " blocks of %u\n",
		       info.target, info.number, info.vendor, info.product, info.blocks,
		       (unsigned)info.block_bytes);
		if (!first && info.type == 0 && info.blocks)
			first = lun;
	}
	return first;
}

static int use(struct hba_controller *c)
{
	struct hba_lun *lun;
	int status;

	if (hba_controller_start(c) < 0)
		return failed("start");
	lun = first_disk(c);
	if (!lun) {
		fprintf(stderr, "application: no disk\n");
		return EXIT_FAILURE;
	}
	status = print_vpd_pages(lun);
	if (status == EXIT_SUCCESS)
		status = read_disk(lun);
	/* -EIO is serious: the device may still reach this program's memory. */
	return hba_controller_stop(c) < 0 ? failed("stop") : status;
}

int main(int argc, char **argv)
{
	struct hba_controller *c;
	int status;

	if (argc != 2) {
		fprintf(stderr, "usage: application URI\n");
		return EXIT_FAILURE;
	}
	if (hba_controller_open(argv[1], NULL, &c) < 0)
		return failed("open");
	status = use(c);
	hba_controller_close(c);
	return status;
}
