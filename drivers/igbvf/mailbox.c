// SPDX-License-Identifier: MIT
/* The mailbox of a VF; chapter 7.10 of the 82576 datasheet. */
#define _GNU_SOURCE
#include "mailbox.h"

#include <errno.h>
#include <stdbool.h>
#include <time.h>
#include <vfio-dmabuf-mmio.h>

#include "registers.h"

/* Milliseconds that the PF's driver can take for each step. */
#define STEP_MS		2000

static volatile char *at(volatile void *registers, unsigned int offset)
{
	return (volatile char *)registers + offset;
}

/*
 * Waits for one of the bits that reading the register clears; @seen collects them, since
 * several can be set at once.
 */
static int wait_for(volatile void *registers, uint32_t bit, uint32_t *seen)
{
	const struct timespec pause = { .tv_nsec = 1000 * 1000 };

	for (int i = 0; i < STEP_MS; i++) {
		*seen |= vdb_read32(at(registers, VF_MAILBOX));
		if (*seen & bit) {
			*seen &= ~bit;
			return 0;
		}
		nanosleep(&pause, NULL);
	}
	errno = ETIMEDOUT;
	return -1;
}

/* The buffer is shared: it is the VF's from here until the next write of REQ or ACK. */
static int take_buffer(volatile void *registers, uint32_t *seen)
{
	const struct timespec pause = { .tv_nsec = 1000 * 1000 };
	uint32_t now;

	for (int i = 0; i < STEP_MS; i++) {
		vdb_write32(at(registers, VF_MAILBOX), MAILBOX_VFU);
		now = vdb_read32(at(registers, VF_MAILBOX));
		*seen |= now;
		if (now & MAILBOX_VFU)
			return 0;
		nanosleep(&pause, NULL);
	}
	errno = ETIMEDOUT;
	return -1;
}

#define WORDS	3	/* of the messages here: a type, and a MAC address */

/* Sends a message and receives the answer to it, in the same place. */
static int ask(volatile void *registers, uint32_t message[WORDS])
{
	uint32_t seen = 0;

	if (take_buffer(registers, &seen))
		return -1;
	for (int i = 0; i < WORDS; i++)
		vdb_write32(at(registers, VF_MAILBOX_BUFFER + 4 * i), message[i]);
	/* What was seen before does not belong to this message. */
	seen = 0;
	vdb_write32(at(registers, VF_MAILBOX), MAILBOX_REQ);
	if (wait_for(registers, MAILBOX_PFACK, &seen) || wait_for(registers, MAILBOX_PFSTS, &seen) ||
	    take_buffer(registers, &seen))
		return -1;
	for (int i = 0; i < WORDS; i++)
		message[i] = vdb_read32(at(registers, VF_MAILBOX_BUFFER + 4 * i));
	vdb_write32(at(registers, VF_MAILBOX), MAILBOX_ACK);
	return 0;
}

static bool succeeded(const uint32_t message[WORDS], uint32_t type)
{
	return (message[0] & MAILBOX_TYPE) == type && message[0] & MAILBOX_SUCCESS;
}

int igbvf_mailbox_admit(volatile void *registers, const uint8_t mac[6])
{
	uint32_t low = mac[0] | mac[1] << 8 | mac[2] << 16 | (uint32_t)mac[3] << 24;
	uint32_t high = mac[4] | mac[5] << 8;
	uint32_t message[WORDS] = { MAILBOX_RESET };

	if (ask(registers, message))
		return -1;
	/* It has no success, and no address, if the administrator has not set one. */
	if (succeeded(message, MAILBOX_RESET) && message[1] == low && (message[2] & 0xffff) == high)
		return 0;
	message[0] = MAILBOX_SET_MAC;
	message[1] = low;
	message[2] = high;
	if (ask(registers, message))
		return -1;
	if (succeeded(message, MAILBOX_SET_MAC))
		return 0;
	errno = EPERM;
	return -1;
}
