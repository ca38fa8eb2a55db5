/* SPDX-License-Identifier: MIT */
/*
 * submit.c: a task's way down and up again: admission, batches, order, turns, what is handed back,
 * and what is refused.
 */
#include "core/controller/controller.h"
#include "scsi/scsi.h"

#include "lib/test-driver.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 100, UNITS = 3 };

static void many_tasks(struct hba_report *r)
{
	r->max_tasks = MANY;
}

static struct hba_controller *up(struct test_driver **ret_d, unsigned units)
{
	struct test_driver *d = test_driver_new();

	d->report = many_tasks;
	d->targets[0].luns = units;
	*ret_d = d;
	return test_up(d);
}

static void send(struct hba_lun *lun, struct test_io *io, unsigned n)
{
	while (n--) {
		struct hba_task *t = test_get(lun);

		test_fill_ready(t);
		assert_int_equal(hba_submit(t, test_done, io), 0);
	}
}

/* ---- a chip that is full */

static bool full(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	const enum hba_scope *scope = d->of_test;

	(void)q;
	if (t->lun.bytes[1] != 0 && *scope == HBA_SCOPE_LUN)
		return false;
	hba_requeue(t, *scope);
	return true;
}

static void ready_again(struct test_driver *d, struct hba_controller *c, enum hba_scope scope)
{
	static const struct hba_lun_id lun_0;
	struct hba_target *tgt = target_find(c, 0);

	d->process = NULL;
	hba_ready(c->queues[0], scope == HBA_SCOPE_QUEUE ? NULL : tgt,
		  scope == HBA_SCOPE_LUN ? &lun_0 : NULL);
}

/* ---- batches, order, turns */

/* There is a task, and it may not go. */
static void no_kick_while_held(struct test_driver *d, struct hba_controller *c)
{
	enum hba_scope scope = HBA_SCOPE_QUEUE;
	struct test_io io = { .put = true };

	d->of_test = &scope;
	d->process = full;
	send(hba_lun_find(c, 0, 0), &io, 1);
	test_turns(c, 1);
	d->n_order = 0;
	test_turns(c, 3);
	assert_int_equal(d->n_order, 0);
	ready_again(d, c, scope);
	test_wait(c, &io, 1);
	assert_int_equal(d->n_order, 2);
	assert_memory_equal(d->order, "PK", 2);
}

static void batches(void **state)
{
	struct test_driver *d;
	struct hba_controller *c = up(&d, 1);
	struct test_io io = { .put = true };
	char want[MANY + 4];

	(void)state;
	d->n_order = 0;
	send(hba_lun_find(c, 0, 0), &io, MANY);
	test_turns(c, 1);
	memset(want, 'P', sizeof(want));
	want[32] = want[65] = want[98] = want[MANY + 3] = 'K';
	assert_int_equal(d->n_order, MANY + 4);
	assert_memory_equal(d->order, want, MANY + 4);
	test_wait(c, &io, MANY);
	d->n_order = 0;
	test_turns(c, 3);
	assert_int_equal(d->n_order, 0); /* no kick without a task */
	no_kick_while_held(d, c);
	test_down(d, c);
}

static void order_per_unit(void **state)
{
	struct test_driver *d;
	struct hba_controller *c = up(&d, 1);
	struct hba_task *t[MANY];
	struct test_io io = { .put = true };

	(void)state;
	d->hold = true;
	for (unsigned i = 0; i < MANY; i++) {
		t[i] = test_get(hba_lun_find(c, 0, 0));
		test_fill_ready(t[i]);
	}
	for (unsigned i = MANY; i-- > 0;) /* not the order of slots */
		assert_int_equal(hba_submit(t[i], test_done, &io), 0);
	test_turns(c, 1);
	assert_int_equal(d->n_held, MANY);
	for (unsigned i = 0; i < MANY; i++)
		assert_ptr_equal(d->held[i], t[MANY - 1 - i]);
	d->release = MANY;
	test_wait(c, &io, MANY);
	test_down(d, c);
}

static void units_in_turn(void **state)
{
	struct test_driver *d;
	struct hba_controller *c = up(&d, UNITS);
	struct test_io io = { .put = true };

	(void)state;
	d->hold = true;
	send(hba_lun_find(c, 0, 0), &io, 30); /* the greedy one is first */
	send(hba_lun_find(c, 0, 1), &io, 2);
	send(hba_lun_find(c, 0, 2), &io, 2);
	test_turns(c, 1);
	assert_int_equal(d->n_held, 34);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(d->held[i]->lun.bytes[1], i % UNITS);
	d->release = 34;
	test_wait(c, &io, 34);
	test_down(d, c);
}

/* ---- handed back */

/*
 * One task bounces off; nothing more of that scope is tried, and others go on. In the end all come,
 * in order.
 */
static void handed_back(enum hba_scope scope, bool by_deadline)
{
	struct test_driver *d;
	struct hba_controller *c = up(&d, 2);
	struct test_io a = { .put = true }, b = { .put = true };

	d->of_test = &scope;
	d->process = full;
	d->calls[TEST_PROCESS] = 0;
	send(hba_lun_find(c, 0, 0), &a, 3);
	send(hba_lun_find(c, 0, 1), &b, 2);
	test_turns(c, 20);
	test_advance(d, 999);
	test_turns(c, 20);
	assert_int_equal(a.done, 0);
	assert_int_equal(b.done, scope == HBA_SCOPE_LUN ? 2 : 0);
	assert_int_equal(d->calls[TEST_PROCESS], scope == HBA_SCOPE_LUN ? 3 : 1);
	assert_int_equal(c->queues[0]->with_driver, 0);
	if (by_deadline) {
		d->process = NULL;
		test_advance(d, 1);
	} else {
		ready_again(d, c, scope);
	}
	test_wait(c, &a, 3);
	test_wait(c, &b, 2);
	assert_int_equal(a.last.outcome, HBA_GOOD);
	test_no_violation(c);
	test_down(d, c);
}

static void requeue(void **state)
{
	(void)state;
	for (int scope = HBA_SCOPE_QUEUE; scope <= HBA_SCOPE_LUN; scope++) {
		handed_back((enum hba_scope)scope, false);
		handed_back((enum hba_scope)scope, true);
	}
}

static void requeue_tmf(struct test_driver *d, enum test_op op, struct hba_controller *c,
			struct hba_task *t)
{
	(void)d;
	(void)c;
	if (op == TEST_MANAGE)
		hba_requeue(t, HBA_SCOPE_QUEUE);
}

static void requeue_of_a_tmf(void **state)
{
	struct test_driver *d;
	struct hba_controller *c = up(&d, 1);
	struct test_io io = { .put = true };

	(void)state;
	d->hold = true;
	d->inside = requeue_tmf;
	send(hba_lun_find(c, 0, 0), &io, 1);
	test_turns(c, 2);
	test_advance(d, 30001);
	test_wait(c, &io, 1);
	test_violation(c, "driver test, manage: hba_requeue of a task management task; its end is "
			  "hba_tmf_complete");
	assert_int_equal(d->n_functions, 1);
	test_down(d, c);
}

/* ---- waiting for a task */

struct waiting {
	struct hba_waiter w;
	unsigned *served;
	unsigned when; /* 1 = the first */
	struct hba_task *task;
	struct waiting *cancels;
	int cancelled;
};

static void served(struct hba_waiter *w, struct hba_task *t)
{
	struct waiting *waiting = container_of(w, struct waiting, w);

	waiting->when = ++*waiting->served;
	waiting->task = t;
	if (waiting->cancels)
		waiting->cancelled = hba_waiter_cancel(&waiting->cancels->w);
}

static void waiters(void **state)
{
	struct test_driver *d;
	struct hba_controller *c = up(&d, 1);
	struct hba_lun *lun = hba_lun_find(c, 0, 0);
	struct hba_task *t[MANY], *none = NULL;
	unsigned n = 0;
	struct waiting w[4] = { 0 };

	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		t[i] = test_get(lun);
	for (unsigned i = 0; i < 4; i++) {
		w[i] = (struct waiting) { .w.ready = served, .served = &n };
		assert_int_equal(hba_task_get(lun, 0, &w[i].w, &none), 1);
	}
	assert_int_equal(hba_task_get(lun, 0, NULL, &none), 1);
	assert_null(none);
	assert_int_equal(hba_waiter_cancel(&w[1].w), 0);
	assert_int_equal(hba_waiter_cancel(&w[1].w), -ENOENT);
	assert_string_equal(hba_error(),
			    "the waiter does not wait: its `ready` has run, or it was never given");
	test_turns(c, 2);
	assert_int_equal(n, 0);
	hba_task_put(t[0]);
	/* Who comes now does not overtake those who wait. */
	assert_int_equal(hba_task_get(lun, 0, NULL, &none), 1);
	test_turns(c, 1);
	assert_int_equal(w[0].when, 1);
	assert_non_null(w[0].task);
	assert_int_equal(hba_waiter_cancel(&w[0].w), -ENOENT);
	hba_task_put(t[1]);
	hba_task_put(w[0].task);
	test_turns(c, 1);
	assert_int_equal(w[2].when, 2);
	assert_int_equal(w[3].when, 3);
	assert_int_equal(w[1].when, 0);
	test_down(d, c);
}

/*
 * At the end each is told that none will come; one of them lets go of the others when it hears it.
 */
static void waiters_at_stop(void **state)
{
	struct test_driver *d;
	struct hba_controller *c = up(&d, UNITS);
	struct hba_task *none = NULL;
	struct waiting w[UNITS] = { 0 };
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		test_get(hba_lun_find(c, 0, 0));
	for (unsigned i = 0; i < UNITS; i++) {
		w[i] = (struct waiting) { .w.ready = served, .served = &n };
		assert_int_equal(hba_task_get(hba_lun_find(c, 0, i), 0, &w[i].w, &none), 1);
	}
	w[0].cancels = &w[1];
	assert_int_equal(hba_controller_stop(c), 0);
	assert_int_equal(w[0].when, 1);
	assert_int_equal(w[0].cancelled, 0);
	assert_int_equal(w[1].when, 0);
	assert_int_equal(w[2].when, 2);
	for (unsigned i = 0; i < UNITS; i++)
		assert_null(w[i].task);
	test_down(d, c);
}

/* ---- data */

static bool count_items(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	unsigned *items = d->of_test, n = 0;
	const struct iovec *iov = hba_task_data(t, &n);

	(void)q;
	assert_int_equal(t->mode, HBA_DATA_CPU);
	assert_int_equal(t->flags, HBA_TASK_RW);
	assert_non_null(iov);
	assert_int_equal(n, t->n_data);
	*items = n;
	return false;
}

/* Sends what is in `t`; in done, everything the client wrote is as it was. */
static void round_trip(struct hba_controller *c, struct hba_task *t)
{
	struct test_io io = { 0 };
	struct hba_task before = *t;

	assert_int_equal(hba_submit(t, test_done, &io), 0);
	test_wait(c, &io, 1);
	assert_int_equal(io.last.outcome, HBA_GOOD);
	assert_int_equal(io.last.bytes, t->length);
	assert_ptr_equal(io.task, t);
	before.cookie = t->cookie;
	before.flags = t->flags;
	assert_memory_equal(&before, t, sizeof(before));
}

static void data_modes(void **state)
{
	enum { BYTES = 4 * TEST_BLOCK };
	struct test_driver *d;
	struct hba_controller *c = up(&d, 1);
	uint8_t out[BYTES], in[BYTES];
	struct hba_mapping *m = NULL;
	struct hba_task *t = test_get(hba_lun_find(c, 0, 0));
	unsigned items = 0;

	(void)state;
	d->of_test = &items;
	d->process = count_items;
	for (unsigned i = 0; i < BYTES; i++)
		out[i] = (uint8_t)(i * 7 + i / 256);
	test_fill_rw(t, true, 5, 4, out);
	round_trip(c, t);
	assert_int_equal(items, 1);
	assert_memory_equal(d->targets[0].medium + 5 * TEST_BLOCK, out, BYTES);

	/* The same back, into pieces of odd lengths. */
	struct iovec iov[] = { { in, 1 }, { in + 1, 1000 }, { in + 1001, BYTES - 1001 } };

	memset(in, 0, BYTES);
	test_fill_rw(t, false, 5, 4, NULL);
	t->data.iov = iov;
	t->n_data = 3;
	round_trip(c, t);
	assert_int_equal(items, 3);
	assert_memory_equal(in, out, BYTES);

	/* And by region. */
	assert_int_equal(hba_mapping_create(c, HBA_DEVICE_BOTH, 2 * BYTES, 0, &m), 0);
	struct hba_piece pieces[] = { { hba_mapping_region(m), TEST_BLOCK, BYTES },
				      { hba_mapping_region(m), 3 * TEST_BLOCK, 8 } };

	test_fill_rw(t, false, 5, 4, NULL);
	t->mode = HBA_DATA_REGION;
	t->data.pieces = pieces;
	t->n_data = 2;
	round_trip(c, t);
	assert_int_equal(items, 2);
	assert_memory_equal((uint8_t *)hba_mapping_address(m) + BYTES, out, TEST_BLOCK);
	assert_memory_equal((uint8_t *)hba_mapping_address(m) + 8, out + TEST_BLOCK,
			    3 * TEST_BLOCK);
	hba_task_put(t);
	assert_int_equal(hba_mapping_release(m), 0);
	test_down(d, c);
}

/* ---- refused */

static void refused(struct hba_task *t, int error, const char *sentence)
{
	struct test_io io = { 0 };

	assert_int_equal(hba_submit(t, test_done, &io), error);
	assert_string_equal(hba_error(), sentence);
	test_turns(hba_lun_controller(task_of(t)->lun), 2);
	assert_int_equal(io.done, 0);
}

static void bad_commands(void **state)
{
	struct test_driver *d;
	struct hba_controller *c = up(&d, 1);
	struct hba_task *t = test_get(hba_lun_find(c, 0, 0));
	uint8_t data[TEST_BLOCK];
	struct test_io io = { 0 };

	(void)state;
	refused(t, -EINVAL, "a CDB has 6, 10, 12, 16 or 32 bytes, not 0");
	t->cdb_len = 32;
	refused(t, -EMSGSIZE, "a CDB of 32 bytes, driver test takes up to 16");
	t->cdb_len = 255;
	refused(t, -EINVAL, "a CDB has 6, 10, 12, 16 or 32 bytes, not 255");
	test_fill_ready(t);
	t->direction = 3;
	refused(t, -EINVAL,
		"direction 3, attribute 0, mode 1: at least one does not exist, or is not a "
		"client's");
	t->direction = HBA_NO_DATA;
	t->attribute = 4;
	refused(t, -EINVAL,
		"direction 0, attribute 4, mode 1: at least one does not exist, or is not a "
		"client's");
	t->attribute = 0;
	t->mode = HBA_DATA_DMA;
	refused(t, -EINVAL,
		"direction 0, attribute 0, mode 0: at least one does not exist, or is not a "
		"client's");
	t->mode = HBA_DATA_CPU;
	t->length = 512;
	refused(t, -EINVAL, "direction 0 contradicts 512 bytes in 0 pieces");
	t->length = 0;
	t->direction = HBA_FROM_TARGET;
	refused(t, -EINVAL, "direction 2 contradicts 0 bytes in 0 pieces");
	test_fill_rw(t, false, 0, 1, data);
	assert_int_equal(hba_submit(t, NULL, NULL), -EINVAL);
	assert_string_equal(hba_error(),
			    "hba_submit: the task is not its client's to send, or has no done");
	/* Whatever was refused is still the client's, and good once it is right. */
	assert_int_equal(hba_submit(t, test_done, &io), 0);
	assert_int_equal(hba_submit(t, test_done, &io), -EINVAL);
	test_wait(c, &io, 1);
	assert_int_equal(io.last.outcome, HBA_GOOD);
	hba_task_put(t);
	assert_int_equal(hba_submit(t, test_done, &io), -EINVAL);
	test_down(d, c);
}

static void bad_lists(void **state)
{
	struct test_driver *d;
	struct hba_controller *c = up(&d, 1);
	struct hba_task *t = test_get(hba_lun_find(c, 0, 0));
	uint8_t data[TEST_BLOCK];
	struct iovec iov[2] = { { data, 100 }, { data, 400 } };

	(void)state;
	test_fill_rw(t, false, 0, 1, NULL);
	refused(t, -EINVAL, "there are 512 bytes to move and no place for them");
	t->n_data = 2;
	refused(t, -EINVAL, "there are 512 bytes to move and no place for them");
	t->data.iov = iov;
	refused(t, -EINVAL, "the pieces of the data add up to 500 bytes, not to 512");
	iov[1].iov_len = 0;
	refused(t, -EINVAL, "piece 1 of the data has a length that cannot be");
	iov[0].iov_len = SIZE_MAX;
	iov[1].iov_len = 513; /* would add up to 512 */
	refused(t, -EINVAL, "piece 1 of the data has a length that cannot be");
	hba_task_put(t);
	test_down(d, c);
}

static void bad_regions(void **state)
{
	struct test_driver *d;
	struct hba_controller *c = up(&d, 1);
	struct hba_task *t = test_get(hba_lun_find(c, 0, 0));
	struct hba_mapping *m = NULL;
	struct hba_piece piece, many[TEST_BLOCK]; /* more than any list may have */
	char sentence[100];
	uint32_t region;

	(void)state;
	assert_int_equal(hba_mapping_create(c, HBA_DEVICE_BOTH, 4096, 0, &m), 0);
	region = hba_mapping_region(m);
	test_fill_rw(t, false, 0, 1, NULL);
	t->mode = HBA_DATA_REGION;
	t->data.pieces = &piece;
	t->n_data = 1;
	piece = (struct hba_piece) { region + 1, 512, 0 };
	snprintf(sentence, sizeof(sentence), "there is no region %u", region + 1);
	refused(t, -EINVAL, sentence);
	piece.region = 0;
	refused(t, -EINVAL, "there is no region 0");
	piece.region = UINT32_MAX;
	refused(t, -EINVAL, "there is no region 4294967295");
	piece = (struct hba_piece) { region, 512, 4096 - 511 };
	snprintf(sentence, sizeof(sentence),
		 "offset 3585, length 512 is outside region %u of 4096 bytes", region);
	refused(t, -EACCES, sentence);
	piece.offset = UINT64_MAX - 255;
	snprintf(sentence, sizeof(sentence),
		 "offset 18446744073709551360, length 512 is outside region %u of 4096 bytes",
		 region);
	refused(t, -EACCES, sentence);
	for (unsigned i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct hba_piece) { region, 1, 0 };
	t->data.pieces = many;
	t->n_data = ARRAY_SIZE(many);
	refused(t, -EMSGSIZE, "512 bytes do not fit the limits of driver test");
	piece = (struct hba_piece) { region, 512, 4096 - 512 };
	t->data.pieces = &piece;
	t->n_data = 1;
	round_trip(c, t);
	assert_int_equal(hba_mapping_release(m), 0);
	snprintf(sentence, sizeof(sentence), "there is no region %u", region);
	refused(t, -EINVAL, sentence); /* its number is never used again */
	hba_task_put(t);
	test_down(d, c);
}

/* ---- again from done */

static void again(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct test_io *io = arg;

	test_done(t, r, io);
	if (io->done < 1000)
		assert_int_equal(hba_submit(t, again, io), 0);
	else
		hba_task_put(t);
}

static void resubmission(void **state)
{
	struct test_driver *d;
	struct hba_controller *c = up(&d, 1);
	struct hba_task *t = test_get(hba_lun_find(c, 0, 0));
	struct test_io io = { 0 };
	uint64_t cookie = t->cookie;

	(void)state;
	test_fill_ready(t);
	assert_int_equal(hba_submit(t, again, &io), 0);
	test_wait(c, &io, 1000);
	assert_int_equal((t->cookie >> 32) - (cookie >> 32), 1000);
	test_down(d, c);
}

/* ---- read-only */

static void read_only(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_options options = { .read_only = true };
	struct hba_controller *c = test_open(d, &options);
	uint8_t data[TEST_BLOCK] = { 1 };
	struct test_io io = { 0 };
	struct scsi_sense sense;
	struct hba_task *t;

	(void)state;
	assert_int_equal(hba_controller_start(c), 0);
	t = test_get(hba_lun_find(c, 0, 0));
	test_fill_rw(t, true, 0, 1, data);
	d->calls[TEST_PROCESS] = 0;
	assert_int_equal(hba_submit(t, test_done, &io), 0);
	test_wait(c, &io, 1);
	assert_int_equal(d->calls[TEST_PROCESS], 0);
	assert_int_equal(io.last.outcome, HBA_CHECK_CONDITION);
	assert_int_equal(io.last.sent, HBA_SENT_NO);
	assert_int_equal(scsi_sense_read(io.sense, io.last.sense_len, &sense), 0);
	assert_int_equal(sense.key, SCSI_DATA_PROTECT);
	assert_int_equal(sense.asc, SCSI_ASC_WRITE_PROTECTED);
	assert_int_equal(t->n_data, 0);
	assert_ptr_equal(t->data.buffer, data);
	test_fill_rw(t, false, 0, 1, data);
	assert_int_equal(hba_submit(t, test_done, &io), 0);
	test_wait(c, &io, 2);
	assert_int_equal(io.last.outcome, HBA_GOOD);
	assert_int_equal(data[0], 0);
	hba_task_put(t);
	test_down(d, c);
}

/* ---- tags */

static void few_tags(struct hba_report *r)
{
	r->max_tasks = MANY;
	r->tag_bits = 3;
}

static void untagged(struct hba_report *r)
{
	r->max_tasks = MANY;
	r->tag_bits = 0;
}

static void tags(void **state)
{
	struct test_driver *d = test_driver_new();
	struct test_io io = { .put = true };
	struct hba_controller *c;
	struct hba_task *none;
	unsigned seen = 0;

	(void)state;
	d->report = few_tags;
	c = test_up(d);
	d->hold = true;
	send(hba_lun_find(c, 0, 0), &io, 5); /* seven, and two of them are the core's own */
	assert_int_equal(hba_task_get(hba_lun_find(c, 0, 0), 0, NULL, &none), 1);
	test_turns(c, 1);
	for (unsigned i = 0; i < 5; i++)
		seen |= 1U << d->held[i]->tag;
	assert_int_equal(seen & 1, 0);
	assert_int_equal(__builtin_popcount(seen), 5);
	assert_true(seen < 1U << 8);
	d->release = 5;
	test_wait(c, &io, 5);
	test_down(d, c);

	d = test_driver_new();
	d->report = untagged;
	c = test_up(d);
	d->hold = true;
	io.done = 0;
	send(hba_lun_find(c, 0, 0), &io, 5);
	for (unsigned i = 0; i < 5; i++) {
		test_turns(c, 2);
		assert_int_equal(d->n_held, 1); /* one at a time */
		assert_int_equal(d->held[0]->tag, HBA_UNTAGGED);
		d->release = 1;
		test_wait(c, &io, i + 1);
	}
	test_down(d, c);
}

/* ---- what the driver is told of a task */

struct seen {
	struct hba_task head;
	unsigned n;
	struct hba_result end; /* how it is completed */
};

static bool see(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	struct seen *seen = d->of_test;

	(void)q;
	seen->head = *t;
	seen->n++;
	hba_complete(t, &seen->end);
	return true;
}

static void fill_odd(struct hba_task *t, enum hba_attribute attribute, uint8_t *data)
{
	test_fill_rw(t, true, 5, 2, data);
	t->attribute = (uint8_t)attribute;
	t->timeout_ms = 4321;
}

static void head_says_what_the_client_asked(void **state)
{
	static const uint8_t cdb[HBA_MAX_CDB] = { 0x2a, 0, 0, 0, 0, 5, 0, 0, 2, 0 };
	static const uint8_t unit_3[sizeof(struct hba_lun_id)] = { 0, 3 };
	struct test_driver *d = test_driver_new();
	struct seen seen = { .end = { .outcome = HBA_GOOD } };
	struct test_io io = { .put = true };
	uint8_t data[2 * TEST_BLOCK] = { 0 };
	struct hba_controller *c;

	(void)state;
	d->targets[2].luns = 4;
	c = test_up(d);
	d->of_test = &seen;
	d->process = see;
	for (enum hba_attribute a = HBA_SIMPLE; a <= HBA_ACA; a++) {
		struct hba_task *t = test_get(hba_lun_find(c, 2, 3));

		fill_odd(t, a, data);
		assert_int_equal(hba_submit(t, test_done, &io), 0);
		test_wait(c, &io, a + 1);
		assert_int_equal(seen.n, a + 1);
		assert_int_equal(seen.head.kind, HBA_TASK_CLIENT);
		assert_int_equal(seen.head.target, 2);
		assert_memory_equal(seen.head.lun.bytes, unit_3, sizeof(unit_3));
		assert_int_equal(seen.head.attribute, a);
		assert_memory_equal(seen.head.cdb, cdb, sizeof(cdb));
		assert_int_equal(seen.head.cdb_len, 10);
		assert_int_equal(seen.head.direction, HBA_TO_TARGET);
		assert_int_equal(seen.head.length, sizeof(data));
		assert_int_equal(seen.head.timeout_ms, 4321);
		assert_int_equal(seen.head.flags, HBA_TASK_RW);
		assert_int_equal(seen.head.negotiate | seen.head.revert | seen.head.reserved, 0);
	}
	d->process = NULL;
	test_down(d, c);
}

/* ---- was it sent? */

/*
 * A block READ, which may be sent again if anything may. How often it was, and what the client
 * heard.
 */
static unsigned read_ending_as(struct hba_result end, struct hba_result *ret_heard)
{
	struct seen seen = { .end = end };
	struct test_io io = { .put = true };
	uint8_t data[TEST_BLOCK];
	struct test_driver *d;
	struct hba_controller *c = up(&d, 1);
	struct hba_task *t = test_get(hba_lun_find(c, 0, 0));

	d->of_test = &seen;
	d->process = see;
	test_fill_rw(t, false, 0, 1, data);
	assert_int_equal(hba_submit(t, test_done, &io), 0);
	for (unsigned i = 0; i < MANY; i++) {
		test_turns(c, 1);
		test_advance(d, 1000);
	}
	assert_int_equal(io.done, 1);
	*ret_heard = io.last;
	d->process = NULL;
	test_down(d, c);
	return seen.n;
}

static void forgotten_sent_is_maybe(void **state)
{
	struct hba_result heard;

	(void)state;
	assert_int_equal(
		read_ending_as((struct hba_result) { .outcome = HBA_NOT_DELIVERED }, &heard), 1);
	assert_int_equal(heard.outcome, HBA_NOT_DELIVERED);
	assert_int_equal(heard.sent, HBA_SENT_MAYBE);
	/* One who says that it was not: again, and again. */
	assert_true(read_ending_as((struct hba_result) { .outcome = HBA_NOT_DELIVERED,
							 .sent = HBA_SENT_NO },
				   &heard) > 1);
	assert_int_equal(heard.sent, HBA_SENT_NO);
	/* The target has answered, so it had the command. */
	assert_int_equal(
		read_ending_as((struct hba_result) { .outcome = HBA_GOOD, .bytes = TEST_BLOCK },
			       &heard),
		1);
	assert_int_equal(heard.sent, HBA_SENT_YES);
}

/* ---- another thread asks */

struct asking {
	struct hba_waiter w;
	struct hba_lun *lun;
	int with_waiter, without;
	struct hba_task *task, *at_once;
	pthread_t heard_on;
	unsigned heard;
};

static void heard(struct hba_waiter *w, struct hba_task *t)
{
	struct asking *a = container_of(w, struct asking, w);

	a->task = t;
	a->heard_on = pthread_self();
	a->heard++;
}

static void *ask(void *arg)
{
	struct asking *a = arg;

	a->without = hba_task_get(a->lun, 0, NULL, &a->at_once);
	a->with_waiter = hba_task_get(a->lun, 0, &a->w, &a->at_once);
	return NULL;
}

static void other_threads_are_answered_later(void **state)
{
	struct test_driver *d;
	struct hba_controller *c = up(&d, 1);
	struct asking a = { .w.ready = heard, .lun = hba_lun_find(c, 0, 0) };
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, ask, &a), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	/* There are free tasks; but they are the loop's to give. */
	assert_int_equal(a.without, 1);
	assert_int_equal(a.with_waiter, 1);
	assert_null(a.at_once);
	assert_int_equal(a.heard, 0);
	test_turns(c, 3);
	assert_int_equal(a.heard, 1);
	assert_true(pthread_equal(a.heard_on, pthread_self()));
	assert_non_null(a.task);
	assert_int_equal(c->clients_out, 1);
	hba_task_put(a.task);
	test_down(d, c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches),
		cmocka_unit_test(order_per_unit),
		cmocka_unit_test(units_in_turn),
		cmocka_unit_test(requeue),
		cmocka_unit_test(requeue_of_a_tmf),
		cmocka_unit_test(waiters),
		cmocka_unit_test(waiters_at_stop),
		cmocka_unit_test(data_modes),
		cmocka_unit_test(bad_commands),
		cmocka_unit_test(bad_lists),
		cmocka_unit_test(bad_regions),
		cmocka_unit_test(resubmission),
		cmocka_unit_test(read_only),
		cmocka_unit_test(tags),
		cmocka_unit_test(head_says_what_the_client_asked),
		cmocka_unit_test(forgotten_sent_is_maybe),
		cmocka_unit_test(other_threads_are_answered_later),
	};

	return cmocka_run_group_tests_name("core: submit", tests, NULL, NULL);
}
