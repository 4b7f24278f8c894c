/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/container.h"
#include "common/fds.h"
#include "devices.h"
#include "direct.h"
#include "unsent.h"
#include "worker.h"

/*
 * Results of what the loop has done itself, between two calls of devices_next().  If there
 * is more to do, as after a client with thousands of leases, workers do it meanwhile.
 */
#define MAX_DONE	8

struct devices {
	const struct devices_store *store;
	const struct catalogue *catalogue;
	struct worker **workers;
	size_t nr;
	struct results results;
	struct watch_calls calls;
	struct watcher watcher;
	struct unsents unsents;
	struct event done[MAX_DONE];		/* results, for devices_next(), before any other */
	size_t nr_done, next_done;
	struct job *taken;			/* results, for devices_next() */
	struct job *given;			/* that devices_next() returned last, or NULL */
	struct job refused;			/* for a device without memory */
};

/* Finding things. */

static struct worker *find_worker(const struct devices *devices, const char *bdf)
{
	for (size_t i = 0; i < devices->nr; i++)
		if (!strcmp(devices->workers[i]->held.bdf, bdf))
			return devices->workers[i];
	return NULL;
}

static struct worker *numbered(const struct devices *devices, uint32_t number)
{
	for (size_t i = 0; i < devices->nr; i++)
		if (devices->workers[i]->number == number)
			return devices->workers[i];
	return NULL;
}

static struct worker *find_or_add_worker(struct devices *devices, const char *bdf)
{
	struct worker *worker = find_worker(devices, bdf), **workers;

	if (worker)
		return worker;
	workers = realloc(devices->workers, (devices->nr + 1) * sizeof(*workers));
	if (!workers)
		return NULL;
	devices->workers = workers;
	worker = worker_new(bdf, devices->store, &devices->results);
	if (worker)
		workers[devices->nr++] = worker;
	return worker;
}

/* Events without a job. */

static void notify(struct devices *devices, struct worker *worker, enum notice which, bool suspended)
{
	struct job *notice = &worker->notices[which];

	notice->event.device = worker->number;
	notice->event.suspended = suspended;
	if (notice->busy || worker->number == NO_NUMBER)
		return;
	notice->busy = true;
	results_put(&devices->results, notice);
}

/* Without memory for a job, the device must be closed, which replaces every job. */
static void lose(struct devices *devices, struct worker *worker)
{
	strcpy(worker->why, "no memory");
	notify(devices, worker, NOTICE_UNPLUG, false);
}

static struct worker *watched(struct watch *watch)
{
	return CONTAINER(watch, struct worker, watch);
}

static void on_unplug(void *devices, struct watch *watch)
{
	strcpy(watched(watch)->why, "it is being unbound or unplugged");
	notify(devices, watched(watch), NOTICE_UNPLUG, false);
}

static void on_suspended(void *devices, struct watch *watch, bool suspended)
{
	notify(devices, watched(watch), NOTICE_SUSPENDED, suspended);
}

static void on_present(void *data, const char *bdf)
{
	struct devices *devices = data;

	for (size_t i = 0; i < devices->nr; i++) {
		struct worker *worker = devices->workers[i];

		if (!worker->open && (!bdf || !strcmp(worker->held.bdf, bdf)))
			notify(devices, worker, NOTICE_PRESENT, false);
	}
}

/* Making and ending. */

struct devices *devices_new(const struct devices_store *store)
{
	struct devices *devices = calloc(1, sizeof(*devices));

	if (!devices)
		return NULL;
	devices->store = store;
	devices->refused = (struct job){ .spare = true };
	devices->calls = (struct watch_calls){ devices, on_unplug, on_suspended, on_present };
	if (results_init(&devices->results)) {
		free(devices);
		return NULL;
	}
	if (watcher_init(&devices->watcher, &devices->calls)) {
		results_destroy(&devices->results);
		free(devices);
		return NULL;
	}
	return devices;
}

static void discard(struct devices *devices, struct job *job)
{
	if (job->unsent)
		unsent_drop(&devices->unsents, job->unsent);
	job->unsent = NULL;
	fds_close(&job->request, 1);
	fds_close(&job->events, 1);
}

void devices_free(struct devices *devices)
{
	struct event event;

	if (!devices)
		return;
	for (size_t i = 0; i < devices->nr; i++)
		worker_stop(devices->workers[i]);
	/* Results that they have left. */
	while (devices_next(devices, &event))
		;
	for (size_t i = 0; i < devices->nr; i++)
		worker_free(devices->workers[i]);
	free(devices->workers);
	unsents_free(&devices->unsents);
	watcher_destroy(&devices->watcher);
	results_destroy(&devices->results);
	free(devices);
}

int devices_set_catalogue(struct devices *devices, const struct catalogue *catalogue)
{
	/* Its devices are opened next. */
	for (size_t i = 0; catalogue && i < catalogue->nr_devices; i++)
		if (!find_or_add_worker(devices, catalogue->devices[i].bdf)) {
			errno = ENOMEM;
			return -1;
		}
	devices->catalogue = catalogue;
	return 0;
}

static const struct catalogue_device *configured(const struct devices *devices, const char *bdf)
{
	return devices->catalogue ? catalogue_find_device(devices->catalogue, bdf) : NULL;
}

bool devices_fit(const struct devices *devices, const struct catalogue *catalogue, char *why,
		 size_t size)
{
	for (size_t i = 0; i < catalogue->nr_devices; i++) {
		const struct catalogue_device *device = &catalogue->devices[i];
		const struct worker *worker = find_worker(devices, device->bdf);

		for (size_t j = 0; worker && worker->open && j < device->nr_slices; j++)
			if (!facts_fit(&worker->facts, device->bdf, &device->slices[j], why, size))
				return false;
	}
	return true;
}

int devices_adopt(struct devices *devices, const char *bdf, int fd)
{
	struct worker *worker = find_or_add_worker(devices, bdf);

	/* Its thread runs from now on, so that it can close the device if something else fails. */
	return worker ? worker_adopt(worker, fd) : -1;
}

int devices_adopt_dma(struct devices *devices, const char *bdf, int fd, uint32_t ioas)
{
	struct worker *worker = find_or_add_worker(devices, bdf);

	if (!worker || worker->held.iommu >= 0) {
		errno = worker ? EEXIST : ENOMEM;
		return -1;
	}
	worker->held.iommu = fd;
	worker->held.ioas = ioas;
	return 0;
}

int devices_adopt_driver(struct devices *devices, const char *bdf, int fd)
{
	struct worker *worker = find_or_add_worker(devices, bdf);

	if (!worker || worker->held.stored_driver >= 0) {
		errno = worker ? EEXIST : ENOMEM;
		return -1;
	}
	worker->held.stored_driver = fd;
	return 0;
}

int devices_adopt_memory(struct devices *devices, const struct lease_record *lease, int fd)
{
	struct worker *worker = find_or_add_worker(devices, lease->bdf);
	struct held *held = worker ? &worker->held : NULL;
	struct lent_memory *memories = held ?
		realloc(held->memories, (held->nr_memories + 1) * sizeof(*memories)) : NULL;

	if (!memories) {
		errno = ENOMEM;
		return -1;
	}
	held->memories = memories;
	memories[held->nr_memories++] = (struct lent_memory){
		.lease = lease->id,
		.index = lease->index,
		.fd = fd,
		.iova = lease->iova,
		.length = lease->memory,
	};
	return 0;
}

/* Jobs. */

static struct slice slice_of_lease(const struct lease_record *lease)
{
	struct slice slice = {
		.bar = lease->bar,
		.count = 1,
		.offset = lease->offset,
		.length = lease->length,
		.memory = lease->memory,
		.flags = lease->flags,
		.actions = lease->actions,
	};

	memcpy(slice.name, lease->slice, sizeof(slice.name));
	return slice;
}

/* The catalogue can change before the worker does the job. */
static bool copy_slices(const struct devices *devices, struct job *job)
{
	const struct catalogue_device *device = configured(devices, job->bdf);

	if (!device) {
		strcpy(job->why, "it is not configured");
		return false;
	}
	job->slices = calloc(device->nr_slices + 1, sizeof(*job->slices));
	if (!job->slices)
		return false;
	job->nr_slices = device->nr_slices;
	for (size_t i = 0; i < device->nr_slices; i++) {
		job->slices[i] = device->slices[i];
		job->slices[i].rule = (struct rule){ 0 };
	}
	return true;
}

static void copy_settings(const struct devices *devices, struct job *job)
{
	const struct catalogue_device *device = configured(devices, job->bdf);

	if (!device)
		return;
	memcpy(job->vf_token, device->vf_token, sizeof(job->vf_token));
	job->driver = device->driver;
}

/* A lease that continues keeps its depth. */
static uint32_t depth_of_slice(const struct devices *devices, const char *name)
{
	const struct catalogue_device *device;
	const struct slice *slice = devices->catalogue ?
				    catalogue_find_slice(devices->catalogue, name, &device) : NULL;

	return slice ? slice->depth : 1;
}

/* What the worker needs.  It must not use any other data of the loop. */
static bool fill_in(struct devices *devices, struct worker *worker, struct job *job,
		    const struct effect *effect)
{
	switch (effect->type) {
	case EFFECT_OPEN:
		copy_settings(devices, job);
		return true;
	case EFFECT_PREPARE:
		return copy_slices(devices, job);
	case EFFECT_EXPORT:
		job->slice = slice_of_lease(effect->saved_lease);
		job->slice.depth = depth_of_slice(devices, job->slice.name);
		job->index = effect->saved_lease->index;
		job->unsent = unsent_new(&devices->unsents, effect->lease, worker->number);
		return job->unsent;
	case EFFECT_ACT:
		job->slice = slice_of_lease(effect->saved_lease);
		job->index = effect->saved_lease->index;
		return true;
	default:
		return true;
	}
}

/* What the loop does before the worker. */
static void before(struct devices *devices, struct worker *worker, const struct effect *effect)
{
	switch (effect->type) {
	case EFFECT_OPEN:
		*worker->why = '\0';
		break;
	case EFFECT_REVOKE:
		unsents_close(&devices->unsents, effect->lease);
		break;
	case EFFECT_CLOSE:
		worker->open = false;
		watch_end(&worker->watch);
		unsents_close_device(&devices->unsents, worker->number);
		break;
	default:
		break;
	}
}

/*
 * Whether the loop can do a job of the worker.  The results of one device are in the order
 * of its jobs, so it must have none.
 */
static bool is_idle(const struct devices *devices, const struct worker *worker)
{
	return worker->open && worker->facts.direct && !worker->pending &&
	       devices->nr_done < MAX_DONE;
}

static bool export_now(struct devices *devices, const struct worker *worker,
		       const struct effect *effect, uint64_t *buffer)
{
	struct unsent *unsent = unsent_new(&devices->unsents, effect->lease, worker->number);

	if (!unsent)
		return false;
	if (!direct_export(worker->fd, effect->saved_lease, unsent->fds, buffer)) {
		unsent_drop(&devices->unsents, unsent);
		return false;
	}
	unsent_keep(&devices->unsents, unsent);
	return true;
}

/* False: it is a job for the worker. */
static bool do_now(struct devices *devices, const struct worker *worker,
		   const struct effect *effect)
{
	uint64_t buffer = effect->buffer;
	enum event_type type;

	if (!is_idle(devices, worker))
		return false;
	/* Allocating memory takes time. */
	if (effect->type == EFFECT_EXPORT && !effect->saved_lease->memory &&
	    export_now(devices, worker, effect, &buffer))
		type = EVENT_EXPORTED;
	else if (effect->type == EFFECT_REVOKE && direct_revoke(worker->fd, buffer))
		type = EVENT_REVOKED;
	else
		return false;
	devices->done[devices->nr_done++] = (struct event){
		.type = type,
		.ok = true,
		.device = worker->number,
		.lease = effect->lease,
		.buffer = buffer,
	};
	return true;
}

static void put_job(struct devices *devices, struct worker *worker, struct job *job,
		    const struct effect *effect)
{
	if (!fill_in(devices, worker, job, effect)) {
		if (!*job->why)
			strcpy(job->why, "no memory");
	} else if (!worker_put(worker, job)) {
		return;
	} else if (effect->type == EFFECT_OPEN) {
		snprintf(job->why, sizeof(job->why), "no thread: %s", strerror(errno));
	} else if (effect->type == EFFECT_CLOSE) {
		job->event.ok = true;
	} else {
		strcpy(job->why, "it is not open");
	}
	/* After what the worker has done before. */
	results_put(&devices->results, job);
}

static void refuse(struct devices *devices, const struct effect *effect)
{
	struct job *job = &devices->refused;

	if (job->busy)
		return;
	job->busy = true;
	job->request = job->events = -1;
	job->type = effect->type;
	job->event = (struct event){
		.type = effect->type == EFFECT_OPEN ? EVENT_OPENED : EVENT_CLOSED,
		.device = effect->device,
	};
	/* After what the worker has done before. */
	results_put(&devices->results, job);
}

void devices_do(struct devices *devices, const struct effect *effect)
{
	bool named = effect->type == EFFECT_OPEN || effect->type == EFFECT_CLOSE;
	struct worker *worker;
	struct job *job;

	if (effect->type < EFFECT_OPEN || effect->type > EFFECT_CLOSE)
		return;
	worker = named ? find_or_add_worker(devices, effect->bdf) : numbered(devices, effect->device);
	if (!worker) {
		if (named)
			refuse(devices, effect);
		return;
	}
	worker->number = effect->device;
	before(devices, worker, effect);
	if (do_now(devices, worker, effect))
		return;
	job = worker_job(worker, effect);
	/* Its earlier results no longer matter. */
	if (effect->type == EFFECT_CLOSE)
		worker->incarnation++;
	if (!job) {
		lose(devices, worker);
		return;
	}
	worker->pending++;
	put_job(devices, worker, job, effect);
}

/* Results. */

int devices_fd(const struct devices *devices)
{
	return devices->results.fd;
}

int devices_watch_fd(const struct devices *devices)
{
	return watcher_fd(&devices->watcher);
}

void devices_look(struct devices *devices)
{
	watcher_look(&devices->watcher);
}

static void opened(struct devices *devices, struct worker *worker, struct job *job)
{
	/* A close can be queued already. */
	if (!job->event.ok || job->incarnation != worker->incarnation) {
		discard(devices, job);
		return;
	}
	worker->open = true;
	worker->facts = job->facts;
	worker->fd = job->fd;
	if (watch_begin(&devices->watcher, &worker->watch, job->request, job->events,
			job->event.suspended))
		lose(devices, worker);
	job->request = job->events = -1;
}

static void exported(struct devices *devices, struct worker *worker, struct job *job)
{
	if (job->event.ok && job->incarnation == worker->incarnation) {
		unsent_keep(&devices->unsents, job->unsent);
		job->unsent = NULL;
	}
	discard(devices, job);
}

static void take_note(struct devices *devices, struct job *job)
{
	struct worker *worker = numbered(devices, job->event.device);

	if (!worker) {
		discard(devices, job);
		return;
	}
	if (*job->why)
		strcpy(worker->why, job->why);
	if (job->event.type == EVENT_OPENED)
		opened(devices, worker, job);
	else if (job->event.type == EVENT_EXPORTED)
		exported(devices, worker, job);
}

/* False: there is none. */
static bool next_done(struct devices *devices, struct event *event)
{
	if (devices->next_done == devices->nr_done) {
		devices->next_done = devices->nr_done = 0;
		return false;
	}
	*event = devices->done[devices->next_done++];
	return true;
}

/*
 * The result of a job that resets the device can come before the loop looks at the watch.
 * The core must not treat the device as suspended if the result says that the device
 * works.
 */
static bool next_resume(const struct devices *devices, struct event *event)
{
	struct worker *worker = devices->taken ? devices->taken->worker : NULL;

	if (!worker || !watch_takes_resume(&worker->watch))
		return false;
	/* It can be on its way. */
	worker->notices[NOTICE_SUSPENDED].event.suspended = false;
	*event = (struct event){ .type = EVENT_SUSPENDED, .device = worker->number };
	return true;
}

bool devices_next(struct devices *devices, struct event *event)
{
	struct job *job;

	if (next_done(devices, event))
		return true;

	if (devices->given)
		job_free(devices->given);
	devices->given = NULL;
	if (!devices->taken)
		devices->taken = results_take(&devices->results);
	if (next_resume(devices, event))
		return true;
	job = devices->taken;
	if (!job)
		return false;
	devices->taken = job->next;
	if (job->worker)
		job->worker->pending--;
	take_note(devices, job);
	*event = job->event;
	/* Only these events have pointers. */
	if (event->type == EVENT_OPENED)
		devices->given = job;
	else
		job_free(job);
	return true;
}

bool devices_take_fds(struct devices *devices, uint64_t lease, int fds[LEASE_FDS])
{
	return unsents_take(&devices->unsents, lease, fds);
}

/* Looking. */

bool devices_status(const struct devices *devices, size_t i, struct device_status *status)
{
	static const char *const doing[] = {
		[EFFECT_OPEN] = "open", [EFFECT_PREPARE] = "prepare", [EFFECT_EXPORT] = "export",
		[EFFECT_REVOKE] = "revoke", [EFFECT_ACT] = "on-release actions",
		[EFFECT_UNMAP] = "unmap memory", [EFFECT_CLOSE] = "close",
	};
	struct worker *worker;
	int type;

	if (i >= devices->nr)
		return false;
	worker = devices->workers[i];
	type = worker->doing;
	*status = (struct device_status){
		.bdf = worker->held.bdf,
		.number = worker->number,
		.doing = type < 0 ? NULL : doing[type],
		.since = type < 0 ? 0 : worker->since,
		.waiting = queue_length(&worker->queue),
		.why = worker->why,
	};
	return true;
}

const char *devices_why(const struct devices *devices, uint32_t device)
{
	const struct worker *worker = numbered(devices, device);

	return worker ? worker->why : "";
}
