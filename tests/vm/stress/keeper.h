/* SPDX-License-Identifier: MIT */
/*
 * An owner: the process that keeps the devices of one group open.  For each of them it
 * has three threads: one exports slices and revokes them (exporter.c), one suspends the
 * device and closes it (disturber.c), one lists buffers (inspector.c).
 */
#ifndef STRESS_KEEPER_H
#define STRESS_KEEPER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "board.h"
#include "device.h"
#include "random.h"

#define MOST_KEPT	2

/* A slot's slice, of the newest generation. */
struct lent {
	pthread_mutex_t lock;	/* protects id and generation, for the inspector */
	uint64_t id;		/* 0 if the driver has none */
	uint32_t generation;
	/* The exporter's own: */
	_Atomic int fd;		/* -1: closed */
	bool read_only;
	int events;
	uint32_t stamped;	/* generation whose stamp all pages have */
};

struct kept {
	struct keeper *keeper;
	unsigned int index;	/* of the board's device */
	const struct stress_device *board;
	struct device dev;
	char *bar;		/* all of it, through the device fd */
	uint64_t bar_size;
	unsigned int pm, express;	/* capabilities in config space, or 0 */
};

struct keeper {
	unsigned int owner;
	int nr;
	struct kept kept[MOST_KEPT];
	/* The devices are open while it is held for reading. */
	pthread_rwlock_t open;
	struct lent lent[NR_SLOTS];
};

/* A thread's step; each holds the lock itself. */
void exporter_step(struct kept *kept, struct random *random, int sender);
void disturber_step(struct kept *kept, struct random *random);
void inspector_step(struct kept *kept, struct random *random);

/* Updates the exporter's slices of a device that was closed and opened: they are revoked. */
void exporter_reopened(struct kept *kept);

void keeper_open(struct keeper *keeper);
/* Marks all slices as being revoked by the closing of their devices, or as revoked. */
void keeper_mark(const struct keeper *keeper, bool dead);
void keeper_close(struct keeper *keeper);

/*
 * One access through the owner's BAR mapping: it waits for the end of suspensions.
 * False at the end of the run.
 */
bool keeper_peek(struct kept *kept, uint64_t at, uint32_t *value);
bool keeper_poke(struct kept *kept, uint64_t at, uint32_t value);

/* A feature of the device. 0 or its result, or -1 with errno. */
long keeper_feature(const struct kept *kept, uint32_t flags, void *data, uint32_t size);
/* Reports a failure, unless @what succeeded or failed with @error. */
void keeper_check(const struct kept *kept, const char *what, bool fine, int error);

/* The process; until the end of the run. */
void keeper_run(unsigned int owner, uint64_t seed) __attribute__((noreturn));

#endif
