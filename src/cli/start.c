/* SPDX-License-Identifier: MIT */
/*
 * start.c: a start that a signal ends. hba_controller_start() waits for a device, and signals of
 * this program are read, not delivered; so another thread looks for one meanwhile, and tells what
 * the controller is at.
 */
#include "base/base.h"
#include "cli/cli.h"

#include <hbakit/controller.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* What happens meanwhile is told at that pace; see cli_note_events(). */
enum { LOOK_MS = 200 };

struct watch {
	struct cli_session *session;
	pthread_t thread;
	int over; /* eventfd: the start has ended */
	bool up;
};

/* Left in its descriptor: what it was, the command says. */
static void *watch_signals(void *arg)
{
	const struct watch *w = arg;
	struct pollfd fds[] = {
		{ .fd = w->session->signal_fd, .events = POLLIN },
		{ .fd = w->over, .events = POLLIN },
	};

	while (poll(fds, ARRAY_SIZE(fds), LOOK_MS) == 0)
		cli_note_events(w->session);
	if (fds[0].revents)
		hba_controller_cancel(w->session->controller);
	return NULL;
}

/* Without it a signal is heard when the start has ended. */
static void watch_begin(struct watch *w, struct cli_session *s)
{
	*w = (struct watch) { .session = s, .over = eventfd(0, EFD_CLOEXEC) };
	w->up = w->over >= 0 && pthread_create(&w->thread, NULL, watch_signals, w) == 0;
}

static void watch_end(struct watch *w)
{
	if (w->up) {
		eventfd_write(w->over, 1);
		pthread_join(w->thread, NULL);
	}
	if (w->over >= 0)
		close(w->over);
}

int cli_start(struct cli_session *s)
{
	struct watch watch;
	int r;

	watch_begin(&watch, s);
	r = hba_controller_start(s->controller);
	watch_end(&watch);
	if (cli_interrupted(s))
		return cli_say_interrupted(s, "start");
	return r < 0 ? cli_library_failed(s, NULL) : 0;
}
