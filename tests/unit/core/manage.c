/* SPDX-License-Identifier: MIT */
/* tmf.c: task management functions of clients, and cancelling. */
#include "rig.h"

#include <errno.h>
#include <string.h>

enum { BUSY_BUDGET = 8, MAX_ENDS = 32, DEFAULT_MS = 10 * 1000, TURN_MS = 2 };

/** struct ends - In which order things ended: tasks and requests. */
struct ends {
	char order[MAX_ENDS + 1];
	unsigned n;
};

struct request {
	struct hba_management m;
	struct ends *ends;
	enum hba_service_response response;
	unsigned done;
};

struct client {
	struct test_io io;
	struct ends *ends;
};

struct bench {
	struct rig r;
	struct hba_lun *lun, *other;
	struct ends ends;
};

static void two_units(struct hba_report *report)
{
	report->highest_lun = 3;
}

static void up_with(struct bench *b, void (*report)(struct hba_report *report))
{
	memset(b, 0, sizeof(*b));
	rig_init(&b->r);
	b->r.report = report;
	b->r.d->targets[0].luns = 2;
	rig_up(&b->r);
	b->lun = hba_lun_find(b->r.c, 0, 0);
	b->other = hba_lun_find(b->r.c, 0, 1);
	b->r.d->hold = true;
}

static void up(struct bench *b)
{
	up_with(b, two_units);
}

static void write_down(struct ends *ends, char what)
{
	if (ends->n < MAX_ENDS)
		ends->order[ends->n++] = what;
}

static void answered(struct hba_management *m, enum hba_service_response response)
{
	struct request *q = container_of(m, struct request, m);

	q->response = response;
	q->done++;
	write_down(q->ends, 'R');
}

static void task_done(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct client *client = arg;

	write_down(client->ends, 't');
	test_done(t, r, &client->io);
}

static struct hba_task *send(struct bench *b, struct client *client, struct hba_lun *lun)
{
	struct hba_task *t = test_get(lun);

	client->ends = &b->ends;
	client->io.put = true;
	test_fill_ready(t);
	t->timeout_ms = 0;
	assert_int_equal(hba_submit(t, task_done, client), 0);
	return t;
}

static void ask(struct bench *b, struct request *q, enum hba_tmf function, struct hba_task *victim)
{
	*q = (struct request) {
		.m = { .function = function, .lun = b->lun, .victim = victim, .done = answered },
		.ends = &b->ends
	};
	assert_int_equal(hba_manage(&q->m), 0);
	assert_int_equal(q->done, 0); /* never from inside the call */
}

static void each_function_reaches_the_driver(void **state)
{
	struct client client = { 0 };
	struct request q;
	struct hba_task *t;
	struct bench b;

	(void)state;
	for (enum hba_tmf f = HBA_ABORT_TASK; f <= HBA_TARGET_RESET; f++) {
		up(&b);
		memset(&client, 0, sizeof(client));
		b.r.d->tmf[HBA_CLEAR_ACA] = TEST_WORKS;
		t = send(&b, &client, b.lun);
		test_turns(b.r.c, 1);
		ask(&b, &q, f, f == HBA_ABORT_TASK ? t : NULL);
		test_turns(b.r.c, 3);
		assert_int_equal(b.r.d->n_functions, 1);
		assert_int_equal(b.r.d->functions[0], f);
		assert_int_equal(q.done, 1);
		assert_int_equal(q.response, HBA_FUNCTION_COMPLETE);
		assert_int_equal(client.io.done, 1);
		assert_int_equal(client.io.last.outcome, HBA_TASK_ABORTED);
		assert_string_equal(b.ends.order, "tR"); /* its victims' dones have run */
		assert_int_equal(b.r.c->queues[0]->with_driver, 0);
		test_no_violation(b.r.c);
		rig_down(&b.r);
	}
}

/* Also where one turn does not deliver all of them. */
static void victims_come_first_on_a_small_budget(void **state)
{
	struct client client = { 0 };
	struct request q;
	struct bench b;

	(void)state;
	up(&b);
	for (unsigned i = 0; i < 5; i++)
		send(&b, &client, b.lun);
	test_turns(b.r.c, 1);
	ask(&b, &q, HBA_ABORT_TASK_SET, NULL);
	/* So long apart that the loop sees to management in each turn. */
	for (unsigned i = 0; i < 20 && !q.done; i++) {
		test_advance(b.r.d, TURN_MS);
		assert_true(hba_controller_run(b.r.c, 1) >= 0);
	}
	assert_string_equal(b.ends.order, "tttttR");
	rig_down(&b.r);
}

static void many_tasks(struct hba_report *report)
{
	two_units(report);
	report->max_tasks = 4 * BUSY_BUDGET;
}

/** struct busy - A client that never lets up: each task is sent again from its done. */
struct busy {
	unsigned dones;
	bool enough;
};

static void again(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct busy *busy = arg;

	(void)r;
	busy->dones++;
	if (busy->enough || hba_submit(t, again, busy) < 0)
		hba_task_put(t);
}

/*
 * Everything ends inside process_task and is sent again at once, so that each turn leaves some done
 * owed.
 */
static void up_busy(struct bench *b, struct busy *busy)
{
	up_with(b, many_tasks);
	b->r.d->hold = false;
	for (unsigned i = 0; i < 4 * BUSY_BUDGET; i++) {
		struct hba_task *t = test_get(b->lun);

		test_fill_ready(t);
		assert_int_equal(hba_submit(t, again, busy), 0);
	}
	assert_int_equal(hba_controller_run(b->r.c, BUSY_BUDGET), BUSY_BUDGET);
	assert_true(queues_owe(b->r.c));
}

static void answered_under_load(struct bench *b, const struct request *q)
{
	for (unsigned i = 0; i < 20 && !q->done; i++) {
		test_advance(b->r.d, 1); /* what is no I/O has its turn once a millisecond */
		assert_int_equal(hba_controller_run(b->r.c, BUSY_BUDGET), BUSY_BUDGET);
		assert_true(queues_owe(b->r.c));
	}
	assert_int_equal(q->done, 1);
}

static void a_busy_client_starves_nobody(void **state)
{
	struct busy busy = { 0 };
	struct request q;
	struct bench b;

	(void)state;
	up_busy(&b, &busy);
	ask(&b, &q, HBA_LOGICAL_UNIT_RESET, NULL);
	answered_under_load(&b, &q);
	assert_int_equal(q.response, HBA_FUNCTION_COMPLETE);
	/* those that were owed when it was asked for came first */
	assert_true(busy.dones >= 4 * BUSY_BUDGET);
	/* One that is decided without the driver. */
	b.r.c->report.tmfs = 0;
	ask(&b, &q, HBA_LOGICAL_UNIT_RESET, NULL);
	answered_under_load(&b, &q);
	assert_int_equal(q.response, HBA_FUNCTION_REJECTED);
	busy.enough = true;
	test_turns(b.r.c, 20);
	rig_down(&b.r);
}

/* The tmf task says whom it is about. */
static void looks_at_the_frame(struct test_driver *d, enum test_op op, struct hba_controller *c,
			       struct hba_task *t)
{
	struct rig *r = d->of_test;

	(void)c;
	if (op != TEST_MANAGE)
		return;
	r->stages = t->tag;
	r->wrong += t->kind != HBA_TASK_TMF || t->target != 0 || t->lun.bytes[1] != 0;
	if (d->functions[d->n_functions ? d->n_functions - 1 : 0] == HBA_ABORT_TASK &&
	    t->data.victim)
		r->wrong += t->data.victim->tag != t->tag;
}

static void victim_and_tag_are_told(void **state)
{
	struct client client = { 0 };
	struct request q;
	struct hba_task *t;
	struct bench b;

	(void)state;
	up(&b);
	b.r.d->inside = looks_at_the_frame;
	t = send(&b, &client, b.lun);
	test_turns(b.r.c, 1);
	ask(&b, &q, HBA_ABORT_TASK, t);
	uint64_t tag = t->tag;
	test_turns(b.r.c, 2);
	assert_true(tag != HBA_UNTAGGED);
	assert_int_equal(b.r.stages, tag);
	rig_down(&b.r);
}

/* Only the tasks that are out, and only where the function reaches. */
static void only_those_concerned_end(void **state)
{
	struct client same = { 0 }, other = { 0 };
	struct request q;
	struct bench b;

	(void)state;
	up(&b);
	for (unsigned i = 0; i < 3; i++) {
		send(&b, &same, b.lun);
		send(&b, &other, b.other);
	}
	test_turns(b.r.c, 1);
	ask(&b, &q, HBA_LOGICAL_UNIT_RESET, NULL);
	test_turns(b.r.c, 3);
	assert_int_equal(q.response, HBA_FUNCTION_COMPLETE);
	assert_int_equal(same.io.done, 3);
	assert_int_equal(other.io.done, 0);
	ask(&b, &q, HBA_TARGET_RESET, NULL);
	test_turns(b.r.c, 3);
	assert_int_equal(other.io.done, 3);
	assert_string_equal(b.ends.order, "tttRtttR");
	rig_down(&b.r);
}

static void one_at_a_time(void **state)
{
	struct request q[4];
	struct bench b;

	(void)state;
	up(&b);
	b.r.d->tmf[HBA_LOGICAL_UNIT_RESET] = TEST_SILENT;
	for (unsigned i = 0; i < 4; i++)
		ask(&b, &q[i], HBA_LOGICAL_UNIT_RESET, NULL);
	for (unsigned i = 0; i < 4; i++) {
		test_turns(b.r.c, 3);
		assert_int_equal(b.r.d->n_functions, i + 1);
		assert_int_equal(q[i].done, 0);
		AS_DRIVER(b.r.c, hba_tmf_complete(b.r.d->silent_tmf, HBA_FUNCTION_COMPLETE));
		test_turns(b.r.c, 2);
		assert_int_equal(q[i].done, 1);
	}
	test_no_violation(b.r.c);
	rig_down(&b.r);
}

/* Waiting its turn counts; and a late answer is nobody's, but brings the frame back. */
static void deadlines(void **state)
{
	struct request first, second, third;
	struct bench b;

	(void)state;
	up(&b);
	b.r.d->tmf[HBA_LOGICAL_UNIT_RESET] = TEST_SILENT;
	ask(&b, &first, HBA_LOGICAL_UNIT_RESET, NULL);
	second = (struct request) { .m = { .function = HBA_TARGET_RESET,
					   .lun = b.lun,
					   .timeout_ms = 2000,
					   .done = answered },
				    .ends = &b.ends };
	assert_int_equal(hba_manage(&second.m), 0);
	test_turns(b.r.c, 2);
	test_advance(b.r.d, 1999);
	test_turns(b.r.c, 2);
	assert_int_equal(second.done, 0);
	test_advance(b.r.d, 1);
	test_turns(b.r.c, 2);
	assert_int_equal(second.done, 1);
	assert_int_equal(second.response, HBA_DELIVERY_FAILURE);
	assert_int_equal(first.done, 0);
	test_advance(b.r.d, DEFAULT_MS - 2000);
	test_turns(b.r.c, 2);
	assert_int_equal(first.done, 1);
	assert_int_equal(first.response, HBA_DELIVERY_FAILURE);
	ask(&b, &third, HBA_TARGET_RESET, NULL);
	test_turns(b.r.c, 5);
	assert_int_equal(b.r.d->n_functions, 1); /* the frame is out still */
	AS_DRIVER(b.r.c, hba_tmf_complete(b.r.d->silent_tmf, HBA_FUNCTION_COMPLETE));
	test_turns(b.r.c, 3);
	assert_int_equal(first.done, 1);
	assert_int_equal(third.done, 1);
	assert_int_equal(third.response, HBA_FUNCTION_COMPLETE);
	rig_down(&b.r);
}

static void abort_only(struct hba_report *report)
{
	report->tmfs = HBA_TMF_BIT(HBA_ABORT_TASK);
}

static void what_the_driver_lacks_is_rejected(void **state)
{
	struct request q;
	struct bench b;

	(void)state;
	for (unsigned how = 0; how < 2; how++) {
		memset(&b, 0, sizeof(b));
		rig_init(&b.r);
		if (how == 0)
			b.r.report = abort_only;
		else
			b.r.d->table.manage = NULL;
		rig_up(&b.r);
		b.lun = hba_lun_find(b.r.c, 0, 0);
		ask(&b, &q, HBA_TARGET_RESET, NULL);
		test_turns(b.r.c, 1);
		assert_int_equal(q.done, 1);
		assert_int_equal(q.response, HBA_FUNCTION_REJECTED);
		assert_int_equal(b.r.d->n_functions, 0);
		rig_down(&b.r);
	}
}

static void rejected_by_the_target(void **state)
{
	struct client client = { 0 };
	struct request q;
	struct bench b;

	(void)state;
	up(&b);
	b.r.d->tmf[HBA_ABORT_TASK_SET] = TEST_REJECTS;
	send(&b, &client, b.lun);
	test_turns(b.r.c, 1);
	ask(&b, &q, HBA_ABORT_TASK_SET, NULL);
	test_turns(b.r.c, 3);
	assert_int_equal(q.response, HBA_FUNCTION_REJECTED);
	assert_int_equal(client.io.done, 0);
	b.r.d->release = 1;
	test_wait(b.r.c, &client.io, 1);
	assert_int_equal(client.io.last.outcome, HBA_GOOD);
	test_no_violation(b.r.c);
	rig_down(&b.r);
}

static void victims_left_over_are_a_violation(void **state)
{
	struct client client = { 0 };
	struct request q;
	struct bench b;

	(void)state;
	up(&b);
	b.r.d->tmf[HBA_CLEAR_TASK_SET] = TEST_CLAIMS;
	send(&b, &client, b.lun);
	send(&b, &client, b.lun);
	test_turns(b.r.c, 1);
	ask(&b, &q, HBA_CLEAR_TASK_SET, NULL);
	test_turns(b.r.c, 3);
	assert_int_equal(q.response, HBA_DELIVERY_FAILURE);
	test_violation(
		b.r.c,
		"driver test, manage: hba_tmf_complete with a complete function, of whose tasks "
		"2 have not been "
		"completed");
	b.r.d->release = 2;
	test_wait(b.r.c, &client.io, 2);
	rig_down(&b.r);
}

/* A reset is out; then a command is sent, and somebody wants it gone while the driver has both. */
static void sent_after_the_reset(struct bench *b, struct request *q, struct client *client,
				 uint32_t timeout_ms)
{
	struct hba_task *t;

	up(b);
	b->r.d->tmf[HBA_LOGICAL_UNIT_RESET] = TEST_SILENT;
	ask(b, q, HBA_LOGICAL_UNIT_RESET, NULL);
	test_turns(b->r.c, 2);
	assert_non_null(b->r.d->silent_tmf);
	t = send(b, client, b->lun);
	t->timeout_ms = timeout_ms;
	test_turns(b->r.c, 2);
	assert_int_equal(b->r.d->n_held, 1);
	if (timeout_ms)
		test_advance(b->r.d, timeout_ms + 1);
	else
		hba_cancel(t);
	test_turns(b->r.c, 2);
}

/* That is no reason to accuse the driver: it is none of those that the reset was to end. */
static void who_came_later_is_no_victim(void **state)
{
	static const uint32_t timeouts[] = { 0, 100 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(timeouts); i++) {
		struct client client = { 0 };
		struct request q;
		struct bench b;

		sent_after_the_reset(&b, &q, &client, timeouts[i]);
		AS_DRIVER(b.r.c, hba_tmf_complete(b.r.d->silent_tmf, HBA_FUNCTION_COMPLETE));
		test_turns(b.r.c, 3);
		assert_int_equal(q.done, 1);
		assert_int_equal(q.response, HBA_FUNCTION_COMPLETE);
		test_no_violation(b.r.c);
		test_wait(b.r.c, &client.io, 1); /* by the abort, which has waited for the frame */
		rig_down(&b.r);
	}
}

static void an_answer_that_is_none(void **state)
{
	struct request q;
	struct hba_event e;
	struct bench b;

	(void)state;
	up(&b);
	b.r.d->tmf[HBA_CLEAR_ACA] = TEST_SILENT;
	ask(&b, &q, HBA_CLEAR_ACA, NULL);
	test_turns(b.r.c, 2);
	AS_DRIVER(b.r.c, hba_tmf_complete(b.r.d->silent_tmf, HBA_IN_PROCESS));
	test_turns(b.r.c, 2);
	assert_int_equal(q.response, HBA_DELIVERY_FAILURE);
	assert_true(test_event(b.r.c, HBA_EVENT_VIOLATION, &e));
	/* Twice. */
	AS_DRIVER(b.r.c, hba_tmf_complete(b.r.d->silent_tmf, HBA_FUNCTION_COMPLETE));
	assert_true(test_event(b.r.c, HBA_EVENT_VIOLATION, &e));
	assert_int_equal(q.done, 1);
	rig_down(&b.r);
}

static void an_unsent_victim_never_goes(void **state)
{
	struct client out = { 0 }, unsent = { 0 };
	struct request q;
	struct hba_task *t;
	struct bench b;

	(void)state;
	up(&b);
	b.lun->limit = 1;
	send(&b, &out, b.lun);
	t = send(&b, &unsent, b.lun);
	test_turns(b.r.c, 2);
	assert_int_equal(b.r.d->n_held, 1);
	ask(&b, &q, HBA_ABORT_TASK, t);
	test_turns(b.r.c, 2);
	assert_int_equal(q.response, HBA_FUNCTION_COMPLETE);
	assert_int_equal(unsent.io.done, 1);
	assert_int_equal(unsent.io.last.outcome, HBA_NOT_DELIVERED);
	assert_int_equal(unsent.io.last.sent, HBA_SENT_NO);
	assert_string_equal(b.ends.order, "tR");
	assert_int_equal(b.r.d->n_functions, 0);
	b.r.d->release = 1;
	test_wait(b.r.c, &out.io, 1);
	assert_int_equal(rig_clients(&b.r), 1);
	rig_down(&b.r);
}

/*
 * Asked for while it was out; when the function has its turn, it is not: its memory may be another
 * command's by then.
 */
static void a_victim_that_comes_back_first(void **state)
{
	struct client out = { 0 };
	struct request q;
	struct hba_task *t;
	struct bench b;

	(void)state;
	up(&b);
	t = send(&b, &out, b.lun);
	test_turns(b.r.c, 2);
	ask(&b, &q, HBA_ABORT_TASK, t);
	b.r.d->release = 1;
	test_turns(b.r.c, 3);
	assert_int_equal(out.io.last.outcome, HBA_GOOD);
	assert_int_equal(q.response, HBA_FUNCTION_COMPLETE);
	assert_string_equal(b.ends.order, "tR");
	assert_int_equal(b.r.d->n_functions, 0);
	test_no_violation(b.r.c);
	rig_down(&b.r);
}

static void wrong_requests_are_refused(void **state)
{
	struct client client = { 0 };
	struct request q = { .m = { .done = answered } };
	struct hba_task *t;
	struct bench b;

	(void)state;
	up(&b);
	t = test_get(b.lun);
	assert_int_equal(hba_manage(&q.m), -EINVAL); /* no unit */
	q.m.lun = b.lun;
	q.m.function = (enum hba_tmf)6;
	assert_int_equal(hba_manage(&q.m), -EINVAL);
	q.m.function = HBA_ABORT_TASK;
	assert_int_equal(hba_manage(&q.m), -EINVAL); /* no victim */
	q.m.victim = t;
	assert_int_equal(hba_manage(&q.m), -EINVAL); /* not out */
	hba_task_put(t);
	assert_int_equal(hba_manage(&q.m), -EINVAL);
	q.m.victim = send(&b, &client, b.other);
	test_turns(b.r.c, 1);
	assert_int_equal(hba_manage(&q.m), -EINVAL); /* of another unit */
	q.m.function = HBA_LOGICAL_UNIT_RESET;
	assert_int_equal(hba_manage(&q.m), -EINVAL); /* has no victim */
	q.m.victim = NULL;
	q.m.done = NULL;
	assert_int_equal(hba_manage(&q.m), -EINVAL);
	b.r.d->release = 1;
	test_wait(b.r.c, &client.io, 1);
	rig_down(&b.r);
}

/* ---- cancelling */

static void cancel(void **state)
{
	struct client sent = { 0 }, unsent = { 0 };
	struct hba_task *t, *u;
	struct bench b;

	(void)state;
	up(&b);
	b.lun->limit = 1;
	t = send(&b, &sent, b.lun);
	u = send(&b, &unsent, b.lun);
	test_turns(b.r.c, 1);
	hba_cancel(u);
	test_turns(b.r.c, 1);
	assert_int_equal(unsent.io.done, 1);
	assert_int_equal(unsent.io.last.outcome, HBA_NOT_DELIVERED);
	assert_int_equal(unsent.io.last.sent, HBA_SENT_NO);
	hba_cancel(t);
	hba_cancel(t);
	test_wait(b.r.c, &sent.io, 1);
	assert_int_equal(b.r.d->n_functions, 1);
	assert_int_equal(b.r.d->functions[0], HBA_ABORT_TASK);
	assert_int_equal(sent.io.last.outcome, HBA_TASK_ABORTED);
	rig_down(&b.r);
}

static void cancel_one_that_is_out(struct bench *b, struct client *client, struct hba_event *e)
{
	struct hba_task *t = send(b, client, b->lun);

	t->timeout_ms = 10000;
	test_turns(b->r.c, 1);
	hba_cancel(t);
	test_wait(b->r.c, &client->io, 1);
	test_turns(b->r.c, 2);
	assert_true(test_event(b->r.c, HBA_EVENT_RECOVERY, e));
	assert_string_equal(e->text, "TEST UNIT READY of 0:0 (unique id 4) was cancelled while it "
				     "was with the driver; abort task is next, "
				     "and has 10 s");
	assert_true(test_event(b->r.c, HBA_EVENT_RECOVERY, e));
}

/* Its time was not over, so no event says so. */
static void a_cancel_is_told_as_one(void **state)
{
	struct client client = { 0 };
	struct hba_event e;
	struct bench b;

	(void)state;
	up(&b);
	cancel_one_that_is_out(&b, &client, &e);
	assert_string_equal(e.text, "abort task: the cancelled TEST UNIT READY of 0:0 came back "
				    "after 0 ms; recovery took 0 ms");
	assert_int_equal(client.io.last.outcome, HBA_TASK_ABORTED);
	rig_down(&b.r);
	/* Up the whole ladder, to where the core ends it itself. */
	memset(&client, 0, sizeof(client));
	up(&b);
	for (unsigned i = 0; i < ARRAY_SIZE(b.r.d->tmf); i++)
		b.r.d->tmf[i] = TEST_REJECTS;
	b.r.d->bus_reset = TEST_REJECTS;
	cancel_one_that_is_out(&b, &client, &e);
	assert_string_equal(e.text, "abort task: the cancelled TEST UNIT READY of 0:0 did not come "
				    "back within 0 ms; logical unit reset is "
				    "next, and has 10 s");
	assert_int_equal(client.io.last.outcome, HBA_NOT_DELIVERED);
	assert_int_equal(client.io.last.sent, HBA_SENT_MAYBE);
	rig_down(&b.r);
}

/* Whoever of the unsent is taken out, the others go in their order. */
static void cancel_any_of_the_unsent(void **state)
{
	struct client client = { 0 };
	struct hba_task *t[6];
	struct bench b;

	(void)state;
	for (unsigned which = 1; which < 6; which++) {
		uint64_t left[6];
		unsigned n = 0;

		up(&b);
		memset(&client, 0, sizeof(client));
		b.lun->limit = 1;
		for (unsigned i = 0; i < 6; i++)
			t[i] = send(&b, &client, b.lun);
		test_turns(b.r.c, 1);
		for (unsigned i = 0; i < 6; i++)
			if (i != which)
				left[n++] = t[i]->tag;
		hba_cancel(t[which]);
		send(&b, &client, b.lun);
		b.r.d->hold = false;
		b.r.d->release = 1;
		test_wait(b.r.c, &client.io, 7);
		assert_int_equal(rig_clients(&b.r), 6);
		for (unsigned i = 0; i < n; i++)
			assert_int_equal(b.r.log[i].tag, left[i]);
		rig_down(&b.r);
	}
}

/* Requests with the driver, waiting, and decided: each gets its answer, after all tasks. */
static void stop_with_requests_waiting(void **state)
{
	struct client client = { 0 };
	struct request q[3];
	struct bench b;

	(void)state;
	up(&b);
	b.r.d->tmf[HBA_ABORT_TASK_SET] = TEST_SILENT;
	send(&b, &client, b.lun);
	test_turns(b.r.c, 1);
	for (unsigned i = 0; i < 3; i++)
		ask(&b, &q[i], HBA_ABORT_TASK_SET, NULL);
	test_turns(b.r.c, 2);
	b.r.d->tick = 100 * TEST_MS;
	assert_int_equal(hba_controller_stop(b.r.c), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(q[i].done, 1);
		assert_int_equal(q[i].response, HBA_DELIVERY_FAILURE);
	}
	assert_int_equal(client.io.done, 1);
	assert_int_equal(hba_manage(&q[0].m), -ENODEV);
	rig_down(&b.r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_function_reaches_the_driver),
		cmocka_unit_test(victims_come_first_on_a_small_budget),
		cmocka_unit_test(a_busy_client_starves_nobody),
		cmocka_unit_test(victim_and_tag_are_told),
		cmocka_unit_test(only_those_concerned_end),
		cmocka_unit_test(one_at_a_time),
		cmocka_unit_test(deadlines),
		cmocka_unit_test(what_the_driver_lacks_is_rejected),
		cmocka_unit_test(rejected_by_the_target),
		cmocka_unit_test(victims_left_over_are_a_violation),
		cmocka_unit_test(who_came_later_is_no_victim),
		cmocka_unit_test(an_answer_that_is_none),
		cmocka_unit_test(an_unsent_victim_never_goes),
		cmocka_unit_test(a_victim_that_comes_back_first),
		cmocka_unit_test(wrong_requests_are_refused),
		cmocka_unit_test(cancel),
		cmocka_unit_test(a_cancel_is_told_as_one),
		cmocka_unit_test(cancel_any_of_the_unsent),
		cmocka_unit_test(stop_with_requests_waiting),
	};

	return cmocka_run_group_tests_name("core: manage", tests, NULL, NULL);
}
