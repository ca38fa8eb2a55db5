/* SPDX-License-Identifier: MIT */
/*
 * template-driver.c: where a driver of yours begins. docs/driver-guide.md goes through it;
 * hbakit-driver(7) has every op and call.
 *
 * It works as it stands, because a chip of memory stands in for yours. Copy it and ram-disk.h, give
 * it a name, build it, check it:
 *
 *	sed s/template/mychip/g template-driver.c > mychip.c
 *	cc -Wall -g -shared -fPIC -I /path/to/hbakit/include mychip.c -o mychip.so
 *	hbakit check --write --plugin ./mychip.so mychip:
 *
 * Then take out one thing of the stand-in after the other (FILL IN says what comes there), and run
 * the check after each: what has been right stays right, or it names the rule.
 */
#include "ram-disk.h"

#include <errno.h>
#include <string.h>

/*
 * FILL IN: what your chip can do. A task is a command that may be with the chip; client tasks,
 * internal ones and one for management.
 */
enum {
	INITIATOR = 7,
	LAST_TARGET = 0,
	LAST_LUN = 0,
	CLIENT_TASKS = 64,
	INTERNAL_TASKS = 2,
	RING = 128,
	DISK_BYTES = 16 << 20
};

/**
 * struct frame - FILL IN: what your chip wants in memory for one command. The framework makes one
 * for each task, once, where the chip can reach it: t->hba_data is its address for you, t->hba_iova
 * that for the chip.
 */
struct frame {
	uint64_t cookie;
	uint8_t cdb[HBA_MAX_CDB];
	uint8_t sense[RAM_DISK_SENSE_BYTES];
	struct hba_result result; /* a chip's status comes in numbers of its own */
	struct hba_task *task;    /* for the stand-in, which moves data by hba_task_copy_*() */
};

/* ---- the stand-in: FILL IN: your chip's registers take its place */

/**
 * struct chip - A ring of frames: the driver posts, the doorbell tells how far, the chip completes
 * in that order.
 */
struct chip {
	struct ram_disk disk;
	struct frame *ring[RING];
	uint32_t posted, doorbell, completed; /* they only grow; posted - completed ≤ RING */
};

static bool chip_is_full(const struct chip *chip)
{
	return chip->posted - chip->completed == RING;
}

static void chip_post(struct chip *chip, struct frame *f)
{
	chip->ring[chip->posted++ % RING] = f;
}

static void chip_forget(struct chip *chip, const struct frame *f)
{
	for (uint32_t i = chip->completed; i != chip->posted; i++)
		if (chip->ring[i % RING] == f)
			chip->ring[i % RING] = NULL;
}

/* The next completion; NULL: there is none. */
static struct frame *chip_next(struct chip *chip)
{
	struct frame *f = NULL;

	while (!f && chip->completed != chip->doorbell)
		f = chip->ring[chip->completed++ % RING];
	if (f)
		ram_disk_execute(&chip->disk, f->task, f->cdb, f->sense, &f->result);
	return f;
}

static void chip_reset(struct chip *chip)
{
	chip->posted = chip->doorbell = chip->completed = 0;
	chip->disk.was_reset = true;
}

/* ---- the driver: the table's ops in the order of life */

/** struct template - The driver's private struct, zeroed and freed by the framework. */
struct template
{
	struct chip chip;
};

static struct template *template_of(struct hba_queue *q)
{
	return hba_controller_priv(hba_queue_controller(q));
}

/*
 * Find the chip, reset it, ask it what it can, report that. May wait, by hba_wait_*() only. On an
 * error just return it: what was taken through `c` is let go by the framework.
 */
static int template_initialize(struct hba_controller *c, struct hba_report *report)
{
	struct template *d = hba_controller_priv(c);

	/*
	 * FILL IN, for a chip on PCI:
	 *	r = hba_bar_map(c, 0, &d->bar);
	 *	hba_bar_write32(&d->bar, RESET, 1);
	 *	r = hba_wait_bar32(c, &d->bar, STATUS, READY, READY, RESET_MS);
	 */
	report->initiator_id = INITIATOR;
	report->highest_target_id = LAST_TARGET;
	report->highest_lun = LAST_LUN;
	report->max_tasks = CLIENT_TASKS;
	report->internal_tasks = INTERNAL_TASKS;
	/* true: its firmware tells the targets, by the op `discover` */
	report->manages_devices = false;
	report->performs_autosense = true;
	report->tmfs = HBA_TMF_BIT(HBA_ABORT_TASK) | HBA_TMF_BIT(HBA_LOGICAL_UNIT_RESET) |
		       HBA_TMF_BIT(HBA_TARGET_RESET);
	/*
	 * FILL IN: HBA_DATA_DMA, and then report->constraints: how many segments, how long, how
	 * aligned, how many address bits.
	 */
	report->data_mode = HBA_DATA_CPU;
	return ram_disk_make(c, &d->chip.disk, DISK_BYTES);
}

/*
 * Once per task, before any I/O: write what never changes into its frame, and name the task. The
 * name must not be 0, nor another's.
 */
static int template_map_hba_data(struct hba_controller *c, struct hba_task *t, uint32_t *ret_id)
{
	struct frame *f = t->hba_data;

	(void)c;
	f->task = t;
	*ret_id = t->slot + 1U;
	return 0;
}

/*
 * Give the chip its rings. Again after each controller reset and at power on: nothing may be taken
 * then.
 */
static int template_start(struct hba_controller *c)
{
	/*
	 * FILL IN: hba_bus_master_on(), addresses of rings, unmasked interrupts: hba_vector_bind()
	 */
	(void)c;
	return 0;
}

/*
 * One command to the chip. It never waits and never fails: what cannot be sent goes back by
 * hba_requeue(), or ends by hba_complete().
 */
static void template_process_task(struct hba_queue *q, struct hba_task *t)
{
	struct chip *chip = &template_of(q)->chip;
	struct frame *f = t->hba_data;

	if (chip_is_full(chip)) {
		hba_requeue(t, HBA_SCOPE_QUEUE); /* it comes again after the hba_ready() in poll */
		return;
	}
	/* new for each command: an old completion can never be taken for this one */
	f->cookie = t->cookie;
	memcpy(f->cdb, t->cdb, sizeof(f->cdb));
	/*
	 * FILL IN, in HBA_DATA_DMA: t->n_data segments, t->data.segments[i].iova and .length,
	 * within the limits that were reported.
	 */
	chip_post(chip, f);
}

/* After a batch of commands: one write to the doorbell for all of them. */
static void template_kick(struct hba_queue *q)
{
	struct chip *chip = &template_of(q)->chip;

	chip->doorbell = chip->posted; /* FILL IN: hba_bar_write32() */
}

/*
 * What has the chip completed? `budget` at the most; whatever it wrote is not believed before
 * hba_task_by_cookie() has found the task.
 */
static unsigned template_poll(struct hba_queue *q, unsigned budget)
{
	struct chip *chip = &template_of(q)->chip;
	struct frame *f;
	unsigned n = 0;

	while (n < budget && (f = chip_next(chip))) {
		struct hba_task *t = hba_task_by_cookie(q, f->cookie);

		if (t)
			/* FILL IN: the chip's status as outcome, bytes and sense */
			hba_complete(t, &f->result);
		n++;
	}
	if (n)
		hba_ready(q, NULL, NULL);
	return n;
}

/** struct ending - Which commands a task management function ends. */
struct ending {
	struct template *d;
	const struct hba_task *tmf;
	enum hba_tmf function;
};

/* Each comes back before the function does: as aborted, and never again by the ring. */
static void template_end(struct hba_task *t, void *arg)
{
	const struct ending *e = arg;

	if (t->kind == HBA_TASK_TMF || (e->function == HBA_ABORT_TASK && t != e->tmf->data.victim))
		return;
	chip_forget(&e->d->chip, t->hba_data);
	hba_complete_failed(t, HBA_TASK_ABORTED, HBA_SENT_YES);
}

/*
 * FILL IN: tell the chip, and let poll end the function when the chip has answered. The stand-in
 * has one unit, and answers at once.
 */
static void template_manage(struct hba_queue *q, struct hba_task *t, enum hba_tmf function)
{
	struct ending e = { .d = template_of(q), .tmf = t, .function = function };

	hba_for_each_task(hba_queue_controller(q), NULL, template_end, &e);
	e.d->chip.disk.was_reset = function != HBA_ABORT_TASK;
	hba_tmf_complete(t, HBA_FUNCTION_COMPLETE);
}

/*
 * The last rung of recovery: the chip forgets all it was told, the framework ends the commands,
 * `start` follows.
 */
static int template_reset(struct hba_controller *c, enum hba_reset_level level)
{
	struct template *d = hba_controller_priv(c);

	if (level != HBA_RESET_CONTROLLER)
		return -EOPNOTSUPP; /* it has no bus */
	chip_reset(&d->chip);
	return 0;
}

/*
 * From here on the chip touches no memory of ours. Also after an initialize that failed half-way,
 * and twice.
 */
static void template_stop(struct hba_controller *c)
{
	struct template *d = hba_controller_priv(c);

	chip_reset(&d->chip); /* FILL IN */
}

/*
 * What is left out has a default: discover, initialize_target, release_target, interrupts,
 * set_power_state. FILL IN: for a chip, .ids (a list of struct hba_pci_id) takes the place of
 * .scheme, and the controller is pci:ADDRESS or qemu:MODEL.
 */
static const struct hba_driver template_driver = {
	HBA_DRIVER_HEADER,
	.name = "template",
	.summary = "one line about it",
	.scheme = "template",
	.priv_size = sizeof(struct template),
	.hba_data_size = sizeof(struct frame),
	.initialize = template_initialize,
	.map_hba_data = template_map_hba_data,
	.start = template_start,
	.process_task = template_process_task,
	.kick = template_kick,
	.poll = template_poll,
	.manage = template_manage,
	.reset = template_reset,
	.stop = template_stop,
};

HBA_PLUGIN(template_driver)
