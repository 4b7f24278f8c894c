/* SPDX-License-Identifier: MIT */
/*
 * Whether a PCI function is in use.
 *
 * A device node or network interface belongs to the function if its path in /sys goes
 * through it.  The function is in use if a process has one of them open or mapped, if one
 * is mounted, is swap or a part of another device, if a link is up, or if the kernel's
 * console is on it.  If something cannot be read, the function counts as in use.
 */
#ifndef CMD_IN_USE_H
#define CMD_IN_USE_H

#include <stdbool.h>
#include <stddef.h>

#include "nodes.h"

/* @why receives what uses it, and what to do about it. */
bool in_use(const char *bdf, char *why, size_t size);

/*
 * The parts that only read files, below @root ("" except in tests): a disk that is
 * mounted, swap or part of another; a node that a process has; a console of the kernel;
 * the firmware's screen in a BAR.
 */
bool disk_in_use(const char *root, const struct nodes *nodes, char *why, size_t size);
bool opened_in_use(const char *root, const struct nodes *nodes, char *why, size_t size);
bool console_in_use(const char *root, const struct nodes *nodes, char *why, size_t size);
bool framebuffer_in_use(const char *root, const char *bdf, char *why, size_t size);

/* The parts that ask the kernel.  A disk that is open exclusively: */
bool disk_is_taken(const struct nodes *nodes, char *why, size_t size);
/* A network interface that is up, part of another or below one, in any namespace: */
bool network_in_use(const char *bdf, char *why, size_t size);
/* The function itself, if a process has it open through VFIO: */
bool vfio_in_use(const char *bdf, char *why, size_t size);

#endif
