/* SPDX-License-Identifier: MIT */
/*
 * A host on the lab's Ethernet: the E1000E, driven by the kernel's own driver.  Frames
 * are what this process sends and receives through a packet socket.
 */
#ifndef TESTS_PEER_H
#define TESTS_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PEER_FRAME_MIN	60	/* bytes, without CRC */
#define PEER_FRAME_MAX	1514

/* Why this kernel cannot have a peer; NULL if it can. */
const char *peer_missing(void);
/* Gives the device to its driver, and sets the interface up. */
void peer_start(void);
/* Gives it back to the driver that is tested. */
void peer_stop(void);
const uint8_t *peer_mac(void);

void peer_send(const void *frame, size_t length);
/* The next frame of frame_make()'s kind; 0: none came within @ms. */
size_t peer_receive(void *frame, unsigned int ms);

/*
 * Frame number @number of a stream: its length and each of its bytes follow from the
 * arguments.  Returns the length.
 */
size_t frame_make(uint8_t frame[PEER_FRAME_MAX], const uint8_t to[6], const uint8_t from[6],
		  uint32_t stream, uint32_t number);
/* Whether it is exactly that frame. */
bool frame_is(const uint8_t *frame, size_t length, const uint8_t to[6], const uint8_t from[6],
	      uint32_t stream, uint32_t number);

#endif
