/* SPDX-License-Identifier: MIT */
/* error.c: the sentence behind a negative return. */
#include "core/controller/controller.h"

#include <stdio.h>
#include <string.h>

static _Thread_local char sentence[SENTENCE_BYTES];

void sentence_write(char text[SENTENCE_BYTES], const char *format, va_list args)
{
	static const char cut[] = "...";

	if (vsnprintf(text, SENTENCE_BYTES, format, args) >= SENTENCE_BYTES)
		memcpy(text + SENTENCE_BYTES - sizeof(cut), cut, sizeof(cut));
}

int fail(int error, const char *format, ...)
{
	char text[SENTENCE_BYTES]; /* the arguments may be the last sentence */
	va_list args;

	va_start(args, format);
	sentence_write(text, format, args);
	va_end(args);
	memcpy(sentence, text, sizeof(sentence));
	return error;
}

const char *hba_error(void)
{
	return sentence;
}

int hba_fail(struct hba_controller *c, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	sentence_write(c->op_sentence, format, args);
	va_end(args);
	return error;
}

void hba_log(const struct hba_controller *c, enum hba_log_level level, const char *format, ...)
{
	const struct op *op = op_now();
	char text[SENTENCE_BYTES], line[SENTENCE_BYTES + 64];
	uint64_t now = c->clock->now(c->clock);
	va_list args;

	if (!c->given.log || level > c->given.log_level)
		return;
	va_start(args, format);
	sentence_write(text, format, args);
	va_end(args);
	snprintf(line, sizeof(line), "%llu.%06llu %s %s: %s", (unsigned long long)(now / NS_PER_S),
		 (unsigned long long)(now % NS_PER_S / 1000), c->driver->name, op ? op->name : "-",
		 text);
	c->given.log(level, line, c->given.log_arg);
}
