/* SPDX-License-Identifier: MIT */
/*
 * trouble.c MODEL TABLE [long]: what happens to a machine under I/O: QEMU stopped and killed, disks
 * that hang, come, go and grow.
 *
 * Every command must end, as faults.txt says, and nothing may wait for ever. QEMU's monitor makes
 * the trouble.
 */
#include <errno.h>
#include <fcntl.h>
#include <hbakit/hbakit.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
/* cmocka wants some of the above first. */
#include <cmocka.h>

enum {
	SKIPPED = 77,
	BLOCK = 512,
	PAGE = 4096,
	IMAGE_BYTES = 1 << 20,
	URI_BYTES = 1024,
	LINE_BYTES = 4096,
	PATH_BYTES = 64,
	WORD_BYTES = 32,
	PATIENCE_MS = 30000,
	OUT = 16,
	PLACE = 100, /* the block that is read: QEMU itself looks at the first ones */
	SOON_MS = 500,
	STOPPED_MS = 3000,
	WITHIN_MS = 10000,
	WOKEN_MS = 5,
	MANY_ARMS = 1000,
	FEW_SLEEPS = 200,
};

static const char *model, *table;

struct io {
	unsigned done;
	enum hba_outcome last;
	unsigned outcomes_other_than_last;
};

struct machine {
	char folder[PATH_BYTES], uri[URI_BYTES];
	struct hba_controller *c;
	int qmp;
	pid_t pid;
	uint8_t buffers[OUT][BLOCK];
};

/* What a model does in its own way. */
struct ways {
	const char *model;
	bool arms_in_memory; /* a sleeper asks for interrupts without a register */
	/*
	 * a look for completions, or the last one before a sleep, reads a register, and QEMU has to
	 * answer
	 */
	bool completes_by_read;
	/* an abort waits for the block layer, and the machine goes on meanwhile */
	bool aborts_later;
	bool tells_of_disks; /* by events, when they come and go; else a rescan finds them */
	/*
	 * without autosense QEMU clears the 28/00 of a new medium as it reports the 3A/00 before it
	 */
	bool loses_attentions;
	/* a command of a disk that is pulled out never ends: its time does it, and a reset */
	bool forgets_unplugged;
};

static const struct ways *ways(void)
{
	static const struct ways all[] = {
		{ .model = "megasas", .completes_by_read = true },
		{ .model = "megasas-gen2", .completes_by_read = true },
		{ .model = "pvscsi", .tells_of_disks = true },
		{ .model = "virtio-scsi",
		  .arms_in_memory = true,
		  .aborts_later = true,
		  .tells_of_disks = true },
		{ .model = "mptsas1068", .completes_by_read = true, .aborts_later = true },
		{ .model = "lsi53c895a",
		  .completes_by_read = true,
		  .loses_attentions = true,
		  .forgets_unplugged = true },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(all[i].model, model) == 0)
			return &all[i];
	fail_msg("of model %s nothing is known here", model);
	return NULL;
}

/* ---- the table */

static enum hba_outcome outcome_called(const char *name)
{
	static const struct {
		const char *name;
		enum hba_outcome outcome;
	} names[] = { { "GOOD", HBA_GOOD },
		      { "NOT_PRESENT", HBA_NOT_PRESENT },
		      { "NOT_DELIVERED", HBA_NOT_DELIVERED },
		      { "TASK_TIMEOUT", HBA_TASK_TIMEOUT } };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i].name, name) == 0)
			return names[i].outcome;
	fail_msg("%s: there is no outcome %s", table, name);
	return HBA_GOOD;
}

static enum hba_outcome expected(const char *trouble)
{
	char line[LINE_BYTES], word[WORD_BYTES], of[WORD_BYTES], outcome[WORD_BYTES];
	FILE *f = fopen(table, "re");
	bool found = false;

	assert_non_null(f);
	while (!found && fgets(line, sizeof(line), f))
		found = sscanf(line, "out %31s %31s %31s", word, of, outcome) == 3 &&
			strcmp(word, trouble) == 0 &&
			(strcmp(of, "*") == 0 || strcmp(of, model) == 0);
	fclose(f);
	if (!found)
		fail_msg("%s has no row for %s of %s", table, trouble, model);
	return outcome_called(outcome);
}

/* All of them, and each as the table says. */
static void assert_ended(const struct io *io, unsigned n, const char *trouble)
{
	assert_int_equal(io->done, n);
	assert_int_equal(io->outcomes_other_than_last, 0);
	assert_int_equal(io->last, expected(trouble));
}

/* ---- the machine */

static void make_image(const char *folder, const char *name)
{
	char path[2 * PATH_BYTES];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, IMAGE_BYTES), 0);
	close(fd);
}

static void qmp_line(struct machine *m, char line[LINE_BYTES])
{
	size_t n = 0;
	struct pollfd p = { .fd = m->qmp, .events = POLLIN };

	while (n < LINE_BYTES - 1 && poll(&p, 1, PATIENCE_MS) == 1 &&
	       read(m->qmp, line + n, 1) == 1 && line[n] != '\n')
		n++;
	line[n] = '\0';
	assert_true(n > 0);
}

/* One command in QMP's JSON. Events on the way are passed over. */
__attribute__((format(printf, 2, 3))) static void qmp(struct machine *m, const char *format, ...)
{
	char command[LINE_BYTES], line[LINE_BYTES];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	assert_int_equal(write(m->qmp, command, (size_t)n), n);
	do
		qmp_line(m, line);
	while (!strstr(line, "\"return\"") && !strstr(line, "\"error\""));
	if (strstr(line, "\"error\"") || strstr(line, "rror:"))
		fail_msg("%s: %s", command, line);
}

/* Who listens at the other end is the process to kill and to stop. */
static pid_t qmp_peer(int fd)
{
	struct ucred peer = { 0 };
	socklen_t length = sizeof(peer);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length), 0);
	assert_true(peer.pid > 0);
	return peer.pid;
}

static void qmp_connect(struct machine *m)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char line[LINE_BYTES];

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/qmp", m->folder);
	m->qmp = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(m->qmp, (struct sockaddr *)&a, sizeof(a)), 0);
	m->pid = qmp_peer(m->qmp);
	qmp_line(m, line);
	qmp(m, "{\"execute\":\"qmp_capabilities\"}");
}

/* `drives`: printf's, with the folder for every %1$s. */
static struct machine *machine_up(const char *drives)
{
	struct machine *m = calloc(1, sizeof(*m));
	char text[URI_BYTES / 2];

	assert_non_null(m);
	snprintf(m->folder, sizeof(m->folder), "/tmp/hbakit-trouble-XXXXXX");
	assert_non_null(mkdtemp(m->folder));
	make_image(m->folder, "a.img");
	make_image(m->folder, "b.img");
	make_image(m->folder, "c.img");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(text, sizeof(text), drives, m->folder);
#pragma GCC diagnostic pop
	snprintf(m->uri, sizeof(m->uri), "qemu:%s?%s&qmp=%s/qmp", model, text, m->folder);
	assert_int_equal(hba_controller_open(m->uri, NULL, &m->c), 0);
	if (hba_controller_start(m->c) < 0)
		fail_msg("%s", hba_error());
	qmp_connect(m);
	return m;
}

static void machine_down(struct machine *m)
{
	static const char *const names[] = { "a.img", "b.img", "c.img", "qmp" };
	char path[2 * PATH_BYTES];

	hba_controller_close(m->c);
	close(m->qmp);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", m->folder, names[i]);
		unlink(path);
	}
	rmdir(m->folder);
	free(m);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void run_for(struct machine *m, unsigned ms)
{
	for (uint64_t end = now_ms() + ms; now_ms() < end;)
		if (hba_controller_run(m->c, 64) <= 0)
			usleep(200);
}

/* ---- a client */

static void ended(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct io *io = arg;

	if (io->done++ && io->last != r->outcome)
		io->outcomes_other_than_last++;
	io->last = r->outcome;
	hba_task_put(t);
}

static struct hba_lun *unit(struct machine *m, uint64_t target)
{
	struct hba_lun *lun = hba_lun_find(m->c, target, 0);

	assert_non_null(lun);
	return lun;
}

static unsigned units_there(struct machine *m)
{
	unsigned n = 0;

	for (struct hba_lun *lun = hba_lun_next(m->c, NULL); lun; lun = hba_lun_next(m->c, lun))
		n++;
	return n;
}

static void send_cdb(struct hba_lun *lun, struct io *io, const uint8_t *cdb, uint8_t length,
		     void *buffer, unsigned timeout_ms)
{
	struct hba_task *t = NULL;

	assert_int_equal(hba_task_get(lun, BLOCK, NULL, &t), 0);
	memcpy(t->cdb, cdb, length);
	t->cdb_len = length;
	t->length = buffer ? BLOCK : 0;
	t->direction = buffer ? HBA_FROM_TARGET : HBA_NO_DATA;
	t->data.buffer = buffer;
	if (timeout_ms)
		t->timeout_ms = timeout_ms;
	assert_int_equal(hba_submit(t, ended, io), 0);
}

static const uint8_t read_10[10] = { 0x28, [5] = PLACE, [8] = 1 };

static void send_read(struct machine *m, struct hba_lun *lun, struct io *io, unsigned i,
		      unsigned timeout_ms)
{
	send_cdb(lun, io, read_10, sizeof(read_10), m->buffers[i % OUT], timeout_ms);
}

static void wait_done(struct machine *m, const struct io *io, unsigned done)
{
	for (uint64_t end = now_ms() + PATIENCE_MS; io->done < done && now_ms() < end;)
		run_for(m, 1);
	assert_int_equal(io->done, done);
}

/*
 * Not all of them can be, on these disks; those that were are told and forgotten, for they were not
 * out when the trouble came.
 */
static unsigned done_within(struct machine *m, struct io *io, unsigned ms)
{
	unsigned done;

	run_for(m, ms);
	done = io->done;
	assert_true(done < OUT);
	*io = (struct io) { 0 };
	return done;
}

static enum hba_outcome read_one(struct machine *m, struct hba_lun *lun)
{
	struct io io = { 0 };

	send_read(m, lun, &io, 0, 0);
	wait_done(m, &io, 1);
	return io.last;
}

static void wait_event(struct machine *m, enum hba_event_kind kind)
{
	struct hba_event e;

	for (uint64_t end = now_ms() + PATIENCE_MS; now_ms() < end; run_for(m, 1))
		while (hba_event_next(m->c, &e))
			if (e.kind == kind)
				return;
	fail_msg("event %d never came", kind);
}

static void forget_events(struct machine *m)
{
	struct hba_event e;

	while (hba_event_next(m->c, &e))
		;
}

static void wait_state(struct machine *m, enum hba_state state)
{
	for (uint64_t end = now_ms() + PATIENCE_MS;
	     hba_controller_state(m->c) != state && now_ms() < end;)
		run_for(m, 1);
	assert_string_equal(hba_state_name(hba_controller_state(m->c)), hba_state_name(state));
}

/* ---- QEMU itself */

#define SLOW_AND_GOOD "drive=%1$s/a.img,iops=1&drive=%1$s/b.img"

static void killed_under_io(void **state)
{
	struct machine *m = machine_up(SLOW_AND_GOOD);
	struct io io = { 0 };
	uint64_t began;
	unsigned out;

	(void)state;
	for (unsigned i = 0; i < OUT; i++)
		send_read(m, unit(m, 0), &io, i, SOON_MS);
	out = OUT - done_within(m, &io, 100);
	kill(m->pid, SIGKILL);
	began = now_ms();
	wait_done(m, &io, out);
	assert_ended(&io, out, "killed");
	wait_state(m, HBA_GONE);
	print_message("%s: %llu ms from the kill to the last end\n", model,
		      (unsigned long long)(now_ms() - began));
	machine_down(m);
}

/* Nobody has anything to ask of it: the loop is woken and told all the same. */
static void killed_idle_is_told_at_once(void **state)
{
	struct machine *m = machine_up("drive=%1$s/a.img");
	struct pollfd p = { .fd = hba_controller_fd(m->c), .events = POLLIN };
	uint64_t began;

	(void)state;
	run_for(m, 50);
	/*
	 * An interrupt of a command before may still be on its way: the megasas models send one for
	 * each, masked or not.
	 */
	for (unsigned i = 0;
	     i < MANY_ARMS && (hba_controller_arm(m->c) != 0 || poll(&p, 1, WOKEN_MS) != 0); i++)
		hba_controller_run(m->c, 1);
	assert_int_equal(poll(&p, 1, 0), 0);
	kill(m->pid, SIGKILL);
	began = now_ms();
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	while (hba_controller_run(m->c, 1) >= 0)
		if (hba_controller_arm(m->c) == 0)
			assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	assert_int_equal(hba_controller_state(m->c), HBA_GONE);
	print_message("%s: %llu ms from the kill of an idle machine to its end here\n", model,
		      (unsigned long long)(now_ms() - began));
	machine_down(m);
}

/*
 * With a command out, a loop that sleeps is woken by the device, or, where it has no interrupts,
 * must not sleep.
 */
static void sleepers_are_woken(void **state)
{
	static const struct {
		const char *drives;
		bool sleeps;
	} rows[] = {
		{ "drive=%1$s/a.img,iops=8", true },
		{ "drive=%1$s/a.img,iops=8&irq=intx", true },
		{ "drive=%1$s/a.img,iops=8&irq=none", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct machine *m = machine_up(rows[i].drives);
		struct pollfd p = { .fd = hba_controller_fd(m->c), .events = POLLIN };
		struct io io = { 0 };
		unsigned asleep = 0;

		for (unsigned k = 0; k < OUT / 4; k++)
			send_read(m, unit(m, 0), &io, k, 0);
		while (io.done < OUT / 4) {
			hba_controller_run(m->c, OUT);
			if (io.done < OUT / 4 && hba_controller_arm(m->c) == 0) {
				asleep++;
				assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
			}
		}
		assert_int_equal(io.outcomes_other_than_last, 0);
		assert_int_equal(io.last, HBA_GOOD);
		/* Woken by completions, and not by its own arming. */
		if (rows[i].sleeps)
			assert_in_range(asleep, 1, FEW_SLEEPS);
		else
			assert_int_equal(asleep, 0);
		machine_down(m);
	}
}

/* Another process wakes the machine: a read of a register, in this one, may wait until then. */
static pid_t continue_after(struct machine *m, unsigned ms)
{
	pid_t waker = fork();

	if (waker == 0) {
		usleep(ms * 1000);
		kill(m->pid, SIGCONT);
		_exit(0);
	}
	return waker;
}

static void stopped_under_io_goes_on(void **state)
{
	struct machine *m = machine_up("drive=%1$s/a.img&drive=%1$s/b.img");
	struct io io = { 0 };
	pid_t waker;

	(void)state;
	kill(m->pid, SIGSTOP);
	waker = continue_after(m, SOON_MS);
	for (unsigned i = 0; i < OUT; i++)
		send_read(m, unit(m, i % 2), &io, i, 0);
	wait_done(m, &io, OUT);
	assert_int_equal(waitpid(waker, NULL, 0), waker);
	assert_ended(&io, OUT, "stopped-and-continued");
	assert_int_equal(hba_controller_state(m->c), HBA_STARTED);
	machine_down(m);
}

static void sleep_and_wake(struct machine *m, unsigned ms)
{
	struct pollfd p = { .fd = hba_controller_fd(m->c), .events = POLLIN };

	for (uint64_t end = now_ms() + ms; now_ms() < end; poll(&p, 1, WOKEN_MS)) {
		hba_controller_run(m->c, OUT);
		hba_controller_arm(m->c);
	}
}

/*
 * The loop is woken again and again. Arming may be a write: none is answered, and what is sent
 * after them has to wait.
 */
static void stopped_under_sleeper_goes_on(void **state)
{
	struct machine *m = machine_up("drive=%1$s/a.img&drive=%1$s/b.img");
	struct pollfd p = { .fd = hba_controller_fd(m->c), .events = POLLIN };
	struct io io = { 0 };
	pid_t waker;

	(void)state;
	kill(m->pid, SIGSTOP);
	waker = continue_after(m, STOPPED_MS);
	sleep_and_wake(m, STOPPED_MS / 2);
	for (unsigned i = 0; i < OUT; i++)
		send_read(m, unit(m, i % 2), &io, i, 0);
	sleep_and_wake(m, STOPPED_MS / 4);
	assert_true(ways()->completes_by_read || io.done == 0);
	assert_int_equal(waitpid(waker, NULL, 0), waker);
	while (io.done < OUT)
		if (hba_controller_run(m->c, OUT) == 0 && hba_controller_arm(m->c) == 0)
			assert_int_equal(poll(&p, 1, WITHIN_MS), 1);
	assert_ended(&io, OUT, "stopped-and-continued");
	assert_int_equal(hba_controller_state(m->c), HBA_STARTED);
	machine_down(m);
}

/* Longer than anybody waits: the abort gets no answer either. */
static void stopped_for_good_is_gone(void **state)
{
	struct machine *m = machine_up("drive=%1$s/a.img&drive=%1$s/b.img");
	struct io io = { 0 };

	(void)state;
	kill(m->pid, SIGSTOP);
	for (unsigned i = 0; i < OUT; i++)
		send_read(m, unit(m, i % 2), &io, i, 300);
	wait_done(m, &io, OUT);
	assert_ended(&io, OUT, "stopped-for-good");
	wait_state(m, HBA_GONE);
	machine_down(m);
}

/*
 * What has been handed back is ours, whoever goes on: the machine is given up, and it is no more.
 */
static void one_that_is_given_up_writes_nothing(void **state)
{
	struct machine *m = machine_up("drive=%1$s/a.img");
	struct hba_mapping *map;
	struct io io = { 0 };
	uint8_t *data, before[OUT * PAGE];

	(void)state;
	assert_int_equal(hba_mapping_create(m->c, HBA_DEVICE_BOTH, sizeof(before), 0, &map), 0);
	data = hba_mapping_address(map);
	kill(m->pid, SIGSTOP);
	for (unsigned i = 0; i < OUT; i++)
		send_cdb(unit(m, 0), &io, read_10, sizeof(read_10), data + (size_t)i * PAGE, 300);
	wait_done(m, &io, OUT);
	assert_ended(&io, OUT, "stopped-for-good");
	memset(before, UINT8_MAX, sizeof(before));
	memcpy(data, before, sizeof(before));
	kill(m->pid, SIGCONT);
	usleep(SOON_MS * 1000);
	assert_memory_equal(data, before, sizeof(before));
	machine_down(m);
}

/*
 * A sleeper asks for interrupts again and again: writes whose answers nobody needs. QEMU, which was
 * busy elsewhere meanwhile, gives them all at once; they must fit where they go, or it waits for us
 * for ever.
 */
static void posted_writes_never_stop_the_machine(void **state)
{
	struct machine *m;
	pid_t waker;

	(void)state;
	if (ways()->arms_in_memory || ways()->completes_by_read)
		skip(); /* it asks in memory, or waits for an answer each time */
	m = machine_up("drive=%1$s/a.img&drive=%1$s/b.img");
	kill(m->pid, SIGSTOP);
	waker = continue_after(m, SOON_MS);
	/* a write or more each: more than a socket holds answers */
	for (unsigned i = 0; i < MANY_ARMS; i++) {
		hba_controller_arm(m->c);
		hba_controller_run(m->c, 1);
	}
	assert_int_equal(waitpid(waker, NULL, 0), waker);
	qmp(m, "{\"execute\":\"query-status\"}");
	assert_int_equal(read_one(m, unit(m, 0)), HBA_GOOD);
	machine_down(m);
}

/* ---- disks that hang */

#define HANGS                                                                                      \
	"drive=json:{\"driver\":\"blkdebug\",\"node-name\":\"f0\",\"image\":{\"driver\":\"file\"," \
	"\"filename\":\"%1$s/a.img\"}}"                                                            \
	"&drive=%1$s/b.img"

static void suspend(struct machine *m)
{
	qmp(m, "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"qemu-io "
	       "f0 \\\"break read_aio A\\\"\"}}");
}

static void resume(struct machine *m)
{
	qmp(m, "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"qemu-io "
	       "f0 \\\"resume A\\\"\"}}");
}

static void suspended_is_aborted_and_others_go_on(void **state)
{
	struct machine *m;
	struct io hung = { 0 };

	(void)state;
	if (!ways()->aborts_later)
		skip();
	m = machine_up(HANGS);
	suspend(m);
	forget_events(m);
	send_read(m, unit(m, 0), &hung, 1, 300);
	wait_event(m, HBA_EVENT_RECOVERY);
	run_for(m, 200);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(read_one(m, unit(m, 1)), HBA_GOOD);
	assert_int_equal(hung.done, 0);
	resume(m);
	wait_done(m, &hung, 1);
	assert_ended(&hung, 1, "suspended");
	assert_int_equal(hba_controller_state(m->c), HBA_STARTED);
	assert_int_equal(read_one(m, unit(m, 0)), HBA_GOOD);
	machine_down(m);
}

/*
 * QEMU's model cancels synchronously: its main loop waits for what was suspended, and answers
 * nobody again.
 */
static void suspended_and_cancelled_at_once_is_gone(void **state)
{
	struct machine *m;
	struct io hung = { 0 };

	(void)state;
	if (ways()->aborts_later)
		skip();
	m = machine_up(HANGS);
	suspend(m);
	send_read(m, unit(m, 0), &hung, 1, 300);
	wait_done(m, &hung, 1);
	assert_ended(&hung, 1, "suspended");
	wait_state(m, HBA_GONE);
	machine_down(m);
}

static void stopped_by_an_error_goes_on_after_cont(void **state)
{
	struct machine *m = machine_up("drive=json:{\"driver\":\"blkdebug\",\"image\":{\"driver\":"
				       "\"file\",\"filename\":\"%1$s/a.img\"},"
				       "\"inject-error\":[{\"event\":\"read_aio\",\"sector\":100,"
				       "\"once\":true}]},rerror=stop"
				       "&drive=%1$s/b.img");
	struct io io = { 0 };

	(void)state;
	send_read(m, unit(m, 0), &io, 0, 0);
	run_for(m, 300);
	assert_int_equal(io.done, 0);
	qmp(m, "{\"execute\":\"cont\"}");
	wait_done(m, &io, 1);
	assert_ended(&io, 1, "stopped-by-an-error");
	machine_down(m);
}

/* ---- disks that come, go and grow */

/* A disk has come or gone: a model with events has told of it. */
static void look_again(struct machine *m)
{
	if (!ways()->tells_of_disks)
		assert_int_equal(hba_controller_rescan(m->c), 0);
}

static void unplugged_and_plugged(void **state)
{
	struct machine *m = machine_up("drive=%1$s/a.img&drive=%1$s/b.img");
	struct hba_lun *lun = unit(m, 1);
	struct hba_lun_info info;

	(void)state;
	forget_events(m);
	qmp(m, "{\"execute\":\"device_del\",\"arguments\":{\"id\":\"s1\"}}");
	look_again(m);
	wait_event(m, HBA_EVENT_LUN_LEFT);
	hba_lun_get_info(lun, &info);
	assert_false(info.present);
	assert_int_equal(read_one(m, unit(m, 0)), HBA_GOOD);
	qmp(m,
	    "{\"execute\":\"blockdev-add\",\"arguments\":{\"driver\":\"raw\",\"node-name\":\"n\","
	    "\"file\":{\"driver\":\"file\","
	    "\"filename\":\"%s/c.img\"}}}",
	    m->folder);
	qmp(m, "{\"execute\":\"device_add\",\"arguments\":{\"driver\":\"scsi-hd\",\"id\":\"s6\","
	       "\"drive\":\"n\",\"bus\":\"h0.0\","
	       "\"scsi-id\":6,\"lun\":0,\"serial\":\"six\"}}");
	look_again(m);
	wait_event(m, HBA_EVENT_LUN_CAME);
	hba_lun_get_info(unit(m, 6), &info);
	assert_string_equal(info.serial, "six");
	assert_int_equal(read_one(m, unit(m, 6)), HBA_GOOD);
	machine_down(m);
}

static void plug_nothing(struct machine *m, unsigned target)
{
	qmp(m,
	    "{\"execute\":\"blockdev-add\",\"arguments\":{\"driver\":\"null-co\",\"size\":%d,"
	    "\"node-name\":\"n%u\"}}",
	    IMAGE_BYTES, target);
	qmp(m,
	    "{\"execute\":\"device_add\",\"arguments\":{\"driver\":\"scsi-hd\",\"id\":\"x%u\","
	    "\"drive\":\"n%u\",\"bus\":\"h0.0\","
	    "\"scsi-id\":%u,\"lun\":0}}",
	    target, target, target);
}

/*
 * More than an adapter's ring of messages holds, while nobody looks: those it had to drop it says
 * that it has dropped.
 */
static void plugged_unseen(void **state)
{
	enum { PLUGGED = 12 };
	struct machine *m;

	(void)state;
	if (!ways()->tells_of_disks)
		skip();
	m = machine_up("drive=%1$s/a.img");
	for (unsigned i = 1; i <= PLUGGED; i++)
		plug_nothing(m, i);
	for (uint64_t end = now_ms() + PATIENCE_MS; now_ms() < end && units_there(m) < 1 + PLUGGED;)
		run_for(m, 1);
	assert_int_equal(units_there(m), 1 + PLUGGED);
	machine_down(m);
}

static void unplugged_under_io(void **state)
{
	struct machine *m = machine_up(SLOW_AND_GOOD);
	struct hba_lun *lun = unit(m, 0);
	struct io io = { 0 }, late = { 0 };
	bool alone = ways()->forgets_unplugged;
	unsigned out = alone ? 1 : OUT;

	(void)state;
	if (alone)
		assert_int_equal(read_one(m, lun), HBA_GOOD); /* which takes the disk's second */
	for (unsigned i = 0; i < out; i++)
		send_read(m, lun, &io, i, alone ? SOON_MS : 0);
	forget_events(m);
	out -= done_within(m, &io, 50);
	qmp(m, "{\"execute\":\"device_del\",\"arguments\":{\"id\":\"s0\"}}");
	wait_done(m, &io, out);
	assert_ended(&io, out, "unplugged");
	look_again(m);
	wait_event(m, HBA_EVENT_LUN_LEFT);
	for (unsigned i = 0; i < OUT; i++)
		send_read(m, lun, &late, i, 0);
	wait_done(m, &late, OUT);
	assert_ended(&late, OUT, "sent-after-unplug");
	assert_int_equal(hba_controller_state(m->c), HBA_STARTED);
	assert_int_equal(read_one(m, unit(m, 1)), HBA_GOOD);
	machine_down(m);
}

static void grown_is_seen(void **state)
{
	static const uint8_t ready[6] = { 0 };
	struct machine *m = machine_up("drive=%1$s/a.img&drive=%1$s/b.img");
	struct hba_lun_info info;
	struct io io = { 0 };

	(void)state;
	forget_events(m);
	qmp(m, "{\"execute\":\"block_resize\",\"arguments\":{\"device\":\"d0\",\"size\":%d}}",
	    4 * IMAGE_BYTES);
	/* An adapter without an event for it tells with the next command. */
	send_cdb(unit(m, 0), &io, ready, sizeof(ready), NULL, 0);
	wait_done(m, &io, 1);
	wait_event(m, HBA_EVENT_LUN_CHANGED);
	hba_lun_get_info(unit(m, 0), &info);
	assert_int_equal(info.blocks, 4 * IMAGE_BYTES / BLOCK);
	assert_int_equal(info.generation, 2);
	machine_down(m);
}

static uint32_t generation_of(struct hba_lun *lun)
{
	struct hba_lun_info info;

	hba_lun_get_info(lun, &info);
	return info.generation;
}

/* Means the disk of `generation`. */
static int write_named(struct hba_lun *lun, uint32_t generation)
{
	static uint8_t data[BLOCK];
	struct hba_disk_io io = { .lun = lun,
				  .op = HBA_DISK_WRITE,
				  .offset = (uint64_t)PLACE * BLOCK,
				  .length = BLOCK,
				  .data = { .buffer = data },
				  .mode = HBA_DATA_CPU,
				  .generation = generation };

	memset(data, 0xa5, sizeof(data));
	return hba_disk_do(&io);
}

static bool was_written(const struct machine *m, const char *image)
{
	char path[2 * PATH_BYTES];
	uint8_t byte = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", m->folder, image);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, (off_t)PLACE * BLOCK), 1);
	close(fd);
	return byte == 0xa5;
}

static void add_image(struct machine *m, const char *image)
{
	qmp(m,
	    "{\"execute\":\"blockdev-add\",\"arguments\":{\"driver\":\"raw\",\"node-name\":\"n\","
	    "\"file\":{\"driver\":\"file\","
	    "\"filename\":\"%s/%s\"}}}",
	    m->folder, image);
}

/*
 * Nobody ran the loop meanwhile: the new disk's own word, or its adapter's, comes with the write.
 */
static void another_disk_in_its_place(void **state)
{
	struct machine *m = machine_up("drive=%1$s/a.img&drive=%1$s/b.img");
	struct hba_lun *lun = unit(m, 1);
	struct hba_lun_info info;
	int r;

	(void)state;
	assert_int_equal(write_named(lun, 1), 0);
	add_image(m, "c.img");
	qmp(m, "{\"execute\":\"device_del\",\"arguments\":{\"id\":\"s1\"}}");
	qmp(m, "{\"execute\":\"device_add\",\"arguments\":{\"driver\":\"scsi-hd\",\"id\":\"x1\","
	       "\"drive\":\"n\",\"bus\":\"h0.0\","
	       "\"scsi-id\":1,\"lun\":0,\"serial\":\"other\"}}");
	r = write_named(lun, 1);
	assert_true(r == -ESTALE || r == -ENODEV);
	assert_false(was_written(m, "c.img"));
	look_again(m);
	for (uint64_t end = now_ms() + PATIENCE_MS;
	     now_ms() < end && (generation_of(lun) < 2 || write_named(lun, 2) < 0);)
		run_for(m, 1);
	hba_lun_get_info(lun, &info);
	assert_string_equal(info.serial, "other");
	assert_int_equal(info.generation, 2);
	assert_true(was_written(m, "c.img"));
	machine_down(m);
}

/* Another image of the same size in the same drive: nothing but 28/00 tells them apart. */
static void another_medium_in_the_drive(void **state)
{
	struct machine *m;
	struct hba_lun *lun;

	(void)state;
	if (ways()->loses_attentions)
		skip();
	m = machine_up("drive=%1$s/a.img");
	forget_events(m);
	add_image(m, "b.img");
	qmp(m, "{\"execute\":\"device_add\",\"arguments\":{\"driver\":\"scsi-hd\",\"id\":\"x1\","
	       "\"drive\":\"n\",\"bus\":\"h0.0\","
	       "\"scsi-id\":1,\"lun\":0,\"removable\":true}}");
	look_again(m);
	wait_event(m, HBA_EVENT_LUN_CAME);
	lun = unit(m, 1);
	assert_int_equal(write_named(lun, 1), 0);
	qmp(m,
	    "{\"execute\":\"blockdev-change-medium\",\"arguments\":{\"id\":\"x1\",\"filename\":\"%"
	    "s/c.img\",\"format\":\"raw\"}}",
	    m->folder);
	assert_int_equal(write_named(lun, 1), -ESTALE);
	assert_false(was_written(m, "c.img"));
	wait_event(m, HBA_EVENT_LUN_CHANGED);
	assert_int_equal(write_named(lun, generation_of(lun)), 0);
	assert_true(was_written(m, "c.img"));
	machine_down(m);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_under_io),
		cmocka_unit_test(killed_idle_is_told_at_once),
		cmocka_unit_test(sleepers_are_woken),
		cmocka_unit_test(stopped_under_io_goes_on),
		cmocka_unit_test(stopped_under_sleeper_goes_on),
		cmocka_unit_test(posted_writes_never_stop_the_machine),
		cmocka_unit_test(suspended_is_aborted_and_others_go_on),
		cmocka_unit_test(stopped_by_an_error_goes_on_after_cont),
		cmocka_unit_test(unplugged_and_plugged),
		cmocka_unit_test(plugged_unseen),
		cmocka_unit_test(unplugged_under_io),
		cmocka_unit_test(grown_is_seen),
		cmocka_unit_test(another_disk_in_its_place),
		cmocka_unit_test(another_medium_in_the_drive),
	};
	const struct CMUnitTest long_tests[] = {
		cmocka_unit_test(suspended_and_cancelled_at_once_is_gone),
		cmocka_unit_test(stopped_for_good_is_gone),
		cmocka_unit_test(one_that_is_given_up_writes_nothing),
	};

	if (access("/usr/bin/qemu-system-x86_64", X_OK) < 0) {
		printf("skipped: there is no qemu-system-x86_64\n");
		return SKIPPED;
	}
	if (argc < 3) {
		fprintf(stderr, "usage: %s MODEL TABLE [long]\n", argv[0]);
		return 2;
	}
	model = argv[1];
	table = argv[2];
	if (argc > 3)
		return cmocka_run_group_tests_name("qemu-trouble-long", long_tests, NULL, NULL);
	cmocka_set_test_filter(getenv("HBAKIT_TEST"));
	return cmocka_run_group_tests_name("qemu-trouble", tests, NULL, NULL);
}
