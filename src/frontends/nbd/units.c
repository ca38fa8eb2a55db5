/* SPDX-License-Identifier: MIT */
/*
 * units.c: what is exported, and under which name.
 *
 * A name is to mean the same disk tomorrow, in another slot or behind another controller: so it is
 * what the disk says of itself, the best of VPD 83, else its serial number. Where it says nothing,
 * or two say the same, it is the place. The place names every disk besides.
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
	*u = (struct units) { .epoch = 0 };
	pthread_mutex_init(&u->lock, NULL);
}

static void free_unit(struct unit *unit)
{
	free(unit->name);
	free(unit->identity);
}

static void free_units(struct unit_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free_unit(&list->unit[i]);
	free(list->unit);
	*list = (struct unit_list) { .n = 0 };
}

void units_fini(struct units *u)
{
	free_units(&u->now);
	free_units(&u->known);
	pthread_mutex_destroy(&u->lock);
}

/* ---- names */

static void write_address(const struct hba_lun_info *info, char text[UNIT_ADDRESS])
{
	int at;

	if (info->number != UINT64_MAX) {
		snprintf(text, UNIT_ADDRESS, "%ju:%ju", (uintmax_t)info->target,
			 (uintmax_t)info->number);
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

/*
 * The same text, the same disk: what VPD 83 calls it is unique, a serial number is for one vendor's
 * product. NULL: no memory.
 */
static char *write_identity(const struct hba_lun_info *info)
{
	char *text = NULL;

	if (info->id[0] || !info->serial[0])
		return strdup(info->id);
	return asprintf(&text, "%s|%s|%s", info->vendor, info->product, info->serial) < 0 ? NULL
											  : text;
}

static int add_unit(struct unit *unit, struct hba_lun *lun)
{
	struct hba_lun_info info;

	hba_lun_get_info(lun, &info);
	if (info.type != 0)
		return 0;
	*unit = (struct unit) { .lun = lun,
				.name = strdup(own_name(&info)),
				.identity = write_identity(&info),
				.carried = !units_why_not(&info) };
	write_address(&info, unit->address);
	if (unit->name && unit->identity)
		return 1;
	free_unit(unit);
	return -ENOMEM;
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

static size_t units_count(struct hba_controller *c)
{
	size_t n = 0;

	for (struct hba_lun *lun = hba_lun_next(c, NULL); lun; lun = hba_lun_next(c, lun))
		n++;
	return n;
}

/* Nothing comes or goes between the two walks: this is the loop. */
static int collect(struct hba_controller *c, struct unit_list *ret_list)
{
	struct unit_list list = { .unit = calloc(units_count(c) + 1, sizeof(*list.unit)) };
	int r = list.unit ? 0 : -ENOMEM;

	for (struct hba_lun *lun = hba_lun_next(c, NULL); lun && r >= 0;
	     lun = hba_lun_next(c, lun)) {
		r = add_unit(&list.unit[list.n], lun);
		list.n += r > 0;
	}
	if (r < 0 || settle_names(list.unit, list.n) < 0) {
		free_units(&list);
		return -ENOMEM;
	}
	*ret_list = list;
	return 0;
}

int units_refresh(struct units *u, struct hba_controller *c)
{
	struct unit_list list, before;
	int r = collect(c, &list);

	if (r < 0)
		return r;
	pthread_mutex_lock(&u->lock);
	before = u->now;
	u->now = list;
	pthread_mutex_unlock(&u->lock);
	free_units(&before);
	return 0;
}

static const struct unit *at_address(const struct unit_list *list, const char *address)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->unit[i].address, address) == 0)
			return &list->unit[i];
	return NULL;
}

/*
 * The first that was seen at an address is the one: `from` goes into `to` where that has none yet.
 * Leaves no luns.
 */
static int merge(struct unit_list *to, struct unit_list *from)
{
	struct unit *more = realloc(to->unit, (to->n + from->n + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	to->unit = more;
	for (size_t i = 0; i < from->n; i++) {
		if (at_address(to, from->unit[i].address)) {
			free_unit(&from->unit[i]);
			continue;
		}
		from->unit[i].lun = NULL;
		to->unit[to->n++] = from->unit[i];
	}
	from->n = 0;
	return 0;
}

int units_forget(struct units *u)
{
	int r;

	pthread_mutex_lock(&u->lock);
	u->epoch++;
	r = merge(&u->known, &u->now);
	free_units(&u->now);
	pthread_mutex_unlock(&u->lock);
	return r;
}

const char *units_why_not(const struct hba_lun_info *info)
{
	if (!info->present)
		return "it has left";
	if (info->block_bytes == 0)
		return "it has no medium";
	if (info->block_bytes < MIN_BLOCK || info->block_bytes > MAX_BLOCK ||
	    info->block_bytes & (info->block_bytes - 1))
		return "NBD does not support its block length, only powers of two from 512 to "
		       "65536";
	if (info->blocks > INT64_MAX / info->block_bytes)
		return "it is larger than NBD supports";
	return NULL;
}

/* ---- under the lock: which unit a name means */

static bool is_first(const struct unit *unit)
{
	struct hba_lun_info info;

	hba_lun_get_info(unit->lun, &info);
	return !units_why_not(&info);
}

static const struct unit *units_find(const struct units *u, const char *name)
{
	for (size_t i = 0; i < u->now.n; i++) {
		const struct unit *unit = &u->now.unit[i];

		if (name[0] ? strcmp(unit->name, name) == 0 || strcmp(unit->address, name) == 0
			    : is_first(unit))
			return unit;
	}
	return NULL;
}

/* No name is given: it means the disk that it meant from the beginning. */
static const char *first_known(const struct units *u)
{
	for (size_t i = 0; i < u->known.n; i++)
		if (u->known.unit[i].carried)
			return u->known.unit[i].address;
	return "";
}

/*
 * Its own name is a disk's wherever it is; an address means what was there before the controller
 * was opened again.
 */
static bool is_another(const struct units *u, const struct unit *unit, const char *name)
{
	const struct unit *known = at_address(&u->known, unit->address);
	bool by_address = strcmp(unit->address, name) == 0;

	return by_address && known &&
	       (!known->identity[0] || strcmp(known->identity, unit->identity) != 0);
}

static int open_unit(const struct units *u, const struct unit *unit, struct export **ret_export)
{
	struct export *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->name = strdup(unit->name);
	e->identity = strdup(unit->identity);
	if (!e->name || !e->identity) {
		units_close(e);
		return -ENOMEM;
	}
	e->lun = unit->lun;
	e->epoch = u->epoch;
	memcpy(e->address, unit->address, sizeof(e->address));
	hba_lun_get_info(unit->lun, &e->info);
	*ret_export = e;
	return 0;
}

int units_open(struct units *u, const char *name, struct export **ret_export)
{
	const struct unit *unit;
	int r = -ENOENT;

	pthread_mutex_lock(&u->lock);
	if (!name[0])
		name = first_known(u);
	unit = units_find(u, name);
	if (unit)
		r = is_another(u, unit, name) ? -ENXIO : open_unit(u, unit, ret_export);
	pthread_mutex_unlock(&u->lock);
	return r;
}

/* Two that say the same of themselves are told apart by where they are. */
static const struct unit *find_again(const struct units *u, const struct export *e)
{
	const struct unit *there = at_address(&u->now, e->address), *found = NULL;

	if (!e->identity[0])
		return NULL;
	if (there && strcmp(there->identity, e->identity) == 0)
		return there;
	for (size_t i = 0; i < u->now.n; i++) {
		if (strcmp(u->now.unit[i].identity, e->identity))
			continue;
		if (found)
			return NULL;
		found = &u->now.unit[i];
	}
	return found;
}

static int renew(const struct units *u, struct export *e)
{
	const struct unit *unit = find_again(u, e);
	struct hba_lun_info info;

	if (!unit)
		return -ENXIO;
	hba_lun_get_info(unit->lun, &info);
	/* A client has been told a size, and is told no other. */
	if (info.blocks != e->info.blocks || info.block_bytes != e->info.block_bytes)
		return -ENXIO;
	e->lun = unit->lun;
	e->info.generation = info.generation;
	__atomic_store_n(&e->epoch, u->epoch, __ATOMIC_RELEASE);
	return 0;
}

int units_renew(struct units *u, struct export *e)
{
	int r = 0;

	if (__atomic_load_n(&e->epoch, __ATOMIC_ACQUIRE) == u->epoch)
		return 0;
	pthread_mutex_lock(&u->lock);
	if (e->epoch != u->epoch)
		r = renew(u, e);
	pthread_mutex_unlock(&u->lock);
	return r;
}

void units_close(struct export *e)
{
	free(e->name);
	free(e->identity);
	free(e);
}

int units_each(struct units *u,
	       int (*each)(const struct unit *unit, const struct hba_lun_info *info, void *arg),
	       void *arg)
{
	struct hba_lun_info info;
	int r = 0;

	pthread_mutex_lock(&u->lock);
	for (size_t i = 0; i < u->now.n && r == 0; i++) {
		hba_lun_get_info(u->now.unit[i].lun, &info);
		if (!units_why_not(&info))
			r = each(&u->now.unit[i], &info, arg);
	}
	pthread_mutex_unlock(&u->lock);
	return r;
}
