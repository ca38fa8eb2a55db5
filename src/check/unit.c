/* SPDX-License-Identifier: MIT */
/* unit.c: the controller under test, the unit that most tests use, and memory for data. */
#include "check/suite.h"

#include "base/endian.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ATTENTIONS = 8 };

static bool has_lun(const struct check_options *o, const struct hba_lun_info *info)
{
	if (o->lun_is_bytes)
		return get_be64(info->lun.bytes) == o->lun;
	return info->number != UINT64_MAX && info->number == o->lun;
}

static bool is_chosen(const struct check_options *o, const struct hba_lun_info *info)
{
	return (!o->has_target || info->target == o->target) && (!o->has_lun || has_lun(o, info));
}

/* A disk, if there is one; else whatever is there. */
void check_choose_unit(struct check *k)
{
	struct hba_lun_info info;

	k->lun = NULL;
	k->n_units = 0;
	for (struct hba_lun *lun = hba_lun_next(k->controller, NULL); lun;
	     lun = hba_lun_next(k->controller, lun)) {
		bool better;

		k->n_units++;
		hba_lun_get_info(lun, &info);
		better = !k->lun || (!k->info.block_bytes && info.block_bytes);
		if (!better || !is_chosen(k->options, &info))
			continue;
		k->lun = lun;
		k->info = info;
	}
}

int check_start(struct check *k)
{
	int r = hba_controller_start(k->controller);

	k->over = r < 0;
	if (r < 0)
		return r;
	check_choose_unit(k);
	k->summary.no_such_unit |= !k->lun && (k->options->has_target || k->options->has_lun);
	return 0;
}

/* Of the controller's memory there may be none; of our own there is. */
int check_take_memory(struct check *k)
{
	k->plain.bytes = malloc(AREA_BYTES);
	if (!k->plain.bytes)
		return -ENOMEM;
	if (hba_mapping_create(k->controller, HBA_DEVICE_BOTH, AREA_BYTES, 0, &k->mapped.mapping) ==
	    0)
		k->mapped.bytes = hba_mapping_address(k->mapped.mapping);
	return 0;
}

void check_close(struct check *k)
{
	hba_controller_stop(k->controller);
	hba_mapping_release(k->mapped.mapping);
	hba_controller_close(k->controller);
	free(k->plain.bytes);
	free(k->reference);
	k->controller = NULL;
	k->plain = k->mapped = (struct area) { 0 };
	k->reference = NULL;
	k->over = true;
	k->lun = NULL;
}

void check_settle(struct check *k, struct hba_lun *lun)
{
	struct command x;

	for (unsigned i = 0; i < ATTENTIONS; i++) {
		x = command_none(k, scsi_cdb_test_unit_ready());
		x.lun = lun;
		command_run(k, &x);
		if (x.error || x.outcome == HBA_GOOD)
			return;
	}
}

uint64_t check_max_cdb(const struct check *k)
{
	const struct hba_report *r = k->controller ? hba_controller_report(k->controller) : NULL;

	return r ? r->max_cdb : 0;
}

bool check_can(const struct check *k, enum hba_tmf tmf)
{
	const struct hba_report *r = k->controller ? hba_controller_report(k->controller) : NULL;

	return r && r->tmfs & HBA_TMF_BIT(tmf);
}

void check_unit_name(const struct hba_lun_info *info, char text[48])
{
	char lun[24];

	scsi_lun_text(&info->lun, lun);
	snprintf(text, 48, "%ju:%s", (uintmax_t)info->target, lun);
}
