/* SPDX-License-Identifier: MIT */
/*
 * iscsi-block-peer.h: as iscsi-peer.h, for the commands over runs of blocks and the pages of
 * limits.
 */
#ifndef ISCSI_BLOCK_PEER_H
#define ISCSI_BLOCK_PEER_H

#include "iscsi-peer.h"

struct peer_limits {
	bool write_same_nonzero, has_unmap_alignment;
	uint8_t max_compare_and_write;
	uint16_t optimal_granularity;
	uint32_t max_transfer, optimal_transfer, max_prefetch;
	uint32_t max_unmap_blocks, max_unmap_descriptors, unmap_granularity, unmap_alignment;
	uint64_t max_write_same;
};

struct peer_provisioning {
	bool unmap, write_same_16, write_same_10, reads_zero, anchors;
	unsigned type;
};

struct peer_status {
	uint64_t block;
	uint32_t count;
	unsigned provisioning;
};

/* false: libiscsi builds no such command. `flags` is byte 1. */
bool peer_extent_cdb(uint8_t opcode, uint8_t flags, uint64_t block, uint32_t count,
		     struct peer_cdb *ret_cdb);
struct peer_cdb peer_unmap_cdb(uint16_t length);
struct peer_cdb peer_lba_status_cdb(uint64_t block, uint32_t allocation);

bool peer_read_limits(const uint8_t *bytes, size_t n, struct peer_limits *ret_limits);
bool peer_read_provisioning(const uint8_t *bytes, size_t n,
			    struct peer_provisioning *ret_provisioning);
bool peer_read_rotation(const uint8_t *bytes, size_t n, unsigned *ret_rotation);
/* How many; -1: it refuses. */
int peer_read_lba_status(const uint8_t *bytes, size_t n, struct peer_status *ret_status,
			 unsigned most);

#endif
