/* SPDX-License-Identifier: MIT */
/*
 * How to set up the physical function (PF) of an Intel 82576 so that its virtual
 * functions work, and nothing more: the PF itself does not send and receive.
 *
 * The functions need the PF's registers only: a mapping of its BAR 0, of the device fd or
 * of a slice.  The PF must be bus master.  A reset of the PF undoes all of it.
 */
#ifndef IGBVF_PF_H
#define IGBVF_PF_H

#include <stdbool.h>
#include <stdint.h>

#define IGBVF_PF_REGISTERS	0x20000	/* bytes of BAR 0 */
#define IGBVF_VFS		8	/* that a PF can have */

/* Starts the link, and sorts frames by MAC address.  No VF receives or sends yet. */
void igbvf_pf_start(volatile void *registers);
/* Whether there is a link.  After igbvf_pf_start() this takes some time. */
bool igbvf_pf_link(const volatile void *registers);
/*
 * Lets a VF send, as @mac, and receive what is sent to @mac and to all.  To be called
 * after each reset of the VF.
 */
void igbvf_pf_admit(volatile void *registers, unsigned int vf, const uint8_t mac[6]);
/* Stops a VF's queues, whatever its own registers say. */
void igbvf_pf_dismiss(volatile void *registers, unsigned int vf);

#endif
