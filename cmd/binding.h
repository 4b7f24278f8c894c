/* SPDX-License-Identifier: MIT */
/*
 * Which driver a function has, and which it had.
 *
 * driver_override says what one function is to have and leaves all others alone.  What
 * it had before is written down in /run, as it is worth nothing after a reboot.
 */
#ifndef CMD_BINDING_H
#define CMD_BINDING_H

#include <stdbool.h>
#include <stddef.h>

#define BINDING_MEMORY	RUNSTATEDIR "/vfio-dmabuf/bind"

/* Drivers that a function can be bound to which is not their own. */
bool binding_allows(const char *driver);
/* Loads what is needed for a driver; -1 if that is not there. */
int binding_load(const char *driver);
bool binding_has(const char *bdf, const char *driver);
/* driver_override, "" if there is none. */
void binding_override(const char *bdf, char *override, size_t size);
/* Takes it from its driver, and has the kernel choose again by @override, "" for none; -1 with errno. */
int binding_change(const char *bdf, const char *override);

/* Writes down what a function had: 1 if it has, 0 if that was done before, -1 with errno. */
int binding_remember(const char *bdf, const char *driver, const char *override);
/* What is written down; "" for none. */
bool binding_recall(const char *bdf, char driver[64], char override[64]);
void binding_forget(const char *bdf);

#endif
