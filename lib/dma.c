/* SPDX-License-Identifier: MIT */
/* Memory that devices reach: IO address spaces, and mapping into them. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fds.h"
#include "dma.h"
#include "memlock.h"
#include "memfd.h"

/* Mappings of others that are in the way of one of ours, at most. */
#define MAX_FOREIGN	64

/* Tags of mappings: the number of the memfd; 0 if it is not known; or this. */
#define NO_SLICE	UINT64_MAX

int vdb_dma_failed(struct vdb_dma *dma, const char *format, ...)
{
	int error = errno;
	va_list args;

	va_start(args, format);
	vsnprintf(dma->error, sizeof(dma->error), format, args);
	va_end(args);
	errno = error;
	return -1;
}

bool vdb_dma_add_usable(struct vdb_dma *dma, uint64_t first, uint64_t last)
{
	struct vdb_iova_range *usable = reallocarray(dma->usable, dma->nr_usable + 1, sizeof(*usable));

	if (!usable)
		return false;
	usable[dma->nr_usable++] = (struct vdb_iova_range){ first, last };
	dma->usable = usable;
	return true;
}

/* They change when devices are attached and detached, so each mapping asks again. */
static int read_usable(struct vdb_dma *dma)
{
	uint64_t page = sysconf(_SC_PAGESIZE);

	dma->nr_usable = 0;
	if (dma->kind->read_usable(dma))
		return -1;
	/* An IOAS without a device reports pages of one byte. */
	if (dma->page < page)
		dma->page = page;
	return 0;
}

static struct vdb_dma *dma_new(int fd, uint32_t ioas, char *error)
{
	struct vdb_dma *dma = calloc(1, sizeof(*dma));

	if (!dma) {
		if (error)
			snprintf(error, VDB_ERROR_SIZE, "%m");
		return NULL;
	}
	dma->kind = ioas ? &vdb_dma_iommufd : &vdb_dma_type1;
	dma->fd = fd;
	dma->ioas = ioas;
	dma->bits = 64;
	if (!read_usable(dma))
		return dma;
	if (error)
		memcpy(error, dma->error, sizeof(dma->error));
	vdb_dma_close(dma);
	return NULL;
}

struct vdb_dma *vdb_dma_from_fd(int iommu_fd, uint32_t ioas, char error[VDB_ERROR_SIZE])
{
	return dma_new(iommu_fd, ioas, error);
}

struct vdb_dma *vdb_dma_from_device(const struct vdb_device *device, char error[VDB_ERROR_SIZE])
{
	const char *why;

	if (device->iommu < 0) {
		errno = EINVAL;
		why = "the library has not opened the device: use vdb_dma_from_fd() with the container or iommufd";
	} else if (device->no_iommu) {
		errno = EOPNOTSUPP;
		why = "the device has no IOMMU that limits its DMA";
	} else {
		return dma_new(device->iommu, device->ioas, error);
	}
	if (error)
		snprintf(error, VDB_ERROR_SIZE, "%s", why);
	return NULL;
}

void vdb_dma_close(struct vdb_dma *dma)
{
	int error = errno;

	if (!dma)
		return;
	vdb_iova_free(&dma->space);
	free(dma->usable);
	free(dma);
	errno = error;
}

const char *vdb_dma_error(const struct vdb_dma *dma)
{
	return dma->error;
}

uint32_t vdb_dma_ioas(const struct vdb_dma *dma)
{
	return dma->ioas;
}

int vdb_dma_set_width(struct vdb_dma *dma, unsigned int bits)
{
	if (bits < 1 || bits > 64) {
		errno = EINVAL;
		return vdb_dma_failed(dma, "the address width cannot be %u bits: give 1 to 64", bits);
	}
	dma->bits = bits;
	return 0;
}

int vdb_dma_reserve(struct vdb_dma *dma, uint64_t iova, uint64_t length)
{
	if (!vdb_iova_take(&dma->space, iova, length, false))
		return 0;
	return vdb_dma_failed(dma, "IOVA 0x%llx, 0x%llx bytes: %m", (unsigned long long)iova,
			      (unsigned long long)length);
}

/* An address at which the IOMMU can use its largest pages, or any other if there is no room. */
static bool find_place(struct vdb_dma *dma, const struct vdb_dma_source *source, uint64_t *iova)
{
	struct vdb_iova_wish wish = {
		.length = source->length,
		.within = {
			/* Address 0 is what a program forgets to set. */
			.first = dma->page,
			.last = UINT64_MAX >> (64 - dma->bits),
		},
	};

	/* Memory of a process has huge pages where the addresses say so, a file from its start. */
	for (unsigned int level = 2; level; level--) {
		wish.align = vdb_huge_page(level);
		wish.phase = source->fd >= 0 ? 0 : (uintptr_t)source->address & (wish.align - 1);
		if (source->length >= wish.align &&
		    vdb_iova_find(&dma->space, dma->usable, dma->nr_usable, &wish, iova))
			return true;
	}
	wish.align = dma->page;
	wish.phase = 0;
	return vdb_iova_find(&dma->space, dma->usable, dma->nr_usable, &wish, iova);
}

static int no_place(struct vdb_dma *dma, uint64_t length)
{
	uint64_t taken = 0;

	for (size_t i = 0; i < dma->space.nr; i++)
		taken += dma->space.taken[i].range.last - dma->space.taken[i].range.first + 1;
	errno = ENOSPC;
	return vdb_dma_failed(dma, "no IOVA left: 0x%llx bytes do not fit below 2^%u, where the IOMMU has %zu usable ranges and 0x%llx bytes are in use",
			      (unsigned long long)length, dma->bits, dma->nr_usable, (unsigned long long)taken);
}

/*
 * Fails with the reason why the kernel did not map.  Can replace errno by one that fits
 * better.
 */
static int not_mapped(struct vdb_dma *dma, const struct vdb_dma_source *source, uint64_t iova)
{
	switch (errno) {
	case ENOMEM:
		if (vdb_memlock_exceeded(dma->mapped, source->length, dma->kind->counts_per_user(dma),
					 dma->error)) {
			errno = EDQUOT;
			return -1;
		}
		break;
	case ENOSPC:
		return vdb_dma_failed(dma, "%s", dma->kind->no_entry);
	case EOPNOTSUPP:
		return vdb_dma_failed(dma, "the device has no IOMMU that limits its DMA");
	case EFAULT:
		return vdb_dma_failed(dma, "memory at %p, 0x%llx bytes, is not mapped in this process, or not writable",
				      source->address, (unsigned long long)source->length);
	}
	return vdb_dma_failed(dma, "0x%llx bytes cannot be mapped at IOVA 0x%llx: %m",
			      (unsigned long long)source->length, (unsigned long long)iova);
}

/* Skips what others have mapped there, in steps that grow. */
static int skip_foreign(struct vdb_dma *dma, uint64_t iova, uint64_t length, int tries)
{
	if (vdb_iova_take(&dma->space, iova, length, true))
		return vdb_dma_failed(dma, "%m");
	if (tries < 63 && length << tries >> tries == length && iova + (length << tries) > iova)
		dma->space.next = iova + (length << tries);
	return 0;
}

int vdb_dma_map_source(struct vdb_dma *dma, const struct vdb_dma_source *source, bool read_only,
		       uint64_t *iova)
{
	uint64_t place;
	int tries;

	if (read_usable(dma))
		return -1;
	if (!source->length || source->length % dma->page ||
	    (source->fd < 0 && (uintptr_t)source->address % dma->page)) {
		errno = EINVAL;
		return vdb_dma_failed(dma, "memory at %p, 0x%llx bytes, is not in whole pages of 0x%llx bytes",
				      source->address, (unsigned long long)source->length,
				      (unsigned long long)dma->page);
	}
	for (tries = 0; tries < MAX_FOREIGN; tries++) {
		if (!find_place(dma, source, &place))
			break;
		/*
		 * Taken before it is mapped: this can fail for lack of memory, and what
		 * is mapped must be recorded.
		 */
		if (vdb_iova_take(&dma->space, place, source->length, false))
			return vdb_dma_failed(dma, "%m");
		if (!dma->kind->map(dma, place, source, read_only)) {
			dma->mapped += source->length;
			*vdb_iova_tag(&dma->space, place) =
				source->fd >= 0 ? vdb_memfd_number(source->fd) : NO_SLICE;
			*iova = place;
			return 0;
		}
		vdb_iova_give(&dma->space, place);
		if (errno != EEXIST)
			return not_mapped(dma, source, place);
		if (skip_foreign(dma, place, source->length, tries))
			return -1;
	}
	return no_place(dma, source->length);
}

int vdb_dma_map(struct vdb_dma *dma, void *address, uint64_t length, unsigned int flags, uint64_t *iova)
{
	const struct vdb_dma_source source = { .fd = -1, .address = address, .length = length };

	if (flags & ~VDB_FLAG_DMA_READ_ONLY) {
		errno = EINVAL;
		return vdb_dma_failed(dma, "unknown flags 0x%x", flags);
	}
	return vdb_dma_map_source(dma, &source, flags & VDB_FLAG_DMA_READ_ONLY, iova);
}

int vdb_dma_unmap(struct vdb_dma *dma, uint64_t iova, uint64_t length)
{
	uint64_t unmapped = 0;

	if (!vdb_iova_has(&dma->space, iova, length)) {
		errno = EINVAL;
		return vdb_dma_failed(dma, "IOVA 0x%llx, 0x%llx bytes, is not one mapping of this object",
				      (unsigned long long)iova, (unsigned long long)length);
	}
	if (dma->kind->unmap(dma, iova, length, &unmapped))
		return vdb_dma_failed(dma, "0x%llx bytes at IOVA 0x%llx cannot be unmapped: %m",
				      (unsigned long long)length, (unsigned long long)iova);
	if (unmapped && unmapped != length) {
		/* The rest may still be mapped, so the addresses stay taken. */
		errno = EIO;
		return vdb_dma_failed(dma, "only 0x%llx of 0x%llx bytes at IOVA 0x%llx were mapped",
				      (unsigned long long)unmapped, (unsigned long long)length,
				      (unsigned long long)iova);
	}
	vdb_iova_give(&dma->space, iova);
	if (!unmapped) {
		errno = ENOENT;
		return vdb_dma_failed(dma, "nothing was mapped at IOVA 0x%llx", (unsigned long long)iova);
	}
	dma->mapped -= length < dma->mapped ? length : dma->mapped;
	return 0;
}

/* @last: inclusive. */
static int unmap_gap(struct vdb_dma *dma, uint64_t first, uint64_t last)
{
	uint64_t unmapped = 0;

	/*
	 * The address after the last one of all is 0.  vfio_dma_do_unmap() of Linux 6.12 finds
	 * nothing before that and reports success, and 2^64 bytes are no length.  So the last
	 * page is unmapped alone; that kernel cannot map it.
	 */
	if (last == UINT64_MAX && last - first >= dma->page)
		return unmap_gap(dma, first, last - dma->page) ?: unmap_gap(dma, last - dma->page + 1, last);
	if (!dma->kind->unmap(dma, first, last - first + 1, &unmapped))
		return 0;
	return vdb_dma_failed(dma, "mappings from IOVA 0x%llx to 0x%llx cannot be unmapped: %m",
			      (unsigned long long)first, (unsigned long long)last);
}

int vdb_dma_unmap_unknown(struct vdb_dma *dma)
{
	uint64_t first = 0;
	size_t i = 0;

	while (i < dma->space.nr) {
		struct vdb_iova_range range = dma->space.taken[i].range;

		/* Part of a mapping that is not ours. */
		if (dma->space.taken[i].foreign) {
			vdb_iova_give(&dma->space, range.first);
			continue;
		}
		if (range.first > first && unmap_gap(dma, first, range.first - 1))
			return -1;
		first = range.last + 1;
		/* There is nothing after the last address. */
		if (!first)
			return 0;
		i++;
	}
	return unmap_gap(dma, first, UINT64_MAX);
}

/* A memfd, mapped and sealed for good. */
static int make_memory(struct vdb_dma *dma, uint64_t length, unsigned int flags, uint64_t *iova)
{
	struct vdb_dma_source source = { .fd = vdb_memfd_create(length, flags), .length = length };

	if (source.fd < 0)
		return vdb_dma_failed(dma, "a memfd of 0x%llx bytes cannot be made: %m", (unsigned long long)length);
	if (vdb_dma_map_source(dma, &source, flags & VDB_FLAG_DMA_READ_ONLY, iova)) {
		fd_close(source.fd);
		return -1;
	}
	if (vdb_memfd_seal(source.fd, flags)) {
		vdb_dma_failed(dma, "the memfd cannot be sealed: %m");
		int error = errno;

		vdb_dma_unmap(dma, *iova, length);
		fd_close(source.fd);
		errno = error;
		return -1;
	}
	return source.fd;
}

struct vdb_slice *vdb_memory_alloc(struct vdb_dma *dma, uint64_t length, unsigned int flags)
{
	const unsigned int known = VDB_FLAG_READ_ONLY | VDB_FLAG_DMA_READ_ONLY | VDB_FLAG_HUGE;
	struct vdb_slice *slice;
	uint64_t iova;
	int fd = -1;

	if (flags & ~known || (flags & VDB_FLAG_READ_ONLY && flags & VDB_FLAG_DMA_READ_ONLY)) {
		errno = EINVAL;
		vdb_dma_failed(dma, flags & ~known ? "unknown flags 0x%x" :
			       "flags 0x%x: neither the device nor a process could write to the memory", flags);
		return NULL;
	}
	if (!length || length % (uint64_t)sysconf(_SC_PAGESIZE)) {
		errno = EINVAL;
		vdb_dma_failed(dma, "0x%llx bytes are not whole pages", (unsigned long long)length);
		return NULL;
	}
	if (flags & VDB_FLAG_HUGE && length % vdb_huge_page(1) == 0)
		fd = make_memory(dma, length, flags, &iova);
	/* There are no huge pages, or not enough. */
	if (fd < 0)
		fd = make_memory(dma, length, flags & ~VDB_FLAG_HUGE, &iova);
	if (fd < 0)
		return NULL;
	slice = vdb_memory_from_fd(fd, iova, flags & ~VDB_FLAG_HUGE);
	if (!slice) {
		vdb_dma_failed(dma, "%m");
		int error = errno;

		vdb_dma_unmap(dma, iova, length);
		fd_close(fd);
		errno = error;
	}
	return slice;
}

/* A received slice says where it is mapped, but that may be false. */
static bool is_mapped_there(struct vdb_dma *dma, const struct vdb_slice *slice)
{
	uint64_t tag;

	if (!vdb_iova_has(&dma->space, slice->iova, slice->length))
		return true;
	tag = *vdb_iova_tag(&dma->space, slice->iova);
	return !tag || tag == vdb_memfd_number(slice->fd);
}

int vdb_dma_revoke(struct vdb_dma *dma, struct vdb_slice *slice)
{
	if (slice->kind != VDB_KIND_MEMORY) {
		errno = EINVAL;
		return vdb_dma_failed(dma, "it is not a memory slice: use vdb_slice_revoke()");
	}
	if (slice->state == VDB_STATE_REVOKED) {
		errno = EBADFD;
		return vdb_dma_failed(dma, "it is revoked already");
	}
	if (!is_mapped_there(dma, slice)) {
		errno = EINVAL;
		return vdb_dma_failed(dma, "IOVA 0x%llx has other memory than that of the slice",
				      (unsigned long long)slice->iova);
	}
	if (vdb_dma_unmap(dma, slice->iova, slice->length) && errno != ENOENT)
		return -1;
	slice->state = VDB_STATE_REVOKED;
	return 0;
}
