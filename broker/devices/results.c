/* SPDX-License-Identifier: MIT */
#include <sys/eventfd.h>
#include <unistd.h>

#include "results.h"

int results_init(struct results *results)
{
	*results = (struct results){ .last = &results->first };
	results->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (results->fd < 0)
		return -1;
	pthread_mutex_init(&results->lock, NULL);
	return 0;
}

void results_destroy(struct results *results)
{
	pthread_mutex_destroy(&results->lock);
	close(results->fd);
}

void results_put(struct results *results, struct job *job)
{
	bool was_empty;

	pthread_mutex_lock(&results->lock);
	was_empty = !results->first;
	job->next = NULL;
	__atomic_store_n(results->last, job, __ATOMIC_RELAXED);
	results->last = &job->next;
	pthread_mutex_unlock(&results->lock);
	/* The first result has woken the loop, which takes them all. */
	if (was_empty)
		eventfd_write(results->fd, 1);
}

struct job *results_take(struct results *results)
{
	struct job *all;

	/* The loop asks in every round, and mostly there is none. */
	if (!__atomic_load_n(&results->first, __ATOMIC_RELAXED))
		return NULL;
	pthread_mutex_lock(&results->lock);
	all = results->first;
	__atomic_store_n(&results->first, NULL, __ATOMIC_RELAXED);
	results->last = &results->first;
	pthread_mutex_unlock(&results->lock);
	return all;
}
