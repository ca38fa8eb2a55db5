/* SPDX-License-Identifier: MIT */
/* answer.c: a command is answered: with data, or with sense that points to the field at fault. */
#include "base/base.h"
#include "target/commands.h"

#include <string.h>

int target_check(struct target_command *c, const struct scsi_sense *sense)
{
	c->outcome = HBA_CHECK_CONDITION;
	if (c->unit && c->unit->descriptor_sense)
		c->sense_len = (uint8_t)scsi_sense_write_descriptor(sense, c->sense);
	else
		c->sense_len = (uint8_t)scsi_sense_write_fixed(sense, c->sense);
	return 0;
}

int target_refuse(struct target_command *c, uint8_t key, uint16_t asc)
{
	return target_check(c, &(struct scsi_sense) { .key = key, .asc = asc });
}

static int refuse_at(struct target_command *c, uint16_t asc, uint16_t byte, uint8_t bit)
{
	return target_check(
		c, &(struct scsi_sense) { .key = SCSI_ILLEGAL_REQUEST,
					  .asc = asc,
					  .has_field = true,
					  .field_in_cdb = asc == SCSI_ASC_INVALID_FIELD_IN_CDB,
					  .has_bit = true,
					  .field_byte = byte,
					  .field_bit = bit });
}

int target_refuse_field(struct target_command *c, uint16_t byte, uint8_t bit)
{
	return refuse_at(c, SCSI_ASC_INVALID_FIELD_IN_CDB, byte, bit);
}

int target_refuse_parameter(struct target_command *c, uint16_t byte, uint8_t bit)
{
	return refuse_at(c, SCSI_ASC_INVALID_FIELD_IN_PARAMETER_LIST, byte, bit);
}

int target_answer(struct target_command *c, const uint8_t *bytes, size_t length,
		  uint64_t allocation)
{
	uint64_t most = length < allocation ? length : allocation;
	struct iov_iter to = { .iov = c->iov, .n = c->n_iov };

	c->bytes = iov_iter_copy_to(&to, bytes, most < c->room ? most : c->room);
	return 0;
}

int target_take_list(struct target_command *c, uint8_t *list, size_t length, size_t size)
{
	struct iov_iter from = { .iov = c->iov, .n = c->n_iov };

	if (length > size || length > c->room ||
	    iov_iter_copy_from(&from, list, length) != length) {
		target_refuse(c, SCSI_ILLEGAL_REQUEST, SCSI_ASC_PARAMETER_LIST_LENGTH_ERROR);
		return 1;
	}
	c->bytes = length;
	return 0;
}
