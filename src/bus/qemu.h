/* SPDX-License-Identifier: MIT */
/* qemu.h: the parts of the qemu bus. The device is struct hba_bus_device in qemu.c. */
#ifndef BUS_QEMU_H
#define BUS_QEMU_H

#include "bus/bus.h"

#include <sys/types.h>

enum {
	QEMU_MOST_DRIVES = 64,
	QEMU_MOST_ARGUMENTS = 40 + 4 * QEMU_MOST_DRIVES,
	QEMU_END_MS = 500,    /* from the end of its socket to that of the process */
	QEMU_BOOT_MS = 15000, /* an access while QEMU starts on a busy machine */
};

/** struct qemu_machine - What QEMU is to be started with. */
struct qemu_machine {
	/* of the URI: a device model of QEMU, perhaps with properties: "megasas,msi=off" */
	const char *model;
	const char *query;   /* of the URI: drive=, qmp=, qemu= */
	bool bare;           /* to look at the chip: without disks and monitor */
	uint64_t ram_bytes;  /* whole MiB */
	int ram, qtest, rom; /* descriptors that it inherits */
	int doorbell;        /* the socket of doorbell.c; -1: the machine gets none */
};

/* ---- qemu-command.c: the command line */

struct qemu_command {
	char *words[QEMU_MOST_ARGUMENTS + 1];
	/* which part of the URI a word comes from, for a person; NULL: none */
	char *meant[QEMU_MOST_ARGUMENTS + 1];
	unsigned n;
	bool failed; /* no memory, or too many */
};

/**
 * qemu_command_build() - 0, or negative errno, with a sentence where the query is wrong. Free it
 * either way.
 */
int qemu_command_build(struct qemu_command *c, const struct qemu_machine *m,
		       char why[HBA_BUS_WHY_BYTES]);
/**
 * qemu_command_explain() - The sentence for QEMU's messages on stderr before it ended: the part of
 * the URI that it refused, and the reason.
 *
 * false: no line of `said` is about a word of the command line; `why` has the message alone, or is
 * empty.
 */
bool qemu_command_explain(const struct qemu_command *c, const char *said,
			  char why[HBA_BUS_WHY_BYTES]);
void qemu_command_free(struct qemu_command *c);

/* ---- qemu-process.c: the child */

struct qemu_process {
	pid_t pid;                   /* 0: none */
	int pidfd;                   /* readable when it has ended; -1: none, or an old kernel */
	int words;                   /* a pipe with what it writes to stderr; -1: none */
	struct qemu_command command; /* kept to explain its error messages */
};

void qemu_process_init(struct qemu_process *p);

/** qemu_process_start() - 0, or negative errno and a sentence; qemu_process_end() it either way. */
int qemu_process_start(struct qemu_process *p, const struct qemu_machine *m,
		       char why[HBA_BUS_WHY_BYTES]);
/**
 * qemu_process_why_silent() - The socket has closed, or no answer came: the sentence, with QEMU's
 * own last words.
 *
 * Waits up to `ms` for the end of the process. -EINVAL: QEMU refused its command line; -EIO: it
 * ended; -ETIMEDOUT: it runs.
 */
int qemu_process_why_silent(struct qemu_process *p, unsigned ms, char why[HBA_BUS_WHY_BYTES]);
void qemu_process_end(struct qemu_process *p);

#endif
