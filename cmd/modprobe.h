/* SPDX-License-Identifier: MIT */
/* Kernel modules, by way of modprobe(8). */
#ifndef CMD_MODPROBE_H
#define CMD_MODPROBE_H

#include <stdbool.h>

/* 0, also if it is already loaded or built in; -1 otherwise, and modprobe prints why. */
int module_load(const char *name);
/* Whether it could be loaded, or is built in. */
bool module_known(const char *name);

#endif
