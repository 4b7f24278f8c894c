/* SPDX-License-Identifier: MIT */
/* Deadlines of leases, the earliest first: a heap. */
#ifndef CORE_DEADLINE_H
#define CORE_DEADLINE_H

#include "lease.h"

struct deadlines {
	struct lease **heap;
	size_t nr, room;
};

bool deadlines_reserve(struct deadlines *deadlines, size_t nr);
/* @time: 0: no deadline.  Needs room for each lease. */
void deadline_set(struct deadlines *deadlines, struct lease *lease, uint64_t time);
/* The lease with the earliest deadline, or NULL. */
struct lease *deadline_first(const struct deadlines *deadlines);
void deadlines_free(struct deadlines *deadlines);

#endif
