/* SPDX-License-Identifier: MIT */
/* Stands in for the kernel's <linux/align.h> when module files are built for user space. */
#ifndef SHIM_ALIGN_H
#define SHIM_ALIGN_H

#define IS_ALIGNED(x, a) (((x) & ((__typeof__(x))(a) - 1)) == 0)
#define ALIGN(x, a) (((x) + ((__typeof__(x))(a) - 1)) & ~((__typeof__(x))(a) - 1))
#define ALIGN_DOWN(x, a) ((x) & ~((__typeof__(x))(a) - 1))

#endif
