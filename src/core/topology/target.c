/* SPDX-License-Identifier: MIT */
/* target.c: targets, by id; made by the scan or on a driver's word. */
#include "core/controller/controller.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct target_job {
	struct job job;
	struct hba_target *target;
	void (*done)(struct hba_target *tgt, int error);
	bool forget;
};

/* The values that the op may narrow. */
static void preset_report(const struct hba_controller *c, struct hba_target_report *r)
{
	*r = (struct hba_target_report) {
		.size = sizeof(*r),
		.depth = c->report.depth < c->pool.n_clients ? c->report.depth : c->pool.n_clients,
		.max_transfer = c->report.constraints.max_transfer,
		.highest_lun = c->report.highest_lun,
		.performs_autosense = c->report.performs_autosense,
		.multipath = c->report.multipath,
		.features = c->report.features,
	};
}

/* ---- properties that concern its commands */

void target_heed(struct hba_target *tgt)
{
	tgt->retries =
		properties_number(&tgt->properties, &tgt->controller->properties, PROPERTY_RETRIES);
	for (struct list *l = tgt->luns.next; l != &tgt->luns; l = l->next)
		lun_heed(container_of(l, struct hba_lun, link));
}

void targets_heed(struct hba_controller *c)
{
	for (struct list *l = c->targets.next; l != &c->targets; l = l->next)
		target_heed(container_of(l, struct hba_target, link));
}

/* ---- made */

/* Most are added in the order of their ids: look from the end. */
static void target_insert(struct hba_controller *c, struct hba_target *tgt)
{
	struct list *l = c->targets.prev;

	while (l != &c->targets && container_of(l, struct hba_target, link)->id > tgt->id)
		l = l->prev;
	pthread_mutex_lock(&c->info_lock);
	list_prepend(l, &tgt->link);
	pthread_mutex_unlock(&c->info_lock);
}

struct hba_target *target_add(struct hba_controller *c, uint64_t id)
{
	struct hba_target *tgt = target_find(c, id);

	if (tgt)
		return tgt;
	tgt = calloc(1, sizeof(*tgt));
	if (!tgt)
		return NULL;
	tgt->priv = c->report.target_priv_size ? calloc(1, c->report.target_priv_size) : NULL;
	if (c->report.target_priv_size && !tgt->priv) {
		free(tgt);
		return NULL;
	}
	tgt->controller = c;
	tgt->id = id;
	list_init(&tgt->luns);
	preset_report(c, &tgt->report);
	target_heed(tgt);
	target_insert(c, tgt);
	return tgt;
}

static int narrowed(struct hba_target *tgt, const struct hba_target_report *r)
{
	const struct hba_target_report *most = &tgt->report;

	if (r->size != sizeof(*r) || !r->depth || r->depth > most->depth ||
	    r->highest_lun > most->highest_lun ||
	    (most->max_transfer && (!r->max_transfer || r->max_transfer > most->max_transfer)) ||
	    r->performs_autosense > most->performs_autosense || r->multipath > most->multipath ||
	    (r->features & ~most->features))
		return violation(
			tgt->controller,
			"target %llu: its report widens the controller's; it may only narrow it",
			(unsigned long long)tgt->id);
	tgt->report = *r;
	return 0;
}

static void tell_refused(struct hba_target *tgt, int error)
{
	struct hba_controller *c = tgt->controller;

	event_put(c, HBA_EVENT_TARGET_REFUSED, tgt->id, NULL, error,
		  "target %llu is not used: driver %s, initialize_target: %s",
		  (unsigned long long)tgt->id, c->driver->name,
		  c->op_sentence[0] ? c->op_sentence : strerror(-error));
}

static int target_run_initialize(struct hba_controller *c, struct job *job)
{
	struct hba_target *tgt = container_of(job, struct target_job, job)->target;
	struct hba_target_report r = tgt->report;
	int error = driver_initialize_target(c, tgt, &r);

	if (error < 0 && error != -ENODEV)
		tell_refused(tgt, error);
	return error < 0 ? error : narrowed(tgt, &r);
}

static void initialized(struct hba_controller *c, struct job *job)
{
	struct target_job *tj = container_of(job, struct target_job, job);

	(void)c;
	tj->target->initialised = job->error == 0;
	tj->done(tj->target, job->error);
	free(tj);
}

int target_initialize(struct hba_target *tgt, void (*done)(struct hba_target *tgt, int error))
{
	struct hba_controller *c = tgt->controller;
	struct target_job *tj;

	if (tgt->initialised || !c->driver->initialize_target) {
		tgt->initialised = true;
		done(tgt, 0);
		return 0;
	}
	tj = calloc(1, sizeof(*tj));
	if (!tj)
		return -ENOMEM;
	*tj = (struct target_job) {
		.job = { .name = "initialize_target",
			 .may_map = true,
			 .run = target_run_initialize,
			 .done = initialized },
		.target = tgt,
		.done = done,
	};
	worker_post(c, &tj->job);
	return 0;
}

void target_want_scan(struct hba_target *tgt)
{
	tgt->scan_wanted = !tgt->leaving;
	tgt->controller->scan_wanted = true;
}

/* ---- leaving */

static int run_release(struct hba_controller *c, struct job *job)
{
	driver_release_target(c, container_of(job, struct target_job, job)->target);
	return 0;
}

static void target_free(struct hba_target *tgt)
{
	while (!list_is_empty(&tgt->luns))
		lun_free(container_of(tgt->luns.next, struct hba_lun, link));
	pthread_mutex_lock(&tgt->controller->info_lock);
	list_remove(&tgt->link);
	pthread_mutex_unlock(&tgt->controller->info_lock);
	properties_clear(&tgt->properties);
	free(tgt->priv);
	free(tgt);
}

/* A target that the scan wanted meanwhile comes back as a new one. */
static void gone(struct hba_target *tgt, bool forget)
{
	tgt->initialised = tgt->releasing = tgt->blocked = false;
	tgt->negotiation = (struct negotiation) { 0 };
	if (tgt->scan_wanted)
		tgt->controller->scan_wanted = true;
	else if (forget)
		target_free(tgt);
}

static void released(struct hba_controller *c, struct job *job)
{
	struct target_job *tj = container_of(job, struct target_job, job);

	(void)c;
	gone(tj->target, tj->forget);
	free(tj);
}

static void release(struct hba_target *tgt, bool forget)
{
	struct target_job *tj = NULL;

	if (tgt->initialised && tgt->controller->driver->release_target)
		tj = calloc(1, sizeof(*tj));
	if (!tj) {
		/* No op, or no memory to call it: then stop ends the target. */
		gone(tgt, forget);
		return;
	}
	*tj = (struct target_job) {
		.job = { .name = "release_target", .run = run_release, .done = released },
		.target = tgt,
		.forget = forget,
	};
	tgt->releasing = true;
	worker_post(tgt->controller, &tj->job);
}

/* Recovery may still be at work there, or a task management function be out. */
static bool is_idle(const struct hba_target *tgt)
{
	for (const struct list *l = tgt->luns.next; l != &tgt->luns; l = l->next) {
		const struct hba_lun *lun = container_of(l, struct hba_lun, link);

		if (lun->out || lun->frozen)
			return false;
	}
	return true;
}

void target_forget(struct hba_target *tgt)
{
	/* Else it stays until the next scan. */
	if (is_idle(tgt))
		release(tgt, true);
}

void targets_turn(struct hba_controller *c)
{
	for (struct list *l = c->targets.next; c->n_leaving && l != &c->targets; l = l->next) {
		struct hba_target *tgt = container_of(l, struct hba_target, link);

		if (!tgt->leaving || !is_idle(tgt) || tgt->walks)
			continue;
		tgt->leaving = false;
		c->n_leaving--;
		release(tgt, false);
	}
}

/* After stop: nothing is out, and release_target is no longer called. */
void targets_free(struct hba_controller *c)
{
	while (!list_is_empty(&c->targets))
		target_free(container_of(c->targets.next, struct hba_target, link));
}

/* ---- a driver's view of a target */

void *hba_target_priv(const struct hba_target *tgt)
{
	return tgt->priv;
}

uint64_t hba_target_id(const struct hba_target *tgt)
{
	return tgt->id;
}

struct hba_target *hba_task_target(const struct hba_task *t)
{
	return task_of((struct hba_task *)(uintptr_t)t)->lun->target;
}
