/* SPDX-License-Identifier: MIT */
/*
 * libvfio-dmabuf: share parts of a PCI device's BARs between processes, on top
 * of the driver dmabuf-vfio-pci.
 *
 * The owner holds a VFIO device fd: it exports slices of BARs (vdb_device_*,
 * vdb_slice_export(), vdb_slice_revoke()), and lists what has been exported
 * (vdb_device_list()).  It maps memory for the device's DMA (vdb_dma_*), also as
 * slices (vdb_memory_alloc(), vdb_dma_revoke()).  A client holds slices and nothing
 * else of the device: it gets them from the owner (vdb_slice_receive()) or from
 * the broker (vdb_client_*), maps them (vdb_slice_map()) and talks to
 * registers through them.  vdb_read32() and the functions like it are plain
 * accesses.  If the slice can be revoked meanwhile, use vdb_try_read32() and the
 * functions like it.
 *
 * Every function that can fail returns 0 (or what is stated) on success, and
 * -1, or NULL, with errno set on failure; a failed call has changed nothing,
 * unless its description says otherwise.
 * Offsets and lengths are bytes.  All file descriptors that the library makes
 * or receives are close-on-exec.
 *
 * The only global state is that of vdb_guard_enable().  Different objects
 * may be used by different threads at the same time.  Several threads may use one
 * object at the same time if all of them call functions that take it as const,
 * except vdb_client_error().
 */
#ifndef VFIO_DMABUF_H
#define VFIO_DMABUF_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------
 * Versions, and structs that grow.
 *
 * A later version of the library can add members at the end of a struct, unless
 * its comment says that it does not grow.
 *
 * The caller provides the memory of struct vdb_bar, vdb_buffer, vdb_lease,
 * vdb_event, vdb_status and vdb_news.  The functions that fill them in are inline.
 * They pass the size that the struct had when the program was compiled to an exported
 * function with the suffix _sized, which fills in as much as fits, and 0 where the
 * program's struct is the longer one.  A program in another language calls that
 * function with the size of its own definition of the struct.  A size less than
 * that of version 0.1 fails with EINVAL.  (The kernel's openat2() and clone3() do
 * the same.  A size member in the struct could be forgotten, and accessors would
 * need a function for each member.)
 *
 * The library provides the memory of what it passes to a callback.  A program that
 * reads a member which is newer than version 0.1 compares vdb_version() first.
 */

#define VDB_VERSION_MAJOR	0
#define VDB_VERSION_MINOR	1
#define VDB_VERSION_PATCH	0
#define VDB_VERSION_OF(major, minor, patch) \
	((unsigned int)(major) << 16 | (unsigned int)(minor) << 8 | (unsigned int)(patch))
/* Of this header. */
#define VDB_VERSION \
	VDB_VERSION_OF(VDB_VERSION_MAJOR, VDB_VERSION_MINOR, VDB_VERSION_PATCH)

/**
 * vdb_version() - the version of the library that the program runs with
 *
 * Return: as VDB_VERSION, which is what it was compiled with.
 */
unsigned int vdb_version(void);

/* Room for a text that says why a function failed, with the NUL. */
#define VDB_ERROR_SIZE	256

#define VDB_BARS	6	/* BARs of a PCI function: 0 to 5 */
#define VDB_BDF_SIZE	16	/* "0000:01:00.0" and the like, with the NUL */

/* ------------------------------------------------------------------------
 * Devices: for the owner.
 */

/**
 * vdb_parse_bdf() - the full name of a PCI function
 * @text: "0000:01:00.0", or "01:00.0" in domain 0; hexadecimal
 * @bdf: filled in as the kernel writes it
 *
 * Return: whether @text is the name of a function; if not, @bdf is unchanged.
 */
bool vdb_parse_bdf(const char *text, char bdf[VDB_BDF_SIZE]);

struct vdb_device;

/**
 * vdb_device_open() - open a PCI function through VFIO
 * @bdf: "0000:01:00.0"; the domain may be left out if it is 0000
 * @vf_token: a UUID in its usual form, "8b3a1e60-5a0c-4c6c-9d5e-0a6d1f2c7e11", if
 *	the function has virtual functions or is one; NULL: none
 * @error: after failure filled in with why, in words; NULL: not wanted
 *
 * Opens the VFIO character device and an iommufd if the kernel has them and this
 * user is allowed to open them, otherwise the IOMMU group and a type 1 container.
 * @error names each node that could not be opened.  VFIO resets the function, if
 * possible, at the first open and at the last close.  So after the open the function's
 * registers have their defaults.
 *
 * The process that opens a physical function with a token decides who can open its
 * virtual functions: processes that have the same token.
 *
 * Return: the device, to be closed with vdb_device_close(); NULL with errno:
 *	EINVAL	@bdf is not the name of a PCI function, or @vf_token is not a UUID
 *	ENOENT	there is no such function, or it has no VFIO driver
 *	EACCES	this user is allowed to open neither the character device with
 *		/dev/iommu, nor the group with /dev/vfio/vfio; or the physical function
 *		is open with another token, or without one
 *	EOPNOTSUPP this kernel does not take tokens for a character device (before
 *		Linux 6.18), and has no IOMMU groups
 *	EBUSY	another process has opened it or, where groups are used, another
 *		function of its IOMMU group
 *	EPERM	another function of its IOMMU group has a driver that is not one of
 *		VFIO's: unbind it, or bind it to one; or, where cdevs are used, another
 *		process has opened another function of the group; or the machine has no
 *		interrupt remapping, which the kernel's log then says
 *	or as open() or VFIO's ioctls.
 */
struct vdb_device *vdb_device_open(const char *bdf, const char *vf_token,
				   char error[VDB_ERROR_SIZE]);

/**
 * vdb_device_from_fd() - use a VFIO device fd that the caller has
 * @device_fd: stays the caller's, and must stay open as long as the object
 *
 * Return: the device; NULL with errno:
 *	EBADF	@device_fd is not open
 *	ENOTTY	it is not a VFIO device
 *	ENODEV	it is one, but not a PCI function
 */
struct vdb_device *vdb_device_from_fd(int device_fd);

/**
 * vdb_device_close() - end the use of a device
 * @device: from one of the functions above, or NULL
 *
 * Closes what vdb_device_open() has opened; if that was the last fd of the
 * device, all its slices are revoked.  Leaves the fd of vdb_device_from_fd()
 * open.  Slices exported from it stay valid objects.  errno is kept.
 */
void vdb_device_close(struct vdb_device *device);

/**
 * vdb_device_fd() - the VFIO device fd, for all other calls of VFIO
 * @device: any device
 *
 * Return: the fd; it belongs to @device.
 */
int vdb_device_fd(const struct vdb_device *device);

/**
 * vdb_device_iommu_fd() - the fd through which DMA is mapped
 * @device: any device
 *
 * Return: the type 1 container, or the iommufd with the IO address space that
 * the device is attached to; it belongs to @device.  -1 if the device came from
 * vdb_device_from_fd().  vdb_dma_from_device() maps through it.
 */
int vdb_device_iommu_fd(const struct vdb_device *device);

/**
 * vdb_device_set_bus_master() - let a device do DMA and send interrupts, or not
 * @device: any device
 * @on: whether
 *
 * A device does neither when it is opened, and after a reset.
 *
 * Return: 0; -1 as read() and write() of the config space.
 */
int vdb_device_set_bus_master(const struct vdb_device *device, bool on);

/* What the driver that the device is bound to can do. */
#define VDB_CAP_EXPORT	(1u << 0)	/* slices that can be mapped, and revoked */
#define VDB_CAP_WC	(1u << 1)	/* write-combining slices */
#define VDB_CAP_EVENTS	(1u << 2)	/* vdb_slice_watch() */
#define VDB_CAP_LIST	(1u << 3)	/* vdb_device_list() and all functions that take an id */

/**
 * vdb_device_capabilities() - what the device's driver offers
 * @device: any device
 *
 * This does not include the device's settings: with core_export
 * vdb_slice_export() fails, although VDB_CAP_EXPORT is set.
 *
 * Return: VDB_CAP_* bits; 0 for stock vfio-pci, whose exports cannot be mapped.
 */
unsigned int vdb_device_capabilities(const struct vdb_device *device);

struct vdb_bar {
	uint64_t size;		/* bytes; 0: there is no such BAR */
	bool memory;		/* false: I/O ports */
	bool mappable;		/* slices of it can be exported */
	bool prefetchable;	/* write-combining has no side effects */
	bool is_64bit;
};

/**
 * vdb_device_bar() - describe a BAR
 * @device: any device
 * @index: 0 to 5
 * @bar: filled in
 *
 * Return: 0; -1 with EINVAL if @index is above 5, or an error of VFIO.
 */
int vdb_device_bar_sized(const struct vdb_device *device, unsigned int index,
			 struct vdb_bar *bar, size_t size);
static inline int vdb_device_bar(const struct vdb_device *device, unsigned int index,
				 struct vdb_bar *bar)
{
	return vdb_device_bar_sized(device, index, bar, sizeof(*bar));
}

/**
 * vdb_device_reset() - reset the function; its slices are suspended meanwhile
 * @device: any device
 *
 * Return: 0; -1 with EINVAL if it cannot be reset alone, or an error of VFIO.
 */
int vdb_device_reset(const struct vdb_device *device);

/* ------------------------------------------------------------------------
 * Slices: of registers, or of memory.  All functions are for both, unless they are
 * described for a BAR, a DMABUF or a device, or for memory.
 */

struct vdb_slice;

enum vdb_kind {
	VDB_KIND_REGISTERS = 0,	/* part of a BAR */
	VDB_KIND_MEMORY = 1,	/* see vdb_memory_alloc() */
};

/* Does not grow. */
struct vdb_range {
	uint64_t offset;	/* in the BAR */
	uint64_t length;
};

#define VDB_FLAG_READ_ONLY	(1u << 0)	/* can never be mapped writable */
#define VDB_FLAG_WC		(1u << 1)	/* mapped write-combining instead of uncached */
/* VDB_FLAG_BAR_MAPPING is bit 2.  Of memory: */
#define VDB_FLAG_HUGE		(1u << 3)	/* it is of huge pages */
#define VDB_FLAG_DMA_READ_ONLY	(1u << 4)	/* the device can read it, and not write to it */

/**
 * vdb_slice_export() - export ranges of a BAR
 * @device: with VDB_CAP_EXPORT
 * @bar: 0 to 5
 * @ranges: in whole pages; the slice has them one after the other
 * @nr_ranges: at least 1
 * @flags: VDB_FLAG_* bits
 *
 * Return: the slice, to be freed with vdb_slice_free(), which does not revoke
 * it while other processes have its fd; NULL with errno:
 *	EINVAL	@bar above 5, unknown @flags, or @ranges empty, not in whole
 *		pages, or after the end of the BAR
 *	ENODEV	no such BAR, or one that cannot be mapped
 *	ENOTTY	the device's driver is not dmabuf-vfio-pci
 *	EOPNOTSUPP VDB_FLAG_WC on a machine without it; or the device's setting
 *		core_export is on, with which exported buffers cannot be mapped
 *	or as VFIO_DEVICE_FEATURE_DMA_BUF in <vfio-dmabuf/vfio_dmabuf.h>.
 */
struct vdb_slice *vdb_slice_export(const struct vdb_device *device,
				   unsigned int bar,
				   const struct vdb_range *ranges,
				   size_t nr_ranges, unsigned int flags);

/**
 * vdb_slice_revoke() - end all access through a slice, for good
 * @device: that it was exported from
 * @slice: stays a valid object
 *
 * When it returns 0, or -1 with EBADFD, no mapping in any process reaches the
 * device through the slice, and none can be made.  The call does not wait for
 * clients.
 *
 * It waits for other devices' drivers that have imported the slice to unmap it.
 * A signal handler that runs meanwhile ends the wait, and the call fails with
 * EINTR.  The slice is revoked then: no mapping of a process reaches the device,
 * and the drivers unmap when they can.  Call again to wait for them.
 *
 * Return: 0; -1 with errno:
 *	EBADFD	an earlier call revoked it, or the device has been closed
 *	EINTR	see above
 *	ENODEV	it is a slice of another device
 *	EINVAL	it is not a DMABUF of the driver dmabuf-vfio-pci
 */
int vdb_slice_revoke(const struct vdb_device *device,
		     const struct vdb_slice *slice);

/**
 * vdb_slice_watch() - give a slice an event fd, which reports suspension and
 * revocation
 * @device: that it was exported from, with VDB_CAP_EVENTS
 * @slice: gets an event fd, which vdb_slice_send() passes on with it; one that
 *	it has already is replaced
 *
 * Return: 0; -1 with ENOTTY if the driver does not have VDB_CAP_EVENTS, ENODEV
 * if it is a slice of another device, or an error of the feature.
 */
int vdb_slice_watch(const struct vdb_device *device, struct vdb_slice *slice);

/**
 * vdb_slice_free() - end the use of a slice in this process
 * @slice: any, or NULL
 *
 * Closes its fds; mappings stay until vdb_slice_unmap().  errno is kept.
 */
void vdb_slice_free(struct vdb_slice *slice);

/* About a slice; the fds belong to it. */
enum vdb_kind vdb_slice_kind(const struct vdb_slice *slice);
int vdb_slice_fd(const struct vdb_slice *slice);	/* the DMABUF, or the memfd */
int vdb_slice_event_fd(const struct vdb_slice *slice);	/* -1: not watched */
const char *vdb_slice_bdf(const struct vdb_slice *slice);	/* "" if not known */
unsigned int vdb_slice_bar(const struct vdb_slice *slice);
uint64_t vdb_slice_offset(const struct vdb_slice *slice);	/* of its byte 0 in the BAR */
uint64_t vdb_slice_length(const struct vdb_slice *slice);
uint64_t vdb_slice_iova(const struct vdb_slice *slice);	/* of memory: where the device has it */
/* VDB_FLAG_READ_ONLY, VDB_FLAG_WC; of memory also VDB_FLAG_HUGE, VDB_FLAG_DMA_READ_ONLY */
unsigned int vdb_slice_flags(const struct vdb_slice *slice);

enum vdb_state {
	VDB_STATE_LIVE = 0,
	VDB_STATE_SUSPENDED = 1,	/* for a time: accesses wait or get SIGBUS */
	VDB_STATE_REVOKED = 2,	/* for good */
};

/**
 * vdb_slice_state() - the state of a watched slice
 * @slice: watched
 * @changes: NULL, or where to put a number that grows with every suspension,
 *	resumption and revocation: so it also shows a suspension that has begun
 *	and ended between two calls
 *
 * vdb_slice_event_fd() polls readable (POLLIN) after vdb_slice_watch() and after
 * every change, until this call.  A slice that was received begins with the
 * state that its sender knew, and the fd polls readable if there has been a
 * change since.  After the slice is revoked, the fd always polls readable, with
 * POLLHUP.
 *
 * Does not block, with one exception: another process that shares the fd has
 * cleared its O_NONBLOCK and, at the same moment, reads the change first.
 *
 * Return: enum vdb_state; -1 with ENODATA if the slice is not watched.
 */
int vdb_slice_state(struct vdb_slice *slice, uint64_t *changes);

/* ------------------------------------------------------------------------
 * Buffers: what the kernel knows of an owner's slices and BAR mappings.
 *
 * A buffer is a slice, or backs a mapping of the device fd.  The latter begins at
 * byte 0 of the BAR and ends where the mapping ends.  The kernel gives each buffer an
 * id.  An id is not 0, is greater than those before it, and is not used again while
 * the module is loaded.  Only a holder of the device fd can use an id.
 *
 * An owner that was restarted and still has its device fd finds its slices with
 * vdb_device_list(), and revokes those that it does not know with
 * vdb_device_revoke_id().  It needs VDB_CAP_LIST; without it these functions
 * fail with ENOTTY or EINVAL.
 *
 * Like every call to the device, they wake a device from low power.
 */

#define VDB_FLAG_BAR_MAPPING	(1u << 2)	/* not a slice: a mapping of the device fd */

struct vdb_buffer {
	uint64_t id;
	uint64_t inode;		/* as in fstat() and /proc/<pid>/maps */
	uint64_t offset;	/* of its byte 0 in the BAR */
	uint64_t length;
	unsigned int bar;
	unsigned int flags;	/* VDB_FLAG_READ_ONLY, VDB_FLAG_WC, VDB_FLAG_BAR_MAPPING */
	enum vdb_state state;
	unsigned int nr_ranges;	/* ranges that continue each other are one */
	unsigned int mappings;	/* in all processes */
	unsigned int importers;	/* devices that are attached to it */
	unsigned int dma_maps;	/* mappings for DMA that they have */
};

/**
 * vdb_device_list() - the buffers of a device
 * @device: with VDB_CAP_LIST
 * @each: called for each buffer, in the order of their ids, until it returns
 *	false; @buffer is valid during the call.  It may use @device, also to
 *	export and revoke slices.
 * @data: handed to @each
 *
 * A buffer that exists during all of the call is listed once.  One that is
 * exported or released meanwhile is listed or not.  A revoked buffer is listed
 * until no process has an fd or a mapping of it.  Listing needs 64 KiB of
 * memory, for any number of buffers.
 *
 * Return: 0 if @each has seen all; 1 if it returned false; -1 with errno, and
 * @each may have been called before.
 */
int vdb_device_list(const struct vdb_device *device,
		    bool (*each)(const struct vdb_buffer *buffer, void *data), void *data);

/**
 * vdb_device_buffer() - one buffer
 * @device: with VDB_CAP_LIST
 * @id: the buffer's
 * @buffer: filled in
 *
 * Return: 0; -1 with ENOENT if @device has no such buffer, or no longer has it.
 */
int vdb_device_buffer_sized(const struct vdb_device *device, uint64_t id,
			    struct vdb_buffer *buffer, size_t size);
static inline int vdb_device_buffer(const struct vdb_device *device, uint64_t id,
				    struct vdb_buffer *buffer)
{
	return vdb_device_buffer_sized(device, id, buffer, sizeof(*buffer));
}

/**
 * vdb_device_buffer_ranges() - the ranges of a buffer
 * @device: with VDB_CAP_LIST
 * @id: the buffer's
 * @first: index of the range to begin with
 * @ranges: filled in, in the order of the buffer
 * @room: number of ranges that there is room for
 *
 * Return: the number of ranges filled in, fewer than @room if there are no
 * more; -1 with ENOENT if @device has no such buffer, or no longer has it.
 */
ssize_t vdb_device_buffer_ranges(const struct vdb_device *device, uint64_t id,
				 size_t first, struct vdb_range *ranges, size_t room);

/**
 * vdb_slice_id() - the id of a slice
 * @device: that it was exported from, with VDB_CAP_LIST
 * @slice: any of @device
 *
 * Return: the id; 0 with errno:
 *	ENODEV	it is a slice of another device
 *	EINVAL	it is not a DMABUF of the driver dmabuf-vfio-pci
 *	ENOTTY	the driver does not have VDB_CAP_LIST
 */
uint64_t vdb_slice_id(const struct vdb_device *device, const struct vdb_slice *slice);

/**
 * vdb_device_revoke_id() - end all access through a buffer, by its id
 * @device: with VDB_CAP_LIST
 * @id: of a slice; that of a BAR mapping revokes this one
 *
 * As vdb_slice_revoke(), regardless of which process exported the slice, and
 * also if no process has an fd of it any more.
 *
 * Return: 0; -1 with EBADFD or EINTR as vdb_slice_revoke(), or ENOENT if @device
 * has no such buffer: if it existed, nothing is left of it, so nothing reaches
 * the device through it.
 */
int vdb_device_revoke_id(const struct vdb_device *device, uint64_t id);

/**
 * vdb_device_export() - export ranges of a BAR, as an fd and with its id
 * @device: with VDB_CAP_LIST
 * @bar, @ranges, @nr_ranges, @flags: as for vdb_slice_export()
 * @buffer: filled in
 *
 * For an owner that passes the fd on and keeps the id. vdb_slice_from_fd() makes a
 * slice of the fd.  Two system calls; three with VDB_FLAG_WC.
 *
 * Return: the DMABUF, to be closed by the caller; -1 with errno as vdb_slice_export().
 */
int vdb_device_export_sized(const struct vdb_device *device, unsigned int bar,
			    const struct vdb_range *ranges, size_t nr_ranges,
			    unsigned int flags, struct vdb_buffer *buffer, size_t size);
static inline int vdb_device_export(const struct vdb_device *device, unsigned int bar,
				    const struct vdb_range *ranges, size_t nr_ranges,
				    unsigned int flags, struct vdb_buffer *buffer)
{
	return vdb_device_export_sized(device, bar, ranges, nr_ranges, flags, buffer,
				       sizeof(*buffer));
}

/**
 * vdb_device_watch() - be notified when a device is suspended and closed
 * vdb_device_watch_id() - the same for one buffer of it
 * @device: with VDB_CAP_LIST
 * @id: the buffer's
 *
 * The fd polls readable (POLLIN) at first and after every change, until
 * vdb_event_read() has read it.  After revocation it reports POLLHUP as well and
 * stays readable.  A device counts as revoked when its last fd is closed.  The fd
 * keeps neither the buffer nor the device, and can be passed to any process.
 *
 * Return: an event fd, non-blocking, to be closed by the caller; -1 with ENOENT
 * if @device has no such buffer, ENOTTY if the driver does not have VDB_CAP_LIST,
 * or an error of the feature.
 */
int vdb_device_watch(const struct vdb_device *device);
int vdb_device_watch_id(const struct vdb_device *device, uint64_t id);

/**
 * vdb_event_read() - the state of a device or buffer
 * @event_fd: from the functions above; not that of a slice, which
 *	vdb_slice_state() reads
 * @changes: NULL, or where to put a number that grows with every suspension,
 *	resumption and revocation; not changed if revocation was read before
 *
 * Return: enum vdb_state; -1 with EAGAIN if nothing has changed since the last
 * call, or an error of read().
 */
int vdb_event_read(int event_fd, uint64_t *changes);

/* ------------------------------------------------------------------------
 * Mapping slices, and passing them on.
 */

/**
 * vdb_slice_map() - map a slice or a part of it
 * @slice: any
 * @offset: in the slice, in whole pages
 * @length: in whole pages; 0: up to the end
 * @prot: PROT_READ, PROT_WRITE or both
 *
 * The library chooses the address so that the kernel can use huge pages if BAR
 * and slice allow it.  Each mapping stays until vdb_slice_unmap(), also after
 * vdb_slice_free().
 *
 * Return: the address; NULL with errno:
 *	EINVAL	@offset or @length not in whole pages (huge pages, if the memory has
 *		them), or after the end of the slice
 *	EACCES	@prot has PROT_WRITE and the slice is read-only
 *	ENODEV	the slice is revoked
 *	ENOMEM	as mmap()
 */
void *vdb_slice_map(const struct vdb_slice *slice, uint64_t offset,
		    size_t length, int prot);

/**
 * vdb_slice_unmap() - undo vdb_slice_map()
 * @slice: that was mapped
 * @address: from vdb_slice_map()
 * @offset: as passed there
 * @length: as passed there; 0: up to the end of the slice
 *
 * If the slice has been freed already, use munmap() with the length in bytes.
 *
 * Return: 0; -1 with EINVAL as vdb_slice_map(), or as munmap().
 */
int vdb_slice_unmap(const struct vdb_slice *slice, void *address, uint64_t offset,
		    size_t length);

/**
 * vdb_slice_send() - pass a slice to another process
 * @socket: a connected AF_UNIX socket, SOCK_SEQPACKET or SOCK_STREAM
 * @device: that it was exported from; NULL if the sender does not have it
 * @slice: any; stays the caller's
 *
 * One message with the slice's description and its fds: the DMABUF and, if it
 * is watched, an event fd.  With @device the receiver gets an event fd of its own.
 *
 * Event fds come from the device only.  A client, which does not have the device,
 * passes NULL, and its own event fd is passed on.  Both processes then share that
 * fd: a change that one of them has read is not reported to the other.
 *
 * Return: 0; -1 with an error of sendmsg(); EMSGSIZE if it accepted only a part;
 * with @device also errors of vdb_slice_watch().
 */
int vdb_slice_send(int socket, const struct vdb_device *device,
		   const struct vdb_slice *slice);

/**
 * vdb_slice_receive() - receive a slice that vdb_slice_send() has sent
 * @socket: the other end
 *
 * Trusts nothing in the message: bounds and mode are compared with the DMABUF
 * itself, or with the memfd and its seals.  Fds that do not belong are closed.  The
 * IOVA of memory cannot be compared with anything: it is what the sender says.
 *
 * Return: the slice; NULL with errno:
 *	EPROTO	the message is not a slice's, or says what the DMABUF or memfd denies
 *	EMFILE	this process has reached its limit of fds
 *	ENOTCONN the other end is closed
 *	or an error of recvmsg() (EAGAIN on a non-blocking socket).
 * A message that fails with EPROTO or EMFILE is lost: the slice must be sent again.
 */
struct vdb_slice *vdb_slice_receive(int socket);

/**
 * vdb_slice_from_fd() - make a slice of a DMABUF fd that was not sent by
 * vdb_slice_send()
 * @fd: a DMABUF; after success it belongs to the slice, after failure to the
 *	caller
 * @event_fd: its event fd or -1; likewise
 * @bdf: name of the function, or NULL
 * @bar: 0 to 5
 * @offset: of its byte 0 in the BAR
 * @flags: VDB_FLAG_* bits
 *
 * Return: the slice; NULL with errno:
 *	EBADF	@fd is not open
 *	EINVAL	@fd is not a DMABUF, its file's mode does not fit @flags, or
 *		another value is impossible
 */
struct vdb_slice *vdb_slice_from_fd(int fd, int event_fd, const char *bdf,
				    unsigned int bar, uint64_t offset,
				    unsigned int flags);

/* ------------------------------------------------------------------------
 * DMA: memory that the device reaches.  For the owner.
 *
 * A device reaches memory through an IO address space: a type 1 container, or an
 * IOAS of an iommufd.  Memory is mapped into it at an IO virtual address (IOVA).  The
 * library chooses the IOVA, and the owner writes it to the device.  The kernel pins the
 * memory as long as it is mapped.  docs/dma.md says what can be relied on.
 *
 * Mappings belong to the container or iommufd.  They last until they are unmapped or
 * its last fd is closed; they do not end with the object, the process that made
 * them, or the memory's last fd.
 */

struct vdb_dma;

/**
 * vdb_dma_from_device() - the IO address space that vdb_device_open() attached
 * vdb_dma_from_fd() - one of the caller's
 * @device: from vdb_device_open(); stays open as long as the object
 * @iommu_fd: a type 1 container with an IOMMU set, or an iommufd; stays the
 *	caller's, who keeps it open as long as the object
 * @ioas: the number of the IO address space in the iommufd; 0: it is a container
 * @error: after failure filled in with why, in words; NULL: not wanted
 *
 * The object knows which IOVAs it has given out.  Use one object for an address
 * space.  If there are more, in this process or another, they see each other's
 * mappings only when the kernel refuses an IOVA; then they try another.
 *
 * Return: the address space, to be closed with vdb_dma_close(); NULL with errno:
 *	EINVAL	@device came from vdb_device_from_fd(); the container has no group
 *		or no IOMMU set
 *	EOPNOTSUPP the device has no IOMMU (VFIO's noiommu mode): its DMA would reach
 *		all memory
 *	ENOENT	the iommufd has no such IO address space
 *	ENOTTY	@iommu_fd is neither
 *	EBADF, ENOMEM
 */
struct vdb_dma *vdb_dma_from_device(const struct vdb_device *device, char error[VDB_ERROR_SIZE]);
struct vdb_dma *vdb_dma_from_fd(int iommu_fd, uint32_t ioas, char error[VDB_ERROR_SIZE]);

/**
 * vdb_dma_close() - end the use of an IO address space
 * @dma: any, or NULL.  errno is kept.
 *
 * Unmaps nothing.
 */
void vdb_dma_close(struct vdb_dma *dma);

/**
 * vdb_dma_error() - why the last call with @dma failed, in words
 * @dma: any
 *
 * Return: a text, valid until the next call with @dma; "" if none failed.
 */
const char *vdb_dma_error(const struct vdb_dma *dma);

/**
 * vdb_dma_ioas() - the number of the IO address space
 * @dma: any
 *
 * An owner that keeps the iommufd over its own restart keeps this number as well.
 *
 * Return: the number for vdb_dma_from_fd(); 0 for a container.
 */
uint32_t vdb_dma_ioas(const struct vdb_dma *dma);

/**
 * vdb_dma_set_width() - limit IOVAs to what a device can address
 * @dma: any
 * @bits: 1 to 64; of the device's registers and descriptors
 *
 * The kernel knows what the IOMMU can translate, but not what the device can
 * address.  Without this call, the limit is 64 bits.  It applies to mappings that are
 * made after the call.
 *
 * Return: 0; -1 with EINVAL if @bits is not in that range.
 */
int vdb_dma_set_width(struct vdb_dma *dma, unsigned int bits);

/**
 * vdb_dma_reserve() - keep IOVAs from being given out
 * @dma: any
 * @iova, @length: the range
 *
 * For what an earlier process has mapped there, and for addresses that the caller
 * wants to use otherwise.  Call it before anything is mapped through @dma, because a
 * mapping could get the same addresses.  vdb_dma_unmap() and vdb_dma_revoke() end the
 * reservation.  If anything is mapped there, they unmap it.
 *
 * Return: 0; -1 with EEXIST if part of it is given out or reserved, EINVAL if there
 * is no such range, ENOMEM.
 */
int vdb_dma_reserve(struct vdb_dma *dma, uint64_t iova, uint64_t length);

/**
 * vdb_dma_map() - map memory of this process for DMA
 * @dma: any
 * @address: in whole pages
 * @length: in whole pages
 * @flags: 0, or VDB_FLAG_DMA_READ_ONLY
 * @iova: filled in with where the device has it
 *
 * The IOVA is one that the IOMMU can translate (not one of the interrupt
 * controller's, for example), below the limit of vdb_dma_set_width(), and not 0.  It
 * is aligned so that the IOMMU can use huge pages where the memory has them.  It is
 * not one that was unmapped recently, as long as there are others.
 *
 * The process can unmap the memory afterwards; the device still has it.
 *
 * Return: 0; -1 with errno, and vdb_dma_error() says more:
 *	EINVAL	@address or @length not in whole pages, or unknown @flags
 *	ENOSPC	no IOVA is left for it, or the container has as many mappings as it
 *		may have
 *	EDQUOT	RLIMIT_MEMLOCK is too low: the text has the limit, and what it must be
 *	EFAULT	there is no memory, or it is not writable and @flags is 0
 *	EOPNOTSUPP the device has no IOMMU
 *	ENOMEM
 */
int vdb_dma_map(struct vdb_dma *dma, void *address, uint64_t length, unsigned int flags,
		uint64_t *iova);

/**
 * vdb_dma_unmap() - end the device's access to memory
 * @dma: that mapped it, or reserved it
 * @iova, @length: of one mapping, exactly
 *
 * When it returns 0, the device cannot reach the memory.  It does not wait for clients.
 *
 * Return: 0; -1 with errno, and vdb_dma_error() says more:
 *	EINVAL	it is not one mapping of @dma
 *	ENOENT	it was reserved, and nothing was mapped there; the reservation ends
 *	EIO	only a part was mapped, and that is unmapped; the range stays reserved
 */
int vdb_dma_unmap(struct vdb_dma *dma, uint64_t iova, uint64_t length);

/**
 * vdb_dma_unmap_unknown() - unmap all that this object does not know
 * @dma: whose IO address space no other object or process uses
 *
 * For an owner that was restarted: the former process may have died after it had mapped
 * memory, and before it had recorded that.  First call vdb_dma_reserve() for all mappings
 * that must stay.
 *
 * When it returns 0, the device reaches only what @dma has mapped or reserved.
 *
 * Return: 0; -1 with errno, and vdb_dma_error() says more:
 *	EINVAL	a reserved range is only a part of a mapping.  That mapping stays.
 */
int vdb_dma_unmap_unknown(struct vdb_dma *dma);

/**
 * vdb_memory_alloc() - a slice of memory, mapped for DMA
 * @dma: any
 * @length: in whole pages
 * @flags: VDB_FLAG_* bits:
 *	VDB_FLAG_READ_ONLY	only the device can write to it
 *	VDB_FLAG_DMA_READ_ONLY	the device cannot
 *	VDB_FLAG_HUGE	of huge pages, if @length is in whole ones and there are free
 *			ones; vdb_slice_flags() says what it became.  Where a page
 *			has 4 KiB, a huge one has 2 MiB; 16 KiB: 32 MiB.
 *
 * A memfd, all zeros, whose size cannot change.  vdb_slice_map(),
 * vdb_slice_send(), vdb_slice_receive() and vdb_slice_free() work as with
 * registers, and vdb_slice_iova() is the address for the device.  A client that
 * receives the slice can use the memory, also after vdb_dma_revoke(), and needs no
 * right to the device.  The slice cannot be watched.
 *
 * The memory counts for the control group of the caller.
 *
 * Return: the slice, to be freed with vdb_slice_free(), which leaves it mapped for
 * the device; NULL with errno as vdb_dma_map().
 */
struct vdb_slice *vdb_memory_alloc(struct vdb_dma *dma, uint64_t length, unsigned int flags);

/**
 * vdb_dma_revoke() - end the device's access to a slice of memory
 * @dma: that it was allocated from, or that its IOVAs were reserved in
 * @slice: stays a valid object
 *
 * As vdb_dma_unmap().  Processes that have the slice keep it as ordinary memory, so do
 * not give it to another client.
 *
 * Before the IOVA is given out again, make sure that the device has no descriptor
 * with it any more, by stopping its queue for example.
 *
 * Return: 0; -1 with errno as vdb_dma_unmap(), except that ENOENT is success, or
 *	EINVAL	@slice is not of memory, or is not what @dma has mapped at its IOVA
 *	EBADFD	it is revoked already
 */
int vdb_dma_revoke(struct vdb_dma *dma, struct vdb_slice *slice);

/**
 * vdb_memory_from_fd() - make a slice of a memfd that came another way
 * @fd: from vdb_slice_fd(); the slice's own after success, the caller's after failure
 * @iova: where the device has it
 * @flags: VDB_FLAG_READ_ONLY, VDB_FLAG_DMA_READ_ONLY
 *
 * An owner that was restarted, and has kept the memfd, makes its slice again with
 * this function, and vdb_dma_reserve() its IOVAs.
 *
 * Return: the slice; NULL with errno:
 *	EBADF	@fd is not open
 *	EINVAL	@fd is not a memfd that is sealed as vdb_memory_alloc() does it and as
 *		@flags say, or @iova makes no sense
 */
struct vdb_slice *vdb_memory_from_fd(int fd, uint64_t iova, unsigned int flags);

/* ------------------------------------------------------------------------
 * Registers.  @address points into a mapping, and is a multiple of the access's width.
 *
 * Accesses of one thread to uncached mappings reach the device in the order of
 * the program, each as one access of that width; stores to ordinary memory made
 * before a vdb_write*() are visible to the device's DMA before it, and loads
 * from ordinary memory after a vdb_read*() see what the device had written
 * before it answered.  Values are in the CPU's byte order; PCI's is little
 * endian.  An access through a revoked slice gets SIGBUS.  Do not access a mapping in
 * any other way: libvfio-dmabuf(3) says what memcpy() and compilers do to it.
 */
#include <vfio-dmabuf-mmio.h>

/* ------------------------------------------------------------------------
 * Registers of a slice that can be revoked: an error instead of SIGBUS.
 */

/**
 * vdb_guard_supported() - whether the library has guarded accesses on this CPU
 *
 * They exist for x86-64 and arm64.  On other CPUs vdb_guard_enable() and
 * vdb_try_*() fail with ENOTSUP and do nothing else, and vdb_guard_handle()
 * returns false.
 *
 * Return: whether they can be used.
 */
bool vdb_guard_supported(void);

/**
 * vdb_guard_enable() - install the library's SIGBUS handler
 *
 * For programs without a SIGBUS handler of their own.  The handler handles
 * faults of vdb_try_*() only.  For every other SIGBUS it does what the former
 * disposition says.  The former disposition is kept for the whole process: it
 * is the library's only global state.  Calls after the first do nothing.
 * Thread-safe.
 *
 * Threads that use vdb_try_*() must not block SIGBUS: the kernel ends a process
 * that gets a fault while the signal is blocked.  libvfio-dmabuf(3) says how to
 * use the guard with other handlers, and in Go and Python.
 *
 * Return: 0; -1 with ENOTSUP, or what sigaction() says.
 */
int vdb_guard_enable(void);

/**
 * vdb_guard_handle() - for programs with a SIGBUS handler of their own
 * @info: argument of the handler, which is installed with SA_SIGINFO
 * @context: likewise
 *
 * Call it first in that handler.  Async-signal-safe.
 *
 * Return: true if vdb_try_*() caused the fault: the handler must return at
 * once, and the call fails. False: the program must handle it.
 */
bool vdb_guard_handle(const siginfo_t *info, void *context);

/**
 * vdb_try_read8() and so on - read or write a register, or fail
 * @address: in a mapping, aligned to the width
 * @value: filled in
 *
 * As vdb_read*() and vdb_write*(), but they return an error where those would
 * get SIGBUS. For that, the guard must be enabled, or the program's handler
 * must call vdb_guard_handle().  If the slice is revoked during a write that
 * fails, the write can have reached the device or not.  While the device is
 * being reset they wait.
 *
 * Return: 0; -1 with errno:
 *	EFAULT	the device cannot be reached: the slice is revoked or suspended
 *	EINVAL	@address is not aligned to the width; nothing is accessed
 *	EIO	the access was made, and failed: the CPU reports an error of the bus, the
 *		device or its memory.  The slice may still be usable.  Most PCs report
 *		nothing, and the read returns all bits set.
 *	ENOTSUP	vdb_guard_supported() returns false
 */
int vdb_try_read8(const volatile void *address, uint8_t *value);
int vdb_try_read16(const volatile void *address, uint16_t *value);
int vdb_try_read32(const volatile void *address, uint32_t *value);
int vdb_try_read64(const volatile void *address, uint64_t *value);
int vdb_try_write8(volatile void *address, uint8_t value);
int vdb_try_write16(volatile void *address, uint16_t value);
int vdb_try_write32(volatile void *address, uint32_t value);
int vdb_try_write64(volatile void *address, uint64_t value);

/**
 * vdb_try_copy_from() - copy from the device, or fail
 * @to, @from, @length, @width: as those of vdb_copy_from()
 * @copied: filled in with the number of bytes that were copied, also after a failure;
 *	NULL: not wanted
 *
 * If the slice is revoked during the copy, the bytes before that are copied.
 *
 * Return: 0; -1 with EINVAL if an argument is not as described, and nothing is copied; or
 * as vdb_try_read8().
 */
int vdb_try_copy_from(void *to, const volatile void *from, size_t length,
		      unsigned int width, size_t *copied);

/**
 * vdb_try_copy_to() - copy to the device, or fail
 * @to, @from, @length, @width: as those of vdb_copy_to()
 * @copied: as that of vdb_try_copy_from().  The access after that can have reached the
 *	device or not; of a block of 64 bytes, also a part.
 *
 * Return: as vdb_try_copy_from().
 */
int vdb_try_copy_to(volatile void *to, const void *from, size_t length,
		    unsigned int width, size_t *copied);

/* ------------------------------------------------------------------------
 * Clients of the broker.  docs/protocol.md describes the protocol.
 *
 * Every call that talks to the broker ends within the connection's time limit,
 * which the caller sets.  If a call fails with ETIMEDOUT, the connection continues.
 * The broker may have carried the request out, or may still do so.  The library drops
 * its late answer.  If the broker grants a slice too late, the library releases it.
 *
 * If a call fails with ENOTCONN or EPROTO, the connection has ended, and all its
 * leases with it.  Every later call fails with ENOTCONN; close the client.
 * vdb_client_error() says more.  Signal handlers do not interrupt the calls.
 */

#ifndef VDB_BROKER_SOCKET
#define VDB_BROKER_SOCKET	"/run/vfio-dmabuf/broker"
#endif

struct vdb_client;

/**
 * vdb_client_connect() - connect to the broker
 * @path: its socket, or NULL for VDB_BROKER_SOCKET
 * @timeout_ms: time limit in milliseconds of this call and of each later one on
 * this connection; -1: no limit
 * @error: after failure filled in with why, in the broker's words if it sent some;
 *	NULL: not wanted
 *
 * Return: the connection, to be closed with vdb_client_close(); NULL with errno:
 *	ENOENT	there is no such socket
 *	ECONNREFUSED no process listens there
 *	EACCES	this user is not allowed to connect to it
 *	ETIMEDOUT the broker did not answer in time
 *	EPROTONOSUPPORT the broker speaks other versions of the protocol only
 *	EPROTO	what listens there does not speak the protocol
 *	ENOTCONN the broker closed the connection: this user has, or all users
 *		together have, as many connections as allowed
 *	or an error of socket() or connect().
 */
struct vdb_client *vdb_client_connect(const char *path, int timeout_ms,
				      char error[VDB_ERROR_SIZE]);

/**
 * vdb_client_set_timeout() - change the time limit of later calls
 * @client: any
 * @timeout_ms: in milliseconds; 0: do not wait; -1: no limit
 */
void vdb_client_set_timeout(struct vdb_client *client, int timeout_ms);

/**
 * vdb_client_close() - end the connection, and all leases with it
 * @client: any, or NULL.  errno is kept.
 */
void vdb_client_close(struct vdb_client *client);

/**
 * vdb_client_fd() - for the caller's event loop
 * @client: any
 *
 * Return: an fd, of @client, that polls readable when vdb_client_next(), or
 * vdb_client_news() of a client that watches, is to be called.  It may then still have nothing to report.
 */
int vdb_client_fd(const struct vdb_client *client);

/**
 * vdb_client_error() - why the last call failed, in the broker's words
 * @client: any
 *
 * After vdb_client_next() has reported a refused request, also why it was
 * refused.
 *
 * Return: a text of this connection, valid until its next call; "" if none.
 */
const char *vdb_client_error(const struct vdb_client *client);

#define VDB_ANY_INDEX	UINT32_MAX

struct vdb_lease {
	uint64_t id;
	uint32_t index;		/* which of an array of slices */
	uint32_t seconds;	/* until it ends by itself; 0: does not */
	struct vdb_slice *slice;	/* the caller's, for vdb_slice_free() */
	struct vdb_slice *memory;	/* the caller's too; NULL: the slice has no memory */
	int interrupt;		/* an eventfd, the caller's too, for close(); -1: no interrupt */
};

/**
 * vdb_client_acquire() - get a slice
 * @client: any
 * @name: as in the broker's configuration, "<device>/<slice>"
 * @index: which of an array, 0 if it is not an array; VDB_ANY_INDEX: any free one
 * @flags: 0; or VDB_FLAG_READ_ONLY for a read-only slice even if writing is allowed
 * @seconds: how long; 0: as long as the broker's configuration allows
 * @wait_ms: how long to wait for other leases of the slice to end, first come,
 * first served; in milliseconds, 0: do not wait.  The connection's time limit is
 * added to it.
 * @lease: filled in
 *
 * Return: 0; -1 with errno:
 *	ENOENT	there is no such slice, or this user is not allowed to have it
 *	EBUSY	others have it, and @wait_ms is 0
 *	ETIMEDOUT others had it for all of @wait_ms, or the broker did not answer
 *	EINVAL	@index, @flags or @seconds do not fit the slice
 *	EDQUOT	this connection, this user, or all users together have as many leases, or
 *		as much memory, as allowed
 *	ENODEV	the device is not open, or was lost meanwhile
 *	EMFILE	this process has no room for two more fds, one more with memory, and
 *		one more with an interrupt
 *	ENOMEM	this process has no memory
 *	EAGAIN	the broker was restarted meanwhile; try again
 *	ETOOMANYREFS the broker cannot send fds now; try again later
 *	ECANCELED the request was revoked by an administrator or a new configuration
 *	EIO	the broker or the kernel failed, or the configuration has errors
 *
 * If the configuration gives the slice memory, it comes with the lease: all zeros, at
 * vdb_slice_iova() for the device.  After the lease has ended, the device does not reach it
 * any more.  The broker then frees its pages, so the client has empty memory.  If a lease
 * can end at any time, copy the data out, and use the copy only if the lease has not ended
 * by then.
 *
 * If the configuration gives the slice an interrupt, an eventfd comes with the lease.  The
 * kernel adds 1 to it at each interrupt, also while no broker runs, and never blocks on it.
 * It is non-blocking: poll it, then read 8 bytes.  It does not report the end of the lease.
 *
 * A program that was compiled with a struct vdb_lease without one of these members does not
 * get that one.
 *
 * If the slice was granted and the call fails, the library releases the slice, and
 * does not wait for that.
 */
int vdb_client_acquire_sized(struct vdb_client *client, const char *name,
			     uint32_t index, unsigned int flags, uint32_t seconds,
			     uint32_t wait_ms, struct vdb_lease *lease, size_t size);
static inline int vdb_client_acquire(struct vdb_client *client, const char *name,
				     uint32_t index, unsigned int flags, uint32_t seconds,
				     uint32_t wait_ms, struct vdb_lease *lease)
{
	return vdb_client_acquire_sized(client, name, index, flags, seconds, wait_ms,
					lease, sizeof(*lease));
}

/**
 * vdb_client_acquire_start() - request a slice, without waiting for the answer
 * @client, @name, @index, @flags, @seconds, @wait_ms: as vdb_client_acquire()
 * @request: filled in with a number for VDB_EVENT_GRANTED or VDB_EVENT_REFUSED,
 * one of which vdb_client_next() reports
 *
 * Does not block.  Several requests can be outstanding.
 *
 * Return: 0; -1 with errno:
 *	EAGAIN	the broker does not read; wait for vdb_client_fd(), or try later
 *	ENOENT	@name is too long for a slice's
 *	ENOMEM
 */
int vdb_client_acquire_start(struct vdb_client *client, const char *name,
			     uint32_t index, unsigned int flags, uint32_t seconds,
			     uint32_t wait_ms, uint64_t *request);

/**
 * vdb_client_acquire_cancel() - withdraw a request of vdb_client_acquire_start()
 * @client: any
 * @request: its number
 *
 * Does not block.  vdb_client_next() does not report its outcome any more.  If the
 * slice is or was granted, it is released.
 *
 * Return: 0; -1 with ENOENT if its outcome has been reported, or there is no such
 * request.
 */
int vdb_client_acquire_cancel(struct vdb_client *client, uint64_t request);

/**
 * vdb_client_release() - end a lease before its time
 * @client: that has acquired it
 * @lease: its id
 *
 * When it returns 0 the slice is revoked, and vdb_client_next() does not report
 * its end.  After ETIMEDOUT it does, when the slice is revoked.
 *
 * Return: 0; -1 with ENOENT if this client has no such lease, or it is ending
 * already; vdb_client_next() reports the end then.
 */
int vdb_client_release(struct vdb_client *client, uint64_t lease);

/**
 * vdb_client_renew() - make a lease last longer
 * @client: that has acquired it, or an administrator's
 * @lease: its id
 * @seconds: from now on; 0: as long as allowed
 *
 * Return: seconds granted, or 0 if it does not end by itself; -1 with errno:
 *	ENOENT	this client has no such lease, or it is not granted
 *	EINVAL	@seconds is more than the slice allows
 *	ETIMEDOUT, ENOTCONN
 */
int64_t vdb_client_renew(struct vdb_client *client, uint64_t lease,
			 uint32_t seconds);

/* Why a lease ended.  A later broker can have reasons that are not listed here. */
enum vdb_end {
	VDB_END_NONE = 0,	/* it has not */
	VDB_END_RELEASED = 1,
	VDB_END_EXPIRED = 2,
	VDB_END_REVOKED = 3,	/* by an administrator, or by a new configuration */
	VDB_END_DEVICE = 4,	/* the broker has lost the device */
	VDB_END_CLIENT = 5,	/* its client has disconnected, or no process has the slice */
	VDB_END_UNSENT = 6,	/* the broker could not send it */
	VDB_END_EXPORT = 7,	/* the kernel did not export it, or not map its memory */
	VDB_END_BUSY = 8,	/* not granted: others have it */
	VDB_END_TIMEOUT = 9,	/* not granted within the time to wait */
};

enum vdb_event_type {
	VDB_EVENT_STATE = 0,	/* lease, state, end */
	VDB_EVENT_GRANTED = 1,	/* request, lease, index, seconds, slice, memory, interrupt */
	VDB_EVENT_REFUSED = 2,	/* request, error */
};

struct vdb_event {
	enum vdb_event_type type;
	int error;		/* errno, as of vdb_client_acquire() */
	uint64_t request;	/* of vdb_client_acquire_start() */
	uint64_t lease;
	enum vdb_state state;	/* VDB_STATE_REVOKED: the lease has ended */
	enum vdb_end end;	/* VDB_END_NONE unless state is VDB_STATE_REVOKED */
	uint32_t index;		/* as in struct vdb_lease, like the next two */
	uint32_t seconds;
	struct vdb_slice *slice;	/* the caller's */
	struct vdb_slice *memory;	/* the caller's; or NULL */
	int interrupt;			/* the caller's; or -1 */
};

/**
 * vdb_client_next() - the next event of this client's leases and requests
 * @client: any
 * @event: filled in; fields that its type does not have are 0, interrupt is -1
 *
 * Does not block.  If a lease changes several times, only the last state may be
 * reported.
 *
 * Return: 1 if @event is filled in, 0 if there is nothing; -1 with ENOTCONN or
 * EPROTO if the connection has ended.
 */
int vdb_client_next_sized(struct vdb_client *client, struct vdb_event *event, size_t size);
static inline int vdb_client_next(struct vdb_client *client, struct vdb_event *event)
{
	return vdb_client_next_sized(client, event, sizeof(*event));
}

/**
 * vdb_client_revoke() - end any lease; for administrators
 * @client: any
 * @lease: its id
 *
 * Return: 0 when the slice is revoked; -1 with ENOENT if there is no such
 * lease or it is ending already, EPERM if this client is not an administrator.
 */
int vdb_client_revoke(struct vdb_client *client, uint64_t lease);

/* Later brokers can have other phases. */
enum vdb_device_phase {
	VDB_DEVICE_ABSENT = 0,	/* not open; the broker tries again */
	VDB_DEVICE_OPENING = 1,
	VDB_DEVICE_SETTLING = 2,	/* being prepared */
	VDB_DEVICE_OPEN = 3,
	VDB_DEVICE_CLOSING = 4,	/* lost; its leases end when it is closed */
};

/* A slice that the broker grants leases of. */
struct vdb_slice_info {
	const char *name;	/* "<device>/<slice>" */
	const char *bdf;
	unsigned int bar;
	unsigned int flags;	/* VDB_FLAG_READ_ONLY, VDB_FLAG_WC */
	bool exclusive;
	uint64_t offset;	/* of the first of an array */
	uint64_t length;	/* of each */
	uint32_t count;		/* 1: not an array */
	uint32_t free;		/* the number of these that could be granted now */
	uint32_t waiting;	/* requests that wait for it */
	uint32_t max_seconds;	/* 0: no limit */
	enum vdb_device_phase device;
	uint64_t memory;	/* bytes for DMA that each lease gets; 0: none */
	bool interrupt;		/* each lease gets an eventfd for its interrupt */
};

enum vdb_lease_phase {
	VDB_LEASE_WAITING = 1,
	VDB_LEASE_EXPORTING = 2,
	VDB_LEASE_GRANTED = 3,
	VDB_LEASE_ENDING = 4,	/* being revoked, then the on-release actions */
	VDB_LEASE_ENDED = 5,	/* its client has not read that yet */
};

struct vdb_lease_info {
	uint64_t id;
	const char *name;	/* of the slice */
	const char *bdf;
	const char *client;	/* the name that it gave itself */
	unsigned int bar;
	unsigned int flags;
	uint64_t offset;
	uint64_t length;
	uint32_t index;		/* of one that waits: as asked for */
	uint32_t seconds;	/* left, also to wait; 0: no limit */
	uint32_t pid, uid, gid;
	enum vdb_state state;	/* VDB_STATE_REVOKED: it has ended */
	enum vdb_lease_phase phase;
	enum vdb_end end;	/* also of one that is ending */
	uint64_t memory;	/* bytes for DMA; 0: none */
	uint64_t iova;		/* where the device has them; 0: not mapped, yet or any more */
	bool interrupt;		/* it has an eventfd for its interrupt */
};

struct vdb_device_info {
	const char *name;	/* "" if the configuration no longer has it */
	const char *bdf;
	enum vdb_device_phase phase;
	bool suspended;
	uint32_t leases;	/* that have a slice of it */
	uint32_t waiting;	/* requests that wait for one */
	const char *reason;	/* why it is not open; "" if it is, or not known */
};

/* What a user uses of something that can run out.  Does not grow. */
struct vdb_share {
	uint32_t used;
	uint32_t kept;		/* places that only this user can take */
	uint32_t limit;
};

/* The same of memory for DMA, in bytes.  Does not grow. */
struct vdb_memory_share {
	uint64_t used;
	uint64_t kept;
	uint64_t limit;
};

/* The processes of a login, and the user's subordinate ids, are on the account of that user. */
struct vdb_account_info {
	uint64_t user;
	struct vdb_share clients;
	struct vdb_share leases;
	struct vdb_memory_share memory;
};

/**
 * vdb_client_slices() and so on - what the broker has, one call for each
 * @client: any
 * @each: called for each, in the broker's order, until it returns false; its
 *	argument is valid during the call
 * @data: handed to @each
 *
 * An ordinary client gets the slices that it is allowed to lease, its own leases,
 * and its user's account.  An administrator gets all of them, and the devices.
 * @each is called after the whole list has been received.
 *
 * Return: 0 if @each has seen all; 1 if it returned false; -1 with EPERM if only
 * administrators get the list, ENOMEM, ETIMEDOUT, ENOTCONN; then @each has not been
 * called.
 */
int vdb_client_slices(struct vdb_client *client,
		      bool (*each)(const struct vdb_slice_info *, void *), void *data);
int vdb_client_leases(struct vdb_client *client,
		      bool (*each)(const struct vdb_lease_info *, void *), void *data);
int vdb_client_devices(struct vdb_client *client,
		       bool (*each)(const struct vdb_device_info *, void *), void *data);
int vdb_client_accounts(struct vdb_client *client,
			bool (*each)(const struct vdb_account_info *, void *), void *data);

/* What all users use of it.  Without admin, only per_user is known.  Does not grow. */
struct vdb_total {
	uint32_t used;
	uint32_t limit;
	uint32_t pool_used;	/* places that are not kept for a user */
	uint32_t pool;
	uint32_t per_user;	/* limit of a user without kept places */
};

/* The same of memory for DMA, in bytes.  Does not grow. */
struct vdb_memory_total {
	uint64_t used;
	uint64_t limit;
	uint64_t pool_used;
	uint64_t pool;
	uint64_t per_user;
	uint64_t per_client;	/* limit of a connection; known without admin as well */
};

struct vdb_status {
	bool grants;		/* false: the configuration has errors, nothing new is granted */
	bool admin;		/* this client is an administrator, and all below is known */
	uint32_t leases_per_client;	/* limit */
	struct vdb_total clients;
	struct vdb_total leases;
	uint32_t devices;
	uint32_t devices_open;
	char problem[192];	/* of the configuration; "" if none */
	struct vdb_memory_total memory;
};

/**
 * vdb_client_status() - the state of the broker
 * @client: any
 * @status: filled in
 *
 * Return: 0; -1 with ETIMEDOUT, ENOTCONN.
 */
int vdb_client_status_sized(struct vdb_client *client, struct vdb_status *status, size_t size);
static inline int vdb_client_status(struct vdb_client *client, struct vdb_status *status)
{
	return vdb_client_status_sized(client, status, sizeof(*status));
}

/* Later brokers may have others. */
enum vdb_news_type {
	VDB_NEWS_GRANTED = 1,		/* a lease; this and the next two have all fields of one */
	VDB_NEWS_RENEWED = 2,
	VDB_NEWS_ENDED = 3,
	VDB_NEWS_DEVICE_OPEN = 4,	/* a device: name, bdf */
	VDB_NEWS_DEVICE_LOST = 5,	/* the same, reason */
	VDB_NEWS_DEVICE_SUSPENDED = 6,
	VDB_NEWS_DEVICE_RESUMED = 7,
	VDB_NEWS_RESTARTED = 8,		/* the broker; events before this can be missing */
	VDB_NEWS_MISSED = 9,		/* missed */
};

struct vdb_news {
	enum vdb_news_type type;
	enum vdb_end end;
	uint64_t time;		/* microseconds of CLOCK_BOOTTIME; 0: not known */
	uint64_t missed;	/* how many came too fast */
	uint64_t lease;
	uint64_t offset;
	uint64_t length;
	uint32_t bar;
	uint32_t flags;		/* VDB_FLAG_READ_ONLY, VDB_FLAG_WC */
	uint32_t index;
	uint32_t seconds;	/* until the lease ends; 0: does not by itself */
	uint32_t pid, uid, gid;	/* of the client; 0 if it has disconnected */
	char name[64];		/* of the slice, or of the device */
	char bdf[16];
	char client[64];	/* the name that it gave itself; "" if it has disconnected */
	char reason[192];	/* why the device is lost */
	bool interrupt;		/* the lease has an eventfd for its interrupt */
};

/**
 * vdb_client_watch() - be sent what happens to leases and devices from now on
 * @client: any
 *
 * An administrator is sent everything.  Others are sent what happens to the leases of
 * their user, on all connections.  vdb_client_news() reports it.
 *
 * Return: 0; -1 with ENOTSUP if the broker is older, ENOMEM, ETIMEDOUT, ENOTCONN.
 */
int vdb_client_watch(struct vdb_client *client);

/**
 * vdb_client_news() - what has happened
 * @client: that watches
 * @news: filled in; fields that its type does not have are 0
 *
 * Does not block.  To be called, like vdb_client_next(), when vdb_client_fd() polls
 * readable.  If a program waits too long, VDB_NEWS_MISSED reports the number that it has
 * missed.
 *
 * Return: 1 if @news is filled in, 0 if there is nothing; -1 with EINVAL if @client
 * does not watch, ENOTCONN or EPROTO if the connection has ended.
 */
int vdb_client_news_sized(struct vdb_client *client, struct vdb_news *news, size_t size);
static inline int vdb_client_news(struct vdb_client *client, struct vdb_news *news)
{
	return vdb_client_news_sized(client, news, sizeof(*news));
}

/**
 * vdb_client_reload() - have the broker read its configuration again; for administrators
 * @client: any
 *
 * Return: 0 when the new configuration is in force; -1 with errno:
 *	EPERM	this client is not an administrator
 *	EIO	the configuration is rejected, and the former one stays in force;
 *		vdb_client_error() is the first mistake, with its file, line and column
 *	ETIMEDOUT, ENOTCONN
 */
int vdb_client_reload(struct vdb_client *client);

#ifdef __cplusplus
}
#endif

#endif
