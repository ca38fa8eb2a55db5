/* SPDX-License-Identifier: MIT */
/* event.c: events that belong to no task; a bounded ring that counts those it has lost. */
#include "core/controller/controller.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 3, 0))) static void event_ring_put(struct hba_controller *c,
								 struct hba_event *e,
								 const char *format, va_list args)
{
	struct event_ring *r = &c->events;

	sentence_write(e->text, format, args);
	e->time_ns = c->clock->now(c->clock);
	pthread_mutex_lock(&r->lock);
	if (r->n == EVENT_RING) {
		r->first = (r->first + 1) % EVENT_RING;
		r->n--;
		r->lost++;
	}
	r->events[(r->first + r->n++) % EVENT_RING] = *e;
	pthread_mutex_unlock(&r->lock);
	loop_wake(c);
}

void event_put(struct hba_controller *c, enum hba_event_kind kind, uint64_t target,
	       const struct hba_lun_id *lun, int64_t value, const char *format, ...)
{
	struct hba_event e = { .target = target, .value = value, .kind = kind };
	va_list args;

	if (lun)
		e.lun = *lun;
	va_start(args, format);
	event_ring_put(c, &e, format, args);
	va_end(args);
}

int violation(struct hba_controller *c, const char *format, ...)
{
	const struct op *op = op_now();
	char rule[SENTENCE_BYTES], call[32] = "";
	uint64_t n = __atomic_add_fetch(&c->violations, 1, __ATOMIC_RELAXED);
	va_list args;

	va_start(args, format);
	sentence_write(rule, format, args);
	va_end(args);
	if (op && op->call)
		snprintf(call, sizeof(call), ", call %llu", (unsigned long long)op->call);
	fail(-EPROTO, "driver %s, %s%s: %s", c->driver->name, op ? op->name : "outside any op",
	     call, rule);
	event_put(c, HBA_EVENT_VIOLATION, HBA_NO_TARGET, NULL, (int64_t)n, "%s", hba_error());
	return -EPROTO;
}

int no_errno(struct hba_controller *c, int returned)
{
	return violation(c, "returned %d; an op returns 0 or a negative errno", returned);
}

/*
 * A device that once reports invalid data often does so with every command. So only the 1st, 2nd,
 * 4th, 8th … is an event.
 */
void hba_device_error(struct hba_controller *c, const char *format, ...)
{
	uint64_t n = ++c->device_errors;
	char what[SENTENCE_BYTES];
	va_list args;

	if (n & (n - 1))
		return;
	va_start(args, format);
	sentence_write(what, format, args);
	va_end(args);
	event_put(c, HBA_EVENT_DEVICE_ERROR, HBA_NO_TARGET, NULL, (int64_t)n,
		  "error %llu of the device: %s", (unsigned long long)n, what);
}

int hba_event_next(struct hba_controller *c, struct hba_event *ret_event)
{
	struct event_ring *r;
	int taken = 1;

	if (!c || !ret_event)
		return wrong_use("the controller is NULL, or the place for the event");
	r = &c->events;
	pthread_mutex_lock(&r->lock);
	if (r->lost) {
		*ret_event = (struct hba_event) { .time_ns = r->n ? r->events[r->first].time_ns : 0,
						  .target = HBA_NO_TARGET,
						  .value = (int64_t)r->lost,
						  .kind = HBA_EVENT_LOST };
		snprintf(ret_event->text, sizeof(ret_event->text),
			 "%llu events were lost before this one", (unsigned long long)r->lost);
		r->lost = 0;
	} else if (r->n) {
		*ret_event = r->events[r->first];
		r->first = (r->first + 1) % EVENT_RING;
		r->n--;
	} else {
		taken = 0;
	}
	pthread_mutex_unlock(&r->lock);
	return taken;
}
