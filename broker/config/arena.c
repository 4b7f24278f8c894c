/* SPDX-License-Identifier: MIT */
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"

struct chunk {
	struct chunk *next;
	alignas(max_align_t) char bytes[];
};

void *arena_new(struct arena *arena, size_t nr, size_t size)
{
	struct chunk *chunk = NULL;

	if (!size || nr <= (SIZE_MAX - sizeof(*chunk)) / size)
		chunk = calloc(1, sizeof(*chunk) + nr * size);
	if (!chunk) {
		arena->failed = true;
		return NULL;
	}
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	return chunk->bytes;
}

char *arena_text(struct arena *arena, const char *text, size_t size)
{
	char *copy = arena_new(arena, size + 1, 1);

	if (copy && size)
		memcpy(copy, text, size);
	return copy;
}

void arena_free(struct arena *arena)
{
	while (arena->chunks) {
		struct chunk *next = arena->chunks->next;

		free(arena->chunks);
		arena->chunks = next;
	}
	arena->failed = false;
}
