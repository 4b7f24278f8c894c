// SPDX-License-Identifier: MIT
/* The smallest broker, as a floor for what a lease can cost. */
#define _GNU_SOURCE
#include "floor.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vfio-dmabuf.h>
#include <vfio-dmabuf-protocol.h>

#include "buffers.h"
#include "messages.h"
#include "slice.h"
#include "suite.h"

#define PAGE	4096UL

/* What the broker keeps for the lease. */
struct lent {
	int fd;
};

static void grant(int socket, const struct device *device, uint32_t bar, uint64_t offset,
		  struct lent *lent)
{
	const struct vfio_region_dma_range range = { offset, PAGE };
	struct message m = { { (char)VDP_GRANT }, sizeof(struct vdp_grant), { -1, -1 } };

	m.fds[0] = lent->fd = slice_export(device, bar, O_RDWR | O_CLOEXEC, &range, 1);
	m.fds[1] = buffer_events(device, lent->fd, 0, O_CLOEXEC | O_NONBLOCK);
	if (m.fds[0] < 0 || m.fds[1] < 0)
		ck_abort_msg("export: %s", strerror(errno));
	message_send(socket, &m);
	close(m.fds[1]);
}

static void end(int socket, const struct device *device, const struct lent *lent)
{
	if (slice_revoke(device, lent->fd))
		ck_abort_msg("revoke: %s", strerror(errno));
	close(lent->fd);
	message_send(socket, &(struct message){ { (char)VDP_END }, sizeof(struct vdp_end), { -1, -1 } });
}

void floor_serve(int socket, const struct device *device, uint32_t bar, uint64_t offset)
{
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct lent lent = { -1 };
	struct message m;

	ck_assert_works(epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event));
	while (epoll_wait(epoll, &event, 1, -1) == 1 && message_receive(socket, &m)) {
		if (*m.bytes == VDP_ACQUIRE)
			grant(socket, device, bar, offset, &lent);
		else
			end(socket, device, &lent);
	}
	_exit(0);
}

static void ask(int socket, char type, size_t size, struct message *answer)
{
	message_send(socket, &(struct message){ { type }, size, { -1, -1 } });
	if (!message_receive(socket, answer))
		ck_abort_msg("the broker does not answer");
}

void floor_cycle(int socket)
{
	struct message m, done;
	char *map;

	ask(socket, VDP_ACQUIRE, sizeof(struct vdp_acquire), &m);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, m.fds[0], 0);
	if (map == MAP_FAILED)
		ck_abort_msg("mmap: %s", strerror(errno));
	vdb_read32(map);
	ask(socket, VDP_RELEASE, sizeof(struct vdp_lease_request), &done);
	munmap(map, PAGE);
	close(m.fds[0]);
	close(m.fds[1]);
}
