/* SPDX-License-Identifier: MIT */
/*
 * block-locks.c: commands take turns at blocks. COMPARE AND WRITE and ORWRITE read, compute, and
 * write: no other command may write the blocks that they have read before they end (SBC-3 5.2,
 * 5.14), nor read half of the blocks that they write.
 *
 * A command that has to wait holds no thread: its own engine resumes it. A claim is granted when no
 * earlier one is in its way, so a stream of small commands cannot keep an exclusive one out, and no
 * command waits for a later one: no deadlock.
 */
#include "target/target.h"

#include <sched.h>

static struct claim *claim_of(struct list *link)
{
	return container_of(link, struct claim, link);
}

static bool in_the_way(const struct claim *a, const struct claim *b)
{
	return (a->exclusive || b->exclusive) && a->first < b->end && b->first < a->end;
}

/* By one that came earlier. */
static bool is_blocked(struct block_locks *c, struct claim *mine)
{
	for (struct list *l = c->all.next; l != &mine->link && l != &c->all; l = l->next)
		if (in_the_way(claim_of(l), mine))
			return true;
	return false;
}

void block_locks_init(struct block_locks *c)
{
	pthread_mutex_init(&c->mutex, NULL);
	list_init(&c->all);
	c->exclusive = c->waiting = 0;
}

void block_locks_clear(struct block_locks *c)
{
	pthread_mutex_destroy(&c->mutex);
}

bool block_locks_take(struct block_locks *c, struct claim *mine)
{
	bool granted;

	pthread_mutex_lock(&c->mutex);
	list_append(&c->all, &mine->link);
	mine->waiting = (c->exclusive > 0 || mine->exclusive) && is_blocked(c, mine);
	c->exclusive += mine->exclusive;
	c->waiting += mine->waiting;
	granted = !mine->waiting;
	pthread_mutex_unlock(&c->mutex);
	return granted;
}

static void grant_waiting(struct block_locks *c)
{
	for (struct list *l = c->all.next; l != &c->all && c->waiting > 0; l = l->next) {
		struct claim *claim = claim_of(l);

		if (!claim->waiting || is_blocked(c, claim))
			continue;
		claim->waiting = false;
		c->waiting--;
		engine_post(claim->engine, &claim->granted);
	}
}

void block_locks_drop(struct block_locks *c, struct claim *mine)
{
	pthread_mutex_lock(&c->mutex);
	list_remove(&mine->link);
	c->exclusive -= mine->exclusive;
	grant_waiting(c);
	pthread_mutex_unlock(&c->mutex);
}

void block_locks_forget(struct block_locks *c)
{
	pthread_mutex_lock(&c->mutex);
	list_init(&c->all);
	c->exclusive = c->waiting = 0;
	pthread_mutex_unlock(&c->mutex);
}

/* ---- turnstiles */

#define TURNSTILE_SHUT UINT32_C(0x80000000)

/* The thread inside may have lost its processor: let it have ours. */
static void turn_round(unsigned *turns)
{
	enum { PATIENCE = 100 };

	if (++*turns % PATIENCE == 0)
		sched_yield();
}

static void enter_shared(struct turnstile *g)
{
	unsigned turns = 0;

	/* Acquire: what the last exclusive one wrote is seen by all that enter after it. */
	while (__atomic_fetch_add(&g->state, 1, __ATOMIC_ACQUIRE) & TURNSTILE_SHUT) {
		__atomic_fetch_sub(&g->state, 1, __ATOMIC_RELAXED);
		while (__atomic_load_n(&g->state, __ATOMIC_RELAXED) & TURNSTILE_SHUT)
			turn_round(&turns);
	}
}

static void enter_alone(struct turnstile *g)
{
	unsigned turns = 0;

	while (__atomic_fetch_or(&g->state, TURNSTILE_SHUT, __ATOMIC_ACQUIRE) & TURNSTILE_SHUT)
		turn_round(&turns);
	/* Acquire: what those inside wrote is seen here once they have left. */
	while (__atomic_load_n(&g->state, __ATOMIC_ACQUIRE) != TURNSTILE_SHUT)
		turn_round(&turns);
}

void turnstile_enter(struct turnstile *g, bool exclusive)
{
	if (exclusive)
		enter_alone(g);
	else
		enter_shared(g);
}

/* Release: what was done inside is seen by those who enter after us. */
void turnstile_leave(struct turnstile *g, bool exclusive)
{
	if (exclusive)
		__atomic_fetch_and(&g->state, ~TURNSTILE_SHUT, __ATOMIC_RELEASE);
	else
		__atomic_fetch_sub(&g->state, 1, __ATOMIC_RELEASE);
}
