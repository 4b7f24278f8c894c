/* SPDX-License-Identifier: MIT */
/* From a member to the struct that has it. */
#ifndef COMMON_CONTAINER_H
#define COMMON_CONTAINER_H

#include <stddef.h>

#define CONTAINER(pointer, type, member) \
	((type *)((char *)(pointer) - offsetof(type, member)))

#endif
