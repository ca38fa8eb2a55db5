/* SPDX-License-Identifier: MIT */
/* script.c: see script.h. */
#include "bus/script.h"

#include "base/base.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, TEXT_BYTES = 128 };
#define FIRST_IOVA UINT64_C(0x10000000)

struct hba_bus_device {
	struct script *script;
};

/** struct access - What was done to the device. */
struct access {
	enum script_kind kind;
	unsigned bar, width;
	uint64_t offset, value;
};

/* ---- words */

static const char *const kinds[] = {
	[SCRIPT_CONFIG_READ] = "read of config space",
	[SCRIPT_CONFIG_WRITE] = "write to config space",
	[SCRIPT_BAR_READ] = "read of BAR",
	[SCRIPT_BAR_WRITE] = "write to BAR",
	[SCRIPT_MASTER_ON] = "bus master on",
	[SCRIPT_MASTER_OFF] = "bus master off",
	[SCRIPT_RESET] = "function reset",
};

static bool is_write(enum script_kind kind)
{
	return kind == SCRIPT_CONFIG_WRITE || kind == SCRIPT_BAR_WRITE;
}

static bool has_bar(enum script_kind kind)
{
	return kind == SCRIPT_BAR_READ || kind == SCRIPT_BAR_WRITE;
}

static void script_describe(const struct access *a, bool any, char text[TEXT_BYTES])
{
	int n = snprintf(text, TEXT_BYTES, "%s", kinds[a->kind]);

	if (has_bar(a->kind))
		n += snprintf(text + n, (size_t)(TEXT_BYTES - n), " %u", a->bar);
	if (a->kind <= SCRIPT_BAR_WRITE)
		n += snprintf(text + n, (size_t)(TEXT_BYTES - n), " at 0x%" PRIx64 ", %u bytes",
			      a->offset, a->width);
	if (is_write(a->kind) && !any)
		snprintf(text + n, (size_t)(TEXT_BYTES - n), ", value 0x%" PRIx64, a->value);
}

static void describe_step(const struct script_step *step, char text[TEXT_BYTES])
{
	const struct access a = { step->kind, step->bar, step->width, step->offset, step->value };

	script_describe(&a, step->any, text);
}

/* ---- matching */

static unsigned wanted(const struct script_step *step)
{
	return step->times ? step->times : 1;
}

static bool matches(const struct script_step *step, const struct access *a)
{
	if (step->kind != a->kind || (has_bar(a->kind) && step->bar != a->bar) ||
	    (step->width && step->width != a->width))
		return false;
	if (a->offset < step->offset ||
	    a->offset - step->offset > (step->span ? step->span - 1 : 0))
		return false;
	return !is_write(a->kind) || step->any || step->value == a->value;
}

/* From where we are over steps that need not come, to the first that fits. NULL: a surprise. */
static const struct script_step *find_step(struct script *s, const struct access *a)
{
	for (size_t i = s->at; i < s->n_steps; i++) {
		const struct script_step *step = &s->steps[i];

		if (matches(step, a)) {
			if (step->times == SCRIPT_EVER)
				return step;
			s->seen = i == s->at ? s->seen + 1 : 1;
			s->at = s->seen == wanted(step) ? i + 1 : i;
			s->seen = s->at == i ? s->seen : 0;
			return step;
		}
		if (step->times != SCRIPT_EVER)
			break;
	}
	return NULL;
}

static void surprise(struct script *s, const struct access *a)
{
	char got[TEXT_BYTES], expected[TEXT_BYTES] = "nothing more";

	if (s->sentence[0])
		return;
	script_describe(a, false, got);
	if (s->at < s->n_steps)
		describe_step(&s->steps[s->at], expected);
	snprintf(s->sentence, sizeof(s->sentence), "step %zu of %zu: expected %s; there came %s",
		 s->at + 1, s->n_steps, expected, got);
}

/* Every access passes here; *value comes in as what is written, and goes out as what is read. */
static int access_device(struct hba_bus_device *d, const struct access *a, uint64_t *value)
{
	struct script *s = d->script;
	const struct script_step *step;

	if (s->removed)
		return -ENODEV;
	if (!is_write(a->kind))
		*value = UINT64_MAX;
	if (s->silent)
		return 0;
	step = find_step(s, a);
	if (!step) {
		surprise(s, a);
		return 0;
	}
	if (!is_write(a->kind))
		*value = step->value;
	if (step->act)
		step->act(s, step, a->offset, value);
	return s->removed ? -ENODEV : 0;
}

/* ---- the table */

void script_path(const struct script *s, char path[SCRIPT_PATH])
{
	snprintf(path, SCRIPT_PATH, "0x%" PRIxPTR, (uintptr_t)s);
}

/* Only who holds a script can have made its path: the bus is in no registry. */
static struct script *script_at(const char *path)
{
	uint64_t address = 0;

	return parse_number(path, &address) == 0 ? (struct script *)(uintptr_t)address : NULL;
}

static int script_identify(const char *path, const char *query, struct hba_bus_info *ret_info,
			   char why[HBA_BUS_WHY_BYTES])
{
	const struct script *s = script_at(path);

	(void)query;
	if (!s) {
		snprintf(why, HBA_BUS_WHY_BYTES, "'%.60s' leads to no script", path);
		return -ENOENT;
	}
	*ret_info = s->info;
	return 0;
}

static int script_open(const char *path, const char *query, struct hba_bus_info *ret_info,
		       char why[HBA_BUS_WHY_BYTES], struct hba_bus_device **ret_device)
{
	struct hba_bus_device *d;
	int r = script_identify(path, query, ret_info, why);

	if (r < 0)
		return r;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->script = script_at(path);
	d->script->next_iova = FIRST_IOVA;
	*ret_device = d;
	return 0;
}

static void range_end(struct script_range *r)
{
	munmap(r->address, r->length);
	*r = (struct script_range) { 0 };
}

static void script_close(struct hba_bus_device *d)
{
	for (size_t i = 0; i < SCRIPT_RANGES; i++)
		if (d->script->ranges[i].length)
			range_end(&d->script->ranges[i]);
	free(d);
}

static int script_config_read(struct hba_bus_device *d, unsigned offset, unsigned width,
			      uint32_t *ret_value)
{
	const struct access a = { .kind = SCRIPT_CONFIG_READ, .width = width, .offset = offset };
	uint64_t value;
	int r = access_device(d, &a, &value);

	if (r == 0)
		*ret_value = (uint32_t)value;
	return r;
}

static int script_config_write(struct hba_bus_device *d, unsigned offset, unsigned width,
			       uint32_t value)
{
	const struct access a = {
		.kind = SCRIPT_CONFIG_WRITE, .width = width, .offset = offset, .value = value
	};
	uint64_t written = value;

	return access_device(d, &a, &written);
}

static int script_bar_read(struct hba_bus_device *d, unsigned bar, uint64_t offset, unsigned width,
			   uint64_t *ret_value)
{
	const struct access a = {
		.kind = SCRIPT_BAR_READ, .bar = bar, .width = width, .offset = offset
	};

	return access_device(d, &a, ret_value);
}

static int script_bar_write(struct hba_bus_device *d, unsigned bar, uint64_t offset, unsigned width,
			    uint64_t value)
{
	const struct access a = { .kind = SCRIPT_BAR_WRITE,
				  .bar = bar,
				  .width = width,
				  .offset = offset,
				  .value = value };

	return access_device(d, &a, &value);
}

static int script_master(struct hba_bus_device *d, bool on, unsigned ms)
{
	const struct access a = { .kind = on ? SCRIPT_MASTER_ON : SCRIPT_MASTER_OFF };
	uint64_t ignored;
	int r = access_device(d, &a, &ignored);

	(void)ms;
	return r < 0 ? r : d->script->master_error;
}

static int script_reset(struct hba_bus_device *d, unsigned ms)
{
	const struct access a = { .kind = SCRIPT_RESET };
	uint64_t ignored;

	(void)ms;
	return access_device(d, &a, &ignored);
}

/* ---- memory: mapped a second time, as the device sees it */

static struct script_range *free_range(struct script *s)
{
	for (size_t i = 0; i < SCRIPT_RANGES; i++)
		if (!s->ranges[i].length)
			return &s->ranges[i];
	return NULL;
}

static int script_map(struct hba_bus_device *d, int fd, uint64_t offset, size_t length,
		      unsigned bits, struct hba_iova *ret_iova)
{
	struct script *s = d->script;
	struct script_range *r = free_range(s);

	if (!r || (bits < 64 && s->next_iova + length > UINT64_C(1) << bits))
		return -ENOSPC;
	r->address = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
	if (r->address == MAP_FAILED)
		return -errno;
	r->length = length;
	r->iova = (struct hba_iova) { s->next_iova };
	/* A page between two: who runs over the end of one is not in the next. */
	s->next_iova += round_up(length, PAGE) + PAGE;
	*ret_iova = r->iova;
	return 0;
}

static int script_unmap(struct hba_bus_device *d, struct hba_iova iova, size_t length)
{
	for (size_t i = 0; i < SCRIPT_RANGES; i++) {
		struct script_range *r = &d->script->ranges[i];

		if (r->length == length && r->iova.bus == iova.bus) {
			range_end(r);
			return 0;
		}
	}
	return -EINVAL;
}

static int script_use_physical(struct hba_bus_device *d, size_t *ret_bytes)
{
	if (!d->script->piece_bytes)
		return -EOPNOTSUPP;
	*ret_bytes = d->script->piece_bytes;
	return 0;
}

void *script_memory(const struct script *s, uint64_t iova, size_t length)
{
	for (size_t i = 0; i < SCRIPT_RANGES; i++) {
		const struct script_range *r = &s->ranges[i];

		if (r->length && iova >= r->iova.bus && iova - r->iova.bus <= r->length &&
		    length <= r->length - (iova - r->iova.bus))
			return (uint8_t *)r->address + (iova - r->iova.bus);
	}
	return NULL;
}

/* ---- for the test */

void script_remove(struct script *s)
{
	s->removed = true;
}

void script_silence(struct script *s)
{
	s->silent = true;
}

const char *script_verdict(struct script *s)
{
	char expected[TEXT_BYTES];

	if (s->sentence[0])
		return s->sentence;
	while (s->at < s->n_steps && s->steps[s->at].times == SCRIPT_EVER)
		s->at++;
	if (s->at == s->n_steps)
		return NULL;
	describe_step(&s->steps[s->at], expected);
	snprintf(s->sentence, sizeof(s->sentence), "step %zu of %zu never came: %s, %u of %u times",
		 s->at + 1, s->n_steps, expected, s->seen, wanted(&s->steps[s->at]));
	return s->sentence;
}

const struct hba_bus bus_script = {
	HBA_BUS_HEADER,
	.name = "script",
	.identify = script_identify,
	.open = script_open,
	.close = script_close,
	.config_read = script_config_read,
	.config_write = script_config_write,
	.bar_read = script_bar_read,
	.bar_write = script_bar_write,
	.map_memory = script_map,
	.unmap_memory = script_unmap,
	.use_physical = script_use_physical,
	.bus_master = script_master,
	.reset = script_reset,
};
