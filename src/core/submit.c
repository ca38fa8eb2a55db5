/* SPDX-License-Identifier: MIT */
/*
 * submit.c: a filled task is judged, its data put into the driver's mode, and queued.
 *
 * Whatever could be wrong with it is found here, where the client hears of it; below, nothing is.
 */
#include "core/core.h"
#include "scsi/scsi.h"

#include <errno.h>
#include <string.h>

static int check_command(const struct hba_controller *c, const struct hba_task *t)
{
	if (t->cdb_len != 6 && t->cdb_len != 10 && t->cdb_len != 12 && t->cdb_len != 16 && t->cdb_len != 32)
		return fail(-EINVAL, "a CDB has 6, 10, 12, 16 or 32 bytes, not %u", t->cdb_len);
	if (t->cdb_len > c->report.max_cdb)
		return fail(-EMSGSIZE, "a CDB of %u bytes, driver %s takes up to %llu", t->cdb_len, c->driver->name,
			    (unsigned long long)c->report.max_cdb);
	if (t->direction > HBA_FROM_TARGET || t->attribute > HBA_ACA || t->mode > HBA_DATA_REGION || t->mode == HBA_DATA_DMA)
		return fail(-EINVAL, "direction %u, attribute %u, mode %u: at least one does not exist, or is not a client's",
			    t->direction, t->attribute, t->mode);
	if ((t->direction == HBA_NO_DATA) != (t->length == 0) || (t->length == 0 && t->n_data != 0))
		return fail(-EINVAL, "direction %u contradicts %llu bytes in %u pieces", t->direction,
			    (unsigned long long)t->length, t->n_data);
	return 0;
}

static uint64_t item_length(const struct hba_task *t, uint32_t i)
{
	return t->mode == HBA_DATA_REGION ? t->data.pieces[i].length : t->data.iov[i].iov_len;
}

static int check_list(const struct hba_task *t)
{
	uint64_t sum = 0;

	if (t->n_data == 0)
		return t->mode == HBA_DATA_CPU && t->data.buffer
			       ? 0
			       : fail(-EINVAL, "there are %llu bytes to move and no place for them", (unsigned long long)t->length);
	for (uint32_t i = 0; i < t->n_data; i++) {
		if (item_length(t, i) == 0 || __builtin_add_overflow(sum, item_length(t, i), &sum))
			return fail(-EINVAL, "piece %u of the data has a length that cannot be", i);
	}
	return sum == t->length ? 0
				: fail(-EINVAL, "the pieces of the data add up to %llu bytes, not to %llu", (unsigned long long)sum,
				       (unsigned long long)t->length);
}

/* Region and offset become an address, once both are known to be there. */
static int piece_address(const struct hba_controller *c, const struct hba_piece *p, uint8_t **ret_address)
{
	const struct hba_mapping *m = memory_region(&c->memory, p->region);

	if (!m)
		return fail(-EINVAL, "there is no region %u", p->region);
	if (p->offset > hba_mapping_length(m) || p->length > hba_mapping_length(m) - p->offset)
		return fail(-EACCES, "offset %llu, length %u is outside region %u of %zu bytes", (unsigned long long)p->offset,
			    p->length, p->region, hba_mapping_length(m));
	*ret_address = (uint8_t *)hba_mapping_address(m) + p->offset;
	return 0;
}

static int regions_to_cpu(struct hba_controller *c, struct task *t)
{
	uint8_t *address = NULL;

	if (t->head.n_data > c->pool.max_items)
		return fail(-EMSGSIZE, "%u pieces, %u is the most", t->head.n_data, c->pool.max_items);
	for (uint32_t i = 0; i < t->head.n_data; i++) {
		int r = piece_address(c, &t->head.data.pieces[i], &address);

		if (r < 0)
			return r;
		t->items[i].iov = (struct iovec) { address, t->head.data.pieces[i].length };
	}
	t->head.data.iov = &t->items[0].iov;
	return 0;
}

void task_restore(struct task *t)
{
	t->head.data = t->given;
	t->head.n_data = t->given_n;
	t->head.mode = t->given_mode;
	t->rewritten = false;
}

static int translate(struct hba_controller *c, struct task *t)
{
	int r = check_list(&t->head);

	if (r < 0)
		return r;
	if (c->report.data_mode != HBA_DATA_CPU)
		return fail(-EOPNOTSUPP, "driver %s takes data in mode %llu, which this version cannot write yet", c->driver->name,
			    (unsigned long long)c->report.data_mode);
	if (t->head.mode == HBA_DATA_CPU && t->head.n_data)
		return 0;
	t->given = t->head.data;
	t->given_n = t->head.n_data;
	t->given_mode = t->head.mode;
	t->rewritten = true;
	if (t->head.mode == HBA_DATA_CPU) {
		t->whole = (struct iovec) { t->head.data.buffer, t->head.length };
		t->head.data.iov = &t->whole;
		t->head.n_data = 1;
	}
	if (t->head.mode == HBA_DATA_REGION)
		r = regions_to_cpu(c, t);
	if (r < 0) {
		task_restore(t);
		return r;
	}
	t->head.mode = HBA_DATA_CPU;
	return 0;
}

static void end_protected(struct task *t)
{
	static const struct scsi_sense sense = { .key = SCSI_DATA_PROTECT, .asc = SCSI_ASC_WRITE_PROTECTED };

	task_end(t, HBA_CHECK_CONDITION, HBA_SENT_NO);
	t->sense_len = (uint8_t)scsi_sense_write_fixed(&sense, t->sense);
}

int task_submit(struct task *t, hba_done_fn done, void *arg)
{
	struct hba_controller *c = t->queue->controller;
	int r = check_command(c, &t->head);

	if (r == 0 && t->head.length)
		r = translate(c, t);
	if (r < 0)
		return r;
	t->done = done;
	t->arg = arg;
	t->head.flags = scsi_cdb_is_rw(t->head.cdb[0]) ? HBA_TASK_RW : 0;
	if (!t->lun->info.present && t->head.kind == HBA_TASK_CLIENT)
		task_end(t, HBA_NOT_PRESENT, HBA_SENT_NO);
	else if (c->given.read_only && scsi_cdb_changes_medium(t->head.cdb))
		end_protected(t);
	else
		queue_add(t, false);
	return 0;
}

int hba_submit(struct hba_task *head, hba_done_fn done, void *arg)
{
	struct task *t = task_of(head);

	if (t->state != TASK_OWNED || !done)
		return fail(-EINVAL, "hba_submit: the task is not its client's to send, or nobody is told of its end");
	if (!t->queue->controller->accepting)
		return fail(-ENODEV, "%s: the controller takes no tasks, it is %s", t->queue->controller->uri,
			    hba_state_name(t->queue->controller->state));
	return task_submit(t, done, arg);
}

/* ---- a task's data, for the driver's CPU */

const struct iovec *hba_task_data(const struct hba_task *t, unsigned *ret_n)
{
	if (t->mode != HBA_DATA_CPU || !t->length) {
		*ret_n = 0;
		return NULL;
	}
	*ret_n = t->n_data;
	return t->data.iov;
}

/* Walks the list; `each` gets one contiguous piece. */
static size_t walk(const struct hba_task *t, uint64_t at, size_t bytes,
		   void (*each)(void *data, size_t offset, size_t n, void *arg), void *arg)
{
	size_t copied = 0;

	for (uint32_t i = 0; t->mode == HBA_DATA_CPU && t->length && i < t->n_data && copied < bytes; i++) {
		const struct iovec *v = &t->data.iov[i];
		size_t n;

		if (at >= v->iov_len) {
			at -= v->iov_len;
			continue;
		}
		n = v->iov_len - at < bytes - copied ? v->iov_len - at : bytes - copied;
		each((uint8_t *)v->iov_base + at, copied, n, arg);
		copied += n;
		at = 0;
	}
	return copied;
}

static void copy_in(void *data, size_t offset, size_t n, void *from)
{
	memcpy(data, (const uint8_t *)from + offset, n);
}

static void copy_out(void *data, size_t offset, size_t n, void *to)
{
	memcpy((uint8_t *)to + offset, data, n);
}

size_t hba_task_copy_to(struct hba_task *t, uint64_t at, const void *from, size_t bytes)
{
	return walk(t, at, bytes, copy_in, (void *)(uintptr_t)from);
}

size_t hba_task_copy_from(const struct hba_task *t, uint64_t at, void *to, size_t bytes)
{
	return walk(t, at, bytes, copy_out, to);
}
