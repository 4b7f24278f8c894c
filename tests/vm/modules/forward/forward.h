/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * dmabuf-test-forward: a file over a DMABUF of another driver, whose mmap() it
 * passes on, as drivers of graphics do.
 */
#ifndef DMABUF_TEST_FORWARD_H
#define DMABUF_TEST_FORWARD_H

#include <linux/ioctl.h>

#define FORWARD_PATH	"/dev/dmabuf-test-forward"

/* The fd of the DMABUF that backs the file from now on. */
#define FORWARD_IMPORT	_IO('w', 0x70)

#endif
