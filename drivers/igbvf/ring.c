// SPDX-License-Identifier: MIT
/* Rings of descriptors.  Chapters of the 82576 datasheet: 7.1 (receive), 7.2 (transmit). */
#include "ring.h"

#include <vfio-dmabuf-mmio.h>

#define PAGE	0x1000u

/* Command of a transmit descriptor: one frame in one buffer, reported when it is sent. */
#define TX_DATA			(3u << 20)
#define TX_END_OF_PACKET	(1u << 24)
#define TX_INSERT_CRC		(1u << 25)
#define TX_REPORT_STATUS	(1u << 27)
#define TX_ADVANCED		(1u << 29)
#define TX_LENGTH_SHIFT		14	/* in status */
#define TX_DONE			(1u << 0)

#define RX_DONE			(1u << 0)
#define RX_END_OF_PACKET	(1u << 1)
#define RX_ERRORS		0xfff00000u
#define RX_LENGTH		0xffffu

static size_t page_align(size_t length)
{
	return (length + PAGE - 1) / PAGE * PAGE;
}

bool igbvf_layout(uint64_t length, struct igbvf_layout *layout)
{
	for (uint32_t size = IGBVF_RING_MAX; size >= IGBVF_RING_MIN; size /= 2) {
		size_t ring = page_align(size * sizeof(struct igbvf_descriptor));
		size_t buffers = page_align((size_t)size * IGBVF_BUFFER_SIZE);

		*layout = (struct igbvf_layout){
			.size = size,
			.receive_ring = ring,
			.transmit_buffers = 2 * ring,
			.receive_buffers = 2 * ring + buffers,
			.end = 2 * ring + 2 * buffers,
		};
		if (layout->end <= length)
			return true;
	}
	return false;
}

void igbvf_ring_init(struct igbvf_ring *ring, volatile void *descriptors, uint32_t size,
		     uint64_t buffers)
{
	*ring = (struct igbvf_ring){
		.descriptors = descriptors,
		.buffers = buffers,
		.size = size,
	};
	for (uint32_t i = 0; i < size; i++) {
		ring->descriptors[i].address = 0;
		ring->descriptors[i].command = 0;
		ring->descriptors[i].status = 0;
	}
}

static uint64_t buffer_iova(const struct igbvf_ring *ring, uint32_t index)
{
	return ring->buffers + (uint64_t)index * IGBVF_BUFFER_SIZE;
}

uint32_t igbvf_transmit_reclaim(struct igbvf_ring *ring)
{
	while (ring->head != ring->tail &&
	       ring->descriptors[igbvf_ring_index(ring, ring->head)].status & TX_DONE)
		ring->head++;
	/* With all of them, the tail would be equal to the head, as in an empty ring. */
	return ring->size - 1 - (ring->tail - ring->head);
}

uint32_t igbvf_transmit_push(struct igbvf_ring *ring, uint32_t length)
{
	uint32_t index = igbvf_ring_index(ring, ring->tail);
	volatile struct igbvf_descriptor *descriptor = &ring->descriptors[index];

	descriptor->address = buffer_iova(ring, index);
	descriptor->command = length | TX_DATA | TX_END_OF_PACKET | TX_INSERT_CRC | TX_REPORT_STATUS |
		TX_ADVANCED;
	descriptor->status = length << TX_LENGTH_SHIFT;
	ring->tail++;
	return igbvf_ring_index(ring, ring->tail);
}

static uint32_t receive_arm(struct igbvf_ring *ring)
{
	uint32_t index = igbvf_ring_index(ring, ring->tail);
	volatile struct igbvf_descriptor *descriptor = &ring->descriptors[index];

	/* Bit 0 of the second half is the first bit that the device sets: clear it first. */
	descriptor->command = 0;
	descriptor->status = 0;
	descriptor->address = buffer_iova(ring, index);
	ring->tail++;
	return igbvf_ring_index(ring, ring->tail);
}

uint32_t igbvf_receive_fill(struct igbvf_ring *ring)
{
	while (ring->tail - ring->head < ring->size - 1)
		receive_arm(ring);
	return igbvf_ring_index(ring, ring->tail);
}

enum igbvf_received igbvf_receive_peek(const struct igbvf_ring *ring, uint32_t *length,
				       uint32_t *buffer)
{
	uint32_t index = igbvf_ring_index(ring, ring->head);
	const volatile struct igbvf_descriptor *descriptor = &ring->descriptors[index];
	uint32_t status = descriptor->command;

	if (!(status & RX_DONE))
		return IGBVF_NOTHING;
	/* The frame and its length were written before. */
	VDB_AFTER_READ();
	*length = descriptor->status & RX_LENGTH;
	*buffer = index;
	if (!(status & RX_END_OF_PACKET) || status & RX_ERRORS || *length < IGBVF_FRAME_MIN ||
	    *length > IGBVF_FRAME_MAX)
		return IGBVF_BAD;
	return IGBVF_FRAME;
}

uint32_t igbvf_receive_pop(struct igbvf_ring *ring)
{
	ring->head++;
	return receive_arm(ring);
}
