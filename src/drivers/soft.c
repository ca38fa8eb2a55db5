/* SPDX-License-Identifier: MIT */
/*
 * soft.c: an HBA of software with one target, whose units lie in memory, in a file, or nowhere. The model of manners for drivers.
 *
 * What a disk does with a command is src/target's business. Here is what every driver does: read the URI, report, prepare each
 * task's memory once, hand tasks over, take completions, abort, and let go of everything at the end.
 *
 * A task's HBA data is the command as src/target wants it, so nothing is looked up or allocated on the way. Memory and null units
 * end a task inside process_task; a file's tasks end in poll, by the io_uring of the task's queue.
 *
 * Not done: hot changes of size.
 */
#include "drivers/drivers.h"

#include "base/base.h"
#include "target/target.h"

#include <assert.h>
#include <errno.h>
#include <hbakit/driver.h>
#include <hbakit/version.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { INITIATOR_ID = 7, HIGHEST_TARGET = 0, INTERNAL_TASKS = 2, TMF_TASKS = 1 };
enum { MOST_TASKS = 65533, MOST_QUEUES = 256, MOST_LUNS = 16384 };
enum { DRAIN_MS = 5000, RETRY_MS = 1 };
#define DEFAULT_SIZE (UINT64_C(64) << 20)

static_assert(MOST_LUNS + 1 <= TARGET_MAX_UNITS, "all units, and the scratch unit");

#define TMFS                                                                                               \
	(HBA_TMF_BIT(HBA_ABORT_TASK) | HBA_TMF_BIT(HBA_ABORT_TASK_SET) | HBA_TMF_BIT(HBA_CLEAR_TASK_SET) | \
	 HBA_TMF_BIT(HBA_CLEAR_ACA) | HBA_TMF_BIT(HBA_LOGICAL_UNIT_RESET) | HBA_TMF_BIT(HBA_TARGET_RESET))

/* A controller is one initiator: to its units it is always the same nexus. */
enum { NEXUS = 0 };

struct soft {
	struct target_device device;
	struct engine **engines; /* one per queue; NULL while no unit needs them */
	unsigned n_queues;
};

/* A task's HBA data. */
struct soft_task {
	struct target_command command;
	struct hba_task *task;
	struct hba_task *manager; /* the tmf task that waits for this one to end; NULL: none */
	unsigned victims;         /* of a tmf task: how many it still waits for. Atomic: they end on their own queues */
};

/* ---- what the URI asks for -------------------------------------------------------------------------------------------- */

struct soft_wishes {
	const char *path; /* "ram", "null", or a file's */
	const char *serial;
	uint64_t size, luns, block, tasks, queues, scratch;
	bool has_size, has_luns, has_fill, read_only;
	enum null_fill fill;
};

static int read_number(struct hba_controller *c, const char *name, uint64_t least, uint64_t most, uint64_t *number)
{
	uint64_t n;
	int r;

	if (!hba_uri_option(c, name))
		return 0;
	r = hba_uri_number(c, name, &n);
	if (r < 0)
		return r;
	if (n < least || n > most)
		return hba_fail(c, -EINVAL, "%s=%" PRIu64 ": it may be from %" PRIu64 " to %" PRIu64, name, n, least, most);
	*number = n;
	return 0;
}

static int read_fill(struct hba_controller *c, struct soft_wishes *w)
{
	const char *fill = hba_uri_option(c, "fill");

	if (!fill)
		return 0;
	w->has_fill = true;
	if (strcmp(fill, "none") == 0)
		w->fill = NULL_FILL_NONE;
	else if (strcmp(fill, "zero") != 0)
		return hba_fail(c, -EINVAL, "fill=%s: it may be zero or none", fill);
	return 0;
}

static int read_read_only(struct hba_controller *c, struct soft_wishes *w)
{
	const char *value = hba_uri_option(c, "readonly");

	if (!value || strcmp(value, "0") == 0)
		return 0;
	if (*value && strcmp(value, "1") != 0)
		return hba_fail(c, -EINVAL, "readonly=%s: it may be 0 or 1", value);
	w->read_only = true;
	return 0;
}

static int read_numbers(struct hba_controller *c, struct soft_wishes *w)
{
	int r;

	r = read_number(c, "size", 1, INT64_MAX, &w->size);
	if (r < 0)
		return r;
	r = read_number(c, "luns", 1, MOST_LUNS, &w->luns);
	if (r < 0)
		return r;
	r = read_number(c, "block", 0, UINT32_MAX, &w->block);
	if (r < 0)
		return r;
	r = read_number(c, "scratch", 1, INT64_MAX, &w->scratch);
	if (r < 0)
		return r;
	r = read_number(c, "queues", 1, MOST_QUEUES, &w->queues);
	if (r < 0)
		return r;
	return read_number(c, "tasks", 1, MOST_TASKS, &w->tasks);
}

static bool is_file(const struct soft_wishes *w)
{
	return strcmp(w->path, "ram") != 0 && strcmp(w->path, "null") != 0;
}

static int check_wishes(struct hba_controller *c, const struct soft_wishes *w)
{
	if (!*w->path)
		return hba_fail(c, -EINVAL, "soft: of what? Say soft:FILE, soft:ram or soft:null");
	if (is_file(w) && w->has_size)
		return hba_fail(c, -EINVAL, "size= is for ram and null; %s has the size it has", w->path);
	if (is_file(w) && w->has_luns)
		return hba_fail(c, -EINVAL, "luns= is for ram and null; %s is one unit, scratch= adds another", w->path);
	if (w->has_fill && strcmp(w->path, "null") != 0)
		return hba_fail(c, -EINVAL, "fill= is for null; %s gives back what was written", w->path);
	return 0;
}

static int read_wishes(struct hba_controller *c, struct soft_wishes *w)
{
	int r;

	*w = (struct soft_wishes) {
		.path = hba_uri_path(c),
		.serial = hba_uri_option(c, "serial"),
		.size = DEFAULT_SIZE,
		.luns = 1,
		.has_size = hba_uri_option(c, "size"),
		.has_luns = hba_uri_option(c, "luns"),
	};
	r = read_numbers(c, w);
	if (r < 0)
		return r;
	r = read_fill(c, w);
	if (r < 0)
		return r;
	r = read_read_only(c, w);
	if (r < 0)
		return r;
	return check_wishes(c, w);
}

/* ---- units ------------------------------------------------------------------------------------------------------------ */

/* The store is the device's afterwards, or gone. */
static int add_unit(struct hba_controller *c, const struct soft_wishes *w, struct store *store, const char *identity,
		    const char *reservations)
{
	struct soft *soft = hba_controller_priv(c);
	struct target_unit_options options = {
		.store = store,
		.block_bytes = (uint32_t)w->block,
		.read_only = w->read_only,
		.identity = w->serial ? w->serial : identity,
		.reservations = reservations,
	};
	char message[TARGET_MESSAGE_BYTES];
	int r = target_device_add(&soft->device, &options, message);

	if (r < 0) {
		store_free(store);
		return hba_fail(c, r, "%s: %s", w->path, message);
	}
	return 0;
}

/* Beside an image; beside a block device is /dev, which is no place for files: there none outlive a power loss. */
static int name_reservations(const char *path, char **ret_name)
{
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	return asprintf(ret_name, "%s.pr", path) < 0 ? -ENOMEM : 0;
}

static int add_file(struct hba_controller *c, const struct soft_wishes *w)
{
	autofree char *canonical = NULL, *reservations = NULL;
	char message[TARGET_MESSAGE_BYTES];
	struct store *store;
	int r = store_open_file(w->path, w->read_only, &store, message);

	if (r == -ENOENT && !strchr(w->path, '/') && !strchr(w->path, '.'))
		return hba_fail(c, r, "there is no file %s, and no store of that name: the stores are ram and null", w->path);
	if (r < 0)
		return hba_fail(c, r, "%s", message);
	if (store->read_only && !w->read_only)
		hba_log(c, HBA_LOG_WARNING, "%s may not be written: its unit is read-only", w->path);
	/* However the path was written, it is the same disk. */
	canonical = realpath(w->path, NULL);
	r = name_reservations(canonical ? canonical : w->path, &reservations);
	if (r < 0) {
		store_free(store);
		return hba_fail(c, r, "no memory to open %s", w->path);
	}
	return add_unit(c, w, store, canonical ? canonical : w->path, reservations);
}

static int add_ram(struct hba_controller *c, const struct soft_wishes *w, uint64_t bytes)
{
	char message[TARGET_MESSAGE_BYTES];
	struct store *store;
	int r = store_open_ram(bytes, &store, message);

	return r < 0 ? hba_fail(c, r, "%s", message) : add_unit(c, w, store, "ram", NULL);
}

static int add_null(struct hba_controller *c, const struct soft_wishes *w)
{
	char message[TARGET_MESSAGE_BYTES];
	struct store *store;
	int r = store_open_null(w->size, w->fill, &store, message);

	return r < 0 ? hba_fail(c, r, "%s", message) : add_unit(c, w, store, "null", NULL);
}

static int add_units(struct hba_controller *c, const struct soft_wishes *w)
{
	bool ram = strcmp(w->path, "ram") == 0;
	int r = 0;

	if (is_file(w))
		return add_file(c, w);
	for (uint64_t i = 0; i < w->luns && r == 0; i++)
		r = ram ? add_ram(c, w, w->size) : add_null(c, w);
	return r;
}

/* Always writable, whatever the disk beside it is: that is what it is for. */
static int add_scratch(struct hba_controller *c, const struct soft_wishes *w)
{
	struct soft_wishes scratch = *w;

	if (!w->scratch)
		return 0;
	scratch.read_only = false;
	return add_ram(c, &scratch, w->scratch);
}

static bool needs_engines(const struct target_device *d)
{
	for (unsigned i = 0; i < d->n_units; i++)
		if (d->units[i].store->needs_engine)
			return true;
	return false;
}

/* One per queue, and so deep that each of the queue's tasks finds an entry without a system call. */
static int make_engines(struct hba_controller *c, const struct soft_wishes *w)
{
	struct soft *soft = hba_controller_priv(c);
	unsigned depth = (unsigned)divide_up(w->tasks + INTERNAL_TASKS + TMF_TASKS, w->queues);
	int r;

	if (!needs_engines(&soft->device))
		return 0;
	soft->engines = calloc(w->queues, sizeof(struct engine *));
	if (!soft->engines)
		return hba_fail(c, -ENOMEM, "no memory for %" PRIu64 " queues", w->queues);
	soft->n_queues = (unsigned)w->queues;
	for (unsigned i = 0; i < soft->n_queues; i++) {
		r = engine_create(depth, &soft->engines[i]);
		if (r < 0)
			return hba_fail(c, r, "no io_uring of %u entries for %s: %s; see kernel.io_uring_disabled, or fewer tasks",
					depth, w->path, strerror(-r));
	}
	return 0;
}

/* ---- the table's ops, in the order of life ---------------------------------------------------------------------------- */

static void report_abilities(struct hba_report *report, const struct soft *soft, const struct soft_wishes *w)
{
	report->initiator_id = INITIATOR_ID;
	report->highest_target_id = HIGHEST_TARGET;
	report->highest_lun = soft->device.n_units - 1;
	report->max_tasks = w->tasks;
	report->internal_tasks = INTERNAL_TASKS;
	report->queues = w->queues;
	report->manages_devices = false;
	report->performs_autosense = true;
	report->max_cdb = TARGET_CDB_BYTES;
	report->tmfs = TMFS;
	report->data_mode = HBA_DATA_CPU;
}

static int set_properties(struct hba_controller *c)
{
	const struct hba_property properties[] = {
		{ .key = "Vendor Name", .type = HBA_STRING, .value.string = "hbakit" },
		{ .key = "Product Name", .type = HBA_STRING, .value.string = "software HBA" },
		{ .key = "Product Revision Level", .type = HBA_STRING, .value.string = hba_version() },
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(properties) && r == 0; i++)
		r = hba_set_property(c, NULL, &properties[i]);
	return r;
}

static int soft_initialize(struct hba_controller *c, struct hba_report *report)
{
	struct soft *soft = hba_controller_priv(c);
	struct soft_wishes w;
	int r;

	r = read_wishes(c, &w);
	if (r < 0)
		return r;
	r = target_device_init(&soft->device, (unsigned)w.luns + (w.scratch ? 1 : 0));
	if (r < 0)
		return hba_fail(c, r, "no memory for %" PRIu64 " units", w.luns);
	soft->device.one_thread = w.queues == 1;
	r = add_units(c, &w);
	if (r < 0)
		return r;
	r = add_scratch(c, &w);
	if (r < 0)
		return r;
	r = make_engines(c, &w);
	if (r < 0)
		return r;
	report_abilities(report, soft, &w);
	return set_properties(c);
}

static void soft_ended(struct target_command *command);

/* All that is the same in every command of this task is written here, once. */
static int soft_map_hba_data(struct hba_controller *c, struct hba_task *t, uint32_t *ret_id)
{
	struct soft *soft = hba_controller_priv(c);
	struct soft_task *st = t->hba_data;

	st->task = t;
	st->command.cdb = t->cdb;
	st->command.engine = soft->engines ? soft->engines[t->queue] : NULL;
	st->command.done = soft_ended;
	st->command.nexus = NEXUS;
	*ret_id = t->slot + 1U;
	return 0;
}

static int soft_start(struct hba_controller *c)
{
	struct soft *soft = hba_controller_priv(c);
	int r = 0;

	for (unsigned i = 0; soft->engines && i < soft->n_queues && r == 0; i++)
		r = hba_queue_watch(hba_controller_queue(c, i), engine_fd(soft->engines[i]), POLLIN);
	return r;
}

static struct engine *engine_of(struct hba_queue *q)
{
	struct soft *soft = hba_controller_priv(hba_queue_controller(q));

	return soft->engines ? soft->engines[hba_queue_index(q)] : NULL;
}

static void victim_ended(struct hba_task *manager)
{
	struct soft_task *waiting = manager->hba_data;

	/* The last one, on whatever queue it ends, answers for all. */
	if (__atomic_sub_fetch(&waiting->victims, 1, __ATOMIC_ACQ_REL) == 0)
		hba_tmf_complete(manager, HBA_FUNCTION_COMPLETE);
}

static void soft_ended(struct target_command *command)
{
	struct soft_task *st = container_of(command, struct soft_task, command);
	struct hba_task *manager = st->manager;
	struct hba_result result = {
		.outcome = command->outcome,
		.sent = HBA_SENT_YES,
		.bytes = command->bytes,
		.sense = command->sense,
		.sense_len = command->sense_len,
	};

	st->manager = NULL;
	hba_complete(st->task, &result);
	if (manager)
		victim_ended(manager);
}

static void soft_process_task(struct hba_queue *q, struct hba_task *t)
{
	struct soft *soft = hba_controller_priv(hba_queue_controller(q));
	struct soft_task *st = t->hba_data;
	struct target_command *command = &st->command;

	st->manager = NULL;
	command->cdb_len = t->cdb_len;
	command->direction = t->direction;
	command->attribute = t->attribute;
	command->length = t->length;
	command->iov = t->data.iov;
	command->n_iov = t->n_data;
	if (target_execute(&soft->device, &t->lun, command) == 0)
		soft_ended(command);
}

static void submit_batch(struct hba_queue *q, struct engine *e)
{
	/* The kernel is short of memory: nothing of ours would wake the loop, so time must. */
	if (engine_submit(e) < 0)
		hba_poll_within(q, RETRY_MS);
}

static void soft_kick(struct hba_queue *q)
{
	struct engine *e = engine_of(q);

	if (e)
		submit_batch(q, e);
}

static unsigned soft_poll(struct hba_queue *q, unsigned budget)
{
	struct engine *e = engine_of(q);
	unsigned n;

	if (!e)
		return 0;
	n = engine_reap(e, budget);
	submit_batch(q, e);
	return n;
}

/* The ring's fd stays readable while there is something in it: nothing to unmask, only to look again. */
static int soft_interrupts(struct hba_queue *q, bool on)
{
	struct engine *e = engine_of(q);

	return on && e && engine_ready(e);
}

/* ---- task management -------------------------------------------------------------------------------------------------- */

struct soft_tmf {
	struct hba_task *manager;
	enum hba_tmf function;
	struct target_device *device;
	struct target_unit *unit;
};

static bool is_victim(const struct soft_tmf *tmf, const struct hba_task *t)
{
	switch (tmf->function) {
	case HBA_ABORT_TASK:
		return t == tmf->manager->data.victim;
	case HBA_TARGET_RESET:
		return true;
	case HBA_CLEAR_ACA:
		return false;
	default:
		return target_device_unit(tmf->device, &t->lun) == tmf->unit;
	}
}

static void take_victim(struct hba_task *t, void *arg)
{
	struct soft_tmf *tmf = arg;
	struct soft_task *st = t->hba_data, *waiting = tmf->manager->hba_data;

	if (t->kind == HBA_TASK_TMF)
		return;
	/* An earlier function that was given up may have left its mark: it waits no more. */
	st->manager = NULL;
	if (!is_victim(tmf, t))
		return;
	st->manager = tmf->manager;
	__atomic_add_fetch(&waiting->victims, 1, __ATOMIC_RELAXED);
	target_abort(&st->command);
}

static void tell_units_of_reset(struct soft_tmf *tmf)
{
	if (tmf->function == HBA_LOGICAL_UNIT_RESET)
		target_unit_was_reset(tmf->unit);
	for (unsigned i = 0; tmf->function == HBA_TARGET_RESET && i < tmf->device->n_units; i++)
		target_unit_was_reset(&tmf->device->units[i]);
}

/* What an aborted command or an ACA held back goes on, and into the kernel: the other queues are fenced, none would send it. */
static void let_others_go_on(struct hba_queue *q, const struct soft *soft)
{
	for (unsigned i = 0; soft->engines && i < soft->n_queues; i++) {
		target_go_on(soft->engines[i]);
		submit_batch(q, soft->engines[i]);
	}
}

static void soft_manage(struct hba_queue *q, struct hba_task *t, enum hba_tmf function)
{
	struct hba_controller *c = hba_queue_controller(q);
	struct soft *soft = hba_controller_priv(c);
	struct soft_task *waiting = t->hba_data;
	struct soft_tmf tmf = { .manager = t, .function = function, .device = &soft->device };

	tmf.unit = target_device_unit(&soft->device, &t->lun);
	if (!(TMFS & HBA_TMF_BIT(function)) || (!tmf.unit && function != HBA_TARGET_RESET)) {
		hba_tmf_complete(t, HBA_FUNCTION_REJECTED);
		return;
	}
	/* One for ourselves, so that the function does not end before all victims are counted. */
	__atomic_store_n(&waiting->victims, 1, __ATOMIC_RELAXED);
	hba_for_each_task(c, NULL, take_victim, &tmf);
	tell_units_of_reset(&tmf);
	if (function == HBA_CLEAR_ACA)
		target_clear_aca(tmf.unit, NEXUS);
	let_others_go_on(q, soft);
	victim_ended(t);
}

/* ---- recovery, power, the end ----------------------------------------------------------------------------------------- */

static bool engines_drained(struct hba_controller *c, void *arg)
{
	struct soft *soft = hba_controller_priv(c);
	bool drained = true;

	(void)arg;
	for (unsigned i = 0; soft->engines && i < soft->n_queues; i++)
		if (soft->engines[i] && !engine_drained(soft->engines[i]))
			drained = false;
	return drained;
}

/* 0: the kernel reads and writes no memory of any task any more. */
static int drain(struct hba_controller *c)
{
	return engines_drained(c, NULL) ? 0 : hba_wait_for(c, engines_drained, NULL, DRAIN_MS);
}

static int forget_all(struct hba_controller *c)
{
	struct soft *soft = hba_controller_priv(c);

	for (unsigned i = 0; soft->engines && i < soft->n_queues; i++)
		if (soft->engines[i])
			target_forget_commands(soft->engines[i]);
	return drain(c);
}

static int soft_reset(struct hba_controller *c, enum hba_reset_level level)
{
	struct soft *soft = hba_controller_priv(c);
	int r;

	if (level != HBA_RESET_CONTROLLER)
		return -EOPNOTSUPP; /* there is no bus */
	r = forget_all(c);
	if (r < 0)
		return r;
	target_device_forget(&soft->device);
	for (unsigned i = 0; i < soft->device.n_units; i++)
		target_unit_was_reset(&soft->device.units[i]);
	return 0;
}

/* Units keep their contents while there is no power, so off is no more than quiet; the default would end them by stop. */
static int soft_set_power_state(struct hba_controller *c, enum hba_power state)
{
	return state == HBA_POWER_ON ? 0 : drain(c);
}

static void soft_stop(struct hba_controller *c)
{
	struct soft *soft = hba_controller_priv(c);

	if (forget_all(c) < 0) {
		/* Given back, this memory would be written by the kernel while somebody else has it. */
		hba_log(c, HBA_LOG_ERROR, "the kernel does not let go of some requests: their rings and files are left open");
		*soft = (struct soft) { 0 };
		return;
	}
	for (unsigned i = 0; soft->engines && i < soft->n_queues; i++)
		engine_free(soft->engines[i]);
	free(soft->engines);
	target_device_clear(&soft->device);
	*soft = (struct soft) { 0 };
}

static const struct hba_option soft_options[] = {
	{ "size", NULL, "bytes of each ram or null unit; 64M if not said" },
	{ "luns", NULL, "how many ram or null units; 1 if not said" },
	{ "block", "512", "bytes of a block: 512 or 4096" },
	{ "fill", NULL, "what null reads give: zero, or none to leave the buffer alone" },
	{ "scratch", NULL, "bytes of one more unit, in memory, after the others" },
	{ "readonly", NULL, "1: units refuse to be written" },
	{ "serial", NULL, "text to make serial numbers and NAA names from; else the file's path" },
	{ "tasks", "128", "commands that are out at once" },
	{ "queues", "1", "queues, each with a thread of its own" },
	{ 0 },
};

const struct hba_driver soft_driver = {
	HBA_DRIVER_HEADER,
	.name = "soft",
	.summary = "a software HBA with disks in memory, in a file, or nowhere",
	.scheme = "soft",
	.options = soft_options,
	.priv_size = sizeof(struct soft),
	.hba_data_size = sizeof(struct soft_task),
	.initialize = soft_initialize,
	.map_hba_data = soft_map_hba_data,
	.start = soft_start,
	.process_task = soft_process_task,
	.kick = soft_kick,
	.poll = soft_poll,
	.interrupts = soft_interrupts,
	.manage = soft_manage,
	.reset = soft_reset,
	.set_power_state = soft_set_power_state,
	.stop = soft_stop,
};
