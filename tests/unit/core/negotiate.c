/* SPDX-License-Identifier: MIT */
/*
 * negotiate.c: features of parallel SCSI (docs/contract.md 9.9): what both sides have is attempted
 * on clients' commands until it is agreed.
 */
#include "rig.h"

#include <errno.h>
#include <string.h>

enum {
	FEATURES_BYTE = 56,
	CLOCKING_DT = 3 << 2,
	QAS = 1 << 1,
	IUS = 1 << 0,
	BOTH = (int)HBA_FEATURE_BIT(HBA_QUICK_ARBITRATION) | HBA_FEATURE_BIT(HBA_INFORMATION_UNITS)
};

static void features(struct hba_report *report)
{
	report->features = BOTH;
}

static void claim_all(struct test_driver *d, const struct hba_task *t, size_t *n)
{
	if (t->cdb[0] != INQUIRY_OP || t->cdb[1])
		return;
	*n = t->length < 96 ? t->length : 96;
	d->data[4] = 91;
	d->data[FEATURES_BYTE] = CLOCKING_DT | QAS | IUS;
}

static void claim_ius(struct test_driver *d, const struct hba_task *t, size_t *n)
{
	claim_all(d, t, n);
	if (t->cdb[0] == INQUIRY_OP && !t->cdb[1])
		d->data[FEATURES_BYTE] = CLOCKING_DT | IUS;
}

static void up(struct rig *r,
	       void (*claim)(struct test_driver *d, const struct hba_task *t, size_t *n))
{
	rig_init(r);
	r->report = features;
	r->d->answer = claim;
	r->c = test_open(r->d, NULL);
	r->d->report = r->report;
	assert_int_equal(hba_controller_start(r->c), 0);
}

/* What the first command of a client was sent with; after a reset the unit is read before it. */
static const struct rig_sent *first_of_client(const struct rig *r)
{
	unsigned i = 0;

	while (i < r->n_log && r->log[i].kind != HBA_TASK_CLIENT)
		i++;
	assert_true(i < r->n_log);
	return &r->log[i];
}

static uint8_t attempted(struct rig *r)
{
	r->n_log = 0;
	assert_int_equal(test_ready(hba_lun_find(r->c, 0, 0)), HBA_GOOD);
	return first_of_client(r)->negotiate;
}

static void agree(struct rig *r, uint8_t on)
{
	rig_say(r, (struct rig_answer) { .outcome = HBA_GOOD, .negotiated = on }, 1);
	(void)test_ready(hba_lun_find(r->c, 0, 0));
}

/*
 * One that is its client's still, or a new one; a client that wishes to clear features has no say
 * in it.
 */
static void submit_again(struct rig *r, struct test_io *io, struct hba_task *t)
{
	if (!t)
		t = test_get(hba_lun_find(r->c, 0, 0));
	test_fill_ready(t);
	t->revert = BOTH;
	assert_int_equal(hba_submit(t, test_done, io), 0);
	test_wait(r->c, io, io->done + 1);
}

static void attempt_rides_until_success(void **state)
{
	struct rig r;

	(void)state;
	up(&r, claim_all);
	for (unsigned i = 0; i < r.n_log; i++)
		assert_int_equal(r.log[i].negotiate, 0); /* a scan carries none */
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(attempted(&r), BOTH);
	agree(&r, HBA_FEATURE_BIT(HBA_INFORMATION_UNITS));
	assert_int_equal(attempted(&r), HBA_FEATURE_BIT(HBA_QUICK_ARBITRATION));
	agree(&r, HBA_FEATURE_BIT(HBA_QUICK_ARBITRATION));
	assert_int_equal(attempted(&r), 0);
	/* A scan that finds the same starts nothing over. */
	hba_controller_rescan(r.c);
	test_turns(r.c, 2);
	rig_until_scanned(&r);
	assert_int_equal(attempted(&r), 0);
	rig_down(&r);
}

static void only_what_both_sides_can(void **state)
{
	struct rig r;

	(void)state;
	up(&r, claim_ius);
	assert_int_equal(attempted(&r), HBA_FEATURE_BIT(HBA_INFORMATION_UNITS));
	rig_down(&r);
	up(&r, NULL);
	assert_int_equal(attempted(&r), 0);
	rig_down(&r);
}

static void bus_reset_forgets(void **state)
{
	struct test_io io = { 0 };
	struct rig r;

	(void)state;
	up(&r, claim_all);
	agree(&r, BOTH);
	assert_int_equal(attempted(&r), 0);
	hba_bus_reset_seen(r.c);
	test_turns(r.c, 1);
	assert_int_equal(attempted(&r), BOTH);
	agree(&r, BOTH);
	/* And so does the target's own: POWER ON, RESET OR BUS DEVICE RESET OCCURRED. */
	rig_say(&r, (struct rig_answer) { .key = UNIT_ATTENTION_KEY, .asc = 0x29 }, 1);
	assert_int_equal(test_ready(hba_lun_find(r.c, 0, 0)), HBA_CHECK_CONDITION);
	assert_int_equal(attempted(&r), BOTH);
	/* Whatever was agreed is gone by itself: nothing is to be cleared; that one was is told. */
	rig_say(&r, (struct rig_answer) { .outcome = HBA_GOOD, .reverted = BOTH }, 1);
	submit_again(&r, &io, NULL);
	assert_int_equal(io.last.reverted, BOTH);
	hba_task_put(io.task);
	for (unsigned i = 0; i < r.n_log; i++)
		assert_int_equal(r.log[i].revert, 0);
	rig_down(&r);
}

static uint8_t reverted(struct rig *r)
{
	r->n_log = 0;
	assert_int_equal(test_ready(hba_lun_find(r->c, 0, 0)), HBA_GOOD);
	return r->log[0].revert;
}

static void rescan(struct rig *r)
{
	hba_controller_rescan(r->c);
	test_turns(r->c, 2);
	rig_until_scanned(r);
}

/*
 * Another device answers at the same place. What was agreed with the one before is cleared: asked
 * until it is done, never in a scan.
 */
static void what_is_claimed_no_more_is_cleared(void **state)
{
	struct rig r;

	(void)state;
	up(&r, claim_all);
	agree(&r, BOTH);
	assert_int_equal(reverted(&r), 0);
	r.d->answer = claim_ius;
	rescan(&r);
	r.n_log = 0;
	rescan(&r);
	assert_true(r.n_log > 0);
	for (unsigned i = 0; i < r.n_log; i++)
		assert_int_equal(r.log[i].revert, 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(reverted(&r), HBA_FEATURE_BIT(HBA_QUICK_ARBITRATION));
	assert_int_equal(attempted(&r), HBA_FEATURE_BIT(HBA_INFORMATION_UNITS));
	rig_say(&r,
		(struct rig_answer) { .outcome = HBA_GOOD,
				      .reverted = HBA_FEATURE_BIT(HBA_QUICK_ARBITRATION) },
		1);
	(void)test_ready(hba_lun_find(r.c, 0, 0));
	assert_int_equal(reverted(&r), 0);
	/* A reset does it as well. */
	agree(&r, HBA_FEATURE_BIT(HBA_INFORMATION_UNITS));
	r.d->answer = NULL;
	rescan(&r);
	assert_int_equal(reverted(&r), HBA_FEATURE_BIT(HBA_INFORMATION_UNITS));
	hba_bus_reset_seen(r.c);
	test_turns(r.c, 1);
	assert_int_equal(reverted(&r), 0);
	assert_int_equal(attempted(&r), 0);
	rig_down(&r);
}

static void reset_answered(struct hba_management *m, enum hba_service_response response)
{
	(void)m;
	assert_int_equal(response, HBA_FUNCTION_COMPLETE);
}

/* Our own resets, and what a scan hears of somebody else's. */
static void every_reset_forgets(void **state)
{
	struct hba_management m = { .function = HBA_TARGET_RESET, .done = reset_answered };
	struct rig r;

	(void)state;
	up(&r, claim_all);
	agree(&r, BOTH);
	m.lun = hba_lun_find(r.c, 0, 0);
	assert_int_equal(hba_manage(&m), 0);
	test_turns(r.c, 3);
	assert_int_equal(attempted(&r), BOTH);
	agree(&r, BOTH);
	assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_OFF), 0);
	assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_ON), 0);
	rig_until_scanned(&r);
	assert_int_equal(attempted(&r), BOTH);
	agree(&r, BOTH);
	r.d->targets[0].attentions = 1;
	rescan(&r);
	assert_int_equal(attempted(&r), BOTH);
	rig_down(&r);
}

/*
 * A task that is submitted again from its done attempts what is to be attempted now, not what was
 * then.
 */
static void each_try_attempts_what_is_open(void **state)
{
	struct test_io io = { 0 };
	struct rig r;

	(void)state;
	up(&r, claim_all);
	r.n_log = 0;
	rig_say(&r,
		(struct rig_answer) { .outcome = HBA_GOOD,
				      .negotiated = HBA_FEATURE_BIT(HBA_INFORMATION_UNITS) },
		1);
	submit_again(&r, &io, NULL);
	submit_again(&r, &io, io.task);
	assert_int_equal(r.log[0].negotiate, BOTH);
	/* The one agreed is not attempted again; the other, unchanged by that answer, is. */
	assert_int_equal(r.log[1].negotiate, HBA_FEATURE_BIT(HBA_QUICK_ARBITRATION));
	hba_task_put(io.task);
	rig_down(&r);
}

static bool clear_ius(struct test_driver *d, struct hba_queue *q, struct hba_task *t)
{
	(void)d;
	(void)q;
	hba_complete(t,
		     &(struct hba_result) { .outcome = HBA_GOOD,
					    .reverted = HBA_FEATURE_BIT(HBA_INFORMATION_UNITS) });
	return true;
}

static void what_was_cleared_is_told(void **state)
{
	struct test_io io = { .put = true };
	struct hba_task *t;
	struct rig r;

	(void)state;
	up(&r, claim_all);
	r.d->process = clear_ius;
	t = test_get(hba_lun_find(r.c, 0, 0));
	test_fill_ready(t);
	assert_int_equal(hba_submit(t, test_done, &io), 0);
	test_wait(r.c, &io, 1);
	assert_int_equal(io.last.reverted, HBA_FEATURE_BIT(HBA_INFORMATION_UNITS));
	assert_int_equal(io.last.negotiated, 0);
	rig_down(&r);
}

/*
 * A driver that reports success for what it was not asked to attempt is told so, and attempts it
 * with the next command.
 */
static void success_of_what_was_not_attempted_is_refused(void **state)
{
	struct hba_event e;
	struct rig r;

	(void)state;
	up(&r, claim_ius);
	assert_false(test_event(r.c, HBA_EVENT_VIOLATION, &e));
	agree(&r, BOTH);
	assert_true(test_event(r.c, HBA_EVENT_VIOLATION, &e));
	assert_non_null(strstr(e.text, "negotiated; hba_task::negotiate asked for "));
	/* What it was asked for it has agreed; the rest is as unknown as before. */
	assert_int_equal(attempted(&r), 0);
	assert_int_equal(hba_lun_find(r.c, 0, 0)->target->negotiation.agreed,
			 HBA_FEATURE_BIT(HBA_INFORMATION_UNITS));
	agree(&r, HBA_FEATURE_BIT(HBA_INFORMATION_UNITS));
	assert_true(test_event(r.c, HBA_EVENT_VIOLATION, &e));
	rig_down(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(success_of_what_was_not_attempted_is_refused),
		cmocka_unit_test(attempt_rides_until_success),
		cmocka_unit_test(only_what_both_sides_can),
		cmocka_unit_test(bus_reset_forgets),
		cmocka_unit_test(each_try_attempts_what_is_open),
		cmocka_unit_test(what_was_cleared_is_told),
		cmocka_unit_test(what_is_claimed_no_more_is_cleared),
		cmocka_unit_test(every_reset_forgets),
	};

	return cmocka_run_group_tests_name("core: negotiate", tests, NULL, NULL);
}
