/* SPDX-License-Identifier: MIT */
/*
 * keeper.c: the controller, kept for as long as there are clients.
 *
 * Requests run the loop themselves (leader.c). While none is out, units come and leave all the
 * same, a device may be lost, and the parent may close the lifeline: one thread is there for that.
 * Idle, it sleeps on the controller's descriptor and wakes only for events and reports of life. The
 * first request wakes it, because the request reads the controller's events; after that it looks
 * ten times a second, until no request has come for as long.
 *
 * A controller that is gone or dead is closed, once every request is back, and opened again with
 * longer and longer waits. Until then all requests fail at once: NBD has no answer "wait", and
 * clients that would rather wait have ways of their own to repeat a request.
 */
#include "nbd.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

enum { LOOK_MS = 100, RUN_BUDGET = 64, MOST_TURNS = 64, FIRST_RETRY_S = 1, FOREVER = -1 };

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * MS_PER_S + (uint64_t)t.tv_nsec / (1000000000 / MS_PER_S);
}

/* ---- up */

/* `hbakit serve` prints it in its own words. */
static int say_failed(struct keeper *k, const char *sentence)
{
	if (k->report >= 0)
		report_failed(k->report, sentence);
	else
		nbd_say("%s", sentence);
	return -1;
}

/* The contents of nbdkit's buffer were another client's. */
static bool reads_are_undefined(const struct hba_controller *c)
{
	struct hba_property p;

	for (unsigned i = 0; hba_property_get(c, HBA_NO_TARGET, i, &p) == 0; i++)
		if (strcmp(p.key, "Undefined Reads") == 0 && p.type == HBA_NUMBER && p.value.number)
			return true;
	return false;
}

/* 0 and a started controller, whose loop is this thread; or -1, and why in `sentence`. */
static int open_controller(struct keeper *k, struct hba_controller **ret_c)
{
	struct hba_controller *c = NULL;

	if (hba_controller_open(k->uri, &k->options, &c) < 0 || hba_controller_start(c) < 0)
		snprintf(k->sentence, sizeof(k->sentence), "%s", hba_error());
	else if (reads_are_undefined(c))
		snprintf(k->sentence, sizeof(k->sentence),
			 "%s: its reads leave the buffer as it was, so that one client would see "
			 "another's data; it is for "
			 "measuring, not for serving",
			 k->uri);
	else if (units_refresh(&k->units, c) < 0)
		snprintf(k->sentence, sizeof(k->sentence), "no memory for the list of units");
	else {
		*ret_c = c;
		return 0;
	}
	hba_controller_close(c);
	return -1;
}

int keeper_try(struct keeper *k)
{
	struct hba_controller *c;

	if (open_controller(k, &c) < 0)
		return say_failed(k, k->sentence);
	hba_controller_close(c);
	return 0;
}

/* ---- news */

static bool is_news_of_units(const struct hba_event *e)
{
	return e->kind == HBA_EVENT_LOST || e->kind == HBA_EVENT_LUN_CAME ||
	       e->kind == HBA_EVENT_LUN_CHANGED || e->kind == HBA_EVENT_LUN_LEFT;
}

static bool is_the_end(const struct hba_event *e)
{
	return e->kind == HBA_EVENT_STATE && (e->value == HBA_GONE || e->value == HBA_DEAD);
}

/** struct kind - An event that is logged. Each has a limit of its own. */
static const struct kind {
	enum hba_event_kind event;
	bool detail; /* many, and no failure: only on request */
} kinds[] = {
	{ HBA_EVENT_HANGING, false },     { HBA_EVENT_LOST, false },
	{ HBA_EVENT_RECOVERY, false },    { HBA_EVENT_QUARANTINE, false },
	{ HBA_EVENT_VIOLATION, false },   { HBA_EVENT_LUN_LEFT, false },
	{ HBA_EVENT_WRITES_LOST, false }, { HBA_EVENT_RETRY, true },
	{ HBA_EVENT_SLOW, true },         { HBA_EVENT_DEVICE_ERROR, false },
};
_Static_assert(ARRAY_SIZE(kinds) == KEEPER_TROUBLES, "each kind has its limit");

static struct keeper_trouble *trouble_of(struct keeper *k, const struct hba_event *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].event == e->kind && (k->options.log || !kinds[i].detail))
			return &k->troubles[i];
	return NULL;
}

/* Events may be lost; a violation's value is how many there have been. */
static void keeper_count(struct keeper_trouble *t, const struct hba_event *e)
{
	if (t->n == 0)
		snprintf(t->first, sizeof(t->first), "%s", e->text);
	t->n = e->kind == HBA_EVENT_VIOLATION ? (uint64_t)e->value : t->n + 1;
}

static void keeper_tell(const struct keeper *k, struct keeper_trouble *t, const struct hba_event *e)
{
	uint64_t withheld;

	if (!limit_pass(&t->limit, e->time_ns, &withheld))
		return;
	if (withheld)
		nbd_say("%s: %s (and %" PRIu64 " such before it)", k->uri, e->text, withheld);
	else
		nbd_say("%s: %s", k->uri, e->text);
}

/* At the close of the controller. The next one begins anew. */
static void tell_withheld(struct keeper *k)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct keeper_trouble *t = &k->troubles[i];

		if (t->n > t->limit.told)
			nbd_say("%s: %" PRIu64 " such in all, %" PRIu64
				" of them told; the first: %s",
				k->uri, t->n, t->limit.told, t->first);
	}
	memset(k->troubles, 0, sizeof(k->troubles));
}

static void take_event(struct keeper *k, const struct hba_event *e)
{
	struct keeper_trouble *t = trouble_of(k, e);

	if (is_the_end(e) && !k->is_lost)
		snprintf(k->sentence, sizeof(k->sentence), "%s", e->text);
	k->is_lost = k->is_lost || is_the_end(e);
	if (t) {
		keeper_count(t, e);
		keeper_tell(k, t, e);
	} else {
		nbdkit_debug("%s: %s", k->uri, e->text);
	}
}

/* Those since the last keeper_look, too. */
static void take_last_events(struct keeper *k)
{
	struct hba_event e;

	while (hba_event_next(k->controller, &e) > 0)
		take_event(k, &e);
	tell_withheld(k);
}

static void take_events(struct keeper *k)
{
	struct hba_event e;
	bool refresh = false;

	while (hba_event_next(k->controller, &e) > 0) {
		take_event(k, &e);
		refresh = refresh || is_news_of_units(&e);
	}
	if (refresh && units_refresh(&k->units, k->controller) < 0)
		nbd_say("no memory for the list of units: it is as it was");
}

/*
 * As the loop. If no request has come since the last keeper_look, nor any work, the controller is
 * left armed.
 */
static void keeper_look(void *arg)
{
	struct keeper *k = arg;
	unsigned long requests = __atomic_load_n(&k->leader.requests, __ATOMIC_RELAXED);
	bool idle = requests == k->seen;
	int n = 1;

	k->seen = requests;
	for (unsigned i = 0; i < MOST_TURNS && n > 0; i++)
		n = leader_run(&k->leader, RUN_BUDGET);
	take_events(k);
	if (n < 0 && !k->is_lost)
		snprintf(k->sentence, sizeof(k->sentence), "the controller is %s",
			 hba_state_name(hba_controller_state(k->controller)));
	k->is_lost = k->is_lost || n < 0;
	k->asleep = idle && n == 0 && hba_controller_arm(k->controller) == 0 &&
		    leader_watch(&k->leader);
}

/*
 * A turn that lasts from one report to the next is stuck in the driver; a request that waits for
 * its device is not.
 */
static bool is_stuck(struct keeper *k)
{
	unsigned long step =
		k->controller ? __atomic_load_n(&k->leader.steps, __ATOMIC_RELAXED) : 0;
	bool stuck = step % 2 && step == k->step;

	k->step = step;
	return stuck;
}

static void report_life(struct keeper *k)
{
	uint64_t now = now_ms();

	if (!k->alive_ms || now < k->alive_at)
		return;
	k->alive_at = now + k->alive_ms;
	if (!is_stuck(k))
		report_alive(k->report);
}

/* ---- its sleep */

static bool has_to_end(struct keeper *k)
{
	return __atomic_load_n(&k->quit, __ATOMIC_ACQUIRE);
}

/* For at most `ms`, and no longer than until life is to be reported. */
static void nap(struct keeper *k, int ms)
{
	struct pollfd fds[] = { { .fd = k->kick, .events = POLLIN },
				{ .fd = k->hung_up ? -1 : k->lifeline.fd, .events = POLLIN },
				{ .fd = k->asleep ? hba_controller_fd(k->controller) : -1,
				  .events = POLLIN } };
	uint64_t now = now_ms(), left = k->alive_at > now ? k->alive_at - now : 0;
	eventfd_t count;

	if (k->alive_ms && (ms == FOREVER || left < (uint64_t)ms))
		ms = (int)left;
	if (poll(fds, sizeof(fds) / sizeof(fds[0]), ms) > 0 && fds[0].revents)
		eventfd_read(k->kick, &count);
}

/* Again and again, as clients may have come in meanwhile. */
static void hang_up_if_told(struct keeper *k)
{
	k->hung_up = k->hung_up || lifeline_is_cut(&k->lifeline);
	if (!k->hung_up)
		return;
	nbdkit_shutdown();
	lifeline_hang_up(&k->lifeline);
}

/* ---- lost, and opened again */

/* Every request is back, or fails at once. */
static void give_up_controller(struct keeper *k)
{
	struct hba_controller *c;

	pthread_rwlock_wrlock(&k->using);
	c = k->controller;
	take_last_events(k);
	k->controller = NULL;
	if (units_forget(&k->units) < 0)
		nbd_say("no memory to remember which disk was where");
	pthread_rwlock_unlock(&k->using);
	hba_controller_take_loop(c);
	if (hba_controller_stop(c) < 0)
		nbdkit_debug("%s", hba_error());
	hba_controller_close(c);
	leader_fini(&k->leader);
	k->asleep = false;
}

/* One that is lost as soon as it is there is waited for longer and longer. */
static void set_retry(struct keeper *k)
{
	bool lived = now_ms() - k->opened_at > (uint64_t)k->most_retry_s * MS_PER_S;

	k->retry_s = lived || !k->retry_s ? FIRST_RETRY_S : 2 * k->retry_s;
	if (k->retry_s > k->most_retry_s)
		k->retry_s = k->most_retry_s;
}

/* False: to end. */
static bool wait_to_retry(struct keeper *k)
{
	uint64_t until = now_ms() + k->retry_s * (uint64_t)MS_PER_S, now = now_ms();

	while (!has_to_end(k) && now < until) {
		nap(k, (int)(until - now));
		report_life(k);
		hang_up_if_told(k);
		if (k->hung_up)
			return false;
		now = now_ms();
	}
	return !has_to_end(k);
}

static int open_again(struct keeper *k)
{
	struct hba_controller *c;

	if (open_controller(k, &c) < 0)
		return -1;
	leader_init(&k->leader, c, k->kick);
	k->opened_at = now_ms();
	k->seen = k->step = 0;
	k->is_lost = false;
	pthread_rwlock_wrlock(&k->using);
	k->controller = c;
	pthread_rwlock_unlock(&k->using);
	report_ready(k->report, c, &k->units);
	return 0;
}

static void tell_lost(struct keeper *k)
{
	report_lost(k->report, k->sentence, k->retry_s);
	if (k->report < 0)
		nbd_say("%s: %s", k->uri, k->sentence);
}

/* The server's end: whoever started it learns why, and may start it again. */
static void end_server(struct keeper *k)
{
	tell_lost(k);
	k->hung_up = true;
	k->is_lost = false;
	hang_up_if_told(k);
}

static void reopen(struct keeper *k)
{
	give_up_controller(k);
	do {
		set_retry(k);
		tell_lost(k);
	} while (wait_to_retry(k) && open_again(k) < 0);
}

/* ---- the thread */

static void *keeper_main(void *arg)
{
	struct keeper *k = arg;

	/* Before any report of life: the first line is the answer to the start. */
	report_ready(k->report, k->controller, &k->units);
	while (!has_to_end(k)) {
		hang_up_if_told(k);
		k->asleep = false;
		if (k->controller)
			leader_lead(&k->leader, keeper_look, k, LOOK_MS);
		if (k->is_lost && k->most_retry_s && !k->hung_up)
			reopen(k);
		else if (k->is_lost && !k->hung_up)
			end_server(k);
		report_life(k);
		nap(k, k->asleep && !k->hung_up ? FOREVER : LOOK_MS);
	}
	return NULL;
}

static int init_lock(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t writers_first;
	int r;

	pthread_rwlockattr_init(&writers_first);
	pthread_rwlockattr_setkind_np(&writers_first, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	r = pthread_rwlock_init(lock, &writers_first);
	pthread_rwlockattr_destroy(&writers_first);
	return -r;
}

int keeper_begin(struct keeper *k)
{
	if (open_controller(k, &k->controller) < 0)
		return say_failed(k, k->sentence);
	k->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	init_lock(&k->using);
	leader_init(&k->leader, k->controller, k->kick);
	k->opened_at = now_ms();
	k->up = k->kick >= 0 && pthread_create(&k->thread, NULL, keeper_main, k) == 0;
	if (k->up)
		return 0;
	keeper_end(k);
	return say_failed(k, "no thread can be started");
}

void keeper_end(struct keeper *k)
{
	if (k->up) {
		__atomic_store_n(&k->quit, true, __ATOMIC_RELEASE);
		eventfd_write(k->kick, 1);
		pthread_join(k->thread, NULL);
		k->up = false;
	}
	if (k->kick >= 0)
		close(k->kick);
	k->kick = -1;
	if (!k->controller)
		return;
	hba_controller_take_loop(k->controller);
	take_last_events(k);
	if (hba_controller_stop(k->controller) < 0)
		nbd_say("%s", hba_error());
	hba_controller_close(k->controller);
	k->controller = NULL;
	leader_fini(&k->leader);
}

/* ---- for requests */

void keeper_hold(struct keeper *k)
{
	pthread_rwlock_rdlock(&k->using);
}

void keeper_release(struct keeper *k)
{
	pthread_rwlock_unlock(&k->using);
}

bool keeper_is_lost(struct keeper *k)
{
	return !k->controller;
}

int keeper_do(struct keeper *k, struct export *e, struct leader_request *r)
{
	int error;

	keeper_hold(k);
	error = k->controller ? units_renew(&k->units, e) : -ENODEV;
	if (error == 0) {
		r->io.lun = e->lun;
		r->io.generation = e->info.generation;
		error = leader_do(&k->leader, r);
	}
	keeper_release(k);
	return error;
}
