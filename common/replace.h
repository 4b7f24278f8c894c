/* SPDX-License-Identifier: MIT */
/* Files that are replaced as a whole. */
#ifndef COMMON_REPLACE_H
#define COMMON_REPLACE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A reader finds the complete former text or the complete new one.  The new text is
 * first written to "<path>.new".  @sync: the same holds after a crash, when the directory
 * is synced as well.  0, or -1 with errno.
 */
int file_replace(const char *path, const char *text, size_t size, bool sync);

#endif
