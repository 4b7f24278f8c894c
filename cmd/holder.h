/* SPDX-License-Identifier: MIT */
/* The files through which processes have a function open. */
#ifndef CMD_HOLDER_H
#define CMD_HOLDER_H

#include <stdbool.h>
#include <sys/types.h>

#include "process.h"

/* The files of a function in /dev/vfio. */
struct vfio_files {
	const char *bdf;
	char path[64];		/* of the group's file, "" if there is none */
	dev_t group, device;	/* 0 if there is none */
};

void vfio_files_find(const char *bdf, struct vfio_files *files);
/* Whether a file is the function's device fd, opened through the group or the character device. */
bool vfio_files_is_device(const struct vfio_files *files, const struct open_file *file);
/* The same, and also true for the group's file, because a device fd can come from it. */
bool vfio_files_has(const struct vfio_files *files, const struct open_file *file);

#endif
