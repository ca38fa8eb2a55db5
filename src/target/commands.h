/* SPDX-License-Identifier: MIT */
/* commands.h: what the command handlers share inside this room. To add a command: a handler, and a row in execute.c's table. */
#ifndef TARGET_COMMANDS_H
#define TARGET_COMMANDS_H

#include "target/target.h"

/* A handler: 0 = ended, 1 = later. Before it is called: the CDB is whole, and no bit is set that the row does not list. */

/* execute.c: how a command ends other than well. Each returns 0, what a handler returns for "ended". */
int target_check(struct target_command *c, const struct scsi_sense *sense);
int target_refuse(struct target_command *c, uint8_t key, uint16_t asc);
/* INVALID FIELD IN CDB, and which one: byte, and its highest bit. */
int target_refuse_field(struct target_command *c, uint16_t byte, uint8_t bit);
/* The answer to a command that returns parameter data: cut to the allocation length and to the buffer. */
int target_answer(struct target_command *c, const uint8_t *bytes, size_t length, uint64_t allocation);

/** target_take_attention() - The unit attention that waits here, if any, which is then told and gone. */
uint16_t target_take_attention(struct target_unit *unit);

/* primary.c */
int target_test_unit_ready(struct target_command *c);
int target_request_sense(struct target_command *c);
int target_inquiry(struct target_command *c);
int target_report_luns(struct target_command *c);

/* mode.c */
int target_mode_sense_6(struct target_command *c);
int target_mode_sense_10(struct target_command *c);

/* block.c */
int target_read_capacity_10(struct target_command *c);
int target_read_capacity_16(struct target_command *c);
int target_read_write(struct target_command *c);
int target_synchronize_cache_10(struct target_command *c);
int target_synchronize_cache_16(struct target_command *c);

#endif
