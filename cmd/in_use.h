/* SPDX-License-Identifier: MIT */
/* Whether somebody would miss a PCI function. */
#ifndef CMD_IN_USE_H
#define CMD_IN_USE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether the function's disk is mounted, swapped to or part of something, its
 * network interface is up with an address, or a process has it open through
 * VFIO.  @why says which.
 */
bool in_use(const char *bdf, char *why, size_t size);

#endif
