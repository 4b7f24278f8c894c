/* SPDX-License-Identifier: MIT */
/*
 * Whether somebody uses a PCI function.
 *
 * One rule: device nodes and network interfaces whose path in /sys goes through the
 * function belong to it.  A process that has one open or mapped, a mount, swap, a device
 * that is made of one, a link that is up, and the kernel's console make it in use.
 * What cannot be read counts as in use.
 */
#ifndef CMD_IN_USE_H
#define CMD_IN_USE_H

#include <stdbool.h>
#include <stddef.h>

#include "nodes.h"

/* @why says by whom, and what to do about it. */
bool in_use(const char *bdf, char *why, size_t size);

/*
 * Its parts that only read files, below @root ("" but for tests): a disk that is mounted,
 * swap or part of another; a node that a process has; a console of the kernel's; the
 * firmware's screen in a BAR.
 */
bool disk_in_use(const char *root, const struct nodes *nodes, char *why, size_t size);
bool opened_in_use(const char *root, const struct nodes *nodes, char *why, size_t size);
bool console_in_use(const char *root, const struct nodes *nodes, char *why, size_t size);
bool framebuffer_in_use(const char *root, const char *bdf, char *why, size_t size);

/* And those that ask the kernel: a disk that somebody has taken exclusively; */
bool disk_is_taken(const struct nodes *nodes, char *why, size_t size);
/* a network interface that is up, part of another or below one, in any namespace; */
bool network_in_use(const char *bdf, char *why, size_t size);
/* and the function itself, if a process has it open through VFIO. */
bool vfio_in_use(const char *bdf, char *why, size_t size);

#endif
