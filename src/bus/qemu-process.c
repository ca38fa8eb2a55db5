/* SPDX-License-Identifier: MIT */
/* qemu-process.c: QEMU as a child that dies with us, and its end. */
#include "bus/qemu.h"

#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	ROM_BYTES = 64 * 1024,
	RESET_VECTOR = 0xfff0 /* where the CPU begins, in the last 64 KiB below 4 GiB */,
	END_MS = 500 /* from the end of its socket to that of the process */
};

/* A ROM in which the CPU halts at once, for ever: no firmware is to touch the device before us. */
static int make_rom(int *ret_fd)
{
	static const uint8_t begin[] = { 0xfa /* cli */, 0xf4 /* hlt */, 0xeb, 0xfd /* jmp to the hlt */ };
	uint8_t rom[ROM_BYTES];
	autoclose int fd = memfd_create("hbakit-rom", 0);

	memset(rom, 0xf4, sizeof(rom));
	memcpy(rom + RESET_VECTOR, begin, sizeof(begin));
	if (fd < 0 || write(fd, rom, sizeof(rom)) != (ssize_t)sizeof(rom))
		return -errno;
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* `told` closes when QEMU runs; before, it has the errno for which it does not. */
static void run_child(struct qemu_command *c, const int inherited[], unsigned n, pid_t parent, int told)
{
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	/* It dies with the thread that made it, which is the controller's service: it lives as long as the device. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(nothing, STDIN_FILENO);
	dup2(nothing, STDOUT_FILENO);
	for (unsigned i = 0; i < n; i++)
		if (inherited[i] >= 0)
			fcntl(inherited[i], F_SETFD, 0);
	/* Signals of the terminal are the application's to handle. */
	setsid();
	execvp(c->words[0], c->words);
	(void)!write(told, &errno, sizeof(errno));
	_exit(127);
}

/* Bounded, for whoever forks meanwhile and does not exec keeps the other end open. */
static int wait_for_exec(int told)
{
	struct pollfd p = { .fd = told, .events = POLLIN };
	int error;

	return poll(&p, 1, QEMU_BOOT_MS) > 0 && read(told, &error, sizeof(error)) == (ssize_t)sizeof(error) ? -error : 0;
}

static int start_child(struct qemu_process *p, struct qemu_command *c, const int inherited[], unsigned n,
		       char why[HBA_BUS_WHY_BYTES])
{
	autoclose int told = -1, tell = -1;
	pid_t parent = getpid();
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	told = ends[0];
	tell = ends[1];
	p->pid = fork();
	if (p->pid == 0)
		run_child(c, inherited, n, parent, tell);
	if (p->pid < 0)
		return -errno;
	cleanup_close(&tell);
	tell = -1;
	r = wait_for_exec(told);
	if (r < 0)
		snprintf(why, HBA_BUS_WHY_BYTES,
			 "%.120s cannot be started (%s): install qemu-system-x86, or give its path by qemu=PATH", c->words[0],
			 strerror(-r));
	return r;
}

int qemu_process_start(struct qemu_process *p, const struct qemu_machine *machine, char why[HBA_BUS_WHY_BYTES])
{
	struct qemu_machine m = *machine;
	struct qemu_command c = { 0 };
	autoclose int rom = -1;
	int r = make_rom(&rom);

	p->pid = 0;
	p->pidfd = -1;
	if (r < 0)
		return r;
	m.rom = rom;
	r = qemu_command_build(&c, &m, why);
	if (r == 0) {
		const int inherited[] = { m.ram, m.rom, m.qtest, m.doorbell };

		r = start_child(p, &c, inherited, ARRAY_SIZE(inherited), why);
	}
	qemu_command_free(&c);
	if (r < 0)
		return r;
	p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	return p->pidfd < 0 && errno != ENOSYS ? -errno : 0;
}

/* The socket says so a moment before the process can be waited for. */
static bool has_ended(const struct qemu_process *q)
{
	struct pollfd p = { .fd = q->pidfd, .events = POLLIN };

	return q->pidfd < 0 || poll(&p, 1, END_MS) > 0;
}

int qemu_process_why_silent(struct qemu_process *p, char why[HBA_BUS_WHY_BYTES])
{
	int status = 0;

	if (!has_ended(p)) {
		snprintf(why, HBA_BUS_WHY_BYTES, "QEMU runs, but it does not answer: it was stopped, or the machine is too busy");
		return -ETIMEDOUT;
	}
	if (waitpid(p->pid, &status, WNOHANG) == p->pid)
		p->pid = 0;
	if (WIFSIGNALED(status))
		snprintf(why, HBA_BUS_WHY_BYTES, "QEMU was ended by signal %d (%s) before its device could be reached",
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(why, HBA_BUS_WHY_BYTES, "QEMU ended before its device could be reached; what it said stands above");
	return -EIO;
}

void qemu_process_end(struct qemu_process *p)
{
	if (p->pid > 0) {
		kill(p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
	}
	p->pid = 0;
	cleanup_close(&p->pidfd);
	p->pidfd = -1;
}
