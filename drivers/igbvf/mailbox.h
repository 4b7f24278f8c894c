/* SPDX-License-Identifier: MIT */
/*
 * A VF's mailbox to the driver of its PF, for an owner that has the VF only: the PF has
 * the kernel's driver igb, for example.  Clients do not get the mailbox.
 */
#ifndef IGBVF_MAILBOX_H
#define IGBVF_MAILBOX_H

#include <stdint.h>

#define IGBVF_MAILBOX_PAGE	0x1000	/* bytes of BAR 0 that the function needs */

/**
 * igbvf_mailbox_admit() - make the PF's driver let the VF send and receive
 * @registers: the first page of the VF's BAR 0; the VF was reset
 * @mac: the VF's address from now on
 *
 * Return: 0; -1 with errno:
 *	ETIMEDOUT the PF's driver does not answer: its network interface is down, for example
 *	EPERM	it refuses the address, because the administrator has set another
 */
int igbvf_mailbox_admit(volatile void *registers, const uint8_t mac[6]);

#endif
