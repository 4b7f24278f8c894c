// SPDX-License-Identifier: MIT
/* An importer: it lets edu's engine read and write the slices that come. */
#define _GNU_SOURCE
#include "dma.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "board.h"
#include "checker.h"
#include "importer/importer.h"
#include "mailbox.h"
#include "random.h"
#include "sysfs.h"

struct engine {
	struct random random;
	int fd;			/* of the importer's file */
	struct loan loan;
	bool attached;
};

static unsigned int exporter_of(const struct loan *loan)
{
	const char *name = board->devices[board->slots[loan->slot].device].name;
	unsigned int bus = 0, device = 0, function = 0;

	sscanf(lab_find(name), "0000:%x:%x.%x", &bus, &device, &function);
	return bus << 8 | device << 3 | function;
}

static void failed(const struct engine *e, const char *what)
{
	board_fail(FAILED_ERRNO, "an importer's %s of slot %u, generation %u: %s", what,
		   e->loan.slot, e->loan.generation, strerrorname_np(errno));
}

static void stale(const struct engine *e, const char *what)
{
	board_fail(FAILED_STALE,
		   "an importer (pid %d) %s slot %u, generation %u, after its revocation had returned",
		   getpid(), what, e->loan.slot, e->loan.generation);
}

static void detach(struct engine *e)
{
	operation_begin(OP_DETACH);
	if (ioctl(e->fd, IMPORTER_DETACH))
		failed(e, "detach");
	operation_end();
	e->attached = false;
}

static void attach(struct engine *e, int slice)
{
	struct importer_attach request = {
		.dmabuf_fd = slice,
		.exporter = exporter_of(&e->loan),
		.bar = 2,
	};
	bool dead = generation_dead(&e->loan);

	operation_begin(OP_ATTACH);
	if (ioctl(e->fd, IMPORTER_ATTACH, &request)) {
		if (errno != ENODEV || !generation_ending(&e->loan))
			failed(e, "attach");
	} else {
		e->attached = true;
		if (dead)
			stale(e, "attaches to");
	}
	operation_end();
}

static void map(struct engine *e)
{
	struct importer_map request = {
		.direction = e->loan.read_only ? IMPORTER_READS : IMPORTER_BOTH,
	};
	unsigned int device = board->slots[e->loan.slot].device;
	uint32_t mark = suspension_mark(device);
	bool dead = generation_dead(&e->loan);

	operation_begin(OP_DMA_MAP);
	if (!ioctl(e->fd, IMPORTER_MAP, &request)) {
		if (dead)
			stale(e, "maps");
	} else if (errno != EBUSY &&
		   !(errno == ENODEV &&
		     (generation_ending(&e->loan) || !suspension_none(device, mark)))) {
		failed(e, "map");
	}
	operation_end();
}

static off_t somewhere(struct engine *e)
{
	return random_below(&e->random, e->loan.size / PAGE) * PAGE;
}

static void refused(const struct engine *e, const char *what)
{
	/* Not mapped, or no longer mapped. */
	if (errno != ENXIO)
		failed(e, what);
	operation_count(OP_DMA_REFUSED, 1);
	operation_cancel();
}

static void dma_write(struct engine *e)
{
	uint32_t stamp = stamp_of(e->loan.slot, e->loan.generation);
	bool dead = generation_dead(&e->loan);

	operation_begin(OP_DMA_WRITE);
	if (pwrite(e->fd, &stamp, sizeof(stamp), somewhere(e)) != sizeof(stamp)) {
		refused(e, "write");
		return;
	}
	operation_end();
	if (dead)
		stale(e, "writes");
}

static void dma_read(struct engine *e)
{
	bool dead = generation_dead(&e->loan);
	uint32_t value;

	operation_begin(OP_DMA_READ);
	if (pread(e->fd, &value, sizeof(value), somewhere(e)) != sizeof(value)) {
		refused(e, "read");
		return;
	}
	operation_end();
	if (dead)
		stale(e, "reads");
	check_value(e->loan.slot, e->loan.generation, value, "an importer");
}

/* Without waiting for it: it ends before a revocation returns. */
static void start(struct engine *e)
{
	struct importer_start request = {
		.offset = somewhere(e),
		.length = sizeof(uint32_t),
	};
	bool dead = generation_dead(&e->loan);

	operation_begin(OP_DMA_START);
	if (ioctl(e->fd, IMPORTER_START, &request)) {
		refused(e, "start");
		return;
	}
	operation_end();
	if (dead)
		stale(e, "starts a transfer of");
}

static void unmap(struct engine *e)
{
	operation_begin(OP_DMA_UNMAP);
	if (!ioctl(e->fd, IMPORTER_UNMAP))
		operation_end();
	else
		refused(e, "unmap");
}

static void step(struct engine *e)
{
	unsigned int lot = random_below(&e->random, 100);

	if (lot < 50)
		map(e);
	else if (lot < 70 && !e->loan.read_only)
		dma_write(e);
	else if (lot < 85)
		dma_read(e);
	else if (lot < 93)
		start(e);
	else if (lot < 97)
		unmap(e);
	else
		detach(e);
}

void dma_run(unsigned int worker, uint64_t seed)
{
	struct engine e = { .random.state = seed };
	int mailbox, slice;
	struct loan loan;

	operation_worker(worker);
	mailbox = mailbox_open(worker);
	e.fd = open(IMPORTER_PATH, O_RDWR | O_CLOEXEC);
	if (e.fd < 0)
		board_fail(FAILED_OTHER, IMPORTER_PATH ": %s", strerrorname_np(errno));
	while (!board->stop) {
		if (mailbox_receive(mailbox, &loan, &slice, e.attached ? 0 : 20)) {
			operation_count(OP_RECEIVE, 1);
			if (e.attached)
				detach(&e);
			e.loan = loan;
			attach(&e, slice);
			close(slice);
		}
		if (e.attached)
			step(&e);
	}
	_exit(0);
}
