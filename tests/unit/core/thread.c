/* SPDX-License-Identifier: MIT */
/*
 * loop-thread.c: other threads than the loop's: they get, submit, put, wait, and let go of
 * mappings, over the caller's own loop and over the library's. Nothing is lost, nothing races: the
 * second is for a build with -fsanitize=thread.
 */
#include "rig.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 3, ROUNDS = 2500, FEWER = 300, SLEEP_US = 100, LONG_MS = 8000 };

/** struct client - One thread with one task at a time. */
struct client {
	pthread_t thread;
	struct hba_lun *lun;
	struct hba_waiter w;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct hba_task *got;
	enum hba_outcome outcome;
	unsigned ready, done, rounds;
	bool failed, get_each;
};

static void is_ready(struct hba_waiter *w, struct hba_task *t)
{
	struct client *client = container_of(w, struct client, w);

	pthread_mutex_lock(&client->lock);
	client->got = t;
	client->ready++;
	pthread_cond_signal(&client->changed);
	pthread_mutex_unlock(&client->lock);
}

static void is_done(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct client *client = arg;

	(void)t;
	pthread_mutex_lock(&client->lock);
	client->outcome = r->outcome;
	client->done++;
	pthread_cond_signal(&client->changed);
	pthread_mutex_unlock(&client->lock);
}

static struct hba_task *get(struct client *client, unsigned n)
{
	struct hba_task *t = NULL;

	if (hba_task_get(client->lun, 0, &client->w, &t) == 0)
		return t;
	pthread_mutex_lock(&client->lock);
	while (client->ready < n)
		pthread_cond_wait(&client->changed, &client->lock);
	t = client->got;
	pthread_mutex_unlock(&client->lock);
	return t;
}

static bool once(struct client *client, struct hba_task *t, unsigned n)
{
	test_fill_ready(t);
	if (hba_submit(t, is_done, client) < 0)
		return false;
	pthread_mutex_lock(&client->lock);
	while (client->done < n)
		pthread_cond_wait(&client->changed, &client->lock);
	pthread_mutex_unlock(&client->lock);
	return client->outcome == HBA_GOOD;
}

static void give_up(struct client *client)
{
	pthread_mutex_lock(&client->lock);
	client->failed = true;
	pthread_mutex_unlock(&client->lock);
}

static void *client_main(void *arg)
{
	struct client *client = arg;
	struct hba_task *t = NULL;
	unsigned gets = 0;

	for (unsigned i = 1; i <= client->rounds && !client->failed; i++) {
		if (!t)
			t = get(client, ++gets);
		if (!t || !once(client, t, i))
			give_up(client);
		if (t && (client->get_each || i == client->rounds || client->failed)) {
			hba_task_put(t);
			t = NULL;
		}
	}
	return NULL;
}

static void client_start(struct client *client, struct rig *r, unsigned rounds, bool get_each)
{
	*client = (struct client) { .lun = hba_lun_find(r->c, 0, 0),
				    .rounds = rounds,
				    .get_each = get_each,
				    .w.ready = is_ready };
	pthread_mutex_init(&client->lock, NULL);
	pthread_cond_init(&client->changed, NULL);
	assert_int_equal(pthread_create(&client->thread, NULL, client_main, client), 0);
}

static void client_join(struct client *client)
{
	pthread_join(client->thread, NULL);
	assert_false(client->failed);
	assert_int_equal(client->done, client->rounds);
}

static bool all_back(const struct client *clients, unsigned n)
{
	unsigned done = 0;

	for (unsigned i = 0; i < n; i++) {
		struct client *client = (struct client *)(uintptr_t)&clients[i];

		pthread_mutex_lock(&client->lock);
		done += client->done == client->rounds || client->failed;
		pthread_mutex_unlock(&client->lock);
	}
	return done == n;
}

/*
 * The caller's own loop, which sleeps whenever it may: a wake-up that is lost is LONG_MS of
 * silence, and fails.
 */
static void run_sleeping(struct rig *r, const struct client *clients, unsigned n)
{
	struct pollfd p = { .fd = hba_controller_fd(r->c), .events = POLLIN };

	while (!all_back(clients, n)) {
		assert_true(hba_controller_run(r->c, 64) >= 0);
		if (hba_controller_arm(r->c) == 0 && !all_back(clients, n))
			assert_int_equal(poll(&p, 1, LONG_MS), 1);
	}
}

static void up_threads(struct rig *r)
{
	struct hba_options options = { .size = sizeof(options), .threads = true };

	rig_init(r);
	r->d->process = NULL;
	r->c = test_open(r->d, &options);
	assert_int_equal(hba_controller_start(r->c), 0);
}

static void no_wake_up_is_lost_in_own_loop(void **state)
{
	struct client clients[THREADS];
	struct rig r;

	(void)state;
	rig_init(&r);
	r.d->process = NULL;
	rig_up(&r);
	for (unsigned i = 0; i < THREADS; i++)
		client_start(&clients[i], &r, ROUNDS, false);
	run_sleeping(&r, clients, THREADS);
	for (unsigned i = 0; i < THREADS; i++)
		client_join(&clients[i]);
	test_turns(r.c, 2);
	assert_int_equal(r.c->clients_out, 0);
	rig_down(&r);
}

static void no_wake_up_is_lost_in_threads(void **state)
{
	struct client clients[THREADS];
	struct rig r;

	(void)state;
	up_threads(&r);
	for (unsigned i = 0; i < THREADS; i++)
		client_start(&clients[i], &r, ROUNDS, false);
	for (unsigned i = 0; i < THREADS; i++)
		client_join(&clients[i]);
	assert_int_equal(hba_controller_run(r.c, 1), -EBUSY);
	assert_int_equal(hba_controller_stop(r.c), 0);
	assert_int_equal(r.c->clients_out, 0);
	rig_down(&r);
}

/* Even before the library's thread has had its first moment. */
static void the_starter_is_not_the_loop(void **state)
{
	struct hba_task *t = NULL;
	struct rig r;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		up_threads(&r);
		assert_int_equal(hba_task_get(hba_lun_find(r.c, 0, 0), 0, NULL, &t), 1);
		assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_PAUSE), 0);
		assert_int_equal(hba_task_get(hba_lun_find(r.c, 0, 0), 0, NULL, &t), 1);
		assert_int_equal(hba_controller_stop(r.c), 0);
		rig_down(&r);
	}
}

static void two_tasks(struct hba_report *report)
{
	report->max_tasks = 2;
}

/* More threads than tasks, each asking anew for each command. */
static void other_threads_wait_for_tasks(void **state)
{
	struct client clients[THREADS];
	struct rig r;

	(void)state;
	for (unsigned threads = 0; threads < 2; threads++) {
		struct hba_options options = { .size = sizeof(options), .threads = threads };

		rig_init(&r);
		r.d->process = NULL;
		r.d->report = two_tasks;
		r.c = test_open(r.d, &options);
		assert_int_equal(hba_controller_start(r.c), 0);
		for (unsigned i = 0; i < THREADS; i++)
			client_start(&clients[i], &r, ROUNDS / 2, true);
		if (!threads)
			run_sleeping(&r, clients, THREADS);
		for (unsigned i = 0; i < THREADS; i++)
			client_join(&clients[i]);
		assert_int_equal(hba_controller_stop(r.c), 0);
		assert_int_equal(r.c->clients_out, 0);
		rig_down(&r);
	}
}

/* ---- mappings */

struct releaser {
	pthread_t thread;
	struct rig *r;
	struct hba_mapping *m;
	unsigned rounds;
	int result;
	bool over; /* atomic */
};

static void *release_main(void *arg)
{
	struct releaser *x = arg;

	x->result = hba_mapping_release(x->m);
	__atomic_store_n(&x->over, true, __ATOMIC_RELEASE);
	return NULL;
}

static struct hba_task *read_into(struct rig *r, struct hba_mapping *m, struct test_io *io)
{
	struct hba_task *t = test_get(hba_lun_find(r->c, 0, 0));

	test_fill_rw(t, false, 0, 1, hba_mapping_address(m));
	t->timeout_ms = 0;
	assert_int_equal(hba_submit(t, test_done, io), 0);
	return t;
}

static void release_waits_for_tasks(void **state)
{
	struct test_io io = { .put = true };
	struct releaser x = { 0 };
	struct rig r;

	(void)state;
	rig_init(&r);
	rig_up(&r);
	r.d->hold = true;
	assert_int_equal(hba_mapping_create(r.c, HBA_DEVICE_BOTH, 4096, 0, &x.m), 0);
	read_into(&r, x.m, &io);
	test_turns(r.c, 1);
	assert_int_equal(pthread_create(&x.thread, NULL, release_main, &x), 0);
	for (unsigned i = 0; i < 200; i++) {
		test_turns(r.c, 1);
		usleep(SLEEP_US);
	}
	assert_false(__atomic_load_n(&x.over, __ATOMIC_ACQUIRE));
	r.d->release = 1;
	while (!__atomic_load_n(&x.over, __ATOMIC_ACQUIRE)) {
		test_turns(r.c, 1);
		usleep(SLEEP_US);
	}
	pthread_join(x.thread, NULL);
	assert_int_equal(x.result, 0);
	assert_int_equal(io.done, 1);
	assert_int_equal(io.last.outcome, HBA_GOOD);
	rig_down(&r);
}

/*
 * The controller stops with the task out: the mapping goes when the task has come back, not before.
 */
static bool ends_at_stop;

static void check_mapping(struct hba_task *t, const struct hba_result *result, void *arg)
{
	struct releaser *x = arg;

	(void)result;
	ends_at_stop = true;
	assert_false(__atomic_load_n(&x->over, __ATOMIC_ACQUIRE));
	memset(hba_mapping_address(x->m), 1, 1);
	hba_task_put(t);
}

static void release_waits_for_a_stop(void **state)
{
	struct releaser x = { 0 };
	struct hba_task *t;
	struct rig r;

	(void)state;
	rig_init(&r);
	rig_up(&r);
	r.d->hold = true;
	ends_at_stop = false;
	assert_int_equal(hba_mapping_create(r.c, HBA_DEVICE_BOTH, 4096, 0, &x.m), 0);
	t = test_get(hba_lun_find(r.c, 0, 0));
	test_fill_rw(t, false, 0, 1, hba_mapping_address(x.m));
	t->timeout_ms = 0;
	assert_int_equal(hba_submit(t, check_mapping, &x), 0);
	test_turns(r.c, 1);
	assert_int_equal(pthread_create(&x.thread, NULL, release_main, &x), 0);
	for (unsigned i = 0; i < 100; i++) {
		test_turns(r.c, 1);
		usleep(SLEEP_US);
	}
	__atomic_store_n(&r.d->tick, 100 * TEST_MS, __ATOMIC_RELAXED);
	assert_int_equal(hba_controller_stop(r.c), 0);
	pthread_join(x.thread, NULL);
	assert_true(ends_at_stop);
	assert_int_equal(x.result, 0);
	rig_down(&r);
}

static void release_from_a_done(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct releaser *x = arg;

	(void)t;
	(void)r;
	x->result = hba_mapping_release(x->m);
	x->over = true;
}

static void release_from_a_done_is_busy(void **state)
{
	struct test_io io = { .put = true };
	struct releaser x = { 0 };
	struct hba_task *t;
	struct rig r;

	(void)state;
	rig_init(&r);
	rig_up(&r);
	assert_int_equal(hba_mapping_create(r.c, HBA_DEVICE_BOTH, 4096, 0, &x.m), 0);
	r.d->hold = true;
	read_into(&r, x.m, &io);
	test_turns(r.c, 1);
	t = test_get(hba_lun_find(r.c, 0, 0));
	test_fill_ready(t);
	r.d->hold = false;
	assert_int_equal(hba_submit(t, release_from_a_done, &x), 0);
	test_turns(r.c, 3);
	assert_true(x.over);
	assert_int_equal(x.result, -EBUSY);
	hba_task_put(t);
	r.d->release = 1;
	/* on the loop's thread: it runs the loop itself */
	assert_int_equal(hba_mapping_release(x.m), 0);
	assert_int_equal(io.done, 1);
	rig_down(&r);
}

/* Mappings come and go while others are used by other threads' tasks. */
static void *map_and_release(void *arg)
{
	struct releaser *x = arg;

	for (unsigned i = 0; i < x->rounds && x->result == 0; i++) {
		x->result = hba_mapping_create(x->r->c, HBA_DEVICE_BOTH, 4096, 0, &x->m);
		if (x->result == 0)
			x->result = hba_mapping_release(x->m);
	}
	return NULL;
}

static void mappings_come_and_go(void **state)
{
	struct client clients[THREADS];
	struct releaser x = { .rounds = FEWER };
	struct rig r;

	(void)state;
	up_threads(&r);
	x.r = &r;
	for (unsigned i = 0; i < THREADS; i++)
		client_start(&clients[i], &r, ROUNDS / 4, i & 1);
	assert_int_equal(pthread_create(&x.thread, NULL, map_and_release, &x), 0);
	pthread_join(x.thread, NULL);
	for (unsigned i = 0; i < THREADS; i++)
		client_join(&clients[i]);
	assert_int_equal(x.result, 0);
	assert_int_equal(hba_controller_stop(r.c), 0);
	rig_down(&r);
}

/* ---- what another thread has submitted, and the loop has not seen yet */

static void *submit_main(void *arg)
{
	struct hba_task *t = ((struct test_io *)arg)->task;

	((struct test_io *)arg)->last.sent =
		hba_submit(t, test_done, arg) < 0 ? HBA_SENT_NO : HBA_SENT_YES;
	return NULL;
}

static void cancelled_on_its_way(void **state)
{
	struct test_io io = { .put = true };
	pthread_t thread;
	struct rig r;

	(void)state;
	rig_init(&r);
	rig_up(&r);
	io.task = test_get(hba_lun_find(r.c, 0, 0));
	test_fill_ready(io.task);
	assert_int_equal(pthread_create(&thread, NULL, submit_main, &io), 0);
	pthread_join(thread, NULL);
	hba_cancel(io.task);
	test_wait(r.c, &io, 1);
	assert_int_equal(io.last.outcome, HBA_NOT_DELIVERED);
	assert_int_equal(rig_clients(&r), 0);
	rig_down(&r);
}

static void *wait_main(void *arg)
{
	struct client *client = arg;
	struct hba_task *t;

	client->failed = hba_task_get(client->lun, 0, &client->w, &t) != 1;
	return NULL;
}

static void a_waiter_on_its_way_is_cancelled(void **state)
{
	struct client client = { .w.ready = is_ready };
	struct rig r;

	(void)state;
	rig_init(&r);
	rig_up(&r);
	client.lun = hba_lun_find(r.c, 0, 0);
	assert_int_equal(pthread_create(&client.thread, NULL, wait_main, &client), 0);
	pthread_join(client.thread, NULL);
	assert_false(client.failed);
	assert_int_equal(hba_waiter_cancel(&client.w), 0);
	test_turns(r.c, 3);
	assert_int_equal(client.ready, 0);
	assert_int_equal(hba_waiter_cancel(&client.w), -ENOENT);
	rig_down(&r);
}

/* Power down and up while other threads submit: theirs wait, and run. */
static void power_while_others_submit(void **state)
{
	struct client clients[THREADS];
	struct rig r;

	(void)state;
	up_threads(&r);
	for (unsigned i = 0; i < THREADS; i++)
		client_start(&clients[i], &r, ROUNDS / 4, true);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_PAUSE), 0);
		assert_int_equal(hba_controller_set_power(r.c, HBA_POWER_ON), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		client_join(&clients[i]);
	assert_int_equal(hba_controller_stop(r.c), 0);
	rig_down(&r);
}

/* ---- the loop goes from thread to thread */

/**
 * struct baton - One loop for several threads: who has the lock is the loop, and sends what it
 * likes.
 */
struct baton {
	pthread_mutex_t lock;
	struct hba_controller *c;
	struct hba_lun *lun;
	unsigned done, wrong;
};

static void carried(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct baton *b = arg;

	b->done += r->outcome == HBA_GOOD;
	b->wrong += hba_controller_take_loop(b->c) != -EBUSY;
	hba_task_put(t);
}

static void carry(struct baton *b)
{
	struct hba_task *t;
	unsigned before = b->done;

	/* On the loop a free task comes at once: so we are it. */
	if (hba_controller_take_loop(b->c) < 0 || hba_task_get(b->lun, 0, NULL, &t) != 0) {
		b->wrong++;
		return;
	}
	test_fill_ready(t);
	b->wrong += hba_submit(t, carried, b) < 0;
	while (b->done == before && hba_controller_run(b->c, 1) >= 0)
		;
	/* From then on it is like every other thread, also before there is another loop. */
	b->wrong +=
		hba_controller_leave_loop(b->c) != 0 || hba_controller_leave_loop(b->c) != -EPERM;
	b->wrong += hba_task_get(b->lun, 0, NULL, &t) != 1 || hba_controller_run(b->c, 1) != -EPERM;
}

static void *carrier(void *arg)
{
	struct baton *b = arg;

	for (unsigned i = 0; i < FEWER; i++) {
		pthread_mutex_lock(&b->lock);
		carry(b);
		pthread_mutex_unlock(&b->lock);
	}
	return NULL;
}

static void the_loop_goes_from_thread_to_thread(void **state)
{
	struct baton b = { .lock = PTHREAD_MUTEX_INITIALIZER };
	pthread_t threads[THREADS];
	struct rig r;

	(void)state;
	rig_init(&r);
	rig_up(&r);
	b.c = r.c;
	b.lun = hba_lun_find(r.c, 0, 0);
	assert_int_equal(hba_controller_leave_loop(r.c), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, carrier, &b), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(b.done, THREADS * FEWER);
	assert_int_equal(b.wrong, 0);
	assert_int_equal(hba_controller_run(r.c, 1), -EPERM); /* nobody is the loop */
	assert_int_equal(hba_controller_take_loop(r.c), 0);
	assert_int_equal(hba_controller_run(r.c, 1), 0);
	assert_int_equal(hba_controller_take_loop(NULL), -EINVAL);
	rig_down(&r);
}

static void *ask_once(void *arg)
{
	struct client *client = arg;
	struct hba_task *t;

	client->failed = hba_task_get(client->lun, 0, &client->w, &t) != 1;
	return NULL;
}

/* The device leaves while another thread's question is on its way: it is answered all the same. */
static void a_late_guest_is_answered(void **state)
{
	struct client client = { .w.ready = is_ready, .lock = PTHREAD_MUTEX_INITIALIZER };
	pthread_t thread;
	struct rig r;

	(void)state;
	rig_init(&r);
	rig_up(&r);
	client.lun = hba_lun_find(r.c, 0, 0);
	pthread_cond_init(&client.changed, NULL);
	assert_int_equal(pthread_create(&thread, NULL, ask_once, &client), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	quiesce_gone(r.c);
	while (hba_controller_run(r.c, 1) >= 0)
		;
	assert_int_equal(hba_controller_state(r.c), HBA_GONE);
	assert_int_equal(client.ready, 1);
	assert_null(client.got);
	pthread_cond_destroy(&client.changed);
	rig_down(&r);
}

/* ---- looking around */

struct looker {
	struct hba_controller *c;
	unsigned looks, wrong;
	bool over;
};

static void *look(void *arg)
{
	struct looker *k = arg;

	for (; !__atomic_load_n(&k->over, __ATOMIC_RELAXED); k->looks++) {
		struct hba_lun *found = hba_lun_find(k->c, 0, 0), *first = hba_lun_next(k->c, NULL);

		k->wrong += !found || first != found || hba_lun_find(k->c, 1, 0) ||
			    hba_lun_next(k->c, first);
	}
	return NULL;
}

/* Every scan makes the targets that it asks after, and forgets those that nobody is at. */
static void units_are_found_from_any_thread(void **state)
{
	struct looker k = { 0 };
	pthread_t thread;
	struct rig r;

	(void)state;
	rig_init(&r);
	rig_up(&r);
	k.c = r.c;
	assert_true(hba_controller_report(r.c)->highest_target_id > 1);
	assert_int_equal(pthread_create(&thread, NULL, look, &k), 0);
	for (unsigned i = 0; i < FEWER; i++) {
		hba_controller_rescan(r.c);
		rig_until_scanned(&r);
	}
	__atomic_store_n(&k.over, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	assert_true(k.looks);
	assert_int_equal(k.wrong, 0);
	rig_down(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(units_are_found_from_any_thread),
		cmocka_unit_test(no_wake_up_is_lost_in_own_loop),
		cmocka_unit_test(no_wake_up_is_lost_in_threads),
		cmocka_unit_test(the_starter_is_not_the_loop),
		cmocka_unit_test(other_threads_wait_for_tasks),
		cmocka_unit_test(release_waits_for_tasks),
		cmocka_unit_test(release_waits_for_a_stop),
		cmocka_unit_test(release_from_a_done_is_busy),
		cmocka_unit_test(mappings_come_and_go),
		cmocka_unit_test(cancelled_on_its_way),
		cmocka_unit_test(a_waiter_on_its_way_is_cancelled),
		cmocka_unit_test(power_while_others_submit),
		cmocka_unit_test(the_loop_goes_from_thread_to_thread),
		cmocka_unit_test(a_late_guest_is_answered),
	};

	return cmocka_run_group_tests_name("core: thread", tests, NULL, NULL);
}
