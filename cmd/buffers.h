/* SPDX-License-Identifier: MIT */
/* The buffers of a function, from the kernel's list. */
#ifndef CMD_BUFFERS_H
#define CMD_BUFFERS_H

#include <stdbool.h>
#include <stddef.h>

#include "parse.h"

struct buffers {
	struct buffer *list;	/* sorted by inode */
	size_t nr, room;
};

/*
 * The kernel lists the buffers to a holder of the device fd, and to root in debugfs.
 * This copies the fd of a process, or reads debugfs.  False, and no buffers, if neither
 * works.
 */
bool buffers_read(const char *bdf, struct buffers *buffers);
/* In debugfs only. */
bool buffers_read_debugfs(const char *bdf, struct buffers *buffers);
void buffers_free(struct buffers *buffers);
/* The buffer whose mappings have this inode, or NULL. */
const struct buffer *buffers_find(const struct buffers *buffers, uint64_t inode);

#endif
