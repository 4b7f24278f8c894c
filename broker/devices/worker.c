/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "worker.h"

static const enum event_type results_of[] = {
	[EFFECT_OPEN] = EVENT_OPENED,
	[EFFECT_PREPARE] = EVENT_PREPARED,
	[EFFECT_EXPORT] = EVENT_EXPORTED,
	[EFFECT_REVOKE] = EVENT_REVOKED,
	[EFFECT_ACT] = EVENT_ACTED,
	[EFFECT_UNMAP] = EVENT_UNMAPPED,
	[EFFECT_CLOSE] = EVENT_CLOSED,
};

struct worker *worker_new(const char *bdf, const struct devices_store *store,
			  struct results *results)
{
	static const enum event_type notices[] = { EVENT_UNPLUG, EVENT_PRESENT, EVENT_SUSPENDED };
	struct worker *worker = calloc(1, sizeof(*worker));

	if (!worker)
		return NULL;
	worker->held = (struct held){
		.store = store, .stored = -1, .stored_driver = -1, .iommu = -1,
	};
	snprintf(worker->held.bdf, sizeof(worker->held.bdf), "%s", bdf);
	worker->doing = -1;
	worker->results = results;
	worker->number = NO_NUMBER;
	queue_init(&worker->queue);
	for (int i = 0; i < JOB_TYPES; i++)
		worker->spares[i].spare = true;
	for (int i = 0; i < NR_NOTICES; i++) {
		worker->notices[i].spare = true;
		worker->notices[i].event.type = notices[i];
	}
	return worker;
}

void worker_stop(struct worker *worker)
{
	struct job *job = queue_stop(&worker->queue), *next;

	if (worker->has_thread)
		pthread_join(worker->thread, NULL);
	worker->has_thread = false;
	for (; job; job = next) {
		next = job->next;
		results_put(worker->results, job);
	}
}

void worker_free(struct worker *worker)
{
	watch_end(&worker->watch);
	operate_leave(&worker->held);
	queue_destroy(&worker->queue);
	free(worker);
}

/* While a device is open, it waits for jobs. */
static void *work(void *data)
{
	struct worker *worker = data;
	struct held *held = &worker->held;
	struct job *job;

	while ((job = queue_take(&worker->queue, held->device || held->stored >= 0))) {
		worker->since = clock_now();
		worker->doing = job->type;
		operate(held, job);
		worker->doing = -1;
		results_put(worker->results, job);
	}
	return NULL;
}

/* The thread blocks all signals; the loop handles them. */
static int create_thread(struct worker *worker)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&worker->thread, NULL, work, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

/* @job: the first job, because a thread without a job and without a device ends; or NULL. */
static int start(struct worker *worker, struct job *job)
{
	int error;

	/* It has closed its queue, and ends. */
	if (worker->has_thread)
		pthread_join(worker->thread, NULL);
	queue_open(&worker->queue);
	if (job)
		queue_put(&worker->queue, job);
	error = create_thread(worker);
	worker->has_thread = !error;
	if (!error)
		return 0;
	while (queue_take(&worker->queue, false))
		;
	errno = error;
	return -1;
}

int worker_adopt(struct worker *worker, int fd)
{
	int ret;

	if (worker->has_thread) {
		errno = EBUSY;
		return -1;
	}
	worker->held.stored = fd;
	worker->held.in_store = true;
	ret = start(worker, NULL);
	if (ret) {
		worker->held.stored = -1;
		worker->held.in_store = false;
	}
	return ret;
}

int worker_put(struct worker *worker, struct job *job)
{
	if (queue_put(&worker->queue, job))
		return 0;
	if (job->type == EFFECT_OPEN)
		return start(worker, job);
	errno = ENODEV;
	return -1;
}

struct job *worker_job(struct worker *worker, const struct effect *effect)
{
	struct job *job = calloc(1, sizeof(*job));
	struct job *spare = &worker->spares[effect->type - EFFECT_OPEN];

	if (!job && !spare->busy) {
		job = spare;
		*job = (struct job){ .spare = true, .busy = true };
	}
	if (!job)
		return NULL;
	job->worker = worker;
	job->type = effect->type;
	job->incarnation = worker->incarnation;
	strcpy(job->bdf, worker->held.bdf);
	job->reset = effect->reset;
	job->request = job->events = -1;
	job->event = (struct event){
		.type = results_of[effect->type],
		.device = worker->number,
		.lease = effect->lease,
		.buffer = effect->buffer,
	};
	return job;
}

/* By then its fds have another owner. */
void job_free(struct job *job)
{
	free(job->buffers);
	free(job->slices);
	job->buffers = NULL;
	job->slices = NULL;
	job->busy = false;
	if (!job->spare)
		free(job);
}
