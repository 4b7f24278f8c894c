/* SPDX-License-Identifier: MIT */
/* The driver that a function has, and its former driver. */
#include "binding.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "modprobe.h"
#include "sysfs.h"

/*
 * A driver that is bound to a function which it was not written for can crash the
 * kernel.  pci-stub, a driver of the kernel, does not access its functions.
 */
bool binding_allows(const char *driver)
{
	return (strstr(driver, "vfio") || !strcmp(driver, "pci-stub")) && !strchr(driver, '/');
}

int binding_load(const char *driver)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/%.64s", driver);
	if (access(path, F_OK) && module_load(driver))
		return -1;
	/* Needed to open it without an iommufd; builtin in some kernels. */
	module_load("vfio_iommu_type1");
	return 0;
}

bool binding_has(const char *bdf, const char *driver)
{
	char name[64] = "";

	function_link(bdf, "driver", name, sizeof(name));
	return !strcmp(name, driver);
}

void binding_override(const char *bdf, char *override, size_t size)
{
	override[0] = '\0';
	function_get(bdf, "driver_override", override, size);
	if (!strcmp(override, "(null)"))
		override[0] = '\0';
}

int binding_change(const char *bdf, const char *override)
{
	char driver[64], path[256];

	/* A newline alone clears it. */
	if (function_put(bdf, "driver_override", override[0] ? override : "\n"))
		return -1;
	if (function_link(bdf, "driver", driver, sizeof(driver))) {
		snprintf(path, sizeof(path), "/sys/bus/pci/drivers/%s/unbind", driver);
		if (file_put(path, bdf))
			return -1;
	}
	return file_put("/sys/bus/pci/drivers_probe", bdf);
}

static void memory_path(const char *bdf, char *path, size_t size)
{
	snprintf(path, size, BINDING_MEMORY "/%s", bdf);
}

bool binding_recall(const char *bdf, char driver[64], char override[64])
{
	char path[64];
	FILE *file;
	bool ok;

	memory_path(bdf, path, sizeof(path));
	file = fopen(path, "re");
	if (!file)
		return false;
	ok = fscanf(file, "%63s %63s", driver, override) == 2;
	fclose(file);
	if (!ok)
		return false;
	if (!strcmp(driver, "-"))
		driver[0] = '\0';
	if (!strcmp(override, "-"))
		override[0] = '\0';
	return true;
}

void binding_forget(const char *bdf)
{
	char path[64];

	memory_path(bdf, path, sizeof(path));
	unlink(path);
}

int binding_remember(const char *bdf, const char *driver, const char *override)
{
	char path[64], old_driver[64], old_override[64];
	FILE *file;

	if (binding_recall(bdf, old_driver, old_override))
		return 0;
	mkdir(RUNSTATEDIR "/vfio-dmabuf", 0755);
	mkdir(BINDING_MEMORY, 0755);
	memory_path(bdf, path, sizeof(path));
	file = fopen(path, "we");
	if (!file)
		return -1;
	fprintf(file, "%s\n%s\n", driver[0] ? driver : "-", override[0] ? override : "-");
	if (fclose(file)) {
		int error = errno;

		binding_forget(bdf);
		errno = error;
		return -1;
	}
	return 1;
}
