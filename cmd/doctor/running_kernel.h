/* SPDX-License-Identifier: MIT */
/* The kernel: its version, and whether it has what the driver is for. */
#ifndef CMD_DOCTOR_RUNNING_KERNEL_H
#define CMD_DOCTOR_RUNNING_KERNEL_H

#include "findings.h"

/* @release is as uname(2) has it. */
void judge_kernel(const char *release, struct findings *findings);

/*
 * The first name in @text that only kernels with the series "vfio/pci: Add mmap() for
 * DMABUFs" have, in a static buffer; NULL if there is none.  Names are divided by
 * anything that they cannot contain.
 */
const char *find_series(const char *text, size_t size);
/* @name is what was found, or NULL. */
void judge_series(const char *name, struct findings *findings);

void check_kernel(struct findings *findings);

#endif
