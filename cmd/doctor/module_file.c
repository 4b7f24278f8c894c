/* SPDX-License-Identifier: MIT */
/* The driver's module, on disk and in the kernel. */
#include <ctype.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "module_file.h"
#include "sysfs.h"
#include "whole_file.h"

#define LOADED	"/sys/module/dmabuf_vfio_pci/"

/* The value of "<name>:   <value>" at the beginning of a line; "" if there is none. */
static void field(const char *text, const char *name, char *value, size_t size)
{
	size_t length = strlen(name);

	*value = '\0';
	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, length) || line[length] != ':')
			continue;
		line += length + 1;
		line += strspn(line, " \t");
		snprintf(value, size, "%.*s", (int)strcspn(line, "\n"), line);
		return;
	}
}

void parse_modinfo(const char *text, struct module_file *file)
{
	char kind[32];

	*file = (struct module_file){ .is_signed = false };
	field(text, "filename", file->path, sizeof(file->path));
	field(text, "description", file->description, sizeof(file->description));
	field(text, "version", file->version, sizeof(file->version));
	field(text, "srcversion", file->source, sizeof(file->source));
	field(text, "signer", file->signer, sizeof(file->signer));
	field(text, "sig_id", kind, sizeof(kind));
	file->is_signed = *kind || *file->signer;
}

bool is_module_file(const char *base, const char *name)
{
	for (; *name; base++, name++)
		if (*base != *name && !(strchr("-_", *name) && *base && strchr("-_", *base)))
			return false;
	return !strcmp(base, ".ko") || !strncmp(base, ".ko.", 4);
}

void parse_depends(const char *text, char *what, size_t size)
{
	*what = '\0';
	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		int length;

		line += *line == '\n';
		length = strcspn(line, "\n");
		if (!length)
			continue;
		if (!strncmp(line, "insmod ", 7)) {
			line += 7;
			length = strcspn(line, " \n");
		}
		snprintf(what, size, "%.*s", length, line);
		/* Options can follow after a space. */
		for (size_t end = strlen(what); end && isspace((unsigned char)what[end - 1]); end--)
			what[end - 1] = '\0';
	}
}

static struct modules *found_modules;

static int look_at(const char *path, const struct stat *status, int type, struct FTW *where)
{
	struct module_file *file = &found_modules->files[found_modules->nr];
	char *text;

	(void)status;
	if (type != FTW_F || !is_module_file(path + where->base, DRIVER))
		return 0;
	text = whole_output((char *[]){ "modinfo", (char *)path, NULL });
	if (text)
		parse_modinfo(text, file);
	else
		*file = (struct module_file){ .is_signed = false };
	snprintf(file->path, sizeof(file->path), "%s", path);
	free(text);
	found_modules->nr++;
	return found_modules->nr == MODULE_FILES;
}

/* Searches the whole directory tree. */
static void read_files(struct modules *modules)
{
	struct utsname name;
	char path[128];

	uname(&name);
	snprintf(path, sizeof(path), "/lib/modules/%s", name.release);
	found_modules = modules;
	nftw(path, look_at, 16, FTW_PHYS);
}

void modules_read(struct modules *modules)
{
	char *text = whole_output((char *[]){ "modprobe", "-D", DRIVER, NULL });

	*modules = (struct modules){
		.loaded = !access(LOADED, F_OK),
		.registered = !access("/sys/bus/pci/drivers/" DRIVER, F_OK),
	};
	parse_depends(text, modules->chosen, sizeof(modules->chosen));
	free(text);
	file_get(LOADED "srcversion", modules->loaded_source, sizeof(modules->loaded_source));
	file_get(LOADED "version", modules->loaded_version, sizeof(modules->loaded_version));
	read_files(modules);
}

const struct module_file *modules_chosen(const struct modules *modules)
{
	for (size_t i = 0; i < modules->nr; i++)
		if (!strcmp(modules->files[i].path, modules->chosen))
			return &modules->files[i];
	return NULL;
}
