/* SPDX-License-Identifier: MIT */
/*
 * Reports of the kernel and of udev about devices: the kernel wants one back, one is
 * suspended, one has appeared.
 */
#ifndef DEVICES_WATCH_H
#define DEVICES_WATCH_H

#include <stdbool.h>

#include <systemd/sd-device.h>
#include <systemd/sd-event.h>

/* The watch of an open device. */
struct watch {
	const struct watch_calls *calls;
	sd_event_source *request, *events;
	bool suspended;			/* as it was last reported */
};

struct watch_calls {
	void *data;
	void (*unplug)(void *data, struct watch *watch);
	void (*suspended)(void *data, struct watch *watch, bool suspended);
	/* @bdf: NULL: not known. */
	void (*present)(void *data, const char *bdf);
};

struct watcher {
	const struct watch_calls *calls;
	sd_event *event;		/* its own; its fd is in the caller's loop */
	sd_device_monitor *monitor;	/* NULL: there is none */
};

/* 0, or -1 with errno. */
int watcher_init(struct watcher *watcher, const struct watch_calls *calls);
void watcher_destroy(struct watcher *watcher);
int watcher_fd(const struct watcher *watcher);
/* Makes the calls for what has been reported. */
void watcher_look(struct watcher *watcher);

/*
 * Takes ownership of @request and @events, also if it fails.  @suspended: as the
 * opening reported it.  -1 with errno.
 */
int watch_begin(struct watcher *watcher, struct watch *watch, int request, int events,
		bool suspended);
/*
 * True: the device was resumed since the last report.  That is not reported again.  Can also
 * be called for a watch that has not begun.
 */
bool watch_takes_resume(struct watch *watch);
/* Can also be called for a watch that has not begun. */
void watch_end(struct watch *watch);

#endif
