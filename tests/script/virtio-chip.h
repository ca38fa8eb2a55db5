/* SPDX-License-Identifier: MIT */
/* virtio-chip.h: a virtio-scsi device for the script bus, well-behaved until a test sets a knob. */
#ifndef SCRIPT_VIRTIO_CHIP_H
#define SCRIPT_VIRTIO_CHIP_H

#include "script/rig.h"

#include "drivers/drivers.h"
#include "drivers/virtio-scsi-regs.h"
#include "proto/virtio-pci.h"

enum { CHIP_QUEUES = 4, CHIP_HELD = 64, CHIP_CONFIG = 256, CHIP_STEPS = 16 };

/** struct chip_queue - What the driver said of one queue, and how far the device is. */
struct chip_queue {
	uint16_t size, enabled, notify_offset;
	uint64_t desc, avail, used;
	uint16_t seen, shown;
};

struct chip {
	struct rig *rig;
	struct script_step steps[CHIP_STEPS];
	uint8_t config[CHIP_CONFIG];

	/* Knobs. */
	bool never_reset; /* status never becomes 0 */
	/* commands of the request queues wait for the test, once the scan is over */
	bool hold;
	bool hold_tmf; /* so do functions */
	uint8_t tmf_response;
	bool tmf_ends_victims;
	/* restart_size: of queue 2 after the first reset that follows DRIVER_OK */
	uint16_t sizes[CHIP_QUEUES], restart_size;
	uint32_t seg_max, max_sectors, num_queues, cmd_per_lun, max_target, max_lun;

	/* What happened. */
	uint8_t status;
	bool was_ready;
	uint16_t selected;
	uint32_t feature_select;
	struct chip_queue queues[CHIP_QUEUES];
	uint16_t held[CHIP_HELD];
	unsigned n_held, n_tmfs, resets;
	uint32_t subtypes[CHIP_HELD];
};

/** chip_new() - With its rig; one target, target 0. */
struct chip *chip_new(void);
void chip_free(struct chip *v); /* and the rig: stop and close */
struct hba_lun *chip_up(struct chip *v);
/**
 * chip_capability() - Write one virtio capability into config space, at `at`, leading on to `next`.
 */
void chip_capability(struct chip *v, unsigned at, unsigned next, uint8_t type, uint8_t bar,
		     uint32_t offset, uint32_t length);
/** chip_used() - Put an item into a used ring. */
void chip_used(struct chip *v, unsigned queue, uint32_t head, uint32_t length);
/** chip_answer_at() - Where the answer to a held command goes. */
struct virtio_scsi_resp *chip_answer_at(struct chip *v, uint16_t head);
/** chip_execute() - Carry the command of a head out and write its answer, but say nothing. */
void chip_execute(struct chip *v, uint16_t head);
/**
 * chip_event() - Write an event into the next buffer that the driver offers; `length` is what the
 * used ring says.
 */
void chip_event(struct chip *v, uint32_t event, uint8_t target, uint32_t length);
/** chip_used_index() - The used index of a queue, as it lies. */
uint16_t *chip_used_index(struct chip *v, unsigned queue);

#endif
