/* SPDX-License-Identifier: MIT */
/*
 * An owner that lends NVMe queue pairs without a broker, to programs that take them as
 * vfio-dmabuf run passes them.
 */
#ifndef TESTS_LENT_H
#define TESTS_LENT_H

#include <nvme.h>
#include <stdint.h>

struct lent {
	unsigned int qid;
	struct vdb_slice *doorbells;	/* watched */
	struct vdb_slice *memory;
};

extern struct nvme *lender_nvme;

/* Opens the controller, a device of the lab, and starts it; the test fails if that does. */
void lent_open(const char *name);
/* Stops it and closes the device; the queue pairs must have ended. */
void lent_close(void);

/* Makes queue pair @qid with room for @depth commands. */
void lent_create(struct lent *lent, unsigned int qid, unsigned int depth, uint64_t data);
/* Revokes the doorbells, deletes the queue pair, and takes its memory away. */
void lent_end(struct lent *lent);

/* In the client's process: fds from 3 on, and the environment. */
void lent_pass(const struct lent *lent, unsigned int nr);

#endif
