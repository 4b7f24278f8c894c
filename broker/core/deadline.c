/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "deadline.h"

bool deadlines_reserve(struct deadlines *deadlines, size_t nr)
{
	size_t room = deadlines->room ? deadlines->room : 16;
	struct lease **heap;

	while (room < nr)
		room *= 2;
	if (room == deadlines->room)
		return true;
	heap = realloc(deadlines->heap, room * sizeof(struct lease *));
	if (!heap)
		return false;
	deadlines->heap = heap;
	deadlines->room = room;
	return true;
}

static void put(struct deadlines *deadlines, size_t at, struct lease *lease)
{
	deadlines->heap[at] = lease;
	lease->heap_index = at;
}

static void up(struct deadlines *deadlines, size_t at, struct lease *lease)
{
	while (at && deadlines->heap[(at - 1) / 2]->deadline > lease->deadline) {
		put(deadlines, at, deadlines->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	put(deadlines, at, lease);
}

static void down(struct deadlines *deadlines, size_t at, struct lease *lease)
{
	for (;;) {
		size_t child = 2 * at + 1;

		if (child + 1 < deadlines->nr &&
		    deadlines->heap[child + 1]->deadline < deadlines->heap[child]->deadline)
			child++;
		if (child >= deadlines->nr || deadlines->heap[child]->deadline >= lease->deadline)
			break;
		put(deadlines, at, deadlines->heap[child]);
		at = child;
	}
	put(deadlines, at, lease);
}

static void take_out(struct deadlines *deadlines, size_t at)
{
	struct lease *last = deadlines->heap[--deadlines->nr];

	if (at == deadlines->nr)
		return;
	down(deadlines, at, last);
	up(deadlines, last->heap_index, last);
}

void deadline_set(struct deadlines *deadlines, struct lease *lease, uint64_t time)
{
	if (lease->deadline)
		take_out(deadlines, lease->heap_index);
	lease->deadline = time;
	if (time)
		up(deadlines, deadlines->nr++, lease);
}

struct lease *deadline_first(const struct deadlines *deadlines)
{
	return deadlines->nr ? deadlines->heap[0] : NULL;
}

void deadlines_free(struct deadlines *deadlines)
{
	free(deadlines->heap);
	*deadlines = (struct deadlines){ 0 };
}
