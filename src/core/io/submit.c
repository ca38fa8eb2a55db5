/* SPDX-License-Identifier: MIT */
/*
 * submit.c: a filled task is judged, its data put into the driver's mode, and queued.
 *
 * Every fault of a task is found here, where the client gets the error; nothing below refuses it.
 */
#include "core/controller/controller.h"
#include "scsi/scsi.h"

#include <errno.h>
#include <string.h>

static int wrong_length(const struct hba_controller *c, const struct hba_task *t)
{
	if (t->cdb_len != 6 && t->cdb_len != 10 && t->cdb_len != 12 && t->cdb_len != 16 &&
	    t->cdb_len != 32)
		return fail(-EINVAL, "a CDB has 6, 10, 12, 16 or 32 bytes, not %u", t->cdb_len);
	return fail(-EMSGSIZE, "a CDB of %u bytes, driver %s takes up to %llu", t->cdb_len,
		    c->driver->name, (unsigned long long)c->report.max_cdb);
}

static int check_command(const struct hba_controller *c, const struct hba_task *t)
{
	if (t->cdb_len > HBA_MAX_CDB || !(c->cdb_lengths >> t->cdb_len & 1))
		return wrong_length(c, t);
	if (t->direction > HBA_FROM_TARGET || t->attribute > HBA_ACA || t->mode > HBA_DATA_REGION ||
	    t->mode == HBA_DATA_DMA)
		return fail(-EINVAL,
			    "direction %u, attribute %u, mode %u: at least one does not exist, or "
			    "is not a client's",
			    t->direction, t->attribute, t->mode);
	if (t->length ? t->direction == HBA_NO_DATA : t->direction != HBA_NO_DATA || t->n_data)
		return fail(-EINVAL, "direction %u contradicts %llu bytes in %u pieces",
			    t->direction, (unsigned long long)t->length, t->n_data);
	return 0;
}

static void end_protected(struct task *t)
{
	static const struct scsi_sense sense = { .key = SCSI_DATA_PROTECT,
						 .asc = SCSI_ASC_WRITE_PROTECTED };

	uint8_t bytes[SCSI_FIXED_SENSE_BYTES];

	task_end(t, HBA_CHECK_CONDITION, HBA_SENT_NO);
	task_keep_sense(t, bytes, (uint8_t)scsi_sense_write_fixed(&sense, bytes));
}

__attribute__((cold)) static void dispatch_with_care(struct hba_controller *c, struct task *t)
{
	if (!t->lun->info.present && t->head.kind == HBA_TASK_CLIENT)
		task_end(t, HBA_NOT_PRESENT, HBA_SENT_NO);
	else if (c->given.read_only && scsi_cdb_may_change_medium(t->head.cdb))
		end_protected(t);
	else if (!c->accepting && t->head.kind == HBA_TASK_CLIENT)
		task_end(t, HBA_NOT_DELIVERED, HBA_SENT_NO);
	else if (t->head.kind != HBA_TASK_CLIENT || !medium_tells(t))
		queue_add(t);
}

void task_dispatch(struct hba_controller *c, struct task *t)
{
	/* Nearly always nothing is in the way. */
	if (c->accepting && t->lun->plain && !c->given.read_only)
		queue_add(t);
	else
		dispatch_with_care(c, t);
}

/* Another thread's task. All of it is written before it counts as sent. */
static void hand_over(struct hba_controller *c, struct task *t)
{
	__atomic_store_n(&t->state, TASK_QUEUED, __ATOMIC_RELEASE);
	inbox_push(c, t);
}

static inline __attribute__((always_inline)) int submit(struct hba_controller *c, struct task *t,
							hba_done_fn done, void *arg)
{
	int r = check_command(c, &t->head);

	t->anew = 0;
	if (r == 0 && t->head.length)
		r = data_prepare(c, t);
	if (r < 0)
		return r;
	t->done = done;
	t->arg = arg;
	t->head.flags = scsi_cdb_is_rw(t->head.cdb[0]) ? HBA_TASK_RW : 0;
	if (loop_is_here(c))
		task_dispatch(c, t);
	else
		hand_over(c, t);
	return 0;
}

int task_submit(struct task *t, hba_done_fn done, void *arg)
{
	return submit(t->queue->controller, t, done, arg);
}

__attribute__((cold)) static int not_taken(const struct hba_controller *c)
{
	return fail(-ENODEV, "%s: the controller takes no tasks, it is %s", c->uri,
		    hba_state_name(hba_controller_state(c)));
}

int hba_submit(struct hba_task *head, hba_done_fn done, void *arg)
{
	struct task *t = task_of(head);
	struct hba_controller *c;

	if (!head)
		return wrong_use("the task is NULL");
	c = t->queue->controller;
	if (t->state != TASK_OWNED || !done)
		return fail(-EINVAL,
			    "hba_submit: the task is not its client's to send, or has no done");
	return __atomic_load_n(&c->accepting, __ATOMIC_RELAXED) ? submit(c, t, done, arg)
								: not_taken(c);
}

/* ---- a task's data, for the driver's CPU */

const struct iovec *hba_task_data(const struct hba_task *head, unsigned *ret_n)
{
	const struct task *t = container_of(head, struct task, head);
	const struct iovec *list = head->mode == HBA_DATA_CPU   ? head->data.iov
				   : head->mode == HBA_DATA_DMA ? t->cpu
								: NULL;

	*ret_n = 0;
	if (!head->length)
		return NULL;
	if (!list) {
		violation(t->queue->controller, "hba_task_data: the report has no wants_task_data");
		return NULL;
	}
	*ret_n = head->n_data;
	return list;
}

/* Walks the list; `each` gets one contiguous piece. */
static size_t walk(const struct hba_task *t, uint64_t at, size_t bytes,
		   void (*each)(void *data, size_t offset, size_t n, void *arg), void *arg)
{
	size_t copied = 0;
	unsigned n_data;
	const struct iovec *list = hba_task_data(t, &n_data);

	for (unsigned i = 0; i < n_data && copied < bytes; i++) {
		size_t n;

		if (at >= list[i].iov_len) {
			at -= list[i].iov_len;
			continue;
		}
		n = list[i].iov_len - at < bytes - copied ? list[i].iov_len - at : bytes - copied;
		each((uint8_t *)list[i].iov_base + at, copied, n, arg);
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
