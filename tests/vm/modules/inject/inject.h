/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * dmabuf-test-inject: makes chosen call instructions of a kernel module fail.
 *
 * A site is a call instruction: on x86 "call" or "jmp" with a 32-bit displacement, on
 * arm64 "bl" or "b".
 * An armed site counts how often it is reached.  If it is set to fail, the call
 * does not take place, and the caller gets a value of the test's choice.
 */
#ifndef DMABUF_TEST_INJECT_H
#define DMABUF_TEST_INJECT_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define INJECT_PATH	"/dev/dmabuf-test-inject"

struct inject_site {
	__aligned_u64 address;	/* or an offset, with one of the flags */
	__u32 flags;
/* In the text that a module has only while it is loaded, or in that which it keeps. */
#define INJECT_INIT_TEXT	0x1
#define INJECT_TEXT		0x2
	__u32 reserved;
	char module[64];	/* the one that will be loaded, with one of the flags */
};

struct inject_failure {
	__u32 site;
	__u32 flags;
/* The call returns its third argument: "all of it could not be copied". */
#define INJECT_ARG3	0x1
	__aligned_u64 value;	/* what the call returns */
	__u32 after;		/* times that it works before */
	__u32 times;		/* times that it fails; 0: never */
};

struct inject_count {
	__u32 site;
	__u32 hits;		/* since INJECT_FAIL, or since it was armed */
};

/* Arms a site; returns its number, from 0 in the order of arming. */
#define INJECT_ARM	_IOW('j', 0x70, struct inject_site)
/* Sets how it fails from now on, and counts from 0 again. */
#define INJECT_FAIL	_IOW('j', 0x71, struct inject_failure)
#define INJECT_COUNT	_IOWR('j', 0x72, struct inject_count)
/* Closing the file disarms all of its sites. */

#endif
