/* SPDX-License-Identifier: MIT */
/*
 * lifecycle.c: a controller's life, from open to close: one table of transitions, every step timed,
 * every failure unwound in one place.
 *
 *	created ─> initialised ─> mapped ─> started ⇄ paused, resetting ─> stopped
 *	gone, dead: final
 */
#include "core/controller/controller.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	DEFAULT_START_MS = 60 * MS_PER_S,
	MAP_MS = 60 * MS_PER_S,
	OPEN_MS = 20 * MS_PER_S,
	DEFAULT_SLOW_MS = MS_PER_S,
	DRAIN_MS = 5 * MS_PER_S,
};

/* The size of version 1, for options whose size is 0. */
#define OPTIONS_1 offsetof(struct hba_options, timeout_ms)

/* ---- made, not touched */

static int take_plan(struct hba_controller *c, const struct controller_plan *plan)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	c->uri = strdup(plan->uri);
	c->path = strdup(plan->path);
	c->query = plan->query ? strdup(plan->query) : NULL;
	c->bus.table = plan->bus;
	c->name = strdup(plan->options && plan->options->name ? plan->options->name : pid);
	if (!c->uri || !c->path || !c->name || (plan->query && !c->query))
		return fail(-ENOMEM, "no memory for a controller");
	if (plan->options)
		memcpy(&c->given, plan->options,
		       plan->options->size ? plan->options->size : OPTIONS_1);
	c->given.name = c->name;
	c->slow_ns = (c->given.slow_ms ? c->given.slow_ms : DEFAULT_SLOW_MS) * NS_PER_MS;
	c->slow_at = NO_DEADLINE;
	c->driver = &c->table;
	c->clock = plan->clock ? plan->clock : &clock_monotonic;
	c->variant = plan->variant;
	return 0;
}

static void controller_free(struct hba_controller *c)
{
	sleeper_fini(&c->sleeper);
	uri_options_free(c);
	pthread_mutex_destroy(&c->info_lock);
	pthread_mutex_destroy(&c->events.lock);
	pthread_mutex_destroy(&c->driver_events.lock);
	inbox_fini(&c->inbox);
	/* Memory that a device may still write is never reused: leaked on purpose. */
	if (!c->lost)
		memory_fini(c);
	free(c->uri);
	free(c->path);
	free(c->query);
	free(c->name);
	free(c);
}

int controller_new(const struct controller_plan *plan, struct hba_controller **ret_c)
{
	struct hba_controller *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return fail(-ENOMEM, "no memory for a controller");
	c->sleeper = (struct sleeper) { .epoll = -1, .wake = -1, .timer = -1 };
	list_init(&c->targets);
	list_init(&c->starving);
	list_init(&c->looks);
	list_init(&c->tmf.waiting);
	list_init(&c->driver_events.list);
	inbox_init(&c->inbox);
	pthread_mutex_init(&c->driver_events.lock, NULL);
	list_init(&c->tmf.decided);
	memory_init(&c->memory);
	pthread_mutex_init(&c->events.lock, NULL);
	pthread_mutex_init(&c->info_lock, NULL);
	r = take_plan(c, plan);
	if (r == 0)
		r = driver_take(plan->driver, c->uri, &c->table);
	if (r == 0)
		r = sleeper_init(&c->sleeper);
	if (r == 0 && plan->query)
		r = uri_options_parse(c, plan->query);
	if (r < 0) {
		controller_free(c);
		return r;
	}
	c->loaded = plan->loaded;
	c->unload = plan->unload;
	*ret_c = c;
	return 0;
}

/* ---- the steps up */

static int run_open(struct hba_controller *c, struct job *job)
{
	int r = device_open(c);

	(void)job;
	if (r < 0)
		fail(r, "%s: %s", c->uri, c->op_sentence);
	snprintf(c->sentence, sizeof(c->sentence), "%s", r < 0 ? hba_error() : "");
	return r;
}

static int lifecycle_run_initialize(struct hba_controller *c, struct job *job)
{
	uint64_t violations = c->violations;
	int r;

	(void)job;
	report_prepare(c->driver, &c->report);
	/*
	 * Straight into its place: the address fields count for the driver's first buffer already.
	 */
	r = driver_initialize(c, &c->report);
	if (r == 0)
		r = report_check(c, &c->report);
	else if (c->violations == violations)
		r = driver_error(c, "initialize", r);
	snprintf(c->sentence, sizeof(c->sentence), "%s", r < 0 ? hba_error() : "");
	return r;
}

static int create_pool(struct hba_controller *c)
{
	int r = pool_prepare(c);

	if (r < 0)
		return r;
	/* The bounce space lies behind the arena, and before what the driver takes. */
	r = data_setup(c);
	return r < 0 ? pool_no_memory(c, r) : pool_name(c);
}

static int run_map(struct hba_controller *c, struct job *job)
{
	int r = queues_create(c);

	(void)job;
	if (r == 0)
		r = create_pool(c);
	snprintf(c->sentence, sizeof(c->sentence), "%s", r < 0 ? hba_error() : "");
	return r;
}

static int run_start(struct hba_controller *c, struct job *job)
{
	uint64_t violations = c->violations;
	int r = driver_start(c);

	(void)job;
	if (r < 0 && c->violations == violations)
		driver_error(c, "start", r);
	snprintf(c->sentence, sizeof(c->sentence), "%s", r < 0 ? hba_error() : "");
	return r;
}

static int lifecycle_run_stop(struct hba_controller *c, struct job *job)
{
	(void)job;
	/* It may have stopped before, and its registers be no longer there. */
	return c->letting_go.stopped ? device_quiet(c) : quiesce_device(c);
}

static int run_close(struct hba_controller *c, struct job *job)
{
	(void)job;
	memory_release_driver(c);
	device_close(c);
	return 0;
}

static int take_step(struct hba_controller *c, const char *name,
		     int (*run)(struct hba_controller *c, struct job *job), unsigned ms)
{
	struct job job = { .name = name, .step = true, .may_map = true, .ms = ms, .run = run };
	int r = worker_call(c, &job);

	/* The sentence was the service thread's; now it is the caller's. A stuck op has its own. */
	return r < 0 && !controller_is_stuck(c) ? fail(r, "%s", c->sentence) : r;
}

/* ---- a start is bounded, and may be called off */

static int call_off(const struct hba_controller *c)
{
	return fail(-ECANCELED, "%s: the start was cancelled", c->uri);
}

static unsigned start_ms(const struct hba_controller *c)
{
	return c->given.start_ms ? c->given.start_ms : DEFAULT_START_MS;
}

/* Of the time for the start; 0: it is over. */
static unsigned start_ms_left(const struct hba_controller *c)
{
	uint64_t now = c->clock->now(c->clock);

	return now < c->start_until ? (unsigned)((c->start_until - now + NS_PER_MS - 1) / NS_PER_MS)
				    : 0;
}

static int climb(struct hba_controller *c, const char *name,
		 int (*run)(struct hba_controller *c, struct job *job), unsigned ms)
{
	unsigned left = start_ms_left(c);
	int r = 0;

	if (!left)
		return fail(-ETIMEDOUT,
			    "%s: the start has not ended after %u ms, and %s is still to be done",
			    c->uri, start_ms(c), name);
	if (!start_is_cancelled(c))
		r = take_step(c, name, run, ms < left ? ms : left);
	return start_is_cancelled(c) && !controller_is_stuck(c) ? call_off(c) : r;
}

static bool scan_over_or_called_off(struct hba_controller *c)
{
	return start_is_cancelled(c) || scan_over(c);
}

static int scan_wait(struct hba_controller *c)
{
	int r = scan_begin(c);

	if (r == 0)
		r = loop_until(c, scan_over_or_called_off, start_ms_left(c));
	if (start_is_cancelled(c))
		return call_off(c);
	return r == -ETIMEDOUT
		       ? fail(r, "%s: the start has not ended after %u ms; it is still scanning",
			      c->uri, start_ms(c))
		       : r;
}

/* ---- all of them */

static int bring_up(struct hba_controller *c)
{
	int r = worker_start(c, quiesce_stuck);

	if (r < 0)
		return r;
	c->priv = c->driver->priv_size ? calloc(1, c->driver->priv_size) : NULL;
	if (c->driver->priv_size && !c->priv)
		return fail(-ENOMEM, "%s: no memory for the driver", c->uri);
	if (c->bus.table) {
		r = climb(c, "open", run_open, OPEN_MS);
		if (r < 0)
			return r;
	}
	r = climb(c, "initialize", lifecycle_run_initialize, DEFAULT_OP_MS);
	if (r < 0)
		return r;
	controller_move(c, HBA_INITIALISED);
	r = climb(c, "map_hba_data", run_map, MAP_MS);
	if (r < 0)
		return r;
	controller_move(c, HBA_MAPPED);
	r = climb(c, "start", run_start, DEFAULT_OP_MS);
	if (r < 0)
		return r;
	controller_move(c, HBA_STARTED);
	c->inbox.over = false;
	__atomic_store_n(&c->accepting, true, __ATOMIC_RELAXED);
	return scan_wait(c);
}

/* ---- the steps down */

/* Ends every task through its done, then the driver. */
static int take_down(struct hba_controller *c)
{
	struct job job = { .name = "stop", .step = true, .run = lifecycle_run_stop };
	int r;

	runner_stop(c);
	__atomic_store_n(&c->accepting, false, __ATOMIC_RELAXED);
	intake_turn(c);
	queue_flush(c, NULL, HBA_NOT_DELIVERED);
	admit_none(c, NULL);
	if (c->state == HBA_STARTED)
		loop_until(c, quiesce_reached, DRAIN_MS);
	r = controller_is_stuck(c) ? -ETIMEDOUT : worker_call(c, &job);
	__atomic_store_n(&c->lost, r < 0, __ATOMIC_RELEASE);
	tmf_lost(c);
	queue_end_lost(c, c->lost);
	quiesce_answer(c);
	if (c->lost) {
		controller_move(c, HBA_DEAD);
		worker_stop(c);
		return quiesce_failed(c);
	}
	take_step(c, "close", run_close, 0);
	worker_stop(c);
	free(c->priv);
	c->priv = NULL;
	return 0;
}

static void forget(struct hba_controller *c)
{
	driver_events_free(c);
	scan_free(c);
	targets_free(c);
	pool_destroy(c);
	queues_destroy(c);
	properties_clear(&c->properties);
	/* A start that failed may have got as far as I/O; the next one begins with none of it. */
	c->recovery = (struct recovery) { 0 };
	c->letting_go = (struct letting_go) { 0 };
	c->silent = false;
	c->next_queue = 0;
	c->device_errors = 0;
	c->rescan_wanted = false;
}

/* Only the way up is cut short: what unwinds it, and what stops the chip later, has its time. */
static int start_bounded(struct hba_controller *c)
{
	int r;

	c->start_until = c->clock->now(c->clock) + start_ms(c) * (uint64_t)NS_PER_MS;
	__atomic_store_n(&c->starting, true, __ATOMIC_RELEASE);
	r = bring_up(c);
	__atomic_store_n(&c->starting, false, __ATOMIC_RELEASE);
	__atomic_store_n(&c->start_cancelled, false, __ATOMIC_RELEASE);
	return r;
}

void hba_controller_cancel(struct hba_controller *c)
{
	if (!c)
		return;
	__atomic_store_n(&c->start_cancelled, true, __ATOMIC_RELEASE);
	loop_wake(c);
}

/*
 * A child of fork() has a copy of the controller, but none of its threads, and the device is still
 * its parent's: to wait for them would hang, to stop the device would end the parent's I/O.
 */
static bool is_copy_of_parents(const struct hba_controller *c)
{
	return c->worker.up && c->process != getpid();
}

int hba_controller_start(struct hba_controller *c)
{
	char sentence[SENTENCE_BYTES];
	int r;

	if (!c)
		return wrong_use("the controller is NULL");
	if (c->state != HBA_CREATED || controller_is_stuck(c))
		return fail(-EBUSY, "%s: the controller is %s; it starts once, open it anew",
			    c->uri, hba_state_name(c->state));
	c->n_steps = 0;
	c->process = getpid();
	__atomic_store_n(&c->loop_thread, thread_here(), __ATOMIC_RELAXED);
	r = start_bounded(c);
	if (r == 0 && c->given.threads)
		r = runner_start(c);
	if (r == 0)
		return 0;
	snprintf(sentence, sizeof(sentence), "%s", hba_error());
	if (c->worker.up && take_down(c) == 0) {
		forget(c);
		if (c->state != HBA_CREATED)
			controller_move(c, HBA_CREATED);
	}
	return fail(r, "%s", sentence);
}

int hba_controller_stop(struct hba_controller *c)
{
	int r;

	if (!c)
		return wrong_use("the controller is NULL");
	if (in_callback(c))
		return fail(-EBUSY, "%s: not from a callback of the same controller", __func__);
	if (is_copy_of_parents(c))
		return wrong_use("the controller runs in the parent of this process");
	if (c->state == HBA_CREATED || c->state == HBA_STOPPED)
		return 0;
	if (!c->worker.up || controller_is_stuck(c)) {
		runner_stop(c);
		return fail(-EIO, "%s: the controller is %s", c->uri, hba_state_name(c->state));
	}
	r = take_down(c);
	if (r == 0 && c->state != HBA_DEAD && c->state != HBA_GONE)
		controller_move(c, HBA_STOPPED);
	return r;
}

void hba_controller_close(struct hba_controller *c)
{
	if (!c)
		return;
	if (in_callback(c)) {
		misuse("not from a callback of the same controller");
		return;
	}
	if (is_copy_of_parents(c)) {
		misuse("the controller runs in the parent of this process");
		return;
	}
	hba_controller_stop(c);
	if (controller_is_stuck(c))
		return; /* the op that never came back may still use all of it: leaked on purpose */
	forget(c);
	if (c->loaded)
		c->unload(c->loaded);
	controller_free(c);
}

/* ---- looking */

const char *hba_controller_driver(const struct hba_controller *c)
{
	assert(c);
	return c->driver->name;
}

const char *hba_controller_uri(const struct hba_controller *c)
{
	assert(c);
	return c->uri;
}

const struct hba_report *hba_controller_report(const struct hba_controller *c)
{
	assert(c);
	return hba_controller_state(c) == HBA_CREATED ? NULL : &c->report;
}

void hba_controller_counts(const struct hba_controller *c, struct hba_counts *ret_counts)
{
	const struct pool *p = &c->pool;

	assert(c && ret_counts);
	*ret_counts = (struct hba_counts) {
		.client_tasks = p->n_clients,
		.internal_tasks = p->n ? c->report.internal_tasks : 0,
		.tmf_tasks = p->n ? TMF_TASKS : 0,
		.hba_data_mapped = p->named,
		.hba_data_bytes = p->bytes,
		.hba_data_ns = p->ns,
		.io_path_mappings = __atomic_load_n(&c->memory.io_path_mappings, __ATOMIC_RELAXED),
	};
}

unsigned hba_controller_steps(const struct hba_controller *c, const struct hba_step **ret_steps)
{
	assert(c && ret_steps);
	*ret_steps = c->steps;
	return c->n_steps;
}

int hba_lower(struct hba_controller *c, uint64_t max_tasks)
{
	const struct op *op = op_now();

	if (!op || op->hot || max_tasks == 0)
		return violation(c,
				 "hba_lower to %llu; it is called in a start, and one task is the "
				 "least",
				 (unsigned long long)max_tasks),
		       -EINVAL;
	if (max_tasks > c->most_clients)
		return violation(c, "hba_lower to %llu from %u; it never raises",
				 (unsigned long long)max_tasks, c->most_clients),
		       -EINVAL;
	c->most_clients = (unsigned)max_tasks;
	return 0;
}

void *hba_controller_priv(const struct hba_controller *c)
{
	return c->priv;
}

const void *hba_controller_variant(const struct hba_controller *c)
{
	return c->variant;
}

uint64_t hba_now(const struct hba_controller *c)
{
	return op_now() && !op_now()->hot ? c->clock->now(c->clock) : c->now;
}
