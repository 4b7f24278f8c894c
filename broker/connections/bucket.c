/* SPDX-License-Identifier: MIT */
#include "bucket.h"

uint64_t bucket_wait(const struct bucket *bucket, const struct bucket_limit *limit, uint64_t now)
{
	uint64_t used = bucket->settled > now ? bucket->settled - now : 0;
	uint64_t room = limit->burst * limit->interval;

	return used + limit->interval > room ? used + limit->interval - room : 0;
}

bool bucket_take(struct bucket *bucket, const struct bucket_limit *limit, uint64_t now)
{
	if (bucket_wait(bucket, limit, now))
		return false;
	if (bucket->settled < now)
		bucket->settled = now;
	bucket->settled += limit->interval;
	return true;
}
