/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "common/fdinfo.h"

bool fdinfo_function(const char *pid, const char *fd, char bdf[BDF_SIZE])
{
	static const char key[] = "vfio-device-syspath:";
	char path[64], line[512];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%.20s/fdinfo/%.20s", pid, fd);
	file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		found = !strncmp(line, key, strlen(key)) && strrchr(line, '/') &&
			bdf_parse(strrchr(line, '/') + 1, bdf);
	}
	if (file)
		fclose(file);
	return found;
}
