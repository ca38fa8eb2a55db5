/* SPDX-License-Identifier: MIT */
/* test-qemu.c: the qemu bus by itself, where a driver's use of it shows nothing. */
#include "bus/bus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
/* cmocka wants some of the above first. */
#include <cmocka.h>

enum { SKIPPED = 77, EXTENDED = 0x100, CONFIG_BYTES = 4096, ALIASES = 8 };

static struct hba_bus_device *up(const char *model, struct hba_bus_info *info)
{
	char why[HBA_BUS_WHY_BYTES] = "";
	struct hba_bus_device *d;

	if (bus_qemu.open(model, "drive=null-co://", info, why, &d) < 0)
		fail_msg("%s", why);
	return d;
}

/* The two ports carry eight bits of an offset: the others must not come back as other registers. */
static void no_extended_space(const char *model)
{
	struct hba_bus_info info;
	struct hba_bus_device *d = up(model, &info);
	uint32_t value = 0, before = 0, after = 0;

	assert_int_equal(bus_qemu.config_read(d, PCI_ID, 4, &value), 0);
	assert_int_equal(value, (uint32_t)info.device << 16 | info.vendor);
	assert_int_equal(bus_qemu.config_read(d, PCI_COMMAND, 2, &before), 0);
	for (unsigned at = EXTENDED; at < CONFIG_BYTES; at += CONFIG_BYTES / ALIASES - EXTENDED) {
		value = 0;
		assert_int_equal(bus_qemu.config_read(d, at + PCI_ID, 4, &value), 0);
		assert_int_equal(value, UINT32_MAX);
		assert_int_equal(bus_qemu.config_write(d, at + PCI_COMMAND, 2, before ^ PCI_COMMAND_MASTER), 0);
	}
	assert_int_equal(bus_qemu.config_write(d, 0x804, 2, before ^ PCI_COMMAND_MASTER), 0);
	assert_int_equal(bus_qemu.config_read(d, PCI_COMMAND, 2, &after), 0);
	assert_int_equal(after, before);
	bus_qemu.close(d);
}

static void extended_config_space_is_not_there(void **state)
{
	(void)state;
	no_extended_space("pvscsi");
	no_extended_space("virtio-scsi");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(extended_config_space_is_not_there) };

	if (access("/usr/bin/qemu-system-x86_64", X_OK) < 0) {
		printf("skipped: there is no qemu-system-x86_64\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests_name("bus-qemu", tests, NULL, NULL);
}
