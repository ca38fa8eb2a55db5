/* SPDX-License-Identifier: MIT */
/*
 * units.c: what is exported, and under which name.
 *
 * A name is to mean the same disk tomorrow, in another slot or behind another controller: so it is what the disk says of itself, the
 * best of VPD 83, else its serial number. Where it says nothing, or two say the same, it is the place. The place names every disk besides.
 */
#include "nbd.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What NBD can say of a block: a power of two, up to 64 KiB. */
enum { MIN_BLOCK = 512, MAX_BLOCK = 65536 };

void units_init(struct units *u)
{
	*u = (struct units) { .n = 0 };
	pthread_mutex_init(&u->lock, NULL);
}

static void free_units(struct unit *unit, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(unit[i].name);
	free(unit);
}

void units_fini(struct units *u)
{
	free_units(u->unit, u->n);
	pthread_mutex_destroy(&u->lock);
}

/* ---- names */

static void write_address(const struct hba_lun_info *info, char text[UNIT_ADDRESS])
{
	int at;

	if (info->number != UINT64_MAX) {
		snprintf(text, UNIT_ADDRESS, "%ju:%ju", (uintmax_t)info->target, (uintmax_t)info->number);
		return;
	}
	at = snprintf(text, UNIT_ADDRESS, "%ju:", (uintmax_t)info->target);
	for (size_t i = 0; i < sizeof(info->lun.bytes); i++)
		at += snprintf(text + at, UNIT_ADDRESS - (size_t)at, "%02x", info->lun.bytes[i]);
}

/* A disk whose serial number reads like another one's place does not get that one's clients. */
static bool looks_like_an_address(const char *name)
{
	size_t digits = strspn(name, "0123456789");

	return digits > 0 && name[digits] == ':';
}

static const char *own_name(const struct hba_lun_info *info)
{
	const char *name = info->id[0] ? info->id : info->serial;

	return looks_like_an_address(name) ? "" : name;
}

static int add_unit(struct unit *unit, struct hba_lun *lun)
{
	struct hba_lun_info info;

	hba_lun_get_info(lun, &info);
	if (info.type != 0)
		return 0;
	*unit = (struct unit) { .lun = lun, .name = strdup(own_name(&info)) };
	write_address(&info, unit->address);
	return unit->name ? 1 : -ENOMEM;
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct unit *const *)a)->name, (*(struct unit *const *)b)->name);
}

static int take_place_for_name(struct unit *unit)
{
	char *name = strdup(unit->address);

	if (!name)
		return -ENOMEM;
	free(unit->name);
	unit->name = name;
	return 0;
}

/* Alike are neighbours. The last of them is found out by the one before it. */
static int part_the_alike(struct unit **sorted, size_t n)
{
	bool alike = false;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		bool next = i + 1 < n && strcmp(sorted[i]->name, sorted[i + 1]->name) == 0;

		if (alike || next || !sorted[i]->name[0])
			r = take_place_for_name(sorted[i]);
		alike = next;
	}
	return r;
}

static int settle_names(struct unit *unit, size_t n)
{
	struct unit **sorted = calloc(n ? n : 1, sizeof(*sorted));
	int r;

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		sorted[i] = &unit[i];
	qsort(sorted, n, sizeof(*sorted), by_name);
	r = part_the_alike(sorted, n);
	free(sorted);
	return r;
}

/* ---- the table */

static size_t count(struct hba_controller *c)
{
	size_t n = 0;

	for (struct hba_lun *lun = hba_lun_next(c, NULL); lun; lun = hba_lun_next(c, lun))
		n++;
	return n;
}

/* Nothing comes or goes between the two walks: this is the loop. */
static int collect(struct hba_controller *c, struct unit **ret_unit, size_t *ret_n)
{
	struct unit *unit = calloc(count(c) + 1, sizeof(*unit));
	size_t n = 0;
	int r = unit ? 0 : -ENOMEM;

	for (struct hba_lun *lun = hba_lun_next(c, NULL); lun && r >= 0; lun = hba_lun_next(c, lun)) {
		r = add_unit(&unit[n], lun);
		n += r > 0;
	}
	if (r < 0 || settle_names(unit, n) < 0) {
		free_units(unit, n);
		return -ENOMEM;
	}
	*ret_unit = unit;
	*ret_n = n;
	return 0;
}

int units_refresh(struct units *u, struct hba_controller *c)
{
	struct unit *unit, *before;
	size_t n, n_before;
	int r = collect(c, &unit, &n);

	if (r < 0)
		return r;
	pthread_mutex_lock(&u->lock);
	before = u->unit;
	n_before = u->n;
	u->unit = unit;
	u->n = n;
	pthread_mutex_unlock(&u->lock);
	free_units(before, n_before);
	return 0;
}

const char *units_why_not(const struct hba_lun_info *info)
{
	if (!info->present)
		return "it has left";
	if (info->block_bytes == 0)
		return "it has no medium";
	if (info->block_bytes < MIN_BLOCK || info->block_bytes > MAX_BLOCK || info->block_bytes & (info->block_bytes - 1))
		return "its blocks are of a length that NBD cannot say: powers of two from 512 to 65536 it can";
	if (info->blocks > INT64_MAX / info->block_bytes)
		return "it is larger than NBD can say";
	return NULL;
}

/* Under the lock. */
static const struct unit *find(const struct units *u, const char *name)
{
	struct hba_lun_info info;

	for (size_t i = 0; i < u->n; i++) {
		if (name[0] && (strcmp(u->unit[i].name, name) == 0 || strcmp(u->unit[i].address, name) == 0))
			return &u->unit[i];
		hba_lun_get_info(u->unit[i].lun, &info);
		if (!name[0] && !units_why_not(&info))
			return &u->unit[i];
	}
	return NULL;
}

static int open_unit(const struct unit *unit, struct export **ret_export)
{
	struct export *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->name = strdup(unit->name);
	if (!e->name) {
		free(e);
		return -ENOMEM;
	}
	e->lun = unit->lun;
	hba_lun_get_info(unit->lun, &e->info);
	*ret_export = e;
	return 0;
}

int units_open(struct units *u, const char *name, struct export **ret_export)
{
	const struct unit *unit;
	int r = -ENOENT;

	pthread_mutex_lock(&u->lock);
	unit = find(u, name);
	if (unit)
		r = open_unit(unit, ret_export);
	pthread_mutex_unlock(&u->lock);
	return r;
}

void units_close(struct export *e)
{
	free(e->name);
	free(e);
}

int units_each(struct units *u, int (*each)(const struct unit *unit, const struct hba_lun_info *info, void *arg), void *arg)
{
	struct hba_lun_info info;
	int r = 0;

	pthread_mutex_lock(&u->lock);
	for (size_t i = 0; i < u->n && r == 0; i++) {
		hba_lun_get_info(u->unit[i].lun, &info);
		if (!units_why_not(&info))
			r = each(&u->unit[i], &info, arg);
	}
	pthread_mutex_unlock(&u->lock);
	return r;
}
