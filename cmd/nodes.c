/* SPDX-License-Identifier: MIT */
/* What belongs to a PCI function: device nodes, and other functions that depend on it. */
#include "nodes.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "common/bdf.h"

#define TYPE_NAME(block)	((block) ? "block" : "char")

/* The directory with the disks of NVMe subsystems, which can have several controllers. */
static const char subsystem[] = "/nvme-subsystem/";

/* Calls @each with the real path of each entry; -1 with errno if the directory cannot be read. */
static int each_real(const char *path, bool (*each)(const char *name, const char *real, void *data), void *data)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int ret = 0;

	if (!dir)
		return -1;
	while (!ret) {
		char link[PATH_MAX + NAME_MAX + 2], real[PATH_MAX];

		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			ret = errno ? -1 : 0;
			break;
		}
		if (entry->d_name[0] == '.')
			continue;
		snprintf(link, sizeof(link), "%s/%s", path, entry->d_name);
		if (realpath(link, real))
			ret = each(entry->d_name, real, data);
		else if (errno != ENOENT)	/* It can have been removed meanwhile. */
			ret = -1;
	}
	closedir(dir);
	return ret;
}

static bool goes_through(const char *real, const char *bdf)
{
	size_t length = strlen(bdf);

	for (const char *found = real; (found = strstr(found, bdf)); found += length)
		if (found > real && found[-1] == '/' && (found[length] == '/' || !found[length]))
			return true;
	return false;
}

/* The last function in a path. */
static bool function_of(const char *real, char bdf[16])
{
	bool found = false;

	for (const char *part = real; (part = strchr(part, '/')); ) {
		char name[32], parsed[BDF_SIZE];
		size_t length = strcspn(++part, "/");

		if (length >= sizeof(name))
			continue;
		memcpy(name, part, length);
		name[length] = '\0';
		if (!bdf_parse(name, parsed) || strcmp(name, parsed))
			continue;
		strcpy(bdf, parsed);
		found = true;
	}
	return found;
}

/* The directory of the NVMe subsystem in a path. */
static bool subsystem_of(const char *real, char path[PATH_MAX])
{
	const char *name = strstr(real, subsystem);

	if (!name)
		return false;
	name += strlen(subsystem);
	snprintf(path, PATH_MAX, "%.*s", (int)(name - real + strcspn(name, "/")), real);
	return true;
}

static bool is_controller(const char *name, const char *real, void *data)
{
	(void)name;
	return goes_through(real, data);
}

struct search {
	const char *root, *bdf;
	bool block;
	struct nodes *nodes;
	bool failed;
};

/* The kernel's name of it, or its numbers if it has no name. */
static void find_name(const char *real, const char *numbers, struct node *node)
{
	char path[PATH_MAX + 8], line[128];
	FILE *file;

	snprintf(node->name, sizeof(node->name), "%s/%.32s", TYPE_NAME(node->block), numbers);
	snprintf(path, sizeof(path), "%s/uevent", real);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "DEVNAME=", 8))
			snprintf(node->name, sizeof(node->name), "%.63s", line + 8);
	}
	if (file)
		fclose(file);
}

static bool add_node(const char *numbers, const char *real, void *data)
{
	struct search *search = data;
	struct nodes *nodes = search->nodes;
	unsigned int major, minor;
	char path[PATH_MAX];
	struct node *node;
	int controls = 0;

	if (subsystem_of(real, path))
		controls = each_real(path, is_controller, (void *)search->bdf);
	search->failed |= controls < 0 && errno != ENOENT;
	if (search->failed)
		return true;
	if ((!goes_through(real, search->bdf) && controls <= 0) || sscanf(numbers, "%u:%u", &major, &minor) != 2)
		return false;
	nodes->list = reallocarray(nodes->list, nodes->nr + 1, sizeof(*node));
	if (!nodes->list)
		abort();
	node = &nodes->list[nodes->nr++];
	*node = (struct node){ .block = search->block, .number = makedev(major, minor) };
	find_name(real, numbers, node);
	return false;
}

int nodes_find(const char *root, const char *bdf, struct nodes *nodes)
{
	*nodes = (struct nodes){ 0 };
	for (int block = 0; block < 2; block++) {
		struct search search = { .root = root, .bdf = bdf, .block = block, .nodes = nodes };
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s/sys/dev/%s", root, TYPE_NAME(block));
		if (each_real(path, add_node, &search) < 0 || search.failed)
			return -1;
	}
	return 0;
}

void nodes_free(struct nodes *nodes)
{
	free(nodes->list);
	*nodes = (struct nodes){ 0 };
}

struct controllers {
	char bdf[16];
	unsigned int nr;
};

static bool count_controller(const char *name, const char *real, void *data)
{
	struct controllers *controllers = data;
	char bdf[16];

	(void)name;
	if (function_of(real, bdf) && strcmp(bdf, controllers->bdf)) {
		strcpy(controllers->bdf, bdf);
		controllers->nr++;
	}
	return false;
}

bool function_find(const char *root, const char *name, char bdf[16])
{
	char path[PATH_MAX], real[PATH_MAX];
	struct controllers controllers = { 0 };
	struct stat file;

	if (bdf_parse(name, bdf))
		return true;
	if (name[0] == '/') {
		if (stat(name, &file) || (!S_ISBLK(file.st_mode) && !S_ISCHR(file.st_mode)))
			return false;
		snprintf(path, sizeof(path), "%s/sys/dev/%s/%u:%u", root, TYPE_NAME(S_ISBLK(file.st_mode)),
			 major(file.st_rdev), minor(file.st_rdev));
	} else {
		if (!name[0] || name[0] == '.' || strchr(name, '/'))
			return false;
		snprintf(path, sizeof(path), "%s/sys/class/net/%s", root, name);
	}
	if (!realpath(path, real))
		return false;
	if (function_of(real, bdf))
		return true;
	/* A disk with several paths belongs to no function alone, but it can have only one path. */
	if (!subsystem_of(real, path) || each_real(path, count_controller, &controllers) < 0 || controllers.nr != 1)
		return false;
	strcpy(bdf, controllers.bdf);
	return true;
}

struct virtuals {
	bool (*each)(const char *bdf, void *data);
	void *data;
};

static bool try_virtual(const char *name, const char *real, void *data)
{
	const struct virtuals *virtuals = data;

	return !strncmp(name, "virtfn", 6) && virtuals->each(strrchr(real, '/') + 1, virtuals->data);
}

bool function_any_virtual(const char *root, const char *bdf, bool (*each)(const char *bdf, void *data), void *data)
{
	struct virtuals virtuals = { .each = each, .data = data };
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s", root, bdf);
	return each_real(path, try_virtual, &virtuals) > 0;
}
