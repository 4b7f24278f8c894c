/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR MIT */
/*
 * What dmabuf-vfio-pci adds to the VFIO device interface.
 *
 * All of it is reached with ioctl(device_fd, VFIO_DEVICE_FEATURE, ...) on the
 * VFIO device file descriptor (group or cdev).  As for every feature,
 * VFIO_DEVICE_FEATURE_PROBE together with the operations of interest shows
 * whether the kernel has it: 0 means yes, ENOTTY that the feature is unknown,
 * EINVAL that the operation (GET or SET) is not supported.
 *
 * Glossary: a BAR is a PCI base address register's memory, named by VFIO's
 * region index 0 to 5.  A range is an offset and a length inside a BAR. A
 * buffer is a DMABUF over ranges of one BAR. A slice is a buffer exported for
 * another process.  Suspended means that the device's memory cannot be reached
 * for a time (reset, memory disabled, D3, low power); revoked means that it can
 * never be reached through that buffer again.
 */
#ifndef _UAPI_LINUX_VFIO_DMABUF_H
#define _UAPI_LINUX_VFIO_DMABUF_H

#include <linux/types.h>
#include <linux/vfio.h>

/*
 * Upstream's feature indices count up from 0. These begin at the other end of
 * the 16-bit space of VFIO_DEVICE_FEATURE_MASK, and count down.
 */
#define VFIO_DMABUF_FEATURE_REVOKE	0xffff
#define VFIO_DMABUF_FEATURE_MEMATTR	0xfffe
#define VFIO_DMABUF_FEATURE_CORE_EXPORT	0xfffd
#define VFIO_DMABUF_FEATURE_EVENTS	0xfffc
#define VFIO_DMABUF_FEATURE_LIST	0xfffb
#define VFIO_DMABUF_FEATURE_INFO	0xfffa
#define VFIO_DMABUF_FEATURE_EXPORT	0xfff9

#ifndef VFIO_DEVICE_FEATURE_DMA_BUF
/*
 * Headers older than Linux 6.19 do not have the export feature.  Number and
 * layout are upstream's.
 */
#define VFIO_DEVICE_FEATURE_DMA_BUF	11

struct vfio_region_dma_range {
	__u64 offset;
	__u64 length;
};

struct vfio_device_feature_dma_buf {
	__u32	region_index;
	__u32	open_flags;
	__u32	flags;
	__u32	nr_ranges;
	struct vfio_region_dma_range dma_ranges[];
};
#endif

/**
 * VFIO_DEVICE_FEATURE_DMA_BUF - export ranges of a BAR as one DMABUF (GET)
 *
 * Takes upstream's struct vfio_device_feature_dma_buf and returns a file
 * descriptor.  The fd can be passed to any process and mmap()ed there with
 * MAP_SHARED; that process needs no other access to the device.  Byte 0 of the
 * fd is the first byte of the first range, and the ranges follow each other
 * without gaps.  They can be in any order, repeat, and overlap.
 *
 * @region_index: the BAR, 0 to 5.
 * @open_flags: O_RDONLY or O_RDWR, and O_CLOEXEC.  A buffer exported O_RDONLY
 *	can never be mapped writable.
 * @flags: must be 0.
 * @nr_ranges: 1 to VFIO_DMABUF_MAX_RANGES.
 * @dma_ranges: offset and length in bytes; both must be multiples of the page
 *	size, the length must not be 0, and the range must end at or before the
 *	end of the BAR.  The end of a BAR smaller than a page is the end of
 *	its page, where VFIO reserves that page for the BAR.
 *
 * The buffer does not keep the device open.  It is revoked when the last device
 * fd is closed (a BAR mapping made through the device fd counts as one), or
 * with VFIO_DMABUF_FEATURE_REVOKE. While the device is suspended, an access
 * through a mapping waits or gets SIGBUS, exactly as through a mapping of the
 * device fd; it works again afterwards, without a new mapping.  After
 * revocation an access gets SIGBUS and mmap() fails with ENODEV.
 *
 * Pages of the MSI-X table or PBA can be exported, because they can be mapped
 * through the device fd.  A client that maps them can change the device's
 * interrupt messages; only the IOMMU's interrupt remapping limits them.  Do not
 * export them to clients that you do not trust.
 *
 * Return: the new fd, owned by the caller, or -1 with errno:
 *	EINVAL	   flags not 0; open_flags other than stated; nr_ranges 0; argsz
 *		   too small for nr_ranges; a range that is empty, unaligned or
 *		   ends after the BAR
 *	E2BIG	   nr_ranges above VFIO_DMABUF_MAX_RANGES
 *	EOVERFLOW  a range's offset plus length, or the sum of all lengths,
 *		   overflows; or the buffer, counted from the first range's
 *		   offset in the BAR, would pass VFIO_DMABUF_MAX_END
 *	ENODEV	   no such BAR, not a memory BAR, or one that cannot be mapped
 *	EFAULT, ENOMEM, EMFILE  as usual
 */

/* Maximum number of ranges of one buffer. */
#define VFIO_DMABUF_MAX_RANGES		65536

/*
 * Maximum, in bytes, of the first range's offset in its BAR plus the length of
 * the buffer.
 */
#define VFIO_DMABUF_MAX_END		(6ULL << 40)

/*
 * A flag of features: the call fails with EAGAIN instead of waiting for anything that a
 * client, an importer or the device can delay.  It is for an owner that must not wait, such
 * as an event loop.  If the call fails, a thread of the owner calls again without the flag.
 *
 * A call with the flag may never succeed, because clients can prevent that.
 *
 * Like every system call, a call with the flag may wait for memory.  An export also takes
 * the lock of the kernel's list of DMABUFs while it changes that list, as does every
 * creation and last close of any DMABUF.
 */
#define VFIO_DMABUF_NONBLOCK	(1 << 0)

/**
 * VFIO_DMABUF_FEATURE_EXPORT - export a slice, with its attribute, event fd and id (GET)
 *
 * This call replaces four: VFIO_DEVICE_FEATURE_DMA_BUF, VFIO_DMABUF_FEATURE_MEMATTR,
 * _EVENTS and _INFO.  The device's setting core_export does not affect it.
 *
 * @region_index: the BAR, 0 to 5.
 * @open_flags: O_RDONLY or O_RDWR, and O_CLOEXEC, which holds for both fds.
 * @flags: VFIO_DMABUF_NONBLOCK; VFIO_DMABUF_EXPORT_EVENTS: with an event fd, which is
 *	O_NONBLOCK.
 * @memattr: VFIO_DMABUF_MEMATTR_*.
 * @range: offset and length in bytes.
 * @dmabuf_fd: out: the slice.
 * @events_fd: out: its event fd, or -1.
 * @id: out: the buffer's id.
 *
 * Return: 0; or -1 with errno and without a new fd:
 *	EAGAIN	   VFIO_DMABUF_NONBLOCK, and nothing has been exported of this BAR before
 *	EINVAL	   unknown flags, open_flags or memattr; a range that is empty, unaligned
 *		   or ends after the BAR
 *	EOPNOTSUPP this machine has no such attribute (x86 without PAT)
 *	EOVERFLOW, ENODEV, EFAULT, ENOMEM, EMFILE  as for VFIO_DEVICE_FEATURE_DMA_BUF
 */
struct vfio_dmabuf_feature_export {
	__u32	region_index;
	__u32	open_flags;
	__u32	flags;
#define VFIO_DMABUF_EXPORT_EVENTS	(1 << 1)
	__u32	memattr;
	struct vfio_region_dma_range range;
	__s32	dmabuf_fd;
	__s32	events_fd;
	__aligned_u64 id;
};

/*
 * How a feature below names a buffer: by a file descriptor of it, or by its id.
 *
 * An id is a number that the kernel gives to each buffer.  It is not 0, grows
 * from buffer to buffer, and is not used again while the module is loaded.  An
 * owner that has lost its file descriptors learns the ids of its buffers from
 * VFIO_DMABUF_FEATURE_LIST.  An id gives no access: only a holder of the device
 * fd can use it, and only for buffers of that device.
 *
 * @dmabuf_fd is a DMABUF exported from this device, and stays open; @id must be
 * 0.  Or @dmabuf_fd is -1, and @id names the buffer.
 *
 * Errors of every feature that takes a buffer:
 *	EBADF	   dmabuf_fd is not an open file descriptor
 *	EINVAL	   dmabuf_fd is not a DMABUF of this driver; id is not 0 although
 *		   dmabuf_fd is given; dmabuf_fd is negative but not -1
 *	ENODEV	   dmabuf_fd is a DMABUF of another device
 *	ENOENT	   this device has no buffer with that id, or no longer has it
 */

/**
 * VFIO_DMABUF_FEATURE_REVOKE - end all access through a buffer, for good (SET)
 *
 * @dmabuf_fd, @id: the buffer.
 * @flags: 0 or VFIO_DMABUF_NONBLOCK.
 *
 * When the call returns 0, no mapping of the buffer in any process reaches
 * the device, and no importer does.  This includes mappings that a process got
 * by fork() or made of an fd that it received.  The next access through one
 * gets SIGBUS.  No mapping can be made again.  Mappings of other buffers are
 * not touched and take no fault because of the call, even where they map the
 * same pages of the BAR.  The call does not wait for any client.
 *
 * The call waits for importers (other devices' drivers) to unmap the buffer.
 * A signal ends that wait, and the call fails with EINTR.  The buffer is
 * revoked then: no CPU mapping reaches the device, and importers unmap when
 * they can.  Call again to wait for them.
 *
 * Return: 0, or -1 with errno:
 *	EBADFD	   a call has returned 0 for this buffer before, or the device had
 *		   been closed; nothing reaches the device through it
 *	EINVAL	   flags has other bits
 *	EAGAIN	   VFIO_DMABUF_NONBLOCK, and the call would have to wait, or takes long:
 *		   a lock that clients can hold is held; the buffer has importers, is
 *		   mapped by a process with MMU notifiers, or in more than a few places or
 *		   pages; many mappings of other buffers show the same bytes.  The buffer
 *		   may be revoked by then, but mappings can still reach the device.  Call
 *		   again without the flag
 *	EINTR	   a signal came before all importers had unmapped
 *	EBADF, EINVAL, ENODEV, ENOENT  see above
 *	EFAULT	   as usual
 */
struct vfio_dmabuf_feature_revoke {
	__s32	dmabuf_fd;
	__u32	flags;
	__aligned_u64 id;
};

/**
 * struct vfio_dmabuf_buffer - what the kernel knows of one buffer
 *
 * @id: the buffer's id.
 * @inode: the DMABUF's inode number, as in /proc/<pid>/maps and in fstat().
 * @size: bytes of the buffer.
 * @offset: of its first range in the BAR, in bytes.
 * @region_index: the BAR, 0 to 5.
 * @nr_ranges: ranges that do not continue one another.
 * @flags: VFIO_DMABUF_BUFFER_*.
 * @memattr: VFIO_DMABUF_MEMATTR_*, which the page table entries of all its
 *	mappings have.
 * @state: VFIO_DMABUF_STATE_*, the same value that event files report.
 * @mappings: VMAs of the buffer, in all processes.
 * @importers: devices that are attached to the buffer.
 * @dma_maps: mappings for DMA that they have.
 */
struct vfio_dmabuf_buffer {
	__aligned_u64 id;
	__aligned_u64 inode;
	__aligned_u64 size;
	__aligned_u64 offset;
	__u32	region_index;
	__u32	nr_ranges;
	__u32	flags;
#define VFIO_DMABUF_BUFFER_READ_ONLY	(1 << 0)
/* Not a slice: the kernel made it for an mmap() of the device fd. */
#define VFIO_DMABUF_BUFFER_BAR_MAPPING	(1 << 1)
	__u32	memattr;
	__u32	state;
	__u32	mappings;
	__u32	importers;
	__u32	dma_maps;
};

/**
 * VFIO_DMABUF_FEATURE_LIST - the buffers of the device (GET)
 *
 * @after: list buffers whose id is greater; 0 for the first call.
 * @buffers: address of an array of struct vfio_dmabuf_buffer in user memory.
 * @nr: in: elements that the array has room for, at least 1; out: elements
 *	that were filled.
 * @size: in: sizeof(struct vfio_dmabuf_buffer), so that the struct can grow.
 *
 * Buffers come in the order of their ids.  To list all, call again with the
 * last id as @after until @nr comes back as 0.  A buffer that exists from the
 * first call to the last one is listed once; one that is exported or released
 * meanwhile is listed or not.  Each element is consistent in itself.
 *
 * Return: 0, or -1 with errno:
 *	EINVAL	   nr is 0; size is not that of a known struct
 *	ENOMEM	   as usual
 *	EFAULT	   as usual; elements before the fault may have been written
 */
struct vfio_dmabuf_feature_list {
	__aligned_u64 after;
	__aligned_u64 buffers;
	__u32	nr;
	__u32	size;
};

/**
 * VFIO_DMABUF_FEATURE_INFO - one buffer, and its ranges (GET)
 *
 * @dmabuf_fd, @id: the buffer.
 * @nr_ranges: in: elements of @ranges that there is room for, may be 0; out:
 *	elements that were filled.
 * @first_range: index of the buffer's range that @ranges begins with.
 * @ranges: address of an array of struct vfio_region_dma_range in user memory.
 * @buffer: out: what the kernel knows of it.
 *
 * Ranges come in the order of the buffer.  Those that continue one another in
 * the BAR are one.
 *
 * Return: 0, or -1 with errno:
 *	EBADF, EINVAL, ENODEV, ENOENT  see above
 *	EFAULT, ENOMEM  as usual
 */
struct vfio_dmabuf_feature_info {
	__s32	dmabuf_fd;
	__u32	nr_ranges;
	__aligned_u64 id;
	__aligned_u64 first_range;
	__aligned_u64 ranges;
	struct vfio_dmabuf_buffer buffer;
};

/**
 * VFIO_DMABUF_FEATURE_MEMATTR - how the CPU's mappings of a buffer are cached (SET)
 *
 * @dmabuf_fd: a DMABUF exported from this device; it stays open.
 * @memattr: VFIO_DMABUF_MEMATTR_NC, the default: uncached, every access goes to
 *	the device as it is written in the program.  VFIO_DMABUF_MEMATTR_WC:
 *	write-combining; the CPU can gather stores and reorder them until a
 *	store fence, and can read ahead.  On x86 these are UC- and WC entries,
 *	regardless of the type the kernel's own mapping of the BAR has.
 *
 * Applies to later mappings, in all processes.  Buffers of the same pages can have
 * different attributes, and be mapped at the same time.
 *
 * Return: 0, or -1 with errno:
 *	EBUSY	   the buffer is mapped somewhere; unmap it first
 *	EINVAL	   memattr is neither of the two; dmabuf_fd is not a DMABUF of this
 *		   driver
 *	EOPNOTSUPP this machine has no such attribute (x86 without PAT)
 *	ENODEV	   the buffer is revoked, or one of another device
 *	EBADF	   dmabuf_fd is not an open file descriptor
 *	EFAULT	   as usual
 */
struct vfio_dmabuf_feature_memattr {
	__s32	dmabuf_fd;
	__u32	memattr;
#define VFIO_DMABUF_MEMATTR_NC	0
#define VFIO_DMABUF_MEMATTR_WC	1
};

/**
 * VFIO_DMABUF_FEATURE_CORE_EXPORT - VFIO_DEVICE_FEATURE_DMA_BUF of vfio-pci-core (GET)
 *
 * Data, result and errors are upstream's.  The DMABUF cannot be mapped by CPUs, nor
 * revoked by the feature above. iommufd imports it, because it recognizes such DMABUFs
 * by their exporter.  This is for programs that know this driver.  For others, the
 * device's setting core_export makes VFIO_DEVICE_FEATURE_DMA_BUF mean this.
 *
 * ENOTTY or EOPNOTSUPP: this kernel's vfio-pci-core exports no DMABUFs (before 6.19,
 * or without CONFIG_VFIO_PCI_DMABUF).
 */

/**
 * VFIO_DMABUF_FEATURE_EVENTS - an fd that reports suspension and revocation (GET)
 *
 * @dmabuf_fd, @id: the buffer.  With -1 and 0: the device as a whole.  Its state
 *	is revoked after it is closed.
 * @open_flags: O_CLOEXEC and O_NONBLOCK, or neither.
 *
 * Returns a file descriptor that can be passed to any process; it gives no access
 * to the device. read() returns one struct vfio_dmabuf_event, also if there is
 * room for more: the present state.  The first read() never waits.  After that,
 * read() waits, and poll() reports nothing, until something has changed since the
 * last read() of that open file.  Processes that share the fd share what was
 * read, so make one for each process that wants to be notified.  After revocation
 * poll() reports POLLHUP and, when that has been read, read() returns 0, the end
 * of file.
 *
 * A change is reported when it is complete: suspended and revoked mean that no
 * mapping and no importer reaches the device any more.  The fd keeps neither the
 * DMABUF nor the device alive.  If no process has an fd or a mapping of a buffer
 * any more, the fd reports it as revoked.
 *
 * Return: the new fd, owned by the caller, or -1 with errno:
 *	EINVAL	   open_flags has other bits
 *	EBADF, EINVAL, ENODEV, ENOENT  see above
 *	EFAULT, ENOMEM, EMFILE  as usual
 *
 * read() fails with EINVAL if the struct does not fit, and with EAGAIN
 * instead of waiting if the file is O_NONBLOCK.
 */
struct vfio_dmabuf_feature_events {
	__s32	dmabuf_fd;
	__u32	open_flags;
	__aligned_u64 id;
};

/**
 * struct vfio_dmabuf_event - what read() of that fd returns
 *
 * @state: VFIO_DMABUF_STATE_*.
 * @reserved: 0.
 * @changes: grows with every suspension, resumption and revocation, so that a
 *	reset between two reads is visible.
 */
struct vfio_dmabuf_event {
	__u32	state;
#define VFIO_DMABUF_STATE_LIVE		0
#define VFIO_DMABUF_STATE_SUSPENDED	1
#define VFIO_DMABUF_STATE_REVOKED	2
	__u32	reserved;
	__u64	changes;
};

#endif /* _UAPI_LINUX_VFIO_DMABUF_H */
