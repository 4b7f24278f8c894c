// SPDX-License-Identifier: MIT
/* The owner of virtual functions of an Intel 82576. */
#define _GNU_SOURCE
#include "lend.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mailbox.h"
#include "pf.h"
#include "registers.h"

enum state { FREE, LENT, BROKEN };

struct vf {
	struct vdb_device *device;
	struct vdb_dma *dma;
	struct igbvf_lent lent;
	enum state state;
};

struct igbvf_owner {
	char bdf[VDB_BDF_SIZE];	/* of the PF */
	struct vdb_device *pf;	/* NULL: it has another driver, and none of the members here are set */
	struct vdb_slice *slice;	/* all of the PF's registers */
	void *registers;
	bool enabled;
	unsigned int vfs;
	struct vf vf[IGBVF_VFS];
};

/* Keeps errno.  Returns -1. */
static int failed(char *error, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int failed(char *error, const char *format, ...)
{
	int number = errno;
	va_list args;

	va_start(args, format);
	vsnprintf(error, VDB_ERROR_SIZE, format, args);
	va_end(args);
	errno = number;
	return -1;
}

static int write_numvfs(const char *bdf, unsigned int vfs)
{
	char path[PATH_MAX], text[16];
	int length = snprintf(text, sizeof(text), "%u", vfs);
	ssize_t written;
	int fd, error;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/sriov_numvfs", bdf);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	written = write(fd, text, length);
	error = errno;
	close(fd);
	errno = error;
	return written == length ? 0 : -1;
}

static int find_vf(const char *bdf, unsigned int vf, char name[VDB_BDF_SIZE])
{
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t length;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/virtfn%u", bdf, vf);
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return -1;
	target[length] = '\0';
	if (!strrchr(target, '/') || !vdb_parse_bdf(strrchr(target, '/') + 1, name)) {
		errno = ENOENT;
		return -1;
	}
	return 0;
}

static int open_vf(struct vf *vf, const char *bdf, const char *token, char *error)
{
	vf->device = vdb_device_open(bdf, token, error);
	if (!vf->device)
		return -1;
	vf->dma = vdb_dma_from_device(vf->device, error);
	return vf->dma ? 0 : -1;
}

static int start_pf(struct igbvf_owner *owner, char *error)
{
	const struct vdb_range all = { 0, IGBVF_PF_REGISTERS };

	owner->slice = vdb_slice_export(owner->pf, 0, &all, 1, 0);
	if (!owner->slice)
		return failed(error, "%s: its registers: %s", owner->bdf, strerror(errno));
	owner->registers = vdb_slice_map(owner->slice, 0, 0, PROT_READ | PROT_WRITE);
	if (!owner->registers)
		return failed(error, "%s: mapping its registers: %s", owner->bdf, strerror(errno));
	if (vdb_device_set_bus_master(owner->pf, true))
		return failed(error, "%s: its command register: %s", owner->bdf, strerror(errno));
	igbvf_pf_start(owner->registers);
	return 0;
}

static struct igbvf_owner *new_owner(unsigned int vfs, char *error)
{
	struct igbvf_owner *owner;

	if (!vfs || vfs > IGBVF_VFS) {
		errno = EINVAL;
		failed(error, "%u virtual functions; the 82576 has 1 to %d", vfs, IGBVF_VFS);
		return NULL;
	}
	owner = calloc(1, sizeof(*owner));
	if (!owner) {
		failed(error, "out of memory");
		return NULL;
	}
	owner->vfs = vfs;
	return owner;
}

struct igbvf_owner *igbvf_owner_open(const char *bdf, const char *token, unsigned int vfs,
				     char error[VDB_ERROR_SIZE])
{
	struct igbvf_owner *owner = new_owner(vfs, error);
	char vf[VDB_BDF_SIZE];
	int number;

	if (!owner)
		return NULL;
	if (!vdb_parse_bdf(bdf, owner->bdf)) {
		errno = EINVAL;
		failed(error, "\"%s\" is not the name of a PCI function", bdf);
		goto fail;
	}
	/* The token is that of the first open of the PF: before there are VFs to open. */
	owner->pf = vdb_device_open(owner->bdf, token, error);
	if (!owner->pf)
		goto fail;
	if (write_numvfs(owner->bdf, vfs)) {
		failed(error, "%s: enabling %u virtual functions: %s; the parameter enable_sriov of the module must be 1",
		       owner->bdf, vfs, strerror(errno));
		goto fail;
	}
	owner->enabled = true;
	for (unsigned int i = 0; i < vfs; i++) {
		if (find_vf(owner->bdf, i, vf)) {
			failed(error, "%s: its virtual function %u: %s", owner->bdf, i, strerror(errno));
			goto fail;
		}
		if (open_vf(&owner->vf[i], vf, token, error))
			goto fail;
	}
	if (start_pf(owner, error))
		goto fail;
	return owner;
fail:
	number = errno;
	igbvf_owner_close(owner);
	errno = number;
	return NULL;
}

struct igbvf_owner *igbvf_owner_open_vfs(const char *const *bdfs, unsigned int vfs,
					 char error[VDB_ERROR_SIZE])
{
	struct igbvf_owner *owner = new_owner(vfs, error);
	int number;

	if (!owner)
		return NULL;
	for (unsigned int i = 0; i < vfs; i++) {
		if (open_vf(&owner->vf[i], bdfs[i], NULL, error)) {
			number = errno;
			igbvf_owner_close(owner);
			errno = number;
			return NULL;
		}
	}
	return owner;
}

void igbvf_owner_close(struct igbvf_owner *owner)
{
	if (!owner)
		return;
	for (unsigned int i = 0; i < owner->vfs; i++) {
		if (owner->vf[i].state == LENT)
			igbvf_revoke(owner, i);
		vdb_dma_close(owner->vf[i].dma);
		vdb_device_close(owner->vf[i].device);
	}
	if (owner->registers)
		vdb_slice_unmap(owner->slice, owner->registers, 0, 0);
	vdb_slice_free(owner->slice);
	if (owner->enabled)
		write_numvfs(owner->bdf, 0);
	vdb_device_close(owner->pf);
	free(owner);
}

bool igbvf_owner_link(const struct igbvf_owner *owner)
{
	return igbvf_pf_link(owner->registers);
}

const struct vdb_device *igbvf_owner_vf(const struct igbvf_owner *owner, unsigned int vf)
{
	return owner->vf[vf].device;
}

/* errno of the first step that fails. */
static void step(int result, int *error)
{
	if (result && !*error)
		*error = errno;
}

static int end_lent(struct igbvf_owner *owner, unsigned int number)
{
	struct vf *vf = &owner->vf[number];
	int error = 0;

	if (vf->lent.registers)
		step(vdb_slice_revoke(vf->device, vf->lent.registers), &error);
	if (owner->pf)
		igbvf_pf_dismiss(owner->registers, number);
	step(vdb_device_set_bus_master(vf->device, false), &error);
	step(vdb_device_reset(vf->device), &error);
	if (vf->lent.memory)
		step(vdb_dma_revoke(vf->dma, vf->lent.memory), &error);
	vdb_slice_free(vf->lent.registers);
	vdb_slice_free(vf->lent.memory);
	vf->lent = (struct igbvf_lent){ 0 };
	vf->state = error ? BROKEN : FREE;
	errno = error;
	return error ? -1 : 0;
}

/* The PF's driver lets the VF work.  The page is mapped only for this. */
static int admit_by_mailbox(struct vf *vf, const uint8_t mac[6])
{
	const struct vdb_range page = { 0, IGBVF_MAILBOX_PAGE };
	struct vdb_slice *slice = vdb_slice_export(vf->device, 0, &page, 1, 0);
	int result = -1, error;
	void *registers;

	if (!slice)
		return -1;
	registers = vdb_slice_map(slice, 0, 0, PROT_READ | PROT_WRITE);
	if (registers)
		result = igbvf_mailbox_admit(registers, mac);
	error = errno;
	if (registers)
		vdb_slice_unmap(slice, registers, 0, 0);
	vdb_slice_free(slice);
	errno = error;
	return result;
}

static int admit(struct igbvf_owner *owner, unsigned int number, const uint8_t mac[6], char *error)
{
	if (owner->pf) {
		igbvf_pf_admit(owner->registers, number, mac);
		return 0;
	}
	if (admit_by_mailbox(&owner->vf[number], mac))
		return failed(error, "virtual function %u: its mailbox to the PF's driver: %s", number,
			      errno == EPERM ? "it refuses this MAC address" : strerror(errno));
	return 0;
}

int igbvf_lend(struct igbvf_owner *owner, unsigned int number, const uint8_t mac[6], uint64_t length,
	       struct igbvf_lent *lent, char error[VDB_ERROR_SIZE])
{
	const struct vdb_range queues = { VF_QUEUES, VF_QUEUES_LENGTH };
	struct vf *vf = &owner->vf[number];

	if (number >= owner->vfs) {
		errno = EINVAL;
		return failed(error, "there is no virtual function %u", number);
	}
	if (vf->state != FREE) {
		errno = EBUSY;
		return failed(error, vf->state == LENT ? "virtual function %u is lent" :
			      "virtual function %u was not stopped when it was revoked", number);
	}
	vf->lent.memory = vdb_memory_alloc(vf->dma, length, 0);
	if (!vf->lent.memory) {
		failed(error, "%s", vdb_dma_error(vf->dma));
		goto fail;
	}
	vf->lent.registers = vdb_slice_export(vf->device, 0, &queues, 1, 0);
	if (!vf->lent.registers) {
		failed(error, "exporting the registers of virtual function %u: %s", number, strerror(errno));
		goto fail;
	}
	if (vdb_device_set_bus_master(vf->device, true)) {
		failed(error, "the command register of virtual function %u: %s", number, strerror(errno));
		goto fail;
	}
	if (admit(owner, number, mac, error))
		goto fail;
	vf->state = LENT;
	*lent = vf->lent;
	return 0;
fail:
	int failure = errno;

	end_lent(owner, number);
	errno = failure;
	return -1;
}

int igbvf_revoke(struct igbvf_owner *owner, unsigned int number)
{
	if (number >= owner->vfs || owner->vf[number].state != LENT) {
		errno = EINVAL;
		return -1;
	}
	return end_lent(owner, number);
}
