/* SPDX-License-Identifier: MIT */
/* cmd-info.c: `hbakit info URI`: all that a controller reports, in its own words. */
#include "cli/cli.h"

static struct json_object *as_json(struct hba_controller *c)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "controller", cli_controller_json(c));
	return o;
}

static void print_text(struct hba_controller *c, bool verbose)
{
	(void)verbose;
	cli_print_headline(c);
	cli_print_controller(c, true);
	cli_print_report(hba_controller_report(c));
}

static int run_info(int argc, char **argv)
{
	return cli_run_view(&cmd_info, argc, argv, as_json, print_text);
}

const struct cli_command cmd_info = {
	.name = "info",
	.summary = "start a controller, show all that it reports",
	.arguments = "URI",
	.doc = "Start a controller and show its steps, its task pool, its properties and its whole "
	       "report.",
	.asks = CLI_ASKS_CONTROLLER,
	.run = run_info,
};
