/* SPDX-License-Identifier: MIT */
/* One command at a time on a lent queue pair.  A test that uses them fails if they fail. */
#ifndef TESTS_NVME_IO_H
#define TESTS_NVME_IO_H

#include <stdint.h>
#include <vfio-dmabuf-nvme.h>

/* Waits for a completion; its status. */
uint32_t io_wait(struct vdb_nvme *queue);
/* Writes a block of the first namespace through @queue, and reads it again. */
void io_check(struct vdb_nvme *queue);

#endif
