/* SPDX-License-Identifier: MIT */
/*
 * esp-driver.c: a stranger's plug-in for a chip that no table here knows: QEMU's am53c974, which
 * has an I/O BAR and a pin, and nothing else. It drives no disk: each command is a reset of the
 * SCSI bus, and ends when the chip interrupts because of it.
 */
#include <errno.h>
#include <hbakit/driver.h>

/* The core of the chip, a byte every four (AMD Am53C974 manual, 53C94 registers). */
enum { REG_COMMAND = 0x0c, REG_STATUS = 0x10, REG_INTERRUPT = 0x14, REG_PART = 0x38 };
enum {
	COMMAND_RESET_CHIP = 0x02,
	COMMAND_RESET_BUS = 0x03,
	STATUS_INTERRUPT = 0x80,
	INTERRUPT_RESET = 0x80,
	PART = 0x12
};

struct esp {
	struct hba_bar bar;
	struct hba_task *task;
};

static int esp_initialize(struct hba_controller *c, struct hba_report *report)
{
	struct esp *e = hba_controller_priv(c);
	uint8_t part;
	int r = hba_bar_map(c, 0, &e->bar);

	if (r < 0)
		return r;
	part = hba_bar_read8(&e->bar, REG_PART);
	if (part != PART)
		return hba_fail(c, -ENODEV, "the part is %#x, and that of an Am53C974 is %#x", part,
				PART);
	report->initiator_id = 7;
	report->highest_target_id = 1;
	report->max_tasks = 1;
	report->manages_devices = 0;
	report->performs_autosense = 1;
	report->data_mode = HBA_DATA_CPU;
	return 0;
}

static int esp_start(struct hba_controller *c)
{
	struct esp *e = hba_controller_priv(c);
	int r = hba_vector_bind(hba_controller_queue(c, 0), 0);

	hba_bar_write8(&e->bar, REG_COMMAND, COMMAND_RESET_CHIP);
	return r < 0 ? hba_fail(c, r, "the pin is not there") : hba_bus_master_on(c);
}

static void esp_process_task(struct hba_queue *q, struct hba_task *t)
{
	struct esp *e = hba_controller_priv(hba_queue_controller(q));

	if (e->task) {
		hba_requeue(t, HBA_SCOPE_QUEUE);
		return;
	}
	e->task = t;
	hba_bar_write8(&e->bar, REG_COMMAND, COMMAND_RESET_BUS);
}

static bool is_interrupting(const struct esp *e)
{
	return hba_bar_read8(&e->bar, REG_STATUS) & STATUS_INTERRUPT;
}

static unsigned esp_poll(struct hba_queue *q, unsigned budget)
{
	struct esp *e = hba_controller_priv(hba_queue_controller(q));

	(void)budget;
	if (!is_interrupting(e) || !(hba_bar_read8(&e->bar, REG_INTERRUPT) & INTERRUPT_RESET) ||
	    !e->task)
		return 0;
	hba_complete_failed(e->task, HBA_NOT_PRESENT, HBA_SENT_NO);
	e->task = NULL;
	hba_ready(q, NULL, NULL);
	return 1;
}

static int esp_interrupts(struct hba_queue *q, bool on)
{
	return on && is_interrupting(hba_controller_priv(hba_queue_controller(q)));
}

static void esp_stop(struct hba_controller *c)
{
	struct esp *e = hba_controller_priv(c);

	if (hba_bar_is_mapped(&e->bar))
		hba_bar_write8(&e->bar, REG_COMMAND, COMMAND_RESET_CHIP);
}

static const struct hba_pci_id esp_ids[] = { { .vendor = 0x1022, .device = 0x2020 }, { 0 } };

static const struct hba_driver esp_driver = {
	HBA_DRIVER_HEADER,
	.name = "esp",
	.summary = "looks at an Am53C974",
	.ids = esp_ids,
	.priv_size = sizeof(struct esp),
	.initialize = esp_initialize,
	.start = esp_start,
	.process_task = esp_process_task,
	.poll = esp_poll,
	.interrupts = esp_interrupts,
	.stop = esp_stop,
};

HBA_PLUGIN(esp_driver)
