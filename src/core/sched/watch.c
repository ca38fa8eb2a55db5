/* SPDX-License-Identifier: MIT */
/*
 * watch.c: descriptors of a queue that wake the loop: a driver's own, and those of interrupt
 * vectors.
 */
#include "core/controller/controller.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

static struct watch *find_watch(const struct hba_queue *q, int fd)
{
	for (struct list *l = q->watches.next; l != &q->watches; l = l->next)
		if (container_of(l, struct watch, link)->fd == fd)
			return container_of(l, struct watch, link);
	return NULL;
}

static int add_watch(struct hba_queue *q, int fd, uint32_t events, const struct watch *like)
{
	struct watch *w = malloc(sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	r = sleeper_add(&q->controller->sleeper, fd, events);
	if (r < 0 && r != -EEXIST) {
		free(w);
		return r;
	}
	*w = *like;
	w->fd = fd;
	list_append(&q->watches, &w->link);
	return 0;
}

static int change_watch(struct hba_queue *q, struct watch *w, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.fd = w->fd };
	int r = epoll_ctl(q->controller->sleeper.epoll, events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL,
			  w->fd, &e) < 0
			? -errno
			: 0;

	if (!events) {
		list_remove(&w->link);
		free(w);
	}
	return r;
}

int hba_queue_watch(struct hba_queue *q, int fd, short events)
{
	struct watch *w;

	if (!op_is_any(q->controller, __func__))
		return -EPROTO;
	w = find_watch(q, fd);
	if (w)
		return change_watch(q, w, (uint32_t)events);
	return events ? add_watch(q, fd, (uint32_t)events, &(struct watch) { .drain = false }) : 0;
}

int queue_watch_vector(struct hba_queue *q, int fd, unsigned vector)
{
	return find_watch(q, fd) ? 0
				 : add_watch(q, fd, EPOLLIN,
					     &(struct watch) { .drain = true, .vector = vector });
}

void queue_unwatch(struct hba_queue *q)
{
	/*
	 * The driver may have closed it, or keep it for the next start: then it must not be watched
	 * already.
	 */
	while (!list_is_empty(&q->watches))
		change_watch(q, container_of(q->watches.next, struct watch, link), 0);
}

void queue_drain_vectors(const struct hba_queue *q)
{
	for (const struct list *l = q->watches.next; l != &q->watches; l = l->next) {
		struct watch *w = container_of(l, struct watch, link);

		if (w->drain && wake_drain(w->fd))
			w->fired = true;
	}
}

bool queue_take_fired(const struct hba_queue *q, unsigned *ret_vector)
{
	for (const struct list *l = q->watches.next; l != &q->watches; l = l->next) {
		struct watch *w = container_of(l, struct watch, link);

		if (!w->fired)
			continue;
		w->fired = false;
		*ret_vector = w->vector;
		return true;
	}
	return false;
}
