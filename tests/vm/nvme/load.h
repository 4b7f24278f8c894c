/* SPDX-License-Identifier: MIT */
/*
 * An unprivileged client of an NVMe queue pair that writes and verifies its own blocks, as
 * fast as it can, on one lease after the other.
 */
#ifndef TESTS_NVME_LOAD_H
#define TESTS_NVME_LOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <vfio-dmabuf.h>

/* In memory that is shared with the client. */
struct load_report {
	bool stop;		/* from the test: finish what is outstanding, and end */
	uint64_t done;		/* commands that succeeded; what was read was right */
	uint64_t lost;		/* commands that ended with their queue */
	uint32_t ended;		/* queues whose end the client has seen */
	uint32_t outstanding;	/* commands now */
	bool wrong;		/* something that must not happen, in words: */
	char what[160];
};

struct load {
	pid_t pid;
	int socket;
	volatile struct load_report *report;
};

/* Blocks of @first and up are its own: LOAD_BLOCKS. */
#define LOAD_BLOCKS	(16u * 32u)

struct load *load_start(uint64_t first);
/* It receives the slices when its last queue has ended. */
void load_lend(struct load *load, const struct vdb_slice *doorbells, const struct vdb_slice *memory);
/* Waits until so many commands are done, or queues ended; the test fails if anything is wrong. */
void load_wait_done(struct load *load, uint64_t done);
void load_wait_ended(struct load *load, uint32_t ended);
/* Lets it finish; the test fails if anything was wrong. */
void load_finish(struct load *load);
/* Kills it at once.  Returns how many commands were outstanding. */
unsigned int load_kill(struct load *load);

#endif
