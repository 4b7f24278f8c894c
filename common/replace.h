/* SPDX-License-Identifier: MIT */
/* Files that are replaced as a whole. */
#ifndef COMMON_REPLACE_H
#define COMMON_REPLACE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A reader finds the whole former text or the whole new one, which is written to
 * "<path>.new" first.  @sync: so does one after a crash, once the directory is synced
 * as well.  0, or -1 with errno.
 */
int file_replace(const char *path, const char *text, size_t size, bool sync);

#endif
