/* SPDX-License-Identifier: MIT */
/* property-list.c: a short list of properties, each with the type of its key. */
#include "core/controller/controller.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* For bytes also the exact length. Other keys are the driver's own and may have any type. */
static const struct {
	const char *key;
	enum hba_property_type type;
	size_t length;
} known[] = {
	{ "Vendor Name", HBA_STRING, 0 },
	{ "Product Name", HBA_STRING, 0 },
	{ "Product Revision Level", HBA_STRING, 0 },
	{ "Port Description", HBA_STRING, 0 },
	{ "Port Speed", HBA_STRING, 0 },
	{ "Port Topology", HBA_STRING, 0 },
	{ "SCSI Parallel Signaling Type", HBA_STRING, 0 },
	{ "Fibre Channel Cabling Type", HBA_STRING, 0 },
	{ "Node World Wide Name", HBA_BYTES, 8 },
	{ "Port World Wide Name", HBA_BYTES, 8 },
	{ "Address Identifier", HBA_BYTES, 3 },
	{ "AL_PA", HBA_BYTES, 1 },
	{ "SAS Address", HBA_BYTES, 8 },
	{ PROPERTY_RETRIES, HBA_NUMBER, 0 },
	{ PROPERTY_READ_MS, HBA_NUMBER, 0 },
	{ PROPERTY_WRITE_MS, HBA_NUMBER, 0 },
	{ "Write Failure", HBA_STRING, 0 },
};

static const struct {
	const char *key;
	uint64_t least, most;
} ranges[] = {
	{ PROPERTY_RETRIES, 0, UINT32_MAX },
	{ PROPERTY_READ_MS, 1, UINT32_MAX },
	{ PROPERTY_WRITE_MS, 1, UINT32_MAX },
};

static bool is_in_range(const struct hba_property *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
		if (strcmp(ranges[i].key, p->key) == 0)
			return p->value.number >= ranges[i].least &&
			       p->value.number <= ranges[i].most;
	return true;
}

static bool is_valid(const struct hba_property *p)
{
	if (!p->key || !p->key[0] || (p->type == HBA_STRING && !p->value.string) ||
	    (p->type == HBA_BYTES && (!p->value.bytes || !p->length)))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(known[i].key, p->key) == 0)
			return known[i].type == p->type &&
			       (p->type != HBA_BYTES || known[i].length == p->length) &&
			       is_in_range(p);
	return true;
}

static void item_free(struct hba_property *p)
{
	free((void *)(uintptr_t)p->key);
	if (p->type == HBA_STRING)
		free((void *)(uintptr_t)p->value.string);
	if (p->type == HBA_BYTES)
		free((void *)(uintptr_t)p->value.bytes);
}

static int item_copy(const struct hba_property *p, struct hba_property *ret_copy)
{
	struct hba_property copy = *p;
	void *bytes;

	copy.key = strdup(p->key);
	if (p->type == HBA_STRING)
		copy.value.string = strdup(p->value.string);
	if (p->type == HBA_BYTES) {
		bytes = malloc(p->length);
		copy.value.bytes = bytes ? memcpy(bytes, p->value.bytes, p->length) : NULL;
	}
	if (!copy.key || (p->type != HBA_NUMBER && !copy.value.bytes)) {
		item_free(&copy);
		return -ENOMEM;
	}
	*ret_copy = copy;
	return 0;
}

static struct hba_property *property_list_find(const struct properties *p, const char *key)
{
	for (unsigned i = 0; i < p->n; i++)
		if (strcmp(p->items[i].key, key) == 0)
			return &p->items[i];
	return NULL;
}

int properties_set(struct properties *p, const struct hba_property *property)
{
	struct hba_property copy, *place;
	int r;

	if (!is_valid(property))
		return -EINVAL;
	r = item_copy(property, &copy);
	if (r < 0)
		return r;
	place = property_list_find(p, property->key);
	if (place) {
		item_free(place);
		*place = copy;
		return 0;
	}
	place = reallocarray(p->items, p->n + 1, sizeof(*place));
	if (!place) {
		item_free(&copy);
		return -ENOMEM;
	}
	p->items = place;
	p->items[p->n++] = copy;
	return 0;
}

uint64_t properties_number(const struct properties *own, const struct properties *others,
			   const char *key)
{
	const struct hba_property *item = property_list_find(own, key);

	if (!item)
		item = property_list_find(others, key);
	return item && item->type == HBA_NUMBER ? item->value.number : HBA_UNSET;
}

void properties_remove(struct properties *p, const char *key)
{
	struct hba_property *item = property_list_find(p, key);

	if (!item)
		return;
	item_free(item);
	p->n--;
	memmove(item, item + 1, (size_t)(p->items + p->n - item) * sizeof(*item));
}

void properties_clear(struct properties *p)
{
	for (unsigned i = 0; i < p->n; i++)
		item_free(&p->items[i]);
	free(p->items);
	*p = (struct properties) { 0 };
}
