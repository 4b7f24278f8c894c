// SPDX-License-Identifier: MIT
/* The client's part of a driver for a virtual function of an Intel 82576. */
#define _GNU_SOURCE
#include "igbvf.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "registers.h"

/* Milliseconds that a VF can take to enable or disable a queue. */
#define QUEUE_MS	1000

static int write_register(struct igbvf *vf, unsigned int at, uint32_t value)
{
	if (!vdb_try_write32(vf->registers + at, value))
		return 0;
	errno = ENODEV;
	return -1;
}

/* Writes RXDCTL or TXDCTL, and waits until the VF has done what it says. */
static int set_queue(struct igbvf *vf, unsigned int at, uint32_t value)
{
	const struct timespec pause = { .tv_nsec = 1000 * 1000 };
	uint32_t now;

	if (write_register(vf, at, value))
		return -1;
	for (int i = 0; i < QUEUE_MS; i++) {
		if (vdb_try_read32(vf->registers + at, &now)) {
			errno = ENODEV;
			return -1;
		}
		if (!((now ^ value) & QUEUE_ENABLE))
			return 0;
		nanosleep(&pause, NULL);
	}
	errno = ETIMEDOUT;
	return -1;
}

static int stop_queues(struct igbvf *vf)
{
	return set_queue(vf, VF_RXDCTL, 0) || set_queue(vf, VF_TXDCTL, 0) ? -1 : 0;
}

/* The queues are disabled: their registers hold what an earlier client has written. */
static int start_queues(struct igbvf *vf, const struct igbvf_layout *layout)
{
	uint64_t iova = vdb_slice_iova(vf->memory_slice);
	uint64_t transmit = iova + layout->transmit_ring, receive = iova + layout->receive_ring;
	uint32_t bytes = layout->size * sizeof(struct igbvf_descriptor);
	const struct {
		unsigned int at;
		uint32_t value;
	} values[] = {
		{ VF_TDBAL, (uint32_t)transmit },
		{ VF_TDBAH, transmit >> 32 },
		{ VF_TDLEN, bytes },
		{ VF_TDH, 0 },
		{ VF_TDT, 0 },
		/* Status goes to the descriptors, not to an address. */
		{ VF_TDWBAL, 0 },
		{ VF_TDWBAH, 0 },
		{ VF_RDBAL, (uint32_t)receive },
		{ VF_RDBAH, receive >> 32 },
		{ VF_RDLEN, bytes },
		{ VF_SRRCTL, SRRCTL_2K | SRRCTL_ONE_BUFFER | SRRCTL_DROP },
		{ VF_RDH, 0 },
		{ VF_RDT, 0 },
	};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		if (write_register(vf, values[i].at, values[i].value))
			return -1;
	if (set_queue(vf, VF_TXDCTL, QUEUE_ENABLE) || set_queue(vf, VF_RXDCTL, QUEUE_ENABLE))
		return -1;
	return write_register(vf, VF_RDT, igbvf_receive_fill(&vf->receive));
}

static void unmap(struct igbvf *vf)
{
	int error = errno;

	if (vf->registers)
		vdb_slice_unmap(vf->registers_slice, vf->registers, 0, 0);
	if (vf->memory)
		vdb_slice_unmap(vf->memory_slice, vf->memory, 0, 0);
	errno = error;
}

int igbvf_start(struct igbvf *vf, const struct vdb_slice *registers,
		const struct vdb_slice *memory)
{
	struct igbvf_layout layout;
	uint64_t iova;

	if (vdb_slice_kind(registers) != VDB_KIND_REGISTERS ||
	    vdb_slice_length(registers) < VF_QUEUES_LENGTH ||
	    vdb_slice_kind(memory) != VDB_KIND_MEMORY ||
	    !igbvf_layout(vdb_slice_length(memory), &layout)) {
		errno = EINVAL;
		return -1;
	}
	*vf = (struct igbvf){ .registers_slice = registers, .memory_slice = memory };
	vf->registers = vdb_slice_map(registers, 0, 0, PROT_READ | PROT_WRITE);
	vf->memory = vdb_slice_map(memory, 0, 0, PROT_READ | PROT_WRITE);
	/* Before the rings are written: the queues can be those of an earlier client. */
	if (!vf->registers || !vf->memory || stop_queues(vf))
		goto fail;
	iova = vdb_slice_iova(memory);
	vf->transmit_buffers = vf->memory + layout.transmit_buffers;
	vf->receive_buffers = vf->memory + layout.receive_buffers;
	igbvf_ring_init(&vf->transmit, vf->memory + layout.transmit_ring, layout.size,
			iova + layout.transmit_buffers);
	igbvf_ring_init(&vf->receive, vf->memory + layout.receive_ring, layout.size,
			iova + layout.receive_buffers);
	if (!start_queues(vf, &layout))
		return 0;
	/* Part of them can have been started. */
	stop_queues(vf);
fail:
	unmap(vf);
	return -1;
}

void igbvf_stop(struct igbvf *vf)
{
	stop_queues(vf);
	unmap(vf);
}

int igbvf_send(struct igbvf *vf, const void *frame, size_t length)
{
	uint32_t index = igbvf_ring_index(&vf->transmit, vf->transmit.tail);

	if (length < IGBVF_FRAME_MIN || length > IGBVF_FRAME_MAX) {
		errno = EMSGSIZE;
		return -1;
	}
	if (!igbvf_transmit_reclaim(&vf->transmit)) {
		errno = EAGAIN;
		return -1;
	}
	memcpy(vf->transmit_buffers + (size_t)index * IGBVF_BUFFER_SIZE, frame, length);
	return write_register(vf, VF_TDT, igbvf_transmit_push(&vf->transmit, length));
}

ssize_t igbvf_receive(struct igbvf *vf, void *frame, size_t room)
{
	enum igbvf_received what;
	uint32_t length, index;
	ssize_t result = 0;

	while (!result) {
		what = igbvf_receive_peek(&vf->receive, &length, &index);
		if (what == IGBVF_NOTHING)
			return 0;
		if (what == IGBVF_BAD)
			vf->bad++;
		else if (length > room)
			result = -1;
		else
			result = length;
		if (result > 0)
			memcpy(frame, vf->receive_buffers + (size_t)index * IGBVF_BUFFER_SIZE, length);
		if (write_register(vf, VF_RDT, igbvf_receive_pop(&vf->receive)))
			return -1;
	}
	if (result < 0)
		errno = EMSGSIZE;
	return result;
}
