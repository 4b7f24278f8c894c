/* SPDX-License-Identifier: MIT */
/* Bindings that survive a reboot: their files. */
#include "persist.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bdf.h"
#include "common/replace.h"

#define DEFAULT_DRIVER	"dmabuf-vfio-pci"

static bool parse_line(const char *line, struct persistent *binding)
{
	char key[16], value[64], rest;

	if (sscanf(line, " %c", &rest) != 1 || rest == '#')
		return true;
	if (sscanf(line, " %15[a-z-]: %63s %c", key, value, &rest) != 2 || strchr(value, '/'))
		return false;
	if (!strcmp(key, "driver"))
		strcpy(binding->driver, value);
	else if (!strcmp(key, "former-driver"))
		strcpy(binding->former, value);
	else if (strcmp(key, "id") || sscanf(value, "%4x:%4x%c", &binding->vendor, &binding->device, &rest) != 2)
		return false;
	return true;
}

bool persist_parse(const char *text, struct persistent *binding, int *line)
{
	strcpy(binding->driver, DEFAULT_DRIVER);
	binding->vendor = binding->device = 0;
	binding->former[0] = '\0';
	for (*line = 1; *text; (*line)++) {
		size_t length = strcspn(text, "\n");
		char one[256];

		if (length >= sizeof(one))
			return false;
		memcpy(one, text, length);
		one[length] = '\0';
		if (!parse_line(one, binding))
			return false;
		text += length + !!text[length];
	}
	return true;
}

void persist_format(const struct persistent *binding, char *text, size_t size)
{
	snprintf(text, size,
		 "# Written by vfio-dmabuf bind --persist; vfio-dmabuf(1) says what it means.\n"
		 "driver: %s\n"
		 "id: %04x:%04x\n"
		 "%s%s%s", binding->driver, binding->vendor, binding->device,
		 binding->former[0] ? "former-driver: " : "", binding->former, binding->former[0] ? "\n" : "");
}

static void file_path(const char *bdf, char *path, size_t size)
{
	snprintf(path, size, PERSIST_DIR "/%s", bdf);
}

int persist_read(const char *bdf, struct persistent *binding, int *line)
{
	char path[PERSIST_PATH], text[4096];
	size_t length;
	FILE *file;

	file_path(bdf, path, sizeof(path));
	*binding = (struct persistent){ 0 };
	snprintf(binding->bdf, sizeof(binding->bdf), "%s", bdf);
	file = fopen(path, "re");
	if (!file)
		return -1;
	length = fread(text, 1, sizeof(text) - 1, file);
	text[length] = '\0';
	if (ferror(file)) {
		fclose(file);
		errno = EIO;
		return -1;
	}
	fclose(file);
	if (persist_parse(text, binding, line))
		return 0;
	errno = EINVAL;
	return -1;
}

static int sync_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -1;
	ret = fsync(fd);
	close(fd);
	return ret;
}

int persist_write(const struct persistent *binding)
{
	char path[PERSIST_PATH], text[512];

	if ((mkdir(SYSCONFDIR "/vfio-dmabuf", 0755) && errno != EEXIST) || (mkdir(PERSIST_DIR, 0755) && errno != EEXIST))
		return -1;
	persist_format(binding, text, sizeof(text));
	file_path(binding->bdf, path, sizeof(path));
	return file_replace(path, text, strlen(text), true) ? -1 : sync_dir(PERSIST_DIR);
}

int persist_remove(const char *bdf)
{
	char path[PERSIST_PATH];

	file_path(bdf, path, sizeof(path));
	return unlink(path) ? -1 : sync_dir(PERSIST_DIR);
}

static int is_binding(const struct dirent *entry)
{
	char bdf[BDF_SIZE];

	return bdf_parse(entry->d_name, bdf) && !strcmp(bdf, entry->d_name);
}

size_t persist_all(char (**list)[16])
{
	struct dirent **entries;
	int nr = scandir(PERSIST_DIR, &entries, is_binding, alphasort);

	*list = calloc(nr > 0 ? nr : 1, sizeof(**list));
	if (!*list)
		abort();
	for (int i = 0; i < nr; i++) {
		strcpy((*list)[i], entries[i]->d_name);
		free(entries[i]);
	}
	if (nr >= 0)
		free(entries);
	return nr > 0 ? nr : 0;
}
