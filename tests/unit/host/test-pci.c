/* SPDX-License-Identifier: MIT */
/*
 * test-pci.c: the adapters of a machine that is a directory: which are listed, in which order, and
 * what is said of them.
 */
#include "host/host.h"

#include "lib/fake-root.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static char root[FAKE_ROOT_BYTES];

static void add(const char *address, unsigned vendor, unsigned device, unsigned class_code,
		int group, const char *driver)
{
	fake_root_shell(root,
			"d=sys/bus/pci/devices/%s; mkdir -p $d sys/kernel/iommu_groups/%d/devices "
			"sys/bus/pci/drivers/%s; "
			"echo 0x%04x >$d/vendor; echo 0x%04x >$d/device; echo 0x%06x >$d/class; ln "
			"-s ../../drivers/%s $d/driver; "
			"ln -s x/%d $d/iommu_group; ln -s x sys/kernel/iommu_groups/%d/devices/%s",
			address, group, driver, vendor, device, class_code, driver, group, group,
			address);
}

static int machine(void **state)
{
	(void)state;
	fake_root_new(root);
	fake_root_shell(root, "mkdir -p dev/vfio proc/self; : >dev/vfio/vfio; : >dev/vfio/1");
	return 0;
}

static int sweep(void **state)
{
	(void)state;
	fake_root_remove(root);
	return 0;
}

static void a_machine_without_adapters(void **state)
{
	struct hba_pci_adapter a = { .group = 77 };

	(void)state;
	assert_int_equal(pci_next(root, NULL, NULL, &a), 0); /* no PCI at all */
	add("0000:00:1f.0", 0x8086, 0x2918, 0x060100, 3, "lpc_ich");
	assert_int_equal(pci_next(root, NULL, NULL, &a), 0);
	assert_int_equal(a.group, 77); /* untouched */
}

static void only_storage_in_the_order_of_addresses(void **state)
{
	static const char *const expected[] = { "0000:00:02.0", "0000:03:00.0", "0000:0a:00.1" };
	struct hba_pci_adapter a = { .address = "" };

	(void)state;
	add("0000:0a:00.1", 0x1000, 0x0054, 0x010000, 5, "mptsas");
	add("0000:00:02.0", 0x15ad, 0x07c0, 0x010700, 1, "vmw_pvscsi");
	add("0000:00:03.0", 0x8086, 0x10d3, 0x020000, 2, "e1000e");
	add("0000:03:00.0", 0x1af4, 0x1048, 0x010000, 4, "virtio-pci");
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		assert_int_equal(pci_next(root, NULL, a.address, &a), 1);
		assert_string_equal(a.address, expected[i]);
	}
	assert_int_equal(pci_next(root, NULL, a.address, &a), 0);
}

/* Somebody's own driver for a chip is looked for first. */
static void a_plug_in_comes_first(void **state)
{
	static const struct hba_pci_id ids[] = { { .vendor = 0x15ad, .device = 0x07c0 }, { 0 } };
	static const struct hba_driver mine = { HBA_DRIVER_HEADER, .name = "mine", .ids = ids };
	struct hba_pci_adapter a;

	(void)state;
	add("0000:00:02.0", 0x15ad, 0x07c0, 0x010700, 1, "vmw_pvscsi");
	add("0000:03:00.0", 0x1af4, 0x1048, 0x010000, 4, "virtio-pci");
	assert_int_equal(pci_next(root, &mine, "", &a), 1);
	assert_string_equal(a.driver, "mine");
	assert_int_equal(pci_next(root, &mine, a.address, &a), 1);
	assert_string_equal(a.driver, "virtio-scsi");
}

static void what_is_said_of_one(void **state)
{
	struct hba_pci_adapter a;

	(void)state;
	add("0000:00:02.0", 0x15ad, 0x07c0, 0x010700, 1, "vmw_pvscsi");
	add("0000:00:02.1", 0x8086, 0x10d3, 0x020000, 1, "e1000e");
	fake_root_shell(root, "mkdir -p sys/bus/pci/drivers/vfio-pci");
	assert_int_equal(pci_next(root, NULL, "", &a), 1);
	assert_int_equal(a.vendor, 0x15ad);
	assert_int_equal(a.device, 0x07c0);
	assert_int_equal(a.class_code, 0x010700);
	assert_string_equal(a.kernel_driver, "vmw_pvscsi");
	assert_string_equal(a.driver, "pvscsi");
	assert_int_equal(a.group, 1);
	assert_int_equal(a.n_mates, 1);
	assert_string_equal(a.mates[0].address, "0000:00:02.1");
	assert_string_equal(a.mates[0].kernel_driver, "e1000e");
	assert_int_equal(a.obstacles, 1U << HBA_PCI_BUSY | 1U << HBA_PCI_SHARED);
	assert_non_null(strstr(a.why[HBA_PCI_BUSY], "vmw_pvscsi"));
	assert_non_null(strstr(a.why[HBA_PCI_SHARED], "e1000e"));
	assert_non_null(strstr(a.bind_driverctl, "0000:00:02.0 vfio-pci"));
	assert_non_null(strstr(a.bind_sysfs, "drivers/vmw_pvscsi/unbind"));
}

static void a_chip_without_a_driver_of_ours(void **state)
{
	struct hba_pci_adapter a;

	(void)state;
	add("0000:00:02.0", 0x1234, 0x5678, 0x010400, 1, "vfio-pci");
	assert_int_equal(pci_next(root, NULL, "", &a), 1);
	assert_null(a.driver);
	assert_int_equal(a.obstacles, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_machine_without_adapters, machine, sweep),
		cmocka_unit_test_setup_teardown(only_storage_in_the_order_of_addresses, machine,
						sweep),
		cmocka_unit_test_setup_teardown(a_plug_in_comes_first, machine, sweep),
		cmocka_unit_test_setup_teardown(what_is_said_of_one, machine, sweep),
		cmocka_unit_test_setup_teardown(a_chip_without_a_driver_of_ours, machine, sweep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
