/* SPDX-License-Identifier: MIT */
/*
 * io.c: a client in the guest that does what the command cannot be asked for.
 *
 *	guest-io verify URI KIND ADDRESS    written and read back, one at a time, asleep in between:
 *	                                    woken by interrupts, or by nothing
 *	guest-io unplug URI WORDS           many reads out, WORDS are said, and the device is to be
 *	                                    let go: all must end, nothing remain
 *	guest-io error URI WORDS            the same of a device that reports an error: it is lost
 *	                                    at once
 *
 * Data are read in place, and what is handed back of them nobody writes any more.
 *
 * KIND is how the system names that interrupt of ADDRESS, or "none".
 */
#include <dirent.h>
#include <hbakit/hbakit.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	BLOCK = 512,
	READ_10 = 0x28,
	WRITE_10 = 0x2a,
	ROUNDS = 50,
	OUT = 32,
	BUDGET = 64,
	MOST_PER_SLEEP = 3,
	PATIENCE_MS = 30000,
	LATE_S = 5, /* the disk's slowest command takes less */
	FILL = 0xee,
	LINE_BYTES = 512,
};

struct client {
	struct hba_controller *c;
	struct hba_lun *lun;
	uint8_t (*data)[BLOCK]; /* OUT of them, in a mapping */
	unsigned sent, done, good, not_present, other, slept;
	bool keep_on; /* each command is sent again from its done */
};

__attribute__((noreturn, format(printf, 1, 2))) static void give_up(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	exit(EXIT_FAILURE);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- commands */

static void send_block(struct client *k, uint8_t opcode, unsigned block);

static void ended(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct client *k = arg;
	unsigned block = t->cdb[5];

	k->done++;
	k->good += r->outcome == HBA_GOOD;
	k->not_present += r->outcome == HBA_NOT_PRESENT;
	if (r->outcome != HBA_GOOD && r->outcome != HBA_NOT_PRESENT) {
		k->other++;
		printf("a command ended with outcome %#x\n", r->outcome);
	}
	hba_task_put(t);
	if (k->keep_on && r->outcome == HBA_GOOD)
		send_block(k, READ_10, block);
}

static void send_block(struct client *k, uint8_t opcode, unsigned block)
{
	struct hba_task *t = NULL;

	/* -ENODEV: it is being let go. */
	if (hba_task_get(k->lun, BLOCK, NULL, &t) != 0)
		return;
	t->cdb[0] = opcode;
	t->cdb[5] = (uint8_t)block;
	t->cdb[8] = 1;
	t->cdb_len = 10;
	t->length = BLOCK;
	t->direction = opcode == READ_10 ? HBA_FROM_TARGET : HBA_TO_TARGET;
	t->data.buffer = k->data[block];
	if (hba_submit(t, ended, k) == 0)
		k->sent++;
	else
		hba_task_put(t);
}

/* Until `done` are over. Asleep where the controller says that it will be woken. */
static void run_until(struct client *k, unsigned done)
{
	struct pollfd p = { .fd = hba_controller_fd(k->c), .events = POLLIN };
	uint64_t end = now_ms() + PATIENCE_MS;

	while (k->done < done) {
		unsigned before = k->done;
		bool slept = hba_controller_arm(k->c) == 0;

		if (slept && poll(&p, 1, PATIENCE_MS) == 0)
			give_up("nothing woke the loop, and %u of %u commands are out",
				k->sent - k->done, k->sent);
		if (hba_controller_run(k->c, BUDGET) < 0 || now_ms() > end)
			give_up("%u of %u commands have not ended: %s", k->sent - k->done, k->sent,
				hba_error());
		k->slept += slept && k->done > before;
	}
}

/* ---- what the system counts */

static unsigned long fired(const char *kind, const char *address)
{
	char line[LINE_BYTES], name[64];
	unsigned long n, sum = 0;
	FILE *f = fopen("/proc/interrupts", "r");

	/* vfio-intx(ADDRESS), vfio-msi[0](ADDRESS), vfio-msix[0](ADDRESS) */
	snprintf(name, sizeof(name), "vfio-%s%c", kind, strcmp(kind, "intx") == 0 ? '(' : '[');
	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, name) && strstr(line, address) &&
		    sscanf(line, "%*[^:]: %lu", &n) == 1)
			sum += n;
	if (f)
		fclose(f);
	return sum;
}

static unsigned count_descriptors(void)
{
	unsigned n = 0;
	DIR *dir = opendir("/proc/self/fd");

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

/* Mappings of registers and of memory for the device. */
static unsigned count_mappings(void)
{
	char line[LINE_BYTES];
	unsigned n = 0;
	FILE *f = fopen("/proc/self/maps", "r");

	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, "vfio") || strstr(line, "memfd:");
	if (f)
		fclose(f);
	return n;
}

/* ---- the three */

static struct client *client_up(const char *uri)
{
	struct client *k = calloc(1, sizeof(*k));
	struct hba_mapping *map;

	if (!k || hba_controller_open(uri, NULL, &k->c) < 0 || hba_controller_start(k->c) < 0 ||
	    hba_mapping_create(k->c, HBA_DEVICE_BOTH, sizeof(*k->data) * OUT, 0, &map) < 0)
		give_up("%s", hba_error());
	k->data = hba_mapping_address(map);
	k->lun = hba_lun_find(k->c, 0, 0);
	if (!k->lun)
		give_up("there is no unit 0 at target 0");
	return k;
}

static int verify(const char *uri, const char *kind, const char *address)
{
	struct client *k = client_up(uri);
	bool polled = strcmp(kind, "none") == 0;
	/*
	 * How many the search for targets brings, which has many commands out at once, is not asked
	 * here.
	 */
	unsigned long interrupts = fired(kind, address), least;
	bool ok;

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint8_t expected[BLOCK];

		memset(expected, (int)(i + 1), BLOCK);
		memcpy(k->data[i % OUT], expected, BLOCK);
		send_block(k, WRITE_10, i % OUT);
		run_until(k, k->sent);
		memset(k->data[i % OUT], 0, BLOCK);
		send_block(k, READ_10, i % OUT);
		run_until(k, k->sent);
		if (memcmp(k->data[i % OUT], expected, BLOCK) != 0)
			give_up("round %u: what is read is not what was written", i);
	}
	interrupts = fired(kind, address) - interrupts;
	printf("%u commands, %u good; slept for %u; %lu interrupts\n", k->done, k->good, k->slept,
	       interrupts);
	hba_controller_close(k->c);
	/*
	 * It sleeps for nearly all, and each time an interrupt ends it; a line that is never
	 * lowered brings them in masses. A pin that is still up when VFIO unmasks it is told
	 * without an interrupt that the system counts.
	 */
	least = strcmp(kind, "intx") == 0 ? ROUNDS : k->slept;
	ok = k->good == 2 * ROUNDS && (polled ? k->slept == 0
					      : k->slept > ROUNDS && interrupts >= least &&
							interrupts <= MOST_PER_SLEEP * k->slept);
	free(k);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

static bool was_told(struct hba_controller *c, const char *words)
{
	struct hba_event e;
	bool told = false;

	while (hba_event_next(c, &e)) {
		printf("event: %s\n", e.text);
		told = told || strstr(e.text, words);
	}
	return told;
}

static void load_until_gone(struct client *k, const char *words)
{
	struct pollfd p = { .fd = hba_controller_fd(k->c), .events = POLLIN };
	uint64_t end = now_ms() + PATIENCE_MS;
	bool said = false;

	k->keep_on = true;
	for (unsigned i = 0; i < OUT; i++)
		send_block(k, READ_10, i);
	while (hba_controller_run(k->c, BUDGET) >= 0) {
		if (now_ms() > end)
			give_up("the controller is still %s; %u of %u commands are out",
				hba_state_name(hba_controller_state(k->c)), k->sent - k->done,
				k->sent);
		if (!said && k->done) {
			said = true;
			puts(words);
			fflush(stdout);
		}
		if (hba_controller_arm(k->c) == 0)
			poll(&p, 1, PATIENCE_MS);
	}
}

static bool nobody_writes(struct client *k)
{
	uint8_t expected[BLOCK];
	unsigned written = 0;

	memset(expected, FILL, sizeof(expected));
	memset(k->data, FILL, sizeof(expected) * OUT);
	sleep(LATE_S);
	for (unsigned i = 0; i < OUT; i++)
		written += memcmp(k->data[i], expected, sizeof(expected)) != 0;
	if (written)
		printf("%u of %u buffers were written after they had been handed back\n", written,
		       OUT);
	return !written;
}

static int lose(const char *uri, const char *words, bool asked)
{
	unsigned descriptors = count_descriptors(), mappings = count_mappings();
	struct client *k = client_up(uri);
	bool ok;

	load_until_gone(k, words);
	printf("%u sent, %u done: %u good, %u not present, %u other; the controller is %s\n",
	       k->sent, k->done, k->good, k->not_present, k->other,
	       hba_state_name(hba_controller_state(k->c)));
	ok = k->sent == k->done && k->good && k->not_present && !k->other &&
	     hba_controller_state(k->c) == HBA_GONE &&
	     was_told(k->c, asked ? "requested the device back" : "cannot be corrected") &&
	     nobody_writes(k);
	hba_controller_close(k->c);
	free(k);
	printf("%u descriptors and %u mappings before, %u and %u after\n", descriptors, mappings,
	       count_descriptors(), count_mappings());
	ok = ok && descriptors == count_descriptors() && mappings == count_mappings();
	printf("%s: %s\n", asked ? "unplug" : "error", ok ? "as it should be" : "WRONG");
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "verify") == 0)
		return verify(argv[2], argv[3], argv[4]);
	if (argc == 4 && strcmp(argv[1], "unplug") == 0)
		return lose(argv[2], argv[3], true);
	if (argc == 4 && strcmp(argv[1], "error") == 0)
		return lose(argv[2], argv[3], false);
	fputs("guest-io verify URI KIND ADDRESS | unplug URI WORDS | error URI WORDS\n", stderr);
	return EXIT_FAILURE;
}
