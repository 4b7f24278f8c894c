/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* dmabuf-test-fence: sync files whose fence is never signalled. */
#ifndef DMABUF_TEST_FENCE_H
#define DMABUF_TEST_FENCE_H

#include <linux/ioctl.h>

#define FENCE_PATH	"/dev/dmabuf-test-fence"

/* Returns the fd of a new one. */
#define FENCE_NEW	_IO('f', 0x70)

#endif
