/* SPDX-License-Identifier: MIT */
/*
 * iscsi-peer.h: libiscsi's reading and building of the same bytes, in types of neither side: its
 * header and ours cannot be included together, since both define struct scsi_sense and more.
 */
#ifndef ISCSI_PEER_H
#define ISCSI_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PEER_MAX_CDB = 16, PEER_MAX_TEXT = 256, PEER_MAX_ITEMS = 128 };

struct peer_cdb {
	uint8_t bytes[PEER_MAX_CDB];
	size_t length;
};

struct peer_rw {
	uint64_t block;
	uint32_t count;
	bool fua, dpo, write;
	uint8_t protect, group;
};

struct peer_sense {
	unsigned key, asc;
	bool has_field, field_in_cdb, has_bit;
	unsigned field_bit, field_byte;
};

struct peer_inquiry {
	unsigned qualifier, type, version, additional_length, format;
	bool removable, hierarchical, command_queuing, third_party_copy, protect;
	bool wide, sync, qas, ius;
	unsigned clocking;
	char vendor[9], product[17], revision[5];
	uint16_t versions[8];
};

struct peer_capacity {
	uint64_t last_block;
	uint32_t block_bytes;
	bool protection, provisioned, reads_zero;
	unsigned physical_exponent, lowest_aligned;
};

struct peer_list {
	size_t n;
	uint32_t items[PEER_MAX_ITEMS];
};

struct peer_designator {
	unsigned code_set, association, type;
	size_t length;
	uint8_t bytes[PEER_MAX_TEXT];
};

/* Builders. */
struct peer_cdb peer_test_unit_ready(void);
struct peer_cdb peer_inquiry_cdb(bool vpd, uint8_t page, uint16_t allocation);
struct peer_cdb peer_report_luns_cdb(uint32_t allocation);
struct peer_cdb peer_read_capacity_10_cdb(void);
struct peer_cdb peer_read_capacity_16_cdb(uint32_t allocation);
struct peer_cdb peer_mode_sense_cdb(unsigned size, uint8_t page, uint8_t subpage,
				    uint8_t allocation);
struct peer_cdb peer_synchronize_cache_cdb(unsigned size, uint64_t block, uint32_t count);
struct peer_cdb peer_rw_cdb(const struct peer_rw *rw, unsigned size);

/* Readers; false: it refuses. */
bool peer_read_rw(const uint8_t *cdb, size_t size, struct peer_rw *ret_rw);
void peer_read_sense(const uint8_t bytes[256], struct peer_sense *ret_sense);
bool peer_read_inquiry(const uint8_t *bytes, size_t n, struct peer_inquiry *ret_inquiry);
bool peer_read_capacity_10(const uint8_t *bytes, size_t n, struct peer_capacity *ret_capacity);
bool peer_read_capacity_16(const uint8_t *bytes, size_t n, struct peer_capacity *ret_capacity);
bool peer_read_luns(const uint8_t *bytes, size_t n, struct peer_list *ret_luns);
bool peer_read_supported(const uint8_t *bytes, size_t n, struct peer_list *ret_pages);
bool peer_read_serial(const uint8_t *bytes, size_t n, char ret_text[PEER_MAX_TEXT]);
size_t peer_read_designators(const uint8_t *bytes, size_t n,
			     struct peer_designator *ret_designators, size_t max);

#endif
