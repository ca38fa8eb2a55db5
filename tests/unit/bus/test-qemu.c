/* SPDX-License-Identifier: MIT */
/* test-qemu.c: the qemu bus by itself, where a driver's use of it shows nothing. */
#include "bus/bus.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
/* cmocka wants some of the above first. */
#include <cmocka.h>

enum { SKIPPED = 77, EXTENDED = 0x100, CONFIG_BYTES = 4096, ALIASES = 8, TIMES = 10 };

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
		assert_int_equal(
			bus_qemu.config_write(d, at + PCI_COMMAND, 2, before ^ PCI_COMMAND_MASTER),
			0);
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

/* Not once in so many times is its end taken for another. */
static void refused(const char *query, int error, const char *sentence)
{
	for (unsigned i = 0; i < TIMES; i++) {
		char why[HBA_BUS_WHY_BYTES] = "";
		struct hba_bus_info info;
		struct hba_bus_device *d;

		assert_int_equal(bus_qemu.open("pvscsi", query, &info, why, &d), error);
		assert_string_equal(why, sentence);
	}
}

static void one_that_cannot_be_started_says_why(void **state)
{
	(void)state;
	refused("qemu=/no/such", -ENOENT,
		"/no/such cannot be started (No such file or directory): install qemu-system-x86, "
		"or give its path by qemu=PATH");
	refused("qemu=/dev/null", -EACCES,
		"/dev/null cannot be started (Permission denied): install qemu-system-x86, or give "
		"its path by qemu=PATH");
	refused("qemu=/bin/false", -EIO, "QEMU has ended, with status 1");
}

static void an_unknown_option_of_a_drive_is_named(void **state)
{
	(void)state;
	refused("drive=no/such,tarmac=3", -EINVAL,
		"drive 'no/such': no option 'tarmac'; there are target, lun, iops, block, rerror "
		"and werror");
	refused("drive=no/such,target=1,target=2", -EINVAL,
		"drive 'no/such': an option is given twice");
	refused("drive=no/such,tarmac", -ENOENT,
		"drive 'no/such,tarmac': No such file or directory");
}

/* Which chip it is, is asked of QEMU, by whatever name it has there. */
static void any_model_is_identified(void **state)
{
	static const struct {
		const char *model;
		uint16_t vendor, device;
	} chips[] = {
		{ "pvscsi", 0x15ad, 0x07c0 },          { "virtio-scsi", 0x1af4, 0x1048 },
		{ "virtio-scsi-pci", 0x1af4, 0x1048 }, { "megasas", 0x1000, 0x0060 },
		{ "megasas-gen2", 0x1000, 0x0079 },    { "mptsas1068", 0x1000, 0x0054 },
		{ "lsi53c895a", 0x1000, 0x0012 },      { "lsi53c810", 0x1000, 0x0001 },
		{ "am53c974", 0x1022, 0x2020 },        { "megasas,msi=off", 0x1000, 0x0060 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(chips) / sizeof(chips[0]); i++) {
		char why[HBA_BUS_WHY_BYTES] = "";
		struct hba_bus_info info = { 0 };

		if (bus_qemu.identify(chips[i].model, "drive=no/such/file", &info, why) < 0)
			fail_msg("%s: %s", chips[i].model, why);
		assert_int_equal(info.vendor, chips[i].vendor);
		assert_int_equal(info.device, chips[i].device);
	}
}

static void what_qemu_refuses_is_told_in_the_words_of_the_uri(void **state)
{
	static const struct {
		const char *model, *query, *sentence;
	} refusals[] = {
		{ "pvscsi", "drive=null-co://,target=99",
		  "drive 'null-co://' as target 99, lun 0: QEMU refuses it: bad scsi device id: "
		  "99" },
		{ "pvscsi", "drive=null-co://,lun=1",
		  "drive 'null-co://' as target 0, lun 1: QEMU refuses it: bad scsi device lun: "
		  "1" },
		{ "pvscsi", "drive=json:{\"driver\":\"nonsense\"}",
		  "drive 'json:{\"driver\":\"nonsense\"}': QEMU refuses it: Parameter 'driver' "
		  "does not accept value 'nonsense'" },
		{ "e1000", "drive=null-co://",
		  "drive 'null-co://' as target 0, lun 0: QEMU refuses it: Bus 'h0.0' not found" },
		{ "nonsense", NULL,
		  "model 'nonsense': this QEMU does not have it; `qemu-system-x86_64 -device help' "
		  "lists its devices" },
		{ "pvscsi,nonsense=1", NULL,
		  "model 'pvscsi,nonsense=1': QEMU refuses it: Property 'pvscsi.nonsense' not "
		  "found" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		char why[HBA_BUS_WHY_BYTES] = "";
		struct hba_bus_info info;
		struct hba_bus_device *d;

		assert_int_equal(
			bus_qemu.open(refusals[i].model, refusals[i].query, &info, why, &d),
			-EINVAL);
		assert_string_equal(why, refusals[i].sentence);
	}
}

static void of_an_option_given_twice_the_last_counts(void **state)
{
	(void)state;
	refused("irq=none&irq=bogus", -EINVAL,
		"irq= is auto (MSI-X, or else MSI, or else INTx), msix, msi, intx or none");
	refused("memory=64M&memory=2M", -EINVAL, "memory= is a number of MiB from 20M to 2G");
	refused("qemu=qemu-system-x86_64&qemu=/no/such", -ENOENT,
		"/no/such cannot be started (No such file or directory): install qemu-system-x86, "
		"or give its path by qemu=PATH");
}

static void a_machine_without_room_asks_for_more(void **state)
{
	struct hba_bus_info info;
	struct hba_bus_device *d = up("pvscsi", &info);
	uint64_t offset;
	int fd;

	(void)state;
	assert_null(bus_qemu.why(d));
	assert_int_equal(bus_qemu.alloc_memory(d, 1 << 30, &fd, &offset), -ENOMEM);
	assert_string_equal(bus_qemu.why(d), "of the machine's 256 MiB there are no 1073741824 "
					     "bytes left in one piece: memory= gives it more");
	bus_qemu.close(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(extended_config_space_is_not_there),
		cmocka_unit_test(one_that_cannot_be_started_says_why),
		cmocka_unit_test(an_unknown_option_of_a_drive_is_named),
		cmocka_unit_test(any_model_is_identified),
		cmocka_unit_test(what_qemu_refuses_is_told_in_the_words_of_the_uri),
		cmocka_unit_test(of_an_option_given_twice_the_last_counts),
		cmocka_unit_test(a_machine_without_room_asks_for_more),
	};

	if (access("/usr/bin/qemu-system-x86_64", X_OK) < 0) {
		printf("skipped: there is no qemu-system-x86_64\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests_name("bus-qemu", tests, NULL, NULL);
}
