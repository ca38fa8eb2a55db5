/* SPDX-License-Identifier: MIT */
/*
 * cmd-completion.c: `hbakit completion`: bash completes commands and options from the tables that
 * the parser reads.
 */
#include "cli/cli.h"

#include <ctype.h>
#include <hbakit/driver.h>
#include <string.h>

/*
 * An argument is cut by bash at each : and =, and bash replaces the last piece alone: so the
 * argument is put together again, what is offered are whole arguments, and what stands before the
 * last piece is taken off their fronts. Within quotes nothing is cut. A name is one line, whatever
 * spaces are in it.
 */
static const char functions[] =
	"_hbakit_is_cut() { [[ -n $1 && -z ${1//[:=]/} ]]; }\n"
	"_hbakit_one_of() { [[ \" $2 \" == *\" $1 \"* ]]; }\n"
	"_hbakit_words()\n"
	"{\n"
	"	mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$2\")\n"
	"}\n"
	"_hbakit_names()\n"
	"{\n"
	"	local i\n"
	"	compopt -o filenames\n"
	"	mapfile -t COMPREPLY < <(compgen -f -- \"$2\")\n"
	"	for i in \"${!COMPREPLY[@]}\"; do COMPREPLY[i]=$1${COMPREPLY[i]}; done\n"
	"}\n"
	"_hbakit_uri_options()\n"
	"{\n"
	"	local front=${1%[?\\&]*} i\n"
	"	front=${1:0:${#front}+1}\n"
	"	compopt -o nospace\n"
	"	_hbakit_words \"$(_hbakit_options_after \"$2\")\" \"${1:${#front}}\"\n"
	"	for i in \"${!COMPREPLY[@]}\"; do COMPREPLY[i]=$front${COMPREPLY[i]}; done\n"
	"}\n"
	"_hbakit_argument()\n"
	"{\n"
	"	local argument=$1 before=$2 command=$3 option=${1%%=*} scheme=${1%%:*}\n"
	"	local named_file='^(.*[?&](drive|qemu|qmp)=)([^,&]*)$'\n"
	"	if _hbakit_one_of \"$before\" \"$_hbakit_optional\"; then before=-; fi\n"
	"	if [[ $argument == -*=* ]]; then\n"
	"		if _hbakit_one_of \"$option\" \"$_hbakit_files\"; then\n"
	"			_hbakit_names \"$option=\" \"${argument#*=}\"\n"
	"		fi\n"
	"	elif _hbakit_one_of \"$before\" \"$_hbakit_files\"; then\n"
	"		_hbakit_names \"\" \"$argument\"\n"
	"	elif [[ $argument =~ $named_file ]]; then\n"
	"		_hbakit_names \"${BASH_REMATCH[1]}\" \"${BASH_REMATCH[3]}\"\n"
	"	elif [[ $argument == *:*[?\\&]* ]]; then\n"
	"		_hbakit_uri_options \"$argument\" \"$scheme\"\n"
	"	elif [[ $argument == *:* ]]; then\n"
	"		_hbakit_names \"$scheme:\" \"${argument#*:}\"\n"
	"	elif _hbakit_one_of \"$before\" \"$_hbakit_values\"; then\n"
	"		return\n"
	"	elif [[ $argument == -* ]]; then\n"
	"		_hbakit_words \"$(_hbakit_options \"$command\")\" \"$argument\"\n"
	"	elif [ \"$command\" = drivers ]; then\n"
	"		_hbakit_words \"$_hbakit_drivers\" \"$argument\"\n"
	"	else\n"
	"		compopt -o nospace\n"
	"		_hbakit_words \"$_hbakit_schemes\" \"$argument\"\n"
	"	fi\n"
	"}\n"
	"_hbakit()\n"
	"{\n"
	"	local word=${COMP_WORDS[COMP_CWORD]} at=$COMP_CWORD front= i\n"
	"	COMPREPLY=()\n"
	"	if _hbakit_is_cut \"$word\"; then\n"
	"		front=$word word=\n"
	"	fi\n"
	"	while [ \"$at\" -gt 1 ] && { _hbakit_is_cut \"${COMP_WORDS[at]}\" || "
	"_hbakit_is_cut \"${COMP_WORDS[at-1]}\"; }; do\n"
	"		at=$((at - 1)) front=${COMP_WORDS[at]}$front\n"
	"	done\n"
	"	word=${word#[\\\"\\']}\n"
	"	word=${word//\\\\/}\n"
	"	if [ \"$at\" -eq 1 ]; then\n"
	"		_hbakit_words \"$_hbakit_commands\" \"$front$word\"\n"
	"	else\n"
	"		_hbakit_argument \"$front$word\" \"${COMP_WORDS[at-1]}\" "
	"\"${COMP_WORDS[1]}\"\n"
	"	fi\n"
	"	for i in \"${!COMPREPLY[@]}\"; do COMPREPLY[i]=${COMPREPLY[i]:${#front}}; done\n"
	"}\n"
	"complete -F _hbakit hbakit\n";

static void print_option(const struct argp_option *o, void *arg)
{
	(void)arg;
	if (isascii(o->key) && isprint(o->key))
		printf(" -%c", o->key);
	printf(" --%s", o->name);
}

/* Those with a value: a file's name, or one that cannot be guessed. */
static void print_if_file(const struct argp_option *o, void *arg)
{
	if (o->arg && !strncmp(o->arg, "FILE", 4))
		print_option(o, arg);
}

static void print_if_value(const struct argp_option *o, void *arg)
{
	if (o->arg && strncmp(o->arg, "FILE", 4))
		print_option(o, arg);
}

/* The value stands behind a `=` or not at all: the next word is another argument. */
static void print_if_optional(const struct argp_option *o, void *arg)
{
	if (o->arg && (o->flags & OPTION_ARG_OPTIONAL))
		print_option(o, arg);
}

static void print_valued(const char *variable,
			 void (*print)(const struct argp_option *o, void *arg))
{
	const struct cli_command *const *commands = cli_commands();

	printf("%s='", variable);
	for (size_t i = 0; commands[i]; i++)
		cli_each_option(commands[i], print, NULL);
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
	for (const struct hba_bus *b = hba_bus_next(NULL); b; b = hba_bus_next(b))
		printf(" %s", b->name);
	printf("'\n_hbakit_schemes='");
	for (const struct hba_bus *b = hba_bus_next(NULL); b; b = hba_bus_next(b))
		printf(" %s:", b->name);
	for (const struct hba_driver *d = hba_driver_next(NULL); d; d = hba_driver_next(d))
		if (d->scheme)
			printf(" %s:", d->scheme);
	puts("'");
}

static void print_options_after(const char *scheme, const struct hba_option *options)
{
	printf("\t%s) echo '", scheme);
	for (const struct hba_option *o = options; o && o->name; o++)
		printf(" %s=", o->name);
	puts("' ;;");
}

/* What may stand behind a URI's `?'. */
static void print_uri_options(void)
{
	puts("_hbakit_options_after()\n{\n\tcase $1 in");
	for (const struct hba_bus *b = hba_bus_next(NULL); b; b = hba_bus_next(b))
		print_options_after(b->name, b->options);
	for (const struct hba_driver *d = hba_driver_next(NULL); d; d = hba_driver_next(d))
		if (d->scheme)
			print_options_after(d->scheme, d->options);
	puts("\tesac\n}");
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
	print_valued("_hbakit_files", print_if_file);
	print_valued("_hbakit_values", print_if_value);
	print_valued("_hbakit_optional", print_if_optional);
	print_options();
	print_uri_options();
	fputs(functions, stdout);
	return cli_finish_output();
}

const struct cli_command cmd_completion = {
	.name = "completion",
	.summary = "print what makes bash complete all this",
	.doc = "Print a bash script that completes commands, options, files and controllers' "
	       "schemes.\v"
	       "For this shell: . <(hbakit completion). `meson install' puts it where "
	       "bash-completion finds it.",
	.run = run_completion,
};
