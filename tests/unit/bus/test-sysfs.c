/* SPDX-License-Identifier: MIT */
/*
 * test-sysfs.c: each reason why VFIO would refuse, from a system that is a directory; and that a
 * healthy one has none.
 */
#include "base/base.h"
#include "bus/bus.h"

#include "lib/fake-root.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define HBA  "0000:03:00.0"
#define MATE "0000:03:00.1"

enum { NOBODY = 65534 };

static char root[FAKE_ROOT_BYTES];

static void add_function(const char *address, unsigned class_code, const char *driver)
{
	fake_root_shell(
		root,
		"d=sys/bus/pci/devices/%s; mkdir -p $d sys/kernel/iommu_groups/7/devices "
		"sys/bus/pci/drivers/%s; "
		"echo 0x15ad >$d/vendor; echo 0x07c0 >$d/device; echo 0x15ad >$d/subsystem_vendor; "
		"echo 0x07c0 >$d/subsystem_device; "
		"echo 0x%06x >$d/class; ln -sfn ../../../../kernel/iommu_groups/7 $d/iommu_group; "
		"ln -sfn ../../../../bus/pci/devices/%s sys/kernel/iommu_groups/7/devices/%s",
		address, driver[0] ? driver : "none", class_code, address, address);
	if (driver[0])
		fake_root_shell(root, "ln -sfn ../../drivers/%s sys/bus/pci/devices/%s/driver",
				driver, address);
}

/* An adapter that is ready to be used. */
static int healthy(void **state)
{
	(void)state;
	fake_root_new(root);
	fake_root_shell(root, "chmod 755 .; mkdir -p dev/vfio proc/self sys/module; : "
			      ">dev/vfio/vfio; : >dev/vfio/7; chmod 666 dev/vfio/*; "
			      "echo 'CapEff:	0000000000000000' >proc/self/status; "
			      "echo 'Max locked memory         unlimited            unlimited      "
			      "      bytes' >proc/self/limits");
	add_function(HBA, 0x010700, "vfio-pci");
	return 0;
}

static int sweep(void **state)
{
	(void)state;
	fake_root_remove(root);
	return 0;
}

static struct pci_function function(void)
{
	struct pci_function f;

	assert_int_equal(pci_function_read(root, HBA, &f), 0);
	return f;
}

/* Exactly this one is in the way, and its sentence has these words. */
static void expect_only(enum pci_obstacle expected, const char *words)
{
	struct pci_function f = function();
	char why[HBA_BUS_WHY_BYTES];

	for (enum pci_obstacle o = 0; o < PCI_OBSTACLES; o++) {
		why[0] = '\0';
		assert_int_equal(pci_obstacle_why(root, &f, o, why), o == expected);
		if (o == expected && !strstr(why, words))
			fail_msg("'%s' does not say '%s'", why, words);
	}
}

static void a_healthy_adapter_has_none(void **state)
{
	struct pci_function f = function();

	(void)state;
	expect_only(PCI_OBSTACLES, "");
	assert_string_equal(f.address, HBA);
	assert_int_equal(f.vendor, 0x15ad);
	assert_int_equal(f.device, 0x07c0);
	assert_int_equal(f.class_code, 0x010700);
	assert_string_equal(f.driver, "vfio-pci");
	assert_int_equal(f.group, 7);
	assert_int_equal(f.n_mates, 0);
}

static void no_iommu(void **state)
{
	(void)state;
	fake_root_shell(root, "rm sys/bus/pci/devices/" HBA "/iommu_group");
	expect_only(PCI_NO_IOMMU, "intel_iommu=on");
	fake_root_shell(root, "mkdir -p sys/module/vfio/parameters; echo Y "
			      ">sys/module/vfio/parameters/enable_unsafe_noiommu_mode");
	expect_only(PCI_NO_IOMMU, "no-IOMMU mode, which is on, is not supported");
	/* Once it is bound it has a group after all, which is none. */
	fake_root_shell(root, "ln -sfn ../../../../kernel/iommu_groups/7 sys/bus/pci/devices/" HBA
			      "/iommu_group; "
			      "echo vfio-noiommu >sys/kernel/iommu_groups/7/name; mv dev/vfio/7 "
			      "dev/vfio/noiommu-7");
	expect_only(PCI_NO_IOMMU, "no-IOMMU mode, which is on, is not supported");
	assert_int_equal(function().group, -1);
}

static void no_module(void **state)
{
	(void)state;
	fake_root_shell(root, "rm dev/vfio/vfio");
	expect_only(PCI_NO_MODULE, "modprobe vfio-pci");
	fake_root_shell(root, ": >dev/iommu");
	expect_only(PCI_NO_MODULE, "iommufd only");
}

static void another_driver(void **state)
{
	(void)state;
	add_function(HBA, 0x010700, "vmw_pvscsi");
	expect_only(PCI_BUSY, "is driven by vmw_pvscsi: unmount its disks");
	fake_root_shell(root, "rm sys/bus/pci/devices/" HBA "/driver");
	expect_only(PCI_BUSY, "is not bound to vfio-pci");
}

static void a_shared_group(void **state)
{
	(void)state;
	add_function(MATE, 0x060400, "pcieport"); /* a bridge is nobody */
	assert_int_equal(function().n_mates, 0);
	add_function(MATE, 0x020000, "vfio-pci");
	assert_int_equal(function().n_mates, 1);
	expect_only(PCI_OBSTACLES, "");
	add_function(MATE, 0x020000, "e1000e");
	expect_only(PCI_SHARED, "group 7 also holds " MATE ", driven by e1000e");
}

static void a_group_of_very_many(void **state)
{
	char address[] = "0000:04:00.0";

	(void)state;
	for (unsigned i = 0; i < PCI_MATES + 3; i++) {
		snprintf(address, sizeof(address), "0000:04:%02x.0", i);
		add_function(address, 0x020000, "vfio-pci");
	}
	assert_int_equal(function().n_mates, PCI_MATES + 3);
	expect_only(PCI_OBSTACLES, "");
	/* Whichever it is, in whatever order they come. */
	for (unsigned i = 0; i < PCI_MATES + 3; i++) {
		snprintf(address, sizeof(address), "0000:04:%02x.0", i);
		add_function(address, 0x020000, "e1000e");
		expect_only(PCI_SHARED, address);
		add_function(address, 0x020000, "vfio-pci");
	}
}

static void no_node(void **state)
{
	(void)state;
	fake_root_shell(root, "rm dev/vfio/7");
	expect_only(PCI_NO_PERMISSION, "/dev/vfio/7 is not there: udev makes it");
}

static void no_permission(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	if (geteuid() != 0)
		skip();
	fake_root_shell(root, "chmod 600 dev/vfio/7");
	/* Root may always: so somebody else looks. */
	pid = fork();
	if (pid == 0) {
		struct pci_function f = function();
		char why[HBA_BUS_WHY_BYTES] = "";

		if (setresuid(NOBODY, NOBODY, NOBODY) < 0)
			_exit(2);
		_exit(pci_obstacle_why(root, &f, PCI_NO_PERMISSION, why) == 1 &&
				      strstr(why, "chown 65534 /dev/vfio/7")
			      ? 0
			      : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void little_memory_may_be_locked(void **state)
{
	(void)state;
	fake_root_shell(root, "echo 'Max locked memory         8388608              8388608        "
			      "      bytes' >proc/self/limits");
	expect_only(PCI_LOW_MEMLOCK, "8192 KiB");
	fake_root_shell(root, "echo 'CapEff:	0000000000004000' >proc/self/status");
	expect_only(PCI_OBSTACLES, "");
}

static void addresses(void **state)
{
	static const char *const bad[] = { "",           "03:00",        "0000:03:00.0 ",
					   "../../../x", "0000:0g:00.0", "00000:03:00.0",
					   "3:0.0" };
	char address[PCI_ADDRESS_BYTES];
	struct pci_function f;

	(void)state;
	assert_int_equal(pci_address_parse("0A:1f.7", address), 0);
	assert_string_equal(address, "0000:0a:1f.7");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(pci_address_parse(bad[i], address), -EINVAL);
	assert_int_equal(pci_function_read(root, "0000:09:00.0", &f), -ENOENT);
}

/* The commands are not only read: they are run, in the directory that stands for the system. */
static void the_bind_command_writes_what_it_should(void **state)
{
	struct pci_function f;
	char command[512], line[1024];

	(void)state;
	add_function(HBA, 0x010700, "vmw_pvscsi");
	f = function();
	pci_bind_command(&f, true, command, sizeof(command));
	assert_string_equal(command, "driverctl --nosave set-override " HBA " vfio-pci");
	pci_bind_command(&f, false, command, sizeof(command));
	assert_int_equal(strncmp(command, "modprobe vfio-pci; cd /sys/", 27), 0);
	snprintf(line, sizeof(line), "modprobe() { :; }; modprobe vfio-pci; cd sys/%s",
		 command + 27);
	fake_root_shell(root, "%s", line);
	fake_root_shell(root, "test `cat sys/bus/pci/devices/" HBA "/driver_override` = vfio-pci");
	fake_root_shell(root, "test `cat sys/bus/pci/drivers/vmw_pvscsi/unbind` = " HBA);
	fake_root_shell(root, "test `cat sys/bus/pci/drivers_probe` = " HBA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_healthy_adapter_has_none, healthy, sweep),
		cmocka_unit_test_setup_teardown(no_iommu, healthy, sweep),
		cmocka_unit_test_setup_teardown(no_module, healthy, sweep),
		cmocka_unit_test_setup_teardown(another_driver, healthy, sweep),
		cmocka_unit_test_setup_teardown(a_shared_group, healthy, sweep),
		cmocka_unit_test_setup_teardown(a_group_of_very_many, healthy, sweep),
		cmocka_unit_test_setup_teardown(no_node, healthy, sweep),
		cmocka_unit_test_setup_teardown(no_permission, healthy, sweep),
		cmocka_unit_test_setup_teardown(little_memory_may_be_locked, healthy, sweep),
		cmocka_unit_test_setup_teardown(addresses, healthy, sweep),
		cmocka_unit_test_setup_teardown(the_bind_command_writes_what_it_should, healthy,
						sweep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
