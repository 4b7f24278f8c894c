/* SPDX-License-Identifier: MIT */
/* How often something can happen: a number of times at once, and then at a rate. */
#ifndef CONNECTIONS_BUCKET_H
#define CONNECTIONS_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket_limit {
	uint32_t burst;		/* at once */
	uint64_t interval;	/* microseconds for each further one; 0: no limit */
};

/* All zero: nothing has happened yet. */
struct bucket {
	uint64_t settled;	/* the time at which all of the burst is free again */
};

/* Microseconds until the next one can happen; 0: now. */
uint64_t bucket_wait(const struct bucket *bucket, const struct bucket_limit *limit, uint64_t now);
/* Counts one.  False: it is too early, and nothing is counted. */
bool bucket_take(struct bucket *bucket, const struct bucket_limit *limit, uint64_t now);

#endif
