/* SPDX-License-Identifier: MIT */
/*
 * Whether somebody would miss a PCI function.
 *
 * Disks and interfaces are found from the other side: everything in /sys/class
 * whose real path goes through the function belongs to it, however deep.
 */
#include <dirent.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "in_use.h"
#include "parse.h"
#include "sysfs.h"

static bool belongs_to(const char *class_path, const char *bdf)
{
	char real[PATH_MAX], part[32];

	snprintf(part, sizeof(part), "/%s/", bdf);
	return realpath(class_path, real) && strstr(real, part);
}

static bool is_mounted(const char *name, const char *numbers, char *why, size_t size)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[4096], point[256];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file)) {
		found = mounts_block_device(line, name, numbers);
		if (found && sscanf(line, "%*d %*d %*s %*s %255s", point) == 1)
			snprintf(why, size, "its disk %s is mounted at %s; unmount it first", name, point);
	}
	if (file)
		fclose(file);
	return found;
}

static bool is_swap(const char *name, char *why, size_t size)
{
	FILE *file = fopen("/proc/swaps", "re");
	char line[512], device[256];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		found = sscanf(line, "/dev/%255s", device) == 1 && !strcmp(device, name);
	if (file)
		fclose(file);
	if (found)
		snprintf(why, size, "its disk %s is swap; swapoff it first", name);
	return found;
}

static bool has_holder(const char *name, char *why, size_t size)
{
	char path[512];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/class/block/%s/holders", name);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		found = true;
		snprintf(why, size, "its disk %.60s is part of %.60s; take that down first", name, entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool disk_in_use(const char *bdf, char *why, size_t size)
{
	DIR *dir = opendir("/sys/class/block");
	struct dirent *entry;
	bool used = false;

	while (dir && !used && (entry = readdir(dir))) {
		char path[512], numbers[32];

		snprintf(path, sizeof(path), "/sys/class/block/%s", entry->d_name);
		if (entry->d_name[0] == '.' || !belongs_to(path, bdf))
			continue;
		strcat(path, "/dev");
		if (file_get(path, numbers, sizeof(numbers)))
			continue;
		used = is_mounted(entry->d_name, numbers, why, size) ||
		       is_swap(entry->d_name, why, size) || has_holder(entry->d_name, why, size);
	}
	if (dir)
		closedir(dir);
	return used;
}

static bool network_in_use(const char *bdf, char *why, size_t size)
{
	struct ifaddrs *all, *one;
	bool used = false;

	if (getifaddrs(&all))
		return false;
	for (one = all; one && !used; one = one->ifa_next) {
		char path[64];

		if (!one->ifa_addr || !(one->ifa_flags & IFF_UP) ||
		    (one->ifa_addr->sa_family != AF_INET && one->ifa_addr->sa_family != AF_INET6))
			continue;
		snprintf(path, sizeof(path), "/sys/class/net/%s/device/", one->ifa_name);
		if (!belongs_to(path, bdf)) {
			/* The link's end is the function itself. */
			char real[PATH_MAX];

			if (!realpath(path, real) || strcmp(strrchr(real, '/') + 1, bdf))
				continue;
		}
		used = true;
		snprintf(why, size, "its network interface %s is up and has an address; take it down first",
			 one->ifa_name);
	}
	freeifaddrs(all);
	return used;
}

/* Files of VFIO through which the function may be open. */
static void vfio_files(const char *bdf, char group[64], char device[64])
{
	char name[32], path[64];
	struct dirent *entry;
	DIR *dir;

	group[0] = device[0] = '\0';
	if (function_link(bdf, "iommu_group", name, sizeof(name)))
		snprintf(group, 64, "/dev/vfio/%s", name);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", bdf);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			snprintf(device, 64, "/dev/vfio/devices/%.40s", entry->d_name);
	if (dir)
		closedir(dir);
}

static bool process_has_open(const char *pid, const char *group, const char *device)
{
	char path[64];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir))) {
		char link[128], target[128];
		ssize_t length;

		snprintf(link, sizeof(link), "%s/%.20s", path, entry->d_name);
		length = readlink(link, target, sizeof(target) - 1);
		if (length < 0)
			continue;
		target[length] = '\0';
		found = (group[0] && !strcmp(target, group)) || (device[0] && !strcmp(target, device));
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool vfio_in_use(const char *bdf, char *why, size_t size)
{
	char group[64], device[64], path[64], name[32];
	struct dirent *entry;
	bool used = false;
	DIR *dir;

	vfio_files(bdf, group, device);
	dir = opendir("/proc");
	while (dir && !used && (entry = readdir(dir))) {
		if (entry->d_name[strspn(entry->d_name, "0123456789")] ||
		    !process_has_open(entry->d_name, group, device))
			continue;
		used = true;
		snprintf(path, sizeof(path), "/proc/%.20s/comm", entry->d_name);
		if (file_get(path, name, sizeof(name)))
			strcpy(name, "?");
		snprintf(why, size, "process %.20s (%s) has it, or its group, open; end that first",
			 entry->d_name, name);
	}
	if (dir)
		closedir(dir);
	return used;
}

bool in_use(const char *bdf, char *why, size_t size)
{
	return disk_in_use(bdf, why, size) || network_in_use(bdf, why, size) ||
	       vfio_in_use(bdf, why, size);
}
