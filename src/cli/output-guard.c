/* SPDX-License-Identifier: MIT */
/* output-guard.c: which files a URI names, so that no output destroys one of them. */
#include "cli/cli.h"

#include "base/base.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool same_file(const char *name, const struct stat *st)
{
	struct stat own;

	if (stat(name, &own) < 0)
		return false;
	return S_ISBLK(st->st_mode) ? S_ISBLK(own.st_mode) && own.st_rdev == st->st_rdev
				    : own.st_dev == st->st_dev && own.st_ino == st->st_ino;
}

/*
 * In a node of QEMU's block layer (json:{…}) a name is one of the strings, under more than one key:
 * each is looked at.
 */
static bool is_in_node(char *node, const struct stat *st)
{
	char *rest = node, *word;

	while ((word = strsep(&rest, "\"")))
		if (same_file(word, st))
			return true;
	return false;
}

static bool is_named(const char *text, const struct stat *st)
{
	autofree char *plain = strdup(text);

	if (!plain)
		return true;
	unescape_percent(plain);
	return same_file(text, st) || same_file(plain, st) || is_in_node(plain, st);
}

/* FILE, or FILE,word=value,word=value. */
static bool is_in_value(char *value, const struct stat *st)
{
	char *comma;

	while (!is_named(value, st)) {
		comma = strrchr(value, ',');
		if (!comma)
			return false;
		*comma = '\0';
	}
	return true;
}

/*
 * Only the driver has the list of options that hold names; a value that is no name is no file
 * either.
 */
static bool is_behind(const char *uri, const struct stat *st)
{
	const char *colon = strchr(uri, ':');
	autofree char *path = strdup(colon ? colon + 1 : uri);
	char *rest = path, *item, *equals;

	if (!path || is_in_value(strsep(&rest, "?"), st))
		return true;
	while ((item = strsep(&rest, "&"))) {
		equals = strchr(item, '=');
		if (equals && is_in_value(equals + 1, st))
			return true;
	}
	return false;
}

int cli_guard_output(const char *path, const char *uri, const char *use)
{
	struct stat st;

	if (stat(path, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) ||
	    !is_behind(uri, &st))
		return 0;
	return cli_fail("%s: is the very file that %s uses; name another for the %s", path, uri,
			use);
}
