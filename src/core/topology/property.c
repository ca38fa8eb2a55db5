/* SPDX-License-Identifier: MIT */
/*
 * property.c: properties of a controller and its targets, with the keys and types of the contract.
 */
#include "core/controller/controller.h"

#include <errno.h>

static void changed(struct hba_controller *c, struct hba_target *tgt, const char *key)
{
	if (tgt)
		target_heed(tgt);
	else
		targets_heed(c);
	event_put(c, HBA_EVENT_PROPERTY, tgt ? tgt->id : HBA_NO_TARGET, NULL, 0, "%s", key);
}

int hba_set_property(struct hba_controller *c, struct hba_target *tgt, const struct hba_property *p)
{
	int r = properties_set(tgt ? &tgt->properties : &c->properties, p);

	if (r == -EINVAL)
		return violation(c,
				 "property '%s' has a type, length or value that its key does not "
				 "have",
				 p->key ? p->key : "(none)"),
		       r;
	if (r < 0)
		return r;
	changed(c, tgt, p->key);
	return 0;
}

void hba_remove_property(struct hba_controller *c, struct hba_target *tgt, const char *key)
{
	properties_remove(tgt ? &tgt->properties : &c->properties, key);
	changed(c, tgt, key);
}

int hba_property_get(const struct hba_controller *c, uint64_t target, unsigned index,
		     struct hba_property *ret_p)
{
	struct hba_target *tgt = NULL;
	const struct properties *p = &c->properties;

	if (target != HBA_NO_TARGET) {
		tgt = target_find((struct hba_controller *)(uintptr_t)c, target);
		if (!tgt)
			return fail(-ENOENT, "%s: there is no target %llu", c->uri,
				    (unsigned long long)target);
		p = &tgt->properties;
	}
	if (index >= p->n)
		return -ENOENT;
	*ret_p = p->items[index];
	return 0;
}
