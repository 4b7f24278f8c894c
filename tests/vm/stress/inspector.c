// SPDX-License-Identifier: MIT
/* The owner's thread that lists buffers, maps the BAR, and revokes by id. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "checker.h"
#include "keeper.h"
#include "slice.h"

#define AT_ONCE	4

/* A slice that exists, and is kept unless @ending of its slot is set. */
struct seen {
	unsigned int slot;
	uint32_t generation;
	uint64_t id;
};

static bool look(struct kept *kept, struct random *random, struct seen *seen)
{
	unsigned int first = random_below(random, NR_SLOTS), i;
	struct lent *lent;

	for (i = 0; i < NR_SLOTS; i++) {
		seen->slot = (first + i) % NR_SLOTS;
		if (board->slots[seen->slot].device == kept->index)
			break;
	}
	lent = &kept->keeper->lent[seen->slot];
	pthread_mutex_lock(&lent->lock);
	seen->generation = lent->generation;
	seen->id = lent->id;
	pthread_mutex_unlock(&lent->lock);
	return seen->id && board->slots[seen->slot].ending < seen->generation;
}

/* Whether it can be revoked, or released because no process has it any more. */
static bool ending(const struct kept *kept, const struct seen *seen)
{
	/* In this order, so that an open fd is of this generation. */
	bool held = kept->keeper->lent[seen->slot].fd >= 0;

	return !held || board->slots[seen->slot].ending >= seen->generation;
}

static void check_listed(struct kept *kept, const struct seen *seen,
			 const struct vfio_dmabuf_buffer *buffer)
{
	const struct slot *slot = &board->slots[seen->slot];

	if (buffer->size != slot->pages * PAGE || buffer->region_index != kept->board->bar ||
	    buffer->flags & VFIO_DMABUF_BUFFER_BAR_MAPPING)
		board_fail(FAILED_OTHER, "slot %u of %s is listed with size %#llx, BAR %u, flags %#x",
			   seen->slot, kept->board->name, (unsigned long long)buffer->size,
			   buffer->region_index, buffer->flags);
	if (buffer->state == VFIO_DMABUF_STATE_REVOKED && !ending(kept, seen))
		board_fail(FAILED_OTHER, "slot %u of %s is listed as revoked, and is not",
			   seen->slot, kept->board->name);
}

/* All buffers, with growing ids. One that exists all the time must be among them. */
static void list(struct kept *kept, struct random *random)
{
	struct vfio_dmabuf_buffer buffers[AT_ONCE];
	struct vfio_dmabuf_feature_list request = {
		.buffers = (uintptr_t)buffers,
		.size = sizeof(*buffers),
	};
	struct seen seen;
	bool known = look(kept, random, &seen), found = false;
	uint32_t i;

	operation_begin(OP_LIST);
	do {
		request.nr = AT_ONCE;
		if (keeper_feature(kept, VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_LIST,
				   &request, sizeof(request))) {
			keeper_check(kept, "list", false, errno);
			return;
		}
		for (i = 0; i < request.nr; i++) {
			if (buffers[i].id <= request.after)
				board_fail(FAILED_OTHER, "the list of %s has id %llu after %llu", kept->board->name,
					   (unsigned long long)buffers[i].id, (unsigned long long)request.after);
			request.after = buffers[i].id;
			if (!known || buffers[i].id != seen.id)
				continue;
			found = true;
			check_listed(kept, &seen, &buffers[i]);
		}
	} while (request.nr && !board->stop);
	operation_end();
	/* A buffer that no process has may be missing. */
	if (known && !found && !ending(kept, &seen) && !board->stop)
		board_fail(FAILED_OTHER, "slot %u of %s, id %llu, is not listed", seen.slot,
			   kept->board->name, (unsigned long long)seen.id);
}

static void events_by_id(struct kept *kept, struct random *random)
{
	struct vfio_dmabuf_feature_events request = {
		.dmabuf_fd = -1,
		.open_flags = O_CLOEXEC | O_NONBLOCK,
	};
	struct vfio_dmabuf_event event;
	struct seen seen;
	int fd;

	/* Of one slice, or of the device. */
	if (random_chance(random, 50)) {
		if (!look(kept, random, &seen))
			return;
		request.id = seen.id;
	}
	operation_begin(OP_EVENTS);
	fd = keeper_feature(kept, VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_EVENTS,
			    &request, sizeof(request));
	if (fd < 0) {
		keeper_check(kept, "events by id", request.id && errno == ENOENT, errno);
		operation_cancel();
		return;
	}
	if (read(fd, &event, sizeof(event)) != sizeof(event))
		keeper_check(kept, "read of events", false, errno);
	else if (event.state == VFIO_DMABUF_STATE_REVOKED && (!request.id || !ending(kept, &seen)))
		board_fail(FAILED_OTHER, "an event file of %s says revoked of what is not",
			   kept->board->name);
	operation_end();
	close(fd);
}

/* While the exporter continues to use it. */
static void revoke_other(struct kept *kept, struct random *random)
{
	struct vfio_dmabuf_feature_revoke request = { .dmabuf_fd = -1 };
	struct slot *slot;
	struct seen seen;
	long ret;

	if (!look(kept, random, &seen))
		return;
	slot = &board->slots[seen.slot];
	request.id = seen.id;
	generation_reach(&slot->contested, seen.generation);
	generation_reach(&slot->ending, seen.generation);
	operation_begin(OP_REVOKE_ID);
	ret = keeper_feature(kept, VFIO_DEVICE_FEATURE_SET | VFIO_DMABUF_FEATURE_REVOKE,
			     &request, sizeof(request));
	keeper_check(kept, "revoke by id", !ret || errno == EBADFD || errno == ENOENT, errno);
	operation_end();
	if (!ret)
		board->revocations++;
	generation_reach(&slot->dead, seen.generation);
}

/* One more mapping through the device fd, of memory that slices show, too. */
static void map_bar(struct kept *kept, struct random *random)
{
	uint64_t pages = kept->bar_size / PAGE;
	uint64_t first = random_below(random, pages), nr = 1 + random_below(random, pages - first);
	struct kept other = *kept;
	uint32_t value;

	operation_begin(OP_BAR_MAP);
	other.bar = mmap(NULL, nr * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, kept->dev.fd,
			 ((off_t)kept->board->bar << 40) + first * PAGE);
	keeper_check(kept, "mmap of a BAR", other.bar != MAP_FAILED, errno);
	if (other.bar != MAP_FAILED) {
		keeper_peek(&other, random_below(random, nr) * PAGE, &value);
		munmap(other.bar, nr * PAGE);
	}
	operation_end();
}

void inspector_step(struct kept *kept, struct random *random)
{
	unsigned int lot = random_below(random, 100);

	pthread_rwlock_rdlock(&kept->keeper->open);
	if (!board->ids || lot < 30)
		map_bar(kept, random);
	else if (lot < 70)
		list(kept, random);
	else if (lot < 85)
		events_by_id(kept, random);
	else
		revoke_other(kept, random);
	pthread_rwlock_unlock(&kept->keeper->open);
	usleep(random_below(random, 10000));
}
