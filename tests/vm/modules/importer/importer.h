/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * dmabuf-test-importer drives one "edu" device and lets a test be the importer:
 * each open file of IMPORTER_PATH can attach to one DMABUF and map it.
 *
 * pread() lets the device read bytes of the mapped DMABUF, pwrite() lets it
 * write there; up to IMPORTER_MOST bytes at a time, at offsets in the DMABUF.
 * Both fail with ENXIO while nothing is mapped.
 */
#ifndef DMABUF_TEST_IMPORTER_H
#define DMABUF_TEST_IMPORTER_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define IMPORTER_DRIVER	"dmabuf-test-importer"
#define IMPORTER_PATH	"/dev/dmabuf-test-importer"
#define IMPORTER_MOST	4096

struct importer_attach {
	__s32 dmabuf_fd;
	__u32 flags;
#define IMPORTER_NO_PEER2PEER	1	/* takes no MMIO */
#define IMPORTER_NO_INVALIDATE	2	/* dynamic, but cannot be notified to unmap */
#define IMPORTER_STATIC		4	/* of the simple kind */
#define IMPORTER_LATE		8	/* unmaps some time after the notification */
#define IMPORTER_LAZY		16	/* unmaps only on IMPORTER_UNMAP */
	/* Of the exporter, for the status: */
	__u32 exporter;			/* its bus << 8 | devfn, of domain 0 */
	__u32 bar, offset;		/* a register of 32 bits */
	__u32 reserved;
};

struct importer_map {
	__u32 direction;
#define IMPORTER_BOTH	0
#define IMPORTER_READS	1	/* the device reads from the DMABUF */
#define IMPORTER_WRITES	2
};

/*
 * Starts a transfer from or to the device's own memory, without waiting for it: it
 * takes 100 ms.  Its contents are those of the last pread() or pwrite().
 */
struct importer_start {
	__u64 offset;
	__u32 length;		/* all of it in one entry of the mapping */
	__u32 writes;		/* the device writes to the DMABUF */
};

struct importer_status {
	__u32 mapped;
	__u32 entries;		/* of the mapping */
	__u32 notified;		/* calls of the callback */
	__u32 evicted;		/* of these, with something mapped */
	/* The exporter just before the last of those was unmapped: */
	__u32 command;		/* PCI command register */
	__u32 power;		/* D state, 0 if it has no such register */
	__u32 value;		/* the register's; all ones if there was no answer */
	__u32 reserved;
};

/*
 * Takes the lock of the DMABUF's reservation, reports that, and keeps the lock until a
 * signal arrives.
 */
struct importer_hold {
	__s32 event_fd;			/* an eventfd, which becomes readable */
	__u32 then_map;			/* map before the lock is given up, IMPORTER_BOTH */
};

#define IMPORTER_ATTACH	_IOW('i', 0x70, struct importer_attach)
#define IMPORTER_DETACH	_IO('i', 0x71)
#define IMPORTER_MAP	_IOW('i', 0x72, struct importer_map)
#define IMPORTER_UNMAP	_IO('i', 0x73)
#define IMPORTER_START	_IOW('i', 0x74, struct importer_start)
#define IMPORTER_STATUS	_IOR('i', 0x75, struct importer_status)
#define IMPORTER_HOLD	_IOW('i', 0x76, struct importer_hold)

#endif
