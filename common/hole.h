/* SPDX-License-Identifier: MIT */
/* Freeing the pages of a memfd that other processes have as well. */
#ifndef COMMON_HOLE_H
#define COMMON_HOLE_H

/*
 * Makes a hole of the whole memfd: all who have it mapped see zeros, and a page that one of
 * them uses later counts for its own cgroup.  Pages that are pinned, by a device or by the
 * kernel, are freed when they no longer are.  -1 with errno; -1 is allowed as @fd.
 */
int hole_make(int fd);

#endif
