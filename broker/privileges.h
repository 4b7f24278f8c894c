/* SPDX-License-Identifier: MIT */
/* Giving up root's rights. */
#ifndef BROKER_PRIVILEGES_H
#define BROKER_PRIVILEGES_H

/* Becomes the user, without capabilities, for good; 0, or -1 and logged. */
int privileges_drop(const char *user);

#endif
