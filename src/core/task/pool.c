/* SPDX-License-Identifier: MIT */
/*
 * pool.c: the fixed pool of tasks, the heart of the contract.
 *
 * Slots come in the order tmf, internal, clients: should memory end half-way, recovery and scan
 * still have their tasks and only clients get fewer. Each task is mapped and named right after it
 * is made, before any I/O, and never again.
 *
 * A unique id is whatever number the driver likes. It is looked up in a table at most half full,
 * spread by a multiplication, so that the usual run of small numbers meets no collision. Ids that
 * crowd all the same are spread anew by another multiplier, before any I/O: a look-up stays short
 * whatever a driver chose.
 */
#include "core/controller/controller.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* 2^32 divided by the golden ratio: neighbours land far apart. */
#define ID_SPREAD UINT32_C(2654435769)

/* multipliers to try; each leaves some id crowded with a probability well below a half */
enum { SPREADS = 32 };

/* ---- names */

unsigned pool_steps(const struct pool *p, uint32_t unique_id)
{
	size_t first = (unique_id * p->id_spread) >> p->id_shift,
	       last = (size_t)(pool_id_place(p, unique_id) - p->ids);

	return (unsigned)((last - first) & p->id_mask) + 1;
}

static size_t ids_size(const struct pool *p)
{
	return (size_t)p->id_mask + 1;
}

static int ids_create(struct pool *p, unsigned tasks)
{
	p->id_spread = ID_SPREAD;
	p->id_shift = (unsigned)__builtin_clz(2 * tasks);
	p->id_mask = UINT32_MAX >> p->id_shift;
	p->ids = malloc(ids_size(p) * sizeof(*p->ids));
	if (!p->ids)
		return -ENOMEM;
	memset(p->ids, 0xff, ids_size(p) * sizeof(*p->ids));
	return 0;
}

/* ---- making them */

static enum hba_task_kind kind_of(const struct hba_controller *c, unsigned slot)
{
	if (slot < TMF_TASKS)
		return HBA_TASK_TMF;
	return slot < TMF_TASKS + c->report.internal_tasks ? HBA_TASK_INTERNAL : HBA_TASK_CLIENT;
}

static void task_make(struct hba_controller *c, unsigned slot)
{
	struct pool *p = &c->pool;
	struct task *t = &p->tasks[slot];
	size_t priv = round_up(c->report.task_priv_size, CACHE_LINE);

	t->head.slot = (uint16_t)slot;
	t->head.queue = (uint8_t)(slot % c->n_queues);
	t->head.kind = (uint8_t)kind_of(c, slot);
	t->queue = c->queues[t->head.queue];
	t->sense = p->senses + (size_t)slot * HBA_MAX_SENSE;
	if (priv)
		t->head.priv = (uint8_t *)p->privs + slot * priv;
	if (p->arena) {
		t->head.hba_data = (uint8_t *)hba_mapping_address(p->arena) + slot * p->stride;
		t->head.hba_iova = hba_iova_at(hba_mapping_iova(p->arena), slot * p->stride);
	}
	t->items = p->items + (size_t)slot * p->max_items;
	t->cpu = p->cpu ? p->cpu + (size_t)slot * p->max_items : NULL;
	t->memory = p->internal_memory && t->head.kind == HBA_TASK_INTERNAL
			    ? (uint8_t *)hba_mapping_address(p->internal_memory) +
				      (slot - TMF_TASKS) * (size_t)INTERNAL_BYTES
			    : NULL;
}

/* The tasks up to `last` by another multiplier. false: some are crowded still. */
static bool ids_spread_anew(struct pool *p, const struct task *last)
{
	bool crowded = false;

	p->id_spread = (p->id_spread * UINT32_C(1664525) + UINT32_C(1013904223)) | 1;
	memset(p->ids, 0xff, ids_size(p) * sizeof(*p->ids));
	for (const struct task *t = p->tasks; t <= last; t++) {
		*pool_id_place(p, t->head.unique_id) =
			(struct id_entry) { t->head.unique_id, t->head.slot };
		crowded = crowded || pool_steps(p, t->head.unique_id) > ID_STEPS;
	}
	return !crowded;
}

static int id_register(struct hba_controller *c, struct task *t, uint32_t id)
{
	struct id_entry *e;

	if (id == 0)
		return violation(c, "no unique id was written, or 0, which is none");
	e = pool_id_place(&c->pool, id);
	if (e->slot != ID_EMPTY)
		return violation(c,
				 "unique id %u is already that of the task of call %u; ids are "
				 "unique in the pool",
				 id, e->slot + 1);
	*e = (struct id_entry) { id, t->head.slot };
	t->head.unique_id = id;
	if (pool_steps(&c->pool, id) > ID_STEPS)
		for (unsigned i = 0; i < SPREADS && !ids_spread_anew(&c->pool, t); i++)
			;
	return 0;
}

/* The driver's word for it. */
static int task_name(struct hba_controller *c, struct task *t)
{
	struct op op = {
		.controller = c,
		.name = "map_hba_data",
		.call = t->head.slot + UINT64_C(1),
		.deadline = op_now()->deadline, /* one for all of them: the step's */
		.may_map = true,
	};
	uint32_t id;
	int r;

	op_enter(&op);
	c->op_sentence[0] = '\0';
	r = driver_map_hba_data(c, t, &id);
	if (r == 0)
		r = id_register(c, t, id);
	op_leave(&op);
	return r;
}

static void task_ready(struct hba_controller *c, struct task *t)
{
	t->state = TASK_FREE;
	if (t->head.kind == HBA_TASK_TMF)
		task_list_push(&c->tmf_free, t);
	else if (t->head.kind == HBA_TASK_INTERNAL)
		task_list_push(&c->internal_free, t);
	else
		task_list_append(&t->queue->free, t);
}

static bool shares_its_high_half(const struct hba_mapping *m)
{
	uint64_t first = hba_mapping_iova(m).bus;

	return first >> 32 == (first + hba_mapping_length(m) - 1) >> 32;
}

static int arena_create(struct hba_controller *c, size_t tasks)
{
	struct hba_mapping **arena = &c->pool.arena;
	uint64_t mask = c->report.constraints.hba_data_mask;
	size_t alignment = mask == UINT64_MAX ? CACHE_LINE : (size_t)1 << __builtin_ctzll(mask);
	size_t stride =
		round_up(c->report.hba_data_size, alignment > CACHE_LINE ? alignment : CACHE_LINE);
	int r;

	if (!c->report.hba_data_size)
		return 0;
	r = hba_mapping_create(c, HBA_DEVICE_BOTH, stride * tasks, alignment, arena);
	/*
	 * The one that crosses a multiple of 4 GiB stays taken until stop, so that the next lies
	 * beyond it.
	 */
	if (r == 0 && c->report.hba_data_same_4g && !shares_its_high_half(*arena))
		r = hba_mapping_create(c, HBA_DEVICE_BOTH, stride * tasks, alignment, arena);
	if (r == 0 && c->report.hba_data_same_4g && !shares_its_high_half(*arena))
		return device_refuse(c, -ENOMEM,
				     "this bus has no range of %zu bytes whose addresses share "
				     "their high 32 bits",
				     stride * tasks);
	c->pool.stride = stride;
	return r;
}

/* As many segments as one task may have, within reason. */
static unsigned most_items(const struct hba_constraints *k)
{
	uint64_t most = k->max_segments_read > k->max_segments_write ? k->max_segments_read
								     : k->max_segments_write;

	return most < MAX_SEGMENTS ? (unsigned)most : MAX_SEGMENTS;
}

static int pool_memory(struct hba_controller *c, unsigned tasks)
{
	struct pool *p = &c->pool;
	size_t privs = tasks * round_up(c->report.task_priv_size, CACHE_LINE);

	p->max_items = most_items(&c->report.constraints);
	p->items = calloc((size_t)tasks * p->max_items, sizeof(*p->items));
	if (c->report.wants_task_data && c->report.data_mode == HBA_DATA_DMA)
		p->cpu = calloc((size_t)tasks * p->max_items, sizeof(*p->cpu));
	p->tasks = aligned_alloc(CACHE_LINE, tasks * sizeof(struct task));
	p->senses = malloc((size_t)tasks * HBA_MAX_SENSE);
	p->privs = privs ? aligned_alloc(CACHE_LINE, privs) : NULL;
	if (!p->items || !p->tasks || !p->senses || (privs && !p->privs))
		return -ENOMEM;
	memset(p->tasks, 0, tasks * sizeof(struct task));
	if (privs)
		memset(p->privs, 0, privs);
	return ids_create(p, tasks);
}

/*
 * -ENOMEM after the first client's task makes a smaller pool; before it there is nothing to run on.
 */
static bool may_be_short(const struct hba_controller *c, unsigned slot, int error)
{
	return error == -ENOMEM && kind_of(c, slot) == HBA_TASK_CLIENT &&
	       kind_of(c, slot - 1) == HBA_TASK_CLIENT;
}

static unsigned tasks_wanted(const struct hba_controller *c)
{
	return (unsigned)(c->report.max_tasks + c->report.internal_tasks + TMF_TASKS);
}

int pool_no_memory(const struct hba_controller *c, int error)
{
	return fail(error, "%s: no memory for a pool of %u tasks%s%s", c->uri, tasks_wanted(c),
		    c->bus.why[0] ? ": " : "", c->bus.why);
}

int pool_prepare(struct hba_controller *c)
{
	unsigned tasks = tasks_wanted(c);
	int r = pool_memory(c, tasks);

	if (r == 0)
		r = arena_create(c, tasks);
	if (r == 0)
		r = memory_take(c, c->report.internal_tasks * INTERNAL_BYTES, INTERNAL_ALIGNMENT,
				(unsigned)c->report.constraints.address_bits,
				&c->pool.internal_memory);
	return r < 0 ? pool_no_memory(c, r) : 0;
}

int pool_name(struct hba_controller *c)
{
	unsigned tasks = tasks_wanted(c);
	uint64_t before = c->memory.driver_bytes, began = c->clock->now(c->clock);

	for (unsigned slot = 0; slot < tasks; slot++) {
		int r;

		task_make(c, slot);
		r = task_name(c, &c->pool.tasks[slot]);
		if (r < 0 && may_be_short(c, slot, r)) {
			event_put(c, HBA_EVENT_POOL_SHORT, HBA_NO_TARGET, NULL, slot,
				  "driver %s, map_hba_data, call %u: no memory; the pool has %u "
				  "tasks instead of %u",
				  c->driver->name, slot + 1, slot, tasks);
			break;
		}
		if (r < 0)
			return r;
		c->pool.n = c->pool.named = slot + 1;
	}
	c->pool.n_clients = c->pool.n - (unsigned)c->report.internal_tasks - TMF_TASKS;
	c->most_clients = c->pool.n_clients;
	c->pool.ns = c->clock->now(c->clock) - began;
	c->pool.bytes = c->memory.driver_bytes - before + c->pool.n * (uint64_t)c->pool.stride;
	for (unsigned slot = 0; slot < c->pool.n; slot++)
		task_ready(c, &c->pool.tasks[slot]);
	return 0;
}

void pool_destroy(struct hba_controller *c)
{
	struct pool *p = &c->pool;

	free(p->items);
	free(p->cpu);
	free(p->tasks);
	free(p->privs);
	free(p->senses);
	free(p->ids);
	*p = (struct pool) { 0 };
	c->internal_free = c->tmf_free = (struct task_list) { 0 };
}
