/* SPDX-License-Identifier: MIT */
/*
 * spans.h: which addresses of ours the device can reach, and where it finds them. A table that is
 * read on the I/O path, by any thread, without a lock, while one writer changes it.
 *
 * Two tables take turns: the writer fills the one that is not shown, then shows it. A reader that
 * was overtaken looks again. Nobody waits for anybody, and memory grows with the most spans there
 * ever were, not with the number of changes.
 */
#ifndef CORE_SPANS_H
#define CORE_SPANS_H

#include <hbakit/dma.h>

struct span {
	uintptr_t address;
	size_t length;
	struct hba_iova iova;
};

/** struct spans - All zero is an empty one. */
struct spans {
	struct span_table *tables[2]; /* atomic */
	uint64_t edition;             /* atomic; the low bit is the table that is shown */
};

/** spans_add() - One more, which meets no other. -ENOMEM. One writer at a time. */
int spans_add(struct spans *s, const struct span *span);
/** spans_remove() - The one that begins at `address`, if there is one. Needs no memory. */
void spans_remove(struct spans *s, uintptr_t address);
/**
 * spans_iova() - Where the device finds `address`, and how many bytes go on from there; 0: nowhere.
 * Any thread.
 */
size_t spans_iova(const struct spans *s, const void *address, struct hba_iova *ret_iova);
/**
 * spans_address() - Where we find what the device finds at `iova`: the reverse. NULL: nowhere. Any
 * thread.
 */
void *spans_address(const struct spans *s, struct hba_iova iova);
/** spans_free() - No reader is left. */
void spans_free(struct spans *s);

#endif
