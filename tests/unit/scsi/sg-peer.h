/* SPDX-License-Identifier: MIT */
/*
 * sg-peer.h: commands as libsgutils2 builds them, caught before they reach a device; and answers
 * for it to read.
 */
#ifndef SG_PEER_H
#define SG_PEER_H

#include <stddef.h>
#include <stdint.h>

enum { SG_PEER_MAX_CDB = 32 };

/* What one call of libsgutils2's sg_ll_…() wanted to send. */
struct sg_peer_cdb {
	uint8_t bytes[SG_PEER_MAX_CDB];
	size_t length; /* 0: nothing was sent */
};

/*
 * Forget the last command. The next ones are answered with `n` bytes of data (may be none), which
 * must live until then.
 */
void sg_peer_begin(const uint8_t *answer, size_t n);
struct sg_peer_cdb sg_peer_end(void);

#endif
