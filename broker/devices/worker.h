/* SPDX-License-Identifier: MIT */
/* A device's worker: its thread, and the loop's data about it. */
#ifndef DEVICES_WORKER_H
#define DEVICES_WORKER_H

#include <stdatomic.h>

#include "operate.h"
#include "queue.h"
#include "results.h"
#include "watch.h"

#define NO_NUMBER	UINT32_MAX
#define JOB_TYPES	(EFFECT_CLOSE - EFFECT_OPEN + 1)

/* Events without a job. */
enum notice { NOTICE_UNPLUG, NOTICE_PRESENT, NOTICE_SUSPENDED, NR_NOTICES };

struct worker {
	/* The thread's. */
	struct held held;
	_Atomic int doing;		/* enum effect_type; -1: nothing */
	_Atomic uint64_t since;

	/* Of both. */
	struct queue queue;
	struct results *results;

	/* The loop's. */
	pthread_t thread;
	bool has_thread;		/* which may have ended, but was not joined */
	bool open;			/* since EVENT_OPENED, until EFFECT_CLOSE */
	unsigned int incarnation;	/* of the device: the number of EFFECT_CLOSE so far */
	uint32_t number;		/* of the device in the core; NO_NUMBER: none yet */
	struct facts facts;		/* valid if it is open */
	int fd;				/* likewise; the thread's, which closes it after EFFECT_CLOSE */
	size_t pending;			/* jobs whose results have not been taken */
	struct watch watch;
	char why[WHY_SIZE];
	struct job spares[JOB_TYPES];	/* used if no memory is left for a job */
	struct job notices[NR_NOTICES];
};

/* NULL: no memory. */
struct worker *worker_new(const char *bdf, const struct devices_store *store,
			  struct results *results);
/* Ends the thread after its current job.  The other jobs become results as they are. */
void worker_stop(struct worker *worker);
/* Frees a stopped worker, and closes its fds. */
void worker_free(struct worker *worker);

/* Before EFFECT_OPEN.  The worker then waits for that, or for EFFECT_CLOSE.  -1 with errno. */
int worker_adopt(struct worker *worker, int fd);
/*
 * Queues a job.  Starts a thread if the job opens the device.  -1 with errno: the caller
 * keeps the job.  ENODEV: it has no thread and no open device.
 */
int worker_put(struct worker *worker, struct job *job);
/* Allocates a job whose result is a failure so far.  NULL: no memory. */
struct job *worker_job(struct worker *worker, const struct effect *effect);
void job_free(struct job *job);

#endif
