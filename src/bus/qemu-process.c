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
	RESET_VECTOR = 0xfff0, /* where the CPU begins, in the last 64 KiB below 4 GiB */
	WORDS_BYTES = 4096,
};

/* A ROM in which the CPU halts at once, for ever: no firmware is to touch the device before us. */
static int make_rom(int *ret_fd)
{
	static const uint8_t begin[] = { 0xfa /* cli */, 0xf4 /* hlt */, 0xeb,
					 0xfd /* jmp to the hlt */ };
	uint8_t rom[ROM_BYTES];
	autoclose int fd = memfd_create("hbakit-rom", 0);

	memset(rom, 0xf4, sizeof(rom));
	memcpy(rom + RESET_VECTOR, begin, sizeof(begin));
	if (fd < 0 || write(fd, rom, sizeof(rom)) != (ssize_t)sizeof(rom))
		return -errno;
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* `told` closes when QEMU runs; before, it carries the errno of a failed start. */
static void run_child(struct qemu_command *c, const int inherited[], unsigned n, pid_t parent,
		      int told, int words)
{
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	/*
	 * It dies with the thread that made it, which is the controller's service: it lives as long
	 * as the device.
	 */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(nothing, STDIN_FILENO);
	dup2(nothing, STDOUT_FILENO);
	dup2(words, STDERR_FILENO);
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

	return poll(&p, 1, QEMU_BOOT_MS) > 0 &&
			       read(told, &error, sizeof(error)) == (ssize_t)sizeof(error)
		       ? -error
		       : 0;
}

/*
 * Its end for QEMU never blocks: once the pipe is full, further words are lost, and QEMU runs on.
 */
static int make_pipe(int *ret_read, int *ret_write, int flags)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | flags) < 0)
		return -errno;
	*ret_read = ends[0];
	*ret_write = ends[1];
	return 0;
}

static int start_child(struct qemu_process *p, const int inherited[], unsigned n,
		       char why[HBA_BUS_WHY_BYTES])
{
	autoclose int told = -1, tell = -1, words = -1;
	pid_t parent = getpid();
	int r = make_pipe(&told, &tell, 0);

	if (r == 0)
		r = make_pipe(&p->words, &words, O_NONBLOCK);
	if (r < 0)
		return r;
	p->pid = fork();
	if (p->pid == 0)
		run_child(&p->command, inherited, n, parent, tell, words);
	if (p->pid < 0)
		return -errno;
	cleanup_close(&tell);
	tell = -1;
	r = wait_for_exec(told);
	if (r < 0)
		snprintf(why, HBA_BUS_WHY_BYTES,
			 "%.120s cannot be started (%s): install qemu-system-x86, or give its path "
			 "by qemu=PATH",
			 p->command.words[0], strerror(-r));
	return r;
}

void qemu_process_init(struct qemu_process *p)
{
	*p = (struct qemu_process) { .pidfd = -1, .words = -1 };
}

int qemu_process_start(struct qemu_process *p, const struct qemu_machine *machine,
		       char why[HBA_BUS_WHY_BYTES])
{
	struct qemu_machine m = *machine;
	autoclose int rom = -1;
	int r = make_rom(&rom);

	if (r < 0)
		return r;
	m.rom = rom;
	r = qemu_command_build(&p->command, &m, why);
	if (r == 0) {
		const int inherited[] = { m.ram, m.rom, m.qtest, m.doorbell };

		r = start_child(p, inherited, ARRAY_SIZE(inherited), why);
	}
	if (r < 0)
		return r;
	p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	return p->pidfd < 0 && errno != ENOSYS ? -errno : 0;
}

/* The socket closes a moment before the process can be waited for. */
static bool has_ended(const struct qemu_process *q, unsigned ms)
{
	struct pollfd p = { .fd = q->pidfd, .events = POLLIN };

	return q->pidfd < 0 || poll(&p, 1, (int)ms) > 0;
}

/* As much as there is, of the first WORDS_BYTES. */
static void read_words(const struct qemu_process *p, char said[WORDS_BYTES])
{
	ssize_t n = p->words < 0 ? 0 : read(p->words, said, WORDS_BYTES - 1);

	said[n > 0 ? n : 0] = '\0';
}

int qemu_process_why_silent(struct qemu_process *p, unsigned ms, char why[HBA_BUS_WHY_BYTES])
{
	char said[WORDS_BYTES], words[HBA_BUS_WHY_BYTES];
	int status = 0;

	if (!has_ended(p, ms)) {
		snprintf(why, HBA_BUS_WHY_BYTES,
			 "QEMU runs, but it does not answer: it was stopped, or the machine is too "
			 "busy");
		return -ETIMEDOUT;
	}
	if (p->pid > 0 && waitpid(p->pid, &status, WNOHANG) == p->pid)
		p->pid = 0;
	read_words(p, said);
	if (qemu_command_explain(&p->command, said, words)) {
		memcpy(why, words, HBA_BUS_WHY_BYTES);
		return -EINVAL;
	}
	if (WIFSIGNALED(status))
		snprintf(why, HBA_BUS_WHY_BYTES, "QEMU was ended by signal %d (%s)%s%.160s",
			 WTERMSIG(status), strsignal(WTERMSIG(status)), words[0] ? ": " : "",
			 words);
	else
		snprintf(why, HBA_BUS_WHY_BYTES, "QEMU has ended, with status %d%s%.160s",
			 WEXITSTATUS(status), words[0] ? ": " : "", words);
	return -EIO;
}

void qemu_process_end(struct qemu_process *p)
{
	if (p->pid > 0) {
		kill(p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
	}
	cleanup_close(&p->pidfd);
	cleanup_close(&p->words);
	qemu_command_free(&p->command);
	qemu_process_init(p);
}
