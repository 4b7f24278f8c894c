/* SPDX-License-Identifier: MIT */
/* Users and groups by name. */
#ifndef CONFIG_NAMES_H
#define CONFIG_NAMES_H

#include <sys/types.h>

/* Each returns 0; ENOENT if the name does not exist; or the errno of a failed lookup. */
struct names {
	int (*user)(const char *name, uid_t *uid);
	int (*group)(const char *name, gid_t *gid);
};

/* Asks the system's name services. */
extern const struct names system_names;

#endif
