/* SPDX-License-Identifier: MIT */
/*
 * Whether the kernel itself uses a function: one of its consoles is on a device of the
 * function, or the screen that the firmware has set up is in a BAR.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "in_use.h"
#include "resource.h"

bool console_in_use(const char *root, const struct nodes *nodes, char *why, size_t size)
{
	char path[256], line[256];
	bool used = false;
	FILE *file;

	snprintf(path, sizeof(path), "%.200s/proc/consoles", root);
	file = fopen(path, "re");
	if (!file && errno != ENOENT) {
		snprintf(why, size, "%s cannot be read: %s", path, strerror(errno));
		return true;
	}
	while (file && !used && fgets(line, sizeof(line), file)) {
		const char *numbers = strrchr(line, ' ');
		unsigned int major, minor;

		/* A console without a node has no numbers. */
		if (!numbers || sscanf(numbers, "%u:%u", &major, &minor) != 2)
			continue;
		for (size_t i = 0; i < nodes->nr && !used; i++) {
			const struct node *node = &nodes->list[i];

			used = !node->block && node->number == makedev(major, minor);
			if (used)
				snprintf(why, size, "/dev/%s is a console of the kernel; boot without it (console=)", node->name);
		}
	}
	if (file)
		fclose(file);
	return used;
}

/* Recognizes it by the names of the kernel's drivers for it. */
static bool is_framebuffer(const char *name)
{
	static const char *const names[] = {
		"BOOTFB", "simple-framebuffer", "simplefb", "simpledrm", "efifb", "efidrm", "vesafb", "vesadrm",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(name, names[i], strlen(names[i])))
			return true;
	return false;
}

bool framebuffer_in_use(const char *root, const char *bdf, char *why, size_t size)
{
	char path[256], line[256], name[128];
	bool used = false, told = false, any = false;
	struct resource bars[VDB_BARS];
	FILE *file;

	snprintf(path, sizeof(path), "%.200s/proc/iomem", root);
	file = fopen(path, "re");
	while (file && !used && fgets(line, sizeof(line), file)) {
		uint64_t start, end;

		any = true;
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " : %127[^\n]", &start, &end, name) != 3)
			continue;
		/* For users without the right to see addresses, all are 0. */
		told |= end;
		if (!is_framebuffer(name) || !resources_read(root, bdf, bars))
			continue;
		for (int i = 0; i < VDB_BARS && !used; i++) {
			used = end && bars[i].flags & RESOURCE_MEM && start <= bars[i].end && end >= bars[i].start;
			if (used)
				snprintf(why, size, "the screen that the firmware has set up is in its BAR %d (%s in /proc/iomem); boot with video=efifb:off or initcall_blacklist=sysfb_init",
					 i, name);
		}
	}
	if (file)
		fclose(file);
	if (!used && !told && (!file || any)) {
		snprintf(why, size, "%s does not say where the screen of the firmware is", path);
		used = true;
	}
	return used;
}
