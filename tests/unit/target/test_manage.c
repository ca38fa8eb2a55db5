/* SPDX-License-Identifier: MIT */
/*
 * test_manage.c: the soft driver's task management, power and reset, between a script that plays
 * the core and real files.
 *
 * The real core chooses when it aborts; here the test does, with tasks on two queues and functions
 * given up half-way. The core's side is the few functions below, which also check what a driver
 * owes: each task ends once, and a function after its victims.
 */
#include "rig.h"

#include "drivers/drivers.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOCK = 512, BLOCKS = 256, QUEUES = 2, TASKS = 64, WAIT_MS = 10000, BUDGET = 8 };

struct hba_queue {
	struct hba_controller *c;
	unsigned index;
	void *priv;
};

struct hba_controller {
	void *priv;
	const char *path;
	struct hba_queue queues[QUEUES];
	struct hba_task tasks[TASKS], tmf;
	bool out[TASKS], tmf_out;
	unsigned out_when_tmf_ended;
	enum hba_outcome outcome[TASKS];
	enum hba_service_response response;
	struct iovec iov[TASKS];
	uint8_t data[TASKS][4 * BLOCK];
	char file[64];
};

/* ---- the core's side */

void *hba_controller_priv(const struct hba_controller *c)
{
	return c->priv;
}

struct hba_controller *hba_queue_controller(const struct hba_queue *q)
{
	return q->c;
}

struct hba_queue *hba_controller_queue(const struct hba_controller *c, unsigned index)
{
	const struct hba_queue *q = &c->queues[index];

	return (struct hba_queue *)(uintptr_t)q;
}

unsigned hba_queue_index(const struct hba_queue *q)
{
	return q->index;
}

void *hba_queue_priv(const struct hba_queue *q)
{
	return q->priv;
}

/* Only moods ask: there are none here, so nobody may. */
void *hba_task_lun_priv(const struct hba_task *t)
{
	(void)t;
	fail();
	return NULL;
}

/* There is one target, and this is a name for it that nobody looks behind. */
struct hba_target *hba_task_target(const struct hba_task *t)
{
	(void)t;
	return NULL;
}

uint64_t hba_now(const struct hba_controller *c)
{
	(void)c;
	return clock_monotonic.now(&clock_monotonic);
}

void hba_requeue(struct hba_task *t, enum hba_scope blocked)
{
	(void)t;
	(void)blocked;
	fail();
}

void hba_ready(struct hba_queue *q, struct hba_target *tgt, const struct hba_lun_id *lun)
{
	(void)q;
	(void)tgt;
	(void)lun;
	fail();
}

int hba_target_create(struct hba_controller *c, uint64_t id, const struct hba_property *properties)
{
	(void)c;
	(void)id;
	(void)properties;
	fail();
	return -EINVAL;
}

void hba_discovery_done(struct hba_controller *c)
{
	(void)c;
	fail();
}

const char *hba_uri_path(const struct hba_controller *c)
{
	return c->path;
}

const char *hba_uri_option(const struct hba_controller *c, const char *name)
{
	if (strcmp(name, "queues") == 0)
		return "2";
	if (strcmp(name, "tasks") == 0)
		return "64";
	if (strcmp(name, "size") == 0 && strcmp(c->path, "null") == 0)
		return "4T";
	for (const struct hba_option *o = soft_driver.options; o->name; o++)
		if (strcmp(o->name, name) == 0)
			return o->value;
	fail_msg("the driver asks for %s, which it does not list", name);
	return NULL;
}

int hba_uri_number(const struct hba_controller *c, const char *name, uint64_t *ret_number)
{
	return parse_size(hba_uri_option(c, name), ret_number);
}

int hba_fail(struct hba_controller *c, int error, const char *format, ...)
{
	(void)c;
	print_error("%s\n", format);
	return error;
}

void hba_log(const struct hba_controller *c, enum hba_log_level level, const char *format, ...)
{
	(void)c;
	(void)level;
	print_error("%s\n", format);
}

void hba_writes_lost(struct hba_controller *c, struct hba_target *tgt, const struct hba_lun_id *lun,
		     const char *format, ...)
{
	(void)c;
	(void)tgt;
	(void)lun;
	(void)format;
	fail();
}

int hba_set_property(struct hba_controller *c, struct hba_target *tgt, const struct hba_property *p)
{
	(void)c;
	assert_null(tgt);
	assert_int_equal(p->type, HBA_STRING);
	return 0;
}

int hba_queue_watch(struct hba_queue *q, int fd, short events)
{
	(void)q;
	assert_true(fd >= 0 && events);
	return 0;
}

void hba_poll_within(struct hba_queue *q, unsigned ms)
{
	(void)q;
	(void)ms;
}

int hba_wait_for(struct hba_controller *c, bool (*ready)(struct hba_controller *c, void *arg),
		 void *arg, unsigned ms)
{
	for (; ms > 0; ms--) {
		if (ready(c, arg))
			return 0;
		usleep(1000);
	}
	return -ETIMEDOUT;
}

void hba_complete(struct hba_task *t, const struct hba_result *r)
{
	struct hba_controller *c = *(struct hba_controller **)t->priv;

	assert_true(t->kind != HBA_TASK_TMF && c->out[t->slot]);
	assert_true(r->bytes <= t->length);
	c->out[t->slot] = false;
	c->outcome[t->slot] = r->outcome;
}

static unsigned count_out(const struct hba_controller *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < TASKS; i++)
		n += c->out[i];
	return n;
}

void hba_tmf_complete(struct hba_task *t, enum hba_service_response response)
{
	struct hba_controller *c = *(struct hba_controller **)t->priv;

	assert_true(t == &c->tmf && c->tmf_out);
	assert_false(t->data.victim && c->out[t->data.victim->slot]);
	c->tmf_out = false;
	c->response = response;
	c->out_when_tmf_ended = count_out(c);
}

void hba_for_each_task(struct hba_controller *c, struct hba_target *tgt,
		       void (*each)(struct hba_task *t, void *arg), void *arg)
{
	assert_null(tgt);
	for (unsigned i = 0; i < TASKS; i++)
		if (c->out[i])
			each(&c->tasks[i], arg);
}

/* ---- the bench */

static void make_task(struct hba_controller *c, struct hba_task *t, unsigned slot, uint8_t kind)
{
	struct hba_controller **back = malloc(sizeof(struct hba_controller *));
	uint32_t id = 0;

	assert_non_null(back);
	*back = c;
	t->priv = back;
	t->hba_data = calloc(1, soft_driver.hba_data_size);
	assert_non_null(t->hba_data);
	t->slot = (uint16_t)slot;
	t->queue = (uint8_t)(slot % QUEUES);
	t->kind = kind;
	assert_int_equal(soft_driver.map_hba_data(c, t, &id), 0);
	assert_int_not_equal(id, 0);
}

static int setup_over(void **state, const char *path)
{
	struct hba_controller *c = calloc(1, sizeof(*c));
	struct hba_report report;
	int fd;

	assert_non_null(c);
	snprintf(c->file, sizeof(c->file), "%s", "/tmp/hbakit-manage-XXXXXX");
	fd = mkstemp(c->file);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, BLOCKS * BLOCK), 0);
	close(fd);
	c->path = path ? path : c->file;
	c->priv = calloc(1, soft_driver.priv_size);
	for (unsigned i = 0; i < QUEUES; i++)
		c->queues[i] = (struct hba_queue) { c, i, calloc(1, soft_driver.queue_priv_size) };
	assert_int_equal(soft_driver.initialize(c, &report), 0);
	assert_int_equal(report.queues, QUEUES);
	for (unsigned i = 0; i < TASKS; i++)
		make_task(c, &c->tasks[i], i, HBA_TASK_CLIENT);
	make_task(c, &c->tmf, TASKS, HBA_TASK_TMF);
	assert_int_equal(soft_driver.start(c), 0);
	*state = c;
	return 0;
}

static int setup(void **state)
{
	return setup_over(state, NULL);
}

static int setup_null(void **state)
{
	return setup_over(state, "null");
}

static void free_task(struct hba_task *t)
{
	free(t->priv);
	free(t->hba_data);
}

static int teardown(void **state)
{
	struct hba_controller *c = *state;

	soft_driver.stop(c);
	soft_driver.stop(c); /* twice is legal */
	for (unsigned i = 0; i < TASKS; i++)
		free_task(&c->tasks[i]);
	free_task(&c->tmf);
	for (unsigned i = 0; i < QUEUES; i++)
		free(c->queues[i].priv);
	unlink(c->file);
	free(c->priv);
	free(c);
	return 0;
}

static void kick(struct hba_controller *c)
{
	for (unsigned i = 0; i < QUEUES; i++)
		soft_driver.kick(&c->queues[i]);
}

static void send(struct hba_controller *c, unsigned slot, const struct scsi_cdb *cdb,
		 enum hba_direction direction)
{
	struct hba_task *t = &c->tasks[slot];

	memset(t->cdb, 0, sizeof(t->cdb));
	memcpy(t->cdb, cdb->bytes, cdb->length);
	t->cdb_len = cdb->length;
	t->direction = (uint8_t)direction;
	t->length = direction == HBA_NO_DATA ? 0 : sizeof(c->data[slot]);
	c->iov[slot] = (struct iovec) { c->data[slot], sizeof(c->data[slot]) };
	t->data.iov = &c->iov[slot];
	t->n_data = direction != HBA_NO_DATA;
	c->out[slot] = true;
	soft_driver.process_task(&c->queues[t->queue], t);
}

static void send_reads(struct hba_controller *c)
{
	struct scsi_cdb read = rig_rw(HBA_FROM_TARGET, 0, 4, 10, false);

	for (unsigned i = 0; i < TASKS; i++)
		send(c, i, &read, HBA_FROM_TARGET);
}

/* Queue by queue, so that an answer from the wrong one would be seen. */
static void poll_until(struct hba_controller *c, bool tmf)
{
	for (unsigned ms = 0; ms < WAIT_MS; ms++) {
		for (unsigned i = 0; i < QUEUES; i++)
			while (soft_driver.poll(&c->queues[i], BUDGET) == BUDGET)
				;
		if (!(tmf ? c->tmf_out : count_out(c) > 0))
			return;
		usleep(1000);
	}
	fail_msg("waited for ever");
}

static void manage(struct hba_controller *c, enum hba_tmf function, unsigned lun,
		   struct hba_task *victim)
{
	assert_int_equal(scsi_lun_from_number(lun, &c->tmf.lun), 0);
	c->tmf.data.victim = victim;
	c->tmf_out = true;
	soft_driver.manage(&c->queues[0], &c->tmf, function);
}

static void assert_outcomes(const struct hba_controller *c)
{
	for (unsigned i = 0; i < TASKS; i++)
		if (c->outcome[i] != HBA_TASK_ABORTED)
			assert_int_equal(c->outcome[i], HBA_GOOD);
}

static enum hba_outcome test_ready(struct hba_controller *c)
{
	struct scsi_cdb cdb = scsi_cdb_test_unit_ready();

	send(c, 0, &cdb, HBA_NO_DATA);
	assert_false(c->out[0]);
	return c->outcome[0];
}

static void take_attention(struct hba_controller *c)
{
	assert_int_equal(test_ready(c), HBA_CHECK_CONDITION);
	assert_int_equal(test_ready(c), HBA_GOOD);
}

/* ---- tests */

static void functions_end_after_their_victims(void **state)
{
	static const enum hba_tmf functions[] = { HBA_ABORT_TASK_SET, HBA_CLEAR_TASK_SET,
						  HBA_LOGICAL_UNIT_RESET, HBA_TARGET_RESET };
	struct hba_controller *c = *state;

	take_attention(c);
	for (size_t f = 0; f < ARRAY_SIZE(functions); f++)
		for (unsigned kicked = 0; kicked < 2; kicked++) {
			bool reset = functions[f] == HBA_LOGICAL_UNIT_RESET ||
				     functions[f] == HBA_TARGET_RESET;

			send_reads(c);
			assert_int_equal(count_out(c), TASKS);
			if (kicked)
				kick(c);
			manage(c, functions[f], 0, NULL);
			assert_true(c->tmf_out);
			poll_until(c, true);
			assert_int_equal(c->response, HBA_FUNCTION_COMPLETE);
			assert_int_equal(c->out_when_tmf_ended, 0);
			assert_outcomes(c);
			assert_int_equal(test_ready(c), reset ? HBA_CHECK_CONDITION : HBA_GOOD);
		}
}

static void abort_task_waits_for_its_victim_alone(void **state)
{
	struct hba_controller *c = *state;

	take_attention(c);
	send_reads(c);
	manage(c, HBA_ABORT_TASK, 0, &c->tasks[1]); /* on the other queue */
	poll_until(c, true);
	assert_int_equal(c->response, HBA_FUNCTION_COMPLETE);
	assert_false(c->out[1]);
	poll_until(c, false);
	assert_outcomes(c);
	/* A victim that has ended already: nothing to wait for. */
	manage(c, HBA_ABORT_TASK, 0, &c->tasks[1]);
	assert_false(c->tmf_out);
	assert_int_equal(c->response, HBA_FUNCTION_COMPLETE);
}

static void what_cannot_be_is_rejected(void **state)
{
	struct hba_controller *c = *state;

	manage(c, HBA_CLEAR_ACA, 1, NULL);
	assert_false(c->tmf_out);
	assert_int_equal(c->response, HBA_FUNCTION_REJECTED);
	manage(c, HBA_LOGICAL_UNIT_RESET, 1, NULL);
	assert_false(c->tmf_out);
	assert_int_equal(c->response, HBA_FUNCTION_REJECTED);
}

/*
 * The core gave a function up and started the next on the same tmf task. Victims of the first alone
 * must not count for the second, whose one victim is the last of all to end.
 */
static void a_function_given_up_is_forgotten(void **state)
{
	struct hba_controller *c = *state;
	struct hba_task *last = &c->tasks[TASKS - 1];

	take_attention(c);
	send_reads(c);
	manage(c, HBA_ABORT_TASK_SET, 0, NULL);
	assert_true(c->tmf_out);
	manage(c, HBA_ABORT_TASK, 0, last);
	assert_true(c->tmf_out);
	/* Queue 0 alone: it has none of the second function's victims. */
	for (unsigned ms = 0; ms < 50; ms++) {
		soft_driver.poll(&c->queues[0], TASKS);
		usleep(1000);
	}
	assert_true(c->tmf_out && c->out[last->slot]);
	poll_until(c, true);
	assert_int_equal(c->response, HBA_FUNCTION_COMPLETE);
	poll_until(c, false); /* a second answer would be caught in hba_tmf_complete() */
}

static void controller_reset_forgets_all_and_goes_on(void **state)
{
	struct hba_controller *c = *state;

	take_attention(c);
	assert_int_equal(soft_driver.reset(c, HBA_RESET_BUS), -EOPNOTSUPP);
	for (unsigned kicked = 0; kicked < 2; kicked++) {
		send_reads(c);
		if (kicked)
			kick(c);
		assert_int_equal(soft_driver.reset(c, HBA_RESET_CONTROLLER), 0);
		assert_int_equal(count_out(c), TASKS); /* the core's to end, not the driver's */
		memset(c->out, 0, sizeof(c->out));
		assert_int_equal(soft_driver.start(c), 0);
		take_attention(c);
		send_reads(c);
		kick(c);
		poll_until(c, false);
		assert_outcomes(c);
	}
}

static void power_off_waits_for_what_is_out(void **state)
{
	struct hba_controller *c = *state;

	take_attention(c);
	send_reads(c);
	kick(c);
	assert_int_equal(soft_driver.set_power_state(c, HBA_POWER_OFF), 0);
	assert_int_equal(count_out(c), 0);
	assert_outcomes(c);
	assert_int_equal(soft_driver.set_power_state(c, HBA_POWER_ON), 0);
	assert_int_equal(soft_driver.start(c), 0);
	assert_int_equal(test_ready(c), HBA_GOOD);
}

static void stop_lets_go_of_what_is_out(void **state)
{
	struct hba_controller *c = *state;

	take_attention(c);
	send_reads(c);
	kick(c);
	soft_driver.stop(c);
	assert_int_equal(count_out(c), TASKS);
	memset(c->out, 0, sizeof(c->out));
}

static void send_endless(struct hba_controller *c)
{
	struct scsi_cdb verify = RIG_CDB(SCSI_VERIFY_16, SCSI_BYTCHK_ONE, 0, 0, 0, 0, 0, 0, 0, 0,
					 0xff, 0xff, 0xff, 0xff, 0, 0);

	for (unsigned i = 0; i < QUEUES; i++)
		send(c, i + 1, &verify, HBA_TO_TARGET);
	assert_int_equal(count_out(c), QUEUES);
	kick(c);
}

/*
 * A disk of nothing ends all else inside process_task; what would take it hours is reached by
 * whoever wants it to end.
 */
static void long_walks_are_aborted_and_forgotten(void **state)
{
	struct hba_controller *c = *state;

	take_attention(c);
	send_endless(c);
	assert_int_equal(test_ready(c), HBA_GOOD);
	manage(c, HBA_ABORT_TASK_SET, 0, NULL);
	assert_true(c->tmf_out);
	poll_until(c, true);
	assert_int_equal(c->response, HBA_FUNCTION_COMPLETE);
	assert_int_equal(c->out_when_tmf_ended, 0);
	assert_int_equal(c->outcome[1], HBA_TASK_ABORTED);
	send_endless(c);
	assert_int_equal(soft_driver.reset(c, HBA_RESET_CONTROLLER), 0);
	assert_int_equal(count_out(c), QUEUES);
	memset(c->out, 0, sizeof(c->out));
	assert_int_equal(soft_driver.start(c), 0);
	take_attention(c);
	send_endless(c);
	soft_driver.stop(c);
	memset(c->out, 0, sizeof(c->out));
}

#define WITH_DRIVER(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_DRIVER(functions_end_after_their_victims),
		WITH_DRIVER(abort_task_waits_for_its_victim_alone),
		WITH_DRIVER(what_cannot_be_is_rejected),
		WITH_DRIVER(a_function_given_up_is_forgotten),
		WITH_DRIVER(controller_reset_forgets_all_and_goes_on),
		WITH_DRIVER(power_off_waits_for_what_is_out),
		WITH_DRIVER(stop_lets_go_of_what_is_out),
		cmocka_unit_test_setup_teardown(long_walks_are_aborted_and_forgotten, setup_null,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
