/* SPDX-License-Identifier: MIT */
/*
 * shapes.c: what a soft: URI asks for is what the core is told and what a client meets; nonsense is
 * refused in one sentence.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"
#include <hbakit/driver.h>
#include <hbakit/hbakit.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum {
	BUDGET = 16,
	WAIT_MS = 10000,
	TRIES = 12,
	TEST_UNIT_READY_BYTES = 6,
	LATENCY_MS = 20,
	OUT = 5
};

static struct hba_controller *start(const char *uri)
{
	struct hba_controller *c;

	if (hba_controller_open(uri, NULL, &c) < 0 || hba_controller_start(c) < 0)
		fail_msg("%s: %s", uri, hba_error());
	return c;
}

static void refused_with_a_sentence(void **state)
{
	static const struct {
		const char *options, *part;
	} wrong[] = {
		{ "targets=0", "targets=0" },
		{ "targets=65537", "1 to 65536" },
		{ "targets=1000&luns=16384", "16384000 units" },
		{ "initiator=many", "initiator=many" },
		{ "managed=2", "managed=2" },
		{ "removable=2", "0 to 1" },
		{ "autosense=3", "0 to 1" },
		{ "features=32", "0 to 31" },
		{ "depth=0", "depth=0" },
		{ "tag_bits=65", "0 to 64" },
		{ "max_cdb=7", "max_cdb is 7" },
		{ "max_cdb=64", "6 to 32" },
		{ "tmfs=64", "0 to 63" },
		{ "data=pio", "cpu or dma" },
		{ "segments=0", "segments=0" },
		{ "segment_bytes=511", "from 512" },
		{ "alignment=3", "power of two" },
		{ "alignment=8192", "1 to 4096" },
		{ "address_bits=17", "18 to 64" },
		{ "boundary=5000", "power of two" },
		{ "boundary=256", "from 512" },
		{ "max_transfer=100", "from 512" },
		{ "block=4096&max_transfer=2048", "less than one block of 4096" },
		{ "block=4096&segments=3&segment_bytes=1024", "a read of 3072 bytes" },
		{ "block=4096&write_segments=3&segment_bytes=1024", "a write of 3072 bytes" },
		{ "busy=1", "from 2" },
		{ "attention=0", "from 1" },
		{ "requeue=1", "from 2" },
		{ "full=0", "from 1" },
		{ "latency_us=60000001", "60000000" },
		{ "latency_us=soon", "latency_us=soon" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct hba_controller *c = NULL;
		char uri[128];

		snprintf(uri, sizeof(uri), "soft:ram?%s", wrong[i].options);
		assert_int_equal(hba_controller_open(uri, NULL, &c), 0);
		assert_true(hba_controller_start(c) < 0);
		if (!strstr(hba_error(), wrong[i].part))
			fail_msg("%s: \"%s\" does not say \"%s\"", uri, hba_error(), wrong[i].part);
		hba_controller_close(c);
	}
}

static void report_is_what_was_asked_for(void **state)
{
	struct hba_controller *c = start(
		"soft:ram?size=64k&targets=3&initiator=1&luns=2&managed=1&autosense=0&multipath=1&"
		"hierarchical=1"
		"&features=5&tasks=40&queues=3&tag_bits=9&max_cdb=32&tmfs=17&data=dma&segments=11"
		"&write_segments=12&segment_bytes=2048&write_segment_bytes=1024&alignment=8&"
		"address_bits=40"
		"&boundary=8192&max_transfer=9000&hba_data_mask=0xfffffffff0");
	const struct hba_report *r = hba_controller_report(c);
	const struct hba_constraints want = { 11, 12, 2048, 1024, 8, 40, 0xfffffffff0, 8192, 9000 };

	(void)state;
	assert_int_equal(r->initiator_id, 1);
	assert_int_equal(r->highest_target_id, 3);
	assert_int_equal(r->highest_lun, 1);
	assert_true(r->manages_devices && !r->performs_autosense && r->multipath &&
		    r->hierarchical_luns);
	assert_int_equal(r->features, 5);
	assert_int_equal(r->max_tasks, 40);
	assert_int_equal(r->queues, 3);
	assert_int_equal(r->tag_bits, 9);
	assert_int_equal(r->max_cdb, 32);
	assert_int_equal(r->tmfs, 17);
	assert_int_equal(r->data_mode, HBA_DATA_DMA);
	assert_memory_equal(&r->constraints, &want, sizeof(want));
	hba_controller_close(c);
}

/* The ids of all units in order, with whom each of them is. */
static void targets_leave_out_the_initiator(void **state)
{
	static const struct {
		const char *uri;
		uint64_t ids[9];
		unsigned n;
	} cases[] = {
		{ "soft:ram?size=64k&targets=3", { 0, 1, 2 }, 3 },
		{ "soft:ram?size=64k&targets=3&initiator=0", { 1, 2, 3 }, 3 },
		{ "soft:ram?size=64k&targets=3&initiator=2&managed=1", { 0, 1, 3 }, 3 },
		{ "soft:ram?size=64k&targets=9", { 0, 1, 2, 3, 4, 5, 6, 7, 8 }, 9 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct hba_controller *c = start(cases[i].uri);
		char last[sizeof(((struct hba_lun_info *)0)->serial)] = "";
		struct hba_lun_info info;
		unsigned n = 0;

		for (struct hba_lun *lun = hba_lun_next(c, NULL); lun;
		     lun = hba_lun_next(c, lun), n++) {
			hba_lun_get_info(lun, &info);
			assert_true(n < cases[i].n);
			assert_int_equal(info.target, cases[i].ids[n]);
			assert_string_not_equal(info.serial, last);
			memcpy(last, info.serial, sizeof(last));
		}
		assert_int_equal(n, cases[i].n);
		hba_controller_close(c);
	}
}

static void units_above_255_are_flat(void **state)
{
	enum { FLAT_256 = 0x41 };
	struct hba_controller *c = start("soft:ram?size=64k&luns=300&removable=1");
	struct hba_lun_info info;

	(void)state;
	hba_lun_get_info(hba_lun_find(c, 0, 255), &info);
	assert_int_equal(info.lun.bytes[0], 0);
	assert_int_equal(info.lun.bytes[1], 255);
	assert_true(info.removable);
	hba_lun_get_info(hba_lun_find(c, 0, 256), &info);
	assert_int_equal(info.lun.bytes[0], FLAT_256);
	assert_int_equal(info.lun.bytes[1], 0);
	assert_null(hba_lun_find(c, 0, 300));
	hba_controller_close(c);
}

/*
 * ---- moods: TEST UNIT READY is no block command, so that nothing is repeated and each answer is
 * seen
 */

struct answer {
	bool ended;
	enum hba_outcome outcome;
};

static void answered(struct hba_task *t, const struct hba_result *r, void *arg)
{
	*(struct answer *)arg = (struct answer) { true, r->outcome };
	hba_task_put(t);
}

static struct hba_task *ask(struct hba_controller *c, struct answer *a)
{
	struct hba_task *t;

	a->ended = false;
	assert_int_equal(hba_task_get(hba_lun_next(c, NULL), 0, NULL, &t), 0);
	t->cdb_len = TEST_UNIT_READY_BYTES;
	assert_int_equal(hba_submit(t, answered, a), 0);
	return t;
}

static void await(struct hba_controller *c, const struct answer *a)
{
	struct pollfd fd = { .fd = hba_controller_fd(c), .events = POLLIN };

	while (!a->ended)
		if (hba_controller_run(c, BUDGET) == 0 && hba_controller_arm(c) == 0)
			assert_int_equal(poll(&fd, 1, WAIT_MS), 1);
}

static unsigned count(const char *uri, enum hba_outcome outcome)
{
	struct hba_controller *c = start(uri);
	struct answer a;
	unsigned n = 0;

	for (unsigned i = 0; i < TRIES; i++) {
		ask(c, &a);
		await(c, &a);
		n += a.outcome == outcome;
	}
	hba_controller_close(c);
	return n;
}

static void every_so_many(void **state)
{
	(void)state;
	assert_int_equal(count("soft:ram?busy=3", HBA_BUSY), TRIES / 3);
	/* After each attention the core reads the unit again: its own commands do not count. */
	assert_int_equal(count("soft:ram?attention=4", HBA_CHECK_CONDITION), TRIES / 4);
	assert_int_equal(count("soft:ram?attention=1", HBA_CHECK_CONDITION), TRIES);
	assert_int_equal(count("soft:ram?requeue=2", HBA_GOOD), TRIES);
	assert_int_equal(count("soft:ram", HBA_GOOD), TRIES);
}

static void latency_keeps_tasks_out(void **state)
{
	struct hba_controller *c = start("soft:ram?latency_us=20000");
	uint64_t began = clock_monotonic.now(&clock_monotonic), ns;
	struct answer a[OUT];

	(void)state;
	for (unsigned i = 0; i < OUT; i++)
		ask(c, &a[i]);
	for (unsigned i = 0; i < OUT; i++) {
		await(c, &a[i]);
		assert_int_equal(a[i].outcome, HBA_GOOD);
	}
	ns = clock_monotonic.now(&clock_monotonic) - began;
	/* No sooner than one latency, and all together, not one after another. */
	assert_in_range(ns / NS_PER_MS, LATENCY_MS, (OUT - 1) * LATENCY_MS);
	hba_controller_close(c);
}

/* Long before its time, by the client's wish. */
static void late_tasks_can_be_aborted(void **state)
{
	struct hba_controller *c = start("soft:ram?latency_us=300000&full=2");
	uint64_t began = clock_monotonic.now(&clock_monotonic);
	struct answer a;

	(void)state;
	for (unsigned i = 0; i < TRIES; i++) {
		struct hba_task *t = ask(c, &a);

		hba_controller_run(c, BUDGET);
		assert_false(a.ended);
		hba_cancel(t);
		await(c, &a);
		assert_int_not_equal(a.outcome, HBA_GOOD);
	}
	/*
	 * All of them in less than half the time of waiting for each; and none has stayed in the
	 * unit's count.
	 */
	assert_true((clock_monotonic.now(&clock_monotonic) - began) / NS_PER_MS < TRIES * 150);
	hba_controller_close(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused_with_a_sentence),
		cmocka_unit_test(report_is_what_was_asked_for),
		cmocka_unit_test(targets_leave_out_the_initiator),
		cmocka_unit_test(units_above_255_are_flat),
		cmocka_unit_test(every_so_many),
		cmocka_unit_test(latency_keeps_tasks_out),
		cmocka_unit_test(late_tasks_can_be_aborted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
