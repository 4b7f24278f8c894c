/* SPDX-License-Identifier: MIT */
/*
 * Adds to user space's <linux/types.h> what module files find there in the
 * kernel, and the page size, which every kernel header brings along.
 */
#ifndef SHIM_TYPES_H
#define SHIM_TYPES_H

#include_next <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

#define PAGE_SHIFT	12
#define PAGE_SIZE	(1UL << PAGE_SHIFT)

#endif
