/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * dmabuf-test-obstacle: what a client can be in the way with, for as long as the test
 * likes.
 */
#ifndef DMABUF_TEST_OBSTACLE_H
#define DMABUF_TEST_OBSTACLE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define OBSTACLE_PATH	"/dev/dmabuf-test-obstacle"

struct obstacle_hold {
	__s32 file;		/* a mapped file */
	__s32 event_fd;		/* an eventfd, signaled when the lock is held */
};

/*
 * Holds i_mmap_rwsem of a file's address space until a signal comes, as a client does
 * that is not run in the middle of mmap().
 */
#define OBSTACLE_HOLD	_IOW('w', 0x78, struct obstacle_hold)
/*
 * The calling process has an MMU notifier until the file is closed.  EOPNOTSUPP: the
 * kernel has none.
 */
#define OBSTACLE_NOTIFY	_IO('w', 0x79)
/* How often that has been called. */
#define OBSTACLE_CALLS	_IO('w', 0x7a)

#endif
