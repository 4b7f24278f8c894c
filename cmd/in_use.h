/* SPDX-License-Identifier: MIT */
/* Whether somebody would miss a PCI function. */
#ifndef CMD_IN_USE_H
#define CMD_IN_USE_H

#include <stdbool.h>
#include <stddef.h>

/* @why says by whom, and what to do about it. */
bool in_use(const char *bdf, char *why, size_t size);

/* Its parts: a disk of the function's that is mounted, or that somebody else has; */
bool disk_in_use(const char *bdf, char *why, size_t size);
/* a network interface that is up, or part of another, in any namespace; */
bool network_in_use(const char *bdf, char *why, size_t size);
/* and the function itself, if a process has it open through VFIO. */
bool vfio_in_use(const char *bdf, char *why, size_t size);

#endif
