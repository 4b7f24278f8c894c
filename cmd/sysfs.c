/* SPDX-License-Identifier: MIT */
/* PCI functions, as sysfs shows them. */
#include <dirent.h>
#include <fcntl.h>
#include <pci/pci.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "resource.h"
#include "sysfs.h"

int file_get(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	if (fd < 0)
		return -1;
	length = read(fd, text, size - 1);
	close(fd);
	if (length < 0)
		return -1;
	text[length] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return 0;
}

int file_put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t written;

	if (fd < 0)
		return -1;
	written = write(fd, text, strlen(text));
	close(fd);
	return written == (ssize_t)strlen(text) ? 0 : -1;
}

dev_t device_number(const char *path)
{
	unsigned int major, minor;
	char text[32];

	if (file_get(path, text, sizeof(text)) || sscanf(text, "%u:%u", &major, &minor) != 2)
		return 0;
	return makedev(major, minor);
}

int function_get(const char *bdf, const char *file, char *text, size_t size)
{
	char path[256];

	function_path(bdf, file, path, sizeof(path));
	return file_get(path, text, size);
}

int function_put(const char *bdf, const char *file, const char *text)
{
	char path[256];

	function_path(bdf, file, path, sizeof(path));
	return file_put(path, text);
}

static unsigned int get_hex(const char *bdf, const char *file)
{
	char text[32];

	return function_get(bdf, file, text, sizeof(text)) ? 0 : strtoul(text, NULL, 16);
}

static void read_bars(struct function *function)
{
	struct resource found[VDB_BARS];

	resources_read("", function->bdf, found);
	for (int i = 0; i < VDB_BARS; i++) {
		if (!found[i].end)
			continue;
		function->bars[i] = (struct vdb_bar){
			.size = found[i].end - found[i].start + 1,
			.memory = found[i].flags & RESOURCE_MEM,
			.mappable = found[i].flags & RESOURCE_MEM,
			.prefetchable = found[i].flags & RESOURCE_PREFETCH,
			.is_64bit = found[i].flags & RESOURCE_MEM_64,
		};
	}
}

void function_bar_addresses(const char *bdf, uint64_t addresses[VDB_BARS])
{
	unsigned long long start;
	char path[256];
	FILE *file;

	memset(addresses, 0, VDB_BARS * sizeof(addresses[0]));
	function_path(bdf, "resource", path, sizeof(path));
	file = fopen(path, "re");
	for (int i = 0; file && i < VDB_BARS && fscanf(file, "%llx %*x %*x", &start) == 1; i++)
		addresses[i] = start;
	if (file)
		fclose(file);
}

static void find_name(struct function *function)
{
	static struct pci_access *access;

	if (!access) {
		access = pci_alloc();
		/* The database of PCI ids is enough; without udev's, libpci leaks at each name. */
		pci_set_param(access, "hwdb.disable", "1");
		pci_init(access);
	}
	pci_lookup_name(access, function->name, sizeof(function->name),
			PCI_LOOKUP_VENDOR | PCI_LOOKUP_DEVICE, function->vendor, function->device);
}

bool function_read(const char *bdf, struct function *function)
{
	char class[32];

	*function = (struct function){ 0 };
	snprintf(function->bdf, sizeof(function->bdf), "%s", bdf);
	if (function_get(bdf, "class", class, sizeof(class)))
		return false;
	function->class = strtoul(class, NULL, 16);
	function->vendor = get_hex(bdf, "vendor");
	function->device = get_hex(bdf, "device");
	function_link(bdf, "driver", function->driver, sizeof(function->driver));
	function_link(bdf, "iommu_group", function->group, sizeof(function->group));
	read_bars(function);
	find_name(function);
	return true;
}

static int skip_dots(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

size_t function_all(struct function **list)
{
	struct dirent **entries;
	int nr = scandir("/sys/bus/pci/devices", &entries, skip_dots, alphasort);
	size_t found = 0;

	if (nr < 0)
		nr = 0;
	*list = calloc(nr + 1, sizeof(**list));
	if (!*list)
		abort();
	for (int i = 0; i < nr; i++) {
		if (function_read(entries[i]->d_name, &(*list)[found]))
			found++;
		free(entries[i]);
	}
	if (nr)
		free(entries);
	return found;
}

/* Base class 6: host, PCI and other bridges, which users do not bind. */
bool function_is_bridge(const struct function *function)
{
	return function->class >> 16 == 6;
}
