/* SPDX-License-Identifier: MIT */
/* cmd-info.c: `hbakit info URI`: all that a controller reports, in its own words. */
#include "cli/cli.h"

static error_t parse(int key, char *arg, struct argp_state *state)
{
	if (key != ARGP_KEY_INIT)
		return cli_take_uri(state->input, key, arg, state);
	state->child_inputs[0] = state->input;
	return 0;
}

static int print_json(const struct hba_controller *c)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "controller", cli_controller_json(c));
	return cli_json_print(o);
}

static int print_text(const struct hba_controller *c)
{
	cli_print_controller(c);
	cli_print_report(hba_controller_report(c));
	return cli_finish_output();
}

static int show(void *arguments, struct cli_session *s)
{
	const struct cli_common *common = arguments;

	return common->json ? print_json(s->controller) : print_text(s->controller);
}

static const struct argp_child children[] = { { &cli_common_argp, 0, NULL, 0 }, { 0 } };

static const struct argp argp = {
	.parser = parse,
	.args_doc = "URI",
	.doc = "Start a controller and show its steps, its task pool, its properties and its whole report.",
	.children = children,
};

int cmd_info(int argc, char **argv)
{
	struct cli_common common = { .uri = NULL };
	int r = cli_parse(&argp, argc, argv, &common, &common.bad_word);

	return r ? r : cli_with_controller(&common, show, &common);
}
