/* SPDX-License-Identifier: MIT */
/* What /proc shows about an open file. */
#ifndef COMMON_FDINFO_H
#define COMMON_FDINFO_H

#include <stdbool.h>

#include "common/bdf.h"

/*
 * The function of the VFIO device fd @fd of process @pid ("self": this process).
 * False: it is not a device fd, or the kernel does not show the function (before 6.17).
 */
bool fdinfo_function(const char *pid, const char *fd, char bdf[BDF_SIZE]);

#endif
