/* SPDX-License-Identifier: MIT */
/* What the kernel logs from now on. */
#ifndef TESTS_KMSG_H
#define TESTS_KMSG_H

#include <stdbool.h>

/* An fd that reads what comes after this call. */
int kmsg_open(void);
/* Reads on until there is a line with @text; false: none came within @seconds. */
bool kmsg_wait_for(int kmsg, const char *text, unsigned int seconds);

#endif
