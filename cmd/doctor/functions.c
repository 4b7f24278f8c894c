/* SPDX-License-Identifier: MIT */
/* Functions that are bound to the driver, and whether this user may open them. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "functions.h"
#include "sysfs.h"

static bool may_open(const char *path)
{
	return !faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS);
}

/* The first of two files that this user may not open, or NULL. */
static const char *closed(const char *first, const char *second)
{
	return !may_open(first) ? first : !may_open(second) ? second : NULL;
}

/* Whether this user may open a function, through its character device or its group. */
static bool check_access(const struct function *function, struct findings *findings)
{
	char group[64], directory[64], device[300] = "";
	const char *missing;
	struct dirent *entry;
	DIR *dir;

	snprintf(directory, sizeof(directory), "/sys/bus/pci/devices/%s/vfio-dev", function->bdf);
	dir = opendir(directory);
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			snprintf(device, sizeof(device), "/dev/vfio/devices/%s", entry->d_name);
	if (dir)
		closedir(dir);
	snprintf(group, sizeof(group), "/dev/vfio/%s", function->group);
	/* As the library chooses. */
	if (!access(device, F_OK) && !access("/dev/iommu", F_OK))
		missing = closed(device, "/dev/iommu");
	else
		missing = closed(group, "/dev/vfio/vfio");
	if (!missing)
		return true;
	if (access(missing, F_OK)) {
		found(findings, "access", WARNING, "%s does not exist", missing);
		advise(findings, "run modprobe vfio_iommu_type1, and check that udev runs");
	} else {
		found(findings, "access", WARNING, "you are not allowed to open %s", missing);
		advise(findings, "as root, chown it to this user (a udev rule makes this last), or lease slices from the broker");
	}
	concerns(findings, function->bdf);
	return false;
}

void judge_token(const char *bdf, const char *physical, const char *driver, struct findings *findings)
{
	if (!strstr(driver, "vfio"))
		return;
	found(findings, "token", WARNING, "it is a virtual function of %s, whose driver is %s: it opens only with the token of the process that has that function open",
	      physical, driver);
	advise(findings, "vfio-dmabuf read and write: --vf-token UUID; broker: vf_token; library: 2nd argument of vdb_device_open()");
	concerns(findings, bdf);
}

static void check_token(const struct function *function, struct findings *findings)
{
	char physical[32], driver[64] = "";

	if (!function_link(function->bdf, "physfn", physical, sizeof(physical)))
		return;
	function_link(physical, "driver", driver, sizeof(driver));
	judge_token(function->bdf, physical, driver, findings);
}

void check_functions(struct findings *findings)
{
	size_t nr, bound = 0, open = 0;
	struct function *all;

	if (access("/sys/bus/pci/drivers/" DRIVER, F_OK))
		return;
	nr = function_all(&all);
	for (size_t i = 0; i < nr; i++)
		bound += !strcmp(all[i].driver, DRIVER);
	if (bound) {
		found(findings, "bound", GOOD, "%zu functions are bound to " DRIVER, bound);
	} else {
		found(findings, "bound", WARNING, "no function is bound");
		advise(findings, "vfio-dmabuf bind BDF");
	}
	for (size_t i = 0; i < nr; i++) {
		if (strcmp(all[i].driver, DRIVER))
			continue;
		open += check_access(&all[i], findings);
		check_token(&all[i], findings);
	}
	if (bound && open == bound)
		found(findings, "access", GOOD, "you are allowed to open all functions that are bound");
	free(all);
}
