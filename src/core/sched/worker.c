/* SPDX-License-Identifier: MIT */
/*
 * worker.c: the service thread. It may wait, so that the loop never does.
 *
 * A job is one waiting op. While it runs, the fence is up: no turn of the loop is under way and
 * none begins, so the driver needs no lock. The fence is Dekker's handshake: each side publishes
 * its intent, then looks at the other's, both sequentially consistent, so that at least one of the
 * two sees the other.
 *
 *	job:   fence = up;     wait until not turning
 *	turn:  turning = yes;  is the fence up? then no turn
 *
 * An op that never returns keeps the driver: no turn begins any more. The loop that is refused its
 * turn, or worker_call(), gives the controller up when the op's deadline and a grace are over.
 */
#include "core/controller/controller.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { GRACE_MS = 5 * MS_PER_S };

static bool atomic_is(const bool *flag)
{
	return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static void atomic_say(bool *flag, bool value)
{
	__atomic_store_n(flag, value, __ATOMIC_RELEASE);
}

/* ---- the loop's side of the fence */

bool turn_begin(struct hba_controller *c)
{
	struct worker *s = &c->worker;

	/* "Turning", then a look at the fence: this order is the handshake. */
	__atomic_store_n(&s->turning, true, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&s->fence, __ATOMIC_SEQ_CST))
		return true;
	turn_end(c);
	return false;
}

void turn_end(struct hba_controller *c)
{
	struct worker *s = &c->worker;

	__atomic_store_n(&s->turning, false, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&s->fence, __ATOMIC_SEQ_CST))
		return;
	pthread_mutex_lock(&s->lock);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

/* ---- the service's side; under the lock */

static void fence_raise(struct worker *s)
{
	/* The fence, then a look whether a turn runs: the other half of the handshake. */
	__atomic_store_n(&s->fence, true, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&s->turning, __ATOMIC_SEQ_CST))
		pthread_cond_wait(&s->changed, &s->lock);
}

static unsigned job_ms(const struct job *job)
{
	return job->ms ? job->ms : DEFAULT_OP_MS;
}

/* No turn is under way any more: only now does its time run. */
static void job_begin(struct hba_controller *c, struct job *job)
{
	struct worker *s = &c->worker;
	uint64_t ns = ((uint64_t)job_ms(job) + GRACE_MS) * NS_PER_MS;

	job->began = c->clock->now(c->clock);
	s->until_real = clock_monotonic.now(&clock_monotonic) + ns;
	__atomic_store_n(&s->until, job->began + ns, __ATOMIC_RELEASE);
}

static void job_end(struct hba_controller *c, struct job *job)
{
	struct worker *s = &c->worker;

	__atomic_store_n(&s->until, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&s->fence, false, __ATOMIC_SEQ_CST);
	list_append(&s->over, &job->link);
	s->running = NULL;
	atomic_say(&s->has_over, true);
	pthread_cond_broadcast(&s->changed);
	loop_wake(c);
}

/* Without the lock. */
static void run_job(struct hba_controller *c, struct job *job)
{
	struct op op = { .controller = c, .name = job->name, .may_map = job->may_map };

	op.deadline = job->began + job_ms(job) * (uint64_t)NS_PER_MS;
	c->op_sentence[0] = '\0';
	op_enter(&op);
	/* Of a silent driver only the steps down are left; they check `silent` themselves. */
	job->error = c->silent && !job->step ? -ENODEV : job->run(c, job);
	op_leave(&op);
	job->ns = c->clock->now(c->clock) - job->began;
}

static void *worker_main(void *arg)
{
	struct hba_controller *c = arg;
	struct worker *s = &c->worker;

	pthread_mutex_lock(&s->lock);
	while (!s->quit && !controller_is_stuck(c)) {
		if (list_is_empty(&s->todo)) {
			pthread_cond_wait(&s->changed, &s->lock);
			continue;
		}
		s->running = container_of(s->todo.next, struct job, link);
		list_remove(&s->running->link);
		fence_raise(s);
		job_begin(c, s->running);
		pthread_mutex_unlock(&s->lock);
		run_job(c, s->running);
		pthread_mutex_lock(&s->lock);
		/*
		 * Given up meanwhile: no thread waits for its end, and the fence stays up for ever.
		 */
		if (!controller_is_stuck(c))
			job_end(c, s->running);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

int worker_start(struct hba_controller *c, void (*stuck)(struct hba_controller *c))
{
	struct worker *s = &c->worker;
	pthread_condattr_t monotonic;
	sigset_t all, old;
	int r;

	s->stuck = stuck;
	list_init(&s->todo);
	list_init(&s->over);
	s->quit = s->fence = s->turning = s->has_over = s->cancel = false;
	s->until = 0;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	/* Signals are the application's: none may be delivered to a thread of the library. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&s->thread, NULL, worker_main, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	s->up = r == 0;
	return r < 0 ? fail(r, "%s: no service thread can be started", c->uri) : 0;
}

int worker_stop(struct hba_controller *c)
{
	struct worker *s = &c->worker;

	if (!s->up)
		return 0;
	if (controller_is_stuck(c))
		return -ETIMEDOUT;
	pthread_mutex_lock(&s->lock);
	s->quit = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	s->up = false;
	return 0;
}

/* ---- jobs */

void worker_post(struct hba_controller *c, struct job *job)
{
	struct worker *s = &c->worker;

	pthread_mutex_lock(&s->lock);
	list_append(&s->todo, &job->link);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static bool is_in(const struct list *l, const struct list *item)
{
	for (const struct list *i = l->next; i != l; i = i->next)
		if (i == item)
			return true;
	return false;
}

/*
 * Under the lock, so that an op is either over or given up. Its thread ends by itself, should it
 * ever come back.
 */
static int give_up(struct hba_controller *c)
{
	struct worker *s = &c->worker;

	__atomic_store_n(&c->stuck, true, __ATOMIC_RELEASE);
	atomic_say(&s->cancel, true);
	pthread_detach(s->thread);
	return fail(-ETIMEDOUT,
		    "driver %s, %s: has not returned after %u ms; the controller is given up",
		    c->driver->name, s->running->name, job_ms(s->running) + GRACE_MS);
}

/* Without the lock, because clients' dones run. */
static int given_up(struct hba_controller *c)
{
	char sentence[SENTENCE_BYTES];

	snprintf(sentence, sizeof(sentence), "%s", hba_error());
	event_put(c, HBA_EVENT_STATE, HBA_NO_TARGET, NULL, HBA_DEAD, "%s", sentence);
	c->worker.stuck(c);
	return fail(-ETIMEDOUT, "%s", sentence);
}

/*
 * Under the lock. In real time, for it is slept in: until the running op is given up; or for a
 * while, if none has begun.
 */
static int wait_for_change(struct hba_controller *c)
{
	struct worker *s = &c->worker;
	uint64_t now = clock_monotonic.now(&clock_monotonic),
		 until = s->until ? s->until_real : now + GRACE_MS * (uint64_t)NS_PER_MS;
	struct timespec t = { (time_t)(until / NS_PER_S), (long)(until % NS_PER_S) };

	if (now >= until)
		return give_up(c);
	pthread_cond_timedwait(&s->changed, &s->lock, &t);
	return 0;
}

int worker_call(struct hba_controller *c, const struct job *wanted)
{
	struct worker *s = &c->worker;
	struct job *job = &s->called;
	int r = 0;

	*job = *wanted;
	list_init(&job->link);
	worker_post(c, job);
	pthread_mutex_lock(&s->lock);
	while (!is_in(&s->over, &job->link) && r == 0)
		r = wait_for_change(c);
	if (r == 0)
		list_remove(&job->link);
	pthread_mutex_unlock(&s->lock);
	if (r < 0)
		return given_up(c);
	if (job->step)
		step_record(c, job->name, job->ns, job->error);
	return job->error;
}

static bool is_overdue(struct hba_controller *c)
{
	uint64_t until = __atomic_load_n(&c->worker.until, __ATOMIC_ACQUIRE);

	return until && c->clock->now(c->clock) >= until;
}

int worker_fenced(struct hba_controller *c)
{
	struct worker *s = &c->worker;
	int r;

	if (!is_overdue(c))
		return 0;
	pthread_mutex_lock(&s->lock);
	/* The one that was looked at may have ended, and another begun. */
	r = is_overdue(c) ? give_up(c) : 0;
	pthread_mutex_unlock(&s->lock);
	return r < 0 ? given_up(c) : 0;
}

uint64_t worker_next(struct hba_controller *c)
{
	uint64_t until = __atomic_load_n(&c->worker.until, __ATOMIC_ACQUIRE);

	/* It is about to begin: its end is not known yet. */
	return until ? until : c->clock->now(c->clock) + GRACE_MS * (uint64_t)NS_PER_MS;
}

void worker_reap(struct hba_controller *c)
{
	struct worker *s = &c->worker;
	struct list over;
	struct job *job;

	if (!atomic_is(&s->has_over))
		return;
	list_init(&over);
	pthread_mutex_lock(&s->lock);
	while (!list_is_empty(&s->over)) {
		struct list *l = s->over.next;

		list_remove(l);
		list_append(&over, l);
	}
	atomic_say(&s->has_over, false);
	pthread_mutex_unlock(&s->lock);
	while (!list_is_empty(&over)) {
		job = container_of(over.next, struct job, link);
		list_remove(&job->link);
		if (job->step)
			step_record(c, job->name, job->ns, job->error);
		if (job->done)
			job->done(c, job);
	}
}

bool worker_idle(struct hba_controller *c)
{
	struct worker *s = &c->worker;
	bool idle;

	pthread_mutex_lock(&s->lock);
	idle = list_is_empty(&s->todo) && list_is_empty(&s->over) && !s->running;
	pthread_mutex_unlock(&s->lock);
	return idle;
}
