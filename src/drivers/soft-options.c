/* SPDX-License-Identifier: MIT */
/*
 * soft-options.c: from a URI to wishes. Each number has its range in one table; what contradicts
 * another is told below it. What the core judges anyway (a report as a whole) is left to it.
 */
#include "drivers/soft-options.h"

#include "base/base.h"
#include "drivers/soft-segments.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum {
	MOST_TASKS = 65533,
	MOST_QUEUES = 256,
	MOST_TARGETS = 65536,
	MOST_UNITS = 1 << 20, /* of all targets: what a test may want and a machine can hold */
	MOST_SEGMENTS = 4096,
	LEAST_SEGMENT_BYTES = 512,
	LEAST_ADDRESS_BITS = 18, /* the core's own limit: the kernel keeps what lies below */
	MOST_ALIGNMENT = 4096,
	MOST_LATENCY_US = 60 * 1000 * 1000,
	USUAL_INITIATOR = 7, /* as a SCSI bus has it: of eight, the one with the highest priority */
	FEATURES = 5,
	/* With every single one, no command would ever get through. */
	LEAST_EVERY = 2,
};
#define MOST_EVERY UINT32_MAX

/* ---- numbers */

#define WISH(name, member) name, offsetof(struct soft_wishes, member)

static const struct number {
	const char *name;
	size_t offset;
	uint64_t least, most;
	bool power; /* of two */
} numbers[] = {
	{ WISH("size", size), 1, INT64_MAX, false },
	{ WISH("luns", luns), 1, SOFT_MOST_LUNS, false },
	{ WISH("block", block), 0, UINT32_MAX, false }, /* which there are, the disk knows */
	{ WISH("scratch", scratch), 1, INT64_MAX, false },
	{ WISH("readonly", read_only), 0, 1, false },
	{ WISH("removable", removable), 0, 1, false },
	{ WISH("targets", targets), 1, MOST_TARGETS, false },
	{ WISH("initiator", initiator), 0, INT64_MAX, false },
	{ WISH("managed", managed), 0, 1, false },
	{ WISH("hierarchical", hierarchical), 0, 1, false },
	{ WISH("multipath", multipath), 0, 1, false },
	{ WISH("autosense", autosense), 0, 1, false },
	{ WISH("features", features), 0, (1 << FEATURES) - 1, false },
	{ WISH("tasks", tasks), 1, MOST_TASKS, false },
	{ WISH("queues", queues), 1, MOST_QUEUES, false },
	{ WISH("depth", depth), 1, MOST_TASKS, false },
	{ WISH("tag_bits", tag_bits), 0, 64, false },
	{ WISH("max_cdb", max_cdb), 6, HBA_MAX_CDB, false },
	{ WISH("tmfs", tmfs), 0, SOFT_TMFS, false },
	{ WISH("segments", constraints.max_segments_read), 1, MOST_SEGMENTS, false },
	{ WISH("write_segments", constraints.max_segments_write), 1, MOST_SEGMENTS, false },
	{ WISH("segment_bytes", constraints.max_segment_bytes_read), LEAST_SEGMENT_BYTES,
	  UINT32_MAX, false },
	{ WISH("write_segment_bytes", constraints.max_segment_bytes_write), LEAST_SEGMENT_BYTES,
	  UINT32_MAX, false },
	{ WISH("alignment", constraints.alignment), 1, MOST_ALIGNMENT, true },
	{ WISH("address_bits", constraints.address_bits), LEAST_ADDRESS_BITS, 64, false },
	{ WISH("hba_data_mask", constraints.hba_data_mask), 2, UINT64_MAX, false },
	{ WISH("boundary", constraints.boundary), LEAST_SEGMENT_BYTES, UINT64_C(1) << 63, true },
	{ WISH("max_transfer", constraints.max_transfer), LEAST_SEGMENT_BYTES, INT64_MAX, false },
	{ WISH("busy", fault.busy), LEAST_EVERY, MOST_EVERY, false },
	{ WISH("full", fault.full), 1, MOST_TASKS, false },
	{ WISH("attention", fault.attention), 1, MOST_EVERY, false },
	{ WISH("requeue", fault.requeue), LEAST_EVERY, MOST_EVERY, false },
	{ WISH("latency_us", fault.latency_us), 1, MOST_LATENCY_US, false },
};

static int read_number(struct hba_controller *c, const struct number *number, struct soft_wishes *w)
{
	uint64_t n;
	int r;

	if (!hba_uri_option(c, number->name))
		return 0;
	r = hba_uri_number(c, number->name, &n);
	if (r < 0)
		return r;
	if (n < number->least || n > number->most)
		return hba_fail(c, -EINVAL,
				"%s=%" PRIu64 ": it may be from %" PRIu64 " to %" PRIu64,
				number->name, n, number->least, number->most);
	if (number->power && !is_power_of_two(n))
		return hba_fail(c, -EINVAL, "%s=%" PRIu64 ": it has to be a power of two",
				number->name, n);
	*(uint64_t *)(void *)((char *)w + number->offset) = n;
	return 0;
}

/* ---- words */

static int read_fill(struct hba_controller *c, struct soft_wishes *w)
{
	const char *fill = hba_uri_option(c, "fill");

	w->fill_none = false;
	if (!fill || strcmp(fill, "zero") == 0)
		return 0;
	if (strcmp(fill, "none") != 0)
		return hba_fail(c, -EINVAL, "fill=%s: it may be zero or none", fill);
	w->fill_none = true;
	return 0;
}

static int read_data(struct hba_controller *c, struct soft_wishes *w)
{
	const char *data = hba_uri_option(c, "data");

	w->data = HBA_DATA_CPU;
	if (strcmp(data, "cpu") == 0)
		return 0;
	if (strcmp(data, "dma") != 0)
		return hba_fail(c, -EINVAL, "data=%s: it may be cpu or dma", data);
	w->data = HBA_DATA_DMA;
	return 0;
}

/* ---- what nothing was said about */

static void preset(uint64_t *number, uint64_t value)
{
	if (*number == HBA_UNSET)
		*number = value;
}

/* A chip like many: a list of a hundred pieces or so, each on a word. */
static void preset_chip(struct hba_constraints *k)
{
	enum { PIECES = 128, PIECE_BYTES = 1 << 20, ALIGNMENT = 4, ADDRESS_BITS = 64 };

	preset(&k->max_segments_read, PIECES);
	preset(&k->max_segment_bytes_read, PIECE_BYTES);
	preset(&k->alignment, ALIGNMENT);
	preset(&k->address_bits, ADDRESS_BITS);
	preset(&k->hba_data_mask, ~UINT64_C(63)); /* its frames lie on a cache line */
}

static void preset_wishes(struct soft_wishes *w)
{
	struct hba_constraints *k = &w->constraints;

	preset(&w->size, UINT64_C(64) << 20);
	preset(&w->luns, 1);
	preset(&w->scratch, 0);
	preset(&w->targets, 1);
	preset(&w->initiator, w->targets > USUAL_INITIATOR ? w->targets : USUAL_INITIATOR);
	if (w->data == HBA_DATA_DMA)
		preset_chip(k);
	preset(&k->max_segments_write, k->max_segments_read);
	preset(&k->max_segment_bytes_write, k->max_segment_bytes_read);
}

/* ---- contradictions */

bool soft_is_file(const struct soft_wishes *w)
{
	return strcmp(w->path, "ram") != 0 && strcmp(w->path, "null") != 0;
}

/* Before anything was preset: was it said? */
static int check_disks(struct hba_controller *c, const struct soft_wishes *w)
{
	if (!*w->path)
		return hba_fail(c, -EINVAL, "soft: needs a path: soft:FILE, soft:ram or soft:null");
	if (soft_is_file(w) && w->size != HBA_UNSET)
		return hba_fail(c, -EINVAL, "size= is for ram and null; %s has the size it has",
				w->path);
	if (soft_is_file(w) && w->luns != HBA_UNSET)
		return hba_fail(c, -EINVAL,
				"luns= is for ram and null; %s is one unit, scratch= adds another",
				w->path);
	if (soft_is_file(w) && w->targets != HBA_UNSET)
		return hba_fail(c, -EINVAL,
				"targets= is for ram and null; %s is one unit of one target",
				w->path);
	if (hba_uri_option(c, "fill") && strcmp(w->path, "null") != 0)
		return hba_fail(c, -EINVAL, "fill= is for null; %s gives back what was written",
				w->path);
	return 0;
}

static int check_counts(struct hba_controller *c, const struct soft_wishes *w)
{
	if (w->targets * w->luns > MOST_UNITS)
		return hba_fail(c, -EINVAL,
				"targets=%" PRIu64 " with luns=%" PRIu64 " are %" PRIu64
				" units, above %d",
				w->targets, w->luns, w->targets * w->luns, MOST_UNITS);
	if (w->tmfs & ~(uint64_t)SOFT_TMFS)
		return hba_fail(c, -EINVAL,
				"tmfs=%" PRIu64
				": there are functions in it beyond those of %d, which can be had",
				w->tmfs, SOFT_TMFS);
	return 0;
}

static int check_constraints(struct hba_controller *c, const struct soft_wishes *w)
{
	for (unsigned writing = 0; writing <= 1; writing++) {
		struct segment_rules rules = segment_rules_from(&w->constraints, writing);
		uint64_t reach = segment_rules_reach(&rules);

		if (reach < w->block)
			return hba_fail(c, -EINVAL,
					"segments, segment_bytes, alignment, boundary and "
					"max_transfer let a %s of %" PRIu64
					" bytes through, less than one block of %" PRIu64,
					writing ? "write" : "read", reach, w->block);
	}
	return 0;
}

/* ---- all of it */

int soft_read_wishes(struct hba_controller *c, struct soft_wishes *ret_wishes)
{
	struct soft_wishes w;
	int r = 0;

	memset(&w, 0xa5, sizeof(w)); /* every number HBA_UNSET */
	w.fault = (struct fault) { 0 };
	w.path = hba_uri_path(c);
	w.serial = hba_uri_option(c, "serial");
	for (size_t i = 0; i < ARRAY_SIZE(numbers) && r == 0; i++)
		r = read_number(c, &numbers[i], &w);
	if (r == 0)
		r = read_fill(c, &w);
	if (r == 0)
		r = read_data(c, &w);
	if (r == 0)
		r = check_disks(c, &w);
	if (r < 0)
		return r;
	preset_wishes(&w);
	r = check_counts(c, &w);
	if (r == 0)
		r = check_constraints(c, &w);
	if (r == 0)
		*ret_wishes = w;
	return r;
}

const struct hba_option soft_options[] = {
	{ "size", NULL, "bytes of each ram or null unit; 64M if not said" },
	{ "luns", NULL, "how many ram or null units a target has; 1 if not said" },
	{ "block", "512", "bytes of a block: 512 or 4096" },
	{ "fill", NULL, "what null reads give: zero, or none to leave the buffer alone" },
	{ "scratch", NULL, "bytes of one more unit, in memory, after the others" },
	{ "readonly", "0", "1: units refuse to be written" },
	{ "removable", "0", "1: media may be ejected and loaded again" },
	{ "serial", NULL, "text to make serial numbers and NAA names from; else the file's path" },
	{ "targets", NULL,
	  "how many targets, with units alike; ids from 0, without the initiator's; 1 if not "
	  "said" },
	{ "initiator", NULL,
	  "the controller's own id; 7 if not said, or the number of targets if that is more" },
	{ "managed", "0", "1: the controller names its targets itself, as RAID controllers do" },
	{ "hierarchical", "0", "1: reports that LUNs of more than one level can be carried" },
	{ "multipath", "0", "1: reports more than one path" },
	{ "autosense", "1", "0: sense stays in the unit until REQUEST SENSE fetches it" },
	{ "features", "0", "mask of parallel SCSI features that negotiation agrees to, 0 to 31" },
	{ "tasks", "128", "commands that are out at once" },
	{ "queues", "1", "queues, each with an io_uring of its own if there is a file" },
	{ "depth", NULL, "commands that are out at once in a unit" },
	{ "tag_bits", NULL, "bits of a tag, 0 for untagged; 64 if not said" },
	{ "max_cdb", "16", "bytes of the longest CDB: 6, 10, 12, 16 or 32" },
	{ "tmfs", "63", "mask of task management functions; 0 for none" },
	{ "data", "cpu", "how data come: cpu, or dma as to a chip that checks every segment" },
	{ "segments", NULL,
	  "segments of a task; dma: 128 if not said, as all of these are limits only if said" },
	{ "write_segments", NULL, "segments of a write, if other than of a read" },
	{ "segment_bytes", NULL, "bytes of a segment; dma: 1M if not said" },
	{ "write_segment_bytes", NULL, "bytes of a segment of a write, if other than of a read" },
	{ "alignment", NULL, "of each segment's start, 4096 at most; dma: 4 if not said" },
	{ "address_bits", NULL, "data lie below 2 to this; dma: 64 if not said" },
	{ "hba_data_mask", NULL,
	  "where HBA data may lie: top bit is the width, zeros below the alignment, 4096 at most" },
	{ "boundary", NULL, "power of two that no segment crosses" },
	{ "max_transfer", NULL, "bytes of a task" },
	{ "latency_us", NULL, "a command begins so many microseconds after it came" },
	{ "busy", NULL, "every so many commands one is answered BUSY" },
	{ "full", NULL,
	  "a unit takes so many commands at once, and answers TASK SET FULL to more" },
	{ "attention", NULL,
	  "every so many commands one is answered UNIT ATTENTION: the unit was reset" },
	{ "requeue", NULL,
	  "every so many commands one is handed back for want of room, for a millisecond" },
	{ 0 },
};
