/* SPDX-License-Identifier: MIT */
/* Stands in for the kernel's <linux/overflow.h> when module files are built for user space. */
#ifndef SHIM_OVERFLOW_H
#define SHIM_OVERFLOW_H

#define check_add_overflow(a, b, sum) __builtin_add_overflow(a, b, sum)
#define check_sub_overflow(a, b, difference) __builtin_sub_overflow(a, b, difference)
#define check_mul_overflow(a, b, product) __builtin_mul_overflow(a, b, product)

#endif
