/* SPDX-License-Identifier: MIT */
/* qemu-command.c: the command line of a QEMU that is one device model, its disks, and no guest. */
#include "bus/qemu.h"

#include "base/base.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	PATH_BYTES = 1024,
	MOST_PLACE = 65535, /* QEMU's largest number of a SCSI place */
	SECTOR = 512,
	LARGE_SECTOR = 4096,
	THROTTLE_BYTES = 64,
};
#define JSON "json:"

__attribute__((format(printf, 2, 3))) static void add(struct qemu_command *c, const char *format,
						      ...)
{
	va_list args;

	va_start(args, format);
	if (c->n == QEMU_MOST_ARGUMENTS || vasprintf(&c->words[c->n], format, args) < 0)
		c->failed = true;
	else
		c->n++;
	va_end(args);
}

/* The last word, and what of the URI it stands for: QEMU names the word when it refuses it. */
__attribute__((format(printf, 2, 3))) static void means(struct qemu_command *c, const char *format,
							...)
{
	va_list args;

	if (c->failed)
		return;
	va_start(args, format);
	if (vasprintf(&c->meant[c->n - 1], format, args) < 0) {
		c->meant[c->n - 1] = NULL;
		c->failed = true;
	}
	va_end(args);
}

void qemu_command_free(struct qemu_command *c)
{
	for (unsigned i = 0; i < c->n; i++) {
		free(c->words[i]);
		free(c->meant[i]);
	}
	*c = (struct qemu_command) { 0 };
}

/* A comma ends a value for QEMU; doubled it is one. */
static void escape(const char *path, char text[2 * PATH_BYTES])
{
	size_t n = 0;

	for (; *path; path++) {
		text[n++] = *path;
		if (*path == ',')
			text[n++] = ',';
	}
	text[n] = '\0';
}

/*
 * ---- drives: FILE, then words from the right: ,target=N ,lun=N ,iops=N ,block=N ,rerror=stop
 * ,werror=stop
 */

enum drive_word { TARGET, LUN, IOPS, BLOCK, RERROR, WERROR, DRIVE_WORDS };

static const char *const drive_words[DRIVE_WORDS] = {
	[TARGET] = "target", [LUN] = "lun",       [IOPS] = "iops",
	[BLOCK] = "block",   [RERROR] = "rerror", [WERROR] = "werror"
};

/** struct drive - One of them. The words point into `file`, cut off there. */
struct drive {
	char file[PATH_BYTES];
	const char *words[DRIVE_WORDS]; /* NULL: not given */
	uint64_t target, lun, iops, block;
};

/* The last ",word=value" off the end; false: it is no such word, so the rest is the file's name. */
static bool cut_word(struct drive *d)
{
	char *comma = strrchr(d->file, ',');

	for (size_t i = 0; comma && i < DRIVE_WORDS; i++) {
		size_t n = strlen(drive_words[i]);

		if (strncmp(comma + 1, drive_words[i], n) == 0 && comma[1 + n] == '=' &&
		    !d->words[i]) {
			*comma = '\0';
			d->words[i] = comma + n + 2;
			return true;
		}
	}
	return false;
}

static int refuse_drive(const struct drive *d, const char *reason, int error,
			char why[HBA_BUS_WHY_BYTES])
{
	snprintf(why, HBA_BUS_WHY_BYTES, "drive '%.100s': %s", d->file, reason);
	return error;
}

/* "json:" begins a node of QEMU's block layer, in QEMU's own words (blockdev-add). */
static bool is_node(const char *name)
{
	return strncmp(name, JSON, strlen(JSON)) == 0;
}

/* Not everything that QEMU opens is a file of ours to look at. */
static bool is_file(const char *name)
{
	return strncmp(name, "null-co://", strlen("null-co://")) != 0 && !is_node(name);
}

static bool is_policy(const char *word)
{
	return !word || strcmp(word, "stop") == 0 || strcmp(word, "report") == 0 ||
	       strcmp(word, "ignore") == 0;
}

/*
 * The last ",word=value" of what should be a file's name, its value cut off: it may have been meant
 * as an option. NULL: there is none.
 */
static char *cut_unknown_word(struct drive *d)
{
	char *comma = strrchr(d->file, ','), *equals = comma ? strchr(comma, '=') : NULL;

	if (!equals)
		return NULL;
	*comma = *equals = '\0';
	return comma + 1;
}

static int refuse_file(struct drive *d, int error, char why[HBA_BUS_WHY_BYTES])
{
	const char *word = error == ENOENT ? cut_unknown_word(d) : NULL;
	char reason[128];

	if (!word)
		return refuse_drive(d, strerror(error), -error, why);
	for (size_t i = 0; i < DRIVE_WORDS; i++)
		if (strcmp(word, drive_words[i]) == 0)
			return refuse_drive(d, "an option is given twice", -EINVAL, why);
	snprintf(reason, sizeof(reason),
		 "no option '%.40s'; there are target, lun, iops, block, rerror and werror", word);
	return refuse_drive(d, reason, -EINVAL, why);
}

/* `next`: the target of a drive without target=. */
static int parse_drive(struct drive *d, uint64_t next, char why[HBA_BUS_WHY_BYTES])
{
	d->target = next;
	d->block = SECTOR;
	while (cut_word(d))
		;
	unescape_percent(d->file); /* a name may hold what ends an option, or looks like one */
	/* The range depends on the model: QEMU refuses the others. */
	if ((d->words[TARGET] &&
	     (parse_number(d->words[TARGET], &d->target) < 0 || d->target > MOST_PLACE)) ||
	    (d->words[LUN] && (parse_number(d->words[LUN], &d->lun) < 0 || d->lun > MOST_PLACE)))
		return refuse_drive(d, "target= and lun= are numbers up to 65535", -EINVAL, why);
	if (d->words[IOPS] &&
	    (parse_number(d->words[IOPS], &d->iops) < 0 || !d->iops || d->iops > UINT32_MAX))
		return refuse_drive(d, "iops= is a number of commands per second", -EINVAL, why);
	if (d->words[BLOCK] && (parse_size(d->words[BLOCK], &d->block) < 0 ||
				(d->block != SECTOR && d->block != LARGE_SECTOR)))
		return refuse_drive(d, "block= is 512 or 4096 bytes", -EINVAL, why);
	if (d->iops && is_node(d->file))
		return refuse_drive(d,
				    "iops= does not go with json:, which has a throttle of its own",
				    -EINVAL, why);
	if (!is_policy(d->words[RERROR]) || !is_policy(d->words[WERROR]))
		return refuse_drive(d, "rerror= and werror= are report, stop or ignore", -EINVAL,
				    why);
	if (is_file(d->file) && access(d->file, R_OK) < 0)
		return refuse_file(d, errno, why);
	return 0;
}

static void add_backend(struct qemu_command *c, unsigned n, const struct drive *d)
{
	char text[2 * PATH_BYTES], throttle[THROTTLE_BYTES] = "";

	if (is_node(d->file)) {
		add(c, "-blockdev");
		add(c, "{\"driver\":\"raw\",\"node-name\":\"d%u\",\"file\":%s}", n,
		    d->file + strlen(JSON));
		means(c, "drive '%s'", d->file);
		return;
	}
	escape(d->file, text);
	if (d->iops)
		snprintf(throttle, sizeof(throttle), ",throttling.iops-total=%llu",
			 (unsigned long long)d->iops);
	add(c, "-drive");
	add(c, "if=none,id=d%u,file=%s,format=raw,read-only=%s%s", n, text,
	    !is_file(d->file) || access(d->file, W_OK) == 0 ? "off" : "on", throttle);
	means(c, "drive '%s'", d->file);
}

/* Errors are reported by default: QEMU's own default stops its machine when a disk is full. */
static void add_drive(struct qemu_command *c, unsigned n, const struct drive *d)
{
	add_backend(c, n, d);
	add(c, "-device");
	add(c,
	    "scsi-hd,id=s%u,drive=d%u,bus=h0.0,scsi-id=%llu,lun=%llu,serial=hbakit-%u,logical_"
	    "block_size=%llu,"
	    "physical_block_size=%llu,rerror=%s,werror=%s",
	    n, n, (unsigned long long)d->target, (unsigned long long)d->lun, n,
	    (unsigned long long)d->block, (unsigned long long)d->block,
	    d->words[RERROR] ? d->words[RERROR] : "report",
	    d->words[WERROR] ? d->words[WERROR] : "report");
	means(c, "drive '%s' as target %llu, lun %llu", d->file, (unsigned long long)d->target,
	      (unsigned long long)d->lun);
}

static int add_drives(struct qemu_command *c, const char *query, char why[HBA_BUS_WHY_BYTES])
{
	struct drive d = { 0 };
	uint64_t next = 0;
	unsigned n = 0;
	int r, found;

	while ((found = query_next(&query, "drive", d.file, sizeof(d.file))) > 0) {
		if (n == QEMU_MOST_DRIVES) {
			snprintf(why, HBA_BUS_WHY_BYTES, "more than %d drives", QEMU_MOST_DRIVES);
			return -E2BIG;
		}
		r = parse_drive(&d, next, why);
		if (r < 0)
			return r;
		add_drive(c, n++, &d);
		next = d.target + 1;
		d = (struct drive) { 0 };
	}
	return found;
}

static int add_qmp(struct qemu_command *c, const char *query, char why[HBA_BUS_WHY_BYTES])
{
	char path[PATH_BYTES] = "", text[2 * PATH_BYTES];
	int r = query_last(query, "qmp", path, sizeof(path));

	if (r <= 0)
		return r;
	if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		snprintf(why, HBA_BUS_WHY_BYTES,
			 "qmp=: the path of a socket has at most 107 bytes");
		return -ENAMETOOLONG;
	}
	escape(path, text);
	add(c, "-qmp");
	add(c, "unix:%s,server=on,wait=off", text);
	means(c, "qmp=%s", path);
	return 0;
}

static void add_doorbell(struct qemu_command *c, int socket)
{
	add(c, "-chardev");
	add(c, "socket,id=doorbell,fd=%d", socket);
	add(c, "-device");
	add(c, "ivshmem-doorbell,id=bell0,addr=2,chardev=doorbell,vectors=%d,ioeventfd=off",
	    DOORBELL_VECTORS);
}

/*
 * Other facts about a model come from QEMU: it creates any device of that name, and each names its
 * SCSI bus h0.0.
 */
static const struct quirk {
	const char *model, *properties;
} quirks[] = {
	/* On the root bus these would be transitional devices, with the registers of virtio 0.9. */
	{ "virtio-scsi", ",disable-legacy=on" },
	{ "virtio-scsi-pci", ",disable-legacy=on" },
};

static const char *quirk_of(const char *model, size_t length)
{
	for (size_t i = 0; i < ARRAY_SIZE(quirks); i++)
		if (strlen(quirks[i].model) == length &&
		    memcmp(quirks[i].model, model, length) == 0)
			return quirks[i].properties;
	return "";
}

/*
 * Of a property that stands there twice QEMU takes the last: the URI's come behind the quirk's,
 * ours behind all.
 */
static void add_model(struct qemu_command *c, const char *model)
{
	size_t name = strcspn(model, ",");

	add(c, "-device");
	add(c, "%.*s%s%s,id=h0,addr=1", (int)name, model, quirk_of(model, name), model + name);
	means(c, "model '%s'", model);
}

int qemu_command_build(struct qemu_command *c, const struct qemu_machine *m,
		       char why[HBA_BUS_WHY_BYTES])
{
	char program[PATH_BYTES] = "qemu-system-x86_64";
	int r = query_last(m->query, "qemu", program, sizeof(program));

	if (r < 0)
		return r;
	add(c, "%s", program);
	add(c, "-machine");
	/* No timer ticks: the qtest socket would carry its interrupts. */
	add(c, "q35,memory-backend=ram0,pit=off,hpet=off");
	add(c, "-m");
	add(c, "%lluM", (unsigned long long)(m->ram_bytes >> 20));
	add(c, "-object");
	add(c, "memory-backend-file,id=ram0,size=%lluM,mem-path=/proc/self/fd/%d,share=on",
	    (unsigned long long)(m->ram_bytes >> 20), m->ram);
	add(c, "-accel");
	add(c, "tcg");
	add(c, "-bios");
	add(c, "/proc/self/fd/%d", m->rom);
	add(c, "-chardev");
	add(c, "socket,id=qtest,fd=%d", m->qtest);
	add(c, "-object");
	add(c, "qtest,id=qt0,chardev=qtest,log=none");
	add(c, "-nodefaults");
	add(c, "-no-user-config");
	add(c, "-display");
	add(c, "none");
	add_model(c, m->model);
	if (m->doorbell >= 0)
		add_doorbell(c, m->doorbell);
	r = m->bare ? 0 : add_drives(c, m->query, why);
	if (r == 0 && !m->bare)
		r = add_qmp(c, m->query, why);
	if (r == 0 && c->failed)
		r = -ENOMEM;
	return r;
}

/* ---- QEMU's own messages */

/*
 * A message begins with the program's name, and that of a word of the command line with both:
 * "NAME: -OPTION VALUE: MESSAGE".
 */
static const char *after_word(const struct qemu_command *c, const char *line, unsigned i)
{
	size_t option = strlen(c->words[i - 1]), value = strlen(c->words[i]);

	if (strncmp(line, c->words[i - 1], option) != 0 || line[option] != ' ' ||
	    strncmp(line + option + 1, c->words[i], value) != 0 ||
	    strncmp(line + option + 1 + value, ": ", 2) != 0)
		return NULL;
	return line + option + 1 + value + 2;
}

static bool explain_line(const struct qemu_command *c, const char *line,
			 char why[HBA_BUS_WHY_BYTES])
{
	static const char no_model[] = "is not a valid device model name";

	for (unsigned i = 1; i < c->n; i++) {
		const char *message = after_word(c, line, i);

		if (!message || strncmp(message, "warning: ", strlen("warning: ")) == 0)
			continue;
		if (strstr(message, no_model))
			snprintf(why, HBA_BUS_WHY_BYTES,
				 "%.100s: this QEMU does not have it; `%.60s -device help' lists "
				 "its devices",
				 c->meant[i] ? c->meant[i] : "a device", c->words[0]);
		else
			snprintf(why, HBA_BUS_WHY_BYTES, "%.120s: QEMU refuses it: %.100s",
				 c->meant[i] ? c->meant[i] : c->words[i], message);
		return true;
	}
	return false;
}

bool qemu_command_explain(const struct qemu_command *c, const char *said,
			  char why[HBA_BUS_WHY_BYTES])
{
	why[0] = '\0';
	while (*said) {
		size_t length = strcspn(said, "\n");
		autofree char *line = strndup(said, length);
		const char *colon = line ? strstr(line, ": ") : NULL;

		if (colon && explain_line(c, colon + 2, why))
			return true;
		/* A second line belongs to the first, but only of the first is there room. */
		if (colon && !why[0])
			snprintf(why, HBA_BUS_WHY_BYTES, "%.200s", colon + 2);
		said += length + (said[length] == '\n');
	}
	return false;
}
