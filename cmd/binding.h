/* SPDX-License-Identifier: MIT */
/*
 * The driver that a function has, and its former driver.
 *
 * driver_override chooses the driver of one function and does not affect others.  The
 * former driver is stored in /run, because it has no meaning after a reboot.
 */
#ifndef CMD_BINDING_H
#define CMD_BINDING_H

#include <stdbool.h>
#include <stddef.h>

#define BINDING_MEMORY	RUNSTATEDIR "/vfio-dmabuf/bind"

/* Whether a function that the driver was not written for can be bound to it. */
bool binding_allows(const char *driver);
/* Loads the modules that a driver needs; -1 if one is missing. */
int binding_load(const char *driver);
bool binding_has(const char *bdf, const char *driver);
/* driver_override, "" if there is none. */
void binding_override(const char *bdf, char *override, size_t size);
/* Unbinds it, and makes the kernel choose a driver again by @override, "" for none; -1 with errno. */
int binding_change(const char *bdf, const char *override);

/* Stores a function's former driver: 1 if it did, 0 if one was stored before, -1 with errno. */
int binding_remember(const char *bdf, const char *driver, const char *override);
/* What is stored; "" for none. */
bool binding_recall(const char *bdf, char driver[64], char override[64]);
void binding_forget(const char *bdf);

#endif
