/* SPDX-License-Identifier: MIT */
/* The module's list of a function's buffers, which is for root. */
#include <stdio.h>
#include <stdlib.h>

#include "buffers.h"
#include "sysfs.h"

bool buffers_read(const char *bdf, struct buffers *buffers)
{
	char path[128], line[1024];
	struct buffer buffer;
	FILE *file;

	*buffers = (struct buffers){ 0 };
	snprintf(path, sizeof(path), "/sys/kernel/debug/" DRIVER "/%s/buffers", bdf);
	file = fopen(path, "re");
	if (!file)
		return false;
	while (fgets(line, sizeof(line), file)) {
		if (!parse_buffer(line, &buffer))
			continue;
		buffers->list = reallocarray(buffers->list, buffers->nr + 1, sizeof(buffer));
		if (!buffers->list)
			abort();
		buffers->list[buffers->nr++] = buffer;
	}
	fclose(file);
	return true;
}

void buffers_free(struct buffers *buffers)
{
	free(buffers->list);
}

const struct buffer *buffers_find(const struct buffers *buffers, uint64_t inode)
{
	for (size_t i = 0; i < buffers->nr; i++)
		if (buffers->list[i].inode == inode)
			return &buffers->list[i];
	return NULL;
}
