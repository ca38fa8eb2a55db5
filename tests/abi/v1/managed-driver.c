/* SPDX-License-Identifier: MIT */
/*
 * managed-driver.c: what the examples leave out, for a plug-in of version 1: targets that the firmware tells, a chip's constraints, data by
 * segments, private structs of targets and units, properties, a target's own depth, a timer. Built with the frozen headers beside it.
 */
#include "../../../examples/ram-disk.h"

#include <errno.h>
#include <string.h>

enum {
	INITIATOR = 7,
	FIRST_TARGET = 3,
	TARGETS = 2,
	CLIENT_TASKS = 16,
	RING = 32,
	DISK_BYTES = 8 << 20,
	DEPTH = 8,
	PATIENCE_MS = 10
};
enum { SEGMENTS = 16, SEGMENT_BYTES = 64 << 10, ALIGNMENT = 4, ADDRESS_BITS = 64 };

struct managed_target {
	uint64_t commands;
};

/** struct managed_task - In the arena. */
struct managed_task {
	struct hba_result result;
	uint8_t sense[RAM_DISK_SENSE_BYTES];
};

struct managed {
	struct ram_disk disk;   /* both targets are ways to it */
	uint32_t waiting[RING]; /* unique ids; each is in it once at the most */
	unsigned n_waiting;
};

static int managed_initialize(struct hba_controller *c, struct hba_report *report)
{
	struct managed *m = hba_controller_priv(c);

	report->initiator_id = INITIATOR;
	report->highest_target_id = FIRST_TARGET + TARGETS - 1;
	report->max_tasks = CLIENT_TASKS;
	report->manages_devices = true;
	report->performs_autosense = true;
	report->multipath = true;
	report->data_mode = HBA_DATA_DMA;
	report->wants_task_data = true;
	report->constraints.max_segments_read = report->constraints.max_segments_write = SEGMENTS;
	report->constraints.max_segment_bytes_read = report->constraints.max_segment_bytes_write = SEGMENT_BYTES;
	report->constraints.alignment = ALIGNMENT;
	report->constraints.address_bits = ADDRESS_BITS;
	report->constraints.hba_data_mask = UINT64_MAX - (ALIGNMENT - 1);
	return ram_disk_make(c, &m->disk, DISK_BYTES);
}

static int managed_map_hba_data(struct hba_controller *c, struct hba_task *t, uint32_t *ret_id)
{
	(void)c;
	if (!t->hba_data || !t->hba_iova.bus)
		return hba_fail(c, -EFAULT, "slot %u has no memory", t->slot);
	*ret_id = 1000U + t->slot;
	return 0;
}

static int managed_discover(struct hba_controller *c)
{
	const struct hba_property properties[] = { { .key = "Port Description", .type = HBA_STRING, .value.string = "frozen" },
						   { .key = NULL } };
	int r = 0;

	for (uint64_t i = 0; i < TARGETS && r >= 0; i++)
		r = hba_target_create(c, FIRST_TARGET + i, properties);
	hba_discovery_done(c);
	return r < 0 ? r : 0;
}

static int managed_initialize_target(struct hba_controller *c, struct hba_target *tgt, struct hba_target_report *report)
{
	struct managed_target *mt = hba_target_priv(tgt);

	mt->commands = 0;
	report->depth = DEPTH;
	hba_log(c, HBA_LOG_INFO, "target %llu is there", (unsigned long long)hba_target_id(tgt));
	return 0;
}

static void managed_process_task(struct hba_queue *q, struct hba_task *t)
{
	struct managed *m = hba_controller_priv(hba_queue_controller(q));
	struct managed_target *mt = hba_target_priv(hba_task_target(t));
	uint64_t *unit_commands = hba_task_lun_priv(t);

	if (m->n_waiting == RING) {
		hba_requeue(t, HBA_SCOPE_QUEUE);
		return;
	}
	mt->commands++;
	(*unit_commands)++;
	m->waiting[m->n_waiting++] = t->unique_id;
	hba_poll_within(q, PATIENCE_MS);
}

static unsigned managed_poll(struct hba_queue *q, unsigned budget)
{
	struct managed *m = hba_controller_priv(hba_queue_controller(q));
	unsigned n = m->n_waiting < budget ? m->n_waiting : budget;

	for (unsigned i = 0; i < n; i++) {
		struct hba_task *t = hba_task_by_id(q, m->waiting[i]);
		struct managed_task *mt = t ? t->hba_data : NULL;

		if (!mt)
			continue;
		ram_disk_execute(&m->disk, t, t->cdb, mt->sense, &mt->result);
		hba_complete(t, &mt->result);
	}
	m->n_waiting -= n;
	memmove(m->waiting, m->waiting + n, m->n_waiting * sizeof(m->waiting[0]));
	hba_ready(q, NULL, NULL);
	return n;
}

static int managed_reset(struct hba_controller *c, enum hba_reset_level level)
{
	struct managed *m = hba_controller_priv(c);

	if (level != HBA_RESET_CONTROLLER)
		return -EOPNOTSUPP;
	m->n_waiting = 0;
	return 0;
}

static const struct hba_driver managed_driver = {
	HBA_DRIVER_HEADER,
	.name = "managed",
	.summary = "a driver built with the headers of version 1",
	.scheme = "managed",
	.priv_size = sizeof(struct managed),
	.target_priv_size = sizeof(struct managed_target),
	.lun_priv_size = sizeof(uint64_t),
	.hba_data_size = sizeof(struct managed_task),
	.initialize = managed_initialize,
	.map_hba_data = managed_map_hba_data,
	.discover = managed_discover,
	.initialize_target = managed_initialize_target,
	.process_task = managed_process_task,
	.poll = managed_poll,
	.reset = managed_reset,
};

HBA_PLUGIN(managed_driver)
