/* SPDX-License-Identifier: MIT */
/* hex.c: a CDB as people write it. */
#include "cli/cli.h"

#include "base/base.h"
#include "scsi/scsi.h"

#include <ctype.h>
#include <string.h>

static int digit(char c)
{
	if (isdigit((unsigned char)c))
		return c - '0';
	return isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

static int bad_word(const char *word)
{
	return cli_usage("%s: not bytes in hex; write two digits for each, as in 12 00 00 00 24 00",
			 word);
}

/* Appends the bytes of one word, between which there may be spaces. */
static int parse_word(const char *word, uint8_t cdb[HBA_MAX_CDB], uint8_t *length)
{
	for (const char *p = word; *p;) {
		if (isspace((unsigned char)*p)) {
			p++;
			continue;
		}
		if (digit(p[0]) < 0 || digit(p[1]) < 0)
			return bad_word(word);
		if (*length == HBA_MAX_CDB)
			return cli_usage(
				"the CDB is longer than %d bytes, the longest there is here",
				HBA_MAX_CDB);
		cdb[(*length)++] = (uint8_t)(digit(p[0]) << 4 | digit(p[1]));
		p += 2;
	}
	return 0;
}

static int check_length(const uint8_t *cdb, uint8_t length)
{
	static const uint8_t lengths[] = { 6, 10, 12, 16, HBA_MAX_CDB };
	unsigned expected = length ? scsi_cdb_length(cdb[0]) : 0;
	char name[CLI_WORDS];

	if (expected && expected != length) {
		cli_command_name(cdb, length, name);
		return cli_usage("%s has a CDB of %u bytes; %u are given", name, expected, length);
	}
	if (memchr(lengths, length, sizeof(lengths)))
		return 0;
	return cli_usage("a CDB has 6, 10, 12, 16 or 32 bytes; %u are given", length);
}

int cli_parse_cdb(char *const *words, size_t n_words, uint8_t cdb[HBA_MAX_CDB], uint8_t *ret_length)
{
	uint8_t length = 0;
	int r;

	for (size_t i = 0; i < n_words; i++) {
		r = parse_word(words[i], cdb, &length);
		if (r)
			return r;
	}
	r = check_length(cdb, length);
	if (r)
		return r;
	*ret_length = length;
	return 0;
}
