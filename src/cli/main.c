/* SPDX-License-Identifier: MIT */
/* main.c: the table of subcommands, and what holds for all of them. */
#include "cli/cli.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_SIZE = 64, NAME_COLUMN = -10 };

static const struct cli_command *const commands[] = {
	&cmd_drivers, &cmd_pci,   &cmd_scan,  &cmd_info,  &cmd_inquiry,    &cmd_read, &cmd_write,
	&cmd_cdb,     &cmd_bench, &cmd_check, &cmd_serve, &cmd_completion, NULL,
};

const struct cli_command *const *cli_commands(void)
{
	return commands;
}

static int print_help(void)
{
	puts("Usage: hbakit COMMAND [OPTION...] [ARGUMENT...]\n"
	     "SCSI host bus adapters, driven in user space.\n");
	for (size_t i = 0; commands[i]; i++)
		printf("  %*s %s\n", NAME_COLUMN, commands[i]->name, commands[i]->summary);
	puts("\n`hbakit COMMAND --help' tells more. Controllers are named by URIs: soft:disk.img, "
	     "pci:0000:03:00.0");
	return cli_finish_output();
}

static int print_version(void)
{
	printf("hbakit %s\n", hba_version());
	return cli_finish_output();
}

static int main_run(const struct cli_command *command, int argc, char **argv)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), "hbakit %s", command->name);
	argv[0] = name;
	return command->run(argc, argv);
}

/*
 * Who starts us with one of the standard descriptors closed would have the next file that is opened
 * in its place. What is closed reads as empty, and fails to be written; what would be said on
 * standard error, nobody wants to hear.
 */
static bool fill_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 &&
		    open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) != fd)
			return false;
	return true;
}

int main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : NULL;

	if (!fill_standard_descriptors() || !cli_begin_output())
		return CLI_FAILED;
	signal(SIGPIPE, SIG_IGN); /* EPIPE says it too, and lets the controller be stopped first */
	if (!word)
		return cli_usage("no command given: see `hbakit --help'");
	if (strcmp(word, "--help") == 0 || strcmp(word, "help") == 0)
		return print_help();
	if (strcmp(word, "--version") == 0)
		return print_version();
	for (size_t i = 0; commands[i]; i++)
		if (strcmp(word, commands[i]->name) == 0)
			return main_run(commands[i], argc - 1, argv + 1);
	return cli_usage("%s: no such command: see `hbakit --help'", word);
}
