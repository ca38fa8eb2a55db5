/* SPDX-License-Identifier: MIT */
/*
 * soft.c: an HBA of software, whose targets' units lie in memory, in a file, or nowhere. The model
 * of manners for drivers.
 *
 * What a disk does with a command is src/target's business. Here is what every driver does: read
 * the URI, report, prepare each task's memory once, hand tasks over, take completions, abort, and
 * let go of everything at the end.
 *
 * A task's HBA data is the command as src/target wants it, so nothing is looked up or allocated on
 * the way. Memory and null units end a task inside process_task, unless it is so long that it takes
 * turns in poll; a file's tasks end in poll, by the io_uring of the task's queue.
 *
 * A URI may give the controller nearly any shape (soft-options.c) with many disks (soft-units.c),
 * make it as picky about data as a chip (soft-segments.c), and put it in a bad fault
 * (soft-faults.c).
 *
 * Not done: hot changes of size.
 */
#include "drivers/drivers.h"

#include "base/base.h"
#include "drivers/soft-faults.h"
#include "drivers/soft-options.h"
#include "drivers/soft-segments.h"
#include "drivers/soft-units.h"
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

enum { DRAIN_MS = 5000, RETRY_MS = 1, SENSE_MS = 1000 };

/* A controller is one initiator: to its units it is always the same nexus. */
enum { NEXUS = 0 };

struct soft {
	struct soft_wishes wishes;
	struct soft_targets targets;
	struct engine **engines; /* one per queue; without an io_uring if no unit needs one */
	unsigned n_queues;
	struct segment_rules rules[2]; /* [0] of reads, [1] of writes */
	bool picky;                    /* lists are checked: there are rules */
	/* atomic: the rules, as bits, that have been broken and told of */
	unsigned breaches;
};

/* In a unit's memory. Moods find theirs at its beginning. */
struct soft_unit {
	struct fault_unit fault;
	/*
	 * atomic, ns: until then its sense waits for REQUEST SENSE; 0 = there is none. Without
	 * autosense only
	 */
	uint64_t sense_until;
};

/* A task's HBA data. */
struct soft_task {
	struct target_command command;
	struct fault_task fault;
	const struct soft *soft;
	struct hba_task *task;
	struct hba_queue *queue;
	struct hba_task *manager; /* the tmf task that waits for this one to end; NULL: none */
	uint8_t features;         /* that negotiation agrees to */
	/* of a tmf task: how many it still waits for. Atomic: they end on their own queues */
	unsigned victims;
	struct iovec iov[]; /* DMA mode: the segments, as this process sees them */
};

/* ---- what is made at the beginning */

/* NULL: there is no such target. */
static struct target_device *device_of(const struct soft *soft, uint64_t id)
{
	uint64_t target = id > soft->wishes.initiator ? id - 1 : id;

	return id != soft->wishes.initiator && target < soft->targets.n
		       ? &soft->targets.devices[target]
		       : NULL;
}

/* Targets are alike: the first speaks for all. */
static bool needs_rings(const struct target_device *d)
{
	for (unsigned i = 0; i < d->n_units; i++)
		if (d->units[i].store->needs_engine)
			return true;
	return false;
}

static int fail_engine(struct hba_controller *c, const struct soft_wishes *w, unsigned depth,
		       int error)
{
	if (depth == 0)
		return hba_fail(c, error,
				"no eventfd for each of %" PRIu64
				" queues: %s; see ulimit -n, or fewer queues",
				w->queues, strerror(-error));
	return hba_fail(c, error,
			"no io_uring of %u entries for %s: %s; see kernel.io_uring_disabled, or "
			"fewer tasks",
			depth, w->path, strerror(-error));
}

/*
 * One per queue, and so deep that each of the queue's tasks finds an entry without a system call.
 */
static int make_engines(struct hba_controller *c, const struct soft_wishes *w)
{
	struct soft *soft = hba_controller_priv(c);
	unsigned most =
		(unsigned)divide_up(w->tasks + SOFT_INTERNAL_TASKS + SOFT_TMF_TASKS, w->queues);
	unsigned depth = needs_rings(&soft->targets.devices[0]) ? most : 0;
	int r;

	soft->engines = calloc(w->queues, sizeof(struct engine *));
	if (!soft->engines)
		return hba_fail(c, -ENOMEM, "no memory for %" PRIu64 " queues", w->queues);
	soft->n_queues = (unsigned)w->queues;
	for (unsigned i = 0; i < soft->n_queues; i++) {
		r = engine_create(depth, &soft->engines[i]);
		if (r < 0)
			return fail_engine(c, w, depth, r);
	}
	for (unsigned i = 0; i < soft->targets.n; i++) {
		soft->targets.devices[i].engines = soft->engines;
		soft->targets.devices[i].n_engines = soft->n_queues;
	}
	return 0;
}

/* ---- the table's ops, in the order of life */

static void report_place(struct hba_report *report, const struct soft *soft)
{
	const struct soft_wishes *w = &soft->wishes;

	report->initiator_id = w->initiator;
	report->highest_target_id = soft_target_id(w, w->targets - 1);
	report->highest_lun = soft->targets.devices[0].n_units - 1;
	report->manages_devices = w->managed;
	report->multipath = w->multipath;
	report->hierarchical_luns = w->hierarchical;
	report->features = w->features;
}

static void report_pool(struct hba_report *report, const struct soft_wishes *w)
{
	report->max_tasks = w->tasks;
	report->internal_tasks = SOFT_INTERNAL_TASKS;
	report->queues = w->queues;
	report->tag_bits = w->tag_bits;
	report->max_cdb = w->max_cdb;
	report->tmfs = w->tmfs;
	report->performs_autosense = w->autosense;
}

/* What is HBA_UNSET in the wishes stays so in the report. */
static void report_data(struct hba_report *report, const struct soft_wishes *w)
{
	const struct hba_constraints *k = &w->constraints;
	uint64_t most = k->max_segments_read > k->max_segments_write ? k->max_segments_read
								     : k->max_segments_write;

	report->data_mode = (uint64_t)w->data;
	report->constraints = *k;
	/* HBA data are only for us: no rule about data is one for them */
	report->control_address_bits = 64;
	if (w->data == HBA_DATA_DMA)
		report->hba_data_size = sizeof(struct soft_task) + most * sizeof(struct iovec);
}

static void set_rules(struct soft *soft)
{
	for (unsigned writing = 0; writing <= 1; writing++)
		soft->rules[writing] = segment_rules_from(&soft->wishes.constraints, writing);
	soft->picky = segment_rules_exist(&soft->rules[0]) || segment_rules_exist(&soft->rules[1]);
}

static int set_properties(struct hba_controller *c, bool fill_none)
{
	const struct hba_property properties[] = {
		{ .key = "Vendor Name", .type = HBA_STRING, .value.string = "hbakit" },
		{ .key = "Product Name", .type = HBA_STRING, .value.string = "software HBA" },
		{ .key = "Product Revision Level",
		  .type = HBA_STRING,
		  .value.string = hba_version() },
	};
	/* Whoever passes data on to others must know. */
	const struct hba_property undefined = { .key = "Undefined Reads",
						.type = HBA_NUMBER,
						.value.number = 1 };
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(properties) && r == 0; i++)
		r = hba_set_property(c, NULL, &properties[i]);
	if (r == 0 && fill_none)
		r = hba_set_property(c, NULL, &undefined);
	return r;
}

static int soft_initialize(struct hba_controller *c, struct hba_report *report)
{
	struct soft *soft = hba_controller_priv(c);
	int r;

	r = soft_read_wishes(c, &soft->wishes);
	if (r < 0)
		return r;
	r = soft_make_targets(c, &soft->wishes, &soft->targets);
	if (r < 0)
		return r;
	r = make_engines(c, &soft->wishes);
	if (r < 0)
		return r;
	set_rules(soft);
	report_place(report, soft);
	report_pool(report, &soft->wishes);
	report_data(report, &soft->wishes);
	return set_properties(c, soft->wishes.fill_none);
}

/* The frame is the chip's own memory: it has to lie where the report said it must. */
static int check_frame(struct hba_controller *c, const struct hba_task *t)
{
	const struct soft *soft = hba_controller_priv(c);
	uint64_t mask = soft->wishes.constraints.hba_data_mask;

	if (mask == HBA_UNSET || !(t->hba_iova.bus & ~mask))
		return 0;
	return hba_fail(c, -EFAULT,
			"HBA data of slot %u at %#" PRIx64 ", outside the mask %#" PRIx64, t->slot,
			t->hba_iova.bus, mask);
}

static void soft_ended(struct target_command *command);

/* All that is the same in every command of this task is written here, once. */
static int soft_map_hba_data(struct hba_controller *c, struct hba_task *t, uint32_t *ret_id)
{
	struct soft *soft = hba_controller_priv(c);
	struct soft_task *st = t->hba_data;
	int r = check_frame(c, t);

	if (r < 0)
		return r;
	st->soft = soft;
	st->task = t;
	st->queue = hba_controller_queue(c, t->queue);
	fault_task_begin(&st->fault, t);
	st->command.cdb = t->cdb;
	st->command.engine = soft->engines ? soft->engines[t->queue] : NULL;
	st->command.done = soft_ended;
	st->command.nexus = NEXUS;
	st->command.iov = st->iov; /* of a chip; otherwise each task brings a list of its own */
	st->features = (uint8_t)soft->wishes.features;
	*ret_id = t->slot + 1U;
	return 0;
}

/* Also after a reset: what was late is forgotten. */
static int soft_start(struct hba_controller *c)
{
	struct soft *soft = hba_controller_priv(c);
	int r = 0;

	for (unsigned i = 0; i < soft->wishes.queues; i++)
		fault_queue_begin(hba_queue_priv(hba_controller_queue(c, i)));
	for (unsigned i = 0; soft->engines && i < soft->n_queues && r == 0; i++)
		r = hba_queue_watch(hba_controller_queue(c, i), engine_fd(soft->engines[i]),
				    POLLIN);
	return r;
}

/* Firmware that knows its targets tells them all, each time it is asked. */
static int soft_discover(struct hba_controller *c)
{
	const struct soft *soft = hba_controller_priv(c);
	int r = 0;

	for (unsigned target = 0; target < soft->targets.n && r >= 0; target++)
		r = hba_target_create(c, soft_target_id(&soft->wishes, target), NULL);
	if (r >= 0)
		hba_discovery_done(c);
	return r < 0 ? r : 0;
}

static int soft_initialize_target(struct hba_controller *c, struct hba_target *tgt,
				  struct hba_target_report *report)
{
	const struct soft *soft = hba_controller_priv(c);

	(void)tgt;
	if (soft->wishes.depth < report->depth)
		report->depth = soft->wishes.depth;
	return 0;
}

static struct engine *engine_of(struct hba_queue *q)
{
	struct soft *soft = hba_controller_priv(hba_queue_controller(q));

	return soft->engines ? soft->engines[hba_queue_index(q)] : NULL;
}

/* ---- a task's way */

static void victim_ended(struct hba_task *manager)
{
	struct soft_task *waiting = manager->hba_data;

	/* The last one, on whatever queue it ends, answers for all. */
	if (__atomic_sub_fetch(&waiting->victims, 1, __ATOMIC_ACQ_REL) == 0)
		hba_tmf_complete(manager, HBA_FUNCTION_COMPLETE);
}

/* Nothing of the task may be touched after this. */
static void soft_complete(struct soft_task *st, const struct hba_result *result)
{
	struct hba_task *manager = st->manager;

	st->manager = NULL;
	fault_leave(&st->fault);
	hba_complete(st->task, result);
	if (manager)
		victim_ended(manager);
}

/*
 * ---- sense that does not come with the status
 *
 * The unit keeps it until the next command. One that is on its way already would drop it unread, so
 * from CHECK CONDITION on nothing but REQUEST SENSE is let through, for a while.
 */

static bool waits_for_sense(const struct soft_task *st)
{
	const struct soft_unit *unit;

	if (st->soft->wishes.autosense || st->task->cdb[0] == SCSI_REQUEST_SENSE)
		return false;
	unit = hba_task_lun_priv(st->task);
	return __atomic_load_n(&unit->sense_until, __ATOMIC_RELAXED) >
	       hba_now(hba_queue_controller(st->queue));
}

static void note_sense(const struct soft_task *st)
{
	struct soft_unit *unit;

	if (st->soft->wishes.autosense)
		return;
	unit = hba_task_lun_priv(st->task);
	if (st->command.outcome == HBA_CHECK_CONDITION) {
		__atomic_store_n(&unit->sense_until,
				 hba_now(hba_queue_controller(st->queue)) +
					 SENSE_MS * (uint64_t)NS_PER_MS,
				 __ATOMIC_RELAXED);
	} else if (st->task->cdb[0] == SCSI_REQUEST_SENSE) {
		__atomic_store_n(&unit->sense_until, 0, __ATOMIC_RELAXED);
		hba_ready(st->queue, hba_task_target(st->task), &st->task->lun);
	}
}

/* ---- a file whose flush failed */

static void look_for_failed_flush(const struct soft_task *st)
{
	const struct target_unit *unit = st->command.unit;
	int error = unit ? store_take_flush_error(unit->store) : 0;

	if (error)
		hba_writes_lost(hba_queue_controller(st->queue), hba_task_target(st->task),
				&st->task->lun,
				"%s: a flush failed (%s): writes since the last successful flush "
				"may be lost, and no later flush "
				"will succeed; check the storage beneath, then close this disk and "
				"open it again",
				st->soft->wishes.path, strerror(error));
}

static void soft_ended(struct target_command *command)
{
	struct soft_task *st = container_of(command, struct soft_task, command);
	struct hba_result result = {
		.outcome = command->outcome,
		.sent = HBA_SENT_YES,
		.bytes = command->bytes,
		.sense = command->sense,
		.sense_len = command->sense_len,
		.negotiated = st->task->negotiate & st->features,
		.reverted = st->task->revert,
	};

	if (command->outcome == HBA_CHECK_CONDITION)
		look_for_failed_flush(st);
	note_sense(st);
	soft_complete(st, &result);
}

/* ---- a chip looks at its segments */

static void tell_breach(struct hba_queue *q, const struct hba_task *t, enum segment_rule rule)
{
	struct hba_controller *c = hba_queue_controller(q);
	struct soft *soft = hba_controller_priv(c);
	unsigned bit = 1U << rule;

	/* Once for each rule: whoever breaks one breaks it in every task. */
	if (!(__atomic_fetch_or(&soft->breaches, bit, __ATOMIC_RELAXED) & bit))
		hba_log(c, HBA_LOG_ERROR,
			"the data of the task with unique id %u, %" PRIu64
			" bytes in %u segments, break a rule that was reported: %s",
			t->unique_id, t->length, t->n_data, segment_rule_name(rule));
}

/* The list as this process sees it: without a bus, an IOVA is an address. */
static enum segment_rule take_segments(const struct segment_rules *rules, const struct hba_task *t,
				       struct iovec *iov)
{
	enum segment_rule broken = segment_check_list(rules, t->n_data, t->length, t->length);
	uint64_t sum = 0;

	for (uint32_t i = 0; i < t->n_data && broken == SEGMENT_FITS; i++) {
		const struct hba_segment *s = &t->data.segments[i];

		broken = segment_check(rules, s->iova.bus, s->length);
		sum += s->length;
		iov[i] = (struct iovec) { (void *)(uintptr_t)s->iova.bus, s->length };
	}
	return broken == SEGMENT_FITS ? segment_check_list(rules, t->n_data, sum, t->length)
				      : broken;
}

static enum segment_rule check_items(const struct segment_rules *rules, const struct hba_task *t)
{
	enum segment_rule broken = SEGMENT_FITS;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < t->n_data && broken == SEGMENT_FITS; i++) {
		broken = segment_check(rules, (uintptr_t)t->data.iov[i].iov_base,
				       t->data.iov[i].iov_len);
		sum += t->data.iov[i].iov_len;
	}
	return broken == SEGMENT_FITS ? segment_check_list(rules, t->n_data, sum, t->length)
				      : broken;
}

/* false: the list breaks a rule. */
static bool take_data(struct hba_queue *q, struct soft_task *st)
{
	const struct soft *soft = st->soft;
	const struct segment_rules *rules = &soft->rules[st->task->direction == HBA_TO_TARGET];
	const struct hba_task *t = st->task;
	enum segment_rule broken = SEGMENT_FITS;

	st->command.length = t->length;
	st->command.n_iov = t->n_data;
	if (soft->wishes.data == HBA_DATA_DMA) {
		broken = take_segments(rules, t, st->iov);
	} else {
		st->command.iov = t->data.iov;
		if (soft->picky)
			broken = check_items(rules, t);
	}
	if (broken != SEGMENT_FITS)
		tell_breach(q, t, broken);
	return broken == SEGMENT_FITS;
}

/* ---- to the disk and back */

static void run_task(struct hba_queue *q, struct soft_task *st)
{
	const struct soft *soft = st->soft;
	struct target_device *device = device_of(soft, st->task->target);
	struct target_command *command = &st->command;

	if (!device) {
		soft_complete(st, &(struct hba_result) { .outcome = HBA_NOT_PRESENT,
							 .sent = HBA_SENT_NO });
		return;
	}
	if (!take_data(q, st)) {
		soft_complete(st, &(struct hba_result) { .outcome = HBA_NOT_DELIVERED,
							 .sent = HBA_SENT_NO });
		return;
	}
	command->cdb_len = st->task->cdb_len;
	command->direction = st->task->direction;
	command->attribute = st->task->attribute;
	if (target_execute(device, &st->task->lun, command) == 0)
		soft_ended(command);
}

static void rouse_unit_of(const struct soft *soft, const struct hba_task *t)
{
	struct target_device *device = device_of(soft, t->target);
	struct target_unit *unit = device ? target_device_unit(device, &t->lun) : NULL;

	if (unit)
		target_attention(unit, TARGET_WAS_RESET, TARGET_NO_NEXUS);
}

static void soft_process_task(struct hba_queue *q, struct hba_task *t)
{
	struct soft_task *st = t->hba_data;
	const struct soft *soft = st->soft;

	st->manager = NULL;
	if (waits_for_sense(st)) {
		hba_requeue(t, HBA_SCOPE_LUN);
		return;
	}
	switch (fault_arrive(&soft->wishes.fault, q, &st->fault)) {
	case FAULT_KEPT:
		return;
	case FAULT_ATTENTION:
		rouse_unit_of(soft, t);
		break;
	case FAULT_RUN:
		break;
	}
	run_task(q, st);
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

static unsigned run_due(struct hba_queue *q, unsigned budget)
{
	struct hba_task *t;
	unsigned n = 0;

	while (n < budget && (t = fault_due(q)) && !waits_for_sense(t->hba_data)) {
		fault_call_back(&((struct soft_task *)t->hba_data)->fault);
		run_task(q, t->hba_data);
		n++;
	}
	fault_rest(q);
	return n;
}

static unsigned soft_poll(struct hba_queue *q, unsigned budget)
{
	struct engine *e = engine_of(q);
	unsigned n = run_due(q, budget);

	if (!e)
		return n;
	if (n < budget)
		n += engine_reap(e, budget - n);
	submit_batch(q, e);
	return n;
}

/*
 * The ring's fd stays readable while there is something in it: nothing to unmask, only to look
 * again.
 */
static int soft_interrupts(struct hba_queue *q, bool on)
{
	struct engine *e = engine_of(q);

	return on && ((e && engine_ready(e)) || fault_ready(q));
}

/* ---- task management */

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
	if (fault_call_back(&st->fault))
		soft_complete(st, &(struct hba_result) { .outcome = HBA_TASK_ABORTED,
							 .sent = HBA_SENT_YES });
	else
		target_abort(&st->command);
}

static void tell_units_of_reset(struct soft_tmf *tmf)
{
	if (tmf->function == HBA_LOGICAL_UNIT_RESET)
		target_unit_was_reset(tmf->unit);
	for (unsigned i = 0; tmf->function == HBA_TARGET_RESET && i < tmf->device->n_units; i++)
		target_unit_was_reset(&tmf->device->units[i]);
}

/*
 * What an aborted command or an ACA held back goes on, and into the kernel: the other queues are
 * fenced, none would send it.
 */
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
	struct soft_tmf tmf = { .manager = t,
				.function = function,
				.device = device_of(soft, t->target) };

	tmf.unit = tmf.device ? target_device_unit(tmf.device, &t->lun) : NULL;
	if (!(soft->wishes.tmfs & HBA_TMF_BIT(function)) || !tmf.device ||
	    (!tmf.unit && function != HBA_TARGET_RESET)) {
		hba_tmf_complete(t, HBA_FUNCTION_REJECTED);
		return;
	}
	/* One for ourselves, so that the function does not end before all victims are counted. */
	__atomic_store_n(&waiting->victims, 1, __ATOMIC_RELAXED);
	hba_for_each_task(c, hba_task_target(t), take_victim, &tmf);
	tell_units_of_reset(&tmf);
	if (function == HBA_CLEAR_ACA)
		target_clear_aca(tmf.unit, NEXUS);
	let_others_go_on(q, soft);
	victim_ended(t);
}

/* ---- recovery, power, the end */

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

/* The framework ends it; here its place in the unit is free again. */
static void forget_task(struct hba_task *t, void *arg)
{
	struct soft_task *st = t->hba_data;

	(void)arg;
	fault_call_back(&st->fault);
	fault_leave(&st->fault);
}

static void reset_units(struct target_device *device)
{
	target_device_forget(device);
	for (unsigned i = 0; i < device->n_units; i++)
		target_unit_was_reset(&device->units[i]);
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
	hba_for_each_task(c, NULL, forget_task, NULL);
	for (unsigned i = 0; i < soft->targets.n; i++)
		reset_units(&soft->targets.devices[i]);
	return 0;
}

/*
 * Units keep their contents while there is no power, so off is no more than quiet; the default
 * would end them by stop.
 */
static int soft_set_power_state(struct hba_controller *c, enum hba_power state)
{
	return state == HBA_POWER_ON ? 0 : drain(c);
}

static void soft_stop(struct hba_controller *c)
{
	struct soft *soft = hba_controller_priv(c);

	if (forget_all(c) < 0) {
		/*
		 * Given back, this memory would be written by the kernel while somebody else has
		 * it.
		 */
		hba_log(c, HBA_LOG_ERROR,
			"the kernel has not finished some requests: their rings and files are "
			"left open");
		*soft = (struct soft) { 0 };
		return;
	}
	for (unsigned i = 0; soft->engines && i < soft->n_queues; i++)
		engine_free(soft->engines[i]);
	free(soft->engines);
	soft_free_targets(&soft->targets);
	*soft = (struct soft) { 0 };
}

const struct hba_driver soft_driver = {
	HBA_DRIVER_HEADER,
	.name = "soft",
	.summary = "a software HBA with disks in memory, in a file, or nowhere",
	.scheme = "soft",
	.options = soft_options,
	.priv_size = sizeof(struct soft),
	.queue_priv_size = sizeof(struct fault_queue),
	.lun_priv_size = sizeof(struct soft_unit),
	.hba_data_size = sizeof(struct soft_task),
	.initialize = soft_initialize,
	.map_hba_data = soft_map_hba_data,
	.start = soft_start,
	.discover = soft_discover,
	.initialize_target = soft_initialize_target,
	.process_task = soft_process_task,
	.kick = soft_kick,
	.poll = soft_poll,
	.interrupts = soft_interrupts,
	.manage = soft_manage,
	.reset = soft_reset,
	.set_power_state = soft_set_power_state,
	.stop = soft_stop,
};
