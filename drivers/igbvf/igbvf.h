/* SPDX-License-Identifier: MIT */
/*
 * The client's part of a driver for a virtual function (VF) of an Intel 82576.
 *
 * The client has two slices of one VF, from the owner or from the broker: the registers
 * of the queues, and memory for DMA.  It needs nothing else, no device fd and no
 * privilege.  Sending and receiving make no system call.
 *
 * The functions use guarded accesses: enable the guard (vdb_guard_enable()) first.  If
 * the registers are revoked, igbvf_send() and igbvf_receive() fail with ENODEV, at
 * the latest when they next write a register.
 */
#ifndef IGBVF_H
#define IGBVF_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <vfio-dmabuf.h>

#include "ring.h"

/* Does not have to be initialised; the members are for igbvf.c. */
struct igbvf {
	const struct vdb_slice *registers_slice;
	const struct vdb_slice *memory_slice;
	char *registers;
	char *memory;
	char *transmit_buffers;
	char *receive_buffers;
	struct igbvf_ring transmit;
	struct igbvf_ring receive;
	uint64_t bad;		/* frames that were dropped: see IGBVF_BAD */
};

/**
 * igbvf_start() - start the queues of a VF
 * @vf: filled in
 * @registers: the VF's registers from VF_QUEUES on
 * @memory: of the same VF; igbvf_layout() says what it needs
 *
 * Both slices must stay until igbvf_stop().  The rings are as long as the memory allows.
 *
 * Return: 0; -1 with errno:
 *	EINVAL	one of the slices is not of that kind, or too short
 *	ENODEV	the registers are revoked
 *	ETIMEDOUT the VF does not enable its queues
 *	or as vdb_slice_map().
 */
int igbvf_start(struct igbvf *vf, const struct vdb_slice *registers,
		const struct vdb_slice *memory);

/**
 * igbvf_stop() - stop the queues
 * @vf: started
 *
 * Unmaps the slices.  If the registers are revoked, the owner has stopped the queues.
 */
void igbvf_stop(struct igbvf *vf);

/**
 * igbvf_send() - send a frame
 * @vf: started
 * @frame, @length: an Ethernet frame without its CRC, 14 to 1514 bytes; copied
 *
 * Return: 0; -1 with errno:
 *	EAGAIN	the ring is full: the device has not sent the frames before
 *	EMSGSIZE @length is not in that range
 *	ENODEV	the registers are revoked
 */
int igbvf_send(struct igbvf *vf, const void *frame, size_t length);

/**
 * igbvf_receive() - receive a frame, if there is one
 * @vf: started
 * @frame, @room: where to put it
 *
 * Drops what is not a frame, and counts it in @vf.
 *
 * Return: the frame's length, 0 if there is none; -1 with errno:
 *	EMSGSIZE it is longer than @room, and is dropped
 *	ENODEV	the registers are revoked
 */
ssize_t igbvf_receive(struct igbvf *vf, void *frame, size_t room);

#endif
