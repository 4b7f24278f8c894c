/* SPDX-License-Identifier: MIT */
/*
 * The owner's part: it has virtual functions open through VFIO, and lends each to a
 * client.  It has the physical function as well, or the PF has a driver of the kernel.
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

/**
 * igbvf_owner_open_vfs() - open VFs whose PF has another driver, igb of the kernel
 * @bdfs: the VFs, bound to the driver dmabuf-vfio-pci
 * @vfs: their number, 1 to 8
 * @error: after failure filled in with why, in words
 *
 * The PF's driver has enabled them.  It answers the VFs only while its network interface
 * is up.
 *
 * Return: the owner, to be closed with igbvf_owner_close(); NULL with errno.
 */
struct igbvf_owner *igbvf_owner_open_vfs(const char *const *bdfs, unsigned int vfs,
					 char error[VDB_ERROR_SIZE]);

/* Revokes all that is lent, and closes what was opened.  Disables the PF's VFs if it has the PF. */
void igbvf_owner_close(struct igbvf_owner *owner);

/* Whether the port has a link; it takes some time after igbvf_owner_open(), which it is for. */
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
 * @mac: the address that it has; another driver of the PF can refuse it
 * @length: of its memory, in whole pages; igbvf_layout() says what the client needs
 * @lent: filled in
 * @error: after failure filled in with why, in words
 *
 * Return: 0; -1 with errno: EBUSY if it is lent; ETIMEDOUT and EPERM as
 * igbvf_mailbox_admit(); or as the library's functions.
 */
int igbvf_lend(struct igbvf_owner *owner, unsigned int vf, const uint8_t mac[6], uint64_t length,
	       struct igbvf_lent *lent, char error[VDB_ERROR_SIZE]);

/**
 * igbvf_revoke() - end what igbvf_lend() has begun
 * @owner: any
 * @vf: lent
 *
 * In this order: revokes the registers, so that no client starts the queues again; stops
 * the queues, by the PF, by the VF's bus mastering and by a reset of the VF; takes the
 * memory away from the device.  Waits for no client, and does not touch other VFs.
 *
 * Return: 0; -1 if one of the steps failed, with errno of the first.  The later steps are
 * done nevertheless.  The VF is not lent again then.
 */
int igbvf_revoke(struct igbvf_owner *owner, unsigned int vf);

#endif
