/* SPDX-License-Identifier: MIT */
#include "queue.h"

void queue_init(struct queue *queue)
{
	*queue = (struct queue){ .last = &queue->first };
	pthread_mutex_init(&queue->lock, NULL);
	sem_init(&queue->there, 0, 0);
}

void queue_destroy(struct queue *queue)
{
	sem_destroy(&queue->there);
	pthread_mutex_destroy(&queue->lock);
}

void queue_open(struct queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->open = true;
	pthread_mutex_unlock(&queue->lock);
}

bool queue_put(struct queue *queue, struct job *job)
{
	bool open;

	pthread_mutex_lock(&queue->lock);
	open = queue->open && !queue->stopped;
	if (open) {
		job->next = NULL;
		*queue->last = job;
		queue->last = &job->next;
		queue->nr++;
	}
	pthread_mutex_unlock(&queue->lock);
	/* After unlocking, because the thread that wakes up takes the lock. */
	if (open)
		sem_post(&queue->there);
	return open;
}

/* If there is no job: closes the queue, unless @wait. */
static struct job *take_first(struct queue *queue, bool wait)
{
	struct job *job;

	pthread_mutex_lock(&queue->lock);
	job = queue->first;
	if (job) {
		queue->first = job->next;
		if (!queue->first)
			queue->last = &queue->first;
		queue->nr--;
	} else if (!wait || queue->stopped) {
		queue->open = false;
	}
	pthread_mutex_unlock(&queue->lock);
	return job;
}

struct job *queue_take(struct queue *queue, bool wait)
{
	struct job *job;

	for (;;) {
		if (wait)
			sem_wait(&queue->there);
		else
			sem_trywait(&queue->there);
		job = take_first(queue, wait);
		/* A job can be taken before its post, so a post may find no job. */
		if (job || !wait || queue->stopped)
			return job;
	}
}

struct job *queue_stop(struct queue *queue)
{
	struct job *left;

	pthread_mutex_lock(&queue->lock);
	queue->stopped = true;
	left = queue->first;
	queue->first = NULL;
	queue->last = &queue->first;
	queue->nr = 0;
	pthread_mutex_unlock(&queue->lock);
	sem_post(&queue->there);
	return left;
}

size_t queue_length(struct queue *queue)
{
	size_t nr;

	pthread_mutex_lock(&queue->lock);
	nr = queue->nr;
	pthread_mutex_unlock(&queue->lock);
	return nr;
}
