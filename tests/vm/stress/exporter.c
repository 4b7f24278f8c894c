// SPDX-License-Identifier: MIT
/* The owner's thread that exports slices, passes them on, and revokes them. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "checker.h"
#include "keeper.h"
#include "mailbox.h"
#include "slice.h"

/* A client on the same processor has not read for some ms. */
#define IN_USE_NS	5000000

static uint64_t page_at(const struct slot *slot, uint32_t page)
{
	return slot->offset + page * PAGE;
}

static bool check_page(struct kept *kept, unsigned int nr, uint32_t page)
{
	const struct lent *lent = &kept->keeper->lent[nr];
	uint64_t at = page_at(&board->slots[nr], page);
	uint32_t mark = suspension_mark(kept->index), value, again;
	char who[128];

	if (!keeper_peek(kept, at, &value))
		return false;
	if (value == stamp_of(nr, lent->stamped))
		return true;
	/* Whether the read was wrong, or an earlier write. */
	snprintf(who, sizeof(who), "the owner, %s, at page %u, which then reads %#x,",
		 suspension_none(kept->index, mark) ? "not suspended" : "suspended meanwhile",
		 page, checker_peek(kept->bar + at, &again) ? 0x5160b5 : again);
	return check_value(nr, lent->stamped, value, who);
}

/*
 * All pages must have the stamp of the newest generation, which is revoked: another
 * stamp was written too late.  Then they get the next one.
 */
static bool stamp(struct kept *kept, unsigned int nr)
{
	struct lent *lent = &kept->keeper->lent[nr];
	struct slot *slot = &board->slots[nr];
	uint32_t page, rescans;

	for (page = 0; slot->memory && lent->stamped && page < slot->pages; page++)
		if (!check_page(kept, nr, page))
			return false;
	slot->stamping = lent->generation + 1;
	operation_begin(OP_STAMP);
	do {
		rescans = board->rescans;
		for (page = 0; slot->memory && page < slot->pages; page++)
			if (!keeper_poke(kept, page_at(slot, page),
					 stamp_of(nr, lent->generation + 1)))
				return false;
	} while (rescans % 2 || board->rescans != rescans);
	operation_end();
	lent->stamped = lent->generation + 1;
	return true;
}

/* In one range, or in several, that do not continue each other. */
static int export_slot(struct kept *kept, const struct slot *slot, bool read_only,
		       struct random *random)
{
	uint32_t first = slot->pages / 2;
	const struct vfio_region_dma_range ranges[] = {
		{ page_at(slot, first), (slot->pages - first) * PAGE },
		{ slot->offset, first * PAGE },
	}, whole = { slot->offset, slot->pages * PAGE };
	uint32_t flags = O_CLOEXEC | (read_only ? O_RDONLY : O_RDWR);

	if (slot->memory && first && random_chance(random, 30))
		return slice_export(&kept->dev, kept->board->bar, flags, ranges, 2);
	return slice_export(&kept->dev, kept->board->bar, flags, &whole, 1);
}

static uint64_t id_of(struct kept *kept, int fd)
{
	struct vfio_dmabuf_feature_info info = { .dmabuf_fd = fd };
	long ret;

	if (!board->ids)
		return 0;
	operation_begin(OP_INFO);
	ret = keeper_feature(kept, VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_INFO,
			     &info, sizeof(info));
	keeper_check(kept, "info by fd", !ret && info.buffer.id, errno);
	operation_end();
	return info.buffer.id;
}

static int open_events(struct kept *kept, int fd)
{
	struct vfio_dmabuf_feature_events request = {
		.dmabuf_fd = fd,
		.open_flags = O_CLOEXEC | O_NONBLOCK,
	};
	int events;

	operation_begin(OP_EVENTS);
	events = keeper_feature(kept, VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_EVENTS,
				&request, sizeof(request));
	keeper_check(kept, "events by fd", events >= 0, errno);
	operation_end();
	return events;
}

static void begin(struct kept *kept, unsigned int nr, struct random *random)
{
	struct lent *lent = &kept->keeper->lent[nr];
	struct slot *slot = &board->slots[nr];
	bool read_only = random_chance(random, 10);
	struct vfio_dmabuf_feature_memattr wc = { .memattr = VFIO_DMABUF_MEMATTR_WC };
	uint64_t id;
	int fd;

	if (lent->stamped <= lent->generation && !stamp(kept, nr))
		return;
	operation_begin(OP_EXPORT);
	fd = export_slot(kept, slot, read_only, random);
	keeper_check(kept, "export", fd >= 0, errno);
	operation_end();
	if (fd < 0)
		return;
	id = id_of(kept, fd);
	if (random_chance(random, 20)) {
		wc.dmabuf_fd = fd;
		operation_begin(OP_MEMATTR);
		keeper_check(kept, "memattr",
			     !keeper_feature(kept, VFIO_DEVICE_FEATURE_SET | VFIO_DMABUF_FEATURE_MEMATTR,
					     &wc, sizeof(wc)), errno);
		operation_end();
	}
	lent->fd = fd;
	lent->read_only = read_only;
	lent->events = random_chance(random, 30) ? open_events(kept, fd) : -1;
	pthread_mutex_lock(&lent->lock);
	lent->id = id;
	lent->generation++;
	pthread_mutex_unlock(&lent->lock);
	slot->exported = lent->generation;
}

static void pass(unsigned int nr, struct lent *lent, struct random *random, int sender)
{
	const struct slot *slot = &board->slots[nr];
	const struct loan loan = {
		.slot = nr,
		.generation = lent->generation,
		.size = slot->pages * PAGE,
		.read_only = lent->read_only,
	};
	unsigned int worker = WORKER_CLIENT + random_below(random, NR_CLIENTS);

	if (lent->fd < 0)
		return;
	if (slot->importers && board->importers && random_chance(random, 50))
		worker = WORKER_IMPORTER + random_below(random, NR_IMPORTERS);
	operation_begin(OP_PASS);
	if (mailbox_send(sender, worker, &loan, lent->fd))
		operation_end();
	else
		operation_cancel();
}

/* It must report revoked after the revocation has returned. */
static void check_events(struct kept *kept, struct lent *lent)
{
	struct pollfd p = { .fd = lent->events, .events = POLLIN };
	struct vfio_dmabuf_event event;
	ssize_t n;

	if (lent->events < 0)
		return;
	operation_begin(OP_EVENTS);
	/* A driver that reports in a work item can be late. The watchdog limits that. */
	for (;;) {
		n = read(lent->events, &event, sizeof(event));
		if (n == sizeof(event) && event.state == VFIO_DMABUF_STATE_REVOKED)
			break;
		if (n != sizeof(event) && !(n < 0 && errno == EAGAIN)) {
			board_fail(FAILED_OTHER, "an event file of %s returns %zd, %s", kept->board->name,
				   n, n < 0 ? strerrorname_np(errno) : "");
			break;
		}
		if (poll(&p, 1, 1000) < 0 || board->stop)
			break;
	}
	operation_end();
	close(lent->events);
	lent->events = -1;
}

/* After a revocation by any thread. */
static void end(struct kept *kept, unsigned int nr, struct random *random)
{
	struct lent *lent = &kept->keeper->lent[nr];
	struct vfio_dmabuf_feature_revoke again = { .dmabuf_fd = lent->fd };
	long ret;

	if (!stamp(kept, nr))
		return;
	if (lent->fd >= 0 && random_chance(random, 20)) {
		operation_begin(OP_REVOKE_AGAIN);
		ret = keeper_feature(kept, VFIO_DEVICE_FEATURE_SET | VFIO_DMABUF_FEATURE_REVOKE,
				     &again, sizeof(again));
		if (!ret)
			board_fail(FAILED_OTHER, "a second revocation of slot %u of %s returns 0",
				   nr, kept->board->name);
		else
			keeper_check(kept, "revoke again", errno == EBADFD || errno == ENODEV, errno);
		operation_end();
	}
	check_events(kept, lent);
	if (lent->fd >= 0)
		close(lent->fd);
	lent->fd = -1;
}

static void revoke_slot(struct kept *kept, unsigned int nr, struct random *random)
{
	struct lent *lent = &kept->keeper->lent[nr];
	struct slot *slot = &board->slots[nr];
	bool by_id = lent->fd < 0 || (lent->id && random_chance(random, 50));
	struct vfio_dmabuf_feature_revoke request = { .dmabuf_fd = lent->fd };
	/* By the thread that closes the device. */
	bool ending = slot->ending >= lent->generation;
	uint64_t now;
	long ret;

	if (by_id) {
		request.dmabuf_fd = -1;
		request.id = lent->id;
	}
	generation_reach(&slot->ending, lent->generation);
	operation_begin(by_id ? OP_REVOKE_ID : OP_REVOKE_FD);
	now = board_now();
	if (slot->accessed && now - slot->accessed < IN_USE_NS)
		board->in_use++;
	ret = keeper_feature(kept, VFIO_DEVICE_FEATURE_SET | VFIO_DMABUF_FEATURE_REVOKE,
			     &request, sizeof(request));
	keeper_check(kept, by_id ? "revoke by id" : "revoke by fd",
		     !ret || (errno == EBADFD && (ending || slot->contested >= lent->generation)) ||
		     (errno == ENOENT && lent->fd < 0), errno);
	operation_end();
	board->revocations++;
	generation_reach(&slot->dead, lent->generation);
}

void exporter_reopened(struct kept *kept)
{
	struct lent *lent;

	for (lent = kept->keeper->lent; lent < kept->keeper->lent + NR_SLOTS; lent++)
		if (board->slots[lent - kept->keeper->lent].device == kept->index)
			lent->id = 0;
}

static void slot_step(struct kept *kept, unsigned int nr, struct random *random, int sender)
{
	struct lent *lent = &kept->keeper->lent[nr];
	struct slot *slot = &board->slots[nr];
	unsigned int lot = random_below(random, 100);
	int fd;

	if (slot->dead >= lent->generation && lent->stamped <= lent->generation &&
	    lent->generation)
		end(kept, nr, random);
	else if (slot->dead >= lent->generation)
		begin(kept, nr, random);
	else if (lot < 65)
		pass(nr, lent, random, sender);
	else if (lot < 70 && lent->id && lent->fd >= 0) {
		/* The inspector must not treat a released slice as held. */
		fd = lent->fd;
		lent->fd = -1;
		operation_begin(OP_DROP_FD);
		close(fd);
		operation_end();
	} else if (lot >= (slot->importers ? 96 : 80))	/* a transfer takes 100 ms */
		revoke_slot(kept, nr, random);
}

void exporter_step(struct kept *kept, struct random *random, int sender)
{
	unsigned int first = random_below(random, NR_SLOTS), i, nr;

	pthread_rwlock_rdlock(&kept->keeper->open);
	for (i = 0; i < NR_SLOTS; i++) {
		nr = (first + i) % NR_SLOTS;
		if (board->slots[nr].device == kept->index)
			break;
	}
	slot_step(kept, nr, random, sender);
	pthread_rwlock_unlock(&kept->keeper->open);
	if (random_chance(random, 30))
		usleep(random_below(random, 2000));
}
