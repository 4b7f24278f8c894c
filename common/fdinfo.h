/* SPDX-License-Identifier: MIT */
/* What /proc says of an open file. */
#ifndef COMMON_FDINFO_H
#define COMMON_FDINFO_H

#include <stdbool.h>

#include "common/bdf.h"

/*
 * The function whose VFIO device fd @fd of process @pid is ("self": of this process).
 * False: it is not one, or the kernel does not say (before 6.17).
 */
bool fdinfo_function(const char *pid, const char *fd, char bdf[BDF_SIZE]);

#endif
