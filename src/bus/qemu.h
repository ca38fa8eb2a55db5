/* SPDX-License-Identifier: MIT */
/* qemu.h: the parts of the qemu bus. The device is struct hba_bus_device in qemu.c. */
#ifndef BUS_QEMU_H
#define BUS_QEMU_H

#include "bus/bus.h"

#include <sys/types.h>

enum {
	QEMU_MOST_DRIVES = 64,
	QEMU_MOST_ARGUMENTS = 40 + 4 * QEMU_MOST_DRIVES,
	QEMU_BOOT_MS = 15000, /* an access while QEMU starts on a busy machine */
};

/** struct qemu_machine - What QEMU is to be started with. */
struct qemu_machine {
	const char *device;  /* a device model and its properties, for -device */
	const char *query;   /* of the URI: drive=, qmp=, qemu= */
	uint64_t ram_bytes;  /* whole MiB */
	int ram, qtest, rom; /* descriptors that it inherits */
	int doorbell;        /* the socket of doorbell.c; -1: the machine gets none */
};

/* ---- qemu-command.c: the command line ------------------------------------------------------------------------------------ */

struct qemu_command {
	char *words[QEMU_MOST_ARGUMENTS + 1];
	unsigned n;
	bool failed; /* no memory, or too many */
};

/** qemu_command_build() - 0, or negative errno, with a sentence where the query is wrong. Free it either way. */
int qemu_command_build(struct qemu_command *c, const struct qemu_machine *m, char why[HBA_BUS_WHY_BYTES]);
void qemu_command_free(struct qemu_command *c);

/* ---- qemu-process.c: the child ------------------------------------------------------------------------------------------- */

struct qemu_process {
	pid_t pid; /* 0: none */
	int pidfd; /* readable when it has ended; -1: none, or an old kernel */
};

/** qemu_process_start() - 0, or negative errno and a sentence; qemu_process_end() it either way. */
int qemu_process_start(struct qemu_process *p, const struct qemu_machine *m, char why[HBA_BUS_WHY_BYTES]);
/** qemu_process_why_silent() - The socket has closed, or no answer came. -EIO: it ended; -ETIMEDOUT: it runs. With the sentence. */
int qemu_process_why_silent(struct qemu_process *p, char why[HBA_BUS_WHY_BYTES]);
void qemu_process_end(struct qemu_process *p);

#endif
