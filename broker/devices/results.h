/* SPDX-License-Identifier: MIT */
/* Results of all workers, in order, from them to the loop. */
#ifndef DEVICES_RESULTS_H
#define DEVICES_RESULTS_H

#include <pthread.h>

#include "job.h"

struct results {
	pthread_mutex_t lock;
	struct job *first, **last;
	int fd;
};

/* -1 with errno. */
int results_init(struct results *results);
void results_destroy(struct results *results);

void results_put(struct results *results, struct job *job);
/* Takes all results, as a list. */
struct job *results_take(struct results *results);

#endif
