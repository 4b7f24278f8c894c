/* SPDX-License-Identifier: MIT */
/* The module's list of a function's buffers, which is for root. */
#ifndef CMD_BUFFERS_H
#define CMD_BUFFERS_H

#include <stdbool.h>
#include <stddef.h>

#include "parse.h"

struct buffers {
	struct buffer *list;
	size_t nr;
};

/* False, and none, if the list cannot be read. */
bool buffers_read(const char *bdf, struct buffers *buffers);
void buffers_free(struct buffers *buffers);
/* The one that is mapped from this inode, or NULL. */
const struct buffer *buffers_find(const struct buffers *buffers, uint64_t inode);

#endif
