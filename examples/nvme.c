/* SPDX-License-Identifier: MIT */
/*
 * A client of the broker that writes and reads blocks of an NVMe drive with a queue pair of
 * its own: each block again and again, with a text, and checks what it reads.  At each line
 * of its input it prints what it has done, and at the end of the input it ends.
 *
 *	nvme SLICE FIRST-BLOCK
 *
 * It overwrites the blocks.  Build it with:
 *	cc nvme.c $(pkgconf --cflags --libs vfio-dmabuf-nvme)
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vfio-dmabuf-nvme.h>

#define BLOCKS	8u	/* how many; one command at a time is outstanding for each */

static struct vdb_client *broker;
static struct vdb_nvme *queue;
static const struct vdb_nvme_namespace *drive;
static uint64_t first, done;
static char *data;	/* in the lent memory: a block to write and a block to read for each */
static struct cell {
	uint64_t round;
	bool writing;
} cells[BLOCKS];

/* Writes the block of a cell, or reads it back. */
static void submit(unsigned int i)
{
	struct cell *cell = &cells[i];
	char *text = data + 2 * i * drive->block_size, *copy = text + drive->block_size;

	cell->writing = !cell->writing;
	if (cell->writing)
		snprintf(text, drive->block_size, "block %" PRIu64 ", round %" PRIu64 ", by user %u\n",
			 first + i, ++cell->round, getuid());
	else
		memset(copy, 0, drive->block_size);
	if (cell->writing ? vdb_nvme_write(queue, drive->id, first + i, 1, text, i) :
			    vdb_nvme_read(queue, drive->id, first + i, 1, copy, i))
		err(1, "block %" PRIu64, first + i);
}

/* The command of a cell is completed. */
static void check(unsigned int i, uint32_t status)
{
	const char *text = data + 2 * i * drive->block_size;

	if (status)
		errx(1, "block %" PRIu64 ": %s", first + i, vdb_nvme_status_text(status));
	if (!cells[i].writing && memcmp(text, text + drive->block_size, drive->block_size)) {
		/* The end of the lease takes the memory away, also between poll() and memcmp(). */
		if (vdb_nvme_has_ended(queue))
			errx(1, "the queue has ended");
		errx(1, "block %" PRIu64 " is not what was written", first + i);
	}
	done++;
}

/* If go_on, each block that is read back is written again. */
static void work(bool go_on)
{
	struct vdb_nvme_completion completions[BLOCKS];
	int nr = vdb_nvme_poll(queue, completions, BLOCKS);

	if (nr < 0)
		err(1, "the queue has ended");
	if (!nr)
		sched_yield();
	for (int i = 0; i < nr; i++) {
		check(completions[i].tag, completions[i].status);
		if (go_on || cells[completions[i].tag].writing)
			submit(completions[i].tag);
	}
}

/* False at the end of the input. */
static bool listen(void)
{
	struct pollfd fds[] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = vdb_client_fd(broker), .events = POLLIN },
	};
	struct vdb_event event;
	char line[80];
	int nr = 0;

	if (!poll(fds, 2, 0))
		return true;
	if (fds[1].revents && (nr = vdb_client_next(broker, &event)) < 0)
		err(1, "the broker");
	if (nr > 0 && event.state == VDB_STATE_REVOKED)
		vdb_nvme_end(queue);
	if (!fds[0].revents)
		return true;
	if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
		return false;
	printf("user %u, queue %u: %" PRIu64 " commands without an error\n", getuid(), vdb_nvme_id(queue), done);
	return true;
}

static void open_queue(const char *name)
{
	char error[VDB_ERROR_SIZE];
	struct vdb_lease lease;
	size_t size;

	/* It stays open: the lease ends with the connection. */
	broker = vdb_client_connect(NULL, 10000, error);
	if (!broker)
		errx(1, "the broker: %s", error);
	if (vdb_client_acquire(broker, name, VDB_ANY_INDEX, 0, 0, 0, &lease))
		errx(1, "%s: %s", name, vdb_client_error(broker));
	if (!lease.memory)
		errx(1, "%s: the broker's configuration gives it no memory", name);
	/* Without the guard, a ring of a revoked doorbell is SIGBUS. */
	if (vdb_guard_enable())
		err(1, "the guard");
	queue = vdb_nvme_open(lease.slice, lease.memory, NULL, error);
	if (!queue)
		errx(1, "%s: %s", name, error);
	vdb_slice_free(lease.slice);
	vdb_slice_free(lease.memory);
	drive = vdb_nvme_namespace(queue, 0);
	data = vdb_nvme_data(queue, &size);
	if (!drive || size < 2 * BLOCKS * drive->block_size || vdb_nvme_depth(queue) < BLOCKS)
		errx(1, "%s: it has no drive, or the lent memory or the depth is too small", name);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		errx(2, "usage: nvme SLICE FIRST-BLOCK");
	setlinebuf(stdout);
	first = strtoull(argv[2], NULL, 0);
	open_queue(argv[1]);
	for (unsigned int i = 0; i < BLOCKS; i++)
		submit(i);
	while (listen())
		work(true);
	/* The last round of each block is written and read back. */
	while (vdb_nvme_outstanding(queue))
		work(false);
	printf("the last round of block %" PRIu64 " was %" PRIu64 "\n", first, cells[0].round);
	vdb_nvme_close(queue);
	return 0;
}
