/* SPDX-License-Identifier: MIT */
/* Memory that is freed together. */
#ifndef CONFIG_ARENA_H
#define CONFIG_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct chunk;

struct arena {
	struct chunk *chunks;
	bool failed;		/* an allocation failed */
};

/* Zeroed; NULL: no memory. */
void *arena_new(struct arena *arena, size_t nr, size_t size);
/* A copy of @size bytes with a NUL after them; NULL: no memory. */
char *arena_text(struct arena *arena, const char *text, size_t size);
void arena_free(struct arena *arena);

#endif
