/* SPDX-License-Identifier: MIT */
/*
 * stream.c: a ring of disk requests, so that the unit always has some and the order is kept.
 *
 *	     tail                    head
 *	───── back  out  back  out ── free ─────
 *
 * A slot is sent at the head. It comes back whenever it likes, and is taken at the tail, oldest
 * first.
 */
#include "cli/cli.h"

#include "base/base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 4096 };

int cli_stream_begin(struct cli_stream *st, struct cli_session *s, struct hba_lun *lun,
		     const struct hba_lun_info *info, size_t chunk)
{
	*st = (struct cli_stream) {
		.session = s, .lun = lun, .chunk = chunk, .generation = info->generation
	};
	st->memory = aligned_alloc(PAGE, round_up(chunk * CLI_STREAM_DEPTH, PAGE));
	if (!st->memory)
		return cli_fail("no memory for %d buffers of %zu bytes", CLI_STREAM_DEPTH, chunk);
	for (size_t i = 0; i < CLI_STREAM_DEPTH; i++) {
		st->slots[i].data = st->memory + i * chunk;
		st->slots[i].stream = st;
	}
	return 0;
}

static bool anything_out(const struct cli_stream *st)
{
	for (size_t i = 0; i < CLI_STREAM_DEPTH; i++)
		if (st->slots[i].state == CLI_SLOT_OUT)
			return true;
	return false;
}

void cli_stream_end(struct cli_stream *st)
{
	if (st->session->signal)
		cli_stop(st->session);
	while (anything_out(st) && !st->session->over)
		cli_wait(st->session, -1, 0);
	/*
	 * Over, and still out: nobody vouches that the device has let go. Then the memory is better
	 * leaked.
	 */
	if (!anything_out(st))
		free(st->memory);
	st->memory = NULL;
}

struct cli_slot *cli_stream_free_slot(struct cli_stream *st)
{
	return st->head - st->tail < CLI_STREAM_DEPTH ? &st->slots[st->head % CLI_STREAM_DEPTH]
						      : NULL;
}

static void slot_done(struct hba_disk_io *io)
{
	struct cli_slot *slot = container_of(io, struct cli_slot, io);

	slot->state = CLI_SLOT_BACK;
}

int cli_stream_send(struct cli_stream *st, struct cli_slot *slot, enum hba_disk_op op,
		    uint64_t offset, size_t length)
{
	int r;

	slot->io = (struct hba_disk_io) {
		.lun = st->lun,
		.op = op,
		.offset = offset,
		.length = length,
		.mode = HBA_DATA_CPU,
		.generation = st->generation,
		.data = { .buffer = slot->data },
		.done = slot_done,
	};
	slot->state = CLI_SLOT_OUT;
	r = hba_disk_submit(&slot->io);
	if (r < 0) {
		slot->state = CLI_SLOT_FREE;
		return r;
	}
	st->head++;
	st->commands++;
	st->bytes += length;
	return 0;
}

struct cli_slot *cli_stream_oldest(struct cli_stream *st)
{
	struct cli_slot *slot = &st->slots[st->tail % CLI_STREAM_DEPTH];

	return st->tail < st->head && slot->state == CLI_SLOT_BACK ? slot : NULL;
}

void cli_stream_give_back(struct cli_stream *st)
{
	st->slots[st->tail % CLI_STREAM_DEPTH].state = CLI_SLOT_FREE;
	st->tail++;
}

bool cli_stream_is_empty(const struct cli_stream *st)
{
	return st->head == st->tail;
}

int cli_other_disk(const struct cli_session *s, const struct hba_lun *lun, const char *what)
{
	struct hba_lun_info info;
	char unit[CLI_UNIT_NAME];

	hba_lun_get_info(lun, &info);
	cli_unit_name(&info, unit);
	return cli_fail("%s: %s: the medium of unit %s was changed, and another disk is there now; "
			"begin again",
			s->uri, what, unit);
}

/* What an errno of disk.h means here, where the C library's text is about files and sockets. */
static const char *disk_error_text(int error)
{
	switch (-error) {
	case EAGAIN:
		return "it can be tried again";
	case EBADE:
		return "another initiator holds a reservation";
	case ETIMEDOUT:
		return "recovery ended it";
	default:
		return strerror(-error);
	}
}

int cli_disk_error(const struct cli_session *s, const struct hba_disk_io *io, const char *what,
		   int error)
{
	char words[CLI_WORDS];

	if (error == -ESTALE) {
		snprintf(words, sizeof(words), "%s of %ju bytes at offset %ju", what,
			 (uintmax_t)io->length, (uintmax_t)io->offset);
		return cli_other_disk(s, io->lun, words);
	}
	if (io->result.outcome == HBA_CHECK_CONDITION)
		cli_sense_words(io->result.sense, io->result.sense_len, words);
	else if (io->result.outcome && io->result.outcome != HBA_GOOD)
		cli_outcome_name(io->result.outcome, words);
	else
		snprintf(words, sizeof(words),
			 "the command could not be sent, or moved too little");
	return cli_fail("%s: %s of %ju bytes at offset %ju: %s (%s)", s->uri, what,
			(uintmax_t)io->length, (uintmax_t)io->offset, disk_error_text(error),
			words);
}
