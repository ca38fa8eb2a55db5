/* SPDX-License-Identifier: MIT */
/* iscsi-peer.c: libiscsi's scsi-lowlevel behind iscsi-peer.h. */
#include "iscsi-peer.h"

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <stdlib.h>
#include <string.h>

/* ---- builders */

static struct peer_cdb take(struct scsi_task *task)
{
	struct peer_cdb cdb = { .length = (size_t)task->cdb_size };

	memcpy(cdb.bytes, task->cdb, PEER_MAX_CDB);
	scsi_free_scsi_task(task);
	return cdb;
}

struct peer_cdb peer_test_unit_ready(void)
{
	return take(scsi_cdb_testunitready());
}

struct peer_cdb peer_inquiry_cdb(bool vpd, uint8_t page, uint16_t allocation)
{
	return take(scsi_cdb_inquiry(vpd, page, allocation));
}

struct peer_cdb peer_report_luns_cdb(uint32_t allocation)
{
	return take(scsi_reportluns_cdb(0, (int)allocation));
}

struct peer_cdb peer_read_capacity_10_cdb(void)
{
	return take(scsi_cdb_readcapacity10(0, 0));
}

struct peer_cdb peer_read_capacity_16_cdb(uint32_t allocation)
{
	return take(scsi_cdb_serviceactionin16(SCSI_READCAPACITY16, allocation));
}

struct peer_cdb peer_mode_sense_cdb(unsigned size, uint8_t page, uint8_t subpage,
				    uint8_t allocation)
{
	enum scsi_modesense_page_code code = (enum scsi_modesense_page_code)page;

	return take(size == 6 ? scsi_cdb_modesense6(0, SCSI_MODESENSE_PC_CURRENT, code, subpage,
						    allocation)
			      : scsi_cdb_modesense10(0, 0, SCSI_MODESENSE_PC_CURRENT, code, subpage,
						     allocation));
}

struct peer_cdb peer_synchronize_cache_cdb(unsigned size, uint64_t block, uint32_t count)
{
	return take(size == 10 ? scsi_cdb_synchronizecache10((int)block, (int)count, 0, 0)
			       : scsi_cdb_synchronizecache16(block, count, 0, 0));
}

/* Its transfer lengths are bytes: with blocks of one byte they are blocks. */
static struct scsi_task *build_read(const struct peer_rw *w, unsigned size)
{
	switch (size) {
	case 6:
		return scsi_cdb_read6((uint32_t)w->block, w->count, 1);
	case 10:
		return scsi_cdb_read10((uint32_t)w->block, w->count, 1, w->protect, w->dpo, w->fua,
				       0, w->group);
	case 12:
		return scsi_cdb_read12((uint32_t)w->block, w->count, 1, w->protect, w->dpo, w->fua,
				       0, w->group);
	default:
		return scsi_cdb_read16(w->block, w->count, 1, w->protect, w->dpo, w->fua, 0,
				       w->group);
	}
}

/* It has no WRITE(6). */
static struct scsi_task *build_write(const struct peer_rw *w, unsigned size)
{
	switch (size) {
	case 10:
		return scsi_cdb_write10((uint32_t)w->block, w->count, 1, w->protect, w->dpo, w->fua,
					0, w->group);
	case 12:
		return scsi_cdb_write12((uint32_t)w->block, w->count, 1, w->protect, w->dpo, w->fua,
					0, w->group);
	default:
		return scsi_cdb_write16(w->block, w->count, 1, w->protect, w->dpo, w->fua, 0,
					w->group);
	}
}

struct peer_cdb peer_rw_cdb(const struct peer_rw *rw, unsigned size)
{
	return take(rw->write ? build_write(rw, size) : build_read(rw, size));
}

/* ---- readers */

/*
 * Of the same shape for READ and WRITE, but for names and a byte: hence a macro for what a function
 * cannot say.
 */
#define TAKE_RW(c, protect_field)              \
	((struct peer_rw) {                    \
		.block = (c)->lba,             \
		.count = (c)->transfer_length, \
		.fua = (c)->fua,               \
		.dpo = (c)->dpo,               \
		.protect = (c)->protect_field, \
		.group = (c)->group,           \
	})

static bool unmarshall_rw(struct scsi_task *task, const uint8_t *cdb, struct peer_rw *ret_rw)
{
	void *c = scsi_cdb_unmarshall(task, (enum scsi_opcode)cdb[0]);

	if (!c)
		return false;
	switch (cdb[0]) {
	case 0x08:
		*ret_rw =
			(struct peer_rw) { .block = ((struct scsi_read6_cdb *)c)->lba,
					   .count = ((struct scsi_read6_cdb *)c)->transfer_length };
		return true;
	case 0x28:
		*ret_rw = TAKE_RW((struct scsi_read10_cdb *)c, rdprotect);
		return true;
	case 0xa8:
		*ret_rw = TAKE_RW((struct scsi_read12_cdb *)c, rdprotect);
		return true;
	case 0x88:
		*ret_rw = TAKE_RW((struct scsi_read16_cdb *)c, rdprotect);
		return true;
	}
	return false;
}

bool peer_read_rw(const uint8_t *cdb, size_t size, struct peer_rw *ret_rw)
{
	struct scsi_task *task =
		scsi_create_task((int)size, (unsigned char *)(uintptr_t)cdb, SCSI_XFER_READ, 0);
	bool read = unmarshall_rw(task, cdb, ret_rw);

	scsi_free_scsi_task(task);
	return read;
}

void peer_read_sense(const uint8_t bytes[256], struct peer_sense *ret_sense)
{
	struct scsi_sense s;

	memset(&s, 0, sizeof(s));
	scsi_parse_sense_data(&s, bytes);
	*ret_sense = (struct peer_sense) {
		.key = (unsigned)s.key,
		.asc = (unsigned)s.ascq,
		.has_field = s.sense_specific,
		.field_in_cdb = s.ill_param_in_cdb,
		.has_bit = s.bit_pointer_valid,
		.field_bit = s.bit_pointer,
		.field_byte = s.field_pointer,
	};
}

/* The task frees the copy. */
static void *unmarshall(struct scsi_task *task, const uint8_t *bytes, size_t n)
{
	task->datain.data = malloc(n);
	task->datain.size = (int)n;
	memcpy(task->datain.data, bytes, n);
	return scsi_datain_unmarshall(task);
}

static void take_inquiry(const struct scsi_inquiry_standard *q, struct peer_inquiry *ret_inquiry)
{
	*ret_inquiry = (struct peer_inquiry) {
		.qualifier = (unsigned)q->qualifier,
		.type = (unsigned)q->device_type,
		.version = (unsigned)q->version,
		.additional_length = (unsigned)q->additional_length,
		.format = (unsigned)q->response_data_format,
		.removable = q->rmb,
		.hierarchical = q->hisup,
		.command_queuing = q->cmdque,
		.third_party_copy = q->threepc,
		.protect = q->protect,
		.wide = q->wbus16,
		.sync = q->sync,
		.qas = q->qas,
		.ius = q->ius,
		.clocking = (unsigned)q->clocking,
	};
	memcpy(ret_inquiry->vendor, q->vendor_identification, sizeof(ret_inquiry->vendor));
	memcpy(ret_inquiry->product, q->product_identification, sizeof(ret_inquiry->product));
	memcpy(ret_inquiry->revision, q->product_revision_level, sizeof(ret_inquiry->revision));
	memcpy(ret_inquiry->versions, q->version_descriptor, sizeof(ret_inquiry->versions));
}

bool peer_read_inquiry(const uint8_t *bytes, size_t n, struct peer_inquiry *ret_inquiry)
{
	struct scsi_task *task = scsi_cdb_inquiry(0, 0, 255);
	const struct scsi_inquiry_standard *q = unmarshall(task, bytes, n);

	if (q)
		take_inquiry(q, ret_inquiry);
	scsi_free_scsi_task(task);
	return q;
}

bool peer_read_capacity_10(const uint8_t *bytes, size_t n, struct peer_capacity *ret_capacity)
{
	struct scsi_task *task = scsi_cdb_readcapacity10(0, 0);
	const struct scsi_readcapacity10 *c = unmarshall(task, bytes, n);

	if (c)
		*ret_capacity = (struct peer_capacity) { .last_block = c->lba,
							 .block_bytes = c->block_size };
	scsi_free_scsi_task(task);
	return c;
}

bool peer_read_capacity_16(const uint8_t *bytes, size_t n, struct peer_capacity *ret_capacity)
{
	struct scsi_task *task = scsi_cdb_readcapacity16();
	const struct scsi_readcapacity16 *c = unmarshall(task, bytes, n);

	if (c)
		*ret_capacity = (struct peer_capacity) {
			.last_block = c->returned_lba,
			.block_bytes = c->block_length,
			.protection = c->prot_en,
			.provisioned = c->lbpme,
			.reads_zero = c->lbprz,
			.physical_exponent = c->lbppbe,
			.lowest_aligned = c->lalba,
		};
	scsi_free_scsi_task(task);
	return c;
}

bool peer_read_luns(const uint8_t *bytes, size_t n, struct peer_list *ret_luns)
{
	struct scsi_task *task = scsi_reportluns_cdb(0, (int)n);
	const struct scsi_reportluns_list *l = unmarshall(task, bytes, n);
	bool fits = l && l->num <= PEER_MAX_ITEMS;

	if (fits) {
		ret_luns->n = l->num;
		for (size_t i = 0; i < l->num; i++)
			ret_luns->items[i] = l->luns[i];
	}
	scsi_free_scsi_task(task);
	return fits;
}

bool peer_read_supported(const uint8_t *bytes, size_t n, struct peer_list *ret_pages)
{
	struct scsi_task *task =
		scsi_cdb_inquiry(1, SCSI_INQUIRY_PAGECODE_SUPPORTED_VPD_PAGES, 255);
	const struct scsi_inquiry_supported_pages *p = unmarshall(task, bytes, n);
	bool fits = p && p->num_pages <= PEER_MAX_ITEMS;

	if (fits) {
		ret_pages->n = (size_t)p->num_pages;
		for (size_t i = 0; i < ret_pages->n; i++)
			ret_pages->items[i] = p->pages[i];
	}
	scsi_free_scsi_task(task);
	return fits;
}

bool peer_read_serial(const uint8_t *bytes, size_t n, char ret_text[PEER_MAX_TEXT])
{
	struct scsi_task *task = scsi_cdb_inquiry(1, SCSI_INQUIRY_PAGECODE_UNIT_SERIAL_NUMBER, 255);
	const struct scsi_inquiry_unit_serial_number *s = unmarshall(task, bytes, n);

	if (s)
		strncpy(ret_text, s->usn, PEER_MAX_TEXT - 1)[PEER_MAX_TEXT - 1] = '\0';
	scsi_free_scsi_task(task);
	return s;
}

static void take_designator(const struct scsi_inquiry_device_designator *d,
			    struct peer_designator *ret_designator)
{
	*ret_designator = (struct peer_designator) {
		.code_set = (unsigned)d->code_set,
		.association = (unsigned)d->association,
		.type = (unsigned)d->designator_type,
		.length = (size_t)d->designator_length,
	};
	memcpy(ret_designator->bytes, d->designator, ret_designator->length);
}

size_t peer_read_designators(const uint8_t *bytes, size_t n,
			     struct peer_designator *ret_designators, size_t max)
{
	struct scsi_task *task =
		scsi_cdb_inquiry(1, SCSI_INQUIRY_PAGECODE_DEVICE_IDENTIFICATION, 255);
	const struct scsi_inquiry_device_identification *page = unmarshall(task, bytes, n);
	size_t found = 0;

	if (page)
		for (const struct scsi_inquiry_device_designator *d = page->designators;
		     d && found < max; d = d->next)
			take_designator(d, &ret_designators[found++]);
	scsi_free_scsi_task(task);
	return found;
}
