/* SPDX-License-Identifier: MIT */
/*
 * Whether a file is text.  libfyaml treats bytes that are not UTF-8, and NUL, as the
 * end of the file, and reports no error.  What comes after them would be ignored.
 */
#ifndef CONFIG_ENCODING_H
#define CONFIG_ENCODING_H

#include <stdbool.h>

#include "mistakes.h"

/* False: the first mistake was reported. */
bool encoding_check(struct mistakes *mistakes, const char *file, const char *bytes, size_t size);

#endif
