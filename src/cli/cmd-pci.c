/* SPDX-License-Identifier: MIT */
/*
 * cmd-pci.c: `hbakit pci`: the adapters of this machine, what is in the way of each, and the
 * command that gives it to VFIO.
 */
#include "cli/cli.h"

#include "base/base.h"

#include <hbakit/driver.h>
#include <hbakit/pci.h>
#include <unistd.h>

#define NOTES                                                                                  \
	"hbakit uses VFIO type 1. iommufd and VFIO's no-IOMMU mode are not supported by this " \
	"version."

static const char *const obstacle_names[HBA_PCI_OBSTACLES] = {
	[HBA_PCI_NO_IOMMU] = "no-iommu",
	[HBA_PCI_NO_MODULE] = "no-module",
	[HBA_PCI_BUSY] = "busy",
	[HBA_PCI_SHARED] = "shared",
	[HBA_PCI_NO_PERMISSION] = "no-permission",
	[HBA_PCI_LOW_MEMLOCK] = "low-memlock",
};

/* ---- JSON */

static void add_hex(struct json_object *o, const char *key, unsigned digits, uint32_t value)
{
	char text[16];

	snprintf(text, sizeof(text), "%0*x", (int)digits, value);
	cli_json_text(o, key, text);
}

static void add_name(struct json_object *o, const char *key, const char *name)
{
	if (name && name[0])
		cli_json_text(o, key, name);
	else
		json_object_object_add(o, key, NULL);
}

static struct json_object *mates_json(const struct hba_pci_adapter *a)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < a->n_mates && i < HBA_PCI_MATES; i++) {
		struct json_object *o = json_object_new_object();

		cli_json_text(o, "address", a->mates[i].address);
		add_name(o, "kernel_driver", a->mates[i].kernel_driver);
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *obstacles_json(const struct hba_pci_adapter *a)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < HBA_PCI_OBSTACLES; i++) {
		struct json_object *o;

		if (!(a->obstacles >> i & 1))
			continue;
		o = json_object_new_object();
		cli_json_text(o, "reason", obstacle_names[i]);
		cli_json_text(o, "text", a->why[i]);
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *adapter_json(const struct hba_pci_adapter *a)
{
	struct json_object *o = json_object_new_object();

	cli_json_text(o, "address", a->address);
	add_hex(o, "vendor", 4, a->vendor);
	add_hex(o, "device", 4, a->device);
	add_hex(o, "class", 6, a->class_code);
	add_name(o, "kernel_driver", a->kernel_driver);
	add_name(o, "driver", a->driver);
	json_object_object_add(o, "group", a->group < 0 ? NULL : json_object_new_int(a->group));
	json_object_object_add(o, "others_in_group", mates_json(a));
	json_object_object_add(o, "obstacles", obstacles_json(a));
	cli_json_text(o, "bind", a->bind_sysfs);
	cli_json_text(o, "bind_driverctl", a->bind_driverctl);
	return o;
}

/* ---- text */

static bool has_driverctl(void)
{
	return access("/usr/sbin/driverctl", X_OK) == 0 || access("/sbin/driverctl", X_OK) == 0;
}

static void print_group(const struct hba_pci_adapter *a)
{
	if (a->group < 0) {
		puts("  IOMMU group     none");
		return;
	}
	printf("  IOMMU group     %d, %s\n", a->group, a->n_mates ? "with" : "alone");
	for (unsigned i = 0; i < a->n_mates && i < HBA_PCI_MATES; i++)
		printf("                    %s, driver %s\n", a->mates[i].address,
		       a->mates[i].kernel_driver[0] ? a->mates[i].kernel_driver : "none");
	if (a->n_mates > HBA_PCI_MATES)
		printf("                    and %u more\n", a->n_mates - HBA_PCI_MATES);
}

static void print_adapter(const struct hba_pci_adapter *a)
{
	printf("%s  %04x:%04x  class %06x\n", a->address, a->vendor, a->device, a->class_code);
	printf("  hbakit's driver %s\n", a->driver ? a->driver : "none for this chip");
	printf("  driver today    %s\n", a->kernel_driver[0] ? a->kernel_driver : "none");
	print_group(a);
	if (!a->driver)
		return;
	if (a->obstacles >> HBA_PCI_BUSY & 1)
		printf("  to bind it      %s\n",
		       has_driverctl() ? a->bind_driverctl : a->bind_sysfs);
	for (unsigned i = 0; i < HBA_PCI_OBSTACLES; i++)
		if (a->obstacles >> i & 1)
			printf("  in the way      %s\n", a->why[i]);
	if (!a->obstacles)
		printf("  ready           hbakit scan pci:%s\n", a->address);
}

static int pci_show(const struct hba_driver *plugin, bool json, struct json_object *list)
{
	struct hba_pci_adapter a = { .address = "" };
	unsigned n = 0;
	int r;

	while ((r = hba_pci_next_for(plugin, a.address, &a)) > 0) {
		n++;
		if (json)
			json_object_array_add(list, adapter_json(&a));
		else
			print_adapter(&a);
	}
	if (r == 0 && !json && n == 0)
		puts("no SCSI, SAS or RAID adapters on this machine (class 01 of PCI)");
	return r;
}

static int show_with(const struct hba_driver *plugin, bool json)
{
	struct json_object *o, *list = json_object_new_array();
	int r = pci_show(plugin, json, list);

	if (r < 0 || !json) {
		json_object_put(list);
		if (r == 0)
			puts(NOTES);
		return r < 0 ? cli_fail("%s", hba_error()) : cli_finish_output();
	}
	o = json_object_new_object();
	json_object_object_add(o, "adapters", list);
	cli_json_text(o, "notes", NOTES);
	return cli_json_print(o);
}

static int run_pci(int argc, char **argv)
{
	struct cli_common common = { .json = false };
	const struct hba_driver *plugin = NULL;
	int r = cli_parse(&cmd_pci, argc, argv, &common);

	if (r == 0 && common.plugin && hba_driver_load(common.plugin, &plugin) < 0)
		r = cli_fail("%s", hba_error());
	if (r)
		return r;
	r = show_with(plugin, common.json);
	hba_driver_unload(plugin);
	return r;
}

const struct cli_command cmd_pci = {
	.name = "pci",
	.summary = "list this machine's adapters, and obstacles to using them",
	.doc = "List the SCSI, SAS and RAID adapters of this machine, what is in the way of using "
	       "each as pci:ADDRESS, and the one "
	       "command that gives it to VFIO. Changes nothing.\v" NOTES,
	.asks = CLI_ASKS_PLUGIN,
	.run = run_pci,
};
