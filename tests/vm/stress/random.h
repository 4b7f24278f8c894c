/* SPDX-License-Identifier: MIT */
/* Random numbers that follow from a seed (splitmix64). */
#ifndef STRESS_RANDOM_H
#define STRESS_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
	uint64_t state;
};

static inline uint64_t random_next(struct random *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* From 0 to @below - 1. */
static inline uint64_t random_below(struct random *r, uint64_t below)
{
	return random_next(r) % below;
}

static inline bool random_chance(struct random *r, unsigned int percent)
{
	return random_below(r, 100) < percent;
}

#endif
