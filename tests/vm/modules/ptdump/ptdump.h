/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The result of dmabuf-test-ptdump: the page table entry of an address. */
#ifndef DMABUF_TEST_PTDUMP_H
#define DMABUF_TEST_PTDUMP_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define PTDUMP_PATH	"/dev/dmabuf-test-ptdump"

struct ptdump_entry {
	__u64 address;		/* in: of the process that asks */
	__u64 entry;		/* as it stands in the table; 0 if there is none */
	__u32 shift;		/* of what it maps: bits of address, such as 12, 21 or 30 */
	__u32 reserved;
};

#define PTDUMP_LOOK_UP	_IOWR('p', 0x70, struct ptdump_entry)

#endif
