/* SPDX-License-Identifier: MIT */
/*
 * The owner's part: it has the physical function and its virtual functions open through
 * VFIO, and lends each VF to a client.
 */
#ifndef IGBVF_LEND_H
#define IGBVF_LEND_H

#include <stdbool.h>
#include <stdint.h>
#include <vfio-dmabuf.h>

struct igbvf_owner;

/**
 * igbvf_owner_open() - open a PF and its VFs
 * @bdf: the PF, bound to the driver dmabuf-vfio-pci, whose parameter enable_sriov is set
 * @token: a UUID; without it nobody else can open a VF
 * @vfs: 1 to 8
 * @error: after failure filled in with why, in words
 *
 * Enables the VFs, which are bound to the same driver.  The caller must be allowed to
 * write sriov_numvfs in sysfs, which usually is only root.
 *
 * Return: the owner, to be closed with igbvf_owner_close(); NULL with errno.
 */
struct igbvf_owner *igbvf_owner_open(const char *bdf, const char *token, unsigned int vfs,
				     char error[VDB_ERROR_SIZE]);

/* Takes back all that is lent, closes the VFs and disables them, and closes the PF. */
void igbvf_owner_close(struct igbvf_owner *owner);

/* Whether the port has a link; it takes some time after the open. */
bool igbvf_owner_link(const struct igbvf_owner *owner);

/* The VF's device; the owner's. */
const struct vdb_device *igbvf_owner_vf(const struct igbvf_owner *owner, unsigned int vf);

/* What a client of a VF gets, and nothing else.  The slices are the owner's. */
struct igbvf_lent {
	struct vdb_slice *registers;	/* of the queues: two pages */
	struct vdb_slice *memory;	/* in the VF's own IO address space */
};

/**
 * igbvf_lend() - prepare a VF for a client
 * @owner: any
 * @vf: 0 to its number of VFs - 1, which is not lent
 * @mac: the address that it has
 * @length: of its memory, in whole pages; igbvf_layout() says what the client needs
 * @lent: filled in
 * @error: after failure filled in with why, in words
 *
 * Return: 0; -1 with errno: EBUSY if it is lent; or as the library's functions.
 */
int igbvf_lend(struct igbvf_owner *owner, unsigned int vf, const uint8_t mac[6], uint64_t length,
	       struct igbvf_lent *lent, char error[VDB_ERROR_SIZE]);

/**
 * igbvf_take_back() - end what igbvf_lend() has begun
 * @owner: any
 * @vf: lent
 *
 * In this order: revokes the registers, so that no client starts the queues again; stops
 * the queues, by the PF, by the VF's bus mastering and by a reset of the VF; takes the
 * memory away from the device.  Waits for no client, and does not touch other VFs.
 *
 * Return: 0; -1 if one of the steps failed, with errno of the first.  The later steps are
 * done nevertheless, except that memory stays if the queues could not be stopped and it
 * could not be unmapped.  The VF is not lent again then.
 */
int igbvf_take_back(struct igbvf_owner *owner, unsigned int vf);

#endif
