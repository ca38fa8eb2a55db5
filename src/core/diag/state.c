/* SPDX-License-Identifier: MIT */
/* state.c: the states of a controller, the table of their transitions, the steps between them. */
#include "core/controller/controller.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static const char *const state_names[] = {
	[HBA_CREATED] = "created", [HBA_INITIALISED] = "initialised",
	[HBA_MAPPED] = "mapped",   [HBA_STARTED] = "started",
	[HBA_PAUSED] = "paused",   [HBA_RESETTING] = "resetting",
	[HBA_STOPPED] = "stopped", [HBA_GONE] = "gone",
	[HBA_DEAD] = "dead",
};
#define TO(state) (1U << (state))

static const unsigned transitions[] = {
	[HBA_CREATED] = TO(HBA_INITIALISED) | TO(HBA_DEAD),
	[HBA_INITIALISED] = TO(HBA_MAPPED) | TO(HBA_CREATED) | TO(HBA_GONE) | TO(HBA_DEAD),
	[HBA_MAPPED] = TO(HBA_STARTED) | TO(HBA_CREATED) | TO(HBA_GONE) | TO(HBA_DEAD),
	[HBA_STARTED] = TO(HBA_PAUSED) | TO(HBA_RESETTING) | TO(HBA_STOPPED) | TO(HBA_CREATED) |
			TO(HBA_GONE) | TO(HBA_DEAD),
	[HBA_PAUSED] =
		TO(HBA_STARTED) | TO(HBA_RESETTING) | TO(HBA_STOPPED) | TO(HBA_GONE) | TO(HBA_DEAD),
	[HBA_RESETTING] = TO(HBA_STARTED) | TO(HBA_STOPPED) | TO(HBA_GONE) | TO(HBA_DEAD),
	[HBA_STOPPED] = 0,
	[HBA_GONE] = 0,
	[HBA_DEAD] = 0,
};

const char *hba_state_name(enum hba_state s)
{
	return (unsigned)s < ARRAY_SIZE(state_names) ? state_names[s] : "unknown";
}

int controller_move(struct hba_controller *c, enum hba_state to)
{
	if (!(transitions[c->state] & TO(to)))
		return fail(-EBUSY, "%s: the controller is %s and cannot become %s", c->uri,
			    hba_state_name(c->state), hba_state_name(to));
	__atomic_store_n(&c->state, to, __ATOMIC_RELEASE);
	event_put(c, HBA_EVENT_STATE, HBA_NO_TARGET, NULL, to, "the controller is %s",
		  hba_state_name(to));
	return 0;
}

void step_record(struct hba_controller *c, const char *name, uint64_t ns, int error)
{
	if (c->n_steps < MAX_STEPS)
		c->steps[c->n_steps++] = (struct hba_step) { name, ns, error };
	hba_log(c, error < 0 ? HBA_LOG_ERROR : HBA_LOG_INFO, "%s took %llu us: %s", name,
		(unsigned long long)(ns / 1000), error < 0 ? strerror(-error) : "done");
}

int driver_error(const struct hba_controller *c, const char *op, int error)
{
	if (c->op_sentence[0])
		return fail(error, "%s: %s", c->uri, c->op_sentence);
	return fail(error, "%s: driver %s failed in %s: %s", c->uri, c->driver->name, op,
		    strerror(-error));
}

enum hba_state hba_controller_state(const struct hba_controller *c)
{
	assert(c);
	return __atomic_load_n(&c->state, __ATOMIC_ACQUIRE);
}
