/* SPDX-License-Identifier: MIT */
/*
 * The rings of descriptors that a queue of the 82576 reads and writes, without the
 * device: which descriptors are the driver's, and what the device has reported.
 *
 * The device writes the memory of the rings at any time.  What it has written is read
 * once and checked before it is used as a length.
 */
#ifndef IGBVF_RING_H
#define IGBVF_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IGBVF_BUFFER_SIZE	2048u	/* bytes, of each descriptor's buffer */
#define IGBVF_RING_MIN		8u	/* descriptors; the device wants a multiple of it */
#define IGBVF_RING_MAX		256u
#define IGBVF_FRAME_MIN		14u	/* bytes, without CRC */
#define IGBVF_FRAME_MAX		1514u

/* Advanced descriptors, in both directions. */
struct igbvf_descriptor {
	uint64_t address;	/* of the buffer, an IOVA */
	uint32_t command;	/* receive: status, after the device has written it */
	uint32_t status;	/* receive: length */
};

/*
 * Numbers of descriptors count up and never wrap to 0 at the end of the ring; where one is
 * in the ring is its number modulo size.
 */
struct igbvf_ring {
	volatile struct igbvf_descriptor *descriptors;
	uint64_t buffers;	/* IOVA of the first buffer; the others follow */
	uint32_t size;		/* a power of two, IGBVF_RING_MIN to IGBVF_RING_MAX */
	uint32_t head;		/* the oldest that the device has not finished */
	uint32_t tail;		/* the next to be given to the device */
};

/* Parts of the memory that a client has, in bytes from its begin. */
struct igbvf_layout {
	uint32_t size;		/* descriptors of each ring */
	size_t transmit_ring;
	size_t receive_ring;
	size_t transmit_buffers;
	size_t receive_buffers;
	size_t end;
};

/* The layout with the longest rings for which there is room; false: for none. */
bool igbvf_layout(uint64_t length, struct igbvf_layout *layout);

void igbvf_ring_init(struct igbvf_ring *ring, volatile void *descriptors, uint32_t size,
		     uint64_t buffers);

/* The index of a descriptor with this number, and of its buffer. */
static inline uint32_t igbvf_ring_index(const struct igbvf_ring *ring, uint32_t number)
{
	return number & (ring->size - 1);
}

/* ---- transmit ---- */

/* Frees the descriptors of frames that the device has sent.  Returns the number of free descriptors. */
uint32_t igbvf_transmit_reclaim(struct igbvf_ring *ring);

/*
 * Fills in the descriptor at the tail for the frame in its buffer.  There must be a free
 * one.  Returns the new value of the tail register.
 */
uint32_t igbvf_transmit_push(struct igbvf_ring *ring, uint32_t length);

/* ---- receive ---- */

/* Gives the device all descriptors but one.  Returns the value of the tail register. */
uint32_t igbvf_receive_fill(struct igbvf_ring *ring);

enum igbvf_received {
	IGBVF_NOTHING,
	IGBVF_FRAME,
	IGBVF_BAD,	/* no complete frame without error, or an impossible length */
};

/* What is at the head; of a frame, its length and the index of its buffer. */
enum igbvf_received igbvf_receive_peek(const struct igbvf_ring *ring, uint32_t *length,
				       uint32_t *buffer);

/*
 * Gives the descriptor at the head back to the device.  Returns the new value of the
 * tail register.
 */
uint32_t igbvf_receive_pop(struct igbvf_ring *ring);

#endif
