/* SPDX-License-Identifier: MIT */
/* iscsi-block-peer.c: libiscsi's scsi-lowlevel behind iscsi-block-peer.h. */
#include "iscsi-block-peer.h"

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <stdlib.h>
#include <string.h>

static struct peer_cdb take(struct scsi_task *task)
{
	struct peer_cdb cdb = { .length = (size_t)task->cdb_size };

	memcpy(cdb.bytes, task->cdb, PEER_MAX_CDB);
	scsi_free_scsi_task(task);
	return cdb;
}

/* ---- builders */

/*
 * Its lengths are bytes: with blocks of one byte they are blocks. Flags are taken out of byte 1 and
 * given by name.
 */
static struct scsi_task *build_extent(uint8_t opcode, uint8_t flags, uint64_t block, uint32_t count)
{
	int protect = flags >> 5, dpo = flags >> 4 & 1, fua = flags >> 3 & 1,
	    fua_nv = flags >> 1 & 1, immed = fua_nv;
	int bytchk = flags >> 1 & 3, anchor = dpo, unmap = fua;
	uint32_t low = (uint32_t)block;

	switch (opcode) {
	case 0x2e:
		return scsi_cdb_writeverify10(low, count, 1, protect, dpo, bytchk, 0);
	case 0x2f:
		return scsi_cdb_verify10(low, count, protect, dpo, bytchk, 1);
	case 0x34:
		return scsi_cdb_prefetch10(low, (int)count, immed, 0);
	case 0x35:
		return scsi_cdb_synchronizecache10((int)low, (int)count, 0, immed);
	case 0x41:
		return scsi_cdb_writesame10(protect, anchor, unmap, low, 0, (uint16_t)count, 1);
	case 0x89:
		return scsi_cdb_compareandwrite(block, count * 2, 1, protect, dpo, fua, fua_nv, 0);
	case 0x8b:
		return scsi_cdb_orwrite(block, count, 1, protect, dpo, fua, fua_nv, 0);
	case 0x8e:
		return scsi_cdb_writeverify16(block, count, 1, protect, dpo, bytchk, 0);
	case 0x8f:
		return scsi_cdb_verify16(block, count, protect, dpo, bytchk, 1);
	case 0x90:
		return scsi_cdb_prefetch16(block, (int)count, immed, 0);
	case 0x91:
		return scsi_cdb_synchronizecache16(block, count, 0, immed);
	case 0x93:
		return scsi_cdb_writesame16(protect, anchor, unmap, block, 0, count,
					    flags & 1 ? 0 : 1);
	case 0xae:
		return scsi_cdb_writeverify12(low, count, 1, protect, dpo, bytchk, 0);
	case 0xaf:
		return scsi_cdb_verify12(low, count, protect, dpo, bytchk, 1);
	default:
		return NULL;
	}
}

bool peer_extent_cdb(uint8_t opcode, uint8_t flags, uint64_t block, uint32_t count,
		     struct peer_cdb *ret_cdb)
{
	struct scsi_task *task = build_extent(opcode, flags, block, count);

	if (!task)
		return false;
	*ret_cdb = take(task);
	return true;
}

struct peer_cdb peer_unmap_cdb(uint16_t length)
{
	return take(scsi_cdb_unmap(0, 0, length));
}

struct peer_cdb peer_lba_status_cdb(uint64_t block, uint32_t allocation)
{
	return take(scsi_cdb_get_lba_status(block, allocation));
}

/* ---- readers */

/* The task frees the copy. */
static void *unmarshall(struct scsi_task *task, const uint8_t *bytes, size_t n)
{
	task->datain.data = malloc(n);
	task->datain.size = (int)n;
	memcpy(task->datain.data, bytes, n);
	return scsi_datain_unmarshall(task);
}

bool peer_read_limits(const uint8_t *bytes, size_t n, struct peer_limits *ret_limits)
{
	struct scsi_task *task = scsi_cdb_inquiry(1, SCSI_INQUIRY_PAGECODE_BLOCK_LIMITS, 255);
	const struct scsi_inquiry_block_limits *l = unmarshall(task, bytes, n);

	if (l)
		*ret_limits = (struct peer_limits) {
			.write_same_nonzero = l->wsnz,
			.has_unmap_alignment = l->ugavalid,
			.max_compare_and_write = l->max_cmp,
			.optimal_granularity = l->opt_gran,
			.max_transfer = l->max_xfer_len,
			.optimal_transfer = l->opt_xfer_len,
			.max_prefetch = l->max_prefetch,
			.max_unmap_blocks = l->max_unmap,
			.max_unmap_descriptors = l->max_unmap_bdc,
			.unmap_granularity = l->opt_unmap_gran,
			.unmap_alignment = l->unmap_gran_align,
			.max_write_same = l->max_ws_len,
		};
	scsi_free_scsi_task(task);
	return l;
}

bool peer_read_provisioning(const uint8_t *bytes, size_t n,
			    struct peer_provisioning *ret_provisioning)
{
	struct scsi_task *task =
		scsi_cdb_inquiry(1, SCSI_INQUIRY_PAGECODE_LOGICAL_BLOCK_PROVISIONING, 255);
	const struct scsi_inquiry_logical_block_provisioning *p = unmarshall(task, bytes, n);

	if (p)
		*ret_provisioning = (struct peer_provisioning) {
			.unmap = p->lbpu,
			.write_same_16 = p->lbpws,
			.write_same_10 = p->lbpws10,
			.reads_zero = p->lbprz,
			.anchors = p->anc_sup,
			.type = (unsigned)p->provisioning_type,
		};
	scsi_free_scsi_task(task);
	return p;
}

bool peer_read_rotation(const uint8_t *bytes, size_t n, unsigned *ret_rotation)
{
	struct scsi_task *task =
		scsi_cdb_inquiry(1, SCSI_INQUIRY_PAGECODE_BLOCK_DEVICE_CHARACTERISTICS, 255);
	const struct scsi_inquiry_block_device_characteristics *c = unmarshall(task, bytes, n);

	if (c)
		*ret_rotation = (unsigned)c->medium_rotation_rate;
	scsi_free_scsi_task(task);
	return c;
}

int peer_read_lba_status(const uint8_t *bytes, size_t n, struct peer_status *ret_status,
			 unsigned most)
{
	struct scsi_task *task = scsi_cdb_get_lba_status(0, (uint32_t)n);
	const struct scsi_get_lba_status *s = unmarshall(task, bytes, n);
	int found = s && s->num_descriptors <= most ? (int)s->num_descriptors : -1;

	for (int i = 0; i < found; i++)
		ret_status[i] =
			(struct peer_status) { .block = s->descriptors[i].lba,
					       .count = s->descriptors[i].num_blocks,
					       .provisioning =
						       (unsigned)s->descriptors[i].provisioning };
	scsi_free_scsi_task(task);
	return found;
}
