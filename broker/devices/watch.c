/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "watch.h"

static bool is(const char *a, const char *b)
{
	return a && !strcmp(a, b);
}

/*
 * A device was bound, or a node of VFIO was added: it can appear, or get its
 * permissions, only after the bind.  Unbinding is not needed here: the kernel has asked
 * for the device before, and waited until it was closed.
 */
static int on_device(sd_device_monitor *monitor, sd_device *device, void *data)
{
	const struct watch_calls *calls = data;
	const char *subsystem = NULL, *name = NULL;
	sd_device_action_t action;

	(void)monitor;
	if (sd_device_get_action(device, &action) < 0 ||
	    (action != SD_DEVICE_ADD && action != SD_DEVICE_BIND) ||
	    sd_device_get_subsystem(device, &subsystem) < 0)
		return 0;
	if (!is(subsystem, "pci"))
		calls->present(calls->data, NULL);
	else if (sd_device_get_sysname(device, &name) >= 0)
		calls->present(calls->data, name);
	return 0;
}

static int start_monitor(struct watcher *watcher)
{
	static const char *const subsystems[] = { "pci", "vfio", "vfio-dev" };
	int ret = sd_device_monitor_new(&watcher->monitor);

	for (int i = 0; ret >= 0 && i < 3; i++)
		ret = sd_device_monitor_filter_add_match_subsystem_devtype(watcher->monitor,
									    subsystems[i], NULL);
	if (ret >= 0)
		ret = sd_device_monitor_attach_event(watcher->monitor, watcher->event);
	if (ret >= 0)
		ret = sd_device_monitor_start(watcher->monitor, on_device, (void *)watcher->calls);
	return ret;
}

int watcher_init(struct watcher *watcher, const struct watch_calls *calls)
{
	int ret;

	*watcher = (struct watcher){ .calls = calls };
	ret = sd_event_new(&watcher->event);
	if (ret < 0) {
		errno = -ret;
		return -1;
	}
	/* Without the monitor, devices are found when the core tries again. */
	if (start_monitor(watcher) < 0)
		watcher->monitor = sd_device_monitor_unref(watcher->monitor);
	return 0;
}

void watcher_destroy(struct watcher *watcher)
{
	sd_device_monitor_unref(watcher->monitor);
	sd_event_unref(watcher->event);
}

int watcher_fd(const struct watcher *watcher)
{
	return sd_event_get_fd(watcher->event);
}

void watcher_look(struct watcher *watcher)
{
	while (sd_event_run(watcher->event, 0) > 0)
		;
}

static int on_request(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct watch *watch = data;
	eventfd_t count;

	(void)source, (void)events;
	eventfd_read(fd, &count);
	watch->calls->unplug(watch->calls->data, watch);
	return 0;
}

/* False: there is nothing to report. */
static bool read_event(struct watch *watch)
{
	int state = vdb_event_read(sd_event_source_get_io_fd(watch->events), NULL);

	/* The device was closed, by its worker: the state no longer matters. */
	if (state == VDB_STATE_REVOKED)
		sd_event_source_set_enabled(watch->events, SD_EVENT_OFF);
	if (state < 0 || state == VDB_STATE_REVOKED)
		return false;
	watch->suspended = state == VDB_STATE_SUSPENDED;
	return true;
}

static int on_event(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct watch *watch = data;

	(void)source, (void)fd, (void)events;
	if (read_event(watch))
		watch->calls->suspended(watch->calls->data, watch, watch->suspended);
	return 0;
}

bool watch_takes_resume(struct watch *watch)
{
	return watch->events && watch->suspended && read_event(watch) && !watch->suspended;
}

static int add(struct watcher *watcher, struct watch *watch, sd_event_source **source, int fd,
	       sd_event_io_handler_t handler)
{
	int ret = sd_event_add_io(watcher->event, source, fd, EPOLLIN, handler, watch);

	if (ret < 0) {
		close(fd);
		errno = -ret;
		return -1;
	}
	sd_event_source_set_io_fd_own(*source, true);
	return 0;
}

int watch_begin(struct watcher *watcher, struct watch *watch, int request, int events,
		bool suspended)
{
	watch->calls = watcher->calls;
	watch->suspended = suspended;
	if (add(watcher, watch, &watch->request, request, on_request)) {
		close(events);
		return -1;
	}
	if (add(watcher, watch, &watch->events, events, on_event)) {
		watch_end(watch);
		return -1;
	}
	return 0;
}

void watch_end(struct watch *watch)
{
	watch->request = sd_event_source_disable_unref(watch->request);
	watch->events = sd_event_source_disable_unref(watch->events);
}
