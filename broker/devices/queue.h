/* SPDX-License-Identifier: MIT */
/*
 * A device's jobs, in order, from the loop to the worker.  The queue is closed while
 * the worker has no thread.
 */
#ifndef DEVICES_QUEUE_H
#define DEVICES_QUEUE_H

#include <pthread.h>
#include <semaphore.h>

#include "job.h"

struct queue {
	pthread_mutex_t lock;
	sem_t there;		/* at least the number of jobs; one wait is one system call */
	struct job *first, **last;
	size_t nr;
	bool open;
	_Atomic bool stopped;
};

void queue_init(struct queue *queue);
void queue_destroy(struct queue *queue);

/* Call it before the thread starts. */
void queue_open(struct queue *queue);
/* False: the queue is closed, and the caller keeps the job. */
bool queue_put(struct queue *queue, struct job *job);
/*
 * Takes the next job; the caller owns it.  If there is none, it waits; if not @wait, it
 * closes the queue and returns NULL.  Also returns NULL once the queue is stopped.
 */
struct job *queue_take(struct queue *queue, bool wait);
/* Ends the thread after its current job.  Returns the jobs that are left; the caller owns them. */
struct job *queue_stop(struct queue *queue);
size_t queue_length(struct queue *queue);

#endif
