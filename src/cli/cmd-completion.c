/* SPDX-License-Identifier: MIT */
/* cmd-completion.c: `hbakit completion`: bash completes commands and options from the tables that the parser reads. */
#include "cli/cli.h"

#include <ctype.h>
#include <hbakit/driver.h>
#include <string.h>

/* Buses have schemes, too, which no table outside the library lists; a test holds these against what the library says. */
static const char bus_schemes[] = "pci: qemu:";

/* The words before the cursor that bash gives are cut at each colon: what follows a scheme is a file's name for itself. */
static const char functions[] =
	"_hbakit()\n"
	"{\n"
	"	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}\n"
	"	COMPREPLY=()\n"
	"	if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
	"		COMPREPLY=($(compgen -W \"$_hbakit_commands\" -- \"$word\"))\n"
	"	elif [ \"$word\" = : ] || [ \"$before\" = : ]; then\n"
	"		compopt -o filenames\n"
	"		COMPREPLY=($(compgen -f -- \"${word#:}\"))\n"
	"	elif [[ \" $_hbakit_files \" == *\" $before \"* ]]; then\n"
	"		compopt -o filenames\n"
	"		COMPREPLY=($(compgen -f -- \"$word\"))\n"
	"	elif [[ \" $_hbakit_values \" == *\" $before \"* ]]; then\n"
	"		return\n"
	"	elif [[ $word == -* ]]; then\n"
	"		COMPREPLY=($(compgen -W \"$(_hbakit_options \"$command\")\" -- \"$word\"))\n"
	"	elif [ \"$command\" = drivers ]; then\n"
	"		COMPREPLY=($(compgen -W \"$_hbakit_drivers\" -- \"$word\"))\n"
	"	else\n"
	"		compopt -o nospace\n"
	"		COMPREPLY=($(compgen -W \"$_hbakit_schemes\" -- \"$word\"))\n"
	"	fi\n"
	"}\n"
	"complete -F _hbakit hbakit\n";

static void print_option(const struct argp_option *o, void *arg)
{
	(void)arg;
	if (isascii(o->key) && isprint(o->key))
		printf(" -%c", o->key);
	printf(" --%s", o->name);
}

/* Those with a value: a file's name, or one that nobody can guess. */
static void print_if_valued(const struct argp_option *o, void *arg)
{
	const bool *files = arg;

	if (o->arg && !strncmp(o->arg, "FILE", 4) == *files)
		print_option(o, NULL);
}

static void print_valued(const char *variable, bool files)
{
	const struct cli_command *const *commands = cli_commands();

	printf("%s='", variable);
	for (size_t i = 0; commands[i]; i++)
		cli_each_option(commands[i], print_if_valued, &files);
	puts("'");
}

static void print_options(void)
{
	const struct cli_command *const *commands = cli_commands();

	puts("_hbakit_options()\n{\n\tcase $1 in");
	for (size_t i = 0; commands[i]; i++) {
		printf("\t%s) echo '--help", commands[i]->name);
		cli_each_option(commands[i], print_option, NULL);
		puts("' ;;");
	}
	puts("\tesac\n}");
}

static void print_words(void)
{
	const struct cli_command *const *commands = cli_commands();

	fputs("_hbakit_commands='--help --version help", stdout);
	for (size_t i = 0; commands[i]; i++)
		printf(" %s", commands[i]->name);
	fputs("'\n_hbakit_drivers='", stdout);
	for (const struct hba_driver *d = hba_driver_next(NULL); d; d = hba_driver_next(d))
		printf(" %s", d->name);
	printf("'\n_hbakit_schemes='%s", bus_schemes);
	for (const struct hba_driver *d = hba_driver_next(NULL); d; d = hba_driver_next(d))
		if (d->scheme)
			printf(" %s:", d->scheme);
	puts("'");
}

static int run_completion(int argc, char **argv)
{
	struct cli_common common = { .json = false };
	int r = cli_parse(&cmd_completion, argc, argv, &common);

	if (r)
		return r;
	if (common.json)
		return cli_usage("--json: a shell reads this, and no JSON");
	puts("# bash completion for hbakit, by `hbakit completion'");
	print_words();
	print_valued("_hbakit_files", true);
	print_valued("_hbakit_values", false);
	print_options();
	fputs(functions, stdout);
	return cli_finish_output();
}

const struct cli_command cmd_completion = {
	.name = "completion",
	.summary = "print what makes bash complete all this",
	.doc = "Print a bash script that completes commands, options, files and controllers' schemes.\v"
	       "For this shell: . <(hbakit completion). `meson install' puts it where bash-completion finds it.",
	.run = run_completion,
};
