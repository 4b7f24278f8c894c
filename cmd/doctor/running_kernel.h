/* SPDX-License-Identifier: MIT */
/* The kernel: its version, and whether it already has what the driver adds. */
#ifndef CMD_DOCTOR_RUNNING_KERNEL_H
#define CMD_DOCTOR_RUNNING_KERNEL_H

#include "findings.h"

/* @release: from uname(2). */
void judge_kernel(const char *release, struct findings *findings);

/*
 * The first name in @text that exists only in kernels with the series "vfio/pci: Add
 * mmap() for DMABUFs", in a static buffer; NULL if there is none.  Each character that
 * a name cannot contain separates names.
 */
const char *find_series(const char *text, size_t size);
/* @name is what was found, or NULL. */
void judge_series(const char *name, struct findings *findings);

void check_kernel(struct findings *findings);

#endif
