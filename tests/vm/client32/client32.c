// SPDX-License-Identifier: MIT
/* A client, or an owner, of 32 bits, with the library of 32 bits in it. */
#include <errno.h>
#include <linux/dma-buf.h>
#include <linux/types.h>
#include <linux/vfio.h>
#include <linux/vfio_dmabuf.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "orders.h"

#define BROKER_MS	60000
#define MAX_RANGES	8

static struct vdb_slice *slice;
static struct vdb_client *client;
static struct vdb_device *device;
static sigjmp_buf back;

static void on_signal(int number)
{
	siglongjmp(back, number);
}

/* The signal, or 0. */
static int64_t access_register(const struct order *order, struct answer *answer)
{
	volatile uint32_t *address = (void *)(uintptr_t)order->arg[0];
	int number = sigsetjmp(back, 1);

	if (number)
		return number;
	if (order->type == ORDER_READ)
		answer->value = *address;
	else
		*address = order->arg[1];
	return 0;
}

static int64_t map(const struct order *order, struct answer *answer)
{
	void *address = vdb_slice_map(slice, order->arg[0], order->arg[1], order->arg[2]);

	answer->value = (uintptr_t)address;
	return address ? 0 : -1;
}

static int64_t acquire(const struct order *order, struct answer *answer)
{
	struct vdb_lease lease;

	if (vdb_client_acquire(client, order->text, 0, 0, 0, BROKER_MS, &lease))
		return -1;
	slice = lease.slice;
	answer->value = lease.id;
	return vdb_slice_length(slice);
}

static int64_t next(struct answer *answer)
{
	struct vdb_event event;
	int ret;

	do {
		struct pollfd p = { .fd = vdb_client_fd(client), .events = POLLIN };

		if (poll(&p, 1, -1) < 0)
			return -1;
		ret = vdb_client_next(client, &event);
	} while (!ret);
	answer->value = event.lease;
	return ret < 0 ? -1 : (int64_t)event.state;
}

static int64_t change(struct answer *answer)
{
	struct pollfd p = { .fd = vdb_slice_event_fd(slice), .events = POLLIN };

	return poll(&p, 1, -1) == 1 ? vdb_slice_state(slice, &answer->value) : -1;
}

static int64_t export_fences(uint32_t flags)
{
	struct dma_buf_export_sync_file fences = { .flags = flags, .fd = -1 };

	if (ioctl(vdb_slice_fd(slice), DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &fences))
		return -1;
	return close(fences.fd);
}

static int64_t feature(int fd)
{
	struct vfio_device_feature probe = {
		.argsz = sizeof(probe),
		.flags = VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET | VFIO_DMABUF_FEATURE_REVOKE,
	};

	return ioctl(fd, VFIO_DEVICE_FEATURE, &probe);
}

static int64_t export(const struct order *order)
{
	struct vdb_range ranges[MAX_RANGES];

	for (unsigned int i = 0; i < MAX_RANGES; i++)
		ranges[i] = (struct vdb_range){ order->arg[1], order->arg[2] };
	slice = vdb_slice_export(device, order->arg[0], ranges, order->arg[3], 0);
	return slice && !vdb_slice_watch(device, slice) ? (int64_t)vdb_slice_length(slice) : -1;
}

static int64_t listed;

static bool count(const struct vdb_buffer *buffer, void *data)
{
	listed++;
	*(uint64_t *)data = buffer->id;
	return true;
}

static int64_t list(struct answer *answer)
{
	listed = 0;
	return vdb_device_list(device, count, &answer->value) ? -1 : listed;
}

static int64_t range(const struct order *order, struct answer *answer)
{
	struct vdb_range first = { 0 };
	ssize_t nr = vdb_device_buffer_ranges(device, order->arg[0], order->arg[1], &first, 1);

	answer->value = first.offset;
	return nr;
}

static int64_t set_memattr(uint32_t memattr)
{
	struct {
		struct vfio_device_feature header;
		struct vfio_dmabuf_feature_memattr data;
	} set = {
		.header.argsz = sizeof(set),
		.header.flags = VFIO_DEVICE_FEATURE_SET | VFIO_DMABUF_FEATURE_MEMATTR,
		.data.dmabuf_fd = vdb_slice_fd(slice),
		.data.memattr = memattr,
	};

	return ioctl(vdb_device_fd(device), VFIO_DEVICE_FEATURE, &set);
}

static int64_t carry_out(const struct order *order, struct answer *answer)
{
	struct dma_buf_sync sync = { .flags = order->arg[0] };
	uint32_t value;
	int ret;

	switch (order->type) {
	case ORDER_RECEIVE:
		slice = vdb_slice_receive(STDIN_FILENO);
		return slice ? (int64_t)vdb_slice_length(slice) : -1;
	case ORDER_CONNECT:
		client = vdb_client_connect(order->text, BROKER_MS, NULL);
		return client ? 0 : -1;
	case ORDER_ACQUIRE:
		return acquire(order, answer);
	case ORDER_NEXT:
		return next(answer);
	case ORDER_MAP:
		return map(order, answer);
	case ORDER_READ:
	case ORDER_WRITE:
		return access_register(order, answer);
	case ORDER_TRY_READ:
		ret = vdb_try_read32((void *)(uintptr_t)order->arg[0], &value);
		answer->value = value;
		return ret;
	case ORDER_CHANGE:
		return change(answer);
	case ORDER_SYNC:
		return ioctl(vdb_slice_fd(slice), DMA_BUF_IOCTL_SYNC, &sync);
	case ORDER_SET_NAME:
		return ioctl(vdb_slice_fd(slice), DMA_BUF_SET_NAME, order->text);
	case ORDER_EXPORT_FENCES:
		return export_fences(order->arg[0]);
	case ORDER_FEATURE:
		return feature(order->arg[0] ? vdb_slice_event_fd(slice) : vdb_slice_fd(slice));
	case ORDER_OPEN:
		device = vdb_device_open(order->text, NULL, NULL);
		return device ? 0 : -1;
	case ORDER_EXPORT:
		return export(order);
	case ORDER_SEND:
		return vdb_slice_send(STDIN_FILENO, device, slice);
	case ORDER_LIST:
		return list(answer);
	case ORDER_RANGE:
		return range(order, answer);
	case ORDER_RESET:
		return vdb_device_reset(device);
	case ORDER_REVOKE:
		return vdb_slice_revoke(device, slice);
	case ORDER_REVOKE_ID:
		return vdb_device_revoke_id(device, order->arg[0]);
	case ORDER_MEMATTR:
		return set_memattr(order->arg[0]);
	}
	errno = ENOSYS;
	return -1;
}

int main(void)
{
	const struct sigaction action = { .sa_handler = on_signal };
	struct order order;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGBUS, &action, NULL);
	while (recv(STDIN_FILENO, &order, sizeof(order), 0) == sizeof(order)) {
		struct answer answer = { .pointer = sizeof(void *) };

		errno = 0;
		answer.result = carry_out(&order, &answer);
		answer.error = errno;
		if (send(STDIN_FILENO, &answer, sizeof(answer), 0) != sizeof(answer))
			return 1;
	}
	return 0;
}
