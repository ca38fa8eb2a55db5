/* SPDX-License-Identifier: MIT */
/*
 * seed-driver.c: the example on the page of UserMapHBAData, carried over step by step, inside a
 * driver that serves a disk in memory.
 *
 *	DriverKit                                    here
 *	-------------------------------------------  ----------------------------------------
 *	UserMapHBAData(&uniqueTaskID)                map_hba_data(c, t, &id)
 *	IOBufferMemoryDescriptor::Create()           hba_buffer_create(c, HBA_DEVICE_BOTH, …)
 *	buffer->CreateMapping(0, 0, 0, 0, 0, &map)   hba_buffer_map(buffer, &mapping)
 *	map->GetAddress()                            hba_mapping_address(mapping)
 *	PrepareForDMA, its segment                   hba_mapping_iova(mapping); already prepared
 *	the driver's own array of tasks, by id       seed->tasks[id]
 *	++id, handed back                            *ret_id = id
 *
 * So it is once per task, before any I/O. On the way of a command nothing is mapped, allocated or
 * searched: process_task and the completion find a task's memory by its id. Build and try it:
 *
 *	cc -shared -fPIC -I ../include seed-driver.c -o seed-driver.so
 *	hbakit check --write --plugin ./seed-driver.so seed:
 */
#include "ram-disk.h"

#include <errno.h>
#include <string.h>

enum {
	INITIATOR = 7,
	LAST_TARGET = 0,
	CLIENT_TASKS = 64,
	INTERNAL_TASKS = 2,
	TMF_TASKS = 1,
	PAGE = 4096
};
enum { ALL_TASKS = CLIENT_TASKS + INTERNAL_TASKS + TMF_TASKS };

/**
 * struct seed_task_data - What the chip is given for each command, and writes its answer into: the
 * page's "task data".
 */
struct seed_task_data {
	uint8_t cdb[HBA_MAX_CDB];
	uint8_t sense[RAM_DISK_SENSE_BYTES];
};

/** struct seed_task - A member of the driver's own task array. */
struct seed_task {
	struct seed_task_data *data; /* where we see it */
	struct hba_iova iova;        /* where a chip would */
};

/** struct seed - The driver's private struct. The framework zeroes it and frees it. */
struct seed {
	struct ram_disk disk;
	uint32_t last_id;
	struct seed_task tasks[ALL_TASKS + 1]; /* by id, and ids begin with 1 */
};

static int seed_initialize(struct hba_controller *c, struct hba_report *report)
{
	struct seed *seed = hba_controller_priv(c);
	uint64_t size;
	int r;

	r = hba_uri_number(c, "size", &size);
	if (r < 0)
		return r;
	if (size < RAM_DISK_BLOCK || size % RAM_DISK_BLOCK)
		return hba_fail(c, -EINVAL, "size=%s: it must be whole blocks of %d bytes",
				hba_uri_option(c, "size"), RAM_DISK_BLOCK);
	report->initiator_id = INITIATOR;
	report->highest_target_id = LAST_TARGET;
	report->max_tasks = CLIENT_TASKS;
	report->internal_tasks = INTERNAL_TASKS;
	report->manages_devices = false;
	report->performs_autosense = true;
	report->data_mode = HBA_DATA_CPU;
	return ram_disk_make(c, &seed->disk, size);
}

/* UserMapHBAData. What is taken here the framework gives back after stop. */
static int seed_map_hba_data(struct hba_controller *c, struct hba_task *t, uint32_t *ret_id)
{
	struct seed *seed = hba_controller_priv(c);
	struct hba_mapping *mapping;
	struct hba_buffer *buffer;
	int r;

	(void)t;
	/* Create the buffer for the task data. */
	r = hba_buffer_create(c, HBA_DEVICE_BOTH, sizeof(struct seed_task_data), PAGE, &buffer);
	if (r < 0)
		return r;
	/* Map it: for us, and for the device. */
	r = hba_buffer_map(buffer, &mapping);
	if (r < 0)
		return r;
	/* The next id; the first is 1, for 0 is nobody's. */
	seed->last_id++;
	/* Keep the address in our own task array. */
	seed->tasks[seed->last_id].data = hba_mapping_address(mapping);
	seed->tasks[seed->last_id].iova = hba_mapping_iova(mapping);
	/* Hand the id back: from now on it is the task's name. */
	*ret_id = seed->last_id;
	return 0;
}

/* UserProcessParallelTask: the id leads to the task's own memory. */
static void seed_process_task(struct hba_queue *q, struct hba_task *t)
{
	struct seed *seed = hba_controller_priv(hba_queue_controller(q));
	struct seed_task_data *data = seed->tasks[t->unique_id].data;
	struct hba_result result;

	memcpy(data->cdb, t->cdb, sizeof(data->cdb));
	/*
	 * A chip would get the address of it by its doorbell, and interrupt when it is done. This
	 * one has done when it returns.
	 */
	ram_disk_execute(&seed->disk, t, data->cdb, data->sense, &result);
	hba_complete(t, &result);
}

static const struct hba_option seed_options[] = {
	{ .name = "size", .value = "16M", .help = "bytes of the disk" },
	{ .name = NULL },
};

static const struct hba_driver seed_driver = {
	HBA_DRIVER_HEADER,
	.name = "seed",
	.summary = "the example of UserMapHBAData, and a disk in memory",
	.scheme = "seed",
	.options = seed_options,
	.priv_size = sizeof(struct seed),
	.initialize = seed_initialize,
	.map_hba_data = seed_map_hba_data,
	.process_task = seed_process_task,
};

HBA_PLUGIN(seed_driver)
