/* SPDX-License-Identifier: MIT */
/* cmd-scan.c: `hbakit scan URI`: the controller's way up, and the tree of what is behind it. */
#include "cli/cli.h"

#include "base/base.h"
#include "scsi/scsi.h"

#include <inttypes.h>

enum { LUN_TEXT = 24 };

/* ---- JSON */

static struct json_object *lun_json(const struct hba_lun_info *info)
{
	struct json_object *o = json_object_new_object();

	cli_json_lun(o, info);
	cli_json_text(o, "type", cli_type_name(info->type));
	cli_json_text(o, "vendor", info->vendor);
	cli_json_text(o, "product", info->product);
	cli_json_text(o, "revision", info->revision);
	cli_json_text(o, "serial", info->serial);
	cli_json_text(o, "id", info->id);
	cli_json_number(o, "block_size", info->block_bytes);
	cli_json_number(o, "blocks", info->blocks);
	cli_json_number(o, "generation", info->generation);
	return o;
}

static struct json_object *target_json(struct hba_controller *c, uint64_t target,
				       struct json_object **ret_luns)
{
	struct json_object *o = json_object_new_object();

	*ret_luns = json_object_new_array();
	cli_json_number(o, "id", target);
	json_object_object_add(o, "properties", cli_properties_json(c, target));
	json_object_object_add(o, "luns", *ret_luns);
	return o;
}

/* Units come by target, so a new target begins where the number changes. */
static struct json_object *targets_json(struct hba_controller *c)
{
	struct json_object *targets = json_object_new_array(), *luns = NULL;
	uint64_t target = HBA_NO_TARGET;
	struct hba_lun_info info;

	for (struct hba_lun *lun = hba_lun_next(c, NULL); lun; lun = hba_lun_next(c, lun)) {
		hba_lun_get_info(lun, &info);
		if (info.target != target)
			json_object_array_add(targets, target_json(c, info.target, &luns));
		target = info.target;
		json_object_array_add(luns, lun_json(&info));
	}
	return targets;
}

static struct json_object *as_json(struct hba_controller *c)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "controller", cli_controller_json(c));
	json_object_object_add(o, "targets", targets_json(c));
	return o;
}

/* ---- text */

static void print_unit(const struct hba_lun_info *info, bool verbose)
{
	char text[LUN_TEXT], size[16] = "no medium";

	scsi_lun_text(&info->lun, text);
	if (info->block_bytes)
		format_size(info->blocks * info->block_bytes, size);
	printf("    lun %-4s %-10s %-8s %-16s %-4s  %9s", text, cli_type_name(info->type),
	       info->vendor, info->product, info->revision, size);
	if (info->block_bytes)
		printf(", %" PRIu64 " blocks of %" PRIu32, info->blocks, info->block_bytes);
	printf("%s\n", info->read_only ? ", read-only" : "");
	if (info->serial[0] || info->id[0])
		printf("             serial %s  id %s\n", info->serial[0] ? info->serial : "-",
		       info->id[0] ? info->id : "-");
	if (verbose)
		printf("             generation %" PRIu32
		       " of what is there: each change of medium counts\n",
		       info->generation);
}

/* Most who scan look for their disks: these come first. */
static void print_text(struct hba_controller *c, bool verbose)
{
	uint64_t target = HBA_NO_TARGET;
	struct hba_lun_info info;

	cli_print_headline(c);
	for (struct hba_lun *lun = hba_lun_next(c, NULL); lun; lun = hba_lun_next(c, lun)) {
		hba_lun_get_info(lun, &info);
		if (info.target != target) {
			printf("  target %" PRIu64 "\n", info.target);
			cli_print_properties(c, info.target, "    ");
		}
		target = info.target;
		print_unit(&info, verbose);
	}
	if (target == HBA_NO_TARGET)
		puts("  no targets");
	cli_print_controller(c, verbose);
}

static int run_scan(int argc, char **argv)
{
	return cli_run_view(&cmd_scan, argc, argv, as_json, print_text);
}

const struct cli_command cmd_scan = {
	.name = "scan",
	.summary = "start a controller, list its targets and units",
	.arguments = "URI",
	.doc = "Start a controller, and list its targets and logical units; with -v also each step "
	       "of its way up, and its time.",
	.asks = CLI_ASKS_CONTROLLER,
	.run = run_scan,
};
